"""Files on disk -> tensors in memory. `load("digits")` is a `Dataset`; `names()` lists what there is.

    data = sslab.datasets.load("digits")
    data.train.images                      # uint8 [18000, 1, 28, 28]
    data.card                              # origin, licence, what it is for

digits, fashion, emoji, wordnet and passages lie in data/ and are checked when they are read; shapes is
generated; cifar10 is downloaded, and only on request; `load("folder:PATH")` reads one's own pictures,
`load("text:PATH")` one's own texts. wordnet, passages and text:PATH are a `TextDataset`.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from sslab._names import choose
from sslab.datasets import bundled, download, folder, shapes, text
from sslab.datasets.base import Card, Dataset, Split, as_floats
from sslab.datasets.bundled import DataFileError, verify
from sslab.datasets.text import TextDataset, TextSplit

__all__ = [
    "Card", "DataFileError", "Dataset", "Split", "TextDataset", "TextSplit", "as_floats", "load", "names", "verify",
]  # fmt: skip

_MAKERS = {
    "digits": bundled.digits,
    "fashion": bundled.fashion,
    "emoji": bundled.emoji,
    "shapes": shapes.shapes,
    "cifar10": download.cifar10,
    "wordnet": text.wordnet,
    "passages": text.passages,
}


_DOWNLOADED = ("cifar10",)
_TEXT = ("wordnet", "passages")


def names(offline: bool = False, kind: str = "all") -> list[str]:
    """What `load` takes, besides "folder:PATH" and "text:PATH".

    Args:
        offline: only what needs no download.
        kind: "all", "images" or "text".
    """
    choose(kind, ("all", "images", "text"), "kind")
    kinds = {"all": (True, False), "images": (False,), "text": (True,)}[kind]
    return [name for name in _MAKERS if (name in _TEXT) in kinds and not (offline and name in _DOWNLOADED)]


def load(name: str, **options) -> Dataset | TextDataset:
    """Load a dataset: uint8 images or int16 tokens in memory, labels, fixed splits, a card.

    A second call in the same process takes no time: it gives a new Dataset with the same tensors, so do not
    write into them. A folder, or a text of one's own, is read anew each time.

    Args:
        name: "digits", "fashion", "emoji", "shapes", "cifar10", "wordnet", "passages", "folder:PATH" or
            "text:PATH".
        options: `n` and `seed` for shapes; `sheets` for cifar10; `size` for a folder; `tokenizer`, `vocabulary`
            and `context` for text.
    Raises:
        ValueError: no such name (the message has the nearest one), or an option out of its range.
        DataFileError: a bundled file is missing or damaged; the message says which, and how to restore it.
    """
    if isinstance(name, str) and name.startswith("folder:"):
        return folder.folder(name.removeprefix("folder:"), **options)
    if isinstance(name, str) and name.startswith("text:"):
        return text.own_text(name.removeprefix("text:"), **options)
    choose(name, [*_MAKERS, "folder:PATH", "text:PATH"], "name")
    typed = tuple((key, type(value), value) for key, value in sorted(options.items()))    # 4000.0 is not 4000
    made = _made(name, bundled.data_folder(), typed)
    return replace(made, splits=dict(made.splits), factors=dict(made.factors), skipped=list(made.skipped))


@lru_cache(maxsize=8)
def _made(name: str, where: Path, options: tuple) -> Dataset | TextDataset:
    return _MAKERS[name](**{key: value for key, _, value in options})     # `where` is a key: SSLAB_DATA may change
