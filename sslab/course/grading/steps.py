"""What nbgrader does otherwise with sslab's notebooks: two steps, named in the course folder's nbgrader_config.py.

So nbgrader's own commands and its formgrader mark as `sslab course autograde` does: nothing of a submission is run
in a kernel.
"""

import html

from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.converters.autograde import Autograde
from nbgrader.converters.generate_assignment import GenerateAssignment
from nbgrader.preprocessors import ClearSolutions, Execute, NbGraderPreprocessor
from traitlets import Float, Int

from sslab.course import source
from sslab.course.grading.exercises import exercises
from sslab.course.grading.marks import Mark, Shares, mark
from sslab.course.grading.sandbox import Sandbox


class KeepStubs(ClearSolutions):
    """A solution gives way to the stub lines that stand in it, as in the student's notebook; without any, to nbgrader's."""

    def preprocess_cell(self, cell, resources, cell_index):
        if utils.is_solution(cell) and source.BEGIN in cell.source:
            cell.source = source.emptied(cell.source, cell.metadata.nbgrader["grade_id"].partition("-")[2])
            return cell, resources
        return super().preprocess_cell(cell, resources, cell_index)


class MarkFunctions(NbGraderPreprocessor):
    """In place of running the notebook: each check cell gets its exercise's points and feedback as its output."""

    edge = Float(Shares.edge, help="Share of the points where only the gradient or an extreme input goes wrong.").tag(config=True)
    one = Float(Shares.one, help="Share of the points for an answer with one misconception that has a name.").tag(config=True)
    two = Float(Shares.two, help="Share of the points for two of them at once.").tag(config=True)
    seconds = Int(20, help="Seconds of the CPU that one function may take in all.").tag(config=True)
    memory = Int(2 * 2**30, help="Bytes that one function may take beside torch's.").tag(config=True)

    _sandbox: Sandbox | None = None

    def preprocess(self, nb, resources):
        number = resources["nbgrader"]["notebook"][:2]
        known = {f"{exercise.cell}-check": exercise for exercise in exercises(number)}
        with Sandbox(self.seconds, self.memory) as sandbox:
            for cell in nb.cells:
                if cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell):
                    exercise = known.get(cell.metadata.nbgrader["grade_id"])
                    cell.outputs = [_unknown() if exercise is None else _output(
                        mark(nb, exercise, sandbox, Shares(self.edge, self.one, self.two)),
                        float(cell.metadata.nbgrader["points"]))]
        return nb, resources


def release_steps() -> list:
    """nbgrader's steps to a release, with stubs kept."""
    return [KeepStubs if step is ClearSolutions else step for step in _default(GenerateAssignment, "preprocessors")]


def autograde_steps() -> list:
    """nbgrader's steps of grading, with functions marked in place of a notebook run."""
    return [MarkFunctions if step is Execute else step for step in _default(Autograde, "autograde_preprocessors")]


def _default(converter: type, name: str) -> list:
    return converter.class_traits()[name].default()


def _output(marked: Mark, points: float):
    """The points as nbgrader reads them, the feedback as the student does."""
    got, result = round(marked.share * points, 4), marked.result
    text = f"<p>{got:g} of {points:g} points</p>{result._repr_html_()}"
    metadata = {"sslab": {"headline": result.headline, "misconception": result.misconception, "share": marked.share}}
    return new_output("execute_result", {"text/plain": f"{got:g}", "text/html": text}, execution_count=1, metadata=metadata)


def _unknown():
    text = "no exercise of sslab: not run, 0 points until somebody marks it"
    return new_output("error", ename="NotMarked", evalue=text, traceback=[html.escape(text)])
