"""A training of `mmaslp demo`, and its test."""

import copy
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from mmengine.config import Config

from ...evaluation.result import Result
from .config import read_config
from .testing import EvaluationOptions, calibrator_of_test, evaluate, sets_of_test
from .training import run_training


def train_and_test(
    name: str,
    config: str,
    folder: Path,
    epochs: int,
    seed: int,
    *,
    write_maps: bool,
) -> list[Result]:
    """Train a network with a calibrator, and test it; an earlier one is replaced.

    Args:
        name (str): Of the network in results.
        config (str): Of the configs below ``configs/demo``.
        folder (Path): The work directory. ``train.log`` takes all that is printed.
        epochs (int): Length of the training.
        seed (int): Of the weights and of the order of images.
        write_maps (bool): Write raw maps of the test images to ``maps``.

    Returns:
        list[Result]: Raw and calibrated, of the test images.
    """
    settings = {
        'train_cfg.max_epochs': epochs,
        'train_cfg.val_interval': max(1, epochs // 30),  # enough for levels to arrive
        'param_scheduler.0.end': epochs,
        'randomness.seed': seed,
    }
    folder.mkdir(parents=True, exist_ok=True)

    with (
        open(folder / 'train.log', 'w', encoding='utf-8') as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        cfg = read_config(f'mmaslp::demo/{config}.py', settings)
        cfg.update(work_dir=str(folder), launcher='none')
        cfg.load_from = run_training(
            copy.deepcopy(cfg), overwrite=True
        ).message_hub.get_info('last_ckpt')
        return _test(cfg, name, str(folder / 'maps') if write_maps else None)


def _test(cfg: Config, name: str, maps: str | None) -> list[Result]:
    """Measure raw and calibrated probabilities; write raw maps before."""
    sets = {'test': sets_of_test(cfg)['test']}
    if maps:
        options = EvaluationOptions(evals=('iou',), out_prob=maps, overwrite=True)
        evaluate(cfg, sets, options)

    options = EvaluationOptions(
        model=name,
        calibrator=calibrator_of_test(cfg, None, cfg.load_from),
        overwrite=True,
    )
    return evaluate(cfg, sets, options)['test'].results
