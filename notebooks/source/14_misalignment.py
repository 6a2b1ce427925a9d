# %% [markdown]
# # 14 · Misalignment: what an invariance costs
#
# A method that learns from views is told, by the views, what does not matter. It believes you. If your task needs what you
# told it to ignore, no loss and no longer training will say so. Here every picture's colour, size, place and direction are known,
# so that you can look up, factor by factor, what a representation has kept and what it has thrown away, and where: in $z$, which
# the loss sees, or already in $h$, which you use.
#
# ## What you will be able to do
#
# - say before training which factor an augmentation will erase, and check it afterwards;
# - read a factor off a representation honestly: classes of equal size, chance, unseen pictures, an angle that wraps around;
# - explain from numbers why the projector is thrown away;
# - name, for a task of your own, the augmentations that it does not allow;
# - tell when a pretext task is solved with something that you did not mean.
#
# ## Time
#
# 100 minutes of yours. The machine needs {{ 14/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured
# that).

# %%
import torch

import sslab
from sslab import datasets, evaluation, figures
from sslab.course import claim, record
from sslab.course.lessons import nb14
from sslab.datasets.shapes import draw
from sslab.evaluation import FACTORS
from sslab.lab import Lab, check, predict, show_source

# %% [markdown]
# ## 1. Predict (6 minutes)
#
# SimCLR on pictures of shapes. Three groups of augmentations: **colour** (jitter of brightness, contrast, saturation and hue, and
# greyscale), **crop** (a random part, enlarged) and **rotation** (by up to 60 degrees either way). *Pick one of them* and write its name
# into the next cell: you will train without it and then with it.

# %%
pick = "crop"                                                        # "colour", "crop" or "rotation"
guess_dies = predict("14/dies", f"You add {pick} to the other two. Which factor can be read from z so much worse afterwards that "
                     "it has fallen most?", list(FACTORS))
guess_dies

# %%
guess_h = predict("14/h", "A factor that has nearly gone from z: how much of what it lost there has it lost in h, the encoder's output?",
                  low=0, high=100, unit="% of the loss on z")
guess_h

# %%
guess_shape = predict("14/shape", "All three augmentations together leave little but shape and background to agree on. Shape is then read "
                      "from z ...", ["perfectly", "better than chance, far from perfectly", "no better than chance"])
guess_shape

# %%
guess_pair = predict("14/flip", "Digits, and an invariance to mirror images. Which pair will a probe confuse more than before?",
                     ["2 and 5", "6 and 9", "another pair", "no pair: digits are not symmetric"])
guess_pair

# %% [markdown]
# ## 2. See the data and the factors (8 minutes)

# %%
shapes = datasets.load("shapes")
shapes.card

# %% tags=["figure"]
one = {name: values[:8].clone() for name, values in shapes.factors.items()}
same = {name: values[:1].repeat(8) for name, values in one.items()}
changes = {"size": ("size",), "position": ("x", "y"), **{name: (name,) for name in ("shape", "colour", "rotation", "texture")}}
rows = [draw({**same, **{key: one[key] for key in changes[name]}}) for name in FACTORS]
figures.reconstructions({name: row.float() / 255 for name, row in zip(FACTORS, rows, strict=True)})

# %% [markdown]
# **Finding:** in each row the same picture with one factor changed and all else kept. Six shapes, six colours and four backgrounds (the
# last row, *texture*) are equally frequent; size, place and direction are any number in their range. No shape looks the same after less than a full turn, so
# that its direction is always there to be seen.
#
# What the three groups do to pictures, with a little noise in each view:

# %% tags=["figure"]
figures.views(shapes.train.images[:4], nb14.augmentations("colour", "crop", "rotation"))

# %% [markdown]
# **Finding:** to call all views of a row the same thing, a network must not look at hue, at where the shape lies, at how large it is or
# where it points. It may look at what shape it is, and at the kind of background, where the jitter has left enough light to see
# either. Two things are left over that you may not have
# thought of: how light a colour is against its background, which a hue jitter keeps, and, since a picture is turned about *its* middle,
# not about the shape's, rotation moves the shape as well.

# %% [markdown]
# ## 3. Read how a factor is read (10 minutes)
#
# A number is cut into six classes of equal size, so that chance is one in six for all but the background, where it is one in four. The
# edges are those of the training split. Position is the mean of two readings, across and down. A direction is cut into six sectors: it need
# not be read as a number that jumps from 360 to 0.

# %%
show_source(evaluation.equal_classes)

# %% [markdown]
# A probe learns on 4,000 training pictures, chooses its penalty on the validation split, and is read on test pictures. A linear probe
# divides each feature by its std, so it finds remnants, however small. That is one honest question: *is it there?* Another one is: *does it
# count?* Change one factor of a picture, keep all else, and see how far $z$ moves, in units of the distance to another picture:
#
# $$\mathrm{moved} = \frac{\overline{1 - \cos(z_i, z_i')}}{\overline{1 - \cos(z_i, z_j')}_{\,i \neq j}}$$

# %%
show_source(evaluation.moved)

# %% [markdown]
# The objective is SimCLR's, as in lesson 07. All that differs between two runs below is which views are made:

# %%
for row, parts in nb14.ROWS.items():
    print(f"{row:12} noise" + "".join(f" + {part} {nb14.PARTS[part]}" for part in parts))

# %% [markdown]
# ## 4. Run it live (12 minutes)
#
# First *without* the augmentation that you picked. Run the cell below the lab: it presses Start. Leave the knobs of the views (`hue`, `crop`,
# `rotation`) alone until both runs are done: a knob takes effect at the next step and stays.

# %%
others = nb14.ROWS[f"no-{pick}"]
without = nb14.make(shapes, "simclr", seed=0, views=nb14.augmentations(*others), temperature=nb14.TEMPERATURE)
lab = Lab(without, shapes, seed=0, **sslab.recipe("simclr", "shapes", share=nb14.SHARE))
lab

# %% tags=["pretrain"]
lab.start()
lab.join()
lab.status

# %%
def read(objective):
    """What a linear probe reads of each factor from z and from h, on test pictures."""
    return {"z": evaluation.read_factors(nb14.projection(objective), shapes),
            "h": evaluation.read_factors(objective.encoder, shapes)}

yours = {f"without {pick}": read(lab.objective)}

# %% [markdown]
# Now the same lab with the knobs of your augmentation turned up: fresh weights, the same seed. The first run stays as a ghost.

# %% tags=["pretrain"]
lab.set(**nb14.PARTS[pick])
lab.start()
lab.join()
yours["all three"] = read(lab.objective)
lab.status

# %% tags=["figure", "comparison"]
chance = evaluation.factor_chance(shapes)
figures.factor_heat_maps({f"probe on {name}": {row: table[name] for row, table in yours.items()} for name in ("z", "h")}, chance)

# %% [markdown]
# **Finding:** this is your run: compare the two rows of the left map, column by column, then those of the right one. Shape may
# fall as well, although no augmentation changes it: more of that in section 5. Chance stands under the names; raw pixels, a random encoder and a
# supervised one are rows of our maps in the next section.

# %%
lost = {name: {factor: yours[f"without {pick}"][name][factor] - yours["all three"][name][factor] for factor in FACTORS}
        for name in ("z", "h")}
dead = max(FACTORS, key=lost["z"].get)
print({name: {factor: f"{-100 * value:+.0f}" for factor, value in row.items()} for name, row in lost.items()})
guess_dies.reveal(dead)

# %% [markdown]
# A method is not broken when this happens. The loss fell: it did what the views told it. The lab may say that $z$ fills few directions;
# where the views agree on little, there is little to fill them with. No gauge says *which* factor went.

# %%
guess_h.reveal(100 * max(0.0, min(1.0, lost["h"][dead] / lost["z"][dead])) if lost["z"][dead] > 0 else 100.0)

# %% [markdown]
# ## 5. Explain (18 minutes)
#
# ### Augmentation by factor
#
# All three, all without one, and none but noise: three runs each. A frame is round what the missing augmentation would erase.

# %%
def table(name, probe="linear", rows=("all", "no-colour", "no-crop", "no-rotation", "none")):
    """Our records as the heat map takes them."""
    return {names.get(row, row): {factor: record(f"14/factors/{row}/{name}/{probe}/{factor}").value for factor in FACTORS} for row in rows}

def other(path, probe="linear"):
    """A row of a record that has only h."""
    return {factor: record(f"14/{path}/{probe}/{factor}").value for factor in FACTORS}

names = {"all": "all three", "no-colour": "without colour", "no-crop": "without crop", "no-rotation": "without rotation",
         "none": "noise only"}
framed = {names[row]: factors for row, factors in nb14.ERASED.items()}

# %% tags=["figure", "comparison"]
controls = {"raw pixels": other("raw"), "random encoder": other("controls/random-encoder"), "supervised": other("controls/supervised")}
figures.factor_heat_maps({"linear probe on z": table("z"), "linear probe on h": {**table("h"), **controls}}, chance, framed)

# %% [markdown]
# **Finding:** read the framed cells of the left map against the first row. Colour is read from $z$ with
# {{ 14/factors/no-colour/z/linear/colour | percent interval }} without colour jitter and greyscale, and with
# {{ 14/factors/all/z/linear/colour | percent interval }} with them. Position {{ 14/factors/no-crop/z/linear/position | percent interval }} and
# {{ 14/factors/all/z/linear/position | percent interval }}, size {{ 14/factors/no-crop/z/linear/size | percent interval }} and
# {{ 14/factors/all/z/linear/size | percent interval }} without and with crop; rotation
# {{ 14/factors/no-rotation/z/linear/rotation | percent interval }} and {{ 14/factors/all/z/linear/rotation | percent interval }}. Our guess at what
# is left above chance: of colour, lightness; of size, that a crop only enlarges, so that what looks small was never large. Shape is read with
# {{ 14/factors/all/z/linear/shape | percent interval }}. Controls, on the right: chance is under the names. From raw pixels shape is read with
# {{ 14/raw/linear/shape | percent }}, not safely less, and size with {{ 14/raw/linear/size | percent }}, no more than from $z$ with all three: size
# is the weakest case of an erasure. The random encoder reads shape with {{ 14/controls/random-encoder/linear/shape | percent interval }}. Supervised
# training on the shape's label reads shape with {{ 14/controls/supervised/linear/shape | percent interval }}. It saw the views of the first row, so
# that its low colour may be their doing; but the background, with {{ 14/controls/supervised/linear/texture | percent interval }}, those views let
# SimCLR keep: labels, too, say what may be forgotten.

# %%
claim("14/colour-erases-colour", yours={nb14._z(row, "colour"): yours[name]["z"]["colour"] for row, name in
                                        (("no-colour", "without colour"), ("all", "all three")) if name in yours and pick == "colour"})

# %%
claim("14/crop-erases-position", yours={nb14._z(row, "position"): yours[name]["z"]["position"] for row, name in
                                        (("no-crop", "without crop"), ("all", "all three")) if name in yours and pick == "crop"})

# %%
claim("14/crop-erases-size", yours={nb14._z(row, "size"): yours[name]["z"]["size"] for row, name in
                                    (("no-crop", "without crop"), ("all", "all three")) if name in yours and pick == "crop"})

# %%
claim("14/rotation-erases-rotation", yours={nb14._z(row, "rotation"): yours[name]["z"]["rotation"] for row, name in
                                            (("no-rotation", "without rotation"), ("all", "all three")) if name in yours and pick == "rotation"})

# %%
share = record("14/factors/all/z/linear/shape").value
guess_shape.reveal("perfectly" if share > 0.95 else "better than chance, far from perfectly" if share > 1 / 6 + 0.05 else
                   "no better than chance")

# %%
claim("14/shape-survives")

# %% [markdown]
# A factor that survives is not a factor that is learned well. No augmentation changes the shape, and yet adding colour jitter and greyscale to
# the other two costs it {{ 14/factors/no-colour/z/linear/shape - 14/factors/all/z/linear/shape | points interval }} on $z$, adding crop
# {{ 14/factors/no-crop/z/linear/shape - 14/factors/all/z/linear/shape | points interval }}. Why, we have not measured. Our guess: background and
# lightness already tell many pictures of a batch apart, and then little is left in the loss to pull at the shape.
#
# ### Why the projector goes into the bin
#
# Compare the two maps row by row. The loss is computed on $z$, so $z$ must be invariant; $h$ is one MLP further away, and that MLP can do
# much of the forgetting.

# %% tags=["figure", "comparison"]
panels = {}
for row, factors in nb14.ERASED.items():
    for factor in factors:
        z, h = (record(f"14/factors/{row}/{name}/linear/{factor}").minus(record(f"14/factors/all/{name}/linear/{factor}")) for name in "zh")
        panels[f"{factor}, by {row.removeprefix('no-')}"] = {"lost on z": (z.value, z.interval), "lost on h": (h.value, h.interval)}
figures.ablation(panels)

# %% [markdown]
# **Finding:** each row is a factor and the augmentation that erases it; to the right is a larger loss of accuracy, on two axes that differ
# (chance and the controls, raw pixels, random encoder and supervised, stand in the maps above). On $z$ and $h$: colour
# {{ 14/factors/no-colour/z/linear/colour - 14/factors/all/z/linear/colour | points interval }} and
# {{ 14/factors/no-colour/h/linear/colour - 14/factors/all/h/linear/colour | points interval }}; size
# {{ 14/factors/no-crop/z/linear/size - 14/factors/all/z/linear/size | points interval }} and
# {{ 14/factors/no-crop/h/linear/size - 14/factors/all/h/linear/size | points interval }}; position
# {{ 14/factors/no-crop/z/linear/position - 14/factors/all/z/linear/position | points interval }} and
# {{ 14/factors/no-crop/h/linear/position - 14/factors/all/h/linear/position | points interval }}; rotation
# {{ 14/factors/no-rotation/z/linear/rotation - 14/factors/all/z/linear/rotation | points interval }} and
# {{ 14/factors/no-rotation/h/linear/rotation - 14/factors/all/h/linear/rotation | points interval }}. Less on $h$, but not little; and for size
# three seeds do not tell the two losses apart.

# %%
claim("14/h-loses-less")

# %% [markdown]
# SimCLR's authors found the same on ImageNet: a small network told by how much a picture had been rotated from $h$ in 67.6 % of the cases and
# from $g(h)$, our $z$, in 25.6 %, where chance is 25 (Chen et al. 2020, table 3, one of four turns). They conjecture that this is
# why $h$ serves other tasks better than $z$, and so the projector is thrown away. It is also a warning. $h$ keeps *a part* of what $z$ discards, by an
# accident of depth; nothing in the loss protects it.
#
# ### Is it there, or does it count?
#
# One factor changed, all else kept: how far does $z$ move?

# %%
print(f"{'z moves by':18}" + "".join(f"{factor:>10}" for factor in FACTORS))
for row, name in names.items():
    print(f"{name:18}" + "".join(f"{record(f'14/factors/{row}/z/moves/{factor}').value:10.2f}" for factor in FACTORS))

# %% [markdown]
# 1 is as far as another picture. This needs no probe and no labels, but pictures that can be drawn again. Compare it with the map: where a probe still
# reads something and $z$ hardly moves, you have found a remnant. With all three, size is read with {{ 14/factors/all/z/linear/size | percent }} and moves $z$
# by {{ 14/factors/all/z/moves/size | .2f }}: little for a nearest neighbour, enough for a linear layer with many labels. By this measure $h$ keeps no more
# than $z$: there size moves it by {{ 14/factors/all/h/moves/size | .2f }}. What a probe finds in $h$ is there, and hardly counts.
#
# ### Other tasks, other blind spots
#
# No two views, no projector: what is in $h$ after a short run of the tasks of lessons 02, 03 and 06.

# %% tags=["figure", "comparison"]
tasks = {"noise only, SimCLR": table("h", rows=("none",))["noise only"], **{task: other(f"pretext/{task}") for task in nb14.PRETEXT}}
figures.factor_heat_maps({"linear probe on h": {**tasks, **controls}}, chance)

# %% [markdown]
# **Finding:** a pretext task is a statement about what matters, too, but not always the one its name makes. From rotation prediction rotation is read
# with {{ 14/pretext/rotation/linear/rotation | percent interval }}, no better than from the random encoder
# ({{ 14/controls/random-encoder/linear/rotation | percent interval }}), and colour worse: {{ 14/pretext/rotation/linear/colour | percent interval }}
# against {{ 14/controls/random-encoder/linear/colour | percent interval }}. From the autoencoder, which must paint the shape where it was, position
# is read with {{ 14/pretext/autoencoder/linear/position | percent interval }}, where the random encoder gives
# {{ 14/controls/random-encoder/linear/position | percent }} and raw pixels {{ 14/raw/linear/position | percent }}. Colourisation, which sees half of
# its pictures grey, keeps colour all the same. Shape hardly comes from any of them: at best
# {{ 14/pretext/colourisation/linear/shape | percent interval }}, raw pixels {{ 14/raw/linear/shape | percent }}, supervised
# {{ 14/controls/supervised/linear/shape | percent }}. Chance is under the names. The runs are short (not the first row's), the encoders not all alike
# (MAE and I-JEPA have a transformer): compare a row with the random encoder's rather than with another task's.

# %% [markdown]
# ## 6. Break it on real data (14 minutes)
#
# ### 6 and 9, 2 and 5
#
# SimCLR on digits, short runs: its usual views (turns by up to 15 degrees, no mirror images); then any turn, as one would allow for pictures
# taken from above; then mirror images, as is usual for photographs. For each two digits a linear probe with 20 labels of each.

# %% tags=["figure", "comparison"]
figures.pairs({f"any turn, on {name}": nb14.pair_matrix(record(f"14/digits/half-turn/{name}/pairs"), record(f"14/digits/plain/{name}/pairs"))
               for name in "zh"}, tuple("0123456789"), marked=((6, 9),))

# %% [markdown]
# **Finding:** points of accuracy, compared with the usual views, for each pair. On $z$ 6 and 9 are told apart with
# {{ 14/digits/plain/z/6-9 | percent interval }} under the usual views and with {{ 14/digits/half-turn/z/6-9 | percent interval }} under any turn; the
# other pairs go from {{ 14/digits/plain/z/others | percent interval }} to {{ 14/digits/half-turn/z/others | percent interval }}. On $h$ it is
# {{ 14/digits/plain/h/6-9 | percent interval }} and {{ 14/digits/half-turn/h/6-9 | percent interval }}: most of what the loss made $z$ forget is
# still there. Raw pixels give {{ 14/digits-raw/6-9 | percent }} and a random encoder {{ 14/digits-random/6-9 | percent interval }}; chance is one
# half, supervised training was not measured on pairs. The frame is where we looked first. Look at the other cells as well: pairs that nobody had in
# mind have lost, too. 2 and 5 are down to {{ 14/digits/half-turn/z/2-5 | percent interval }} on $z$, and on $h$, with
# {{ 14/digits/half-turn/h/2-5 | percent interval }}, they have lost more than 6 and 9. The other pairs are on $z$ where a random encoder has them
# ({{ 14/digits-random/others | percent interval }}), and below raw pixels ({{ 14/digits-raw/others | percent }}).

# %% tags=["figure", "comparison"]
figures.pairs({f"mirror images, on {name}": nb14.pair_matrix(record(f"14/digits/flip/{name}/pairs"), record(f"14/digits/plain/{name}/pairs"))
               for name in "zh"}, tuple("0123456789"), marked=((2, 5),))

# %% [markdown]
# **Finding:** under mirror images 2 and 5 go from {{ 14/digits/plain/h/2-5 | percent interval }} to {{ 14/digits/flip/h/2-5 | percent interval }} on
# $h$, the other pairs from {{ 14/digits/plain/h/others | percent interval }} to {{ 14/digits/flip/h/others | percent interval }}. On $z$, 2 and 5
# have {{ 14/digits/flip/z/2-5 | percent interval }}. Raw pixels give {{ 14/digits-raw/2-5 | percent }} for this pair, more than $h$ or $z$ under
# mirror images, a random encoder {{ 14/digits-random/2-5 | percent interval }}, chance one half; supervised training was not measured. The frame is
# where we looked first, and not where the loss is largest: find that cell, then run the next one.

# %%
flipped = nb14.pair_matrix(record("14/digits/flip/h/pairs"), record("14/digits/plain/h/pairs"))
worst = divmod(int(flipped.argmin()), 10)
print(f"mirror images cost {worst[1]} and {worst[0]} most: {100 * flipped.min():.0f} points")
guess_pair.reveal({(5, 2): "2 and 5", (9, 6): "6 and 9"}.get(worst, "another pair"))

# %%
claim("14/half-turn-costs-6-and-9")

# %%
claim("14/flip-costs-2-and-5")

# %% [markdown]
# ### A task about an up that is not there
#
# Rotation prediction asks by how many quarter turns a picture was turned. Clothes have an up. Shapes point anywhere, so the shape can say nothing,
# ever. The background can: stripes show all four turns, checks show two, plain and dotted ones none. The best possible answer is right in half of
# the cases over all four backgrounds.

# %% tags=["figure", "comparison"]
solved = {name: (record(f"14/pretext/rotation/solved/{name}").value, record(f"14/pretext/rotation/solved/{name}").interval)
          for name in ("plain", "dots", "checks", "stripes", "all")}
solved["clothes"] = record("14/up/solved").value, record("14/up/solved").interval
figures.ablation({name: {"accuracy on the task": value} for name, value in solved.items()}, {"accuracy on the task": {"chance": 0.25}})

# %% [markdown]
# **Finding:** on shapes the task is solved in {{ 14/pretext/rotation/solved/all | percent interval }} of the cases, on clothes in
# {{ 14/up/solved | percent interval }}. A curve of the loss that falls well below chance would look like learning. Split by background it is
# {{ 14/pretext/rotation/solved/plain | percent interval }} on plain, {{ 14/pretext/rotation/solved/dots | percent interval }} on dots,
# {{ 14/pretext/rotation/solved/checks | percent interval }} on checks and {{ 14/pretext/rotation/solved/stripes | percent interval }} on stripes. (This is the
# accuracy of the task itself, so only chance is a control; raw pixels, random encoder and supervised belong to what was read from $h$, above.)

# %%
claim("14/rotation-task-reads-the-background")

# %% [markdown]
# ### Fruit without colours
#
# Emoji by several vendors. Take a drawing of a fruit; among the fruit of the *other* vendors take the nearest one: is it the same fruit? The same for
# twelve hearts that differ in colour alone. Two encoders, one that was trained to ignore colour and one that was not.

# %% tags=["figure", "comparison"]
rows = {name: {what: (record(f"14/{path}/{key}").value, record(f"14/{path}/{key}").interval) for what, key in
               (("the same fruit", "fruit"), ("the same heart", "hearts"), ("probe: 8 groups, 5 labels each", "groups"))}
        for name, path in {"colour kept": "emoji/colour-kept", "colour ignored": "emoji/colour-ignored",
                           "random encoder": "emoji-random", "raw pixels": "emoji-raw"}.items()}
figures.ablation(rows, {what: {"chance": record(f"14/emoji-raw/chance/{key}").value} for what, key in
                        (("the same fruit", "fruit"), ("the same heart", "hearts"), ("probe: 8 groups, 5 labels each", "groups"))})

# %% [markdown]
# **Finding:** the same heart is found for {{ 14/emoji/colour-kept/hearts | percent interval }} of the drawings when colour is kept and for
# {{ 14/emoji/colour-ignored/hearts | percent interval }} when it is ignored; the same fruit for {{ 14/emoji/colour-kept/fruit | percent interval }}
# and {{ 14/emoji/colour-ignored/fruit | percent interval }}. The eight groups of emoji, which colour does not name, go from
# {{ 14/emoji/colour-kept/groups | percent interval }} to {{ 14/emoji/colour-ignored/groups | percent interval }}. Raw pixels have
# {{ 14/emoji-raw/hearts | percent }} of the hearts, {{ 14/emoji-raw/fruit | percent }} of the fruit and {{ 14/emoji-raw/groups | percent }} of the
# groups, a random encoder {{ 14/emoji-random/hearts | percent interval }}, {{ 14/emoji-random/fruit | percent }} and
# {{ 14/emoji-random/groups | percent interval }}; chance is drawn, supervised training was not measured here. With three runs the difference on fruit
# is not a safe one, and both encoders are below raw pixels there; on hearts there is no doubt. On groups ignoring colour is better than keeping it,
# and no better than raw pixels. The same invariance helps where colour is a distraction and hurts where colour is the name.

# %%
claim("14/colour-blind-hearts")

# %%
claim("14/colour-blind-groups")

# %% [markdown]
# ### Two honest measures that disagree
#
# An invariance too many is one way to be misaligned. A measure that asks the wrong question is another. A masked autoencoder (lesson 06) is not
# asked for any. For a ViT-B pretrained for 100 epochs on ImageNet, the benchmarks of LightlySSL give: a linear probe is right in 46.0 % of the
# cases, kNN in 11.2 %, and the same network fine-tuned in 81.3 %. All are honest, with the same weights. kNN asks whether pictures of a class lie near each other; a linear probe
# whether a plane parts them; fine-tuning, whether the weights are a good place to start from. Ask what you will do with the
# encoder, then choose the measure. This lesson's two questions, *is it there* and *does it count*, are the same difference on a small scale.

# %% [markdown]
# ## 7. Exercises (30 minutes)
#
# ### Exercise 1: classes of equal size
#
# *Difficulty 2/5 · importance 5/5 · 8 minutes*
#
# Cut a number into classes. The edges are the quantiles of the *training* values, so that each class has as many of those; `values` of any split are
# then sorted between these edges. Classes count from 0, the lowest first.

# %% tags=["exercise"] name="equal_classes"
def my_equal_classes(train, values, classes):
    """[M], [N], number -> int64 [N]"""
    ### BEGIN SOLUTION
    # stub: edges = ...                                      # classes - 1 numbers
    # stub: return ...                                       # between which of them does each value lie?
    edges = train.quantile(torch.arange(1, classes, dtype=train.dtype) / classes)
    return torch.bucketize(values, edges)
    ### END SOLUTION

# %% tags=["check"] name="equal_classes"
check.equal_classes(my_equal_classes)

# %% [markdown]
# ### Exercise 2: how far is it round?
#
# *Difficulty 2/5 · importance 3/5 · 6 minutes*
#
# The angle between two directions in degrees, by the shorter way: from 0 to 180. The numbers may be negative, or more than a full turn.

# %% tags=["exercise"] name="angular_distance"
def my_angular_distance(a, b):
    """[N], [N] -> [N], in degrees"""
    ### BEGIN SOLUTION
    gap = (a - b).abs() % 360
    return torch.minimum(gap, 360 - gap)
    ### END SOLUTION

# %% tags=["check"] name="angular_distance"
check.angular_distance(my_angular_distance)

# %% [markdown]
# ### Exercise 3: does it count?
#
# *Difficulty 3/5 · importance 5/5 · 10 minutes*
#
# `z` holds some pictures, `changed` the same ones with one factor changed. Distance is 1 minus the cosine. Return the mean distance of a picture from
# its own changed one, divided by the mean distance of a picture from the changed ones of all others.

# %% tags=["exercise"] name="moved" points=2
def my_moved(z, changed):
    """[N, D], [N, D] -> scalar: 0 not seen, 1 as another picture"""
    ### BEGIN SOLUTION
    # stub: distance = ...                                   # [N, N], of each picture to each changed one
    # stub: own = ...                                        # [N]
    # stub: return ...                                       # over the mean of all the other entries
    normalise = torch.nn.functional.normalize
    distance = 1 - normalise(z, dim=1) @ normalise(changed, dim=1).T
    own = distance.diagonal()
    others = (distance.sum() - own.sum()) / (len(z) * (len(z) - 1))
    return own.mean() / others
    ### END SOLUTION

# %% tags=["check"] name="moved" points=2
check.moved(my_moved)

# %% [markdown]
# ### Exercise 4: what does a task allow?
#
# *Difficulty 2/5 · importance 5/5 · 6 minutes*
#
# `needs[t, f]` says whether task $t$ needs factor $f$, `erases[a, f]` whether augmentation $a$ erases it. Which augmentations may each task use?
# True where nothing that is needed is erased. (Both hold True and False; `.float()` makes numbers of them.)

# %% tags=["exercise"] name="allowed"
def my_allowed(needs, erases):
    """bool [T, F], bool [A, F] -> bool [T, A]"""
    ### BEGIN SOLUTION
    return needs.float() @ erases.float().T == 0
    ### END SOLUTION

# %% tags=["check"] name="allowed"
check.allowed(my_allowed)

# %%
if check.allowed(my_allowed).passed:
    tasks = {"name the shape": {"shape"}, "count red things": {"colour"}, "find it": {"position", "size"}, "which way?": {"rotation"}}
    erased = {"colour": {"colour"}, "crop": {"position", "size"}, "rotation": {"rotation", "position"}, "noise": set()}
    needs, erases = (torch.tensor([[factor in some for factor in FACTORS] for some in group.values()]) for group in (tasks, erased))
    for task, row in zip(tasks, my_allowed(needs, erases), strict=True):
        print(f"{task:18}", [name for name, fine in zip(erased, row, strict=True) if fine])

# %% [markdown]
# Keep such a table for a task of your own, before you train anything. It goes by what the views change, and training may do otherwise: rotation moves the
# shape, but without crop position is read from $z$ with {{ 14/factors/no-crop/z/linear/position | percent interval }} all the same.

# %% [markdown]
# ## 8. What to remember (2 minutes)
#
# - Views say what does not matter. Whatever your task needs must not be among it.
# - What an augmentation changes gets harder to read, from $z$ more than from $h$ (colour, position, rotation). Others may fall with it: here shape did.
# - The loss does not notice, and the gauges of collapse cannot say which factor went. A probe for the factor itself can, or a change of
#   that factor alone.
# - Erased is a matter of degree: a probe finds remnants that hardly move $z$. Say what you asked.
# - A pretext task can be solved with what you did not mean. Split its accuracy by whatever could be used.
# - Chance, classes of equal size, unseen pictures: without them a number about a factor says nothing.
#
# ## Papers
#
# - Chen, Kornblith, Norouzi, Hinton 2020: *A simple framework for contrastive learning of visual representations*, arXiv:2002.05709 (table 3)
# - Xiao, Wang, Efros, Darrell 2020: *What should not be contrastive in contrastive learning*, arXiv:2008.05659
# - Tian, Sun, Poole, Krishnan, Schmid, Isola 2020: *What makes for good views for contrastive learning?*, arXiv:2005.10243
# - Chen, Luo, Li 2021: *Intriguing properties of contrastive losses*, arXiv:2011.02803
# - Gidaris, Singh, Komodakis 2018: *Unsupervised representation learning by predicting image rotations*, arXiv:1803.07728
# - He, Chen, Xie, Li, Dollár, Girshick 2021: *Masked autoencoders are scalable vision learners*, arXiv:2111.06377
# - LightlySSL: *Benchmarks*, docs.lightly.ai (ImageNet1k; the three numbers for MAE with ViT-B/16, 100 epochs)
