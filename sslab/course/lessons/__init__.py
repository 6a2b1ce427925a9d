"""One module a notebook, nbNN.py: how its numbers are made (evidence) and what they must show (claims)."""

import pkgutil
from importlib import import_module


def load() -> None:
    """Import every lesson, so that its evidence and its claims are known."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
