"""Pictures that a model makes, measured: against PCA with as many numbers, and in the eyes of a classifier."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sslab._inputs import check_finite, takes
from sslab.datasets.base import as_floats
from sslab.evaluation.features import features
from sslab.evaluation.from_scratch import train_supervised
from sslab.modes import by_mode
from sslab.objectives import Supervised


@dataclass
class PCA:
    """The plane that loses least of some pictures.

    mean: [CHW]. directions: [CHW, k], orthonormal, largest spread first. deviations: [k], the spread along each.
    """

    mean: Tensor
    directions: Tensor
    deviations: Tensor
    shape: tuple[int, int, int]

    def encode(self, images: Tensor) -> Tensor:
        """Pictures [N, C, H, W] -> places in the plane [N, k]."""
        return (as_floats(images).flatten(1).to(self.mean) - self.mean) @ self.directions

    def decode(self, z: Tensor) -> Tensor:
        """Places [N, k] -> pictures [N, C, H, W]; what leaves [0, 1] is cut, which can only bring it nearer to a picture."""
        return (z @ self.directions.T + self.mean).clamp(0, 1).view(-1, *self.shape)


@takes(train="images [N, C, H, W]", components=">= 1", N=">= 2")
def fit_pca(train: Tensor, components: int) -> PCA:
    """The first principal components of pictures [N, C, H, W].

    Raises:
        ValueError: more components than pictures or numbers in a picture, or fewer than 1.
    """
    flat = as_floats(train).flatten(1)                                 # [N, CHW]
    check_finite(train=flat)
    if not 1 <= components <= min(flat.shape):
        raise ValueError(f"components: got {components}, takes 1 to {min(flat.shape)}")
    mean = flat.mean(dim=0)
    centred = flat - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / (len(flat) - 1))       # smallest first
    last = slice(-components, None)
    return PCA(mean, vectors[:, last].flip(1), values[last].flip(0).clamp(min=0).sqrt(), tuple(train.shape[1:]))


@takes(train="images [N, C, H, W]", images="images [M, C, H, W]", components=">= 1", N=">= 2")
def pca_reconstruct(train: Tensor, images: Tensor, components: int) -> Tensor:
    """Pictures as the first principal components of the training pictures give them back: the linear autoencoder.

    Args:
        train: what the components are computed from. images: what is given back, spoiled ones too. [N, C, H, W] each.
    Returns:
        floats in [0, 1], like images.
    Source:
        Baldi and Hornik 1989: the best linear autoencoder is the projection on the principal components.
    """
    pca = fit_pca(train, components)
    return pca.decode(pca.encode(images))


@takes(train="images [N, C, H, W]", components=">= 1", n=">= 0", N=">= 2")
def pca_gaussian_samples(train: Tensor, components: int, n: int, generator: torch.Generator) -> Tensor:
    """New pictures [n, C, H, W] from a Gaussian on the first principal components: the linear control of a VAE."""
    pca = fit_pca(train, components)
    return pca.decode(torch.randn(n, components, generator=generator) * pca.deviations)


def classifier(dataset, steps: int | None = None, seed: int = 0, **options) -> Supervised:
    """A network of its own that says what a picture shows, trained with all training labels on pictures as they are.

    Trained on crops and turned pictures it is a little more often right, and surer of blurred pictures that show nothing.

    Args:
        dataset: with labels.
        steps: of 128 pictures each; the mode's if None.
        options: for `train`.
    """
    options = {"learning_rate": 4e-3, "weight_decay": 0.1, **options}
    rows = torch.arange(len(dataset.train.images))
    return train_supervised(dataset, rows, seed=seed, batch_size=min(128, len(rows)), steps=steps or by_mode(6, 700), **options)


@dataclass
class Confidence:
    """What a classifier says of pictures: probability of its answer [N], answer [N], and the line between."""

    probability: Tensor
    answer: Tensor
    threshold: float

    @property
    def share(self) -> float:
        """Share of the pictures with a probability above the threshold."""
        return float((self.probability > self.threshold).float().mean())

    @property
    def classes(self) -> list[int]:
        """The classes among those pictures."""
        return self.answer[self.probability > self.threshold].unique().tolist()

    @property
    def counts(self) -> list[int]:
        """How many of those pictures each class from 0 on has, up to the last one present."""
        return torch.bincount(self.answer[self.probability > self.threshold]).tolist()


@takes(images="images [N, C, H, W]")
@torch.no_grad()
def confident_share(judge: Supervised, images: Tensor, threshold: float = 0.9) -> Confidence:
    """How many pictures a classifier is sure of, and of which classes: `.share`, `.classes`.

    Being sure is not being right: look at the pictures, and at what it says of real ones and of noise.

    Args:
        judge: from `classifier`.
        images: [N, C, H, W], uint8 or floats in [0, 1].
        threshold: from 0 to below 1.
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold: got {threshold}, takes a probability from 0 to below 1")
    h = features(judge.encoder, images).to(judge.head.weight.device)
    probability, answer = judge.head(h).softmax(dim=1).cpu().max(dim=1)
    return Confidence(probability, answer, threshold)
