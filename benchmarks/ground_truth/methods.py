"""What is compared: `tsx` itself, and explainers that are handed the same fitted network as a function.

Each peer gets what a careful user would give it: references drawn from the training part of the data, its best
settings, and at least BUDGET evaluations of the network per explained window. A gradient costs about three evaluations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import process_time
from typing import Literal

import numpy as np
import polars as pl
import torch

import tsx
from benchmarks.ground_truth.fitting import WINDOWS, Problem
from benchmarks.ground_truth.scores import Attribution, calibration
from tsx.explanation.shap.choose_players import choose_players
from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.players import players_of
from tsx.explanation.shap.references import choose
from tsx.explanation.shap.shap_run import Task, shapley_values
from tsx.panel.reading import read_panel
from tsx.spec.settings import Question
from tsx.store.forecaster import load_forecaster

BUDGET = 8192
"""Evaluations of the network per explained window: the default of `tsx explain`."""
LONGER, LONG_WINDOWS = 4, 4
"""How many times as many evaluations the run has that `tsx` is held against, and how many windows it explains."""


def explain_tsx(problem: Problem) -> Attribution:
    """`tsx.explain` as it is by default, and its calibration against a longer run of another seed."""
    found = _explained(problem, "auto")
    facts = _calibration(problem, "cell") | {f"{k}_auto": figure for k, figure in _calibration(problem, "auto").items()}
    return replace(found, facts=found.facts | facts)


def explain_cells(problem: Problem) -> Attribution:
    """The same with every cell a player."""
    return _explained(problem, "cell")


def _explained(problem: Problem, players: Literal["auto", "cell"]) -> Attribution:
    asked = {"windows": WINDOWS, "device": "cpu", "seed": problem.seed, "players": players}
    began = process_time()
    explained = tsx.explain(problem.data, model=problem.model, **asked)
    worked = process_time() - began
    values, _, inputs = _matrices(problem, explained)
    made = explained.forecasts.filter(pl.col("step") == problem.process.step)["yhat"].to_numpy()
    if not np.allclose(made, problem.forecast.numbers(problem.windows), atol=1e-3 * np.std(made) + 1e-4):
        raise AssertionError("the peers' function does not compute the forecasts that tsx explains")
    evaluations = explained.method["evaluations"] + explained.method.get("evaluations_of_players", 0)
    facts = {
        "evaluations": evaluations / WINDOWS,
        "seconds": worked / WINDOWS,
        **_memory(explained),
    }
    return Attribution(problem.cells, values, inputs, reference="series", facts=facts)


def _calibration(problem: Problem, players: Literal["auto", "cell"]) -> dict[str, float]:
    """Of the newest windows: values and intervals against a run of the same players with four times the evaluations."""
    forecaster, _ = load_forecaster(problem.model, device="cpu")
    panel = read_panel(problem.data.lazy(), forecaster.schema).panel
    question = Question(windows=LONG_WINDOWS, players=players, seed=problem.seed)
    source = forecaster.windows(panel)
    series, cutoffs, _ = choose(forecaster, panel, question.windows)
    task = Task(forecaster, panel, question, players_of(forecaster.config, question), source)
    if players == "auto":
        task = replace(task, players=choose_players(task, series, cutoffs).players)
    batch = source.cut(series, cutoffs)
    references = task.references().of(series, cutoffs, batch)
    chunk = Chunk.of(forecaster, batch, references, task.players, question)
    longer = replace(question, max_evals=LONGER * BUDGET, tolerance=1e-6)
    runs = [
        shapley_values(chunk, asked, np.random.default_rng(problem.seed + more))
        for asked, more in ((question, 0), (longer, 10_000))
    ]
    step = problem.process.step - 1
    (values, errors), (true, rest) = (
        [np.stack([getattr(each, name)[:, step] for each in run]) for name in ("values", "errors")] for run in runs
    )
    return calibration(values, errors, true, rest) | {"relative_error": _relative(values - true, true)}


def _matrices(problem: Problem, explained: tsx.Explanation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """shap, shap_se and value (W, P) of the explained step, windows by id, cells in the problem's order."""
    rows = explained.lag_importance.filter(pl.col("step") == problem.process.step)
    ids = rows["id"].unique().sort()
    place = {cell: n for n, cell in enumerate(problem.cells)}
    at = rows["id"].replace_strict(ids, np.arange(len(ids)), return_dtype=pl.Int64).to_numpy()
    cell = np.array([place[key] for key in rows.select("feature", "lag").iter_rows()])
    found = np.full((3, len(ids), len(place)), np.nan)
    for n, name in enumerate(("shap", "shap_se", "value")):
        found[n, at, cell] = rows[name].to_numpy()
    return found[0], found[1], found[2]


def _memory(explained: tsx.Explanation) -> dict[str, float]:
    """What is said of memory: the median unit's span, and the lag of half and nine tenths of the written state."""
    units = explained.memory_units.filter(pl.col("layer") == pl.col("layer").max())
    facts = {"memory_span": float(units["memory_span"].median())}  # type: ignore[arg-type]
    shares = explained.method.get("path_shares", {})
    facts |= {"recurrent_share": float(shares["recurrent"])} if "recurrent" in shares else {}
    response = getattr(explained, "tables", {}).get("response")
    if response is not None:
        by_lag = response.filter(pl.col("lag") > 0).group_by("lag").agg(pl.col("share").sum()).sort("lag")
        reached = by_lag["share"].cum_sum() / by_lag["share"].sum()
        facts["response_lag_90"] = float(by_lag["lag"][int((reached < 0.9).sum())])
    return facts


def _relative(difference: np.ndarray, values: np.ndarray) -> float:
    return float(np.sqrt(np.square(difference).sum() / np.square(values).sum()))


def shap_permutation(problem: Problem) -> Attribution:
    import shap

    players = len(problem.cells)
    references = problem.references[:100]
    rounds = -(-BUDGET // (len(references) * (2 * players + 1)))
    masker = shap.maskers.Independent(references, max_samples=len(references))
    explainer = shap.PermutationExplainer(problem.forecast.numbers, masker, seed=problem.seed)
    found = explainer(problem.windows, max_evals=rounds * (2 * players + 1), silent=True)
    return Attribution(problem.cells, np.asarray(found.values), problem.windows)


def shap_kernel(problem: Problem) -> Attribution:
    """Without the regularisation that keeps ten features by default."""
    import shap

    references = problem.references[:32]
    coalitions = max(BUDGET // len(references), 6 * len(problem.cells))
    np.random.seed(problem.seed)  # noqa: NPY002 - the explainer draws from the global generator
    explainer = shap.KernelExplainer(problem.forecast.numbers, references)
    found = explainer.shap_values(problem.windows, nsamples=coalitions, l1_reg=0, silent=True)
    return Attribution(problem.cells, np.asarray(found).reshape(problem.windows.shape), problem.windows)


def shap_gradient(problem: Problem) -> Attribution:
    import shap

    windows, references = _filled(problem)
    explainer = shap.GradientExplainer(problem.forecast, references, batch_size=512)
    found = explainer.shap_values(windows, nsamples=-(-BUDGET // 3), rseed=problem.seed)
    return Attribution(problem.cells, np.asarray(found).reshape(problem.windows.shape), problem.windows)


def captum_sampling(problem: Problem) -> Attribution:
    """Against many references, one a row, because a single one would be a matter of luck; four permutations."""
    from captum.attr import ShapleyValueSampling

    permutations = 4
    count = -(-BUDGET // (permutations * (len(problem.cells) + 1)))

    def attribute(windows: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        method = ShapleyValueSampling(lambda cells: problem.forecast(cells)[:, 0])
        found: torch.Tensor = method.attribute(windows, baselines=references, n_samples=permutations)
        return found

    torch.manual_seed(problem.seed)
    with torch.inference_mode():
        return _over_references(problem, attribute, count)


def captum_gradients(problem: Problem) -> Attribution:
    """Integrated gradients from many references, averaged; 32 points on every path."""
    from captum.attr import IntegratedGradients

    points = 32
    count = -(-BUDGET // (3 * points))

    def attribute(windows: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        method = IntegratedGradients(lambda cells: problem.forecast(cells)[:, 0])
        found: torch.Tensor = method.attribute(windows, baselines=references, n_steps=points, internal_batch_size=1024)
        return found

    return _over_references(problem, attribute, count)


Attribute = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _over_references(problem: Problem, attribute: Attribute, count: int) -> Attribution:
    """The mean of `attribute` over the first `count` references, all windows against each."""
    windows, references = _filled(problem)
    long, against = windows.repeat_interleave(count, 0), references[:count].repeat(len(windows), 1)
    found = attribute(long, against).detach().unflatten(0, (len(windows), count)).mean(1)
    return Attribution(problem.cells, found.double().numpy(), problem.windows)


def _filled(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows and references as tensors; these explainers compute with missing values, so they get the cell's mean."""
    mean = np.nanmean(problem.references, 0)
    return tuple(  # type: ignore[return-value]
        torch.from_numpy(np.where(np.isnan(cells), mean, cells).astype(np.float32))
        for cells in (problem.windows, problem.references)
    )
