"""Ways to use an encoder, corruptions, and where one curve overtakes another; held against AdamW by hand, sklearn and plain loops."""

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sslab import datasets, encoders, evaluation, figures
from sslab.evaluation import CORRUPTIONS, corrupted, corruption_error, overtakes, reaches, robustness
from sslab.evaluation.fine_tuning import STRATEGIES, adapt, fine_tune, layers, mean_head, probe_head
from sslab.objectives import Supervised


class Part:
    def __init__(self, images, labels, indices):
        self.images = self.inputs = images
        self.labels, self.indices = labels, indices


def bars(n=90, seed=0):
    """Pictures 8 x 8 of three classes: a bright column in another place each, in noise."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    images = torch.randint(0, 90, (n, 1, 8, 8), generator=g)
    for row, label in enumerate(labels.tolist()):
        images[row, 0, :, 1 + 2 * label] += 120
    part = Part(images.to(torch.uint8), labels, torch.arange(n))
    return SimpleNamespace(train=part, validation=part, test=part, num_classes=3, name="bars")


def small(seed=0):
    torch.manual_seed(seed)
    return encoders.create("conv", (1, 8), width=4)


ROWS = torch.arange(12)


# ---- strategies


@pytest.mark.parametrize("name, shape", [("conv", (1, 8)), ("vit", (1, 8)), ("transformer", (30, 8))])
def test_layers_hold_every_parameter_once_from_the_input_up(name, shape):
    encoder = encoders.create(name, shape)
    stack = layers(encoder)
    flat = [id(p) for layer in stack for p in layer]
    assert sorted(flat) == sorted(id(p) for p in encoder.parameters()) and len(set(flat)) == len(flat)
    first = {"conv": "stem.0.weight", "vit": "embed.weight", "transformer": "embed.weight"}[name]
    named = dict(encoder.net.named_parameters())
    assert any(p is named[first] for p in stack[0])
    assert len(stack) == {"conv": 4, "vit": 6, "transformer": 6}[name]          # a block is a layer of its own
    last = [key for key in named if key.startswith(("stages.2", "norm."))]
    assert {id(p) for p in stack[-1]} == {id(named[key]) for key in last}


def test_layers_of_anybodys_network():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3))
    assert [len(layer) for layer in layers(net)] == [2, 2]
    with pytest.raises(ValueError, match="encoder: got Identity without parameters"):
        layers(nn.Identity())


def test_slower_layers_are_adamw_with_smaller_rates():
    """Ten steps against torch's AdamW with a parameter group a layer."""
    data, encoder, decay, rate = bars(), small(), 0.3, 1e-2
    options = {"steps": 10, "learning_rate": rate, "weight_decay": 0.2, "warmup": 0.0, "precision": "float32"}
    ours = fine_tune(encoder, data, ROWS, batch_size=12, head="untrained", decay=decay, **options)

    from sslab.training.loop import _ORDER, _VIEWS, _schedule, _seed
    from sslab.views import Augment

    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = nn.Linear(encoder.dim, 3)                             # as it begins untrained, from the seed
    twin = Supervised(small(), Augment.named("none"), classes=3)
    twin.head = head
    twin.encoder.load_state_dict(encoder.state_dict())
    stack = layers(twin.encoder)
    groups = []
    for depth, layer in enumerate([*stack, list(twin.head.parameters())]):
        for matrix in (True, False):
            members = [p for p in layer if (p.ndim > 1) == matrix]
            groups.append({"params": members, "weight_decay": 0.2 if matrix else 0.0, "share": decay ** (len(stack) - depth)})
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]])
    twin.train()
    for index in range(10):
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * _schedule(index, {"warmup": 0.0, "steps": 10, "learning_rate": rate})
        order = torch.randperm(12, generator=torch.Generator().manual_seed(_seed(0, _ORDER, index)))
        batch = data.train.images[ROWS][order], data.train.labels[ROWS][order]
        views = twin.make_views(batch, torch.Generator().manual_seed(_seed(0, _VIEWS, index)))
        optimizer.zero_grad()
        twin(views).total.backward()
        optimizer.step()
    for (name, got), wanted in zip(ours.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-3, msg=name)


def test_the_lower_a_layer_the_less_it_moves():
    data, encoder = bars(), small()
    options = {"steps": 6, "learning_rate": 3e-3, "precision": "float32"}
    moved = {}
    for strategy in ("linear then full", "discriminative"):
        made = adapt(encoder, data, ROWS, strategy, batch_size=12, decay=0.1, **options)
        stack = zip(layers(encoder), layers(made.encoder), strict=True)
        moved[strategy] = [float(sum((a - b).detach().abs().mean() for a, b in zip(*pair, strict=True))) for pair in stack]
    ratios = [a / b for a, b in zip(moved["discriminative"], moved["linear then full"], strict=True)]
    assert all(low < high for low, high in pairwise(ratios)) and ratios[0] < 0.01 < ratios[-1] < 0.5


def test_frozen_and_linear_leave_the_encoder_alone_and_nobody_changes_the_original():
    data, encoder = bars(), small()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    for strategy in STRATEGIES:
        made = adapt(encoder, data, ROWS, strategy, batch_size=12, steps=2, learning_rate=1e-2)
        assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
        same = all(torch.equal(value, before[key]) for key, value in made.encoder.state_dict().items())
        assert same == (strategy in ("frozen", "linear")) and isinstance(made, Supervised)
        assert evaluation.accuracy(made, data.test) > 0.4


def test_frozen_is_the_nearest_class_mean_by_cosine():
    g = torch.Generator().manual_seed(0)
    x, y, queries = torch.randn(20, 5, generator=g), torch.arange(20) % 4, torch.randn(30, 5, generator=g)
    unlabelled = torch.randn(40, 5, generator=g) + 1
    weight, bias = mean_head(x, y, unlabelled, 4)
    centre, answers = unlabelled.mean(0).numpy(), []
    for query in queries.numpy() - centre:                           # by hand
        means = [(x[y == c].numpy() - centre).mean(0) for c in range(4)]
        answers.append(int(np.argmax([query @ m / np.linalg.norm(m) / np.linalg.norm(query) for m in means])))
    assert (queries @ weight + bias).argmax(1).tolist() == answers
    with pytest.raises(ValueError, match="y: got no example of class 3"):
        mean_head(x, y % 3, unlabelled, 4)


def test_a_probe_as_a_linear_layer_is_sklearns():
    from sklearn.linear_model import LogisticRegression

    g = torch.Generator().manual_seed(1)
    x, y, unlabelled = 3 * torch.randn(40, 6, generator=g) + 5, torch.arange(40) % 3, 3 * torch.randn(200, 6, generator=g) + 5
    x = x + y[:, None]
    weight, bias = probe_head(x, y, unlabelled, 3)
    mean, scale = unlabelled.mean(0), (unlabelled - unlabelled.mean(0)).square().mean().sqrt()
    model = LogisticRegression(C=1 / (40 * 0.1), tol=1e-8, max_iter=5000).fit(((x - mean) / scale).numpy(), y.numpy())
    ours = (x @ weight + bias).softmax(1)
    np.testing.assert_allclose(ours, model.predict_proba(((x - mean) / scale).numpy()), atol=2e-3)


def test_strategies_differ_in_how_the_head_begins():
    data, encoder = bars(), small()
    still = {"steps": 1, "learning_rate": 1e-12, "weight_decay": 0.0, "batch_size": 12}
    linear, full = (adapt(encoder, data, ROWS, name, **still) for name in ("linear then full", "full"))
    probe = adapt(encoder, data, ROWS, "linear")
    assert torch.allclose(linear.head.weight, probe.head.weight) and not torch.allclose(full.head.weight, probe.head.weight)
    other = adapt(encoder, data, ROWS, "full", seed=1, **still)
    assert not torch.equal(other.head.weight, full.head.weight)


@pytest.mark.parametrize("options, words", [
    ({"strategy": "liner"}, "strategy: got 'liner'"), ({"decay": 0.0}, "decay: got 0.0"), ({"decay": 1.5}, "decay: got 1.5"),
    ({"decay": True}, "decay: got True"), ({"rows": torch.arange(0)}, r"rows: got shape \[0\]"), ({"rows": ROWS[None]}, "rows: got shape"),
])
def test_bad_input_is_named_before_any_work(options, words):
    rows = options.pop("rows", ROWS)
    for strategy in ("linear", "discriminative"):
        with pytest.raises(ValueError, match=words):
            adapt(small(), bars(), rows, **{"strategy": strategy, **options})


# ---- overtakes


def test_overtakes_by_hand():
    ours, theirs = {10: 0.5, 100: 0.7}, {1: 0.4, 100: 0.6}
    assert overtakes(ours, theirs) == pytest.approx(10)                             # theirs is 0.5 at 10: a tie, and ahead from there
    assert overtakes({10: 0.4, 1000: 0.8}, {1: 0.6}) == pytest.approx(100)      # half of the way in the logarithm
    assert overtakes({10: 0.7}, {1: 0.6}) == 10                      # there from its first point
    assert overtakes({1: 0.7}, {10: 0.6}) == 1                       # theirs has nothing to show before
    assert overtakes({1: 0.7, 10: 0.5}, {1: 0.6}) is None            # not ahead at the end
    assert overtakes({1: 0.7, 10: 0.5, 100: 0.8}, {1: 0.6}) == pytest.approx(10 ** (1 + 1 / 3))
    with pytest.raises(ValueError, match=r"theirs: got x \[0, 2\]"):
        overtakes({1: 0.5}, {0: 0.1, 2: 0.2})
    with pytest.raises(ValueError, match="ours: got x"):
        overtakes({}, {1: 0.1})


def test_overtakes_is_where_a_fine_grid_says():
    g = torch.Generator().manual_seed(3)
    found = 0
    for _ in range(40):
        xs = [sorted((10 ** (3 * torch.rand(4, generator=g))).tolist()) for _ in range(2)]
        ours, theirs = (dict(zip(x, torch.rand(4, generator=g).tolist(), strict=True)) for x in xs)
        grid = np.geomspace(min(ours), 2000, 20_000)
        curves = [np.interp(np.log(grid), np.log(list(c)), list(c.values())) for c in (ours, theirs)]
        ahead = (curves[0] > curves[1]) | (grid < min(theirs))
        place = overtakes(ours, theirs)
        if place is None:
            assert not ahead[-1]
        else:
            first = len(ahead) - int(np.argmin(ahead[::-1])) if not ahead.all() else 0
            assert place == pytest.approx(grid[min(first, len(grid) - 1)], rel=2e-3)
            found += 1
    assert found > 10


def test_reaches():
    curve = {1: 0.2, 100: 0.6, 1000: 0.5}
    assert reaches(curve, 0.4) == pytest.approx(10) and reaches(curve, 0.2) == 1 and reaches(curve, 0.1) == 1
    assert reaches(curve, 0.6) == pytest.approx(100) and reaches(curve, 0.61) is None
    with pytest.raises(ValueError, match="curve: got x"):
        reaches({}, 0.5)


# ---- corruptions


def pictures(n=3, channels=1, side=12):
    return torch.randint(0, 256, (n, channels, side, side), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruptions_grow_and_repeat(kind):
    images = pictures(8, 3, 16)
    before = images.clone()
    spoiled = [corrupted(images, kind, severity) for severity in range(6)]
    assert torch.equal(images, before) and torch.equal(spoiled[0], images) and spoiled[0] is not images
    assert all(one.dtype == torch.uint8 and one.shape == images.shape for one in spoiled)
    change = [float((one.float() - images.float()).abs().mean()) for one in spoiled]
    assert all(a < b for a, b in pairwise(change)), change
    assert torch.equal(corrupted(images, kind, 3), spoiled[3])
    other = corrupted(images, kind, 3, seed=1)
    assert torch.equal(other, spoiled[3]) == (kind in ("blur", "contrast"))


def test_blur_is_a_plain_loops():
    from scipy.ndimage import gaussian_filter

    images = pictures(2, 1, 9)
    ours, deviation = corrupted(images, "blur", 2), 1.0
    for image, got in zip(images[:, 0].double().numpy(), ours[:, 0], strict=True):
        made = np.zeros((9, 9))
        for i in range(9):
            for j in range(9):
                weight = np.array([[math.exp(-((i - a) ** 2 + (j - b) ** 2) / (2 * deviation**2)) for b in range(9)] for a in range(9)])
                made[i, j] = (weight * image).sum() / weight.sum()
        np.testing.assert_allclose(got.numpy(), made, atol=0.51)
    large = pictures(1, 1, 40)
    middle = gaussian_filter(large[0, 0].double().numpy(), 1.0, truncate=8)[12:28, 12:28]
    np.testing.assert_allclose(corrupted(large, "blur", 2)[0, 0, 12:28, 12:28], middle, atol=0.51)      # far from the border


def test_contrast_is_a_plain_loops():
    images = pictures(2, 3, 6)
    for image, got in zip(images.double().numpy(), corrupted(images, "contrast", 3).numpy(), strict=True):
        mean = image.sum() / image.size
        np.testing.assert_allclose(got, np.clip(mean + (1 - 0.51) * (image - mean), 0, 255), atol=0.51)


def test_noise_has_its_deviation_and_is_cut():
    grey = torch.full((20, 1, 20, 20), 128, dtype=torch.uint8)
    added = corrupted(grey, "noise", 1).double() - 128
    assert float(added.mean()) == pytest.approx(0, abs=1) and float(added.std()) == pytest.approx(25.5, rel=0.03)
    black = corrupted(torch.zeros_like(grey), "noise", 2)
    assert float((black == 0).double().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_occlusion_is_one_grey_square_inside(severity):
    images = torch.zeros(30, 2, 25, 31, dtype=torch.uint8)
    places = set()
    for image in corrupted(images, "occlusion", severity):
        ys, xs = (image[0] == 128).nonzero(as_tuple=True)
        side = round(0.12 * severity * 25)
        assert len(ys) == side**2 and ys.max() - ys.min() == side - 1 == xs.max() - xs.min()
        assert torch.equal(image[0], image[1])
        places.add((int(ys.min()), int(xs.min())))
    assert len(places) > 10


@pytest.mark.parametrize("arguments, words", [
    ((pictures(), "nois", 1), "kind: got 'nois'"), ((pictures().float(), "noise", 1), "images: got torch.float32"),
    ((pictures()[0], "noise", 1), "images: got torch.uint8"), ((pictures(), "noise", 6), "severity: got 6"),
    ((pictures(), "noise", -1), "severity: got -1"), ((pictures(), "noise", 1.5), "severity: got 1.5"),
    ((pictures(), "noise", True), "severity: got True"),
])
def test_corrupted_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        corrupted(*arguments)
    assert corrupted(pictures()[:0], "blur", 2).shape == (0, 1, 12, 12)


def test_robustness_counts_right_answers():
    data = bars(30)

    def columns(images):                                             # the class is the bright column
        return images.float().mean(dim=(1, 2))[:, [1, 3, 5]]

    found = robustness(columns, data.test, severities=(0, 2))
    for kind in CORRUPTIONS:
        assert found[kind][0] == 1
        right = [int(columns(corrupted(data.test.images, kind, 2))[i].argmax()) == i % 3 for i in range(30)]
        assert found[kind][2] == pytest.approx(sum(right) / 30)
    model = adapt(small(), data, ROWS, "linear")
    assert robustness(model, data.test, ("noise",), (0,))["noise"][0] == pytest.approx(evaluation.accuracy(model, data.test))
    assert list(robustness(columns, data.test, ("blur",), (1,), images=5)["blur"]) == [1]


def test_corruption_error_by_hand():
    errors, baseline = {"noise": {1: 0.1, 3: 0.3}, "blur": {1: 0.2, 3: 0.2}}, {"noise": {1: 0.2, 3: 0.2}, "blur": {1: 0.1, 3: 0.3}}
    assert corruption_error(errors, baseline) == pytest.approx((0.4 / 0.4 + 0.4 / 0.4) / 2)
    assert corruption_error({"noise": {1: 0.1}}, {"noise": {1: 0.4}}) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="baseline: got"):
        corruption_error(errors, {"noise": {1: 0.2, 3: 0.2}})
    with pytest.raises(ValueError, match="no error under 'blur'"):
        corruption_error(errors, {**baseline, "blur": {1: 0.0, 3: 0.0}})


# ---- figures, and what the lesson makes of the data


def test_worth_marks_who_overtakes_whom():
    panels = {"time": {"pretrained": {10: (0.4, None), 1000: (0.8, (0.7, 0.9))}, "supervised": {1: (0.6, None)}},
              "labels": {"pretrained": {1: (0.6, None), 100: (0.7, None)}, "supervised": {1: (0.4, None), 100: (0.8, None)},
                         "raw pixels": {1: (0.3, None), 100: (0.5, None)}}}
    figure = figures.worth(panels, {"time": "seconds", "labels": "labels a class"}, {"time": {"chance": 0.1}})
    time, labels = figure.axes[:2]
    assert time.texts[0].get_text() == "pretrained ahead\nfrom 100 on" and time.lines[-1].get_xdata()[0] == pytest.approx(100)
    assert "supervised ahead" in labels.texts[0].get_text() and labels.get_xlabel() == "labels a class"
    assert [tick.get_text() for tick in labels.get_xticklabels()] == ["1", "100"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"pretrained", "supervised", "raw pixels", "chance"}
    assert list(time.lines[0].get_ydata()) == [0.4, 0.8]
    with pytest.raises(ValueError, match="panels: got none"):
        figures.worth({}, {})


def test_spoiled_and_robustness_are_drawn():
    shown = figures.spoiled(pictures(2), (0, 3)).axes[0].images[0].get_array()
    assert shown.shape == (4 * 16, 4 * 16, 3)
    rows = {"noise": {0: (0.9, None), 3: (0.5, (0.4, 0.6))}, "blur": {0: (0.9, None), 3: (0.7, None)}}
    figure = figures.robustness({"SimCLR": rows, "supervised": rows}, chance=0.1)
    assert [axis.get_title() for axis in figure.axes] == ["noise", "blur"]
    assert list(figure.axes[0].lines[0].get_ydata()) == [0.9, 0.5] and list(figure.axes[0].lines[2].get_ydata()) == [0.1, 0.1]
    assert [len(axis.lines) for axis in figures.robustness({}, 0.1).axes] == [1] * 4      # chance alone


def test_the_unseen_vendor_is_in_no_split_and_shows_test_emoji_only():
    from sslab.course.lessons.nb15 import without_vendor
    from sslab.datasets.bundled import VENDORS

    whole = datasets.load("emoji")
    data, unseen = without_vendor("openmoji")
    own = VENDORS.index("openmoji")
    for part in (data.train, data.validation, data.test):
        assert len(part) and not (whole.factors["vendor"][part.indices] == own).any()
    assert (whole.factors["vendor"][unseen.indices] == own).all() and len(unseen) == 248
    seen = {part: set(whole.factors["emoji"][getattr(data, part).indices].tolist()) for part in ("train", "validation")}
    asked = set(whole.factors["emoji"][unseen.indices].tolist())
    assert not asked & (seen["train"] | seen["validation"])
    assert torch.equal(unseen.images, whole.images[unseen.indices])
    assert len(whole.splits["train"]) > len(data.splits["train"])    # the dataset itself is as it was
    with pytest.raises(ValueError, match="vendor: got 'apple'"):
        without_vendor("apple")


def test_clip_art_is_split_class_by_class_and_the_same_each_time():
    from sslab.course.lessons.nb15 import clip_art

    data, again = clip_art(), clip_art()
    together = torch.cat(list(data.splits.values()))
    assert sorted(together.tolist()) == list(range(len(data)))
    assert all(torch.equal(data.splits[part], again.splits[part]) for part in data.splits)
    for part, share in (("train", 0.6), ("validation", 0.1), ("test", 0.3)):
        counts = torch.bincount(getattr(data, part).labels, minlength=7) / torch.bincount(data.labels)
        assert counts.tolist() == pytest.approx([share] * 7, abs=0.02)
