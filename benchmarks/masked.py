"""How much time hidden patches save: the encoder's step at several mask ratios, taking turns in one run.

    python benchmarks/masked.py                      # fashion's pictures, patch 4: 49 patches
    python benchmarks/masked.py --emoji              # 32x32x3: 64 patches

A step is the forward and backward pass of the encoder on the patches that are left, without the decoder; "whole step"
is all of MAE's: masks, encoder, decoder, gradients.
"""

import argparse
import os
import time

os.environ.setdefault("GOMP_SPINCOUNT", "2000")          # see benchmarks/README.md

import torch

from sslab import encoders
from sslab.encoders import centred
from sslab.objectives import MAE
from sslab.objectives.masked import split
from sslab.training import limit_threads
from sslab.views import random_mask

TARGET = 2.5


def encoder_step(encoder, images: torch.Tensor, ratio: float, generator: torch.Generator):
    """A function that takes one forward and backward step at a mask ratio."""
    visible, _ = split(random_mask(len(images), (images.shape[-1] // encoder.net.patch) ** 2, ratio, generator))

    def step() -> None:
        encoder.zero_grad()
        encoder.net.tokens(centred(images), visible).square().mean().backward()

    return step


def whole_step(objective: MAE, images: torch.Tensor, ratio: float, generator: torch.Generator):
    """A function that takes all of MAE's step but the optimiser's."""
    def step() -> None:
        objective.zero_grad()
        objective.set(mask_ratio=ratio)
        objective(objective.make_views(images, generator)).total.backward()

    return step


def take_turns(steps: dict, rounds: int) -> dict[float, float]:
    """Median milliseconds of each, one after the other in every round."""
    times = {name: [] for name in steps}
    for number in range(rounds + 2):                     # two to warm up
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number > 1:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: sorted(each)[len(each) // 2] for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emoji", action="store_true", help="pictures of 32x32x3 in place of 28x28x1")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    threads = limit_threads()
    shape = (3, 32) if options.emoji else (1, 28)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (options.batch, shape[0], shape[1], shape[1]), dtype=torch.uint8, generator=generator)
    torch.manual_seed(0)
    encoder = encoders.create("vit", shape, patch=4)
    ratios = (0.0, 0.25, 0.5, 0.75, 0.9)
    alone = take_turns({ratio: encoder_step(encoder, images, ratio, generator) for ratio in ratios}, options.rounds)
    whole = take_turns({ratio: whole_step(MAE(encoder, loss_on="all"), images, ratio, generator) for ratio in ratios}, options.rounds)
    print(f"{options.batch} images {list(images.shape[1:])}, {threads} threads, medians of "
          f"{options.rounds} rounds")
    print("mask ratio   encoder ms   times as fast   whole step ms   times as fast")
    for ratio in ratios:
        print(f"{ratio:10.2f} {alone[ratio]:12.1f} {alone[0.0] / alone[ratio]:15.2f} {whole[ratio]:15.1f} "
              f"{whole[0.0] / whole[ratio]:15.2f}")
    factor = alone[0.0] / alone[0.75]
    print(f"target: {TARGET} times at 0.75, {'met' if factor >= TARGET else 'missed'} with {factor:.2f}")


if __name__ == "__main__":
    main()
