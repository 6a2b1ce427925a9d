"""What each layer of a network says of pictures, for whoever asks which one to keep."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from sslab.datasets.base import PARTS, Split, as_floats
from sslab.encoders import centred
from sslab.evaluation.labels import FIXED_PENALTY, Efficiency, as_dataset, label_efficiency
from sslab.modes import by_mode
from sslab.objectives.base import evaluating


@torch.no_grad()
def layers(encoder: nn.Module, images: Tensor, projector: nn.Sequential | None = None, batch_size: int = 512) -> dict[str, Tensor]:
    """Every layer's output, in eval mode, averaged over the places of a picture where it has some.

    Args:
        encoder: "conv" or "resnet18"; not changed.
        images: [N, C, H, W].
        projector: what sat on it during pretraining, as `objective.projector`; None leaves it out.
    Returns:
        "stem", "block 1", ..., "h" (the last block: the representation), and with a projector "hidden" (after its last
        ReLU) and "z" -> float32 [N, D] each, on the CPU. D differs from layer to layer.
    Raises:
        ValueError: the encoder is no residual net.
    """
    net = getattr(encoder, "net", None)
    if not hasattr(net, "stages"):
        raise ValueError(f"encoder: got {type(net or encoder).__name__}, takes a residual net (conv or resnet18)")
    device = next(encoder.parameters()).device
    found: dict[str, list[Tensor]] = {}
    with evaluating(encoder), evaluating(projector or nn.Identity()):
        for batch in images.split(batch_size):
            for name, output in _pass(net, projector, centred(as_floats(batch.to(device)))):
                found.setdefault(name, []).append(output.float().cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def _pass(net: nn.Module, projector: nn.Sequential | None, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """(name, [B, D]) layer by layer."""
    x = net.stem(x)                                                  # [B, width, H', W']
    yield "stem", x.mean(dim=(2, 3))
    for number, block in enumerate(net.stages, start=1):
        x = block(x)
        yield (f"block {number}" if number < len(net.stages) else "h"), x.mean(dim=(2, 3))
    if projector is None:
        return
    x = x.mean(dim=(2, 3))                                           # [B, dim]
    last = max((place for place, module in enumerate(projector) if isinstance(module, nn.ReLU)), default=None)
    for place, module in enumerate(projector):
        x = module(x)
        if place == last:
            yield "hidden", x.clone()                                # a later layer may work in place
    yield "z", x


def layer_efficiency(encoder: nn.Module, dataset, labels_per_class: Sequence[int] = (5, 100), seeds: int = 5,
                     projector: nn.Sequential | None = None) -> dict[str, Efficiency]:
    """A linear probe of every layer on few labels, all on the same draws, the penalty fixed: layer -> Efficiency.

    Args:
        encoder, projector: as `layers` takes them.
        dataset: with labels.
        labels_per_class: the budgets. seeds: draws of labels.
    Raises:
        ValueError: the encoder is no residual net, or a budget is larger than a class.
    """
    dataset = smaller(dataset)
    parts = {name: layers(encoder, getattr(dataset, name).images, projector) for name in PARTS}
    return {layer: label_efficiency(lambda x: x, as_dataset(dataset, {name: parts[name][layer] for name in PARTS}),
                                    tuple(labels_per_class), seeds, layer, penalties=(FIXED_PENALTY,))
            for layer in parts["train"]}


def smaller(dataset):
    """The dataset itself; in smoke mode 4,000 training images of it and 300 others each, for whoever embeds them all."""
    limits = by_mode((4000, 300, 300), None)
    if limits is None:
        return dataset
    parts = {name: getattr(dataset, name) for name in PARTS}
    cut = {name: Split(part.images[:most], part.labels[:most], part.indices[:most])
           for (name, part), most in zip(parts.items(), limits, strict=True)}
    return SimpleNamespace(**cut, num_classes=dataset.num_classes)
