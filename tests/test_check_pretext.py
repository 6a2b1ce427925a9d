"""Checks of 02: planted mistakes are named, differently written right answers pass.

As in test_check.py the answers are written by hand; what holds for every check is tested there.
"""

import numpy as np
import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here

NAMES = ("rotation_task", "neighbour_index", "colour_weights", "annealed_mean")


def turned(x, *dims, sign=1):
    return torch.cat([torch.rot90(x, sign * k, dims or (2, 3)) for k in range(4)])


def labels(x):
    return torch.arange(4).repeat_interleave(len(x))


def loop_turns(x):
    views, said = [], []
    for k in range(4):
        for picture in x:
            for _ in range(k):
                picture = torch.stack([row for row in picture.flip(2).transpose(1, 2)])
            views.append(picture)
            said.append(k)
    return torch.stack(views), torch.tensor(said)


WRONG_ROTATION = {
    "channels and rows are turned, not the picture": lambda x: (turned(x, 1, 2), labels(x)),
    "the first two dims are turned": lambda x: (torch.cat([torch.rot90(x, k) for k in range(4)]), labels(x)),
    "the turns are clockwise": lambda x: (turned(x, sign=-1), labels(x)),
    "the turns are half turns": lambda x: (torch.cat([x, x.flip(2, 3), x, x.flip(2, 3)]), labels(x)),
    "labels start with 1": lambda x: (turned(x), labels(x) + 1),
    "mirror images in place of turns": lambda x: (torch.cat([x, x.flip(3), x.flip(2), x.flip([2, 3])]), labels(x)),
    "all turned pictures are turned once": lambda x: (torch.cat([x] + 3 * [x.rot90(1, (2, 3))]), labels(x)),
    "labels run picture by picture, pictures turn by turn": lambda x: (turned(x), torch.tensor([0, 1, 2, 3] * len(x))),
    "pictures run picture by picture, labels turn by turn": lambda x: (
        torch.stack([x.rot90(k, (2, 3)) for k in range(4)], 1).flatten(0, 1), labels(x)
    ),
    "views come picture by picture": lambda x: (
        torch.cat([torch.stack([torch.rot90(i, k, (1, 2)) for k in range(4)]) for i in x]), torch.arange(4).repeat(len(x))
    ),
    "labels are the wrong way round": lambda x: (turned(x), 3 - labels(x)),
    "all labels are 0": lambda x: (turned(x), torch.zeros(4 * len(x))),
    "a turn is left out": lambda x: (turned(x)[: 3 * len(x)], labels(x)[: 3 * len(x)]),
    "the turns are clockwise and labels start with 1": lambda x: (turned(x, sign=-1), labels(x) + 1),
}
RIGHT_ROTATION = [
    lambda x: (turned(x), labels(x)),
    loop_turns,
    lambda x: (torch.cat([x, x.transpose(2, 3).flip(2), x.flip(2, 3), x.transpose(2, 3).flip(3)]), labels(x).int()),
    lambda x: [torch.stack([x.rot90(k, [-2, -1]) for k in range(4)]).view(-1, *x.shape[1:]), torch.arange(4 * len(x)) // len(x)],
]

ORDER = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]


def look_up(order):
    return lambda r, c: torch.tensor([order.index(pair) for pair in zip(r.tolist(), c.tolist(), strict=True)])


WRONG_INDEX = {
    "the middle is counted": lambda r, c: 3 * (r + 1) + c + 1,
    "all numbers are shifted by the middle": lambda r, c: 3 * r + c + 3,
    "the numbers skip one place too early": lambda r, c: torch.where((k := 3 * r + c + 4) > 2, k - 1, k),
    "rows and columns are exchanged": look_up([(b, a) for a, b in ORDER]),
    "numbers start with 1": lambda r, c: look_up(ORDER)(r, c) + 1,
    "the place of the middle seen from the neighbour": lambda r, c: 7 - look_up(ORDER)(r, c),
    "rows are counted upwards": lambda r, c: look_up(ORDER)(-r, c),
    "numbered clockwise": look_up([(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]),
    "the middle is counted and rows and columns are exchanged": lambda r, c: 3 * (c + 1) + r + 1,
}
RIGHT_INDEX = [
    look_up(ORDER),
    lambda r, c: (k := 3 * (r + 1) + c + 1) - (k > 4).long(),
    lambda r, c: [3 * a + b + 4 - (3 * a + b > 0) for a, b in zip(r.tolist(), c.tolist(), strict=True)],
    lambda r, c: np.searchsorted([-4, -3, -2, -1, 1, 2, 3, 4], (3 * r + c).numpy()),
]


def raw(n, m):
    return 1 / ((1 - m) * n / n.sum() + m / len(n))


def scaled(n, m):
    return raw(n, m) / (raw(n, m) * n).sum() * n.sum()


WRONG_WEIGHTS = {
    "mix and 1 - mix are exchanged": lambda n, m: scaled(n, 1 - m),
    "frequent colours get the large weights": lambda n, m: (w := 1 / raw(n, m)) / (w * n / n.sum()).sum(),
    "the weights are not scaled": raw,
    "the weights sum to 1": lambda n, m: raw(n, m) / raw(n, m).sum(),
    "the mean over the colours is 1": lambda n, m: raw(n, m) / raw(n, m).mean(),
    "the largest weight is 1": lambda n, m: raw(n, m) / raw(n, m).max(),
    "the uniform part is missing": lambda n, m: n.sum() / n / len(n),
    "1 in place of 1 / Q": lambda n, m: (w := 1 / ((1 - m) * n / n.sum() + m)) / (w * n).sum() * n.sum(),
    "the root is taken": lambda n, m: (w := raw(n, m) ** 0.5) / (w * n).sum() * n.sum(),
    "mix and 1 - mix are exchanged and the weights are not scaled": lambda n, m: raw(n, 1 - m),
}


def loop_weights(n, m):
    n = n.tolist()
    w = [1 / ((1 - m) * k / sum(n) + m / len(n)) for k in n]
    mean = sum(k * v for k, v in zip(n, w, strict=True)) / sum(n)
    return [v / mean for v in w]


RIGHT_WEIGHTS = [scaled, loop_weights, lambda n, m: (w := raw(7 * n, m)) / torch.dot(w, n / n.sum())]


def mean(x, c, t):
    return F.softmax(x / t, dim=1) @ c


WRONG_MEAN = {
    "temperature multiplies": lambda x, c, t: (x * t).softmax(1) @ c,
    "temperature is not used": lambda x, c, t: torch.einsum("nq,qc->nc", x.softmax(1), c),
    "the most probable colour is returned": lambda x, c, t: c[x.max(1).indices],
    "the softmax goes over the pixels": lambda x, c, t: (x / t).softmax(0) @ c,
    "the softmax is missing": lambda x, c, t: x @ c / t,
    "a sigmoid in place of the softmax": lambda x, c, t: torch.sigmoid(x / t) @ c,
    "the probabilities are divided by the temperature": lambda x, c, t: F.softmax(x, 1) @ c / t,
    "the powers of the probabilities do not sum to 1": lambda x, c, t: F.softmax(x, 1).pow(1 / t) @ c,
    "a and b are exchanged": lambda x, c, t: mean(x, c.flip(1), t),
    "divided by the number of colours too": lambda x, c, t: ((x / t).softmax(1)[..., None] * c).mean(1),
    "NaN or infinity at a low temperature": lambda x, c, t: (e := (x / t).exp()) @ c / e.sum(1, keepdim=True),
    "detached": lambda x, c, t: mean(x, c, t).detach(),
}
RIGHT_MEAN = [
    mean,
    lambda x, c, t: torch.stack([(torch.softmax(row / t, 0)[:, None] * c).sum(0) for row in x]),
    lambda x, c, t: (x.log_softmax(1) / t).softmax(1).matmul(c),
    lambda x, c, t: (e := ((x - x.amax(1, True)) / t).exp()) @ c / e.sum(1)[:, None],
]

WRONG = dict(zip(NAMES, (WRONG_ROTATION, WRONG_INDEX, WRONG_WEIGHTS, WRONG_MEAN), strict=True))
RIGHT = dict(zip(NAMES, (RIGHT_ROTATION, RIGHT_INDEX, RIGHT_WEIGHTS, RIGHT_MEAN), strict=True))
