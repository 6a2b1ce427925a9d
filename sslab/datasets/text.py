"""Text as tokens: WordNet's definitions, passages of four authors, a person's own files; three tokenisers.

    data = sslab.datasets.load("wordnet")
    data.train.tokens                          # int16 [108576, 32]: [CLS] pieces of a definition [SEP] [PAD] ...
    data.encode(["the cat sat on the [MASK]"]), data.decode(data.train.tokens[0])

A tokeniser learns its pieces from the training split alone. The usual ones lie in data/ (rebuilt by
`python data/rebuild.py text --write`); another size is trained when it is asked for and kept in memory.
"""

import gzip
import hashlib
import html
import lzma
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sslab._names import choose
from sslab.datasets.base import PARTS, Card, Parts, split_by
from sslab.datasets.bundled import checksums, data_folder, read
from sslab.datasets.tokenizer import (
    CLS,
    PAD,
    SEP,
    TOKENIZERS,
    Tokenizer,
    check_number,
    train_tokenizer,
)


@dataclass(frozen=True, repr=False)
class TextSplit:
    """A part of a text dataset: tokens int16 [n, T], labels int64 [n], their indices [n] in the whole."""

    tokens: Tensor
    labels: Tensor
    indices: Tensor

    @property
    def inputs(self) -> Tensor:
        """What a model is fed: the tokens."""
        return self.tokens

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"TextSplit({len(self):,} rows of {self.tokens.shape[1]} tokens)"


class _Decoded(Sequence):
    """Rows of tokens as text, decoded when they are read."""

    def __init__(self, tokens: Tensor, tokenizer: Tokenizer) -> None:
        self._tokens, self._tokenizer = tokens, tokenizer

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self._tokenizer.decode(row) for row in self._tokens[index]]
        return self._tokenizer.decode(self._tokens[index])


@dataclass(repr=False)
class TextDataset(Parts):
    """Rows of tokens with their labels, splits, card and tokeniser.

    Loaded tensors are shared by every `load()` with the same options in this process: do not write into them.

    Attributes:
        name: as in `sslab.datasets.load(name)`.
        texts: a str a row; the decoded row, made when it is read, where continuous.
        tokens: int16 [N, T].
        labels: int64 [N], -1 where there is none.
        class_names: one a label, () where there are no labels.
        splits: "train", "validation", "test" -> int64 indices into tokens; disjoint and fixed.
        card: origin, licence, purpose.
        tokenizer: text to tokens and back.
        continuous: rows are windows of running text, T tokens each; else a row is a text of its own,
            [CLS] tokens [SEP] and [PAD] up to T.
        factors: name -> values [N]; what else is known of each row.
        skipped: files that could not be read, with the reason (`text:PATH` only).
    """

    name: str
    texts: Sequence[str]
    tokens: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    splits: dict[str, Tensor]
    card: Card
    tokenizer: Tokenizer
    continuous: bool
    factors: dict[str, Tensor] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    _parts: dict[str, TextSplit] = field(default_factory=dict, init=False, compare=False)

    def _gather(self, name: str, index: Tensor) -> TextSplit:
        return TextSplit(self.tokens[index], self.labels[index], index)

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are."""
        return self.tokenizer.vocabulary

    @property
    def context(self) -> int:
        """T, tokens a row."""
        return self.tokens.shape[1]

    @property
    def padded(self) -> bool:
        """Whether [PAD] occurs in the rows."""
        return not self.continuous

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Texts -> int16 [n, T], as the rows are: [CLS] tokens [SEP] [PAD] ..., or tokens alone where continuous.

        What is longer than a row is cut off (at the start where continuous: the last T tokens are those that
        what comes next depends on), what is shorter is filled with [PAD]. "[MASK]" in a text is the mask.

        Raises:
            ValueError: texts is a str or holds something else than str.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"texts: got {texts!r}, takes a list of str")
        rows = [self.tokenizer.encode(text).numpy() for text in texts]
        if self.continuous:
            return _rows([row[-self.context:] for row in rows], self.context)
        return _rows(rows, self.context, marks=True)

    def decode(self, tokens: Tensor) -> str:
        """Tokens [n] -> text; [PAD], [CLS] and [SEP] are left out.

        Raises:
            ValueError: tokens is not one row.
        """
        tokens = torch.as_tensor(tokens)
        if tokens.ndim != 1:
            raise ValueError(f"tokens: got shape {list(tokens.shape)}, takes one row [n]")
        return self.tokenizer.decode(tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def _summary(self) -> str:
        parts = ", ".join(f"{len(index):,} {name}" for name, index in self.splits.items())
        classes = f"{self.num_classes} classes" if self.class_names else "no labels"
        skipped = f", {len(self.skipped):,} files skipped" if self.skipped else ""
        return (f"{len(self):,} rows of {self.context} tokens of {self.vocabulary:,} ({self.tokenizer.kind}), "
                f"{classes} ({parts}){skipped}")  # fmt: skip

    def __repr__(self) -> str:
        return f"TextDataset({self.name!r}: {self._summary()})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<div><i>{name}:</i> {html.escape(text)}</div>" for name, text in self.card._rows())
        examples = [self.texts[index] for index in self.splits["train"][:5].tolist()]
        lines = "".join(f"<li>{html.escape(text[:160])}</li>" for text in examples)
        text = html.escape(f"{self.name}: {self._summary()}")
        return f"<div><b>{html.escape(self.card.title)}</b> <code>{text}</code><ul>{lines}</ul>{rows}</div>"


def _rows(codes: list[np.ndarray], context: int, marks: bool = False) -> Tensor:
    """Arrays of tokens as rows int16 [n, context], cut and filled with [PAD]; with marks: [CLS] tokens [SEP]."""
    room = context - 2 * marks
    lengths = np.array([min(len(code), room) for code in codes], np.int64)                      # [n]
    rows = np.full((len(codes), context), PAD, np.int16)
    places = np.arange(context)[None] - marks                                                   # [1, T]
    if len(codes):
        rows[(places >= 0) & (places < lengths[:, None])] = np.concatenate([code[:room] for code in codes])
    if marks:
        rows[:, 0] = CLS
        rows[np.arange(len(codes)), lengths + 1] = SEP
    return torch.from_numpy(rows)


@dataclass(frozen=True)
class _Text:
    """A whole text, or one part of it."""

    label: int
    part: int                                                                          # an index into PARTS
    text: str


def _windows(texts: list[_Text], tokenizer: Tokenizer, context: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Texts -> windows of `context` tokens: tokens [N, T], labels [N], parts [N], the text each starts in [N].

    The texts of one part and one label follow one another, each ended by [SEP]; a window may reach from one of
    them into the next, never into another part or another label. What is left at the end, shorter than a
    window, is dropped.
    """
    codes = tokenizer.encode_corpus(text.text for text in texts)
    streams = defaultdict(list)
    for index, text in enumerate(texts):
        streams[text.part, text.label].append(index)
    tokens, labels, parts, starts = [], [], [], []
    for (part, label), members in sorted(streams.items()):
        stream = np.concatenate([np.append(codes[index], np.int16(SEP)) for index in members])
        count = len(stream) // context
        first = np.cumsum([0] + [len(codes[index]) + 1 for index in members[:-1]])
        place = np.searchsorted(first, np.arange(count) * context, side="right") - 1
        tokens.append(stream[:count * context].reshape(count, context))
        labels.append(np.full(count, label))
        parts.append(np.full(count, part))
        starts.append(np.array(members, np.int64)[place])
    joined = [torch.from_numpy(np.concatenate(arrays)) for arrays in (tokens, labels, parts, starts)]
    return joined[0], joined[1].long(), joined[2].long(), joined[3]


# ---- WordNet

FILES = {"wordnet": "wordnet_glosses.tsv.gz", "passages": "passages.tsv.xz"}
STORED = {"wordnet": [("wordpiece", 4000)], "passages": [("bpe", 2000), ("bpe", 4000)]}    # what lies in data/

CATEGORIES = (
    "noun.act", "noun.animal", "noun.artifact", "noun.attribute", "noun.cognition", "noun.communication",
    "noun.group", "noun.location", "noun.person", "noun.plant", "noun.state", "noun.substance",
)                                                                      # the twelve largest of the noun files
LINES = 117_659                                                        # definitions in WordNet 3.0
TEST, VALIDATION = 500, 250                                            # definitions of each category


def wordnet_records() -> list[tuple[str, list[str], str]]:
    """What is known of each definition, in the order of the rows of `load("wordnet")`.

    Returns:
        (lexicographer file such as "noun.animal", the words that share the definition, the definition).
    """
    return _wordnet_records(read(FILES["wordnet"]))


def _wordnet_records(content: bytes) -> list[tuple[str, list[str], str]]:
    lines = (line.split("\t") for line in gzip.decompress(content).decode().splitlines())
    return [(category, words.split("|"), definition) for category, words, definition in lines]


def _wordnet_parts(records: list[tuple[str, list[str], str]]) -> Tensor:
    """0, 1 or 2 for each definition (train, validation, test).

    In each of the 12 categories the definitions in the order of their hash: the first 500 are test, the next
    250 validation. Definitions of the same words are one: they are in one part, and in train when they are in
    several categories.
    """
    keys = [" ".join(re.findall(r"\w+", definition.lower())) for _, _, definition in records]
    same = defaultdict(list)
    for index, key in enumerate(keys):
        same[key].append(index)
    parts = torch.zeros(len(records), dtype=torch.long)
    groups = defaultdict(list)
    for key, members in same.items():
        category = records[members[0]][0]
        if category in CATEGORIES and all(records[index][0] == category for index in members[1:]):
            groups[category].append((hashlib.sha256(key.encode()).digest(), members))
    for category in CATEGORIES:
        left = {2: TEST, 1: VALIDATION}
        for _, members in sorted(groups[category]):
            part = next((part for part, room in left.items() if room >= len(members)), 0)
            if part:
                left[part] -= len(members)
                parts[members] = part
    return parts


def wordnet(tokenizer: str = "wordpiece", vocabulary: int = 4000, context: int = 32) -> TextDataset:
    """WordNet's definitions, a row each: [CLS] tokens [SEP] and [PAD]; labelled with 12 categories of nouns.

    Validation and test hold 250 and 500 definitions of each category; train holds the rest, with -1 where a
    definition is of another category. A row's words and category: `sslab.datasets.text.wordnet_records()`.

    Args:
        tokenizer: "wordpiece", "bpe" or "characters".
        vocabulary: at most so many pieces, 300 to 32,000.
        context: tokens a row, 8 to 1,024; what is longer is cut.
    """
    check_number("context", context, 8, 1024)
    tokeniser = _tokenizer("wordnet", tokenizer, vocabulary, data_folder())
    records = wordnet_records()
    texts = [definition for _, _, definition in records]
    names = {category: label for label, category in enumerate(CATEGORIES)}
    files = sorted({category for category, _, _ in records})
    return TextDataset(
        "wordnet", texts, _rows(tokeniser.encode_corpus(texts), context, marks=True),
        torch.tensor([names.get(category, -1) for category, _, _ in records]),
        tuple(category.removeprefix("noun.") for category in CATEGORIES),
        split_by(_wordnet_parts(records)),
        Card(
            title="Definitions of words (WordNet 3.0)",
            origin="Princeton University, WordNet 3.0: the definitions of 45 lexicographer files.",
            licence="WordNet 3.0 (free for any use, with its notice)",
            purpose="Masked words, and the sorting of definitions into 12 kinds with few labels.",
            notes="The 12 categories are the largest files of nouns; they are unequal in train, equal in "
                  f"validation and test. {LINES - len(records)} of {LINES:,} lines are left out: their definition marks "
                  "a slur or an obscenity, or names such words. Examples of use and coarse words are left out too.",
        ),
        tokeniser, False,
        {"file": torch.tensor([files.index(category) for category, _, _ in records])},
    )  # fmt: skip



# ---- passages

AUTHORS = ("Shakespeare", "Austen", "Melville", "US presidents")


def passages_records() -> list[tuple[str, str, str, str]]:
    """The whole texts behind `load("passages")`, in the order of `factors["text"]`.

    Returns:
        (author, title, "train", "validation" or "test", the text).
    """
    return _passages_records(read(FILES["passages"]))


def _passages_records(content: bytes) -> list[tuple[str, str, str, str]]:
    return [tuple(line.split("\t")) for line in lzma.decompress(content).decode().splitlines()]


def passages(tokenizer: str = "bpe", vocabulary: int = 2000, context: int = 128) -> TextDataset:
    """Shakespeare, Austen, Melville and US presidents: windows of `context` tokens of running text.

    The texts of one author and one part follow one another, [SEP] after each; no window holds tokens of two
    parts or two authors. Validation and test are whole texts: plays, a novel each of Austen's, chapters,
    addresses.

    factors: "author" (the label, index into class_names), "text" (index into `passages_records()` of the text
    in which the window starts).

    Args:
        tokenizer: "bpe", "wordpiece" or "characters".
        vocabulary: at most so many pieces, 300 to 32,000.
        context: tokens a row, 8 to 1,024.
    """
    check_number("context", context, 8, 1024)
    tokeniser = _tokenizer("passages", tokenizer, vocabulary, data_folder())
    records = passages_records()
    texts = [_Text(AUTHORS.index(author), PARTS.index(part), text) for author, _, part, text in records]
    tokens, labels, parts, starts = _windows(texts, tokeniser, context)
    return TextDataset(
        "passages", _Decoded(tokens, tokeniser), tokens, labels, AUTHORS, split_by(parts),
        Card(
            title="Passages of four authors",
            origin="Shakespeare's plays and poems, Austen's six novels, Melville's Moby Dick, and four in five of "
                   "the State of the Union addresses from 1790 to 2021.",
            licence="texts in the public domain; collections MIT, PDDL, CC0, CC BY 2.5",
            purpose="The next token: prediction, generation, and who wrote it.",
            notes="Line breaks were lost: a passage is one line. The presidents' addresses repeat formulas. Words "
                  "and views are those of their time.",
        ),
        tokeniser, True, {"author": labels, "text": starts},
    )  # fmt: skip


@lru_cache(maxsize=8, typed=True)
def _tokenizer(dataset: str, kind: str, vocabulary: int, where: Path) -> Tokenizer:
    """The stored tokeniser of a bundled dataset, or one trained now; `where` is in the key as in load()."""
    choose(kind, TOKENIZERS, "tokenizer")
    check_number("vocabulary", vocabulary, 300, 32_000)
    name = f"{dataset}_{kind}_{vocabulary}.json"
    if name in checksums():
        return Tokenizer(kind, read(name).decode())
    return train_tokenizer(kind, vocabulary, training_texts(dataset, read(FILES[dataset])))


def training_texts(dataset: str, content: bytes) -> list[str]:
    """The texts of the training split, from the bytes of the dataset's file: what a tokeniser may learn from."""
    if dataset == "wordnet":
        records = _wordnet_records(content)
        return [records[index][2] for index in (_wordnet_parts(records) == 0).nonzero()[:, 0].tolist()]
    return [text for _, _, part, text in _passages_records(content) if part == "train"]


# ---- a person's own


def own_text(path: str, tokenizer: str = "bpe", vocabulary: int = 2000, context: int = 128) -> TextDataset:
    """A .txt file of one's own, or all below a folder, as windows of `context` tokens.

    With 10 files or more whole files are held out: one in ten for validation, one in ten for test, by a hash of
    their bytes. With fewer, each text's last tenth is validation and the tenth before it test. The tokeniser is
    trained on the rest.

    Args:
        path: a file in UTF-8, or a folder; `~` is the home folder.
        tokenizer: "bpe", "wordpiece" or "characters".
        vocabulary: at most so many pieces, 300 to 32,000.
        context: tokens a row, 8 to 1,024.
    Returns:
        a TextDataset whose `skipped` has (relative path, reason) of what could not be read; a warning says so.
    Raises:
        ValueError: path is not there, has no text that can be read, or too little for a window in each part.
    """
    choose(tokenizer, TOKENIZERS, "tokenizer")
    check_number("vocabulary", vocabulary, 300, 32_000)
    check_number("context", context, 8, 1024)
    root = Path(path).expanduser()
    if not path or not root.exists():
        what = "not there" if path else "empty"
        raise ValueError(f"path: got {path!r}, which is {what}; takes text:PATH, a .txt file or a folder of them")
    files = _txt_files(root) if root.is_dir() else [root]
    kept, skipped, seen = [], [], {}
    for file in files:
        name, content = file.relative_to(root).as_posix() if root.is_dir() else root.name, b""
        try:
            content = file.read_bytes()
            text = content.decode("utf-8-sig").replace("\r\n", "\n")
            reason = "" if text.strip() else "it is empty"
        except UnicodeDecodeError as error:
            reason = f"it is not UTF-8 (byte {error.start:,}): save it as UTF-8"
        except OSError as error:
            reason = str(error.strerror)
        if not reason and seen.setdefault(content, name) != name:
            reason = f"it is a copy of {seen[content]}"
        if reason:
            skipped.append((name, reason))
        else:
            kept.append((hashlib.sha256(content).digest(), text))
    if not kept:
        why = f"{skipped[0][0]}: {skipped[0][1]}" if skipped else "no file in it ends in .txt"
        raise ValueError(f"path: got {path!r}, which has no text that can be read; {why}")
    if skipped:
        text = f"{len(skipped)} of {len(files)} files skipped: {': '.join(skipped[0])} ... (see .skipped)"
        warnings.warn(text, stacklevel=3)
    texts = _own_parts(kept)
    tokeniser = train_tokenizer(tokenizer, vocabulary, [text.text for text in texts if text.part == 0])
    tokens, labels, parts, starts = _windows(texts, tokeniser, context)
    for part, name in enumerate(PARTS):
        if not (parts == part).any():
            length = sum(len(text.text) for text in texts if text.part == part)
            raise ValueError(
                f"path: got {path!r}, which is too short: its {name} part has {length:,} characters, fewer than a "
                f"window of {context} tokens; takes more text, or a smaller context"
            )
    card = Card(f"Text in {root.name or root}", str(root), "yours, or that of whoever wrote it", "Your own data.")
    splits = split_by(parts)
    return TextDataset(f"text:{path}", _Decoded(tokens, tokeniser), tokens, labels, (), splits, card, tokeniser,
                       True, {"text": starts}, skipped)  # fmt: skip


def _txt_files(root: Path) -> list[Path]:
    """Every .txt file below root that is not hidden, in the order of the relative paths."""
    found = []
    for here, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [Path(here) / name for name in files if name.lower().endswith(".txt") and not name.startswith(".")]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _own_parts(texts: list[tuple[bytes, str]]) -> list[_Text]:
    """Whole texts to parts by their hash where there are 10 or more, else each text cut into three."""
    if len(texts) >= 10:
        order, tenth = sorted(digest for digest, _ in texts), len(texts) // 10
        part = {digest: 2 if place < tenth else 1 if place < 2 * tenth else 0 for place, digest in enumerate(order)}
        return [_Text(-1, part[digest], text) for digest, text in texts]
    cut = []
    for _, text in texts:
        first, second = (_space_near(text, round(share * len(text))) for share in (0.8, 0.9))
        cut += [_Text(-1, 0, text[:first]), _Text(-1, 2, text[first:second]), _Text(-1, 1, text[second:])]
    return cut


def _space_near(text: str, place: int) -> int:
    """The first white space at `place` or after it, so that no word is cut; `place` if none follows soon."""
    match = re.compile(r"\s").search(text, place, place + 100)
    return match.start() if match else place
