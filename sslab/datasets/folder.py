"""A person's own pictures: `load("folder:PATH")`.

    PATH/cats/a.jpg, PATH/cats/2021/b.png, PATH/dogs/c.gif      classes: cats, dogs
    PATH/a.jpg, PATH/b.png                                      no subfolders: no labels

The class is the first folder below PATH, however deep a picture lies in it. Pictures beside class folders
have no class: they are skipped. Hidden files and folders (a leading dot, `__MACOSX`) are not looked at.
Pictures become RGB: turned as their EXIF says, transparency on white, the first frame of an animation, 16
bits to 8. The largest square in the middle is resized to `size` (bicubic, antialiased).
"""

import hashlib
import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sslab.datasets.base import Card, Dataset, split_by


def folder(path: str, size: int = 32) -> Dataset:
    """Pictures under `path` as uint8 [N, 3, size, size], in the order of their relative paths.

    The split comes from a hash of each file's bytes (70 % train, 10 % validation, 20 % test): adding,
    renaming or removing a picture moves no other, and copies of one file are in the same split.

    Args:
        path: the folder; `~` is the home folder.
        size: side of the pictures in pixels, 8 to 1,024.
    Returns:
        a Dataset whose `skipped` has (relative path, reason) of what could not be read; a warning says so.
    Raises:
        ValueError: path is not a folder or has no picture that can be read, or size is out of its range.
    """
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        what = "a file" if root.is_file() else "not there" if path else "empty"
        raise ValueError(f"path: got {path!r}, which is {what}; takes folder:PATH, the path of a folder")
    if not isinstance(size, int) or not 8 <= size <= 1024:
        raise ValueError(f"size: got {size!r}, takes a whole number of pixels from 8 to 1024")
    files = _files(root)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:          # Pillow decodes outside the GIL
        results = list(threads.map(lambda name: _read(root / name, size), files))
    skipped = [(name, result) for name, result in zip(files, results) if isinstance(result, str)]
    kept = [(name, *result) for name, result in zip(files, results) if not isinstance(result, str)]
    if any("/" in name for name, *_ in kept):
        skipped += [(name, "lies beside the class folders") for name, *_ in kept if "/" not in name]
        kept = [item for item in kept if "/" in item[0]]
    if not kept:
        why = f"none of {len(files)} files can be read ({': '.join(skipped[0])})" if files else "it is empty"
        raise ValueError(f"path: got {path!r}, a folder without pictures: {why}")
    if skipped:
        text = f"{len(skipped)} of {len(files)} files skipped: {': '.join(skipped[0])} ... (see .skipped)"
        warnings.warn(text, stacklevel=3)
    names, images, digests = zip(*kept)
    classes = tuple(sorted({name.split("/")[0] for name in names if "/" in name}))
    labels = torch.tensor([classes.index(name.split("/")[0]) if classes else -1 for name in names])
    splits, remark = _split(digests)
    if remark:
        warnings.warn(remark, stacklevel=3)
    card = Card(
        title=f"Pictures in {root.name or root}",
        origin=str(root),
        licence="yours, or that of whoever made the pictures",
        purpose="Your own data.",
        notes=" ".join(filter(None, [_class_sizes(labels, classes), remark])),
    )
    pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()        # [N, 3, size, size]
    return Dataset(f"folder:{path}", pictures, labels, classes, splits, card, {}, sorted(skipped))


def _files(root: Path) -> list[str]:
    """Every file under root that is not hidden: sorted relative paths with slashes. Links are followed."""
    found, seen = [], set()
    for here, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        hidden = {name for name in folders if name.startswith(".") or name == "__MACOSX"}
        folders[:] = [] if real in seen else sorted(set(folders) - hidden)       # a link may lead in a circle
        if real not in seen:
            visible = [Path(here) / name for name in files if not name.startswith(".")]
            found += [path.relative_to(root).as_posix() for path in visible]
        seen.add(real)
    return sorted(found)


def _read(path: Path, size: int) -> tuple[np.ndarray, str] | str:
    """(pixels uint8 [size, size, 3], sha256 of the file), or in words why not."""
    from PIL import Image, UnidentifiedImageError

    try:
        content = path.read_bytes()
        if not content:
            return "an empty file"
        with Image.open(io.BytesIO(content)) as image:
            return _square(image, size), hashlib.sha256(content).hexdigest()
    except UnidentifiedImageError:
        return "not a picture that Pillow can read"
    except MemoryError:
        return "too large for the memory"
    except Exception as error:  # noqa: BLE001               # decoders of damaged files raise almost anything
        return str(error) or type(error).__name__


def _square(image, size: int) -> np.ndarray:
    """Any picture of Pillow as uint8 [size, size, 3]."""
    from PIL import Image, ImageOps

    image.draft(None, (2 * size, 2 * size))          # a JPEG is decoded at 1/2, 1/4, 1/8 where that is enough
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):                       # 32 bits without a fixed range: darkest to brightest
        values = np.asarray(image, np.float64)
        values = (values - values.min()) / max(np.ptp(values), 1e-12)
        image = Image.fromarray((255 * values).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC))


def _split(digests: tuple[str, ...]) -> tuple[dict[str, Tensor], str]:
    """Indices of the three splits, and a remark when there are too few different pictures for the rule."""
    place = {digest: int(digest[:12], 16) / 16**12 for digest in digests}         # in [0, 1), copies together
    order = sorted(place, key=place.get)
    validation = sum(0.7 <= value < 0.8 for value in place.values())
    test = sum(0.8 <= value for value in place.values())
    remark = ""
    if len(order) < 3:
        validation = test = 0
        remark = f"{len(order)} different pictures are too few for three splits: all are in train."
    elif 0 in (validation, test, len(order) - validation - test):
        validation = max(1, validation)                           # one picture at least for each of the three
        test = max(1, min(test, len(order) - validation - 1))
        validation = min(validation, len(order) - test - 1)
        remark = f"{len(order)} different pictures are few: validation has {validation}, test {test}."
    bounds = [0, len(order) - validation - test, len(order) - test, len(order)]
    part = {digest: number for number in range(3) for digest in order[bounds[number]:bounds[number + 1]]}
    return split_by(torch.tensor([part[digest] for digest in digests])), remark


def _class_sizes(labels: Tensor, classes: tuple[str, ...]) -> str:
    if not classes:
        return "No subfolders, so no labels."
    counts = torch.bincount(labels)
    return f"{counts.min():,} to {counts.max():,} pictures a class."
