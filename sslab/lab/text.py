"""What a language model says while it trains: words for a blank, and how a text goes on.

A reading is made from the same held-out text with the same random numbers every time, so that what changes is the model;
and from a text that a person types. Short, since training pays for it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sslab import evaluation
from sslab.datasets.tokenizer import CLS, PAD, SEP, UNK, in_text
from sslab.evaluation.language import MASK_TEXT, WORD

QUESTIONS = {"hidden": f"the cat sat on the {MASK_TEXT}", "next": "In the morning the", "pictures": "a red heart"}
TEMPERATURE, HOTTEST = 0.8, 5.0
LONGEST = 500                                                        # characters of a typed text
BEGINNING, ADDED = 24, 24                                            # tokens of a held-out text that are given, and that follow
SHOWN_WORDS = 5                                                      # likely words for a blank
SEARCHED = 100                                                       # places of the list in which the truth is looked for
TRIED = 200                                                          # held-out texts among which a good one is looked for
TOKENS, FEWEST = 20_000, 200                                         # in the map and the probe: of all texts, and texts at least
LINE = 90                                                            # characters of a text under the pointer
MINE, YOURS = "held-out text", "your text"


@dataclass(frozen=True)
class Reading:
    """What a model makes of one text.

    prompt: the text, with [MASK] for the blank. follows: how the model goes on. words: what it would put in the blank, the
    likeliest first, with probabilities. truth: what stood there. place: of the truth in the model's list, from 1; None if
    far down. source: where the text is from. error: why there is nothing to read.
    """

    prompt: str
    follows: str = ""
    words: tuple[tuple[str, float], ...] = ()
    truth: str = ""
    place: int | None = None
    source: str = ""
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"{self.prompt}: {self.error}"
        if not self.words:
            return f"{self.prompt} | {self.follows}"
        guesses = ", ".join(f"{word} {100 * share:.0f} %" for word, share in self.words)
        return f"{self.prompt}: {guesses}" + (f" (it was {self.truth!r})" if self.truth else "")


@dataclass(frozen=True)
class Readings:
    """All of one moment: name -> Reading."""

    step: int
    rows: dict[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What a person typed, and how boldly a model is to go on with it: temperature 0 takes the likeliest token always."""

    text: str
    temperature: float = TEMPERATURE

    def changed(self, kind: str, text: str | None, temperature: float | None) -> "Question":
        """With another text or temperature.

        Raises:
            ValueError: no text, one that is too long or has not one [MASK] where one is needed, or a temperature out of range.
        """
        text = self.text if text is None else text
        temperature = self.temperature if temperature is None else temperature
        if not isinstance(text, str) or len(text) > LONGEST:
            got = f"{len(text):,} characters" if isinstance(text, str) else repr(text)
            raise ValueError(f"text: got {got}, takes at most {LONGEST} characters")
        if kind == "hidden" and text.count(MASK_TEXT) != 1:
            raise ValueError(f"text: got {text.count(MASK_TEXT)} times {MASK_TEXT}, takes it once, for the word to guess")
        number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
        if not number or not 0 <= temperature <= HOTTEST:
            raise ValueError(f"temperature: got {temperature!r}, takes a number from 0 to {HOTTEST:g}")
        return Question(text.encode("utf-8", "replace").decode(), float(temperature))      # no half characters


class Reader:
    """Asks one objective for its readings. `asked`: somebody waits for an answer to a question of their own.

    Args:
        objective: what is asked, by its `guesses`; and what it has to say itself, by `readings`.
        dataset: a TextDataset; of its validation part the text that is always the same.
        seed: chooses that text, and the numbers that continuations are drawn with.
        question: what the person typed.
    """

    def __init__(self, objective, dataset, seed: int, question: Question | None) -> None:
        self.objective, self.dataset, self.seed, self.question = objective, dataset, seed, question
        self.kind = objective.guesses
        self.asked = False
        self._held_out = {"hidden": held_out_blank, "next": held_out_beginning, None: lambda *_: None}[self.kind](dataset, seed)

    def read(self, step: int) -> Readings:
        """All readings of this moment."""
        self.asked, rows = False, {}
        if self._held_out is not None:
            rows[MINE] = self._answer(self._held_out)
        if self.kind is not None:
            rows[YOURS] = self._answer(Reading(self.question.text), typed=True)
        with torch.no_grad(), evaluation.evaluating(self.objective):
            own = self.objective.readings(self.dataset, torch.Generator().manual_seed(self.seed))
        return Readings(step, rows | {name: as_reading(name, text) for name, text in own.items()})

    def _answer(self, reading: Reading, typed: bool = False) -> Reading:
        try:
            return self._fill(reading) if self.kind == "hidden" else self._go_on(reading, typed)
        except ValueError as error:                                  # a text that this model cannot read ends no run
            return replace(reading, error=str(error))

    def _fill(self, reading: Reading) -> Reading:
        found = evaluation.fill_in(self.objective, self.dataset, reading.prompt, SEARCHED if reading.truth else SHOWN_WORDS)
        if not all(math.isfinite(share) for _, share in found):
            raise ValueError("its scores are not finite: the training has diverged")
        truth = self._as_token(reading.truth)
        place = next((place for place, (word, _) in enumerate(found, start=1) if truth and word == truth), None)
        return replace(reading, words=tuple(found[:SHOWN_WORDS]), place=place)

    def _as_token(self, word: str) -> str:
        """A word as the tokeniser gives it back: one that knows no case makes it small."""
        return self.dataset.tokenizer.decode(self.dataset.tokenizer.encode_corpus([word])[0]).strip() if word else ""

    def _go_on(self, reading: Reading, typed: bool) -> Reading:
        text, start = reading.prompt.rstrip(), [SEP if self.dataset.continuous else CLS]     # as a text begins in the data
        if self.dataset.continuous and not typed:
            text, start = " " + text, []                             # from the middle of one
        prompt = [*start, *self.dataset.tokenizer.encode_corpus([text])[0].tolist()]
        tokens = evaluation.generate(self.objective, prompt, ADDED, self.question.temperature,
                                     generator=torch.Generator().manual_seed(self.seed))       # [n + ADDED]
        added = tokens[len(prompt):]
        ends = ((added == SEP) | (added == PAD)).nonzero().flatten().tolist()
        text = continued(self.dataset, tokens[: len(prompt)], added[: ends[0]] if ends else added)
        return replace(reading, follows=text + (" ∎" if ends else ""))


def continued(dataset, prompt: Tensor, added: Tensor) -> str:
    """What the added tokens [m] put behind the text of the prompt's [n]; spaces are as in the whole."""
    before, whole = dataset.decode(prompt), dataset.decode(torch.cat([prompt, added]))
    before = before.rstrip("\ufffd")                                 # a character that is not finished yet
    return whole[len(before):] if whole.startswith(before) else dataset.decode(added)


def as_reading(name: str, text: str) -> Reading:
    """A text of `Objective.readings` as it is kept.

    Raises:
        ValueError: it is no text.
    """
    if not isinstance(text, str):
        raise ValueError(f"readings: row {name!r} got {type(text).__name__}, takes a str")  # noqa: TRY004
    return Reading("", text)


# ---- texts that are always the same


def held_out_blank(dataset, seed: int) -> Reading | None:
    """A validation text with one of its longer words hidden: one that is a single token, away from the ends."""
    fallback = None
    for text, label in _held_out(dataset, seed):
        found = list(WORD.finditer(text))
        inside = [word for word in found[1:-1] if word.start() > 0 and text[word.start() - 1] == " "]
        for word in sorted(inside, key=lambda word: -len(word.group())):
            codes = dataset.tokenizer.encode_corpus([" " + word.group(), word.group()])
            whole = any(len(code) == 1 and code[0] != UNK for code in codes)
            start = word.start() if whole else word.end() - 1        # else its last letter, where each is a token
            reading = Reading(text[:start] + MASK_TEXT + text[word.end():], truth=text[start: word.end()],
                              source=_source(dataset, label))
            if whole and len(word.group()) >= 4 and len(found) >= 6:
                return reading
            fallback = fallback or reading
    return fallback


def held_out_beginning(dataset, seed: int) -> Reading | None:
    """The beginning of a validation text, and what followed in it."""
    fallback = None
    for tokens, label in _rows(dataset, seed):
        words = tokens[(tokens != CLS) & (tokens != PAD)]            # [n]
        if not dataset.continuous:
            words = words[words != SEP]
        if len(words) < 2:
            continue
        first = int(dataset.tokenizer.starts[words.long()][:8].int().argmax())       # a window may begin inside a word
        words = words[first:]
        given = min(BEGINNING, len(words) // 2)
        if given == 0:
            continue
        prompt, whole = (dataset.decode(words[:n]).strip("\ufffd").strip() for n in (given, given + ADDED))
        reading = Reading(prompt, truth=whole[len(prompt):] if whole.startswith(prompt) else "", source=_source(dataset, label))
        whole = SEP not in words[: given + ADDED].tolist() and "\ufffd" not in reading.prompt
        if whole and given >= min(BEGINNING, 4):
            return reading
        fallback = fallback or reading
    return fallback


def _rows(dataset, seed: int) -> Iterator[tuple[Tensor, int]]:
    """Some validation rows [T] with their labels, in an order that depends on the seed."""
    split = dataset.validation
    for row in torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:TRIED].tolist():
        yield split.tokens[row], int(split.labels[row])


def _held_out(dataset, seed: int) -> Iterator[tuple[str, int]]:
    for tokens, label in _rows(dataset, seed):
        yield dataset.decode(tokens).strip("\ufffd").strip(), label


def _source(dataset, label: int) -> str:
    return dataset.class_names[label] if 0 <= label < len(dataset.class_names) else dataset.name


# ---- what the map and the probe need to know of texts


def how_many(context: int, most: int) -> int:
    """Validation texts to look at: reading them costs by the token."""
    return min(most, max(FEWEST, TOKENS // context))


def lines(dataset, rows: Tensor) -> list[str]:
    """Tokens [N, T] as the beginnings of texts, for the pointer on the map."""
    return [dataset.decode(row[: LINE // 2])[:LINE].strip() for row in rows]


def bag_of_words(tokens: Tensor, vocabulary: int) -> Tensor:
    """The first control: which tokens a text has, in no order. [N, T] -> float32 [N, V].

    The root of the mean of its one-hot tokens, special ones left out: the root makes frequent words count for less.
    """
    tokens = tokens.long()
    words = in_text(tokens).float()                                  # [N, T]
    counts = torch.zeros(len(tokens), vocabulary).scatter_add_(1, tokens, words)     # [N, V]
    return (counts / words.sum(dim=1, keepdim=True).clamp(min=1)).sqrt()
