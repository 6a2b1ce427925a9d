"""Masked image modelling in latent space: predict what another network would say of the part that is hidden."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.encoders import centred
from sslab.knobs import number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, full_precision, raised
from sslab.objectives.joint import Teacher
from sslab.objectives.masked import MaskDecoder, Masked
from sslab.views import Augment, latent_masks


@takes(prediction="float [..., D]", target="float [..., D]")
@full_precision
def latent_error(prediction: Tensor, target: Tensor) -> Tensor:
    """I-JEPA's loss: mean squared difference from targets whose tokens each have mean 0 and variance 1.

    Args:
        prediction: [..., D]. target: [..., D], normalised here over its D features (a LayerNorm without scale and
            shift); no gradient is stopped here.
    Returns:
        scalar, a mean over tokens and features: 1 for the answer 0, 0 for targets that never change and are known.
    Raises:
        ValueError: shapes differ.
    Source:
        Assran et al. 2023, arXiv:2301.08243, section 3, "Loss": its squared distance, divided by D.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction, target: got shapes {list(prediction.shape)} and {list(target.shape)}, "
                         "takes twice the same")
    return F.mse_loss(prediction, F.layer_norm(target, target.shape[-1:]))


class IJEPA(Masked):
    """Predict a teacher's tokens in hidden blocks from the tokens around them (Assran et al. 2023, arXiv:2301.08243).

    The encoder sees the context only. The teacher, a slow copy of the encoder, sees the whole picture; its tokens in the
    blocks are the targets. A small predictor gets the context's tokens and mask tokens with the positions of one block.

    Args:
        width, depth: of the predictor.
    """

    title = "I-JEPA"

    momentum = number(0.99, 0.0, 1.0, help="How slowly the teacher follows. 0: it is the encoder itself. "
                                           "1: it stays as it began. Long training wants more than a short one.")
    stop_gradient = switch(True, help="Off: the targets are the encoder's own, and learn too. What is easy to predict?")
    targets = number(4, 1, 6, integer=True, help="Blocks to predict in each picture. More blocks leave less context.")
    target_scale = number(0.18, 0.02, 0.4, help="Share of the picture in one target block. Single patches are given away "
                                                "by their neighbours.")

    def __init__(self, encoder: nn.Module, views: Augment | None = None, width: int = 64, depth: int = 1,
                 **values: Any) -> None:
        super().__init__(encoder, views, **values)
        self.predictor = MaskDecoder(encoder.dim, self.grid, encoder.dim, width, depth)
        self.teacher = Teacher(encoder)
        self.register_buffer("spread", torch.zeros(()))              # of the targets, in the last steps
        self.register_buffer("steps", torch.zeros(()))

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Images -> images [B, C, H, W], places of context patches [B, K] and of the target blocks' [B, M, N]."""
        images = self.views(batch, generator)
        masks = latent_masks(len(images), self.grid, self.targets, self.target_scale, generator)
        return images, *(mask.to(images.device) for mask in masks)

    def forward(self, views: tuple[Tensor, Tensor, Tensor]) -> Loss:
        images, context, blocks = views
        seen = self.encoder.net.tokens(centred(images), context)     # [B, K, D]
        said = self.say(images)                                      # [B, T, D]
        asked = blocks.flatten(1)                                    # [B, M N]
        target = said.gather(1, asked[..., None].expand(-1, -1, said.shape[2]))      # [B, M N, D]
        total = latent_error(self.predict(seen, context, blocks), target)
        spread = target_spread(said.detach())
        if self.training:
            self.spread.lerp_(spread.to(self.spread), 0.1)
            self.steps += 1
        return Loss(total, {"target spread": spread}, seen.mean(dim=1), self.project(said))

    def say(self, images: Tensor) -> Tensor:
        """What the targets are taken from: tokens [B, T, D] of whole pictures, the teacher's or, with gradient, ours."""
        if not self.stop_gradient:
            return self.encoder.net.tokens(centred(images))
        with torch.no_grad():
            return self.teacher.networks[0].net.tokens(centred(images))

    def predict(self, seen: Tensor, context: Tensor, blocks: Tensor) -> Tensor:
        """Context tokens [B, K, D] and places [B, K], [B, M, N] -> predicted tokens [B, M N, D], a block at a time."""
        each = blocks.shape[1]
        answers = self.predictor(seen.repeat_interleave(each, dim=0), context.repeat_interleave(each, dim=0),
                                 blocks.flatten(0, 1))               # [B M, K + N, D]
        return answers[:, context.shape[1]:].reshape(len(seen), -1, seen.shape[2])

    def project(self, tokens: Tensor) -> Tensor:
        """Tokens [B, T, D] of whole pictures -> [B, D], what the gauges read: the mean of the targets of a picture."""
        return F.layer_norm(raised(tokens), tokens.shape[-1:]).mean(dim=1)

    def after_step(self) -> None:
        self.teacher.follow(self.encoder, momentum=self.momentum)

    def reference_levels(self) -> dict[str, float]:
        if not self.steps:
            return {"collapsed": 0.0}
        return {"mean target": float(self.spread / (1 - 0.9 ** float(self.steps))), "collapsed": 0.0}

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        context, blocks = latent_masks(len(images), self.grid, self.targets, self.target_scale, generator)
        hidden = torch.ones(len(images), self.grid**2, dtype=torch.bool)
        asked = hidden.scatter(1, blocks.flatten(1), False)          # False where a target is
        return {"picture": self._ready(images), "context": self.covered(images, hidden.scatter(1, context, False)),
                "targets": self.covered(images, asked)}


@takes(tokens="float [B, T, D]", B=">= 2")
@full_precision
def target_spread(tokens: Tensor) -> Tensor:
    """The error of the best answer that knows the place but not the picture: the targets' variance over the batch.

    Args:
        tokens: [B, T, D] of whole pictures, B of 2 or more.
    Returns:
        scalar, a mean over places and features of the unbiased variance of the normalised tokens: 0 is collapse.
    """
    return across.variance(F.layer_norm(tokens, tokens.shape[-1:])).mean()
