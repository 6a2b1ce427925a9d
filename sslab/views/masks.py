"""Random masks over patches: what a masked model sees, and what it must predict."""

import math

import torch
from torch import Tensor

from sslab._inputs import takes

ASPECT = (0.75, 1.5)                                                 # of a block: its height over its width
CONTEXT = (0.85, 1.0)                                                # share of the picture in I-JEPA's context block
ENOUGH = 1 / 3                                                       # of the patches, left to it: see latent_masks
TRIES = 8


@takes(n=">= 0", patches=">= 1", ratio=">= 0, <= 1")
def random_mask(n: int, patches: int, ratio: float, generator: torch.Generator) -> Tensor:
    """Hide the same number of patches in every sample, each set of that size equally likely.

    Args:
        n: number of samples.
        patches: patches per sample.
        ratio: share to hide, from 0 to 1; round(ratio * patches) are hidden.
        generator: where the random numbers come from; the mask is on its device.
    Returns:
        bool [n, patches], True where hidden.
    Raises:
        ValueError: ratio outside of 0 to 1.
    Source:
        He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, arXiv:2111.06377, section 3.
    """
    _check_share(ratio=ratio)
    scores = torch.rand(n, patches, generator=generator, device=generator.device)      # [n, patches]
    hidden = scores.argsort(dim=1, stable=True)[:, : round(ratio * patches)]           # [n, hidden]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, hidden, True)


@takes(grid=">= 1", share=">= 0, <= 1", aspect="> 0")
def block_shape(grid: int, share: float, aspect: float = 1.0) -> tuple[int, int]:
    """Rows and columns of the block that covers about `share` of a grid of patches.

    Args:
        grid: patches a side.
        aspect: rows over columns, as far as it fits.
    Returns:
        at least (1, 1), at most (grid, grid).
    """
    _check_share(share=share)
    area = share * grid * grid
    rows = min(grid, max(1, round(math.sqrt(area * aspect))))
    columns = min(grid, max(1, round(area / rows)))
    return min(grid, max(1, round(area / columns))), columns


@takes(n=">= 0", grid=">= 1", share=">= 0, <= 1")
def block_mask(n: int, grid: int, share: float, generator: torch.Generator,
               aspect: tuple[float, float] = ASPECT) -> Tensor:
    """A rectangle of patches in every sample: one shape for all of them, each place in the picture equally likely.

    One shape, so that as many patches are in it in every sample.

    Args:
        n: number of samples.
        grid: patches a side.
        share: of the patches, from 0 to 1, as near as whole rows and columns come to it.
        aspect: range of the shape's height over width, drawn once, evenly on a logarithmic scale.
    Returns:
        bool [n, grid * grid], True inside.
    Raises:
        ValueError: share outside of 0 to 1, or aspect no range of numbers above 0.
    """
    _check_share(share=share)
    if not 0 < aspect[0] <= aspect[1]:
        raise ValueError(f"aspect: got {aspect}, takes a range of numbers above 0")
    low, high = math.log(aspect[0]), math.log(aspect[1])
    u = torch.rand((), generator=generator, device=generator.device)
    if round(share * grid * grid) == 0:
        return torch.zeros(n, grid * grid, dtype=torch.bool, device=generator.device)
    return _blocks(n, grid, *block_shape(grid, share, math.exp(low + (high - low) * float(u))), generator)


@takes(n=">= 1", grid=">= 2", targets=">= 1", share=">= 0, <= 1")
def latent_masks(n: int, grid: int, targets: int, share: float, generator: torch.Generator,
                 context: tuple[float, float] = CONTEXT, aspect: tuple[float, float] = ASPECT) -> tuple[Tensor, Tensor]:
    """I-JEPA's question: what is in these blocks, seen from a context that has no patch of any of them?

    All samples get target blocks of one shape and a square context block of one size, each at places of their own.
    Patches of the context that lie in a target are taken out. Of 8 random placements of the targets the first is taken
    that leaves a third of the picture's patches to the context, or else the one that leaves most; blocks that leave
    nothing go all on one place. At last contexts drop patches at random until all have as many as the smallest one, so
    that they are one tensor.

    Args:
        n: number of samples.
        grid: patches a side, 2 or more.
        targets: M, blocks in each sample; they may overlap.
        share: of the picture in one target block.
        context, aspect: ranges of the context's share of the picture and of the targets' height over width.
    Returns:
        context [n, K], targets [n, M, N]: places of patches, from 0 to grid * grid - 1, in rising order.
    Raises:
        ValueError: a share outside of 0 to 1, targets below 1, or grid below 2.
    Source:
        Assran et al. 2023, arXiv:2301.08243, section 3 and appendix A.1: scales, aspects, and one block shape a batch.
    """
    if targets < 1 or grid < 2:
        raise ValueError(f"targets, grid: got {targets}, {grid}, takes 1 or more, 2 or more")
    patches = grid * grid
    low, high = context
    u = float(torch.rand((), generator=generator, device=generator.device))
    around = block_mask(n, grid, low + (high - low) * u, generator, (1.0, 1.0))      # [n, T]
    asked = block_mask(TRIES * n * targets, grid, share, generator, aspect).view(TRIES, n, targets, patches)
    if not asked.any():                                              # a share below half a patch
        asked = _blocks(TRIES * n * targets, grid, 1, 1, generator).view(TRIES, n, targets, patches)
    counts = (around & ~asked.any(dim=2)).sum(dim=2)                 # [tries, n], what would be left of the context
    order = counts.clamp(max=round(ENOUGH * patches)) * TRIES - torch.arange(TRIES, device=counts.device)[:, None]
    asked = asked[order.argmax(dim=0), torch.arange(n, device=asked.device)]         # [n, M, T]
    left = around & ~asked.any(dim=1)                                # [n, T]
    nothing = ~left.any(dim=1)
    if nothing.any():
        asked[nothing] = asked[nothing, :1]
        left[nothing] = ~asked[nothing].any(dim=1)
    if not left.any(dim=1).all():
        raise ValueError(f"share: got {share}, takes one that leaves a patch of a grid of {grid} x {grid}")
    fewest = int(left.sum(dim=1).min())
    scores = torch.rand(n, patches, generator=generator, device=generator.device).masked_fill(~left, 2.0)
    kept = scores.argsort(dim=1, stable=True)[:, :fewest].sort(dim=1).values         # [n, K]
    return kept, asked.nonzero()[:, 2].view(n, targets, -1)


def _blocks(n: int, grid: int, rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Rectangles of one shape, anywhere: bool [n, grid * grid]."""
    def side(length: int) -> Tensor:
        first = torch.randint(grid - length + 1, (n, 1), generator=generator, device=generator.device)
        place = torch.arange(grid, device=generator.device)
        return (place >= first) & (place < first + length)           # [n, grid]

    return (side(rows)[:, :, None] & side(columns)[:, None]).flatten(1)


def _check_share(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: got {value!r}, takes a number from 0 to 1")
