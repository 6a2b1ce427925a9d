"""The commands that outgrow a notebook: train, evaluate, export. Each loads what is heavy when it runs."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import click

# Arguments of the library that the command line calls otherwise than --the-same.
OPTIONS = {"objective": "OBJECTIVE", "knob": "--set", "path": "--data", "name": "--data", "size": "--data-option size",
           "sheets": "--data-option sheets", "data_options": "--data-option", "run": "RUN", "checkpoint": "RUN"}
_SAME = ("data", "encoder", "epochs", "steps", "batch_size", "seed", "learning_rate", "weight_decay", "warmup", "precision",
         "checkpoint_every", "labels", "draws", "neighbours")


class Mistake(click.ClickException):
    """What a person asked cannot be done: one sentence, exit code 2."""

    exit_code = 2


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Errors of the library about what a person asked, as a Mistake that speaks of options."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise Mistake(in_options(str(error))) from None


def in_options(text: str) -> str:
    """"batch_size: got 0 ..." -> "--batch-size: got 0 ..."."""
    match = re.match(r"(\w+):", text)
    if match is None:
        return text
    return OPTIONS.get(match[1], f"--{match[1].replace('_', '-')}" if match[1] in _SAME else match[1]) + text[match.end() - 1:]


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """("a=1", "b=x") -> {"a": "1", "b": "x"}; of two values for one name the last counts."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise Mistake(f"{option}: got {text!r}, takes NAME=VALUE, such as {option} {_EXAMPLES[option]}")
        found[name.strip().replace("-", "_")] = value.strip()
    return found


_EXAMPLES = {"--set": "temperature=0.2", "--data-option": "size=64"}
_SWITCH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


def parse_knobs(knobs: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """Knobs as a person wrote them -> values, each by the kind of its knob.

    Raises:
        Mistake: no such knob (the nearest is named), or a value that it does not take (its range is named).
    """
    from sslab._names import choose

    values = {}
    for name, text in texts.items():
        try:
            knob = knobs[choose(name, knobs, "--set")]
            if knob.kind == "switch":
                if text.lower() not in _SWITCH:
                    raise ValueError(f"{name}: got {text!r}, takes on or off")
                values[name] = _SWITCH[text.lower()]
            else:
                values[name] = knob.check(text)
        except ValueError as error:
            said = str(error)
            raise Mistake(said if said.startswith("--set") else f"--set {said}") from None
    return values


def parse_device(text: str | None):
    """A device that is there.

    Raises:
        Mistake: no such device on this machine.
    """
    import torch

    from sslab.training import pick_device

    if text is None:
        return pick_device()
    try:
        device = torch.device(text)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Mistake(f"--device: got {text!r}, which cannot be used here ({why}); leave it out, and {pick_device().type} is used") from None
    return device


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """"1,5,20" -> (1, 5, 20), each above 0."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise Mistake(f"{option}: got {text!r}, takes whole numbers above 0 with commas between, such as 1,5,20,100")
    return tuple(sorted(set(numbers)))
