"""The exercises of a lesson, as the grader sees them: read from notebooks/source/, nothing is typed in twice."""

import ast
from dataclasses import dataclass
from functools import cache

from sslab.course import source
from sslab.course.grading.extract import LIBRARIES, plain, take


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson.

    lesson, name: "07" and "nt_xent"; together nbgrader's grade_id, 07-nt_xent.
    function: what the student calls it, my_nt_xent.
    points: for a right answer.
    allowed: what it may use of sslab: what its solution uses.
    imports: the lesson's own, for a notebook that has lost them.
    """

    lesson: str
    name: str
    function: str
    points: int
    allowed: frozenset[str]
    imports: tuple[str, ...]

    @property
    def cell(self) -> str:
        return f"{self.lesson}-{self.name}"


@cache
def exercises(number: str) -> tuple[Exercise, ...]:
    """The exercises of a lesson, in order.

    Args:
        number: "07".
    Raises:
        ValueError: no lesson has that number.
    """
    path, = source.paths((number,))[:1]
    lesson = source.read(path)
    code = [(cell, source.solved(cell.text)) for cell in lesson.cells if cell.kind == "code"]
    imports = tuple(_imports(text) for _, text in code)
    found = []
    for cell, text in code:
        if "check" in cell.tags:
            function = checked(text, cell.name)
            names = take([text for _, text in code], function, allowed=None).names
            found.append(Exercise(lesson.number, cell.name, function, int(cell.metadata.get("points", 1)),
                                  frozenset(_leaves(names)), imports))
    return tuple(found)


def checked(text: str, name: str) -> str:
    """The student's function or class in a check cell: my_nt_xent in `check.nt_xent(my_nt_xent)`.

    Raises:
        ValueError: the cell calls no check of that name.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
            at = node.args[0]
            at = at.body if isinstance(at, ast.Lambda) else at       # check.own_objective(lambda: Spectral(...))
            at = at.func if isinstance(at, ast.Call) else at
            if isinstance(at, ast.Name):
                return at.id
    raise ValueError(f"check cell: got {text!r}, takes check.{name}(...) of a function or a class by its name")


def _imports(text: str) -> str:
    """The imports of a cell that an exercise may have."""
    nodes = [node for node in ast.parse(plain(text)).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    may = {*LIBRARIES, "sslab"}
    return "\n".join(ast.unparse(node) for node in nodes
                     if {alias.name.partition(".")[0] for alias in node.names} <= may
                     or (getattr(node, "module", None) or "").partition(".")[0] in may)


def _leaves(tree: dict):
    for inner in tree.values():
        if isinstance(inner, dict):
            yield from _leaves(inner)
        else:
            yield inner
