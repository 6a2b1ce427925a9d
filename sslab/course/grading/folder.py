"""A course folder of nbgrader: made from our sources, released and graded by nbgrader itself."""

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from sslab.course import source
from sslab.course.build import notebook
from sslab.course.ledger import Ledger, read, write_atomically

CONFIG = '''\
# Written by `sslab course assignment`; yours to change. nbgrader's commands and its formgrader read it as well.
# The two lists make nbgrader keep the exercises' stubs, and mark functions in place of running a submission.
from sslab.course.grading.steps import autograde_steps, release_steps

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "sslab"
c.GenerateAssignment.preprocessors = release_steps()
c.Autograde.autograde_preprocessors = autograde_steps()
c.OverwriteCells.add_missing_cells = True
# c.MarkFunctions.one = 0.5                                        # share of the points for one named misconception
'''


def assignment(number: str, folder: Path, ledger: Ledger | None = None, draft: bool = False, force: bool = False) -> list[Path]:
    """Make source/NN/ in a course folder and, by nbgrader, release/NN/.

    Args:
        number: the lesson, "07".
        folder: the course folder; made where it is not there.
        ledger: for the numbers in the prose; default notebooks/results.json.
        draft: missing records read "(not measured yet)".
        force: write over a source that somebody changed.
    Returns:
        the source and the release version.
    Raises:
        ValueError: no such lesson; a source or a configuration that somebody changed.
        ModuleNotFoundError: nbgrader is not there.
        RuntimeError: nbgrader failed, with what it said.
    """
    _needs_nbgrader()
    lesson = source.read(source.paths((number,))[0])
    text = with_markers(lesson, ledger or read(), draft)
    config, file = folder / "nbgrader_config.py", folder / "source" / number / f"{lesson.slug}.ipynb"
    if config.exists() and "sslab.course.grading.steps" not in config.read_text(encoding="utf-8"):
        raise ValueError(f"output: got {folder}, whose nbgrader_config.py is not ours. Put these lines into it:\n{CONFIG}")
    if file.exists() and file.read_text(encoding="utf-8") != text and not force:
        raise ValueError(f"output: {file} is there and differs. To release it as it is: nbgrader generate_assignment {number} "
                         "in that folder; to write over it: --force")
    file.parent.mkdir(parents=True, exist_ok=True)
    if not config.exists():
        write_atomically(config, CONFIG)
    write_atomically(file, text)
    with _tools():
        _done(api(folder).generate_assignment(number))
    return [file, folder / "release" / number / file.name]


def autograde(number: str, folder: Path, students: tuple[str, ...] = (), force: bool = False,
              say: Callable[[dict], None] = lambda row: None) -> list[dict]:
    """Grade what lies in submitted/STUDENT/NN/, and write autograded/, feedback/ and gradebook.db.

    Args:
        number: the lesson, "07".
        folder: the course folder.
        students: only these; default all who submitted.
        force: grade again what is graded.
        say: gets each row as soon as its student is graded.
    Returns:
        one row for each student and exercise: student, exercise, points, of, headline, misconception.
    Raises:
        ValueError: nobody submitted, or one of `students` did not.
        ModuleNotFoundError: nbgrader is not there.
        RuntimeError: some could not be graded; all others were. Who, and why.
    """
    _needs_nbgrader()
    found = sorted(path.parent.name for path in folder.glob(f"submitted/*/{number}") if path.is_dir())
    for wanted in students or ("somebody",):
        if not found or (students and wanted not in found):
            raise ValueError(f"submissions: looked for {wanted} in {folder}/submitted/STUDENT/{number}, found {', '.join(found) or 'nobody'}")
    rows, grader = [], api(folder)
    failed = {} if students else _misplaced(number, folder)
    with _tools():
        for student in students or found:
            try:
                _readable(number, folder / "submitted" / student / number)
                _done(grader.autograde(number, student, force=force))
                _done(grader.generate_feedback(number, student, force=force))
            except (ValueError, RuntimeError) as error:              # one bad file of sixty must not stop the others
                failed[student] = str(error)
                continue
            for row in _rows(folder, number, student):
                say(row)
                rows.append(row)
    if failed:
        raise RuntimeError("\n".join(["not graded, all others are:", *(f"{student}: {why}" for student, why in sorted(failed.items()))]))
    return rows


def _misplaced(number: str, folder: Path) -> dict[str, str]:
    """Who handed in a notebook of the lesson beside the folder that is looked into: student -> what is wrong."""
    wrong = {}
    for file in sorted(folder.glob(f"submitted/*/{number}_*.ipynb")):
        wrong[file.parent.name] = f"{file.name} lies in {file.parent}, not in {file.parent / number}"
    return wrong


def _readable(number: str, place: Path) -> None:
    """The hand-in has the lesson's name and is a notebook; nbgrader's own words for this lead astray."""
    import nbformat

    name = source.paths((number,))[0].with_suffix(".ipynb").name
    if not (place / name).is_file():
        others = ", ".join(sorted(path.name for path in place.iterdir())) or "nothing"
        raise ValueError(f"looked for {name}, found {others}; rename it")
    try:
        nbformat.read(place / name, as_version=4)
    except Exception as error:                                       # noqa: BLE001  cut off, empty, no notebook: whatever it is
        raise ValueError(f"{name} cannot be read as a notebook ({type(error).__name__}); ask for it again") from None


def with_markers(lesson: source.Source, ledger: Ledger, draft: bool = False) -> str:
    """nbgrader's source version of a lesson: the solutions edition with the marks around each solution."""
    import nbformat

    book = notebook(lesson, "solutions", ledger, draft)
    raw = iter([cell.text for cell in lesson.cells if "exercise" in cell.tags])
    for cell in book.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = next(raw)
    return nbformat.writes(book) + "\n"


def api(folder: Path):
    """nbgrader's own interface to a course folder, with the folder's configuration."""
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()
    config.CourseDirectory.root = str(folder.resolve())
    return NbGraderAPI(config=config)


def _rows(folder: Path, number: str, student: str) -> list[dict]:
    """What one student got, from the gradebook, with the feedback that stands in the autograded notebook."""
    import nbformat
    from nbgrader.api import Gradebook

    rows = []
    for path in sorted(folder.glob(f"autograded/{student}/{number}/*.ipynb")):
        with Gradebook(f"sqlite:///{(folder / 'gradebook.db').resolve()}") as book:
            grades = {grade.name: (grade.score, grade.max_score) for grade in
                      book.find_submission_notebook(path.stem, number, student).grades}
        for cell in nbformat.read(path, as_version=4).cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
            if name in grades:
                said = cell.outputs[0].get("metadata", {}).get("sslab", {}) if cell.get("outputs") else {}
                rows.append({"student": student, "exercise": name.removesuffix("-check"), "points": grades[name][0],
                             "of": grades[name][1], "headline": said.get("headline", "to be marked by hand"),
                             "misconception": said.get("misconception")})
    return rows


def _needs_nbgrader() -> None:
    if importlib.util.find_spec("nbgrader") is None:
        raise ModuleNotFoundError('nbgrader is not installed: pip install "sslab[teach]", in a checkout pip install -e ".[teach]"')


@contextmanager
def _tools():
    """nbgrader makes its database with the command alembic: it lies beside this Python, activated or not."""
    from sqlalchemy.exc import SAWarning

    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        with warnings.catch_warnings():                              # nbgrader asks for grades half made; they are saved all the same
            warnings.simplefilter("ignore", SAWarning)
            yield
    finally:
        os.environ["PATH"] = before


def _done(result: dict) -> None:
    if not result["success"]:
        said = [line for line in (result.get("log") or result.get("error") or "").splitlines() if line.strip()]
        raise RuntimeError("\n".join(["nbgrader says:", *said[-12:]]))
