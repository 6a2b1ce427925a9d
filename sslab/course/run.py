"""Runs notebooks as a student would, keeps the time of every cell, and says what is wrong."""

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from sslab.course import claims
from sslab.course.build import notebook
from sslab.course.evidence import where
from sslab.course.ledger import Ledger, Record, folder
from sslab.course.source import Source
from sslab.modes import mode


@dataclass(frozen=True)
class Limits:
    """Seconds that a cell tagged `pretrain`, any other cell and the whole notebook may take."""

    pretrain: float
    cell: float
    notebook: float


# Smoke aims at 20 s on two quiet cores; the limit leaves room for a machine that is shared.
LIMITS = {"smoke": Limits(90, 90, 90), "class": Limits(120, 60, 240), "full": Limits(3600, 600, 7200)}
COURSE = 3600                                                       # seconds of all lessons in class mode


@dataclass
class Report:
    """One run of a notebook: seconds by cell (index in the notebook -> seconds), and what was wrong."""

    slug: str
    edition: str
    seconds: float = 0.0
    cells: dict[int, float] = field(default_factory=dict)
    slowest: str = ""
    problems: list[str] = field(default_factory=list)
    ended: bool = True                                              # False: an error or a hang cut it off
    executed: object = None                                         # the notebook with its outputs


def execute(lesson: Source, edition: str = "solutions", ledger: Ledger | None = None,
            cwd: Path | None = None, brief: bool = False) -> Report:
    """Run one edition in the mode in force, in a fresh kernel.

    The edition is built from the source, so that a lesson runs before its numbers are there. Guesses are not
    kept.

    Args:
        lesson: the source.
        edition: "solutions" (every exercise's check must pass) or "student" (must only run through).
        ledger: for the numbers in the prose.
        cwd: where the kernel works; default the notebooks' folder.
        brief: only imports, exercises and checks: what differs between the editions, and what that needs.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    book = notebook(lesson, edition, ledger or Ledger(), draft=True)
    if brief:
        book.cells = [cell for cell in book.cells if {"exercise", "check"} & set(cell.metadata.get("tags", ()))
                      or cell.cell_type == "code" and "import sslab\n" in cell.source]
    limits, report, started = LIMITS[mode()], Report(lesson.slug, edition, executed=book), {}

    def begin(cell, cell_index) -> None:
        started[cell_index] = time.perf_counter()

    def end(cell, cell_index, **_) -> None:
        if cell.cell_type == "code":
            report.cells[cell_index] = time.perf_counter() - started[cell_index]

    client = NotebookClient(
        book, kernel_name="python3", on_cell_start=begin, on_cell_executed=end, on_cell_error=end,
        timeout_func=lambda cell: int(3 * max(limits.pretrain, 60)),   # stops what hangs
        resources={"metadata": {"path": str(cwd or folder())}})
    start = time.perf_counter()
    try:
        client.execute(env=_environment(edition))
    except CellExecutionError as error:
        raised = max(report.cells)                                  # the last cell that ended
        report.problems.append(f"{_title(lesson, book, raised)}: {error.ename}: {_plain(error.evalue)}")
        report.ended = False
    except (CellTimeoutError, DeadKernelError) as error:
        report.problems.append(f"{type(error).__name__}: {_plain(str(error))}")
        report.ended = False
    report.seconds = time.perf_counter() - start
    report.problems += _late(lesson, book, report, limits)
    return report


def course(lessons: list[Source], ledger: Ledger, output: Path | None = None, record: bool = False,
           say=print) -> list[Report]:
    """Run the solutions of `lessons` one after the other and print a table.

    Args:
        lessons: the sources.
        ledger: the records that each notebook's claims are judged on.
        output: write the executed notebooks there, to look at.
        record: put each notebook's time into the ledger, as NN/time/cpu or NN/time/gpu.
        say: gets the table's lines.
    Returns:
        the reports; what failed is in their `problems`.
    """
    import nbformat

    reports = []
    say(f"{'notebook':32}{'seconds':>9}  slowest cell")
    for lesson in lessons:
        report = execute(lesson, ledger=ledger)
        report.problems += unheld(lesson, ledger)
        reports.append(report)
        say(f"{lesson.slug:32}{report.seconds:9.1f}  {report.slowest}")
        for problem in report.problems:
            say(f"    {problem}")
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            report.executed.metadata["sslab"] = where()               # the lecturer's edition says it of the times
            nbformat.write(report.executed, output / f"{lesson.slug}.ipynb")
        if record and report.ended and mode() == "class":             # too slow is a time too
            facts = where()
            kind = "cpu" if facts["device"] == "cpu" else "gpu"
            ledger.records[f"{lesson.number}/time/{kind}"] = Record(report.seconds, unit="s", **facts)
    return reports


def unheld(lesson: Source, ledger: Ledger) -> list[str]:
    """The lesson's claims that its records do not bear out, in words."""
    problems = []
    for name, claim in claims.defined().items():
        if name.split("/")[0] != lesson.number:
            continue
        missing = [key for key in claim.evidence if key not in ledger.records]
        if missing:
            problems.append(f"claim {name}: not measured: {', '.join(missing)} (make evidence)")
        elif not claim.on(ledger):
            problems.append(f"claim {name}: does not hold on the records")
    return problems


def _environment(edition: str) -> dict[str, str]:
    """The kernel's: this package importable, guesses not written; the solutions must pass their checks."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    strict = {"SSLAB_CHECKS": "strict"} if edition == "solutions" else {}
    return os.environ | {"PYTHONPATH": path, "SSLAB_PREDICTIONS": "off", "SSLAB_MODE": mode()} | strict


def _late(lesson: Source, book, report: Report, limits: Limits) -> list[str]:
    """What took longer than it may; also notes the slowest cell."""
    problems = []
    if report.cells:
        index = max(report.cells, key=report.cells.get)
        report.slowest = f"{report.cells[index]:.1f} s {_title(lesson, book, index)}"
    for index, seconds in report.cells.items():
        limit = limits.pretrain if "pretrain" in book.cells[index].metadata.get("tags", []) else limits.cell
        if seconds > limit:
            problems.append(f"{_title(lesson, book, index)}: took {seconds:.1f} s, may take {limit:g} s")
    if report.seconds > limits.notebook:
        problems.append(f"the notebook took {report.seconds:.1f} s, may take {limits.notebook:g} s")
    return problems


def _title(lesson: Source, book, index: int) -> str:
    """A cell by the header above it and its first line."""
    headers = [line for cell in book.cells[:index] if cell.cell_type == "markdown"
               for line in cell.source.splitlines() if re.match(r"#+ ", line)]
    first = (book.cells[index].source.strip().splitlines() or [""])[0]
    return f"[{headers[-1].lstrip('# ') if headers else lesson.slug}] {first[:50]}"


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()
