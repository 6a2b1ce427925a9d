"""One training run in a daemon thread. It knows nothing of the Lab that started it, so either may end first."""

import atexit
import functools
import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch

from sslab.lab.watch import Watcher
from sslab.training import release_threads, train

FLUSH = 0.1                                                        # seconds between two reads of the losses
SLEPT = 10                                                         # times the usual is the longest a step counts as
_alive: "weakref.WeakSet[Run]" = weakref.WeakSet()


class Run:
    """Iterates `sslab.train` in a thread and writes down what happens.

    `state` is "ready", "running", "paused", "finished", "stopped" or "failed"; `rows` the history, one dict a
    step; `error` what ended it early, if anything did.
    """

    def __init__(self, objective, dataset, options: dict[str, Any], watcher: Watcher, notify: Callable[[], None],
                 ended: Callable[[], None] = lambda: None):
        self.objective, self.dataset, self.options = objective, dataset, options
        self.watcher, self.notify, self._ended = watcher, notify, ended
        self.state, self.error = "ready", None
        self.rows: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []                    # of knobs: step, name, old, new
        self.defaults = objective.values()                         # of the knobs, before anybody turned them
        self.levels: dict[str, float] = {}                         # lines for the loss plot
        self.total: int | None = options.get("steps")
        self.seconds = 0.0                                         # of training, without what watching took
        self.pace: float | None = None                             # seconds a step takes, watching included, of late
        self._stepped: float | None = None
        self._knobs: dict[str, Any] | None = None
        self._pending: list[tuple[dict[str, Any], Any]] = []       # rows whose loss is still on the device
        self._flushed = self._leveled = 0.0                        # when losses, and levels, were read last
        self._go, self._stop = threading.Event(), threading.Event()
        _release_after_cells()
        self.thread = threading.Thread(target=self._train, name="sslab-lab", daemon=True)

    def start(self) -> None:
        """Begin, or go on after a pause."""
        release_threads()                                          # the caller's, which would slow the training thread
        self._go.set()
        if self.state == "ready":
            self.state = "running"
            _alive.add(self)
            self.thread.start()

    def pause(self) -> None:
        """Wait after the step that is running."""
        self._go.clear()

    def end(self) -> None:
        """Ask the thread to end after the step that is running."""
        self._stop.set()
        self._go.set()

    @property
    def pausing(self) -> bool:
        """Has been asked to pause, whether or not the step is over."""
        return self.busy and not self._go.is_set()

    @property
    def left(self) -> float | None:
        """Seconds until the last step at the present pace, None while that is not known."""
        return None if self.pace is None or not self.total else self.pace * (self.total - len(self.rows))

    @property
    def quiet(self) -> bool:
        """No step is running, and none will without `start()`."""
        return self.pausing if self.state == "paused" else not self.busy and not self.thread.is_alive()

    @property
    def busy(self) -> bool:
        return self.state in ("running", "paused")

    def _train(self) -> None:
        steps = None
        try:
            self.watcher.begin(self._stop.is_set)
            self.notify()
            steps = train(self.objective, self.dataset, **self.options)
            for step in steps:
                self._record(step)
                if not self._stop.is_set():
                    self.watcher.look(step, self._pending[-1][0] if self._pending else self.rows[-1])
                    self.notify()
                if not self._go.is_set():
                    self._wait()
                if self._stop.is_set():
                    break
            self._flush()
            if self.rows:
                self._level(time.monotonic())
            if self.rows and not self._stop.is_set():
                self.watcher.finish(self.rows[-1])
            self.state = "stopped" if self._stop.is_set() else "finished"
        except Exception as error:                                 # noqa: BLE001  shown in the widget, raised again by Lab.join
            self.error, self.state = error, "failed"
            if is_out_of_memory(error):                            # its traceback holds the tensors that filled the memory
                self.error = OutOfMemory(self.options.get("batch_size", 512))
                error.__traceback__ = None
        finally:
            if steps is not None:
                steps.close()
            if isinstance(self.error, OutOfMemory):
                steps, self._pending = None, []
                self._make_room()
            self._flush()
            _alive.discard(self)
            self.notify()
            self._ended()

    def _make_room(self) -> None:
        """Let go of what the step that failed had computed."""
        for parameter in self.objective.parameters():
            parameter.grad = None
        self.watcher.forget()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _wait(self) -> None:
        self._flush()
        self._level(time.monotonic())
        self.state, self._stepped = "paused", None
        self.watcher.serve()                                       # what was asked while the last step ran
        self.notify()
        self._go.wait()
        if not self._stop.is_set():
            self.state = "running"

    def _record(self, step) -> None:
        self.total, self.seconds = step.total, step.seconds
        now = time.monotonic()
        if self._stepped is not None:
            took = now - self._stepped
            took = min(took, SLEPT * (self.pace or took))          # a laptop that slept between two steps is not slow
            share = max(0.1, 1 / max(1, len(self.rows)))           # at first the mean: the first step is slow and must not count for long
            self.pace = took if self.pace is None else (1 - share) * self.pace + share * took
        self._stepped = now
        self._note_changes(step)
        if now - self._leveled > FLUSH:
            self._level(now)
        row = {"step": step.index, "loss": None, "terms": {}, "knobs": self._knobs, "std": None,
               "effective_rank": None, "probe": None, "seconds": step.seconds}
        self._pending.append((row, step))
        if step.loss.device.type == "cpu" or now - self._flushed > FLUSH:
            self._flush()

    def _level(self, now: float) -> None:
        """Lines for the plot. Some are means over all targets seen: too much to compute at every step."""
        self.levels, self._leveled = self.objective.reference_levels(), now

    def _note_changes(self, step) -> None:
        before, self._knobs = self._knobs, step.knobs
        if before == step.knobs:
            self._knobs = before                                   # one dict for all the rows it holds for
        elif before is not None:
            self.changes += [{"step": step.index, "name": name, "old": before[name], "new": value}
                             for name, value in step.knobs.items() if before[name] != value]

    def _flush(self) -> None:
        """Read the losses that wait on the device: together, because each read makes the host wait for it."""
        pending, self._pending = self._pending, []
        for row, step in pending:
            row["loss"] = float(step.loss)
            row["terms"] = {name: float(term) for name, term in step.terms.items()}
            self.rows.append(row)
        self._flushed = time.monotonic()


class OutOfMemory(RuntimeError):
    """A step did not fit into the memory. `batch_size` is what to try next: half of it, None where it was 2 or less."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size // 2 if batch_size > 2 else None
        advice = (f"Start trains again with batch_size {self.batch_size}." if self.batch_size
                  else "A smaller batch there is not: take smaller pictures or a smaller encoder.")
        super().__init__(f"out of memory with batch_size {batch_size}. {advice}")


def is_out_of_memory(error: Exception) -> bool:
    """Torch says it in as many ways as there are allocators."""
    said = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (isinstance(error, RuntimeError) and any(
        words in said for words in ("out of memory", "can't allocate memory", "not enough memory")))


@functools.cache
def _release_after_cells() -> None:
    """A click on Start arrives in another thread than the cells ran in: end what they left waiting when they end."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        shell.events.register("post_run_cell", lambda result: release_threads())


def running() -> int:
    """How many runs are training in this process now."""
    return sum(run.state == "running" for run in list(_alive))


@atexit.register
def _end_all() -> None:
    """A thread inside torch while the interpreter is torn down crashes it: end them first."""
    runs = list(_alive)
    for run in runs:
        run.end()
    for run in runs:
        if run.thread is not threading.current_thread():
            run.thread.join(2.0)
