"""Checkpoints: one safetensors file, tensors and a JSON header, never pickle. Replaced as a whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

VERSION = 1


def save(path: Path, objective: nn.Module, optimizer: torch.optim.Optimizer, header: dict[str, Any]) -> None:
    """Write weights, buffers, optimizer and header. A kill in the middle leaves the old file as it was."""
    tensors = {f"objective.{name}": t for name, t in objective.state_dict().items()}
    for name, parameter in objective.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = torch.as_tensor(value)
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, metadata={"sslab": json.dumps({"version": VERSION, **header})})
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a checkpoint.

    Raises:
        ValueError: not a checkpoint of this lab, damaged, or of a later version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("sslab", "{}"))
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"checkpoint: {path} is damaged or no safetensors file ({error})") from None
    if header.get("version") != VERSION:
        raise ValueError(f"checkpoint: {path} has version {header.get('version')}, takes {VERSION}")
    return tensors, header


def restore(tensors: dict[str, Tensor], objective: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a checkpoint's tensors back where they came from."""
    weights = {name.removeprefix("objective."): t for name, t in tensors.items() if name.startswith("objective.")}
    try:
        objective.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"checkpoint: its weights do not fit this objective ({error})") from None
    for name, parameter in objective.named_parameters():
        prefix = f"optimizer.{name}."
        state = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
        if state:                                                    # `step` stays on the CPU unless it was fused
            optimizer.state[parameter] = {key: _like(t, parameter) for key, t in state.items()}


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter).copy_(value)                  # the parameter's device and memory layout
