"""The executor: the order of results, and how a failure ends the calls beside it."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest
import torch

from tsx.runtime.executor import Stopped, as_they_come, run_until_failure, side_by_side


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("two_threads")
def test_a_failure_ends_the_call_beside_it_and_is_what_is_raised():
    ended = threading.Event()

    def call(part: int, stop: threading.Event) -> int:
        if part == 1:
            raise ValueError("this part")
        assert stop.wait(60)
        ended.set()
        raise Stopped

    with side_by_side() as each, pytest.raises(ValueError, match="this part"):
        run_until_failure(each, call, range(2))
    assert ended.is_set()


@pytest.mark.usefixtures("two_threads")
def test_results_come_in_the_order_of_the_parts():
    last_done = threading.Event()

    def call(part: int, stop: threading.Event) -> int:
        if part == 0:
            assert last_done.wait(60)
        last_done.set()
        return 10 * part

    with side_by_side() as each:
        assert run_until_failure(each, call, range(2)) == [0, 10]


@pytest.mark.usefixtures("two_threads")
def test_every_thread_sees_what_holds_for_the_block():
    holds = ContextVar("holds", default=0)
    token = holds.set(7)
    assert list(as_they_come(lambda part: holds.get(), range(3))) == [7, 7, 7]
    holds.reset(token)


def test_nothing_runs_after_a_failure_where_calls_follow_each_other():
    called = []

    def call(part: int, stop: threading.Event) -> None:
        called.append(part)
        raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 0"):
        run_until_failure(map, call, range(3))
    assert called == [0]
