# %% [markdown]
# # 02 · Classic pretext tasks: rotation, jigsaw, colourisation
#
# Hide something that every picture has, and ask for it. Nobody has to label anything: whoever turned the picture knows by how
# much. To answer, a network must look at the picture; in the best case it learns on the way what is in it. In the worst case it
# finds a way to answer without. Here you make three such tasks, watch them being solved, and measure which of them was worth it.
# You will meet a network that solves its task well and, with few labels, is worth about as much as raw pixels, and one that gives its
# answers with more confidence than anybody could have.
#
# ## What you will be able to do
#
# - make the rotation task, the relative-position task and the colourisation task, with the right answers;
# - say what a network could answer with that is not what you wanted it to look at, and measure how far that goes;
# - choose the loss of a colouring task: why one colour is not enough, and why rare colours must weigh more;
# - tell how well a pretext task is solved from what the encoder is worth.
#
# ## Time
#
# 90 minutes of yours. The machine needs {{ 02/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
from statistics import fmean

import torch

import sslab
from sslab import datasets, evaluation, figures, objectives
from sslab.course import claim, record
from sslab.lab import Lab, check, predict, show_source

# %% [markdown]
# ## 1. Predict (4 minutes)
#
# Three tasks. **Rotation**: a picture was turned by 0, 90, 180 or 270 degrees; say which. **Jigsaw**: two patches of a picture; say on
# which of eight sides of the first the second lies. **Colourisation**: a grey picture; say which colours it had.

# %%
guess_easy = predict("02/easy", "The rotation task is easy on clothes, and hard on emoji. On which of the two does the "
                     "encoder gain more over raw pixels?", ["on clothes, where the task is learned better",
                                                            "on emoji, where the task asks more",
                                                            "on neither by an amount that we could show"])
guess_easy

# %%
guess_alone = predict("02/alone", "You hide the first patch of the jigsaw: one patch alone, and the question where it lay. Eight answers. "
                      "How many are right on clothes?", low=12, high=100, unit="% (guessing gives 12)")
guess_alone

# %%
guess_shapes = predict("02/no-up", "You ask a rotation predictor, trained on emoji, about shapes in random directions: nobody can know "
                       "the answer. With which probability does it give its answers, on average?", low=25, high=100,
                       unit="% (25 would be: it knows that it does not know)")
guess_shapes

# %% [markdown]
# ## 2. See the data and the tasks (8 minutes)

# %%
fashion, emoji = datasets.load("fashion"), datasets.load("emoji")
emoji.card

# %% tags=["figure"]
some = [0, 1500, 2500, 3300, 4200, 4900, 5600, 6300]
figures.turns(emoji.train.images[some])

# %% [markdown]
# **Finding:** to say what is upright you have to know what things look like: faces have their eyes above, mugs stand on their
# bottom. But not always: some emoji look the same after a turn, and some could be either. And there may be an easier way: the
# light comes from above, the shadow lies below.

# %% tags=["figure"]
torch.manual_seed(0)
puzzle = objectives.create("jigsaw", objectives.encoder_for("jigsaw", fashion))
figures.patches(fashion.train.images[[0, 1, 5, 8, 11]], puzzle)

# %% [markdown]
# **Finding:** nine patches of each picture; blue is the middle one, orange the one that is asked about. The network sees these
# two, cut out, below; the number is the right answer, 0 to 7 in reading order. Some pairs nobody can tell, such as two black patches.
# Between patches there is a gap. Without it the orange patch goes on where the blue one ends, and lines that meet at the border give
# the answer away to somebody who has no idea what a shoe is.

# %% tags=["figure"]
pictures = emoji.validation.images[[3, 130, 260, 333, 420, 510, 640, 700]] / 255
figures.reconstructions({"grey": objectives.grey_of(pictures), "truth": pictures})

# %% [markdown]
# **Finding:** what is grey here could have been yellow or blue: both have been seen. A face is yellow nearly always, a leaf is
# green; a heart or a book can be anything. To colour, you have to know what it is, and to live with not knowing.

# %% [markdown]
# ## 3. Read the objectives (14 minutes)
#
# **Rotation.** All four turns $t$ of each picture $x$ go through the encoder $f$ and a small classifier $g$; the loss is the
# cross-entropy of four classes:
#
# $$\ell = -\frac{1}{4B} \sum_{b} \sum_{t=0}^{3} \log g_t(f(\mathrm{turn}_t(x_b)))$$
#
# Who guesses pays $\log 4$. That line is drawn in the lab as *chance*.

# %%
show_source(objectives.Rotation)

# %% [markdown]
# **Jigsaw**, as the relative position of two patches. The classifier sees both, $g(f(p_{\text{middle}}), f(p))$, and has eight
# answers: chance is $\log 8$. Here the encoder only ever sees patches, 6 or 7 pixels wide; the probe will show it whole pictures.

# %%
show_source(objectives.Jigsaw)

# %% [markdown]
# **Colourisation.** A colour is written in **Lab**: the lightness $L$, and two numbers $a$ (green to red) and $b$ (blue to yellow)
# that are 0 for grey. Given $L$ everywhere, the network says $a$ and $b$ at 8 x 8 places.
# (Half of the pictures keep their colours, so that the encoder has seen some when the probe shows it pictures in colour; section 6
# measures what that is worth.) Regression would be the obvious loss,
# and it has a flaw: if a heart is red or blue with equal chances, the mean squared error is smallest for the colour in the middle,
# and that is a dull purple. So the plane of $a$ and $b$ is cut into squares, and the network gives each one a probability:
# a classification with 77 classes.

# %%
show_source(objectives.Colourisation)

# %% [markdown]
# About half of the places are white, grey or black. A network that answers *grey* is right there, and has learned nothing. So each place
# is weighed by how rare its colour is, $w_q \propto 1 / ((1 - \lambda) p_q + \lambda / Q)$ with $p_q$ the share of
# colour $q$ and $Q$ the number of colours. $\lambda$ is a setting from 0 to 1, here 0.5.

# %% tags=["figure"]
painter = objectives.create("colourisation", objectives.encoder_for("colourisation", emoji))
_, ab = painter.make_views(emoji.train.images[:1000], torch.Generator().manual_seed(0))
painter.counts += torch.bincount(painter.bin_of(ab).flatten(), minlength=len(painter.bins))
light = torch.full((len(painter.bins), 1), 70.0)
colours = objectives.lab_to_rgb(torch.cat([light, painter.bins], dim=1))
figures.palette(colours, painter.bins, {"as they come": painter.shares, "weighed": painter.shares * painter.weights().float()})

# %% [markdown]
# **Finding:** each disc is one of the 77 colours, as large as its share of the places. On the left one disc, grey, is larger than
# all others together or nearly so; a constant answer *grey* would be hard to beat. On the right, with the weights, what is rare has
# its say. The weights change what is asked: a little less *which colour is most likely here*, a little more *for which colour is this
# place typical*.

# %% [markdown]
# ## 4. Run it live (7 minutes)
#
# Run the cell below the lab, or press Start in the lab and skip that cell. The lab shows pictures in a random turn, and how the network turns them back. Which
# ones does it get right first?

# %%
lab = Lab("rotation", "emoji", seed=0)
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %% tags=["figure"]
held = emoji.validation.images[:800]
with torch.no_grad(), evaluation.evaluating(lab.objective.cpu()):
    turned = objectives.four_turns(held / 255).flatten(0, 1)                     # [4N, 3, 32, 32]
    answers = torch.cat([lab.objective.turns(part) for part in turned.split(400)])
truth = torch.arange(4).repeat(len(held))
figures.confusion(answers.argmax(dim=1), truth, ("0°", "90°", "180°", "270°"))

# %% [markdown]
# **Finding:** a row for each true turn of validation emoji, a column for each answer. In our runs
# {{ 02/board/emoji/rotation/asked-emoji/accuracy | percent interval }} of the answers are right, where chance gives one in four. Look off the
# diagonal: is a picture taken for the one that is turned by 180 degrees from it more often than for the two others? Then the network
# sees along which axis a thing stands, and not which end is up.

# %% tags=["figure"]
sure = answers[::4].amax(dim=1)                                      # of the unturned pictures
ends = torch.cat([sure.topk(5).indices, sure.topk(5, largest=False).indices])
figures.answers(held[ends], answers[4 * ends])

# %% [markdown]
# **Finding:** on the left the five emoji, unturned, of whose turn the network is surest, on the right the five of which it is least
# sure. A dotted line marks one in four. Would you have known?

# %% [markdown]
# ## 5. Explain: what is it worth? (12 minutes)
#
# A linear probe of the encoder, on test images, with its controls: chance, raw pixels, the same encoder untrained (random
# encoder), and supervised training from scratch. First on emoji, eight groups: yours is one run with three draws of labels.

# %%
budgets = (1, 5, 20, 100)
paths = {"rotation (ours)": "02/board/emoji/rotation/{}", "colourisation (ours)": "02/board/emoji/colourisation/{}",
         "jigsaw (ours)": "02/board/emoji/jigsaw/{}", "raw pixels": "00/pixels/emoji/{}",
         "random encoder": "13/board/emoji/random-encoder/{}", "supervised": "00/supervised/emoji/{}"}
ours = {name: {b: (record(path.format(b)).value, record(path.format(b)).interval) for b in budgets}
        for name, path in paths.items()}

# %% tags=["figure", "comparison"]
yours = evaluation.label_efficiency(lab.objective.encoder, emoji, budgets, seeds=3, penalties=(0.1,))
figures.label_efficiency({"rotation (yours)": yours, **ours}, chance=1 / 8)

# %% [markdown]
# **Finding:** with five labels a group, rotation gives {{ 02/board/emoji/rotation/5 | percent interval }}, colourisation
# {{ 02/board/emoji/colourisation/5 | percent interval }}, jigsaw {{ 02/board/emoji/jigsaw/5 | percent interval }}; raw pixels
# {{ 00/pixels/emoji/5 | percent }}, the random encoder {{ 13/board/emoji/random-encoder/5 | percent interval }}, supervised training
# {{ 00/supervised/emoji/5 | percent }}, chance one in eight. SimCLR (notebook 07) gives
# {{ 13/board/emoji/simclr/5 | percent interval }}. Minus raw pixels, rotation is at
# {{ 02/board/emoji/rotation/5 - 00/pixels/emoji/5 | points interval }}, colourisation at
# {{ 02/board/emoji/colourisation/5 - 00/pixels/emoji/5 | points interval }}, jigsaw at
# {{ 02/board/emoji/jigsaw/5 - 00/pixels/emoji/5 | points interval }}; minus the random encoder at
# {{ 02/board/emoji/rotation/5 - 13/board/emoji/random-encoder/5 | points interval }},
# {{ 02/board/emoji/colourisation/5 - 13/board/emoji/random-encoder/5 | points interval }} and
# {{ 02/board/emoji/jigsaw/5 - 13/board/emoji/random-encoder/5 | points interval }}. An interval that holds 0 is no difference that we
# could show. With a hundred labels rotation and colourisation are above raw pixels, by
# {{ 02/board/emoji/rotation/100 - 00/pixels/emoji/100 | points interval }} and
# {{ 02/board/emoji/colourisation/100 - 00/pixels/emoji/100 | points interval }}. Neither is above
# supervised training there.

# %% tags=["figure", "comparison"]
methods = {"rotation": "02/board/fashion/rotation/5", "jigsaw": "02/board/fashion/jigsaw/5", "SimCLR": "13/board/fashion/simclr/5"}
rows = {name: (record(path).value, record(path).interval) for name, path in methods.items()}
lines = {"raw pixels": record("00/pixels/fashion/5").value, "supervised": record("00/supervised/fashion/5").value,
         "random encoder": record("13/board/fashion/random-encoder/5").value, "chance": 0.1}
figures.settings({"fashion": rows}, lines, "test accuracy, 5 labels a class")

# %% [markdown]
# **Finding:** on clothes rotation minus raw pixels is {{ 02/board/fashion/rotation/5 - 00/pixels/fashion/5 | points interval }} and
# jigsaw minus raw pixels {{ 02/board/fashion/jigsaw/5 - 00/pixels/fashion/5 | points interval }}. Minus the random encoder they are
# {{ 02/board/fashion/rotation/5 - 13/board/fashion/random-encoder/5 | points interval }} and
# {{ 02/board/fashion/jigsaw/5 - 13/board/fashion/random-encoder/5 | points interval }}. Raw pixels give {{ 00/pixels/fashion/5 | percent }},
# supervised training {{ 00/supervised/fashion/5 | percent }}, SimCLR {{ 13/board/fashion/simclr/5 | percent interval }}, the random encoder
# {{ 13/board/fashion/random-encoder/5 | percent interval }}; chance is drawn. So rotation gained much over the untrained encoder, and got
# no further than the pixels are by themselves.

# %%
sets = {"fashion": "on clothes, where the task is learned better", "emoji": "on emoji, where the task asks more"}
gains = {name: record(f"02/board/{name}/rotation/5").minus(record(f"00/pixels/{name}/5")) for name in sets}
shown = [name for name in gains if gains[name].interval[0] > 0]
guess_easy.reveal(sets[max(shown, key=lambda name: gains[name].value)] if shown else "on neither by an amount that we could show")

# %%
claim("02/solved-is-not-worth")

# %% [markdown]
# How well a task is solved says how easy it is. What the encoder is worth is another question, and the answer needs a yardstick. Over
# raw pixels rotation's mean gain is larger on emoji, but the intervals of both gains hold 0: neither is shown. Over the untrained
# encoder it gained more on clothes, where the task is easy. Which was taught more depends on the yardstick, and the accuracy of the
# task answers neither. A suspicion that we did not measure: a sole is below and a collar above, which is enough to tell the
# turns of clothes and not a shirt from a coat.

# %% [markdown]
# ## 6. Break it (14 minutes)
#
# ### What is the puzzle solved with?
#
# The puzzle, with patches that touch (gap 0) and that do not, and with the middle patch hidden: then nothing can be compared.

# %% tags=["pretrain"]
looks = {}
for gap, compare in ((0, True), (0, False), (3, True), (3, False)):
    short = Lab("jigsaw", "fashion", seed=0, **sslab.recipe("jigsaw", "fashion", share=0.25))
    short.set(gap=gap, compare=compare)
    short.start()
    short.join()
    looks[gap, compare] = fmean(row["terms"]["accuracy"] for row in short.history[-20:])
    print(f"gap {gap}, {'both patches' if compare else 'one patch'}: {100 * looks[gap, compare]:.0f} % right")

# %%
guess_alone.reveal(100 * looks[0, False])

# %% tags=["figure", "comparison"]
def setting(name, what):
    """One record with its interval, as the figures take it."""
    return record(f"{name}/{what}").value, record(f"{name}/{what}").interval

names = {"touching": "touching", "touching, one patch": "touching-alone", "apart": "apart", "apart, one patch": "apart-alone"}
controls = {"raw pixels": record("02/untrained/fashion/raw-pixels").value,
            "random encoder": record("02/untrained/fashion/random-encoder").value, "chance": 0.1}
figures.ablation({name: {"puzzle accuracy": setting(f"02/jigsaw/{key}", "accuracy"),
                         "validation accuracy, 5 labels": setting(f"02/jigsaw/{key}", "probe")} for name, key in names.items()},
                 {"puzzle accuracy": {"chance": 1 / 8}, "validation accuracy, 5 labels": controls})

# %% [markdown]
# **Finding:** guessing would be right in one of eight. {{ claim 02/one-patch-tells }} So the puzzle is for the most part another one:
# not *where does this lie beside that*, but *where in a picture does this lie*. {{ claim 02/edges-tell }} It adds
# {{ 02/jigsaw/touching/accuracy - 02/jigsaw/touching-alone/accuracy | points interval }} against
# {{ 02/jigsaw/apart/accuracy - 02/jigsaw/apart-alone/accuracy | points interval }}, as one expects if lines run on: the shortcut
# for which the paper left gaps. But {{ 02/jigsaw/touching/accuracy | percent interval }} are right with patches that touch and
# {{ 02/jigsaw/apart/accuracy | percent interval }} with patches that do not: with a gap the outer patches lie farther out, and one patch
# alone tells {{ 02/jigsaw/apart-alone/accuracy - 02/jigsaw/touching-alone/accuracy | points interval }} more. The probe gives
# {{ 02/jigsaw/touching/probe | percent interval }} and {{ 02/jigsaw/apart/probe | percent interval }}. The sight of the middle patch adds
# {{ 02/jigsaw/touching/probe - 02/jigsaw/touching-alone/probe | points interval }} and
# {{ 02/jigsaw/apart/probe - 02/jigsaw/apart-alone/probe | points interval }} to that: nothing that we could show. Raw pixels give
# {{ 02/untrained/fashion/raw-pixels | percent }}, the random encoder
# {{ 02/untrained/fashion/random-encoder | percent }}; chance is drawn, supervised training stands in section 5.

# %%
claim("02/gap-is-no-harder", yours={"02/jigsaw/touching/accuracy": looks[0, True], "02/jigsaw/apart/accuracy": looks[3, True]})

# %%
claim("02/jigsaw-does-not-help")

# %% [markdown]
# The paper found another shortcut by accident: its network could tell from a single patch of a photograph where it came from. A lens
# bends red and green light differently, so that the colours are shifted a little towards the edge of every photograph (chromatic
# aberration), and the network had learned to see it. The cure was to take colours away. What a network can use, it will use.
#
# ### Which question about colours?
#
# Short runs on emoji: with the weights and without; with one colour as the answer (mean) in place of probabilities; with all pictures
# grey, as in the paper; and with none grey, so that the answer is in the question. The accuracies are asked of
# grey pictures, 500 faces and people. For *mean colour* they count the most probable square, which that loss never asks for.

# %% tags=["pretrain"]
painter = Lab("colourisation", "emoji", seed=0, **sslab.recipe("colourisation", "emoji", share=0.65))
painter.start()
painter.join()
painter.status

# %% tags=["figure"]
with torch.no_grad(), evaluation.evaluating(painter.objective.cpu()):
    tries = {f"temperature {t:g}": painter.objective.colourise(pictures, t) for t in (0.05, 0.38, 1.0)}
figures.reconstructions({"grey": objectives.grey_of(pictures), **tries, "truth": pictures})

# %% [markdown]
# **Finding:** a probability for each colour leaves the choice of one to you. Near temperature 0 it is the most probable colour, which
# jumps from place to place; at 1 it is the mean of all, which is pale. The paper took `0.38`, in between.

# %% tags=["figure", "comparison"]
controls = {"raw pixels": record("02/untrained/emoji/raw-pixels").value,
            "random encoder": record("02/untrained/emoji/random-encoder").value, "chance": 1 / 8}
what = {"accuracy, all places": "accuracy", "accuracy, coloured places": "accuracy-in-colour",
        "colourfulness": "colourfulness", "validation accuracy, 5 labels": "probe"}
names = {"weighed": "weighed", "no weights": "plain", "mean colour": "mean", "all grey": "all-grey", "none grey": "colours-left"}
figures.ablation({name: {label: setting(f"02/colours/{key}", column) for label, column in what.items()}
                  for name, key in names.items()}, {"validation accuracy, 5 labels": controls})

# %% [markdown]
# **Finding:** {{ claim 02/weights-bring-colour }} The colours of the answers are {{ 02/colours/weighed/colourfulness | percent }} as far
# from grey as the true ones with weights, {{ 02/colours/plain/colourfulness | percent }} without, and
# {{ 02/colours/mean/colourfulness | percent }} where one mean colour is asked for. So here it is the weights that bring colour: without
# them probabilities, read at temperature `0.38`, are no more colourful than the mean
# ({{ 02/colours/plain/colourfulness - 02/colours/mean/colourfulness | points interval }}). The network that never saw a grey picture leaves
# grey ones grey, and so is right at {{ 02/colours/colours-left/accuracy | percent }} of all places, no fewer than the weighed one
# ({{ 02/colours/weighed/accuracy | percent interval }}): a count of all places rewards grey. The probe gives
# {{ 02/colours/weighed/probe | percent interval }} with half of the pictures grey, {{ 02/colours/all-grey/probe | percent interval }} with
# all of them and {{ 02/colours/colours-left/probe | percent interval }} with none, where nothing was missing and nothing had to be
# guessed. Raw pixels give {{ 02/untrained/emoji/raw-pixels | percent }}, the random encoder
# {{ 02/untrained/emoji/random-encoder | percent }}; chance is drawn, supervised training stands in section 5. With half of them
# grey minus with all: {{ 02/colours/weighed/probe - 02/colours/all-grey/probe | points interval }}. That is what keeping
# half of the colours is worth. Minus with none: {{ 02/colours/weighed/probe - 02/colours/colours-left/probe | points interval }}. That
# interval holds 0: we could not show that colouring teaches more than copying colours does.

# %% [markdown]
# ### A picture without an up
#
# The task assumes that pictures have an up. Take it away: give each garment a random turn first, and ask then.

# %% tags=["pretrain"]
lost = Lab("rotation", "fashion", seed=0, **sslab.recipe("rotation", "fashion", share=0.25))
lost.set(upright=False)
lost.start()
lost.join()
lost.status

# %% tags=["figure"]
figures.loss({"turned at random first": [row["loss"] for row in lost.history]}, lost.objective.reference_levels())

# %% [markdown]
# **Finding:** the loss stays at chance. {{ claim 02/no-up-no-answer }} The probe of this encoder gives
# {{ 02/up/turned/probe | percent interval }}, that of the same short run on upright clothes {{ 02/up/upright/probe | percent interval }},
# raw pixels {{ 02/untrained/fashion/raw-pixels | percent }}, the random encoder {{ 02/untrained/fashion/random-encoder | percent }}. Turned
# minus random encoder is {{ 02/up/turned/probe - 02/untrained/fashion/random-encoder | points interval }}: a task without an answer left
# the encoder worse for this probe than no training.

# %%
claim("02/no-up-no-answer", yours={"02/up/turned/loss": fmean(row["loss"] for row in lost.history[-50:])})

# %% [markdown]
# A network that was trained like that has learned to say *one in four*. One that was trained on pictures with an up has never met a
# question without an answer. Ask your predictor of section 4 about `shapes`: arrows, boots, hearts in any direction.

# %% tags=["figure"]
shapes = datasets.load("shapes").validation.images[:7]
with torch.no_grad(), evaluation.evaluating(lab.objective.cpu()):
    said = lab.objective.turns(shapes / 255)
figures.answers(shapes, said)

# %% [markdown]
# **Finding:** the shape says nothing about the turn. (Striped backgrounds would, to somebody who knows that the stripes lie
# the same way in all of these pictures; this network has never seen one.) In our runs the answers about shapes are right in
# {{ 02/board/emoji/rotation/asked-shapes/accuracy | percent interval }} of the cases, where chance is one in four, and are given
# with a mean probability of {{ 02/board/emoji/rotation/asked-shapes/confidence | percent interval }}. About emoji they are right in
# {{ 02/board/emoji/rotation/asked-emoji/accuracy | percent interval }}, with a mean probability of
# {{ 02/board/emoji/rotation/asked-emoji/confidence | percent interval }}: there the two agree. About shapes it is less sure than about
# emoji, but not as unsure as it should be. A probability that a network gives was fitted to its training pictures. On other pictures
# it need not mean anything.

# %%
guess_shapes.reveal(100 * record("02/board/emoji/rotation/asked-shapes/confidence").value)

# %%
claim("02/rotation-learns")

# %% [markdown]
# ## 7. Exercises (30 minutes)
#
# ### Exercise 1: the rotation task
#
# *Difficulty 2/5 · importance 5/5 · 8 minutes*
#
# From pictures $[B, C, S, S]$ make the task: all of them unturned, then all turned by 90 degrees counter-clockwise, then 180, then 270,
# and the labels 0 to 3 that go with them. `torch.rot90(x, k, dims)` turns in the plane of two dims: which two?

# %% tags=["exercise"] name="rotation_task"
def my_rotation_task(images):
    """[B, C, S, S] -> views [4B, C, S, S], labels [4B]"""
    ### BEGIN SOLUTION
    # stub: views = ...
    # stub: labels = ...
    # stub: return views, labels
    views = torch.cat([torch.rot90(images, turn, (2, 3)) for turn in range(4)])
    labels = torch.arange(4).repeat_interleave(len(images))
    return views, labels
    ### END SOLUTION

# %% tags=["check"] name="rotation_task"
check.rotation_task(my_rotation_task)

# %% [markdown]
# ### Exercise 2: the neighbour's number
#
# *Difficulty 2/5 · importance 3/5 · 6 minutes*
#
# `rows` and `columns` say for each pair how far below and to the right of the middle patch the other one lies: each is -1, 0 or 1, never
# both 0. Number the eight neighbours 0 to 7 in reading order. The middle has no number.

# %% tags=["exercise"] name="neighbour_index"
def my_neighbour_index(rows, columns):
    """int64 [N], [N] -> int64 [N]"""
    ### BEGIN SOLUTION
    place = 3 * (rows + 1) + columns + 1                             # 0 to 8, the middle is 4
    return place - (place > 4).long()
    ### END SOLUTION

# %% tags=["check"] name="neighbour_index"
check.neighbour_index(my_neighbour_index)

# %% [markdown]
# ### Exercise 3: weights for rare colours
#
# *Difficulty 3/5 · importance 4/5 · 9 minutes*
#
# Given how often each of $Q$ colours was counted, and $\lambda$ (`mix`), return weights
# proportional to $1 / ((1 - \lambda) p_q + \lambda / Q)$, scaled so that
# the mean weight of a place is 1: $\sum_q p_q w_q = 1$. Think first: at $\lambda = 1$, what are they?

# %% tags=["exercise"] name="colour_weights"
def my_colour_weights(counts, mix):
    """[Q], lambda -> [Q]"""
    ### BEGIN SOLUTION
    # stub: p = ...
    # stub: weights = ...
    # stub: return ...                                       # scaled
    p = counts / counts.sum()
    weights = 1 / ((1 - mix) * p + mix / len(counts))
    return weights / (p * weights).sum()
    ### END SOLUTION

# %% tags=["check"] name="colour_weights" points=2
check.colour_weights(my_colour_weights)

# %% [markdown]
# ### Exercise 4: one colour from many
#
# *Difficulty 2/5 · importance 3/5 · 7 minutes*
#
# The annealed mean: weigh the colours by the softmax of logits / temperature, and return their mean.

# %% tags=["exercise"] name="annealed_mean"
def my_annealed_mean(logits, colours, temperature=0.38):
    """[N, Q], [Q, 2] -> [N, 2]"""
    ### BEGIN SOLUTION
    return torch.softmax(logits / temperature, dim=1) @ colours
    ### END SOLUTION

# %% tags=["check"] name="annealed_mean"
check.annealed_mean(my_annealed_mean)

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - A pretext task is free: whoever hides something knows the answer.
# - A network solves it with whatever is cheapest. Ask what one could answer without looking at what you had in mind, and measure it: hide
#   one half of the question.
# - Solved well does not mean worth much. The loss of a pretext task says how easy it is; only the probe, beside its controls, says what
#   was learned. With five labels a class none of the three tasks was shown to be above raw pixels.
# - If several answers are possible, their mean may be none of them. Give each a probability, and let rare ones count.
# - A task makes assumptions about the pictures, such as that they have an up. Where these are wrong there is nothing to learn, and a
#   network that was trained elsewhere answers all the same.
#
# ## Papers
#
# - Gidaris, Singh, Komodakis 2018: *Unsupervised representation learning by predicting image rotations*, arXiv:1803.07728
# - Doersch, Gupta, Efros 2015: *Unsupervised visual representation learning by context prediction*, arXiv:1505.05192
# - Noroozi, Favaro 2016: *Unsupervised learning of visual representations by solving jigsaw puzzles*, arXiv:1603.09246
# - Zhang, Isola, Efros 2016: *Colorful image colorization*, arXiv:1603.08511
# - Kolesnikov, Zhai, Beyer 2019: *Revisiting self-supervised visual representation learning*, arXiv:1901.09005
