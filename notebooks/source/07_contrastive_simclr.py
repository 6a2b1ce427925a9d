# %% [markdown]
# # 07 · Contrastive learning: SimCLR from the inside
#
# SimCLR has three parts that matter and one number that decides how they play together: **views** say what counts as
# the same, **negatives** keep everything from becoming the same, a **projector** gives the loss a room of its own, and
# the **temperature** decides which negatives push. Here you change or break all of them but the projector, which lesson 01
# measures, and see what each was for.
#
# ## What you will be able to do
#
# - write the NT-Xent loss: the partner's index, the mask, the temperature, the mean over all views;
# - predict what a lower temperature does, and check it while the model trains;
# - say which views a task needs, from what happens without them;
# - say why this loss cannot tell chance from collapse, and what you look at instead.
#
# ## Time
#
# 80 minutes of yours. The machine needs {{ 07/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

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
# Three guesses, before anything has run.

# %%
guess_temperature = predict("07/temperature", "You lower the temperature from 0.5 to 0.05. Which negatives push a view away?",
                            ["all of them, harder", "only the few most similar ones", "only the most different ones"])
guess_temperature

# %%
guess_views = predict("07/views", "You switch all views off: both 'views' are the picture itself. What will the loss do?",
                      ["stay at chance", "fall fast, and little is learned", "fall slowly, and more is learned"])
guess_views

# %%
guess_self = predict("07/self-pairs", "A bug: each view is compared with itself too. What will the probe do?",
                     ["drop to the random encoder's", "hardly change", "rise a lot"])
guess_self

# %% [markdown]
# ## 2. See the data and the task (5 minutes)
#
# Clothes this time: harder than digits, since a shirt, a coat and a pullover share an outline.

# %%
fashion = datasets.load("fashion")
fashion.card

# %% tags=["figure"]
figures.views(fashion.train.images[:5], Augment.named("fashion"))

# %% [markdown]
# **Finding:** a view of a shoe is still a shoe, but its place and size, its brightness and at times light and dark have changed, and often a
# part is hidden. Whatever the views change, the loss asks the model to **ignore**. Views are where the knowledge about the task hides.

# %% tags=["figure"]
torch.manual_seed(0)
untrained = objectives.create("simclr", encoders.create("conv", fashion), views=Augment.named("fashion"))
first, second = untrained.make_views(fashion.train.images[:12], torch.Generator().manual_seed(0))
with torch.no_grad():
    z = untrained.projector(untrained.encoder(torch.cat([first, second])))
figures.similarity_matrix(*z.chunk(2))

# %% [markdown]
# **Finding:** 12 pictures, 24 views, and the cosine of each pair before any training. The black frames are partners. Some are
# red already, but so are strangers in the same row. The task is to make each the reddest of its row, the diagonal left aside.

# %% [markdown]
# ## 3. Read the objective (8 minutes)
#
# A batch has $B$ pictures and so $2B$ views; $z_i$ is the projection of view $i$ and $\tau$ the temperature. With
# $s_{ik} = \cos(z_i, z_k)$, for the partner $j$ of view $i$:
#
# $$\ell_i = \underbrace{-\frac{s_{ij}}{\tau}}_{\text{attraction}} + \underbrace{\log \sum_{k \neq i} e^{s_{ik}/\tau}}_{\text{repulsion}}$$
#
# Chance is $\log(2B - 1)$. A collapsed encoder has all $s_{ik} = 1$ and scores exactly the same: on this loss, learning
# nothing and collapsing look alike, which is why the gauges of the lab watch the projections themselves.

# %%
show_source(objectives.nt_xent)

# %%
show_source(objectives.SimCLR)

# %% [markdown]
# The derivative of the repulsion by $s_{ik}$ is $\frac{1}{\tau}\,\mathrm{softmax}(s_i / \tau)_k$, with $k = i$ left out of the softmax.
# So the softmax says which share of the push on view $i$ comes from view $k$. Take one clothing picture, the cosines of its
# untrained projection with those of 511 others, and four temperatures:

# %% tags=["figure"]
with torch.no_grad():
    z = torch.nn.functional.normalize(untrained.projector(untrained.encoder(fashion.train.images[:512])), dim=1)
figures.temperature_weights(z[0] @ z[1:].T, (0.05, 0.2, 0.5, 2.0))

# %% [markdown]
# **Finding:** at temperature `2` everybody pushes about alike; at `0.05` the most similar twentieth does more than half of the
# pushing. Among the most similar there may be pictures of the same class: two pictures of one shirt model are negatives
# here, for nobody told the loss about shirts.

# %%
guess_temperature.reveal("only the few most similar ones")

# %% [markdown]
# ## 4. Run it live (8 minutes)
#
# Press **Start** in the lab. While it trains, move **temperature** to `0.05` and back, and watch the curve of
# the loss jump: the scale of the loss has changed, not what was learned. Then watch the probe, which takes its time. When it has
# ended, skip the cell below the lab, which begins a new run. Or run that cell and only watch.
# This run takes four fifths of the recipe's steps, to end within two minutes.

# %%
lab = Lab("simclr", "fashion", seed=0, **sslab.recipe("simclr", "fashion", share=0.8))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% [markdown]
# ## 5. Explain: what decides how good it gets? (12 minutes)
#
# First the whole, on test images, with its controls: chance, raw pixels, the random encoder, supervised from scratch.
# Yours is one run with three draws of labels; the bands of ours are 95 % intervals over 3 pretraining runs. Raw pixels and supervised
# have no pretraining, and so no band. Supervised chose its settings on validation images.

# %%
budgets = (1, 5, 20, 100)
ours = {name: {b: (record(path.format(b)).value, record(path.format(b)).interval) for b in budgets}
        for name, path in {"SimCLR (ours)": "00/probe/fashion/{}/simclr", "raw pixels": "00/pixels/fashion/{}",
                           "random encoder": "00/probe/fashion/{}/random-encoder",
                           "supervised": "00/supervised/fashion/{}"}.items()}

# %% tags=["figure", "comparison"]
yours = evaluation.label_efficiency(lab.objective.encoder, fashion, budgets, seeds=3, penalties=(0.1,))
figures.label_efficiency({"SimCLR (yours)": yours, **ours}, chance=0.1)

# %% [markdown]
# **Finding:** on clothes the gain over the best control is
# {{ 00/probe/fashion/1/simclr - 00/pixels/fashion/1 | points interval }} over raw pixels with one label a class and
# {{ 00/probe/fashion/5/simclr - 00/pixels/fashion/5 | points interval }} with five. With twenty the difference to supervised
# is {{ 00/probe/fashion/20/simclr - 00/supervised/fashion/20 | points interval }}, and with a hundred
# {{ 00/probe/fashion/100/simclr - 00/supervised/fashion/100 | points interval }}: behind. To raw pixels it is then
# {{ 00/probe/fashion/100/simclr - 00/pixels/fashion/100 | points interval }}. The probe's penalty is fixed here. Chosen on validation, as supervised
# chose its settings, the difference to supervised with a hundred is
# {{ 00/probe/fashion/100/simclr-generous - 00/supervised/fashion/100 | points interval }}, just above 0: there the protocol decides who is
# ahead. Self-supervision buys most where labels are fewest. The random encoder and chance lie far below throughout.

# %%
claim("00/fashion-honest")

# %% [markdown]
# Now the temperature. Short runs on digits, three seeds each, probed with 5 labels a class on *validation* images:
# whoever compares settings is choosing, and choosing on test images is cheating.

# %% tags=["figure", "comparison"]
taus = (0.05, 0.2, 0.5, 2.0)
rows = {tau: (record(f"07/temperature/{tau}/probe").value, record(f"07/temperature/{tau}/probe").interval) for tau in taus}
lines = {"raw pixels": record("07/untrained/raw-pixels").value,
         "random encoder": record("07/untrained/random-encoder").value, "chance": 0.1}
figures.settings({"SimCLR": rows}, lines, "validation accuracy, 5 labels a class", "temperature")

# %% [markdown]
# **Finding:** the probe gives {{ 07/temperature/0.05/probe | percent interval }} at temperature `0.05`,
# {{ 07/temperature/0.2/probe | percent interval }} at `0.2`, {{ 07/temperature/0.5/probe | percent interval }} at `0.5` and
# {{ 07/temperature/2.0/probe | percent interval }} at `2`; raw pixels {{ 07/untrained/raw-pixels | percent }}, the random
# encoder {{ 07/untrained/random-encoder | percent }}, chance one in ten; supervised training we have on test digits only,
# {{ 00/supervised/digits/5 | percent }}, where raw pixels have {{ 00/pixels/digits/5 | percent }}. {{ claim 07/hot-forgets-details }}
# There is a middle: `0.5` is {{ 07/temperature/0.5/probe - 07/temperature/0.2/probe | points interval }} above `0.2`, and `0.2` is
# {{ 07/temperature/0.2/probe - 07/temperature/0.05/probe | points interval }} above `0.05`. Why, we did not measure. It would fit that a hot
# loss never asks for fine differences, and that in a cold one only the few most similar push, some of them of the same class.

# %% tags=["figure", "comparison"]
kinds = {"none": "07/views/none", "crop": "07/views/crop", "rotation": "07/views/rotation", "all": "07/temperature/0.5"}
rows = {kind: (record(f"{name}/probe").value, record(f"{name}/probe").interval) for kind, name in kinds.items()}
figures.settings({"SimCLR": rows}, lines, "validation accuracy, 5 labels a class", "views that are on")

# %% [markdown]
# **Finding:** without any views the probe is at {{ 07/views/none/probe | percent interval }}, with crops alone at
# {{ 07/views/crop/probe | percent interval }}, with rotations alone at {{ 07/views/rotation/probe | percent interval }}, with all
# at {{ 07/temperature/0.5/probe | percent interval }}. The controls (raw pixels, random encoder, chance; supervised as above) do not
# move. {{ claim 07/views-make-the-task }} Without views training did harm: to the random encoder the difference is
# {{ 07/views/none/probe - 07/untrained/random-encoder | points interval }}. Yet without views the loss ends lower,
# at {{ 07/views/none/loss }} against {{ 07/temperature/0.5/loss }} with all.

# %%
guess_views.reveal("fall fast, and little is learned")

# %% [markdown]
# And the batch: the same number of views, cut into small batches or large ones.

# %% tags=["figure", "comparison"]
sizes = {64: "07/temperature/0.5", 256: "07/batch/256", 1024: "07/batch/1024"}
rows = {size: (record(f"{name}/probe").value, record(f"{name}/probe").interval) for size, name in sizes.items()}
figures.settings({"SimCLR": rows}, lines, "validation accuracy, 5 labels a class", "batch size, at equal views")

# %% [markdown]
# **Finding:** {{ 07/temperature/0.5/probe | percent interval }} at batch `64`, {{ 07/batch/256/probe | percent interval }} at `256`,
# {{ 07/batch/1024/probe | percent interval }} at `1024`, in `450`, `112` and `28` steps with the same learning rate; raw pixels, random
# encoder, chance and supervised as above. The number of negatives and the number of steps change together, so this says what to
# choose at this budget, not why. The paper found larger batches better, most of all in its shorter runs. But these took more than ten
# thousand steps, and the learning rate grew with the batch (lesson 16 tries that). Advice has a range: measure in yours.

# %% [markdown]
# ## 6. Break it (12 minutes)
#
# Now switch things off. The cell below does it for a short run; in the lab above you can do it by hand while it trains, and
# **Compare with earlier runs** shows the last run's curves as ghosts.

# %% tags=["pretrain"]
broken = Lab("simclr", "digits", seed=0, **sslab.recipe("simclr", "digits", share=0.15))
broken.set(negatives=False)
broken.start()
broken.join()

# %% tags=["figure"]
shown = datasets.load("digits").validation.images[:1000]
with torch.no_grad(), evaluation.evaluating(broken.objective):
    z = broken.objective.projector(broken.objective.encoder(shown))
figures.loss({"without negatives": [row["loss"] for row in broken.history]}, broken.objective.reference_levels())

# %% [markdown]
# **Finding:** the loss runs down to its collapse line. In our records, of twice as many steps, the std of the projections is
# {{ 07/broken/no-negatives/std | .3f }} without negatives and {{ 07/temperature/0.5/std | .2f }} with them, where 1 means
# spread over the sphere. The perfect score of a proxy that forgot to ask for a difference.

# %%
evaluation.diagnose(z)

# %%
claim("07/no-negatives-collapses", yours={"07/broken/no-negatives/std": float(evaluation.feature_std(z))})

# %% tags=["figure", "comparison"]
names = ("no-negatives", "self-pairs", "shuffled")
rows = {name: (record(f"07/broken/{name}/probe").value, record(f"07/broken/{name}/probe").interval) for name in names}
rows = {"nothing broken": (record("07/temperature/0.5/probe").value, record("07/temperature/0.5/probe").interval), **rows}
figures.settings({"SimCLR": rows}, lines, "validation accuracy, 5 labels a class")

# %% [markdown]
# **Finding:** {{ 07/broken/no-negatives/probe | percent }} without negatives, {{ 07/broken/self-pairs/probe | percent }} with self-pairs
# unmasked, {{ 07/broken/shuffled/probe | percent }} with strangers as partners ("shuffled"), against
# {{ 07/temperature/0.5/probe | percent }} with nothing broken; raw pixels {{ 07/untrained/raw-pixels | percent }}, random encoder
# {{ 07/untrained/random-encoder | percent }}, chance one in ten, supervised as above. To the random encoder the difference is
# {{ 07/broken/no-negatives/probe - 07/untrained/random-encoder | points interval }} without negatives, which holds 0, and with strangers
# {{ 07/broken/shuffled/probe - 07/untrained/random-encoder | points interval }}. Unmasked self-pairs differ from nothing broken by
# {{ 07/broken/self-pairs/probe - 07/temperature/0.5/probe | points interval }}: the probe does not find this bug, a test of the loss does. And
# negatives alone keep nothing spread: with strangers as partners the std falls to {{ 07/broken/shuffled/std | .2f }}, while the loss,
# {{ 07/broken/shuffled/loss | .2f }}, is at chance.

# %%
guess_self.reveal("hardly change")

# %%
claim("07/shuffled-learns-nothing")

# %% [markdown]
# ## 7. Exercises (30 minutes)
#
# ### Exercise 1: who is whose partner?
#
# *Difficulty 1/5 · importance 5/5 · 5 minutes*
#
# The views are stacked: rows $0 \ldots B-1$ are first views, rows $B \ldots 2B-1$ second views of the same pictures. Return
# for each row the index of its partner.

# %% tags=["exercise"] name="positive_index"
def my_positive_index(batch):
    """B -> int64 [2B]"""
    ### BEGIN SOLUTION
    return torch.arange(2 * batch).roll(batch)
    ### END SOLUTION

# %% tags=["check"] name="positive_index"
check.positive_index(my_positive_index)

# %% [markdown]
# ### Exercise 2: who pushes?
#
# *Difficulty 2/5 · importance 4/5 · 7 minutes*
#
# Given the cosines of all views of a batch `similarity` [N, N], return the share with which each view $k$ pushes view $i$:
# a softmax over row $i$ at the given temperature, in which a view does not push itself (its partner does). Rows sum to 1.

# %% tags=["exercise"] name="push_weights"
def my_push_weights(similarity, temperature=0.5):
    """[N, N] -> [N, N], zeros on the diagonal"""
    ### BEGIN SOLUTION
    own = torch.eye(len(similarity), dtype=torch.bool)
    return (similarity / temperature).masked_fill(own, float("-inf")).softmax(dim=1)
    ### END SOLUTION

# %% tags=["check"] name="push_weights"
check.push_weights(my_push_weights)

# %% [markdown]
# ### Exercise 3: the loss by hand
#
# *Difficulty 3/5 · importance 5/5 · 18 minutes*
#
# Write NT-Xent: normalise, all cosines, temperature, no view against itself, the partner's index, cross-entropy, mean over
# all $2B$ views. The check compares values *and gradients*, and tries a very low temperature.

# %% tags=["exercise"] name="nt_xent" points=3
def my_nt_xent(z1, z2, temperature=0.5):
    """[B, D], [B, D] -> scalar"""
    ### BEGIN SOLUTION
    # stub: z = ...                                          # [2B, D], rows of length 1
    # stub: similarity = ...                                 # [2B, 2B], over the temperature, own entry impossible
    # stub: return ...                                       # cross-entropy with the partner's index
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    similarity = (z @ z.T / temperature).masked_fill(torch.eye(len(z), dtype=torch.bool), float("-inf"))
    return torch.nn.functional.cross_entropy(similarity, torch.arange(len(z)).roll(len(z1)))
    ### END SOLUTION

# %% tags=["check"] name="nt_xent" points=3
check.nt_xent(my_nt_xent)

# %% [markdown]
# ## 8. What to remember (1 minute)
#
# - Views define the task: what they change is what the encoder learns to ignore.
# - Negatives keep the encoder from the trivial answer, if partners can be found. Later methods replace them; none goes without a substitute.
# - Temperature chooses the negatives that count, from all of them to the nearest few.
# - Chance and collapse score the same here. Watch the projections, not the loss alone.
# - A comparison of settings happens on validation images; test images are read once.
#
# ## Papers
#
# - Chen, Kornblith, Norouzi, Hinton 2020: *A simple framework for contrastive learning of visual representations*,
#   arXiv:2002.05709
# - van den Oord, Li, Vinyals 2018: *Representation learning with contrastive predictive coding*, arXiv:1807.03748
# - Wang and Isola 2020: *Understanding contrastive representation learning through alignment and uniformity on the
#   hypersphere*, arXiv:2005.10242
# - Wang and Liu 2021: *Understanding the behaviour of contrastive loss*, arXiv:2012.09740
