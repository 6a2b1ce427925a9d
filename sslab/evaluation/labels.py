"""Few labels, drawn honestly: the same draws for everybody, and no more labels to choose with than to train with."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sslab._names import choose
from sslab.evaluation.features import features, random_encoder, raw_pixels
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.probe import PENALTIES, SCALINGS, Scaling, _right

FIXED_PENALTY = 0.1


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


def probe_by_labels(name: str, train: Tensor, validation: Tensor, test: Tensor, dataset,
                    labels_per_class: tuple[int, ...] = (1, 5, 20, 100), draws: int = 10,
                    penalties: tuple[float, ...] = PENALTIES, on: str = "test") -> Efficiency:
    """Linear probes on few labels: features of the three splits [N, D] -> accuracy for every budget and draw.

    How features are scaled is chosen for each representation and budget on the validation split, over all draws
    together: controls get their best too. Test is read once, with what was chosen; `on="validation"` gives the
    accuracy on the validation split instead, for whoever is still choosing.
    """
    choose(on, ("test", "validation"), "on")
    if on == "validation":
        test = validation
    y, y_validation = dataset.train.labels, dataset.validation.labels
    y_test = getattr(dataset, on).labels
    ordered = sorted({*penalties, FIXED_PENALTY}, reverse=True)
    fixed = ordered.index(FIXED_PENALTY)
    result = Efficiency(name)
    for budget in labels_per_class:
        rows = torch.stack([draw_labels(y, budget, draw) for draw in range(draws)])            # [R, n]
        fits = []
        for kind in SCALINGS:
            scaling = Scaling.of(train, kind)                        # unlabelled: every training image
            weights, biases = fit_logistic(scaling(train[rows]), y[rows], ordered, dataset.num_classes)
            seen = scaling(validation)
            right = torch.stack([_right(w, b, seen, y_validation).float().mean(dim=1)
                                 for w, b in zip(weights, biases, strict=True)])               # [R, J]
            fits.append((float(right[:, fixed].mean()), scaling, weights, biases, right))
        _, scaling, weights, biases, right = max(fits, key=lambda fit: fit[0])
        seen = scaling(test)
        for column, chosen in ((result.fixed, [fixed] * draws), (result.generous, right.argmax(dim=1).tolist())):
            column[budget] = [float(_right(weights[draw, j], biases[draw, j], seen, y_test).float().mean())
                              for draw, j in enumerate(chosen)]
    return result


def label_efficiency(encoder, dataset, labels_per_class: tuple[int, ...] = (1, 5, 20, 100), seeds: int = 10,
                     name: str = "encoder", penalties: tuple[float, ...] = PENALTIES, on: str = "test") -> Efficiency:
    """Linear probes of an encoder on few labels, `seeds` draws of them, the same draws for every encoder."""
    return probe_by_labels(name, *(features(encoder, s.images) for s in _splits(dataset)), dataset,
                           labels_per_class, seeds, penalties, on)


def controls(encoder, dataset, labels_per_class: tuple[int, ...] = (1, 5, 20, 100), seeds: int = 10,
             seed: int = 0, penalties: tuple[float, ...] = PENALTIES) -> dict[str, Efficiency]:
    """What an encoder must beat, on the same draws: raw pixels, and itself untrained."""
    untrained = random_encoder(encoder, dataset.train.images, seed)
    pixels = probe_by_labels("raw pixels", *(raw_pixels(s.images) for s in _splits(dataset)), dataset,
                             labels_per_class, seeds, penalties)
    return {"raw pixels": pixels, "random encoder": label_efficiency(
        untrained, dataset, labels_per_class, seeds, "random encoder", penalties)}


def _splits(dataset):
    return dataset.train, dataset.validation, dataset.test
