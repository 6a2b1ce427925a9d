# %% [markdown]
# # 10 · Without negatives: SimSiam, BYOL and DINO
#
# Two views of a picture must agree, and nothing pushes different pictures apart. The easiest solution is known: say the same
# thing of every picture. Three methods work all the same. Each of them has parts that are said to prevent the collapse.
# Here you take every part away, alone and together, and look at what falls: the projections, the encoder, or nothing. Some
# of the results are not what the textbooks say.
#
# ## What you will be able to do
#
# - write the losses of SimSiam and DINO and the update of DINO's centre;
# - say which part holds up which method *here*, from measurements and not from its reputation;
# - tell a collapse of the projections from a loss of what the encoder knows;
# - cause a collapse in a running model, recognise it from the gauges, and find out whether it can be undone.
#
# ## Time
#
# 90 minutes of yours. The machine needs {{ 10/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import math
import time

import torch

import sslab
from sslab import datasets, encoders, evaluation, figures, objectives
from sslab.course import claim, record
from sslab.lab import Lab, check, predict, show_source
from sslab.views import Augment

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# In SimSiam a small network, the **predictor**, guesses one view's projection $z$ from the other's. **Stop-gradient**: what is
# guessed counts as a constant, no gradient flows into it. In BYOL it comes from a teacher, a slow copy (lesson 08). In DINO
# student and teacher each choose among **prototypes**, learned directions. A choice is sharp if few of them get nearly all of it.
#
# The gauge of this lesson is the std of the normalised $z$, times $\sqrt{D}$: 1 is spread over the sphere, 0 is one point.
# Four guesses, before anything has run.

# %%
guess_bare = predict("10/no-stop-gradient", "SimSiam, stop-gradient off, and no batch norm on z. What is the std of z after "
                     "a short run?", low=0, high=1.2, unit="(1 is spread, 0 one point)")
guess_bare

# %%
guess_norm = predict("10/no-stop-gradient-norm", "The same with batch norm on z, as in the published SimSiam. "
                     "And now?", low=0, high=1.2, unit="(1 is spread, 0 one point)")
guess_norm

# %%
guess_byol = predict("10/byol-momentum-0", "BYOL with momentum 0: no slow teacher, it is the student itself, with its gradient "
                     "stopped. How many points does kNN change by?", low=-80, high=30, unit="points")
guess_byol

# %%
guess_dino = predict("10/dino-no-sharpening", "DINO with a teacher that is no sharper than the student. What will both say?",
                     ["the same single prototype for every picture", "all prototypes alike for every picture",
                      "something of use, as before"])
guess_dino

# %% [markdown]
# ## 2. See the data and the task (6 minutes)
#
# Digits, two views of each. The two have to agree. DINO can add small crops (the knob **local_views**, 0 at first): a part of the
# picture has to say what the whole says.

# %%
digits = datasets.load("digits")
digits.card

# %% tags=["figure"]
small = Augment(**{**Augment.named("digits").values(), "crop": 0.15, "crop_largest": 0.45})
figures.views(digits.train.images[:4], small)

# %% [markdown]
# **Finding:** from some of these small crops nobody could read the digit. The task is not to read it, but to say what the
# teacher says of the large view, and where that cannot be known, to spread the bets.
#
# Now the easy way out. A model that gives every picture the same answer, and what the two losses think of it:

# %%
constant = torch.ones(8, 16)                                         # 8 pictures, one answer
certain = 20 * torch.eye(16)[[0] * 8]                                # 8 pictures, one prototype of 16
{"SimSiam, worst 1, best -1": float(objectives.negative_cosine(constant, constant)),
 "DINO, best 0": float(objectives.dino([certain, certain], [certain, certain], torch.zeros(16)))}

# %% [markdown]
# Both are perfect scores (in DINO as long as its centre, the last argument, is still 0). So it cannot be the bare comparison
# that keeps these methods from collapsing. It must be the way to it, and in DINO what is done to the teacher first.

# %% [markdown]
# ## 3. Read the objectives (12 minutes)
#
# **SimSiam.** One encoder with its projector gives $z_1, z_2$; a small predictor gives $p_1, p_2$ from them. With
# $\mathrm{sg}$ for "no gradient flows here" (stop-gradient):
#
# $$\ell = -\tfrac12 \cos(p_1, \mathrm{sg}(z_2)) - \tfrac12 \cos(p_2, \mathrm{sg}(z_1))$$

# %%
show_source(objectives.SimSiam)

# %% [markdown]
# **BYOL.** The same with a target from a teacher, a slow copy of encoder and projector as in lesson 08:
# $\ell = 2 - 2\cos(p_1, z'_2)$, both ways. At momentum 0 the teacher is the student itself, and BYOL is SimSiam with another
# predictor.

# %%
show_source(objectives.BYOL)

# %% [markdown]
# **DINO.** Student and teacher choose among $K$ prototypes; their logits $s$ and $t$ are cosines of $z$ with each prototype.
# The teacher's lose their running mean $c$ (**centring**) and are divided by a temperature below the student's
# (**sharpening**). Here $p$ and $q$ are distributions over the prototypes, no predictions:
#
# $$\ell = -\sum_k q_k \log p_k, \qquad q = \mathrm{softmax}\big((t - c) / \tau_t\big), \quad p = \mathrm{softmax}(s / \tau_s)$$

# %%
show_source(objectives.DINO.forward)

# %% [markdown]
# What do centring and sharpening do to a teacher's choice? Take an untrained one and 500 digits. Not sharpened means the
# student's temperature, 0.1; sharpened means 0.04.

# %% tags=["figure"]
torch.manual_seed(0)
untrained = objectives.create("dino", encoders.create("conv", digits), views=Augment.named("digits"))
with torch.no_grad():
    t = untrained.teacher(digits.train.images[:500])                 # [500, K] logits
centred = t - t.mean(dim=0)
figures.choices({"neither": (t / 0.1).softmax(1), "sharpened": (t / 0.04).softmax(1), "centred": (centred / 0.1).softmax(1),
                "both": (centred / 0.04).softmax(1)})

# %% [markdown]
# **Finding:** the legend counts the prototypes that one picture chooses among, and those that all pictures use together. Sharpened
# alone, a single choice is more decided, but the choices of all pictures pile up on some prototypes: the curve is steep.
# Centred alone, all prototypes get about the same, and a single choice says little. With both, single choices are decided
# *and* together they use nearly all prototypes. Each prevents what the other one alone leads to.

# %% [markdown]
# ## 4. Run it live (8 minutes)
#
# SimSiam. In the lab you can swap to "byol" and "dino" as well; encoder and views stay. While it trains, switch
# **predictor_on** or **stop_gradient** off and on, and watch std and rank. The cell below runs it as it is.
# This run takes most of the recipe's steps, to end within two minutes.

# %%
lab = Lab("simsiam", "digits", seed=0, **sslab.recipe("simsiam", "digits", share=0.85))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
figures.loss({"SimSiam": [row["loss"] for row in lab.history]}, lab.objective.reference_levels())

# %% [markdown]
# **Finding:** the loss runs most of the way to its collapse line, and nothing has collapsed. On this loss lower is not better,
# and the lowest value of all is the trivial answer. It cannot tell agreement that was learned from agreement that was cheap.
# The gauges can: read what the status line says about the spread of $z$.

# %% [markdown]
# ## 5. Explain: what are they worth? (8 minutes)
#
# On test images, with the controls: chance, raw pixels, the random encoder, supervised from scratch. Ours are 3 runs each.

# %%
budgets = (1, 5, 20, 100)


def ours(dataset):
    paths = {"BYOL (ours)": "13/board/{}/byol/{}", "SimSiam (ours)": "13/board/{}/simsiam/{}", "DINO (ours)": "13/board/{}/dino/{}",
             "raw pixels": "00/pixels/{}/{}", "random encoder": "13/board/{}/random-encoder/{}",
             "supervised": "00/supervised/{}/{}"}
    return {name: {b: (record(path.format(dataset, b)).value, record(path.format(dataset, b)).interval) for b in budgets}
            for name, path in paths.items()}

# %% tags=["figure", "comparison"]
figures.label_efficiency(ours("digits"), chance=0.1)

# %% [markdown]
# **Finding:** on digits with 5 labels a class BYOL is right on {{ 13/board/digits/byol/5 | percent interval }} of the test images,
# SimSiam on {{ 13/board/digits/simsiam/5 | percent interval }}, DINO on {{ 13/board/digits/dino/5 | percent interval }}. Raw pixels
# give {{ 00/pixels/digits/5 | percent }}, the random encoder {{ 13/board/digits/random-encoder/5 | percent interval }}, supervised
# training {{ 00/supervised/digits/5 | percent }}, chance one in ten. The differences to SimCLR, which has negatives, are
# {{ 13/board/digits/byol/5 - 13/board/digits/simclr/5 | points interval }},
# {{ 13/board/digits/simsiam/5 - 13/board/digits/simclr/5 | points interval }} and
# {{ 13/board/digits/dino/5 - 13/board/digits/simclr/5 | points interval }}; only BYOL's interval is clear of zero. With 100 labels
# a class they are behind supervised training, by {{ 00/supervised/digits/100 - 13/board/digits/byol/100 | points interval }},
# {{ 00/supervised/digits/100 - 13/board/digits/simsiam/100 | points interval }} and
# {{ 00/supervised/digits/100 - 13/board/digits/dino/100 | points interval }}.

# %%
yours = evaluation.label_efficiency(lab.objective.encoder, digits, (5,), seeds=3, penalties=(0.1,))
{"SimSiam, yours": round(yours.mean(5), 3), "ours": record("13/board/digits/simsiam/5").value}

# %% tags=["figure", "comparison"]
figures.label_efficiency(ours("fashion"), chance=0.1)

# %% [markdown]
# **Finding:** on clothes with 5 labels a class the difference to raw pixels is
# {{ 13/board/fashion/byol/5 - 00/pixels/fashion/5 | points interval }} for BYOL,
# {{ 13/board/fashion/simsiam/5 - 00/pixels/fashion/5 | points interval }} for SimSiam and
# {{ 13/board/fashion/dino/5 - 00/pixels/fashion/5 | points interval }} for DINO; to the random encoder it is
# {{ 13/board/fashion/byol/5 - 13/board/fashion/random-encoder/5 | points interval }},
# {{ 13/board/fashion/simsiam/5 - 13/board/fashion/random-encoder/5 | points interval }} and
# {{ 13/board/fashion/dino/5 - 13/board/fashion/random-encoder/5 | points interval }}. Supervised training reaches
# {{ 00/supervised/fashion/5 | percent }}, chance is one in ten. Where an interval holds zero, we cannot tell the two apart.
#
# SimSiam is below raw pixels, and BYOL's lead is one of few labels: with 100 labels a class the differences to raw pixels are
# {{ 13/board/fashion/byol/100 - 00/pixels/fashion/100 | points interval }},
# {{ 13/board/fashion/simsiam/100 - 00/pixels/fashion/100 | points interval }} and
# {{ 13/board/fashion/dino/100 - 00/pixels/fashion/100 | points interval }}. SimSiam's $z$ fills
# {{ 13/board/fashion/simsiam/effective-rank | .0f }} of 128 directions, BYOL's {{ 13/board/fashion/byol/effective-rank | .0f }}. Perhaps
# clothes look so alike that two views agree almost at once, and SimSiam keeps what agrees fastest: nothing here tests that. BYOL
# has a slow teacher and a wider predictor; which of them makes the difference of
# {{ 13/board/fashion/byol/5 - 13/board/fashion/simsiam/5 | points interval }} was not measured on clothes.

# %% [markdown]
# ## 6. Break it (25 minutes)
#
# ### Every part of SimSiam
#
# Short runs on digits, 3 seeds each, validation images. On the left the spread of $z$, where collapse lives. Then what the
# *encoder* is worth, which is what you keep: kNN, and the probe with 5 labels a class.

# %%
def rows(variants, measured):
    return {name: {what: (record(f"{path}/{key}").value, record(f"{path}/{key}").interval) for what, key in measured.items()}
            for name, path in variants.items()}


lines = {"kNN accuracy": {"chance": 0.1, "random encoder": record("10/untrained/knn/random-encoder").value,
                          "raw pixels": record("10/untrained/knn/raw-pixels").value},
         "probe accuracy": {"chance": 0.1, "random encoder": record("07/untrained/random-encoder").value,
                            "raw pixels": record("07/untrained/raw-pixels").value},
         "std of z": {"untrained": record("10/untrained/std").value}}
measured = {"std of z": "std", "kNN accuracy": "knn", "probe accuracy": "probe"}

# %% tags=["figure", "comparison"]
parts = {"SimSiam": "simsiam", "no stop-gradient": "simsiam-no-stop-gradient", "no norm on z": "simsiam-no-norm",
         "neither of the two": "simsiam-no-norm-no-stop-gradient", "no predictor": "simsiam-no-predictor"}
figures.ablation(rows({name: f"10/removed/{part}" for name, part in parts.items()}, measured), lines)

# %% [markdown]
# **Finding:** with neither stop-gradient nor the batch norm on $z$ its std is
# {{ 10/removed/simsiam-no-norm-no-stop-gradient/std | .2f }}, and kNN is at
# {{ 10/removed/simsiam-no-norm-no-stop-gradient/knn | percent interval }}, where the random encoder has
# {{ 10/untrained/knn/random-encoder | percent interval }} and raw pixels {{ 10/untrained/knn/raw-pixels | percent }}. Without
# stop-gradient but *with* the norm the std is {{ 10/removed/simsiam-no-stop-gradient/std | .2f }} (the lab's gauge shows another
# number: see below) and kNN {{ 10/removed/simsiam-no-stop-gradient/knn | percent interval }}, against
# {{ 10/removed/simsiam/knn | percent interval }} with nothing removed. With only the norm removed the std is
# {{ 10/removed/simsiam-no-norm/std | .2f }}, and kNN moves by {{ 10/removed/simsiam-no-norm/knn - 10/removed/simsiam/knn | points interval }},
# which holds zero. Without the predictor the seeds disagree: kNN {{ 10/removed/simsiam-no-predictor/knn | percent interval }}. They agree
# about the effective rank of $z$, not drawn here: {{ 10/removed/simsiam-no-predictor/effective-rank | .0f interval }}
# directions, against {{ 10/removed/simsiam/effective-rank | .0f interval }}. The runs are short: whole SimSiam minus raw pixels is
# {{ 10/removed/simsiam/knn - 10/untrained/knn/raw-pixels | points interval }} for kNN and
# {{ 10/removed/simsiam/probe - 07/untrained/raw-pixels | points interval }} for the probe. Chance is one in ten, supervised
# training stands in the figure above.

# %%
guess_bare.reveal(record("10/removed/simsiam-no-norm-no-stop-gradient/std").value)

# %%
guess_norm.reveal(record("10/length/off/0.3/std-in-training").value)

# %%
claim("10/no-stop-gradient-no-norm-collapses")

# %% [markdown]
# ### Does the norm hold it up?
#
# The published SimSiam has a batch norm on $z$. Each feature of $z$ then has std 1 over the batch, so a constant $z$ is impossible
# in training. Does that replace stop-gradient? Two gauges now. *std of z* is that of validation images, with the norm's running
# statistics, as in the figure above; *std of z in training* is that of the last batch, as the lab shows it. First a gentle
# run: `250` steps of `256` pictures, a quarter of our learning rate, hardly any weight decay.

# %% tags=["figure", "comparison"]
gauges = {"std of z": "std", "std of z in training": "std-in-training", "kNN accuracy": "knn"}
figures.ablation(rows({f"gentle, stop-gradient {state}": f"10/gentle/{state}" for state in ("on", "off")}, gauges), lines)

# %% [markdown]
# **Finding:** in the gentle run without stop-gradient the std of $z$ in training is {{ 10/gentle/off/std-in-training | .2f }} and
# kNN {{ 10/gentle/off/knn | percent interval }}; with stop-gradient {{ 10/gentle/on/std-in-training | .2f }} and
# {{ 10/gentle/on/knn | percent interval }}. Random encoder, raw pixels and chance are marked, supervised training stands above.
# It falls in gentle steps too. Now our own recipe, in three lengths.

# %% tags=["figure", "comparison"]
runs = {f"{share:g} of the recipe, stop-gradient {state}": f"10/length/{state}/{share}"
        for state in ("on", "off") for share in (0.15, 0.3, 1.0)}
figures.ablation(rows(runs, gauges), lines)

# %% [markdown]
# **Finding:** without stop-gradient kNN is at {{ 10/length/off/0.15/knn | percent interval }} after `0.15` of the recipe,
# {{ 10/length/off/0.3/knn | percent interval }} after `0.3` and {{ 10/length/off/1.0/knn | percent interval }} after all of it; from
# the shortest run to the longest it moves by {{ 10/length/off/1.0/knn - 10/length/off/0.15/knn | points interval }}, to below the
# random encoder's {{ 10/untrained/knn/random-encoder | percent }}. With stop-gradient it is {{ 10/length/on/0.15/knn | percent interval }},
# {{ 10/length/on/0.3/knn | percent interval }} and {{ 10/length/on/1.0/knn | percent interval }}, and only after the whole recipe above
# raw pixels, by {{ 10/length/on/1.0/knn - 10/untrained/knn/raw-pixels | points interval }}. Without stop-gradient, after all of the
# recipe, $z$ has in training a std of {{ 10/length/off/1.0/std-in-training | .2f }} and an effective rank of
# {{ 10/length/off/1.0/effective-rank-in-training | .1f }}: nearly all of it is one line. The norm keeps each feature's std at 1, and a few
# outliers at one end of the line are enough for that, while all others point the same way. With the running statistics the
# std is no steady number: `0.3` of the recipe gives {{ 10/length/off/0.3/std | .2f interval }} here and gave
# {{ 10/removed/simsiam-no-stop-gradient/std | .2f interval }} in the first figure, the same settings run twice. Chance is marked; supervised
# training stands above. An earlier trial of ours, not among the records, with another small network and other views, found no
# fall within `250` steps. So the norm is no law, one way or the other: take the part out in *your* setting, and look.

# %%
claim("10/norm-does-not-hold")

# %% [markdown]
# ### Off and on again, while it trains
#
# No norm on $z$. After three tenths of the run stop-gradient goes off, at half of it comes back. Watch the gauge.

# %% tags=["pretrain"]
switched = Lab("simsiam", "digits", seed=0, **sslab.recipe("simsiam", "digits", share=0.3))
switched.set(output_norm=False)
switched.start()
said = []
for share, on in ((0.3, False), (0.5, True)):
    while len(switched.history) < share * switched.train_options["steps"] and switched.state == "running":
        time.sleep(0.05)
    said.append(switched.status)
    switched.set(stop_gradient=on)
switched.join()
[*said, switched.status]

# %% [markdown]
# Above: what the status line said before the switch, at the end of the time without stop-gradient, and at the end.

# %% tags=["figure"]
figures.switched(switched.history, "stop_gradient", levels={"named a collapse below": 0.1})

# %% [markdown]
# **Finding:** in our records the std of $z$ is {{ 10/switched/before/std | .2f interval }} before the switch,
# {{ 10/switched/off/std | .3f interval }} at the end of the time without stop-gradient and
# {{ 10/switched/after/std | .2f interval }} at the end of the run; kNN is at {{ 10/switched/before/knn | percent interval }},
# {{ 10/switched/off/knn | percent interval }} and {{ 10/switched/after/knn | percent interval }}. The spread hardly comes back: with
# stop-gradient on again it rises by {{ 10/switched/after/std - 10/switched/off/std | .2f interval }}. Our reading: where all answers
# are nearly the same the loss is near its lowest, and hardly any gradient is left. The encoder keeps what it had. While
# stop-gradient is off its kNN falls by {{ 10/switched/before/knn - 10/switched/off/knn | points interval }}. But it learns no more:
# at the end the difference to a run in which stop-gradient was never off is
# {{ 10/switched/after/knn - 10/removed/simsiam-no-norm/knn | points interval }}. The learning rate falls to zero meanwhile, so this is
# about half of a short run and not about for ever.

# %%
claim("10/switching-off-collapses")

# %% [markdown]
# ### Every part of BYOL
#
# Our runs are short, and our teacher is quick: momentum `0.9`, where the paper has `0.996`. In the paper, on ImageNet, BYOL at
# momentum 0 fails (its table 5); SimSiam, which has no slow teacher, does not.

# %% tags=["figure", "comparison"]
parts = {"BYOL": "byol", "teacher = student": "byol-momentum-0", "teacher never moves": "byol-momentum-1",
         "no predictor": "byol-no-predictor", "no predictor, teacher = student": "byol-momentum-0-no-predictor",
         "no norm": "byol-no-norm", "no norm, teacher = student": "byol-no-norm-momentum-0",
         "no norm, no predictor": "byol-no-norm-no-predictor",
         "none of the three": "byol-no-norm-momentum-0-no-predictor"}
figures.ablation(rows({name: f"10/removed/{part}" for name, part in parts.items()}, measured), lines)

# %% [markdown]
# **Finding:** BYOL has three parts that may hold it up: the predictor, the slow teacher, and batch norm on $z$. Without the slow
# teacher the std of $z$ is {{ 10/removed/byol-momentum-0/std | .2f }}, the probe moves by
# {{ 10/removed/byol-momentum-0/probe - 10/removed/byol/probe | points interval }} and kNN by
# {{ 10/removed/byol-momentum-0/knn - 10/removed/byol/knn | points interval }}: both intervals hold zero. Without the norm the probe moves by
# {{ 10/removed/byol-no-norm/probe - 10/removed/byol/probe | points interval }}. To see the predictor's part, look where no norm
# helps: with predictor and without slow teacher the std is {{ 10/removed/byol-no-norm-momentum-0/std | .2f }}; with the slow teacher and
# without predictor it is {{ 10/removed/byol-no-norm-no-predictor/std | .2f }}; without all three
# {{ 10/removed/byol-no-norm-momentum-0-no-predictor/std | .2f }}. With the norm, taking the predictor away moves the probe by
# {{ 10/removed/byol-no-predictor/probe - 10/removed/byol/probe | points interval }}: the seeds disagree. A teacher that never moves is a
# random network. To predict it gives a probe of {{ 10/removed/byol-momentum-1/probe | percent interval }},
# {{ 10/removed/byol-momentum-1/probe - 07/untrained/random-encoder | points interval }} above the random encoder. All of this is in short
# runs: whole BYOL minus raw pixels is {{ 10/removed/byol/probe - 07/untrained/raw-pixels | points interval }}, which holds zero. Chance is
# marked, supervised training stands above.

# %%
guess_byol.reveal(100 * (record("10/removed/byol-momentum-0/knn").value - record("10/removed/byol/knn").value))

# %%
claim("10/byol-needs-no-slow-teacher")

# %%
claim("10/byol-predictor-holds")

# %%
claim("10/random-teacher-teaches")

# %% [markdown]
# ### Every part of DINO
#
# There are two ways to collapse, and the loss tells them apart. One prototype for every picture: the loss is 0. All prototypes
# alike for every picture: the loss is $\log K$.

# %% tags=["figure", "comparison"]
parts = {"DINO": "dino", "no centring": "dino-no-centring", "no sharpening": "dino-no-sharpening", "neither": "dino-neither"}
figures.ablation(rows({name: f"10/removed/{part}" for name, part in parts.items()},
                      {"loss": "loss", "prototypes used": "prototypes-used", **measured}),
                 {**lines, "loss": {"one for all": 0.0, "all alike": math.log(len(untrained.center))}})

# %% [markdown]
# **Finding:** without centring the loss is {{ 10/removed/dino-no-centring/loss | .2f }} and the pictures are nearest to
# {{ 10/removed/dino-no-centring/prototypes-used | .1f }} prototypes, with both parts in place the loss is
# {{ 10/removed/dino/loss | .2f }} and they are nearest to {{ 10/removed/dino/prototypes-used | .1f }}. Without sharpening the loss is
# {{ 10/removed/dino-no-sharpening/loss | .2f }}: all prototypes alike. The count of prototypes does not notice
# ({{ 10/removed/dino-no-sharpening/prototypes-used | .1f }}): it takes the nearest one, however narrowly it wins. Without either the
# loss is {{ 10/removed/dino-neither/loss | .2f }}, nearly the same. What it costs: the probe moves by
# {{ 10/removed/dino-no-centring/probe - 10/removed/dino/probe | points interval }} without centring, which holds zero, by
# {{ 10/removed/dino-no-sharpening/probe - 10/removed/dino/probe | points interval }} without sharpening and by
# {{ 10/removed/dino-neither/probe - 10/removed/dino/probe | points interval }} without either. Whole DINO minus raw pixels, in a run this
# short, is {{ 10/removed/dino/probe - 07/untrained/raw-pixels | points interval }}, which holds zero. Random encoder and chance are
# marked; supervised training stands above. {{ claim 10/dino-two-collapses }}

# %%
guess_dino.reveal("all prototypes alike for every picture")

# %%
claim("10/dino-two-collapses")

# %% [markdown]
# ## 7. Exercises (25 minutes)
#
# ### Exercise 1: agree, one side at a time
#
# *Difficulty 1/5 · importance 5/5 · 5 minutes*
#
# Write SimSiam's loss of one direction: the mean of minus the cosine of the predictions `p` and the targets `z`. Put the
# stop-gradient inside: no gradient may reach `z`.

# %% tags=["exercise"] name="negative_cosine"
def my_negative_cosine(p, z):
    """[B, D], [B, D] -> scalar, -1 where all agree"""
    ### BEGIN SOLUTION
    return -torch.nn.functional.cosine_similarity(p, z.detach(), dim=1).mean()
    ### END SOLUTION

# %% tags=["check"] name="negative_cosine"
check.negative_cosine(my_negative_cosine)

# %% [markdown]
# ### Exercise 2: where the teacher is on average
#
# *Difficulty 2/5 · importance 4/5 · 5 minutes*
#
# DINO's centre is a slow average of the teacher's logits: momentum times the old centre, the rest from the mean of this batch.
# One number for each prototype.

# %% tags=["exercise"] name="center_update"
def my_center_update(center, teacher_logits, momentum):
    """[K], [B, K] -> [K]"""
    ### BEGIN SOLUTION
    return momentum * center + (1 - momentum) * teacher_logits.mean(dim=0)
    ### END SOLUTION

# %% tags=["check"] name="center_update"
check.center_update(my_center_update)

# %% [markdown]
# ### Exercise 3: DINO's loss
#
# *Difficulty 3/5 · importance 5/5 · 15 minutes*
#
# For one pair of views: the teacher's logits lose the centre and are divided by the teacher's temperature; the student's are
# divided by the student's. Cross-entropy of the two softmaxes, mean over the batch, no gradient into the teacher. It has to be
# finite where a probability rounds to zero.

# %% tags=["exercise"] name="dino" points=3
def my_dino(student, teacher, center, student_temperature=0.1, teacher_temperature=0.04):
    """[B, K], [B, K], [K] -> scalar"""
    ### BEGIN SOLUTION
    # stub: q = ...                                          # [B, K], what the teacher says: a distribution
    # stub: log_p = ...                                      # [B, K], logarithm of what the student says
    # stub: return ...
    q = ((teacher.detach() - center) / teacher_temperature).softmax(dim=1)
    log_p = (student / student_temperature).log_softmax(dim=1)
    return -(q * log_p).sum(dim=1).mean()
    ### END SOLUTION

# %% tags=["check"] name="dino" points=3
check.dino(my_dino)

# %% [markdown]
# ## 8. What to remember (1 minute)
#
# - In SimSiam and BYOL the trivial answer has the best loss. What prevents it is the way, not the goal: who moves towards whom.
# - In SimSiam stop-gradient holds the projections up. A batch norm on the output changes how they fall, not that they do.
# - So look at more than one gauge, at what the encoder is worth, and train long enough before you conclude.
# - BYOL without norm falls when its predictor goes, and stands when its teacher's slowness goes.
# - DINO has two trivial answers, and a remedy against each. The loss says which one it fell into.
# - "Necessary" means: necessary here, for this long. Take the part out and measure.
#
# ## Papers
#
# - Grill et al. 2020: *Bootstrap your own latent*, arXiv:2006.07733
# - Chen and He 2020: *Exploring simple Siamese representation learning*, arXiv:2011.10566
# - Caron et al. 2021: *Emerging properties in self-supervised vision transformers*, arXiv:2104.14294
# - Tian, Chen, Ganguli 2021: *Understanding self-supervised learning dynamics without contrastive pairs*, arXiv:2102.06810
# - Richemond et al. 2020: *BYOL works even without batch statistics*, arXiv:2010.10241
