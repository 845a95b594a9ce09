"""nnU-Net on a real 2-D set, from its own command line.

``benchmarks/nnunet.sh DATA`` runs the whole in about 25 minutes of one CPU core. It
needs ``mmaslp[nnunet]``, nnU-Net's three folders in the environment, and a folder
``{train,val,test}/{images,masks}`` as ``ccp_person`` of the shared data.

    python benchmarks/nnunet.py layout DATA       # the raw set and its one split
    python benchmarks/nnunet.py toy               # balls in noise, in 3-D, as NIfTI
    python benchmarks/nnunet.py plans             # small networks for a CPU
    python benchmarks/nnunet.py noise TRAINER     # gaps by patches and by whole images
    python benchmarks/nnunet.py views TRAINER     # what mirroring and context do
    python benchmarks/nnunet.py table TRAINER...  # test figures, with a calibrator
    python benchmarks/nnunet.py same FOLD FOLD    # whether two trainings are bit-equal
"""

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw, nnUNet_results
from PIL import Image

from mmaslp.common.bands import border_bands
from mmaslp.files.map_pairs import pair_files, read_pair
from mmaslp.files.prob_maps import MapReader
from mmaslp.levels.bands import Best, apply_guard, lower_median
from mmaslp.metrics import BandTable

DATASET, TOY = 'Dataset501_Person', 'Dataset502_Balls'
TRAIN, VAL = 120, 60
RESAMPLES = 1000


def layout(data: str) -> None:
    """Write ``imagesTr``, ``labelsTr``, ``imagesTs``, ``labelsTs`` and the split."""
    raw = Path(nnUNet_raw, DATASET)
    split: dict[str, list[str]] = {}
    for part, count in ('train', TRAIN), ('val', VAL), ('test', None):
        end = 'Ts' if part == 'test' else 'Tr'
        for folder in 'images', 'labels':
            (raw / (folder + end)).mkdir(parents=True, exist_ok=True)
        for path in sorted(Path(data, part, 'images').iterdir())[:count]:
            case = f'person_{path.stem}'
            split.setdefault(part, []).append(case)
            Image.open(path).convert('RGB').save(raw / f'images{end}/{case}_0000.png')
            mask = np.asarray(Image.open(Path(data, part, 'masks', f'{path.stem}.png')))
            label = Image.fromarray((mask > 127).astype(np.uint8))
            label.save(raw / f'labels{end}/{case}.png')
    description = {
        'channel_names': {'0': 'R', '1': 'G', '2': 'B'},
        'labels': {'background': 0, 'person': 1},
        'numTraining': TRAIN + VAL,
        'file_ending': '.png',
    }
    (raw / 'dataset.json').write_text(json.dumps(description))
    prepared = Path(nnUNet_preprocessed, DATASET)
    prepared.mkdir(parents=True, exist_ok=True)
    split.pop('test')
    (prepared / 'splits_final.json').write_text(json.dumps([split]))


def toy(cases: int = 12) -> None:
    """Write volumes of dim balls in noise, whose first axis runs backwards."""
    import nibabel

    raw = Path(nnUNet_raw, TOY)
    grid = np.indices((40, 36, 20))
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    for index in range(cases):
        generator = np.random.default_rng(index)
        center = generator.uniform((12, 12, 7), (28, 24, 13))
        distance = np.sqrt(((grid - center[:, None, None, None]) ** 2).sum(0))
        label = (distance < generator.uniform(5, 10)).astype(np.uint8)
        image = generator.normal(size=label.shape) + label
        case = f'ball_{index:02}'
        for folder, name, values in (
            ('imagesTr', f'{case}_0000', image.astype(np.float32)),
            ('labelsTr', case, label),
        ):
            (raw / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(
                nibabel.Nifti1Image(values, affine), raw / folder / f'{name}.nii.gz'
            )
    description = {
        'channel_names': {'0': 'noise'},
        'labels': {'background': 0, 'ball': 1},
        'numTraining': cases,
        'file_ending': '.nii.gz',
    }
    (raw / 'dataset.json').write_text(json.dumps(description))


def plans() -> None:
    """Make the planned networks small: a few stages of 8 channels and more."""
    for dataset, configuration, patch, strides in (
        (DATASET, '2d', [96, 96], [1, 2, 2, 2]),
        (TOY, '3d_fullres', [16, 32, 32], [1, 2, 2]),
    ):
        path = Path(nnUNet_preprocessed, dataset, 'nnUNetPlans.json')
        found = json.loads(path.read_text())
        config = found['configurations'][configuration]
        config.update(patch_size=patch, batch_size=8 if dataset == DATASET else 2)
        stages, axes = len(strides), len(patch)
        config['architecture']['arch_kwargs'].update(
            n_stages=stages,
            features_per_stage=[8 * 2**stage for stage in range(stages)],
            kernel_sizes=[[3] * axes] * stages,
            strides=[[stride] * axes for stride in strides],
            n_conv_per_stage=[2] * stages,
            n_conv_per_stage_decoder=[2] * (stages - 1),
        )
        path.write_text(json.dumps(found, indent=2))


def noise(name: str, validations: int = 60) -> None:
    """Print how the gaps of one network differ from validation to validation."""
    trainer = _finished(name)
    np.random.seed(0)
    drawn = [_patches(trainer, batches=10) for _ in range(validations)]
    images = _images(name)
    _print('gap, all patches', _gaps(_merged(drawn)))
    _print('gap, whole images', _gaps(_merged(images)))
    for number in 1, 5:
        tables = [
            _merged(drawn[start : start + number])
            for start in range(0, validations, number)
        ]
        spread = np.std([_gaps(table) for table in tables], 0, ddof=1)
        _print(f'sd over validations of {80 * number} patches', spread)
        iou, error = np.array(
            [[table.compute()[key] for key in ('iou', 'iou_se')] for table in tables]
        ).T
        print(f'IoU {iou.mean():.4f}, sd {iou.std(ddof=1):.4f}, se {error.mean():.4f}')
    generator = np.random.default_rng(0)
    resampled = [
        _gaps(_merged(generator.choice(images, len(images)))) for _ in range(200)
    ]
    _print(f'standard error of {len(images)} whole images', np.std(resampled, 0))
    for epochs in 40, 1000:
        back = _steps_back(generator.choice(drawn, epochs))
        print(
            f'validations of {epochs} below their best by more than noise: {back:.2f}'
        )


def views(name: str) -> None:
    """Print gaps by what the network sees: patches or images, mirrored or not."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trainer = _finished(name)
    np.random.seed(0)
    tables = {title: BandTable() for title in ('patches', 'mirrored', 'not centred')}
    with torch.no_grad():
        for _ in range(60):
            batch = next(trainer.dataloader_val)
            views = [
                trainer.network(batch['data'].flip(axes))[0].flip(axes)
                for axes in ((), (2,), (3,), (2, 3))
            ]
            probs = [
                (each[:, 1] - each[:, 0]).sigmoid()
                for each in (views[0], sum(views) / 4)
            ]
            label = batch['target'][0][:, 0]
            tables['patches'].update(probs[0], label)
            tables['mirrored'].update(probs[1], label)
            random = round(len(label) * 0.67)  # nnU-Net centres the others on objects
            tables['not centred'].update(probs[0][:random], label[:random])
    for title, table in tables.items():
        _print(title, _gaps(table))
    trainer.set_deep_supervision_enabled(False)
    cases = trainer.get_tr_and_val_datasets()[1]
    for mirrored in False, True:
        predictor = nnUNetPredictor(
            use_mirroring=mirrored, device=torch.device('cpu'), allow_tqdm=False
        )
        predictor.manual_initialization(
            trainer.network,
            trainer.plans_manager,
            trainer.configuration_manager,
            None,
            trainer.dataset_json,
            name,
            (0, 1),
        )
        table = BandTable()
        for case in cases.identifiers:
            data, label, _, _ = cases.load_case(case)
            logits = predictor.predict_sliding_window_return_logits(
                torch.from_numpy(data[:])
            )
            table.update((logits[1] - logits[0]).float().sigmoid(), label[0].clip(0))
        _print(f'images, mirrored: {mirrored}', _gaps(table))


def _finished(name: str) -> object:
    """Trainer of a finished training, ready to validate."""
    from nnunetv2.run.run_training import get_trainer_from_args

    trainer = get_trainer_from_args('501', '2d', 0, name, device=torch.device('cpu'))
    trainer.load_checkpoint(f'{trainer.output_folder}/checkpoint_final.pth')
    trainer.on_train_start()
    trainer.network.eval()
    return trainer


def _steps_back(tables: list[BandTable]) -> float:
    """Share of the validations of one network at which the guard of the levels acts."""
    best, ious, accs, back = Best(), [], [], 0
    some = torch.ones(5)
    for table in tables:
        now = table.compute()
        ious.append(now['iou'])
        accs.append(now['acc'])
        iou, acc = lower_median(ious[-3:]), lower_median(accs[-3:])
        best = best.after(iou, now['iou_se'], acc, now['acc_se'])
        back += apply_guard(some, some, iou, acc, best)[1] is not None
    return back / len(tables)


def _patches(trainer: object, batches: int) -> BandTable:
    """Table of one validation as nnU-Net draws it."""
    table = BandTable()
    with torch.no_grad():
        for _ in range(batches):
            batch = next(trainer.dataloader_val)
            logits = trainer.network(batch['data'])[0]
            prob = (logits[:, 1] - logits[:, 0]).sigmoid()
            table.update(prob, batch['target'][0][:, 0])
    return table


def _images(name: str) -> list[BandTable]:
    """Table of every validation image, from ``nnUNetv2_train --npz``."""
    tables = []
    for prob, label in _pairs(
        _results(name) / 'fold_0/validation', Path(nnUNet_raw, DATASET, 'labelsTr')
    ):
        tables.append(BandTable())
        tables[-1].update(prob, label)
    return tables


def _pairs(maps: Path, labels: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    reader = MapReader()
    pairs, _ = pair_files(maps, labels)
    for paths in pairs.values():
        yield read_pair(reader, *paths)


def _merged(tables: list[BandTable]) -> BandTable:
    whole = BandTable()
    for table in tables:
        whole.merge(table)
    return whole


def _gaps(table: BandTable) -> np.ndarray:
    return np.array(table.compute()['gaps'])


def _print(title: str, values: np.ndarray) -> None:
    print(f'{title:40}', ' '.join(f'{value:8.4f}' for value in values))


def _results(name: str) -> Path:
    return Path(nnUNet_results, DATASET, f'{name}__nnUNetPlans__2d')


def table(*names: str) -> None:
    """Print figures of the test images, as predicted and with a calibrator."""
    from mmaslp import fit_calibrator

    for name in names:
        validation = _pairs(
            _results(name) / 'fold_0/validation', Path(nnUNet_raw, DATASET, 'labelsTr')
        )
        calibrator = fit_calibrator(validation)
        test = list(
            _pairs(_results(name) / 'test', Path(nnUNet_raw, DATASET, 'labelsTs'))
        )
        for title, change in ('', lambda prob: prob), (' + calibrator', calibrator):
            _row(name + title, [(change(prob), label) for prob, label in test])


def _row(title: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Print figures with 95 % intervals over the images."""
    records = np.stack([_record(*pair) for pair in pairs])
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(records), size=(RESAMPLES, len(records)))
    resampled = [_figures(records[each].mean(0)) for each in drawn]
    low, high = np.percentile(resampled, (2.5, 97.5), axis=0)
    shown = (
        f'{value:.4f} [{start:.4f}, {end:.4f}]'
        for value, start, end in zip(_figures(records.mean(0)), low, high)
    )
    print(f'| {title} |', ' | '.join(shown), '|')


def _record(prob: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Dice, pixels, correct ones, NLL, and sums by bin and by band of an image."""
    prob = np.asarray(prob, np.float64)
    predicted, truth = prob > 0.5, label == 1
    correct = (predicted == truth).astype(float)
    confidence = np.maximum(prob, 1 - prob)
    gap = confidence - correct
    chosen = np.where(truth, prob, 1 - prob).clip(1e-7)
    bins = np.ceil(confidence * 10).astype(int)
    bands = border_bands(torch.from_numpy(predicted)[None])[0].numpy()
    both = predicted.sum() + truth.sum()
    return np.concatenate(
        [
            [2 * (predicted & truth).sum() / both if both else 1.0],
            [prob.size, correct.sum(), -np.log(chosen).sum()],
            np.bincount(bins.ravel(), gap.ravel(), 11)[:11],
            np.bincount(bands.ravel(), gap.ravel(), 5),
        ]
    )


def _figures(record: np.ndarray) -> np.ndarray:
    """Dice, accuracy, ECE, ECE by band and NLL of summed records."""
    dice, pixels, correct, nll = record[:4]
    by_bin, by_band = record[4:15], record[15:]
    parts = correct, np.abs(by_bin).sum(), np.abs(by_band).sum(), nll
    return np.array([dice, *(part / pixels for part in parts)])


def same(*folds: str) -> None:
    """Print whether networks, optimizers and levels of two trainings are bit-equal."""
    first, second = (
        torch.load(f'{fold}/checkpoint_final.pth', weights_only=False) for fold in folds
    )
    for key in 'network_weights', 'optimizer_state', 'mmaslp_band_levels':
        saved = (pickle.dumps(_plain(each[key])) for each in (first, second))
        print(key, 'bit-equal' if len(set(saved)) == 1 else 'differs')


def _plain(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
