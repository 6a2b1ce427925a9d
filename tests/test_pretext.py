"""The classic pretext tasks: answers that fit their questions, colours held to the formulas of CIE and sRGB, levels reached."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sslab import encoders, figures
from sslab.objectives import pretext
from sslab.objectives.pretext import (
    Colourisation,
    Jigsaw,
    Rotation,
    colour_bins,
    cut_patches,
    four_turns,
    lab_to_rgb,
    rgb_to_lab,
)
from sslab.testing import check_objective
from sslab.views import Augment

TASKS = [(Rotation, 1, 28), (Rotation, 3, 32), (Jigsaw, 1, 28), (Jigsaw, 3, 32), (Colourisation, 3, 32)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(task, channels=3, size=32, views=None, **options):
    torch.manual_seed(0)
    return task(encoders.create("conv", (channels, size), width=8), views=views, **options)


def noise(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(seed))


class Eye(nn.Module):
    """An encoder that says what it is told to: `see` of the images, no weights."""

    def __init__(self, see, dim, shape=(1, 28)):
        super().__init__()
        self.see, self.dim, self.shape = see, dim, shape
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images):
        return self.see(images) + self.weight


@pytest.mark.parametrize("task, channels, size", TASKS)
def test_tasks_keep_the_contract(task, channels, size):
    assert len(check_objective(lambda: make(task, channels, size, Augment(crop=0.5)), channels, size)) == 8


@pytest.mark.parametrize("task, channels, size", TASKS)
def test_pictures_can_be_shown(task, channels, size):
    objective = make(task, channels, size).eval()
    images = noise(4, channels, size, size)
    with torch.no_grad():
        rows = objective.pictures(images, seeded())
        again = objective.pictures(images, seeded())
    assert len(rows) >= 2
    for name, row in rows.items():
        assert row.shape == images.shape and 0 <= row.min() and row.max() <= 1 and torch.equal(row, again[name])


# Rotation


def test_turns_are_counter_clockwise():
    picture = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    turned = four_turns(picture)[0, :, 0].tolist()
    assert turned == [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    with pytest.raises(ValueError, match=r"images: got shape \[1, 1, 2, 3\], takes \[B, C, S, S\]"):
        four_turns(torch.zeros(1, 1, 2, 3))


def corners(images):
    """Upper left, lower left, lower right, upper right: where a bright upper left corner is after 0, 1, 2, 3 turns."""
    return torch.stack([images[:, 0, 0, 0], images[:, 0, -1, 0], images[:, 0, -1, -1], images[:, 0, 0, -1]], dim=1)


def seer():
    """A Rotation that is always right about pictures with one bright corner, the upper left one."""
    objective = Rotation(Eye(corners, 4))
    objective.head = nn.Linear(4, 4)
    objective.head.weight.data, objective.head.bias.data = 100 * torch.eye(4), torch.zeros(4)
    return objective


def test_the_answers_of_rotation_fit_the_turns():
    images = torch.zeros(5, 1, 28, 28)
    images[:, :, 0, 0] = 1
    loss = seer()(seer().make_views(images, seeded()))
    assert loss.total < 1e-6 and loss.terms["accuracy"] == 1 and loss.embedding.shape == (20, 4)
    rows = seer().pictures(images, seeded())
    assert torch.equal(rows["turned back"], images) and not torch.equal(rows["turned"], images)


def test_without_an_up_nobody_knows():
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, 0, 0] = 1
    objective = seer()
    objective.set(upright=False)
    (views,) = objective.make_views(images, seeded())
    said = corners(views.flatten(0, 1)).argmax(dim=1).view(400, 4)   # the true turn of each view
    assert (said.sort(dim=1).values == torch.arange(4)).all()        # all four of each picture, in a circle
    assert ((said - said[:, :1]) % 4 == torch.arange(4)).all()
    first = torch.bincount(said[:, 0], minlength=4)
    assert first.min() > 70                                          # any of them may come first
    assert objective((views,)).terms["accuracy"] < 0.35


@pytest.mark.parametrize("task, classes", [(Rotation, 4), (Jigsaw, 8)])
def test_chance_is_reached_by_a_constant_answer(task, classes):
    objective = make(task, 1, 28)
    for weight in objective.head[-1].parameters():
        nn.init.zeros_(weight)
    loss = objective(objective.make_views(noise(6, 1, 28, 28), seeded()))
    assert float(loss.total.detach()) == pytest.approx(math.log(classes)) == pytest.approx(objective.reference_levels()["chance"])


# Jigsaw


@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize("gap, jitter, slide", [(0, 0, 0), (3, 0, 4), (6, 2, 12), (0, 2, 12), (6, 0, 0), (2, 1, 1)])
def test_patches_lie_in_the_picture_and_apart(size, gap, jitter, slide):
    objective = make(Jigsaw, 1, size, gap=gap, jitter=jitter, slide=slide)
    room = size - 3 * objective.patch
    gap = min(gap, room // 2)                                        # as many as fit
    jitter = min(jitter, (room - 2 * gap) // 2)
    places = objective.corners(500, seeded()).view(500, 3, 3, 2)
    assert places.min() >= 0 and places.max() + objective.patch <= size
    steps = torch.cat([(places[:, 1:] - places[:, :-1])[..., 0].flatten(), (places[:, :, 1:] - places[:, :, :-1])[..., 1].flatten()])
    assert steps.min() == objective.patch + gap - 2 * jitter and steps.max() == objective.patch + gap + 2 * jitter
    across = torch.cat([(places[:, 1:] - places[:, :-1])[..., 1].flatten(), (places[:, :, 1:] - places[:, :, :-1])[..., 0].flatten()])
    assert across.abs().max() == 2 * jitter
    moved = places[:, 1, 1].amax(0) - places[:, 1, 1].amin(0)
    assert moved.tolist() == 2 * [min(slide, room - 2 * gap - 2 * jitter) + 2 * jitter]
    middle = (places[:, 1, 1].amax(0) + places[:, 1, 1].amin(0) + objective.patch) / 2
    assert (middle - size / 2).abs().max() <= 0.5                    # on the whole in the middle of the picture


def test_patches_are_cut_where_their_corners_say():
    images = noise(3, 2, 9, 9)
    at = torch.randint(0, 6, (3, 4, 2), generator=seeded(1))
    cut = cut_patches(images, at, 4)
    for b in range(3):
        for n in range(4):
            row, column = at[b, n].tolist()
            assert torch.equal(cut[b, n], images[b, :, row:row + 4, column:column + 4])


class Compass(nn.Module):
    """Right about patches that show their own row and column: [.., middle's row, column, other's row, column] -> logits."""

    def forward(self, pairs):
        step = (pairs[:, 2:] - pairs[:, :2]).sign()                  # row, column
        place = (3 * (step[:, 0] + 1) + step[:, 1] + 1).long()
        return 100 * F.one_hot(place - (place > 4).long(), 8).float()


def walker(**knobs):
    """A Jigsaw that is always right about pictures that show where each pixel lies."""
    objective = Jigsaw(Eye(lambda images: images.mean(dim=(2, 3)), 2, (2, 28)), slide=0, **knobs)
    objective.head = Compass()
    line = torch.arange(28.0)
    where = torch.stack(torch.meshgrid(line, line, indexing="ij"))   # [2, 28, 28]
    return objective, where.repeat(5, 1, 1, 1)


def test_the_answers_of_jigsaw_fit_the_places():
    objective, where = walker(gap=2)
    loss = objective(objective.make_views(where, seeded()))
    assert loss.total < 1e-6 and loss.terms["accuracy"] == 1 and loss.embedding.shape == (45, 2)
    rows = objective.pictures(where / 28, seeded())
    assert torch.equal(rows["patches"], rows["put together"])
    objective.set(compare=False)                                     # from the corner of the picture all lies to the right below
    assert objective(objective.make_views(where, seeded())).terms["accuracy"] == 1 / 8


def test_zoom_enlarges_what_the_encoder_sees():
    seen = []
    objective = Jigsaw(Eye(lambda images: seen.append(images.shape) or images.mean(dim=(2, 3)), 1), patch=5, zoom=3)
    objective(objective.make_views(noise(2, 1, 28, 28), seeded()))
    assert seen == [(18, 1, 15, 15)]
    with pytest.raises(ValueError, match="patch: got 10, takes 1 to 9 pixels"):
        make(Jigsaw, 1, 28, patch=10)


# Colours: the formulas one colour at a time, in float64


def naive_lab(r, g, b):
    """IEC 61966-2-1, then CIE 15: white is the colour of r = g = b = 1."""
    def linear(v):
        return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4

    def xyz(r, g, b):
        return (0.4124564 * r + 0.3575761 * g + 0.1804375 * b, 0.2126729 * r + 0.7151522 * g + 0.0721750 * b,
                0.0193339 * r + 0.1191920 * g + 0.9503041 * b)

    def f(t):
        return t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29

    x, y, z = (f(v / white) for v, white in zip(xyz(linear(r), linear(g), linear(b)), xyz(1, 1, 1), strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


KNOWN = {(1, 1, 1): (100, 0, 0), (0, 0, 0): (0, 0, 0), (1, 0, 0): (53.24, 80.09, 67.20), (0, 1, 0): (87.73, -86.18, 83.18),
         (0, 0, 1): (32.30, 79.19, -107.86), (1, 1, 0): (97.14, -21.55, 94.48), (0, 1, 1): (91.11, -48.09, -14.13),
         (1, 0, 1): (60.32, 98.23, -60.82), (0.5, 0.5, 0.5): (53.39, 0, 0)}


@pytest.mark.parametrize("colour", KNOWN)
def test_known_colours_have_their_published_lab(colour):
    lab = rgb_to_lab(torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1)).flatten()
    assert lab.tolist() == pytest.approx(KNOWN[colour], abs=0.02)


@pytest.mark.parametrize("dtype, close", [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_lab_is_the_formula_and_goes_back(dtype, close):
    images = torch.rand(2, 3, 6, 5, generator=seeded(), dtype=torch.float64)
    images[0, :, 0] *= 0.02                                          # the straight pieces near black
    lab = rgb_to_lab(images.to(dtype))
    for b, y, x in np.ndindex(2, 6, 5):
        assert lab[b, :, y, x].tolist() == pytest.approx(naive_lab(*images[b, :, y, x].tolist()), abs=close)
    assert lab.dtype == dtype and torch.allclose(lab_to_rgb(lab), images.to(dtype), atol=1e-4)


def test_greys_have_no_colour_and_impossible_colours_are_cut_off():
    grey = torch.linspace(0, 1, 50).expand(1, 3, 50)
    lab = rgb_to_lab(grey)
    assert lab[:, 1:].abs().max() < 2e-4 and (lab[0, 0].diff() > 0).all()
    assert rgb_to_lab(grey.half()).dtype == torch.float32
    far = lab_to_rgb(torch.tensor([[50.0, 300.0, -300.0]]).view(1, 3, 1, 1))
    assert far.isfinite().all() and far.min() == 0 and far.max() == 1


@pytest.mark.parametrize("width, count", [(20.0, 77), (10.0, 261)])
def test_every_colour_of_the_screen_has_a_bin_and_every_bin_a_colour(width, count):
    bins = colour_bins(width)
    line = torch.linspace(0, 1, 41, dtype=torch.float64)
    ab = rgb_to_lab(torch.cartesian_prod(line, line, line).view(-1, 3, 1))[:, 1:, 0]
    known = {tuple(row) for row in bins.div(width).round().int().tolist()}
    met = {tuple(row) for row in ab.div(width).round().int().tolist()}
    assert len(bins) == len(known) == count and met <= known
    assert len(met) > 0.95 * count                                   # the rest are slivers that a coarse cube misses
    assert torch.equal(bins % width, torch.zeros_like(bins))


def test_the_bin_of_a_colour_is_the_nearest():
    objective = make(Colourisation)
    ab = (torch.rand(2, 2, 3, 3, generator=seeded()) - 0.5) * 200
    found = objective.bin_of(ab)
    for b, y, x in np.ndindex(2, 3, 3):
        gaps = [(float(ab[b, 0, y, x]) - p) ** 2 + (float(ab[b, 1, y, x]) - q) ** 2 for p, q in objective.bins.tolist()]
        assert found[b, y, x] == min(range(len(gaps)), key=gaps.__getitem__)


def fixed(objective, logits):
    """The same answer for every picture, whatever is seen: logits [Q, P, P]."""
    class Head(nn.Module):
        def forward(self, maps):
            return logits.expand(len(maps), *logits.shape) + 0 * maps.mean()

    objective.head = Head()
    return objective


def coloured(count=6, seed=0):
    """Pictures of 8 x 8 squares of one colour each, so that a place's colour is that of its square."""
    return noise(count, 3, 8, 8, seed=seed).repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_the_question_is_grey_and_the_answer_is_the_colour_of_the_place():
    objective = make(Colourisation, grey=1.0)
    images = coloured()
    shown, ab = objective.make_views(images, seeded())
    assert objective.places == 8 and shown.shape == (6, 3, 32, 32) and ab.shape == (6, 2, 8, 8)
    assert torch.equal(shown[:, 0], shown[:, 1]) and torch.equal(shown[:, 0], shown[:, 2])
    assert torch.allclose(rgb_to_lab(shown)[:, 0], rgb_to_lab(images / 255)[:, 0], atol=1e-3)
    for b, y, x in np.ndindex(2, 8, 8):
        assert ab[b, :, y, x].tolist() == pytest.approx(naive_lab(*(images[b, :, 4 * y, 4 * x] / 255).tolist())[1:], abs=2e-3)
    objective.set(grey=0)
    assert torch.equal(objective.make_views(images, seeded())[0], images / 255)
    objective.set(grey=0.5)
    stays = (objective.make_views(noise(200, 3, 32, 32), seeded())[0] == noise(200, 3, 32, 32) / 255).flatten(1).all(dim=1)
    assert 70 < int(stays.sum()) < 130


@pytest.mark.parametrize("rebalance", [0.0, 0.5, 0.9, 1.0])
def test_the_loss_is_the_papers_and_the_constant_answer_reaches_its_level(rebalance):
    objective = make(Colourisation, rebalance=rebalance).double()
    q = len(objective.bins)
    views = tuple(view.double() for view in objective.make_views(coloured(), seeded()))
    bins = objective.bin_of(views[1]).flatten().tolist()
    shares = [bins.count(k) / len(bins) for k in range(q)]
    weight = [1 / max(rebalance * share + (1 - rebalance) / q, 1e-6) for share in shares]
    mean = sum(weight[k] for k in bins) / len(bins)
    weight = [w / mean for w in weight]

    logits = torch.randn(q, 8, 8, generator=seeded(), dtype=torch.float64)
    loss = fixed(objective, logits)(views)
    log_p = logits.log_softmax(0).flatten(1)                         # [Q, 64]
    naive = sum(-weight[k] * float(log_p[k, n % 64]) for n, k in enumerate(bins)) / len(bins)
    assert float(loss.total.detach()) == pytest.approx(naive, rel=1e-5)
    said = logits.argmax(0).flatten().tolist()
    assert float(loss.terms["accuracy"]) == pytest.approx(sum(said[n % 64] == k for n, k in enumerate(bins)) / len(bins))

    best = torch.tensor([w * share + 1e-12 for w, share in zip(weight, shares, strict=True)]).log()
    level = objective.reference_levels()["frequent colours"]
    for nudge in (0.0, 0.3):                                         # reached by the constant, and by no other
        one = best + nudge * torch.randn(q, generator=seeded(1))
        total = float(fixed(objective, one.view(q, 1, 1).expand(q, 8, 8))(views).total.detach())
        assert total == pytest.approx(level, rel=1e-4) if nudge == 0 else total > level + 0.01


def test_the_mean_colour_reaches_its_level():
    objective = make(Colourisation, answer="mean")
    views = objective.make_views(coloured(), seeded())
    objective(views)
    ab = views[1].movedim(1, 3).reshape(-1, 2) / 100
    level = objective.reference_levels()["mean colour"]
    assert level == pytest.approx(float((ab - ab.mean(0)).square().mean()), rel=1e-5)
    logits = torch.zeros(len(objective.bins), 8, 8)
    said = (logits.softmax(0).flatten(1).T @ objective.bins)[0] / 100
    total = float(fixed(objective, logits)(views).total.detach())
    assert total == pytest.approx(float((ab - said).square().mean()), rel=1e-5) and total > level


def test_what_was_counted_is_not_counted_in_eval_mode():
    objective = make(Colourisation).eval()
    views = objective.make_views(coloured(), seeded())
    assert objective.reference_levels()["frequent colours"] == pytest.approx(math.log(77), rel=1e-5)
    objective(views)
    assert objective.counts.sum() == 0
    objective.train()(views)
    assert objective.counts.sum() == 6 * 64


def test_the_grey_bin_is_left_out_of_the_accuracy_in_colour():
    objective = make(Colourisation)
    images = coloured(2)
    images[:, :, :16] = 128                                          # the upper half is grey
    logits = torch.zeros(77, 8, 8)
    logits[int(objective.bins.square().sum(1).argmin())] = 1
    terms = fixed(objective, logits)(objective.make_views(images, seeded())).terms
    assert terms["accuracy"] >= 0.5 and terms["accuracy_in_colour"] == 0


def test_a_colour_is_an_annealed_mean_and_keeps_the_lightness():
    objective = make(Colourisation)
    logits = torch.full((77, 8, 8), -20.0)
    red, blue = (int((objective.bins - torch.tensor(ab)).square().sum(1).argmin()) for ab in ((40.0, 20.0), (0.0, -20.0)))
    logits[red], logits[blue] = 1.0, 0.0
    images = torch.full((1, 3, 32, 32), 0.5)
    for temperature in (0.01, 0.38, 1.0):
        share = 1 / (1 + math.exp(-1 / temperature))
        lab = rgb_to_lab(fixed(objective, logits).colourise(images, temperature))
        wanted = share * objective.bins[red] + (1 - share) * objective.bins[blue]
        assert lab[0, 1:, 9, 9].tolist() == pytest.approx(wanted.tolist(), abs=0.05)
        assert float(lab[0, 0, 9, 9]) == pytest.approx(53.39, abs=0.02)
    with pytest.raises(ValueError, match="temperature: got 0, takes a number above 0"):
        objective.colourise(images, 0)


def test_colourisation_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match="encoder: got one for 1 channel, takes one for pictures in colour"):
        make(Colourisation, 1, 28)
    with pytest.raises(ValueError, match="encoder: got Eye, takes one with maps"):
        Colourisation(Eye(None, 4, (3, 32)))


def test_a_vision_transformer_can_be_asked_too():
    for task, options in ((Rotation, {}), (Jigsaw, {"patch": 8}), (Colourisation, {"finer": 1})):
        objective = task(encoders.create("vit", (3, 32), patch=4, dim=16, depth=1), **options)
        loss = objective(objective.make_views(noise(3, 3, 32, 32), seeded()))
        assert loss.total.isfinite() and loss.embedding.shape[1] == 16


# Figures


def test_figures_show_the_tasks():
    images = noise(3, 3, 32, 32)
    sheet = figures.turns(images).axes[0]
    assert [label.get_text() for label in sheet.get_yticklabels()] == ["turned by 0°", "turned by 90°", "turned by 180°", "turned by 270°"]
    drawn = torch.tensor(sheet.images[0].get_array())[38:70, 2:34].permute(2, 0, 1)                # the first picture, turned once
    assert torch.allclose(drawn, images[0].rot90(1, (1, 2)) / 255)
    cut = figures.patches(images, make(Jigsaw))
    assert len(cut.axes) == 6 and len(cut.axes[0].patches) == 9 and len(cut.axes[3].images) == 2
    rows = figures.reconstructions({"grey": images, "truth": images / 255}).axes[0]
    assert [label.get_text() for label in rows.get_yticklabels()] == ["grey", "truth"]


def test_a_patch_is_shown_with_its_own_number():
    objective = make(Jigsaw, gap=2, slide=0)
    figure = figures.patches(noise(4, 3, 32, 32), objective)
    for top, bottom in zip(figure.axes[:4], figure.axes[4:], strict=True):
        bold = [patch.get_xy() for patch in top.patches if patch.get_linewidth() > 1]
        (x, y), other = top.patches[4].get_xy(), next(xy for xy in bold if xy != top.patches[4].get_xy())
        place = 3 * (int(np.sign(other[1] - y)) + 1) + int(np.sign(other[0] - x)) + 1
        assert bottom.get_title() == f"where? {place - (place > 4)}"


def test_figures_show_the_answers():
    said, true = torch.tensor([0, 1, 1, 3]), torch.tensor([0, 1, 2, 3])
    axis = figures.confusion(said, true, "abcd").axes[0]
    assert torch.tensor(axis.images[0].get_array()).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert axis.get_title() == "75 % right"
    p = torch.tensor([[0.1, 0.6, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
    axes = figures.answers(noise(2, 1, 28, 28), p, ["one", "two"]).axes
    assert [bar.get_height() for bar in axes[2].patches] == pytest.approx(p[0].tolist()) and axes[0].get_title() == "one"
    axis = figures.by_class({"x": {"shoe": 0.9, "bag": 0.2}, "y": {"shoe": 0.5, "bag": 0.4}}, {"chance": 0.25}, "right").axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["bag", "shoe"] and len(axis.patches) == 4
    bins = pretext.colour_bins()
    shares = torch.zeros(77)
    shares[int(bins.square().sum(1).argmin())] = 1
    axis = figures.palette(torch.rand(77, 3), bins, {"a": shares}).axes[0]
    assert "the grey bin has 100 %" in axis.get_xlabel()
