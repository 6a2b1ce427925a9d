# %% [markdown]
# # 11 · Decorrelation: VICReg, Barlow Twins, LeJEPA
#
# SimCLR keeps pictures apart by comparing each picture with all others. The three methods of this notebook never
# compare one picture with another. They look at the **features**, the columns of $z$: each one must vary over the batch,
# and no two of them may say the same. Here you take these demands away one by one, and learn to tell the two ways in
# which $z$ dies without them: into one point, or into a few directions.
#
# ## What you will be able to do
#
# - write the variance and covariance terms of VICReg, and the matrix and loss of Barlow Twins;
# - say which term guards against which collapse, and check it on a run;
# - read a cross-correlation matrix and a spectrum;
# - say why an effective rank alone can call a dead cloud healthy.
#
# ## Time
#
# 95 minutes of yours. The machine needs {{ 11/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import torch

import sslab
from sslab import datasets, encoders, evaluation, figures, objectives
from sslab.course import claim, record
from sslab.lab import Lab, check, predict, show_source
from sslab.views import Augment

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# VICReg has three terms. **Invariance**: two views of a picture lie close together. **Variance**: each of the 128 features
# has a std of at least 1 over the batch. **Covariance**: different features do not vary together. The **effective rank**, as in
# lesson 00, says how many of the 128 directions a cloud of projections fills.

# %%
guess_variance = predict("11/variance", "You set the weight of the variance term to 0. What becomes of the projections?",
                         ["they stay spread", "they shrink to one point", "they fill one or two directions"])
guess_variance

# %%
guess_covariance = predict("11/covariance", "You keep the variance term and set the covariance term to 0. The 128 "
                           "projected features then fill about how many directions?",
                           ["all 128", "about a third of them", "one or two"])
guess_covariance

# %%
guess_rank = predict("11/rank", "The projections have shrunk to one point, but for tiny remnants. What is their effective rank?",
                     ["0 or 1: it is a point", "the same as before", "larger than before"])
guess_rank

# %% [markdown]
# ## 2. See the data and the task (6 minutes)

# %%
digits = datasets.load("digits")
digits.card

# %% tags=["figure"]
figures.views(digits.train.images[:4], Augment.named("digits"))

# %% [markdown]
# **Finding:** two views of a digit differ in place, size, slant and contrast, and a piece may be missing. The task is to give both the same features.
# That alone is easy: give all pictures the same features. So a second demand must make this answer expensive.

# %%
def matrix(objective, pictures=512):
    """Correlation of each feature of one view with each of the other, on validation images: [D, D]."""
    views = objective.cpu().make_views(digits.validation.images[:pictures], torch.Generator().manual_seed(0))
    with torch.no_grad(), evaluation.evaluating(objective):
        z1, z2 = objective.project(objective.encoder(torch.cat(views[:2]))).chunk(2)
    return objectives.cross_correlation(z1, z2)

# %% tags=["figure"]
torch.manual_seed(0)
untrained = objectives.create("vicreg", encoders.create("conv", digits), views=Augment.named("digits"))
evaluation.calibrate(torch.nn.Sequential(untrained.encoder, untrained.projector), digits.train.images)
figures.correlations({"before training": matrix(untrained), "the goal": torch.eye(128)})

# %% [markdown]
# **Finding:** row $i$, column $j$ is the correlation of feature $i$ in view 1 with feature $j$ in view 2. On the diagonal is
# what a feature keeps when the view changes: little, so far. Off the diagonal is what two features share. The goal is a
# diagonal of ones and zeros elsewhere: each feature survives the change of view, and each says something of its own.

# %% [markdown]
# ## 3. Read the objectives (15 minutes)
#
# **VICReg**, with $z, z'$ the projections $[B, D]$ of the two views and weights 25, 25, 1:
#
# $$\ell = \lambda \underbrace{\overline{(z - z')^2}}_{\text{invariance}} + \mu\, \tfrac12 \sum_{z, z'} \underbrace{\frac1D \sum_j
# \max(0, 1 - \sqrt{\mathrm{var}(z_{\cdot j}) + 10^{-4}})}_{\text{variance}} + \nu \sum_{z, z'}
# \underbrace{\frac1D \sum_{i \neq j} \mathrm{cov}(z)_{ij}^2}_{\text{covariance}}$$
#
# If $z$ is constant the first and the third term are 0 and the second is $1 - \sqrt{10^{-4}}$: the loss is 24.75. That line
# is drawn in the lab as *collapsed*.

# %%
show_source(objectives.vicreg)

# %%
show_source(objectives.VICReg)

# %% [markdown]
# **Barlow Twins** says the same with one matrix. $C_{ij}$ is the correlation of feature $i$ of view 1 with feature $j$ of view 2:
#
# $$\ell = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \neq j} C_{ij}^2$$
#
# The first sum is the invariance. The second is the redundancy; the paper's $\lambda = 0.005$ goes with 8,192 features, which
# have far more pairs than our 128: we take 0.02. A variance term is not there: to compute a correlation,
# each feature is divided by its std. A constant feature would be divided by 0 (in practice by a small number), its row of $C$
# would be 0, and it would cost 1. With all features constant the loss is $D = 128$.

# %%
show_source(objectives.BarlowTwins)

# %% [markdown]
# **LeJEPA** replaces variance and covariance by one demand: the cloud of projections shall be a **standard Gaussian**. To
# test that in 128 dimensions, look at the cloud along random lines (*slices*). Along each line a standard Gaussian is a bell
# curve with std 1. SIGReg compares the characteristic function, $\frac1N \sum_n e^{i t z_n}$, with the bell's own, $e^{-t^2/2}$:
#
# $$\ell = (1 - \lambda) \overline{(z_v - \bar z)^2} + \lambda\, \mathrm{SIGReg}(z_v),\qquad \bar z = \text{mean over the views } v$$

# %%
show_source(objectives.sigreg)

# %% [markdown]
# Which guard notices what? Five clouds, made by hand, and three guards. Larger means: it protests.

# %%
normal = torch.randn(512, 128, generator=torch.Generator().manual_seed(0))
cube = (torch.rand(512, 128, generator=torch.Generator().manual_seed(1)) - 0.5) * 12 ** 0.5          # std 1 as well
clouds = {"one point": torch.zeros(512, 128), "128 copies of one feature": normal[:, :1].repeat(1, 128),
          "normal, 10 times too small": 0.1 * normal, "uniform in a cube": cube, "normal": normal}
print(f"{'':28}{'variance':>9}{'covariance':>12}{'SIGReg':>8}")
for name, z in clouds.items():
    gaussian = objectives.sigreg(z, generator=torch.Generator().manual_seed(2))
    print(f"{name:28}{objectives.variance_hinge(z):9.2f}{objectives.covariance_penalty(z):12.2f}{gaussian:8.1f}")

# %% [markdown]
# Read it by columns. The **variance** term sees the point and the small cloud, and is content with 128 copies of one feature.
# The **covariance** term sees the copies, and is *most content with the point*: what does not vary cannot vary together.
# VICReg needs both. **SIGReg** protests against all three faults. The last two rows are a surprise: it cannot tell a cube from
# a Gaussian. Along a random line you see a mix of all 128 features, and a sum of many independent numbers looks normal whatever
# each of them looks like (the central limit theorem). In many dimensions "be Gaussian" mostly means: std 1 in every
# direction, no direction twice, and all pictures about as far from the middle. The first two are variance and covariance
# again, in one number.

# %% [markdown]
# ## 4. Run it live (7 minutes)
#
# Run the cell below the lab, or press Start in the lab and skip that cell. Watch the three curves of the loss: at first the variance term is large, since the
# cloud is small. Watch the singular values while it falls.
# This run takes most of the recipe's steps, to end within two minutes.

# %%
lab = Lab("vicreg", "digits", seed=0, **sslab.recipe("vicreg", "digits", share=0.85))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
figures.correlations({"before training": matrix(untrained), "after": matrix(lab.objective)})

# %% [markdown]
# **Finding:** after training the diagonal stands out: features survive the change of view. The rest is not zero; it has more
# colour than before training, when little survived the views at all. The loss is a bargain between its terms, and section 5
# strikes other ones. No batch can ask for all zeros: 64 pictures span at most 63 directions.

# %% [markdown]
# ## 5. Explain: what is it worth? (12 minutes)
#
# First the whole, on test images, with its controls: chance, raw pixels, the random encoder, supervised from scratch. Yours is
# one run with three draws of labels; the bands of ours are 95 % intervals over 3 runs.

# %%
budgets = (1, 5, 20, 100)
paths = {"VICReg (ours)": "13/board/digits/vicreg/{}", "Barlow Twins (ours)": "13/board/digits/barlow_twins/{}",
         "LeJEPA (ours)": "13/board/digits/lejepa/{}",
         "raw pixels": "00/pixels/digits/{}", "random encoder": "13/board/digits/random-encoder/{}",
         "supervised": "00/supervised/digits/{}"}
ours = {name: {b: (record(path.format(b)).value, record(path.format(b)).interval) for b in budgets}
        for name, path in paths.items()}

# %% tags=["figure", "comparison"]
yours = evaluation.label_efficiency(lab.objective.encoder, digits, budgets, seeds=3, penalties=(0.1,))
figures.label_efficiency({"VICReg (yours)": yours, **ours}, chance=0.1)

# %% [markdown]
# **Finding:** with five labels a class VICReg is right on {{ 13/board/digits/vicreg/5 | percent interval }} of the test digits,
# Barlow Twins on {{ 13/board/digits/barlow_twins/5 | percent interval }}, LeJEPA on
# {{ 13/board/digits/lejepa/5 | percent interval }}.
# Raw pixels give {{ 00/pixels/digits/5 | percent }}, the random encoder {{ 13/board/digits/random-encoder/5 | percent }},
# supervised training from scratch {{ 00/supervised/digits/5 | percent }}, chance one in ten. The differences to
# SimCLR, with its negatives, are {{ 13/board/digits/vicreg/5 - 13/board/digits/simclr/5 | points interval }} for VICReg,
# {{ 13/board/digits/barlow_twins/5 - 13/board/digits/simclr/5 | points interval }} for Barlow Twins and
# {{ 13/board/digits/lejepa/5 - 13/board/digits/simclr/5 | points interval }} for LeJEPA, of which the last holds zero. With a hundred
# labels a class VICReg minus supervised holds zero, too: {{ 13/board/digits/vicreg/100 - 00/supervised/digits/100 | points interval }}.

# %% tags=["figure", "comparison"]
methods = {"VICReg": "vicreg", "Barlow Twins": "barlow_twins", "LeJEPA": "lejepa", "SimCLR": "simclr"}
rows = {name: (record(f"13/board/fashion/{key}/5").value, record(f"13/board/fashion/{key}/5").interval)
        for name, key in methods.items()}
lines = {"raw pixels": record("00/pixels/fashion/5").value, "supervised": record("00/supervised/fashion/5").value,
         "random encoder": record("13/board/fashion/random-encoder/5").value, "chance": 0.1}
figures.settings({"fashion": rows}, lines, "test accuracy, 5 labels a class")

# %% [markdown]
# **Finding:** on clothes, with the same settings, VICReg minus raw pixels is
# {{ 13/board/fashion/vicreg/5 - 00/pixels/fashion/5 | points interval }}, Barlow Twins minus raw pixels
# {{ 13/board/fashion/barlow_twins/5 - 00/pixels/fashion/5 | points interval }}, LeJEPA minus raw pixels
# {{ 13/board/fashion/lejepa/5 - 00/pixels/fashion/5 | points interval }}. Supervised training and raw pixels nearly coincide; the random
# encoder and chance are far below. The differences to SimCLR are {{ 13/board/fashion/vicreg/5 - 13/board/fashion/simclr/5 | points interval }},
# {{ 13/board/fashion/barlow_twins/5 - 13/board/fashion/simclr/5 | points interval }} and
# {{ 13/board/fashion/lejepa/5 - 13/board/fashion/simclr/5 | points interval }}: only Barlow Twins' interval is clear of zero. With a
# hundred labels a class (not drawn) VICReg minus raw pixels holds zero, {{ 13/board/fashion/vicreg/100 - 00/pixels/fashion/100 | points interval }},
# and VICReg minus supervised is {{ 13/board/fashion/vicreg/100 - 00/supervised/fashion/100 | points interval }}.

# %% [markdown]
# ### How much decorrelation?
#
# Short runs on digits, three seeds each, probed with 5 labels a class on *validation* images.

# %%
def setting(name, what):
    """One record with its interval, as the figures take it."""
    return record(f"{name}/{what}").value, record(f"{name}/{what}").interval

lines = {"raw pixels": record("07/untrained/raw-pixels").value,
         "random encoder": record("07/untrained/random-encoder").value, "chance": 0.1}

# %% tags=["figure", "comparison"]
rows = {f"covariance {weight:g}": {"effective rank of z": setting(f"11/covariance/{weight}", "effective-rank"),
                                   "validation accuracy": setting(f"11/covariance/{weight}", "probe")}
        for weight in (0.0, 1.0, 4.0, 10.0)}
figures.ablation(rows, {"validation accuracy": lines})

# %% [markdown]
# **Finding:** at weights `0`, `1`, `4` and `10` the projections fill {{ 11/covariance/0.0/effective-rank | .0f }},
# {{ 11/covariance/1.0/effective-rank | .0f }}, {{ 11/covariance/4.0/effective-rank | .0f }} and
# {{ 11/covariance/10.0/effective-rank | .0f }} directions, and the probe gives {{ 11/covariance/0.0/probe | percent interval }},
# {{ 11/covariance/1.0/probe | percent interval }}, {{ 11/covariance/4.0/probe | percent interval }} and
# {{ 11/covariance/10.0/probe | percent interval }}. Raw pixels, the random encoder and chance are drawn; supervised training
# stands in the first figure. {{ claim 11/rank-is-not-a-score }} From `1` to `10` the probe moves by
# {{ 11/covariance/10.0/probe - 11/covariance/1.0/probe | points interval }} and kNN, not drawn, by
# {{ 11/covariance/10.0/knn - 11/covariance/1.0/knn | points interval }}: little, clear of zero, and in opposite directions. A rank
# that is too low tells you that something is lost. A high one does not tell you that what fills the directions is worth anything.

# %% tags=["figure", "comparison"]
rows = {weight: setting(f"11/gaussian/{weight}", "probe") for weight in (0.01, 0.05, 0.3)}
rows = {0: setting("11/removed/lejepa-no-gaussian", "probe"), **rows}
figures.settings({"LeJEPA": rows}, lines, "validation accuracy, 5 labels a class", "weight of the Gaussian's term")

# %% [markdown]
# **Finding:** LeJEPA has one weight between its two demands. The probe gives
# {{ 11/removed/lejepa-no-gaussian/probe | percent interval }} at `0`, {{ 11/gaussian/0.01/probe | percent interval }} at `0.01`,
# {{ 11/gaussian/0.05/probe | percent interval }} at `0.05` and {{ 11/gaussian/0.3/probe | percent interval }} at `0.3`; raw pixels,
# random encoder and chance are drawn, supervised is above. {{ claim 11/gaussian-has-a-price }} A guard is needed, and
# too much of it is paid for by the task.

# %% [markdown]
# ## 6. Break it (12 minutes)
#
# Without the variance term, then without the covariance term. You can do the same by hand in the lab above: move **variance** to
# 0 while it trains, see what happens, and move it back. The gauge *std* below is not the std of the variance term: $z$ is
# normalised first, so that 1 is spread over the sphere and 0 is one point, whatever the scale of $z$.

# %% tags=["pretrain"]
point = Lab("vicreg", "digits", seed=0, **sslab.recipe("vicreg", "digits", share=0.15))
point.set(variance=0.0)
point.start()
point.join()
point.status

# %% tags=["pretrain"]
line = Lab("vicreg", "digits", seed=0, **sslab.recipe("vicreg", "digits", share=0.15))
line.set(covariance=0.0)
line.start()
line.join()
line.status

# %%
def projected(objective):
    """The projections of 1,000 validation digits, as the gauges see them."""
    with torch.no_grad(), evaluation.evaluating(objective.cpu()):
        return objective.project(objective.encoder(digits.validation.images[:1000]))

clouds = {"VICReg": projected(lab.objective), "no covariance": projected(line.objective),
          "no variance": projected(point.objective)}
for name, z in clouds.items():
    print(f"{name:14} std {evaluation.feature_std(z):.2f}   {evaluation.diagnose(z)}")

# %%
guess_variance.reveal("they shrink to one point")

# %% tags=["figure"]
figures.spectrum(clouds)

# %% [markdown]
# **Finding:** (the two broken runs are shorter.) Without covariance the curve drops at once: one or two directions hold
# nearly everything. VICReg keeps some directions nearly alike and then drops. Without variance the curve never drops, and its effective
# rank is the *largest*. In our records it is {{ 11/removed/vicreg-no-variance/effective-rank | .0f }} against
# {{ 11/removed/vicreg/effective-rank | .0f }} for the whole method; a projector that learned nothing has
# {{ 10/untrained/effective-rank | .0f }}. Yet the std says that there is hardly anything there:
# {{ 11/removed/vicreg-no-variance/std | .2f }}, where 1 is spread over the sphere. A spectrum is drawn against its own largest value.
# Once what was common is gone, only tiny remnants are left, and they lie in most directions. {{ claim 11/rank-misses-collapse }} So look at the
# std first, and at the rank second.

# %%
guess_rank.reveal("larger than before")

# %%
claim("11/no-variance-collapses", yours={"11/removed/vicreg-no-variance/std": float(evaluation.feature_std(clouds["no variance"])),
                                         "11/removed/vicreg/std": float(evaluation.feature_std(clouds["VICReg"]))})

# %%
guess_covariance.reveal("one or two")

# %%
rank = {name: float(evaluation.effective_rank(z)) for name, z in clouds.items()}
claim("11/no-covariance-loses-rank", yours={"11/removed/vicreg-no-covariance/effective-rank": rank["no covariance"],
                                            "11/removed/vicreg/effective-rank": rank["VICReg"]})

# %% tags=["figure"]
figures.correlations({"VICReg": matrix(lab.objective), "no covariance": matrix(line.objective),
                      "no variance": matrix(point.objective)})

# %% [markdown]
# **Finding:** without covariance all features are copies, up to sign, of one or two: the whole matrix is coloured. Each of
# them survives the change of view very well, so that invariance is not the problem. In the third matrix each feature was
# divided by its own tiny std, and hardly any colour is left: the two views' remnants have little to do with each other.
#
# Now all three methods, whole and with a term removed: short runs, three seeds.

# %% tags=["figure", "comparison"]
variants = ("vicreg", "vicreg-no-variance", "vicreg-no-covariance", "vicreg-invariance-only", "barlow",
            "barlow-no-decorrelation", "lejepa", "lejepa-no-gaussian")
what = {"std of z": "std", "effective rank of z": "effective-rank", "effective rank of h": "effective-rank-h",
        "validation accuracy": "probe"}
rows = {name: {label: setting(f"11/removed/{name}", key) for label, key in what.items()} for name in variants}
figures.ablation(rows, {"validation accuracy": lines})

# %% [markdown]
# **Finding:** what removes the last guard of the variance ends in one point, whatever the method: std
# {{ 11/removed/vicreg-no-variance/std | .2f }}, {{ 11/removed/vicreg-invariance-only/std | .2f }} and
# {{ 11/removed/lejepa-no-gaussian/std | .2f }}, and a probe of {{ 11/removed/vicreg-no-variance/probe | percent }},
# {{ 11/removed/vicreg-invariance-only/probe | percent }} and {{ 11/removed/lejepa-no-gaussian/probe | percent }}. The random encoder
# gives {{ 07/untrained/random-encoder | percent }}, raw pixels {{ 07/untrained/raw-pixels | percent }}; chance is one in ten, supervised
# stands in section 5. What removes the decorrelation alone ends in a few directions: effective rank
# {{ 11/removed/vicreg-no-covariance/effective-rank | .0f }} for VICReg and
# {{ 11/removed/barlow-no-decorrelation/effective-rank | .0f }} for Barlow Twins, which divides by the std and gains nothing by
# shrinking. Their probes, {{ 11/removed/vicreg-no-covariance/probe | percent interval }} and
# {{ 11/removed/barlow-no-decorrelation/probe | percent interval }}, are lower than those of the whole methods,
# {{ 11/removed/vicreg/probe | percent interval }} and {{ 11/removed/barlow/probe | percent interval }}, and lower than raw pixels, by
# {{ 07/untrained/raw-pixels - 11/removed/vicreg-no-covariance/probe | points interval }} and
# {{ 07/untrained/raw-pixels - 11/removed/barlow-no-decorrelation/probe | points interval }}.

# %% [markdown]
# Two depths of damage, then. {{ claim 11/point-is-worse-than-nothing }} As a
# mean over the seeds the first difference is {{ 11/removed/vicreg-no-variance/probe - 07/untrained/random-encoder | points interval }}, which holds
# zero. Nearest neighbours (kNN among 5,000 training images) are right for {{ 11/removed/vicreg/knn | percent }} of the digits with
# the whole method, for {{ 11/removed/vicreg-no-covariance/knn | percent }} without covariance and for
# {{ 11/removed/vicreg-no-variance/knn | percent }} without variance; raw pixels give {{ 10/untrained/knn/raw-pixels | percent }}, the random
# encoder {{ 10/untrained/knn/random-encoder | percent }}. How can the encoder keep anything when its projections have lost nearly all
# directions? The loss looks at $z$ only, and the projector that made $z$ is thrown away. {{ claim 11/encoder-keeps-more }} That
# is the third panel of the figure, and the reason why collapse is looked for in $z$ while the worth of an encoder is measured
# on $h$. It is not unharmed: $h$ fills {{ 11/removed/vicreg-no-covariance/effective-rank-h | .0f }} directions without covariance,
# {{ 11/removed/vicreg/effective-rank-h | .0f }} with it.

# %%
claim("11/no-covariance-costs")

# %%
claim("11/barlow-loses-rank")

# %% [markdown]
# ## 7. Exercises (35 minutes)
#
# ### Exercise 1: the variance term
#
# *Difficulty 2/5 · importance 5/5 · 8 minutes*
#
# Of each feature take the std over the batch, $\sqrt{\mathrm{var} + 10^{-4}}$ with the unbiased variance. Return the mean over
# the features of what is missing to 1. A feature that varies more than that costs nothing.

# %% tags=["exercise"] name="vicreg_variance"
def my_vicreg_variance(z):
    """[B, D] -> scalar"""
    ### BEGIN SOLUTION
    std = (z.var(dim=0) + 1e-4).sqrt()
    return torch.relu(1 - std).mean()
    ### END SOLUTION

# %% tags=["check"] name="vicreg_variance"
check.vicreg_variance(my_vicreg_variance)

# %% [markdown]
# ### Exercise 2: the covariance term
#
# *Difficulty 3/5 · importance 5/5 · 10 minutes*
#
# Centre $z$, make the covariance matrix $[D, D]$ (unbiased), and return the sum of the squares of all entries off the
# diagonal, divided by $D$. Think first: what would be driven to 0 if you forgot to leave out the diagonal?

# %% tags=["exercise"] name="vicreg_covariance"
def my_vicreg_covariance(z):
    """[B, D] -> scalar"""
    ### BEGIN SOLUTION
    # stub: centred = ...
    # stub: covariance = ...                                 # [D, D], divided by B - 1
    # stub: return ...                                       # squares off the diagonal, over D
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]
    ### END SOLUTION

# %% tags=["check"] name="vicreg_covariance"
check.vicreg_covariance(my_vicreg_covariance)

# %% [markdown]
# ### Exercise 3: the matrix of Barlow Twins
#
# *Difficulty 2/5 · importance 4/5 · 9 minutes*
#
# Entry $(i, j)$ is the correlation over the batch of feature $i$ of `z1` with feature $j$ of `z2`. A correlation does not change
# when you add 100 to a feature or multiply it by 10.

# %% tags=["exercise"] name="cross_correlation"
def my_cross_correlation(z1, z2):
    """[B, D], [B, D] -> [D, D]"""
    ### BEGIN SOLUTION
    # stub: a, b = ...                                       # each feature: mean 0, std 1 over the batch
    # stub: return ...
    a, b = ((z - z.mean(dim=0)) / z.std(dim=0, unbiased=False) for z in (z1, z2))
    return a.T @ b / len(z1)
    ### END SOLUTION

# %% tags=["check"] name="cross_correlation"
check.cross_correlation(my_cross_correlation)

# %% [markdown]
# ### Exercise 4: the loss of Barlow Twins
#
# *Difficulty 2/5 · importance 4/5 · 8 minutes*
#
# Given the matrix, return the loss: the diagonal towards 1, everything else towards 0, the latter weighed. Sums, not means.

# %% tags=["exercise"] name="barlow_twins" points=2
def my_barlow_twins(c, off_diagonal_weight=5e-3):
    """[D, D] -> scalar"""
    ### BEGIN SOLUTION
    diagonal = c.diagonal()
    redundancy = c.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + off_diagonal_weight * redundancy
    ### END SOLUTION

# %% tags=["check"] name="barlow_twins" points=2
check.barlow_twins(my_barlow_twins)

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - SimCLR spreads the rows of $z$, the pictures. These methods spread the columns, the features, and need no negatives. The
#   two are closer than they look (Garrido et al.).
# - Invariance alone has a perfect, useless answer. Variance forbids the point, covariance forbids the few directions.
# - Barlow Twins gets the variance from dividing by the std; LeJEPA gets both from the wish for a Gaussian.
# - Std first, rank second: a cloud that has shrunk to a point can have a splendid effective rank.
# - A high rank of $z$ is no score. The probe is.
#
# ## Papers
#
# - Bardes, Ponce, LeCun 2021: *VICReg: variance-invariance-covariance regularization for self-supervised learning*,
#   arXiv:2105.04906
# - Zbontar, Jing, Misra, LeCun, Deny 2021: *Barlow Twins: self-supervised learning via redundancy reduction*, arXiv:2103.03230
# - Balestriero and LeCun 2025: *LeJEPA: provable and scalable self-supervised learning without the heuristics*,
#   arXiv:2511.08544
# - Jing, Vincent, LeCun, Tian 2021: *Understanding dimensional collapse in contrastive self-supervised learning*,
#   arXiv:2110.09348
# - Garrido, Chen, Bardes, Najman, LeCun 2022: *On the duality between contrastive and non-contrastive self-supervised
#   learning*, arXiv:2206.02574
