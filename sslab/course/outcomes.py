"""What the course itself found on each prediction: outcomes.toml with the claims and records that it names."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from sslab.course.claims import Claim
from sslab.course.ledger import Ledger, Record

FILE = Path(__file__).with_name("outcomes.toml")


@dataclass(frozen=True)
class Outcome:
    """For one prediction: the option that came out, or a number, and the claim with whether our records bear it out."""

    answer: str | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None
    claim: str = ""
    holds: bool | None = None                                        # None: not measured yet


def outcomes(ledger: Ledger, claims: dict[str, Claim]) -> dict[str, Outcome]:
    """Prediction's name -> what the course found. A record that is not measured yet gives no number.

    Args:
        ledger: the records.
        claims: the defined claims by name.
    Raises:
        KeyError: outcomes.toml names a claim that is not defined.
    """
    return {name: _outcome(row, ledger, claims) for name, row in tomllib.loads(FILE.read_text(encoding="utf-8")).items()}


def _outcome(row: dict, ledger: Ledger, claims: dict[str, Claim]) -> Outcome:
    record = _record(row, ledger)
    found = Outcome(row.get("answer"), record and record.value, record and record.interval)
    if "claim" not in row:
        return found
    claim = claims[row["claim"]]
    measured = set(claim.evidence) <= set(ledger.records)
    holds = claim.on(ledger) if measured else None
    return replace(found, claim=claim.text, holds=holds, answer=found.answer if holds else None)


def _record(row: dict, ledger: Ledger) -> Record | None:
    names = [row[key] for key in ("record", "minus") if key in row]
    if not names or not set(names) <= set(ledger.records):
        return None
    record = ledger.record(names[0])
    if len(names) == 2:
        record = record.minus(ledger.record(names[1]))
    scale = row.get("scale", 1)
    ends = record.interval and tuple(scale * end for end in record.interval)
    return Record(scale * record.value, ends)
