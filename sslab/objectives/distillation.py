"""Without negatives: predict what another network says of another view of the same picture."""

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslab._inputs import takes
from sslab.encoders import predictor
from sslab.knobs import number, switch
from sslab.objectives import across
from sslab.objectives.base import Loss, full_precision, raised
from sslab.objectives.joint import LOCAL_VIEWS, OUTPUT_NORM, MultiCrop, Teacher, TwoViews
from sslab.views import Augment


@takes(p="float [B, D]", z="float [B, D]")
@full_precision
def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """Mean of -cos(p, z): -1 all agree, 0 chance. BYOL's loss is 2 + 2 of it: 0 all agree, 2 chance.

    Args:
        p: predictions [B, D]. z: what they are compared with [B, D], detached by the caller.
    Raises:
        ValueError: shapes differ or are not [B, D].
    Source:
        Chen and He 2020, arXiv:2011.10566, equation 1. BYOL: Grill et al. 2020, arXiv:2006.07733, equation 2.
    """
    return -F.cosine_similarity(p, z, dim=1).mean()


@takes(student="float [B, K]", teacher="float [B, K]", center="float [K]",
       student_temperature="> 0", teacher_temperature="> 0")
def dino(student: list[Tensor], teacher: list[Tensor], center: Tensor, student_temperature: float = 0.1,
         teacher_temperature: float = 0.04) -> Tensor:
    """Cross-entropy between what the teacher says of one view and the student of another.

    Args:
        student: logits [B, K] of each view, large crops first.
        teacher: logits [B, K] of each large crop; student[i] and teacher[i] are the same view, that pair is left out.
        center: [K], subtracted from the teacher's logits: no prototype may win for every picture.
        student_temperature, teacher_temperature: above 0. The teacher's is lower: it says it more sharply.
    Returns:
        scalar, mean over pairs of views and pictures: log K if all is uniform, 0 if all say the same one prototype.
    Raises:
        ValueError: no pair of views is left, or a temperature is not above 0.
    Source:
        Caron et al. 2021, arXiv:2104.14294, equation 3 and algorithm 1.
    """
    return sum(_dino_terms(student, teacher, center, student_temperature, teacher_temperature).values())


@full_precision
def _dino_terms(student, teacher, center, student_temperature, teacher_temperature) -> dict[str, Tensor]:
    """The cross-entropy as the teacher's entropy plus the divergence from it: their sum is the loss."""
    for name, value in (("student_temperature", student_temperature), ("teacher_temperature", teacher_temperature)):
        if not value > 0:
            raise ValueError(f"{name}: got {value}, takes a number above 0")
    pairs = [(i, j) for i, j in itertools.product(range(len(teacher)), range(len(student))) if i != j]
    if not pairs:
        raise ValueError(f"student: got {len(student)} views and {len(teacher)} of the teacher, takes a pair that differs")
    said = [F.log_softmax((t.detach() - center) / teacher_temperature, dim=1) for t in teacher]    # [B, K]
    heard = [F.log_softmax(s / student_temperature, dim=1) for s in student]                 # [B, K]
    entropy = torch.stack([-(said[i].exp() * said[i]).sum(dim=1).mean() for i, _ in pairs]).mean()
    cross = torch.stack([-(said[i].exp() * heard[j]).sum(dim=1).mean() for i, j in pairs]).mean()
    return {"teacher_entropy": entropy, "divergence": cross - entropy}


class SimSiam(TwoViews):
    """One encoder, a predictor on one side, no gradient on the other (Chen and He 2020, arXiv:2011.10566)."""

    title = "SimSiam"

    stop_gradient = switch(True, help="Off: both sides move towards each other. What is the quickest way to agree?")
    predictor_on = switch(True, help="Off: z is compared with z itself.")
    output_norm = switch(True, help=OUTPUT_NORM)

    def __init__(self, encoder: nn.Module, views: Augment | None = None, hidden: int = 256, outputs: int = 128,
                 bottleneck: int = 64, **values: Any) -> None:
        super().__init__(encoder, views, hidden, outputs, **values)
        self.predictor = predictor(outputs, bottleneck)

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, z = self.see(views)                                       # [2B, D], [2B, P]
        p = self.predictor(z) if self.predictor_on else z            # [2B, P]
        target = z.detach() if self.stop_gradient else z
        total = negative_cosine(p, target.roll(len(z) // 2, dims=0))                 # each view against the other one
        return Loss(total, {}, h, z)

    def reference_levels(self) -> dict[str, float]:
        return {"chance": 0.0, "collapsed": -1.0}


class BYOL(TwoViews):
    """Predict what a slowly following teacher says of the other view (Grill et al. 2020, arXiv:2006.07733)."""

    title = "BYOL"

    momentum = number(0.9, 0.0, 1.0, help="How slowly the teacher follows. 0: it is the student itself. "
                                          "1: it stays as it began. Long training wants more than a short one.")
    predictor_on = switch(True, help="Off: the student's projection is compared with the teacher's as it is.")
    output_norm = switch(True, help=OUTPUT_NORM)

    def __init__(self, encoder: nn.Module, views: Augment | None = None, hidden: int = 256, outputs: int = 128,
                 **values: Any) -> None:
        super().__init__(encoder, views, hidden, outputs, **values)
        self.predictor = predictor(outputs, hidden)
        self.teacher = Teacher(self.encoder, self.projector)
        self.teacher_norm = nn.BatchNorm1d(outputs, affine=False)

    def forward(self, views: tuple[Tensor, Tensor]) -> Loss:
        h, z = self.see(views)                                       # [2B, D], [2B, P]
        p = self.predictor(z) if self.predictor_on else z            # [2B, P]
        target = self.teacher(torch.cat(views[::-1]))                # [2B, P], of the other view
        if self.output_norm:
            target = self.teacher_norm(target)
        total = 2 + 2 * negative_cosine(p, target)
        return Loss(total, {}, h, z)

    def after_step(self) -> None:
        self.teacher.follow(self.encoder, self.projector, momentum=self.momentum)

    def reference_levels(self) -> dict[str, float]:
        return {"chance": 2.0, "collapsed": 0.0}


class Prototypes(nn.Module):
    """Cosines of z [N, D] with K directions: [N, K]."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, dim))

    def forward(self, z: Tensor) -> Tensor:
        return F.normalize(z, dim=1) @ F.normalize(self.weight, dim=1).T


class DINO(MultiCrop):
    """A student learns a teacher's soft choice among K prototypes (Caron et al. 2021, arXiv:2104.14294).

    Two ways to collapse, and a remedy against each: centring against one prototype for all, sharpening (a teacher
    colder than the student) against all prototypes alike.

    Args:
        prototypes: K.
    """

    title = "DINO"

    student_temperature = number(0.1, 0.02, 1.0, log=True, help="How sharply the student has to choose.")
    teacher_temperature = number(0.04, 0.01, 1.0, log=True, help="Low: the teacher's choice is sharpened.")
    centring = switch(True, help="Off: nothing keeps the teacher from choosing one prototype for every picture.")
    sharpening = switch(True, help="Off: the teacher is as warm as the student. What is the choice that never errs?")
    momentum = number(0.99, 0.0, 1.0, help="How slowly the teacher follows the student. 0: it is the student itself.")
    center_momentum = number(0.9, 0.0, 1.0, help="How slowly the centre follows the teacher's mean logits.")
    local_views = number(0, 0, 6, integer=True, help=LOCAL_VIEWS)
    output_norm = switch(False, help=OUTPUT_NORM)

    def __init__(self, encoder: nn.Module, views: Augment | None = None, hidden: int = 256, outputs: int = 128,
                 prototypes: int = 64, **values: Any) -> None:
        super().__init__(encoder, views, hidden, outputs, **values)
        self.prototypes = Prototypes(outputs, prototypes)
        self.teacher = Teacher(self.encoder, self.projector, self.prototypes)
        self.register_buffer("center", torch.zeros(prototypes))
        self._said: Tensor | None = None

    def forward(self, views: tuple[Tensor, ...]) -> Loss:
        h, z = self.see_all(views)
        student = [self.prototypes(each) for each in z]              # [B, K] each
        said = raised(self.teacher(torch.cat(views[:2])))            # [2B, K]
        self._said = said
        center = self.center if self.centring else torch.zeros_like(self.center)
        temperature = self.teacher_temperature if self.sharpening else self.student_temperature
        terms = _dino_terms(student, said.chunk(2), center, self.student_temperature, temperature)
        return Loss(sum(terms.values()), terms, h, torch.cat(z[:2]))

    def after_step(self) -> None:
        self.teacher.follow(self.encoder, self.projector, self.prototypes, momentum=self.momentum)
        if self._said is not None:
            self.center.lerp_(across.average(self._said.mean(dim=0)), 1 - self.center_momentum)

    def reference_levels(self) -> dict[str, float]:
        return {"all prototypes alike": math.log(len(self.center)), "one prototype for all": 0.0}
