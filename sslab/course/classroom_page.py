"""The class's page: one HTML file with everything in it, what was guessed beside what happened."""

import base64
import errno
import html
import io
import json
import os
import re
import textwrap
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sslab.course.classroom import Checked, Prediction, Quizzed, Shared, checks, predictions, quizzes
from sslab.course.ledger import folder, write_atomically
from sslab.course.outcomes import Outcome

LISTED = 200                                                         # skipped files that are named
BINS = 24

STYLE = """
:root { color-scheme: light; }
body { font: 11pt/1.45 system-ui, sans-serif; margin: 2em auto; padding: 0 1.2em; max-width: 60em; background: #fff; color: #111; }
h1 { font-size: 1.6em; margin: 0 0 .2em; }
h2 { font-size: 1.3em; margin: 1.8em 0 .4em; border-bottom: 1px solid #888; }
h3 { font-size: 1.05em; margin: 1.4em 0 .2em; }
p { margin: .3em 0; max-width: 50em; }
figure { margin: .4em 0; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: .5em 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2em 1em .2em 0; text-align: left; font-weight: normal; vertical-align: top; border-bottom: 1px solid #ddd; }
thead th { font-weight: bold; border-bottom: 1px solid #888; }
.small { font-size: .88em; color: #444; overflow-wrap: anywhere; }
@media print { h3, figure, table { break-inside: avoid; } h2, h3 { break-after: avoid; } details { display: none; } }
"""


def page(shared: Shared, found: Mapping[str, Outcome], lessons: Sequence[str] = (), before: bool = False) -> str:
    """The page as HTML.

    Args:
        shared: what was read from the class's folder.
        found: what the course found, by prediction.
        lessons: numbers such as "07"; none: all.
        before: only the guesses, nothing of what happened: to show before the run.
    """
    guessed = predictions(shared, lessons)
    parts = [_head(shared, before)]
    for lesson in sorted({one.lesson for one in guessed}):
        parts.append(f"<h2>{_e(_title(lesson))}</h2>")
        parts += [_prediction(one, Outcome() if before else found.get(one.name, Outcome()), before)
                  for one in guessed if one.lesson == lesson]
    if not before:
        parts += [_checks(_of_lessons(checks(shared), lessons)), _quizzes(quizzes(shared, lessons))]
    if not any(parts[1:]):
        parts.append("<p>There is nothing to show yet.</p>")
    parts.append(_skipped(shared))
    body = "\n".join(filter(None, parts))
    return ("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            f"<title>What the class said</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n")


def write(text: str, path: Path, replace: bool = False) -> None:
    """Write a page; a file that is there is replaced only if `replace` says so.

    Raises:
        FileExistsError: it is there.
        OSError: it cannot be written.
    """
    if os.path.lexists(path) and not replace:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    write_atomically(path, text)


# ---- the parts


def _head(shared: Shared, before: bool) -> str:
    made = time.strftime("%Y-%m-%d %H:%M")
    told = "Guesses only: what happened is left out." if before else "Each question counts a session's last guess."
    return (f"<h1>What the class said{'' if before else ', and what happened'}</h1>"
            f"<p class=\"small\">{_some(len(shared.sessions), 'session')}, {_some(len(shared.answers), 'file')} read. A session is one run of one "
            f"notebook, by one student or one pair. {told} Made by sslab, {made}.</p>")


def _prediction(one: Prediction, outcome: Outcome, before: bool) -> str:
    figure, says = (choices if one.options else numbers)(one, outcome, before)
    lines = [_middle(one)] if before else [_middle(one), _who_was_right(one), _ours(one, outcome)]
    said = "".join(f"<p>{_e(line)}</p>" for line in lines if line)
    return f"<h3>{_e(one.question)}</h3>{_image(figure, says)}{said}{_every_answer(one, before)}"


def _middle(one: Prediction) -> str:
    """Of numbers: how many, and where the middle is."""
    if one.options:
        return ""
    guesses = list(one.guesses.values())
    if len(guesses) == 1:
        return f"1 guess: {guesses[0]:.3g}."
    return f"{len(guesses)} guesses, from {min(guesses):.3g} to {max(guesses):.3g}; half of them below {_median(guesses):.3g}."


def _who_was_right(one: Prediction) -> str:
    """How many guesses came true in the students' own notebooks."""
    if one.options:
        right, both = one.right()
        return f"{right} of {both} guesses came true in the student's own notebook." if both else ""
    gaps = sorted(abs(one.guesses[key] - one.outcomes[key]) for key in one.guesses.keys() & one.outcomes.keys())
    return f"Half of the guesses were within {_median(gaps):.3g} of what the student's own notebook gave." if gaps else ""


def _ours(one: Prediction, outcome: Outcome) -> str:
    """What the course found."""
    lines = []
    if outcome.answer is not None:
        lines.append(f"The course's answer: {outcome.answer}.")
    if outcome.value is not None:
        ends = "" if outcome.interval is None else f" [{outcome.interval[0]:.3g}, {outcome.interval[1]:.3g}]"
        lines.append(f"The course measured {outcome.value:.3g}{ends} {one.unit}".rstrip() + ".")
    if outcome.claim:
        state = {True: "Our records agree.", False: "Our records do not bear this out.", None: "We have not measured this yet."}
        lines.append(f"The claim: {outcome.claim} {state[outcome.holds]}")
    return " ".join(lines)


def _every_answer(one: Prediction, before: bool) -> str:
    """The numbers behind the figure."""
    if one.options:
        guessed, came = Counter(one.guesses.values()), Counter(one.outcomes.values())
        columns = ("answer", "guessed by", "came out in")
        rows = [(option, guessed[option], came[option]) for option in one.options]
    else:
        columns = ("guess", "came out")
        rows = [(f"{guess:.4g}", f"{one.outcomes[key]:.4g}" if key in one.outcomes else "")
                for key, guess in sorted(one.guesses.items(), key=lambda item: item[1])]
    kept = -1 if before else None                                    # without what came out
    return _details("The numbers", columns[:kept], [row[:kept] for row in rows])


def _checks(found: Sequence[Checked]) -> str:
    if not found:
        return ""
    rows = []
    for one in found:
        named = [f"{count} × {name}" for name, count in one.mistakes.most_common()]
        named += [f"{one.unnamed} × a mistake without a name"] if one.unnamed else []
        rows.append((f"check.{one.function}", f"{one.passed} of {one.tried}", "; ".join(named) or "–"))
    top = Counter({f"{name} ({one.function})": count for one in found for name, count in one.mistakes.items()}).most_common(12)
    picture = _image(*bars([name for name, _ in top], [count for _, count in top], "sessions that met it")) if top else ""
    return ("<h2>Exercises: the mistakes that checks named</h2><p>A session counts once for each mistake that it ever met.</p>"
            f"{picture}{_table(('exercise', 'pass now', 'mistakes met'), rows)}")


def _quizzes(found: Sequence[Quizzed]) -> str:
    if not found:
        return ""
    rows = [(one.name, f"{one.right} of {one.answered}",
             "; ".join(f"{count} × {name}" for name, count in one.misconceptions.most_common()) or "–") for one in found]
    return ("<h2>Quiz: first answers</h2>" + _table(("question", "right at once", "beliefs behind wrong answers"), rows))


def _skipped(shared: Shared) -> str:
    if not shared.skipped:
        return ""
    rest = [("and more", f"{len(shared.skipped) - LISTED:,}")] if len(shared.skipped) > LISTED else []
    rows = [*shared.skipped[:LISTED], *rest]
    return f"<h2>Skipped files</h2><p>{_some(len(shared.skipped), 'file')} could not be read.</p>{_table(('file', 'why'), rows)}"


# ---- the figures


def choices(one: Prediction, outcome: Outcome, before: bool = False) -> tuple[bytes, str]:
    """How many guessed each option; what happened is blue. -> (PNG, a sentence that says what it shows)"""
    guessed, came = Counter(one.guesses.values()), Counter() if before else Counter(one.outcomes.values())
    happened = {outcome.answer} if outcome.answer is not None else {option for option, _ in came.most_common(1)}
    counts = [guessed[option] for option in one.options]
    notes = [" · ".join(filter(None, ["what happened" if option in happened else "",
                                      f"in {came[option]} of {sum(came.values())} runs" if came[option] else ""]))
             for option in one.options]
    png, _ = bars(one.options, counts, "sessions", happened, notes)
    parts = [f"{count} of {sum(counts)} said \"{option}\"" + (" (what happened)" if option in happened else "")
             for option, count in zip(one.options, counts, strict=True)]
    return png, "; ".join(parts) + "."


def bars(names: Sequence[str], counts: Sequence[int], label: str, marked: Iterable[str] = (), notes: Sequence[str] = ()) -> tuple[bytes, str]:
    """A horizontal bar for each name -> (PNG, a sentence)."""
    from matplotlib.ticker import MaxNLocator

    from sslab.figures.style import COLOURS, new_figure

    marked = set(marked)
    wrapped = [textwrap.shorten(name, 110, placeholder=" ...") for name in names]
    wrapped = ["\n".join(textwrap.wrap(name, 38)) for name in wrapped]
    with _plain_text():
        figure, (axis,) = new_figure(width=7.6, height=0.5 + 0.17 * sum(2 + name.count("\n") for name in wrapped))
        rows = range(len(names))
        axis.barh(rows, counts, height=0.6, color=[COLOURS[0] if name in marked else "0.72" for name in names])
        for row, count in zip(rows, counts, strict=True):
            note = notes[row] if notes else ""
            axis.annotate("  ".join(filter(None, [str(count), note])), (count, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
        axis.set_yticks(rows, wrapped)
        axis.set(xlabel=label, xlim=(0, 1.45 * max([*counts, 1])), ylim=(len(names) - 0.5, -0.5))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _png(figure), "; ".join(f"{name}: {count}" for name, count in zip(names, counts, strict=True)) + "."


def numbers(one: Prediction, outcome: Outcome, before: bool = False) -> tuple[bytes, str]:
    """A dot for each guess, stacked; below, a tick for each student's own outcome; a line for the course's. -> (PNG, a sentence)"""
    import numpy as np

    from sslab.figures.style import COLOURS, new_figure

    guesses, came = list(one.guesses.values()), [] if before else list(one.outcomes.values())
    known = [outcome.value] if outcome.value is not None else []
    low = one.low if one.low is not None else min(guesses + came + known)
    high = one.high if one.high is not None else max(guesses + came + known)
    low, high = min([low, *came, *known]), max([high, *came, *known])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    columns = np.clip(np.digitize(guesses, edges) - 1, 0, BINS - 1)
    heights = [int((columns[:index] == column).sum()) for index, column in enumerate(columns)]
    with _plain_text():
        figure, (axis,) = new_figure(width=7.6, height=2.2)
        tall = max(heights) + 1
        axis.plot((edges[columns] + edges[columns + 1]) / 2, heights, "o", color="0.55", markersize=min(9, 90 / tall), label="guesses", clip_on=False)
        if came:
            axis.plot(came, [-1] * len(came), "|", color=COLOURS[3], markersize=12, label="students' own runs", clip_on=False)
        if known:
            axis.axvline(outcome.value, color=COLOURS[0], label="the course's records")
            if outcome.interval is not None:
                axis.axvspan(*outcome.interval, color=COLOURS[0], alpha=0.2, linewidth=0)
        axis.set(xlim=(low, high), ylim=(-1.6, max(tall, 5)), yticks=[], xlabel=one.unit)
        axis.spines["left"].set_visible(False)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9)
        says = _middle(one)
        says += f" The students' own runs gave {min(came):.3g} to {max(came):.3g}." if came else ""
        says += f" The course measured {outcome.value:.3g}." if known else ""
        return _png(figure), says


def _plain_text():
    """A dollar sign in a student's text is a dollar sign."""
    import matplotlib

    return matplotlib.rc_context({"text.parse_math": False})


def _png(figure) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                              # a letter that the font lacks
        figure.savefig(file, format="png", dpi=130, bbox_inches="tight")
    return file.getvalue()


# ---- small things


def _title(lesson: str) -> str:
    """The first heading of the lesson's notebook, where that is there."""
    for path in folder().glob(f"{lesson}_*.ipynb") if re.fullmatch(r"\d\d", lesson) else ():
        texts = ("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "markdown")
        if heading := next((found[1] for text in texts if (found := re.match(r"# (.+)", text))), None):
            return heading
    return lesson


def _of_lessons(found: list[Checked], lessons: Sequence[str]) -> list[Checked]:
    """The checks that these lessons' notebooks call; all if none is named."""
    if not lessons:
        return found
    called = set()
    for lesson in lessons:
        for path in folder().glob(f"{lesson}_*.ipynb"):
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                called.update(re.findall(r"\bcheck\.(\w+)\(", "".join(cell["source"])))
    return [one for one in found if one.function in called]


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th scope=\"col\">{_e(column)}</th>" for column in columns)
    body = "".join(f"<tr><th scope=\"row\">{_e(first)}</th>" + "".join(f"<td>{_e(value)}</td>" for value in rest) + "</tr>"
                   for first, *rest in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _details(summary: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return f"<details class=\"small\"><summary>{_e(summary)}</summary>{_table(columns, rows)}</details>"


def _image(content: bytes, says: str) -> str:
    return f"<figure><img alt=\"{_e(says)}\" src=\"data:image/png;base64,{base64.b64encode(content).decode()}\"></figure>"


def _median(values: Sequence[float]) -> float:
    from statistics import median

    return float(median(values))


def _some(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else one + 's'}"


def _e(text: Any) -> str:
    """Escaped; the name of a file may be no text at all."""
    return html.escape(str(text).encode("utf-8", "backslashreplace").decode())
