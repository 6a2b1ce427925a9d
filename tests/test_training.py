import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
import torch

from sslab import encoders, objectives, training
from sslab.training import checkpoint as checkpoints
from sslab.training.devices import Precision, cpu_limit
from sslab.training.loop import _order, _schedule
from sslab.views import Augment

IMAGES = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
DATA = SimpleNamespace(train=SimpleNamespace(images=IMAGES, labels=torch.arange(64) % 4))
QUICK = {"steps": 4, "batch_size": 16, "precision": "float32", "device": "cpu"}


def simclr(**knobs):
    torch.manual_seed(0)
    return objectives.create("simclr", encoders.create("conv", (1, 28), width=8), views=Augment(crop=0.5), **knobs)


def test_same_seed_same_weights_and_another_seed_others():
    def weights(seed):
        objective = simclr()
        steps = list(training.train(objective, DATA, seed=seed, **QUICK))
        assert [s.index for s in steps] == [0, 1, 2, 3] and all(s.total == 4 for s in steps)
        return torch.cat([p.flatten() for p in objective.parameters()])

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


def test_one_step_is_adamw():
    """The first step against torch's own AdamW, unfused, on the same batch and views."""
    ours, theirs = simclr(), simclr()
    steps = training.train(ours, DATA, learning_rate=0.01, weight_decay=0.1, warmup=0, seed=5, **QUICK)
    first = next(steps)
    from sslab.training.loop import _VIEWS, _seed

    batch = IMAGES[_order(64, 1, 5, 0)[:16]]
    theirs.train()
    loss = theirs(theirs.make_views(batch, torch.Generator().manual_seed(_seed(5, _VIEWS, 0)))).total
    assert torch.equal(loss, first.loss)
    loss.backward()
    groups = [{"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 0.1},
              {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0}]
    torch.optim.AdamW(groups, lr=0.01, fused=False, foreach=False).step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_schedule_warms_up_and_ends_near_zero():
    run = {"warmup": 0.1, "steps": 100, "learning_rate": 2.0}
    rates = [_schedule(i, run) for i in range(100)]
    assert rates[0] == pytest.approx(0.2) and rates[9] == pytest.approx(2.0) and max(rates) == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0) and rates[-1] == pytest.approx(1 - math.cos(math.pi / 90), rel=1e-6)


def test_epochs_see_every_image_once_and_small_labelled_sets_are_repeated():
    assert sorted(_order(64, 1, 0, 0).tolist()) == list(range(64))
    assert _order(64, 1, 0, 0).tolist() != _order(64, 1, 0, 1).tolist()
    assert _order(8, 3, 0, 0).bincount().tolist() == [3] * 8
    few = SimpleNamespace(train=SimpleNamespace(images=IMAGES[:5], labels=torch.arange(5)))
    objective = objectives.create("supervised", encoders.create("conv", (1, 28), width=8), classes=5)
    assert len(list(training.train(objective, few, **QUICK))) == 4
    with pytest.raises(ValueError, match=r"batch_size: got 16, takes at most the number of training images \(5\)"):
        training.train(simclr(), few, **QUICK)


def test_a_knob_turned_between_steps_counts_from_the_next():
    objective = simclr()
    seen = []
    for step in training.train(objective, DATA, **QUICK):
        seen.append(step.knobs["temperature"])
        if step.index == 1:
            objective.set(temperature=0.1)
    assert seen == [0.5, 0.5, 0.1, 0.1]


def test_nan_stops_and_names_step_term_and_knobs():
    class Breaks(objectives.SimCLR):
        def forward(self, views):
            loss = super().forward(views)
            if self.temperature < 0.2:
                loss.terms["repulsion"] = loss.terms["repulsion"] * math.nan
                loss.total = loss.total * math.nan
            return loss

    objective = Breaks(encoders.create("conv", (1, 28), width=8))
    with pytest.raises(FloatingPointError, match=r"step 2: loss, repulsion is NaN or infinite, with temperature=0.1"):
        for step in training.train(objective, DATA, **QUICK):
            if step.index == 1:
                objective.set(temperature=0.1)


@pytest.mark.parametrize("argument, value", [
    ("batch_size", 0), ("learning_rate", -1), ("steps", 0), ("epochs", 0), ("checkpoint_every", 0), ("warmup", 1.0),
    ("batch_size", "many"), ("precision", "fp8")])
def test_wrong_arguments_are_named_before_anything_is_done(argument, value):
    with pytest.raises(ValueError, match=f"{argument}: got"):
        training.train(simclr(), DATA, **{**QUICK, argument: value})


def test_a_checkpoint_is_never_overwritten_silently(tmp_path):
    path = tmp_path / "run.safetensors"
    list(training.train(simclr(), DATA, checkpoint=path, **QUICK))
    with pytest.raises(FileExistsError, match="resume=True"):
        training.train(simclr(), DATA, checkpoint=path, **QUICK)
    with pytest.raises(ValueError, match="learning_rate: got 0.5, but .* was trained with 0.002"):
        list(training.train(simclr(), DATA, checkpoint=path, resume=True, learning_rate=0.5, **QUICK))
    assert list(training.train(simclr(), DATA, checkpoint=path, resume=True, **QUICK)) == []


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    list(training.train(simclr(), DATA, checkpoint=path, **QUICK))
    whole = path.read_bytes()
    for damage in (whole[:1000], b"", b"\x80\x04pickle" * 100):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match="checkpoint: .* is damaged"):
            checkpoints.read(path)
    path.write_bytes(whole.replace(b'\\"version\\": 2', b'\\"version\\": 9'))
    with pytest.raises(ValueError, match="version 9, takes 2"):
        checkpoints.read(path)


KILLED = """
    import sys, torch
    from types import SimpleNamespace
    from sslab import encoders, objectives, training
    from sslab.views import Augment
    torch.manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    objective = objectives.create("simclr", encoders.create("conv", (1, 28), width=8), views=Augment(crop=0.5))
    for step in training.train(objective, SimpleNamespace(train=SimpleNamespace(images=images)), steps=30, batch_size=16,
                               precision="bf16", device="cpu", checkpoint=sys.argv[1], checkpoint_every=3, resume=True):
        print(step.index, flush=True)
"""


def test_killed_in_the_middle_and_resumed_bit_for_bit(tmp_path):
    def run(path, until=None):
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        seen = []
        for line in process.stdout:
            seen.append(int(line))
            if until is not None and seen[-1] >= until:
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                break
        process.wait()
        return seen

    assert run(tmp_path / "whole") == list(range(30))
    run(tmp_path / "killed", until=10)
    assert run(tmp_path / "killed")[0] in (9, 12, 15)                # from its last checkpoint, not from 0
    whole, killed = (checkpoints.read(tmp_path / name)[0] for name in ("whole", "killed"))
    assert whole.keys() == killed.keys() and all(torch.equal(whole[name], killed[name]) for name in whole)


def test_closing_saves_what_was_learned(tmp_path):
    steps = training.train(simclr(), DATA, checkpoint=tmp_path / "c", **QUICK)
    next(steps), next(steps)
    steps.close()
    assert checkpoints.read(tmp_path / "c")[1]["step"] == 2


def test_global_random_numbers_are_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    list(training.train(simclr(), DATA, **{**QUICK, "steps": 1}))
    torch.manual_seed(7)
    steps = training.train(simclr_ := simclr(), DATA, **{**QUICK, "steps": 1})
    torch.manual_seed(7)
    list(steps)
    assert torch.equal(torch.rand(3), expected) and simclr_.training


def test_seconds_leave_the_readers_time_out():
    for step in training.train(simclr(), DATA, **QUICK):
        time.sleep(0.2)
    assert step.seconds < 0.6


def test_precision_is_measured_and_falls_back():
    found = training.choose_precision(encoders.create("conv", (1, 28), width=8), IMAGES, torch.device("cpu"))
    assert found.name in ("float32", "bf16") and found.views_per_second > 0
    list(training.train(simclr(), DATA, **{**QUICK, "precision": Precision("float32", True)}))
    assert 1 <= cpu_limit() <= os.cpu_count()


@pytest.mark.parametrize("content, expected", [("200000 100000", 2), ("50000 100000", 1), ("max 100000", None)])
def test_the_containers_limit_is_read(tmp_path, monkeypatch, content, expected):
    (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr("sslab.training.devices.CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert cpu_limit() == (expected or 16)


def test_recipes(monkeypatch):
    monkeypatch.setenv("SSLAB_MODE", "class")
    whole, part = training.recipe("simclr", "digits"), training.recipe("simclr", "digits", share=0.5)
    assert part["steps"] == whole["steps"] / 2 and training.recipe("simclr", "digits", images=40)["batch_size"] == 40
    with pytest.raises(ValueError, match="share: got 0"):
        training.recipe("simclr", "digits", share=0)
    monkeypatch.setenv("SSLAB_MODE", "klass")
    with pytest.raises(ValueError, match="SSLAB_MODE: got 'klass'.*did you mean 'class'"):
        training.recipe("simclr", "digits")
