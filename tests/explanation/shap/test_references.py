"""Which windows are explained, and what takes the place of their absent values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.model.smoothings import unsmoothed
from tests.processes import autoregression, driven, make_panel
from tsx.errors import DataError
from tsx.explanation.shap.game import flatten, game_of
from tsx.explanation.shap.references import FEWEST_REFERENCES, ReferenceCounts, ReferencePool, choose, population_of
from tsx.model.forecaster import Forecaster
from tsx.spec.settings import Question, Settings
from tsx.training.fit import fit_forecaster

CONTEXT, HORIZON = 12, 3
SMALL = Settings(horizon=HORIZON, context_length=CONTEXT, segment=1, season=1, hidden_size=4, max_steps=2, device="cpu")


def fitted(season: int = 1, **panel_of) -> Forecaster:
    panel = make_panel([driven(200, seed) for seed in range(3)], past=("x",))
    return fit_forecaster(panel, replace(SMALL, season=season))


PLAIN, SEASONAL = fitted(), fitted(6)


def found(forecaster, panel, series, cutoffs, table=None, **asked):
    series, cutoffs = np.asarray(series), np.asarray(cutoffs)
    source = forecaster.windows(panel)
    pool = ReferencePool(forecaster, panel, Question(**asked), source, table)
    return pool.of(series, cutoffs, source.cut(series, cutoffs))


def places(references) -> list[tuple[int, int]]:
    series, cutoffs = references.places(np.arange(len(references)))
    return list(zip(series.tolist(), cutoffs.tolist()))


def naive(panel, season: int, n: int, cutoff: int) -> tuple[list[tuple[int, int]], bool, bool]:
    """The references of one window, straight from their definition: the first kind with enough of them."""
    observed = ~np.isnan(panel.values[panel.offsets[n] : panel.offsets[n] + panel.lengths[n], 0])
    for same in (True, False):
        for clear in (True, False):
            own = [
                k
                for k in range(CONTEXT - 1, cutoff - (CONTEXT if clear else 1) + 1)
                if observed[k - CONTEXT + 1 : k + 1].any() and (not same or (cutoff - k) % season == 0)
            ]
            if len(own) >= FEWEST_REFERENCES:
                return [(n, k) for k in own], same or season == 1, clear
    return [], False, False


@given(st.data())
def test_references_are_those_of_the_definition_whatever_is_missing(data):
    forecaster = data.draw(st.sampled_from([PLAIN, SEASONAL]))
    lengths = data.draw(st.lists(st.integers(CONTEXT, 150), min_size=1, max_size=4))
    tables = [driven(length, seed) for seed, length in enumerate(lengths)]
    for table in tables:
        for _ in range(data.draw(st.integers(0, 3))):
            begin = data.draw(st.integers(0, len(table) - 1))
            table[begin : begin + data.draw(st.integers(1, 60)), 0] = np.nan
    panel = make_panel([*tables, driven(60, 9)], past=("x",))  # the last one has windows to borrow
    series = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=5))
    cutoffs = [data.draw(st.integers(0, lengths[n] - 1)) for n in series]
    expected = [naive(panel, forecaster.config.season, n, cutoff) for n, cutoff in zip(series, cutoffs)]
    result = found(forecaster, panel, series, cutoffs)
    for n, cutoff, references, (own, same, clear) in zip(series, cutoffs, result, expected):
        assert references.own == bool(own)
        if own:
            assert (places(references), references.same_phase, references.clear) == (own, same, clear)
        for m, k in places(references):
            assert m != n or k < cutoff  # nothing after the explained cutoff
            rows = panel.values[panel.offsets[m] + max(k - CONTEXT + 1, 0) : panel.offsets[m] + k + 1, 0]
            assert not np.isnan(rows).all()


def test_references_stand_at_the_phase_of_the_explained_window():
    panel = make_panel([driven(200, 0)], past=("x",))
    (one,) = found(SEASONAL, panel, [0], [150])
    assert one.same_phase
    assert one.clear
    assert places(one) == [(0, k) for k in range(12, 150 - CONTEXT + 1) if k % 6 == 0]


def test_where_few_share_the_phase_any_phase_is_taken_and_counted():
    panel = make_panel([driven(200, 0)], past=("x",))
    result = found(SEASONAL, panel, [0, 0, 0, 0], [150, 40, 22, 18])
    assert [(r.own, r.same_phase, r.clear) for r in result] == [
        (True, True, True),
        (True, False, True),
        (True, False, False),
        (False, False, False),
    ]
    counts = ReferenceCounts(season=6)
    counts.add(result[:3])
    counts.add(result[3:])
    assert (counts.windows, counts.any_phase, counts.overlapping, counts.borrowed) == (4, 2, 1, 1)
    words = counts.words(Question())
    assert "at the same phase of the season; for 2 forecasts at any phase" in words
    assert "for 1 forecast windows of the panel" in words
    assert "older" not in words
    plain = ReferenceCounts()
    plain.add(found(PLAIN, panel, [0], [150]))
    assert plain.words(Question()) == "earlier windows of the same series"
    plain.add(found(PLAIN, panel, [0], [150], reference="panel"))
    assert (plain.windows, plain.borrowed) == (2, 0)
    assert (
        plain.words(Question(reference="panel", level="hold")) == "windows of the panel, moved to the explained level"
    )


def test_recent_references_are_the_newest():
    panel = make_panel([driven(200, 0)], past=("x",))
    (one,) = found(PLAIN, panel, [0], [180], reference="recent")
    assert places(one) == [(0, k) for k in range(180 - 5 * CONTEXT + 1, 180 - CONTEXT + 1)]
    assert one.recent
    gap = driven(200, 0)
    gap[110:175, 0] = np.nan
    (older,) = found(PLAIN, make_panel([gap], past=("x",)), [0], [185], reference="recent")
    assert older.own
    assert not (older.recent and older.clear)


def test_the_panels_windows_are_all_but_those_after_the_explained_cutoff():
    panel = make_panel([driven(60, seed) for seed in range(3)], past=("x",))
    (one,) = found(PLAIN, panel, [1], [30], reference="panel")
    usable = range(CONTEXT - 1, 60 - HORIZON)
    assert places(one) == [(n, k) for n in range(3) for k in usable if n != 1 or k < 30]


def test_references_of_other_series_come_in_the_users_units():
    """Cells stand around a center of their own series; a reference of another series keeps its level."""
    panel = make_panel([1000 + driven(60, 0)[:, 0], 5 + driven(60, 1)[:, 0]])
    forecaster = fit_forecaster(panel, SMALL)
    (one,) = found(forecaster, panel, [1], [50], reference="panel")
    cells = one.population(len(one))
    series, cutoffs = one.places(np.arange(len(one)))
    expected = np.stack(
        [
            panel.values[panel.offsets[n] + k - CONTEXT + 1 : panel.offsets[n] + k + 1, 0] + panel.centers[n, 0]
            for n, k in zip(series, cutoffs)
        ]
    )
    np.testing.assert_allclose(cells.double().numpy() + panel.centers[1, 0], expected, atol=1e-3)


def test_a_given_table_brings_its_own_windows_and_levels():
    panel = make_panel([driven(60, 0)[:, 0]])
    forecaster = fit_forecaster(panel, SMALL)
    table = make_panel([50 + np.arange(20.0)])
    (one,) = found(forecaster, panel, [0], [50], table=table, reference="table")
    assert [k for _, k in places(one)] == list(range(CONTEXT - 1, 20 - HORIZON))
    first = one.population(100)[0].double().numpy() + panel.centers[0, 0]
    np.testing.assert_allclose(first, 50 + np.arange(CONTEXT), atol=1e-4)


@pytest.mark.parametrize("values", [np.full(30, np.nan), np.full(2, np.nan)])
def test_a_table_without_values_has_nothing_to_compare(values):
    panel = make_panel([driven(60, 0)[:, 0]])
    forecaster = fit_forecaster(panel, SMALL)
    with pytest.raises(DataError) as failed:
        found(forecaster, panel, [0], [50], table=make_panel([values]), reference="table")
    assert failed.value.code == "nothing-to-compare"
    with pytest.raises(ValueError, match="none is given"):
        found(forecaster, panel, [0], [50], reference="table")


def test_a_lone_short_series_has_nothing_to_compare():
    with pytest.raises(DataError) as failed:
        found(PLAIN, make_panel([driven(1, 0)], past=("x",)), [0], [0])
    assert failed.value.code == "nothing-to-compare"


def test_borrowed_references_stand_at_the_explained_location():
    panel = make_panel([500 + autoregression(14, 0), autoregression(100, 1)])
    forecaster = fit_forecaster(make_panel([autoregression(100, seed) for seed in range(3)]), SMALL)
    (one,) = found(forecaster, panel, [0], [13])
    assert not one.own
    last = one.population(len(one))[:, CONTEXT - 1]
    explained = panel.values[panel.offsets[0] + 13, 0]
    torch.testing.assert_close(last, torch.full_like(last, float(explained)))


@pytest.mark.parametrize("reference", ["series", "panel", "recent"])
def test_at_a_held_level_every_reference_has_the_frame_of_the_explained_window(reference):
    panel = make_panel([driven(200, seed) * (1 + 9 * seed) + 100 * seed for seed in range(2)], past=("x",))
    source = PLAIN.windows(panel)
    explained = source.cut(np.array([1]), np.array([150]))
    (one,) = found(PLAIN, panel, [1], [150], reference=reference, level="hold")
    cells = one.population(20)
    past = cells[:, : CONTEXT * 2].unflatten(1, (CONTEXT, 2))
    with torch.no_grad():
        frame = PLAIN.network.frame(explained)
        held = PLAIN.network.frame(replace(explained, past=past, usual_scale=explained.usual_scale.expand(20)))
    torch.testing.assert_close(held.location, frame.location.expand(20, 1), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(held.scale, frame.scale.expand(20, 1), rtol=1e-4, atol=1e-3)
    (raw,) = found(PLAIN, panel, [1], [150], reference=reference)
    assert not torch.allclose(raw.population(20), cells)


def test_static_covariates_come_with_the_reference_unless_it_is_borrowed():
    """A ward is known where eleven series or more are in it."""
    panel = make_panel([autoregression(14, 0), *(autoregression(100, 1 + n) for n in range(21))])
    panel = replace(
        panel,
        schema=replace(panel.schema, static=("beds", "ward")),
        static_values=np.arange(1.0, 23.0, dtype=np.float32)[:, None],
        static_labels=pl.DataFrame({"ward": [*"a" * 11, *"b" * 11]}),
    )
    forecaster = fit_forecaster(panel, replace(SMALL, context_length=8))
    (other,) = found(forecaster, panel, [0], [9], reference="panel")
    (borrowed,) = found(forecaster, panel, [0], [9])
    assert not borrowed.own
    series = other.places(np.arange(len(other)))[0]
    cells = other.population(len(other))
    assert cells[:, -2].tolist() == (series + 1.0).tolist()
    assert len(set(cells[:, -1].tolist())) == 2
    assert set(borrowed.population(50)[:, -2].tolist()) == {1.0}
    assert len(set(borrowed.population(50)[:, -1].tolist())) == 1


def test_own_references_are_windows_of_the_panel_and_missing_cells_travel():
    table = driven(200, 0)
    table[20:50:3, 0] = np.nan
    panel = make_panel([table], past=("x",))
    (one,) = found(PLAIN, panel, [0], [150])
    cells = one.population(1000)
    expected = flatten(PLAIN.windows(panel).cut(*one.places(np.arange(len(one)))))
    torch.testing.assert_close(cells, expected, equal_nan=True)
    assert cells.isnan().any()


NUMBERS = fit_forecaster(make_panel([np.arange(200.0)]), SMALL)


@given(st.integers(20, 150), st.integers(1, 200))
def test_the_population_is_spread_evenly_and_always_the_same(cutoff, size):
    (one,) = found(NUMBERS, make_panel([np.arange(200.0)]), [0], [cutoff])
    first = one.population(size)[:, 0].numpy()
    assert len(first) == min(size, len(one))
    assert (np.diff(first) > 0).all()
    parts = ((first - first.min()) * len(first) / len(one)).astype(int)
    assert np.abs(parts - np.arange(len(first))).max() <= 1
    np.testing.assert_array_equal(one.population(size)[:, 0].numpy(), first)


def test_a_population_of_whole_weeks_has_every_weekday():
    """29 x 7 + 1 windows, 30 of them: equal steps would meet one weekday alone."""
    days = make_panel([np.arange(240.0) % 7])
    (one,) = found(NUMBERS, days, [0], [CONTEXT - 1 + CONTEXT + 29 * 7])
    assert len(one) == 29 * 7 + 1
    weekdays = np.bincount(one.population(30)[:, 0].numpy().astype(int), minlength=7)
    assert weekdays.min() >= 2


def naive_choice(forecaster, panel, count):
    series, cutoffs = forecaster.cutoffs(panel)
    chosen = list(zip(series.tolist(), cutoffs.tolist()))
    back = 0
    while len(chosen) < count and back < panel.lengths.max():
        back += HORIZON
        for n, cutoff in zip(series.tolist(), (cutoffs - back).tolist()):
            rows = panel.values[panel.offsets[n] + cutoff - CONTEXT + 1 : panel.offsets[n] + cutoff + 1, 0]
            if cutoff >= CONTEXT - 1 and not np.isnan(rows).all():
                chosen.append((n, cutoff))
    return chosen[:count]


@given(st.lists(st.integers(1, 90), min_size=1, max_size=5), st.integers(1, 120), st.integers(0, 60))
def test_the_newest_are_explained_then_a_horizon_earlier_each_round(lengths, count, gap):
    tables = [driven(length, seed)[:, 0] for seed, length in enumerate(lengths)]
    tables[0][20 : 20 + gap] = np.nan
    tables[0][-1] = 1.0
    panel = make_panel(tables)
    series, cutoffs, newest = choose(NUMBERS, panel, count)
    if count >= len(tables):
        assert list(zip(series.tolist(), cutoffs.tolist())) == naive_choice(NUMBERS, panel, count)
        assert len(newest) == len(tables)
    else:
        assert len(series) == count
        assert len(np.unique(series)) == count
    assert (cutoffs[newest] == panel.lengths[series[newest]] - 1).all()


def test_the_population_never_lies_wholly_in_a_gap():
    y = autoregression(300, 0)
    y[100:200] = np.nan
    panel = make_panel([y, autoregression(300, 1)])
    series, cutoffs = population_of(panel, CONTEXT, HORIZON)
    rows = panel.offsets[series][:, None] + cutoffs[:, None] + np.arange(1 - CONTEXT, 1)
    assert not np.isnan(panel.values[rows, 0]).all(1).any()
    assert len(series) > 100


def random_walk_forecaster() -> Forecaster:
    """A network whose forecast is the last observed value, the location of a window without a season."""
    walk = make_panel([np.random.default_rng(0).normal(size=200).cumsum()])
    forecaster = fit_forecaster(walk, replace(SMALL, network_only=True))
    unsmoothed(forecaster.network)
    with torch.no_grad():
        forecaster.network.members[0].decoder.direct.weight.zero_()
        forecaster.network.members[0].decoder.direct.bias[
            forecaster.config.median :: len(forecaster.config.quantile_levels)
        ] = 0.0
        if forecaster.network.members[0].linear is not None:
            forecaster.network.members[0].linear.weight.zero_()
            forecaster.network.members[0].linear.bias.zero_()
    return forecaster


@pytest.mark.parametrize("level", ["follow", "hold"])
def test_a_random_walk_forecast_is_lag_one_where_the_level_follows_and_nothing_where_it_is_held(level):
    forecaster = random_walk_forecaster()
    panel = make_panel([np.random.default_rng(1).normal(size=200).cumsum()])
    question = Question(level=level)
    source = forecaster.windows(panel)
    batch = source.cut(np.array([0]), np.array([180]))
    x = flatten(batch)
    r = ReferencePool(forecaster, panel, question, source).of(np.array([0]), np.array([180]), batch)[0].population(100)
    game, of = game_of(forecaster, batch, question), torch.zeros(len(r), dtype=torch.long)
    lag_one = torch.arange(CONTEXT) == CONTEXT - 1
    with torch.no_grad():
        forecast, base = game(x, of[:1]).sum(-1), game(r, of).sum(-1)
        without_lag_one = game(torch.where(lag_one, r, x), of).sum(-1)
        lag_one_alone = game(torch.where(lag_one, x, r), of).sum(-1)
    torch.testing.assert_close(forecast[0], x[0, -1].expand(HORIZON), rtol=0, atol=1e-4)
    if level == "follow":
        torch.testing.assert_close(base, r[:, -1:].expand(-1, HORIZON), rtol=0, atol=1e-4)
        torch.testing.assert_close(without_lag_one, base, rtol=0, atol=1e-4)
        assert (base - forecast).abs().mean() > 1
    else:
        torch.testing.assert_close(base, forecast.expand_as(base), rtol=0, atol=1e-4)
        torch.testing.assert_close(without_lag_one, forecast.expand_as(base), rtol=0, atol=1e-4)
    torch.testing.assert_close(lag_one_alone, forecast.expand_as(base), rtol=0, atol=1e-4)


@given(
    st.sampled_from(["series", "panel", "recent"]),
    st.sampled_from(["follow", "hold"]),
    st.integers(0, 100),
    st.integers(0, 9),
)
def test_what_comes_after_the_cutoff_changes_no_reference(reference, level, cutoff, seed):
    panel = make_panel([driven(104, n) for n in range(3)], past=("x",))
    later = panel.values.copy()
    later[panel.offsets[1] + cutoff + 1 : panel.offsets[2]] += np.random.default_rng(seed).normal() * 100
    cells = []
    for values in (panel.values, later):
        (one,) = found(SEASONAL, replace(panel, values=values), [1], [cutoff], reference=reference, level=level)
        cells.append((one.population(40), one.population(len(one))))
    for before, after in zip(*cells):
        torch.testing.assert_close(before, after, equal_nan=True, rtol=0, atol=0)
