"""A fitted calibrator: its curves, the module that wraps a network, and its file."""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..common.arguments import (
    check_array,
    check_choice,
    check_integer,
    check_number,
    check_object,
    check_path,
    check_text,
    optional,
    reading,
)
from ..common.arrays import PIXELS_AT_ONCE, Map, add_up, checked
from ..common.bands import BORDER_EDGES, NUM_BANDS, border_bands
from ..common.inputs import read_file
from ..common.maps import (
    CHANNELS,
    IMAGES,
    UNKNOWN,
    VOLUMES,
    LabelledMap,
    MapBatch,
    ProbMap,
    maps_of_batch,
    mask_of,
    not_one_map,
    planes_of,
    refuse_calibrated,
)
from ..common.options import CURVES_BY, MASKS, TARGETS
from ..common.outputs import write_output
from ..metrics.objects import MaskTable, MaskTruth
from .curves import LIMIT, Curve, as_logits, look_up, segments
from .decisions import Decisions
from .estimates import (
    ImageEstimate,
    ObjectTable,
    estimate_image,
    table_of_objects,
)
from .features import count_image, probabilities
from .masks import MASK_KIND, cut_for_dice
from .module import CalibratedModule, check_weights, marked
from .sets import SetComparison, compare_set

MAX_BYTES = 2**20
# How toolkits name the file beside their checkpoints.
CALIBRATOR_FILE = 'calibrator.json'
# Two logits of one image are correlated like this, and those of two images are not.
MIRRORED = -0.9
# Largest calibrated logit of a knot; the least temperature gives 16500.
MAX_KNOT = 2e4
# What the values of a file always hold, beside the arguments of a calibrator.
_HEAD = dict(format='mmaslp calibrator', version=3, edges=list(BORDER_EDGES))


# What a calibrator was fitted to, by the axes that its record holds.
_KINDS = {2: IMAGES, 3: VOLUMES, None: CHANNELS}


@dataclass(frozen=True)
class FitRecord:
    """What of the record of a fit decides how its calibrator is used.

    Attributes:
        kind (str): What it was fitted to: 'images', 'volumes', several independent
            'channels', or 'unknown' if the record does not say it.
        foreground_name (str | None): What nnU-Net calls the foreground.
        images (int | None): Their number.
        network (object): Fingerprint of the network, see
            :func:`~mmaslp.calibration.module.same_weights`, or None.
        summary (str | None): What the fit says of itself.
    """

    kind: str = UNKNOWN
    foreground_name: str | None = None
    images: int | None = None
    network: Any = None
    summary: str | None = None

    @classmethod
    def from_dict(cls, record: Any) -> 'FitRecord':
        """Read the record of a calibrator; ValueError if it is none."""
        if not isinstance(record, dict):
            raise ValueError('it needs a record')
        kind = UNKNOWN
        if 'axes' in record:
            kind = _KINDS[check_choice('axes', record['axes'], (*_KINDS,))]
        return cls(
            kind=kind,
            foreground_name=optional(
                check_text, 'foreground_name', record.get('foreground_name')
            ),
            images=optional(check_integer, 'images', record.get('images'), at_least=1),
            network=record.get('network'),
            summary=record.get('summary'),
        )


def _checked_curves(
    pairs: Any, key: str, target: str, numbers: Sequence[int]
) -> list[Curve]:
    """Curves as pairs of arrays; ValueError if one is none."""
    curves = []
    try:
        for knots, values in pairs:
            knots = check_array(key, knots, (-1,), low=-LIMIT - 1e-6, high=LIMIT + 1e-6)
            values = check_array(key, values, knots.shape, low=-MAX_KNOT, high=MAX_KNOT)
            ascend = len(knots) > 1 and (np.diff([knots, values]) > 0).all()
            # The size of a logit is never negative, and the logit itself is.
            if not ascend or (target == 'probability') != (knots[0] < 0):
                raise ValueError(
                    f'{key} do not ascend, or are not those of the target {target!r}'
                )
            curves.append((knots, values))
    except TypeError as error:
        raise ValueError(f'{key} must be pairs of numbers ({error})') from error

    if len(curves) not in numbers:
        raise ValueError(f'it needs {numbers[-1]} {key}')
    return curves


@dataclass(frozen=True, eq=False)
class Calibrator:
    """Calibrated probabilities for the probabilities or logits of one network.

    :func:`~mmaslp.calibration.fit_calibrator` makes it.

    Args:
        method (str): See :func:`fit_calibrator`, but not 'auto'; so ``by``, 'single' or
            'band', and ``target``.
        curves (Sequence): Knots of each curve, see :mod:`~mmaslp.calibration.curves`.
        record (dict): What the fit says of itself: candidates, remarks, numbers of
            images and pixels; plain values.
        mask_curves (Sequence): Knots of a curve by band of target 'probability', which
            :meth:`masks` cuts. Defaults to none: ``curves``.
        decisions (Decisions, optional): What :meth:`objects` and :meth:`image` know.
            Defaults to None: nothing.

    Example:
        >>> knots = [0, 10], [0, 5]
        >>> calibrator = Calibrator('temperature', 'single', 'confidence', [knots])
        >>> calibrator(torch.tensor([[0.5, 0.9]]))  # 0.9 has the odds 9, its root is 3
        tensor([[0.5000, 0.7500]])
    """

    method: str
    by: str
    target: str
    curves: Sequence[Curve] = field(repr=False)
    record: dict[str, Any] = field(default_factory=dict, repr=False)
    mask_curves: Sequence[Curve] = field(default=(), repr=False)
    decisions: Decisions | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_choice('by', self.by, CURVES_BY)
        check_choice('target', self.target, TARGETS)
        if not isinstance(self.method, str):
            raise ValueError('it needs the name of a method')
        FitRecord.from_dict(self.record)
        with reading('its record cannot be written to a file'):
            json.dumps(self.record, allow_nan=False)

        number = 1
        if self.by == 'band':
            number = NUM_BANDS
        curves = _checked_curves(self.curves, 'curves', self.target, [number])
        mask_curves = _checked_curves(
            self.mask_curves, 'mask_curves', 'probability', [0, NUM_BANDS]
        )
        object.__setattr__(self, 'curves', curves)
        object.__setattr__(self, 'mask_curves', mask_curves)

    @property
    def fit_record(self) -> FitRecord:
        """FitRecord: What it was fitted to, as far as the record says it."""
        return FitRecord.from_dict(self.record)

    def __eq__(self, other: object) -> bool:
        """Whether both give the same file."""
        return isinstance(other, Calibrator) and self._text() == other._text()

    def __hash__(self) -> int:
        return hash(self._text())

    def __call__(self, prob: Map) -> Map:
        """Calibrate probabilities of the foreground.

        Args:
            prob (Tensor | np.ndarray): As the network gives them, floating point in
                [0, 1]: one image ``(H, W)``, images ``(N, H, W)`` or ``(N, C, H, W)``,
                or volumes ``(N, C, D, H, W)``. A calibrator of volumes takes
                ``(D, H, W)`` as one.

        Returns:
            Tensor | np.ndarray: Same kind, shape and device, without a gradient (that
            of :meth:`wrap` has one); half precision becomes float32. With the target
            'confidence' each stays on its side of 1/2.

        Raises:
            ValueError: They are not such maps; or a tensor that this returned, which
            says so, as an array, a part or a copy of it does not.
        """
        maps = MapBatch.of_planes(prob, volumes=self._is_of_volumes)
        return _like(prob, self._applied(maps))

    def logits(self, logit: Map) -> Map:
        """Calibrate logits of the positive class, as :meth:`__call__` probabilities."""
        maps = MapBatch.of_planes(logit, logits=True, volumes=self._is_of_volumes)
        return _like(logit, self._applied(maps))

    def masks(self, given: Map, choice: str = 'dice', logits: bool = False) -> Map:
        """Return a mask for each map; the probabilities of :meth:`__call__` stay.

        Args:
            given (Tensor | np.ndarray): Probabilities as the network gives them: one
                image ``(H, W)``, one volume ``(D, H, W)``, or a batch of them,
                ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
            choice (str): 'keep': the network's decision; 'accuracy': where the
                probability of label 1 is above 1/2; 'dice': the mask of the largest
                expected Dice of each image or whole volume
                (:func:`~mmaslp.calibration.dice_optimal_mask`). Defaults to
                'dice'.
            logits (bool): Whether logits are given. Defaults to False.

        Returns:
            Tensor | np.ndarray: Bool, same kind and shape.
        """
        check_choice('choice', choice, MASKS)
        maps = MapBatch.of_maps(given, logits=logits, volumes=self._is_of_volumes)
        if self.fit_record.kind == CHANNELS and maps.values.dim() == 3:
            raise ValueError(
                'this calibrator was fitted to channels, each with a mask of its own: '
                'give (1, C, H, W)'
            )
        self._check(maps, '; a batch of images is (N, 1, H, W)')
        if choice == 'keep':
            checked(maps.values, logits)
            return _like(given, maps.mask)

        # The curve of 'probability' is one of label 1 by itself.
        source = self.mask_calibrator
        if choice == 'accuracy' and self.target == 'probability':
            source = self
        source._check(maps)
        prob = source._calibrated(maps)
        if logits:
            prob = prob.sigmoid()
        if choice == 'accuracy':
            return _like(given, mask_of(prob))
        return _like(given, cut_for_dice(prob, maps.kind))

    def objects(self, given: Map, logits: bool = False) -> ObjectTable:
        """Find the objects of one image, and how probable it is that each is real.

        An object is a connected component of the mask p > 1/2, see
        :func:`~mmaslp.metrics.objects.find_objects`. It is real if more than half
        of its pixels are foreground.

        Args:
            given (Tensor | np.ndarray): Probabilities as the network gives them: one
                image ``(H, W)`` or one volume ``(D, H, W)``, on any device.
            logits (bool): Whether logits are given. Defaults to False.

        Raises:
            ValueError: The map cannot be used, or the calibrator was fitted without
                objects.
        """
        return self.judge(given, logits)[1]

    def image(
        self, given: Map, logits: bool = False, level: float = 0.9
    ) -> ImageEstimate:
        """Say what to expect of the mask p > 1/2 of one image; see :meth:`objects`.

        ``level`` in (0, 1) is the share of images that a bound holds for.
        """
        return self.judge(given, logits, level)[0]

    def judge(
        self, given: Map, logits: bool = False, level: float = 0.9
    ) -> tuple[ImageEstimate, ObjectTable]:
        """Give :meth:`image` and :meth:`objects` in one pass."""
        check_number('level', level, above=0, below=1)
        self.need_decisions()
        return self.judge_map(ProbMap.from_array(given, logits=logits), level)

    def judge_map(
        self, given: ProbMap, level: float = 0.9
    ) -> tuple[ImageEstimate, ObjectTable]:
        """Give :meth:`judge` of a :class:`~mmaslp.common.maps.ProbMap`."""
        refuse_calibrated(given)
        decisions = self.need_decisions()
        hint = (
            '; a batch (N, 1, H, W), and two logits, go to judge_batch; of channels '
            'give one'
        )
        if not given.values.numel():
            raise not_one_map(given.values.shape)
        self.check_kind(given.kind, hint)

        image, labels = count_image(given)
        prob = self._code_probabilities
        return (
            estimate_image(decisions, image, prob, level),
            table_of_objects(decisions, image, prob, labels),
        )

    def judge_batch(
        self, given: Map, logits: bool = False, level: float = 0.9
    ) -> list[tuple[ImageEstimate, ObjectTable]]:
        """Give :meth:`judge` of every image of a batch, on any device.

        ``given`` is ``(N, 1, H, W)``, of volumes ``(N, 1, D, H, W)``; or the two logits
        of a softmax, ``(N, 2, ...)``.
        """
        maps = maps_of_batch(given, logits=logits)
        check_number('level', level, above=0, below=1)
        return [self.judge_map(one, level) for one in maps]

    def compare_set(
        self,
        estimates: Iterable[ImageEstimate],
        groups: Iterable[Hashable] | None = None,
    ) -> tuple[SetComparison, list[ImageEstimate]]:
        """Compare a whole set of judged images with the images of the fit.

        Returns what differs, and the estimates with the bounds that hold then; see
        :func:`~mmaslp.calibration.sets.compare_set`. ``objects`` of what differs gives
        the objects of an image of this set what holds of them. ``groups`` are the
        patient, video or place of each image, as in a fit.
        """
        return compare_set(self.need_decisions(), estimates, groups)

    def scores(
        self,
        given: Map,
        label: Map,
        ignore_index: int | None = 255,
        logits: bool = False,
    ) -> MaskTable:
        """Say what :meth:`judge` says of one image, beside what is true."""
        labelled = LabelledMap.from_arrays(given, label, ignore_index, logits=logits)
        labelled = labelled.filled()
        estimate, objects = self.judge_map(labelled.without_labels())

        truth = MaskTruth.of(
            labelled.cpu(),
            labelled.mask.cpu().numpy(),
            objects.labels,
            len(objects),
        )
        return MaskTable.of_image(
            truth, objects.probability, estimate.dice, estimate.score
        )

    def wrap(
        self, module: nn.Module, independent: bool = False, with_raw: bool = False
    ) -> CalibratedModule:
        """Return a module that gives calibrated logits; see ``CalibratedModule``.

        With ``with_raw`` it gives the logits of the network and the calibrated ones:
        one export then serves a review too. It warns if the calibrator was fitted to a
        network of other weights; in ``eval()`` also where they are loaded or trained on
        later.
        """
        fit = self.fit_record
        wrapped = CalibratedModule(
            module,
            self.table,
            independent=independent,
            with_raw=with_raw,
            kind=fit.kind,
            network=fit.network,
        )
        self.check_network(module)
        return wrapped

    def check_network(self, network: nn.Module) -> None:
        """Warn if the calibrator is known to be fitted to other weights."""
        check_weights(network, self.fit_record.network)

    def save(self, file: str | Path, overwrite: bool = False) -> None:
        """Write it as JSON; FileExistsError if a file is there already."""
        write_output(file, self._text(), overwrite)

    @classmethod
    def load(cls, file: str | Path) -> 'Calibrator':
        """Read what :meth:`save` wrote; ValueError if the file is anything else."""
        text = read_file(check_path('file', file), MAX_BYTES)
        try:
            return cls.from_dict(json.loads(text, parse_constant=_no_number))
        except (ValueError, RecursionError) as error:
            reason = str(error).removeprefix('not a calibrator: ')
            raise ValueError(
                f'{file} is cut, or not a calibrator of this version ({reason}): fit '
                'it again with `mmaslp fit`'
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Give it as numbers, texts, lists and dicts, for any checkpoint."""
        content = asdict(self)
        if self.decisions is not None and self.decisions.groups is None:
            # Versions that know no groups read what has none.
            del content['decisions']['groups']
        for key in ('curves', 'mask_curves'):
            curves = []
            for knots, values in content[key]:
                curves.append(dict(knots=knots.tolist(), values=values.tolist()))
            content[key] = curves
        return _HEAD | content

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> 'Calibrator':
        """Make what :meth:`to_dict` gave; ValueError if it is anything else."""
        with reading('not a calibrator'):
            content: dict[str, Any] = {}
            if isinstance(plain, Mapping):
                content |= plain
            for key, value in _HEAD.items():
                saved = content.pop(key, None)
                if saved is None:
                    raise ValueError(
                        f'it lacks {key!r}; a checkpoint may contain a calibrator as '
                        "its entry 'calibrator'"
                    )
                if saved != value:
                    raise ValueError(f'its {key} is {saved!r}, not {value!r}')

            for key in ('curves', 'mask_curves'):
                curves = [check_object(key, curve) for curve in content[key]]
                content[key] = [(curve['knots'], curve['values']) for curve in curves]
            if content['decisions'] is not None:
                content['decisions'] = Decisions.from_dict(content['decisions'])
            return cls(**content)

    def summary(self) -> str:
        """Say what the fit chose and why, with a table of the candidates."""
        said = self.fit_record.summary
        if said is None:
            return str(self)
        return str(said)

    @cached_property
    def table(self) -> Tensor:
        """``(2, B, S)`` float64 segments of the curves."""
        return torch.from_numpy(segments(self.curves, self.target))

    @cached_property
    def mask_calibrator(self) -> 'Calibrator':
        """Calibrator: Gives the probability of label 1, which masks are cut from."""
        if not self.mask_curves:
            return self
        return Calibrator(*MASK_KIND, self.mask_curves)

    def need_decisions(self) -> Decisions:
        """Return what is known of objects and images; ValueError if that is nothing."""
        if self.decisions is None or not self.mask_curves:
            raise ValueError(
                'this calibrator was not fitted to objects and images (calibrators of '
                'several channels never are): fit it again with `mmaslp fit` or '
                'fit_calibrator'
            )
        return self.decisions

    def without_objects(self) -> 'Calibrator':
        """Give one that tells no probability of an object, and all else alike.

        For a set where objects are withheld, see
        :attr:`~mmaslp.calibration.sets.SetComparison.objects_withheld`.
        """
        decisions = replace(self.need_decisions(), objects=None)
        return replace(self, decisions=decisions)

    def withheld_by(self, comparison: SetComparison) -> 'Calibrator':
        """Give one that tells what holds for a set where objects are withheld.

        It tells no probability of an object, and no Dice where that is withheld, too.
        """
        silent = self.without_objects()
        if comparison.withheld:
            decisions = replace(silent.need_decisions(), image=None)
            return replace(silent, decisions=decisions)
        return silent

    def check_kind(self, kind: str, hint: str = '') -> None:
        """Refuse 'images' if it was fitted to volumes, and 'volumes' if to images."""
        fitted = self.fit_record.kind
        if kind != UNKNOWN and fitted in (IMAGES, VOLUMES) and fitted != kind:
            raise ValueError(
                f'this calibrator was fitted to {fitted}, and not to {kind}: fit one '
                f'to {kind} with `mmaslp fit`{hint}'
            )

    def check_objects(self) -> None:
        """Refuse to judge objects where the validation images could not tell."""
        if self.need_decisions().objects is None:
            raise ValueError(
                'this calibrator cannot judge objects: fit it with `mmaslp fit` to at '
                'least five real and five false objects, from several images, patients '
                'or groups'
            )

    @cached_property
    def _code_probabilities(self) -> np.ndarray:
        return probabilities(self.mask_curves)

    def _text(self) -> str:
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + '\n'

    @property
    def _is_of_volumes(self) -> bool:
        return self.fit_record.kind == VOLUMES

    def _applied(self, maps: MapBatch) -> Tensor:
        """Check maps and calibrate them."""
        self._check(maps)
        return marked(self._calibrated(maps))

    def _check(self, maps: MapBatch, hint: str = '') -> None:
        """Refuse maps that this calibrator was not made for."""
        refuse_calibrated(maps)
        self.check_kind(maps.kind, hint)
        self._check_channels(maps)

    def _check_channels(self, maps: MapBatch) -> None:
        """Refuse background and foreground, of which each would be a binary map."""
        if self._are_two_logits(maps) or self._are_shares(maps):
            raise ValueError(
                'background and foreground of a softmax are calibrated together: give '
                'the foreground alone, of logits the difference of the two, or wrap '
                'the network. Give two channels of their own one by one'
            )

    def _are_two_logits(self, maps: MapBatch) -> bool:
        """Whether they are logits of two classes, and decisions of one are to move."""
        if self.decisions is None or not maps.logits or maps.channel_axis is None:
            return False
        if maps.values.shape[maps.channel_axis] != 2:
            return False
        if maps.channel_axis == 0:  # or two images, whose logits are not opposite
            correlation = torch.corrcoef(maps.values.flatten(1))[0, 1]
            return bool(correlation < MIRRORED)
        return True

    def _are_shares(self, maps: MapBatch) -> bool:
        """Whether they are the shares of a softmax, and each alone would be wrong."""
        if maps.channel_axis is None:
            return False
        # Two are calibrated alike as long as no decision moves.
        would_be_wrong = self.target == 'probability'
        if maps.values.shape[maps.channel_axis] > 2:
            would_be_wrong = self.decisions is not None  # of a fit to one channel
        return would_be_wrong and add_up(maps.values, maps.channel_axis)

    def _calibrated(self, maps: MapBatch) -> Tensor:
        """Check the values of maps and calibrate them, piece by piece."""
        planes = checked(planes_of(maps.values), maps.logits)
        calibrated = planes.clone(memory_format=torch.contiguous_format)
        if self.method == 'identity':
            return calibrated.view(maps.values.shape)

        table = self.table.to(calibrated)
        pieces = calibrated.flatten().split(PIXELS_AT_ONCE)
        bands: Any = [None] * len(pieces)
        if self.by == 'band':
            mask = mask_of(planes, maps.logits)
            bands = border_bands(mask).flatten().split(PIXELS_AT_ONCE)
        for piece, band in zip(pieces, bands):
            if maps.logits:
                piece.copy_(look_up(piece, band, table))
            else:
                prob = look_up(as_logits(piece), band, table).sigmoid_()
                piece.copy_(prob)
        return calibrated.view(maps.values.shape)


def _like(given: Map, values: Tensor) -> Any:
    """Give values as an array, if an array was given."""
    if isinstance(given, np.ndarray):
        return values.numpy()
    return values


def _no_number(constant: str) -> float:
    """Refuse NaN and Infinity, which no file of ours has: None stands for unknown."""
    raise ValueError(f'{constant} is no number')


def loaded(name: str, given: 'Calibrator | str | Path') -> 'Calibrator':
    """Take a calibrator, or load it from its file, or from the folder that has it."""
    if isinstance(given, Calibrator):
        return given
    return Calibrator.load(
        file_of(check_path(f'{name} (a Calibrator, its file or its folder)', given))
    )


def file_of(given: str | Path) -> Path:
    """Return the file of a calibrator that is given as its file, or as its folder."""
    path = Path(given)
    if path.is_dir():
        return path / CALIBRATOR_FILE
    return path
