"""A guess before anything runs: `predict` asks, keeps the answer, and `reveal` shows it beside what happened.

    guess = predict("07/temperature", "At temperature 0.05, which count?", ["all alike", "the hardest"])
    guess
    ...
    guess.reveal("the hardest")
"""

import html
import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sslab._inputs import takes
from sslab.lab import sharing

FILE = "predictions.json"
STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Revealed:
    """What was guessed and what happened, in words."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>"


@takes()
def predict(name: str, question: str, options: Sequence[str] = (), *, low: float | None = None,
            high: float | None = None, unit: str = "", save: bool = True):
    """Ask for a guess: with `options` one of them, without a number.

    The guess is kept in the returned object and, with the time, added to predictions.json beside the
    notebook. SSLAB_PREDICTIONS=off or `save=False` keeps it in memory only; else, and only after you have called
    `sslab.lab.share`, it goes to the class's folder too.

    Args:
        name: "NN/what", the guess's name in the file.
        question: one sentence.
        options: at least two answers to choose from; none: a number is asked for.
        low, high: what a number may be, ends included.
        unit: in words, shown after the number.
        save: whether to add guesses to the file.
    Returns:
        a widget with .record(guess) (what its button does), .guess (None before) and .reveal(actual).
    Raises:
        ValueError: a single option, or options together with low or high.
    """
    options = [str(option) for option in options]
    if len(options) == 1 or (options and (low, high) != (None, None)):
        raise ValueError(f"options: got {options} (low={low}, high={high}), takes at least two answers, or "
                         "none and the ends of a number")
    return _widget()(name=name, question=question, options=options, low=low, high=high, unit=unit, save=save)


@cache
def _widget() -> type:
    """The widget's class; made when it is first needed, so that importing this module stays quick."""
    import anywidget
    import traitlets

    class Prediction(anywidget.AnyWidget):
        """One question and its guess."""

        _esm = "\n".join((STATIC / name).read_text("utf-8") for name in ("keys.js", "predict.js"))
        _css = (STATIC / "base.css").read_text("utf-8")
        question = traitlets.Unicode().tag(sync=True)
        options = traitlets.List(traitlets.Unicode()).tag(sync=True)
        low = traitlets.Float(None, allow_none=True).tag(sync=True)
        high = traitlets.Float(None, allow_none=True).tag(sync=True)
        unit = traitlets.Unicode().tag(sync=True)
        status = traitlets.Unicode().tag(sync=True)

        def __init__(self, name: str, save: bool, **traits: Any) -> None:
            super().__init__(**traits)
            self.name, self.guess, self._save = name, None, save and os.environ.get("SSLAB_PREDICTIONS") != "off"
            self.status = sharing.invitation() if self._save else ""
            self.on_msg(self._asked)

        def record(self, guess: str | float) -> None:
            """Keep a guess; the last one counts.

            Raises:
                ValueError: not one of the options, or not a number from low to high.
            """
            self.guess = self._checked(guess)
            saved = self._save and _append({
                "name": self.name, "question": self.question, "guess": self.guess,
                "time": datetime.now(UTC).isoformat(timespec="seconds")})
            asked = {"options": self.options} if self.options else {"low": self.low, "high": self.high, "unit": self.unit}
            shared = self._save and sharing.send("guess", prediction=self.name, question=self.question, **asked, guess=self.guess)
            note = "" if saved else " (In this session only.)" if not shared else " (Not kept beside the notebook.)"
            self.status = " ".join(filter(None, [f"Recorded: {self._words(self.guess)}.{note}", shared]))

        def reveal(self, actual: str | float) -> Revealed:
            """Your guess beside what happened: an option, or a number from the run."""
            if self._save and (isinstance(actual, str) or math.isfinite(actual)):
                sharing.send("outcome", prediction=self.name, actual=actual if isinstance(actual, str) else float(actual))
            if self.guess is None:
                return Revealed(f"You recorded no guess this time. It was: {self._words(actual)}.")
            text = f"You said: {self._words(self.guess)}. It was: {self._words(actual)}."
            if not self.options:
                return Revealed(f"{text} That is {abs(float(actual) - self.guess):.3g} apart.")
            if self.guess == str(actual):
                return Revealed(f"{text} The same.")
            return Revealed(f"{text} A surprise: what would have to be true for your guess?")

        def _asked(self, _, content: dict, __) -> None:
            try:
                self.record(content["guess"])
            except (KeyError, ValueError) as error:
                self.status = str(error)

        def _checked(self, guess: str | float) -> str | float:
            from sslab._names import choose

            if self.options:
                return choose(guess, self.options, "guess")
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            try:
                number = float(guess)
            except (TypeError, ValueError):
                number = math.nan
            if not math.isfinite(number) or not low <= number <= high:
                raise ValueError(f"guess: got {guess!r}, takes a number from {low:g} to {high:g}")
            return number

        def _words(self, value: str | float) -> str:
            return value if isinstance(value, str) else f"{float(value):.3g} {self.unit}".strip()

        def _repr_mimebundle_(self, **options: Any):
            """The widget and, for where there is no kernel, the question as text."""
            bundle = super()._repr_mimebundle_(**options)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
            items = "".join(f"<li>{html.escape(option)}</li>" for option in self.options)
            note = html.escape(self.status or "Run the notebook to record your guess.")
            static = f"<p><strong>{html.escape(self.question)}</strong></p><ul>{items}</ul><p>{note}</p>"
            return data | {"text/html": static, "text/plain": repr(self)}, metadata

        def __repr__(self) -> str:
            options = [f"  - {option}" for option in self.options]
            return "\n".join([self.question, *options, self.status]).strip()

    return Prediction


def _append(entry: dict[str, Any]) -> bool:
    """Add a guess to the file; False where that cannot be: a read-only folder, a file that is not ours."""
    path = Path(FILE)
    beside = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if not isinstance(entries, list):
            return False
        text = json.dumps([*entries, entry], indent=1, ensure_ascii=False)
        beside.write_text(text + "\n", encoding="utf-8")
        os.replace(beside, path)
    except (OSError, ValueError):
        return False
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return True
