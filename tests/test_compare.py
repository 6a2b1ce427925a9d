"""`sslab compare`: rows from the evidence's units, resumable, shown as text."""

import pytest
from click.testing import CliRunner

from sslab import cli
from sslab.course import compare as comparing


@pytest.fixture
def measured(monkeypatch):
    """Units are not trained but made up; their order is kept."""
    from sslab.course.evidence import Unit

    calls = []

    def measure(unit):
        calls.append((unit.prefix, unit.seed))
        rows = {str(budget): {"value": 0.5 + 0.01 * unit.seed, "unit": "accuracy"} for budget in comparing.BUDGETS}
        return {"results": {**rows, "effective-rank": {"value": 12.0, "unit": "directions"}}, "seconds": 1.0, "mode": "smoke",
                "device": "cpu", "versions": {}, "commit": ""}

    monkeypatch.setattr(Unit, "measure", measure)
    return calls


def test_rows_of_a_comparison_and_a_killed_one_goes_on(measured, tmp_path):
    ledger = comparing.compare(["digits"], ["vicreg"], cache=tmp_path, say=lambda line: None)
    assert measured == [(f"13/board/digits/{method}", seed) for method in ("vicreg", "random-encoder") for seed in range(3)]
    record = ledger.records["13/board/digits/vicreg/5"]
    assert record.value == pytest.approx(0.51) and len(record.seeds) == 3 and record.interval[0] < 0.51 < record.interval[1]
    measured.clear()
    comparing.compare(["digits"], ["vicreg", "byol"], cache=tmp_path, say=lambda line: None)
    assert {prefix for prefix, _ in measured} == {"13/board/digits/byol"}                    # the rest is in the cache


def test_table_shows_means_and_half_intervals(measured, tmp_path):
    ledger = comparing.compare(["emoji"], ["swav"], cache=tmp_path, say=lambda line: None)
    header, swav, random = comparing.table(ledger, "emoji").splitlines()
    assert header.split()[:5] == ["emoji", "1", "labels", "5", "labels"] and swav.startswith("swav") and random.startswith("random-encoder")
    assert "0.510 ± 0.025" in swav                                   # t(2) = 4.303 times 0.01 / sqrt(3)
    one = comparing.compare(["emoji"], ["swav"], [0], tmp_path, say=lambda line: None)
    assert "±" not in comparing.table(one, "emoji") and "0.500" in comparing.table(one, "emoji")


def test_the_command_names_what_it_does_not_know():
    result = CliRunner().invoke(cli.main, ["compare", "--method", "vikreg"])
    assert result.exit_code == 1 and "did you mean 'vicreg'" in result.output
    result = CliRunner().invoke(cli.main, ["compare", "--dataset", "digit"])
    assert result.exit_code == 1 and "did you mean 'digits'" in result.output
