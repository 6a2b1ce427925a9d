"""Checks of 06: planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

from sslab.lab import check

NAMES = ("patchify", "unpatchify", "random_mask", "masked_patches", "ijepa")


def pieces(x, p):
    """Every patch of [B, C, H, W] as a list, row by row: [B, C, P, P] each."""
    return [x[:, :, i : i + p, j : j + p] for i in range(0, x.shape[2], p) for j in range(0, x.shape[3], p)]


def cut(x, p):
    return torch.stack([piece.permute(0, 2, 3, 1).flatten(1) for piece in pieces(x, p)], dim=1)


def official_cut(x, p):
    n, c, h, w = len(x), x.shape[1], x.shape[2] // p, x.shape[3] // p
    return torch.einsum("nchpwq->nhwpqc", x.reshape(n, c, h, p, w, p)).reshape(n, h * w, p * p * c)


def unfolded(x, p):
    """torch's: [B, T, C P P], channels first."""
    return F.unfold(x, p, stride=p).transpose(1, 2)


WRONG_PATCHIFY = {
    "a reshape alone does not cut patches": lambda x, p: x.reshape(len(x), -1, p * p * x.shape[1]),
    "the channels are moved, and then a reshape cuts rows": lambda x, p: (
        x.movedim(1, 3).reshape(len(x), -1, p * p * x.shape[1])
    ),
    "patches go column by column": lambda x, p: torch.stack(
        [
            x[:, :, i : i + p, j : j + p].permute(0, 2, 3, 1).flatten(1)
            for j in range(0, x.shape[3], p)
            for i in range(0, x.shape[2], p)
        ],
        dim=1,
    ),
    "rows and columns are swapped inside a patch": lambda x, p: torch.stack(
        [piece.permute(0, 3, 2, 1).flatten(1) for piece in pieces(x, p)], dim=1
    ),
    "channels come first in a patch": unfolded,
    "a patch takes every h-th pixel": lambda x, p: torch.stack(
        [
            x[:, :, i :: x.shape[2] // p, j :: x.shape[3] // p].permute(0, 2, 3, 1).flatten(1)
            for i in range(x.shape[2] // p)
            for j in range(x.shape[3] // p)
        ],
        dim=1,
    ),
    "patches and numbers are exchanged": lambda x, p: cut(x, p).transpose(1, 2),
    "channels come first in a patch and patches and numbers are exchanged": lambda x, p: F.unfold(x, p, stride=p),
    "the patches of all pictures are in one list": lambda x, p: cut(x, p).reshape(-1, p * p * x.shape[1]),
    "patches are not flattened": lambda x, p: torch.stack([piece.permute(0, 2, 3, 1) for piece in pieces(x, p)], 1),
    "the grid is kept as two dims": lambda x, p: cut(x, p).view(len(x), x.shape[2] // p, x.shape[3] // p, -1),
    "detached": lambda x, p: cut(x, p).detach(),
}
RIGHT_PATCHIFY = [
    cut,
    official_cut,
    lambda x, p: unfolded(x, p).unflatten(2, (x.shape[1], p * p)).transpose(2, 3).flatten(2),
    lambda x, p: x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2),
]


def side(t):
    return int(t.shape[1] ** 0.5)


def paste(t, p, order="rows", turn=False, first=False):
    g, c = side(t), t.shape[2] // p**2
    x = t.new_zeros(len(t), c, g * p, g * p)
    for k in range(g * g):
        i, j = (k // g, k % g) if order == "rows" else (k % g, k // g)
        piece = t[:, k].reshape(-1, c, p, p) if first else t[:, k].reshape(-1, p, p, c).permute(0, 3, 1, 2)
        x[:, :, i * p : i * p + p, j * p : j * p + p] = piece.mT if turn else piece
    return x


def official_paste(t, p):
    g = side(t)
    x = torch.einsum("nhwpqc->nchpwq", t.reshape(len(t), g, g, p, p, -1))
    return x.reshape(len(t), -1, g * p, g * p)


def folded(t, p):
    t = t.unflatten(2, (p * p, -1)).transpose(2, 3).flatten(2).transpose(1, 2)
    return F.fold(t, side(t.mT) * p, p, stride=p)


WRONG_UNPATCHIFY = {
    "a reshape alone does not put patches together": lambda t, p: t.reshape(len(t), -1, side(t) * p, side(t) * p),
    "each patch stays one piece of memory": lambda t, p: (
        t.view(len(t), -1, p * p, t.shape[2] // p**2).permute(0, 3, 1, 2).reshape(len(t), -1, side(t) * p, side(t) * p)
    ),
    "patches go column by column": lambda t, p: paste(t, p, "columns"),
    "the picture is turned over its diagonal": lambda t, p: paste(t, p, "columns", turn=True),
    "rows and columns are swapped inside a patch": lambda t, p: paste(t, p, turn=True),
    "channels come first in a patch": lambda t, p: paste(t, p, first=True),
    "a patch is spread over the whole picture": lambda t, p: (
        t.view(len(t), side(t), side(t), p, p, -1).permute(0, 5, 3, 1, 4, 2).flatten(2, 3).flatten(3, 4)
    ),
    "channels come last in the picture": lambda t, p: paste(t, p).permute(0, 2, 3, 1),
    "the dims are not joined": lambda t, p: paste(t, p).unflatten(3, (-1, p)).unflatten(2, (-1, p)),
    "the picture is flattened": lambda t, p: paste(t, p).flatten(1),
    "patches go column by column and channels come first in a patch": lambda t, p: paste(t, p, "columns", first=True),
    "detached": lambda t, p: paste(t, p).detach(),
}
RIGHT_UNPATCHIFY = [paste, official_paste, folded]


def counted(u, k):
    """The k smallest of every row."""
    return torch.zeros_like(u, dtype=torch.bool).scatter(1, u.topk(k, largest=False).indices, True)


def loop_mask(u, r):
    rows = []
    for row in u.tolist():
        smallest = sorted(range(len(row)), key=row.__getitem__)[: round(r * len(row))]
        rows.append([place in smallest for place in range(len(row))])
    return rows


WRONG_MASK = {
    "a coin is thrown for every patch": lambda u, r: u < r,
    "the same mask for all pictures": lambda u, r: counted(u, round(r * u.shape[1]))[0].repeat(len(u), 1),
    "the patches are chosen from the whole batch": lambda u, r: (
        u <= u.flatten().sort().values[round(r * u.numel()) - 1]
    ),
    "pictures are chosen for a place, not places for a picture": lambda u, r: counted(u.T, round(r * len(u))).T,
    "argsort gives places, not ranks": lambda u, r: torch.argsort(u, dim=1) < round(r * u.shape[1]),
    "always the first patches": lambda u, r: torch.arange(u.shape[1]).lt(round(r * u.shape[1])).repeat(len(u), 1),
    "True is where a patch is seen": lambda u, r: ~counted(u, round(r * u.shape[1])),
    "the ratio is the share that is seen": lambda u, r: counted(u, round((1 - r) * u.shape[1])),
    "the largest noise is hidden": lambda u, r: counted(-u, round(r * u.shape[1])),
    "the number is rounded down": lambda u, r: counted(u, int(u.shape[1] * r)),
    "the number is rounded up": lambda u, r: counted(u, u.shape[1] - int(u.shape[1] * (1 - r))),
    "one patch too many is hidden": lambda u, r: u <= u.sort(1).values[:, [round(r * u.shape[1])]],
    "places are returned, not a mask": lambda u, r: u.argsort(1)[:, : round(r * u.shape[1])],
    "ranks are returned, not a mask": lambda u, r: u.argsort(1).argsort(1),
    "a coin is thrown for every patch and True is where a patch is seen": lambda u, r: u > r,
}
RIGHT_MASK = [
    lambda u, r: counted(u, round(r * u.shape[1])),
    loop_mask,
    lambda u, r: (u.argsort(1).argsort(1) < round(r * u.shape[1])).float(),
    lambda u, r: u <= u.kthvalue(round(r * u.shape[1]), dim=1, keepdim=True).values,
]


def norm(t, dim=-1, unbiased=True):
    return (t - t.mean(dim, keepdim=True)) / (t.var(dim, keepdim=True, unbiased=unbiased) + 1e-6) ** 0.5


def each(p, t):
    return ((p - norm(t)) ** 2).mean(-1)


def loop_loss(p, t, m):
    errors = []
    for i in range(len(p)):
        for k in range(p.shape[1]):
            if m[i, k]:
                q = t[i, k]
                pattern = (q - q.mean()) / torch.sqrt(((q - q.mean()) ** 2).sum() / (len(q) - 1) + 1e-6)
                errors.append(((p[i, k] - pattern) ** 2).mean())
    return sum(errors) / len(errors)


WRONG_LOSS = {
    "the loss is over the visible patches": lambda p, t, m: each(p, t)[~m].mean(),
    "the loss is over all patches": lambda p, t, m: F.mse_loss(p, norm(t)),
    "divided by the number of all patches": lambda p, t, m: (each(p, t) * m).mean(),
    "a mean over pictures of means over patches": lambda p, t, m: torch.stack(
        [F.mse_loss(a[k], norm(b)[k]) for a, b, k in zip(p, t, m, strict=True)]
    ).mean(),
    "the sum over patches is divided by the batch": lambda p, t, m: (each(p, t) * m).sum() / len(p),
    "the sum over the patches is taken, not the mean": lambda p, t, m: each(p, t)[m].sum(),
    "the sum over the pixels is taken, not the mean": lambda p, t, m: ((p - norm(t)) ** 2).sum(2)[m].mean(),
    "one value for each patch is returned": lambda p, t, m: each(p, t) * m,
    "absolute error in place of the square": lambda p, t, m: F.l1_loss(p[m], norm(t)[m]),
    "the target is not normalised": lambda p, t, m: F.mse_loss(p[m], t[m]),
    "the prediction is normalised too": lambda p, t, m: F.mse_loss(norm(p)[m], norm(t)[m]),
    "the prediction is normalised, not the target": lambda p, t, m: F.mse_loss(norm(p)[m], t[m]),
    "the whole picture is normalised at once": lambda p, t, m: F.mse_loss(p[m], norm(t, (1, 2))[m]),
    "the whole batch is normalised at once": lambda p, t, m: F.mse_loss(p[m], ((t - t.mean()) / t.std())[m]),
    "the variance is biased": lambda p, t, m: F.mse_loss(p[m], norm(t, unbiased=False)[m]),
    "the target is not centred": lambda p, t, m: F.mse_loss(p[m], (t / t.std(-1, keepdim=True))[m]),
    "the target is only centred": lambda p, t, m: F.mse_loss(p[m], (t - t.mean(2, keepdim=True))[m]),
    "divided by the variance, not its root": lambda p, t, m: F.mse_loss(
        p[m], ((t - t.mean(2, True)) / (t.var(2, keepdim=True) + 1e-6))[m]
    ),
    "the loss is over all patches and the target is not normalised": lambda p, t, m: F.mse_loss(p, t),
    "the loss is over the visible patches and the target is not normalised": lambda p, t, m: F.mse_loss(p[~m], t[~m]),
    "a patch of one colour is divided by 0": lambda p, t, m: F.mse_loss(
        p[m], ((t - t.mean(2, True)) / t.std(2, keepdim=True))[m]
    ),
    "the prediction is detached": lambda p, t, m: each(p, t)[m].mean().item(),
}
RIGHT_LOSS = [
    lambda p, t, m: F.mse_loss(p[m], norm(t)[m]),
    loop_loss,
    lambda p, t, m: (each(p, t) * m.float()).sum() / m.float().sum(),
    lambda p, t, m: (
        torch.where(m[..., None], p - (t - t.mean(2, True)) / (t.std(2, keepdim=True) + 1e-6), 0).square().sum()
        / (m.sum() * p.shape[2])
    ),
]


def at(tokens, places):
    return tokens[torch.arange(len(tokens))[:, None], places]


def ln(x):
    return F.layer_norm(x, x.shape[-1:])


def target(tokens, places):
    return ln(at(tokens, places)).detach()


def loop_ijepa(p, tokens, places):
    total, d = 0, p.shape[2]
    for i in range(p.shape[0]):
        for k in range(p.shape[1]):
            with torch.no_grad():
                y = tokens[i, places[i, k]]
                y = (y - y.mean()) / torch.sqrt(((y - y.mean()) ** 2).sum() / d + 1e-5)
            total = total + ((p[i, k] - y) ** 2).sum()
    return total / p.numel()


@torch.no_grad()
def nothing_learned(p, tokens, places):
    return F.mse_loss(p, target(tokens, places))


WRONG_IJEPA = {
    "the layer norm is missing": lambda p, h, k: F.mse_loss(p, at(h, k).detach()),
    "the prediction is normalised, not the target": lambda p, h, k: F.mse_loss(ln(p), at(h, k).detach()),
    "the prediction is normalised too": lambda p, h, k: F.mse_loss(ln(p), target(h, k)),
    "tokens are normalised over the patches": lambda p, h, k: F.mse_loss(
        p, ((y := at(h, k).detach()) - y.mean(1, True)) / (y.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    ),
    "tokens are normalised over the pictures": lambda p, h, k: F.mse_loss(
        p, ((y := at(h, k).detach()) - y.mean(0)) / (y.var(0, unbiased=False) + 1e-5).sqrt()
    ),
    "prediction and target are brought to length 1": lambda p, h, k: F.mse_loss(
        F.normalize(p, dim=-1), F.normalize(at(h, k).detach(), dim=-1)
    ),
    "the target is brought to length 1": lambda p, h, k: F.mse_loss(p, F.normalize(at(h, k).detach(), dim=-1)),
    "the target is a softmax": lambda p, h, k: F.mse_loss(p, at(h, k).detach().softmax(-1)),
    "the variance is unbiased": lambda p, h, k: F.mse_loss(
        p, ((y := at(h, k).detach()) - y.mean(2, True)) / y.std(2, keepdim=True)
    ),
    "the first tokens are taken, not those at the places": lambda p, h, k: F.mse_loss(
        p, ln(h[:, : p.shape[1]]).detach()
    ),
    "all pictures get the places of the first one": lambda p, h, k: F.mse_loss(p, ln(h[:, k[0]]).detach()),
    "every picture gets the places of every picture": lambda p, h, k: (p - ln(h[:, k]).detach()).square().mean(),
    "the sum over the features is taken": lambda p, h, k: (p - target(h, k)).square().sum(-1).mean(),
    "the sum is taken, not the mean": lambda p, h, k: F.mse_loss(p, target(h, k), reduction="sum"),
    "one value for each patch is returned": lambda p, h, k: (p - target(h, k)).square().mean(-1),
    "smooth L1 in place of the square": lambda p, h, k: F.smooth_l1_loss(p, target(h, k)),
    "a product in place of a distance": lambda p, h, k: -(p * target(h, k)).mean(),
    "the layer norm is missing and all pictures get the places of the first one": lambda p, h, k: F.mse_loss(
        p, h[:, k[0]].detach()
    ),
    "gradient flows into the target": lambda p, h, k: F.mse_loss(p, ln(at(h, k))),
    "the wrong side is detached": lambda p, h, k: F.mse_loss(p.detach(), ln(at(h, k))),
    "the prediction is detached": nothing_learned,
}
RIGHT_IJEPA = [
    lambda p, h, k: F.mse_loss(p, target(h, k)),
    loop_ijepa,
    lambda p, h, k: (p - at(ln(h.data), k)).pow(2).mean(),
    lambda p, h, k: F.mse_loss(p, ln(torch.gather(h, 1, k.unsqueeze(-1).repeat(1, 1, h.shape[-1])).detach())),
]

WRONG = dict(zip(NAMES, (WRONG_PATCHIFY, WRONG_UNPATCHIFY, WRONG_MASK, WRONG_LOSS, WRONG_IJEPA), strict=True))
RIGHT = dict(zip(NAMES, (RIGHT_PATCHIFY, RIGHT_UNPATCHIFY, RIGHT_MASK, RIGHT_LOSS, RIGHT_IJEPA), strict=True))


def test_ours_are_the_objectives():
    """The checks' right answers and the package's own functions give the same."""
    from sslab import objectives

    for images, patch in check.patchify.cases():
        patches = objectives.patchify(images, patch)
        assert torch.equal(patches, check.patchify.reference(images, patch))
    for patches, patch in check.unpatchify.cases():
        assert torch.equal(objectives.unpatchify(patches, patch), check.unpatchify.reference(patches, patch))
    for case in check.masked_patches.cases():
        torch.testing.assert_close(objectives.masked_patches(*case), check.masked_patches.reference(*case))
    for prediction, tokens, places in check.ijepa.cases():
        torch.testing.assert_close(objectives.latent_error(prediction, at(tokens, places)),
                                   check.ijepa.reference(prediction, tokens, places))
