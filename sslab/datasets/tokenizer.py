"""Text <-> whole numbers: WordPiece, byte-level BPE, characters; learned from texts, the same file every time."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from sslab._names import choose

PAD, UNK, CLS, SEP, MASK = range(5)                                # the same ids in every tokeniser
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = MASK + 1                                                   # ids from here on are pieces of text
TOKENIZERS = ("wordpiece", "bpe", "characters")
_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIALS)) + ")")


def in_text(tokens: Tensor) -> Tensor:
    """True for what stands in a text, and may be hidden: all tokens but [PAD], [CLS] and [SEP]. The shape stays."""
    return (tokens != PAD) & (tokens != CLS) & (tokens != SEP)


class Tokenizer:
    """Text <-> whole numbers. The first five pieces are SPECIALS; what the others are is up to the kind.

    wordpiece (arXiv:1609.08144, as BERT uses it): lower-cased words and parts of words, the longest piece
        first; a part that goes on a word starts with ##. Decoding guesses where spaces were.
    bpe (arXiv:1508.07909, on bytes as GPT-2 does): pieces that carry their leading space; every text can be
        written, and decoding gives it back exactly.
    characters: one a piece, what training did not hold is [UNK].

    Attributes:
        kind: one of TOKENIZERS.
        pieces: what each token stands for, as text.
        starts: bool [V], whether the piece begins a word (bpe: with its space; specials and characters: no).
    """

    def __init__(self, kind: str, state: str) -> None:
        """`state` is what `dumps()` gave: the JSON of Hugging Face's tokenizers, or the characters."""
        self.kind, self._state = kind, state
        if kind == "characters":
            self._bytes = [mark.encode() for mark in SPECIALS] + [c.encode() for c in json.loads(state)]
            self._points = np.array([ord(c) for c in json.loads(state)], "<u4")                 # ascending
        else:
            from tokenizers import Tokenizer as Fast

            self._fast = Fast.from_str(state)
            self._fast.encode_special_tokens = True         # a text that says "[MASK]" has no mask: see encode
            names = [self._fast.id_to_token(token) for token in range(self._fast.get_vocab_size())]
            self._bytes = [name.encode() for name in names] if kind == "wordpiece" else _as_bytes(names)
        self.pieces = [piece.decode(errors="replace") for piece in self._bytes]
        starts = {"wordpiece": lambda piece: not piece.startswith("##") and piece[0].isalnum(),
                  "bpe": lambda piece: piece[0] == " " and piece[1:2].isalnum(),
                  "characters": lambda piece: False}[kind]                                      # fmt: skip
        self.starts = torch.tensor([token > MASK and starts(piece) for token, piece in enumerate(self.pieces)])

    def dumps(self) -> str:
        """The tokeniser as text; `Tokenizer(kind, text)` makes it again."""
        return self._state

    @property
    def vocabulary(self) -> int:
        return len(self.pieces)

    def encode_corpus(self, texts: Iterable[str]) -> list[np.ndarray]:
        """Many texts as int16 arrays, one a text. Each different word is encoded once: 19 MB take seconds."""
        if self.kind == "characters":
            return [self._characters(text) for text in texts]
        table: dict[str, int] = defaultdict()
        table.default_factory = table.__len__                                 # a new word gets the next number
        split = str.split if self.kind == "wordpiece" else _spaced
        rows = [np.fromiter(map(table.__getitem__, split(text)), np.int64) for text in texts]
        codes = [code.ids for code in self._fast.encode_batch_fast(list(table), add_special_tokens=False)]
        lengths = np.array([len(code) for code in codes], np.int64)                             # [words]
        flat = np.array([token for code in codes for token in code], np.int16)                  # [their tokens]
        words = np.concatenate([*rows, np.zeros(0, np.int64)])
        count = lengths[words]                                                          # tokens of each word
        shift = np.cumsum(lengths)[words] - np.cumsum(count)                    # from a word's place to its code's
        tokens = flat[np.repeat(shift, count) + np.arange(count.sum())]
        ends = np.concatenate([[0], np.cumsum(count)])[np.cumsum([len(row) for row in rows], dtype=np.int64)]
        return np.split(tokens, ends[:-1]) if len(rows) else []

    def encode(self, text: str) -> Tensor:
        """One text -> int16 [n]. Here "[MASK]" and the other marks stand for their tokens."""
        tokens = []
        for piece in _SPECIAL.split(text):
            if piece in SPECIALS:
                if self.kind == "bpe" and tokens and len(tokens[-1]) and self.pieces[tokens[-1][-1]] == " ":
                    tokens[-1] = tokens[-1][:-1]                # the mask stands for a piece with its space
                tokens.append(np.array([SPECIALS.index(piece)], np.int16))
            elif piece:
                tokens += self.encode_corpus([piece])
        return torch.from_numpy(np.concatenate([*tokens, np.zeros(0, np.int16)]))

    def decode(self, tokens: Tensor) -> str:
        """Tokens [n] -> text; [PAD], [CLS] and [SEP] are left out."""
        kept = [token for token in torch.as_tensor(tokens).tolist() if token not in (PAD, CLS, SEP)]
        if self.kind == "wordpiece":
            return _glue([self.pieces[token] for token in kept])
        space = b" " if self.kind == "bpe" else b""
        return b"".join(space * (token in (UNK, MASK)) + self._bytes[token] for token in kept).decode(errors="replace")

    def _characters(self, text: str) -> np.ndarray:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        if not len(self._points):
            return np.full(len(points), UNK, np.int16)
        place = np.searchsorted(self._points, points).clip(max=len(self._points) - 1)
        return np.where(self._points[place] == points, place + len(SPECIALS), UNK).astype(np.int16)

    def __repr__(self) -> str:
        return f"Tokenizer({self.kind!r}, {self.vocabulary:,} pieces)"


def train_tokenizer(kind: str, vocabulary: int, texts: Sequence[str]) -> Tokenizer:
    """Learn a tokeniser from texts. The same texts give the same tokeniser, byte for byte.

    Args:
        kind: one of TOKENIZERS.
        vocabulary: at most so many pieces, 300 to 32,000, the five marks included.
        texts: what to learn from: the training split, nothing else.
    Raises:
        ValueError: no such kind, or vocabulary out of its range.
    """
    choose(kind, TOKENIZERS, "tokenizer")
    check_number("vocabulary", vocabulary, 300, 32_000)
    if kind == "characters":
        counts = Counter()
        for text in texts:
            counts.update(text)
        common = sorted(counts, key=lambda c: (-counts[c], c))[:vocabulary - len(SPECIALS)]
        return Tokenizer(kind, json.dumps("".join(sorted(c for c in common if not "\ud800" <= c <= "\udfff"))))
    from tokenizers import Tokenizer as Fast
    from tokenizers import decoders, models, pre_tokenizers, trainers

    fast, options = Fast(models.BPE()), {"special_tokens": list(SPECIALS), "show_progress": False}
    if kind == "bpe":
        fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        options["initial_alphabet"] = sorted(pre_tokenizers.ByteLevel.alphabet())
        fast.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocabulary, **options))
        return Tokenizer(kind, fast.to_str())
    # WordPiece's own trainer numbers the ##characters in the order of a hash table, which differs from run to
    # run. It is the same algorithm as BPE's with characters inside a word kept apart from those that begin one:
    # here they are kept apart by a shift into Unicode's private area, and shifted back afterwards.
    shape = _wordpiece({mark: token for token, mark in enumerate(SPECIALS)})
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast.train_from_iterator(_shifted(texts, shape), trainers.BpeTrainer(vocab_size=vocabulary, **options))
    names = [fast.id_to_token(token) for token in range(fast.get_vocab_size())]
    vocabulary = {}
    for token, name in enumerate(names):
        inner = "".join(chr(ord(c) - _PRIVATE) if ord(c) >= _PRIVATE else c for c in name)
        vocabulary["##" + inner if ord(name[0]) >= _PRIVATE else inner] = token
    return Tokenizer(kind, _wordpiece(vocabulary).to_str())


_PRIVATE = 0xF0000


def _shifted(texts: Iterable[str], shape) -> Iterable[str]:
    """Every text's words, lower-cased and parted from punctuation; all characters but the first are shifted."""
    for text in texts:
        pairs = shape.pre_tokenizer.pre_tokenize_str(shape.normalizer.normalize_str(text))
        words = (word for word, _ in pairs if max(word) < "\uf000")                   # no emoji inside words
        yield " ".join(word[0] + "".join(chr(ord(c) + _PRIVATE) for c in word[1:]) for word in words)


def _wordpiece(vocabulary: dict[str, int]):
    from tokenizers import Tokenizer as Fast
    from tokenizers import decoders, models, normalizers, pre_tokenizers

    fast = Fast(models.WordPiece(vocabulary, unk_token=SPECIALS[UNK]))
    fast.normalizer = normalizers.BertNormalizer(lowercase=True)
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    fast.add_special_tokens(list(SPECIALS))
    return fast


def _spaced(text: str) -> list[str]:
    """Cut a text before each single space inside a line; byte-level BPE never joins across such a place."""
    plain = "  " not in text and not re.search(r"[^\S ]", text)
    words = text.split(" ") if plain else re.split(r"(?<=\S) (?=\S)", text)
    return [words[0], *map(" ".__add__, words[1:])]


def _as_bytes(names: list[str]) -> list[bytes]:
    """Byte-level pieces as bytes: printable bytes stand for themselves, the others for 256, 257, ..."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    byte = {chr(b): b for b in plain} | {chr(256 + place): b for place, b in enumerate(others)}
    return [name.encode() if name in SPECIALS else bytes(byte[c] for c in name) for name in names]


def _glue(pieces: list[str]) -> str:
    """WordPiece's pieces as a line of text, spaces where English has them."""
    text = " ".join(pieces).replace(" ##", "")
    text = re.sub(r" (?=[,.;:!?)])|(?<=[(`]) ", "", text)
    return re.sub(r" (['/-]) (?=\w)", r"\1", text)


def check_number(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name}: got {value!r}, takes a whole number from {low:,} to {high:,}")
