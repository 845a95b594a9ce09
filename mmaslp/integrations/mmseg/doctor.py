"""Whether the plugin will work here: the environment, and a config that is built."""

import copy
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from .checks.findings import Finding, check_environment, has_ops, installed_versions


def examine(config: str | None) -> list[Finding]:
    """Check the environment; build what a config says and check that."""
    findings = check_environment(installed_versions(), has_ops())
    if config is None and find_spec('mmseg') is None:
        return findings  # the user has maps, or PyTorch
    if not _has_error(findings):
        try:
            import mmseg.models  # noqa: F401
        except Exception as error:
            text = f'MMSegmentation cannot be imported: {error!r}'
            findings.append(Finding('error', text))

    if config is None:
        return findings
    if _has_error(findings):
        text = f'{config} was not read: mend the environment first'
        return [*findings, Finding('note', text)]

    return findings + _examine_config(config)


def _has_error(findings: list[Finding]) -> bool:
    return any(finding.level == 'error' for finding in findings)


def _examine_config(config: str) -> list[Finding]:
    from .config import load_config

    try:
        cfg = load_config(config)
    except Exception as error:
        return [Finding('error', f'{config} cannot be read: {error}')]
    findings = []
    names = (cfg.get('custom_imports') or {}).get('imports', [])
    if not any(name.split('.')[0] == 'mmaslp' for name in names):
        findings.append(
            Finding(
                'note',
                'the config does not import the plugin: the commands of mmaslp do, '
                "MMSegmentation's own tools do not know its types",
                "custom_imports = dict(imports=['mmaslp'])",
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        findings += build_and_check(cfg, folder)
    if all(finding.level not in ('error', 'warning') for finding in findings):
        text = f'model, data, optimizer and hooks of {config} can be built'
        findings.append(Finding('ok', text))
    return findings


def build_and_check(cfg: Any, folder: str) -> list[Finding]:
    """Build the parts of a run in a folder that is thrown away, and look at them."""
    from .checkpoint import check_checkpoint
    from .checks.data import dataset_of, every_image_has_an_object
    from .checks.run import WRONG_TTA, check_run
    from .config import build_runner, name_run

    cfg = copy.deepcopy(cfg)
    findings = []
    if cfg.get('load_from'):
        try:
            check_checkpoint(cfg.load_from, trust=False)
        except (OSError, ValueError) as error:
            findings.append(Finding('error', f'load_from: {error}'))
    cfg.update(work_dir=folder, load_from=None, resume=False, log_level='ERROR')
    cfg._format_python_code = False  # formatting takes seconds
    if cfg.get('visualizer'):
        cfg.visualizer.vis_backends = []
    name_run(cfg, 'doctor')
    runner = _try('', lambda: build_runner(cfg), findings)
    if runner is None:
        return findings
    built = []
    for split in ('train', 'val', 'test'):
        place = f'{split}_dataloader'
        loop = f'{split}_loop'
        if cfg.get(place) is None:
            built += ['val'] if split == 'val' else []
        elif _try(place, lambda name=loop: getattr(runner, name), findings) is not None:
            built.append(split)
    if cfg.get('optim_wrapper'):
        optim = _try('optim_wrapper', lambda: _build_optimizer(runner), findings)
        steps = cfg.get('param_scheduler')
        if optim is not None and steps is not None:
            runner.optim_wrapper = optim
            build = runner.build_param_scheduler
            _try('param_scheduler', lambda: build(steps), findings)
    if (cfg.get('tta_model') or {}).get('type') == 'SegTTAModel':
        findings.append(WRONG_TTA)
    findings += check_run(runner, built)
    if 'train' in built:
        findings += every_image_has_an_object(dataset_of(runner.train_loop))
        findings += unseen_chances(runner)
    return findings


# In a trial 600 iterations from scratch found no object, and 1,200 did.
FEW_ITERATIONS = 1000


def unseen_chances(runner: Any) -> list[Finding]:
    """Say what makes two trainings differ, and what may find nothing at all."""
    from .checks.run import find_losses, unwrap

    findings = []
    if (runner.cfg.get('randomness') or {}).get('seed') is None:
        text = (
            'each training draws a seed of its own, so that two of them differ by '
            'chance too'
        )
        findings.append(Finding('note', text, 'randomness = dict(seed=0)'))
    iterations = runner.train_loop.max_iters
    if iterations < FEW_ITERATIONS:
        text = (
            f'{iterations} iterations are few: from scratch a network may find no '
            'object yet, and levels stay 0 until the IoU is .2'
        )
        remedy = 'train_cfg: more iterations, or load_from = pretrained weights'
        findings.append(Finding('note', text, remedy))
    losses = find_losses(unwrap(runner.model))
    levels = any(type(hook).__name__ == 'ASLPHook' for hook in runner.hooks)
    if losses and not levels:
        findings.append(
            Finding(
                'note',
                f'SCBCELoss without ASLPHook: {perturbation_in_words(losses[0])}',
                "custom_hooks = [dict(type='ASLPHook', levels='border')]",
            )
        )
    return findings


def perturbation_in_words(loss: Any) -> str:
    """Say what a loss makes of its labels without levels."""
    criterion = loss.criterion
    if not criterion.alpha:
        return 'its alpha is 0, so it is binary cross entropy'
    if criterion.deterministic:
        eps = criterion.alpha * loss.perturbation.beta
        return f'label smoothing with eps = {eps:g}'
    return (
        f'a label is perturbed with the probability {criterion.alpha:g} and the '
        f'strength beta = {loss.perturbation.beta:g}'
    )


def _try(place: str, build: Callable[[], Any], findings: list[Finding]) -> Any:
    """Build a part; a failure becomes a finding."""
    where = f'{place}: ' if place else ''
    try:
        return build()
    except FileNotFoundError as error:
        findings.append(Finding('note', f'{where}{error}', 'make the data first'))
    except Exception as error:  # parts of others raise what they like
        text = str(error.args[0]) if error.args else repr(error)
        findings.append(Finding('error', f'{where}{text}'))
    return None


def _build_optimizer(runner: Any) -> Any:
    from mmseg.registry import OPTIMIZERS

    kind = (runner.optim_wrapper.get('optimizer') or {}).get('type')
    if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:
        raise KeyError(f'{kind} is not in the registry of optimizers')
    return runner.build_optim_wrapper(runner.optim_wrapper)
