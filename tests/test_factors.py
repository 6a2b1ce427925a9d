"""Reading known factors: against counts, planted features and loops."""

import math

import matplotlib
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sslab import datasets, evaluation, figures
from sslab.evaluation.factors import (
    FACTORS,
    above_chance,
    change_factor,
    equal_classes,
    factor_chance,
    factor_classes,
)

matplotlib.use("agg")


@pytest.fixture(scope="module")
def shapes():
    return datasets.load("shapes", n=2_000, seed=3)


# ---- classes of equal size


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_classes_are_of_equal_size_however_lopsided_the_numbers(classes):
    values = torch.randn(600, generator=torch.Generator().manual_seed(0)).mul(2).exp()
    labels = equal_classes(values, classes)
    assert torch.bincount(labels).tolist() == [600 // classes] * classes
    order = values.argsort()
    assert labels[order].diff().ge(0).all() and labels.dtype == torch.int64
    assert np.array_equal(labels, np.digitize(values.double(), np.quantile(values.double(), np.arange(1, classes) / classes), right=True))


def test_the_reference_sets_the_edges():
    assert equal_classes(torch.tensor([-5.0, 2.4, 2.6, 90.0]), 2, torch.arange(6.0)).tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="classes: got 1, takes a number of 2 or more"):
        equal_classes(torch.arange(4.0), 1)


def test_factor_classes_use_the_training_split_only(shapes):
    labels = factor_classes(shapes, 5)
    train = shapes.splits["train"]
    for name in ("size", "x", "y", "rotation"):
        assert torch.bincount(labels[name][train]).tolist() == [len(train) // 5] * 5
    assert torch.equal(labels["colour"], shapes.factors["colour"])
    with pytest.raises(ValueError, match="'digits'"):
        factor_classes(datasets.load("digits"))


def test_chance_is_one_over_the_classes(shapes):
    assert factor_chance(shapes, 8) == {"shape": 1 / 6, "colour": 1 / 6, "size": 1 / 8, "position": 1 / 8, "rotation": 1 / 8, "texture": 1 / 4}
    assert [above_chance(a, 0.25) for a in (0.25, 1.0, 0.0)] == pytest.approx([0, 1, -1 / 3])


# ---- probes


def planted(shapes, *names):
    """A function of images that gives some factors away: it looks the picture up."""
    classes = factor_classes(shapes)
    code = torch.cat([F.one_hot(classes[name]).float() for name in names], dim=1)
    noise = 0.3 * torch.randn(len(shapes), 12, generator=torch.Generator().manual_seed(0))
    known = {image.numpy().tobytes(): row for row, image in enumerate(shapes.images)}

    def represent(images):
        rows = torch.tensor([known[image.numpy().tobytes()] for image in images])
        return torch.cat([code[rows], noise[rows]], dim=1)

    return represent


@pytest.mark.parametrize("probe", ["linear", "knn"])
def test_a_probe_reads_what_is_there_and_nothing_else(shapes, probe, monkeypatch):
    monkeypatch.setenv("SSLAB_MODE", "class")
    found = evaluation.read_factors(planted(shapes, "colour", "x"), shapes, probe=probe, on="validation")
    assert list(found) == list(FACTORS) and found["colour"] > 0.95
    chance = factor_chance(shapes)
    for name in ("shape", "size", "rotation", "texture"):
        assert abs(found[name] - chance[name]) < 0.12, name
    assert 0.5 < found["position"] < 0.7                               # x is there, y is not: the mean of both


def test_the_mlp_reads_an_angle_that_a_line_cannot(shapes, monkeypatch):
    monkeypatch.setenv("SSLAB_MODE", "class")
    angle = shapes.factors["rotation"].deg2rad() * 4                    # four times round: each class lies in four places
    known = {image.numpy().tobytes(): row for row, image in enumerate(shapes.images)}

    def represent(images):
        rows = torch.tensor([known[image.numpy().tobytes()] for image in images])
        turn = shapes.factors["rotation"].deg2rad()
        return torch.stack([angle.cos(), angle.sin(), turn.cos() * angle.cos(), turn.sin() * angle.cos()], 1)[rows]

    line, bent = (evaluation.read_factors(represent, shapes, probe=probe)["rotation"] for probe in ("linear", "mlp"))
    assert bent > line + 0.1
    assert evaluation.read_factors(represent, shapes, probe="mlp")["rotation"] == bent


def test_what_is_read_is_not_what_was_learned_from(shapes, monkeypatch):
    """Random labels for an encoder that tells all pictures apart: chance on pictures it has not seen."""
    monkeypatch.setenv("SSLAB_MODE", "class")
    picture = torch.randn(3 * 32 * 32, 64, generator=torch.Generator().manual_seed(0))
    hashed = datasets.Dataset(shapes.name, shapes.images[torch.randperm(len(shapes), generator=torch.Generator().manual_seed(1))],
                              shapes.labels, shapes.class_names, shapes.splits, shapes.card, shapes.factors)
    found = evaluation.read_factors(lambda images: images.flatten(1).float() @ picture, hashed)
    chance = factor_chance(shapes)
    assert all(abs(found[name] - chance[name]) < 0.08 for name in FACTORS)


def test_errors_name_the_argument(shapes):
    with pytest.raises(ValueError, match="probe"):
        evaluation.read_factors(evaluation.raw_pixels, shapes, probe="lineal")
    with pytest.raises(ValueError, match="on"):
        evaluation.read_factors(evaluation.raw_pixels, shapes, on="train")


# ---- how far a change moves a picture


def test_moved_against_loops():
    g = torch.Generator().manual_seed(0)
    z, c = torch.randn(2, 6, 4, generator=g, dtype=torch.float64)
    own = [1 - float(z[i] @ c[i] / z[i].norm() / c[i].norm()) for i in range(6)]
    others = [1 - float(z[i] @ c[j] / z[i].norm() / c[j].norm()) for i in range(6) for j in range(6) if i != j]
    assert float(evaluation.moved(z, c)) == pytest.approx(np.mean(own) / np.mean(others), abs=1e-6)
    assert float(evaluation.moved(3 * z, z)) == pytest.approx(0, abs=1e-6)
    strangers = torch.randn(2, 500, 8, generator=g)
    assert float(evaluation.moved(*strangers)) == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match=r"z, changed: got shapes \[6, 4\] and \[5, 4\]"):
        evaluation.moved(z, c[:5])


@pytest.mark.parametrize("name", FACTORS)
def test_only_the_named_factor_changes(shapes, name):
    before = {key: values[:300] for key, values in shapes.factors.items()}
    after = change_factor(before, name, torch.Generator().manual_seed(0))
    touched = {key for key in before if not torch.equal(before[key], after[key])}
    assert touched == ({"x", "y"} if name == "position" else {name})
    if name in ("shape", "colour", "texture"):
        assert (before[name] != after[name]).all() and set(after[name].tolist()) == set(before[name].tolist())
    else:
        key = "x" if name == "position" else name
        assert torch.equal(before[key].sort().values, after[key].sort().values)


def test_a_representation_of_colour_is_moved_by_colour_alone(shapes):
    """Mean chroma of the bright pixels: its direction is the hue. It cannot see where the shape is."""

    def hue(images):
        x = images.float() / 255
        weight = (x.amax(1) > 0.4).float()
        mean = (x * weight[:, None]).sum((2, 3)) / weight.sum((1, 2)).clamp(min=1)[:, None]
        return mean - mean.mean(1, keepdim=True)

    found = evaluation.factor_moves(hue, shapes)
    assert found["colour"] > 0.8 and max(found[name] for name in FACTORS if name != "colour") < 0.2
    with pytest.raises(ValueError, match="'digits'"):
        evaluation.factor_moves(hue, datasets.load("digits"))


# ---- figures


def test_heat_maps_print_what_they_are_given():
    chance = {"shape": 1 / 6, "texture": 0.25}
    tables = {"z": {"all": {"shape": 0.5, "texture": 0.2}}, "h": {"all": {"shape": 0.75, "texture": 1.0}, "rotation": {"shape": 1 / 6, "texture": 0.5}}}
    figure = figures.factor_heat_maps(tables, chance, {"all": ("shape",)})
    z, h = figure.axes[:2]
    assert [text.get_text() for text in z.texts] == ["50", "20"] and [text.get_text() for text in h.texts] == ["75", "100", "17", "50"]
    shade = np.ma.filled(h.images[0].get_array(), np.nan)
    assert shade[0].tolist() == pytest.approx([0.7, 1.0]) and shade[1].tolist() == pytest.approx([0, 1 / 3])
    assert np.isnan(np.ma.filled(z.images[0].get_array(), np.nan)[1]).all()                   # no projector, no z
    assert [label.get_text() for label in z.get_xticklabels()] == ["shape\n(chance 17)", "texture\n(chance 25)"]
    assert [label.get_text() for label in z.get_yticklabels()] == ["all", "rotation"] and len(z.patches) == len(h.patches) == 1


def test_pairs_show_the_triangle_below_the_diagonal():
    difference = torch.tensor([[9.0, 9, 9], [-0.1, 9, 9], [0.02, 0.0, 9]])
    axis = figures.pairs({"turned": difference}, ("a", "b", "c"), marked=((1, 0),)).axes[0]
    assert [text.get_text() for text in axis.texts] == ["\N{MINUS SIGN}10", "+2", "0"]
    assert [(text.get_position()) for text in axis.texts] == [(0, 1), (0, 2), (1, 2)]
    assert math.isclose(axis.images[0].get_clim()[1], 10, abs_tol=1e-4) and len(axis.patches) == 1
