"""Every figure in a table of README and docs is that of a file of results.

A table is known by its page and the beginning of its header. A new table with results
needs an entry here: where its figures come from, or why no file has them.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.test_docs.test_pages import DOCS, ROOT

RESULTS = ROOT / 'benchmarks' / 'results'
# Of its tables only those with a source are compared.
BENCHMARKS = 'benchmarks/README.md'
FIGURE = re.compile(r'(?<![\w.])[+-]?\d*\.\d+(?![\w.])')
SET = dict(polyps='kvasir_seg_320', people='ccp_person_320')


def load(name):
    return json.loads((RESULTS / f'{name}.json').read_text(encoding='utf-8'))


def plain(cell):
    """A cell without marks and links."""
    return re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', cell).replace('*', '').strip()


# Where the figures of a row come from: a function of the plain cells of a row and of
# those of the rows above it, to the values of the figures after its first cell.


def of_levels(row, above):
    """Levels and BCE on polyps, without and with a calibrator."""
    training = row[0].removesuffix(', then `mmaslp fit`')
    name = {
        'levels by band': 'band',
        'levels by image and band': 'image_band',
        'label smoothing': 'smoothing',
    }.get(training, 'bce')
    state = 'calibrated' if training != row[0] else 'raw'
    table = load('levels')['regimes']['pretrained']
    found = table[f'{SET["polyps"]} | {name} | {state}']
    keys = ['acc', 'ece', 'nll', 'aurc', 'nll corruptions', 'nll textures']
    keys += ['auroc_pixel', 'dice_error']
    return [found[key][0] for key in keys[: len(row) - 1]]


def of_many_epochs(row, above, regime='few_long'):
    training = row[0].removesuffix(', then `mmaslp fit`')
    state = 'calibrated' if training != row[0] else 'raw'
    name = {
        'levels by band': 'band',
        'levels by image and band': 'image_band',
        "`image`, the paper's MC": 'mc',
    }.get(training, 'bce')
    found = load('levels')['regimes'][regime][f'{SET["polyps"]} | {name} | {state}']
    keys = ('acc', 'ece', 'nll', 'aurc', 'nll corruptions', 'nll textures')
    return [found[key][0] for key in keys[: len(row) - 1]]


of_thirty_six_epochs = partial(of_many_epochs, regime='pretrained_long')


def of_differences(row, above):
    key = {
        'accuracy': 'acc',
        'ECE': 'ece',
        'NLL': 'nll',
        'NLL with a calibrator': 'nll',
        'AURC': 'aurc',
        'error of Dice': 'dice_error',
        'AUROC of objects': 'auroc_object',
        'NLL on corruptions': 'nll corruptions',
    }[row[0]]
    state = 'calibrated' if 'with a calibrator' in row[0] else 'raw'
    table = load('levels')['regimes']['pretrained']
    name = f'{SET["polyps"]} | image_band | {state}'
    return [*table[name][key][1:], *table[f'{name} | against band'][key][1:]]


def of_pairs(regime, data, keys):
    """BCE and levels beside one another; ``data`` has the set of each first cell."""

    def of_row(row, above):
        table = load('levels')['regimes'][regime]
        return [
            table[f'{data[row[0]]} | {training} | raw'][key][0]
            for key in keys
            for training in ('bce', 'image_band')
        ]

    return of_row


of_other_sets = of_pairs(
    'pretrained',
    {
        'people, 3': 'ccp_person_320',
        'steel defects, 2': 'sd_saliency_900',
        'nuclei, 2': 'dsb2018_nuclei_native',
    },
    ('ece', 'nll', 'aurc', 'nll corruptions'),
)
of_few_images = of_pairs(
    'few',
    {
        'people': 'ccp_person',
        'nuclei': 'dsb2018_nuclei',
        'polyps': 'kvasir_seg_320',
        'steel defects': 'sd_saliency_900',
        'magnetic tiles': 'mt_defect',
    },
    ('ece', 'nll', 'aurc', 'nll corruptions'),
)


def of_paper(row, above):
    """Means of three seeds, from rows of one, of two, or of three seeds."""
    data, _, training = row[0].partition(', ')
    name = {
        'BCE': 'bce',
        'label smoothing .02': 'smoothing02',
        'SLP': 'slp02',
        'ASLP': 'mc',
        "ASLP, `rule='ME'`": 'me',
        "ASLP, `rule='FB'`": 'fb',
        "ASLP, `beta='M'`": 'mc_m',
    }[training]

    def mean(key, state):
        table = load('paper')['table']
        start = f'{SET[data]} | {name}'
        whole = table.get(f'{start}, 3 seeds | {state}')
        if whole:
            return whole[key][0]
        parts = [
            table[f'{start} | {state}'],
            table[f'{start}, seeds 1 and 2 | {state}'],
        ]
        return (parts[0][key][0] + 2 * parts[1][key][0]) / 3

    values = [mean('acc', 'raw')]
    for key in ('ece', 'aurc', 'nll textures', 'nll corruptions'):
        values += [mean(key, 'raw'), mean(key, 'calibrated')]
    return values


def of_short_paper(row, above):
    """Of the page of ASLP: ECE, and NLL on corruptions."""
    values = of_paper(row, above)
    return [*values[1:3], *values[-2:]]


def of_published(row, above):
    network = next(line[0] for line in [row, *reversed(above)] if line[0])
    calibrator = {
        'none': 'shipped',
        'temperature': 'shipped + temperature',
        '`fit_calibrator`': 'shipped + calibrator',
        "`target='probability'`": 'shipped + calibrator (probability)',
    }[row[1]]
    data = {'MediaPipe, general': 'general', 'ISNet': 'isnet'}[network]
    found = load('published')['table'][calibrator][data]
    return [found[key][0] for key in ('ece_band', 'nll', 'nll_ood')]


def of_recipe(row, above):
    table = load(f'recipe_{row[0]}')['table']
    name = {
        'none': 'bce',
        'temperature': 'bce + temperature',
        '`fit_calibrator`': 'bce + calibrator',
    }[row[1]]
    found = table[name]['mean']
    return [*found['ece_band'], found['ece'][0], found['nll'][0]]


def of_rivals(row, above):
    name = {
        'BCE': 'bce',
        'levels by band': 'border',
        'AdaFocal': 'adafocal',
        'AdaFocal by band': 'adafocal_band',
        'mL1-ACE by band': 'ml1_ace_band',
        'SVLS': 'svls',
        'CRaC': 'crac',
    }.get(row[0], 'bce')
    calibrator = {
        'BCE, LTS in place of our calibrator': 'LTS',
        'BCE, LTS that sees the distance': 'LTS with the distance',
    }.get(row[0], 'calibrator')
    table = load('recipe_few')['table']
    found = table[f'{name} + {calibrator}']['mean']
    return [
        *found['ece_band'],
        table[name]['mean']['ece_band'][0],
        found['nll'][0],
        *found['nll_ood'],
        found['acc'][0],
        found['miou_keep'][0],
    ]


def of_shift(row, above):
    name = {
        'none': '',
        '`fit_calibrator`': ' + calibrator',
        "`target='probability'`": ' + calibrator (probability)',
    }[row[1]]
    training = {'BCE': 'bce', 'levels by band': 'border'}[row[0]]
    found = load('recipe_few')['table'][training + name]['mean']
    return [found['ece_band_shift'][0], found['nll_shift'][0]]


NETWORKS = {
    'MediaPipe, its maps': 'mediapipe',
    'MediaPipe, general': 'general',
    'MediaPipe, landscape': 'landscape',
    'U-Net, people': 'ccp_person',
    'U-Net, steel defects': 'sd_saliency_900',
    'U-Net, polyps': 'kvasir_seg_320',
    'U-Net, nuclei': 'dsb2018_nuclei',
    'U-Net, tile defects': 'mt_defect',
}


def decision(network, key):
    """Mean over the seeds that have a figure; None if none has."""
    sets = load('decisions')['sets']
    start = NETWORKS[network]
    values = [
        held['figures'][key][0]
        for name, held in sets.items()
        if name.partition('/')[0] == start and key in held['figures']
    ]
    return sum(values) / len(values) if values else None


def of_objects(row, above):
    values = []
    for side, column in (('shipped', 1), ('ours', 2)):
        if FIGURE.search(row[column]):
            values.append(decision(row[0], f'ece_object {side}'))
    return values


def of_images(row, above):
    keys = [f'dice_error {side}' for side in ('shipped', 'moval', 'ours')]
    keys += ['covered', 'aurc confidence', 'aurc ours']
    return [decision(row[0], key) for key in keys]


def of_dice_masks(row, above):
    """Mean Dice of three masks, and what a calibrator's gains, or loses, by image."""
    name = {
        'MediaPipe, its maps': 'mediapipe',
        'SINet': 'sinet',
        'ISNet, 46 frames of 10 videos': 'isnet',
        'U-Net, people': 'ccp_person_320-bce',
        'U-Net, polyps': 'kvasir_seg_320-bce',
        'U-Net, polyps, levels': 'kvasir_seg_320-image_band',
        'U-Net, steel defects': 'sd_saliency_900-bce',
        'U-Net, nuclei': 'dsb2018_nuclei_native-bce',
    }.get(row[0]) or row[0].rpartition(' ')[2].lower()
    found = load('dice_masks')['sets'][name]
    masks = ('half', 'RankSEG', 'calibrator, Dice')
    values = [found['dice'][mask][0] for mask in masks]
    for mask in masks[:2]:
        values += [*found['gain'][mask], found['losses'][mask]]
    return values


def of_elsewhere(row, above):
    found = load('elsewhere')['sets']['sinet'][row[0].partition(' (')[0]]
    keys = ['auc', 'above_bound', 'aurc', 'aurc_soft_dice']
    return [found[key] for key in keys if found[key] is not None]


def of_calibrators(row, above):
    table = load('alternatives')['calibrators']
    name = re.sub(r'[`,]', '', row[0]).replace('Fiducio', 'fiducio')
    found = table['as shipped' if name == 'none' else name]
    keys = ['ece', 'ece_band', 'nll', 'moved']
    keys += [] if name == 'none' else ['seconds']
    return [found[key] for key in keys]


def of_costs(row, above):
    table = load('alternatives')
    fits = row[0].startswith('`fit_calibrator`')
    found = table['calibrators']['mmaslp fit'] if fits else table['metrics']['mmaslp']
    return [found['seconds']]


def of_windows(row, above):
    data = NETWORKS[f'U-Net, {row[0]}']
    table = load('windows_few')['calibrated']
    return [
        table[training][data][key][0]
        for key in ('found_windows', 'miou', 'nll_textures')
        for training in ('bce', 'bce_windows')
    ]


PATIENTS = {
    'steel defects': 'sd_saliency_900',
    'nuclei': 'dsb2018_nuclei_native',
    **SET,
}


def of_patients(row, above):
    network = next(line[0] for line in [row, *reversed(above)] if line[0])
    found = load('patients')[f'{PATIENTS[network]}/bce/seed0'][row[1]]
    values = [found['ece_band']]
    if '(' in row[3]:
        values.append(found['ece_band_raw'])
    return [*values, found['dice_error'], found['held'], found['width']]


def of_forty_patients(row, above):
    found = load('patients')[f'{PATIENTS[row[0]]}/bce/seed0']['40']
    return [found['dice_error'], found['held']]


def of_prompts(row, above):
    """The least and the largest figure of the networks of a row, or all of two."""
    start = {
        'steel defects, 3': 'sd_saliency_900',
        'polyps, 6': 'kvasir_seg_320',
        'nuclei, 3': 'dsb2018_nuclei_native',
        'people, 3': 'ccp_person_320',
        'people, two published networks': ('mediapipe', 'sinet'),
    }[row[0]]
    chosen = [v for name, v in load('prompts').items() if name.startswith(start)]
    columns = [
        [min(v['line_of_mean'], v['line_of_stability']) for v in chosen],
        *([v[key] for v in chosen] for key in ('error', 'ratio', 'held')),
    ]
    if len(chosen) == 2:
        return [value for column in columns for value in column]
    values = []
    for decimals, column in zip((3, 3, 2, 2), columns):
        ends = sorted({round(min(column), decimals), round(max(column), decimals)})
        values += ends
    return values


def of_demo(row, above):
    """Means of the three seeds of a training."""
    seeds = [run[row[0]] for run in load('demo')['runs'].values()]
    keys = ('ece', 'nll', 'dice', 'auroc_object')
    return [sum(seed[key] for seed in seeds) / len(seeds) for key in keys]


def of_mmseg(row, above):
    """Means of the two seeds of a training in MMSegmentation."""
    runs = load('mmseg_levels')['runs']
    seeds = [runs[f'{row[0].split(",")[0].strip("`")}/seed{seed}'] for seed in (0, 1)]
    keys = ('acc', 'ece', 'nll', 'aurc', 'dice', 'dice_error')
    return [sum(seed[key] for seed in seeds) / 2 for key in keys]


def of_scale(row, above):
    command = row[0].strip('`')
    found = load('scale')
    sides = ('after', 'before')
    images = [found[f'png8, {side}'][f'{command}, 1'] for side in sides]
    volumes = [found[f'nii.gz, {side}'][f'{command}, 1'] for side in sides]
    tiny = [found[f'tiny, {side}'][command] for side in sides]
    columns = (
        (images, 'ratio'),
        (images, 'peak_mb'),
        (volumes, 'ratio'),
        (tiny, 'exponent'),
        (tiny, 'peak_ratio'),
    )
    values = []
    for pair, key in columns:
        for side in pair:
            values.append(side[key] / 1000 if key == 'peak_mb' else side[key])
    return values


@dataclass(frozen=True)
class Source:
    """Where the figures of a table come from.

    Attributes:
        page (str): README.md, a page of docs, or BENCHMARKS.
        header (str): How the first line of the table begins.
        values (Callable | None): From a row to the values of its figures.
        reason (str): Without ``values``, why no file of results has them.
    """

    page: str
    header: str
    values: Callable | None = None
    reason: str = ''


SOURCES = (
    Source('README.md', '| training | accuracy | ECE | NLL | AURC |', of_levels),
    Source('levels.md', '| training | accuracy | ECE | NLL | AURC |', of_levels),
    Source('levels.md', '| | from BCE | from levels by band |', of_differences),
    Source('levels.md', '| set, seeds | ECE: BCE | levels |', of_other_sets),
    Source('levels.md', '| set | ECE: BCE | levels |', of_few_images),
    Source('levels.md', '| `doctor --levels` |', of_mmseg),
    Source(BENCHMARKS, '| 300 epochs |', of_many_epochs),
    Source(BENCHMARKS, '| 36 epochs |', of_thirty_six_epochs),
    Source(BENCHMARKS, '| smoothing | accuracy |', of_levels),
    Source(BENCHMARKS, '| command | CPU time, images |', of_scale),
    Source('aslp.md', '| set, training | ECE |', of_short_paper),
    Source(BENCHMARKS, '| set, training | accuracy | ECE |', of_paper),
    Source(BENCHMARKS, '| network | calibrator | ECE by band |', of_published),
    Source('results.md', '| regime | calibrator | ECE by band |', of_recipe),
    Source('results.md', '| network | ECE of objects', of_objects),
    Source('results.md', '| network | error of Dice', of_images),
    Source(BENCHMARKS, '| network | Dice: p > 1/2 |', of_dice_masks),
    Source(BENCHMARKS, '| training | ECE by band | without a calibrator |', of_rivals),
    Source('results.md', '| training | calibrator | ECE by band |', of_shift),
    Source(BENCHMARKS, '| maps | differ | AUC |', of_elsewhere),
    Source('alternatives.md', '| calibrator | ECE |', of_calibrators),
    Source('nnunet.md', '| network | calibrator helps |', of_forty_patients),
    Source(BENCHMARKS, '| network | patients |', of_patients),
    Source(BENCHMARKS, '| networks | prompts, fit / test |', of_prompts),
    Source('support.md', '| what | time | memory |', of_costs),
    Source('mmseg.md', '| training | ECE | NLL | Dice |', of_demo),
    Source(BENCHMARKS, '| set | found: BCE | windows |', of_windows),
    Source(
        'nnunet.md',
        '| training | Dice | ECE | NLL |',
        reason='benchmarks/nnunet.sh prints it; a run takes hours, and left no file',
    ),
)


@dataclass(frozen=True)
class ShownTable:
    """A table of a page: its header, and the plain cells of its rows."""

    page: str
    header: str
    rows: tuple[tuple[str, ...], ...]


def tables() -> Iterator[ShownTable]:
    pages = {path.name: path for path in (ROOT / 'README.md', *DOCS.glob('*.md'))}
    pages[BENCHMARKS] = ROOT / BENCHMARKS
    for name, path in sorted(pages.items()):
        text = path.read_text(encoding='utf-8')
        for table in re.findall(r'(?:^\|.*\n)+', text, re.MULTILINE):
            header, _, *lines = table.splitlines()
            rows = tuple(
                tuple(plain(cell) for cell in line.strip().strip('|').split('|'))
                for line in lines
            )
            yield ShownTable(name, header, rows)


def shows_results(table):
    """Whether most rows have a cell that begins with a figure without a leading 0."""
    rows = [row for row in table.rows if any(re.match(r'[+-]?\.\d', c) for c in row)]
    return 2 * len(rows) > len(table.rows)


def sources_of(table):
    return [
        source
        for source in SOURCES
        if source.page == table.page and table.header.startswith(source.header)
    ]


def wrong_figures(table, values):
    for number, row in enumerate(table.rows):
        figures = FIGURE.findall(' | '.join(row[1:]))
        expected = values(row, table.rows[:number])
        if len(figures) != len(expected):
            yield f'{row}: {len(figures)} figures, {len(expected)} in the file'
            continue

        for figure, value in zip(figures, expected):
            decimals = len(figure.partition('.')[2])
            # Files are rounded themselves, so that a half may go either way.
            nearest = 0.52 * 10**-decimals
            if not abs(float(figure) - value) <= nearest:
                yield f'{row}: {figure} is {value:.6f}'


@pytest.mark.parametrize(
    'source', SOURCES, ids=lambda source: f'{source.page}-{source.header[:30]}'
)
def test_a_table_shows_the_figures_of_its_file(source):
    shown = [table for table in tables() if source in sources_of(table)]
    assert len(shown) == 1, f'{len(shown)} tables of {source.page} begin so'
    if source.values is None:
        assert source.reason
    else:
        assert not list(wrong_figures(shown[0], source.values))


def test_every_table_with_results_has_a_source():
    missing = [
        f'{table.page}: {table.header}'
        for table in tables()
        if table.page != BENCHMARKS and shows_results(table) and not sources_of(table)
    ]
    assert not missing


def test_a_wrong_figure_is_found():
    (table,) = [table for table in tables() if sources_of(table) == [SOURCES[0]]]
    row = ('binary cross entropy (BCE)', '.9544', '.0181', '.132', '.083', '.378')
    changed = ShownTable(table.page, table.header, (row,))
    assert len(list(wrong_figures(changed, of_levels))) == 1
