import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

pytest.importorskip('transformers')
pytest.importorskip('accelerate')

from transformers import (
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    TrainerCallback,
    pipeline,
)

from mmaslp import BandLevels, ImageBandLevels
from mmaslp.calibration import Calibrator
from mmaslp.integrations.transformers import (
    SelfCalibration,
    calibrated,
    foreground_logits,
)
from mmaslp.metrics import BandTable
from tests.transformers_toy import Squares, segformer, trainer

BRIEF = dict(num_train_epochs=1)  # 6 steps and 3 evaluations


def test_loss_is_bce_of_the_resized_logits():
    logits = torch.randn(2, 2, 8, 8)
    labels = torch.randint(0, 2, (2, 32, 32))
    labels[0, :9] = 255
    z = interpolate(logits, size=(32, 32), mode='bilinear', align_corners=False)
    z, valid = z[:, 1] - z[:, 0], labels != 255
    wanted = binary_cross_entropy_with_logits(z[valid], labels[valid].float())
    calibration = SelfCalibration(levels=None)
    loss = calibration.loss
    with pytest.raises(ValueError, match='without the callback'):
        loss((logits,), labels)
    calibration.on_train_begin(*schedule(), None)
    with pytest.raises(ValueError, match='no labels: name the column'):
        loss((logits,), None)
    for outputs in ({'logits': logits}, (logits,)):
        torch.testing.assert_close(loss(outputs, labels), wanted)


def test_evaluation_measures_without_keeping_logits(tmp_path):
    one = trainer(tmp_path, SelfCalibration(levels=None), val=Squares(10, seed=3))
    found = one.evaluate()
    with torch.no_grad():
        logits = one.model.eval()(one.eval_dataset.images).logits
    table, labels = BandTable(), one.eval_dataset.labels
    table.update(foreground_logits((logits,), (32, 32)).sigmoid(), labels)
    wanted = table.compute()
    for name in ('acc', 'iou', 'ece_band', 'ece_band_true'):
        assert found[f'eval_{name}'] == pytest.approx(wanted[name], abs=1e-6)
    logged = one.state.log_history[-1]
    assert logged['eval_ece_band'] == found['eval_ece_band']
    kept = one.evaluation_loop(one.get_eval_dataloader(), 'test', True)
    assert kept.predictions is None


def test_levels_move_and_the_calibrator_is_saved(tmp_path):
    calibration = SelfCalibration()
    one = trainer(tmp_path, calibration, num_train_epochs=8)
    one.train()
    assert calibration.levels.warmup == 7  # of 23 evaluations before the end
    assert calibration.levels.validations == 24
    first, *_, last = [log for log in one.state.log_history if 'eval_acc' in log]
    assert first['eval_level_band0'] == 0.0 < last['eval_level_band0']
    assert Calibrator.load(tmp_path / 'calibrator.json').record['images'] == 11
    one.save_model()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        own = calibrated(
            SegformerForSemanticSegmentation.from_pretrained(tmp_path), tmp_path
        )
    with pytest.raises(ValueError, match='leave out return_dict=False'):
        own(one.eval_dataset.images, return_dict=False)
    with pytest.warns(UserWarning, match='other weights'):
        calibrated(segformer(), tmp_path)


def test_calibrated_model_returns_what_the_calibrator_gives(tmp_path):
    calibration = SelfCalibration(BandLevels(), dict(method='temperature'))
    one = trainer(tmp_path, calibration, num_train_epochs=3)
    one.train()
    images = one.eval_dataset.images
    shipped = one.evaluate()['eval_ece_band']
    with torch.no_grad():
        raw = foreground_logits(one.model(images), (32, 32))
        model = calibrated(one.model, tmp_path)
        found = model(pixel_values=images).logits
    assert found.shape == (11, 2, 32, 32)
    wanted = calibration.calibrator.logits(raw).sigmoid()
    torch.testing.assert_close(found.softmax(1)[:, 1], wanted, atol=1e-4, rtol=0)
    assert one.evaluate()['eval_ece_band'] < shipped
    with pytest.raises(ValueError, match='already'):
        calibrated(model, tmp_path)


def test_a_calibrated_model_is_stored_whole_and_not_trained(tmp_path):
    knots = [([0, 10], [0, 5])]
    calibrator = Calibrator('temperature', 'single', 'confidence', knots)
    model = calibrated(segformer().eval(), calibrator)
    torch.save(model, tmp_path / 'whole.pt')
    stored = torch.load(tmp_path / 'whole.pt', weights_only=False)
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(stored(images).logits, model(images).logits)
    with pytest.raises(ValueError, match='load it anew, then train'):
        trainer(tmp_path, SelfCalibration(), model=model).train()


def test_a_calibrator_of_the_user_is_not_replaced(tmp_path):
    file = tmp_path / 'calibrator.json'
    file.write_text('of the user')
    with pytest.raises(FileExistsError, match='name another output_dir'):
        trainer(tmp_path, SelfCalibration()).train()
    assert file.read_text() == 'of the user'
    trainer(tmp_path, SelfCalibration(None, calibrator=False), **BRIEF).train()

    file.unlink()
    for _ in range(2):
        trainer(tmp_path, SelfCalibration(levels=None), **BRIEF).train()
    assert Calibrator.load(file).record['images'] == 11
    (tmp_path / 'checkpoint-2').mkdir()  # as a training leaves it
    file.write_text('of the user')
    with pytest.raises(FileExistsError, match='not as a training wrote it'):
        trainer(tmp_path, SelfCalibration(), **BRIEF).train()
    assert file.read_text() == 'of the user'


def test_two_callbacks_are_refused(tmp_path):
    one = trainer(tmp_path, SelfCalibration(BandLevels()))
    one.add_callback(SelfCalibration(levels=None))
    with pytest.raises(ValueError, match='the Trainer has two SelfCalibrations'):
        one.train()


def test_one_callback_of_two_trainings_replaces_no_calibrator_either(tmp_path):
    calibration = SelfCalibration(levels=None)
    trainer(tmp_path / 'one', calibration, **BRIEF).train()
    file = tmp_path / 'two' / 'calibrator.json'
    file.parent.mkdir()
    file.write_text('of the user')
    for _ in range(2):  # the refusal makes it no file of ours
        with pytest.raises(FileExistsError, match='name another output_dir'):
            trainer(tmp_path / 'two', calibration, **BRIEF).train()
    assert file.read_text() == 'of the user'


def test_processor_and_pipeline_take_a_calibrated_model():
    pytest.importorskip('torchvision')
    size = dict(height=32, width=32)
    processor = SegformerImageProcessor(size=size)
    image = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (48, 40, 3), 'u1')
    )
    halve = Calibrator('temperature', 'single', 'confidence', [([0, 1], [0, 0.5])])
    inputs = processor(image, return_tensors='pt')
    with torch.no_grad():
        raw = segformer().eval()(**inputs).logits
        model = calibrated(segformer().eval(), halve)
        outputs = model(**inputs)
    raw = interpolate(raw, size=(32, 32), mode='bilinear')
    logit, wanted = (z[:, 1] - z[:, 0] for z in (outputs.logits, raw / 2))
    torch.testing.assert_close(logit, wanted, atol=2e-4, rtol=0)
    (mask,) = processor.post_process_semantic_segmentation(outputs, [(48, 40)])
    assert mask.shape == (48, 40)
    masks = pipeline('image-segmentation', model=model, image_processor=processor)(
        image
    )
    assert masks[0]['mask'].size == (40, 48)


@pytest.mark.parametrize(
    'levels_type',
    [pytest.param(BandLevels, marks=pytest.mark.release), ImageBandLevels],
)
def test_resumed_run_ends_as_the_whole_one(tmp_path, levels_type):
    ends, states = [], []
    for stop in (None, tmp_path / 'checkpoint-25'):  # levels move from step 18 on
        calibration = SelfCalibration(levels_type())
        model = stop and SegformerForSemanticSegmentation.from_pretrained(stop)
        options = dict(model=model, save_strategy='steps', save_steps=25)
        one = trainer(tmp_path, calibration, **options)
        one.train(resume_from_checkpoint=stop and str(stop))
        ends.append([*one.model.state_dict().values(), calibration.levels.levels])
        states.append(json.dumps(calibration.levels.state_dict()))
    saved = json.loads((stop / 'trainer_state.json').read_text())
    state = saved['stateful_callbacks']['SelfCalibration']['attributes']
    assert any(state['levels']['levels'])
    assert all(map(torch.equal, *ends))
    assert states[0] == states[1]


class StillBandLevels(BandLevels):
    """Levels that stay at 0."""

    def observe(self, table, whole=False):
        super().observe(table, whole)
        self.levels.zero_()


class StillImageBandLevels(StillBandLevels, ImageBandLevels):
    """Levels that stay at 0, with errors of the images."""


def torch_bce(logits, labels):
    return binary_cross_entropy_with_logits(logits, labels.float())


def test_levels_of_none_and_of_0_train_as_torch_does_bit_for_bit(tmp_path):
    ends = []
    for levels in (None, StillBandLevels(), StillImageBandLevels(), 'torch'):
        of_torch = levels == 'torch'
        calibration = SelfCalibration(None if of_torch else levels, calibrator=False)
        if of_torch:
            calibration._criterion = torch_bce
        one = trainer(tmp_path, calibration, num_train_epochs=2)
        one.train()
        ends.append([*one.model.state_dict().values(), torch.get_rng_state()])
    for end in ends[1:]:
        for weights, others in zip(ends[0], end, strict=True):
            assert torch.equal(weights, others)


def test_weights_that_the_trainer_did_not_load_are_named(tmp_path, monkeypatch):
    options = dict(save_strategy='steps', save_steps=4, eval_steps=1, max_steps=8)
    trainer(tmp_path, SelfCalibration(), **options).train()
    one = trainer(tmp_path, SelfCalibration(), **options)
    whole = SegformerForSemanticSegmentation.from_pretrained(tmp_path / 'checkpoint-4')
    head = whole.decode_head.state_dict()  # all that transformers 5.24 finds
    monkeypatch.setattr(
        one,
        '_load_from_checkpoint',
        lambda _: one.model.decode_head.load_state_dict(head),
    )
    with pytest.raises(ValueError, match='from_pretrained'):
        one.train(resume_from_checkpoint=str(tmp_path / 'checkpoint-4'))


@pytest.mark.release
def test_best_model_is_kept(tmp_path):
    calibration = SelfCalibration(BandLevels())
    one = trainer(
        tmp_path,
        calibration,
        save_strategy='steps',
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model='eval_iou',
        greater_is_better=False,
    )
    one.train()
    best = Path(one.state.best_model_checkpoint)
    assert best.name != 'checkpoint-36'
    wanted = SegformerForSemanticSegmentation.from_pretrained(best).state_dict()
    assert all(map(torch.equal, one.model.state_dict().values(), wanted.values()))
    assert calibration.calibrator is not None


def test_checkpoint_without_levels_is_refused(tmp_path):
    plain = SelfCalibration(levels=None, calibrator=False)
    options = dict(save_strategy='epoch', num_train_epochs=1)
    trainer(tmp_path, plain, **options).train()
    model = SegformerForSemanticSegmentation.from_pretrained(tmp_path / 'checkpoint-6')
    resumed = trainer(tmp_path, SelfCalibration(BandLevels()), model=model)
    with pytest.raises(ValueError, match='not one of BandLevels'):
        resumed.train(resume_from_checkpoint=True)


def schedule(strategy='steps', steps=4, epochs=10, delay=0, max_steps=100):
    return (
        SimpleNamespace(
            output_dir='out',
            eval_strategy=strategy,
            eval_delay=delay,
            eval_on_start=False,
        ),
        SimpleNamespace(
            eval_steps=steps,
            num_train_epochs=epochs,
            max_steps=max_steps,
            global_step=0,
            stateful_callbacks={},
        ),
    )


def planned(args, state, warmup=None):
    levels = 'band' if warmup is None else BandLevels(warmup=warmup)
    calibration = SelfCalibration(levels)
    calibration.on_train_begin(args, state, None)
    return calibration.levels.warmup


def test_warmup_is_a_third_of_the_evaluations():
    assert planned(*schedule()) == 8  # of 24: the last moves nothing
    assert planned(*schedule('epoch', epochs=31)) == 10
    assert planned(*schedule(), warmup=14) == 14


@pytest.mark.parametrize(
    'given, warmup',
    [
        (schedule('no'), None),
        (schedule('epoch', epochs=7), None),
        (schedule('epoch', epochs=sys.maxsize), None),
        (schedule(steps=100), 0),
        (schedule(), 20),
        (schedule(delay=84), 0),
        (schedule(), 200),
    ],
)
def test_levels_that_cannot_move_are_refused(given, warmup):
    with pytest.raises(ValueError, match='lower eval_steps, or more steps'):
        planned(*given, warmup=warmup)


@pytest.mark.parametrize(('named', 'rounds'), [('eval', 1), ('eval_vla', 2)])
def test_no_evaluation_of_the_name_that_is_given(tmp_path, named, rounds):
    """The levels would stay at 0 to the end, and no calibrator would be fitted."""
    sets = dict(val=Squares(6, seed=1), test=Squares(6, seed=2))
    one = trainer(tmp_path, SelfCalibration(evaluation=named), val=sets)
    with pytest.raises(ValueError, match='evaluation='):
        one.train()
    assert one.state.global_step == 2 * rounds


def test_another_evaluation_of_a_callback_goes_on(tmp_path):
    """Such as one of the training images, before the first of the evaluation set."""
    calibration = SelfCalibration(levels=None)
    one = trainer(tmp_path, calibration, **BRIEF)

    class OfTraining(TrainerCallback):
        def on_epoch_end(self, args, state, control, **kwargs):
            for _ in range(2):
                one.evaluate(one.train_dataset, metric_key_prefix='train')

    one.add_callback(OfTraining())
    one.train()
    assert calibration.calibrator is not None


@pytest.mark.parametrize('name', [5, ''])
def test_the_name_of_an_evaluation_is_a_text(name):
    with pytest.raises(ValueError, match='evaluation must be'):
        SelfCalibration(evaluation=name)


@pytest.mark.parametrize(
    'value, offset', [(255, 0), (1, -1)], ids=['0/255', 'do_reduce_labels']
)
def test_masks_that_hold_no_object_are_named(tmp_path, value, offset):
    data = [Squares(12, value=value), Squares(11, seed=1, value=value)]
    for each in data:
        each.labels = (each.labels + offset) % 256
    one = trainer(tmp_path, SelfCalibration(BandLevels()), *data)
    with pytest.raises(ValueError, match='mask > 0'):
        one.train()
    assert one.state.global_step <= 6  # the first epoch


@pytest.mark.release
def test_two_processes_measure_what_one_does(tmp_path):
    root = Path(__file__).parents[2]
    script = root / 'tests' / 'transformers_toy.py'
    run = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
    run += ['--master_port=0', '--rdzv_backend=c10d', '--rdzv_endpoint=localhost:0']
    environment = {**os.environ, 'PYTHONPATH': str(root), 'OMP_NUM_THREADS': '1'}
    subprocess.run([*run, script, tmp_path], check=True, env=environment)
    first, second = (torch.load(tmp_path / f'rank{k}.pt') for k in (0, 1))
    alone = trainer(tmp_path, SelfCalibration(levels=None)).evaluate()
    for name in ('acc', 'iou', 'ece_band', 'ece_band_true'):
        assert first['untrained'][f'eval_{name}'] == alone[f'eval_{name}']
    assert torch.equal(first['weights'], second['weights'])
    assert torch.equal(first['levels'], second['levels'])
    assert first['images'] == second['images'] == 11  # the repeated one counts once
    assert first['levels'].any()
