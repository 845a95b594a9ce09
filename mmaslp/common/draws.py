"""Random numbers that depend only on (seed, iteration, image): hashes of these.

So there is no generator state to save. The 64-bit mixer is the finaliser of SplitMix64
(Steele et al., OOPSLA 2014); that of pixels is Wellons' ``lowbias32`` (2018).
"""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

_MASK = 0xFFFFFFFFFFFFFFFF


def image_keys(ids: Iterable[str], folder: str = '') -> np.ndarray:
    """Hash ids, without the folder that they begin with, to ``(N,)`` uint64.

    It refuses ids that are not strings, and a lone one.
    """
    if isinstance(ids, (str, bytes)):
        raise ValueError(f'ids must be several strings, got one, {ids!r}: [{ids!r}]')
    try:
        # File names may not be UTF-8; Python passes such bytes on as surrogates.
        lines = [
            name.removeprefix(folder).encode(errors='surrogateescape') for name in ids
        ]
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f'ids must be strings, one per image, such as its path ({error}): turn '
            'numbers into strings with map(str, ids)'
        ) from error

    digests = b''.join([blake2b(line, digest_size=8).digest() for line in lines])
    return np.frombuffer(digests, dtype='<u8')


def iteration_keys(keys: np.ndarray, seed: int, iteration: int) -> np.ndarray:
    """Combine the keys of images ``(N,)`` with the seed and the iteration, >= 0."""
    return _mix(keys ^ np.uint64(_salt(seed, iteration)))


def seed_torch(seed: int, iteration: int, rank: int) -> None:
    """Seed the generators of the CPU and, if it is in use, of the CUDA device.

    They depend on nothing else, so that a resumed training draws as an uninterrupted
    one. ``torch.manual_seed`` also queues seeds for accelerators that are not in use,
    each with a formatted traceback. In a loop that takes longer than the draws.
    """
    number = _next(_salt(seed, iteration) ^ (rank + 1)) >> 1  # in [0, 2**63)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(number)


def image_uniform(keys: np.ndarray) -> np.ndarray:
    """Turn keys into uniform numbers, float64 in [0, 1), with 53 random bits."""
    return (_mix(keys) >> np.uint64(11)) * 2.0**-53


def pixel_uniform(keys: np.ndarray, shape: torch.Size, device: torch.device) -> Tensor:
    """Uniform numbers in (-1, 1) for every pixel, ``(N, *shape)``, float32."""
    halves = keys.astype('<u8').view('<i4').reshape(-1, 2)
    low, high = torch.from_numpy(halves).to(device).unsqueeze(2).unbind(1)
    pixels = torch.arange(torch.Size(shape).numel(), dtype=torch.int32, device=device)
    bits = _mix32(_mix32(pixels ^ low) ^ high)
    # 23 random bits and half a step: exact in float32, never -1 or 1, without bias.
    steps = ((bits >> 9) & 0x7FFFFF).float()
    uniform = steps.add_(0.5).mul_(2.0**-22).sub_(1.0)
    return uniform.view(len(keys), *shape)


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _next(x: int) -> int:
    """Number that SplitMix64 gives in the state x."""
    return int(_mix(np.array([(x + 0x9E3779B97F4A7C15) & _MASK], np.uint64))[0])


def _salt(seed: int, iteration: int) -> int:
    return _next(_next(seed & _MASK) ^ (iteration & _MASK))


def _mix32(x: Tensor) -> Tensor:
    # Wrapping int32 arithmetic; the masks make the right shifts logical.
    x = (x ^ ((x >> 16) & 0xFFFF)) * 0x7FEB352D
    x = (x ^ ((x >> 15) & 0x1FFFF)) * (0x846CA68B - 2**32)
    return x ^ ((x >> 16) & 0xFFFF)
