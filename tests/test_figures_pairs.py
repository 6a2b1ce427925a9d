import pytest
import torch

from sslab import datasets, figures


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_matrix_of_pairs_counts_its_diagonal():
    z = torch.eye(4, 6)
    texts = 3 * (z[[0, 0, 3, 2]] + 0.2 * z[[0, 1, 3, 2]])            # the last two are swapped, the second is nearest to image 0
    pictures = torch.full((4, 3, 8, 8), 128, dtype=torch.uint8)
    axis = figures.pair_matrix(z, texts, ["sun", "moon", "a" * 40, "tree"], pictures).axes[0]
    matrix = torch.tensor(axis.images[0].get_array())
    assert torch.allclose(matrix, torch.nn.functional.cosine_similarity(z[:, None], texts[None], dim=2), atol=1e-6)
    assert len(axis.images) == 5 and "row in 2 of 4" in axis.get_xlabel() and "column in 1 of 4" in axis.get_xlabel()
    assert [len(label.get_text()) <= 22 for label in axis.get_xticklabels()] == [True] * 4
    assert len(figures.pair_matrix(z, texts, "abcd").axes[0].images) == 1
    with pytest.raises(ValueError, match="images, texts, names, pictures: got"):
        figures.pair_matrix(z, texts, ["sun"])


def test_ranked_pictures_have_their_scores_below():
    found = {"red heart": (torch.zeros(3, 3, 8, 8), torch.tensor([0.9, 0.5, 0.25])),
             "sun": (torch.full((3, 3, 8, 8), 0.5), torch.tensor([0.8, 0.7, -0.1]))}
    axis = figures.ranked(found).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["red heart", "sun"]
    assert [text.get_text() for text in axis.texts] == ["0.90", "0.50", "0.25", "0.80", "0.70", "-0.10"]
    sheet = torch.tensor(axis.images[0].get_array())
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 3
    x, y = axis.texts[4].get_position()                              # below the second picture of the second row
    assert width < x < 2 * width and sheet[int(y), int(x)].eq(1).all() and sheet[height + 4, int(x)].eq(0.5).all()
    with pytest.raises(ValueError, match="found: got"):
        figures.ranked({**found, "moon": (torch.zeros(2, 3, 8, 8), torch.zeros(2))})
    with pytest.raises(ValueError, match="found: got"):
        figures.ranked({})


def test_the_gap_is_drawn_with_its_numbers():
    shift = 4 * torch.eye(5)[0]
    images, texts = normal(50, 5) + shift, normal(50, 5, seed=1) - shift
    axis = figures.modality_gap(images, texts, lines=7).axes[0]
    lines, *clouds = axis.collections
    assert len(lines.get_segments()) == 7 and [len(cloud.get_offsets()) for cloud in clouds] == [50, 50]
    assert "a plane tells 100 % apart" in axis.get_xlabel()
    a, b = (torch.tensor(cloud.get_offsets()) for cloud in clouds)
    unit = torch.nn.functional.normalize
    assert abs(float(a.mean(0)[0] - b.mean(0)[0])) == pytest.approx(float((unit(images).mean(0) - unit(texts).mean(0)).norm()), rel=0.02)
    assert torch.allclose(torch.tensor(lines.get_segments()[0]), torch.stack([a[0], b[0]]))


def test_who_wins_shows_values_and_intervals():
    axis = figures.who_wins({256: {"CLIP": (0.4, (0.3, 0.6)), "SigLIP": (0.5, None)}, 64: {"SigLIP": (0.2, (0.1, 0.3))}},
                            {"raw pixels": 0.25}).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["64", "256"]
    clip, siglip = axis.containers
    assert clip[0].get_ydata().tolist() == [0.4] and siglip[0].get_ydata().tolist() == [0.2, 0.5]
    assert clip[2][0].get_segments()[0][:, 1].tolist() == pytest.approx([0.3, 0.6])
    assert [text.get_text() for text in axis.texts] == ["raw pixels"]
    with pytest.raises(ValueError, match="results: got"):
        figures.who_wins({64: {}})


def test_the_older_figures_of_like_names_are_still_there():
    assert callable(figures.pairs) and callable(figures.similarity_matrix)


def test_each_thing_as_each_draws_it():
    data = datasets.load("emoji-pairs")
    axis = figures.drawings(data, ["red apple", "ship"]).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["red apple", "ship"]
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels[data.drawers.index("openmoji")] == "openmoji (held out)" and len(labels) == 6
    x, y = axis.get_xticks()[1], axis.get_yticks()[1]                # the middle of the second vendor's ship
    drawn = data.pairs.images[data.texts.index("ship"), 1][:, 16, 16] / 255
    assert torch.allclose(torch.tensor(axis.images[0].get_array())[round(y), round(x)].float(), drawn, atol=1e-6)
    with pytest.raises(ValueError, match="things: got 'ships'.*'ship'"):
        figures.drawings(data, ["ships"])
