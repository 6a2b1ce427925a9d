"""A real JupyterLab and a notebook in a real browser, for the browser test and the dashboard's benchmark."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KERNEL_IDLE = "() => document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset?.status === 'idle'"


@contextlib.contextmanager
def jupyterlab(folder: Path, **environment: str):
    """JupyterLab on a free port of this machine with a token, serving `folder`; yields notebook name -> address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, home = secrets.token_hex(16), folder / ".jupyter"
    folders = {f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "RUNTIME")}
    folders |= {f"JUPYTERLAB_{name}_DIR": str(home / name) for name in ("SETTINGS", "WORKSPACES")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.root_dir={folder}",
             f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
             "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    for name, setting in (("notebook-extension/tracker", {"windowingMode": "none"}),      # every cell is in the page
                          ("apputils-extension/notification", {"fetchNews": "false"})):   # and no question about news
        path_of = home / "SETTINGS" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path_of.parent.mkdir(parents=True)
        path_of.write_text(json.dumps(setting))
    with open(home / "log", "w") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log,
                                  env={**os.environ, **folders, "PYTHONPATH": path, **environment})
        try:
            _wait_for(f"http://127.0.0.1:{port}/api?token={token}", server, home / "log")
            yield lambda notebook: f"http://127.0.0.1:{port}/lab/tree/{notebook}?token={token}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not answer:\n{log.read_text()}")


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook of code cells."""
    path.write_text(json.dumps({
        "nbformat": 4, "nbformat_minor": 5, "cells": [
            {"cell_type": "code", "id": f"cell{index}", "metadata": {}, "source": source, "outputs": [],
             "execution_count": None} for index, source in enumerate(cells)],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}}))


def open_notebook(page, address: str) -> None:
    """Load it, and wait until its kernel is ready."""
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(KERNEL_IDLE, timeout=60_000)


def page_errors(page) -> list[str]:
    """The errors of our own scripts from here on. JupyterLab's count for none: a reload under a running cell makes one."""
    found = []

    def hear(error) -> None:
        stack = getattr(error, "stack", None) or ""
        places = re.findall(r"(?:https?|blob|file|data|about):\S+", stack)
        if not places or any("/static/lab/" not in place for place in places):
            found.append(f"{error}\n{stack}")

    page.on("pageerror", hear)
    return found


def run_cell(page, index: int, wait: float = 60) -> None:
    """Run one cell and wait until it is done, at most `wait` seconds."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(index)
    prompt = cell.locator(".jp-InputPrompt")
    before, deadline = prompt.inner_text(), time.monotonic() + wait
    while not (re.search(r"\d", prompt.inner_text()) and prompt.inner_text() != before):
        if time.monotonic() > deadline:
            raise TimeoutError(f"cell {index} was not done after {wait} s")
        if "*" not in prompt.inner_text():                           # a kernel that is not quite there drops it
            _dismiss_dialog(page)
            cell.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
        page.wait_for_timeout(700)


def run_all(page, until: str, wait: float = 60) -> None:
    """Run > Run All Cells; returns when `until` is in the page. What a kernel loses is sent again, twice."""
    from playwright.sync_api import Error

    def prompts() -> str:
        return "".join(page.locator(".jp-Notebook .jp-InputPrompt").all_inner_texts())

    for attempt in range(3):
        deadline = time.monotonic() + wait
        asked = False
        while time.monotonic() < deadline:
            if page.locator(until).count():
                return
            if not asked or not re.search(r"[\d*]", prompts()):      # a kernel that is not quite there drops it
                _dismiss_dialog(page)
                with contextlib.suppress(Error):                     # a dialog came in between
                    page.locator(".lm-MenuBar-item", has_text="Run").click(timeout=3000)
                    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click(timeout=3000)
                    asked = True
            page.wait_for_timeout(1000)
        if attempt < 2:                                              # sent to a kernel that was not there: they wait for ever
            page.reload()
            page.wait_for_function(KERNEL_IDLE, timeout=60_000)
    raise TimeoutError(f"{until} did not appear; prompts: {prompts()!r}; outputs: "
                       f"{page.locator('.jp-OutputArea-output').all_inner_texts()}")


def _dismiss_dialog(page) -> None:
    """JupyterLab says in a dialog that the kernel is not connected yet."""
    dialog = page.locator(".jp-Dialog")
    if dialog.count():
        page.keyboard.press("Escape")
        page.wait_for_timeout(200)
        if dialog.count():
            dialog.locator("button").last.click()
