"""Diagnostics against naive float64 loops, at limits known by hand, and `diagnose` on 500 clouds of known kind."""

import itertools
import math

import pytest
import torch

from sslab.evaluation import (
    alignment,
    alpha_req,
    diagnose,
    effective_rank,
    feature_std,
    lidar,
    rankme,
    singular_values,
    uniformity,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- naive references: lists of Python floats, eigenvalues by Jacobi's rotations


def eigenvalues(a):
    """Of a symmetric matrix, largest first: turn pairs of axes until nothing is left off the diagonal."""
    a, n = [row[:] for row in a], len(a)
    for _ in range(30):
        for p, q in itertools.combinations(range(n), 2):
            if abs(a[p][q]) < 1e-300:
                continue
            angle = 0.5 * math.atan2(2 * a[p][q], a[q][q] - a[p][p])
            c, s = math.cos(angle), math.sin(angle)
            for k in range(n):
                a[k][p], a[k][q] = c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]
            for k in range(n):
                a[p][k], a[q][k] = c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]
    return sorted((a[i][i] for i in range(n)), reverse=True)


def scatter(rows):
    return [[sum(row[i] * row[j] for row in rows) for j in range(len(rows[0]))] for i in range(len(rows[0]))]


def mean(rows):
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def centred(rows):
    center = mean(rows)
    return [[x - c for x, c in zip(row, center, strict=True)] for row in rows]


def unit(row):
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def smooth_rank(shares):
    return math.exp(-sum(p * math.log(p) for p in shares if p > 0))


def naive_effective_rank(rows):
    s = [math.sqrt(max(x, 0)) for x in eigenvalues(scatter(centred(rows)))]
    return smooth_rank([x / sum(s) for x in s])


def naive_rankme(rows):
    s = [math.sqrt(max(x, 0)) for x in eigenvalues(scatter(rows))]
    return smooth_rank([x / sum(s) + 1e-7 for x in s])


def naive_alpha(rows):
    values = [x for x in eigenvalues(scatter(centred(rows))) if x > 0]
    x, y = [math.log(i + 1) for i in range(len(values))], [math.log(v) for v in values]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return -sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def solve(a, b):
    """a^-1 b by Gauss and Jordan."""
    n = len(a)
    rows = [a[i] + b[i] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i:
                rows[r] = [x - rows[r][i] * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[n:] for row in rows]


def naive_lidar(pictures, delta):
    """W^-1 B has the eigenvalues of W^-1/2 B W^-1/2. It is not symmetric: the last step is LAPACK's, not a loop's."""
    n, v, d = len(pictures), len(pictures[0]), len(pictures[0][0])
    within = scatter([row for views in pictures for row in centred(views)])
    within = [[within[i][j] / (n * (v - 1)) + delta * (i == j) for j in range(d)] for i in range(d)]
    between = [[x / (n - 1) for x in row] for row in scatter(centred([mean(views) for views in pictures]))]
    values = torch.linalg.eigvals(torch.tensor(solve(within, between), dtype=torch.float64)).real.tolist()
    return smooth_rank([max(x, 0) / sum(values) + 1e-7 for x in values])


def naive_alignment(rows1, rows2, alpha):
    return sum(math.dist(unit(a), unit(b)) ** alpha for a, b in zip(rows1, rows2, strict=True)) / len(rows1)


def naive_uniformity(rows, t):
    pairs = list(itertools.combinations([unit(row) for row in rows], 2))
    return math.log(sum(math.exp(-t * math.dist(a, b) ** 2) for a, b in pairs) / len(pairs))


@pytest.mark.parametrize("n, d", [(40, 6), (7, 5), (5, 9)])
@pytest.mark.parametrize("scale, offset", [(1.0, 0.0), (1e-3, 2.0), (1e3, 2.0)])
def test_against_naive_references(n, d, scale, offset):
    z = scale * (normal(n, d, seed=n) * torch.linspace(1, 3, d) + offset)
    z2 = z + 0.5 * scale * normal(n, d, seed=n + 1)
    rows, rows2 = z.double().tolist(), z2.double().tolist()
    assert float(effective_rank(z)) == pytest.approx(naive_effective_rank(rows), rel=1e-4)
    assert float(rankme(z)) == pytest.approx(naive_rankme(rows), rel=1e-4)
    for alpha in (1.0, 2.0):
        assert float(alignment(z, z2, alpha)) == pytest.approx(naive_alignment(rows, rows2, alpha), rel=1e-4)
    for t in (0.5, 2.0):
        assert float(uniformity(z, t)) == pytest.approx(naive_uniformity(rows, t), rel=1e-4)
    if n > d:                                                        # else the loop's last eigenvalue is its rounding
        assert float(alpha_req(z)) == pytest.approx(naive_alpha(rows), rel=1e-3)


@pytest.mark.parametrize("n, v, d", [(30, 2, 5), (6, 4, 3), (4, 3, 8)])
@pytest.mark.parametrize("scale, delta", [(1.0, 1e-4), (30.0, 1e-2)])
def test_lidar_against_the_naive_reference(n, v, d, scale, delta):
    views = scale * (normal(n, 1, d, seed=n) + 0.3 * normal(n, v, d, seed=n + 1) + 1)
    assert float(lidar(views, delta)) == pytest.approx(naive_lidar(views.double().tolist(), delta), rel=1e-4)


# ---- by hand


def spectrum(values, n=400):
    """[n, D], centred, with exactly these covariance eigenvalues (up to a factor), turned at random."""
    d = len(values)
    q = normal(n, d, seed=1).double()
    q = torch.linalg.qr(q - q.mean(dim=0)).Q                         # orthonormal columns, each of mean 0
    turn = torch.linalg.qr(normal(d, d, seed=2).double()).Q
    return (q * torch.tensor(values, dtype=torch.float64).sqrt() @ turn).float()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
def test_alpha_req_finds_the_power(alpha):
    z = spectrum([(i + 1) ** -alpha for i in range(50)])
    assert float(alpha_req(z)) == pytest.approx(alpha, abs=1e-3)
    assert float(alpha_req(1e3 * z)) == pytest.approx(alpha, abs=1e-3)
    padded = torch.cat([z, torch.zeros(400, 30)], dim=1) @ torch.linalg.qr(normal(80, 80)).Q
    assert float(alpha_req(padded)) == pytest.approx(alpha, abs=1e-3)    # zero eigenvalues are left out
    assert math.isnan(alpha_req(torch.ones(10, 4))) and math.isnan(alpha_req(normal(10, 1)))


def test_ranks_count_equal_directions():
    for count in (1, 3, 16):
        z = spectrum([1.0] * count + [0.0] * (16 - count))
        assert float(effective_rank(z)) == pytest.approx(count, rel=1e-3)
        assert float(rankme(z)) == pytest.approx(count, rel=1e-3)
    assert float(rankme(normal(1, 6).repeat(9, 1))) == pytest.approx(1, abs=1e-4)
    assert float(singular_values(torch.full((5, 3), 0.1)).max()) < 1e-6
    assert singular_values(torch.full((5, 3), math.nan)).isnan().all()


def test_lidar_counts_what_differs_between_pictures_only():
    axes = torch.cat([torch.eye(6)[:3], -torch.eye(6)[:3]])          # six pictures, in three of six directions
    jitter = torch.tensor([[1.0], [-1.0]]) * torch.ones(6)           # two views, apart in all directions alike
    same = axes[:, None].repeat(1, 2, 1)                             # [6, 2, 6]
    assert float(lidar(same)) == pytest.approx(3, rel=1e-4)
    nuisance = same.clone()
    nuisance[..., 3:] += 5 * jitter[:, 3:]                           # views differ where pictures do not
    assert float(lidar(nuisance)) == pytest.approx(3, rel=1e-4)
    z = normal(300, 1, 8) * torch.tensor([1.0] * 4 + [0.3] * 4)      # pictures, in 8 directions, half of them weakly
    noisy = z + torch.tensor([0.1] * 4 + [3.0] * 4) * normal(300, 10, 8, seed=1)
    assert float(lidar(noisy)) < 4.5 and float(rankme(noisy.flatten(0, 1))) > 6.5
    assert float(lidar(torch.ones(5, 2, 4))) == 0


def test_alignment_and_uniformity_at_their_limits():
    z = normal(500, 64)
    assert float(alignment(z, 7 * z)) == pytest.approx(0, abs=1e-6)
    assert float(alignment(z, -z)) == pytest.approx(4) and float(alignment(z, -z, 1)) == pytest.approx(2)
    assert float(alignment(z, z.roll(1, 0))) == pytest.approx(2, abs=0.05)
    assert float(uniformity(torch.tensor([[1.0, 0.0], [-2.0, 0.0]]))) == pytest.approx(-8)
    assert float(uniformity(z)) == pytest.approx(-4, abs=0.2)        # evenly in many dimensions: all pairs orthogonal


@pytest.mark.parametrize("call, message", [
    (lambda: singular_values(torch.ones(5)), r"z: got shape \[5\]"),
    (lambda: feature_std(torch.ones(1, 3)), r"z: got shape \[1, 3\]"),
    (lambda: effective_rank(torch.ones(2, 3, 4)), r"z: got shape \[2, 3, 4\]"),
    (lambda: rankme(torch.ones(5)), r"z: got shape \[5\]"),
    (lambda: alpha_req(torch.ones(1, 5)), r"z: got shape \[1, 5\]"),
    (lambda: lidar(torch.ones(5, 4)), r"views: got shape \[5, 4\]"),
    (lambda: lidar(torch.ones(5, 1, 4)), r"views: got shape \[5, 1, 4\]"),
    (lambda: lidar(torch.ones(5, 2, 4), delta=0), "delta: got 0"),
    (lambda: alignment(torch.ones(5, 2), torch.ones(1, 2)), r"z1, z2: got shapes \[5, 2\] and \[1, 2\]"),
    (lambda: alignment(torch.ones(5, 2), torch.ones(5, 2), -1), "alpha: got -1"),
    (lambda: uniformity(torch.ones(1, 2)), r"z: got shape \[1, 2\]"),
    (lambda: diagnose(torch.ones(1, 2)), r"z: got shape \[1, 2\]"),
])
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- diagnose


KINDS = ["healthy", "complete collapse", "dimensional collapse", "cluster collapse", "too few samples to tell"]


def make(kind, g):
    """A random cloud of this kind: any number of samples and features, scale, orientation, with or without an offset."""
    def between(low, high):                                          # one number, even in its logarithm
        return float(low * (high / low) ** torch.rand((), generator=g))

    def cloud(*shape):
        return torch.randn(*shape, generator=g)

    d = round(between(16, 512))
    n = round(between(32, 2048))
    if kind in ("healthy", "dimensional collapse"):                  # can be told only with more samples than features
        n = round(between(1.1 * d + 16, 2048))
    if kind == "too few samples to tell":
        n = round(between(min(32, d), d))
    if kind == "complete collapse":
        z = cloud(1, d) + between(1e-7, 0.08) * cloud(n, d)
    elif kind == "cluster collapse":
        k = int(torch.randint(2, 11, (), generator=g))
        owner = torch.cat([torch.arange(k), torch.randint(k, (n - k,), generator=g)])
        z = cloud(k, d)[owner] + between(1e-5, 0.05) * cloud(n, d)
    elif kind == "dimensional collapse":
        r = max(int(torch.randint(1, 3, (), generator=g)), round(between(0.01, 0.04) * d))
        z = cloud(n, r) @ torch.linalg.qr(cloud(d, r)).Q.T + between(1e-5, 0.01) * cloud(n, d)
    else:
        alpha = 0.5 + 0.7 * torch.rand((), generator=g)              # decay of the covariance's eigenvalues
        z = cloud(n, d) * torch.arange(1, d + 1) ** (-alpha / 2) @ torch.linalg.qr(cloud(d, d)).Q
        if torch.rand((), generator=g) < 0.5:                        # the second half: other views of the first
            z[n // 2:2 * (n // 2)] = z[:n // 2] + 0.1 * z.std() * cloud(n // 2, d)
    if torch.rand((), generator=g) < 0.5 and kind != "complete collapse":
        z = z + z.square().sum(1).mean().sqrt() * cloud(d) / math.sqrt(d)    # an offset as long as the cloud is wide
    return between(1e-3, 1e3) * z


def test_diagnose_on_500_clouds_of_known_kind(capsys):
    g = torch.Generator().manual_seed(0)
    table = {kind: dict.fromkeys(KINDS, 0) for kind in KINDS}
    for number in range(500):
        kind = KINDS[number % 5]
        table[kind][diagnose(make(kind, g)).kind] += 1
    right = sum(table[kind][kind] for kind in KINDS)
    with capsys.disabled():
        print(f"\ndiagnose on 500 random clouds, {right} right; rows: what it is, columns: what it says")
        print(" " * 24 + "".join(f"{kind.split()[0]:>13}" for kind in KINDS))
        for kind, row in table.items():
            print(f"{kind:<24}" + "".join(f"{row[said]:>13}" for said in KINDS))
    assert right >= 475
    assert all(table[kind][kind] >= 90 for kind in KINDS)            # and no kind pays for the others


def test_diagnose_at_the_edges():
    assert diagnose(torch.zeros(50, 8)).kind == "complete collapse"
    constant = torch.nn.BatchNorm1d(16)(normal(1, 16).repeat(64, 1)).detach()
    assert diagnose(constant).kind == "complete collapse"
    alone = torch.zeros(200, 512)
    alone[:, 3] = normal(200)                                        # one feature left: not complete, as std would say
    assert diagnose(alone[:, :128]).kind == "dimensional collapse"
    assert diagnose(normal(200, 1) @ normal(1, 32, seed=1)).kind == "dimensional collapse"    # a line through 0
    by_cluster = normal(8, 32)[torch.arange(2048) % 8] + 1e-3 * normal(2048, 32, seed=1)
    assert diagnose(by_cluster).kind == "cluster collapse" and diagnose(by_cluster).numbers["clusters"] == 8
    assert diagnose(normal(200, 2)).kind == "healthy"                # two of two
    views = normal(100, 32).repeat(2, 1)                             # a perfect invariance is not a collapse
    assert diagnose(views).kind == "healthy"
    assert diagnose(normal(64, 64)).kind == "too few samples to tell"
    nan = diagnose(torch.full((100, 4), math.inf))
    assert nan.kind == "not finite" and math.isnan(nan.numbers["effective_rank"])


def test_diagnose_agrees_with_the_measures_it_quotes():
    z = normal(300, 24) * torch.linspace(0.2, 1, 24)
    numbers = diagnose(z).numbers
    assert numbers["std"] == float(feature_std(z)) and numbers["effective_rank"] == float(effective_rank(z))
    assert diagnose(z.half()).kind == diagnose(z.requires_grad_()).kind == "healthy"
