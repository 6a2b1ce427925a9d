import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from sslab import encoders, evaluation
from sslab.evaluation import (
    FIXED_PENALTY,
    alignment,
    diagnose,
    draw_labels,
    effective_rank,
    feature_std,
    features,
    fit_logistic,
    knn,
    linear_probe,
    random_encoder,
    rankme,
    raw_pixels,
    singular_values,
    uniformity,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def classification(n=300, d=20, classes=4, seed=0):
    y = torch.arange(n) % classes
    return normal(n, d, seed=seed) + 2 * normal(classes, d, seed=9)[y], y


@pytest.mark.parametrize("n, d", [(300, 20), (12, 40)])
@pytest.mark.parametrize("penalty", [0.01, 0.3, 10.0])
def test_logistic_is_sklearns(n, d, penalty):
    x, y = (t.double() if t.is_floating_point() else t for t in classification(n, d))
    weights, biases = fit_logistic(x, y, [penalty], tolerance=1e-8, max_iterations=500)
    peer = LogisticRegression(C=1 / (n * penalty), tol=1e-10, max_iter=5000).fit(x.numpy(), y.numpy())
    assert torch.allclose(weights[0], torch.from_numpy(peer.coef_.T), atol=1e-5)
    ours, theirs = biases[0], torch.from_numpy(peer.intercept_)
    assert torch.allclose(ours - ours.mean(), theirs - theirs.mean(), atol=1e-4)


def test_logistic_solves_many_problems_at_once():
    problems = [classification(40, 8, seed=s) for s in range(3)]
    x, y = (torch.stack(parts) for parts in zip(*problems, strict=True))
    weights, biases = fit_logistic(x, y, [0.1, 1.0])
    assert weights.shape == (3, 2, 8, 4) and biases.shape == (3, 2, 4)
    for number, (xs, ys) in enumerate(problems):
        alone, _ = fit_logistic(xs, ys, [0.1, 1.0])
        assert torch.allclose(alone, weights[number], atol=5e-3)


def test_logistic_errors():
    x, y = classification(20, 3)
    with pytest.raises(ValueError, match="penalties: got"):
        fit_logistic(x, y, [0.0])
    with pytest.raises(ValueError, match=r"x, y: got shapes \[20, 3\] and \[19\]"):
        fit_logistic(x, y[:-1], [1.0])


def test_linear_probe_chooses_on_validation_and_reads_test_once():
    (x, y), (vx, vy), (tx, ty) = (classification(seed=s) for s in range(3))
    probe = linear_probe((x, y), (vx, vy), (tx, ty))
    assert probe.accuracy > 0.9 and float((probe.predict(tx) == ty).float().mean()) == pytest.approx(probe.accuracy)
    other = linear_probe((x, y), (vx, vy), (-tx, ty))
    assert other.penalty == probe.penalty and torch.equal(other.weight, probe.weight)
    assert other.accuracy < 0.3
    assert linear_probe((1e4 * x + 7, y), (1e4 * vx + 7, vy), (1e4 * tx + 7, ty)).accuracy == pytest.approx(probe.accuracy, abs=0.01)


def test_knn_is_the_naive_vote():
    bank, labels, queries = normal(30, 4), torch.arange(30) % 3, normal(7, 4, seed=1)
    expected = []
    for query in queries:
        cosine = [float(F.cosine_similarity(query, row, dim=0)) for row in bank]
        near = sorted(range(30), key=lambda i: -cosine[i])[:5]
        votes = [sum(math.exp(cosine[i] / 0.07) for i in near if labels[i] == c) for c in range(3)]
        expected.append(votes.index(max(votes)))
    assert knn(bank, labels, queries, k=5).tolist() == expected
    with pytest.raises(ValueError, match="k: got 31"):
        knn(bank, labels, queries, k=31)


def test_label_draws_are_balanced_fixed_and_different():
    labels = torch.arange(100) % 4
    rows = draw_labels(labels, 3, draw=0)
    assert labels[rows].bincount().tolist() == [3] * 4 and len(set(rows.tolist())) == 12
    assert torch.equal(rows, draw_labels(labels, 3, draw=0)) and not torch.equal(rows, draw_labels(labels, 3, draw=1))
    with pytest.raises(ValueError, match="per_class: got 26, but class 0 has only 25"):
        draw_labels(labels, 26, 0)


def tiny_dataset():
    splits = {}
    for seed, (name, n) in enumerate({"train": 200, "validation": 80, "test": 80}.items()):
        y = torch.arange(n) % 4
        clean = torch.rand(4, 1, 12, 12, generator=torch.Generator().manual_seed(5))[y]
        noisy = clean + 0.5 * normal(n, 1, 12, 12, seed=seed)
        splits[name] = SimpleNamespace(images=(noisy.clamp(0, 1) * 255).byte(), labels=y)
    return SimpleNamespace(**splits, num_classes=4, channels=1, size=12)


def test_few_labels_against_a_plain_loop():
    data = tiny_dataset()
    parts = [raw_pixels(getattr(data, name).images) for name in ("train", "validation", "test")]
    table = evaluation.label_efficiency(raw_pixels, data, (2, 10), seeds=3)
    assert list(table.fixed) == [2, 10] and len(table.generous[2]) == 3 and table.mean(10) > table.mean(2) > 0.3
    scores = {}                                                      # by scikit-learn, every scaling, penalty fixed
    for kind in evaluation.probe.SCALINGS:
        scaling = evaluation.Scaling.of(parts[0], kind)
        accuracies = []
        for draw in range(3):
            rows = draw_labels(data.train.labels, 10, draw)
            peer = LogisticRegression(C=1 / (40 * FIXED_PENALTY), max_iter=1000, tol=1e-8).fit(
                scaling(parts[0][rows]).numpy(), data.train.labels[rows].numpy())
            accuracies.append([peer.score(scaling(part).numpy(), split.labels.numpy())
                               for part, split in zip(parts[1:], (data.validation, data.test), strict=True)])
        scores[kind] = torch.tensor(accuracies)                      # [draws, (validation, test)]
    best = max(scores.values(), key=lambda s: float(s[:, 0].mean()))
    assert torch.allclose(torch.tensor(table.fixed[10]), best[:, 1].float(), atol=0.03)


def test_features_leave_the_encoder_as_it_was():
    encoder = encoders.create("conv", (1, 28), width=8).train()
    images = torch.randint(0, 256, (10, 1, 28, 28), dtype=torch.uint8)
    before = {name: t.clone() for name, t in encoder.state_dict().items()}
    out = features(encoder, images, batch_size=3)
    assert out.shape == (10, 32) and not out.requires_grad and encoder.training
    assert all(torch.equal(before[name], t) for name, t in encoder.state_dict().items())
    assert torch.allclose(out, features(encoder, images, batch_size=10), atol=1e-5)


def test_random_encoder_is_untrained_calibrated_and_reproducible():
    encoder = encoders.create("conv", (1, 28), width=8)
    images = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    fresh = random_encoder(encoder, images, seed=1)
    assert not torch.equal(fresh.net.stem[0].weight, encoder.net.stem[0].weight)
    norm = fresh.net.stem[1]
    with torch.no_grad():                                            # statistics by hand: mean over two batches
        x = fresh.net.stem[0](images.float() / 255 * 2 - 1)
    assert torch.allclose(norm.running_mean, (x[:256].mean((0, 2, 3)) + x[256:].mean((0, 2, 3))) / 2, atol=1e-4)
    again = random_encoder(encoder, images, seed=1)
    assert torch.equal(features(fresh, images[:5]), features(again, images[:5]))


def test_supervised_learns_and_is_scored_on_the_right_split():
    data = tiny_dataset()
    torch.manual_seed(0)
    table = evaluation.supervised(_Small(data), (10,), draws=2, search=({"learning_rate": 3e-3, "steps": 30},))
    assert table.mean(10) > 0.5


class _Small:
    def __init__(self, data):
        for name in ("train", "validation", "test"):
            split = getattr(data, name)
            setattr(self, name, _Split(split.images, split.labels, torch.arange(len(split.labels))))
        self.num_classes, self.channels, self.size = 4, 1, 12


class _Split(SimpleNamespace):
    def __init__(self, images, labels, indices):
        super().__init__(images=images, labels=labels, indices=indices)


# ---- diagnostics


def naive_rank(z):
    s = torch.linalg.svdvals((z - z.mean(0)).double())
    p = s / s.sum()
    return math.exp(-sum(float(x) * math.log(float(x)) for x in p if x > 0))


def test_effective_rank_against_the_formula_and_its_limits():
    z = normal(50, 8)
    assert float(effective_rank(z)) == pytest.approx(naive_rank(z), rel=1e-4)
    assert float(effective_rank(z[:, :1] @ normal(1, 8))) == pytest.approx(1, abs=1e-2)
    assert float(effective_rank(torch.cat([torch.eye(8), -torch.eye(8)]))) == pytest.approx(8, rel=1e-4)
    assert float(effective_rank(torch.ones(10, 4))) == 0
    assert float(effective_rank(3e-4 * z)) == pytest.approx(naive_rank(z), rel=1e-3)


def test_rankme_is_not_centred():
    z = normal(50, 8) + 100
    s = torch.linalg.svdvals(z.double())
    p = s / s.sum() + 1e-7
    assert float(rankme(z)) == pytest.approx(float(torch.exp(-(p * p.log()).sum())), rel=1e-3)
    assert float(rankme(z)) < float(effective_rank(z))


def test_feature_std_is_1_on_the_sphere_and_0_at_a_point():
    assert float(feature_std(normal(4000, 64))) == pytest.approx(1, abs=0.02)
    assert float(feature_std(torch.ones(8, 3))) == pytest.approx(0, abs=1e-6)
    assert float(feature_std(5 * normal(40, 6))) == pytest.approx(float(feature_std(normal(40, 6))), rel=1e-4)


def test_alignment_and_uniformity_by_hand():
    a, b = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    assert float(alignment(a, b)) == pytest.approx((0 + 2) / 2)
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert float(uniformity(z)) == pytest.approx(math.log((2 * math.exp(-4) + math.exp(-8)) / 3), abs=1e-5)
    assert float(uniformity(torch.ones(4, 3))) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="t: got 0"):
        uniformity(z, 0)


def test_singular_values_are_those_of_the_centred_cloud():
    z = normal(20, 5)
    assert torch.allclose(singular_values(z + 50), torch.linalg.svdvals(z - z.mean(0)), atol=1e-3)


def collapsed(kind, n, d, seed):
    if kind == "complete collapse":
        return normal(1, d, seed=seed) + 1e-3 * normal(n, d, seed=seed + 1)
    if kind == "dimensional collapse":
        return normal(n, 2, seed=seed) @ normal(2, d, seed=seed + 1) + 1e-3 * normal(n, d, seed=seed + 2)
    if kind == "cluster collapse":
        return normal(5, d, seed=seed)[torch.arange(n) % 5] + 1e-3 * normal(n, d, seed=seed + 1)
    return normal(n, d, seed=seed)


@pytest.mark.parametrize("kind", ["healthy", "complete collapse", "dimensional collapse", "cluster collapse"])
@pytest.mark.parametrize("n, d, scale", [(512, 128, 1), (1000, 32, 1e-3), (2000, 256, 1e3)])
def test_diagnose_names_each_kind(kind, n, d, scale):
    for seed in range(3):
        found = diagnose(scale * collapsed(kind, n, d, 10 * seed))
        assert found.kind == kind and str(found) == found.text and found.numbers["dim"] == d, found


def test_diagnose_admits_when_it_cannot_tell():
    assert diagnose(normal(20, 64)).kind == "too few samples to tell"
    assert diagnose(normal(1, 64).repeat(20, 1)).kind == "complete collapse"
    assert diagnose(torch.full((100, 4), math.nan)).kind == "not finite"
    with pytest.raises(ValueError, match=r"z: got shape \[5\]"):
        diagnose(torch.ones(5))
