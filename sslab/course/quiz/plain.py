"""The bank as JSON for other programs, and as text to print: the questions first, the key after them."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from sslab.course.quiz.bank import Bank
from sslab.course.quiz.markup import as_text

WIDTH = 96


def write_json(banks: Sequence[Bank]) -> bytes:
    """{"lessons": [{"number", "title", "questions": [...]}]}, texts with their `code` and $latex$."""
    text = json.dumps({"lessons": [asdict(bank) for bank in banks]}, indent=1, ensure_ascii=False)
    return text.encode() + b"\n"


def write_text(banks: Sequence[Bank]) -> bytes:
    """A page of questions for each lesson, then for each its key: right answers, why, and what to say to wrong ones."""
    parts = [_paper(bank) for bank in banks] + [_key(bank) for bank in banks]
    return "\n\f\n".join(parts).encode() + b"\n"                     # printed, each begins a page


def _paper(bank: Bank) -> str:
    lines = [_headed(f"{bank.number} {bank.title}")]
    for place, question in enumerate(bank.questions, 1):
        lines += ["", _folded(f"{place}. ", question.text)]
        lines += [_folded(f"   {letter}) ", answer.text) for letter, answer in _lettered(question.answers)]
    return "\n".join(lines)


def _key(bank: Bank) -> str:
    lines = [_headed(f"Key to {bank.number} {bank.title}")]
    for place, question in enumerate(bank.questions, 1):
        lines += ["", _folded(f"{place}. ", f"{'abcdefghij'[question.right]}) is right. {question.why}")]
        lines += [_folded(f"   {letter}) ", f"{answer.misconception}: {answer.say}")
                  for letter, answer in _lettered(question.answers) if not answer.right]
    return "\n".join(lines)


def _lettered(answers):
    return zip("abcdefghij", answers, strict=False)


def _headed(title: str) -> str:
    return f"{title}\n{'=' * len(title)}"


def _folded(before: str, text: str) -> str:
    return textwrap.fill(as_text(text), WIDTH, initial_indent=before, subsequent_indent=" " * len(before),
                         break_long_words=False, break_on_hyphens=False)
