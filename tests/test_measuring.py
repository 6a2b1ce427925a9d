"""Layers, penalties, maps and leaks of lesson 01, each against a second way to get the same numbers."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sslab import encoders, evaluation
from sslab.datasets.base import Split
from sslab.evaluation import leaks, worth
from sslab.evaluation.labels import draw_labels
from sslab.evaluation.layers import layer_efficiency, layers
from sslab.evaluation.maps import class_distances, islands, pca_map, rank_correlation, umap_map
from sslab.evaluation.penalties import PROTOCOLS, penalty_protocols
from sslab.figures.measuring import maps
from sslab.figures.measuring import worth as worth_figure
from sslab.objectives import SimCLR


def make_split(count, seed, classes=3):
    """Pictures 1 x 12 x 12: a bright bar whose place tells the class, and noise."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 90, (count, 1, 12, 12), generator=g, dtype=torch.uint8)
    for label in range(classes):
        images[labels == label, :, 4 * label : 4 * label + 3] += 60
    return Split(images, labels, torch.arange(count))


@pytest.fixture(scope="module")
def data():
    return SimpleNamespace(train=make_split(90, 0), validation=make_split(60, 1), test=make_split(60, 2), num_classes=3)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    made = encoders.create("conv", (1, 12), width=4)
    return evaluation.random_encoder(made, make_split(90, 0).images)


def test_layers_are_what_hooks_see(encoder, data):
    objective = SimCLR(encoder)
    objective.train()
    seen, images = {}, data.test.images
    hooks = [module.register_forward_hook(lambda m, a, out, name=name: seen.__setitem__(name, out.detach().clone()))
             for name, module in (("stem", encoder.net.stem), ("block 1", encoder.net.stages[0]), ("block 2", encoder.net.stages[1]))]
    h = evaluation.features(encoder, images)
    for hook in hooks:
        hook.remove()
    state = copy.deepcopy(objective.state_dict())
    found = layers(encoder, images, objective.projector, batch_size=7)
    assert list(found) == ["stem", "block 1", "block 2", "h", "hidden", "z"]
    for name, maps_ in seen.items():
        torch.testing.assert_close(found[name], maps_.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["h"], h, rtol=1e-4, atol=1e-5)
    with torch.no_grad(), evaluation.evaluating(objective):
        torch.testing.assert_close(found["z"], objective.projector(h), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found["hidden"], objective.projector[:3](h), rtol=1e-4, atol=1e-5)
    assert objective.training and all(torch.equal(state[k], v) for k, v in objective.state_dict().items())
    assert list(layers(encoder, images)) == ["stem", "block 1", "block 2", "h"]


def test_layers_refuse_what_has_none():
    with pytest.raises(ValueError, match="encoder: got VisionTransformer, takes a residual net"):
        layers(encoders.create("vit", (1, 12), patch=4, dim=8, depth=1, heads=2), make_split(4, 0).images)


def test_the_probe_of_h_is_the_probe_of_the_encoder(encoder, data):
    by_layer = layer_efficiency(encoder, data, (2,), seeds=2)
    plain = evaluation.label_efficiency(encoder, data, (2,), seeds=2, penalties=(0.1,))
    assert by_layer["h"].fixed == plain.fixed


def test_protocols_against_scikit_learn(data):
    from sklearn.linear_model import LogisticRegression

    n, draws, penalties = 4, 2, (0.01, 0.1, 1.0)
    found = penalty_protocols(evaluation.raw_pixels, data, (n,), draws, penalties)
    assert tuple(found) == PROTOCOLS
    pixels = {name: getattr(data, name).images.flatten(1).double().numpy() / 255 for name in ("train", "validation", "test")}
    mean = pixels["train"].mean(axis=0)
    scale = np.sqrt(((pixels["train"] - mean) ** 2).mean())
    x = {name: (values - mean) / scale for name, values in pixels.items()}
    y = {name: getattr(data, name).labels.numpy() for name in x}

    def fit(rows, penalty):
        return LogisticRegression(C=1 / (len(rows) * penalty), tol=1e-8, max_iter=5000).fit(x["train"][rows], y["train"][rows])

    for draw in range(draws):
        rows = draw_labels(data.train.labels, 2 * n, draw).view(3, 2 * n)
        mine, others = rows[:, :n].flatten().numpy(), rows[:, n:].flatten().numpy()
        models = [fit(mine, penalty) for penalty in sorted(penalties, reverse=True)]
        halves = [model.score(x["train"][others], y["train"][others]) for model in models]
        split = [model.score(x["validation"], y["validation"]) for model in models]
        wanted = {"fixed": models[1], "half to choose": models[int(np.argmax(halves))],
                  "validation split": models[int(np.argmax(split))], "all to train": fit(np.concatenate([mine, others]), 0.1)}
        for protocol, model in wanted.items():
            assert found[protocol][n][draw] == pytest.approx(model.score(x["test"], y["test"]), abs=0.018), protocol   # one image


@pytest.mark.parametrize("arguments, words", [
    ({"draws": 0}, "draws: got 0"), ({"penalties": ()}, "penalties: got none"), ({"labels_per_class": (16,)}, "per_class: got 32")])
def test_protocols_refuse(data, arguments, words):
    with pytest.raises(ValueError, match=words):
        penalty_protocols(evaluation.raw_pixels, data, **{"labels_per_class": (2,), **arguments})


def test_pca_map_is_scikit_learns():
    from sklearn.decomposition import PCA

    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 3, 1, 1, 1, 1]) + 2
    theirs = torch.from_numpy(PCA(2).fit_transform(x.numpy()))
    torch.testing.assert_close(pca_map(x).abs(), theirs.abs().float(), rtol=1e-3, atol=1e-3)


def grid(count, step=1.0):
    side = torch.arange(count) * step
    return torch.cartesian_prod(side, side)


def test_islands_by_hand():
    square = grid(4)                                                 # 16 points, nearest neighbours 1 apart
    far = torch.cat([square, square + 100, square[:5] - 100])
    assert islands(far) == 2 and islands(far, least=5) == 3 and islands(far, least=17) == 0
    near = torch.cat([square, square + torch.tensor([3 + 3.9, 0])])
    assert islands(near) == 1 and islands(near, reach=3.8) == 2


def test_distances_between_classes_by_hand():
    x = torch.tensor([[0.0, 0], [0, 2], [3, 1], [3, 1], [0, 5]])
    torch.testing.assert_close(class_distances(x, torch.tensor([0, 0, 1, 1, 2])), torch.tensor([3.0, 4.0, 5.0]))
    assert rank_correlation(torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 5, 90])) == pytest.approx(1)
    assert rank_correlation(torch.tensor([1.0, 2, 3, 4]), torch.tensor([2.0, 1, 4, 3])) == pytest.approx(1 - 6 * 4 / (4 * 15))


@pytest.mark.parametrize("call, words", [
    (lambda: pca_map(torch.zeros(3)), r"x: got shape \[3\]"), (lambda: umap_map(torch.zeros(9, 3), 9), "neighbours: got 9, takes 2 to .*8"),
    (lambda: islands(grid(3), reach=0), "reach: got 0"), (lambda: islands(grid(3), least=0), "least: got 0"),
    (lambda: worth.choosing(torch.ones(2, 9).bool(), 9, 1), "images: got 9"),
    (lambda: worth.choosing(torch.ones(2, 9).bool(), 3, 3), "variants: got 3"),
    (lambda: worth_figure({}, "points"), "rows: got none"), (lambda: maps({}), "points: got no maps"), (lambda: maps({"a": torch.zeros(3, 3)}), r"points: got shape \[3, 3\] for 'a'"),
    (lambda: maps({"a": torch.zeros(3, 2)}, torch.zeros(2)), r"takes \[2, 2\]")])
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.slow
def test_umap_tells_blobs_apart_and_repeats_itself():
    x = torch.randn(60, 8, generator=torch.Generator().manual_seed(0)) + 8 * F.one_hot(torch.arange(60) % 3, 8)
    first = umap_map(x, 5, seed=1)
    assert torch.equal(first, umap_map(x, 5, seed=1)) and not torch.equal(first, umap_map(x, 5, seed=2))
    nearest = (torch.cdist(first, first) + 1e9 * torch.eye(60)).argmin(1)
    assert bool((nearest % 3 == torch.arange(60) % 3).all())


def evaluated(letter, encoder, data):
    return leaks.EVALUATIONS[letter](encoder, data.train, data.validation, data.test)


def changed(split, labels=None, images=None):
    return Split(split.images if images is None else images, split.labels if labels is None else labels, split.indices)


FOUND = {"A": (), "B": ("labels",), "C": ("backbone",), "D": ("others",), "E": ("copies",), "F": ()}


@pytest.mark.parametrize("letter", FOUND)
def test_each_evaluation_leaks_by_what_it_should_and_nothing_else(letter, encoder, data):
    before, found = copy.deepcopy(encoder.state_dict()), set()
    report = evaluated(letter, encoder, data)
    if any(not torch.equal(value, before[name]) for name, value in encoder.state_dict().items()):
        found.add("backbone")
        encoder.load_state_dict(before)
    known = {image.numpy().tobytes() for image in report.train.images}
    if any(image.numpy().tobytes() in known for image in report.test.images):
        found.add("copies")
    relabelled = SimpleNamespace(**{**vars(data), "test": changed(data.test, labels=(data.test.labels + 1) % 3)})
    if not torch.equal(evaluated(letter, encoder, relabelled).predicted, report.predicted):
        found.add("labels")
    encoder.load_state_dict(before)
    strangers = data.test.images.clone()
    strangers[30:] = 255 - strangers[30:] // 2
    crowd = SimpleNamespace(**{**vars(data), "test": changed(data.test, images=strangers)})
    if not torch.equal(evaluated(letter, encoder, crowd).predicted[:30], report.predicted[:30]):
        found.add("others")
    assert tuple(sorted(found)) == FOUND[letter] or (letter == "B" and found == {"labels", "others"})   # its choice moves with both
    assert report.accuracy == pytest.approx(float((report.predicted == report.test.labels).double().mean()))


def test_the_predictor_works_on_a_copy(encoder, data):
    before = copy.deepcopy(encoder.state_dict())
    predict = leaks.predictor(leaks.evaluation_c, encoder, data.train, data.validation)
    assert torch.equal(predict(data.test.images, data.test.labels), predict(data.test.images, data.test.labels))
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    own = leaks.predictor(leaks.evaluation_e, encoder, data.train, data.validation)
    assert own(data.test.images, data.test.labels).eq(-1).all()


def test_choosing_against_a_loop_and_at_its_limits():
    g = torch.Generator().manual_seed(0)
    right = torch.rand(20, 400, generator=g) < 0.6
    found = worth.choosing(right, 40, 20, repeats=50, seed=3)
    order, gaps = torch.Generator().manual_seed(3), []
    for _ in range(50):
        some, place = torch.randperm(20, generator=order), torch.randperm(400, generator=order)
        scores = [np.mean([bool(right[v, i]) for i in place[:40]]) for v in some]
        best = some[int(np.argmax(scores))]
        gaps.append(max(scores) - right[best, place[40:]].double().mean().item())
    assert found == pytest.approx(np.mean(gaps), abs=1e-5)
    assert 0.10 < found < 0.20                                       # 20 coins: 1.87 standard deviations of 0.077, and what is drawn away
    assert abs(worth.choosing(right, 40, 1, repeats=400)) < 0.02
    assert worth.choosing(torch.ones(5, 50).bool(), 10, 5) == 0


def test_variants_see_half_of_the_features_each():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 2
    x = torch.zeros(60, 6)
    x[:, 0] = 2.0 * y - 1                                            # one feature tells all, five tell nothing
    right = worth.feature_halves(x, y, x, y, count=40)
    shares = right.float().mean(1)
    assert right.shape == (40, 60) and set(shares.tolist()) == {0.5, 1.0}
    again = [0 in torch.randperm(6, generator=g)[:3].tolist() for _ in range(40)]
    assert [share == 1 for share in shares.tolist()] == again


def test_a_backbone_is_worth_its_difference_and_stays(encoder, data):
    before = copy.deepcopy(encoder.state_dict())
    found = worth.backbone(encoder, data.train, data.test, steps=3)
    leaking = leaks.evaluation_c(copy.deepcopy(encoder), data.train, data.test, data.test, steps=3).accuracy
    x, queries = evaluation.features(encoder, data.train.images), evaluation.features(encoder, data.test.images)
    honest = evaluation.linear_probe((x, data.train.labels), (x, data.train.labels), (queries, data.test.labels), penalties=(0.1,))
    assert found == pytest.approx(leaking - honest.accuracy, abs=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_statistics_are_worth_nothing_where_they_are_the_same_and_much_where_test_moved():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(200) % 2
    x = torch.randn(200, 4, generator=g)
    x[:, 0] += 4 * y
    assert worth.statistics(x, y, x, y) == 0
    assert worth.statistics(x, y, x + 10, y) > 0.3                   # one class only, without statistics of its own
    assert worth.statistics(x, y, x, y, groups=y) < -0.3             # class by class their difference is gone


def test_duplicates_are_found_again_where_nothing_can_be_learned():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, 8, generator=g), torch.randint(4, (300,), generator=g)
    assert np.mean([worth.duplicates(x, y, seed) for seed in range(5)]) > 0.25         # labels at random: chance against copies
    apart = torch.cat([torch.eye(8)[:4]] * 75)                       # every class in a direction of its own: nothing to gain
    assert worth.duplicates(apart, torch.arange(300) % 4, 0) == 0


def test_maps_have_a_legend_and_a_panel_each():
    cloud, labels = grid(3), torch.arange(9) % 3
    figure = maps({"a": cloud, "b": cloud, "c": cloud, "d": cloud}, labels, ("x", "y", "z"))
    shown = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert shown == ["a", "b", "c", "d"] and [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y", "z"]
    assert len(maps({"a": cloud}).axes) == 1


def test_worth_is_in_points_first_row_on_top():
    figure = worth_figure({"adds": (0.12, (0.1, 0.14)), "nothing": (0.0, None)}, "points")
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["nothing", "adds"]
    dots = [tuple(line.get_xydata()[0]) for line in axis.lines if line.get_marker() == "o"]
    assert dots == [(0.0, 0.0), (pytest.approx(12.0), 1.0)]
