"""From a source to its two editions."""

import nbformat
import pytest
from course_fixture import LESSON, write

from sslab.course import source
from sslab.course.build import build, notebook
from sslab.course.ledger import Ledger, Record
from sslab.course.source import SourceError, emptied, solved


@pytest.fixture
def lesson(tmp_path):
    return source.read(write(tmp_path))


@pytest.fixture(autouse=True)
def claims(monkeypatch):
    from sslab.course import claims

    monkeypatch.setattr(claims, "sentences", lambda: {"99/ours-beats-raw": "Ours beats raw pixels."})


LEDGER = Ledger(
    {
        "99/time/cpu": Record(61.0, unit="s"),
        "99/probe/5/ours": Record.of({0: 0.8, 1: 0.82, 2: 0.84}),
        "99/probe/5/raw": Record.of({0: 0.6, 1: 0.61, 2: 0.62}),
    }
)


def named(book, name, tag):
    number = {"exercise": f"99-{name}", "check": f"99-{name}-check"}[tag]
    return next(c for c in book.cells if c.metadata.get("nbgrader", {}).get("grade_id") == number)


def test_editions(lesson):
    student, solutions = notebook(lesson, "student", LEDGER), notebook(lesson, "solutions", LEDGER)
    for book in (student, solutions):
        nbformat.validate(book)
        assert not any(cell.get("outputs") for cell in book.cells)
        assert not any("SOLUTION" in cell.source or "stub:" in cell.source for cell in book.cells)
    assert [cell.id for cell in student.cells] == [cell.id for cell in solutions.cells]
    assert len({cell.id for cell in student.cells}) == len(student.cells)
    assert "unit = ...                    # z1" in named(student, "cosine", "exercise").source
    assert "unit = z1 / z1.norm" in named(solutions, "cosine", "exercise").source
    assert "unit = z1 / z1.norm" not in named(student, "cosine", "exercise").source
    assert 'raise NotImplementedError("exercise partners")' in named(student, "partners", "exercise").source


def test_nbgrader_metadata(lesson):
    book = notebook(lesson, "student", LEDGER)
    assert named(book, "cosine", "exercise").metadata.nbgrader == {
        "schema_version": 3,
        "grade": False,
        "grade_id": "99-cosine",
        "locked": False,
        "solution": True,
        "task": False,
    }
    assert named(book, "cosine", "check").metadata.nbgrader == {
        "schema_version": 3,
        "grade": True,
        "grade_id": "99-cosine-check",
        "locked": True,
        "solution": False,
        "task": False,
        "points": 3,
    }
    assert named(book, "rank", "check").metadata.nbgrader["points"] == 1


def test_top_and_prose(lesson):
    book = notebook(lesson, "student", LEDGER)
    assert "colab" in book.cells[0].source.lower() and book.cells[1].source.startswith("# 99")
    first_code = next(cell for cell in book.cells if cell.cell_type == "code")
    assert first_code.metadata.tags == ["install"]
    text = "\n".join(cell.source for cell in book.cells)
    assert "needs 2 minutes on a CPU" in text and "82 % [77, 87], 21 points above" in text
    assert "Ours beats raw pixels." in text and "{{" not in text


def test_missing_record_stops_the_build_and_is_named(lesson):
    with pytest.raises(
        SourceError, match=r"99_small_lesson.py:6: \{\{ 99/time/cpu .*record: got '99/time/cpu'"
    ):
        notebook(lesson, "student", Ledger({"99/probe": Record(1.0)}))
    text = "\n".join(cell.source for cell in notebook(lesson, "student", Ledger(), draft=True).cells)
    assert "not measured yet" in text


def test_build_and_drift(tmp_path):
    path = write(tmp_path)
    LEDGER.write(tmp_path / "results.json")
    expected = [tmp_path / "99_small_lesson.ipynb", tmp_path / "solutions" / "99_small_lesson.ipynb"]
    assert build(tmp_path, check=True) == expected and not expected[0].exists()
    assert build(tmp_path) == expected and build(tmp_path) == [] and build(tmp_path, check=True) == []
    before = expected[0].read_bytes()
    path.write_text(LESSON.replace("Does it fall?", "Does it rise?"), encoding="utf-8")
    assert build(tmp_path, check=True) == expected and expected[0].read_bytes() == before
    build(tmp_path)
    stale = tmp_path / "98_old.ipynb"
    stale.write_text("{}")
    assert build(tmp_path, check=True) == [stale]
    build(tmp_path)
    assert not stale.exists()


def test_ids_stay_when_a_cell_is_put_in(tmp_path, lesson):
    longer = source.read(
        write(tmp_path, LESSON.replace("# %%\nguess = predict", "# %%\n1 + 1\n\n# %%\nguess = predict"))
    )
    before, after = ({c.id for c in notebook(one, "student", LEDGER).cells} for one in (lesson, longer))
    assert before < after and len(after) == len(before) + 1


def test_solutions_at_every_level():
    text = (
        "a = 1\n### BEGIN SOLUTION\na = 2\n### END SOLUTION\nif a:\n    ### BEGIN SOLUTION\n    # stub: a = ...\n"
        "    a = 3\n    # why\n    ### END SOLUTION\n    b = a"
    )
    assert emptied(text, "x") == "a = 1\n# your code here\n...\nif a:\n    a = ...\n    b = a"
    assert solved(text) == "a = 1\na = 2\nif a:\n    a = 3\n    # why\n    b = a"


@pytest.mark.parametrize(
    "change, problem",
    [
        (('name="rank"', 'name="cosine"'), "used twice"),
        (('tags=["exercise"] name="rank"', 'tags=["exercise"]'), "name"),
    ],
)
def test_sources_that_cannot_be_built(tmp_path, change, problem):
    with pytest.raises(SourceError, match=problem):
        notebook(source.read(write(tmp_path, LESSON.replace(*change))), "student", LEDGER)


def test_sources_that_cannot_be_read(tmp_path):
    with pytest.raises(SourceError, match="text before the first cell"):
        source.read(write(tmp_path, "x = 1\n" + LESSON))
    with pytest.raises(SourceError, match="takes one such as"):
        source.read(write(tmp_path, slug="small"))
    with pytest.raises(
        ValueError, match="notebook: got '42', takes a number or name of: 99_small_lesson, small"
    ):
        write(tmp_path)
        source.paths(("42",), tmp_path / "source")
