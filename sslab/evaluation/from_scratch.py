"""The control that hurts most: the same encoder, the same labels, the same views, trained from scratch."""

import torch

from sslab import encoders
from sslab.datasets.base import inputs_of
from sslab.evaluation.features import features
from sslab.evaluation.labels import Efficiency, _some, draw_labels
from sslab.modes import by_mode
from sslab.objectives import Supervised
from sslab.training import train
from sslab.views import Augment

# What is tried on validation before the draws are run; wide enough that the best is inside on digits and fashion.
SEARCH = tuple({"learning_rate": rate, "steps": steps, "weight_decay": decay}
               for rate, steps in ((1e-3, 150), (3e-3, 150), (3e-3, 300), (8e-3, 300)) for decay in (1e-4, 0.3))


def train_supervised(dataset, rows: torch.Tensor, encoder: str | encoders.Encoder = "conv", views: Augment | None = None,
                     seed: int = 0, batch_size: int = 64, **options) -> Supervised:
    """Train an encoder and a linear head from scratch on the training images at `rows` [n].

    Args:
        dataset: with labels; `rows` index its training split.
        encoder: a name from `sslab.encoders.names()`, or an Encoder: another one of its architecture, untrained, is used.
        views: as SimCLR's; each image is repeated with views of its own until a batch is full.
        options: for `train`: learning_rate, steps, ...
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = encoders.create(encoder, dataset) if isinstance(encoder, str) else encoder.fresh()
        objective = Supervised(fresh, views, classes=dataset.num_classes)
    for _ in train(objective, _Labelled(dataset, rows), batch_size=batch_size, seed=seed, **options):
        pass
    return objective


@torch.no_grad()
def accuracy(objective: Supervised, split) -> float:
    """Share of a split's images that the trained network classifies right."""
    images, labels = _some(split)
    logits = objective.head(features(objective.encoder, images).to(objective.head.weight.device))
    return float((logits.argmax(dim=1).cpu() == labels).float().mean())


def supervised(dataset, labels_per_class: tuple[int, ...] = (1, 5, 20, 100), draws: int = 10,
               encoder: str | encoders.Encoder = "conv", views: Augment | None = None, search: tuple[dict, ...] | None = None,
               search_draws: int = 2, seed: int = 0) -> Efficiency:
    """Supervised from scratch by labels per class, on the same draws as the probes.

    Learning rate and length are chosen for each budget on the whole validation split, more labels than the budget
    allows: this control is generous to itself. The draws of the search are not among those reported.
    """
    search = search or by_mode(({"learning_rate": 1e-3, "steps": 4},), SEARCH)
    result = Efficiency("supervised")
    for budget in labels_per_class:
        best = search[0]
        if len(search) > 1:
            scores = {}
            for number, options in enumerate(search):
                tried = [train_supervised(dataset, draw_labels(dataset.train.labels, budget, 1000 + draw), encoder,
                                          views, seed, **options) for draw in range(search_draws)]
                scores[number] = sum(accuracy(objective, dataset.validation) for objective in tried)
            best = search[max(scores, key=scores.get)]
        result.fixed[budget] = [
            accuracy(train_supervised(dataset, draw_labels(dataset.train.labels, budget, draw), encoder, views,
                                      seed + draw, **best), dataset.test) for draw in range(draws)]
        result.generous[budget] = result.fixed[budget]
    return result


class _Labelled:
    """A dataset whose training split is a few labelled images."""

    def __init__(self, dataset, rows: torch.Tensor) -> None:
        self.train = type(dataset.train)(inputs_of(dataset.train)[rows], dataset.train.labels[rows],
                                         dataset.train.indices[rows])
