"""A real JupyterHub on this machine, and a person who works on it through its API: for tests/test_hub.py."""

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = secrets.token_hex(8)
TOKEN = secrets.token_hex(16)

CONFIG = """
c = get_config()
load_subconfig({shared!r})                                            # what deploy/ ships
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.JupyterHub.db_url = "sqlite:///{state}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{state}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allowed_users = set({users!r})
c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"  # a real unix user each
c.LocalProcessSpawner.cpu_limit = {cores}                              # said to the server, not enforced: that is a container's job
c.Spawner.start_timeout = c.Spawner.http_timeout = 300
c.Spawner.env_keep.extend(["SSLAB_MODE"])
c.JupyterHub.services = [{{"name": "test", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [{{"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers", "tokens"]}}]
"""


def proxy() -> str | None:
    """configurable-http-proxy: beside this Python (from pip) or in the PATH (from npm)."""
    beside = Path(sys.executable).with_name("configurable-http-proxy")
    return str(beside) if beside.exists() else shutil.which("configurable-http-proxy")


@contextlib.contextmanager
def unix_user(homes: Path):
    """A new account with a home of mode 700; yields its name, and removes it."""
    name = f"sslab-{secrets.token_hex(4)}"
    subprocess.run(["useradd", "--create-home", "--home-dir", homes / name, "--key", "HOME_MODE=0700",
                    "--shell", "/bin/sh", name], check=True)
    try:
        yield name
    finally:
        _end_processes(pwd.getpwnam(name).pw_uid)                    # a hub that was cut off leaves servers
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)


def _end_processes(uid: int) -> None:
    """Those of an account that this test made, each by its number."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):                           # one may end by itself meanwhile
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                os.kill(int(entry.name), signal.SIGKILL)


@contextlib.contextmanager
def jupyterhub(users: list[str], state: Path, cores: int = 1, **environment: str):
    """A hub for these unix users; yields its address. The servers it started end with it."""
    port, hub_port, api_port = _free_ports(3)
    config = state / "jupyterhub_config.py"
    config.write_text(CONFIG.format(shared=str(ROOT / "deploy" / "hub" / "sslab_hub.py"), port=port, hub_port=hub_port,
                                    api_port=api_port, proxy=proxy(), state=state, password=PASSWORD, users=users,
                                    token=TOKEN, cores=cores))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "OMP_NUM_THREADS", "JUPYTER_PATH")}
    with open(state / "log", "w") as log:
        hub = subprocess.Popen([sys.executable, "-m", "jupyterhub", "--config", config], cwd=state, stdout=log, stderr=log,
                               env={**kept, "PATH": path, "PYTHONPATH": python_path, **environment})
        address = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 300
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{address}/hub/api", timeout=5).close()
                    break
                if time.monotonic() > deadline or hub.poll() is not None:
                    raise RuntimeError(f"JupyterHub did not answer:\n{(state / 'log').read_text()}")
                time.sleep(0.3)
            yield address
        except Exception as error:
            error.add_note(f"the hub's log ends:\n{(state / 'log').read_text()[-4000:]}")
            raise
        finally:
            hub.send_signal(signal.SIGTERM)                          # it ends the servers and the proxy
            try:
                hub.wait(60)
            except subprocess.TimeoutExpired:
                hub.kill()
                hub.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Person:
    """Somebody with an account on the hub at `address`: starts a server and runs code in a kernel, with their own token."""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name = address, name
        self.token = self.ask("POST", f"/hub/api/users/{name}/tokens", {}, token=TOKEN)["token"]
        self.socket = None

    def ask(self, method: str, path: str, body=None, token: str | None = None):
        """One request; returns what came back. Raises urllib.error.HTTPError."""
        request = urllib.request.Request(self.address + path, method=method, headers={
            "Authorization": f"token {token or self.token}", "Content-Type": "application/json"},
            data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=180) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def refused(self, method: str, path: str, body=None) -> int:
        """The status of a request that must fail."""
        try:
            self.ask(method, path, body)
        except urllib.error.HTTPError as error:
            return error.code
        raise AssertionError(f"{self.name} was allowed to {method} {path}")

    def start_server(self, wait: float = 300) -> None:
        self.ask("POST", f"/hub/api/users/{self.name}/server")
        deadline = time.monotonic() + wait
        while not self.ask("GET", f"/hub/api/users/{self.name}")["servers"].get("", {}).get("ready"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server of {self.name} was not ready after {wait} s")
            time.sleep(0.3)

    def start_kernel(self) -> None:
        import websocket

        kernel = self.ask("POST", f"/user/{self.name}/api/kernels", {"name": "python3"})["id"]
        self.socket = websocket.create_connection(
            f"{self.address.replace('http', 'ws', 1)}/user/{self.name}/api/kernels/{kernel}/channels",
            header=[f"Authorization: token {self.token}"])

    def run(self, code: str, wait: float = 180) -> str:
        """Run code in the kernel; returns what it printed. Raises RuntimeError with the error that it raised."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": self.name, "session": "test",
                  "version": "5.3", "date": "2026-01-01T00:00:00Z"}
        self.socket.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "channel": "shell", "content": {
            "code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}}))
        printed, raised, done, deadline = "", "", set(), time.monotonic() + wait
        while done != {"reply", "idle"}:
            self.socket.settimeout(max(0.1, deadline - time.monotonic()))
            message = json.loads(self.socket.recv())
            if message["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream":
                printed += content["text"]
            elif kind == "execute_reply":
                done.add("reply")
                if content["status"] != "ok":
                    raised = f"{content.get('ename')}: {content.get('evalue')}"
            elif kind == "status" and content["execution_state"] == "idle":
                done.add("idle")
        if raised:
            raise RuntimeError(raised)
        return printed.strip()
