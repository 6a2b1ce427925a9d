"""Masked image modelling in pixels: most of a picture is hidden, and a network fills it in from the rest."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.datasets.base import as_floats
from sslab.encoders import centred
from sslab.encoders.vit import Block, sine_positions
from sslab.knobs import choice, number, switch
from sslab.objectives import across
from sslab.objectives.base import Baseline, Loss, Objective, full_precision
from sslab.views import Augment, block_mask, random_mask

VARIANCE_EPSILON = 1e-6
GREY = 0.5                                                           # how a hidden patch is shown


@takes(images="number [B, C, H, W]", patch=">= 1")
def patchify(images: Tensor, patch: int) -> Tensor:
    """Cut pictures into square patches, row by row.

    Args:
        images: [B, C, H, W]; `patch` divides H and W.
    Returns:
        [B, T, patch * patch * C]: in a patch, pixels row by row, the channels of a pixel side by side.
    Raises:
        ValueError: `patch` does not divide the pictures' sides.
    """
    batch, channels, height, width = images.shape
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patch: got {patch}, takes a divisor of the pictures' sides {height} and {width}")
    cut = images.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch * patch * channels)


@takes(patches="number [B, T, P]", patch=">= 1")
def unpatchify(patches: Tensor, patch: int) -> Tensor:
    """Put square pictures together again: [B, T, patch * patch * C] -> [B, C, H, W], the inverse of `patchify`.

    Raises:
        ValueError: T is no square, or `patch` does not fit the length of a patch.
    """
    batch, count, length = patches.shape
    grid, channels = math.isqrt(count), length // (patch * patch)
    if grid * grid != count or channels * patch * patch != length:
        raise ValueError(f"patches: got {list(patches.shape)}, takes [B, grid * grid, {patch} * {patch} * C]")
    cut = patches.reshape(batch, grid, grid, patch, patch, channels)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, grid * patch, grid * patch)


@takes(patches="float [..., P]", P=">= 2")
def normalise_patches(patches: Tensor) -> Tensor:
    """Each patch with mean 0 and standard deviation 1: what is left is its pattern, not how bright it is. [..., P]

    The variance is unbiased, plus 1e-6: a patch of one colour becomes 0.

    Source:
        He et al. 2021, arXiv:2111.06377, section 3, "Reconstruction target".
    """
    spread = patches.var(dim=-1, keepdim=True) + VARIANCE_EPSILON
    return (patches - patches.mean(dim=-1, keepdim=True)) / spread.sqrt()


@takes(prediction="float [B, T, P]", target="float [B, T, P]", mask="bool [B, T]")
@full_precision
def masked_patches(prediction: Tensor, target: Tensor, mask: Tensor, normalize: bool = True) -> Tensor:
    """MAE's loss: the mean squared error of the patches under the mask, all others left out.

    Args:
        prediction: [B, T, P]. target: the true patches [B, T, P], normalised here if `normalize`.
        mask: bool [B, T], True where a patch counts.
    Returns:
        scalar: a mean over the marked patches of all pictures and over their numbers; 0 where nothing is marked.
    Raises:
        ValueError: shapes that do not fit, or patches of one number, which cannot be normalised.
    Source:
        He et al. 2021, arXiv:2111.06377, section 3.
    """
    if prediction.ndim != 3 or prediction.shape != target.shape or mask.shape != target.shape[:2]:
        raise ValueError(f"prediction, target, mask: got shapes {list(prediction.shape)}, {list(target.shape)}, "
                         f"{list(mask.shape)}, takes [B, T, P] twice and [B, T]")
    if normalize and target.shape[2] < 2:
        raise ValueError("target: got patches of 1 number, takes 2 or more where they are normalised")
    target = normalise_patches(target) if normalize else target
    error = (prediction - target).square().mean(dim=2)               # [B, T]
    return (error * mask).sum() / mask.sum().clamp(min=1)


class MaskDecoder(nn.Module):
    """A small transformer that answers at places it has not seen: known tokens and mask tokens, each with its position.

    Args:
        inputs: width of the known tokens. grid: patches a side.
        outputs: width of an answer. width, depth, heads: of the transformer.
    """

    def __init__(self, inputs: int, grid: int, outputs: int, width: int = 64, depth: int = 1, heads: int = 4) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(width))
        self.register_buffer("positions", sine_positions(grid, width), persistent=False)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, outputs)

    def forward(self, known: Tensor, places: Tensor, asked: Tensor) -> Tensor:
        """Answers at the known places, then at those asked for.

        Args:
            known: tokens [B, K, inputs]. places: where they are [B, K]. asked: places [B, N] of mask tokens.
        Returns:
            [B, K + N, outputs].
        """
        known = self.enter(known)                                    # [B, K, width]
        tokens = torch.cat([known, self.mask_token.to(known).expand(*asked.shape, -1)], dim=1)       # [B, K + N, width]
        tokens = tokens + self.positions[torch.cat([places, asked], dim=1)]
        return self.leave(self.norm(self.blocks(tokens)))


class Masked(Objective):
    """What masked image models share: an encoder of patches, and the pictures as they are.

    Raises:
        ValueError: an encoder without tokens.
    """

    views_per_image = 1
    augmented = False
    architecture: ClassVar[dict[str, Any]] = {"name": "vit", "patch": 4}

    def __init__(self, encoder: nn.Module, views: Augment | None = None, **values: Any) -> None:
        super().__init__(encoder, views, **values)
        net = getattr(encoder, "net", None)
        if not hasattr(net, "tokens"):
            raise ValueError(f"encoder: got {getattr(encoder, 'name', type(encoder).__name__)}, takes one that sees "
                             "patches: sslab.encoders.create(\"vit\", dataset, patch=4)")
        self.patch: int = net.patch

    @property
    def grid(self) -> int:
        """Patches a side."""
        return self.encoder.shape[1] // self.patch

    def _ready(self, images: Tensor) -> Tensor:
        """Bytes or floats -> floats in [0, 1], where the weights are."""
        return as_floats(images.to(next(self.encoder.parameters()).device))

    def covered(self, images: Tensor, mask: Tensor) -> Tensor:
        """Pictures with the patches under the mask painted grey: [B, C, H, W] and bool [B, T] or [T] -> [B, C, H, W]."""
        patches = patchify(self._ready(images), self.patch)
        mask = mask.to(patches.device).expand(patches.shape[:2])
        return unpatchify(patches.masked_fill(mask[..., None], GREY), self.patch)


class MAE(Masked):
    """Masked autoencoder (He et al. 2021, arXiv:2111.06377).

    The encoder gets the visible patches only. A light decoder gets what it says of them, and a mask token with its
    position for every hidden patch, and answers with pixels. It is thrown away afterwards.

    Args:
        width, depth: of the decoder.
    """

    title = "MAE"

    mask_ratio = number(0.75, 0.0, 0.95, help="Share of the patches that is hidden. Little hidden: the neighbours give "
                                              "it away, and each step costs more. Nearly all: nobody could know.")
    masking = choice("random", ("random", "block"), help="random: single patches anywhere. block: one large rectangle, "
                                                         "so that the neighbours do not give it away.")
    normalise = switch(True, help="Each target patch with mean 0 and std 1: its pattern counts, not how bright it is.")
    loss_on = choice("hidden", ("hidden", "all", "visible"), help="Patches whose error counts. hidden is right. "
                                                                  "visible: copying is enough.")
    constant_code = switch(False, help="Off is right. On: the decoder gets one code for every picture, the mean of all "
                                       "codes. What it can still do needs no representation.")

    def __init__(self, encoder: nn.Module, views: Augment | None = None, width: int = 64, depth: int = 1,
                 **values: Any) -> None:
        super().__init__(encoder, views, **values)
        patches, length = self.grid**2, self.patch**2 * encoder.shape[0]
        self.decoder = MaskDecoder(encoder.dim, self.grid, length, width, depth)
        self.codes = Baseline(encoder.dim)
        self.targets = nn.ModuleDict({kind: Baseline(patches, length) for kind in ("pixels", "normalised")})
        self.squares = nn.ModuleDict({kind: Baseline(patches) for kind in ("pixels", "normalised")})
        self.register_buffer("scored", torch.zeros(patches))         # how often a place counts, in the last steps

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Images -> images [B, C, H, W], places of visible patches [B, K] and of hidden ones [B, T - K]."""
        images = self.views(batch, generator)
        mask = self.draw_mask(len(images), generator)
        return images, *(each.to(images.device) for each in split(mask))

    def draw_mask(self, n: int, generator: torch.Generator) -> Tensor:
        """Random masks [n, T] at the knobs in force, True where hidden; a patch stays visible, beside a block a row."""
        if self.masking == "random":
            return random_mask(n, self.grid**2, min(self.mask_ratio, 1 - 1 / self.grid**2), generator)
        return block_mask(n, self.grid, min(self.mask_ratio, 1 - 1 / self.grid), generator)

    def encode_visible(self, images: Tensor, visible: Tensor) -> Tensor:
        """What the encoder says of the visible patches, having seen nothing else: [B, C, H, W], [B, K] -> [B, K, D]."""
        return self.encoder.net.tokens(centred(images), visible)

    def predict(self, codes: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """Codes [B, K, D] and places [B, K], [B, T - K] -> patches as the loss compares them, [B, T, P]."""
        if self.constant_code:
            codes = self.codes.mean.to(codes).expand_as(codes)
        answers = self.decoder(codes, visible, hidden)               # [B, T, P], visible ones first
        back = torch.cat([visible, hidden], dim=1).argsort(dim=1)    # [B, T]
        return answers.gather(1, back[..., None].expand_as(answers))

    def forward(self, views: tuple[Tensor, Tensor, Tensor]) -> Loss:
        images, visible, hidden = views
        codes = self.encode_visible(images, visible)                 # [B, K, D]
        if self.training:
            self.codes.see(codes.detach().mean(dim=1))
        prediction = self.predict(codes, visible, hidden)            # [B, T, P]
        target = patchify(images, self.patch)                        # [B, T, P]
        mask = self._counts(visible, hidden)                         # [B, T]
        if self.training:
            self._see(target, mask)
        seen = codes.mean(dim=1)                                     # [B, D]
        used = self.codes.mean.to(seen).expand_as(seen) if self.constant_code else None
        total = masked_patches(prediction, target, mask, self.normalise) * across.weight(mask.sum())
        return Loss(total, {}, seen, used)

    def reference_levels(self) -> dict[str, float]:
        kind = self._kind()
        if not self.targets[kind].count or not self.scored.any():
            return {}
        return {"mean image": float(self._variances(kind) @ self.scored.double() / self.scored.double().sum())}

    @torch.no_grad()
    def fill(self, images: Tensor, mask: Tensor) -> Tensor:
        """Pictures with what is hidden filled in, from nothing but what is visible.

        With normalised targets the model answers with patterns of mean 0 and standard deviation 1. Mean and deviation
        of a hidden patch are then guessed: those of the visible patches, the nearer the more they count.

        Args:
            images: [B, C, H, W], bytes, or floats in [0, 1].
            mask: bool [B, T] or [T], True where hidden; any number of patches.
        Returns:
            [B, C, H, W] in [0, 1]; visible patches as they were.
        Raises:
            ValueError: a mask of another shape.
        """
        images = self._ready(images)
        patches = self.grid**2
        if mask.shape not in ((patches,), (len(images), patches)):
            raise ValueError(f"mask: got shape {list(mask.shape)}, takes [{patches}] or [{len(images)}, {patches}]")
        mask = mask.to(images.device, torch.bool).expand(len(images), -1)
        true = patchify(images, self.patch)                          # [B, T, P]
        filled = true.clone()
        counts = mask.sum(dim=1)
        for count in counts.unique():                                # as many at a time as have equally many hidden
            rows = (counts == count).nonzero().flatten()
            visible, hidden = split(mask[rows])
            guess = self.predict(self.encode_visible(images[rows], visible), visible, hidden)
            if self.normalise:
                guess = self._recolour(guess, true[rows], mask[rows])
            filled[rows] = torch.where(mask[rows][..., None], guess.to(filled), true[rows])
        return unpatchify(filled, self.patch).clamp(0, 1)

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        mask = self.draw_mask(len(images), generator)
        return {"picture": self._ready(images), "visible": self.covered(images, mask), "filled in": self.fill(images, mask)}

    def _kind(self) -> str:
        return "normalised" if self.normalise else "pixels"

    def _counts(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """bool [B, T]: the patches whose error counts."""
        every = torch.zeros(len(visible), self.grid**2, dtype=torch.bool, device=visible.device)
        if self.loss_on in ("hidden", "all"):
            every.scatter_(1, hidden, True)
        return every.scatter_(1, visible, True) if self.loss_on in ("visible", "all") else every

    @torch.no_grad()
    def _see(self, target: Tensor, mask: Tensor) -> None:
        kind = self._kind()
        target = normalise_patches(target) if self.normalise else target
        self.targets[kind].see(target)
        self.squares[kind].see(target.square().mean(dim=2))
        self.scored.lerp_(across.average(mask.to(self.scored).mean(dim=0)), 0.05)

    def _variances(self, kind: str) -> Tensor:
        """The error of the best constant answer at each place, [T]."""
        return self.squares[kind].mean - self.targets[kind].mean.square().mean(dim=1)

    def _recolour(self, guess: Tensor, true: Tensor, mask: Tensor) -> Tensor:
        """Give patterns [B, T, P] the mean and deviation that the visible patches around them have."""
        place = torch.arange(self.grid, device=true.device, dtype=true.dtype)
        near = torch.exp(-(place[:, None] - place).square())         # [grid, grid]
        near = torch.kron(near, near).expand(len(true), -1, -1) * ~mask[:, None]     # [B, T, T]: hidden ones count 0
        near = near / near.sum(dim=2, keepdim=True).clamp(min=torch.finfo(near.dtype).tiny)
        true = true.masked_fill(mask[..., None], 0)                  # nobody looks under the mask
        mean, spread = true.mean(dim=2, keepdim=True), true.std(dim=2, keepdim=True)                 # [B, T, 1]
        return guess * (near @ spread) + near @ mean


def split(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Places of visible patches [B, K] and of hidden ones [B, T - K], from a mask [B, T] with as many in every row."""
    order = mask.int().argsort(dim=1, stable=True)                   # visible ones first
    hidden = int(mask[0].sum())
    return order[:, : mask.shape[1] - hidden], order[:, mask.shape[1] - hidden:]
