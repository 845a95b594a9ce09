"""Say whether mmaslp will work here: MMSegmentation, versions, known faults.

With a config also what does not work or is measured wrongly, and one patch to paste at
its end. A config without ASLPHook and SCBCELoss gets levels by image and band.

Example:
    mmaslp doctor CONFIG --data FOLDER --patch levels.py
"""

import argparse
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from ..integrations.mmseg.checks.findings import PATCH, Diagnosis, Finding, noted
from .arguments import CONFIG_HELP, add_data_option, add_overwrite
from .environment import check_environment, installed_versions
from .errors import with_options

# Findings are printed in this order, so that the worst stand above the prompt.
_LEVELS = ('ok', 'note', 'warning', 'error')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', nargs='?', help=CONFIG_HELP)
    add_data_option(parser)
    parser.add_argument(
        '--levels',
        choices=('image_band', 'band', 'image', 'none'),
        help='what the patch adds to a config without ASLPHook: levels by image and '
        "band, by band, by image as in the paper (rule='MC'), or none, for binary "
        'cross entropy alone; by default image_band if it has no SCBCELoss either',
    )
    parser.add_argument(
        '--patch',
        metavar='FILE',
        help='write the patch, as a config that has CONFIG as its base',
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Print the patch and the findings; 1 if there is an error."""
    from .. import register_components

    warnings.simplefilter('ignore')  # of MMSegmentation, while it builds
    _check_arguments(args)
    register_components()
    if args.config and find_spec('mmseg') is not None:
        _check_files(args)
    diagnosis = examine(args.config, args.data, args.levels)
    if diagnosis.has_patch and not args.patch:
        _print_patch(args.config, diagnosis)
    _print_findings(diagnosis.findings)
    if diagnosis.has_patch:
        _finish_patch(args, diagnosis)
    elif args.patch:
        print(f'there is no patch, so that {args.patch} was not written')
    print(f'{_counts(diagnosis.findings)}; nothing was trained')

    if not args.patch or not diagnosis.has_patch:
        return int(bool(diagnosis.errors))
    cured = len(diagnosis.errors) - len(diagnosis.uncured)
    if cured:
        print(f'{args.patch} puts right {cured} of {len(diagnosis.errors)} errors')
    return int(bool(diagnosis.uncured))


def _print_patch(config: str, diagnosis: Diagnosis) -> None:
    """Print the lines to paste, and an empty one."""
    from ..integrations.mmseg.doctor import pasted

    print(f'# Paste at the end of {config}, or add --patch FILE:')
    print(pasted(config, diagnosis.original, diagnosis.mended) + '\n')


def _print_findings(findings: Sequence[Finding]) -> None:
    """Print findings, the worst last, and a remedy of several in a row once."""
    ordered = sorted(findings, key=lambda finding: _LEVELS.index(finding.level))
    for index, finding in enumerate(ordered):
        following = ordered[index + 1 : index + 2]
        if finding.remedy != PATCH and finding.remedy in [f.remedy for f in following]:
            finding = replace(finding, remedy='')
        print(with_options(str(finding)))


def _check_arguments(args: argparse.Namespace) -> None:
    """Refuse a patch that is no config, and options that change no config."""
    if args.patch and not args.patch.endswith('.py'):
        raise ValueError(
            f'--patch {args.patch} is not a config: name a new file that ends with .py'
        )
    if (args.data or args.patch) and not args.config:
        raise ValueError(
            '--data and --patch change a config: name one; `mmaslp prepare FOLDER` '
            'checks a folder alone'
        )


def _check_files(args: argparse.Namespace) -> None:
    """Refuse a config that is not there, and a patch in the place of another file."""
    from ..common.outputs import check_outputs
    from ..integrations.mmseg.config import find_config

    config = find_config(args.config)
    check_outputs({'--patch': args.patch}, [config], args.overwrite)


def _counts(findings: Sequence[Finding]) -> str:
    """How many findings there are of each level, in words."""
    counts = Counter(finding.level for finding in findings)
    words = []
    for level in ('error', 'warning', 'note'):
        if counts[level] == 1:
            words.append(f'1 {level}')
        elif counts[level] or level == 'error':
            words.append(f'{counts[level]} {level}s')
    return ', '.join(words)


def examine(
    config: str | None, data: str | None = None, levels: str | None = None
) -> Diagnosis:
    """Check the environment, and a config, by building what it says.

    ``data`` is a folder of images and masks in place of those of the config, ``levels``
    what the patch adds to a config without ASLPHook, if that is asked for.
    """
    has_ops = find_spec('mmcv') is not None and find_spec('mmcv._ext') is not None
    diagnosis = Diagnosis(check_environment(installed_versions(), has_ops))
    if config is None and find_spec('mmseg') is None:
        return diagnosis  # the user has maps, or PyTorch
    if not diagnosis.has('error'):
        with noted('MMSegmentation cannot be imported', diagnosis.findings):
            from ..integrations.mmseg.config import import_mmseg

            import_mmseg()

    if config is not None and not diagnosis.has('error'):
        from ..integrations.mmseg.doctor import examine_config

        examine_config(config, data, levels, diagnosis)
    return diagnosis


def _finish_patch(args: argparse.Namespace, diagnosis: Diagnosis) -> None:
    """Write the patch to a file if there is one, and say what it leaves."""
    if args.patch is not None:
        _write_patch(args.config, args.patch, args.overwrite, diagnosis)
        print(f'\n{args.patch} is {args.config} with the patch', end='')
        print(_what_is_left(diagnosis))
    elif diagnosis.uncured:
        print(f'The patch stands above{_what_is_left(diagnosis)}')
    else:
        print('The patch stands above')


def _write_patch(config: str, file: str, overwrite: bool, diagnosis: Diagnosis) -> None:
    """Write a config that has another one as its base."""
    from mmengine.config import Config

    from ..common.outputs import check_outputs, write_output
    from ..integrations.mmseg.config import bases_of, find_config
    from ..integrations.mmseg.doctor import child_config

    base = find_config(config)
    if Config._is_lazy_import(base):
        raise ValueError(
            f'--patch: {config} imports its bases (read_base), and no file with _base_ '
            'can build on it: leave --patch out, and paste the lines that are printed'
        )
    check_outputs({'--patch': file}, bases_of(base), overwrite)
    base = os.path.relpath(base, os.path.dirname(os.path.abspath(file)))
    text = child_config(base, diagnosis.original, diagnosis.mended)
    write_output(file, text, overwrite)


def _what_is_left(diagnosis: Diagnosis) -> str:
    """What is to do before a patched config can be trained, or that it can."""
    if not diagnosis.uncured:
        words = ''
        if _trains_without_levels(diagnosis):
            words = ', which trains without levels'
        if diagnosis.has('warning'):
            return f'{words}: read the warnings, then train with it'
        return f'{words}: train with it'
    lines = ['. Before you train with it, put right what it leaves:']
    for error in diagnosis.uncured:
        lines.append(f'- {error.message.splitlines()[0]}')
    return with_options('\n'.join(lines))


def _trains_without_levels(diagnosis: Diagnosis) -> bool:
    """Whether a patched config trains binary cross entropy alone."""
    for hook in diagnosis.mended.get('custom_hooks') or []:
        if hook.get('type') == 'ASLPHook':
            return hook.get('levels', 'image_band') is None
    return True
