"""Random views of a batch of images, every sample with its own parameters.

A view is made in two steps. `draw` makes the random parameters, without looking at the images; `apply` makes
the views, without a random number. So parameters can be drawn for a whole batch and shared out between
processes, and a test can compute each view a second time by hand.

All that moves pixels along an axis (crop, flip, resize, blur) is a product with one matrix a sample from the
left and one from the right. All that changes colours (brightness, contrast, saturation, hue, greyscale) is
one affine map a sample. Both are batched matrix products, which is why this is fast: benchmarks/README.md.
Where it differs from torchvision: docs/conventions.md, section "Views".
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab._inputs import takes
from sslab._names import choose
from sslab.knobs import Adjustable, number

_PICTURES = {"crop": 0.2, "flip": 0.5, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1,
             "greyscale": 0.2}
PRESETS = {
    "none": {},
    "digits": {"crop": 0.6, "rotation": 15, "brightness": 0.4, "contrast": 0.4, "blur": 0.5, "erase": 0.25},
    "fashion": {"crop": 0.8, "brightness": 0.4, "contrast": 0.4, "solarise": 0.2, "erase": 0.25},      # all shoes point left
    "emoji": {**_PICTURES, "crop": 0.3},
    "shapes": {**_PICTURES, "crop": 0.3},
    "cifar10": _PICTURES,
    "folder": _PICTURES,
}

# One uniform number a sample for each of these, drawn whether the knob is on or not: turning a knob leaves
# all the other choices as they were. New ones go to the end.
_DRAWS = (
    "area", "ratio", "left", "top", "flip", "angle",
    "colour", "brightness", "contrast", "saturation", "hue", "greyscale",
    "blur", "sigma", "solarise", "erase", "erase_area", "erase_ratio", "erase_left", "erase_top",
)
ERASE_AREA = (0.02, 0.33)                                # share of the view that an erased rectangle covers
ERASE_RATIO = 3.3                                        # its longest side over its shortest, at most
BLUR_LOWEST = 0.1                                        # pixels


def _matrix(*rows: tuple[float, float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# YIQ: lightness Y, and a plane (I, Q) of colour, in which saturation is a length and hue an angle.
_YIQ = _matrix((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))
_RGB = torch.linalg.inv(_YIQ)
_LUMA = _YIQ[0]                                          # [3]
_GREY = _RGB @ _matrix((1, 0, 0), (0, 0, 0), (0, 0, 0)) @ _YIQ       # RGB -> the grey of the same lightness
_CHROMA = _RGB @ _matrix((0, 0, 0), (0, 1, 0), (0, 0, 1)) @ _YIQ     # RGB -> what is left: the colour
_TURN = _RGB @ _matrix((0, 0, 0), (0, 0, -1), (0, 1, 0)) @ _YIQ      # RGB -> the colour, a quarter turn on


class Augment(Adjustable):
    """Random views, strengths as knobs; with every knob at its default a view is the image itself.

        augment = Augment(crop=0.3, flip=0.5)            # or Augment.named("fashion")
        views = augment(images, torch.Generator().manual_seed(0))
    """

    crop = number(1, 0.05, 1, help="Smallest share of the area that a crop keeps; 1 is off. "
                                   "Makes the model ignore position and size, and recognise parts.")
    crop_largest = number(1, 0.05, 4, help="Largest share of the area that a crop keeps, where it may keep less than all: below 1 "
                                           "every view is a part; above 1 some are shown smaller, their border carried on.")
    crop_ratio = number(4 / 3, 1, 3, help="How far a crop may be stretched: longer side over shorter.")
    flip = number(0, 0, 1, help="Probability of a mirror image. Makes the model ignore left and right.")
    rotation = number(0, 0, 180, help="Largest turn in degrees, either way. Makes the model ignore tilt.")
    brightness = number(0, 0, 1, help="Light is multiplied by 1 - this to 1 + this. "
                                      "Makes the model ignore how bright a picture is.")
    contrast = number(0, 0, 1, help="Distance from the mean grey is multiplied by 1 - this to 1 + this. "
                                    "Makes the model ignore haze.")
    saturation = number(0, 0, 1, help="Strength of colours is multiplied by 1 - this to 1 + this. "
                                      "Makes the model ignore how colourful a picture is.")
    hue = number(0, 0, 0.5, help="Largest turn round the colour circle; 0.5 is half of it, any colour. "
                                 "Makes the model ignore which colour a thing has.")
    colour = number(0.8, 0, 1, help="Probability that brightness, contrast, saturation, hue change at all.")
    greyscale = number(0, 0, 1, help="Probability of losing all colour. Makes the model look at shape.")
    blur = number(0, 0, 1, help="Probability of a blur. Makes the model ignore fine detail.")
    blur_sigma = number(1, 0.1, 5, help="Strongest blur: the standard deviation of the Gaussian, in pixels.")
    solarise = number(0, 0, 1, help="Probability that all above half brightness is inverted. "
                                    "Makes the model look at edges more than at light and dark.")
    erase = number(0, 0, 1, help="Probability that a black rectangle hides a part. "
                                 "Makes the model use all parts of a thing.")
    noise = number(0, 0, 0.5, help="Standard deviation of noise on each pixel, whose range is 0 to 1. "
                                   "Makes the model ignore single pixels.")

    outline = number(0, 0, 1, help="Probability that edges are inked and the paint fades, by a random share. "
                                   "Makes the model look at shape more than at how a thing is painted.")

    @classmethod
    def named(cls, name: str) -> "Augment":
        """The views that suit a dataset: digits are not mirrored, since a mirrored 2 is no 2.

        Raises:
            ValueError: no such name; the message lists them.
        """
        return cls(**PRESETS[choose(name, PRESETS, "name")])

    def draw(self, n: int, channels: int, height: int, width: int,
             generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the parameters of n views; what is off is not among them.

        Args:
            n: number of views.
            channels, height, width: of the images.
            generator: where the random numbers come from. With one on the CPU the parameters are the same on
                every device, since they are drawn there and then moved.
        Returns:
            name -> tensor [n, ...], on the generator's device. Lengths are shares of the image's side.
        """
        device = generator.device
        uniform = torch.rand(n, len(_DRAWS), generator=generator, device=device).T      # [draws, n]
        u = dict(zip(_DRAWS, uniform))
        p = {}
        if self.crop < 1:
            area = self.crop + (max(self.crop, self.crop_largest) - self.crop) * u["area"]
            p["crop_width"], p["crop_height"] = _sides(area, self.crop_ratio, u["ratio"])
            p["crop_left"] = u["left"] * (1 - p["crop_width"])
            p["crop_top"] = u["top"] * (1 - p["crop_height"])
        if self.flip:
            p["flip"] = u["flip"] < self.flip
        if self.rotation:
            p["angle"] = (2 * u["angle"] - 1) * math.radians(self.rotation)
        jittered = u["colour"] < self.colour
        for name in ("brightness", "contrast", "saturation")[: 3 if channels == 3 else 2]:
            if (strength := getattr(self, name)) and self.colour:
                p[name] = 1 + jittered * strength * (2 * u[name] - 1)
        if channels == 3 and self.hue and self.colour:
            p["hue"] = jittered * (2 * u["hue"] - 1) * (2 * math.pi * self.hue)
        if channels == 3 and self.greyscale:
            p["greyscale"] = u["greyscale"] < self.greyscale
        if self.blur:
            sigma = BLUR_LOWEST + (self.blur_sigma - BLUR_LOWEST) * u["sigma"]
            p["sigma"] = torch.where(u["blur"] < self.blur, sigma, 0)
        if self.solarise:
            p["solarise"] = u["solarise"] < self.solarise
        if self.erase:
            on = u["erase"] < self.erase
            area = ERASE_AREA[0] + (ERASE_AREA[1] - ERASE_AREA[0]) * u["erase_area"]
            across, down = _sides(area, ERASE_RATIO, u["erase_ratio"])
            p["erase_width"], p["erase_height"] = on * across, on * down
            p["erase_left"] = u["erase_left"] * (1 - p["erase_width"])
            p["erase_top"] = u["erase_top"] * (1 - p["erase_height"])
        if self.noise:
            normal = torch.randn(n, channels, height, width, generator=generator, device=device)
            p["noise"] = self.noise * normal
        if self.outline:                                     # drawn apart: without it all else is as it was
            on, fade = torch.rand(n, 2, generator=generator, device=device).T
            p["fade"] = torch.where(on < self.outline, fade, -1)
        return p

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """Make one view of each image; no random number is drawn and no knob is read.

        Args:
            images: [n, C, H, W], uint8, or a float type with values in [0, 1].
            parameters: what `draw` gave for n views of this shape.
        Returns:
            float32 [n, C, H, W] in [0, 1] on the images' device; float64 if the images are.
        Raises:
            ValueError: images of another type or shape, or parameters for another number of views.
        """
        _check(images)
        for name, value in parameters.items():
            if len(value) != len(images):
                raise ValueError(f"parameters: got {name!r} for {len(value)} views, takes one for each "
                                 f"of the {len(images)} images")
        dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
        p = {name: value.to(images.device, dtype if value.is_floating_point() else None, non_blocking=True)
             for name, value in parameters.items()}
        x = images.to(dtype)
        if images.dtype == torch.uint8:
            x.div_(255)
        x = _move(x, p)
        if "fade" in p:
            x = _ink(x, p["fade"])
        if p.keys() & {"brightness", "contrast", "saturation", "hue", "greyscale"}:
            x = _recolour(x, p).clamp_(0, 1)
        if "solarise" in p:
            x = torch.where(p["solarise"][:, None, None, None] & (x >= 0.5), 1 - x, x)
        if "erase_width" in p:
            x = x.masked_fill(_rectangle(p, *x.shape[-2:])[:, None], 0)
        if "noise" in p:
            x = (x + p["noise"]).clamp_(0, 1)
        return x

    @takes()
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw and apply: one view of each image."""
        _check(images)
        return self.apply(images, self.draw(*images.shape, generator))


def _check(images: Tensor) -> None:
    if images.ndim != 4 or not (images.dtype == torch.uint8 or images.is_floating_point()):
        got = f"{images.dtype} {list(images.shape)}"
        raise ValueError(f"images: got {got}, takes uint8 or float [n, C, H, W]")


def _sides(area: Tensor, stretch: float, u: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height [n], as shares, of rectangles of these areas; log(width / height) is uniform.

    One below area 1 fits into the image if its ratio is from area to 1 / area, so that none has to be drawn again; one above
    1 holds the image in the same way.
    """
    widest = area.log().abs().clamp(max=math.log(stretch))
    ratio = torch.exp((2 * u - 1) * widest)
    most = torch.where(area > 1, torch.inf, 1.0)                     # rounding may leave a side just above 1
    return torch.minimum((area * ratio).sqrt(), most), torch.minimum((area / ratio).sqrt(), most)


def _move(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Crop, flip, rotate and blur: [n, C, H, W] -> [n, C, H, W]."""
    rows = columns = None
    if "angle" in p:
        x = _rotate(x, p)
    elif "crop_width" in p or "flip" in p:
        columns = _interpolation(x[0, 0, 0], p.get("crop_left"), p.get("crop_width"), p.get("flip"))
        if "crop_width" in p:
            rows = _interpolation(x[0, 0, :, 0], p["crop_top"], p["crop_height"])
    if "sigma" in p:
        blur_rows, blur_columns = (_gaussian(line, p["sigma"]) for line in (x[0, 0, :, 0], x[0, 0, 0]))
        rows = blur_rows if rows is None else blur_rows @ rows                       # [n, H, H]
        columns = blur_columns if columns is None else blur_columns @ columns        # [n, W, W]
    if columns is not None:
        x = (x.flatten(1, 2) @ columns.transpose(1, 2)).view(x.shape)                # [n, C H, W] @ [n, W, W]
    if rows is not None:
        x = rows[:, None] @ x                                          # [n, 1, H, H] @ [n, C, H, W]
    return x


def _interpolation(line: Tensor, start: Tensor | None, length: Tensor | None,
                   mirror: Tensor | None = None) -> Tensor:
    """Matrices [n, size, size] that stretch a piece of a line [size] over all of it.

    Linear interpolation between pixel centres; beyond the line its outermost pixel is repeated. start and
    length [n] are shares of the line.
    """
    size = len(line)
    index = torch.arange(size, device=line.device, dtype=line.dtype)                 # [size]
    place = (index + 0.5)[None]                                                      # [1, size]
    if mirror is not None:
        place = torch.where(mirror[:, None], size - place, place)                    # [n, size]
    if start is not None:
        place = start[:, None] * size + place * length[:, None]                      # [n, size]
    place = (place - 0.5).clamp(0, size - 1)
    return (place[:, :, None] - index).abs_().neg_().add_(1).relu_()               # 1 - distance, 0 beyond


def _gaussian(line: Tensor, sigma: Tensor) -> Tensor:
    """Matrices [n, size, size] that blur a line; rows sum to 1, also at the border. sigma 0 is no blur."""
    index = torch.arange(len(line), device=line.device, dtype=line.dtype)
    squared = (index[:, None] - index).square()                                      # [size, size]
    sigma = sigma.clamp(min=0.02)                                                    # the identity, exactly
    weight = torch.exp(squared / (-2 * sigma.square())[:, None, None])               # [n, size, size]
    return weight / weight.sum(2, keepdim=True)


def _rotate(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Crop and flip as _interpolation does, then turn about the centre, with one interpolation for all."""
    n, _, height, width = x.shape
    cos, sin, one = p["angle"].cos(), p["angle"].sin(), torch.ones_like(p["angle"])
    across, down, middle_x, middle_y = one, one, 0 * one, 0 * one                    # the image is [-1, 1]
    if "crop_width" in p:
        across, down = p["crop_width"], p["crop_height"]
        middle_x, middle_y = 2 * p["crop_left"] + across - 1, 2 * p["crop_top"] + down - 1
    if "flip" in p:
        across = torch.where(p["flip"], -across, across)
    theta = torch.stack([across * cos, across * sin * (-height / width), middle_x,
                         down * sin * (width / height), down * cos, middle_y], dim=1)
    grid = F.affine_grid(theta.view(n, 2, 3), list(x.shape), align_corners=False)    # [n, H, W, 2]
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _ink(x: Tensor, fade: Tensor) -> Tensor:
    """Black where neighbours differ in lightness, the rest mixed with white by `fade` [n]; -1 leaves a view as it is."""
    grey = (x * _LUMA.to(x)[:, None, None]).sum(1, keepdim=True) if x.shape[1] == 3 else x.mean(1, keepdim=True)
    around = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    edge = F.max_pool2d(around, 3, 1) + F.max_pool2d(-around, 3, 1)                  # [n, 1, H, W]: highest less lowest
    paint = torch.lerp(x, torch.ones_like(x), fade.clamp(min=0)[:, None, None, None])
    return torch.where(fade[:, None, None, None] < 0, x, paint * (1 - (2 * edge).clamp(max=1)))


def _recolour(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Brightness, contrast, saturation, hue and greyscale, in this order, as one affine map a sample.

    The last three keep the lightness, so that contrast's mean grey is known before them.
    """
    one = torch.ones(len(x), device=x.device, dtype=x.dtype)                         # [n]
    brightness, contrast = p.get("brightness", one), p.get("contrast", one)
    flat = x.flatten(2)                                                              # [n, C, H W]
    mean = flat.mean(2)                                                              # [n, C]
    mean = mean @ _LUMA.to(x) if x.shape[1] == 3 else mean.mean(1)                   # [n]
    shift = (brightness * (1 - contrast) * mean)[:, None, None]
    scale = (brightness * contrast)[:, None, None]
    if not p.keys() & {"saturation", "hue", "greyscale"}:
        return torch.addcmul(shift, flat, scale).view(x.shape)
    strength, hue = p.get("saturation", one), p.get("hue", 0 * one)
    if "greyscale" in p:
        strength = torch.where(p["greyscale"], 0, strength)
    grey, chroma, turn = (matrix.to(x) for matrix in (_GREY, _CHROMA, _TURN))        # [3, 3]
    along, around = (strength * hue.cos())[:, None, None], (strength * hue.sin())[:, None, None]
    matrix = scale * (grey + along * chroma + around * turn)                         # [n, 3, 3]
    return torch.baddbmm(shift, matrix, flat).view(x.shape)


def _rectangle(p: dict[str, Tensor], height: int, width: int) -> Tensor:
    """bool [n, H, W]: the pixels whose centres lie in each sample's rectangle."""
    def side(start: Tensor, length: Tensor, size: int) -> Tensor:
        centre = (torch.arange(size, device=start.device, dtype=start.dtype) + 0.5) / size
        return (centre >= start[:, None]) & (centre < (start + length)[:, None])     # [n, size]

    rows = side(p["erase_top"], p["erase_height"], height)
    return rows[:, :, None] & side(p["erase_left"], p["erase_width"], width)[:, None]
