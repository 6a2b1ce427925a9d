"""Generated pictures, every factor known: shape, colour, size, position, rotation, background texture.

A picture follows from its factors alone, and no shape looks the same after a turn of less than 360 degrees,
so each factor can be read back from the pixels. A shape is drawn from its distance field: the distance d of a
pixel's centre to the outline, in pixels and negative inside, gives the share of the pixel that is covered,
0.5 - d between 0 and 1. That is the antialiasing.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.datasets.base import Card, Dataset, split_in_order

SIDE = 32                                                          # pixels
SIZES, POSITIONS = (6.5, 11.0), (12.5, 19.5)             # pixels; the largest shape just fits at the extremes
COLOURS = {
    "red": (230, 60, 60), "yellow": (240, 210, 60), "green": (60, 190, 80),
    "cyan": (70, 200, 220), "blue": (70, 100, 240), "magenta": (220, 80, 210),
}                                                              # all brighter than any background, in grey too
TEXTURES = ("plain", "stripes", "checks", "dots")
_FIELD, _REACH = 129, 1.3                                  # samples a side of a distance field, half its side


def _arc(x: float, y: float, radius: float, start: float, end: float, points: int = 24) -> list[tuple]:
    """Corners along a circle, from `start` to `end` degrees."""
    angles = torch.linspace(math.radians(start), math.radians(end), points, dtype=torch.float64).tolist()
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


# Corners in order, x to the right and y down, at any scale and place: `outline` normalises both.
_CORNERS = {
    "arrow": [(0, -10), (8, -1), (3, -1), (3, 10), (-3, 10), (-3, -1), (-8, -1)],
    "boot": [(-6, -9), (0, -9), (0, 3), (8, 3), (8, 9), (-6, 9)],
    "drop": [(0, -15), *_arc(0, 3, 6.5, -30, 210)],
    "flag": [(-6, -10), (9, -5), (-2, 0), (-2, 11), (-6, 11)],
    "heart": [(0, 14), *_arc(-4.6, -6, 4.8, 160, 350), *_arc(4.6, -6, 4.8, 190, 380)],
    "moon": [*_arc(0, 0, 9, 55, 305, 48), *_arc(4.6, 0, 7.4, 275, 85, 48)],
}


def outline(shape: str) -> Tensor:
    """The corners [K, 2] of a shape of area 1 with its centroid at the origin; x to the right, y down."""
    x, y = torch.tensor(_CORNERS[shape], dtype=torch.float64).T
    cross = x * y.roll(-1) - x.roll(-1) * y                        # the shoelace formula: area and centroid
    area = cross.sum() / 2
    middle = torch.stack([((x + x.roll(-1)) * cross).sum(), ((y + y.roll(-1)) * cross).sum()]) / (6 * area)
    return (torch.stack([x, y], 1) - middle) / area.abs().sqrt()


@cache
def _distance_field(shape: str) -> Tensor:
    """Signed distance to the outline, negative inside, on a square of half side _REACH: [_FIELD, _FIELD]."""
    corners = outline(shape)                                                                      # [K, 2]
    axis = torch.linspace(-_REACH, _REACH, _FIELD, dtype=corners.dtype)
    point = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)[..., None, :]            # [F, F, 1, 2]
    start, edge = corners, corners.roll(-1, 0) - corners
    along = ((point - start) * edge).sum(-1) / edge.square().sum(-1)                              # [F, F, K]
    distance = (point - start - along.clamp(0, 1)[..., None] * edge).norm(dim=-1).amin(-1)        # [F, F]
    x, y = point[..., 0], point[..., 1]
    spans = (start[:, 1] > y) != (start[:, 1] + edge[:, 1] > y)                          # edges at our height
    left = x < start[:, 0] + (y - start[:, 1]) * edge[:, 0] / edge[:, 1]
    inside = (spans & left).sum(-1) % 2 == 1
    return torch.where(inside, -distance, distance).float()


def _backgrounds() -> Tensor:
    """The four textures in two dark greys, uint8 values as float [4, SIDE, SIDE]."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    stripes = x // 4 % 2
    checks = (x // 4 + y // 4) % 2
    dots = ((x % 8 - 3.5).square() + (y % 8 - 3.5).square() < 6).long()
    return 25.0 + 45.0 * torch.stack([torch.zeros_like(x), stripes, checks, dots])


def draw(factors: dict[str, Tensor]) -> Tensor:
    """Draw pictures from their factors.

    Args:
        factors: "shape" [n] 0 to 5 (arrow, boot, drop, flag, heart, moon), "colour" [n] 0 to 5 (in COLOURS),
            "texture" [n] 0 to 3 (in TEXTURES), and floats: "size" [n], the square root of the shape's area in
            pixels; "x", "y" [n], its centroid in pixels from the left and upper edge; "rotation" [n], degrees
            counter-clockwise.
    Returns:
        uint8 [n, 3, 32, 32].
    """
    chunk = 2_000                                                  # 24 MB a float picture plane
    return torch.cat([
        _draw({name: values[start:start + chunk] for name, values in factors.items()})
        for start in range(0, len(factors["shape"]), chunk)
    ])


def _draw(factors: dict[str, Tensor]) -> Tensor:
    size, angle = factors["size"][:, None, None], factors["rotation"].deg2rad()[:, None, None]    # [n, 1, 1]
    centres = torch.arange(SIDE) + 0.5
    dx = (centres - factors["x"][:, None])[:, None, :] / size                                     # [n, 1, S]
    dy = (centres - factors["y"][:, None])[:, :, None] / size                                     # [n, S, 1]
    u = dx * angle.cos() - dy * angle.sin()                 # turned back into the shape's own axes: [n, S, S]
    v = dx * angle.sin() + dy * angle.cos()
    grid = torch.stack([u, v], -1) / _REACH                                                     # [n, S, S, 2]
    cover = torch.empty(len(size), SIDE, SIDE)
    for number, shape in enumerate(_CORNERS):
        chosen = factors["shape"] == number
        field = _distance_field(shape)[None, None]
        points = grid[chosen].flatten(0, 1)[None]                                             # [1, m S, S, 2]
        distance = F.grid_sample(field, points, padding_mode="border", align_corners=True)    # [1, 1, m S, S]
        cover[chosen] = distance.view(-1, SIDE, SIDE)
    cover = (0.5 - cover * size).clamp(0, 1)[:, None]                                           # [n, 1, S, S]
    colour = torch.tensor(list(COLOURS.values()), dtype=torch.float)[factors["colour"]]           # [n, 3]
    behind = _backgrounds()[factors["texture"]][:, None]                                        # [n, 1, S, S]
    return torch.lerp(behind, colour[:, :, None, None], cover).round().byte()                   # [n, 3, S, S]


def shapes(n: int = 12_000, seed: int = 0) -> Dataset:
    """Pictures with known factors: [n, 3, 32, 32], labelled by their shape; `draw` says what a factor means.

    Shapes, colours and textures are equally frequent in each split; the factors are independent.

    Args:
        n: how many, 60 or more; 70 % train, 10 % validation, 20 % test.
        seed: the same seed and n give the same pictures.
    Raises:
        ValueError: n or seed is not a whole number in its range.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 60:
        raise ValueError(f"n: got {n!r}, takes a whole number from 60 up")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed: got {seed!r}, takes a whole number from 0 up")
    random = torch.Generator().manual_seed(seed)
    counts = [n - round(0.1 * n) - round(0.2 * n), round(0.1 * n), round(0.2 * n)]

    def equal(kinds: int) -> Tensor:
        return torch.cat([torch.randperm(count, generator=random) % kinds for count in counts])

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=random)

    factors = {
        "shape": equal(len(_CORNERS)), "colour": equal(len(COLOURS)), "texture": equal(len(TEXTURES)),
        "size": uniform(*SIZES), "x": uniform(*POSITIONS), "y": uniform(*POSITIONS),
        "rotation": uniform(0, 360),
    }
    splits = split_in_order(*counts)
    card = Card(
        title="Shapes with known factors",
        origin=f"Drawn by sslab.datasets.shapes from seed {seed}.",
        licence="Apache-2.0, as the lab",
        purpose="Which factor does a representation keep, which did an augmentation erase? It is known here.",
        notes="Labels are the six shapes; factors has colour, size, x, y, rotation and texture as well.",
    )
    return Dataset("shapes", draw(factors), factors["shape"], tuple(_CORNERS), splits, card, factors)
