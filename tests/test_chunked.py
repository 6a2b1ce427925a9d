"""Chunked InfoNCE against the dense cross-entropy, in value and in every gradient; and that no large matrix is made."""

import math

import pytest
import torch
import torch.nn.functional as F

from sslab.objectives import both_ways, chunked, clip, contrastive, info_nce, momentum, nt_xent, pairs
from sslab.objectives.chunked import chunked_both_ways, chunked_info_nce, chunked_queue_nce, worth_chunking

TIGHT = {torch.float64: 1e-10, torch.float32: 1e-5}


def leaves(dtype, *shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [F.normalize(each, dim=-1).to(dtype).requires_grad_() for each in drawn]


def same(chunked_loss, dense_loss, inputs, dtype):
    """Equal in value and in the gradient to each input."""
    got, wanted = (torch.autograd.grad(loss, inputs) for loss in (chunked_loss, dense_loss))
    torch.testing.assert_close(chunked_loss, dense_loss, rtol=TIGHT[dtype], atol=TIGHT[dtype])
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=TIGHT[dtype], atol=TIGHT[dtype])


@pytest.mark.parametrize("dtype", TIGHT)
@pytest.mark.parametrize("scale", [2.0, 100.0])
@pytest.mark.parametrize("chunk", [1, 7, 64, None])                  # of 21 rows: one, uneven, more than there are
def test_rows_equal_the_dense_cross_entropy(dtype, scale, chunk):
    a, b = leaves(dtype, (21, 6), (30, 6))
    s = torch.tensor(scale, dtype=dtype, requires_grad=True)
    target = torch.randint(30, (21,), generator=torch.Generator().manual_seed(1))
    same(chunked_info_nce(a, b, target, s, chunk), F.cross_entropy(s * a @ b.T, target), (a, b, s), dtype)


@pytest.mark.parametrize("dtype", TIGHT)
@pytest.mark.parametrize("scale", [2.0, 100.0])
def test_both_ways_equal_the_dense_ones(dtype, scale):
    a, b = leaves(dtype, (21, 6), (21, 6))
    s = torch.tensor(scale, dtype=dtype, requires_grad=True)
    own = torch.arange(21)
    for of_rows, of_columns in ((1, 3), (0, 1)):
        logits = s * a @ b.T
        rows, columns, hits = chunked_both_ways(a, b, s, chunk=4)
        dense = of_rows * F.cross_entropy(logits, own) + of_columns * F.cross_entropy(logits.T, own)
        same(of_rows * rows + of_columns * columns, dense, (a, b, s), dtype)
    right = [(logits[i].argmax() == i) + (logits[:, i].argmax() == i).int() for i in range(21)]
    assert float(hits) == pytest.approx(float(sum(right)) / 42)


def test_hits_where_all_are_alike_are_those_of_chance():
    alike = torch.ones(50, 4)
    assert float(chunked_both_ways(alike, alike, 3.0, chunk=8)[2]) == pytest.approx(1 / 50)


@pytest.fixture
def always(monkeypatch):
    """Every matrix counts as large, and chunks hold five rows."""
    def use(wanted):
        for module in (contrastive, momentum, pairs):
            monkeypatch.setattr(module, "worth_chunking", lambda rows, columns: wanted)
        monkeypatch.setattr(chunked, "NUMBERS", 1)
        monkeypatch.setattr(chunked, "FEWEST", 5)
    return use


@pytest.mark.parametrize("dtype", TIGHT)
@pytest.mark.parametrize("loss", ["nt_xent", "nt_xent with itself", "info_nce", "info_nce with a queue", "clip", "clip raw"])
def test_the_losses_are_the_same_either_way(always, dtype, loss):
    a, b, queue = leaves(dtype, (12, 6), (12, 6), (40, 6))
    scale = torch.tensor(14.0, dtype=dtype, requires_grad=True)
    computed = {
        "nt_xent": lambda: nt_xent(3 * a, b, 0.07), "nt_xent with itself": lambda: nt_xent(a, b, 0.5, mask_self=False),
        "info_nce": lambda: info_nce(2 * a, b, None, 0.07), "info_nce with a queue": lambda: info_nce(a, 2 * b, queue, 0.07),
        "clip": lambda: clip(2 * a, b, scale), "clip raw": lambda: clip(2 * a, b, scale, normalised=False),
    }[loss]  # fmt: skip
    values = []
    for wanted in (True, False):
        always(wanted)
        values.append(computed())
    inputs = (a, b, *([scale] if "clip" in loss else []), *([queue] if "queue" in loss else []))
    same(*values, inputs, dtype)


def test_bf16_is_raised_as_in_the_dense_loss(always):
    always(True)
    a, b = leaves(torch.float32, (12, 6), (12, 6))
    half = clip(a.bfloat16(), b.bfloat16(), 5.0)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, clip(a.bfloat16().float(), b.bfloat16().float(), 5.0))


def test_small_batches_stay_as_they_were():
    """The usual sizes never take the chunked way, bit for bit."""
    assert not worth_chunking(4096, 4096) and worth_chunking(4097, 4096) and not worth_chunking(256, 65_536)
    a, b = leaves(torch.float32, (64, 16), (64, 16))
    own = torch.arange(64)
    logits = 14.0 * a @ b.T
    z = F.normalize(torch.cat([a, b]), dim=1)
    masked = (z @ z.T / 0.5).masked_fill(torch.eye(128, dtype=torch.bool), -math.inf)
    assert torch.equal(nt_xent(a, b), F.cross_entropy(masked, own.repeat(2) + 64 * (torch.arange(128) < 64)))
    rows, columns, _ = both_ways(a, b, 14.0, normalised=False)
    assert torch.equal(rows, F.cross_entropy(logits, own)) and torch.equal(columns, F.cross_entropy(logits.T, own))


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """The size of the largest tensor that any operation gives while it is on."""

    size = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        tensors = made if isinstance(made, (tuple, list)) else (made,)
        self.size = max([self.size, *(each.numel() for each in tensors if isinstance(each, torch.Tensor))])
        return made


def test_no_tensor_is_as_large_as_the_matrix_of_similarities():
    def largest(rows):
        a, b = leaves(torch.float32, (rows, 8), (rows, 8))
        with Largest() as seen:
            sum(chunked_both_ways(a, b, 10.0, chunk=16)[:2]).backward()
        return seen.size
    assert largest(512) == 512 * 16 and largest(1024) == 1024 * 16   # dense: 262,144 and four times that


def test_bad_input_is_named():
    a, b = torch.randn(4, 3), torch.randn(5, 3)
    with pytest.raises(ValueError, match=r"a, b: got shapes \[4, 3\] and \[3, 5\]"):
        chunked_info_nce(a, b.T)
    with pytest.raises(ValueError, match="a, b: got 5 and 4 rows, takes a key for each query, or a target"):
        chunked_info_nce(b, a)
    with pytest.raises(ValueError, match=r"target: got torch.int64 \[3\], takes int64 \[4\]"):
        chunked_info_nce(a, b, torch.arange(3))
    with pytest.raises(ValueError, match="chunk: got 0, takes"):
        chunked_info_nce(a, b, chunk=0)
    with pytest.raises(ValueError, match=r"a, b: got shapes \[4, 3\] and \[5, 3\], takes \[B, D\] twice"):
        chunked_both_ways(a, b)
    with pytest.raises(ValueError, match=r"own, a, negatives: got shapes \[5\] and \[4, 3\]"):
        chunked_queue_nce(torch.zeros(5), a, b, 1.0)
