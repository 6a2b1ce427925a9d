"""What sits on an encoder during pretraining and is thrown away afterwards."""

from torch import nn

from sslab._inputs import takes


@takes(inputs=">= 1", hidden=">= 1", outputs=">= 1", layers=">= 1")
def mlp(inputs: int, hidden: int, outputs: int, layers: int = 2, last_norm: bool = False) -> nn.Sequential:
    """Linear -> BatchNorm -> ReLU, `layers` times, the last one linear only (with a BatchNorm if `last_norm`).

    SimCLR (arXiv:2002.05709, section 4.2) and all that followed found that the loss wants a space of its own: what
    it throws away there, the encoder may keep.

    Raises:
        ValueError: `layers` below 1.
    """
    if layers < 1:
        raise ValueError(f"layers: got {layers}, takes 1 or more")
    modules: list[nn.Module] = []
    for _ in range(layers - 1):
        modules += [nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)]
        inputs = hidden
    modules.append(nn.Linear(inputs, outputs, bias=not last_norm))
    if last_norm:
        modules.append(nn.BatchNorm1d(outputs, affine=False))
    return nn.Sequential(*modules)


@takes(inputs=">= 1", hidden=">= 1", outputs=">= 1", layers=">= 1")
def projector(inputs: int, hidden: int = 256, outputs: int = 128, layers: int = 2) -> nn.Sequential:
    """Encoder output [B, inputs] -> the space the loss works in [B, outputs]."""
    return mlp(inputs, hidden, outputs, layers)


@takes(inputs=">= 1", hidden=">= 1")
def predictor(inputs: int, hidden: int = 64) -> nn.Sequential:
    """The bottleneck of BYOL and SimSiam, [B, inputs] -> [B, inputs] (arXiv:2011.10566, section 3)."""
    return mlp(inputs, hidden, inputs)
