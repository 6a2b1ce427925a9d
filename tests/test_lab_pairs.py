"""The live lab for pictures with words, without a browser: what it finds for a phrase while it trains; and its cards in one."""

import gc
import json
import math
import random
import threading
import time
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from sslab import encoders, evaluation, objectives
from sslab.datasets import Card, PairDataset, Pairs
from sslab.datasets.base import split_in_order
from sslab.datasets.tokenizer import train_tokenizer
from sslab.lab.bridge import Bridge
from sslab.lab.display import _page, still
from sslab.lab.pairs import BEST, HELD_OUT, TYPED, Drawings, Finding, held_out_phrase, names
from sslab.lab.session import Lab
from sslab.lab.watch import Watcher, kind_of

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220), "grey": (120, 120, 120)}
SHAPES = ("square", "bar", "dot")


class Tiny(nn.Module):
    """A picture encoder that takes no time, with a batch norm that must not be disturbed."""

    dim = 12

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(192, 12), nn.BatchNorm1d(12))

    def forward(self, images):
        return self.net(images.float() / 255 if images.dtype == torch.uint8 else images)


@cache
def blocks(labelled=True, name="blocks"):
    """90 things in four colours and three shapes, each drawn by one to three."""
    choose, generator = random.Random(0), torch.Generator().manual_seed(0)
    texts = [f"{choose.choice(list(COLOURS))} {choose.choice(SHAPES)}" for _ in range(90)]
    images = torch.randint(0, 40, (90, 3, 3, 8, 8), generator=generator)
    for i, text in enumerate(texts):
        colour, shape = text.split()
        high, wide = {"square": (6, 6), "bar": (2, 8), "dot": (2, 2)}[shape]
        images[i, :, :, :high, :wide] += torch.tensor(COLOURS[colour])[None, :, None, None] - 20
    drawn = torch.rand(90, 3, generator=generator) < 0.7
    drawn[:, 0] |= ~drawn.any(dim=1)
    tokenizer = train_tokenizer("wordpiece", 300, [f"a {text}" for text in texts[:50]])
    said = torch.ones(90, 2, dtype=torch.bool)
    pairs = Pairs(images.clamp(0, 255).byte(), drawn, torch.zeros(90, 2, 10, dtype=torch.int16), said)
    labels = torch.tensor([list(COLOURS).index(text.split()[0]) if labelled else -1 for text in texts])
    data = PairDataset(name, pairs, texts, labels, tuple(COLOURS) if labelled else (), split_in_order(50, 30, 10),
                       Card("", "", "", ""), tokenizer, ("name", "template"), ("ann", "bob", "cleo"), "cleo")
    captions = [data.encode(texts), data.encode([f"a {text}" for text in texts])]
    pairs.captions.copy_(torch.stack(captions, dim=1))
    return data


def make(name="clip", data=None, kind=None):
    data = blocks() if data is None else data
    torch.manual_seed(0)
    text = encoders.create("transformer", (data.vocabulary, data.context), dim=16, depth=1, heads=2)
    return (kind or {"clip": objectives.CLIP, "siglip": objectives.SigLIP}[name])(Tiny(), text=text, outputs=8)


def make_lab(name="clip", data=None, kind=None, steps=20, **options):
    data = blocks() if data is None else data
    return Lab(make(name, data, kind), data, **{"steps": steps, "batch_size": 16, "precision": "float32", **options})


def slow(lab, pause):
    views = lab.objective.make_views
    lab.objective.make_views = lambda *given: time.sleep(pause) or views(*given)
    return lab


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def lab_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("sslab")]


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    if lab_threads():
        gc.collect()
        until(lambda: not lab_threads(), 5)


# ---- a run without a front end

@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_headless_run_has_map_probe_controls_lines_and_findings(name):
    lab = make_lab(name, steps=30, learning_rate=1e-2)
    assert lab.readings == {} and lab.pictures == {} and lab.question.text == "a red heart"
    lab.start()
    assert lab.join(30) and lab.state == "finished"
    watcher = lab.run.watcher
    assert watcher.kind == "pairs" and list(lab.run.levels) == ["chance"]
    assert list(lab.controls) == ["chance", "raw pixels", "random encoder"] and lab.controls["chance"] == 0.25
    assert 0.25 < lab.history[-1]["probe"] <= 1 and 0 < lab.history[-1]["effective_rank"] <= 8
    drawings = int(lab.dataset.validation.pairs.drawn.sum())
    assert watcher.picture.step == watcher.readings.step == 29 and len(watcher.picture.points) == len(watcher.shown) == drawings
    assert list(lab.readings) == list(lab.pictures) == [HELD_OUT, TYPED]
    for finding, images in zip(lab.readings.values(), lab.pictures.values(), strict=True):
        assert len(finding.found) == len(images) == BEST and images.shape[1:] == (3, 8, 8) and images.max() <= 1
        assert finding.among == drawings and finding.error == ""


def test_what_is_found_is_the_order_of_the_cosines():
    """Against numpy in float64, from the drawings and captions themselves."""
    lab = make_lab(steps=12, learning_rate=1e-2)
    lab.start()
    lab.join()
    lab.ask("Red bar")
    data, part = lab.dataset, lab.dataset.validation
    each = [(i, drawer) for i in range(len(part)) for drawer in range(3) if part.pairs.drawn[i, drawer]]
    with torch.no_grad():
        z = lab.objective.image_head(lab.objective.encoder.eval()(torch.stack([part.pairs.images[i, v] for i, v in each])))
        for phrase, finding in zip((lab.readings[HELD_OUT].prompt, "Red bar"), lab.readings.values(), strict=True):
            t = lab.objective.text_head(lab.objective.text.eval()(data.encode([phrase]).long()))[0].double().numpy()
            cosines = [float(np.dot(one, t) / np.linalg.norm(one) / np.linalg.norm(t)) for one in z.double().numpy()]
            texts = [data.texts[int(part.indices[i])] for i, _ in each]
            order = sorted(range(len(each)), key=lambda k: -cosines[k])
            assert [cosine for _, cosine, _ in finding.found] == pytest.approx([cosines[k] for k in order[:BEST]], abs=1e-5)
            for (name, cosine, right), image in zip(finding.found, finding.images, strict=True):
                match = [k for k, (i, v) in enumerate(each) if torch.equal(part.pairs.images[i, v], image)]
                assert any(name == f"{texts[k]} ({data.drawers[each[k][1]]})" and abs(cosines[k] - cosine) < 1e-5 for k in match)
                assert right == (name.split(" (")[0] == phrase.lower())
            own = [k for k in order if texts[k] == phrase.lower()]
            assert finding.own == len(own) and finding.place == order.index(own[0]) + 1
    lab.objective.train()


def test_the_place_of_what_was_meant_where_all_is_alike():
    finding = make_lab().run.watcher.reader._finding("red bar", "", torch.zeros(len(make_lab().run.watcher.shown)))
    assert finding.place == finding.among - finding.own + 1, "ties are lost"
    places = [min(random.Random(i).sample(range(1, finding.among + 1), finding.own)) for i in range(4000)]
    assert finding.chance == pytest.approx(sum(places) / 4000, rel=0.06)


def test_it_learns_to_find_what_was_meant():
    lab = make_lab(steps=150, learning_rate=1e-2, batch_size=32)
    lab.ask("red square")
    before = lab.readings[TYPED]
    lab.start()
    lab.join()
    after = lab.readings[TYPED]
    assert after.place == 1 and sum(right for *_, right in after.found) > sum(right for *_, right in before.found)
    assert [finding.prompt for finding in lab.readings.values()] == [lab.readings[HELD_OUT].prompt, "red square"]
    lab.reset()
    assert lab.readings == {} and lab.question.text == "red square"


def test_watching_and_asking_change_no_loss():
    losses = []
    for curious in (False, True):
        lab = make_lab(steps=12)
        lab.run.watcher.watched = curious
        if curious:
            lab.ask("a dot")
        lab.start()
        if curious:
            lab.ask("a blue dot")
            lab.map()
        lab.join()
        losses.append([row["loss"] for row in lab.history])
    assert losses[0] == losses[1]


def test_an_answer_comes_at_once_before_after_and_in_a_pause_and_soon_while_it_trains():
    lab = slow(make_lab(steps=2000), 0.01)
    lab.ask("one")
    lab.ask("two")
    assert lab.readings[TYPED].prompt == "two"
    lab.start()
    until(lambda: len(lab.history) > 2)
    lab.ask("three")
    until(lambda: lab.readings[TYPED].prompt == "three", 3)
    lab.pause()
    until(lambda: lab.state == "paused")
    lab.ask("four")
    assert lab.readings[TYPED].prompt == "four" and lab.objective.training
    lab.start()
    lab.stop()
    lab.ask("five")
    assert lab.readings[TYPED].prompt == "five"


def test_a_search_waits_until_training_has_paid_for_it(monkeypatch):
    lab, asked = slow(make_lab(steps=60), 0.005), []
    embed = lab.objective.embed_images
    monkeypatch.setattr(lab.objective, "embed_images", lambda images: asked.append(0) or time.sleep(0.1) or embed(images))
    lab.start()
    lab.join()
    assert lab.run.seconds > 0.25 and len(asked) <= 3, "before, once to see what it costs, and at the end"


@pytest.mark.parametrize("text", ["", "x", "red dot " * 60, "a \ud83d \x00 <i>", "日本"])
def test_a_typed_phrase_of_any_kind_is_answered(text):
    lab = make_lab()
    lab.ask(text)
    assert lab.readings[TYPED].error == "" and len(lab.readings[TYPED].found) == BEST
    json.dumps(str(lab.readings[TYPED])).encode()


@pytest.mark.parametrize("text", [7, "x" * 501])
def test_a_bad_phrase_is_refused_and_changes_nothing(text):
    lab = make_lab()
    with pytest.raises(ValueError, match="^text: got"):
        lab.ask(text)
    assert lab.readings == {} and lab.question.text == "a red heart"


@pytest.mark.parametrize("tower", ["text", "encoder"])
def test_a_diverged_model_is_said_so_and_ends_nothing(tower):
    lab = make_lab()
    nn.init.constant_(next(getattr(lab.objective, tower).parameters()), float("nan"))
    lab.ask()
    assert "not finite" in lab.readings[TYPED].error and "not finite" in str(lab.readings[TYPED]) and lab.pictures == {}
    assert still(lab)


# ---- what is looked at

def test_drawings_one_by_one_are_those_there_are():
    data = blocks()
    for part in (data.train, data.validation):
        drawings = Drawings(part)
        each = [(i, v) for i in range(len(part)) for v in range(3) if part.pairs.drawn[i, v]]
        assert len(drawings) == len(each) == len(drawings.labels)
        some = torch.tensor([0, len(each) - 1, 5])
        for image, label, thing, k in zip(drawings[some], drawings.labels[some], drawings.things[some], some.tolist(), strict=True):
            i, v = each[k]
            assert torch.equal(image, part.pairs.images[i, v]) and label == part.labels[i] and thing == part.indices[i]
            assert names(data, drawings, torch.tensor([k])) == [f"{data.texts[thing]} ({data.drawers[v]})"]
    assert "cleo" in {data.drawers[v] for v in Drawings(data.validation).drawers.tolist()}, "a style that is in no training pair"
    watcher = Watcher(make(), data, question=make_lab().question)
    assert 2 not in Drawings(data.train).drawers and torch.equal(watcher.labels, Drawings(data.validation).labels[watcher.shown])
    assert watcher.texts() == names(data, Drawings(data.validation), watcher.shown) and len(watcher.inputs) == len(watcher.shown)


def test_the_map_shows_the_shared_space_and_the_probe_the_encoder():
    lab = make_lab(steps=3)
    lab.start()
    lab.join()
    watcher = lab.run.watcher
    assert torch.allclose(watcher.picture.features, lab.objective.embed_images(watcher.inputs), atol=1e-6)
    x = evaluation.features(lab.objective.encoder, watcher._images)
    assert x.shape[1] == Tiny.dim and watcher.probe == watcher._accuracy(x)


def test_the_held_out_phrase_is_a_short_name_that_is_drawn_often():
    texts = ["a", "Cook Islands (the)", "red dot", "blue bar", "blue bar", "a very long name of four", "x1 y"]
    assert {held_out_phrase(texts, list(range(7)), seed) for seed in range(5)} <= {("blue bar", 3), ("blue bar", 4)}
    assert held_out_phrase(["7", "8"], [-1, -1], 0)[0] in "78"
    lab = make_lab()
    lab.ask()
    assert lab.readings[HELD_OUT].prompt in [lab.dataset.texts[i] for i in lab.dataset.validation.indices]
    assert lab.readings[HELD_OUT].source == lab.readings[HELD_OUT].prompt.split()[0], "its class"


# ---- what fits what

def test_names_and_selectors():
    lab = Lab("clip", "emoji-pairs", steps=2, batch_size=8)
    assert lab.objective_names() == ["clip", "siglip"] and lab.dataset_names() == ["emoji-pairs"]
    assert {"temperature", "caption", "frozen_image", "crop"} <= set(lab.knobs)
    assert lab.run.watcher.labels.unique().tolist() == list(range(8))
    lab.swap(objective="siglip")
    assert lab.title == "SigLIP" and lab.objective.text.vocabulary == lab.dataset.vocabulary
    for objective in ("simclr", "gpt"):
        with pytest.raises(ValueError, match="objective"):
            lab.swap(objective=objective)
    others = Lab("simclr", "digits")
    assert [kind_of(each.dataset) for each in (lab, others)] == ["pairs", "images"]
    assert not {"clip", "siglip"} & set(others.objective_names()) and not {"emoji-pairs", "openclipart"} & set(others.dataset_names())


@pytest.mark.parametrize("names, said", [
    (("clip", "digits"), "which is images; clip learns from pairs, such as emoji-pairs"),
    (("simclr", "emoji-pairs"), "which is pairs; simclr learns from images, such as digits"),
    (("bert", "emoji-pairs"), "which is pairs; bert learns from text"), (("simclr", "openclipart"), "it is there to test on")])
def test_what_does_not_fit_is_refused(names, said):
    with pytest.raises(ValueError, match=f"^dataset: got '{names[1]}', .*{said}"):
        Lab(*names)


def test_ones_own_must_fit_too():
    with pytest.raises(ValueError, match="CLIP whose text encoder has vocabulary .*, emoji-pairs takes 2,000 or more"):
        Lab(make(), "emoji-pairs")


class Plain(objectives.CLIP):
    """One that has no way to be asked."""

    title = "Plain"
    embed_images = embed_texts = None


def test_one_that_cannot_be_asked_still_has_a_map():
    lab = make_lab(kind=Plain, steps=3)
    with pytest.raises(RuntimeError, match="nothing to ask"):
        lab.ask("red")
    lab.start()
    lab.join()
    assert lab.readings == {} and lab.run.watcher.picture.features.shape[1] == Tiny.dim and lab.question is None


@pytest.mark.filterwarnings("error")
def test_pairs_of_ones_own_without_labels(tmp_path):
    from PIL import Image

    lines = ["file,caption"]
    for i in range(10):
        Image.fromarray(np.full((9, 9, 3), 20 * i, dtype=np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,picture number {i} of my own")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    name = f"pairs:{tmp_path / 'mine.csv'}"
    lab = Lab("clip", name, steps=2, batch_size=4)
    lab.start()
    lab.join()
    assert lab.controls == {} and lab.history[-1]["probe"] is None and lab.dataset_names()[0] == name
    assert len(lab.readings[HELD_OUT].found) == 1 and lab.readings[HELD_OUT].place == 1, "one picture is held out"
    assert "(" not in lab.readings[HELD_OUT].found[0][0], "all drawn by one"
    assert "picture number" in lab.readings[HELD_OUT].prompt


# ---- towards a front end

class Browser:
    """A front end that answers."""

    def __init__(self, lab):
        self.frames, self.buffers = [], []
        self.bridge = Bridge(lab, self.receive)
        lab.dashboard = self.bridge

    def receive(self, content, buffers):
        self.frames.append(json.loads(json.dumps(content, allow_nan=False)))
        self.buffers.append(buffers[0])
        threading.Timer(0.002, self.bridge.receive, [{"kind": "ack", "view": "a", "number": content["number"]}]).start()

    def say(self, **message):
        self.bridge.receive({"view": "a", **message})

    def array(self, frame, name):
        kind, shape, offset = self.frames[frame]["layout_of_buffer"][name]
        return np.frombuffer(self.buffers[frame], kind, math.prod(shape), offset).reshape(shape)


def test_findings_and_phrases_travel():
    lab = slow(make_lab(steps=60), 0.005)
    browser = Browser(lab)
    browser.say(kind="hello")
    state = browser.frames[0]
    assert state["learns_from"] == "pairs" and state["asks"] == "pictures" and not state["pictorial"] and "readings" not in state
    assert state["texts"] == lab.run.watcher.texts() and state["sprite"]["tile"] == 8
    assert browser.array(0, "labels").tolist() == lab.run.watcher.labels.tolist()
    browser.say(kind="start")
    browser.say(kind="ask", text="a <b>red</b> dot")
    lab.join(20)
    until(lambda: browser.frames[-1]["state"] == "finished")
    last = max(index for index, frame in enumerate(browser.frames) if "readings" in frame)
    for index, (row, finding) in enumerate(zip(browser.frames[last]["readings"]["rows"], lab.readings.values(), strict=True)):
        assert row["prompt"] == finding.prompt and "images" not in row
        assert row["found"] == [[name, pytest.approx(cosine), right] for name, cosine, right in finding.found]
        assert np.array_equal(browser.array(last, f"found{index}"), finding.images.permute(0, 2, 3, 1).numpy())
    assert browser.frames[last]["readings"]["rows"][1]["prompt"] == "a <b>red</b> dot"
    browser.say(kind="hello")                                        # a page that is loaded again gets all of it
    assert browser.frames[-1]["readings"]["step"] == 59 and browser.frames[-1]["question"]["text"] == "a <b>red</b> dot"
    until(lambda: lab.dashboard.gate.views.get("a") == lab.dashboard.gate.sent)
    browser.say(kind="ask", text="x" * 501)
    assert "text: got 501 characters" in browser.frames[-1]["notice"]


def test_the_fallback_shows_what_was_found():
    lab = make_lab(steps=3)
    lab.ask("<script>$x$ \\frac</script>")
    assert still(lab).startswith(b"\x89PNG")
    lab._repr_mimebundle_()
    page = _page(lab, "")["text/html"]
    assert "<script>" not in page and "&lt;script&gt;$x$" in page and lab.readings[TYPED].found[0][0] in page
    lab.dashboard.close()


def test_a_finding_reads_well():
    finding = Finding("a dot", (("red dot", 0.314, True), ("bar", -0.2, False)), own=3, place=2, among=7)
    assert str(finding) == "a dot: red dot 0.31, bar -0.20 (its own at place 2 of 7)"
    assert str(Finding("a", error="no")) == "a: no"


PAGE = """<body><section class="readings"></section><script>{code}
const said = [], spoken = [];
window.cards = new ReadingCards(document.querySelector("section"), "id", (message) => said.push(message), (text) => spoken.push(text));
window.said = said; window.spoken = spoken;
window.show = (rows) => {{ cards.show({{ step: 3, rows: rows.map((row) => ({{ ...row, bytes: Uint8Array.from(row.bytes) }})) }}); cards.draw(); }};
</script>"""


@pytest.mark.browser
def test_cards_of_pictures_have_names_escape_and_speak(browser):
    from sslab.lab.widget import STATIC

    page = browser.new_page()
    page.set_content(PAGE.format(code="".join((STATIC / name).read_text("utf-8") for name in ("pictures.js", "readings.js"))))
    evil = "<img src=x onerror='window.hacked=1'>"
    page.evaluate("cards.expect('pictures', {text: 'a red heart', temperature: 0.8})")
    box = page.get_by_label("A phrase of yours, to find pictures for")
    assert box.input_value() == "a red heart" and not page.get_by_label("Temperature").is_visible()
    assert page.get_by_role("region", name="Which pictures fit a phrase").count() == 1
    box.fill(evil)
    box.press("Enter")
    assert page.evaluate("said") == [{"kind": "ask", "text": evil}]
    row = {"name": TYPED, "prompt": evil, "found": [[evil, 0.5, False], ["dot", -0.25, True]], "bytes": [255, 0, 0, 0, 0, 255],
           "shape": [2, 1, 1, 3], "own": 0, "place": None, "chance": None, "among": 9, "source": "", "error": ""}
    held = {**row, "name": HELD_OUT, "prompt": "dot", "own": 1, "place": 2, "chance": 4.8, "source": evil}
    page.evaluate("(rows) => show(rows)", [held, row])
    assert page.locator("img").count() == 0 and not page.evaluate("window.hacked")
    pictures = page.get_by_role("list", name=f"Pictures for “{evil}”, the best first").get_by_role("img")
    assert [one.get_attribute("aria-label") for one in pictures.all()] == [evil, "dot: what was meant"]
    colours = page.evaluate("[...document.querySelectorAll('canvas')].map((c) => [...c.getContext('2d').getImageData(0, 0, 1, 1).data])")
    assert colours == [[255, 0, 0, 255], [0, 0, 255, 255]] * 2
    assert "Its own drawing is at place 2 of 9; by luck it would be at about 5." in page.locator(".cards").inner_text()
    assert page.locator("li.right").count() == 2 and "-0.25" in page.locator(".cards").inner_text()
    assert page.evaluate("spoken") == [f"Best first: {evil}, dot"]

    page.evaluate("window.kept = document.querySelector('canvas')")
    page.evaluate("(rows) => show(rows)", [{**held, "found": [["bar", 0.1, False]]}, {**row, "found": [], "error": "diverged"}])
    assert page.evaluate("kept === document.querySelector('canvas') && kept.ariaLabel === 'bar'"), "painted over, not replaced"
    assert page.locator("canvas").count() == 1 and page.locator(".cards .hint").inner_text() == "diverged"
    page.evaluate("cards.expect('hidden', {text: 'a [MASK]', temperature: 0.8})")
    assert page.get_by_role("region", name="What it says").count() == 1 and page.locator("canvas").count() == 0
    page.close()
