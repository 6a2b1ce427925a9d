"""What an encoder is worth on a person's own data: diagnosis, neighbours, and the controls it must beat, with intervals."""

import copy
import functools
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab import evaluation
from sslab._inputs import takes
from sslab._names import choose
from sslab.commands.evaluate import drawings_of, evenly, in_words, largest_share, of_features, projections
from sslab.datasets.base import as_floats, inputs_of
from sslab.datasets.pairs import kind_of
from sslab.modes import by_mode
from sslab.objectives import views_for

FEWEST = 30                                                          # samples in all: with fewer there is nothing to measure
MOST = 5000                                                          # of a part that are looked at
SIDE = 32                                                            # raw pixels and copies are compared at this many pixels
BUDGETS = (1, 5, 20, 100)                                            # labels a class
BANK = 30_000                                                        # labelled training samples that kNN looks among
NEIGHBOURS = 20                                                      # of kNN
COPY = 0.1                                                           # how far a copy may be from its picture, see near_copies
BLOCKS = 10                                                          # of running text, for an interval
ORDER = 6                                                            # letters that the n-gram looks back
QUERIES, NEAREST = 6, 5                                              # shown: things, and what lies nearest to each
ENCODER, MODEL = "encoder", "model"                                  # the first row: what is probed, or what answers


@dataclass(frozen=True)
class Cell:
    """A number with its 95 % interval, and what it is the mean of, so that two can be paired."""

    mean: float
    interval: tuple[float, float] | None = None
    draws: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Table:
    """Rows of an encoder and its controls.

    rows: name -> {column: Cell}; the first row is the encoder. higher: is more better? percent: shares, or plain numbers.
    note: what was measured, how, and what the intervals are about.
    """

    title: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Cell]]
    note: str
    higher: bool = True
    percent: bool = True

    def against(self, column: str) -> tuple[str, Cell] | None:
        """The best control of a column, and how far the encoder is from it (above 0: better); None without one.

        Paired where both have draws; else the two intervals are put together as Newcombe does it (1998, method 10).
        """
        name, *controls = self.rows
        sign = 1 if self.higher else -1
        there = [row for row in controls if column in self.rows[row]]
        if column not in self.rows[name] or not there:
            return None
        best = max(there, key=lambda row: sign * self.rows[row][column].mean)
        ours, theirs = self.rows[name][column], self.rows[best][column]
        if len(ours.draws) > 1 and len(theirs.draws) in (1, len(ours.draws)):
            others = theirs.draws * (len(ours.draws) // len(theirs.draws))
            return best, mean_of([sign * (a - b) for a, b in zip(ours.draws, others, strict=True)])
        gap, (low, high), (below, above) = ours.mean - theirs.mean, ours.interval or (ours.mean,) * 2, theirs.interval or (theirs.mean,) * 2
        ends = (gap - math.hypot(ours.mean - low, above - theirs.mean), gap + math.hypot(high - ours.mean, theirs.mean - below))
        return best, Cell(sign * gap, ends if self.higher else (-ends[1], -ends[0]))


@dataclass(frozen=True)
class Examination:
    """What was found. `report.write` makes a page of it; alone in a notebook cell it shows itself.

    numbers: everything as JSON takes it. pictures: PNG files by name. samples: what a language model says, name -> text.
    """

    dataset: Any
    title: str
    on: str
    tables: list[Table]
    diagnosis: dict[str, dict[str, Any]]
    copies: dict[str, int] | None
    remarks: list[str]
    limits: list[str]
    architecture: dict[str, Any]
    pictures: dict[str, bytes] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)

    @property
    def findings(self) -> list[str]:
        """What it says, in sentences."""
        from sslab.report.words import findings

        return findings(self)

    @property
    def numbers(self) -> dict[str, Any]:
        tables = [{"title": table.title, "higher": table.higher, "note": table.note,
                   "rows": {name: {column: {"mean": cell.mean, "interval": cell.interval} for column, cell in row.items()}
                            for name, row in table.rows.items()}} for table in self.tables]
        return {"on": self.on, "tables": tables, "diagnosis": self.diagnosis, "copies": self.copies, "findings": self.findings,
                "limits": self.limits}

    def __repr__(self) -> str:
        return "\n".join(self.findings)

    def _repr_html_(self) -> str:
        from sslab.report.page import fragment

        return fragment(self)


def examine(objective, dataset, *, on: str = "test", labels: Sequence[int] | None = None, draws: int = 10,
            supervised: bool | Sequence[dict] = True, seed: int = 0, say: Callable[[str], None] | None = None) -> Examination:
    """Measure a trained objective on a dataset, beside its controls.

    With labels: kNN, and linear probes with few labels; controls are chance, raw pixels (texts: counts of words), a random
    encoder, and the same encoder trained from scratch with the same labels. Without labels: is a picture found again
    from a view of it, or what does a held-out text cost; the same controls, but for the last one.

    Args:
        objective: trained.
        dataset: what it was trained on: images, text or pairs.
        on: "test", for what is reported; "validation" while something is still to be chosen.
        labels: budgets of labels a class; those of 1, 5, 20 and 100 that every class has, if None.
        draws: random subsets of labels.
        supervised: also train from scratch: the slowest part. Instead of True: the settings to search through, as
            `evaluation.supervised` takes them.
        seed: of what is drawn.
        say: gets a line before each part.
    Raises:
        ValueError: an argument out of its range, too few samples, or a dataset that the objective cannot read.
    """
    choose(on, ("test", "validation"), "on")
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 2:
        raise ValueError(f"draws: got {draws!r}, takes a whole number from 2: one draw has no interval")
    kind, part = kind_of(dataset), getattr(dataset, on)
    if kind != objective.learns_from:
        raise ValueError(f"dataset: got {dataset.name!r}, which is {kind}; {objective.title} learns from {objective.learns_from}")
    if len(dataset) < FEWEST or len(part) < 2 or not len(dataset.train):
        raise ValueError(f"dataset: got {dataset.name!r} with {len(dataset)} samples, {len(part)} of them in {on}; takes {FEWEST} or more "
                         "in all")
    say = say or (lambda line: None)
    generator = torch.Generator().manual_seed(seed)
    objective = copy.deepcopy(objective)                             # looking changes it: how large its last batch was
    look = _Look(objective, dataset, kind, on, draws, seed, generator, say)
    say("Diagnosing ...")
    diagnosis = {"features": of_features(look.features())}
    if kind != "text":                                               # there the loss sees every token by itself
        z, terms = look.projected()
        diagnosis["what the loss sees"] = in_words(z, objective.diagnose(z, terms))
    tables, remarks = look.tables(labels, supervised)
    copies = near_copies(dataset, on) if kind == "images" else None
    encoder = objective.encoder
    architecture = {"encoder": getattr(encoder, "name", type(encoder).__name__), "dim": encoder.dim,
                    "parameters": sum(p.numel() for p in encoder.parameters())}
    say("Drawing ...")
    return Examination(dataset, objective.title, on, tables, diagnosis, copies, remarks, look.limits(), architecture,
                       look.pictures(), look.samples())


@dataclass
class _Look:
    """One look at one dataset: what the parts of `examine` share."""

    objective: Any
    dataset: Any
    kind: str
    on: str
    draws: int
    seed: int
    generator: torch.Generator
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        seen = drawings_of(self.dataset) if self.kind == "pairs" else self.dataset
        parts = {name: self._some(getattr(seen, name)) if name in (self.on, "validation") else getattr(seen, name)
                 for name in ("train", "validation", "test")}
        self.seen = SimpleNamespace(**parts, num_classes=self.dataset.num_classes)
        self.part = getattr(self.seen, self.on)

    def _some(self, part):
        """At most so many, drawn evenly."""
        inputs = inputs_of(part)
        most = by_mode(300, MOST)
        if len(inputs) <= most:
            return SimpleNamespace(inputs=inputs, labels=part.labels)
        rows = torch.linspace(0, len(inputs) - 1, most).long()
        return SimpleNamespace(inputs=inputs[rows], labels=part.labels[rows])

    # ---- diagnosis

    def features(self) -> Tensor:
        """The encoder's output: of the part, and where it is too small to tell, of training samples too. [N, D]"""
        wanted = 4 * self.objective.encoder.dim
        inputs = inputs_of(self.part)
        if len(inputs) < wanted:
            more = evenly(inputs_of(self.seen.train), wanted - len(inputs))
            inputs = torch.cat([inputs, more])
        return evaluation.features(self.objective.encoder, evenly(inputs, by_mode(300, wanted)))

    def projected(self) -> tuple[Tensor, dict[str, float]]:
        """What the loss sees of views: of the part, and where it is too small, of training samples too. [N, P], and the loss's terms."""
        z, terms = projections(self.objective, getattr(self.dataset, self.on))
        if len(z) < 4 * z.shape[1]:
            z = torch.cat([z, projections(self.objective, self.dataset.train)[0]])
        return z, terms

    # ---- tables

    def tables(self, labels, supervised) -> tuple[list[Table], list[str]]:
        remarks, tables = [], []
        if self.dataset.num_classes > 1:
            budgets = self._budgets(labels)
            if budgets:
                tables.append(self.with_labels(budgets, supervised))
            else:
                remarks.append("Nothing was measured with labels: a class has no training sample.")
        elif labels is not None:
            raise ValueError(f"labels: got {tuple(labels)}, but {self.dataset.name!r} has no classes to tell apart; leave it out")
        if self.kind == "images" and not tables:
            tables.append(self.found_again())
        if self.kind == "pairs":
            tables.append(self.searched())
        if self.kind == "text" and self.objective.guesses == "next":
            tables.append(self.text_cost())
        if self.kind == "text" and self.objective.guesses == "hidden":
            tables.append(self.hidden_words())
        return tables, remarks

    def _budgets(self, labels) -> tuple[int, ...]:
        """Labels a class that every class has; () if one has none and nobody asked for a number."""
        known = self.seen.train.labels[self.seen.train.labels >= 0]
        counts = torch.bincount(known, minlength=self.dataset.num_classes)
        smallest = int(counts.min())
        if labels is None:
            return tuple(k for k in BUDGETS if k <= smallest)
        chosen = tuple(sorted(set(labels)))
        if not chosen or not all(isinstance(k, int) and k > 0 for k in chosen):
            raise ValueError(f"labels: got {labels!r}, takes whole numbers above 0")
        if chosen[-1] > smallest:
            name = self.dataset.class_names[int(counts.argmin())]
            raise ValueError(f"labels: got {chosen[-1]} a class, takes at most {smallest}: {name!r} has no more training samples")
        return chosen

    def represent(self) -> dict[str, nn.Module | Callable[[Tensor], Tensor]]:
        """The encoder, and the controls that need no labels. Counts of words, which are no tensor, are not among them."""
        some = evenly(inputs_of(self.seen.train), 2000)
        rows: dict[str, Any] = {ENCODER: self.objective.encoder}
        if self.kind != "text":
            rows["raw pixels"] = small_pixels
        return rows | {"random encoder": evaluation.random_encoder(self.objective.encoder, some, self.seed)}

    def with_labels(self, budgets: tuple[int, ...], supervised) -> Table:
        """kNN and linear probes, beside the controls, on the same draws of labels."""
        names = {k: f"{k} label{'s' * (k > 1)}" for k in budgets}
        data = SimpleNamespace(train=self.seen.train, validation=_labelled(self.seen.validation), num_classes=self.dataset.num_classes)
        setattr(data, self.on, _labelled(self.part))
        rows: dict[str, dict[str, Cell]] = {}
        for name, what in self.represent().items():
            self.say(f"Measuring {name} ...")
            found = evaluation.label_efficiency(what, data, budgets, self.draws, name, (evaluation.FIXED_PENALTY,), self.on)
            rows[name] = {"kNN": self.nearest(what, data), **{names[k]: mean_of(found.fixed[k]) for k in budgets}}
        if self.kind == "text":
            self.say("Measuring counts of words ...")
            found = evaluation.tf_idf_efficiency(self.dataset, budgets, self.draws, on=self.on)
            rows["counts of words"] = {names[k]: mean_of(found.fixed[k]) for k in budgets}
        if supervised and self.kind != "pairs" and hasattr(self.objective.encoder, "fresh"):
            search = None if supervised is True else tuple(supervised)
            views = self.objective.views if self.kind == "images" else None
            data = SimpleNamespace(train=self.dataset.train, validation=data.validation, test=getattr(data, self.on),
                                   num_classes=data.num_classes)         # it reads "test"
            rows["supervised"] = {}
            for k in budgets:
                self.say(f"Training from scratch with {names[k]} a class ...")
                found = evaluation.supervised(data, (k,), self.draws, self.objective.encoder, views, search, seed=self.seed)
                rows["supervised"][names[k]] = mean_of(found.fixed[k])
        rows["chance"] = {column: Cell(1 / self.dataset.num_classes) for column in ("kNN", *names.values())}
        known = int((self.part.labels >= 0).sum())
        note = (f"Accuracy on {known:,} {self.on} samples, and 95 % intervals: of kNN ({min(NEIGHBOURS, len(self.bank.labels))} neighbours among "
                f"{len(self.bank.labels):,} labelled training samples) over the {self.on} samples, of linear probes over {self.draws} draws of labels a "
                f"class, the same draws for every row. Whoever always says the largest class is right in {100 * largest_share(self.part.labels):.0f} %.")
        return Table("What a few labels are worth", ("kNN", *names.values()), rows, note)

    @functools.cached_property
    def bank(self):
        """The labelled training samples that kNN looks among; of very many an even choice."""
        known = _labelled(self.seen.train)
        most = by_mode(500, BANK)
        return SimpleNamespace(inputs=evenly(known.inputs, most), labels=evenly(known.labels, most))

    def nearest(self, what, data) -> Cell:
        """kNN among the labelled training samples."""
        bank, queries = self.bank, getattr(data, self.on)
        x = _embed(what, bank.inputs)
        return share_of(evaluation.knn(x, bank.labels, _embed(what, queries.inputs), min(NEIGHBOURS, len(x))) == queries.labels)

    def found_again(self) -> Table:
        """Without labels: whether the picture a view was made of is the nearest one."""
        images = inputs_of(self.part)[:by_mode(100, 1000)]
        views = views_for("simclr", self.dataset.name)
        rows = {name: {"found again": share_of(found_again(partial(_embed, what), images, views, self.seed))}
                for name, what in self.represent().items()}
        rows["chance"] = {"found again": Cell(1 / len(images))}
        note = (f"A random view of each of {len(images):,} {self.on} pictures: is the picture it was made of the nearest of all? 95 % "
                "intervals over the pictures. This is what views teach, so it says that something was learned, not that it is of use.")
        return Table("Is a picture found again?", ("found again",), rows, note)

    def searched(self) -> Table:
        """Pairs: which words belong to a picture, which picture to words."""
        self.say("Searching ...")
        data, rows = replace(self.dataset, held_out=None), {}
        for name, model in ((MODEL, self.objective), ("untrained", untrained(self.objective, self.seed))):
            found = evaluation.cross_modal(model, data, part=self.on)
            both = {"picture to words": found.image_to_text, "words to picture": found.text_to_image}
            rows[name] = {f"{way}, first {k}": share_of(one.ranks <= k) for way, one in both.items() for k in (1, 5)}
        columns = tuple(rows[MODEL])
        rows["chance"] = {column: Cell(both[column.split(",")[0]].chance(int(column[-1]))) for column in columns}
        note = (f"How often the right answer is the first, or among the first five: {len(found.text_to_image.ranks):,} {self.on} things "
                f"among all {found.text_to_image.candidates:,}, training things included. 95 % intervals over the queries.")
        return Table("Search", columns, rows, note)

    def text_cost(self) -> Table:
        """What held-out running text costs a model that reads from left to right, block by block."""
        self.say("Reading held-out text ...")
        models = {MODEL: self.objective, "untrained": untrained(self.objective, self.seed)}
        counts = evaluation.TextNGram(self.dataset, ORDER)
        blocks = [replace(self.dataset, splits={**self.dataset.splits, self.on: rows}) for rows in self._blocks()]
        costs: dict[str, list[float]] = {name: [] for name in (*models, f"{ORDER + 1}-gram of letters", "chance")}
        for block in blocks:
            for name, model in models.items():
                score = evaluation.score_text(model, block, self.on)
                costs[name].append(score.bits_per_character)
            costs["chance"].append(score.tokens * math.log2(self.dataset.vocabulary) / score.characters)
            counts.dataset = block
            costs[f"{ORDER + 1}-gram of letters"].append(counts.score(self.on).bits_per_character)
        note = (f"Bits for each character of the {self.on} part, the fewer the better; 95 % intervals over {len(blocks)} blocks of it. The "
                "n-gram counts letters in the same training text; chance: every token as likely.")
        return Table("What held-out text costs", ("bits a character",), {name: {"bits a character": mean_of(found)}
                     for name, found in costs.items()}, note, higher=False, percent=False)

    def _blocks(self) -> list[Tensor]:
        """Indices of the part's rows in consecutive blocks."""
        rows = self.dataset.splits[self.on]
        return [block for block in rows.tensor_split(min(BLOCKS, len(rows))) if len(block)]

    def hidden_words(self) -> Table:
        """How often a hidden word is guessed right."""
        self.say("Hiding words ...")
        hidden = evaluation.hidden_words(self.dataset, self.on, by_mode(100, 2000), self.seed, context=self.objective.encoder.context)
        rows = {name: {"first guess": share_of(evaluation.word_ranks(model, hidden) <= 1)}
                for name, model in ((MODEL, self.objective), ("untrained", untrained(self.objective, self.seed)))}
        for name, found in evaluation.count_words(self.dataset).accuracy(hidden, (1,)).items():
            rows[f"counts: {name}"] = {"first guess": Cell(found[1], share_interval(round(found[1] * len(hidden)), len(hidden)))}
        note = f"{len(hidden):,} words of the {self.on} part, hidden one at a time. 95 % intervals over the words."
        return Table("Guessing hidden words", ("first guess",), rows, note)

    # ---- what is shown

    def pictures(self) -> dict[str, bytes]:
        """The nearest neighbours of a few things, drawn at random."""
        if self.kind == "text":
            return {}
        from sslab.figures import neighbours

        images = inputs_of(self.part)
        images = images[torch.randperm(len(images), generator=self.generator)[:by_mode(100, 1000)]]
        spaces = {name: _embed(what, images) for name, what in self.represent().items()}
        figure = neighbours(images, spaces, min(QUERIES, len(images)), min(NEAREST, len(images) - 1))
        return {"neighbours": png(figure)}

    def samples(self) -> dict[str, str]:
        """How a model goes on after a held-out beginning, and the nearest texts of a few."""
        if self.kind != "text":
            return {}
        part, said = getattr(self.dataset, self.on), {}
        if self.objective.guesses == "next":
            beginning = part.tokens[0][:12].long()
            going_on = evaluation.generate(self.objective, beginning, by_mode(8, 60), temperature=0.8,
                                           generator=torch.Generator().manual_seed(self.seed))
            tokens = torch.as_tensor(going_on).flatten()
            said["It goes on"] = f"{self.dataset.decode(beginning)} | {self.dataset.decode(tokens[-by_mode(8, 60):])}"
        inputs = inputs_of(self.part)[:by_mode(50, 1000)]
        x = F.normalize(_embed(self.objective.encoder, inputs), dim=1)
        similar = (x[:3] @ x.T).fill_diagonal_(-2)
        for row, near in enumerate(similar.argmax(dim=1).tolist()):
            said[f"Nearest {row + 1}"] = f"{self.dataset.decode(inputs[row])[:160]} | {self.dataset.decode(inputs[near])[:160]}"
        return said

    def limits(self) -> list[str]:
        """What these numbers cannot say."""
        count = len(inputs_of(self.part))
        low, high = share_interval(count // 2, count)
        lines = ["One run with one seed. Another seed gives other numbers; three runs would say how much."]
        if self.objective.guesses != "next":
            lines.append(f"{count:,} samples in {self.on}: a share of one half measured on them is known to {50 * (high - low):.0f} points "
                         "either way.")
        if self.on == "test":
            lines.append("Test was read for this page. What is changed after looking at it was chosen with a look at test.")
        else:
            lines.append("Measured on validation, where settings are chosen: a little too good.")
        folder = self.dataset.name.startswith("folder:")
        if self.dataset.num_classes > 1 and self.kind == "images":
            lines.append(f"Labels are {'the names of the folders, ' if folder else 'taken '}as they are. How features are scaled was chosen on validation.")
        if folder:
            lines.append(f"Pictures were cut to the square in their middle and made {self.dataset.size} pixels wide: what is smaller is lost.")
        return lines


# ---- measures


@takes(right=">= 0", count=">= 1", confidence="> 0, < 1")
def share_interval(right: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share, by Wilson's score: it stays in [0, 1] and is no point at 0 or 1.

    Args:
        right: how many were right. count: of how many, 1 or more.
        confidence: between 0 and 1.
    Raises:
        ValueError: a number out of its range.
    Source:
        Wilson 1927, Journal of the American Statistical Association 22(158), page 209.
    """
    if count < 1 or not 0 <= right <= count:
        raise ValueError(f"right, count: got {right} of {count}, takes 0 to count, and 1 or more")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: got {confidence}, takes a share between 0 and 1")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)                   # 1.96
    share = right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def share_of(right: Tensor) -> Cell:
    """True and false [n] as a share with its interval."""
    return Cell(float(right.float().mean()), share_interval(int(right.sum()), len(right)), tuple(right.float().tolist()))


def mean_of(values: Sequence[float]) -> Cell:
    """Numbers as their mean with its t-interval."""
    from sslab.course.ledger import mean_interval

    mean, interval = mean_interval(list(values))
    return Cell(mean, interval, tuple(map(float, values)))


def found_again(represent: Callable[[Tensor], Tensor], images: Tensor, views, seed: int = 0) -> Tensor:
    """Which pictures are the nearest one, by cosine, to a random view of themselves: bool [n].

    Args:
        represent: images [n, C, H, W], bytes or floats in [0, 1] -> features [n, D].
        images: uint8 [n, C, H, W], 2 or more. views: an Augment.
        seed: of the views.
    Raises:
        ValueError: fewer than 2 images.
    """
    if len(images) < 2:
        raise ValueError(f"images: got {len(images)}, takes 2 or more")
    seen = views(images, torch.Generator().manual_seed(seed))
    there, asked = represent(images), represent(seen)
    middle = there.mean(dim=0)                                       # raw pixels all point one way
    similar = F.normalize(asked - middle, dim=1) @ F.normalize(there - middle, dim=1).T              # [n, n]
    return similar.argmax(dim=1) == torch.arange(len(images))


def near_copies(dataset, part: str = "test", limit: float = COPY) -> dict[str, int]:
    """How many pictures of a part are in the training part too, as they are or nearly: saved again, resized, a series.

    Two pictures are copies if their distance is below `limit` times the mean of their contrasts (lengths after the mean is
    subtracted), at 16 x 16 pixels. Saving again as JPEG at another size leaves 0.05 to 0.1; different pictures of
    openclipart are below that in 1 of 200 cases.

    Returns:
        "copies", "of" (pictures in the part), "train".
    Raises:
        ValueError: no such part, or a limit that is not above 0.
    """
    choose(part, ("validation", "test"), "part")
    if not limit > 0:
        raise ValueError(f"limit: got {limit}, takes a number above 0")
    ours, theirs = (_contrast(getattr(dataset, name).images) for name in (part, "train"))
    length, copies = theirs.norm(dim=1), 0
    for some in ours.split(512):
        mean = (some.norm(dim=1)[:, None] + length) / 2              # [m, N]
        copies += int((torch.cdist(some, theirs) < limit * mean.clamp_min(1e-3)).any(dim=1).sum())
    return {"copies": copies, "of": len(ours), "train": len(theirs)}


def _contrast(images: Tensor) -> Tensor:
    """At 16 x 16, without their mean: [N, C 256]."""
    rows = [F.adaptive_avg_pool2d(as_floats(some), 16).flatten(1) for some in images.split(1024)]
    x = torch.cat(rows) if rows else torch.empty(0, images.shape[1] * 256)
    return x - x.mean(dim=1, keepdim=True)


def small_pixels(images: Tensor) -> Tensor:
    """The first control: the picture itself, of large ones a small version: [N, C, H, W] -> [N, D]."""
    x = as_floats(images)
    return (F.adaptive_avg_pool2d(x, SIDE) if x.shape[-1] > SIDE else x).flatten(1)


def untrained(objective, seed: int = 0):
    """The same objective with fresh weights: a control for whatever is read from the whole of it."""
    fresh = copy.deepcopy(objective)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in fresh.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        device = next(objective.parameters()).device
        for name in ("encoder", "text"):
            tower = getattr(objective, name, None)
            if hasattr(tower, "fresh"):
                setattr(fresh, name, tower.fresh().to(device))
    return fresh


def png(figure, dots: int = 130) -> bytes:
    """A figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dots, bbox_inches="tight")
    return file.getvalue()


def _embed(what: nn.Module | Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    return evaluation.features(what, inputs) if isinstance(what, nn.Module) else what(inputs)


def _labelled(part):
    """A part without the samples that have no label."""
    known = part.labels >= 0
    return SimpleNamespace(inputs=inputs_of(part)[known], labels=part.labels[known])
