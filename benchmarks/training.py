"""Training and testing many methods on many data sets, in several processes."""

import copy
import json
import math
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, find_latest_checkpoint
from mmseg.registry import DATASETS

from mmaslp.apis.temperature import fit_checkpoint
from mmaslp.apis.testing import evaluate, test_sets

ROOT = Path(__file__).resolve().parents[1]
EVALS = ('ece', 'sod', 'iou')
# These images steer ASLP, choose a label smoothing and fit a temperature: no table
# reports them as test.
VALIDATION = 'val'
RESULTS = 'run.json'


@dataclass(frozen=True)
class Setting:
    """What all runs of a table share.

    Attributes:
        base (str): Config of the network, the pipelines and the schedule.
        epochs (int, optional): Length of the training, else that of the config; what
            ends with the training in the schedule is moved along.
        val_interval (int, optional): Epochs between two validations, else that of the
            config.
        train_images (int, optional): Train on the first N images only.
        size (int, optional): Side of the images, else that of the config.
        loader_workers (int): Processes that load images, for each run.
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


@dataclass(frozen=True)
class Job:
    """One training run with its evaluations.

    Attributes:
        setting (Setting): What is the same in all runs.
        data (str): Folder of the data, with train, val and test; '' for the config's.
        ood (tuple[str]): Folders of sets without objects.
        method (str): Name of the method.
        spec (dict): ``loss``, ``hook`` (see methods.py).
        seed (int): Seed of the weights, the order and the draws.
        folder (str): Where everything of the run lies.
        temperature (bool): Whether to test again with a fitted temperature.
    """

    setting: Setting
    data: str
    ood: tuple
    method: str
    spec: dict = field(hash=False)
    seed: int = 0
    folder: str = ''
    temperature: bool = False

    @property
    def results(self):
        """Path: The figures of the run, there when it has ended."""
        return Path(self.folder) / RESULTS

    def describe(self):
        """What tells this run from others, as plain data."""
        setting = dict(asdict(self.setting), base=Path(self.setting.base).name)
        return dict(
            method=self.method,
            data=Path(self.data).name,
            seed=self.seed,
            setting=setting,
            spec=self.spec,
        )

    def check_folder(self):
        """Claim the folder for this run.

        Raises:
            ValueError: If it holds, or was begun for, a run with other settings.
        """
        claim, own = Path(self.folder) / 'job.json', self.describe()
        known = [path for path in (claim, self.results) if path.is_file()]
        for path in known:
            found = json.loads(path.read_text(encoding='utf-8'))
            other = [key for key in own if found.get(key) != own[key]]
            if other:
                raise ValueError(
                    f'{self.folder} is of another run ('
                    + ', '.join(f'{k}: {found.get(k)}, now {own[k]}' for k in other)
                    + '): give another --out, and another --json'
                )
        if known:
            return
        claim.parent.mkdir(parents=True, exist_ok=True)
        claim.write_text(json.dumps(own) + '\n', encoding='utf-8')


def run_folder(out, data, method, seed):
    """Path: Where the run of a method lies below ``out``."""
    place = ''.join(c if c.isalnum() or c == '.' else '_' for c in method)
    return out.resolve() / Path(data).name / place / f'seed{seed}'


def make_config(job):
    """Config of a run: the base with the method, the data and the seed put in."""
    setting = job.setting
    # The host formats each dump of a config, which takes seconds, unless told not to.
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
    test, val = cfg.test_dataloader.dataset, cfg.val_dataloader.dataset
    judged = val
    if setting.study:
        number = len(DATASETS.build(copy.deepcopy(val)))
        judged = dict(copy.deepcopy(val), indices=list(range(1, number, 2)))
        val['indices'] = list(range(0, number, 2))
    cfg.test_sets = {VALIDATION: judged, **cfg.get('test_sets', {})}
    for folder in job.ood:
        found = dict(test, data_root=folder, split='test')
        cfg.setdefault('ood_sets', {})[Path(folder).name] = found

    if setting.epochs:
        for scheduler in cfg.param_scheduler:
            if scheduler.get('end') == cfg.train_cfg.max_epochs:
                scheduler['end'] = setting.epochs
        cfg.train_cfg.max_epochs = setting.epochs
    if setting.val_interval:
        cfg.train_cfg.val_interval = setting.val_interval
    cfg.default_hooks.checkpoint.update(
        interval=-(-cfg.train_cfg.max_epochs // 4), max_keep_ckpts=1, save_last=True
    )
    cfg.default_hooks.pop('visualization', None)
    cfg.visualizer.vis_backends = []
    # Figures only: the intervals of the table are over seeds.
    cfg.test_evaluator = [
        dict(type='CalibrationMetric', draw=False),
        dict(type='SODMetric'),
        dict(type='IoUMetric', iou_metrics=['mIoU']),
    ]
    cfg.randomness = dict(seed=job.seed)
    cfg.log_level = 'WARNING'
    cfg.work_dir = job.folder
    cfg.experiment_name = '_'.join(Path(job.folder).parts[-4:])
    return cfg


def put_method(cfg, spec):
    """Set the loss of every head and the hook, as a user's config would."""
    for name in ('decode_head', 'auxiliary_head'):
        heads = cfg.model.get(name) or []
        for head in heads if isinstance(heads, list) else [heads]:
            weight = head.loss_decode.get('loss_weight', 1.0)
            head.loss_decode = dict(spec['loss'], loss_weight=weight)
    others = [h for h in cfg.get('custom_hooks', []) if h['type'] != 'ASLPHook']
    cfg.custom_hooks = others + ([dict(spec['hook'])] if spec['hook'] else [])


def run(job):
    """Train and test once; what an interrupted run has saved is used.

    Args:
        job (Job): The run. Its results are written to ``job.results``.
    """
    start = time.monotonic()
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    cfg = make_config(job)
    cfg.dump(folder / 'config.py')
    cfg.resume = find_latest_checkpoint(job.folder) is not None
    runner = Runner.from_cfg(cfg)
    runner.train()
    trained = time.monotonic() - start
    levels = runner.message_hub.get_info('aslp') if job.spec['hook'] else None
    checkpoint = find_latest_checkpoint(job.folder)
    cfg.update(load_from=checkpoint, resume=False)
    sets = test_sets(cfg, [VALIDATION] if job.setting.study else None)
    evaluations = {'': evaluate(cfg, sets, evals=EVALS)}
    record = {}
    if job.temperature:
        temperature = fit_checkpoint(cfg)['temperature']
        hook = dict(type='TemperatureHook', temperature=temperature)
        cfg.custom_hooks = [*cfg.custom_hooks, hook]
        evaluations['+ts'] = evaluate(cfg, sets, evals=EVALS)
        record['temperature'] = temperature
    record.update(
        job.describe(),
        evaluations={k: summarise(v) for k, v in evaluations.items()},
        alpha=None
        if levels is None
        else [round(a, 5) for a in levels['alpha'].tolist()],
        seconds=dict(train=trained, test=time.monotonic() - start - trained),
        date=time.strftime('%Y-%m-%d'),
    )
    part = job.results.with_suffix('.part')
    part.write_text(json.dumps(record) + '\n')
    part.replace(job.results)


def summarise(results):
    """Keep of an evaluation the figures and the bins of each set."""
    kept = {}
    for name, entry in results.items():
        figures = {k: None if math.isnan(v) else v for k, v in entry['figures'].items()}
        bins = {k: entry['result']['bins'][k] for k in ('count', 'right', 'conf')}
        images = entry['result']['num_images']
        ood = entry['ood']
        kept[name] = dict(ood=ood, figures=figures, bins=bins, num_images=images)
    return kept


def run_all(jobs, workers):
    """Run what has no results yet, ``workers`` at a time.

    Args:
        jobs (Sequence[Job]): In the order to start them.
        workers (int): Number of processes, each with one thread.

    Raises:
        ValueError: If a folder holds a run with other settings; nothing has run then.
        SystemExit: If runs failed; the others have ended then, and the message says
            where to look.
    """
    for job in jobs:
        job.check_folder()
    left = [job for job in jobs if not job.results.is_file()]
    print(f'{len(jobs) - len(left)} of {len(jobs)} runs are there', flush=True)
    os.environ['OMP_NUM_THREADS'] = '1'
    start, failed = time.monotonic(), []
    with ProcessPoolExecutor(workers, get_context('spawn')) as pool:
        running = {pool.submit(_quietly, job): job for job in left}
        for done, future in enumerate(as_completed(running), 1):
            job, error = running[future], future.exception()
            if error is not None:
                failed.append(f'{job.folder}: {error!r}')
            rate = (time.monotonic() - start) / done
            state = 'FAILED' if error is not None else 'done'
            print(
                f'{done}/{len(left)} {state} {job.folder}, '
                f'{rate * (len(left) - done) / 60:.0f} min left',
                flush=True,
            )
    if failed:
        sys.exit('\n'.join(['failed (see run.log in the folder):', *failed]))


def _quietly(job):
    """Run with all output in a file of the run."""
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    with open(Path(job.folder) / 'run.log', 'a', encoding='utf-8') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            run(job)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def restore_records(path, out):
    """Put the runs of a results file where they would lie, so that none is repeated.

    Args:
        path (Path, optional): What :func:`save_records` wrote, if it is there.
        out (Path): Folder of all runs.
    """
    if path is None or not path.is_file():
        return
    for record in json.loads(path.read_text(encoding='utf-8')):
        folder = run_folder(out, record['data'], record['method'], record['seed'])
        if not (folder / RESULTS).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RESULTS).write_text(json.dumps(record) + '\n', encoding='utf-8')


def load_records(out, methods):
    """All results below a folder, by data, method (in this order) and seed."""
    records = [json.loads(f.read_text()) for f in sorted(out.glob(f'**/{RESULTS}'))]
    order = list(methods)
    return sorted(
        records, key=lambda r: (r['data'], order.index(r['method']), r['seed'])
    )


def save_records(path, records):
    """Write the raw results of many runs, one line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ',\n'.join(json.dumps(record) for record in records)
    path.write_text(f'[\n{lines}\n]\n', encoding='utf-8')
