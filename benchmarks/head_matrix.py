#!/usr/bin/env python
"""Try the plugin with every base model of the installed MMSegmentation.

Each model is made binary in both forms (one channel; two channels), gets ``SCBCELoss``
and ``ASLPHook`` by config alone, trains two iterations and is evaluated on tiny data::

    OMP_NUM_THREADS=1 python benchmarks/head_matrix.py run onedl.json
    python benchmarks/head_matrix.py table onedl.json openmmlab.json > head_matrix.md

Models are made to fit 128 x 128 images, start from random weights and use BN instead of
SyncBN. Nothing else is changed. If a model fails, it runs again with the cross entropy
of MMSegmentation, so the table shows which side fails.
"""

import argparse
import copy
import fnmatch
import importlib.metadata
import json
import logging
import multiprocessing
import os.path as osp
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from mmaslp.common.outputs import write_output
from mmaslp.integrations.mmseg.checks.settings import REFUSED

SIZE = 128
# If a head pools over a fixed window, images are padded to more.
PADDED = {'LRASPPHead': 512}
FORMS = ('one channel', 'two channels')
# Architectures without a file in configs/_base_/models.
MORE = (
    'ddrnet/ddrnet_23-slim_*',
    'pidnet/pidnet-s_*',
    'knet/knet-s3_r50-d8_fcn_*',
    'convnext/convnext-tiny_upernet_*',
    'mae/mae-base_upernet_*amp-160k*',
    'segnext/segnext_mscan-t_*',
    'poolformer/fpn_poolformer_s12_*',
    'mask2former/mask2former_r50_*ade20k*',
    'maskformer/maskformer_r50*',
)
HOST_LOSSES = ('CrossEntropyLoss', 'OhemCrossEntropy', 'FocalLoss', 'DiceLoss')
# Losses whose labels are not the mask.
OTHER_TASKS = ('STDCHead',)


def write_data(root):
    """Write four images of a bright square each, and their masks."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind in ('images', 'masks'):
        (root / kind).mkdir(parents=True)
    for i in range(4):
        mask = np.zeros((SIZE, SIZE), np.uint8)
        top, left = rng.integers(8, SIZE // 2, 2)
        mask[top : top + SIZE // 3, left : left + SIZE // 3] = 255
        image = rng.integers(0, 120, (SIZE, SIZE, 3)) + mask[..., None] // 3
        Image.fromarray(image.astype(np.uint8)).save(root / 'images' / f'{i}.png')
        Image.fromarray(mask).save(root / 'masks' / f'{i}.png')


def host_configs():
    """Find the configs of the installed host: name -> path."""
    import mmseg

    root = Path(mmseg.__file__).parent / '.mim' / 'configs'
    found = {p.stem: p for p in sorted((root / '_base_' / 'models').glob('*.py'))}
    for pattern in MORE:
        path = sorted(root.glob(pattern + '.py'))[0]
        found[path.stem] = path
    return found


def simplify(node):
    """Random weights, BN for SyncBN, small images; in place."""
    if isinstance(node, list):
        for item in node:
            simplify(item)
    if not isinstance(node, dict):
        return
    if node.get('type') in ('SyncBN', 'MMSyncBN'):
        node['type'] = 'BN'
    if 'pretrained' in node:
        node['pretrained'] = None
    if dict(node.get('init_cfg') or {}).get('type') == 'Pretrained':
        node['init_cfg'] = None
    if 'img_size' in node:
        node['img_size'] = (SIZE, SIZE)
    for value in node.values():
        simplify(value)


def binary_loss(loss, form, ours):
    """Replace a saliency loss; other losses (boundaries) stay."""
    if loss['type'] not in HOST_LOSSES:
        return loss, False
    kept = {k: loss[k] for k in ('loss_weight', 'loss_name') if k in loss}
    if ours:
        return dict(type='SCBCELoss', **kept), True
    sigmoid = form == FORMS[0]
    return dict(type='CrossEntropyLoss', use_sigmoid=sigmoid, **kept), True


def binary_head(head, form, ours):
    """Make one head binary; returns the losses that stay MMSegmentation's."""
    if head.get('type') in OTHER_TASKS:
        return [f'{head["type"]}: all its losses']
    stay = []
    for key in ('kernel_generate_head',):
        if key in head:
            stay += binary_head(head[key], form, ours)
    for stage in head.get('kernel_update_head', []):
        stage['num_classes'] = 2
    if 'loss_se_decode' in head:
        stay.append('loss_se_decode')
    if 'num_classes' in head:
        head['num_classes'] = 2
        if form == FORMS[0]:
            head.update(out_channels=1, threshold=0.5)
    losses = head.get('loss_decode')
    if losses is None:
        return stay
    many = isinstance(losses, (list, tuple))
    changed = []
    for loss in losses if many else [losses]:
        new, replaced = binary_loss(loss, form, ours)
        changed.append(new)
        if not replaced:
            stay.append(loss['type'])
    head['loss_decode'] = changed if many else changed[0]
    return stay


def binary_model(model, form, ours=True):
    """Return a binary model config, and the losses that stay MMSegmentation's."""
    model = copy.deepcopy(model)
    simplify(model)
    stay = []
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key) or []
        for head in heads if isinstance(heads, (list, tuple)) else [heads]:
            stay += binary_head(head, form, ours)
    if isinstance(model.get('test_cfg'), dict):
        model['test_cfg']['mode'] = 'whole'
    first = model['decode_head']
    first = first[0] if isinstance(first, (list, tuple)) else first
    size = PADDED.get(first.get('type'), SIZE)
    preprocessor = dict(
        type='SegDataPreProcessor',
        mean=[100.0] * 3,
        std=[50.0] * 3,
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(size, size),
        test_cfg=dict(size=(size, size)),
    )
    model['data_preprocessor'] = preprocessor
    return model, sorted(set(stay))


def run_config(model, data, work_dir, ours, evaluate):
    """Make the config of a run of two iterations."""
    # PIDNet's boundary loss takes its labels from the pipeline.
    edges = [dict(type='GenerateEdge', edge_width=4)]
    needs_edges = 'PIDHead' in str(model['decode_head'])
    loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='SODDataset',
            data_root=str(data),
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadBinaryAnnotations'),
                *(edges if needs_edges else []),
                dict(type='PackSegInputs'),
            ],
        ),
    )
    cfg = dict(
        default_scope='mmseg',
        custom_imports=dict(imports=['mmaslp']),
        work_dir=str(work_dir),
        experiment_name='head_matrix',
        model=model,
        train_dataloader=loader,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=1),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=100)),
        randomness=dict(seed=0),
        log_level='ERROR',
    )
    if evaluate:
        cfg.update(
            val_dataloader=copy.deepcopy(loader),
            val_cfg=dict(type='ValLoop'),
            val_evaluator=dict(type='CalibrationMetric' if ours else 'IoUMetric'),
        )
    if ours:
        hook = dict(
            type='ASLPHook',
            levels='image',
            rule='MC',
            warmup_iters=0,
            alpha=0.2,
        )
        cfg['custom_hooks'] = [hook if evaluate else dict(hook, rule='fixed')]
    return cfg


def try_model(model, data, ours, evaluate):
    """Train and evaluate; raises what the run raises."""
    from mmengine.config import Config
    from mmengine.runner import Runner

    from mmaslp import ASLPHook

    with tempfile.TemporaryDirectory() as work_dir:
        cfg = Config(run_config(model, data, work_dir, ours, evaluate))
        runner = Runner.from_cfg(cfg)
        runner.train()
    if not (ours and evaluate):
        return
    hook = next(h for h in runner.hooks if isinstance(h, ASLPHook))
    if not bool((hook.levels.alpha != 0.2).any()):
        raise AssertionError('no level has moved')
    ece = runner.message_hub.get_scalar('val/calib/ece').current()
    if not 0 <= ece <= 1:
        raise AssertionError(f'ece is {ece}')


def attempt(model, data, ours, evaluate, queue):
    """Run in a child process and report through the queue."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    start = time.time()
    try:
        try_model(model, data, ours, evaluate)
        queue.put(dict(ok=True, seconds=round(time.time() - start, 1)))
    except BaseException as error:  # the child only reports
        in_validation = 'val_loop.run' in traceback.format_exc()
        text = ' '.join(f'{type(error).__name__}: {error}'.split())
        queue.put(dict(ok=False, in_validation=in_validation, error=text[:400]))


def in_child(limit, *args):
    """Run ``attempt`` in a child process with a time limit."""
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    child = context.Process(target=attempt, args=(*args, queue))
    child.start()
    child.join(limit)
    if child.is_alive():
        child.kill()
        child.join()
        return dict(ok=False, error=f'no end within {limit} s')
    if queue.empty():
        return dict(ok=False, error=f'ended with exit code {child.exitcode}')
    return queue.get()


def refused(model):
    """Return the row of a model that the plugin refuses, or None."""
    for part in (model, model.get('decode_head') or {}):
        name = part.get('type')
        if name in REFUSED:
            error = f'{name} {REFUSED[name]}'
            return dict(stay=[], status='refused', error=error)
    return None


def judge(model, form, data, limit):
    """Return the row of one model in one form."""
    ours, stay = binary_model(model, form)
    row = dict(stay=stay)
    result = in_child(limit, ours, data, True, True)
    if result['ok']:
        return dict(row, status='works', seconds=result['seconds'])
    row['error'] = result['error']
    theirs, _ = binary_model(model, form, ours=False)
    host = in_child(limit, theirs, data, False, True)
    if host['ok']:
        return dict(row, status='FAILS with SCBCELoss only')
    row['host_error'] = host['error']
    in_validation = result.get('in_validation') and host.get('in_validation')
    if in_validation and in_child(limit, ours, data, True, False)['ok']:
        return dict(row, status='trains; MMSegmentation cannot evaluate it')
    return dict(row, status='MMSegmentation fails')


def host_versions():
    """Name and version of the installed host."""
    for name in ('onedl-mmsegmentation', 'mmsegmentation'):
        try:
            return f'{name} {importlib.metadata.version(name)}'
        except importlib.metadata.PackageNotFoundError:
            continue
    raise SystemExit('no host is installed: pip install "mmaslp[onedl]"')


def try_config(path, data, limit):
    """Return the rows of one config, by form."""
    from mmengine.config import Config
    from mmengine.utils import import_modules_from_strings

    try:
        cfg = Config.fromfile(path, import_custom_modules=False)
        row = refused(cfg.model)
        if row is not None:
            return dict.fromkeys(FORMS, row)
        if 'custom_imports' in cfg:
            import_modules_from_strings(**cfg.custom_imports)
    except Exception as error:
        row = dict(status='MMSegmentation fails', host_error=str(error), stay=[])
        return dict.fromkeys(FORMS, row)
    model = cfg.model.to_dict()
    return {form: judge(model, form, data, limit) for form in FORMS}


def run(args):
    """Try all models and write the JSON file after each."""
    import mmseg.models  # noqa: F401  once, for all children
    import torch

    import mmaslp  # noqa: F401

    torch.set_num_threads(1)
    out = Path(args.out)
    rows = json.loads(out.read_text())['rows'] if args.update else {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / 'data'
        write_data(data)
        for name, path in host_configs().items():
            if not any(fnmatch.fnmatch(name, p) for p in args.models):
                continue
            rows[name] = try_config(path, data, args.limit)
            print(name, [rows[name][f]['status'] for f in FORMS], flush=True)
            record = dict(host=host_versions(), torch=torch.__version__, rows=rows)
            write_output(out, json.dumps(record, indent=1) + '\n', overwrite=True)


def cell(row, notes):
    """Text of one cell; errors become numbered notes."""
    if row is None:
        return '-'
    if row['status'] == 'works':
        return 'works'
    message = row.get('host_error') or row.get('error')
    if 'FAILS' in row['status']:
        message = row['error']
    if message not in notes:
        notes.append(message)
    return f'{row["status"]} [{notes.index(message) + 1}]'


def table(args):
    """Print the page of docs from the JSON files of the hosts."""
    hosts = [json.loads(Path(p).read_text()) for p in args.files]
    notes = []
    titles = [f'{h["host"]}, {f}' for f in FORMS for h in hosts]
    lines = [
        '| model | ' + ' | '.join(titles) + " | losses that stay MMSegmentation's |",
        '|---' * (len(titles) + 2) + '|',
    ]
    for name in dict.fromkeys(n for h in hosts for n in h['rows']):
        rows = [h['rows'].get(name, {}).get(f) for f in FORMS for h in hosts]
        stay = sorted({s for row in rows if row for s in row['stay']})
        cells = [cell(row, notes) for row in rows]
        lines.append(f'| {name} | ' + ' | '.join(cells) + f' | {", ".join(stay)} |')
    head = osp.join(osp.dirname(__file__), 'head_matrix.md')
    print(Path(head).read_text() if osp.isfile(head) else '# Head matrix\n')
    print('\n'.join(lines), '\n')
    for number, note in enumerate(notes, 1):
        print(f'{number}. `{note}`')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser('run', help='try all models of this host')
    command.add_argument('out', help='JSON file to write')
    command.add_argument('--models', nargs='+', default=['*'], help='name patterns')
    command.add_argument('--limit', type=int, default=240, help='seconds per run')
    command.add_argument('--update', action='store_true', help='keep other rows')
    command.set_defaults(run=run)
    command = commands.add_parser('table', help='print the page of docs')
    command.add_argument('files', nargs='+')
    command.set_defaults(run=table)
    args = parser.parse_args()
    args.run(args)


if __name__ == '__main__':
    main()
