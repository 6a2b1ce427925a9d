"""What must hold on a GPU. Skipped where there is none; nothing here is measured in seconds."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

import sslab
from sslab import encoders, evaluation, objectives
from sslab.training.devices import Precision

pytestmark = pytest.mark.gpu
FLOAT32, BF16 = Precision("float32", False), Precision("bf16", True)


@pytest.fixture(scope="module")
def fashion():
    return sslab.load("fashion")


def trained(fashion, precision, steps=25, name="simclr", seed=0, **options):
    """SimCLR after a few steps, its losses, and the steps that are still to come."""
    torch.manual_seed(seed)
    objective = objectives.create(name, encoders.create("conv", fashion), views=objectives.views_for(name, "fashion"))
    losses = [float(step.loss) for step in sslab.train(objective, fashion, steps=steps, batch_size=128, seed=seed, device="cuda",
                                                       precision=precision, **options)]
    return objective, losses


def test_bf16_trains_like_float32(fashion):
    (one, full), (other, half) = (trained(fashion, precision) for precision in (FLOAT32, BF16))
    assert half[0] == pytest.approx(full[0], rel=0.02) and half[-1] == pytest.approx(full[-1], rel=0.05)
    assert all(p.dtype == torch.float32 for p in other.parameters())
    a, b = (evaluation.features(each.encoder, fashion.validation.images[:500]) for each in (one, other))
    assert torch.nn.functional.cosine_similarity(a - a.mean(0), b - b.mean(0)).mean() > 0.8


def test_a_gpu_trains_like_a_cpu(fashion):
    torch.manual_seed(0)
    losses = {}
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        objective = objectives.create("simclr", encoders.create("conv", fashion), views=objectives.views_for("simclr", "fashion"))
        losses[device] = [float(step.loss) for step in sslab.train(objective, fashion, steps=5, batch_size=64, device=device, precision=FLOAT32)]
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02)


@pytest.mark.parametrize("name", ["simclr", "moco", "byol", "vicreg", "swav"])
def test_nothing_in_a_step_makes_the_host_wait(fashion, name):
    """Losses are read every twentieth step; between two readings no call waits."""
    objective = objectives.create(name, encoders.create("conv", fashion), views=objectives.views_for(name, "fashion"))
    steps = sslab.train(objective, fashion, steps=60, batch_size=64, device="cuda", precision=BF16)
    for _ in range(20):                                              # the first ones make room, the twentieth reads
        next(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(18):
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        steps.close()


def test_memory_stays_where_it_is_and_bf16_needs_less(fashion):
    peaks = {}
    for precision in (FLOAT32, BF16):
        torch.cuda.reset_peak_memory_stats()
        torch.manual_seed(0)
        objective = objectives.create("simclr", encoders.create("resnet18", fashion), views=objectives.views_for("simclr", "fashion"))
        steps = sslab.train(objective, fashion, steps=100, batch_size=256, device="cuda", precision=precision)
        found = []
        for many in (5, 30):
            for _ in range(many):
                next(steps)
            found.append(torch.cuda.max_memory_allocated())
        steps.close()
        del objective, steps
        torch.cuda.empty_cache()
        assert found[1] <= 1.02 * found[0]
        peaks[precision.name] = found[1]
    assert peaks["bf16"] < 0.8 * peaks["float32"]


def test_a_graph_computes_what_the_encoder_does(fashion):
    path = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("benchmark_gpu_here", path)
    gpu = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gpu)
    device, views = torch.device("cuda"), torch.rand(32, 1, 28, 28)
    rows = gpu.measure(encoders.create("conv", fashion), fashion, 32, device, gpu.ON_GPU, steps=3, rounds=1)
    assert [row["way"].name for row in rows if row["failed"]] in ([], ["bf16, channels_last, compiled"])     # there may be no compiler
    assert all(row["waits"] is not None for row in rows if row["loop"])
    torch.manual_seed(0)
    encoder = encoders.create("conv", fashion)
    graph = gpu.Alone(encoder, views, gpu.Way("graph", FLOAT32, graph=True), device)
    plain = gpu.Alone(encoder, views, gpu.Way("plain", FLOAT32), device)
    for _ in range(gpu.WARM):
        plain.step()                                                 # the graph was warmed up as often, and capturing computes nothing
    graph.step()
    plain.step()
    torch.cuda.synchronize()
    for (name, a), b in zip(graph.model.named_buffers(), plain.model.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)                 # batch statistics: each replay has computed them
