"""Every notebook of the course: shape, editions, claims, and a run of both editions in smoke mode."""

import pytest

from sslab.course import claims, ledger, run, source
from sslab.course.build import build
from sslab.course.lint import lint

SOURCES = source.paths()
NAMES = [path.stem for path in SOURCES]


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_shape(path):
    assert "\n".join(map(str, lint(path))) == ""


def test_editions_are_built_from_their_sources():
    assert build(check=True) == [], "run make notebooks"


@pytest.mark.parametrize("edition", ["solutions", "student, brief", pytest.param("student", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_runs_in_smoke_mode(path, edition, monkeypatch, tmp_path):
    """The whole notebook within 20 s; the solutions pass their own checks, and exercises that are not done raise nothing."""
    monkeypatch.setenv("SSLAB_MODE", "smoke")
    lesson, (edition, _, brief) = source.read(path), edition.partition(", ")
    report = run.execute(lesson, edition, ledger.read(), cwd=tmp_path, brief=bool(brief))
    if any("may take" in problem for problem in report.problems):
        report = run.execute(lesson, edition, ledger.read(), cwd=tmp_path, brief=bool(brief))  # something else held the cores
    assert report.problems == [] and len(report.cells) > 4
    assert not list(tmp_path.iterdir()), "a notebook leaves nothing behind"


@pytest.mark.parametrize("name", sorted(claims.defined()))
def test_claims(name):
    """It holds on the records, turns false where its effect is removed, and can be put to a single run."""
    claim, records = claims.defined()[name], ledger.read()
    assert claim.on(records)
    assert not claim.on_without(records)
    assert claims.show(name, {key: records.records[key].value for key in claim.evidence}).yours is not None


def test_the_ledger_says_what_the_claims_say():
    assert ledger.read().claims == claims.judge(ledger.read()), "run make evidence"
