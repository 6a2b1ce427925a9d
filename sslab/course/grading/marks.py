"""Marks a notebook: each exercise's function, on inputs drawn now, in a process of its own."""

import secrets
from dataclasses import dataclass, replace

from sslab.course.grading import spectral
from sslab.course.grading.draws import draw
from sslab.course.grading.exercises import Exercise, exercises
from sslab.course.grading.extract import Refused, take
from sslab.course.grading.sandbox import Remote, Sandbox
from sslab.lab import check as checks
from sslab.lab.checks.engine import Check, Result, drawn


@dataclass(frozen=True)
class Shares:
    """What an answer is worth, as a share of the exercise's points; a right one is worth all."""

    edge: float = 0.75                                               # right values; the gradient or an extreme input is not
    one: float = 0.5                                                 # one misconception that has a name
    two: float = 0.25                                                # two at once


@dataclass(frozen=True)
class Mark:
    """What one exercise got, and why."""

    exercise: Exercise
    share: float
    result: Result

    @property
    def points(self) -> float:
        return round(self.share * self.exercise.points, 4)


def mark_notebook(book, number: str, sandbox: Sandbox, shares: Shares = Shares(), number_of_draw: int | None = None) -> list[Mark]:
    """The marks of one submitted notebook.

    Args:
        book: nbformat's; its outputs and its check cells are not looked at.
        number: the lesson, "07".
        sandbox: where the functions run.
        shares: what wrong answers are worth.
        number_of_draw: which inputs; by default nobody can foresee it.
    Raises:
        ValueError: no lesson has that number.
    """
    return [mark(book, exercise, sandbox, shares, number_of_draw) for exercise in exercises(number)]


def mark(book, exercise: Exercise, sandbox: Sandbox, shares: Shares = Shares(), number_of_draw: int | None = None) -> Mark:
    """The mark of one exercise; see `mark_notebook`."""
    own = _check(exercise)
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in book.cells if cell.cell_type == "code"]
    try:
        taken = take(cells, exercise.function, ids.index(exercise.cell) if exercise.cell in ids else None,
                     list(exercise.imports), exercise.allowed)
    except Refused as why:
        return Mark(exercise, 0.0, Result(exercise.name, False, str(why), None, why.hint, own.convention))
    source, name = taken.source, exercise.function
    if own is spectral.spectral_objective:
        source, name = source + spectral.WRAPPER, "spectral_objective"
    result = _diagnose(own, source, name, taken.names, sandbox, number_of_draw or secrets.randbelow(2**40) + 1)
    return Mark(exercise, share(own, result, shares), result)


def share(check: Check, result: Result, shares: Shares = Shares()) -> float:
    """What a result is worth, from 0 to 1."""
    if result.passed:
        return 1.0
    name = result.misconception
    edges = {"detached", "part of it is detached", "no gradient", *(what.name for what, _ in check.promises)}
    edges |= {what.name for what in (check.extreme and check.extreme[1], check.stumble) if what}
    if name in edges:
        return shares.edge
    if name == "nothing is returned":
        return shares.one
    count = _count(name or "", {mistake.name for mistake in check.misconceptions})
    return {1: shares.one, 2: shares.two}.get(count, 0.0)


def _check(exercise: Exercise) -> Check:
    if exercise.name == "own_objective":
        return spectral.spectral_objective
    return getattr(checks, exercise.name)


def _diagnose(check: Check, source: str, name: str, names: dict, sandbox: Sandbox, number: int) -> Result:
    """What is right or wrong on drawn inputs; where that is not known, whether it is only right on the check's own."""
    with drawn(number):
        result = _run(draw(check, number), source, name, names, sandbox)
    if result.passed or result.misconception or not result.written:
        return result
    if check.cases and _run(check, source, name, names, sandbox).passed:
        return replace(result, headline="right on the inputs that the notebook's check uses, wrong on others",
                       hint=f"Marks are given on other inputs. {result.headline[:1].upper()}{result.headline[1:]}. {result.hint}")
    return result


def _run(check: Check, source: str, name: str, names: dict, sandbox: Sandbox) -> Result:
    try:
        remote: Remote = sandbox.function(source, name, names)
    except Exception as error:  # noqa: BLE001                       what a definition raises is the student's
        text = f"it raised {type(error).__name__} when it was defined: {error}"
        return Result(check.function, False, text, None, "Restart the kernel and run all cells.", check.convention)
    with remote:
        return check.diagnose(remote)


def _count(name: str, known: set[str]) -> int:
    """How many known mistakes a name is made of, joined with "and"; 0 if it is not made of them."""
    if name in known:
        return 1
    for first in known:
        if name.startswith(first + " and "):
            rest = _count(name[len(first) + 5:], known)
            if rest:
                return 1 + rest
    return 0
