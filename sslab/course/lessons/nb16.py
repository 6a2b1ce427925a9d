"""16_scale: what more pictures, larger batches, wider encoders, longer training, fewer bits and more processes buy, and what they cost.

Also the script that its two processes run: `torchrun --nproc-per-node 2 -m sslab.course.lessons.nb16 FOLDER`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence

DATA = "fashion"
IMAGES, BATCH, WIDTH, STEPS = 18_000, 64, 16, 450                    # of a run where nothing else is said
WIDTHS, LENGTHS = (8, 16, 32), (50, 150, 450, 1350)
LABELS, DRAWS = 5, 5                                                 # a class; draws of them
# What is changed in each run. Batches see as many views as the others: a batch of 256 takes a quarter of the steps.
SETTINGS: dict[str, dict[str, Any]] = {
    **{f"width-{width}-steps-{steps}": {"width": width, "steps": steps} for width in WIDTHS for steps in LENGTHS if (width, steps) != (32, 1350)},
    "images-1000": {"images": 1000}, "images-5000": {"images": 5000},
    "batch-16": {"batch": 16}, "batch-256": {"batch": 256}, "batch-1024": {"batch": 1024},
    "batch-256-linear": {"batch": 256, "rule": "linear"}, "batch-1024-linear": {"batch": 1024, "rule": "linear"},
    "batch-1024-root": {"batch": 1024, "rule": "root"},
    "bf16": {"precision": "bf16"},
}
PLAIN = f"width-{WIDTH}-steps-{STEPS}"                               # the run that the others are compared with
BY_IMAGES = {1000: "images-1000", 5000: "images-5000", IMAGES: PLAIN}
BY_BATCH = {16: "batch-16", 64: PLAIN, 256: "batch-256", 1024: "batch-1024"}
BY_RULE = {"root": {64: PLAIN, 1024: "batch-1024-root"}, "linear": {64: PLAIN, 256: "batch-256-linear", 1024: "batch-1024-linear"}}
PRECISIONS = ("float32", "float32-channels-last", "bf16-channels-last")
POWERCAP = Path("/sys/class/powercap")                               # where Linux counts a processor's energy


# ---- a run


@dataclass(frozen=True)
class Run:
    """What a short training gave."""

    objective: Any
    probe: float                                                     # validation accuracy with a few labels a class
    knn: float
    loss: float
    seconds: float                                                   # of training alone
    views: int                                                       # computed


def make(width: int = WIDTH, seed: int = 0):
    """SimCLR with an encoder of this width, untrained."""
    import torch

    from sslab import encoders, objectives

    torch.manual_seed(seed)
    encoder = encoders.create("conv", (1, 28), width=width)
    return objectives.create("simclr", encoder, views=objectives.views_for("simclr", DATA))


def fewer(data, images: int, seed: int = 0):
    """The dataset with so many of its training images, drawn from `seed`: the first of one order, so that few are among many."""
    import torch

    order = torch.randperm(len(data.train.images), generator=torch.Generator().manual_seed(seed))[:images]
    return SimpleNamespace(train=SimpleNamespace(images=data.train.images[order], labels=data.train.labels[order]))


def options_of(images: int = IMAGES, batch: int = BATCH, steps: int = STEPS, rule: str = "none", width: int = WIDTH,
               precision: str = "float32") -> dict:
    """Keyword arguments for `train`: as many views as `steps` of 64 pictures, in batches of `batch`.

    Raises:
        ValueError: no such rule, or a batch larger than the images.
    """
    import sslab
    from sslab._names import choose
    from sslab.modes import by_mode

    choose(rule, ("none", "root", "linear"), "rule")
    if batch > images:
        raise ValueError(f"batch: got {batch}, takes at most the number of images ({images})")
    known = sslab.recipe("simclr", DATA)
    k = batch / BATCH
    return {"steps": by_mode(3, max(3, round(steps / k))), "batch_size": by_mode(min(batch, 16), batch), "precision": precision,
            "learning_rate": known["learning_rate"] * {"none": 1.0, "root": k**0.5, "linear": k}[rule], "weight_decay": known["weight_decay"]}


def run(seed: int = 0, device: str | None = None, **setting) -> Run:
    """Train on `fashion` with one entry of SETTINGS, and read the encoder with the same labels for all."""
    import sslab
    from sslab.course.lessons.common import quick_probe
    from sslab.modes import by_mode

    data = sslab.load(DATA)
    options = options_of(**setting)
    made = make(setting.get("width", WIDTH), seed)
    for step in sslab.train(made, fewer(data, setting.get("images", IMAGES), seed), seed=seed, device=device, **options):
        pass
    return Run(made, quick_probe(made, data, LABELS, by_mode(2, DRAWS)), near(made.encoder, data), float(step.loss), step.seconds,
               step.total * options["batch_size"] * made.views_per_image)


def near(represent, data) -> float:
    """kNN accuracy on validation of an encoder, or of a function of images; among few images in smoke mode."""
    from sslab.course.lessons.common import quick_knn
    from sslab.modes import by_mode

    bank, queries = by_mode((500, 200), (5000, 1000))
    some = SimpleNamespace(**{name: SimpleNamespace(images=getattr(data, name).images[:count], labels=getattr(data, name).labels[:count])
                              for name, count in (("train", bank), ("validation", queries))})
    return quick_knn(represent, some)


def speed(width: int = WIDTH, batch: int = BATCH, precision: str = "float32", seconds: float = 1.0, device: str | None = None) -> float:
    """Views a second of the whole training loop: the median step of about `seconds` of them."""
    import statistics

    import sslab
    from sslab.modes import by_mode
    from sslab.training.devices import Precision

    batch = by_mode(min(batch, 16), batch)
    name, _, layout = precision.partition("-")
    steps = sslab.train(make(width), sslab.load(DATA), steps=10_000, batch_size=batch, device=device,
                        precision=Precision(name, channels_last=layout == "channels-last"))
    times: list[float] = []
    while len(times) < by_mode(3, 8) or sum(times) < by_mode(0.0, seconds):
        start = time.perf_counter()
        float(next(steps).loss)                                      # a GPU is done when somebody asks for a number
        times.append(time.perf_counter() - start)
    return 2 * batch / statistics.median(times[2:])                  # the first ones make room in memory


# ---- several processes


def two_processes(steps: int = 30, batch: int = 128, width: int = WIDTH) -> dict[str, float]:
    """Train with one process and with two of gloo on this machine's CPU, and compare.

    Returns:
        difference: the largest difference of a loss in float64 between one process and two, as a share of it.
        one: seconds a step of one process on one core. cores: the same on all cores. two: of two processes, which share the cores.
        talk: seconds a step that a process of the two spends in exchanging numbers, waiting for the other one included.
        views: seconds a step for the views, which each of the two makes for the whole batch; one-views, cores-views: of one process.
        bytes: of gradients, sent in each step.
    """
    import torch

    from sslab.modes import by_mode
    from sslab.training.devices import cpu_limit

    settings = {"steps": by_mode(4, steps), "batch": by_mode(16, batch), "width": width, "exact": by_mode(3, 10)}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = _work(settings)
        torch.set_num_threads(cpu_limit())
        cores = _timed(settings)
    finally:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "settings.json").write_text(json.dumps(settings))
        each = max(1, cpu_limit() // 2)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", __spec__.name, folder]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300,
                              env={**os.environ, "OMP_NUM_THREADS": str(each), "PYTHONPATH": os.pathsep.join(filter(None, _paths()))})
        if done.returncode:
            raise RuntimeError(f"torchrun ended with {done.returncode}:\n{done.stderr[-2000:]}")
        both = [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(2)]
    gaps = [abs(a - b) / abs(a) for other in both for a, b in zip(alone["losses"], other["losses"], strict=True)]
    slowest = max(both, key=lambda found: found["step"])
    return {"difference": max(gaps), "one": alone["step"], "cores": cores["step"], "two": slowest["step"], "talk": slowest["talk"],
            "views": slowest["views"], "one-views": alone["views"], "cores-views": cores["views"], "bytes": alone["bytes"]}


def _paths() -> list[str]:
    return [str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]


def _work(settings: dict[str, int]) -> dict[str, Any]:
    """What each process does: a few steps in float64, to compare, and more in float32, to time."""
    import torch

    import sslab

    images = sslab.load(DATA).train.images[:1024].double() / 255
    made = make(8).double()
    steps = sslab.train(made, SimpleNamespace(train=SimpleNamespace(images=images)), steps=settings["exact"], batch_size=settings["batch"],
                        precision="float32", device="cpu")
    losses = [float(step.loss) for step in steps]
    parameters = sum(p.numel() for p in make(settings["width"]).parameters() if p.requires_grad)
    return {"losses": losses, "bytes": 4 * parameters, "threads": torch.get_num_threads(), **_timed(settings)}


def _timed(settings: dict[str, int]) -> dict[str, float]:
    """Seconds a step: all of it, in exchange with other processes, and for views. The first steps are left out."""
    import sslab
    from sslab.objectives import across

    made, spent = make(settings["width"]), {"talk": 0.0, "views": 0.0}
    gather, add, views = across.Group.gather, across.Group.sum_, made.make_views

    def timed(name, function):
        def called(*arguments):
            start = time.perf_counter()
            found = function(*arguments)
            spent[name] += time.perf_counter() - start
            return found
        return called

    across.Group.gather, across.Group.sum_, made.make_views = timed("talk", gather), timed("talk", add), timed("views", views)
    try:
        for step in sslab.train(made, sslab.load(DATA), steps=settings["steps"] + 3, batch_size=settings["batch"], precision="float32",
                                device="cpu"):
            if step.index == 2:
                before = {"step": step.seconds, **spent}
    finally:
        across.Group.gather, across.Group.sum_ = gather, add
    after = {"step": step.seconds, **spent}
    return {name: (after[name] - before[name]) / settings["steps"] for name in after}


# ---- energy


class Meter:
    """Seconds and, where the machine tells, joules of what happens inside: `with Meter() as meter: ...`

    A processor's energy is Linux's counter (RAPL), a GPU's the power that nvidia-smi reads twice a second. RAPL counts all that the
    processor does, also for others. `joules` is None where neither can be read, and `source` says why.
    """

    EVERY = 0.5                                                      # seconds between two readings of nvidia-smi

    def __enter__(self) -> Self:
        self.seconds, self.joules, self.source = 0.0, None, ""
        self._smi = shutil.which("nvidia-smi")
        self._counters = counters()
        self._before = _read(self._counters)
        self._watts: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True) if self._smi else None
        if self._thread:
            self._thread.start()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._ended.set()
        parts = {}
        after = _read(self._counters)
        if self._before and len(after) == len(self._before):
            parts["processor (RAPL)"] = sum((b - a) % wrap for (_, wrap), a, b in zip(self._counters, self._before, after, strict=True)) / 1e6
        if self._thread:
            self._thread.join(timeout=5)
            if self._watts:
                parts["GPU (nvidia-smi)"] = sum(self._watts) / len(self._watts) * self.seconds
        self.joules = sum(parts.values()) if parts else None
        self.source = " + ".join(parts) if parts else ("this processor's counter can be read by root only" if POWERCAP.exists() and not
                                                       self._counters and any(POWERCAP.glob("intel-rapl:*")) else
                                                       "this machine shows no counter of energy")

    def _watch(self) -> None:
        while not self._ended.is_set():
            if (watts := gpu_watts(self._smi)) is not None:
                self._watts.append(watts)
            self._ended.wait(self.EVERY)

    def __repr__(self) -> str:
        if self.joules is None:
            return f"{self.seconds:.1f} s; energy not measured: {self.source}"
        return f"{self.seconds:.1f} s, {self.joules:,.0f} J, on average {self.joules / max(self.seconds, 1e-9):.0f} W; {self.source}"


def counters() -> list[tuple[Path, int]]:
    """The energy counters of this machine's processors that can be read, each with the number at which it begins anew (microjoules)."""
    found = []
    for zone in sorted(POWERCAP.glob("intel-rapl:*")) if POWERCAP.exists() else []:
        if zone.name.count(":") == 1:                                # a whole processor; the others are parts of one
            try:
                int((zone / "energy_uj").read_text())
                found.append((zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()) + 1))
            except (OSError, ValueError):
                continue
    return found


def _read(files: list[tuple[Path, int]]) -> list[int]:
    try:
        return [int(file.read_text()) for file, _ in files]
    except (OSError, ValueError):
        return []


def gpu_watts(smi: str) -> float | None:
    """What all NVIDIA GPUs draw now; None if it cannot be read."""
    try:
        said = subprocess.run([smi, "--query-gpu=power.draw", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=True,
                              timeout=5).stdout
        return sum(map(float, said.split()))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def price(hours: float, watts: float, machines: int = 1, price_hour: float = 0.0, price_kwh: float = 0.0) -> dict[str, float]:
    """A run's hours, kWh and money: what each hour of each machine costs, and its electricity."""
    kwh = hours * watts * machines / 1000
    return {"hours": hours, "kWh": kwh, "money": hours * machines * price_hour + kwh * price_kwh}


# ---- the records, as figures take them


def recorded(settings: dict[float, str], what: str = "probe") -> dict[float, tuple]:
    """Size -> (value, interval) of our runs."""
    from sslab.course import record

    return {size: (record(_of(name, what)).value, record(_of(name, what)).interval) for size, name in settings.items()}


def lines(what: str = "probe") -> dict[str, float]:
    """The controls on the same images and labels; supervised training has the probe only."""
    from sslab.course import record

    found = {"raw pixels": record(f"16/controls/raw-pixels/{what}").value, "random encoder": record(f"16/controls/random-encoder/{what}").value}
    return {**found, **({"supervised": record("16/supervised/probe").value} if what == "probe" else {}), "chance": 0.1}


def recorded_front() -> dict[str, dict[int, tuple[float, float]]]:
    """Width -> steps -> (seconds, probe), of our runs."""
    from sslab.course import record

    return {f"width {width}": {steps: (record(_of(name, "seconds")).value, record(_of(name)).value) for steps in LENGTHS
                               if (name := f"width-{width}-steps-{steps}") in SETTINGS} for width in WIDTHS}


def machine() -> str:
    """The machine that made our runs, as their records say."""
    from sslab.course import record

    made = record(_of(PLAIN))
    return f"{made.device}, torch {made.versions.get('torch', 'unknown')}"


def errors(settings: dict[float, str]) -> dict[float, tuple]:
    """Steps -> (share of wrong neighbours, interval)."""
    found = recorded(settings, "knn")
    return {x: (1 - value, None if ends is None else (1 - ends[1], 1 - ends[0])) for x, (value, ends) in found.items()}


def fit_law(points: dict[float, tuple], fitted: tuple[float, ...], floor: float):
    """The power law above `floor` through some points, as a function of x; its exponent is `law.exponent`."""
    import torch

    from sslab.lab import check

    x = torch.tensor(fitted, dtype=torch.float64)
    y = torch.tensor([points[size][0] for size in fitted], dtype=torch.float64)
    a, b = check.power_law.reference(x, y, floor).tolist()

    def law(at):
        return floor + a * at**-b

    law.exponent = b
    return law


# ---- what a GPU changes


def on_a_gpu(records: dict[str, Any] | None = None) -> str:
    """Views a second on a GPU: on the reader's own, if there is one, and as recorded, if they are."""
    import torch

    from sslab.course.ledger import read

    lines = []
    if torch.cuda.is_available():
        lines.append(f"Yours, {torch.cuda.get_device_name()}, views/s of the whole loop:")
        for batch in (64, 512):
            found = {name: speed(32, batch, name) for name in PRECISIONS}
            lines.append(f"  batch {batch:4}: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in found.items()))
    else:
        lines.append("Yours: there is no CUDA device here, so nothing of a GPU is measured on this machine.")
    records = read().records if records is None else records
    known = {name: record for name, record in records.items() if name.startswith("16/gpu/")}
    if known:
        lines.append(f"Ours, {', '.join(sorted({record.device for record in known.values()}))}:")
        lines += [f"  {name.removeprefix('16/gpu/'):55} {record.value:>12,.2f} {record.unit}" for name, record in sorted(known.items())]
    else:
        lines.append("Ours: not measured for this lesson. `python benchmarks/gpu.py --record` on a machine with a GPU adds it.")
    curve, test = records.get("16/cifar10/validation"), records.get("16/cifar10/test")
    if curve is not None and test is not None:
        lines.append(f"CIFAR-10, ResNet-18, {curve.device}: kNN {curve.value:.3f} on validation after {test.seconds / 60:.0f} min, {test.value:.3f} on test.")
    else:
        lines.append("CIFAR-10 with ResNet-18: not measured. `python benchmarks/cifar10.py --output runs/cifar10 --record` adds it.")
    return "\n".join(lines)


# ---- evidence


@evidence("16/run", seeds=range(3), version=1, unit="accuracy", setting=tuple(SETTINGS))
def runs(seed, setting):
    """A short run of SimCLR on clothes with one thing changed: the probe, the neighbours, the loss, and what it took."""
    found = run(seed, **SETTINGS[setting])
    return {"probe": found.probe, "knn": found.knn, "loss": (found.loss, "nats"), "seconds": (found.seconds, "s")}


@evidence("16/controls", seeds=range(3), version=1, unit="accuracy")
def controls(seed):
    """On the same validation images and labels: raw pixels, and the same encoder untrained."""
    import sslab
    from sslab import evaluation

    data = sslab.load(DATA)
    encoder = evaluation.random_encoder(make(seed=seed).encoder, data.train.images, seed)
    found = {}
    for name, what in (("random-encoder", encoder), ("raw-pixels", evaluation.raw_pixels)):
        table = evaluation.label_efficiency(what, data, (LABELS,), DRAWS, penalties=(0.1,), on="validation")
        found |= {f"{name}/probe": table.mean(LABELS), f"{name}/knn": near(what, data)}
    return found


@evidence("16/supervised", seeds=(0,), version=1, unit="accuracy")
def from_scratch(seed):
    """The same encoder, views and labels, trained from scratch; its settings are chosen on the images that it is read on."""
    import sslab
    from sslab import evaluation, objectives

    data = sslab.load(DATA)
    on_validation = SimpleNamespace(train=data.train, validation=data.validation, test=data.validation, num_classes=data.num_classes)
    table = evaluation.supervised(on_validation, (LABELS,), DRAWS, encoder=make().encoder, views=objectives.views_for("simclr", DATA),
                                  search_draws=1, seed=seed)
    return {"probe": table.mean(LABELS)}


@evidence("16/speed", seeds=range(3), version=1, unit="views/s", precision=PRECISIONS, batch=(16, 64, 256, 1024))
def speeds(seed, precision, batch):
    """The whole loop in each precision and at each batch; the seeds are repetitions."""
    return {"": speed(batch=batch, precision=precision)}


@evidence("16/processes", seeds=range(3), version=1, unit="s")
def processes(seed):
    """One process and two on a CPU; the seeds are repetitions."""
    found = two_processes()
    units = {"difference": "", "bytes": "bytes"}
    return {**{name: (value, units.get(name, "s")) for name, value in found.items()}, "talk-share": (found["talk"] / found["two"], ""),
            "views-share": (found["views"] / found["two"], ""), "speed-up": (found["one"] / found["two"], "times")}


# ---- claims


def _of(setting: str, what: str = "probe") -> str:
    return f"16/run/{setting}/{what}"


@define_claim("16/longer-is-better", "Twenty-seven times as many steps give an encoder of the same width a better probe.",
              evidence=[_of("width-16-steps-1350"), _of("width-16-steps-50")],
              without={_of("width-16-steps-1350"): _of("width-16-steps-50")})
def _(r):
    return beats(r[_of("width-16-steps-1350")], r[_of("width-16-steps-50")])


@define_claim("16/wider-is-better", "At as many steps an encoder four times as wide gives a better probe.",
              evidence=[_of("width-32-steps-450"), _of("width-8-steps-450")],
              without={_of("width-32-steps-450"): _of("width-8-steps-450")})
def _(r):
    return beats(r[_of("width-32-steps-450")], r[_of("width-8-steps-450")])


@define_claim("16/large-batch-loses", "At as many views and the same learning rate, batches of 1,024 give a worse probe than batches of 64.",
              evidence=[_of(PLAIN), _of("batch-1024")], without={_of("batch-1024"): _of(PLAIN)})
def _(r):
    return beats(r[_of(PLAIN)], r[_of("batch-1024")])


@define_claim("16/same-numbers", "In float64 the losses of two processes are those of one, to one part in a million.",
              evidence=["16/processes/difference"], without={"16/processes/difference": 0.01})
def _(r):
    return every(r["16/processes/difference"], lambda value: value < 1e-6)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    mine = _work(json.loads((place / "settings.json").read_text()))
    (place / f"{os.environ['RANK']}.json").write_text(json.dumps(mine))
