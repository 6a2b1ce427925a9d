"""Views: what a model is asked to see as the same picture. Batched, on the device, seeded."""

from sslab.views.augment import Augment
from sslab.views.masks import random_mask

__all__ = ["Augment", "random_mask"]
