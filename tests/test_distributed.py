"""Several processes against one with the whole batch: two of gloo for everything, threads where a plant or a naive formula is enough.

The file is also the script that the two processes run.
"""

import copy
import json
import math
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from sslab import encoders, objectives, training
from sslab.objectives import across, nt_xent
from sslab.testing import _all_at_once, _Threads, check_processes
from sslab.training import checkpoint as checkpoints
from sslab.training import distributed
from sslab.views import Augment

ROOT = Path(__file__).resolve().parent.parent
# What is looked at beside each objective as it is.
KNOBS = {"simclr": [{"output_norm": True}, {"positives_shuffled": True}], "moco": [{"queue": False}, {"symmetric": False}],
         "dino": [{"local_views": 2}], "swav": [{"balanced": False}], "vae": [{"free_bits": 0.3}],
         "mae": [{"loss_on": "all"}, {"constant_code": True}], "ijepa": [{"stop_gradient": False}],
         "bert": [{"sentence_pair": False}, {"context": 8, "mask_share": 0.5}], "roberta": [{"loss_on": "all"}], "clip": [{"frozen_image": True}],
         "siglip": [{"shuffled_captions": True}], "colourisation": [{"answer": "mean"}]}
CASES = [(name, knobs) for name in objectives.names() for knobs in ({}, *KNOBS.get(name, ()))]


def kind_of(name):
    return next(kind for kind in ("images", "text", "pairs") if name in objectives.names(kind))


def make(name, **options):
    """Any objective, as small as it goes: pictures of 3 x 12 x 12, texts of 16 out of 50 tokens."""
    kind, text = kind_of(name), {"dim": 16, "depth": 1, "heads": 2}
    if kind == "text":
        long = name == "bert"                                        # pieces of long texts; the others get texts that end
        encoder = objectives.encoder_for(name, SimpleNamespace(vocabulary=50, context=16, padded=not long, continuous=long))
        return objectives.create(name, encoders.create("transformer", (50, 16), **{**encoder.options, **text, "continuous": long}),
                                 **options)
    patches = name in ("mae", "ijepa")
    encoder = encoders.create(*(("vit", (3, 12)) if patches else ("conv", (3, 12))), **({"patch": 4, **text} if patches else {"width": 4}))
    if kind == "pairs":
        options["text"] = objectives.text_tower_for((50, 16), **text)
    if name == "supervised":
        options["classes"] = 3
    if name in objectives.names("images") and objectives.views_for(name, "emoji").values() != Augment().values():
        options["views"] = Augment(crop=0.5, brightness=0.3)
    return objectives.create(name, encoder, **options)


def check(name, knobs, **options):
    kind = kind_of(name)
    return check_processes(lambda: make(name, **knobs), 3, 12, vocabulary=None if kind == "images" else 50,
                           pairs=kind == "pairs", **options)


# ---- a small training in float64: AdamW divides by gradients, so that rounding would show in float32

IMAGES = torch.rand(64, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
DATA = SimpleNamespace(train=SimpleNamespace(images=IMAGES, labels=torch.arange(64) % 3))
QUICK = {"steps": 8, "batch_size": 16, "precision": "float32", "device": "cpu", "seed": 4}
TRAINED = ("simclr", "moco")                                         # batch norm and a gather; a teacher and a queue


def fresh(name="simclr", seed=0, **options):
    torch.manual_seed(seed)
    return make(name, **options).double()


def trained(objective, steps=None, **options):
    """Train, all the steps or so many; losses and weights."""
    losses, run = [], training.train(objective, DATA, **QUICK, **options)
    for step in run:
        losses.append(float(step.loss))
        if len(losses) == steps:
            run.close()
            break
    return losses, objective.state_dict()


def close(ones, others):
    return all(torch.allclose(one.double(), other.double(), rtol=1e-5, atol=1e-7)
               for one, other in zip(ones.values(), others.values(), strict=True))


# ---- what each of the two processes does


class NaNInOne(objectives.SimCLR):
    def forward(self, views):
        loss = super().forward(views)
        if across.processes() > 1 and torch.distributed.get_rank() == 1 and self.temperature < 0.2:
            loss.total = loss.total * math.nan
        return loss


def work(folder: Path) -> None:
    """Write what was found as JSON, one file a process."""
    torch.set_num_threads(1)
    rank, found = int(os.environ["RANK"]), {}
    found["first"], found["processes"] = distributed.first(), distributed.processes()
    with pytest.raises(ValueError, match=r"batch_size: got 15, takes a multiple of the number of processes \(2\)"):
        training.train(fresh(), DATA, **{**QUICK, "batch_size": 15})
    with pytest.raises(ValueError, match="seed: got 1 in process 1, takes 0 as in process 0"):
        next(training.train(fresh(), DATA, **{**QUICK, "seed": rank}))
    assert torch.distributed.is_initialized() and torch.distributed.get_backend() == "gloo"

    for name in TRAINED:
        different = fresh(name, seed=rank)                           # the first process's weights count
        if rank == 0:
            different.set(temperature=0.3)                           # and its knobs
        losses, weights = trained(different, checkpoint=folder / f"{name}-two")
        assert type(different.encoder.net.stem[1]) is nn.BatchNorm2d
        save_file({key: value.contiguous() for key, value in weights.items()}, folder / f"{name}-weights-{rank}")
        found[f"{name} losses"] = losses
    trained(fresh(), steps=5, checkpoint=folder / "half-two", checkpoint_every=100)
    found["resumed"] = trained(fresh(seed=rank), checkpoint=folder / "half-one", resume=True)[0]

    broken = NaNInOne(encoders.create("conv", (3, 12), width=4)).double()
    try:
        for step in training.train(broken, DATA, **QUICK):
            if step.index == 1:
                broken.set(temperature=0.1)
    except FloatingPointError as error:
        found["nan"] = str(error)
    try:
        next(training.train(fresh(), DATA, **QUICK, checkpoint=folder / "damaged", resume=True))
    except ValueError as error:
        found["damaged"] = str(error)

    with distributed.alone():
        found["alone"] = trained(fresh(), steps=2 + rank)[0]         # no process waits for the other one
    for name, knobs in CASES:
        try:
            found[f"{name} {knobs}"] = check(name, knobs)
        except AssertionError as error:
            found[f"{name} {knobs}"] = str(error)
    across.gather, gather = loses_gradient, across.gather
    try:
        check("simclr", {})
    except AssertionError as error:
        found["planted"] = str(error)
    across.gather = gather
    unlike = nn.ModuleDict({"both": nn.Linear(2, 1), "one": nn.Linear(2, 1), "none": nn.Linear(2, 1)})
    unlike["both"].weight.grad = torch.full((1, 2), 2.0 + rank)
    if rank == 1:
        unlike["one"].weight.grad = torch.ones(1, 2)
    distributed.average_gradients(across.Group(), unlike)
    found["gradients"] = {name: None if part.weight.grad is None else part.weight.grad[0].tolist() for name, part in unlike.items()}
    (folder / f"found-{rank}.json").write_text(json.dumps(found))


def loses_gradient(x, parts=1):
    """The plant: other processes' rows come without a way back, one's own stay as they are."""
    group = across._group()
    if group is None:
        return x
    every = group.gather(x.detach()).unflatten(1, (parts, -1))       # [W, parts, b, ...]
    own = x.unflatten(0, (parts, -1))
    rows = [own if rank == group.rank else every[rank] for rank in range(group.count)]
    return torch.stack(rows, dim=1).flatten(0, 2)


def loses_gradient_of_mean(x):
    group = across._group()
    return x if group is None else group.gather(x.detach()).mean(dim=0)


def loses_gradient_of_moments(x, dims):
    mean, variance, count = across_moments(x.detach(), dims)
    return mean, variance, count


across_moments = across.moments


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes found, and the folder with what they saved: started once, as torchrun would."""
    folder = tmp_path_factory.mktemp("two")
    trained(fresh(), steps=5, checkpoint=folder / "half-one", checkpoint_every=100)
    (folder / "damaged").write_bytes(b"nothing")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
              "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    workers = [subprocess.Popen([sys.executable, __file__, str(folder)], text=True, stderr=subprocess.PIPE,
                                env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)]
    try:
        said = [worker.communicate(timeout=240)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(said)
    return [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2)], folder


# ---- two processes of gloo


@pytest.mark.parametrize("name, knobs", CASES, ids=[f"{name}-{'-'.join(knobs) or 'as it is'}" for name, knobs in CASES])
def test_two_processes_of_gloo_compute_what_one_does(two, name, knobs):
    for found in two[0]:
        differences = found[f"{name} {knobs}"]
        assert isinstance(differences, dict), differences
        assert differences.keys() == {"loss", "terms", "state", "gradients"} and max(differences.values()) < 1e-6


def test_the_comparison_of_gloo_notices_a_lost_gradient(two):
    assert all("gradients: " in found["planted"] for found in two[0])


@pytest.mark.parametrize("name", TRAINED)
def test_two_processes_train_to_the_weights_of_one(two, name):
    found, folder = two
    losses, weights = trained(fresh(name, temperature=0.3))
    assert found[0][f"{name} losses"] == found[1][f"{name} losses"] == pytest.approx(losses, rel=1e-7)
    both = [load_file(folder / f"{name}-weights-{rank}") for rank in range(2)]
    assert all(torch.equal(both[0][key], both[1][key]) for key in weights)
    assert close(weights, {key: both[0][key] for key in weights})


@pytest.mark.parametrize("name", TRAINED)
def test_the_checkpoint_of_two_is_that_of_one(two, tmp_path, name):
    trained(fresh(name, temperature=0.3), checkpoint=tmp_path / "one")
    (one, header), (both, written) = (checkpoints.read(path) for path in (tmp_path / "one", two[1] / f"{name}-two"))
    assert one.keys() == both.keys() and close(one, {key: both[key] for key in one})
    assert (header["processes"], written["processes"]) == (1, 2) and header["run"] == written["run"]


def test_one_process_goes_on_where_two_stopped_and_two_where_one_did(two):
    found, folder = two
    losses, weights = trained(fresh())
    alone = fresh(seed=9)
    rest, resumed = trained(alone, checkpoint=folder / "half-two", resume=True)
    assert len(rest) == 3 and rest == pytest.approx(losses[5:], rel=1e-5) and close(weights, resumed)
    for each in found:
        assert each["resumed"] == pytest.approx(losses[5:], rel=1e-5)
    after = checkpoints.read(folder / "half-one")[0]
    assert close(weights, {key: after[f"objective.{key}"] for key in weights})


def test_nan_in_one_process_stops_both_with_the_message(two):
    for found in two[0]:
        assert re.match(r"step 2: loss is NaN or infinite, with temperature=0\.1", found["nan"])


def test_what_the_first_process_reads_or_refuses_holds_for_all(two):
    assert [found["first"] for found in two[0]] == [True, False] and [found["processes"] for found in two[0]] == [2, 2]
    assert all("is damaged or no safetensors file" in found["damaged"] for found in two[0])


def test_one_of_them_can_train_alone(two):
    expected = trained(fresh(), steps=3)[0]
    assert two[0][0]["alone"] == pytest.approx(expected[:2]) and two[0][1]["alone"] == pytest.approx(expected)


def test_gradients_are_averaged_where_any_process_has_one(two):
    assert all(found["gradients"] == {"both": [2.5, 2.5], "one": [0.5, 0.5], "none": None} for found in two[0])


# ---- threads in place of processes: the same mathematics


@pytest.mark.parametrize("name, knobs", [("simclr", {}), ("moco", {"queue": False}), ("barlow_twins", {}), ("vicreg", {}),
                                         ("lejepa", {}), ("clip", {}), ("siglip", {})])
def test_a_gather_that_loses_its_gradient_is_noticed(monkeypatch, name, knobs):
    check(name, knobs)
    monkeypatch.setattr(across, "gather", loses_gradient)
    with pytest.raises(AssertionError, match=r"gradients: \S+ of several processes differs"):
        check(name, knobs)


@pytest.mark.parametrize("name", ["byol", "swav", "dino", "moco", "bert", "mae"])
def test_where_a_gather_needs_no_gradient_it_may_lose_it(monkeypatch, name):
    """The control of the test above: these compare no samples, or with what gets no gradient."""
    monkeypatch.setattr(across, "gather", loses_gradient)
    check(name, {})


def test_batch_norms_and_means_that_lose_their_gradient_are_noticed(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(across, "moments", loses_gradient_of_moments)
        with pytest.raises(AssertionError, match="gradients: "):
            check("byol", {})
    check("vae", {})
    monkeypatch.setattr(across, "average", loses_gradient_of_mean)
    with pytest.raises(AssertionError, match="gradients: "):
        check("vae", {})


@pytest.mark.parametrize("lost, name, kind", [("weight", "gpt", "loss"), ("weight", "roberta", "loss"), ("weight", "colourisation", "loss"),
                                              ("summed", "autoencoder", "state"), ("average", "vae", "terms|loss"),
                                              ("average", "dino", "state"), ("mine", "swav", "loss"), ("gather", "moco", "state")])
def test_what_is_not_done_across_processes_is_noticed(monkeypatch, lost, name, kind):
    replaced = {"weight": lambda count: 1.0, "mine": lambda x: x[: len(x) // across.processes()]}
    monkeypatch.setattr(across, lost, replaced.get(lost, lambda x, parts=1: x))
    with pytest.raises(AssertionError, match=f"^({kind}): "):
        check(name, {"free_bits": 0.3} if name == "vae" else {})


@pytest.mark.parametrize("name, processes", [("simclr", 1), ("swav", 4), ("clip", 16)])
def test_any_number_of_processes(name, processes):
    check(name, {}, processes=processes)


def test_an_objective_of_ones_own():
    class Mine(objectives.SimCLR):
        gathers = False

        def forward(self, views):
            h, z = self.see(views)
            z1, z2 = (across.gather(z, 2) if self.gathers else z).chunk(2)
            return objectives.Loss(nt_xent(z1, z2), {}, h, z)

    def build():
        return Mine(encoders.create("conv", (1, 12), width=4))

    with pytest.raises(AssertionError, match="loss: loss of several processes differs .* sslab.objectives.across"):
        check_processes(build, size=12)
    Mine.gathers = True
    check_processes(build, size=12)
    with pytest.raises(ValueError, match="processes: got 3, takes a divisor of 16"):
        check_processes(build, size=12, processes=3)


# ---- primitives against naive formulas


def in_threads(count, task):
    """task(rank) in threads that act as processes, inside of a step."""
    members = _Threads(count).members

    def run(_, __, member):
        with across.together(member):
            return task(member.rank)

    return _all_at_once(run, [None] * count, None, members)


def test_gather_keeps_the_order_of_the_batch_and_brings_gradients_home():
    whole = torch.randn(2, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))   # 2 views, 6 rows
    weights = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def task(rank):
        own = whole[:, 2 * rank: 2 * rank + 2].flatten(0, 1).requires_grad_()                       # [2 b, 3]
        every = across.gather(own, 2)
        assert torch.equal(across.mine(every.unflatten(0, (2, 6))[0]), own[:2])
        ((rank + 1) * every * weights).sum().backward()              # each process wants something else
        return every.detach(), own.grad

    for rank, (every, gradient) in enumerate(in_threads(3, task)):
        assert torch.equal(every, whole.flatten(0, 1))
        assert torch.allclose(gradient, 6 * weights.view(2, 6, 3)[:, 2 * rank: 2 * rank + 2].flatten(0, 1))


def test_weight_makes_a_mean_of_all_from_means_of_each():
    values = [torch.tensor([1.0, 2.0, 6.0]), torch.tensor([5.0])]
    means = in_threads(2, lambda rank: values[rank].mean() * across.weight(torch.tensor(len(values[rank]))))
    assert float(sum(means) / 2) == pytest.approx(14 / 4)
    assert in_threads(2, lambda rank: float(across.weight(torch.tensor(0)))) == [0.0, 0.0]


def test_outside_of_a_step_nothing_waits_for_others():
    x = torch.randn(4, 2)
    assert across.processes() == 1 and across.weight(torch.tensor(3)) == 1.0
    for same in (across.gather, across.average, across.summed, across.mine):
        assert same(x) is x
    assert torch.equal(across.variance(x), x.var(dim=0)) and not across.variance(x[:1]).any()


@pytest.mark.parametrize("norm, shape", [(nn.BatchNorm1d(3), (8, 3)), (nn.BatchNorm1d(3, affine=False), (8, 3)),
                                         (nn.BatchNorm2d(3, momentum=None), (4, 3, 5, 2)), (nn.BatchNorm1d(3, momentum=0.3), (4, 3, 7)),
                                         (nn.BatchNorm2d(3, track_running_stats=False), (8, 3, 2, 2))])
def test_batch_norm_over_processes_is_torchs_own_over_the_batch(norm, shape):
    """Up to one row a process; mean 100 and deviation 1, so that a careless variance would show."""
    x = 100 + torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pull = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole, parts = norm.double().train(), [copy.deepcopy(norm) for _ in range(4)]
    given = x.clone().requires_grad_()
    for _ in range(2):
        expected = whole(given)
    (expected * pull).sum().backward()

    def task(rank):
        own = x.chunk(4)[rank].clone().requires_grad_()
        with distributed.whole_batch_norms(across._group(), parts[rank]):
            for _ in range(2):
                y = parts[rank](own)
            (y * pull.chunk(4)[rank]).sum().backward()
        return y.detach(), own.grad, [p.grad for p in parts[rank].parameters()], list(parts[rank].buffers())

    results = in_threads(4, task)
    assert torch.allclose(torch.cat([each[0] for each in results]), expected)
    assert torch.allclose(torch.cat([each[1] for each in results]), given.grad, atol=1e-10)
    for index, parameter in enumerate(whole.parameters()):
        assert torch.allclose(sum(each[2][index] for each in results), parameter.grad)
    for each in results:
        assert all(torch.allclose(one.double(), other.double()) for one, other in zip(each[3], whole.buffers(), strict=True))
    assert type(parts[0]) is type(norm)


def test_batch_norms_of_other_kinds_are_refused_and_those_in_eval_mode_wait_for_nobody():
    class Odd(nn.BatchNorm1d):
        pass

    group = _Threads(2).members[0]
    with pytest.raises(ValueError, match="batch norm: got Odd, takes torch's own"), distributed.whole_batch_norms(group, Odd(2)):
        pass
    norm = nn.BatchNorm1d(2).eval()
    with distributed.whole_batch_norms(group, norm), across.together(group):
        assert torch.equal(norm(torch.ones(3, 2)), F.batch_norm(torch.ones(3, 2), norm.running_mean, norm.running_var))


def test_views_are_shared_out_by_rows():
    group = SimpleNamespace(rank=1, count=2)
    views = (torch.arange(4), [torch.arange(8)], {"a": torch.tensor(7), "b": "text"})
    a, (b,), c = distributed.own_rows(group, views)
    assert a.tolist() == [2, 3] and b.tolist() == [4, 5, 6, 7] and c == {"a": torch.tensor(7), "b": "text"}
    assert distributed.own_rows(None, views) is views
    with pytest.raises(ValueError, match="make_views: got a view of 3 rows, takes a multiple of 2 processes"):
        distributed.own_rows(group, torch.arange(3))


def test_devices(monkeypatch):
    assert distributed.processes() == 1 and distributed.first() and distributed.own_device("cpu").type == "cpu"
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "x", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert distributed.processes() == 2 and not distributed.first()
    with distributed.alone():
        assert distributed.processes() == 1
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="device: got cuda for process 1 of this machine, takes at most 1"):
        distributed.own_device("cuda")
    with pytest.raises(ValueError, match="device: got mps, takes cpu or cuda"):
        distributed.join(torch.device("mps"))


# ---- what launches them


def test_the_files_in_deploy_call_torchrun_on_the_script_beside_them():
    subprocess.run(["bash", "-n", ROOT / "deploy" / "slurm.sh"], check=True)
    service, job = yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8"))
    pod = job["spec"]["template"]["spec"]
    command = " ".join(pod["containers"][0]["command"])
    assert service["metadata"]["name"] == pod["subdomain"] and job["spec"]["completionMode"] == "Indexed"
    assert f"--nnodes={job['spec']['completions']}" in command and job["spec"]["parallelism"] == job["spec"]["completions"]
    image, slurm = ((ROOT / "deploy" / name).read_text(encoding="utf-8") for name in ("Dockerfile", "slurm.sh"))
    assert "torchrun" in command and "/opt/sslab/train.py" in command and "COPY deploy/train.py /opt/sslab/train.py" in image
    assert "torchrun" in slurm and "deploy/train.py" in slurm


@pytest.mark.slow
def test_torchrun_runs_the_script_of_deploy(tmp_path):
    def run(*words):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(ROOT / "deploy" / "train.py"),
                   "--data", "digits", "--steps", "4", "--batch-size", "32", "--checkpoint", str(tmp_path / "run"), *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])}
        return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=240)

    done = run()
    assert done.returncode == 0, done.stderr
    assert len(re.findall("^step 4 of 4", done.stdout, re.MULTILINE)) == 1           # the first process only
    assert checkpoints.read(tmp_path / "run")[1]["processes"] == 2
    again = run()                                                    # goes on from the checkpoint: nothing is left
    assert again.returncode == 0 and "step" not in again.stdout
    wrong = run("--batch-size", "31")
    assert wrong.returncode != 0 and "takes a multiple of the number of processes (2)" in wrong.stderr


if __name__ == "__main__":
    work(Path(sys.argv[1]))
    torch.distributed.destroy_process_group()
    os._exit(0)             # after all this one interpreter in ten ends in C++ ("terminate called ..."), its work done and written
