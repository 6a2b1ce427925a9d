"""What the joint-embedding methods share: views of one picture, a projector, sometimes small crops and a teacher."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab.encoders import projector
from sslab.objectives import across
from sslab.objectives.base import Objective
from sslab.views import Augment

OUTPUT_NORM = ("Batch normalisation of the projector's output z, without scale and shift: each feature of z then has std 1 "
               "over the batch, so that z cannot become constant in training.")
LOCAL_VIEWS = "How many small crops are taken beside the two large ones. They look for what the large ones say."
LOCAL_AREA = (0.15, 0.45)                                            # share of the picture that a small crop keeps


class TwoViews(Objective):
    """Two random views of each picture, one encoder, one projector.

    Args:
        hidden, outputs, layers: of the projector.
    """

    output_norm = False                                              # a subclass may make it a knob

    def __init__(self, encoder: nn.Module, views: Augment | None = None, hidden: int = 256, outputs: int = 128,
                 layers: int = 2, **values: Any) -> None:
        super().__init__(encoder, views, **values)
        self.projector = projector(encoder.dim, hidden, outputs, layers)
        self.norm = nn.BatchNorm1d(outputs, affine=False)
        self._batch = 2                                              # pictures in the last batch, for the levels

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Images [B, C, H, W] -> two views of each, [B, C, H, W] twice."""
        return self.views(torch.cat(self.partners(batch, generator)), generator).chunk(2)

    def partners(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The two pictures of each that views are made of: itself, twice."""
        return batch, batch

    def project(self, h: Tensor) -> Tensor:
        """Encoder output [N, D] -> what the loss sees [N, P]: collapse lives here."""
        return self._finish(self.projector(h))

    def _finish(self, z: Tensor) -> Tensor:
        return self.norm(z) if self.output_norm else z

    def see(self, views: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Views [B, C, H, W] of one size -> embeddings and projections of all of them, stacked: [VB, D], [VB, P]."""
        self._batch = len(views[0]) * across.processes()
        h = self.encoder(torch.cat(views))
        return h, self.project(h)


class MultiCrop(TwoViews):
    """Two large crops and some small ones, as in SwAV (Caron et al. 2020, arXiv:2006.09882, section 3.2).

    A small crop is shown at half the size, so that four of them cost a convolution as much as one large crop.
    """

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Images [B, C, H, W] -> 2 views [B, C, H, W], then `local_views` of [B, C, h, h], h about H / 2."""
        large = super().make_views(batch, generator)
        if not self.local_views:
            return large
        small = Augment(**{**self.views.values(), "crop": LOCAL_AREA[0], "crop_largest": LOCAL_AREA[1]})
        views = small(batch.repeat(self.local_views, 1, 1, 1), generator)            # [LB, C, H, W]
        patch = getattr(getattr(self.encoder, "net", None), "patch", 2)
        side = max(1, batch.shape[-1] // 2 // patch) * patch                         # whole patches only
        return *large, *F.adaptive_avg_pool2d(views, side).chunk(self.local_views)

    def see_all(self, views: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """-> embeddings of the large crops [2B, D], and the projections of every view, [B, P] each."""
        h, z = self.see(views[:2])
        projections = list(z.chunk(2))
        if len(views) > 2:
            small = self.project(self.encoder(torch.cat(views[2:])))                 # [LB, P]
            projections += small.chunk(len(views) - 2)
        return h, projections


class Teacher(nn.Module):
    """A copy of some networks that follows them slowly: teacher <- momentum teacher + (1 - momentum) student.

    It gets no gradient. Batch norms keep statistics of their own, of what the teacher itself has seen.
    """

    def __init__(self, *networks: nn.Module) -> None:
        super().__init__()
        self.networks = nn.ModuleList(copy.deepcopy(network) for network in networks).requires_grad_(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        for network in self.networks:
            x = network(x)
        return x

    @torch.no_grad()
    def follow(self, *networks: nn.Module, momentum: float) -> None:
        """Take a step towards the students: all of it at momentum 0, none at momentum 1."""
        students = [p for network in networks for p in network.parameters()]
        torch._foreach_lerp_(list(self.parameters()), students, 1 - momentum)
