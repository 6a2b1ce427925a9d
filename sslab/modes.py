"""How long the lab may take: SSLAB_MODE is smoke (seconds, for tests), class (minutes, 2 cores) or full (a GPU)."""

import os

from sslab._names import choose

MODES = ("smoke", "class", "full")


def mode() -> str:
    """The mode in force, from the environment variable SSLAB_MODE; "class" when it is not set."""
    return choose(os.environ.get("SSLAB_MODE", "class"), MODES, "SSLAB_MODE")


def by_mode(smoke, class_, full=None):
    """The value for the mode in force; `full` falls back to the value for class."""
    return {"smoke": smoke, "class": class_, "full": class_ if full is None else full}[mode()]
