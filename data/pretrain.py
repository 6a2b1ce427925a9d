"""Train the checkpoints that lie here, and write them with the record of how they were made.

    python data/pretrain.py bert                # train, or go on from runs/pretrain/, and say what came out
    python data/pretrain.py bert --write        # ... and replace the file here, and its line in SHA256SUMS

Each took 40 to 50 minutes on one CPU core with other work beside it. Killed, it goes on from its last 200 steps; called again, it trains no more.
"""

import argparse
import json
import platform
from pathlib import Path

import torch
from rebuild import write

import sslab
from sslab import evaluation, objectives
from sslab.course.evidence import where
from sslab.training import checkpoint
from sslab.training.pretrained import dumps, file_name

SETTINGS = {
    "bert": {"dataset": "wordnet", "knobs": {"dynamic": True, "mask_share": 0.3},
             "run": {"steps": 9000, "batch_size": 128, "learning_rate": 2e-3, "weight_decay": 0.05}},
    "gpt": {"dataset": "passages", "knobs": {},
            "run": {"steps": 5500, "batch_size": 32, "learning_rate": 3e-3, "weight_decay": 0.1}},
}
READINGS = 20


def reading(made, data) -> float:
    """What the curve shows: of hidden words the share among the first five, or bits per character; on validation texts."""
    if made.title == "GPT":
        return evaluation.bits_per_character(made, data, "validation", windows=400)
    return evaluation.masked_accuracy(made, data, "validation", top=(5,), words=2000)[5]


def train(name: str) -> bytes:
    settings = SETTINGS[name]
    data = sslab.load(settings["dataset"])
    torch.manual_seed(0)
    made = objectives.create(name, objectives.encoder_for(name, data), **settings["knobs"])
    part, log = (Path("runs/pretrain") / f"{name}.{kind}" for kind in ("safetensors", "json"))
    run = settings["run"]
    curve = json.loads(log.read_text()) if part.exists() and log.exists() else {"step": [], "seconds": [], "value": []}
    for step in sslab.train(made, data, seed=0, precision="float32", checkpoint=part, checkpoint_every=200, resume=True, **run):
        done = step.index + 1
        if done % max(1, run["steps"] // READINGS) == 0 or done in (50, 100, 200):
            for column, value in {"step": done, "seconds": round(checkpoint.read(part)[1]["seconds"]), "value": round(reading(made, data), 4)}.items():
                curve[column].append(value)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(json.dumps(curve))
            print(done, f"{step.seconds:.0f} s", curve["value"][-1], flush=True)
    return dumps(made, {"objective": name, "dataset": data.name, "command": f"python data/pretrain.py {name} --write",
                        "run": {**run, "seed": 0, "precision": "float32"}, "seconds": round(checkpoint.read(part)[1]["seconds"]),
                        "threads": torch.get_num_threads(), "python": platform.python_version(), **where(),
                        "measure": "bits per character" if name == "gpt" else "share of hidden words among the first five",
                        "curve": curve})


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("name", choices=SETTINGS)
    parser.add_argument("--write", action="store_true", help="replace the file here, and its line in SHA256SUMS")
    options = parser.parse_args()
    content = train(options.name)
    name = file_name(options.name, SETTINGS[options.name]["dataset"])
    print(f"{name}: {len(content):,} bytes")
    if options.write:
        write({name: content})


if __name__ == "__main__":
    main()
