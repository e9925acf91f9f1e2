"""Set before torch is loaded: threads that wait must not spin, or a busy machine slows the suite tenfold."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
