"""Checks of the classic pretext tasks: the turns, the neighbour's place, the weights of the colours, the colour that is chosen."""

import torch
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator


def wrong_rotation_task(images: Tensor, *, axes=(2, 3), step=1, count=4, how="turn", pictures="blocks", labels="blocks",
                        start=0, order="ahead") -> tuple[Tensor, Tensor]:
    """Four turns of images [B, C, S, S] and their labels, with switches for what is often done otherwise."""
    def turned(turn: int) -> Tensor:
        if how == "flip":
            return (images, images.flip(3), images.flip(2), images.flip(2, 3))[turn]
        if how == "one by one":                                      # each turn is made from the picture as it was
            return images.rot90(min(turn, 1), axes)
        return images.rot90(step * turn, axes)

    turns = torch.stack([turned(turn) for turn in range(count)])     # [4, B, C, S, S]
    said = torch.arange(start, start + count)
    said = {"ahead": said, "back": said.flip(0), "all 0": 0 * said}[order]
    views = (turns if pictures == "blocks" else turns.transpose(0, 1)).flatten(0, 1)
    b = len(images)
    return views, said.repeat_interleave(b) if labels == "blocks" else said.repeat(b)


rotation_task = Check(
    "rotation_task",
    "Convention: images [B, C, S, S] -> (views [4B, C, S, S], labels int64 [4B]); first all pictures unturned, then all turned "
    "by 90, 180 and 270 degrees counter-clockwise; a label is the number of quarter turns. Gidaris et al. 2018, section 2.",
    wrong_rotation_task,
    wrong_rotation_task,
    [
        Misconception("channels and rows are turned, not the picture", {"axes": (1, 2)},
                      "Which two dims of [B, C, S, S] lie in the picture?"),
        Misconception("the first two dims are turned", {"axes": (0, 1)},
                      "rot90 takes dims 0 and 1 unless told. Which two dims of [B, C, S, S] lie in the picture?"),
        Misconception("channels and columns are turned, not the picture", {"axes": (1, 3)},
                      "Which two dims of [B, C, S, S] lie in the picture?"),
        Misconception("the turns are clockwise", {"axes": (3, 2)},
                      "A mere convention: with label 1 the upper edge goes to the left here."),
        Misconception("the turns are half turns", {"step": 2},
                      "Two half turns are none: label 2 would be the same picture as label 0."),
        Misconception("labels start with 1", {"start": 1},
                      "Labels are classes, from 0: cross_entropy takes 0 to 3."),
        Misconception("mirror images in place of turns", {"how": "flip"},
                      "A mirror image is no turn. Look at torch.rot90."),
        Misconception("all turned pictures are turned once", {"how": "one by one"},
                      "Three of your four classes look alike. How often is each turned?"),
        Misconception("labels run picture by picture, pictures turn by turn", {"labels": "pictures"},
                      "Print the labels of the first B views. All of them were not turned."),
        Misconception("pictures run picture by picture, labels turn by turn", {"pictures": "pictures"},
                      "Show the first four views. Do they fit the first four labels?"),
        Misconception("views come picture by picture", {"pictures": "pictures", "labels": "pictures"},
                      "A mere convention: here all pictures come unturned first, then all of them turned once, and so on."),
        Misconception("labels are the wrong way round", {"order": "back"},
                      "Which label does a picture get that was not turned?"),
        Misconception("all labels are 0", {"order": "all 0"},
                      "What would a network learn that always answers 0?"),
        Misconception("a turn is left out", {"count": 3},
                      "There are four: 0, 90, 180 and 270 degrees."),
    ],
    cases=lambda: [_cube(3, 0), _cube(4, 1), _cube(5, 2)],
    shapes="rotation_task takes images [B, C, S, S] and returns (views [4B, C, S, S], labels [4B]).",
)


def wrong_neighbour_index(rows: Tensor, columns: Tensor, *, skip="middle", major="rows", width=3, start=0, turned=False,
                          up=False, result="place", around=False) -> Tensor:
    """Which of the eight neighbours lies at these offsets [N] from the middle, with switches."""
    r, c = (-rows, -columns) if turned else (rows, columns)
    r = -r if up else r
    r, c = (c, r) if major == "columns" else (r, c)
    r, c = (r, c) if result == "offset" else (r + 1, c + 1)
    place = width * r + c
    if around:
        return torch.tensor([0, 1, 2, 7, -1, 3, 6, 5, 4])[place]
    middle = 4
    return start + {"middle": place - (place > middle).long(), "none": place, "all": place - 1,
                    "from the middle on": place - (place >= middle - 1).long()}[skip]


neighbour_index = Check(
    "neighbour_index",
    "Convention: rows, columns int64 [N], each -1, 0 or 1 and never both 0, say how many cells below and to the right of the "
    "middle the neighbour lies -> int64 [N]; the eight neighbours are numbered 0 to 7 in reading order, the middle has no number.",
    wrong_neighbour_index,
    wrong_neighbour_index,
    [
        Misconception("the middle is counted", {"skip": "none"},
                      "Your numbers go up to 8, and 4 never occurs. Who has no number?"),
        Misconception("all numbers are shifted by the middle", {"skip": "all"},
                      "The neighbour above left gets 0. Which ones come after the middle?"),
        Misconception("the numbers skip one place too early", {"skip": "from the middle on"},
                      "Two neighbours got the same number. Which ones come after the middle?"),
        Misconception("rows and columns are exchanged", {"major": "columns"},
                      "In reading order the neighbour to the right above has number 2. Yours?"),
        Misconception("numbers start with 1", {"start": 1},
                      "Classes are numbered from 0: cross_entropy takes 0 to 7."),
        Misconception("the place of the middle seen from the neighbour", {"turned": True},
                      "rows = -1 means: the neighbour lies above. Who is seen from whom?"),
        Misconception("rows are counted upwards", {"up": True},
                      "In a picture row 0 is on top: rows = -1 means above."),
        Misconception("a row has two places", {"width": 2},
                      "Two neighbours got the same number. How many cells has a row of the grid?"),
        Misconception("offsets are not moved to start at 0", {"result": "offset"},
                      "Some of your numbers are negative. Where does the grid's first row lie?"),
        Misconception("numbered clockwise", {"around": True},
                      "A mere convention: here they are in reading order, line by line."),
    ],
    cases=lambda: [_offsets(None), _offsets(0), _offsets(1)],
    shapes="neighbour_index takes rows [N] and columns [N] and returns int64 [N].",
)


def wrong_colour_weights(counts: Tensor, mix: float, *, share="share", exchange=False, inverse=True, normalise="expected",
                         uniform="1 / Q", root=False) -> Tensor:
    """Weights of the colours, rare ones heavier, from counts [Q], with switches for what is often done otherwise."""
    p = {"share": counts / counts.sum(), "counts": counts, "largest": counts / counts.max()}[share]
    even = {"1 / Q": 1 / len(p), "1": 1.0, "no": 0.0}[uniform]
    a, b = (mix, 1 - mix) if exchange else (1 - mix, mix)
    w = a * p + b * even
    w = w if not inverse else 1 / w
    w = w.sqrt() if root else w
    shares = counts / counts.sum()
    return w / {"expected": (shares * w).sum(), "no": 1.0, "sum": w.sum(), "mean": w.mean(), "largest": w.max()}[normalise]


colour_weights = Check(
    "colour_weights",
    "Convention: counts [Q], mix from 0 to 1 -> [Q]; the weight of a colour is proportional to 1 / ((1 - mix) p + mix / Q), with p "
    "its share of all counts; weights are scaled so that their mean over the pixels, sum of p w, is 1. Zhang et al. 2016, "
    "equation 4, without the smoothing of p.",
    wrong_colour_weights,
    wrong_colour_weights,
    [
        Misconception("mix and 1 - mix are exchanged", {"exchange": True},
                      "At mix 1 all colours must weigh the same."),
        Misconception("frequent colours get the large weights", {"inverse": False},
                      "The frequent colours dominate the loss anyway. Which ones shall count more?"),
        Misconception("the weights are not scaled", {"normalise": "no"},
                      "Take the mean of your weights over all pixels: the loss would grow with the number of colours."),
        Misconception("the weights sum to 1", {"normalise": "sum"},
                      "The mean over the pixels shall be 1, not the sum over the colours."),
        Misconception("the mean over the colours is 1", {"normalise": "mean"},
                      "Frequent colours have more pixels. The mean over the pixels shall be 1: which weight has each colour in it?"),
        Misconception("the largest weight is 1", {"normalise": "largest"},
                      "The mean over the pixels shall be 1, not the largest weight."),
        Misconception("counts in place of shares", {"share": "counts"},
                      "Twice the pixels must give the same weights. What does 1 / Q have to be compared with?"),
        Misconception("counts are divided by the largest, not by their sum", {"share": "largest"},
                      "The shares of all colours sum to 1."),
        Misconception("1 in place of 1 / Q", {"uniform": "1"},
                      "If all Q colours are alike, what is the share of each?"),
        Misconception("the uniform part is missing", {"uniform": "no"},
                      "A colour with 0 pixels would get an infinite weight. What is mixed with p?"),
        Misconception("the root is taken", {"root": True},
                      "The paper takes the inverse itself."),
    ],
    cases=lambda: [(torch.tensor([50.0, 30.0, 20.0], dtype=torch.float64), 0.5),
                   (torch.tensor([600.0, 3.0, 40.0, 7.0], dtype=torch.float64), 0.3),
                   (torch.tensor([9.0, 1.0, 4.0, 2.0, 30.0], dtype=torch.float64), 0.8)],
    shapes="colour_weights takes counts [Q] and a number and returns [Q].",
)


def wrong_annealed_mean(logits: Tensor, colours: Tensor, temperature: float, *, heat="divides", choose="mean", over=1,
                        weights="softmax", sharpen="logits", channels="both") -> Tensor:
    """One colour [N, 2] from logits [N, Q] of the colours [Q, 2], with switches for what is often done otherwise."""
    t = {"divides": temperature, "multiplies": 1 / temperature, "no": 1.0}[heat]
    if choose == "largest":
        return colours[logits.argmax(dim=1)]
    if choose == "middle":                                           # the weight of each colour is not used
        return colours.mean(dim=0).expand(len(logits), -1)
    if sharpen == "colours":
        p, colours = logits.softmax(dim=1), colours / t
    elif sharpen == "after":
        p = logits.softmax(dim=over) / t
    elif sharpen == "unscaled":
        p = logits.softmax(dim=over) ** (1 / t)
    else:
        p = {"softmax": (logits / t).softmax(dim=over), "sigmoid": (logits / t).sigmoid(), "logits": logits / t}[weights]
    colour = p @ colours                                             # [N, 2]
    return {"both": colour, "swapped": colour.flip(1), "mean over Q": colour / len(colours)}[channels]


annealed_mean = Check(
    "annealed_mean",
    "Convention: logits [N, Q], colours [Q, 2], temperature -> [N, 2]; the mean of the colours, weighed by the softmax of "
    "logits / temperature over the Q colours. Zhang et al. 2016, equation 5.",
    wrong_annealed_mean,
    wrong_annealed_mean,
    [
        Misconception("temperature multiplies", {"heat": "multiplies"},
                      "Near temperature 0 only the most probable colour must be left."),
        Misconception("temperature is not used", {"heat": "no"},
                      "Change the temperature: your colours stay the same."),
        Misconception("the most probable colour is returned", {"choose": "largest"},
                      "That is the limit at temperature 0. At temperature 1 it is the mean of all colours, weighed."),
        Misconception("the colours are averaged without weights", {"choose": "middle"},
                      "Where do the logits come in?"),
        Misconception("the softmax goes over the pixels", {"over": 0},
                      "The probabilities of one pixel sum to 1: which dim runs over the colours?"),
        Misconception("the softmax is missing", {"weights": "logits"},
                      "Logits may be negative and do not sum to 1."),
        Misconception("a sigmoid in place of the softmax", {"weights": "sigmoid"},
                      "The weights of all colours must sum to 1."),
        Misconception("the probabilities are divided by the temperature", {"sharpen": "after"},
                      "The weights must sum to 1 at every temperature. What is divided?"),
        Misconception("the powers of the probabilities do not sum to 1", {"sharpen": "unscaled"},
                      "p to the power 1 / temperature is half of it. What makes weights of them?"),
        Misconception("a and b are exchanged", {"channels": "swapped"},
                      "Column 0 of the colours stays column 0."),
        Misconception("divided by the number of colours too", {"channels": "mean over Q"},
                      "The weights sum to 1 already: nothing is left to divide by."),
    ],
    cases=lambda: [_palette(5, 4, 0.4, 0), _palette(4, 6, 2.0, 1), _palette(6, 3, 0.7, 2)],
    extreme=(lambda: [_palette(4, 5, 1e-4, 3)],
             Misconception("NaN or infinity at a low temperature", {},
                           "exp of a large number is infinite: softmax takes care of that, exp by hand does not.")),
    differentiable=(0,),
    shapes="annealed_mean takes logits [N, Q], colours [Q, 2] and a temperature and returns [N, 2].",
)


def _cube(side: int, seed: int) -> tuple:
    """Images whose four dims are equally long: a turn in the wrong plane raises nothing and shows in the numbers."""
    return (torch.rand(side, side, side, side, generator=generator(seed), dtype=torch.float64),)


def _offsets(seed: int | None) -> tuple:
    """The eight neighbours' rows and columns, in reading order or shuffled with repeats."""
    grid = torch.tensor([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c])                # [8, 2]
    if seed is not None:
        grid = grid[torch.randint(8, (12,), generator=generator(seed))]
    return tuple(grid.T.contiguous())


def _palette(n: int, q: int, temperature: float, seed: int) -> tuple:
    g = generator(seed)
    return (torch.randn(n, q, generator=g, dtype=torch.float64), torch.randn(q, 2, generator=g, dtype=torch.float64) * 3 + 1,
            temperature)
