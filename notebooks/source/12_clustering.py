# %% [markdown]
# # 12 · Clustering while learning: SwAV
#
# Sort the pictures into clusters without knowing any class; then teach the encoder to name the cluster of a picture from any
# view of it; sort again with the better encoder. Each helps the other, and both can agree on nonsense: one cluster for
# everything. SwAV prevents that with one rule, *every cluster gets its share of each batch*. Here you write that rule,
# look at the clusters, and take the rule away.
#
# ## What you will be able to do
#
# - write Sinkhorn's iteration and say what it makes equal;
# - explain what is swapped in a swapped prediction, and why;
# - measure how many prototypes are in use, and how pure the clusters are, against a control;
# - cause the two opposite collapses of clustering: one cluster for all, and all clusters alike.
#
# ## Time
#
# 85 minutes of yours. The machine needs {{ 12/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import torch

import sslab
from sslab import datasets, encoders, evaluation, figures, objectives
from sslab.course import claim, record
from sslab.lab import Lab, check, predict, show_source
from sslab.views import Augment

# %% [markdown]
# ## 1. Predict (4 minutes)
#
# A **prototype** is a learned direction in the space of the projections, a cluster's centre. There are 64 of them. A **code** says to
# which prototypes a view belongs: 64 shares that sum to 1.

# %%
guess_sinkhorn = predict("12/sinkhorn", "You drop the rule that all clusters are used alike. How many of the 64 prototypes "
                         "are still in use after a short training?", ["nearly all", "about ten, one for each digit", "one"])
guess_sinkhorn

# %%
guess_epsilon = predict("12/epsilon", "You make the codes softer: each picture belongs a little to every cluster. What is "
                        "learned?", ["more: soft codes say more", "about the same", "next to nothing"])
guess_epsilon

# %%
guess_meaning = predict("12/meaning", "64 prototypes, 10 digits, no labels. What will most prototypes stand for?",
                        ["a stroke that many digits share", "one way of writing one digit", "nothing one could name"])
guess_meaning

# %% [markdown]
# ## 2. See the data and the task (6 minutes)

# %%
digits = datasets.load("digits")
digits.card

# %% tags=["figure"]
torch.manual_seed(0)
untrained = objectives.create("swav", encoders.create("conv", digits), views=Augment.named("digits"))
evaluation.calibrate(torch.nn.Sequential(untrained.encoder, untrained.projector), digits.train.images)
views = untrained.make_views(digits.train.images[:5], torch.Generator().manual_seed(0))
figures.crops(digits.train.images[:5], views)

# %% [markdown]
# **Finding:** SwAV takes two large views and some small crops (**multi-crop**). A small crop is shown at half the size and costs a
# quarter of the computing. The code is made from a large view only; every other view has to guess it. Cover the three
# columns on the left: for which of the small crops could you?

# %%
def scores_of(objective, images):
    """Cosines of each image's projection with each prototype, in eval mode: [N, K]."""
    with torch.no_grad(), evaluation.evaluating(objective.cpu()):
        return objective.prototypes(objective.project(objective.encoder(images)))

# %% tags=["figure"]
shown = digits.validation.images[:2000]
figures.clusters(shown, scores_of(untrained, shown))

# %% [markdown]
# **Finding:** before training. A row shows the pictures nearest to one prototype, from a prototype that is chosen often to one
# that is chosen rarely. Prototypes are random directions: some take many pictures, some hardly any. The rows are not digits;
# at best they are alike in how much ink there is or how it leans.

# %% [markdown]
# ## 3. Read the objective (12 minutes)
#
# A view has projection $z$; its scores are the cosines $s_k$ with the prototypes. From the scores two things are made:
# a **prediction** $p = \mathrm{softmax}(s / \tau)$ and a **code** $q$. The loss swaps them between two views $1$ and $2$ of a picture:
#
# $$\ell = \tfrac12 \Big( \underbrace{-\sum_k q^{(2)}_k \log p^{(1)}_k}_{\text{view 1 guesses the code of view 2}}
# \underbrace{-\sum_k q^{(1)}_k \log p^{(2)}_k}_{\text{view 2 guesses the code of view 1}} \Big)$$
#
# Were the codes just another softmax, all pictures could agree on one prototype, and every guess would be right. So the codes of a
# batch are made *together*: among all tables $Q$ $[B, K]$ of shares whose rows sum to 1 and whose columns all sum to $B / K$, take
# the one that fits the scores best and is not too sharp. $H$ is the entropy, large where shares are even, and $\varepsilon$ its weight:
#
# $$\max_Q\ \sum_{bk} Q_{bk} s_{bk} + \varepsilon\, H(Q)$$
#
# The solution is $\exp(s / \varepsilon)$ with each row and each column multiplied by some number. **Sinkhorn** finds these numbers by
# turns: divide the columns by their sums, then the rows, then the columns again. Three rounds, as in the paper, come
# near: the rows are exact, the columns almost.

# %%
show_source(objectives.sinkhorn)

# %%
show_source(objectives.SwAV)

# %% tags=["figure"]
scores = scores_of(untrained, shown[:24])[:, :12]                    # 24 pictures, 12 prototypes, before training
figures.codes({"softmax, 0.05": (scores / 0.05).softmax(dim=1), "Sinkhorn, 0.05": objectives.sinkhorn(scores, 0.05),
               "Sinkhorn, 0.01": objectives.sinkhorn(scores, 0.01), "Sinkhorn, 0.5": objectives.sinkhorn(scores, 0.5)})

# %% [markdown]
# **Finding:** each row is a picture, each column a prototype. In the softmax the favourites get far more than their share. Sinkhorn
# gives each column about the same (the bars below) and still asks each picture where it would rather go. `epsilon` says how much a
# picture may spread itself: at `0.01` it chooses, at `0.5` it does not (SwAV's knob stands at `0.03`). The sharper the codes, the more
# rounds it would take to make the columns equal.

# %%
six = torch.stack([torch.tensor([0.9, 0.1, 0.0])] * 4 + [torch.tensor([0.8, 0.5, 0.0])] * 2)     # 6 pictures
objectives.sinkhorn(six, epsilon=0.1, iterations=50).mul(100).round().int()

# %% [markdown]
# Six pictures that all like prototype 0 best. Per cent, by row: the rule gives two places to each prototype. The four pictures that
# like little else share places 0 and 2; the last two, which lose least by going to prototype 1, are sent there. A code is not what a
# picture likes best, but what it likes **compared with the other pictures of its batch**. That is how pictures are kept
# apart here without any pair of them being a negative.

# %% [markdown]
# ## 4. Run it live (7 minutes)
#
# Small crops cost time. This run has none, and a little fewer steps than usual, so that it ends within two minutes. Watch `code_entropy` and
# `divergence`, the two parts of the loss: how soft the codes are, and how far the guesses are from them.

# %%
lab = Lab("swav", "digits", seed=0, **sslab.recipe("swav", "digits", share=0.85))
lab.set(local_views=0)
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
figures.loss({"SwAV": [row["loss"] for row in lab.history]}, lab.objective.reference_levels())

# %% [markdown]
# **Finding:** the line is $\log 64$, what the loss is when all clusters are alike for every picture. It has to get below that, and
# it cannot reach 0, since the codes themselves are soft and move with every step. A lower loss under another epsilon is not a
# better model.

# %% [markdown]
# ## 5. Explain: what did it find, and what is it worth? (12 minutes)

# %% tags=["figure"]
trained = scores_of(lab.objective, shown)
figures.clusters(shown, trained)

# %% [markdown]
# **Finding:** compare with the same figure before training. Read each row: is it one digit? Is it one *way of writing* one
# digit: slanted ones, sevens with a bar, open fours? Where two digits share a row, which two are they? No label was used.
# The figure before training says what network and pixels give without any learning.

# %%
guess_meaning.reveal("one way of writing one digit")

# %%
def purity(scores, labels):
    """Share of the pictures that have the most frequent label of the prototype they choose; scores [N, K], labels [N]."""
    chosen = torch.nn.functional.one_hot(scores.argmax(dim=1), scores.shape[1])                        # [N, K]
    counts = chosen.T @ torch.nn.functional.one_hot(labels.long())                                     # [K, classes]
    return float(counts.amax(dim=1).sum()) / len(labels)

# %%
labels = digits.validation.labels[:2000]
print(f"named by its majority, a prototype is right for {purity(trained, labels):.0%} of the pictures that choose it")
print(f"before training: {purity(scores_of(untrained, shown), labels):.0%}")
print(f"with shuffled labels: {purity(trained, labels[torch.randperm(len(labels))]):.0%}")
print(f"prototypes in use: {objectives.prototypes_used(trained):.1f} of {trained.shape[1]}")

# %% [markdown]
# **Purity** needs its control: 64 clusters named by their majority beat one in ten even when the labels are shuffled, and with as
# many clusters as pictures purity is perfect and says nothing. The line *before training* is a second control: what the clusters of
# an untrained network know. {{ claim 12/clusters-know-classes }} Ours are short runs with two small crops. Yours is longer and has none.

# %%
claim("12/clusters-know-classes", yours={"12/prototypes/64/purity": purity(trained, labels)})

# %% [markdown]
# Now the encoder, on test images, with its controls: chance, raw pixels, the random encoder, supervised from scratch. Yours is
# one run (shortened, without small crops) with three draws of labels; the bands of ours are 95 % intervals over 3 runs.

# %%
budgets = (1, 5, 20, 100)
paths = {"SwAV (ours)": "13/board/digits/swav/{}", "SimCLR (ours)": "13/board/digits/simclr/{}",
         "raw pixels": "00/pixels/digits/{}", "random encoder": "13/board/digits/random-encoder/{}",
         "supervised": "00/supervised/digits/{}"}
ours = {name: {b: (record(path.format(b)).value, record(path.format(b)).interval) for b in budgets}
        for name, path in paths.items()}

# %% tags=["figure", "comparison"]
yours = evaluation.label_efficiency(lab.objective.encoder, digits, budgets, seeds=3, penalties=(0.1,))
figures.label_efficiency({"SwAV (yours)": yours, **ours}, chance=0.1)

# %% [markdown]
# **Finding:** with one label a class SwAV is right on {{ 13/board/digits/swav/1 | percent interval }} of the test digits, with five
# on {{ 13/board/digits/swav/5 | percent interval }}. With five, raw pixels give {{ 00/pixels/digits/5 | percent }}, the random encoder
# {{ 13/board/digits/random-encoder/5 | percent }}, supervised training from scratch {{ 00/supervised/digits/5 | percent }}, chance one
# in ten. SwAV minus SimCLR, the same encoder and steps (SwAV sees two small crops besides), is
# {{ 13/board/digits/swav/5 - 13/board/digits/simclr/5 | points interval }}: an interval that holds 0 is no difference that we
# could show. With a hundred labels a class SwAV minus supervised is
# {{ 13/board/digits/swav/100 - 00/supervised/digits/100 | points interval }}. With five, SwAV minus raw pixels is
# {{ 13/board/fashion/swav/5 - 00/pixels/fashion/5 | points interval }} on clothes. On emoji it is
# {{ 13/board/emoji/swav/5 - 00/pixels/emoji/5 | points interval }}: no gain shown (lesson 13).

# %% [markdown]
# ### How many prototypes, how many crops?
#
# Short runs on digits, three seeds each, probed with 5 labels a class on *validation* images.

# %%
def setting(name, what):
    """One record with its interval, as the figures take it."""
    return record(f"{name}/{what}").value, record(f"{name}/{what}").interval

lines = {"raw pixels": record("07/untrained/raw-pixels").value,
         "random encoder": record("07/untrained/random-encoder").value, "chance": 0.1}

# %% tags=["figure", "comparison"]
what = {"prototypes in use": "prototypes-used", "purity": "purity", "purity, shuffled": "purity-shuffled",
        "validation accuracy": "probe"}
rows = {f"{count} prototypes": {label: setting(f"12/prototypes/{count}", key) for label, key in what.items()}
        for count in (16, 64, 256)}
figures.ablation(rows, {"validation accuracy": lines})

# %% [markdown]
# **Finding:** with `16`, `64` and `256` prototypes {{ 12/prototypes/16/prototypes-used | .0f }},
# {{ 12/prototypes/64/prototypes-used | .0f }} and {{ 12/prototypes/256/prototypes-used | .0f }} are in use. Purity is
# {{ 12/prototypes/16/purity | percent }}, {{ 12/prototypes/64/purity | percent }} and {{ 12/prototypes/256/purity | percent }}; with shuffled
# labels {{ 12/prototypes/16/purity-shuffled | percent }}, {{ 12/prototypes/64/purity-shuffled | percent }} and
# {{ 12/prototypes/256/purity-shuffled | percent }}: the control grows with the number, the purity here does not. The probe gives
# {{ 12/prototypes/16/probe | percent interval }},
# {{ 12/prototypes/64/probe | percent interval }} and {{ 12/prototypes/256/probe | percent interval }}; raw pixels, random encoder and
# chance are drawn, supervised stands above. `16` minus `256` is
# {{ 12/prototypes/16/probe - 12/prototypes/256/probe | points interval }}: three runs do not show which number is best. Codes
# equal in share over a *batch* are not clusters equal in use over all pictures, either.

# %% tags=["figure", "comparison"]
rows = {small: setting(f"12/crops/{small}", "probe") for small in (0, 2, 4)}
figures.settings({"SwAV": rows}, lines, "validation accuracy, 5 labels a class", "small crops beside the two large views")

# %% [markdown]
# **Finding:** with no small crop, two and four the probe gives {{ 12/crops/0/probe | percent interval }},
# {{ 12/crops/2/probe | percent interval }} and {{ 12/crops/4/probe | percent interval }}; raw pixels, random encoder and chance as
# before, supervised above. Each seed is lower with small crops than without, but runs with the same settings differ widely: two minus
# none is {{ 12/crops/2/probe - 12/crops/0/probe | points interval }}, so three runs do not show a loss. A possible reason for one: on
# photographs a part (an ear, a wheel) often tells the whole; a quarter of a digit may be a quarter of five digits, and nobody can
# guess its code. Our full runs in section 5 have two small crops all the same. What they would be without, we have not measured.

# %% [markdown]
# ## 6. Break it (12 minutes)
#
# First the rule of equal shares: the switch **balanced** off makes each code a plain softmax of its own scores.

# %% tags=["pretrain"]
broken = Lab("swav", "digits", seed=0, **sslab.recipe("swav", "digits", share=0.15))
broken.set(balanced=False)
broken.start()
broken.join()
broken.status

# %% tags=["figure"]
figures.loss({"without Sinkhorn": [row["loss"] for row in broken.history]}, broken.objective.reference_levels())

# %% [markdown]
# **Finding:** the best loss you will see in this notebook. It falls to the line *one cluster for all*: every view of every
# picture has the same code, and guesses it with certainty. In our records the loss ends at
# {{ 12/removed/swav-no-sinkhorn/loss | .3f }} without Sinkhorn and at {{ 12/removed/swav/loss | .2f }} with it.

# %% tags=["figure"]
collapsed = scores_of(broken.objective, shown)
figures.choices({"with Sinkhorn": torch.nn.functional.one_hot(trained.argmax(dim=1), 64),
                 "without": torch.nn.functional.one_hot(collapsed.argmax(dim=1), 64)})

# %% [markdown]
# **Finding:** the share of the pictures that choose each prototype, most chosen first. In our records
# {{ 12/removed/swav/prototypes-used | .0f }} prototypes are in use with Sinkhorn and
# {{ 12/removed/swav-no-sinkhorn/prototypes-used | .1f }} without. The std of the projections is
# {{ 12/removed/swav/std | .2f }} with and {{ 12/removed/swav-no-sinkhorn/std | .2f }} without, where 1 is spread over the sphere: when
# all pictures belong to one prototype, the projections themselves move there.

# %%
guess_sinkhorn.reveal("one")

# %%
claim("12/no-sinkhorn-one-prototype",
      yours={"12/removed/swav-no-sinkhorn/prototypes-used": float(objectives.prototypes_used(collapsed)),
             "12/removed/swav/prototypes-used": float(objectives.prototypes_used(trained))})

# %%
claim("12/no-sinkhorn-perfect-loss")

# %% [markdown]
# Now the opposite. Keep the rule, and make the codes softer with **epsilon**, at temperature 0.1.

# %% tags=["figure", "comparison"]
sharpness = (0.03, 0.05, 0.1, 0.5)
what = {"loss": "loss", "prototypes in use": "prototypes-used", "std of z": "std", "validation accuracy": "probe"}
rows = {f"epsilon {e:g}": {label: setting(f"12/epsilon/{e}", key) for label, key in what.items()} for e in sharpness}
rows["without Sinkhorn"] = {label: setting("12/removed/swav-no-sinkhorn", key) for label, key in what.items()}
figures.ablation(rows, {"validation accuracy": lines, "loss": {"log 64": float(torch.tensor(64.0).log())}})

# %% [markdown]
# **Finding:** at `0.03`, `0.05`, `0.1` and `0.5` the probe gives {{ 12/epsilon/0.03/probe | percent interval }},
# {{ 12/epsilon/0.05/probe | percent interval }}, {{ 12/epsilon/0.1/probe | percent interval }} and
# {{ 12/epsilon/0.5/probe | percent interval }}, and {{ 12/removed/swav-no-sinkhorn/probe | percent interval }} without Sinkhorn. The random
# encoder gives {{ 07/untrained/random-encoder | percent }}, raw pixels {{ 07/untrained/raw-pixels | percent }}, chance one in ten;
# supervised stands in section 5. Not one of these short runs is shown to beat raw pixels: `0.03` minus raw pixels is
# {{ 12/epsilon/0.03/probe - 07/untrained/raw-pixels | points interval }}. {{ claim 12/soft-codes-teach-nothing }} At `0.1` the loss
# ends there too. `0.05` is below the temperature and yet {{ 12/epsilon/0.03/probe - 12/epsilon/0.05/probe | points interval }} worse than
# `0.03`. The prototypes in use do not show this collapse, {{ 12/epsilon/0.5/prototypes-used | .0f }} at `0.5`: of scores that are nearly
# equal one is still the largest. The std does, {{ 12/epsilon/0.5/std | .2f }} at `0.5` and {{ 12/epsilon/0.03/std | .2f }} at `0.03`.

# %%
guess_epsilon.reveal("next to nothing")

# %%
claim("12/soft-codes-teach-nothing")

# %% [markdown]
# Two collapses, opposite and alike. *One cluster for all*: the target never differs between pictures. *All clusters alike*: the
# target never differs either. Sinkhorn forbids the first and by itself allows the second. Against the second there is only
# sharpness: $\varepsilon$ must be **below the temperature** $\tau$. Ignore the rule of equal shares for a moment: the guess is
# $\mathrm{softmax}(s / \tau)$, the code is like $\mathrm{softmax}(s / \varepsilon)$. Where $\varepsilon < \tau$ the code is sharper
# than the guess, and to follow it the scores must grow apart. Where $\varepsilon > \tau$ it is softer, and they must shrink, and so
# must the next codes. DINO, which has no Sinkhorn, needs the same two guards under other names: *centring* and *sharpening*.

# %% [markdown]
# ## 7. Exercises (30 minutes)
#
# ### Exercise 1: Sinkhorn
#
# *Difficulty 3/5 · importance 5/5 · 13 minutes*
#
# From scores $[B, K]$ to codes: start with $\exp(s / \varepsilon)$. In each iteration first divide each column by its sum (and by
# $K$), then each row by its sum (and by $B$). At the end multiply by $B$, so that each row sums to 1. ($K$ and $B$ are the paper's; they
# cancel, which is why ours, in logarithms, has neither.) The check also tries a
# very small epsilon: what may you subtract from *all* scores before the exponential without changing the codes?

# %% tags=["exercise"] name="sinkhorn" points=3
def my_sinkhorn(scores, epsilon=0.05, iterations=3):
    """[B, K] -> [B, K], rows sum to 1, columns to about B / K"""
    ### BEGIN SOLUTION
    # stub: q = ...                                          # [B, K], positive
    # stub: for _ in range(iterations):
    # stub:     q = ...                                      # columns
    # stub:     q = ...                                      # rows
    # stub: return ...
    q = ((scores - scores.max()).double() / epsilon).exp()
    for _ in range(iterations):
        q = q / q.sum(dim=0, keepdim=True) / q.shape[1]
        q = q / q.sum(dim=1, keepdim=True) / q.shape[0]
    return q * len(q)
    ### END SOLUTION

# %% tags=["check"] name="sinkhorn" points=3
check.sinkhorn(my_sinkhorn)

# %% [markdown]
# ### Exercise 2: the swapped prediction
#
# *Difficulty 2/5 · importance 5/5 · 9 minutes*
#
# Given the scores and the codes of two views, return the loss of section 3: the mean over the pictures and over both directions.
# The check compares gradients to the scores too.

# %% tags=["exercise"] name="swapped_prediction" points=2
def my_swapped_prediction(scores1, scores2, codes1, codes2, temperature=0.1):
    """[B, K] four times -> scalar"""
    ### BEGIN SOLUTION
    one = torch.nn.functional.cross_entropy(scores1 / temperature, codes2)
    two = torch.nn.functional.cross_entropy(scores2 / temperature, codes1)
    return (one + two) / 2
    ### END SOLUTION

# %% tags=["check"] name="swapped_prediction" points=2
check.swapped_prediction(my_swapped_prediction)

# %% [markdown]
# ### Exercise 3: how many prototypes are in use?
#
# *Difficulty 2/5 · importance 4/5 · 8 minutes*
#
# Counting those that any picture chose is too kind: a single picture would count as much as a thousand. Each picture
# chooses its largest score. Take the share $p_k$ of the pictures that choose each prototype and return the **perplexity**
# $\exp(-\sum_k p_k \log p_k)$: $K$ if all are chosen alike, 1 if one takes all. Mind the prototype that nobody chose: $0 \log 0$ counts as 0.

# %% tags=["exercise"] name="prototypes_used"
def my_prototypes_used(scores):
    """[N, K] -> scalar from 1 to K"""
    ### BEGIN SOLUTION
    # stub: choice = ...                                     # [N], the prototype of each picture
    # stub: p = ...                                          # [K], shares that sum to 1
    # stub: return ...
    choice = scores.argmax(dim=1)
    p = torch.bincount(choice, minlength=scores.shape[1]) / len(scores)
    return torch.special.entr(p).sum().exp()
    ### END SOLUTION

# %% tags=["check"] name="prototypes_used"
check.prototypes_used(my_prototypes_used)

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - A code is a target made from the model itself. Such targets can always be made trivial: ask what prevents it.
# - Sinkhorn makes every cluster equally used within a batch: a picture gets what it likes compared with the others.
# - A guess must be softer than its code, or all clusters become alike.
# - One cluster for all has a perfect loss: count the prototypes in use. All clusters alike: the count misses it, the std does not.
# - Purity grows with the number of clusters even on shuffled labels. Show the two side by side.
#
# ## Papers
#
# - Caron, Misra, Mairal, Goyal, Bojanowski, Joulin 2020: *Unsupervised learning of visual features by contrasting cluster
#   assignments*, arXiv:2006.09882
# - Asano, Rupprecht, Vedaldi 2019: *Self-labelling via simultaneous clustering and representation learning*, arXiv:1911.05371
# - Caron, Bojanowski, Joulin, Douze 2018: *Deep clustering for unsupervised learning of visual features*, arXiv:1807.05520
# - Cuturi 2013: *Sinkhorn distances: lightspeed computation of optimal transport*, arXiv:1306.0895
# - Caron et al. 2021: *Emerging properties in self-supervised vision transformers* (DINO), arXiv:2104.14294
