"""Checks of what a contrastive loss is made of."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def _reference_nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    from sslab.objectives import nt_xent

    return nt_xent(z1, z2, temperature)


def wrong_nt_xent(z1: Tensor, z2: Tensor, temperature: float, *, normalise="rows", similarity="cosine",
                  temper="divide", mask="minus infinity", denominator="all", positive="partner",
                  softmax="rows", log=True, sign=-1.0, rows="both", reduce="mean") -> Tensor:
    """NT-Xent with a switch for everything that is often done otherwise; z1, z2 [B, D]."""
    b = len(z1)
    z = torch.cat([z1, z2])                                          # [2B, D]
    if normalise != "no":
        z = F.normalize(z, dim={"rows": 1, "columns": 0}[normalise])
    squared = (z[:, None] - z[None]).square().sum(2)                 # [2B, 2B]
    s = {"cosine": z @ z.T, "squared": -squared, "distance": -squared.clamp_min(1e-24).sqrt()}[similarity]
    s = {"divide": s / temperature, "multiply": s * temperature, "ignore": s}[temper]
    index = torch.arange(2 * b)
    target = {"partner": index.roll(b), "itself": index, "next": index.roll(b - 1), "neighbour": index ^ 1,
              "first": torch.zeros_like(index)}[positive]            # [2B]
    value = s[index, target]                                         # [2B], before the mask
    own = torch.eye(2 * b, dtype=torch.bool)
    s = {"minus infinity": s.masked_fill(own, -math.inf), "zero": s.masked_fill(own, 0.0), "no": s}[mask]
    if positive == "itself":
        value = s[index, target]
    outside = {"all": torch.zeros_like(own), "all but the positive": F.one_hot(target, 2 * b).bool(),
               "other view": (index[:, None] < b) == (index[None] < b)}[denominator]
    s = s.masked_fill(outside, -math.inf)
    if rows == "first":
        s, value = s[:b], value[:b]
    log_sum = s.flatten().logsumexp(0) if softmax == "whole" else s.logsumexp(1)
    each = value - log_sum                                           # [2B], log of the positive's probability
    each = sign * (each if log else each.exp())
    return {"mean": each.mean(), "sum": each.sum(), "half": each.sum() / b, "none": each}[reduce]


nt_xent = Check(
    "nt_xent",
    "Convention: z1, z2 [B, D] at any scale, normalised inside; similarities divided by the temperature; "
    "each of the 2B views looks for its partner among the 2B - 1 others (not itself); the mean over all 2B, "
    "in nats. Chen et al. 2020, equation 1.",
    _reference_nt_xent,
    wrong_nt_xent,
    [
        Misconception("self-pairs are not masked", {"mask": "no"},
                      "A view is most similar to itself. What must not be in the denominator?"),
        Misconception("self-pairs are masked with 0", {"mask": "zero"},
                      "exp(0) is 1, so a view still competes with itself. Whose exponential is 0?"),
        Misconception("the positive's index is off by B", {"positive": "itself"},
                      "Row i points at itself. Its partner is the same picture in the other half."),
        Misconception("the positive's index is off by one", {"positive": "next"},
                      "Row 0's partner is row B, row B's partner is row 0: write the index out for B = 2."),
        Misconception("the positive is the neighbouring row", {"positive": "neighbour"},
                      "That is right if views alternate. Here z1 is stacked on z2."),
        Misconception("every row has the same positive", {"positive": "first"},
                      "Each row has its own partner."),
        Misconception("temperature multiplies", {"temper": "multiply"},
                      "A lower temperature must make the softmax sharper."),
        Misconception("temperature is not used", {"temper": "ignore"},
                      "Change the temperature: your loss stays the same."),
        Misconception("features are not normalised", {"normalise": "no"},
                      "Multiply z1 by 10: the loss must not change."),
        Misconception("features are normalised over the batch", {"normalise": "columns"},
                      "Each row of z has length 1: which dim is that?"),
        Misconception("only one direction is counted", {"rows": "first"},
                      "The rows of z1 look for their partners; those of z2 do so too: 2B terms."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Twice the batch must not be twice the loss."),
        Misconception("the sum is divided by B, not 2B", {"reduce": "half"},
                      "There are 2B views, and so 2B terms."),
        Misconception("one value for each view is returned", {"reduce": "none"},
                      "A loss is one number: take the mean."),
        Misconception("negatives come from the other view only", {"denominator": "other view"},
                      "That is InfoNCE between two sets. In NT-Xent the other pictures of the same view "
                      "are negatives too."),
        Misconception("the positive is left out of the denominator", {"denominator": "all but the positive"},
                      "It is a softmax: what is in the numerator is in the denominator too."),
        Misconception("the sign is wrong", {"sign": 1.0},
                      "Training makes the loss smaller. Should that make the positive likelier?"),
        Misconception("the logarithm is missing", {"log": False},
                      "Cross-entropy is the negative logarithm of the probability."),
        Misconception("squared distance in place of cosine", {"similarity": "squared"},
                      "On the sphere that is 2 - 2 cos: right in its order, and it halves the "
                      "temperature."),
        Misconception("distance in place of cosine", {"similarity": "distance"},
                      "NT-Xent compares by the cosine of the angle."),
        Misconception("the softmax goes over the whole matrix", {"softmax": "whole"},
                      "Each row is a question of its own: which dim?"),
    ],
    cases=lambda: [_views(4, 6, 0.5, 0), _views(3, 5, 0.2, 1), _views(5, 3, 2.0, 2)],
    extreme=(lambda: [tuple(x.float() if isinstance(x, Tensor) else x for x in _views(4, 6, 0.004, 3))],
             Misconception("NaN or infinity at a low temperature", {},
                           "exp(1 / 0.004) does not fit into float32. logsumexp, log_softmax and "
                           "cross_entropy subtract the largest value first.")),
    differentiable=True,
    shapes="nt_xent takes z1 [B, D], z2 [B, D] and a temperature and returns a scalar; stacked: [2B, D].",
)


def wrong_cosine(z1: Tensor, z2: Tensor, *, normalise="both", over=1, power=1, sets="both",
                 result="cosine") -> Tensor:
    """Cosines [A, B] of z1 [A, D] and z2 [B, D], with switches for what is often done otherwise."""
    def unit(z: Tensor) -> Tensor:
        return z / (z.norm() if over == "all" else z.norm(dim=over, keepdim=True)) ** power

    a = unit(z1) if normalise in ("both", "first") else z1
    b = unit(z2) if normalise in ("both", "second") else z2
    a, b = {"both": (a, b), "first": (a, a), "swapped": (b, a)}[sets]
    if result == "paired":
        n = min(len(a), len(b))
        return (a[:n] * b[:n]).sum(1)
    return {"cosine": a @ b.T, "distance": 1 - a @ b.T, "angle": (a @ b.T).clamp(-1, 1).arccos()}[result]


cosine_similarity_matrix = Check(
    "cosine_similarity_matrix",
    "Convention: z1 [A, D], z2 [B, D] -> [A, B]; entry (a, b) is the cosine of the angle between z1[a] and "
    "z2[b], from -1 to 1.",
    wrong_cosine,
    wrong_cosine,
    [
        Misconception("features are not normalised", {"normalise": "no"},
                      "Multiply z1 by 10: a cosine must not change."),
        Misconception("only z1 is normalised", {"normalise": "first"},
                      "Both vectors have a length."),
        Misconception("only z2 is normalised", {"normalise": "second"},
                      "Both vectors have a length."),
        Misconception("features are normalised over the batch", {"over": 0},
                      "Each row is a vector: which dim runs along a row?"),
        Misconception("the whole matrix is normalised at once", {"over": "all"},
                      "Each row has a length of its own."),
        Misconception("divided by the squared length", {"power": 2},
                      "A length is the square root of the sum of squares."),
        Misconception("the matrix is transposed", {"sets": "swapped"},
                      "Rows belong to z1, columns to z2."),
        Misconception("z1 is compared with itself", {"sets": "first"},
                      "Where does z2 come in?"),
        Misconception("only matching rows are compared", {"result": "paired"},
                      "Every row of z1 with every row of z2: a matrix product."),
        Misconception("a distance is returned", {"result": "distance"},
                      "1 - cos is small for what is alike. A similarity is large."),
        Misconception("the angle is returned", {"result": "angle"},
                      "Its cosine is wanted."),
    ],
    cases=lambda: [_matrices(3, 5, 4, 0), _matrices(4, 4, 6, 1), _matrices(6, 2, 3, 2)],
    differentiable=True,
    shapes="cosine_similarity_matrix takes z1 [A, D] and z2 [B, D] and returns [A, B].",
)


def wrong_positive_index(b: int, *, points="partner") -> Tensor:
    """The row of each view's partner [2B], with a switch for what is often done otherwise."""
    index = torch.arange(2 * b)
    return {"partner": index.roll(b), "itself": index, "next": index.roll(b - 1),
            "previous": index.roll(b + 1), "neighbour": index ^ 1, "no wrap": index + b,
            "first half": index[b:], "second": index % b + b,
            "mirror": index.flip(0), "without self": torch.cat([index[:b] + b - 1, index[:b]])}[points]


positive_index = Check(
    "positive_index",
    "Convention: z1 [B, D] is stacked on z2 [B, D]; entry i of the result [2B] is the row where the other "
    "view of the same picture stands.",
    wrong_positive_index,
    wrong_positive_index,
    [
        Misconception("each row points at itself", {"points": "itself"},
                      "Off by B: the partner is in the other half."),
        Misconception("the index is off by one", {"points": "next"},
                      "For B = 2 the answer is 2, 3, 0, 1."),
        Misconception("the index is one too small", {"points": "previous"},
                      "For B = 2 the answer is 2, 3, 0, 1."),
        Misconception("neighbours are taken as partners", {"points": "neighbour"},
                      "That is right if views alternate: here z1 is stacked on z2."),
        Misconception("the second half points past the end", {"points": "no wrap"},
                      "There are only 2B rows: i + B must come round again."),
        Misconception("only the first half is answered", {"points": "first half"},
                      "All 2B rows have a partner."),
        Misconception("the second half points at itself", {"points": "second"},
                      "Rows B, B + 1, ... have their partners in the first half."),
        Misconception("the order is reversed", {"points": "mirror"},
                      "Row 0's partner is row B, not the last one."),
        Misconception("the index counts columns without the diagonal", {"points": "without self"},
                      "That is right once the diagonal has been cut out. Here all 2B columns are there."),
    ],
    cases=lambda: [(4,), (3,), (7,)],
    shapes="positive_index takes a whole number B and returns 2B whole numbers.",
)


def _views(b: int, d: int, temperature: float, seed: int) -> tuple:
    """Two views [B, D] in float64 that resemble each other, of lengths that differ."""
    noise = torch.randn(3, b, d, generator=generator(seed), dtype=torch.float64)
    lengths = torch.rand(2, b, 1, generator=generator(seed + 100), dtype=torch.float64) * 2 + 0.5
    return (noise[0] + 0.6 * noise[1]) * lengths[0], (noise[0] + 0.6 * noise[2]) * lengths[1], temperature


def _matrices(a: int, b: int, d: int, seed: int) -> tuple:
    numbers = torch.randn(a + b, d, generator=generator(seed), dtype=torch.float64)
    return numbers[:a] * 2, numbers[a:] * 3


def wrong_push_weights(similarity: Tensor, temperature: float, *, temper="divide", mask="before", over="rows",
                       kind="softmax") -> Tensor:
    """Softmax weights [N, N] of cosines [N, N], with switches for what is often done otherwise."""
    s = {"divide": similarity / temperature, "multiply": similarity * temperature, "ignore": similarity}[temper]
    own = torch.eye(len(s), dtype=torch.bool)
    if mask == "before":
        s = s.masked_fill(own, -math.inf)
    if mask == "zero":
        s = s.masked_fill(own, 0.0)
    if kind == "exponential":
        return s.exp()
    if kind == "log":
        return s.log_softmax(1)
    weights = {"rows": lambda: s.softmax(1), "columns": lambda: s.softmax(0),
               "whole": lambda: s.flatten().softmax(0).view_as(s)}[over]()
    return weights.masked_fill(own, 0.0) if mask == "after" else weights


push_weights = Check(
    "push_weights",
    "Convention: similarity [N, N] -> [N, N]; row i is a softmax of similarity[i] / temperature over all but i: its "
    "diagonal is 0, its rows sum to 1.",
    wrong_push_weights,
    wrong_push_weights,
    [
        Misconception("self-pairs are not masked", {"mask": "no"},
                      "A view is most similar to itself: it takes most of the weight of its row."),
        Misconception("self-pairs are masked with 0", {"mask": "zero"},
                      "exp(0) is 1, so a view still pushes itself. Whose exponential is 0?"),
        Misconception("self-pairs are masked after the softmax", {"mask": "after"},
                      "The diagonal is 0, but the rest of the row no longer sums to 1."),
        Misconception("temperature multiplies", {"temper": "multiply"},
                      "A lower temperature must make the softmax sharper."),
        Misconception("temperature is not used", {"temper": "ignore"},
                      "Change the temperature: your weights stay the same."),
        Misconception("the softmax goes over the columns", {"over": "columns"},
                      "Row i says who pushes view i: which dim runs along a row?"),
        Misconception("the softmax goes over the whole matrix", {"over": "whole"},
                      "Each row sums to 1 by itself."),
        Misconception("weights are not normalised", {"kind": "exponential"},
                      "Shares of a push: each row sums to 1."),
        Misconception("logarithms are returned", {"kind": "log"},
                      "That is log_softmax; the weights are its exponential."),
    ],
    cases=lambda: [_cosines(5, 0.5, 0), _cosines(4, 0.1, 1), _cosines(6, 2.0, 2)],
    shapes="push_weights takes similarity [N, N] and a temperature and returns [N, N].",
)


def _cosines(n: int, temperature: float, seed: int) -> tuple[Tensor, float]:
    z = F.normalize(torch.randn(n, 4, generator=generator(seed), dtype=torch.float64), dim=1)
    return z @ z.T + 0.1 * torch.randn(n, n, generator=generator(seed + 9), dtype=torch.float64), temperature
