"""A run that trains elsewhere, another process or another machine, seen through its folder.

    lab = Lab.follow("runs/x")             # the dashboard, without anything that would act on the run
    lab.join(60)
    lab.history[-1]["loss"]

Curves, gauges, rates and knobs are read from metrics.jsonl as they are written. The map, the probe and what a model says
need its weights: they are of the last checkpoint, read no oftener than a share of the time pays for.
"""

import copy
import functools
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from sslab import runs
from sslab.lab.session import PATIENCE, Lab, _duration
from sslab.lab.text import QUESTIONS, Question
from sslab.lab.watch import Gauges, Watcher, asks

EVERY = 0.5                                                          # seconds between two looks at the measurements
SHARE = 0.05                                                         # of the time, for what needs the weights
SILENT = 60.0                                                        # seconds without news that are worth a word
RECENT = 20                                                          # rows that the pace is measured on
ENDED = ("finished", "stopped", "failed")
STATIC = Path(__file__).parent / "static"


class CheckpointWatcher(Watcher):
    """Looks at an objective whose weights come from a checkpoint."""

    def prepare(self, stopped) -> None:
        """The controls, once."""
        if not self.controls and len(self._taught):
            self._measure_controls(stopped)

    def read(self, row: dict[str, Any]) -> None:
        """Map and probe, and what the objective says or makes of pictures; the probe goes into the row."""
        self._step = row["step"]
        self._read_probe(row)                                        # with the map, but for pairs
        if self.kind == "text":
            self._read_texts(row["step"])
        elif self.kind == "pairs":
            self._draw_map(row["step"])
        self._show_examples(row["step"])


class Blind:
    """What stands for a watcher while there are no weights to look with."""

    def __init__(self, kind: str = "images") -> None:
        self.kind, self.pictorial, self.watched, self.map_asked = kind, False, False, False
        self.gauges = self.picture = self.examples = self.readings = self.probe = self.reader = None
        self.controls: dict[str, float] = {}
        self.labels, self.inputs = torch.zeros(0, dtype=torch.long), torch.zeros(0, 1, 8, 8, dtype=torch.uint8)

    def texts(self) -> None:
        return None


class Unseen:
    """What stands for the objective while its dataset is not loaded."""

    guesses, learns_from = None, "images"

    def __init__(self, title: str) -> None:
        self.title, self.knobs, self.view_knobs = title, {}, {}


class FollowedRun:
    """What is known of a run, read in a thread of its own; the same attributes as `sslab.lab.run.Run` has."""

    def __init__(self, folder: runs.RunFolder, share: float, notify, ended) -> None:
        self.folder, self.share, self.notify, self._ended = folder, share, notify, ended
        record = folder.read()
        self.asked = folder.asked()
        self.total: int = record["steps"]
        self.state, self.error, self.note = "ready", None, ""
        self.rows: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.knobs: dict[str, Any] = dict(self.asked.knobs)
        self.defaults: dict[str, Any] = {}
        self.levels: dict[str, float] = {}
        self.seconds, self.pace, self.rate = 0.0, None, None
        self.begun_anew = 0                                          # times that the rows were read from the start again
        self.changed: int | None = None                              # the first row that a probe was written into since it was sent
        self.objective, self.dataset = Unseen(self.asked.objective), SimpleNamespace(class_names=(), num_classes=0)
        self.watcher: Blind | CheckpointWatcher = Blind()
        self.blind = "" if share else "No map: share is 0."         # why there is no map, if there is none
        self.seen: int | None = None                                 # steps of the checkpoint that was read last
        self.looking = threading.Lock()                              # the weights, and who uses them
        self._metrics, self._modified = runs.Metrics(folder.metrics), 0
        self._cost, self._looked, self._heard = 0.0, -float("inf"), time.monotonic()
        self._stop, self._looker = threading.Event(), None
        self.thread = threading.Thread(target=self._follow, name="sslab-follow", daemon=True)

    # ---- as Run has it

    busy = property(lambda self: self.state in ("ready", "running"))
    pausing = False
    quiet = True                                                     # nobody but us computes with these weights

    @property
    def steps(self) -> int:
        """Steps that are done, as far as is known."""
        return self.rows[-1]["step"] + 1 if self.rows else 0

    @property
    def left(self) -> float | None:
        return None if self.pace is None else self.pace * (self.total - self.steps)

    @property
    def silent(self) -> float:
        """Seconds without news."""
        return time.monotonic() - self._heard

    def end(self) -> None:
        self._stop.set()

    def serve(self) -> None:
        """Answer what was asked, from the last checkpoint."""
        with self.looking:
            if isinstance(self.watcher, CheckpointWatcher):
                self.watcher.serve()

    # ---- the thread

    def _follow(self) -> None:
        try:
            while True:
                over = self._how_it_stands()                         # before the rows: none can come after the end
                self._read_rows()
                self._look(over is not None)
                if over is not None or self._stop.is_set():
                    self.state = over or "stopped"
                    break
                self.notify()
                self._stop.wait(EVERY)
        except Exception as error:                                   # noqa: BLE001  shown in the widget, raised again by join
            self.error, self.state = error, "failed"
        finally:
            self.notify()
            self._ended()

    def _how_it_stands(self) -> str | None:
        """How the run ended, None while it has not."""
        said = self.folder.state()
        state = said.get("state", "running")
        if state in ENDED:
            self.note = said.get("error", "")
            return state
        self.state = "running"
        if said.get("host") == runs.socket.gethostname() and not self.folder.held():
            if self.folder.state() != said:                          # it ended, or went on, just now
                return None
            self.note = f"its process is gone; it goes on with: sslab train --checkpoint {self.folder.path} --resume"
            return "stopped"
        return None

    def _read_rows(self) -> None:
        new = self._metrics.new()
        if self._metrics.begun_anew:
            self.rows, self.changes, self.begun_anew = [], [], self.begun_anew + 1
        if not new:
            return
        self._heard = time.monotonic()
        for row in new:
            gauges = row.pop("gauges", None)
            row |= {"std": gauges and gauges["std"], "effective_rank": gauges and gauges["effective_rank"], "probe": None}
            before = self.rows[-1]["knobs"] if self.rows else None
            if before == row["knobs"]:
                row["knobs"] = before                                # one dict for all the rows it holds for
            elif before is not None:
                self.changes += [{"step": row["step"], "name": name, "old": before.get(name), "new": value}
                                 for name, value in row["knobs"].items() if before.get(name) != value]
            self.rows.append(row)
            if gauges:
                self.levels = gauges["levels"]
                self.watcher.gauges = Gauges(row["step"], gauges["std"], gauges["effective_rank"], gauges["dimensions"],
                                             torch.tensor(gauges["spectrum"]), gauges["kind"], gauges["text"])
        last, first = self.rows[-1], self.rows[-min(RECENT, len(self.rows))]
        self.knobs, self.seconds, self.rate = last["knobs"], last["seconds"], last["views_per_second"]
        if last["step"] > first["step"] and last["seconds"] > first["seconds"]:
            self.pace = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])

    def _look(self, over: bool) -> None:
        """Read the checkpoint if it is new and the time since the last look pays for it; at the end in any case."""
        if self.blind or not self.rows:
            return
        try:
            modified = self.folder.checkpoint.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if self._looker is not None and self._looker.is_alive():
            if not over:
                return
            self._looker.join()                                      # it may have read an earlier one
        if modified == self._modified or not (over or (time.monotonic() - self._looked) * self.share >= self._cost):
            return
        self._looker = threading.Thread(target=self._use_weights, args=(modified,), name="sslab-follow-map", daemon=True)
        self._looker.start()                                         # curves go on meanwhile
        if over:
            self._looker.join()

    def _use_weights(self, modified: int) -> None:
        start, rows = time.monotonic(), self.rows
        with self.looking:
            try:
                if not isinstance(self.watcher, CheckpointWatcher):
                    self._open()
                self.seen = runs.read_weights(self.objective, self.folder.checkpoint)
                self.watcher.prepare(self._stop.is_set)
                index = max((i for i, row in enumerate(rows) if row["step"] < self.seen), default=0)
                self.watcher.read(rows[index])
            except Exception as error:                               # noqa: BLE001  the curves go on
                self.blind = f"No map: {error}."
                return
        self._modified = modified
        self.changed = index if self.changed is None else min(self.changed, index)
        self._looked = time.monotonic()
        self._cost = self._looked - start
        self.notify()

    def _open(self) -> None:
        """The dataset, and an objective of our own to put weights into."""
        data = self.asked.load_data()
        objective = self.asked.make(data)
        self.defaults = runs.make_objective(self.asked.objective, data, self.asked.encoder).values()
        kind = asks(objective)
        watcher = CheckpointWatcher(objective, data, self.asked.seed, question=Question(QUESTIONS[kind]) if kind else None)
        watcher.gauges = self.watcher.gauges
        self.objective, self.dataset, self.watcher = objective, data, watcher


class Following(Lab):
    """What `Lab.follow` gives: everything that can be read of a Lab, nothing that would act on the run.

    Args:
        path: the run's folder.
        share: of the time, for what needs the weights: map, probe, pictures, answers. 0: none of it.
    Raises:
        ValueError: the folder holds no run, or share is not from 0 to 1.
    """

    def __init__(self, path, share: float = SHARE) -> None:
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ValueError(f"share: got {share!r}, takes a number from 0 to 1")
        self.path = Path(path)
        me = weakref.ref(self)
        self.run = FollowedRun(runs.RunFolder(path), share, lambda: (lab := me()) and lab._tell(),
                               lambda: (lab := me()) and lab._ended())
        asked = self.run.asked
        self.seed, self.objective_name, self.dataset_name = asked.seed, asked.objective, asked.data
        self.ghosts, self.layout, self.dashboard = [], None, None
        self._questions = {kind: Question(text) for kind, text in QUESTIONS.items()}
        self._lock = threading.RLock()
        self._finalizer = weakref.finalize(self, self.run.end)       # nobody holds us any more: end the thread
        self.run.thread.start()

    def _elsewhere(self, *args: Any, **options: Any) -> None:
        """Not from here.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"{self.path} trains in another process: it cannot be changed from here. Ctrl-C there stops it.")

    set = start = pause = reset = swap = _elsewhere

    def stop(self) -> None:
        """End the following; the run goes on."""
        self.run.end()
        self.run.thread.join(PATIENCE)

    def ask(self, text: str | None = None, temperature: float | None = None) -> None:
        """As `Lab.ask`, of the last checkpoint.

        Raises:
            ValueError: a text or temperature that it does not take. RuntimeError: there is nobody to ask, or not yet.
        """
        if not isinstance(self.run.watcher, CheckpointWatcher):
            raise RuntimeError(self.run.blind or "No checkpoint was read yet: ask again when there is a map.")     # noqa: TRY004
        super().ask(text, temperature)

    def _serve(self) -> None:
        self.run.serve()

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dict a line of metrics.jsonl, as `Lab.history`, with learning_rate and views_per_second.

        probe is None but where a checkpoint was read: there it stands in the last row of before that checkpoint.
        """
        return list(self.run.rows)

    @property
    def values(self) -> dict[str, Any]:
        """The knobs as they are set there."""
        return dict(self.run.knobs)

    @property
    def status(self) -> str:
        run, where = self.run, f"{self.title} on {self.dataset_name} in {self.path}"
        gauges = f" {run.watcher.gauges.text}" if run.watcher.gauges else ""
        if run.error is not None:
            return f"Following ended by an error: {type(run.error).__name__}: {run.error}"
        progress = f"step {run.steps:,} of {run.total:,}"
        seen = f" Map and probe: of the checkpoint of step {run.seen:,}." if run.seen else f" {run.blind}" if run.blind else ""
        if run.state in ENDED:
            return f"{run.state.capitalize()} elsewhere: {where}, {progress}.{f' {run.note}.' if run.note else ''}{seen}{gauges}"
        if not run.rows:
            return f"Following {where}: nothing measured yet."
        rate = f", {run.rate:,.0f} views a second" if run.rate else ""
        left = f", {_duration(run.left)} left" if run.left is not None else ""
        silent = f" No news for {_duration(run.silent)}: it may be gone." if run.silent > SILENT else ""
        return f"Following {where}: {progress}{rate}{left}.{silent}{seen}{gauges}"

    def objective_names(self) -> list[str]:
        return [self.objective_name]

    def dataset_names(self) -> list[str]:
        return [self.dataset_name]

    def __repr__(self) -> str:
        return f"Lab.follow({str(self.path)!r}): {self.status}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        self._make_dashboard()
        return super()._repr_mimebundle_(include, exclude)

    def _ipython_display_(self) -> None:
        self._make_dashboard()
        super()._ipython_display_()

    def _make_dashboard(self) -> None:
        if self.dashboard is None:
            try:
                self.dashboard = _view()(self)
            except ImportError:                                      # no anywidget: a picture is shown
                return


@functools.cache
def _view():
    """The widget of a followed run: that of a lab, with what acts taken away."""
    from sslab.lab.bridge import Bridge
    from sslab.lab.widget import Dashboard

    class FollowBridge(Bridge):
        """Rows are every few steps here, and a probe arrives after its row was sent."""

        _watcher, _anew = None, 0

        def _send(self, full: bool) -> None:
            run = self.lab.run
            full = full or run.watcher is not self._watcher or run.begun_anew != self._anew
            self._watcher, self._anew = run.watcher, run.begun_anew
            super()._send(full)

        def _news(self, run):
            if (changed := run.changed) is not None:                 # send again from there
                run.changed, self._rows = None, min(self._rows, changed + 1)
            content, arrays = super()._news(run)
            return {**content, "steps": run.steps}, arrays

        def _everything(self, content, arrays, run) -> None:
            if not isinstance(run.watcher, CheckpointWatcher):
                self._dataset = run.dataset                          # no pictures to send
            silent = copy.copy(run)
            silent.objective = _without_knobs(run.objective)
            super()._everything(content, arrays, silent)

    class FollowDashboard(Dashboard):
        _esm = "\n".join([_patched(Dashboard._esm), (STATIC / "follow.js").read_text("utf-8")])
        _css = "\n".join([Dashboard._css, (STATIC / "follow.css").read_text("utf-8")])

        def __init__(self, lab) -> None:
            super().__init__(lab)
            self.bridge = FollowBridge(lab, self.send)

    return FollowDashboard


def _patched(script: str) -> str:
    """The dashboard's script as a part of ours: it exports nothing."""
    return script.replace("export default { render };", "")


def _without_knobs(objective):
    """What the front end is told of an objective: no knobs."""
    return SimpleNamespace(title=objective.title, knobs={}, view_knobs={}, learns_from=objective.learns_from, guesses=objective.guesses,
                           embed_images=getattr(objective, "embed_images", None), embed_texts=getattr(objective, "embed_texts", None))
