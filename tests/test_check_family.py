"""Checks of the family (08, 10 to 13): planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.lab import check


def unit(z, dim=1):
    return F.normalize(z, dim=dim)


# 08: the slow encoder, the queue, the loss


def in_place_teacher(t, s, m):
    return t.mul_(m).add_((1 - m) * s.detach())


@torch.no_grad()
def official_momentum(t, s, m):
    return t * m + s * (1.0 - m)


def in_place_student(t, s, m):
    s *= 1 - m
    return m * t + s.detach()


def silent_momentum(t, s, m):
    t.mul_(m).add_((1 - m) * s)


WRONG_MOMENTUM = {
    "momentum multiplies the student, not the teacher": lambda t, s, m: (1 - m) * t + m * s,
    "the student is returned": lambda t, s, m: s.clone(),
    "the teacher is returned unchanged": lambda t, s, m: t,
    "the student is not weighed": lambda t, s, m: m * t + s,
    "the teacher is not weighed": lambda t, s, m: t + (1 - m) * s,
    "the sum is taken, not the average": lambda t, s, m: t + s,
    "the momentum is not used": lambda t, s, m: (t + s) / 2,
    "it moves away from the student": lambda t, s, m: t - (1 - m) * (s - t),
    "the student is changed in place": in_place_student,
    "the gradient to the student is kept": lambda t, s, m: m * t + (1 - m) * s,
    "nothing is returned": silent_momentum,
}
RIGHT_MOMENTUM = [
    in_place_teacher,
    official_momentum,
    lambda t, s, m: torch.lerp(s.detach(), t, m),
    lambda t, s, m: t + (1 - m) * (s.data - t),
]


def official_enqueue(queue, keys, p):
    rows = (p + torch.arange(len(keys))) % len(queue)
    queue = queue.clone()
    queue[rows] = keys.detach()
    return queue, (p + len(keys)) % len(queue)


def loop_enqueue(queue, keys, p):
    with torch.no_grad():
        for key in keys:
            queue[p] = key
            p = p + 1 if p + 1 < len(queue) else 0
    return queue, p


def two_pieces(queue, keys, p):
    fits = min(len(keys), len(queue) - p)
    queue.data[p : p + fits] = keys.data[:fits]
    queue.data[: len(keys) - fits] = keys.data[fits:]
    return [queue, torch.tensor([(p + len(keys)) % len(queue)])]


def rolled(queue, keys, p):
    queue = torch.cat([keys.detach(), queue.roll(-p, 0)[len(keys) :]])
    return queue.roll(p, 0), torch.tensor((p + len(keys)) % len(queue))


def rebuilt(queue, keys, p):
    new = torch.zeros(queue.shape)                                   # float32
    new[:] = queue
    rows = [(p + i) % len(queue) for i in range(len(keys))]
    new[rows] = keys.detach()
    return new, (rows[-1] + 1) % len(queue)


def cut_enqueue(queue, keys, p):
    fits = queue[p : p + len(keys)].shape[0]
    queue[p : p + fits] = keys.detach()[:fits]
    return queue, (p + len(keys)) % len(queue)


def sliced(queue, keys, p):
    queue[p : p + len(keys)] = keys.detach()
    return queue, (p + len(keys)) % len(queue)


def restarted(queue, keys, p):
    return sliced(queue, keys, p if p + len(keys) <= len(queue) else 0)[0], (p + len(keys)) % len(queue)


def attached(queue, keys, p):
    queue[(p + torch.arange(len(keys))) % len(queue)] = keys
    return queue, (p + len(keys)) % len(queue)


WRONG_ENQUEUE = {
    "keys that do not fit are dropped": cut_enqueue,
    "there is no wrap-around": sliced,
    "a batch that does not fit starts again at row 0": restarted,
    "the pointer does not move": lambda q, k, p: (official_enqueue(q, k, p)[0], p),
    "the pointer runs past the end": lambda q, k, p: (official_enqueue(q, k, p)[0], p + len(k)),
    "the queue is shifted": lambda q, k, p: (torch.cat([q, k])[len(k) :], (p + len(k)) % len(q)),
    "the queue grows": lambda q, k, p: (torch.cat([q, k]), (p + len(k)) % len(q)),
    "the first rows are always overwritten": lambda q, k, p: (torch.cat([k, q[len(k) :]]), (p + len(k)) % len(q)),
    "the pointer is not returned": lambda q, k, p: official_enqueue(q, k, p)[0],
    "the queue is shifted and the pointer does not move": lambda q, k, p: (torch.cat([q, k])[len(k) :], p),
    "keys are normalised on their way in": lambda q, k, p: official_enqueue(q, unit(k), p),
    "keys carry their gradient into the queue": attached,
}


def moco_logits(q, k, n, dim=1):
    q, k, n = unit(q, dim), unit(k, dim), unit(n, dim)
    return torch.cat([torch.einsum("nc,nc->n", [q, k])[:, None], q @ n.T], 1)


def zeros(q):
    return torch.zeros(len(q), dtype=torch.long)


def official_info_nce(q, k, n, t):
    return F.cross_entropy(moco_logits(q, k.detach(), n) / t, zeros(q))


def last_info_nce(q, k, n, t):
    s = torch.cat([unit(q) @ unit(n).T, (unit(q) * unit(k)).sum(1, keepdim=True)], 1) / t
    return -s.log_softmax(1)[:, -1].mean()


def loop_info_nce(q, k, n, t):
    total = 0
    for a, b in zip(q, k, strict=True):
        s = torch.stack([F.cosine_similarity(a, x, dim=0) / t for x in [b, *n]])
        total = total + s.logsumexp(0) - s[0]
    return total / len(q)


def wide_info_nce(q, k, n, t):
    s = torch.cat([unit(q) @ unit(k).T, unit(q) @ unit(n).T], 1) / t
    others = F.pad(~torch.eye(len(q), dtype=torch.bool), (0, len(n)))
    return F.cross_entropy(s.masked_fill(others, -math.inf), torch.arange(len(q)))


WRONG_INFO_NCE = {
    "the labels are 0 to B - 1": lambda q, k, n, t: F.cross_entropy(moco_logits(q, k, n) / t, torch.arange(len(q))),
    "the label is the last column": lambda q, k, n, t: F.cross_entropy(moco_logits(q, k, n) / t, zeros(q) + len(n)),
    "the other keys of the batch are negatives, the queue is not used": lambda q, k, n, t: F.cross_entropy(
        unit(q) @ unit(k).T / t, torch.arange(len(q))
    ),
    "the other keys of the batch are negatives too": lambda q, k, n, t: F.cross_entropy(
        unit(q) @ unit(torch.cat([k, n])).T / t, torch.arange(len(q))
    ),
    "the positive is left out of the denominator": lambda q, k, n, t: (
        (unit(q) @ unit(n).T / t).logsumexp(1) - (unit(q) * unit(k)).sum(1) / t
    ).mean(),
    "features are not normalised": lambda q, k, n, t: F.cross_entropy(
        torch.cat([(q * k).sum(1, keepdim=True), q @ n.T], 1) / t, zeros(q)
    ),
    "the queue is not normalised": lambda q, k, n, t: F.cross_entropy(
        torch.cat([(unit(q) * unit(k)).sum(1, keepdim=True), unit(q) @ n.T], 1) / t, zeros(q)
    ),
    "features are normalised over the batch": lambda q, k, n, t: F.cross_entropy(moco_logits(q, k, n, 0) / t, zeros(q)),
    "temperature multiplies": lambda q, k, n, t: official_info_nce(q, k, n, 1 / t),
    "temperature is not used": lambda q, k, n, t: official_info_nce(q, k, n, 1),
    "the sum is taken, not the mean": lambda q, k, n, t: official_info_nce(q, k, n, t) * len(q),
    "the sign is wrong": lambda q, k, n, t: -official_info_nce(q, k, n, t),
    "temperature multiplies and the sign is wrong": lambda q, k, n, t: -official_info_nce(q, k, n, 1 / t),
    "NaN or infinity at a low temperature": lambda q, k, n, t: (
        -((e := (moco_logits(q, k, n) / t).exp())[:, 0] / e.sum(1)).log().mean()
    ),
    "detached": lambda q, k, n, t: official_info_nce(q.detach(), k, n, t),
}

# 10: BYOL, SimSiam, DINO


def cosine(p, z):
    return F.cosine_similarity(p, z, dim=1)


WRONG_COSINE = {
    "the sign is wrong": lambda p, z: cosine(p, z.detach()).mean(),
    "features are not normalised": lambda p, z: -(p * z.detach()).sum(1).mean(),
    "only p is normalised": lambda p, z: -(unit(p) * z.detach()).sum(1).mean(),
    "features are normalised over the batch": lambda p, z: -(unit(p, 0) * unit(z.detach(), 0)).sum(1).mean(),
    "the cosine is over the batch": lambda p, z: -F.cosine_similarity(p, z.detach(), dim=0).mean(),
    "the sum is taken, not the mean": lambda p, z: -cosine(p, z.detach()).sum(),
    "one value for each picture is returned": lambda p, z: -cosine(p, z.detach()),
    "the mean is over all B x D products": lambda p, z: -(unit(p) * unit(z.detach())).mean(),
    "every p is compared with every z": lambda p, z: -(unit(p) @ unit(z.detach()).T).mean(),
    "1 - cosine is returned": lambda p, z: (1 - cosine(p, z.detach())).mean(),
    "2 - 2 cosine is returned": lambda p, z: (unit(p) - unit(z.detach())).square().sum(1).mean(),
    "gradient flows into z": lambda p, z: -cosine(p, z).mean(),
    "the wrong side is detached": lambda p, z: -cosine(p.detach(), z).mean(),
    "p is detached": lambda p, z: -cosine(p, z).mean().item(),
}


def frozen_cosine(p, z):
    with torch.no_grad():
        z = z / z.norm(dim=1, keepdim=True)
    return -torch.einsum("bd,bd->b", p / p.norm(dim=1, keepdim=True), z).mean()


WRONG_CENTER = {
    "momentum multiplies the batch mean, not the center": lambda c, x, m: m * x.mean(0) + (1 - m) * c,
    "the batch mean is returned": lambda c, x, m: x.mean(0),
    "the center is not weighed": lambda c, x, m: c + (1 - m) * x.mean(0),
    "the batch is summed": lambda c, x, m: c * m + x.sum(dim=0) * (1 - m),
    "the mean is over the wrong dimension": lambda c, x, m: c * m + x.mean(1) * (1 - m),
    "one mean for all prototypes": lambda c, x, m: c * m + x.mean() * (1 - m),
    "one center for each picture": lambda c, x, m: c * m + x * (1 - m),
    "probabilities are averaged, not logits": lambda c, x, m: c * m + x.softmax(1).mean(0) * (1 - m),
    "logits are centred before": lambda c, x, m: c * m + (x - c).mean(0) * (1 - m),
    "momentum multiplies the batch mean, not the center and the batch is summed": lambda c, x, m: (
        m * x.sum(0) + (1 - m) * c
    ),
}


def entropy_loss(x, y):
    return -(y * x.log_softmax(1)).sum(1).mean()


def target(t, c, tt):
    return ((t.detach() - c) / tt).softmax(1)


WRONG_DINO = {
    "the center is added": lambda s, t, c, ts, tt: entropy_loss(s / ts, target(t, -c, tt)),
    "the center is not used": lambda s, t, c, ts, tt: entropy_loss(s / ts, target(t, 0, tt)),
    "the center is subtracted after the temperature": lambda s, t, c, ts, tt: entropy_loss(
        s / ts, (t.detach() / tt - c).softmax(1)
    ),
    "the student is centred too": lambda s, t, c, ts, tt: entropy_loss((s - c) / ts, target(t, c, tt)),
    "the temperatures are swapped": lambda s, t, c, ts, tt: entropy_loss(s / tt, target(t, c, ts)),
    "the student's temperature is used for both": lambda s, t, c, ts, tt: entropy_loss(s / ts, target(t, c, ts)),
    "the temperatures multiply": lambda s, t, c, ts, tt: entropy_loss(s * ts, target(t, c, 1 / tt)),
    "the KL divergence in place of the cross-entropy": lambda s, t, c, ts, tt: F.kl_div(
        (s / ts).log_softmax(1), target(t, c, tt), reduction="batchmean"
    ),
    "student and teacher are swapped in the cross-entropy": lambda s, t, c, ts, tt: (
        -((s / ts).softmax(1) * target(t, c, tt).log()).sum(1).mean()
    ),
    "the target is the teacher's largest output": lambda s, t, c, ts, tt: F.cross_entropy(s / ts, (t - c).argmax(1)),
    "the softmax goes over the batch": lambda s, t, c, ts, tt: (
        -(((t - c) / tt).softmax(0) * (s / ts).log_softmax(0)).sum(1).mean()
    ),
    "the sign is wrong": lambda s, t, c, ts, tt: -entropy_loss(s / ts, target(t, c, tt)),
    "the sum is taken, not the mean": lambda s, t, c, ts, tt: entropy_loss(s / ts, target(t, c, tt)) * len(s),
    "the mean is over all B x K entries": lambda s, t, c, ts, tt: (
        -(target(t, c, tt) * (s / ts).log_softmax(1)).mean()
    ),
    "the center is added and the temperatures are swapped": lambda s, t, c, ts, tt: entropy_loss(
        s / tt, target(t, -c, ts)
    ),
    "gradient flows into the teacher": lambda s, t, c, ts, tt: entropy_loss(s / ts, ((t - c) / tt).softmax(1)),
    "detached": lambda s, t, c, ts, tt: entropy_loss(s.detach() / ts, ((t - c) / tt).softmax(1)),
    "NaN or infinity where a probability rounds to 0": lambda s, t, c, ts, tt: (
        -(target(t, c, tt) * (s / ts).softmax(1).log()).sum(1).mean()
    ),
}


def loop_dino(s, t, c, ts, tt):
    losses = []
    for a, b in zip(s, t.detach(), strict=True):
        q = torch.exp((b - c) / tt - torch.logsumexp((b - c) / tt, 0))
        losses.append(torch.logsumexp(a / ts, 0) - q @ a / ts)
    return sum(losses) / len(losses)


def divergence_dino(s, t, c, ts, tt):
    q = target(t, c, tt)
    return F.kl_div(F.log_softmax(s / ts, -1), q, reduction="batchmean") + torch.special.entr(q).sum(1).mean()


# 11: VICReg, Barlow Twins


def std(z):
    return (z.var(dim=0) + 1e-4).sqrt()


WRONG_VARIANCE = {
    "the variance in place of the std": lambda z: F.relu(1 - z.var(0) - 1e-4).mean(),
    "the hinge is missing": lambda z: (1 - std(z)).mean(),
    "the hinge is on the mean of the features": lambda z: F.relu(1 - std(z).mean()),
    "the hinge is the wrong way round": lambda z: F.relu(std(z) - 1).mean(),
    "the variance is biased": lambda z: F.relu(1 - (z.var(0, unbiased=False) + 1e-4).sqrt()).mean(),
    "the spread is taken over the features": lambda z: F.relu(1 - (z.var(1) + 1e-4).sqrt()).mean(),
    "1e-4 is missing under the root": lambda z: F.relu(1 - z.std(0)).mean(),
    "the sum is taken, not the mean": lambda z: F.relu(1 - std(z)).sum(),
    "the hinge is squared": lambda z: (F.relu(1 - std(z)) ** 2).mean(),
    "z is normalised first": lambda z: F.relu(1 - std(unit(z))).mean(),
    "z is not centred": lambda z: F.relu(1 - ((z**2).sum(0) / (len(z) - 1) + 1e-4).sqrt()).mean(),
    "the variance is biased and the sum is taken, not the mean": lambda z: F.relu(
        1 - (z.var(0, unbiased=False) + 1e-4).sqrt()
    ).sum(),
    "detached": lambda z: F.relu(1 - std(z.detach())).mean(),
}


def off(m):
    return m - torch.diag(torch.diagonal(m))


def covariance(z, n=1):
    c = z - z.mean(0)
    return c.T @ c / (len(z) - n)


WRONG_COVARIANCE = {
    "the diagonal is counted": lambda z: covariance(z).square().sum() / z.shape[1],
    "z is not centred": lambda z: off(z.T @ z / (len(z) - 1)).square().sum() / z.shape[1],
    "divided by D squared": lambda z: off(covariance(z)).square().mean(),
    "the mean over the entries off the diagonal": lambda z: covariance(z)[~torch.eye(z.shape[1], dtype=bool)]
    .square()
    .mean(),
    "not divided by D": lambda z: off(covariance(z)).square().sum(),
    "the covariance is divided by B, not B - 1": lambda z: off(covariance(z, 0)).square().sum() / z.shape[1],
    "entries are not squared": lambda z: off(torch.cov(z.T)).sum() / z.shape[1],
    "absolute values in place of squares": lambda z: off(torch.cov(z.T)).abs().sum() / z.shape[1],
    "correlations in place of covariances": lambda z: off(torch.corrcoef(z.T)).square().sum() / z.shape[1],
    "pictures are compared, not features": lambda z: (
        off((z - z.mean(0)) @ (z - z.mean(0)).T / (len(z) - 1)).square().sum() / z.shape[1]
    ),
    "each pair is counted once": lambda z: torch.cov(z.T).triu(1).square().sum() / z.shape[1],
    "the diagonal is counted and divided by D squared": lambda z: (torch.cov(z.T) ** 2).mean(),
}


def loop_covariance(z):
    (b, d), m, total = z.shape, z.mean(0), 0
    for i in range(d):
        for j in range(d):
            if i != j:
                total = total + (((z[:, i] - m[i]) * (z[:, j] - m[j])).sum() / (b - 1)) ** 2
    return total / d


def standard(z, unbiased=False, dim=0):
    return (z - z.mean(dim, keepdim=True)) / z.std(dim, keepdim=True, unbiased=unbiased)


WRONG_CORRELATION = {
    "features are not centred": lambda a, b: (a / a.std(0, unbiased=False)).T @ (b / b.std(0, unbiased=False)) / len(a),
    "features are not divided by their std": lambda a, b: (a - a.mean(0)).T @ (b - b.mean(0)) / len(a),
    "pictures are compared, not features": lambda a, b: standard(a) @ standard(b).T / len(a),
    "rows are standardised, not features": lambda a, b: standard(a, dim=1).T @ standard(b, dim=1) / len(a),
    "features are scaled to length 1 without centring": lambda a, b: unit(a, 0).T @ unit(b, 0),
    "z1 is correlated with itself": lambda a, b: standard(a).T @ standard(a) / len(a),
    "the matrix is transposed": lambda a, b: standard(b).T @ standard(a) / len(a),
    "the std is unbiased and the mean is over B": lambda a, b: standard(a, True).T @ standard(b, True) / len(a),
    "the std is biased and the sum is divided by B - 1": lambda a, b: standard(a).T @ standard(b) / (len(a) - 1),
    "the sum is not divided by B": lambda a, b: standard(a).T @ standard(b),
    "the whole matrix is standardised at once": lambda a, b: (
        ((a - a.mean()) / a.std(unbiased=False)).T @ ((b - b.mean()) / b.std(unbiased=False)) / len(a)
    ),
    "part of it is detached": lambda a, b: standard(a).T @ standard(b.detach()) / len(a),
}


def official_barlow(c, w):
    on = torch.diagonal(c).add_(-1).pow_(2).sum()                    # changes the diagonal of c
    n = len(c)
    return on + w * c.flatten()[:-1].view(n - 1, n + 1)[:, 1:].pow(2).sum()


WRONG_BARLOW = {
    "the diagonal is driven to 0": lambda c, w: c.diagonal().square().sum() + w * off(c).square().sum(),
    "the diagonal is counted in the rest too": lambda c, w: (
        (1 - c.diagonal()).square().sum() + w * c.square().sum()
    ),
    "the rest is not squared": lambda c, w: (1 - c.diagonal()).square().sum() + w * off(c).sum(),
    "absolute values off the diagonal": lambda c, w: (1 - c.diagonal()).square().sum() + w * off(c).abs().sum(),
    "the weight is on the diagonal": lambda c, w: w * (1 - c.diagonal()).square().sum() + off(c).square().sum(),
    "the weight is not used": lambda c, w: (c - torch.eye(len(c))).square().sum(),
    "the weight is squared": lambda c, w: (1 - c.diagonal()).square().sum() + (w * off(c)).square().sum(),
    "the rest is left out": lambda c, w: (1 - c.diagonal()).square().sum(),
    "the diagonal is not squared": lambda c, w: (1 - c.diagonal()).sum() + w * off(c).square().sum(),
    "divided by D": lambda c, w: official_barlow(c, w) / len(c),
    "a mean of each term": lambda c, w: (
        (1 - c.diagonal()).square().mean() + w * c[~torch.eye(len(c)).bool()].square().mean()
    ),
    "part of it is detached": lambda c, w: (1 - c.diagonal()).square().sum() + w * off(c.data).square().sum(),
}

# 12: SwAV


def paper_sinkhorn(scores, epsilon, iterations, more=0):
    q = torch.exp((scores - scores.max()) / epsilon).T               # [K, B], as in the paper's listing
    q = q / q.sum()
    k, b = q.shape
    for _ in range(iterations + more):
        q = q / q.sum(dim=1, keepdim=True) / k
        q = q / q.sum(dim=0, keepdim=True) / b
    return (q * b).T


@torch.no_grad()
def plain_sinkhorn(scores, epsilon, iterations):
    q = torch.exp(scores.double() / epsilon)
    for _ in range(iterations):
        q /= q.sum(0)                                                # constants vanish with the rows
        q /= q.sum(1)[:, None]
    return q


def vectors_sinkhorn(scores, epsilon, iterations):
    s = scores / epsilon
    u = torch.zeros(len(s), 1, dtype=s.dtype)
    for _ in range(iterations):
        v = -(s + u).logsumexp(0, keepdim=True)
        u = -(s + v).logsumexp(1, keepdim=True)
    return (s + u + v).exp()


def rows_first(scores, epsilon, iterations):
    q, (b, k) = torch.exp(scores / epsilon), scores.shape
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / b
        q = q / q.sum(0, keepdim=True) / k
    return q * b


def dims_mixed_up(scores, epsilon, iterations):
    q, (b, k) = torch.exp(scores / epsilon), scores.shape
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / k
        q = q / q.sum(0, keepdim=True) / b
    return q * b


def at_once(scores, epsilon, iterations):
    q, (b, k) = torch.exp(scores / epsilon), scores.shape
    q = q / q.sum()
    for _ in range(iterations):
        q = q / (q.sum(0, keepdim=True) * k) / (q.sum(1, keepdim=True) * b)
    return q * b


def overflowing(scores, epsilon, iterations):
    q, (b, k) = torch.exp(scores / epsilon), scores.shape
    for _ in range(iterations):
        q = q / q.sum(0, keepdim=True) / k
        q = q / q.sum(1, keepdim=True) / b
    return q * b


WRONG_SINKHORN = {
    "rows come before columns": rows_first,
    "columns sum to 1, not rows": dims_mixed_up,
    "only rows are normalised": lambda s, e, n: (s / e).softmax(1),
    "only columns are normalised": lambda s, e, n: (s / e).softmax(0) * len(s) / s.shape[1],
    "epsilon multiplies": lambda s, e, n: paper_sinkhorn(s, 1 / e, n),
    "epsilon is not used": lambda s, e, n: paper_sinkhorn(s, 1, n),
    "one iteration too many": lambda s, e, n: paper_sinkhorn(s, e, n, 1),
    "one iteration too few": lambda s, e, n: paper_sinkhorn(s, e, n, -1),
    "always three iterations": lambda s, e, n: paper_sinkhorn(s, e, 3),
    "the codes sum to 1 in total": lambda s, e, n: paper_sinkhorn(s, e, n) / len(s),
    "the codes are transposed": lambda s, e, n: paper_sinkhorn(s, e, n).T,
    "the codes are hard": lambda s, e, n: torch.eye(s.shape[1])[paper_sinkhorn(s, e, n).argmax(1)],
    "rows and columns are divided at once": at_once,
    "each row's own largest score is subtracted": lambda s, e, n: paper_sinkhorn(s - s.amax(1, keepdim=True), e, n),
    "NaN at a small epsilon": overflowing,
}

# 13: gauges of collapse


def pairs(z):
    return torch.pdist(unit(z)).square()


WRONG_STD = {
    "not multiplied by sqrt(D)": lambda z: unit(z).std(0, unbiased=False).mean(),
    "z is not normalised": lambda z: z.std(0, unbiased=False).mean() * z.shape[1] ** 0.5,
    "z is normalised over the batch": lambda z: unit(z, 0).std(0, unbiased=False).mean() * z.shape[1] ** 0.5,
    "the spread is taken over the features": lambda z: unit(z).std(1, unbiased=False).mean() * z.shape[1] ** 0.5,
    "the variance in place of the std": lambda z: unit(z).var(0, unbiased=False).mean() * z.shape[1] ** 0.5,
    "the std is unbiased": lambda z: unit(z).std(0).mean() * z.shape[1] ** 0.5,
    "the sum is taken, not the mean": lambda z: unit(z).std(0, unbiased=False).sum() * z.shape[1] ** 0.5,
    "one value for each feature is returned": lambda z: unit(z).std(0, unbiased=False) * z.shape[1] ** 0.5,
    "not multiplied by sqrt(D) and the std is unbiased": lambda z: unit(z).std(0).mean(),
}
WRONG_UNIFORMITY = {
    "a picture is paired with itself": lambda z, t: torch.cdist(unit(z), unit(z)).square().mul(-t).exp().mean().log(),
    "z is not normalised": lambda z, t: torch.pdist(z).square().mul(-t).exp().mean().log(),
    "the distance is not squared": lambda z, t: torch.pdist(unit(z)).mul(-t).exp().mean().log(),
    "the exponent has the wrong sign": lambda z, t: pairs(z).mul(t).exp().mean().log(),
    "the sign is wrong": lambda z, t: -pairs(z).mul(-t).exp().mean().log(),
    "the mean is outside of the logarithm": lambda z, t: pairs(z).mul(-t).exp().log().mean(),
    "the logarithm is missing": lambda z, t: pairs(z).mul(-t).exp().mean(),
    "the sum is taken, not the mean": lambda z, t: (-t * pairs(z)).logsumexp(0),
    "t is not used": lambda z, t: pairs(z).mul(-2).exp().mean().log(),
    "the cosine in place of the squared distance": lambda z, t: (
        (t * (unit(z) @ unit(z).T)).exp()[torch.ones(len(z), len(z)).triu(1).bool()].mean().log()
    ),
    "the squared distance is averaged over the features": lambda z, t: (
        (-t * pairs(z) / z.shape[1]).exp().mean().log()
    ),
}


def different(m):
    return m[~torch.eye(len(m), dtype=torch.bool)]


WRONG = {
    "momentum_update": WRONG_MOMENTUM,
    "enqueue": WRONG_ENQUEUE,
    "info_nce": WRONG_INFO_NCE,
    "negative_cosine": WRONG_COSINE,
    "center_update": WRONG_CENTER,
    "dino": WRONG_DINO,
    "vicreg_variance": WRONG_VARIANCE,
    "vicreg_covariance": WRONG_COVARIANCE,
    "cross_correlation": WRONG_CORRELATION,
    "barlow_twins": WRONG_BARLOW,
    "sinkhorn": WRONG_SINKHORN,
    "feature_std": WRONG_STD,
    "uniformity": WRONG_UNIFORMITY,
}
RIGHT = {
    "momentum_update": RIGHT_MOMENTUM,
    "enqueue": [official_enqueue, loop_enqueue, two_pieces, rolled, rebuilt],
    "info_nce": [official_info_nce, last_info_nce, loop_info_nce, wide_info_nce],
    "negative_cosine": [
        lambda p, z: -cosine(p, z.detach()).mean(),
        frozen_cosine,
        lambda p, z: (unit(p) - unit(z.data)).pow(2).sum(1).mean() / 2 - 1,
        lambda p, z: -torch.stack([a @ b / a.norm() / b.norm() for a, b in zip(p, z.detach(), strict=True)]).mean(),
    ],
    "center_update": [
        lambda c, x, m: c * m + (1 - m) * x.mean(0),
        lambda c, x, m: c.mul_(m).add_(x.sum(0) / len(x), alpha=1 - m),
        lambda c, x, m: torch.lerp(c, x.mean(dim=0), 1 - m),
        lambda c, x, m: c * m + (1 - m) * (torch.ones(len(x)) / len(x)) @ x,
        lambda c, x, m: torch.stack([m * a + (1 - m) * b.mean() for a, b in zip(c, x.T, strict=True)]),
    ],
    "dino": [
        lambda s, t, c, ts, tt: F.cross_entropy(s / ts, target(t, c, tt)),
        lambda s, t, c, ts, tt: entropy_loss(s / ts, target(t, c, tt)),
        loop_dino,
        divergence_dino,
    ],
    "vicreg_variance": [
        lambda z: F.relu(1 - std(z)).mean(),
        lambda z: torch.clamp(1 - torch.sqrt(z.std(0) ** 2 + 0.0001), min=0).sum() / z.shape[1],
        lambda z: torch.stack([torch.clamp_min(1 - (torch.cov(c) + 1e-4) ** 0.5, 0) for c in z.T]).mean(),
        lambda z: (1 - ((z - z.mean(0)).pow(2).sum(0) / (len(z) - 1) + 1e-4).sqrt()).relu().mean(),
    ],
    "vicreg_covariance": [
        lambda z: off(covariance(z)).square().sum() / z.shape[1],
        loop_covariance,
        lambda z: 2 * torch.cov(z.T).triu(1).square().sum() / z.shape[1],
        lambda z: ((m := torch.cov(z.T)).square().sum() - m.diagonal().square().sum()) / z.shape[1],
    ],
    "cross_correlation": [
        lambda a, b: standard(a).T @ standard(b) / len(a),
        lambda a, b: standard(a, True).T @ standard(b, True) / (len(a) - 1),
        lambda a, b: unit(a - a.mean(0), 0).T @ unit(b - b.mean(0), 0),
        lambda a, b: torch.corrcoef(torch.cat([a.T, b.T]))[: a.shape[1], a.shape[1] :],
        lambda a, b: F.batch_norm(a, None, None, training=True).T @ F.batch_norm(b, None, None, training=True) / len(a),
    ],
    "barlow_twins": [
        official_barlow,
        lambda c, w: (1 - c.diagonal()).square().sum() + w * off(c).square().sum(),
        lambda c, w: ((c - torch.eye(len(c))) ** 2 * torch.full_like(c, w).fill_diagonal_(1)).sum(),
        lambda c, w: sum(
            (1 - c[i, i]) ** 2 if i == j else w * c[i, j] ** 2 for i in range(len(c)) for j in range(len(c))
        ),
    ],
    "sinkhorn": [paper_sinkhorn, plain_sinkhorn, vectors_sinkhorn],
    "feature_std": [
        lambda z: unit(z).std(0, unbiased=False).mean() * math.sqrt(z.shape[1]),
        lambda z: (unit(z) - unit(z).mean(0)).norm(dim=0).mean() * (z.shape[1] / len(z)) ** 0.5,
        lambda z: sum(float(c.numpy().std()) for c in unit(z).T) / z.shape[1] ** 0.5,
        lambda z: __import__("sslab.evaluation", fromlist=["x"]).feature_std(z),
    ],
    "uniformity": [
        lambda z, t=2: pairs(z).mul(-t).exp().mean().log(),
        lambda z, t: different(torch.exp(-t * torch.cdist(unit(z), unit(z)) ** 2)).mean().log(),
        lambda z, t: different(2 * t * (unit(z) @ unit(z).T - 1)).exp().mean().log(),
        lambda z, t: __import__("sslab.evaluation", fromlist=["x"]).uniformity(z, t),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_there_are_enough_answers(name):
    assert len(WRONG[name]) >= 5 and len(RIGHT[name]) >= 3
    assert "Convention" in getattr(check, name).convention and getattr(check, name).shapes.startswith(name)
