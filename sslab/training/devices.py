"""What this machine has: cores, a device, and the precision that is fastest on it."""

import copy
import ctypes
import functools
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Precision:
    """name: "float32" or "bf16" (autocast over float32 weights). views_per_second: measured, forward and backward."""

    name: str
    channels_last: bool
    views_per_second: float = math.nan


FLOAT32 = Precision("float32", False)
CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
_CANDIDATES = (FLOAT32, Precision("float32", True), Precision("bf16", True))


def cpu_limit() -> int:
    """Cores this process may use: the smallest of the machine's, the affinity mask's, the container's and JupyterHub's."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [quota for folder in _cgroups() if (quota := _quota(folder))] + [_hub_limit()]
    return min([available, *(max(1, math.ceil(limit)) for limit in limits if limit)])


def _cgroups() -> list[Path]:
    """The folders that may hold a quota for this process: its own group's, and those of the groups around it.

    In a container its own group looks like the root; a systemd service, as on The Littlest JupyterHub, sees the whole tree.
    """
    try:
        lines = OWN_CGROUP.read_text().splitlines()
    except OSError:
        lines = []
    found = [CGROUP, CGROUP / "cpu"]
    for line in lines:
        _, controllers, path = line.split(":", 2)                    # "0::/user.slice" in v2, "2:cpu,cpuacct:/docker/x" in v1
        root = CGROUP if not controllers else CGROUP / "cpu" if "cpu" in controllers.split(",") else None
        parts = Path(path.strip("/")).parts
        found += [root.joinpath(*parts[:depth + 1]) for depth in range(len(parts))] if root else []
    return found


def _quota(folder: Path) -> float | None:
    """Cores by the quota of one group, None where it sets none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None                # "max" is no limit: ValueError
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _hub_limit() -> float | None:
    """What JupyterHub says of this server in CPU_LIMIT, also where its spawner holds nobody to it."""
    try:
        limit = float(os.environ.get("CPU_LIMIT", ""))
    except ValueError:
        return None
    return limit if 0 < limit < math.inf else None


def limit_threads() -> int:
    """Hold torch to the container's cores: more threads than cores make small models ten times slower."""
    if torch.get_num_threads() > cpu_limit():
        torch.set_num_threads(cpu_limit())
    return torch.get_num_threads()


def pick_device() -> torch.device:
    """cuda, mps or cpu, the first there is."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def choose_precision(encoder: nn.Module, sample: Tensor, device: torch.device | None = None) -> Precision:
    """The fastest of float32, float32 channels_last and bf16 channels_last, measured for about a second.

    Args:
        encoder: what will be trained; a copy of it is measured.
        sample: images [B, C, H, W] of the batch size that will be used.
    """
    device = device or pick_device()
    parameters = sum(p.numel() for p in encoder.parameters())
    key = (device.type, type(getattr(encoder, "net", encoder)).__name__, parameters, tuple(sample.shape[1:]),
           torch.get_num_threads(), min(len(sample), 256))
    if key not in _MEASURED:
        batch = sample[: min(len(sample), 256)].to(device)
        rates = {}
        for candidate in _CANDIDATES:
            try:
                rates[candidate] = _measure(encoder, batch, device, candidate)
            except RuntimeError:                                     # this device has no such kernels
                continue
        best = max(rates, key=rates.get)
        if rates[best] < 1.1 * rates.get(FLOAT32, 0):                # not worth leaving plain float32
            best = FLOAT32
        _MEASURED[key] = Precision(best.name, best.channels_last, rates[best])
    return _MEASURED[key]


_MEASURED: dict[tuple, Precision] = {}


def _measure(encoder: nn.Module, batch: Tensor, device: torch.device, precision: Precision) -> float:
    model = place(copy.deepcopy(encoder).train(), device, precision)
    best = math.inf
    with torch.random.fork_rng(devices=[]):
        for repeat in range(4):                                      # the first one warms up
            start = time.perf_counter()
            with autocast(device, precision):
                out = model(batch)
            out.float().square().mean().backward()
            float(out.detach().sum())                                         # waits for the device
            if repeat:
                best = min(best, time.perf_counter() - start)
    return len(batch) / best


def release_threads() -> None:
    """End the OpenMP helpers that wait for the calling thread; its next parallel operation makes new ones.

    Call it before another thread trains: where all helpers together outnumber the cores, libgomp lets none of them
    wait awake, which cost that other thread a quarter of its speed on two cores. Does nothing on other runtimes.
    """
    library = next(Path(torch.__file__).parent.glob("lib/libgomp*.so*"), None)
    pause = getattr(ctypes.CDLL(str(library)), "omp_pause_resource_all", None) if library else None
    if pause is not None:
        pause(1)


def place(module: nn.Module, device: torch.device, precision: Precision) -> nn.Module:
    """Move a module to its device and memory layout."""
    return module.to(device, memory_format=torch.channels_last if precision.channels_last else torch.contiguous_format)


def autocast(device: torch.device, precision: Precision):
    """The context in which a step of this precision computes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision.name == "bf16")


@functools.cache
def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {cpu_limit()} cores" if device.type == "cpu" else device.type
