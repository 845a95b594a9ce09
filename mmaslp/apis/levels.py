"""Reading the levels of a trained run, and the lists of wrong masks."""

import os.path as osp
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmseg.registry import DATASETS, MODELS

from ..core.aslp.bank import AlphaBank
from ..core.calibration.detection import detection_auroc, detection_interval
from ..datasets.listing import image_ids, leaf_datasets
from ..datasets.pairing import read_list
from ..datasets.synthetic import MANIFEST, SyntheticSODDataset
from ..engine.hooks import ASLPHook
from ..evaluation.sample_scores import ScoreReader
from ..utils.json_file import read_json
from ..utils.progress import track
from .weights import compare_weights

__all__ = [
    'Levels',
    'find_manifest',
    'level_summary',
    'predictions',
    'read_levels',
    'training_set',
    'wrong_images',
]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
RESAMPLES = 2000
MAX_MANIFEST = 2**26  # bytes


@dataclass
class Levels:
    """The levels of the images of a training set.

    Attributes:
        ids (list[str]): N image ids, their ``img_path``.
        alpha (np.ndarray): ``(N,)`` float64, their levels, >= 0.
        settings (dict): How they were made: ``rule`` with its options, ``beta``, and
            ``alpha``, the level that every image started with.
        left_out (int): Images of the checkpoint that are not in the training set.
    """

    ids: list[str]
    alpha: np.ndarray
    settings: dict[str, Any]
    left_out: int


def training_set(cfg: Config) -> Any:
    """Build the training set of a config.

    Args:
        cfg (Config): A config with ``train_dataloader``.

    Raises:
        ValueError: If it has none.
    """
    if cfg.get('train_dataloader') is None:
        raise ValueError('the config has no train_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return DATASETS.build(cfg.train_dataloader.dataset)


def read_levels(checkpoint: str, dataset: Any) -> Levels:
    """Read the levels of a training set from a checkpoint.

    Args:
        checkpoint (str): A checkpoint of a run with :class:`ASLPHook`.
        dataset (Any): The training set, wrapped or not.

    Raises:
        ValueError: If the checkpoint holds no levels, or no level for an image of the
            set.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    hub = content.get('message_hub') or {}
    state = hub.get('runtime_info', {}).get(ASLPHook.STATE_KEY)
    if state is None:
        raise ValueError(
            f'{checkpoint} holds no levels: take a checkpoint of a run with ASLPHook '
            'in custom_hooks, as training wrote it (published ones often keep the '
            'weights alone)'
        )
    if state.get('profile') is not None:
        raise ValueError(
            f'{checkpoint} has levels by region and none per image: from the border on '
            f'they are {state["profile"].tolist()}'
        )
    # nan marks the images that the checkpoint does not know.
    bank = AlphaBank(image_ids(dataset), float('nan'))
    try:
        found = bank.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f'{checkpoint}: {error}') from error
    ids, alpha = bank.ids, bank.alpha.numpy()
    if found < len(bank):
        first = ids[int(np.isnan(alpha).argmax())]
        raise ValueError(
            f'{checkpoint} knows {found} of the {len(bank)} training images of the '
            f'config, and not {first!r}. Images are told apart by img_path: give the '
            'config of the run and start in the folder where it was trained'
        )
    return Levels(ids, alpha, dict(state['settings']), len(state['alpha']) - found)


def find_manifest(dataset: Any) -> str | None:
    """Find the list of wrong masks of the built-in data.

    Args:
        dataset (Any): The training set, wrapped or not.

    Returns:
        str | None: The file; None for another data set.
    """
    for leaf in leaf_datasets(dataset):
        if isinstance(leaf, SyntheticSODDataset) and leaf.split == 'train':
            return osp.join(leaf.data_root, MANIFEST)
    return None


def wrong_images(
    manifest: str, ids: Sequence[str], complete: bool = True
) -> tuple[np.ndarray, int]:
    """Return which images have a mask that is known to be wrong.

    Args:
        manifest (str): A JSON file with the list ``wrong_masks``, or a text file with
            one name per line. A name is the end of a path, with or without suffix.
        ids (Sequence[str]): N paths of images.
        complete (bool): Whether every name must fit an image. Defaults to True.

    Returns:
        tuple[np.ndarray, int]: ``(N,)`` bool, and how many names fit no image.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not such a list, or a name fits several images, or (with
            ``complete``) no image.
    """
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        rows.setdefault(PurePath(name).stem, []).append(row)
    wrong = np.zeros(len(ids), bool)
    unknown = []
    for name in _manifest_names(manifest):
        wanted = PurePath(name)
        same = rows.get(wanted.name, rows.get(wanted.stem, []))
        fits = [row for row in same if _ends_with(ids[row], wanted)]
        if len(fits) > 1:
            raise ValueError(
                f'{manifest}: {name!r} fits {len(fits)} images, such as '
                f'{ids[fits[0]]!r} and {ids[fits[1]]!r}: write more of its path'
            )
        if not fits:
            unknown.append(name)
        wrong[fits] = True
    if unknown and complete:
        raise ValueError(
            f'{manifest}: {len(unknown)} names are no images of the training set, '
            f'such as {unknown[:3]}, which has images such as {ids[0]!r}'
        )
    return wrong, len(unknown)


def level_summary(levels: Levels, wrong: np.ndarray | None = None) -> dict[str, Any]:
    """Summarise levels, and measure how well low levels find wrong masks.

    Args:
        levels (Levels): Of N images.
        wrong (np.ndarray, optional): ``(N,)`` bool, images whose mask is known to be
            wrong. Defaults to None: not known.

    Returns:
        dict: ``num_images``, ``mean``, ``std``, ``min``, ``max``, ``quantiles``
        ({share: level}), ``settings``; with ``wrong`` also ``wrong_masks``:
        ``num_wrong``, ``mean_wrong``, ``mean_right``, ``auroc`` (1: every wrong mask
        has a lower level than every correct one) and its 95 % interval ``low`` and
        ``high``.
    """
    alpha = levels.alpha
    quantiles = np.quantile(alpha, QUANTILES)
    summary = {
        'num_images': len(alpha),
        'mean': float(alpha.mean()),
        'std': float(alpha.std()),
        'min': float(alpha.min()),
        'max': float(alpha.max()),
        'quantiles': dict(zip(map(str, QUANTILES), quantiles.tolist())),
        'settings': levels.settings,
    }
    if wrong is not None:
        low, high = detection_interval(-alpha, wrong, RESAMPLES)
        summary['wrong_masks'] = {
            'num_wrong': int(wrong.sum()),
            'mean_wrong': _mean(alpha[wrong]),
            'mean_right': _mean(alpha[~wrong]),
            'auroc': detection_auroc(-alpha, wrong),
            'low': low,
            'high': high,
            'resamples': RESAMPLES,
        }
    return summary


def predictions(
    cfg: Config, checkpoint: str, dataset: Any, ids: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Predict some training images with the pipeline of the validation.

    Args:
        cfg (Config): A config with ``model`` and ``val_dataloader`` (or
            ``test_dataloader``), whose pipeline loads the mask after any resizing.
        checkpoint (str): The weights.
        dataset (Any): The training set, wrapped or not.
        ids (Sequence[str]): Paths of images of it.

    Yields:
        dict: For each id, in order: ``name``, ``prob`` (H, W) uint16 in units of
        1 / 65535 and ``label`` (H, W) uint8 of 0, 1 and others for ignored pixels.

    Raises:
        ValueError: If there is no such pipeline, it gives no mask or a mask of another
            size than the prediction, the weights do not fit, or the model has more than
            two classes.
    """
    pipeline = Compose(_test_pipeline(cfg))
    infos = _data_infos(dataset, set(ids))
    model = MODELS.build(cfg.model).to(get_device()).eval()
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    if misfit := compare_weights(model, content):  # which loads them too
        raise misfit.exception()
    reader = ScoreReader()
    for name in track(ids, 'predicting'):
        batch = pseudo_collate([pipeline(dict(infos[name]))])
        with torch.no_grad():
            (sample,) = model.test_step(batch)
        prob, label = reader.read(sample.to_dict())
        if prob.shape != label.shape:
            raise ValueError(
                f'{name}: the prediction has shape {tuple(prob.shape)}, the mask '
                f'{tuple(label.shape)}: the model must have one foreground class, '
                'and the test pipeline must load the mask after Resize'
            )
        yield {
            'name': name,
            'prob': np.rint(prob.double().cpu().numpy() * 65535).astype(np.uint16),
            'label': label.cpu().numpy().astype(np.uint8),
        }


def _manifest_names(path: str) -> list[str]:
    """Names of a JSON or text manifest."""
    if not path.lower().endswith('.json'):
        return read_list(path)
    try:
        content = read_json(path, MAX_MANIFEST)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'no manifest at {osp.abspath(path)}') from error
    except ValueError as error:
        raise ValueError(f'{path}: no JSON file ({error})') from error
    names = content.get('wrong_masks') if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ValueError(
            f'{path}: a manifest is {{"wrong_masks": [names of images]}}, or a text '
            'file with one name a line'
        )
    return names


def _ends_with(path: str, wanted: PurePath) -> bool:
    """Whether ``wanted`` is the end of a path, with or without its suffix."""
    tail = PurePath(path).parts[-len(wanted.parts) :]
    return wanted.parts in (tail, PurePath(*tail).with_suffix('').parts)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float('nan')


def _test_pipeline(cfg: Config) -> list:
    loader = cfg.get('val_dataloader') or cfg.get('test_dataloader')
    if loader is None:
        raise ValueError(
            'the config has neither val_dataloader nor test_dataloader, whose '
            'pipeline the predictions need'
        )
    dataset = loader.dataset
    while 'pipeline' not in dataset and ('datasets' in dataset or 'dataset' in dataset):
        inner = dataset.get('datasets') or [dataset.dataset]
        dataset = inner[0]
    return dataset.get('pipeline', [])


def _data_infos(dataset: Any, wanted: set[str]) -> dict[str, dict]:
    """Annotation of each wanted image."""
    infos = {}
    for leaf in leaf_datasets(dataset):
        for i in range(len(leaf)):
            info = leaf.get_data_info(i)
            if info['img_path'] in wanted:
                infos[info['img_path']] = info
    return infos
