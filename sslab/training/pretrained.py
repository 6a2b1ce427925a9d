"""Networks trained beforehand: small files beside the data, each with its checksum and the record of how it was made."""

import json
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from sslab._names import choose
from sslab.datasets import bundled

VERSION = 1
PREFIX = "pretrained_"


def pretrained_names() -> list[tuple[str, str]]:
    """(objective, dataset) of what lies beside the data."""
    files = (name for name in bundled.checksums() if name.startswith(PREFIX))
    return [tuple(name.removeprefix(PREFIX).removesuffix(".safetensors").split("_", 1)) for name in files]


def pretrained(objective: str, dataset) -> nn.Module:
    """An objective with the weights of a long training: `gpt = sslab.pretrained("gpt", "passages")`.

    Train it further with `sslab.train`, give it to `Lab`, or take its `encoder`. Its attribute `origin` is the record of how
    it was made: command, dataset, seed, device, seconds, versions, commit, and a curve of a validation measure.

    Args:
        objective: "bert" or "gpt".
        dataset: a name, or the dataset itself: it must have the tokeniser that the weights were trained with.
    Returns:
        the objective, on the CPU. The weights are stored in half precision; here they are float32.
    Raises:
        ValueError: there is no such checkpoint, or the dataset's tokens are others.
        DataFileError: the file is missing, or its sha256 is not the one in SHA256SUMS; it is not read then.
    """
    from sslab import objectives
    from sslab.encoders import TextEncoder

    name = dataset if isinstance(dataset, str) else dataset.name
    choose(f"{objective} on {name}", [" on ".join(pair) for pair in pretrained_names()], "objective, dataset")
    weights, origin = loads(bundled.read(file_name(objective, name)))
    if not isinstance(dataset, str) and (dataset.vocabulary, dataset.context) != (origin["encoder"]["vocabulary"], origin["encoder"]["context"]):
        raise ValueError(f"dataset: got {dataset.vocabulary:,} tokens in rows of {dataset.context}, takes {origin['encoder']['vocabulary']:,} "
                         f"in rows of {origin['encoder']['context']}, as {name!r} has them without options")
    with torch.random.fork_rng(devices=[]):                          # the caller's random numbers stay as they were
        made = objectives.create(objective, TextEncoder(**origin["encoder"]), **origin["knobs"])
    made.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in weights.items()})
    made.origin = origin
    return made


def file_name(objective: str, dataset: str) -> str:
    """Of a checkpoint, in the folder of the data."""
    return f"{PREFIX}{objective}_{dataset}.safetensors"


def dumps(made: nn.Module, origin: dict[str, Any]) -> bytes:
    """Weights in half precision with their record, as the bytes of a safetensors file: the same ones for the same input."""
    encoder = made.encoder
    origin = {"version": VERSION, **origin, "knobs": made.values(),
              "encoder": {"name": encoder.name, "vocabulary": encoder.vocabulary, "context": encoder.context,
                          "continuous": encoder.continuous, **encoder.options}}
    tensors = {key: (value.half() if value.is_floating_point() else value).cpu().contiguous()
               for key, value in made.state_dict().items()}
    return save(tensors, metadata={"sslab": json.dumps(origin)})


def loads(content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the record in such bytes."""
    length = int.from_bytes(content[:8], "little")
    origin = json.loads(json.loads(content[8:8 + length]).get("__metadata__", {}).get("sslab", "{}"))
    if origin.get("version") != VERSION:
        raise ValueError(f"checkpoint: got version {origin.get('version')}, takes {VERSION}")
    return load(content), origin
