"""Shapes: the factors are read back from the pixels, and the drawing is held against Pillow's polygons."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from sslab import datasets
from sslab.datasets.shapes import COLOURS, TEXTURES, draw, outline

NAMES = ("arrow", "boot", "drop", "flag", "heart", "moon")


@pytest.fixture(scope="module")
def data():
    return datasets.load("shapes")


def plain(shape, size=9.0, x=16.0, y=16.0, rotation=0.0):
    """Factors of pictures in red on the plain background; any argument may be a list."""
    names = ("shape", "size", "x", "y", "rotation")
    columns = torch.broadcast_tensors(*map(torch.as_tensor, (shape, size, x, y, rotation)))
    factors = dict(zip(names, map(torch.atleast_1d, columns)))
    none = torch.zeros_like(factors["shape"])
    return factors | {"colour": none, "texture": none} | {
        name: factors[name].float() for name in ("size", "x", "y", "rotation")
    }


def cover(images):
    """How much of each pixel the shape covers, from how much colour the pixel has: float64 [n, 32, 32]."""
    pixels = images.double()
    chroma = pixels.amax(1) - pixels.amin(1)                                      # a grey background has none
    return chroma / chroma.flatten(1).amax(1)[:, None, None]


def test_the_same_seed_gives_the_same_pictures():
    first, again, other = (datasets.load("shapes", n=100, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)
    assert all(torch.equal(first.factors[name], again.factors[name]) for name in first.factors)
    assert torch.equal(draw(first.factors), first.images)                           # a picture is its factors


def test_classes_are_equal_in_every_split_and_factors_are_independent(data):
    assert data.class_names == NAMES and torch.equal(data.labels, data.factors["shape"])
    for indices in data.splits.values():
        for name, kinds in (("shape", 6), ("colour", 6), ("texture", 4)):
            counts = torch.bincount(data.factors[name][indices], minlength=kinds)
            assert len(counts) == kinds and counts.max() - counts.min() <= 1
    angle = data.factors["rotation"].deg2rad()
    columns = [(data.factors[name][:, None] == torch.arange(kinds)).float()
               for name, kinds in (("shape", 6), ("colour", 6), ("texture", 4))]  # fmt: skip
    columns += [data.factors[name][:, None] for name in ("size", "x", "y")]
    columns += [torch.stack([angle.cos(), angle.sin()], 1)]
    widths = torch.tensor([column.shape[1] for column in columns])
    owner = torch.arange(len(columns)).repeat_interleave(widths)
    correlation = torch.corrcoef(torch.cat(columns, 1).T)
    between = correlation[owner[:, None] != owner].abs().max()
    assert between < 0.045                                                        # 5 sigma of 12,000 pictures


def test_ranges(data):
    for name, low, high in (("size", 6.5, 11), ("x", 12.5, 19.5), ("y", 12.5, 19.5), ("rotation", 0, 360)):
        values = data.factors[name]
        margin = 0.01 * (high - low)
        assert low <= values.min() < low + margin and high - margin < values.max() <= high


def test_centroid_and_area_read_back(data):
    weight = cover(data.images)
    area = weight.sum((1, 2))
    centres = torch.arange(32, dtype=torch.float64) + 0.5
    x = (weight * centres[None, None, :]).sum((1, 2)) / area
    y = (weight * centres[None, :, None]).sum((1, 2)) / area
    assert (x - data.factors["x"]).abs().max() < 0.15                               # pixels
    assert (y - data.factors["y"]).abs().max() < 0.15
    assert (area.sqrt() / data.factors["size"] - 1).abs().max() < 0.03          # so nothing is cut off either


def test_colour_reads_back(data):
    brightest = cover(data.images).flatten(1).argmax(1)
    pixel = data.images.flatten(2)[torch.arange(len(data)), :, brightest].double()  # [N, 3]
    distance = torch.cdist(pixel, torch.tensor(list(COLOURS.values())).double())
    assert torch.equal(distance.argmin(1), data.factors["colour"]) and distance.amin(1).max() < 1


def test_texture_reads_back(data):
    """A plain loop of the four textures, compared where the shape is not."""
    def level(texture, row, column):
        across, down = column % 8, row % 8
        bright = {
            "plain": False, "stripes": across >= 4, "checks": (across >= 4) != (down >= 4),
            "dots": (across - 3.5) ** 2 + (down - 3.5) ** 2 < 6,
        }  # fmt: skip
        return 70 if bright[texture] else 25

    textures = torch.tensor([[[level(name, row, column) for column in range(32)] for row in range(32)]
                             for name in TEXTURES])  # fmt: skip
    behind = cover(data.images) == 0                                                # [N, 32, 32]
    assert behind.flatten(1).sum(1).min() > 700
    expected = textures[data.factors["texture"]][:, None]
    assert ((data.images == expected).all(1) | ~behind).all()


def test_rotation_is_counter_clockwise():
    for shape in range(6):
        upright, quarter = draw(plain(shape, rotation=[0.0, 90.0]))
        assert np.abs(np.rot90(upright.numpy(), axes=(1, 2)).astype(int) - quarter.numpy()).max() <= 1
    tip = draw(plain(0))[0, 0] > 100                                                # the arrow points up
    assert tip.nonzero()[0, 1] in (15, 16) and tip[10:13].sum() > tip[20:23].sum()


@pytest.mark.parametrize("shape", range(6), ids=NAMES)
def test_the_drawing_is_the_polygon(shape):
    """Against Pillow's polygon, 16 times as large and averaged."""
    for size, x, y, rotation in ((7.0, 14.2, 18.9, 0.0), (10.5, 16.0, 13.3, 33.0), (9.0, 17.7, 16.4, 200.0)):
        angle = np.deg2rad(rotation)
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])                          # on a screen, y down
        corners = (outline(NAMES[shape]).numpy() @ turn.T * size + (x, y)) * 16 - 0.5
        large = Image.new("L", (512, 512))
        ImageDraw.Draw(large).polygon([tuple(corner) for corner in corners], fill=255)
        expected = np.asarray(large, float).reshape(32, 16, 32, 16).mean((1, 3)) / 255
        drawn = (draw(plain(shape, size, x, y, rotation))[0, 0].numpy() - 25.0) / 205
        assert np.abs(drawn - expected).max() < 0.3                                # a pixel at a sharp corner
        assert np.abs(drawn - expected).sum() < 0.04 * size**2


def test_no_shape_has_a_symmetry_and_no_two_are_alike():
    angles = torch.arange(0, 360, 5.0)
    turned = [cover(draw(plain(shape, rotation=angles))) for shape in range(6)]     # [72, 32, 32] each
    area = 81.0

    def moved(upright, others):                                               # share of the area that differs
        return (others - upright).abs().sum((1, 2)) / 2 / area

    for shape, pictures in enumerate(turned):
        assert moved(pictures[0], pictures[3:70]).min() > 0.1                    # turned by 15 to 345 degrees
        for other in range(6):
            if other != shape:
                assert moved(pictures[0], turned[other]).min() > 0.12
                assert moved(pictures[0].flip(1), turned[other]).min() > 0.12       # in the mirror too


@pytest.mark.parametrize("options, message", [
    ({"n": 59}, "n: got 59, takes a whole number from 60 up"), ({"n": 100.0}, "n: got 100.0"),
    ({"seed": -1}, "seed: got -1"), ({"seed": "a"}, "seed: got 'a'"),
])  # fmt: skip
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load("shapes", **options)


@pytest.mark.parametrize("n", [60, 61, 997])
def test_any_number_of_pictures(n):
    data = datasets.load("shapes", n=n)
    assert len(data) == n and sum(map(len, data.splits.values())) == n
    assert all(len(part.labels.unique()) == 6 for part in (data.train, data.validation, data.test))
