"""Flat maps of an embedding, and how much of what a map shows is in the embedding too."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab._inputs import check_finite, takes


@takes(x="number [N, D]")
def pca_map(x: Tensor) -> Tensor:
    """The two widest directions: embeddings [N, D] -> points [N, 2].

    Raises:
        ValueError: x is not [N, D] with N and D at least 2.
    """
    x = _cloud(x, "x")
    check_finite(x=x)
    centred = x - x.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:2].T                                # [N, 2]


@takes(x="number [N, D]")
def umap_map(x: Tensor, neighbours: int = 15, seed: int = 0) -> Tensor:
    """UMAP by cosine: embeddings [N, D] -> points [N, 2]. The first call in a process compiles for some seconds.

    Args:
        x: embeddings, at any scale.
        neighbours: how many nearest ones a point is tied to, `n_neighbors`; few show what is near, many what is far.
        seed: of the layout.
    Raises:
        ValueError: x is not [N, D], or neighbours is not from 2 to N - 1.
    Source:
        McInnes et al. 2018, arXiv:1802.03426.
    """
    x = _cloud(x, "x")
    if not 2 <= neighbours < len(x):
        raise ValueError(f"neighbours: got {neighbours}, takes 2 to the number of points - 1 ({len(x) - 1})")
    import warnings

    from umap import UMAP

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                              # a seed costs the parallel layout: so it should
        reducer = UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed, n_jobs=1)
        return torch.from_numpy(reducer.fit_transform(x.cpu().numpy())).float()


@takes(points="number [N, D]", reach="> 0", least=">= 1")
def islands(points: Tensor, reach: float = 4.0, least: int = 10) -> int:
    """How many separate groups an eye would count, by one fixed rule.

    Two points belong together if they are nearer than `reach` times the usual (median) distance to a nearest neighbour,
    and so on from point to point. Groups of fewer than `least` points do not count. Works on a map and on the embedding
    itself.

    Args:
        points: [N, D]. reach: above 0. least: points of an island, 1 or more.
    Raises:
        ValueError: an argument out of its range.
    """
    points = _cloud(points, "points")
    if not reach > 0:
        raise ValueError(f"reach: got {reach}, takes a number above 0")
    if least < 1:
        raise ValueError(f"least: got {least}, takes 1 or more")
    from scipy.sparse.csgraph import connected_components

    distance = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    near = distance.min(dim=1).values.median()
    _, group = connected_components((distance <= reach * near).numpy(), directed=False)
    return int((torch.from_numpy(group).long().bincount() >= least).sum())


@takes(x="number [N, D]", labels="int [N]")
def class_distances(x: Tensor, labels: Tensor) -> Tensor:
    """Distances between the classes' centres: [N, D], [N] -> [C (C - 1) / 2]."""
    centres = torch.stack([x[labels == label].float().mean(dim=0) for label in labels.unique()])
    return F.pdist(centres)


@takes(a="number [N]", b="number [N]", N=">= 2")
def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's: do two lists of numbers [N] have the same order? 1 is the same, 0 none, -1 the reverse."""
    from scipy.stats import spearmanr

    return float(spearmanr(a.detach().cpu().numpy(), b.detach().cpu().numpy()).statistic)


def _cloud(x: Tensor, name: str) -> Tensor:
    if x.ndim != 2 or min(x.shape) < 2:
        raise ValueError(f"{name}: got shape {list(x.shape)}, takes [N, D] with both at least 2")
    return x.float()
