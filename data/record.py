"""Record the runs that lie here in replays.zip: every image method as it comes, and broken in one way.

    python data/record.py                       # those that runs/replays/ does not have yet
    python data/record.py --only simsiam vicreg
    python data/record.py --write               # ... and put all of them into replays.zip, with its line in SHA256SUMS

A fifth of the recipe's steps each, half a minute on two CPU cores. Killed, it goes on with the next one.
"""

import argparse
import io
import zipfile
from pathlib import Path

from rebuild import write

from sslab.lab import Lab, record
from sslab.lab.replay import ARCHIVE
from sslab.training import recipe

SHARE, MOMENTS = 0.2, 36
FOLDER = Path("runs/replays")
# objective: (dataset, {name of a setting: (knobs set at the start, knobs turned when a share of the steps is done)})
SETTINGS = {
    "simclr": ("digits", {"temperature-5": ({"temperature": 5.0}, {}), "positives-shuffled": ({"positives_shuffled": True}, {})}),
    "moco": ("digits", {"no-negatives": ({"negatives": False}, {})}),
    "byol": ("digits", {"no-predictor": ({"predictor_on": False}, {})}),
    "simsiam": ("digits", {"no-stop-gradient": ({"stop_gradient": False}, {}),
                           "stop-gradient-off-halfway": ({}, {0.5: {"stop_gradient": False}})}),
    "dino": ("digits", {"no-centring": ({"centring": False}, {})}),
    "swav": ("digits", {"not-balanced": ({"balanced": False}, {})}),
    "barlow_twins": ("digits", {"no-decorrelation": ({"decorrelate": False}, {})}),
    "vicreg": ("digits", {"no-variance": ({"variance": 0.0}, {}), "no-covariance": ({"covariance": 0.0}, {})}),
    "lejepa": ("digits", {"no-gaussian": ({"gaussian_weight": 0.0}, {})}),
    "autoencoder": ("digits", {}),
    "denoising": ("digits", {"noisy-target": ({"target_noisy": True}, {})}),
    "vae": ("digits", {"beta-20": ({"beta": 20.0}, {}), "no-sampling": ({"sampling": False}, {})}),
    "mae": ("fashion", {"mask-ratio-0.25": ({"mask_ratio": 0.25}, {})}),
    "ijepa": ("fashion", {"no-stop-gradient": ({"stop_gradient": False}, {})}),
    "rotation": ("fashion", {}),
    "jigsaw": ("fashion", {"no-gap": ({"gap": 0.0}, {})}),
    "colourisation": ("emoji", {"not-rebalanced": ({"rebalance": 0.0}, {})}),
    "supervised": ("digits", {}),
}


def make(objective: str, dataset: str, setting: str, knobs: dict, later: dict) -> None:
    path = FOLDER / f"{'_'.join(filter(None, (objective.replace('_', '-'), dataset, setting)))}.replay"
    if path.exists():
        return
    options = recipe(objective, dataset, share=SHARE)
    lab = Lab(objective, dataset, **options)
    lab.set(**knobs)
    made = record(lab, path, MOMENTS, {round(share * options["steps"]): turned for share, turned in later.items()})
    print(path.name, f"{path.stat().st_size:,} bytes, {made.header['seconds']:.0f} s of training:", lab.status, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=SETTINGS, help="of these objectives")
    parser.add_argument("--write", action="store_true", help="put all that is there into replays.zip, and SHA256SUMS")
    options = parser.parse_args()
    for objective in options.only:
        dataset, settings = SETTINGS[objective]
        for setting, (knobs, later) in {"": ({}, {}), **settings}.items():
            make(objective, dataset, setting, knobs, later)
    if options.write:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:                  # stored: they are compressed
            for path in sorted(FOLDER.glob("*.replay")):
                archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
        print(f"{ARCHIVE}: {len(file.getvalue()):,} bytes")
        write({ARCHIVE: file.getvalue()})


if __name__ == "__main__":
    main()
