"""Checkpoints: one safetensors file, tensors and a JSON header, never pickle. Replaced as a whole or not at all.

A sha256 of the header and of every tensor is kept beside them: one changed bit, and the file is refused.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

VERSION = 2                                                          # 1 had no checksum


def save(path: Path, objective: nn.Module, optimizer: torch.optim.Optimizer, header: dict[str, Any]) -> None:
    """Write weights, buffers, optimizer and header. A kill in the middle, or a full disk, leaves the old file as it was.

    Raises:
        OSError: the file cannot be written; it names the file.
    """
    tensors = {f"objective.{name}": t for name, t in objective.state_dict().items()}
    for name, parameter in objective.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = torch.as_tensor(value)
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    text = json.dumps({"version": VERSION, **header})
    try:
        save_file(tensors, part, metadata={"sslab": text, "sha256": _digest(tensors, text)})
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except SafetensorError as error:                                 # what a full disk becomes there
        raise OSError(f"checkpoint: {path} cannot be written ({error})") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Can a checkpoint be written there? Asked before the hours of training that would be lost; makes nothing.

    Raises:
        OSError: its folder cannot be made, or nothing may be written into it.
    """
    there = path.absolute().parent
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(f"checkpoint: {path} cannot be written: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"checkpoint: {path} cannot be written: this user may write nothing into {there}")


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    """sha256 of the header and of the tensors: names, types, shapes and bytes."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a checkpoint.

    Raises:
        ValueError: not a checkpoint of this lab, damaged, or of a later version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            kept = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        header = json.loads(kept.get("sslab", "{}"))
    except (SafetensorError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"checkpoint: {path} is damaged or no safetensors file ({error})") from None
    if not isinstance(header, dict) or header.get("version") != VERSION:
        found = header.get("version") if isinstance(header, dict) else None
        raise ValueError(f"checkpoint: {path} has version {found}, takes {VERSION}")
    if kept.get("sha256") != _digest(tensors, kept["sslab"]):
        raise ValueError(f"checkpoint: {path} is damaged: its contents are not what its checksum says, so it is not used")
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
