"""Claims and evidence: made-up ones here; every lesson's own claims in test_notebooks.py."""

import json

import pytest
from click.testing import CliRunner

from sslab.course import claims, evidence, ledger
from sslab.course.claims import beats, define_claim
from sslab.course.ledger import Ledger, Record


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No lesson's claims and evidence, and notebooks of our own."""
    monkeypatch.setattr("sslab.course.lessons.load", lambda: None)
    monkeypatch.setattr(claims, "_DEFINED", {})
    monkeypatch.setattr(evidence, "_DEFINED", {})
    monkeypatch.setenv("SSLAB_NOTEBOOKS", str(tmp_path / "notebooks"))
    monkeypatch.setenv("SSLAB_MODE", "class")


def ours_beats_raw(margin=0.1):
    @define_claim(
        "99/ours-beats-raw",
        "Ours beats raw pixels.",
        evidence=["99/ours", "99/raw"],
        without={"99/ours": "99/raw"},
    )
    def _(r):
        return beats(r["99/ours"], r["99/raw"], margin)


def ledger_with(ours, raw):
    made = Ledger({"99/ours": Record.of(dict(enumerate(ours))), "99/raw": Record.of(dict(enumerate(raw)))})
    made.write(ledger.folder() / "results.json")
    return made


def test_beats_is_paired_and_knows_its_margin():
    raw = Record.of(dict(enumerate([0.2, 0.5, 0.8])))  # seeds differ much, the gain does not
    ours = Record.of(dict(enumerate([0.31, 0.62, 0.93])))
    assert beats(ours, raw) and beats(ours, raw, 0.05) and not beats(ours, raw, 0.12) and not beats(raw, ours)
    assert not beats(ours, ours)
    assert not beats(Record.of({0: 0.9, 1: 0.91}), Record.of({0: 0.1, 1: 0.11}))  # two seeds are too few
    assert not beats(Record.of({0: 0.9}), Record.of({0: 0.1}))


def test_a_claim_turns_false_without_its_effect():
    ours_beats_raw()
    records = ledger_with([0.8, 0.82, 0.81], [0.6, 0.61, 0.6])
    claim = claims.defined()["99/ours-beats-raw"]
    assert claim.on(records) and not claim.on_without(records)
    assert claims.judge(records) == {
        "99/ours-beats-raw": {
            "text": "Ours beats raw pixels.",
            "holds": True,
            "evidence": ["99/ours", "99/raw"],
        }
    }
    assert claims.judge(Ledger()) == {}


def test_without_takes_numbers():
    @define_claim("99/low", "It is low.", evidence=["99/ours"], without={"99/ours": 9.0})
    def _(r):
        return r["99/ours"].interval[1] < 2

    records = ledger_with([1.0, 1.1, 1.0], [0, 0, 0])
    assert claims.defined()["99/low"].on(records) and not claims.defined()["99/low"].on_without(records)
    with pytest.raises(ValueError, match="without"):
        define_claim("99/x", "x", evidence=["99/ours"], without={"99/raw": 0.0})


def test_ours_and_yours(monkeypatch):
    ours_beats_raw()
    ledger_with([0.8, 0.82, 0.81], [0.6, 0.61, 0.6])
    shown = claims.show("99/ours-beats-raw", {"99/ours": 0.7})
    assert shown.ours and shown.yours and "ours 0.81 [0.785, 0.835], yours 0.7" in repr(shown)
    assert "<strong>Ours beats raw pixels.</strong>" in shown._repr_html_()
    differs = claims.show("99/ours-beats-raw", {"99/ours": 0.5, "99/raw": 0.6})
    assert differs.yours is False and "differently" in repr(differs)
    assert claims.show("99/ours-beats-raw").yours is None
    monkeypatch.setenv("SSLAB_CLAIMS", "strict")
    claims.show("99/ours-beats-raw", {"99/ours": 0.7})
    with pytest.raises(claims.ClaimDiffers, match="yours 0.5"):
        claims.show("99/ours-beats-raw", {"99/ours": 0.5})


def test_shown_before_it_is_measured():
    ours_beats_raw()
    shown = claims.show("99/ours-beats-raw", {"99/ours": 0.7, "99/raw": 0.6})
    assert shown.ours is None and shown.yours and "not measured yet" in repr(shown)
    assert claims.show("99/ours-beats-raw", {"99/ours": 0.7}).yours is None
    with pytest.raises(ValueError, match="did you mean '99/ours-beats-raw'"):
        claims.show("99/ours-beat-raw")
    with pytest.raises(ValueError, match="yours: got '99/our'"):
        claims.show("99/ours-beats-raw", {"99/our": 0.7})


def measured(calls, fail_at=None):
    """Evidence that counts its calls, and breaks off at one of them."""

    @evidence.evidence("99/t", seeds=range(3), unit="accuracy", t=(0.1, 0.5))
    def _(seed, t):
        if (seed, t) == fail_at:
            raise KeyboardInterrupt
        calls.append((seed, t))
        return {
            "score": t + 0.01 * seed,
            "took": (2.0, "s"),
            "draws": [0.0, 1.0],
            "loss": {"step": [0, 1], "loss": [1.0, float(seed)]},
        }


def test_evidence_resumes(tmp_path):
    calls, made, cache = [], Ledger({"99/t/0.3/score": Record(1.0), "98/x": Record(1.0)}), tmp_path / "cache"
    measured(calls, fail_at=(1, 0.5))
    with pytest.raises(KeyboardInterrupt):
        list(evidence.make(evidence.defined(), made, cache=cache, say=str))
    assert calls == [(0, 0.1), (1, 0.1), (2, 0.1), (0, 0.5)] and "99/t/0.1/score" in made.records
    measured(calls)
    list(evidence.make(evidence.defined(), made, cache=cache, say=str))
    assert calls[4:] == [(1, 0.5), (2, 0.5)]  # only what was missing
    score = made.records["99/t/0.5/score"]
    assert score.value == pytest.approx(0.51) and score.seeds == (0, 1, 2) and score.unit == "accuracy"
    assert (
        score.draws == pytest.approx((0.5, 0.51, 0.52)) and score.mode == "class" and score.versions["torch"]
    )
    assert made.records["99/t/0.5/took"].unit == "s" and made.records["99/t/0.5/draws"].value == 0.5
    assert made.records["99/t/0.5/loss"].series == {"step": [0.0, 1.0], "loss": [1.0, 1.0]}
    assert (
        "99/t/0.3/score" not in made.records and "98/x" in made.records
    )  # what is no longer made is dropped
    list(evidence.make(evidence.defined(), made, cache=cache, say=str))
    assert len(calls) == 6
    list(evidence.make(evidence.defined(), made, force=True, cache=cache, say=str))
    assert len(calls) == 12


def test_a_new_version_or_mode_measures_again(tmp_path, monkeypatch):
    calls = []
    measured(calls)
    list(evidence.make(evidence.defined(), Ledger(), cache=tmp_path, say=str))
    monkeypatch.setenv("SSLAB_MODE", "smoke")
    list(evidence.make(evidence.defined(), Ledger(), cache=tmp_path, say=str))
    assert len(calls) == 12

    @evidence.evidence("99/t", seeds=range(3), version=2, t=(0.1, 0.5))
    def _(seed, t):
        calls.append(seed)
        return {"": 1.0}

    made = Ledger()
    list(evidence.make(evidence.defined(), made, cache=tmp_path, say=str))
    assert len(calls) == 18 and list(made.records) == ["99/t/0.1", "99/t/0.5"]


def test_evidence_refuses_what_is_not_a_number_or_a_name(tmp_path):
    for results, problem in (
        ({"a": float("nan")}, "takes finite numbers"),
        ({"A b": 1.0}, "record: got '99/n/A b'"),
    ):
        evidence.evidence("99/n")(lambda seed, results=results: results)
        with pytest.raises(ValueError, match=problem):
            list(evidence.make(evidence.defined(), Ledger(), cache=tmp_path, say=str))
    with pytest.raises(ValueError, match="one lies under the other"):
        evidence.evidence("99/n/more")
    with pytest.raises(ValueError, match="evidence: got '99/m', takes one of 99/n"):
        evidence.defined(["99/m"])


def test_command_line(tmp_path, monkeypatch):
    from sslab.course.cli import course

    calls = []
    measured(calls)
    define_claim(
        "99/high",
        "More is more.",
        evidence=["99/t/0.5/score", "99/t/0.1/score"],
        without={"99/t/0.5/score": "99/t/0.1/score"},
    )(lambda r: beats(r["99/t/0.5/score"], r["99/t/0.1/score"], 0.3))
    run = CliRunner()
    assert "99/t" in run.invoke(course, ["evidence", "--list"]).output and not calls
    outcome = run.invoke(course, ["evidence", "99"])
    assert outcome.exit_code == 0 and "holds  99/high" in outcome.output, outcome.output
    tree = json.loads((ledger.folder() / "results.json").read_text())
    assert tree["claims"]["99/high"]["holds"] is True and tree["records"]["99/t/0.5/score"]["seeds"] == [
        0,
        1,
        2,
    ]
    assert "6/6 finished" in run.invoke(course, ["evidence", "--list"]).output
    assert run.invoke(course, ["evidence", "--force", "99/t"]).exit_code == 0 and len(calls) == 12
    assert "takes one of 99/t" in run.invoke(course, ["evidence", "98"]).output
    before = (ledger.folder() / "results.json").read_bytes()
    monkeypatch.setenv("SSLAB_MODE", "smoke")
    assert run.invoke(course, ["evidence"]).exit_code == 0
    assert (ledger.folder() / "results.json").read_bytes() == before  # smoke never touches it
