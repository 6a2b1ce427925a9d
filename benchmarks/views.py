"""How many views a second: ours, and a plain loop over Pillow images with the same knobs, in one run.

    python benchmarks/views.py                       # crop, flip, colour on 512 images of 32x32x3, all cores
    python benchmarks/views.py --preset digits

The loop is what a Dataset does in one worker; it is given as many workers as there are cores by multiplying.
"""

import argparse
import math
import os
import time

os.environ.setdefault("GOMP_SPINCOUNT", "2000")          # see benchmarks/README.md

import torch
from PIL import Image, ImageEnhance, ImageOps

from sslab.training import cpu_limit
from sslab.views import Augment

CROP_FLIP_COLOUR = {"crop": 0.2, "flip": 0.5, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4,
                    "hue": 0.1}
CHANGES = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast,
           "saturation": ImageEnhance.Color}


def pillow_views(pictures: list[Image.Image], augment: Augment,
                 generator: torch.Generator) -> list[torch.Tensor]:
    """The same views, one after the other: crop, flip, brightness, contrast, saturation, hue."""
    size = pictures[0].size
    p = augment.draw(len(pictures), 3, size[1], size[0], generator)
    views = []
    for i, picture in enumerate(pictures):
        get = {name: value[i].item() for name, value in p.items()}
        left, top = get["crop_left"] * size[0], get["crop_top"] * size[1]
        box = (left, top, left + get["crop_width"] * size[0], top + get["crop_height"] * size[1])
        picture = picture.resize(size, Image.Resampling.BILINEAR, box=box)
        if get["flip"]:
            picture = ImageOps.mirror(picture)
        for name, change in CHANGES.items():
            picture = change(picture).enhance(get[name])
        h, s, v = picture.convert("HSV").split()
        turn = round(get["hue"] / (2 * math.pi) * 255)
        turned = h.point([(level + turn) % 256 for level in range(256)])
        picture = Image.merge("HSV", (turned, s, v)).convert("RGB")
        views.append(torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(*size, 3))
    return [view.permute(2, 0, 1).float() / 255 for view in views]


def rates(work, n: int, seconds: float = 3.0) -> list[float]:
    """Views a second of every call, for some seconds, sorted."""
    work()
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        found.append(n / (time.perf_counter() - start))
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", help="a preset of Augment.named, without the comparison")
    parser.add_argument("--batch", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(cpu_limit())
    # The C library hands memory back to the system until it has seen a large block freed, as in any training.
    torch.zeros(7_500_000)
    generator = torch.Generator().manual_seed(0)
    grey = options.preset in ("digits", "fashion")
    shape = (options.batch, 1, 28, 28) if grey else (options.batch, 3, 32, 32)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    augment = Augment.named(options.preset) if options.preset else Augment(**CROP_FLIP_COLOUR)
    ours = rates(lambda: augment(images, generator), options.batch)
    print(f"{options.preset or 'crop, flip, colour'}, {options.batch} images {list(shape[1:])}, "
          f"{cpu_limit()} threads: {ours[len(ours) // 2]:,.0f} views/s (median of {len(ours)}; "
          f"best {ours[-1]:,.0f})")
    if options.preset:
        return
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images[:128]]
    loop = rates(lambda: pillow_views(pictures, augment, generator), len(pictures))
    plain = loop[len(loop) // 2] * cpu_limit()
    print(f"a loop over Pillow images, {cpu_limit()} processes: {plain:,.0f} views/s; ours is "
          f"{ours[len(ours) // 2] / plain:.0f} times as fast")


if __name__ == "__main__":
    main()
