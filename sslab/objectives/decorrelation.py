"""Decorrelation: no negatives, no teacher. The statistics of a batch keep the features apart."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab._inputs import takes
from sslab.knobs import number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, full_precision, raised
from sslab.objectives.joint import OUTPUT_NORM, TwoViews

VARIANCE_EPSILON = 1e-4


@takes(z1="float [B, D]", z2="float [B, D]", B=">= 2")
@full_precision
def cross_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """Correlation of each feature of z1 [B, D] with each of z2 [B, D], over the batch: [D, D]. Biased statistics."""
    a, b = (F.batch_norm(z, None, None, training=True) for z in (z1, z2))            # each feature: mean 0, std 1
    return a.T @ b / len(z1)


@takes(z1="float [B, D]", z2="float [B, D]", B=">= 2")
@full_precision
def barlow_twins(z1: Tensor, z2: Tensor, off_diagonal_weight: float = 5e-3) -> Tensor:
    """Make the cross-correlation matrix of two views the identity.

    Args:
        z1, z2: projections [B, D] of two views.
        off_diagonal_weight: lambda, how much redundancy counts against invariance.
    Returns:
        scalar: sum of (1 - c_ii)^2 plus weight times the sum of c_ij^2. D if z is constant.
    Raises:
        ValueError: shapes differ, are not [B, D], or B is below 2.
    Source:
        Zbontar et al. 2021, arXiv:2103.03230, equation 1 and algorithm 1.
    """
    invariance, redundancy = _barlow_terms(z1, z2)
    return invariance + off_diagonal_weight * redundancy


def _barlow_terms(z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
    _check_pair(z1, z2)
    c = cross_correlation(z1, z2)                                    # [D, D]
    diagonal = c.diagonal()
    return (1 - diagonal).square().sum(), c.square().sum() - diagonal.square().sum()


@takes(z="float [B, D]", B=">= 2")
@full_precision
def variance_hinge(z: Tensor) -> Tensor:
    """Mean over the features of max(0, 1 - std): 0 if every feature of z [B, D] has a std of at least 1."""
    return F.relu(1 - (z.var(dim=0) + VARIANCE_EPSILON).sqrt()).mean()


@takes(z="float [B, D]", B=">= 2")
@full_precision
def covariance_penalty(z: Tensor) -> Tensor:
    """Sum of the squared covariances of different features of z [B, D], divided by D."""
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / (len(z) - 1)                  # [D, D]
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


@takes(z1="float [B, D]", z2="float [B, D]", B=">= 2")
@full_precision
def vicreg(z1: Tensor, z2: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> Tensor:
    """Partners close, every feature spread, no two features alike.

    Args:
        z1, z2: projections [B, D] of two views, at the scale they have.
        invariance, variance, covariance: weights of the mean squared difference of partners, of the hinge on the std
            (mean over both branches) and of the squared covariances / D (sum over both branches).
    Returns:
        scalar; variance (1 - sqrt(1e-4)) if z is constant.
    Raises:
        ValueError: shapes differ, are not [B, D], or B is below 2.
    Source:
        Bardes et al. 2021, arXiv:2105.04906, equations 1 to 6, scaled as in the official code (docs/conventions.md).
    """
    terms = _vicreg_terms(z1, z2)
    return invariance * terms[0] + variance * terms[1] + covariance * terms[2]


def _vicreg_terms(z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _check_pair(z1, z2)
    return (F.mse_loss(z1, z2), (variance_hinge(z1) + variance_hinge(z2)) / 2,
            covariance_penalty(z1) + covariance_penalty(z2))


@takes(z="float [N, D]", slices=">= 1", knots=">= 2")
@full_precision
def sigreg(z: Tensor, slices: int = 256, knots: int = 17, generator: torch.Generator | None = None) -> Tensor:
    """How far z is from a standard Gaussian: the Epps-Pulley statistic on random lines, averaged.

    On each line the empirical characteristic function is compared with exp(-t^2 / 2) for t in [0, 3], trapezoid rule,
    weighted by exp(-t^2 / 2), doubled because it is symmetric, times N.

    Args:
        z: [N, D].
        slices: how many random directions. knots: how many values of t.
        generator: of the directions, on the CPU; pass the same one on every rank.
    Returns:
        scalar: about 1 for Gaussian z of any N, growing like N where a line shows something else.
    Raises:
        ValueError: z is not [N, D], or slices or knots are too few.
    Source:
        Balestriero and LeCun 2025, arXiv:2511.08544, section 4; Epps and Pulley 1983.
    """
    directions = torch.randn(z.shape[1], slices, generator=generator)                # [D, M]
    directions = directions.to(z.device, z.dtype, non_blocking=True)
    t = torch.linspace(0, 3, knots, device=z.device, dtype=z.dtype)                  # [T]
    gaussian = torch.exp(-t.square() / 2)                            # [T]
    weights = torch.full_like(t, 2 * 3 / (knots - 1)) * gaussian     # [T]
    weights[[0, -1]] /= 2                                            # trapezoids
    angle = (z @ F.normalize(directions, dim=0))[:, :, None] * t     # [N, M, T]
    error = (angle.cos().mean(dim=0) - gaussian).square() + angle.sin().mean(dim=0).square()           # [M, T]
    return (error @ weights).mean() * len(z)


@takes(views="float [N, D]", weight=">= 0, <= 1", slices=">= 1", knots=">= 2")
@full_precision
def lejepa(views: list[Tensor], weight: float = 0.05, slices: int = 256, knots: int = 17,
           generator: torch.Generator | None = None) -> Tensor:
    """Views near their mean, and each view's cloud a standard Gaussian: (1 - weight) prediction + weight sigreg.

    Args:
        views: projections [N, D] of each view of the same N pictures.
        weight: of the Gaussian's part, from 0 to 1.
        slices, knots, generator: see `sigreg`; every view is seen along the same lines.
    Source:
        Balestriero and LeCun 2025, arXiv:2511.08544, section 5.
    """
    prediction, gaussian = _lejepa_terms(views, slices, knots, generator)
    return (1 - weight) * prediction + weight * gaussian


@full_precision
def _lejepa_terms(views, slices, knots, generator) -> tuple[Tensor, Tensor]:
    z = torch.stack(list(views))                                     # [V, N, D]
    prediction = (z - z.mean(dim=0)).square().mean()
    generator = generator or torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    state = generator.get_state()
    each = []
    for view in z:
        generator.set_state(state)                                   # the same lines for every view
        each.append(sigreg(view, slices, knots, generator))
    return prediction, torch.stack(each).mean()


def _check_pair(z1: Tensor, z2: Tensor) -> None:
    if z1.ndim != 2 or z1.shape != z2.shape or len(z1) < 2:
        raise ValueError(f"z1, z2: got shapes {list(z1.shape)} and {list(z2.shape)}, takes [B, D] twice, B of 2 or more")


class BarlowTwins(TwoViews):
    """Two views, one cross-correlation matrix, and the identity as its goal (Zbontar et al. 2021, arXiv:2103.03230)."""

    title = "Barlow Twins"

    off_diagonal_weight = number(0.02, 1e-4, 1.0, log=True, help="How much two features that say the same cost.")
    decorrelate = switch(True, help="Off: the weight is 0. Features may all say the same thing.")
    output_norm = switch(False, help=OUTPUT_NORM + " The loss does the same by itself.")

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, z = self.see(views)
        invariance, redundancy = _barlow_terms(*across.gather(z, 2).chunk(2))
        redundancy = self.off_diagonal_weight * self.decorrelate * redundancy
        return Loss(invariance + redundancy, {"invariance": invariance, "redundancy": redundancy}, h, z)

    def reference_levels(self) -> dict[str, float]:
        return {"collapsed": float(self.norm.num_features)}


class VICReg(TwoViews):
    """Variance, invariance, covariance (Bardes et al. 2021, arXiv:2105.04906)."""

    title = "VICReg"

    invariance = number(25.0, 0.0, 100.0, help="Weight of the distance of partners.")
    variance = number(25.0, 0.0, 100.0, help="Weight of the hinge that keeps each feature's std at 1 or more. "
                                             "At 0 nothing keeps z from becoming constant.")
    covariance = number(1.0, 0.0, 25.0, help="Weight of the covariances. At 0 features may all say the same thing.")
    output_norm = switch(False, help=OUTPUT_NORM)

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, z = self.see(views)
        weights = {"invariance": self.invariance, "variance": self.variance, "covariance": self.covariance}
        terms = {name: weight * term for (name, weight), term
                 in zip(weights.items(), _vicreg_terms(*across.gather(raised(z), 2).chunk(2)), strict=True)}
        return Loss(sum(terms.values()), terms, h, z)

    def reference_levels(self) -> dict[str, float]:
        return {"collapsed": self.variance * (1 - math.sqrt(VARIANCE_EPSILON))}


class LeJEPA(TwoViews):
    """Predict the mean of the views, and let z be a standard Gaussian (Balestriero and LeCun 2025, arXiv:2511.08544)."""

    title = "LeJEPA"

    gaussian_weight = number(0.02, 0.0, 1.0, help="Share of SIGReg in the loss. At 0 nothing keeps z from becoming constant.")
    slices = number(256, 16, 1024, integer=True, log=True, help="Random lines on which z is compared with a Gaussian.")
    output_norm = switch(False, help=OUTPUT_NORM)

    _seed = 0

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        views = super().make_views(batch, generator)
        self._seed = int(torch.randint(2**31, (), generator=generator))              # of the lines: new ones each step
        return views

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, z = self.see(views)
        lines = torch.Generator().manual_seed(self._seed)
        prediction, gaussian = _lejepa_terms(across.gather(raised(z), 2).chunk(2), self.slices, 17, lines)
        terms = {"prediction": (1 - self.gaussian_weight) * prediction, "gaussian": self.gaussian_weight * gaussian}
        return Loss(sum(terms.values()), terms, h, z)

    def reference_levels(self) -> dict[str, float]:
        origin = torch.zeros(self._batch, self.norm.num_features)
        return {"collapsed": self.gaussian_weight * float(sigreg(origin, 1, generator=torch.Generator()))}
