"""The model card: the manifest in words, for the person who finds the directory in two years.

It begins with the metadata of a Hugging Face model card, so that a model hub can list it with its figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsx.model.categories import has_parts, readable
from tsx.sanitize import REPLACEMENT, clean, escape, line
from tsx.spec.metrics import SHOWN_CLASS_METRICS, SHOWN_METRICS, class_figures
from tsx.store.annex_iv import technical_documentation
from tsx.store.datasheet import datasheet
from tsx.store.manifest import ClassifierManifest, ForecasterManifest, Manifest, TrainingData

MOST_LISTED = 100
"""Words of a column that are written out."""


def model_card(manifest: Manifest) -> str:
    """Markdown written from the manifest alone, so that both always say the same."""
    if isinstance(manifest, ClassifierManifest):
        return classifier_card(manifest)
    assert isinstance(manifest, ForecasterManifest)
    return _forecaster_card(manifest)


def classifier_card(manifest: ClassifierManifest) -> str:
    """As `model_card`."""
    schema, network, data, metrics = manifest.schema, manifest.network, manifest.data, manifest.metrics
    lines = [
        *_metadata(manifest, "tabular-classification", "held-out series", SHOWN_CLASS_METRICS),
        f"# {network.cell.upper()} classifier of {_code(schema.label)}",
        "",
        f"Written by tsx {manifest.versions['tsx']}. It gives each of {len(network.classes)} classes a probability, "
        f"from the newest {network.context_length} steps of `{manifest.frequency}` of a series.",
        "",
        "## Data",
        "",
        f"- {data.size}; columns: time {_code(schema.time)}, "
        f"label {_code(schema.label)}, id {', '.join(map(_code, schema.ids))}",
    ]
    for role, words in (("past", "read over time"), ("past_words", "words over time"), ("static", "static")):
        if columns := getattr(schema, role):
            lines.append(f"- {words}: {', '.join(map(_code, columns))}")
    lines += _source(data)
    lines += ["", "## How good it is", ""]
    if metrics.summary and metrics.verdict:
        lines += [
            f"| model | {' | '.join(SHOWN_CLASS_METRICS.values())} |",
            "|---" * (len(SHOWN_CLASS_METRICS) + 1) + "|",
            *(
                f"| {row['model']} | "
                + " | ".join("-" if row.get(name) is None else f"{row[name]:.4g}" for name in SHOWN_CLASS_METRICS)
                + " |"
                for row in metrics.summary
            ),
            "",
            line(metrics.verdict.sentence),
            "",
            f"| figures of {metrics.summary[0]['model']} | value | 95 % interval |",
            "|---|---|---|",
            *(f"| {' | '.join(map(escape, each))} |" for each in class_figures(metrics.summary[0])),
        ]
    lines += ["", "The names of the classes are stored in the manifest as they are."]
    return "\n".join([*lines, *_decided(manifest)])


def _forecaster_card(manifest: ForecasterManifest) -> str:
    schema, network, data = manifest.schema, manifest.network, manifest.data
    lines = [
        *_metadata(
            manifest,
            "time-series-forecasting",
            "held-out newest rows",
            {**SHOWN_METRICS, "coverage_80": "coverage of the 80 % interval"},
        ),
        f"# {network.cell.upper()} forecaster of {_code(schema.target)}",
        "",
        f"Written by tsx {manifest.versions['tsx']}. It forecasts {network.horizon} steps of "
        f"`{manifest.frequency}` from the last {network.context_length}, with quantiles "
        f"{', '.join(f'{q:g}' for q in network.quantile_levels)}; the point forecast `yhat` is the "
        f"{manifest.point_forecast}.",
        "",
        "## Data",
        "",
        f"- {data.size}; columns: time {_code(schema.time)}, "
        f"target {_code(schema.target)}" + (f", id {', '.join(map(_code, schema.ids))}" if schema.ids else ""),
    ]
    for role in ("past", "future", "static"):
        if columns := getattr(schema, role):
            lines.append(f"- {role} covariates: {', '.join(map(_code, columns))}")
    if schema.computed:
        lines.append(f"- computed from the time: {', '.join(map(_code, schema.computed))}")
    lines += _source(data)
    lines += ["", "## How good it is", ""]
    metrics = manifest.metrics
    if metrics.summary and metrics.verdict:
        lines += [
            f"| model | {' | '.join(SHOWN_METRICS.values())} | coverage 80 % |",
            "|---" * (len(SHOWN_METRICS) + 2) + "|",
            *(_metrics_row(row) for row in metrics.summary),
            "",
            line(metrics.verdict.sentence),
        ]
    else:
        lines.append(metrics.reason or "Not evaluated.")
    return "\n".join([*lines, *_decided(manifest)])


def _source(data: TrainingData) -> list[str]:
    """Which file this was; what was noticed in it stands in the datasheet."""
    return [] if data.sha256 is None else [f"- {data.bytes:,} bytes, sha256 `{data.sha256}`"]


def _decided(manifest: Manifest) -> list[str]:
    lines = ["", "## What was decided, and why", "", "| choice | value | reason |", "|---|---|---|"]
    lines += [f"| {each.name} | {_cell(each.value)} | {escape(each.reason)} |" for each in manifest.decisions]
    training = manifest.history
    lines += [
        "",
        f"Training took {training.steps} steps ({training.stopped}); the weights are an average over the last of "
        f"them. Seed {manifest.training.seed}.",
        "",
        *_categories(manifest),
        "",
        "## Datasheet of the training table",
        *datasheet(manifest),
        "",
        "## Technical documentation (Annex IV of Regulation (EU) 2024/1689)",
        "",
        "What the program knows stands here; it fulfils no duty by itself.",
        *technical_documentation(manifest),
        "",
    ]
    return lines


def _metadata(manifest: Manifest, task: str, held_out: str, shown: Mapping[str, str]) -> list[str]:
    """The header in YAML, with the metrics on what was held out as a `model-index`.

    `task` as model hubs call it; `shown`: the metrics with their headings. No name of the user's stands in it.
    """
    cell = manifest.network.cell
    lines = ["---", "library_name: tsx", f"pipeline_tag: {task}", f"tags: [time-series, {cell}]"]
    row = manifest.metrics.summary[0] if manifest.metrics.summary else {}
    measured = {name: value for name in shown if isinstance(value := row.get(name), float)}
    if measured:
        lines += [
            "model-index:",
            f"- name: {cell}",
            "  results:",
            f"  - task: {{type: {task}}}",
            f"    dataset: {{type: tabular, name: {held_out} of the training table}}",
            "    metrics:",
            *(
                f'    - {{type: {name}, name: "{shown[name]}", value: {value:.4g}, verified: false}}'
                for name, value in measured.items()
            ),
        ]
    return [*lines, "---", ""]


def _categories(manifest: Manifest) -> list[str]:
    """What of the table can be read in the model."""
    words = {
        name: [word for entry in known if (word := readable(entry))] for name, known in manifest.vocabulary.items()
    }
    return [
        "No row of the training data and no id is stored here. What can be read are names of columns"
        + (", and the categories that at least 11 series share:" if any(words.values()) else "."),
        *(f"- {_code(name)}: {_listed(known)}" for name, known in words.items() if known),
        *(
            f"- {_code(name)}: parts of words that at least 11 series share, listed in `manifest.json`"
            for name, known in manifest.vocabulary.items()
            if has_parts(known)
        ),
    ]


def _listed(words: list[str]) -> str:
    """All words of a column; of many the number alone, since they stand in the manifest too."""
    if len(words) > MOST_LISTED:
        return f"{len(words):,} words, listed in `manifest.json` under `vocabulary`"
    return ", ".join(map(_code, sorted(words)))


def _code(name: Any) -> str:
    """A name or path as code: no mark of its own ends the span."""
    return f"`{clean(name).replace('`', REPLACEMENT)}`"


def _cell(value: Any) -> str:
    """A decision's value in a table cell."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, Mapping):
        value = [f"{name} {part}" for name, part in value.items()]
    return escape(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _metrics_row(row: Mapping[str, Any]) -> str:
    columns = [row.get(name) for name in (*SHOWN_METRICS, "coverage_80")]
    return f"| {row['model']} | " + " | ".join("-" if v is None else f"{v:.4g}" for v in columns) + " |"
