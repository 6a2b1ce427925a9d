"""The folder of a run that `sslab train` makes, and others read.

    runs/x/run.json                  what was asked, with the dataset's card, versions and commit
    runs/x/checkpoint.safetensors    weights and optimizer, as `sslab.train(checkpoint=...)` writes them
    runs/x/metrics.jsonl             a line each few steps: step, loss, terms, learning_rate, views_per_second, seconds, knobs
    runs/x/state.json                "running", "finished", "stopped" or "failed"; where, and since when

    objective, data = sslab.runs.load("runs/x")
"""

import contextlib
import json
import math
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from sslab import datasets, objectives
from sslab._names import choose
from sslab.datasets.pairs import kind_of
from sslab.training import checkpoint as checkpoints

VERSION = 1
OWN = ("folder:", "text:", "pairs:")                                 # datasets that are a path
PATIENCE = 0.5                                                       # seconds: a reader may look at the lock just now


@dataclass(frozen=True)
class Asked:
    """What a run is made of: names, knobs that were set, seed, and the options of `sslab.train`."""

    objective: str
    data: str
    encoder: str | None = None
    knobs: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    data_options: dict[str, Any] = field(default_factory=dict)

    def load_data(self):
        """The dataset.

        Raises:
            ValueError: no such dataset or option of it, or one that cannot be trained on. OSError: it cannot be read.
        """
        if not self.data.startswith(OWN):
            choose(self.data, [*datasets.names(), *(f"{kind}PATH" for kind in OWN)], "data")
        try:
            data = datasets.load(self.data, **self.data_options)
        except TypeError as error:                                   # its loader has no such argument
            raise ValueError(f"data_options: got {', '.join(self.data_options)}, which {self.data!r} does not take ({error})") from None
        if not len(data.train):
            raise ValueError(f"data: got {self.data!r}, which has no training part: it is there to test on")
        return data

    def make(self, data) -> objectives.Objective:
        """The objective for this dataset, untrained, with its knobs set.

        Raises:
            ValueError: no such name or knob, or objective, encoder and dataset do not fit.
        """
        made = make_objective(self.objective, data, self.encoder, self.seed)
        made.set(**self.knobs)
        return made


def make_objective(name: str, data, encoder: str | None = None, seed: int = 0) -> objectives.Objective:
    """An objective with the encoder and the views that suit a dataset, its weights drawn from `seed`: as `Lab` makes it.

    Raises:
        ValueError: no such objective or encoder, or they do not fit the dataset.
    """
    choose(name, objectives.names(), "objective")
    kind, takes = kind_of(data), next(kind for kind in ("images", "text", "pairs") if name in objectives.names(kind))
    if kind != takes:
        those = ", ".join(datasets.names(kind=takes))
        raise ValueError(f"data: got {data.name!r}, which is {kind}; {name} learns from {takes}, such as {those}")
    options: dict[str, Any] = {}
    if name == "supervised":
        if not data.num_classes:
            raise ValueError(f"data: got {data.name!r}, which has no labels; supervised takes one with labels")
        options["classes"] = data.num_classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = objectives.encoder_for(name, data, encoder)
        views = objectives.views_for(name, data.name)
        if kind == "pairs":
            options["text"] = objectives.text_tower_for(data)
        return objectives.create(name, network, views=views, **options)


def default_folder(objective: str, data: str) -> Path:
    """runs/simclr-digits, where no folder is named."""
    return Path("runs") / f"{objective}-{re.sub(r'[^A-Za-z0-9._-]+', '-', data).strip('-')}"


class RunFolder:
    """The files of one run, each replaced as a whole or only added to."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.record, self.state_file = self.path / "run.json", self.path / "state.json"
        self.checkpoint, self.metrics = self.path / "checkpoint.safetensors", self.path / "metrics.jsonl"
        self.evaluation = self.path / "evaluation.json"

    def there(self) -> bool:
        """Does the folder hold a run, or what would be taken for one?"""
        return any(os.path.lexists(file) for file in (self.record, self.checkpoint, self.metrics))

    def read(self) -> dict[str, Any]:
        """What run.json says; `asked(...)` is what it is made of.

        Raises:
            ValueError: there is none, it is damaged, or of a later version.
        """
        try:
            record = json.loads(self.record.read_text("utf-8"))
            version = record["version"]
        except FileNotFoundError:
            raise ValueError(f"run: got {str(self.path)!r}, which has no run.json; takes a folder that `sslab train` made") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"run: {self.record} is damaged or cannot be read ({error})") from None
        if version != VERSION:
            raise ValueError(f"run: {self.record} has version {version}, takes {VERSION}")
        return record

    def asked(self) -> Asked:
        """What the run is made of, from run.json."""
        return Asked(**self.read()["asked"])

    def write(self, record: dict[str, Any], asked: Asked) -> None:
        replace(self.record, {"version": VERSION, "asked": asdict(asked), **record})

    def state(self) -> dict[str, Any]:
        """What state.json says; {} before the first."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.state_file.read_text("utf-8"))
        return {}

    def tell(self, state: str, **more: Any) -> None:
        """Say how the run stands."""
        replace(self.state_file, {"state": state, **more, "host": socket.gethostname(), "process": os.getpid(), "time": now()})

    def saved(self) -> int | None:
        """Steps in the checkpoint; None without one."""
        return checkpoints.read(self.checkpoint)[1]["step"] if self.checkpoint.exists() else None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder: two processes that train into it would undo each other's work.

        Raises:
            BlockingIOError: another process of this machine has it.
        """
        with open(self.path / ".lock", "a+b") as file:
            deadline = time.monotonic() + PATIENCE
            while not _try_lock(file):
                if time.monotonic() > deadline:
                    raise BlockingIOError(f"{self.path} is being trained in by another process")
                time.sleep(0.05)
            yield                                                    # closing the file, or our end, gives it back

    def held(self) -> bool:
        """Does a process of this machine train into the folder?"""
        try:
            with open(self.path / ".lock", "rb+") as file:
                return not _try_lock(file)
        except OSError:
            return False


def _try_lock(file) -> bool:
    """Take the lock of an open file; False if somebody has it. Where files cannot be locked, everybody has it."""
    try:
        import fcntl
    except ImportError:                                              # Windows
        import msvcrt
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def replace(path: Path, content: dict[str, Any]) -> None:
    """Write JSON beside `path` and move it there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def now() -> str:
    """The time, with the offset of its zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


# ---- measurements


class Metrics:
    """The file of measurements, to read: `new()` gives the rows that were added since the last call.

    `begun_anew` is set by a call that found the file cut or replaced, as a resumed run does it; then all rows are given.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path, self.begun_anew = Path(path), False
        self._offset, self._file = 0, None

    def new(self) -> list[dict[str, Any]]:
        self.begun_anew = False
        try:
            with open(self.path, "rb") as file:
                found = os.fstat(file.fileno())
                which = (found.st_dev, found.st_ino)
                if self._file is not None and (which != self._file or found.st_size < self._offset):
                    self._offset, self.begun_anew = 0, True
                self._file = which
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[:content.rfind(b"\n") + 1]                   # the last line may still be on its way
        self._offset += len(whole)
        return [row for line in whole.splitlines() if (row := _row(line)) is not None]


def _row(line: bytes) -> dict[str, Any] | None:
    """A line as a row; None for one that a crash of the machine left damaged."""
    with contextlib.suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            return row
    return None


def as_line(row: dict[str, Any]) -> str:
    """A row as a line of JSON; NaN and infinity, which JSON does not have, become null."""
    return json.dumps(_finite(row), ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cut(path: Path, step: int) -> None:
    """Take the rows from `step` on out of a file of measurements: a run that goes on from there makes them again."""
    if not path.exists():
        return
    kept = [row for row in Metrics(path).new() if row["step"] < step]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.writelines(map(as_line, kept))
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


# ---- what a run learned


def load(path: str | os.PathLike, device: torch.device | str = "cpu") -> tuple[objectives.Objective, Any]:
    """The trained objective of a run and its dataset: `objective, data = sslab.runs.load("runs/x")`.

    Args:
        path: the folder. It may still be training: its last checkpoint is read.
        device: where the objective is put.
    Returns:
        (objective, dataset). `objective.encoder` is what was learned, `objective.steps_done` how long.
    Raises:
        ValueError: no run, no checkpoint yet, or one that does not fit.
    """
    run = RunFolder(path)
    asked = run.asked()
    if not run.checkpoint.exists():
        raise ValueError(f"run: got {str(path)!r}, which has no checkpoint yet; wait for the first, or start it again with --resume")
    data = asked.load_data()
    made = asked.make(data)
    read_weights(made, run.checkpoint)
    return made.to(device), data


def read_weights(objective: objectives.Objective, path: Path) -> int:
    """Put a checkpoint's weights and knobs into an objective; how many steps it has done.

    Raises:
        ValueError: the file is damaged, or its weights do not fit.
    """
    tensors, header = checkpoints.read(path)
    weights = {name.removeprefix("objective."): t for name, t in tensors.items() if name.startswith("objective.")}
    try:
        objective.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"checkpoint: the weights in {path} do not fit ({error})") from None
    objective.set(**header["knobs"])
    objective.steps_done = header["step"]
    return header["step"]


def checkpoint_bytes(objective: torch.nn.Module) -> int:
    """How large its checkpoint will be: weights, buffers, and AdamW's two numbers for each trained weight."""
    weights = sum(t.numel() * t.element_size() for t in objective.state_dict().values())
    moments = sum(2 * p.numel() * p.element_size() for p in objective.parameters() if p.requires_grad)
    return weights + moments + 65_536                                # the header
