"""Small pieces of Markdown."""

import inspect
import re
import textwrap


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table; cells are Markdown on one line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def code(text: str, language: str = "python") -> str:
    """A block of code, inside more backticks than the text has."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def plain(text: str) -> str:
    """Text in which only `code` means something in Markdown: docstrings and the help of knobs are written so."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(part if index % 2 else re.sub(r"([\\*_<>$\[\]#|~])", r"\\\1", part) for index, part in enumerate(parts))


def linked(text: str) -> str:
    """arXiv numbers as links."""
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def docstring(part) -> str:
    """What a class or function says of itself: its text, then its arguments as a list."""
    text, *sections = re.split(r"^(\w+):\n(?=    )", _said(part), flags=re.MULTILINE)
    paragraphs = [_paragraph(each) for each in re.split(r"\n\s*\n", text.rstrip())]
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        if name == "Args":
            items = re.split(r"\n(?=\S)", textwrap.dedent(body).strip())
            paragraphs.append("\n".join(f"- {_argument(item)}" for item in items))
    return linked("\n\n".join(paragraphs))


def _said(part) -> str:
    """A docstring without the margin that its last line shows: `inspect.getdoc` would take the indent of code for margin."""
    first, *lines = (part.__doc__ or "").splitlines() or [""]
    if not lines or lines[-1].strip():
        return inspect.getdoc(part) or ""
    return "\n".join([first, *(line.removeprefix(lines[-1]) for line in lines[:-1])])


def _paragraph(text: str) -> str:
    return code(textwrap.dedent(text)) if text.startswith("    ") else plain(" ".join(text.split()))


def _argument(item: str) -> str:
    names, _, says = " ".join(item.split()).partition(": ")
    return f"`{names}`: {plain(says)}"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("\n", " "))
