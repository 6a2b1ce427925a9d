"""What a GPU gains from precision, layout, compilation and graphs, and how much of it the training loop keeps.

    python benchmarks/gpu.py [--encoder conv] [--data fashion] [--batch 64 512] [--steps 30] [--rounds 3] [--record]

Each way computes the encoder alone, forward and backward, on views that are there already; no loop is faster than that.
The loop is `sslab.train` with SimCLR: views, forward, backward, step. They take turns, and the median of the rounds is shown.
On a GPU the calls of a step that make the host wait are counted too: torch.cuda.set_sync_debug_mode.

Without a GPU it says so and measures what the CPU has. --record puts a GPU's numbers into notebooks/results.json, under 16/gpu,
where notebook 16 finds them.
"""

import argparse
import copy
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

os.environ.setdefault("GOMP_SPINCOUNT", "2000")                      # see benchmarks/README.md

import torch
from torch import Tensor, nn

import sslab
from sslab import encoders, objectives
from sslab.training import limit_threads, pick_device
from sslab.training.devices import Precision, autocast, describe, place

WARM = 5                                                             # steps before the clock starts
CHECKED = 40                                                         # steps in which waiting is counted


@dataclass(frozen=True)
class Way:
    """How a step is computed: in which precision and layout, compiled or not, launched one by one or as one graph."""

    name: str
    precision: Precision
    compiled: bool = False
    graph: bool = False

    @property
    def key(self) -> str:
        """The end of its record's name."""
        return self.name.replace(", ", "-").replace(" ", "-").replace("_", "-").lower()

    @property
    def in_the_loop(self) -> bool:
        """Whether `sslab.train` has it."""
        return not self.compiled and not self.graph


FLOAT32, LAST, BF16 = Precision("float32", False), Precision("float32", True), Precision("bf16", True)
ON_CPU = (Way("float32", FLOAT32), Way("float32, channels_last", LAST), Way("bf16", Precision("bf16", False)),
          Way("bf16, channels_last", BF16))
ON_GPU = (*ON_CPU, Way("bf16, channels_last, compiled", BF16, compiled=True), Way("bf16, channels_last, graph", BF16, graph=True))


class Alone:
    """The encoder's forward and backward on views that do not change.

    Args:
        encoder: copied. views: [2 B, C, H, W], on the CPU.
    """

    def __init__(self, encoder: nn.Module, views: Tensor, way: Way, device: torch.device) -> None:
        self.way, self.device = way, device
        self.model = place(copy.deepcopy(encoder), device, way.precision).train()
        self.views = views.to(device)
        self.network = torch.compile(self.model) if way.compiled else self.model
        self.step = self._captured() if way.graph else self._compute

    def _compute(self) -> None:
        with autocast(self.device, self.way.precision):
            out = self.network(self.views)                           # [2 B, D]
        out.float().square().mean().backward()
        self.model.zero_grad()

    def _captured(self) -> Callable[[], None]:
        """The step as a CUDA graph: launched at once in place of kernel by kernel. Warmed up on another stream, as torch asks for."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                self._compute()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._compute()
        return graph.replay


class Loop:
    """`sslab.train` with SimCLR, a step at a time."""

    def __init__(self, encoder: nn.Module, data, way: Way, device: torch.device, batch: int) -> None:
        objective = objectives.create("simclr", copy.deepcopy(encoder), views=objectives.views_for("simclr", data.name))
        self.steps = sslab.train(objective, data, steps=10**6, batch_size=batch, precision=way.precision, device=device)

    def step(self) -> None:
        next(self.steps)


def rate(step: Callable[[], None], steps: int, views: int, device: torch.device) -> float:
    """Views a second; the clock stops when the device has done all."""
    wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait(device)
    return steps * views / (time.perf_counter() - start)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def waits() -> Iterator[list[str]]:
    """Inside, every call that makes the host wait for a GPU leaves its message in the list."""
    found: list[str] = []
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
            found += [str(warning.message) for warning in caught if "synchroniz" in str(warning.message)]
    finally:
        torch.cuda.set_sync_debug_mode("default")


def waits_by_step(step: Callable[[], None], steps: int = CHECKED) -> list[int]:
    """How often the host waits in each of some steps: [steps]."""
    counts = []
    for _ in range(steps):
        with waits() as found:
            step()
        counts.append(len(found))
    return counts


def measure(encoder: nn.Module, data, batch: int, device: torch.device, ways: tuple[Way, ...], steps: int, rounds: int) -> list[dict]:
    """A row for each way: views/s of the encoder alone and of the loop, where it has that way, and the share that the loop keeps."""
    images = data.train.images[:batch]
    augment = objectives.views_for("simclr", data.name)
    views = augment(torch.cat([images, images]), torch.Generator().manual_seed(0))         # [2 B, C, H, W]
    contestants, failed = {}, {}
    for way in ways:
        try:
            contestants[way] = Alone(encoder, views, way, device), Loop(encoder, data, way, device, batch) if way.in_the_loop else None
            for one in filter(None, contestants[way]):
                rate(one.step, WARM, 2 * batch, device)
        except Exception as error:                                   # noqa: BLE001  no such kernels, no compiler: said in the row
            contestants.pop(way, None)
            failed[way] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:90] if str(error).strip() else ''}"
    alone, whole = ({way: [] for way in contestants} for _ in range(2))
    for _ in range(rounds):
        for way, (one, loop) in contestants.items():
            alone[way].append(rate(one.step, steps, 2 * batch, device))
            if loop is not None:
                whole[way].append(rate(loop.step, steps, 2 * batch, device))
    rows = []
    for way in ways:
        row = {"way": way, "batch": batch, "failed": failed.get(way), "alone": None, "loop": None, "share": None, "waits": None}
        if way in contestants:
            row["alone"] = statistics.median(alone[way])
            if whole[way]:
                row["loop"] = statistics.median(whole[way])
                row["share"] = statistics.median(w / a for w, a in zip(whole[way], alone[way], strict=True))
                row["waits"] = waits_by_step(contestants[way][1].step) if device.type == "cuda" else None
        rows.append(row)
    return rows


def told(row: dict) -> str:
    """A row as a line."""
    if row["failed"]:
        return f"  {row['way'].name:34} not possible here: {row['failed']}"
    line = f"  {row['way'].name:34}{row['alone']:>12,.0f}"
    if row["loop"] is None:
        return line + f"{'-':>12}   the loop does not have this"
    line += f"{row['loop']:>12,.0f}{row['share']:>8.0%}"
    if row["waits"] is not None:
        line += f"   host waits {sum(row['waits'])} times in {len(row['waits'])} steps, in {sum(map(bool, row['waits']))} of them"
    return line


def record(rows: list[dict], encoder: str, data: str) -> list[str]:
    """Put a GPU's rows into notebooks/results.json; the records' names."""
    from sslab.course import ledger
    from sslab.course.evidence import where

    book, names, facts = ledger.read(), [], where()
    for row in rows:
        for key, unit in (("alone", "views/s"), ("loop", "views/s"), ("share", "")):
            if row[key] is not None:
                names.append(f"16/gpu/{encoder}/{data}/{row['batch']}/{row['way'].key}/{key}")
                book.records[names[-1]] = ledger.Record(row[key], unit=unit, **facts)
    book.write(ledger.folder() / "results.json")
    return names


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="conv", choices=["conv", "resnet18", "vit"])
    parser.add_argument("--data", default="fashion", help="a dataset of pictures")
    parser.add_argument("--batch", nargs="+", type=int, default=[64, 512])
    parser.add_argument("--steps", type=int, default=30, help="of each contestant, a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="a GPU's numbers into notebooks/results.json")
    options = parser.parse_args(words)
    for name, values in (("--batch", options.batch), ("--steps", [options.steps]), ("--rounds", [options.rounds])):
        if min(values) < 1:
            parser.error(f"{name}: got {min(values)}, takes whole numbers above 0")
    device = pick_device()
    if options.record and device.type != "cuda":
        parser.error(f"--record: got {device.type}, takes a GPU (cuda): notebook 16 measures the CPU itself")
    threads = limit_threads()
    data = sslab.load(options.data)
    torch.manual_seed(0)
    encoder = encoders.create(options.encoder, data)
    what = describe(device) if device.type == "cuda" else f"{describe(device)}, {threads} threads"
    print(f"{what}, torch {torch.__version__}: SimCLR on {options.data}, encoder {options.encoder}, views a second")
    if device.type != "cuda":
        print("No GPU here: compilation, graphs and the host's waiting are not measured. What follows is this machine without one.")
    elif torch.backends.cudnn.allow_tf32:
        print("float32 convolutions may use TF32, as torch has it by default.")
    rows = []
    for batch in options.batch:
        print(f"batch {batch:<29}{'encoder':>11}{'loop':>12}{'share':>8}", flush=True)
        for row in measure(encoder, data, batch, device, ON_GPU if device.type == "cuda" else ON_CPU, options.steps, options.rounds):
            print(told(row), flush=True)
            rows.append(row)
    if options.record:
        names = record(rows, options.encoder, options.data)
        print(f"{len(names)} records under 16/gpu/{options.encoder} in notebooks/results.json")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
