"""The logarithm that bends into a line around zero."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from tsx.model import link

SIZES = st.floats(1e-6, 1e9)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


@given(SIZES, SIZES, st.sampled_from([-1, 1]))
def test_what_goes_behind_the_link_comes_back(y, s, sign):
    back = link.from_log(link.to_log(one(sign * y), one(s)), one(s))
    # where y is next to nothing beside s, what is left of it is the rounding of s
    torch.testing.assert_close(back, one(sign * y), rtol=1e-6, atol=1e-12 * s)


@given(SIZES, st.floats(-20, 20))
def test_the_stretch_is_the_derivative_of_the_way_back(s, z):
    at = one(z).requires_grad_()
    (slope,) = torch.autograd.grad(link.from_log(at, one(s)).sum(), at)
    torch.testing.assert_close(link.stretch(one(z), one(s)), slope)


@given(SIZES, st.floats(20, 1e6))
def test_well_above_its_bend_it_is_the_logarithm(s, times):
    found = link.to_log(one(times * s), one(s))
    assert abs(float(found) - math.log(times)) < 1 / times**2 + 1e-9


@given(SIZES)
def test_around_zero_it_is_a_line_and_negative_values_are_the_mirror_of_positive_ones(s):
    y = s * torch.tensor([-1e9, -1.0, -0.01, 0.0, 0.01, 1.0, 1e9], dtype=torch.float64)
    found = link.to_log(y, one(s))
    assert bool(torch.isfinite(found).all())
    torch.testing.assert_close(found, -found.flip(0))
    torch.testing.assert_close(found[4], torch.tensor(0.005, dtype=torch.float64), rtol=1e-4, atol=0)
    assert bool((found.diff() > 0).all())


def test_a_series_that_never_moved_bends_next_to_zero():
    torch.testing.assert_close(link.log_shift(torch.tensor([2.0, 0.0])), torch.tensor([0.2, 1e-6]))


def test_a_quantile_far_beyond_all_data_stays_finite():
    far = torch.tensor([-1e4, -100.0, 100.0, 1e4])
    assert torch.isfinite(link.from_log(far, torch.tensor(1e9))).all()
    assert torch.isfinite(link.stretch(far, torch.tensor(1e9))).all()
