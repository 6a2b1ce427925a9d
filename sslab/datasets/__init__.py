"""Files on disk -> tensors in memory. `load("digits")` is a `Dataset`; `names()` lists what there is.

    data = sslab.datasets.load("digits")
    data.train.images                      # uint8 [18000, 1, 28, 28]
    data.card                              # origin, licence, what it is for

digits, fashion, emoji, openclipart, wordnet and passages lie in data/ and are checked when they are read; shapes
is generated; cifar10 is downloaded, and only on request; `load("folder:PATH")` reads one's own pictures,
`load("text:PATH")` one's own texts, `load("pairs:PATH")` one's own pictures with captions. wordnet, passages and
text:PATH are a `TextDataset`; emoji-pairs and pairs:PATH are a `PairDataset`.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from sslab._inputs import check_type
from sslab._names import choose
from sslab.datasets import bundled, download, folder, pairs, shapes, text
from sslab.datasets.base import Card, Dataset, Split, as_floats
from sslab.datasets.bundled import DataFileError, openclipart_records, verify
from sslab.datasets.pairs import PairDataset, Pairs, PairSplit
from sslab.datasets.text import TextDataset, TextSplit

__all__ = [
    "Card", "DataFileError", "Dataset", "PairDataset", "PairSplit", "Pairs", "Split", "TextDataset", "TextSplit", "as_floats",
    "load", "names", "openclipart_records", "verify",
]  # fmt: skip

_MAKERS = {
    "digits": bundled.digits,
    "fashion": bundled.fashion,
    "emoji": bundled.emoji,
    "shapes": shapes.shapes,
    "cifar10": download.cifar10,
    "wordnet": text.wordnet,
    "passages": text.passages,
    "emoji-pairs": pairs.emoji_pairs,
    "openclipart": bundled.openclipart,
}


_DOWNLOADED = ("cifar10",)
_KINDS = {"wordnet": "text", "passages": "text", "emoji-pairs": "pairs", "openclipart": "test"}     # all others: images


def names(offline: bool = False, kind: str = "all") -> list[str]:
    """What `load` takes, besides "folder:PATH", "text:PATH" and "pairs:PATH".

    Args:
        offline: only what needs no download.
        kind: "all"; what one trains on: "images", "text" or "pairs"; or "test", images for testing only.
    """
    check_type("offline", offline, bool)
    choose(kind, ("all", "images", "text", "pairs", "test"), "kind")
    return [name for name in _MAKERS
            if kind in ("all", _KINDS.get(name, "images")) and not (offline and name in _DOWNLOADED)]


def load(name: str, **options) -> Dataset | TextDataset | PairDataset:
    """Load a dataset: uint8 images or int16 tokens in memory, or both, labels, fixed splits, a card.

    A second call in the same process takes no time: it gives a new Dataset with the same tensors, so do not
    write into them. A folder, or a text of one's own, is read anew each time.

    Args:
        name: "digits", "fashion", "emoji", "shapes", "cifar10", "wordnet", "passages", "emoji-pairs",
            "openclipart", "folder:PATH", "text:PATH" or "pairs:PATH".
        options: `n` and `seed` for shapes; `sheets` for cifar10; `size` for a folder; `tokenizer`, `vocabulary`
            and `context` for text and pairs, also `held_out` for emoji-pairs and `size` for pairs of one's own.
    Raises:
        ValueError: no such name (the message has the nearest one), or an option out of its range.
        DataFileError: a bundled file is missing or damaged; the message says which, and how to restore it.
    """
    if isinstance(name, str) and name.startswith("folder:"):
        return folder.folder(name.removeprefix("folder:"), **options)
    if isinstance(name, str) and name.startswith("text:"):
        return text.own_text(name.removeprefix("text:"), **options)
    if isinstance(name, str) and name.startswith("pairs:"):
        return pairs.own_pairs(name.removeprefix("pairs:"), **options)
    choose(name, [*_MAKERS, "folder:PATH", "text:PATH", "pairs:PATH"], "name")
    typed = tuple((key, type(value), value) for key, value in sorted(options.items()))    # 4000.0 is not 4000
    made = _made(name, bundled.data_folder(), typed)
    return replace(made, splits=dict(made.splits), factors=dict(made.factors), skipped=list(made.skipped))


@lru_cache(maxsize=8)
def _made(name: str, where: Path, options: tuple) -> Dataset | TextDataset | PairDataset:
    return _MAKERS[name](**{key: value for key, _, value in options})     # `where` is a key: SSLAB_DATA may change
