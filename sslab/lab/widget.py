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
    summary = traitlets.Unicode("").tag(sync=True)                   # for a front end that finds no kernel

    def __init__(self, lab) -> None:
        super().__init__(summary=repr(lab))
        self.bridge = Bridge(lab, self.send)
        self.on_msg(lambda widget, content, buffers: self.bridge.receive(content))

    def tell(self) -> None:
        self.bridge.tell()
