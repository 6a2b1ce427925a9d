"""Language models measured: sampling from one, held-out text in bits, and words hidden from one."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import is_whole, takes
from sslab._names import choose
from sslab.datasets.base import PARTS
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP, UNK, in_text
from sslab.objectives.base import evaluating

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")                        # letters and digits, apostrophes inside
MASK_TEXT = "[MASK]"
UNKNOWN = "\ufffd"                                                   # a character that the tokeniser does not have


# ---- sampling


@takes(logits="float [..., V]")
def next_probabilities(logits: Tensor, temperature: float = 1.0, top_k: int | None = None,
                       top_p: float | None = None) -> Tensor:
    """What is sampled from: a softmax, sharpened or flattened, then cut to its likely tokens.

    In this order: logits / temperature, the `top_k` largest, of these the smallest set that reaches `top_p`,
    renormalised each time. Of equal tokens those with the smaller number are kept.

    Args:
        logits: [..., V].
        temperature: below 1 sharper, above 1 flatter; 0 is the most likely token, always.
        top_k: how many tokens may be drawn, 1 or more; more than V, or None, keeps all.
        top_p: above 0 and at most 1; the most likely tokens until they hold this much together (to 1e-6), at least one.
    Returns:
        [..., V], each row sums to 1; float64.
    Raises:
        ValueError: a setting out of its range.
    Source:
        top-k: Fan et al. 2018, arXiv:1805.04833, section 3.3. top-p: Holtzman et al. 2019, arXiv:1904.09751, section 3.1.
    """
    _check_sampling(temperature, top_k, top_p)
    logits = logits.double()
    if temperature == 0:
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).double()
    logits = (logits - logits.amax(dim=-1, keepdim=True)) / temperature          # the largest is 0: finite at any temperature
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)           # [..., V]
    if top_k is not None:
        ordered[..., top_k:] = -math.inf
    share = ordered.softmax(dim=-1)
    if top_p is not None and top_p < 1:
        before = share.cumsum(dim=-1) - share                                    # what more likely tokens hold
        keep = before < top_p - 1e-6
        keep[..., 0] = True
        share = share * keep
        share = share / share.sum(dim=-1, keepdim=True)
    return torch.zeros_like(share).scatter(-1, order, share)


def _check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature: got {temperature}, takes a number from 0")
    if top_k is not None and (top_k != int(top_k) or top_k < 1):
        raise ValueError(f"top_k: got {top_k}, takes a whole number from 1, or None")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p: got {top_p}, takes a share above 0 and at most 1, or None")


def _as_tokens(prompt) -> Tensor:
    """A list or tensor of whole numbers -> int64 on the CPU."""
    try:
        tokens = torch.as_tensor(prompt)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"prompt: got a value of type {type(prompt).__name__}, takes a list or a tensor of tokens") from None
    if tokens.numel() and not is_whole(tokens):
        raise TypeError(f"prompt: got {tokens.dtype} {list(tokens.shape)}, takes whole numbers")
    return tokens.long().cpu()


@takes()
def generate(gpt: nn.Module, prompt, length: int, temperature: float = 1.0, top_k: int | None = None,
             top_p: float | None = None, generator: torch.Generator | None = None, cache: bool = True) -> Tensor:
    """Continue a prompt, token by token, each drawn from `next_probabilities`.

    The model sees a window of at most its context (or the knob `context`, where that is shorter). When the window is
    full, its older half is forgotten and it grows again from there: so at least half a context is always seen, and
    with a cache a token costs one new row but for one re-reading every half context. A prompt longer than the context is cut
    to its end. With and without a cache the windows are the same.

    Args:
        gpt: the objective `GPT`. With its causal mask off nothing can be cached: the window is read anew for each token.
        prompt: tokens [n], or [B, n] for B continuations; a list or a tensor, n at least 1. [SEP] alone starts a text.
        length: how many tokens to add, from 0.
        temperature, top_k, top_p: see `next_probabilities`. Temperature 0 draws nothing.
        generator: on the CPU; torch's own if None. One number is drawn for each token and row, whatever the settings.
        cache: keep keys and values of what was read; False computes all anew, for comparison.
    Returns:
        int64 on the CPU, [n + length] or [B, n + length]: the prompt, then what follows.
    Raises:
        ValueError: an empty prompt, tokens outside the vocabulary, a setting out of its range, or scores that are no numbers.
    """
    prompt = _as_tokens(prompt)
    steps = generate_steps(gpt, prompt, length, temperature, top_k, top_p, generator, cache)
    added = [token for token, _ in steps]                                        # length times [B]
    if not added:
        return prompt
    added = torch.stack(added, dim=1)                                            # [B, length]
    return torch.cat([prompt, added if prompt.ndim == 2 else added[0]], dim=-1)


@takes()
def generate_steps(gpt: nn.Module, prompt, length: int, temperature: float = 1.0, top_k: int | None = None,
                   top_p: float | None = None, generator: torch.Generator | None = None,
                   cache: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
    """As `generate`, one step at a time: yields the tokens drawn [B] and what they were drawn from [B, V]."""
    prompt = _as_tokens(prompt)
    _check_sampling(temperature, top_k, top_p)
    if length != int(length) or length < 0:
        raise ValueError(f"length: got {length}, takes a whole number from 0")
    if prompt.ndim not in (1, 2) or prompt.shape[-1] == 0:
        raise ValueError(f"prompt: got shape {list(prompt.shape)}, takes tokens [n] or [B, n], n at least 1")
    vocabulary = gpt.encoder.vocabulary
    if prompt.numel() and not 0 <= int(prompt.min()) <= int(prompt.max()) < vocabulary:
        raise ValueError(f"prompt: got tokens from {int(prompt.min())} to {int(prompt.max())}, takes 0 to {vocabulary - 1}")
    return _steps(gpt, prompt[None] if prompt.ndim == 1 else prompt, int(length), temperature, top_k, top_p, generator, cache)


def _steps(gpt, window, length, temperature, top_k, top_p, generator, cache) -> Iterator[tuple[Tensor, Tensor]]:
    context = _context(gpt)
    window = window[:, -context:]                                                # [B, n]
    cache = cache and getattr(gpt, "causal", True)
    kept, new = None, window
    for _ in range(length):
        if cache and kept is None:
            kept = gpt.encoder.new_cache()
        logits = _last_logits(gpt, new if cache else window, kept)               # [B, V]
        share = next_probabilities(logits, temperature, top_k, top_p)
        reach = share.cumsum(dim=-1)                                             # [B, V]
        drawn = torch.rand(len(window), 1, generator=generator, dtype=torch.float64)
        token = torch.searchsorted(reach, drawn * reach[:, -1:], right=True).clamp(max=share.shape[-1] - 1)      # [B, 1]
        yield token[:, 0], share
        window, new = torch.cat([window, token], dim=1), token
        if window.shape[1] > context:                                            # forget the older half, and read the rest anew
            window = window[:, -max(1, context - context // 2):]
            kept, new = None, window


@torch.no_grad()
def _last_logits(gpt: nn.Module, tokens: Tensor, cache) -> Tensor:
    """Scores of what follows the last of the tokens [B, n] -> [B, V], on the CPU."""
    tokens = tokens.to(_device(gpt))
    with evaluating(gpt):
        if cache is None:
            logits = gpt.logits(tokens)[:, -1]
        else:
            logits = gpt.encoder.scores(gpt.encoder.hidden(tokens, causal=True, cache=cache)[:, -1])
    logits = logits.float().cpu()
    if not bool(logits.isfinite().all()):
        raise ValueError("gpt: got scores that are not finite; its training has diverged")
    return logits


# ---- held-out text


@dataclass(frozen=True)
class TextScore:
    """How well a model foretold a text. nats: minus the sum of log-probabilities of its tokens.

    tokens: how many these were. characters: of the text that they stand for, ends of texts not counted.
    """

    nats: float
    tokens: int
    characters: int

    @property
    def perplexity(self) -> float:
        """exp of the nats a token: from how many equally likely tokens it would be as hard to choose."""
        return math.exp(min(self.nats / self.tokens, 700))

    @property
    def bits_per_character(self) -> float:
        """The same whatever a token is, so that models with different tokenisers compare."""
        return self.nats / (math.log(2) * self.characters)


@torch.no_grad()
def score_text(gpt: nn.Module, dataset, part: str = "test", stride: int | None = None, windows: int | None = None,
               batch_size: int = 32) -> TextScore:
    """What a split's text costs a model that reads it from left to right.

    Where rows are windows of whole texts (`dataset.continuous`) the split is one stream of tokens, begun by [SEP],
    and every token is scored once: windows of the context's length move on by `stride`, and each scores what the one
    before had not reached. So a token has at least context - stride tokens on its left, but for the first ones of
    the stream. The [SEP] that ends a text costs its nats too and is no character.
    Where a row is a text, each row is scored alone from its second token on, PAD left out.

    Args:
        gpt: the objective `GPT`, with the knobs it has: with the causal mask off it has seen what it is asked.
        part: "train", "validation" or "test".
        stride: from 1 (slow, most context) to the context's length; half of it if None.
        windows: only so many windows (or rows), spread evenly over the part: an estimate in less time.
        batch_size: windows at once.
    Raises:
        ValueError: no such part, an empty one, or a number out of its range.
    """
    context = _context(gpt)
    rows = _part(dataset, part).tokens.long()                                    # [N, T]
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise ValueError(f"stride: got {stride}, takes 1 to the context's length ({context})")
    if windows is not None and windows < 1:
        raise ValueError(f"windows: got {windows}, takes a whole number from 1, or None")
    if dataset.continuous:
        stream = rows.flatten()                                                  # [n]
        read = torch.cat([torch.tensor([SEP]), stream])[:-1]                     # what comes before each token
        width = min(context, len(stream))
        ends = torch.tensor([*range(width, len(stream), stride), len(stream)])
        done = torch.cat([torch.zeros(1, dtype=torch.long), ends[:-1]])          # scored by the windows before
        places = (ends - width)[:, None] + torch.arange(width)                   # [W, width]
        counted = places >= done[:, None]
        inputs, targets = read[places], stream[places]
    else:
        rows = rows[:, : context + 1]
        inputs, targets = rows[:, :-1], rows[:, 1:]
        counted = targets != PAD
    whole = windows is None or windows >= len(inputs)
    if not whole:
        some = torch.linspace(0, len(inputs) - 1, windows).round().long().unique()
        inputs, targets, counted = inputs[some], targets[some], counted[some]
    nats, device = 0.0, _device(gpt)
    with evaluating(gpt):
        for x, y, c in zip(inputs.split(batch_size), targets.split(batch_size), counted.split(batch_size), strict=True):
            logits = gpt.logits(x.to(device)).float()                            # [B, T, V]
            cost = F.cross_entropy(logits.flatten(0, 1), y.flatten().to(device), reduction="none")
            nats += float((cost.double().cpu() * c.flatten()).sum())
    if dataset.continuous and whole:
        texts = [text for text, _ in stream_texts(dataset, part)]
    else:
        texts = [_text(dataset, y[c]) for y, c in zip(targets, counted, strict=True)]
    return TextScore(nats, int(counted.sum()), sum(map(len, texts)))


def perplexity(gpt: nn.Module, dataset, part: str = "test", **options) -> float:
    """exp of the nats a token on a split; depends on the tokeniser. Options and protocol: `score_text`."""
    return score_text(gpt, dataset, part, **options).perplexity


def bits_per_character(gpt: nn.Module, dataset, part: str = "test", **options) -> float:
    """Bits for each character of a split's text; compares models with different tokenisers. As `score_text` does it.

    The characters are those that the tokeniser gives back: a tokeniser that drops case, or knows no rare letters, has an
    easier text to foretell, and does not compare.
    """
    return score_text(gpt, dataset, part, **options).bits_per_character


def stream_texts(dataset, part: str) -> list[tuple[str, bool]]:
    """A split's texts as its tokens give them back, in order, each with whether its end is marked in the data."""
    rows = _part(dataset, part).tokens.long()
    found = []
    for stretch in [rows.flatten()] if dataset.continuous else rows:
        ends = (stretch == SEP).nonzero().flatten().tolist()
        starts = [0, *(end + 1 for end in ends)]
        for start, end in zip(starts, [*ends, len(stretch)], strict=True):
            text, ended = _text(dataset, stretch[start:end]), end < len(stretch)
            if text or ended:
                found.append((text, ended))
    return found


# ---- hidden words


@dataclass(frozen=True)
class HiddenWord:
    """A word of a held-out text that was taken out of it.

    row: of the part. word, left, right: itself and its neighbours (words or marks), "" beyond the text's ends.
    tokens: the text with [MASK] for every piece of the word. place: of the first one. pieces: what stood there.
    """

    row: int
    word: str
    left: str
    right: str
    tokens: tuple[int, ...]
    place: int
    pieces: tuple[int, ...]


def units(text: str) -> list[tuple[str, int, int]]:
    """Words, and marks one by one, with where they start and end."""
    return [(found.group(), *found.span()) for found in _UNIT.finditer(text)]


_UNIT = re.compile(rf"{WORD.pattern}|[^\w\s]|_")


def is_word(unit: str) -> bool:
    """A word, and no mark."""
    return WORD.fullmatch(unit) is not None


def sees_case(dataset) -> bool:
    """Whether the tokeniser tells "The" from "the"."""
    return _pieces(dataset, ["The"]) != _pieces(dataset, ["the"])


def hidden_words(dataset, part: str = "test", words: int | None = 5000, seed: int = 0,
                 one_piece: bool = False, context: int | None = None) -> list[HiddenWord]:
    """Words to be guessed, drawn evenly from all words of a part, each hidden alone in its text.

    All else of the text stays in sight, so that a model that counts neighbours always has both. Each piece of the word
    becomes one [MASK]: who guesses is told how many pieces there are. Left out are words that the tokeniser cannot
    write and those beyond the context; in windows of longer texts also a window's first and last word, which may be cut.

    Args:
        dataset: a TextDataset.
        part: "train", "validation" or "test".
        words: how many at most; all if None.
        seed: of the draw.
        one_piece: only words that are one token, for a comparison with models of whole words.
        context: of the model that will read them, where it is shorter than the dataset's.
    Raises:
        ValueError: no such part, or `words` below 1.
    """
    if words is not None and words < 1:
        raise ValueError(f"words: got {words}, takes a whole number from 1, or None")
    split = _part(dataset, part)
    if dataset.continuous:
        texts = [_text(dataset, row) for row in split.tokens.long()]
    else:
        texts = [dataset.texts[index] for index in split.indices.tolist()]
    if not sees_case(dataset):
        texts = [text.lower() for text in texts]
    inside = 1 if dataset.continuous else 0
    parts = [units(text) for text in texts]
    places = [(row, at) for row, found in enumerate(parts)
              for at in range(inside, len(found) - inside) if is_word(found[at][0])]
    context = min(dataset.context, context or dataset.context)
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed)).tolist()
    words = len(places) if words is None else words
    hidden: list[HiddenWord] = []
    for start in range(0, len(order), 2000):
        if len(hidden) >= words:
            break
        chosen = [places[i] for i in order[start: start + 2000]]
        hidden += _hide(dataset, texts, parts, chosen, one_piece, context)
    return hidden[:words]


def _hide(dataset, texts: list[str], parts: list, chosen: list[tuple[int, int]], one_piece: bool,
          context: int) -> list[HiddenWord]:
    cut = []                                                                     # text before, the word as it stands, text after
    for row, at in chosen:
        word, start, end = parts[row][at]
        start -= texts[row][:start].endswith(" ")                                # a space may belong to the word's first piece
        cut.append((texts[row][:start], texts[row][start:end], word, texts[row][end:]))
    before, spaced, bare, after = (_pieces(dataset, list(column)) for column in zip(*cut, strict=True))
    head, tail = _frame(dataset)
    hidden = []
    for (row, at), left, pieces, alone, right in zip(chosen, before, spaced, bare, after, strict=True):
        if alone and pieces[-len(alone):] == alone:                              # the space is a token of its own, or none
            left, pieces = left + pieces[: -len(alone)], alone
        place = len(head) + len(left)
        fits = place + len(pieces) + len(tail) <= context
        if not pieces or UNK in pieces or not fits or (one_piece and len(pieces) > 1):
            continue
        tokens = [*head, *left, *[MASK] * len(pieces), *right][: context - len(tail)] + tail
        around = ["", *(unit for unit, _, _ in parts[row]), ""][at: at + 3]
        hidden.append(HiddenWord(row, around[1], around[0], around[2], tuple(tokens), place, tuple(pieces)))
    return hidden


@torch.no_grad()
def word_ranks(bert: nn.Module, hidden: Sequence[HiddenWord], batch_size: int = 256) -> Tensor:
    """Place of the truth in a masked model's list, int64 [n] from 1; of a word's pieces the worst place counts.

    Texts of the same length are read together, without padding.
    """
    ranks = torch.zeros(len(hidden), dtype=torch.long)
    by_length, context, device = defaultdict(list), _context(bert), _device(bert)
    for i, each in enumerate(hidden):
        by_length[len(each.tokens)].append(i)
    with evaluating(bert):
        for length, members in sorted(by_length.items()):
            if length > context:
                raise ValueError(f"hidden: got a text of {length} tokens, takes at most the model's context ({context})")
            for start in range(0, len(members), batch_size):
                some = members[start: start + batch_size]
                tokens = torch.tensor([hidden[i].tokens for i in some])          # [b, length]
                row, place, truth, owner = _places(hidden, some)
                logits = bert.logits(tokens.to(device))[row, place].float().cpu()            # [p, V]
                rank = 1 + (logits > logits.gather(1, truth[:, None])).sum(dim=1)            # [p]
                ranks.scatter_reduce_(0, owner, rank, "amax")
    return ranks


def _places(hidden, some: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of all hidden pieces: row in the batch, place in the row, true token, index in `hidden`. [p] each"""
    found = [(row, hidden[i].place + at, piece, i) for row, i in enumerate(some) for at, piece in enumerate(hidden[i].pieces)]
    return tuple(torch.tensor(column) for column in zip(*found, strict=True))


def masked_accuracy(bert: nn.Module, dataset, part: str = "test", top: tuple[int, ...] = (1, 5), seed: int = 0,
                    words: int | None = 5000, hidden: Sequence[HiddenWord] | None = None) -> dict[int, float]:
    """How often a masked model finds a hidden word: among its first, its first five, ...

    Words are hidden one at a time, every piece masked at once (see `hidden_words`), and a word is found when each of
    its pieces is among the first k at its place. For counting models on the same words: `WordCounts.accuracy`.

    Args:
        bert: an objective with logits(tokens [B, T]) -> [B, T, V].
        part, words, seed: as in `hidden_words`; not used where `hidden` is given.
        top: the k.
        hidden: the words; only those of one piece where whole-word models are compared.
    Returns:
        k -> share of the words from 0 to 1.
    Raises:
        ValueError: no words to guess, or a k below 1.
    """
    if not top or min(top) < 1:
        raise ValueError(f"top: got {top}, takes whole numbers from 1")
    hidden = hidden_words(dataset, part, words, seed, context=_context(bert)) if hidden is None else hidden
    if not hidden:
        raise ValueError("hidden: got no words, takes at least 1")
    ranks = word_ranks(bert, hidden)
    return {k: float((ranks <= k).float().mean()) for k in top}


@torch.no_grad()
def fill_in(bert: nn.Module, dataset, text: str, top: int = 5) -> list[tuple[str, float]]:
    """What a masked model puts in place of [MASK]: `fill_in(bert, dataset, "the cat sat on the [MASK]")`.

    One token is asked for: "##ing" among the answers is the rest of a word. The probabilities are those of the softmax
    over the whole vocabulary; special tokens are not listed.

    Args:
        text: with [MASK] once; of one too long for the context the parts far from the mask are left out.
        top: how many answers, from 1.
    Returns:
        (word, probability) pairs, the most likely first.
    Raises:
        ValueError: no [MASK], more than one, or `top` below 1.
    """
    if text.count(MASK_TEXT) != 1:
        raise ValueError(f"text: got {text.count(MASK_TEXT)} times {MASK_TEXT}, takes it once")
    if top < 1:
        raise ValueError(f"top: got {top}, takes a whole number from 1")
    left, right = text.split(MASK_TEXT)
    spaced, bare = _pieces(dataset, [" the", "the"])
    if spaced[-len(bare):] != bare:
        left = left.removesuffix(" ")                                            # a space belongs to the word's first piece
    context = min(_context(bert), dataset.context)
    head, tail = _frame(dataset)
    before, after = _pieces(dataset, [left, right])
    room = context - len(head) - len(tail) - 1                                   # tokens beside the mask
    before = before[len(before) - min(len(before), max(room - len(after), room // 2)):]
    tokens = [*head, *before, MASK, *after[: room - len(before)], *tail]
    place = len(head) + len(before)
    with evaluating(bert):
        share = bert.logits(torch.tensor([tokens], device=_device(bert)))[0, place].float().softmax(dim=-1).cpu()        # [V]
    share[[PAD, UNK, CLS, SEP, MASK]] = -1
    values, found = share.topk(min(top, len(share) - 5))
    return [(dataset.decode(token[None]).strip(), float(value)) for token, value in zip(found, values, strict=True)]


# ---- shared


def _pieces(dataset, texts: list[str]) -> list[list[int]]:
    """Each text's tokens, all of them, without special ones but [UNK]."""
    return [code.tolist() for code in dataset.tokenizer.encode_corpus(texts)]


def _text(dataset, tokens: Tensor) -> str:
    """What tokens stand for, special ones left out; what the tokeniser could not write counts as one character."""
    plain = tokens[in_text(tokens)]
    return dataset.decode(plain).replace("[UNK]", UNKNOWN) if len(plain) else ""


def _frame(dataset) -> tuple[list[int], list[int]]:
    """Special tokens that the dataset's rows begin and end with."""
    row = dataset.encode(["the"])[0].tolist()
    return [CLS] if row[0] == CLS else [], [SEP] if SEP in row else []


def _part(dataset, part: str):
    split = getattr(dataset, choose(part, PARTS, "part"))
    if len(split.tokens) == 0:
        raise ValueError(f"part: got {part!r}, which is empty, takes one with texts")
    return split


def _context(objective: nn.Module) -> int:
    """What a model may read at once: its encoder's context, or the knob that cuts it."""
    return int(min(objective.encoder.context, getattr(objective, "context", objective.encoder.context)))


def _device(objective: nn.Module) -> torch.device:
    return next(objective.parameters()).device
