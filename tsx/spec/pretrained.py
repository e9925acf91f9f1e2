"""What the network that comes with the package learnt to forecast."""

from __future__ import annotations

HORIZON = 24
"""Steps that it forecasts."""
LONGEST = 144
"""Newest rows that it reads at most."""
FEWEST = 4
"""Rows of the shortest series that it learnt from."""
SEASONS = (1, 2, 3, 4, 6, 7, 12, 24)
"""Seasons of the series that it learnt from; 1: none."""
USUAL = {1: 44, 4: 96, 12: LONGEST}
"""Rows of the longest of most series of these seasons; of any other one `LONGEST`."""
