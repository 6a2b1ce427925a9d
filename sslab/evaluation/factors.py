"""Which known factor of a picture can still be read from a representation: shape, colour, size, position, rotation, texture.

A factor that is a number is cut into classes of equal size, so that every factor is a question of "which class?", with a
chance that is known. A circle, such as a rotation, needs no other treatment then: the first and the last class are
neighbours, and no probe is asked for a number that jumps from 360 to 0.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes
from sslab._names import choose
from sslab.evaluation.features import features
from sslab.evaluation.probe import Scaling, knn, linear_probe
from sslab.modes import by_mode

FACTORS = ("shape", "colour", "size", "position", "rotation", "texture")      # the columns; position is the mean of x and y
CLASSES = 6                                                          # of a number, so that chance is that of shape and colour
PROBES = ("linear", "mlp", "knn")
PENALTIES = (0.1, 0.01, 0.001)
TRAIN = 4000                                                         # training pictures that a probe learns from


@takes(values="number [N]", classes=">= 2", reference="number [M]")
def equal_classes(values: Tensor, classes: int, reference: Tensor | None = None) -> Tensor:
    """Cut a number into classes of equal size: the edges are quantiles, not equally wide steps.

    Args:
        values: [N], any numbers.
        classes: how many, 2 or more.
        reference: whose quantiles are the edges, [M]; `values` themselves if None. Give the training split's, and the
            same number means the same class in every split.
    Returns:
        int64 [N], from 0 to classes - 1; a value on an edge belongs to the class below it.
    Raises:
        ValueError: `classes` is below 2.
    """
    if classes < 2:
        raise ValueError(f"classes: got {classes}, takes 2 or more")
    reference = values if reference is None else reference
    edges = torch.quantile(reference.double(), torch.arange(1, classes, dtype=torch.double) / classes)      # [classes - 1]
    return torch.bucketize(values.double(), edges)


def factor_classes(dataset, classes: int = CLASSES) -> dict[str, Tensor]:
    """Every known factor as classes: name -> int64 [N] for all pictures of the dataset.

    Args:
        dataset: with `factors`; whole numbers are classes already, other numbers are cut at the quantiles of the
            training split.
        classes: of a number.
    Raises:
        ValueError: nothing is known of the pictures' factors.
    """
    if not dataset.factors:
        raise ValueError(f"dataset: got {dataset.name!r}, takes one whose factors are known, such as 'shapes'")
    train = dataset.splits["train"]
    return {name: equal_classes(values, classes, values[train]) if values.is_floating_point() else values
            for name, values in dataset.factors.items()}


def factor_chance(dataset, classes: int = CLASSES) -> dict[str, float]:
    """The accuracy of a guess in each column of FACTORS: one over the number of classes."""
    counts = {name: int(labels.max()) + 1 for name, labels in factor_classes(dataset, classes).items()}
    return {name: 1 / counts["x" if name == "position" else name] for name in FACTORS}


@takes(accuracy=">= 0, <= 1", chance=">= 0, < 1")
def above_chance(accuracy: float, chance: float) -> float:
    """Accuracy with chance at 0 and perfection at 1, to compare columns whose chance differs."""
    return (accuracy - chance) / (1 - chance)


def read_factors(represent: nn.Module | Callable[[Tensor], Tensor], dataset, classes: int = CLASSES, probe: str = "linear",
                 on: str = "test", train: int = TRAIN) -> dict[str, float]:
    """How well a probe reads each factor from a representation.

    The probe learns on pictures of the training split; its penalty is chosen on the validation split; what is given is
    its accuracy on the split `on`, which it has not seen.

    Args:
        represent: an encoder, or a function from images [N, C, H, W] to features [N, D], such as the way to a
            projector's output.
        dataset: with known factors: shape, colour, size, x, y, rotation, texture.
        classes: of a factor that is a number.
        probe: "linear", "mlp" (one hidden layer: reads what lies curved, such as an angle), or "knn" (20 neighbours by
            cosine: reads what moves the representation far).
        on: "test", or "validation" for whoever is still choosing.
        train: how many training pictures the probe learns from.
    Returns:
        factor -> accuracy, in the order of FACTORS. Position is the mean of x and y.
    Raises:
        ValueError: no such probe or split, or nothing is known of the pictures' factors.
    """
    choose(probe, PROBES, "probe")
    choose(on, ("test", "validation"), "on")
    labels = factor_classes(dataset, classes)
    embed = partial(features, represent) if isinstance(represent, nn.Module) else represent
    rows = {split: dataset.splits[split][: by_mode(300, limit)]
            for split, limit in (("train", train), ("validation", None), (on, None))}
    seen = {split: embed(dataset.images[index]) for split, index in rows.items()}
    accuracy = {}
    for name, values in labels.items():
        pairs = [(seen[split], values[rows[split]]) for split in ("train", "validation", on)]
        accuracy[name] = _READ[probe](*pairs)
    accuracy["position"] = (accuracy["x"] + accuracy["y"]) / 2
    return {name: accuracy[name] for name in FACTORS}


@takes(z="float [N, D]", changed="float [N, D]", N=">= 2")
def moved(z: Tensor, changed: Tensor) -> Tensor:
    """How far a change moves pictures in a representation, where the distance to another picture is 1.

    0: the change is not seen at all. 1: the changed picture is as far as any other one. Unlike a probe it needs no labels,
    and it does not see what a probe can blow up: a remnant that is there and small.

    Args:
        z: [N, D] of some pictures, 2 or more. changed: [N, D] of the same pictures after the change.
    Returns:
        scalar: the mean of 1 - cosine to the own changed picture, over its mean to the changed pictures of the others.
    Raises:
        ValueError: shapes differ, or there is one picture only.
    """
    if z.shape != changed.shape or z.ndim != 2 or len(z) < 2:
        raise ValueError(f"z, changed: got shapes {list(z.shape)} and {list(changed.shape)}, takes [N, D] twice, N 2 or more")
    distance = 1 - F.normalize(z.float(), dim=1) @ F.normalize(changed.float(), dim=1).T          # [N, N]
    own = distance.diagonal()
    others = (distance.sum() - own.sum()) / (len(z) * (len(z) - 1))
    return own.mean() / others


def change_factor(factors: dict[str, Tensor], name: str, generator: torch.Generator) -> dict[str, Tensor]:
    """The same pictures' factors with one of them drawn anew: from those of the others, never its own class.

    Args:
        factors: as `sslab.datasets.shapes.draw` takes them, [N] each. name: one of FACTORS; position is x and y.
        generator: on the CPU.
    """
    changed = dict(factors)
    for one in ("x", "y") if choose(name, FACTORS, "name") == "position" else (name,):
        values = factors[one]
        if values.is_floating_point():
            changed[one] = values[torch.randperm(len(values), generator=generator)]
        else:
            kinds = int(values.max()) + 1
            changed[one] = (values + torch.randint(1, kinds, (len(values),), generator=generator)) % kinds
    return changed


def factor_moves(represent: nn.Module | Callable[[Tensor], Tensor], dataset, pictures: int = 500, on: str = "test",
                 seed: int = 0) -> dict[str, float]:
    """How far a representation moves when one factor of a picture changes and all else stays: see `moved`.

    The pictures are drawn again with that one factor changed, which only pictures with known factors allow.

    Args:
        represent: an encoder, or a function from images [N, C, H, W] to features [N, D].
        dataset: `shapes`.
        pictures: how many, of the split `on`. seed: of the new values.
    Returns:
        factor -> 0 (not seen) to about 1 (as another picture), in the order of FACTORS.
    Raises:
        ValueError: the dataset's pictures cannot be drawn from their factors.
    """
    from sslab.datasets.shapes import draw

    if missing := {"shape", "colour", "texture", "size", "x", "y", "rotation"} - set(dataset.factors):
        raise ValueError(f"dataset: got {dataset.name!r}, which lacks {', '.join(sorted(missing))}, takes shapes")
    embed = partial(features, represent) if isinstance(represent, nn.Module) else represent
    rows = dataset.splits[on][: by_mode(100, pictures)]
    factors = {name: values[rows] for name, values in dataset.factors.items()}
    z, random = embed(dataset.images[rows]), torch.Generator().manual_seed(seed)
    return {name: float(moved(z, embed(draw(change_factor(factors, name, random))))) for name in FACTORS}


def _linear(train, validation, test) -> float:
    return linear_probe(train, validation, test, PENALTIES, scaling="feature").accuracy


def _neighbours(train, validation, test) -> float:
    return _share(knn(*train, test[0]), test[1])


def _mlp(train, validation, test, hidden: int = 128, steps: int = 300, batch: int = 512) -> float:
    """One hidden layer, AdamW with a learning rate that falls to 0; always the same weights and batches."""
    x, y = train
    scaling = Scaling.of(x, "feature")
    x = scaling(x)
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, int(y.max()) + 1))
    optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=0.05)
    steps = by_mode(10, steps)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)
        rows = torch.randint(len(x), (batch,), generator=random)
        loss = F.cross_entropy(net(x[rows]), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return _share(net(scaling(test[0])).argmax(dim=1), test[1])


def _share(predicted: Tensor, labels: Tensor) -> float:
    return float((predicted == labels).float().mean())


_READ = {"linear": _linear, "mlp": _mlp, "knn": _neighbours}
