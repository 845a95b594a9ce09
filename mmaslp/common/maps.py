"""Maps of a network: checked, and named for what they are, where they come in.

One map is an image ``(H, W)`` or a volume ``(D, H, W)``, and a volume of one slice is
an image: :func:`kind_of` decides it for the whole package. Three axes are ``(D, H, W)``
where a call takes one map, and ``(N, H, W)`` where it takes a batch; which of the two
it takes is said in its docstring.

Which class is made where:

- :class:`ProbMap`, one map without labels: where a calibrator judges an image
- :class:`LabelledMap`, one map beside its labels: where an image is measured or fitted
- :class:`LabelledPlanes`, the planes of labelled maps: where a ``BandTable`` counts
- :class:`PixelScores`, pixels without places: where a ``CalibrationHistogram`` counts
- :class:`MapBatch`, maps of any batch: where a calibrator calibrates them

A map on the disk is a :class:`~mmaslp.files.stored_maps.StoredMap`, and a folder of
them :class:`~mmaslp.files.map_pairs.MapFiles`. Each brings values and labels to one
shape by :func:`~mmaslp.common.arrays.shaped_as_label`; losses, whose channels may be
two logits of one class, by :func:`~mmaslp.common.arrays.one_logit_per_label`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .arrays import (
    SUM_TOLERANCE,
    Map,
    as_floats,
    as_tensor,
    check_foreground,
    check_places,
    checked,
    one_logit,
    shaped_as_label,
    split_labels,
)

# What one map is: independent channels are several binary maps of one image.
IMAGES = 'images'
VOLUMES = 'volumes'
CHANNELS = 'channels'
UNKNOWN = 'unknown'


def kind_of(shape: Sequence[int]) -> str:
    """Whether one map of a shape is one of ``IMAGES`` or of ``VOLUMES``."""
    if len(shape) == 3 and shape[0] > 1:
        return VOLUMES
    return IMAGES


def says_calibrated(given: object) -> bool:
    """Whether a map says that it is calibrated, as tensors of calibrators do."""
    return bool(getattr(given, 'is_calibrated', False))


def refuse_calibrated(given: object) -> None:
    """Refuse a map that says that it is calibrated."""
    if says_calibrated(given):
        raise ValueError(
            "these maps are calibrated already: give the network's own maps, such as "
            'the first output of wrap(network, with_raw=True)'
        )


def cut_of(logits: bool) -> float:
    """What values of the foreground are above: p > 1/2, of probabilities or logits."""
    if logits:
        return 0.0
    return 0.5


def mask_of(values: Map, logits: bool = False) -> Map:
    """Bool, where p > 1/2, of probabilities or logits."""
    return values > cut_of(logits)


def planes_of(values: Tensor) -> Tensor:
    """``(M, H, W)`` view of ``(..., H, W)``."""
    return values[None].flatten(0, -3)


@dataclass(frozen=True, eq=False, kw_only=True)
class ProbMap:
    """One map of the foreground, whose values are checked.

    Attributes:
        values (Tensor): ``(H, W)`` or ``(D, H, W)``, float32 or float64; of independent
            channels ``(C, H, W)``.
        kind (str): 'images', 'volumes' or 'channels'.
        logits (bool): Whether the values are logits, and no probabilities. Defaults to
            False.
        is_calibrated (bool): Whether a calibrator made it. Defaults to False.
    """

    values: Tensor
    kind: str
    logits: bool = False
    is_calibrated: bool = False

    @classmethod
    def from_array(
        cls, given: Tensor | np.ndarray, *, logits: bool = False
    ) -> 'ProbMap':
        """Check an image ``(H, W)`` or a volume ``(D, H, W)``, on any device.

        Raises:
            ValueError: It is neither, or holds no such values.
        """
        values = checked(as_floats(given, logits), logits)
        check_one_map(values.shape)
        check_places(values)
        return cls(
            values=values,
            kind=kind_of(values.shape),
            logits=logits,
            is_calibrated=says_calibrated(given),
        )

    @property
    def mask(self) -> Tensor:
        """Bool, where p > 1/2."""
        return mask_of(self.values, self.logits)

    @property
    def planes(self) -> Tensor:
        """``(M, H, W)``: an image, or the slices or channels."""
        return planes_of(self.values)

    def pixel_kinds(self) -> Tensor | None:
        """What the labels say of each pixel; None: there are no labels."""
        return None


@dataclass(frozen=True, eq=False, kw_only=True)
class MapBatch:
    """One map or a batch of maps, of which only the type and the axes are checked.

    Attributes:
        values (Tensor): ``(..., H, W)``, float32 or float64.
        kind (str): 'images' or 'volumes'; 'unknown' where the axes do not tell.
        channel_axis (int | None): The axis that may hold background and foreground;
            None if there is none.
        logits (bool): Whether the values are logits, and no probabilities. Defaults to
            False.
        is_calibrated (bool): Whether a calibrator made it. Defaults to False.
    """

    values: Tensor
    kind: str
    channel_axis: int | None
    logits: bool = False
    is_calibrated: bool = False

    @classmethod
    def of_planes(
        cls, given: Tensor | np.ndarray, *, logits: bool = False, volumes: bool = False
    ) -> 'MapBatch':
        """Read what is calibrated plane by plane.

        That is one image ``(H, W)``, images ``(N, H, W)``, images or slices
        ``(N, C, H, W)``, or volumes ``(N, C, D, H, W)``. Where the calls are those of
        ``volumes``, ``(D, H, W)`` is one.
        """
        maps = cls._of(given, logits, volumes)
        if maps.values.dim() == 2:
            return replace(maps, kind=IMAGES)
        if maps.values.dim() == 5:
            return replace(maps, kind=VOLUMES)
        return maps

    @classmethod
    def of_maps(
        cls, given: Tensor | np.ndarray, *, logits: bool = False, volumes: bool = False
    ) -> 'MapBatch':
        """Read what is cut map by map.

        That is one image ``(H, W)``, one volume ``(D, H, W)``, images ``(N, C, H, W)``
        or volumes ``(N, C, D, H, W)``.
        """
        maps = cls._of(given, logits, volumes)
        shape = maps.values.shape
        if len(shape) > 5:
            raise ValueError(
                'give (H, W), (D, H, W), (N, C, H, W) or (N, C, D, H, W), not '
                f'{tuple(shape)}'
            )
        if len(shape) == 5:
            return replace(maps, kind=VOLUMES)
        return replace(maps, kind=kind_of(shape))

    @classmethod
    def _of(cls, given: Tensor | np.ndarray, logits: bool, volumes: bool) -> 'MapBatch':
        """Check the type and the places; the kind is not known yet."""
        values = as_floats(given, logits)
        check_places(values)
        return cls(
            values=values,
            kind=UNKNOWN,
            channel_axis=_channel_axis(values, volumes),
            logits=logits,
            is_calibrated=says_calibrated(given),
        )

    @property
    def mask(self) -> Tensor:
        """Bool, where p > 1/2."""
        return mask_of(self.values, self.logits)


def _channel_axis(values: Tensor, volumes: bool) -> int | None:
    if values.dim() > 3:
        return 1
    if values.dim() == 3 and not volumes:
        return 0
    return None  # one image, or slices of a volume


def maps_of_batch(
    given: Tensor | np.ndarray, *, logits: bool = False
) -> 'list[ProbMap]':
    """Check every map of a batch of one channel, or of the two logits of a softmax.

    ``given`` is ``(N, 1, H, W)`` or ``(N, 1, D, H, W)``; of two logits ``(N, 2, ...)``.
    """
    values = as_floats(given, logits)
    channels = 0
    if values.dim() > 3:
        channels = values.shape[1]
    if channels != 1 and not (channels == 2 and logits):
        raise ValueError(
            'give a batch (N, 1, H, W) or (N, 1, D, H, W), or two logits, not '
            f'{tuple(values.shape)}'
        )
    maps = []
    for image in one_logit(checked(values, logits)):
        one = ProbMap.from_array(image, logits=logits)
        if values.dim() == 5:
            one = replace(one, kind=VOLUMES)  # also of one slice
        maps.append(replace(one, is_calibrated=says_calibrated(given)))
    return maps


# What `LabelledMap.pixel_kinds` says of a pixel without a label.
IGNORED_PIXEL = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledMap(ProbMap):
    """One map beside its labels. What is ignored may hold any value.

    Attributes:
        foreground (Tensor): Bool, of the shape of the values: the label is 1.
        valid (Tensor | None): Bool, pixels that are not ignored; None if all are.
    """

    foreground: Tensor
    valid: Tensor | None

    @classmethod
    def from_arrays(
        cls,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int | None = 255,
        *,
        logits: bool = False,
    ) -> 'LabelledMap':
        """Check an image ``(H, W)`` or a volume ``(D, H, W)`` and its labels.

        Raises:
            ValueError: They are no such pair, or a value that is not ignored is none.
        """
        values, foreground, valid = _pair(prob, label, ignore_index)
        check_one_map(values.shape)
        if np.ndim(prob) > 3 and len(prob) > 1:
            raise not_one_map(prob.shape)
        values = checked_where(values, valid, logits)
        check_places(values)
        return cls(
            values=values,
            kind=kind_of(values.shape),
            logits=logits,
            is_calibrated=says_calibrated(prob),
            foreground=foreground,
            valid=valid,
        )

    def scores(self) -> 'PixelScores':
        """The pixels that are not ignored, without their places."""
        if self.valid is None:
            return PixelScores(self.values.flatten(), self.foreground.flatten())
        return PixelScores(self.values[self.valid], self.foreground[self.valid])

    def labelled_planes(self) -> 'LabelledPlanes':
        """Its planes, beside their labels."""
        valid = None
        if self.valid is not None:
            valid = planes_of(self.valid)
        return LabelledPlanes(self.planes, planes_of(self.foreground), valid)

    def without_labels(self) -> ProbMap:
        """The map alone."""
        return ProbMap(
            values=self.values,
            kind=self.kind,
            logits=self.logits,
            is_calibrated=self.is_calibrated,
        )

    def filled(self) -> 'LabelledMap':
        """Put 0 where a pixel is ignored and its value cannot be used."""
        if self.valid is None:
            return self
        usable = ~self.values.isnan()
        if not self.logits:
            usable = (self.values >= 0) & (self.values <= 1)
        values = self.values.masked_fill(~(usable | self.valid), 0.0)
        return replace(self, values=values)

    def cpu(self) -> 'LabelledMap':
        """Copy it to the CPU, if it is elsewhere."""
        if self.values.device.type == 'cpu':
            return self
        valid = None
        if self.valid is not None:
            valid = self.valid.cpu()
        return replace(
            self,
            values=self.values.cpu(),
            foreground=self.foreground.cpu(),
            valid=valid,
        )

    def pixel_kinds(self) -> Tensor:
        """``(M, H, W)`` labels 0 and 1 as bytes, and 2 of what is ignored."""
        kinds = self.foreground.byte()
        if self.valid is not None:
            kinds.masked_fill_(~self.valid, IGNORED_PIXEL)
        return planes_of(kinds)


@dataclass(frozen=True, eq=False)
class LabelledPlanes:
    """Planes of N images of one size, image by image, beside their labels.

    Attributes:
        values (Tensor): ``(M, H, W)`` probabilities of the foreground.
        foreground (Tensor): Bool, the label is 1.
        valid (Tensor | None): Bool, pixels that are not ignored; None if all are.
        images (int): N. Defaults to 1.
    """

    values: Tensor
    foreground: Tensor
    valid: Tensor | None
    images: int = 1

    @classmethod
    def from_arrays(
        cls,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int | None,
    ) -> 'LabelledPlanes':
        """Check one image ``(H, W)`` or a batch, see :meth:`.BandTable.update`."""
        values, foreground, valid = _pair(prob, label, ignore_index)
        check_places(values)
        values = checked_where(values, valid)
        if values.dim() > 5:
            raise ValueError(
                'prob must be (H, W), (N, H, W), (N, C, H, W) or (N, C, D, H, W), got '
                f'{tuple(values.shape)}'
            )

        images = 1
        if values.dim() > 2:
            images = len(values)
        if valid is not None:
            valid = planes_of(valid)
        return cls(planes_of(values), planes_of(foreground), valid, images)

    def split(self, size: int) -> 'list[LabelledPlanes]':
        """Cut them into parts of so many planes."""
        parts = []
        for start in range(0, len(self.values), size):
            some = slice(start, start + size)
            valid = None
            if self.valid is not None:
                valid = self.valid[some]
            parts.append(
                LabelledPlanes(self.values[some], self.foreground[some], valid)
            )
        return parts


@dataclass(frozen=True, eq=False)
class PixelScores:
    """Scores of P pixels that are not ignored, and what came true of each.

    Attributes:
        score (Tensor): ``(P,)`` p of the foreground; of more than two classes the top
            confidence.
        outcome (Tensor): ``(P,)`` whether the label is 1; of more than two classes
            whether the top class is right.
        prob_of_label (Tensor | None): ``(P,)`` p of the true class, of more than two
            classes.
    """

    score: Tensor
    outcome: Tensor
    prob_of_label: Tensor | None = None

    @classmethod
    def from_arrays(
        cls,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int | None,
        num_classes: int = 2,
    ) -> 'PixelScores':
        """Check pixels ``(...)``, of C > 2 classes ``(C, ...)``, and their labels."""
        if num_classes > 2:
            return cls._of_classes(prob, label, ignore_index, num_classes)
        values, foreground, valid = _pair(prob, label, ignore_index)
        if valid is not None:
            values = values[valid]
            foreground = foreground[valid]
        return cls(checked(values.flatten()), foreground.flatten())

    @classmethod
    def _of_classes(
        cls,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int | None,
        num_classes: int,
    ) -> 'PixelScores':
        prob = as_floats(prob)
        label = as_tensor(label, 'label').to(prob.device)
        wanted = (num_classes, *label.shape)
        if prob.shape != wanted:
            raise ValueError(
                f'prob has shape {tuple(prob.shape)}, but {num_classes} classes and '
                f'labels of shape {tuple(label.shape)} need {wanted}'
            )

        label, valid = split_labels(label, ignore_index, num_classes)
        if valid is not None:
            prob = prob[:, valid]
            label = label[valid]
        prob = checked(prob.flatten(1))
        label = label.flatten().long()
        off = (prob.sum(0) - 1).abs()
        if off.numel() and off.max() > SUM_TOLERANCE:
            raise ValueError(
                'the probabilities of a pixel must add up to 1, but are off by up to '
                f'{off.max().item():.3g}: apply softmax to logits first'
            )

        top, predicted = prob.max(0)
        is_right = (predicted == label).long()
        return cls(top, is_right, prob.gather(0, label[None])[0])


def _pair(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray, ignore_index: int | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Values, foreground and valid pixels, of one shape; the values are not checked."""
    prob = as_floats(prob)
    label = as_tensor(label, 'label').to(prob.device)
    prob = shaped_as_label(prob, label)
    label, valid = split_labels(label, ignore_index)
    check_foreground(prob, label, axis=1)
    if valid is not None and valid.any() and not label.any():
        warnings.warn(
            f'labels contain 0 and {ignore_index} (ignored) and never 1: divide a mask '
            'of 0 and 255 by 255, else its objects are not counted',
            stacklevel=4,
        )
    return prob, label.bool(), valid


def checked_where(values: Tensor, valid: Tensor | None, logits: bool = False) -> Tensor:
    """Check the values that are not ignored, and leave the others as they are."""
    if valid is None:
        return checked(values, logits)
    usable = values.where(valid, 0.5)  # to pick the values out would take longer
    clamped = checked(usable, logits)
    if clamped is usable:
        return values
    return torch.where(valid, clamped, values)


def check_one_map(shape: Sequence[int]) -> None:
    """Refuse what is neither an image ``(H, W)`` nor a volume ``(D, H, W)``."""
    if len(shape) not in (2, 3):
        raise not_one_map(shape)


def not_one_map(shape: Sequence[int]) -> ValueError:
    """The error of what is none."""
    return ValueError(
        f'give one image (H, W) or one volume (D, H, W), not {tuple(shape)}'
    )
