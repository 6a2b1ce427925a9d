"""Evidence: the functions that measure what the course states, run seed by seed and resumable.

    @evidence("07/temperature", seeds=range(3), version=1, unit="accuracy", temperature=(0.05, 0.5, 5.0))
    def temperature(seed, temperature):
        return {"accuracy": 0.83, "seconds": (41.0, "s"), "loss": {"step": [...], "loss": [...]}}

makes the records 07/temperature/0.05/accuracy and so on. One call, for one seed and one combination of
arguments, is a unit; a finished unit lies in runs/evidence/, so that a killed run goes on with the next one.
"""

import itertools
import json
import math
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslab.course.ledger import NAME, Ledger, Record, folder, write_atomically
from sslab.modes import mode


@dataclass(frozen=True)
class Unit:
    """One call of an evidence function."""

    evidence: "Evidence"
    arguments: tuple[tuple[str, Any], ...]
    seed: int

    @property
    def prefix(self) -> str:
        """What its records' names start with."""
        return "/".join([self.evidence.name, *(str(value) for _, value in self.arguments)])

    def file(self, cache: Path) -> Path:
        name = f"seed{self.seed}.v{self.evidence.version}.json"
        return cache / mode() / self.prefix.replace("/", "__") / name

    def measure(self) -> dict[str, Any]:
        """Call the function and keep what it gave, how long it took and where it ran."""
        start = time.perf_counter()
        results = self.evidence.function(seed=self.seed, **dict(self.arguments))
        seconds = time.perf_counter() - start
        rows = {key: self._row(key, value) for key, value in results.items()}
        return {"results": rows, "seconds": seconds, **where()}

    def _row(self, key: str, value: Any) -> dict[str, Any]:
        """One result as JSON: a value with its unit, or columns."""
        name = record_name(self.prefix, key)
        if isinstance(value, dict):
            return {"series": {column: [float(x) for x in values] for column, values in value.items()}}
        value, unit = value if isinstance(value, tuple) else (value, self.evidence.unit)
        draws = [float(x) for x in value] if isinstance(value, (list, range)) else [float(value)]
        if not draws or not all(map(math.isfinite, draws)):
            raise ValueError(f"{name}, seed {self.seed}: got {value!r}, takes finite numbers")
        return {"value": statistics.fmean(draws), "unit": unit}


@dataclass(frozen=True)
class Evidence:
    """A function and the grid of seeds and arguments it is called on."""

    name: str
    function: Callable[..., dict[str, Any]]
    seeds: tuple[int, ...]
    version: int
    unit: str
    grid: dict[str, tuple]

    def groups(self) -> Iterator[list[Unit]]:
        """The units that share a record: one list, over the seeds, for every combination of arguments."""
        for values in itertools.product(*self.grid.values()):
            arguments = tuple(zip(self.grid, values, strict=True))
            yield [Unit(self, arguments, seed) for seed in self.seeds]


_DEFINED: dict[str, Evidence] = {}


def evidence(name: str, *, seeds: Iterable[int] = (0,), version: int = 1, unit: str = "", **grid: Iterable):
    """Make the decorated function, (seed, **arguments) -> {key: result}, evidence.

    A result is a number, a list of numbers (averaged), (number or list, unit), or a curve: a dict of columns
    (the record's value is then the last number of the last one).

    Args:
        name: what its records' names start with, "NN/what".
        seeds: pretraining seeds, the unit of the intervals.
        version: raise it when what the function measures changes: units of older versions are not used.
        unit: of the results that name none.
        grid: argument -> the values it takes.
    Raises:
        ValueError: the name lies under that of other evidence, or it under this: records could clash.
    """
    for other in _DEFINED:
        if other != name and (_is_under(name, other) or _is_under(other, name)):
            raise ValueError(f"evidence: got {name!r}, and there is {other!r}; one lies under the other")

    def decorate(function: Callable) -> Callable:
        values = {key: tuple(options) for key, options in grid.items()}
        _DEFINED[name] = Evidence(name, function, tuple(seeds), version, unit, values)
        return function

    return decorate


def defined(names: Iterable[str] = ()) -> list[Evidence]:
    """All evidence in order, or what starts with one of `names` ("07", "07/temperature").

    Raises:
        ValueError: nothing starts with a name.
    """
    from sslab.course import lessons

    lessons.load()
    names = tuple(names)
    for name in names:
        if not any(_is_under(known, name) for known in _DEFINED):
            known = ", ".join(sorted(_DEFINED)) or "(none defined)"
            raise ValueError(f"evidence: got {name!r}, takes one of {known}")
    return [_DEFINED[known] for known in sorted(_DEFINED)
            if not names or any(_is_under(known, name) for name in names)]


def make(chosen: Iterable[Evidence], ledger: Ledger, force: bool = False, cache: Path | None = None,
         say: Callable[[str], None] = print) -> Iterator[None]:
    """Run what is missing and put the records into `ledger`; yields after each group, for the caller to save.

    Args:
        chosen: the evidence to run.
        ledger: gets the records; records under the same evidence that are no longer made are dropped.
        force: measure again what is already in the cache.
        cache: where finished units lie; default runs/evidence/ in the checkout.
        say: gets a line for every unit.
    """
    cache = cache or folder().parent / "runs" / "evidence"
    for one in chosen:
        made: dict[str, Record] = {}
        for units in one.groups():
            finished = {}
            for unit in units:
                finished[unit.seed] = finish(unit, unit.file(cache), force, say)
            made |= records(units[0], finished)
            ledger.records |= made
            yield
        for name in [name for name in ledger.records if _is_under(name, one.name) and name not in made]:
            del ledger.records[name]
        yield


def where() -> dict[str, Any]:
    """Mode, device, versions and commit: what a record says about how it was made."""
    import torch

    import sslab
    from sslab.training import pick_device

    device = pick_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    versions = {"python": platform.python_version(), "torch": torch.__version__, "sslab": sslab.__version__}
    return {"mode": mode(), "device": name, "versions": versions, "commit": _commit()}


def record_name(prefix: str, key: str) -> str:
    """The name of a record.

    Raises:
        ValueError: it has a character that names do not take.
    """
    name = f"{prefix}/{key}" if key else prefix
    if not NAME.fullmatch(name):
        raise ValueError(f"record: got {name!r}, takes lower-case letters, digits and / - _ . =")
    return name


def finish(unit: Unit, file: Path, force: bool = False, say: Callable[[str], None] = print) -> dict[str, Any]:
    """A unit's results: from the cache, or measured now."""
    if file.exists() and not force:
        say(f"{unit.prefix} seed {unit.seed}: kept")
        return json.loads(file.read_text(encoding="utf-8"))
    say(f"{unit.prefix} seed {unit.seed}: running")
    row = unit.measure()
    write_atomically(file, json.dumps(row, indent=1, sort_keys=True) + "\n")
    say(f"{unit.prefix} seed {unit.seed}: {row['seconds']:.1f} s")
    return row


def records(unit: Unit, finished: dict[int, dict[str, Any]]) -> dict[str, Record]:
    """The records of one group: value, interval and curves over the seeds."""
    last = list(finished.values())[-1]
    facts = {key: last[key] for key in ("mode", "device", "versions", "commit")}
    seconds = sum(row["seconds"] for row in finished.values())
    records = {}
    for key, first in last["results"].items():
        rows = {seed: row["results"][key] for seed, row in finished.items()}
        name = record_name(unit.prefix, key)
        if "series" in first:
            series = {column: [statistics.fmean(points) for points in
                               zip(*(row["series"][column] for row in rows.values()), strict=True)]
                      for column in first["series"]}
            final = series[list(series)[-1]][-1]
            records[name] = Record(final, seeds=tuple(rows), seconds=seconds, series=series, **facts)
        else:
            records[name] = Record.of({seed: row["value"] for seed, row in rows.items()}, unit=first["unit"],
                                      seconds=seconds, **facts)
    return records


def _is_under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix.rstrip("/") + "/")


def _commit() -> str:
    """The checkout's short commit, "+" after it if files differ from it; "" where there is no checkout."""
    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "-uno", "--", ":(top)", ":(top,exclude)notebooks")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
