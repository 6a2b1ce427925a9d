"""Pictures with words: emoji as several vendors draw them, with names and tags; a person's own pictures with captions.

    data = sslab.datasets.load("emoji-pairs")
    data.train.pairs.images                # uint8 [1232, 6, 3, 32, 32]: each emoji as six vendors draw it
    data.train.pairs.captions              # int16 [1232, 3, 24]: its name, its tags, a sentence around the name

A row is a thing, not a drawing: a batch of rows holds every thing once, so that no two of its pairs say the same.
"""

import csv
import gzip
import hashlib
import html
import io
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sslab._names import choose
from sslab.datasets.base import PARTS, Card, Parts, data_uri, inputs_of, split_by
from sslab.datasets.bundled import (
    EMOJI_GROUPS,
    VENDORS,
    _emoji_parts,
    checksums,
    data_folder,
    emoji_records,
    read,
    tiles,
)
from sslab.datasets.folder import _read
from sslab.datasets.text import _rows
from sslab.datasets.tokenizer import TOKENIZERS, Tokenizer, check_number, train_tokenizer

WHITE = 255                                                            # what stands where nothing was drawn


@dataclass(frozen=True, repr=False)
class Pairs:
    """Things that are drawn and named, n of them: V places for drawings, K places for captions, not all filled.

    Attributes:
        images: uint8 [n, V, C, S, S].
        drawn: bool [n, V], which of them there are; at least one of each thing.
        captions: tokens int16 [n, K, T], [CLS] pieces [SEP] [PAD].
        said: bool [n, K], which of them there are; at least one of each thing.
    Raises:
        ValueError: shapes do not fit.
    """

    images: Tensor
    drawn: Tensor
    captions: Tensor
    said: Tensor

    def __post_init__(self) -> None:
        fits = (self.images.ndim == 5 and self.captions.ndim == 3 and self.drawn.shape == self.images.shape[:2]
                and self.said.shape == self.captions.shape[:2] and len(self.said) == len(self.drawn))
        if not fits:
            got = ", ".join(str(list(each.shape)) for each in (self.images, self.drawn, self.captions, self.said))
            raise ValueError(f"images, drawn, captions, said: got {got}, takes [n, V, C, S, S], [n, V], [n, K, T], [n, K]")

    @property
    def pictures(self) -> Tensor:
        """One drawing of each, the first there is: uint8 [n, C, S, S]."""
        return self.images[torch.arange(len(self), device=self.drawn.device), self.drawn.int().argmax(dim=1)]

    def to(self, device: torch.device | str) -> "Pairs":
        return Pairs(*(each.to(device) for each in (self.images, self.drawn, self.captions, self.said)))

    def __getitem__(self, rows: Tensor | slice) -> "Pairs":
        """Some of the things: `rows` is a tensor of indices, or a slice."""
        return Pairs(self.images[rows], self.drawn[rows], self.captions[rows], self.said[rows])

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Pairs({_counted(self)})"


@dataclass(frozen=True, repr=False)
class PairSplit:
    """A part of a dataset of pairs: the pairs, labels int64 [n], their indices [n] in the whole."""

    pairs: Pairs
    labels: Tensor
    indices: Tensor

    @property
    def inputs(self) -> Pairs:
        """What a model is fed: the pairs."""
        return self.pairs

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"PairSplit({_counted(self.pairs)})"


@dataclass(repr=False)
class PairDataset(Parts):
    """Things with their drawings, captions, labels, splits and card.

    Loaded tensors are shared by every `load()` with the same options in this process: do not write into them.

    Attributes:
        name: as in `sslab.datasets.load(name)`.
        pairs: all N things.
        texts: what each is called, N times str.
        labels: int64 [N], -1 where there is none.
        class_names: one a label, () where there are no labels.
        splits: "train", "validation", "test" -> int64 indices of things; disjoint and fixed.
        card: origin, licence, purpose.
        tokenizer: text to tokens and back.
        captions: names of the K kinds of caption.
        drawers: names of the V who drew.
        held_out: the one whose drawings are in no training pair, or None.
        factors: name -> values [N]; what else is known of each thing.
        skipped: files that could not be read, with the reason (`pairs:PATH` only).
    """

    name: str
    pairs: Pairs
    texts: list[str]
    labels: Tensor
    class_names: tuple[str, ...]
    splits: dict[str, Tensor]
    card: Card
    tokenizer: Tokenizer
    captions: tuple[str, ...]
    drawers: tuple[str, ...]
    held_out: str | None = None
    factors: dict[str, Tensor] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    _parts: dict[str, PairSplit] = field(default_factory=dict, init=False, compare=False)

    def _gather(self, name: str, index: Tensor) -> PairSplit:
        """The training part is without the drawings that are held out."""
        pairs = self.pairs[index]
        if name == "train" and self.held_out is not None:
            place = self.drawers.index(self.held_out)                  # `index` made a copy: it may be written to
            pairs.images[:, place], pairs.drawn[:, place] = WHITE, False
        return PairSplit(pairs, self.labels[index], index)

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are."""
        return self.tokenizer.vocabulary

    @property
    def context(self) -> int:
        """T, tokens a caption."""
        return self.pairs.captions.shape[2]

    @property
    def channels(self) -> int:
        return self.pairs.images.shape[2]

    @property
    def size(self) -> int:
        """Height of a drawing in pixels."""
        return self.pairs.images.shape[3]

    @property
    def padded(self) -> bool:
        """[PAD] occurs in the captions: what a text encoder asks."""
        return True

    @property
    def continuous(self) -> bool:
        """A caption is a text of its own: what a text encoder asks."""
        return False

    def drawings(self, part: str, drawer: str | None = None) -> tuple[Tensor, Tensor]:
        """Every drawing there is of the things of a part, one a row.

        Args:
            part: "train", "validation", "test" or "all".
            drawer: one of `drawers`, also the one that is held out; None: all but that one.
        Returns:
            images uint8 [m, C, S, S], and which thing each shows, int64 [m], an index into `texts`.
        Raises:
            ValueError: no such part or drawer.
        """
        choose(part, (*PARTS, "all"), "part")
        if drawer is not None:
            choose(drawer, self.drawers, "drawer")
        index = torch.arange(len(self)) if part == "all" else self.splits[part]
        wanted = torch.tensor([name == drawer if drawer else name != self.held_out for name in self.drawers])     # [V]
        row, place = (self.pairs.drawn[index] & wanted).nonzero(as_tuple=True)
        return self.pairs.images[index[row], place], index[row]

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Texts -> int16 [n, T], as captions are: [CLS] pieces [SEP] [PAD] ...; what is longer than a row is cut off.

        Raises:
            ValueError: texts is a str or holds something else than str.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"texts: got {texts!r}, takes a list of str")
        return _rows([self.tokenizer.encode(text).numpy() for text in texts], self.context, marks=True)

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
        return len(self.texts)

    def _summary(self) -> str:
        parts = ", ".join(f"{len(index):,} {name}" for name, index in self.splits.items())
        held = f", {self.held_out} held out" if self.held_out else ""
        skipped = f", {len(self.skipped):,} skipped" if self.skipped else ""
        return f"{_counted(self.pairs)} ({parts}){held}{skipped}"

    def __repr__(self) -> str:
        return f"PairDataset({self.name!r}: {self._summary()})"

    def _repr_html_(self) -> str:
        some = self.splits["train"][torch.linspace(0, len(self.splits["train"]) - 1, 10).long()].unique()
        rows = "".join(f"<div><i>{name}:</i> {html.escape(text)}</div>" for name, text in self.card._rows())
        called = html.escape("; ".join(self.texts[index][:40] for index in some.tolist()))
        return (
            f"<div><b>{html.escape(self.card.title)}</b> <code>{html.escape(f'{self.name}: {self._summary()}')}</code><br>"
            f'<img alt="{called}" src="{data_uri(self.pairs[some].pictures)}" '
            f'style="image-rendering:pixelated;margin:4px 0"><div>{called}</div>{rows}</div>'
        )


def kind_of(dataset) -> str:
    """What a dataset is made of: "images", "text" or "pairs"."""
    inputs = inputs_of(dataset.train)
    return "pairs" if isinstance(inputs, Pairs) else "images" if inputs.ndim == 4 else "text"


def _counted(pairs: Pairs) -> str:
    shape = "x".join(map(str, pairs.images.shape[2:]))
    return f"{len(pairs):,} things, {int(pairs.drawn.sum()):,} drawings of {shape}, {int(pairs.said.sum()):,} captions"


# ---- emoji

KINDS = ("name", "tags", "template")
TEMPLATES = (
    "a picture of {}", "a drawing of {}", "a small picture of {}", "an emoji of {}", "an emoji that shows {}",
    "an icon of {}", "a symbol for {}", "a colourful drawing of {}", "{}, drawn small", "{} in a message",
    "this is {}", "here you see {}",
)  # fmt: skip
STORED = {"emoji": [("wordpiece", 2000)]}                              # what lies in data/


def emoji_captions(record: dict) -> tuple[str, str, str]:
    """Name, tags and template of a record of `emoji_records()`: "red heart", "heart, love, red", "a picture of a red heart".

    Which template it is follows from a hash of the name.
    """
    name = record["name"]
    place = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % len(TEMPLATES)
    return name, ", ".join(record["tags"]), TEMPLATES[place].format(_with_article(name))


def _with_article(name: str) -> str:
    """ "red heart" -> "a red heart"; names in the plural stay as they are."""
    head = name.split(":")[0].split(" with ")[0].split(" (")[0]
    if head.endswith("s") and not head.endswith(("ss", "us", "is")):
        return name
    vowel = name[0].lower() in "aeiou" and not name.lower().startswith(("uni", "use", "eu", "one"))
    return f"{'an' if vowel or name.startswith('hour') else 'a'} {name}"


def training_texts(content: bytes) -> list[str]:
    """The captions of the training emoji, from the bytes of emoji_names.json.gz: what a tokeniser may learn from."""
    records = json.loads(gzip.decompress(content))
    return [text for index in (_emoji_parts(records) == 0).nonzero()[:, 0].tolist() for text in emoji_captions(records[index])]


@lru_cache(maxsize=8, typed=True)
def _tokenizer(kind: str, vocabulary: int, where: Path) -> Tokenizer:
    """The stored tokeniser of the emoji's captions, or one trained now; `where` is in the key as in load()."""
    choose(kind, TOKENIZERS, "tokenizer")
    check_number("vocabulary", vocabulary, 300, 32_000)
    name = f"emoji_{kind}_{vocabulary}.json"
    if name in checksums():
        return Tokenizer(kind, read(name).decode())
    return train_tokenizer(kind, vocabulary, training_texts(read("emoji_names.json.gz")))


def emoji_pairs(held_out: str | None = "openmoji", tokenizer: str = "wordpiece", vocabulary: int = 2000,
                context: int = 24) -> PairDataset:
    """1,644 emoji, each drawn by three to six vendors, with a name, tags and a sentence; labelled by the 8 groups.

    They are split by emoji as `load("emoji")` is. So there are drawings in a style never seen (the vendor that is held
    out), emoji never seen (validation and test), and both at once. What each is: `emoji_records()`, in the same order.

    factors: "group" (the label), "subgroup".

    Args:
        held_out: a vendor whose drawings are in no training pair; None: all of them are.
        tokenizer: "wordpiece", "bpe" or "characters".
        vocabulary: at most so many pieces, 300 to 32,000.
        context: tokens a caption, 8 to 1,024; what is longer is cut.
    """
    if held_out is not None:
        choose(held_out, VENDORS, "held_out")
    check_number("context", context, 8, 1024)
    tokeniser = _tokenizer(tokenizer, vocabulary, data_folder())
    records = emoji_records()
    sheets = torch.stack([tiles(read(f"emoji32_{vendor}.webp"), 32, len(records)) for vendor in VENDORS], 1)
    captions = [caption for record in records for caption in emoji_captions(record)]                  # [N K]
    tokens = _rows(tokeniser.encode_corpus(captions), context, marks=True).view(len(records), len(KINDS), context)
    drawn = torch.tensor([record["have"] for record in records])
    groups = {group: label for label, group in enumerate(EMOJI_GROUPS)}
    labels = torch.tensor([groups[record["group"]] for record in records])
    return PairDataset(
        "emoji-pairs", Pairs(sheets, drawn, tokens, torch.ones(len(records), len(KINDS), dtype=torch.bool)),
        [record["name"] for record in records], labels, tuple(EMOJI_GROUPS.values()), split_by(_emoji_parts(records)),
        Card(
            title="Emoji, drawn and named",
            origin="Noto (two generations), Twemoji, Fluent Emoji, OpenMoji and EmojiOne, from SVG files; "
                   "names, tags and groups from emojibase and Unicode; the templates are ours.",
            licence="Noto: Apache-2.0. Fluent: MIT. Twemoji, EmojiOne: CC BY 4.0. OpenMoji: CC BY-SA 4.0. "
                    "Names: MIT and Unicode-3.0.",
            purpose="Pictures and words in one space: retrieval, zero-shot classes, drawings in a style never seen.",
            notes="Small for its task: CLIP was trained on 400 million pairs. Names are English. Many emoji are variants "
                  "of one another (man, woman, person), and such variants may be in different splits.",
        ),
        tokeniser, KINDS, VENDORS, held_out,
        {"group": labels, "subgroup": torch.tensor([record["subgroup"] for record in records])},
    )  # fmt: skip


# ---- a person's own

FEWEST = 10                                                            # different pictures


def own_pairs(path: str, size: int = 32, tokenizer: str = "wordpiece", vocabulary: int = 2000,
              context: int = 24) -> PairDataset:
    """Pictures of one's own with captions, from a list that lies beside them.

        file,caption                       or      [{"file": "cat.jpg", "caption": "a cat on a chair"},
        cat.jpg,a cat on a chair                    {"file": "more/dog.png", "caption": "a dog"}]
        more/dog.png,a dog

    A file may be listed several times: its captions are several kinds, "caption 1", "caption 2". Files are looked for
    from the list's folder on. Pictures are read as `folder:PATH` reads them. One in ten is validation, one in ten test,
    by a hash of the file's bytes: copies are in one part. The tokeniser is trained on the rest.

    Args:
        path: a .csv file (a header with file and caption, in any order; commas, semicolons or tabs) or a .json file,
            in UTF-8; `~` is the home folder.
        size: side of the pictures in pixels, 8 to 1,024.
        tokenizer: "wordpiece", "bpe" or "characters".
        vocabulary: at most so many pieces, 300 to 32,000.
        context: tokens a caption, 8 to 1,024.
    Returns:
        a PairDataset whose `skipped` has (file, reason) of what could not be used; a warning says so.
    Raises:
        ValueError: path is no such list, fewer than 10 different pictures can be used, or an option is out of its range.
    """
    choose(tokenizer, TOKENIZERS, "tokenizer")
    check_number("size", size, 8, 1024)
    check_number("vocabulary", vocabulary, 300, 32_000)
    check_number("context", context, 8, 1024)
    source = Path(path).expanduser()
    if not path or not source.is_file():
        what = "a folder" if path and source.is_dir() else "not there" if path else "empty"
        raise ValueError(f"path: got {path!r}, which is {what}; takes pairs:PATH, a .csv or .json file of file and caption")
    listed, skipped = {}, []
    for file, caption in ((file, " ".join(caption.split())) for file, caption in _listed(source)):
        if not file or not caption:
            skipped.append((file, "it has no caption") if file else ("(no file)", f"a caption alone: {caption[:40]!r}"))
        elif caption not in listed.setdefault(file, []):
            listed[file].append(caption)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        found = list(threads.map(lambda file: _read(source.parent / file, size), listed))
    skipped += [(file, result) for file, result in zip(listed, found, strict=True) if isinstance(result, str)]
    kept = [(file, *result) for file, result in zip(listed, found, strict=True) if not isinstance(result, str)]
    different = sorted({digest for _, _, digest in kept})
    if len(different) < FEWEST:
        why = f"; {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise ValueError(f"path: got {path!r}, with {len(different)} different pictures that can be used; takes {FEWEST} or "
                         f"more, so that one in ten can be validation and one in ten test{why}")
    if skipped:
        text = f"{len(skipped)} lines skipped of {source.name}: {': '.join(skipped[0])} ... (see .skipped)"
        warnings.warn(text, stacklevel=3)
    tenth = len(different) // 10
    part = {digest: 2 if place < tenth else 1 if place < 2 * tenth else 0 for place, digest in enumerate(different)}
    parts = torch.tensor([part[digest] for _, _, digest in kept])
    captions = [listed[file] for file, _, _ in kept]
    taught = [text for texts, number in zip(captions, parts.tolist(), strict=True) if number == 0 for text in texts]
    tokeniser = train_tokenizer(tokenizer, vocabulary, taught)
    kinds = max(map(len, captions))
    flat = [text for texts in captions for text in [*texts, *[""] * (kinds - len(texts))]]
    pictures = torch.from_numpy(np.stack([pixels for _, pixels, _ in kept])).permute(0, 3, 1, 2)[:, None]
    pairs = Pairs(
        pictures.contiguous(), torch.ones(len(kept), 1, dtype=torch.bool),
        _rows(tokeniser.encode_corpus(flat), context, marks=True).view(len(kept), kinds, context),
        torch.tensor([[place < len(texts) for place in range(kinds)] for texts in captions]),
    )  # fmt: skip
    card = Card(f"Pictures and captions in {source.name}", str(source), "yours, or that of whoever made them", "Your own data.")
    names = tuple(f"caption {kind + 1}" for kind in range(kinds)) if kinds > 1 else ("caption",)
    return PairDataset(f"pairs:{path}", pairs, [texts[0] for texts in captions], torch.full((len(kept),), -1), (),
                       split_by(parts), card, tokeniser, names, ("yours",), None, {}, skipped)  # fmt: skip


def _listed(source: Path) -> list[tuple[str, str]]:
    """(file, caption) of each line of a .csv or entry of a .json file."""
    takes = "takes a .csv file with a header of file and caption, or a .json list of {\"file\": ..., \"caption\": ...}"
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"path: got {str(source)!r}, which is not UTF-8 (byte {error.start:,}): save it as UTF-8") from None
    if source.suffix.lower() == ".json":
        try:
            entries = json.loads(text)
        except ValueError as error:
            raise ValueError(f"path: got {str(source)!r}, which is not JSON ({error}); {takes}") from None
        for entry in entries if isinstance(entries, list) else [text]:
            if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("file", "caption")):
                raise ValueError(f"path: got {str(source)!r}, in which stands {str(entry)[:60]}; {takes}")
        return [(entry["file"].strip(), entry["caption"]) for entry in entries]
    for delimiter in ",;\t":
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        columns = {str(name).strip().lower(): name for name in rows.fieldnames or ()}
        if source.suffix.lower() == ".csv" and {"file", "caption"} <= set(columns):
            return [((row[columns["file"]] or "").strip(), row[columns["caption"]] or "") for row in rows]
    first = text.split("\n", 1)[0].strip()
    raise ValueError(f"path: got {str(source)!r}, whose first line is {first[:60]!r}; {takes}")
