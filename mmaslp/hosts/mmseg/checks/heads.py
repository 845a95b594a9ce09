"""Heads and segmentors without logits per pixel and image."""

from .findings import Finding

__all__ = ['REFUSED', 'no_pixel_logits', 'refused_part']

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
_USE = 'use a head that predicts every pixel (FCNHead, UPerHead, ...)'


def refused_part(name: str, place: str) -> Finding | None:
    """Refuse a part of a model that a loss per pixel and image cannot serve.

    Args:
        name (str): Name of its class.
        place (str): Its place in the config.
    """
    why = f'{REFUSED.get(name)}, so SCBCELoss cannot perturb the labels of its images'
    return _refuse(name, place, why)


def no_pixel_logits(name: str, place: str) -> Finding | None:
    """Refuse a part of a model whose output a temperature cannot divide.

    Args:
        name (str): Name of its class.
        place (str): Its place in the config.
    """
    return _refuse(name, place, 'gives no logits that a temperature could divide')


def _refuse(name: str, place: str, why: str) -> Finding | None:
    if name not in REFUSED:
        return None
    return Finding('error', f'{name} {why}: {_USE}', f"{place} = dict(type='...')")
