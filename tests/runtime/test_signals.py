"""A signal that asks the process to end, in the middle of what must not be cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from tsx.runtime.signals import uninterrupted


@pytest.fixture(autouse=True)
def usual_handler() -> Iterator[None]:
    """A program that a shell starts in the background ignores SIGINT, and so do its tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interruption_within_the_block_comes_when_it_is_over() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            interrupt()
            done.append("all of it")
        done.append("more")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of it"]


def test_afterwards_signals_are_handled_as_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with uninterrupted():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_in_another_thread_the_block_runs_as_it_is() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGINT)]
