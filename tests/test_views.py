"""Views against a second, naive way: float64 loops over pixels, and Pillow where its conventions are ours."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from sslab.views import Augment, random_mask
from sslab.views.augment import PRESETS

EVERYTHING = {"crop": 0.3, "flip": 0.5, "rotation": 30, "brightness": 0.5, "contrast": 0.5, "saturation": 0.5,
              "hue": 0.2, "greyscale": 0.3, "blur": 0.5, "solarise": 0.3, "erase": 0.5, "noise": 0.05}
LUMA = (0.299, 0.587, 0.114)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=6, channels=3, height=9, width=12, seed=1):
    """uint8 [n, C, H, W]: noise over a slope, so that no two places look alike."""
    slope = torch.arange(width)[None, :] * 8 + torch.arange(height)[:, None] * 5
    noise = torch.randint(0, 60, (n, channels, height, width), generator=generator(seed))
    return (noise + slope).clamp(0, 255).to(torch.uint8)


def one_knob(images, seed=3, **knobs):
    """Views by one kind of knob, and the parameters they were made with."""
    augment = Augment(**knobs)
    parameters = augment.draw(*images.shape, generator(seed))
    return augment.apply(images, parameters), parameters


# --- the naive reference: lists and loops, float64 ----------------------------------------------------------

def numbers(p, i):
    return {name: value[i].item() for name, value in p.items() if value.ndim == 1}


def at(picture, y, x):
    """A [C, H, W] picture at a place between pixel centres (0 is the first), its border repeated outside."""
    _, height, width = picture.shape
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), height - 2), min(int(x), width - 2)
    down, right = y - top, x - left
    return [float((1 - down) * (1 - right) * channel[top][left] + (1 - down) * right * channel[top][left + 1]
                  + down * (1 - right) * channel[top + 1][left] + down * right * channel[top + 1][left + 1])
            for channel in picture.tolist()]


def moved(picture, p, i):
    """Crop, mirror, turn: where does each pixel of the view come from?"""
    _, height, width = picture.shape
    get = numbers(p, i)
    out = torch.empty_like(picture)
    for row in range(height):
        for column in range(width):
            across, down = column + 0.5 - width / 2, row + 0.5 - height / 2   # from the view's middle
            angle = get.get("angle", 0)
            across, down = (across * math.cos(angle) - down * math.sin(angle),
                            across * math.sin(angle) + down * math.cos(angle))
            if get.get("flip"):
                across = -across
            x = (get.get("crop_left", 0) + get.get("crop_width", 1) * (0.5 + across / width)) * width - 0.5
            y = (get.get("crop_top", 0) + get.get("crop_height", 1) * (0.5 + down / height)) * height - 0.5
            out[:, row, column] = torch.tensor(at(picture, y, x), dtype=torch.float64)
    return out


def yiq(r, g, b):
    """NTSC's colour space (Smith and Guild 1931 for the weights; FCC 1953)."""
    return (0.299 * r + 0.587 * g + 0.114 * b, 0.595716 * r - 0.274453 * g - 0.321263 * b,
            0.211456 * r - 0.522591 * g + 0.311135 * b)


def rgb(y, i, q):                                                   # to four digits, as textbooks print it
    return y + 0.9563 * i + 0.6210 * q, y - 0.2721 * i - 0.6474 * q, y - 1.1070 * i + 1.7046 * q


def recoloured(picture, p, i):
    """Brightness, contrast about the mean grey, saturation, hue, greyscale, in turn; cut off at the end."""
    get = numbers(p, i)
    pixels = [list(pixel) for pixel in picture.flatten(1).T.tolist()]
    pixels = [[value * get.get("brightness", 1) for value in pixel] for pixel in pixels]
    mean = sum(sum(w * v for w, v in zip(LUMA, pixel)) for pixel in pixels) / len(pixels)
    contrast = get.get("contrast", 1)
    pixels = [[mean + contrast * (value - mean) for value in pixel] for pixel in pixels]
    out = []
    for pixel in pixels:
        y, i_, q = yiq(*pixel)
        s, hue = get.get("saturation", 1), get.get("hue", 0)
        i_, q = s * i_, s * q
        i_, q = i_ * math.cos(hue) - q * math.sin(hue), i_ * math.sin(hue) + q * math.cos(hue)
        pixel = rgb(y, i_, q)
        if get.get("greyscale"):
            pixel = (sum(w * v for w, v in zip(LUMA, pixel)),) * 3
        out.append([min(max(value, 0), 1) for value in pixel])
    return torch.tensor(out, dtype=torch.float64).T.view_as(picture)


def blurred(picture, sigma):
    """Each pixel is the mean of its row and column, weighted by a Gaussian of the distance."""
    if sigma == 0:
        return picture
    _, height, width = picture.shape
    out = torch.zeros_like(picture)
    for row in range(height):
        for column in range(width):
            total = 0.0
            for y in range(height):
                for x in range(width):
                    weight = math.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
                    out[:, row, column] += weight * picture[:, y, x]
                    total += weight
            out[:, row, column] /= total
    return out


# --- sample by sample ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("knobs", [
    {"crop": 0.2}, {"flip": 0.5}, {"crop": 0.3, "flip": 0.5}, {"crop": 0.5, "crop_ratio": 3},
    {"rotation": 40}, {"crop": 0.3, "flip": 0.5, "rotation": 180},
    {"crop": 0.5, "crop_largest": 3, "crop_ratio": 2}, {"crop": 0.8, "crop_largest": 4, "rotation": 20},
])
@pytest.mark.parametrize("channels", [1, 3])
def test_moves(knobs, channels):
    images = pictures(channels=channels).double() / 255
    views, p = one_knob(images, **knobs)
    for i, picture in enumerate(images):
        torch.testing.assert_close(views[i], moved(picture, p, i), atol=1e-6, rtol=0)


@pytest.mark.parametrize("knobs", [
    {"brightness": 0.8}, {"contrast": 0.8}, {"saturation": 0.8}, {"hue": 0.5}, {"greyscale": 0.5},
    {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.2, "greyscale": 0.3},
])
def test_colours(knobs):
    images = pictures(n=12).double() / 255
    views, p = one_knob(images, colour=0.8, **knobs)
    for i, picture in enumerate(images):
        torch.testing.assert_close(views[i], recoloured(picture, p, i), atol=5e-4, rtol=0)


def test_blur():
    images = pictures(n=8).double() / 255
    views, p = one_knob(images, blur=0.6, blur_sigma=3)
    assert 0 < (p["sigma"] > 0).sum() < 8
    for i, picture in enumerate(images):
        torch.testing.assert_close(views[i], blurred(picture, p["sigma"][i].item()), atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_outlines(channels):
    images = pictures(n=8, channels=channels).double() / 255
    views, p = one_knob(images, outline=0.6)
    assert 0 < (p["fade"] < 0).sum() < 8
    for i, picture in enumerate(images):
        fade, expected = p["fade"][i].item(), picture.clone()
        grey = sum(w * c for w, c in zip(LUMA, picture, strict=True)) if channels == 3 else picture[0]
        for row, column in np.ndindex(*grey.shape) if fade >= 0 else ():
            near = grey[max(row - 1, 0):row + 2, max(column - 1, 0):column + 2]
            ink = min(1.0, 2 * float(near.max() - near.min()))
            expected[:, row, column] = (picture[:, row, column] * (1 - fade) + fade) * (1 - ink)
        torch.testing.assert_close(views[i], expected, atol=1e-6, rtol=0)


def test_all_at_once_is_one_after_the_other():
    images = pictures(n=10).double() / 255
    views, p = one_knob(images, **EVERYTHING)
    _, _, height, width = images.shape
    for i, picture in enumerate(images):
        expected = recoloured(blurred(moved(picture, p, i), p["sigma"][i].item()), p, i)
        if p["solarise"][i]:
            expected = torch.where(expected < 0.5, expected, 1 - expected)
        left, top, w, h = (p["erase_" + name][i].item() for name in ("left", "top", "width", "height"))
        for row in range(height):
            for column in range(width):
                if left <= (column + 0.5) / width < left + w and top <= (row + 0.5) / height < top + h:
                    expected[:, row, column] = 0
        expected = (expected + p["noise"][i]).clamp(0, 1)
        close = (views[i] - expected).abs() < 1e-3
        assert close.float().mean() > 0.98                      # at the threshold either may be inverted
        assert close.all() or p["solarise"][i]


# --- against Pillow -----------------------------------------------------------------------------------------

def pil(picture):
    return Image.fromarray(picture.permute(1, 2, 0).numpy() if len(picture) == 3 else picture[0].numpy())


def levels(image):
    """0 to 255 as float [C, H, W]."""
    data = torch.tensor(np.array(image), dtype=torch.float64)
    return data.view(image.height, image.width, -1).permute(2, 0, 1)


@pytest.mark.parametrize("knob, pillow", [
    ("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast),
    ("saturation", ImageEnhance.Color),
])
def test_factors_are_pillows(knob, pillow):
    images = pictures(n=8)
    views, p = one_knob(images, colour=1, **{knob: 0.9})
    for picture, view, factor in zip(images, views, p[knob].tolist()):
        expected = levels(pillow(pil(picture)).enhance(factor))
        assert (view * 255 - expected).abs().max() < 2              # Pillow rounds twice


def test_mirror_greyscale_and_solarise_are_pillows():
    images = pictures(n=3)
    knobs = ("flip", "solarise", "greyscale")
    views = {knob: 255 * Augment(**{knob: 1})(images, generator()) for knob in knobs}
    for i, image in enumerate(map(pil, images)):
        assert (views["flip"][i] - levels(ImageOps.mirror(image))).abs().max() < 1e-4
        assert (views["solarise"][i] - levels(ImageOps.solarize(image))).abs().max() < 1e-4
        assert (views["greyscale"][i] - levels(ImageOps.grayscale(image))).abs().max() < 1


def test_crop_is_pillows_resize():
    """Where crops fall on whole pixels, away from their border: Pillow sees nothing outside of its box."""
    images = pictures(n=1, height=16, width=16)
    p = {name: torch.tensor([value]) for name, value in
         {"crop_left": 0.25, "crop_top": 0.125, "crop_width": 0.5, "crop_height": 0.75}.items()}
    view = Augment(crop=0.3).apply(images, p)[0]
    expected = levels(pil(images[0]).resize((16, 16), Image.Resampling.BILINEAR, box=(4, 2, 12, 14)))
    assert ((view * 255 - expected)[:, 1:-1, 1:-1]).abs().max() < 1.01


# --- promises -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_presets_give_finite_views(name, channels):
    images = pictures(n=40, channels=channels, height=20, width=20)
    views = Augment.named(name)(images, generator())
    assert views.dtype == torch.float32 and views.shape == images.shape
    assert views.isfinite().all() and views.min() >= 0 and views.max() <= 1
    assert (name == "none") == torch.equal(views, images / 255)


@pytest.mark.parametrize("extreme", ["low", "high"])
def test_every_knob_at_its_end_is_finite(extreme):
    strongest = {name: getattr(knob, extreme) for name, knob in Augment().knobs.items()}
    for images in (pictures(), pictures(channels=1), torch.zeros(2, 3, 8, 8), torch.ones(2, 1, 8, 8)):
        views = Augment(**strongest)(images, generator())
        assert views.isfinite().all() and views.min() >= 0 and views.max() <= 1


def test_same_seed_same_views_whatever_the_images():
    augment, images, others = Augment(**EVERYTHING), pictures(), pictures(seed=2)
    assert torch.equal(augment(images, generator(5)), augment(images, generator(5)))
    assert not torch.equal(augment(images, generator(5)), augment(images, generator(6)))
    mixed = torch.cat([images[:3], others[3:]])
    assert torch.equal(augment(images, generator(5))[:3], augment(mixed, generator(5))[:3])


def test_rows_can_be_shared_out():
    augment, images = Augment(**EVERYTHING), pictures(n=10)
    p = augment.draw(*images.shape, generator())
    mine = augment.apply(images[6:], {name: value[6:] for name, value in p.items()})
    torch.testing.assert_close(mine, augment.apply(images, p)[6:], atol=1e-6, rtol=0)


def test_a_knob_leaves_the_other_choices_alone():
    plain = Augment(crop=0.3, flip=0.5).draw(50, 3, 8, 8, generator())
    more = Augment(crop=0.3, flip=0.5, erase=1, hue=0.2, noise=0.1).draw(50, 3, 8, 8, generator())
    assert all(torch.equal(value, more[name]) for name, value in plain.items())
    inked = Augment(crop=0.3, flip=0.5, outline=0.5).draw(50, 3, 8, 8, generator())
    assert all(torch.equal(value, inked[name]) for name, value in plain.items())
    flipped = Augment(crop=0.3, flip=0.9).draw(50, 3, 8, 8, generator())
    assert torch.equal(flipped["crop_left"], plain["crop_left"])


def test_off_is_the_image_itself_and_draws_nothing():
    images = pictures()
    off = Augment(crop=1, colour=1, blur_sigma=5, crop_ratio=3)
    assert off.draw(*images.shape, generator()) == {}
    assert torch.equal(off(images, generator()), images / 255)
    double = images.double() / 255
    assert torch.equal(off(double, generator()), double)
    unjittered = Augment(colour=0, brightness=1, contrast=1, saturation=1, hue=0.5)
    assert unjittered.draw(*images.shape, generator()) == {}


def test_uint8_and_float_images_give_the_same_views():
    augment, images = Augment(**EVERYTHING), pictures()
    assert torch.equal(augment(images, generator()), augment(images / 255, generator()))
    half = augment((images / 255).half(), generator())
    assert half.dtype == torch.float32


def test_images_are_left_as_they_were():
    images = pictures() / 255
    before = images.clone()
    for knob, value in EVERYTHING.items():
        Augment(**{knob: value})(images, generator())
    assert torch.equal(images, before)


def test_grey_images_have_no_colour_to_lose():
    images = pictures(channels=1)
    colourless = Augment(saturation=1, hue=0.5, greyscale=1, colour=1)
    assert colourless.draw(*images.shape, generator()) == {}
    plain = Augment(brightness=0.5, contrast=0.5)
    as_colour = plain(images.expand(-1, 3, -1, -1), generator())
    torch.testing.assert_close(plain(images, generator()).expand_as(as_colour), as_colour, atol=1e-5, rtol=0)


def test_distributions():
    n = 20_000
    p = Augment(crop=0.2, flip=0.3, rotation=15, brightness=0.4, hue=0.1, blur=0.5, erase=0.25, greyscale=0.2,
                noise=0.1).draw(n, 3, 4, 4, generator())
    area = p["crop_width"] * p["crop_height"]
    assert 0.2 <= area.min() + 1e-6 and area.max() <= 1 + 1e-6 and abs(area.mean() - 0.6) < 0.01
    stretch = (p["crop_width"] / p["crop_height"]).log()
    assert stretch.abs().max() <= math.log(4 / 3) + 1e-5 and abs(stretch.mean()) < 0.01
    for side, length in (("left", "width"), ("top", "height")):
        assert p[f"crop_{side}"].min() >= 0 and (p[f"crop_{side}"] + p[f"crop_{length}"]).max() <= 1 + 1e-6
    assert p["angle"].abs().max() <= math.radians(15) and abs(p["angle"].mean()) < 0.01
    shares = {"flip": 0.3, "greyscale": 0.2}
    for name, share in shares.items():
        assert abs(p[name].float().mean() - share) < 4 * math.sqrt(share * (1 - share) / n)
    assert abs((p["sigma"] > 0).float().mean() - 0.5) < 0.015
    assert p["brightness"].min() >= 0.6 and p["brightness"].max() <= 1.4
    assert abs((p["brightness"] == 1).float().mean() - 0.2) < 0.015      # colour is 0.8: a fifth is left
    assert abs((p["hue"] == 0).float().mean() - 0.2) < 0.015
    erased = p["erase_width"] * p["erase_height"]
    assert abs((erased > 0).float().mean() - 0.25) < 0.015 and erased.max() <= 0.33 + 1e-6
    assert (p["erase_left"] + p["erase_width"]).max() <= 1 + 1e-6
    assert abs(p["noise"].std() - 0.1) < 0.001
    p = Augment(crop=0.5, crop_largest=2.5, outline=0.3).draw(n, 3, 4, 4, generator())
    area = p["crop_width"] * p["crop_height"]
    assert area.min() >= 0.5 - 1e-6 and area.max() <= 2.5 + 1e-5 and abs(area.mean() - 1.5) < 0.02
    inside = p["crop_width"] <= 1
    end = p["crop_left"] + p["crop_width"]
    assert p["crop_left"][inside].min() >= 0 and end[inside].max() <= 1 + 1e-6
    assert p["crop_left"][~inside].max() <= 1e-6 and end[~inside].min() >= 1 - 1e-6          # all of the picture is in view
    assert abs((p["fade"] >= 0).float().mean() - 0.3) < 0.015 and abs(p["fade"][p["fade"] >= 0].mean() - 0.5) < 0.02


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="name: got 'digit'.*did you mean 'digits'"):
        Augment.named("digit")
    with pytest.raises(ValueError, match="flip: got 2, takes a number from 0 to 1"):
        Augment(flip=2)
    with pytest.raises(ValueError, match="knob: got 'colours'.*did you mean 'colour'"):
        Augment(colours=1)
    augment, images = Augment(flip=0.5), pictures()
    with pytest.raises(ValueError, match=r"images: got torch.int64 .*takes uint8 or float \[n, C, H, W\]"):
        augment(images.long(), generator())
    with pytest.raises(ValueError, match="images: got"):
        augment.apply(images[0], {})
    with pytest.raises(ValueError, match="images: got"):
        augment(images[0], generator())
    with pytest.raises(ValueError, match="parameters: got 'flip' for 4 views, takes one for each of the 6"):
        augment.apply(images, augment.draw(4, 3, 9, 12, generator()))


def test_every_knob_has_a_sentence_of_help():
    for knob in Augment().knobs.values():
        assert knob.help.endswith(".") and len(knob.help) > 20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_sees_the_same_views():
    augment, images = Augment(**EVERYTHING), pictures(n=64, height=32, width=32)
    torch.testing.assert_close(augment(images.cuda(), generator()).cpu(), augment(images, generator()),
                               atol=1e-4, rtol=0)


# --- masks --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ratio, hidden", [(0, 0), (0.75, 12), (1, 16), (0.4, 6)])
def test_mask_hides_the_same_number_everywhere(ratio, hidden):
    mask = random_mask(200, 16, ratio, generator())
    assert mask.shape == (200, 16) and mask.dtype == torch.bool
    assert (mask.sum(1) == hidden).all()
    assert torch.equal(mask, random_mask(200, 16, ratio, generator()))
    if 0 < hidden < 16:
        assert len(mask.unique(dim=0)) > 150


def test_mask_hides_each_patch_equally_often():
    share = random_mask(4000, 16, 0.75, generator()).float().mean(0)
    assert (share - 0.75).abs().max() < 0.03


def test_mask_refuses_a_ratio_above_one():
    with pytest.raises(ValueError, match="ratio: got 1.5, takes a number from 0 to 1"):
        random_mask(2, 16, 1.5, generator())
