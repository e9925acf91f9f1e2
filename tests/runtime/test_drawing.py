"""The program that draws charts is the same whoever makes it: another process, or this one where that cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import vl_convert

from tsx.runtime import drawing


@pytest.fixture(autouse=True)
def begun_by_none(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(drawing, "_begun", [])
    drawing.drawing_program.cache_clear()
    yield
    drawing.drawing_program.cache_clear()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the program at once."""
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda: "made here")


@pytest.mark.nightly
def test_another_process_makes_the_program_that_this_one_would_make() -> None:
    drawing.begin_drawing_program()
    assert len(drawing._begun) == 1
    assert drawing.drawing_program() == vl_convert.javascript_bundle()  # type: ignore[call-arg]


def test_what_was_begun_is_waited_for_and_begun_once(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MAKE", "import time; time.sleep(0.2); print('made there', end='')")
    drawing.begin_drawing_program()
    drawing.begin_drawing_program()
    assert len(drawing._begun) == 1
    assert drawing.drawing_program() == "made there"


@pytest.mark.parametrize("make", ["raise SystemExit(3)", "print('half'); raise OSError", "import time; time.sleep(60)"])
def test_a_process_that_fails_or_hangs_leaves_the_work_to_this_one(
    quick: None, monkeypatch: pytest.MonkeyPatch, make: str
) -> None:
    monkeypatch.setattr(drawing, "MAKE", make)
    monkeypatch.setattr(drawing, "SECONDS", 0.5 if "sleep" in make else 60)
    drawing.begin_drawing_program()
    assert drawing.drawing_program() == "made here"
    assert drawing._begun[0][0].wait(60) != 0


@pytest.mark.parametrize("executable", [None, "", "/nowhere/python3", "/usr/bin/program-with-python-inside"])
def test_no_process_is_begun_where_there_is_no_python_to_start(
    quick: None, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    drawing.begin_drawing_program()
    assert drawing._begun == []
    assert drawing.drawing_program() == "made here"


def test_a_module_in_the_working_folder_is_not_run(
    quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "vl_convert.py").write_text("def javascript_bundle():\n    return 'planted'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        drawing, "MAKE", "import sys, importlib.util as u; print(u.find_spec('vl_convert').origin, end='')"
    )
    drawing.begin_drawing_program()
    assert drawing.drawing_program() == vl_convert.__file__


def test_after_a_call_that_was_interrupted_the_next_one_makes_the_program(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(process: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(drawing, "MAKE", "print('made there', end='')")
    drawing.begin_drawing_program()
    with monkeypatch.context() as patched:
        patched.setattr(drawing, "_ended_well", interrupted)
        with pytest.raises(KeyboardInterrupt):
            drawing.drawing_program()
    assert drawing.drawing_program() == "made here"
    drawing._begun[0][0].wait(60)
