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
    return [tuple(name.removeprefix(PREFIX).removesuffix(".safetensors").rsplit("_", 1)) for name in files]


def pretrained(objective: str, dataset) -> nn.Module:
    """An objective with the weights of a long training: `gpt = sslab.pretrained("gpt", "passages")`.

    Train it further with `sslab.train`, give it to `Lab`, or take its `encoder`. Its attribute `origin` is the record of how
    it was made: command, dataset, seed, device, seconds, versions, commit, and a curve of a validation measure.

    Args:
        objective: one of those that `pretrained_names()` lists with their datasets, such as "simclr" or "gpt".
        dataset: a name, or the dataset itself: it must have the tokeniser that the weights were trained with, or images of
            their size and channels.
    Returns:
        the objective, on the CPU. The weights are stored in half precision; here they are float32.
    Raises:
        ValueError: there is no such checkpoint, or the dataset's tokens or images are others.
        DataFileError: the file is missing, or its sha256 is not the one in SHA256SUMS; it is not read then.
    """
    from sslab import objectives

    name = dataset if isinstance(dataset, str) else dataset.name
    choose(f"{objective} on {name}", [" on ".join(pair) for pair in pretrained_names()], "objective, dataset")
    weights, origin = loads(bundled.read(file_name(objective, name)))
    if not isinstance(dataset, str):
        _check_fits(dataset, name, origin["encoder"])
    options = {"classes": len(weights["head.bias"])} if objective == "supervised" else {}
    if objective in objectives.names("images"):
        options["views"] = objectives.views_for(objective, name)
    with torch.random.fork_rng(devices=[]):                          # the caller's random numbers stay as they were
        made = objectives.create(objective, _encoder(origin["encoder"]), **options, **origin["knobs"])
    made.load_state_dict({key: value.float() if value.dtype == torch.float16 else value for key, value in weights.items()})
    made.origin = origin
    return made


def _check_fits(dataset, name: str, encoder: dict[str, Any]) -> None:
    """Refuse a dataset that the encoder of a record cannot read."""
    if "vocabulary" in encoder:
        if (dataset.vocabulary, dataset.context) != (encoder["vocabulary"], encoder["context"]):
            raise ValueError(f"dataset: got {dataset.vocabulary:,} tokens in rows of {dataset.context}, takes {encoder['vocabulary']:,} "
                             f"in rows of {encoder['context']}, as {name!r} has them without options")
    elif [dataset.channels, dataset.size] != encoder["shape"]:
        channels, size = encoder["shape"]
        raise ValueError(f"dataset: got images of {dataset.size} x {dataset.size} with {dataset.channels} channel(s), takes {size} x {size} "
                         f"with {channels}, as {name!r} has them without options")


def _record(encoder: nn.Module) -> dict[str, Any]:
    """What `_encoder` makes such an encoder from."""
    if hasattr(encoder, "vocabulary"):
        return {"name": encoder.name, "vocabulary": encoder.vocabulary, "context": encoder.context,
                "continuous": encoder.continuous, **encoder.options}
    return {"name": encoder.name, "shape": list(encoder.shape), **encoder.options}


def _encoder(record: dict[str, Any]) -> nn.Module:
    from sslab.encoders import Encoder, TextEncoder

    if "vocabulary" in record:
        return TextEncoder(**record)
    return Encoder(**{**record, "shape": tuple(record["shape"])})


def file_name(objective: str, dataset: str) -> str:
    """Of a checkpoint, in the folder of the data."""
    return f"{PREFIX}{objective}_{dataset}.safetensors"


def dumps(made: nn.Module, origin: dict[str, Any]) -> bytes:
    """Weights in half precision with their record, as the bytes of a safetensors file: the same ones for the same input."""
    origin = {"version": VERSION, **origin, "knobs": made.values(), "encoder": _record(made.encoder)}
    # Counts and sums are float64, and stay so: half precision ends at 65,504.
    tensors = {key: (value.half() if value.dtype == torch.float32 else value).cpu().contiguous()
               for key, value in made.state_dict().items()}
    for key, value in tensors.items():
        if not value.isfinite().all():
            raise ValueError(f"made: {key} has values that are not finite, or that half precision cannot hold")
    return save(tensors, metadata={"sslab": json.dumps(origin)})


def loads(content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the record in such bytes."""
    length = int.from_bytes(content[:8], "little")
    origin = json.loads(json.loads(content[8:8 + length]).get("__metadata__", {}).get("sslab", "{}"))
    if origin.get("version") != VERSION:
        raise ValueError(f"checkpoint: got version {origin.get('version')}, takes {VERSION}")
    return load(content), origin
