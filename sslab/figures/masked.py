"""Figures of masked image modelling: what is hidden, what is filled in, and what a transformer looks at."""

import torch
from torch import nn

from sslab.datasets.base import as_floats
from sslab.encoders import centred
from sslab.figures import describe
from sslab.figures.pictures import GAP, sheet, tile
from sslab.figures.style import COLOURS, new_figure
from sslab.views import random_mask


@torch.no_grad()
def filled_in(objective, images: torch.Tensor, seed: int = 0, masks: torch.Tensor | None = None):
    """Each picture, what the encoder sees of it, and the picture as MAE fills it in.

    Args:
        objective: an MAE.
        images: [N, C, H, W]. masks: bool [N, T], True where hidden; drawn at the objective's knobs if None.
    """
    if masks is None:
        masks = objective.draw_mask(len(images), torch.Generator().manual_seed(seed))
    columns = [("picture", as_floats(images)), ("visible", objective.covered(images, masks)),
               ("filled in", objective.fill(images, masks))]
    return _axes(columns)[0].says(
        f"{describe.count(len(images), 'picture')}, a row each: the picture, what is visible of it, and as it is filled in",
        _error(objective, images, masks, columns[-1][1]))


@torch.no_grad()
def masks_and_fillings(objective, images: torch.Tensor, ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9), seed: int = 0):
    """The same pictures with more and more hidden: a pair of columns for each share, visible and filled in.

    Args:
        objective: an MAE; its knobs are not changed.
        images: [N, C, H, W]. ratios: shares of hidden patches, single patches anywhere.
    """
    columns, said = [("picture", as_floats(images))], []
    for ratio in ratios:
        mask = random_mask(len(images), objective.grid**2, ratio, torch.Generator().manual_seed(seed))
        columns += [(f"{ratio:.0%} hidden", objective.covered(images, mask)), ("filled in", objective.fill(images, mask))]
        said.append(_error(objective, images, mask, columns[-1][1]))
    return _axes(columns)[0].says(f"{describe.count(len(images), 'picture')}, a row each, with more and more hidden: visible and filled in", *said)


def _error(objective, images: torch.Tensor, mask: torch.Tensor, filled: torch.Tensor) -> str:
    """How much is hidden, and how far off the filling is there."""
    grid, side = objective.grid, images.shape[-1] // objective.grid
    hidden = mask.cpu().view(-1, 1, grid, grid).repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
    error = (filled.cpu() - as_floats(images).cpu()).square()[hidden.expand_as(filled)].mean()
    return f"{describe.percent(mask.float().mean())} of the patches hidden: mean squared error there {describe.number(error)}"


@torch.no_grad()
def context_and_targets(objective, images: torch.Tensor, seed: int = 0):
    """What I-JEPA asks: each picture, its context, and the blocks whose representation is to be predicted, outlined.

    Args:
        objective: an IJEPA. images: [N, C, H, W].
    """
    from matplotlib.patches import Rectangle

    _, context, blocks = objective.make_views(images, torch.Generator().manual_seed(seed))
    grid, patch = objective.grid, objective.patch
    hidden = torch.ones(len(images), grid * grid, dtype=torch.bool).scatter(1, context.cpu(), False)
    whole = as_floats(images)
    figure, axis = _axes([("picture", whole), ("context", objective.covered(images, hidden)), ("targets", whole)])
    side = grid * patch + 2 * GAP
    for row, of_picture in enumerate(blocks.cpu()):
        for number, block in enumerate(of_picture):
            top, left = int(block.min()) // grid, int((block % grid).min())
            height, width = int(block.max()) // grid - top + 1, int((block % grid).max()) - left + 1
            axis.add_patch(Rectangle((2 * side + GAP + left * patch - 0.5, row * side + GAP + top * patch - 0.5),
                                     width * patch, height * patch, fill=False, linewidth=2,
                                     edgecolor=COLOURS[number % len(COLOURS)]))
    asked = [sum(len(set(block.tolist())) for block in of_picture) / len(of_picture) for of_picture in blocks.cpu()]
    return figure.says(f"{describe.count(len(images), 'picture')}, a row each: the picture, its context, and {blocks.shape[1]} outlined blocks to predict",
                       f"{describe.percent(1 - hidden.float().mean())} of {grid * grid} patches are context; a block has {describe.number(sum(asked) / len(asked))}",
                       describe.extremes({f"picture {row + 1}": 1 - float(each.float().mean()) for row, each in enumerate(hidden)},
                                         "Context by picture", describe.percent))


@torch.no_grad()
def attention_maps(encoder: nn.Module, images: torch.Tensor, block: int = -1, place: int | None = None):
    """Where one patch looks: each picture with the patch marked, and the attention of every head from there.

    Args:
        encoder: a "vit". images: [N, C, H, W].
        block: of the transformer, the last one by default.
        place: of the patch, row by row from 0; the middle one if None.
    """
    from matplotlib.patches import Rectangle

    net, device = encoder.net, next(encoder.parameters()).device
    weights = net.attention(centred(images.to(device)), block).cpu()                 # [N, heads, T, T]
    grid, patch = images.shape[-1] // net.patch, net.patch
    place = grid // 2 * grid + grid // 2 if place is None else place
    maps = weights[:, :, place].unflatten(2, (grid, grid))                           # [N, heads, grid, grid]
    wide = torch.special.entr(maps).sum(dim=(2, 3)).exp().mean(dim=0).tolist()       # patches that a head looks at, [heads]
    maps = maps / maps.amax(dim=(2, 3), keepdim=True)
    maps = maps.repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)      # [N, heads, H, W]
    figure, axis = _axes([("picture", as_floats(images)),
                          *((f"head {head + 1}", maps[:, head, None]) for head in range(maps.shape[1]))])
    side = grid * patch + 2 * GAP
    for row in range(len(images)):
        axis.add_patch(Rectangle((GAP + place % grid * patch - 0.5, row * side + GAP + place // grid * patch - 0.5),
                                 patch, patch, fill=False, edgecolor=COLOURS[3], linewidth=2))
    return figure.says(f"{describe.count(len(images), 'picture')}, a row each, and where patch {place} of {grid * grid}, framed, looks, head by head",
                       "So many patches a head looks at: " + ", ".join(f"head {head + 1} about {many:.0f}" for head, many in enumerate(wide)))


@torch.no_grad()
def patch_filters(encoders: dict[str, nn.Module], columns: int = 16):
    """The first layer of vision transformers: what each feature of a patch's embedding looks for, strongest first.

    Every filter is scaled by itself: grey is 0, white and black are its largest weight, up and down.

    Args:
        encoders: title -> a "vit".
    """
    figure, axes = new_figure(columns=len(encoders), width=0.26 * columns, height=0.26 * columns * 0.6)
    said = {}
    for axis, (title, encoder) in zip(axes, encoders.items(), strict=True):
        weight = encoder.net.embed.weight.detach().cpu()             # [D, C, patch, patch]
        size = weight.flatten(1).norm(dim=1).sort(descending=True)   # [D]
        weight = weight[size.indices]
        half = int((size.values.square().cumsum(0) < 0.5 * size.values.square().sum()).sum()) + 1
        said[title] = (f"{len(weight)} filters of {weight.shape[-1]} by {weight.shape[-1]}, their norms from {describe.number(size.values[0])} "
                       f"down to {describe.number(size.values[-1])}; the first {half} have half of the squared weight")
        weight = 0.5 + 0.5 * weight / weight.abs().amax(dim=(1, 2, 3), keepdim=True)
        axis.imshow(tile(weight, columns, gap=1).numpy())
        axis.set(title=title, xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure.says("What each feature of a patch looks for, the strongest first", *describe.panels(said))


def _axes(columns: list[tuple[str, torch.Tensor]]):
    """(figure, axis) with a row for each picture and a named column for each entry, [N, C, H, W] in [0, 1]."""
    rows = torch.stack([each.cpu().expand(-1, 3, -1, -1) for _, each in columns], dim=1)             # [N, columns, 3, H, W]
    figure, (axis,) = new_figure(width=0.95 * len(columns), height=0.95 * len(rows) + 0.3)
    sheet(axis, rows.flatten(0, 1), len(columns), ticks=dict(enumerate(name for name, _ in columns)))
    axis.xaxis.tick_top()
    return figure, axis
