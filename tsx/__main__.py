"""The entry point of the program: `tsx` and `python -m tsx`."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the program; Ctrl-C while it is still being loaded, or when all is done, ends it as quietly as meanwhile."""
    try:
        from tsx.cli.main import main as run
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    status = run()
    for late in (signal.SIGINT, signal.SIGTERM):  # it would cut the removal of temporary files short
        signal.signal(late, signal.SIG_IGN)
    return status


if __name__ == "__main__":
    sys.exit(main())
