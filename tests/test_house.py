"""Set-up, command line, packaging files and the rules that hold for the whole repository."""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from no_network import NetworkBlocked
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from sslab import cli, doctor, serve
from sslab.course import badges

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lock():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def direct_requirements():
    lines = PROJECT["dependencies"] + [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in lines]


# ---- the files that must agree


def test_every_direct_requirement_is_pinned_inside_its_range():
    pins = lock()
    for requirement in direct_requirements():
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in requirements.lock: make lock"
        assert requirement.specifier.contains(pins[name]), f"{name}: {pins[name]} is outside {requirement.specifier}"


def test_the_lock_holds_plain_versions_only():
    assert all(re.fullmatch(r"[a-z0-9-]+", name) and re.fullmatch(r"[0-9][0-9a-z.]*", pin) for name, pin in lock().items())


def test_conda_environment_installs_this_project_with_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == PROJECT["name"]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-c requirements.lock", "-e ."]     # so the requirements and the pins are the project's own
    python = [entry.split("=")[1] for entry in environment["dependencies"] if str(entry).startswith("python=")]
    assert python == ["3.12"]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python[0])


def test_makefile_names_only_commands_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = re.findall(r"\$\(BIN\)/sslab course (\w+)", makefile)
    assert wanted
    course = cli.main.get_command(None, "course")
    assert set(wanted) <= set(course.commands)
    for script in re.findall(r"\$\(BIN\)/python (\S+\.py)", makefile):
        assert (ROOT / script).is_file(), script


def test_kernel_range_of_doctor_is_the_projects():
    (kernel,) = [requirement for requirement in direct_requirements() if requirement.name == "ipykernel"]
    low, high = (".".join(map(str, number)) for number in doctor.KERNEL)
    assert kernel.specifier == SpecifierSet(f">={low},<{high}")


def test_readme_maps_the_notebooks_that_are_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\d_\w+) \|", readme, re.MULTILINE)
    assert len(rows) == 18 and rows == sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def tracked_files():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    # in pieces, so that this file passes its own test
    hosts = ["pypi." + "org", "python" + "hosted", "registry.npm" + "js", "deb." + "debian", "download.py" + "torch",
             "conda." + "anaconda"]  # fmt: skip
    paths = ["/wo" + "rk/", "/tmp/ss" + "lab", "/ro" + "ot/", "/home" + "/", "/opt/" + "pypi", "../sha" + "red"]
    bad = re.compile("|".join(map(re.escape, hosts + paths)).encode())
    found = {}
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content[:8000] and (match := bad.search(content)):
            found[str(path.relative_to(ROOT))] = match.group().decode()
    assert not found


# ---- the command line


def test_help_names_every_command_without_importing_torch():
    code = "import sys\nfrom sslab.cli import main\ntry: main(['--help'])\nfinally: print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(re.search(rf"^  {name} +[A-Z]", out, re.MULTILINE) for name in ("lab", "doctor", "course"))
    assert out.splitlines()[-1] == "False"


@pytest.mark.parametrize("words", [["lab", "--help"], ["doctor", "--help"], ["course", "--help"], ["--version"]])
def test_each_command_explains_itself(words):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0 and result.output


def test_import_adds_little_to_torch():
    """Everything under `import sslab` and its main parts takes less than half of torch's own import, in the same process."""
    code = "import torch, sslab, sslab.datasets, sslab.views, sslab.encoders, sslab.objectives, sslab.training, sslab.evaluation"

    def of_torchs():
        lines = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
        ).stderr
        rows = re.findall(r"import time: +\d+ \| +(\d+) \| (sslab[\w.]*|torch)$", lines, re.MULTILINE)
        took = {name: int(cumulative) for cumulative, name in rows}  # one space: the outermost imports only
        return sum(took.values()) / took["torch"] - 1 if "sslab" in took else math.inf

    assert min(of_torchs() for _ in range(3)) < 0.5


def test_heavy_libraries_are_not_imported_with_the_package():
    heavy = ["sklearn", "umap", "matplotlib", "PIL", "pooch", "ipywidgets", "anywidget", "scipy"]
    code = (
        "import sys, sslab, sslab.datasets, sslab.views, sslab.encoders, sslab.objectives, sslab.training, "
        f"sslab.evaluation; print([name for name in {heavy} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


# ---- sslab lab


def test_lab_answers_with_its_token_and_stops(tmp_path):
    """The real server: the printed address opens the notebook, without the token nothing opens, SIGTERM ends it."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
                       "JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "PYTHONUNBUFFERED": "1"}  # fmt: skip
        server = subprocess.Popen(
            [sys.executable, "-m", "sslab", "lab", "--no-open", "--port", str(port)],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            stderr=(tmp_path / "log").open("w"),
        )  # fmt: skip
        try:
            lines = []
            for line in server.stdout:
                lines.append(line.strip())
                if "token=" in line:
                    break
            assert lines and "token=" in lines[-1], (tmp_path / "log").read_text()
            assert f"port {port} is busy: using" in lines[0]
            url, token = lines[-1].split("?token=")
            used = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/lab/tree/00_start_here\.ipynb", url).group(1)
            assert int(used) > port and len(token) >= 32

            with urllib.request.urlopen(lines[-1], timeout=30) as answer:
                page = answer.read()
            assert b"JupyterLab" in page and b"apputils-extension:announcements" in page     # switched off
            api = f"http://127.0.0.1:{used}/api"
            with urllib.request.urlopen(f"{api}/contents/00_start_here.ipynb?content=0&token={token}", timeout=30) as answer:
                assert json.load(answer)["type"] == "notebook"
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{api}/contents", timeout=30)
        finally:
            server.terminate()
            server.wait(30)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(used))) != 0       # Jupyter ended with it


def test_unknown_notebook_is_answered_with_those_there_are():
    result = CliRunner().invoke(cli.main, ["lab", "--no-open", "--notebook", "99_nothing.ipynb"])
    assert result.exit_code == 1
    assert "99_nothing.ipynb" in result.output and "00_start_here.ipynb" in result.output


def test_an_address_of_another_machine_is_refused_in_words():
    with pytest.raises(OSError, match="--ip: got 192.0.2.1"):
        serve.free_port(8888, "192.0.2.1")


def test_root_is_allowed_and_the_browser_is_optional(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    words = serve.command(ROOT, "a.ipynb", 8888, "127.0.0.1", open_browser=False)
    assert words[0] == sys.executable and "--allow-root" in words and "--no-browser" in words
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    words = serve.command(ROOT, "a.ipynb", 8888, "127.0.0.1", open_browser=True)
    assert "--allow-root" not in words and "--no-browser" not in words
    assert not any("token" in word for word in words)                # Jupyter makes its own


def test_address_on_every_interface_opens_on_this_machine():
    info = {"hostname": "0.0.0.0", "url": "http://box:8899/", "port": 8899, "base_url": "/", "token": "abc"}
    assert serve.address(info, "a.ipynb") == "http://127.0.0.1:8899/lab/tree/a.ipynb?token=abc"


def test_a_wheel_copies_the_notebooks_once_and_overwrites_nothing(tmp_path, monkeypatch):
    shipped = tmp_path / "site" / "sslab" / "_notebooks"
    (shipped / "solutions").mkdir(parents=True)
    for name in ("00_a.ipynb", "01_b.ipynb", "solutions/00_a.ipynb"):
        (shipped / name).write_text("as shipped")
    monkeypatch.setattr(serve.ledger, "folder", lambda: shipped)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")

    said = []
    folder = serve.notebooks_folder(said.append)
    assert folder == tmp_path / "mine" / "sslab-notebooks" and "3 notebooks copied" in said[0]
    (folder / "00_a.ipynb").write_text("my work")
    (folder / "01_b.ipynb").unlink()

    said.clear()
    serve.notebooks_folder(said.append)
    assert (folder / "00_a.ipynb").read_text() == "my work"
    assert (folder / "01_b.ipynb").read_text() == "as shipped"
    assert len(said) == 2 and "1 notebooks copied" in said[0] and "kept yours: 00_a.ipynb" in said[1]


# ---- sslab doctor


def test_doctor_says_what_was_found():
    facts = {fact.name: fact for fact in doctor.examine()}
    assert list(facts) == ["python", "torch", "cores", "precision", "ipykernel", "jupyter", "kernelspec", "data"]
    assert not [str(fact) for fact in facts.values() if fact.state == "broken"]
    assert re.search(r"[\d,]+ views/s", facts["precision"].text)
    assert all("\n" not in str(fact) for fact in facts.values())


@pytest.mark.parametrize("found, state", [("7.1.0", "ok"), ("7.3.9", "ok"), ("7.4.0", "warn"), ("6.29.5", "warn"), ("8.0", "warn")])
def test_doctor_warns_of_a_kernel_outside_the_range(monkeypatch, found, state):
    monkeypatch.setattr(doctor, "version", lambda name: found)
    assert doctor._kernel()[0] == state


def test_doctor_names_a_damaged_file_and_exits_with_1(tmp_path, monkeypatch):
    damaged = tmp_path / "data"
    shutil.copytree(ROOT / "data", damaged)
    with (damaged / "digits_test5000.png").open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    monkeypatch.setenv("SSLAB_DATA", str(damaged))
    result = CliRunner().invoke(cli.main, ["doctor"])
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("broken")]
    assert "digits_test5000.png" in line


def test_doctor_survives_a_check_that_fails(monkeypatch):
    def fails():
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "_precision", fails)
    facts = {fact.name: fact for fact in doctor.examine()}
    assert facts["precision"].state == "broken" and "no such thing" in facts["precision"].text
    assert facts["data"].state == "ok"


# ---- links to other places


def test_links_and_install_cell_come_from_the_project_file():
    address = PROJECT["urls"]["Repository"]
    owner_and_name = address.removeprefix("https://github.com/")
    line = badges.badge_markdown("07_contrastive_simclr")
    for place in ("colab.research.google.com/github/", "kaggle.com/", "mybinder.org/v2/gh/"):
        assert place in line
    assert line.count(owner_and_name) == 3 and line.count("07_contrastive_simclr.ipynb") == 3
    assert "![" not in line                                          # nothing is fetched when a notebook is opened
    assert address in badges.install_cell()


def test_install_cell_does_nothing_where_the_package_is_there():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    ran = []
    shell.run_line_magic = lambda name, line, *rest, **options: ran.append((name, line))
    shell.run_cell(badges.install_cell()).raise_error()
    assert ran == []


# ---- no network


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com", "2001:db8::1"])
def test_a_connection_out_of_this_machine_is_refused(host):
    with pytest.raises(NetworkBlocked, match="without a network"):
        socket.create_connection((host, 80), timeout=1)
    with pytest.raises(NetworkBlocked), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"x", (host, 53))


def test_subprocesses_have_no_network_either():
    code = "import urllib.request as r\nr.urlopen('http://example.com', timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1 and "tests run without a network" in done.stderr
