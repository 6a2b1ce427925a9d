"""Figures made of pictures: the data, and the views that a pretext task makes of it."""

import torch

from sslab.datasets.base import as_floats
from sslab.figures import describe
from sslab.figures.style import new_figure

GAP = 2                                                              # pixels around a picture in a grid


def tile(images: torch.Tensor, columns: int, gap: int = GAP) -> torch.Tensor:
    """Images [N, C, H, W] in a grid, uint8 or floats in [0, 1] -> [rows, columns, 3] floats, white between."""
    images = as_floats(images).float()
    images = torch.nn.functional.pad(images.expand(-1, 3, -1, -1), (gap, gap, gap, gap), value=1.0)
    empty = -len(images) % columns
    images = torch.cat([images, images.new_ones(empty, *images.shape[1:])])
    count, channels, height, width = images.shape
    grid = images.view(count // columns, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    return grid.reshape(count // columns * height, columns * width, channels)


def sheet(axis, images: torch.Tensor, columns: int, rows=(), ticks: dict[float, str] | None = None) -> int:
    """Draw pictures [N, C, H, W] in a grid, names in front of its rows and below some of its columns.

    Args:
        rows: a name for each row, or none. ticks: column -> name; 0 is the middle of the first one, 0.5 its right end.
    Returns:
        the width of a column, in pixels of the grid.
    """
    axis.imshow(tile(images, columns).clamp(0, 1).numpy())
    height, width = (side + 2 * GAP for side in images.shape[-2:])
    axis.set_yticks([height * (row + 0.5) for row in range(len(rows))], rows)
    axis.set_xticks([width * (column + 0.5) for column in ticks or {}], list((ticks or {}).values()))
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return width


def samples(dataset, per_class: int = 8):
    """A row of training images for every class, its name in front."""
    train = dataset.train
    rows = [train.images[(train.labels == label).nonzero().flatten()[:per_class]]
            for label in range(dataset.num_classes)]
    figure, (axis,) = new_figure(width=0.5 * per_class + 1.2, height=0.5 * len(rows))
    sheet(axis, torch.cat(rows), per_class, dataset.class_names)
    return figure.says(f"A row of {per_class} training pictures for each of {len(rows)} classes: {describe.listed(dataset.class_names)}",
                       describe.brightness(dict(zip(dataset.class_names, map(as_floats, rows), strict=False))))


def views(images: torch.Tensor, augment, copies: int = 8, seed: int = 0):
    """Each image, and random views of it to its right: which of them would you call the same thing?"""
    made = augment(images.repeat_interleave(copies, dim=0), torch.Generator().manual_seed(seed))
    made = made.view(len(images), copies, *images.shape[1:])
    both = torch.cat([as_floats(images)[:, None], made], dim=1).flatten(0, 1)
    figure, (axis,) = new_figure(width=0.62 * (copies + 1), height=0.62 * len(images) + 0.3)
    side = sheet(axis, both, copies + 1, ticks={0: "image", (copies + 1) / 2: "views"})
    axis.axvline(side - 0.5, color="0.3", linewidth=1)
    whole = as_floats(images).float()
    moved = {f"picture {row + 1}": float((made[row] - whole[row]).square().mean()) for row in range(len(images))}
    return figure.says(f"{describe.count(len(images), 'picture')}, a row each, with {copies} random views of it to the right",
                       describe.extremes(moved, "Mean squared difference of the views from their picture"))


def neighbours(images: torch.Tensor, spaces: dict[str, torch.Tensor], queries: int = 8, nearest: int = 6):
    """The first pictures, and what lies nearest to each (by cosine) in some spaces, side by side.

    Args:
        images: [N, C, H, W]. spaces: name -> features [N, D] of the same pictures.
        queries, nearest: rows, and pictures a row and space.
    """
    found, cosines = [], {}
    for name, x in spaces.items():
        x = torch.nn.functional.normalize(x.float() - x.float().mean(dim=0), dim=1)  # [N, D]
        similar = x[:queries] @ x.T                                  # [Q, N]
        similar[:, :queries].fill_diagonal_(-2)                      # nobody is his own neighbour
        cosines[name], chosen = similar.topk(nearest, dim=1)         # [Q, nearest]
        found.append(chosen)
    rows = torch.cat([torch.arange(queries)[:, None], *found], dim=1)
    columns = rows.shape[1]
    figure, (axis,) = new_figure(width=0.5 * columns + 0.6, height=0.5 * queries + 0.4)
    middles = {0.5 + nearest * (index + 0.5): name for index, name in enumerate(spaces)}
    side = sheet(axis, images[rows.flatten()], columns, ticks={0: "picture", **middles})
    for index in range(len(spaces)):
        axis.axvline(side * (1 + nearest * index) - 0.5, color="0.3", linewidth=1)
    axis.xaxis.tick_top()
    same = {name: {other: int((a[:, :, None] == b[:, None, :]).sum()) for other, b in zip(spaces, found, strict=True) if other != name}
            for name, a in zip(spaces, found, strict=True)}
    return figure.says(f"{describe.count(queries, 'picture')}, a row each, with the {nearest} nearest others in {describe.listed(spaces)}",
                       *(f"{name}: mean cosine {describe.number(near.mean())}" for name, near in cosines.items()),
                       *(f"{a} and {b} share {many} of {queries * nearest} neighbours" for a, b, many in
                         ((a, b, same[a][b]) for k, a in enumerate(spaces) for b in list(spaces)[k + 1:])))
