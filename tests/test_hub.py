"""Two people on one real JupyterHub with the settings of deploy/hub/: they train at once, apart from each other.

    pytest tests/test_hub.py -m slow

Needs root (two unix accounts are made and removed), `pip install jupyterhub` and the proxy: `pip install
configurable-http-proxy`, or the one of that name from npm.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jupyter_hub
import pytest
from jupyter_hub import Person


def others_can_run_this_python() -> bool:
    """Not where it lies under a home of mode 700, for example."""
    try:
        return subprocess.run([sys.executable, "-c", "import torch"], user="nobody", cwd="/", check=False,
                              capture_output=True, env={}).returncode == 0
    except OSError:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("useradd"),
                       reason="needs root, to make two unix accounts"),
    pytest.mark.skipif(importlib.util.find_spec("jupyterhub") is None, reason="needs jupyterhub: pip install jupyterhub"),
    pytest.mark.skipif(jupyter_hub.proxy() is None, reason="needs the hub's proxy: pip install configurable-http-proxy"),
]

BEGIN = """
from sslab.lab import Lab
lab = Lab("simclr", "digits", steps=100_000, batch_size=64)
lab.start()
"""
LISTEN = """
import threading, zmq
heard = []
ear = zmq.Context().socket(zmq.SUB)
ear.subscribe(b"")
ear.connect("tcp://127.0.0.1:{port}")
threading.Thread(target=lambda: [heard.append(ear.recv_multipart()) for _ in range(9)], daemon=True).start()
"""
STEPS = "print(len(lab.history))"


@pytest.fixture(scope="module")
def hub():
    """The address of a hub and its two people, each with a server and a kernel."""
    if not others_can_run_this_python():
        pytest.skip(f"an ordinary account cannot run {sys.executable}: use a Python outside of root's home")
    folder = Path(tempfile.mkdtemp(prefix="sslab-hub-"))             # not tmp_path: the two must get to their homes
    folder.chmod(0o755)
    state = folder / "state"
    state.mkdir(0o700)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        names = [stack.enter_context(jupyter_hub.unix_user(folder)) for _ in range(2)]
        address = stack.enter_context(jupyter_hub.jupyterhub(names, state, SSLAB_MODE="class"))
        people = [Person(address, name) for name in names]
        for one in people:
            one.start_server()
            one.start_kernel()
        yield folder, people


def test_each_has_the_notebooks_and_an_account_of_their_own(hub):
    folder, people = hub
    for one in people:
        assert one.run("import getpass; print(getpass.getuser())") == one.name
        listed = one.ask("GET", f"/user/{one.name}/api/contents/sslab-notebooks")["content"]
        assert "00_start_here.ipynb" in [entry["name"] for entry in listed]
        assert (folder / one.name).stat().st_mode & 0o777 == 0o700


def test_torch_and_numpy_use_the_cores_that_the_hub_gives(hub):
    _, (ada, _) = hub
    code = ("import os, torch; from sslab.training import cpu_limit, limit_threads\n"
            "print(os.environ['CPU_LIMIT'], os.environ['OMP_NUM_THREADS'], cpu_limit(), limit_threads())")
    assert ada.run(code).split() == ["1.0", "1", "1", "1"]


def test_both_train_at_once_and_the_lab_answers(hub):
    _, people = hub
    ada, ben = people
    for one in people:
        one.run(BEGIN)
    deadline = time.monotonic() + 300                               # many times what a quiet machine takes
    while min(int(one.run(STEPS)) for one in people) < 3:
        assert time.monotonic() < deadline, "a lab did not begin to train within five minutes"
        time.sleep(0.5)
    before = [int(one.run(STEPS)) for one in people]
    time.sleep(3)
    after = [int(one.run(STEPS)) for one in people]
    assert all(new > old for new, old in zip(after, before, strict=True)), (before, after)

    waits = {}
    for what in ("lab.set(temperature=0.1)", "lab.stop(); print(lab.state)"):
        begun = time.monotonic()
        said = ada.run(what)
        waits[what] = time.monotonic() - begun
    assert said == "stopped"
    print("seconds from the request to its answer:", waits)
    assert max(waits.values()) < 2.0, waits
    steps = int(ben.run(STEPS))
    time.sleep(2)
    assert int(ben.run(STEPS)) > steps and ben.run("print(lab.state)") == "running"
    ben.run("lab.stop()")


def test_neither_sees_the_others_files_or_server(hub):
    folder, (ada, ben) = hub
    ada.ask("PUT", f"/user/{ada.name}/api/contents/mine.txt",
            {"type": "file", "format": "text", "content": "a guess of my own"})
    assert ada.run("print(open('mine.txt').read())") == "a guess of my own"
    home = folder / ada.name
    for attempt in (f"open({str(home / 'mine.txt')!r})", f"__import__('os').listdir({str(home)!r})",
                    f"open({str(home / 'x')!r}, 'w')"):
        with pytest.raises(RuntimeError, match="PermissionError"):
            ben.run(attempt)
    assert ben.refused("GET", f"/user/{ada.name}/api/contents/mine.txt") == 403
    assert ben.refused("GET", f"/user/{ada.name}/api/kernels") == 403
    assert ben.refused("GET", f"/hub/api/users/{ada.name}") in (403, 404)

    process = ada.run("import os; print(os.getpid())")               # a process's environment holds its keys
    with pytest.raises(RuntimeError, match="PermissionError"):
        ben.run(f"open('/proc/{process}/environ').read()")


def test_neither_hears_what_the_others_kernel_prints(hub):
    """On one machine anybody can connect to a kernel's port: what is said there must be encrypted."""
    _, (ada, ben) = hub
    port = ada.run("import json; from ipykernel.connect import get_connection_info as info; print(json.loads(info())['iopub_port'])")
    ben.run(LISTEN.format(port=port))
    time.sleep(1)
    assert ada.run("print('only for me')") == "only for me"
    time.sleep(2)
    assert ben.run("print(heard)") == "[]"
