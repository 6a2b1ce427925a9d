"""Encoders: images [B, C, H, W] or tokens [B, T] in, representations [B, dim] out, `encoder.dim` wide."""

from torch import Tensor, nn

from sslab._names import choose
from sslab.datasets.base import as_floats
from sslab.encoders.conv import ResidualNet, conv, resnet18
from sslab.encoders.decoder import Decoder
from sslab.encoders.heads import mlp, predictor, projector
from sslab.encoders.transformer import Cache, Transformer
from sslab.encoders.vit import VisionTransformer, vit

__all__ = ["Decoder", "Encoder", "ResidualNet", "TextEncoder", "Transformer", "VisionTransformer", "create", "mlp",
           "names", "predictor", "projector"]

_MAKERS = {"conv": conv, "resnet18": resnet18, "vit": vit}
_TEXT = {"transformer": Transformer}


def centred(images: Tensor) -> Tensor:
    """Images, uint8 or floats in [0, 1] -> floats in [-1, 1], what networks see."""
    return as_floats(images) * 2 - 1


class Encoder(nn.Module):
    """A network with its input normalised: bytes become floats in [0, 1], and those go to [-1, 1]."""

    def __init__(self, name: str, shape: tuple[int, int], **options) -> None:
        super().__init__()
        self.name, self.shape, self.options = name, shape, options
        self.net = _MAKERS[name](*shape, **options)
        self.dim = self.net.dim

    def fresh(self) -> "Encoder":
        """Another encoder of the same architecture, untrained."""
        return Encoder(self.name, self.shape, **self.options)

    def forward(self, images: Tensor) -> Tensor:                     # uint8, or floats in [0, 1], [B, C, H, W]
        return self.net(centred(images))                             # [B, dim]

    def maps(self, images: Tensor) -> Tensor:
        """What is seen where, [B, dim, h, w]: the mean over all places is the representation."""
        return self.net.maps(centred(images))

    def extra_repr(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        return f"{self.name}, images {self.shape[0]} x {self.shape[1]} x {self.shape[1]}, dim {self.dim}, {count:,} parameters"


class TextEncoder(nn.Module):
    """A network for text.

    Args:
        name: of its architecture.
        vocabulary: how many tokens there are. context: the longest row.
        continuous: rows are consecutive pieces of long texts, so that a row may be cut anywhere. False: a row is a text.
        options: of the network.
    """

    def __init__(self, name: str, vocabulary: int, context: int, continuous: bool = False, **options) -> None:
        super().__init__()
        self.name, self.vocabulary, self.context, self.continuous = name, vocabulary, context, continuous
        self.options = options
        self.net = _TEXT[name](vocabulary, context, **options)
        self.dim = self.net.dim

    def fresh(self) -> "TextEncoder":
        """Another encoder of the same architecture, untrained."""
        return TextEncoder(self.name, self.vocabulary, self.context, self.continuous, **self.options)

    def forward(self, tokens: Tensor) -> Tensor:                     # of any whole type, [B, T]
        return self.net(_whole(tokens))                              # [B, dim]

    def hidden(self, tokens: Tensor, causal: bool | None = None, segments: Tensor | None = None,
               cache: Cache | None = None) -> Tensor:
        """What is said of each token, [B, T] -> [B, T, dim]; see `Transformer.hidden`."""
        return self.net.hidden(_whole(tokens), causal, segments, cache)

    def scores(self, hidden: Tensor) -> Tensor:
        """How well each word fits, as logits: [..., dim] -> [..., V]."""
        return self.net.scores(hidden)

    def new_cache(self) -> Cache:
        """An empty memory for `hidden(..., cache=...)`."""
        return self.net.new_cache()

    def extra_repr(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        return f"{self.name}, {self.vocabulary:,} tokens, context {self.context}, dim {self.dim}, {count:,} parameters"


def _whole(tokens: Tensor) -> Tensor:
    """int16 and the like -> int64, what embeddings take; floats stay, for the network to refuse."""
    return tokens if tokens.is_floating_point() else tokens.long()


def names() -> list[str]:
    """The encoders that `create` makes."""
    return [*_MAKERS, *_TEXT]


FLAGS = ("causal", "positions", "padded", "segments", "continuous")  # options that are no sizes


def _counts(values) -> bool:
    """Whole numbers, 1 or more, all of them?"""
    return all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values)


def create(name: str, dataset, **options) -> Encoder | TextEncoder:
    """Make an encoder for a dataset's images or texts.

    Args:
        name: one of `names()`.
            "conv": 3 residual blocks, 0.3 M parameters, dim 128; for a CPU.
            "resnet18": stem for small images, 11.2 M parameters, dim 512; for a GPU.
            "vit": 4 blocks of width 128, 0.8 M parameters, dim 128.
            "transformer": for text; 4 blocks of width 128, 0.8 M parameters and 128 a token of the vocabulary, dim 128.
        dataset: a Dataset, or (channels, size) of its images; for text (vocabulary, context).
        options: `width` and `cells` for conv; `patch`, `dim`, `depth`, `heads` for vit; `dim`, `depth`, `heads`, `causal`,
            `positions`, `segments` for transformer, and `padded` and `continuous` where they are not the dataset's.
    Raises:
        ValueError: no such encoder, images for a text encoder or the reverse, or options that do not fit.
    """
    choose(name, names(), "encoder")
    first, second = ("vocabulary", "context") if name in _TEXT else ("channels", "size")
    if not isinstance(dataset, tuple) and not hasattr(dataset, first):
        got, takes = ("images", "texts") if name in _TEXT else ("texts", "images")
        raise ValueError(f"dataset: got {got}, encoder {name!r} takes {takes}")
    shape = dataset if isinstance(dataset, tuple) else (getattr(dataset, first), getattr(dataset, second))
    if not _counts(shape) or len(shape) != 2:
        raise ValueError(f"dataset: got {shape!r}, takes ({first}, {second}), two whole numbers, 1 or more")
    for option, value in options.items():
        if option not in FLAGS and not _counts([value]):
            raise ValueError(f"{option}: got {value!r}, takes a whole number above 0")
    try:
        if name not in _TEXT:
            return Encoder(name, shape, **options)
        if not isinstance(dataset, tuple):
            options = {"padded": dataset.padded, "continuous": dataset.continuous, **options}
        return TextEncoder(name, *shape, **options)
    except TypeError as error:
        raise ValueError(f"options: got {sorted(options)}, which encoder {name!r} does not take ({error})") from None
