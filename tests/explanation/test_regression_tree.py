"""Our tree and our smooth regression against those of scikit-learn, which is slow to import."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import SplineTransformer
from sklearn.tree import DecisionTreeRegressor

from tsx.explanation.regression_tree import RegressionTree
from tsx.explanation.splines import PENALTIES, CubicSplines, ridge_leaving_one_out


def table(seed: int, rows: int, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, inputs)).astype(np.float32).astype(np.float64)  # scikit-learn reads float32
    y = np.sin(2 * x[:, :1]) + (x[:, -1:] > 0.3) * x[:, :1] + 0.2 * random.normal(size=(rows, outputs))
    return x, y


@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(2, 120),
    inputs=st.integers(1, 6),
    outputs=st.integers(1, 3),
    depth=st.integers(0, 4),
    leaf=st.integers(1, 12),
)
def test_the_tree_is_the_one_that_scikit_learn_fits(seed, rows, inputs, outputs, depth, leaf):
    x, y = table(seed, rows, inputs, outputs)
    tree = RegressionTree.fit(x, y, depth=depth, smallest_leaf=leaf)
    if depth == 0:
        np.testing.assert_allclose(tree.predict(x), np.broadcast_to(y.mean(0), y.shape))
        return
    other = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=leaf, random_state=0).fit(x, y)
    assert tree.depth == other.get_depth()
    assert len(list(tree.splits())) == (other.tree_.children_left != other.tree_.children_right).sum()
    # two inputs may split the same rows in the same way: the rows that were fitted are in the same leaves all the same
    np.testing.assert_allclose(tree.predict(x), other.predict(x).reshape(y.shape), atol=1e-9)


def test_the_tree_splits_new_rows_as_scikit_learn_does():
    (x, y), (new, _) = table(1, 400, 8, 3), table(2, 300, 8, 3)
    tree = RegressionTree.fit(x, y, depth=3, smallest_leaf=12)
    other = DecisionTreeRegressor(max_depth=3, min_samples_leaf=12, random_state=0).fit(x, y)
    np.testing.assert_allclose(tree.predict(new), other.predict(new), atol=1e-9)
    assert {round(split.threshold, 5) for split in tree.splits()} == {
        round(each, 5) for each in other.tree_.threshold[other.tree_.feature >= 0].tolist()
    }


@pytest.mark.parametrize("values", [[1.0] * 20, [0.0] * 10 + [1.0] * 10])
def test_ties_are_never_split_apart(values):
    x, y = np.array(values)[:, None], np.arange(20.0)[:, None]
    tree = RegressionTree.fit(x, y, depth=3, smallest_leaf=1)
    assert [split.threshold for split in tree.splits()] == ([] if len(set(values)) == 1 else [0.5])


def test_smooth_functions_are_those_of_scikit_learn_within_the_knots_and_beyond():
    x = np.random.default_rng(0).normal(size=(50, 3))
    low, high = np.quantile(x, (0.1, 0.9), axis=0)
    ours = CubicSplines(low, high)
    theirs = SplineTransformer(
        degree=3, knots=np.linspace(low, high, 5), extrapolation="linear", include_bias=False
    ).fit(x)
    np.testing.assert_allclose(ours(x), theirs.transform(x), atol=1e-9)
    np.testing.assert_allclose(ours(5 * x), theirs.transform(5 * x), atol=1e-9)


@pytest.mark.parametrize("noise", [0.01, 3.0])
def test_the_ridge_regression_and_its_penalty_are_those_of_scikit_learn(noise):
    random = np.random.default_rng(1)
    x = random.normal(size=(60, 10)) + 2
    y = x @ random.normal(size=(10, 3)) + noise * random.normal(size=(60, 3)) + 5
    weights, intercept = ridge_leaving_one_out(x, y)
    other = RidgeCV(alphas=PENALTIES).fit(x, y)
    np.testing.assert_allclose(weights, other.coef_.T, atol=1e-8)
    np.testing.assert_allclose(intercept, other.intercept_, atol=1e-8)
