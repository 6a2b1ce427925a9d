"""The lecturer's notes, teaching/NN.md, read and held to the lesson that they are about.

    # 07 · Contrastive learning: SimCLR from the inside      the lesson's own title
    What the lesson is for.
    ## Before class                                          any of these, in this order:
    ## Predict ... ## What to remember                       notes for the lesson's section of that name
    ## In 50 minutes
    Predict 4 · See 4 · Read 8 · ...                         minutes for each section of the lesson, at most 50 in all
    - `guess_self = predict(`: why                           a cell to leave out: the one that has this text
    - `### Exercise 4`: why                                  or all cells under this heading
    ## Discussion
    ### A question?                                          at least 4, and under each what a good answer has

Numbers come from the records, as in the lessons: {{ 07/probe/5 | percent }}.
"""

import ast
import builtins
import re
from dataclasses import dataclass
from pathlib import Path

from sslab.course import ledger
from sslab.course.lint import MEASURED, SECTIONS, TIMED
from sslab.course.source import Cell, Source

PARTS = ("Before class", *TIMED, "In 50 minutes", "Discussion")
FEWEST_QUESTIONS = 4
SKIP = re.compile(r"- `(?P<mark>[^`]+)`: (?P<why>.+)", re.DOTALL)


@dataclass(frozen=True)
class Skip:
    """A cell, or the cells under a heading, to leave out in 50 minutes, and why that does no harm."""

    mark: str
    why: str


@dataclass(frozen=True)
class Notes:
    """What a lecturer should know about one lesson; `parts` are texts by section."""

    path: Path
    title: str
    purpose: str
    parts: dict[str, str]
    minutes: dict[str, int]
    skips: tuple[Skip, ...]
    questions: tuple[tuple[str, str], ...]                           # (question, what a good answer has)


def folder() -> Path:
    """teaching/, beside the notebooks; a checkout has it, a wheel does not."""
    return ledger.folder().parent / "teaching"


def read(number: str, root: Path | None = None) -> Notes:
    """The notes on one lesson.

    Args:
        number: the lesson's, such as "07".
        root: the folder of the notes.
    Raises:
        ValueError: there are none, or they are not written as the head of this file says.
    """
    path = (root or folder()) / f"{number}.md"
    if not path.is_file():
        raise ValueError(f"lesson: got {number!r}, which has no notes for lecturers at {path.parent.name}/"
                         f"{path.name} (they are in a checkout, not in an installed wheel)")
    head, *rest = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    title, _, purpose = head.partition("\n")
    parts = {}
    for part in rest:
        name, _, text = part.partition("\n")
        if name.strip() not in PARTS or name.strip() in parts:
            raise ValueError(f"{path.name}: section {name.strip()!r} is unknown or there twice; takes "
                             f"{', '.join(PARTS)}")
        parts[name.strip()] = text.strip()
    plan, _, skips = parts.get("In 50 minutes", "").partition("\n")
    minutes = {name: int(count) for name, count in re.findall(r"([A-Z][a-z ]+?) (\d+)", plan)}
    return Notes(path, title.removeprefix("# ").strip(), purpose.strip(), parts, minutes,
                 tuple(_skips(path, skips)), tuple(_questions(parts.get("Discussion", ""))))


def skipped(notes: Notes, lesson: Source) -> dict[int, Skip]:
    """The lesson's cells (by their index) that are left out in 50 minutes.

    Raises:
        ValueError: a mark that no cell has, or several have.
    """
    chosen = {}
    for skip in notes.skips:
        heading = skip.mark.startswith("#")
        found = [index for index, cell in enumerate(lesson.cells)
                 if (cell.kind == "markdown") == heading and _has(cell, skip.mark, heading)]
        if len(found) != 1:
            raise ValueError(f"{notes.path.name}: `{skip.mark}` is in {len(found)} cells of {lesson.slug}, "
                             "takes a text that one has")
        chosen |= dict.fromkeys(_under(lesson, found[0]) if heading else found, skip)
    return chosen


def problems(notes: Notes, lesson: Source) -> list[str]:
    """What is wrong with the notes: empty if they fit the lesson."""
    found = []
    title = lesson.cells[0].text.splitlines()[0].removeprefix("# ").strip()
    if notes.title != title:
        found.append(f"title: got {notes.title!r}, the lesson's is {title!r}")
    if list(notes.parts) != [name for name in PARTS if name in notes.parts]:
        found.append(f"sections are out of order: {', '.join(PARTS)}")
    found += [f"section {name!r} is missing or empty" for name in PARTS if not notes.parts.get(name)]
    if set(notes.minutes) != set(TIMED):
        found.append(f"In 50 minutes: its first line gives minutes for {', '.join(TIMED)}")
    if sum(notes.minutes.values()) > 50:
        found.append(f"In 50 minutes: got {sum(notes.minutes.values())} minutes in all")
    if len(notes.questions) < FEWEST_QUESTIONS or not all(answer for _, answer in notes.questions):
        found.append(f"Discussion: takes at least {FEWEST_QUESTIONS} questions, each with an answer")
    try:
        found += _lost_names(lesson, skipped(notes, lesson))
    except ValueError as error:
        found.append(str(error))
    typed = MEASURED.search(re.sub(r"\{\{.*?\}\}|`[^`]*`", "", notes.path.read_text(encoding="utf-8"), flags=re.DOTALL))
    if typed:
        found.append(f"a typed number ({typed.group()!r}): take it from the records, or put a setting in backticks")
    return [f"{notes.path.name}: {problem}" for problem in found]


def sections(lesson: Source) -> list[str | None]:
    """For each cell the section that it stands in (the last one that it opens)."""
    now, found = None, []
    for cell in lesson.cells:
        now = (opened(cell) or [now])[-1]
        found.append(now)
    return found


def opened(cell: Cell) -> list[str]:
    """The sections whose headers stand in a cell."""
    heads = re.findall(r"^## (?:\d+\.\s*)?(.+)$", cell.text, re.MULTILINE) if cell.kind == "markdown" else []
    return [name for head in heads for name in SECTIONS if re.match(rf"{name}\b", head, re.IGNORECASE)]


def _skips(path: Path, text: str) -> list[Skip]:
    items = re.split(r"^(?=- )", text.strip(), flags=re.MULTILINE)
    found = []
    for item in filter(None, (" ".join(item.split()) for item in items)):
        match = SKIP.fullmatch(item)
        if match is None:
            raise ValueError(f"{path.name}: In 50 minutes: got {item!r}, takes - `text of a cell`: why")
        found.append(Skip(match["mark"], match["why"]))
    return found


def _questions(text: str) -> list[tuple[str, str]]:
    _, *rest = re.split(r"^### ", text, flags=re.MULTILINE)
    return [(question.strip(), answer.strip()) for question, _, answer in (part.partition("\n") for part in rest)]


def _has(cell: Cell, mark: str, heading: bool) -> bool:
    if not heading:
        return mark in cell.text
    return any(re.match(rf"{re.escape(mark)}\b", line) for line in cell.text.splitlines())


def _under(lesson: Source, first: int) -> list[int]:
    """A cell with a heading, and those after it up to the next heading of any kind."""
    after = range(first + 1, len(lesson.cells))
    end = next((index for index in after if lesson.cells[index].kind == "markdown"
                and re.search(r"^##+ ", lesson.cells[index].text, re.MULTILINE)), len(lesson.cells))
    return list(range(first, end))


def _lost_names(lesson: Source, left_out: dict[int, Skip]) -> list[str]:
    """Names that a cell needs and that only a cell which is left out would have made."""
    lost, made, found = {}, set(dir(builtins)), []
    for index, cell in enumerate(lesson.cells):
        if cell.kind != "code":
            continue
        stores, loads = _names(cell.text)
        if index in left_out:
            lost |= {name: left_out[index] for name in stores if name not in made}
            continue
        found += [f"In 50 minutes: `{lost[name].mark}` is left out, but `{name}` is needed in line {cell.line} of "
                  f"{lesson.path.name}" for name in sorted(loads - made - stores) if name in lost]
        made |= stores
    return found


def _names(code: str) -> tuple[set[str], set[str]]:
    """The names that a cell makes, and those that it reads."""
    stores, loads = set(), set()
    for node in ast.walk(ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE))):
        if isinstance(node, ast.Name):
            (loads if isinstance(node.ctx, ast.Load) else stores).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            stores.add(node.name)
        elif isinstance(node, ast.alias):
            stores.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            stores.add(node.arg)
    return stores, loads
