"""The control that hurts most: the same encoder, the same labels, the same views, trained from scratch."""

from collections.abc import Callable, Sequence
from functools import partial

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
        objective = Supervised(fresh, views_of(dataset, views), classes=dataset.num_classes)
    return train_on_rows(objective, dataset, rows, seed, batch_size, **options)


def views_of(dataset, views: Augment | None) -> Augment | None:
    """Texts have none."""
    return views if inputs_of(dataset.train).ndim == 4 else Augment.named("none")


def train_on_rows(objective: Supervised, dataset, rows: torch.Tensor, seed: int = 0, batch_size: int = 64, **options) -> Supervised:
    """Train it on the training examples at `rows` [n] only; they are repeated until a batch is full."""
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
    fit = partial(train_supervised, dataset, encoder=encoder, views=views)
    return best_of_search("supervised", fit, dataset, labels_per_class, draws, search, search_draws, seed)


def best_of_search(name: str, fit: Callable[..., Supervised], dataset, labels_per_class: tuple[int, ...], draws: int,
                   search: Sequence[dict], search_draws: int = 2, seed: int = 0) -> Efficiency:
    """Networks trained on few labels, their settings chosen for each budget on validation: see `supervised`.

    Args:
        name: of the result.
        fit: called with rows [n] of the training split, seed=... and the options of one entry of `search`.
    """
    result = Efficiency(name)
    for budget in labels_per_class:
        best = best_settings(fit, dataset, budget, search, search_draws, seed)
        result.fixed[budget] = [accuracy(fit(draw_labels(dataset.train.labels, budget, draw), seed=seed + draw, **best), dataset.test)
                                for draw in range(draws)]
        result.generous[budget] = result.fixed[budget]
    return result


def best_settings(fit: Callable[..., Supervised], dataset, budget: int, search: Sequence[dict], draws: int = 2, seed: int = 0) -> dict:
    """The entry of `search` that does best on validation, with draws of labels that are not among those reported."""
    if len(search) == 1:
        return search[0]
    scores = {}
    for number, options in enumerate(search):
        tried = [fit(draw_labels(dataset.train.labels, budget, 1000 + draw), seed=seed, **options) for draw in range(draws)]
        scores[number] = sum(accuracy(objective, dataset.validation) for objective in tried)
    return search[max(scores, key=scores.get)]


class _Labelled:
    """A dataset whose training split is a few labelled images."""

    def __init__(self, dataset, rows: torch.Tensor) -> None:
        self.train = type(dataset.train)(inputs_of(dataset.train)[rows], dataset.train.labels[rows],
                                         dataset.train.indices[rows])
