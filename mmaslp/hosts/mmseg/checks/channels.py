"""What a loss for binary labels needs from its head in a config."""

from collections.abc import Iterator, Mapping

from .findings import Finding
from .parts import is_type

__all__ = ['check_channels']


def check_channels(
    path: str, head: Mapping, model: Mapping, loss: str
) -> Iterator[Finding]:
    """Look for heads that are not binary or cannot predict with one channel.

    Args:
        path (str): Place of the head in the config.
        head (Mapping): The head.
        model (Mapping): The segmentor.
        loss (str): Name of its binary loss.

    Yields:
        Finding: What was found.
    """
    inner = head.get('kernel_generate_head') or head
    channels = inner.get('out_channels') or inner.get('num_classes')
    if channels not in (1, 2):
        yield Finding(
            'error',
            f'{path} has {channels} channels, and {loss} is for binary heads',
            f'{path}.num_classes = 2\n{path}.out_channels = 1  (or 2)',
        )
        return
    if channels == 2:
        return
    if 'decode_head' in path:
        yield from _predicting(path, head, inner, model)
    if is_type(head, 'PointHead'):
        yield Finding(
            'error',
            f'{path}: PointRend looks for uncertain points between the two best '
            'channels, of which there is one',
            f'{path}.out_channels = 2  (in every head)',
        )
    sampler = inner.get('sampler') or {}
    if is_type(sampler, 'OHEMPixelSampler') and sampler.get('thresh') is not None:
        yield Finding(
            'error',
            f'{path}: OHEMPixelSampler with thresh takes a softmax over the channels, '
            'of which there is one',
            f"{path}.sampler = dict(type='OHEMPixelSampler', min_kept=100000)",
        )


def _predicting(
    path: str, head: Mapping, inner: Mapping, model: Mapping
) -> Iterator[Finding]:
    yield Finding(
        'note',
        f'{path} has one channel: the acc_seg of the training log is the share of '
        'the background, whatever the network does; look at calib/acc',
    )
    if inner.get('threshold') != 0.5:
        yield Finding(
            'warning',
            f'{path} calls a pixel foreground above {inner.get("threshold", 0.3)}'
            " (the host's default is 0.3), the metrics count at 0.5",
            f'{path}.threshold = 0.5',
        )
    if is_type(model, 'CascadeEncoderDecoder') or is_type(head, 'IterativeDecodeHead'):
        yield Finding(
            'error',
            "the host's cascades and K-Net cannot predict with one channel (it "
            'looks for a threshold that they do not have)',
            f'{path}.out_channels = 2  (in every head)',
        )
