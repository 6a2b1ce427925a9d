"""Checks of 03: planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from sslab import objectives
from sslab.lab import check


def two_names_of_one(x, n):
    clean = x
    noisy = clean
    noisy += n
    return noisy, clean


def spoiled_input(x, n):
    clean = x.clone()
    x += n
    return x, clean


WRONG_PAIR = {
    "the noise is in the target, too": lambda x, n: (x + n, x + n),
    "the two are exchanged": lambda x, n: (x, x + n),
    "the target is the noise": lambda x, n: (x + n, n),
    "the target has other noise": lambda x, n: (x + n, x - n),
    "the noise is subtracted": lambda x, n: (x - n, x),
    "the noise multiplies the picture": lambda x, n: (x * n, x),
    "the noise is a share of the picture": lambda x, n: (x + x * n, x),
    "the noise takes the picture's place": lambda x, n: [n, x],
    "there is no noise": lambda x, n: (x, x),
    "the mean of picture and noise": lambda x, n: (torch.stack([x, n]).mean(0), x),
    "the noisy picture is cut to [0, 1]": lambda x, n: ((x + n).clip(0, 1), x),
    "the pictures are changed in place": spoiled_input,
    "the noise is in the target, too and the noisy picture is cut to [0, 1]": lambda x, n: 2 * [(x + n).clamp(0, 1)],
}
RIGHT_PAIR = [
    lambda x, n: (x + n, x),
    lambda x, n: [torch.add(n, x), x.clone()],
    lambda x, n: torch.stack([x + n, x]),
    lambda x, n: (x.clone().add_(n), x.detach()),
]


def principal(x, k):
    """By the covariance's eigenvectors, largest first: [D, k]."""
    return torch.linalg.eigh(torch.cov(x.T)).eigenvectors.flip(1)[:, :k]


def put_back(t, x, v, mean):
    return (x - mean) @ v @ v.T + mean


def svd_rows(t, k):
    return torch.linalg.svd(t - t.mean(0), full_matrices=False).Vh[:k].T


def wrong_way(t, x, k):
    _, _, v = torch.linalg.svd(t - t.mean(0), full_matrices=False)
    return put_back(t, x, v[:, :k], t.mean(0))


def whitened(t, x, k):
    v, s = principal(t, k), torch.linalg.eigvalsh(torch.cov(t.T)).flip(0)[:k].sqrt()
    return (x - t.mean(0)) @ v / s @ v.T + t.mean(0)


def stretched(t, x, k):
    v, s = principal(t, k), torch.linalg.eigvalsh(torch.cov(t.T)).flip(0)[:k].sqrt()
    return (x - t.mean(0)) @ v * s @ v.T + t.mean(0)


def uncentred_rows(t, k):
    return torch.linalg.svd(t).Vh[:k].T


WRONG_PCA = {
    "the k directions of least variance are kept": lambda t, x, k: put_back(
        t, x, torch.linalg.eigh(torch.cov(t.T)).eigenvectors[:, :k], t.mean(0)
    ),
    "columns of V transposed are taken": wrong_way,
    "all directions are kept": lambda t, x, k: put_back(t, x, principal(t, x.shape[1]), t.mean(0)),
    "one direction too many is kept": lambda t, x, k: put_back(t, x, principal(t, k + 1), t.mean(0)),
    "the first direction is left out": lambda t, x, k: put_back(t, x, principal(t, k + 1)[:, 1:], t.mean(0)),
    "the mean is not added back": lambda t, x, k: (x - t.mean(0)) @ principal(t, k) @ principal(t, k).T,
    "nothing is centred": lambda t, x, k: x @ uncentred_rows(t, k) @ uncentred_rows(t, k).T,
    "train is not centred": lambda t, x, k: put_back(t, x, uncentred_rows(t, k), t.mean(0)),
    "the images are not centred": lambda t, x, k: x @ principal(t, k) @ principal(t, k).T + t.mean(0),
    "the images' own mean is used": lambda t, x, k: put_back(t, x, principal(t, k), x.mean(0)),
    "directions are those of the images": lambda t, x, k: put_back(t, x, svd_rows(x, k), t.mean(0)),
    "directions and mean are those of the images": lambda t, x, k: put_back(x, x, svd_rows(x, k), x.mean(0)),
    "the code is whitened and not scaled back": whitened,
    "directions are stretched by their deviation": stretched,
    "the code is returned": lambda t, x, k: (x - t.mean(0)) @ svd_rows(t, k),
}


def by_power(t, x, k):
    """Directions one by one: power iteration on what is left of the covariance."""
    mean = t.mean(0)
    left, answer = (t - mean).T @ (t - mean), mean.repeat(len(x), 1)
    for _ in range(k):
        v = torch.ones(t.shape[1], dtype=t.dtype)
        for _ in range(3000):
            v = F.normalize(left @ v, dim=0)
        answer = answer + ((x - mean) @ v)[:, None] * v
        left = left - (v @ left @ v) * torch.outer(v, v)
    return answer


def by_numpy(t, x, k):
    t, x = t.numpy(), x.numpy()
    v = np.linalg.svd(t - t.mean(0))[2][:k]
    return np.stack([t.mean(0) + v.T @ (v @ (one - t.mean(0))) for one in x])


RIGHT_PCA = [lambda t, x, k: put_back(t, x, principal(t, k), t.mean(0)), by_power, by_numpy,
             lambda t, x, k: put_back(t, x, svd_rows(t, k), t.mean(0))]


def kl(m, v):
    """0.5 (m^2 + variance - 1 - log variance), [B, L]."""
    return 0.5 * (m**2 + v.exp() - 1 - v)


def backwards(m, v):
    return torch_kl(Normal(0 * m, 1 + 0 * m), Normal(m, (0.5 * v).exp())).sum(1)


WRONG_KL = {
    "the sign is wrong": lambda m, v: 0.5 * (1 + v - m.pow(2) - v.exp()).sum(1),
    "the factor 1/2 is missing": lambda m, v: (m**2 + v.exp() - 1 - v).sum(1),
    "the log variance has the wrong sign": lambda m, v: 0.5 * (m**2 + v.exp() - 1 + v).sum(1),
    "the 1 is missing": lambda m, v: 0.5 * (m**2 + v.exp() - v).sum(1),
    "the 1 is added": lambda m, v: 0.5 * (m**2 + v.exp() + 1 - v).sum(1),
    "the log variance is left out": lambda m, v: 0.5 * (m**2 + v.exp() - 1).sum(1),
    "the variance is left out": lambda m, v: 0.5 * (m**2 - 1 - v).sum(1),
    "the mean is left out": lambda m, v: 0.5 * (v.exp() - 1 - v).sum(1),
    "the mean is not squared": lambda m, v: 0.5 * (m + v.exp() - 1 - v).sum(1),
    "absolute values in place of squares": lambda m, v: 0.5 * (m.abs() + v.exp() - 1 - v).sum(1),
    "the log variance is taken for the log of the std": lambda m, v: kl(m, 2 * v).sum(1),
    "the std is taken for the variance": lambda m, v: 0.5 * (m**2 + v.mul(0.5).exp() - 1 - v).sum(1),
    "half of the log variance is taken: the log of the std": lambda m, v: 0.5 * (m**2 + v.exp() - 1 - v / 2).sum(1),
    "the log variance is taken for the variance": lambda m, v: 0.5 * (m**2 + v - 1 - v.log()).sum(1),
    "the exponential is missing": lambda m, v: 0.5 * (m**2 + v - 1 - v).sum(1),
    "it is the KL divergence of the prior from the posterior": backwards,
    "the mean over the latents": lambda m, v: kl(m, v).mean(dim=1),
    "the latents are not summed": kl,
    "the sum goes over the batch": lambda m, v: kl(m, v).sum(0),
    "the mean over the batch is returned": lambda m, v: kl(m, v).sum(1).mean(),
    "the sum over the batch is returned": lambda m, v: kl(m, v).sum(),
    "the sign is wrong and the factor 1/2 is missing": lambda m, v: (1 + v - m**2 - v.exp()).sum(1),
    "detached": lambda m, v: kl(m, v).sum(1).detach(),
    "part of it is detached": lambda m, v: kl(m, v.detach()).sum(1),
}


def loop_kl(m, v):
    rows = []
    for mean, log in zip(m, v, strict=True):
        std = torch.sqrt(torch.exp(log))
        rows.append(sum(-torch.log(s) + (s * s + a * a) / 2 - 0.5 for a, s in zip(mean, std, strict=True)))
    return torch.stack(rows)


RIGHT_KL = [
    lambda m, v: -0.5 * torch.sum(1 + v - m.pow(2) - v.exp(), dim=1),
    lambda m, v: torch_kl(Normal(m, (v / 2).exp()), Normal(0 * m, 1 + 0 * m)).sum(-1),
    loop_kl,
    lambda m, v: objectives.kl_divergence(m.float(), v.float()),
]

WRONG_DRAW = {
    "the variance is taken for the std": lambda m, v, e: m + v.exp() * e,
    "twice the log variance, not half of it": lambda m, v, e: m + (2 * v).exp() * e,
    "the log variance is taken for the std": lambda m, v, e: m + v * e,
    "half of the log variance is taken for the std": lambda m, v, e: m + 0.5 * v * e,
    "the root of the log variance is taken for the std": lambda m, v, e: m + v.sqrt() * e,
    "divided by the std": lambda m, v, e: m + e / v.exp().sqrt(),
    "a softplus in place of the exponential": lambda m, v, e: m + F.softplus(v) * e,
    "the variance is not used": lambda m, v, e: m + e,
    "the noise is not used": lambda m, v, e: m.clone(),
    "the std is added in place of the noise": lambda m, v, e: m + v.exp().sqrt(),
    "the noise is added, not scaled": lambda m, v, e: m + (v / 2).exp() + e,
    "the noise is squared": lambda m, v, e: m + (v / 2).exp() * e**2,
    "the mean is left out": lambda m, v, e: (v / 2).exp() * e,
    "the mean is scaled, too": lambda m, v, e: (m + e) * (v / 2).exp(),
    "the noise is subtracted": lambda m, v, e: m - (v / 2).exp() * e,
    "the variance is taken for the std and the noise is subtracted": lambda m, v, e: m - v.exp() * e,
    "detached": lambda m, v, e: (m + (v / 2).exp() * e).detach(),
    "part of it is detached": lambda m, v, e: m + (v.detach() / 2).exp() * e,
}
RIGHT_DRAW = [
    lambda m, v, e: m + torch.exp(0.5 * v) * e,
    lambda m, v, e: torch.addcmul(m, v.exp().sqrt(), e),
    lambda m, v, e: e.mul(math.e ** (v / 2)).add(m),
    lambda m, v, e: torch.stack([torch.stack([a + b.exp() ** 0.5 * c for a, b, c in zip(*rows, strict=True)])
                                 for rows in zip(m, v, e, strict=True)]),
]


def bce(x, t, reduction="none"):
    return F.binary_cross_entropy_with_logits(x, t, reduction=reduction)


def apart(m, v):
    return kl(m, v).sum(1)


def surprise(x, t):
    return bce(x, t).flatten(1).sum(1)


WRONG_ELBO = {
    "the ELBO is returned, not minus it": lambda x, t, m, v, b: -(surprise(x, t) + b * apart(m, v)).mean(),
    "the KL divergence is subtracted": lambda x, t, m, v, b: (surprise(x, t) - b * apart(m, v)).mean(),
    "the reconstruction has the wrong sign": lambda x, t, m, v, b: (b * apart(m, v) - surprise(x, t)).mean(),
    "the KL divergence is left out": lambda x, t, m, v, b: surprise(x, t).mean(),
    "the reconstruction is left out": lambda x, t, m, v, b: b * apart(m, v).mean(),
    "the mean over the pixels": lambda x, t, m, v, b: bce(x, t, "mean") + b * apart(m, v).mean(),
    "the mean over the latents": lambda x, t, m, v, b: surprise(x, t).mean() + b * kl(m, v).mean(),
    "the sum over the batch": lambda x, t, m, v, b: bce(x, t, "sum") + b * apart(m, v).sum(),
    "the reconstruction is summed over the batch, the KL is not": lambda x, t, m, v, b: bce(x, t, "sum") + b * apart(m, v).mean(),
    "the KL is summed over the batch, the reconstruction is not": lambda x, t, m, v, b: surprise(x, t).mean() + b * kl(m, v).sum(),
    "one number a picture is returned": lambda x, t, m, v, b: surprise(x, t) + b * apart(m, v),
    "beta is not used": lambda x, t, m, v, b: (surprise(x, t) + apart(m, v)).mean(),
    "beta is on the reconstruction": lambda x, t, m, v, b: (b * surprise(x, t) + apart(m, v)).mean(),
    "beta is on both terms": lambda x, t, m, v, b: b * (surprise(x, t) + apart(m, v)).mean(),
    "beta divides": lambda x, t, m, v, b: (surprise(x, t) + apart(m, v) / b).mean(),
    "the factor 1/2 of the KL is missing": lambda x, t, m, v, b: (surprise(x, t) + 2 * b * apart(m, v)).mean(),
    "the sigmoid is taken twice": lambda x, t, m, v, b: (surprise(x.sigmoid(), t) + b * apart(m, v)).mean(),
    "logits and target are exchanged": lambda x, t, m, v, b: (surprise(t, x) + b * apart(m, v)).mean(),
    "squared differences in place of the cross-entropy": lambda x, t, m, v, b: (
        (x.sigmoid() - t).pow(2).sum((1, 2, 3)) + b * apart(m, v)
    ).mean(),
    "half the squared differences in place of the cross-entropy": lambda x, t, m, v, b: (
        F.mse_loss(x.sigmoid(), t, reduction="sum") / 2 / len(x) + b * apart(m, v).mean()
    ),
    "black pixels cost nothing": lambda x, t, m, v, b: (
        -(t * x.sigmoid().log()).sum((1, 2, 3)) + b * apart(m, v)
    ).mean(),
    "wrong for a network that is very sure": lambda x, t, m, v, b: (
        F.binary_cross_entropy(x.sigmoid(), t, reduction="none").flatten(1).sum(1) + b * apart(m, v)
    ).mean(),
    "the mean over the pixels and the mean over the latents": lambda x, t, m, v, b: bce(x, t, "mean") + b * kl(m, v).mean(),
    "the KL divergence is subtracted and the mean over the pixels": lambda x, t, m, v, b: bce(x, t, "mean") - b * apart(m, v).mean(),
    "detached": lambda x, t, m, v, b: (surprise(x, t) + b * apart(m, v)).mean().item(),
}


def loop_elbo(x, t, m, v, b):
    costs = []
    for number, (picture, wanted) in enumerate(zip(x, t, strict=True)):
        p, w = picture.flatten(), wanted.flatten()
        cost = sum(-w[i] * F.logsigmoid(p[i]) - (1 - w[i]) * F.logsigmoid(-p[i]) for i in range(len(p)))
        costs.append(cost + b * objectives.kl_divergence(m, v)[number])
    return sum(costs) / len(costs)


RIGHT_ELBO = [
    lambda x, t, m, v, b: (surprise(x, t) + b * apart(m, v)).mean(),
    lambda x, t, m, v, b: bce(x, t, "sum") / len(x) - b * 0.5 * (1 + v - m**2 - v.exp()).sum() / len(m),
    loop_elbo,
    lambda x, t, m, v, b: objectives.elbo(x, t, m, v, beta=b),
    lambda x, t, m, v, b: -((t * x - x.clamp(min=0) - (-x.abs()).exp().log1p()).sum((1, 2, 3)) - b * apart(m, v)).mean(),
]

NAMES = ("make_denoising_pair", "pca_reconstruct", "kl_divergence", "reparametrise", "elbo")
WRONG = dict(zip(NAMES, (WRONG_PAIR, WRONG_PCA, WRONG_KL, WRONG_DRAW, WRONG_ELBO), strict=True))
RIGHT = dict(zip(NAMES, (RIGHT_PAIR, RIGHT_PCA, RIGHT_KL, RIGHT_DRAW, RIGHT_ELBO), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_there_are_enough_answers(name):
    assert len(WRONG[name]) >= 5 and len(RIGHT[name]) >= 3
    assert getattr(check, name).shapes.startswith(name)


def test_two_names_of_one_tensor_are_found():
    """The commonest way to noise in the target: += on what the target still names."""
    result = check.make_denoising_pair(two_names_of_one)
    assert result.misconception == "the noise is in the target, too" and "two names" in result.hint
