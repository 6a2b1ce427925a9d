# %% [markdown]
# # 01 · Measuring representations: what a number depends on
#
# Somebody says: *our encoder gets 83 %*. Of what, read from which layer, with how many labels, chosen how? A representation has no
# accuracy of its own. What has one is a whole procedure: encoder, layer, classifier, labels, the way its settings were chosen. Change one
# of these and the number moves, at times further than from one method to another. Here you move each of them once. Then you get six
# procedures of which four cheat, and you find out which.
#
# ## What you will be able to do
#
# - choose between nearest neighbours, a linear probe and fine-tuning, and say what each of them asks;
# - say what the projector costs, and where three runs cannot tell;
# - count the labels that were used to *choose* something, and say what they were worth;
# - look at a map of an embedding and say what cannot be read from it;
# - ask four questions of an evaluation that tell whether it cheats.
#
# ## Time
#
# 95 minutes of yours. The machine needs {{ 01/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import copy

import torch

import sslab
from sslab import datasets, evaluation, figures
from sslab.course import claim, record
from sslab.course.lessons import nb01
from sslab.evaluation import leaks
from sslab.evaluation.layers import layer_efficiency
from sslab.evaluation.maps import class_distances, islands, pca_map, rank_correlation, umap_map
from sslab.figures.measuring import maps, worth
from sslab.lab import Lab, check, predict, show_source
from sslab.lab.checks.leaks import KINDS

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# Four guesses. In a SimCLR network a picture goes through a first convolution (the stem), three blocks, the last of which gives the
# representation $h$, and a projector with one hidden layer, whose output is $z$. The loss sees $z$ only.
#
# Words that you need: the *penalty* of a probe keeps its weights small. *UMAP* draws many dimensions as a flat map, in which each point is tied to its
# `n_neighbors` nearest. Four leaks: *test chooses*, a setting is chosen on test; *backbone moves*, an encoder that is called frozen is trained;
# *test statistics*, features are scaled by the test set's own mean and spread; *duplicates*, a picture is in train and in test. In the last question the
# test pictures are of the same kind as the others.

# %%
LAYERS = ["stem", "block 1", "block 2", "h", "hidden", "z"]
guess_layer = predict("01/layer", "With 100 labels a class: from which layer does a linear probe read the class best?", LAYERS)
guess_layer

# %%
USES = ["all ten to train, the penalty fixed beforehand", "five to train, five to choose the penalty"]
guess_labels = predict("01/labels", "You own ten labels a class and nothing else. What is the best use of them?", USES)
guess_labels

# %%
guess_noise = predict("01/noise", "800 points of pure noise go into UMAP with n_neighbors 3. The map shows ...",
                      ["one even disc", "several islands", "a ring"])
guess_noise

# %%
guess_leak = predict("01/leak", "Clothes, some hundred labelled pictures. Which leak adds most to the number you report?", KINDS[1:])
guess_leak

# %% [markdown]
# ## 2. See the data and what is done with it (4 minutes)

# %%
fashion = datasets.load("fashion")
fashion.card

# %% tags=["figure"]
figures.samples(fashion, per_class=10)

# %% [markdown]
# **Finding:** ten kinds of clothes. Pullover, coat and shirt share an outline, so that no method here comes near to perfect, and
# differences can be seen.
#
# Three splits, and each has one job:

# %%
for name, split in (("train", fashion.train), ("validation", fashion.validation), ("test", fashion.test)):
    print(f"{name:12} {len(split):6,} images")
few = evaluation.draw_labels(fashion.train.labels, per_class=5, draw=0)
print(f"5 labels a class, draw 0: images {few[:5].tolist()} ... {len(few)} in all")

# %% [markdown]
# *Train* is learned from; of its labels you own as many as the budget says. *Validation* is for choosing. *Test* is read once, when
# nothing is left to be chosen. Which fifty images you draw matters a great deal, so there are several draws, and everything that is
# compared gets the same ones.
#
# ## 3. Read how a representation is measured (10 minutes)
#
# Three questions about one encoder $f$, $h = f(x)$:
#
# - **nearest neighbours**: do pictures of one class lie *close together*? Nothing is trained.
# - **linear probe**: is the class *there*, in some direction of $h$? A linear layer is trained, $f$ is frozen:
#   $\min_{W, b} \frac{1}{n} \sum_i -\log \mathrm{softmax}(W h_i + b)_{y_i} + \frac{\lambda}{2} \lVert W \rVert^2$
# - **fine-tuning**: is $f$ a good *place to start* from? All of it is trained on.
#
# The answers differ, and all are honest. The penalty $\lambda$, the number of neighbours $k$, the learning rate: somebody has to choose them.

# %%
show_source(evaluation.knn)

# %%
show_source(evaluation.linear_probe)

# %% [markdown]
# Read the last seven lines again: the penalty is chosen on `validation`, and `test` is touched once, at the end. You will meet versions of
# this function in which that is not so.
#
# ## 4. Run it (6 minutes)
#
# First an encoder to be measured: SimCLR on clothes, a third of the recipe's steps, no labels.

# %%
lab = Lab("simclr", "fashion", seed=0, **sslab.recipe("simclr", "fashion", share=0.3))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% [markdown]
# Now all three questions, with five labels a class, on test images. Two draws; fine-tuning takes its time.

# %%
encoder = lab.objective.encoder
h = nb01.embedded(encoder, fashion)
yours = {"kNN": nb01.near_accuracy(h, 5, draws=2),
         "linear probe": evaluation.label_efficiency(lambda x: x, h, (5,), seeds=2, penalties=(0.1,)).fixed[5],
         "raw pixels": evaluation.label_efficiency(evaluation.raw_pixels, fashion, (5,), seeds=2, penalties=(0.1,)).fixed[5]}
search = sslab.by_mode(None, nb01.SEARCH[:1])                        # no search today: the setting for few labels
tuned = evaluation.fine_tuned(encoder, fashion, (5,), draws=2, views=sslab.views.Augment.named("fashion"), search=search)
yours["fine-tuned"] = tuned.fixed[5]
for name, values in yours.items():
    print(f"{name:14}", ", ".join(f"{value:.1%}" for value in values))

# %% [markdown]
# Look at one row: what changes from left to right is *which* fifty pictures had a label (for fine-tuning the seed of its training, too). Now look at one column. Is the
# difference between two methods larger than that between two draws? If you compared one draw of this with another draw of that, you would not know what you saw.
#
# ## 5. Explain (25 minutes)
#
# ### Three measures, four budgets
#
# Our records: three pretraining runs, ten draws of labels each. Fine-tuning has two draws, and its learning rate and length were chosen on the
# validation split: compare it with the probe by the paired difference below, not by the two levels. Brackets are 95 % intervals over the three runs;
# the luck of the draws, which all runs share, is not in them. Raw pixels do not depend on a run and have none.

# %%
def measured(kinds):
    """Our records as the figures take them: kind -> {budget: (mean, interval)}."""
    return {label: {b: (record(path.format(b)).value, record(path.format(b)).interval) for b in (1, 5, 20, 100)}
            for label, path in kinds.items()}

by_budget = measured({
    "kNN": "01/measures/fashion/{}/knn", "linear probe": "01/measures/fashion/{}/probe", "fine-tuned": "01/measures/fashion/{}/fine-tuned",
    "raw pixels": "00/pixels/fashion/{}", "random encoder": "01/measures/fashion/{}/random-encoder", "supervised": "00/supervised/fashion/{}"})

# %% tags=["figure", "comparison"]
figures.label_efficiency(by_budget, chance=0.1)

# %% [markdown]
# **Finding:** with one label a class kNN gets {{ 01/measures/fashion/1/knn | percent interval }}, the probe
# {{ 01/measures/fashion/1/probe | percent interval }} and fine-tuning {{ 01/measures/fashion/1/fine-tuned | percent interval }}; with a hundred
# {{ 01/measures/fashion/100/knn | percent interval }}, {{ 01/measures/fashion/100/probe | percent interval }} and
# {{ 01/measures/fashion/100/fine-tuned | percent interval }}. On the same draws, and with the probe's penalty chosen on validation too,
# fine-tuning differs from it by {{ 01/measures/fashion/1/fine-tuned-minus-probe | points interval }} with one label a class and by
# {{ 01/measures/fashion/100/fine-tuned-minus-probe | points interval }} with a hundred. Controls: chance, raw pixels, the random encoder's probe,
# and supervised training from scratch. The budget decides which of them is beaten: with 5 labels a class the probe
# ({{ 01/measures/fashion/5/probe | percent interval }}) is above raw pixels ({{ 00/pixels/fashion/5 | percent }}), with 100 probe and kNN are below
# them ({{ 00/pixels/fashion/100 | percent }}).

# %%
claim("01/fine-tuning-pays-with-labels")

# %% [markdown]
# On digits, with encoders pretrained on digits in the same way and five labels a class: kNN {{ 01/measures/digits/5/knn | percent interval }}, probe
# {{ 01/measures/digits/5/probe | percent interval }}, fine-tuned {{ 01/measures/digits/5/fine-tuned | percent interval }}. Fine-tuning minus the probe, on
# the same draws: {{ 01/measures/digits/5/fine-tuned-minus-probe | points interval }} with five labels a class, {{ 01/measures/digits/1/fine-tuned-minus-probe | points interval }}
# with one.
#
# ### Which layer?
#
# The same probe at every layer of your network, averaged over the places of the picture.

# %%
depths = layer_efficiency(encoder, fashion, (5, 100), seeds=2, projector=lab.objective.projector)
for name, table in depths.items():
    print(f"{name:8} 5 labels {table.mean(5):.1%}   100 labels {table.mean(100):.1%}")
guess_layer.reveal(max(depths, key=lambda name: depths[name].mean(100)))

# %%
def by_layer(dataset, budget, who, layers=LAYERS):
    """Our records: layer -> (mean, interval)."""
    found = {name: record(f"01/layers/{dataset}/{name.replace(' ', '-')}/{budget}/{who}") for name in layers}
    return {name: (one.value, one.interval) for name, one in found.items()}

lines = {"raw pixels": record("00/pixels/fashion/100").value, "supervised": record("00/supervised/fashion/100").value, "chance": 0.1}

# %% tags=["figure", "comparison"]
figures.settings({"random encoder": by_layer("fashion", 100, "random-encoder", LAYERS[:4]), "SimCLR": by_layer("fashion", 100, "simclr")},
                 lines, "test accuracy of a probe, 100 labels a class", "layer")

# %% [markdown]
# **Finding:** with 100 labels a class SimCLR's stem gives {{ 01/layers/fashion/stem/100/simclr | percent interval }}, its $h$
# {{ 01/layers/fashion/h/100/simclr | percent interval }}, the projector's hidden layer {{ 01/layers/fashion/hidden/100/simclr | percent interval }}
# and $z$ {{ 01/layers/fashion/z/100/simclr | percent interval }}. What the projector costs, $h$ minus $z$:
# {{ 01/layers/fashion/h/100/simclr - 01/layers/fashion/z/100/simclr | points interval }} with a hundred labels,
# {{ 01/layers/fashion/h/5/simclr - 01/layers/fashion/z/5/simclr | points interval }} with five; on digits
# {{ 01/layers/digits/h/100/simclr - 01/layers/digits/z/100/simclr | points interval }} and
# {{ 01/layers/digits/h/5/simclr - 01/layers/digits/z/5/simclr | points interval }}. An interval that holds 0 means that our three runs cannot tell.
# Digits with a hundred labels are clear, and there the hidden layer ({{ 01/layers/digits/hidden/100/simclr | percent interval }}) is about as good as $h$
# ({{ 01/layers/digits/h/100/simclr | percent interval }}): what is lost is lost at the end. On clothes $h$ and the hidden layer are too close to rank,
# so luck may have judged your guess. The untrained network has a slope as well, from
# {{ 01/layers/fashion/stem/100/random-encoder | percent interval }} at the stem to {{ 01/layers/fashion/h/100/random-encoder | percent interval }} at
# $h$: part of what depth gives is architecture, and width. The lines are the other controls, raw pixels
# ({{ 00/pixels/fashion/100 | percent }}), supervised and chance. With a hundred labels every layer of this SimCLR lies below raw pixels: it was trained for a short
# time, and the penalty is fixed.

# %%
claim("01/h-before-z")

# %%
claim("01/training-makes-depth-pay", yours={f"01/layers/fashion/{name}/5/simclr": depths[name].mean(5) for name in ("h", "stem")})

# %% [markdown]
# The loss asks $z$ to forget what the views change, and $z$ is where it is forgotten first. [14](14_misalignment.ipynb) shows what exactly.
# For you it is a rule: *say which layer you read, and do not read the one that the loss sees.*
#
# ### Labels that nobody counts
#
# A paper says: "five labels a class". Then it chooses the penalty on a validation split with two thousand labels. That person had
# 205 labels a class. Four protocols, described honestly; $n$ is the number of labels a class in one part:
#
# | protocol | labels a class in all | the penalty |
# |---|---|---|
# | fixed | $n$ | was written down beforehand |
# | half to choose | $2n$ | chosen on the other $n$ |
# | all to train | $2n$ | as in *fixed*; all are trained on |
# | validation split | $n$ and about 200 | chosen on the whole split |

# %%
def over_fixed(dataset, protocol):
    """Our records: n -> (what a protocol gives minus what the fixed penalty gives, interval), paired by run."""
    found = {n: record(f"01/penalty/{dataset}/{n}/{protocol}").minus(record(f"01/penalty/{dataset}/{n}/fixed")) for n in (1, 5, 20, 100)}
    return {n: (100 * one.value, [100 * end for end in one.interval]) for n, one in found.items()}

# %% tags=["figure"]
figures.settings({name: over_fixed("fashion", name.replace(" ", "-")) for name in ("half to choose", "all to train", "validation split")},
                 {"fixed": 0.0}, "points over the fixed penalty", "n, labels a class in one part")

# %% [markdown]
# **Finding:** clothes, the same encoders throughout. To own the validation split is worth
# {{ 01/penalty/fashion/5/validation-split - 01/penalty/fashion/5/fixed | points interval }} with 5 labels a class and
# {{ 01/penalty/fashion/100/validation-split - 01/penalty/fashion/100/fixed | points interval }} with 100. Of $2n$ labels, training on all of them
# instead of choosing with half is worth {{ 01/penalty/fashion/5/all-to-train - 01/penalty/fashion/5/half-to-choose | points interval }} at
# $n = 5$ and {{ 01/penalty/fashion/100/all-to-train - 01/penalty/fashion/100/half-to-choose | points interval }} at $n = 100$.

# %%
claim("01/few-labels-are-for-training")

# %%
claim("01/many-labels-may-choose")

# %%
guess_labels.reveal(USES[int(record("01/penalty/fashion/5/half-to-choose").value > record("01/penalty/fashion/5/all-to-train").value)])

# %% [markdown]
# With few labels there is little to gain by choosing: even the whole validation split adds next to nothing. And the labels that choose are missing where
# they would have taught something. With many labels a
# penalty written down for few is too strong, and a choice costs nothing you would miss. The tables of this course fix the penalty at every budget, so that no
# label is spent on it; with many labels that costs points, and here you see how many. They do choose one of three scalings of the features on validation,
# one for all draws of a budget together, for the controls as well. (The four protocols above have one scaling.)
#
# ### What a map cannot tell
#
# A map flattens 128 dimensions to two. The same 800 validation pictures, their $h$ at length 1: first PCA, then UMAP with three settings of `n_neighbors`
# and three seeds.

# %%
count, seeds = sslab.by_mode((90, 1), (nb01.MAPPED, 3))
labels, x = fashion.validation.labels[:count], torch.nn.functional.normalize(h.validation.inputs[:count], dim=1)
drawn = {f"n_neighbors {n}, seed {seed}": umap_map(x, n, seed) for n in nb01.NEIGHBOURS for seed in range(seeds)}

# %% tags=["figure"]
maps({"PCA": pca_map(x)}, labels, fashion.class_names)

# %% [markdown]
# **Finding:** one cloud, with parts that overlap. There is no setting and no seed: PCA gives the same picture each time.

# %% tags=["figure"]
maps(drawn, labels, fashion.class_names)

# %% [markdown]
# **Finding:** nine maps of one and the same embedding, and islands where PCA drew a cloud. Let us count with one fixed rule: points
# nearer than `4` times the usual distance to a nearest neighbour belong together, and `10` points make an island. That is stricter than the eye. Our
# records count {{ 01/maps/h/itself | .0f }} in $h$ itself, {{ 01/maps/h/pca | .0f }} on PCA, and {{ 01/maps/h/umap-3 | .0f }}, {{ 01/maps/h/umap-15 | .0f }} and {{ 01/maps/h/umap-50 | .0f }} on UMAP with
# n_neighbors `3`, `15` and `50`. There are ten classes. From seed to seed, along a row, the distances between classes keep most of their order: rank correlation
# {{ 01/maps/between-layouts/umap-15 | .2f interval }} with `15`, where `1` is the same order. That two seeds agree does not make them right.

# %% [markdown]
# Which classes are near each other, and which far? Let us ask $h$ itself, and compare the order of the 45 distances between classes.

# %%
true = class_distances(x, labels)
kept = {title: rank_correlation(true, class_distances(points, labels)) for title, points in {"PCA": pca_map(x), **drawn}.items()}
by_knob = {n: sum(kept[f"n_neighbors {n}, seed {seed}"] for seed in range(seeds)) / seeds for n in nb01.NEIGHBOURS}
print(f"PCA {kept['PCA']:.2f}", {f"UMAP {n}": round(value, 2) for n, value in by_knob.items()})

# %%
claim("01/maps-bend-distances", yours={"01/maps/distances/pca": kept["PCA"], "01/maps/distances/umap-15": by_knob[15],
                                       "01/maps/distances/umap-50": by_knob[50]})

# %% [markdown]
# In our records PCA keeps the order to {{ 01/maps/distances/pca | .2f interval }}, UMAP to {{ 01/maps/distances/umap-50 | .2f interval }} with `50`,
# {{ 01/maps/distances/umap-15 | .2f interval }} with `15` and {{ 01/maps/distances/umap-3 | .2f interval }} with `3`, where it depends on the run. UMAP is made to
# keep near ones near. How far apart the far ones are, it is not asked to keep.
#
# Now something that has no structure at all: every number drawn from one Gaussian.

# %%
noise = torch.randn(count, 128, generator=torch.Generator().manual_seed(0))
nothing = {"PCA": pca_map(noise), **{f"UMAP, n_neighbors {n}": umap_map(noise, n) for n in nb01.NEIGHBOURS}}
seen = {title: islands(points) for title, points in nothing.items()}
print("islands in noise:", seen)
guess_noise.reveal("several islands" if seen["UMAP, n_neighbors 3"] > 1 else "one even disc")

# %% tags=["figure"]
maps(nothing, columns=4)

# %% [markdown]
# **Finding:** with n_neighbors `3` noise falls into strings and clumps, {{ 01/maps/noise/umap-3 | .0f }} islands in our records. With `15` it has
# {{ 01/maps/noise/umap-15 | .0f }} and with `50` {{ 01/maps/noise/umap-50 | .0f }}: an even disc, as it should be. On PCA it has {{ 01/maps/noise/pca | .0f }}. So
# the map does not always lie. It does not tell you when it does.

# %%
claim("01/islands-in-noise", yours={"01/maps/noise/umap-3": seen["UMAP, n_neighbors 3"], "01/maps/noise/pca": seen["PCA"],
                                    "01/maps/noise/umap-15": seen["UMAP, n_neighbors 15"]})

# %% [markdown]
# A map is for having ideas: *these shirts lie among the coats, let me look at them*. It is not a measurement. Whatever you believe to see in it, ask
# the embedding itself.
#
# ## 6. Break it: find the leak (12 minutes)
#
# Six people evaluated your encoder with a few labels. Each handed in a function and a number. Four of them made a mistake, so that the
# number does not mean what it says; two did not. Read them. Each is called with the encoder, three splits of 300 pictures with labels, and tells what it predicted, what
# it learned from and what it was scored on.

# %%
order = torch.Generator().manual_seed(0)
labelled, held, test = (leaks.rows_of(split, torch.randperm(len(split), generator=order)[:sslab.by_mode(60, 300)])
                        for split in (fashion.train, fashion.validation, fashion.test))

# %%
show_source(leaks.evaluation_a)

# %%
show_source(leaks.evaluation_b)

# %%
show_source(leaks.evaluation_c)

# %%
show_source(leaks.evaluation_d)

# %%
show_source(leaks.evaluation_e)

# %%
show_source(leaks.evaluation_f)

# %%
reports = {letter: evaluate(copy.deepcopy(encoder), labelled, held, test) for letter, evaluate in leaks.EVALUATIONS.items()}
print({letter: f"{report.accuracy:.1%}" for letter, report in reports.items()})

# %% [markdown]
# Would you have found it strange, any of these numbers? Note a suspicion for each letter; the exercises give you the means to prove it. What
# such a leak is worth can be measured: the number with the leak minus an honest one. *Test chooses*: the chosen variant on the images that chose it, minus
# on the other test images. *Backbone moves*: minus an ordinary linear probe on the same labels. *Test statistics*: minus the same probe, its features
# scaled as those of the training set. *Duplicates*: minus the same pictures, split before they are drawn again.

# %%
rows = {"test chooses among 100, 50 images": "chooses/50/100", "test chooses among 100, 2,500 images": "chooses/2500/100",
        "backbone moves, 5 labels, SimCLR": "backbone/5/simclr", "backbone moves, 5 labels, random encoder": "backbone/5/random-encoder",
        "backbone moves, 100 labels, SimCLR": "backbone/100/simclr", "test statistics, same source": "statistics/same",
        "test statistics, noisier test": "statistics/noisier", "test statistics, class by class": "statistics/by-class",
        "duplicates, 100 labelled": "duplicates/100", "duplicates, 2,000 labelled": "duplicates/2000"}
adds = {row: record(f"01/leaks/{name}") for row, name in rows.items()}

# %% tags=["figure"]
worth({row: (one.value, one.interval) for row, one in adds.items()}, "points that the leak adds")

# %% [markdown]
# **Finding:** *test chooses*: the best of 100 variants that differ by luck alone reports {{ 01/leaks/chooses/50/100 | points interval }} too much on `50` test
# images, {{ 01/leaks/chooses/500/100 | points interval }} on `500`, {{ 01/leaks/chooses/2500/100 | points interval }} on `2500`. *Backbone moves*: with 5 labels a
# class {{ 01/leaks/backbone/5/simclr | points interval }} for SimCLR, {{ 01/leaks/backbone/5/random-encoder | points interval }} for the random encoder; with 100
# {{ 01/leaks/backbone/100/simclr | points interval }} and {{ 01/leaks/backbone/100/random-encoder | points interval }}. *Test statistics*:
# {{ 01/leaks/statistics/same | points interval }} where test looks like train, {{ 01/leaks/statistics/noisier | points interval }} where its pictures are noisier,
# {{ 01/leaks/statistics/by-class | points interval }} where they come class by class. *Duplicates*: {{ 01/leaks/duplicates/100 | points interval }} with 100
# labelled pictures, {{ 01/leaks/duplicates/2000 | points interval }} with 2,000.

# %%
claim("01/few-images-reward-choosing")

# %%
claim("01/unfrozen-flatters-the-control")

# %%
claim("01/test-statistics")

# %%
claim("01/duplicates-pay")

# %%
one_each = {"test chooses": "chooses/500/100", "backbone moves": "backbone/5/simclr", "test statistics": "statistics/same",
            "duplicates": "duplicates/400"}
guess_leak.reveal(max(one_each, key=lambda kind: record(f"01/leaks/{one_each[kind]}").value))

# %% [markdown]
# A leak that was worth nothing is a leak. Statistics of the test set are harmless until the day on which the pictures come from another camera; then they
# hide the very thing you wanted to know. A backbone that moves may not help the good encoder at all, but it lifts the bad one, so that your comparison
# shows too small a difference. And an honest number may be lower than a dishonest one for years, in print.
#
# ## 7. Exercises (32 minutes)
#
# ### Exercise 1: the one number to report
#
# *Difficulty 1/5 · importance 5/5 · 4 minutes*
#
# You tried $J$ settings. Given their accuracies on validation and on test, return the one that belongs in the table.

# %% tags=["exercise"] name="honest_choice"
def my_honest_choice(validation, test):
    """[J], [J] -> scalar"""
    ### BEGIN SOLUTION
    return test[validation.argmax()]
    ### END SOLUTION

# %% tags=["check"] name="honest_choice"
check.honest_choice(my_honest_choice)

# %% [markdown]
# ### Exercise 2: copies across splits
#
# *Difficulty 2/5 · importance 5/5 · 6 minutes*
#
# Which test images are in the training set, pixel by pixel? Pictures are bytes, `[N, C, H, W]`. The cell after the check asks the six
# reports for you.

# %% tags=["exercise"] name="copies"
def my_copies(train, test):
    """uint8 [N, C, H, W], uint8 [M, C, H, W] -> bool [M]"""
    ### BEGIN SOLUTION
    known = {image.numpy().tobytes() for image in train}
    return torch.tensor([image.numpy().tobytes() in known for image in test])
    ### END SOLUTION

# %% tags=["check"] name="copies"
check.copies(my_copies)

# %%
if check.copies(my_copies).passed:
    for letter, report in reports.items():
        share = torch.as_tensor(my_copies(report.train.images, report.test.images)).float().mean()
        print(f"{letter}: {share:.0%} of the test images are copies")

# %% [markdown]
# ### Exercise 3: is it frozen?
#
# *Difficulty 3/5 · importance 4/5 · 8 minutes*
#
# `work(network)` does something with a network. Call it, and say whether everything in the network's `state_dict()` is still what it was.

# %% tags=["exercise"] name="is_frozen"
def my_is_frozen(network, work):
    """a network, a function of it -> True if nothing in the network changed"""
    ### BEGIN SOLUTION
    before = copy.deepcopy(network.state_dict())
    work(network)
    return all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    ### END SOLUTION

# %% tags=["check"] name="is_frozen"
check.is_frozen(my_is_frozen)

# %%
if check.is_frozen(my_is_frozen).passed:
    for letter, evaluate in leaks.EVALUATIONS.items():
        frozen = my_is_frozen(copy.deepcopy(encoder), lambda network, evaluate=evaluate: evaluate(network, labelled, held, test))
        print(f"{letter}: the encoder it was given is {'as it was' if frozen else 'another one afterwards'}")

# %% [markdown]
# ### Exercise 4: what do the predictions depend on?
#
# *Difficulty 4/5 · importance 5/5 · 9 minutes*
#
# You get `predict(x, y)`, which says the classes of test samples `x`, and you may call it as often as you like, with any samples and labels. An honest one does
# not look at `y`, and says the same of a sample whoever stands beside it. Return `"labels"` if the predictions change with `y`; else `"others"` if those of some
# samples change with the other samples; else `"nothing"`. There are ten classes. A small change of the labels may leave a choice as it was, so change all of them.

# %% tags=["exercise"] name="depends_on"
def my_depends_on(predict, x, y):
    """predict, [M, ...], [M] -> "labels", "others" or "nothing" """
    ### BEGIN SOLUTION
    plain, half = predict(x, y), len(x) // 2
    if not torch.equal(plain, predict(x, (y + 1) % 10)):
        return "labels"
    alone = predict(x[:half], y[:half])
    return "nothing" if torch.equal(plain[:half], alone) else "others"
    ### END SOLUTION

# %% tags=["check"] name="depends_on" points=2
check.depends_on(my_depends_on)

# %%
if check.depends_on(my_depends_on).passed:
    for letter, evaluate in leaks.EVALUATIONS.items():
        asked = leaks.predictor(evaluate, encoder, labelled, held)
        print(f"{letter}: beside the sample its predictions depend on {my_depends_on(asked, test.images, test.labels)}")

# %% [markdown]
# ### Exercise 5: name the leak
#
# *Difficulty 3/5 · importance 5/5 · 5 minutes*
#
# Your verdict on each letter: `"honest"`, `"test chooses"`, `"backbone moves"`, `"test statistics"` or `"duplicates"`. Beware of who only looks
# suspicious: what is said openly, and done to a copy, is no leak.

# %% tags=["exercise"] name="name_the_leak"
def my_verdict(letter):
    """"A" to "F" -> a word"""
    ### BEGIN SOLUTION
    return {"A": "honest", "B": "test chooses", "C": "backbone moves", "D": "test statistics", "E": "duplicates", "F": "honest"}[letter]
    ### END SOLUTION

# %% tags=["check"] name="name_the_leak" points=2
check.name_the_leak(my_verdict)

# %% [markdown]
# ## 8. What to remember (1 minute)
#
# - A number belongs to a procedure: say encoder, layer, classifier, labels, and how each setting was chosen.
# - Nearest neighbours, probe and fine-tuning ask three different questions.
# - Read $h$, not what the loss sees.
# - Labels that choose are labels. With few of them, fix the penalty and train on all.
# - A map gives ideas. Islands and the distances between them are partly the method's.
# - Four questions find these four leaks. Do the predictions change with the test labels? With the other test samples? Are test samples in train as well?
#   Is the encoder another one afterwards?
#
# Next: [02 · Classic pretext tasks](02_classic_pretext_tasks.ipynb).
#
# ## Papers
#
# - Alain and Bengio 2016: *Understanding intermediate layers using linear classifier probes*, arXiv:1610.01644
# - Wu, Xiong, Yu, Lin 2018: *Unsupervised feature learning via non-parametric instance discrimination*, arXiv:1805.01978
# - Chen, Kornblith, Norouzi, Hinton 2020: *A simple framework for contrastive learning of visual representations*, arXiv:2002.05709
# - Kumar, Raghunathan, Jones, Ma, Liang 2022: *Fine-tuning can distort pretrained features and underperform out-of-distribution*, arXiv:2202.10054
# - Oliver, Odena, Raffel, Cubuk, Goodfellow 2018: *Realistic evaluation of deep semi-supervised learning algorithms*, arXiv:1804.09170
# - McInnes, Healy, Melville 2018: *UMAP: uniform manifold approximation and projection*, arXiv:1802.03426
# - Kapoor and Narayanan 2022: *Leakage and the reproducibility crisis in ML-based science*, arXiv:2207.07048
