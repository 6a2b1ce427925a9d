"""SimCLR end to end, against its encoder alone and against lightly, taking turns in one run.

    python benchmarks/throughput.py [--dataset digits fashion emoji] [--rounds 3] [--no-lightly]

End to end is `sslab.train`: views, forward, backward, step. The encoder alone is its forward and backward on
views that are there already, in the same precision and layout: no pipeline beats it. Their steps alternate.
The views are those of lightly's SimCLRTransform, or with --views preset the lab's own for that dataset.

lightly is its documented pipeline (SimCLRTransform, DataLoader with 2 workers, NTXentLoss, float32), with the
same encoder, batch, images, optimiser, threads; --lightly-precision same gives it our precision and layout.
It lives in benchmarks/.lightly-venv, made on first use: several GB, since it needs torchvision and that needs
torch's default build.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import tempfile
import time
import venv
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "2000")          # for both sides: see benchmarks/README.md

import numpy as np
import torch

import sslab
from sslab import encoders, objectives
from sslab.training import choose_precision, limit_threads
from sslab.training.devices import autocast, place
from sslab.views import Augment

HERE = Path(__file__).resolve().parent
VENV = HERE / ".lightly-venv"
PACKAGES = ("torch==2.14.1", "torchvision==0.29.1", "lightly==1.6.0")
# The strengths of SimCLRTransform().
SIMCLR = {"crop": 0.08, "flip": 0.5, "colour": 0.8, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8,
          "hue": 0.2, "greyscale": 0.2, "blur": 0.5, "blur_sigma": 2}
BATCH = 512


def lightly_python() -> Path:
    """The Python that has lightly, installed if it is not there."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (VENV / "complete").exists():
        print(f"making {VENV} (several GB) ...", flush=True)
        venv.create(VENV, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (VENV / "complete").touch()
    return python


def lightly(images: Path, precision, steps: int) -> float:
    """Views a second of lightly's pipeline in a process of its own, after the loader's stock of 4 batches."""
    settings = {"batch": BATCH, "threads": torch.get_num_threads(), "warmup": 6, "steps": steps,
                "precision": precision.name if precision else "float32",
                "channels_last": bool(precision and precision.channels_last)}
    command = [lightly_python(), HERE / "_lightly.py", images, json.dumps(settings)]
    run = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE,
                         env={**os.environ, "PYTHONPATH": str(HERE.parent)})
    return json.loads(run.stdout.splitlines()[-1])["views_per_second"]


class Ours:
    """Our training, and the same encoder alone, a step of each at a time."""

    def __init__(self, name: str, dataset, augment: Augment) -> None:
        encoder = encoders.create("conv", dataset)
        batch = dataset.train.images[:BATCH]
        self.precision = choose_precision(encoder, batch)
        self.device = torch.device("cpu")
        self.alone = place(copy.deepcopy(encoder), self.device, self.precision).train()
        twice = torch.cat([batch, batch])
        self.views = augment(twice, torch.Generator().manual_seed(0))
        self.steps = sslab.train(objectives.create("simclr", encoder, views=augment), dataset, steps=10**6,
                                 batch_size=BATCH, precision=self.precision, device=self.device)

    def end_to_end(self) -> None:
        next(self.steps)

    def encoder_alone(self) -> None:
        with autocast(self.device, self.precision):
            out = self.alone(self.views)
        out.float().square().mean().backward()
        self.alone.zero_grad()


def clock(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", default=["digits", "fashion", "emoji"])
    parser.add_argument("--views", choices=["simclr", "preset"], default="simclr")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="of each contestant, a round")
    parser.add_argument("--no-lightly", action="store_true")
    parser.add_argument("--lightly-precision", choices=["documented", "same"], default="documented")
    options = parser.parse_args()
    limit_threads()
    for name in options.dataset:
        dataset = sslab.load(name)
        ours = Ours(name, dataset, Augment(**SIMCLR) if options.views == "simclr" else Augment.named(name))
        for _ in range(3):
            ours.end_to_end(), ours.encoder_alone()
        whole, alone, theirs = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            images = Path(folder) / "images.npy"
            np.save(images, dataset.train.images.numpy())
            for _ in range(options.rounds):
                for _ in range(options.steps):
                    whole.append(2 * BATCH / clock(ours.end_to_end))
                    alone.append(2 * BATCH / clock(ours.encoder_alone))
                if not options.no_lightly:
                    precision = ours.precision if options.lightly_precision == "same" else None
                    theirs.append(lightly(images, precision, options.steps))
        rate, limit = statistics.median(whole), statistics.median(alone)
        share = statistics.median(w / a for w, a in zip(whole, alone))
        how = ours.precision.name + ", channels_last" * ours.precision.channels_last
        print(f"{name}, {options.views} views, batch {BATCH}, {how}, {torch.get_num_threads()} threads: "
              f"end to end {rate:,.0f} views/s, encoder alone {limit:,.0f}: {share:.1%}", flush=True)
        if theirs:
            theirs_rate = statistics.median(theirs)
            each = ", ".join(f"{x:,.0f}" for x in theirs)
            ratio = rate / theirs_rate
            print(f"    lightly {theirs_rate:,.0f} views/s ({each}): ours is {ratio:.2f} times as fast",
                  flush=True)


if __name__ == "__main__":
    main()
