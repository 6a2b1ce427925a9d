"""Classic pretext tasks: hide a fact that every picture has (its upright, its layout, its colours) and ask for it."""

import copy
import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.datasets.base import as_floats
from sslab.encoders import projector
from sslab.knobs import choice, number, switch
from sslab.objectives import across
from sslab.objectives.base import Baseline, Loss, Objective, full_precision, raised
from sslab.views import Augment

TURNS = 4                                                            # of 90 degrees, counter-clockwise
PLACES = 8                                                           # around the middle of a 3 x 3 grid, in reading order
MIDDLE = 4                                                           # of the nine patches
AB = 100.0                                                           # a and b are about this large at most


@takes(images="number [B, C, S, S]")
def four_turns(images: Tensor) -> Tensor:
    """Each picture turned by 0, 90, 180 and 270 degrees, counter-clockwise: [B, C, S, S] -> [B, 4, C, S, S].

    Raises:
        ValueError: the pictures are not square.
    """
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images: got {list(images.shape)}, takes square ones [B, C, S, S]")
    return torch.stack([images.rot90(turn, (2, 3)) for turn in range(TURNS)], dim=1)


class Rotation(Objective):
    """By how many quarter turns was this picture turned? All four of each are asked (Gidaris et al. 2018, arXiv:1803.07728).

    Args:
        hidden: width of the classifier's hidden layer.
    """

    title = "Rotation"
    views_per_image = TURNS
    augmented = False

    upright = switch(True, help="Off: each picture gets a random turn before the task is made of it. Then none has an up any "
                                "more, and nobody can know the answer.")

    def __init__(self, encoder: nn.Module, views: Augment | None = None, hidden: int = 256, **values: Any) -> None:
        super().__init__(encoder, views, **values)
        self.head = projector(encoder.dim, hidden, TURNS)

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor]:
        """Images [B, C, S, S] -> a view of each in four turns, [B, 4, C, S, S]; which one it is, is the answer."""
        turned = four_turns(self.views(batch, generator))
        if not self.upright:
            first = torch.randint(TURNS, (len(batch), 1), generator=generator)
            order = (first + torch.arange(TURNS)) % TURNS            # [B, 4]
            turned = turned[torch.arange(len(batch))[:, None], order.to(turned.device)]
        return (turned,)

    def forward(self, views: tuple[Tensor]) -> Loss:
        h = self.encoder(views[0].flatten(0, 1))                     # [4B, D]
        logits = raised(self.head(h))                                # [4B, 4]
        answers = torch.arange(TURNS, device=h.device).repeat(len(views[0]))
        return Loss(F.cross_entropy(logits, answers), {"accuracy": _accuracy(logits, answers)}, h)

    @torch.no_grad()
    def turns(self, images: Tensor) -> Tensor:
        """How probable each of the four turns is: [B, C, S, S] -> [B, 4]."""
        return self.head(self.encoder(images)).float().softmax(dim=1)

    def reference_levels(self) -> dict[str, float]:
        return {"chance": math.log(TURNS)}

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The pictures turned at random, and turned back by what the network says."""
        rows = torch.arange(len(images), device=images.device)
        turned = four_turns(as_floats(images))[rows, torch.randint(TURNS, (len(images),), generator=generator).to(rows)]
        said = self.turns(turned).argmax(dim=1)
        return {"turned": turned, "turned back": four_turns(turned)[rows, -said % TURNS]}


class Jigsaw(Objective):
    """On which side of the middle patch does this patch lie? (Doersch, Gupta, Efros 2015, arXiv:1505.05192)

    Nine patches, three rows of three, are cut out of each picture, and each of the outer eight is asked. The paper cuts one
    pair of a picture.

    Args:
        patch: side of a patch in pixels; one less than a quarter of the picture's side if None.
        zoom: how many times a patch is enlarged before the encoder sees it.
        hidden: width of the hidden layer of the classifier that sees both patches.
    Raises:
        ValueError: three patches do not fit side by side into a picture.
    """

    title = "Jigsaw"
    views_per_image = 1 + PLACES
    augmented = False

    gap = number(3, 0, 6, integer=True, help="Pixels between two patches, as many as fit. At 0 an edge that runs on from one "
                                             "patch into the next gives the answer away.")
    jitter = number(0, 0, 2, integer=True, help="Each patch is moved by up to this many pixels either way, as many as fit.")
    slide = number(4, 0, 12, integer=True, help="Room, in pixels, in which all nine are moved together, as many as fit. At 0 "
                                                "they always lie in the middle, and a patch can be told by its place alone.")
    compare = switch(True, help="Off: the classifier does not see the middle patch. What it still gets right needs no "
                                "comparison.")

    def __init__(self, encoder: nn.Module, views: Augment | None = None, patch: int | None = None, zoom: int = 1,
                 hidden: int = 256, **values: Any) -> None:
        super().__init__(encoder, views, **values)
        self.size, self.zoom = encoder.shape[1], zoom
        self.patch = self.size // 4 - 1 if patch is None else patch
        if not 1 <= self.patch <= self.size // 3:
            raise ValueError(f"patch: got {self.patch}, takes 1 to {self.size // 3} pixels")
        self.head = projector(2 * encoder.dim, hidden, PLACES)

    def corners(self, count: int, generator: torch.Generator) -> Tensor:
        """Where the patches of `count` pictures begin: int64 [count, 9, 2], row and column of the upper left pixel."""
        room = self.size - 3 * self.patch                            # pixels that no patch covers
        gap = min(self.gap, room // 2)
        jitter = min(self.jitter, (room - 2 * gap) // 2)
        rest = room - 2 * gap - 2 * jitter
        slide = min(self.slide, rest)
        line = torch.arange(3) * (self.patch + gap) + (rest - slide) // 2
        grid = torch.cartesian_prod(line, line)                      # [9, 2], in reading order
        together = torch.randint(slide + 1, (count, 1, 2), generator=generator)
        return grid + together + torch.randint(2 * jitter + 1, (count, 9, 2), generator=generator)

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor]:
        """Images [B, C, S, S] -> nine patches of a view of each, [B, 9, C, P, P], in reading order."""
        images = self.views(batch, generator)
        return (cut_patches(images, self.corners(len(images), generator).to(images.device), self.patch),)

    def forward(self, views: tuple[Tensor]) -> Loss:
        h = self._see(views[0])                                      # [B, 9, D]
        logits = self._say(h).flatten(0, 1)                          # [8B, 8]
        answers = torch.arange(PLACES, device=h.device).repeat(len(h))
        return Loss(F.cross_entropy(logits, answers), {"accuracy": _accuracy(logits, answers)}, h.flatten(0, 1))

    @torch.no_grad()
    def places(self, patches: Tensor) -> Tensor:
        """How probable each of the eight places is, for the outer patches: [B, 9, C, P, P] -> [B, 8, 8]."""
        return self._say(self._see(patches)).softmax(dim=2)

    def _see(self, patches: Tensor) -> Tensor:                       # [B, 9, C, P, P]
        flat = patches.flatten(0, 1)
        if self.zoom != 1:
            flat = F.interpolate(flat, scale_factor=self.zoom, mode="bilinear", align_corners=False)
        return self.encoder(flat).view(*patches.shape[:2], -1)       # [B, 9, D]

    def _say(self, h: Tensor) -> Tensor:
        middle, others = h[:, MIDDLE], h[:, [place for place in range(1 + PLACES) if place != MIDDLE]]
        middle = middle if self.compare else torch.zeros_like(middle)
        pairs = torch.cat([middle[:, None].expand_as(others), others], dim=2)        # [B, 8, 2D]
        return raised(self.head(pairs.flatten(0, 1))).view(len(h), PLACES, PLACES)

    def reference_levels(self) -> dict[str, float]:
        return {"chance": math.log(PLACES)}

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """What the patches leave of the pictures, and each patch at the place where the network puts it."""
        images = as_floats(images)
        corners = self.corners(len(images), generator).to(images.device)
        patches = cut_patches(images, corners, self.patch)
        said = self.places(patches)                                  # [N, 8, 8]
        places = [place for place in range(1 + PLACES) if place != MIDDLE]
        asked, answered = (torch.full_like(images, 0.5) for _ in range(2))
        for row in range(len(images)):
            self._paste(asked[row], patches[row], corners[row])
            order = said[row].amax(dim=1).argsort().tolist()         # the surest last, on top
            put = corners[row][[places[int(said[row, one].argmax())] for one in order]]
            self._paste(answered[row], patches[row][[places[one] for one in order] + [MIDDLE]],
                        torch.cat([put, corners[row][MIDDLE:MIDDLE + 1]]))
        return {"patches": asked, "put together": answered}

    def _paste(self, picture: Tensor, patches: Tensor, corners: Tensor) -> None:
        for patch, (row, column) in zip(patches, corners.tolist(), strict=True):
            picture[:, row:row + self.patch, column:column + self.patch] = patch


@takes(images="number [B, C, H, W]", corners="int [B, N, 2]", patch=">= 1")
def cut_patches(images: Tensor, corners: Tensor, patch: int) -> Tensor:
    """Square patches of each picture: [B, C, H, W] -> [B, N, C, P, P].

    Args:
        corners: int64 [B, N, 2], row and column of each patch's upper left pixel, on the images' device.
        patch: P, side of a patch in pixels.
    """
    span = torch.arange(patch, device=images.device)
    rows, columns = (corners[..., axis, None] + span for axis in (0, 1))             # [B, N, P] each
    one = torch.arange(len(images), device=images.device)[:, None, None, None]
    cut = images.movedim(1, 3)[one, rows[..., None], columns[:, :, None]]            # [B, N, P, P, C]
    return cut.movedim(4, 2)


# sRGB (IEC 61966-2-1) to XYZ, each row divided by its sum: white (the illuminant D65) is (1, 1, 1), and greys have a = b = 0.
_XYZ = torch.tensor([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
                    dtype=torch.float64)
_XYZ = _XYZ / _XYZ.sum(dim=1, keepdim=True)
_RGB = torch.linalg.inv(_XYZ)
_KNEE = 6 / 29                                                       # below its cube the cube root of Lab is a straight line


@takes(images="float [B, 3, ...]")
@full_precision
def rgb_to_lab(images: Tensor) -> Tensor:
    """sRGB in [0, 1] -> CIELAB with white D65, [B, 3, ...] each: L from 0 to 100, a from green to red, b from blue to yellow.

    Source:
        CIE 15:2004, sRGB after IEC 61966-2-1.
    """
    linear = torch.where(images <= 0.04045, images / 12.92, ((images.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,bj...->bi...", _XYZ.to(linear), linear)
    f = torch.where(xyz > _KNEE**3, xyz.clamp(min=_KNEE**3) ** (1 / 3), xyz / (3 * _KNEE**2) + 4 / 29)
    x, y, z = f.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


@takes(lab="float [B, 3, ...]")
@full_precision
def lab_to_rgb(lab: Tensor) -> Tensor:
    """The inverse of `rgb_to_lab`, [B, 3, ...]; what no screen shows is cut off to [0, 1]."""
    light, a, b = lab.unbind(dim=1)
    y = (light + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29))
    linear = torch.einsum("ij,bj...->bi...", _RGB.to(xyz), xyz)
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curved).clamp(0, 1)


@takes(images="float [B, 3, H, W]")
def grey_of(images: Tensor) -> Tensor:
    """The grey picture of the same lightness L: sRGB [B, 3, H, W] in [0, 1], all three channels alike."""
    return _grey(rgb_to_lab(images))


def _grey(lab: Tensor) -> Tensor:
    return lab_to_rgb(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1))[:, :1].expand(-1, 3, -1, -1)


@takes(width=">= 1")
@functools.cache
def colour_bins(width: float = 20.0) -> Tensor:
    """The colours there are to choose from: centres (a, b) of all squares of a grid in which sRGB has a colour, [Q, 2].

    A square's centre is a multiple of `width` in a and b; every sRGB colour belongs to the square it lies in. 20 gives 77,
    10 gives 261 (Zhang et al. have 313 at 10, counted otherwise).
    """
    line = torch.linspace(0, 1, 256, dtype=torch.float64)
    u, v = torch.meshgrid(line, line, indexing="ij")
    faces = [torch.stack(face) for end in (torch.zeros_like(u), torch.ones_like(u))
             for face in ((u, v, end), (u, end, v), (end, u, v))]   # a colour inside has the a and b of one on a face
    ab = rgb_to_lab(torch.stack(faces))[:, 1:].movedim(1, 3).reshape(-1, 2)
    return ((ab / width).round().unique(dim=0) * width).float()


class Colourisation(Objective):
    """Which colours did this grey picture have? (Zhang, Isola, Efros 2016, arXiv:1603.08511)

    Shown is the grey of the same lightness L, in three equal channels, for half of the pictures: the others keep their
    colours, so that the encoder, which is evaluated on coloured pictures, has seen some (`grey`). Asked are a and b of Lab,
    at finer x finer places of each place of `encoder.maps`, from the pixel at its centre.

    With answer "bins" that is a classification. a and b are quantised to squares 20 wide, of which 77 hold colours that a
    screen can show; the target is the square that the colour lies in, where the paper spreads it over the five nearest of
    313. Rare colours weigh more, by 1 / ((1 - mix) p + mix / Q) as in the paper, with p the shares counted in training so
    far, not smoothed, and mix = 1 - `rebalance`. A colour is decoded as the annealed mean: the mean of the squares' centres,
    weighed by the probabilities at temperature 0.38. With answer "mean" this mean, at temperature 1, is regressed onto a
    and b.

    Args:
        width: side of a square in the plane of a and b.
        finer: how many times as many places as the encoder's map has, along a side.
        hidden: width of the hidden layer of the classifier at each place.
    Raises:
        ValueError: the encoder is for pictures without colour, or has no maps.
    """

    title = "Colourisation"
    views_per_image = 1
    augmented = False

    answer = choice("bins", ("bins", "mean"), help="bins: a probability for each colour. mean: one colour, and its "
                                                   "squared error; between red and blue it is safest to say purple.")
    rebalance = number(0.5, 0, 1, help="How much more rare colours weigh, for the answer bins: at 0 all places count "
                                       "alike, at 1 all colours do.")
    grey = number(0.5, 0, 1, help="Share of the pictures whose colours are taken away. At 1, as in the paper, the encoder "
                                  "never sees a colour; at 0 the answer is in the question.")

    def __init__(self, encoder: nn.Module, views: Augment | None = None, width: float = 20.0, finer: int = 2,
                 hidden: int = 128, **values: Any) -> None:
        super().__init__(encoder, views, **values)
        self._mapped()
        channels, size = encoder.shape
        if channels != 3:
            raise ValueError(f"encoder: got one for {channels} channel, takes one for pictures in colour, with 3 channels")
        with torch.no_grad():
            side = copy.deepcopy(encoder).cpu().eval().maps(torch.zeros(1, 3, size, size)).shape[-1]
        self.places = finer * side                                   # along a side
        self.register_buffer("bins", colour_bins(width).clone())     # [Q, 2]
        self.register_buffer("counts", torch.zeros(len(self.bins), dtype=torch.float64))
        self.mean = Baseline(2)
        self.head = nn.Sequential(nn.Conv2d(encoder.dim, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True),
                                  nn.Conv2d(hidden, len(self.bins) * finer**2, 1), nn.PixelShuffle(finer))

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] -> the same, some of them grey, and a and b of the true colours [B, 2, P, P]."""
        images = self.views(batch, generator)
        lab = rgb_to_lab(images)
        shown = _grey(lab)
        if self.grey < 1:
            stays = torch.rand(len(images), generator=generator) >= self.grey
            shown = torch.where(stays.to(images.device)[:, None, None, None], images, shown)
        at = ((torch.arange(self.places, device=lab.device) + 0.5) * lab.shape[-1] / self.places).long()
        return shown, lab[:, 1:, at[:, None], at]

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        shown, ab = views
        maps = self.encoder.maps(shown)                              # [B, D, h, w]
        logits = raised(self.head(maps))                             # [B, Q, P, P]
        bins = self.bin_of(ab)                                       # [B, P, P]
        if self.training:
            self._count(bins, ab)
        coloured = bins != self.bin_of(torch.zeros_like(ab[:1, :, :1, :1]))
        right = logits.argmax(dim=1) == bins
        terms = {"accuracy": right.float().mean(),
                 "accuracy_in_colour": (right & coloured).sum() / coloured.sum().clamp(min=1) * across.weight(coloured.sum())}
        if self.answer == "bins":
            weights = self.weights().to(logits)                      # [Q]
            total = F.cross_entropy(logits, bins, weights) * across.weight(weights[bins].sum())
            return Loss(total, terms, maps.mean((2, 3)))
        said = torch.einsum("bqhw,qc->bchw", logits.softmax(dim=1), self.bins)
        return Loss(((said - ab) / AB).square().mean(), terms, maps.mean((2, 3)))

    def bin_of(self, ab: Tensor) -> Tensor:
        """The nearest bin, [B, 2, ...] -> int64 [B, ...]."""
        return (ab.unsqueeze(1) - self.bins.view(-1, 2, *[1] * (ab.ndim - 2))).square().sum(dim=2).argmin(dim=1)

    @torch.no_grad()
    def _count(self, bins: Tensor, ab: Tensor) -> None:
        new = torch.zeros_like(self.counts)
        self.counts += across.summed(new.index_add_(0, bins.flatten(), torch.ones_like(bins.flatten(), dtype=torch.float64)))
        self.mean.see(ab.movedim(1, 3).reshape(-1, 2) / AB)

    @property
    def shares(self) -> Tensor:
        """How frequent each bin was in training, [Q]; all alike before it began."""
        seen = self.counts.sum()
        return torch.where(seen > 0, self.counts / seen.clamp(min=1), 1 / len(self.counts))

    def weights(self) -> Tensor:
        """What a place of each colour weighs, [Q]; the mean over all places seen is 1."""
        mix = 1 - self.rebalance
        weight = 1 / ((1 - mix) * self.shares + mix / len(self.counts)).clamp(min=1e-6)
        return weight / (self.shares * weight).sum()

    @torch.no_grad()
    def colourise(self, images: Tensor, temperature: float = 0.38) -> Tensor:
        """Colours for pictures, of which only the lightness is looked at: [B, 3, H, W] -> [B, 3, H, W] in [0, 1].

        Args:
            temperature: 1 for the mean of all colours, near 0 for the most probable one; 0.38 is the paper's.
        Raises:
            ValueError: temperature is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"temperature: got {temperature}, takes a number above 0")
        lab = rgb_to_lab(as_floats(images))
        logits = self.head(self.encoder.maps(_grey(lab))).float()
        ab = torch.einsum("bqhw,qc->bchw", (logits / temperature).softmax(dim=1), self.bins)
        ab = F.interpolate(ab, lab.shape[2:], mode="bilinear", align_corners=False)
        return lab_to_rgb(torch.cat([lab[:, :1], ab], dim=1))

    def reference_levels(self) -> dict[str, float]:
        """What a constant answer scores that knows how frequent colours are, and nothing of the picture."""
        if self.answer == "mean":
            return {"mean colour": self.mean.squared_error()}
        return {"frequent colours": float(torch.special.entr(self.shares * self.weights()).sum())}

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The pictures without their colours, with the colours that the network gives them, and as they are."""
        images = as_floats(images)
        temperature = 0.38 if self.answer == "bins" else 1.0
        return {"grey": grey_of(images), "coloured": self.colourise(images, temperature), "truth": images}



def _accuracy(logits: Tensor, answers: Tensor) -> Tensor:
    return (logits.argmax(dim=1) == answers).float().mean()
