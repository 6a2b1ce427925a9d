"""What is looked at while a model trains, and how often: as often as a share of the training time pays for.

The gauges read what the loss saw (`Loss.projection`, else the embedding) in the last training batches. The map and the
online probe read `encoder(x)` of fixed images in eval mode. What an objective makes of pictures it shows itself.
Of a language model the readings are shown in place of the map: what it says. Its map is drawn with each probe, and on demand.
Of pairs the map shows where drawings lie in the space that both share, and the readings say which of them fit a phrase.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sslab import evaluation
from sslab.datasets.base import as_floats, inputs_of
from sslab.datasets.pairs import Pairs, kind_of
from sslab.lab.pairs import SEARCHED, Drawings, Searcher, names
from sslab.lab.projection import SteadyPCA
from sslab.lab.text import Question, Reader, Readings, bag_of_words, how_many, lines
from sslab.modes import by_mode
from sslab.objectives import Objective

SHOWN, TESTED = 600, 1000                                            # validation images: on the map, in the probe
EXAMPLES = 10                                                        # of them, for the objective's own pictures
LABELS = 10                                                          # labelled images a class for the online probe
ALONE = {"gauges": 0.005, "map": 0.01, "probe": 0.01, "examples": 0.005}     # shares of training time: nobody looks,
WATCHED = {"gauges": 0.008, "map": 0.025, "probe": 0.012, "examples": 0.01}  # somebody does; the rest is the browser's
ALONE_TEXT = {"gauges": 0.005, "probe": 0.02, "readings": 0.005}     # of texts: no map that moves, and dearer probes
WATCHED_TEXT = {"gauges": 0.008, "probe": 0.025, "readings": 0.03}
ALONE_PAIRS, WATCHED_PAIRS = {**ALONE, "map": 0.015}, {**WATCHED, "map": 0.035}      # the map's pass is the search's, too
SHARES = {"images": (ALONE, WATCHED), "text": (ALONE_TEXT, WATCHED_TEXT), "pairs": (ALONE_PAIRS, WATCHED_PAIRS)}
FASTEST = 0.1                                                        # seconds between two maps, at least
CALM = 0.5                                                           # and between two rows of pictures: to be looked at
SEEN = 1024                                                          # training images that calibrate the random encoder
SAMPLES = 4                                                          # for each feature, in the gauges: fewer tell no rank
PENALTY = 1e-2                                                       # of the online probe: nothing to choose it with


class Budget:
    """Says when the next look is affordable: a look waits until training has earned what the last one cost."""

    def __init__(self) -> None:
        self.cost = 0.0                                              # seconds, the cheaper of the last two looks
        self._last, self._earned = 0.0, 0.0

    def trained(self, seconds: float) -> None:
        self._earned += seconds

    def affords(self, share: float) -> bool:
        return self._earned * share >= self.cost and share > 0

    @contextmanager
    def look(self):
        start = time.perf_counter()
        yield
        took = time.perf_counter() - start
        self.cost = min(took, self._last) if self._last else took    # one that was held up says little
        self._last, self._earned = took, 0.0


@dataclass(frozen=True)
class Gauges:
    """One reading. std is the mean feature's standard deviation times sqrt(D): 1 spread evenly, 0 collapsed."""

    step: int
    std: float
    effective_rank: float
    dimensions: int
    spectrum: Tensor                                                 # singular values over the largest, descending
    kind: str                                                        # as `Objective.diagnose` names it
    text: str


@dataclass(frozen=True)
class Picture:
    """One map: points [N, 2], the share of variance they show, and the features [N, D] it was made from."""

    step: int
    points: Tensor
    explained: float
    features: Tensor


@dataclass(frozen=True)
class Examples:
    """What the objective makes of a few pictures: name of a row -> float32 [N, 1 or 3, H, W] in [0, 1], on the CPU."""

    step: int
    rows: dict[str, Tensor]


class Watcher:
    """Looks at one run. `gauges`, `picture`, `examples` and `probe` are the latest readings, replaced as a whole,
    never changed. `pictorial`: the objective has pictures to show; one that has none is not asked. `kind`: "images",
    "text" or "pairs", as the dataset is. `labels`: of what is shown on the map.

    Args:
        objective: its encoder is watched.
        dataset: validation images for the map and the probe's accuracy, training images for the probe's labels; texts, or
            drawings of pairs, likewise.
        seed: chooses the images.
        controls: a dict kept by the caller, so that the controls are measured once for a dataset and encoder.
        question: what a person asks.
    """

    def __init__(self, objective, dataset, seed: int = 0, controls: dict[str, float] | None = None,
                 question: Question | None = None) -> None:
        self.objective, self.dataset, self.seed = objective, dataset, seed
        self.controls = {} if controls is None else controls
        self.gauges: Gauges | None = None
        self.picture: Picture | None = None
        self.examples: Examples | None = None
        self.kind = kind_of(dataset)
        self.pictorial = (self.kind != "text"
                          and getattr(type(objective), "pictures", Objective.pictures) is not Objective.pictures)
        self.readings: Readings | None = None
        self.reader: Reader | Searcher | None = None
        self.map_asked = False
        self.probe: float | None = None
        self.watched = False                                         # is a front end looking?
        self.planned: frozenset[int] | None = None                   # steps at which everything is read; None: as time affords
        self.budgets = {name: Budget() for name in SHARES[self.kind][0]}
        self._pca = SteadyPCA()
        self._seconds = self._last = self._examined = 0.0
        self._recent: deque[Tensor] = deque()                        # what the loss saw in the last steps
        self._step, self._read, self._serving = 0, 0.0, threading.Lock()
        tested, taught = choose_images(dataset, seed)
        if self.kind != "images":
            tested = tested[:SEARCHED if self.kind == "pairs" else how_many(dataset.context, SHOWN)]
        self.shown = tested[:SHOWN]                                  # indices into validation; of pairs, into its drawings
        held, known = (one_by_one(part) for part in (dataset.validation, dataset.train))
        if self.kind == "text":
            self.reader = Reader(objective, dataset, seed, question)
        elif self.kind == "pairs" and asks(objective):
            self.reader = Searcher(objective, dataset, seed, question, held, self.shown)
        self._searches = isinstance(self.reader, Searcher)
        if self.pictorial:
            self._examples = inputs_of(held)[choose_examples(held.labels, tested)]     # [E, C, H, W]
        self._images = torch.cat([inputs_of(held)[tested], inputs_of(known)[taught]])  # [T + L, C, H, W], or tokens
        self._tested, self._taught = held.labels[tested], known.labels[taught]         # [T], [L]
        self.labels = self._tested[:len(self.shown)]

    def begin(self, stopped: Callable[[], bool]) -> None:
        """Before the first step: the controls, and what the untrained encoder's map looks like."""
        if not self.controls and len(self._taught):
            self._measure_controls(stopped)
        if not stopped() and self.kind == "text":
            self._read_texts(0)
        elif not stopped():
            self._draw_map(0)
            self._show_examples(0)

    def look(self, step, row: dict[str, Any]) -> None:
        """After a step: read what is affordable, and write it into the step's row of the history."""
        share = SHARES[self.kind][self.watched]
        self._step = row["step"]
        self._recent.append(step.embedding if step.projection is None else step.projection)
        while sum(map(len, self._recent)) - len(self._recent[0]) >= SAMPLES * self._recent[0].shape[1]:
            self._recent.popleft()                                   # a small batch alone cannot fill D directions
        if self.planned is not None:
            if row["step"] in self.planned:
                self.finish(row)
            return
        for budget in self.budgets.values():
            budget.trained(step.seconds - self._seconds)
        self._seconds = step.seconds
        if self.gauges is None or self.budgets["gauges"].affords(share["gauges"]):
            self._measure(step, "gauges", lambda: self._read_gauges(row))
        if len(self._taught) and self.budgets["probe"].affords(share["probe"]):
            self._measure(step, "probe", lambda: self._read_probe(row))
        elif self.kind == "text":
            self._look_at_texts(step, row, share["readings"])
        elif ((self._awaited and time.monotonic() - self._read > CALM)
              or (self.budgets["map"].affords(share["map"]) and time.monotonic() - self._last > FASTEST)):
            self._measure(step, "map", lambda: self._draw_map(row["step"]))
        if (self.pictorial and self.budgets["examples"].affords(share["examples"])
                and time.monotonic() - self._examined > CALM):
            self._measure(step, "examples", lambda: self._show_examples(row["step"]))

    def forget(self) -> None:
        """Let go of the last batches' tensors."""
        self._recent.clear()

    def finish(self, row: dict[str, Any]) -> None:
        """After the last step: the readings that stay."""
        self._read_gauges(row)
        self._read_probe(row)
        if self.kind == "text":
            self._read_texts(row["step"])
        elif self.kind == "pairs":
            self._draw_map(row["step"])
        self._show_examples(row["step"])

    def serve(self) -> None:
        """Do now what a person waits for: answer a question, draw a map on demand. While no step is running."""
        with self._serving:
            if self.kind == "text" and self._awaited:
                self._read_texts(self._step)
            if self.map_asked or self._awaited:
                self._draw_map(self._step)

    @property
    def inputs(self) -> Tensor:
        """What is shown on the map: images or drawings [N, C, H, W], or tokens [N, T]."""
        return self._images[:len(self.shown)]

    def texts(self) -> list[str] | None:
        """What each thing on the map is called, or how it begins; None where there are no words for it."""
        if self.kind == "text":
            return lines(self.dataset, self.inputs)
        return names(self.dataset, one_by_one(self.dataset.validation), self.shown) if self.kind == "pairs" else None

    @property
    def _awaited(self) -> bool:
        """Does somebody wait for an answer?"""
        return self.reader is not None and self.reader.asked

    def _look_at_texts(self, step, row: dict[str, Any], share: float) -> None:
        """Readings as the budget pays for them, and soon where somebody waits for one."""
        if self.map_asked:
            self._draw_map(row["step"])
        calm = time.monotonic() - self._read > CALM
        if calm and (self._awaited or self.budgets["readings"].affords(share)):
            self._measure(step, "readings", lambda: self._read_texts(row["step"]))

    def _read_texts(self, step: int) -> None:
        self.readings = self.reader.read(step)
        self._read = time.monotonic()

    def _measure(self, step, name: str, read: Callable[[], None]) -> None:
        if step.loss.device.type == "cuda":                          # unfinished training is not watching
            torch.cuda.synchronize(step.loss.device)
        with self.budgets[name].look():
            read()

    def _read_gauges(self, row: dict[str, Any]) -> None:
        z = torch.cat(list(self._recent)).float()                    # [SAMPLES D or more, D]
        diagnosis = self.objective.diagnose(z, row["terms"])
        spectrum = evaluation.singular_values(z).cpu()               # [min(B, D)]
        std, rank = diagnosis.numbers["std"], diagnosis.numbers["effective_rank"]
        self.gauges = Gauges(row["step"], std, rank, z.shape[1], spectrum / spectrum[0].clamp(min=1e-12),
                             diagnosis.kind, diagnosis.text)
        row["std"], row["effective_rank"] = std, rank

    def _read_probe(self, row: dict[str, Any]) -> None:
        """The map, and what the features are worth: one pass over the images for both. Of pairs each has its own space."""
        x = evaluation.features(self.objective.encoder, self._images)
        if self.kind != "pairs":
            self._draw_map(row["step"], x[:len(self.shown)])
        self.probe = row["probe"] = self._accuracy(x)

    def _draw_map(self, step: int, x: Tensor | None = None) -> None:
        x = self._represent() if x is None else x                    # [N, D]
        self.map_asked = False
        if self._searches:
            self.readings, self._read = self.reader.read(step, x), time.monotonic()
            if not x.isfinite().all():                               # diverged: the readings say so
                return
        points, explained = self._pca(x)
        self.picture = Picture(step, points, explained, x)
        self._last = time.monotonic()

    def _represent(self) -> Tensor:
        """Where the things on the map lie: [N, D]. Drawings of pairs in the space that they share with captions, [N, P]."""
        if self._searches:
            return self.objective.embed_images(self.inputs)
        return evaluation.features(self.objective.encoder, self.inputs)

    @torch.no_grad()
    def _show_examples(self, step: int) -> None:
        """The objective's own pictures: always of the same images, with the same noise or mask."""
        if not self.pictorial:
            return
        device = next(self.objective.parameters()).device
        with evaluation.evaluating(self.objective):
            rows = self.objective.pictures(self._examples.to(device), torch.Generator().manual_seed(self.seed))
        self.examples = Examples(step, {name: as_pictures(name, images) for name, images in rows.items()})
        self._examined = time.monotonic()

    def _accuracy(self, x: Tensor) -> float | None:
        """Of a linear probe with the few labels, on the tested images: features [T + L, D] of both."""
        if not len(self._taught):
            return None
        count = len(self._tested)
        known = self._tested >= 0
        tested = x[:count][known], self._tested[known]
        return evaluation.linear_probe((x[count:], self._taught), tested, tested, (PENALTY,), unlabelled=x).accuracy

    def _measure_controls(self, stopped: Callable[[], bool]) -> None:
        """The same few labels and the same images, without pretraining."""
        measured = {"chance": 1 / self.dataset.num_classes}
        if self.kind == "text":
            seen = self._images[:0]                                  # texts have no batch statistics to calibrate
            measured["bag of words"] = self._accuracy(bag_of_words(self._images, self.dataset.vocabulary))
        else:
            train = one_by_one(self.dataset.train)
            some = torch.randperm(len(train), generator=torch.Generator().manual_seed(self.seed))[:SEEN]
            seen = inputs_of(train)[some if self.kind == "pairs" else slice(SEEN)]     # drawings lie sorted by group
            measured["raw pixels"] = self._accuracy(evaluation.raw_pixels(self._images))
        if not stopped():
            untrained = evaluation.random_encoder(self.objective.encoder, seen, self.seed)
            self.controls.update(measured, **{"random encoder":
                                              self._accuracy(evaluation.features(untrained, self._images))})


def asks(objective) -> str | None:
    """What a person can ask an objective: to fill in the "hidden" word, for the "next" ones, for "pictures"; or nothing."""
    if objective.learns_from == "pairs":
        both = all(callable(getattr(objective, name, None)) for name in ("embed_images", "embed_texts"))
        return "pictures" if both else None
    return objective.guesses


def one_by_one(part):
    """A part of a dataset as it is looked at: its images or texts; of pairs each drawing by itself."""
    return Drawings(part) if isinstance(inputs_of(part), Pairs) else part


def choose_images(dataset, seed: int) -> tuple[Tensor, Tensor]:
    """Fixed images: indices into validation to look at, and into train, LABELS a class, to learn the probe from."""
    generator = torch.Generator().manual_seed(seed)
    tested = torch.randperm(len(one_by_one(dataset.validation)), generator=generator)[:by_mode(250, TESTED)]
    labels = one_by_one(dataset.train).labels
    order = torch.randperm(len(labels), generator=generator)
    taught = [order[labels[order] == label][:LABELS] for label in range(dataset.num_classes)]
    return tested, torch.cat(taught) if len(taught) > 1 else order[:0]


def choose_examples(labels: Tensor, order: Tensor) -> Tensor:
    """A few of the indices `order` [T] to look at closely: one of each class, and then as they come."""
    first: dict[int, int] = {}
    for index, label in zip(order.tolist(), labels[order].tolist(), strict=True):
        first.setdefault(label, index)
    one_each = [first[label] for label in sorted(first) if label >= 0]
    others = [index for index in order.tolist() if index not in one_each]
    return torch.tensor((one_each + others)[:EXAMPLES])


def as_pictures(name: str, images: Tensor) -> Tensor:
    """A row of `Objective.pictures` as it is kept: what is outside of [0, 1] is cut off, NaN is black.

    Raises:
        ValueError: these are no pictures.
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] not in (1, 3):
        got = f"shape {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"pictures: row {name!r} got {got}, takes images [N, 1 or 3, H, W] in [0, 1]")
    images = as_floats(images).float()
    return images.nan_to_num(0.0).clamp(0, 1).cpu()
