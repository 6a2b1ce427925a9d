"""Reconstruction: a picture goes through a few numbers and comes back. What the numbers keep is what was learned."""

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes
from sslab._names import choose
from sslab.datasets.base import as_floats
from sslab.encoders.decoder import Decoder
from sslab.knobs import choice, number, switch
from sslab.objectives.base import Baseline, Loss, Objective, evaluating, full_precision, raised
from sslab.views import Augment

CORRUPTIONS = ("gaussian", "masking", "salt and pepper", "none")
PART = 512                                                           # pictures that are looked at together


@takes(reconstruction="float [B, ...]", target="float [B, ...]")
@full_precision
def squared_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of two batches of pictures in [0, 1], [B, C, H, W] each; a mean over all their numbers.

    Raises:
        ValueError: shapes differ.
    """
    _check_pair(reconstruction, target)
    return F.mse_loss(reconstruction, target)


@takes(logits="float [B, _, ...]", target="float [B, _, ...]")
@full_precision
def bernoulli_error(logits: Tensor, target: Tensor) -> Tensor:
    """How surprising pictures are to somebody who says for every pixel how likely it is to be white: -log p, in nats.

    A grey pixel counts as white in part, so that even a perfect copy costs something: see `bernoulli_entropy`.

    Args:
        logits: [B, C, H, W]; sigmoid(logits) is the probability of white.
        target: [B, C, H, W] in [0, 1].
    Returns:
        [B]: summed over the pixels of a picture.
    Raises:
        ValueError: shapes differ.
    Source:
        Kingma and Welling 2013, arXiv:1312.6114, appendix C.1.
    """
    _check_pair(logits, target)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).sum(dim=1)


@takes(images="float [B, _, ...]")
def bernoulli_entropy(images: Tensor) -> Tensor:
    """What a perfect copy of each picture costs in `bernoulli_error`: [B, ...] in [0, 1] -> nats [B], 0 without greys.

    What lies outside, as after noise, counts as the 0 or 1 that is nearest.
    """
    shares = images.clamp(0, 1)                                      # refused it could be only by waiting for a GPU
    return (torch.special.entr(shares) + torch.special.entr(1 - shares)).flatten(1).sum(dim=1)


@takes(images="float [...]", level=">= 0")
def corrupt(images: Tensor, corruption: str, level: float, generator: torch.Generator) -> Tensor:
    """Spoil pictures.

    Args:
        images: floats in [0, 1], [B, C, H, W].
        corruption: "gaussian": to every number one of standard deviation `level` is added; what leaves [0, 1] stays there,
            so that the noise has mean 0 in black and in white areas. "masking": a share `level` of the numbers becomes
            0. "salt and pepper": a share `level` becomes 0 or 1. "none": nothing happens.
        level: 0 or more; at most 1 where it is a share.
        generator: on the CPU.
    Raises:
        ValueError: no such corruption, or a level out of range.
    Source:
        Vincent et al. 2008, section 2.3 (masking); Vincent et al. 2010, section 3.3 (all three).
    """
    choose(corruption, CORRUPTIONS, "corruption")
    if not (0 <= level and (corruption == "gaussian" or level <= 1)):
        raise ValueError(f"level: got {level}, takes 0 or more, and a share of at most 1 for {corruption!r}")
    if corruption == "none":
        return images
    if corruption == "gaussian":
        return images + level * torch.randn(images.shape, generator=generator).to(images)
    u = torch.rand(images.shape, generator=generator).to(images)     # below level: spoiled
    spoiled = torch.zeros_like(images) if corruption == "masking" else (u < level / 2).to(images)
    return torch.where(u < level, spoiled, images)


def looking(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run a method of a module in eval mode and without gradients; every part's mode is put back."""

    @functools.wraps(method)
    def run(self: nn.Module, *values: Any, **options: Any) -> Any:
        with torch.no_grad(), evaluating(self):
            return method(self, *values, **options)

    return run


def _check_pair(reconstruction: Tensor, target: Tensor) -> None:
    if reconstruction.shape != target.shape:
        raise ValueError(f"reconstruction, target: got shapes {list(reconstruction.shape)} and {list(target.shape)}, "
                         "takes twice the same")


class Bottleneck(Objective):
    """What autoencoders share: picture -> encoder -> a few numbers z -> decoder -> picture.

    z is a linear map of what the encoder sees at every place: the mean over places, which is the representation that
    is evaluated, would not say where a stroke is.

    Args:
        latents: how many numbers.
        width: of the decoder.
    """

    views_per_image = 1
    augmented = False

    def __init__(self, encoder: nn.Module, views: Augment | None = None, latents: int = 10, width: int = 32,
                 **values: Any) -> None:
        super().__init__(encoder, views, **values)
        if isinstance(latents, bool) or not isinstance(latents, int) or latents < 1:
            raise ValueError(f"latents: got {latents!r}, takes a whole number, 1 or more")
        self._mapped()
        self.latents = latents
        self.to_latent = nn.Linear(self._places(), self._numbers())
        self.decoder = Decoder(latents, *encoder.shape, width)
        self.baseline = Baseline(*_picture(encoder.shape))
        self.entropy = Baseline(1)

    def _numbers(self) -> int:
        """How many numbers the linear layer gives for a picture."""
        return self.latents

    @looking
    def _places(self) -> int:
        return self.encoder.maps(torch.zeros(2, *_picture(self.encoder.shape)))[0].numel()

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Images [B, C, H, W] -> what goes in, what should come out."""
        images = self.views(batch, generator)
        return images, images

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures in [0, 1] -> embeddings [B, D], and the numbers of the linear layer [B, latents]."""
        maps = self.encoder.maps(images)                             # [B, D, h, w]
        return maps.mean(dim=(2, 3)), raised(self.to_latent(maps.flatten(1)))

    def note(self, target: Tensor) -> None:
        """Remember targets, for the reference levels."""
        if self.training:
            self.baseline.see(target)
            self.entropy.see(bernoulli_entropy(target)[:, None])

    def bernoulli_levels(self) -> dict[str, float]:
        """What the mean image costs in `bernoulli_error`, and what a perfect copy costs."""
        return {"mean image": float(bernoulli_entropy(self.baseline.mean[None])), "perfect copy": float(self.entropy.mean)}

    def code(self, images: Tensor) -> Tensor:
        return self.see(images)[1]

    @looking
    def encode(self, images: Tensor) -> Tensor:
        """Pictures, uint8 or floats in [0, 1], [N, C, H, W] -> z [N, latents]."""
        return torch.cat([self.code(self._ready(part)) for part in images.split(PART)])

    @looking
    def decode(self, z: Tensor) -> Tensor:
        """z [N, latents] -> pictures [N, C, H, W] in [0, 1]."""
        return torch.cat([self.decoder(part).float().sigmoid() for part in z.to(self._device).split(PART)])

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pictures -> what comes back, [N, C, H, W] in [0, 1]."""
        return self.decode(self.encode(images))

    @property
    def _device(self) -> torch.device:
        return self.to_latent.weight.device

    def _ready(self, images: Tensor) -> Tensor:
        return as_floats(images.to(self._device))


def _picture(shape: tuple[int, int]) -> tuple[int, int, int]:
    return shape[0], shape[1], shape[1]


class Autoencoder(Bottleneck):
    """Give back the picture, through a bottleneck (Hinton and Salakhutdinov 2006, Science 313, 504-507)."""

    title = "Autoencoder"

    loss = choice("squared", ("squared", "bernoulli"),
                  help="squared: mean squared difference of a pixel. bernoulli: cross-entropy in nats, summed over pixels.")

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        images, target = views
        self.note(target)
        h, z = self.see(images)                                      # [B, D], [B, latents]
        logits = self.decoder(z)                                     # [B, C, H, W]
        error = squared_error(raised(logits).sigmoid(), target)
        total = error if self.loss == "squared" else bernoulli_error(logits, target).mean()
        return Loss(total, {"squared error": error}, h, z)

    def reference_levels(self) -> dict[str, float]:
        if not self.baseline.count:
            return {}
        return {"mean image": self.baseline.squared_error()} if self.loss == "squared" else self.bernoulli_levels()

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"image": self._ready(images), "reconstruction": self.reconstruct(images)}


class DenoisingAutoencoder(Autoencoder):
    """Give back the clean picture from a spoiled one (Vincent et al. 2008, ICML)."""

    title = "Denoising autoencoder"

    corruption = choice("gaussian", CORRUPTIONS, help="gaussian: noise is added to every pixel. masking: pixels become 0. "
                                                      "salt and pepper: pixels become 0 or 1.")
    level = number(0.5, 0.0, 1.0, help="Standard deviation of the noise, or share of spoiled pixels. "
                                       "At 0 it is an autoencoder: with enough numbers it may just copy.")
    target_noisy = switch(False, help="Off is right. On: the noise is in the target, too, so that it is worth keeping.")

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [B, C, H, W] -> spoiled ones, and the clean ones that should come out."""
        clean = self.views(batch, generator)
        noisy = corrupt(clean, self.corruption, self.level, generator)
        return noisy, noisy.clamp(0, 1) if self.target_noisy else clean

    def spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Pictures with the noise in force, [N, C, H, W]."""
        return corrupt(self._ready(images), self.corruption, self.level, generator)

    def denoise(self, images: Tensor) -> Tensor:
        """Spoiled pictures -> what the model takes to be behind the noise, in [0, 1]."""
        return self.reconstruct(images)

    def denoise_steps(self, images: Tensor, steps: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """Denoise again and again.

        Without a generator each result goes in as it is. With one, new noise is put on it before, less from step to
        step and none at the last: a walk from any picture, even from noise alone, to one the model takes to be real.

        Args:
            images: where to start, [N, C, H, W].
            steps: how often, 1 or more.
            generator: of the new noise; None for none.
        Returns:
            `steps` batches of pictures [N, C, H, W]: what the denoiser said each time.
        Raises:
            ValueError: steps is below 1.
        Source:
            Bengio et al. 2013, arXiv:1305.6663, section 3 (the chain of noise and denoising, there with constant noise).
        """
        if steps < 1:
            raise ValueError(f"steps: got {steps}, takes 1 or more")
        said = []
        for step in range(steps):
            said.append(self.denoise(images))
            images = said[-1]
            if generator is not None:
                images = corrupt(images, self.corruption, self.level * (1 - (step + 1) / steps), generator)
        return said

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        noisy = self.spoil(images, generator)
        return {"image": self._ready(images), "noisy": noisy.clamp(0, 1), "denoised": self.denoise(noisy)}
