"""Views: what a model is asked to see as the same picture. Batched, on the device, seeded."""

from sslab.views.augment import Augment
from sslab.views.masks import block_mask, block_shape, latent_masks, random_mask

__all__ = ["Augment", "block_mask", "block_shape", "latent_masks", "random_mask"]
