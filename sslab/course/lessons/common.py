"""What the lessons' evidence shares: one pretraining run, and one probe of it."""

import time


def pretrain(dataset_name: str, seed: int, share: float = 1.0, views=None, batch_size: int | None = None, **knobs):
    """Train SimCLR by the recipe -> (objective, dataset, {"seconds", "views_per_second"}).

    Args:
        share: of the recipe's steps. views: an Augment, the dataset's own if None.
        batch_size: the recipe's if None; another one trains on as many views, in more or fewer steps.
    """
    import torch

    import sslab
    from sslab.views import Augment

    dataset = sslab.load(dataset_name)
    options = sslab.recipe("simclr", dataset_name, share=share)
    if batch_size is not None:
        options["steps"] = max(1, round(options["steps"] * options["batch_size"] / batch_size))
        options["batch_size"] = batch_size
    torch.manual_seed(seed)
    encoder = sslab.encoders.create("conv", dataset)
    objective = sslab.objectives.create("simclr", encoder, views=views or Augment.named(dataset_name), **knobs)
    start = time.perf_counter()
    for step in sslab.train(objective, dataset, seed=seed, **options):
        pass
    seconds = time.perf_counter() - start
    rate = 2 * options["batch_size"] * options["steps"] / seconds
    return objective, dataset, {"seconds": (seconds, "s"), "views_per_second": (rate, "views/s"), "loss": (float(step.loss), "nats")}


def projections(objective, images):
    """What the loss sees of some images, in eval mode: [N, P]."""
    import torch

    from sslab.evaluation import evaluating

    with torch.no_grad(), evaluating(objective):
        return objective.projector(objective.encoder(images)).float()


def quick_probe(objective, dataset, per_class: int = 5, draws: int = 5) -> float:
    """Validation accuracy of a linear probe of the encoder with a few labels."""
    from sslab.evaluation import label_efficiency

    return label_efficiency(objective.encoder, dataset, (per_class,), draws, penalties=(0.1,), on="validation").mean(per_class)
