"""Which cells play together."""

from __future__ import annotations

import numpy as np
import pytest

from tsx.errors import ConfigError
from tsx.explanation.shap.players import NOBODY, in_steps, players_of
from tsx.panel.calendar import Calendar
from tsx.spec.channels import Channels
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Question

SCHEMA = Schema("t", "y", past=("x",), future=("p",), static=("ward",))
CONFIG = NetworkConfig(2, 4, 2, 1, channels=Channels.of(SCHEMA, {"ward": ("a", "b", "c")}))


def who(**asked):
    return players_of(CONFIG, Question(**asked))


def test_every_cell_of_the_past_and_of_what_is_known_ahead_is_a_player():
    players = who()
    assert list(zip(players.feature, players.lag, players.oldest)) == [
        *(("y", k, k) for k in (1, 2, 3, 4)),
        *(("x", k, k) for k in (1, 2, 3, 4)),
        *(("p", k, k) for k in (-1, 0, 1, 2, 3, 4)),
    ]
    assert np.bincount(players.of_cell[:-1]).tolist() == [1] * len(players)
    # cells stand oldest lag first, feature by feature; then what is known ahead; then the static covariate
    assert [players.feature[n] for n in players.of_cell[:3]] == ["y", "x", "p"]
    assert [players.lag[n] for n in players.of_cell[:3]] == [4, 4, 4]
    assert [players.lag[n] for n in players.of_cell[12:14]] == [0, -1]
    assert players.of_cell[14] == NOBODY


@pytest.mark.parametrize("reference", ["panel", "table"])
def test_a_static_covariate_plays_where_references_may_have_another(reference):
    players = who(reference=reference)
    assert (players.feature[-1], players.lag[-1], players.oldest[-1]) == ("ward", None, None)
    assert players.of_cell[-1] == len(players) - 1


def test_a_lag_is_all_features_at_one_time():
    players = who(players="lag")
    assert list(zip(players.feature, players.lag)) == [(None, k) for k in (-1, 0, 1, 2, 3, 4)]
    assert np.bincount(players.of_cell[:-1]).tolist() == [1, 1, 3, 3, 3, 3]


def test_a_feature_is_all_its_lags():
    players = who(players="feature")
    assert list(zip(players.feature, players.lag, players.oldest)) == [("y", 1, 4), ("x", 1, 4), ("p", -1, 4)]


def test_a_segment_is_what_the_network_reads_at_once():
    players = who(players="segment")
    assert list(zip(players.feature, players.lag, players.oldest)) == [(None, -1, 0), (None, 1, 2), (None, 3, 4)]


def test_groups_are_runs_of_lags_of_one_feature_and_what_is_known_ahead_is_apart():
    players = who(players="group", group=3)
    assert list(zip(players.feature, players.lag, players.oldest)) == [
        ("y", 1, 3),
        ("y", 4, 4),
        ("x", 1, 3),
        ("x", 4, 4),
        ("p", -1, 0),
        ("p", 1, 3),
        ("p", 4, 4),
    ]


def test_cells_with_a_group_play_for_themselves_within_blocks():
    players = who(group=3, players="cell")
    assert len(players) == len(who())
    blocks = {n: [players.lag[k] for k in np.flatnonzero(players.block == n)] for n in set(players.block.tolist())}
    assert sorted(blocks.values()) == sorted([[1, 2, 3], [4], [1, 2, 3], [4], [-1, 0], [1, 2, 3], [4]])
    assert not who().block.any()


@pytest.mark.parametrize(("group", "steps"), [(6, 6), ("6", 6), ("day", 24), ("Week", 168)])
def test_a_group_may_be_named_in_words(group, steps):
    assert in_steps(Question(group=group, players="group"), Calendar.parse("1h")).group == steps


@pytest.mark.parametrize("group", ["month", "fortnight", "0", "-3", "2.5"])
def test_a_group_that_is_no_whole_number_of_steps_is_refused(group):
    with pytest.raises(ConfigError) as caught:
        in_steps(Question(group=group, players="group"), Calendar.parse("1h"))
    assert caught.value.code == "group-unknown"
