"""A pretrained encoder put to use with a few labels: left as it is, or trained further, all of it or mostly near the head."""

import copy
import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import check_classes, check_finite, takes
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

HEADS = ("linear probe", "untrained", "class means")
STRATEGIES = ("frozen", "linear", "full", "linear then full", "discriminative")
DECAY = 0.5                                                          # of "discriminative": from one layer to the one below it
# What is tried on validation before the draws are run.
SEARCH = tuple({"learning_rate": rate, "steps": steps, "weight_decay": 0.05} for rate in (3e-4, 1e-3) for steps in (60, 150))


def adapt(encoder: nn.Module, dataset, rows: Tensor, strategy: str = "linear then full", views: Augment | None = None,
          seed: int = 0, batch_size: int = 64, decay: float = DECAY, **options) -> Supervised:
    """Put a copy of a pretrained encoder to use on the training examples at `rows` [n], in one of five ways.

    | strategy           | encoder                                    | head                             |
    |--------------------|--------------------------------------------|----------------------------------|
    | "frozen"           | as it is                                   | nearest class mean: no training  |
    | "linear"           | as it is                                   | logistic regression              |
    | "full"             | trained                                    | trained, random at first         |
    | "linear then full" | trained                                    | trained, at first that of "linear" |
    | "discriminative"   | trained, more slowly the lower the layer   | the same                         |

    Args:
        encoder: not changed.
        dataset: with labels; `rows` index its training split.
        strategy: one of `STRATEGIES`.
        views: of pictures, while the network is trained; texts have none.
        batch_size: the examples are repeated until a batch is full.
        decay: of "discriminative": the learning rate of a layer over that of the next one above it.
        options: for `train`: learning_rate, steps, ...; the first two strategies take no steps and need none.
    Returns:
        Supervised; `accuracy(it, dataset.test)` says how good it is.
    Raises:
        ValueError: no such strategy, no rows, or a decay that is not above 0 and at most 1.
    Source:
        Kumar et al. 2022, arXiv:2202.10054 (linear probing, then fine-tuning).
        Howard and Ruder 2018, arXiv:1801.06146, section 3.2 (discriminative learning rates).
    """
    choose(strategy, STRATEGIES, "strategy")
    if strategy in ("frozen", "linear"):
        _check(rows, decay)
        objective = _with_head(encoder, dataset, views, seed)
        _begin(objective, dataset, rows, "class means" if strategy == "frozen" else "linear probe")
        return objective
    head = "untrained" if strategy == "full" else "linear probe"
    return fine_tune(encoder, dataset, rows, views, seed, batch_size, head,
                     decay if strategy == "discriminative" else 1.0, **options)


def fine_tune(encoder: nn.Module, dataset, rows: Tensor, views: Augment | None = None, seed: int = 0, batch_size: int = 64,
              head: str = "linear probe", decay: float = 1.0, **options) -> Supervised:
    """Train a copy of a pretrained encoder, all of it, with a linear head, on the training examples at `rows` [n].

    A head that begins untrained sends noise back into a good encoder before it has learned anything itself; so it begins
    as a linear probe of the frozen encoder (linear probing, then fine-tuning).

    Args:
        encoder: not changed.
        dataset: with labels; `rows` index its training split.
        views: of pictures; texts have none.
        batch_size: the examples are repeated until a batch is full.
        head: how it begins: "linear probe", "untrained", or "class means".
        decay: the learning rate of a layer over that of the next one above it; 1: all layers learn alike.
        options: for `train`: learning_rate, steps, ...
    Returns:
        Supervised; `accuracy(it, dataset.test)` says how good it is.
    Raises:
        ValueError: no such head, no rows, or a decay that is not above 0 and at most 1.
    Source:
        Kumar et al. 2022, arXiv:2202.10054. Howard and Ruder 2018, arXiv:1801.06146, section 3.2, for `decay`.
    """
    choose(head, HEADS, "head")
    _check(rows, decay)
    objective = _with_head(encoder, dataset, views, seed)
    if head != "untrained":
        _begin(objective, dataset, rows, head)
    if decay != 1:
        objective.slow(decay)
    return train_on_rows(objective, dataset, rows, seed, batch_size, **options)


def _check(rows: Tensor, decay: float) -> None:
    if rows.ndim != 1 or not len(rows):
        raise ValueError(f"rows: got shape {list(rows.shape)}, takes the places [n] of one example or more")
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 < decay <= 1:
        raise ValueError(f"decay: got {decay!r}, takes a number above 0, up to 1")


def _with_head(encoder: nn.Module, dataset, views: Augment | None, seed: int) -> "FineTuned":
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FineTuned(copy.deepcopy(encoder), views_of(dataset, views), classes=dataset.num_classes)


class FineTuned(Supervised):
    """Supervised, and layers may learn the more slowly the further they are from the head."""

    _shares: Sequence[tuple[nn.Parameter, float]] = ()
    _before: Sequence[Tensor] = ()

    def slow(self, decay: float) -> None:
        """The layer below the head learns at `decay` times the head's rate, the one below that at decay squared, and so on."""
        stack = layers(self.encoder)[::-1]                           # from the head down
        self._shares = [(p, decay ** (depth + 1)) for depth, layer in enumerate(stack) for p in layer]

    def make_views(self, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        self._before = [p.detach().clone() for p, _ in self._shares]
        return super().make_views(batch, generator)

    @torch.no_grad()
    def after_step(self) -> None:
        """A step of AdamW is proportional to its learning rate, decay of the weights included: a share of it is a smaller rate."""
        for (p, share), before in zip(self._shares, self._before, strict=True):
            p.copy_(torch.lerp(before, p, share))


def layers(encoder: nn.Module) -> list[list[nn.Parameter]]:
    """An encoder's parameters layer by layer, from the input up; each is in one of them.

    A layer is a part of the network, or of a stack of blocks a block. What belongs to no part, such as BERT's positions,
    goes with the first layer.

    Raises:
        ValueError: an encoder without parameters.
    """
    net = getattr(encoder, "net", encoder)
    parts = []
    for child in net.children():
        stack = isinstance(child, nn.Sequential | nn.ModuleList) and any(len(list(block.children())) for block in child)
        parts += list(child) if stack else [child]
    stacked = [list(part.parameters()) for part in parts]
    inside = {id(p) for layer in stacked for p in layer}
    outside = [p for p in encoder.parameters() if id(p) not in inside]
    stacked = [layer for layer in stacked if layer]
    if outside:
        stacked = [outside + (stacked[0] if stacked else []), *stacked[1:]]
    if not stacked:
        raise ValueError(f"encoder: got {type(encoder).__name__} without parameters, takes one that can be trained")
    return stacked


@torch.no_grad()
def _begin(objective: Supervised, dataset, rows: Tensor, head: str) -> None:
    """The head as it is after a look at the labelled examples through the frozen encoder."""
    inputs = inputs_of(dataset.train)
    fit = probe_head if head == "linear probe" else mean_head
    weight, bias = fit(features(objective.encoder, inputs[rows]), dataset.train.labels[rows],
                       features(objective.encoder, some_inputs(dataset.train)), dataset.num_classes)
    objective.head.weight.copy_(weight.T)
    objective.head.bias.copy_(bias)


@takes(x="float [N, D]", y="int [N]", unlabelled="float [M, D]", classes=">= 1")
def probe_head(x: Tensor, y: Tensor, unlabelled: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """A linear probe, at unit variance and with the fixed penalty, as a linear layer on features as they are.

    Args:
        x: labelled features [n, D]. y: their classes [n].
        unlabelled: features [M, D] that the scaling looks at.
        classes: C.
    Returns:
        weight [D, C], bias [C].
    """
    check_finite(x=x, unlabelled=unlabelled)
    scaling = Scaling.of(unlabelled)                                 # "global": one factor for all features
    weights, biases = fit_logistic(scaling(x), y, (FIXED_PENALTY,), classes)         # [1, D, C], [1, C]
    weight = weights[0] / scaling.scale                              # [D, C]
    return weight, biases[0] - scaling.mean @ weight


@takes(x="float [N, D]", y="int [N]", unlabelled="float [M, D]", classes=">= 1")
def mean_head(x: Tensor, y: Tensor, unlabelled: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The class whose mean lies in the most similar direction, seen from the mean of all, as a linear layer: no training.

    Args, Returns:
        as `probe_head`.
    Raises:
        ValueError: a class has no example.
    """
    check_classes("y", y, classes)
    if len(missing := sorted(set(range(classes)) - set(y.tolist()))):
        raise ValueError(f"y: got no example of class {missing[0]}, takes one or more of each")
    centre = unlabelled.mean(dim=0)                                  # [D]
    means = torch.stack([(x[y == label] - centre).mean(dim=0) for label in range(classes)])      # [C, D]
    weight = F.normalize(means, dim=1).T                             # [D, C]
    return weight, -centre @ weight


def fine_tuned(encoder: nn.Module, dataset, labels_per_class: tuple[int, ...] = (1, 5, 20, 100), draws: int = 10,
               views: Augment | None = None, search: Sequence[dict] | None = None, search_draws: int = 2,
               seed: int = 0, head: str = "linear probe", decay: float = 1.0) -> Efficiency:
    """Fine-tuning by labels per class, on the draws and with the search of `supervised`."""
    search = search or by_mode(({"learning_rate": 1e-3, "steps": 4},), SEARCH)
    fit = partial(fine_tune, encoder, dataset, views=views, head=head, decay=decay)
    return best_of_search("fine-tuned", fit, dataset, labels_per_class, draws, search, search_draws, seed)


# When is it worth it?


@takes()
def overtakes(ours: Mapping[float, float], theirs: Mapping[float, float]) -> float | None:
    """From which x on, such as seconds or labels, `ours` is above `theirs` for as far as was measured.

    Between two points a curve is a straight line on a logarithmic x; before its first point it has nothing to show, after
    its last one it stays what it was.

    Args:
        ours, theirs: x above 0 -> y, such as {seconds: accuracy}.
    Returns:
        x, or None where `ours` is not above at the end.
    Raises:
        ValueError: an empty curve, or an x that is not above 0.
    """
    _check_curve("ours", ours)
    _check_curve("theirs", theirs)
    places = [x for x in sorted({*ours, *theirs}) if x >= min(ours)]
    gaps = [_at(ours, x) - _at(theirs, x) for x in places]
    if gaps[-1] <= 0:
        return None
    behind = [i for i, gap in enumerate(gaps) if gap <= 0]
    if not behind:
        return places[0]
    i = behind[-1]
    return _place(places[i], places[i + 1], -gaps[i] / (gaps[i + 1] - gaps[i]))


@takes()
def reaches(curve: Mapping[float, float], level: float) -> float | None:
    """The smallest x at which a curve, read as `overtakes` reads it, is at `level` or above; None if it never is.

    Raises:
        ValueError: an empty curve, or an x that is not above 0.
    """
    _check_curve("curve", curve)
    before = None
    for x in sorted(curve):
        if curve[x] >= level:
            return x if before is None else _place(before, x, (level - curve[before]) / (curve[x] - curve[before]))
        before = x
    return None


def _check_curve(name: str, curve: Mapping[float, float]) -> None:
    if not curve or not all(x > 0 and math.isfinite(x) for x in curve):
        raise ValueError(f"{name}: got x {sorted(curve)}, takes one or more, all above 0")


def _place(a: float, b: float, share: float) -> float:
    """The x at this share of the way from a to b, on a logarithmic axis."""
    return math.exp(math.log(a) * (1 - share) + math.log(b) * share)


def _at(curve: Mapping[float, float], x: float) -> float:
    """Minus infinity before the first point."""
    places = sorted(curve)
    if x < places[0]:
        return -math.inf
    a = max(place for place in places if place <= x)
    b = min((place for place in places if place > x), default=None)
    if b is None or a == x:
        return curve[a]
    share = (math.log(x) - math.log(a)) / (math.log(b) - math.log(a))
    return curve[a] * (1 - share) + curve[b] * share
