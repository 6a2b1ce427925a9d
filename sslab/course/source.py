"""A notebook's source, notebooks/source/NN_slug.py: cells with their tags and the lines where they stand."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from sslab.course import ledger

BEGIN, END, STUB = "### BEGIN SOLUTION", "### END SOLUTION", "# stub: "
FILE = re.compile(r"(\d\d)_[a-z0-9_]+")


@dataclass(frozen=True)
class Cell:
    """One cell; `line` is the 1-based line of its first line of text in the source."""

    kind: str                                    # "markdown" or "code"
    text: str
    line: int
    tags: tuple[str, ...] = ()
    metadata: dict = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        return self.metadata.get("name")


@dataclass(frozen=True)
class Source:
    """One notebook's source."""

    path: Path
    cells: tuple[Cell, ...]

    @property
    def slug(self) -> str:
        return self.path.stem

    @property
    def number(self) -> str:
        return self.slug[:2]


class SourceError(ValueError):
    """What is wrong in a source, with its file and line."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: {problem}")


def read(path: Path) -> Source:
    """Read one source.

    Raises:
        SourceError: the file's name is not NN_slug.py, or text stands before the first cell.
    """
    import jupytext

    if not FILE.fullmatch(path.stem):
        raise SourceError(path, 1, f"name: got {path.name!r}, takes one such as 07_contrastive_simclr.py")
    text = path.read_text(encoding="utf-8")
    marks = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"# %%(\s|$)", line)]
    notebook = jupytext.reads(text, fmt="py:percent")
    if len(marks) != len(notebook.cells):
        raise SourceError(path, 1, "text before the first cell: put '# %%' or '# %% [markdown]' above it")
    cells = []
    for mark, cell in zip(marks, notebook.cells, strict=True):
        metadata = dict(cell.metadata)
        tags = tuple(metadata.pop("tags", ()))
        cells.append(Cell(cell.cell_type, cell.source, mark + 1, tags, metadata))
    return Source(path, tuple(cells))


def paths(numbers: tuple[str, ...] = (), folder: Path | None = None) -> list[Path]:
    """The sources in order, all of them or those whose number (or slug) is named.

    Raises:
        ValueError: a number that no source has.
    """
    found = sorted((folder or ledger.folder() / "source").glob("*.py"))
    if not numbers:
        return found
    for wanted in numbers:
        if not any(path.stem.startswith(wanted) for path in found):
            have = ", ".join(path.stem for path in found) or "none"
            raise ValueError(f"notebook: got {wanted!r}, takes a number or name of: {have}")
    return [path for path in found if any(path.stem.startswith(wanted) for wanted in numbers)]


def solved(text: str) -> str:
    """An exercise as the solutions edition shows it: without markers and stubs."""
    lines, inside = [], False
    for line in text.splitlines():
        stripped = line.strip()
        inside = (inside or stripped == BEGIN) and stripped != END
        if stripped not in (BEGIN, END) and not (inside and stripped.startswith(STUB)):
            lines.append(line)
    return "\n".join(lines)


def emptied(text: str, name: str) -> str:
    """An exercise as a student gets it: each solution replaced by its stub lines, or by "your code here"."""
    lines, stub, inside = [], [], False
    for line in text.splitlines():
        stripped = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if stripped == BEGIN:
            inside, stub, outer = True, [], indent
        elif stripped == END:
            inside = False
            todo = f'raise NotImplementedError("exercise {name}")' if outer else "..."
            lines += stub or [f"{outer}# your code here", f"{outer}{todo}"]
        elif not inside:
            lines.append(line)
        elif stripped.startswith(STUB):
            stub.append(line.replace(STUB, "", 1))
    return "\n".join(lines)
