"""The joint-embedding losses against their papers: formulas written again in plain loops, and levels reached."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sslab import encoders, objectives
from sslab.objectives import (
    Queue,
    Teacher,
    barlow_twins,
    covariance_penalty,
    cross_correlation,
    dino,
    info_nce,
    lejepa,
    negative_cosine,
    prototypes_used,
    sigreg,
    sinkhorn,
    swav,
    variance_hinge,
    vicreg,
)
from sslab.views import Augment

B, D, K = 5, 4, 6                                                    # pictures, features, queue or prototypes
JOINT = ["moco", "byol", "simsiam", "dino", "swav", "barlow_twins", "vicreg", "lejepa"]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lines(seed=0):
    return torch.Generator().manual_seed(seed)


# The formulas, one sample and one feature at a time, in float64.

def unit(v):
    return np.asarray(v) / math.sqrt(sum(float(x) ** 2 for x in v))


def softmax(v):
    e = np.exp(np.asarray(v) - max(v))
    return e / e.sum()


def naive_info_nce(q, k, negatives, temperature):
    q, k = [unit(row) for row in q.numpy()], [unit(row) for row in k.numpy()]
    total = 0.0
    for i in range(len(q)):
        others = [unit(row) for row in negatives.numpy()] if negatives is not None else k[:i] + k[i + 1:]
        own = math.exp(q[i] @ k[i] / temperature)
        total -= math.log(own / (own + sum(math.exp(q[i] @ other / temperature) for other in others)))
    return total / len(q)


def naive_negative_cosine(p, z):
    return -sum(unit(a) @ unit(b) for a, b in zip(p.numpy(), z.numpy(), strict=True)) / len(p)


def naive_cross_entropy(target, logits, temperature):
    return -sum(t * math.log(s) for t, s in zip(target, softmax(logits / temperature), strict=True))


def naive_dino(student, teacher, center, student_temperature, teacher_temperature):
    """Algorithm 1 of arXiv:2104.14294: the centre leaves the teacher's logits only."""
    terms = []
    for i, t in enumerate(teacher):
        for j, s in enumerate(student):
            if i != j:
                terms += [naive_cross_entropy(softmax((t[b] - center).numpy() / teacher_temperature), s[b].numpy(),
                                              student_temperature) for b in range(len(t))]
    return sum(terms) / len(terms)


def naive_sinkhorn(scores, epsilon, iterations):
    """Algorithm 1 of arXiv:2006.09882 as it stands there: plain space, a K x B matrix, r and c the marginals."""
    q = np.exp(scores.numpy().astype(np.float64) / epsilon).T
    q = q / q.sum()
    k, b = q.shape
    for _ in range(iterations):
        for row in range(k):
            q[row] *= (1 / k) / q[row].sum()
        for column in range(b):
            q[:, column] *= (1 / b) / q[:, column].sum()
    return (q / q.sum(axis=0)).T


def naive_swav(scores, codes, temperature):
    terms = [np.mean([naive_cross_entropy(code[b].numpy(), score[b].numpy(), temperature) for b in range(len(code))])
             for i, code in enumerate(codes) for j, score in enumerate(scores) if i != j]
    return sum(terms) / len(terms)


def naive_barlow_twins(z1, z2, weight):
    """Equation 1 of arXiv:2103.03230, with the 1e-5 of the official code's batch norm."""
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (z1.numpy(), z2.numpy()))
    total = 0.0
    for i in range(a.shape[1]):
        for j in range(a.shape[1]):
            c = sum(a[n, i] * b[n, j] for n in range(len(a))) / len(a)
            total += (1 - c) ** 2 if i == j else weight * c ** 2
    return total


def naive_hinge(z):
    return sum(max(0.0, 1 - math.sqrt(z[:, j].var(ddof=1) + 1e-4)) for j in range(z.shape[1])) / z.shape[1]


def naive_covariance(z):
    n, d = z.shape
    c = [[sum((z[b, i] - z[:, i].mean()) * (z[b, j] - z[:, j].mean()) for b in range(n)) / (n - 1)
          for j in range(d)] for i in range(d)]
    return sum(c[i][j] ** 2 for i in range(d) for j in range(d) if i != j) / d


def naive_vicreg(z1, z2, invariance, variance, covariance):
    """The official code: mean squared difference, hinges halved, covariances / D of both branches."""
    a, b = z1.numpy(), z2.numpy()
    return (invariance * ((a - b) ** 2).mean() + variance * (naive_hinge(a) / 2 + naive_hinge(b) / 2)
            + covariance * (naive_covariance(a) + naive_covariance(b)))


def naive_sigreg(z, slices, knots, generator):
    """N times the weighted distance of characteristic functions, with complex numbers, over [-3, 3]."""
    directions = torch.randn(z.shape[1], slices, generator=generator).double().numpy()
    t = np.linspace(-3, 3, 2 * knots - 1)
    values = []
    for m in range(slices):
        x = z.numpy() @ unit(directions[:, m])
        empirical = np.array([np.exp(1j * u * x).mean() for u in t])
        gap = np.abs(empirical - np.exp(-t**2 / 2)) ** 2 * np.exp(-t**2 / 2)
        values.append(len(x) * sum((gap[i] + gap[i + 1]) / 2 * (t[1] - t[0]) for i in range(len(t) - 1)))
    return sum(values) / slices


def naive_lejepa(views, weight, slices, knots, seed):
    centre = sum(view.numpy() for view in views) / len(views)
    prediction = np.mean([(view.numpy() - centre) ** 2 for view in views])
    return (1 - weight) * prediction + weight * np.mean([naive_sigreg(v, slices, knots, lines(seed)) for v in views])


# One line a loss and setting: ours, and the second implementation, of the same four inputs.
X = [draw(B, D, seed=seed) for seed in range(5)]
QUEUE, CENTER = draw(K, D, seed=9), draw(D, seed=8) / 10
CODES = [F.softmax(draw(B, D, seed=seed), dim=1) for seed in (6, 7)]
FORMULAS = {
    **{f"info_nce {t}": (lambda a, b, c, d, t=t: info_nce(a, b, temperature=t),
                         lambda a, b, c, d, t=t: naive_info_nce(a, b, None, t)) for t in (0.02, 0.2, 5.0)},
    **{f"info_nce queue {t}": (lambda a, b, c, d, t=t: info_nce(a, b, QUEUE, t),
                               lambda a, b, c, d, t=t: naive_info_nce(a, b, QUEUE, t)) for t in (0.02, 0.2, 5.0)},
    "negative_cosine": (lambda a, b, c, d: negative_cosine(a, b), lambda a, b, c, d: naive_negative_cosine(a, b)),
    **{f"dino {s} {t}": (lambda a, b, c, d, s=s, t=t: dino([a, b, c, d], [b, a], CENTER.to(a), s, t),
                         lambda a, b, c, d, s=s, t=t: naive_dino([a, b, c, d], [b, a], CENTER, s, t))
       for s, t in ((0.1, 0.04), (0.02, 0.01), (1.0, 1.0))},
    **{f"swav {t}": (lambda a, b, c, d, t=t: swav([a, b, c, d], CODES, t),
                     lambda a, b, c, d, t=t: naive_swav([a, b, c, d], CODES, t)) for t in (0.02, 0.1, 1.0)},
    **{f"barlow_twins {w}": (lambda a, b, c, d, w=w: barlow_twins(a, b, w),
                             lambda a, b, c, d, w=w: naive_barlow_twins(a, b, w)) for w in (1e-4, 5e-3, 1.0)},
    "variance_hinge": (lambda a, b, c, d: variance_hinge(a), lambda a, b, c, d: naive_hinge(a.numpy())),
    "covariance_penalty": (lambda a, b, c, d: covariance_penalty(a), lambda a, b, c, d: naive_covariance(a.numpy())),
    **{f"vicreg {w}": (lambda a, b, c, d, w=w: vicreg(a, b, *w), lambda a, b, c, d, w=w: naive_vicreg(a, b, *w))
       for w in ((25, 25, 1), (0, 0, 0), (100, 100, 25))},
    **{f"sigreg {m}": (lambda a, b, c, d, m=m: sigreg(a, m, 17, lines()),
                       lambda a, b, c, d, m=m: naive_sigreg(a, m, 17, lines())) for m in (16, 64)},
    **{f"lejepa {w}": (lambda a, b, c, d, w=w: lejepa([a, b, c], w, 16, 9, lines(3)),
                       lambda a, b, c, d, w=w: naive_lejepa([a, b, c], w, 16, 9, 3)) for w in (0.0, 0.05, 1.0)},
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_is_its_formula(name):
    ours, naive = FORMULAS[name]
    value = ours(*X[:4])
    assert value.shape == () and value.dtype == torch.float64, "float64 is left alone"
    assert float(value) == pytest.approx(naive(*X[:4]), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", FORMULAS)
def test_half_types_are_raised_before_anything_is_computed(name, dtype):
    """So that the value is the formula's value at the rounded inputs, at the ends of every knob, under autocast too."""
    ours, naive = FORMULAS[name]
    rounded = [x.to(dtype) for x in X[:4]]
    expected = naive(*(x.double() for x in rounded))
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = ours(*rounded)
    for value in (ours(*rounded), under_autocast):
        assert float(value) == pytest.approx(expected, rel=1e-4, abs=1e-5)
        if not name.startswith("swav"):                              # its codes are float64 here
            assert value.dtype == torch.float32
    huge = ours(*((1e4 * x).to(dtype) for x in X[:4]))
    assert torch.isfinite(huge)


def test_all_of_swav_and_dino_in_half_is_float32():
    half = [x.to(torch.bfloat16) for x in X[:2]]
    assert swav(half, [code.to(torch.bfloat16) for code in CODES]).dtype == torch.float32
    assert dino(half, half, CENTER.to(torch.bfloat16)).dtype == torch.float32
    assert sinkhorn(half[0]).dtype == torch.float32
    assert dino(X[:2], X[:2], CENTER.float()).dtype == torch.float64, "a float32 centre does not make it coarser"


def test_tensors_may_be_named():
    a, b = (x.to(torch.bfloat16) for x in X[:2])
    assert torch.equal(negative_cosine(p=a, z=b), negative_cosine(a, b))
    assert torch.equal(vicreg(z1=a, z2=b), vicreg(a, b)) and torch.equal(vicreg(a, z2=b), vicreg(a, b))
    assert torch.equal(info_nce(queries=a, keys=b, negatives=a), info_nce(a, b, a))
    assert torch.equal(sinkhorn(scores=a), sinkhorn(a))


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients(name):
    ours, _ = FORMULAS[name]
    if name.startswith("dino"):                                      # the teacher is detached: it stays where it is
        s, t = map(float, name.split()[1:])
        ours = lambda a, b, c, d: dino([a, b, c, d], X[:2], CENTER, s, t)
    leaves = [x.clone().requires_grad_() for x in X[:4]]
    assert torch.autograd.gradcheck(ours, leaves)


def test_dino_gives_the_teacher_no_gradient():
    views = [x.clone().requires_grad_() for x in X[:4]]
    dino(views[:2], views[2:], CENTER).backward()
    assert all(view.grad is not None for view in views[:2]) and all(view.grad is None for view in views[2:])


@pytest.mark.parametrize("name", [name for name in FORMULAS if not name.startswith("swav")])
def test_the_order_of_the_batch_does_not_matter(name):
    ours, _ = FORMULAS[name]
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(ours(*(x[order] for x in X[:4])), ours(*X[:4]))


def test_which_losses_do_not_care_which_view_is_first():
    a, b = X[:2]
    for loss in (negative_cosine, barlow_twins, vicreg, lambda u, v: lejepa([u, v], generator=lines()),
                 lambda u, v: dino([u, v], [v, u], CENTER), lambda u, v: swav([u, v], [sinkhorn(u), sinkhorn(v)])):
        torch.testing.assert_close(loss(a, b), loss(b, a))
    assert not torch.isclose(info_nce(a, b), info_nce(b, a)), "one direction only"
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(swav([x[order] for x in X[:4]], [c[order] for c in CODES]), swav(X[:4], CODES))


def test_by_hand():
    eye, e = torch.eye(2), math.e
    row = torch.tensor([[1.0, 0.0]])
    assert float(info_nce(eye, eye, temperature=1.0)) == pytest.approx(math.log(1 + 1 / e))
    negatives = torch.tensor([[0.0, 5.0], [-2.0, 0.0]])              # cosines 0 and -1
    assert float(info_nce(row, row, negatives, 1.0)) == pytest.approx(math.log(1 + 1 / e + e**-2))
    assert float(negative_cosine(row, torch.tensor([[3.0, 4.0]]))) == pytest.approx(-0.6)

    said, heard = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, math.log(3)]])     # (3/4, 1/4), (1/4, 3/4)
    zero = torch.zeros(2)
    expected = 0.75 * math.log(4) + 0.25 * math.log(4 / 3)
    assert float(dino([zero[None], heard], [said], zero, 1.0, 1.0)) == pytest.approx(expected)
    assert float(dino([zero[None], heard], [said], said[0], 1.0, 1.0)) == pytest.approx(math.log(4 / math.sqrt(3)))
    assert float(dino([zero[None], zero[None]], [said], 7 * said[0], 1.0, 0.1)) == pytest.approx(math.log(2)), \
        "the student is not centred"

    assert torch.allclose(sinkhorn(eye, 1.0), torch.tensor([[e, 1], [1, e]]) / (e + 1))
    assert torch.allclose(sinkhorn(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), 1.0), torch.full((2, 2), 0.5)), \
        "both like the second prototype alike: they share both"
    code = torch.tensor([[1.0, 0.0]])
    assert float(swav([row, heard], [code], 1.0)) == pytest.approx(math.log(4))      # view 1 gives the second 3/4

    pair = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])                  # two features that say the same
    assert float(barlow_twins(pair, pair, 0.5)) == pytest.approx(2 * 0.5, abs=1e-4)
    assert float(barlow_twins(pair, -pair, 0.5)) == pytest.approx(2 * 4 + 2 * 0.5, abs=1e-3)
    assert float(covariance_penalty(pair)) == pytest.approx(4)       # covariance 2, squared, two of them, / D
    assert float(variance_hinge(pair)) == 0                          # std sqrt(2)
    assert float(variance_hinge(torch.tensor([[0.0], [1.0]]))) == pytest.approx(1 - math.sqrt(0.5 + 1e-4))
    assert float(vicreg(pair, pair + 1)) == pytest.approx(25 * 1 + 25 * 0 + 1 * (4 + 4))

    g = math.exp(-4.5)                                               # two knots: the error is 0 at t = 0, weight 3 at 3
    assert float(sigreg(torch.zeros(2, 3), 4, 2)) == pytest.approx(2 * 3 * g * (1 - g) ** 2)
    assert float(lejepa([torch.zeros(3, 2), 2 * torch.ones(3, 2)], 0.0)) == pytest.approx(1)


# Statistics that have a theory of their own.

@pytest.mark.parametrize("epsilon, iterations", [(0.01, 1), (0.05, 3), (1.0, 3), (0.3, 10)])
def test_sinkhorn_is_algorithm_1(epsilon, iterations):
    scores = F.normalize(draw(7, D), dim=1) @ F.normalize(draw(K, D, seed=1), dim=1).T       # cosines
    codes = sinkhorn(scores, epsilon, iterations)
    np.testing.assert_allclose(codes.numpy(), naive_sinkhorn(scores, epsilon, iterations), rtol=1e-8, atol=1e-12)
    assert torch.allclose(codes.sum(dim=1), torch.ones(7, dtype=torch.float64))
    assert not sinkhorn(scores.requires_grad_(), epsilon).requires_grad


def test_sinkhorn_in_the_limit_uses_every_prototype_alike():
    scores = F.normalize(draw(12, D), dim=1) @ F.normalize(draw(K, D, seed=1), dim=1).T
    codes = sinkhorn(scores, 0.05, 2000)
    torch.testing.assert_close(codes.sum(dim=0), torch.full((K,), 12 / K, dtype=torch.float64), atol=1e-3, rtol=0)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(12, dtype=torch.float64))
    low, high = sinkhorn(scores, 0.01), sinkhorn(scores, 1.0)
    assert torch.special.entr(low).sum() < torch.special.entr(codes).sum() < torch.special.entr(high).sum()
    order = torch.randperm(12, generator=lines())
    torch.testing.assert_close(sinkhorn(scores[order]), sinkhorn(scores)[order])


def test_sinkhorn_lives_where_exp_does_not():
    """Scores that are no cosines: exp(200 / 0.01) is no float64 either."""
    codes = sinkhorn(200 * draw(B, K).float(), 0.01)
    assert torch.isfinite(codes).all() and torch.allclose(codes.sum(dim=1), torch.ones(B))


def test_prototypes_used():
    assert float(prototypes_used(torch.eye(4))) == pytest.approx(4)
    assert float(prototypes_used(torch.tensor([[1.0, 0, 0]] * 5))) == pytest.approx(1)
    assert float(prototypes_used(torch.eye(4)[[0, 0, 1, 1]])) == pytest.approx(2)


def test_sigreg_of_a_gaussian_is_near_its_mean_at_any_size():
    """E|phi_N - phi|^2 = (1 - phi^2) / N for independent standard normals, so the mean does not depend on N."""
    t = np.linspace(-3, 3, 33)
    mean = np.trapezoid((1 - np.exp(-t**2)) * np.exp(-t**2 / 2), t)
    assert mean == pytest.approx(1.0535, abs=2e-3)
    for n in (16, 512):
        values = [float(sigreg(draw(n, 64, seed=seed).float(), generator=lines(seed))) for seed in range(20)]
        assert np.mean(values) == pytest.approx(mean, rel=0.1), n


def test_sigreg_of_anything_else_grows_with_n():
    z = draw(32, 8).float()
    for other in (torch.zeros(32, 8), torch.full((32, 8), 0.7), 2 * z, z + 1, z * (torch.arange(8) < 2)):
        once, twice = (sigreg(torch.cat([other] * n), generator=lines()) for n in (1, 2))
        assert float(twice / once) == pytest.approx(2, rel=1e-4) and float(once) > 2


def test_sigreg_sees_along_the_generators_lines():
    z = draw(32, 8).float()
    assert torch.equal(sigreg(z, generator=lines(1)), sigreg(z, generator=lines(1)))
    assert not torch.equal(sigreg(z, generator=lines(1)), sigreg(z, generator=lines(2)))
    twice = lines(1)
    assert not torch.equal(sigreg(z, generator=twice), sigreg(z, generator=twice)), "new lines at every call"
    torch.testing.assert_close(sigreg(z, 64, 17, lines()), sigreg(-z, 64, 17, lines()))


@pytest.mark.parametrize("generator", [None, lines(5)])
def test_lejepa_sees_every_view_along_the_same_lines(generator):
    """Two equal views: equal gradients, if and only if the lines are the same."""
    views = [draw(8, D).requires_grad_() for _ in range(2)]
    lejepa(views, 1.0, slices=2, generator=generator).backward()
    torch.testing.assert_close(views[0].grad, views[1].grad)


def test_cross_correlation_has_biased_statistics_and_official_scale():
    z = draw(64, 3).float()
    torch.testing.assert_close(cross_correlation(z, z).diagonal(), torch.ones(3), atol=1e-4, rtol=0)
    numpy = np.corrcoef(z.numpy().T, (z.flip(1) * 3 + 2).numpy().T)[:3, 3:]
    np.testing.assert_allclose(cross_correlation(z, z.flip(1) * 3 + 2).numpy(), numpy, atol=1e-4)


def test_scale_of_barlow_twins_and_vicreg_against_other_conventions():
    """docs/conventions.md, in numbers."""
    a, b = X[:2]
    u, v = ((x - x.mean(0)) / x.std(0) for x in (a, b))              # unbiased, the paper's pseudocode: c shrinks
    torch.testing.assert_close(u.T @ v / B, cross_correlation(a, b) * (B - 1) / B, rtol=1e-4, atol=1e-5)
    terms = vicreg(a, b, 1, 0, 0), vicreg(a, b, 0, 1, 0), vicreg(a, b, 0, 0, 1)
    torch.testing.assert_close(terms[0], (a - b).square().sum(1).mean() / D)                 # equation 5 has no / D
    torch.testing.assert_close(terms[1], (variance_hinge(a) + variance_hinge(b)) / 2)        # equation 6 has no / 2
    torch.testing.assert_close(terms[2], covariance_penalty(a) + covariance_penalty(b))


# What moves without a gradient.

def test_a_teacher_follows_in_closed_form():
    torch.manual_seed(0)
    student = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)).double()
    teacher = Teacher(student)
    first = [p.clone() for p in teacher.parameters()]
    for p in student.parameters():
        torch.nn.init.normal_(p)
    for step in range(1, 6):
        teacher.follow(student, momentum=0.9)
        for t, t0, s in zip(teacher.parameters(), first, student.parameters(), strict=True):
            torch.testing.assert_close(t, 0.9**step * t0 + (1 - 0.9**step) * s)
    before = [p.clone() for p in teacher.parameters()]
    teacher.follow(student, momentum=1.0)
    assert all(map(torch.equal, teacher.parameters(), before))
    teacher.follow(student, momentum=0.0)
    assert all(map(torch.equal, teacher.parameters(), student.parameters()))
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(torch.ones(2, 3, dtype=torch.float64, requires_grad=True)).requires_grad


@pytest.mark.parametrize("size, batch", [(7, 3), (6, 3), (4, 9), (5, 5), (3, 4), (1, 2)])
def test_a_queue_holds_the_last_keys_in_their_places(size, batch):
    queue = Queue(size, 2)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(size))
    expected = queue.keys.clone()
    for step in range(5):
        keys = torch.arange(batch).float()[:, None].repeat(1, 2) + batch * step
        queue.put(keys)
        for n in range(batch):                                       # one at a time
            expected[(batch * step + n) % size] = keys[n]
        assert torch.equal(queue.keys, expected) and int(queue.pointer) == batch * (step + 1) % size
    assert sorted(queue.keys[:, 0].tolist()) == list(range(5 * batch - size, 5 * batch))


# The objectives.

def make(name, encoder="conv", shape=(1, 28), **options):
    torch.manual_seed(0)
    small = {"width": 4} if encoder == "conv" else {"depth": 1}
    options = {"hidden": 32, "outputs": 16, **options}
    return objectives.create(name, encoders.create(encoder, shape, **small), views=Augment(crop=0.5), **options)


def pictures(n=8, shape=(1, 28)):
    return torch.randint(0, 256, (n, shape[0], shape[1], shape[1]), dtype=torch.uint8, generator=lines())


def views_of(objective, n=8, shape=(1, 28), seed=0):
    return objective.make_views(pictures(n, shape), lines(seed))


def gradient(total, objective):
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, list(objective.encoder.parameters()))])


def constant(layer, value):
    torch.nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(value)


def collapse(objective, value=None):
    """Every z becomes `value` [P], the teacher's too."""
    value = torch.ones(16) if value is None else value
    constant(objective.projector[-1], value)
    if hasattr(objective, "teacher"):
        constant(objective.teacher.networks[1][-1], value)
    if hasattr(objective, "predictor"):
        constant(objective.predictor[-1], value)
    return objective


def turned(v):
    """At right angles to v: (x, y) -> (-y, x)."""
    x, y = v.view(-1, 2).T
    return torch.stack([-y, x], dim=1).flatten()


def aligned(objective, signs):
    """Prototypes along z or against it."""
    for prototypes in (objective.prototypes, *(n for n in getattr(objective, "teacher", objective).modules()
                                               if type(n) is type(objective.prototypes))):
        with torch.no_grad():
            prototypes.weight.copy_(signs[:, None] * torch.ones(16))
    return objective


def only_the_first(count):
    return 1 - 2 * (torch.arange(count) > 0).float()


def reach_moco(objective):
    objective(views_of(objective))
    objective.after_step()                                           # 16 keys fill the queue
    return objective


def reach_chance(objective):
    constant(collapse(objective).predictor[-1], turned(torch.arange(16.0)))
    constant(objective.projector[-1], torch.arange(16.0))
    if hasattr(objective, "teacher"):
        constant(objective.teacher.networks[1][-1], torch.arange(16.0))
    return objective


LEVELS = {
    ("moco", "chance = collapsed", "queue"): lambda: reach_moco(collapse(make("moco", size=16))),
    ("moco", "chance = collapsed", "one way"): lambda: reach_moco(collapse(make("moco", size=8, symmetric=False))),
    ("moco", "chance = collapsed", "batch"): lambda: collapse(make("moco", queue=False)),
    ("moco", "collapsed", "no negatives"): lambda: collapse(make("moco", negatives=False, temperature=0.5)),
    ("byol", "collapsed", ""): lambda: collapse(make("byol", output_norm=False)),
    ("byol", "collapsed", "no predictor"): lambda: collapse(make("byol", output_norm=False, predictor_on=False)),
    ("byol", "chance", ""): lambda: reach_chance(make("byol", output_norm=False)),
    ("simsiam", "collapsed", ""): lambda: collapse(make("simsiam", output_norm=False)),
    ("simsiam", "collapsed", "no predictor"): lambda: collapse(make("simsiam", output_norm=False, predictor_on=False)),
    ("simsiam", "chance", ""): lambda: reach_chance(make("simsiam", output_norm=False)),
    ("dino", "all prototypes alike", ""): lambda: aligned(collapse(make("dino")), torch.ones(64)),
    ("dino", "one prototype for all", ""): lambda: aligned(collapse(make("dino")), only_the_first(64)),
    ("dino", "one prototype for all", "K"): lambda: aligned(collapse(make("dino", prototypes=9)), only_the_first(9)),
    ("swav", "all clusters alike", ""): lambda: aligned(collapse(make("swav")), torch.ones(64)),
    ("swav", "all clusters alike", "softmax"): lambda: aligned(collapse(make("swav", balanced=False)), torch.ones(64)),
    ("swav", "one cluster for all", ""): lambda: aligned(collapse(make("swav", balanced=False)), only_the_first(64)),
    ("barlow_twins", "collapsed", ""): lambda: collapse(make("barlow_twins")),
    ("vicreg", "collapsed", ""): lambda: collapse(make("vicreg")),
    ("vicreg", "collapsed", "variance"): lambda: collapse(make("vicreg", variance=10)),
    ("lejepa", "collapsed", ""): lambda: collapse(make("lejepa"), torch.zeros(16)),
    ("lejepa", "collapsed", "weight"): lambda: collapse(make("lejepa", gaussian_weight=0.5), torch.zeros(16)),
}


@pytest.mark.parametrize("case", LEVELS, ids=" ".join)
def test_reference_levels_are_reached(case):
    _, level, _ = case
    objective = LEVELS[case]()
    total = float(objective(views_of(objective)).total.detach())
    assert total == pytest.approx(objective.reference_levels()[level], abs=2e-4)


def test_every_reference_level_is_among_those_reached():
    for name in JOINT:
        levels = set(make(name).reference_levels())
        assert levels <= {level for reached, level, _ in LEVELS if reached == name}, name
    assert make("vicreg").reference_levels()["collapsed"] == pytest.approx(24.75)
    assert make("dino").reference_levels() == {"all prototypes alike": math.log(64), "one prototype for all": 0.0}


@pytest.mark.parametrize("name", JOINT)
def test_asking_for_the_levels_changes_nothing(name):
    objective = make(name)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    objective.reference_levels()
    assert torch.equal(torch.rand(1), expected), "the levels have drawn from the global random numbers"


def test_chance_of_barlow_twins_moco_and_byol():
    """What strangers score: D (1 + weight (D - 1) / B) is close to D; log(K + 1); 2."""
    a, b = draw(2000, 16).float(), draw(2000, 16, seed=1).float()
    assert float(barlow_twins(a, b)) == pytest.approx(16, rel=0.02)
    a, b, queue = draw(64, 4096).float(), draw(64, 4096, seed=1).float(), draw(128, 4096, seed=2).float()
    assert float(info_nce(a, b, queue, 1.0)) == pytest.approx(math.log(129), abs=0.01)
    assert float(2 + 2 * negative_cosine(a, b)) == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("name, knobs", [
    ("moco", {"temperature", "momentum", "queue", "symmetric", "negatives"}), ("byol", {"momentum", "predictor_on"}),
    ("simsiam", {"stop_gradient", "predictor_on"}),
    ("dino", {"student_temperature", "teacher_temperature", "centring", "sharpening", "momentum", "center_momentum",
              "local_views"}),
    ("swav", {"temperature", "epsilon", "balanced", "local_views"}),
    ("barlow_twins", {"off_diagonal_weight", "decorrelate"}), ("vicreg", {"invariance", "variance", "covariance"}),
    ("lejepa", {"gaussian_weight", "slices"})])
def test_knobs_and_terms(name, knobs):
    objective = make(name)
    of_views = set(objective.views.knobs)
    assert set(objective.knobs) - of_views == knobs | {"output_norm"} and "crop" in of_views
    assert all(objective.knobs[knob].help for knob in knobs)
    loss = objective(views_of(objective))
    assert loss.projection.shape == (16, 16) and loss.embedding.shape == (16, objective.encoder.dim)
    if loss.terms and name != "swav":
        torch.testing.assert_close(sum(loss.terms.values()), loss.total)


@pytest.mark.parametrize("name", JOINT)
def test_output_norm(name):
    for on in (True, False):
        objective = make(name, output_norm=on)
        z = objective(views_of(objective, n=16)).projection.detach()
        assert torch.allclose(z.std(dim=0, correction=0), torch.ones(16), atol=0.02) == on
        assert torch.allclose(z.mean(dim=0), torch.zeros(16), atol=1e-4) == on


def test_simsiam_switches():
    objective = make("simsiam")
    views = views_of(objective)
    _, z = objective.see(views)
    z1, z2 = z.chunk(2)
    p1, p2 = objective.predictor(z).chunk(2)
    by_hand = {
        (True, True): (negative_cosine(p1, z2.detach()) + negative_cosine(p2, z1.detach())) / 2,     # algorithm 1
        (False, True): (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2,
        (True, False): (negative_cosine(z1, z2.detach()) + negative_cosine(z2, z1.detach())) / 2,
        (False, False): negative_cosine(z1, z2),
    }
    gradients = {}
    for (stop, on), expected in by_hand.items():
        objective.set(stop_gradient=stop, predictor_on=on)
        total = objective(views).total
        torch.testing.assert_close(total, expected)
        gradients[stop, on] = gradient(total, objective)
        wanted = torch.autograd.grad(expected, list(objective.encoder.parameters()), retain_graph=True)
        torch.testing.assert_close(gradients[stop, on], torch.cat([g.flatten() for g in wanted]), rtol=1e-3, atol=1e-6)
    assert not torch.allclose(gradients[True, True], gradients[False, True])
    torch.testing.assert_close(2 * gradients[True, False], gradients[False, False], rtol=1e-3, atol=1e-6)


def test_byol_compares_with_the_teacher_of_the_other_view():
    objective = make("byol", output_norm=False)
    for p in objective.teacher.parameters():
        torch.nn.init.normal_(p, std=0.3)
    views = views_of(objective)
    _, z = objective.see(views)
    t1, t2 = (objective.teacher(torch.cat(views))).chunk(2)
    for on in (True, False):
        objective.set(predictor_on=on)
        p1, p2 = (objective.predictor(z) if on else z).chunk(2)
        squared = [(F.normalize(p, dim=1) - F.normalize(t, dim=1)).square().sum(1).mean()
                   for p, t in ((p1, t2), (p2, t1))]
        loss = objective(views)
        torch.testing.assert_close(loss.total, sum(squared) / 2)     # equation 2; the paper adds the two directions
    loss.total.backward()
    assert all(p.grad is None for p in objective.teacher.parameters())


@pytest.mark.parametrize("name", ["moco", "byol", "dino"])
def test_momentum_moves_the_teacher(name):
    objective = make(name)
    students = lambda: [p for n in objective.teacher.networks for p in n.parameters()]
    own = [*objective.encoder.parameters(), *objective.projector.parameters(),
           *(objective.prototypes.parameters() if name == "dino" else ())]
    first = [p.clone() for p in students()]
    assert all(map(torch.equal, first, own)), "the teacher starts as the student"
    with torch.no_grad():
        for p in own:
            p.add_(1)
    objective(views_of(objective))
    for momentum, expected in ((1.0, first), (0.75, [p + 0.25 for p in first]), (0.0, own)):
        objective.set(momentum=momentum)
        objective.after_step()
        for p, wanted in zip(students(), expected, strict=True):
            torch.testing.assert_close(p, wanted)
    assert all(map(torch.equal, students(), own))


def test_moco_switches():
    objective = make("moco", size=16, temperature=0.3)
    for p in objective.teacher.parameters():
        torch.nn.init.normal_(p, std=0.3)
    views = views_of(objective)
    _, z = objective.see(views)
    (q1, q2), past = z.chunk(2), objective.past.keys.clone()
    both, second = objective.teacher.networks[:2], views[1]
    k1, k2 = both[1](both[0](torch.cat(views))).chunk(2)
    loss = objective(views)
    torch.testing.assert_close(loss.total, (info_nce(q1, k2, past, 0.3) + info_nce(q2, k1, past, 0.3)) / 2)
    assert torch.equal(objective.past.keys, past), "keys enter the queue after the step"
    objective.after_step()
    torch.testing.assert_close(objective.past.keys, F.normalize(torch.cat([k2, k1]), dim=1))

    objective = make("moco", size=16, temperature=0.3, queue=False)
    _, z = objective.see(views)
    q1, q2 = z.chunk(2)
    k1, k2 = q1.detach(), q2.detach()                                # the teacher starts as the student
    torch.testing.assert_close(objective(views).total, (info_nce(q1, k2, None, 0.3) + info_nce(q2, k1, None, 0.3)) / 2)
    assert objective.reference_levels() == {"chance = collapsed": math.log(8)}

    objective.set(queue=True, symmetric=False)
    q, k = objective.projector(objective.encoder(views[0])), objective.projector(objective.encoder(second))
    loss = objective(views)
    torch.testing.assert_close(loss.total, info_nce(q, k, objective.past.keys, 0.3))
    assert len(loss.projection) == len(loss.embedding) == 8
    objective.set(queue=False)
    torch.testing.assert_close(objective(views).total, info_nce(q, k, None, 0.3))
    objective.set(negatives=False)
    torch.testing.assert_close(objective(views).total, negative_cosine(q, k) / 0.3)
    objective.after_step()
    assert int(objective.past.pointer) == 8


def dino_by_hand(objective, views, center, student_temperature, teacher_temperature):
    student = [*objective.prototypes(objective.project(objective.encoder(torch.cat(views[:2])))).chunk(2)]
    if views[2:]:
        small = objective.project(objective.encoder(torch.cat(views[2:])))
        student += objective.prototypes(small).chunk(len(views) - 2)
    said = objective.teacher(torch.cat(views[:2])).chunk(2)
    return said, naive_dino([s.detach().double() for s in student], [t.double() for t in said], center.double(),
                            student_temperature, teacher_temperature)


@pytest.mark.parametrize("local_views", [0, 3])
def test_dino_switches(local_views):
    objective = make("dino", prototypes=12, local_views=local_views)
    with torch.no_grad():
        objective.center.copy_(draw(12))
    views, center = views_of(objective), objective.center.clone()
    assert len(views) == 2 + local_views
    for knobs, (c, s, t) in {(): (center, 0.1, 0.04), ("centring",): (0 * center, 0.1, 0.04),
                             ("sharpening",): (center, 0.1, 0.1)}.items():
        objective.set(centring=True, sharpening=True)
        objective.set(**dict.fromkeys(knobs, False))
        said, expected = dino_by_hand(objective, views, c, s, t)
        loss = objective(views)
        assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-4), knobs
        assert 0 <= float(loss.terms["teacher_entropy"]) <= math.log(12) + 1e-5
        assert float(loss.terms["divergence"].detach()) >= -1e-5
    loss.total.backward()
    assert all(p.grad is None for p in objective.teacher.parameters())
    mean = torch.cat(said).mean(dim=0)
    for momentum in (1.0, 0.9, 0.0):
        before = objective.center.clone()
        objective.set(center_momentum=momentum)
        objective.after_step()
        torch.testing.assert_close(objective.center, momentum * before + (1 - momentum) * mean)
    assert torch.equal(objective.center, mean)


def test_dinos_two_remedies():
    """Every picture at one prototype: centring makes the teacher undecided. Warm prototypes: sharpening decides."""
    objective = aligned(collapse(make("dino", prototypes=12, center_momentum=0)), only_the_first(12))
    views = views_of(objective)
    assert float(objective(views).terms["teacher_entropy"]) < 1e-6
    objective.after_step()
    assert float(objective(views).terms["teacher_entropy"]) == pytest.approx(math.log(12), abs=1e-4)
    objective = make("dino", prototypes=12)
    entropies = []
    for on in (True, False):
        objective.set(sharpening=on)
        entropies.append(float(objective(views).terms["teacher_entropy"]))
    assert entropies[0] < entropies[1]


@pytest.mark.parametrize("local_views", [0, 3])
def test_swav_switches(local_views):
    objective = make("swav", prototypes=12, local_views=local_views, epsilon=0.1, temperature=0.2)
    views = views_of(objective)
    scores = [s.detach().double() for s in objective.prototypes(objective.see(views[:2])[1]).chunk(2)]
    if local_views:
        small = objective.prototypes(objective.project(objective.encoder(torch.cat(views[2:]))))
        scores += [s.detach().double() for s in small.chunk(local_views)]
    assert len(scores) == 2 + local_views
    for balanced in (True, False):
        objective.set(balanced=balanced)
        codes = [torch.from_numpy(naive_sinkhorn(s, 0.1, 3)) if balanced else F.softmax(s / 0.1, dim=1)
                 for s in scores[:2]]
        loss = objective(views)
        assert float(loss.total.detach()) == pytest.approx(naive_swav(scores, codes, 0.2), rel=1e-4)
        assert float(loss.terms["divergence"].detach()) >= -1e-5
        torch.testing.assert_close(sum(loss.terms.values()), loss.total)


def test_swav_balances_what_has_collapsed():
    """One z for all: balanced codes are all clusters alike, a softmax's are one."""
    objective = aligned(collapse(make("swav")), only_the_first(64))
    views, entropy = views_of(objective), {}
    for balanced in (True, False):
        objective.set(balanced=balanced)
        entropy[balanced] = float(objective(views).terms["code_entropy"])
    assert entropy[True] == pytest.approx(math.log(64), abs=1e-4) and entropy[False] < 1e-6


@pytest.mark.parametrize("encoder", ["conv", "vit"])
@pytest.mark.parametrize("side", [28, 32])
@pytest.mark.parametrize("name", ["dino", "swav"])
def test_small_crops(name, side, encoder):
    shape = (3, side)
    for count in (0, 3):
        objective = make(name, encoder, shape, local_views=count)
        views = views_of(objective, 4, shape)
        assert [v.shape[-1] for v in views] == [side] * 2 + [side // 2] * count
        assert all(v.shape == (4, 3, v.shape[-1], v.shape[-1]) for v in views)
        loss = objective(views)
        assert torch.isfinite(loss.total) and loss.embedding.shape == (8, objective.encoder.dim)
        assert float(gradient(loss.total, objective).norm()) > 0
    objective = make(name, encoder, shape, local_views=3)
    again = views_of(objective, 4, shape)
    assert all(map(torch.equal, views, again)) and not torch.equal(views[2], views[3])


def test_small_crops_are_parts_of_their_own_picture():
    """Pictures of one grey level each: small crop i has picture i's. A ramp: a crop spans 0.15 to 0.45 of the area."""
    objective = make("dino", local_views=2)
    objective.set(crop_ratio=1)
    grey = torch.arange(8.0)[:, None, None, None].expand(8, 1, 28, 28) / 10
    for view in objective.make_views(grey, lines())[2:]:
        torch.testing.assert_close(view.mean(dim=(1, 2, 3)), grey[:, 0, 0, 0], atol=1e-4, rtol=0)
    ramp = (torch.arange(28.0) / 28).expand(64, 1, 28, 28)
    (view,) = make("dino", local_views=1, crop_ratio=1).make_views(ramp, lines())[2:]
    span = (view[:, 0, 0, -1] - view[:, 0, 0, 0]) * 14 / 13          # between centres of 14 pixels
    assert float(span.min()) == pytest.approx(math.sqrt(0.15), abs=0.05)
    assert float(span.max()) == pytest.approx(math.sqrt(0.45), abs=0.05)


def test_barlow_twins_vicreg_and_lejepa_are_their_losses():
    objective = make("barlow_twins", off_diagonal_weight=0.1)
    views = views_of(objective)
    z1, z2 = objective.see(views)[1].chunk(2)
    torch.testing.assert_close(objective(views).total, barlow_twins(z1, z2, 0.1))
    objective.set(decorrelate=False)
    torch.testing.assert_close(objective(views).total, barlow_twins(z1, z2, 0.0))
    assert float(objective(views).terms["redundancy"].detach()) == 0

    objective = make("vicreg", invariance=3, variance=5, covariance=7)
    z1, z2 = objective.see(views)[1].chunk(2)
    loss = objective(views)
    for name, weights in (("invariance", (3, 0, 0)), ("variance", (0, 5, 0)), ("covariance", (0, 0, 7))):
        torch.testing.assert_close(loss.terms[name], vicreg(z1, z2, *weights))
        objective.set(**{name: 0})
        assert float(objective(views).terms[name].detach()) == 0

    objective = make("lejepa", gaussian_weight=0.3, slices=32)
    views = views_of(objective)
    z = objective.see(views)[1].chunk(2)
    torch.testing.assert_close(objective(views).total, lejepa(z, 0.3, 32, 17, lines(objective._seed)))
    assert torch.equal(objective(views).total, objective(views).total)
    seed = objective._seed
    views_of(objective, seed=1)
    assert objective._seed != seed, "new lines at every step"


@pytest.mark.parametrize("call, message", [
    (lambda: info_nce(X[0], X[1][:3]), r"queries, keys: got shapes \[5, 4\] and \[3, 4\]"),
    (lambda: info_nce(X[0], X[1], draw(6, 3)), r"queries, keys, negatives: got shapes .* and \[6, 3\], takes .* \[K, D\]"),
    (lambda: info_nce(X[0], X[1], temperature=0), "temperature: got 0"),
    (lambda: negative_cosine(X[0], X[1][0]), r"p, z: got shapes \[5, 4\] and \[4\]"),
    (lambda: dino(X[:1], X[:1], CENTER), "student: got 1 views and 1 of the teacher"),
    (lambda: dino(X[:2], X[:2], CENTER, 0), "student_temperature: got 0"),
    (lambda: dino(X[:2], X[:2], CENTER, 0.1, -1), "teacher_temperature: got -1"),
    (lambda: sinkhorn(X[0], 0), "epsilon: got 0, takes a number above 0"),
    (lambda: sinkhorn(X[0], 0.1, 0), "iterations: got 0, takes a number of 1 or more"),
    (lambda: swav(X[:1], CODES[:1]), "scores: got 1 views and 1 codes"),
    (lambda: swav(X[:2], CODES, 0), "temperature: got 0"),
    (lambda: barlow_twins(X[0], X[1][:, :2]), r"z1, z2: got shapes \[5, 4\] and \[5, 2\]"),
    (lambda: barlow_twins(X[0][:1], X[1][:1]), "B of 2 or more"),
    (lambda: vicreg(X[0][0], X[1][0]), r"z1, z2: got shapes \[4\] and \[4\]"),
    (lambda: make("vicreg")(views_of(make("vicreg"), 1)), "B of 2 or more"),
    (lambda: sigreg(X[0][0]), r"z: got shape \[4\], takes \[N, D\]"),
    (lambda: sigreg(X[0], 0), "slices: got 0, takes a number of 1 or more"),
    (lambda: sigreg(X[0], 4, 1), "knots: got 1, takes a number of 2 or more"),
    (lambda: make("dino", local_views=1.5), "local_views: got 1.5, takes a whole number from 0 to 6"),
    (lambda: make("moco", queue=3), "queue: got 3, takes True or False"),
    (lambda: make("byol", momentum=1.1), "momentum: got 1.1"),
    (lambda: make("simsiam", temperature=0.1), "knob"),
])
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
