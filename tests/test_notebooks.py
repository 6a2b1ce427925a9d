"""Every notebook of the course: shape, editions, claims, and a run of both editions in smoke mode."""

import os
from concurrent.futures import ThreadPoolExecutor

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


def run_in_smoke_mode(path, edition, folder):
    edition, _, brief = edition.partition(", ")
    return run.execute(source.read(path), edition, ledger.read(), cwd=folder, brief=bool(brief))


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """Every run that is asked for, two at a time: most of one is a single core's work. (path, edition) -> (report to come, folder)"""
    asked = [item.callspec.params for item in request.session.items if item.originalname == "test_runs_in_smoke_mode"]
    pool, found = ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSLAB_MODE", "smoke")
        patch.setenv("OMP_NUM_THREADS", "1")
        for each in asked:
            folder = tmp_path_factory.mktemp("run")
            found[each["path"], each["edition"]] = pool.submit(run_in_smoke_mode, **each, folder=folder), folder
        yield found
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("edition", ["solutions", "student, brief", pytest.param("student", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_runs_in_smoke_mode(path, edition, runs):
    """The whole notebook within 20 s; the solutions pass their own checks, and exercises that are not done raise nothing."""
    report, folder = runs[path, edition]
    report = report.result()
    if any("may take" in problem for problem in report.problems):
        report = run_in_smoke_mode(path, edition, folder)            # something else held the cores
    assert report.problems == [] and len(report.cells) > 4
    assert not list(folder.iterdir()), "a notebook leaves nothing behind"


@pytest.mark.parametrize("name", sorted(claims.defined()))
def test_claims(name):
    """It holds on the records, turns false where its effect is removed, and can be put to a single run."""
    claim, records = claims.defined()[name], ledger.read()
    assert claim.on(records)
    assert not claim.on_without(records)
    assert claims.show(name, {key: records.records[key].value for key in claim.evidence}).yours is not None


def test_the_ledger_says_what_the_claims_say():
    assert ledger.read().claims == claims.judge(ledger.read()), "run make evidence"
