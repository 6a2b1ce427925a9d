"""The questions of a lesson, sslab/course/questions/NN.toml: read, checked, and put into an order.

    [[question]]
    id = "positive-index"
    text = "A batch of 4 images gives 8 views. Where does row 1 find its positive?"
    why = "Row $i$ and row $i + B$ are two views of one image."

      [[question.answers]]
      text = "In row 5"
      right = true

      [[question.answers]]
      text = "In row 2"
      misconception = "neighbouring rows are taken for pairs"
      say = "That would be so if the views were interleaved. How were they stacked?"
"""

import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sslab.course import claims, ledger, prose
from sslab.course.quiz import markup

FOLDER = Path(__file__).resolve().parent.parent / "questions"
LEAST = 8                                                            # questions a lesson
IDENTITY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TITLE = re.compile(r'# (\d\d) · ([^\n"\\]+)')


class BankError(ValueError):
    """What is wrong in a file of questions, all of it, one problem a line."""

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"{name}: {problem}" for problem in problems))


@dataclass(frozen=True)
class Answer:
    """One answer; a wrong one names the belief behind it and has a word to the student who holds it."""

    text: str
    right: bool = False
    misconception: str = ""
    say: str = ""


@dataclass(frozen=True)
class Question:
    """One question with exactly one right answer; `why` is said after any answer."""

    id: str
    text: str
    why: str
    answers: tuple[Answer, ...]

    @property
    def right(self) -> int:
        """The place of the right answer."""
        return next(place for place, answer in enumerate(self.answers) if answer.right)


@dataclass(frozen=True)
class Bank:
    """The questions of one lesson."""

    number: str
    title: str
    questions: tuple[Question, ...]

    def __getitem__(self, identity: str) -> Question:
        from sslab._names import choose

        choose(identity, [question.id for question in self.questions], "question")
        return next(question for question in self.questions if question.id == identity)

    def shuffled(self, seed: int = 0) -> "Bank":
        """The same questions, each with its answers in an order that depends on `seed` and on the question only."""
        questions = []
        for question in self.questions:
            answers = list(question.answers)
            random.Random(f"{seed}/{self.number}/{question.id}").shuffle(answers)
            questions.append(replace(question, answers=tuple(answers)))
        return replace(self, questions=tuple(questions))


def numbers(folder: Path | None = None) -> list[str]:
    """The lessons that have questions."""
    return sorted(path.stem for path in (folder or FOLDER).glob("[0-9][0-9].toml"))


def read(number: str, folder: Path | None = None, records: ledger.Ledger | None = None, draft: bool = False) -> Bank:
    """The questions of one lesson, with the measured numbers filled in.

    Args:
        number: the lesson's, "07".
        folder: where NN.toml lies; default the course's own.
        records: the ledger that `{{ record }}` is filled in from; default the course's own.
        draft: a missing record reads "(not measured yet)".
    Raises:
        ValueError: no such lesson.
        BankError: the file is no TOML, or a question is not as it should be; all problems are named.
    """
    from sslab._names import choose

    folder = folder or FOLDER
    choose(number, numbers(folder), "lesson")
    name = f"{number}.toml"
    try:
        tree = tomllib.loads((folder / name).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BankError(name, [str(error)]) from None
    problems = _problems(tree)
    if problems:
        raise BankError(name, problems)
    records = ledger.read() if records is None else records
    return Bank(number, title(number), tuple(_questions(tree, name, records, draft)))


def title(number: str) -> str:
    """The lesson's title as its notebook has it, without the number."""
    for pattern in (f"source/{number}_*.py", f"{number}_*.ipynb"):
        for path in ledger.folder().glob(pattern):
            found = TITLE.search(path.read_text(encoding="utf-8"))
            if found:
                return found[2].strip()
    return f"Lesson {number}"


def lint(bank: Bank) -> list[str]:
    """What a test-wise student could use, and what is missing: problems of the bank as a whole."""
    problems = []
    if len(bank.questions) < LEAST:
        problems.append(f"{len(bank.questions)} questions, takes at least {LEAST}")
    longest = shortest = 0
    for question in bank.questions:
        lengths = [len(markup.as_text(answer.text)) for answer in question.answers]
        right = lengths.pop(question.right)
        longest += right > max(lengths)
        shortest += right < min(lengths)
    for what, count in (("longest", longest), ("shortest", shortest)):
        if count > len(bank.questions) / 2:
            problems.append(f"the right answer is the {what} in {count} of {len(bank.questions)} questions, takes "
                            "at most half")
    return problems


def _problems(tree: dict) -> list[str]:
    """Every fault of form in a file: unknown and missing keys, types, markup, the number of right answers."""
    found = [f"{key!r} at the top, takes [[question]] only" for key in tree if key != "question"]
    questions = tree.get("question")
    if not isinstance(questions, list) or not questions or not all(isinstance(one, dict) for one in questions):
        return [*found, "no [[question]]"]
    seen = set()
    for place, question in enumerate(questions, 1):
        identity = question.get("id")
        where = f"question {identity!r}" if isinstance(identity, str) else f"question {place}"
        if not isinstance(identity, str) or not IDENTITY.fullmatch(identity):
            found.append(f"{where}: id: got {identity!r}, takes lower-case letters, digits and hyphens")
        elif identity in seen:
            found.append(f"{where}: id: there twice")
        seen.add(identity)
        found += _strings(question, ("text", "why"), ("id", "answers"), where)
        answers = question.get("answers")
        if not isinstance(answers, list) or not all(isinstance(one, dict) for one in answers) or len(answers) < 3:
            found.append(f"{where}: answers: takes at least 3 [[question.answers]]")
            continue
        rights = sum(answer.get("right") is True for answer in answers)
        if rights != 1:
            found.append(f"{where}: right: true in {rights} answers, takes exactly one")
        texts = [answer.get("text") for answer in answers]
        if len(set(map(str, texts))) < len(texts):
            found.append(f"{where}: answers: two with the same text")
        for number, answer in enumerate(answers, 1):
            about = f"{where}, answer {number}"
            if "right" in answer and not isinstance(answer["right"], bool):
                found.append(f"{about}: right: got {answer['right']!r}, takes true or false")
            wanted = ("text",) if answer.get("right") is True else ("text", "misconception", "say")
            optional = ("right", "say") if answer.get("right") is True else ("right",)
            found += _strings(answer, wanted, optional, about)
    return found


def _strings(table: dict, wanted: Sequence[str], optional: Sequence[str], where: str) -> list[str]:
    """The faults of one table: keys that are missing, unknown or no text, and markup that cannot be read."""
    found = [f"{where}: {key}: unknown, takes {', '.join((*wanted, *optional))}"
             for key in table if key not in (*wanted, *optional)]
    for key in (*wanted, *(key for key in optional if key == "say" and key in table)):
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            found.append(f"{where}: {key}: got {value!r}, takes text")
            continue
        try:
            markup.as_text(prose.TEMPLATE.sub("0", value))
        except ValueError as error:
            found.append(f"{where}: {key}: {error}")
    return found


def _questions(tree: dict, name: str, records: ledger.Ledger, draft: bool) -> list[Question]:
    sentences = claims.sentences() if "{{" in str(tree) else {}      # defining the claims takes a moment
    problems = []

    def filled(text: str, where: str) -> str:
        try:
            return prose.fill(" ".join(text.split()), records, sentences, draft)
        except prose.TemplateError as error:
            problems.append(f"question {where!r}: {error}")
            return text

    questions = []
    for row in tree["question"]:
        identity = row["id"]
        answers = tuple(Answer(filled(one["text"], identity), one.get("right", False), one.get("misconception", ""),
                               filled(one.get("say", ""), identity)) for one in row["answers"])
        questions.append(Question(identity, filled(row["text"], identity), filled(row["why"], identity), answers))
    if problems:
        raise BankError(name, problems)
    return questions
