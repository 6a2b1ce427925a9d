import math

import pytest
import torch

from sslab import encoders, objectives
from sslab.objectives import attraction, nt_xent
from sslab.testing import check_objective
from sslab.views import Augment


def naive_nt_xent(z1, z2, temperature):
    """Equation 1 of arXiv:2002.05709, pair by pair, in Python floats."""
    z = [row.tolist() for row in torch.cat([z1, z2]).double()]
    n, b = len(z), len(z1)

    def cosine(u, v):
        dot = sum(x * y for x, y in zip(u, v, strict=True))
        return dot / math.sqrt(sum(x * x for x in u)) / math.sqrt(sum(y * y for y in v))

    total = 0.0
    for i in range(n):
        j = (i + b) % n
        below = sum(math.exp(cosine(z[i], z[k]) / temperature) for k in range(n) if k != i)
        total -= math.log(math.exp(cosine(z[i], z[j]) / temperature) / below)
    return total / n


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(5, 4, generator=generator, dtype=torch.float64) for _ in range(2)]


@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_nt_xent_is_the_papers_formula(pair, temperature):
    assert float(nt_xent(*pair, temperature)) == pytest.approx(naive_nt_xent(*pair, temperature), rel=1e-10)


def test_nt_xent_by_hand():
    """Two pictures whose views agree and are at right angles: logits 1, 0, 0 over tau = 1 for every view."""
    eye = torch.eye(2)
    assert float(nt_xent(eye, eye, 1.0)) == pytest.approx(-math.log(math.e / (math.e + 2)), abs=1e-6)


def test_nt_xent_levels():
    same = torch.ones(8, 3)
    assert float(nt_xent(same, same, 0.1)) == pytest.approx(math.log(15), abs=1e-5)
    generator = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(256, 512, generator=generator) for _ in range(2))
    assert float(nt_xent(z1, z2, 1.0)) == pytest.approx(math.log(511), abs=0.01)


def test_nt_xent_gradient_and_symmetry(pair):
    for z in pair:
        z.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.3), pair)
    order = torch.tensor([3, 1, 4, 0, 2])
    value = nt_xent(*pair, 0.3)
    assert torch.allclose(value, nt_xent(pair[1], pair[0], 0.3)) and torch.allclose(value, nt_xent(pair[0][order], pair[1][order], 0.3))
    assert torch.allclose(value, nt_xent(7 * pair[0], 0.1 * pair[1], 0.3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("temperature", [0.02, 5.0])
def test_nt_xent_is_finite_at_the_ends_of_the_knob(pair, dtype, temperature):
    value = nt_xent(*(z.to(dtype) for z in pair), temperature)
    assert value.dtype == torch.float32 and torch.isfinite(value)
    assert float(value) == pytest.approx(naive_nt_xent(*pair, temperature), rel=0.1)


def test_nt_xent_names_what_is_wrong(pair):
    with pytest.raises(ValueError, match=r"z1, z2: got shapes \[5, 4\] and \[4, 4\]"):
        nt_xent(pair[0], pair[1][:4])
    with pytest.raises(ValueError, match="temperature: got 0"):
        nt_xent(*pair, 0)


def test_attraction_is_the_mean_cosine(pair):
    assert float(attraction(pair[0], pair[0], 0.5)) == pytest.approx(-2)
    assert float(attraction(pair[0], -pair[0], 0.5)) == pytest.approx(2)


def make(name, encoder="conv", **options):
    torch.manual_seed(0)
    return objectives.create(name, encoders.create(encoder, (1, 28), **({"width": 8} if encoder == "conv" else {})),
                             views=Augment(crop=0.5), **options)


# Those that need other encoders or data keep the contract in test_masked, test_pretext, test_reconstruction, test_pairs.
ELSEWHERE = {"autoencoder", "denoising", "vae", "rotation", "jigsaw", "colourisation", "mae", "ijepa", "bert", "roberta", "gpt",
             "clip", "siglip"}


@pytest.mark.parametrize("name", sorted(set(objectives.names()) - ELSEWHERE))
def test_every_objective_keeps_the_contract(name):
    options = {"classes": 3} if name == "supervised" else {}
    assert len(check_objective(lambda: make(name, **options))) == 8


def test_check_objective_finds_a_broken_one():
    class Frozen(objectives.SimCLR):
        def forward(self, views):
            loss = super().forward(views)
            loss.total = loss.total.detach() + 0 * sum(p.sum() for p in self.projector.parameters())
            return loss

    with pytest.raises(AssertionError, match="no gradient reaches"):
        check_objective(lambda: Frozen(encoders.create("conv", (1, 28), width=8)))


def test_simclr_reference_levels_are_reached():
    objective = make("simclr")
    views = objective.make_views(torch.zeros(16, 1, 28, 28, dtype=torch.uint8), torch.Generator().manual_seed(0))
    torch.nn.init.zeros_(objective.projector[-1].weight)             # every projection is the bias: collapsed
    for knobs in ({}, {"temperature": 0.1}, {"self_pairs_masked": False}, {"negatives": False}):
        objective.set(temperature=0.5, self_pairs_masked=True, negatives=True)
        objective.set(**knobs)
        total = float(objective(views).total.detach())
        (level,) = objective.reference_levels().values()
        assert total == pytest.approx(level, abs=1e-4), knobs


def test_simclr_terms_sum_to_the_loss_and_switches_do_what_they_say():
    objective = make("simclr").eval()
    images = torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views = objective.make_views(images, torch.Generator().manual_seed(0))
    loss = objective(views)
    assert torch.allclose(sum(loss.terms.values()), loss.total)
    z1, z2 = objective.projector(objective.encoder(torch.cat(views))).chunk(2)
    assert torch.allclose(loss.total, nt_xent(z1, z2, 0.5))
    objective.set(positives_shuffled=True)
    shuffled = objective.make_views(images, torch.Generator().manual_seed(0))
    assert torch.equal(shuffled[0], views[0]) and torch.equal(shuffled[1], views[1].roll(1, 0))


def test_names_and_errors():
    assert objectives.names()[0] == "simclr" and objectives.names()[-1] == "supervised"
    with pytest.raises(ValueError, match="did you mean 'simclr'"):
        objectives.create("simclrr", None)
    with pytest.raises(ValueError, match="temperature: got 100"):
        make("simclr", temperature=100)


@pytest.mark.parametrize("name, shape, dim, parameters", [
    ("conv", (1, 28), 128, 306_784), ("resnet18", (3, 32), 512, 11_168_832), ("vit", (3, 32), 128, 818_048),
    ("vit", (1, 28), 128, 799_744)])
def test_encoders(name, shape, dim, parameters):
    encoder = encoders.create(name, shape).eval()
    assert encoder.dim == dim and sum(p.numel() for p in encoder.parameters()) == parameters
    images = torch.randint(0, 256, (2, shape[0], shape[1], shape[1]), dtype=torch.uint8)
    with torch.no_grad():
        out = encoder(images)
        assert out.shape == (2, dim) and torch.allclose(out, encoder(images.float() / 255))


def test_resnet18_has_the_published_shape():
    """The torso of ResNet-18 without its classifier: 11.7 M parameters less 0.5 M of the classifier and stem."""
    encoder = encoders.create("resnet18", (3, 32))
    convolutions = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len([c for c in convolutions if c.kernel_size == (3, 3)]) == 17
    assert len([c for c in convolutions if c.kernel_size == (1, 1)]) == 3


def test_vit_attends_like_the_formula():
    from sslab.encoders.vit import Block

    torch.manual_seed(0)
    block = Block(8, heads=2).double()
    x = torch.randn(1, 3, 8, dtype=torch.float64)
    q, k, v = block.qkv(block.norm1(x))[0].split(8, dim=1)           # [3, 8] each
    out = torch.zeros(3, 8, dtype=torch.float64)
    for head in (slice(0, 4), slice(4, 8)):
        for i in range(3):
            scores = torch.stack([(q[i, head] * k[j, head]).sum() / 2 for j in range(3)]).exp()
            out[i, head] = sum(scores[j] / scores.sum() * v[j, head] for j in range(3))
    y = x + block.out(out)
    assert torch.allclose(block(x), y + block.mlp(block.norm2(y)))


def test_encoder_errors():
    with pytest.raises(ValueError, match="encoder: got 'cnn'"):
        encoders.create("cnn", (1, 28))
    with pytest.raises(ValueError, match="patch: got 5"):
        encoders.create("vit", (1, 28), patch=5)
    with pytest.raises(ValueError, match="options: got"):
        encoders.create("conv", (1, 28), depth=3)
