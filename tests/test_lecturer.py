"""The lecturer's edition, the notes it is made of, and slides that need no network."""

import re
from importlib.util import find_spec

import nbformat
import pytest
from click.testing import CliRunner
from course_fixture import LESSON, write
from nbformat import v4

from sslab.course import build, claims, lecturer, ledger, source, teaching
from sslab.course.cli import course
from sslab.course.ledger import Ledger, Record
from sslab.course.lint import TIMED

MINUTES = " · ".join(f"{name} {count}" for name, count in zip(TIMED, (2, 3, 3, 4, 5, 5, 20, 1), strict=True))
NOTES = f"""\
# 99 · A small lesson

For tests. Ours is right on {{{{ 99/probe/5/ours | percent }}}}.

## Before class

Nothing.

{"".join(f"## {name}{chr(10)}{chr(10)}Say {name.lower()}.{chr(10)}{chr(10)}" for name in TIMED)}## In 50 minutes

{MINUTES}

- `accuracy = {{"chance"`: the figure can go.
- `### Exercise 2`: homework,
  over two lines.

## Discussion

### One?

a

### Two?

b

### Three?

c

### Four?

d
"""


@pytest.fixture
def lesson(monkeypatch, tmp_path):
    """A small lesson with notes, in folders of their own."""
    monkeypatch.setenv("SSLAB_NOTEBOOKS", str(tmp_path / "notebooks"))
    monkeypatch.setattr(claims, "sentences", lambda: {"99/ours-beats-raw": "Ours beats raw pixels."})
    (tmp_path / "teaching").mkdir()
    (tmp_path / "teaching" / "99.md").write_text(NOTES, encoding="utf-8")
    return source.read(write(tmp_path / "notebooks"))


RECORDS = Ledger({"99/probe/5/ours": Record.of({0: 0.81, 1: 0.82, 2: 0.83}), "99/probe/5/raw": Record.of({0: 0.6, 1: 0.61, 2: 0.62})})


def changed(old, new, text=NOTES):
    assert old in text
    return text.replace(old, new)


def wrong(lesson, tmp_path, old, new):
    """The problems of the notes with `old` replaced by `new`."""
    (tmp_path / "teaching" / "99.md").write_text(changed(old, new), encoding="utf-8")
    return "\n".join(teaching.problems(teaching.read("99"), lesson))


def executed(lesson, folder):
    """An executed copy: the first code cell ran 7.25 s and printed, the next one drew a widget with a picture."""
    book = build.notebook(lesson, "solutions", Ledger(), draft=True)
    code = [cell for cell in book.cells if cell.cell_type == "code" and "install" not in cell.metadata.get("tags", ())]
    for cell, end in zip(code, ("08.250000", "01.500000"), strict=False):
        cell.metadata["execution"] = {"iopub.status.busy": "2030-01-01T00:00:01.000000Z",
                                      "shell.execute_reply": f"2030-01-01T00:00:{end}Z"}
    code[0].outputs = [v4.new_output("stream", text="seen\n")]
    code[1].outputs = [v4.new_output("display_data", {lecturer.WIDGET: {"model_id": "x"}, "image/png": "aGVsbG8="}),
                       v4.new_output("display_data", {lecturer.WIDGET: {"model_id": "x"}, "text/plain": "Lab()"})]
    book.metadata["sslab"] = {"mode": "class", "device": "cpu"}
    folder.mkdir()
    nbformat.write(book, folder / f"{lesson.slug}.ipynb")
    return code


# ---- the notes


@pytest.mark.parametrize("path", source.paths(), ids=lambda path: path.stem)
def test_every_lesson_has_notes_that_fit_it(path):
    lesson = source.read(path)
    assert teaching.problems(teaching.read(lesson.number), lesson) == []


def test_notes_are_read(lesson):
    notes = teaching.read("99")
    assert teaching.problems(notes, lesson) == []
    assert notes.purpose.startswith("For tests.") and notes.parts["Explain"] == "Say explain."
    assert sum(notes.minutes.values()) == 43 and notes.minutes["What to remember"] == 1
    assert [skip.why for skip in notes.skips] == ["the figure can go.", "homework, over two lines."]
    assert notes.questions[1] == ("Two?", "b")
    chosen = teaching.skipped(notes, lesson)
    assert [lesson.cells[index].name for index in chosen] == [None, None, "partners", "partners"]


@pytest.mark.parametrize(("old", "new", "said"), [
    ("# 99 · A small lesson", "# 99 · Another", "the lesson's is '99 · A small lesson'"),
    ("Explain 5 ·", "Explain 50 ·", "got 88 minutes in all"),
    ("See 3 ·", "", "gives minutes for Predict, See"),
    ("Say break.", "", "section 'Break' is missing or empty"),
    ("### Four?\n\nd", "", "at least 4 questions"),
    ("### Four?\n\nd", "### Four?", "each with an answer"),
    ("Nothing.", "It gets 83 % right.", "a typed number ('83 %')"),
    ('accuracy = {"chance"', "no such cell", "is in 0 cells"),
    ("### Exercise 2`", "### Exercise`", "is in 3 cells"),
    ('accuracy = {"chance"', "import torch", "`torch` is needed in line"),
    ("### Exercise 2`", "### Exercise 9`", "is in 0 cells"),
])
def test_notes_that_do_not_fit_are_named(lesson, tmp_path, old, new, said):
    assert said in wrong(lesson, tmp_path, old, new)


def test_a_name_that_is_made_again_is_not_missed(lesson):
    """Only what nobody else makes before it is needed counts as lost."""
    cells = [source.Cell("code", text, line) for line, text in enumerate(("a = 1", "a = 2", "a + len([])"), 1)]
    again = source.Source(lesson.path, tuple(cells))
    skip = teaching.Skip("a = 1", "")
    assert teaching._lost_names(again, {0: skip}) == []
    assert "needed in line 3" in teaching._lost_names(again, {0: skip, 1: skip})[0]


@pytest.mark.parametrize(("old", "new", "said"), [
    ("## Explain", "## Explanation", "section 'Explanation' is unknown"),
    ("- `### Exercise 2`: homework,", "- Exercise 2, homework,", "takes - `text of a cell`: why"),
])
def test_notes_that_cannot_be_read_are_refused(lesson, tmp_path, old, new, said):
    (tmp_path / "teaching" / "99.md").write_text(changed(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(said)):
        teaching.read("99")


def test_a_lesson_without_notes_is_said(lesson):
    with pytest.raises(ValueError, match="lesson: got '42', which has no notes"):
        teaching.read("42")


# ---- the edition


def test_the_edition_is_the_solutions_with_notes_woven_in(lesson, tmp_path):
    code = executed(lesson, tmp_path / "ran")
    book = lecturer.edition(lesson, teaching.read("99"), RECORDS, [tmp_path / "ran"])
    nbformat.validate(book)
    plain = [cell.source for cell in book.cells if "lecturer" not in cell.metadata.get("tags", ())]
    assert plain == [cell.source for cell in build.notebook(lesson, "solutions", RECORDS, draft=True).cells[1:]]
    notes = [cell.source for cell in book.cells if "lecturer" in cell.metadata.get("tags", ())]
    assert all(line.startswith(">") for note in notes for line in note.splitlines())
    assert "right on 82 %" in notes[0] and "(class, cpu)" in notes[0]
    assert re.search(r"\| Predict \| 2 \| 2 \| 8 \|", notes[0])                   # 7.25 s and 0.5 s, rounded together
    assert re.search(r"\| \*\*all\*\* \| \*\*43\*\* \| \*\*43\*\* \| \*\*8\*\* \|", notes[0])
    at = {cell.source: index for index, cell in enumerate(book.cells)}
    assert "**Runs 7 s**" in book.cells[at[code[0].source] - 1].source
    assert book.cells[at[code[0].source]].metadata["sslab"] == {"seconds": 7.25}
    assert book.cells[at[code[1].source]].outputs == [v4.new_output("display_data", {"image/png": "aGVsbG8="})]
    exercise = next(index for text, index in at.items() if "Exercise 2" in text and "For the lecturer" not in text)
    assert "Leave out in 50 minutes:** homework" in book.cells[exercise - 1].source
    assert sum("Leave out" in note for note in notes) == 2                        # said once for all cells of a heading
    assert all(any(f"**{name}.** Say {name.lower()}." in note for note in notes) for name in TIMED)
    assert "**2. Two?**" in notes[-1]


def test_wrong_answers_are_those_of_the_check(lesson):
    from sslab.lab import check

    cell = next(cell for cell in lesson.cells if "check" in cell.tags and cell.name == "partners")
    said = lecturer.wrong_answers(cell)
    names = [what.name for what in check.positive_index.misconceptions]
    assert "neighbours are taken as partners" in names
    assert all(name in said for name in names) and f"{len(names)} wrong answers" in said
    assert "For B = 2 the answer is 2, 3, 0, 1." in said                          # what the student reads
    assert dict(lecturer.mistakes(check.nt_xent))["NaN or infinity at a low temperature"]


def test_outputs_of_another_text_are_not_shown(lesson, tmp_path):
    """An executed copy of an older source: the cell that changed has no output, and the edition says so."""
    executed(lesson, tmp_path / "ran")
    newer = source.read(write(tmp_path / "notebooks", LESSON.replace("import torch\n", "import torch  # newer\n")))
    book = lecturer.edition(newer, teaching.read("99"), RECORDS, [tmp_path / "ran"])
    first = next(cell for cell in book.cells if "# newer" in cell.source)
    assert first.outputs == [] and "sslab" not in first.metadata and "1 of the cells have none" in book.cells[0].source
    assert book.metadata["sslab"]["without_output"] == 1


def test_without_a_run_nothing_is_invented(lesson):
    book = lecturer.edition(lesson, teaching.read("99"), RECORDS)
    assert "there are no outputs and no times" in book.cells[0].source and "not measured" in book.cells[0].source
    assert not any(cell.get("outputs") for cell in book.cells)


def test_what_a_person_changed_is_kept(lesson, tmp_path):
    RECORDS.write(ledger.folder() / "results.json")
    run, output = CliRunner(), tmp_path / "out"
    words = ["lecturer", "99", "--output", str(output)]
    assert run.invoke(course, words).exit_code == 0
    file = output / f"{lesson.slug}.ipynb"
    book = nbformat.read(file, 4)
    code = next(cell for cell in book.cells if cell.cell_type == "code")
    code.outputs = [v4.new_output("stream", text="run again\n")]
    nbformat.write(book, file)
    assert run.invoke(course, words).exit_code == 0                               # to run it is no change
    book.cells[0].source += "\nmine"
    nbformat.write(book, file)
    outcome = run.invoke(course, words)
    assert outcome.exit_code == 1 and "changed by hand" in outcome.output and "mine" in file.read_text()
    file.write_text("not a notebook", encoding="utf-8")
    assert run.invoke(course, words).exit_code == 1 and file.read_text() == "not a notebook"
    assert run.invoke(course, [*words, "--force"]).exit_code == 0 and nbformat.read(file, 4).cells


# ---- slides

needs_slides = pytest.mark.skipif(not (find_spec("sphinx_revealjs") and find_spec("jupyter_server_mathjax")),
                                  reason="the extra is not installed: pip install -e '.[slides]'")


def test_long_texts_go_on_below_and_headers_stay_with_what_follows():
    from sslab.course.slides import LONGEST, _pieces

    paragraphs = [f"Paragraph {number}. " + "word " * 60 for number in range(5)]
    pieces = _pieces("## A header\n\n" + "\n\n".join(paragraphs))
    assert "".join("".join(pieces).split()) == "".join(("## A header" + "".join(paragraphs)).split())
    assert len(pieces) > 1 and pieces[0].startswith("## A header\n\nParagraph 0.")
    assert all(len(piece) <= LONGEST + len("## A header\n\n") for piece in pieces)


def test_the_deck_shows_what_a_room_looks_at(lesson, tmp_path):
    from sslab.course.slides import deck

    executed(lesson, tmp_path / "ran")
    cells = deck(lesson, teaching.read("99"), RECORDS, [tmp_path / "ran"]).cells
    kinds = [cell.metadata["slideshow"]["slide_type"] for cell in cells]
    assert kinds[0] == "slide" and kinds.count("notes") == len(TIMED) and set(kinds) <= {"slide", "subslide", "notes", "-"}
    texts = "\n".join(cell.source for cell in cells)
    assert "check.positive_index" not in texts and "%pip" not in texts
    stub, solution = (next(index for index, cell in enumerate(cells) if cell.cell_type == "code" and words in cell.source)
                      for words in ('raise NotImplementedError("exercise partners")', "# A solution\ndef partners"))
    assert stub < solution and kinds[solution] == "subslide"
    drawn = next(cell for cell in cells if cell.get("outputs") and "image/png" in cell.outputs[0].get("data", {}))
    assert drawn.metadata["tags"] == ["no-input"]


@needs_slides
def test_slides_load_nothing_from_a_network(lesson, tmp_path):
    RECORDS.write(ledger.folder() / "results.json")
    words = ["slides", "99", "--output", str(tmp_path / "slides")]
    outcome = CliRunner().invoke(course, words)
    assert outcome.exit_code == 0, outcome.output
    file = tmp_path / "slides" / f"{lesson.slug}.slides.html"
    page = file.read_text(encoding="utf-8")
    loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"", page)
    loaded = [name for name in loaded if not name.startswith("data:")]
    assert any("reveal.js" in name for name in loaded) and any("MathJax.js" in name for name in loaded)
    assert all((file.parent / name.partition("?")[0]).is_file() for name in loaded), loaded
    assert "url(http" not in page and "import mermaid" not in page and page.count("<section") > len(TIMED)
    assert CliRunner().invoke(course, words).exit_code == 0                       # its own file is made again
    file.write_text("mine", encoding="utf-8")
    outcome = CliRunner().invoke(course, words)
    assert outcome.exit_code == 1 and "not made by this command" in outcome.output and file.read_text() == "mine"


@needs_slides
@pytest.mark.slow
@pytest.mark.browser
def test_slides_open_without_a_network(browser, tmp_path):
    """Every slide of lesson 07 in Chromium, offline: pytest tests/test_lecturer.py -m slow"""
    outcome = CliRunner().invoke(course, ["slides", "07", "--output", str(tmp_path)])
    assert outcome.exit_code == 0, outcome.output
    page, asked = browser.new_context(offline=True).new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "07_contrastive_simclr.slides.html").as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.wait_for_function("document.querySelectorAll('.MathJax').length > 10")
    assert page.evaluate("document.querySelectorAll('.merror').length") == 0
    total, seen = page.evaluate("Reveal.getTotalSlides()"), set()
    for _ in range(total):
        seen.add(page.evaluate("Reveal.getSlidePastCount()"))
        page.evaluate("Reveal.next()")
    assert len(seen) == total > 20
    assert not [url for url in asked if url.startswith("http")]
