"""Test pictures spoiled on purpose, by severity: what a model has learned, asked under worse light.

    blurred = corrupted(digits.test.images, "blur", severity=3)

Plain versions of four of the corruptions of Hendrycks and Dietterich 2019, arXiv:1903.12261, for small pictures. The
training views (`sslab.views`) are random and mild; these are fixed, and grow until little is left.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from sslab._inputs import takes
from sslab._names import choose
from sslab.evaluation.features import features
from sslab.modes import by_mode
from sslab.objectives import Supervised

CORRUPTIONS = ("noise", "blur", "contrast", "occlusion")
SEVERITIES = range(6)                                                # 0 leaves a picture as it is
NOISE, BLUR, CONTRAST, OCCLUSION = 0.1, 0.5, 0.17, 0.12              # a step of severity: std of 1; pixels; share lost; share of a side
GREY = 128                                                           # of the square


@takes(seed=">= 0")
def corrupted(images: Tensor, kind: str, severity: int, seed: int = 0) -> Tensor:
    """Pictures with one thing spoiled, the same way on every call.

    noise: Gaussian, its deviation 0.1 a step on the scale from 0 to 1; cut to what a picture can hold.
    blur: Gaussian, its deviation 0.5 pixels a step; the weights sum to 1 at the border too.
    contrast: 17 % a step of the distance to the picture's own mean is taken away; colours share that mean.
    occlusion: a grey square, its side 12 % a step of the picture's, somewhere in it.

    Args:
        images: uint8 [N, C, H, W].
        kind: one of CORRUPTIONS.
        severity: 0 to 5; 0 changes nothing.
        seed: of the noise and of the places of the squares: the same pictures are spoiled alike for every model.
    Returns:
        uint8 [N, C, H, W], a new tensor.
    Raises:
        ValueError: not pictures, no such kind, or a severity that is not a whole number from 0 to 5.
    Source:
        Hendrycks and Dietterich 2019, arXiv:1903.12261, for the idea of severities; the strengths are ours.
    """
    choose(kind, CORRUPTIONS, "kind")
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise ValueError(f"images: got {images.dtype} {list(images.shape)}, takes uint8 [N, C, H, W]")
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise ValueError(f"severity: got {severity!r}, takes a whole number from 0 to {SEVERITIES[-1]}")
    if severity == 0 or not len(images):
        return images.clone()
    generator = torch.Generator().manual_seed(1000 * seed + 10 * CORRUPTIONS.index(kind) + severity)
    if kind == "occlusion":
        return _occluded(images, OCCLUSION * severity, generator)
    x = images.float()
    if kind == "noise":
        x = x + 255 * NOISE * severity * torch.randn(x.shape, generator=generator).to(x.device)
    elif kind == "blur":
        down, across = (_gaussian(side, BLUR * severity).to(x) for side in x.shape[-2:])          # [H, H], [W, W]
        x = down @ x @ across.T
    else:
        mean = x.mean(dim=(1, 2, 3), keepdim=True)                   # [N, 1, 1, 1]
        x = mean + (1 - CONTRAST * severity) * (x - mean)
    return x.round().clamp(0, 255).to(torch.uint8)


def _gaussian(side: int, deviation: float) -> Tensor:
    """A matrix [side, side] that blurs a line."""
    place = torch.arange(side, dtype=torch.float64)
    weight = torch.exp(-(place[:, None] - place).square() / (2 * deviation**2))
    return weight / weight.sum(dim=1, keepdim=True)


def _occluded(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A square of that share of the smaller side, anywhere inside the picture."""
    n, _, height, width = images.shape
    side = max(1, round(share * min(height, width)))
    u = torch.rand(2, n, generator=generator)
    top, left = (u[0] * (height - side + 1)).long(), (u[1] * (width - side + 1)).long()           # [N] each
    rows = torch.arange(height) - top[:, None]                       # [N, H]
    columns = torch.arange(width) - left[:, None]                    # [N, W]
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None]     # [N, H, W]
    return images.masked_fill(inside[:, None].to(images.device), GREY)


@torch.no_grad()
def robustness(model: Supervised | Callable[[Tensor], Tensor], split, kinds: Sequence[str] = CORRUPTIONS,
               severities: Sequence[int] = (0, 1, 3, 5), images: int | None = None) -> dict[str, dict[int, float]]:
    """Accuracy of a trained classifier on spoiled pictures: kind -> {severity: share that is right}.

    Args:
        model: with an encoder and a head; or a function from images [N, C, H, W] to scores [N, classes].
        split: of a dataset, such as `dataset.test`.
        images: how many of them, the first ones; all of them if None (a hundred in smoke mode).
    """
    limit = by_mode(100, images)
    pictures, labels = split.images[:limit], split.labels[:limit]

    def right(kind: str, severity: int) -> float:
        spoiled = corrupted(pictures, kind, severity)
        if isinstance(model, Supervised):
            scores = model.head(features(model.encoder, spoiled).to(model.head.weight.device))
        else:
            scores = model(spoiled)                                  # [N, classes]
        return float((scores.argmax(dim=1).cpu() == labels).float().mean())

    clean = right(kinds[0], 0) if 0 in severities else 0.0           # the same for all kinds
    return {kind: {severity: right(kind, severity) if severity else clean for severity in severities} for kind in kinds}


@takes()
def corruption_error(errors: Mapping[str, Mapping[int, float]], baseline: Mapping[str, Mapping[int, float]]) -> float:
    """Errors under corruption relative to a baseline's: 1 is as bad, below 1 is better.

    For each kind the sum of the errors over the severities, over the baseline's; then the mean over the kinds, so that a kind
    that is hard for everybody weighs no more than the others.

    Args:
        errors, baseline: kind -> {severity: share that is wrong}, of the same kinds and severities.
    Raises:
        ValueError: other kinds or severities, none, or a baseline without any error of a kind.
    Source:
        Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.3, as a share.
    """
    for name, table in (("errors", errors), ("baseline", baseline)):
        if odd := [row for row in table.values() if not isinstance(row, Mapping)]:
            raise TypeError(f"{name}: got {odd[0]!r} under a kind, takes {{severity: share that is wrong}}")
    shape = {kind: sorted(row) for kind, row in errors.items()}
    if not errors or shape != {kind: sorted(row) for kind, row in baseline.items()}:
        raise ValueError(f"baseline: got {({kind: sorted(row) for kind, row in baseline.items()})}, takes what errors has: {shape}")
    if flawless := [kind for kind, row in baseline.items() if not sum(row.values()) > 0]:
        raise ValueError(f"baseline: got no error under {flawless[0]!r}, takes one that makes some")
    return sum(sum(errors[kind].values()) / sum(baseline[kind].values()) for kind in errors) / len(errors)
