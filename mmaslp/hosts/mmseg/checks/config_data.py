"""Examining the data that a config names."""

import copy
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ..datasets.examining import ignored_objects, shared_images
from ..datasets.listing import image_ids
from .data import SPLITS, missing_data, same_images
from .findings import Finding

__all__ = ['build_datasets', 'examine_data', 'iters_per_epoch']


def build_datasets(cfg: Config) -> tuple[dict[str, Any], list[Finding]]:
    """Build the datasets of a config whose folders are here.

    Args:
        cfg (Config): A config.

    Returns:
        tuple[dict, list[Finding]]: Dataset by split; and what is wrong with the files
        of the others.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    built, findings = {}, []
    for split in SPLITS:
        key = f'{split}_dataloader'
        dataset = (cfg.get(key) or {}).get('dataset')
        if dataset is None or any(missing_data({key: cfg[key]})):
            continue
        try:
            built[split] = DATASETS.build(copy.deepcopy(dataset))
        except FileNotFoundError as error:
            findings.append(Finding('note', f'{key}.dataset: {error}'))
        except KeyError:  # an unknown type, which check_config says
            continue
        except Exception as error:  # datasets of others raise what they like
            findings.append(Finding('error', f'{key}.dataset: {error}'))
    return built, findings


def examine_data(cfg: Config, datasets: dict[str, Any]) -> list[Finding]:
    """Look at the masks of datasets, and for images in two of them.

    Args:
        cfg (Config): The config.
        datasets (dict): What :func:`build_datasets` returned.

    Returns:
        list[Finding]: Empty if all is well.
    """
    findings = []
    for split, dataset in datasets.items():
        findings += ignored_objects(dataset, f'{split}_dataloader.dataset')
    for split, purpose in (('val', 'validation'), ('test', 'test')):
        both = {'train', split} <= datasets.keys()
        if both and not same_images(cfg, 'train', split):  # which check_data says
            findings += shared_images(datasets['train'], datasets[split], purpose)
    return findings


def iters_per_epoch(cfg: Config, dataset: Any) -> int | None:
    """Iterations in which one process visits every training image once.

    Args:
        cfg (Config): The config.
        dataset (Any): Its training set; None if it is not here.

    Returns:
        int | None: None if it is not known.
    """
    batch_size = (cfg.get('train_dataloader') or {}).get('batch_size')
    try:
        images = set() if dataset is None else {*image_ids(dataset)}
    except ValueError:
        return None
    return -(-len(images) // batch_size) if images and batch_size else None
