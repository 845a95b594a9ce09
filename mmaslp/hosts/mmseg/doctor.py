"""``mmaslp doctor [CONFIG]``, will the plugin work here?

It lists the host (MMSegmentation), versions and known incompatibilities. For a config
it also lists what does not work or is measured wrongly. Each finding comes with the
command to run or the line to change. The exit code is 1 if there is an error, else 0.
"""

import argparse
import sys
from collections.abc import Sequence

from .checks.environment import check_environment, has_ops, installed_versions
from .checks.findings import Finding

__all__ = ['diagnose', 'examine', 'main']


def examine(config: str | None) -> list[Finding]:
    """Check the environment, and a config if one is given."""
    findings = check_environment(installed_versions(), has_ops())
    broken = any(finding.level == 'error' for finding in findings)
    if not broken:
        findings += _import_host()
    if config is None:
        return findings
    if broken:
        return [
            *findings,
            Finding('note', f'{config} was not read: mend the host first'),
        ]
    return findings + _examine_config(config)


def _import_host() -> list[Finding]:
    try:
        import mmseg.models  # noqa: F401
    except Exception as error:
        return [Finding('error', f'the host cannot be imported: {error!r}')]
    return []


def _examine_config(config: str) -> list[Finding]:
    from .checks.config import check_config, check_data
    from .checks.config_data import build_datasets, examine_data, iters_per_epoch
    from .config import load_config

    try:
        cfg = load_config(config)
    except Exception as error:
        return [Finding('error', f'{config} cannot be read: {error}')]
    datasets, findings = build_datasets(cfg)
    findings += check_config(cfg, iters_per_epoch(cfg, datasets.get('train')))
    findings += check_data(cfg) + examine_data(cfg, datasets)
    if not any(finding.level in ('error', 'warning') for finding in findings):
        findings.append(Finding('ok', f'{config} works with the plugin'))
    return findings


def diagnose(config: str | None = None) -> int:
    """Print the findings.

    Args:
        config (str, optional): A config to check too. Defaults to None.

    Returns:
        int: The exit code: 1 if there is an error, else 0.
    """
    findings = examine(config)
    for finding in findings:
        print(finding)
    errors = sum(finding.level == 'error' for finding in findings)
    print(f'{errors} error(s)' if errors else 'no error')
    return 1 if errors else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and print the findings; return the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m mmaslp.hosts.mmseg.doctor', description=__doc__.split('\n')[0]
    )
    parser.add_argument('config', nargs='?', help='config file to check')
    return diagnose(parser.parse_args(argv).config)


if __name__ == '__main__':
    sys.exit(main())
