"""Checks of how it is measured what a representation keeps: classes of equal size, angles, what moves it, what a task needs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def wrong_equal_classes(train: Tensor, values: Tensor, classes: int, *, edges="quantiles", source="train", count=0, start=0,
                        reverse=False, result="class") -> Tensor:
    """Classes [N] of values [N], cut at the quantiles of train [M], with switches for what is often done otherwise."""
    source = {"train": train, "values": values, "both": torch.cat([train, values])}[source]
    number = classes + count
    share = torch.arange(1, number, dtype=torch.float64) / number
    cuts = {"quantiles": lambda: source.double().quantile(share),
            "widths": lambda: source.min() + (source.max() - source.min()) * share,
            "normal": lambda: source.mean() + source.std() * torch.special.ndtri(share)}[edges]()      # [classes - 1]
    label = torch.bucketize(values.double(), cuts.double())
    if result == "edges":
        return cuts
    if result == "rank":
        return values.argsort().argsort()
    return (len(cuts) - label if reverse else label) + start


equal_classes = Check(
    "equal_classes",
    "Convention: train [M], values [N], classes -> int64 [N] from 0; the edges are the quantiles of train, so that each class has "
    "the same number of training values; then values are sorted into them. What lies on an edge may go either way.",
    wrong_equal_classes,
    wrong_equal_classes,
    [
        Misconception("classes of equal width", {"edges": "widths"},
                      "Count how many training values each of your classes has. If one has most of them, what is chance?"),
        Misconception("the edges come from the values themselves", {"source": "values"},
                      "Then the same number is in another class in another split. Whose edges must all splits share?"),
        Misconception("the edges come from both splits together", {"source": "both"},
                      "The values to be sorted must not take part in the choice of the edges."),
        Misconception("the edges suppose a normal distribution", {"edges": "normal"},
                      "The numbers have a distribution of their own. Which edges leave as many below as above, whatever it is?"),
        Misconception("one class too many", {"count": 1},
                      "How many edges cut a line into C pieces?"),
        Misconception("one class too few", {"count": -1},
                      "How many edges cut a line into C pieces?"),
        Misconception("classes start at 1", {"start": 1},
                      "Labels start at 0. Is one of your edges the smallest value of all?"),
        Misconception("the largest values are class 0", {"reverse": True},
                      "A mere convention: here class 0 is the lowest."),
        Misconception("the edges are returned", {"result": "edges"},
                      "Between which of them does each value lie?"),
        Misconception("ranks are returned, not classes", {"result": "rank"},
                      "A rank tells all values apart. Many values share a class."),
    ],
    cases=lambda: [_skewed(60, 25, 6, 0), _skewed(40, 30, 4, 1), _skewed(35, 20, 5, 2)],
    shapes="equal_classes takes train [M], values [N] and a number of classes and returns N labels.",
)


def _skewed(m: int, n: int, classes: int, seed: int) -> tuple:
    """Lopsided numbers, the second set shifted; none near an edge, wherever one puts it between two neighbours."""
    g = generator(seed)
    train = torch.randn(m, generator=g, dtype=torch.float64).exp().sort().values
    each = m // classes
    edges = [(train[each * k - 1], train[each * k]) for k in range(1, classes)]
    values = torch.randn(4 * n, generator=g, dtype=torch.float64).mul(0.8).add(0.4).exp()
    clear = torch.stack([(values < low - 1e-3) | (values > high + 1e-3) for low, high in edges]).all(0)
    return train[torch.randperm(m, generator=g)], values[clear][:n], classes


def wrong_angular_distance(a: Tensor, b: Tensor, *, wrap="circle", unit="degrees", period=360.0, signed=False,
                           result="each") -> Tensor:
    """The angle between directions a and b [N] in degrees, with switches for what is often done otherwise."""
    gap = a - b
    if wrap == "circle":
        gap = (gap + period / 2) % period - period / 2
    elif wrap == "remainder":
        gap = gap.abs() % period
    elif wrap == "other way":
        gap = torch.minimum(gap.abs(), period - gap.abs())
    elif wrap == "beyond":
        gap = torch.where(gap.abs() > period / 2, gap.abs() - period, gap)
    gap = gap if signed or wrap == "other way" else gap.abs()
    if unit == "radians":
        gap = gap.deg2rad()
    if unit == "cosine":
        gap = 1 - gap.deg2rad().cos()
    if unit == "no radians":
        gap = torch.acos((a - b).cos().clamp(-1, 1)).rad2deg()
    return {"each": gap, "mean": gap.mean(), "squared": gap.square()}[result]


angular_distance = Check(
    "angular_distance",
    "Convention: a and b [N] in degrees, any numbers -> [N] in degrees, from 0 to 180: how far the one has to be turned to "
    "become the other, by the shorter way.",
    wrong_angular_distance,
    wrong_angular_distance,
    [
        Misconception("the circle is cut open at 0", {"wrap": "no"},
                      "How far is it from 359 degrees to 1 degree?"),
        Misconception("the longer way round is kept", {"wrap": "remainder"},
                      "What lies 350 degrees to the left lies how far to the right?"),
        Misconception("more than one turn is not taken off", {"wrap": "other way"},
                      "Try 725 and 5 degrees: the same direction. A distance is never negative."),
        Misconception("only one full turn is taken off", {"wrap": "beyond"},
                      "Try 725 and 5 degrees: the same direction."),
        Misconception("the distance has a sign", {"signed": True},
                      "Here it does not matter in which direction it was turned."),
        Misconception("directions that are opposite count as the same", {"period": 180.0},
                      "That is right for a line, which looks the same after half a turn. An arrow does not."),
        Misconception("the result is in radians", {"unit": "radians"},
                      "Degrees in, degrees out."),
        Misconception("degrees were handed to a cosine", {"unit": "no radians"},
                      "torch.cos takes radians."),
        Misconception("1 minus the cosine in place of the angle", {"unit": "cosine"},
                      "It wraps well, but it is not an angle. Which function takes you from a cosine to one?"),
        Misconception("the distance is squared", {"result": "squared"},
                      "The distance itself."),
        Misconception("the mean is returned", {"result": "mean"},
                      "One distance for each pair."),
    ],
    cases=lambda: [_angles(9, 0), _angles(7, 1)],
    shapes="angular_distance takes a [N] and b [N] and returns N distances.",
)


def _angles(n: int, seed: int) -> tuple:
    """Directions, some across 0 and some more than a turn away from each other."""
    g = generator(seed)
    a, b = torch.rand(2, n, generator=g, dtype=torch.float64) * 360
    a[:4] = torch.tensor([1.0, 355.0, 725.0, -10.0], dtype=torch.float64) + a[:4] / 100
    b[:4] = torch.tensor([358.0, 8.0, 3.0, 371.0], dtype=torch.float64) - b[:4] / 100
    return a, b


def wrong_moved(z: Tensor, changed: Tensor, *, normalise="rows", measure="1 - cos", against="others", order="ratio of means",
                scale=1.0) -> Tensor:
    """How far z [N, D] moves to changed [N, D], in distances to other pictures, with switches for what is done otherwise."""
    a, b = {"rows": lambda: (F.normalize(z, dim=1), F.normalize(changed, dim=1)), "no": lambda: (z, changed),
            "columns": lambda: (F.normalize(z, dim=0), F.normalize(changed, dim=0))}[normalise]()
    distance = {"1 - cos": lambda: 1 - a @ b.T, "cos": lambda: a @ b.T, "euclidean": lambda: torch.cdist(a, b)}[measure]()  # [N, N]
    n = len(z)
    own = distance.diagonal()                                                                                      # [N]
    rest = distance[~torch.eye(n, dtype=torch.bool)].view(n, n - 1)
    base = {"others": rest.mean(1), "all": distance.mean(1), "nothing": torch.ones_like(own),
            "next": distance.roll(-1, 1).diagonal()}[against]
    return scale * {"ratio of means": own.mean() / base.mean(), "mean of ratios": (own / base).mean(), "each": own / base,
                    "inverse": base.mean() / own.mean(), "difference": base.mean() - own.mean()}[order]


moved = Check(
    "moved",
    "Convention: z [N, D] of pictures and changed [N, D] of the same pictures with one factor changed -> scalar; distance is 1 minus "
    "the cosine; the mean distance of a picture from its own changed one, over the mean distance of a picture from the changed ones "
    "of the others. 0: the change is not seen. 1: it is as if it were another picture.",
    wrong_moved,
    wrong_moved,
    [
        Misconception("rows are not normalised", {"normalise": "no"},
                      "Multiply z by 10: the answer must stay the same. A cosine has lengths taken out."),
        Misconception("columns are normalised, not rows", {"normalise": "columns"},
                      "A cosine compares two pictures: which dim holds the features of one?"),
        Misconception("similarity in place of distance", {"measure": "cos"},
                      "What is seen as the same must give 0."),
        Misconception("the Euclidean distance", {"measure": "euclidean"},
                      "A convention: here it is 1 minus the cosine."),
        Misconception("it is not compared with other pictures", {"against": "nothing"},
                      "Is 0.1 far? If all pictures lie that close to each other, yes."),
        Misconception("a picture is among its own others", {"against": "all"},
                      "The denominator has pairs of different pictures only. Which entries of [N, N] are those?"),
        Misconception("only the next picture is compared with", {"against": "next"},
                      "Every picture with all others: one neighbour is a matter of luck."),
        Misconception("the ratio is upside down", {"order": "inverse"},
                      "What is not seen must give 0."),
        Misconception("the difference in place of the ratio", {"order": "difference"},
                      "Multiply all distances by 2: the answer must stay the same."),
        Misconception("the ratios are averaged", {"order": "mean of ratios"},
                      "A convention: here the ratio of two means, which one odd picture cannot spoil."),
        Misconception("one value for each picture is returned", {"order": "each"},
                      "One number: the mean of all above the mean of all."),
    ],
    cases=lambda: [_changed(7, 4, 0), _changed(5, 3, 1), _changed(9, 6, 2)],
    shapes="moved takes z [N, D] and changed [N, D] and returns a scalar.",
)


def _changed(n: int, d: int, seed: int) -> tuple:
    """Embeddings of lengths that differ, and the same a little moved."""
    g = generator(seed)
    z = torch.randn(n, d, generator=g, dtype=torch.float64)
    changed = z + 0.5 * torch.randn(n, d, generator=g, dtype=torch.float64)
    length = torch.rand(2, n, 1, generator=g, dtype=torch.float64) * 3 + 0.3
    return z * length[0], changed * length[1]


def wrong_allowed(needs: Tensor, erases: Tensor, *, rule="none needed", invert=False, transpose=False) -> Tensor:
    """Which augmentation [A, F] a task [T, F] allows, bool [T, A], with switches for what is often done otherwise."""
    need, erase = needs.bool()[:, None], erases.bool()[None]                                  # [T, 1, F], [1, A, F]
    fits = {"none needed": ~(need & erase).any(2),                   # it erases nothing that is needed
            "not all needed": ~(erase | ~need).all(2),               # something needed is left
            "not all erased": ~(need | ~erase).all(2),               # something that it erases is not needed
            "same": (need != erase).all(2),                          # it erases just what is not needed
            "all else": (need | erase).all(2),                       # it erases all that is not needed
            "no overlap count": (need & erase).sum(2),
            "one": ~(need & erase).any(2) & (erase & ~need).any(2)}[rule]
    fits = (fits == 0 if fits.dtype == torch.bool else fits) if invert else fits
    return fits.T if transpose else fits


allowed = Check(
    "allowed",
    "Convention: needs [T, F], what each task needs, and erases [A, F], what each augmentation erases, both of True and False (or 1 "
    "and 0) -> [T, A], True where the augmentation erases nothing that the task needs.",
    wrong_allowed,
    wrong_allowed,
    [
        Misconception("what is forbidden is returned", {"invert": True},
                      "True means: may be used."),
        Misconception("forbidden only if everything the task needs is erased", {"rule": "not all needed"},
                      "A task that needs colour and shape: is it content with the shape?"),
        Misconception("forbidden only if all that it erases is needed", {"rule": "not all erased"},
                      "Random crop erases position and size. A task that needs the size: does it help that position goes, too?"),
        Misconception("it must erase all that is not needed", {"rule": "all else"},
                      "That may be desirable. Is it necessary, for it to do no harm?"),
        Misconception("it must erase all that is not needed, and nothing else", {"rule": "same"},
                      "That may be desirable. Is it necessary, for it to do no harm?"),
        Misconception("an augmentation that erases nothing is forbidden", {"rule": "one"},
                      "Useless is not harmful: noise on the pixels erases no factor, and is allowed."),
        Misconception("overlaps are counted", {"rule": "no overlap count"},
                      "Yes or no: how many may there be?"),
        Misconception("augmentations are rows, tasks are columns", {"transpose": True},
                      "[T, A]: a row for each task."),
    ],
    cases=lambda: [_tasks(5, 4, 6, 0), _tasks(4, 6, 5, 1)],
    shapes="allowed takes needs [T, F] and erases [A, F] and returns [T, A].",
)


def _tasks(tasks: int, augmentations: int, factors: int, seed: int) -> tuple:
    """Random needs and effects; one task needs all, one nothing; one augmentation erases all, one nothing."""
    g = generator(seed)
    needs = torch.rand(tasks, factors, generator=g) < 0.5
    erases = torch.rand(augmentations, factors, generator=g) < 0.35
    needs[0], needs[1], erases[0], erases[1] = True, False, False, True
    erases[2] = ~needs[2]                                            # just what the task does not need
    return needs, erases
