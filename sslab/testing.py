"""check_objective is to an objective what scikit-learn's check_estimator is to an estimator: the contract, tested.

    check_objective(lambda: MyObjective(encoder))

Our tests run it on every objective; run it on yours before you put it into the lab.
"""

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from sslab.datasets.base import as_fed, inputs_of
from sslab.datasets.pairs import Pairs
from sslab.datasets.tokenizer import CLS, MASK, PAD, SEP
from sslab.objectives import Loss, Objective
from sslab.training import train

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
    kept = []
    for promise in (_shapes, _finite_at_the_ends_of_knobs, _gradient_reaches_the_encoder, _same_seed_same_views,
                    _knobs_take_effect_at_the_next_step, _order_of_the_batch_does_not_matter, _bf16_is_close,
                    _resume_is_exact):
        torch.manual_seed(0)
        promise(make, data)
        kept.append(promise.__name__.strip("_").replace("_", " "))
    return kept


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
    with torch.no_grad():
        a, b = objective(views).total, objective(tuple(view[order] for view in views)).total
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
