"""Runs submitted functions in another process, and looks to a check like any function.

    with Sandbox() as sandbox:
        function = sandbox.function(source, "my_nt_xent")
        check.nt_xent.diagnose(function)

The comparison happens here, in the grader's process. The other process (runner.py) gets inputs and sends back
values; it never sees a right answer, and whatever a submission does to itself, to torch or to the channel can only
make its values wrong.
"""

import builtins
import copy
import io
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from sslab.course.grading import runner
from sslab.course.grading.runner import frame, pack, read_exactly, receive, set_state, state_of, unpack

PACKAGE = Path(__file__).resolve().parents[2]
UNREADABLE = (ValueError, KeyError, TypeError, RecursionError, StopIteration, struct.error, RuntimeError)
MOST_QUESTIONS = 2000                                               # of one submission to the grader's functions


class Sandbox:
    """A process from which submitted functions are forked, one at a time.

    Args:
        seconds: of the CPU that one function may take in all; by the clock it may take ten times as long.
        memory: bytes that it may take beside what torch takes.
    Raises:
        OSError: this system cannot fork (Windows).
    """

    def __init__(self, seconds: int = 20, memory: int = 2 * 2**30) -> None:
        if not hasattr(os, "fork"):
            raise OSError("grading needs fork and resource limits: Linux, macOS or WSL")
        self.seconds, self.memory = seconds, memory
        self._control = self._process = self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def function(self, source: str, name: str, names: dict | None = None) -> "Remote":
        """The function `name` that `source` defines. It lasts until the next one is asked for.

        Args:
            source: Python, only what the function needs.
            name: of the function.
            names: what it may use of sslab: name -> dotted name, or a tree of them.
        Raises:
            Exception: what the definition raises.
        """
        job = {"source": source, "function": name, "names": names or {}, "seconds": self.seconds,
               "memory": self.memory, "path": [str(PACKAGE.parent)] if names else [],
               "hidden": [str(PACKAGE), str(PACKAGE.parent / "notebooks")]}
        if self._open is not None:
            self._open.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._fork(theirs)
        remote = self._open = Remote(ours, self._end_fork, self.seconds)
        try:
            remote.define(job)
        except Exception:
            remote.close()
            raise
        return remote

    def close(self) -> None:
        """End the process, which ends what it forked."""
        if self._process is not None:
            self._control.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _fork(self, theirs: socket.socket) -> None:
        for again in (True, False):
            try:
                if self._process is None:
                    self._start()
                socket.send_fds(self._control, [b"."], [theirs.fileno()])
                read_exactly(1, self._control.recv)
                return
            except (EOFError, OSError):                              # it was ended: a new one, once
                self.close()
                if not again:
                    raise

    def _end_fork(self) -> None:
        """Have the process ended that runs the current function."""
        self._open = None
        try:
            self._control.send(b"e")
        except OSError:                                              # all of it has ended
            self.close()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", runner.__file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], cwd="/",
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"})
        ours.settimeout(600)                                         # importing torch on a busy machine
        self._control = ours


class Remote:
    """A submitted function in its process. Call it as if it were here: values, gradients, changed arguments, errors."""

    def __init__(self, channel: socket.socket, end: Callable[[], None], seconds: int) -> None:
        self._channel, self._ended, self._end = channel, end, time.monotonic() + 10 * seconds
        self._seconds, self._callbacks, self._asked, self._stopped = seconds, [], 0, ""

    def define(self, job: dict) -> None:
        """Run the definitions over there.

        Raises:
            Exception: what they raise.
        """
        self._exchange(job)

    def __call__(self, *arguments):
        self._callbacks, out = [], []
        node = pack([x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in arguments],
                    out, self._special)
        message, blobs = self._exchange({"kind": "call", "arguments": node}, out)
        value, changes = self._read({"t": "list", "v": [message.get("value"), message.get("changed")]}, blobs)
        with torch.no_grad():
            for mine, changed in zip(arguments, changes, strict=False):
                if isinstance(mine, Tensor) and isinstance(changed, Tensor):
                    mine.copy_(changed)
        return self._with_gradient(value, [x for x in arguments if isinstance(x, Tensor)])

    def close(self) -> None:
        """End its process."""
        if not self._stopped:
            self._stopped = "it was ended"
            self._channel.close()
            self._ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _with_gradient(self, value, arguments: list[Tensor]):
        """The value whose gradient is asked for over there."""
        parts = value if isinstance(value, (list, tuple)) else [value]
        tensors = [x for x in parts if isinstance(x, Tensor)]
        trained = [x.requires_grad for x in tensors]
        if not any(trained) or not any(x.requires_grad for x in arguments):
            return value
        linked = iter(_Link.apply(self, trained, *(x.detach() for x in tensors), *arguments))
        made = [next(linked) if isinstance(x, Tensor) else x for x in parts]
        return made[0] if isinstance(value, Tensor) else type(value)(made)

    def slopes(self, slopes: list[Tensor]) -> list[Tensor | None]:
        """The gradients of the last call's tensor arguments."""
        out = []
        message, blobs = self._exchange({"kind": "backward", "slopes": pack(list(slopes), out, self._special)}, out)
        return self._read(message.get("value"), blobs)

    def _special(self, value, blobs):
        """A module goes over whole; a function stays here and is called from there."""
        self._callbacks.append(value)
        if isinstance(value, nn.Module):
            file = io.BytesIO()
            torch.save(value, file)
            blobs.append(file.getvalue())
            return {"t": "module", "size": len(blobs[-1])}
        return {"t": "function", "number": len(self._callbacks) - 1}

    def _exchange(self, message: dict, out: list[bytes] = ()):
        """Send, answer what is asked meanwhile, and return what comes back."""
        if self._stopped:
            raise _error("RuntimeError", self._stopped)
        try:
            self._send(message, out)
            while True:
                answer, blobs = receive(lambda count: read_exactly(count, self._receive))
                if answer["kind"] != "ask":
                    break
                self._asked += 1
                if self._asked > MOST_QUESTIONS:
                    raise ValueError("too many questions")
                self._send(*self._answer(answer, blobs))
        except (TimeoutError, EOFError, OSError) as error:
            slow = isinstance(error, TimeoutError)
            self._stop("it took too long" if slow else f"its process ended (it may take {self._seconds} s of the CPU)")
        except UNREADABLE:
            self._stop("what came back cannot be read")
        if answer["kind"] == "raised":
            raise _error(str(answer.get("type")), str(answer.get("text")), str(answer.get("place", "")))
        return answer, blobs

    def _stop(self, why: str) -> None:
        self.close()
        self._stopped = why
        raise _error("RuntimeError", why)

    def _answer(self, answer: dict, blobs) -> tuple[dict, list[bytes]]:
        """One of our own functions, called by the submission."""
        modules = []

        def moved(node, blobs):
            if node["t"] != "module":
                return _stranger(node, blobs)
            module = copy.deepcopy(next(x for x in self._callbacks if isinstance(x, nn.Module)))
            set_state(module, unpack(node["state"], blobs, _stranger))
            modules.append(module)
            return module

        try:
            value = self._callbacks[answer["number"]](*unpack(answer["arguments"], blobs, moved))
        except Exception as error:  # noqa: BLE001                   it was called with something odd
            return {"kind": "raised", "text": f"{type(error).__name__}: {error}"}, []
        out = []
        return {"kind": "value", "value": pack([value, [state_of(m) for m in modules]], out, self._special)}, out

    def _send(self, message: dict, out: list[bytes]) -> None:
        self._channel.settimeout(max(0.01, self._end - time.monotonic()))
        self._channel.sendall(frame(message, out))

    def _receive(self, count: int) -> bytes:
        self._channel.settimeout(max(0.01, self._end - time.monotonic()))
        return self._channel.recv(min(count, 2**20))

    def _read(self, node: dict, blobs):
        try:
            return unpack(node, blobs, _stranger)
        except UNREADABLE:
            self._stop("what came back cannot be read")


class _Link(torch.autograd.Function):
    """Ties what came back to the arguments, so that a gradient can be asked for."""

    @staticmethod
    def forward(ctx, remote, trained, *tensors):
        ctx.remote, ctx.count = remote, len(trained)
        values = tuple(x.detach() for x in tensors[: len(trained)])
        ctx.mark_non_differentiable(*(x for x, flag in zip(values, trained, strict=True) if not flag))
        return values

    @staticmethod
    def backward(ctx, *slopes):
        return None, None, *[None] * ctx.count, *ctx.remote.slopes(slopes)


def _error(name: str, text: str, place: str = "") -> Exception:
    """An exception of that name and text; `place` is the submission's line."""
    base = getattr(builtins, name, None)
    if not (isinstance(base, type) and issubclass(base, Exception)) or issubclass(base, UnicodeError):
        base = Exception
    error = type(name, (base,), {"__str__": lambda self: text})()
    error.place = place
    return error


def _stranger(node: dict, _):
    """Stands for an object that is not numbers."""
    return type(str(node["name"]), (), {})()
