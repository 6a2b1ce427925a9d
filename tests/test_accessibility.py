"""What a person gets who does not see the picture, does not see all colours, or has no mouse: docs/accessibility.md.

The browser tests start a real JupyterLab and are slow; they and the site's run with

    pytest -m "slow or not slow" tests/test_accessibility.py
    SSLAB_SITE=FOLDER pytest -m slow tests/test_accessibility.py -k site
"""

import html
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from figure_examples import CONTROLS, EXAMPLES, NAMES
from IPython.core.formatters import DisplayFormatter
from jupyter_browser import jupyterlab, open_notebook, write_notebook
from matplotlib.colors import to_hex, to_rgb

from sslab import cli, encoders, figures, objectives
from sslab.figures import describe, style
from sslab.lab import Lab, display, fill, latents, predict

ROOT = Path(__file__).resolve().parents[1]
STATIC = Path(display.__file__).parent / "static"
HELPERS = {"tile", "sheet", "class_style", "new_figure", "ink", "luminance"}     # what draws no figure of its own
LONGEST = 1500                                                       # characters that are read in one go


@cache
def drawn(name: str, seed: int):
    return EXAMPLES[name](seed)


# ---- descriptions


def test_every_figure_of_the_package_has_an_example_here():
    found = set()
    for module in pkgutil.iter_modules(figures.__path__):
        of = importlib.import_module(f"sslab.figures.{module.name}")
        if module.name not in ("describe", "style"):
            found |= {f"{module.name}.{name}" for name, each in inspect.getmembers(of, inspect.isfunction)
                      if each.__module__ == of.__name__ and not name.startswith("_") and name not in HELPERS}
    assert found == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_description_is_made_from_the_data(name):
    first, other = drawn(name, 1).description, drawn(name, 2).description
    assert first != other
    assert 40 < len(first) < LONGEST and first.endswith((".", "?")) and "  " not in first and "\n" not in first
    assert not re.search(r"\bnan\b|\binf\b|tensor\(|None|array\(|-\d", first), first


def test_a_figure_without_a_description_is_found_out():
    assert style.new_figure()[0].description == ""


def test_the_numbers_are_those_that_were_measured():
    said = figures.label_efficiency({"SimCLR": {1: (0.5, (0.4, 0.6)), 5: (0.9, None)}, "raw pixels": {1: (0.45, None), 5: (0.625, None)}}, 0.1).description
    assert "SimCLR: 0.5 (0.4 to 0.6) at 1, 0.9 at 5." in said and "chance 0.1" in said and "From high to low with the most labels: SimCLR, raw pixels" in said
    said = figures.loss({"run": [3.0, 5.0, 1.0, 2.0]}, {}).description
    assert said == "Lines: loss by step. run: from 3 at 0 to 2 at 3, lowest 1 at 2, highest 5 at 1."
    said = figures.correlations({"z": torch.eye(3) - 0.5 * (1 - torch.eye(3))}).description
    assert said.endswith("mean |c|: diagonal 1.00, rest 0.50.")
    said = figures.reconstructions({"picture": torch.zeros(2, 1, 4, 4), "grey": torch.full((2, 1, 4, 4), 0.5)}).description
    assert "Mean squared difference from picture: grey 0.25" in said
    said = figures.confusion(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, 1]), ("a", "b")).description
    assert "75 % are right" in said and "a is called b in 50 %" in said


def test_classes_that_lie_apart_are_said_to():
    flat = torch.tensor([[0.0, 0], [0, 1], [9, 0], [9, 1], [4.4, 0]])  # the last one is nearer to class 0
    assert describe.apart(flat, torch.tensor([0, 0, 1, 1, 1]), ("a", "b")) == (
        "the nearest point is of the same class for 80 % of 5 points, by class: from 67 % (b) to 100 % (a)")


def test_numbers_as_they_are_read():
    assert [describe.number(value) for value in (0, -0.5, 1234.6, 0.12345, float("nan"))] == [
        "0", "\N{MINUS SIGN}0.5", "1,235", "0.123", "not a number"]
    assert describe.percent(0.956) == "96 %" and describe.percent(0.00451) == "0.5 %"
    assert describe.listed(["a", "b\nc", "d"]) == "a, b c and d" and describe.listed(["a"]) == "a"
    assert describe.curve("x", [1, 2, 3], [None, float("nan"), 4.0]) == "x: 4 at 3"
    assert describe.curve("x", [1], [None]) == "x: nothing was measured"


def test_a_large_table_is_said_by_its_ends():
    rows = {f"r{row}": {f"c{column}": 10 * row + column for column in range(9)} for row in range(9)}
    said = describe.table(rows)
    assert "c3: from 3 (r0) to 83 (r8)" in said and len(said) < 400


def shown(figure, monkeypatch):
    """What a notebook would get: (data, metadata)."""
    outputs = []
    monkeypatch.setattr("IPython.display.display", lambda data, metadata=None, raw=False: outputs.append((data, metadata)))
    DisplayFormatter().ipython_display_formatter(figure)
    (output,) = outputs
    return output


def test_a_notebook_shows_a_figure_with_its_description(monkeypatch):
    figure = figures.loss({'a "quoted" & <tagged> run': [3.0, 2.0]}, {"chance": 6.93})
    data, metadata = shown(figure, monkeypatch)
    assert set(data) == {"text/html", "text/plain", "image/png"}
    assert data["text/plain"] == metadata["image/png"]["alt"] == figure.description
    alt, source = re.fullmatch(r'<img alt="([^"]*)" src="data:image/png;base64,([A-Za-z0-9+/=]+)">', data["text/html"]).groups()
    assert html.unescape(alt) == figure.description and source == data["image/png"]


# ---- colours


# Machado, Oliveira and Fernandes, IEEE TVCG 2009, table 1, severity 1.0: linear RGB as it is seen without one kind of cone
SEEN = {"all cones": np.eye(3),
        "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]}
APART = 15                                                           # CIELAB 1976; six times what is just noticed


def lab(colour, eyes: str):
    """CIELAB (D65) of a colour as such eyes see it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SEEN[eyes]) @ linear, 0, 1)
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]) @ linear
    ratio = xyz / np.array([0.95047, 1.0, 1.08883])
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a, b, eyes: str) -> float:
    return float(np.linalg.norm(lab(a, eyes) - lab(b, eyes)))


def test_the_simulation_is_what_it_should_be():
    assert lab("#ffffff", "all cones") == pytest.approx([100, 0, 0], abs=0.02)
    assert lab("#ff0000", "all cones") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)              # a well-known value
    for eyes in SEEN:
        assert distance("#777777", "#777777", eyes) == 0 and lab("#777777", eyes)[1:] == pytest.approx([0, 0], abs=0.1)     # grey stays grey
    assert distance("#ff0000", "#808000", "protanopia") < 0.6 * distance("#ff0000", "#808000", "all cones")


@pytest.mark.parametrize("eyes", SEEN)
def test_class_colours_stay_apart(eyes):
    nearest = min((distance(a, b, eyes), a, b) for a, b in combinations(style.COLOURS, 2))
    assert nearest[0] >= APART, nearest


def looks(axis) -> dict:
    """Each named series of an axis -> its colour and what else tells it apart: marker, line, hatch."""
    found = {}
    for line in axis.lines:
        found[line.get_label()] = (to_hex(line.get_color()), line.get_marker(), line.get_linestyle(), line.get_markerfacecolor() in ("none", "white"))
    for cloud in axis.collections:
        if len(cloud.get_paths()) and len(cloud.get_facecolor()):
            found[cloud.get_label()] = (to_hex(cloud.get_facecolor()[0][:3]), cloud.get_paths()[0].vertices.round(2).tobytes())
    for container in axis.containers:
        if hasattr(container, "patches"):
            found[container.get_label()] = (to_hex(container.patches[0].get_facecolor()), container.patches[0].get_hatch())
        else:
            line = container[0]
            found[container.get_label()] = (to_hex(line.get_color()), line.get_marker(), line.get_linestyle(), line.get_markerfacecolor() in ("none", "white"))
    return {name: look for name, look in found.items() if not str(name).startswith("_")}


@pytest.mark.parametrize("name", EXAMPLES)
def test_series_of_a_figure_stay_apart(name):
    for axis in drawn(name, 1).axes:
        for (one, (colour, *form)), (other, (paint, *shape)) in combinations(looks(axis).items(), 2):
            if form == shape:
                nearest = min(distance(colour, paint, eyes) for eyes in SEEN)
                assert nearest >= APART, f"{one} and {other} look alike ({nearest:.0f})"


def test_the_looks_are_found():
    found = {name for example in ("curves.label_efficiency", "curves.embedding_map", "pretext.by_class", "image_text.who_wins", "scale.curves")
             for axis in drawn(example, 1).axes for name in looks(axis)}
    assert {*NAMES, *CONTROLS, "h", "z", "alpha, yours"} <= found


@pytest.mark.parametrize("classes", [10, 12, 30])
def test_no_two_classes_of_a_map_look_alike(classes):
    for a, b in combinations(range(classes), 2):
        one, other = style.class_style(a), style.class_style(b)
        apart = min(distance(one["color"], other["color"], eyes) for eyes in SEEN) >= APART
        assert apart or one["marker"] != other["marker"], (a, b)


def test_the_live_map_and_its_still_picture_keep_classes_apart_too():
    script = (STATIC / "map.js").read_text("utf-8")
    colours = re.findall(r'"(#\w{6})"', re.search(r"const COLOURS = \[(.*?)\]", script).group(1))
    shapes = re.findall(r'"(\w+)"', re.search(r"const SHAPES = \[(.*?)\]", script).group(1))
    assert sorted(colours) == sorted(style.COLOURS) == sorted(display.COLOURS) and len(shapes) == len(set(shapes)) == len(display.MARKERS)
    for a, b in combinations(range(12), 2):
        pair = colours[a % len(colours)], colours[b % len(colours)]
        assert min(distance(*pair, eyes) for eyes in SEEN) >= APART or a % len(shapes) != b % len(shapes), (a, b)


def test_words_in_colour_can_be_read_on_white():
    for colour in (*style.COLOURS, *(role[0] for role in style.ROLES.values())):
        assert 1.05 / (style.luminance(to_rgb(style.ink(colour))) + 0.05) >= 4.5
    assert style.ink("#0072B2") == "#0072b2" and style.luminance((1, 1, 1)) == pytest.approx(1)


@pytest.mark.parametrize("name", EXAMPLES)
def test_words_of_a_figure_can_be_read(name):
    """On white; words on a coloured ground choose black or white by it."""
    for axis in drawn(name, 1).axes:
        for text in [*axis.texts, axis.title, axis.xaxis.label, axis.yaxis.label, *axis.get_xticklabels(), *axis.get_yticklabels()]:
            colour = to_rgb(text.get_color())
            if text.get_text() and style.luminance(colour) < 0.99:
                assert 1.05 / (style.luminance(colour) + 0.05) >= 4.5, f"{text.get_text()!r} in {to_hex(colour)}"


# ---- the live lab, in a browser


VIEW = "document.querySelector('.sslab-lab').sslab"
ARTIFACTS = Path(__file__).parent / "artifacts"
TABBABLE = ":is(button, input, select, summary, [tabindex='0']):not([tabindex='-1'], :disabled)"
# Every visible word of ours that lies over another one, in twos
OVERLAPS = """() => { const leaves = [...document.querySelectorAll('#here :is(button, label, h4, h5, legend, figcaption > *, output, .help, .caption, .status > *, summary)')]
    .filter((one) => one.checkVisibility() && !one.closest('.hidden, .stage') && one.getBoundingClientRect().width > 1)
    .filter((one, _, all) => !all.some((other) => other !== one && one.contains(other)));
  const box = (one) => { const range = document.createRange(); range.selectNodeContents(one); const a = range.getBoundingClientRect(); return a.width ? a : one.getBoundingClientRect(); };
  const boxes = leaves.map(box), found = [];
  for (let i = 0; i < leaves.length; i++) for (let j = 0; j < i; j++) {
    const a = boxes[i], b = boxes[j];
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
      found.push([leaves[j].textContent.slice(0, 40), leaves[i].textContent.slice(0, 40)]);
  }
  return found; }"""
FOCUS = """() => { const one = document.activeElement, style = getComputedStyle(one);
  return { name: one.getAttribute('name') || one.id || one.getAttribute('aria-label') || one.textContent.slice(0, 30), tag: one.tagName,
           ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1, ours: Boolean(one.closest('#here')) }; }"""


@cache
def trained(what: str = "mae digits"):
    """A lab at its end; a few steps make all that is shown."""
    kind, data = what.split()
    lab = Lab(kind, data, steps=3, batch_size=8)
    lab.start()
    lab.join()
    return lab


@pytest.fixture
def front(browser, request):
    """A page; `front.show(...)` puts widgets on it."""
    from widget_page import Front

    options = getattr(request, "param", {})
    page = browser.new_page(viewport={"width": options.get("width", 1200), "height": 900}, reduced_motion=options.get("motion", "no-preference"))
    page.set_default_timeout(120_000)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    front = Front(page, options.get("theme", "light"))
    yield front
    page.close()
    assert problems == []


def put(front, *things: str) -> None:
    """Labs and toys on the page, by what they are; waits until each shows something."""
    pictures = trained().dataset.validation.images[:3]
    for thing in things:
        if thing == "fill":
            front.toy(fill(trained().objective, pictures))
        elif thing == "latents":
            front.toy(latents(objectives.create("vae", encoders.create("conv", trained().dataset, width=8)), pictures))
        elif thing == "options":
            front.prediction(predict("00/option", "Which one?", ["the first", "the second", "the third"], save=False))
        elif thing == "number":
            front.prediction(predict("00/number", "What share?", low=0, high=1, unit="of the images", save=False))
        else:
            view = front.lab(trained(thing) if " " in thing else trained())
            front.page.locator(f"#{view}").scroll_into_view_if_needed()
            view = f"document.querySelector('#{view} .sslab-lab')"           # a lab of words begins with its map folded
            front.until(f"{view}.sslab.known && ({view}.sslab.map.drawn > 0 || {view}.querySelector('.cards > *'))")
    front.wait(0.3)


def violations(page, levels=("serious", "critical")) -> list[str]:
    """What axe-core holds against the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not here: pip install -e .[dev]")
    found = axe.Axe().run(page).response["violations"]
    return [f"{each['impact']}: {each['id']}: {node['html'][:160]}: {node['failureSummary'][:200]}"
            for each in found if each["impact"] in levels for node in each["nodes"]]


def keep(page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


@pytest.mark.browser
@pytest.mark.parametrize("front", [{"theme": "light"}, {"theme": "dark"}], indirect=True, ids=["light", "dark"])
def test_axe_finds_nothing_serious_on_the_live_lab(front, request):
    put(front, "mae", "fill", "latents", "options", "number")
    keep(front.page, f"axe_{request.node.callspec.id}")
    assert violations(front.page) == []


@pytest.mark.browser
def test_the_keyboard_alone_goes_through_lab_toys_and_questions(front):
    put(front, "mae", "fill", "options", "number")
    page, press, seen = front.page, front.page.keyboard.press, []
    page.locator("#before").focus()
    for _ in range(120):
        press("Tab")
        now = page.evaluate(FOCUS)
        if not now["ours"]:
            break
        assert now["ring"], f"nothing shows that {now} has the focus"
        seen.append(now["name"])
    assert page.evaluate("document.activeElement.id") == "after", "Tab leaves by the end"
    assert {"objective", "dataset", "start", "pause", "stop", "reset", "motion", "random", "next"} <= set(seen)
    hidden = page.evaluate(f"""() => [...document.querySelectorAll(`#here {TABBABLE}`)].filter((one) => one.checkVisibility()
        && !(one.type === 'radio' && !one.checked)).length""")
    assert len(seen) >= hidden, "each is reached"
    for _ in seen:
        press("Shift+Tab")
    press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") == "before", "and back by its beginning"

    page.locator("[name=motion]").focus()                            # arrows change what has the focus
    press("ArrowDown")
    assert page.evaluate(f"{VIEW}.motion") == "steps"
    page.locator(".stage > canvas").focus()
    press("ArrowRight")
    assert page.locator(".tip").is_visible() and page.locator("[aria-live]").inner_text() in {str(digit) for digit in range(10)}
    loss = page.locator("canvas[aria-label^='Loss']")
    loss.focus()
    press("Home")
    assert loss.get_attribute("aria-valuetext") == f"{trained().history[0]['loss']:.3f} at step 0" and loss.get_attribute("aria-valuenow") == "0"
    press("ArrowRight")
    assert loss.get_attribute("aria-valuetext") == f"{trained().history[1]['loss']:.3f} at step 1"
    press("Escape")
    assert "at step" not in loss.get_attribute("aria-valuetext")
    share = page.locator(".sslab-lab .knob input[type=range]").first
    share.focus()
    before = share.get_attribute("aria-valuetext")
    press("ArrowRight")
    assert share.get_attribute("aria-valuetext") != before
    page.locator("input[type=radio]").first.focus()
    press("Space")
    press("ArrowDown")
    press("Tab")
    press("Enter")
    front.until("[...document.querySelectorAll('[role=status]')].some((one) => one.textContent.startsWith('Recorded: the second'))", 60)
    page.locator("fieldset input[type=number]").focus()
    page.keyboard.type("0.5")
    press("Enter")
    front.until("[...document.querySelectorAll('[role=status]')].some((one) => one.textContent.startsWith('Recorded: 0.5'))", 60)


@pytest.mark.browser
def test_a_notice_is_dismissed_by_keyboard(front):
    put(front, "mae")
    page = front.page
    page.evaluate(f"{VIEW}.notice('Something went wrong.')")
    assert page.get_by_role("alert").inner_text().startswith("Something went wrong.")
    page.get_by_role("button", name="Dismiss").focus()
    page.keyboard.press("Enter")
    assert page.locator(".notice").is_hidden() and page.evaluate("document.activeElement.name") == "start"


@pytest.mark.browser
@pytest.mark.parametrize("front", [{"width": 640}, {"width": 320}], indirect=True, ids=["200 %", "400 %"])
def test_zoomed_in_nothing_overlaps_and_nothing_scrolls_sideways(front, request):
    """1280 px at 200 % (WCAG 1.4.4) and at 400 % (1.4.10) are 640 and 320 px of a style sheet."""
    put(front, "mae", "fill", "latents", "options", "number")
    keep(front.page, f"zoom_{request.node.callspec.id.replace(' ', '')}")
    assert front.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert front.page.evaluate(OVERLAPS) == []


def turn(front, lab) -> None:
    """A new map: the same points on the other side."""
    watcher = lab.run.watcher
    watcher.picture = replace(watcher.picture, points=-watcher.picture.points)
    lab.dashboard.bridge.tell()
    front.wait(0.6)


@pytest.mark.browser
def test_motion_stops_on_request(front):
    put(front, "mae")
    page, lab = front.page, trained()
    state = f"(() => {{ const {{ map }} = {VIEW}; return [map.points[0], map.target[0]]; }})()"
    at, _ = page.evaluate(state)
    turn(front, lab)
    now, target = page.evaluate(state)
    assert target == pytest.approx(-at) and min(at, -at) < now < max(at, -at), "smooth: on its way"

    page.locator("[name=motion]").select_option("steps")
    turn(front, lab)
    now, target = page.evaluate(state)
    assert now == target == pytest.approx(at), "in steps: there at once"

    page.locator("[name=motion]").select_option("held")
    picture = page.locator(".stage > canvas").screenshot()
    turn(front, lab)
    front.wait(0.5)
    assert page.evaluate(state)[0] == pytest.approx(at) and page.locator(".stage > canvas").screenshot() == picture, "held: nothing moves"
    page.locator("[name=motion]").select_option("steps")
    assert page.evaluate(state)[0] == pytest.approx(-at) and page.locator(".stage > canvas").screenshot() != picture, "and goes on"


@pytest.mark.browser
@pytest.mark.parametrize("front", [{"motion": "reduce"}], indirect=True)
def test_who_asks_the_system_for_less_motion_gets_steps(front):
    put(front, "mae")
    page, lab = front.page, trained()
    assert page.locator("[name=motion]").input_value() == "steps"
    lab.run.state = "running"                                        # frames come twice a second, pictures every two
    try:
        drawn = page.evaluate(f"{VIEW}.map.drawn")
        for _ in range(4):
            turn(front, lab)
        assert page.evaluate(f"{VIEW}.map.drawn") - drawn <= 2
    finally:
        lab.run.state = "finished"
    front.page.emulate_media(reduced_motion="no-preference")
    assert page.locator("[name=motion]").input_value() == "smooth"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("front", [{"theme": "light"}, {"theme": "dark"}], indirect=True, ids=["light", "dark"])
def test_axe_finds_nothing_serious_on_labs_of_words_and_pairs(front, request):
    put(front, "bert wordnet", "gpt passages", "clip emoji-pairs")
    front.page.get_by_role("button", name="Show the map").first.click()
    front.wait(1)
    keep(front.page, f"axe_words_{request.node.callspec.id}")
    assert violations(front.page) == []


@pytest.mark.slow
@pytest.mark.browser
def test_axe_finds_nothing_serious_on_a_followed_run(front, tmp_path):
    words = ["train", "simclr", "--data", "digits", "--steps", "3", "--batch-size", "8", "--checkpoint", str(tmp_path / "x")]
    assert CliRunner().invoke(cli.main, words).exit_code == 0
    lab = Lab.follow(tmp_path / "x")
    lab._make_dashboard()
    front.lab(lab)
    front.until(f"{VIEW}.known && {VIEW}.map.drawn > 0 && document.querySelector('.knobs dl')")
    keep(front.page, "axe_follow")
    assert violations(front.page) == []
    lab.stop()


ASK = 'guess = predict("00/which", "Which one?", ["the first", "the second", "the third"], save=False)\nguess'
LESSON = (f"from sslab import figures\nfrom sslab.lab import Lab, check, predict\n{ASK}",
          'lab = Lab("simclr", "digits", steps=3, batch_size=8)\nlab',
          'print(guess.reveal("the second"))\nfigures.loss({"SimCLR": [row["loss"] for row in lab.history]}, {})', "", "print('the end')")


@pytest.mark.slow
@pytest.mark.browser
def test_the_keyboard_alone_runs_a_lesson(browser, tmp_path):
    """A guess, a live run, a figure, an exercise that is typed and checked, in JupyterLab; no mouse."""
    write_notebook(tmp_path / "lesson.ipynb", *LESSON)
    with jupyterlab(tmp_path, SSLAB_MODE="smoke") as address:
        page = browser.new_page(viewport={"width": 1300, "height": 950})
        page.set_default_timeout(120_000)
        press = page.keyboard.press
        open_notebook(page, address("lesson.ipynb"))

        def tab_to(what: str, key: str = "Tab", most: int = 20) -> None:
            for _ in range(most):
                if page.evaluate("(what) => document.activeElement.matches(what)", what):
                    return
                press(key)
                page.wait_for_timeout(100)
            raise AssertionError(f"{key} does not reach {what}")

        def run(shows: str) -> None:
            """Run the cell and go to the next; a kernel that is not quite there drops it."""
            tab_to(".jp-Cell", "Shift+Tab")
            press("Shift+Enter")
            page.wait_for_selector(shows)

        tab_to(".jp-Cell")
        run("fieldset")
        press("ArrowUp")
        tab_to("input[type=radio]")
        for key in ("Space", "ArrowDown", "Tab", "Enter"):
            press(key)
        page.get_by_role("status").filter(has_text="Recorded: the second").wait_for()
        tab_to(".jp-Cell", "Shift+Tab")

        press("ArrowDown")
        run(".sslab-lab")
        page.wait_for_function(f"() => {VIEW}.known")
        press("ArrowUp")
        tab_to("[name=start]")
        press("Enter")
        page.wait_for_function(f"() => {VIEW}.state === 'finished'")
        tab_to(".jp-Cell", "Shift+Tab")

        press("ArrowDown")
        run("img[alt^='Lines: loss by step. SimCLR: ']")
        assert page.get_by_text("You said: the second. It was: the second. The same.").count() == 1
        press("Enter")                                               # into the exercise
        page.keyboard.type("import torch\ncheck.positive_index(lambda b: torch.arange(2 * b).roll(b))")
        press("Escape")
        run("text=positive_index: ")
        keep(page, "lesson_by_keyboard")
        run("text=the end")
        assert page.locator(".jp-Notebook .jp-Cell .jp-InputArea").count() >= len(LESSON), "no key of ours cut a cell"
        page.close()


@pytest.mark.slow
@pytest.mark.browser
def test_the_keyboard_alone_runs_lesson_00(browser, tmp_path):
    """The real one, from its title to its last cell, with Shift+Enter."""
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", tmp_path / "00.ipynb")
    code = [cell for cell in json.loads((tmp_path / "00.ipynb").read_text("utf-8"))["cells"]
            if cell["cell_type"] == "code" and not cell["metadata"].get("jupyter", {}).get("source_hidden")]           # that has no prompt
    with jupyterlab(tmp_path, SSLAB_MODE="smoke", SSLAB_PREDICTIONS="off") as address:
        page = browser.new_page(viewport={"width": 1300, "height": 950})
        page.set_default_timeout(120_000)
        press = page.keyboard.press
        open_notebook(page, address("00.ipynb"))
        for _ in range(30):
            if page.evaluate("document.activeElement.matches('.jp-Cell')"):
                break
            press("Tab")
        cells = page.locator(".jp-Notebook .jp-Cell").count()
        for _ in range(cells):
            press("Shift+Enter")
            page.wait_for_timeout(100)
        done = "(count) => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].filter((one) => /\\[\\d+\\]/.test(one.textContent)).length >= count"
        try:
            page.wait_for_function(done, arg=len(code), timeout=240_000)
        finally:
            keep(page, "lesson_00_by_keyboard")
        assert page.locator(".jp-Notebook .jp-Cell").count() == cells + 1, "Shift+Enter on the last cell adds one, no key of ours cut another"
        wrong = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        assert wrong.count() == 0, wrong.all_inner_texts()
        page.close()


# ---- the site


@pytest.mark.slow
@pytest.mark.browser
def test_axe_finds_nothing_serious_on_the_site(browser):
    """Every page of the built site, light and dark, and at 200 %: SSLAB_SITE is its folder."""
    folder = os.environ.get("SSLAB_SITE")
    if not folder:
        pytest.skip("SSLAB_SITE is not set: make site, then SSLAB_SITE=runs/site/html pytest -m slow tests/test_accessibility.py -k site")
    found = {}
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(120_000)
    parts = ("sbt-webpack-macros.html", "webpack-macros.html")       # of the theme's templates: no pages
    for path in sorted(path for path in Path(folder).rglob("*.html") if path.name not in parts):
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.goto(path.resolve().as_uri())
            page.evaluate("(theme) => { document.documentElement.dataset.theme = document.documentElement.dataset.mode = theme; }", theme)
            page.wait_for_timeout(300)
            if against := violations(page):
                found[f"{path.relative_to(folder)} {theme}"] = against
        page.set_viewport_size({"width": 600, "height": 450})        # as 1,200 pixels at 200 %
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"):
            found[f"{path.relative_to(folder)} at 200 %"] = ["scrolls sideways"]
        page.set_viewport_size({"width": 1200, "height": 900})
    (ARTIFACTS / "axe_site.json").write_text(json.dumps(found, indent=1)) if ARTIFACTS.is_dir() else None
    page.close()
    assert not found, json.dumps(found, indent=1)[:4000]
