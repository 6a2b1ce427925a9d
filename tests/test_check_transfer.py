"""Checks of 15: planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import math

import torch
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.evaluation import corruption_error


def loop_rates(rate, depth, decay):
    rates = [rate]
    while len(rates) < depth:
        rates.insert(0, rates[0] * decay)
    return torch.tensor(rates)


WRONG_RATES = {
    "the layer at the input is the fastest": lambda r, n, d: torch.tensor([r * d**k for k in range(n)]),
    "the head is slowed too": lambda r, n, d: torch.tensor([r * d ** (n - k) for k in range(n)]),
    "the rates fall in equal steps": lambda r, n, d: torch.linspace(r * d, r, n),
    "all layers below the head share one rate": lambda r, n, d: torch.tensor([r * d] * (n - 1) + [r]),
    "the rate is divided by the layer's number": lambda r, n, d: torch.tensor([r / (n - k) for k in range(n)]),
    "it divides by decay": lambda r, n, d: loop_rates(r, n, 1 / d),
    "1 - decay in place of decay": lambda r, n, d: loop_rates(r, n, 1 - d),
    "the head is left out": lambda r, n, d: loop_rates(r, n, d)[:-1],
    "all layers have the same rate": lambda r, n, d: [r] * n,
    "the shares are returned, not the rates": lambda r, n, d: loop_rates(1.0, n, d),
    "the layer at the input is the fastest and it divides by decay": lambda r, n, d: torch.tensor([r / d**k for k in range(n)]),
}


def folded(weight, bias, mean, scale):
    layer = weight / scale[:, None]
    return torch.cat([layer, (bias - mean @ layer)[None]])


WRONG_FOLD = {
    "the mean is not taken off": lambda w, b, m, s: torch.vstack([w / s[:, None], b]),
    "the mean is added, not taken off": lambda w, b, m, s: torch.vstack([w / s[:, None], b + m @ (w / s[:, None])]),
    "the mean goes through the old weight": lambda w, b, m, s: torch.vstack([w / s[:, None], b - m @ w]),
    "the scale is forgotten": lambda w, b, m, s: torch.vstack([w, b - m @ w]),
    "the scale multiplies": lambda w, b, m, s: torch.vstack([(w.T * s).T, b - (m * s) @ w]),
    "one scale for all features": lambda w, b, m, s: torch.vstack([w / s.mean(), b - m @ w / s.mean()]),
    "the bias is divided by the scale": lambda w, b, m, s: torch.vstack([w / s[:, None], b / s.mean() - m @ (w / s[:, None])]),
    "the probe's own bias is dropped": lambda w, b, m, s: torch.vstack([w / s[:, None], -(m @ (w / s[:, None]))]),
    "it is transposed": lambda w, b, m, s: folded(w, b, m, s).T,
    "the mean is not taken off and it is transposed": lambda w, b, m, s: torch.vstack([w / s[:, None], b]).T,
}


def counted(p, t, s):
    n = 1
    while p + n * t >= n * s:
        n += 1
        if n > 1000:
            return math.inf
    return n


WRONG_EVEN = {
    "tuning is taken to be free": lambda p, t, s: p // s + 1,
    "tuning and scratch are added": lambda p, t, s: p // (s + t) + 1,
    "the difference is the wrong way round": lambda p, t, s: p // (t - s) + 1 if t != s else math.inf,
    "pretraining is paid for each task": lambda p, t, s: 1 if p + t < s else math.inf,
    "a ratio for one task is returned": lambda p, t, s: (p + t) // s + 1 if s > t else math.inf,
    "a fraction of a task": lambda p, t, s: p / (s - t) if s > t else math.inf,
    "rounded down": lambda p, t, s: int(p / (s - t)) if s > t else math.inf,
    "rounded to the nearest": lambda p, t, s: round(p / (s - t)) if s > t else math.inf,
    "equal counts as less": lambda p, t, s: math.ceil(p / (s - t)) if s > t else math.inf,
    "where nothing is saved it is not infinity": lambda p, t, s: math.floor(p / (s - t)) + 1 if s != t else math.inf,
    "it divides by 0 where nothing is saved": lambda p, t, s: math.floor(p / (s - t)) + 1,
}


def by_loop(e, b):
    ratios = []
    for mine, theirs in zip(e.tolist(), b.tolist(), strict=True):
        ratios.append(sum(mine) / sum(theirs))
    return sum(ratios) / len(ratios)


WRONG_MCE = {
    "a ratio for each severity": lambda e, b: (e / b).mean(),
    "all corruptions are summed before the ratio": lambda e, b: e.mean() / b.mean(),
    "the sums run over the corruptions": lambda e, b: (e.mean(0) / b.mean(0)).mean(),
    "only the highest severity counts": lambda e, b: (e[:, -1] / b[:, -1]).mean(),
    "the baseline is not used": lambda e, b: e.mean(),
    "the difference in place of the ratio": lambda e, b: (e - b).mean(),
    "the ratio is upside down": lambda e, b: by_loop(b, e),
    "accuracies in place of errors": lambda e, b: by_loop(1 - e, 1 - b),
    "one ratio for each corruption is returned": lambda e, b: e.sum(1) / b.sum(1),
    "it is in percent": lambda e, b: 100 * by_loop(e, b),
    "it is taken from 1": lambda e, b: 1 - by_loop(e, b),
    "the ratio is upside down and it is in percent": lambda e, b: 100 * by_loop(b, e),
}

WRONG = {"layer_rates": WRONG_RATES, "fold_scaling": WRONG_FOLD, "break_even": WRONG_EVEN, "mean_corruption_error": WRONG_MCE}
RIGHT = {
    "layer_rates": [
        loop_rates,
        lambda r, n, d: torch.tensor([r * d ** (n - 1 - k) for k in range(n)]),
        lambda r, n, d: [r * d**k for k in range(n)][::-1],
        lambda r, n, d: torch.logspace(0, n - 1, n, base=d, dtype=torch.float64).flip(0) * r,
    ],
    "fold_scaling": [
        folded,
        lambda w, b, m, s: torch.vstack([torch.diag(1 / s) @ w, b - (m / s) @ w]),
        lambda w, b, m, s: torch.cat([(w.T / s).T, (b - torch.einsum("d,dc->c", m / s, w)).view(1, -1)]),
        lambda w, b, m, s: torch.stack([*(w[i] / s[i] for i in range(len(s))), b - sum(m[i] / s[i] * w[i] for i in range(len(s)))]),
    ],
    "break_even": [
        counted,
        lambda p, t, s: math.floor(p / (s - t)) + 1 if s > t else float("inf"),
        lambda p, t, s: next((n for n in range(1, 500) if p + n * t < n * s), math.inf),
        lambda p, t, s: math.inf if t >= s else int(p // (s - t)) + 1,
    ],
    "mean_corruption_error": [
        by_loop,
        lambda e, b: (e.sum(1) / b.sum(1)).mean(),
        lambda e, b: (e.mean(1) / b.mean(1)).mean(),
        lambda e, b: corruption_error(*({str(k): dict(enumerate(row)) for k, row in enumerate(x.tolist())} for x in (e, b))),
    ],
}
