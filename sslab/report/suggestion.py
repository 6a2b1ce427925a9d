"""Which objective to try first on a dataset that nobody has tried, and why: a few rules that read the data."""

import html
from dataclasses import dataclass, field
from typing import Any

import torch

from sslab.datasets.pairs import kind_of

LOOKED_AT = 500                                                      # pictures, for their colours
FEW_PICTURES, FEW_TOKENS, FEW_PAIRS = 500, 200_000, 1000             # below, pretraining has little to learn from
MANY_PICTURES = 20_000                                               # from here on a larger encoder pays, given a GPU
ENOUGH_LABELS = 100                                                  # a class: then training with labels is hard to beat
FEW_LABELS = 10                                                      # a class: then no accuracy is sure
GREY = 3                                                             # channels that differ by no more than this are grey


@dataclass(frozen=True)
class Suggestion:
    """What to try first.

    objective: a name for `Lab` or `sslab train`. knobs: what to set before it starts. why: a reason for each of these.
    questions: what the data cannot say, and a person can.
    """

    objective: str
    encoder: str | None = None
    knobs: dict[str, Any] = field(default_factory=dict)
    why: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([self._what(), *(f"- {line}" for line in self.why), "Ask yourself:", *(f"- {line}" for line in self.questions)])

    def _repr_html_(self) -> str:
        lists = ["".join(f"<li>{html.escape(line)}</li>" for line in lines) for lines in (self.why, self.questions)]
        return f"<p><strong>{html.escape(self._what())}</strong></p><ul>{lists[0]}</ul><p>Ask yourself:</p><ul>{lists[1]}</ul>"

    def _what(self) -> str:
        knobs = ", ".join(f"{name} {value:g}" for name, value in self.knobs.items())
        return f"Try {self.objective}" + (f" on {self.encoder}" if self.encoder else "") + (f" with {knobs}" if knobs else "") + "."


def suggest(dataset) -> Suggestion:
    """Read a dataset's kind, size, labels and colours, and say what to try first. It is a start, and no more than that.

    Args:
        dataset: images, text or pairs, such as `sslab.load("folder:PATH")`.
    Raises:
        ValueError: there is nothing to train on.
    """
    if not len(dataset.train):
        raise ValueError(f"dataset: got {dataset.name!r}, which has no training part; takes one to train on")
    return {"images": _of_images, "text": _of_text, "pairs": _of_pairs}[kind_of(dataset)](dataset)


def _of_images(dataset) -> Suggestion:
    train = dataset.train
    knobs, encoder = {}, None
    why = [f"{len(train):,} pictures to train on: SimCLR needs nothing but views of them, and a batch of 64 is enough on a CPU."]
    if len(train) < FEW_PICTURES:
        why.append(f"That is few: below {FEW_PICTURES:,} the views are nearly all there is to learn from. More pictures, without "
                   "labels, help more than any setting.")
    if len(train) >= MANY_PICTURES and torch.cuda.is_available():
        encoder = "resnet18"
        why.append(f"{MANY_PICTURES:,} pictures or more and a GPU: a larger encoder has something to learn.")
    some = train.images[:: max(1, len(train) // LOOKED_AT)]
    if some.shape[1] == 3 and int((some.amax(dim=1).int() - some.amin(dim=1).int()).max()) <= GREY:
        knobs |= {"saturation": 0.0, "hue": 0.0, "greyscale": 0.0}
        why.append("The pictures are grey: views that change the colours would change nothing.")
    return Suggestion("simclr", encoder, knobs, (*why, *_of_labels(dataset)), (
        "Is a mirror image still the same thing? With text, maps or hands it is not: set flip to 0.",
        "Does colour name what you look for? Then lower hue, saturation and greyscale.",
        f"Can you see what matters at {dataset.size} x {dataset.size} pixels? Load with a larger size if not.",
        "Are there series of nearly the same picture? Keep a series in one part, or the test is too easy."))


def _of_labels(dataset) -> list[str]:
    """What can be said of the labels."""
    if not dataset.num_classes:
        return ["No labels: no accuracy can be measured. Look at the neighbours, the rank and the diagnosis."]
    if dataset.num_classes == 1:
        return ["One folder, so one class: nothing to tell apart, and no accuracy can be measured."]
    counts = torch.bincount(dataset.train.labels[dataset.train.labels >= 0], minlength=dataset.num_classes)
    least, most = int(counts.min()), int(counts.max())
    said = f"{dataset.num_classes} classes, {least:,} to {most:,} of each to train on."
    if least >= ENOUGH_LABELS:
        return [said + " That is enough to train with labels: supervised is the control to beat."]
    if least < FEW_LABELS:
        return [said + " The smallest is too small to measure anything of: merge it, or leave it out."]
    return [said + " Few enough for self-supervision to be worth a try. Accuracy alone favours the large classes."]


def _of_text(dataset) -> Suggestion:
    count = int(dataset.train.tokens.ne(0).sum())
    why = [f"{count:,} tokens to train on."]
    if count < FEW_TOKENS:
        why.append(f"That is few: below {FEW_TOKENS:,} a model learns which words there are, and little of how they follow. Counts of "
                   "n-grams may be as good.")
    if dataset.continuous:
        why.append("Running text: the next token is a task at every place of it, so GPT.")
        questions = ("Is it one kind of text? A model of two kinds spends its first steps on telling them apart.",
                     "May what it learned by heart be shown? GPT repeats what it has read often.")
        return Suggestion("gpt", None, {}, (*why, *_of_labels(dataset)), questions)
    why.append("Each row is a text of its own, read as a whole: hidden words can be guessed from both sides, so BERT.")
    return Suggestion("bert", None, {}, (*why, *_of_labels(dataset)), ("Do texts repeat? Then some of the test is in the training part.",))


def _of_pairs(dataset) -> Suggestion:
    why = [f"{len(dataset.train):,} things with pictures and words: CLIP asks which words belong to which picture."]
    if len(dataset.train) < FEW_PAIRS:
        why.append(f"That is few: below {FEW_PAIRS:,} it mostly learns the names in its training part by heart.")
    return Suggestion("clip", None, {}, (*why, *_of_labels(dataset)), (
        "Do captions name sides or colours? Then views must keep them.",
        "Do two pictures share a caption? In one batch they are taken for different things."))
