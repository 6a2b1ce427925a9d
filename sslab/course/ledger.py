"""The ledger: notebooks/results.json, every number that the course states, with how it was made.

    {"claims":  {name: {"text", "holds", "evidence": [record names]}},
     "records": {name: {"value", "interval": [low, high], "seeds", "unit", "mode", "device", "seconds",
                        "versions", "commit", and where there are any "draws" (by seed), "series" (curves)}}}
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sslab._names import choose

NAME = re.compile(r"[a-z0-9][a-z0-9/._=-]*")


def mean_interval(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """The mean of `values` and its 95 % t-interval; None for the interval of a single value."""
    import numpy as np
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return mean, None
    half = float(t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return mean, (mean - half, mean + half)


@dataclass(frozen=True)
class Record:
    """One measured number.

    value is the mean over `seeds`, interval its 95 % t-interval (None with one seed), draws the value of each
    seed, series curves as named columns, seconds what it took, unit a word ("accuracy", "s", or "").
    """

    value: float
    interval: tuple[float, float] | None = None
    seeds: tuple[int, ...] = ()
    unit: str = ""
    mode: str = "class"
    device: str = "cpu"
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    draws: tuple[float, ...] = ()
    series: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, by_seed: Mapping[int, float], **facts: Any) -> "Record":
        """The record of one value a seed."""
        value, interval = mean_interval(list(by_seed.values()))
        return cls(value, interval, tuple(by_seed), draws=tuple(by_seed.values()), **facts)

    def minus(self, other: "Record") -> "Record":
        """The difference, paired by seed.

        A control that has no pretraining, and so one seed only, stands against every seed of the other: it was
        measured on the same draws of labels.

        Raises:
            ValueError: the seeds differ, so that nothing can be paired.
        """
        if len(other.seeds) == 1 < len(self.seeds):
            other = replace(other, seeds=self.seeds, draws=(other.value,) * len(self.seeds))
        if len(self.seeds) == 1 < len(other.seeds):
            return replace(other, seeds=other.seeds, draws=(self.value,) * len(other.seeds)).minus(other)
        if self.seeds != other.seeds:
            raise ValueError(f"a difference is paired by seed: got {self.seeds} and {other.seeds}")
        if len(self.draws) < 2:
            return replace(self, value=self.value - other.value, interval=None, draws=())
        pairs = tuple(a - b for a, b in zip(self.draws, other.draws, strict=True))
        value, interval = mean_interval(pairs)
        return replace(self, value=value, interval=interval, draws=pairs)

    def as_json(self) -> dict[str, Any]:
        row = {key: _tidy(value) for key, value in asdict(self).items()}
        return {key: value for key, value in row.items() if value or key not in ("draws", "series")}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Record":
        row = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        return cls(**row)


@dataclass
class Ledger:
    """The records and the claims, in memory."""

    records: dict[str, Record] = field(default_factory=dict)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)

    def record(self, name: str) -> Record:
        """One record by name.

        Raises:
            ValueError: there is none; the message gives the nearest name.
        """
        if name not in self.records:
            if not self.records:
                raise ValueError(f"record: got {name!r}, and nothing has been measured yet (make evidence)")
            near = [known for known in self.records if known.split("/")[0] == name.split("/")[0]]
            choose(name, near or self.records, "record")
        return self.records[name]

    def write(self, path: Path) -> None:
        """Write the ledger: all of it or, if this process is killed meanwhile, nothing."""
        for name in (*self.records, *self.claims):
            if not NAME.fullmatch(name):
                raise ValueError(f"name: got {name!r}, takes lower-case letters, digits and / - _ . =")
        records = {name: record.as_json() for name, record in self.records.items()}
        write_atomically(path, _format({"records": records, "claims": self.claims}) + "\n")


def read(path: Path | None = None) -> Ledger:
    """The ledger at `path` (default: the course's own); an empty one if there is no such file."""
    path = path or folder() / "results.json"
    if not path.exists():
        return Ledger()
    tree = json.loads(path.read_text(encoding="utf-8"))
    return Ledger({name: Record.from_json(row) for name, row in tree["records"].items()}, tree["claims"])


def folder() -> Path:
    """Where the notebooks are: in a checkout, in the wheel, or where SSLAB_NOTEBOOKS says."""
    if "SSLAB_NOTEBOOKS" in os.environ:
        return Path(os.environ["SSLAB_NOTEBOOKS"])
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent / "notebooks"
    return checkout if (checkout / "source").is_dir() else package / "_notebooks"


def write_atomically(path: Path, text: str) -> None:
    """Write `text` beside `path` and then move it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _tidy(value: Any) -> Any:
    """Numbers with 6 significant digits, so that a rerun's noise in the last bits makes no diff."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    return value


def _format(tree: Any, depth: int = 0) -> str:
    """JSON with sorted keys, one line a fact: only the first three levels are broken into lines."""
    if depth == 3 or not isinstance(tree, dict) or not tree:
        return json.dumps(tree, sort_keys=True, ensure_ascii=False, allow_nan=False)
    pad = "  " * (depth + 1)
    rows = [f"{pad}{json.dumps(key)}: {_format(tree[key], depth + 1)}" for key in sorted(tree)]
    return "{\n" + ",\n".join(rows) + "\n" + "  " * depth + "}"
