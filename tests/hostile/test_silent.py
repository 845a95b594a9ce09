"""What used to change a figure or a training without a word, and has to be refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler

import mmaslp
from mmaslp import (
    BandLevels,
    BandTable,
    CalibrationHistogram,
    Calibrator,
    ImageLevels,
    SelfCalibratingBCE,
    fit_calibrator,
)
from mmaslp.calibration import CalibrationTables, dice_optimal_mask
from mmaslp.commands import main
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.files.calibrated_maps import apply_calibrator
from mmaslp.files.map_pairs import MapFiles
from mmaslp.files.prob_maps import MapReader, write_prob_map
from mmaslp.files.review import review_image, review_maps
from mmaslp.functional import calibration_error
from mmaslp.integrations.mmseg.testing import evaluate, sets_of_test
from mmaslp.integrations.mmseg.training import prepare_training
from mmaslp.integrations.nnunet.loss import SelfCalibratingLoss, Targets
from mmaslp.levels.rules import make_rule
from mmaslp.losses.perturbations import max_alpha
from mmaslp.metrics.objects import MaskTable
from mmaslp.training.sessions import CalibratorSession, LevelsSession
from tests.map_folders import write_set

CALIBRATOR = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])
OF_IMAGES = replace(CALIBRATOR, record={'axes': 2})

# One mistake in a component of a config each, in its first argument; the others go
# through the same checks, which tests/test_common/test_arguments.py has.
REFUSED = [
    ('SCBCELoss', dict(loss_weight='1')),
    ('CalibrationMetric', dict(bins=10**9)),
    ('ProbMapHook', dict(bits='16', out_dir='x')),
    ('LoadBinaryAnnotations', dict(graded='False')),
    ('RandomCenterCrop', dict(border=2.5)),
    ('SODDataset', dict(split=3, lazy_init=True)),
]


@pytest.mark.parametrize(('name', 'options'), REFUSED)
def test_arguments(name, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        getattr(mmaslp, name)(**options)


# --- weights and data of a run ------------------------------------------------------


@pytest.fixture
def checkpoint(toy, tmp_path):
    """A checkpoint of the toy, as a training writes it."""
    from mmengine.runner import Runner

    runner = Runner.from_cfg(toy.config(tmp_path / 'made', custom_hooks=[]))
    runner.save_checkpoint(str(tmp_path), 'x.pth', save_optimizer=False)
    return str(tmp_path / 'x.pth')


def log_of(folder):
    return next(folder.rglob('*.log')).read_text()


def test_a_test_of_other_weights_is_refused(toy, checkpoint, tmp_path):
    cfg = toy.config(
        tmp_path / 'run', channels=2, custom_hooks=[], load_from=checkpoint
    )
    with pytest.raises(ValueError, match=r'\.pth does not fit.*conv_seg\.weight'):
        evaluate(cfg, sets_of_test(cfg))


def own_loader(cfg, split):
    """Let the loader of MMSegmentation read the masks."""
    cfg[f'{split}_dataloader'].dataset.pipeline[1] = dict(type='LoadAnnotations')
    return cfg


@pytest.mark.parametrize('split', ['train', 'val'])
def test_masks_whose_objects_are_ignored_in_a_training(split, toy, tmp_path):
    cfg = own_loader(toy.config(tmp_path / 'run', custom_hooks=[]), split)
    with pytest.raises(
        ValueError, match=f'{split}_dataloader.dataset: LoadAnnotations'
    ):
        prepare_training(cfg).train()


def test_masks_whose_objects_are_ignored_in_a_test(toy, checkpoint, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=checkpoint)
    own_loader(cfg, 'test')
    with pytest.raises(ValueError, match='all objects are left out'):
        evaluate(cfg, sets_of_test(cfg))
    from mmengine.runner import Runner  # as the test.py of MMSegmentation

    with pytest.raises(ValueError, match='no pixel of the masks is foreground'):
        Runner.from_cfg(cfg).test()


def test_a_set_without_foreground_is_said(toy, checkpoint, tmp_path):
    for path in (tmp_path / 'toy' / 'val' / 'masks').glob('*.png'):
        Image.new('L', (16, 16)).save(path)
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=checkpoint)
    evaluate(cfg, sets_of_test(cfg))
    assert 'no mask has a pixel of foreground' in log_of(tmp_path / 'run')


def test_labels_that_look_like_a_mask_of_0_and_255():
    prob, label = torch.full((1, 8, 8), 0.1), torch.zeros(1, 8, 8)
    label[:, 4:] = 255
    for counter in (CalibrationHistogram(), BandTable()):
        with pytest.warns(UserWarning, match='divide a mask of 0 and 255 by 255'):
            counter.update(prob, label)


@pytest.mark.parametrize(
    'line, said',
    [
        ('train_dataloader = dict(batch_size=99, drop_last=True)', 'gives no batch'),
        ("load_from = 'nope.pth'", 'load_from: '),
        ("optim_wrapper = dict(optimizer=dict(type='Adamm'))", 'optim_wrapper: '),
        ("param_scheduler = [dict(type='PolyLRR')]", 'param_scheduler: '),
        (
            "train_dataloader = dict(dataset=dict(pipeline=[dict(type='"
            "LoadImageFromFile'), dict(type='PackSegInputs')]))",
            'no step of its pipeline loads masks',
        ),
        (
            'model = dict(decode_head=dict(loss_decode=dict(_delete_=True, '
            "type='SCBCELoss', alpha=0.1)))\n"
            "custom_hooks = [dict(type='ASLPHook', warmup_epochs=1)]",
            'has an alpha or eps of its own',
        ),
        (
            "model = dict(decode_head=dict(loss_decode=[dict(type='SCBCELoss'), "
            "dict(type='SCBCELoss', beta='M', loss_name='loss_m')]))\n"
            "custom_hooks = [dict(type='ASLPHook', warmup_epochs=1)]",
            "some SCBCELoss have beta='M', and others have none",
        ),
    ],
)
def test_the_doctor_finds(tmp_path, capsys, monkeypatch, line, said):
    monkeypatch.chdir(tmp_path)
    base = "_base_ = ['mmaslp::demo/bce.py']\n"
    (tmp_path / 'c.py').write_text(f'{base}{line}\n')
    assert main(['doctor', 'c.py']) == 1
    assert said in capsys.readouterr().out


def test_labels_of_minus_1_in_eight_bits_are_not_ignored():
    prob = torch.rand(2, 8, 8)
    label = torch.where(prob > 0.5, 1, -1).to(torch.int8)
    for count in (
        lambda: CalibrationHistogram().update(prob, label),
        lambda: CalibrationHistogram().update(prob, label.numpy()),
        lambda: BandTable().update(prob, label),
        lambda: SelfCalibratingBCE()(prob, label),
    ):
        with pytest.raises(ValueError, match='-1'):
            count()
    counter = CalibrationHistogram()
    counter.update(prob, label, ignore_index=-1)
    assert counter.compute()['count'] == (prob > 0.5).sum()


def test_more_workers_than_processors(capsys):
    with pytest.raises(SystemExit):
        main(['eval-maps', 'm', 'g', '--workers', '100000'])
    assert '100000: name 1 to' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('words', 'culprit'),
    [
        ('eval-maps maps masks --key a', '--key'),
        ('fit maps masks --out c.json --channel 1', '--channel'),
        ('fit maps masks --out c.json --windows', '--windows'),
        ('fit maps masks --out c.json --data set', '--data'),
        ('fit c.py x.pth --out c.json --logits', '--logits'),
        ('eval-maps maps masks --max-value 1e9', '--max-value'),
        ('compare r.json r.json --resamples 1', '--resamples'),
        ('compare r.json ./r.json --fail-if-worse', 'given twice'),
        ('fit c.py x.pth --out c.json --max-value 0', '--max-value'),
        ('fit maps masks --out c.json --groups ^0', 'finds only 0 in the names'),
        ('fit maps masks --out c.json --groups (z)?', 'matches nothing in'),
        ('review maps --calibrator c.json --report x.csv', 'ends with .html'),
        ('fit maps masks --out c.json --channel ²', 'channel'),
        ('doctor --data maps', '`mmaslp prepare FOLDER`'),
        ('doctor --patch new.py', '--patch change a config'),
        ('test mmaslp::demo/bce.py x.pth --cfg-options load_from=y.pth', 'load_from'),
    ],
)
def test_what_had_no_effect_on_files(words, culprit, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 12)
    assert main(['eval-maps', 'maps', 'masks', '--json', 'r.json']) == 0
    assert main(words.split()) == 2
    assert culprit in capsys.readouterr().err


def observe_twice():
    label = torch.zeros(32, 32)
    label[:, 16:] = 1
    table, levels = BandTable(), BandLevels()
    for _ in range(2):
        table.update(0.1 + 0.8 * label, label)
        levels.observe(table)


LABELS = (torch.rand(5, 16, 16) > 0.5).long()


def criterion_of(levels):
    return SelfCalibratingBCE(levels)


def draw_samples(batches):
    """Two heads a batch, with a sample of each batch."""
    levels = ImageLevels(['a'], rule='fixed', alpha=0.2)
    criterion = SelfCalibratingBCE(levels)
    for step in range(batches):
        levels.sample(['a'], step)
        for _ in range(2):
            criterion(torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4))


SAID = {
    'does not hold its levels': lambda: criterion_of(BandLevels()).state_dict(),
    'leave the sigmoid out': lambda: SelfCalibratingBCE()(
        torch.rand(100, 1, 4, 4), torch.ones(100, 4, 4)
    ),
    r'all logits lie in \[0, 1\]': lambda: CALIBRATOR.logits(torch.rand(8, 8)),
    'perturbs nothing: give it alpha': lambda: SelfCalibratingBCE(beta='M')(
        torch.randn(2, 1, 4, 4), torch.ones(2, 4, 4)
    ),
    'call eval': lambda: fit_calibrator(BETTER, LABELS, network=nn.BatchNorm2d(1)),
    'is read as one volume': lambda: fit_calibrator((BETTER, LABELS) for _ in range(5)),
    'is in training mode': lambda: CALIBRATOR.wrap(nn.BatchNorm2d(1))(
        LABELS[:, None] - 0.5
    ),
}
SOFTMAX = torch.rand(5, 2, 16, 16).softmax(1)
LAST = torch.rand(5, 16, 16, 1)  # the channel
PROBS = LAST[..., 0]
TABLE, HISTOGRAM = BandTable(), CalibrationHistogram()
TWO_LOGITS = torch.randn(2, 2, 16, 16)
MIRRORED = torch.stack([-PROBS[0], PROBS[0] - 0.2]) * 4
BETTER = (LABELS + PROBS) / 2
PAIRS = [*zip(BETTER, LABELS)]
OTHER = fit_calibrator(BETTER, LABELS)
GROUPS = [*'abcde']
SOFTMAX_AS_LOGITS = {
    'loss': lambda: SelfCalibratingBCE()(SOFTMAX, LABELS),
    'judge_batch': lambda: fit_calibrator(SOFTMAX[:, 1], LABELS).judge_batch(
        SOFTMAX, logits=True
    ),
    'wrap': lambda: CALIBRATOR.wrap(nn.Identity())(SOFTMAX),
    'fit': lambda: fit_calibrator(SOFTMAX, LABELS, logits=True),
    'levels': lambda: LevelsSession().update(SOFTMAX[:, 1], LABELS, logits=True),
    'calibrator': lambda: CalibratorSession().update(SOFTMAX, LABELS, logits=True),
}


def judging():
    """A calibrator that was fitted to maps of one channel."""
    return fit_calibrator(BETTER, LABELS)


def observe_sizes(*sizes):
    """Validations of so many images, each with a table of its own."""
    levels = BandLevels()
    for size in sizes:
        table = BandTable()
        for row in range(size):
            table.update(PROBS[row % 5], LABELS[row % 5])
        levels.count_batch()
        levels.observe(table)


class Stream(IterableDataset):
    """A data set without a length, nor has its sampler one."""

    def __iter__(self):
        return iter(PAIRS)


def test_images_and_volumes_of_a_list_are_what_they_seem(recwarn):
    fit_calibrator([*BETTER[:, None]], [*LABELS[:, None]])
    fit_calibrator((image[None], label[None]) for image, label in PAIRS)
    fit_calibrator([BETTER] * 5, [LABELS] * 5)
    assert not [w for w in recwarn if 'one volume' in str(w.message)]


def test_labels_with_a_channel_are_those_without():
    tables = [BandTable() for _ in range(2)]
    for table, labels in zip(tables, (LABELS, LABELS[:, None])):
        table.update(PROBS, labels)
    assert torch.equal(tables[0].totals, tables[1].totals)
    with pytest.raises(ValueError, match='one channel more'):
        BandTable().update(PROBS, LABELS[:, None].expand(-1, 2, -1, -1))


def test_what_is_right_beside_what_is_refused(recwarn):
    observe_sizes(2, 5, 5, 3)
    draw_samples(100)
    SelfCalibratingBCE().state_dict()
    nn.ModuleList([criterion_of(BandLevels())]).state_dict()
    calibrator = judging()
    two = torch.randn(2, 16, 16)
    assert torch.equal(calibrator.logits(two)[1], calibrator.logits(two[1]))
    for options in (
        dict(),
        dict(sampler=range(5)),
        dict(batch_sampler=[[0, 1, 2, 3, 4]]),
    ):
        fit_calibrator(DataLoader(PAIRS, **options), groups=GROUPS)
    fit_calibrator(DataLoader(PAIRS, shuffle=True), groups=iter(GROUPS))
    fit_calibrator(DataLoader(Stream()), groups=GROUPS)
    assert {calibrator: 1}[Calibrator.from_dict(calibrator.to_dict())]
    assert not recwarn.list


@pytest.mark.parametrize('wide', [torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_labels(wide):
    logits = torch.zeros(1, 1, 4, 4)
    assert SelfCalibratingBCE()(logits, torch.ones(1, 4, 4).to(wide)) < 0.7


def test_no_object_found_ever_more_surely_is_no_table_observed_twice(recwarn):
    label, levels = torch.zeros(32, 32), BandLevels()
    label[:, 16:] = 1
    for low in (0.4, 0.3, 0.2):
        table = BandTable()
        table.update(torch.full((32, 32), low), label)
        levels.count_batch()
        levels.observe(table)
    SelfCalibratingBCE()(torch.zeros(100, 1, 4, 4), torch.ones(100, 4, 4))
    assert not recwarn.list


@pytest.mark.parametrize('words', SAID)
def test_python_that_is_probably_wrong(words):
    with pytest.warns(UserWarning, match=words):
        SAID[words]()


@pytest.mark.parametrize('door', SOFTMAX_AS_LOGITS)
def test_a_softmax_in_the_place_of_logits(door):
    with pytest.warns(UserWarning, match='if they are probabilities'):
        SOFTMAX_AS_LOGITS[door]()


def test_two_channels_of_a_crop_within_an_organ_are_no_one_hot_labels():
    labels = torch.stack([torch.ones(1, 8, 8), torch.zeros(1, 8, 8)], 1).long()
    table = BandTable()
    table.update(torch.rand(1, 2, 8, 8), labels)
    assert table.count == 128


def test_an_exported_network_is_not_looked_at(recwarn):
    given = torch.rand(1, 1, 4, 4)
    wrapped = CALIBRATOR.wrap(nn.Identity())
    traced = torch.jit.trace(wrapped, given, check_trace=False)
    assert not [w for w in recwarn if 'probabilities' in str(w.message)]
    assert traced(torch.zeros(2, 1, 8, 8)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (lambda: SelfCalibratingBCE(ImageLevels(['a']), alpha=0.1), 'leave alpha and'),
        (lambda: CALIBRATOR.wrap(nn.Conv2d(1, 3, 1))(torch.rand(1, 1, 4, 4)), '3 chan'),
        (lambda: CALIBRATOR.masks(torch.full((4, 4), 7.0), 'keep'), 'prob must lie'),
        (lambda: CALIBRATOR.wrap(CALIBRATOR.wrap(nn.Identity())), 'is not wrapped'),
        (
            lambda: CALIBRATOR.wrap(nn.Sequential(CALIBRATOR.wrap(nn.Identity()))),
            'is not wrapped',
        ),
        (
            lambda: BandLevels().load_state_dict(
                BandLevels().state_dict() | {'best': {}}
            ),
            'is damaged',
        ),
        (
            lambda: Evaluator().add(
                'a',
                PROBS[0],
                LABELS[0],
                PROBS[0],
                OTHER.scores(PROBS[1], LABELS[1] * 0),
            ),
            'of this map',
        ),
        (
            lambda: review_image(OTHER, 'a', BETTER[0].numpy(), smallest=float('nan')),
            'smallest must be',
        ),
        (lambda: max_alpha(-1.0), 'beta must be'),
        (lambda: CALIBRATOR(torch.rand(8, 8, 3)), '3 pixels wide'),
        (
            lambda: LevelsSession().update(SOFTMAX[:, 0], LABELS, logits='no'),
            'logits must be',
        ),
        (lambda: Calibrator.load(None), 'file must be'),
        (lambda: CALIBRATOR(torch.rand(2, 8, 8, 1)), '1 pixels wide'),
        (lambda: fit_calibrator(LAST, LAST.round().long()), '1 pixels wide'),
        (lambda: BandTable().update(LAST, LAST.round().long()), '1 pixels wide'),
        (
            lambda: BandTable().update(SOFTMAX, torch.stack([1 - LABELS, LABELS], 1)),
            'is one-hot',
        ),
        (
            lambda: fit_calibrator(SOFTMAX, torch.stack([1 - LABELS, LABELS], 1)),
            'is one-hot',
        ),
        (
            lambda: Calibrator('platt', 'single', 'probability', [([-9, 9], [-5, 5])])(
                SOFTMAX
            ),
            'are calibrated together',
        ),
        (
            lambda: replace(CALIBRATOR, record={'axes': 2}).wrap(nn.Identity())(
                torch.randn(1, 1, 4, 8, 8)
            ),
            'for a calibrator of volumes',
        ),
        (
            lambda: fit_calibrator(LAST[..., 0], LABELS, groups=dict(a=1)),
            'and not a dict',
        ),
        (
            lambda: fit_calibrator(PROBS, LABELS, groups=np.zeros((5, 2))),
            'groups must be',
        ),
        (lambda: fit_calibrator(PROBS, LABELS, network=[0.5] * 99), 'got .{,100}$'),
        (lambda: fit_calibrator([dict(map=PROBS, mask=LABELS)]), 'pairs of a map'),
        (lambda: fit_calibrator(PROBS, LABELS * 0 + 255), 'are ignored'),
        (lambda: fit_calibrator([], []), 'or there are none'),
        (lambda: TABLE.merge(TABLE), 'another BandTable'),
        (
            lambda: Evaluator().add('a', PROBS[0], LABELS[0], PROBS[0][:4]),
            '^calibrated: ',
        ),
        (lambda: MapFiles.of(PROBS), 'maps must be'),
        (lambda: CalibratorSession().update(PROBS[0], LABELS[0]), 'give a batch'),
        (
            lambda: CalibrationTables().update(PROBS[0], LABELS[0], key=1.5),
            'key must be',
        ),
        (lambda: make_rule('MC', warmup=3), "no argument 'warmup'"),
        (
            lambda: SelfCalibratingLoss(SelfCalibratingBCE(), Targets(False))(
                SOFTMAX, LABELS[:, None] - 1
            ),
            'label holds -1',
        ),
        (lambda: HISTOGRAM.merge(HISTOGRAM), 'another histogram'),
        (
            lambda: SelfCalibratingBCE(BandLevels())(
                PROBS, LABELS, ImageLevels(['a']).sample(['a'], 0)
            ),
            'leave the sample out',
        ),
        (lambda: judging().logits(TWO_LOGITS), 'are calibrated together'),
        (
            lambda: judging().masks(TWO_LOGITS, 'keep', logits=True),
            'are calibrated together',
        ),
        (
            lambda: Evaluator().add('a', PROBS[0], LABELS[0], estimates=MaskTable),
            'give calibrated too',
        ),
        (
            lambda: Evaluator().add(
                *('a', PROBS[0], LABELS[0], PROBS[0]),
                judging().scores(PROBS[0] / 2, LABELS[0]),
            ),
            'estimates must be what Calibrator.scores',
        ),
        (lambda: BandLevels().observe(BandTable(), whole='yes'), 'whole must be'),
        (observe_twice, 'the table holds the last validation too'),
        (lambda: judging().logits(MIRRORED), 'are calibrated together'),
        (
            lambda: fit_calibrator(DataLoader(PAIRS, shuffle=True), groups=GROUPS),
            'the loader shuffles',
        ),
        (
            lambda: fit_calibrator(
                DataLoader(PAIRS, None, shuffle=True), groups=tuple(GROUPS)
            ),
            'the loader shuffles',
        ),
        (
            lambda: fit_calibrator(
                DataLoader(
                    PAIRS, None, sampler=BatchSampler(RandomSampler(PAIRS), 2, False)
                ),
                groups=GROUPS,
            ),
            'the loader shuffles',
        ),
        (lambda: fit_calibrator(CALIBRATOR(PROBS), LABELS), 'are calibrated'),
        (
            lambda: fit_calibrator([*map(CALIBRATOR, PROBS)], [*LABELS]),
            'are calibrated',
        ),
        (lambda: fit_calibrator(Path('maps'), Path('masks')), 'to `mmaslp fit`'),
        (
            lambda: Evaluator().add(
                'a', CALIBRATOR(PROBS[0]), LABELS[0], calibrated=PROBS[0]
            ),
            'these maps are calibrated',
        ),
        (
            lambda: Evaluator().add('a', LAST[None], LABELS[None, ..., None]),
            'one image',
        ),
        (lambda: ImageLevels(['a', 'b', 'a']), 'every training image once'),
        (lambda: ImageLevels(100), 'ids must be strings'),
        (lambda: fit_calibrator([*LABELS / 2] * 8, [*LABELS] * 7), 'only 35 labels'),
        (
            lambda: fit_calibrator([*LABELS / 2] * 7, iter([*LABELS] * 8)),
            'only 35 maps',
        ),
        (lambda: Calibrator.from_dict(None), "it lacks 'format'"),
        (lambda: dice_optimal_mask(torch.rand(2, 16, 16, 3)), '3 pixels wide'),
        (
            lambda: fit_calibrator(
                BETTER.repeat(2, 1, 1)[:9],
                torch.cat([LABELS[:4], LABELS[:6] * 0 + 255]),
            ),
            '^4 images are too few',
        ),
        (lambda: BandTable().update(PROBS, LABELS, ignore_index=1), 'a value that is'),
        (
            lambda: CalibrationHistogram().update(
                SOFTMAX, torch.stack([1 - LABELS, LABELS], 1)
            ),
            'is one-hot',
        ),
        (
            lambda: fit_calibrator(
                torch.randn(5, 2, 16, 16),
                torch.stack([1 - LABELS, LABELS], 1),
                logits=True,
            ),
            'is one-hot',
        ),
        (
            lambda: review_maps(OTHER, MapFiles({}, 'maps', []), 'masks'),
            'give the masks to MapFiles.of',
        ),
        (
            lambda: SelfCalibratingBCE()(SOFTMAX, LABELS, pixel_weight=2.0),
            'pixel_weight must be a tensor',
        ),
        (lambda: OF_IMAGES.masks(torch.rand(3, 4, 4)), r'batch .* \(N, 1, H, W\)'),
        (lambda: review_maps(None, 'maps'), 'calibrator .* must be'),
        (lambda: apply_calibrator(5, 'maps', 'out'), 'calibrator .* must be'),
        (lambda: apply_calibrator(CALIBRATOR, 'm', 'o', masks=True), '^masks must be'),
        (lambda: Evaluator(mode='positive', num_classes=3), 'of 3 classes'),
        (lambda: (table := BandTable()).merge(table), 'not itself'),
        (lambda: (table := CalibrationTables()).merge(table), 'not itself'),
        (lambda: CalibrationTables().merge(3), 'not int'),
        (lambda: make_rule('MC', warmup=3), 'ASLPHook has warmup_epochs'),
        (lambda: calibration_error(SOFTMAX[:, 1], LABELS, n_bins=0), 'n_bins must be'),
        (lambda: CalibrationHistogram().merge(BandTable()), 'and not <'),
        (lambda: Calibrator.from_dict({'calibrator': None}), "its entry 'calibrator'"),
        (
            lambda: CALIBRATOR.wrap(nn.Sequential(nn.Flatten(), nn.Linear(16, 1)))(
                torch.rand(3, 1, 4, 4)
            ),
            'must return one tensor of logits',
        ),
        (
            lambda: Calibrator.from_dict(
                CALIBRATOR.to_dict() | dict(target='probability')
            ),
            "not those of the target 'probability'",
        ),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_fit_to_masks_says_so():
    label = np.zeros((12, 16, 16))
    label[:, 4:12, 4:12] = 1
    with pytest.warns(UserWarning, match='all probabilities are 0 or 1'):
        fit_calibrator(np.roll(label, 1, 1), label)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda prob: prob, ''),
        (lambda prob: np.round(prob), 'all probabilities are 0 or 1'),
    ],
)
@pytest.mark.parametrize('workers', [1, 2])
def test_what_no_network_gives_is_said_where_it_is_applied(
    tmp_path, recwarn, change, said, workers
):
    maps, masks = write_set(tmp_path, 12)
    calibrator = tmp_path / 'c.json'
    assert main(['fit', str(maps), str(masks), '--out', str(calibrator)]) == 0
    for path in maps.iterdir():
        changed = change(MapReader().read(path))
        write_prob_map(path, changed, bits=16, overwrite=True)
    recwarn.clear()
    words = ['apply', str(calibrator), str(maps), '--out', str(tmp_path / 'out')]
    assert main([*words, '--workers', str(workers)]) == 0
    assert [said in str(each.message) for each in recwarn] == [True] * bool(said)
