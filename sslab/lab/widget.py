"""The widgets: the dashboard shows a Lab, a toy view what is tried by hand. What they look like is in static/."""

from pathlib import Path

import anywidget
import traitlets

from sslab.lab.bridge import Bridge

STATIC = Path(__file__).parent / "static"


def _joined(*names: str) -> str:
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)


class Dashboard(anywidget.AnyWidget):
    """Shows one lab. Everything but the code travels as custom messages: nothing is synchronised behind our back."""

    _esm = _joined("keys.js", "plots.js", "map.js", "pictures.js", "readings.js", "dashboard.js")
    _css = _joined("base.css", "dashboard.css")
    still = traitlets.Unicode("").tag(sync=True)                     # class of the still picture that a view hides

    def __init__(self, lab, still: str = "") -> None:
        super().__init__(still=still)
        self.bridge = Bridge(lab, self.send)
        self.on_msg(lambda widget, content, buffers: self.bridge.receive(content))

    def tell(self) -> None:
        self.bridge.tell()


class ToyView(anywidget.AnyWidget):
    """Shows one toy: `chosen` is what a hand sets, and the kernel, too; `shown` what the kernel answers.

    Both are synchronised, so a slider on its way sends its latest value when the kernel is ready for it, a page that
    is loaded again has all of it, and two views show the same.
    """

    _esm = _joined("keys.js", "pictures.js", "toys.js")
    _css = _joined("base.css", "toys.css")
    chosen = traitlets.Any().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)

    def __init__(self, toy) -> None:
        super().__init__(chosen=toy.chosen, shown=toy.shown)
        self.toy = toy
        self.observe(lambda change: toy.receive({"chosen": change["new"]}), "chosen")
        self.on_msg(lambda widget, content, buffers: toy.receive(content))

    def tell(self) -> None:
        with self.hold_sync():
            self.chosen, self.shown = self.toy.chosen, self.toy.shown
