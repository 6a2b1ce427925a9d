"""A person's own pictures: `load("folder:PATH")`.

    PATH/cats/a.jpg, PATH/cats/2021/b.png, PATH/dogs/c.gif      classes: cats, dogs
    PATH/a.jpg, PATH/b.png                                      no subfolders: no labels

The class is the first folder below PATH, however deep a picture lies in it. Pictures beside class folders
have no class: they are skipped. Hidden files and folders (a leading dot, `__MACOSX`) are not looked at.
Pictures become RGB: turned as their EXIF says, transparency on white, the first frame of an animation, 16
bits to 8. The largest square in the middle is resized to `size` (bicubic, antialiased).
"""

import hashlib
import os
import stat
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
        ValueError: path is not a folder or has no picture that can be read, or size is out of its range, or so large
            that the pictures would not fit into the memory that is free.
    """
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        what = "a file" if root.is_file() else "not there" if path else "empty"
        raise ValueError(f"path: got {path!r}, which is {what}; takes folder:PATH, the path of a folder")
    if not isinstance(size, int) or not 8 <= size <= 1024:
        raise ValueError(f"size: got {size!r}, takes a whole number of pixels from 8 to 1024")
    files = _files(root)
    _check_memory(len(files), size)
    pictures = torch.empty(len(files), 3, size, size, dtype=torch.uint8)      # memory is taken as rows are filled
    rows = pictures.numpy()                                                   # the same memory
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as threads:                              # Pillow decodes outside the GIL
        results = list(threads.map(lambda row: _read_into(rows[row], root / files[row], size), range(len(files))))
    skipped = [(name, reason) for name, (reason, _) in zip(files, results) if reason]
    kept = [row for row, (reason, _) in enumerate(results) if not reason]
    if any("/" in files[row] for row in kept):
        skipped += [(files[row], "lies beside the class folders") for row in kept if "/" not in files[row]]
        kept = [row for row in kept if "/" in files[row]]
    if not kept:
        why = f"none of {len(files)} files can be read ({': '.join(skipped[0])})" if files else "it is empty"
        raise ValueError(f"path: got {path!r}, a folder without pictures: {why}")
    if skipped:
        text = f"{len(skipped)} of {len(files)} files skipped: {': '.join(skipped[0])} ... (see .skipped)"
        warnings.warn(text, stacklevel=3)
    names, digests = [files[row] for row in kept], [results[row][1] for row in kept]
    for place, row in enumerate(kept):                       # closed up in place: a copy would take as much memory again
        if place < row:
            pictures[place] = pictures[row]
    classes = tuple(sorted({name.split("/")[0] for name in names if "/" in name}))
    number = {name: label for label, name in enumerate(classes)}
    labels = torch.tensor([number[name.split("/")[0]] if classes else -1 for name in names])
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
    return Dataset(f"folder:{path}", pictures[:len(kept)], labels, classes, splits, card, {}, sorted(skipped))


def _check_memory(count: int, size: int) -> None:
    """Refuse what would fill the memory: the pictures, and once more for the three parts of them."""
    needed, free = 2 * count * 3 * size**2, free_memory()
    if free is not None and needed > free:
        raise ValueError(f"size: got {size}, at which {count:,} files take {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory "
                         "are free; takes a smaller one, or fewer pictures")


def free_memory() -> int | None:
    """Bytes that a program may still take; None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _read_into(row: np.ndarray, path: Path, size: int) -> tuple[str, str]:
    """Write the picture at `path` into a row [3, size, size]: ("", its sha256); or why it cannot be done, and ""."""
    found = _read(path, size)
    if isinstance(found, str):
        return found, ""
    pixels, digest = found
    row[:] = pixels.transpose(2, 0, 1)
    return "", digest


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
        if not stat.S_ISREG(path.stat().st_mode):
            return "not a file"                                               # reading a pipe would wait for ever
        with open(path, "rb") as file:                                        # never all of it: it may be a long film
            if not file.read(1):
                return "an empty file"
            file.seek(0)
            with Image.open(file) as image:
                pixels = _square(image, size)
            file.seek(0)
            return pixels, hashlib.file_digest(file, "sha256").hexdigest()
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


def _split(digests: list[str]) -> tuple[dict[str, Tensor], str]:
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


# ---- a folder to try it with

SIDES = (48, 64, 96, 120, 160, 200)                                           # of the pictures that are written, in pixels
KINDS = (("png", {}), ("jpg", {"quality": 90}), ("webp", {"quality": 90}), ("gif", {}), ("bmp", {}))


def write_example(path: str | os.PathLike) -> Path:
    """Fill a new folder as people's folders are: the bundled clip art by class, in many sizes and kinds of file.

    Among them a 16-bit PNG, a palette GIF, a CMYK JPEG and an animated GIF, which can be read, and three files that
    cannot: an empty one, a JPEG that ends too early, and a text that is called .png. Always the same files.

    Args:
        path: the folder. It is made; one that is there must be empty.
    Returns:
        its path: `load(f"folder:{path}")` reads it.
    Raises:
        ValueError: path is a file, or a folder with something in it.
    """
    from PIL import Image

    from sslab.datasets.bundled import openclipart

    root = Path(path).expanduser()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(f"path: got {str(path)!r}, which has something in it; takes a new folder, or an empty one")
    art = openclipart()
    for name in art.class_names:
        (root / name).mkdir(parents=True, exist_ok=True)
    drawings = [Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()) for pixels in art.images]
    for number, (drawing, label) in enumerate(zip(drawings, art.labels.tolist(), strict=True)):
        ending, options = KINDS[number % len(KINDS)]
        height = SIDES[number % len(SIDES)]
        width = SIDES[number // len(SIDES) % len(SIDES)]
        page = Image.new("RGB", (width, height), "white")
        side = min(width, height)                                             # the drawing in the middle, as it was
        page.paste(drawing.resize((side, side), Image.Resampling.BICUBIC), ((width - side) // 2, (height - side) // 2))
        page.save(root / art.class_names[label] / f"{number:04}.{ending}", **options)
    some = root / art.class_names[0]
    deep = np.asarray(drawings[0].convert("L"), np.uint16) * 257
    Image.fromarray(deep).save(some / "sixteen_bits.png")
    drawings[1].quantize(8).save(some / "palette.gif")
    drawings[2].convert("CMYK").save(some / "print.jpg", quality=95)
    drawings[3].save(some / "animated.gif", save_all=True, append_images=drawings[4:7], duration=200)
    whole = (some / "print.jpg").read_bytes()
    (some / "cut_short.jpg").write_bytes(whole[:len(whole) // 2])
    (some / "empty.png").write_bytes(b"")
    (some / "text.png").write_text("This is not a picture.\n", encoding="utf-8")
    return root
