"""Grading: what the autograder gives for right, wrong, empty and dishonest notebooks.

The planted mistakes of all checks, one by one, and nbgrader itself: pytest -m slow tests/test_grading.py
"""

import importlib.util
import math
from pathlib import Path

import nbformat
import pytest
import torch
from click.testing import CliRunner

from sslab.course import build, ledger, source
from sslab.course.cli import course
from sslab.course.grading import confusion, spectral
from sslab.course.grading.draws import MAKERS, draw
from sslab.course.grading.exercises import exercises
from sslab.course.grading.extract import Refused, take
from sslab.course.grading.marks import Shares, mark, mark_notebook, share
from sslab.course.grading.sandbox import Sandbox
from sslab.lab import check
from sslab.lab.checks.engine import Check, drawn

LESSONS = [path.name[:2] for path in source.paths()]
NT_XENT = next(exercise for exercise in exercises("07") if exercise.name == "nt_xent")
RIGHT = """
import torch
import torch.nn.functional as F
def my_nt_xent(z1, z2, temperature=0.5):
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    s = (z @ z.T / temperature).fill_diagonal_(float("-inf"))
    return F.cross_entropy(s, torch.arange(len(z)).roll(len(z1)))
"""


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(seconds=10) as one:
        yield one


def book(*cells, exercise=NT_XENT):
    """A notebook whose last cell is the exercise's."""
    made = [nbformat.v4.new_code_cell(text) for text in cells]
    made[-1].metadata["nbgrader"] = {"grade_id": exercise.cell, "solution": True, "grade": False}
    return nbformat.v4.new_notebook(cells=made)


def edition(number, which):
    return build.notebook(source.read(source.paths((number,))[0]), which, ledger.Ledger(), draft=True)


# ---- what there is to mark

def test_every_exercise_of_every_lesson_is_known_with_its_points():
    for path in source.paths():
        cells = source.read(path).cells
        found = exercises(path.name[:2])
        assert [one.name for one in found] == [cell.name for cell in cells if "exercise" in cell.tags]
        assert sum(one.points for one in found) == sum(int(cell.metadata.get("points", 1)) for cell in cells if "check" in cell.tags)


def test_only_what_a_solution_takes_from_sslab_is_allowed():
    used = {one.name: one.allowed for number in LESSONS for one in exercises(number) if one.allowed}
    assert used["elbo"] == {"sslab.objectives.kl_divergence"} and "kl_divergence" not in used
    assert used["hide_tokens"] == {f"sslab.datasets.tokenizer.{name}" for name in ("CLS", "MASK", "PAD", "SEP")}


# ---- taking a function out

def test_only_what_the_function_needs_is_taken():
    cells = ["%matplotlib inline\nimport torch, math\nfrom sslab.lab import check, Lab", "lab = Lab('simclr')\nlab.start()", "this is no Python",
             "SCALE = 2.0\ndef helper(x):\n    lab = x + other(x)\n    return lab\ndef other(x):\n    return SCALE * x",
             "check.nt_xent = print\ntorch.allclose = None", "@staticmethod\ndef mine(x):\n    # a word\n    return helper(x) * math.pi"]
    text = take(cells, "mine").source
    names = {}
    exec(text, names)  # noqa: S102
    assert names["mine"](1.0) == 3 * math.pi
    assert "Lab" not in text and "allclose" not in text and "torch" not in names["__builtins__"] and "# a word" in text


def test_the_last_definition_counts_and_the_exercise_cell_before_others():
    cells = ["def f():\n    return 1", "def f():\n    return 2", "def f():\n    return 3"]
    assert "3" in take(cells, "f").source and "2" in take(cells, "f", first=1).source
    assert "3" in take(["x = 1", *cells], "f", first=0).source


@pytest.mark.parametrize("cell, said", [
    ("from sslab import objectives\ndef f(a, b):\n    return objectives.nt_xent(a, b)", "it uses sslab.objectives.nt_xent"),
    ("import sslab.objectives as o\ndef f(a):\n    return getattr(o, 'nt_' + 'xent')(a)", "it uses sslab.objectives"),
    ("from sslab.lab import check\ndef f(a):\n    return check.nt_xent.reference(a)", "it uses sslab.lab.check.nt_xent.reference"),
    ("from sslab.objectives import nt_xent as f", "there is no function g"),
    ("def f(a):\n    import os\n    return os.getpid()", "it imports os"),
    ("def f(a):\n    from sslab.lab import check\n    return check", "it imports sslab.lab"),
    ("def g(a:\n    return 1", "not Python"),
])
def test_what_is_refused_before_it_runs(cell, said):
    name = "g" if "g" in said.split()[-1:] or "not Python" in said else "f"
    with pytest.raises(Refused, match=said):
        take([cell], name, first=0)


# ---- the sandbox: it is a function like any

def test_values_gradients_changes_and_errors_come_through(sandbox):
    text = ("import torch\ndef f(x, y, k):\n    y += 1\n    return (x.square().sum() * k, x.detach(), 'word', 3)\n"
            "def g(x):\n    return x.nonsense\n")
    with sandbox.function(text, "f") as f:
        x, y = torch.tensor([1.0, -2.0], requires_grad=True), torch.zeros(2)
        total, same, word, number = f(x, y, 3.0)
        assert float(total) == 15 and not same.requires_grad and (word, number) == ("word", 3) and y.tolist() == [1, 1]
        assert torch.autograd.grad(total, x)[0].tolist() == [6, -12]      # 2 k x
    with sandbox.function(text, "g") as g, pytest.raises(AttributeError, match="nonsense") as raised:
        g(torch.zeros(1))
    assert raised.value.place == "return x.nonsense"


@pytest.mark.parametrize("body, said", [
    ("import socket\n    socket.socket()", "not in an exercise: socket"),
    ("import subprocess\n    subprocess.run(['true'])", "not in an exercise: "),
    ("import os\n    os.fork()", "not in an exercise: os.fork"),
    ("open('/tmp/was_here', 'w')", "not in an exercise: files"),
    ("import sslab", "not in an exercise: sslab's own functions"),
    ("import os\n    os._exit(0)", "its process ended"),
    ("import os\n    for fd in range(3, 20):\n        try: os.write(fd, b'x' * 64)\n        except OSError: pass", "cannot be read"),
    ("import torch\n    return torch.zeros(10**10)", "allocate"),
])
def test_what_a_submission_cannot_do(sandbox, body, said):
    with sandbox.function(f"def f():\n    {body}\n    return 1", "f") as f, pytest.raises(Exception, match=said):
        f()
    assert not Path("/tmp/was_here").exists()


@pytest.mark.slow
def test_a_function_that_does_not_end_is_ended_and_the_next_one_runs():
    with Sandbox(seconds=1) as short:
        with short.function("def f():\n    while True: pass", "f") as f, pytest.raises(RuntimeError, match="its process ended|too long"):
            f()
        with short.function("def f():\n    return 7", "f") as f:
            assert f() == 7


# ---- marks

@pytest.mark.parametrize("number", [pytest.param(number, marks=[] if number in ("00", "07") else [pytest.mark.slow]) for number in LESSONS])
def test_solutions_get_all_points_and_an_empty_notebook_none(number, sandbox):
    assert [one.share for one in mark_notebook(edition(number, "solutions"), number, sandbox)] == [1.0] * len(exercises(number))
    empty = mark_notebook(edition(number, "student"), number, sandbox)
    assert not any(one.points for one in empty) and not any(one.result.passed for one in empty)


def test_a_named_mistake_gets_its_share_with_its_feedback(sandbox):
    wrong = {"temperature multiplies": (RIGHT.replace("/ temperature", "* temperature"), 1.5),
             "temperature multiplies and the sign is wrong": (
                 RIGHT.replace("/ temperature", "* temperature").replace("return F", "return -F"), 0.75),
             "detached": (RIGHT.replace("roll(len(z1)))", "roll(len(z1))).detach()"), 2.25)}
    for name, (text, points) in wrong.items():
        got = mark(book(text), NT_XENT, sandbox)
        assert (set(got.result.misconception.split(" and ")), got.points) == (set(name.split(" and ")), points) and got.result.hint
    assert mark(book(RIGHT), NT_XENT, sandbox, Shares(one=0)).points == 3


FORGED = """
import sslab.lab.check as check, torch
from sslab.lab.checks import engine
check.nt_xent = lambda f: engine.Result("nt_xent", True, "passed")
engine.Check.diagnose = lambda *a: engine.Result("nt_xent", True, "passed")
torch.allclose = lambda *a, **k: True
"""
CHEATS = {
    "overwrites the check and patches the package": (FORGED, "def my_nt_xent(z1, z2, temperature=0.5):\n    return z1.sum()"),
    "patches torch where it is run": ("import torch\ndef patch():\n    torch.allclose = torch.equal = lambda *a, **k: True\n    torch.Tensor.__sub__ = lambda a, b: a * 0",
                                      "def my_nt_xent(z1, z2, temperature=0.5):\n    patch()\n    return torch.tensor(1.0)"),
    "an object that equals everything": ("class Same(float):\n    def __eq__(self, other): return True\n    def __sub__(self, other): return 0.0",
                                         "def my_nt_xent(z1, z2, temperature=0.5):\n    return Same(1.0)"),
    "a channel of its own": ("", "def my_nt_xent(*given):\n    import sys, json\n    frame = sys._getframe(1)\n    return 0"),
}


@pytest.mark.parametrize("kind", CHEATS)
def test_a_dishonest_notebook_gets_nothing(kind, sandbox):
    got = mark(book(*CHEATS[kind]), NT_XENT, sandbox)
    assert got.points == 0 and not got.result.passed, got


def test_hard_coded_answers_pass_the_notebooks_check_and_get_nothing(sandbox):
    values = [float(check.nt_xent.reference(*case)) for case in check.nt_xent.cases()]
    table = f"ANSWERS = {dict(zip((4, 3, 5), values, strict=True))}\ndef my_nt_xent(z1, z2, temperature=0.5):\n    return z1.sum() * 0 + ANSWERS[len(z1)]"
    names = {}
    exec(table, names)  # noqa: S102
    assert "gradient" in check.nt_xent(names["my_nt_xent"]).headline      # its values pass
    assert mark(book(table), NT_XENT, sandbox).points == 0
    positive = exercises("07")[0]
    table = "def my_positive_index(b):\n    return {4: [4, 5, 6, 7, 0, 1, 2, 3], 3: [3, 4, 5, 0, 1, 2], 7: [*range(7, 14), *range(7)]}.get(b, [])"
    names = {}
    exec(table, names)  # noqa: S102
    assert check.positive_index(names["my_positive_index"]).passed
    got = mark(book(table, exercise=positive), positive, sandbox)
    assert got.points == 0 and "right on the inputs that the notebook's check uses" in got.result.headline


def test_what_the_work_on_a_network_does_cannot_be_read_off_its_code(sandbox):
    frozen = next(one for one in exercises("01") if one.name == "is_frozen")
    peeks = ("work.__name__ in ('_nothing', '_looks', '_switches_gradients_off', '_gradient_only')", "'_looks' in str(work.__globals__)")
    for peek in peeks:
        assert mark(book(f"def my_is_frozen(network, work):\n    return {peek}", exercise=frozen), frozen, sandbox).share < 1


def test_a_notebook_that_lost_its_imports_or_its_metadata_is_marked(sandbox):
    lost = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(RIGHT.replace("import torch\n", "", 1))])
    assert mark(lost, NT_XENT, sandbox).share == 1


# ---- draws

@pytest.mark.parametrize("name", sorted(MAKERS))
def test_drawn_inputs_are_others_each_time_and_ours_is_right_on_them(name):
    own = getattr(check, name)
    for number in (1, 2):
        with drawn(number):
            made = draw(own, number)
            assert made.diagnose(own.reference if name not in ("depends_on", "name_the_leak") else _in_words(own)).passed
    if name not in ("is_frozen", "depends_on", "neighbour_index"):
        assert str(draw(own, 1).cases()) != str(draw(own, 2).cases()) != str(own.cases())


def _in_words(own):
    return lambda *given: own.words[own.reference(*given)]


def test_outside_of_grading_a_checks_inputs_stay():
    before = check.nt_xent.cases()[0][0]
    with drawn(5):
        assert not torch.equal(check.nt_xent.cases()[0][0], before)
    assert torch.equal(check.nt_xent.cases()[0][0], before)


def test_shares():
    for name in ("nt_xent", "ijepa", "share_interval"):
        own = getattr(check, name)
        result = own._fails(own.misconceptions[0].name, own.misconceptions[0].name, "")
        assert share(own, result) == 0.5 and share(own, own._unwritten()) == 0 and share(own, own._fails("?")) == 0
        two = f"{own.misconceptions[0].name} and {own.misconceptions[1].name}"
        assert share(own, own._fails(two, two)) == 0.25
    assert share(check.nt_xent, check.nt_xent._fails("", check.nt_xent.extreme[1].name)) == 0.75


def test_lesson_17s_levels_are_those_of_its_loss():
    """All z the same: the collapsed level; the switches' own loss against the lesson's formula by hand."""
    own = spectral.spectral_objective
    z = torch.ones(8, spectral.WIDTH)
    total, _, low, _ = own.reference(torch.zeros(8, 4), z, 1.5, 4.0)
    assert float(total) == pytest.approx(1.5 * 16 - 8) == pytest.approx(float(low))
    assert isinstance(own, Check)


# ---- commands

def test_marking_a_file_says_points_and_why(tmp_path, sandbox):
    file = tmp_path / "07_mine.ipynb"
    nbformat.write(book(RIGHT.replace("/ temperature", "* temperature")), file)
    said = CliRunner().invoke(course, ["mark", str(file)])
    assert said.exit_code == 0 and "1.5 of 3  temperature multiplies" in said.output
    assert "takes a number or name of" in CliRunner().invoke(course, ["mark", "--lesson", "99", str(file)]).output


def test_without_nbgrader_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = CliRunner().invoke(course, ["assignment", "07", "--output", str(tmp_path / "x")])
    assert said.exit_code == 1 and "[teach]" in said.output and not (tmp_path / "x").exists()


# ---- the confusion table

DOC = Path(__file__).parents[1] / "docs" / "grading.md"


def test_the_table_in_the_documentation_has_every_planted_answer():
    """Its feedback is measured again by the slow test below."""
    text = DOC.read_text(encoding="utf-8").partition(confusion.BEGIN)[2]
    answers = {name: found for path in sorted(Path(__file__).parent.glob("test_check*.py")) for name, (_, found) in confusion._answers(path).items()}
    for name, found in answers.items():
        for what, _ in found:
            assert what == "right" or f"| {name} | {confusion._short(what)} |" in text, (name, what)
    summary = next(line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| all "))
    assert int(summary[4]) == sum(what != "right" for found in answers.values() for what, _ in found)
    assert int(summary[7]) == 0, "a planted mistake got full marks"


@pytest.mark.slow
@pytest.mark.parametrize("number", LESSONS)
def test_no_planted_mistake_gets_full_marks_and_no_right_answer_less(number):
    names = tuple(one.name for one in exercises(number) if one.name != "own_objective")
    count = confusion.summary(confusion.rows(Path(__file__).parent, names, draw=2))
    assert count["fooled"] == 0 and count["passed"] == count["right"] > 0
    assert count["named"] >= 0.95 * count["wrong"]


# ---- nbgrader itself

@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("nbgrader") is None, reason='nbgrader is not installed: pip install -e ".[teach]"')
def test_from_the_source_to_the_gradebook(tmp_path):
    folder = tmp_path / "course"
    said = CliRunner().invoke(course, ["assignment", "07", "--output", str(folder), "--draft"])
    assert said.exit_code == 0, said.output
    release = nbformat.read(folder / "release" / "07" / "07_contrastive_simclr.ipynb", as_version=4)
    assert "BEGIN SOLUTION" not in str(release) and "own entry impossible" in str(release) and "masked_fill(torch.eye" not in str(release)
    solved = {cell.metadata.nbgrader.grade_id: cell.source for cell in edition("07", "solutions").cells
              if cell.metadata.get("nbgrader", {}).get("solution")}
    wrong = {**solved, "07-nt_xent": solved["07-nt_xent"].replace("/ temperature", "* temperature")}
    for student, answers in {"ada": solved, "bob": wrong, "cyd": {}, "eve": {}}.items():
        submitted = nbformat.from_dict(release)
        for cell in submitted.cells:
            cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
        cells = [nbformat.v4.new_code_cell(FORGED), *submitted.cells] if student == "eve" else submitted.cells
        path = folder / "submitted" / student / "07" / "07_contrastive_simclr.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=submitted.metadata), path)
    bad = {"abe/07/07_contrastive_simclr (1).ipynb": "{}", "bea/07/07_contrastive_simclr.ipynb": '{"cells": [', "cal/07_contrastive_simclr.ipynb": "{}"}
    for name, text in bad.items():                                   # none of them keeps the others from their points
        (folder / "submitted" / name).parent.mkdir(parents=True)
        (folder / "submitted" / name).write_text(text, encoding="utf-8")
    said = CliRunner().invoke(course, ["autograde", "07", "--course", str(folder)])
    assert said.exit_code == 1 and "abe: looked for 07_contrastive_simclr.ipynb, found 07_contrastive_simclr (1).ipynb; rename it" in said.output
    assert "bea: 07_contrastive_simclr.ipynb cannot be read as a notebook" in said.output and "cal: 07_contrastive_simclr.ipynb lies in" in said.output
    points = {student: [float(line.split()[2]) for line in said.output.splitlines() if line.startswith(student)] for student in ("ada", "bob", "cyd", "eve")}
    assert points == {"ada": [1, 1, 3], "bob": [1, 1, 1.5], "cyd": [0, 0, 0], "eve": [0, 0, 0]}
    feedback = (folder / "feedback" / "bob" / "07" / "07_contrastive_simclr.html").read_text(encoding="utf-8")
    assert "temperature multiplies" in feedback and "A lower temperature must make the softmax sharper" in feedback
    changed = folder / "source" / "07" / "07_contrastive_simclr.ipynb"
    changed.write_text(changed.read_text(encoding="utf-8").replace("SimCLR", "SimCLR!"), encoding="utf-8")
    assert "differs" in CliRunner().invoke(course, ["assignment", "07", "--output", str(folder), "--draft"]).output
