"""What a representation looks like from inside: how many directions it uses, how evenly, and whether it collapsed."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab._inputs import check_finite, takes


@takes(z="number [B, D]", B=">= 2")
def feature_std(z: Tensor) -> Tensor:
    """Std over the batch of each feature of normalised z, its mean times sqrt(D).

    About 1 where directions are spread over the sphere, 0 where every input gets the same one.

    Args:
        z: embeddings or projections [B, D] at any scale, normalised here.
    Returns:
        scalar, float32.
    Source:
        Chen and He 2020, arXiv:2011.10566, section 4.1, whose figure 2 plots it without sqrt(D).
    """
    return F.normalize(z.float(), dim=1).std(dim=0, unbiased=False).mean() * math.sqrt(z.shape[1])


@takes(z="number [B, D]", B=">= 2")
def singular_values(z: Tensor) -> Tensor:
    """Singular values of the centred z, largest first: how far the cloud reaches along each axis.

    From the smaller of the two Gram matrices, in float64: five times faster than an SVD, exact to 1e-8 of the largest.

    Args:
        z: embeddings or projections [B, D].
    Returns:
        [min(B, D)], float32; NaN where z is not finite.
    Raises:
        ValueError: z not [B, D], or B below 2.
    """
    if not torch.isfinite(z).all():                                  # eigvalsh would stop the lab here
        return torch.full((min(z.shape),), math.nan, device=z.device)
    x = z.detach().cpu().double()
    x = x - x.mean(dim=0)
    gram = x.T @ x if len(x) > x.shape[1] else x @ x.T               # [min(B, D), min(B, D)]
    return torch.linalg.eigvalsh(gram).flip(0).clamp(min=0).sqrt().float().to(z.device)


@takes(z="number [B, D]", B=">= 2")
def effective_rank(z: Tensor) -> Tensor:
    """Exp of the entropy of the singular values of the centred z: how many directions are in use, from 1 to D.

    0 where z has no variation at all.

    Args:
        z: [B, D].
    Returns:
        scalar, float32.
    Source:
        Roy and Vetterli, EUSIPCO 2007, "The effective rank", on p_i = s_i / sum(s).
    """
    return _entropy_rank(singular_values(z), z)


@takes(z="number [B, D]", B=">= 2", epsilon=">= 0")
def rankme(z: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The effective rank of z as it is, not centred: 1 where one direction holds all, at most min(B, D).

    Args:
        z: [B, D].
        epsilon: added to each share, so that its logarithm is finite.
    Returns:
        scalar, float32.
    Source:
        Garrido et al. 2022, arXiv:2210.02885, equation 1.
    """
    s = torch.linalg.svdvals(z.float())
    p = s / s.sum().clamp_min(1e-30) + epsilon
    return torch.exp(-(p * p.log()).sum())


@takes(z="number [B, D]", B=">= 2")
def alpha_req(z: Tensor) -> Tensor:
    """How fast the spectrum decays: the alpha of the power law i^-alpha closest to the covariance's eigenvalues.

    0 is as much variance in every direction; near 1 is where the paper's encoders transferred best; far above, a few
    directions hold nearly all. Least squares of log eigenvalue on log i, over all eigenvalues that are not rounding.

    Args:
        z: [B, D], B well above D: the smallest eigenvalues of few samples are too small, which raises alpha.
    Returns:
        scalar, float32; NaN where fewer than two directions vary.
    Raises:
        ValueError: z not [B, D], or B below 2.
    Source:
        Agrawal et al., NeurIPS 2022, "alpha-ReQ"; the power law from Ghosh et al. 2022, arXiv:2202.05808.
    """
    s = singular_values(z)                                           # [min(B, D)]
    y = 2 * s[s > max(_noise(z), 1e-7 * float(s[0]))].log()          # log eigenvalue, up to a constant
    if len(y) < 2:
        return s.new_full((), math.nan)
    x = torch.arange(1, len(y) + 1, device=y.device).log()
    x = x - x.mean()
    return -(x * y).sum() / (x * x).sum()


@takes(views="number [N, V, D]", N=">= 2", V=">= 2", delta="> 0", epsilon=">= 0")
def lidar(views: Tensor, delta: float = 1e-4, epsilon: float = 1e-7) -> Tensor:
    """How many directions tell pictures apart better than they tell views apart: the rank of the LDA matrix.

    From 1 to min(D, N - 1), and 0 where all pictures have one mean. Unlike RankMe it does not count a direction
    that differs as much between two views of one picture as between pictures.

    Args:
        views: embeddings [N, V, D] of V views of each of N pictures.
        delta: variance added to every direction within pictures, at the scale of `views`.
        epsilon: added to each share, so that its logarithm is finite.
    Returns:
        scalar, float32.
    Raises:
        ValueError: views not [N, V, D] with N and V of 2 or more, or delta not above 0.
    Source:
        Thilak et al., ICLR 2024, arXiv:2312.04000.
    """
    check_finite(views=views)
    e = views.detach().cpu().double()
    n, v, d = e.shape
    means = e.mean(dim=1)                                            # [N, D]
    between = means - means.mean(dim=0)                              # [N, D]
    if between.abs().max() <= 1e-7 * e.abs().max():
        return torch.zeros((), device=views.device)
    within = (e - means[:, None]).reshape(n * v, d)                  # [N V, D]
    covariance = within.T @ within / (n * (v - 1)) + delta * torch.eye(d, dtype=e.dtype)
    variances, axes = torch.linalg.eigh(covariance)
    whitened = between @ (axes / variances.sqrt())                   # [N, D], within pictures now as wide everywhere
    eigenvalues = torch.linalg.svdvals(whitened).square()            # of the LDA matrix, times N - 1
    p = eigenvalues / eigenvalues.sum() + epsilon
    return torch.exp(-(p * p.log()).sum()).float().to(views.device)


@takes(z1="number [B, D]", z2="number [B, D]", alpha="> 0")
def alignment(z1: Tensor, z2: Tensor, alpha: float = 2.0) -> Tensor:
    """Mean distance of partners on the sphere, to the power alpha. 0 is perfect; 2 (for alpha 2) is unrelated.

    Args:
        z1, z2: embeddings [B, D] at any scale, normalised here; row i of both is one picture.
        alpha: power of the distance, above 0.
    Returns:
        scalar, float32.
    Raises:
        ValueError: z1 and z2 not of one shape [B, D], or alpha not above 0.
    Source:
        Wang and Isola, ICML 2020, arXiv:2005.10242, section 4.1.
    """
    return (F.normalize(z1.float(), dim=1) - F.normalize(z2.float(), dim=1)).norm(dim=1).pow(alpha).mean()


@takes(z="number [B, D]", B=">= 2", t="> 0")
def uniformity(z: Tensor, t: float = 2.0) -> Tensor:
    """How evenly embeddings cover the sphere: log of the mean Gaussian potential between pairs.

    Lower is more even. 0 is complete collapse; -4t, its bound, would be every pair opposite.

    Args:
        z: embeddings [B, D] at any scale, normalised here.
        t: sharpness of the potential, above 0.
    Returns:
        scalar, float32.
    Raises:
        ValueError: B below 2, or t not above 0.
    Source:
        Wang and Isola, ICML 2020, arXiv:2005.10242, section 4.1.
    """
    squared = torch.pdist(F.normalize(z.float(), dim=1)).square()    # [B (B - 1) / 2]
    return torch.logsumexp(-t * squared, 0) - math.log(len(squared))


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found.

    kind: healthy, complete, dimensional or cluster collapse, too few samples to tell, or not finite; of a VAE posterior collapse too.
    """

    kind: str
    text: str
    numbers: dict[str, float]

    def __str__(self) -> str:
        return self.text


# Where the lines are drawn, and why there: between what SimCLR and SimSiam show on digits and fashion, from their first
# step to the 300th, and the made-up clouds of tests/test_diagnostics.py.
SPREAD = 0.1        # of the sphere's 1: below, two samples' mean cosine is above 0.99
REACH = 0.02        # a direction is in use if the cloud reaches this far along it, of its longest. In healthy runs 28 % or
                    # more do; noise of 1 % under a collapse does not, even where as many samples as features double it.
                    # (Shares of variance would not tell: late in a healthy run 4 of 128 directions hold 90 %.)
FEW = 0.05          # of the directions in use is a collapse, and so are one or two if there are five or more
TWIN = 0.15         # of the typical distance: nearer samples are the same point
GAP = 3             # between points is nothing: hardly a sample lies between TWIN and GAP times TWIN from another


@takes(z="number [B, D]", B=">= 2")
def diagnose(z: Tensor) -> Diagnosis:
    """Say in plain words what is wrong with a cloud of projections, if anything.

    Complete collapse: all directions equal. Cluster collapse: a few points with next to nothing between them.
    Dimensional collapse: an even cloud, but in a small part of the D directions. The last cannot be told from health
    with no more samples than features, which cannot fill D directions however healthy; the first two can.

    Args:
        z: [B, D], what the loss sees.
    Raises:
        ValueError: z not [B, D], or B below 2.
    """
    z = z.detach().float()
    count, dim = z.shape
    s = singular_values(z)                                           # [min(B, D)]
    numbers = {"std": float(feature_std(z)), "effective_rank": float(_entropy_rank(s, z)), "samples": count, "dim": dim}
    if not torch.isfinite(z).all():
        return Diagnosis("not finite", "Some values are NaN or infinite.", numbers)
    on_sphere = F.normalize(z, dim=1)
    spread = float(on_sphere.var(dim=0, unbiased=False).sum().sqrt())    # as std, but the same however z is rotated
    if spread < SPREAD:
        return Diagnosis("complete collapse", f"Complete collapse: every input gets almost the same projection "
                         f"(std {spread:.2f}, where 1 is spread over the sphere).", numbers)
    used = int((s > REACH * s[0]).sum())
    clusters = _few_points(z if used == 1 else on_sphere)            # the sphere crowds a line near two points
    if clusters:
        numbers["clusters"] = clusters
        return Diagnosis("cluster collapse", f"Cluster collapse: {count} inputs share {clusters} points.", numbers)
    if count <= dim:
        return Diagnosis("too few samples to tell", f"Too few samples to tell: {count} for {dim} features.", numbers)
    numbers["directions"] = used
    if used <= FEW * dim or used <= 2 < dim / 2:
        return Diagnosis("dimensional collapse", f"Dimensional collapse: the cloud fills about {used} of "
                         f"{dim} directions.", numbers)
    return Diagnosis("healthy", f"Healthy: spread over the sphere (std {spread:.2f}), about "
                     f"{numbers['effective_rank']:.0f} of {dim} directions in use.", numbers)


def _few_points(z: Tensor, sample: int = 256) -> int:
    """The number of distinct points if they are few, else 0: most samples have many twins, and nothing else near."""
    if len(z) > sample:                                              # drawn: every k-th could be one cluster's
        z = z[torch.randperm(len(z), generator=torch.Generator().manual_seed(0))[:sample].to(z.device)]
    distance = torch.cdist(z, z)                                     # [n, n]
    twin = TWIN * distance.square().mean().sqrt()
    twins = (distance < twin).sum(dim=1)                             # [n], itself among them
    points = float((1 / twins).sum())                                # each point counts once, whatever its size
    # Two views of each picture are n / 2 points in a healthy run. A line or a ring is crowded too, but has no gaps.
    few = points <= min(len(z) / 3, max(16, len(z) / 8))
    return round(points) if few and twins.sum() > 0.9 * (distance < GAP * twin).sum() else 0


def _entropy_rank(s: Tensor, z: Tensor) -> Tensor:
    if s[0] <= _noise(z):
        return s.new_zeros(())
    return torch.exp(torch.special.entr(s / s.sum()).sum())


def _noise(z: Tensor) -> float:
    """What rounding alone leaves as singular values: those of random errors of a few units in the last place."""
    kind = z.dtype if z.is_floating_point() else torch.float32       # whole numbers are read as such
    return 4 * torch.finfo(kind).eps * float(z.abs().max()) * (math.sqrt(len(z)) + math.sqrt(z.shape[1]))
