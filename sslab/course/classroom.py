"""What a class has shared, read from its folder and counted: guesses against what happened, the mistakes that checks named, quiz answers.

The files are written by `sslab.lab.share`, one answer each; sslab/lab/sharing.py says what is in them. Anyone in
the class can write there: a file that is damaged, or not one of ours, is skipped and listed, never trusted.
"""

import json
import math
import os
import stat
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sslab.lab.sharing import VERSION

LARGEST = 64 * 1024                                                  # bytes; ours have a few hundred
LONGEST = 2000                                                       # characters of a text
FARTHEST = 1e12                                                      # from 0: what a figure can still draw


@dataclass(frozen=True)
class Answer:
    """One file: who (a random number), when, what."""

    session: str
    count: int
    time: datetime
    kind: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Shared:
    """All answers of a folder, in the order in which each session gave them, and (file, reason) of what was skipped."""

    answers: tuple[Answer, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def of(self, kind: str) -> list[Answer]:
        return [answer for answer in self.answers if answer.kind == kind]

    @property
    def sessions(self) -> set[str]:
        return {answer.session for answer in self.answers}


@dataclass
class Prediction:
    """One question with each session's last guess, and what happened in each session's own notebook."""

    name: str
    question: str
    options: list[str]                                               # empty: a number was asked for
    low: float | None = None
    high: float | None = None
    unit: str = ""
    guesses: dict[str, str | float] = field(default_factory=dict)
    outcomes: dict[str, str | float] = field(default_factory=dict)

    @property
    def lesson(self) -> str:
        return self.name.split("/")[0]

    def right(self) -> tuple[int, int]:
        """(sessions whose guess came true in their own run, sessions with both a guess and an outcome); of options only."""
        both = self.guesses.keys() & self.outcomes.keys()
        return sum(self.guesses[session] == self.outcomes[session] for session in both), len(both)


@dataclass
class Checked:
    """One exercise's check: sessions that tried, that pass now, and that ever met each mistake."""

    function: str
    tried: int = 0
    passed: int = 0
    unnamed: int = 0                                                 # wrong at some time, and no mistake that we know
    mistakes: Counter = field(default_factory=Counter)


@dataclass
class Quizzed:
    """One quiz question: each session's first answer, before any feedback."""

    name: str
    answered: int = 0
    right: int = 0
    misconceptions: Counter = field(default_factory=Counter)


# ---- reading


def read(folder: str | os.PathLike, since: datetime | None = None) -> Shared:
    """Read a class's folder.

    Args:
        folder: where `share` wrote.
        since: leave out what is older; without a time zone it is UTC.
    Raises:
        ValueError: the folder is not there.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ValueError(f"folder: got {str(folder)!r}, takes a folder that is there")
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    answers, skipped = [], []
    for name in sorted(os.listdir(path)):
        if not name.endswith((".json", ".part")):
            continue
        try:
            answer = _read(path / name)
        except (ValueError, RecursionError, OSError) as error:
            skipped.append((name, str(error) if isinstance(error, ValueError) else type(error).__name__))
            continue
        if since is None or answer.time >= since:
            answers.append(answer)
    return Shared(tuple(sorted(answers, key=lambda one: (one.session, one.count))), tuple(skipped))


def _read(path: Path) -> Answer:
    """One file; ValueError says what is wrong with it."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):                              # a pipe would wait for ever
        raise ValueError("not a plain file")
    if path.suffix == ".part":
        raise ValueError("unfinished: it was cut off while it was written")
    if found.st_size > LARGEST:
        raise ValueError(f"{found.st_size:,} bytes, takes {LARGEST:,} at most")
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError("not JSON") from None
    if not isinstance(tree, dict) or tree.get("sslab") != VERSION:
        raise ValueError(f'not an answer: it lacks "sslab": {VERSION}')
    kind = tree.get("kind")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise ValueError(f"kind: got {kind!r:.40}, takes one of {', '.join(FIELDS)}")
    fields = COMMON | FIELDS[kind]
    facts = {name: _fact(tree.get(name), name, fits) for name, fits in fields.items()}
    if kind == "guess" and not _possible(facts):
        raise ValueError("guess: not one of the options, or not a number in the range")
    return Answer(facts.pop("session"), facts.pop("count"), facts.pop("time"), kind, facts)


def _fact(value: Any, name: str, fits: Callable[[Any], Any]) -> Any:
    try:
        return fits(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: got {value!r:.40}, which cannot be") from None


def _text(value: Any) -> str:
    value = " ".join(value.split()) if isinstance(value, str) else None
    if not value or len(value) > LONGEST or not value.isprintable():
        raise ValueError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= FARTHEST:
        raise ValueError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text_or_number(value: Any) -> str | float:
    return _text(value) if isinstance(value, str) else _number(value)


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > 50:
        raise ValueError
    return [_text(one) for one in value]


def _or(empty: Any, fits: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same where the field may be missing."""
    return lambda value: empty if value is None or value == "" else fits(value)


COMMON = {"session": _text, "count": _whole, "time": _time}
FIELDS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "joined": {"name": _or("", _text)},
    "guess": {"prediction": _text, "question": _text, "options": _or([], _texts), "low": _or(None, _number),
              "high": _or(None, _number), "unit": _or("", _text), "guess": _text_or_number},
    "outcome": {"prediction": _text, "actual": _text_or_number},
    "check": {"function": _text, "passed": _switch, "misconception": _or("", _text)},
    "quiz": {"question": _text, "answer": _text, "right": _switch, "misconception": _or("", _text)},
}


def _possible(facts: Mapping[str, Any]) -> bool:
    guess = facts["guess"]
    if facts["options"]:
        return guess in facts["options"]
    low, high = (facts[end] if facts[end] is not None else sign * math.inf for end, sign in (("low", -1), ("high", 1)))
    return isinstance(guess, float) and low <= guess <= high


# ---- counting


def predictions(shared: Shared, lessons: Iterable[str] = ()) -> list[Prediction]:
    """The questions that were guessed at, lesson by lesson in the order in which they were met.

    Each session's last guess and last outcome count.

    A question that differs between sessions (another version of the notebook) is shown as most have it.

    Args:
        lessons: numbers such as "07"; none: all.
    """
    found: list[Prediction] = []
    wanted = set(lessons)
    guesses = shared.of("guess")
    places: dict[str, list[int]] = {}
    for answer in guesses:
        places.setdefault(answer.facts["prediction"], []).append(answer.count)
    for name in sorted(places, key=lambda name: (name.split("/")[0], statistics.median(places[name]), name)):
        mine = [answer for answer in guesses if answer.facts["prediction"] == name]
        form = Counter(json.dumps([answer.facts[key] for key in ("question", "options", "low", "high", "unit")])
                       for answer in mine).most_common(1)[0][0]
        one = Prediction(name, *json.loads(form))
        for answer in mine:
            guess = answer.facts["guess"]
            if isinstance(guess, str) == bool(one.options):
                one.guesses[answer.session] = guess
                one.options += [guess] if one.options and guess not in one.options else []
        for answer in shared.of("outcome"):
            if answer.facts["prediction"] == name and isinstance(answer.facts["actual"], str) == bool(one.options):
                one.outcomes[answer.session] = answer.facts["actual"]
        if one.guesses and (not wanted or one.lesson in wanted):
            found.append(one)
    return found


def checks(shared: Shared) -> list[Checked]:
    """Every check that was run, the one with most sessions stuck first."""
    found: dict[str, Checked] = {}
    for function, sessions in _by_session(shared.of("check"), "function").items():
        one = found[function] = Checked(function, tried=len(sessions))
        for answers in sessions.values():
            one.passed += answers[-1].facts["passed"]
            named = {answer.facts["misconception"] for answer in answers if not answer.facts["passed"]}
            one.mistakes.update(named - {""})
            one.unnamed += "" in named
    return sorted(found.values(), key=lambda one: (one.passed - one.tried, one.function))


def quizzes(shared: Shared, lessons: Iterable[str] = ()) -> list[Quizzed]:
    """Every quiz question that was answered, in the course's order."""
    found, wanted = [], set(lessons)
    for name, sessions in sorted(_by_session(shared.of("quiz"), "question").items()):
        first = [answers[0].facts for answers in sessions.values()]
        missed = Counter(facts["misconception"] for facts in first if not facts["right"] and facts["misconception"])
        if not wanted or name.split("/")[0] in wanted:
            found.append(Quizzed(name, len(first), sum(facts["right"] for facts in first), missed))
    return found


def _by_session(answers: Iterable[Answer], key: str) -> dict[str, dict[str, list[Answer]]]:
    """Answers by what `key` names, then by session, in order."""
    found: dict[str, dict[str, list[Answer]]] = {}
    for answer in answers:
        found.setdefault(answer.facts[key], {}).setdefault(answer.session, []).append(answer)
    return found
