"""The dashboard: one anywidget that shows a Lab. What it looks like is in static/, what it says in bridge.py."""

from pathlib import Path

import anywidget
import traitlets

from sslab.lab.bridge import Bridge

STATIC = Path(__file__).parent / "static"


class Dashboard(anywidget.AnyWidget):
    """Shows one lab. Everything but the code travels as custom messages: nothing is synchronised behind our back."""

    _esm = "\n".join((STATIC / name).read_text("utf-8") for name in ("plots.js", "map.js", "dashboard.js"))
    _css = (STATIC / "dashboard.css").read_text("utf-8")
    still = traitlets.Unicode("").tag(sync=True)                     # class of the still picture that a view hides

    def __init__(self, lab, still: str = "") -> None:
        super().__init__(still=still)
        self.bridge = Bridge(lab, self.send)
        self.on_msg(lambda widget, content, buffers: self.bridge.receive(content))

    def tell(self) -> None:
        self.bridge.tell()
