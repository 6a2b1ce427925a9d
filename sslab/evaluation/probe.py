"""What a frozen representation is worth: a linear layer on it, or its nearest neighbours."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab._inputs import check_classes, check_finite, is_whole, takes
from sslab._names import choose
from sslab.evaluation.logistic import fit_logistic

PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-6, 5))        # 0.001 to 100


@dataclass(frozen=True)
class Probe:
    """A fitted linear probe; `accuracy` is on the test samples, as shares from 0 to 1."""

    accuracy: float
    penalty: float
    validation_accuracy: float
    weight: Tensor = field(repr=False)                               # [D, C]
    bias: Tensor = field(repr=False)                                 # [C]
    scaling: "Scaling" = field(repr=False)

    def predict(self, x: Tensor) -> Tensor:
        """Classes [N] for features [N, D]."""
        return (self.scaling(x) @ self.weight + self.bias).argmax(dim=1)


SCALINGS = ("global", "feature", "unit")


@dataclass(frozen=True)
class Scaling:
    """Centre features and bring their mean square to 1. Fitted on unlabelled training features: it costs no labels.

    global: one factor for all features, so that no direction gains by it. feature: each feature by its own std.
    unit: every sample to length 1 first, as cosine similarity sees it; then global.
    """

    kind: str
    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, x: Tensor, kind: str = "global") -> "Scaling":
        if choose(kind, SCALINGS, "scaling") == "unit":
            x = F.normalize(x, dim=1)
        mean = x.mean(dim=0)
        square = (x - mean).square().mean(dim=0)                     # [D]
        floor = 0.01 * square.mean()                                 # a feature that never moves stays small
        scale = square + floor if kind == "feature" else square.mean()
        return cls(kind, mean, scale.sqrt().clamp_min(1e-12))

    def __call__(self, x: Tensor) -> Tensor:
        if self.kind == "unit":
            x = F.normalize(x, dim=-1)
        return (x - self.mean) / self.scale


@takes()
def linear_probe(train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor],
                 penalties: tuple[float, ...] = PENALTIES, unlabelled: Tensor | None = None,
                 scaling: str = "global") -> Probe:
    """Logistic regression on frozen features; its penalty is chosen on validation, test is read once.

    Args:
        train, validation, test: (features [N, D], labels [N]) each.
        penalties: L2, as `fit_logistic` takes them. Of equally good ones the strongest is kept.
        unlabelled: more features [M, D] of the training images, for the scaling; the labelled ones if None.
        scaling: "global", "feature" or "unit", see Scaling.
    Raises:
        ValueError: shapes do not fit.
    """
    for name, (seen, labels) in (("train", train), ("validation", validation), ("test", test)):
        if seen.ndim != 2 or labels.shape != seen.shape[:1] or not seen.is_floating_point() or not is_whole(labels) or not len(seen):
            raise ValueError(f"{name}: got {seen.dtype} {list(seen.shape)} and {labels.dtype} {list(labels.shape)}, takes floats [N, D] "
                             "and whole numbers [N]")
        if seen.shape[1] != train[0].shape[1] or seen.dtype != train[0].dtype:
            raise ValueError(f"{name}: got features {seen.dtype} {list(seen.shape)}, takes {train[0].dtype} [N, {train[0].shape[1]}] as train")
        check_finite(**{name: seen})
        check_classes(name, labels)
    if unlabelled is not None and (unlabelled.ndim != 2 or unlabelled.shape[1] != train[0].shape[1] or not len(unlabelled)):
        raise ValueError(f"unlabelled: got shape {list(unlabelled.shape)}, takes [M, {train[0].shape[1]}]")
    if unlabelled is not None:
        check_finite(unlabelled=unlabelled)
    if not penalties or not all(penalty > 0 for penalty in penalties):
        raise ValueError(f"penalties: got {penalties!r}, takes one or more numbers above 0")
    x, y = train
    scaling = Scaling.of(x if unlabelled is None else unlabelled, scaling)
    classes = 1 + int(max(labels.max() for _, labels in (train, validation, test)))
    ordered = sorted(penalties, reverse=True)
    weights, biases = fit_logistic(scaling(x), y, ordered, classes)
    right = _right(weights, biases, scaling(validation[0]), validation[1])            # [J, V]
    chosen = int(right.float().mean(dim=1).argmax())                 # the first of equals
    weight, bias = weights[chosen], biases[chosen]
    accuracy = _right(weight[None], bias[None], scaling(test[0]), test[1]).float().mean()
    return Probe(float(accuracy), ordered[chosen], float(right[chosen].float().mean()), weight, bias, scaling)


def _right(weights: Tensor, biases: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Which predictions are right: [..., D, C], [..., C], [N, D], [N] -> bool [..., N]."""
    return (x @ weights + biases[..., None, :]).argmax(dim=-1) == y


@takes(bank="float [N, D]", labels="int [N]", queries="float [M, D]", k=">= 1", temperature="> 0")
def knn(bank: Tensor, labels: Tensor, queries: Tensor, k: int = 20, temperature: float = 0.07) -> Tensor:
    """Classify by the k nearest labelled samples by cosine, near ones weighing more (exp(cosine / temperature)).

    Args:
        bank: features [N, D] with `labels` [N], from 0.
        queries: features [M, D].
        k: neighbours, at most N.
    Returns:
        classes [M].
    Raises:
        ValueError: k is not from 1 to N.
    Source:
        Wu et al. 2018, arXiv:1805.01978, section 3.4.
    """
    if not 1 <= k <= len(bank):
        raise ValueError(f"k: got {k}, takes 1 to the number of labelled samples ({len(bank)})")
    check_classes("labels", labels)
    bank, classes = F.normalize(bank, dim=1), int(labels.max()) + 1
    votes = []
    for chunk in F.normalize(queries, dim=1).split(1024):
        cosine, nearest = (chunk @ bank.T).topk(k, dim=1)            # [m, k]
        weight = ((cosine - 1) / temperature).exp()
        ballot = F.one_hot(labels[nearest], classes) * weight[..., None]          # [m, k, C]
        votes.append(ballot.sum(dim=1).argmax(dim=1))
    return torch.cat(votes)
