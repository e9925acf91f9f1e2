"""`tsx tune`: what it hands on, what it writes, and what it leaves alone."""

from __future__ import annotations

import builtins
import json
import sys
import tomllib
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsx.api
from tests.cli.shell import Run, Verb
from tsx.cli.settings_file import merged
from tsx.errors import ConfigError, Interrupted
from tsx.evaluation.search import Tuning, toml_value

BEST = {"context_length": 48, "learning_rate": 0.004, "cell": "gru"}
DEFAULTS = {"context_length": 32, "learning_rate": 0.002, "cell": "lstm"}
TRIALS = pl.DataFrame({"trial": [0, 1], "state": ["whole", "pruned"], "score": [1.0, None], "cell": ["lstm", "gru"]})


def tuning(best: dict[str, Any] = BEST, given: dict[str, Any] | None = None, **more: Any) -> Tuning:
    return Tuning(
        **{
            "best": best,
            "defaults": DEFAULTS,
            "metric": "mase",
            "score": 0.8,
            "default_score": 1.0,
            "gain": 0.2,
            "better_folds": 3,
            "folds": 3,
            "trials": TRIALS,
            "importance": {"cell": 0.75, "context_length": 0.25},
            "sentence": "It errs 20 % less.",
            "scored_on": "a rolling backtest; the newest rows were not used",
            "notes": ("1 trial was in the study already",),
            "given": given or {},
            "study": None,
            **more,
        }
    )


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Verb:
    made = Verb(tuning)
    monkeypatch.setattr(tsx.api, "tune", made)
    return made


def test_the_settings_file_is_what_fit_reads_next(run: Callable[..., Run], verb: Verb, verbs: dict[str, Verb]) -> None:
    verb.does = lambda: tuning(given={"horizon": 7, "target": ["sales"], "quantile_levels": (0.1, 0.5, 0.9)})
    done = run("tune", "a.csv", "--horizon", "7")
    assert done.status == 0
    assert done.err.splitlines() == ["wrote tsx.toml", "next: tsx fit a.csv"]
    assert verb.given["horizon"] == 7
    verbs["fit"].does = verbs["backtest"].does = lambda: (_ for _ in ()).throw(ConfigError("enough", "seen"))
    for name in ("fit", "backtest"):
        run(name, "a.csv")
        given = verbs[name].given
        assert {key: given[key] for key in BEST} == BEST
        assert (given["horizon"], given["target"], given["quantile_levels"]) == (7, ["sales"], [0.1, 0.5, 0.9])


def test_the_next_search_does_not_take_what_it_wrote_for_the_users_wish(run: Callable[..., Run], verb: Verb) -> None:
    run("tune", "a.csv")
    run("tune", "a.csv")
    assert not {"context_length", "learning_rate", "cell"} & set(verb.given)


def test_other_keys_and_comments_of_the_file_stay(run: Callable[..., Run], verb: Verb) -> None:
    Path("tsx.toml").write_text(
        '# ours\nhorizon = 7\nseed = 3  # lucky\n\n[fit] # nightly\nmax-time = "10m"\ncontext-length = 99\n\n'
        "[explain]\nwindows = 5\n",
        encoding="utf-8",
    )
    verb.does = lambda: tuning(given={"horizon": 7, "seed": 3})
    assert run("tune", "a.csv").status == 0
    text = Path("tsx.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text) == {
        "horizon": 7,
        "seed": 3,
        "fit": {"max-time": "10m", **BEST},
        "explain": {"windows": 5},
        "backtest": BEST,
    }
    assert [line for line in ("# ours", "seed = 3  # lucky", "[fit] # nightly") if line in text.splitlines()] != []
    run("tune", "a.csv")
    assert Path("tsx.toml").read_text(encoding="utf-8") == text


def test_keeping_the_defaults_takes_away_what_an_earlier_search_wrote(run: Callable[..., Run], verb: Verb) -> None:
    run("tune", "a.csv")
    verb.does = lambda: tuning({}, sentence="Keep the defaults.")
    shown = run("tune", "a.csv")
    assert "Keep the defaults." in shown.out
    assert tomllib.loads(Path("tsx.toml").read_text(encoding="utf-8")) == {"fit": {}, "backtest": {}}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("horizon = \n", "config-unreadable"),
        ("fit = {season = 7}\n", "config-unreadable"),
        ("fit.season = 7\n", "config-unreadable"),
    ],
)
def test_a_file_that_cannot_be_edited_is_refused_before_the_search_and_left_alone(
    run: Callable[..., Run], verb: Verb, text: str, code: str
) -> None:
    Path("other.toml").write_text(text, encoding="utf-8")
    failed = run("tune", "a.csv", "--out", "other.toml", "--json")
    assert (failed.status, failed.error["code"]) == (5, code)
    assert verb.given == {}
    assert Path("other.toml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("out", ["no-folder/tsx.toml", "."])
def test_a_place_that_cannot_be_written_is_said_before_the_search(
    run: Callable[..., Run], verb: Verb, out: str
) -> None:
    failed = run("tune", "a.csv", "--out", out, "--json")
    assert (failed.status, failed.error["code"]) == (74, "file-not-writable")
    assert verb.given == {}


def test_stdout_gets_the_settings_alone_or_one_document(run: Callable[..., Run], verb: Verb) -> None:
    assert tomllib.loads(run("tune", "a.csv", "--out", "-").out)["fit"] == BEST
    assert not Path("tsx.toml").exists()
    document = json.loads(run("tune", "a.csv", "--json", "--out", "night.toml").out)
    assert document["best"] == BEST
    assert (document["keep_defaults"], document["gain"], document["out"]) == (False, 0.2, "night.toml")
    assert document["trials"][1] == {"trial": 1, "state": "pruned", "score": None, "cell": "gru"}
    twice = run("tune", "a.csv", "--json", "--out", "-")
    assert (twice.status, twice.error["code"]) == (2, "stdout-twice")


def test_a_person_sees_each_choice_by_its_importance_and_the_verdict(run: Callable[..., Run], verb: Verb) -> None:
    shown = run("tune", "a.csv", "--study", "s.db", "--trials", "9", "--max-time", "2m", "--out", "b.toml")
    rows = [line.split()[:3] for line in shown.out.splitlines()[3:6]]
    assert rows == [["cell", "lstm", "gru"], ["context", "length", "32"], ["learning", "rate", "0.002"]]
    assert "It errs 20 % less." in shown.out
    assert "2 trials (1 whole, 1 pruned)" in shown.out
    assert shown.err.splitlines()[-1] == "next: tsx fit a.csv --config b.toml"
    assert [verb.given[name] for name in ("study", "trials", "max_time")] == ["s.db", 9, 120.0]
    verb.does = lambda: tuning(importance=None)
    assert "Too few trials to say which choices matter." in run("tune", "a.csv").out


def test_ctrl_c_is_status_130_and_writes_no_settings(run: Callable[..., Run], verb: Verb) -> None:
    def stop() -> None:
        raise Interrupted("interrupted", "interrupted after 3 trials; best so far: MASE 0.8", hint="go on")

    verb.does = stop
    failed = run("tune", "a.csv", "--json")
    assert (failed.status, failed.error["code"]) == (130, "interrupted")
    assert "best so far: MASE 0.8" in failed.error["message"]
    assert not Path("tsx.toml").exists()


def test_without_optuna_it_says_how_to_install_it_before_the_table_is_read(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "optuna", raising=False)
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "optuna":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    failed = run("tune", "no-such.csv", "--json")
    assert (failed.status, failed.error["code"], failed.error["where"]) == (3, "package-missing", "optuna")
    assert failed.error["hint"] == 'pip install "tsx-forecast[tune]"'


def test_tune_takes_every_flag_of_fit_that_is_not_about_the_model_it_writes() -> None:
    ours, fits = (set(signature(verb).parameters) for verb in (tsx.api.tune, tsx.api.fit))
    of_the_model = {"model", "keep", "wait", "if_better", "update", "freeze_scale"}
    of_private_models = {"private", "private_epsilon", "keep_categories"}
    assert fits - ours == of_the_model | of_private_models | {"threshold", "cost", "abstain"}
    assert ours - fits == {"trials", "study", "checkpoint"}


NAMES = ("context_length", "layers", "seed", "horizon")
TABLES = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9))


@given(
    TABLES,
    st.dictionaries(st.sampled_from(("fit", "explain", "inspect")), TABLES),
    TABLES,
    st.sets(st.sampled_from(NAMES)),
    st.booleans(),
)
def test_a_merged_file_differs_in_the_named_keys_only(
    shared: dict[str, int], tables: dict[str, dict[str, int]], values: dict[str, int], gone: set[str], hyphens: bool
) -> None:
    def key(name: str) -> str:
        return name.replace("_", "-") if hyphens else name

    lines = [f"{key(name)} = {value}" for name, value in shared.items()]
    for table, content in tables.items():
        lines += ["", f"[{table}]", *(f"{key(name)} = {value} # so" for name, value in content.items())]
    text = merged("\n".join(lines), "fit", {k: toml_value(v) for k, v in values.items()}, gone, Path("tsx.toml"))
    read = tomllib.loads(text)
    now = {**shared, **{name.replace("-", "_"): value for name, value in read.get("fit", {}).items()}}
    before = {name: value for name, value in tables.get("fit", {}).items() if name not in gone}
    assert now == {**shared, **before, **values}
    assert {name: content for name, content in read.items() if name != "fit"} == {
        **{key(name): value for name, value in shared.items()},
        **{table: {key(n): v for n, v in content.items()} for table, content in tables.items() if table != "fit"},
    }
