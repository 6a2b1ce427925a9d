"""Many dimensions on a flat screen: PCA that keeps still from frame to frame, and UMAP on demand."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST = 0.05                                                      # half-width under which a cloud may look as small as it is
MARGIN = 1.1                                                         # room around the cloud
CALM = 0.7                                                           # how much of the old frame each new one keeps


class SteadyPCA:
    """The first two principal components of unit vectors, each map turned, placed and zoomed to match the last one.

    PCA is free to flip and turn its axes whenever it is computed; without the alignment the map would jump. The
    frame follows the cloud slowly and never closer than `SMALLEST`, so that a collapse is seen as one: a dot.
    """

    def __init__(self) -> None:
        self._previous: Tensor | None = None
        self._centre, self._half = None, 0.0

    def __call__(self, x: Tensor) -> tuple[Tensor, float]:
        """Embeddings [N, D] -> points [N, 2], mostly within -1 and 1, and the share of variance they show."""
        x = F.normalize(x.float(), dim=1)                            # [N, D]
        x = x - x.mean(0)
        values, vectors = torch.linalg.eigh(x.T @ x / len(x))        # ascending, [D], [D, D]
        points = x @ vectors[:, -2:].flip(1)                         # [N, 2]
        explained = float(values[-2:].sum() / values.sum().clamp(min=1e-12))
        points = _upright(points) if self._previous is None else align(points, self._previous)
        self._previous = points
        return self._framed(points), explained

    def _framed(self, points: Tensor) -> Tensor:
        low, high = points.quantile(0.01, dim=0), points.quantile(0.99, dim=0)       # [2]
        centre, half = (low + high) / 2, max(float((high - low).max()) / 2, SMALLEST)
        if self._centre is None:
            self._centre, self._half = centre, half
        self._centre = CALM * self._centre + (1 - CALM) * centre
        self._half = max(half, self._half ** CALM * half ** (1 - CALM))
        return (points - self._centre) / (self._half * MARGIN)


def align(points: Tensor, target: Tensor) -> Tensor:
    """Turn and mirror points [N, 2] so that they lie as close as they can to `target` (orthogonal Procrustes).

    Source:
        Schoenemann, Psychometrika 1966, doi:10.1007/BF02289451.
    """
    u, _, vt = torch.linalg.svd(points.T @ target)                   # [2, 2] each
    return points @ (u @ vt)


def _upright(points: Tensor) -> Tensor:
    """Choose the signs of the first frame by the points alone: the longer tail of each axis is positive."""
    signs = (points ** 3).sum(0).sign()
    return points * torch.where(signs == 0, 1, signs)


def umap(x: Tensor, seed: int, progress: Callable[[float], None]) -> Tensor:
    """Embeddings [N, D] -> points [N, 2] within -1 and 1. The first call in a process compiles for about 8 s.

    Source:
        McInnes et al. 2018, arXiv:1802.03426.
    """
    progress(0.0)
    from umap import UMAP

    class Report:                                                    # tqdm writes here; we read how far it is
        def write(self, text: str) -> None:
            if found := re.search(r"(\d+)%", text):
                progress(int(found[1]) / 100)

        def flush(self) -> None:
            pass

    neighbours = max(2, min(15, len(x) - 1))
    reducer = UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed, n_jobs=1,
                   tqdm_kwds={"file": Report(), "disable": False, "desc": "", "mininterval": 0.2})
    points = torch.from_numpy(reducer.fit_transform(x.cpu().numpy())).float()
    points = points - points.mean(0)
    return points / (points.norm(dim=1).quantile(0.98).clamp(min=1e-6) * MARGIN)


@dataclass(frozen=True)
class Layout:
    """UMAP of one moment: points [N, 2] once it is done, and how far it is until then."""

    step: int
    progress: float = 0.0
    points: Tensor | None = None
    error: str = ""


def lay_out(picture, seed: int, show: Callable[[Layout], None]) -> threading.Thread:
    """Compute UMAP of a Picture's features in a daemon thread; `show` gets every state of it."""
    step = picture.step
    show(Layout(step))

    def work() -> None:
        try:
            points = umap(picture.features, seed, lambda share: show(Layout(step, min(share, 0.99))))
            show(Layout(step, 1.0, points))
        except Exception as error:                                   # noqa: BLE001  there is no cell to raise it in
            show(Layout(step, error=f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, name="sslab-umap", daemon=True)
    thread.start()
    return thread
