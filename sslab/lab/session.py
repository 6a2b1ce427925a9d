"""The live lab without its front end: the same object is driven from a script, a test or the dashboard.

    lab = Lab("simclr", "digits")
    lab.start()
    lab.set(temperature=0.1)               # takes effect at the next step
    lab.join()
    lab.history[-1]["loss"]

    lab = Lab("bert", "wordnet")           # a language model says what it has learned so far
    lab.ask("the cat sat on the [MASK]")
    lab.readings["your text"].words

    lab = Lab("clip", "emoji-pairs")       # a model of pictures and words says which pictures fit a phrase
    lab.ask("a red heart")
    lab.readings["your phrase"].found
"""

import copy
import threading
import weakref
from typing import Any

from torch import Tensor

from sslab import datasets, encoders, objectives, runs
from sslab._names import choose
from sslab.knobs import Knob
from sslab.lab.pairs import Finding
from sslab.lab.projection import Layout, lay_out
from sslab.lab.run import Run, running
from sslab.lab.text import QUESTIONS, Question, Reading
from sslab.lab.watch import Watcher, as_pictures, asks, kind_of
from sslab.training import recipe, release_threads

KINDS = ("images", "text", "pairs")                                  # what there is to learn from
PATIENCE = 1.0                                                       # seconds that stop() waits for the running step
SETTLED = 10                                                         # steps before the time left is told
GHOSTS = 3                                                           # earlier runs that are kept


class Lab:
    """A whole experiment: train in the background, turn knobs meanwhile, look at what forms or collapses.

    Alone in a notebook cell it shows the dashboard; everything the dashboard does is also a method here.

    Args:
        objective: a name from `sslab.objectives.names()`, or an Objective of your own.
        dataset: a name from `sslab.datasets.names()`, or a Dataset, TextDataset or PairDataset of your own. What learns
            from text takes texts, what learns from images takes images, what learns from pairs takes pairs of both.
        encoder: a name from `sslab.encoders.names()`; the objective's own, or "conv", if None. An Objective of
            your own brings its own.
        seed: of the weights, the batches and the images that are watched.
        train_options: passed to `sslab.train`; what is left out is `sslab.training.recipe`'s.
    Raises:
        ValueError: no such objective, dataset or encoder, or an objective and a dataset that do not fit.
    """

    def __init__(self, objective="simclr", dataset="digits", *, encoder: str | None = None, seed: int = 0,
                 **train_options: Any) -> None:
        self.seed, self.train_options = seed, train_options
        self._encoder = None if encoder is None else choose(encoder, encoders.names(), "encoder")
        self._own_objective = None if isinstance(objective, str) else copy.deepcopy(objective)
        self._own_dataset = None if isinstance(dataset, str) else dataset
        if isinstance(objective, str):
            choose(objective, objectives.names(), "objective")
        if isinstance(dataset, str) and dataset.startswith(("text:", "pairs:")):         # read, and a tokeniser trained, once
            self._own_dataset = datasets.load(dataset)
        self.objective_name = objective if isinstance(objective, str) else objective.title
        self.dataset_name = dataset if isinstance(dataset, str) else dataset.name
        self.ghosts: list[dict[str, Any]] = []
        self._controls: dict[Any, dict[str, float]] = {}
        self._questions = {kind: Question(text) for kind, text in QUESTIONS.items()}         # for the runs to come, too
        self._wanted: dict[str, Any] = {}                            # knobs that somebody set, for the runs to come
        self.layout: Layout | None = None                            # the last UMAP
        self._lock = threading.RLock()
        self._finalizer = None
        self.dashboard = None
        self._make()

    @staticmethod
    def follow(path, share: float = 0.05) -> "Lab":
        """The dashboard of a run of `sslab train`, which trains elsewhere: `Lab.follow("runs/x")`. Also headless: `history`.

        Args:
            path: the run's folder, on a disk that both can read.
            share: of the time, for what needs the weights (map, probe): they are of the last checkpoint. 0: none of it.
        Raises:
            ValueError: the folder holds no run, or share is not from 0 to 1.
        """
        from sslab.lab.follow import Following

        return Following(path, share)

    # ---- what a person does

    def set(self, **knobs: Any) -> None:
        """Change knobs, all of them or none; they take effect at the next step and stay for the runs to come.

        Raises:
            ValueError: no such knob, or a value outside of what it takes.
        """
        self.objective.set(**knobs)
        self._wanted = {**self._wanted, **knobs}                     # replaced, as other threads read it
        self._tell()

    def start(self) -> None:
        """Train, or go on after a pause. After a run that ended, begin a new one with fresh weights.

        Raises:
            RuntimeError: it is training already.
        """
        with self._lock:
            if self.run.state == "running" and not self.run.pausing:
                raise RuntimeError(f"Already training ({self._progress()}): pause, stop or reset it first.")
            if not self.run.busy and self.run.state != "ready":
                if getattr(self.run.error, "batch_size", None):      # it did not fit into the memory: as it proposes
                    self.train_options = {**self.train_options, "batch_size": self.run.error.batch_size}
                self.reset()
            self.run.start()
        self._tell()

    def pause(self) -> None:
        """Wait after the step that is running; `start()` goes on."""
        self.run.pause()
        self._tell()

    def stop(self) -> None:
        """End the run. Returns within a second; a longer step ends on its own, and its result is thrown away."""
        with self._lock:
            self._end()
        self._tell()

    def reset(self) -> None:
        """Fresh weights, same knobs. The curves of the last run stay as a ghost."""
        with self._lock:
            self._end()
            self._keep_ghost()
            self._make()
        self._tell()

    def swap(self, objective: str | None = None, dataset: str | None = None) -> None:
        """Another objective or dataset; encoder architecture, knobs of the views and ghosts stay.

        Raises:
            ValueError: no such objective or dataset; nothing is changed then.
        """
        if objective is not None:
            choose(objective, self.objective_names(), "objective")
        if dataset is not None:
            choose(dataset, self.dataset_names(), "dataset")
        with self._lock:
            before = self.objective_name, self.dataset_name
            self._end()
            self._keep_ghost()
            self.objective_name, self.dataset_name = objective or before[0], dataset or before[1]
            try:
                self._make()
            except Exception:
                self.objective_name, self.dataset_name = before
                self._make()
                raise
        self._tell()

    def ask(self, text: str | None = None, temperature: float | None = None) -> None:
        """Ask for more than the held-out text or phrase: the answer is in `readings`, soon while it trains, else at once.

        Args:
            text: one with [MASK] once for BERT and RoBERTa; a beginning for GPT; for CLIP and SigLIP a phrase to find
                pictures for. None: as before.
            temperature: of how GPT goes on, from 0 (the likeliest token, always) to 5; None: as before.
        Raises:
            ValueError: a text or temperature that it does not take; nothing is changed then.
            RuntimeError: the objective guesses no words and finds no pictures.
        """
        with self._lock:
            kind = asks(self.objective)
            if kind is None:
                raise RuntimeError(f"{self.title} guesses no words: there is nothing to ask it.")
            question = self._questions[kind].changed(kind, text, temperature)
            self._questions = {**self._questions, kind: question}
            reader = self.run.watcher.reader
            reader.question, reader.asked = question, True
            self._serve()
        self._tell()

    def map(self) -> None:
        """Draw the map of this moment: at the next step while it trains, else at once. For texts no map moves by itself."""
        with self._lock:
            self.run.watcher.map_asked = True
            self._serve()
        self._tell()

    def umap(self) -> None:
        """Lay the map of this moment out with UMAP, in a thread of its own; `layout` says how far it is.

        Raises:
            RuntimeError: there is no map yet, or UMAP is at work already.
        """
        picture = self.run.watcher.picture
        if picture is None:
            raise RuntimeError("There is no map yet: start the training first.")
        if self.layout is not None and self.layout.progress < 1 and not self.layout.error:
            raise RuntimeError("UMAP is at work already.")
        me = weakref.ref(self)

        def show(layout: Layout) -> None:
            if (lab := me()) is not None:
                lab.layout = layout
                lab._tell()

        lay_out(picture, self.seed, show)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the run ends, at most `timeout` seconds; True if it did.

        Raises:
            RuntimeError: the run ended with an error; the error is its cause.
        """
        run = self.run
        if run.thread.ident is not None:
            run.thread.join(timeout)
        if run.error is not None:
            raise RuntimeError(f"Training ended with {type(run.error).__name__}: {run.error}") from run.error
        return not run.thread.is_alive()

    # ---- what a person reads

    @property
    def objective(self):
        """The objective that trains; `lab.objective.encoder` is what is learned."""
        return self.run.objective

    @property
    def dataset(self):
        return self.run.dataset

    @property
    def state(self) -> str:
        """"ready", "running", "paused", "finished", "stopped" or "failed"."""
        return self.run.state

    @property
    def error(self) -> Exception | None:
        """What ended the run early, if anything did."""
        return self.run.error

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dict a step: step, loss, terms, knobs (the values it used), std, effective_rank, probe, seconds.

        std is the features' standard deviation times sqrt(D), of what the loss saw: 1 spread evenly, 0 collapsed.
        std, effective_rank and probe (accuracy with 10 labels a class) are None at steps that were not measured.
        """
        return list(self.run.rows)

    @property
    def controls(self) -> dict[str, float]:
        """The probe's accuracy without pretraining: chance, raw pixels (of texts: bag of words), random encoder."""
        return dict(self.run.watcher.controls)

    @property
    def pictures(self) -> dict[str, Tensor]:
        """What the objective makes of a few validation images, as it was seen last: row by row, name -> [N, C, H, W].

        Of pairs: the held-out drawings that fit each phrase of `readings` best, the best first.
        Floats in [0, 1]. {} before the first, and where the objective has nothing to show.
        """
        examples, found = self.run.watcher.examples, self.readings.items()
        rows = {} if examples is None else dict(examples.rows)
        return rows | {name: as_pictures(name, finding.images) for name, finding in found if getattr(finding, "found", ())}

    @property
    def readings(self) -> dict[str, Reading | Finding]:
        """What a language model said last: of a "held-out text" that is always the same, and of "your text" (see `ask`).

        Of pairs what was found: for a "held-out phrase" that is always the same, the name of a thing that no training pair
        shows, and for "your phrase". {} before the first, and for images.
        """
        readings = self.run.watcher.readings
        return {} if readings is None else dict(readings.rows)

    @property
    def question(self) -> Question | None:
        """What is asked now: text and temperature. None where there is nothing to ask."""
        return self._questions.get(asks(self.objective))

    @property
    def knobs(self) -> dict[str, Knob]:
        """What can be set, as it is declared."""
        return self.objective.knobs

    @property
    def values(self) -> dict[str, Any]:
        """The knobs as they were last set."""
        return {**self.objective.values(), **{k: v for k, v in self._wanted.items() if k in self.knobs}}

    @property
    def status(self) -> str:
        """One plain sentence or two: how far it is, and what the gauges say."""
        run, gauges = self.run, self.run.watcher.gauges
        seen = f" {gauges.text}" if gauges else ""
        others = running() - (run.state == "running")
        crowd = " Another lab is training too: both are slower." if others and run.state == "running" else ""
        where = f"{self.title} on {self.dataset_name}"
        if run.state == "failed":
            return f"Ended by an error at {self._progress()}: {type(run.error).__name__}: {run.error}"
        if run.state == "ready":
            return f"Ready: {where}. Press Start." if not self.ghosts else f"Ready again: {where}. Press Start."
        if run.state == "running" and not run.rows:
            return "Measuring the controls and getting ready." + crowd
        if run.state == "running":
            left = f", {1 / run.pace:.1f} steps a second" if run.pace else ""
            left += f", {_duration(run.left)} left" if left and len(run.rows) > SETTLED else ""
            return f"Training {where}: {self._progress()}{left}.{seen}{crowd}"
        if run.state == "finished":
            probe = run.watcher.probe
            reached = f" Probe {100 * probe:.1f} %." if probe is not None else ""
            return f"Finished {where}: {len(run.rows)} steps in {_duration(run.seconds)}.{reached}{seen}"
        return f"{run.state.capitalize()} at {self._progress()}.{seen}"

    @property
    def title(self) -> str:
        return self.objective.title

    def objective_names(self) -> list[str]:
        own = [] if self._own_objective is None else [self._own_objective.title]
        return own + [name for name in objectives.names(self.objective.learns_from) if name not in own]

    def dataset_names(self) -> list[str]:
        own = [self.dataset_name] if self._own_dataset is None else [self._own_dataset.name]
        kind = self.objective.learns_from
        return own + [name for name in datasets.names(offline=True, kind=kind) if name not in own]         # a click fetches nothing

    def __repr__(self) -> str:
        return f"Lab({self.objective_name!r}, {self.dataset_name!r}): {self.status}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any] | tuple[dict, dict]:
        from sslab.lab.display import bundle
        return bundle(self)

    def _ipython_display_(self) -> None:
        from sslab.lab.display import show
        show(self)                                                   # widgets and matplotlib load when they are shown

    # ---- how it is made

    def _make(self) -> None:
        """A fresh run: ready, with new weights, the knobs as they were set."""
        dataset = (self._own_dataset if self._own_dataset is not None and self.dataset_name == self._own_dataset.name
                   else datasets.load(self.dataset_name))
        objective = self._make_objective(dataset)
        _check_fit(objective, dataset, self.dataset_name)
        knobs, defaults = objective.knobs, objective.values()        # views have presets, so not the knobs' own defaults
        objective.set(**{name: value for name, value in self._wanted.items() if name in knobs})
        options = {"seed": self.seed, **self._recipe(dataset), **self.train_options}
        key = (self.dataset_name, type(objective.encoder).__name__, getattr(objective.encoder, "name", ""),
               str(getattr(objective.encoder, "options", "")))
        watcher = Watcher(objective, dataset, self.seed, self._controls.setdefault(key, {}),
                          self._questions.get(asks(objective)))
        if self._finalizer is not None:
            self._finalizer.detach()
        me = weakref.ref(self)
        self.run = Run(objective, dataset, options, watcher, lambda: (lab := me()) and lab._tell(),
                       lambda: (lab := me()) and lab._ended())
        self.run.defaults = defaults
        self._finalizer = weakref.finalize(self, self.run.end)      # nobody holds the lab any more: end its thread

    def _make_objective(self, dataset):
        own = self._own_objective
        if own is not None and self.objective_name == own.title:
            return copy.deepcopy(own)
        takes = next(kind for kind in KINDS if self.objective_name in objectives.names(kind))
        if (kind := kind_of(dataset)) != takes:
            raise ValueError(_misfit(self.objective_name, takes, self.dataset_name, kind))
        return runs.make_objective(self.objective_name, dataset, self._encoder, self.seed)

    def _recipe(self, dataset) -> dict[str, Any]:
        name = self.objective_name
        kind = kind_of(dataset)
        if kind != "images" and name not in objectives.names(kind):  # one's own learns as its like does
            name = "clip" if kind == "pairs" else "gpt" if self._own_objective.guesses == "next" else "bert"
        options = recipe(name, self.dataset_name, len(dataset.train))
        if "epochs" in self.train_options:
            options.pop("steps", None)
        return options

    def _end(self) -> None:
        run = self.run
        if run.busy:
            run.end()
            if run.thread is not threading.current_thread():
                run.thread.join(PATIENCE)
            if run.busy:                                             # a long step: it ends without us
                run.state = "stopped"

    def _serve(self) -> None:
        """Answer what waits, where no thread of a run will do it. Holds the lock, so that none starts meanwhile."""
        run = self.run
        if not run.busy and run.thread.ident is not None:
            run.thread.join(PATIENCE)                                # it may still be ending
        if run.quiet:
            run.watcher.serve()
            release_threads()                                        # the caller's, as in Run.start

    def _keep_ghost(self) -> None:
        run = self.run
        if not run.rows:
            return
        gauges = run.watcher.gauges
        changed = {name: value for name, value in run.rows[-1]["knobs"].items() if value != run.defaults[name]}
        self.ghosts = [*self.ghosts, {
            "objective": self.objective_name, "dataset": self.dataset_name, "title": run.objective.title,
            "knobs": run.rows[-1]["knobs"], "changed": changed, "history": list(run.rows),
            "spectrum": None if gauges is None else gauges.spectrum}][-GHOSTS:]

    def _progress(self) -> str:
        run = self.run
        return f"step {len(run.rows):,}" + (f" of {run.total:,}" if run.total else "")

    def _tell(self) -> None:
        """Something is new: whoever shows this lab may send it. Called from any thread, never waits."""
        if self.dashboard is not None:
            self.dashboard.tell()

    def _ended(self) -> None:
        """The run is over, and its thread does this last."""
        from sslab.lab.display import refresh
        refresh(self)


def _misfit(objective: str, takes: str, dataset: str, kind: str) -> str:
    those = ", ".join(datasets.names(offline=True, kind=takes))
    return f"dataset: got {dataset!r}, which is {kind}; {objective} learns from {takes}, such as {those}"


def _check_fit(objective, dataset, name: str) -> None:
    """Refuse a dataset that the objective, or its encoder, cannot read."""
    if (kind := kind_of(dataset)) != objective.learns_from:
        raise ValueError(_misfit(objective.title, objective.learns_from, name, kind))
    if not len(dataset.train):
        raise ValueError(f"dataset: got {name!r}, which has no training part: it is there to test on")
    reader, called = (objective.encoder, "encoder") if kind == "text" else (getattr(objective, "text", None), "text encoder")
    for size in ("vocabulary", "context") if kind != "images" else ():
        reads = getattr(reader, size, None)
        if reads is not None and reads < getattr(dataset, size):
            raise ValueError(f"objective: got {objective.title} whose {called} has {size} {reads:,}, "
                             f"{name} takes {getattr(dataset, size):,} or more")


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60} s"
