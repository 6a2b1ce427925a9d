"""Convolutional encoders: a small residual net for two CPU cores, and ResNet-18 with the stem for small images."""

import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, arXiv:1512.03385, figure 2; 1x1 shortcut, option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:                          # [B, inputs, H, W]
        y = F.relu(self.norm1(self.conv1(x)))                        # [B, outputs, H / stride, W / stride]
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))  # [B, outputs, H / stride, W / stride]


class ResidualNet(nn.Module):
    """A 3x3 stem, stages of residual blocks that halve the image, and the mean over what is left of it, or over its parts.

    Args:
        channels: colour channels C of the images.
        widths: channels of the stem and of each stage; the last one is `dim`.
        blocks: residual blocks a stage. The first block of each stage after the first has stride 2.
        stem_stride: 2 halves the image in the stem already, a quarter of the computing of 1.
        cells: the last maps are averaged in so many parts a side, one after the other: above 1, h keeps where something is.
    """

    @takes(channels=">= 1", blocks=">= 1", stem_stride=">= 1", cells=">= 1")
    def __init__(self, channels: int, widths: tuple[int, ...], blocks: int, stem_stride: int = 1, cells: int = 1) -> None:
        super().__init__()
        self.cells = cells
        self.dim = widths[-1] * cells**2
        self.stem = nn.Sequential(nn.Conv2d(channels, widths[0], 3, stem_stride, 1, bias=False),
                                  nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
        stages, before = [], widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stages.append(Residual(before, width, stride=2 if stage and not block else 1))
                before = width
        self.stages = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, x: Tensor) -> Tensor:                             # [B, C, H, W]
        return self.stages(self.stem(x))                             # [B, dim, h, w]

    def forward(self, x: Tensor) -> Tensor:
        maps = self.maps(x)
        return maps.mean(dim=(2, 3)) if self.cells == 1 else F.adaptive_avg_pool2d(maps, self.cells).flatten(1)      # [B, dim]


def conv(channels: int, size: int, width: int = 32, cells: int = 1) -> ResidualNet:
    """The default on a CPU: 3 residual blocks after a stem of stride 2; dim = 4 width cells^2."""
    return ResidualNet(channels, (width, 2 * width, 4 * width), blocks=1, stem_stride=2, cells=cells)


def resnet18(channels: int, size: int) -> ResidualNet:
    """ResNet-18 with the stem for small images (3x3, stride 1, no max-pooling): 11.2 M parameters, dim 512."""
    return ResidualNet(channels, (64, 128, 256, 512), blocks=2)
