"""What a model of pictures and words finds while it trains: the pictures that fit a phrase best.

They are looked for among the held-out drawings of the map: for the name of one of them, always the same, so that what
changes is the model; and for a phrase that a person types.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sslab.datasets.base import as_fed
from sslab.lab.text import Question, Readings

BEST = 8                                                             # pictures that are shown for a phrase
SEARCHED = 400                                                       # drawings among which they are looked for
WORDS = 3                                                            # a name of so many is easily read
TIE = 1e-6                                                           # cosines nearer than this are equal
HELD_OUT, TYPED = "held-out phrase", "your phrase"


@dataclass(frozen=True)
class Finding:
    """The pictures that fit a phrase best, of `among` held-out drawings.

    prompt: the phrase. found: name, cosine and whether it is what was meant, the best first. images: these, uint8
    [n, C, S, S]. own: how many drawings there are of what was meant; place: of the best of them, from 1, None without one;
    whatever is as similar stands before it. chance: where the best would stand in a random order, on average. source: what
    kind of thing is meant. error: why there is nothing to see.
    """

    prompt: str
    found: tuple[tuple[str, float, bool], ...] = ()
    images: Tensor = field(default_factory=lambda: torch.zeros(0, 3, 1, 1, dtype=torch.uint8), repr=False, compare=False)
    own: int = 0
    place: int | None = None
    chance: float | None = None
    among: int = 0
    source: str = ""
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"{self.prompt}: {self.error}"
        names = ", ".join(f"{name} {cosine:.2f}" for name, cosine, _ in self.found)
        return f"{self.prompt}: {names}" + (f" (its own at place {self.place} of {self.among})" if self.place else "")


class Drawings:
    """A part of a dataset of pairs as if it were one of images: each drawing by itself.

    labels: int64 [m]. things: which thing each shows [m], as `PairDataset.texts` counts. drawers: who drew it [m].
    """

    def __init__(self, part) -> None:
        self._images = part.pairs.images
        self._row, self.drawers = part.pairs.drawn.nonzero(as_tuple=True)            # [m]
        self.labels, self.things = part.labels[self._row], part.indices[self._row]

    @property
    def inputs(self) -> "Drawings":
        return self

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Drawings uint8 [n, C, S, S]; only these are copied."""
        return self._images[self._row[index], self.drawers[index]]

    def __len__(self) -> int:
        return len(self.labels)


class Searcher:
    """Looks for the pictures of phrases. `asked`: somebody waits for those of a phrase of their own.

    Args:
        objective: has embed_texts(tokens [N, T]) -> [N, P], normalised.
        dataset: a PairDataset.
        seed: chooses the phrase that is always the same.
        question: what the person typed.
        held, shown: the Drawings of the validation part, and which of them are looked through.
    """

    def __init__(self, objective, dataset, seed: int, question: Question, held: Drawings, shown: Tensor) -> None:
        self.objective, self.dataset, self.question = objective, dataset, question
        self.asked = False
        self._images, self.names = held[shown], names(dataset, held, shown)
        self._texts = [dataset.texts[thing] for thing in held.things[shown].tolist()]
        self._held_out, label = held_out_phrase(self._texts, held.labels[shown].tolist(), seed)
        self._source = dataset.class_names[label] if 0 <= label < len(dataset.class_names) else ""

    def read(self, step: int, z: Tensor) -> Readings:
        """What is found at this moment: z [N, P] says where the drawings lie, normalised."""
        self.asked = False
        phrases = [self._held_out, self.question.text]
        texts = self.objective.embed_texts(as_fed(self.dataset.encode(phrases)))     # [2, P]
        rows = zip((HELD_OUT, TYPED), phrases, (self._source, ""), texts @ z.T, strict=True)
        return Readings(step, {name: self._finding(phrase, source, cosines) for name, phrase, source, cosines in rows})

    def _finding(self, phrase: str, source: str, cosines: Tensor) -> Finding:
        meant = torch.tensor([text.lower() == phrase.strip().lower() for text in self._texts])        # [N]
        own, among = int(meant.sum()), len(meant)
        known = {"own": own, "among": among, "chance": (among + 1) / (own + 1) if own else None, "source": source}
        if not cosines.isfinite().all():
            return Finding(phrase, **known, error="its numbers are not finite: the training has diverged")
        order = cosines.argsort(descending=True, stable=True)[:BEST]                 # [n]
        found = tuple((self.names[index], float(cosines[index]), bool(meant[index])) for index in order.tolist())
        place = None
        if own:
            place = 1 + int((cosines[~meant] >= cosines[meant].max() - TIE).sum())
        return Finding(phrase, found, self._images[order], place=place, **known)


def names(dataset, held: Drawings, shown: Tensor) -> list[str]:
    """What each drawing is called, and who drew it where there are several: "red heart (noto)"."""
    several = len(dataset.drawers) > 1
    return [dataset.texts[thing] + (f" ({dataset.drawers[drawer]})" if several else "")
            for thing, drawer in zip(held.things[shown].tolist(), held.drawers[shown].tolist(), strict=True)]


def held_out_phrase(texts: list[str], labels: list[int], seed: int) -> tuple[str, int]:
    """One of the texts, a short one in plain words if there is any and drawn often, and its label."""
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed)).tolist()

    def worse(index: int) -> tuple[bool, int]:
        words = texts[index].split()
        plain = 1 < len(words) <= WORDS and all(word.isalpha() for word in words)
        return not plain, -texts.count(texts[index])

    best = min(order, key=worse)
    return texts[best], labels[best]
