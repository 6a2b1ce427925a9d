"""Claims: what the prose says a reader will see, as a sentence with a predicate over records.

    @define_claim("07/no-negatives-collapses",
                  "Without negatives the projection collapses: its effective rank falls below 2.",
                  evidence=["07/negatives/off/rank", "07/negatives/on/rank"],
                  without={"07/negatives/off/rank": "07/negatives/on/rank"})
    def _(r):
        return r["07/negatives/off/rank"].value < 2

`without` is the world without the effect: record name -> the record whose numbers it gets, or a number. On it
the claim must turn false; a test holds every claim to that.
"""

import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sslab._names import choose
from sslab.course import ledger as ledgers
from sslab.course.ledger import Ledger, Record

YOURS = "yours"                                                     # the mode of a student's own single run


@dataclass(frozen=True)
class Claim:
    """A sentence that its evidence makes true or false."""

    name: str
    text: str
    evidence: tuple[str, ...]
    without: Mapping[str, str | float]
    holds: Callable[[Mapping[str, Record]], bool]

    def on(self, ledger: Ledger) -> bool:
        """Whether the claim holds on the ledger's records."""
        return bool(self.holds({name: ledger.record(name) for name in self.evidence}))

    def on_without(self, ledger: Ledger) -> bool:
        """Whether it holds when the effect is removed: it must not."""
        records = {name: ledger.record(name) for name in self.evidence}
        for name, other in self.without.items():
            records[name] = (ledger.record(other) if isinstance(other, str)
                             else _constant(ledger.record(name), float(other)))
        return bool(self.holds(records))


_DEFINED: dict[str, Claim] = {}


def define_claim(name: str, text: str, evidence: Sequence[str], without: Mapping[str, str | float]):
    """Make the decorated predicate, records -> bool, a claim.

    Args:
        name: "NN/what-it-says".
        text: the sentence a student reads: plain prose, no measured numbers.
        evidence: names of the records that the predicate gets.
        without: the effect removed: record name -> another record's name, or a number.
    Raises:
        ValueError: no evidence, or `without` is empty or names a record that is not evidence.
    """
    if not evidence or not without or not set(without) <= set(evidence):
        raise ValueError(f"{name}: without: got {dict(without)}, takes at least one of {list(evidence)}")

    def decorate(holds: Callable) -> Callable:
        _DEFINED[name] = Claim(name, text, tuple(evidence), dict(without), holds)
        return holds

    return decorate


def defined() -> dict[str, Claim]:
    """Every claim of every lesson, by name."""
    from sslab.course import lessons

    lessons.load()
    return dict(_DEFINED)


def sentences() -> dict[str, str]:
    """The claims' texts by name."""
    return {name: claim.text for name, claim in defined().items()}


def judge(ledger: Ledger) -> dict[str, dict]:
    """The ledger's "claims": every claim whose records are there, with whether it holds."""
    return {name: {"text": claim.text, "holds": claim.on(ledger), "evidence": list(claim.evidence)}
            for name, claim in sorted(defined().items()) if set(claim.evidence) <= set(ledger.records)}


def every(record: Record, holds: Callable[[float], bool]) -> bool:
    """Whether it holds of the mean and of every seed."""
    return all(map(holds, (record.value, *record.draws)))


def beats(a: Record, b: Record, margin: float = 0.0) -> bool:
    """Whether `a` is above `b` by more than `margin`, intervals apart.

    That is: the 95 % t-interval of the differences, paired by seed, lies above `margin`. It takes at least
    3 seeds. A student has one run: there it says only that `a` came out above `b`.
    """
    if YOURS in (a.mode, b.mode):
        return a.value > b.value
    gap = a.minus(b)
    return len(gap.draws) >= 3 and gap.interval[0] > margin


class ClaimDiffers(AssertionError):
    """Under SSLAB_CLAIMS=strict: the student's own run does not show what the claim says."""


@dataclass(frozen=True)
class Shown:
    """A claim as a notebook shows it: ours beside yours, and whether each agrees (None: no numbers)."""

    name: str
    text: str
    rows: tuple[tuple[str, str, str], ...]                          # (record, ours, yours)
    ours: bool | None
    yours: bool | None

    def __repr__(self) -> str:
        lines = [self.text] + [f"  {name}: ours {ours}, yours {yours}" for name, ours, yours in self.rows]
        return "\n".join([*lines, f"  {self.verdict}"])

    def _repr_html_(self) -> str:
        rows = "".join(f'<tr><th scope="row" style="text-align:left">{html.escape(name)}</th><td>{ours}</td>'
                       f"<td>{yours}</td></tr>" for name, ours, yours in self.rows)
        head = "".join(f'<th scope="col">{word}</th>' for word in ("measured", "ours", "yours"))
        return (f"<p><strong>{html.escape(self.text)}</strong></p>"
                f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
                f"<p>{html.escape(self.verdict)}</p>")

    @property
    def verdict(self) -> str:
        ours = {True: "Our records agree.", False: "Our records do not agree.",
                None: "We have not measured this yet."}[self.ours]
        yours = {True: " So does your run." if self.ours else " Your run agrees.",
                 False: " Your run came out differently: runs vary. Look at what you changed, run again.",
                 None: ""}[self.yours]
        return ours + yours


def show(name: str, yours: Mapping[str, float] | None = None) -> Shown:
    """A claim with our numbers and a student's own; see `sslab.course.claim`.

    Args:
        name: the claim's name.
        yours: record name -> the value that the student's run gave; ours stand in for the records left out.
    Raises:
        ValueError: an unknown claim, or a record that is not its evidence.
        ClaimDiffers: SSLAB_CLAIMS=strict and the student's run does not agree.
    """
    claim = defined()[choose(name, defined(), "claim")]
    yours = {choose(key, claim.evidence, "yours"): float(value) for key, value in (yours or {}).items()}
    ledger = ledgers.read()
    known = {key: ledger.records[key] for key in claim.evidence if key in ledger.records}
    ours = claim.on(ledger) if len(known) == len(claim.evidence) else None
    own = {key: Record(yours[key] if key in yours else known[key].value, mode=YOURS)
           for key in claim.evidence if key in yours or key in known}
    agrees = bool(claim.holds(own)) if yours and len(own) == len(claim.evidence) else None
    rows = tuple((key, _words(known.get(key)), f"{yours[key]:.3g}" if key in yours else "")
                 for key in claim.evidence)
    shown = Shown(name, claim.text, rows, ours, agrees)
    if agrees is False and os.environ.get("SSLAB_CLAIMS") == "strict":
        raise ClaimDiffers(repr(shown))
    return shown


def _words(record: Record | None) -> str:
    if record is None:
        return "not measured yet"
    ends = "" if record.interval is None else " [{:.3g}, {:.3g}]".format(*record.interval)
    return f"{record.value:.3g}{ends}"


def _constant(record: Record, value: float) -> Record:
    interval = None if record.interval is None else (value, value)
    return replace(record, value=value, interval=interval, draws=(value,) * len(record.draws))
