"""Training: the loop, checkpoints, devices and precision."""

from sslab.training.devices import (
           Precision,
           choose_precision,
           cpu_limit,
           limit_threads,
           pick_device,
           release_threads,
)
from sslab.training.loop import Step, train
from sslab.training.pretrained import pretrained, pretrained_names
from sslab.training.recipes import recipe

__all__ = ["Precision", "Step", "choose_precision", "cpu_limit", "limit_threads", "pick_device", "pretrained", "pretrained_names", "recipe",
           "release_threads", "train"]
