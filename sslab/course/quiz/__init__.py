"""The quiz bank: questions on each lesson, each wrong answer with the belief behind it, for a notebook and for others.

    from sslab.course import quiz

    bank = quiz.read("07")
    quiz.export([bank], "moodle")              # bytes of a file that Moodle imports
"""

import os
from collections.abc import Sequence
from pathlib import Path

from sslab._names import choose
from sslab.course.quiz import canvas, moodle, plain
from sslab.course.quiz.bank import Answer, Bank, BankError, Question, lint, numbers, read

FORMATS = {"moodle": (".xml", moodle.write), "qti": (".zip", canvas.write), "json": (".json", plain.write_json),
           "text": (".txt", plain.write_text)}

__all__ = ["FORMATS", "Answer", "Bank", "BankError", "Question", "export", "lint", "numbers", "read", "save"]


def export(banks: Sequence[Bank], form: str, seed: int = 0) -> bytes:
    """The banks as one file.

    Args:
        banks: at least one.
        form: "moodle" (XML), "qti" (a zip for Canvas), "json" or "text".
        seed: of the answers' order, which is drawn anew for each question.
    Returns:
        the file's bytes: the same for the same banks and seed.
    Raises:
        ValueError: an unknown form, or no bank.
    """
    choose(form, FORMATS, "format")
    if not banks:
        raise ValueError("banks: got none, takes at least one")
    return FORMATS[form][1]([bank.shuffled(seed) for bank in banks])


def save(banks: Sequence[Bank], form: str, folder: Path, whole: bool = False, seed: int = 0, force: bool = False) -> Path:
    """Write the banks as sslab_quiz_NN-NN.ENDING below `folder`; a file that differs is left alone without `force`.

    Args:
        banks, form, seed: as for `export`.
        folder: made if it is not there.
        whole: call it sslab_quiz_all.
        force: replace a file that differs.
    Returns:
        the file.
    Raises:
        ValueError: such a file is there and differs.
    """
    content = export(banks, form, seed)
    name = "all" if whole else "-".join(bank.number for bank in banks)
    path = Path(folder) / f"sslab_quiz_{name}{FORMATS[form][0]}"
    if path.exists() and not force and path.read_bytes() != content:
        raise ValueError(f"output: {path} is there and differs; --force replaces it, or name another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return path
