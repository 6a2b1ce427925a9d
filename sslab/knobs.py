"""A knob is what a person may change while a model trains.

It is declared once, as a class attribute beside the thing it changes:

    class SimCLR(Objective):
        temperature = number(0.5, 0.05, 5.0, log=True, help="Low values look at the hardest negatives only.")

`self.temperature` reads the value in force. The dashboard's sliders, the CLI's `--set temperature=0.1` and the
documentation are all made from the declaration.
"""

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sslab._names import choose


@dataclass(frozen=True)
class Knob:
    """What may be changed: kind is "number", "switch" or "choice"."""

    kind: str
    default: Any
    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False
    options: tuple[str, ...] = ()
    help: str = ""
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)                      # frozen for everybody but the class statement

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else instance.__dict__.get("_values", {}).get(self.name, self.default)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.set(**{self.name: value})

    def check(self, value: Any) -> Any:
        """The value in its own type.

        Raises:
            ValueError: outside of what this knob takes.
        """
        if self.kind == "choice":
            return choose(value, self.options, self.name)
        if self.kind == "switch":
            with suppress(RuntimeError, ValueError):                 # several numbers are neither
                if value in (True, False, 0, 1):                     # 0 and 1 arrive from the command line and from JSON
                    return bool(value)
            raise ValueError(f"{self.name}: got {value!r}, takes True or False")
        try:
            cast = int(value) if self.integer else float(value)
            fits = self.low <= cast <= self.high and (not self.integer or cast == float(value))
        except (TypeError, ValueError, OverflowError):
            fits = False
        if isinstance(value, bool) or not fits:
            kind = "a whole number" if self.integer else "a number"
            raise ValueError(f"{self.name}: got {value!r}, takes {kind} from {self.low:g} to {self.high:g}")
        return cast


def number(default, low, high, log=False, integer=False, help=""):
    """A number from `low` to `high`; `log` asks for a logarithmic slider, `integer` for whole numbers."""
    return Knob("number", int(default) if integer else float(default), low, high, log, integer, help=help)


def switch(default, help=""):
    """On or off."""
    return Knob("switch", bool(default), help=help)


def choice(default, options, help=""):
    """One of some names."""
    return Knob("choice", default, options=tuple(options), help=help)


class Adjustable:
    """What has knobs. `knobs` lists them, `values()` reads them, `set()` changes them, from any thread.

    During a step (`with obj.step():`) changes wait, so that one step never sees two values of one knob.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(_values={}, _waiting={}, _stepping=False, _lock=threading.RLock())
        self.set(**values)

    def __getstate__(self) -> dict[str, Any]:                        # a lock cannot be copied; a copy gets its own
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    @property
    def knobs(self) -> dict[str, Knob]:
        found = {}
        for owner in reversed(type(self).__mro__):
            found.update({name: knob for name, knob in vars(owner).items() if isinstance(knob, Knob)})
        return found

    def values(self) -> dict[str, Any]:
        """The values in force."""
        return {name: getattr(self, name) for name in self.knobs}

    def set(self, **values: Any) -> None:
        """Change knobs, all of them or none.

        Raises:
            ValueError: no such knob, or a value outside of what it takes; nothing is changed then.
        """
        knobs = self.knobs
        checked = {name: knobs[choose(name, knobs, "knob")].check(value) for name, value in values.items()}
        with self._lock:
            (self._waiting if self._stepping else self._values).update(checked)

    @contextmanager
    def step(self):
        """Hold the values for one step; what was set meanwhile takes effect when it ends."""
        with self._lock:
            self._stepping = True
        try:
            yield
        finally:
            with self._lock:
                self._values.update(self._waiting)
                self._waiting.clear()
                self._stepping = False
