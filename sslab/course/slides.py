"""A lesson as slides: nbconvert's reveal.js, from files beside the slides and never from the network.

What a room looks at is shown: text, equations, source of the package, figures without the code that drew them,
exercises and then their solutions. What only a notebook needs (imports, records, checks) is left out. The notes
of teaching/NN.md are the speaker's (key S).
"""

import ast
import re
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from sslab.course import claims, lecturer, prose, teaching
from sslab.course.build import notebook
from sslab.course.ledger import Ledger, write_atomically
from sslab.course.source import Cell, Source, emptied, read
from sslab.course.teaching import Notes

WIDTH, HEIGHT = 1280, 720
LONGEST = 620                                    # characters of text on a slide; more goes on below
SHORT = 240                                      # a text that leaves room for a figure below it
MADE = "sslab course slides"                      # in the head of the page, as its generator
NO_GUESS, RECORD = "You recorded no guess this time. ", "<p>Run the notebook to record your guess.</p>"
TEMPLATES = Path(__file__).parent / "templates"
REVEAL = ("dist/reveal.js", "dist/reveal.css", "dist/theme/white.css", "dist/theme/fonts/source-sans-pro",
          "plugin/notes", "LICENSE")
MATHJAX = ("MathJax.js", "LICENSE", "config/TeX-AMS-MML_HTMLorMML-full.js", "config/Safe.js", "extensions/Safe.js",
           "extensions/MathEvents.js", "extensions/TeX", "jax/output/HTML-CSS", "jax/input/TeX", "jax/element",
           "fonts/HTML-CSS/STIX-Web/woff")


def write(path: Path, folders: Sequence[Path], output: Path, ledger: Ledger, force: bool = False) -> Path:
    """Write one lesson's slides to `output`, with reveal.js and MathJax beside them in `output`/static.

    Args:
        path: the lesson's source.
        folders: of executed copies; without one, figures are missing.
        output: the folder to write to.
        ledger: for the numbers.
        force: overwrite a file that this command did not make.
    Returns:
        the file.
    Raises:
        ValueError: the extra "slides" is not installed; notes that cannot be read; a file that would be lost.
    """
    reveal, mathjax = _found("sphinx_revealjs", "_static/revealjs"), _found("jupyter_server_mathjax", "static")
    lesson = read(path)
    file = output / f"{lesson.slug}.slides.html"
    if file.exists() and not force and MADE not in file.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"output: {file} is there and was not made by this command; takes another folder, or --force")
    text = html(lesson, teaching.read(lesson.number), ledger, folders)
    for kind, source, names in (("reveal", reveal, REVEAL), ("mathjax", mathjax, MATHJAX)):
        _copy(source, output / "static" / kind, names)
    write_atomically(file, text)
    return file


def html(lesson: Source, notes: Notes, ledger: Ledger, folders: Sequence[Path] = ()) -> str:
    """The page, which looks for reveal.js and MathJax in static/."""
    import nbformat
    from nbconvert.exporters import SlidesExporter
    from traitlets.config import Config

    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_input_tags = {"no-input"}
    exporter = SlidesExporter(config=config, template_name="lecture", extra_template_basedirs=[str(TEMPLATES)],
                              reveal_url_prefix="static/reveal", reveal_theme="white", reveal_transition="fade",
                              reveal_width=str(WIDTH), reveal_height=str(HEIGHT))
    exporter.mathjax_url = "static/mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full,Safe"
    book = deck(lesson, notes, ledger, folders)
    title = lesson.cells[0].text.splitlines()[0].removeprefix("# ")
    book.metadata["title"] = title
    return exporter.from_notebook_node(nbformat.from_dict(book))[0]


def deck(lesson: Source, notes: Notes, ledger: Ledger, folders: Sequence[Path] = ()):
    """The slides as a notebook: cells with nbconvert's slide types."""
    from nbformat import v4

    book = notebook(lesson, "solutions", ledger, draft=True)
    book.cells = [cell for cell in book.cells[1:] if "install" not in cell.metadata.get("tags", ())]
    ran = lecturer.run_of(lesson.slug, folders, book)
    questions, cells = _questions(lesson), []
    for source, cell in zip(lesson.cells, book.cells, strict=True):
        if cell.cell_type == "markdown":
            cells += _texts(cell.source, notes, ledger, after_figure=bool(cells) and cells[-1].cell_type == "code")
            continue
        shown = _codes(source, cell, ran.outputs.get(cell.id, []), questions)
        if shown and cells and _introduces(cells[-1]):
            shown[0].metadata["slideshow"] = {"slide_type": "-"}
        cells += shown
    return v4.new_notebook(cells=cells, metadata=dict(book.metadata), nbformat_minor=5)


def _introduces(cell) -> bool:
    """Whether a cell is a short text of a slide's own, so that what follows has room below it."""
    kind = cell.metadata["slideshow"]["slide_type"]
    return cell.cell_type == "markdown" and kind in ("slide", "subslide") and len(cell.source) <= SHORT


def _questions(lesson: Source) -> dict[str, str]:
    """The questions of predictions by the name of the guess."""
    found = {}
    for cell in lesson.cells:
        for node in ast.walk(ast.parse(cell.text)) if cell.kind == "code" and "predict(" in cell.text else ():
            match node:
                case ast.Assign(targets=[ast.Name(id=name)],
                                value=ast.Call(func=ast.Name(id="predict"), args=[_, ast.Constant(value=str(text)), *_])):
                    found[name] = text
    return found


def _texts(text: str, notes: Notes, ledger: Ledger, after_figure: bool) -> list:
    """Markdown as slides: one for each header, continued below where it is long; a Finding stays with its figure."""
    cells = []
    for part in re.split(r"^(?=#{1,3} )", text, flags=re.MULTILINE):
        if not part.strip():
            continue
        header = part.splitlines()[0] if part.startswith("#") else ""
        for number, piece in enumerate(_pieces(part)):
            stays = not cells and after_figure and piece.startswith("**Finding:**")
            kind = "-" if stays else "slide" if number == 0 and re.match(r"##? ", header) else "subslide"
            cells.append(_markdown(piece, kind))
        for section in teaching.opened(Cell("markdown", part, 0)):
            if section in notes.parts:
                said = prose.fill(notes.parts[section], ledger, claims.sentences(), draft=True)
                cells.append(_markdown(said, "notes"))
    return cells


def _pieces(text: str) -> list[str]:
    """A text in pieces of whole paragraphs, none much longer than a slide holds; a header stays with what follows."""
    pieces, now = [], ""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        alone = re.fullmatch(r"(#{1,3} .*\s*)+", now) is not None
        if now and not alone and len(now) + len(paragraph) > LONGEST:
            pieces.append(now)
            now = ""
        now = f"{now}\n\n{paragraph}" if now else paragraph
    return [*pieces, now]


def _codes(source: Cell, cell, outputs: list, questions: dict[str, str]) -> list:
    """A code cell as slides: none for what only a notebook needs."""
    if "check" in source.tags:
        return []
    if "exercise" in source.tags:
        return [_code(emptied(source.text, source.name or ""), [], "subslide"),
                _code(f"# A solution\n{cell.source}", [], "subslide")]
    shown = [_said(output) for output in outputs]
    if not shown and "pretrain" not in source.tags:
        return []
    code = _code(cell.source, shown, "subslide",
                 visible="pretrain" in source.tags or re.search(r"\bLab\(", cell.source) is not None)
    asked = [questions[name] for name in re.findall(r"(\w+)\.reveal\(", cell.source) if name in questions]
    if asked:
        code.metadata["slideshow"] = {"slide_type": "-"}
        return [_markdown(f"**{asked[0]}**", "subslide"), code]
    return [code]


def _said(output):
    """An output without the sentences that only somebody at a keyboard needs."""
    output = output.copy()
    if "text/html" in output.get("data", {}):
        text = "".join(output["data"]["text/html"])
        for sentence in (NO_GUESS, RECORD):
            text = text.replace(sentence, "")
        output["data"] = {**output["data"], "text/html": text}
    return output


def _code(text: str, outputs: list, kind: str, visible: bool = True):
    from nbformat import v4

    metadata = {"slideshow": {"slide_type": kind}, "tags": [] if visible else ["no-input"]}
    return v4.new_code_cell(text, outputs=outputs, metadata=metadata)


def _markdown(text: str, kind: str):
    from nbformat import v4

    return v4.new_markdown_cell(text.strip(), metadata={"slideshow": {"slide_type": kind}})


def _found(package: str, folder: str) -> Path:
    """A folder of static files inside an installed package, without importing it."""
    spec = find_spec(package)
    place = Path(spec.origin).parent / folder if spec and spec.origin else None
    if place is None or not place.is_dir():
        raise ValueError(f"slides: {package} is not installed, which carries files that they need; "
                         "takes: pip install -e '.[slides]'")
    return place


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    """Copy files and folders that are not there yet."""
    for name in names:
        one, to = source / name, target / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if one.is_dir():
            shutil.copytree(one, to, dirs_exist_ok=True)
        elif one.is_file():
            shutil.copyfile(one, to)
