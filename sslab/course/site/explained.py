"""Where the lessons explain and show a part of the package: read from their sources, so that no list has to be kept."""

import ast
import re
from dataclasses import dataclass
from functools import cache

from sslab.course import source
from sslab.course.source import Source

BOLD = re.compile(r"\*\*([^*]+?)\.?\*\*")


@dataclass(frozen=True)
class Passage:
    """What stands before a part's source in a lesson. `shows` is the part: "SimCLR", "nt_xent", "VAE.forward"."""

    lesson: Source
    shows: str
    text: str


@cache
def _lessons() -> tuple[Source, ...]:
    return tuple(map(source.read, source.paths()))


@cache
def passages() -> tuple[Passage, ...]:
    """Every `show_source(...)` of the course, in order, each with the last text above it."""
    found = []
    for lesson in _lessons():
        text = ""
        for cell in lesson.cells:
            if cell.kind == "markdown":
                text = cell.text
            else:
                found += [Passage(lesson, shown, text) for shown in _called(cell.text, "show_source")]
    return tuple(found)


@cache
def labs() -> dict[tuple[str, str], str]:
    """(lesson, objective) -> the dataset of the first live lab there that runs it."""
    found = {}
    for lesson in _lessons():
        for cell in lesson.cells:
            for call in _calls(cell.text, "Lab") if cell.kind == "code" else ():
                words = [each.value for each in call.args[:2] if isinstance(each, ast.Constant)]
                if len(words) == 2:
                    found.setdefault((lesson.number, words[0]), words[1])
    return found


def about(passage: Passage, title: str, others: set[str]) -> str:
    """The part of a passage that is about one method.

    Args:
        passage: from `passages`.
        title: the method's; where it stands in bold the passage is cut off before.
        others: titles of other methods; where one of them begins a paragraph in bold the passage ends.
    Returns:
        Markdown without headings and findings.
    """
    text = "\n".join(line for line in passage.text.splitlines() if not line.startswith("#"))
    bold = [match for match in BOLD.finditer(text) if _same(match[1], title)]
    text = text[bold[0].start():] if bold else text
    kept = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        starts = BOLD.match(paragraph)
        if starts and any(_same(starts[1], other) for other in others) and not _same(starts[1], title):
            break
        if not (starts and starts[1].startswith("Finding")):
            kept.append(paragraph)
    return "\n\n".join(kept)


def _same(one: str, other: str) -> bool:
    return re.sub(r"\W", "", one).lower() == re.sub(r"\W", "", other).lower()


def _called(code: str, function: str) -> list[str]:
    """The first argument of each call, without the module before it: objectives.VAE.forward -> VAE.forward."""
    return [re.sub(r"^[a-z_.]+\.(?=[A-Z]|[a-z_]+$)", "", ast.unparse(call.args[0])) for call in _calls(code, function) if call.args]


def _calls(code: str, function: str) -> list[ast.Call]:
    try:
        tree = ast.parse(code)
    except SyntaxError:                                              # a magic
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == function]
