"""03_reconstruction: what comes back, what can be drawn, and what the encoder is worth; digits, on test or validation images."""

import functools

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence
from sslab.course.lessons.common import BUDGETS, DRAWS

METHODS = ("autoencoder", "denoising", "vae")
SHARES = {"vae": 1.0, "autoencoder": 0.6, "denoising": 0.6}          # of the recipe's steps, on the board
SHARE = 0.15                                                         # and in the short runs
SAMPLES = 1000
LEVEL = 0.5                                                          # of the noise that all denoisers are tried on

# How the VAE is changed, and how the denoiser is trained -> knobs.
VAES = {"vae": {}, "beta-20": {"beta": 20.0}, "beta-0": {"beta": 0.0}, "no-sampling": {"sampling": False}}
NOISES = {"gaussian-0": {"level": 0.0}, "gaussian-0.5": {"level": LEVEL}, "gaussian-1": {"level": 1.0},
          "masking-0.5": {"corruption": "masking", "level": 0.5}, "target-noisy": {"level": LEVEL, "target_noisy": True}}


def _generator(seed: int):
    import torch

    return torch.Generator().manual_seed(1000 + seed)


def _error(reconstruction, images) -> float:
    """Mean squared error of pictures in [0, 1] against uint8 ones."""
    from sslab.datasets import as_floats

    return float((reconstruction.cpu() - as_floats(images)).square().mean())


@functools.cache
def _judge():
    """One classifier for all that is drawn here, trained with all labels on pictures as they are.

    Trained on crops it would be surer of PCA's samples than of the VAE's, and of most pictures of clothes: section 5 says so.
    """
    import sslab
    from sslab.evaluation import generation

    return generation.classifier(sslab.load("digits"))


def _confidence(images):
    from sslab.evaluation import generation

    return generation.confident_share(_judge(), images)


def _mean_image(data, images) -> float:
    """Error of the mean training picture."""
    from sslab.datasets import as_floats

    return _error(as_floats(data.train.images).mean(dim=0, keepdim=True), images)


def _bound(vae, images, draws: int, seed: int) -> float:
    """Minus the bound in nats a picture, a few hundred pictures at a time."""
    parts = images.split(500)
    return sum(len(part) * vae.bound(part, draws, _generator(seed)) for part in parts) / len(images)


def _autoencoder(made, data, seed: int) -> dict:
    from sslab.evaluation import generation

    images = data.test.images
    return {"squared-error": (_error(made.reconstruct(images), images), "squared error"),
            "pca": (_error(generation.pca_reconstruct(data.train.images, images, made.latents), images), "squared error"),
            "mean-image": (_mean_image(data, images), "squared error")}


def _denoising(made, data, seed: int) -> dict:
    """Test pictures with the noise in force, cleaned by the model and by PCA: with as many numbers, and with the best number."""
    from sslab.evaluation import generation

    def pca(split, noisy, components: int) -> float:
        return _error(generation.pca_reconstruct(data.train.images, noisy, components), split.images)

    test, validation = (made.spoil(split.images, _generator(seed)).cpu() for split in (data.test, data.validation))
    best = min((4, 8, 12, 16, 24, 32, 48, 64), key=lambda components: pca(data.validation, validation, components))
    return {"squared-error": (_error(made.denoise(test), data.test.images), "squared error"),
            "noisy": (_error(test.clamp(0, 1), data.test.images), "squared error"),
            "pca": (pca(data.test, test, made.latents), "squared error"),
            "pca-best": (pca(data.test, test, best), "squared error"),
            "pca-best-components": (best, "components"),
            "mean-image": (_mean_image(data, data.test.images), "squared error")}


def _vae(made, data, seed: int) -> dict:
    """Reconstruction, bounds, and 1,000 samples in the eyes of a classifier, beside real digits, PCA's samples and clothes."""
    import sslab
    from sslab import objectives
    from sslab.evaluation import accuracy, generation

    images, few = data.test.images, data.test.images[:500]
    drawn = _confidence(made.sample(SAMPLES, _generator(seed)))
    linear = generation.pca_gaussian_samples(data.train.images, made.latents, SAMPLES, _generator(seed))
    clothes = sslab.load("fashion").test.images[:SAMPLES]
    return {"squared-error": (_error(made.reconstruct(images), images), "squared error"),
            "pca": (_error(generation.pca_reconstruct(data.train.images, images, made.latents), images), "squared error"),
            "mean-image": (_mean_image(data, images), "squared error"),
            "elbo": (_bound(made, images, 1, seed), "nats"), "mean-image-nats": (made.reference_levels()["mean image"], "nats"),
            "bound-1": (_bound(made, few, 1, seed), "nats"), "bound-20": (_bound(made, few, 20, seed), "nats"),
            "kl": (float(made.nats(images).sum()), "nats"),
            "active-units": (objectives.active_units(made.encode(images)), "latents"), "latents": (made.latents, "latents"),
            "confident": (drawn.share, "share"), "classes": (len(drawn.classes), "classes"),
            "confident-pca": (_confidence(linear).share, "share"), "confident-real": (_confidence(images).share, "share"),
            "confident-clothes": (_confidence(clothes).share, "share"),
            "judge": (accuracy(_judge(), data.test), "accuracy")}


@evidence("03/board", seeds=range(3), version=1, unit="accuracy", dataset=("digits",), method=METHODS)
def board(seed, dataset, method):
    """A method by the recipe: the probe on test images as on 13's board (and of the code z), and what it is made for.

    The VAE takes all of the recipe's steps, the other two fewer.
    """
    from sslab import evaluation
    from sslab.course.lessons.common import pretrain

    made, data, _ = pretrain(dataset, seed, method, share=SHARES[method])
    table = evaluation.label_efficiency(made.encoder, data, BUDGETS, DRAWS, penalties=(0.1,))
    code = evaluation.label_efficiency(lambda images: made.encode(images).cpu(), data, (5,), DRAWS, penalties=(0.1,))
    own = {"autoencoder": _autoencoder, "denoising": _denoising, "vae": _vae}[method](made, data, seed)
    return {**{str(budget): table.fixed[budget] for budget in BUDGETS}, "code": code.fixed[5], **own}


@evidence("03/vae", seeds=range(3), version=1, how=tuple(VAES))
def vae(seed, how):
    """A short run of the VAE, whole and broken: what comes back, what z says, what a draw from the prior looks like."""
    from sslab import objectives
    from sslab.course.lessons.common import pretrain, quick_probe

    made, data, _ = pretrain("digits", seed, "vae", share=SHARE, **VAES[how])
    images = data.validation.images
    drawn = _confidence(made.sample(SAMPLES, _generator(seed)))
    return {"squared-error": (_error(made.reconstruct(images), images), "squared error"),
            "mean-image": (_mean_image(data, images), "squared error"),
            "elbo": (_bound(made, images, 1, seed), "nats"), "mean-image-nats": (made.reference_levels()["mean image"], "nats"),
            "kl": (float(made.nats(images).sum()), "nats"),
            "active-units": (objectives.active_units(made.encode(images)), "latents"),
            "confident": (drawn.share, "share"), "classes": (len(drawn.classes), "classes"),
            "probe": (quick_probe(made, data), "accuracy")}


@evidence("03/noise", seeds=range(3), version=1, how=tuple(NOISES))
def noise(seed, how):
    """A short run of the denoiser with each noise: all of them cleaning the same noisy pictures, and their probes."""
    from sslab.course.lessons.common import pretrain, quick_probe
    from sslab.datasets import as_floats
    from sslab.objectives import corrupt

    made, data, _ = pretrain("digits", seed, "denoising", share=SHARE, **NOISES[how])
    images = data.validation.images
    noisy = corrupt(as_floats(images), "gaussian", LEVEL, _generator(seed))
    cleaned = made.denoise(noisy).cpu()
    background = cleaned[as_floats(images) == 0]
    return {"denoised": (_error(cleaned, images), "squared error"),
            "clean": (_error(made.reconstruct(images), images), "squared error"),
            "background": (float(background.mean()), "brightness"),
            "mean-image": (_mean_image(data, images), "squared error"),
            "probe": (quick_probe(made, data), "accuracy")}


def _board(method: str, key: str) -> str:
    return f"03/board/digits/{method}/{key}"


_VAE = functools.partial(_board, "vae")
_SHORT = "03/vae/{}/{}".format


@define_claim("03/vae-beats-pca", "The VAE gives test digits back with a smaller error than PCA with as many numbers.",
              evidence=[_VAE("squared-error"), _VAE("pca")], without={_VAE("squared-error"): _VAE("pca")})
def _(r):
    return beats(r[_VAE("pca")], r[_VAE("squared-error")])


@define_claim("03/autoencoder-beats-pca", "So does the autoencoder, which has no prior to heed.",
              evidence=[_board("autoencoder", "squared-error"), _board("autoencoder", "pca")],
              without={_board("autoencoder", "squared-error"): _board("autoencoder", "pca")})
def _(r):
    return beats(r[_board("autoencoder", "pca")], r[_board("autoencoder", "squared-error")])


@define_claim("03/denoiser-beats-pca", "From the same noisy test digits the denoiser's error is smaller than that of PCA with as many "
              "numbers.",
              evidence=[_board("denoising", "squared-error"), _board("denoising", "pca")],
              without={_board("denoising", "squared-error"): _board("denoising", "pca")})
def _(r):
    return beats(r[_board("denoising", "pca")], r[_board("denoising", "squared-error")])


@define_claim("03/below-the-mean-image", "All three end below the level of the mean image: in squared error, and the VAE in nats, too.",
              evidence=[*(_board(method, key) for method in METHODS for key in ("squared-error", "mean-image")),
                        _VAE("elbo"), _VAE("mean-image-nats")],
              without={_VAE("elbo"): _VAE("mean-image-nats")})
def _(r):
    return (all(beats(r[_board(method, "mean-image")], r[_board(method, "squared-error")]) for method in METHODS)
            and beats(r[_VAE("mean-image-nats")], r[_VAE("elbo")]))


@define_claim("03/bound-tightens", "Twenty draws give a tighter bound than one, on every seed.",
              evidence=[_VAE("bound-1"), _VAE("bound-20")], without={_VAE("bound-20"): _VAE("bound-1")})
def _(r):
    return beats(r[_VAE("bound-1")], r[_VAE("bound-20")])


@define_claim("03/samples-are-digits", "On every seed the classifier is sure of at least 60 % of the VAE's samples, and every digit is "
              "among them.",
              evidence=[_VAE("confident"), _VAE("classes")], without={_VAE("confident"): _VAE("confident-pca")})
def _(r):
    return every(r[_VAE("confident")], lambda share: share >= 0.6) and every(r[_VAE("classes")], lambda classes: classes == 10)


@define_claim("03/samples-beat-pca", "It is sure of more of the VAE's samples than of those of a Gaussian in PCA's space.",
              evidence=[_VAE("confident"), _VAE("confident-pca")], without={_VAE("confident"): _VAE("confident-pca")})
def _(r):
    return beats(r[_VAE("confident")], r[_VAE("confident-pca")])


@define_claim("03/sure-is-not-right", "The same classifier is sure which digit it sees in more than a fifth of pictures of clothes.",
              evidence=[_VAE("confident-clothes")], without={_VAE("confident-clothes"): 0.0})
def _(r):
    return every(r[_VAE("confident-clothes")], lambda share: share > 0.2)


@define_claim("03/large-beta-collapses", "At beta 20 z says less than 1 nat of a picture on every seed, and fewer latents are in use; "
              "pictures come back no better than the mean image, and minus the ELBO is within 5 % of its level.",
              evidence=[*(_SHORT(how, key) for how in ("beta-20", "vae") for key in ("kl", "active-units")),
                        *(_SHORT("beta-20", key) for key in ("squared-error", "mean-image", "elbo", "mean-image-nats"))],
              without={_SHORT("beta-20", "kl"): _SHORT("vae", "kl")})
def _(r):
    level, nats = r[_SHORT("beta-20", "mean-image")].value, r[_SHORT("beta-20", "mean-image-nats")].value
    return (every(r[_SHORT("beta-20", "kl")], lambda value: value < 1)
            and beats(r[_SHORT("vae", "active-units")], r[_SHORT("beta-20", "active-units")])
            and every(r[_SHORT("beta-20", "squared-error")], lambda value: value > 0.9 * level)
            and every(r[_SHORT("beta-20", "elbo")], lambda value: abs(value / nats - 1) < 0.05))


@define_claim("03/no-sampling-breaks-the-bound", "Trained without sampling, the VAE's ELBO is worse than that of the mean image.",
              evidence=[_SHORT("no-sampling", "elbo"), _SHORT("no-sampling", "mean-image-nats")],
              without={_SHORT("no-sampling", "elbo"): _SHORT("no-sampling", "mean-image-nats")})
def _(r):
    return beats(r[_SHORT("no-sampling", "elbo")], r[_SHORT("no-sampling", "mean-image-nats")])


@define_claim("03/noise-in-the-target-costs", "With the noise in the target the same noisy pictures are cleaned worse, and the black "
              "background comes back brighter by more than a tenth of the way to white.",
              evidence=[f"03/noise/{how}/{key}" for how in ("target-noisy", "gaussian-0.5") for key in ("denoised", "background")],
              without={"03/noise/target-noisy/denoised": "03/noise/gaussian-0.5/denoised"})
def _(r):
    wrong, right = "03/noise/target-noisy", "03/noise/gaussian-0.5"
    return (beats(r[f"{wrong}/denoised"], r[f"{right}/denoised"])
            and beats(r[f"{wrong}/background"], r[f"{right}/background"], margin=0.1))


@define_claim("03/proxy-is-not-the-goal", "With 5 labels a class all three encoders beat the random encoder, and SimCLR's beats all three "
              "by more than 10 points.",
              evidence=[*(_board(method, "5") for method in METHODS), "13/board/digits/random-encoder/5", "13/board/digits/simclr/5"],
              without={_VAE("5"): "13/board/digits/simclr/5"})
def _(r):
    ours = [r[_board(method, "5")] for method in METHODS]
    return (all(beats(one, r["13/board/digits/random-encoder/5"]) for one in ours)
            and all(beats(r["13/board/digits/simclr/5"], one, margin=0.10) for one in ours))
