"""The ledger, its numbers in prose."""

import json
import statistics

import pytest

from sslab.course import prose
from sslab.course.ledger import Ledger, Record, mean_interval, read


def test_interval_is_students():
    """t(0.975, 4) = 2.776: from a printed table."""
    values = [0.80, 0.82, 0.85, 0.83, 0.80]
    mean, (low, high) = mean_interval(values)
    half = 2.776 * statistics.stdev(values) / 5**0.5
    assert mean == pytest.approx(0.82) and high - low == pytest.approx(2 * half, rel=1e-3)
    assert mean_interval([0.5]) == (0.5, None)


def test_difference_is_paired():
    a = Record.of({0: 0.5, 1: 0.9, 2: 0.1})
    b = Record.of({0: 0.4, 1: 0.8, 2: 0.0})
    gap = a.minus(b)
    assert gap.value == pytest.approx(0.1) and gap.interval == pytest.approx((0.1, 0.1))
    with pytest.raises(ValueError, match="paired by seed"):
        a.minus(Record.of({0: 0.4, 1: 0.8}))


def test_written_and_read_back(tmp_path):
    path = tmp_path / "results.json"
    record = Record.of(
        {0: 1 / 3, 1: 0.5}, unit="accuracy", versions={"torch": "2"}, commit="abc", seconds=3.0
    )
    curve = Record(0.1, series={"step": [0.0, 1.0], "loss": [2.0, 0.1]})
    ledger = Ledger(
        {"00/b": record, "00/a": curve}, {"00/c": {"text": "x", "holds": True, "evidence": ["00/a"]}}
    )
    ledger.write(path)
    again = read(path)
    assert again.claims == ledger.claims and again.records["00/a"] == curve
    assert again.records["00/b"].draws == pytest.approx(record.draws, rel=1e-5)
    again.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()
    fields = {"value", "interval", "seeds", "unit", "mode", "device", "seconds", "versions", "commit"}
    tree = json.loads(path.read_text())
    assert fields <= set(tree["records"]["00/b"]) and list(tree["records"]) == ["00/a", "00/b"]
    assert set(tmp_path.iterdir()) == {path, tmp_path / "again.json"}  # nothing left beside them
    assert '"draws": [0.333333, 0.5]' in path.read_text()  # one line a fact


def test_a_ledger_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "results.json"
    Ledger({"00/a": Record(1.0)}).write(path)
    before = path.read_text()
    for bad in (Ledger({"00/A b": Record(1.0)}), Ledger({"00/a": Record(float("nan"))})):
        with pytest.raises(ValueError):
            bad.write(path)
    assert path.read_text() == before


def test_unknown_record_names_the_nearest():
    ledger = Ledger({"00/probe/5/simclr": Record(1.0), "07/x": Record(1.0)})
    with pytest.raises(ValueError, match="did you mean '00/probe/5/simclr'"):
        ledger.record("00/probe/5/simclrs")
    with pytest.raises(ValueError, match="make evidence"):
        Ledger().record("00/probe")


LEDGER = Ledger(
    {
        "00/a": Record.of({0: 0.8, 1: 0.84, 2: 0.85}),
        "00/b": Record.of({0: 0.6, 1: 0.63, 2: 0.64}),
        "00/near": Record.of({0: 0.806, 1: 0.843, 2: 0.85}),            # a - near: -0.006, -0.003, 0, so -0.003 +- 4.303 * 0.003 / sqrt(3)
        "00/one": Record(0.012),
        "00/time/cpu": Record(130.0, unit="s"),
        "00/t/0.5": Record(0.04),
    }
)


@pytest.mark.parametrize(
    "template, text",
    [
        ("{{ 00/a }}", "0.83"),
        ("{{00/a|.1f}}", "0.8"),
        ("{{ 00/a | interval }}", "0.83 [0.76, 0.90]"),
        ("{{ 00/a | percent }}", "83 %"),
        ("{{ 00/a | percent interval }}", "83 % [76, 90]"),
        ("{{ 00/a - 00/b | points interval }}", "21 points [19, 22]"),
        ("{{ 00/a -\n00/b | points }}", "21 points"),
        ("{{ 00/a - 00/near | points interval }}", "-0.3 points [-1.0, 0.4]"),          # near 0: tenths, so that its side is seen
        ("{{ 00/one | points }}", "1 point"),
        ("{{ 00/time/cpu | minutes }}", "3 minutes"),
        ("{{ 00/t/0.5 | .0% }}", "4%"),
        ("{{ claim 00/c }}", "It holds."),
        ("no { template } here", "no { template } here"),
    ],
)
def test_templates(template, text):
    assert prose.fill(template, LEDGER, {"00/c": "It holds."}) == text


@pytest.mark.parametrize(
    "template, problem",
    [
        ("a\n{{ 00/c }}", "record: got '00/c'"),
        ("a\n{{ 00/a | pints }}", "format: got 'pints'"),
        ("a\n{{ 00/t/0.5 | interval }}", "one seed"),
        ("a\n{{ 00/a - 00/b - 00/a }}", "difference of two"),
        ("a\n{{ 00/a - 00/t/0.5 }}", "paired by seed"),
        ("a\n{{ claim 00/d }}", "claim: got '00/d'"),
        ("a\n{{ 00/a | percent points }}", "takes one format"),
    ],
)
def test_templates_that_cannot_be_filled(template, problem):
    with pytest.raises(prose.TemplateError, match=problem) as error:
        prose.fill(template, LEDGER, {})
    assert error.value.line == 1


def test_a_draft_says_what_is_missing():
    assert prose.fill("{{ 00/none | percent }}", LEDGER, {}, draft=True) == prose.MISSING


def test_a_control_with_one_seed_stands_against_every_seed():
    many, one = Record.of({0: 0.8, 1: 0.9, 2: 0.7}), Record.of({0: 0.5})
    assert many.minus(one).draws == pytest.approx((0.3, 0.4, 0.2))
    assert one.minus(many).draws == pytest.approx((-0.3, -0.4, -0.2))
