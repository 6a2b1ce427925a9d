"""Clustering while learning: predict one view's cluster from the other, with all clusters used alike."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.knobs import number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, full_precision, raised
from sslab.objectives.distillation import Prototypes
from sslab.objectives.joint import LOCAL_VIEWS, OUTPUT_NORM, MultiCrop
from sslab.views import Augment


@takes(scores="float [B, K]", epsilon="> 0", iterations=">= 1")
@full_precision
@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Soft clusters for a batch, every cluster used alike: the entropic optimal transport plan.

    Args:
        scores: cosines [B, K] of samples with prototypes.
        epsilon: above 0. Low: each sample in one cluster. High: each sample in all.
        iterations: of making columns and then rows sum to the same.
    Returns:
        codes [B, K]: rows sum to 1, columns to about B / K. No gradient.
    Raises:
        ValueError: epsilon is not above 0, or iterations is below 1.
    Source:
        Caron et al. 2020, arXiv:2006.09882, section 3.1 and algorithm 1; Cuturi 2013, arXiv:1306.0895.
    """
    log_q = scores / epsilon                                         # logarithms: exp(1 / 0.01) is not a float32
    for _ in range(iterations):
        log_q = log_q - log_q.logsumexp(dim=0, keepdim=True)         # each prototype gets the same
        log_q = log_q - log_q.logsumexp(dim=1, keepdim=True)         # each sample gives 1
    return log_q.exp()


@takes(scores="float [B, K]", codes="float [B, K]", temperature="> 0")
@full_precision
def swav(scores: list[Tensor], codes: list[Tensor], temperature: float = 0.1) -> Tensor:
    """Swapped prediction: each view must tell the cluster of each other view that has a code.

    Args:
        scores: cosines [B, K] of each view, large crops first.
        codes: [B, K], rows sum to 1, of the large crops; scores[i] and codes[i] are the same view, left out.
        temperature: above 0.
    Returns:
        scalar, mean over pairs of views and samples.
    Raises:
        ValueError: no pair of views is left, or temperature is not above 0.
    Source:
        Caron et al. 2020, arXiv:2006.09882, equations 1 and 2.
    """
    pairs = [(i, j) for i, j in itertools.product(range(len(codes)), range(len(scores))) if i != j]
    if not pairs:
        raise ValueError(f"scores: got {len(scores)} views and {len(codes)} codes, takes a pair that differs")
    said = [torch.log_softmax(each / temperature, dim=1) for each in scores]         # [B, K]
    return torch.stack([-(codes[i] * said[j]).sum(dim=1).mean() for i, j in pairs]).mean()


@takes(scores="number [N, K]")
def prototypes_used(scores: Tensor) -> Tensor:
    """How many prototypes the samples are nearest to, as a perplexity: K if all alike, 1 if one takes all. [N, K] -> scalar."""
    share = torch.bincount(scores.argmax(dim=1), minlength=scores.shape[1]) / len(scores)
    return torch.special.entr(share).sum().exp()


class SwAV(MultiCrop):
    """Codes from Sinkhorn, swapped prediction, small crops (Caron et al. 2020, arXiv:2006.09882).

    Args:
        prototypes: K.
    """

    title = "SwAV"

    temperature = number(0.1, 0.02, 1.0, log=True, help="How sharply a view has to choose its cluster.")
    epsilon = number(0.03, 0.01, 1.0, log=True, help="Low: codes are one cluster each. High: codes are all clusters alike.")
    balanced = switch(True, help="Off: codes are a plain softmax, without Sinkhorn. Nothing keeps all clusters in use.")
    local_views = number(2, 0, 6, integer=True, help=LOCAL_VIEWS)
    output_norm = switch(False, help=OUTPUT_NORM)

    def __init__(self, encoder: nn.Module, views: Augment | None = None, hidden: int = 256, outputs: int = 128,
                 prototypes: int = 64, **values: Any) -> None:
        super().__init__(encoder, views, hidden, outputs, **values)
        self.prototypes = Prototypes(outputs, prototypes)

    def forward(self, views: tuple[Tensor, ...]) -> Loss:
        h, z = self.see_all(views)
        scores = [self.prototypes(each) for each in z]               # [B, K] each
        large = [across.gather(raised(score.detach())) for score in scores[:2]]      # all are shared out together
        codes = [sinkhorn(s, self.epsilon) if self.balanced else (s / self.epsilon).softmax(dim=1) for s in large]
        codes = [across.mine(code) for code in codes]                # [B, K] each
        total = swav(scores, codes, self.temperature)
        entropy = torch.stack([torch.special.entr(code).sum(dim=1).mean() for code in codes]).mean()
        return Loss(total, {"code_entropy": entropy, "divergence": total - entropy}, h, torch.cat(z[:2]))

    def reference_levels(self) -> dict[str, float]:
        levels = {"all clusters alike": math.log(len(self.prototypes.weight))}
        return levels if self.balanced else {**levels, "one cluster for all": 0.0}
