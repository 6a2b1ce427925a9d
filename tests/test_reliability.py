"""What goes wrong in a class, and what happens then. The table is docs/reliability.md; each of its rows names a test.

With the slow ones, of which some start a kernel: pytest tests/test_reliability.py -m "slow or not slow"
"""

import ast
import contextlib
import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from test_lab import Slow, lab_threads, make_dataset, make_lab, no_thread_left, until  # noqa: F401  the fixture is for all tests here

from sslab import training
from sslab.lab.bridge import Bridge
from sslab.training import checkpoint as checkpoints

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "reliability.md"
QUICK = {"steps": 2, "batch_size": 32, "precision": "float32", "device": "cpu"}


def small_objective():
    return make_lab().objective


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.safetensors"
    list(training.train(small_objective(), make_dataset(), checkpoint=path, **QUICK))
    return path


# ---- the table itself

def test_every_test_that_the_table_names_exists():
    rows = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 17
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named, f"no test is named in: {row}"
        for file, name in named:
            tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
            assert name in {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}, f"{file} has no {name}"


# ---- memory, knobs, sleep

class Hungry(Slow):
    """A batch above 16 does not fit into the memory: torch itself says so."""

    title = "Hungry"

    def make_views(self, batch, generator):
        if len(batch) > 16:
            torch.empty(2**50)
        return super().make_views(batch, generator)


def test_out_of_memory_is_said_and_the_lab_goes_on_with_the_batch_it_proposes():
    lab = make_lab(steps=5, make=Hungry)                             # of 32 images a batch
    lab.start()
    with pytest.raises(RuntimeError, match=r"out of memory with batch_size 32\. Start trains again with batch_size 16"):
        lab.join(60)
    assert lab.state == "failed" and "batch_size 16" in lab.status
    lab.start()
    assert lab.join(60) and lab.state == "finished" and len(lab.history) == 5
    assert lab.train_options["batch_size"] == 16
    lab.start()                                                      # and it stays
    assert lab.join(60) and lab.state == "finished"


def test_out_of_memory_where_no_smaller_batch_helps():
    lab = make_lab(steps=5, make=Hungry)
    lab.objective.make_views = lambda batch, generator: torch.empty(2**50)
    lab.run.options["batch_size"] = 2
    lab.start()
    with pytest.raises(RuntimeError, match="out of memory with batch_size 2. A smaller batch there is not"):
        lab.join(60)


def test_another_error_is_not_taken_for_out_of_memory():
    from sslab.lab.run import is_out_of_memory

    assert not is_out_of_memory(RuntimeError("shapes do not fit")) and not is_out_of_memory(ValueError("out of memory"))
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))


def test_a_knob_moved_1000_times_while_it_trains():
    lab = make_lab(steps=100_000)
    lab.start()
    until(lambda: len(lab.history) > 2)
    values = [0.05 + index / 1000 for index in range(1000)]
    for value in values:
        lab.set(temperature=value)
    at = len(lab.history)
    until(lambda: len(lab.history) > at + 2)
    lab.stop()
    used = [row["knobs"]["temperature"] for row in lab.history]
    assert used[-1] == values[-1] and set(used) <= {0.5, *values}
    moved = used[next(index for index, value in enumerate(used) if value != 0.5):] if used[-1] != 0.5 else []
    assert moved == sorted(moved), "no step saw an older value than the one before it"
    told = [change["new"] for change in lab.run.changes if change["name"] == "temperature"]
    assert told == [value for before, value in itertools.pairwise(used) if value != before]
    assert len(lab_threads()) <= 1


class Clock:
    """time.monotonic and time.perf_counter with hours added on demand: a laptop that was closed."""

    def __init__(self, monkeypatch):
        self.slept, real = 0.0, {name: getattr(time, name) for name in ("monotonic", "perf_counter")}
        for name, tick in real.items():
            monkeypatch.setattr(time, name, lambda tick=tick: tick() + self.slept)


def test_a_laptop_that_sleeps_between_two_steps(monkeypatch):
    clock = Clock(monkeypatch)
    lab, sent = make_lab(steps=100_000), []
    bridge = Bridge(lab, lambda content, buffers: sent.append(content))
    bridge.gate._clock = time.monotonic                              # the clock of this test
    lab.dashboard = bridge
    lab.start()
    bridge.receive({"kind": "hello", "view": "a"})
    until(lambda: len(lab.history) > 20)
    before = lab.run.pace
    clock.slept = 3600.0
    at, frames = len(lab.history), len(sent)
    until(lambda: len(lab.history) > at + 20 and len(sent) > frames)
    assert lab.run.pace < 10 * max(before, 1e-3), "an hour of sleep is no slow step"
    start = threading.Event()
    lab.set(temperature=0.1)
    until(lambda: lab.history[-1]["knobs"]["temperature"] == 0.1)
    lab.stop()
    assert lab.state == "stopped" and not start.is_set() and lab.error is None
    assert all(row["loss"] == row["loss"] for row in lab.history)


# ---- checkpoints and disks

def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def refuses(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    try:
        checkpoints.read(path)
    except ValueError as error:
        return str(error).startswith("checkpoint: ")
    return False


def check_bits(path: Path, count: int) -> None:
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    bits = [round(share * 8 * header / (count // 2)) for share in range(count // 2)]
    bits += [8 * header + round(share * 8 * (len(whole) - header) / (count // 2)) for share in range(count // 2)]
    accepted = [bit for bit in bits if not refuses(path, flipped(whole, bit))]
    assert accepted == [] and not refuses(path, whole)


def test_a_checkpoint_with_one_bit_flipped_is_refused(saved):
    check_bits(saved, 120)


@pytest.mark.slow
def test_a_checkpoint_with_any_bit_flipped_is_refused(saved):
    check_bits(saved, 3000)


def test_a_truncated_checkpoint_and_one_of_another_version_are_refused(saved):
    whole = saved.read_bytes()
    assert all(refuses(saved, whole[:length]) for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1))
    saved.write_bytes(whole.replace(rb'\"version\": 2', rb'\"version\": 1'))
    with pytest.raises(ValueError, match="checkpoint: .* has version 1, takes 2"):
        list(training.train(small_objective(), make_dataset(), checkpoint=saved, resume=True, **QUICK))


class Bomb:
    """What a pickle can do."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_with_pickle_inside_is_refused_and_runs_nothing(tmp_path):
    path, touched = tmp_path / "run.safetensors", tmp_path / "touched"
    path.write_bytes(pickle.dumps(Bomb(touched)))
    with pytest.raises(ValueError, match="checkpoint: .* is damaged or no safetensors file"):
        list(training.train(small_objective(), make_dataset(), checkpoint=path, resume=True, **QUICK))
    torch.save({"weights": Bomb(touched)}, path)
    with pytest.raises(ValueError, match="checkpoint: .* is damaged or no safetensors file"):
        checkpoints.read(path)
    assert not touched.exists()


@contextlib.contextmanager
def no_more_than(size: int):
    """No file of this process may grow beyond `size` bytes: a full disk, as far as the writer can tell."""
    resource = pytest.importorskip("resource", reason="no limit of file sizes on this system")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_checkpoint_and_says_so(saved):
    whole, objective = saved.read_bytes(), small_objective()
    with no_more_than(2000), pytest.raises(OSError, match=f"checkpoint: {re.escape(str(saved))} cannot be written"):
        checkpoints.save(saved, objective, torch.optim.AdamW(objective.parameters()), {"step": 3})
    assert saved.read_bytes() == whole and [one.name for one in saved.parent.iterdir()] == [saved.name]


def test_a_full_disk_ends_a_lab_with_a_sentence(tmp_path):
    lab = make_lab(steps=6, checkpoint=tmp_path / "run.safetensors", checkpoint_every=2)
    with no_more_than(2000):
        lab.start()
        with pytest.raises(RuntimeError, match="cannot be written"):
            lab.join(60)
    assert lab.state == "failed" and len(lab.history) >= 1 and list(tmp_path.iterdir()) == []


def test_no_permission_to_write_is_said_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="checkpoint: .* cannot be written"):
        training.train(small_objective(), make_dataset(), checkpoint=tmp_path / "file" / "run", **QUICK)
    monkeypatch.setattr(os, "access", lambda path, mode: False)      # root may write everywhere
    with pytest.raises(PermissionError, match="checkpoint: .* may write nothing into"):
        training.train(small_objective(), make_dataset(), checkpoint=tmp_path / "run", **QUICK)


# ---- a kernel, a core

ONE_CORE = """
import os, sys, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.path.insert(0, sys.argv[1])
from test_lab import make_lab
import torch
from sslab.training import cpu_limit, limit_threads
assert cpu_limit() == 1 and limit_threads() == 1 and torch.get_num_threads() == 1
lab = make_lab(steps=100_000)
lab.start()
while len(lab.history) < 5:
    time.sleep(0.01)
start = time.perf_counter()
lab.stop()
print("STOPPED", time.perf_counter() - start, lab.state)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be held here")
def test_on_one_core_a_lab_trains_and_stops_at_once():
    found = subprocess.run([sys.executable, "-c", ONE_CORE, str(Path(__file__).parent)], capture_output=True, text=True, check=False,
                           env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])})
    said = re.search(r"STOPPED (\S+) stopped", found.stdout)
    assert said and float(said[1]) < 3, found.stdout + found.stderr


TRAINING = """
import sys, time
sys.path.insert(0, {tests!r})
from test_lab import make_lab
lab = make_lab(steps=10**6, checkpoint={checkpoint!r}, checkpoint_every=5, resume=True)
lab.start()
while len(lab.history) < 20 and lab.state == "running":
    time.sleep(0.02)
print("STEP", lab.history[0]["step"], lab.history[-1]["step"], lab.state)
"""


@pytest.fixture
def kernel(monkeypatch):
    """A real IPython kernel: `run(code)` gives what it printed, and `.manager` restarts it."""
    manager_of = pytest.importorskip("jupyter_client", reason="no jupyter_client").KernelManager
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]]))
    manager = manager_of(kernel_name="python3")
    manager.start_kernel()

    def run(code: str) -> str:
        client = manager.blocking_client()
        client.start_channels()
        printed = []
        try:
            client.wait_for_ready(timeout=120)
            reply = client.execute_interactive(code, timeout=180, output_hook=lambda message: printed.append(str(message["content"])))
            assert reply["content"]["status"] == "ok", printed
        finally:
            client.stop_channels()
        return " ".join(printed)

    run.manager = manager
    yield run
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_a_kernel_restarted_in_the_middle_of_a_run_goes_on_from_the_checkpoint(kernel, tmp_path):
    code = TRAINING.format(tests=str(Path(__file__).parent), checkpoint=str(tmp_path / "run.safetensors"))
    first = re.search(r"STEP (\d+) (\d+) running", kernel(code))
    assert int(first[1]) == 0
    kernel.manager.restart_kernel(now=True)                          # killed while it trains
    again = re.search(r"STEP (\d+) (\d+) running", kernel(code))
    assert int(again[1]) >= 15 and int(again[1]) % 5 == 0, "it goes on from its last checkpoint"
    checkpoints.read(tmp_path / "run.safetensors")


@pytest.mark.slow
def test_a_notebook_closed_while_it_trains_ends_the_kernel_and_its_thread(kernel, tmp_path):
    code = TRAINING.format(tests=str(Path(__file__).parent), checkpoint=str(tmp_path / "run.safetensors"))
    kernel(code + "import os; print('PID', os.getpid())")
    start = time.monotonic()
    kernel.manager.shutdown_kernel(now=False)                        # asked politely, as "Shut down kernel" does
    assert time.monotonic() - start < 15 and not kernel.manager.is_alive()
    assert checkpoints.read(tmp_path / "run.safetensors")[1]["step"] > 0, "and what it had learned is whole"
