"""`python -m tsx`: the same as the command `tsx`."""

from __future__ import annotations

import sys

from tsx.cli.main import main

sys.exit(main())
