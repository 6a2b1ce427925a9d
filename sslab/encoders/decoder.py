"""The way back: a few numbers become a picture."""

import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes


class Decoder(nn.Module):
    """A hidden layer, a linear layer that draws a picture of a quarter of the size, and two steps that double it.

    Args:
        latents: how many numbers there are for a picture.
        channels, size: of the picture, any size.
        width: channels of the picture of half the size; the smaller one before has twice as many.
        hidden: width of the hidden layer.
    """

    @takes(latents=">= 1", channels=">= 1", size=">= 1", width=">= 1", hidden=">= 1")
    def __init__(self, latents: int, channels: int, size: int, width: int = 32, hidden: int = 256) -> None:
        super().__init__()
        self.size, self.start = size, (2 * width, -(-size // 4), -(-size // 4))          # rounded up
        self.hidden, self.norm0 = nn.Linear(latents, hidden, bias=False), nn.BatchNorm1d(hidden)
        self.first = nn.Linear(hidden, 2 * width * self.start[1] ** 2, bias=False)
        self.norm1 = nn.BatchNorm2d(2 * width)
        self.double1 = nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.double2 = nn.ConvTranspose2d(width, channels, 4, 2, 1)

    def forward(self, z: Tensor) -> Tensor:                          # [B, latents]
        x = F.relu(self.norm0(self.hidden(z)))                       # [B, hidden]
        x = F.relu(self.norm1(self.first(x).view(-1, *self.start)))  # [B, 2 width, S / 4, S / 4]
        x = F.relu(self.norm2(self.double1(x)))                      # [B, width, S / 2, S / 2]
        return self.double2(x)[..., :self.size, :self.size]          # [B, C, S, S], logits
