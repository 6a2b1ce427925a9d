# %% [markdown]
# # 16 · Scale: what more of everything buys
#
# More pictures, larger batches, wider encoders, longer training, fewer bits, more machines: papers have all of them, and you
# have a laptop. Here you measure what each is worth on your own machine, in minutes. Next to your curves are ours, from a CPU
# with two cores. You will also learn where a curve ends. A line drawn on past its last point is not a measurement.
#
# ## What you will be able to do
#
# - say what a run cost, in time, energy and money, and what the next one will cost;
# - choose between a wider encoder and a longer training when the time is given;
# - change the batch size, and say what else changes with it;
# - fit a power law to a few points, and say how far it may be read;
# - train one model with several processes, and know what must be sent between them so that nothing else changes.
#
# ## Time
#
# 100 minutes of yours. The machine needs {{ 16/time/cpu | minutes }} on a two-core CPU, less on a GPU (we have not measured that).

# %%
import torch

import sslab
from sslab import figures, objectives
from sslab.course import claim, record
from sslab.course.lessons import nb16
from sslab.figures import scale
from sslab.lab import check, predict, show_source
from sslab.objectives import across
from sslab.training.devices import describe, pick_device

# %% [markdown]
# ## 1. Predict (6 minutes)
#
# Four guesses, before anything has run. SimCLR on clothes, a linear probe with 5 labels a class; labels are the same for all.

# %%
guess_images = predict("16/images", "18,000 unlabelled pictures in place of 1,000, with the same number of steps and the same batch size. By how "
                       "much does the probe rise?", low=-5, high=30, unit="points")
guess_images

# %%
guess_batch = predict("16/batch", "As many views in batches of 1,024 in place of 64, with the same learning rate. The probe is then ...",
                      ["better: more negatives", "about the same", "worse: fewer steps"])
guess_batch

# %%
guess_width = predict("16/width", "A minute of training on our machine, and no more. Which encoder makes the most of it?",
                      ["the narrow one, with many steps", "the middle one", "the wide one, with few steps"])
guess_width

# %%
guess_talk = predict("16/talk", "Two processes on the cores of one machine share each batch. How much of a step do they spend in exchanging "
                     "numbers and waiting for each other?", low=0, high=100, unit="% of the step")
guess_talk

# %% [markdown]
# ## 2. See the data, and your machine (8 minutes)

# %%
fashion = sslab.load("fashion")
fashion.card

# %%
device = pick_device()
print(f"yours: {describe(device)}, {torch.get_num_threads()} threads, torch {torch.__version__}")
print(f"ours:  {nb16.machine()}")

# %% [markdown]
# One number says most about a machine: how many **views a second** it trains on. A view is one augmented picture; SimCLR makes two of each.
# We time whole steps (views, forward, backward, update), in three precisions. *float32* is the usual one. *channels-last* is float32 with another
# order in memory. *bf16* computes with 16 bits, keeps the weights in 32, and has the channels-last order too.

# %%
batches = (16, 64, 256)
rates = {name: {batch: (nb16.speed(batch=batch, precision=name), None) for batch in batches} for name in nb16.PRECISIONS}

# %% tags=["figure"]
ours = {name: {batch: (record(f"16/speed/{name}/{batch}").value, record(f"16/speed/{name}/{batch}").interval) for batch in (16, 64, 256, 1024)}
        for name in nb16.PRECISIONS}
both = {**ours, **{f"{name}, yours": points for name, points in rates.items()}}
scale.curves(both, "batch size", "views a second", logarithmic=True)

# %% [markdown]
# **Finding:** our machine trains on {{ 16/speed/float32/16 | ,.0f }} views a second in batches of `16` and on
# {{ 16/speed/float32/256 | ,.0f }} in batches of `256`: each step has a part that does not depend on the batch. With channels-last it is
# {{ 16/speed/float32-channels-last/256 | ,.0f }}, with channels-last and bf16 together {{ 16/speed/bf16-channels-last/256 | ,.0f }}: here fewer bits are slower. In batches
# of `1,024` float32 is slower than in those of `256`, in either order. Whether fewer bits are faster depends on whether the processor has instructions for
# them, so the lab measures it, in a second, and chooses. That is what `precision="auto"` means.

# %% [markdown]
# ## 3. Read the objective, and what a batch is to it (10 minutes)
#
# NT-Xent compares each view with all others of its batch (lesson 07). So the batch size $B$ is in the loss itself, and in its
# chance level:
#
# $$\ell_i = -\log \frac{e^{s_{ij}/\tau}}{\sum_{k \neq i} e^{s_{ik}/\tau}}, \qquad \text{chance} = \log(2B - 1)$$
#
# Losses of different batch sizes cannot be compared. Accuracies can. And with $V$ views to spend, a batch of $B$ pictures leaves
# $V / 2B$ steps: at equal cost a large batch takes few steps. The usual remedy is to make each step longer. The **linear rule** says $k$ times the
# batch, $k$ times the learning rate. It was found for SGD. For Adam, which divides each step by the gradient's own size, there is an
# argument for $\sqrt{k}$. We shall try both, and the rate as it was. (The paper with the root also changes Adam's betas and epsilon; we change the rate only.)
#
# Several processes share a batch: each has some of its rows. Most losses are means over rows, and a mean of means is the mean. This one
# is not: each row needs *everybody's* rows. So they are gathered first. Batch norm is the other case. Its mean and variance are those of the whole batch, so
# each layer of it sends its own, forward and backward.

# %%
show_source(across.gather)

# %%
show_source(objectives.SimCLR)

# %% [markdown]
# The gradient must find its way back through `gather`. A plain `all_gather` of torch has none, not even for a process's own rows. Often these
# are put back in their place. Then training runs and the loss is right to the last digit, but what the other processes' losses would have said about these
# rows is missing, and no message tells you so.

# %% [markdown]
# ## 4. Run it live (12 minutes)
#
# Short runs, `150` steps of `64` pictures; ours have `450`. First the amount of data. All three see as many pictures; with a thousand of
# them each one comes again and again. The meter reads the energy where your machine tells it.

# %% tags=["pretrain"]
mine = {}
with nb16.Meter() as meter:
    for images in nb16.BY_IMAGES:
        mine["images", images] = nb16.run(images=images, steps=150)
        print(f"{images:6,} pictures: probe {mine['images', images].probe:.3f}, {mine['images', images].seconds:.0f} s of training")
meter

# %% [markdown]
# Then the batch, at as many views. The run with all pictures above is the one with batch 64.

# %% tags=["pretrain"]
mine["batch", 64] = mine["images", 18_000]
for batch in (16, 1024):
    mine["batch", batch] = nb16.run(batch=batch, steps=150)
    print(f"batch {batch:4}: probe {mine['batch', batch].probe:.3f}, {mine['batch', batch].seconds:.0f} s of training")

# %% [markdown]
# And the encoder's width, and the number of steps.

# %% tags=["pretrain"]
plain = mine["images", 18_000]
for width, steps in ((8, 150), (8, 450), (32, 50), (32, 150)):
    mine[width, steps] = nb16.run(width=width, steps=steps)
    print(f"width {width:2}, {steps:3} steps: probe {mine[width, steps].probe:.3f}, {mine[width, steps].seconds:.0f} s of training")

# %% [markdown]
# ## 5. Explain (22 minutes)
#
# ### More pictures

# %% tags=["figure", "comparison"]
yours = {images: (mine["images", images].probe, None) for images in nb16.BY_IMAGES}
scale.curves({f"450 steps ({nb16.machine()})": nb16.recorded(nb16.BY_IMAGES), "150 steps, yours": yours}, "unlabelled pictures",
             "validation accuracy, 5 labels a class", nb16.lines())

# %% [markdown]
# **Finding:** with as many steps and the same labels, `1,000` pictures give {{ 16/run/images-1000/probe | percent interval }}, `5,000` give
# {{ 16/run/images-5000/probe | percent interval }} and `18,000` {{ 16/run/width-16-steps-450/probe | percent interval }}; from the fewest to the most
# it is {{ 16/run/width-16-steps-450/probe - 16/run/images-1000/probe | points interval }}. Raw pixels give
# {{ 16/controls/raw-pixels/probe | percent }}, a random encoder {{ 16/controls/random-encoder/probe | percent interval }}, supervised training
# with the same labels {{ 16/supervised/probe | percent }}, chance one in ten. The interval of the difference holds 0: no gain was shown, and
# its upper end says how large one could still be. Each of the `1,000` came 29 times, each of the `18,000` once or twice. Whether more pictures pay in longer
# runs we did not measure. None of the three is above raw pixels. Supervised is one seed, and its settings were chosen on these same pictures.

# %%
guess_images.reveal(100 * (mine["images", 18_000].probe - mine["images", 1000].probe))

# %% [markdown]
# That was your own pair of runs, one seed. Compare it with the interval of ours before you believe it.
#
# ### Larger batches
#
# Yours see a third of the views of ours: at batch 1,024 that is 9 steps, ours took 28. So compare the shapes, not the heights.

# %% tags=["figure", "comparison"]
yours = {batch: (mine["batch", batch].probe, None) for batch in (16, 64, 1024)}
ours = {"rate unchanged": nb16.recorded(nb16.BY_BATCH), **{f"{rule} rule": nb16.recorded(runs) for rule, runs in nb16.BY_RULE.items()}}
scale.curves({**ours, "rate unchanged, yours": yours}, "batch size, at equal views", "validation accuracy, 5 labels a class", nb16.lines())

# %% [markdown]
# **Finding:** at the same learning rate batches of `16`, `64`, `256` and `1,024` give {{ 16/run/batch-16/probe | percent interval }},
# {{ 16/run/width-16-steps-450/probe | percent interval }}, {{ 16/run/batch-256/probe | percent interval }} and
# {{ 16/run/batch-1024/probe | percent interval }}. At `1,024` the root rule gives {{ 16/run/batch-1024-root/probe | percent interval }} and the linear rule
# {{ 16/run/batch-1024-linear/probe | percent interval }}. Controls: raw pixels, random encoder and supervised are the dotted
# lines; chance, one in ten, is too far below to be drawn. Neither rule helped: to the unchanged rate they are
# {{ 16/run/batch-1024-root/probe - 16/run/batch-1024/probe | points interval }} and {{ 16/run/batch-1024-linear/probe - 16/run/batch-1024/probe | points interval }}.
# There are `28` steps in all. Goyal et al. had thousands, lost no accuracy up to batches of `8,192`, and lost some beyond. Spread over many machines a large
# batch saves time. On ours it saved none: {{ 16/run/batch-1024/seconds | .0f }} seconds against {{ 16/run/width-16-steps-450/seconds | .0f }}.

# %%
small, large = mine["batch", 64].probe, mine["batch", 1024].probe
guess_batch.reveal("about the same" if abs(small - large) < 0.02 else "worse: fewer steps" if small > large else "better: more negatives")

# %%
claim("16/large-batch-loses", yours={"16/run/width-16-steps-450/probe": small, "16/run/batch-1024/probe": large})

# %% [markdown]
# ### Wider or longer?
#
# Nobody has a number of steps to spend. One has time. Against the seconds that they took, runs of different width lie on one picture, and the
# question has an answer: at each time, which is best?

# %% tags=["figure", "comparison"]
yours = {width: {steps: (mine[width, steps].seconds, mine[width, steps].probe) for steps in lengths} for width, lengths in ((8, (150, 450)), (32, (50, 150)))}
scale.front({**nb16.recorded_front(), **{f"width {width}, yours": points for width, points in yours.items()}}, "validation accuracy, 5 labels a class",
            nb16.lines())

# %% [markdown]
# **Finding:** after `450` steps width `8` gives {{ 16/run/width-8-steps-450/probe | percent interval }} in {{ 16/run/width-8-steps-450/seconds | .0f }} seconds
# on our machine, width `16` {{ 16/run/width-16-steps-450/probe | percent interval }} in {{ 16/run/width-16-steps-450/seconds | .0f }}, width `32`
# {{ 16/run/width-32-steps-450/probe | percent interval }} in {{ 16/run/width-32-steps-450/seconds | .0f }}. Width `16` with `1,350` steps takes
# {{ 16/run/width-16-steps-1350/seconds | .0f }} seconds and gives {{ 16/run/width-16-steps-1350/probe | percent interval }},
# {{ 16/run/width-16-steps-1350/probe - 16/run/width-32-steps-450/probe | points interval }} to width `32` with `450`. Width `8` with `1,350` takes
# {{ 16/run/width-8-steps-1350/seconds | .0f }} and gives {{ 16/run/width-8-steps-1350/probe | percent interval }}. The dotted lines are raw pixels, the random encoder
# of width `16` and supervised training; chance is far below. Rings mark what nobody beat in less time: that is the line to read. They go by means of three
# seeds, and neighbours are often not told apart. For the guess each width had only the lengths in the figure.

# %%
found = {width: max(value for seconds, value in points.values() if seconds <= 60) for width, points in nb16.recorded_front().items()}
best = max(found, key=found.get)
guess_width.reveal({"width 8": "the narrow one, with many steps", "width 16": "the middle one", "width 32": "the wide one, with few steps"}[best])

# %%
claim("16/longer-is-better")

# %%
claim("16/wider-is-better", yours={"16/run/width-32-steps-450/probe": mine[32, 150].probe, "16/run/width-8-steps-450/probe": mine[8, 150].probe})

# %% [markdown]
# (Yours are of 150 steps.)
#
# ### Fewer bits
#
# bf16 keeps float32's range and drops its digits: 8 bits of precision are left. Does the encoder notice?

# %% tags=["figure", "comparison"]
rows = {name: (record(f"16/run/{run}/probe").value, record(f"16/run/{run}/probe").interval) for name, run in
        (("float32", nb16.PLAIN), ("bf16", "bf16"))}
figures.settings({"SimCLR": rows}, nb16.lines(), "validation accuracy, 5 labels a class", "precision")

# %% [markdown]
# **Finding:** float32 gives {{ 16/run/width-16-steps-450/probe | percent interval }}, bf16 {{ 16/run/bf16/probe | percent interval }}; the difference, paired by seed, is
# {{ 16/run/bf16/probe - 16/run/width-16-steps-450/probe | points interval }}. Controls as before: raw pixels, random encoder, supervised, chance.
# The loss itself is computed in float32 in both, and so are the weights and what the optimizer remembers: a small step added
# to a large weight would be rounded away.

# %% [markdown]
# ### Several processes
#
# Now two real processes, started by `torchrun`, that talk through gloo, a library that needs no GPU. Each takes half the rows of every batch. First a
# few steps in float64, to compare the losses with those of one process; then some in float32, with a clock.

# %%
found = nb16.two_processes()
print(f"largest difference of a loss, as a share of it: {found['difference']:.1e}")
print(f"seconds a step: one core {found['one']:.4f}, all cores {found['cores']:.4f}, two processes {found['two']:.4f}")
print(f"sent in each step by each process: {found['bytes'] / 1e6:.2f} MB of gradients, its projections, mean and variance of each batch norm")

# %%
claim("16/same-numbers", yours={"16/processes/difference": found["difference"]})

# %% tags=["figure"]
parts = {f"one process, {how}": {"computing": found[key] - found[f"{key}-views"], "views": found[f"{key}-views"]}
         for how, key in (("one core", "one"), ("all cores", "cores"))}
parts["two processes"] = {"computing": found["two"] - found["talk"] - found["views"], "views": found["views"], "exchanging and waiting": found["talk"]}
scale.shares(parts)

# %% [markdown]
# **Finding:** this is your machine. On ours a step took {{ 16/processes/one | .3f }} seconds on one core, {{ 16/processes/cores | .3f }} with all cores in one
# process and {{ 16/processes/two | .3f }} with two processes: {{ 16/processes/speed-up | .2f }} times the speed of one core. Of its step
# {{ 16/processes/talk-share | percent }} went into exchanging numbers and waiting for the other, and
# {{ 16/processes/views-share | percent }} into views, which each process makes for the whole batch so that the numbers stay the same. The rest is
# half of the rows, and takes about as long as all rows on one core. Shared memory cannot be the whole reason: two threads of one process share it too, and are
# faster than one core. A likely one is batch norm, which is several operations across processes and a single one in torch. We have not measured
# that. Here there is nothing to gain over one process with two threads. Processes are for several GPUs, or several machines.

# %%
guess_talk.reveal(100 * found["talk"] / found["two"])

# %% [markdown]
# The same command trains on a cluster: `torchrun --nproc-per-node 4 -m sslab train simclr ...`. `docs/distributed.md` says how, and what has not been tried.
#
# ### What a GPU changes
#
# A GPU computes thousands of numbers at once, and waits when it is given fewer. So the same code gains little at batch 64 and much at 512. bf16
# halves what must be moved: on an H100 that made ResNet-18 more than twice as fast, and our small encoder no faster. *channels-last* is the order in which its matrix units want pictures. Compiling and CUDA graphs spare it the
# waiting between small kernels. `benchmarks/gpu.py` measures all of it. `benchmarks/README.md` has what we once
# measured on an H100: precision and batch, not yet compiling and graphs, which `sslab.train` does without.

# %%
print(nb16.on_a_gpu())

# %% [markdown]
# ### What it costs
#
# Time, energy, money: a formula with prices. The prices are examples. Put in yours.

# %%
watts = meter.joules / meter.seconds if meter.joules else 65         # yours if it could be read; else our guess at a laptop at work
price_kwh = 0.30                                                     # what a kWh costs where you live
price_hour = 2.50                                                    # what somebody asks for an hour of a machine; 0 for your own
rate = plain.views / plain.seconds                                   # views a second, as measured above
for name, views in (("your run above", plain.views), ("CIFAR-10, 200 epochs, as many views", 2 * 200 * 45_000)):
    own, rented = nb16.price(views / rate / 3600, watts, price_kwh=price_kwh), nb16.price(views / rate / 3600, watts, price_hour=price_hour)
    print(f"{name}: {own['hours']:.3f} h, {own['kWh']:.4f} kWh, {own['money']:.4f} of electricity; rented {rented['money']:.2f}")

# %% [markdown]
# The second line takes your rate for a small encoder on small grey pictures. A ResNet-18 on colour pictures has some two hundred times as much to
# multiply for each view, so this is a lower bound, and a low one. It shows which of the numbers you would have to measure first: the rate.

# %% [markdown]
# ## 6. Break it (12 minutes)
#
# ### A line that goes too far
#
# On axes that are both logarithmic a power law is a straight line, and curves of training look straight enough to invite a ruler. Take the share of wrong
# neighbours of width 16 after 50, 150 and 450 steps. Fit, and ask what 1,350 steps will give. We have measured it, so we can look.

# %%
steps = {length: f"width-16-steps-{length}" for length in nb16.LENGTHS}
wrong = nb16.errors(steps)
laws = {floor: nb16.fit_law(wrong, nb16.LENGTHS[:3], floor) for floor in (0.0, 0.05, 0.1) if floor < min(value for value, _ in wrong.values())}
for floor, law in laws.items():
    print(f"floor {floor:.2f}: exponent {law.exponent:.2f}, at 1,350 steps {law(1350):.3f}, measured {wrong[1350][0]:.3f}")

# %% tags=["figure", "comparison"]
scale.laws(wrong, nb16.LENGTHS[:3], laws, "steps", "share of wrong neighbours (1 - kNN accuracy)")

# %% [markdown]
# **Finding:** all three laws pass near the three fitted points, with exponents that differ by almost a factor of two, and at `1,350` steps they still agree
# closely: the cell above prints it. All three are wrong, and in the same direction. That they agree is no sign that they are right. There kNN is right in
# {{ 16/run/width-16-steps-1350/knn | percent interval }} of the cases (raw pixels {{ 16/controls/raw-pixels/knn | percent }}, random encoder
# {{ 16/controls/random-encoder/knn | percent interval }}, chance one in ten; supervised training was read by its own output, not by neighbours). The floor, what
# would be left after endless training, changes the exponent, and three points do not choose it. Published laws rest on dozens of
# runs over many orders of magnitude, and hold a few back to test the law. Ours rests on three. Within its points it may be read; beyond them it is a wish.

# %% [markdown]
# ### A loss that forgets to gather
#
# Two processes, and each compares its rows with its own rows only. Nothing fails. What has changed?

# %%
untrained = nb16.make()
first, second = untrained.make_views(fashion.train.images[:64], torch.Generator().manual_seed(0))
with torch.no_grad():
    z1, z2 = (untrained.project(untrained.encoder(views)) for views in (first, second))
    whole = objectives.nt_xent(z1, z2)
    halves = torch.stack([objectives.nt_xent(a, b) for a, b in zip(z1.chunk(2), z2.chunk(2), strict=True)]).mean()
print(f"whole batch {whole:.3f}, mean of two halves {halves:.3f}; log 2 is {torch.tensor(2.0).log():.3f}")

# %% [markdown]
# The loss has fallen by about log 2, since each view has half as many others to be told from. It looks better, and the task has become easier. On 64
# processes you would train with the negatives of a 64th of your batch, and the curve would look better still. A test in which
# two processes must give the numbers of one finds this at once. `sslab.testing.check_processes` is that test, for any objective.

# %% [markdown]
# ## 7. Exercises (30 minutes)
#
# ### Exercise 1: the learning rate of a larger batch
#
# *Difficulty 2/5 · importance 4/5 · 6 minutes*
#
# The linear rule with a gradual warm-up. `rate` suits `batch`. Return the learning rate at `step` (from 0) for `new_batch`: new_batch / batch times as large
# in the end, reached in `warmup` equal steps: step 0 has `rate`, step `warmup` is the first with all of it, and then it stays.

# %% tags=["exercise"] name="scaled_rate"
def my_scaled_rate(step, rate, batch, new_batch, warmup):
    """five numbers -> a number"""
    ### BEGIN SOLUTION
    # stub: top = ...                                        # where it arrives
    # stub: return ...                                       # and how far it has come at this step
    top = rate * new_batch / batch
    return rate + (top - rate) * min(1.0, step / warmup)
    ### END SOLUTION

# %% tags=["check"] name="scaled_rate"
check.scaled_rate(my_scaled_rate)

# %% [markdown]
# ### Exercise 2: a power law
#
# *Difficulty 3/5 · importance 4/5 · 9 minutes*
#
# Points $x$ and $y$, and a floor $c$ that you are given. Find $a$ and $b$ of $y = c + a x^{-b}$ by least squares on the axes on which it is a straight line.

# %% tags=["exercise"] name="power_law" points=2
def my_power_law(x, y, floor):
    """[N], [N], number -> a, b"""
    ### BEGIN SOLUTION
    # stub: u, v = ...                                       # what to put on the two axes
    # stub: slope = ...                                      # of the line of least squares
    # stub: return ...                                       # a, b
    u, v = x.log(), (y - floor).log()
    slope = ((u - u.mean()) * (v - v.mean())).sum() / (u - u.mean()).square().sum()
    return (v.mean() - slope * u.mean()).exp(), -slope
    ### END SOLUTION

# %% tags=["check"] name="power_law" points=2
check.power_law(my_power_law)

# %% [markdown]
# ### Exercise 3: read it where it was measured
#
# *Difficulty 1/5 · importance 5/5 · 5 minutes*
#
# Return the law's values at `at`, and NaN wherever `at` is below the smallest or above the largest of `measured`, which are in any order; both ends count as measured. matplotlib leaves NaN out, so your line will end where
# your knowledge does.

# %% tags=["exercise"] name="read_curve"
def my_read_curve(a, b, floor, measured, at):
    """numbers, measured [N], at [M] -> [M]"""
    ### BEGIN SOLUTION
    # stub: value = ...                                      # [M]
    # stub: known = ...                                      # [M], True where it may be read
    value = floor + a * at ** -b
    known = (at >= measured.min()) & (at <= measured.max())
    return value.masked_fill(~known, float("nan"))
    ### END SOLUTION

# %% tags=["check"] name="read_curve"
check.read_curve(my_read_curve)

# %% [markdown]
# ### Exercise 4: what will it cost?
#
# *Difficulty 2/5 · importance 5/5 · 10 minutes*
#
# A machine alone trains on `views_per_second`. Of that each of `machines` keeps the share `kept` when they work together. Each draws `watts`.
# `views` is how many each picture gives in an epoch. Return hours, kWh and money: `price_hour` for each hour of each machine, and `price_kwh` for each kWh.

# %% tags=["exercise"] name="run_cost" points=2
def my_run_cost(images, epochs, views, views_per_second, machines, kept, watts, price_hour, price_kwh):
    """nine numbers -> hours, kWh, money"""
    ### BEGIN SOLUTION
    # stub: hours = ...
    # stub: kwh = ...                                        # of all machines
    # stub: return hours, kwh, ...
    hours = images * epochs * views / (views_per_second * machines * kept) / 3600
    kwh = hours * machines * watts / 1000
    return hours, kwh, hours * machines * price_hour + kwh * price_kwh
    ### END SOLUTION

# %% tags=["check"] name="run_cost" points=2
check.run_cost(my_run_cost)

# %% [markdown]
# ## 8. What to remember (1 minute)
#
# - Compare at equal cost. Equal steps, equal epochs, equal views and equal seconds are four questions with four answers.
# - In 450 steps more pictures showed no gain, and a larger batch cost accuracy. Papers in which both pay train far longer.
# - Views a second, times a price, is the cost of a run. Measure it for a minute before you start for a day.
# - Several processes must give the numbers of one. If they do not, look for a mean that is no mean, a batch norm that sees
#   its own rows only, and a gather without gradient.
# - A curve ends at its last point.
#
# ## Papers
#
# - Goyal et al. 2017: *Accurate, large minibatch SGD: training ImageNet in 1 hour*, arXiv:1706.02677 (the linear rule)
# - Malladi, Lyu, Panigrahi, Arora 2022: *On the SDEs and scaling rules for adaptive gradient algorithms*, arXiv:2205.10287 (the root rule)
# - Micikevicius et al. 2017: *Mixed precision training*, arXiv:1710.03740
# - Li et al. 2020: *PyTorch Distributed: experiences on accelerating data parallel training*, arXiv:2006.15704
# - Kaplan et al. 2020: *Scaling laws for neural language models*, arXiv:2001.08361; Hoffmann et al. 2022: *Training compute-optimal large
#   language models*, arXiv:2203.15556 (what more runs corrected)
# - El-Nouby et al. 2021: *Are large-scale datasets necessary for self-supervised pre-training?*, arXiv:2112.10740
# - Strubell, Ganesh, McCallum 2019: *Energy and policy considerations for deep learning in NLP*, arXiv:1906.02243
