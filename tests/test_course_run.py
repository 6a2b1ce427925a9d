"""Running notebooks: what passes, what is late, what raises."""

import nbformat
import pytest
from click.testing import CliRunner
from course_fixture import LESSON, write

from sslab.course import claims, ledger, run, source
from sslab.course.cli import course
from sslab.course.ledger import Ledger, Record


@pytest.fixture(autouse=True)
def ours(monkeypatch, tmp_path):
    """Notebooks of our own with one claim; `write` puts the lesson there."""
    claim = claims.Claim(
        "99/ours-beats-raw",
        "Ours beats raw pixels.",
        ("99/ours", "99/raw"),
        {"99/ours": "99/raw"},
        lambda r: claims.beats(r["99/ours"], r["99/raw"]),
    )
    monkeypatch.setattr(claims, "defined", lambda: {claim.name: claim})
    monkeypatch.setenv("SSLAB_NOTEBOOKS", str(tmp_path))
    write(tmp_path)
    return tmp_path


RECORDS = {"99/ours": Record.of({0: 0.8, 1: 0.81, 2: 0.82}), "99/raw": Record.of({0: 0.6, 1: 0.62, 2: 0.61})}


def lesson(folder, old="", new=""):
    assert old in LESSON
    return source.read(write(folder, LESSON.replace(old, new) if old else LESSON))


def test_the_solutions_run_as_a_course(ours):
    """In class mode, from the command line: executed copy, table, the time as a record."""
    Ledger(dict(RECORDS)).write(ours / "results.json")
    outcome = CliRunner(env={"SSLAB_MODE": "class"}).invoke(
        course, ["run", "99", "--record", "--output", str(ours / "executed")]
    )
    assert outcome.exit_code == 0, outcome.output
    assert "99_small_lesson" in outcome.output and not (ours / "predictions.json").exists()
    book = nbformat.read(ours / "executed" / "99_small_lesson.ipynb", 4)
    shown = "\n".join(str(output) for cell in book.cells for output in cell.get("outputs", []))
    assert shown.count("passed. Yours gives") >= 3 and "You recorded no guess" in shown
    time = ledger.read().record("99/time/cpu") if not _gpu() else ledger.read().record("99/time/gpu")
    assert 0 < time.value < 60 and time.unit == "s"


def test_the_student_edition_runs_through_and_says_what_to_do(ours):
    report = run.execute(lesson(ours), "student")
    assert report.problems == []
    shown = "\n".join(str(output) for cell in report.executed.cells for output in cell.get("outputs", []))
    assert shown.count("not yet written") >= 3 and "passed" not in shown


def test_a_wrong_solution_fails_with_its_cell(ours):
    report = run.execute(lesson(ours, "return torch.arange(2 * b).roll(b)", "return torch.arange(2 * b)"))
    (problem,) = report.problems
    assert problem.startswith("[Exercise 2: the partners] check.positive_index(partners): AssertionError")
    assert "each row points at itself" in problem


def test_late_cells_and_notebooks_are_named(ours, monkeypatch):
    monkeypatch.setitem(run.LIMITS, "smoke", run.Limits(pretrain=0.3, cell=60, notebook=0.5))
    slow = lesson(ours, "losses = [", "import time; time.sleep(0.6)\nlosses = [")
    problems = run.execute(slow).problems
    assert any(
        p.startswith("[4. Run it (4 minutes)] import time") and "may take 0.3 s" in p for p in problems
    ), problems
    assert problems[-1].startswith("the notebook took") and "may take 0.5 s" in problems[-1]


@pytest.mark.parametrize(
    "records, problem",
    [
        ({}, "not measured: 99/ours, 99/raw"),
        ({**RECORDS, "99/ours": RECORDS["99/raw"]}, "does not hold on the records"),
    ],
)
def test_claims_are_judged_on_the_records(ours, records, problem):
    (said,) = run.unheld(lesson(ours), Ledger(records))
    assert said.startswith("claim 99/ours-beats-raw: ") and problem in said


def test_command_line_build_and_lint(ours, monkeypatch):
    monkeypatch.setattr("sslab.course.lessons.load", lambda: None)
    command = CliRunner()
    assert "99_small_lesson.py:6: {{ 99/time/cpu" in command.invoke(course, ["build"]).output
    assert "built: 99_small_lesson.ipynb" in command.invoke(course, ["build", "--draft"]).output
    assert command.invoke(course, ["build", "--draft", "--check"]).exit_code == 0
    lesson(ours, "temperature `0.5`", "temperature 0.5")
    outcome = command.invoke(course, ["build", "--draft", "--check"])
    assert outcome.exit_code == 1 and "differs: solutions/99_small_lesson.ipynb" in outcome.output
    outcome = command.invoke(course, ["lint"])
    assert (
        outcome.exit_code == 1
        and "a typed number in a Finding" in outcome.output
        and "1 to mend" in outcome.output
    )
    assert "takes a number or name of: 99_small_lesson" in command.invoke(course, ["lint", "42"]).output


def _gpu():
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()
