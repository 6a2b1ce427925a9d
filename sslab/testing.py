"""check_objective is to an objective what scikit-learn's check_estimator is to an estimator: the contract, tested.

    check_objective(lambda: MyObjective(encoder))

Our tests run it on every objective; run it on yours before you put it into the lab. `check_processes` tests one promise more:
that several processes compute what one would.
"""

import copy
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from sslab.datasets.base import as_fed, inputs_of
from sslab.datasets.pairs import Pairs
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP
from sslab.objectives import Loss, Objective, across
from sslab.training import distributed, train

BATCH, CLASSES = 16, 3


def check_objective(make: Callable[[], Objective], channels: int = 1, size: int = 28, *, vocabulary: int | None = None,
                    context: int = 16, pairs: bool = False) -> list[str]:
    """Hold an objective to every promise of the contract; the names of the promises kept, in order.

    Args:
        make: builds a new objective on an encoder for images [B, channels, size, size].
        vocabulary: for text instead, and for pairs: how many tokens there are, 6 or more.
        context: length of the rows of text, 3 or more.
        pairs: the objective learns from pictures with captions; its encoder sees the pictures.
    Raises:
        AssertionError: a promise is broken; the message names it.
        ValueError: vocabulary or context is too small, or pairs without a vocabulary.
    """
    data = _data_for(make, channels, size, vocabulary, context, pairs)
    kept = []
    for promise in (_shapes, _finite_at_the_ends_of_knobs, _gradient_reaches_the_encoder, _same_seed_same_views,
                    _knobs_take_effect_at_the_next_step, _order_of_the_batch_does_not_matter, _bf16_is_close,
                    _resume_is_exact):
        torch.manual_seed(0)
        promise(make, data)
        kept.append(promise.__name__.strip("_").replace("_", " "))
    return kept


def check_processes(make: Callable[[], Objective], channels: int = 1, size: int = 28, *, vocabulary: int | None = None,
                    context: int = 16, pairs: bool = False, processes: int = 2, tolerance: float = 1e-5) -> dict[str, float]:
    """Hold an objective to one more promise: several processes compute what one does with the whole batch.

    A step on 16 samples is taken in float64 by one process, and by several that have some of the rows each: their mean loss
    and terms, the mean of their gradients, and after the step the buffers of each (statistics, queues, centres) must be the
    one process's. An objective that compares samples keeps this promise with `sslab.objectives.across`.

    Called under torchrun, the processes are those of torch.distributed. Otherwise they are threads that meet at every
    gather: the same mathematics, and nothing to launch. Objectives on a CPU only.

    Args:
        make, channels, size, vocabulary, context, pairs: as in `check_objective`.
        processes: how many threads; a divisor of 16.
        tolerance: largest difference, as a share of the largest number of a gradient or buffer.
    Returns:
        the largest such differences: "loss", "terms", "gradients", "state".
    Raises:
        AssertionError: a number differs; the message names it.
        ValueError: an argument that does not fit.
    """
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1 or BATCH % processes:
        raise ValueError(f"processes: got {processes!r}, takes a divisor of {BATCH}")
    data = _data_for(make, channels, size, vocabulary, context, pairs)
    torch.manual_seed(0)
    objective = make().double().train()
    batch = _batch(objective, data)
    batch = (_as_double(batch[0]), batch[1]) if objective.needs_labels else _as_double(batch)
    views = objective.make_views(batch, torch.Generator().manual_seed(1))
    members = [distributed.join(torch.device("cpu"))] if distributed.processes() > 1 else _Threads(processes).members
    copies = [copy.deepcopy(objective) for _ in members]
    expected = _outcome(objective, views, None)
    found: dict[str, float] = {}
    for outcome in _all_at_once(_outcome, copies, views, members):
        for kind, difference in _differences(expected, outcome, tolerance).items():
            found[kind] = max(found.get(kind, 0.0), difference)
    return found


@dataclass
class _Outcome:
    """Of one step, as a process sees it."""

    loss: dict[str, Tensor]
    terms: dict[str, Tensor]
    gradients: dict[str, Tensor]
    state: dict[str, Tensor]


def _outcome(objective: Objective, views, group) -> _Outcome:
    with distributed.whole_batch_norms(group, objective), across.together(group):
        loss = objective(distributed.own_rows(group, views))
        loss.total.backward()
        distributed.average_gradients(group, objective)
        objective.after_step()
    said = {name: value.detach().double() for name, value in (("", loss.total), *loss.terms.items())}
    if group is not None:
        said = {name: group.gather(value).mean(dim=0) for name, value in said.items()}
    gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    return _Outcome({"loss": said.pop("")}, said, gradients, dict(objective.named_buffers()))


def _differences(expected: _Outcome, found: _Outcome, tolerance: float) -> dict[str, float]:
    """The largest difference of each kind, as a share of the largest number; refuses those above the tolerance."""
    largest: dict[str, float] = {}
    for kind in ("loss", "terms", "state", "gradients"):
        ones, others = getattr(expected, kind), getattr(found, kind)
        assert ones.keys() == others.keys(), f"{kind}: one process has {sorted(ones)}, several have {sorted(others)}"
        top = max((float(one.abs().max()) for one in ones.values() if one.numel()), default=0.0)
        largest[kind] = 0.0
        for name, one in ones.items():
            if not one.numel():
                continue
            scale = max(float(one.abs().max()), 1e-3 * top, 1e-12)   # what should be 0 is 0 but for rounding
            share = float((one - others[name]).abs().max()) / scale
            assert share <= tolerance, (f"{kind}: {name} of several processes differs from one process's by {share:.1e} of "
                                        "its size; what compares samples must gather them: sslab.objectives.across")
            largest[kind] = max(largest[kind], share)
    return largest


class _Threads:
    """Threads that act as processes: `members` are their groups."""

    def __init__(self, count: int) -> None:
        self.barrier, self.box = threading.Barrier(count, timeout=60), [None] * count
        self.members = [_Member(self, rank) for rank in range(count)]


class _Member:
    """One of them; see `across.Group`."""

    def __init__(self, threads: _Threads, rank: int) -> None:
        self.threads, self.rank, self.count = threads, rank, len(threads.box)

    def gather(self, x: Tensor) -> Tensor:
        self.threads.box[self.rank] = x.detach()
        self.threads.barrier.wait()
        every = torch.stack(self.threads.box)
        self.threads.barrier.wait()                                  # nobody puts the next one before all have read
        return every

    def sum_(self, x: Tensor) -> None:
        x.copy_(self.gather(x).sum(dim=0))


def _all_at_once(task: Callable, copies: list, views, members: list) -> list:
    """task(copy, views, member) for each member, in threads if there are several. The first real error is raised."""
    if len(members) == 1:
        return [task(copies[0], views, members[0])]

    def run(made, member):
        try:
            return task(made, views, member)
        except Exception:
            member.threads.barrier.abort()                           # the others would wait for this one
            raise

    with ThreadPoolExecutor(len(members)) as pool:
        waiting = [pool.submit(run, made, member) for made, member in zip(copies, members, strict=True)]
    errors = [each.exception() for each in waiting if each.exception() is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [each.result() for each in waiting]


def _as_double(inputs):
    if isinstance(inputs, Pairs):
        return Pairs(_as_double(inputs.images), inputs.drawn, inputs.captions, inputs.said)
    return inputs.double() / 255 if inputs.dtype == torch.uint8 else inputs


def _data_for(make, channels: int, size: int, vocabulary: int | None, context: int, pairs: bool):
    """Some random samples of what an objective learns from."""
    if pairs and vocabulary is None:
        raise ValueError("vocabulary: got None, takes how many tokens the captions have")
    if vocabulary is None:
        data = _tiny_dataset(channels, size)
    elif vocabulary <= MASK + 1 or context < 3:
        raise ValueError(f"vocabulary, context: got {vocabulary}, {context}, takes {MASK + 2} or more, 3 or more")
    else:
        data = _tiny_texts(vocabulary, context, not pairs and getattr(make().encoder, "continuous", False))
        if pairs:
            data = _tiny_pairs(_tiny_dataset(channels, size).train, data.train)
    return data


def _tiny_dataset(channels: int, size: int):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4 * BATCH, channels, size, size), dtype=torch.uint8, generator=generator)
    labels = torch.arange(len(images)) % CLASSES
    return SimpleNamespace(train=SimpleNamespace(images=images, labels=labels))


def _tiny_texts(vocabulary: int, context: int, continuous: bool):
    """Random words: rows of nothing else, or [CLS] words [SEP] and padding."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(MASK + 1, vocabulary, (4 * BATCH, context), generator=generator)
    if not continuous:
        end = torch.randint(2, context, (4 * BATCH, 1), generator=generator)
        place = torch.arange(context)
        tokens = tokens.masked_fill(place == 0, CLS).masked_fill(place == end, SEP).masked_fill(place > end, PAD)
    return SimpleNamespace(train=SimpleNamespace(inputs=tokens.to(torch.int16), labels=torch.arange(4 * BATCH) % CLASSES))


def _tiny_pairs(pictures, texts):
    """Things with one or two drawings and one or two captions each."""
    drawn = torch.ones(len(pictures.images), 2, dtype=torch.bool)
    drawn[::3, 0] = drawn[1::3, 1] = False
    tokens = texts.inputs[:, None].repeat(1, 2, 1)                   # [n, 2, T]
    tokens[:, 1] = tokens[:, 1].roll(1, dims=0)
    both = pictures.images[:, None].repeat(1, 2, 1, 1, 1)            # [n, 2, C, S, S]
    both[:, 1] = 255 - both[:, 1]
    inputs = Pairs(both, drawn, tokens, drawn.flip(1))
    return SimpleNamespace(train=SimpleNamespace(inputs=inputs, labels=pictures.labels))


def _batch(objective: Objective, data, rows=slice(0, BATCH)):
    inputs = as_fed(inputs_of(data.train)[rows])
    return (inputs, data.train.labels[rows]) if objective.needs_labels else inputs


def _loss(objective: Objective, data) -> Loss:
    return objective(objective.make_views(_batch(objective, data), torch.Generator().manual_seed(1)))


def _shapes(make, data):
    objective = make()
    loss = _loss(objective, data)
    assert loss.total.shape == () and loss.total.dtype == torch.float32, f"total: {loss.total}"
    assert all(term.shape == () for term in loss.terms.values()), "terms are scalars"
    assert loss.embedding.ndim == 2 and loss.embedding.shape[1] == objective.encoder.dim, "embedding is [B, D]"
    rows = 1 if loss.projection is None else len(loss.projection) / len(loss.embedding)
    assert rows in ((1, 2) if objective.learns_from == "pairs" else (1,)), "projection is [B, P], of pairs [2B, P]"
    assert set(objective.values()) == set(objective.knobs), "every knob has a value"
    assert all(isinstance(level, float) for level in objective.reference_levels().values()), "levels are numbers"


def _finite_at_the_ends_of_knobs(make, data):
    for name, knob in make().knobs.items():
        ends = {"number": (knob.low, knob.high), "switch": (False, True), "choice": knob.options}[knob.kind]
        for end in ends:
            objective = make()
            objective.set(**{name: end})
            total = _loss(objective, data).total
            assert torch.isfinite(total), f"{name}={end} gives a loss of {float(total)}"


def _gradient_reaches_the_encoder(make, data):
    objective = make()
    _loss(objective, data).total.backward()
    missing = [name for name, p in objective.encoder.named_parameters() if p.requires_grad and p.grad is None]
    if isinstance(tower := getattr(objective, "text", None), nn.Module):
        missing += [f"text.{name}" for name, p in tower.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing, f"no gradient reaches {missing}"


def _same_seed_same_views(make, data):
    a, b = _loss(copy_of := make(), data), _loss(copy_of, data)
    assert torch.equal(a.total, b.total), "the same generator must give the same views and loss"


def _knobs_take_effect_at_the_next_step(make, data):
    objective = make()
    for name, knob in objective.knobs.items():
        before = objective.values()[name]
        other = {"number": knob.high if before != knob.high else knob.low, "switch": before is not True,
                 "choice": next((option for option in knob.options if option != before), before)}[knob.kind]
        with objective.step():
            objective.set(**{name: other})
            assert objective.values()[name] == before, f"{name} changed in the middle of a step"
        assert objective.values()[name] == other, f"{name} did not change after the step"
        objective.set(**{name: before})


def _order_of_the_batch_does_not_matter(make, data):
    objective = make().eval()
    views = objective.make_views(_batch(objective, data), torch.Generator().manual_seed(1))
    order = torch.randperm(BATCH, generator=torch.Generator().manual_seed(2))
    shuffled = views[order] if isinstance(views, Tensor) else tuple(view[order] for view in views)
    with torch.no_grad():
        a, b = objective(views).total, objective(shuffled).total
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def _bf16_is_close(make, data):
    objective = make()
    views = objective.make_views(_batch(objective, data), torch.Generator().manual_seed(1))
    full = objective(views).total
    with torch.autocast("cpu", torch.bfloat16):
        half = objective(views).total
    assert half.dtype == torch.float32, "a loss is float32 under autocast too"
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)


def _resume_is_exact(make, data):
    torch.manual_seed(3)
    first = make()
    second, third = copy.deepcopy(first.state_dict()), make()
    options = {"steps": 6, "batch_size": BATCH, "seed": 3, "precision": "float32", "device": "cpu"}
    for _ in train(first, data, **options):
        pass
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        half = make()
        half.load_state_dict(second)
        steps = train(half, data, **options, checkpoint=path, checkpoint_every=2)
        for _ in range(4):
            next(steps)
        steps.close()
        for _ in train(third, data, **options, checkpoint=path, resume=True):
            pass
    for (name, a), b in zip(first.state_dict().items(), third.state_dict().values(), strict=True):
        assert torch.equal(a, b), f"{name} differs after a resumed run"
