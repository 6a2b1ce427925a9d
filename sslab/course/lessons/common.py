"""What the lessons' evidence shares: one pretraining run, and what is read off it."""

BUDGETS, DRAWS = (1, 5, 20, 100), 10                                # labels a class on the boards, draws of them
SHORT = 0.3                                                         # of the recipe's steps, so that a class can repeat it


def options_for(objective: str, dataset_name: str, share: float = 1.0, batch_size: int | None = None) -> dict:
    """The recipe's options for `train`; another batch_size sees as many views, in more or fewer steps."""
    import sslab

    options = sslab.recipe(objective, dataset_name, share=share)
    if batch_size is not None:
        options["steps"] = max(1, round(options["steps"] * options["batch_size"] / batch_size))
        options["batch_size"] = batch_size
    return options


def pretrain(dataset_name: str, seed: int, objective: str = "simclr", share: float = 1.0, views=None,
             batch_size: int | None = None, **knobs):
    """Train an objective by its recipe, in float32 on any device -> (objective, dataset, step): the last step taken.

    Args:
        share: of the recipe's steps. views: an Augment, the dataset's own if None.
        batch_size: the recipe's if None; another one trains on as many views, in more or fewer steps.
    """
    import torch

    import sslab

    dataset = sslab.load(dataset_name)
    options = options_for(objective, dataset_name, share, batch_size)
    torch.manual_seed(seed)
    encoder = sslab.objectives.encoder_for(objective, dataset)
    made = sslab.objectives.create(objective, encoder, views=views or sslab.objectives.views_for(objective, dataset_name),
                                   **knobs)
    for step in sslab.train(made, dataset, seed=seed, precision="float32", **options):
        pass
    return made, dataset, step


def projections(objective, images):
    """What the loss sees of some images, in eval mode: [N, P]."""
    import torch

    from sslab.evaluation import evaluating

    with torch.no_grad(), evaluating(objective):
        device = next(objective.parameters()).device
        return objective.project(objective.encoder(images.to(device))).float().cpu()


def board_row(encoder, data) -> dict:
    """What every method's row on a board has, on test images: the probe by labels a class, kNN, the rank of h."""
    from sslab import evaluation
    from sslab.datasets.base import PARTS
    from sslab.evaluation.labels import as_dataset

    h = {name: evaluation.features(encoder, getattr(data, name).images) for name in PARTS}      # once, for probe and neighbours
    table = evaluation.label_efficiency(lambda features: features, as_dataset(data, h), BUDGETS, DRAWS, penalties=(0.1,))
    near = evaluation.knn(h["train"], data.train.labels, h["test"])
    return {**{str(budget): table.fixed[budget] for budget in BUDGETS}, "knn": float((near == data.test.labels).float().mean()),
            "effective-rank-h": (float(evaluation.effective_rank(h["test"])), "directions")}


def quick_probe(objective, dataset, per_class: int = 5, draws: int = 5) -> float:
    """Validation accuracy of a linear probe of the encoder with a few labels."""
    from sslab.evaluation import label_efficiency

    return label_efficiency(objective.encoder, dataset, (per_class,), draws, penalties=(0.1,), on="validation").mean(per_class)


def quick_knn(represent, data) -> float:
    """kNN accuracy of an encoder, or of a function of images: 1,000 validation images among 5,000 training images."""
    import torch

    from sslab import evaluation

    embed = (lambda images: evaluation.features(represent, images)) if isinstance(represent, torch.nn.Module) else represent
    bank, queries = embed(data.train.images[:5000]), embed(data.validation.images[:1000])
    return float((evaluation.knn(bank, data.train.labels[:5000], queries) == data.validation.labels[:1000]).float().mean())


def measure(seed: int, objective: str = "simclr", dataset: str = "digits", share: float = SHORT, **options) -> dict:
    """A short run, and what it did: to the probe (validation, 5 labels a class), kNN, spread and rank of z and h, the loss.

    Prototypes in use (as a perplexity) come with the methods that have some.
    """
    import torch

    from sslab import evaluation
    from sslab.objectives import prototypes_used

    made, data, step = pretrain(dataset, seed, objective, share=share, **options)
    z, h = projections(made, data.validation.images[:1000]), evaluation.features(made.encoder, data.validation.images[:1000])
    rows = {"probe": (quick_probe(made, data), "accuracy"), "knn": (quick_knn(made.encoder, data), "accuracy"),
            "loss": (float(step.loss), "nats"), "std": (float(evaluation.feature_std(z)), "std sqrt(D)"),
            "effective-rank": (float(evaluation.effective_rank(z)), "directions"),
            "effective-rank-h": (float(evaluation.effective_rank(h)), "directions")}
    if hasattr(made, "prototypes"):
        with torch.no_grad():
            used = prototypes_used(made.prototypes(z.to(made.prototypes.weight)))
        rows["prototypes-used"] = (float(used), "prototypes")
    return rows
