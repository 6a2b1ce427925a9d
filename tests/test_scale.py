"""Lesson 16: its runs, its meter, its figures, and the two benchmarks that it names, as far as a CPU goes."""

import importlib.util
import math
import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sslab
from sslab import encoders
from sslab.course import ledger
from sslab.course.ledger import Record
from sslab.course.lessons import nb16
from sslab.figures import scale

ROOT = Path(__file__).resolve().parent.parent


def benchmark(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- what a run is made of


def test_every_setting_sees_as_many_views_and_the_rules_are_rules(monkeypatch):
    monkeypatch.setenv("SSLAB_MODE", "class")
    plain = nb16.options_of()
    assert (plain["steps"], plain["batch_size"]) == (450, 64)
    for name, setting in nb16.SETTINGS.items():
        options = nb16.options_of(**setting)
        views = setting.get("steps", 450) * 64
        assert options["steps"] * options["batch_size"] == pytest.approx(views, rel=0.01), name
    assert nb16.options_of(batch=256, rule="linear")["learning_rate"] == pytest.approx(4 * plain["learning_rate"])
    assert nb16.options_of(batch=1024, rule="root")["learning_rate"] == pytest.approx(4 * plain["learning_rate"])
    assert nb16.options_of(batch=1024)["learning_rate"] == plain["learning_rate"]
    assert set(nb16.BY_IMAGES.values()) | set(nb16.BY_BATCH.values()) | {nb16.PLAIN} <= set(nb16.SETTINGS)
    with pytest.raises(ValueError, match="batch: got 1024, takes at most the number of images"):
        nb16.options_of(images=1000, batch=1024)
    with pytest.raises(ValueError, match="rule: got 'squares'"):
        nb16.options_of(rule="squares")


def test_few_pictures_are_among_many_and_their_order_is_the_seeds():
    data = sslab.load("fashion")
    few, many = (nb16.fewer(data, n, seed=1).train for n in (20, 200))
    assert torch.equal(few.images, many.images[:20]) and torch.equal(few.labels, many.labels[:20])
    assert not torch.equal(few.images, nb16.fewer(data, 20, seed=2).train.images)
    assert len(many.labels.unique()) == 10


def test_a_run_and_a_rate_in_smoke_mode():
    found = nb16.run(images=1000, steps=150, width=8, device="cpu")
    assert found.objective.encoder.dim == 32 and found.views == 3 * 16 * 2 and 0 < found.probe < 1 and 0 < found.knn < 1
    assert math.isfinite(found.loss) and found.seconds > 0
    assert nb16.speed(width=8, batch=8, precision="float32-channels-last", device="cpu") > 0


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one():
    found = nb16.two_processes()
    assert found["difference"] < 1e-6
    assert 0 < found["talk"] < found["two"] and 0 < found["views"] < found["two"] and found["one-views"] < found["one"]
    assert found["bytes"] == 4 * sum(p.numel() for p in nb16.make().parameters())


def test_torchrun_that_fails_says_what_it_said(monkeypatch):
    monkeypatch.setattr(nb16, "_work", lambda settings: {})
    monkeypatch.setattr(nb16, "_timed", lambda settings: {})
    monkeypatch.setattr(nb16.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stderr="no network on the moon"))
    with pytest.raises(RuntimeError, match=r"torchrun ended with 1:\nno network on the moon"):
        nb16.two_processes()


# ---- energy and money


def zone(folder, name, microjoules, largest=1_000_000):
    (folder / name).mkdir(parents=True)
    (folder / name / "energy_uj").write_text(f"{microjoules}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{largest}\n")


def test_the_meter_adds_processors_and_knows_when_a_counter_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(nb16, "POWERCAP", tmp_path)
    monkeypatch.setattr(nb16.shutil, "which", lambda name: None)
    zone(tmp_path, "intel-rapl:0", 100)
    zone(tmp_path, "intel-rapl:1", 999_900)
    zone(tmp_path, "intel-rapl:0:0", 5)                              # a part of the first
    with nb16.Meter() as meter:
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text("500100")
        (tmp_path / "intel-rapl:1" / "energy_uj").write_text("99")   # over the top: 200 later
    assert meter.joules == pytest.approx(0.5002) and meter.source == "processor (RAPL)" and "J, on average" in repr(meter)


def test_the_meter_says_why_it_has_no_joules(tmp_path, monkeypatch):
    monkeypatch.setattr(nb16.shutil, "which", lambda name: None)
    monkeypatch.setattr(nb16, "POWERCAP", tmp_path / "nothing")
    with nb16.Meter() as meter:
        pass
    assert meter.joules is None and "energy not measured: this machine shows no counter of energy" in repr(meter)
    (tmp_path / "intel-rapl:0").mkdir()                              # there, and cannot be read
    monkeypatch.setattr(nb16, "POWERCAP", tmp_path)
    with nb16.Meter() as meter:
        pass
    assert meter.joules is None and "root only" in meter.source


def test_a_gpus_watts_are_averaged_over_the_time(tmp_path, monkeypatch):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 100.5\necho 99.5\n")
    smi.chmod(0o755)
    assert nb16.gpu_watts(str(smi)) == 200 and nb16.gpu_watts(str(tmp_path / "none")) is None
    smi.write_text("#!/bin/sh\necho '[N/A]'\n")
    assert nb16.gpu_watts(str(smi)) is None
    monkeypatch.setattr(nb16, "POWERCAP", tmp_path / "nothing")
    monkeypatch.setattr(nb16.shutil, "which", lambda name: str(smi))
    monkeypatch.setattr(nb16, "gpu_watts", lambda smi: 50.0)
    with nb16.Meter() as meter:
        nb16.time.sleep(0.05)
    assert meter.joules == pytest.approx(50 * meter.seconds) and meter.source == "GPU (nvidia-smi)"


def test_the_price_of_a_run_by_hand():
    assert nb16.price(2, 500, machines=3, price_hour=1.5, price_kwh=0.2) == pytest.approx({"hours": 2, "kWh": 3, "money": 9.6})


def test_what_a_gpu_changes_is_said_from_the_records(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    text = nb16.on_a_gpu({})
    assert text.count("not measured") == 2 and "no CUDA device here" in text
    records = {"16/gpu/conv/fashion/64/bf16/alone": Record(12345.0, unit="views/s", device="Some GPU"),
               "16/cifar10/validation": Record(0.86, device="Some GPU"), "16/cifar10/test": Record(0.85, seconds=3600)}
    text = nb16.on_a_gpu(records)
    assert "not measured for" not in text and "Ours, Some GPU:" in text and "12,345.00 views/s" in text and "after 60 min, 0.850 on test" in text


# ---- figures


def test_curves_keep_ours_and_yours_in_one_colour_and_do_not_draw_a_line_far_below():
    series = {"ours": {1000: (0.7, (0.6, 0.75)), 16: (0.5, None)}, "ours, yours": {16: (0.45, None)}}
    axis = scale.curves(series, "batch", "accuracy", {"raw pixels": 0.6, "chance": 0.1}).axes[0]
    ours, yours = (container.lines[0] for container in axis.containers)
    assert list(ours.get_xdata()) == [16, 1000] and list(ours.get_ydata()) == [0.5, 0.7]
    assert ours.get_color() == yours.get_color() and yours.get_markerfacecolor() == "none" and yours.get_linestyle() == "--"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["16", "1,000"]
    assert {text.get_text() for text in axis.get_legend().get_texts()} >= {"raw pixels", "chance: 0.1 (far below)"}
    assert axis.get_ylim()[0] > 0.2
    low, high = axis.containers[0].lines[2][0].get_segments()[1][:, 1]
    assert (low, high) == pytest.approx((0.6, 0.75))


@pytest.mark.parametrize("series, words", [({"a": {}}, "a: got no points"), ({"a": {0: (1.0, None)}}, "a: got 1 at 0, takes numbers above 0"),
                                           ({"a": {1: (0.0, None)}}, "a: got 0 at 1")])
def test_what_a_logarithmic_axis_cannot_show_is_refused(series, words):
    with pytest.raises(ValueError, match=words):
        scale.curves(series, "x", "y", logarithmic=True)


def test_the_front_rings_what_nobody_beat_in_less_time():
    runs = {"a": {10: (1.0, 0.5), 20: (2.0, 0.6)}, "b": {10: (1.5, 0.55), 20: (3.0, 0.58)}, "a, yours": {10: (0.5, 0.9)}}
    axis = scale.front(runs, "accuracy").axes[0]
    (rings,) = [line for line in axis.lines if line.get_label() == "best for its time"]
    assert sorted(zip(rings.get_xdata(), rings.get_ydata(), strict=True)) == [(1.0, 0.5), (1.5, 0.55), (2.0, 0.6)]
    assert [text.get_text() for text in axis.texts].count("20") == 2


def test_laws_are_dotted_where_nothing_was_fitted():
    points = {size: (0.1 + 2 * size**-0.5, (0.09 + 2 * size**-0.5, 0.11 + 2 * size**-0.5)) for size in (50, 150, 450, 1350)}
    law = nb16.fit_law(points, (50, 150, 450), 0.1)
    assert law.exponent == pytest.approx(0.5) and law(1350) == pytest.approx(points[1350][0])
    slope, start = np.polyfit(np.log([50, 150, 450]), np.log([points[size][0] for size in (50, 150, 450)]), 1)
    other = nb16.fit_law(points, (50, 150, 450), 0.0)
    assert other.exponent == pytest.approx(-slope) and other(7.0) == pytest.approx(math.exp(start) * 7**slope)
    axis = scale.laws(points, (50, 150, 450), {0.1: law}, "steps", "errors").axes[0]
    solid, dotted = axis.lines[:2]
    assert (min(solid.get_xdata()), max(solid.get_xdata())) == pytest.approx((50, 450)) and solid.get_linestyle() == "-"
    assert (min(dotted.get_xdata()), max(dotted.get_xdata())) == pytest.approx((450, 1350)) and dotted.get_linestyle() == ":"
    with pytest.raises(ValueError, match=r"fitted: got \[7\], takes some of"):
        scale.laws(points, (7, 50), {0.1: law}, "steps", "errors")


def test_shares_stand_behind_each_other():
    axis = scale.shares({"one": {"computing": 0.02}, "two": {"computing": 0.01, "talk": 0.005}}).axes[0]
    first, second = axis.containers
    assert [bar.get_width() for bar in first] == [20, 10] and [bar.get_width() for bar in second] == [0, 5] and second[1].get_x() == 10


# ---- benchmarks


@pytest.fixture(scope="module")
def gpu():
    return benchmark("gpu")


def test_the_encoder_alone_computes_what_training_does(gpu):
    """Its step leaves no gradient behind, and before that it was the encoder's own."""
    torch.manual_seed(0)
    encoder, views = encoders.create("conv", (1, 12), width=4), torch.rand(6, 1, 12, 12)
    alone, seen = gpu.Alone(encoder, views, gpu.ON_CPU[0], torch.device("cpu")), []
    alone.model.zero_grad = lambda: seen.append([p.grad.clone() for p in alone.model.parameters()])
    alone.step()
    encoder.train()(views).square().mean().backward()
    assert all(torch.allclose(a, p.grad) for a, p in zip(seen[0], encoder.parameters(), strict=True))


def test_every_way_is_measured_and_what_fails_is_a_row(gpu, monkeypatch):
    data = SimpleNamespace(name="fashion", train=SimpleNamespace(images=sslab.load("fashion").train.images[:64]))
    encoder = encoders.create("conv", (1, 28), width=4)
    broken = gpu.Way("float32, graph", gpu.FLOAT32, graph=True)      # of CUDA only
    rows = gpu.measure(encoder, data, 8, torch.device("cpu"), (*gpu.ON_CPU, broken), steps=2, rounds=1)
    for row in rows[:-1]:
        assert row["alone"] > 0 and row["loop"] > 0 and row["share"] == pytest.approx(row["loop"] / row["alone"]) and row["waits"] is None
    assert rows[-1]["failed"] and rows[-1]["alone"] is None and "not possible here" in gpu.told(rows[-1])
    assert len({way.key for way in gpu.ON_GPU}) == len(gpu.ON_GPU) and all(ledger.NAME.fullmatch(way.key) for way in gpu.ON_GPU)


def test_waiting_is_counted_step_by_step(gpu, monkeypatch):
    modes, steps = [], iter(range(5))
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def step():
        for _ in range(next(steps) % 3):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn("something else", stacklevel=1)

    assert gpu.waits_by_step(step, 5) == [0, 1, 2, 0, 1] and modes == ["warn", "default"] * 5
    row = {"way": gpu.ON_GPU[0], "batch": 8, "failed": None, "alone": 2e4, "loop": 1e4, "share": 0.5, "waits": [0, 1, 2]}
    assert re.search(r"20,000 +10,000 +50%   host waits 3 times in 3 steps, in 2 of them", gpu.told(row))


def test_a_gpus_rows_become_records_of_lesson_16(gpu, tmp_path, monkeypatch):
    monkeypatch.setenv("SSLAB_NOTEBOOKS", str(tmp_path))
    rows = [{"way": gpu.ON_GPU[-1], "batch": 64, "failed": None, "alone": 2e4, "loop": None, "share": None, "waits": None}]
    assert gpu.record(rows, "conv", "fashion") == ["16/gpu/conv/fashion/64/bf16-channels-last-graph/alone"]
    (found,) = ledger.read().records.values()
    assert found.value == 2e4 and found.unit == "views/s" and found.device



@pytest.mark.parametrize("words, said", [(["--batch", "0"], "--batch: got 0, takes whole numbers above 0"),
                                         (["--record"], "--record: got cpu, takes a GPU")])
def test_mistakes_of_the_benchmark_are_said_first(gpu, monkeypatch, capsys, words, said):
    monkeypatch.setattr(gpu, "pick_device", lambda: torch.device("cpu"))
    with pytest.raises(SystemExit):
        gpu.main(words)
    assert said in capsys.readouterr().err


def test_cifar10_writes_its_curve_and_reads_test_once(tmp_path, monkeypatch, capsys):
    cifar10 = benchmark("cifar10")
    monkeypatch.setattr(cifar10, "pick_device", lambda: torch.device("cpu"))
    whole = sslab.load("shapes", n=160)
    monkeypatch.setattr(cifar10.sslab, "load", lambda name: whole)
    monkeypatch.setenv("SSLAB_NOTEBOOKS", str(tmp_path / "notebooks"))
    words = ["--data", "shapes", "--encoder", "conv", "--batch", "16", "--epochs", "2", "--every", "1", "--neighbours", "20", "--precision", "float32"]
    read = []
    near = cifar10.near
    monkeypatch.setattr(cifar10, "near", lambda objective, data, part, k: read.append(part) or near(objective, data, part, k))
    assert cifar10.main([*words, "--anyway", "--output", str(tmp_path / "x"), "--record"]) == 0
    assert read == ["validation", "validation", "test"] and "test, read once" in capsys.readouterr().out
    records = ledger.read().records
    assert list(records["16/cifar10/validation"].series["epoch"]) == [1, 2]
    assert len((tmp_path / "x" / "knn.jsonl").read_text().splitlines()) == 2
    with pytest.raises(SystemExit):
        cifar10.main([*words, "--anyway", "--output", str(tmp_path / "x")])
    assert "has a run already; add --resume" in capsys.readouterr().err
    assert cifar10.main([*words, "--steps", "2"]) == 0
    assert "No GPU here" in capsys.readouterr().out
