import pytest
import torch

from sslab import datasets, encoders, figures, objectives
from sslab.views import Augment


def test_correlations_name_the_diagonal_and_the_rest():
    c = torch.eye(4) - 0.5 * (1 - torch.eye(4))
    axis = figures.correlations({"a": c, "b": torch.eye(4)}).axes[0]
    assert torch.equal(torch.tensor(axis.images[0].get_array()), c)
    assert "diagonal 1.00, rest 0.50" in axis.get_xlabel()


def test_codes_show_what_each_prototype_gets():
    table = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    figure = figures.codes({"one": table, "other": table.flip(1)})
    assert len(figure.axes) == 4 and figure.axes[0].get_title() == "one"
    assert [bar.get_height() for bar in figure.axes[2].patches] == [1.5, 0.5, 0]


def test_crops_keep_their_sizes_on_a_white_ground():
    digits = datasets.load("digits")
    made = objectives.create("swav", encoders.create("conv", digits), views=Augment.named("digits"), local_views=2)
    views = made.make_views(digits.train.images[:3], torch.Generator().manual_seed(0))
    axis = figures.crops(digits.train.images[:3], views).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["image", "large", "large", "small", "small"]
    sheet, side = torch.tensor(axis.images[0].get_array()), digits.train.images.shape[-1] + 4
    assert sheet.shape == (3 * side, 5 * side, 3)
    assert sheet[side // 2 + 6 : side, 4 * side :].eq(1).all()        # below a small crop


def test_clusters_are_rows_of_the_nearest_first():
    images = torch.arange(6, dtype=torch.float32).div(10).view(6, 1, 1, 1).expand(6, 1, 3, 3)
    scores = torch.tensor([[0.1, 0.0, 0.9], [0.2, 0.0, 0.0], [0.9, 0.0, 0.0], [0.5, 0.0, 0.0], [0.4, 0.0, 0.3], [0.0, 0.0, 0.8]])
    axis = figures.clusters(images, scores, per_row=4).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["chosen by 4", "chosen by 2"]
    middle = torch.tensor(axis.images[0].get_array())[3::7, 3::7, 0]  # one pixel of each picture
    assert middle[0].tolist() == pytest.approx([0.2, 0.3, 0.4, 0.1])
    assert middle[1].tolist() == pytest.approx([0.0, 0.5, 1.0, 1.0])  # the empty places are white
