"""Heads that a loss per pixel and image cannot serve."""

__all__ = ['REFUSED', 'refusal']

_QUERIES = 'compares queries with matched masks, not each pixel with its label'

# Type of the head or segmentor -> what it does instead.
REFUSED = {
    'Mask2FormerHead': _QUERIES,
    'MaskFormerHead': _QUERIES,
    'SideAdapterCLIPHead': _QUERIES,
    'MultimodalEncoderDecoder': _QUERIES,
    'VPDDepthHead': 'estimates depth and has no mask',
    'DepthEstimator': 'estimates depth and has no mask',
}


def refusal(name: str) -> str | None:
    """Say in one sentence why a head or segmentor is refused.

    Args:
        name (str): Name of the type, with or without a scope (``mmseg.``).

    Returns:
        str | None: The sentence, or None if the type is not known to be unsuitable.
    """
    name = name.rsplit('.', 1)[-1]
    if name not in REFUSED:
        return None
    return (
        f'{name} {REFUSED[name]}, so SCBCELoss cannot perturb the labels of its '
        'images: use a head that predicts every pixel (FCNHead, UPerHead, ...)'
    )
