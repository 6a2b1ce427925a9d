"""The live lab without a browser: threads, knobs, gauges, the map, and the protocol towards a front end."""

import base64
import gc
import itertools
import random
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from sslab.datasets import Card, Dataset
from sslab.lab.bridge import ANSWER, FASTEST, LARGEST, QUICK, TRUSTED, Bridge, Gate, as_bytes, pack, table
from sslab.lab.projection import SteadyPCA, align
from sslab.lab.session import GHOSTS, Lab
from sslab.lab.watch import EXAMPLES, Budget, Watcher, as_pictures, choose_examples, choose_images
from sslab.objectives import SimCLR


class Tiny(nn.Module):
    """An encoder that takes a millisecond, with a batch norm that must not be disturbed."""

    dim = 8

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8))

    def forward(self, images):
        return self.net(images.float() / 255 if images.dtype == torch.uint8 else images)


class Slow(SimCLR):
    title = "Slow"
    pause = 0.0

    def make_views(self, batch, generator):
        time.sleep(self.pause)
        return super().make_views(batch, generator)


class Pictorial(Slow):
    """Has pictures to show, and notes how it is asked for them."""

    title = "Pictorial"
    cost = 0.0

    def pictures(self, images, generator):
        time.sleep(self.cost)
        assert not self.training and not torch.is_grad_enabled() and images.dtype == torch.uint8
        noise = torch.rand(images.shape, generator=generator)
        self.asked = [*getattr(self, "asked", []), noise]
        return {"image": images, "noise": 2 * noise - 0.5}


def make_dataset(name="tiny", count=240, classes=3):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 100, (count, 1, 8, 8), generator=generator)
    images[torch.arange(count), 0, labels] += 150                    # a bright row names the class
    index = torch.arange(count)
    splits = {"train": index[:150], "validation": index[150:210], "test": index[210:]}
    return Dataset(name, images.byte(), labels, tuple("abc"[:classes]), splits, Card("", "", "", ""))


def make_lab(steps=20, pause=0.0, make=Slow, **options):
    torch.manual_seed(0)
    objective = make(Tiny(), hidden=16, outputs=8)
    objective.pause = pause
    return Lab(objective, make_dataset(), steps=steps, batch_size=32, precision="float32", **options)


def lab_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("sslab")]


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    gc.collect()
    deadline = time.monotonic() + 5
    while lab_threads() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not lab_threads()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


# ---- a run without a front end

def test_headless_run_writes_its_history():
    lab = make_lab(steps=20)
    assert lab.state == "ready" and lab.history == []
    lab.start()
    assert lab.join(30)
    assert lab.state == "finished" and lab.error is None
    assert [row["step"] for row in lab.history] == list(range(20))
    row = lab.history[-1]                                            # the last step is always measured
    assert row["terms"].keys() == {"attraction", "repulsion"} and row["knobs"]["temperature"] == 0.5
    assert 0 <= row["std"] <= 1.1 and 0 < row["effective_rank"] <= 8 and 0 <= row["probe"] <= 1
    assert set(lab.controls) == {"chance", "raw pixels", "random encoder"}
    assert lab.controls["raw pixels"] > 0.9, "a bright row names the class"
    assert "20 steps" in lab.status


def test_same_seed_same_history_watched_or_not():
    losses = []
    for watched in (False, True):
        lab = make_lab(steps=8)
        lab.run.watcher.watched = watched
        lab.start()
        lab.join()
        losses.append([row["loss"] for row in lab.history])
    assert losses[0] == losses[1]


def test_a_knob_takes_effect_at_the_next_step():
    lab = make_lab(steps=400, pause=0.005)
    lab.start()
    until(lambda: len(lab.history) > 3)
    lab.set(temperature=0.1)
    at = len(lab.history)
    until(lambda: len(lab.history) > at + 3)
    lab.stop()
    used = [row["knobs"]["temperature"] for row in lab.history]
    assert used[0] == 0.5 and set(used[at + 1:]) == {0.1}
    assert lab.run.changes == [{"step": used.index(0.1), "name": "temperature", "old": 0.5, "new": 0.1}]
    assert lab.values["temperature"] == 0.1


@pytest.mark.parametrize("knobs", [{"temperature": -1}, {"temprature": 0.1}, {"negatives": "maybe"}, {"temperature": True}])
def test_a_bad_knob_is_refused_and_changes_nothing(knobs):
    lab = make_lab()
    before = lab.values
    with pytest.raises(ValueError, match=next(iter(knobs))):
        lab.set(crop=0.5, **knobs)
    assert lab.values == before


@pytest.mark.parametrize("arguments", [("simclrr", "digits"), ("simclr", "digit")])
def test_unknown_names_are_refused(arguments):
    with pytest.raises(ValueError, match="did you mean"):
        Lab(*arguments)


def test_second_start_is_refused():
    lab = make_lab(steps=400, pause=0.005)
    lab.start()
    with pytest.raises(RuntimeError, match="Already training"):
        lab.start()
    lab.stop()


def test_pause_and_go_on():
    lab = make_lab(steps=400, pause=0.005)
    lab.start()
    until(lambda: len(lab.history) > 3)
    lab.pause()
    until(lambda: lab.state == "paused")
    count = len(lab.history)
    time.sleep(0.1)
    assert len(lab.history) == count
    lab.start()
    until(lambda: len(lab.history) > count)
    lab.stop()
    assert lab.state == "stopped"


@pytest.mark.parametrize("pause", [0.01, 2.0])                       # the second has steps longer than our patience
def test_stop_returns_within_a_second(pause):
    lab = make_lab(steps=400, pause=pause)
    lab.start()
    time.sleep(0.2)
    start = time.monotonic()
    lab.stop()
    assert time.monotonic() - start < 1.2
    assert lab.state == "stopped"


def test_stop_while_paused():
    lab = make_lab(steps=400, pause=0.005)
    lab.start()
    lab.pause()
    until(lambda: lab.state == "paused")
    lab.stop()
    assert lab.state == "stopped"


def test_reset_keeps_the_run_as_a_ghost_and_starts_from_the_same_weights():
    lab = make_lab(steps=6)
    weights = lab.objective.encoder.net[1].weight.clone()
    lab.set(temperature=0.2)
    lab.start()
    lab.join()
    history = lab.history
    assert not torch.equal(weights, lab.objective.encoder.net[1].weight)
    lab.reset()
    assert lab.state == "ready" and lab.history == []
    assert torch.equal(weights, lab.objective.encoder.net[1].weight)
    assert lab.values["temperature"] == 0.2
    assert lab.ghosts[-1]["history"] == history and lab.ghosts[-1]["changed"] == {"temperature": 0.2}
    lab.start()
    lab.join()
    assert [row["loss"] for row in lab.history] == [row["loss"] for row in history]


def test_start_after_the_end_is_a_new_run_and_old_ghosts_go():
    lab = make_lab(steps=2)
    for count in range(GHOSTS + 2):
        lab.start()
        lab.join()
        assert len(lab.ghosts) == min(count, GHOSTS)


def test_an_exception_in_the_thread_is_kept_shown_and_raised_by_join():
    lab = make_lab()
    lab.objective.projector = nn.Linear(3, 3)
    lab.start()
    with pytest.raises(RuntimeError, match="mat1 and mat2") as caught:
        lab.join(10)
    assert lab.state == "failed" and caught.value.__cause__ is lab.error
    assert "RuntimeError" in lab.status


def test_a_lab_that_nobody_holds_ends_its_thread():
    labs = [make_lab(steps=100_000, pause=0.001)]
    labs[0].start()
    until(lambda: len(labs[0].history) > 1)
    labs.clear()                                                     # the fixture sees that the thread goes


def test_two_labs_at_once():
    labs = [make_lab(steps=30, pause=0.002, seed=seed) for seed in (0, 1)]
    for lab in labs:
        lab.start()
    for lab in labs:
        assert lab.join(30)
    assert labs[0].history[0]["loss"] != labs[1].history[0]["loss"]


def test_swap_keeps_knobs_of_views_encoder_and_ghosts():
    lab = Lab("simclr", "digits", encoder="conv", steps=2, batch_size=16, precision="float32")
    lab.set(rotation=33, temperature=0.1)
    lab.start()
    lab.join()
    lab.swap(objective="supervised")
    assert lab.title == "Supervised" and lab.values["rotation"] == 33
    assert type(lab.objective.encoder.net).__name__ == "ResidualNet" and len(lab.ghosts) == 1
    lab.swap(dataset="fashion")
    assert lab.dataset.name == "fashion" and lab.values["rotation"] == 33
    with pytest.raises(ValueError, match="dataset"):
        lab.swap(dataset="fashon")
    lab.start()
    assert lab.join(60) and lab.history[-1]["probe"] is not None
    lab.swap(objective="simclr")
    assert lab.values["temperature"] == 0.1


# ---- watching

def test_watching_leaves_modes_and_batch_statistics_alone():
    objective = SimCLR(Tiny(), hidden=16, outputs=8).train()
    objective.encoder.net[1].eval()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    watcher = Watcher(objective, make_dataset())
    watcher.begin(lambda: False)
    assert watcher.picture.points.shape == (60, 2)
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    assert objective.training and objective.encoder.net[2].training and not objective.encoder.net[1].training


def test_watched_images_are_fixed_and_balanced():
    data = make_dataset()
    shown, taught = choose_images(data, seed=0)
    assert len(set(shown.tolist())) == 60
    assert data.train.labels[taught].bincount().tolist() == [10, 10, 10]
    assert all(torch.equal(a, b) for a, b in zip((shown, taught), choose_images(data, seed=0), strict=True))


def test_a_dataset_without_labels_has_a_map_and_no_probe():
    data = make_dataset()
    data = Dataset("blank", data.images, torch.full_like(data.labels, -1), (), data.splits, data.card)
    lab = Lab(SimCLR(Tiny(), hidden=16, outputs=8), data, steps=3, batch_size=32, precision="float32")
    lab.start()
    lab.join()
    assert lab.history[-1]["probe"] is None and lab.controls == {} and lab.run.watcher.picture is not None


@pytest.mark.parametrize("share", [0.02, 0.1])
@pytest.mark.parametrize("cost", [0.02, 5.0])                        # a tenth of a step, and many steps
def test_the_budget_is_kept(monkeypatch, share, cost):
    now = [0.0]
    monkeypatch.setattr("sslab.lab.watch.time.perf_counter", lambda: now[0])
    budget, watched = Budget(), 0.0
    for _ in range(10_000):
        budget.trained(0.2)
        if budget.affords(share):
            with budget.look():
                now[0] += cost
            watched += cost
    assert 0.7 * share <= watched / 2000 <= 1.05 * share


def test_one_slow_look_does_not_blind_us(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("sslab.lab.watch.time.perf_counter", lambda: now[0])
    budget, looks = Budget(), []
    for step in range(1000):
        budget.trained(0.2)
        if budget.affords(0.05):
            with budget.look():
                now[0] += 2.0 if len(looks) == 3 else 0.1            # the machine was busy
            looks.append(step)
    assert max(b - a for a, b in itertools.pairwise(looks)) <= 11


def test_the_map_keeps_still_when_the_embedding_turns():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 16, generator=generator) * torch.linspace(3, 0.1, 16)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0]
    pca = SteadyPCA()
    first, explained = pca(x)
    second, again = pca(x @ turn)
    assert torch.allclose(first, second, atol=1e-4) and explained == pytest.approx(again, abs=1e-5)
    mirrored, _ = pca(-x @ turn)
    assert torch.allclose(first, mirrored, atol=1e-4)


def test_the_map_is_pca():
    x = torch.nn.functional.normalize(torch.randn(200, 12, generator=torch.Generator().manual_seed(1)) + 0.5, dim=1)
    points, explained = SteadyPCA()(x)
    values = np.linalg.svd((x - x.mean(0)).double().numpy(), compute_uv=False) ** 2
    assert explained == pytest.approx(values[:2].sum() / values.sum(), abs=1e-4)
    spread = (points - points.mean(0)).double().square().sum(0).numpy() / values[:2]
    assert spread[0] == pytest.approx(spread[1], rel=1e-3), "both axes on one scale"


def test_a_collapsed_embedding_is_a_dot_on_the_map():
    generator = torch.Generator().manual_seed(0)
    pca = SteadyPCA()
    pca(torch.randn(200, 8, generator=generator))
    for _ in range(20):
        points, _ = pca(torch.ones(200, 8) + 1e-4 * torch.randn(200, 8, generator=generator))
    assert points.isfinite().all() and points.norm(dim=1).max() < 0.02
    assert pca(torch.ones(200, 8))[0].isfinite().all()


def test_align_undoes_a_turn():
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert torch.allclose(align(points @ turn, points), points, atol=1e-5)


# ---- the objective's own pictures

def test_pictures_of_the_same_images_with_the_same_noise():
    lab = make_lab(steps=20, make=Pictorial)
    assert lab.pictures == {}
    lab.start()
    lab.join()
    rows, data, asked = lab.pictures, lab.dataset, lab.objective.asked
    assert list(rows) == ["image", "noise"] and len(asked) >= 2
    assert all(torch.equal(noise, asked[0]) for noise in asked)
    order, _ = choose_images(data, seed=0)
    chosen = choose_examples(data.validation.labels, order)
    assert torch.equal(rows["image"], data.validation.images[chosen].float() / 255)
    assert data.validation.labels[chosen][:3].tolist() == [0, 1, 2], "one of each class first"
    assert len(set(chosen.tolist())) == EXAMPLES
    assert torch.equal(rows["noise"], (2 * asked[0] - 0.5).clamp(0, 1)) and lab.run.watcher.examples.step == 19
    lab.reset()
    assert lab.pictures == {}


def test_pictures_are_asked_for_as_often_as_the_budget_pays():
    def make(encoder, **options):
        objective = Pictorial(encoder, **options)
        objective.cost = 0.1
        return objective

    lab = make_lab(steps=150, pause=0.005, make=make)
    lab.start()
    lab.join()
    assert lab.run.seconds > 0.7 and len(lab.objective.asked) <= 3, "before, once to see what it costs, and at the end"


def test_nothing_is_asked_of_an_objective_without_pictures(monkeypatch):
    lab = make_lab(steps=30)
    looked = []
    monkeypatch.setattr(Watcher, "_measure", lambda self, step, name, read: looked.append(name))
    browser = Browser(lab)
    browser.say(kind="hello")
    lab.start()
    lab.join()
    assert lab.pictures == {} and "examples" not in looked and not lab.run.watcher.pictorial
    assert not browser.frames[0]["pictorial"] and not any("examples" in frame for frame in browser.frames)


def test_pictures_travel_when_they_are_new():
    lab = make_lab(steps=60, pause=0.01, make=Pictorial)
    browser, buffers = Browser(lab), []
    receive = browser.bridge.send
    browser.bridge.send = lambda content, data: (buffers.append(data[0]), receive(content, data))
    browser.say(kind="hello")
    assert browser.frames[0]["pictorial"] and "examples" not in browser.frames[0]
    browser.say(kind="start")
    lab.join(20)
    until(lambda: browser.frames[-1]["state"] == "finished")
    with_pictures = [(frame, data) for frame, data in zip(browser.frames, buffers, strict=True) if "examples" in frame]
    steps = [frame["examples"]["step"] for frame, _ in with_pictures if frame["kind"] == "frame"]
    assert steps == sorted(set(steps)), "each is sent once"
    frame, data = with_pictures[-1]
    assert frame["examples"] == {"step": 59, "rows": ["image", "noise"]}
    for index, images in enumerate(lab.pictures.values()):
        kind, shape, offset = frame["layout_of_buffer"][f"examples{index}"]
        sent = np.frombuffer(data, kind, count=int(np.prod(shape)), offset=offset).reshape(shape)
        assert np.array_equal(sent, (images * 255).round().byte().permute(0, 2, 3, 1).numpy())
    browser.say(kind="hello")                                        # a page that is loaded again gets them, too
    assert browser.frames[-1]["kind"] == "state" and browser.frames[-1]["examples"]["step"] == 59


@pytest.mark.parametrize("row", [torch.zeros(3, 8, 8), torch.zeros(2, 2, 8, 8), None, [[0.0]]])
def test_a_row_that_is_no_picture_is_named(row):
    with pytest.raises(ValueError, match="pictures: row 'mine' got"):
        as_pictures("mine", row)


def test_pictures_are_made_fit_to_travel():
    wild = torch.tensor([float("nan"), -1.0, 2.0, 0.5]).view(1, 1, 2, 2)
    assert as_pictures("wild", wild).flatten().tolist() == [0, 0, 1, 0.5]
    assert as_bytes(as_pictures("wild", wild)).tolist() == [[[[0], [0]], [[255], [128]]]]
    assert as_bytes(torch.full((2, 3, 100, 300), 0.5)).shape == (2, round(LARGEST / 3), LARGEST, 3)


# ---- towards a front end

class Browser:
    """A front end that answers, or does not, and checks what it gets."""

    def __init__(self, lab, answers=True):
        self.frames, self.times, self.answers = [], [], answers
        self.bridge = Bridge(lab, self.receive)
        lab.dashboard = self.bridge

    def receive(self, content, buffers):
        for kind, shape, offset in content["layout_of_buffer"].values():
            assert offset % 4 == 0 and offset + np.dtype(kind).itemsize * int(np.prod(shape)) <= len(buffers[0])
        self.frames.append(content)
        self.times.append(time.monotonic())
        if self.answers:
            threading.Timer(0.002, self.bridge.receive, [{"kind": "ack", "view": "a", "number": content["number"]}]).start()

    def say(self, **message):
        self.bridge.receive({"view": "a", **message})


def test_hello_brings_everything_and_frames_bring_the_rest():
    lab = make_lab(steps=60, pause=0.01)
    browser = Browser(lab)
    browser.say(kind="hello")
    state = browser.frames[0]
    assert state["kind"] == "state" and state["class_names"] == ["a", "b", "c"] and state["from"] == 0
    assert {knob["name"] for knob in state["knobs"]} == set(lab.knobs) and "temperature" not in state["of_views"]
    assert {"labels", "sprite", "rows"} <= set(state["layout_of_buffer"])
    browser.say(kind="start")
    browser.say(kind="set", values={"temperature": 0.1})
    lab.join(20)
    until(lambda: browser.frames[-1]["state"] == "finished")
    known = 0
    for frame in browser.frames:
        assert frame["from"] <= known, "no row is skipped"
        known = frame["from"] + frame["layout_of_buffer"]["rows"][1][0]
    assert known == 60
    assert browser.frames[-1]["values"]["temperature"] == 0.1
    assert all(later - earlier > 0.09 for earlier, later, frame in
               zip(browser.times, browser.times[1:], browser.frames[1:], strict=False)
               if frame["state"] == "running" and frame["kind"] == "frame" and frame["steps"] not in (0, 60))


def test_an_answer_alone_brings_nothing():
    browser = Browser(make_lab())
    browser.say(kind="hello")
    time.sleep(0.1)
    assert len(browser.frames) == 1, "or the two would go on for ever"


def test_without_an_answer_there_is_one_frame_a_second_and_training_does_not_wait():
    lab = make_lab(steps=300, pause=0.01)
    browser = Browser(lab, answers=False)
    browser.say(kind="hello")
    before = len(browser.frames)
    start = time.monotonic()
    lab.start()
    lab.join(30)
    took = time.monotonic() - start
    assert len(browser.frames) - before <= took / ANSWER + 1
    assert lab.run.seconds > 0.8 * took, "training has nearly all of the time"


def test_nobody_there_nothing_sent():
    lab = make_lab(steps=5)
    browser = Browser(lab)
    lab.start()
    lab.join()
    assert browser.frames == []


def test_the_gate_asks_a_lost_browser_a_few_times_and_then_is_quiet():
    now = [0.0]
    gate = Gate(lambda: now[0])
    assert not gate.is_open()
    gate.answered("a", 0)
    sent = []
    for tick in range(300):                                          # 30 seconds, nobody answers
        now[0] = tick / 10
        if gate.is_open():
            sent.append(now[0])
            gate.next()
    assert 3 <= len(sent) <= 7 and min(np.diff(sent)) >= ANSWER - 1e-9
    gate.answered("a", gate.sent)
    assert gate.is_open(), "it is back"


def test_a_slow_view_does_not_hold_up_the_other():
    now = [0.0]
    gate = Gate(lambda: now[0])
    gate.answered("fast", 0)
    gate.answered("slow", 0)
    frames = 0
    for tick in range(100):
        now[0] = 1.1 * FASTEST * tick
        if gate.is_open():
            frames += 1
            gate.answered("fast", gate.next())
    assert frames > 80


@pytest.mark.parametrize("cost, answers", [(0.01, TRUSTED), (2 * QUICK, 1)])
def test_a_quick_view_answers_every_few_frames_and_a_slow_one_each(cost, answers):
    now = [0.0]
    gate = Gate(lambda: now[0])
    gate.answered("a", 0, cost)
    for number in range(1, 4 * TRUSTED + 1):
        now[0] += 2 * ANSWER
        assert gate.is_open() and gate.next() == number
        assert (gate.asked == number) == (number % answers == 0)
        if gate.asked == number:
            now[0] += 0.9 * ANSWER
            assert not gate.is_open(urgent=True), "what was asked is waited for"
            gate.answered("a", number, cost)
    gate.next()
    gate.asked = gate.sent                                           # one that is asked and never answers
    now[0] += 2 * ANSWER
    assert gate.next() and not gate.views


def test_errors_go_back_as_notices():
    lab = make_lab()
    browser = Browser(lab, answers=False)
    browser.say(kind="hello")
    browser.say(kind="ack", number=browser.frames[-1]["number"])
    browser.say(kind="set", values={"temperature": 99})
    assert "temperature: got 99" in browser.frames[-1]["notice"]


def test_rows_and_arrays_travel_exactly():
    rows = [{"step": 0, "loss": 1.5, "terms": {"a": 2.0}, "std": None, "effective_rank": 3.0, "probe": None, "seconds": 0.1}]
    numbers = table(rows, ("a", "b"))
    assert numbers.shape == (1, 8) and np.isnan(numbers[0, 2]) and np.isnan(numbers[0, 7]) and numbers[0, 6] == 2
    layout, buffer = pack({"x": np.arange(3, dtype=np.uint8), "y": numbers})
    kind, shape, offset = layout["y"]
    assert np.array_equal(np.frombuffer(buffer, kind, count=8, offset=offset).reshape(shape), numbers, equal_nan=True)


def test_300_random_events():
    choose = random.Random(0)
    lab = make_lab(steps=40, pause=0.001)
    browser = Browser(lab)
    garbage = [None, 7, "x", {}, {"kind": "nothing"}, {"kind": "set"}, {"kind": "set", "values": {"temperature": "hot"}},
               {"kind": "set", "values": 3}, {"kind": "swap", "objective": "none"}, {"kind": "ack", "number": "one"},
               {"kind": "swap", "dataset": ["digits"]}, {"kind": ["start"]}]
    events = [{"kind": kind} for kind in ("start", "pause", "stop", "reset", "hello", "bye", "start", "start")]
    for _ in range(300):
        event = choose.choice([*events, *garbage, {"kind": "ack", "number": choose.randrange(50)},
                               {"kind": "swap", "dataset": "tiny"}, {"kind": "swap", "objective": "Slow"},
                               {"kind": "set", "values": {"temperature": choose.uniform(0.02, 5)}},
                               {"kind": "set", "values": {"crop": choose.random(), "negatives": choose.random() < 0.5}}])
        browser.bridge.receive({"view": choose.choice("ab"), **event} if isinstance(event, dict) else event)
        time.sleep(choose.choice((0, 0, 0.005)))
        assert len(lab_threads()) <= 2, "the running one, and at most one that is ending"
        assert lab.error is None
    lab.stop()
    assert browser.frames and lab.status


def test_umap_refuses_without_a_map():
    with pytest.raises(RuntimeError, match="no map yet"):
        make_lab().umap()


@pytest.mark.slow
def test_umap_in_its_own_thread_reports_progress():
    lab = make_lab(steps=3)
    lab.start()
    lab.join()
    seen = []
    lab.dashboard = type("Front", (), {"tell": lambda self: seen.append(lab.layout.progress)})()
    lab.umap()
    until(lambda: lab.layout.progress == 1 or lab.layout.error, 120)
    assert lab.layout.error == "" and lab.layout.points.shape == (60, 2) and lab.layout.points.abs().max() < 3
    assert seen == sorted(seen) and len(seen) > 2


# ---- in a notebook without a front end

def test_the_fallback_is_a_picture_and_a_sentence():
    lab = make_lab(steps=5)
    empty = lab._repr_mimebundle_()
    lab.start()
    lab.join()
    full = lab._repr_mimebundle_()
    for bundle in (empty, full):
        assert base64.b64decode(bundle["image/png"])[:8] == b"\x89PNG\r\n\x1a\n"
    assert "Ready" in empty["text/plain"] and "Finished" in full["text/plain"]
    assert len(full["image/png"]) > len(empty["image/png"])
    assert "application/vnd.jupyter.widget-view+json" in full
    lab.dashboard.close()


def test_the_fallback_shows_the_pictures_too():
    import struct
    lab = make_lab(steps=5, make=Pictorial)
    heights = []
    for _ in range(2):
        heights.append(struct.unpack(">I", base64.b64decode(lab._repr_mimebundle_()["image/png"])[20:24])[0])
        lab.start()
        lab.join()
    assert heights[1] > heights[0] + 100
    lab.dashboard.close()


def test_without_anywidget_there_is_still_a_picture(monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "sslab.lab.widget", raising=False)
    bundle = make_lab()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png"}


def test_the_widget_hears_and_speaks():
    lab = make_lab(steps=3)
    lab._repr_mimebundle_()
    sent = []
    lab.dashboard.bridge.send = lambda content, buffers: sent.append(content)
    lab.dashboard._handle_custom_msg({"kind": "hello", "view": "a"}, [])
    lab.dashboard._handle_custom_msg({"kind": "start", "view": "a"}, [])
    lab.join()
    assert sent[0]["kind"] == "state" and lab.state == "finished"
    lab.dashboard.close()
    lab.dashboard = None
