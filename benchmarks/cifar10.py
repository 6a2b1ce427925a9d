"""SimCLR on CIFAR-10 with ResNet-18 and the stem for small images: how good by kNN, and after how many seconds.

    python benchmarks/cifar10.py --output runs/cifar10 [--epochs 200] [--record]

kNN (k = 200) reads validation every few epochs and test once, at the end. Published, for comparison: lightly 84.8 % kNN on test
after 200 epochs in 87 minutes on one A6000; solo-learn 90.7 % by a linear probe after 1,000 epochs.

Without a GPU it measures views a second over --steps steps, and says how long the rest would take and that it was not measured.
With --resume it goes on where it was. --data and --encoder are there to try it on something small.
"""

import argparse
import json
import time
from pathlib import Path

import torch

import sslab
from sslab import encoders, evaluation, objectives
from sslab.training import limit_threads, pick_device
from sslab.training.devices import describe

TARGET = 0.85                                                        # of validation, by kNN


def near(objective, data, part: str, neighbours: int) -> float:
    """kNN accuracy of the encoder on a part, among all training images."""
    bank, queries = (evaluation.features(objective.encoder, getattr(data, name).images) for name in ("train", part))
    found = evaluation.knn(bank, data.train.labels, queries, min(neighbours, len(bank)), temperature=0.1)
    return float((found == getattr(data, part).labels).float().mean())


def train(objective, data, options, device) -> list[dict]:
    """Train to the end; a row for each look at validation, which are also lines of OUTPUT/knn.jsonl."""
    folder = Path(options.output)
    file, checkpoint = folder / "knn.jsonl", folder / "checkpoint.safetensors"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    batches = len(data.train.images) // options.batch
    every = max(1, options.every * batches)
    with open(file, "a", encoding="utf-8") as out:
        for step in sslab.train(objective, data, epochs=options.epochs, batch_size=options.batch, learning_rate=options.learning_rate,
                                seed=options.seed, device=device, precision=options.precision, checkpoint=checkpoint, checkpoint_every=every, resume=options.resume):
            done = step.index + 1
            if done % every and done != step.total or rows and done <= rows[-1]["step"]:
                continue
            row = {"step": done, "epoch": done / batches, "seconds": step.seconds, "loss": float(step.loss),
                   "knn": near(objective, data, "validation", options.neighbours),
                   "views_per_second": done * options.batch * objective.views_per_image / step.seconds}
            rows.append(row)
            out.write(json.dumps(row) + "\n")
            out.flush()
            print(f"epoch {row['epoch']:6.1f}  {row['seconds'] / 60:7.1f} min  kNN {row['knn']:.3f}  {row['views_per_second']:,.0f} views/s",
                  flush=True)
    return rows


def speed(objective, data, options, device) -> float:
    """Views a second over a few steps, the first three left out."""
    start = count = 0
    for step in sslab.train(objective, data, steps=options.steps + 3, batch_size=options.batch, seed=options.seed, device=device,
                            precision=options.precision):
        if step.index == 2:
            start = time.perf_counter()
        count = step.index - 2
    return count * options.batch * objective.views_per_image / (time.perf_counter() - start)


def record(rows: list[dict], test: float, options) -> None:
    """The curve, and what test gave, into notebooks/results.json: notebook 16 shows them."""
    from sslab.course import ledger
    from sslab.course.evidence import where

    book, facts = ledger.read(), where()
    series = {name: [row[name] for row in rows] for name in ("epoch", "seconds", "knn")}
    book.records["16/cifar10/validation"] = ledger.Record(rows[-1]["knn"], unit="accuracy", seeds=(options.seed,), series=series, **facts)
    book.records["16/cifar10/test"] = ledger.Record(test, unit="accuracy", seeds=(options.seed,), seconds=rows[-1]["seconds"], **facts)
    book.write(ledger.folder() / "results.json")


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", help="a folder for checkpoint and measurements; not needed without a GPU")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--encoder", default="resnet18", choices=["resnet18", "conv"])
    parser.add_argument("--epochs", type=float, default=200)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--every", type=int, default=10, help="epochs between two looks at validation")
    parser.add_argument("--neighbours", type=int, default=200)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bf16"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with what is in --output")
    parser.add_argument("--anyway", action="store_true", help="train to the end without a GPU too")
    parser.add_argument("--steps", type=int, default=10, help="without a GPU: how many are timed")
    parser.add_argument("--record", action="store_true", help="the curve into notebooks/results.json")
    options = parser.parse_args(words)
    for name in ("epochs", "batch", "learning_rate", "every", "neighbours", "steps"):
        if not getattr(options, name) > 0:
            parser.error(f"--{name.replace('_', '-')}: got {getattr(options, name)}, takes a number above 0")
    device = pick_device()
    short = device.type != "cuda" and not options.anyway
    if not short and not options.output:
        parser.error("--output: got nothing, takes a folder, such as runs/cifar10")
    if options.output and not short:
        folder = Path(options.output)
        if (folder / "checkpoint.safetensors").exists() and not options.resume:
            parser.error(f"--output: {folder} has a run already; add --resume to go on with it, or name another folder")
        folder.mkdir(parents=True, exist_ok=True)
    limit_threads()
    data = sslab.load(options.data)
    torch.manual_seed(options.seed)
    encoder = encoders.create(options.encoder, data)
    objective = objectives.create("simclr", encoder, views=objectives.views_for("simclr", options.data), temperature=0.2)
    print(f"{describe(device)}: SimCLR on {options.data}, {options.encoder}, batch {options.batch}", flush=True)
    if short:
        found = speed(objective, data, options, device)
        views = options.epochs * (len(data.train.images) // options.batch) * options.batch * objective.views_per_image
        print(f"No GPU here: {found:,.0f} views/s over {options.steps} steps. {options.epochs:g} epochs would be {views / found / 3600:,.0f} hours "
              "at that rate; accuracy and time were not measured.")
        return 0
    rows = train(objective, data, options, device)
    reached = next((row for row in rows if row["knn"] >= TARGET), None)
    when = f"after {reached['seconds'] / 60:.1f} min, epoch {reached['epoch']:.0f}" if reached else "not reached"
    test = near(objective, data, "test", options.neighbours)
    best = max(row["knn"] for row in rows)
    print(f"{TARGET:.0%} kNN on validation: {when}. At the end {rows[-1]['knn']:.3f} (highest {best:.3f}) in {rows[-1]['seconds'] / 60:.1f} min; "
          f"test, read once: {test:.3f}")
    if options.record:
        record(rows, test, options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
