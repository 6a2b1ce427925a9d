"""How long and how fast each objective trains on each dataset, chosen on validation images."""

from sslab.modes import by_mode

# Without negatives or decorrelation a fast learner loses directions: these want smaller steps.
LEARNING_RATE = {"byol": 4e-3, "simsiam": 4e-3, "dino": 4e-3}


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
    batch = by_mode(64, 64, 512)                                     # at equal views, many steps beat large batches here
    steps = max(3, round(share * by_mode(6, 1500, 8000)))
    return {"steps": steps, "batch_size": min(batch, images) if images else batch,
            "learning_rate": LEARNING_RATE.get(objective, 8e-3), "weight_decay": 0.3}
