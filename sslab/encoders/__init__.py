"""Encoders: images [B, C, H, W] in, representations [B, dim] out; `encoder.dim` is the width of what comes out."""

from torch import Tensor, nn

from sslab._names import choose
from sslab.datasets.base import as_floats
from sslab.encoders.conv import ResidualNet, conv, resnet18
from sslab.encoders.decoder import Decoder
from sslab.encoders.heads import mlp, predictor, projector
from sslab.encoders.vit import VisionTransformer, vit

__all__ = ["Decoder", "Encoder", "ResidualNet", "VisionTransformer", "create", "mlp", "names", "predictor", "projector"]

_MAKERS = {"conv": conv, "resnet18": resnet18, "vit": vit}


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


def names() -> list[str]:
    """The encoders that `create` makes."""
    return list(_MAKERS)


def create(name: str, dataset, **options) -> Encoder:
    """Make an encoder for a dataset's images.

    Args:
        name: one of `names()`.
            "conv": 3 residual blocks, 0.3 M parameters, dim 128; for a CPU.
            "resnet18": stem for small images, 11.2 M parameters, dim 512; for a GPU.
            "vit": 4 blocks of width 128, 0.8 M parameters, dim 128.
        dataset: a Dataset, or (channels, size) of its images.
        options: `width` for conv; `patch`, `dim`, `depth`, `heads` for vit.
    Raises:
        ValueError: no such encoder, or options that do not fit the images.
    """
    choose(name, _MAKERS, "encoder")
    shape = dataset if isinstance(dataset, tuple) else (dataset.channels, dataset.size)
    try:
        return Encoder(name, shape, **options)
    except TypeError as error:
        raise ValueError(f"options: got {sorted(options)}, which encoder {name!r} does not take ({error})") from None
