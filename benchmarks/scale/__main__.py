"""Run: python -m benchmarks.scale [--only ROW,...] [--rounds N] [--rows N] [--series N] [--explained N]"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.scale import in_parts, large_panel, object_store, processes
from benchmarks.scale.rows import Asked
from benchmarks.speed.rows import Figure, parser_of, print_figures

ROWS: dict[str, Callable[[Asked], Figure]] = {
    "in-parts": in_parts.in_parts,
    "ray": in_parts.on_ray,
    "shards": in_parts.shards,
    "explain": in_parts.explained,
    "fit": in_parts.fitted,
    "large-panel": large_panel.large_panel,
    "two-ranks": processes.two_ranks,
    "object-store": object_store.object_store,
}


def main() -> None:
    parser = parser_of("benchmarks.scale", __doc__, ROWS)
    parser.add_argument("--rows", type=int, default=100_000_000, help="of the table of the row `large-panel`")
    parser.add_argument("--series", type=int, default=1_000_000, help="that are forecast")
    parser.add_argument("--explained", type=int, default=2_000, help="series that are explained, of 100,000")
    given = parser.parse_args()
    asked = Asked(given.rounds, given.rows, given.series, given.explained)
    print_figures(ROWS[name](asked) for name in given.only.split(","))


if __name__ == "__main__":
    main()
