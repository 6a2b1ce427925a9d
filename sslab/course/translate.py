"""Lessons in other languages: texts are collected into a .po file a lesson, and put back when the notebooks are built.

    sslab course texts 07 --language es         # notebooks/translations/es/07_contrastive_simclr.po, to be filled in
    sslab course build                          # makes notebooks/es/07_contrastive_simclr.ipynb of it

What is translated: the markdown cells, the questions of `predict` with their answers, the claims that the prose cites, and the
words "minutes" and "points". Code stays. A text whose English changed falls back to English and is counted as open.
"""

import ast
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sslab.course import claims
from sslab.course.source import Cell, Source

NOBODY = ("POT-Creation", "PO-Revision", "Project-Id", "Report-Msgid", "Last-Translator", "Language-Team", "Generated-By")     # lines left out
LANGUAGE = re.compile(r"[a-z]{2,3}")
WORDS = ("1 minute", "minutes", "1 point", "points")                            # what a number of the ledger is followed by
KEPT = {                                                             # what a translation must leave as it is
    "templates": re.compile(r"\{\{.*?\}\}", re.DOTALL), "formulas": re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL), "code": re.compile(r"`[^`]+`"),
    "links": re.compile(r"\]\(([^)]+)\)"), "headings": re.compile(r"^#+ ", re.MULTILINE)}


def texts(lesson: Source) -> Iterator[tuple[str, int]]:
    """What there is to translate in a lesson: (text, line of the source); a text once."""
    seen: set[str] = set()

    def new(text: str) -> bool:
        return not (text in seen or seen.add(text))

    for cell in lesson.cells:
        if cell.kind == "markdown":
            if new(cell.text):
                yield cell.text, cell.line
            for name in re.findall(r"\{\{\s*claim\s+(\S+)\s*\}\}", cell.text):
                if new(sentence := claims.sentences()[name]):
                    yield sentence, cell.line
        else:
            yield from ((text, cell.line) for text in _questions(cell) if new(text))
    yield from ((word, 1) for word in WORDS if new(word))


def template(lesson: Source, language: str):
    """A babel Catalog of a lesson's texts, without translations."""
    from babel.messages.catalog import Catalog

    catalog = Catalog(locale=language, header_comment="# A lesson of sslab in another language: docs/translating.md", fuzzy=False)
    for text, line in texts(lesson):
        catalog.add(text, locations=[(f"source/{lesson.path.name}", line)])
    return catalog


def read(path: Path):
    """The catalog in a .po file."""
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        return read_po(file)


def written(catalog) -> str:
    """The .po file of a catalog: the same text for the same catalog."""
    from babel.messages.pofile import write_po

    catalog.revision_date = catalog.creation_date
    file = io.BytesIO()
    write_po(file, catalog, width=110, omit_header=False, sort_by_file=False, include_lineno=False)
    kept = (line for line in file.getvalue().decode().splitlines() if not re.match(rf'"({"|".join(NOBODY)})', line))
    return "\n".join(kept) + "\n"


def refresh(lesson: Source, language: str, path: Path) -> str:
    """What the .po file should hold now: new texts without a translation, texts that are gone as obsolete.

    Raises:
        ValueError: the language is no code such as "de".
    """
    if not LANGUAGE.fullmatch(language):
        raise ValueError(f"language: got {language!r}, takes a code such as de or es")
    catalog = read(path) if path.exists() else template(lesson, language)
    catalog.update(template(lesson, language), no_fuzzy_matching=True)
    return written(catalog)


def problems(lesson: Source, catalog) -> list[str]:
    """What is open or wrong in a translation: missing texts, and formulas, numbers, code or links that are not the original's."""
    found = []
    for text, line in texts(lesson):
        where, other = f"source/{lesson.path.name}:{line}", _said(catalog, text)
        if other is None:
            found.append(f"{where}: not translated")
            continue
        for name, pattern in KEPT.items():
            ours, theirs = (Counter(" ".join(one.split()) for one in pattern.findall(part)) for part in (text, other))
            if ours != theirs:
                differs = ", ".join(sorted((ours - theirs) + (theirs - ours)))
                found.append(f"{where}: {name} differ: {differs}")
    return found


def translated(lesson: Source, catalog, beside: tuple[str, ...] = ()) -> Source:
    """The lesson in the catalog's language, English where a text has no translation.

    Args:
        lesson: the source.
        catalog: of its translations.
        beside: slugs of the lessons that are there in this language, too; links to others go one folder up.
    """
    return replace(lesson, cells=tuple(_translated(cell, catalog, beside) for cell in lesson.cells))


def words(catalog) -> dict[str, str]:
    """The words beside numbers: English -> the catalog's language."""
    return {word: _said(catalog, word) or word for word in WORDS}


def sentences(catalog) -> dict[str, str]:
    """The claims' sentences in the catalog's language, by name."""
    return {name: _said(catalog, text) or text for name, text in claims.sentences().items()}


def _translated(cell: Cell, catalog, beside: tuple[str, ...]) -> Cell:
    if cell.kind == "markdown":
        def link(match: re.Match) -> str:
            return match.group(0) if match.group(1) in beside else f"](../{match.group(1)}.ipynb"

        text = _said(catalog, cell.text) or cell.text
        return replace(cell, text=re.sub(r"\]\((\d\d_[a-z0-9_]+)\.ipynb", link, text))
    known = {text: other for message in catalog if message.id and (text := message.id) and (other := _said(catalog, text))}
    return replace(cell, text=_with_strings(cell.text, known))


def _said(catalog, text: str) -> str | None:
    message = catalog.get(text)
    return message.string or None if message is not None else None


def _questions(cell: Cell) -> Iterator[str]:
    """Strings that a person reads in a cell's calls of `predict`: the question, the answers to choose from, the unit."""
    for node in ast.walk(_tree(cell.text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "predict":
            read = [*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg in ("unit", "options"))]
            for part in read:
                yield from (one.value for one in ast.walk(part) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _tree(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except SyntaxError:                                              # a magic: nothing of it is translated
        return ast.Module([], [])


def _with_strings(code: str, known: dict[str, str]) -> str:
    """Code in which every string that is `known` is replaced; also those that repeat an answer elsewhere."""
    lines = code.splitlines(keepends=True)
    places = [(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, known[node.value])
              for node in ast.walk(_tree(code))
              if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    content = code.encode()
    for row, column, last, end, text in sorted(places, reverse=True):
        content = content[:starts[row - 1] + column] + _literal(text).encode() + content[starts[last - 1] + end:]
    return content.decode()


def _literal(text: str) -> str:
    """A string literal in double quotes, as the sources write them."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def every(root: Path) -> Iterator[tuple[str, Path]]:
    """The translations below notebooks/: (language, .po file)."""
    for path in sorted((root / "translations").glob("*/*.po")):
        yield path.parent.name, path

