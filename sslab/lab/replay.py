"""Runs that were recorded: a live lab to be scrubbed through, two settings side by side, without training or a kernel.

    replay("simsiam", "digits")                                       # of those that come with the lab
    record(Lab("vicreg", "digits", steps=300), "mine.replay", changes={150: {"covariance": 0}})
    replay("mine.replay").save("mine.html")                           # one page that needs nothing else

A recording holds what the dashboard is sent, at some steps of a run: map, curves, gauges, pictures. The dashboard that draws
it is the live one, without what acts.
"""

import base64
import functools
import html
import io
import json
import threading
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sslab import __version__, datasets
from sslab.datasets import bundled
from sslab.lab.bridge import Bridge, pack, table, thumbnails
from sslab.lab.session import Lab

MAGIC, VERSION = b"sslab replay\n", 1
MOMENTS = 40                                                         # steps of a run that are kept
PICTURED = 4                                                         # every so many of them with the objective's own pictures
ARCHIVE = "replays.zip"                                              # beside the data: objective_dataset_setting.replay
STATIC = Path(__file__).parent / "static"
FINE = 1 / 2048                                                      # of the map's half width: to what a place is rounded
SENT_ONCE = ("objective", "dataset", "title", "columns", "class_names", "of_views", "pictorial", "learns_from", "asks",
             "controls", "total")
SENT = ("steps", "status", "values", "levels", "probe", "map", "gauges", "examples")


@dataclass(frozen=True)
class Recording:
    """One run as it was seen. `header` says what it is, `moments` what was sent at each, `arrays` their numbers."""

    header: dict[str, Any]
    moments: list[dict[str, Any]]
    arrays: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        """What sets it apart: "as it comes", or the knobs that were changed."""
        says = [f"{name.replace('_', ' ')} {_said(value)}" for name, value in self.header["set"].items()]
        says += [f"{change['name'].replace('_', ' ')} {_said(change['new'])} from step {change['step']}"
                 for change in self.header["changes"]]
        return ", ".join(says) or "as it comes"

    def __repr__(self) -> str:
        header = self.header
        return f"Recording({header['title']} on {header['dataset']}, {self.name}, {len(self.moments)} moments of {header['total']:,} steps)"

    def to_bytes(self) -> bytes:
        """The file: a line that says what it is, and everything else compressed."""
        layout, numbers = pack(self.arrays)
        text = json.dumps({"version": VERSION, "header": self.header, "moments": self.moments, "layout": layout}).encode()
        text += b" " * (-(len(text) + 4) % 4)                        # the numbers begin at a multiple of 4
        return MAGIC + zlib.compress(len(text).to_bytes(4, "little") + text + numbers, 9)

    @classmethod
    def from_bytes(cls, content: bytes, named: str = "recording") -> "Recording":
        """What `to_bytes` made.

        Raises:
            ValueError: these bytes are no recording, a damaged one, or one of another version.
        """
        if not content.startswith(MAGIC):
            raise ValueError(f"{named}: got a file that begins with {content[:12]!r}, takes a recording made by sslab.lab.record")
        try:
            plain = zlib.decompress(content[len(MAGIC):])
            length = int.from_bytes(plain[:4], "little")
            said, numbers = json.loads(plain[4:4 + length]), plain[4 + length:]
        except (zlib.error, ValueError) as error:
            raise ValueError(f"{named}: the file is damaged ({error})") from error
        if said.get("version") != VERSION:
            raise ValueError(f"{named}: got version {said.get('version')!r}, takes {VERSION}")
        arrays = {name: np.frombuffer(numbers, kind, int(np.prod(shape)), offset).reshape(shape)
                  for name, (kind, shape, offset) in said["layout"].items()}
        return cls(said["header"], said["moments"], arrays)


def recordings(objective: str | None = None, dataset: str | None = None) -> list[tuple[str, str, str]]:
    """What comes with the lab: (objective, dataset, setting), the run "as it comes" first; of one objective or dataset, if named."""
    if ARCHIVE not in bundled.checksums():
        return []
    with _archive() as archive:
        every = sorted((*name.removesuffix(".replay").split("_"), "")[:3] for name in archive.namelist())
    every = [(one.replace("-", "_"), data, setting) for one, data, setting in every]
    return [found for found in every if objective in (None, found[0]) and dataset in (None, found[1])]


def _archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(bundled.read(ARCHIVE)))


def record(lab: Lab, path, moments: int = MOMENTS, changes: dict[int, dict[str, Any]] | None = None) -> Recording:
    """Train a lab to its end and write down what its dashboard would have shown.

    Args:
        lab: one that learns from images and was not started; its knobs may be set.
        path: the file to write; there must be none yet.
        moments: how many steps are kept, more of them early, where more happens; at least 2.
        changes: step -> the knobs that are turned there, {150: {"temperature": 0.5}}.
    Returns:
        what was written; `replay(path)` shows it.
    Raises:
        ValueError: the lab has started, an argument that it does not take, a run of fewer than 2 steps.
        FileExistsError: there is such a file.
        RuntimeError: the run ended with an error.
    """
    path, changes = Path(path), dict(changes or {})
    if not isinstance(lab, Lab) or lab.state != "ready":
        raise ValueError(f"lab: got {lab!r}, takes a Lab that was not started")
    if lab.objective.learns_from != "images":
        raise ValueError(f"lab: got {lab!r}, which learns from {lab.objective.learns_from}, takes one that learns from images")
    if isinstance(moments, bool) or not isinstance(moments, int) or moments < 2:
        raise ValueError(f"moments: got {moments!r}, takes a whole number from 2")
    total = _length(lab)
    for step, knobs in changes.items():
        if isinstance(step, bool) or not isinstance(step, int) or not 0 < step < total:
            raise ValueError(f"changes: got step {step!r}, takes steps from 1 to {total - 1}")
        for name, value in knobs.items():
            if name not in lab.knobs:
                raise ValueError(f"changes: got the knob {name!r}, takes {', '.join(lab.knobs)}")
            lab.knobs[name].check(value)
    if path.exists():
        raise FileExistsError(f"path: {path} is there already, and would be lost")
    path.parent.mkdir(parents=True, exist_ok=True)
    recorder = _Recorder(lab, planned(total, moments), changes)
    lab.dashboard = recorder
    try:
        lab.start()
        lab.join()
    finally:
        lab.stop()
        lab.dashboard = None
    made = recorder.recording(total)
    path.write_bytes(made.to_bytes())
    return made


def planned(total: int, moments: int) -> list[int]:
    """Steps that are kept, from 0 to total - 1: their distances grow evenly."""
    places = np.linspace(0, 1, min(moments, total)) ** 1.5 * (total - 1)
    return sorted({0, total - 1, *np.round(places).astype(int).tolist()})


def _length(lab: Lab) -> int:
    options = lab.run.options
    total = options.get("steps") or options["epochs"] * (len(lab.dataset.train) // options["batch_size"])
    if total < 2:
        raise ValueError(f"lab: got a run of {total} steps, takes at least 2")
    return total


class _Recorder:
    """Stands where the dashboard stands: is told of every step, and keeps what would be sent at some."""

    still = ""

    def __init__(self, lab: Lab, steps: list[int], changes: dict[int, dict[str, Any]]) -> None:
        self.lab, self.changes, self.kept = lab, changes, []
        self.set = {name: value for name, value in lab.values.items() if value != lab.run.defaults[name]}
        lab.run.watcher.planned = frozenset(steps)
        self._steps = set(steps)
        self._bridge = Bridge(lab, lambda content, buffers: None)
        self._first: dict[str, Any] = {}
        self._labels = None

    def tell(self) -> None:
        run = self.lab.run
        if threading.current_thread() is not run.thread or not run.rows:
            return
        step = run.rows[-1]["step"]
        if step in self._steps and (not self.kept or self.kept[-1][0] < step):
            content, arrays = self._bridge._news(run)
            if not self.kept:
                self._bridge._everything(self._first, arrays, run)
                self._first |= content
                self._labels = arrays["labels"]
            self.kept.append((step, content, arrays))
        if step + 1 in self.changes:
            self.lab.set(**self.changes.pop(step + 1))

    def recording(self, total: int) -> Recording:
        run = self.lab.run
        terms = tuple(dict.fromkeys(name for row in run.rows for name in row["terms"]))
        header = {name: self._first[name] for name in SENT_ONCE if name in self._first}
        header |= {"columns": [*header["columns"][:6], *terms], "total": total, "seed": self.lab.seed, "seconds": run.seconds,
                   "sslab": __version__, "set": self.set, "changes": run.changes, "defaults": run.defaults}
        arrays = {"rows": rough(table(run.rows, terms)), "labels": self._labels}
        moments = []
        for number, (step, content, found) in enumerate(self.kept):
            moment = {name: content[name] for name in SENT if name in content} | {"step": step, "steps": step + 1}
            moment["status"] = self._status(step, total, content)
            arrays[f"points{number}"] = np.round(found["points"] / FINE).astype(np.int16)
            arrays[f"spectrum{number}"] = rough(found["spectrum"])
            if "examples" in moment and (number % PICTURED and number + 1 < len(self.kept)):
                del moment["examples"]
            for index in range(len(moment.get("examples", {"rows": ()})["rows"])):
                arrays[f"examples{number}_{index}"] = found[f"examples{index}"]
            moments.append(moment)
        return Recording(header, moments, arrays)

    def _status(self, step: int, total: int, content: dict[str, Any]) -> str:
        seen = f" {content['gauges']['text']}" if content.get("gauges") else ""
        return f"Recorded: {self.lab.title} on {self.lab.dataset_name}, step {step + 1:,} of {total:,}.{seen}"


def rough(numbers: np.ndarray) -> np.ndarray:
    """float32 with 11 of its 24 bits of precision, to one part in 2,000: they compress."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    return np.where(np.isfinite(numbers), (bits + (1 << 12)) & ~np.uint32((1 << 13) - 1), bits).view(np.float32)


def replay(first, dataset: str | None = None):
    """Show recorded runs: drag through the steps, choose the settings that stand side by side.

    Args:
        first: the name of an objective, whose recordings on `dataset` come with the lab; a Recording; the path of one; or a
            list of such.
        dataset: with the name of an objective: of which data; "digits" if None.
    Returns:
        a Replay: alone in a cell it shows itself, `save(path)` writes it as a page.
    Raises:
        ValueError: nothing of that name was recorded, or a file is no recording.
    """
    if isinstance(first, str) and first in {name for name, _, _ in recordings()}:
        dataset = dataset or "digits"
        found = recordings(first, dataset)
        if not found:
            there = ", ".join(sorted({data for _, data, _ in recordings(first)}))
            raise ValueError(f"dataset: got {dataset!r}, takes one on which {first} was recorded: {there}")
        return Replay([_bundled(*one) for one in found])
    if dataset is not None or (isinstance(first, str) and not Path(first).exists()):
        names = ", ".join(dict.fromkeys(name for name, _, _ in recordings()))
        raise ValueError(f"first: got {first!r}, takes the path of a recording or an objective that was recorded: {names}")
    return Replay([_read(one) for one in (first if isinstance(first, (list, tuple)) else [first])])


def _bundled(objective: str, dataset: str, setting: str) -> Recording:
    name = f"{'_'.join(filter(None, (objective.replace('_', '-'), dataset, setting)))}.replay"
    with _archive() as archive:
        return Recording.from_bytes(archive.read(name), name)


def _read(source) -> Recording:
    return source if isinstance(source, Recording) else Recording.from_bytes(Path(source).read_bytes(), str(source))


class Replay:
    """Recorded runs beside each other. `recordings` are what can be chosen.

    Args:
        recordings: one or more.
    Raises:
        ValueError: there is none, or something else among them.
    """

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self.recordings = list(recordings)
        if not self.recordings or not all(isinstance(one, Recording) for one in self.recordings):
            raise ValueError(f"recordings: got {self.recordings!r}, takes a list of at least one Recording")

    def __repr__(self) -> str:
        return f"Replay({', '.join(map(repr, self.recordings))})"

    def save(self, path) -> Path:
        """Write one HTML page that needs no kernel, no network and no other file.

        Raises:
            FileExistsError: there is such a file.
        """
        path = Path(path)
        with path.open("x", encoding="utf-8") as file:
            file.write(self.page())
        return path

    def page(self) -> str:
        """The HTML of such a page."""
        first = self.recordings[0].header
        title = html.escape(f"{first['title']} on {first['dataset']}: recorded runs")
        data = json.dumps([base64.b64encode(content).decode() for content in self.contents()])
        sprite = json.dumps([base64.b64encode(image).decode() for image in self.sprites()])
        return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
                f"<title>{title}</title><style>{_style()}</style></head>\n<body><main class=\"page\"><h1>{title}</h1>"
                f'<div id="replay"></div></main>\n<script type="module">\n{_script()}\n'
                f'replayPage(document.getElementById("replay"), {data}, {sprite});\n</script></body></html>\n')

    def contents(self) -> list[bytes]:
        """What the front end reads: each recording, compressed."""
        return [one.to_bytes()[len(MAGIC):] for one in self.recordings]

    def sprites(self) -> list[bytes]:
        """For each recording the PNG of the pictures on its map, empty where they are not at hand."""
        return [_sprite(one.header["dataset"], one.header["seed"], len(one.arrays["labels"])) for one in self.recordings]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        try:
            view = _view()(self)
        except ImportError:                                          # no anywidget
            display({"text/plain": repr(self), "text/html": _frame(self.page())}, raw=True)
            return
        shown = view._repr_mimebundle_()
        data = shown[0] if isinstance(shown, tuple) else shown
        display({**data, "text/plain": repr(self)}, raw=True)


@functools.lru_cache(maxsize=8)
def _sprite(dataset: str, seed: int, count: int) -> bytes:
    from sslab.lab.watch import choose_images

    if dataset not in datasets.names(offline=True, kind="images"):
        return b""
    data = datasets.load(dataset)
    chosen, _ = choose_images(data, seed)
    return thumbnails(data.validation.images[chosen[:count]])[0]


def _frame(page: str) -> str:
    return f'<iframe title="Recorded runs" style="width:100%;height:900px;border:0" srcdoc="{html.escape(page)}"></iframe>'


def _script() -> str:
    names = ("keys.js", "plots.js", "map.js", "pictures.js", "readings.js", "dashboard.js", "follow.js", "replay.js")
    parts = [(STATIC / name).read_text("utf-8") for name in names]
    return "\n".join(line for part in parts for line in part.splitlines() if not line.startswith("export default"))


def _style() -> str:
    return "\n".join((STATIC / name).read_text("utf-8") for name in ("base.css", "dashboard.css", "follow.css", "replay.css"))


@functools.cache
def _view():
    import anywidget
    import traitlets

    class ReplayView(anywidget.AnyWidget):
        """Shows recordings; once it has them it needs the kernel no more."""

        _esm = _script() + "\nexport default { render: replayWidget };"
        _css = _style()
        recordings = traitlets.List(traitlets.Bytes()).tag(sync=True)
        sprites = traitlets.List(traitlets.Bytes()).tag(sync=True)

        def __init__(self, shown: Replay) -> None:
            super().__init__(recordings=shown.contents(), sprites=shown.sprites())

    return ReplayView


def _said(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
