"""`tsx docs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsx.cli.parameters import Arguments, command
from tsx.errors import NotFound, UsageError
from tsx.spec.verbs import DOCS

if TYPE_CHECKING:
    from pathlib import Path

    from tsx.cli.console import Console


@command(DOCS)
def docs(console: Console, arguments: Arguments) -> None:
    """Read the documentation that comes with the program.

    Examples:
      tsx docs
      tsx docs explaining
      tsx docs skill

    Without a name the pages are listed. `skill` is a page for coding agents: how to work with tsx, in brief.
    """
    pages = _pages()
    name = arguments["page"]
    if name is None:
        titles = {page: _title(path) for page, path in pages.items()}
        if console.json:
            console.document({"pages": titles})
            return
        left = max(map(len, titles))
        for page, title in titles.items():
            console.line(f"{page:<{left}}  {title}")
        return
    if name.casefold() not in pages:
        from difflib import get_close_matches

        near = get_close_matches(name.casefold(), pages, n=1)
        hint = f"did you mean `tsx docs {near[0]}`?" if near else "`tsx docs` lists them"
        raise UsageError("page-unknown", f"there is no page {name!r}", hint=hint, where="tsx docs")
    text = pages[name.casefold()].read_text(encoding="utf-8")
    if console.json:
        console.document({"page": name.casefold(), "text": text})
        return
    for line in text.splitlines():
        console.line(line)


def _pages() -> dict[str, Path]:
    """The pages by their names: of an installed program beside its modules, of a checkout beside the package."""
    import tsx

    package = _folder_of(tsx)
    for folder in (package / "docs", package.parent / "docs"):
        if (folder / "SKILL.md").is_file():
            return {path.stem.casefold(): path for path in sorted(folder.rglob("*.md")) if path.stem != "README"}
    raise NotFound(
        "docs-missing", "the pages are not there", hint="install tsx-forecast again", where=str(package / "docs")
    )


def _folder_of(module: object) -> Path:
    from pathlib import Path

    return Path(str(getattr(module, "__file__", ""))).parent


def _title(path: Path) -> str:
    """The first heading of a page."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("# ") for line in lines if line.startswith("# ")), path.stem)
