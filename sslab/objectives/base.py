"""The one contract: what every objective of the lab is, whatever it predicts."""

import functools
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sslab._names import choose
from sslab.knobs import Adjustable, Knob
from sslab.objectives import across
from sslab.views import Augment


@contextmanager
def evaluating(module: nn.Module):
    """Eval mode, and back to what it was."""
    modes = {m: m.training for m in module.modules()}
    module.eval()
    try:
        yield module
    finally:
        for m, mode in modes.items():
            m.training = mode


@dataclass
class Loss:
    """What one step computed.

    total: scalar, with gradient. terms: scalars by name, for the plots. embedding: encoder output [B, D].
    projection: what the loss saw, [B, P]; None where it works on the embedding. Collapse lives there.
    """

    total: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    embedding: Tensor | None = None
    projection: Tensor | None = None


def full_precision(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Run a pure loss outside of autocast, half types raised to float32 (in lists too), float64 left alone."""

    @functools.wraps(loss)
    def run(*values: Any, **options: Any) -> Any:
        given = [each for value in (*values, *options.values())
                 for each in (value if isinstance(value, (list, tuple)) else [value])]
        device = next((each.device.type for each in given if isinstance(each, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return loss(*map(raised, values), **{name: raised(value) for name, value in options.items()})

    run.least = torch.float32
    return run


def raised(value: Any) -> Any:
    """Half types as float32 (in lists too); everything else as it is."""
    if isinstance(value, (list, tuple)):
        return [raised(each) for each in value]
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value


class Objective(Adjustable, nn.Module):
    """WHAT is learned. A subclass writes `make_views` and `forward`, and declares its knobs as class attributes.

    Args:
        encoder: what is kept; everything else is scaffolding. `encoder.dim` is its output width.
        views: how pictures are changed; its knobs become knobs of the objective.
        values: knobs to set from the start.
    """

    title = "Objective"
    learns_from = "images"                                           # or "text", or "pairs"
    guesses: str | None = None                                       # of text, what logits(tokens) [B, T] -> [B, T, V]
    #                                                                  scores: the "hidden" word there, or the "next" one
    needs_labels = False                                             # True: make_views gets (images, labels)
    views_per_image = 2                                              # for the rate in views/s
    augmented = True                                                 # False: trains on the pictures as they are
    architecture: dict[str, Any] | None = None                       # the encoder it needs: name and options; None: any
    usual: ClassVar[dict[str, Any]] = {"name": "conv"}               # the one it gets where nothing else is wanted

    def __init__(self, encoder: nn.Module, views: Augment | None = None, **values: Any) -> None:
        nn.Module.__init__(self)
        self.encoder = encoder
        self.views = Augment.named("none") if views is None else views
        Adjustable.__init__(self, **values)

    def make_views(self, batch: Any, generator: torch.Generator) -> Any:
        """The pretext task: an unlabelled batch -> what `forward` takes.

        A tensor or several, rows in the order of the batch: with several processes each takes its share of the rows.
        """
        raise NotImplementedError

    def forward(self, views: Any) -> Loss:
        """Several processes see some of the rows each; what compares rows gathers them first: `sslab.objectives.across`."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Teachers, queues, centres: what moves without a gradient."""

    def reference_levels(self) -> dict[str, float]:
        """Lines for the loss plot: what chance and collapse score at the knobs and batch size in force."""
        return {}

    def diagnose(self, z: Tensor, terms: Mapping[str, float]):
        """What is wrong with what the loss sees, if anything, as an `sslab.evaluation.Diagnosis`.

        A subclass adds the collapse that a cloud of points cannot show.

        Args:
            z: [B, P], projections of some steps.
            terms: the loss's, of one of them.
        """
        from sslab import evaluation

        return evaluation.diagnose(z)

    def pictures(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """What a person would look at, row by row: name -> images [N, C, H, W] in [0, 1]. Empty: nothing to see.

        Called in eval mode without gradients, with some fixed images of the validation split.
        """
        return {}

    def readings(self, dataset, generator: torch.Generator) -> dict[str, str]:
        """What a person would read while it learns from text: name -> a text. Empty: nothing to read.

        Called in eval mode without gradients. Where `guesses` is set the lab fills in and continues texts by itself.
        """
        return {}

    @property
    def knobs(self) -> dict[str, Knob]:
        return {**super().knobs, **self.view_knobs}

    @property
    def view_knobs(self) -> dict[str, Knob]:
        """Those of the views, but for names that the objective has knobs of its own for."""
        own = super().knobs
        return {name: knob for name, knob in self.views.knobs.items() if name not in own}

    def values(self) -> dict[str, Any]:
        of_views = self.views.values()
        return {**{name: getattr(self, name) for name in super().knobs}, **{name: of_views[name] for name in self.view_knobs}}

    def set(self, **values: Any) -> None:
        knobs = self.knobs
        for name, value in values.items():                           # all or none: check before anything changes
            knobs[choose(name, knobs, "knob")].check(value)
        of_views = self.view_knobs
        super().set(**{name: value for name, value in values.items() if name not in of_views})
        self.views.set(**{name: value for name, value in values.items() if name in of_views})

    def _mapped(self) -> None:
        """Refuse an encoder that cannot say what it sees where."""
        if not callable(getattr(self.encoder, "maps", None)):
            raise ValueError(f"encoder: got {type(self.encoder).__name__}, takes one with maps(images) -> [B, D, h, w]")  # noqa: TRY004

    @contextmanager
    def step(self):
        with super().step(), self.views.step():
            yield


class Baseline(nn.Module):
    """The best constant answer: the mean of all targets seen so far, and how wrong it is.

    Args:
        shape: of one target.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(*shape, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros((), dtype=torch.float64))        # mean over a target's numbers

    @torch.no_grad()
    def see(self, targets: Tensor) -> None:                          # [B, *shape]
        self.count += len(targets) * across.processes()
        self.total += across.summed(targets.sum(dim=0, dtype=torch.float64))
        self.squares += across.summed(targets.double().square().flatten(1).mean(dim=1).sum())

    @property
    def mean(self) -> Tensor:
        """The constant [*shape]; 0 before anything was seen."""
        return self.total / self.count.clamp(min=1)

    def squared_error(self) -> float:
        """Its mean squared error: the variance of the targets about their mean, averaged over their numbers."""
        return float(self.squares / self.count.clamp(min=1) - self.mean.square().mean())
