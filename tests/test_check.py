"""Checks: every planted mistake is named, differently written right answers pass, nothing raises.

The wrong answers are written by hand, as a student would, not with the switches of the checks' catalogue.
"""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sslab.lab import check
from sslab.lab.checks.engine import _all_same, _attempt


def logits(z1, z2, t, normalise=True):
    z = torch.cat([z1, z2])
    z = F.normalize(z, dim=1) if normalise else z
    return z @ z.T / t


def unit(z, dim=1):
    return F.normalize(z, dim=dim)


def masked(s):
    return s.masked_fill(torch.eye(len(s), dtype=torch.bool), float("-inf"))


def partners(b):
    return torch.cat([torch.arange(b, 2 * b), torch.arange(b)])


# Right: a loop over the equation, logsumexp by hand, the diagonal cut out, numpy-like einsum.


def loop_nt_xent(z1, z2, t):
    z, b, total = [*F.normalize(z1, dim=1), *F.normalize(z2, dim=1)], len(z1), 0
    for i in range(2 * b):
        scores = torch.stack([z[i] @ z[k] / t for k in range(2 * b) if k != i])
        total = total - (z[i] @ z[(i + b) % (2 * b)] / t - torch.logsumexp(scores, 0))
    return total / (2 * b)


def cut_nt_xent(z1, z2, temperature=0.5):
    n, s = 2 * len(z1), logits(z1, z2, temperature)
    s = s.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)
    return F.cross_entropy(s, torch.cat([torch.arange(len(z1)) + len(z1) - 1, torch.arange(len(z1))]))


def halves_nt_xent(z1, z2, tau):
    a, b = (z / z.norm(dim=1, keepdim=True) for z in (z1, z2))
    eye = torch.eye(len(a), dtype=torch.bool)
    aa, bb, ab = (
        (a @ a.T / tau).masked_fill(eye, -math.inf),
        (b @ b.T / tau).masked_fill(eye, -math.inf),
        a @ b.T / tau,
    )
    label = torch.arange(len(a))
    return (
        F.cross_entropy(torch.cat([ab, aa], 1), label) + F.cross_entropy(torch.cat([ab.T, bb], 1), label)
    ) / 2


def big_negative_nt_xent(z1, z2, t):
    s = logits(z1.float(), z2.float(), t) - 1e9 * torch.eye(2 * len(z1))
    return -s.log_softmax(1)[torch.arange(len(s)), partners(len(z1))].mean()


def naive_nt_xent(z1, z2, t):
    s = logits(z1, z2, t).exp() * (1 - torch.eye(2 * len(z1), dtype=z1.dtype))
    return -(s[torch.arange(len(s)), partners(len(z1))] / s.sum(1)).log().mean()


def inplace_nt_xent(z1, z2, t):
    z1 /= z1.norm(dim=1, keepdim=True)
    return loop_nt_xent(z1, z2, t)


def half_detached_nt_xent(z1, z2, t):
    return halves_nt_xent(z1, z2.detach(), t)


WRONG_NT_XENT = {
    "self-pairs are not masked": lambda a, b, t: F.cross_entropy(logits(a, b, t), partners(len(a))),
    "self-pairs are masked with 0": lambda a, b, t: F.cross_entropy(
        logits(a, b, t) * (1 - torch.eye(2 * len(a), dtype=a.dtype)), partners(len(a))
    ),
    "the positive's index is off by B": lambda a, b, t: F.cross_entropy(
        masked(logits(a, b, t)), torch.arange(2 * len(a))
    ),
    "the positive's index is off by one": lambda a, b, t: F.cross_entropy(
        masked(logits(a, b, t)), (partners(len(a)) + 1) % (2 * len(a))
    ),
    "the positive is the neighbouring row": lambda a, b, t: F.cross_entropy(
        masked(logits(a, b, t)), torch.tensor([i + 1 if i % 2 == 0 else i - 1 for i in range(2 * len(a))])
    ),
    "temperature multiplies": lambda a, b, t: cut_nt_xent(a, b, 1 / t),
    "temperature is not used": lambda a, b, t: cut_nt_xent(a, b, 1.0),
    "features are not normalised": lambda a, b, t: F.cross_entropy(
        masked(logits(a, b, t, False)), partners(len(a))
    ),
    "only one direction is counted": lambda a, b, t: F.cross_entropy(
        masked(logits(a, b, t))[: len(a)], torch.arange(len(a), 2 * len(a))
    ),
    "the sum is taken, not the mean": lambda a, b, t: loop_nt_xent(a, b, t) * 2 * len(a),
    "the sum is divided by B, not 2B": lambda a, b, t: loop_nt_xent(a, b, t) * 2,
    "one value for each view is returned": lambda a, b, t: F.cross_entropy(
        masked(logits(a, b, t)), partners(len(a)), reduction="none"
    ),
    "negatives come from the other view only": lambda a, b, t: (
        (
            F.cross_entropy(unit(a) @ unit(b).T / t, torch.arange(len(a)))
            + F.cross_entropy(unit(b) @ unit(a).T / t, torch.arange(len(a)))
        )
        / 2
    ),
    "only one direction is counted and negatives come from the other view only": lambda a, b, t: (
        F.cross_entropy(unit(a) @ unit(b).T / t, torch.arange(len(a)))
    ),
    "the sign is wrong": lambda a, b, t: -cut_nt_xent(a, b, t),
    "squared distance in place of cosine": lambda a, b, t: F.cross_entropy(
        masked(-(torch.cdist(unit(torch.cat([a, b])), unit(torch.cat([a, b]))) ** 2) / t), partners(len(a))
    ),
    "the softmax goes over the whole matrix": lambda a, b, t: (
        -(
            masked(logits(a, b, t))
            .flatten()
            .log_softmax(0)
            .view(2 * len(a), -1)[range(2 * len(a)), partners(len(a))]
        ).mean()
    ),
    "temperature is not used and features are not normalised": lambda a, b, t: F.cross_entropy(
        masked(logits(a, b, 1, False)), partners(len(a))
    ),
    "NaN or infinity at a low temperature": naive_nt_xent,
    "detached": lambda a, b, t: cut_nt_xent(a, b, t).detach(),
    "part of it is detached": half_detached_nt_xent,
    "no gradient": inplace_nt_xent,
}


def test_item_is_detached_too():
    assert check.nt_xent(lambda a, b, t: cut_nt_xent(a, b, t).item()).misconception == "detached"


WRONG_COSINE = {
    "features are not normalised": lambda a, b: a @ b.T,
    "only z1 is normalised": lambda a, b: unit(a, dim=1) @ b.T,
    "features are normalised over the batch": lambda a, b: unit(a, dim=0) @ unit(b, dim=0).T,
    "the whole matrix is normalised at once": lambda a, b: (a / a.norm()) @ (b / b.norm()).T,
    "the matrix is transposed": lambda a, b: unit(b) @ unit(a).T,
    "only matching rows are compared": lambda a, b: F.cosine_similarity(
        a[: min(len(a), len(b))], b[: min(len(a), len(b))]
    ),
    "a distance is returned": lambda a, b: 1 - unit(a) @ unit(b).T,
    "divided by the squared length": lambda a, b: (
        (a / (a * a).sum(1, keepdim=True)) @ (b / (b * b).sum(1, keepdim=True)).T
    ),
    "the angle is returned": lambda a, b: torch.acos(unit(a) @ unit(b).T),
    "detached": lambda a, b: torch.from_numpy((unit(a) @ unit(b).T).detach().numpy()),
}
WRONG_INDEX = {
    "each row points at itself": lambda b: torch.arange(2 * b),
    "the index is off by one": lambda b: (torch.arange(2 * b) + b + 1) % (2 * b),
    "neighbours are taken as partners": lambda b: torch.arange(2 * b).view(-1, 2).flip(1).flatten(),
    "the second half points past the end": lambda b: torch.arange(2 * b) + b,
    "only the first half is answered": lambda b: torch.arange(b, 2 * b),
    "the second half points at itself": lambda b: torch.arange(b, 2 * b).repeat(2),
    "the order is reversed": lambda b: list(range(2 * b))[::-1],
    "the index counts columns without the diagonal": lambda b: [i + b - 1 for i in range(b)] + list(range(b)),
}




def pushed(s, t, dim=1, fill=-math.inf):
    return (s / t).masked_fill(torch.eye(len(s), dtype=torch.bool), fill).softmax(dim)


WRONG_PUSH = {
    "self-pairs are not masked": lambda s, t: (s / t).softmax(1),
    "self-pairs are masked with 0": lambda s, t: pushed(s, t, fill=0.0),
    "self-pairs are masked after the softmax": lambda s, t: (s / t).softmax(1) * (1 - torch.eye(len(s))),
    "temperature multiplies": lambda s, t: pushed(s, 1 / t),
    "temperature is not used": lambda s, t: pushed(s, 1.0),
    "the softmax goes over the columns": lambda s, t: pushed(s, t, dim=0),
    "weights are not normalised": lambda s, t: (s / t).exp() * (1 - torch.eye(len(s))),
    "logarithms are returned": lambda s, t: pushed(s, t).log(),
}


def loop_push(s, t):
    rows = [[math.exp(s[i, k] / t) if i != k else 0.0 for k in range(len(s))] for i in range(len(s))]
    return [[value / sum(row) for value in row] for row in rows]


def vote(order, labels):
    return torch.mode(labels[order], dim=1).values


WRONG_KNN = {
    "the farthest are taken": lambda x, y, q, k: vote((unit(q) @ unit(x).T).topk(k, largest=False)[1], y),
    "nearest by dot product, not cosine": lambda x, y, q, k: vote((q @ x.T).topk(k)[1], y),
    "nearest by Euclidean distance, not cosine": lambda x, y, q, k: vote(
        torch.cdist(q, x).topk(k, largest=False)[1], y
    ),
    "only the nearest one is asked": lambda x, y, q, k: y[(unit(q) @ unit(x).T).argmax(1)],
    "the position in the bank is returned": lambda x, y, q, k: (unit(q) @ unit(x).T).argmax(1),
    "all neighbours' labels are returned": lambda x, y, q, k: y[(unit(q) @ unit(x).T).topk(k)[1]],
    "the nearest is left out": lambda x, y, q, k: vote((unit(q) @ unit(x).T).topk(k + 1)[1][:, 1:], y),
    "labels are averaged": lambda x, y, q, k: y[(unit(q) @ unit(x).T).topk(k)[1]].float().mean(1).round(),
}


def spectrum(z):
    return torch.linalg.svdvals(z - z.mean(0))


def entropy(p):
    return -(p * (p + 1e-12).log()).sum()


WRONG_RANK = {
    "z is not centred": lambda z: entropy(torch.linalg.svdvals(z) / torch.linalg.svdvals(z).sum()).exp(),
    "singular values are squared": lambda z: entropy(spectrum(z) ** 2 / (spectrum(z) ** 2).sum()).exp(),
    "the entropy is returned": lambda z: entropy(spectrum(z) / spectrum(z).sum()),
    "the entropy is in bits": lambda z: (entropy(spectrum(z) / spectrum(z).sum()) / math.log(2)).exp(),
    "p does not sum to 1": lambda z: entropy(spectrum(z)).exp(),
    "singular values are counted": lambda z: torch.linalg.matrix_rank(z - z.mean(0)),
    "the participation ratio is returned": lambda z: spectrum(z).sum() ** 2 / (spectrum(z) ** 2).sum(),
    "NaN where a singular value is 0": lambda z: (
        -(spectrum(z) / spectrum(z).sum() * (spectrum(z) / spectrum(z).sum()).log()).sum()
    ).exp(),
}

RIGHT = {
    "nt_xent": [loop_nt_xent, cut_nt_xent, halves_nt_xent, big_negative_nt_xent],
    "cosine_similarity_matrix": [
        lambda a, b: F.cosine_similarity(a[:, None], b[None], dim=2),
        lambda a, b: torch.einsum("ad,bd->ab", a, b) / (a.norm(dim=1)[:, None] * b.norm(dim=1)[None]),
        lambda a, b: torch.stack([torch.stack([x @ y / (x @ x * (y @ y)) ** 0.5 for y in b]) for x in a]),
        lambda a, b: 1 - torch.cdist(F.normalize(a.float()), F.normalize(b.float())) ** 2 / 2,
    ],
    "positive_index": [
        partners,
        lambda b: [(i + b) % (2 * b) for i in range(2 * b)],
        lambda b: np.roll(np.arange(2 * b), b),
        lambda b: (torch.arange(2 * b) + b).remainder(2 * b),
    ],
    "push_weights": [
        pushed,
        loop_push,
        lambda s, t: (e := (s / t).exp() * (1 - torch.eye(len(s)))) / e.sum(1, keepdim=True),
        lambda s, t: (s / t - torch.diag(torch.full((len(s),), 1e9))).softmax(1),
    ],
    "knn_predict": [
        lambda x, y, q, k: vote((F.normalize(q) @ F.normalize(x).T).topk(k)[1], y),
        lambda x, y, q, k: vote(torch.cdist(F.normalize(q), F.normalize(x)).argsort(1)[:, :k], y),
        lambda x, y, q, k: [
            max(set(n := y[F.cosine_similarity(row[None], x).topk(k)[1]].tolist()), key=n.count) for row in q
        ],
        lambda x, y, q, k: __import__("sslab.evaluation", fromlist=["knn"]).knn(x, y, q, k),
    ],
    "effective_rank": [
        lambda z: entropy(spectrum(z) / spectrum(z).sum()).exp(),
        lambda z: torch.distributions.Categorical(probs=spectrum(z)).entropy().exp(),
        lambda z: torch.prod((p := spectrum(z) / spectrum(z).sum()) ** -p),
        lambda z: __import__("sslab.evaluation", fromlist=["x"]).effective_rank(z),
    ],
}
WRONG = {
    "nt_xent": WRONG_NT_XENT,
    "cosine_similarity_matrix": WRONG_COSINE,
    "positive_index": WRONG_INDEX,
    "push_weights": WRONG_PUSH,
    "knn_predict": WRONG_KNN,
    "effective_rank": WRONG_RANK,
}


@pytest.mark.parametrize("name, mistake", [(name, mistake) for name in WRONG for mistake in WRONG[name]])
def test_every_mistake_is_named(name, mistake):
    result = getattr(check, name)(WRONG[name][mistake])
    assert not result.passed and result.misconception == mistake and result.hint and result.convention, result


@pytest.mark.parametrize(
    "name, number", [(name, number) for name in RIGHT for number in range(len(RIGHT[name]))]
)
def test_right_answers_pass(name, number):
    result = getattr(check, name)(RIGHT[name][number])
    assert result.passed and result.misconception is None and "Convention" in repr(result), result


@pytest.mark.parametrize("name", check.__all__)
def test_the_catalogue_tells_mistakes_apart(name):
    """Each mistake, and the right answer, gives numbers of its own; without switches it is the reference."""
    one = getattr(check, name)
    cases, switches = one.cases(), [{}, *(mistake.switches for mistake in one.misconceptions)]
    given = [[_attempt(one.wrong, case, what) for case in cases] for what in switches]
    assert all(value is not None for values in given for value in values) and len(one.misconceptions) >= 5
    assert not [1 for a, b in itertools.combinations(given, 2) if _all_same(a, b)]
    assert one(one.reference) and one(one.wrong)


def raises(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize("name", check.__all__)
@pytest.mark.parametrize("stub", [raises, lambda *a: None, lambda *a: ..., lambda *a: ... + 1])
def test_stubs_are_not_yet_written(name, stub):
    result = getattr(check, name)(stub)
    assert not result.passed and not result.written and result.misconception is None
    assert "not yet written" in repr(result)


@pytest.mark.parametrize(
    "broken, words",
    [
        (lambda a, b, t: a @ b, "called with [4, 6], [4, 6], 0.5"),
        (lambda a, b: a, "TypeError"),
        (lambda a, b, t: "seven", "not numbers"),
        (lambda a, b, t: 1 / 0, "ZeroDivisionError"),
        (lambda a, b, t: a, "returned shape [4, 6], expected []"),
        (lambda a, b, t: cut_nt_xent(a, b, t) * 3, "3 times"),
        (lambda a, b, t: cut_nt_xent(a, b, t) + 1, "off by +1"),
        (lambda a, b, t: a.sum() * float("nan"), "not finite"),
        (lambda a, b, t: a.std(), "no mistake that we know"),
        (7, "takes your function"),
        (lambda a, b, t: a.sum() if len(a) == 4 else a, "returned shape [3, 5], expected []"),
    ],
)
def test_other_answers_get_a_word_and_raise_nothing(broken, words):
    result = check.nt_xent(broken)
    assert not result.passed and words in repr(result), result
    assert words.replace("&", "&amp;") in result._repr_html_() and not bool(result)


def test_strict_raises(monkeypatch):
    monkeypatch.setenv("SSLAB_CHECKS", "strict")
    assert check.nt_xent(cut_nt_xent)
    with pytest.raises(AssertionError, match="temperature multiplies"):
        check.nt_xent(WRONG_NT_XENT["temperature multiplies"])
