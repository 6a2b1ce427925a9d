"""Random masks over patches: what a masked model sees, and what it must predict."""

import torch
from torch import Tensor


def random_mask(n: int, patches: int, ratio: float, generator: torch.Generator) -> Tensor:
    """Hide the same number of patches in every sample, each set of that size equally likely.

    Args:
        n: number of samples.
        patches: patches per sample.
        ratio: share to hide, from 0 to 1; round(ratio * patches) are hidden.
        generator: where the random numbers come from; the mask is on its device.
    Returns:
        bool [n, patches], True where hidden.
    Raises:
        ValueError: ratio outside of 0 to 1.
    Source:
        He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, arXiv:2111.06377, section 3.
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio: got {ratio!r}, takes a number from 0 to 1")
    scores = torch.rand(n, patches, generator=generator, device=generator.device)      # [n, patches]
    hidden = scores.argsort(dim=1, stable=True)[:, : round(ratio * patches)]           # [n, hidden]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, hidden, True)
