"""The runs of a table: their settings, and the config of each."""

import argparse
import copy
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmaslp.files.layouts import find_folders
from mmaslp.hosts.mmseg.testing import test_sets

ROOT = Path(__file__).resolve().parents[1]
# These images steer ASLP, choose a label smoothing and fit a temperature. No table
# reports them as test images.
VALIDATION = 'val'


@dataclass(frozen=True)
class Setting:
    """The settings that all runs of a table share.

    Attributes:
        base (str): Config of the network, the pipelines and the schedule.
        epochs (int, optional): Length of the training, else that of the config. The end
            of the schedule moves with it.
        val_interval (int, optional): Epochs between two validations, else that of the
            config. A method may have its own.
        train_images (int, optional): Train on the first N images only.
        size (int, optional): Side of the images in pixels, else that of the config.
        loader_workers (int): Processes that load images, for each run.
        resamples (int): Bootstrap resamples of the images of a set, for intervals; 0
            for none.
        study (bool): Whether to compare choices of the method. The even images of the
            validation set steer the levels then, the odd ones are reported, and the
            test sets are not looked at.
    """

    base: str
    epochs: int | None = None
    val_interval: int | None = None
    train_images: int | None = None
    size: int | None = None
    loader_workers: int = 0
    study: bool = False
    resamples: int = 0

    def describe(self) -> dict[str, Any]:
        """The setting as plain data, with the name of the config."""
        plain = dict(asdict(self), base=Path(self.base).name)
        if not self.resamples:  # records without intervals do not know of any
            del plain['resamples']
        return plain


@dataclass(frozen=True)
class Job:
    """One training run with its evaluations.

    Attributes:
        setting (Setting): The settings of all runs.
        data (str): Folder of the data, with train, val and test; '' for that of the
            config.
        ood (tuple[str, ...]): Folders of sets without objects.
        method (str): Name of the method.
        spec (dict): ``loss``, ``hook`` and perhaps ``val_interval`` (see methods.py).
        seed (int): Seed of the weights, the order and the draws.
        out (Path): Folder of all runs.
        post_hoc (tuple[str, ...]): What is fitted to the trained network and tested
            again with (see post_hoc.py).
        swap (bool): Whether to exchange validation and test images.
    """

    setting: Setting
    data: str
    ood: tuple[str, ...]
    method: str
    spec: dict[str, Any] = field(hash=False)
    seed: int
    out: Path
    post_hoc: tuple[str, ...] = ()
    swap: bool = False

    @property
    def name(self) -> str:
        """Name of the data; the other direction has one of its own."""
        name = Path(self.data).name if self.data else Path(self.setting.base).stem
        return f'{name}_swapped' if self.swap else name

    @cached_property
    def digest(self) -> str:
        """First digits of a SHA-256 over everything that defines the run.

        It covers the setting with the content of the config, the method, and the names
        and sizes of all data files.
        """
        content = dict(
            self.describe(),
            config=merged_config(self.setting.base),
            files=[file_sizes(folder) for folder in (self.data, *self.ood)],
            temperature='ts' in self.post_hoc,
        )
        others = [name for name in self.post_hoc if name != 'ts']
        if others:
            content['post_hoc'] = others
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Folder of all files of the run; no other run has the same."""
        method = ''.join(c if c.isalnum() or c == '.' else '_' for c in self.method)
        return self.out / self.name / method / f'seed{self.seed}_{self.digest}'

    @property
    def results(self) -> Path:
        """The file with the results of the run; it exists when the run has ended."""
        return self.folder / 'run.json'

    def describe(self) -> dict[str, Any]:
        """The description of the run in its record, as plain data."""
        return dict(
            method=self.method,
            data=self.name,
            seed=self.seed,
            setting=self.setting.describe(),
            spec=self.spec,
        )

    def check_unchanged(self) -> None:
        """Make sure that config and data still match the name of the folder.

        Raises:
            ValueError: If they do not.
        """
        merged_config.cache_clear()
        file_sizes.cache_clear()
        if replace(self).digest != self.digest:
            raise ValueError(
                f'{self.setting.base} or the data of {self.name} changed since this '
                'table was begun: start it again'
            )


@lru_cache
def merged_config(path: str) -> dict[str, Any]:
    """A config with its bases merged; cached, because all runs of a table share it."""
    return Config.fromfile(path).to_dict()


@lru_cache
def file_sizes(folder: str) -> list[str] | None:
    """Name and size in bytes of each file below a folder, sorted.

    Returns:
        list[str] | None: None if the folder does not exist. Hidden files do not count.
    """
    if not folder or not Path(folder).is_dir():
        return None
    files = {
        path.relative_to(folder): path.stat().st_size
        for path in Path(folder).rglob('*')
        if path.is_file()
    }
    return sorted(
        f'{name.as_posix()} {size}'
        for name, size in files.items()
        if not any(part.startswith('.') for part in name.parts)
    )


def positive(text: str) -> int:
    """Type of an argument: an integer above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, not {number}')
    return number


def check_jobs(jobs: Sequence[Job], left: Sequence[Job]) -> None:
    """Look for errors before the first run begins.

    Args:
        jobs (Sequence[Job]): All runs.
        left (Sequence[Job]): The runs that are still missing.

    Raises:
        ValueError: If two sets have the same name, the data of a missing run cannot be
            read, or there are too few training images.
    """
    sets = {(job.name, job.data) for job in jobs}
    sets |= {(Path(folder).name, folder) for job in jobs for folder in job.ood}
    names = Counter(name for name, _ in sets)
    twice = sorted(name for name, number in names.items() if number > 1)
    if twice:
        raise ValueError(
            f'{len(twice)} name(s) of more than one folder ({", ".join(twice)}): '
            'results go by the last part of --data and --ood, rename one'
        )
    for job in {job.data: job for job in left}.values():
        try:
            _check_data(job)
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f'{job.name}: {error}') from error


def _check_data(job: Job) -> None:
    cfg = make_config(job)
    train = len(DATASETS.build(copy.deepcopy(cfg.train_dataloader.dataset)))
    wanted = job.setting.train_images
    if wanted and train < wanted:
        raise ValueError(f'{train} training images, {wanted} were asked for')
    DATASETS.build(copy.deepcopy(cfg.val_dataloader.dataset))
    test_sets(cfg, [VALIDATION] if job.setting.study else None)


def make_config(job: Job) -> Config:
    """Config of a run: the base plus the method, the data and the seed."""
    setting = job.setting
    # By default the host formats each dump of a config, which takes seconds.
    cfg = Config(Config.fromfile(setting.base).to_dict(), format_python_code=False)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    put_method(cfg, job.spec)
    loaders = [cfg[f'{name}_dataloader'] for name in ('train', 'val', 'test')]
    for loader in loaders:
        number = setting.loader_workers
        loader.update(num_workers=number, persistent_workers=number > 0)
        if job.data:
            loader.dataset.data_root = job.data
        for transform in loader.dataset.pipeline:
            if setting.size and transform['type'] == 'Resize':
                transform['scale'] = (setting.size, setting.size)
    if setting.size and cfg.model.data_preprocessor.get('size'):
        cfg.model.data_preprocessor.size = (setting.size, setting.size)
    if setting.train_images:
        cfg.train_dataloader.dataset.indices = setting.train_images
    for folder in job.ood:
        found = dict(
            copy.deepcopy(cfg.test_dataloader.dataset), data_root=folder, split='test'
        )
        cfg.setdefault('ood_sets', {})[Path(folder).name] = found
    if job.swap:
        swap_sets(cfg)
    val = cfg.val_dataloader.dataset
    judged = val
    if setting.study:
        number = len(DATASETS.build(copy.deepcopy(val)))
        judged = dict(copy.deepcopy(val), indices=list(range(1, number, 2)))
        val['indices'] = list(range(0, number, 2))
    cfg.test_sets = {VALIDATION: judged, **cfg.get('test_sets', {})}
    if setting.epochs:
        for scheduler in cfg.param_scheduler:
            if scheduler.get('end') == cfg.train_cfg.max_epochs:
                scheduler['end'] = setting.epochs
        cfg.train_cfg.max_epochs = setting.epochs
    interval = job.spec.get('val_interval', setting.val_interval)
    if interval:
        cfg.train_cfg.val_interval = interval
    cfg.default_hooks.checkpoint.update(
        interval=-(-cfg.train_cfg.max_epochs // 4), max_keep_ckpts=2, save_last=True
    )
    cfg.default_hooks.pop('visualization', None)
    cfg.visualizer.vis_backends = []
    cfg.test_evaluator = [
        dict(
            type='CalibrationMetric',
            draw=setting.resamples > 0,
            resamples=setting.resamples,
        ),
        dict(type='SODMetric'),
        dict(type='IoUMetric', iou_metrics=['mIoU']),
    ]
    cfg.randomness = dict(seed=job.seed)
    cfg.log_level = 'WARNING'
    cfg.work_dir = str(job.folder)
    cfg.experiment_name = '_'.join(job.folder.parts[-4:])
    return cfg


def swap_sets(cfg: Config) -> None:
    """Let the images of validation be those of the test, and the other way round.

    Raises:
        ValueError: If a set is not named by its ``split``.
    """
    val, test = cfg.val_dataloader.dataset, cfg.test_dataloader.dataset
    if not (val.get('split') and test.get('split')):
        raise ValueError(
            '--swap needs a split in the datasets of val_dataloader and '
            'test_dataloader, as SODDataset has one'
        )
    cfg.val_dataloader.dataset = test
    # By its split the set would be called 'val', as the one that was validated on.
    image, mask = find_folders(
        val.get('data_root', ''), val.get('layout', 'folder'), val.split
    )
    test = {key: val[key] for key in val if key not in ('split', 'layout')}
    test.update(data_root='', data_prefix=dict(img_path=image, seg_map_path=mask))
    cfg.test_dataloader.dataset = test


def put_method(cfg: Config, spec: dict[str, Any]) -> None:
    """Set the loss of every head and the hook, as a user's config would."""
    for name in ('decode_head', 'auxiliary_head'):
        heads = cfg.model.get(name) or []
        for head in heads if isinstance(heads, list) else [heads]:
            weight = head.loss_decode.get('loss_weight', 1.0)
            head.loss_decode = dict(spec['loss'], loss_weight=weight)
    others = [h for h in cfg.get('custom_hooks', []) if h['type'] != 'ASLPHook']
    cfg.custom_hooks = others + ([dict(spec['hook'])] if spec['hook'] else [])
