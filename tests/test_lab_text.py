"""The live lab for text without a browser: what a language model says while it trains, and what a person asks it."""

import base64
import gc
import html
import json
import math
import random
import struct
import threading
import time
from collections import Counter
from functools import cache

import pytest
import torch

from sslab import datasets, encoders, objectives
from sslab.datasets import Card, TextDataset
from sslab.datasets.base import split_in_order
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP, train_tokenizer
from sslab.lab.bridge import Bridge
from sslab.lab.display import _page, _written
from sslab.lab.session import Lab
from sslab.lab.text import (
    ADDED,
    FEWEST,
    MINE,
    SHOWN_WORDS,
    TOKENS,
    YOURS,
    Question,
    Reader,
    Reading,
    bag_of_words,
    held_out_beginning,
    held_out_blank,
    how_many,
)
from sslab.lab.watch import Watcher

ANIMALS, PLANTS = ("cat", "dog", "horse", "mouse"), ("oak", "rose", "fern", "moss")


@cache
def glosses(kind="wordpiece", context=16, labelled=True):
    """A text a row: definitions of animals and plants."""
    choose = random.Random(0)
    texts, labels = [], []
    for i in range(240):
        name, verb = choose.choice((ANIMALS, PLANTS)[i % 2]), choose.choice((("runs", "eats"), ("grows", "blooms"))[i % 2])
        texts.append(f"a {choose.choice(('small', 'large', 'old'))} {name} that {verb} near the {choose.choice(('house', 'river'))}")
        labels.append(i % 2 if labelled else -1)
    tokenizer = train_tokenizer(kind, 300, texts[:150])
    data = TextDataset("glosses", texts, torch.zeros(240, context), torch.tensor(labels),
                       ("animal", "plant") if labelled else (), split_in_order(150, 45, 45), Card("", "", "", ""), tokenizer, False)
    data.tokens = data.encode(texts)
    return data


@cache
def stories(kind="bpe", context=16):
    """Windows of running text, without labels."""
    choose = random.Random(1)
    text = " ".join(f"The {choose.choice(ANIMALS)} sat under the {choose.choice(PLANTS)} and slept." for _ in range(900))
    tokenizer = train_tokenizer(kind, 300, [text[: len(text) // 2]])
    stream = torch.from_numpy(tokenizer.encode_corpus([text])[0])
    tokens = stream[: len(stream) // context * context].view(-1, context)
    train = len(tokens) // 2
    splits = split_in_order(train, (len(tokens) - train) // 2, len(tokens) - train - (len(tokens) - train) // 2)
    return TextDataset("stories", [], tokens, torch.full((len(tokens),), -1), (), splits, Card("", "", "", ""), tokenizer, True)


class Own(objectives.RoBERTa):
    title = "Own"

    def readings(self, dataset, generator):
        assert not self.training and not torch.is_grad_enabled()
        return {"mine": f"<b>{dataset.name}</b> {int(torch.randint(10, (1,), generator=generator))}"}


def make(name, data, kind=None, **options):
    torch.manual_seed(0)
    shape = {"causal": True, "positions": "rotary"} if name == "gpt" else {}
    encoder = encoders.create("transformer", data, dim=16, depth=1, heads=2, **shape, **options)
    return kind(encoder) if kind else objectives.create(name, encoder)


def make_lab(name="roberta", data=None, kind=None, steps=20, **options):
    data = glosses() if data is None else data
    return Lab(make(name, data, kind), data, **{"steps": steps, "batch_size": 16, "precision": "float32", **options})


def slow(lab, pause):
    """Every step of this run waits."""
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
        gc.collect()                                                 # takes a third of a second
        until(lambda: not lab_threads(), 5)


# ---- a run without a front end

def test_headless_run_has_readings_controls_and_lines():
    lab = make_lab(steps=20)
    assert lab.readings == {} and lab.pictures == {} and not lab.run.watcher.pictorial
    lab.start()
    assert lab.join(30) and lab.state == "finished"
    assert [row["step"] for row in lab.history] == list(range(20))
    row = lab.history[-1]
    assert 0 <= row["probe"] <= 1 and 0 < row["effective_rank"] <= 16 and row["std"] >= 0
    assert list(lab.controls) == ["chance", "bag of words", "random encoder"]
    assert lab.controls["chance"] == 0.5 and lab.controls["bag of words"] > 0.95, "the animal's or plant's name is a word"
    assert list(lab.run.levels) == ["chance", "unigram"]
    assert lab.run.levels["chance"] == pytest.approx(math.log(lab.dataset.vocabulary)) and lab.run.levels["unigram"] < 4
    assert list(lab.readings) == [MINE, YOURS] and len(lab.readings[YOURS].words) == SHOWN_WORDS
    assert lab.run.watcher.readings.step == 19


def test_watching_and_asking_change_no_loss():
    losses = []
    for curious in (False, True):
        lab = make_lab("gpt", stories(), steps=12)
        lab.run.watcher.watched = curious
        if curious:
            lab.ask("The cat")
        lab.start()
        if curious:
            lab.ask("The dog", temperature=2)
            lab.map()
        lab.join()
        losses.append([row["loss"] for row in lab.history])
    assert losses[0] == losses[1]


def test_readings_change_because_the_model_does():
    lab = make_lab("gpt", stories(), steps=60, learning_rate=1e-2)
    lab.ask("The cat")
    first, again = lab.readings, (lab.ask("The cat"), lab.readings)[1]
    assert first == again, "the same random numbers"
    lab.start()
    lab.join()
    last = lab.readings
    assert last[MINE].prompt == first[MINE].prompt and last[MINE].follows != first[MINE].follows
    learned = {*ANIMALS, *PLANTS, "sat", "under", "the", "and", "slept", "The"}
    words = [word.strip(".") for word in last[YOURS].follows.split()]
    assert sum(word in learned for word in words) > 0.7 * len(words)


def test_texts_without_labels_have_no_probe_and_a_map_on_demand():
    lab = make_lab("gpt", stories(), steps=3)
    assert lab.run.watcher.picture is None
    lab.map()
    assert lab.run.watcher.picture.step == 0 and lab.run.watcher.picture.points.shape == (len(lab.run.watcher.shown), 2)
    lab.start()
    lab.join()
    assert lab.history[-1]["probe"] is None and lab.controls == {} and lab.run.watcher.picture.step == 2


def test_a_map_asked_for_while_it_trains_comes_with_the_next_step():
    lab = slow(make_lab("gpt", stories(), steps=1000), 0.005)
    lab.start()
    until(lambda: len(lab.history) > 2)
    lab.map()
    until(lambda: lab.run.watcher.picture is not None)
    lab.stop()
    assert 2 < lab.run.watcher.picture.step <= len(lab.history)


def test_a_reset_keeps_the_question_and_a_ghost():
    lab = make_lab(steps=4)
    lab.ask("a small [MASK]", )
    lab.start()
    lab.join()
    losses = [row["loss"] for row in lab.history]
    lab.reset()
    assert lab.readings == {} and lab.question.text == "a small [MASK]" and len(lab.ghosts) == 1
    lab.start()
    lab.join()
    assert [row["loss"] for row in lab.history] == losses and lab.readings[YOURS].prompt == "a small [MASK]"


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt"])
@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "characters"])
@pytest.mark.parametrize("data", [glosses, stories])
def test_every_objective_speaks_with_every_tokeniser(name, kind, data):
    lab = make_lab(name, data(kind), steps=2)
    lab.start()
    lab.join()
    for reading in lab.readings.values():
        assert reading.error == "" and reading.prompt and bool(reading.words) == (name != "gpt")
        assert str(reading)
    assert lab.readings[MINE].truth


@pytest.fixture
def small_data(monkeypatch):
    """In place of the bundled texts, which take seconds to load."""
    load = datasets.load
    small = {"wordnet": glosses(), "passages": stories()}
    monkeypatch.setattr("sslab.lab.session.datasets.load", lambda name, **options: small.get(name) or load(name, **options))


@pytest.mark.slow
@pytest.mark.parametrize("names", [("bert", "wordnet"), ("roberta", "passages"), ("gpt", "passages")], ids=" ".join)
def test_the_bundled_texts(names):
    lab = Lab(*names, steps=3, batch_size=4)
    lab.start()
    assert lab.join(60) and lab.history[-1]["probe"] is not None and not lab.readings[MINE].error
    assert lab.controls["bag of words"] > 2 * lab.controls["chance"]


def test_names_labs_and_their_selectors(small_data):
    lab = Lab("bert", "wordnet", steps=2, batch_size=4)
    assert lab.objective_names() == ["bert", "roberta", "gpt"] and set(lab.dataset_names()) == {"wordnet", "passages"}
    assert set(lab.knobs) == {"context", "mask_share", "replaced", "random", "dynamic", "loss_on"}
    lab.ask("the dog sat on the [MASK]")
    lab.swap(objective="gpt", dataset="passages")
    assert lab.title == "GPT" and lab.dataset is stories() and "causal" in lab.knobs
    assert "[MASK]" not in lab.question.text
    with pytest.raises(ValueError, match="objective"):
        lab.swap(objective="simclr")
    with pytest.raises(ValueError, match="dataset"):
        lab.swap(dataset="digits")
    lab.swap(objective="roberta")
    assert lab.question.text == "the dog sat on the [MASK]", "each kind keeps its own"
    pictures = Lab("simclr", "digits")
    assert not {"bert", "gpt"} & set(pictures.objective_names()) and not {"wordnet", "passages"} & set(pictures.dataset_names())
    assert pictures.readings == {} and pictures.question is None
    with pytest.raises(RuntimeError, match="nothing to ask"):
        pictures.ask("hello")


@pytest.mark.parametrize("names", [("bert", "digits"), ("simclr", "wordnet")])
def test_pictures_and_texts_do_not_mix(names, small_data):
    with pytest.raises(ValueError, match=f"dataset: got '{names[1]}', which is .*; {names[0]} learns from"):
        Lab(*names)


def test_ones_own_must_fit_too():
    data = glosses()
    with pytest.raises(ValueError, match=r"dataset: got 'digits', which is images; GPT learns from text"):
        Lab(make("gpt", data), "digits")
    with pytest.raises(ValueError, match=r"GPT whose encoder has vocabulary .*, stories takes 300 or more"):
        Lab(make("gpt", data), stories("bpe"))
    small = encoders.create("transformer", (data.vocabulary, 8), dim=16, depth=1, heads=2)
    with pytest.raises(ValueError, match="context 8, glosses takes 16"):
        Lab(objectives.create("roberta", small), data)


def test_a_text_of_ones_own_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("A small cat sat on the old mat, and a large dog ran. " * 150)
    lab = Lab("gpt", f"text:{tmp_path / 'mine.txt'}", steps=2, batch_size=4)
    monkeypatch.setattr("sslab.lab.session.datasets.load", None)
    lab.start()
    lab.join()
    lab.reset()
    assert lab.dataset_names()[0] == f"text:{tmp_path / 'mine.txt'}" == lab.dataset_name


# ---- questions

@pytest.mark.parametrize("name, question", [
    ("roberta", {"text": "no mask"}), ("roberta", {"text": "[MASK] and [MASK]"}), ("roberta", {"text": 7}),
    ("gpt", {"text": "x" * 501}), ("gpt", {"temperature": -1}), ("gpt", {"temperature": float("nan")}),
    ("gpt", {"temperature": "hot"}), ("gpt", {"temperature": True})])
def test_a_bad_question_is_refused_and_changes_nothing(name, question):
    lab = make_lab(name)
    before = lab.question
    with pytest.raises(ValueError, match=f"^{next(iter(question))}: got"):
        lab.ask(**question)
    assert lab.question == before and lab.readings == {}


def test_an_answer_comes_at_once_before_after_and_in_a_pause():
    lab = slow(make_lab(steps=1000), 0.005)
    lab.ask("a [MASK] one")
    assert lab.readings[YOURS].prompt == "a [MASK] one"
    lab.start()
    until(lambda: len(lab.history) > 2)
    lab.pause()
    until(lambda: lab.state == "paused")
    lab.ask("a [MASK] two")
    assert lab.readings[YOURS].prompt == "a [MASK] two" and lab.objective.training
    lab.start()
    until(lambda: lab.state == "running")
    lab.stop()
    lab.ask("a [MASK] three")
    assert lab.readings[YOURS].prompt == "a [MASK] three"


def test_an_answer_comes_soon_while_it_trains_and_when_it_is_just_pausing():
    lab = slow(make_lab(steps=2000), 0.02)
    lab.start()
    until(lambda: len(lab.history) > 1)
    asked = time.monotonic()
    lab.ask("a [MASK] one")
    until(lambda: lab.readings[YOURS].prompt == "a [MASK] one")
    assert time.monotonic() - asked < 2
    lab.pause()
    lab.ask("a [MASK] two")
    until(lambda: lab.readings[YOURS].prompt == "a [MASK] two")
    lab.stop()


def test_readings_are_made_as_often_as_the_budget_pays(monkeypatch):
    lab, cost, asked = slow(make_lab(steps=80), 0.005), 0.1, []
    read = Reader.read

    def dear(self, step):
        asked.append(step)
        time.sleep(cost)
        return read(self, step)

    monkeypatch.setattr(Reader, "read", dear)
    lab.start()
    lab.join()
    assert lab.run.seconds > 0.35 and len(asked) <= 3, "before, once to see what it costs, and at the end"


def test_half_a_character_is_no_danger():
    lab = make_lab("gpt", stories(), steps=2)
    lab.ask("a \ud83d b \x00 \u202e <i>")
    assert lab.readings[YOURS].error == ""
    json.dumps(str(lab.readings[YOURS])).encode()


@pytest.mark.parametrize("name", ["roberta", "gpt"])
@pytest.mark.parametrize("data", [glosses, stories])
def test_a_typed_text_of_any_length_is_answered(name, data):
    lab = make_lab(name, data(), steps=2)
    for text in ("", "x", "the cat " * 60):
        lab.ask(text + "[MASK]" * (name != "gpt"))
        assert lab.readings[YOURS].error == ""


def test_a_diverged_model_is_said_so_and_ends_nothing():
    for name, said in (("roberta", "not finite"), ("gpt", "not finite")):
        lab = make_lab(name)
        torch.nn.init.constant_(lab.objective.encoder.net.embed.weight, float("nan"))
        lab.ask()
        assert said in lab.readings[YOURS].error and said in str(lab.readings[YOURS])


# ---- what is said, against naive loops

def test_a_blank_is_filled_with_the_softmax_over_the_words():
    data, lab = glosses(), make_lab()
    lab.ask("a small [MASK] that runs")
    reading = lab.readings[YOURS]
    row = data.encode(["a small [MASK] that runs"])[0].long()
    row = row[row != PAD]
    place = row.tolist().index(MASK)
    logits = lab.objective.logits(row[None])[0, place].double().tolist()
    total = sum(math.exp(score) for score in logits)
    shares = sorted(((math.exp(score) / total, token) for token, score in enumerate(logits) if token > MASK), reverse=True)
    assert [word for word, _ in reading.words] == [data.decode(torch.tensor([token])).strip() for _, token in shares[:SHOWN_WORDS]]
    assert [share for _, share in reading.words] == pytest.approx([share for share, _ in shares[:SHOWN_WORDS]], abs=1e-6)


@pytest.mark.parametrize("causal", [True, False])
def test_a_text_goes_on_as_a_plain_loop_says(causal):
    data, lab = stories(context=64), make_lab("gpt", stories(context=64))
    lab.set(causal=causal)
    lab.ask("The cat sat", temperature=0)
    tokens = [SEP, *data.tokenizer.encode("The cat sat").tolist()]
    start = len(tokens)
    for _ in range(ADDED):
        tokens.append(int(lab.objective.logits(torch.tensor([tokens]))[0, -1].argmax()))
    added = tokens[start:]
    added = added[: added.index(SEP)] if SEP in added else added
    assert lab.readings[YOURS].follows.removesuffix(" ∎") == data.decode(torch.tensor(tokens[1:start] + added))[len("The cat sat"):]


def test_the_end_of_a_text_is_the_end_of_the_reading():
    lab = make_lab("gpt")
    lab.objective.logits = None                                      # what is cached is used, and what scores say is forced
    scores = lab.objective.encoder.scores
    lab.objective.encoder.scores = lambda hidden: scores(hidden).index_fill(-1, torch.tensor([SEP]), 100.0)
    lab.ask("a small cat")
    assert lab.readings[YOURS].follows == " ∎"


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "characters"])
@pytest.mark.parametrize("data", [glosses, stories])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_held_out_texts_are_the_validation_parts(kind, data, seed):
    data = data(kind)
    texts = [data.decode(row) for row in data.validation.tokens]
    blank, beginning = held_out_blank(data, seed), held_out_beginning(data, seed)
    assert blank.prompt.count("[MASK]") == 1 and any(blank.prompt.replace("[MASK]", blank.truth) in text for text in texts)
    assert any(beginning.prompt + beginning.truth in text for text in texts)
    assert len(data.tokenizer.encode_corpus([" " + blank.truth])[0]) == 1 or len(blank.truth) == 1
    assert held_out_blank(data, seed) == blank and held_out_beginning(data, seed) == beginning
    assert blank.source == (data.name if data.continuous else blank.source) in (*data.class_names, data.name)


def test_the_place_of_the_truth():
    data = glosses()
    lab = make_lab(steps=1)
    lab.ask()
    reading = lab.readings[MINE]
    row = data.encode([reading.prompt])[0].long()
    row = row[row != PAD]
    logits = lab.objective.logits(row[None])[0, row.tolist().index(MASK)].tolist()
    truth = int(data.tokenizer.encode(reading.truth)[0])
    place = 1 + sum(score > logits[truth] for score in logits[MASK + 1:])
    assert reading.place == (place if place <= 100 else None)


def test_bag_of_words_is_a_count():
    rows = torch.tensor([[CLS, 7, 5, 7, 7, SEP, PAD], [PAD] * 7, [9, 8, 9, 8, 1, SEP, 6]])
    bag = bag_of_words(rows.short(), 12)
    for row, found in zip(rows.tolist(), bag, strict=True):
        words = [token for token in row if token not in (PAD, CLS, SEP)]
        count = Counter(words)
        assert found.tolist() == pytest.approx([math.sqrt(count[token] / max(len(words), 1)) for token in range(12)])


def test_how_many_texts_are_looked_at():
    assert how_many(16, 600) == 600 and how_many(100_000, 600) == FEWEST and how_many(50, 600) == TOKENS // 50
    watcher = Watcher(make("roberta", glosses()), glosses())
    assert len(watcher.shown) == 45 and watcher.kind == "text"


def test_ones_own_readings_are_shown_beside():
    lab = make_lab(kind=Own, steps=3)
    lab.start()
    lab.join()
    assert list(lab.readings) == [MINE, YOURS, "mine"]
    assert lab.readings["mine"].follows.startswith("<b>glosses</b> ")
    assert lab.title == "Own" and lab.objective_names()[0] == "Own" and "gpt" in lab.objective_names()
    lab.objective.readings = lambda dataset, generator: {"bad": ["x"]}
    with pytest.raises(ValueError, match="readings: row 'bad' got list"):
        lab.ask()


# ---- towards a front end

class Browser:
    """A front end that answers."""

    def __init__(self, lab):
        self.frames = []
        self.bridge = Bridge(lab, self.receive)
        lab.dashboard = self.bridge

    def receive(self, content, buffers):
        self.frames.append(json.loads(json.dumps(content, allow_nan=False)))
        threading.Timer(0.002, self.bridge.receive, [{"kind": "ack", "view": "a", "number": content["number"]}]).start()

    def say(self, **message):
        self.bridge.receive({"view": "a", **message})


def test_readings_and_questions_travel():
    lab = slow(make_lab(steps=60), 0.005)
    browser = Browser(lab)
    browser.say(kind="hello")
    state = browser.frames[0]
    assert state["learns_from"] == "text" and state["asks"] == "hidden" and not state["pictorial"] and "sprite" not in state
    assert state["question"] == {"text": "the cat sat on the [MASK]", "temperature": 0.8} and "readings" not in state
    assert state["texts"] == [lab.dataset.decode(row) for row in lab.dataset.validation.tokens[lab.run.watcher.shown]]
    browser.say(kind="start")
    browser.say(kind="ask", text="a <b>[MASK]</b>")
    browser.say(kind="map")
    lab.join(20)
    until(lambda: browser.frames[-1]["state"] == "finished")
    steps = [frame["readings"]["step"] for frame in browser.frames if "readings" in frame and frame["kind"] == "frame"]
    assert steps == sorted(set(steps)) and steps[-1] == 59, "each is sent once"
    yours = next(frame for frame in reversed(browser.frames) if "readings" in frame)["readings"]["rows"][1]
    assert yours["name"] == YOURS and yours["prompt"] == "a <b>[MASK]</b>" and len(yours["words"]) == SHOWN_WORDS
    browser.say(kind="hello")                                        # a page that is loaded again gets all of it
    assert browser.frames[-1]["readings"]["step"] == 59 and browser.frames[-1]["question"]["text"] == "a <b>[MASK]</b>"


def test_bad_questions_go_back_as_notices():
    lab = make_lab()
    browser = Browser(lab)
    browser.say(kind="hello")
    until(lambda: lab.dashboard.gate.views.get("a") == 1)
    browser.say(kind="ask", text="nothing hidden")
    assert "text: got 0 times [MASK]" in browser.frames[-1]["notice"]


def test_60_random_events():
    choose, lab = random.Random(0), slow(make_lab("gpt", stories(), steps=40), 0.001)
    browser = Browser(lab)
    asks = [{"kind": "ask"}, {"kind": "ask", "text": 7}, {"kind": "ask", "text": "The cat", "temperature": []},
            {"kind": "ask", "text": "The \ud800"}, {"kind": "ask", "temperature": 5}, {"kind": "ask", "text": ""}]
    events = [{"kind": kind} for kind in ("start", "start", "start", "pause", "stop", "reset", "hello", "bye", "map")]
    for _ in range(60):
        browser.bridge.receive({"view": choose.choice("ab"), **choose.choice([*events, *asks])})
        time.sleep(choose.choice((0, 0, 0.005)))
        assert lab.error is None
    lab.stop()
    lab.dashboard = None
    assert lab.status and browser.frames


# ---- in a notebook without a front end

def test_the_fallback_shows_what_was_said():
    lab = make_lab(steps=3)
    heights = []
    for _ in range(2):
        heights.append(struct.unpack(">I", base64.b64decode(lab._repr_mimebundle_()["image/png"])[20:24])[0])
        lab.ask("<script>$x$ \\frac [MASK]</script>")                # no HTML, no formula
        lab.start()
        lab.join()
    assert heights[1] > heights[0] + 20
    page = _page(lab, "")["text/html"]
    assert "<script>" not in page and html.escape("<script>$x$ \\frac [MASK]</script>") in page
    lab.dashboard.close()


PAGE = """<body><section class="readings"></section><script>{code}
const said = [], spoken = [];
window.cards = new ReadingCards(document.querySelector("section"), "id", (message) => said.push(message), (text) => spoken.push(text));
window.said = said; window.spoken = spoken;</script>"""


@pytest.mark.browser
def test_cards_escape_check_and_speak(browser):
    from sslab.lab.widget import STATIC

    page = browser.new_page()
    page.set_content(PAGE.format(code=(STATIC / "readings.js").read_text("utf-8")))
    evil = "<img src=x onerror='window.hacked=1'>"
    page.evaluate("(evil) => cards.expect('hidden', {text: 'a [MASK]', temperature: 0.8})", evil)
    box = page.get_by_label("A text of yours, with [MASK] for the word to guess")
    assert box.input_value() == "a [MASK]" and not page.get_by_label("Temperature").is_visible()
    box.fill("a mouse")
    box.press("Enter")
    assert "Write [MASK]" in page.locator(".hint").inner_text() and box.get_attribute("aria-invalid") == "true"
    box.fill(f"{evil} [MASK]")
    box.press("Enter")
    assert page.evaluate("said") == [{"kind": "ask", "text": f"{evil} [MASK]"}]
    row = {"name": evil, "prompt": f"{evil} [MASK]", "follows": "", "words": [[evil, 0.25], ["mat", 0.0001]], "truth": "", "place": None,
           "source": "", "error": ""}
    held = {**row, "prompt": "b [MASK]", "truth": evil, "place": 1, "source": evil}
    page.evaluate("(rows) => { cards.show({step: 3, rows}); cards.draw(); }", [held, row])
    assert page.locator("img").count() == 0 and not page.evaluate("window.hacked")
    assert page.locator(".cards").inner_text().count(evil) == 7 and page.locator("li.right").count() == 1
    assert page.evaluate("spoken") == [f"{evil} 25 %, mat < 0.1 %"]
    page.evaluate("() => { cards.expect('next', {text: 'The', temperature: 0.8}); }")
    heat = page.get_by_label("Temperature")
    heat.fill("9")
    heat.press("Enter")
    assert "0 to 5" in page.locator(".hint").inner_text()
    heat.fill("1.5")
    heat.press("Enter")
    assert page.evaluate("said.at(-1)") == {"kind": "ask", "text": "The", "temperature": 1.5}
    page.close()


def test_questions_and_readings_read_well():
    assert Question("a [MASK]").changed("hidden", None, 1) == Question("a [MASK]", 1.0)
    assert str(Reading("a [MASK]", words=(("mat", 0.25), ("cat", 0.1)), truth="mat")) == "a [MASK]: mat 25 %, cat 10 % (it was 'mat')"
    assert str(Reading("a", " cat")) == "a |  cat"


def test_the_still_picture_shows_what_has_no_glyph_as_a_dot():
    assert _written({"held-out text": "half\x1fpast", "your text": "a b"}) == ["held-out text: half·past", "your text: a b"]
