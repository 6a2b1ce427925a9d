"""A picture to hide parts of, and a masked model that fills them in.

    filling = fill(lab.objective, lab.dataset.validation.images[:20])
    filling                                # click patches, or drag over them
    filling.hide([".......", "..###..", "..###..", "..###..", ".......", ".......", "......."])
    filling.picture()                      # [C, H, W]
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sslab.lab.toy import Toy
from sslab.views.masks import random_mask

HIDDEN, SEEN = "#", "."
GREY = 0.5                                                           # where nothing is known


def fill(objective, images: Tensor) -> "Filling":
    """Hide patches of a picture by hand, and see what a masked model fills in.

    Args:
        objective: has `grid` (patches a side) and fill(images [N, C, H, W], mask bool [N, T]) -> images [N, C, H, W];
            a trained `MAE`. What is shown is a copy of it, as it is now.
        images: to try it on, one at a time: uint8, or floats in [0, 1], [N, C, H, W].
    Returns:
        a widget, with a random 75 % hidden to begin with. Without a front end: .hide(patches), .random(share),
        .clear(), .next(), .mask, .picture().
    Raises:
        ValueError: the objective cannot fill in, or these are no images.
    """
    return Filling(objective, images)


class Filling(Toy):
    """See `fill`."""

    needs = (("fill", "fill(images, mask) -> images"), ("grid", "grid, the patches a side"))
    presses = ("random", "clear", "next")

    def __init__(self, objective, images: Tensor) -> None:
        super().__init__(objective, images)
        self.grid = int(self._model.grid)
        self._generator = torch.Generator().manual_seed(0)
        self._filled = self.images[0]                                # [C, H, W]
        self.random()

    @property
    def mask(self) -> Tensor:
        """bool [T], row by row: True where a patch is hidden."""
        return self._mask.clone()

    def hide(self, patches: Sequence[Any] | Tensor) -> None:
        """Hide these patches and no others.

        Args:
            patches: `grid` rows of `grid`: strings, "#" for hidden and "." for seen, or booleans; or booleans [T].
        Raises:
            ValueError: not as many patches as the picture has, or something else in them.
        """
        self._mask = self._read(patches)
        self._refresh()

    def random(self, share: float = 0.75) -> None:
        """Hide a random share of the patches; each time others.

        Raises:
            ValueError: share outside of 0 to 1.
        """
        self._mask = random_mask(1, self.grid**2, share, self._generator)[0]
        self._refresh()

    def clear(self) -> None:
        """Hide nothing."""
        self._mask = torch.zeros(self.grid**2, dtype=torch.bool)
        self._refresh()

    def next(self) -> None:
        """The next picture, with the same patches hidden; after the last one the first."""
        super().next()
        self._refresh()

    def picture(self) -> Tensor:
        """The picture with what the model filled in, [C, H, W] in [0, 1]."""
        return self._filled.clone()

    # ---- how it is made

    @property
    def chosen(self) -> str:
        return "".join(HIDDEN if hidden else SEEN for hidden in self._mask.tolist())

    def _choose(self, chosen: Any) -> None:
        self._mask = self._read(chosen if isinstance(chosen, str) else "")

    @property
    def shown(self) -> dict[str, Any]:
        return {**super().shown, "grid": self.grid}

    def _read(self, patches: Sequence[Any] | Tensor) -> Tensor:
        rows = [row.tolist() if hasattr(row, "tolist") else row for row in patches]
        flat = [one for row in rows for one in (row if isinstance(row, str | list | tuple) else [row])]
        if len(flat) != self.grid**2 or not all(one in (HIDDEN, SEEN) or one in (True, False) for one in flat):
            raise ValueError(f"patches: got {len(flat)}, takes {self.grid} rows of {self.grid}, each patch {HIDDEN!r} or "
                             f"True (hidden) or {SEEN!r} or False (seen)")
        return torch.tensor([one == HIDDEN or (not isinstance(one, str) and bool(one)) for one in flat])

    def _answer(self) -> str:
        image, count = self.images[self.index], int(self._mask.sum())
        if count == 0:
            self._filled = image
            return "Nothing is hidden, so there is nothing to fill in: click a patch."
        if count == len(self._mask):
            self._filled = torch.full_like(image, GREY)
            return "All of it is hidden, so there is nothing to go by: reveal a patch."
        filled = self._model.fill(image[None].to(self._device), self._mask[None].to(self._device))
        self._filled = filled[0].float().clamp(0, 1).cpu()
        hidden = self._pixels()                                      # [H, W]
        flat = image[:, ~hidden].mean(dim=1, keepdim=True)           # [C, 1], the mean of what is seen
        error = (self._filled - image)[:, hidden].square().mean()
        return (f"{count} of {len(self._mask)} patches hidden. Mean squared error there: {error:.3f}; with the mean colour of "
                f"what is seen instead: {(flat - image[:, hidden]).square().mean():.3f}.")

    def _pixels(self) -> Tensor:
        """The mask, pixel by pixel [H, W]."""
        height, width = self.images.shape[2:]
        y, x = torch.arange(height) * self.grid // height, torch.arange(width) * self.grid // width
        return self._mask.view(self.grid, self.grid)[y[:, None], x]

    def _panes(self) -> dict[str, Tensor]:
        image = self.images[self.index]
        return {"What the model sees": torch.where(self._pixels(), torch.tensor(GREY), image),
                "What it fills in": self._filled, "What was there": image}
