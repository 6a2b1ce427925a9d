"""Holds every notebook's source to one shape: docs/writing_notebooks.md says what it is and why."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sslab.course.source import BEGIN, END, STUB, Cell, Source, emptied, read

LONGEST_CELL = 15
TAGS = ("pretrain", "figure", "comparison", "exercise", "check", "download")
CONTROLS = ("chance", "raw", "random", "supervised")
SECTIONS = ("What you will be able to do", "Time", "Predict", "See", "Read", "Run", "Explain", "Break",
            "Exercises", "What to remember", "Papers")
TIMED = SECTIONS[2:-1]
LIVE_RUN = re.compile(r"\b(Lab|train)\(")
ACCURACY = re.compile(r"accurac|probe|knn|label_efficiency", re.IGNORECASE)
NETWORK = re.compile(r"urllib|requests\.|httpx|urlopen|\bpooch\b|^\s*[!%]\s*(pip|wget|curl|git)\b"
                     r"|[\"'](cifar10|cifar100|stl10|eurosat)[\"']", re.MULTILINE)
MEASURED = re.compile(r"\d+\.\d+|\d+\s*(%|percent\b|(percentage )?points?\b)")
HEADER = {"difficulty N/5": r"difficulty \d/5", "importance N/5": r"importance \d/5",
          "N minutes": r"\d+ minutes?"}
TIME = re.compile(r"\((\d+) minutes?\)\s*$")
OF_YOURS = re.compile(r"(\d+)\s+minutes\s+of\s+yours")


@dataclass(frozen=True)
class Problem:
    """Something to mend, and where."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def lint(path: Path) -> list[Problem]:
    """What is wrong with the shape of one source, in the order of its lines."""
    lesson = read(path)
    found = [Problem(path, line, text) for rule in RULES for line, text in rule(lesson)]
    return sorted(found, key=lambda problem: problem.line)


Found = Iterator[tuple[int, str]]                                   # (line, what is wrong)


def title_and_sections(lesson: Source) -> Found:
    """The sections DESIGN lists, each once, in order; a time on each part."""
    first = lesson.cells[0]
    if first.kind != "markdown" or not first.text.startswith("# "):
        yield first.line, "the first cell starts with the title: # NN · Title"
    seen = []
    for line, header in _headers(lesson):
        section = _section(header)
        if section is None:
            yield line, (f"section {header!r}: takes one that starts with {', '.join(SECTIONS)}; "
                         "use ### inside a section")
        elif section in seen:
            yield line, f"section {section!r} is there twice"
        elif any(SECTIONS.index(section) < SECTIONS.index(earlier) for earlier in seen):
            yield line, f"section {section!r} is out of order: {', '.join(SECTIONS)}"
        if section in TIMED and not TIME.search(header):
            yield line, f"section {section!r}: a time is missing at its end, such as (5 minutes)"
        seen += [section] if section else []
    for section in SECTIONS:
        if section not in seen:
            yield lesson.cells[-1].line, f"section {section!r} is missing"
    stated = "\n".join(_text_of(lesson, "Time"))
    for word in ("CPU", "GPU"):
        if "Time" in seen and word not in stated:
            yield _line_of(lesson, "Time"), f"section 'Time': says how long the machine needs on a {word}"
    total = sum(int(found[1]) for _, header in _headers(lesson) if (found := TIME.search(header)))
    said = OF_YOURS.search(stated)
    if "Time" in seen and (said is None or abs(int(said[1]) - total) > 4):
        yield _line_of(lesson, "Time"), f"section 'Time': says how many 'minutes of yours'; the parts have {total}, give or take 4"


def cells(lesson: Source) -> Found:
    """Code cells of 1 to 15 lines, known tags."""
    for cell in lesson.cells:
        for tag in set(cell.tags) - set(TAGS):
            yield cell.line, f"tag {tag!r}: takes one of {', '.join(TAGS)}"
        if cell.kind != "code":
            continue
        lines = [line for line in cell.text.splitlines()
                 if line.strip() not in (BEGIN, END) and not line.strip().startswith(STUB)]
        if not 1 <= len(lines) <= LONGEST_CELL or not cell.text.strip():
            yield cell.line, (f"a code cell has 1 to {LONGEST_CELL} lines, this one {len(lines)}: "
                              "move the helper into sslab")


def predictions(lesson: Source) -> Found:
    """A guess before anything runs live, and every guess looked at again."""
    code = [cell for cell in lesson.cells if cell.kind == "code"]
    live = next((cell for cell in code if "pretrain" in cell.tags or LIVE_RUN.search(cell.text)), None)
    guesses = [cell for cell in code if re.search(r"\bpredict\(", cell.text)]
    if live is None:
        yield lesson.cells[-1].line, "nothing runs live: no cell is tagged pretrain or calls Lab( or train("
    if not guesses or (live is not None and guesses[0].line > live.line):
        yield (live or lesson.cells[-1]).line, "no predict(...) before the first live run"
    for cell in guesses:
        for name in re.findall(r"^(\w+)\s*=\s*predict\(", cell.text, re.MULTILINE):
            later = "\n".join(other.text for other in code if other.line > cell.line)
            if not re.search(rf"\b{name}\.reveal\(", later):
                yield cell.line, f"the guess {name!r} is never revealed: {name}.reveal(...) after the run"
        if re.search(r"^predict\(", cell.text, re.MULTILINE):
            yield cell.line, "a guess needs a name, so that it can be revealed: guess = predict(...)"


def findings(lesson: Source) -> Found:
    """A Finding after every figure, with numbers from the records; the controls in every comparison."""
    for index, cell in enumerate(lesson.cells):
        after = next((later for later in lesson.cells[index + 1:]), None)
        finding = after.text if after is not None and after.kind == "markdown" else ""
        if "figure" in cell.tags and "Finding:" not in finding:
            yield cell.line, "a figure is followed by a markdown cell with **Finding:**"
        if "figure" in cell.tags and "comparison" not in cell.tags and ACCURACY.search(cell.text):
            yield cell.line, 'this figure shows accuracies: tag it "comparison" too and name its controls'
        if "comparison" in cell.tags:
            missing = [word for word in CONTROLS if word not in (cell.text + finding).lower()]
            if missing:
                yield cell.line, ("a comparison names its controls, here or in its Finding; missing: "
                                  + ", ".join(missing))
        if cell.kind == "markdown":
            yield from _typed_numbers(cell)


def exercises(lesson: Source) -> Found:
    """At least 3 exercises with headers; each has a name, solution markers that pair up, and a check."""
    found = 0
    for index, cell in enumerate(lesson.cells):
        if BEGIN in cell.text and "exercise" not in cell.tags:
            yield cell.line, "a solution outside of an exercise: the cell needs the tag exercise"
        if "exercise" not in cell.tags:
            continue
        found += 1
        above = lesson.cells[index - 1].text if index and lesson.cells[index - 1].kind == "markdown" else ""
        if not re.search(r"^### Exercise \d+\b", above, re.MULTILINE):
            yield cell.line, "the markdown cell above an exercise starts it with: ### Exercise N: title"
        for words, pattern in HEADER.items():
            if not re.search(pattern, above, re.IGNORECASE):
                yield cell.line, f"the exercise's header lacks: {words}"
        marks = [line.strip() for line in cell.text.splitlines() if line.strip() in (BEGIN, END)]
        if not marks or marks != [BEGIN, END] * (len(marks) // 2):
            yield cell.line, f"an exercise has {BEGIN} and {END} around what the student writes"
        if not cell.name:
            yield cell.line, 'an exercise has a name: # %% tags=["exercise"] name="..."'
        elif not any("check" in other.tags and other.name == cell.name for other in lesson.cells[index + 1:]):
            yield cell.line, f"the exercise {cell.name!r} has no check cell of the same name after it"
    if found < 3:
        yield lesson.cells[-1].line, f"a notebook has at least 3 exercises, this one {found}"


def network(lesson: Source) -> Found:
    """Nothing is fetched unless a cell says so in words."""
    for index, cell in enumerate(lesson.cells):
        if cell.kind != "code" or not NETWORK.search(cell.text):
            continue
        above = lesson.cells[index - 1].text.lower() if index else ""
        if "download" not in cell.tags or "download" not in above:
            yield cell.line, 'this uses the network: tag it "download" and say "download" in the text above'


def syntax(lesson: Source) -> Found:
    """Code that Python can read, as the solutions edition shows it and as a student gets it."""
    for cell in lesson.cells:
        if cell.kind == "code" and not re.search(r"^\s*[%!]", cell.text, re.MULTILINE):
            try:
                ast.parse(cell.text)
            except SyntaxError as error:
                yield cell.line + (error.lineno or 1) - 1, f"not Python: {error.msg}"
                continue
            try:
                ast.parse(emptied(cell.text, cell.name or ""))
            except SyntaxError as error:
                yield cell.line, f"not Python once it is emptied, see its stub lines: {error.msg}"


RULES = (title_and_sections, cells, predictions, findings, exercises, network, syntax)


def _headers(lesson: Source) -> Iterator[tuple[int, str]]:
    """The ## headers with their lines, without "## " and a number in front."""
    for cell in lesson.cells:
        for offset, line in enumerate(cell.text.splitlines() if cell.kind == "markdown" else ()):
            if line.startswith("## "):
                yield cell.line + offset, re.sub(r"^\d+\.\s*", "", line[3:].strip())


def _section(header: str) -> str | None:
    return next((name for name in SECTIONS if re.match(rf"{re.escape(name)}\b", header, re.IGNORECASE)), None)


def _line_of(lesson: Source, section: str) -> int:
    return next(line for line, header in _headers(lesson) if _section(header) == section)


def _text_of(lesson: Source, section: str) -> list[str]:
    """The lines of markdown in one section."""
    lines, inside = [], False
    for cell in lesson.cells:
        for line in cell.text.splitlines() if cell.kind == "markdown" else ():
            if line.startswith("## "):
                inside = _section(re.sub(r"^## (\d+\.\s*)?", "", line)) == section
            elif inside:
                lines.append(line)
    return lines


def _typed_numbers(cell: Cell) -> Found:
    """Measured numbers in a Finding come from the records; settings stand in backticks."""
    inside, allowed = False, re.compile(r"\{\{.*?\}\}|`[^`]*`", re.DOTALL)
    plain = allowed.sub(lambda match: "\n" * match.group().count("\n"), cell.text)
    for offset, line in enumerate(plain.splitlines()):
        inside = (inside or "Finding:" in line) and bool(line.strip())     # to the end of its paragraph
        match = MEASURED.search(line) if inside else None
        if match:
            yield cell.line + offset, (f"a typed number in a Finding ({match.group()!r}): take it from the "
                                       "records, {{ NN/name | percent }}, or put a setting in backticks")
