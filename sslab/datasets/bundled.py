"""The data that comes with the lab: digits, fashion, emoji, clip art. Each file's sha256 is checked on reading.

The checksums are data/SHA256SUMS. A check costs a few milliseconds, and a truncated, empty or altered file
never becomes wrong pixels or wrong labels.
"""

import gzip
import hashlib
import html
import io
import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sslab.datasets.base import Card, Dataset, split_by, split_in_order

VENDORS = ("noto", "twemoji", "fluent-emoji-flat", "openmoji", "emojione", "noto-v1")    # the order of `have`


class DataFileError(OSError):
    """A bundled file is missing or damaged; the message says which one and how to restore it."""


def data_folder() -> Path:
    """Where the bundled files lie: SSLAB_DATA if it is set, sslab/_data in a wheel, data/ in a checkout."""
    if named := os.environ.get("SSLAB_DATA"):
        return Path(named)
    package = Path(__file__).parent.parent
    return package / "_data" if (package / "_data").is_dir() else package.parent / "data"


def checksums() -> dict[str, str]:
    """The bundled files and their sha256, from data/SHA256SUMS."""
    path = data_folder() / "SHA256SUMS"
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return {name: digest for digest, name in map(str.split, lines)}
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} cannot be read ({error}). {_restore(path)}") from error


def read(name: str) -> bytes:
    """The bytes of one bundled file.

    Raises:
        DataFileError: it is missing, or its sha256 is not the one in SHA256SUMS.
    """
    path = data_folder() / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path} cannot be read ({error.strerror}). {_restore(path)}") from error
    expected, found = checksums().get(name, "not listed"), hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataFileError(
            f"{path} is damaged: {len(content):,} bytes with sha256 {found[:12]}..., and SHA256SUMS says "
            f"{expected[:12]}.... {_restore(path)}"
        )
    return content


def _restore(path: Path) -> str:
    if path.parent.name == "_data":
        return "To restore it: install the lab again (pip install --force-reinstall --no-deps PATH)"
    if path.parent == Path(__file__).parent.parent.parent / "data":
        return f"To restore it: git checkout -- data/{path.name} (or rebuild it: data/README.md)"
    return "To restore it: copy it again from data/ of the project, or unset SSLAB_DATA to use that folder"


def verify() -> list[tuple[str, str]]:
    """Check every bundled file: [(name, problem)], the empty list when all is well."""
    problems = []
    try:
        names = checksums()
    except DataFileError as error:
        return [("SHA256SUMS", str(error))]
    for name in names:
        try:
            read(name)
        except DataFileError as error:
            problems.append((name, str(error)))
    return problems


def tiles(sheet: bytes, size: int, count: int) -> Tensor:
    """Cut a sheet of square tiles, row by row: uint8 [count, C, size, size], C = 1 for grey, 3 for colour."""
    from PIL import Image

    grid = torch.from_numpy(np.array(Image.open(io.BytesIO(sheet))))          # [rows size, columns size(, 3)]
    grid = grid.unflatten(1, (-1, size)).unflatten(0, (-1, size))           # [rows, size, columns, size(, 3)]
    grid = grid[..., None] if grid.ndim == 4 else grid
    return grid.permute(0, 2, 4, 1, 3).flatten(0, 1)[:count].contiguous()           # [count, C, size, size]


def _grey28(name: str, class_names: tuple[str, ...], card: Card) -> Dataset:
    """MNIST or Fashion-MNIST: 18,000 images in train, 2,000 in validation, 5,000 in test."""
    images, labels = [], []
    for part, count in (("train20000", 20_000), ("test5000", 5_000)):
        images.append(tiles(read(f"{name}_{part}.png"), 28, count))
        labels.append(torch.from_numpy(np.load(io.BytesIO(read(f"{name}_{part}_labels.npy")))).long())
    splits = split_in_order(18_000, 2_000, 5_000)
    return Dataset(name, torch.cat(images), torch.cat(labels), class_names, splits, card)


def digits() -> Dataset:
    """MNIST, the first 20,000 training and 5,000 test images: [25000, 1, 28, 28]."""
    return _grey28("digits", tuple("0123456789"), Card(
        title="Handwritten digits (MNIST)",
        origin="Yann LeCun and Corinna Cortes, from NIST; the first 20,000 of train and 5,000 of test.",
        licence="CC BY-SA 3.0",
        purpose="The first lesson's data: a representation learned in a minute makes few labels go far.",
        notes="Turned by 180 degrees a 6 is a 9. The first 5,000 of MNIST's test images are its easier half.",
    ))


def fashion() -> Dataset:
    """Fashion-MNIST, the first 20,000 training and 5,000 test images: [25000, 1, 28, 28]."""
    names = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
             "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")  # fmt: skip
    return _grey28("fashion", names, Card(
        title="Fashion articles (Fashion-MNIST)",
        origin="Zalando SE, from photographs of its shop; the first 20,000 of train and 5,000 of test.",
        licence="MIT",
        purpose="The harder, honest second: raw pixels are a strong control here.",
        notes="Shirt, T-shirt/top, pullover and coat are hard to tell apart at 28 x 28, for people too.",
    ))


EMOJI_GROUPS = {
    0: "smileys and emotion", 1: "people and body", 3: "animals and nature", 4: "food and drink",
    5: "travel and places", 6: "activities", 7: "objects", 8: "symbols",
}                                                                  # 2 (components) and 9 (flags) are left out


def emoji_records() -> list[dict]:
    """What is known of each of the 1,644 emoji, in the order of `factors["emoji"]`.

    Returns:
        dicts with emoji (the characters), hex (its code points), name, tags, group (a key of EMOJI_GROUPS),
        subgroup (0 to 99) and have (one flag a vendor, in the order of VENDORS).
    """
    return json.loads(gzip.decompress(read("emoji_names.json.gz")))


def emoji() -> Dataset:
    """Six vendors' drawings of 1,644 emoji, 32 x 32 in colour: [8812, 3, 32, 32], labelled by the 8 groups.

    factors: "emoji" (index into `emoji_records()`), "vendor" (index into VENDORS), "subgroup". The drawings
    of one emoji follow one another and are in one split; of each group 15 % of the emoji are test, 10 % are
    validation.
    """
    records = emoji_records()
    sheets = torch.stack([tiles(read(f"emoji32_{vendor}.webp"), 32, len(records)) for vendor in VENDORS], 1)
    which, vendor = torch.tensor([record["have"] for record in records]).nonzero(as_tuple=True)
    groups = {group: label for label, group in enumerate(EMOJI_GROUPS)}
    labels = torch.tensor([groups[record["group"]] for record in records])[which]
    counts = torch.bincount(labels).tolist()
    subgroups = torch.tensor([record["subgroup"] for record in records])[which]
    return Dataset(
        "emoji", sheets[which, vendor], labels, tuple(EMOJI_GROUPS.values()),
        split_by(_emoji_parts(records)[which]),
        Card(
            title="Emoji, as six vendors draw them",
            origin="Noto (two generations), Twemoji, Fluent Emoji, OpenMoji and EmojiOne, from SVG files; "
                   "names and groups from emojibase and Unicode.",
            licence="Noto: Apache-2.0. Fluent: MIT. Twemoji, EmojiOne: CC BY 4.0. OpenMoji: CC BY-SA 4.0. "
                    "Names: MIT and Unicode-3.0.",
            purpose="The same thing drawn in six styles: colour, pairs, retrieval, and later words.",
            notes=f"Not every vendor has every emoji, and the classes are unequal: {max(counts):,} drawings "
                  f"in the largest, {min(counts):,} in the smallest. Many emoji are variants of one another "
                  "(man, woman, person): one emoji's drawings share a split, its variants may not.",
        ),
        {"emoji": which, "vendor": vendor, "subgroup": subgroups},
    )


def _emoji_parts(records: list[dict]) -> Tensor:
    """0, 1 or 2 for each emoji (train, validation, test): in each group by a hash of the code points."""
    parts = torch.zeros(len(records), dtype=torch.long)
    for group in EMOJI_GROUPS:
        members = [index for index, record in enumerate(records) if record["group"] == group]
        members.sort(key=lambda index: hashlib.sha256(records[index]["hex"].encode()).hexdigest())
        test, validation = round(0.15 * len(members)), round(0.10 * len(members))
        parts[members[:test]] = 2
        parts[members[test:test + validation]] = 1
    return parts


# ---- clip art

CLIP_ART = ("animals", "buildings", "food", "plants", "tools", "transport", "signs")
_FOLDERS = {"transportation": "transport"}                             # of the collection, where a class is called otherwise
_LEFT_OUT = ("tools/weapons", "food/beverages/alcohol")                # folders
_UNSUITABLE = (                                                        # single drawings of other folders, by their titles
    "2 dead frogs", "Mermaid", "kallisti-grenade 1", "M1 Abrams main battle tank", "military airplane", "Cannabis Leaf",
    "Human, humain, umano seduto", "Ragnetto incazzato", "nunchaku", "smoke", "Lattine di birra", "Bread and Wine",
)  # fmt: skip
CLIP_ARTS = 1_117                                                      # drawings in the sheet


def openclipart_records() -> list[dict]:
    """What is known of each drawing, in the order of `load("openclipart").images`.

    Returns:
        dicts with title, keywords, folder (such as "animals/birds") and class (one of CLIP_ART). Titles are what those
        who drew it wrote, in several languages; some say nothing of what is seen.
    """
    return [record for _, record in _clip_art()]


def _clip_art() -> list[tuple[int, dict]]:
    """(place in the sheet, record) of each drawing that is kept."""
    kept = []
    for place, raw in enumerate(json.loads(read("openclipart_meta.json"))):
        title = html.unescape(html.unescape(raw["title"]))
        if raw["sub"] in _LEFT_OUT or title in _UNSUITABLE:
            continue
        sign = raw["sub"] == "transportation/aiga-symbols" or title in ("Road Signs", "SVG Road Signs")
        label = "signs" if sign else _FOLDERS.get(raw["cat"], raw["cat"])
        kept.append((place, {"title": title, "keywords": raw["kw"], "folder": raw["sub"], "class": label}))
    return kept


def openclipart() -> Dataset:
    """Clip art, 32 x 32 in colour, for testing only: all of it is test, train and validation are empty.

    Labelled by 7 classes: the collection's own folders, with pictograms and road signs a class of their own.

    factors: "folder" (index into the sorted folders of `openclipart_records()`).
    """
    kept = _clip_art()
    places, labels = torch.tensor([place for place, _ in kept]), torch.tensor([CLIP_ART.index(r["class"]) for _, r in kept])
    folders = sorted({record["folder"] for _, record in kept})
    return Dataset(
        "openclipart", tiles(read("openclipart32.webp"), 32, CLIP_ARTS)[places], labels, CLIP_ART,
        split_in_order(0, 0, len(kept)),
        Card(
            title="Clip art (Open Clip Art Library)",
            origin="openclipart.org, contributed by many hands; those of Debian's openclipart-png that are marked PublicDomain.",
            licence="public domain",
            purpose="A test of classes named in words, on drawings that no training has seen.",
            notes="There is nothing to train on: all of it is test. The classes are unequal: "
                  f"{', '.join(f'{name} {count}' for name, count in zip(CLIP_ART, torch.bincount(labels).tolist()))}. "
                  f"{CLIP_ARTS - len(kept)} of {CLIP_ARTS:,} drawings are left out as unsuitable for a classroom: weapons, "
                  "alcohol, tobacco, drugs, nudity, death, one coarse title. The folders are those of the contributors, and "
                  "some drawings lie in the wrong one.",
        ),
        {"folder": torch.tensor([folders.index(record["folder"]) for _, record in kept])},
    )  # fmt: skip
