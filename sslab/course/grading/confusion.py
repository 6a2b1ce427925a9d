"""The autograder's confusion table: every planted answer goes in as a student's notebook, and what feedback comes out.

Planted answers are those of the checks' tests: a test file has WRONG, name -> {misconception: answer}, and RIGHT,
name -> answers, written by hand as a student would.
"""

import ast
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sslab.course import source
from sslab.course.grading.exercises import Exercise, exercises
from sslab.course.grading.marks import Mark, mark
from sslab.course.grading.sandbox import Sandbox

BEGIN, END = "<!-- confusion: made by `sslab course confusion --write` -->", "<!-- end of confusion -->"

SHORTCUT = "right, by calling sslab"                                 # refused: the exercise is to write it


@dataclass(frozen=True)
class Row:
    """One planted answer: what it is ("right" for a right one) and the mark that it got."""

    exercise: Exercise
    planted: str
    mark: Mark

    @property
    def got(self) -> str:
        result = self.mark.result
        return "right" if result.passed else result.misconception or result.headline


def rows(planted: Path, names: tuple[str, ...] = (), say: Callable[[str], None] = lambda text: None, draw: int = 1) -> list[Row]:
    """Grade every planted answer of a folder of tests, in the sandbox, on drawn inputs.

    Args:
        planted: the folder, with files test_check*.py.
        names: only these exercises; default all.
        say: gets each exercise's name when it is done.
        draw: which inputs.
    Raises:
        ValueError: no planted answer, or none for one of `names`.
    """
    answers = {name: found for path in sorted(planted.glob("test_check*.py")) for name, found in _answers(path).items()}
    known = {exercise.name: exercise for path in source.paths() for exercise in reversed(exercises(path.name[:2]))}
    chosen = [name for name in known if name in answers and name in (names or known)]
    if not chosen or set(names) - set(chosen):
        raise ValueError(f"planted: got {planted} and {', '.join(names) or 'no names'}, found answers for: {', '.join(answers) or 'nothing'}")
    found = []
    with Sandbox() as sandbox:
        for name in chosen:
            helpers, expressions = answers[name]
            for what, expression in expressions:
                marked = mark(submission(known[name], expression, helpers), known[name], sandbox, number_of_draw=draw)
                if what == "right" and "sslab" in marked.result.headline:
                    what = SHORTCUT
                found.append(Row(known[name], what, marked))
            say(f"{name}: {len(expressions)}")
    return found


def submission(exercise: Exercise, expression: str, helpers: str = ""):
    """A student's notebook: one cell of helpers, and the exercise's, whose function calls `expression`."""
    from nbformat import v4

    body = f"def {exercise.function}(*arguments):\n    return ({expression})(*arguments)"
    own = v4.new_code_cell(body, metadata={"nbgrader": {"grade_id": exercise.cell, "solution": True, "grade": False}})
    return v4.new_notebook(cells=[v4.new_code_cell(helpers), own])


def summary(found: list[Row]) -> Counter:
    """How many planted answers there are, right ones that passed, and wrong ones that were named."""
    right, short = ([row for row in found if row.planted == what] for what in ("right", SHORTCUT))
    wrong = [row for row in found if row.planted not in ("right", SHORTCUT)]
    return Counter(right=len(right), passed=sum(row.got == "right" for row in right), short=len(short), wrong=len(wrong),
                   named=sum(row.got == row.planted for row in wrong), credited=sum(0 < row.mark.share < 1 for row in wrong),
                   fooled=sum(row.got == "right" for row in wrong + short))


def markdown(found: list[Row]) -> str:
    """The table as markdown: a count for each exercise, then each planted mistake with what it got."""
    columns = {"right": "right answers", "passed": "with full marks", "short": "calling sslab, refused", "wrong": "planted mistakes",
               "named": "named as planted", "credited": "with part of the points", "fooled": "with full marks"}
    lines = [f"| exercise | {' | '.join(columns.values())} |", "|---" * (len(columns) + 1) + "|"]
    names = list(dict.fromkeys(row.exercise.name for row in found))
    for name in [*names, None]:
        count = summary([row for row in found if name in (None, row.exercise.name)])
        lines.append(f"| {name or f'all {len(names)}'} | {' | '.join(str(count[key]) for key in columns)} |")
    lines += ["", "| exercise | planted | share of the points | feedback, where it is another |", "|---|---|---|---|"]
    for row in found:
        if (row.planted, row.got) != ("right", "right"):
            other = "" if row.got == row.planted else _short(row.got)
            lines.append(f"| {row.exercise.name} | {_short(row.planted)} | {row.mark.share:g} | {other} |")
    return "\n".join(lines)


def insert(file: Path, found: list[Row]) -> None:
    """Put the table between the marks of a file.

    Raises:
        ValueError: the file has no marks.
    """
    text = file.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"write: got {file}, takes a file with the lines {BEGIN} and {END}")
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    file.write_text(f"{head}{BEGIN}\n\n{markdown(found)}\n\n{END}{tail}", encoding="utf-8")


def _short(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")[:160]


def _answers(path: Path) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Name of a check -> (the file's own source, [(misconception or "right", expression that gives the answer)])."""
    module, text, found = _imported(path), path.read_text(encoding="utf-8"), {}
    assigned = {target.id: node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)
                for target in node.targets if isinstance(target, ast.Name)}
    ours = [alias.asname or alias.name for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)
            and node.module.startswith("sslab") for alias in node.names]
    for name in ours:                                                # data that a test takes from us is written out
        if isinstance(getattr(module, name), (dict, tuple, str, float)):
            text += f"\n{name} = {getattr(module, name)!r}"
    for name in getattr(module, "WRONG", {}):
        found[name] = text, []
        for table in ("WRONG", "RIGHT"):
            answers = getattr(module, table, {}).get(name, [])
            typed = _typed(module, assigned, table, name)
            for key in answers if isinstance(answers, dict) else range(len(answers)):
                expression = typed.get(key, f"{table}[{name!r}][{key!r}]")
                found[name][1].append((key if table == "WRONG" else "right", expression))
    return found


def _typed(module, assigned: dict[str, ast.expr], table: str, name: str) -> dict:
    """The answers of one check as they are typed, by key or by place: so that none brings its neighbours along."""
    holder = getattr(module, table, {}).get(name)
    node = next((assigned[key] for key, value in vars(module).items() if value is holder and key in assigned), None)
    if node is None and isinstance(assigned.get(table), ast.Dict):
        node = {ast.unparse(key): value for key, value in zip(assigned[table].keys, assigned[table].values, strict=True) if key}.get(repr(name))
    if isinstance(node, ast.Dict):
        return {ast.literal_eval(key): ast.unparse(value) for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)}
    if isinstance(node, (ast.List, ast.Tuple)) and not any(isinstance(one, ast.Starred) for one in node.elts):
        return {place: ast.unparse(one) for place, one in enumerate(node.elts)}
    return {}


def _imported(path: Path):
    sys.path.insert(0, str(path.parent))
    try:
        spec = importlib.util.spec_from_file_location(f"planted_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
