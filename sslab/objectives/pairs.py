"""Language and images: a picture must find its caption among the batch's captions, and a caption its picture."""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.encoders import TextEncoder
from sslab.knobs import choice, number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, Objective, evaluating, full_precision, raised
from sslab.objectives.chunked import chunked_both_ways, worth_chunking
from sslab.objectives.contrastive import SimCLR
from sslab.views import Augment

LARGEST = math.log(100)                                              # of a learned log scale: temperature 0.01
KINDS = ("name", "tags", "template")                                 # of caption, in the order of `Pairs.captions`


@takes(image="float [B, D]", text="float [B, D]", logit_scale="float []")
@full_precision
def clip(image: Tensor, text: Tensor, logit_scale: Tensor | float, *, normalised: bool = True) -> Tensor:
    """CLIP's loss: each picture must find its caption among the B of the batch, and each caption its picture.

    Log B is chance, and what collapsed encoders score.

    Args:
        image, text: [B, D], row i of both belong together, at any scale, normalised here.
        logit_scale: one over the temperature: it multiplies, and is exponentiated already where its log is learned.
        normalised: False compares raw dot products, a common mistake: a pair can then win by being long.
    Returns:
        scalar: the mean of both directions, each a mean over B.
    Raises:
        ValueError: shapes differ or are not [B, D].
    Source:
        Radford et al. 2021, arXiv:2103.00020, figure 3.
    """
    to_text, to_image, _ = both_ways(image, text, logit_scale, normalised=normalised)
    return (to_text + to_image) / 2


@takes(image="float [B, D]", text="float [B, D]", logit_scale="float []")
@full_precision
def both_ways(image: Tensor, text: Tensor, logit_scale: Tensor | float, *,
              normalised: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """The two halves of `clip`, and how often they are right.

    Returns:
        scalars: image to text (mean over rows), text to image (mean over columns), and how often the pair itself is the
        most similar of its row or column, a mean over both directions.
    """
    image, text = _ready(image, text, normalised)
    if worth_chunking(len(image), len(text)):
        return chunked_both_ways(image, text, logit_scale)
    logits = logit_scale * image @ text.T                            # [B, B], pictures are rows
    own = torch.arange(len(logits), device=logits.device)
    hits = _diagonal_largest(logits)
    return F.cross_entropy(logits, own), F.cross_entropy(logits.T, own), hits


@takes(image="float [B, D]", text="float [B, D]", logit_scale="float []", logit_bias="float []")
@full_precision
def siglip(image: Tensor, text: Tensor, logit_scale: Tensor | float, logit_bias: Tensor | float, *,
           normalised: bool = True) -> Tensor:
    """SigLIP's loss: of each of the B x B pairs, say whether it belongs together. No pair is compared with another.

    With all similarities alike and the best bias, -log(B - 1), it is log B + (B - 1) log(B / (B - 1)): that is chance.

    Args:
        image, text: [B, D], row i of both belong together, at any scale, normalised here.
        logit_scale: one over the temperature, multiplies. logit_bias: is added; it says how rare true pairs are.
        normalised: False takes raw dot products.
    Returns:
        scalar: -log sigmoid summed over all pairs, divided by B.
    Raises:
        ValueError: shapes differ or are not [B, D].
    Source:
        Zhai et al. 2023, arXiv:2303.15343, algorithm 1.
    """
    partners, strangers, _ = _yes_or_no(image, text, logit_scale, logit_bias, normalised=normalised)
    return partners + strangers


@full_precision
def _yes_or_no(image: Tensor, text: Tensor, logit_scale: Tensor | float, logit_bias: Tensor | float, *,
               normalised: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """The parts of `siglip` from true pairs and from all others, and how often the true pair is the most similar."""
    image, text = _ready(image, text, normalised)
    logits = logit_scale * image @ text.T + logit_bias               # [B, B]
    partners = F.softplus(-logits.diagonal()).sum()                  # -log sigmoid(x) = softplus(-x)
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    strangers = F.softplus(logits).masked_fill(own, 0).sum()
    return partners / len(logits), strangers / len(logits), _diagonal_largest(logits)


def _ready(image: Tensor, text: Tensor, normalised: bool) -> tuple[Tensor, Tensor]:
    if image.ndim != 2 or image.shape != text.shape or not len(image):
        raise ValueError(f"image, text: got shapes {list(image.shape)} and {list(text.shape)}, takes [B, D] twice")
    return (F.normalize(image, dim=1), F.normalize(text, dim=1)) if normalised else (image, text)


def _diagonal_largest(logits: Tensor) -> Tensor:
    own = torch.arange(len(logits), device=logits.device)
    return sum((logits.detach().argmax(dim=side) == own).float().mean() for side in (0, 1)) / 2


class TwoTowers(Objective):
    """An encoder for pictures, an encoder for captions, and a linear map from each to one space.

    Args:
        encoder: of pictures; it is what is evaluated.
        views: how pictures are changed; none if None.
        text: a TextEncoder that sees both sides: `sslab.objectives.text_tower_for(dataset)`.
        outputs: P, width of the space that both share.
    Raises:
        ValueError: text is no such encoder, or outputs is below 1.
    """

    learns_from = "pairs"
    views_per_image = 1
    usual: ClassVar[dict[str, Any]] = {"name": "conv", "cells": 4}   # where a part of a drawing is says what it is

    temperature = number(0.07, 0.01, 1.0, log=True, help="Used while it is not learned. Low: only the most similar count.")
    learned_temperature = switch(True, help="On: one number more to learn. Off: the temperature stays as it is set.")
    caption = choice("any", (*KINDS, "any"), help="What is read: a thing's name, its tags, a sentence made of its name, or "
                                                  "each time another of them. Of one's own captions: the first, second, third.")
    frozen_image = switch(False, help="On: the picture encoder stays as it is, and captions learn to fit it (LiT, "
                                      "arXiv:2111.07991). It should have learned something before.")
    shuffled_captions = switch(False, help="On: every picture gets another one's caption. Nothing to learn.")
    normalised = switch(True, help="Off: raw dot products. A pair can then win by being long.")

    def __init__(self, encoder: nn.Module, views: Augment | None = None, text: TextEncoder | None = None,
                 outputs: int = 128, **values: Any) -> None:
        if not callable(getattr(text, "hidden", None)) or text.net.causal:
            got = "a causal one" if callable(getattr(text, "hidden", None)) else type(text).__name__
            raise ValueError(f"text: got {got}, takes a TextEncoder that sees both sides: objectives.text_tower_for(dataset)")
        if isinstance(outputs, bool) or not isinstance(outputs, int) or outputs < 1:
            raise ValueError(f"outputs: got {outputs!r}, takes a whole number above 0")
        super().__init__(encoder, views, **values)
        self.text = text
        self.image_head = nn.Linear(encoder.dim, outputs, bias=False)
        self.text_head = nn.Linear(text.dim, outputs, bias=False)
        for head in (self.image_head, self.text_head):
            nn.init.normal_(head.weight, std=head.in_features**-0.5)
        start = type(self).temperature.default                       # learning begins there, wherever the knob stands
        self.log_scale = nn.Parameter(torch.tensor(-math.log(start)))
        self._batch = 2                                              # pairs in the last batch, for the levels

    def make_views(self, batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pairs of B things -> one drawing of each, changed, [B, C, S, S], and one caption of each, int64 [B, T]."""
        count, device = len(batch), batch.drawn.device
        luck = torch.rand(count, batch.drawn.shape[1] + batch.said.shape[1], generator=generator)     # the same on any device
        luck = luck.to(device, non_blocking=True)
        drawing = luck[:, : batch.drawn.shape[1]].masked_fill(~batch.drawn, -1).argmax(dim=1)         # [B]
        spoken = luck[:, batch.drawn.shape[1]:]                      # [B, K]
        if self.caption != "any":                                    # that kind, or the first there is
            kind = KINDS.index(self.caption)
            order = torch.arange(spoken.shape[1], 0, -1, device=device)
            spoken = torch.where(order == spoken.shape[1] - kind, spoken.shape[1] + 1, order).expand_as(spoken)
        caption = spoken.masked_fill(~batch.said, -1).argmax(dim=1)  # [B]
        rows = torch.arange(count, device=device)
        images = self.views(batch.images[rows, drawing], generator)
        tokens = batch.captions[rows, caption].long()
        if self.shuffled_captions:
            tokens = tokens.roll(1, dims=0)                          # everybody gets the caption of a stranger
        return images, tokens

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied with: one over the temperature."""
        return self.log_scale.exp() if self.learned_temperature else torch.full_like(self.log_scale, 1 / self.temperature)

    def see(self, views: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Images and tokens -> the pictures' h [B, D], and both projections [B, P] each, not normalised."""
        images, tokens = views
        self._batch = len(images) * across.processes()
        if self.frozen_image:
            with torch.no_grad(), evaluating(self.encoder):
                h = self.encoder(images)
        else:
            h = self.encoder(images)
        return h, self.image_head(h), self.text_head(self.text(tokens))

    def after_step(self) -> None:
        with torch.no_grad():
            self.log_scale.clamp_(max=LARGEST)

    def embed_images(self, images: Tensor, batch_size: int = 512) -> Tensor:
        """Where pictures [N, C, S, S] lie in the space that both share: [N, P], normalised, on the CPU; in eval mode."""
        return self._embed(self.encoder, self.image_head, images, batch_size)

    def embed_texts(self, tokens: Tensor, batch_size: int = 512) -> Tensor:
        """Where captions [N, T] lie in the space that both share: [N, P], normalised, on the CPU; in eval mode."""
        return self._embed(self.text, self.text_head, tokens, batch_size)

    @torch.no_grad()
    def _embed(self, tower: nn.Module, head: nn.Linear, inputs: Tensor, batch_size: int) -> Tensor:
        with evaluating(tower):
            parts = [head(tower(part.to(head.weight.device))).float().cpu() for part in inputs.split(batch_size)]
        return F.normalize(torch.cat(parts), dim=1)

    def _loss(self, total: Tensor, terms: dict[str, Tensor], h: Tensor, image: Tensor, text: Tensor) -> Loss:
        z = F.normalize(raised(torch.cat([image, text])), dim=1)     # [2B, P]
        return Loss(total, {**terms, "temperature": 1 / self.scale.detach()}, h, z)


class CLIP(TwoTowers):
    """Pictures and captions find each other among the batch's others (Radford et al. 2021, arXiv:2103.00020)."""

    title = "CLIP"

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, image, text = self.see(views)
        every = across.gather(image), across.gather(text)            # [B, P] each
        to_text, to_image, hits = both_ways(*every, self.scale, normalised=self.normalised)
        terms = {"image to text": to_text, "text to image": to_image, "accuracy": hits}
        return self._loss((to_text + to_image) / 2, terms, h, image, text)

    def reference_levels(self) -> dict[str, float]:
        return {"chance": math.log(self._batch)}


class SigLIP(TwoTowers):
    """Of each picture and each caption of the batch: do they belong together? (Zhai et al. 2023, arXiv:2303.15343)."""

    title = "SigLIP"

    temperature = number(0.1, 0.01, 1.0, log=True, help=TwoTowers.temperature.help)

    def __init__(self, encoder: nn.Module, views: Augment | None = None, text: TextEncoder | None = None,
                 outputs: int = 128, **values: Any) -> None:
        super().__init__(encoder, views, text, outputs, **values)
        self.bias = nn.Parameter(torch.tensor(-10.0))                # most pairs are strangers: begin with "no"

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, image, text = self.see(views)
        every = across.gather(image), across.gather(text)            # [B, P] each
        partners, strangers, hits = _yes_or_no(*every, self.scale, self.bias, normalised=self.normalised)
        terms = {"partners": partners, "strangers": strangers, "accuracy": hits, "bias": self.bias.detach().clone()}
        return self._loss(partners + strangers, terms, h, image, text)

    def reference_levels(self) -> dict[str, float]:
        """chance: all similarities alike, and the best bias for that, -log(B - 1): each pair is said to belong together
        with probability 1 / B, which costs log B for the B true ones and log(B / (B - 1)) for each of the others."""
        others = self._batch - 1
        return {"chance": math.log(self._batch) + (others * math.log1p(1 / others) if others else 0.0)}


class TwoDrawers(SimCLR):
    """SimCLR on things that several people drew: the two views of a thing are two of its drawings, each changed.

    Words play no part. What stays the same from hand to hand is learned, and style is not: an augmentation that nobody had
    to write. Like contrasting two cameras' views of a scene (Tian et al. 2019, arXiv:1906.05849).
    """

    title = "SimCLR, two drawers"
    learns_from = "pairs"
    usual = TwoTowers.usual

    by_two = switch(True, help="On: two drawings of a thing by different people. Off: one drawing of it, twice.")

    def partners(self, batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pairs of B things -> two drawings of each, [B, C, S, S] twice; of a thing drawn once, that one twice."""
        luck = torch.rand(batch.drawn.shape, generator=generator).to(batch.drawn.device, non_blocking=True)
        best = luck.masked_fill(~batch.drawn, -1).topk(2, dim=1)     # [B, 2]; -1 is no drawing
        first, second = best.indices.unbind(dim=1)
        if not self.by_two:
            second = first
        second = torch.where(best.values[:, 1] < 0, first, second)
        rows = torch.arange(len(batch), device=luck.device)
        return batch.images[rows, first], batch.images[rows, second]
