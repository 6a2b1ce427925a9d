"""Few labels, drawn honestly: the same draws for everybody, and no more labels to choose with than to train with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from sslab._inputs import takes
from sslab._names import choose
from sslab.datasets.base import inputs_of
from sslab.evaluation.features import features, random_encoder, raw_pixels
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.probe import PENALTIES, SCALINGS, Scaling, _right
from sslab.modes import by_mode

FIXED_PENALTY = 0.1                                                  # at unit variance, for whoever has no labels to choose with
UNLABELLED = 2000                                                    # training images that the scaling looks at


@takes(labels="int [N]", per_class=">= 1", draw=">= 0")
def draw_labels(labels: Tensor, per_class: int, draw: int, indices: Tensor | None = None) -> Tensor:
    """Positions [classes * per_class] of a balanced random subset.

    Args:
        labels: [N], from 0; -1 (no label) is never drawn.
        per_class: labels a class.
        draw: which draw; the same number gives the same subset.
    Raises:
        ValueError: a class has fewer than `per_class` samples.
    """
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence((draw, per_class)).generate_state(1)[0]))
    chosen = []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero().flatten()
        if len(members) < per_class:
            raise ValueError(f"per_class: got {per_class}, but class {label} has only {len(members)} samples")
        chosen.append(members[torch.randperm(len(members), generator=generator)[:per_class]])
    return torch.cat(chosen)


@dataclass(frozen=True)
class Efficiency:
    """Test accuracy of one representation by labels per class, one number a draw of labels.

    fixed: one penalty (0.1 at unit variance) for everybody, which costs no labels to choose.
    generous: the penalty chosen on the whole validation split, as papers often do; labels a person would not have.
    """

    name: str
    fixed: dict[int, list[float]] = field(default_factory=dict)
    generous: dict[int, list[float]] = field(default_factory=dict)

    def mean(self, budget: int) -> float:
        """Mean accuracy over the draws at `budget` labels a class, penalty fixed."""
        return sum(self.fixed[budget]) / len(self.fixed[budget])


def label_efficiency(encoder: nn.Module | Callable[[Tensor], Tensor], dataset,
                     labels_per_class: tuple[int, ...] = (1, 5, 20, 100), seeds: int = 10, name: str = "encoder",
                     penalties: tuple[float, ...] = PENALTIES, on: str = "test") -> Efficiency:
    """Linear probes of a representation on few labels, on the same draws for whatever is probed.

    How features are scaled is chosen for each representation and budget on the validation split, over all draws
    together: controls get their best too. Test is read once, with what was chosen.

    Args:
        encoder: what is probed; or a function from images [N, C, H, W] to features [N, D], such as `raw_pixels`.
        dataset: with labels.
        labels_per_class: the budgets.
        seeds: draws of labels.
        name: of the result.
        penalties: tried for the column `generous`; fewer are quicker.
        on: "validation" gives the accuracy there instead, for whoever is still choosing.
    Raises:
        ValueError: a budget is larger than a class, or `on` is neither.
    """
    choose(on, ("test", "validation"), "on")
    embed = partial(features, encoder) if isinstance(encoder, nn.Module) else encoder
    y = dataset.train.labels
    drawn = {budget: torch.stack([draw_labels(y, budget, draw) for draw in range(seeds)])      # [R, n] each
             for budget in labels_per_class}
    needed = torch.cat([rows.flatten() for rows in drawn.values()]).unique()
    known = embed(inputs_of(dataset.train)[needed])                      # no need to embed what nobody drew
    unlabelled = embed(some_inputs(dataset.train))
    validation, y_validation = _some(dataset.validation)
    test, y_test = _some(getattr(dataset, on))
    validation, test = embed(validation), embed(test)
    ordered = sorted({*penalties, FIXED_PENALTY}, reverse=True)
    fixed = ordered.index(FIXED_PENALTY)
    result = Efficiency(name)
    for budget, rows in drawn.items():
        labelled = known[torch.searchsorted(needed, rows)]           # [R, n, D]
        fits = []
        for kind in SCALINGS:
            scaling = Scaling.of(unlabelled, kind)
            weights, biases = fit_logistic(scaling(labelled), y[rows], ordered, dataset.num_classes)
            seen = scaling(validation)
            right = torch.stack([_right(w, b, seen, y_validation).float().mean(dim=1)
                                 for w, b in zip(weights, biases, strict=True)])               # [R, J]
            fits.append((float(right[:, fixed].mean()), scaling, weights, biases, right))
        _, scaling, weights, biases, right = max(fits, key=lambda fit: fit[0])
        seen = scaling(test)
        for column, chosen in ((result.fixed, [fixed] * seeds), (result.generous, right.argmax(dim=1).tolist())):
            column[budget] = [float(_right(weights[draw, j], biases[draw, j], seen, y_test).float().mean())
                              for draw, j in enumerate(chosen)]
    return result


def some_inputs(split) -> Tensor:
    """Training inputs that the scaling looks at: the first ones; of tokens an even choice, since texts lie kind by kind."""
    inputs = inputs_of(split)
    pictures = inputs.ndim == 4 or inputs.is_floating_point()
    return inputs[:UNLABELLED] if pictures else inputs[:: max(1, len(inputs) // UNLABELLED)]


def controls(encoder: nn.Module, dataset, labels_per_class: tuple[int, ...] = (1, 5, 20, 100), seeds: int = 10,
             seed: int = 0, penalties: tuple[float, ...] = PENALTIES) -> dict[str, Efficiency]:
    """What an encoder must beat, on the same draws: raw pixels, and itself untrained (its weights from `seed`)."""
    made = {"raw pixels": raw_pixels, "random encoder": random_encoder(encoder, inputs_of(dataset.train), seed)}
    return {name: label_efficiency(what, dataset, labels_per_class, seeds, name, penalties)
            for name, what in made.items()}


def as_dataset(dataset, features: dict[str, Tensor]) -> SimpleNamespace:
    """Features [n, D] by part, such as "train", in place of a dataset's pictures or tokens: for `label_efficiency` and its like."""
    parts = {name: SimpleNamespace(inputs=x, labels=getattr(dataset, name).labels) for name, x in features.items()}
    return SimpleNamespace(**parts, num_classes=dataset.num_classes)


def _some(split) -> tuple[Tensor, Tensor]:
    """Inputs and labels of a split; a few hundred in smoke mode."""
    limit = by_mode(300, None)
    return inputs_of(split)[:limit], split.labels[:limit]
