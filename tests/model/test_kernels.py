"""Fixed kernels: what they find, by a plain loop, and a regression on it, by scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from tests.model.test_sequence_classifier import CHANNELS
from tests.model.test_sequence_classifier import batch as some_series
from tsx.baselines.classes import fit_logistic
from tsx.model.classifier import ON_SUMMARIES, CombinedClassifier
from tsx.model.kernels import KernelLogistic
from tsx.model.sequences import SequenceBatch
from tsx.spec.classifier import ClassifierConfig

CONFIG = ClassifierConfig(24, ("no", "perhaps", "yes"), channels=CHANNELS, hidden_size=4, dilations=(1, 2))
LENGTHS = (24, 11, 1, 19)


def series() -> SequenceBatch:
    return some_series(LENGTHS, steps=24)


def laid_on(config: ClassifierConfig = CONFIG) -> KernelLogistic:
    kernels = KernelLogistic(config)
    kernels.scaler.fit(series())
    kernels.lay_on(series())
    return kernels


def by_loop(kernels: KernelLogistic, values: np.ndarray, length: int) -> np.ndarray:
    """(D C N Q): the shares of one series (T, C), step by step, of inputs rounded to 16 bits after the point."""
    location, scale = kernels.scaler.location.numpy(), kernels.scaler.scale.numpy()
    read = np.zeros((length, values.shape[1]))
    for channel in range(values.shape[1]):
        newest = 0.0
        for step in range(length):
            value = values[step, channel]
            if not np.isnan(value):
                scaled = float(np.clip((value - location[channel]) / scale[channel], -10, 10))
                newest = round(scaled * 65536) / 65536
            read[step, channel] = newest
    found = []
    for d, dilation in enumerate(CONFIG.dilations):
        for channel in range(values.shape[1]):
            for n, heavy in enumerate(combinations(range(9), 3)):
                sums = np.zeros(length)
                for step in range(length):
                    for k in range(9):
                        at = step + (k - 4) * dilation
                        if 0 <= at < length:
                            sums[step] += (2.0 if k in heavy else -1.0) * read[at, channel]
                thresholds = kernels.thresholds[d, channel, n].double().numpy()
                found += [float((sums > threshold).mean()) for threshold in thresholds]
    return np.array(found)


def test_shares_are_those_of_a_loop_over_steps_whatever_is_missing_and_however_long_a_series_is() -> None:
    kernels, some = laid_on(), series()
    shares = kernels.shares(some).numpy()
    expected = [by_loop(kernels, some.values[k].numpy(), length) for k, length in enumerate(LENGTHS)]
    assert shares == pytest.approx(np.stack(expected), abs=1e-6)


def test_thresholds_part_the_steps_of_training_series_evenly() -> None:
    long = some_series((200,) * 30, steps=200)
    kernels = KernelLogistic(replace(CONFIG, context_length=200))
    kernels.scaler.fit(long)
    kernels.lay_on(long)
    shares = kernels.shares(long).mean(0).sort().values.numpy()
    assert shares == pytest.approx(np.linspace(0.05, 0.95, len(shares)), abs=0.02)


def test_a_share_has_the_same_bits_whatever_stands_beside_it_and_after_its_end() -> None:
    kernels, some = laid_on(), series()
    whole = kernels.shares(some)
    alone = torch.cat([kernels.shares(some.take(torch.tensor([k]))) for k in range(len(some))])
    padded = replace(some, values=torch.cat([some.values, torch.full((len(some), 40, 2), torch.nan)], 1))
    assert torch.equal(whole, alone)
    assert torch.equal(whole, kernels.shares(padded))
    many = some.take(torch.arange(2000) % len(some))
    assert torch.equal(kernels.shares(many), whole[torch.arange(2000) % len(some)])


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    kernels = laid_on(replace(CONFIG, classes=("no", "perhaps", "yes")[:classes]))
    some = some_series((24,) * 60, steps=24, seed=3)
    codes = np.arange(60) % classes
    shares = kernels.shares(some).double().numpy()
    scaler = StandardScaler().fit(shares)
    model = LogisticRegression(C=0.03, max_iter=300).fit(scaler.transform(shares), codes)
    fitted = fit_logistic(shares, codes, classes, 0.03)
    for name in ("location", "scale", "coefficients", "intercept"):
        getattr(kernels, name).copy_(torch.from_numpy(getattr(fitted, name)))
    said = kernels.logits(some).softmax(-1).numpy()
    far = np.abs(scaler.transform(shares)).max(1) > 10  # cut off here
    assert (~far).sum() > 30
    assert said[~far] == pytest.approx(model.predict_proba(scaler.transform(shares))[~far], abs=1e-4)


def test_kernels_are_a_part_with_a_weight_of_their_own() -> None:
    torch.manual_seed(0)
    whole, some = CombinedClassifier(CONFIG).eval(), series()
    assert whole.kernels is not None
    whole.kernels.load_state_dict(laid_on().state_dict())
    whole.kernels.coefficients.normal_(std=0.1)
    whole.weights.copy_(torch.tensor([0.5, 0.0, 0.0, 0.7, 0.0]))
    parts = whole.parts(some)
    assert torch.allclose(parts[3], whole.kernels.logits(some).log_softmax(-1))
    assert torch.allclose(whole(some), (0.5 * parts[0] + 0.7 * parts[3]).log_softmax(-1), atol=1e-6)
    assert torch.equal(whole.of(some, ON_SUMMARIES), torch.zeros(len(some), 3))
    by_channel = whole.kernels.by_channel(some).sum(1) + whole.kernels.intercept
    assert torch.allclose(by_channel, whole.kernels.logits(some), atol=1e-4)


def test_many_channels_have_fewer_thresholds_each() -> None:
    assert CONFIG.thresholds == 4
    assert replace(CONFIG, dilations=(1, 2, 4, 8, 16, 32)).thresholds == 2
    assert replace(CONFIG, dilations=tuple(2**k for k in range(16))).thresholds == 1
