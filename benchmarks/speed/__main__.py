"""Run: python -m benchmarks.speed [--only ROW,...] [--data FOLDER] [--rounds N]"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.speed import forecasting, memory, reading, starting, training
from benchmarks.speed.rows import Asked, Figure, parser_of, print_figures

ROWS: dict[str, Callable[[Asked], Figure]] = {
    "step": training.step,
    "segments": training.segments,
    "longer": training.longer,
    "fit": training.fit,
    "forecast": forecasting.forecast,
    "reading": reading.reading,
    "small": starting.small,
    "help": starting.help,
    "inspect": starting.inspect,
    "html": starting.html,
    "memory": memory.memory,
    "forecast-memory": forecasting.forecast_memory,
}


def main() -> None:
    parser = parser_of("benchmarks.speed", __doc__, ROWS)
    parser.add_argument("--data", type=Path, help="folder of the public data sets, for the row `fit`")
    given = parser.parse_args()
    asked = Asked(given.rounds, given.data)
    print_figures(ROWS[name](asked) for name in given.only.split(","))


if __name__ == "__main__":
    main()
