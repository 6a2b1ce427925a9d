"""Arguments are checked at the door: `@takes(...)` refuses what a function cannot use, by the argument's name.

What is inside then computes with what it was written for, and an error from deep inside torch is a bug, not an answer.
"""

import functools
import inspect
import math
import numbers
import operator
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
WORDS = {">": "above {}", ">=": "of {} or more", "<": "below {}", "<=": "of {} or less"}
DTYPES = {"float": lambda t: t.is_floating_point(),
          "int": lambda t: not t.is_floating_point() and not t.is_complex() and t.dtype != torch.bool,
          "bool": lambda t: t.dtype == torch.bool,
          "number": lambda t: not t.is_complex() and t.dtype != torch.bool,
          "images": lambda t: t.is_floating_point() or t.dtype == torch.uint8}
TENSOR = r"(\w+) \[(.*)\]"                                          # a rule for tensors: dtype and shape
TAKES = {"float": "floats", "int": "whole numbers", "bool": "bool", "number": "numbers", "images": "uint8 or floats"}


def takes(**rules: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Check a function's arguments, by its annotations and these rules, before it runs.

    A rule is named after an argument, or after a dimension of the tensors.

        @takes(z1="float [B, D]", z2="float [B, D]", temperature="> 0", B=">= 2")
        def loss(z1: Tensor, z2: Tensor, temperature: float = 0.5) -> Tensor: ...

    Of tensors: float, int, bool, number (float or int) or images (uint8 or float), and the shape, where a letter is one size
    in all of them, `_` any size and `...` any number of dimensions; a rule for a list holds for each tensor in it.
    Dimensions have a size of 1 or more without a rule. Of numbers: comparisons, as in "> 0, <= 1".
    Only types, shapes and Python's numbers are looked at: a GPU is not waited for.

    Raises:
        TypeError: (when called) an argument of another type, or a tensor of another dtype; the message names it.
        ValueError: (when called) a shape that does not fit, a number out of its range, or one that is not whole; it is named.
    """
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)
        arguments = {name: rule for name, rule in rules.items() if name in signature.parameters}
        sizes = {name: rule for name, rule in rules.items() if name not in arguments}
        single = {name: one for name, one in signature.parameters.items() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
        least = getattr(function, "least", torch.float16)            # `full_precision` raises what is less

        @functools.cache
        def hints() -> dict[str, Any]:
            return {name: hint for name, hint in get_type_hints(inspect.unwrap(function)).items() if name in single}

        @functools.wraps(function)
        def checked(*values: Any, **named: Any) -> Any:
            given = signature.bind(*values, **named).arguments
            for name, hint in hints().items():
                if name in given and given[name] is not single[name].default:
                    check_type(name, given[name], hint)
            _check_rules(arguments, sizes, given, least)
            return function(*values, **named)

        return checked

    return decorate


def check_number(name: str, value: Any, rule: str = "", whole: bool = False) -> None:
    """Refuse what is no number, NaN, or out of a range such as "> 0, <= 1".

    Raises:
        TypeError: no number, or no whole one where `whole`.
        ValueError: out of the range.
    """
    check_type(name, value, int if whole else float)
    if rule and not isinstance(value, Tensor) and not _holds(value, rule):
        raise ValueError(f"{name}: got {value!r}, takes a {'whole ' if whole else ''}number {_in_words(rule)}")


def check_type(name: str, value: Any, hint: Any) -> None:
    """Refuse what is not of a type, such as `Tensor`, `str | None` or `list[int]`.

    Raises:
        TypeError: the message names the argument, what it got and what it takes.
        ValueError: NaN, or a number that is not whole where a whole one is taken.
    """
    if not _is(value, hint):
        kind = ValueError if isinstance(value, numbers.Real) and _is(int(value) if math.isfinite(value) else 0, hint) else TypeError
        raise kind(f"{name}: got {_shown(value)}, takes {_called(hint)}")
    if isinstance(value, numbers.Real) and math.isnan(value):
        raise ValueError(f"{name}: got {value!r}, takes a number")


def check_finite(**tensors: Tensor) -> None:
    """Refuse NaN and infinite numbers, where linear algebra would end in an error of its own. A GPU is waited for.

    Raises:
        ValueError: the message names the argument.
    """
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name}: got NaN or infinite numbers, takes finite ones")


def check_classes(name: str, labels: Tensor, count: int | None = None) -> None:
    """Refuse classes below 0, or from `count` up. A GPU is waited for.

    Raises:
        ValueError: the message names the argument.
    """
    low, high = (int(labels.min()), int(labels.max())) if labels.numel() else (0, 0)
    if low < 0 or (count is not None and high >= count):
        raise ValueError(f"{name}: got classes from {low} to {high}, takes 0 or more" + (f" and below {count}" if count else ""))


def is_whole(tensor: Tensor) -> bool:
    """Are these whole numbers, of whatever size?"""
    return DTYPES["int"](tensor)


# ---- types

def _is(value: Any, hint: Any) -> bool:
    """Is a value of an annotated type? Of what no annotation says, everything is."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is(value, part) for part in parts)
    if hint is Any or isinstance(hint, str):
        return True
    if hint in (None, type(None)):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        return (isinstance(value, numbers.Real) and not isinstance(value, bool)) or _is_scalar(value)
    if origin is Callable:
        return callable(value)
    if origin is tuple and Ellipsis not in parts:
        return isinstance(value, (tuple, list)) and len(value) == len(parts) and all(map(_is, value, parts))
    if origin in (list, tuple, Sequence):                            # a list or a tuple, whichever is written
        return (isinstance(value, (list, tuple, range)) or (origin is Sequence and isinstance(value, Sequence))
                ) and (not isinstance(value, str)) and all(_is(one, parts[0]) for one in value)
    if origin is Iterable:
        return isinstance(value, Iterable) and not isinstance(value, str)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _is_scalar(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 0 and not value.is_complex() and value.dtype != torch.bool


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, (list, tuple)) and any(isinstance(one, Tensor) for one in value):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"a value of type {type(value).__name__}"


def _called(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_called, parts))
    plain = {None: "None", type(None): "None", bool: "True or False", int: "a whole number", float: "a number", str: "a text",
             Tensor: "a tensor", Path: "a path"}
    if hint in plain:
        return plain[hint]
    if origin is Callable:
        return "a function"
    if origin is tuple and Ellipsis not in parts:
        return f"a tuple of {len(parts)}"
    if origin in (list, tuple, Sequence, Iterable):
        many = {Tensor: "tensors", int: "whole numbers", float: "numbers", str: "texts"}.get(parts[0], "values")
        return f"a list of {many}"
    if origin in (dict, Mapping):
        return "a dict"
    return getattr(hint, "__name__", str(hint))


# ---- rules

def _check_rules(arguments: dict[str, str], sizes: dict[str, str], given: Mapping[str, Any], least: torch.dtype) -> None:
    shaped = [name for name, rule in arguments.items() if "[" in rule and isinstance(given.get(name), (Tensor, list, tuple))]
    found: dict[str, int] = {}
    for name in shaped:
        dtype, shape = re.fullmatch(TENSOR, arguments[name]).groups()
        value = given[name]
        if isinstance(value, (list, tuple)) and not value:
            raise ValueError(f"{name}: got none, takes one or more of {TAKES[dtype]} [{shape}]")
        for tensor in [value] if isinstance(value, Tensor) else value:
            if not DTYPES[dtype](tensor):
                raise TypeError(f"{name}: got {_shown(tensor)}, takes {TAKES[dtype]} [{shape}]")
            if not _fits(tensor.shape, shape.split(", ") if shape else [], found):
                raise ValueError(_misfit(shaped, arguments, given))
    floats = [name for name in shaped if isinstance(given[name], Tensor) and arguments[name].startswith("float [") and given[name].ndim]
    if len({torch.promote_types(given[name].dtype, least) for name in floats}) == 2:
        raise TypeError(f"{', '.join(floats)}: got {' and '.join(_shown(given[name]) for name in floats)}, takes one dtype")
    for size, count in found.items():
        if not _holds(count, sizes.get(size, ">= 1")):
            raise ValueError(_misfit([name for name in shaped if re.search(rf"\b{size}\b", arguments[name])], arguments, given)
                             + f", {size} {_in_words(sizes.get(size, '>= 1'))}")
    for name, rule in arguments.items():
        value = given.get(name)
        if isinstance(value, numbers.Real) and not (math.isfinite(value) if "[" in rule else _holds(value, rule)):
            raise ValueError(f"{name}: got {value!r}, takes a {'' if math.isfinite(value) else 'finite '}number {_in_words(rule)}".rstrip())


def _fits(shape: Sequence[int], wanted: list[str], found: dict[str, int]) -> bool:
    if "..." in wanted:
        at = wanted.index("...")
        wanted = wanted[:at] + ["_"] * (len(shape) - len(wanted) + 1) + wanted[at + 1:]
    if len(shape) != len(wanted):
        return False
    return all(found.setdefault(name, size) == size if name.isalpha() else name == "_" or int(name) == size
               for size, name in zip(shape, wanted, strict=True))


def _misfit(names: list[str], arguments: dict[str, str], given: Mapping[str, Any]) -> str:
    got = [_shapes(given[name]) for name in names]
    wanted = [arguments[name].split(" ", 1)[1] for name in names]
    twice = len(set(wanted)) == 1 and len(wanted) == 2
    return (f"{', '.join(names)}: got shape{'s' * (len(got) > 1)} {' and '.join(got)}, takes "
            + (f"{wanted[0]} twice" if twice else " and ".join(wanted)))


def _shapes(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else " ".join(str(list(one.shape)) for one in value)


def _holds(value: Any, rule: str) -> bool:
    return math.isfinite(value) and all(COMPARE[sign](value, float(limit)) for sign, limit in map(str.split, rule.split(", ")))


def _in_words(rule: str) -> str:
    if "[" in rule:
        return ""
    if ends := re.fullmatch(r">= (\S+), <= (\S+)", rule):
        return f"from {ends[1]} to {ends[2]}"
    return " and ".join(WORDS[sign].format(limit) for sign, limit in map(str.split, rule.split(", ")))
