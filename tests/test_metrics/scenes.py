"""Maps with a border, for what is measured by band."""

import torch


def smooth(height, width, generator):
    coarse = torch.randn(1, 1, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode='bilinear')


def scene(height, width, seed=0, ignored=False):
    """Over-confident probabilities (H, W) float32 of large objects, and labels."""
    generator = torch.Generator().manual_seed(seed)
    logit = 6 * smooth(height, width, generator)[0, 0] - 2
    shift = smooth(height, width, generator)[0, 0]
    label = (logit + 2 * shift > 0).to(torch.uint8)
    if ignored:
        label[torch.rand(height, width, generator=generator) < 0.2] = 255
        label[: height // 4] = 255
    return torch.sigmoid(1.5 * logit), label
