"""lightly's documented SimCLR pipeline on our encoder and images. throughput.py runs it where lightly is.

    _lightly.py IMAGES.npy SETTINGS      JSON: batch, threads, warmup, steps, precision, channels_last

Prints one line of JSON: views a second of `steps` steps, after `warmup` steps that use up the loader's stock.
"""

import json
import sys
import time

import numpy as np
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from sslab import encoders


class Pictures(Dataset):
    """What lightly's examples hand to the DataLoader: a Pillow image, transformed when it is asked for."""

    def __init__(self, images: np.ndarray, transform: SimCLRTransform) -> None:
        arrays = images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)
        self.images = [Image.fromarray(array) for array in arrays]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return self.transform(self.images[index]), 0


def main() -> None:
    images, settings = np.load(sys.argv[1]), json.loads(sys.argv[2])
    channels, size = images.shape[1], images.shape[2]
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    grey = {"normalize": {"mean": [0.5], "std": [0.5]}} if channels == 1 else {}
    transform = SimCLRTransform(input_size=size, **grey)
    loader = DataLoader(Pictures(images, transform), batch_size=settings["batch"], shuffle=True,
                        drop_last=True, num_workers=2)
    layout = torch.channels_last if settings["channels_last"] else torch.contiguous_format
    encoder = encoders.create("conv", (channels, size)).to(memory_format=layout)
    head = SimCLRProjectionHead(encoder.dim, 256, 128)
    criterion = NTXentLoss()
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=2e-3)
    done, start = 0, 0.0
    while done < settings["warmup"] + settings["steps"]:
        for (first, second), _ in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=settings["precision"] == "bf16"):
                loss = criterion(head(encoder(first)).float(), head(encoder(second)).float())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            if done == settings["warmup"]:
                start = time.perf_counter()
            if done == settings["warmup"] + settings["steps"]:
                break
    rate = settings["steps"] * 2 * settings["batch"] / (time.perf_counter() - start)
    print(json.dumps({"views_per_second": rate, "loss": loss.item()}))


if __name__ == "__main__":
    main()
