"""From images to what is evaluated: an encoder's output, and the controls it must beat."""

import copy

import torch
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.datasets.base import as_floats
from sslab.encoders import Encoder
from sslab.objectives.base import evaluating


@takes(batch_size=">= 1")
@torch.no_grad()
def features(encoder: nn.Module, images: Tensor, batch_size: int = 512) -> Tensor:
    """The encoder's output for every image, in eval mode: [N, C, H, W] -> float32 [N, D] on the CPU.

    The encoder's training mode and batch statistics are left as they were.
    """
    if images.dtype == torch.bool or images.is_complex():
        raise TypeError(f"images: got {images.dtype}, takes uint8 or floats, or whole numbers for tokens")
    if isinstance(encoder, Encoder) and (images.ndim != 4 or not (images.is_floating_point() or images.dtype == torch.uint8)):
        raise ValueError(f"images: got {images.dtype} {list(images.shape)}, takes uint8 or floats [N, C, H, W]")
    weight = next(encoder.parameters())
    images = images.to(weight.dtype) if images.is_floating_point() else images
    with evaluating(encoder):
        return torch.cat([encoder(batch.to(weight.device)).float().cpu() for batch in images.split(batch_size)])


@takes(images="images [N, C, H, W]")
def raw_pixels(images: Tensor) -> Tensor:
    """The first control: the image itself, [N, C, H, W] -> float32 [N, C * H * W] in [0, 1]."""
    return as_floats(images).flatten(1).float()


@takes(seed=">= 0")
def random_encoder(encoder: nn.Module, images: Tensor, seed: int = 0) -> nn.Module:
    """The second control: the same architecture, untrained, with fair batch statistics.

    A network fresh from its constructor has batch norms that have seen nothing and looks worse than it is; here
    they see `images` first.

    Args:
        encoder: what it is a control for; not changed.
        images: training images to calibrate on, [N, C, H, W].
        seed: of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if hasattr(encoder, "fresh"):
            fresh = encoder.fresh()
        else:
            fresh = copy.deepcopy(encoder)
            for module in fresh.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
    calibrate(fresh.to(next(encoder.parameters()).device), images)
    return fresh


@takes(batches=">= 1", batch_size=">= 1")
@torch.no_grad()
def calibrate(encoder: nn.Module, images: Tensor, batches: int = 8, batch_size: int = 256) -> None:
    """Set every batch norm's statistics to the average over a few batches of `images`."""
    norms = [m for m in encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    device = next(encoder.parameters()).device
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None                                         # a plain average
    training = encoder.training
    encoder.train()
    for batch in images[: batches * batch_size].split(batch_size):
        if len(batch) > 1:
            encoder(batch.to(device))
    encoder.train(training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
