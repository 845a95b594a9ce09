"""The table that calibrators are fitted from: counts by band and narrow cell of p."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from ...common.arguments import check_integer
from ...common.bands import NUM_BANDS
from ...common.maps import CHANNELS, IMAGES, VOLUMES, LabelledMap, ProbMap
from ..curves import CELLS
from ..features import count_image
from ..module import fingerprint_of
from .packed import PackedImages
from .pairs import Map, labelled_map

GROUPS = 100
MOST_KEY = 2**63 - 1  # of int64
# Axes of one map of each kind, as the record of a fit holds them.
_AXES = {IMAGES: 2, VOLUMES: 3}
_NEED_KEYS = (
    'images without a key would count as images of one patient with others: give '
    'update the key of each image, such as its number in the whole set'
)


class CalibrationTables:
    """Pixels of both labels by group, band of the predicted border and cell of p.

    A case is what has one key: an image, a volume, or all images of a patient. Case k
    belongs to group k mod 100, so that memory (2 MB) grows neither with pixels nor with
    images, while folds and intervals are made of groups. Up to 100 cases are groups of
    their own. Bands are those of the mask p > 1/2
    (:func:`~mmaslp.common.bands.border_bands`), cells those of
    :mod:`~mmaslp.calibration.curves`. All counts are integers, so :meth:`merge` is
    exact in any order.

    Args:
        network (nn.Module, optional): What gives the maps. Defaults to None, unknown.

    Attributes:
        counts (Tensor): ``(100, 5, 258, 2)`` int64 per group, band, cell and label.
        images (Tensor): ``(100,)`` int64, number of images of each group.
        keys (set[int]): Those of all cases.
        axes (set[int]): 2 if there are images, 3 if there are volumes; empty of several
            channels.
        contents (PackedImages | None): What each image holds, for the decisions about
            objects and images; about .2 KB of 24 x 24 pixels, and 2 KB of 320 x 320.
            None: of several channels.
        negative_crops (PackedImages): The same of crops without an object.
        foreground_name (str | None): What nnU-Net calls the foreground of the maps.
        network (str | None): Fingerprint of the network that gave the maps.

    Example:
        >>> tables = CalibrationTables()
        >>> tables.update(torch.full((8, 8), 0.9), torch.ones(8, 8), key=0)
        >>> int(tables.counts.sum()), int(tables.images.sum())
        (64, 1)
    """

    @torch.inference_mode(False)  # else it could only be updated in that mode
    def __init__(self, network: nn.Module | None = None) -> None:
        self.counts = torch.zeros(GROUPS, NUM_BANDS, CELLS, 2, dtype=torch.int64)
        self.images = torch.zeros(GROUPS, dtype=torch.int64)
        self.keys: set[int] = set()
        self._default_keys: set[int] = set()  # of images that came without one
        self.axes: set[int] = set()
        self.contents: PackedImages | None = PackedImages()
        self.negative_crops = PackedImages()
        self.foreground_name: str | None = None
        self.network: str | None = None
        if network is not None:
            self.network = fingerprint_of(network)

    def update(
        self,
        prob: Map,
        label: Map,
        key: int | None = None,
        ignore_index: int = 255,
        logits: bool = False,
        channels: bool = False,
    ) -> None:
        """Count the pixels of one image.

        Args:
            prob (Tensor | np.ndarray): ``(H, W)``, or ``(..., H, W)`` for an image of
                several binary channels or slices; as in :func:`fit_calibrator`.
            label (Tensor | np.ndarray): Same shape, up to axes of one.
            key (int, optional): Number of the image, or of the patient, video or place
                that it belongs to: images of one key stay in one group. Defaults to
                None: the number of images so far, which is right in one process only;
                it is refused where another image, also of a table to merge, was given
                that key.
            ignore_index (int): Label of pixels that count nowhere, though their
                probabilities make borders. Defaults to 255.
            logits (bool): Whether ``prob`` holds logits: of the foreground, or (2, ...)
                of background and foreground. Defaults to False.
            channels (bool): Whether there are several binary channels: their objects
                are not one another's slices, and ``contents`` are not kept. Defaults
                to False.

        Raises:
            ValueError: The image cannot be used. Then nothing of it is counted.
        """
        kind = None
        if channels:
            kind = CHANNELS
        self.count(
            labelled_map(prob, label, ignore_index, logits=logits, kind=kind), key
        )

    def count(self, case: LabelledMap, key: int | None = None) -> None:
        """Count a map that is checked; ``key`` is that of :meth:`update`."""
        if case.valid is not None and not case.valid.any():
            return  # an image without a label is not a case
        if key is None:
            number = int(self.images.sum())
            is_taken = number in self.keys
        else:
            number = check_integer('key', key, at_most=MOST_KEY)
            is_taken = number in self._default_keys
        if is_taken:
            raise ValueError(_NEED_KEYS)

        group = number % GROUPS
        image, _ = count_image(case, group)
        self.keys.add(number)
        if key is None:
            self._default_keys.add(number)
        self.counts[group] += torch.from_numpy(image.labels)
        self.images[group] += 1

        if case.kind == CHANNELS:
            self.contents = None
        if self.contents is not None:
            self.axes.add(_AXES[case.kind])
            self.contents.append(replace(image, key=number))

    def add_negative_crop(self, prob: Map, logits: bool = False) -> None:
        """Count a crop ``(H, W)`` without an object, for decisions only."""
        crop, _ = count_image(ProbMap.from_array(prob, logits=logits))
        self.negative_crops.append(crop)

    @property
    def cases(self) -> Tensor:
        """``(100,)`` int64, number of cases of each group."""
        groups = torch.tensor([key % GROUPS for key in self.keys], dtype=torch.int64)
        return torch.bincount(groups, minlength=GROUPS)

    def merge(self, other: 'CalibrationTables') -> None:
        """Add the images of another table, whose keys continue or share those here.

        Of processes each may have running means of its own: those here are kept.

        Raises:
            ValueError: It is no other table, or an image that came without a key would
                be taken for one of the other table. Then nothing is added.
        """
        if other is self:
            raise ValueError('merge takes another CalibrationTables, not itself')
        if not isinstance(other, CalibrationTables):
            raise ValueError(
                f'merge takes another CalibrationTables, not {type(other).__name__}'
            )
        if self._default_keys & other.keys or other._default_keys & self.keys:
            raise ValueError(_NEED_KEYS)

        self.keys |= other.keys
        self._default_keys |= other._default_keys
        self.axes |= other.axes
        self.counts += other.counts
        self.images += other.images
        if self.contents is None or other.contents is None:
            self.contents = None
        else:
            self.contents.extend(other.contents)
        self.negative_crops.extend(other.negative_crops)
