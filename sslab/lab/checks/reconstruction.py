"""Checks of reconstruction: what goes in and what should come out, PCA, and the pieces of a VAE's loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, changes, generator


def wrong_make_denoising_pair(images: Tensor, noise: Tensor, *, how="added", target="clean", order="noisy first",
                              clamp=False) -> tuple[Tensor, Tensor]:
    """What goes in and what should come out, [B, C, H, W] each, with switches for what is often done otherwise."""
    noisy = {"added": images + noise, "subtracted": images - noise, "times": images * noise,
             "share": images * (1 + noise), "alone": noise, "none": images, "mean": (images + noise) / 2}[how]
    noisy = noisy.clamp(0, 1) if clamp else noisy
    wanted = {"clean": images, "noisy": noisy, "noise": noise, "difference": noisy - images, "other": images - noise}[target]
    return (noisy, wanted) if order == "noisy first" else (wanted, noisy)


make_denoising_pair = Check(
    "make_denoising_pair",
    "Convention: images, noise [B, C, H, W] -> (noisy, clean), [B, C, H, W] each: what the network gets, and what it should "
    "give back. The noise is added as it is, and what leaves [0, 1] stays there. Vincent et al. 2008, section 2.3.",
    wrong_make_denoising_pair,
    wrong_make_denoising_pair,
    [
        Misconception("the noise is in the target, too", {"target": "noisy"},
                      "What would a network learn that is asked for the noise, too? If you meant to keep the clean pictures: are "
                      "these two tensors, or two names of one that you changed in place?"),
        Misconception("the two are exchanged", {"order": "clean first"},
                      "The first goes into the network. Which of the two should it see?"),
        Misconception("the target is the noise", {"target": "noise"},
                      "Some models predict the noise, and subtract it (diffusion models do). This one gives back the picture."),
        Misconception("the target has other noise", {"target": "other"},
                      "What should come out has no noise at all."),
        Misconception("the noise is subtracted", {"how": "subtracted"},
                      "With symmetric noise that would train as well. Here it is added, so that numbers can be compared."),
        Misconception("the noise multiplies the picture", {"how": "times"},
                      "Where the picture is black there would never be any noise."),
        Misconception("the noise is a share of the picture", {"how": "share"},
                      "Where the picture is black there would never be any noise."),
        Misconception("the noise takes the picture's place", {"how": "alone"},
                      "What could a network find in your input that has to do with the target?"),
        Misconception("there is no noise", {"how": "none"},
                      "That is a plain autoencoder: it may copy."),
        Misconception("the mean of picture and noise", {"how": "mean"},
                      "At noise 0 the input must be the picture."),
        Misconception("the noisy picture is cut to [0, 1]", {"clamp": True},
                      "A choice that others make. Here it is not cut: in a black area half of the noise would be gone, "
                      "and black would look different from white."),
    ],
    cases=lambda: [_pictures(3, 1, 4, 0), _pictures(2, 3, 5, 1)],
    promises=[(Misconception("the pictures are changed in place", {},
                             "Who called you still needs them. Make a new tensor: + does, += does not."),
               lambda function, case: changes(function, case)[0])],
    shapes="make_denoising_pair takes images and noise [B, C, H, W] and returns two such tensors.",
)


def wrong_pca_reconstruct(train: Tensor, images: Tensor, k: int, *, fit="train", centre="both", back="train", which="largest",
                          scale="no", result="images") -> Tensor:
    """PCA's answer [M, D] for images [M, D], with switches for what is often done otherwise."""
    source = train if fit == "train" else images
    mean = train.mean(0) if back != "images" else images.mean(0)
    fitted = source - (source.mean(0) if centre in ("both", "fit") else 0)
    _, deviations, rows = torch.linalg.svd(fitted, full_matrices=False)                    # rows [min(N, D), D]
    v = {"largest": rows[:k].T, "smallest": rows[-k:].T, "all": rows.T, "wrong way": rows[:, :k],
         "one more": rows[: k + 1].T, "first left out": rows[1 : k + 1].T}[which]           # [D, k]
    if scale == "deviations":
        v = v * (deviations[:k] / (len(source) - 1) ** 0.5).sqrt()                         # once on the way in, once back
    z = (images - (mean if centre in ("both", "images") else 0)) @ v                       # [M, k]
    if scale == "whitened":
        z = z / (deviations[:k] / (len(source) - 1) ** 0.5)
    if result == "code":
        return z
    return z @ v.T + (mean if back != "nothing" else 0)


pca_reconstruct = Check(
    "pca_reconstruct",
    "Convention: train [N, D], images [M, D] -> [M, D]; mean and directions are those of train; an image minus the mean is "
    "projected on the k directions along which train varies most, and put back: mean included, nothing cut to [0, 1].",
    wrong_pca_reconstruct,
    wrong_pca_reconstruct,
    [
        Misconception("the k directions of least variance are kept", {"which": "smallest"},
                      "Look at the order: torch.linalg.eigh gives the smallest eigenvalue first, torch.linalg.svd the largest."),
        Misconception("columns of V transposed are taken", {"which": "wrong way"},
                      "torch.linalg.svd returns V transposed. Are its directions rows or columns?"),
        Misconception("all directions are kept", {"which": "all"},
                      "Nothing is lost, and nothing is learned: where does k come in?"),
        Misconception("one direction too many is kept", {"which": "one more"},
                      "How many numbers does an image become?"),
        Misconception("the first direction is left out", {"which": "first left out"},
                      "The first is the widest of them. (In other languages it is number 1.)"),
        Misconception("the mean is not added back", {"back": "nothing"},
                      "With k = 0 the answer would be the mean image. What is yours?"),
        Misconception("nothing is centred", {"centre": "none", "back": "nothing"},
                      "Your first direction points at the mean: one of k numbers is spent on what all images share."),
        Misconception("nothing is centred, and the mean is added", {"centre": "none"},
                      "What is added at the end must have been subtracted at the beginning."),
        Misconception("train is not centred", {"centre": "images"},
                      "Directions of most variance are those of deviations from the mean."),
        Misconception("the images are not centred", {"centre": "fit"},
                      "What is added at the end must have been subtracted at the beginning."),
        Misconception("the images' own mean is used", {"back": "images"},
                      "With a single image your answer would be perfect, whatever k. What is known before the images come?"),
        Misconception("directions are those of the images", {"fit": "images"},
                      "That is fitting on the test set. What is known before the images come?"),
        Misconception("directions and mean are those of the images", {"fit": "images", "back": "images"},
                      "That is fitting on the test set. What is known before the images come?"),
        Misconception("the code is whitened and not scaled back", {"scale": "whitened"},
                      "What is divided by on the way in must be multiplied by on the way out."),
        Misconception("directions are stretched by their deviation", {"scale": "deviations"},
                      "Directions have length 1: projecting twice must change nothing more."),
        Misconception("the code is returned", {"result": "code"},
                      "Those are the k numbers. What image do they stand for?"),
    ],
    cases=lambda: [_clouds(9, 5, 6, 2, 0), _clouds(12, 4, 5, 1, 1), _clouds(8, 3, 7, 3, 2)],
    shapes="pca_reconstruct takes train [N, D], images [M, D] and k, and returns [M, D].",
)


def wrong_kl_divergence(mean: Tensor, log_variance: Tensor, *, sign=1.0, half=True, distance="square", entropy=-1.0,
                        constant=-1.0, scale="log variance", width=1.0, reverse=False, latents="sum", batch="each") -> Tensor:
    """KL of N(mean, variance) from N(0, 1), [B], with switches for what is often done otherwise."""
    log = {"log variance": log_variance, "log std": 2 * log_variance, "variance": log_variance.log(),
           "no exponential": log_variance, "std": log_variance}[scale]
    variance = {"log variance": log_variance.exp(), "log std": log.exp(), "variance": log_variance,
                "no exponential": log_variance, "std": (0.5 * log_variance).exp()}[scale]
    if reverse:
        mean, variance, log = mean / variance.sqrt(), 1 / variance, -log
    away = {"square": mean.square(), "absolute": mean.abs(), "plain": mean, "none": 0 * mean}[distance]
    each = sign * (0.5 if half else 1.0) * (away + width * variance + constant + entropy * log)         # [B, L]
    value = {"sum": each.sum(1), "mean": each.mean(1), "each": each, "over the batch": each.sum(0)}[latents]
    return {"each": value, "mean": value.mean(), "sum": value.sum()}[batch]


kl_divergence = Check(
    "kl_divergence",
    "Convention: mean, log_variance [B, L] -> [B]; the KL divergence of N(mean, variance) from N(0, 1) in nats, summed over the "
    "latents, one number a picture. Kingma and Welling 2013, appendix B.",
    wrong_kl_divergence,
    wrong_kl_divergence,
    [
        Misconception("the sign is wrong", {"sign": -1.0},
                      "A KL divergence is never below 0. (The paper's appendix writes minus the KL.)"),
        Misconception("the factor 1/2 is missing", {"half": False},
                      "Mean 1 and variance 1 cost half a nat: work it out from the two bell curves."),
        Misconception("the log variance has the wrong sign", {"entropy": 1.0},
                      "What should happen to the KL as the variance goes to 0?"),
        Misconception("the 1 is missing", {"constant": 0.0},
                      "Mean 0 and variance 1 is the prior itself: what must it cost?"),
        Misconception("the 1 is added", {"constant": 1.0},
                      "Mean 0 and variance 1 is the prior itself: what must it cost?"),
        Misconception("the log variance is left out", {"entropy": 0.0},
                      "With mean 0 your cheapest variance is 0. Which should it be?"),
        Misconception("the variance is left out", {"width": 0.0},
                      "A very wide posterior must cost something."),
        Misconception("the mean is left out", {"distance": "none"},
                      "A posterior far from 0 must cost something."),
        Misconception("the mean is not squared", {"distance": "plain"},
                      "What does a mean of -1 cost, and what one of 1?"),
        Misconception("absolute values in place of squares", {"distance": "absolute"},
                      "Half a squared distance, as in the exponent of a bell curve."),
        Misconception("the log variance is taken for the log of the std", {"scale": "log std"},
                      "The network gives the log of the variance. What is the variance, then?"),
        Misconception("the std is taken for the variance", {"scale": "std"},
                      "exp(log_variance / 2) is the std. Which of the two stands in the formula?"),
        Misconception("half of the log variance is taken: the log of the std", {"entropy": -0.5},
                      "The factor 1/2 stands before all of it: the log inside is that of the variance."),
        Misconception("the log variance is taken for the variance", {"scale": "variance"},
                      "The network gives a number that may be negative: it is a log."),
        Misconception("the exponential is missing", {"scale": "no exponential"},
                      "The network gives the log of the variance. What is the variance, then?"),
        Misconception("it is the KL divergence of the prior from the posterior", {"reverse": True},
                      "KL(q || p) is not KL(p || q): the mean is taken over draws from q, the posterior."),
        Misconception("the mean over the latents", {"latents": "mean"},
                      "A second latent that says as much again must cost as much again."),
        Misconception("the latents are not summed", {"latents": "each"},
                      "One number a picture is wanted."),
        Misconception("the sum goes over the batch", {"latents": "over the batch"},
                      "One number a picture is wanted: which dim holds the latents?"),
        Misconception("the mean over the batch is returned", {"batch": "mean"},
                      "One number a picture is wanted here; the mean comes later."),
        Misconception("the sum over the batch is returned", {"batch": "sum"},
                      "One number a picture is wanted here; the mean comes later."),
    ],
    cases=lambda: [_posterior(4, 3, 0), _posterior(3, 2, 1), _posterior(6, 4, 2)],
    differentiable=True,
    shapes="kl_divergence takes mean and log_variance [B, L] and returns [B].",
)


def wrong_reparametrise(mean: Tensor, log_variance: Tensor, noise: Tensor, *, scale="std", use="scaled", centre="mean",
                        sign=1.0) -> Tensor:
    """A draw from N(mean, variance) made of standard normal noise, [B, L], with switches."""
    std = {"std": (0.5 * log_variance).exp(), "variance": log_variance.exp(), "log variance": log_variance,
           "half": 0.5 * log_variance, "root of the log": log_variance.sqrt(), "precision": (-0.5 * log_variance).exp(),
           "one": torch.ones_like(mean), "none": torch.zeros_like(mean), "softplus": F.softplus(log_variance),
           "twice": (2 * log_variance).exp()}[scale]
    drawn = {"scaled": std * noise, "added": std + noise, "squared": std * noise.square(), "none": std}[use]
    return sign * drawn + {"mean": mean, "nothing": 0 * mean, "scaled": std * mean}[centre]


reparametrise = Check(
    "reparametrise",
    "Convention: mean, log_variance, noise [B, L] -> z [B, L]; noise is standard normal and drawn for you: draw none yourself. "
    "z has that mean and that variance, and carries a gradient to both. Kingma and Welling 2013, section 2.4.",
    wrong_reparametrise,
    wrong_reparametrise,
    [
        Misconception("the variance is taken for the std", {"scale": "variance"},
                      "If noise has std 1, which std does your z have? Which should it have, if the variance is 4?"),
        Misconception("twice the log variance, not half of it", {"scale": "twice"},
                      "The std is the root of the variance. What does a root do to a log?"),
        Misconception("the log variance is taken for the std", {"scale": "log variance"},
                      "A log variance of 0 is a variance of 1: does your z vary then?"),
        Misconception("half of the log variance is taken for the std", {"scale": "half"},
                      "That is the log of the std. How does one undo a log?"),
        Misconception("the root of the log variance is taken for the std", {"scale": "root of the log"},
                      "A log may be negative: undo the log first."),
        Misconception("divided by the std", {"scale": "precision"},
                      "A larger variance must give larger deviations."),
        Misconception("a softplus in place of the exponential", {"scale": "softplus"},
                      "Some code lets the network give a number whose softplus is the std. Here it is the log of the variance."),
        Misconception("the variance is not used", {"scale": "one"},
                      "Your z has variance 1, whatever the encoder says."),
        Misconception("the noise is not used", {"scale": "none"},
                      "That is the mean. Then the encoder need not care what lies beside it."),
        Misconception("the std is added in place of the noise", {"use": "none"},
                      "Nothing is drawn: the same picture would give the same z each time."),
        Misconception("the noise is added, not scaled", {"use": "added"},
                      "Your z has variance 1, and its mean is off by the std."),
        Misconception("the noise is squared", {"use": "squared"},
                      "Your z is never below its mean."),
        Misconception("the mean is left out", {"centre": "nothing"},
                      "Where does z lie on average?"),
        Misconception("the mean is scaled, too", {"centre": "scaled"},
                      "With a tiny variance z must be the mean."),
        Misconception("the noise is subtracted", {"sign": -1.0},
                      "It would have the same distribution. Here the noise is added, so that numbers can be compared."),
    ],
    cases=lambda: [_draw(4, 3, 0), _draw(3, 2, 1), _draw(5, 4, 2)],
    differentiable=(0, 1),
    shapes="reparametrise takes mean, log_variance and noise [B, L] and returns z [B, L].",
)


def wrong_elbo(logits: Tensor, target: Tensor, mean: Tensor, log_variance: Tensor, beta: float, *, total=1.0, surprise=1.0, kl=1.0,
               pixels="sum", batch="mean", weight="kl", latents="sum", half=True, error="bernoulli") -> Tensor:
    """Minus the ELBO of pictures [B, C, H, W], a scalar, with switches for what is often done otherwise."""
    x, p = logits, logits.sigmoid()
    each = {"bernoulli": lambda: F.softplus(x) - target * x, "squared": lambda: (p - target).square(),
            "half square": lambda: 0.5 * (p - target).square(), "twice": lambda: F.softplus(p) - target * p,
            "exchanged": lambda: F.softplus(target) - x * target, "white only": lambda: -target * F.logsigmoid(x)}[error]()
    each = each.flatten(1)                                                                 # [B, CHW]
    rows = surprise * (each.mean(1) if pixels == "mean" else each.sum(1))                  # [B]
    apart = (0.5 if half else 1.0) * (mean.square() + log_variance.exp() - 1 - log_variance)            # [B, L]
    apart = kl * (apart.mean(1) if latents == "mean" else apart.sum(1))                    # [B]
    a, b = {"kl": (1, beta), "no": (1, 1), "surprise": (beta, 1), "both": (beta, beta), "divides": (1, 1 / beta)}[weight]
    if batch == "surprise summed":
        return total * (a * rows.sum() + b * apart.mean())
    if batch == "KL summed":
        return total * (a * rows.mean() + b * apart.sum())
    value = total * (a * rows + b * apart)
    return {"mean": value.mean(), "sum": value.sum(), "each": value}[batch]


elbo = Check(
    "elbo",
    "Convention: logits, target [B, C, H, W], mean, log_variance [B, L], beta -> scalar; MINUS the ELBO in nats, to be minimised: "
    "Bernoulli cross-entropy summed over the pixels of a picture, plus beta times its KL divergence, summed over the latents; "
    "then the mean over the batch. Kingma and Welling 2013, equation 10; Higgins et al. 2017.",
    wrong_elbo,
    wrong_elbo,
    [
        Misconception("the ELBO is returned, not minus it", {"total": -1.0},
                      "A loss is made small. The ELBO is a lower bound, which one wants to be large."),
        Misconception("the KL divergence is subtracted", {"kl": -1.0},
                      "Minimising your loss drives the posterior away from the prior, as far as it can. (In the ELBO the KL has a "
                      "minus: what becomes of it in minus the ELBO?)"),
        Misconception("the reconstruction has the wrong sign", {"surprise": -1.0},
                      "Minimising your loss makes the pictures as surprising as possible."),
        Misconception("the KL divergence is left out", {"kl": 0.0},
                      "Nothing would keep z near the prior: what would you draw samples from?"),
        Misconception("the reconstruction is left out", {"surprise": 0.0},
                      "Nothing would make z say anything of the picture."),
        Misconception("the mean over the pixels", {"pixels": "mean"},
                      "The log-probability of a picture is a sum over its pixels. With the mean the KL weighs as many times too "
                      "much as there are pixels, and z dies. (reduction='mean' is the default in torch.)"),
        Misconception("the mean over the latents", {"latents": "mean"},
                      "The KL of independent latents is the sum of theirs."),
        Misconception("the sum over the batch", {"batch": "sum"},
                      "A convention of others. Here the mean: twice the pictures, the same loss."),
        Misconception("the reconstruction is summed over the batch, the KL is not", {"batch": "surprise summed"},
                      "With twice the pictures one of your terms doubles. Is beta then still beta?"),
        Misconception("the KL is summed over the batch, the reconstruction is not", {"batch": "KL summed"},
                      "With twice the pictures one of your terms doubles. Is beta then still beta?"),
        Misconception("one number a picture is returned", {"batch": "each"},
                      "A loss is one number: the mean over the batch."),
        Misconception("beta is not used", {"weight": "no"},
                      "Change beta: your loss stays the same."),
        Misconception("beta is on the reconstruction", {"weight": "surprise"},
                      "At beta 0 there is no KL divergence."),
        Misconception("beta is on both terms", {"weight": "both"},
                      "That changes the step size and nothing else. Which term is it meant to weigh?"),
        Misconception("beta divides", {"weight": "divides"},
                      "At beta 0 there is no KL divergence."),
        Misconception("the factor 1/2 of the KL is missing", {"half": False},
                      "Mean 1 and variance 1 cost half a nat."),
        Misconception("the sigmoid is taken twice", {"error": "twice"},
                      "binary_cross_entropy_with_logits takes logits: no sigmoid before."),
        Misconception("logits and target are exchanged", {"error": "exchanged"},
                      "binary_cross_entropy_with_logits takes the logits first."),
        Misconception("squared differences in place of the cross-entropy", {"error": "squared"},
                      "That goes with a Gaussian. Here the network says for each pixel how likely it is to be white."),
        Misconception("half the squared differences in place of the cross-entropy", {"error": "half square"},
                      "That goes with a Gaussian. Here the network says for each pixel how likely it is to be white."),
        Misconception("black pixels cost nothing", {"error": "white only"},
                      "All white would be your best answer. What is the probability of black?"),
    ],
    cases=lambda: [_answer(3, 1, 3, 2, 4.0, 0), _answer(2, 3, 2, 3, 0.3, 1), _answer(4, 1, 2, 2, 1.5, 2)],
    extreme=(lambda: [_answer(3, 1, 3, 2, 1.0, 3, scale=400.0)],
             Misconception("wrong for a network that is very sure", {},
                           "A sigmoid of 100 is rounded to 1, and log(1 - 1) is not finite (or cut at -100). Which function takes logits?")),
    differentiable=(0, 2, 3),
    shapes="elbo takes logits and target [B, C, H, W], mean and log_variance [B, L] and beta, and returns a scalar.",
)


def _pictures(b: int, c: int, size: int, seed: int) -> tuple:
    g = generator(seed)
    return (torch.rand(b, c, size, size, generator=g, dtype=torch.float64),
            0.5 * torch.randn(b, c, size, size, generator=g, dtype=torch.float64))


def _clouds(n: int, m: int, d: int, k: int, seed: int) -> tuple:
    """Training points [N, D] and others [M, D] away from 0, wide along some directions; how many directions to keep."""
    g = generator(seed)
    spread = torch.diag(torch.linspace(2.5, 0.4, d, dtype=torch.float64))
    turn = torch.linalg.qr(torch.randn(d, d, generator=g, dtype=torch.float64)).Q
    points = torch.randn(n + m, d, generator=g, dtype=torch.float64) @ spread @ turn.T
    points = points + 1.5 + torch.arange(d, dtype=torch.float64) / 3
    return points[:n], points[n:], k


def _posterior(b: int, latents: int, seed: int) -> tuple:
    """Means and log variances of both signs, [B, L] each."""
    g = generator(seed)
    return (1.3 * torch.randn(b, latents, generator=g, dtype=torch.float64) + 0.4,
            torch.randn(b, latents, generator=g, dtype=torch.float64) - 0.3)


def _draw(b: int, latents: int, seed: int) -> tuple:
    return (*_posterior(b, latents, seed), torch.randn(b, latents, generator=generator(seed + 10), dtype=torch.float64))


def _answer(b: int, c: int, size: int, latents: int, beta: float, seed: int, scale: float = 2.0) -> tuple:
    """Logits and pictures [B, C, S, S] with grey pixels, a posterior and beta."""
    g = generator(seed + 20)
    shape = (b, c, size, size)
    return (scale * torch.randn(shape, generator=g, dtype=torch.float64), torch.rand(shape, generator=g, dtype=torch.float64),
            *_posterior(b, latents, seed), beta)
