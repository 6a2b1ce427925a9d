"""What a representation looks like from inside: how many directions it uses, how evenly, and whether it collapsed."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


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
    _check(z)
    return F.normalize(z.float(), dim=1).std(dim=0, unbiased=False).mean() * math.sqrt(z.shape[1])


def singular_values(z: Tensor) -> Tensor:
    """Singular values of the centred z, largest first: [min(B, D)]. How far the cloud reaches along each axis."""
    _check(z)
    z = z.float()
    return torch.linalg.svdvals(z - z.mean(dim=0))


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
    s = singular_values(z)
    if s[0] <= _noise(z):
        return s.new_zeros(())
    p = s / s.sum()
    return torch.exp(torch.special.entr(p).sum())


def rankme(z: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The effective rank of z as it is, not centred. Garrido et al. 2022, arXiv:2210.02885, equation 1."""
    _check(z)
    s = torch.linalg.svdvals(z.float())
    p = s / s.sum().clamp_min(1e-30) + epsilon
    return torch.exp(-(p * p.log()).sum())


def alignment(z1: Tensor, z2: Tensor, alpha: float = 2.0) -> Tensor:
    """Mean distance of partners on the sphere, to the power alpha. 0 is perfect; 2 (for alpha 2) is unrelated.

    Source:
        Wang and Isola, ICML 2020, arXiv:2005.10242, section 4.1.
    """
    return (F.normalize(z1.float(), dim=1) - F.normalize(z2.float(), dim=1)).norm(dim=1).pow(alpha).mean()


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
    _check(z)
    if not t > 0:
        raise ValueError(f"t: got {t}, takes a number above 0")
    squared = torch.pdist(F.normalize(z.float(), dim=1)).square()    # [B (B - 1) / 2]
    return torch.logsumexp(-t * squared, 0) - math.log(len(squared))


@dataclass(frozen=True)
class Diagnosis:
    """kind: healthy, complete, dimensional or cluster collapse, too few samples to tell, or not finite."""

    kind: str
    text: str
    numbers: dict[str, float]

    def __str__(self) -> str:
        return self.text


def diagnose(z: Tensor) -> Diagnosis:
    """Say in plain words what is wrong with a cloud of projections, if anything.

    Complete collapse: all directions equal. Cluster collapse: a few points with next to nothing between them.
    Dimensional collapse: an even cloud, but in a small part of the D directions.

    Args:
        z: [B, D], what the loss sees.
    """
    _check(z)
    count, dim = z.shape
    if not torch.isfinite(z).all():
        return Diagnosis("not finite", "Some values are NaN or infinite.", {"samples": count, "dim": dim})
    spread, rank = float(feature_std(z)), float(effective_rank(z))
    numbers = {"std": spread, "effective_rank": rank, "samples": count, "dim": dim}
    if spread < 0.1:
        return Diagnosis("complete collapse", f"Complete collapse: every input gets almost the same projection "
                         f"(std {spread:.2f}, where 1 is spread over the sphere).", numbers)
    if count <= 2 * dim and count < 64:
        return Diagnosis("too few samples to tell", f"Too few samples to tell: {count} for {dim} features.", numbers)
    clusters = _few_points(z)
    if clusters:
        numbers["clusters"] = clusters
        return Diagnosis("cluster collapse", f"Cluster collapse: {count} inputs share {clusters} points.", numbers)
    possible = min(dim, count - 1)
    if rank < 0.05 * possible or rank < 2.5 <= possible:
        return Diagnosis("dimensional collapse", f"Dimensional collapse: the cloud fills about {rank:.0f} of "
                         f"{dim} directions.", numbers)
    return Diagnosis("healthy", f"Healthy: spread over the sphere (std {spread:.2f}), about {rank:.0f} of {dim} "
                     f"directions in use.", numbers)


def _few_points(z: Tensor, sample: int = 256) -> int:
    """The number of distinct points if they are few, else 0: most samples have many twins, and twins are close."""
    z = F.normalize(z.float() - z.float().mean(dim=0), dim=1)[:: max(1, len(z) // sample)]
    close = torch.cdist(z, z) < 0.05                                 # [n, n]
    points = float((1 / close.sum(dim=1)).sum())                     # each point counts once, whatever its size
    return round(points) if points < len(z) / 8 else 0


def _noise(z: Tensor) -> float:
    """What rounding alone leaves of a constant column."""
    return 1e-6 * float(z.float().abs().max()) * math.sqrt(z.numel())


def _check(z: Tensor) -> None:
    if z.ndim != 2 or len(z) < 2:
        raise ValueError(f"z: got shape {list(z.shape)}, takes [B, D] with B of 2 or more")
