"""Checks of masked image modelling: patches and back, what is hidden, and the losses in pixels and in latent space."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslab.lab.checks.engine import Check, Misconception, generator, reaches

VARIANCE_EPSILON = 1e-6


def wrong_patchify(images: Tensor, patch: int, *, order="rows", inside="rows", channels="last", cut="blocks",
                   result="flat") -> Tensor:
    """Patches [B, T, P P C] of images [B, C, H, W], with switches for what is often done otherwise."""
    b, c, height, width = images.shape
    h, w, p = height // patch, width // patch, patch
    if cut == "memory":                                              # a reshape alone
        return images.reshape(b, h * w, -1)
    if cut == "pixels last":                                         # channels last, and then a reshape alone
        return images.permute(0, 2, 3, 1).reshape(b, h * w, -1)
    if cut == "every h-th pixel":
        grid = images.reshape(b, c, p, h, p, w).permute(0, 1, 3, 2, 5, 4)
    else:
        grid = images.reshape(b, c, h, p, w, p)                      # [B, C, h, p, w, p]
    parts = {"b": 0, "c": 1, "h": 2, "y": 3, "w": 4, "x": 5}
    dims = ("hw" if order == "rows" else "wh") + {"last": "{}c", "first": "c{}"}[channels].format(
        "yx" if inside == "rows" else "xy")
    patches = grid.permute(0, *(parts[name] for name in dims)).flatten(3).flatten(1, 2)    # [B, T, P P C]
    return {"flat": patches, "transposed": patches.mT, "one list": patches.flatten(0, 1),
            "not flat": grid.permute(0, *(parts[name] for name in dims)).flatten(1, 2),
            "grid": patches.unflatten(1, (h, w)), "mean": patches.mean(2)}[result]


patchify = Check(
    "patchify",
    "Convention: images [B, C, H, W], patch P -> [B, T, P * P * C]; patches row by row, in a patch pixels row by row, the "
    "channels of a pixel side by side. He et al. 2021 cut in this order.",
    wrong_patchify,
    wrong_patchify,
    [
        Misconception("a reshape alone does not cut patches", {"cut": "memory"},
                      "reshape keeps the order of the numbers in memory, row by row through the whole picture. Do two "
                      "pixels of one column come into the same piece?"),
        Misconception("the channels are moved, and then a reshape cuts rows", {"cut": "pixels last"},
                      "reshape keeps the order of the numbers in memory. What must be side by side before it?"),
        Misconception("patches go column by column", {"order": "columns"},
                      "The second patch lies to the right of the first one. In which order do the two numbers of the grid "
                      "come when you permute?"),
        Misconception("rows and columns are swapped inside a patch", {"inside": "columns"},
                      "The second pixel of a patch lies to the right of its first one."),
        Misconception("channels come first in a patch", {"channels": "first"},
                      "A mere convention, and the one of torch's unfold. Here the channels of a pixel are neighbours, as in "
                      "the paper's code."),
        Misconception("a patch takes every h-th pixel", {"cut": "every h-th pixel"},
                      "H splits into two numbers, the patch and the row in it. Which of them changes slowly as you go "
                      "down the picture?"),
        Misconception("patches and numbers are exchanged", {"result": "transposed"},
                      "torch's unfold gives [B, numbers, T]. Here a patch is a row."),
        Misconception("the patches of all pictures are in one list", {"result": "one list"},
                      "Masks are drawn picture by picture: keep the batch apart, [B, T, P P C]."),
        Misconception("patches are not flattened", {"result": "not flat"},
                      "A transformer takes vectors: what is the length of yours?"),
        Misconception("the grid is kept as two dims", {"result": "grid"},
                      "A transformer takes a list of tokens: [B, T, P P C] with T patches."),
        Misconception("each patch is averaged", {"result": "mean"},
                      "All its pixels are wanted, not their mean."),
    ],
    cases=lambda: [_images(2, 3, 6, 4, 2, 0), _images(3, 1, 9, 9, 3, 1), _images(1, 2, 4, 8, 2, 2)],
    differentiable=(0,),
    shapes="patchify takes images [B, C, H, W] and a number P and returns [B, T, P * P * C], T = (H / P) (W / P).",
)


def wrong_unpatchify(patches: Tensor, patch: int, *, order="rows", inside="rows", channels="last", cut="blocks",
                     result="images") -> Tensor:
    """Square images [B, C, H, W] of patches [B, T, P P C], with switches for what is often done otherwise."""
    b, count, length = patches.shape
    g, p, c = round(count**0.5), patch, length // (patch * patch)
    if cut == "memory":
        return patches.reshape(b, c, g * p, g * p)
    names = ("hw" if order == "rows" else "wh") + {"last": "{}c", "first": "c{}"}[channels].format(
        "yx" if inside == "rows" else "xy")
    sizes = {"h": g, "w": g, "y": p, "x": p, "c": c}
    grid = patches.reshape(b, *(sizes[name] for name in names))
    grid = grid.permute(0, *(1 + names.index(name) for name in "chywx"))                   # [B, C, h, y, w, x]
    if cut == "every h-th pixel":
        grid = grid.permute(0, 1, 3, 2, 5, 4)
    if cut == "rows of patches":                                     # h, w, y, x: patches stay pieces of memory
        grid = grid.permute(0, 1, 2, 4, 3, 5)
    images = grid.reshape(b, c, g * p, g * p)
    return {"images": images, "channels last": images.permute(0, 2, 3, 1), "turned": images.mT,
            "six": grid, "flat": images.flatten(1)}[result]


unpatchify = Check(
    "unpatchify",
    "Convention: patches [B, T, P * P * C] of square pictures, patch P -> [B, C, H, W]; patches row by row, in a patch pixels "
    "row by row, the channels of a pixel side by side: the inverse of patchify.",
    wrong_unpatchify,
    wrong_unpatchify,
    [
        Misconception("a reshape alone does not put patches together", {"cut": "memory"},
                      "Patches are pieces of several rows of pixels: which numbers must come to lie side by side first?"),
        Misconception("each patch stays one piece of memory", {"cut": "rows of patches"},
                      "The picture's first row of pixels comes from all patches of the first row. So which dims must be "
                      "neighbours when two become one: grid row and grid column, or grid row and row in the patch?"),
        Misconception("patches go column by column", {"order": "columns"},
                      "T splits into grid rows and grid columns: which one comes first?"),
        Misconception("the picture is turned over its diagonal", {"result": "turned"},
                      "Rows and columns are exchanged throughout: look at your permute."),
        Misconception("rows and columns are swapped inside a patch", {"inside": "columns"},
                      "The second pixel of a patch lies to the right of its first one."),
        Misconception("channels come first in a patch", {"channels": "first"},
                      "In this convention the channels of a pixel are neighbours: P, P, C."),
        Misconception("a patch is spread over the whole picture", {"cut": "every h-th pixel"},
                      "Two dims become one: the grid's must be the slow one, the patch's the fast one."),
        Misconception("channels come last in the picture", {"result": "channels last"},
                      "torch wants [B, C, H, W]."),
        Misconception("the dims are not joined", {"result": "six"},
                      "Grid row and row in the patch make one number, the picture's row."),
        Misconception("the picture is flattened", {"result": "flat"},
                      "A picture [C, H, W] for each of the batch is wanted."),
    ],
    cases=lambda: [_patches(2, 9, 2, 3, 0), _patches(3, 4, 3, 1, 1), _patches(1, 16, 3, 2, 2)],
    differentiable=(0,),
    shapes="unpatchify takes patches [B, T, P * P * C] and a number P and returns [B, C, H, W].",
)


def wrong_random_mask(noise: Tensor, ratio: float, *, rule="each row", side="smallest", share="hidden", count="round",
                      result="mask") -> Tensor:
    """A mask [B, T], 1 where hidden, made from noise [B, T], with switches for what is often done otherwise."""
    b, t = noise.shape
    ratio = ratio if share == "hidden" else 1 - ratio
    noise = noise if side == "smallest" else 1 - noise
    hide = {"round": round, "down": int, "up": lambda x: int(-(-x // 1)), "one more": lambda x: round(x) + 1}[count](ratio * t)
    order = noise.argsort(1)                                         # [B, T], places by rising noise
    ranks = order.argsort(1)                                         # [B, T]
    mask = {"each row": lambda: ranks < hide,
            "coin": lambda: noise < ratio,
            "same": lambda: (ranks < hide)[:1].expand(b, t),
            "batch": lambda: noise.argsort(0).argsort(0) < round(ratio * b),
            "all at once": lambda: noise.flatten().argsort().argsort().view(b, t) < round(ratio * b * t),
            "places": lambda: order < hide,
            "first": lambda: (torch.arange(t) < hide).expand(b, t)}[rule]()
    mask = mask if result != "seen" else ~mask
    return {"mask": mask, "seen": mask, "places": order[:, :hide], "ranks": ranks, "count": mask.sum(1)}[result].double()


random_mask = Check(
    "random_mask",
    "Convention: noise [B, T], evenly random in [0, 1], and a ratio -> a mask [B, T], True where hidden; in every row the "
    "round(ratio * T) patches with the smallest noise are hidden. He et al. 2021, section 3.",
    wrong_random_mask,
    wrong_random_mask,
    [
        Misconception("a coin is thrown for every patch", {"rule": "coin"},
                      "How many patches does each row of yours hide? Rows of different lengths make no tensor, and the "
                      "encoder is given one."),
        Misconception("the same mask for all pictures", {"rule": "same"},
                      "Each picture has its own row of noise."),
        Misconception("the patches are chosen from the whole batch", {"rule": "all at once"},
                      "The number is right for the batch, and wrong for its rows: each must hide as many."),
        Misconception("pictures are chosen for a place, not places for a picture", {"rule": "batch"},
                      "Along which dim do the patches of one picture lie?"),
        Misconception("argsort gives places, not ranks", {"rule": "places"},
                      "argsort says which patch is the smallest, the second smallest ... You need, for each patch, at which "
                      "position of that list it stands. (By luck yours is a random mask of the right size, too.)"),
        Misconception("always the first patches", {"rule": "first"},
                      "The noise is not used: what would the model learn about the lower rows?"),
        Misconception("True is where a patch is seen", {"result": "seen"},
                      "A convention: here True means hidden. Count the True in a row at ratio 0.75."),
        Misconception("the ratio is the share that is seen", {"share": "seen"},
                      "At ratio 0.75 a quarter of the patches is left to see."),
        Misconception("the largest noise is hidden", {"side": "largest"},
                      "A mere convention, as random as ours: here the smallest are hidden."),
        Misconception("the number is rounded down", {"count": "down"},
                      "A mere convention: here it is round(ratio * T)."),
        Misconception("the number is rounded up", {"count": "up"},
                      "A mere convention: here it is round(ratio * T)."),
        Misconception("one patch too many is hidden", {"count": "one more"},
                      "Count the True in a row: <= where < is meant?"),
        Misconception("places are returned, not a mask", {"result": "places"},
                      "A mask has one entry for each patch, hidden or not."),
        Misconception("ranks are returned, not a mask", {"result": "ranks"},
                      "One comparison is missing."),
        Misconception("the number of hidden patches is returned", {"result": "count"},
                      "A mask has one entry for each patch, hidden or not."),
    ],
    cases=lambda: [_noise(5, 9, 0.75, 0), _noise(6, 16, 0.6, 1), _noise(5, 12, 0.6, 2), _noise(4, 7, 0.4, 3)],
    shapes="random_mask takes noise [B, T] and a ratio and returns [B, T], booleans or 0 and 1.",
)


def wrong_masked_patches(prediction: Tensor, target: Tensor, mask: Tensor, *, counts="hidden", normalise="patch",
                         unbiased=True, centre=True, scale="std", error="square", pixels="mean", reduce="marked") -> Tensor:
    """MAE's loss of patches [B, T, P], with switches for what is often done otherwise."""
    def standard(x: Tensor) -> Tensor:
        dims = {"patch": (2,), "picture": (1, 2), "pixel": (0, 1), "batch": (0, 1, 2)}[over]
        mean = x.mean(dims, keepdim=True)
        n = x.numel() // mean.numel()
        variance = (x - mean).square().sum(dims, keepdim=True) / (n - (1 if unbiased else 0)) + VARIANCE_EPSILON
        return (x - mean if centre else x) / {"std": variance.sqrt(), "variance": variance, "no": 1.0}[scale]

    over = {"no": None, "both": "patch", "prediction": "patch"}.get(normalise, normalise)
    if normalise in ("both", "prediction"):
        prediction = standard(prediction)
    if over and normalise != "prediction":
        target = standard(target)
    gap = prediction - target
    each = {"square": gap.square(), "absolute": gap.abs(), "cosine": -prediction * target}[error]
    each = {"mean": each.mean(2), "sum": each.sum(2), "root": each.mean(2).sqrt()}[pixels]       # [B, T]
    keep = {"hidden": mask, "visible": ~mask, "all": torch.ones_like(mask)}[counts]
    kept = each * keep
    if reduce == "pictures":
        return (kept.sum(1) / keep.sum(1)).mean()
    if reduce == "each patch":
        return kept
    return kept.sum() / {"marked": keep.sum(), "every patch": keep.numel(), "batch": len(keep), "no": 1}[reduce]


masked_patches = Check(
    "masked_patches",
    "Convention: prediction, target [B, T, P], mask bool [B, T], True where hidden -> scalar; each target patch gets mean 0 "
    "and is divided by sqrt(variance + 1e-6), the variance unbiased; the mean squared error over the hidden patches of the "
    "whole batch. He et al. 2021, section 3.",
    wrong_masked_patches,
    wrong_masked_patches,
    [
        Misconception("the loss is over the visible patches", {"counts": "visible"},
                      "What the encoder has seen can be copied. Which patches did it not see?"),
        Misconception("the loss is over all patches", {"counts": "all"},
                      "A quarter of them was seen and can be copied. Where does the mask come in?"),
        Misconception("divided by the number of all patches", {"reduce": "every patch"},
                      "Hide half as much and your loss is half as large, at the same error. How many numbers did you add "
                      "that are not 0?"),
        Misconception("a mean over pictures of means over patches", {"reduce": "pictures"},
                      "A mere convention where all rows hide as many. With rows that differ, each hidden patch counts "
                      "the same here."),
        Misconception("the sum over patches is divided by the batch", {"reduce": "batch"},
                      "Hide half as much and your loss is half as large, at the same error."),
        Misconception("the sum over the patches is taken, not the mean", {"reduce": "no"},
                      "Twice the batch must not be twice the loss."),
        Misconception("the sum over the pixels is taken, not the mean", {"pixels": "sum"},
                      "Larger patches must not mean a larger loss at the same error."),
        Misconception("the root of each patch's error is taken", {"pixels": "root"},
                      "The squared error itself is wanted."),
        Misconception("one value for each patch is returned", {"reduce": "each patch"},
                      "A loss is one number."),
        Misconception("absolute error in place of the square", {"error": "absolute"},
                      "The paper takes the mean squared error."),
        Misconception("a product in place of a distance", {"error": "cosine"},
                      "Where prediction and target agree, the loss is 0."),
        Misconception("the target is not normalised", {"normalise": "no"},
                      "Add 0.3 to the target: its pattern is the same, so the loss must be."),
        Misconception("the prediction is normalised too", {"normalise": "both"},
                      "The prediction is what the network says, and it must learn to say patterns of mean 0 and std 1."),
        Misconception("the prediction is normalised, not the target", {"normalise": "prediction"},
                      "Add 0.3 to the target: its pattern is the same, so the loss must be."),
        Misconception("the whole picture is normalised at once", {"normalise": "picture"},
                      "Each patch has a mean and a deviation of its own: over which dim?"),
        Misconception("the whole batch is normalised at once", {"normalise": "batch"},
                      "Each patch has a mean and a deviation of its own: over which dim?"),
        Misconception("each pixel is normalised over the patches", {"normalise": "pixel"},
                      "Each patch has a mean and a deviation of its own: over which dim?"),
        Misconception("the variance is biased", {"unbiased": False},
                      "A mere convention: the paper's code divides by P - 1, as torch.var does."),
        Misconception("the target is not centred", {"centre": False},
                      "Add 0.3 to the target: its pattern is the same, so the loss must be."),
        Misconception("the target is only centred", {"scale": "no"},
                      "Double the contrast of the target: its pattern is the same, so the loss must be."),
        Misconception("divided by the variance, not its root", {"scale": "variance"},
                      "Double the contrast of the target: its pattern is the same, so the loss must be."),
    ],
    cases=lambda: [_masked(3, 5, 4, (2, 4, 1), 0), _masked(2, 4, 9, (3, 1), 1), _masked(4, 6, 3, (4, 2, 5, 4), 2)],
    extreme=(lambda: [_flat(0), _flat(1)],
             Misconception("a patch of one colour is divided by 0", {},
                           "Pictures have such patches: an empty background has deviation 0. What is added to the variance?")),
    promises=[
        (Misconception("the prediction is detached", {},
                       "The value is right, but nothing would be learned: look for .item(), .detach() or no_grad."),
         lambda function, case: not reaches(function, case, 0)),
    ],
    shapes="masked_patches takes prediction [B, T, P], target [B, T, P] and mask [B, T] and returns a scalar.",
)


def wrong_ijepa(prediction: Tensor, tokens: Tensor, places: Tensor, *, which="places", norm="features", unbiased=False,
                error="square", reduce="mean", side="target") -> Tensor:
    """I-JEPA's loss of predictions [B, N, D], with switches for what is often done otherwise."""
    def standard(x: Tensor) -> Tensor:
        over = {"features": (-1,), "patches": (-2,), "pictures": (0,), "picture": (-2, -1)}.get(norm)
        if over is None:
            return {"no": lambda: x, "length": lambda: F.normalize(x, dim=-1), "softmax": lambda: x.softmax(-1)}[norm]()
        return (x - x.mean(over, keepdim=True)) / (x.var(over, keepdim=True, unbiased=unbiased) + 1e-5).sqrt()

    b, n, d = prediction.shape
    tokens = tokens.detach()                                         # [B, T, D]
    target = {"places": lambda: tokens.gather(1, places[..., None].expand(-1, -1, d)),     # [B, N, D]
              "first": lambda: tokens[:, :n], "first row": lambda: tokens[:, places[0]],
              "every row": lambda: tokens[:, places],                                      # [B, B, N, D]
              "mean": lambda: tokens.mean(1, keepdim=True).expand(-1, n, -1)}[which]()
    target = standard(target) if side in ("target", "both") else target
    prediction = standard(prediction) if side in ("prediction", "both") else prediction
    each = {"square": (prediction - target).square(), "absolute": (prediction - target).abs(),
            "product": -prediction * target, "smooth": F.smooth_l1_loss(prediction.expand_as(target), target, reduction="none"),
            }[error]
    return {"mean": each.mean(), "sum": each.sum(), "features": each.sum(-1).mean(), "none": each.mean(-1),
            "batch": each.sum() / b, "root": each.mean().sqrt()}[reduce]


ijepa = Check(
    "ijepa",
    "Convention: prediction [B, N, D], tokens [B, T, D] of the whole pictures from the teacher, places [B, N] of the "
    "predicted patches -> scalar; the targets are the tokens at those places, each brought to mean 0 and variance 1 over its "
    "D features (a LayerNorm without scale and shift); mean squared error; no gradient into tokens. Assran et al. 2023, "
    "section 3.",
    wrong_ijepa,
    wrong_ijepa,
    [
        Misconception("the layer norm is missing", {"norm": "no"},
                      "Multiply the tokens by 10: the targets must not change. Else a teacher could make the task "
                      "easy by speaking softly."),
        Misconception("the prediction is normalised, not the target", {"side": "prediction"},
                      "Multiply the tokens by 10: the loss must not change."),
        Misconception("the prediction is normalised too", {"side": "both"},
                      "The predictor must learn to say the target as it is."),
        Misconception("tokens are normalised over the patches", {"norm": "patches"},
                      "Each token alone gets mean 0 and variance 1: over which dim?"),
        Misconception("tokens are normalised over the pictures", {"norm": "pictures"},
                      "A LayerNorm looks at one token at a time. (Over the batch it would be a batch norm.)"),
        Misconception("all targets of a picture are normalised at once", {"norm": "picture"},
                      "Each token alone gets mean 0 and variance 1: over which dim?"),
        Misconception("prediction and target are brought to length 1", {"norm": "length", "side": "both"},
                      "That is a cosine, as in BYOL. Here only the target is normalised, to variance 1."),
        Misconception("the target is brought to length 1", {"norm": "length"},
                      "Mean 0 and variance 1 over D features: what length is that?"),
        Misconception("the target is a softmax", {"norm": "softmax"},
                      "That is DINO. Here the target is a vector of mean 0 and variance 1."),
        Misconception("the variance is unbiased", {"unbiased": True},
                      "A mere convention: layer_norm divides by D, torch.std by D - 1 unless told."),
        Misconception("the first tokens are taken, not those at the places", {"which": "first"},
                      "The prediction is about the hidden patches: which tokens are those?"),
        Misconception("all pictures get the places of the first one", {"which": "first row"},
                      "Each picture has its own row of places. Look at torch.gather."),
        Misconception("every picture gets the places of every picture", {"which": "every row"},
                      "What is the shape of tokens[:, places]? Each picture has its own row of places: look at "
                      "torch.gather, or index with torch.arange(B)[:, None] beside places."),
        Misconception("the target is the mean of the picture", {"which": "mean"},
                      "A token of its own for each place is wanted, not the same for all."),
        Misconception("the sum over the features is taken", {"reduce": "features"},
                      "A mere convention, the paper's own, a factor of D. Here it is a mean, so that the answer 0 scores 1."),
        Misconception("the sum is taken, not the mean", {"reduce": "sum"},
                      "Twice the batch must not be twice the loss."),
        Misconception("the sum is divided by the batch alone", {"reduce": "batch"},
                      "More blocks must not mean a larger loss at the same error."),
        Misconception("the root is taken", {"reduce": "root"},
                      "The squared error itself is wanted."),
        Misconception("one value for each patch is returned", {"reduce": "none"},
                      "A loss is one number."),
        Misconception("absolute error in place of the square", {"error": "absolute"},
                      "The paper takes the squared distance."),
        Misconception("smooth L1 in place of the square", {"error": "smooth"},
                      "The authors' code uses it. The paper, and this lab, take the squared distance."),
        Misconception("a product in place of a distance", {"error": "product"},
                      "Where prediction and target agree, the loss is 0."),
    ],
    cases=lambda: [_latent(3, 6, 4, 5, 0), _latent(2, 5, 2, 7, 1), _latent(4, 9, 6, 4, 2)],
    promises=[
        (Misconception("the wrong side is detached", {},
                       "The prediction is to learn. Which side is only a target?"),
         lambda function, case: reaches(function, case, 1) and not reaches(function, case, 0)),
        (Misconception("the prediction is detached", {},
                       "The value is right, but nothing would be learned: look for .item(), .detach() or no_grad."),
         lambda function, case: not reaches(function, case, 0)),
        (Misconception("gradient flows into the target", {},
                       "The value is right. But if the targets may move towards the predictions, which targets are the "
                       "easiest to predict?"),
         lambda function, case: reaches(function, case, 1)),
    ],
    shapes="ijepa takes prediction [B, N, D], tokens [B, T, D] and places [B, N] and returns a scalar.",
)


def _images(b: int, c: int, h: int, w: int, patch: int, seed: int) -> tuple:
    return torch.rand(b, c, h, w, generator=generator(seed), dtype=torch.float64), patch


def _patches(b: int, t: int, patch: int, c: int, seed: int) -> tuple:
    return torch.rand(b, t, patch * patch * c, generator=generator(seed), dtype=torch.float64), patch


def _noise(b: int, t: int, ratio: float, seed: int) -> tuple:
    return torch.rand(b, t, generator=generator(seed), dtype=torch.float64), ratio


def _masked(b: int, t: int, p: int, hidden: tuple[int, ...], seed: int) -> tuple:
    """Predictions near the patterns of their targets; as many patches hidden in each picture as `hidden` says."""
    g = generator(seed)
    target = 3 * torch.rand(b, t, p, generator=g, dtype=torch.float64)
    pattern = (target - target.mean(2, keepdim=True)) / target.std(2, keepdim=True)
    prediction = 0.6 * pattern + 0.5 * torch.randn(b, t, p, generator=g, dtype=torch.float64) + 0.2
    ranks = torch.rand(b, t, generator=g).argsort(1).argsort(1)
    return prediction, target, ranks < torch.tensor(hidden)[:, None]


def _flat(seed: int) -> tuple:
    """Some hidden patches are of one colour."""
    prediction, target, mask = _masked(3, 6, 4, (4, 4, 4), seed)
    target[mask.nonzero()[::2].unbind(1)] = 0.25
    return prediction.float(), target.float(), mask


def _latent(b: int, t: int, n: int, d: int, seed: int) -> tuple:
    """Tokens of different lengths and centres, and predictions near the normalised ones at some places."""
    g = generator(seed)
    tokens = torch.randn(b, t, d, generator=g, dtype=torch.float64)
    tokens = tokens * (torch.rand(b, t, 1, generator=g, dtype=torch.float64) * 3 + 0.5) + 0.7
    places = torch.rand(b, t, generator=g).argsort(1)[:, :n]                               # [B, N]
    target = F.layer_norm(tokens.gather(1, places[..., None].expand(-1, -1, d)), (d,))
    return 0.6 * target + 0.5 * torch.randn(b, n, d, generator=g, dtype=torch.float64) + 0.2, tokens, places
