"""The lecturer's edition: a lesson's solutions with the outputs and times of a run, and the notes of teaching/NN.md.

What is added is in markdown cells tagged "lecturer", set off as quotations; everything else is the solutions
edition as `sslab course build` writes it.
"""

import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sslab.course import claims, prose, teaching
from sslab.course.build import notebook
from sslab.course.ledger import Ledger
from sslab.course.lint import TIMED
from sslab.course.source import Cell, Source, SourceError, read
from sslab.course.teaching import Notes

LONG = 5.0                                       # seconds: a cell that takes longer gets a note in front of it
WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass
class Run:
    """What an executed copy says of a lesson: outputs and seconds by cell id, and where it ran.

    missing: code cells of the lesson that the copy lacks, since it is of an older source.
    """

    outputs: dict[str, list] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    where: str = ""
    missing: int = 0

    def __bool__(self) -> bool:
        return bool(self.outputs)


def run_of(slug: str, folders: Sequence[Path], book) -> Run:
    """The outputs and times of `book`'s cells, from the first folder that has an executed copy of it.

    Args:
        slug: the notebook's name, such as "07_contrastive_simclr".
        folders: as `sslab course run --output` fills them.
        book: the solutions edition; a cell is known by its id, which changes with its text.
    """
    import nbformat

    file = next((folder / f"{slug}.ipynb" for folder in folders if (folder / f"{slug}.ipynb").is_file()), None)
    if file is None:
        return Run()
    executed = nbformat.read(file, 4)
    by_id = {cell.id: cell for cell in executed.cells if cell.cell_type == "code"}
    found = Run(where=_where(executed.metadata.get("sslab", {})))
    for cell in (cell for cell in book.cells if cell.cell_type == "code"):
        ran = by_id.get(cell.id)
        if ran is None or ran.source != cell.source:
            found.missing += 1
            continue
        found.outputs[cell.id] = [_still(output) for output in ran.outputs if _shows(output)]
        seconds = _seconds(ran.metadata.get("execution", {}))
        if seconds is not None:
            found.seconds[cell.id] = seconds
    return found


def edition(lesson: Source, notes: Notes, ledger: Ledger, folders: Sequence[Path] = ()):
    """The lecturer's edition of one lesson, an nbformat notebook; `metadata["sslab"]` says how it was made.

    Args:
        lesson: the source.
        notes: the notes on it.
        ledger: for the numbers in both; one that is missing reads "(not measured yet)".
        folders: of executed copies, for outputs and times.
    """
    from nbformat import v4

    book = notebook(lesson, "solutions", ledger, draft=True)
    book.cells = book.cells[1:]                                      # the badges open the student edition
    ran = run_of(lesson.slug, folders, book)
    added, left_out = Notebook(ledger), teaching.skipped(notes, lesson)
    added.note(overview(lesson, notes, book, ran))
    for cell, index in zip(book.cells, _indices(lesson, book), strict=True):
        source = lesson.cells[index] if index is not None else None
        skip = left_out.get(index)
        if skip is not None and left_out.get(index - 1) is not skip:
            added.note(f"**Leave out in 50 minutes:** {skip.why}")
        seconds = ran.seconds.get(cell.id, 0.0)
        if seconds >= LONG:
            added.note(f"**Runs {seconds:.0f} s** in the run that these outputs are from. Start it, then talk.")
        if cell.cell_type == "code":
            cell.outputs = ran.outputs.get(cell.id, [])
            if cell.id in ran.seconds:
                cell.metadata["sslab"] = {"seconds": round(ran.seconds[cell.id], 2)}
        added.cells.append(cell)
        for section in teaching.opened(source) if source is not None else ():
            if section in notes.parts:
                added.note(f"**{section}.** {notes.parts[section]}")
        if source is not None and "check" in source.tags:
            added.note(wrong_answers(source))
    added.note("**Discussion.** What a good answer has is below each question.\n\n" + "\n\n".join(
        f"**{number}. {question}**\n\n{answer}" for number, (question, answer) in enumerate(notes.questions, 1)))
    facts = {"edition": "lecturer", "cells": digest(added.cells), "without_output": ran.missing if ran else None}
    return v4.new_notebook(cells=added.cells, metadata={**book.metadata, "sslab": facts}, nbformat_minor=5)


class Notebook:
    """Cells as they are collected; notes have numbers filled in and ids of their own."""

    def __init__(self, ledger: Ledger) -> None:
        self.cells, self.ledger = [], ledger

    def note(self, text: str) -> None:
        """Add a note, as a quotation that is marked as the lecturer's."""
        from nbformat import v4

        if text:
            text = prose.fill(text, self.ledger, claims.sentences(), draft=True)
            quoted = "\n".join(f"> {line}".rstrip() for line in f"*For the lecturer* · {text}".splitlines())
            identity = "lecturer-" + hashlib.sha256(f"{len(self.cells)} {text}".encode()).hexdigest()[:8]
            self.cells.append(v4.new_markdown_cell(quoted, metadata={"tags": ["lecturer"]}, id=identity))


def overview(lesson: Source, notes: Notes, book, ran: Run) -> str:
    """What stands above the lesson: what it is for, what to do before, and a table of times."""
    minutes = _stated(lesson)
    rows = ["| part | student, minutes | in 50 minutes | machine, seconds |", "|---|---|---|---|"]
    by_section = dict.fromkeys(TIMED, 0.0)
    standing = teaching.sections(lesson)
    for cell, index in zip(book.cells, _indices(lesson, book), strict=True):
        section = standing[index] if index is not None else None
        if section in by_section:
            by_section[section] += ran.seconds.get(cell.id, 0.0)
    rows += [f"| {name} | {minutes.get(name, '')} | {notes.minutes.get(name, '')} | "
             f"{f'{by_section[name]:.0f}' if ran.seconds else 'not measured'} |" for name in TIMED]
    total = f"{sum(ran.seconds.values()):.0f}" if ran.seconds else "not measured"
    rows.append(f"| **all** | **{sum(minutes.values())}** | **{sum(notes.minutes.values())}** | **{total}** |")
    if not ran:
        source = "No executed copy was given: there are no outputs and no times."
    else:
        source = f"Outputs and times are those of one run{f' ({ran.where})' if ran.where else ''}."
        if ran.missing:
            source += f" {ran.missing} of the cells have none: the lesson has changed since that run."
    purpose = f"**{notes.title}**\n\n{notes.purpose}\n\n**Before class.** {notes.parts.get('Before class', '')}"
    return "\n\n".join([f"**Lecturer's edition.** {purpose}", "\n".join(rows), source])


def wrong_answers(cell: Cell) -> str:
    """The mistakes that an exercise's check knows by name, with what it says to the student; folded away.

    Empty for a cell that calls no check.
    """
    from sslab.lab import check

    match = re.search(r"\bcheck\.(\w+)\(", cell.text)
    asked = getattr(check, match[1], None) if match else None
    if asked is None:
        return ""
    known = mistakes(asked)
    if not known:
        return "**Wrong answers.** This check looks at promises, not at a value, and says in words which one is broken."
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(hint)}</td></tr>" for name, hint in known)
    return (f"**Wrong answers.**\n\n<details><summary><strong>{len(known)} wrong answers</strong> that the check knows by name, and what it "
            "says to each</summary>\n<table><thead><tr><th>the mistake</th><th>what the student reads</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></details>")


def mistakes(one) -> list[tuple[str, str]]:
    """(name, hint) of all mistakes that a check tells apart; none for a check that is no declaration."""
    named = [*getattr(one, "misconceptions", ()), *(what for what, _ in getattr(one, "promises", ()) or ())]
    named += [one.extreme[1]] if getattr(one, "extreme", None) else []
    named += [one.stumble] if getattr(one, "stumble", None) else []
    return list(dict.fromkeys((what.name, what.hint) for what in named))


def digest(cells) -> str:
    """A fingerprint of cells' texts: what tells whether a person has changed a notebook since it was written."""
    text = "\0".join(f"{cell.cell_type}\1{cell.source}" for cell in cells)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write(path: Path, folders: Sequence[Path], output: Path, ledger: Ledger, force: bool = False) -> tuple[Path, object]:
    """Write one lesson's edition to `output`.

    Args:
        path: the lesson's source.
        folders: of executed copies.
        output: the folder to write to.
        ledger: for the numbers.
        force: overwrite a notebook that a person has changed or that is not ours.
    Returns:
        the file and the notebook.
    Raises:
        ValueError: notes that are missing or cannot be read; a file that would be lost.
    """
    import nbformat

    lesson = read(path)
    book = edition(lesson, teaching.read(lesson.number), ledger, folders)
    file = output / f"{lesson.slug}.ipynb"
    if file.exists() and not force and not _ours(file):
        raise ValueError(f"output: {file} is there, and it was changed by hand or not made by this command; "
                         "takes another folder, or --force")
    output.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, file)
    return file, book


def _ours(file: Path) -> bool:
    """Whether a file is a lecturer's edition whose text nobody has changed; run again it still is."""
    import nbformat

    try:
        book = nbformat.read(file, 4)
        facts = book.metadata.get("sslab", {})
        return facts.get("edition") == "lecturer" and facts.get("cells") == digest(book.cells)
    except (ValueError, AttributeError, KeyError):                   # not a notebook, so somebody else's
        return False


def _indices(lesson: Source, book) -> list[int | None]:
    """For each cell of a notebook, without its badges, the index of the lesson's cell; None for the install cell."""
    following = iter(range(len(lesson.cells)))
    found = [None if "install" in cell.metadata.get("tags", ()) else next(following, None) for cell in book.cells]
    if next(following, None) is not None:
        raise SourceError(lesson.path, 1, "the notebook does not have the cells of its source")
    return found


def _stated(lesson: Source) -> dict[str, int]:
    """The minutes that each section's header gives the student."""
    found = {}
    for cell in lesson.cells:
        for line in cell.text.splitlines() if cell.kind == "markdown" else ():
            match = re.match(r"## (?:\d+\.\s*)?(.+) \((\d+) minutes?\)\s*$", line)
            for name in TIMED if match else ():
                if re.match(rf"{name}\b", match[1], re.IGNORECASE):
                    found[name] = int(match[2])
    return found


def _seconds(stamps: dict) -> float | None:
    """How long a cell ran, from the time stamps that nbclient keeps."""
    begin, end = stamps.get("iopub.status.busy"), stamps.get("shell.execute_reply")
    if not begin or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def _where(facts: dict) -> str:
    return ", ".join(str(facts[key]) for key in ("mode", "device") if facts.get(key))


def _shows(output) -> bool:
    """Whether an output shows something without a kernel: a live widget's line of text does not."""
    data = output.get("data", {})
    return WIDGET not in data or set(data) - {WIDGET, "text/plain"} != set()


def _still(output):
    """An output without its live widget, whose picture stays."""
    output = output.copy()
    if "data" in output:
        output["data"] = {kind: data for kind, data in output["data"].items() if kind != WIDGET}
    return output
