import pytest
import torch

from sslab import datasets, figures
from sslab.evaluation import Efficiency
from sslab.views import Augment


def test_tile_puts_images_row_by_row_with_a_gap():
    images = torch.stack([torch.full((1, 2, 2), value) for value in (0.0, 0.25, 0.5)])
    sheet = figures.tile(images, columns=2, gap=1)
    assert sheet.shape == (8, 8, 3)
    assert sheet[1, 1].tolist() == [0, 0, 0] and sheet[1, 5, 0] == 0.25 and sheet[5, 1, 0] == 0.5
    assert sheet[0].eq(1).all() and sheet[5, 5, 0] == 1               # the gap and the empty place are white


def test_every_class_differs_in_colour_or_marker():
    styles = {(style["color"], style["marker"]) for style in map(figures.class_style, range(10))}
    assert len(styles) == 10 and "#000000" not in figures.COLOURS and "#F0E442" not in figures.COLOURS


def test_label_efficiency_draws_every_representation_and_chance():
    results = {"SimCLR": Efficiency("SimCLR", {1: [0.5, 0.7], 5: [0.9, 0.9]}),
               "raw pixels": {1: (0.4, (0.3, 0.5)), 5: (0.6, None)}}
    axis = figures.label_efficiency(results, chance=0.1).axes[0]
    lines = {line.get_label(): list(line.get_ydata()) for line in axis.lines}
    assert lines["SimCLR"] == pytest.approx([0.6, 0.9]) and lines["raw pixels"] == [0.4, 0.6]
    assert lines["chance"] == [0.1, 0.1]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "5"]


def test_loss_draws_its_levels():
    axis = figures.loss({"run": [3.0, 2.0]}, {"chance": 6.93}).axes[0]
    assert any(6.93 in line.get_ydata() for line in axis.lines)
    assert any("chance: 6.93" in text.get_text() for text in axis.texts)


def test_settings_draws_values_intervals_and_lines():
    axis = figures.settings({"SimCLR": {0.1: (0.8, (0.7, 0.9)), 0.5: (0.6, None)}}, {"chance": 0.1}, "accuracy").axes[0]
    assert list(axis.lines[0].get_ydata()) == [0.8, 0.6]
    low, high = axis.collections[0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((0.7, 0.9))


def test_temperature_weights_are_shares_of_the_push():
    similarities = torch.tensor([0.5, 0.0, -0.5])
    axis = figures.temperature_weights(similarities, (0.5,)).axes[0]
    weights = torch.tensor([1.0, 0.0, -1.0]).softmax(0)
    assert axis.lines[0].get_ydata() == pytest.approx((100 * weights.cumsum(0)).tolist())


def test_spectrum_names_the_effective_rank():
    axis = figures.spectrum({"cloud": torch.cat([torch.eye(8), -torch.eye(8)])}).axes[0]
    assert "effective rank 8" in axis.get_legend().get_texts()[0].get_text()


def test_pictures_and_maps_are_drawn():
    shapes = datasets.load("shapes", n=60, seed=0)
    assert figures.samples(shapes, per_class=3).axes[0].images
    shown = figures.views(shapes.train.images[:2], Augment(crop=0.5), copies=3).axes[0].images[0].get_array()
    assert shown.shape == (2 * 36, 4 * 36, 3)
    labels = torch.arange(40) % 3
    figure = figures.embedding_map({"a": torch.randn(40, 5), "b": torch.randn(40, 9)}, labels, ("x", "y", "z"))
    assert len(figure.axes) == 2 and len(figure.axes[0].collections) == 3
    matrix = figures.similarity_matrix(torch.eye(4), torch.eye(4), count=4).axes[0].images[0].get_array()
    assert matrix.shape == (8, 8) and matrix[0, 4] == 1 and matrix[0, 1] == 0
