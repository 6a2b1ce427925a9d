"""The site: its pages are made from sources and code, its links lead somewhere, and it needs no network.

The whole site, read in a browser without a network: pytest -m slow tests/test_site.py (needs the `docs` extra).
"""

import functools
import http.server
import importlib.util
import inspect
import math
import re
import threading
from pathlib import Path

import course_fixture
import nbformat
import pytest
from click.testing import CliRunner
from course_fixture import write
from markdown_it import MarkdownIt

from sslab import cli, datasets, objectives
from sslab.course import source
from sslab.course.build import notebook
from sslab.course.ledger import Ledger, Record
from sslab.course.site import build, catalogue, explained, guides, lessons, links, markdown

ROOT = Path(__file__).resolve().parent.parent
LESSON = course_fixture.LESSON.replace("{{ claim 99/ours-beats-raw }}", "")        # a claim that only its own tests define
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def lesson(tmp_path):
    return source.read(write(tmp_path, LESSON))


def executed(lesson, outputs):
    """The solutions of a lesson as if they had been run: outputs is the start of a cell's code -> its outputs."""
    book = notebook(lesson, "solutions", Ledger(), draft=True)
    for cell in book.cells:
        for start, shown in outputs.items():
            if cell.cell_type == "code" and cell.source.startswith(start):
                cell.outputs = [nbformat.from_dict(output) for output in shown]
    return book


def result(data, **metadata):
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def cell_of(book, start):
    (found,) = [cell for cell in book.cells if cell.source.startswith(start)]
    return found


# ---- lessons


def test_a_lesson_has_the_students_code_and_the_outputs_of_the_run(lesson):
    secret = result({"text/plain": "the solution's answer"})
    book = lessons.page(lesson, Ledger(), executed(lesson, {
        "guess = predict": [result({WIDGET: {}, "text/html": "<p>Does it fall?</p>", "text/plain": "Does it fall?"})],
        "losses": [{"output_type": "stream", "name": "stdout", "text": "1.0"}],
        "def cosine": [secret], "check.": [secret]}))
    assert cell_of(book, "guess = predict").outputs[0].data == {"text/html": "<p>Does it fall?</p>", "text/plain": "Does it fall?"}
    assert cell_of(book, "losses").outputs[0].text == "1.0"
    assert "the solution's answer" not in nbformat.writes(book) and "unit = z1 / z1.norm" not in nbformat.writes(book)


def test_badges_and_install_cell_are_in_the_download_only(lesson):
    book = lessons.page(lesson, Ledger())
    hidden = [cell for cell in book.cells if "remove-cell" in cell.metadata.get("tags", ())]
    assert ["Open in Colab" in hidden[0].source, "find_spec" in hidden[1].source, len(hidden)] == [True, True, 2]
    assert book.cells[1].source.startswith("# 99 · A small lesson\n\n*The student edition. It was not run")


def test_a_picture_is_shown_with_its_description(lesson):
    def alt(output):
        cell = cell_of(lessons.page(lesson, Ledger(), executed(lesson, {"accuracy": [output]})), "accuracy")
        assert set(cell.outputs[0].data) == {"image/png", "text/plain"}
        return cell.metadata["mystnb"]["image"]["alt"]

    described = result({"image/png": "AA==", "text/plain": "x", "text/html": "<img>"}, **{"image/png": {"alt": "Two lines."}})
    assert alt(described) == "Two lines."
    assert alt(result({"image/png": "AA==", "text/plain": "20 patches hidden", WIDGET: {}})) == "20 patches hidden"
    assert alt(result({"image/png": "AA==", "text/plain": "<Figure size 1x1>"})) == "A figure made by the code above."


def test_a_lab_is_shown_by_its_still_picture(lesson):
    live, still = result({WIDGET: {}, "text/plain": "Ready."}), result({"text/html": '<img alt="Finished.">', "text/plain": "x"})
    cell = cell_of(lessons.page(lesson, Ledger(), executed(lesson, {"losses": [live, still]})), "losses")
    assert [output.data.get("text/html") for output in cell.outputs] == ['<img alt="Finished.">']
    alone = cell_of(lessons.page(lesson, Ledger(), executed(lesson, {"losses": [live]})), "losses")
    assert alone.outputs[0].data == {"text/plain": "Ready."}


def test_under_the_first_lab_of_an_objective_stand_recorded_runs(lesson):
    def shown(*labs):
        outputs = [result({WIDGET: {}, "text/plain": f"Lab({one}): Ready."}) for one in labs]
        cells = dict(zip(("losses", "accuracy"), ([output] for output in outputs), strict=False))
        book = lessons.page(lesson, Ledger(), executed(lesson, cells))
        return [re.findall(r'src="../_static/replays/(\w+).html"', nbformat.writes(book).replace('\\"', '"'))]

    assert shown("'simclr', 'digits'") == [["simclr_digits"]]
    assert shown("'mae', 'digits'", "'mae', 'fashion'") == [["mae_fashion"]]           # there are none on digits; once a page
    assert shown("'bert', 'wordnet'") == [[]]
    assert {"simclr_digits.html", "mae_fashion.html"} <= set(catalogue.replays())


def test_source_code_is_coloured_by_the_site(tmp_path):
    given = source.read(write(tmp_path, LESSON.replace("losses = [1.0", "show_source(check)\nlosses = [1.0")))
    shown = result({"text/html": "<style>...", "text/latex": "...", "text/plain": "def f():\n    `x`\n"})
    cell = cell_of(lessons.page(given, Ledger(), executed(given, {"show_source": [shown]})), "show_source")
    assert cell.outputs[0].data == {"text/markdown": "```python\ndef f():\n    `x`\n```"}


def test_a_copy_of_other_code_is_refused_and_one_of_other_prose_is_not(lesson, tmp_path):
    old = source.read(write(tmp_path / "old", LESSON.replace("range(5)", "range(4)")))
    with pytest.raises(ValueError, match=r"99_small_lesson.*code cell \d+ differs"):
        lessons.page(lesson, Ledger(), executed(old, {}))
    reworded = source.read(write(tmp_path / "reworded", LESSON.replace("Say what a loss is.", "Say it.")))
    assert "Say what a loss is." in lessons.page(lesson, Ledger(), executed(reworded, {})).cells[1].source


def test_a_run_is_kept_under_what_decides_its_outputs(lesson, tmp_path, monkeypatch):
    def name(text=LESSON):
        return lessons.cached(source.read(write(tmp_path / "other", text)), tmp_path).name

    assert name() == name(LESSON.replace("Say what a loss is.", "Say it."))
    assert name() != name(LESSON.replace("range(5)", "range(4)"))
    before = name()
    monkeypatch.setattr("sslab.__version__", "999")
    assert name() != before
    monkeypatch.undo()
    monkeypatch.setenv("SSLAB_MODE", "full")
    assert name() != before


# ---- objectives


def test_every_objective_has_a_page_with_an_equation_and_a_lesson():
    found = {entry.name: entry for entry in catalogue.entries()}
    assert list(found) == objectives.names()
    for name, entry in found.items():
        text = "".join(catalogue._equation(entry))
        assert re.search(r"\$.*\$", text, re.DOTALL), f"{name}: no equation"
        assert "**Finding" not in text and "\n# " not in text
        assert entry.passage or name == "supervised"
    assert "\\log" in "".join(catalogue._equation(found["moco"])) and "**Autoencoder.**" in "".join(catalogue._equation(found["denoising"]))
    lesson_of = {name: entry.passage.lesson.number for name, entry in found.items() if entry.passage}
    assert {name: lesson_of[name] for name in ("simclr", "moco", "dino", "gpt", "vae", "siglip", "ijepa")} == {
        "simclr": "07", "moco": "08", "dino": "10", "gpt": "05", "vae": "03", "siglip": "09", "ijepa": "06"}


def test_a_page_says_what_the_code_says():
    entry = next(entry for entry in catalogue.entries() if entry.name == "simclr")
    page = catalogue.page(entry)
    assert f"| chance = collapsed | {math.log(2 * 64 - 1):.4g} |" in page           # 64 pictures: the recipe's batch
    made = objectives.create("simclr", objectives.encoder_for("simclr", datasets.load("digits")))
    for name, knob in made.knobs.items():
        shown = re.search(rf"\| `{name}` \|.*\|", page)
        assert (shown is not None) == (name not in made.view_knobs), name
        assert shown is None or markdown.plain(knob.help) in shown[0]
    assert "| `temperature` | number | 0.5 | 0.02 to 5, logarithmic |" in page
    for part in (objectives.nt_xent, objectives.SimCLR, objectives.TwoViews):
        assert inspect.getsource(inspect.unwrap(part)).rstrip() in page
    assert "pytorch-metric-learning" in page and "Barlow" not in page               # who differs, and nobody else
    assert "| projection | what the loss sees, where collapse lives | `float32 [128, 128]` |" in page
    assert "[Chen et al. 2020](https://arxiv.org/abs/2002.05709)" in page and "`nt_xent`: Chen et al. 2020" in page


def test_the_functions_of_an_objective_are_found_in_its_code():
    functions = {entry.name: {function.__name__ for function in entry.functions} for entry in catalogue.entries()}
    for name, wanted in {"dino": {"dino"}, "siglip": {"siglip"}, "clip": {"clip"}, "swav": {"swav", "sinkhorn"},
                         "vicreg": {"vicreg", "variance_hinge", "covariance_penalty"}, "gpt": {"next_token"}}.items():
        assert wanted <= functions[name], name
    assert "nt_xent" not in functions["moco"]


def test_every_row_of_the_conventions_is_read():
    table = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8").split("## Losses")[1].split("## Evaluation")[0]
    rows = catalogue.conventions()
    assert len(rows) == sum(line.startswith("| ") for line in table.splitlines()) - 2
    by_name = {entry.made.__name__ for entry in catalogue.entries()} | {f.__name__ for e in catalogue.entries() for f in e.functions}
    assert sum(bool(names & by_name) for names, _ in rows) > 0.9 * len(rows)


def test_of_a_passage_the_part_about_one_method_is_taken(lesson):
    text = ("## 3. Read (2 minutes)\n\n**Finding:** a figure.\n\nFirst of another. **SigLIP** asks $y$.\n\nMore of it.\n\n"
            "**I-JEPA.** Another method.")
    passage = explained.Passage(lesson, "siglip", text)
    assert explained.about(passage, "SigLIP", {"I-JEPA", "SigLIP"}) == "**SigLIP** asks $y$.\n\nMore of it."


@pytest.mark.parametrize("text", ["a_b *c* <d> $x$ [e](f) # g | h", "`x | y` and *z*", "1 < 2 > 0 ~~a~~"])
def test_plain_text_stays_plain(text):
    tokens = MarkdownIt("commonmark").enable(["strikethrough"]).parseInline(markdown.plain(text))[0].children
    assert "".join(f"`{token.content}`" if token.type == "code_inline" else token.content for token in tokens) == text
    assert {token.type for token in tokens} <= {"text", "code_inline", "text_special"}


def test_a_bar_in_a_cell_does_not_split_it():
    html = MarkdownIt("commonmark").enable("table").render(markdown.table(["a", "b"], [["x | y", "two\nlines"]]))
    assert html.count("<td>") == 2 and "x | y" in html and "two lines" in html


def test_a_docstrings_code_stays_code():
    class Thing:
        """Says what it is.

            thing = Thing(1)

        Args:
            many: how many; `None`
                for all.
        """

    assert markdown.docstring(Thing) == "Says what it is.\n\n```python\nthing = Thing(1)\n```\n\n- `many`: how many; `None` for all."


def test_a_number_that_is_one_is_not_a_switch():
    assert "| `crop` | number | 1 |" in catalogue.views() and "| `flip` | number | 0 |" in catalogue.views()


# ---- times and guides


def test_the_times_are_those_of_the_records(lesson):
    ledger = Ledger({"99/time/cpu": Record(125.4, versions={"torch": "2.0"})})
    page = guides.course([lesson, lesson], ledger, "| 99_small_lesson | what a loss is |\n")
    assert "| [99 · A small lesson](lessons/99_small_lesson.ipynb) | what a loss is | 43 | 3 | 2:05 |" in page
    assert "| **all 2** |  | 86 | 6 | 4:11 |" in page and "torch 2.0" in page and "GPU" not in page
    assert "not been measured yet" in guides.course([lesson], Ledger(), "")


def test_the_readme_says_what_each_lesson_teaches():
    teaches = dict(guides.ROW.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert list(teaches) == [path.stem for path in source.paths()] and all(teaches.values())


def test_links_of_a_guide_stay_inside_of_the_site_where_they_can(tmp_path):
    for name in ("docs/a.md", "docs/b.md", "notebooks/07_x.ipynb", "deploy/run.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "docs" / "a.md").write_text("[b](b.md#x) [n](../notebooks/07_x.ipynb) [d](../deploy/run.sh) [w](https://e.org) [s](#s)\n"
                                            "`docs/b.md` `docs/a.md`\n\n    cat `docs/b.md`\n", encoding="utf-8")
    where = f"{guides.repository()}/blob/main/deploy/run.sh"
    assert guides.guide(tmp_path / "docs" / "a.md", tmp_path) == (
        f"[b](b.md#x) [n](../lessons/07_x.ipynb) [d]({where}) [w](https://e.org) [s](#s)\n"
        "[`docs/b.md`](b.md) `docs/a.md`\n\n    cat `docs/b.md`\n")


# ---- links


GOOD = '<a href="other.html#here">x</a><a href="#top">x</a><a href="https://example.org">x</a><a href="mailto:a@b.c">x</a><p id="top">'
BAD = {'<a href="gone.html">x</a>': "gone.html: no such file",
       '<a href="other.html#gone">x</a>': "no such place",
       '<a href="#gone">x</a>': "no such place",
       '<img src="gone.png">': "gone.png: no such file",
       '<img src="https://example.org/a.png">': "network",
       '<script src="//cdn.example.org/a.js"></script>': "network",
       '<link rel="stylesheet" href="https://example.org/a.css">': "network",
       '<link rel="preconnect" href="https://example.org">': "network",
       "<style>@import 'https://example.org/a.css';</style>": "network",
       '<p style="background: url(https://example.org/a.png)">x</p>': "network",
       '<img srcset="https://example.org/a.png 2x">': "network"}


@pytest.mark.parametrize("html", [GOOD, *BAD])
def test_links_that_lead_nowhere_or_need_a_network_are_named(tmp_path, html):
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    (tmp_path / "other.html").write_text('<p id="here">x</p><img src="data:image/png;base64,AA==">', encoding="utf-8")
    found = links.problems(tmp_path)
    if html == GOOD:
        assert found == []
    else:
        (problem,) = found
        assert problem.startswith("index.html: ") and BAD[html] in problem


def test_a_style_sheet_that_needs_a_network_is_named(tmp_path):
    (tmp_path / "index.html").write_text("<p>x</p>", encoding="utf-8")
    (tmp_path / "a.css").write_text("@font-face { src: url(https://example.org/f.woff) }", encoding="utf-8")
    assert links.problems(tmp_path) == ["a.css: https://example.org/f.woff: is loaded from a network"]


def test_a_folder_without_pages_is_refused(tmp_path):
    with pytest.raises(ValueError, match="folder: got"):
        links.problems(tmp_path)


# ---- the whole


def test_only_what_differs_is_written_and_what_is_gone_is_removed(tmp_path):
    build.write({"a.md": "1", "b/c.md": "2"}, tmp_path)
    first = (tmp_path / "a.md").stat().st_mtime_ns
    build.write({"a.md": "1", "d.md": "3"}, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.md")) == ["a.md", "d.md"]
    assert (tmp_path / "a.md").stat().st_mtime_ns == first


def test_a_missing_package_is_named_before_any_work(monkeypatch):
    monkeypatch.setattr(build, "NEEDS", ("no-such-package",))
    answer = CliRunner().invoke(cli.main, ["course", "site"])
    assert answer.exit_code == 1 and "no-such-package is not installed" in answer.output


def test_the_first_page_names_pages_that_are_there():
    pages = {f"lessons/{path.stem}.ipynb" for path in source.paths()} | {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    pages |= {"course.md", "objectives/index.md", "docs/images/lab.png"}
    text = (ROOT / "site" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([^)]+)\)", text)) <= pages


@pytest.mark.slow
def test_every_page_of_an_objective_can_be_made():
    for entry in catalogue.entries():
        page = catalogue.page(entry)
        assert all(f"\n## {part}" in page for part in ("Equation", "Knobs", "Shapes", "Source")), entry.name
        assert entry.dataset in datasets.names(offline=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.slow
@pytest.mark.browser
def test_the_site_is_read_without_a_network(tmp_path):
    """Builds the site without running anything, and reads it in Chromium: no request leaves it; formulas and search work."""
    for module in ("myst_nb", "sphinx_book_theme", "playwright"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed (the `docs` and `dev` extras)")
    browser = next((path for path in (Path("/usr/bin/chromium"), Path("/usr/bin/chromium-browser")) if path.exists()), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    first = build.build(output=tmp_path / "html", run=False)
    assert links.problems(first.parent) == []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=first.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base, elsewhere = f"http://127.0.0.1:{server.server_port}/", []
    from playwright.sync_api import sync_playwright

    try:
        with sync_playwright() as play:
            chromium = play.chromium.launch(executable_path=str(browser), args=[
                "--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
            page = chromium.new_page()
            page.set_default_timeout(120_000)
            page.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith((base, "data:")) else None)
            page.goto(f"{base}objectives/simclr.html")
            page.wait_for_selector("mjx-container")
            assert page.locator("mjx-merror").count() == 0
            for path in ("index.html", "course.html", "lessons/07_contrastive_simclr.html", "docs/conventions.html"):
                page.goto(base + path)
                assert page.locator("main h1").first.inner_text()
            page.goto(f"{base}search.html?q=Sinkhorn")
            page.wait_for_selector("#search-results li a")
            found = page.locator("#search-results li a").all_inner_texts()
            chromium.close()
    finally:
        server.shutdown()
    assert any("SwAV" in title for title in found)
    assert elsewhere == []
