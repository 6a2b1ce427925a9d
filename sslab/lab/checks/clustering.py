"""A check of what SwAV is made of."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def _reference_sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """SwAV's codes [B, K], kept as logarithms so that nothing overflows."""
    b, k = scores.shape
    q = (scores / epsilon).double()                                  # [B, K]
    for _ in range(iterations):
        q = q - q.logsumexp(0, keepdim=True) - math.log(k)           # columns sum to 1 / K
        q = q - q.logsumexp(1, keepdim=True) - math.log(b)           # rows sum to 1 / B
    return q.exp() * b


def wrong_sinkhorn(scores: Tensor, epsilon: float, iterations: int, *, temper="divide", shift=False, exp=True,
                   order="columns, rows", repeat="iterations", total="rows sum to 1", hard=False) -> Tensor:
    """Codes [B, K] for scores [B, K], with switches for what is often done otherwise."""
    b, k = scores.shape
    s = {"divide": scores / epsilon, "multiply": scores * epsilon, "ignore": scores}[temper].double()
    s = s - s.amax(1, keepdim=True) if shift else s
    q = s.exp() if exp else s                                        # [B, K]
    q = q / q.sum()
    for _ in range({"iterations": iterations, "more": iterations + 1, "less": iterations - 1, "three": 3,
                    "one": 1}[repeat]):
        sums = q.sum(0, keepdim=True) * k, q.sum(1, keepdim=True) * b                      # [1, K], [B, 1]
        for dim in {"columns, rows": (0, 1), "rows, columns": (1, 0), "rows": (1,), "columns": (0,),
                    "at once": (0, 1), "none": ()}[order]:
            q = q / (sums[dim] if order == "at once" else q.sum(dim, keepdim=True) * (k, b)[dim])
    q = q * b                                                        # in total 1, then B
    if hard:
        return F.one_hot(q.argmax(1), k).to(q)
    return {"rows sum to 1": q, "1": q / b, "K": q / b * k, "K, B exchanged": q * b / k, "columns": q / b * k,
            "transposed": q.T}[total]


sinkhorn = Check(
    "sinkhorn",
    "Convention: scores [B, K], epsilon, iterations -> codes [B, K]; exp(scores / epsilon); in each iteration first "
    "each prototype's column is divided by its sum and by K, then each picture's row by its sum and by B; at the end "
    "times B, so that rows sum to 1. Whether it carries a gradient is up to you. Caron et al. 2020, section 3.1.",
    _reference_sinkhorn,
    wrong_sinkhorn,
    [
        Misconception("rows come before columns", {"order": "rows, columns"},
                      "What is done last holds exactly. Which is to hold: that rows sum to 1, or that prototypes are "
                      "used alike?"),
        Misconception("columns sum to 1, not rows", {"order": "rows, columns", "total": "columns"},
                      "The paper's matrix stands the other way, [K, B]. Each picture's codes must sum to 1."),
        Misconception("only rows are normalised", {"order": "rows"},
                      "That is a softmax. Nothing prevents all pictures from taking the same prototype."),
        Misconception("only columns are normalised", {"order": "columns"},
                      "Prototypes are used alike, but do a picture's codes sum to 1?"),
        Misconception("only the total is normalised", {"order": "none"},
                      "Where do the iterations come in?"),
        Misconception("epsilon multiplies", {"temper": "multiply"},
                      "A small epsilon must make the codes sharp."),
        Misconception("epsilon is not used", {"temper": "ignore"},
                      "Change epsilon: your codes stay the same."),
        Misconception("the exponential is missing", {"exp": False},
                      "Scores may be negative, shares may not."),
        Misconception("one iteration too many", {"repeat": "more"},
                      "An iteration is columns and rows, both. Count yours."),
        Misconception("one iteration too few", {"repeat": "less"},
                      "An iteration is columns and rows, both. Count yours."),
        Misconception("always three iterations", {"repeat": "three"},
                      "Change the number of iterations: your codes stay the same."),
        Misconception("always one iteration", {"repeat": "one"},
                      "Change the number of iterations: your codes stay the same."),
        Misconception("the codes sum to 1 in total", {"total": "1"},
                      "Each row sums to 1 / B. A target for one picture sums to 1."),
        Misconception("times K, not B", {"total": "K"},
                      "Each row must sum to 1. What does yours sum to?"),
        Misconception("K and B are exchanged", {"total": "K, B exchanged"},
                      "How many columns share the total, and how many rows? Each row must sum to 1 at the end."),
        Misconception("the codes are transposed", {"total": "transposed"},
                      "Back to [B, K]."),
        Misconception("the codes are hard", {"hard": True},
                      "A mere convention: the paper found soft codes to be better, and keeps them soft."),
        Misconception("each row's own largest score is subtracted", {"shift": True},
                      "The columns come first, and to them rows are no longer on one scale. What may be subtracted "
                      "from all scores alike?"),
        Misconception("rows and columns are divided at once", {"order": "at once"},
                      "The rows' sums must be taken after the columns have been divided."),
    ],
    cases=lambda: [_scores(6, 4, 0.3, 3, 0), _scores(5, 3, 0.25, 1, 1), _scores(4, 6, 0.4, 2, 2)],
    extreme=(lambda: [((1 - 0.4 * torch.rand(6, 4, generator=generator(3))), 0.006, 3)],
             Misconception("NaN at a small epsilon", {},
                           "exp(1 / 0.006) does not fit into float32. What may be subtracted from all scores alike "
                           "without changing the codes? Or keep logarithms.")),
    shapes="sinkhorn takes scores [B, K], epsilon and a number of iterations and returns codes [B, K].",
)


def _scores(b: int, k: int, epsilon: float, iterations: int, seed: int) -> tuple:
    """Cosines [B, K], with one prototype that all pictures like."""
    scores = torch.rand(b, k, generator=generator(seed), dtype=torch.float64) * 1.4 - 0.9
    scores[:, 0] += 0.4
    return scores, epsilon, iterations
