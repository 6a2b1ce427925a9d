"""Autoencoders against their papers: formulas in plain loops, integrals by chance, a model whose answer is known."""

import math

import numpy as np
import pytest
import torch

from sslab import encoders, evaluation, figures, objectives
from sslab.datasets import load
from sslab.encoders import Decoder
from sslab.evaluation import generation
from sslab.lab import Lab
from sslab.objectives import (
    VAE,
    Autoencoder,
    DenoisingAutoencoder,
    active_units,
    bernoulli_entropy,
    bernoulli_error,
    corrupt,
    elbo,
    importance_bound,
    kl_divergence,
    negative_log_likelihood,
    squared_error,
)
from sslab.testing import check_objective
from sslab.training import train

NAMES = ["autoencoder", "denoising", "vae"]
B, C, H, L = 4, 2, 3, 5                                              # pictures, channels, side, latents


def lines(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=lines(seed), dtype=torch.float64)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=lines(seed), dtype=torch.float64)


def make(name, channels=1, size=28, encoder="conv", **options):
    torch.manual_seed(0)
    return objectives.create(name, encoders.create(encoder, (channels, size)), **options)


def pictures(count=16, channels=1, size=28):
    return (255 * uniform(count, channels, size, size)).to(torch.uint8)


def loss_of(objective, images, seed=1):
    return objective(objective.make_views(images, lines(seed)))


# ---- the contract


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_contract(name, channels, size):
    assert len(check_objective(lambda: make(name, channels, size), channels, size)) == 8


@pytest.mark.parametrize("name", NAMES)
def test_other_encoders_sizes_and_widths(name):
    for encoder, channels, size in (("vit", 1, 28), ("conv", 3, 30), ("conv", 1, 17)):
        objective = make(name, channels, size, encoder, latents=3)
        images = pictures(4, channels, size)
        loss = loss_of(objective, images)
        assert loss.projection.shape == (4, 3) and loss.embedding.shape == (4, objective.encoder.dim)
        assert objective.reconstruct(images).shape == images.shape


@pytest.mark.parametrize("name", NAMES)
def test_embedding_is_what_the_encoder_says(name):
    objective = make(name).eval()
    images, _ = views = objective.make_views(pictures(), lines())
    torch.testing.assert_close(objective(views).embedding, objective.encoder(images))


@pytest.mark.parametrize("latents", [0, -1, 2.5, True, "many"])
def test_latents_out_of_range_are_refused(latents):
    with pytest.raises(ValueError, match="latents: got .*takes a whole number, 1 or more"):
        make("vae", latents=latents)


def test_an_encoder_without_places_is_refused():
    class Flat(torch.nn.Module):
        dim, shape = 4, (1, 28)

    with pytest.raises(ValueError, match="encoder: got Flat"):
        Autoencoder(Flat())


@pytest.mark.parametrize("name", NAMES)
def test_looking_changes_nothing_and_has_no_gradient(name):
    objective = make(name).train()
    objective.decoder.eval()
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    rows = {**objective.pictures(pictures(5), lines()), "again": objective.reconstruct(pictures(5))}
    assert objective.encoder.training and not objective.decoder.training
    assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())
    for row in rows.values():
        assert row.shape == (5, 1, 28, 28) and not row.requires_grad and 0 <= row.min() and row.max() <= 1
    torch.testing.assert_close(rows["image"], pictures(5).float() / 255)


def test_many_pictures_in_parts_are_as_one_by_one():
    objective, images = make("vae"), pictures(7)
    whole = objective.encode(images)
    assert whole.shape == (7, objective.latents)
    torch.testing.assert_close(whole, torch.cat([objective.encode(image[None]) for image in images]), rtol=1e-4, atol=1e-5)


def test_decoder_starts_at_a_quarter_and_cuts_what_is_too_much():
    for size in (16, 28, 29, 32):
        assert Decoder(3, 2, size, width=4)(torch.randn(5, 3)).shape == (5, 2, size, size)


# ---- errors of pictures


def test_bernoulli_error_is_the_papers():
    logits, target = 3 * draw(B, C, H, H), uniform(B, C, H, H, seed=1)
    wanted = []
    for row, wants in zip(logits.flatten(1).tolist(), target.flatten(1).tolist(), strict=True):
        total = 0.0
        for logit, x in zip(row, wants, strict=True):
            y = 1 / (1 + math.exp(-logit))
            total -= x * math.log(y) + (1 - x) * math.log(1 - y)
        wanted.append(total)
    assert bernoulli_error(logits, target).tolist() == pytest.approx(wanted)
    copy = torch.logit(target)
    torch.testing.assert_close(bernoulli_error(copy, target), bernoulli_entropy(target))
    assert (bernoulli_error(copy + 0.1, target) > bernoulli_entropy(target)).all()   # a copy is the least
    assert bernoulli_entropy(torch.tensor([[0.0, 1.0]])).item() == 0


def test_squared_error_is_a_mean_over_all_numbers():
    a, b = uniform(B, C, H, H), uniform(B, C, H, H, seed=1)
    assert float(squared_error(a, b)) == pytest.approx(float(np.mean((a.numpy() - b.numpy()) ** 2)))
    for loss in (squared_error, bernoulli_error):
        with pytest.raises(ValueError, match="shapes"):
            loss(a, b[:1])


def test_gaussian_likelihood_is_the_density():
    mean, target, s = uniform(B, C, H, H), uniform(B, C, H, H, seed=1), 0.3
    wanted = -torch.distributions.Normal(mean, s).log_prob(target).flatten(1).sum(1)
    torch.testing.assert_close(negative_log_likelihood(mean, target, "gaussian", s), wanted)
    with pytest.raises(ValueError, match="likelihood: got 'laplace'"):
        negative_log_likelihood(mean, target, "laplace")
    with pytest.raises(ValueError, match="deviation"):
        negative_log_likelihood(mean, target, "gaussian", 0.0)


# ---- noise


def test_noise_is_what_it_is_called():
    images = torch.full((200, 1, 20, 20), 0.5)
    gaussian = corrupt(images, "gaussian", 0.3, lines()) - images
    assert abs(float(gaussian.mean())) < 0.005 and float(gaussian.std()) == pytest.approx(0.3, rel=0.02)
    masked = corrupt(images, "masking", 0.3, lines())
    assert float((masked == 0).float().mean()) == pytest.approx(0.3, abs=0.01) and set(masked.unique().tolist()) == {0, 0.5}
    spoiled = corrupt(images, "salt and pepper", 0.3, lines())
    for value, share in ((0, 0.15), (0.5, 0.7), (1, 0.15)):
        assert float((spoiled == value).float().mean()) == pytest.approx(share, abs=0.01)
    assert all((corrupt(images, noise, 1.0, lines()) != 0.5).all() for noise in ("masking", "salt and pepper"))
    assert all(torch.equal(corrupt(images, noise, 0.0, lines()), images) for noise in objectives.reconstruction.CORRUPTIONS)
    assert torch.equal(corrupt(images, "none", 1.0, lines()), images)
    assert torch.equal(corrupt(images, "gaussian", 0.3, lines()), images + gaussian)


@pytest.mark.parametrize(("noise", "level"), [("masking", 1.5), ("gaussian", -1), ("salt and pepper", 2)])
def test_levels_out_of_range_are_refused(noise, level):
    with pytest.raises(ValueError, match="level: got"):
        corrupt(torch.zeros(1, 1, 2, 2), noise, level, lines())


def test_denoising_wants_the_clean_picture_unless_the_switch_says_otherwise():
    images = pictures()
    clean = images.float() / 255
    for noise in ("gaussian", "masking", "salt and pepper"):
        objective = make("denoising", corruption=noise, level=0.4)
        given, wanted = objective.make_views(images, lines())
        torch.testing.assert_close(wanted, clean)
        generator = lines()
        objective.views(images, generator)                           # draws first, whether it changes pictures or not
        torch.testing.assert_close(given, corrupt(clean, noise, 0.4, generator))
        torch.testing.assert_close(objective.spoil(images, lines()), corrupt(clean, noise, 0.4, lines()))
        objective.set(target_noisy=True)
        given, wanted = objective.make_views(images, lines())
        torch.testing.assert_close(wanted, given.clamp(0, 1))
    objective.set(level=0.0, target_noisy=False)
    given, wanted = objective.make_views(images, lines())
    assert torch.equal(given, wanted)                                # nothing to clean: an autoencoder


def test_steps_of_denoising():
    objective, images = make("denoising"), pictures(3)
    plain = objective.denoise_steps(images, 3)
    torch.testing.assert_close(plain[0], objective.denoise(images))
    torch.testing.assert_close(plain[2], objective.denoise(objective.denoise(objective.denoise(images))))
    generator = lines(5)
    walk = objective.denoise_steps(images, 3, lines(5))
    torch.testing.assert_close(walk[0], plain[0])
    second = objective.denoise(corrupt(walk[0], "gaussian", 0.5 * 2 / 3, generator))
    torch.testing.assert_close(walk[1], second)
    third = objective.denoise(corrupt(walk[1], "gaussian", 0.5 / 3, generator))
    torch.testing.assert_close(walk[2], third)
    with pytest.raises(ValueError, match="steps: got 0"):
        objective.denoise_steps(images, 0)


# ---- the variational bound


def test_kl_by_hand_by_torch_and_by_chance():
    assert float(kl_divergence(torch.zeros(1, 3), torch.zeros(1, 3))) == 0
    # one latent, mean 1, variance 4: (1 + 4 - 1 - log 4) / 2
    assert float(kl_divergence(torch.tensor([[1.0]]), torch.tensor([[math.log(4)]]))) == pytest.approx(1.306853, abs=1e-6)
    mean, log_variance = draw(B, L), draw(B, L, seed=1)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    p = torch.distributions.Normal(torch.zeros_like(mean), 1)
    closed = kl_divergence(mean, log_variance)
    torch.testing.assert_close(closed, torch.distributions.kl_divergence(q, p).sum(dim=1))
    z = mean + (log_variance / 2).exp() * draw(200_000, B, L, seed=2)
    chance = (q.log_prob(z) - p.log_prob(z)).sum(dim=2)              # [draws, B]
    error = chance.std(dim=0) / math.sqrt(len(z))
    assert ((closed - chance.mean(dim=0)).abs() < 4 * error).all() and (error < 0.02 * closed).all()
    with pytest.raises(ValueError, match="mean, log_variance"):
        kl_divergence(mean, log_variance[:, :2])


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_elbo_is_a_sum_over_pixels_a_mean_over_pictures_with_beta_on_the_kl(likelihood):
    reconstruction, target = uniform(B, C, H, H), uniform(B, C, H, H, seed=1)
    mean, log_variance, beta = draw(B, L, seed=2), draw(B, L, seed=3), 2.5
    total = 0.0
    for i in range(B):
        for y, x in zip(reconstruction[i].flatten().tolist(), target[i].flatten().tolist(), strict=True):
            if likelihood == "bernoulli":
                total += math.log(1 + math.exp(y)) - x * y           # -log p with y a logit
            else:
                total += (x - y) ** 2 / 2 + math.log(2 * math.pi) / 2                # deviation 1
        for m, v in zip(mean[i].tolist(), log_variance[i].tolist(), strict=True):
            total += beta * (m**2 + math.exp(v) - 1 - v) / 2
    assert float(elbo(reconstruction, target, mean, log_variance, beta, likelihood)) == pytest.approx(total / B)


def known_model(latents=2, pixels=6, s=0.4):
    """p(z) = N(0, 1), p(x | z) = N(W z + b, s): then log p(x) and the posterior have closed forms."""
    w, b = draw(pixels, latents, seed=7), draw(pixels, seed=8)
    x = draw(B, pixels, seed=9)
    evidence = torch.distributions.MultivariateNormal(b, w @ w.T + s**2 * torch.eye(pixels, dtype=w.dtype)).log_prob(x).mean()
    precision = torch.eye(latents, dtype=w.dtype) + w.T @ w / s**2
    mean = (x - b) @ w @ torch.linalg.inv(precision) / s**2

    def decode(z):
        return (z @ w.T + b).view(-1, 1, pixels, 1)

    return decode, x.view(B, 1, pixels, 1), mean, torch.linalg.inv(precision), float(evidence), s


def test_bounds_close_in_on_a_known_evidence():
    decode, x, mean, _, evidence, s = known_model()
    log_variance = torch.full_like(mean, math.log(0.1))              # not the posterior: there is a gap to close
    noise = draw(4000, B, 2)
    bounds = {k: np.mean([-float(importance_bound(decode, x, mean, log_variance, part, "gaussian", s))
                          for part in noise.split(k)]) for k in (1, 10, 4000)}
    assert bounds[1] < bounds[10] < bounds[4000] < evidence + 0.02
    assert bounds[4000] == pytest.approx(evidence, abs=0.02) and bounds[1] < evidence - 0.1
    draws = [elbo(decode(mean + (log_variance / 2).exp() * each), x, mean, log_variance, 1.0, "gaussian", s) for each in noise]
    error = float(torch.stack(draws).std()) / math.sqrt(len(draws))
    assert -float(torch.stack(draws).mean()) == pytest.approx(bounds[1], abs=5 * error + 0.02)         # K = 1 is the ELBO


def test_with_the_true_posterior_one_draw_is_the_evidence():
    decode, x, mean, covariance, evidence, s = known_model(latents=1)
    log_variance = covariance.log().expand_as(mean)
    for seed in range(3):
        bound = importance_bound(decode, x, mean, log_variance, draw(1, B, 1, seed=seed), "gaussian", s)
        assert -float(bound) == pytest.approx(evidence, abs=1e-9)


def test_importance_bound_of_a_bernoulli_model_by_summing_over_all_z():
    """One latent, integrated on a fine grid."""
    w, b, x = draw(1, 6), draw(6, seed=1), (uniform(B, 6, seed=2) > 0.5).double()

    def decode(z):
        return (z @ w + b).view(-1, 1, 6, 1)

    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    logits = decode(grid).view(-1, 1, 6)
    log_p = (x * logits - torch.log1p(logits.exp())).sum(dim=2) - grid.square() / 2 - math.log(2 * math.pi) / 2
    evidence = float((log_p.logsumexp(dim=0) + math.log(16 / 4000)).mean())
    mean, log_variance = draw(B, 1, seed=3) / 4, torch.zeros(B, 1, dtype=torch.float64)
    bound = importance_bound(decode, x.view(B, 1, 6, 1), mean, log_variance, draw(5000, B, 1, seed=4))
    assert -float(bound) == pytest.approx(evidence, abs=0.02)
    with pytest.raises(ValueError, match="mean, log_variance, noise"):
        importance_bound(decode, x.view(B, 1, 6, 1), mean, log_variance, draw(B, 1))


def test_bound_of_the_model_is_tighter_than_its_elbo():
    vae, images = make("vae").eval(), pictures(8)
    vae.decoder.double2.weight.data.mul_(20)                         # so that z makes a difference
    one = [vae.bound(images, 1, lines(seed)) for seed in range(8)]
    many = vae.bound(images, 32, lines())
    assert many < np.mean(one)
    values = []
    for seed in range(8):
        with torch.no_grad():
            values.append(float(vae(vae.make_views(images, lines(seed))).total))
    assert np.mean(values) == pytest.approx(np.mean(one), rel=0.02)


def test_loss_of_the_vae_is_minus_the_elbo():
    vae, images = make("vae").eval(), pictures(8)
    clean, noise = vae.make_views(images, lines())
    mean, log_variance = vae.posterior(images)
    for options in ({}, {"beta": 3.0}, {"likelihood": "gaussian", "deviation": 0.3}, {"sampling": False}):
        vae.set(beta=1.0, likelihood="bernoulli", sampling=True)
        vae.set(**options)
        z = mean + (log_variance / 2).exp() * noise if vae.sampling else mean
        out = vae.decoder(z) if vae.likelihood == "bernoulli" else vae.decoder(z).sigmoid()
        wanted = elbo(out, clean, mean, log_variance, vae.beta, vae.likelihood, vae.deviation)
        loss = vae((clean, noise))
        torch.testing.assert_close(loss.total, wanted)
        torch.testing.assert_close(loss.terms["kl"], kl_divergence(mean, log_variance).mean())
        torch.testing.assert_close(loss.projection, mean)


def test_free_bits_are_not_pushed_below_and_the_rest_is():
    vae = make("vae", latents=4, free_bits=1.0)
    nats = vae.train()(vae.make_views(pictures(), lines())).terms["kl"]
    assert nats.item() < 4                                           # an untrained posterior is near the prior
    vae.set(beta=0.0)
    without = vae(vae.make_views(pictures(), lines())).total.item()
    vae.set(beta=2.0)
    assert vae(vae.make_views(pictures(), lines())).total.item() - without == pytest.approx(2 * 4 * 1.0, rel=1e-4)


def test_active_units_are_those_whose_mean_moves():
    mean = torch.zeros(100, 3)
    mean[:, 1] = torch.randn(100, generator=lines())
    mean[:, 2] = 0.05 * torch.randn(100, generator=lines(1))         # variance 0.0025
    assert active_units(mean) == 1 and active_units(mean, threshold=0.001) == 2


def test_samples_ways_and_traversals():
    vae = make("vae", latents=4)
    images = pictures(2)
    assert torch.equal(vae.sample(3, lines(1)), vae.decode(torch.randn(3, 4, generator=lines(1))))
    way = vae.interpolate(*images, steps=5)
    torch.testing.assert_close(way[[0, -1]], vae.reconstruct(images))
    torch.testing.assert_close(way[2], vae.decode(vae.encode(images).mean(dim=0, keepdim=True))[0])
    z = vae.encode(images[:1])
    z[:, 2] = 1.5
    torch.testing.assert_close(vae.traverse(images[0], 2, [-1.0, 1.5])[1], vae.decode(z)[0])
    with pytest.raises(ValueError, match="latent: got 4, takes a number from 0 to 3"):
        vae.traverse(images[0], 4, [0.0])
    with pytest.raises(ValueError, match="steps: got 1"):
        vae.interpolate(*images, steps=1)


def test_nats_of_the_latents_add_up_to_the_kl():
    vae, images = make("vae"), pictures(6)
    vae.eval()
    torch.testing.assert_close(vae.nats(images).sum(), kl_divergence(*vae.posterior(images)).mean())


# ---- reference levels


class Constant(torch.nn.Module):
    """A decoder that says the same picture whatever z is."""

    def __init__(self, image):
        super().__init__()
        self.image = torch.logit(image)                              # [C, H, W], not 0 or 1

    def forward(self, z):
        return self.image.expand(len(z), -1, -1, -1) + 0 * z.sum()


def collapsed(name, images, **options):
    """A model that has seen `images`, and then answers with their mean whatever it is shown."""
    objective = make(name, **options).train()
    loss_of(objective, images)
    objective.decoder = Constant((images.float() / 255).mean(dim=0).clamp(1e-6, 1 - 1e-6))
    torch.nn.init.zeros_(objective.to_latent.weight)                 # the posterior is the prior: mean 0, variance 1
    torch.nn.init.zeros_(objective.to_latent.bias)
    return objective.eval()


@pytest.mark.parametrize(("name", "options"), [
    ("autoencoder", {"loss": "squared"}), ("autoencoder", {"loss": "bernoulli"}), ("denoising", {}),
    ("denoising", {"loss": "bernoulli", "target_noisy": True, "corruption": "masking"}), ("vae", {}), ("vae", {"beta": 4.0}),
    ("vae", {"free_bits": 0.5, "beta": 2.0}), ("vae", {"likelihood": "gaussian"}),
    ("vae", {"likelihood": "gaussian", "deviation": 0.05, "free_bits": 1.0})])
def test_the_mean_image_scores_its_level(name, options):
    images = pictures(32)
    objective = collapsed(name, images, **options)
    if options.get("target_noisy"):                                  # the mean of what it had to say, then
        target = objective.make_views(images, lines(1))[1]
        objective.decoder = Constant(target.mean(dim=0).clamp(1e-6, 1 - 1e-6))
    level = objective.reference_levels()["mean image"]
    assert loss_of(objective, images).total.item() == pytest.approx(level, rel=1e-4)


def test_squared_level_is_the_variance_and_no_constant_is_better():
    images = pictures(32)
    objective = collapsed("autoencoder", images)
    level = objective.reference_levels()["mean image"]
    assert level == pytest.approx(float((images.double() / 255).var(dim=0, correction=0).mean()))
    objective.decoder.image = objective.decoder.image + 0.05
    assert float(loss_of(objective, images).total) > level


def test_perfect_copy_level_is_the_entropy_of_greys():
    objective, images = make("autoencoder", loss="bernoulli"), pictures(32)
    loss_of(objective, images)
    assert objective.reference_levels()["perfect copy"] == pytest.approx(float(bernoulli_entropy(images.double() / 255).mean()))


def test_no_levels_before_anything_was_seen():
    assert all(make(name).reference_levels() == {} for name in NAMES)


# ---- learning


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.mark.parametrize("name", NAMES)
def test_training_gets_below_the_mean_image(name, digits):
    objective = make(name)
    for step in train(objective, digits, steps=40, batch_size=32, learning_rate=4e-3, precision="float32"):
        pass
    assert float(step.loss) < objective.reference_levels()["mean image"]
    assert name != "vae" or step.terms["kl"] > 5


def test_a_high_beta_collapses_the_posterior_and_the_lab_says_so(digits):
    lab = Lab(make("vae", beta=50.0), digits, steps=40, batch_size=32, learning_rate=4e-3, precision="float32")
    lab.start()
    lab.join()
    assert lab.history[-1]["terms"]["kl"] < 0.5                      # at beta 1 it is above 5 after as many steps
    assert "Posterior collapse: z says 0." in lab.status
    z = lab.objective.encode(digits.validation.images[:200])         # in length they differ, which the sphere does not show
    assert lab.objective.diagnose(z, {"kl": 15.0}) == evaluation.diagnose(z)
    assert lab.objective.diagnose(z, {"kl": 0.1}).kind == "posterior collapse"
    lab.objective.set(sampling=False)                                # without noise a little is enough
    assert lab.objective.diagnose(z, {"kl": 0.1}) == evaluation.diagnose(z)


# ---- generation, measured


def test_pca_is_the_best_plane():
    images = uniform(60, 1, 4, 4).float()
    flat = images.flatten(1).double()
    u, s, v = np.linalg.svd((flat - flat.mean(dim=0)).numpy(), full_matrices=False)
    wanted = (u[:, :3] * s[:3]) @ v[:3] + flat.mean(dim=0).numpy()
    np.testing.assert_allclose(generation.pca_reconstruct(images, images, 3).flatten(1), wanted.clip(0, 1), atol=1e-4)
    np.testing.assert_allclose(generation.fit_pca(images, 3).deviations, s[:3] / math.sqrt(59), rtol=1e-4)
    np.testing.assert_allclose(generation.pca_reconstruct(images, images, 16), images, atol=1e-4)
    with pytest.raises(ValueError, match="components: got 17, takes 1 to 16"):
        generation.fit_pca(images, 17)


def test_pca_samples_have_the_mean_and_covariance_of_the_plane():
    train_images = 0.5 + 0.05 * draw(500, 1, 3, 3).float()           # far from 0 and 1: nothing is cut
    made = generation.pca_gaussian_samples(train_images, 9, 20_000, lines()).flatten(1)
    torch.testing.assert_close(made.mean(dim=0), train_images.flatten(1).mean(dim=0), rtol=0, atol=0.003)
    torch.testing.assert_close(made.T.cov(), train_images.flatten(1).T.cov(), rtol=0, atol=2e-4)


def test_confidence_counts_only_what_is_above_the_line():
    class Says(torch.nn.Module):
        def __init__(self, logits):
            super().__init__()
            self.logits = torch.nn.Parameter(logits)

        def forward(self, images):
            return self.logits[: len(images)]

    logits = torch.log(torch.tensor([[0.95, 0.03, 0.02], [0.5, 0.3, 0.2], [0.01, 0.01, 0.98], [0.05, 0.9499, 0.0001]]))
    head = torch.nn.Linear(3, 3)
    torch.nn.init.eye_(head.weight)
    torch.nn.init.zeros_(head.bias)
    judge = generation.Supervised.__new__(generation.Supervised)     # one that says what it is told to
    torch.nn.Module.__init__(judge)
    judge.encoder, judge.head = Says(logits), head
    said = generation.confident_share(judge, torch.zeros(4, 1, 2, 2))
    assert said.share == pytest.approx(0.75) and said.classes == [0, 1, 2] and said.counts == [1, 1, 1]
    said = generation.confident_share(judge, torch.zeros(4, 1, 2, 2), threshold=0.96)
    assert said.share == pytest.approx(0.25) and said.classes == [2] and said.counts == [0, 0, 1]
    with pytest.raises(ValueError, match="threshold: got 1"):
        generation.confident_share(judge, torch.zeros(4, 1, 2, 2), threshold=1)


def test_classifier_trains_on_all_labels(digits):
    judge = generation.classifier(digits, steps=3)
    assert judge.head.out_features == 10
    assert generation.confident_share(judge, digits.validation.images[:50]).probability.shape == (50,)


# ---- figures


def test_figures_show_what_they_are_given():
    rows = {"image": pictures(5), "denoised": uniform(5, 1, 28, 28)}
    (axis,) = figures.reconstructions(rows, {"denoised": 0.0123}).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["image", "denoised\nerror 0.0123"]
    assert axis.images[0].get_array().shape == (2 * 32, 5 * 32, 3)
    grid = axis.images[0].get_array()
    np.testing.assert_allclose(grid[34:62, 2:30, 0], rows["denoised"][0, 0], atol=1e-6)
    panels = figures.generated({"real": pictures(16), "VAE": pictures(16, 3)}, shares={"VAE": 0.75}).axes
    assert [axis.get_title() for axis in panels] == ["real", "VAE\nclassifier sure of 75 %"]
    (axis,) = figures.interpolation({"in z": pictures(7), "pixels": pictures(7)}).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "0.5", "1"]
    (axis,) = figures.traversal({0: pictures(3), 4: pictures(3)}, [-2, 0, 2]).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["z0", "z4"]
    (axis,) = figures.denoising_steps(pictures(2), [pictures(2)] * 20, shown=3).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["start", "1", "11", "20"]
    (axis,) = figures.latents_in_use({"beta 1": torch.tensor([0.5, 3.0])}).axes
    assert list(axis.lines[0].get_ydata()) == [3, 0.5] and axis.get_legend().get_texts()[0].get_text() == "beta 1: 3.5 nats in all"


def test_names_are_exported():
    assert {"autoencoder", "denoising", "vae"} <= set(objectives.names())
    assert issubclass(DenoisingAutoencoder, Autoencoder) and VAE.title == "VAE"
