"""From one source two notebooks: the student edition, with exercises to fill in, and the solutions."""

import hashlib
from pathlib import Path

from sslab.course import claims, lessons, prose, source, translate
from sslab.course.badges import badge_markdown, install_cell
from sslab.course.ledger import Ledger, folder, read, write_atomically
from sslab.course.source import Cell, Source, SourceError

EDITIONS = ("student", "solutions")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python",
                      "nbconvert_exporter": "python", "pygments_lexer": "ipython3"},
}


def notebook(lesson: Source, edition: str, ledger: Ledger, draft: bool = False, language: str = "", catalog=None):
    """One edition of a lesson, an nbformat notebook without outputs; with a catalog the lesson is in its language.

    Raises:
        SourceError: a missing record or claim, an exercise without a name, two with the same one.
    """
    from nbformat import v4

    cells, used, seen = [], {}, set()
    said, words = (claims.sentences(), {}) if catalog is None else (translate.sentences(catalog), translate.words(catalog))
    for cell in _with_top(lesson, language):
        text, metadata = cell.text, {"tags": list(cell.tags)} if cell.tags else {}
        if cell.kind == "markdown":
            text = _filled(lesson, cell, ledger, draft, said, words)
        elif {"exercise", "check"} & set(cell.tags):
            metadata["nbgrader"] = _nbgrader(lesson, cell, seen)
            if "exercise" in cell.tags:
                text = source.solved(text) if edition == "solutions" else source.emptied(text, cell.name)
        if "install" in cell.tags:
            metadata["jupyter"] = {"source_hidden": True}
        make = v4.new_markdown_cell if cell.kind == "markdown" else v4.new_code_cell
        cells.append(make(text, metadata=metadata, id=_identity(cell, used)))
    return v4.new_notebook(cells=cells, metadata=METADATA, nbformat_minor=5)


def editions(lesson: Source, ledger: Ledger, draft: bool = False) -> dict[Path, str]:
    """Both files of a lesson: path below notebooks/ -> text."""
    import nbformat

    where = {"student": Path(f"{lesson.slug}.ipynb"), "solutions": Path("solutions", f"{lesson.slug}.ipynb")}
    return {where[name]: nbformat.writes(notebook(lesson, name, ledger, draft)) + "\n" for name in EDITIONS}


def build(root: Path | None = None, draft: bool = False, check: bool = False) -> list[Path]:
    """Build every source below `root` (default: the course's notebooks/).

    Args:
        root: the folder that holds source/, solutions/ and results.json.
        draft: missing records read "(not measured yet)".
        check: write nothing.
    Returns:
        the files that were (or, with check, would be) changed: also editions whose source is gone.
    """
    root = root or folder()
    lessons.load()
    ledger, wanted = read(root / "results.json"), {}
    for path in source.paths(folder=root / "source"):
        wanted |= {root / name: text for name, text in editions(source.read(path), ledger, draft).items()}
    wanted |= {root / name: text for name, text in translations(root, ledger, draft).items()}
    changed = [path for path, text in wanted.items()
               if not path.exists() or path.read_text(encoding="utf-8") != text]
    ours = ("*.ipynb", "solutions/*.ipynb", *{f"{language}/*.ipynb" for language, _ in translate.every(root)})
    stale = [path for pattern in ours for path in root.glob(pattern) if path not in wanted]
    for path in () if check else changed:
        write_atomically(path, wanted[path])
    for path in () if check else stale:
        path.unlink()
    return sorted(changed + stale)


def translations(root: Path, ledger: Ledger, draft: bool = False) -> dict[Path, str]:
    """The student editions in other languages: path below notebooks/ -> text."""
    import nbformat

    files, made = list(translate.every(root)), {}
    for language, path in files:
        catalog, beside = translate.read(path), tuple(other.stem for code, other in files if code == language)
        lesson = translate.translated(source.read(root / "source" / f"{path.stem}.py"), catalog, beside)
        made[Path(language, f"{path.stem}.ipynb")] = nbformat.writes(notebook(lesson, "student", ledger, draft, language, catalog)) + "\n"
    return made


def _with_top(lesson: Source, language: str = "") -> list[Cell]:
    """The lesson's cells, with the badges above all and the install cell before the first code."""
    cells = list(lesson.cells)
    first_code = next((index for index, cell in enumerate(cells) if cell.kind == "code"), len(cells))
    cells.insert(first_code, Cell("code", install_cell(), 0, ("install",)))
    return [Cell("markdown", badge_markdown(f"{language}/{lesson.slug}" if language else lesson.slug), 0), *cells]


def _filled(lesson: Source, cell: Cell, ledger: Ledger, draft: bool, sentences: dict[str, str], words: dict[str, str]) -> str:
    try:
        return prose.fill(cell.text, ledger, sentences, draft, words)
    except prose.TemplateError as error:
        raise SourceError(lesson.path, cell.line + error.line, str(error)) from None


def _nbgrader(lesson: Source, cell: Cell, seen: set[str]) -> dict:
    """nbgrader's metadata, schema 3: an exercise is filled in, its check is graded and locked."""
    graded = "check" in cell.tags
    if not cell.name:
        raise SourceError(lesson.path, cell.line, 'this cell needs a name: # %% tags=["check"] name="..."')
    identity = f"{lesson.number}-{cell.name}" + ("-check" if graded else "")
    if identity in seen:
        raise SourceError(lesson.path, cell.line, f"name: {cell.name!r} is used twice")
    seen.add(identity)
    row = {"schema_version": 3, "grade": graded, "grade_id": identity, "locked": graded,
           "solution": not graded, "task": False}
    return row | {"points": int(cell.metadata.get("points", 1))} if graded else row


def _identity(cell: Cell, used: dict[str, int]) -> str:
    """A cell id that stays when other cells come and go, and is the same in both editions."""
    key = hashlib.sha256(f"{cell.kind}\n{cell.text}".encode()).hexdigest()[:8]
    used[key] = used.get(key, 0) + 1
    return key if used[key] == 1 else f"{key}-{used[key]}"
