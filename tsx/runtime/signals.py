"""Signals that ask a process to end, and stretches of work that they must not cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """SIGINT and SIGTERM that arrive within the block take effect when it is over.

    For a few operations on files. Python handles signals in the main thread alone, so that other threads need nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    # a handler that was not set by Python cannot be put back
    theirs = {number: signal.getsignal(number) for number in ENDING}
    theirs = {number: handler for number, handler in theirs.items() if handler is not None}
    for number in theirs:
        signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in theirs.items():
            signal.signal(number, handler)
        for came in arrived:
            signal.raise_signal(came)
