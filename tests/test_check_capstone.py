"""Checks of 17: planted mistakes are named, differently written right answers pass; objectives that break one promise each."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from planted import test_every_mistake_is_named, test_right_answers_pass  # noqa: F401  collected here
from torch import nn

from sslab import encoders
from sslab.course.lessons import nb17
from sslab.knobs import number, switch
from sslab.lab import check
from sslab.objectives import Loss, Objective, SimCLR, TwoViews, across
from sslab.objectives.base import full_precision
from sslab.report import share_interval
from sslab.views import Augment

# ---- the loss


def parts(a, b):
    """Attraction's and repulsion's inner products, by hand: [B], [B (B - 1)]."""
    s = a @ b.T
    own = torch.eye(len(s), dtype=torch.bool)
    return s[own], s[~own]


def loop(a, b, push):
    n, total = len(a), 0.0
    for i, j in itertools.product(range(n), range(n)):
        inner = sum(a[i, k] * b[j, k] for k in range(a.shape[1]))
        total = total - 2 * inner / n if i == j else total + push * inner**2 / (n * (n - 1))
    return total


def in_place(a, b, push):
    s = a @ b.T
    pull = s.diagonal().mean()
    s = s.clone().fill_diagonal_(0)
    return s.pow(2).sum() / (len(s) ** 2 - len(s)) * push - 2 * pull


WRONG_SPECTRAL = {
    "partners are pushed apart too": lambda a, b, p: -2 * (a * b).sum(1).mean() + p * (a @ b.T).square().mean(),
    "the second term sees partners only": lambda a, b, p: -2 * parts(a, b)[0].mean() + p * parts(a, b)[0].square().mean(),
    "the sum is divided by B squared": lambda a, b, p: -2 * parts(a, b)[0].mean() + p * parts(a, b)[1].square().sum() / len(a) ** 2,
    "the sum is divided by B": lambda a, b, p: -2 * parts(a, b)[0].mean() + p * parts(a, b)[1].square().sum() / len(a),
    "the square is missing": lambda a, b, p: -2 * parts(a, b)[0].mean() + p * parts(a, b)[1].mean(),
    "the absolute value in place of the square": lambda a, b, p: -2 * parts(a, b)[0].mean() + p * parts(a, b)[1].abs().mean(),
    "the mean is squared, not the square averaged": lambda a, b, p: -2 * parts(a, b)[0].mean() + p * parts(a, b)[1].mean() ** 2,
    "exponentials in place of squares": lambda a, b, p: -2 * parts(a, b)[0].mean() + p * parts(a, b)[1].exp().mean(),
    "the factor 2 is missing": lambda a, b, p: -parts(a, b)[0].mean() + p * parts(a, b)[1].square().mean(),
    "the sign of the attraction is wrong": lambda a, b, p: 2 * parts(a, b)[0].mean() + p * parts(a, b)[1].square().mean(),
    "the sign of the repulsion is wrong": lambda a, b, p: -2 * parts(a, b)[0].mean() - p * parts(a, b)[1].square().mean(),
    "features are normalised": lambda a, b, p: loop(F.normalize(a, dim=1), F.normalize(b, dim=1), p),
    "z1 is compared with itself": lambda a, b, p: -2 * (a * b).sum(1).mean() + p * parts(a, a)[1].square().mean(),
    "push is not used": lambda a, b, p: loop(a, b, 1.0),
    "push weighs the attraction": lambda a, b, p: -2 * p * parts(a, b)[0].mean() + parts(a, b)[1].square().mean(),
    "push weighs both terms": lambda a, b, p: p * loop(a, b, 1.0),
    "the mean over the features is taken, not the sum": lambda a, b, p: loop(a / a.shape[1] ** 0.5, b / a.shape[1] ** 0.5, p),
    "the sum is taken, not the mean": lambda a, b, p: -2 * parts(a, b)[0].sum() + p * parts(a, b)[1].square().sum(),
}

# ---- the interval

Z = 1.959964


def wilson(right, n, z=Z):
    """The two shares p at which (share - p)^2 = z^2 p (1 - p) / n, as roots of a quadratic."""
    a, b, c = 1 + z * z / n, -2 * right / n - z * z / n, (right / n) ** 2
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def normal(right, n, z=Z):
    half = z * math.sqrt(right / n * (1 - right / n) / n)
    return right / n - half, right / n + half


def pieces(right, n, z=Z):
    return (right / n + z * z / (2 * n)) / (1 + z * z / n), (wilson(right, n, z)[1] - wilson(right, n, z)[0]) / 2


WRONG_INTERVAL = {
    "the normal interval": normal,
    "the normal interval, cut off at 0 and 1": lambda r, n: tuple(min(max(end, 0), 1) for end in normal(r, n)),
    "two successes and two failures are added": lambda r, n: normal(r + 2, n + 4),
    "one standard error, not 1.96": lambda r, n: wilson(r, n, 1.0),
    "1.645: that is 90 %": lambda r, n: wilson(r, n, 1.644854),
    "the middle is the share itself": lambda r, n: (r / n - pieces(r, n)[1], r / n + pieces(r, n)[1]),
    "the root is missing": lambda r, n: tuple(
        pieces(r, n)[0] + side * Z / (1 + Z * Z / n) * (r / n * (1 - r / n) / n + Z * Z / (4 * n * n)) for side in (-1, 1)),
    "under the root z^2 / (4 n^2) is missing": lambda r, n: tuple(
        pieces(r, n)[0] + side * Z / (1 + Z * Z / n) * math.sqrt(r / n * (1 - r / n) / n) for side in (-1, 1)),
    "nothing is divided by 1 + z^2 / n": lambda r, n: [(1 + Z * Z / n) * end for end in wilson(r, n)],
    "percent, not shares": lambda r, n: torch.tensor(wilson(r, n)) * 100,
    "the middle and half of the width": pieces,
    "the ends are exchanged": lambda r, n: wilson(r, n)[::-1],
}

WRONG = {"spectral": WRONG_SPECTRAL, "share_interval": WRONG_INTERVAL}
RIGHT = {
    "spectral": [
        loop,
        in_place,
        lambda a, b, p: -2 * parts(a, b)[0].mean() + p * parts(a, b)[1].square().mean(),
        lambda a, b, p: -2 * torch.einsum("id,id->", a, b) / len(a) + p * (
            torch.einsum("id,jd->ij", a, b).square().sum() - (a * b).sum(1).square().sum()) / (len(a) * (len(a) - 1)),
        full_precision(lambda z1, z2, push: ((z1 * z2).sum(1) - 1).square().mean() - (z1 * z2).sum(1).square().mean() - 1
                       + push * parts(z1, z2)[1].square().mean()),
    ],
    "share_interval": [
        wilson,
        share_interval,
        lambda r, n: torch.tensor(wilson(r, n), dtype=torch.float64),
        lambda r, n: [pieces(r, n)[0] - pieces(r, n)[1], pieces(r, n)[0] + pieces(r, n)[1]],
    ],
}


def test_an_interval_that_divides_by_the_share_stumbles_at_0():
    result = check.share_interval(lambda right, count: (wilson(right, count)[0] * right / right, wilson(right, count)[1]))
    assert result.misconception == "it fails at a share of 0"


# ---- the objective


def make(kind, **options):
    return lambda: kind(encoders.create("conv", (1, 28), width=4), Augment.named("digits"), hidden=16, outputs=8, **options)


@full_precision
def loss(z1, z2, push):
    return loop_free(z1, z2, push)


def loop_free(z1, z2, push):
    pull, others = parts(z1, z2)
    return -2 * pull.mean() + push * others.square().mean()


class Mine(TwoViews):
    """Right; what follows breaks one promise each."""

    push = number(1.0, 0.0, 10.0)

    def forward(self, views):
        h, z = self.see(views)
        z1, z2 = across.gather(self.placed(z), 2).chunk(2)
        return Loss(self.total(z1, z2), {}, h, z)

    def placed(self, z):
        return F.normalize(z.float(), dim=1)

    def total(self, z1, z2):
        return loss(z1, z2, self.push)


class Alone(Objective):
    """Right, without TwoViews: a loss of the encoder's output alone, with a switch."""

    centred = switch(True)

    def __init__(self, encoder, views, hidden=0, outputs=0, **knobs):
        super().__init__(encoder, views, **knobs)

    def make_views(self, batch, generator):
        return self.views(batch, generator), self.views(batch, generator)

    def forward(self, views):
        h = self.encoder(torch.cat(views))
        first, second = across.gather(h, 2).float().chunk(2)
        if self.centred:
            first, second = first - first.mean(0), second - second.mean(0)
        return Loss(1 - F.cosine_similarity(first, second).mean(), {}, h)


class Queue(Mine):
    """Right, with something that it remembers: a buffer."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.register_buffer("steps", torch.zeros(()))

    def after_step(self):
        self.steps += 1


class Vector(Mine):
    def total(self, z1, z2):
        return (z1 - z2).square().sum(1) * (1 + self.push)


class WrongTerm(Mine):
    def forward(self, views):
        found = super().forward(views)
        return Loss(found.total, {"each": found.projection.sum(1)}, found.embedding, found.projection)


class ProjectionTwice(Mine):
    def forward(self, views):
        found = super().forward(views)
        return Loss(found.total, {}, found.projection, found.projection)


class HalfProjection(Mine):
    def forward(self, views):
        found = super().forward(views)
        return Loss(found.total, {}, found.embedding, found.projection.chunk(2)[0])


class Divides(Mine):
    def total(self, z1, z2):
        return loss(z1, z2, 1.0) / self.push


class Detached(Mine):
    def placed(self, z):
        return super().placed(z.detach()) + 0 * self.projector[0].weight.sum()


class OwnNoise(Mine):
    def make_views(self, batch, generator):
        first, second = super().make_views(batch, generator)
        return first, second + 0.1 * torch.rand(second.shape)


class ByPlace(Mine):
    def total(self, z1, z2):
        return loss(z1, z2, self.push) + (torch.linspace(0, 1, len(z1)) * z1[:, 0]).mean()


class Half(Mine):
    def placed(self, z):
        return 3 * F.normalize(z, dim=1)

    def total(self, z1, z2):
        return loop_free(z1, z2, self.push)


class Remembers(Mine):
    last = 0.0

    def total(self, z1, z2):
        return loss(z1, z2, self.push) * (1 + self.last)

    def after_step(self):
        self.last += 1.0


class ByItself(Mine):
    def forward(self, views):
        h, z = self.see(views)
        z1, z2 = self.placed(z).chunk(2)
        return Loss(self.total(z1, z2), {}, h, z)


class Idle(Mine):
    other = number(1.0, 0.0, 2.0)


class Blind(Mine):
    def total(self, z1, z2):
        return 0 * z1.sum() + 0 * z2.sum() + self.push


class WrongLevel(Mine):
    def reference_levels(self):
        return {"collapsed": torch.zeros(())}


BROKEN = {
    "the loss is not one float32 number": Vector,
    "a term is not one number": WrongTerm,
    "the embedding is not the encoder's output": ProjectionTwice,
    "embedding and projection have different rows": HalfProjection,
    "a reference level is not a number": WrongLevel,
    "the loss is not finite at the end of a knob": Divides,
    "no gradient reaches the encoder": Detached,
    "the views do not come from the generator": OwnNoise,
    "the order of the batch matters": ByPlace,
    "the loss is computed in half precision": Half,
    "it remembers what a checkpoint does not hold": Remembers,
    "samples are compared without across.gather": ByItself,
    "a knob is declared and never read": Idle,
    "the loss does not look at the views": Blind,
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_promise_is_named(mistake):
    result = check.own_objective(make(BROKEN[mistake]))
    assert not result.passed and result.misconception == mistake and result.hint and result.convention, result


@pytest.mark.parametrize("kind", [Mine, Alone, Queue, SimCLR, nb17.spectral_class()])
def test_a_right_objective_passes(kind):
    result = check.own_objective(make(kind))
    assert result.passed and "several processes" in result.headline and "Convention" in repr(result), result


@pytest.mark.parametrize("handed, mistake", [
    (lambda: make(Mine)(), "an objective was handed over, not a way to make one"),
    (lambda: lambda: Mine, "the class was returned, not an object of it"),
    (lambda: lambda: nn.Linear(2, 2), "it is not an Objective"),
    (lambda: 7, None),
])
def test_what_is_no_way_to_make_an_objective(handed, mistake):
    result = check.own_objective(handed())
    assert not result.passed and result.misconception == mistake and result.hint


class Raises(Mine):
    def total(self, z1, z2):
        return z1 @ z2


class Unwritten(Mine):
    def placed(self, z):
        z1, z2 = ...
        return z1 + z2


class NotYet(Mine):
    def total(self, z1, z2):
        raise NotImplementedError


@pytest.mark.parametrize("kind", [Unwritten, NotYet])
def test_a_stub_is_not_yet_written(kind):
    result = check.own_objective(make(kind))
    assert not result.passed and not result.written and "not yet written" in repr(result)


def test_another_error_is_shown_with_its_line(monkeypatch):
    result = check.own_objective(make(Raises))
    assert not result.passed and result.misconception is None and "it raised RuntimeError" in repr(result) and "z1 @ z2" in result.hint
    monkeypatch.setenv("SSLAB_CHECKS", "strict")
    with pytest.raises(AssertionError, match="it raised"):
        check.own_objective(make(Raises))


def test_the_lessons_levels_are_reached():
    """All z the same: the collapsed level. Unrelated directions: their mean squared cosine is 1 / P."""
    made = nb17.spectral_class()(encoders.create("conv", (1, 28), width=4), Augment.named("digits"), push=2.0, radius=3.0)
    one = F.normalize(torch.randn(1, 128, generator=torch.Generator().manual_seed(0)), dim=1).expand(64, -1) * 3.0**0.5
    levels = made.reference_levels()
    assert float(check.spectral.reference(one, one, 2.0)) == pytest.approx(levels["collapsed"], rel=1e-4)
    z = F.normalize(torch.randn(2, 4000, 128, generator=torch.Generator().manual_seed(1)), dim=2) * 3.0**0.5
    assert float(check.spectral.reference(z[0], z[1], 2.0)) == pytest.approx(levels["unrelated"], abs=0.03)
