"""Several processes train one model, each on its rows of every batch: `torchrun --nproc-per-node 2 script.py`.

A script that calls `sslab.train` needs no change. How it works and what it costs: docs/distributed.md.
"""

import atexit
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sslab.objectives import across
from sslab.objectives.base import raised
from sslab.training.devices import cpu_limit, pick_device

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")        # what torchrun tells a process
_here = threading.local()


def processes() -> int:
    """How many processes train together: 1 without torchrun, and inside `with alone():`."""
    if getattr(_here, "alone", False):
        return 1
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in LAUNCHED) else 1


def first() -> bool:
    """Is this the process that prints and writes files? Always where there is only one."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return processes() == 1 or os.environ["RANK"] == "0"


@contextmanager
def alone() -> Iterator[None]:
    """Inside, `sslab.train` trains in this process only, as if there were no others: for a control on one of them."""
    before, _here.alone = getattr(_here, "alone", False), True
    try:
        yield
    finally:
        _here.alone = before


def join(device: torch.device) -> across.Group | None:
    """Meet the other processes, with gloo for the CPU and nccl for CUDA; None where there are none.

    Raises:
        ValueError: a device on which processes cannot work together.
    """
    if processes() == 1:
        return None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device: got {device}, takes cpu or cuda with several processes")
    if not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl")
        atexit.register(_leave)
    return across.Group()


def _leave() -> None:
    """At the interpreter's end: gloo's threads let go of their last tensors, for which they need an interpreter that is alive."""
    if dist.is_initialized():
        dist.destroy_process_group()
        gc.collect()
        time.sleep(0.2)


def own_device(wanted: torch.device | str | None) -> torch.device:
    """The device that is asked for, or the best there is; each process of a machine has a GPU of its own.

    Raises:
        ValueError: more processes than GPUs on this machine.
    """
    try:
        device = torch.device(pick_device() if wanted is None else wanted)
    except (RuntimeError, TypeError):
        raise ValueError(f"device: got {wanted!r}, takes a name such as 'cpu' or 'cuda'") from None
    if processes() == 1:
        return device
    if device.type == "mps" and wanted is None:                      # no process can reach another one from there
        return torch.device("cpu")
    if device.type != "cuda" or device.index is not None:
        return device
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise ValueError(f"device: got cuda for process {index} of this machine, takes at most {torch.cuda.device_count()} "
                         "processes there, one a GPU")
    return torch.device("cuda", index)


def own_threads() -> int:
    """Hold torch to this process's share of the machine's cores; how many threads that are."""
    share = max(1, cpu_limit() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if torch.get_num_threads() > share:
        torch.set_num_threads(share)
    return torch.get_num_threads()


def from_first(group: across.Group | None, make: Callable[[], Any]) -> Any:
    """What `make()` gives in the first process, in all of them. What it raises there is raised everywhere."""
    if group is None:
        return make()
    box: list[Any] = [None, None]
    if group.rank == 0:
        try:
            box[0] = make()
        except Exception as error:                                   # noqa: BLE001  raised again below
            box[1] = error
    dist.broadcast_object_list(box, src=0)
    if box[1] is not None:
        raise box[1]
    return box[0]


def same_everywhere(group: across.Group | None, values: dict[str, Any]) -> None:
    """Refuse arguments that are not the same in all processes.

    Raises:
        ValueError: in every process.
    """
    if group is None:
        return
    given: list[dict[str, Any]] = [{}] * group.count
    dist.all_gather_object(given, values)
    for rank, other in enumerate(given):
        for name, value in given[0].items():
            if other[name] != value:
                raise ValueError(f"{name}: got {other[name]!r} in process {rank}, takes {value!r} as in process 0")


@torch.no_grad()
def share_weights(group: across.Group | None, objective: nn.Module) -> None:
    """Give all processes the parameters and buffers of the first one."""
    if group is not None:
        for tensor in (*objective.parameters(), *objective.buffers()):
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, src=0)
            tensor.copy_(sent)


def own_rows(group: across.Group | None, views: Any) -> Any:
    """This process's rows of what `make_views` gave for the whole batch.

    Args:
        views: a tensor whose rows are in the order of the batch, each sample's rows together; or tuples, lists and dicts
            of such tensors. What has no rows is kept as it is.
    Raises:
        ValueError: the rows of a tensor cannot be shared out evenly.
    """
    if group is None:
        return views
    if isinstance(views, Tensor) and views.ndim:
        if len(views) % group.count:
            raise ValueError(f"make_views: got a view of {len(views)} rows, takes a multiple of {group.count} processes")
        return views.chunk(group.count)[group.rank]
    if isinstance(views, dict):
        return {name: own_rows(group, view) for name, view in views.items()}
    if isinstance(views, (tuple, list)):
        return type(views)(own_rows(group, view) for view in views)
    return views


@torch.no_grad()
def average_gradients(group: across.Group | None, module: nn.Module) -> None:
    """Replace every gradient by its mean over the processes: one sum over one flat buffer for each type of number.

    A parameter that has a gradient in no process is left without one. One that has it in some only counts as 0 in the others.
    """
    if group is None:
        return
    kinds: dict[tuple, list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            kinds.setdefault((parameter.device, parameter.dtype), []).append(parameter)
    for parameters in kinds.values():
        there = [parameter.grad is not None for parameter in parameters]
        parts = [(p.grad if has else torch.zeros_like(p)).flatten() for p, has in zip(parameters, there, strict=True)]
        marks = parts[0].new_ones(len(there)) if all(there) else torch.tensor(there).to(parts[0])
        flat = torch.cat([*parts, marks])                            # made on a GPU, where it can be, so that nobody waits
        group.sum_(flat)
        *parts, anywhere = flat.div_(group.count).split([len(part) for part in (*parts, there)])
        anywhere = [True] * len(there) if all(there) else (anywhere > 0).tolist()
        for parameter, part, wanted in zip(parameters, parts, anywhere, strict=True):
            if parameter.grad is not None:
                parameter.grad.copy_(part.view_as(parameter))
            elif wanted:
                parameter.grad = torch.empty_like(parameter).copy_(part.view_as(parameter))


class _AcrossProcesses:
    """A batch norm whose statistics in training are those of all processes' rows, with gradient; on any device."""

    def forward(self, x: Tensor) -> Tensor:                          # [b, C, ...]
        if not self.training or across.processes() == 1:
            return super().forward(x)
        self._check_input_dim(x)
        mean, variance, count = across.moments(raised(x), [0, *range(2, x.ndim)])    # [C] each
        if self.track_running_stats and self.running_mean is not None:
            self._follow(mean.detach(), variance.detach() * count / (count - 1))
        scale = torch.rsqrt(variance + self.eps)
        scale = scale if self.weight is None else scale * self.weight
        shape = (1, -1, *[1] * (x.ndim - 2))
        y = (raised(x) - mean.view(shape)) * scale.view(shape)
        y = y if self.bias is None else y + self.bias.view(shape)
        return y.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.to(mean) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(variance.to(self.running_var), share)


_WHOLE = {kind: type(f"Whole{kind.__name__}", (_AcrossProcesses, kind), {})
          for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)}


@contextmanager
def whole_batch_norms(group: across.Group | None, module: nn.Module) -> Iterator[None]:
    """Inside, the batch norms of a module see the rows of all processes in each step, as one process would.

    torch's own SyncBatchNorm does that on GPUs, and refuses tensors on a CPU; it is left as it is.

    Raises:
        ValueError: a batch norm of another kind, which would see the rows of one process only.
    """
    found = [] if group is None else [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)
                                      and not isinstance(part, nn.SyncBatchNorm)]
    for part in found:
        if type(part) not in _WHOLE:
            raise ValueError(f"batch norm: got {type(part).__name__}, takes torch's own with several processes")
    for part in found:
        part.__class__ = _WHOLE[type(part)]
    try:
        yield
    finally:
        for part in found:
            part.__class__ = type(part).__bases__[1]
