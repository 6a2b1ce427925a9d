"""Contrastive learning: tell the other view of the same picture from all the other pictures."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab._inputs import takes
from sslab.knobs import number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, full_precision
from sslab.objectives.chunked import chunked_info_nce, worth_chunking
from sslab.objectives.joint import OUTPUT_NORM, TwoViews


@takes(z1="float [B, D]", z2="float [B, D]", temperature="> 0")
@full_precision
def nt_xent(z1: Tensor, z2: Tensor, temperature: float = 0.5, *, mask_self: bool = True) -> Tensor:
    """SimCLR's loss: each view must find its partner among the 2B - 1 other views of the batch.

    Log(2B - 1) is chance, and what a collapsed encoder scores. Below it, partners are being found.

    Args:
        z1, z2: projections [B, D] of two views of the same B pictures, at any scale, normalised here.
        temperature: above 0. Low: only the nearest negatives count. High: all count alike.
        mask_self: False compares each view with itself too, a common mistake: the easiest "negative" of all.
    Returns:
        scalar: mean over both directions, 2B terms.
    Raises:
        ValueError: shapes differ or are not [B, D], or temperature is not above 0.
    Source:
        Chen et al. 2020, arXiv:2002.05709, equation 1 and algorithm 1.
    """
    z = F.normalize(torch.cat([z1, z2]), dim=1)                      # [2B, D]
    partner = torch.arange(len(z), device=z.device).roll(len(z1))    # [2B]: B, B + 1, ..., 0, 1, ...
    if worth_chunking(len(z), len(z)):                               # too large to hold: the same, some rows at a time
        return chunked_info_nce(z, z, partner, 1 / temperature, mask_self=mask_self)
    similarity = z @ z.T / temperature                               # [2B, 2B]
    if mask_self:
        similarity = similarity.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -math.inf)
    return F.cross_entropy(similarity, partner)


@takes(z1="float [B, D]", z2="float [B, D]", temperature="> 0")
@full_precision
def attraction(z1: Tensor, z2: Tensor, temperature: float = 0.5) -> Tensor:
    """The half of NT-Xent that pulls partners together: mean of -cos(z1, z2) / temperature, [B, D] each."""
    return -F.cosine_similarity(z1, z2, dim=1).mean() / temperature


class SimCLR(TwoViews):
    """Two random views of each picture, one encoder, one projector, NT-Xent (Chen et al. 2020, arXiv:2002.05709)."""

    title = "SimCLR"

    temperature = number(0.5, 0.02, 5.0, log=True,
                         help="Low: only the most similar other pictures push. High: all push alike.")
    negatives = switch(True, help="Off: partners attract and nothing pushes. What is the easiest solution then?")
    self_pairs_masked = switch(True, help="Off: every view is compared with itself too, a common bug.")
    positives_shuffled = switch(False, help="On: the two views come from different pictures. Nothing to learn.")
    output_norm = switch(False, help=OUTPUT_NORM)

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [B, C, H, W] -> two views of each, [B, C, H, W] twice."""
        first, second = super().make_views(batch, generator)
        if self.positives_shuffled:
            second = second.roll(1, dims=0)                          # everybody's partner is a stranger
        return first, second

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, z = self.see(views)                                       # [2B, D], [2B, P]
        z1, z2 = across.gather(z, 2).chunk(2)                        # [B, P] each
        pull = attraction(z1, z2, self.temperature)
        if not self.negatives:
            return Loss(pull, {"attraction": pull}, h, z)
        total = nt_xent(z1, z2, self.temperature, mask_self=self.self_pairs_masked)
        return Loss(total, {"attraction": pull, "repulsion": total - pull}, h, z)

    def reference_levels(self) -> dict[str, float]:
        if not self.negatives:
            return {"collapsed": -1 / self.temperature}
        level = math.log(2 * self._batch - self.self_pairs_masked)
        return {"chance = collapsed": level}
