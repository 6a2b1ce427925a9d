"""How long and how fast each objective trains on each dataset, chosen on validation images."""

from sslab._inputs import takes
from sslab.modes import by_mode

STEPS, BATCH = 1500, 64                                              # in class mode: at equal views, many steps beat large batches

# What differs from 1,500 steps of 64 pictures at learning rate 8e-3 and weight decay 0.3, in class mode.
SETTINGS = {
    # Without negatives or decorrelation a fast learner loses directions: these want smaller steps.
    "byol": {"learning_rate": 4e-3}, "simsiam": {"learning_rate": 4e-3}, "dino": {"learning_rate": 4e-3},
    # A decoder needs all of its weights.
    "autoencoder": {"learning_rate": 6e-3, "weight_decay": 1e-4}, "denoising": {"learning_rate": 6e-3, "weight_decay": 1e-4},
    "vae": {"learning_rate": 6e-3, "weight_decay": 1e-4},
    "rotation": {"batch_size": 32, "steps": 750},                    # each picture four times
    "jigsaw": {"steps": 600}, "colourisation": {"steps": 450},       # as in the trials
    "mae": {"learning_rate": 4e-3, "weight_decay": 0.05},
    "ijepa": {"learning_rate": 2e-3, "weight_decay": 0.05, "steps": 600},            # its teacher sees whole pictures
    # Texts, so many tokens a step. RoBERTa takes larger batches. BERT at 4e-3 does not get past the frequent words.
    "bert": {"learning_rate": 2e-3, "weight_decay": 0.05, "tokens": 4096, "steps": 800},
    "roberta": {"learning_rate": 3e-3, "weight_decay": 0.05, "tokens": 8192, "steps": 400},
    "gpt": {"learning_rate": 3e-3, "weight_decay": 0.1, "tokens": 4096, "steps": 500},
    # Pairs: as many seen in batches of 64 or 256 find fewer names of a vendor that is held out.
    "clip": {"learning_rate": 1e-3, "weight_decay": 0.2, "batch_size": 128, "steps": 1000},
    "siglip": {"learning_rate": 1e-3, "weight_decay": 0.2, "batch_size": 128, "steps": 1000},
}
ROW = {"wordnet": 32}                                                # tokens in a row of text, where it is not 128


@takes(images=">= 1", share="> 0")
def recipe(objective: str, dataset: str, images: int | None = None, share: float = 1.0) -> dict:
    """Keyword arguments for `train` in the mode in force.

    Args:
        objective, dataset: their names.
        images: how many training images there are, where that may be fewer than a batch.
        share: of the usual number of steps; 0.25 for a quick look.
    Raises:
        ValueError: `share` is not above 0.
    """
    if not share > 0:
        raise ValueError(f"share: got {share}, takes a number above 0")
    settings = {"steps": STEPS, "batch_size": BATCH, "learning_rate": 8e-3, "weight_decay": 0.3, **SETTINGS.get(objective, {})}
    if tokens := settings.pop("tokens", None):
        settings["batch_size"] = tokens // ROW.get(dataset, 128)
    batch = by_mode(settings["batch_size"], settings["batch_size"], 512)
    steps = max(3, round(share * by_mode(6, settings["steps"], 8000)))
    return {**settings, "steps": steps, "batch_size": min(batch, images) if images else batch}
