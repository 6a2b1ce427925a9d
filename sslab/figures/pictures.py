"""Figures made of pictures: the data, and the views that a pretext task makes of it."""

import torch

from sslab.figures.style import new_figure


def tile(images: torch.Tensor, columns: int, gap: int = 2) -> torch.Tensor:
    """Images [N, C, H, W] in a grid, uint8 or floats in [0, 1] -> [rows, columns, 3] floats, white between."""
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    images = torch.nn.functional.pad(images.expand(-1, 3, -1, -1), (gap, gap, gap, gap), value=1.0)
    empty = -len(images) % columns
    images = torch.cat([images, images.new_ones(empty, *images.shape[1:])])
    count, channels, height, width = images.shape
    grid = images.view(count // columns, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    return grid.reshape(count // columns * height, columns * width, channels)


def samples(dataset, per_class: int = 8):
    """A row of training images for every class, its name in front."""
    train = dataset.train
    rows = [train.images[(train.labels == label).nonzero().flatten()[:per_class]]
            for label in range(dataset.num_classes)]
    figure, (axis,) = new_figure(width=0.5 * per_class + 1.2, height=0.5 * len(rows))
    side = rows[0].shape[-1] + 4
    axis.imshow(tile(torch.cat(rows), per_class).numpy())
    axis.set_yticks([side * (row + 0.5) for row in range(len(rows))], dataset.class_names)
    axis.set_xticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure


def views(images: torch.Tensor, augment, copies: int = 8, seed: int = 0):
    """Each image, and random views of it to its right: which of them would you call the same thing?"""
    made = augment(images.repeat_interleave(copies, dim=0), torch.Generator().manual_seed(seed))
    made = made.view(len(images), copies, *images.shape[1:])
    both = torch.cat([images[:, None].float() / 255, made], dim=1).flatten(0, 1)
    figure, (axis,) = new_figure(width=0.62 * (copies + 1), height=0.62 * len(images) + 0.3)
    side = images.shape[-1] + 4
    axis.imshow(tile(both, copies + 1).numpy())
    axis.axvline(side - 0.5, color="0.3", linewidth=1)
    axis.set_xticks([side / 2, side * (copies / 2 + 1)], ["image", "views"])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure


def neighbours(images: torch.Tensor, spaces: dict[str, torch.Tensor], queries: int = 8, nearest: int = 6):
    """The first pictures, and what lies nearest to each (by cosine) in some spaces, side by side.

    Args:
        images: [N, C, H, W]. spaces: name -> features [N, D] of the same pictures.
        queries, nearest: rows, and pictures a row and space.
    """
    found = []
    for x in spaces.values():
        x = torch.nn.functional.normalize(x.float() - x.float().mean(dim=0), dim=1)  # [N, D]
        similar = x[:queries] @ x.T                                  # [Q, N]
        similar[:, :queries].fill_diagonal_(-2)                      # nobody is his own neighbour
        found.append(similar.topk(nearest, dim=1).indices)           # [Q, nearest]
    rows = torch.cat([torch.arange(queries)[:, None], *found], dim=1)
    columns = rows.shape[1]
    figure, (axis,) = new_figure(width=0.5 * columns + 0.6, height=0.5 * queries + 0.4)
    side = images.shape[-1] + 4
    axis.imshow(tile(images[rows.flatten()], columns).numpy())
    starts = [0] + [1 + nearest * index for index in range(len(spaces))]
    for start in starts[1:]:
        axis.axvline(side * start - 0.5, color="0.3", linewidth=1)
    axis.set_xticks([side / 2] + [side * (start + nearest / 2) for start in starts[1:]], ["picture", *spaces])
    axis.xaxis.tick_top()
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure
