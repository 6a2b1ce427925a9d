"""The far side of the sandbox: a process that runs one submitted function, and knows no right answer.

`sandbox.py` starts it as `python -I runner.py FD`. It imports torch once and forks for each function, so that each
gets a process in which no other submission has run. This file imports nothing of sslab: it is all that a
submission could look at.

What goes to the sandbox and back is JSON and bytes, never pickle, so that nothing which a submission sends is ever
executed. Only the sandbox's own messages hold pickled modules.
"""

import importlib
import io
import json
import linecache
import os
import socket
import struct
import sys
import traceback
from types import SimpleNamespace

LARGEST = 64 * 2**20                                                # bytes of one message
FILE = "<submission>"
# Events of Python's audit hooks, which no Python code can remove, that end in a PermissionError.
FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "os.kill",
             "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown",
             "os.truncate", "os.startfile", "os.putenv", "ctypes.", "shutil.", "signal.", "pty.", "mmap.")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


# ---- messages

def pack(value, blobs, other):
    """A value as JSON with its bytes apart.

    Args:
        value: numbers, words, tensors, and lists and tuples of them.
        blobs: gets the bytes.
        other: makes the JSON of whatever else there is.
    """
    import torch

    if value is None or isinstance(value, (bool, int, float, str)):
        return {"t": "plain", "v": value}
    if value is Ellipsis or value is NotImplemented:
        return {"t": "blank"}
    if isinstance(value, (list, tuple)):
        return {"t": type(value).__name__ if type(value) in (list, tuple) else "tuple",
                "v": [pack(x, blobs, other) for x in value]}
    if not isinstance(value, torch.Tensor) and type(value).__module__ == "numpy":
        value = torch.as_tensor(value)
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu().resolve_conj().contiguous().flatten()
        blobs.append(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        return {"t": "tensor", "dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape),
                "size": len(blobs[-1]), "grad": bool(value.requires_grad)}
    return other(value, blobs)


def unpack(node, blobs, other):
    """The value that `pack` made this of; `blobs` is an iterator.

    Raises:
        ValueError: it is not what `pack` makes.
    """
    import torch

    kind = node["t"]
    if kind == "plain":
        return node["v"]
    if kind == "blank":
        return Ellipsis
    if kind in ("list", "tuple"):
        values = [unpack(x, blobs, other) for x in node["v"]]
        return values if kind == "list" else tuple(values)
    if kind == "tensor":
        dtype, shape, data = getattr(torch, node["dtype"], None), node["shape"], next(blobs)
        if not isinstance(dtype, torch.dtype) or any(type(side) is not int or side < 0 for side in shape):
            raise ValueError("a tensor that is none")
        if not data and 0 in shape:
            return torch.empty(shape, dtype=dtype).requires_grad_(node["grad"])
        return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype).reshape(shape).requires_grad_(node["grad"])
    return other(node, blobs)


def frame(message, blobs=()):
    """One message as bytes: the lengths, JSON, the bytes that came apart."""
    text = json.dumps(message).encode()
    return struct.pack(">II", len(text), sum(map(len, blobs))) + text + b"".join(blobs)


def send(fd, message, blobs=()):
    """Write one message."""
    data = memoryview(frame(message, blobs))
    while data:
        data = data[os.write(fd, data):]


def receive(read):
    """(message, iterator over its bytes); `read(n)` gives n bytes or raises EOFError."""
    text, rest = struct.unpack(">II", read(8))
    if text + rest > LARGEST:
        raise ValueError("too long a message")
    message, data = json.loads(read(text)), memoryview(read(rest))

    def blobs(at=0):
        for size in sizes(message):
            yield data[at: at + size]
            at += size

    return message, blobs()


def sizes(node):
    """The sizes of a message's bytes, in order."""
    if isinstance(node, dict):
        if "size" in node:
            yield int(node["size"])
        for value in node.values():
            yield from sizes(value)
    elif isinstance(node, list):
        for value in node:
            yield from sizes(value)


def state_of(module):
    """All that can be seen to change in a module: weights, statistics, gradients, switches."""
    return [list(module.state_dict().values()), [p.grad for p in module.parameters()],
            [p.requires_grad for p in module.parameters()], [m.training for m in module.modules()]]


def set_state(module, state):
    """The inverse of `state_of`, in place."""
    import torch

    values, grads, trained, training = state
    with torch.no_grad():
        for mine, value in zip(module.state_dict().values(), values, strict=True):
            mine.copy_(value)
    for p, grad, flag in zip(module.parameters(), grads, trained, strict=True):
        p.requires_grad_(flag)
        p.grad = grad
    for m, flag in zip(module.modules(), training, strict=True):
        m.training = flag


# ---- one function

class Serving:
    """Calls the submitted function with what comes, and sends back what it gives."""

    def __init__(self, fd, job):
        self.fd, self.job, self.last = fd, job, None

    def run(self):
        job = self.job
        sys.path[:0] = job["path"]
        names = {name: _taken_from(what) for name, what in job["names"].items()}
        del sys.path[: len(job["path"])]
        _limit(job)
        linecache.cache[FILE] = (len(job["source"]), None, job["source"].splitlines(True), FILE)
        names["__name__"] = "submission"
        try:
            exec(compile(job["source"], FILE, "exec"), names)  # noqa: S102  what this process is there for
            function = names[job["function"]]
            send(self.fd, {"kind": "ready"})
        except BaseException as error:  # noqa: BLE001
            self.raised(error)
            return
        while True:
            message, blobs = receive(self.read)
            try:
                self.call(function, message, blobs) if message["kind"] == "call" else self.backward(message, blobs)
            except BaseException as error:  # noqa: BLE001           SystemExit too: only an answer counts
                self.raised(error)

    def call(self, function, message, blobs):
        import torch

        given = unpack(message["arguments"], blobs, self.special)
        before = [x.detach().clone() if isinstance(x, torch.Tensor) else None for x in given]
        handed = [x.clone() if isinstance(x, torch.Tensor) and x.requires_grad else x for x in given]
        value = function(*handed)
        changed = [x.detach() if y is not None and x.shape == y.shape and not torch.equal(x.detach(), y) else None
                   for x, y in zip(handed, before, strict=True)]
        parts = value if isinstance(value, (list, tuple)) else [value]
        self.last = [x for x in parts if isinstance(x, torch.Tensor)], [x for x in given if isinstance(x, torch.Tensor)]
        out = []
        send(self.fd, {"kind": "value", "value": pack(value, out, _named), "changed": pack(changed, out, _named)}, out)

    def backward(self, message, blobs):
        import torch

        slopes = unpack(message["slopes"], blobs, self.special)
        values, leaves = self.last
        pairs = [(value, slope) for value, slope in zip(values, slopes, strict=True) if value.requires_grad]
        wanted = [x for x in leaves if x.requires_grad]
        found = iter(torch.autograd.grad([v for v, _ in pairs], wanted, [s for _, s in pairs], retain_graph=True,
                                         allow_unused=True))
        out = []
        grads = pack([next(found) if x.requires_grad else None for x in leaves], out, _named)
        send(self.fd, {"kind": "value", "value": grads}, out)

    def special(self, node, blobs):
        """A module as the sandbox made it, or a function that runs over there."""
        import torch

        if node["t"] == "module":
            return torch.load(io.BytesIO(next(blobs)), weights_only=False)
        return lambda *arguments: self.ask(node["number"], arguments)

    def ask(self, number, arguments):
        """Call one of the grader's functions: it runs in the grader's process, where its code cannot be seen."""
        import torch

        modules = [x for x in arguments if isinstance(x, torch.nn.Module)]

        def moved(value, blobs):
            if isinstance(value, torch.nn.Module):
                return {"t": "module", "state": pack(state_of(value), blobs, _named)}
            return _named(value, blobs)

        out = []
        send(self.fd, {"kind": "ask", "number": number, "arguments": pack(arguments, out, moved)}, out)
        message, blobs = receive(self.read)
        if message["kind"] == "raised":
            raise RuntimeError(message["text"])
        value, states = unpack(message["value"], blobs, self.special)
        for module, state in zip(modules, states, strict=True):
            set_state(module, state)
        return value

    def raised(self, error):
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
        send(self.fd, {"kind": "raised", "type": type(error).__name__, "text": str(error)[:2000],
                       "place": (frames[-1].line or "")[:200] if frames else ""})

    def read(self, count):
        return read_exactly(count, lambda left: os.read(self.fd, min(left, 2**20)))


def read_exactly(count, some):
    """`count` bytes, of which `some(n)` gives at most n at a time."""
    parts = []
    while count:
        part = some(count)
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _named(value, blobs):
    return {"t": "other", "name": type(value).__name__[:100]}


def _taken_from(what):
    """What a submission may use of the package: a dotted name, or a tree of them."""
    if isinstance(what, dict):
        return SimpleNamespace(**{name: _taken_from(inner) for name, inner in what.items()})
    parts = what.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(what)


def _limit(job):
    """From here on: no network, no other process, no writing, no sslab; so much time and memory and no more."""
    import resource

    for name in [name for name in sys.modules if name.partition(".")[0] == "sslab"]:
        del sys.modules[name]
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    with open("/proc/self/statm") if os.path.exists("/proc/self/statm") else io.StringIO("0") as lines:
        used = int(lines.read().split()[0]) * resource.getpagesize()
    if used:                                                         # where this is not known it is not enforced either
        resource.setrlimit(resource.RLIMIT_AS, (used + job["memory"],) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (job["seconds"], job["seconds"] + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hidden, real = tuple(job["hidden"]), os.path.realpath

    def refuse(event, arguments):
        if event.startswith(FORBIDDEN):
            raise PermissionError(f"not in an exercise: {event}")
        if event == "import" and str(arguments[0]).partition(".")[0] == "sslab":
            raise PermissionError("not in an exercise: sslab's own functions")
        if event == "open" and (arguments[2] & WRITES or isinstance(arguments[0], (str, bytes))
                                and os.fsdecode(real(arguments[0])).startswith(hidden)):
            raise PermissionError("not in an exercise: files")

    sys.addaudithook(refuse)


# ---- the process that forks

def main(fd):
    """Fork for every job until the sandbox closes the control socket."""
    _without_network()
    import torch

    torch.set_num_threads(1)
    with socket.socket(fileno=fd) as control:
        while True:
            data, fds, _, _ = socket.recv_fds(control, 1, 1)
            if not data:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                control.close()
                _serve(fds[0])
            os.close(fds[0])
            control.sendall(b"f")
            control.recv(1)                                          # the sandbox has its answer, or is gone
            os.kill(pid, 9)
            os.waitpid(pid, 0)


def _serve(fd):
    try:
        job, _ = receive(lambda count: read_exactly(count, lambda left: os.read(fd, left)))
        Serving(fd, job).run()
    finally:
        os._exit(0)


def _without_network():
    """Leave the network at the level of the kernel where it lets us (Linux, mostly); the audit hook is there anyway."""
    import ctypes

    try:
        ctypes.CDLL(None).unshare(0x10000000 | 0x40000000)           # CLONE_NEWUSER, CLONE_NEWNET
    except (OSError, AttributeError):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
