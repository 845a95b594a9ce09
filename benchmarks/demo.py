"""Run `mmaslp demo` with three seeds, and keep what it measured.

    python benchmarks/demo.py WORK_DIR

Seeds that are in ``WORK_DIR`` already do not run again.
"""

import argparse
import json
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parent / 'results' / 'demo.json'
SEEDS = (0, 1, 2)
METRICS = ('ece', 'ece_band', 'acc', 'nll', 'dice')
OF_OBJECTS = ('ece_object', 'auroc_object', 'dice_error')


def rows_of(folder: Path, seed: int) -> dict[str, dict[str, float]]:
    """Metrics by training, raw and calibrated."""
    page = folder / 'report.report.json'
    if not page.is_file():
        words = ['demo', '--work-dir', folder, '--seed', seed, '--overwrite']
        subprocess.run([sys.executable, '-m', 'mmaslp', *map(str, words)], check=True)
    rows = json.loads(page.read_text('utf-8'))
    keys = METRICS + OF_OBJECTS
    return {row['model']: {key: row[key] for key in keys} for row in rows}


def main() -> None:
    """Write ``results/demo.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work_dir', type=Path)
    work_dir = parser.parse_args().work_dir
    seeds = {f'seed{seed}': rows_of(work_dir / f'seed{seed}', seed) for seed in SEEDS}
    machine = platform.processor() or platform.machine()
    content = {'date': date.today().isoformat(), 'machine': machine, 'runs': seeds}
    RESULTS.write_text(json.dumps(content, indent=1) + '\n', 'utf-8')


if __name__ == '__main__':
    main()
