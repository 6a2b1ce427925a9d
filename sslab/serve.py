"""Open JupyterLab on the notebooks: find them, find a port, start the server, print the address that answers."""

import errno
import filecmp
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sslab.course import ledger

COPY = "sslab-notebooks"
START_TIMEOUT = 60.0                             # seconds for Jupyter to answer, before we stop waiting to print


def notebooks_folder(say: Callable[[str], None] = print) -> Path:
    """Where to work: the checkout's own notebooks/, or, from a wheel, ./sslab-notebooks, filled when it is new.

    A file that is already in ./sslab-notebooks is never overwritten; one that differs from this version's is named.

    Raises:
        FileNotFoundError: this installation carries no notebooks.
    """
    shipped = ledger.folder()
    if not shipped.is_dir():
        raise FileNotFoundError(f"no notebooks in {shipped}: install sslab again, or work from a clone")
    if shipped.name != "_notebooks":
        return shipped
    folder = Path.cwd() / COPY
    copied, kept = copy_missing(shipped, folder)
    say(f"{folder}: {len(copied)} notebooks copied" if copied else f"{folder}: as you left it")
    for name in kept:
        say(f"  kept yours: {name} (this version ships another one; rename yours and run again to get it)")
    return folder


def copy_missing(source: Path, target: Path, which: str = "**/*.ipynb") -> tuple[list[str], list[str]]:
    """Copy the notebooks that `target` lacks. Returns (copied, kept although different), as relative names."""
    copied, kept = [], []
    for file in sorted(source.glob(which)):
        name = file.relative_to(source)
        there = target / name
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, there)
            copied.append(name.as_posix())
        elif not filecmp.cmp(file, there, shallow=False):
            kept.append(name.as_posix())
    return copied, kept


def free_port(wanted: int, ip: str = "127.0.0.1", tries: int = 50) -> int:
    """The first free port from `wanted` upwards.

    Raises:
        OSError: none is free, or `ip` is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    for port in range(wanted, min(wanted + tries, 65536)):
        with socket.socket(family) as probe:
            if os.name == "posix":               # as Jupyter binds: a port in TIME_WAIT is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ip, port))
                return port
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise OSError(f"--ip: got {ip}, takes an address of this machine ({error.strerror})") from error
    raise OSError(f"--port: got {wanted}, takes a port with a free one among it and the {tries - 1} above")


def command(folder: Path, notebook: str, port: int, ip: str, open_browser: bool) -> list[str]:
    """What starts JupyterLab with this Python."""
    words = [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{notebook}",
        f"--ServerApp.ip={ip}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",            # we found a free one; another would make our address a lie
    ]  # fmt: skip
    if not open_browser:
        words.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")             # as in most containers
    return words


def environment() -> dict[str, str]:
    """Jupyter's environment: this Python's kernel before the user's others, and our settings beside the user's.

    Ours (jupyter_config/) turn JupyterLab's announcements off: the lab fetches nothing by itself.
    """
    ours = str(Path(__file__).resolve().parent / "jupyter_config")
    paths = os.pathsep.join(filter(None, [ours, os.environ.get("JUPYTER_CONFIG_PATH")]))
    return {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_CONFIG_PATH": paths}


def running_servers() -> list[dict]:
    """What each Jupyter server of this person wrote about itself: url, port, token, ..."""
    from jupyter_server.serverapp import list_running_servers

    return list(list_running_servers())


def wait_for_server(server: subprocess.Popen, port: int, before: list[dict]) -> dict | None:
    """What the new server on `port` wrote about itself; None if it ended or the time is over.

    Args:
        before: the servers listed before it started, perhaps a dead one of the same port among them.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        for info in running_servers():
            if info["port"] == port and info not in before:
                return info
        time.sleep(0.2)
    return None


def address(info: dict, notebook: str) -> str:
    """The address of `notebook` on the server that `info` describes, with its token."""
    url = info["url"]
    if info["hostname"] in ("0.0.0.0", "::", ""):                  # every interface: this one works on this machine
        url = f"{url.split('//')[0]}//127.0.0.1:{info['port']}{info['base_url']}"
    return f"{url}lab/tree/{notebook}" + (f"?token={info['token']}" if info["token"] else "")


def serve(port: int, ip: str, open_browser: bool, notebook: str, say: Callable[[str], None] = print) -> int:
    """Run JupyterLab until it ends; returns its exit code.

    Raises:
        FileNotFoundError: there is no such notebook.
        OSError: no free port.
    """
    folder = notebooks_folder(say)
    if not (folder / notebook).is_file():
        known = ", ".join(sorted(path.name for path in folder.glob("*.ipynb"))) or "none"
        raise FileNotFoundError(f"--notebook: got {notebook!r}, takes one of {known} (in {folder})")
    port, wanted = free_port(port, ip), port
    if port != wanted:
        say(f"port {wanted} is busy: using {port}")
    before = running_servers()
    server = subprocess.Popen(command(folder, notebook, port, ip, open_browser), env=environment())

    def stop(*_) -> None:
        server.terminate()

    # In a terminal Ctrl-C reaches Jupyter too: it asks its question, and we wait for what it does.
    signal.signal(signal.SIGINT, signal.SIG_IGN if sys.stdin.isatty() else stop)
    signal.signal(signal.SIGTERM, stop)
    info = wait_for_server(server, port, before)
    if info:
        say(f"\n  The lab is open at\n\n    {address(info, notebook)}\n")
        if os.environ.get("SSH_CONNECTION") and ip == "127.0.0.1":
            say("  Over ssh, run this on your own computer first, then open that address there:\n")
            say(f"    ssh -N -L {port}:127.0.0.1:{port} {os.environ.get('USER', 'you')}@{socket.gethostname()}\n")
        say("  Ctrl-C stops it.\n")
    return server.wait()
