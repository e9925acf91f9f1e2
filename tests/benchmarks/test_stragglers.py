"""The simulation of slow workers and lost parts."""

from __future__ import annotations

import numpy as np

from benchmarks.scale.stragglers import queue, shards

NONE = np.zeros(6)


def test_without_trouble_any_number_of_shards_takes_the_least_time():
    for number in (3, 6):
        assert queue(shards(np.full(6, 2.0), NONE, number), np.ones(3)) == 4


def test_a_slow_worker_delays_its_shard_and_takes_fewer_of_many_small_ones():
    seconds, speed = np.full(6, 2.0), np.array([1.0, 1.0, 4.0])
    assert queue(shards(seconds, NONE, 3), speed) == 16
    assert queue(shards(seconds, NONE, 6), speed) == 8  # the slow one does a single part


def test_a_lost_part_is_done_again_by_its_shard():
    lost = np.array([0, 0, 1, 0, 0, 0])
    assert shards(np.ones(6), lost, 3).tolist() == [2, 2, 3]
    assert queue(shards(np.ones(6), lost, 3), np.ones(1)) == 7
