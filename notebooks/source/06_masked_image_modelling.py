# %% [markdown]
# # 06 · Masked image modelling: MAE and I-JEPA
#
# Hide three quarters of a picture and ask a network what was there. To answer well, it helps to know that trousers have two
# legs and that a sleeve goes on where it is cut off. **MAE** answers in pixels. **I-JEPA** answers with what a second network
# says of the hidden part. Neither needs two views of a picture, and neither compares pictures. Here you train both, hide
# patches with your own mouse, find out what a masked model can do without looking at all, and make one of the two collapse.
#
# ## What you will be able to do
#
# - cut pictures into patches and put them together again, draw a mask, and write MAE's loss;
# - say what an encoder gains by seeing the visible patches only;
# - tell from one line in a plot whether a masked model uses the picture at all;
# - explain why I-JEPA can collapse and MAE cannot, and show it;
# - say what a linear probe and what neighbours ask of an encoder, and why the two can disagree.
#
# ## Time
#
# 105 minutes of yours. The machine needs {{ 06/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import time

import torch

import sslab
from sslab import datasets, evaluation, figures, objectives
from sslab.course import claim, record
from sslab.course.lessons.nb06 import errors, latents
from sslab.lab import Lab, check, fill, predict, show_source

# %% [markdown]
# ## 1. Predict (5 minutes)
#
# A picture of 28 x 28 pixels is cut into 49 **patches** of 4 x 4. MAE sees a random quarter of them. Its loss is the mean squared
# error of the patches that it has *not* seen.

# %%
guess_fill = predict("06/fill", "What will MAE fill in where three quarters of a garment are hidden?",
                     ["a grey area: nobody can know", "a plausible garment, a bit soft", "the garment, thread by thread"])
guess_fill

# %%
guess_visible = predict("06/visible", "You let the *visible* patches count in place of the hidden ones. The loss will be ...",
                        ["higher, and more is learned", "lower, and the hidden part is filled in as well",
                         "lower, and what is filled in is worth nothing"])
guess_visible

# %%
guess_collapse = predict("06/collapse", "In I-JEPA a network predicts what another network says of the hidden part. You let "
                         "the gradient also change what that other network says. The loss will ...",
                         ["fall further: it makes better targets", "fall further: all targets become the same",
                          "not fall at all"])
guess_collapse

# %%
guess_worth = predict("06/ijepa", "A linear probe on 5 labels a class: where will I-JEPA's encoder be, among raw pixels and SimCLR?",
                      ["below raw pixels", "between the two", "above SimCLR"])
guess_worth

# %% [markdown]
# ## 2. See the data and the task (8 minutes)

# %%
fashion = datasets.load("fashion")
fashion.card

# %%
torch.manual_seed(0)
untrained = objectives.create("mae", objectives.encoder_for("mae", fashion))
pictures = fashion.validation.images[:6]                            # [6, 1, 28, 28]
patches = objectives.patchify(pictures, untrained.patch)            # [6, 49, 16]
patches.shape

# %% tags=["figure"]
figures.filled_in(untrained, pictures)

# %% [markdown]
# **Finding:** the middle column is all that the encoder gets: 12 patches of 49, each with its place. Which of the garments can you tell?
# The right column is what an untrained network answers, and it looks better than it is. MAE's targets are normalised (section 3), so it
# answers with patterns only. How bright a hidden patch is, and how strong its contrast, is guessed from the visible patches near it, here
# and in every figure until section 6. Only what you see *inside* a patch is the network's: noise, so far.
#
# What could one say *without* looking? At each place, the mean of all training pictures there: the **mean image**. It is the best
# answer that is the same for every picture, and it needs no encoder. Its error is a line in the plots of MAE's loss. A model
# above that line has not shown that it reads the picture at all; only what is below the line was read from the visible patches.

# %% [markdown]
# ## 3. Read the objectives (15 minutes)
#
# **MAE.** The encoder, a small Vision Transformer, turns each *visible* patch into a **token**, a vector that says what is there.
# A smaller transformer, the **decoder**, gets these tokens and, for every hidden place, a **mask token**: a learned vector that
# says "unknown", plus the place. It answers with pixels. With $H$ the hidden patches, $x_p$ the $P$ pixels of patch $p$:
#
# $$\ell = \frac{1}{|H|} \sum_{p \in H} \frac1P \lVert \hat x_p - \tilde x_p \rVert^2, \qquad
# \tilde x_p = \frac{x_p - \mathrm{mean}(x_p)}{\mathrm{std}(x_p)}$$
#
# The targets $\tilde x_p$ are **normalised** patch by patch: how bright a patch is counts for nothing, its pattern counts.
# (The switch **normalise** of the lab turns that off.)

# %%
show_source(objectives.MAE.encode_visible)

# %%
show_source(objectives.MAE.predict)

# %%
show_source(objectives.masked_patches)

# %% [markdown]
# Why are mask tokens given to the decoder and not to the encoder? First, honesty: the encoder will be used on whole pictures, in
# which no mask token ever occurs. Second, speed: patches that are left out are not computed. Measure it, a step of the encoder
# (forward and backward) on 64 pictures:

# %%
def milliseconds(ratio, rounds=8):
    """One step of the encoder with a share of the patches hidden: the median of some."""
    mae = objectives.create("mae", objectives.encoder_for("mae", fashion), mask_ratio=ratio)
    images, visible, _ = mae.make_views(fashion.train.images[:64], torch.Generator().manual_seed(0))
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        mae.encode_visible(images, visible).square().mean().backward()
        took.append(1000 * (time.perf_counter() - start))
    return sorted(took)[rounds // 2]

{f"{ratio:.0%} hidden": f"{milliseconds(ratio):.0f} ms" for ratio in (0.0, 0.5, 0.75, 0.9)}

# %% [markdown]
# Hiding three quarters should save most of the encoder's time. With large pictures the gain can be larger still, since attention
# compares every patch with every other: a quarter of the patches, a sixteenth of the pairs.
#
# **I-JEPA.** Is it worth the trouble to draw every thread? I-JEPA predicts what is *said of* the hidden part, not the part itself. Its
# targets are tokens of a **teacher** that sees the whole picture: a slow copy of the encoder, which moves a small step towards it after
# every step of training (lessons 08 and 10). Its **momentum** says how slowly: at 0 it is the encoder itself.

# %% tags=["figure"]
torch.manual_seed(0)
other = objectives.create("ijepa", objectives.encoder_for("ijepa", fashion))
figures.context_and_targets(other, pictures)

# %% [markdown]
# **Finding:** left the picture, in the middle the **context** that the encoder sees, right the blocks of patches whose tokens are to be
# predicted. Blocks, not single patches: the token of a single patch could be guessed from its neighbours. The context is a block, too;
# what lies in a target is taken out of it, and some patches at random, so that all pictures keep as many.
#
# With $f$ the encoder, $f'$ the teacher, $g$ the predictor, $x_C$ the context, $T$ all the patches of the blocks, and
# $\mathrm{sg}$ for "no gradient":
#
# $$\ell = \frac1{|T|} \sum_{p \in T} \frac1D \big\lVert g(f(x_C), p) - \mathrm{sg}\,\mathrm{LN}\big(f'(x)_p\big) \big\rVert^2$$
#
# $\mathrm{LN}$ brings each token to mean 0 and variance 1 over its $D$ features: the answer 0 costs 1.

# %%
show_source(objectives.IJEPA.forward)

# %%
show_source(objectives.IJEPA.say)

# %% [markdown]
# Compare the two targets, before you run anything. MAE's are **pixels**. Nothing that a network does can change them, and a
# constant answer costs what it costs: the mean image's error. I-JEPA's are made by a network that follows the one that learns. If that
# network said the same of every patch, the prediction would be easy and perfect: loss 0. Only the stop-gradient and the slow
# teacher stand between I-JEPA and that answer, as in BYOL and SimSiam (lesson 10).

# %% [markdown]
# ## 4. Run it live (12 minutes)
#
# First MAE. The lab shows rows of pictures while it trains: the picture, what is visible, what is filled in. **mask_ratio** is live:
# try 0.2 and 0.95 while it runs, then go back to 0.75. Watch the loss against the line *mean image*.

# %%
lab = Lab("mae", "fashion", seed=0, **sslab.recipe("mae", "fashion", share=0.4))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
figures.loss({"MAE": [row["loss"] for row in lab.history]}, lab.objective.reference_levels())

# %% [markdown]
# **Finding:** two parts. The loss first falls to the line *mean image*: so far the decoder alone could have done it. What it falls
# below the line comes from the visible patches. It stays far from 0. A part of that no training removes: nobody can know the pattern of
# a cloth that is not to be seen. How large that part is, we do not know. A masked model is not judged by how
# near it comes to 0, but by how far it comes below the line.

# %%
show_source(errors)

# %%
yours = errors(lab.objective.cpu(), fashion.validation.images[:1000])
claim("06/below-the-mean-image", yours={f"06/board/fashion/mae/{name}-error": yours[name] for name in ("hidden", "mean-image")})

# %% tags=["figure"]
figures.masks_and_fillings(lab.objective, pictures[:4])

# %% [markdown]
# **Finding:** what is filled in is softer than the picture, and the more so the more is hidden. That is what squared error asks for: where
# several things could be true, their mean costs least. (Part of it, the even patches, is our guess of the brightness: compare with the
# untrained network above.) The figure says nothing yet about how useful the *encoder* is; that is section 5.

# %%
guess_fill.reveal("a plausible garment, a bit soft")

# %% [markdown]
# Now hide what *you* want: click on patches, or drag over them. Try: one leg of a pair of trousers; everything but the collar; everything
# but one patch in the middle.

# %%
filling = fill(lab.objective, fashion.validation.images[:20])
filling.hide([".......", ".......", "...####", "...####", "...####", "...####", "...####"])
filling

# %% [markdown]
# Then I-JEPA. It has no pixels to show: its rows show what is asked.

# %%
latent = Lab("ijepa", "fashion", seed=0, **sslab.recipe("ijepa", "fashion", share=0.35))
latent

# %% tags=["pretrain"]
latent.start()
latent.join()
latent.status

# %% tags=["figure"]
figures.loss({"I-JEPA": [row["loss"] for row in latent.history]}, latent.objective.reference_levels())

# %% [markdown]
# **Finding:** this loss cannot be compared with MAE's, nor with itself a hundred steps earlier: its targets move. The line *mean
# target* is the error of the best answer that knows the place and not the picture, for the targets of the last steps; it moves,
# too. *Collapsed* is 0: on this loss the lowest value of all is the trivial answer. So look at the lab's gauge of the std: 1 where the
# targets of different pictures point everywhere, 0 where all are the same.

# %% [markdown]
# ## 5. Explain: what are they worth? (15 minutes)
#
# On test images, with the controls: chance, raw pixels, the random encoder (the same transformer, untrained) and supervised training
# from scratch, here that of the convolutional encoder, the stronger one. SimCLR has a convolutional encoder as well.

# %%
budgets = (1, 5, 20, 100)


def ours(dataset):
    paths = {"MAE (ours)": "06/board/{}/mae/{}", "I-JEPA (ours)": "06/board/{}/ijepa/{}", "SimCLR (ours)": "13/board/{}/simclr/{}",
             "raw pixels": "00/pixels/{}/{}", "random encoder": "06/board/{}/random-vit/{}",
             "supervised": "00/supervised/{}/{}"}
    return {name: {b: (record(path.format(dataset, b)).value, record(path.format(dataset, b)).interval) for b in budgets}
            for name, path in paths.items()}

# %% tags=["figure", "comparison"]
figures.label_efficiency(ours("fashion"), chance=0.1)

# %% [markdown]
# **Finding:** on clothes with 5 labels a class a linear probe of MAE is right on {{ 06/board/fashion/mae/5 | percent interval }}, of
# I-JEPA on {{ 06/board/fashion/ijepa/5 | percent interval }}. The random transformer gives
# {{ 06/board/fashion/random-vit/5 | percent interval }}, raw pixels {{ 00/pixels/fashion/5 | percent }}, chance one in ten; the same
# transformer, supervised from scratch on these labels, {{ 06/supervised/fashion/5 | percent }}, the convolutional one
# {{ 00/supervised/fashion/5 | percent }}. {{ claim 06/mae-learns }} {{ claim 06/below-simclr }} MAE minus the random transformer is
# {{ 06/board/fashion/mae/5 - 06/board/fashion/random-vit/5 | points interval }} with 5 labels a class and
# {{ 06/board/fashion/mae/100 - 06/board/fashion/random-vit/100 | points interval }} with 100. Raw pixels are harder to beat: MAE minus raw
# pixels is {{ 06/board/fashion/mae/5 - 00/pixels/fashion/5 | points interval }}, which may be nothing, and
# {{ 06/board/fashion/mae/100 - 00/pixels/fashion/100 | points interval }}; I-JEPA minus raw pixels
# {{ 06/board/fashion/ijepa/5 - 00/pixels/fashion/5 | points interval }} and
# {{ 06/board/fashion/ijepa/100 - 00/pixels/fashion/100 | points interval }}. Nor do we see a gain over the same transformer trained on the
# few labels alone: MAE minus it is {{ 06/board/fashion/mae/5 - 06/supervised/fashion/5 | points interval }}.

# %%
mine = {name: evaluation.label_efficiency(one.objective.encoder, fashion, (5,), seeds=3, penalties=(0.1,)).mean(5)
        for name, one in {"MAE": lab, "I-JEPA": latent}.items()}
{name: f"yours, a shorter run: {value:.2f}" for name, value in mine.items()}

# %%
ijepa, pixels, simclr = (record(name).value for name in ("06/board/fashion/ijepa/5", "00/pixels/fashion/5", "13/board/fashion/simclr/5"))
guess_worth.reveal("below raw pixels" if ijepa < pixels else "between the two" if ijepa < simclr else "above SimCLR")

# %% [markdown]
# Why is SimCLR ahead? Our reading, which we did not test: SimCLR was *told* what does not matter. Two views of a garment, cut out
# and brighter or darker, shall have the same representation. A masked model was told nothing. It keeps whatever helps to fill in,
# where each fold lies and how dark it is, and leaves it to you to sort that out. But the encoders differ, too: untrained, with 5 labels a
# class, the convolutional one gives {{ 13/board/fashion/random-encoder/5 | percent }}, the transformer
# {{ 06/board/fashion/random-vit/5 | percent }}. And the probe reads the mean over all patches: where in the picture something was is
# lost in it, and raw pixels keep it. Do other measures see it otherwise?

# %% tags=["figure", "comparison"]
def row(method, *keys):
    return {what: (record(f"{method}/{key}").value, record(f"{method}/{key}").interval) for what, key in keys}

keys = (("linear probe, 5 labels a class", "5"), ("linear probe, 100 labels a class", "100"), ("20 neighbours, all labels", "knn"))
rows = {name: row(path, *keys) for name, path in {
    "MAE": "06/board/fashion/mae", "I-JEPA": "06/board/fashion/ijepa", "random transformer": "06/board/fashion/random-vit",
    "SimCLR": "13/board/fashion/simclr"}.items()}
lines = {what: {"raw pixels": record(f"00/pixels/fashion/{b}").value, "supervised": record(f"00/supervised/fashion/{b}").value,
                "chance": 0.1} for what, b in keys[:2]}
figures.ablation(rows, {**lines, keys[2][0]: {"raw pixels": record("06/pixels-knn/fashion").value, "chance": 0.1}})

# %% [markdown]
# **Finding:** three honest measures of the same four encoders. By a linear probe on 100 labels a class MAE gives
# {{ 06/board/fashion/mae/100 | percent interval }} and I-JEPA {{ 06/board/fashion/ijepa/100 | percent interval }} (raw pixels
# {{ 00/pixels/fashion/100 | percent }}, random transformer {{ 06/board/fashion/random-vit/100 | percent interval }}, supervised
# {{ 00/supervised/fashion/100 | percent }}); by nearest neighbours among all training images
# {{ 06/board/fashion/mae/knn | percent interval }} and {{ 06/board/fashion/ijepa/knn | percent interval }} (raw pixels
# {{ 06/pixels-knn/fashion | percent }}, random transformer {{ 06/board/fashion/random-vit/knn | percent interval }}). Here the order of the four
# means is the same by all three, but MAE and I-JEPA cannot be told apart by any: I-JEPA minus MAE is
# {{ 06/board/fashion/ijepa/100 - 06/board/fashion/mae/100 | points interval }} by the probe on 100 labels and
# {{ 06/board/fashion/ijepa/knn - 06/board/fashion/mae/knn | points interval }} by neighbours. And neither is above raw pixels by any.
#
# The measures ask different things. Neighbours take a representation as it is: every direction counts as much as it varies. A linear
# probe may weigh directions, and so finds what is there but small. So they can disagree, and at full size they do.
# A published MAE (ViT-B, 100 epochs of ImageNet) gets 46.0 % by a linear probe, 11.2 % by neighbours and 81.3 % after
# fine-tuning (benchmarks of LightlySSL, see Papers). The same encoder is among the worst of that table, or among the best: it depends
# on what you will do with it. To fine-tune is to let the labels sort out what the pretraining kept.

# %% tags=["figure"]
held = fashion.validation.images[:1000]
figures.neighbours(held, {name: evaluation.features(encoder, held) for name, encoder in
                          {"before training": untrained.encoder, "MAE": lab.objective.encoder}.items()})

# %% [markdown]
# **Finding:** each row is a picture and its six nearest neighbours, before training and after it. Before, most neighbours are as
# bright as the picture. After, look for neighbours of another brightness and pattern that have the same outline, sleeves for sleeves and
# no sleeves for none. It is not better everywhere: find a row that has lost.

# %% tags=["figure", "comparison"]
rows = {name: (record(f"{path}/5").value, record(f"{path}/5").interval) for name, path in {
    "MAE": "06/board/emoji/mae", "I-JEPA": "06/board/emoji/ijepa", "SimCLR": "13/board/emoji/simclr"}.items()}
lines = {"raw pixels": record("00/pixels/emoji/5").value, "supervised": record("00/supervised/emoji/5").value,
         "random encoder": record("06/board/emoji/random-vit/5").value, "chance": 1 / 8}
figures.settings({"emoji": rows}, lines, "test accuracy, 5 labels a class")

# %% [markdown]
# **Finding:** on emoji, 8 groups, MAE gives {{ 06/board/emoji/mae/5 | percent interval }}, I-JEPA
# {{ 06/board/emoji/ijepa/5 | percent interval }} and SimCLR {{ 13/board/emoji/simclr/5 | percent interval }}. The random transformer gives
# {{ 06/board/emoji/random-vit/5 | percent interval }}, raw pixels {{ 00/pixels/emoji/5 | percent }}, supervised training
# {{ 00/supervised/emoji/5 | percent }} (the transformer {{ 06/supervised/emoji/5 | percent }}), chance one in eight. Minus raw pixels MAE has
# {{ 06/board/emoji/mae/5 - 00/pixels/emoji/5 | points interval }}, I-JEPA {{ 06/board/emoji/ijepa/5 - 00/pixels/emoji/5 | points interval }}.
# Pixels or latents? I-JEPA minus MAE is {{ 06/board/emoji/ijepa/5 - 06/board/emoji/mae/5 | points interval }} here, just below 0, so MAE is a
# little ahead, and {{ 06/board/fashion/ijepa/5 - 06/board/fashion/mae/5 | points interval }} on clothes: an interval that holds 0 is no difference
# that we could show. In the paper, by linear probes of much larger networks on ImageNet, latents win. Here each step of I-JEPA costs
# more, as its teacher sees whole pictures, and it was given fewer of them.

# %% [markdown]
# ### How much to hide?
#
# Short runs on clothes with the pixels as targets, three seeds each; the probe is on *validation* images.

# %%
def setting(name, what):
    """One record with its interval, as the figures take it."""
    return record(f"{name}/{what}").value, record(f"{name}/{what}").interval

lines = {"raw pixels": record("06/untrained/raw-pixels").value, "random encoder": record("06/untrained/random-vit").value,
         "chance": 0.1}

# %% tags=["figure", "comparison"]
paths = {"25 % hidden": "06/ratio/0.25", "75 % hidden": "06/removed/pixels", "90 % hidden": "06/ratio/0.9"}
rows = {name: {"error where hidden": setting(path, "hidden-error"), "the mean image's": setting(path, "mean-image-error"),
               "validation accuracy": setting(path, "probe")} for name, path in paths.items()}
figures.ablation(rows, {"validation accuracy": lines})

# %% [markdown]
# **Finding:** with `25 %`, `75 %` and `90 %` hidden the error on hidden patches is {{ 06/ratio/0.25/hidden-error | .3f }},
# {{ 06/removed/pixels/hidden-error | .3f }} and {{ 06/ratio/0.9/hidden-error | .3f }}; the mean image's is about the same at all three. The
# less is hidden, the easier is the task: the neighbours give a patch away. What an easy task teaches is another question. The
# probe gives {{ 06/ratio/0.25/probe | percent interval }}, {{ 06/removed/pixels/probe | percent interval }} and
# {{ 06/ratio/0.9/probe | percent interval }}; the random transformer {{ 06/untrained/random-vit | percent interval }}, raw pixels
# {{ 06/untrained/raw-pixels | percent }}, supervised training and chance stand in the first figure. So short a run teaches little at any
# ratio. Minus the random transformer, seed by seed, it is {{ 06/ratio/0.25/probe - 06/untrained/random-vit | points interval }},
# {{ 06/removed/pixels/probe - 06/untrained/random-vit | points interval }} and {{ 06/ratio/0.9/probe - 06/untrained/random-vit | points interval }};
# the least hidden minus the most hidden {{ 06/ratio/0.25/probe - 06/ratio/0.9/probe | points interval }}. So here we cannot show that
# `75 %` is better than `25 %`. Losses at different ratios are not to be compared: they are marks in different examinations.

# %% [markdown]
# ### What does the transformer look at?

# %% tags=["figure"]
figures.attention_maps(lab.objective.encoder, pictures[:4])

# %% [markdown]
# **Finding:** each small map shows from where the marked patch takes what it says, in the last block, one map for each head. Compare a head over
# the pictures: does it look at a *place*, the same in all of them, or at a *thing*, such as the outline of the garment? Nobody has
# told the network where the garment is. But do not read too much from bright spots: attention says what was taken, not
# what was made of it.

# %% tags=["figure"]
figures.patch_filters({"untrained": untrained.encoder, "MAE": lab.objective.encoder, "I-JEPA": latent.objective.encoder})

# %% [markdown]
# **Finding:** the first layer, one square for each of its 128 features, those with the largest weights at the top: what a patch must look
# like to excite it. Before training they are noise. Do you find edges or gradients of brightness after it? In the runs that we looked
# at nearly all of it still looked like noise, and yet the error had fallen: do not ask such a figure whether something was learned.

# %% [markdown]
# ## 6. Break it (12 minutes)
#
# **What can MAE do without any representation?** Give the decoder the same code for every picture, the mean of all codes. It still knows
# the *places* of the hidden patches. (From here on MAE's targets are the pixels as they are, switch **normalise** off: all that you see at
# the hidden places is now the network's answer.)

# %% tags=["pretrain"]
mute = Lab("mae", "fashion", seed=0, **sslab.recipe("mae", "fashion", share=0.15))
mute.set(normalise=False, constant_code=True)
mute.start()
mute.join()
mute.status

# %% tags=["figure"]
figures.filled_in(mute.objective.cpu(), pictures)

# %% [markdown]
# **Finding:** the same ghost in every picture: at each place the mean of all garments. It is the mean image, painted by a network.

# %%
yours = errors(mute.objective, fashion.validation.images[:1000])
claim("06/constant-code-is-the-mean-image",
      yours={f"06/removed/constant-code/{name}-error": yours[name] for name in ("hidden", "mean-image")})

# %% [markdown]
# So MAE has a bad answer that needs no representation, but it is *expensive*, and the way down from it leads through the pictures.
# This is why MAE needs no negatives, no teacher and no stop-gradient.
#
# **What if the visible patches count?**

# %% tags=["pretrain"]
copier = Lab("mae", "fashion", seed=0, **sslab.recipe("mae", "fashion", share=0.15))
copier.set(normalise=False, loss_on="visible")
copier.start()
copier.join()
copier.status

# %% tags=["figure"]
figures.filled_in(copier.objective.cpu(), pictures)

# %% [markdown]
# **Finding:** what is filled in at the hidden places was never asked for, and looks like it. The visible patches, which the decoder gets
# through the encoder, cost next to nothing: {{ 06/removed/visible/visible-error | .3f }}, where hidden ones cost the whole method
# {{ 06/removed/pixels/hidden-error | .3f }}. Copying is enough.

# %%
yours = errors(copier.objective, fashion.validation.images[:1000])
claim("06/visible-is-copied", yours={f"06/removed/visible/{name}-error": value for name, value in yours.items()})

# %%
guess_visible.reveal("lower, and what is filled in is worth nothing")

# %% tags=["figure", "comparison"]
paths = {"hidden patches count": "06/removed/pixels", "visible patches count": "06/removed/visible", "constant code": "06/removed/constant-code"}
rows = {name: {"error where hidden": setting(path, "hidden-error"), "error where visible": setting(path, "visible-error"),
               "validation accuracy": setting(path, "probe"), "20 neighbours, accuracy": setting(path, "knn")}
        for name, path in paths.items()}
neighbours = {"raw pixels": record("06/untrained/raw-pixels-knn").value, "random encoder": record("06/untrained/random-vit-knn").value,
              "chance": 0.1}
figures.ablation(rows, {"validation accuracy": lines, "20 neighbours, accuracy": neighbours})

# %% [markdown]
# **Finding:** the errors are as the pictures say. (What the whole method says of *visible* patches is worse than the mean image: nobody
# asked it.) Now the probe: {{ 06/removed/pixels/probe | percent interval }} for the whole method,
# {{ 06/removed/visible/probe | percent interval }} for copying, {{ 06/removed/constant-code/probe | percent interval }} with the constant
# code; the random transformer gives {{ 06/untrained/random-vit | percent interval }}, raw pixels {{ 06/untrained/raw-pixels | percent }},
# chance one in ten; supervised training stands in section 5. With the constant code no gradient reaches the encoder: the last row is
# an untrained transformer. The whole method is above copying by
# {{ 06/removed/pixels/probe - 06/removed/visible/probe | points interval }}, but above the untrained one by
# {{ 06/removed/pixels/probe - 06/untrained/random-vit | points interval }}, and by neighbours
# {{ 06/removed/pixels/knn - 06/untrained/random-vit-knn | points interval }}: after so short a run the errors tell the three apart, the
# encoder's worth hardly. A low loss, a good picture and a good probe are three different things.

# %% [markdown]
# **I-JEPA with gradients through its targets.** With the switch **stop_gradient** off the targets are the encoder's own, without a
# teacher, and the gradient reaches them. Now the encoder may change the question to suit the answer.

# %% tags=["pretrain"]
collapsed = Lab("ijepa", "fashion", seed=0, **sslab.recipe("ijepa", "fashion", share=0.25))
collapsed.set(stop_gradient=False)
collapsed.start()
collapsed.join()
collapsed.status

# %% tags=["figure"]
figures.loss({"I-JEPA": [row["loss"] for row in latent.history], "no stop-gradient": [row["loss"] for row in collapsed.history]},
             {"collapsed": 0.0})

# %% [markdown]
# **Finding:** without the stop-gradient the loss runs to the line *collapsed*. {{ claim 06/collapse-has-the-lower-loss }} In our short runs
# the losses are {{ 06/latent/ijepa/loss | .3f }} with the stop-gradient and {{ 06/latent/no-stop-gradient/loss | .4f }} without.

# %%
guess_collapse.reveal("fall further: all targets become the same")

# %%
z, spread, loss = latents(collapsed.objective.cpu(), fashion.validation.images[:1000])
claim("06/latent-collapses", yours={"06/latent/no-stop-gradient/std": float(evaluation.feature_std(z))})

# %% tags=["figure", "comparison"]
paths = {"I-JEPA": "06/latent/ijepa", "no stop-gradient": "06/latent/no-stop-gradient", "momentum 0": "06/latent/momentum-0"}
what = {"loss": "loss", "std of the targets": "std", "effective rank": "effective-rank", "validation accuracy": "probe"}
rows = {name: {label: setting(path, key) for label, key in what.items()} for name, path in paths.items()}
figures.ablation(rows, {"validation accuracy": lines})

# %% [markdown]
# **Finding:** std {{ 06/latent/ijepa/std | .2f }} with the stop-gradient and the slow teacher, {{ 06/latent/no-stop-gradient/std | .3f }} with
# gradients through the targets, {{ 06/latent/momentum-0/std | .2f }} at momentum `0`, where the teacher is the encoder itself and only
# the stop-gradient is left. The probes give {{ 06/latent/ijepa/probe | percent interval }},
# {{ 06/latent/no-stop-gradient/probe | percent interval }} and {{ 06/latent/momentum-0/probe | percent interval }}; the random transformer
# {{ 06/untrained/random-vit | percent interval }}, raw pixels {{ 06/untrained/raw-pixels | percent }}; supervised training and chance stand
# in section 5. After so short a run I-JEPA itself is not above the random transformer, as far as we can tell
# ({{ 06/latent/ijepa/probe - 06/untrained/random-vit | points interval }}); after the whole recipe it is. Do not expect the probe to
# sound the alarm: the collapsed run minus the healthy one is {{ 06/latent/no-stop-gradient/probe - 06/latent/ijepa/probe | points interval }}.
# The probe divides by the std before it reads, and so it can magnify the tiny remnants of a collapsed cloud (lesson 11). The effective rank
# even prefers the collapsed run ({{ 06/latent/no-stop-gradient/effective-rank | .0f }} directions against
# {{ 06/latent/ijepa/effective-rank | .0f }}): it, too, looks at the shape of the cloud and not at its size. The std sounds the alarm.
# {{ claim 06/slow-teacher }}

# %% [markdown]
# ## 7. Exercises (35 minutes)
#
# ### Exercise 1: patches
#
# *Difficulty 3/5 · importance 4/5 · 9 minutes*
#
# Cut pictures into patches: first patch top left, the next one to its right. In a patch the pixels come row by row, and the channels of
# a pixel side by side. A `reshape` alone cannot do it: it never changes the order of the numbers. Split $H$ into (grid row, row in
# the patch) and $W$ likewise, bring the dims into order with `permute`, and join them.

# %% tags=["exercise"] name="patchify"
def my_patchify(images, patch):
    """[B, C, H, W] -> [B, T, patch * patch * C]"""
    batch, channels, height, width = images.shape
    ### BEGIN SOLUTION
    # stub: cut = images.reshape(...)                        # [B, C, H / P, P, W / P, P]
    # stub: return cut.permute(...).reshape(...)
    cut = images.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch * patch * channels)
    ### END SOLUTION

# %% tags=["check"] name="patchify"
check.patchify(my_patchify)

# %% [markdown]
# ### Exercise 2: and back
#
# *Difficulty 3/5 · importance 3/5 · 7 minutes*
#
# Put square pictures together from their patches: the inverse of exercise 1. How many patches a side are there?

# %% tags=["exercise"] name="unpatchify"
def my_unpatchify(patches, patch):
    """[B, T, patch * patch * C] -> [B, C, H, W], H = W"""
    ### BEGIN SOLUTION
    # stub: grid = ...                                       # patches a side
    # stub: cut = patches.reshape(...)                       # [B, grid, grid, P, P, C]
    # stub: return cut.permute(...).reshape(...)
    grid, batch = round(patches.shape[1] ** 0.5), len(patches)
    cut = patches.reshape(batch, grid, grid, patch, patch, -1)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, grid * patch, grid * patch)
    ### END SOLUTION

# %% tags=["check"] name="unpatchify"
check.unpatchify(my_unpatchify)

# %% [markdown]
# ### Exercise 3: a random mask
#
# *Difficulty 3/5 · importance 4/5 · 7 minutes*
#
# You get random numbers, one for each patch. In *every* row hide the `round(ratio * T)` patches with the smallest numbers. Think first: why
# not just `noise < ratio`? How many patches would be visible in each picture, and what does the encoder take?

# %% tags=["exercise"] name="random_mask"
def my_random_mask(noise, ratio):
    """[B, T] -> bool [B, T], True where hidden"""
    ### BEGIN SOLUTION
    hide = round(ratio * noise.shape[1])
    ranks = noise.argsort(dim=1).argsort(dim=1)
    return ranks < hide
    ### END SOLUTION

# %% tags=["check"] name="random_mask"
check.random_mask(my_random_mask)

# %% [markdown]
# ### Exercise 4: MAE's loss
#
# *Difficulty 3/5 · importance 5/5 · 6 minutes*
#
# Normalise each *target* patch: mean 0, divided by $\sqrt{\mathrm{var} + 10^{-6}}$ with the unbiased variance. Return the mean squared
# error over the hidden patches, of all pictures together.

# %% tags=["exercise"] name="masked_patches" points=2
def my_masked_patches(prediction, target, mask):
    """[B, T, P], [B, T, P], bool [B, T] (True where hidden) -> scalar"""
    ### BEGIN SOLUTION
    # stub: pattern = ...                                    # the normalised target, [B, T, P]
    # stub: error = ...                                      # of each patch, [B, T]
    # stub: return ...                                       # its mean over the hidden ones
    spread = (target.var(dim=2, keepdim=True) + 1e-6).sqrt()
    pattern = (target - target.mean(dim=2, keepdim=True)) / spread
    error = (prediction - pattern).square().mean(dim=2)
    return error[mask].mean()
    ### END SOLUTION

# %% tags=["check"] name="masked_patches" points=2
check.masked_patches(my_masked_patches)

# %% [markdown]
# ### Exercise 5: I-JEPA's loss
#
# *Difficulty 3/5 · importance 5/5 · 6 minutes*
#
# `tokens` are the teacher's, of all patches of the whole pictures; `places` says which of them were predicted. Take these, normalise each over
# its features as a LayerNorm does (it divides by $D$, not by $D - 1$), and return the mean squared error. One thing does not
# show in the value, and everything depends on it.

# %% tags=["exercise"] name="ijepa" points=2
def my_ijepa(prediction, tokens, places):
    """[B, N, D], [B, T, D], int64 [B, N] -> scalar"""
    ### BEGIN SOLUTION
    # stub: target = ...                                     # the tokens at the places, [B, N, D]
    # stub: target = ...                                     # what makes it a target, and a fair one
    # stub: return ...
    rows = torch.arange(len(tokens))[:, None]
    target = tokens[rows, places].detach()
    target = torch.nn.functional.layer_norm(target, target.shape[-1:])
    return (prediction - target).square().mean()
    ### END SOLUTION

# %% tags=["check"] name="ijepa" points=2
check.ijepa(my_ijepa)

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - Hide most of a picture and predict the rest: a task made from pictures alone, without views and without negatives.
# - The mean image is the line to look at: only what is below it was read from the visible patches.
# - The loss counts where nothing was seen. Where something was seen, copying is enough.
# - An encoder that gets visible patches only is faster, and never meets a mask token.
# - Pixels are targets that nobody can move: MAE cannot collapse. Latents move: I-JEPA needs stop-gradient and teacher.
# - A linear probe, neighbours and fine-tuning can rank encoders in different orders. Say which one you mean, and why.
#
# ## Papers
#
# - He, Chen, Xie, Li, Dollár, Girshick 2021: *Masked autoencoders are scalable vision learners*, arXiv:2111.06377
# - Assran, Duval, Misra, Bojanowski, Vincent, Rabbat, LeCun, Ballas 2023: *Self-supervised learning from images with a
#   joint-embedding predictive architecture*, arXiv:2301.08243
# - Xie, Zhang, Cao, Lin, Bao, Yao, Dai, Hu 2021: *SimMIM: a simple framework for masked image modeling*, arXiv:2111.09886
# - Bao, Dong, Piao, Wei 2021: *BEiT: BERT pre-training of image transformers*, arXiv:2106.08254
# - Dosovitskiy et al. 2020: *An image is worth 16x16 words: transformers for image recognition at scale*, arXiv:2010.11929
# - LightlySSL's benchmarks on ImageNet (the linear probe, neighbours and fine-tuning of MAE, 100 epochs):
#   https://docs.lightly.ai/getting_started/benchmarks.html
