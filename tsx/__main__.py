"""The entry point of the program: `tsx` and `python -m tsx`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the program; Ctrl-C while it is still being loaded ends it as quietly as later."""
    try:
        from tsx.cli.main import main as run
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
