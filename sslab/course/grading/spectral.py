"""Lesson 17's objective as a pure function, so that it can be graded: what its loss and its levels say of given z.

The lesson's own check trains, makes encoders and starts processes; a grader runs none of that. What is left out
(the promises of `check.own_objective`) the student's notebook shows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.capstone import wrong_spectral
from sslab.lab.checks.engine import Check, Misconception, generator, reaches

WIDTH = 128                                                         # of z in lesson 17, as reference_levels says
# Runs after the student's class: see() gives what it is given, and nothing else of an objective is there.
WRAPPER = """
def spectral_objective(h, z, push, radius):
    from types import SimpleNamespace
    me = SimpleNamespace(push=push, radius=radius, see=lambda views: (h, z))
    loss, levels = Spectral.forward(me, None), Spectral.reference_levels(me)
    return [loss.total, loss.terms["attraction"], torch.tensor(float(levels["collapsed"])), torch.tensor(float(levels["unrelated"]))]
"""


def wrong_objective(h: Tensor, z: Tensor, push: float, radius: float, *, scaled="root", normalised=True, paired="halves", pushed=True,
                    collapsed="both", unrelated="width", exchanged=False) -> Tensor:
    """Loss, attraction and levels of z [2B, P], with switches for what is often done otherwise."""
    z = F.normalize(z, dim=1) if normalised else z
    z = z * {"root": radius**0.5, "radius": radius, "no": 1.0}[scaled]
    z1, z2 = z.chunk(2) if paired == "halves" else (z[::2], z[1::2])
    total = wrong_spectral(z1, z2, push if pushed else 1.0)
    low = push * radius**2 - 2 * radius if collapsed == "both" else push * radius**2
    apart = push * radius**2 / (WIDTH if unrelated == "width" else len(z1)) if unrelated != "zero" else 0.0
    levels = (apart, low) if exchanged else (low, apart)
    return torch.stack([total, wrong_spectral(z1, z2, 0.0), *(torch.tensor(level, dtype=z.dtype) for level in levels)])


def _views(b: int, push: float, radius: float, seed: int) -> tuple:
    g = generator(seed)
    one = torch.randn(b, WIDTH, generator=g)
    return torch.randn(2 * b, 64, generator=g), torch.cat([one, one + 0.7 * torch.randn(b, WIDTH, generator=g)]), push, radius


spectral_objective = Check(
    "own_objective",
    "Convention: z of length root of radius, both halves gathered, the loss of exercise 1 with push; levels of z that are all the same "
    "and of z that are unrelated.",
    wrong_objective,
    wrong_objective,
    [
        Misconception("z has length 1, not the root of radius", {"scaled": "no"}, "Change radius: your loss stays the same."),
        Misconception("z has length radius, not its root", {"scaled": "radius"}, "It is the squared length that is radius."),
        Misconception("z is not normalised", {"normalised": False}, "What keeps z from growing without end?"),
        Misconception("neighbouring rows are taken for partners", {"paired": "neighbours"},
                      "The batch holds all first views, then all second ones."),
        Misconception("push is not used", {"pushed": False}, "Change push: your loss stays the same."),
        Misconception("the collapsed level lacks the attraction", {"collapsed": "push"}, "Where all z are the same, partners are too."),
        Misconception("the unrelated level is 0", {"unrelated": "zero"}, "In 128 dimensions directions at random are not quite at right angles."),
        Misconception("the unrelated level is divided by the batch", {"unrelated": "batch"},
                      "How large is the squared cosine of two directions at random, on average?"),
        Misconception("the two levels are exchanged", {"exchanged": True}, "Which one is high?"),
    ],
    cases=lambda: [_views(4, 1.0, 4.0, 0), _views(3, 0.4, 2.5, 1), _views(6, 3.0, 9.0, 2)],
    promises=[(Misconception("no gradient reaches z", {}, "Look for .detach(), .item(), .data or no_grad."),
               lambda function, case: not reaches(function, case, 1))],
    shapes="forward gives a Loss with a total and the term attraction; reference_levels gives collapsed and unrelated.",
)
