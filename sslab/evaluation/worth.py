"""What each leak is worth: the number that leaks, minus that of the same evaluation without the leak. Shares from 0 to 1."""

import copy

import torch
from torch import Tensor, nn

from sslab.datasets.base import Split
from sslab.evaluation.features import features
from sslab.evaluation.labels import FIXED_PENALTY
from sslab.evaluation.leaks import evaluation_c
from sslab.evaluation.logistic import fit_logistic
from sslab.evaluation.probe import Scaling, _right, knn


def feature_halves(x: Tensor, y: Tensor, queries: Tensor, answers: Tensor, count: int = 100, seed: int = 0) -> Tensor:
    """Variants of a probe that differ by luck alone: each sees a random half of the features.

    Args:
        x, y: to train on, [n, D] and [n]. queries, answers: to test on, [M, D] and [M].
        count: variants V.
    Returns:
        which of them is right on which test image, bool [V, M].
    """
    order = torch.Generator().manual_seed(seed)
    scaling = Scaling.of(x)
    x, queries = scaling(x), scaling(queries)
    halves = torch.stack([torch.randperm(x.shape[1], generator=order)[: max(1, x.shape[1] // 2)] for _ in range(count)])   # [V, d]
    weights, biases = fit_logistic(x[:, halves].transpose(0, 1), y.expand(count, -1), (FIXED_PENALTY,), 1 + int(torch.cat([y, answers]).max()))
    return torch.stack([_right(w, b, queries[:, half], answers)[0] for w, b, half in zip(weights, biases, halves, strict=True)])


def choosing(right: Tensor, images: int, variants: int, repeats: int = 100, seed: int = 0) -> float:
    """Best of some variants on some test images: what it scores there, minus what it scores on the other test images.

    Args:
        right: which variant is right on which image, bool [V, M]. images: looked at to choose, below M.
        variants: to choose from, at most V. repeats: random choices of both, averaged.
    Raises:
        ValueError: images or variants out of range.
    """
    if not 1 <= images < right.shape[1]:
        raise ValueError(f"images: got {images}, takes 1 to the number of test images - 1 ({right.shape[1] - 1})")
    if not 1 <= variants <= len(right):
        raise ValueError(f"variants: got {variants}, takes 1 to the number of variants ({len(right)})")
    order, gaps = torch.Generator().manual_seed(seed), []
    for _ in range(repeats):
        some = right[torch.randperm(len(right), generator=order)[:variants]].float()
        place = torch.randperm(right.shape[1], generator=order)
        seen, rest = some[:, place[:images]].mean(dim=1), some[:, place[images:]].mean(dim=1)      # [variants] each
        best = int(seen.argmax())
        gaps.append(float(seen[best] - rest[best]))
    return sum(gaps) / len(gaps)


def backbone(encoder: nn.Module, train: Split, test: Split, steps: int | None = None) -> float:
    """A "probe" whose encoder is trained along, minus a linear probe of the encoder as it is, on the same labels.

    A copy of the encoder is trained: the one that is handed in stays as it was.
    """
    leaking = evaluation_c(copy.deepcopy(encoder), train, test, test, steps).accuracy
    return leaking - _probe(features(encoder, train.images), train.labels, features(encoder, test.images), test.labels)


def statistics(x: Tensor, y: Tensor, queries: Tensor, answers: Tensor, groups: Tensor | None = None) -> float:
    """Test features brought to mean 0 and std 1 by their own statistics, minus by those of the training features.

    Args:
        x, y: to train on, [n, D] and [n]. queries, answers: to test on, [M, D] and [M].
        groups: [M], test images that come together, each group by statistics of its own; all together if None.
    """
    def to(z: Tensor, like: Tensor) -> Tensor:
        return (z - like.mean(dim=0)) / (like.std(dim=0) + 1e-3)

    weights, biases = fit_logistic(to(x, x), y, (FIXED_PENALTY,), 1 + int(torch.cat([y, answers]).max()))
    own = torch.empty_like(queries)
    groups = torch.zeros_like(answers) if groups is None else groups
    for group in groups.unique():
        own[groups == group] = to(queries[groups == group], queries[groups == group])
    leaking, honest = (float(_right(weights, biases, z, answers).float().mean()) for z in (own, to(queries, x)))
    return leaking - honest


def duplicates(x: Tensor, y: Tensor, seed: int = 0) -> float:
    """Classes made equal by drawing again, then split into train and test; minus split first, then drawn again.

    The nearest neighbour classifies. Both hold out a third of the labelled images.

    Args:
        x, y: features [n, D] and labels [n] of the images that are labelled at all.
    """
    order = torch.Generator().manual_seed(seed)
    rows = _equal_classes(y, order)
    rows = rows[torch.randperm(len(rows), generator=order)]
    out, kept = rows[: len(rows) // 3], rows[len(rows) // 3:]
    leaking = float((knn(x[kept], y[kept], x[out], k=1) == y[out]).float().mean())
    rows = torch.randperm(len(y), generator=order)
    out, kept = rows[: len(rows) // 3], rows[len(rows) // 3:]
    kept = kept[_equal_classes(y[kept], order)]
    return leaking - float((knn(x[kept], y[kept], x[out], k=1) == y[out]).float().mean())


def _equal_classes(y: Tensor, order: torch.Generator) -> Tensor:
    """Positions such that every class comes as often as the most frequent one, drawn with replacement."""
    most = int(y.bincount().max())
    return torch.cat([own[torch.randint(len(own), (most,), generator=order)]
                      for own in ((y == label).nonzero().flatten() for label in y.unique())])


def _probe(x: Tensor, y: Tensor, queries: Tensor, answers: Tensor) -> float:
    """Accuracy of a linear probe with the penalty fixed beforehand."""
    scaling = Scaling.of(x)
    weights, biases = fit_logistic(scaling(x), y, (FIXED_PENALTY,), 1 + int(torch.cat([y, answers]).max()))
    return float(_right(weights, biases, scaling(queries), answers).float().mean())
