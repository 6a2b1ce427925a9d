"""Train the checkpoints that lie here, and write them with the record of how they were made.

    python data/pretrain.py bert                  # train, or go on from runs/pretrain/, and say what came out
    python data/pretrain.py simclr vae --write    # ... and replace the files here, and their lines in SHA256SUMS

Each text took 40 to 50 minutes on one CPU core with other work beside it, each image method some minutes on two. Killed, it
goes on from its last 200 steps; called again, it trains no more.
"""

import argparse
import json
import platform
from pathlib import Path

import torch
from rebuild import write

import sslab
from sslab import evaluation
from sslab.course.evidence import where
from sslab.runs import make_objective
from sslab.training import checkpoint, recipe
from sslab.training.pretrained import dumps, file_name

SETTINGS = {
    "bert": {"dataset": "wordnet", "knobs": {"dynamic": True, "mask_share": 0.3},
             "run": {"steps": 9000, "batch_size": 128, "learning_rate": 2e-3, "weight_decay": 0.05}},
    "gpt": {"dataset": "passages", "knobs": {},
            "run": {"steps": 5500, "batch_size": 32, "learning_rate": 3e-3, "weight_decay": 0.1}},
}
# With the recorded runs the image methods may take 12 MB. Three times the recipe's steps.
for objective, dataset in {"simclr": "fashion", "simsiam": "fashion", "vicreg": "fashion", "mae": "fashion", "vae": "digits"}.items():
    SETTINGS[objective] = {"dataset": dataset, "knobs": {}, "run": recipe(objective, dataset, share=3)}
READINGS, NEIGHBOURS = 20, 20


def reading(name: str, made, data) -> float:
    """What the curve shows, on the validation part: see `measure`."""
    if name == "gpt":
        return evaluation.bits_per_character(made, data, "validation", windows=400)
    if name == "bert":
        return evaluation.masked_accuracy(made, data, "validation", top=(5,), words=2000)[5]
    bank, queries = (evaluation.features(made.encoder, part.images) for part in (data.train, data.validation))
    return (evaluation.knn(bank, data.train.labels, queries, NEIGHBOURS) == data.validation.labels).float().mean().item()


def measure(name: str) -> str:
    return {"gpt": "bits per character", "bert": "share of hidden words among the first five"}.get(
        name, f"kNN accuracy, {NEIGHBOURS} neighbours among the training images")


def train(name: str) -> bytes:
    settings = SETTINGS[name]
    data = sslab.load(settings["dataset"])
    made = make_objective(name, data)                                # weights drawn from seed 0
    made.set(**settings["knobs"])
    part, log = (Path("runs/pretrain") / f"{name}.{kind}" for kind in ("safetensors", "json"))
    run = settings["run"]
    curve = json.loads(log.read_text()) if part.exists() and log.exists() else {"step": [], "seconds": [], "value": []}
    for step in sslab.train(made, data, seed=0, precision="float32", checkpoint=part, checkpoint_every=200, resume=True, **run):
        done = step.index + 1
        if done % max(1, run["steps"] // READINGS) == 0 or done in (50, 100, 200):
            for column, value in {"step": done, "seconds": round(step.seconds), "value": round(reading(name, made, data), 4)}.items():
                curve[column].append(value)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(json.dumps(curve))
            print(done, f"{step.seconds:.0f} s", curve["value"][-1], flush=True)
    return dumps(made, {"objective": name, "dataset": data.name, "command": f"python data/pretrain.py {name} --write",
                        "run": {**run, "seed": 0, "precision": "float32"}, "seconds": round(checkpoint.read(part)[1]["seconds"]),
                        "threads": torch.get_num_threads(), "python": platform.python_version(), **where(),
                        "measure": measure(name), "curve": curve})


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("names", metavar="name", choices=SETTINGS, nargs="+")
    parser.add_argument("--write", action="store_true", help="replace the files here, and their lines in SHA256SUMS")
    options = parser.parse_args()
    for name in options.names:
        content, file = train(name), file_name(name, SETTINGS[name]["dataset"])
        print(f"{file}: {len(content):,} bytes")
        if options.write:
            write({file: content})


if __name__ == "__main__":
    main()
