"""Checks of 14: planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.evaluation.factors import equal_classes


def cut(source, values, n):
    return torch.bucketize(values, source.quantile(torch.linspace(0, 1, n + 1, dtype=source.dtype)[1:-1]))


def loop_classes(train, values, n):
    ordered = sorted(train.tolist())
    edges = [ordered[len(ordered) * k // n] for k in range(1, n)]
    return torch.tensor([sum(value >= edge for edge in edges) for value in values.tolist()])


WRONG_CLASSES = {
    "classes of equal width": lambda t, v, n: ((v - t.min()) / (t.max() - t.min()) * n).long().clamp(0, n - 1),
    "the edges come from the values themselves": lambda t, v, n: cut(v, v, n),
    "the edges come from both splits together": lambda t, v, n: cut(torch.cat([v, t]), v, n),
    "one class too many": lambda t, v, n: cut(t, v, n + 1),
    "one class too few": lambda t, v, n: cut(t, v, n - 1),
    "classes start at 1": lambda t, v, n: torch.tensor(np.digitize(v.numpy(), np.quantile(t.numpy(), np.arange(1, n) / n)) + 1),
    "the largest values are class 0": lambda t, v, n: n - 1 - loop_classes(t, v, n),
    "the edges are returned": lambda t, v, n: t.quantile(torch.arange(1, n, dtype=t.dtype) / n),
    "ranks are returned, not classes": lambda t, v, n: v.argsort().argsort(),
    "classes of equal width and classes start at 1": lambda t, v, n: torch.bucketize(
        v, t.min() + (t.max() - t.min()) * torch.arange(1, n, dtype=t.dtype) / n) + 1,
}


def turn(a, b):
    return (a - b + 180) % 360 - 180


def loop_angle(a, b):
    return torch.tensor([min(abs(x - y + 360 * k) for k in range(-5, 6)) for x, y in zip(a.tolist(), b.tolist(), strict=True)])


WRONG_ANGLE = {
    "the circle is cut open at 0": lambda a, b: (a - b).abs(),
    "the longer way round is kept": lambda a, b: (a - b).abs() % 360,
    "more than one turn is not taken off": lambda a, b: torch.minimum((a - b).abs(), 360 - (a - b).abs()),
    "only one full turn is taken off": lambda a, b: torch.where(
        (a - b).abs() > 180, (360 - (a - b).abs()).abs(), (a - b).abs()),
    "the distance has a sign": turn,
    "directions that are opposite count as the same": lambda a, b: torch.minimum((a - b) % 180, (b - a) % 180),
    "the result is in radians": lambda a, b: turn(a, b).abs() * math.pi / 180,
    "degrees were handed to a cosine": lambda a, b: torch.arccos(torch.cos(a - b)) * 180 / math.pi,
    "1 minus the cosine in place of the angle": lambda a, b: 1 - torch.cos(torch.deg2rad(a - b)),
    "the distance is squared": lambda a, b: turn(a, b) ** 2,
    "the mean is returned": lambda a, b: turn(a, b).abs().mean(),
    "the distance has a sign and the result is in radians": lambda a, b: torch.deg2rad(turn(a, b)),
}


def far(z, c, dim=1):
    return 1 - F.normalize(z, dim=dim) @ F.normalize(c, dim=dim).T


def others(d):
    return (d.sum() - d.trace()) / (len(d) * (len(d) - 1))


def loop_moved(z, c):
    own, other = [], []
    for i in range(len(z)):
        for j in range(len(z)):
            d = 1 - float(z[i] @ c[j] / z[i].norm() / c[j].norm())
            (own if i == j else other).append(d)
    return np.mean(own) / np.mean(other)


def in_place_moved(z, c):
    z /= z.norm(dim=1, keepdim=True)
    c /= c.norm(dim=1, keepdim=True)
    d = (z[:, None] - c[None]).square().sum(2)                       # twice 1 - cos
    return d.diagonal().mean() / others(d)


WRONG_MOVED = {
    "rows are not normalised": lambda z, c: (1 - (z * c).sum(1)).mean() / others(1 - z @ c.T),
    "columns are normalised, not rows": lambda z, c: far(z, c, 0).diagonal().mean() / others(far(z, c, 0)),
    "similarity in place of distance": lambda z, c: F.cosine_similarity(z, c).mean() / others(1 - far(z, c)),
    "the Euclidean distance": lambda z, c: (2 * far(z, c).diagonal()).sqrt().mean() / others((2 * far(z, c)).sqrt()),
    "it is not compared with other pictures": lambda z, c: 1 - F.cosine_similarity(z, c).mean(),
    "a picture is among its own others": lambda z, c: far(z, c).diagonal().mean() / far(z, c).mean(),
    "only the next picture is compared with": lambda z, c: (
        far(z, c).diagonal().mean() / (1 - F.cosine_similarity(z, c.roll(-1, 0))).mean()),
    "the ratio is upside down": lambda z, c: others(far(z, c)) / far(z, c).diagonal().mean(),
    "the difference in place of the ratio": lambda z, c: others(far(z, c)) - far(z, c).diagonal().mean(),
    "the ratios are averaged": lambda z, c: torch.stack([
        far(z, c)[i, i] / (far(z, c)[i].sum() - far(z, c)[i, i]) * (len(z) - 1) for i in range(len(z))]).mean(),
    "one value for each picture is returned": lambda z, c: torch.stack([
        far(z, c)[i, i] / (far(z, c)[i].sum() - far(z, c)[i, i]) * (len(z) - 1) for i in range(len(z))]),
    "rows are not normalised and a picture is among its own others": lambda z, c: (
        (1 - (z * c).sum(1)).mean() / (1 - z @ c.T).mean()),
}


def clash(needs, erases):
    return needs.float() @ erases.float().T


WRONG_ALLOWED = {
    "what is forbidden is returned": lambda n, e: clash(n, e) > 0,
    "forbidden only if everything the task needs is erased": lambda n, e: clash(n, e) < n.sum(1, keepdim=True),
    "forbidden only if all that it erases is needed": lambda n, e: clash(n, e) < e.sum(1),
    "it must erase all that is not needed": lambda n, e: clash(~n, ~e) == 0,
    "it must erase all that is not needed, and nothing else": lambda n, e: torch.tensor(
        [[bool((~task == one).all()) for one in e] for task in n]),
    "an augmentation that erases nothing is forbidden": lambda n, e: (clash(n, e) == 0) & (clash(~n, e) > 0),
    "overlaps are counted": clash,
    "augmentations are rows, tasks are columns": lambda n, e: clash(e, n) == 0,
    "what is forbidden is returned and augmentations are rows, tasks are columns": lambda n, e: clash(e, n) > 0,
}

WRONG = {"equal_classes": WRONG_CLASSES, "angular_distance": WRONG_ANGLE, "moved": WRONG_MOVED, "allowed": WRONG_ALLOWED}
RIGHT = {
    "equal_classes": [
        cut,
        loop_classes,
        lambda t, v, n: equal_classes(v, n, t),
        lambda t, v, n: torch.tensor(np.searchsorted(np.quantile(t.numpy(), np.arange(1, n) / n), v.numpy(), side="right")),
        lambda t, v, n: (v[:, None] > t.sort().values[len(t) // n - 1 :: len(t) // n][: n - 1]).sum(1),
        lambda t, v, n: ((v[:, None] >= t).sum(1) * n // (len(t) + 1e-9)).clamp(max=n - 1),
    ],
    "angular_distance": [
        lambda a, b: turn(a, b).abs(),
        loop_angle,
        lambda a, b: torch.minimum((a - b) % 360, (b - a) % 360),
        lambda a, b: 180 - ((a - b).abs() % 360 - 180).abs(),
        lambda a, b: torch.rad2deg(torch.acos(torch.cos(torch.deg2rad(a - b)).clamp(-1, 1))),
    ],
    "moved": [
        lambda z, c: far(z, c).diagonal().mean() / others(far(z, c)),
        loop_moved,
        in_place_moved,
        lambda z, c: (1 - F.cosine_similarity(z, c)).mean() / far(z, c)[~torch.eye(len(z), dtype=torch.bool)].mean(),
    ],
    "allowed": [
        lambda n, e: clash(n, e) == 0,
        lambda n, e: ~(n[:, None] & e[None]).any(2),
        lambda n, e: torch.tensor([[not any(a and b for a, b in zip(task, one, strict=True)) for one in e] for task in n]),
        lambda n, e: (1 - torch.einsum("tf,af->ta", n.double(), e.double())).clamp(min=0),
    ],
}
