"""What is tried by hand on a trained objective: one picture at a time, and an answer at once."""

import base64
import copy
import io
import threading
from typing import Any

import torch
from torch import Tensor

from sslab.datasets.base import as_floats
from sslab.lab.bridge import as_bytes
from sslab.lab.run import running
from sslab.training import release_threads


class Toy:
    """Pictures, a model and something to change. A subclass says what: `chosen`, `_choose`, `_answer`, `_panes`.

    The model is a copy of the objective, in eval mode: what is trained later does not change it, and trying it does
    not disturb a training that is under way.

    Args:
        objective: has what `needs` lists.
        images: uint8, or floats in [0, 1], [N, C, H, W].
    Raises:
        ValueError: something is missing, or these are no images.
    """

    needs: tuple[tuple[str, str], ...] = ()                          # attributes, and what to say of each
    presses: tuple[str, ...] = ("next",)                             # methods that are buttons

    def __init__(self, objective, images: Tensor) -> None:
        for name, call in self.needs:
            if not hasattr(objective, name):
                raise ValueError(f"objective: got {type(objective).__name__}, takes one with {call}")
        self.images = _checked(images)                             # [N, C, H, W]
        self.index = 0                                               # of the picture that is shown
        self.status = ""
        self._model = copy.deepcopy(objective).eval()
        self._device = next((parameter.device for parameter in self._model.parameters()), torch.device("cpu"))
        self._widget = None
        self._lock = threading.RLock()                               # messages come in a thread of their own

    def next(self) -> None:
        """The next picture; after the last one the first."""
        self.index = (self.index + 1) % len(self.images)

    @property
    def chosen(self) -> Any:
        """What a person has set, in a form that travels."""
        raise NotImplementedError

    def _choose(self, chosen: Any) -> None:
        """Set it. Raises ValueError where it is nonsense; nothing is changed then."""
        raise NotImplementedError

    def _answer(self) -> str:
        """Ask the model, and say in a sentence or two what came out."""
        raise NotImplementedError

    def _panes(self) -> dict[str, Tensor]:
        """The pictures that are shown, [C, H, W] each, by their titles."""
        raise NotImplementedError

    # ---- towards the front end

    @property
    def shown(self) -> dict[str, Any]:
        """All that the front end draws."""
        panes = self._panes()
        pictures = as_bytes(torch.stack(list(panes.values())))       # [P, H, W, C]
        return {"toy": type(self).__name__, "titles": list(panes), "shape": list(pictures.shape[1:]), "status": self.status,
                "pictures": [each.tobytes() for each in pictures]}

    def receive(self, message: Any) -> None:
        """Do what a view asks for. An error is shown there: there is no cell to show it in."""
        try:
            with self._lock:
                if "chosen" in message and message["chosen"] != self.chosen:
                    self._choose(message["chosen"])
                    self._refresh()
                elif message.get("press") in self.presses:
                    getattr(self, message["press"])()
        except Exception as error:                                   # noqa: BLE001
            self.status = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            self._tell()

    def _refresh(self) -> None:
        with self._lock, torch.no_grad():
            self.status = self._answer()
            if running():                                            # a lab trains: leave it the cores
                release_threads()
        self._tell()

    def _tell(self) -> None:
        if self._widget is not None:
            self._widget.tell()

    def __repr__(self) -> str:
        return f"Picture {self.index + 1} of {len(self.images)}. {self.status}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        """The widget where anywidget is installed, a picture, a sentence."""
        data = {"text/plain": repr(self), "image/png": base64.b64encode(self.still()).decode()}
        if self._widget is None:
            try:
                from sslab.lab.widget import ToyView
            except ImportError:                                      # no anywidget
                return data
            self._widget = ToyView(self)
        shown = self._widget._repr_mimebundle_()
        return {**(shown[0] if isinstance(shown, tuple) else shown or {}), **data}

    def still(self) -> bytes:
        """What is shown now, as a PNG."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        panes = self._panes()
        figure = Figure(figsize=(2.4 * len(panes), 2.9), dpi=90, layout="constrained")
        FigureCanvasAgg(figure)                                      # no pyplot: no global state, any thread
        figure.suptitle(repr(self), fontsize=8, wrap=True)
        for axes, (title, image) in zip(figure.subplots(1, len(panes), squeeze=False)[0], panes.items(), strict=True):
            axes.imshow(image.expand(3, -1, -1).permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.set_title(title, fontsize=9)
            axes.set_axis_off()
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()


def _checked(images: Any) -> Tensor:
    fits = isinstance(images, Tensor) and images.ndim == 4 and len(images) and images.shape[1] in (1, 3)
    if not fits or not (images.dtype == torch.uint8 or images.is_floating_point()):
        got = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"images: got {got}, takes uint8, or floats in [0, 1], [N, 1 or 3, H, W], N at least 1")
    return as_floats(images.detach()).float().clamp(0, 1).cpu()
