"""sslab: learn self-supervised learning by doing."""

import importlib
import os
from typing import Any

# Threads of torch that wait for each other shall soon sleep, not spin: while they spin, a browser or any other process on
# the same cores slows training many times over. Costs 6 % on a quiet machine; counts only where torch is not loaded yet.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__version__ = "0.1.0"

_PARTS = ("course", "datasets", "encoders", "evaluation", "figures", "lab", "objectives", "report", "testing", "training", "views")
_NAMES = {"train": "training", "recipe": "training", "pretrained": "training", "load": "datasets", "Lab": "lab", "Objective": "objectives",
          "mode": "modes", "by_mode": "modes"}


def __getattr__(name: str) -> Any:                                   # parts load when they are used
    if name in _PARTS:
        return importlib.import_module(f"sslab.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"sslab.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'sslab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_PARTS, *_NAMES, "__version__"])
