"""`sslab train`, `evaluate`, `export` and `Lab.follow`: the folder of a run, and what is said before anything is done."""

import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file

from sslab import cli, encoders, evaluation, runs, training
from sslab.commands import Mistake, parse_knobs, whole_numbers
from sslab.commands import evaluate as evaluating
from sslab.commands import export as exporting
from sslab.commands import train as commands
from sslab.datasets.base import as_floats
from sslab.lab import Lab
from sslab.lab import follow as following
from sslab.lab.follow import CheckpointWatcher, _patched, _view
from sslab.training import checkpoint as checkpoints

DATA = ["--data", "shapes", "--data-option", "n=240"]
QUICK = [*DATA, "--batch-size", "8", "--precision", "float32", "--device", "cpu"]


def sslab(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def train(folder, *words, steps=6):
    return sslab("train", "simclr", *QUICK, "--steps", steps, "--checkpoint", folder, *words)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights_of(folder):
    return checkpoints.read(folder / "checkpoint.safetensors")[0]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of six steps that nobody writes to."""
    folder = tmp_path_factory.mktemp("finished") / "x"
    result = train(folder, "--set", "temperature=0.2", "--set", "rotation=10", "--set", "negatives=on")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "x"))


# ---- train


def test_a_run_is_what_sslab_train_does(finished):
    """Losses and weights against the library, called by hand with the same arguments."""
    data = runs.Asked("simclr", "shapes", data_options={"n": 240}).load_data()
    objective = runs.make_objective("simclr", data, seed=0)
    objective.set(temperature=0.2, rotation=10)
    recipe = training.recipe("simclr", "shapes")
    by_hand = list(training.train(objective, data, steps=6, batch_size=8, precision="float32", device="cpu",
                                  learning_rate=recipe["learning_rate"], weight_decay=recipe["weight_decay"]))
    rows = rows_of(finished)
    assert [row["step"] for row in rows] == list(range(6))
    assert [row["loss"] for row in rows] == [float(step.loss) for step in by_hand]
    assert all(row["terms"] == {name: float(term) for name, term in step.terms.items()} for row, step in zip(rows, by_hand, strict=True))
    assert [row["learning_rate"] for row in rows] == [step.learning_rate for step in by_hand]
    assert all(row["knobs"] == step.knobs for row, step in zip(rows, by_hand, strict=True)) and rows[0]["knobs"]["rotation"] == 10
    saved = weights_of(finished)
    assert all(torch.equal(saved[f"objective.{name}"], value) for name, value in objective.state_dict().items())


def test_the_folder_says_what_was_asked(finished):
    record = json.loads((finished / "run.json").read_text())
    assert record["asked"]["objective"] == "simclr" and record["asked"]["knobs"] == {"temperature": 0.2, "rotation": 10.0, "negatives": True}
    assert record["card"]["name"] == "shapes" and record["made"]["versions"]["torch"] == torch.__version__
    assert record["steps"] == 6 and record["asked"]["options"]["batch_size"] == 8
    assert json.loads((finished / "state.json").read_text())["state"] == "finished"
    last = rows_of(finished)[-1]
    assert last["views_per_second"] > 0 and last["seconds"] > 0 and last["gauges"]["levels"] and 0 <= last["gauges"]["std"] <= 1.1
    objective, data = runs.load(finished)
    assert objective.temperature == 0.2 and objective.steps_done == 6 and data.name == "shapes"
    assert sorted(p.name for p in finished.iterdir()) == [".lock", "checkpoint.safetensors", "metrics.jsonl", "run.json", "state.json"]


@pytest.mark.parametrize("words, sentence", [
    (["simclr", "--data", "digit"], r"--data: got 'digit'.*did you mean 'digits'\?"),
    (["simklr", *DATA], r"OBJECTIVE: got 'simklr'.*did you mean 'simclr'\?"),
    (["simclr", *DATA, "--encoder", "resnet19"], r"--encoder: got 'resnet19'.*did you mean 'resnet18'\?"),
    (["simclr", *DATA, "--set", "temprature=0.1"], r"--set: got 'temprature'.*did you mean 'temperature'\?"),
    (["simclr", *DATA, "--set", "temperature=9"], r"--set temperature: got '9', takes a number from 0.02 to 5"),
    (["simclr", *DATA, "--set", "temperature=nan"], r"--set temperature: got 'nan', takes a number"),
    (["simclr", *DATA, "--set", "negatives=maybe"], r"--set negatives: got 'maybe', takes on or off"),
    (["simclr", *DATA, "--set", "temperature"], r"--set: got 'temperature', takes NAME=VALUE"),
    (["simclr", *DATA, "--batch-size", "0"], r"--batch-size: got 0, takes a number above 0"),
    (["simclr", *DATA, "--batch-size", "5000"], r"--batch-size: got 5000, takes at most the number of training images"),
    (["simclr", *DATA, "--steps", "0"], r"--steps: got 0"),
    (["simclr", *DATA, "--epochs", "nan"], r"--epochs: got nan, takes a number above 0"),
    (["simclr", *DATA, "--epochs", "1", "--steps", "1"], r"--epochs: got 1 beside --steps 1; give one"),
    (["simclr", *DATA, "--weight-decay", "-1"], r"--weight-decay: got -1.0, takes a number from 0"),
    (["simclr", *DATA, "--learning-rate", "0"], r"--learning-rate: got 0.0"),
    (["simclr", *DATA, "--warmup", "1"], r"--warmup: got 1.0"),
    (["simclr", *DATA, "--precision", "fp8"], r"--precision: got 'fp8', takes one of auto, float32, bf16"),
    (["simclr", *DATA, "--device", "warp"], r"--device: got 'warp', which cannot be used here"),
    (["simclr", *DATA, "--data-option", "sheets=a"], r"--data-option: got .*'shapes' does not take"),
    (["simclr", "--data", "folder:nowhere"], r"--data: got '.*nowhere', which is not there"),
    (["gpt", *DATA], r"--data: got 'shapes', which is images; gpt learns from text, such as wordnet"),
    (["simclr", "--data", "openclipart"], r"--data: got 'openclipart', which has no training part"),
    (["simclr"], r"got no --data; say for example"),
    ([], r"got no OBJECTIVE; say for example"),
    (["--resume", "--checkpoint", "new"], r"new has no run to go on with"),
])
def test_mistakes_are_said_first_in_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = sslab("train", *words)
    assert result.exit_code == 2 and re.search(sentence, result.output), result.output
    assert len(result.output.splitlines()) == 1 and list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_used_are_said_first(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        result = train(folder)
        assert result.exit_code == 2 and "is a file" in result.output and len(result.output.splitlines()) == 1
    if sys.platform == "linux":                                      # a folder that not even root can write to
        result = train("/proc/new/run")
        assert result.exit_code == 2 and re.search(r"--checkpoint: /proc cannot be written to .*; name a folder", result.output)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000_000))
    result = train(tmp_path / "x")
    assert result.exit_code == 2 and re.search(r"10\.0 MB free, a run needs 1\d\.\d MB \(3 checkpoints of 4\.\d MB\)", result.output), result.output
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_room_asked_for_is_that_of_checkpoints(finished):
    objective, _ = runs.load(finished)
    real = (finished / "checkpoint.safetensors").stat().st_size
    assert real <= runs.checkpoint_bytes(objective) < 1.1 * real


def test_a_run_is_never_overwritten_and_goes_on_as_it_was(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    result = train(run)
    assert result.exit_code == 2 and "has a run already; add --resume" in result.output
    for words, sentence in ((["--seed", "1"], r"--seed: got 1, but .* was trained with 0; leave it out"),
                            (["--learning-rate", "1"], r"--learning-rate: got 1.0, but"),
                            (["--set", "temperature=0.3"], r"--set temperature: got 0.3, but .* was trained with 0.2"),
                            (["byol"], r"OBJECTIVE: got 'byol', but .* was trained with 'simclr'")):
        result = sslab("train", *words, "--checkpoint", run, "--resume")
        assert result.exit_code == 2 and re.search(sentence, result.output), result.output
    result = train(run, "--set", "temperature=0.2", "--resume")
    assert result.exit_code == 0 and "is finished: 6 of 6 steps" in result.output
    assert before == {path.name: path.read_bytes() for path in run.iterdir()}
    (run / "run.json").unlink()
    result = train(run, "--resume")
    assert result.exit_code == 2 and "has no run.json" in result.output


def interrupted(monkeypatch, at, number=signal.SIGINT):
    """A signal to this process after a step."""
    see = commands.Writer.see

    def watched(self, step):
        see(self, step)
        if step.index == at:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(commands.Writer, "see", watched)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_saves_and_says_the_command_that_goes_on(finished, tmp_path, monkeypatch, number, code):
    signal.signal(signal.SIGINT, signal.default_int_handler)         # a shell's background jobs begin without one
    folder = tmp_path / "a run"
    words = ["--set", "temperature=0.2", "--set", "rotation=10"]
    with monkeypatch.context() as patch:
        interrupted(patch, 3, number)
        result = train(folder, *words)
    assert result.exit_code == code and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "Go on from the checkpoint of step 4 of 6 with:" in result.output
    command = shlex.split(result.output.splitlines()[-1])
    assert command[:2] == ["sslab", "train"] and json.loads((folder / "state.json").read_text())["state"] == "stopped"
    result = sslab(*command[1:])
    assert result.exit_code == 0, result.output
    assert same(weights_of(folder), weights_of(finished))
    assert [row["loss"] for row in rows_of(folder)] == [row["loss"] for row in rows_of(finished)]
    assert [again["step"] for again in json.loads((folder / "run.json").read_text())["resumed"]] == [4]


def test_what_a_kill_leaves_is_cut_back_to_the_checkpoint(finished, tmp_path, monkeypatch):
    """Rows after the checkpoint, a line in the middle of its way, a damaged one: none is there twice afterwards."""
    folder = tmp_path / "x"
    words = ["--set", "temperature=0.2", "--set", "rotation=10"]
    with monkeypatch.context() as patch:
        interrupted(patch, 2)
        train(folder, *words)
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({**rows_of(folder)[-1], "step": 3, "loss": 99.0}) + "\n\0\0\0\n" + '{"step": 4, "lo')
    runs.RunFolder(folder).tell("running")
    assert sslab("train", "--checkpoint", folder, "--resume").exit_code == 0
    assert [row["loss"] for row in rows_of(folder)] == [row["loss"] for row in rows_of(finished)]
    assert same(weights_of(folder), weights_of(finished))


def test_killed_before_the_first_checkpoint_begins_anew(run, finished):
    (run / "checkpoint.safetensors").unlink()
    assert sslab("train", "--checkpoint", run, "--resume").exit_code == 0
    assert [row["step"] for row in rows_of(run)] == list(range(6)) and same(weights_of(run), weights_of(finished))


def test_damaged_files_are_said_first(run):
    whole = (run / "checkpoint.safetensors").read_bytes()
    (run / "checkpoint.safetensors").write_bytes(whole[:2000])
    for words in (["train", "--checkpoint", run, "--resume"], ["evaluate", run], ["export", run]):
        result = sslab(*words)
        assert result.exit_code == 2 and "is damaged" in result.output, result.output
    (run / "run.json").write_text("{")
    for words in (["train", "--checkpoint", run, "--resume"], ["evaluate", run], ["export", run]):
        result = sslab(*words)
        assert result.exit_code == 2 and "run.json is damaged" in result.output, result.output


def test_one_process_at_a_time(run):
    (run / "checkpoint.safetensors").unlink()
    folder = runs.RunFolder(run)
    assert not folder.held()
    with folder.lock():
        assert folder.held()
        result = sslab("train", "--checkpoint", run, "--resume")
    assert result.exit_code == 2 and "is being trained in by another process; stop that one first" in result.output
    assert not folder.held()


def test_a_loss_that_is_no_number_ends_with_a_sentence(tmp_path, monkeypatch):
    from sslab.objectives import SimCLR

    forward = SimCLR.forward

    def breaks(self, views):
        loss = forward(self, views)
        self.calls = getattr(self, "calls", 0) + 1
        loss.total = loss.total * (float("nan") if self.calls > 3 else 1)
        return loss

    monkeypatch.setattr(SimCLR, "forward", breaks)
    result = train(tmp_path / "x")
    assert result.exit_code == 1 and "Error: step 3: loss is NaN or infinite" in result.output
    state = json.loads((tmp_path / "x" / "state.json").read_text())
    assert state["state"] == "failed" and "NaN" in state["error"] and len(rows_of(tmp_path / "x")) == 3


def test_epochs_are_counted_as_the_library_counts_them(tmp_path):
    result = sslab("train", "simclr", *QUICK, "--epochs", "0.3", "--checkpoint", tmp_path / "x")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "x" / "run.json").read_text())
    assert record["steps"] == len(rows_of(tmp_path / "x")) == checkpoints.read(tmp_path / "x" / "checkpoint.safetensors")[1]["run"]["steps"]


@pytest.mark.parametrize("total, every", [(1000, 1), (1001, 2), (4300, 5)])
def test_about_a_thousand_rows_and_the_last_step(tmp_path, total, every):
    with open(tmp_path / "m", "w") as file:
        writer = commands.Writer(file, SimpleNamespace(reference_levels=dict, diagnose=lambda z, terms: evaluation.diagnose(z)), 8, total, 100)
        z = torch.randn(16, 2)
        for index in range(total):
            writer.see(SimpleNamespace(index=index, seconds=0.1 * (index + 1), views_per_second=1.0, learning_rate=0.1, knobs={}, projection=None,
                                       loss=torch.tensor(float(index)), terms={}, embedding=z))
    rows = runs.Metrics(tmp_path / "m").new()
    assert [row["step"] for row in rows] == sorted({*range(0, total, every), total - 1})
    assert all(row["loss"] == row["step"] for row in rows) and rows[5]["views_per_second"] == 80.0


def test_knobs_are_read_by_their_kind():
    knobs = runs.make_objective("dino", runs.Asked("dino", "shapes", data_options={"n": 240}).load_data()).knobs
    integer = next(knob for knob in knobs.values() if knob.integer)
    switch = next(knob for knob in knobs.values() if knob.kind == "switch")
    for text, value in (("on", True), ("TRUE", True), ("1", True), ("off", False), ("false", False), ("No", False)):
        assert parse_knobs(knobs, {switch.name: text}) == {switch.name: value}
    low = int(integer.low)
    assert parse_knobs(knobs, {integer.name: str(low)}) == {integer.name: low}
    with pytest.raises(Mistake, match=f"--set {integer.name}: got '{low}.5', takes a whole number from"):
        parse_knobs(knobs, {integer.name: f"{low}.5"})
    from sslab.objectives import CLIP

    choice = {"caption": CLIP.caption}
    assert parse_knobs(choice, {"caption": "any"}) == {"caption": "any"}
    with pytest.raises(Mistake, match=r"--set caption: got 'anny', takes one of .*did you mean 'any'"):
        parse_knobs(choice, {"caption": "anny"})
    assert whole_numbers("5,1", "--labels") == (1, 5)
    for text in ("", "1,x", "0", "-1"):
        with pytest.raises(Mistake, match="--labels: got"):
            whole_numbers(text, "--labels")


# ---- several processes


def two_processes(*words, ranks=(0, 1)):
    """Both processes of `python -m sslab`, as torchrun starts them: exit code, stdout and stderr of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0"}
    started = [subprocess.Popen([sys.executable, "-m", "sslab", *map(str, words)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in ranks]
    try:
        said = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *each) for process, each in zip(started, said, strict=True)]


def test_two_processes_make_one_run(tmp_path):
    """The first one writes and speaks; the numbers are those of one process, views are counted over both."""
    folder = tmp_path / "two"
    first, second = two_processes("train", "simclr", *QUICK, "--steps", 6, "--checkpoint", folder)
    assert first[0] == 0 and second == (0, "", ""), (first, second)
    assert first[1].count("Finished: 6 steps") == 1 and first[2].count("SimCLR on shapes: 6 steps") == 1 and "2 processes" in first[2]
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "checkpoint.safetensors", "metrics.jsonl", "run.json", "state.json"]
    assert runs.RunFolder(folder).read()["made"]["processes"] == 2 and runs.RunFolder(folder).state()["state"] == "finished"
    rows = rows_of(folder)
    assert [row["step"] for row in rows] == list(range(6))
    for before, row in itertools.pairwise(rows):
        assert row["views_per_second"] * (row["seconds"] - before["seconds"]) == pytest.approx(16, rel=2e-2)       # 8 pictures, 2 views
    assert train(tmp_path / "one").exit_code == 0
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in rows_of(tmp_path / "one")], rel=2e-2)
    assert rows[0]["loss"] == pytest.approx(rows_of(tmp_path / "one")[0]["loss"], rel=1e-5)


def as_process(monkeypatch, rank):
    for name, value in {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "x", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))


def test_evaluate_and_export_are_done_by_the_first_process(run, monkeypatch):
    as_process(monkeypatch, 1)
    for words in (("evaluate", run), ("export", run)):
        result = sslab(*words)
        assert result.exit_code == 0 and result.output == ""
    assert sorted(path.name for path in run.iterdir()) == [".lock", "checkpoint.safetensors", "metrics.jsonl", "run.json", "state.json"]
    as_process(monkeypatch, 0)                                       # and waits for nobody
    assert sslab("evaluate", run, "--labels", "1", "--draws", "2").exit_code == 0
    assert len(json.loads((run / "evaluation.json").read_text())["evaluations"]) == 1
    assert sslab("export", run).exit_code == 0 and (run / "encoder.safetensors").exists()


def test_the_first_process_says_mistakes_and_others_theirs_a_moment_later(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(commands.time, "sleep", waited.append)
    words = ("--data", "nothing-of-the-kind", "--checkpoint", tmp_path / "x")
    as_process(monkeypatch, 0)
    first = sslab("train", "simclr", *words)
    assert first.exit_code == 2 and first.output.startswith("Error: --data: got 'nothing-of-the-kind'") and not waited
    as_process(monkeypatch, 1)
    second = sslab("train", "simclr", *words)
    assert second.exit_code == 2 and second.output.startswith("Error: process 1: --data: got") and waited == [commands.LATER]


@pytest.mark.slow
def test_torchrun_stops_and_goes_on_and_is_finished(tmp_path):
    """Ctrl-C to torchrun saves once in both; more steps in two processes again, then nothing is left to do."""
    folder = tmp_path / "x"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "sslab", "train"]
    process = subprocess.Popen([*torchrun, "simclr", *QUICK, "--steps", "60", "--checkpoint", str(folder)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    wait_for_rows(folder, 3, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=90)[1]
    state, saved = runs.RunFolder(folder).state(), runs.RunFolder(folder).saved()
    assert state["state"] == "stopped" and 3 <= saved == state["step"] < 60, said
    assert said.count("Stopped and saved.") == 1 and "torchrun --nproc-per-node 2 -m sslab train --checkpoint" in said
    for times, words in ((1, "Finished: 60 steps"), (1, "is finished: 60 of 60 steps")):
        done = subprocess.run([*torchrun, "--checkpoint", str(folder), "--resume"], check=False, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert done.returncode == 0 and done.stdout.count(words) == times, (done.stdout, done.stderr)
    assert [row["step"] for row in rows_of(folder)] == list(range(60))
    assert runs.RunFolder(folder).read()["resumed"][0]["processes"] == 2


KILLED = ["train", "simclr", *QUICK, "--steps", "40", "--checkpoint-every", "3"]


def start(folder, *words):
    return subprocess.Popen([sys.executable, "-m", "sslab", *KILLED, "--checkpoint", str(folder), *words], stderr=subprocess.PIPE, text=True)


def wait_for_rows(folder, count, process):
    while process.poll() is None and not ((folder / "metrics.jsonl").exists() and len(runs.Metrics(folder / "metrics.jsonl").new()) >= count):
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_with_9_wherever_it_is_goes_on(tmp_path):
    assert sslab(*KILLED, "--checkpoint", tmp_path / "whole").exit_code == 0
    folder = tmp_path / "killed"
    for rows in (0, 2, 9, 22):
        process = start(folder, "--resume")
        wait_for_rows(folder, rows, process)
        process.kill()
        process.wait()
    assert start(folder, "--resume").wait() == 0
    assert same(weights_of(folder), weights_of(tmp_path / "whole"))
    steps = [row["step"] for row in rows_of(folder)]
    assert len(set(steps)) == len(steps) and steps == sorted(steps)
    assert len(set(range(40)) - set(steps)) <= 4, "a kill between a save and its row may lose that row only"


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(tmp_path):
    process = start(tmp_path / "x")
    wait_for_rows(tmp_path / "x", 5, process)
    process.send_signal(signal.SIGSTOP)                              # both arrive before the step ends
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and "sslab train --checkpoint" in said


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of file sizes here")
def test_a_disk_that_fills_while_it_trains(tmp_path):
    code = ("import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, -1));"
            "from sslab.cli import main; main(sys.argv[1:])")
    process = subprocess.run([sys.executable, "-c", code, *KILLED, "--checkpoint", str(tmp_path / "x")], capture_output=True, text=True, check=False)
    assert process.returncode == 1 and "could not be written" in process.stderr and "nothing is saved yet" in process.stderr
    assert "Traceback" not in process.stderr and json.loads((tmp_path / "x" / "state.json").read_text())["state"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("objective, data", [("gpt", "text:mine"), ("bert", "wordnet"), ("clip", "emoji-pairs"), ("mae", "fashion")])
def test_every_kind_from_training_to_export(tmp_path, monkeypatch, objective, data):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "x"
    if objective == "gpt":
        for name, words in (("a", "the sun is over the hill and the sea is calm "), ("b", "a ship went by night without a light ")):
            (tmp_path / "mine" / name).mkdir(parents=True)
            for number in range(30):
                (tmp_path / "mine" / name / f"{number}.txt").write_text(f"{number} " + words * (100 + number))
    result = sslab("train", objective, "--data", data, "--steps", 3, "--batch-size", 8, "--precision", "float32", "--checkpoint", folder)
    assert result.exit_code == 0, result.output
    monkeypatch.chdir(Path.home())                                   # a path of one's own is kept whole
    result = sslab("evaluate", folder, *([] if objective == "gpt" else ["--labels", "1,5"]), "--draws", 2)
    assert result.exit_code == 0 and "Features: effective rank" in result.output, result.output
    for row in {"gpt": ["no labels"], "bert": ["TF-IDF", "random encoder"]}.get(objective, ["raw pixels", "random encoder"]):
        assert row in result.output
    result = sslab("export", folder, "--format", "torchscript")
    assert result.exit_code == 0, result.output
    lab = Lab.follow(folder, share=1.0)
    assert lab.join(60) and lab.state == "finished" and lab.run.watcher.picture is not None
    assert (lab.history[-1]["probe"] is None) == (objective == "gpt")
    if objective == "clip":
        lab.ask("a red heart")
        assert lab.readings["your phrase"].found


# ---- evaluate


def test_an_evaluation_is_what_the_library_measures(run):
    result = sslab("evaluate", run, "--labels", "1,2", "--draws", 2, "--neighbours", 7)
    assert result.exit_code == 0, result.output
    (entry,) = json.loads((run / "evaluation.json").read_text())["evaluations"]
    assert entry["on"] == "validation" and entry["labels"] == [1, 2] and list(entry["rows"]) == ["encoder", "raw pixels", "random encoder"]
    objective, data = runs.load(run)
    expected = evaluation.label_efficiency(objective.encoder, data, (1, 2), 2, on="validation")
    assert entry["rows"]["encoder"]["fixed"] == {str(k): v for k, v in expected.fixed.items()}
    x, y = evaluation.features(objective.encoder, data.train.images), data.train.labels
    q, truth = evaluation.features(objective.encoder, data.validation.images), data.validation.labels
    right = 0
    for one, label in zip(q, truth, strict=True):                    # neighbour by neighbour
        cosine = torch.nn.functional.cosine_similarity(one[None], x)
        votes = torch.zeros(data.num_classes)
        for index in cosine.argsort(descending=True)[:7]:
            votes[y[index]] += (cosine[index] / 0.07).exp()
        right += int(votes.argmax() == label)
    assert entry["rows"]["encoder"]["knn"] == pytest.approx(right / len(q), abs=1.01 / len(q))
    assert re.search(r"encoder +0\.\d{3} +0\.\d{3} ± \d\.\d{3} +0\.\d{3} ± \d\.\d{3}\nraw pixels", result.output), result.output
    assert "Test has not been asked for" in result.output and "Projection: effective rank" in result.output


def test_test_is_read_when_asked_for_and_it_is_written_down(run, monkeypatch):
    seen = {"effective_rank": 3.0, "dimensions": 8, "text": "Healthy."}
    monkeypatch.setattr(evaluating, "measure", lambda objective, data, budgets, draws, neighbours, on, say: {
        "on": on, "rows": {}, "features": seen, "projection": seen})
    assert "Test is read now" in sslab("evaluate", run, "--labels", "1", "--draws", 1, "--on", "test").output
    second = sslab("evaluate", run, "--labels", "1", "--draws", 1, "--on", "test").output
    assert "Test was read before for this run (1 times" in second
    assert [entry["on"] for entry in json.loads((run / "evaluation.json").read_text())["evaluations"]] == ["test", "test"]


@pytest.mark.parametrize("words, sentence", [
    (["--labels", "1,5000"], r"--labels: got 5000 a class, takes at most \d+"), (["--labels", "x"], r"--labels: got 'x', takes whole numbers"),
    (["--neighbours", "100000"], r"--neighbours: got 100000, takes at most the number of labelled")])
def test_evaluations_that_cannot_be_are_said(run, words, sentence):
    result = sslab("evaluate", run, *words)
    assert result.exit_code == 2 and re.search(sentence, result.output), result.output
    assert not (run / "evaluation.json").exists()


def test_an_evaluation_of_nothing_and_a_damaged_one(run, tmp_path):
    result = sslab("evaluate", tmp_path / "nothing")
    assert result.exit_code == 2 and "has no run.json; takes a folder that `sslab train` made" in result.output
    (run / "evaluation.json").write_text("mine")
    result = sslab("evaluate", run)
    assert result.exit_code == 2 and "not overwritten" in result.output and (run / "evaluation.json").read_text() == "mine"
    (run / "checkpoint.safetensors").unlink()
    (run / "evaluation.json").unlink()
    assert "has no checkpoint yet" in sslab("evaluate", run).output


def test_data_without_labels_is_diagnosed_only():
    data = runs.Asked("simclr", "shapes", data_options={"n": 240}).load_data()
    unlabelled = SimpleNamespace(**{name: SimpleNamespace(inputs=getattr(data, name).images, labels=-torch.ones(len(getattr(data, name))).long())
                                    for name in ("train", "validation", "test")}, num_classes=0, name="mine")
    objective = runs.make_objective("simclr", data)
    objective.steps_done = 0
    found = evaluating.measure(objective, unlabelled, None, 2, 5, "validation", lambda line: None)
    assert found["rows"] == {} and found["features"]["dimensions"] == 128
    assert "no labels" in evaluating.table({**found}, "mine")
    with pytest.raises(ValueError, match="labels: got 5, but 'mine' has no labels"):
        evaluating.measure(objective, unlabelled, (5,), 2, 5, "validation", lambda line: None)


# ---- export


def test_the_exported_encoder_gives_the_encoders_features(run):
    objective, data = runs.load(run)
    images = data.test.images[:7]
    expected = evaluation.features(objective.encoder, images)
    for kind in ("safetensors", "torchscript"):
        assert sslab("export", run, "--format", kind).exit_code == 0
    scripted = torch.jit.load(run / "encoder.torchscript.pt")
    torch.testing.assert_close(scripted(as_floats(images)), expected, atol=1e-5, rtol=1e-5)
    card = json.loads((run / "encoder.torchscript.pt.json").read_text())
    assert card["input"]["shape"] == ["batch", 3, 32, 32] and card["input"]["range"] == [0, 1] and "divided by 255" in card["input"]["scaling"]
    file = run / "encoder.safetensors"
    card = json.loads(file.with_name(file.name + ".json").read_text())
    again = encoders.Encoder(card["encoder"]["name"], tuple(card["encoder"]["shape"]), **card["encoder"]["options"])
    again.load_state_dict(load_file(file))
    torch.testing.assert_close(evaluation.features(again, images), expected)
    with safe_open(file, "pt") as opened:
        assert json.loads(opened.metadata()["sslab"]) == card


def test_an_export_overwrites_only_by_force(run, tmp_path):
    output = tmp_path / "mine.pt"
    card = tmp_path / "mine.pt.json"
    for mine in (output, card):
        mine.write_text("mine")
        result = sslab("export", run, "--format", "torchscript", "--output", output)
        assert result.exit_code == 2 and f"{mine} is there already; add --force" in result.output and mine.read_text() == "mine"
        mine.unlink()
    output.write_text("mine")
    assert sslab("export", run, "--format", "torchscript", "--output", output, "--force").exit_code == 0
    torch.jit.load(output)
    assert "is no folder" in sslab("export", run, "--output", tmp_path / "no" / "x").output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.pt", "mine.pt.json", "x"]


def test_onnx_without_its_package_is_one_sentence(run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = sslab("export", run, "--format", "onnx")
    assert result.exit_code == 2 and result.output == ("Error: --format: onnx needs onnx and onnxscript, not installed here; "
                                                       "pip install onnx onnxscript, or take torchscript\n")


@pytest.mark.skipif(not all(map(importlib.util.find_spec, ("onnx", "onnxscript", "onnxruntime"))), reason="onnx is not installed")
def test_onnx_gives_the_encoders_features(run):
    import onnxruntime

    assert sslab("export", run, "--format", "onnx").exit_code == 0
    objective, data = runs.load(run)
    session = onnxruntime.InferenceSession(str(run / "encoder.onnx"), providers=["CPUExecutionProvider"])
    given = session.run(None, {"input": as_floats(data.test.images[:9]).numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(given), evaluation.features(objective.encoder, data.test.images[:9]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name, shape", [("vit", (3, 32)), ("transformer", (50, 16)), ("conv", (1, 28))])
def test_any_encoder_is_scripted_for_any_number_of_rows(tmp_path, name, shape):
    encoder = encoders.create(name, shape)
    generator = torch.Generator().manual_seed(0)
    if name == "transformer":
        inputs = torch.randint(5, 50, (40, 16), generator=generator)
        inputs[::2, 9:] = 0                                          # padding
    else:
        inputs = torch.randint(0, 256, (40, shape[0], shape[1], shape[1]), generator=generator, dtype=torch.uint8)
    data = SimpleNamespace(train=SimpleNamespace(inputs=inputs))
    exporting.write(encoder, data, tmp_path / "e.pt", "torchscript", {})
    given = torch.jit.load(tmp_path / "e.pt")(inputs if name == "transformer" else as_floats(inputs))
    torch.testing.assert_close(given, evaluation.features(encoder, inputs), atol=1e-5, rtol=1e-4)


def test_a_file_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    encoder = encoders.create("conv", (1, 28), width=8)
    data = SimpleNamespace(train=SimpleNamespace(inputs=torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8)))
    monkeypatch.setattr(exporting, "exported", lambda encoder: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 32)))
    with pytest.raises(ValueError, match="torchscript: the exported encoder's features differ"):
        exporting.write(encoder, data, tmp_path / "e.pt", "torchscript", {})
    assert list(tmp_path.iterdir()) == []


# ---- Lab.follow


@pytest.fixture
def quick(monkeypatch):
    """Looks at the measurements fifty times a second."""
    monkeypatch.setattr(following, "EVERY", 0.02)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_a_finished_run_is_seen_whole(finished):
    lab = Lab.follow(finished, share=1.0)
    assert lab.join(30) and lab.state == "finished"
    written = rows_of(finished)
    assert [row["loss"] for row in lab.history] == [row["loss"] for row in written]
    assert lab.history[-1]["std"] == written[-1]["gauges"]["std"] and lab.values == written[-1]["knobs"]
    objective, data = runs.load(finished)
    assert same(dict(lab.objective.encoder.state_dict()), dict(objective.encoder.state_dict()))
    assert 0 <= lab.history[-1]["probe"] <= 1 and set(lab.controls) == {"chance", "raw pixels", "random encoder"}
    picture = lab.run.watcher.picture
    torch.testing.assert_close(picture.features, evaluation.features(objective.encoder, data.validation.images[lab.run.watcher.shown]))
    assert "Finished elsewhere" in lab.status and "of the checkpoint of step 6" in lab.status
    for act in (lab.start, lab.pause, lab.reset, lambda: lab.set(temperature=1), lambda: lab.swap("byol")):
        with pytest.raises(RuntimeError, match="it cannot be changed from here"):
            act()


def test_rows_arrive_as_they_are_written_and_a_resumed_run_is_read_anew(run, quick):
    rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(rows[:2]))
    folder = runs.RunFolder(run)
    with folder.lock():
        folder.tell("running")
        lab = Lab.follow(run, share=0)
        until(lambda: len(lab.history) == 2)
        assert lab.state == "running" and "step 2 of 6" in lab.status and "share is 0" in lab.status
        with open(run / "metrics.jsonl", "a") as file:
            file.write(rows[2] + rows[3][:20])
            file.flush()
            until(lambda: len(lab.history) == 3)
            file.write(rows[3][20:])
            file.flush()
            until(lambda: len(lab.history) == 4)
        runs.cut(run / "metrics.jsonl", 1)
        until(lambda: [row["step"] for row in lab.history] == [0])
        with open(run / "metrics.jsonl", "a") as file:
            file.writelines(rows[1:])
        folder.tell("failed", error="FloatingPointError: step 5")
        assert lab.join(20)
    assert lab.state == "failed" and len(lab.history) == 6 and "FloatingPointError: step 5" in lab.status


def test_a_run_whose_process_is_gone_ends(run):
    runs.RunFolder(run).tell("running")                              # nobody holds the folder
    lab = Lab.follow(run, share=0)
    assert lab.join(20) and lab.state == "stopped" and "its process is gone" in lab.status and "--resume" in lab.status


def test_without_its_data_there_are_curves_and_a_reason(run, quick):
    record = json.loads((run / "run.json").read_text())
    record["asked"].update(data="folder:/nowhere/else", data_options={})
    (run / "run.json").write_text(json.dumps(record))
    lab = Lab.follow(run)
    assert lab.join(20) and len(lab.history) == 6 and re.search(r"No map: path: got '/nowhere/else'", lab.status)
    assert lab._repr_mimebundle_()["image/png"]                      # the picture is drawn without a map
    with pytest.raises(RuntimeError, match="No map"):
        lab.map(), lab.ask("x")


def test_following_nothing_and_nonsense(tmp_path, finished):
    with pytest.raises(ValueError, match=r"run: got .*, which has no run\.json"):
        Lab.follow(tmp_path)
    for share in (-1, 2, True, "x"):
        with pytest.raises(ValueError, match="share: got .*, takes a number from 0 to 1"):
            Lab.follow(finished, share=share)


def test_the_dashboard_of_a_followed_run(run):
    """No knobs, no buttons; the right progress, and a late probe is sent with its row."""
    pytest.importorskip("anywidget")
    lab = Lab.follow(run, share=1.0)
    assert lab.join(30)
    lab._make_dashboard()
    sent = []
    lab.dashboard.bridge.send = lambda content, buffers: sent.append(content)
    lab.dashboard.bridge.receive({"kind": "hello", "view": "a"})
    content = sent[-1]
    assert content["kind"] == "state" and content["knobs"] == [] and content["steps"] == content["total"] == 6
    assert content["objectives"] == ["simclr"] and content["values"] == lab.values and "points" in content["layout_of_buffer"]
    lab.dashboard.bridge.receive({"kind": "ack", "view": "a", "number": content["number"]})
    lab.run.changed = 2
    lab.dashboard.bridge.tell()
    assert sent[-1]["kind"] == "frame" and sent[-1]["from"] == 2
    lab.dashboard.bridge.receive({"kind": "ack", "view": "a", "number": sent[-1]["number"]})
    lab.dashboard.bridge.receive({"kind": "set", "view": "a", "values": {"temperature": 1.0}})
    assert any("cannot be changed from here" in content["notice"] for content in sent)


def test_the_script_of_a_followed_run_is_that_of_a_lab_with_less():
    pytest.importorskip("anywidget")
    from sslab.lab.widget import Dashboard

    script = _view()._esm
    assert script.count("export default") == 1 and "class FollowView extends View" in script
    assert "this.rows.length;" not in _patched(Dashboard._esm).split("lastStep(Math.max(steps")[0].split("  draw() {")[-1]


def test_nobody_holds_it_and_its_thread_ends(run, quick):
    runs.RunFolder(run).tell("running", host="elsewhere")
    lab = Lab.follow(run, share=0)
    thread = lab.run.thread
    assert not isinstance(lab.run.watcher, CheckpointWatcher)
    del lab
    thread.join(5)
    assert not thread.is_alive()
