"""What a dataset is here: all images in memory as uint8, fixed splits, and a card with its origin."""

import base64
import html
import io
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sslab._inputs import check_type, is_whole

PARTS = ("train", "validation", "test")


def as_floats(images: Tensor) -> Tensor:
    """Bytes -> floats in [0, 1]; floats stay as they are."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images: got {type(images).__name__}, takes a tensor")
    return images.float() / 255 if images.dtype == torch.uint8 else images


def inputs_of(part):
    """What a model is fed from a part of a dataset: its `inputs` (a tensor, or `Pairs`), or its `images` if it has none."""
    inputs = getattr(part, "inputs", None)
    return part.images if inputs is None else inputs


def as_fed(batch):
    """A batch as a model takes it: images and pairs as they are, tokens as int64 (they are kept as int16, a quarter of that)."""
    if not isinstance(batch, Tensor):
        return batch
    return batch if batch.dtype == torch.uint8 or batch.is_floating_point() else batch.long()


@dataclass(frozen=True)
class Card:
    """Where a dataset comes from, what one may do with it, and what it is for."""

    title: str
    origin: str
    licence: str
    purpose: str
    notes: str = ""

    def _rows(self) -> list[tuple[str, str]]:
        texts = {"Origin": self.origin, "Licence": self.licence, "For": self.purpose, "Notes": self.notes}
        return [(name, text) for name, text in texts.items() if text]

    def _repr_markdown_(self) -> str:
        return "\n".join([f"**{self.title}**", ""] + [f"- *{name}:* {text}" for name, text in self._rows()])


@dataclass(frozen=True, repr=False)
class Split:
    """A part of a dataset: images uint8 [n, C, H, W], labels int64 [n], their indices [n] in the whole."""

    images: Tensor
    labels: Tensor
    indices: Tensor

    @property
    def inputs(self) -> Tensor:
        """What a model is fed: the images."""
        return self.images

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"Split({len(self):,} images of {'x'.join(map(str, self.images.shape[1:]))})"


class Parts:
    """What datasets of all kinds share: three parts, each gathered when it is asked for first, and the classes.

    A subclass has `splits`, `class_names` and an empty dict `_parts`, and writes `_gather`.
    """

    def _gather(self, name: str, index: Tensor):
        """The part of this name, whose rows are `index`."""
        raise NotImplementedError

    def _part(self, name: str):
        index, part = self.splits[name], self._parts.get(name)
        if part is None or part.indices is not index:       # gathered once: copying 18,000 images takes 10 ms
            part = self._parts[name] = self._gather(name, index)
        return part

    @property
    def train(self):
        return self._part("train")

    @property
    def validation(self):
        return self._part("validation")

    @property
    def test(self):
        return self._part("test")

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


@dataclass(repr=False)
class Dataset(Parts):
    """Images with their labels, splits and card.

    Loaded tensors are shared by every `load()` of the same name in this process: do not write into them
    (`dataset.images.clone()` gives a copy of one's own).

    Attributes:
        name: as in `sslab.datasets.load(name)`.
        images: uint8 [N, C, H, W], all of them.
        labels: int64 [N], -1 where there is none.
        class_names: one a label, () where there are no labels.
        splits: "train", "validation", "test" -> int64 indices into images; disjoint and fixed.
        card: origin, licence, purpose.
        factors: name -> values [N]; what else is known of each image, {} where nothing is.
        skipped: files that could not be read, with the reason (`folder:PATH` only).
    """

    name: str
    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    splits: dict[str, Tensor]
    card: Card
    factors: dict[str, Tensor] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, kind in (("name", str), ("images", Tensor), ("labels", Tensor), ("class_names", tuple[str, ...]),
                           ("splits", dict[str, Tensor])):
            check_type(name, getattr(self, name), kind)
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise ValueError(f"images: got {self.images.dtype} {list(self.images.shape)}, takes uint8 [N, C, H, W]")
        if self.labels.shape != self.images.shape[:1] or not is_whole(self.labels):
            raise ValueError(f"labels: got {self.labels.dtype} {list(self.labels.shape)}, takes whole numbers [{len(self.images)}]")
        for part in ("train", "validation", "test"):
            index = self.splits.get(part)
            if index is None or not isinstance(index, Tensor) or index.ndim != 1 or not is_whole(index):
                raise ValueError(f"splits: got {index!r} for {part!r}, takes whole numbers [n], of each part")
    _parts: dict[str, Split] = field(default_factory=dict, init=False, compare=False)

    def _gather(self, name: str, index: Tensor) -> Split:
        return Split(self.images[index], self.labels[index], index)

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """Height of an image in pixels."""
        return self.images.shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def _summary(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        parts = ", ".join(f"{len(index):,} {name}" for name, index in self.splits.items())
        classes = f"{self.num_classes} classes" if self.class_names else "no labels"
        skipped = f", {len(self.skipped):,} files skipped" if self.skipped else ""
        return f"{len(self):,} images of {shape}, {classes} ({parts}){skipped}"

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}: {self._summary()})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<div><i>{name}:</i> {html.escape(text)}</div>" for name, text in self.card._rows())
        text = html.escape(f"{self.name}: {self._summary()}")
        return (
            f'<div><b>{html.escape(self.card.title)}</b> <code>{text}</code><br>'
            f'<img alt="Sample images of {html.escape(self.name)}" src="{data_uri(self._samples())}" '
            f'style="image-rendering:pixelated;margin:4px 0">{rows}</div>'
        )

    def _samples(self, count: int = 10) -> Tensor:
        """One image a class where there are classes, else the first ones: [count, C, H, W], of train if it has any."""
        part = self.train if len(self.splits["train"]) else self.test
        firsts = [(part.labels == label).nonzero()[:1, 0] for label in range(min(self.num_classes, count))]
        rest = torch.arange(min(count, len(part)))
        return part.images[torch.cat([*firsts, rest])[:count]]


def split_by(parts: Tensor) -> dict[str, Tensor]:
    """`Dataset.splits` from a number for each image [N]: 0 train, 1 validation, 2 test."""
    return {name: (parts == part).nonzero()[:, 0] for part, name in enumerate(PARTS)}


def split_in_order(*counts: int) -> dict[str, Tensor]:
    """`Dataset.splits` of images that lie in the order of the splits: so many train, validation and test."""
    return split_by(torch.arange(3).repeat_interleave(torch.tensor(counts)))


def data_uri(images: Tensor, zoom: int = 2, gap: int = 2) -> str:
    """One row of images, uint8 [n, C, H, W] with 1 or 3 channels, as a PNG in a data URI."""
    from PIL import Image

    images = images.expand(-1, 3, -1, -1).repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
    padded = torch.nn.functional.pad(images, (0, gap), value=255)                   # [n, 3, H, W + gap]
    row = padded.permute(2, 0, 3, 1).flatten(1, 2).numpy()                          # [H, n (W + gap), 3]
    file = io.BytesIO()
    Image.fromarray(row).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
