"""A pretrained encoder trained further on a few labels, with a linear head: the other honest way to use it."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sslab._names import choose
from sslab.datasets.base import inputs_of
from sslab.evaluation.features import features
from sslab.evaluation.from_scratch import best_of_search, train_on_rows, views_of
from sslab.evaluation.labels import FIXED_PENALTY, Efficiency, some_inputs
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.probe import Scaling
from sslab.modes import by_mode
from sslab.objectives import Supervised
from sslab.views import Augment

HEADS = ("linear probe", "untrained")
# What is tried on validation before the draws are run.
SEARCH = tuple({"learning_rate": rate, "steps": steps, "weight_decay": 0.05} for rate in (3e-4, 1e-3) for steps in (60, 150))


def fine_tune(encoder: nn.Module, dataset, rows: Tensor, views: Augment | None = None, seed: int = 0, batch_size: int = 64,
              head: str = "linear probe", **options) -> Supervised:
    """Train a copy of a pretrained encoder, all of it, with a linear head, on the training examples at `rows` [n].

    A head that begins untrained sends noise back into a good encoder before it has learned anything itself; so it begins
    as a linear probe of the frozen encoder (linear probing, then fine-tuning).

    Args:
        encoder: not changed.
        dataset: with labels; `rows` index its training split.
        views: of pictures; texts have none.
        batch_size: the examples are repeated until a batch is full.
        head: how it begins: "linear probe", or "untrained".
        options: for `train`: learning_rate, steps, ...
    Returns:
        Supervised; `accuracy(it, dataset.test)` says how good it is.
    Source:
        Kumar et al. 2022, arXiv:2202.10054.
    """
    choose(head, HEADS, "head")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        objective = Supervised(copy.deepcopy(encoder), views_of(dataset, views), classes=dataset.num_classes)
    if head == "linear probe":
        _begin_as_probe(objective, dataset, rows)
    return train_on_rows(objective, dataset, rows, seed, batch_size, **options)


@torch.no_grad()
def _begin_as_probe(objective: Supervised, dataset, rows: Tensor) -> None:
    """The head of a linear probe of the encoder on the same labels, at unit variance; the scaling goes into its weights."""
    inputs = inputs_of(dataset.train)
    scaling = Scaling.of(features(objective.encoder, some_inputs(dataset.train)))           # "global": one factor for all features
    x, y = scaling(features(objective.encoder, inputs[rows])), dataset.train.labels[rows]
    weights, biases = fit_logistic(x, y, (FIXED_PENALTY,), dataset.num_classes)      # [1, D, C], [1, C]
    weight = weights[0] / scaling.scale                              # [D, C]
    objective.head.weight.copy_(weight.T)
    objective.head.bias.copy_(biases[0] - scaling.mean @ weight)


def fine_tuned(encoder: nn.Module, dataset, labels_per_class: tuple[int, ...] = (1, 5, 20, 100), draws: int = 10,
               views: Augment | None = None, search: Sequence[dict] | None = None, search_draws: int = 2,
               seed: int = 0, head: str = "linear probe") -> Efficiency:
    """Fine-tuning by labels per class, on the draws and with the search of `supervised`."""
    search = search or by_mode(({"learning_rate": 1e-3, "steps": 4},), SEARCH)
    fit = partial(fine_tune, encoder, dataset, views=views, head=head)
    return best_of_search("fine-tuned", fit, dataset, labels_per_class, draws, search, search_draws, seed)
