"""Moodle XML: one category a lesson, one multiple-choice question each, with a word to every answer.

The format is the one that Moodle itself writes (Question bank > Export) and documents as "Moodle XML format".
"""

import html
import xml.etree.ElementTree as tree
from collections.abc import Sequence

from sslab.course.quiz import markup
from sslab.course.quiz.bank import Bank, Question

BEGIN, END = r"\(", r"\)"                                            # of a formula


def write(banks: Sequence[Bank]) -> bytes:
    """The file for Question bank > Import > Moodle XML format."""
    quiz = tree.Element("quiz")
    for bank in banks:
        category = tree.SubElement(quiz, "question", type="category")
        name = f"{bank.number} {bank.title}".replace("/", "//")      # a single / would begin a subcategory
        _text(category, "category", f"$course$/top/sslab/{name}")
        _text(category, "info", f"Questions on lesson {bank.number} of sslab.", format="html")
        for question in bank.questions:
            quiz.append(_question(bank, question))
    tree.indent(quiz)
    return tree.tostring(quiz, encoding="utf-8", xml_declaration=True) + b"\n"


def _question(bank: Bank, question: Question) -> tree.Element:
    element = tree.Element("question", type="multichoice")
    _text(element, "name", f"{bank.number} {question.id}")
    _text(element, "questiontext", _html(question.text), format="html")
    _text(element, "generalfeedback", _html(question.why), format="html")
    settings = {"defaultgrade": "1.0000000", "penalty": "0.3333333", "hidden": "0",
                "idnumber": f"sslab-{bank.number}-{question.id}", "single": "true", "shuffleanswers": "true",
                "answernumbering": "abc", "showstandardinstruction": "0"}
    for name, value in settings.items():
        tree.SubElement(element, name).text = value
    for name in ("correctfeedback", "partiallycorrectfeedback", "incorrectfeedback"):
        _text(element, name, "", format="html")                      # each answer has its own
    for answer in question.answers:
        one = tree.SubElement(element, "answer", fraction="100" if answer.right else "0", format="html")
        tree.SubElement(one, "text").text = _html(answer.text)
        _text(one, "feedback", _html(answer.say or "Right."), format="html")
    return element


def _text(parent: tree.Element, name: str, text: str, **attributes: str) -> None:
    tree.SubElement(tree.SubElement(parent, name, **attributes), "text").text = text


def _html(text: str) -> str:
    """HTML in which Moodle's MathJax filter finds the formulas."""
    return f"<p>{markup.as_html(text, math=lambda latex: BEGIN + html.escape(latex) + END)}</p>"
