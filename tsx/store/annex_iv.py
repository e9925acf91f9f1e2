"""The technical documentation of Annex IV of Regulation (EU) 2024/1689 (the AI Act), as far as a manifest knows it.

One heading for each of its points, in its order. What the program cannot know stands as a question to the owner.
"""

from __future__ import annotations

from dataclasses import dataclass

from tsx.sanitize import line
from tsx.store.manifest import ClassifierManifest, ForecasterManifest, Manifest


@dataclass(frozen=True)
class Point:
    """One point of the annex: its number, its subject, what is known and what the owner is asked."""

    number: str
    subject: str
    known: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What differs between a forecaster and a classifier."""

    purpose: str
    command: str
    method: str
    trained_before: str
    optimised: str
    held_out: str
    metrics: str


NOTHING_BEFORE = "No part of it was trained before."
PRETRAINED = (
    "Half of each forecast is that of a second recurrent network, which comes with tsx, was trained before, on "
    "synthetic series alone, and is stored with the model as it came."
)


def technical_documentation(manifest: Manifest) -> list[str]:
    """Lines of Markdown."""
    lines = []
    for point in _points(manifest):
        lines += ["", f"### {point.number} {point.subject}", "", *point.known]
        lines += ["", *(f"- Question to the owner: {question}" for question in point.asked)] if point.asked else []
    return lines


def _task(manifest: Manifest) -> Task:
    if isinstance(manifest, ClassifierManifest):
        return Task(
            f"It gives each of {len(manifest.network.classes)} classes a probability, one set for each series.",
            "classify",
            "A recurrent network",
            NOTHING_BEFORE,
            "Probabilities of the classes, by the least log loss.",
            "On held-out series, beside simple classifiers",
            "AUROC and AUPRC judge the order of the probabilities, log loss and calibration error their size.",
        )
    assert isinstance(manifest, ForecasterManifest)
    network = manifest.network
    return Task(
        f"It forecasts {network.horizon} steps of `{manifest.frequency}` ahead.",
        "forecast",
        "A recurrent network added to an exponential smoothing",
        PRETRAINED if network.pretrained else NOTHING_BEFORE,
        f"Quantiles {', '.join(f'{q:g}' for q in network.quantile_levels)} of each step, by the least sum of their "
        f"quantile losses; `yhat` is the {manifest.point_forecast}.",
        "On held-out newest rows, beside simple forecasts",
        "MASE and the scaled CRPS compare with a forecast that anyone can make, whatever the units; coverage says "
        "whether intervals hold what they promise.",
    )


def _points(manifest: Manifest) -> tuple[Point, ...]:
    task = _task(manifest)
    network, training, data, versions = manifest.network, manifest.training, manifest.data, manifest.versions
    metrics = manifest.metrics
    judged = line(metrics.verdict.sentence) if metrics.verdict else metrics.reason or "It was not evaluated."
    software = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    network_size = f"{network.layers} layer{'s' * (network.layers > 1)} of {network.hidden_size} units"
    steps = "" if data.steps is None else f" in {data.steps:,} steps"
    members = f", {training.members} networks that are averaged" if training.members > 1 else ""
    return (
        Point(
            "1(a)",
            "Intended purpose, provider, version",
            (task.purpose,),
            ("What is it for, who provides it, and what is the version of the system around it?",),
        ),
        Point(
            "1(b)",
            "Interaction with other hardware and software",
            (f"It reads a table and writes a table, with `tsx {task.command}`; it acts on nothing by itself.",),
            ("Which systems deliver its input and use its output?",),
        ),
        Point("1(c)", "Versions of software and how they are updated", (f"Written by {software}.",)),
        Point("1(d)", "Forms in which it is placed on the market", (), ("In which form do others get it?",)),
        Point(
            "1(e)",
            "Hardware it is to run on",
            (f"It was trained on `{training.device}`, and runs on any computer that has the software above.",),
        ),
        Point("1(f)", "Where it is part of a product", (), ("Is it? If so, add pictures, markings and the layout.",)),
        Point(
            "1(g)",
            "User interface",
            ("A command line (`tsx --help`) and Python functions (`help(tsx)`).",),
            ("What do those see who use its results?",),
        ),
        Point(
            "1(h)",
            "Instructions for use",
            ("The documentation of tsx of the version above, with its guidelines.",),
            ("What are those who use the results told about them?",),
        ),
        Point(
            "2(a)",
            "Methods and steps of development",
            (
                f"{task.method}, trained from random weights. {task.trained_before} What was chosen for this table "
                "stands above, with the reasons.",
            ),
        ),
        Point(
            "2(b)",
            "Design: logic, choices, what is optimised",
            (f"{task.optimised} Choices and reasons: see above.",),
            ("For whom is it made, and what was given up for what (such as accuracy for speed)?",),
        ),
        Point(
            "2(c)",
            "Architecture and computing resources",
            (
                f"{network.cell.upper()}, {network_size}, {network.context_length} steps of context{members}; "
                f"{manifest.history.steps} training steps of {training.batch_size} windows.",
            ),
        ),
        Point("2(d)", "Data", ("See the datasheet of the training table.",)),
        Point(
            "2(e)",
            "Human oversight",
            (
                "`tsx explain` says what a result rests on and whether that explanation may be believed; "
                f"`tsx {task.command}` reports what differs from the training table.",
            ),
            ("Who looks at these, when, and what may they decide (Article 14)?",),
        ),
        Point(
            "2(f)",
            "Changes planned beforehand",
            (),
            ("Is it updated (`tsx fit --update`) or fitted anew, how often, and who approves the new version?",),
        ),
        Point(
            "2(g)",
            "Validation and testing",
            (f"{task.held_out}: {judged} Figures: see the table above.",),
            (
                "Which groups of persons are in the data, and how accurate is it for each (`tsx backtest`, by group)?",
                "Who signed the test reports, and when?",
            ),
        ),
        Point(
            "2(h)",
            "Cybersecurity",
            (
                "The model holds no code (safetensors and JSON); every file is known by its SHA-256, and one that was "
                "changed is refused.",
            ),
            ("Who may write to the model directory and to the table?",),
        ),
        Point(
            "3",
            "Capabilities, limits, and foreseeable unintended outcomes",
            (
                f"{judged} It knows only what {data.series:,} series did{steps}, and nothing that "
                "never happened there. It says nothing about what an intervention would do.",
            ),
            ("What happens to persons if a result is wrong, and what input must not be given to it?",),
        ),
        Point(
            "4",
            "Why these metrics",
            (task.metrics,),
            ("Are these what matters in use? If errors cost more in one direction, say so.",),
        ),
        Point("5", "Risk management", (), ("Which risks were found, and what was done about each (Article 9)?",)),
        Point(
            "6",
            "Changes through the lifecycle",
            ("`tsx models` lists the versions, `tsx models diff` says what differs.",),
        ),
        Point("7", "Standards applied", (), ("Which harmonised standards, or which other ones?",)),
        Point("8", "EU declaration of conformity", (), ("Where is its copy?",)),
        Point(
            "9",
            "Monitoring after it is placed on the market",
            ("Every run reports drift, missing values and series that are new.",),
            ("Who receives this, and what is the plan (Article 72)?",),
        ),
    )
