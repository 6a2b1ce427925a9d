# %% [markdown]
# # 03 · Reconstruction: autoencoder, denoising, VAE
#
# The oldest pretext task is the picture itself: squeeze it into a few numbers and give it back. No labels, no views, no
# negatives. What is squeezed has to choose what to keep. In this notebook you look at what it keeps, make it repair pictures
# that it has never seen whole, and let it make up new ones. At the end you ask what the encoder is worth, and the answer is not
# flattering: a task can be solved well and still teach something else than you wanted.
#
# ## What you will be able to do
#
# - compare an autoencoder with PCA, its linear peer, at the same number of numbers;
# - say what a denoiser has to learn, and what becomes of it when the noise is in the target, too;
# - derive the two terms of a VAE's loss, write them, and check the KL divergence by counting;
# - draw new pictures, judge them with care, and break the model in three places;
# - say why a good reconstruction does not make a good representation.
#
# ## Time
#
# 110 minutes of yours. The machine needs {{ 03/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import torch

import sslab
from sslab import datasets, evaluation, figures, objectives
from sslab.course import claim, record, verdict
from sslab.evaluation import generation
from sslab.lab import Lab, check, latents, predict, show_source

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# A **VAE** (variational autoencoder) is two networks. The encoder turns a digit into a handful of numbers $z$, its *latents*; the
# decoder turns such numbers back into a digit. To make up a new digit, one draws the numbers at random and decodes them. The loss
# has two terms: how badly the picture comes back, and `beta` times how much $z$ says of the picture.

# %%
guess_beta = predict("03/beta", "You train the VAE at beta = 20. What does it give back for a picture of a 4?",
                     ["a sharper 4", "some other clear digit", "the same grey blur as for every other picture"])
guess_beta

# %% [markdown]
# **PCA** turns a digit into a few numbers, too, linearly. Draw such numbers from a Gaussian of their spread, put them back into
# pixels, and you get new pictures. A classifier, trained on real digits with all their labels, looks at 1,000 of them.

# %%
guess_sure = predict("03/sure", "For which share of PCA's made-up pictures is it sure (above 90 %) which digit they show?",
                     low=0, high=1, unit="of the pictures")
guess_sure

# %%
guess_noise = predict("03/noise", "Two encoders: one gave pictures back as they are, the other cleaned noisy ones. A linear probe "
                      "with 5 labels a class is right more often on ...",
                      ["the one without noise: it saw what we test on", "the one with noise", "neither: three seeds cannot tell them apart"])
guess_noise

# %% [markdown]
# ## 2. See the data and the task (8 minutes)

# %%
digits = datasets.load("digits")
digits.card

# %%
pictures = digits.validation.images[:10]
validation = digits.validation.images[:1000].float() / 255

def error(given):
    """Mean squared error of 1,000 validation pictures that came back."""
    return float((given.cpu() - validation).square().mean())

# %% tags=["figure"]
linear = {f"PCA, {k} numbers": generation.pca_reconstruct(digits.train.images, validation, k) for k in (2, 16, 64)}
figures.reconstructions({"picture": pictures, **{name: given[:10] for name, given in linear.items()}},
                        {name: error(given) for name, given in linear.items()})

# %% [markdown]
# **Finding:** 784 pixels, squeezed into `2`, `16` and `64` numbers by PCA and put back. Two numbers give back
# little more than a blur; sixty-four keep most. A bottleneck must choose, and PCA chooses the directions in which pixels vary most: on the
# pictures it was computed from, no linear encoder and decoder have a smaller error. A network is not linear. With as many numbers it
# may keep more: that is the first thing to measure.

# %% tags=["figure"]
noises = {"gaussian": 0.5, "masking": 0.5, "salt and pepper": 0.4}
rows = {f"{kind} {level}": objectives.corrupt(validation[:10], kind, level, torch.Generator().manual_seed(0))
        for kind, level in noises.items()}
figures.reconstructions({"picture": pictures, **rows})

# %% [markdown]
# **Finding:** three ways to spoil a picture. You still read the digits, because you know what digits look like, and that strokes
# are long and connected. The task of a **denoiser** is to give the clean picture back: whoever can do that must know something
# of the kind.

# %% [markdown]
# ## 3. Read the objectives (18 minutes)
#
# **Autoencoder.** Encoder $f$, decoder $g$, a bottleneck between them: $\ell = \overline{(x - g(f(x)))^2}$. Without a bottleneck
# (as many numbers as pixels) copying could be perfect, and nothing need be learned.

# %%
show_source(objectives.Autoencoder)

# %% [markdown]
# **Denoising autoencoder.** The same loss; but the encoder sees $\tilde x = x + \text{noise}$, and the target is $x$. Now copying is a
# bad answer even without a bottleneck: it would copy the noise.

# %%
show_source(objectives.DenoisingAutoencoder.make_views)

# %% [markdown]
# **VAE.** We want to draw pictures: $z$ from a prior $p(z) = \mathcal N(0, 1)$, then a picture from $p(x \mid z)$. Good is a model under
# which the real pictures are likely: $\log p(x)$ is large. That is an integral over all $z$, which nobody can do. So the encoder
# says which $z$ are worth looking at: a Gaussian $q(z \mid x)$, in short the *posterior*, with a mean and a variance for each latent.
# For every $q$
#
# $$\log p(x) \;\ge\; \underbrace{\mathbb E_{z \sim q} \log p(x \mid z)}_{\text{the picture comes back}}
# \;-\; \underbrace{\mathrm{KL}(q(z \mid x) \,\|\, p(z))}_{\text{what } z \text{ says of the picture}} \qquad\text{(the ELBO)}$$
#
# The loss is minus that. The decoder says of each pixel how likely it is to be white, so $-\log p(x \mid z)$ is a cross-entropy,
# summed over the pixels (a grey pixel counts as white in part). It is averaged over draws of $z$, and one draw is enough:
# $z = \text{mean} + \text{std} \cdot \varepsilon$ with $\varepsilon$ from $\mathcal N(0, 1)$, so that the gradient can pass through to mean and std.
# The second is known in closed form:
#
# $$\mathrm{KL} = \tfrac12 \sum_j \big(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\big)$$
#
# and is counted in nats (bits with the natural logarithm): how much $z$ says of the picture, beyond the prior. `beta` multiplies it;
# at `beta` 1, where we start, the loss is minus the ELBO.

# %%
show_source(objectives.elbo)

# %%
show_source(objectives.VAE.forward)

# %% [markdown]
# Is the closed form right? A KL divergence is a mean over draws from $q$, of $\log q(z) - \log p(z)$: count it.

# %%
mean, log_variance = torch.tensor([[1.5, -0.3]]), torch.tensor([[-2.0, 0.1]])
posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
prior = torch.distributions.Normal(0.0, 1.0)
torch.manual_seed(0)
for draws in (10, 1000, 100000):
    z = posterior.sample((draws,))                                       # [draws, 1, 2]
    counted = (posterior.log_prob(z) - prior.log_prob(z)).sum(dim=-1).mean()
    print(f"{draws:7} draws: {counted:.3f}    closed form: {objectives.kl_divergence(mean, log_variance).item():.3f}")

# %% [markdown]
# ## 4. Run it live (14 minutes)
#
# Run the cell below the lab, or press Start in the lab and skip that cell. Under the map you see three rows while it trains: pictures, what comes back, and pictures
# that were made up from random $z$. The loss has two lines to compare with: *mean image* is what a model scores that gives
# the same mean picture for everything, *perfect copy* what no model gets below, as grey pixels always cost something. This run
# takes most of the recipe's steps, to end in time.

# %%
lab = Lab("vae", "digits", seed=0, **sslab.recipe("vae", "digits", share=0.8))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
vae = lab.objective.cpu()
given = {"VAE": vae.reconstruct(validation),
         f"PCA, {vae.latents} numbers": generation.pca_reconstruct(digits.train.images, validation, vae.latents)}
errors = {name: error(images) for name, images in given.items()}
figures.reconstructions({"picture": pictures, **{name: images[:10] for name, images in given.items()}}, errors)

# %% [markdown]
# **Finding:** on test images the mean squared error of the VAE, given back from the mean of $q$, is
# {{ 03/board/digits/vae/squared-error | .4f }}; that of PCA with as many numbers is {{ 03/board/digits/vae/pca | .4f }}, that of the mean image
# {{ 03/board/digits/vae/mean-image | .4f }}. A plain autoencoder has {{ 03/board/digits/autoencoder/squared-error | .4f }}
# after fewer steps. {{ claim 03/vae-beats-pca }} Look at the difference: PCA leaves ghosts of other digits, and dark halos.

# %%
mine, peer = errors.values()
claim("03/vae-beats-pca", yours={"03/board/digits/vae/squared-error": mine, "03/board/digits/vae/pca": peer})

# %% [markdown]
# How tight is the bound? With $K$ draws of $z$ a picture, and the mean taken *inside* the log, it comes closer to $\log p(x)$.

# %%
for draws in (1, 5, 50):
    nats = vae.bound(digits.validation.images[:200], draws, torch.Generator().manual_seed(0))
    print(f"{draws:3} draws: -log p(x) is at most {nats:.2f} nats a picture")

# %% [markdown]
# On 500 test digits one draw gives {{ 03/board/digits/vae/bound-1 | .1f }} nats, twenty give {{ 03/board/digits/vae/bound-20 | .1f }}.
# {{ claim 03/bound-tightens }}
#
# ### What does each number say?
#
# Move the sliders. Start from a picture, or from a random code.

# %%
latents(vae, pictures)

# %% tags=["figure"]
values = (-3, -2, -1, 0, 1, 2, 3)
most = vae.nats(validation).topk(4).indices.tolist()                    # the latents that say most
figures.traversal({latent: vae.traverse(pictures[4], latent, values) for latent in most}, values)

# %% [markdown]
# **Finding:** one picture, and the four latents that say most of pictures, each moved alone. Some change slant or width, some turn
# one digit into another. Nothing in the loss asks a latent to mean one thing: rotate all $z$, and the prior looks the same.

# %% tags=["figure"]
first, last = pictures[3], pictures[4]
share = torch.linspace(0, 1, 9)[:, None, None, None]
figures.interpolation({"in z": vae.interpolate(first, last, 9), "in pixels": torch.lerp(first / 255, last / 255, share)})

# %% [markdown]
# **Finding:** halfway in pixels is two digits over each other. Halfway in $z$ is one picture, mostly of a digit. The decoder was
# trained on noisy $z$, so it has practised around the places of real pictures. Whether that is the cause we did not measure.
#
# ### The denoiser

# %%
cleaner = Lab("denoising", "digits", seed=0, **sslab.recipe("denoising", "digits", share=0.5))
cleaner

# %% tags=["pretrain"]
cleaner.start()
cleaner.join()
cleaner.status

# %% tags=["figure"]
denoiser = cleaner.objective.cpu()
noisy = denoiser.spoil(validation, torch.Generator().manual_seed(0))
cleaned = {"denoiser": denoiser.denoise(noisy),
           **{f"PCA, {k} numbers": generation.pca_reconstruct(digits.train.images, noisy, k) for k in (denoiser.latents, 32)}}
errors = {"noisy": error(noisy.clamp(0, 1)), **{name: error(images) for name, images in cleaned.items()}}
rows = {"picture": validation, "noisy": noisy, **cleaned}
figures.reconstructions({name: images[:10] for name, images in rows.items()}, errors)

# %% [markdown]
# **Finding:** from the same noisy test digits the denoiser's error is {{ 03/board/digits/denoising/squared-error | .4f }}, PCA's with
# as many numbers {{ 03/board/digits/denoising/pca | .4f }}, and with the best number of numbers
# ({{ 03/board/digits/denoising/pca-best-components | .0f }}, chosen on validation images; the figure draws `32`)
# {{ 03/board/digits/denoising/pca-best | .4f }}. {{ claim 03/denoiser-beats-pca }} The best PCA's minus the denoiser's is
# {{ 03/board/digits/denoising/pca-best - 03/board/digits/denoising/squared-error | .4f interval }}, a much smaller lead. PCA removes noise
# too: most of it lies in directions that PCA drops. But these are the same for every picture.

# %% tags=["figure"]
start = torch.cat([noisy[:3], 0.5 + 0.5 * torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(3))])
figures.denoising_steps(start, denoiser.denoise_steps(start, 12, torch.Generator().manual_seed(0)))

# %% [markdown]
# **Finding:** the denoiser used step by step: after each answer new noise is put on, a little less each time. Above from three noisy
# digits, below from noise alone. It walks from any picture to one that it takes for real, and shows what it knows about
# digits. Not every walk keeps its digit: some drift to another one, some fade away. Made for the purpose, with noise of all strengths
# and many more steps, this becomes a diffusion model.

# %% [markdown]
# ## 5. Explain: are they digits? (15 minutes)
#
# Pictures were made up in two ways: by the VAE, and by a Gaussian in PCA's space. A classifier, trained here on all labelled
# training digits, says what it sees, and how sure it is.

# %% tags=["pretrain"]
judge = generation.classifier(digits, steps=sslab.recipe("supervised", "digits", share=0.15)["steps"])
f"right on {evaluation.accuracy(judge, digits.validation):.1%} of the validation digits"

# %%
random = torch.Generator().manual_seed(0)
made = {"real digits": validation, "VAE": vae.sample(1000, random),
        "Gaussian in PCA's space": generation.pca_gaussian_samples(digits.train.images, vae.latents, 1000, random),
        "clothes": datasets.load("fashion").validation.images[:1000]}
opinions = {name: generation.confident_share(judge, images) for name, images in made.items()}

# %% tags=["figure"]
figures.generated({name: images[:48] for name, images in made.items()}, columns=8,
                  shares={name: opinion.share for name, opinion in opinions.items()})

# %% [markdown]
# **Finding:** in our records, with a classifier that was trained longer than yours, it is sure of
# {{ 03/board/digits/vae/confident | percent interval }} of 1,000 pictures by the VAE, of
# {{ 03/board/digits/vae/confident-pca | percent interval }} by PCA's Gaussian, of {{ 03/board/digits/vae/confident-real | percent }} of real
# test digits. {{ claim 03/samples-are-digits }} {{ claim 03/samples-beat-pca }} And now the last panel: it is sure which digit it
# sees in {{ 03/board/digits/vae/confident-clothes | percent }} of pictures of *clothes*, more than for PCA. The VAE minus clothes is
# {{ 03/board/digits/vae/confident - 03/board/digits/vae/confident-clothes | points interval }}, which reaches 0: this measure can
# hardly tell the VAE's digits from clothes. A classifier was never asked whether there is a digit at all; it only learned which one. Being sure is not
# being right: such a share is no proof without your eyes.

# %%
guess_sure.reveal(opinions["Gaussian in PCA's space"].share)

# %%
counts = {name: opinions[name].counts for name in ("real digits", "VAE", "Gaussian in PCA's space")}
for name, found in counts.items():
    print(f"{name:24}", "  ".join(f"{digit}: {count:3}" for digit, count in enumerate(found)))

# %% [markdown]
# Which digits are made up seldom, and which too often? And mind who judges. Another classifier gives other shares: of three that we
# tried while we wrote this, one that was trained on crops was surer of PCA's pictures than of the VAE's, and of most clothes. We
# kept one trained on pictures as they are, which was surest of real digits and among the least sure of clothes.
#
# ### What is the encoder worth?
#
# The task is solved: pictures come back, noise is removed, digits are made up. Now freeze the encoders and put a linear
# probe on them, as for every method of this course: on test images, with chance, raw pixels, the random encoder, supervised
# from scratch, and SimCLR.

# %%
budgets = (1, 5, 20, 100)
paths = {"autoencoder (ours)": "03/board/digits/autoencoder/{}", "denoising (ours)": "03/board/digits/denoising/{}",
         "SimCLR (ours)": "13/board/digits/simclr/{}", "raw pixels": "00/pixels/digits/{}",
         "random encoder": "13/board/digits/random-encoder/{}", "supervised": "00/supervised/digits/{}"}
ours = {name: {b: (record(path.format(b)).value, record(path.format(b)).interval) for b in budgets}
        for name, path in paths.items()}

# %% tags=["figure", "comparison"]
yours = evaluation.label_efficiency(vae.encoder, digits, budgets, seeds=3, penalties=(0.1,))
figures.label_efficiency({"VAE (yours)": yours, **ours}, chance=0.1)

# %% [markdown]
# **Finding:** with five labels a class the autoencoder is right on {{ 03/board/digits/autoencoder/5 | percent interval }} of the test
# digits, the denoiser on {{ 03/board/digits/denoising/5 | percent interval }}, the VAE on
# {{ 03/board/digits/vae/5 | percent interval }}. Raw pixels give {{ 00/pixels/digits/5 | percent }}, the random encoder
# {{ 13/board/digits/random-encoder/5 | percent }}, supervised training {{ 00/supervised/digits/5 | percent }}, chance one in ten. SimCLR,
# with the same encoder, gives {{ 13/board/digits/simclr/5 | percent interval }}: SimCLR minus the VAE is
# {{ 13/board/digits/simclr/5 - 03/board/digits/vae/5 | points interval }}. {{ claim 03/proxy-is-not-the-goal }} Raw pixels are the hard
# control: the autoencoder minus raw pixels is {{ 03/board/digits/autoencoder/5 - 00/pixels/digits/5 | points interval }}, the denoiser
# {{ 03/board/digits/denoising/5 - 00/pixels/digits/5 | points interval }}, the VAE
# {{ 03/board/digits/vae/5 - 00/pixels/digits/5 | points interval }}. That holds 0; the VAE is above them from 20 labels a class on:
# {{ 03/board/digits/vae/20 - 00/pixels/digits/20 | points interval }}. Do not rank our three: the VAE was trained for more steps.

# %% [markdown]
# Why? Our reading, which we did not test: to give a picture back one must keep **all that costs pixels**: where the strokes lie, how
# thick and how slanted they are. Whether it is a 4 or a 9 is decided by a few pixels, which hardly cost anything. SimCLR's views
# change place, size, tilt and brightness, so that these cannot help. Reconstruction was never told what we would ask for.
#
# It matters, too, where one looks. The probe reads the encoder's mean over all places of the picture, while the code $z$,
# {{ 03/board/digits/vae/latents | .0f }} numbers, is computed from every place by itself. With five labels a class the autoencoder's code
# gives {{ 03/board/digits/autoencoder/code | percent interval }}, which is
# {{ 03/board/digits/autoencoder/code - 03/board/digits/autoencoder/5 | points interval }} above its encoder and above raw pixels; the VAE's
# gives {{ 03/board/digits/vae/code | percent interval }}. SimCLR minus the autoencoder's code is still
# {{ 13/board/digits/simclr/5 - 03/board/digits/autoencoder/code | points interval }}.

# %%
guess_noise.reveal(verdict("03/board/digits/denoising/5", "03/board/digits/autoencoder/5",
                           "the one with noise", "neither: three seeds cannot tell them apart", "the one without noise: it saw what we test on"))

# %% tags=["figure", "comparison"]
def setting(name, what):
    """One record with its interval, as the figures take it."""
    return record(f"{name}/{what}").value, record(f"{name}/{what}").interval

lines = {"raw pixels": record("07/untrained/raw-pixels").value,
         "random encoder": record("07/untrained/random-encoder").value, "chance": 0.1}
hows = ("gaussian-0", "gaussian-0.5", "gaussian-1", "masking-0.5", "target-noisy")
figures.ablation({how: {"error, cleaning gaussian 0.5": setting(f"03/noise/{how}", "denoised"),
                        "error, clean pictures": setting(f"03/noise/{how}", "clean"),
                        "validation accuracy": setting(f"03/noise/{how}", "probe")} for how in hows},
                 {"validation accuracy": lines})

# %% [markdown]
# **Finding:** short runs, three seeds, each with another noise; probes with 5 labels a class on *validation* images. Trained without
# noise the encoder gives {{ 03/noise/gaussian-0/probe | percent interval }}, at level `0.5`
# {{ 03/noise/gaussian-0.5/probe | percent interval }}, at level `1` {{ 03/noise/gaussian-1/probe | percent interval }}, with masking
# {{ 03/noise/masking-0.5/probe | percent interval }}; all are below raw pixels ({{ 07/untrained/raw-pixels | percent }}). The random encoder
# and chance are drawn, supervised stands in the figure above. In longer runs, on test images, the denoiser minus the autoencoder is
# {{ 03/board/digits/denoising/5 - 03/board/digits/autoencoder/5 | points interval }}. That the noise helps the probe, or harms it, we could
# not show (your prediction goes by that interval). What it does change is the task: whoever learned to undo masking fails at Gaussian
# noise, with an error of {{ 03/noise/masking-0.5/denoised | .3f }} where the mean image has {{ 03/noise/masking-0.5/mean-image | .3f }}; and the more Gaussian
# noise there was, the worse clean pictures come back.

# %% [markdown]
# ## 6. Break it (14 minutes)
#
# Three switches. You can do the same in the lab above: press Start again, which begins a new run, and turn them while it trains.
# First: `beta` 20. Second, in the cell after that: `sampling` off, so that $z$ is the mean and the decoder never meets noise.

# %% tags=["pretrain"]
quick = sslab.recipe("vae", "digits", share=0.1)
heavy = Lab("vae", "digits", seed=0, **quick)
heavy.set(beta=20.0)
heavy.start()
heavy.join()
heavy.status

# %% tags=["pretrain"]
still = Lab("vae", "digits", seed=0, **quick)
still.set(sampling=False)
still.start()
still.join()
still.status

# %% tags=["figure"]
broken = {"VAE": vae, "beta 20": heavy.objective.cpu(), "no sampling": still.objective.cpu()}
rows = {f"{name}, back": one.reconstruct(pictures) for name, one in broken.items()}
rows |= {f"{name}, made up": one.sample(10, torch.Generator().manual_seed(0)) for name, one in broken.items()}
figures.reconstructions({"picture": pictures, **rows})

# %% [markdown]
# **Finding:** at `beta` `20` every picture comes back as the same blur, and all made-up pictures are the same blur, too. The two need not be
# alike: what comes back is decoded from the mean, near 0, and what is made up from draws, as in training. Without sampling pictures
# come back. Its made-up ones: better or worse than the VAE's? (Your VAE was trained longer; the records below are of equal runs.)

# %%
guess_beta.reveal("the same grey blur as for every other picture")

# %% tags=["figure"]
figures.latents_in_use({name: one.nats(validation) for name, one in broken.items()})

# %% [markdown]
# **Finding:** what each latent says, in nats. At `beta` `20` a nat of $z$ costs twenty and saves less than that in pixels, so the encoder
# says next to nothing: nearly mean 0 and variance 1 for every picture (**posterior collapse**). In our short runs $z$ says
# {{ 03/vae/beta-20/kl | .2f }} nats then, and {{ 03/vae/vae/kl | .0f }} with the `beta` that we started from. A latent is often called in
# use if its mean varies by more than `0.01` (variance); by that count {{ 03/vae/beta-20/active-units | .0f }} still are, from none to
# half of them by seed, so do not trust the count alone. Minus the ELBO is {{ 03/vae/beta-20/elbo | .0f }} nats, the level of the mean
# image {{ 03/vae/beta-20/mean-image-nats | .0f }}. {{ claim 03/large-beta-collapses }} As in other collapses nothing crashes, and the loss
# comes down: look for the level it stops at. The lab's spread and rank see nothing: they bring every mean to length 1 first, however near 0
# it is. So for a VAE its status goes by the nats, and warns below those of a single yes or no. Without sampling the nats are low as well, and yet pictures come back: see below.

# %%
nats = {how: float(one.nats(validation).sum()) for how, one in (("beta-20", broken["beta 20"]), ("vae", vae))}
claim("03/large-beta-collapses", yours={f"03/vae/{how}/kl": value for how, value in nats.items()})

# %% tags=["figure"]
hows = ("vae", "no-sampling", "beta-20")
figures.ablation({how: {"squared error": setting(f"03/vae/{how}", "squared-error"),
                        "minus ELBO, nats": setting(f"03/vae/{how}", "elbo"),
                        "sure of samples": setting(f"03/vae/{how}", "confident"),
                        "digits among them": setting(f"03/vae/{how}", "classes")} for how in hows},
                 {"squared error": {"mean image": record("03/vae/vae/mean-image").value},
                  "minus ELBO, nats": {"mean image": record("03/vae/vae/mean-image-nats").value}})

# %% [markdown]
# **Finding:** at `beta` `20` the classifier is sure of all samples: they are one and the same. And the prior has two more enemies. At
# `beta` `0` (not drawn, as it would need a scale of its own) nothing keeps $z$ near it: $z$ says hundreds of nats in two of our runs and
# tens of thousands in the third, in place of {{ 03/vae/vae/kl | .0f }}. Whether pictures come back better for it, such runs cannot tell
# (error minus the VAE's: {{ 03/vae/beta-0/squared-error - 03/vae/vae/squared-error | .3f interval }}). Draws from the prior are of no use:
# the classifier is sure of all of them in one run and of hardly any in another, and the number of different digits among those it is sure of
# is {{ 03/vae/beta-0/classes | .0f }} in each. Without sampling the KL can be made small by making all means small, which costs nothing if no
# noise drowns them: {{ 03/vae/no-sampling/kl | .1f }} nats is then a lie, and the ELBO, measured with draws, tells:
# {{ 03/vae/no-sampling/elbo | .0f }} nats against {{ 03/vae/vae/elbo | .0f }}. {{ claim 03/no-sampling-breaks-the-bound }} The samples do not tell:
# the classifier is sure of {{ 03/vae/no-sampling/confident | percent interval }} of them (VAE: {{ 03/vae/vae/confident | percent interval }}),
# all ten digits are there, and pictures come back with a slightly smaller error than the VAE's. Sampling is what makes the KL mean something.

# %% [markdown]
# ### Noise in the target
#
# Third: the denoiser gets its noise in the target, too.

# %% tags=["pretrain"]
fooled = Lab("denoising", "digits", seed=0, **sslab.recipe("denoising", "digits", share=0.1))
fooled.set(target_noisy=True)
fooled.start()
fooled.join()
fooled.status

# %% tags=["figure"]
both = {"denoiser": cleaned["denoiser"], "noise in the target": fooled.objective.cpu().denoise(noisy)}
figures.reconstructions({"picture": pictures, "noisy": noisy[:10], **{name: images[:10] for name, images in both.items()}},
                        {name: error(images) for name, images in both.items()})

# %% [markdown]
# **Finding:** the noise itself does not come back: it is new each time, and far too much for the bottleneck. What comes back is its
# mean. The target was cut to what a picture can be, so that noise in a black area only makes it brighter. In runs of equal length (yours
# are not: the denoiser in the figure had five times as many steps) the background is at
# {{ 03/noise/target-noisy/background | .2f }} where {{ 03/noise/gaussian-0.5/background | .2f }} comes from the right target, and the error
# is {{ 03/noise/target-noisy/denoised | .4f }} in place of {{ 03/noise/gaussian-0.5/denoised | .4f }}.
# {{ claim 03/noise-in-the-target-costs }} A model learns what its target says, faults included.

# %%
claim("03/noise-in-the-target-costs", yours={"03/noise/target-noisy/denoised": error(both["noise in the target"])})

# %%
claim("03/below-the-mean-image")

# %% [markdown]
# ## 7. Exercises (35 minutes)
#
# ### Exercise 1: what goes in, and what should come out
#
# *Difficulty 1/5 · importance 5/5 · 4 minutes*
#
# Return the input and the target of a denoiser. The noise is drawn already; nothing is cut to [0, 1]. Whoever called you still
# needs the pictures.

# %% tags=["exercise"] name="make_denoising_pair"
def my_make_denoising_pair(images, noise):
    """[B, C, H, W], [B, C, H, W] -> (noisy, clean)"""
    ### BEGIN SOLUTION
    return images + noise, images
    ### END SOLUTION

# %% tags=["check"] name="make_denoising_pair"
check.make_denoising_pair(my_make_denoising_pair)

# %% [markdown]
# ### Exercise 2: the linear peer
#
# *Difficulty 3/5 · importance 3/5 · 10 minutes*
#
# PCA as an autoencoder. Find the `k` directions along which the training data vary most; squeeze `images` into `k` numbers and put
# them back. Which mean is subtracted, and which is added?

# %% tags=["exercise"] name="pca_reconstruct"
def my_pca_reconstruct(train, images, k):
    """[N, D], [M, D] -> [M, D]"""
    ### BEGIN SOLUTION
    # stub: mean = ...
    # stub: directions = ...                                 # [D, k]: torch.linalg.svd or torch.linalg.eigh
    # stub: z = ...                                          # [M, k]
    # stub: return ...
    mean = train.mean(dim=0)
    directions = torch.linalg.svd(train - mean, full_matrices=False).Vh[:k].T
    z = (images - mean) @ directions
    return z @ directions.T + mean
    ### END SOLUTION

# %% tags=["check"] name="pca_reconstruct"
check.pca_reconstruct(my_pca_reconstruct)

# %% [markdown]
# ### Exercise 3: the KL divergence
#
# *Difficulty 2/5 · importance 5/5 · 7 minutes*
#
# Of $\mathcal N(\mu, \sigma^2)$ from $\mathcal N(0, 1)$, one number a picture. The network gives $\log \sigma^2$, so that it may be
# any number. Test yours in your head first: what must it give for mean 0 and log variance 0?

# %% tags=["exercise"] name="kl_divergence" points=2
def my_kl_divergence(mean, log_variance):
    """[B, L], [B, L] -> [B]"""
    ### BEGIN SOLUTION
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
    ### END SOLUTION

# %% tags=["check"] name="kl_divergence" points=2
check.kl_divergence(my_kl_divergence)

# %% [markdown]
# ### Exercise 4: a draw that lets the gradient through
#
# *Difficulty 2/5 · importance 4/5 · 5 minutes*
#
# Turn the standard normal `noise` that you are given into a draw from $\mathcal N(\mu, \sigma^2)$. As before, you get $\log \sigma^2$.

# %% tags=["exercise"] name="reparametrise"
def my_reparametrise(mean, log_variance, noise):
    """[B, L] three times -> [B, L]"""
    ### BEGIN SOLUTION
    return mean + (0.5 * log_variance).exp() * noise
    ### END SOLUTION

# %% tags=["check"] name="reparametrise"
check.reparametrise(my_reparametrise)

# %% [markdown]
# ### Exercise 5: the loss of a VAE
#
# *Difficulty 3/5 · importance 5/5 · 9 minutes*
#
# *Minus* the ELBO, to be made small: the Bernoulli cross-entropy of each picture, summed over its pixels
# (`F.binary_cross_entropy_with_logits`), and `beta` times its KL divergence; then the mean over the batch. Use
# `objectives.kl_divergence(mean, log_variance)`. Mind what torch averages over if it is not told otherwise.

# %% tags=["exercise"] name="elbo"
def my_elbo(logits, target, mean, log_variance, beta):
    """[B, C, H, W] twice, [B, L] twice -> scalar"""
    F = torch.nn.functional
    ### BEGIN SOLUTION
    # stub: surprise = ...                                   # [B], summed over the pixels
    # stub: return ...
    surprise = F.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).sum(dim=1)
    return (surprise + beta * objectives.kl_divergence(mean, log_variance)).mean()
    ### END SOLUTION

# %% tags=["check"] name="elbo" points=3
check.elbo(my_elbo)

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - A bottleneck forces a choice: what costs most pixels is kept. PCA is the best linear choice; compare with it, also at its best size.
# - Noise in the input makes copying a bad answer. The target stays clean.
# - A VAE pays for each nat that $z$ says. Too dear, and it says nothing; free, and there is nothing to draw from.
# - Noise on $z$ gives the KL its meaning. Without it the KL is small and says nothing.
# - A classifier that is sure has not said that there is a digit. Look.
# - Solving the proxy well is not the goal. Ask the probe, beside raw pixels.
#
# ## Papers
#
# - Hinton and Salakhutdinov 2006: *Reducing the dimensionality of data with neural networks*, Science 313, 504-507
# - Vincent, Larochelle, Bengio, Manzagol 2008: *Extracting and composing robust features with denoising autoencoders*, ICML
# - Bengio, Yao, Alain, Vincent 2013: *Generalized denoising auto-encoders as generative models*, arXiv:1305.6663
# - Kingma and Welling 2013: *Auto-encoding variational Bayes*, arXiv:1312.6114
# - Rezende, Mohamed, Wierstra 2014: *Stochastic backpropagation and approximate inference in deep generative models*,
#   arXiv:1401.4082
# - Burda, Grosse, Salakhutdinov 2015: *Importance weighted autoencoders*, arXiv:1509.00519
# - Higgins et al. 2017: *beta-VAE: learning basic visual concepts with a constrained variational framework*, ICLR
# - Ho, Jain, Abbeel 2020: *Denoising diffusion probabilistic models*, arXiv:2006.11239
