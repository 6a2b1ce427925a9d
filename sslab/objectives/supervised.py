"""The baseline: labels, cross-entropy, the same views."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab.objectives.base import Loss, Objective, raised
from sslab.views import Augment


class Supervised(Objective):
    r"""Classify views of labelled pictures; its linear layer is `head`.

    Equation:
        \ell = -\frac1B \sum_b \log \mathrm{softmax}(W h_b)_{y_b}

    Args:
        classes: how many classes there are; labels run from 0 to classes - 1.
    """

    title = "Supervised"
    needs_labels = True
    views_per_image = 1

    def __init__(self, encoder: nn.Module, views: Augment | None = None, classes: int = 10, **values: Any) -> None:
        super().__init__(encoder, views, **values)
        self.head = nn.Linear(encoder.dim, classes)

    def make_views(self, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(images [B, C, H, W], labels [B]) -> (views [B, C, H, W], labels [B]); tokens [B, T] stay as they are."""
        images, labels = batch
        return (self.views(images, generator) if images.ndim == 4 else images), labels      # text has no views

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        images, labels = views
        h = self.encoder(images)                                     # [B, D]
        total = F.cross_entropy(raised(self.head(h)), labels)
        return Loss(total, {}, h)

    def reference_levels(self) -> dict[str, float]:
        return {"chance": math.log(self.head.out_features)}
