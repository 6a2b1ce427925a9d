"""Between a lab and its front end: what is sent, how often, and what is done with what comes back.

A frame is sent at most about twice a second, and less often where drawing takes a browser long: the view moves the map
between two frames by itself. A view that draws quickly is asked for an answer with every fourth frame, since each answer
makes JupyterLab repaint the kernel's busy sign; a slow one with every frame. The next frame waits for what was asked, a
second at most. So a slow browser gets fewer frames, and training never waits for one. A view that says "hello" gets everything; after
that, frames carry what is new. Every message is a little JSON and one buffer of numbers.
"""

import io
import math
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sslab.datasets.base import as_floats
from sslab.lab.watch import asks

FASTEST = 0.45                                                       # seconds between two frames, at least
ANSWER = 1.0                                                         # seconds to wait for an acknowledgement
SHARE = 0.025                                                        # of the browser's time that drawing frames may take
QUICK, TRUSTED = 0.05, 4                                             # who draws in so many seconds answers every so many frames
SILENT = 5                                                           # unanswered frames after which nobody is there
TILE, ACROSS = 40, 25                                                # thumbnails: largest side, how many in a row
LARGEST = 64                                                         # side of one of the objective's own pictures
COLUMNS = ("step", "loss", "std", "effective_rank", "probe", "seconds")


class Gate:
    """May a frame be sent now? `views` are the ones that answer; one that does not is left out until it does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.views: dict[str, int] = {}                              # view -> last frame it acknowledged
        self.sent, self._when, self._unanswered = 0, -math.inf, 0
        self.asked = 0                                               # the last frame that wants an answer
        self.cost = 0.0                                              # seconds a view takes to draw a frame

    def is_open(self, urgent: bool = False) -> bool:
        waited = self._clock() - self._when
        if not self.views and (self.sent == 0 or self._unanswered >= SILENT):
            return False
        if self.views and all(seen >= self.asked for seen in self.views.values()):
            return urgent or waited >= min(max(FASTEST, self.cost / SHARE), ANSWER)
        return waited >= ANSWER

    def next(self) -> int:
        """The number of the frame that is sent now; it wants an answer if it is `asked`."""
        self.views = {view: seen for view, seen in self.views.items() if seen >= self.asked}
        self._unanswered = 0 if self.views else self._unanswered + 1
        self.sent, self._when = self.sent + 1, self._clock()
        if not self.views or not 0 < self.cost <= QUICK or self.sent - self.asked >= TRUSTED:
            self.asked = self.sent
        return self.sent

    def answered(self, view: str, number: int, cost: float = 0.0) -> None:
        self.views[view] = max(self.views.get(view, 0), min(number, self.sent))
        self._unanswered = 0
        self.cost = max(0.9 * self.cost, cost)                       # of the slowest view


class Bridge:
    """Sends what is new in a lab, and hands on what a person does in the front end.

    Args:
        lab: the Lab that is shown.
        send: called with (content, buffers), from any thread.
    """

    def __init__(self, lab, send: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self.lab, self.send, self.gate = lab, send, Gate()
        self._lock = threading.Lock()                                # one frame at a time, in order
        self._run = self._dataset = None                             # what the views know
        self._rows = self._changes = 0
        self._state, self._terms, self._layout = "", (), None
        self._picture = self._gauges = self._examples = self._readings = None
        self._notice, self._waiting = "", False

    # ---- to the front end

    def tell(self) -> None:
        """Something is new. Sends a frame if one may be sent; else the next step or acknowledgement does."""
        self._waiting = True
        self._pump()

    def _pump(self) -> None:
        run = self.lab.run
        run.watcher.watched = bool(self.gate.views)
        urgent = run.state != "running" or run is not self._run or run.state != self._state or bool(self._notice)
        with self._lock:
            if self._waiting and self.gate.is_open(urgent):
                self._send(full=run is not self._run)

    def _send(self, full: bool) -> None:
        run, self._waiting = self.lab.run, False
        terms = tuple(dict.fromkeys(name for row in run.rows[self._rows:] for name in row["terms"]
                                    if name not in self._terms))
        full = full or bool(terms)
        if full:
            self._rows = self._changes = 0
            self._picture = self._gauges = self._layout = self._examples = self._readings = None
            self._terms = tuple(dict.fromkeys(name for row in run.rows for name in row["terms"]))
        content, arrays = self._news(run)
        if full:
            self._everything(content, arrays, run)
        content.update(kind="state" if full else "frame", number=self.gate.next())
        content["answer"] = self.gate.asked == content["number"]
        self._run, self._state, self._notice = run, run.state, ""
        content["layout_of_buffer"], buffer = pack(arrays)
        self.send(content, [buffer])

    def _news(self, run) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        lab, watcher = self.lab, run.watcher
        first, count = max(0, self._rows - 1), len(run.rows)         # the last row may have been completed since
        content = {"state": "pausing" if run.pausing and run.state == "running" else run.state, "status": lab.status,
                   "steps": count, "total": run.total, "pace": run.pace, "left": run.left, "values": lab.values,
                   "levels": run.levels, "controls": lab.controls, "probe": watcher.probe, "from": first,
                   "changes": run.changes[self._changes:], "notice": self._notice}
        arrays = {"rows": table(run.rows[first:count], self._terms)}
        self._rows, self._changes = count, self._changes + len(content["changes"])
        if watcher.picture is not self._picture:
            self._picture = picture = watcher.picture
            content["map"] = {"step": picture.step, "explained": picture.explained}
            arrays["points"] = picture.points.numpy()
        if watcher.gauges is not self._gauges:
            self._gauges = gauges = watcher.gauges
            content["gauges"] = {"std": gauges.std, "rank": gauges.effective_rank, "dimensions": gauges.dimensions,
                                 "kind": gauges.kind, "text": gauges.text}
            arrays["spectrum"] = gauges.spectrum.numpy()
        if watcher.examples is not self._examples:
            self._examples = examples = watcher.examples
            content["examples"] = {"step": examples.step, "rows": list(examples.rows)}
            arrays |= {f"examples{index}": as_bytes(images) for index, images in enumerate(examples.rows.values())}
        if watcher.readings is not self._readings:
            self._readings = readings = watcher.readings
            content["readings"] = {"step": readings.step, "rows": [
                {"name": name, **{key: value for key, value in vars(reading).items() if key != "images"}}
                for name, reading in readings.rows.items()]}
            arrays |= {f"found{index}": as_bytes(as_floats(reading.images)) for index, reading in
                       enumerate(readings.rows.values()) if getattr(reading, "found", ())}
        if lab.layout is not self._layout:
            self._layout = layout = lab.layout
            content["umap"] = {"progress": layout.progress, "step": layout.step, "error": layout.error}
            if layout.points is not None:
                arrays["umap"] = layout.points.numpy()
        return content, arrays

    def _everything(self, content, arrays, run) -> None:
        lab, data = self.lab, run.dataset
        of_views = list(run.objective.view_knobs)
        content.update(
            objective=lab.objective_name, dataset=lab.dataset_name, objectives=lab.objective_names(),
            datasets=lab.dataset_names(), title=run.objective.title, columns=[*COLUMNS, *self._terms],
            class_names=list(data.class_names), of_views=of_views, pictorial=run.watcher.pictorial,
            knobs=[{"name": knob.name, "kind": knob.kind, "default": run.defaults[knob.name], "low": knob.low, "high": knob.high,
                    "log": knob.log, "integer": knob.integer, "options": knob.options, "help": knob.help}
                   for knob in run.objective.knobs.values()],
            ghosts=[{name: ghost[name] for name in ("title", "dataset", "changed")} for ghost in lab.ghosts])
        question = lab.question
        content.update(learns_from=run.watcher.kind, asks=asks(run.objective), question=question and asdict(question))
        arrays["labels"] = run.watcher.labels.numpy().astype(np.int32)
        for index, ghost in enumerate(lab.ghosts):
            arrays[f"ghost{index}"] = table(ghost["history"], ())
            if ghost["spectrum"] is not None:
                arrays[f"ghost_spectrum{index}"] = ghost["spectrum"].numpy()
        if self._dataset is not data:
            self._dataset = data
            if (texts := run.watcher.texts()) is not None:
                content["texts"] = texts
            if run.watcher.kind == "text":
                return
            sheet, tile = thumbnails(run.watcher.inputs)
            content["sprite"] = {"tile": tile, "across": ACROSS}
            arrays["sprite"] = np.frombuffer(sheet, dtype=np.uint8)

    # ---- from the front end

    def receive(self, message: Any) -> None:
        """Do what a view asks for. An error goes back to it as a notice: there is no cell to show it in."""
        try:
            self._obey(message if isinstance(message, dict) else {})
        except Exception as error:                                   # noqa: BLE001
            self._notice = f"{error}" if isinstance(error, (ValueError, RuntimeError)) else repr(error)
            self.tell()
        self._pump()

    def _obey(self, message: dict[str, Any]) -> None:
        kind, view = message.get("kind"), str(message.get("view", ""))
        if kind == "hello":
            with self._lock:
                self._dataset = None                                 # it knows nothing: send the pictures, too
                self.gate.answered(view, self.gate.sent)
                self._send(full=True)
        elif kind == "ack":
            with self._lock:
                self.gate.answered(view, int(message.get("number", 0)), float(message.get("cost", 0)))
        elif kind == "bye":
            with self._lock:
                self.gate.views.pop(view, None)
        elif kind == "set":
            self.lab.set(**message.get("values", {}))
        elif kind == "swap":
            self.lab.swap(message.get("objective"), message.get("dataset"))
        elif kind == "ask":
            self.lab.ask(message.get("text"), message.get("temperature"))
        elif kind in ("start", "pause", "stop", "reset", "umap", "map"):
            getattr(self.lab, kind)()


def table(rows: list[dict[str, Any]], terms: tuple[str, ...]) -> np.ndarray:
    """Rows of the history as numbers: float32 [len(rows), COLUMNS and terms], NaN where nothing was measured."""
    numbers = [[row[name] for name in COLUMNS] + [row["terms"].get(name) for name in terms] for row in rows]
    return np.array(numbers, dtype=np.float32).reshape(len(rows), len(COLUMNS) + len(terms))


def pack(arrays: dict[str, np.ndarray]) -> tuple[dict[str, list], bytes]:
    """Arrays -> one buffer, and name -> [dtype, shape, offset in bytes]; every array starts at a multiple of 4."""
    layout, parts, offset = {}, [], 0
    for name, array in arrays.items():
        array = np.ascontiguousarray(array)
        layout[name] = [array.dtype.name, list(array.shape), offset]
        padding = -array.nbytes % 4
        parts += [array.tobytes(), b"\0" * padding]
        offset += array.nbytes + padding
    return layout, b"".join(parts)


def as_bytes(images: Tensor) -> np.ndarray:
    """Pictures [N, C, H, W] in [0, 1] -> uint8 [N, H, W, C], large ones made smaller: what the front end paints."""
    height, width = images.shape[2:]
    if (longest := max(height, width)) > LARGEST:
        size = [max(1, round(side * LARGEST / longest)) for side in (height, width)]
        images = F.interpolate(images, size, mode="area")
    return (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def thumbnails(images) -> tuple[bytes, int]:
    """Images uint8 [N, C, H, W] -> one PNG with ACROSS of them in a row, and the side of a tile in pixels."""
    from PIL import Image

    if max(images.shape[2:]) > TILE:
        images = F.interpolate(images.float(), (TILE, TILE), mode="area").round().byte()
    count, _, height, width = images.shape
    side = max(height, width)
    rows = math.ceil(count / ACROSS)
    tiles = np.zeros((rows * ACROSS, side, side, 3), dtype=np.uint8)
    tiles[:count, :height, :width] = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    sheet = tiles.reshape(rows, ACROSS, side, side, 3).swapaxes(1, 2).reshape(rows * side, ACROSS * side, 3)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    return file.getvalue(), side
