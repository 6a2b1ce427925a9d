"""Checks of 12: planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import math

import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.objectives import prototypes_used, swav


def soft(s, t):
    return F.softmax(s / t, dim=1)


def one(s, q, t):
    return -torch.mean(torch.sum(q * F.log_softmax(s / t, dim=1), dim=1))


def loop_swapped(s1, s2, q1, q2, t):
    total = 0.0
    for i in range(len(s1)):
        for s, q in ((s1[i], q2[i]), (s2[i], q1[i])):
            log_p = s / t - torch.logsumexp(s / t, 0)
            total = total - sum(q[k] * log_p[k] for k in range(len(q)))
    return total / (2 * len(s1))


def in_place_swapped(s1, s2, q1, q2, t):
    s1 /= t
    s2 /= t
    return (one(s1, q2, 1) + one(s2, q1, 1)) / 2


WRONG_SWAPPED = {
    "each view predicts its own code": lambda a, b, p, q, t: (one(a, p, t) + one(b, q, t)) / 2,
    "only view 1 predicts": lambda a, b, p, q, t: F.cross_entropy(a / t, q),
    "only view 2 predicts": lambda a, b, p, q, t: F.cross_entropy(b / t, p),
    "the two directions are summed, not averaged": lambda a, b, p, q, t: one(a, q, t) + one(b, p, t),
    "temperature multiplies": lambda a, b, p, q, t: (one(a * t, q, 1) + one(b * t, p, 1)) / 2,
    "temperature is not used": lambda a, b, p, q, t: (one(a, q, 1) + one(b, p, 1)) / 2,
    "the softmax goes over the pictures": lambda a, b, p, q, t: (
        -(q * (a / t).log_softmax(0) + p * (b / t).log_softmax(0)).sum() / len(a) / 2
    ),
    "the logarithm is missing": lambda a, b, p, q, t: -(q * soft(a, t) + p * soft(b, t)).sum(1).mean() / 2,
    "the softmax is missing": lambda a, b, p, q, t: -(q * a / t + p * b / t).sum(1).mean() / 2,
    "code and prediction are exchanged": lambda a, b, p, q, t: (
        -(soft(a, t) * q.log() + soft(b, t) * p.log()).sum(1).mean() / 2
    ),
    "the codes are made hard": lambda a, b, p, q, t: (
        (F.cross_entropy(a / t, q.argmax(1)) + F.cross_entropy(b / t, p.argmax(1))) / 2
    ),
    "the codes' entropy is subtracted": lambda a, b, p, q, t: (
        F.kl_div((a / t).log_softmax(1), q, reduction="batchmean") + F.kl_div((b / t).log_softmax(1), p, reduction="batchmean")
    ) / 2,
    "the sign is wrong": lambda a, b, p, q, t: -(one(a, q, t) + one(b, p, t)) / 2,
    "the sum over the pictures is taken, not the mean": lambda a, b, p, q, t: loop_swapped(a, b, p, q, t) * len(a),
    "the mean is taken over the prototypes too": lambda a, b, p, q, t: (
        -(q * soft(a, t).log() + p * soft(b, t).log()).mean() / 2
    ),
    "one value for each picture is returned": lambda a, b, p, q, t: (
        F.cross_entropy(a / t, q, reduction="none") + F.cross_entropy(b / t, p, reduction="none")
    ) / 2,
    "only view 1 predicts and temperature is not used": lambda a, b, p, q, t: one(a, q, 1),
    "NaN or infinity at a low temperature": lambda a, b, p, q, t: (
        -(q * soft(a, t).log() + p * soft(b, t).log()).sum(1).mean() / 2
    ),
    "detached": lambda a, b, p, q, t: loop_swapped(a, b, p, q, t).item(),
    "part of it is detached": lambda a, b, p, q, t: loop_swapped(a, b.detach(), p, q, t),
}
WRONG_USED = {
    "a prototype that nobody chooses gives NaN": lambda s: torch.exp(
        -((p := torch.bincount(s.argmax(1), minlength=s.shape[1]) / len(s)) * p.log()).sum()
    ),
    "the prototypes are counted, whatever their share": lambda s: len(s.argmax(1).unique()),
    "the entropy itself is returned": lambda s: torch.special.entr(shares(s)).sum(),
    "2 to the power of an entropy in nats": lambda s: 2 ** torch.special.entr(shares(s)).sum(),
    "e to the power of an entropy in bits": lambda s: torch.exp(-sum(p * math.log2(p) for p in shares(s) if p > 0)),
    "the sign is wrong": lambda s: math.exp(sum(p * math.log(p) for p in shares(s).tolist() if p > 0)),
    "the softmax's mean in place of the choices": lambda s: torch.special.entr(s.softmax(1).mean(0)).sum().exp(),
    "the smallest score is chosen": lambda s: perplexity((-s).argmax(1)),
    "each prototype chooses a picture": lambda s: perplexity(s.argmax(0)),
    "counts are not divided by their sum": lambda s: torch.special.entr(shares(s) * len(s)).sum().exp(),
    "divided by K": lambda s: perplexity(s.argmax(1)) / s.shape[1],
    "the inverse of the sum of squares": lambda s: 1 / (shares(s) ** 2).sum(),
    "the inverse of the largest share": lambda s: 1 / shares(s).max(),
}


def shares(s):
    return torch.bincount(s.argmax(1), minlength=s.shape[1]) / len(s)


def perplexity(choices):
    _, counts = choices.unique(return_counts=True)
    p = counts / counts.sum()
    return torch.exp(-(p * p.log()).sum())


def loop_used(s):
    counts = {}
    for row in s.tolist():
        best = max(range(len(row)), key=row.__getitem__)
        counts[best] = counts.get(best, 0) + 1
    return math.prod((c / len(s)) ** (-c / len(s)) for c in counts.values())


WRONG = {"swapped_prediction": WRONG_SWAPPED, "prototypes_used": WRONG_USED}
RIGHT = {
    "swapped_prediction": [
        lambda a, b, p, q, t: (F.cross_entropy(a / t, q) + F.cross_entropy(b / t, p)) / 2,
        loop_swapped,
        lambda a, b, p, q, t: swav([a, b], [p, q], t),
        lambda a, b, p, q, t: (one(torch.cat([a, b]), torch.cat([q, p]), t)),
        lambda a, b, p, q, t: ((a / t).logsumexp(1) - (q * a).sum(1) / t + (b / t).logsumexp(1) - (p * b).sum(1) / t).mean() / 2,
        in_place_swapped,
    ],
    "prototypes_used": [
        prototypes_used,
        lambda s: perplexity(s.argmax(1)),
        loop_used,
        lambda s: 2 ** -sum(p * math.log2(p) for p in shares(s).tolist() if p),
        lambda s: torch.distributions.Categorical(probs=F.one_hot(s.max(1).indices, s.shape[1]).float().mean(0)).perplexity(),
    ],
}
