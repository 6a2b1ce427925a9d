"""Masked image modelling against its papers: formulas written again in plain loops, and what nobody may see."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sslab import encoders, figures, objectives
from sslab.encoders.vit import Block, VisionTransformer
from sslab.evaluation import feature_std
from sslab.evaluation.from_scratch import train_supervised
from sslab.objectives import (
    IJEPA,
    MAE,
    latent_error,
    masked_patches,
    normalise_patches,
    patchify,
    target_spread,
    unpatchify,
)
from sslab.objectives.masked import split
from sslab.testing import check_objective
from sslab.training import train
from sslab.views import block_mask, block_shape, latent_masks, random_mask


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def pictures(n, channels=1, size=16, seed=0):
    return torch.rand(n, channels, size, size, generator=generator(seed))


def small(channels=1, size=16, patch=4, seed=0):
    """A tiny transformer: 16 patches, width 16, two blocks."""
    torch.manual_seed(seed)
    return encoders.create("vit", (channels, size), patch=patch, dim=16, depth=2, heads=2)


def made(kind, seed=0, **options):
    encoder = small()
    torch.manual_seed(seed)
    return kind(encoder, width=16, **options)


def dataset(images):
    images = (255 * images).round().to(torch.uint8)
    return SimpleNamespace(train=SimpleNamespace(images=images, labels=torch.zeros(len(images), dtype=torch.long)))


# ---- patches


def naive_patches(image, patch):
    """[C, H, W] -> a list of patches, each a list of numbers: rows, columns, channels."""
    channels, height, width = image.shape
    found = []
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            found.append([float(image[c, top + i, left + j]) for i in range(patch) for j in range(patch) for c in range(channels)])
    return found


def test_patchify_is_the_loop_over_rows_columns_and_channels():
    images = draw(2, 3, 4, 6)
    assert patchify(images, 2).tolist() == [naive_patches(image, 2) for image in images]


@pytest.mark.parametrize(("channels", "size", "patch"), [(1, 28, 4), (3, 32, 4), (3, 6, 1), (1, 6, 6)])
def test_unpatchify_is_the_way_back(channels, size, patch):
    images = draw(2, channels, size, size)
    patches = patchify(images, patch)
    assert patches.shape == (2, (size // patch) ** 2, patch * patch * channels)
    assert torch.equal(unpatchify(patches, patch), images)


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="patch: got 3"):
        patchify(draw(1, 1, 4, 4), 3)
    with pytest.raises(ValueError, match="grid"):
        unpatchify(draw(1, 5, 4), 2)
    with pytest.raises(ValueError, match="C]"):
        unpatchify(draw(1, 4, 6), 2)


def naive_masked_patches(prediction, target, mask, normalize):
    errors = []
    for b in range(len(target)):
        for t in range(target.shape[1]):
            if mask[b, t]:
                true = [float(x) for x in target[b, t]]
                if normalize:
                    mean = sum(true) / len(true)
                    variance = sum((x - mean) ** 2 for x in true) / (len(true) - 1)
                    true = [(x - mean) / math.sqrt(variance + 1e-6) for x in true]
                errors.append(sum((float(p) - x) ** 2 for p, x in zip(prediction[b, t], true, strict=True)) / len(true))
    return sum(errors) / len(errors)


@pytest.mark.parametrize("normalize", [True, False])
def test_masked_patches_is_the_papers_loss(normalize):
    prediction, target = draw(3, 5, 4), draw(3, 5, 4, seed=1)
    target[0, 0] = 0.7                                               # a patch of one colour
    mask = torch.rand(3, 5, generator=generator(2)) < 0.5
    mask[0, 0] = True
    got = masked_patches(prediction, target, mask, normalize)
    assert got.dtype == torch.float64
    assert float(got) == pytest.approx(naive_masked_patches(prediction, target, mask, normalize), rel=1e-12)


def test_masked_patches_looks_at_marked_patches_only():
    prediction, target = draw(2, 4, 3), draw(2, 4, 3, seed=1)
    mask = torch.tensor([[True, False, False, True], [False, True, False, False]])
    before = masked_patches(prediction, target, mask)
    other = torch.where(mask[..., None], target, 1e3 * draw(2, 4, 3, seed=2))
    assert torch.equal(masked_patches(prediction, other, mask), before)
    assert float(masked_patches(prediction, target, torch.zeros_like(mask))) == 0
    assert float(masked_patches(normalise_patches(target), target, mask)) == 0


@pytest.mark.parametrize(("shapes", "word"), [(((2, 4, 3), (2, 4, 2), (2, 4)), "prediction"), (((2, 4, 3), (2, 4, 3), (2, 3)), "mask"),
                                              (((2, 4, 1), (2, 4, 1), (2, 4)), "1 number")])
def test_masked_patches_refuses_what_does_not_fit(shapes, word):
    with pytest.raises(ValueError, match=word):
        masked_patches(draw(*shapes[0]), draw(*shapes[1]), torch.ones(shapes[2], dtype=torch.bool))


# ---- masks


def rectangle(mask, grid):
    """(top, left, rows, columns) of a mask [grid * grid] that is one full rectangle."""
    table = mask.view(grid, grid)
    rows, columns = table.any(1).nonzero().flatten(), table.any(0).nonzero().flatten()
    top, left, height, width = int(rows[0]), int(columns[0]), len(rows), len(columns)
    assert bool(table[top:top + height, left:left + width].all()) and int(table.sum()) == height * width
    return top, left, height, width


@pytest.mark.parametrize(("grid", "share", "aspect", "shape"), [
    (7, 0.18, 1.0, (3, 3)), (8, 0.1875, 0.75, (3, 4)), (8, 0.1875, 1.34, (4, 3)), (7, 1.0, 1.0, (7, 7)), (7, 0.0, 1.0, (1, 1)),
    (4, 0.5, 4.0, (4, 2)), (4, 0.5, 0.25, (2, 4)), (7, 0.75, 1.0, (6, 6))])
def test_block_shape_by_hand(grid, share, aspect, shape):
    assert block_shape(grid, share, aspect) == shape


def test_blocks_have_one_shape_and_every_place():
    masks = block_mask(400, 5, 0.24, generator(), (1.5, 1.5))        # 6 patches, 3 rows of 2
    found = [rectangle(mask, 5) for mask in masks]
    assert {shape[2:] for shape in found} == {(3, 2)}
    places = [shape[:2] for shape in found]
    assert set(places) == {(top, left) for top in range(3) for left in range(4)}
    assert max(places.count(place) for place in set(places)) < 2 * 400 / 12          # 33 expected


def test_a_block_of_nothing_and_bad_values():
    assert not block_mask(2, 5, 0.0, generator()).any()
    with pytest.raises(ValueError, match="share: got 1.5"):
        block_mask(2, 5, 1.5, generator())
    with pytest.raises(ValueError, match="aspect"):
        block_mask(2, 5, 0.5, generator(), (0, 1))
    with pytest.raises(ValueError, match="targets"):
        latent_masks(2, 5, 0, 0.2, generator())


@pytest.mark.parametrize(("grid", "targets", "share"), [(7, 4, 0.18), (8, 4, 0.18), (7, 6, 0.4), (7, 1, 0.02), (2, 3, 0.3), (4, 2, 1.0)])
def test_context_and_targets_share_no_patch(grid, targets, share):
    if share == 1.0:
        with pytest.raises(ValueError, match="share"):
            latent_masks(8, grid, targets, share, generator())
        return
    context, blocks = latent_masks(64, grid, targets, share, generator())
    assert context.shape[0] == 64 and blocks.shape[:2] == (64, targets) and context.shape[1] >= 1
    shapes = set()
    for places, asked in zip(context, blocks, strict=True):
        assert len(set(places.tolist())) == len(places)
        assert not set(places.tolist()) & set(asked.flatten().tolist())
        for block in asked:
            shapes.add(rectangle(torch.zeros(grid * grid, dtype=torch.bool).index_fill(0, block, True), grid)[2:])
    assert len(shapes) == 1                                          # one shape for the whole batch


def test_contexts_keep_a_third_of_the_picture_where_they_can():
    assert min(latent_masks(64, 7, 4, 0.18, generator(seed))[0].shape[1] for seed in range(10)) >= 14
    assert min(latent_masks(64, 7, 1, 0.18, generator(seed))[0].shape[1] for seed in range(10)) >= 20


def test_targets_lie_all_over_the_picture():
    blocks = latent_masks(200, 7, 1, 0.18, generator(), aspect=(1.0, 1.0))[1]                        # 3 x 3
    assert sorted(set(blocks[:, 0, 0].tolist())) == [7 * top + left for top in range(5) for left in range(5)]


# ---- a transformer on some of the patches


def naive_norm(x, layer):
    x = np.asarray(x)
    return (x - x.mean()) / math.sqrt(x.var() + layer.eps) * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def naive_linear(x, layer):
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def naive_block(block: Block, tokens):
    """Equations of arXiv:2010.11929 (A.1, and 2, 3), one token and one head at a time -> tokens, weights by head."""
    dim, heads = len(tokens[0]), block.heads
    size = dim // heads
    parts = [naive_linear(naive_norm(x, block.norm1), block.qkv) for x in tokens]
    out, weights = [], np.zeros((heads, len(tokens), len(tokens)))
    for i, x in enumerate(tokens):
        attended = np.zeros(dim)
        for head in range(heads):
            piece = slice(head * size, (head + 1) * size)
            scores = [math.exp(parts[i][:dim][piece] @ other[dim:2 * dim][piece] / math.sqrt(size)) for other in parts]
            weights[head, i] = np.array(scores) / sum(scores)
            attended[piece] = sum(w * other[2 * dim:][piece] for w, other in zip(weights[head, i], parts, strict=True))
        x = x + naive_linear(attended, block.out)
        inner = naive_linear(naive_norm(x, block.norm2), block.mlp[0])
        inner = np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in inner])
        out.append(x + naive_linear(inner, block.mlp[2]))
    return out, weights


def naive_tokens(net: VisionTransformer, image, places):
    """Only these patches of a picture [C, H, W] exist -> their tokens, and the last block's attention."""
    weight, bias, side = net.embed.weight.detach().numpy(), net.embed.bias.detach().numpy(), image.shape[2] // net.patch
    tokens = []
    for place in places:
        top, left = place // side * net.patch, place % side * net.patch
        piece = image[:, top:top + net.patch, left:left + net.patch].numpy()
        tokens.append(np.array([(w * piece).sum() for w in weight]) + bias + net.positions[place].numpy())
    for block in net.blocks:
        tokens, attention = naive_block(block, tokens)
    return np.stack([naive_norm(x, net.norm) for x in tokens]), attention


def test_tokens_of_some_patches_are_those_of_a_picture_that_has_no_others():
    net = small(3).net.double()
    images = pictures(2, 3).double()
    keep = torch.tensor([[3, 0, 14], [5, 6, 7]])
    got = net.tokens(images, keep).detach().numpy()
    for image, places, tokens in zip(images, keep.tolist(), got, strict=True):
        np.testing.assert_allclose(tokens, naive_tokens(net, image, places)[0], rtol=1e-9)


def test_attention_maps_are_the_weights_of_the_blocks():
    net = small().net.double()
    images = pictures(1).double()
    tokens, attention = naive_tokens(net, images[0], range(16))
    np.testing.assert_allclose(net.attention(images)[0].detach().numpy(), attention, rtol=1e-9)
    np.testing.assert_allclose(net.tokens(images)[0].detach().numpy(), tokens, rtol=1e-9)
    assert net.attention(images, 0).sum(dim=3).detach().numpy() == pytest.approx(np.ones((1, 2, 16)))
    assert not torch.allclose(net.attention(images, 0), net.attention(images, 1))


def test_all_patches_kept_are_the_whole_picture():
    encoder = small()
    images = pictures(3)
    order = torch.stack([torch.randperm(16, generator=generator(seed)) for seed in range(3)])
    whole = encoder.net.tokens(images)                               # [B, T, D]
    torch.testing.assert_close(encoder.net.tokens(images, order), whole.gather(1, order[..., None].expand_as(whole)))
    torch.testing.assert_close(whole.transpose(1, 2).view(3, 16, 4, 4), encoder.net.maps(images))
    torch.testing.assert_close(whole.mean(dim=1), encoder.net(images))
    assert encoder.net.tokens(images, order[:, :0]).shape == (3, 0, 16)


# ---- MAE


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["mae", "ijepa"])
def test_contract(name, channels):
    size = {1: 28, 3: 32}[channels]
    encoder = encoders.create("vit", (channels, size), patch=4)
    assert check_objective(lambda: objectives.create(name, encoders.create("vit", encoder.shape, patch=4)), channels, size)
    assert objectives.encoder_for(name, (channels, size)).net.patch == 4


@pytest.mark.parametrize("kind", [MAE, IJEPA])
def test_an_encoder_without_patches_is_refused(kind):
    with pytest.raises(ValueError, match="encoder: got conv"):
        kind(encoders.create("conv", (1, 28)))


@pytest.mark.parametrize("masking", ["random", "block"])
@pytest.mark.parametrize("normalise", [True, False])
def test_what_is_hidden_is_seen_by_nothing(masking, normalise):
    """Every hidden pixel becomes NaN: codes, predictions and what is filled in stay as they were, to the last bit."""
    mae = made(MAE, masking=masking, normalise=normalise).eval()
    images, visible, hidden = mae.make_views(pictures(4), generator())
    mask = torch.zeros(4, 16, dtype=torch.bool).scatter(1, hidden, True)
    patches = patchify(images, 4).masked_fill(mask[..., None], math.nan)
    spoiled = unpatchify(patches, 4)
    codes = mae.encode_visible(images, visible)
    assert torch.equal(mae.encode_visible(spoiled, visible), codes)
    assert torch.equal(mae.predict(mae.encode_visible(spoiled, visible), visible, hidden), mae.predict(codes, visible, hidden))
    assert torch.equal(mae.fill(spoiled, mask), mae.fill(images, mask))
    assert torch.equal(mae.covered(spoiled, mask), mae.covered(images, mask))
    assert not torch.equal(mae.encode_visible(images.flip(0), visible), codes)        # what is visible does matter


@pytest.mark.parametrize(("loss_on", "counted"), [("hidden", "h"), ("visible", "v"), ("all", "hv")])
def test_loss_is_that_of_the_chosen_patches(loss_on, counted):
    mae = made(MAE, loss_on=loss_on).double()
    images, visible, hidden = mae.make_views(pictures(3).double(), generator())
    prediction = mae.predict(mae.encode_visible(images, visible), visible, hidden).detach()
    mask = torch.zeros(3, 16, dtype=torch.bool)
    for letter, places in (("h", hidden), ("v", visible)):
        if letter in counted:
            mask.scatter_(1, places, True)
    target = torch.tensor([naive_patches(image, 4) for image in images], dtype=torch.float64)
    expected = naive_masked_patches(prediction, target, mask, True)
    assert float(mae((images, visible, hidden)).total.detach()) == pytest.approx(expected, rel=1e-9)


def test_answers_stand_at_their_places():
    """A decoder that says where it is: what comes back is in the order of the picture."""
    mae = made(MAE)
    mae.decoder.forward = lambda codes, visible, hidden: torch.cat([visible, hidden], 1)[..., None].float()
    _, visible, hidden = mae.make_views(pictures(3), generator())
    assert mae.predict(torch.zeros(3, 4, 16), visible, hidden)[..., 0].tolist() == [list(range(16))] * 3


@pytest.mark.parametrize(("masking", "ratio", "count"), [("random", 0.75, 12), ("random", 0.0, 0), ("random", 0.95, 15),
                                                         ("block", 0.25, 4), ("block", 0.0, 0), ("block", 0.95, 12)])
def test_masks_hide_as_many_in_every_picture(masking, ratio, count):
    mask = made(MAE, masking=masking, mask_ratio=ratio).draw_mask(6, generator())
    hidden = mask.sum(dim=1).tolist()
    assert len(set(hidden)) == 1 and hidden[0] == count
    visible, covered = split(mask)
    assert all(mask[b, places].all() for b, places in enumerate(covered))
    assert not any(mask[b, places].any() for b, places in enumerate(visible))


def test_mask_ratio_may_change_while_it_trains():
    mae, seen = made(MAE), []
    mae.encoder.net.blocks[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    for step in train(mae, dataset(pictures(16)), steps=4, batch_size=8, precision="float32", device="cpu"):
        mae.set(mask_ratio=[0.75, 0.25, 0.5, 0.0][step.index])
        assert torch.isfinite(step.loss)
    assert seen == [4, 4, 12, 8]                                     # the change counts from the next step on


@pytest.mark.parametrize("normalise", [True, False])
def test_mean_image_is_the_level_of_the_best_constant(normalise):
    """Reached by giving the mean patch of every place, in whose stead nothing else gives less."""
    mae = made(MAE, normalise=normalise, loss_on="all")
    assert mae.reference_levels() == {}
    images = pictures(12)
    mae(mae.make_views(images, generator()))
    target = torch.tensor([naive_patches(image, 4) for image in images], dtype=torch.float64)
    shown = normalise_patches(target) if normalise else target
    constant = sum(shown) / len(shown)
    every = torch.ones(12, 16, dtype=torch.bool)
    level = mae.reference_levels()["mean image"]
    assert level == pytest.approx(naive_masked_patches(constant.expand(12, -1, -1), target, every, normalise), rel=1e-5)
    assert level < naive_masked_patches((constant + 0.01).expand(12, -1, -1), target, every, normalise)


def test_mean_image_counts_places_as_often_as_the_loss_does():
    """Half of the places are hard, and only those are hidden: the level is theirs alone."""
    mae = made(MAE, normalise=False)
    images = pictures(8)
    images[:, :, :8] = 0.5                                           # the upper half never changes
    hidden = torch.arange(8, 16).expand(8, -1)
    mae((images, torch.arange(8).expand(8, -1), hidden))
    lower = patchify(images, 4)[:, 8:].double()
    assert mae.reference_levels()["mean image"] == pytest.approx(float((lower - lower.mean(0)).square().mean()), rel=1e-5)
    mae.eval()(mae.make_views(pictures(8, seed=1), generator()))     # looking does not change it
    assert int(mae.targets["pixels"].count) == 8


def test_a_constant_code_costs_the_mean_image_and_a_code_that_tells_costs_less():
    """Pictures of one grey each: what is visible tells the rest. Without a code nothing beats the mean grey."""
    grey = torch.linspace(0, 1, 32)[:, None, None, None].expand(-1, 1, 16, 16)
    final = {}
    for constant in (False, True):
        mae = made(MAE, normalise=False, constant_code=constant)
        losses = [float(step.loss) for step in train(mae, dataset(grey), steps=150, batch_size=32, learning_rate=1e-2,
                                                     precision="float32", device="cpu")]
        final[constant] = sum(losses[-10:]) / 10 / mae.reference_levels()["mean image"]
    assert final[True] == pytest.approx(1, abs=0.03) and final[False] < 0.1


def test_a_constant_code_says_so():
    mae = made(MAE, constant_code=True)
    images, visible, hidden = mae.make_views(pictures(4), generator())
    visible, hidden = visible[:1].expand(4, -1), hidden[:1].expand(4, -1)
    loss = mae((images, visible, hidden))
    assert loss.projection.std(dim=0).max() == 0 < loss.embedding.std(dim=0).min()
    answers = mae.predict(mae.encode_visible(images, visible), visible, hidden)
    assert torch.equal(answers, answers[:1].expand_as(answers))      # the same for every picture
    assert made(MAE)((images, visible, hidden)).projection is None   # the loss works on the embedding


def test_filling_leaves_visible_patches_and_takes_any_mask():
    mae = made(MAE, normalise=False).eval()
    images = (255 * pictures(4)).to(torch.uint8)
    mask = torch.rand(4, 16, generator=generator()) < torch.tensor([0.2, 0.5, 0.8, 2.0])[:, None]    # the last one: all of it
    filled = mae.fill(images, mask)
    before, after = patchify(images.float() / 255, 4), patchify(filled, 4)
    assert torch.equal(after[~mask], before[~mask]) and not torch.equal(after[mask], before[mask])
    assert 0 <= filled.min() and filled.max() <= 1 and filled.shape == images.shape
    one_by_one = torch.cat([mae.fill(images[i:i + 1], mask[i]) for i in range(4)])
    torch.testing.assert_close(filled, one_by_one)
    torch.testing.assert_close(mae.fill(images.float() / 255, mask), filled)
    assert torch.equal(mae.fill(images, torch.zeros(16)), images.float() / 255)
    with pytest.raises(ValueError, match=r"mask: got shape \[9\], takes \[16\] or \[4, 16\]"):
        mae.fill(images, torch.zeros(9))


def test_patterns_get_their_brightness_from_visible_neighbours():
    """Two of four patches in a row are hidden, one white and one black are visible: each takes more from the nearer."""
    mae = made(MAE, normalise=True)
    true = torch.zeros(1, 16, 16)
    true[0, 0] = 1.0
    mask = torch.ones(1, 16, dtype=torch.bool)
    mask[0, [0, 3]] = False
    got = mae._recolour(torch.zeros(1, 16, 16), true, mask)[0, :, 0]
    for place, (near, far) in {1: (1, 2), 2: (2, 1)}.items():
        expected = math.exp(-(near**2)) / (math.exp(-(near**2)) + math.exp(-(far**2)))
        assert float(got[place]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("kind", "rows"), [(MAE, ["picture", "visible", "filled in"]), (IJEPA, ["picture", "context", "targets"])])
def test_pictures_show_what_is_hidden(kind, rows):
    objective = made(kind).eval()
    images = (255 * pictures(5)).to(torch.uint8)
    shown = objective.pictures(images, generator())
    assert list(shown) == rows
    assert all(each.shape == images.shape and 0 <= each.min() and each.max() <= 1 for each in shown.values())
    assert torch.equal(shown["picture"], images / 255)
    hidden = (patchify(shown[rows[1]], 4) == 0.5).all(dim=2)         # [B, T]
    assert hidden.any(dim=1).all() and torch.equal(patchify(shown[rows[1]], 4)[~hidden], patchify(shown["picture"], 4)[~hidden])


# ---- I-JEPA


def naive_latent_error(prediction, target):
    total = []
    for p, t in zip(prediction.flatten(0, -2).tolist(), target.flatten(0, -2).tolist(), strict=True):
        mean = sum(t) / len(t)
        variance = sum((x - mean) ** 2 for x in t) / len(t)
        total += [(a - (x - mean) / math.sqrt(variance + 1e-5)) ** 2 for a, x in zip(p, t, strict=True)]
    return sum(total) / len(total)


def test_latent_error_is_the_squared_distance_from_normalised_tokens():
    prediction, target = draw(2, 3, 6), 5 + 3 * draw(2, 3, 6, seed=1)
    assert float(latent_error(prediction, target)) == pytest.approx(naive_latent_error(prediction, target), rel=1e-9)
    assert float(latent_error(torch.zeros_like(target), target)) == pytest.approx(1, abs=1e-4)
    assert float(latent_error(prediction, prediction[:, :1].expand_as(prediction))) > 0
    with pytest.raises(ValueError, match="takes twice the same"):
        latent_error(prediction, target[:, :2])


def test_latent_error_of_a_constant_is_nothing():
    """The collapsed level: targets that are the same everywhere, and a predictor that knows them."""
    one = draw(6)
    assert float(latent_error(torch.nn.functional.layer_norm(one, [6]).expand(4, 3, 6), one.expand(4, 3, 6))) == 0
    assert float(target_spread(one.expand(4, 3, 6))) == pytest.approx(0, abs=1e-12)


def test_target_spread_is_the_error_of_one_answer_for_each_place():
    tokens = draw(5, 3, 6)
    normal = torch.nn.functional.layer_norm(tokens, [6]).numpy()
    expected = np.mean([normal[:, t, d].var(ddof=1) for t in range(3) for d in range(6)])
    assert float(target_spread(tokens)) == pytest.approx(expected, rel=1e-9)


def test_ijepas_loss_by_hand():
    """Context tokens, each block by itself, the teacher's tokens of the whole picture at the blocks."""
    jepa = made(IJEPA, targets=3).double()
    views = images, context, blocks = jepa.make_views(pictures(2).double(), generator())
    with torch.no_grad():
        for p in jepa.teacher.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator(5)))
        errors = []
        for b in range(2):
            seen = jepa.encoder.net.tokens(2 * images[b:b + 1] - 1, context[b:b + 1])
            whole = jepa.teacher.networks[0].net.tokens(2 * images[b:b + 1] - 1)
            for block in blocks[b]:
                answers = jepa.predictor(seen, context[b:b + 1], block[None])[:, context.shape[1]:]
                errors.append(naive_latent_error(answers, whole[:, block]))
    assert float(jepa(views).total.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-9)


def test_ijepas_predictions_know_nothing_of_the_targets_pixels():
    jepa = made(IJEPA)
    images, context, blocks = jepa.make_views(pictures(4), generator())
    elsewhere = torch.ones(4, 16, dtype=torch.bool).scatter(1, context, False)
    spoiled = unpatchify(patchify(images, 4).masked_fill(elsewhere[..., None], math.nan), 4)
    told = [jepa.predict(jepa.encoder.net.tokens(2 * each - 1, context), context, blocks) for each in (images, spoiled)]
    assert torch.equal(*told) and bool(torch.isfinite(told[0]).all())


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_teacher_follows_by_its_formula(momentum):
    jepa = made(IJEPA, momentum=momentum)
    before = [p.clone() for p in jepa.teacher.parameters()]
    next(steps := train(jepa, dataset(pictures(8)), steps=2, batch_size=8, precision="float32", device="cpu"))
    students = list(jepa.encoder.parameters())
    for old, student, now in zip(before, students, jepa.teacher.parameters(), strict=True):
        torch.testing.assert_close(now, momentum * old + (1 - momentum) * student.detach())
    assert any(not torch.equal(old, student) for old, student in zip(before, students, strict=True))
    steps.close()


@pytest.mark.parametrize("stop", [True, False])
def test_stop_gradient_decides_whether_targets_learn(stop):
    """The gradient by hand: with fixed targets if it is stopped, with targets that are the encoder's own if not."""
    jepa = made(IJEPA, stop_gradient=stop, momentum=0.0)
    views = images, context, blocks = jepa.make_views(pictures(4), generator())
    jepa(views).total.backward()
    got = [p.grad.clone() for p in jepa.encoder.parameters()]
    assert all(p.grad is None for p in jepa.teacher.parameters())
    jepa.zero_grad()
    seen = jepa.encoder.net.tokens(2 * images - 1, context)
    said = jepa.encoder.net.tokens(2 * images - 1)                   # a fresh teacher is the encoder
    said = said.detach() if stop else said
    target = torch.stack([said[b, blocks[b].flatten()] for b in range(4)])
    latent_error(jepa.predict(seen, context, blocks), target).backward()
    for expected, grad in zip(jepa.encoder.parameters(), got, strict=True):
        torch.testing.assert_close(grad, expected.grad, rtol=1e-4, atol=1e-6)


def test_ijepas_gauges_read_what_does_not_depend_on_the_masks():
    jepa = made(IJEPA).eval()
    images = pictures(6)
    first, second = (jepa(jepa.make_views(images, generator(seed))) for seed in range(2))
    assert torch.equal(first.projection, second.projection) and not torch.equal(first.embedding, second.embedding)
    with torch.no_grad():                                            # an encoder that says one thing
        for network in (jepa.encoder, jepa.teacher.networks[0]):
            network.net.norm.weight.zero_()
            network.net.norm.bias.copy_(torch.randn(16, generator=generator()))
    assert float(jepa(jepa.make_views(images, generator())).projection.std(dim=0).max()) < 1e-6


def test_ijepas_levels_follow_the_targets():
    jepa = made(IJEPA)
    assert jepa.reference_levels() == {"collapsed": 0.0}
    images = pictures(8)
    for seed in range(3):
        loss = jepa(jepa.make_views(images, generator(seed)))
    spread = float(target_spread(jepa.say(images)))                  # the teacher did not move: the same each time
    assert jepa.reference_levels()["mean target"] == pytest.approx(spread, rel=1e-4)
    assert float(loss.terms["target spread"]) == pytest.approx(spread, rel=1e-5)


def waves(n):
    """Pictures with something to predict: stripes of any direction."""
    bends, starts = 4 * torch.rand(n, 2, 1, 1, generator=generator()), 6.28 * torch.rand(n, 1, 1, generator=generator(1))
    y, x = torch.meshgrid(torch.linspace(0, 3.14, 16), torch.linspace(0, 3.14, 16), indexing="ij")
    return (0.5 + 0.5 * torch.sin(bends[:, 0] * y + bends[:, 1] * x + starts))[:, None]


@pytest.mark.parametrize("seed", range(3))
def test_targets_that_learn_collapse_and_stopped_ones_do_not(seed):
    spread, std = {}, {}
    for stop in (True, False):
        jepa = made(IJEPA, seed=seed, targets=2, stop_gradient=stop)
        for step in train(jepa, dataset(waves(64)), steps=60, batch_size=16, seed=seed, learning_rate=3e-3,
                          precision="float32", device="cpu"):
            spread[stop] = float(step.terms["target spread"])
        std[stop] = float(feature_std(jepa.project(jepa.say(waves(64))).detach()))
    assert spread[True] > 0.2 and spread[False] < 0.02 and std[False] < 0.2 * std[True]


# ---- figures, and the control


def test_figures_show_pictures_masks_and_attention():
    mae, jepa, images = made(MAE), made(IJEPA, targets=3), pictures(4)
    assert [t.get_text() for t in figures.filled_in(mae, images).axes[0].get_xticklabels()] == ["picture", "visible", "filled in"]
    table = figures.masks_and_fillings(mae, images, (0.25, 0.75)).axes[0]
    assert [t.get_text() for t in table.get_xticklabels()] == ["picture", "25% hidden", "filled in", "75% hidden", "filled in"]
    assert len(figures.context_and_targets(jepa, images).axes[0].patches) == 4 * 3
    axis = figures.attention_maps(mae.encoder, images, place=5).axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["picture", "head 1", "head 2"] and len(axis.patches) == 4
    shown = axis.images[0].get_array()                               # rows of 16 + 4 pixels
    weights = mae.encoder.net.attention(2 * images - 1)[0, 1, 5].detach()
    assert float(shown[2 + 4, 40 + 2 + 8, 0]) == pytest.approx(float(weights[6] / weights.max()), abs=1e-5)
    assert len(figures.patch_filters({"untrained": small(), "trained": mae.encoder}, columns=4).axes) == 2


def test_target_blocks_are_outlined_where_they_are():
    jepa, images = made(IJEPA, targets=1), pictures(1)
    _, _, blocks = jepa.make_views(images, generator(3))
    top, left, rows, columns = rectangle(torch.zeros(16, dtype=torch.bool).index_fill(0, blocks[0, 0], True), 4)
    (outline,) = figures.context_and_targets(jepa, images, seed=3).axes[0].patches
    assert outline.get_xy() == (2 * 20 + 2 + 4 * left - 0.5, 2 + 4 * top - 0.5)
    assert (outline.get_width(), outline.get_height()) == (4 * columns, 4 * rows)


def test_the_supervised_control_takes_an_encoder_and_leaves_it_alone():
    encoder, images = small(), (255 * pictures(8)).to(torch.uint8)
    split_of = SimpleNamespace(images=images, labels=torch.arange(8) % 2, indices=torch.arange(8))

    class Split(SimpleNamespace):
        def __init__(self, images, labels, indices):
            super().__init__(images=images, labels=labels, indices=indices)

    data = SimpleNamespace(train=Split(**vars(split_of)), num_classes=2)
    before = [p.clone() for p in encoder.parameters()]
    trained = train_supervised(data, torch.arange(8), encoder, batch_size=8, steps=2, precision="float32")
    assert trained.encoder.net.patch == 4 and trained.encoder.dim == 16 and trained.encoder is not encoder
    assert all(torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))


def test_random_masks_of_everything():
    assert random_mask(2, 9, 1.0, generator()).all()
