"""Models that only count: what a neural language model must beat. Words between their neighbours, and n-grams."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch

from sslab._names import choose
from sslab.datasets.tokenizer import CLS, PAD, SEP
from sslab.evaluation.language import (
    HiddenWord,
    TextScore,
    _part,
    _pieces,
    is_word,
    sees_case,
    stream_texts,
    units,
)

FIT_PLACES = 200_000                                                 # of validation text, for the discounts
GUESSES = ("most frequent", "left neighbour", "both neighbours")
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)                              # tried by WordCounts.fit


# ---- words between their neighbours


class _Table:
    """How often each word was seen in a context (a whole number): c(context, word)."""

    def __init__(self, contexts: np.ndarray, words: np.ndarray, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.keys, self.counts = np.unique(contexts * vocabulary + words, return_counts=True)

    def of(self, context: int) -> tuple[np.ndarray, np.ndarray]:
        """Words seen in the context, and how often."""
        start, end = np.searchsorted(self.keys, [context * self.vocabulary, (context + 1) * self.vocabulary])
        return self.keys[start:end] - context * self.vocabulary, self.counts[start:end]

    def added(self, prior: np.ndarray, context: int | None) -> np.ndarray:
        """The counts of a context on top of `prior` [V]; of an unknown context there are none."""
        if context is not None:
            words, counts = self.of(context)
            prior[words] += counts                                   # prior is the caller's fresh array
        return prior


class WordCounts:
    """Guess a hidden word from counts in training texts: how frequent it is, and what stood beside it.

    "most frequent" is c(w) / N. "left neighbour" is (c(l, w) + a p(w)) / (c(l) + a). "both neighbours" is
    (c(l, w, r) + b q(w)) / (c(l, r) + b), where q(w) is proportional to p(w | l) p(r | w), what a chain of pairs says of a word
    between two others, with p(r | w) = (c(w, r) + a p(r)) / (c(w) + a). The strengths a and b say how many
    sightings the shorter context is worth; `fit` chooses them on validation words, for each of the two models.

    Args:
        texts: to count in.
        lower: whether case is dropped.
        among: the only words that may be guessed; all that were seen if None.
    Raises:
        ValueError: no words in the texts.
    Source:
        Smoothing towards the shorter context: MacKay and Peto 1995, Natural Language Engineering 1(3).
    """

    def __init__(self, texts: Iterable[str], lower: bool = True, among: Collection[str] | None = None) -> None:
        self.lower = lower
        found = [[unit for unit, _, _ in units(text.lower() if lower else text)] for text in texts]
        frequency = Counter(unit for text in found for unit in text)
        if not any(map(is_word, frequency)):
            raise ValueError("texts: got none with a word in it, takes at least one")
        ordered = sorted(frequency, key=lambda unit: (-frequency[unit], unit))
        self.units = ["", *ordered]                                  # "" stands beyond both ends of a text
        self.ids = {unit: i for i, unit in enumerate(self.units)}
        allowed = set(among) if among is not None else None
        self.guessable = np.array([is_word(unit) and (allowed is None or unit in allowed) for unit in self.units])
        if not self.guessable.any():
            raise ValueError("among: got no word that was seen in the texts, takes at least one")
        stream = np.array([0, *(i for text in found for i in (*map(self.ids.get, text), 0))])        # texts, 0 between them
        left, word, right = stream[:-2], stream[1:-1], stream[2:]
        real = word != 0
        left, word, right = left[real], word[real], right[real]
        size = len(self.units)
        self.left, self.right = _Table(left, word, size), _Table(right, word, size)
        self.both = _Table(left * size + right, word, size)
        self.counts = np.bincount(word, minlength=size).astype(float)
        self.frequent = self._share(self.counts)                     # [V]
        self.next = (np.bincount(right, minlength=size) + 1) / (len(right) + size)                  # p(r), never 0
        self.strengths = (3.0, 3.0, 3.0)                             # a for the left alone, a and b for both

    def fit(self, hidden: Sequence[HiddenWord]) -> "WordCounts":
        """Choose the strengths that put these words nearest to the top (mean of 1 / place); they must be no test words.

        Raises:
            ValueError: none of the words can be guessed.
        """
        known = [each for each in hidden if self._id(each.word) and self.guessable[self._id(each.word)]]
        if not known:
            raise ValueError("hidden: got no word that can be guessed, takes at least one")

        def near(alone: float, a: float, b: float, with_right: bool) -> float:
            self.strengths = (alone, a, b)
            shares = (self.probabilities(each.left, each.right if with_right else None) for each in known)
            return float(np.mean([1 / self._rank(each.word, share) for each, share in zip(known, shares, strict=True)]))

        alone = max(STRENGTHS, key=lambda strength: near(strength, 1.0, 1.0, False))
        pairs = [(a, b) for a in STRENGTHS for b in STRENGTHS]
        self.strengths = (alone, *max(pairs, key=lambda pair: near(alone, *pair, True)))
        return self

    def probabilities(self, left: str | None = None, right: str | None = None) -> np.ndarray:
        """Of every unit in `.units` to stand between two neighbours, or after `left` alone, or anywhere: [V], sum 1."""
        alone, a, b = self.strengths
        if left is None:
            return self.frequent
        before, after = self._id(left), None if right is None else self._id(right)
        if after is None:
            return self._share(self.left.added(alone * self.frequent, before))               # [V]
        share = self.left.added(a * self.frequent, before)
        follows = self.right.added(np.full(len(share), a * self.next[after]), after)         # c(w, r) + a p(r)
        share = b * self._share(share * follows / (self.counts + a))
        return self._share(self.both.added(share, None if before is None else before * len(self.units) + after))

    def accuracy(self, hidden: Sequence[HiddenWord], top: tuple[int, ...] = (1, 5)) -> dict[str, dict[int, float]]:
        """How often the word is among the first k guesses: "most frequent", "left neighbour", "both neighbours" -> k -> share.

        A word that was never seen is never found. Of equally likely words the more frequent comes first.

        Raises:
            ValueError: no words, or a k below 1.
        """
        if not hidden or not top or min(top) < 1:
            raise ValueError(f"hidden, top: got {len(hidden)} words and top {top}, takes at least 1 word, and numbers from 1")
        ranks = np.array([[self._rank(each.word, share) for share in (
            self.frequent, self.probabilities(each.left), self.probabilities(each.left, each.right))] for each in hidden])
        return {name: {k: float((column <= k).mean()) for k in top} for name, column in zip(GUESSES, ranks.T, strict=True)}

    def guess(self, left: str, right: str | None = None, top: int = 5) -> list[tuple[str, float]]:
        """The most likely words after `left` (and before `right`), with their probabilities."""
        share = self.probabilities(left, right)
        return [(self.units[i], float(share[i])) for i in np.argsort(-share, kind="stable")[:top]]

    def _id(self, unit: str) -> int | None:
        return self.ids.get(unit.lower() if self.lower else unit)

    def _rank(self, word: str, share: np.ndarray) -> float:
        i = self._id(word)
        if i is None or not self.guessable[i]:
            return np.inf
        return 1 + (share > share[i]).sum() + (share[:i] == share[i]).sum() - (~self.guessable[:i]).sum() * (share[i] == 0)

    def _share(self, share: np.ndarray) -> np.ndarray:
        share = share * self.guessable
        return share / share.sum()


def count_words(dataset, one_piece: bool = False) -> WordCounts:
    """Count words in a dataset's training texts.

    Args:
        dataset: a TextDataset; case is dropped where its tokeniser drops it.
        one_piece: guess only words that are one token, as who is asked for such words knows.
    """
    split = _part(dataset, "train")
    if dataset.continuous:
        texts = [text for text, _ in stream_texts(dataset, "train")]
    else:
        texts = [dataset.texts[index] for index in split.indices.tolist()]
    lower, among = not sees_case(dataset), None
    if one_piece:
        words = sorted({unit for text in texts for unit, _, _ in units(text.lower() if lower else text) if is_word(unit)})
        spaced = _pieces(dataset, [" " + word for word in words])
        among = [word for word, pieces in zip(words, spaced, strict=True) if len(pieces) == 1]
    return WordCounts(texts, lower, among)


# ---- n-grams


class NGram:
    """An interpolated Kneser-Ney model: each token from up to `order` tokens before it.

        p_k(w | h) = (c(h w) - D(c)) / c(h) + (D_1 N_1(h) + D_2 N_2(h) + D_3 N_3(h)) / c(h) * p_(k-1)(w | shorter h)

    c counts sightings where h has `order` tokens, and below how many different tokens stand before h w; N_i(h) is how
    many tokens follow h once, twice, three times or more; a context never seen hands on to the shorter one; below order
    0 all tokens are equally likely. The discounts D have a closed form, and `fit` moves them to what a validation
    text likes best.

    Each gram is a number: its place among all grams of its length, which are sorted by (the gram without its first
    token, that first token). So one array a length, and a whole text is looked up at once.

    Args:
        tokens: the training text, whole numbers [n].
        vocabulary: they are below it.
        order: how many tokens before, from 0 (how frequent each token is).
        discounts: one number from 0 to 1 for all; the closed form if None.
    Raises:
        ValueError: a text no longer than the order, tokens outside the vocabulary, or a number out of its range.
    Source:
        Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", TR-10-98 of
        Harvard's Center for Research in Computing Technology, section 3.
    """

    def __init__(self, tokens, vocabulary: int, order: int, discounts: float | None = None) -> None:
        if order != int(order) or order < 0:
            raise ValueError(f"order: got {order}, takes a whole number from 0")
        if discounts is not None and not 0 <= discounts <= 1:
            raise ValueError(f"discounts: got {discounts}, takes a number from 0 to 1, or None")
        self.vocabulary, self.order = int(vocabulary), int(order)
        x = self._checked(tokens)                                    # [n]
        if len(x) <= order:
            raise ValueError(f"tokens: got {len(x)}, takes more than the order ({order})")
        gram, seen = x, np.bincount(x, minlength=self.vocabulary)
        self.keys, sightings, context_of = [np.arange(self.vocabulary)], [seen], [np.zeros(self.vocabulary, dtype=np.int64)]
        for k in range(1, self.order + 1):                           # gram[i] ends at x[i + k - 1]
            keys, longer, seen = np.unique(gram[1:] * self.vocabulary + x[: len(x) - k], return_inverse=True, return_counts=True)
            context = np.empty(len(keys), dtype=np.int64)
            context[longer] = gram[:-1]                              # the gram without its last token
            gram = longer
            self.keys.append(keys)
            sightings.append(seen)
            context_of.append(context)
        self.counts, self.totals, self.follow, self.discounts = [], [], [], np.zeros((self.order + 1, 3))
        for k in range(self.order + 1):
            count = sightings[k]
            if k < self.order:                                       # how many different tokens stand before the gram
                count = np.bincount(self.keys[k + 1] // self.vocabulary, minlength=len(self.keys[k]))
            contexts = 1 if k == 0 else len(self.keys[k - 1])
            self.counts.append(count)
            self.totals.append(np.bincount(context_of[k], count, minlength=contexts))                # c(h)
            level = np.minimum(count, 3)
            follow = np.bincount(context_of[k] * 4 + level, minlength=4 * contexts).reshape(-1, 4)[:, 1:]
            self.follow.append(follow)                               # N_1, N_2, N_3, [contexts, 3]
            self.discounts[k] = _closed_form(count) if discounts is None else discounts

    def fit(self, tokens) -> "NGram":
        """Move the discounts to where a validation text [n] is most likely; of a long one an even choice of places."""
        x = self._checked(tokens)
        some = np.unique(np.linspace(0, len(x) - 1, min(len(x), FIT_PLACES)).round().astype(np.int64))
        levels = [[torch.from_numpy(part[some].astype(np.float64)) for part in level] for level in self._levels(x)]
        most = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)    # a discount is no more than its count
        start = torch.from_numpy(self.discounts / most.numpy()).clamp(0.01, 0.99)
        raw = start.logit().requires_grad_()                         # [order + 1, 3]
        optimizer = torch.optim.LBFGS([raw], max_iter=60, line_search_fn="strong_wolfe")

        def cost() -> torch.Tensor:
            optimizer.zero_grad()
            discounts, p = raw.sigmoid() * most, 1 / self.vocabulary
            for k, (count, total, follow) in enumerate(levels):
                off = torch.cat([discounts.new_zeros(1), discounts[k]])[count.clamp(max=3).long()]
                here = (count - off + (follow @ discounts[k]) * p) / total.clamp(min=1)
                p = torch.where(total > 0, here, p)
            loss = -p.log().mean()
            loss.backward()
            return loss

        optimizer.step(cost)
        self.discounts = (raw.detach().sigmoid() * most).numpy()
        return self

    def log_probabilities(self, tokens) -> np.ndarray:
        """Natural logarithm of each token's probability, given those before it in the same text: [n] -> [n]."""
        return np.log(self._interpolated(self._levels(self._checked(tokens))))

    def next_probabilities(self, past) -> np.ndarray:
        """Of every token to come next: [V], sum 1. Of the past only the last `order` tokens count; it may be empty."""
        past = self._checked(past)[::-1][: self.order]
        gram = np.arange(self.vocabulary)
        context = np.zeros(self.vocabulary, dtype=np.int64)
        levels = [(self.counts[0], self.totals[0][context], self.follow[0][context])]
        for k, token in enumerate(past, start=1):
            context = context * 0 + token if k == 1 else self._find(k - 1, context, np.full_like(context, token))
            gram = self._find(k, gram, np.full_like(gram, token))
            levels.append(self._level(k, gram, context))
        return self._interpolated(levels)

    def sample(self, past, length: int, seed: int = 0) -> list[int]:
        """Tokens [length] that follow `past`, drawn one by one."""
        random, tokens = np.random.default_rng(seed), list(past)
        for _ in range(length):
            share = self.next_probabilities(tokens[-self.order:] if self.order else [])
            tokens.append(int(random.choice(self.vocabulary, p=share / share.sum())))
        return tokens[len(past):]

    def _checked(self, tokens) -> np.ndarray:
        x = np.asarray(tokens, dtype=np.int64)
        if x.ndim != 1 or (len(x) and not 0 <= x.min() <= x.max() < self.vocabulary):
            raise ValueError(f"tokens: got shape {list(x.shape)}" + (f" from {x.min()} to {x.max()}" if x.size else "")
                             + f", takes whole numbers [n] from 0 to {self.vocabulary - 1}")
        return x

    def _find(self, k: int, shorter: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Numbers of the grams of length k + 1 made of these shorter ones with `first` put before; -1: never seen."""
        key = shorter * self.vocabulary + first
        at = np.searchsorted(self.keys[k], key).clip(max=len(self.keys[k]) - 1)
        return np.where((shorter >= 0) & (self.keys[k][at] == key), at, -1)

    def _level(self, k: int, gram: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = context >= 0
        return (np.where(gram >= 0, self.counts[k][gram], 0), np.where(known, self.totals[k][context], 0),
                self.follow[k][context] * known[:, None])

    def _levels(self, x: np.ndarray):
        """For each length of context: c(h w), c(h) and N(h) at every place of a text: [n], [n], [n, 3]."""
        zero = np.zeros(len(x), dtype=np.int64)
        yield self.counts[0][x], self.totals[0][zero], self.follow[0][zero]
        gram = x
        for k in range(1, self.order + 1):
            missing = np.full(min(k, len(x)), -1)                    # the text's first tokens have no such context
            if len(gram) > 1:
                context, gram = gram[:-1], self._find(k, gram[1:], x[: len(x) - k])
            else:
                context = gram = gram[:0]
            yield self._level(k, np.concatenate([missing, gram]), np.concatenate([missing, context]))

    def _interpolated(self, levels) -> np.ndarray:
        p = 1 / self.vocabulary
        for k, (count, total, follow) in enumerate(levels):
            off = np.concatenate([[0.0], self.discounts[k]])[np.minimum(count, 3)]
            p = np.where(total > 0, (count - off + (follow @ self.discounts[k]) * p) / np.maximum(total, 1), p)
        return p


def _closed_form(count: np.ndarray) -> np.ndarray:
    """Discounts for grams counted once, twice and more often: Chen and Goodman 1998, equation 26. Each in 0 to its count."""
    n = np.bincount(np.minimum(count, 5), minlength=6).astype(float)[1:5]
    if n[0] == 0:                                                    # nothing rare here: hardly anything to hold back
        return np.array([0.1, 0.1, 0.1])
    y = n[0] / (n[0] + 2 * n[1])
    wanted = [i - (i + 1) * y * n[i] / n[i - 1] if n[i - 1] else i * y for i in (1, 2, 3)]
    return np.clip(wanted, 0.01, [0.99, 1.99, 2.99])


class TextNGram:
    """An n-gram model of a dataset's training texts, its discounts fitted on the validation part.

    Args:
        dataset: a TextDataset.
        order: how many characters (or tokens) before each count.
        unit: "characters" of the text that the tokeniser gives back, or its "tokens". The end of a text is one more symbol,
            and so is every character that the training texts do not have.
    Raises:
        ValueError: no such unit, or a part without texts.
    """

    def __init__(self, dataset, order: int = 6, unit: str = "characters") -> None:
        self.dataset, self.unit = dataset, choose(unit, ("characters", "tokens"), "unit")
        train = stream_texts(dataset, "train")
        letters = sorted({letter for text, _ in train for letter in text}) if unit == "characters" else []
        self.letters = {letter: i for i, letter in enumerate(letters, start=2)}             # 0: end of a text, 1: unknown
        self._table = np.ones(max(map(ord, letters), default=0) + 2, dtype=np.int64)        # the last one: for what lies beyond
        for letter, i in self.letters.items():
            self._table[ord(letter)] = i
        vocabulary = len(letters) + 2 if letters else dataset.vocabulary
        self.model = NGram(self._symbols(train, "train"), vocabulary, order)
        self.model.fit(self._symbols(stream_texts(dataset, "validation"), "validation"))

    def score(self, part: str = "test") -> TextScore:
        """What a part costs, begun after the end of another text: `.bits_per_character`, `.perplexity` of its unit."""
        texts = stream_texts(self.dataset, part)
        symbols = self._symbols(texts, part)
        from_before = np.concatenate([[self._end], symbols])         # the same start as `score_text` gives a GPT
        nats = -float(self.model.log_probabilities(from_before)[1:].sum())
        return TextScore(nats, len(symbols), sum(len(text) for text, _ in texts))

    def sample(self, text: str, length: int, seed: int = 0) -> str:
        """How the model goes on after a text, by so many characters (or tokens)."""
        if self.unit == "tokens":
            tokens = self.model.sample(_pieces(self.dataset, [text])[0], length, seed)
            return self.dataset.decode(torch.tensor([token for token in tokens if token != self._end]))
        names = {i: letter for letter, i in self.letters.items()}
        return "".join(names.get(i, "\n") for i in self.model.sample(self._codes(text), length, seed))

    @property
    def _end(self) -> int:
        return SEP if self.unit == "tokens" else 0

    def _codes(self, text: str) -> np.ndarray:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        return self._table[np.minimum(points, len(self._table) - 1)]

    def _symbols(self, texts: list[tuple[str, bool]], part: str) -> np.ndarray:
        if self.unit == "tokens":
            tokens = _part(self.dataset, part).tokens.flatten().numpy().astype(np.int64)
            return tokens[(tokens != PAD) & (tokens != CLS)]
        pieces = [self._codes(text + "\0") if ended else self._codes(text) for text, ended in texts]
        for piece, (_, ended) in zip(pieces, texts, strict=True):
            if ended:
                piece[-1] = 0
        return np.concatenate(pieces)
