"""Where a test writes: a folder of its own for each way of testing and each set."""

import copy
import os.path as osp
from collections.abc import Mapping

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ...files.outputs import check_folder
from .datasets.listing import data_folders

__all__ = ['check_folders', 'folder_of_set', 'results_folder']


def results_folder(cfg: Config, tta: bool = False) -> str:
    """Name the folder of the results: ``{work_dir}/eval``, or ``eval_tta`` of views."""
    return osp.join(cfg.work_dir, 'eval_tta' if tta else 'eval')


def folder_of_set(base: str | None, name: str, several: bool) -> str | None:
    """Name the folder of one of the test sets."""
    return osp.join(base, name) if base and several else base


def check_folders(
    cfg: Config, datasets: Mapping[str, dict], outputs: Mapping[str, str | None]
) -> None:
    """Refuse to write into a folder of images or masks."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    several = len(datasets) > 1
    for dataset in datasets.values() if any(outputs.values()) else ():
        inputs = data_folders(DATASETS.build(copy.deepcopy(dataset)))
        for option, base in outputs.items():
            for name in datasets:
                check_folder(folder_of_set(base, name, several), inputs, option)
