"""The training loop, as a generator: a notebook cell, the dashboard's thread, the CLI and a test all iterate it."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sslab._inputs import check_number, check_type
from sslab._names import choose
from sslab.datasets.base import as_fed, inputs_of
from sslab.datasets.pairs import Pairs
from sslab.objectives import Loss, Objective, across
from sslab.training import checkpoint as checkpoints
from sslab.training import distributed
from sslab.training.devices import Precision, autocast, choose_precision, limit_threads, place

_ORDER, _VIEWS, _GLOBAL = range(3)                                   # what a seed is for


@dataclass
class Step:
    """One step of training, just taken. Tensors are detached and stay on the device until somebody reads them.

    Of several processes all have the same loss and terms, and each has the embedding and projection of its own rows.
    """

    index: int                                                       # 0, 1, ...
    total: int                                                       # steps planned
    loss: Tensor                                                     # scalar
    terms: dict[str, Tensor]
    embedding: Tensor                                                # [B, D]
    projection: Tensor | None                                        # [B, P]
    seconds: float                                                   # training only, what the reader of steps does left out
    views_per_second: float
    learning_rate: float
    knobs: dict[str, Any]                                            # the values this step used


def train(objective: Objective, dataset, *, epochs: float = 10, steps: int | None = None, batch_size: int = 512,
          seed: int = 0, learning_rate: float = 2e-3, weight_decay: float = 1e-4, warmup: float = 0.1,
          precision: str | Precision = "auto", device: torch.device | str | None = None,
          checkpoint: str | Path | None = None, checkpoint_every: int = 100, resume: bool = False) -> Iterator[Step]:
    """Train an objective on a dataset's training images, texts or pairs of both, a step at a time: `for step in train(...)`.

    Everything random comes from (seed, step), so the same call gives the same weights, and a resumed run the same
    as an uninterrupted one. Closing the generator ends the run; with `checkpoint`, its state is saved then.

    Under torchrun every process makes the same call, and all train one model as one process would on the whole batch:
    docs/distributed.md.

    Args:
        objective: changed in place; also its knobs may change while it trains, from any thread.
        dataset: anything whose `train` has `inputs`, or `images`: uint8 [N, C, H, W], or tokens, whole numbers [N, T],
            or `Pairs`; and `labels` [N] if the objective needs them. With labels a small N is repeated until a batch is full: each
            copy gets views of its own.
        epochs: passes over the training data; the last incomplete batch of each is left out.
        batch_size: of all processes together, a multiple of their number.
        steps: how many steps, in place of `epochs`.
        learning_rate: AdamW's, at the peak: linear warm-up over the share `warmup` of the steps, then a cosine to 0.
        weight_decay: on matrices and filters only, not on norms and biases.
        precision: "auto" measures what is fastest here; "float32", "bf16", or a Precision.
        checkpoint: a file to write every `checkpoint_every` steps and at the end; the first process reads and writes it.
        resume: go on from `checkpoint` if it is there.
    Raises:
        ValueError: an argument is out of its range, or `resume` finds a run with other settings.
        FileExistsError: `checkpoint` is there already and `resume` is not set.
        OSError: there is no place for a checkpoint there, or nothing may be written; nothing is trained then.
        FloatingPointError: the loss became NaN or infinite; the message names step, term and knobs.
    Source:
        AdamW: arXiv:1711.05101. Warm-up and cosine: arXiv:1706.02677, arXiv:1608.03983.
    """
    check_type("objective", objective, nn.Module)
    if not hasattr(dataset, "train"):
        raise TypeError(f"dataset: got {type(dataset).__name__}, takes a Dataset, such as sslab.load gives")
    check_number("weight_decay", weight_decay, ">= 0")
    check_number("warmup", warmup)
    check_number("seed", seed, ">= 0", whole=True)
    check_type("checkpoint", checkpoint, str | PathLike | None)
    check_type("resume", resume, bool)
    check_type("precision", precision, str | Precision)
    check_type("device", device, torch.device | str | int | None)
    _positive(batch_size=batch_size, learning_rate=learning_rate, epochs=epochs, checkpoint_every=checkpoint_every)
    check_number("batch_size", batch_size, whole=True)
    check_number("checkpoint_every", checkpoint_every, whole=True)
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup: got {warmup}, takes a share of the steps from 0 to below 1")
    if steps is not None:
        _positive(steps=steps)
        check_number("steps", steps, whole=True)
    if isinstance(precision, str):
        choose(precision, ("auto", "float32", "bf16"), "precision")
    if batch_size % (together := distributed.processes()):
        raise ValueError(f"batch_size: got {batch_size}, takes a multiple of the number of processes ({together})")
    data = dataset.train
    inputs = inputs_of(data)
    count = len(inputs)
    repeats = math.ceil(batch_size / count) if objective.needs_labels and count else 1
    if count * repeats < batch_size:
        what = "pairs" if isinstance(inputs, Pairs) else "images" if inputs.ndim == 4 else "texts"
        raise ValueError(f"batch_size: got {batch_size}, takes at most the number of training {what} ({count})")
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists() and not resume:
        raise FileExistsError(f"checkpoint: {path} exists; pass resume=True to go on from it, or another path")
    if path is not None and distributed.first():
        checkpoints.check_place(path)
    batches = count * repeats // batch_size                          # an epoch
    total = steps or max(1, round(epochs * batches))
    run = {"objective": type(objective).__name__, "images": count, "batch_size": batch_size, "seed": seed, "steps": total,
           "learning_rate": learning_rate, "weight_decay": weight_decay, "warmup": warmup}
    device = distributed.own_device(device)
    return _run(objective, data, run, repeats, precision, device, path, checkpoint_every, distributed.join(device))


def _run(objective, data, run, repeats, precision, device, path, every, group) -> Iterator[Step]:
    header, tensors, first, earlier = None, None, 0, 0.0
    count = 1 if group is None else group.count                      # of processes
    threads = limit_threads() if group is None else distributed.own_threads()
    distributed.same_everywhere(group, run)
    if path is not None:
        tensors, header = distributed.from_first(group, lambda: checkpoints.read(path) if path.exists() else (None, None))
    if header is not None:
        for name, value in run.items():
            if header["run"][name] != value:
                raise ValueError(f"{name}: got {value!r}, but {path} was trained with {header['run'][name]!r}")
        precision, first, earlier = Precision(**header["precision"]), header["step"], header["seconds"]
        if header["threads"] != threads and header.get("processes", 1) == count:     # sums in another order are other sums
            torch.set_num_threads(header["threads"])
    inputs = inputs_of(data).to(device)
    labels = data.labels.to(device) if objective.needs_labels else None
    if precision == "auto":
        sample = inputs[: run["batch_size"] // count]
        sample = sample.pictures if isinstance(sample, Pairs) else as_fed(sample)
        precision = distributed.from_first(group, lambda: choose_precision(objective.encoder, sample, device))
    elif isinstance(precision, str):
        precision = Precision(precision, channels_last=precision == "bf16")
    place(objective, device, precision).train()
    optimizer = torch.optim.AdamW(_groups(objective, run["weight_decay"]), lr=run["learning_rate"],
                                  fused=device.type in ("cuda", "cpu"))
    if header is not None:
        checkpoints.restore(tensors, objective, optimizer)
        objective.set(**header["knobs"])
    if group is not None:
        distributed.share_weights(group, objective)
        objective.set(**distributed.from_first(group, objective.values))
    guard, order, seconds, done = _NaNGuard(device), None, earlier, first

    def save() -> None:
        guard.check()                                                # in every process, before the first one writes
        if group is None or group.rank == 0:
            _save(path, objective, optimizer, run, done, seconds, precision, count)

    with distributed.whole_batch_norms(group, objective):
        try:
            for index in range(first, run["steps"]):
                start = time.perf_counter()
                epoch, batch = divmod(index, len(inputs) * repeats // run["batch_size"])
                if order is None or batch == 0:
                    order = _order(len(inputs), repeats, run["seed"], epoch).to(device)
                rows = order[batch * run["batch_size"]:(batch + 1) * run["batch_size"]]
                rate = _schedule(index, run)
                for part in optimizer.param_groups:
                    part["lr"] = rate
                with objective.step(), torch.random.fork_rng(devices=[]):
                    torch.manual_seed(_seed(run["seed"], _GLOBAL, index))    # for dropout and the like
                    knobs = objective.values()
                    generator = torch.Generator().manual_seed(_seed(run["seed"], _VIEWS, index))
                    fed = as_fed(inputs[rows])
                    views = objective.make_views(fed if labels is None else (fed, labels[rows]), generator)
                    views = distributed.own_rows(group, views)
                    with across.together(group):
                        with autocast(device, precision):
                            loss = objective(views)
                        seen = _of_all(loss)
                        guard.see(index, seen, knobs)
                        loss.total.backward()
                        distributed.average_gradients(group, objective)
                        optimizer.step()
                        optimizer.zero_grad()
                        objective.after_step()
                done = index + 1
                elapsed = time.perf_counter() - start
                seconds += elapsed
                if path is not None and (done % every == 0 or done == run["steps"]):
                    save()
                yield Step(index, run["steps"], seen.total, seen.terms, seen.embedding, seen.projection, seconds,
                           run["batch_size"] * objective.views_per_image / elapsed, rate, knobs)
            guard.check()
        except GeneratorExit:                                        # the reader closed us: keep what was learned
            if path is not None and done > first and done < run["steps"] and done % every:
                save()
            raise


def _of_all(loss: Loss) -> Loss:
    """Without gradient, total and terms are means over all processes; so NaN in one is NaN in all."""
    values = [value.detach() for value in (loss.total, *loss.terms.values())]
    if across.processes() > 1:
        values = across.average(torch.stack([value.to(values[0]) for value in values])).unbind()
    projection = None if loss.projection is None else loss.projection.detach()
    return Loss(values[0], dict(zip(loss.terms, values[1:], strict=True)), loss.embedding.detach(), projection)


def _save(path, objective, optimizer, run, done, seconds, precision, processes) -> None:
    checkpoints.save(path, objective, optimizer, {
        "run": run, "step": done, "seconds": seconds, "knobs": objective.values(), "threads": torch.get_num_threads(),
        "processes": processes, "precision": {"name": precision.name, "channels_last": precision.channels_last}})


class _NaNGuard:
    """Looks for NaN and infinity without making a GPU wait: flags stay there and are read every 20 steps."""

    def __init__(self, device: torch.device) -> None:
        self.every, self.seen = (1 if device.type == "cpu" else 20), []

    def see(self, index: int, loss, knobs: dict[str, Any]) -> None:
        values = {"loss": loss.total, **loss.terms}
        flags = torch.stack([v.detach().float().isfinite() for v in values.values()])
        self.seen.append((index, list(values), flags, knobs))
        if len(self.seen) >= self.every:
            self.check()

    def check(self) -> None:
        seen, self.seen = self.seen, []
        for index, names, flags, knobs in seen:
            if not flags.all():
                bad = [name for name, fine in zip(names, flags.tolist(), strict=True) if not fine]
                settings = ", ".join(f"{name}={value}" for name, value in knobs.items())
                raise FloatingPointError(f"step {index}: {', '.join(bad)} is NaN or infinite, with {settings}")


def _groups(objective: nn.Module, weight_decay: float) -> list[dict]:
    parameters = [p for p in objective.parameters() if p.requires_grad]
    return [{"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0}]


def _schedule(index: int, run: dict) -> float:
    warm = max(1, round(run["warmup"] * run["steps"]))
    if index < warm:
        return run["learning_rate"] * (index + 1) / warm
    return run["learning_rate"] * 0.5 * (1 + math.cos(math.pi * (index - warm) / max(1, run["steps"] - warm)))


def _seed(seed: int, purpose: int, index: int) -> int:
    """One 32-bit number of three: torch's CPU generator looks at the low 32 bits only, so they must be mixed."""
    return int(np.random.SeedSequence((seed, purpose, index)).generate_state(1)[0])


def _order(count: int, repeats: int, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator().manual_seed(_seed(seed, _ORDER, epoch))
    return torch.cat([torch.randperm(count, generator=generator) for _ in range(repeats)])


def _positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{name}: got {value!r}, takes a number above 0")
