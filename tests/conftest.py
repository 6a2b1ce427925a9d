"""What holds for every test: no network, smoke mode, the container's cores, browser and GPU tests only where they can run."""

import os
import shutil
import sys
from pathlib import Path

import pytest

OFFLINE = Path(__file__).parent / "offline"
sys.path.insert(0, str(OFFLINE))

import no_network

no_network.block()
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(OFFLINE), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("SSLAB_MODE", "smoke")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")                 # as sslab sets it, but before torch loads here

pytest.register_assert_rewrite("planted")

import torch

from sslab.training.devices import limit_threads

if "PYTEST_XDIST_WORKER" in os.environ:                              # as many workers as cores: a core for each
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", str(limit_threads()))       # for the subprocesses


def chromium_path() -> str | None:
    """The browser the tests drive: the system's, so that nothing is downloaded."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_generate_tests(metafunc):
    from planted import each_answer

    each_answer(metafunc)


def pytest_runtest_setup(item):
    if item.get_closest_marker("browser") and chromium_path() is None:
        pytest.skip("no Chromium on this machine (on Debian: apt install chromium)")
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")


@pytest.fixture(scope="module")
def browser():
    """A Chromium for tests marked `browser`: `page = browser.new_page()`. It reaches this machine only."""
    from playwright.sync_api import sync_playwright

    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")                             # Chromium refuses root otherwise
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield chromium
        chromium.close()
