"""Checks of lesson 09: planted mistakes are named, differently written right answers pass."""

import math

import pytest
import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.lab import check


def unit(z, dim=1):
    return F.normalize(z, dim=dim)


def logits(a, b, scale):
    return scale * unit(a) @ unit(b).T


def labels(s):
    return torch.arange(len(s))


def both(s, target=None):
    target = labels(s) if target is None else target
    return (F.cross_entropy(s, target) + F.cross_entropy(s.T, target)) / 2


def by_definition(a, b, scale):
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    total = 0
    for i in range(len(a)):
        row, column = scale * (b @ a[i]), scale * (a @ b[i])
        total = total + row.logsumexp(0) - row[i] + column.logsumexp(0) - column[i]
    return total / (2 * len(a))


def from_log_softmax(a, b, scale):
    s = torch.einsum("id,jd->ij", unit(a), unit(b)) / (1 / scale)
    return -(s.log_softmax(0).diagonal() + s.log_softmax(1).diagonal()).mean() / 2


def stacked(a, b, scale):
    s = F.cosine_similarity(a[:, None], b[None], dim=2) * scale
    return F.cross_entropy(torch.cat([s, s.T]), labels(s).repeat(2))


def no_logarithm(a, b, scale):
    s = logits(a, b, scale)
    return -(s.softmax(0).diagonal() + s.softmax(1).diagonal()).mean() / 2


def naive(a, b, scale):
    e = logits(a, b, scale).exp()
    return -((e.diagonal() / e.sum(1)).log().mean() + (e.diagonal() / e.sum(0)).log().mean()) / 2


WRONG_CLIP = {
    "features are not normalised": lambda a, b, s: both(s * a @ b.T),
    "only the images are normalised": lambda a, b, s: both(s * unit(a) @ b.T),
    "features are normalised over the batch": lambda a, b, s: both(s * unit(a, 0) @ unit(b, 0).T),
    "the scale divides": lambda a, b, s: both(unit(a) @ unit(b).T / s),
    "the scale is not used": lambda a, b, s: both(unit(a) @ unit(b).T),
    "the scale is exponentiated once more": lambda a, b, s: both(logits(a, b, s.exp())),
    "only images look for texts": lambda a, b, s: F.cross_entropy(logits(a, b, s), labels(a)),
    "only texts look for images": lambda a, b, s: F.cross_entropy(logits(b, a, s), labels(a)),
    "the two directions are added, not averaged": lambda a, b, s: 2 * both(logits(a, b, s)),
    "the labels are off by one": lambda a, b, s: both(logits(a, b, s), (labels(a) + 1) % len(a)),
    "every row has the same label": lambda a, b, s: both(logits(a, b, s), torch.zeros(len(a), dtype=torch.long)),
    "the softmax goes over the whole matrix": lambda a, b, s: -logits(a, b, s).flatten().log_softmax(0)[:: len(a) + 1].mean(),
    "the sum is taken, not the mean": lambda a, b, s: len(a) * both(logits(a, b, s)),
    "the sign is wrong": lambda a, b, s: -both(logits(a, b, s)),
    "the logarithm is missing": no_logarithm,
    "NaN or infinity at a large scale": naive,
    "part of it is detached": lambda a, b, s: both(logits(a, b.detach(), s)),
    "the scale divides and only images look for texts": lambda a, b, s: F.cross_entropy(unit(a) @ unit(b).T / s, labels(a)),
}
RIGHT_CLIP = [by_definition, from_log_softmax, stacked, lambda a, b, s: both(logits(a, b, s))]


def pair_labels(a):
    return 2 * torch.eye(len(a), dtype=a.dtype) - 1


def sigmoid_loss(s, z):
    return -F.logsigmoid(z * s).sum() / len(s)


def sigmoid_loops(a, b, scale, bias):
    total = 0
    for i in range(len(a)):
        for j in range(len(b)):
            s = scale * F.cosine_similarity(a[i], b[j], dim=0) + bias
            total = total + F.softplus(-s if i == j else s)
    return total / len(a)


def sigmoid_entropy(a, b, scale, bias):
    s = logits(a, b, scale) + bias
    return F.binary_cross_entropy_with_logits(s, torch.eye(len(s), dtype=s.dtype), reduction="sum") / len(s)


def sigmoid_rows(a, b, scale, bias):
    s = torch.addmm(bias, unit(a) * scale, unit(b).T)
    return torch.logaddexp(torch.zeros_like(s), -pair_labels(a) * s).sum(dim=1).mean()


WRONG_SIGLIP = {
    "features are not normalised": lambda a, b, t, c: sigmoid_loss(t * a @ b.T + c, pair_labels(a)),
    "the scale divides": lambda a, b, t, c: sigmoid_loss(unit(a) @ unit(b).T / t + c, pair_labels(a)),
    "the labels are 1 and 0": lambda a, b, t, c: sigmoid_loss(logits(a, b, t) + c, torch.eye(len(a), dtype=a.dtype)),
    "the labels are the wrong way round": lambda a, b, t, c: sigmoid_loss(logits(a, b, t) + c, -pair_labels(a)),
    "all pairs are labelled as matching": lambda a, b, t, c: sigmoid_loss(logits(a, b, t) + c, 1),
    "only the matching pairs are counted": lambda a, b, t, c: -F.logsigmoid(logits(a, b, t) + c).diagonal().mean(),
    "the bias is not used": lambda a, b, t, c: sigmoid_loss(logits(a, b, t), pair_labels(a)),
    "the bias is subtracted": lambda a, b, t, c: sigmoid_loss(logits(a, b, t) - c, pair_labels(a)),
    "the bias is scaled too": lambda a, b, t, c: sigmoid_loss(t * (unit(a) @ unit(b).T + c), pair_labels(a)),
    "the mean over all pairs is taken": lambda a, b, t, c: sigmoid_loss(logits(a, b, t) + c, pair_labels(a)) / len(a),
    "the sum is not divided by B": lambda a, b, t, c: sigmoid_loss(logits(a, b, t) + c, pair_labels(a)) * len(a),
    "a softmax is taken": lambda a, b, t, c: F.cross_entropy(logits(a, b, t) + c, labels(a)),
    "the logarithm is missing": lambda a, b, t, c: -(pair_labels(a) * (logits(a, b, t) + c)).sigmoid().sum() / len(a),
    "the sign is wrong": lambda a, b, t, c: -sigmoid_loss(logits(a, b, t) + c, pair_labels(a)),
    "NaN or infinity at a large scale": lambda a, b, t, c: -(pair_labels(a) * (logits(a, b, t) + c)).sigmoid().log().sum() / len(a),
}
RIGHT_SIGLIP = [sigmoid_loops, sigmoid_entropy, sigmoid_rows, lambda a, b, t, c: sigmoid_loss(logits(a, b, t) + c, pair_labels(a))]


def sorted_recall(s, truth, k):
    found = 0
    for row, right in zip(s.tolist(), truth.tolist(), strict=True):
        found += right in sorted(range(len(row)), key=lambda j: -row[j])[:k]
    return found / len(s)


WRONG_RECALL = {
    "rows and columns are swapped": lambda s, t, k: (s.topk(k, 0).indices == t).any(0).double().mean(),
    "the least similar ones are taken": lambda s, t, k: (s.argsort(1)[:, :k] == t[:, None]).any(1).double().mean(),
    "the right answers are taken to be on the diagonal":
        lambda s, t, k: (s.topk(k, 1).indices == labels(s)[:, None]).any(1).double().mean(),
    "argsort is read as a rank":
        lambda s, t, k: (s.argsort(1, descending=True).gather(1, t[:, None]) < k).double().mean(),
    "only the first one counts": lambda s, t, k: (s.argmax(1) == t).double().mean(),
    "k + 1 candidates are looked at": lambda s, t, k: ((s > s.gather(1, t[:, None])).sum(1) <= k).double().mean(),
    "k - 1 candidates are looked at": lambda s, t, k: ((s >= s.gather(1, t[:, None])).sum(1) < k).double().mean(),
    "the number of queries is returned, not their share": lambda s, t, k: (s.topk(k).indices == t[:, None]).sum(),
    "one value for each query is returned": lambda s, t, k: (s.topk(k).indices == t[:, None]).any(1),
    "it is divided by k": lambda s, t, k: (s.topk(k).indices == t[:, None]).double().mean(),
    "a percentage is returned": lambda s, t, k: 100 * sorted_recall(s, t, k),
}
RIGHT_RECALL = [
    sorted_recall,
    lambda s, t, k: (s.topk(k, 1).indices == t[:, None]).any(1).float().mean(),
    lambda s, t, k: ((s >= s.gather(1, t[:, None])).sum(1) <= k).double().mean(),
    lambda s, t, k: float((s.argsort(1, descending=True).argsort(1)[labels(s), t] < k).sum()) / len(s),
]


def class_loops(images, prompts):
    found = []
    for image in images:
        scores = []
        for words in prompts:
            mean = sum(word / word.norm() for word in words)
            scores.append(float(image @ mean / (image.norm() * mean.norm())))
        found.append(scores.index(max(scores)))
    return found


WRONG_ZERO_SHOT = {
    "prompts are not normalised before they are averaged": lambda x, p: (unit(x) @ unit(p.mean(1)).T).argmax(1),
    "the mean is not normalised": lambda x, p: (unit(x) @ unit(p, 2).mean(1).T).argmax(1),
    "neither the prompts nor their mean are normalised": lambda x, p: (unit(x) @ p.mean(1).T).argmax(1),
    "the best prompt decides": lambda x, p: torch.einsum("nd,cmd->ncm", x, unit(p, 2)).amax(2).argmax(1),
    "only the first prompt is used": lambda x, p: (x @ unit(p[:, 0]).T).argmax(1),
    "the least similar class is taken": lambda x, p: (unit(x) @ unit(unit(p, 2).sum(1)).T).argmin(1),
    "each class gets an image, not each image a class": lambda x, p: (x @ unit(unit(p, 2).mean(1)).T).argmax(0),
    "the number of a prompt is returned": lambda x, p: (unit(x) @ unit(p, 2).flatten(0, 1).T).argmax(1),
    "the similarities are returned": lambda x, p: x @ unit(unit(p, 2).mean(1)).T,
}
RIGHT_ZERO_SHOT = [
    class_loops,
    lambda x, p: (unit(x) @ unit(unit(p, 2).mean(1)).T).argmax(1),
    lambda x, p: F.cosine_similarity(x[:, None], unit(p, 2).sum(1)[None], dim=2).max(dim=1).indices,
    lambda x, p: (x @ unit(unit(p, 2).mean(1)).T).softmax(1).argmax(1),
]

WRONG = {"clip": WRONG_CLIP, "siglip": WRONG_SIGLIP, "recall_at": WRONG_RECALL, "zero_shot": WRONG_ZERO_SHOT}
RIGHT = {"clip": RIGHT_CLIP, "siglip": RIGHT_SIGLIP, "recall_at": RIGHT_RECALL, "zero_shot": RIGHT_ZERO_SHOT}


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_labs_own_loss_passes(name):
    from sslab import objectives

    result = getattr(check, name)(getattr(objectives, name))
    assert result.passed, result


def test_values_by_hand():
    """All cosines 0: every answer is a guess."""
    a, b = torch.eye(4).split(2)
    assert float(check.clip.reference(a, b, torch.tensor(7.0))) == pytest.approx(math.log(2))
    assert float(check.siglip.reference(a, b, torch.tensor(7.0), torch.tensor(0.0))) == pytest.approx(2 * math.log(2))
    similarity = torch.tensor([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.1, 0.5, 0.9]])
    assert float(check.recall_at.reference(similarity, torch.tensor([1, 2, 0]), 2)) == pytest.approx(1 / 3)
