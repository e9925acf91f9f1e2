"""Private training: what is added to what, how often, and what that costs."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from tsx.errors import DataError
from tsx.model.batch import Batch
from tsx.model.forecaster import windows_of
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.channels import Channels
from tsx.spec.encoders import ENCODERS
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.spec.settings import Reading, Roles
from tsx.training.plan import all_cutoffs
from tsx.training.privacy_loss import ORDERS, epsilons, least_noise, sampled_gaussian
from tsx.training.private import (
    SeriesSums,
    clipped,
    excess_coverage,
    least_with_noise,
    network_gradients,
    smoothing_gradients,
    train_privately,
    widen,
)
from tsx.training.private_plan import (
    CLIP_NORM,
    MOST_NOISE,
    PrivateRun,
    noisy_count,
    normal,
    plan_run,
    promise,
    system_uniform,
)
from tsx.workflows.open_table import open_table

HORIZON, CONTEXT = 3, 12
RUN = PrivateRun(steps=4, rate=0.5, expected=10.0, noise=1.0, loudness=0.1, learning_rate=1e-3)
APART = [name for name, encoder in ENCODERS.items() if encoder.gradients_apart]


def table(seed: int, series: int = 20, gaps: bool = True) -> pl.DataFrame:
    """Walks of 20 to 40 days with a covariate, of which some values are missing."""
    random = np.random.default_rng(seed)
    parts = []
    for n in range(series):
        rows = 20 + n % 21
        y = random.normal(size=rows).cumsum() * 10 ** random.uniform(-2, 4)
        y[random.random(rows) < (0.1 if gaps else 0)] = np.nan
        parts.append({"unique_id": [f"s{n:02}"] * rows, "ds": range(rows), "y": y, "x": random.normal(size=rows)})
    return pl.concat(map(pl.DataFrame, parts)).with_columns(pl.col("y").fill_nan(None))


def read(frame: pl.DataFrame) -> Panel:
    return open_table(
        frame, Roles(id=("unique_id",), time=("ds",), target=("y",), past=("x",)), Reading(), None, SILENT
    ).panel


class Fixture:
    """A small network and the windows of a table."""

    def __init__(self, frame: pl.DataFrame, cell: str = "lstm") -> None:
        self.panel = read(frame)
        config = NetworkConfig(HORIZON, CONTEXT, 3, 4, Channels.of(self.panel.schema), cell=cell, hidden_size=4)
        torch.manual_seed(0)
        self.network = Network(config)
        self.network.scaler.relative.fill_(True)
        self.windows = windows_of(self.panel, config, np.zeros(1), "cpu")
        self.learn = all_cutoffs(self.panel, config)


def sums_of(made: Fixture, run: PrivateRun, seed: int = 0) -> SeriesSums:
    return SeriesSums(made.windows, made.learn, run, np.random.default_rng(seed).random)


@pytest.mark.parametrize(("rate", "noise"), [(0.1, 1.0), (0.3, 2.0), (0.9, 4.0)])
def test_the_divergence_of_sampled_noise_is_its_integral(rate: float, noise: float) -> None:
    """Of one sum with and without a unit, by numerical integration; a unit added or removed, whichever is more."""
    found = dict(zip(ORDERS.tolist(), sampled_gaussian(rate, noise)))
    for order in (2, 5, 16):
        plain = stats.norm(0, noise).logpdf

        def mixed(x: float, plain=plain) -> float:
            return float(np.logaddexp(math.log(rate) + plain(x - 1), math.log(1 - rate) + plain(x)))

        def divergence(p, q, order=order) -> float:
            whole, _ = integrate.quad(lambda x: math.exp(order * p(x) + (1 - order) * q(x)), -40, 60, limit=500)
            return math.log(whole) / (order - 1)

        assert found[order] == pytest.approx(divergence(mixed, plain), rel=1e-4)
        assert divergence(plain, mixed) <= found[order] + 1e-9


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "delta", "renyi", "exact"),
    [
        (0.01, 1.1, 1000, 1e-5, 1.71177, 1.51537),
        (0.2, 2.0, 400, 1e-6, 13.04699, 12.19237),
        (0.004, 0.8, 10000, 1e-6, 4.46000, 4.02848),
        (0.5, 5.0, 200, 1e-6, 7.98994, 7.44081),
        (1.0, 10.0, 100, 1e-6, 5.22154, 4.88655),
    ],
)
def test_epsilon_is_that_of_dp_accounting(
    rate: float, noise: float, steps: int, delta: float, renyi: float, exact: float
) -> None:
    """dp-accounting 0.6.0: its Renyi accountant also looks at fractional orders; that of privacy losses is exact."""
    found = epsilons(steps * sampled_gaussian(rate, noise), delta).min()
    assert renyi <= found * (1 + 1e-5)
    assert found <= 1.02 * renyi
    assert exact < found


def test_the_least_noise_keeps_to_epsilon_and_a_little_less_does_not() -> None:
    def spent(noise: float) -> np.ndarray:
        return 50 * sampled_gaussian(0.3, noise)

    noise = least_noise(3.0, 1e-6, spent)
    assert epsilons(spent(noise), 1e-6).min() <= 3.0 < epsilons(spent(0.998 * noise), 1e-6).min()


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
def test_all_that_is_released_together_is_within_epsilon(epsilon: float) -> None:
    """From the stored promise alone: what each release costs, added up anew."""
    run = plan_run(epsilon, 20_000, 1000, TrainingConfig(max_steps=100, batch_size=256))
    stored = promise(epsilon, run)
    count, *others = stored.releases
    spent = sum(each.times * sampled_gaussian(each.rate, each.noise) for each in others)
    together = 1 / count.noise + epsilons(spent, stored.delta).min()  # of Laplace noise, and of the others
    assert 0.98 * epsilon < together <= epsilon
    assert sum(each.share for each in stored.releases) == pytest.approx(1, abs=0.002)


def test_too_few_series_are_refused_with_figures_that_would_do() -> None:
    training = TrainingConfig(max_steps=200, batch_size=256)
    with pytest.raises(DataError) as refused:
        plan_run(1.0, 500, 5000, training)
    weaker, more = refused.value.hint.split("--private-epsilon ")[1].split(", which promises less, or bring about ")
    assert plan_run(float(weaker) * 1.05, 500, 5000, training).loudness <= MOST_NOISE
    enough = float(more.split()[0].replace(",", ""))
    assert plan_run(1.0, round(1.05 * enough), 5000, training).loudness <= MOST_NOISE
    with pytest.raises(DataError):
        plan_run(1.0, round(0.9 * enough), 5000, training)


def test_each_series_takes_part_with_its_probability_by_itself_and_with_one_of_its_windows() -> None:
    made = Fixture(table(1))
    draws, series = 4000, len(made.panel)
    sums = sums_of(made, replace(RUN, rate=0.3))
    taken, windows = np.zeros((draws, series)), np.zeros(len(made.learn))
    for n in range(draws):
        numbers = sums.drawn()
        which, _ = made.learn.pick(numbers)
        assert len(set(which.tolist())) == len(which)
        taken[n, which] = 1
        windows[numbers] += 1
    assert np.abs(taken.mean(0) - 0.3).max() < 4.5 * math.sqrt(0.21 / draws)
    assert taken.sum(1).var() == pytest.approx(0.21 * series, rel=0.1)  # of independent draws
    which, _ = made.learn.pick(np.arange(len(made.learn)))
    for n in range(series):
        own = windows[which == n]
        assert stats.chisquare(own).pvalue > 1e-4


@pytest.mark.parametrize("cell", APART)
def test_gradients_of_single_windows_are_those_of_autograd(cell: str) -> None:
    made = Fixture(table(2), cell)
    batch = made.windows.cut(*made.learn.spread(12))
    parameters = list(made.network.parameters())
    together = network_gradients(made.network)(batch)
    for n in range(len(batch)):
        quantiles, target = made.network.scaled(batch.take(np.array([n])))
        alone = torch.autograd.grad(pinball(quantiles, target, made.network.head.levels), parameters, allow_unused=True)
        flat = torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(parameters, alone)])
        torch.testing.assert_close(together[n], flat, rtol=1e-4, atol=1e-6)


def test_gradients_of_the_smoothing_are_those_of_finite_differences() -> None:
    made = Fixture(table(3))
    smoothing = made.network.double().additive.smoothing
    batch = made.windows.cut(*made.learn.spread(6))
    tensors = (getattr(batch, one.name) for one in fields(Batch))
    batch = Batch(*(each.double() if each.is_floating_point() else each for each in tensors))
    found = smoothing_gradients(made.network)(batch)

    def errors() -> torch.Tensor:
        encoded = made.network.encode(batch)
        target = made.network.scaled_target(batch, encoded)
        season, line = smoothing(encoded.lags[..., 0], encoded.observed[..., 0])
        return (season + line - target.clamp(-20, 20)).abs().nanmean(1)

    for k in range(14):
        tensor, place = (smoothing.weights, k) if k < 7 else (smoothing.leaning, k - 7)
        changed = []
        for step in (1e-6, -2e-6):
            tensor[place] += step
            changed.append(errors())
        tensor[place] += 1e-6
        torch.testing.assert_close(found[:, k], (changed[0] - changed[1]) / 2e-6, rtol=1e-3, atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-30, 1.0, 1e30, np.inf, np.nan]), st.floats(1e-3, 10))
def test_no_row_is_longer_than_the_clipping_norm_whatever_it_holds(seed: int, size: float, most: float) -> None:
    rows = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed))
    rows[2] *= size
    kept = clipped(rows, most)
    assert torch.isfinite(kept).all()
    assert (kept.double().norm(dim=1) <= most * (1 + 1e-6)).all()
    short = rows.norm(dim=1) <= most
    torch.testing.assert_close(kept[short], rows[short])


@pytest.mark.parametrize("extreme", [0.0, 1e30, -1e-30, np.nan, None])
def test_a_series_changes_a_sum_by_no_more_than_the_clipping_norm(extreme: float | None) -> None:
    """Whatever its values are, or whether it is there at all: brute force over every series, without noise."""
    made = Fixture(table(4))
    everyone = replace(RUN, rate=1.0, expected=1.0)
    for of in (network_gradients, smoothing_gradients):
        gradients = of(made.network)
        size = gradients(made.windows.cut(*made.learn.spread(1))).shape[1]
        whole = sums_of(made, everyone).mean(gradients, size, noise=0.0)
        for n in range(0, len(made.panel), 3):
            sums = sums_of(made, everyone)
            if extreme is None:
                sums.count[n] = 0
            else:
                values = made.panel.values.copy()
                values[made.panel.offsets[n] : made.panel.offsets[n + 1], 0] = extreme
                values[made.panel.offsets[n + 1] - 2, 0] = 1.0
                sums.windows = windows_of(replace(made.panel, values=values), made.network.config, np.zeros(1), "cpu")
            changed = sums.mean(gradients, size, noise=0.0)
            most = CLIP_NORM if extreme is None else 2 * CLIP_NORM  # taken out, and another put in its place
            assert float((changed - whole).norm()) <= most * (1 + 1e-4)


def test_the_noise_on_a_sum_is_normal_and_as_large_as_it_is_said_to_be() -> None:
    made = Fixture(table(5))
    sums = sums_of(made, replace(RUN, expected=8.0), seed=3)
    size, noise = 20_000, 2.5
    mean = sums.mean(lambda batch: torch.zeros(len(batch), size), size, noise)
    assert stats.kstest(mean.numpy() * 8.0, stats.norm(0, noise * CLIP_NORM).cdf).pvalue > 1e-3
    again = sums.mean(lambda batch: torch.zeros(len(batch), size), size, noise)
    assert abs(np.corrcoef(mean, again)[0, 1]) < 0.03


def test_every_step_of_a_training_has_noise_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Fixture(table(6))
    seen: list[tuple[int, float]] = []
    plain = SeriesSums.mean

    def watched(self: SeriesSums, gradients, size: int, noise: float) -> torch.Tensor:
        seen.append((size, noise))
        return plain(self, gradients, size, noise)

    monkeypatch.setattr(SeriesSums, "mean", watched)
    train_privately(made.network, made.windows, made.learn, RUN, np.random.default_rng(0).random)
    stored = {each.what: each for each in promise(8.0, RUN).releases}
    smoothing, network = stored["the gradients of the smoothing"], stored["the gradients of the network"]
    parameters = sum(parameter.numel() for parameter in made.network.parameters())
    assert seen == [(14, smoothing.noise)] * smoothing.times + [(parameters, network.noise)] * network.times


def test_normal_numbers_are_normal_and_those_of_the_system_do_not_repeat() -> None:
    drawn = normal(20_000, system_uniform)
    assert stats.kstest(drawn, stats.norm.cdf).pvalue > 1e-6
    assert not np.intersect1d(system_uniform(1000), system_uniform(1000)).size
    random = np.random.default_rng(0)
    counts = np.array([noisy_count(500, 8.0, random.random) for _ in range(4000)])
    assert stats.kstest(counts + random.random(4000) - 0.5, stats.laplace(500, 5.0).cdf).pvalue > 1e-3


def test_the_width_is_chosen_with_the_probabilities_of_the_exponential_mechanism() -> None:
    distances, noise, random = np.array([0.0, 1.0, 3.0, 8.0]), 2.0, np.random.default_rng(0)
    chosen = np.bincount([least_with_noise(distances, noise, random.random) for _ in range(20_000)], minlength=4)
    wanted = np.exp(-distances / noise)
    assert stats.chisquare(chosen, 20_000 * wanted / wanted.sum()).pvalue > 1e-3


@given(st.integers(0, 2**32 - 1))
def test_the_excess_of_coverage_is_a_count_and_within_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    quantiles = np.sort(random.normal(size=(6, 4, 5)), -1)
    target = np.where(random.random((6, 4)) < 0.3, np.nan, random.normal(size=(6, 4)))
    found = excess_coverage(levels, quantiles, target)
    for n in range(6):
        shares = []
        for low, high, nominal in ((0, 4, 0.9), (1, 3, 0.5)):
            known = [h for h in range(4) if not np.isnan(target[n, h])]
            inside = sum(quantiles[n, h, low] <= target[n, h] <= quantiles[n, h, high] for h in known)
            shares.append(inside / len(known) - nominal if known else 0.0)
        assert found[n] == pytest.approx(np.mean(shares))
        assert abs(found[n]) < 1


def test_intervals_that_are_much_too_narrow_are_widened() -> None:
    made = Fixture(table(7, series=200, gaps=False))
    made.network.head.spread_factors.fill_(0.1)
    factor = widen(made.network, made.windows, made.learn, 8.0, np.random.default_rng(0).random)
    assert factor >= 2
    assert torch.allclose(made.network.head.spread_factors, torch.tensor(0.1 * factor))


def test_the_same_random_numbers_make_the_same_bits_and_others_do_not() -> None:
    states = []
    for seed in (0, 0, 1):
        made = Fixture(table(8))
        train_privately(made.network, made.windows, made.learn, RUN, np.random.default_rng(seed).random)
        states.append(torch.cat([value.flatten().double() for value in made.network.state_dict().values()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
