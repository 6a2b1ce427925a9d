"""Public functions given anything: a right result, or a ValueError or TypeError that names the argument.

Here a few inputs of each function. All of them, more than 20,000 in some minutes:

    SSLAB_INPUTS=250 pytest tests/test_inputs.py -m "slow or not slow"
"""

import inspect
import os
import re
import warnings
import zlib

import pytest
import torch

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed: pip install hypothesis, or the dev extra")

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from inputs import CASES, ELSEWHERE, HOSTILE, SIZES, Make, replaced

import sslab
from sslab import objectives

FEW, MANY = 8, 250                                                   # inputs of each function
MODULES = (sslab.datasets, sslab.views, sslab.encoders, sslab.objectives, sslab.training, sslab.evaluation, sslab.lab, sslab.report)
LETTERS = "BCDHKLMNPSTVW"
done: dict[str, int] = {}


def names_of(case) -> list[str]:
    return list(inspect.signature(case.call).parameters)


def tensors(value) -> list[torch.Tensor]:
    """All tensors in a value, however deep."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for one in value for tensor in tensors(one)] if isinstance(value, (list, tuple)) else []


def finite(value) -> bool:
    return all(bool(one.isfinite().all()) for one in tensors(value) if one.is_floating_point())


def is_tame(value) -> bool:
    """Finite, and of a size that floats can be squared at."""
    return finite(value) and all(one.numel() == 0 or float(one.detach().abs().max()) < 1e6 for one in tensors(value)
                                 if not one.is_complex() and one.dtype != torch.bool)


def attempt(case, sizes, seed, changes) -> None:
    sizes = {**{name: max(size, case.least) for name, size in sizes.items()}}
    make = Make({**sizes, "Q": sizes["S"] ** 2}, seed)
    given_ = case.make(make)
    for name, how in changes.items():
        given_[name] = replaced(given_.get(name), how)
    told = ", ".join(f"{name}={how}" for name, how in changes.items()) or "nothing changed"
    done[case.name] = done.get(case.name, 0) + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = case.call(**given_)
        except (ValueError, TypeError) as error:
            assert changes, f"{case.name}: a right call was refused: {error}"
            assert not isinstance(error, UnicodeError)
            said = re.match(r"([\w ,*]+): got ", str(error))
            assert said, f"{case.name}, {told}: {type(error).__name__} names no argument: {error}"
            named = {word.strip() for word in said[1].split(",")}
            assert named & {*names_of(case), *case.also}, f"{case.name}, {told}: names {named}: {error}"
            return
        except Exception as error:
            raise AssertionError(f"{case.name}, {told}: {type(error).__name__} from deep inside: {error}") from error
    if case.finite and is_tame(list(given_.values())):
        assert finite(result), f"{case.name}, {told}: finite numbers in, {result} out"


def search(case, count: int) -> None:
    parameters = [name for name in names_of(case) if name not in case.wrong]

    @hypothesis.seed(zlib.crc32(case.name.encode()))                 # deterministic, and other inputs for each function
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(sizes=st.fixed_dictionaries({letter: st.sampled_from(SIZES) for letter in LETTERS}), seed=st.integers(0, 2**20),
           changes=st.dictionaries(st.sampled_from(parameters), st.sampled_from(HOSTILE), max_size=2) if parameters else st.just({}))
    def run(sizes, seed, changes):
        attempt(case, sizes, seed, changes)

    run()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_right_result_or_an_error_that_names_the_argument(case):
    search(case, FEW)


Z = torch.ones(4, 2)


@pytest.mark.parametrize("call, kind, said", [
    (lambda: objectives.nt_xent(Z, Z[:, :1]), ValueError, "z1, z2: got shapes [4, 2] and [4, 1], takes [B, D] twice"),
    (lambda: objectives.nt_xent([1], Z), TypeError, "z1: got [1], takes a tensor"),
    (lambda: objectives.nt_xent(Z, Z.long()), TypeError, "z2: got int64 [4, 2], takes floats [B, D]"),
    (lambda: objectives.nt_xent(Z, Z, 0), ValueError, "temperature: got 0, takes a number above 0"),
    (lambda: objectives.nt_xent(Z, Z, float("inf")), ValueError, "temperature: got inf, takes a finite number above 0"),
    (lambda: objectives.nt_xent(Z, Z, float("nan")), ValueError, "temperature: got nan, takes a number"),
    (lambda: objectives.nt_xent(Z, Z, "0.5"), TypeError, "temperature: got '0.5', takes a number"),
    (lambda: objectives.nt_xent(Z, Z, mask_self=None), TypeError, "mask_self: got None, takes True or False"),
    (lambda: objectives.nt_xent(Z, Z.double()), TypeError, "z1, z2: got float32 [4, 2] and float64 [4, 2], takes one dtype"),
    (lambda: objectives.vicreg(Z[:1], Z[:1]), ValueError, "z1, z2: got shapes [1, 2] and [1, 2], takes [B, D] twice, B of 2 or more"),
    (lambda: objectives.sinkhorn(Z, iterations=0), ValueError, "iterations: got 0, takes a number of 1 or more"),
    (lambda: objectives.sinkhorn(Z, iterations=1.5), ValueError, "iterations: got 1.5, takes a whole number"),
    (lambda: objectives.swav([], [Z]), ValueError, "scores: got none, takes one or more of floats [B, K]"),
    (lambda: objectives.info_nce(Z, Z, torch.ones(3, 5)), ValueError,
     "queries, keys, negatives: got shapes [4, 2] and [4, 2] and [3, 5], takes [B, D] and [B, D] and [K, D]"),
    (lambda: sslab.views.random_mask(2, 4, 1.5, torch.Generator()), ValueError, "ratio: got 1.5, takes a number from 0 to 1"),
    (lambda: objectives.nt_xent(Z), TypeError, "missing a required argument: 'z2'")])
def test_what_is_said(call, kind, said):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == said


@pytest.mark.parametrize("call", [
    lambda: objectives.nt_xent(Z.half(), Z.bfloat16(), 1), lambda: objectives.nt_xent(torch.nn.Parameter(Z), Z, torch.tensor(0.5)),
    lambda: objectives.clip(Z, Z, torch.tensor(2.0)), lambda: objectives.clip(Z, Z, 2), lambda: objectives.dino((Z, Z), [Z], Z[0])])
def test_what_is_taken_as_it_was_before(call):
    assert call().isfinite() and call().ndim == 0


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_function_is_asked_here_or_elsewhere(module):
    public = {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
    here = {word for case in CASES for word in case.name.replace(".", " ").split()}
    assert public - here - ELSEWHERE == set()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_with_many_inputs(case):
    search(case, int(os.environ.get("SSLAB_INPUTS", MANY)))


@pytest.mark.slow
def test_there_were_20000_inputs():
    """After the others: run with -m "slow or not slow"."""
    if len(done) < len(CASES):
        pytest.skip("the tests above did not all run in this process")
    print(f"{sum(done.values()):,} inputs of {len(done)} functions")
    assert sum(done.values()) >= 20_000
