"""Numbers in prose: `{{ record | format }}` in a markdown cell is filled in from the ledger at build time.

    {{ 00/probe/5/simclr }}                                     0.83
    {{ 00/probe/5/simclr | percent interval }}                  83 % [81, 85]
    {{ 00/probe/5/simclr - 00/probe/5/raw | points interval }}  21 points [19, 23], paired by seed
    {{ claim 07/no-negatives-collapses }}                       the claim's sentence
"""

import math
import re
from collections.abc import Callable, Mapping

from sslab.course.ledger import Ledger, Record

TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
MISSING = "(not measured yet)"


class TemplateError(ValueError):
    """A template that cannot be filled in; `line` counts from 0 in the text."""

    def __init__(self, body: str, problem: str, line: int) -> None:
        super().__init__(f"{{{{ {body} }}}}: {problem}")
        self.line = line


def fill(text: str, ledger: Ledger, sentences: dict[str, str], draft: bool = False, words: Mapping[str, str] | None = None) -> str:
    """`text` with every template filled in.

    Args:
        text: markdown.
        ledger: where the numbers are.
        sentences: the claims' texts by name.
        draft: a missing record reads "(not measured yet)" and does not raise.
        words: what "points", "minutes" and "1 minute" are called, in another language.
    Raises:
        TemplateError: a record or claim that does not exist, or a format that cannot be read.
    """
    def one(match: re.Match) -> str:
        body = " ".join(match.group(1).split())
        try:
            return _fill_one(body, ledger, sentences, draft, words or {})
        except ValueError as error:
            raise TemplateError(body, str(error), text[: match.start()].count("\n")) from None

    return TEMPLATE.sub(one, text)


def _fill_one(body: str, ledger: Ledger, sentences: dict[str, str], draft: bool, words: Mapping[str, str]) -> str:
    if body.startswith("claim "):
        name = body.removeprefix("claim ").strip()
        if name not in sentences:
            known = ", ".join(sorted(sentences)) or "(none defined)"
            raise ValueError(f"claim: got {name!r}, takes one of {known}")
        return sentences[name]
    expression, _, style = body.partition("|")
    show, with_interval = _style(style.split(), words)
    names = [name.strip() for name in expression.split(" - ")]
    if len(names) > 2:
        raise ValueError("takes one record, or a difference of two")
    if draft and any(name not in ledger.records for name in names):
        return MISSING
    record = ledger.record(names[0])
    if len(names) == 2:
        record = record.minus(ledger.record(names[1]))
    return show(record.value, record) + (_interval(record, show) if with_interval else "")


def _style(asked: list[str], words: Mapping[str, str]) -> tuple[Callable[[float, Record], str], bool]:
    """How to write a value of a record, and whether its interval follows."""
    with_interval = "interval" in asked
    rest = [word for word in asked if word != "interval"] or [".2f"]
    shows = {
        "percent": lambda value, _: f"{100 * value:.0f} %",
        "points": lambda value, record: _points(value, record, words),
        "minutes": lambda value, _: _minutes(value, words),
    }
    if len(rest) > 1:
        raise ValueError(f"format: got {' '.join(asked)!r}, takes one format, and interval after it")
    if rest[0] in shows:
        return shows[rest[0]], with_interval
    try:
        format(1.0, rest[0])
    except ValueError:
        raise ValueError(f"format: got {rest[0]!r}, takes percent, points, minutes, interval or a Python "
                         "format such as .2f") from None
    return lambda value, _: format(value, rest[0]), with_interval


def _interval(record: Record, show: Callable[[float, Record], str]) -> str:
    if record.interval is None:
        raise ValueError("interval: this record has one seed, and so none")
    low, high = (show(end, record).split(" ")[0] for end in record.interval)
    return f" [{low}, {high}]"


def _points(value: float, record: Record, words: Mapping[str, str]) -> str:
    """Whole points, or tenths where the value or an end of its interval lies near 0: its side must be seen."""
    near = any(abs(100 * x) < 0.95 for x in (record.value, *(record.interval or ())))
    number = f"{100 * value:.{int(near)}f}"
    if number in ("1", "-1"):
        return words.get("1 point", "1 point").replace("1", number, 1)
    return f"{number} {words.get('points', 'points')}"


def _minutes(seconds: float, words: Mapping[str, str]) -> str:
    minutes = max(1, math.ceil(seconds / 60))
    return words.get("1 minute", "1 minute") if minutes == 1 else f"{minutes} {words.get('minutes', 'minutes')}"
