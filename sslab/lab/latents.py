"""Sliders for the few numbers that an autoencoder makes of a picture: what does each of them say?

    toy = latents(lab.objective, lab.dataset.validation.images[:20])
    toy                                    # move the sliders
    toy.set(3, 1.5)
    toy.picture()                          # [C, H, W]
"""

import math
from typing import Any

import torch
from torch import Tensor

from sslab.lab.toy import Toy

MOST = 16                                                            # sliders
WIDE = 3.0                                                           # standard deviations from the middle to a slider's end


def latents(objective, images: Tensor) -> "Latents":
    """Move the latents of an autoencoder by hand, and see the picture that they stand for.

    Where the objective has a prior (it can `sample`), sliders go from -3 to 3 and a random code is drawn from
    N(0, 1). Elsewhere each goes three standard deviations to either side of its mean over `images`, and random codes
    are drawn from a normal distribution with that mean and deviation, each latent by itself. Codes beyond that
    lengthen the slider.

    Args:
        objective: has encode(images [N, C, H, W]) -> z [N, L] and decode(z) -> images; a trained `VAE` or
            `Autoencoder`. What is shown is a copy of it, as it is now.
        images: to start from, one at a time: uint8, or floats in [0, 1], [N, C, H, W].
    Returns:
        a widget with a slider for each latent, for the 16 that vary most where there are more. Without a front end:
        .set(latent, value), .code, .random(), .back(), .next(), .picture().
    Raises:
        ValueError: the objective has no latents, or these are no images.
    """
    return Latents(objective, images)


class Latents(Toy):
    """See `latents`."""

    needs = (("encode", "encode(images) -> z [N, L]"), ("decode", "decode(z) -> images"))
    presses = ("random", "back", "next")

    def __init__(self, objective, images: Tensor) -> None:
        super().__init__(objective, images)
        with torch.no_grad():
            self._codes = self._model.encode(self.images.to(self._device)).float().cpu()      # [N, L]
        spread = self._codes.std(dim=0, correction=0)                # [L]
        known = hasattr(self._model, "sample")
        self._middle = torch.zeros_like(spread) if known else self._codes.mean(dim=0)
        self._spread = torch.ones_like(spread) if known else spread.clamp(min=1e-3)
        self._sliders = spread.argsort(descending=True, stable=True)[:MOST].sort().values     # [S], which latents
        reach = WIDE * self._spread
        self._low = torch.minimum(self._middle - reach, self._codes.amin(dim=0))
        self._high = torch.maximum(self._middle + reach, self._codes.amax(dim=0))
        self._generator = torch.Generator().manual_seed(0)
        self.back()

    @property
    def code(self) -> Tensor:
        """The numbers that are decoded, [L]."""
        return self._code.clone()

    def set(self, latent: int, value: float) -> None:
        """Set one latent; the others stay.

        Raises:
            ValueError: no such latent, or not a finite number.
        """
        if isinstance(latent, bool) or not isinstance(latent, int) or not 0 <= latent < len(self._code):
            raise ValueError(f"latent: got {latent!r}, takes a whole number from 0 to {len(self._code) - 1}")
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"value: got {value!r}, takes a finite number")
        self._code[latent] = value
        self._refresh()

    def random(self) -> None:
        """A code drawn at random."""
        self._code = self._middle + self._spread * torch.randn(len(self._middle), generator=self._generator)
        self._origin = "a random code"
        self._start = self._code.clone()
        self._refresh()

    def back(self) -> None:
        """The code of the picture."""
        self._code = self._codes[self.index].clone()
        self._origin = "the code of the picture"
        self._start = self._code.clone()
        self._refresh()

    def next(self) -> None:
        """The next picture and its code; after the last one the first."""
        super().next()
        self.back()

    def picture(self) -> Tensor:
        """The decoded picture, [C, H, W] in [0, 1]."""
        return self._decoded.clone()

    # ---- how it is made

    @property
    def chosen(self) -> list[float]:
        return [round(value, 4) for value in self._code[self._sliders].tolist()]

    def _choose(self, chosen: Any) -> None:
        if (not isinstance(chosen, list) or len(chosen) != len(self._sliders)
                or not all(isinstance(value, int | float) and math.isfinite(value) for value in chosen)):
            raise ValueError(f"code: got {chosen!r}, takes {len(self._sliders)} finite numbers")
        for latent, before, value in zip(self._sliders.tolist(), self.chosen, chosen, strict=True):
            if value != before:                                      # what was not touched keeps all of its digits
                self._code[latent] = value

    @property
    def shown(self) -> dict[str, Any]:
        return {**super().shown, "names": [f"z{latent}" for latent in self._sliders.tolist()],
                "low": self._low[self._sliders].tolist(), "high": self._high[self._sliders].tolist()}

    def _answer(self) -> str:
        self._decoded = self._model.decode(self._code[None].to(self._device))[0].float().clamp(0, 1).cpu()
        moved = int((self._code != self._start).sum())
        return f"Decoded from {self._origin}" + (f", {moved} of {len(self._code)} latents moved by hand." if moved else ".")

    def _panes(self) -> dict[str, Tensor]:
        return {"Decoded": self._decoded, "The picture": self.images[self.index]}
