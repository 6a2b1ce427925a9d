"""Questions on a lesson: choose an answer, and hear what it means.

    quiz("07")                                            # a form
    quiz("07").answer("positive-index", 0)                # without a front end: the question's id, the answer's number
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sslab.course.quiz import Bank, Question, read
from sslab.course.quiz.markup import as_html, as_text
from sslab.lab import sharing


@dataclass(frozen=True)
class Reply:
    """What an answer is worth, the belief behind a wrong one in a word to the student, and why."""

    right: bool
    say: str
    why: str

    @property
    def verdict(self) -> str:
        return "Right." if self.right else "Not quite."

    def __repr__(self) -> str:
        return as_text(" ".join(filter(None, [self.verdict, self.say, self.why])))

    def _repr_html_(self) -> str:
        return f"<p><strong>{self.verdict}</strong> {as_html(self.say)}</p><p>{as_html(self.why)}</p>"


def quiz(lesson: str, *, only: Sequence[str] = (), seed: int = 0, folder: Path | None = None):
    """The questions on a lesson. Answers stay in the returned object; they are sent to the class's folder only after
    you have called `sslab.lab.share`.

    Args:
        lesson: its number, "07".
        only: ids of questions to ask; default all.
        seed: of the answers' order.
        folder: where NN.toml lies, for questions of your own; default the course's.
    Returns:
        a widget with .answer(id, number), .answers (id -> the numbers chosen, in order) and .score.
    Raises:
        ValueError: no questions on this lesson, no such id, or a file of questions that is not as it should be.
    """
    bank = read(lesson, folder, draft=True).shuffled(seed)
    chosen = tuple(bank[identity] for identity in only) or bank.questions
    return _widget()(Bank(bank.number, bank.title, chosen))


@cache
def _widget() -> type:
    """The widget's class; made when it is first needed, so that importing this module stays quick."""
    import anywidget
    import traitlets

    static = Path(__file__).parent / "static"

    class Quiz(anywidget.AnyWidget):
        """A form of questions; which answer is right stays in the kernel until one was given."""

        _esm = "\n".join((static / name).read_text("utf-8") for name in ("keys.js", "quiz.js"))
        _css = static / "base.css"
        title = traitlets.Unicode().tag(sync=True)
        questions = traitlets.List().tag(sync=True)                  # [{id, text, answers}], HTML
        replies = traitlets.Dict().tag(sync=True)                    # id -> {chosen, right, text}
        score = traitlets.Unicode().tag(sync=True)

        def __init__(self, bank: Bank) -> None:
            self.bank, self.answers = bank, {}
            super().__init__(title=f"Questions on {bank.number} · {bank.title}", score=_line(self._scored(), sharing.invitation()), questions=[
                {"id": question.id, "text": as_html(question.text),
                 "answers": [as_html(answer.text) for answer in question.answers]} for question in bank.questions])
            self.on_msg(self._asked)

        def answer(self, question: str, number: int) -> Reply:
            """Give an answer, as often as you like; the score counts the first one to each question.

            Args:
                question: its id.
                number: of the answer as it is shown, from 0.
            Raises:
                ValueError: no such question or number.
            """
            asked = self.bank[question]
            count = len(asked.answers)
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
                raise ValueError(f"number: got {number!r}, takes a whole number from 0 to {count - 1}")
            answer = asked.answers[number]
            self.answers.setdefault(question, []).append(number)
            reply = Reply(answer.right, answer.say, asked.why)
            shared = sharing.send("quiz", question=f"{self.bank.number}/{question}", answer=as_text(answer.text),
                                  right=answer.right, misconception=answer.misconception)
            with self.hold_sync():
                self.score = _line(self._scored(), shared)
                self.replies = self.replies | {
                    question: {"chosen": number, "right": reply.right, "text": reply._repr_html_()}}
            return reply

        def _asked(self, _, content: dict, __) -> None:
            try:
                self.answer(content["question"], content["number"])
            except (KeyError, TypeError, ValueError) as error:
                self.score = str(error)

        def _scored(self) -> str:
            first = sum(self.bank[name].answers[chosen[0]].right for name, chosen in self.answers.items())
            total = len(self.bank.questions)
            return f"{len(self.answers)} of {total} answered, {first} right at the first try."

        def _repr_mimebundle_(self, **options: Any):
            """The widget and, for where there is no kernel, the questions with answers that open."""
            bundle = super()._repr_mimebundle_(**options)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
            return data | {"text/html": _still(self.title, self.bank.questions), "text/plain": repr(self)}, metadata

        def __repr__(self) -> str:
            lines = [self.title]
            for question in self.bank.questions:
                lines += ["", f"{question.id}: {as_text(question.text)}"]
                lines += [f"  {number}  {as_text(answer.text)}" for number, answer in enumerate(question.answers)]
            return "\n".join([*lines, "", self.score])

    return Quiz


def _line(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _still(title: str, questions: Sequence[Question]) -> str:
    """The questions without a kernel: an answer opens on a click or a key and says what it means."""
    parts = [f"<p><strong>{html.escape(title)}</strong></p>"]
    for place, question in enumerate(questions, 1):
        parts.append(f"<p>{place}. {as_html(question.text)}</p>")
        parts += [f"<details><summary>{as_html(answer.text)}</summary>"
                  f"{Reply(answer.right, answer.say, question.why)._repr_html_()}</details>" for answer in question.answers]
    return "".join(parts)
