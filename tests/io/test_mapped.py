"""Large arrays in files: what lies where, and that nothing is left of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tsx.io.atomic import create_temporary
from tsx.io.mapped import NAME, large_arrays_in, new_array

ROOT = Path(__file__).parents[2]
CELLS = 20_000_000
"""A large array: 80 MB."""


def private_memory() -> int:
    """Bytes of this process that lie in memory alone; pages of files are not among them."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which memory is private")
def test_a_large_array_takes_memory_of_its_own_only_outside_of_the_block(tmp_path: Path) -> None:
    before = private_memory()
    with large_arrays_in(tmp_path):
        mapped = new_array((CELLS // 2, 2))
        mapped[:] = 1.0
        there = private_memory() - before
        in_memory = np.ones_like(mapped)
        both = private_memory() - before
    assert there < mapped.nbytes / 10 < 0.9 * in_memory.nbytes < both
    assert mapped.sum(dtype=np.float64) == CELLS  # it is still there


def test_the_file_has_no_name_and_its_folder_goes_when_nothing_else_lies_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with large_arrays_in(folder):
        small = new_array((10,))
        assert not folder.exists()
        large = new_array((CELLS,), np.bool_)
        larger = new_array((CELLS, 1))
        assert list(folder.iterdir()) == []
        small[:], large[:], larger[:] = 1, True, 2
    assert not folder.exists()
    with large_arrays_in(tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_a_killed_run_left_is_removed_and_what_a_live_one_has_is_not(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tsx.io.atomic import create_temporary; "
        f"create_temporary(Path(sys.argv[1]) / {NAME!r}); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=ROOT)
    left = list(tmp_path.iterdir())
    live, descriptor = create_temporary(tmp_path / NAME)
    assert len(left) == 1
    with large_arrays_in(tmp_path):
        assert list(tmp_path.iterdir()) == [live]
    os.close(descriptor)


def test_where_the_disk_has_no_room_it_lies_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with large_arrays_in(tmp_path / "folder"):
        array = new_array((CELLS, 1))
        array[:] = 3.0
    assert array[-1, 0] == 3.0
    assert list(tmp_path.iterdir()) == []
