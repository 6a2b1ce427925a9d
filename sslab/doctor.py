"""What `sslab doctor` finds out: one fact a line, each ok, warn or broken."""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

OLDEST_PYTHON = (3, 11)
KERNEL = ((7, 1), (7, 4))                        # from, below: as pyproject.toml says, and why there


@dataclass(frozen=True)
class Fact:
    """state: "ok"; "warn", works but not as meant; "broken", the lab will fail."""

    state: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:<6}  {self.name:<11} {self.text}"


def examine() -> Iterator[Fact]:
    """Every fact in turn. A check that fails by itself is a fact too: it is broken, and the others still run."""
    checks = {"python": _python, "torch": _torch, "cores": _cores, "precision": _precision, "ipykernel": _kernel,
              "jupyter": _jupyter, "kernelspec": _kernelspec, "data": _data}  # fmt: skip
    for name, check in checks.items():
        try:
            state, text = check()
        except Exception as error:               # noqa: BLE001  a doctor examines the ill
            state, text = "broken", f"{type(error).__name__}: {error}"
        yield Fact(state, name, text)


def _python() -> tuple[str, str]:
    new_enough = sys.version_info >= OLDEST_PYTHON
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"
    return ("ok", text) if new_enough else ("broken", f"{text}; sslab needs {'.'.join(map(str, OLDEST_PYTHON))} or newer")


def _torch() -> tuple[str, str]:
    import torch

    from sslab.training.devices import describe, pick_device

    return "ok", f"{torch.__version__}, trains on {describe(pick_device())}"


def _cores() -> tuple[str, str]:
    import torch

    from sslab.training.devices import cpu_limit, limit_threads

    found, limit, threads = os.cpu_count(), cpu_limit(), limit_threads()
    text = f"{found} in this machine, {limit} for this process (affinity, container), torch uses {threads} threads"
    return ("ok", text) if torch.get_num_threads() <= limit else ("warn", text + ": more than it may, so slow")


def _precision() -> tuple[str, str]:
    import torch

    from sslab import encoders
    from sslab.training.devices import choose_precision

    encoder = encoders.create("conv", (1, 28))
    sample = torch.randint(0, 256, (256, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    chosen = choose_precision(encoder, sample)
    layout = " channels_last" if chosen.channels_last else ""
    rate = f"{chosen.views_per_second:,.0f} views/s forward and backward of the conv encoder on 28x28"
    return "ok", f"{chosen.name}{layout}, {rate}"


def _kernel() -> tuple[str, str]:
    found = version("ipykernel")
    number = tuple(int(part) for part in found.split(".")[:2])
    if number >= KERNEL[1]:
        return "warn", f"{found}: from 7.4 on, a slider moved while a cell runs is handled only after it; use <7.4"
    if number < KERNEL[0]:
        return "warn", f"{found}: older than 7.1, the live lab was not made for it; use >=7.1,<7.4"
    return "ok", found


def _jupyter() -> tuple[str, str]:
    found, missing = [], []
    for name in ("jupyterlab", "ipywidgets", "anywidget"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return "broken", f"{', '.join(missing)} not installed; pip install {' '.join(missing)}"
    return "ok", ", ".join(found)


def _kernelspec() -> tuple[str, str]:
    """Does a notebook's "python3" run this Python? A user's own kernelspec of that name may come first."""
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")          # as `sslab lab` sets it
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    program = spec.argv[0]
    folder = os.path.dirname(program)            # Jupyter puts its own Python where a spec says only "python"
    if not folder or os.path.abspath(folder) == os.path.abspath(os.path.dirname(sys.executable)):
        return "ok", "notebooks run this Python"
    return "warn", f"notebooks run {program}, not this Python: see {spec.resource_dir}"


def _data() -> tuple[str, str]:
    from sslab.datasets import verify

    problems = verify()
    if not problems:
        return "ok", "every bundled file has its checksum"
    return "broken", "; ".join(f"{file}: {problem}" for file, problem in problems)
