"""Checks of what SwAV does with its codes: the swapped prediction, and how many prototypes are in use."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def _reference_swapped(scores1: Tensor, scores2: Tensor, codes1: Tensor, codes2: Tensor, temperature: float) -> Tensor:
    """The mean over pictures and both directions, with the logarithm taken by log_softmax."""
    one = -(codes2 * (scores1 / temperature).log_softmax(1)).sum(1)  # [B]
    two = -(codes1 * (scores2 / temperature).log_softmax(1)).sum(1)
    return (one + two).mean() / 2


def wrong_swapped_prediction(scores1: Tensor, scores2: Tensor, codes1: Tensor, codes2: Tensor, temperature: float, *,
                             pairs="swapped", total="mean of two", temper="divide", over=1, log="prediction",
                             target="soft", less="nothing", sign=-1.0, reduce="mean") -> Tensor:
    """SwAV's loss of scores and codes [B, K], with switches for what is often done otherwise."""
    def cross_entropy(scores: Tensor, codes: Tensor) -> Tensor:
        s = {"divide": scores / temperature, "multiply": scores * temperature, "ignore": scores}[temper]
        q = F.one_hot(codes.argmax(1), codes.shape[1]).to(codes) if target == "hard" else codes
        p = s.softmax(over)                                          # [B, K]
        terms = {"prediction": q * s.log_softmax(over), "no": q * p, "codes": p * codes.log(), "softmax": q * s}[log]
        each = sign * terms.sum(1)                                   # [B]
        return each + torch.xlogy(codes, codes).sum(1) if less == "entropy" else each

    chosen = {"swapped": [(scores1, codes2), (scores2, codes1)], "own": [(scores1, codes1), (scores2, codes2)],
              "first": [(scores1, codes2)], "second": [(scores2, codes1)]}[pairs]
    both = sum(cross_entropy(*pair) for pair in chosen) / (len(chosen) if total == "mean of two" else 1)
    return {"mean": both.mean(), "sum": both.sum(), "entries": both.mean() / scores1.shape[1], "none": both}[reduce]


swapped_prediction = Check(
    "swapped_prediction",
    "Convention: scores1, scores2, codes1, codes2 [B, K], temperature -> scalar; the cross-entropy of softmax(scores1 / "
    "temperature) with codes2 and of softmax(scores2 / temperature) with codes1; the mean over the B pictures and the two "
    "directions, in nats. Caron et al. 2020, equations 1 and 2, which sum the directions.",
    _reference_swapped,
    wrong_swapped_prediction,
    [
        Misconception("each view predicts its own code", {"pairs": "own"},
                      "A code is made from these very scores. What does a view learn from itself? Swap."),
        Misconception("only view 1 predicts", {"pairs": "first"},
                      "View 2 has scores too, and view 1 a code."),
        Misconception("only view 2 predicts", {"pairs": "second"},
                      "View 1 has scores too, and view 2 a code."),
        Misconception("the two directions are summed, not averaged", {"total": "sum of two"},
                      "A mere convention: the paper sums them, its code and ours take the mean."),
        Misconception("temperature multiplies", {"temper": "multiply"},
                      "A lower temperature must make the softmax sharper."),
        Misconception("temperature is not used", {"temper": "ignore"},
                      "Change the temperature: your loss stays the same."),
        Misconception("the softmax goes over the pictures", {"over": 0},
                      "Each picture chooses among prototypes: which dim runs over them?"),
        Misconception("the logarithm is missing", {"log": "no"},
                      "Cross-entropy is the negative logarithm of a probability, weighed by the target."),
        Misconception("the softmax is missing", {"log": "softmax"},
                      "Scores are not logarithms of probabilities before they are normalised."),
        Misconception("code and prediction are exchanged", {"log": "codes"},
                      "The logarithm is taken of what is learned: the prediction. The code is the target."),
        Misconception("the codes are made hard", {"target": "hard"},
                      "A mere convention: the paper keeps them soft. Where did the other prototypes' shares go?"),
        Misconception("the codes' entropy is subtracted", {"less": "entropy"},
                      "That is the divergence: its gradient is the same, its value is 0 at best. The paper's loss is the "
                      "cross-entropy."),
        Misconception("the sign is wrong", {"sign": 1.0},
                      "Training makes the loss smaller. Should that make the other view's code likelier?"),
        Misconception("the sum over the pictures is taken, not the mean", {"reduce": "sum"},
                      "Twice the batch must not be twice the loss."),
        Misconception("the mean is taken over the prototypes too", {"reduce": "entries"},
                      "The sum over the prototypes is one cross-entropy. Of those, take the mean."),
        Misconception("one value for each picture is returned", {"reduce": "none"},
                      "A loss is one number."),
    ],
    cases=lambda: [_views(6, 4, 0.3, 0), _views(5, 3, 0.1, 1), _views(4, 7, 2.0, 2)],
    extreme=(lambda: [tuple(x.float() if isinstance(x, Tensor) else x for x in _views(6, 4, 0.004, 3))],
             Misconception("NaN or infinity at a low temperature", {},
                           "The softmax of a prototype may round to 0, and its logarithm is infinite. log_softmax and "
                           "cross_entropy subtract the largest value first.")),
    differentiable=(0, 1),
    shapes="swapped_prediction takes scores1, scores2, codes1, codes2 [B, K] and a temperature and returns a scalar.",
)


def wrong_prototypes_used(scores: Tensor, *, choice="largest", share="of N", unused="nothing", power="e", entropy="nats",
                          measure="perplexity", scale="no") -> Tensor:
    """The perplexity of the prototypes that scores [N, K] choose, with switches for what is often done otherwise."""
    k = scores.shape[1]
    if choice == "soft":
        p = scores.softmax(1).mean(0)                                # [K]
    else:
        winner = {"largest": lambda: scores.argmax(1), "smallest": lambda: scores.argmin(1),
                  "over pictures": lambda: scores.argmax(0)}[choice]()
        counts = torch.bincount(winner, minlength=k).to(scores)
        p = counts / {"of N": counts.sum(), "no": 1, "of K": k}[share]
    terms = p * p.log() if unused == "counts" else torch.xlogy(p, p)
    h = -terms.sum() / {"nats": 1.0, "bits": torch.tensor(2.0).log()}[entropy]
    if scale == "of log K":
        h = h / torch.tensor(float(k)).log()
    value = {"perplexity": {"e": h.exp(), "2": 2**h, "no": h, "negative": (-h).exp()}[power],
             "count": (p > 0).sum(), "Simpson": 1 / p.square().sum(), "largest share": 1 / p.max()}[measure]
    return value / k if scale == "of K" else value


prototypes_used = Check(
    "prototypes_used",
    "Convention: scores [N, K] -> scalar from 1 to K; each picture chooses its largest score; p is the share of the "
    "pictures that choose each prototype; the perplexity, exp of the entropy -sum p log p in nats, where 0 log 0 is 0.",
    wrong_prototypes_used,
    wrong_prototypes_used,
    [
        Misconception("a prototype that nobody chooses gives NaN", {"unused": "counts"},
                      "0 times the logarithm of 0 is NaN on a computer. What should it count?"),
        Misconception("the prototypes are counted, whatever their share", {"measure": "count"},
                      "One that holds half of the pictures and one that holds a single one: should they count alike?"),
        Misconception("the entropy itself is returned", {"power": "no"},
                      "With all K used alike the answer is K. What is the entropy then?"),
        Misconception("2 to the power of an entropy in nats", {"power": "2"},
                      "Base of the logarithm and base of the power must be the same."),
        Misconception("e to the power of an entropy in bits", {"entropy": "bits"},
                      "Base of the logarithm and base of the power must be the same."),
        Misconception("the sign is wrong", {"power": "negative"},
                      "With all K used alike the answer is K, not 1 / K."),
        Misconception("the softmax's mean in place of the choices", {"choice": "soft"},
                      "Each picture chooses one prototype here, the one with its largest score."),
        Misconception("the smallest score is chosen", {"choice": "smallest"},
                      "A score is a cosine: large is near."),
        Misconception("each prototype chooses a picture", {"choice": "over pictures"},
                      "Which dim runs over the prototypes? You need N choices."),
        Misconception("counts are not divided by their sum", {"share": "no"},
                      "Shares sum to 1."),
        Misconception("counts are divided by K, not N", {"share": "of K"},
                      "Shares sum to 1. How many pictures have chosen?"),
        Misconception("divided by K", {"scale": "of K"},
                      "The number of prototypes is asked for, not a share of them."),
        Misconception("the entropy is divided by log K", {"scale": "of log K"},
                      "With all K used alike the answer is K."),
        Misconception("the inverse of the sum of squares", {"measure": "Simpson"},
                      "A number of prototypes too, by another entropy. Here it is the one with the logarithm."),
        Misconception("the inverse of the largest share", {"measure": "largest share"},
                      "It looks at one prototype only. All shares are to count."),
    ],
    cases=lambda: [_choices(12, 5, 0), _choices(9, 4, 1), _choices(20, 7, 2)],
    shapes="prototypes_used takes scores [N, K] and returns a scalar.",
)


def _views(b: int, k: int, temperature: float, seed: int) -> tuple:
    """Scores [B, K] of two views that resemble each other, and codes that are no softmax of theirs."""
    g = generator(seed)
    noise = torch.rand(4, b, k, generator=g, dtype=torch.float64)
    first, second = 0.8 * noise[0] + 0.5 * noise[1] - 0.6, 0.8 * noise[0] + 0.5 * noise[2] - 0.6
    codes = [(z * 4 + noise[3]).softmax(1) for z in (first, second)]
    return first, second, *codes, temperature


def _choices(n: int, k: int, seed: int) -> tuple:
    """Scores [N, K], where some prototypes win often and the last one never."""
    scores = torch.rand(n, k, generator=generator(seed), dtype=torch.float64) - 0.5
    scores[:, 0] += 0.25
    scores[:, -1] -= 0.9
    return (scores,)
