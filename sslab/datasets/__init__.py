"""Files on disk -> tensors in memory. `load("digits")` is a `Dataset`; `names()` lists what there is.

    data = sslab.datasets.load("digits")
    data.train.images                      # uint8 [18000, 1, 28, 28]
    data.card                              # origin, licence, what it is for

digits, fashion and emoji lie in data/ and are checked when they are read; shapes is generated; cifar10 is
downloaded, and only on request; `load("folder:PATH")` reads one's own pictures.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from sslab._names import choose
from sslab.datasets import bundled, download, folder, shapes
from sslab.datasets.base import Card, Dataset, Split, as_floats
from sslab.datasets.bundled import DataFileError, verify

__all__ = ["Card", "DataFileError", "Dataset", "Split", "as_floats", "load", "names", "verify"]

_MAKERS = {
    "digits": bundled.digits,
    "fashion": bundled.fashion,
    "emoji": bundled.emoji,
    "shapes": shapes.shapes,
    "cifar10": download.cifar10,
}


_DOWNLOADED = ("cifar10",)


def names(offline: bool = False) -> list[str]:
    """What `load` takes, besides "folder:PATH"; with `offline` only what needs no download."""
    return [name for name in _MAKERS if not (offline and name in _DOWNLOADED)]


def load(name: str, **options) -> Dataset:
    """Load a dataset: uint8 images in memory, labels, fixed splits, a card.

    A second call in the same process takes no time: it gives a new Dataset with the same tensors, so do not
    write into them. A folder is read anew each time.

    Args:
        name: "digits", "fashion", "emoji", "shapes", "cifar10", or "folder:PATH".
        options: `n` and `seed` for shapes; `sheets` for cifar10; `size` for a folder.
    Raises:
        ValueError: no such name (the message has the nearest one), or an option out of its range.
        DataFileError: a bundled file is missing or damaged; the message says which, and how to restore it.
    """
    if isinstance(name, str) and name.startswith("folder:"):
        return folder.folder(name.removeprefix("folder:"), **options)
    choose(name, [*_MAKERS, "folder:PATH"], "name")
    made = _made(name, bundled.data_folder(), tuple(sorted(options.items())))
    return replace(made, splits=dict(made.splits), factors=dict(made.factors), skipped=list(made.skipped))


@lru_cache(maxsize=8)
def _made(name: str, where: Path, options: tuple) -> Dataset:
    return _MAKERS[name](**dict(options))                       # `where` is in the key: SSLAB_DATA may change
