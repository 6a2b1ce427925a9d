"""The variational autoencoder: a bottleneck of distributions, so that new pictures can be drawn from it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sslab._inputs import takes
from sslab._names import choose
from sslab.knobs import choice, number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, full_precision, raised
from sslab.objectives.reconstruction import PART, Bottleneck, bernoulli_error, looking

LIKELIHOODS = ("bernoulli", "gaussian")
ONE_BIT = math.log(2)                                                # nats


@takes(mean="float [B, L]", log_variance="float [B, L]")
@full_precision
def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """How far each picture's N(mean, variance) is from the prior N(0, 1), in nats: KL(q || p), 0 or more.

    Args:
        mean, log_variance: [B, L] each.
    Returns:
        [B]: summed over the latents.
    Raises:
        ValueError: shapes differ.
    Source:
        Kingma and Welling 2013, arXiv:1312.6114, appendix B.
    """
    return _kl_terms(mean, log_variance).sum(dim=1)


def _kl_terms(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The same for each latent by itself, [B, L]."""
    if mean.ndim != 2 or mean.shape != log_variance.shape:
        raise ValueError(f"mean, log_variance: got shapes {list(mean.shape)} and {list(log_variance.shape)}, takes [B, L] twice")
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


@takes(reconstruction="float [B, _, ...]", target="float [B, _, ...]", deviation="> 0")
@full_precision
def negative_log_likelihood(reconstruction: Tensor, target: Tensor, likelihood: str = "bernoulli",
                            deviation: float = 1.0) -> Tensor:
    """-log p(x | z) in nats, constants included, [B]: summed over pixels.

    Args:
        reconstruction: [B, C, H, W]: logits for "bernoulli", means for "gaussian".
        target: [B, C, H, W] in [0, 1].
        deviation: the Gaussian's standard deviation, the same for every pixel, above 0.
    Raises:
        ValueError: no such likelihood, shapes differ, or deviation is not above 0.
    """
    if choose(likelihood, LIKELIHOODS, "likelihood") == "bernoulli":
        return bernoulli_error(reconstruction, target)
    if reconstruction.shape != target.shape or not deviation > 0:
        raise ValueError(f"reconstruction, target, deviation: got {list(reconstruction.shape)}, {list(target.shape)}, "
                         f"{deviation}, takes twice the same shape and a number above 0")
    z = ((target - reconstruction) / deviation).flatten(1)           # [B, CHW]
    return 0.5 * z.square().sum(dim=1) + z.shape[1] * math.log(deviation * math.sqrt(2 * math.pi))


@takes(reconstruction="float [B, _, ...]", target="float [B, _, ...]", mean="float [B, L]",
       log_variance="float [B, L]", deviation="> 0")
@full_precision
def elbo(reconstruction: Tensor, target: Tensor, mean: Tensor, log_variance: Tensor, beta: float = 1.0,
         likelihood: str = "bernoulli", deviation: float = 1.0) -> Tensor:
    """MINUS the evidence lower bound, which is what one minimises: at beta 1 an upper bound of -log p(x), in nats.

    Args:
        reconstruction: of one z drawn for each picture, [B, C, H, W]: logits for "bernoulli", means for "gaussian".
        target: the pictures [B, C, H, W] in [0, 1].
        mean, log_variance: [B, L], of q(z | x).
        beta: weight of the KL divergence, and of nothing else.
        likelihood, deviation: of p(x | z), see `negative_log_likelihood`.
    Returns:
        scalar: summed over pixels, mean over the batch, constants included.
    Raises:
        ValueError: shapes do not fit, no such likelihood, or deviation is not above 0.
    Source:
        Kingma and Welling 2013, arXiv:1312.6114, equation 10. beta: Higgins et al. 2017, beta-VAE, equation 4.
    """
    surprise = negative_log_likelihood(reconstruction, target, likelihood, deviation)          # [B]
    return (surprise + beta * kl_divergence(mean, log_variance)).mean()


@takes(target="float [B, _, ...]", mean="float [B, L]", log_variance="float [B, L]",
       noise="float [K, B, L]", deviation="> 0")
@full_precision
def importance_bound(decode: Callable[[Tensor], Tensor], target: Tensor, mean: Tensor, log_variance: Tensor,
                     noise: Tensor, likelihood: str = "bernoulli", deviation: float = 1.0) -> Tensor:
    """A tighter bound than the ELBO, from K draws of z for each picture: MINUS it, in nats.

    log p(x) is the log of the mean of w = p(x | z) p(z) / q(z | x) over z from q. One draw gives the ELBO; the mean of
    more draws inside of the log comes closer to log p(x), from below.

    Args:
        decode: z [B, L] -> reconstruction [B, C, H, W], logits or means as in `elbo`.
        target, mean, log_variance: as in `elbo`.
        noise: standard normal numbers [K, B, L].
    Returns:
        scalar, mean over the batch.
    Raises:
        ValueError: shapes do not fit.
    Source:
        Burda et al. 2015, arXiv:1509.00519, equation 8.
    """
    if noise.ndim != 3 or noise.shape[1:] != mean.shape or mean.shape != log_variance.shape:
        raise ValueError(f"noise, mean, log_variance: got {list(noise.shape)}, {list(mean.shape)}, "
                         f"{list(log_variance.shape)}, takes [K, B, L], [B, L], [B, L]")
    log_weights = []
    for each in noise:                                               # [B, L]
        z = mean + (0.5 * log_variance).exp() * each
        surprise = negative_log_likelihood(decode(z), target, likelihood, deviation)           # [B], -log p(x | z)
        log_prior = -0.5 * z.square().sum(dim=1)                     # the constants of p(z) and q(z | x) cancel
        log_posterior = -0.5 * (each.square() + log_variance).sum(dim=1)
        log_weights.append(log_prior - log_posterior - surprise)
    return (math.log(len(noise)) - torch.stack(log_weights).logsumexp(dim=0)).mean()


@takes(mean="number [N, L]", threshold=">= 0", N=">= 2")
def active_units(mean: Tensor, threshold: float = 0.01) -> int:
    """How many latents are in use: those whose posterior mean [N, L] varies over the pictures by more than `threshold`.

    Source:
        Burda et al. 2015, arXiv:1509.00519, section 5.2: the variance of the mean.
    """
    return int((mean.float().var(dim=0) > threshold).sum())


class VAE(Bottleneck):
    """The encoder says where z may be, a draw of it is decoded, and the prior holds all places together.

    Kingma and Welling 2013, arXiv:1312.6114. beta: Higgins et al. 2017. Free bits: Kingma et al. 2016, arXiv:1606.04934.
    """

    title = "VAE"

    beta = number(1.0, 0.0, 50.0, help="Weight of the KL divergence. High: the posterior collapses onto the prior and z "
                                       "says nothing. At 0 z may be anywhere: what do samples look like then?")
    free_bits = number(0.0, 0.0, 2.0, help="Nats of KL that every latent has for free: it is not pushed below.")
    likelihood = choice("bernoulli", LIKELIHOODS, help="What the decoder says of a pixel: how likely it is to be white, or "
                                                       "the mean of a Gaussian.")
    deviation = number(0.2, 0.02, 1.0, log=True, help="Of the Gaussian about its mean. Low: errors count more against the KL.")
    sampling = switch(True, help="Off: z is the mean, without noise. The decoder then never sees the places between.")

    def _numbers(self) -> int:
        return 2 * self.latents

    def make_views(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images [B, C, H, W] -> pictures in [0, 1], and the noise that makes z a draw, [B, latents]."""
        images = self.views(batch, generator)
        return images, torch.randn(len(images), self.latents, generator=generator).to(images)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), [N, latents] each, with gradients and in the mode the model is in."""
        mean, log_variance = self.see(self._ready(images))[1].chunk(2, dim=1)
        return mean, log_variance

    def code(self, images: Tensor) -> Tensor:
        return self.posterior(images)[0]

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        images, noise = views
        self.note(images)
        h, numbers = self.see(images)                                # [B, D], [B, 2 latents]
        mean, log_variance = numbers.chunk(2, dim=1)                 # [B, latents] each
        z = mean + (0.5 * log_variance).exp() * noise if self.sampling else mean
        logits = raised(self.decoder(z))                             # [B, C, H, W]
        reconstruction = logits if self.likelihood == "bernoulli" else logits.sigmoid()
        surprise = negative_log_likelihood(reconstruction, images, self.likelihood, self.deviation).mean()
        each = across.average(_kl_terms(mean, log_variance).mean(dim=0))             # [latents], mean over the batch
        total = surprise + self.beta * each.clamp(min=self.free_bits).sum()
        return Loss(total, {"reconstruction": surprise, "kl": each.sum()}, h, mean)

    def reference_levels(self) -> dict[str, float]:
        """The mean image for every picture, and a posterior that is the prior: what a collapsed VAE scores."""
        if not self.baseline.count:
            return {}
        free = self.beta * self.free_bits * self.latents
        if self.likelihood == "bernoulli":
            levels = self.bernoulli_levels()
            return {**levels, "mean image": levels["mean image"] + free}
        pixels = self.baseline.total.numel()
        error = pixels * self.baseline.squared_error() / (2 * self.deviation**2)
        return {"mean image": error + pixels * math.log(self.deviation * math.sqrt(2 * math.pi)) + free}

    def diagnose(self, z: Tensor, terms: Mapping[str, float]):
        """Posterior collapse too: every mean is near 0, however well these are spread once each has length 1."""
        found = super().diagnose(z, terms)
        if not self.sampling or not terms["kl"] < ONE_BIT:           # a mean without noise says what it likes at any KL
            return found
        return replace(found, kind="posterior collapse", text=f"Posterior collapse: z says {terms['kl']:.2f} nats of a picture, "
                                                              f"less than a single yes or no would ({ONE_BIT:.2f}).")

    @looking
    def nats(self, images: Tensor) -> Tensor:
        """What each latent says of a picture: its KL divergence [latents], mean over pictures [N, C, H, W]."""
        return torch.cat([_kl_terms(*self.posterior(part)) for part in images.split(PART)]).mean(dim=0)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """New pictures: z from the prior, decoded, [n, C, H, W] in [0, 1]."""
        return self.decode(torch.randn(n, self.latents, generator=generator))

    def interpolate(self, a: Tensor, b: Tensor, steps: int = 8) -> Tensor:
        """Pictures on the straight way in z from picture a [C, H, W] to picture b [C, H, W]: [steps, C, H, W]."""
        if steps < 2:
            raise ValueError(f"steps: got {steps}, takes 2 or more")
        start, end = self.encode(torch.stack([a, b]))                # [latents] each
        return self.decode(torch.lerp(start, end, torch.linspace(0, 1, steps, device=start.device)[:, None]))

    def traverse(self, image: Tensor, latent: int, values: Sequence[float]) -> Tensor:
        """One latent of a picture [C, H, W] set to each of `values`, the others left: [len(values), C, H, W]."""
        if not 0 <= latent < self.latents:
            raise ValueError(f"latent: got {latent}, takes a number from 0 to {self.latents - 1}")
        z = self.encode(image[None]).repeat(len(values), 1)          # [V, latents]
        z[:, latent] = torch.as_tensor(values, dtype=z.dtype, device=z.device)
        return self.decode(z)

    @looking
    def bound(self, images: Tensor, draws: int, generator: torch.Generator) -> float:
        """`importance_bound` of some pictures [N, C, H, W] with this many draws of z each: nats a picture."""
        mean, log_variance = self.posterior(images)
        noise = torch.randn(draws, *mean.shape, generator=generator).to(mean)
        means = self.decoder if self.likelihood == "bernoulli" else self.decode
        return float(importance_bound(means, self._ready(images), mean, log_variance, noise, self.likelihood, self.deviation))

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"image": self._ready(images), "reconstruction": self.reconstruct(images),
                "sample": self.sample(len(images), generator)}
