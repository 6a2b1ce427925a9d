"""The engine of checks: compares a student's function with ours and, where they differ, finds out why.

A check is a declaration: our function, the same function with switches for what people get wrong, inputs, and
for each mistake its name, its switches and a hint. The student's numbers are compared with the right ones,
then with those of each mistake, then with those of each two mistakes at once.
"""

import contextlib
import contextvars
import html
import itertools
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sslab.lab import sharing

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Misconception:
    """A mistake: its name, the switches that make it, and a hint that does not give the answer away."""

    name: str
    switches: dict[str, Any]
    hint: str


@dataclass(frozen=True)
class Result:
    """What a check found. `misconception` is the mistake's name where it was recognised, else None."""

    function: str
    passed: bool
    headline: str
    misconception: str | None = None
    hint: str = ""
    convention: str = ""
    written: bool = True                                             # False: the student has not begun
    shared: str = ""                                                 # that it was sent to the class's folder, in words

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return "\n".join(filter(None, [f"{self.function}: {self.headline}", self.hint, self.convention, self.shared]))

    def _repr_html_(self) -> str:
        colour = "#009E73" if self.passed else "#D55E00" if self.written else "#999999"
        body = "".join(f"<p>{html.escape(text)}</p>" for text in (self.hint, self.convention, self.shared) if text)
        return (f'<div style="border-left: 4px solid {colour}; padding-left: 0.8em"><p><strong>'
                f"{html.escape(self.function)}: {html.escape(self.headline)}</strong></p>{body}</div>")


@dataclass(frozen=True)
class Check:
    """A check of one function; call it with the student's.

    function: its name.
    convention: what is expected, in a sentence or two; always shown.
    reference: the right function.
    wrong: the same with keyword switches; without any it equals the reference.
    misconceptions: tried in this order.
    cases: makes the inputs, a list of argument tuples.
    extreme: inputs on which a careless implementation overflows or divides by zero, with what to say then.
    differentiable: the value must carry the right gradient to its tensor arguments, or to those at these
        positions.
    promises: what must hold beside the value: a mistake, and a test of (function, arguments) that is true where
        it is made. Tried in this order, once the values are right.
    stumble: what it means if the first inputs go well and later ones raise.
    shapes: a sentence on what goes in and comes out.
    """

    function: str
    convention: str
    reference: Callable[..., Any]
    wrong: Callable[..., Any]
    misconceptions: Sequence[Misconception]
    cases: Callable[[], list[tuple]]
    extreme: tuple[Callable[[], list[tuple]], Misconception] | None = None
    differentiable: bool | Sequence[int] = False
    promises: Sequence[tuple[Misconception, Callable[[Callable, tuple], bool]]] = ()
    stumble: Misconception | None = None
    shapes: str = ""

    def __call__(self, student: Callable[..., Any]) -> Result:
        """Check `student`; shows itself in a notebook and never raises, except under SSLAB_CHECKS=strict."""
        result = told_to_class(self.diagnose(student))
        if os.environ.get("SSLAB_CHECKS") == "strict" and not result.passed:
            raise AssertionError(repr(result))
        return result

    def diagnose(self, student: Callable[..., Any]) -> Result:
        """What is right or wrong with `student`."""
        if not callable(student):
            return self._fails(f"takes your function, got {type(student).__name__}",
                               hint=f"Hand over the function, without brackets: check.{self.function}(mine).")
        cases = self.cases()
        given, error = _tried(lambda: [student(*_copies(case)) for case in cases])
        if isinstance(error, RuntimeError) and "type" in str(error):     # float32 made on the way meets float64
            cases = [tuple(x.float() if isinstance(x, Tensor) and x.is_floating_point() else x for x in case)
                     for case in cases]
            given, error = _tried(lambda: [student(*_copies(case)) for case in cases])
        if error is not None:
            if self.stumble and _tried(lambda: student(*_copies(cases[0])))[1] is None:
                return self._fails(self.stumble.name, self.stumble.name,
                                   f"{self.stumble.hint} ({type(error).__name__}: {error})")
            return self._broken(error, cases[0])
        if all(value is None for value in given) and any(changes(student, cases[0])):
            return self._fails("it changes its input and returns nothing", "nothing is returned",
                               "End with return and the new value.")
        if any(value is None or value is ... or value is NotImplemented for value in given):
            return self._unwritten()
        try:
            values = [_plain(value) for value in given]
        except (TypeError, ValueError, RuntimeError):
            return self._fails(f"returned {type(given[0]).__name__}, which is not numbers", hint=self.shapes)
        right = [_plain(self.reference(*_copies(case))) for case in cases]
        if not _all_same(values, right):
            return self._explain(values, right, cases)
        for look in (lambda: self._promises(student, cases[0]), lambda: self._gradient(student, cases[0]),
                     lambda: self._extreme(student)):
            found = look()
            if found is not None:
                return found
        return Result(self.function, True, "passed. Yours gives what ours gives.", convention=self.convention)

    def _explain(self, values: list[Tensor], right: list[Tensor], cases: list[tuple]) -> Result:
        """The mistake, or the two mistakes, that give the student's numbers."""
        known = list(self.misconceptions)
        for some in itertools.chain(((one,) for one in known), itertools.combinations(known, 2)):
            switches = {key: value for one in some for key, value in one.switches.items()}
            if len(switches) < sum(len(one.switches) for one in some):
                continue                                             # two mistakes in the same place
            if _all_same(values, [_attempt(self.wrong, case, switches) for case in cases]):
                name = " and ".join(one.name for one in some)
                return self._fails(name, name, " ".join(one.hint for one in some))
        return self._unknown(values, right)

    def _unknown(self, values: list[Tensor], right: list[Tensor]) -> Result:
        """No mistake we know: say what can be said about the numbers."""
        for yours, ours in zip(values, right, strict=True):
            if yours.shape != ours.shape:
                headline = f"returned shape {list(yours.shape)}, expected {list(ours.shape)}"
                return self._fails(headline, hint=self.shapes)
        if not all(value.isfinite().all() for value in values):
            return self._fails("not finite", hint="Look for a logarithm of 0, an exponential of a large "
                                                  "number or a division by 0.")
        ratios = torch.cat([(a / b).flatten() for a, b in zip(values, right, strict=True)])
        if ratios.isfinite().all() and (ratios - ratios[0]).abs().max() < TOLERANCE:
            return self._fails(f"{ratios[0]:.4g} times the expected value, on every input",
                               hint="A constant factor is missing or too many.")
        gaps = torch.cat([(a - b).flatten() for a, b in zip(values, right, strict=True)])
        if (gaps - gaps[0]).abs().max() < TOLERANCE:
            return self._fails(f"off by {gaps[0]:+.4g}, on every input",
                               hint="A constant term is missing or too many.")
        yours, ours = values[0], right[0]
        at = int((yours - ours).abs().argmax())
        return self._fails("not the expected value, and no mistake that we know",
                           hint=f"On the first input yours is {float(yours.flatten()[at]):.4f} where "
                                f"{float(ours.flatten()[at]):.4f} is expected. Try B = 2 by hand.")

    def _promises(self, student: Callable, case: tuple) -> Result | None:
        """None if everything holds that must hold beside the value."""
        for what, made in self.promises:
            found, error = _tried(lambda made=made: made(student, case))
            if error is not None:
                return self._broken(error, case)
            if found:
                return self._fails(what.name, what.name, what.hint)
        return None

    def _gradient(self, student: Callable, case: tuple) -> Result | None:
        """None if the value carries the right gradient."""
        if not self.differentiable:
            return None
        at = range(len(case)) if self.differentiable is True else self.differentiable
        got, error = _tried(lambda: _gradients(student, case, at))
        if error is not None:                                        # such as a change of an input in place
            return self._fails("the value is right, the gradient cannot be taken", "no gradient",
                               f"{type(error).__name__}: {error}. Change no input in place.")
        if got is None:
            return self._fails("the value is right, and it carries no gradient", "detached",
                               "Nothing would be learned: look for .item(), .detach(), float() or no_grad.")
        if not _all_same(got, _gradients(self.reference, case, at)):
            return self._fails("the value is right, the gradient is not", "part of it is detached",
                               "Part of the computation is cut off: look for .detach(), .data or no_grad.")
        return None

    def _extreme(self, student: Callable) -> Result | None:
        """None if the function keeps its head on extreme inputs."""
        if self.extreme is None:
            return None
        cases, what = self.extreme[0](), self.extreme[1]
        values, error = _tried(lambda: [_plain(student(*_copies(case))) for case in cases])
        if error is not None:
            return self._broken(error, cases[0])
        if not _all_same(values, [_plain(self.reference(*_copies(case))) for case in cases], tolerance=1e-2):
            return self._fails(what.name, what.name, what.hint)
        return None

    def _broken(self, error: Exception, case: tuple) -> Result:
        """The student's code raised."""
        if isinstance(error, NotImplementedError) or "ellipsis" in str(error).lower():
            return self._unwritten()
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename != __file__ and "torch" not in frame.filename]
        place = f" in line {own[-1].lineno}: {own[-1].line}" if own and own[-1].line else ""
        if getattr(error, "place", None) is not None:                # it was raised in the grader's other process
            place = f", in the line: {error.place}" if error.place else ""
        got = ", ".join(str(list(x.shape)) if isinstance(x, Tensor) else str(x) for x in case)
        return self._fails(f"it raised {type(error).__name__}: {error}",
                           hint=f"It was called with {got}{place}. {self.shapes} Print shapes, line by line.")

    def _unwritten(self) -> Result:
        return Result(self.function, False, "not yet written", None,
                      "Fill in the blank, run its cell again, then this one.", self.convention, written=False)

    def _fails(self, headline: str, misconception: str | None = None, hint: str = "") -> Result:
        return Result(self.function, False, headline, misconception, hint, self.convention)


def told_to_class(result: Result) -> Result:
    """The result, sent to the class's folder if the student shares; what they have not begun is not sent."""
    if not result.written:
        return result
    return replace(result, shared=sharing.send("check", function=result.function, passed=result.passed,
                                               misconception=result.misconception))


_DRAW = contextvars.ContextVar("draw", default=0)


@contextlib.contextmanager
def drawn(number: int):
    """Inside, every check makes other inputs: those of this draw. Grading takes a number that nobody could foresee."""
    token = _DRAW.set(number)
    try:
        yield
    finally:
        _DRAW.reset(token)


def generator(seed: int) -> torch.Generator:
    """A seeded generator for a check's inputs."""
    return torch.Generator().manual_seed(seed + _DRAW.get())


def changes(function: Callable, case: tuple) -> list[bool]:
    """For each argument whether a call changes it in place."""
    given = _copies(case)
    function(*given)
    return [isinstance(x, Tensor) and not torch.equal(x, y) for x, y in zip(case, given, strict=True)]


def reaches(function: Callable, case: tuple, position: int) -> bool:
    """Whether what the function returns carries a gradient to the argument at `position`."""
    given = list(_copies(case))
    given[position] = given[position].requires_grad_().clone()       # a clone may be changed in place
    value = function(*given)
    parts = value if isinstance(value, (tuple, list)) else [value]
    return any(isinstance(x, Tensor) and x.requires_grad for x in parts)


def _tried(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What `work` gives, or what it raised: whatever a student's code raises is shown, not passed on."""
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001
        return None, error


def _copies(case: tuple, gradient: bool = False) -> tuple:
    """The arguments again, so that no call sees what another did to them."""
    return tuple(x.detach().clone().requires_grad_(gradient and x.is_floating_point()) if isinstance(x, Tensor) else x for x in case)


def _plain(value: Any) -> Tensor:
    """A result as a float64 tensor; [1] counts as a scalar, rows make a matrix, a queue and a pointer one row."""
    if isinstance(value, (tuple, list)) and any(isinstance(x, Tensor) and x.ndim for x in value):
        parts = [_plain(x) for x in value]
        same = all(x.shape == parts[0].shape for x in parts)
        return torch.stack(parts) if same else torch.cat([x.flatten() for x in parts])
    value = torch.as_tensor(value).detach().double().cpu()
    return value.reshape(()) if value.numel() == 1 else value


def _attempt(wrong: Callable, case: tuple, switches: dict[str, Any]) -> Tensor | None:
    """What a mistake gives; None where it (two at once, perhaps) cannot be computed."""
    try:
        return _plain(wrong(*_copies(case), **switches))
    except (RuntimeError, ValueError, IndexError):
        return None


def _all_same(left: Sequence[Tensor], right: Sequence[Tensor | None], tolerance: float = TOLERANCE) -> bool:
    return all(b is not None and a.shape == b.shape
               and torch.allclose(a, b, tolerance, tolerance, equal_nan=True)
               for a, b in zip(left, right, strict=True))


def _gradients(function: Callable, case: tuple, positions: Sequence[int]) -> list[Tensor] | None:
    """The gradient of the result's sum for the tensors at these positions; None if it carries none."""
    inputs = _copies(case, gradient=True)
    leaves = [inputs[at] for at in positions if isinstance(inputs[at], Tensor)]
    value = function(*(x.clone() if isinstance(x, Tensor) else x for x in inputs))
    if not isinstance(value, Tensor) or not value.requires_grad:
        return None
    found = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    if all(g is None for g in found):
        return None
    return [(torch.zeros_like(x) if g is None else g).double() for g, x in zip(found, leaves, strict=True)]
