"""What the pages promise, sentence by sentence, and the test that holds each.

A promise stands below with its page and the test. If somebody changes the sentence, or
moves the test, a test here fails. So does a new point of the sections that
`test_every_point_has_a_promise` names, if no test holds it.
"""

import ast
import json
import os
import re
import resource
import shutil
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmaslp.common.inputs import MAX_BYTES, MOST_TEXT
from mmaslp.evaluation import result as results
from mmaslp.files import images
from mmaslp.files.map_pairs import read_pair
from mmaslp.files.prob_maps import USUAL, MapReader
from tests.evil import Evil, command
from tests.map_folders import save, write_set

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = 'docs/commands.md'
SECURITY = 'SECURITY.md'
MAPS = 'docs/maps.md'
NETWORK = 'docs/network.md'
FILES = 'docs/api/files.md'
METRICS_OF_MMSEG = 'docs/api/config.md'
CHANGES = 'CHANGELOG.md'
MMSEG = 'tests/test_integrations/test_mmseg/'
HERE = 'tests/test_promises.py'


@dataclass(frozen=True)
class Promise:
    """A sentence of a page, or a part of it, and the test that holds it."""

    page: str
    sentence: str
    test: str


def promises(page, *pairs):
    return [Promise(page, sentence, test) for sentence, test in pairs]


PROMISES = [
    *promises(
        COMMANDS,
        (
            '`mmaslp COMMAND --help` shows the arguments of a command, with an '
            'example.',
            'tests/test_commands/test_main.py::test_help_has_an_example_of_the_command',
        ),
        (
            '[One page](api/commands.md) lists all commands and arguments.',
            'tests/test_commands/test_docs.py::test_the_page_holds_the_arguments_of_today',
        ),
        ('| 0 | done |', f'{HERE}::test_exit_codes'),
        (
            '| 1 | an alarm (`doctor`, `drift`, `--limit`, `--fail-if-worse`)',
            f'{HERE}::test_exit_codes',
        ),
        (
            'or a failure that the input did not cause |',
            'tests/test_commands/test_errors.py::test_failures',
        ),
        (
            '| 2 | an input, an argument or an output cannot be used |',
            f'{HERE}::test_exit_codes',
        ),
        (
            '| 130, 143 | interrupted by Ctrl-C (SIGINT) or by SIGTERM |',
            'tests/test_commands/test_errors.py::test_signals',
        ),
        (
            'If the code is 2, one message on stderr says what to change.',
            f'{HERE}::test_a_refusal_is_one_message',
        ),
        (
            '`MMASLP_TRACEBACK=1` adds the traceback.',
            f'{HERE}::test_a_refusal_is_one_message',
        ),
        (
            'An existing file is replaced only with `--overwrite`',
            'tests/test_commands/test_outputs.py::'
            'test_a_file_is_replaced_with_overwrite_only',
        ),
        (
            'A command checks all outputs before it reads a map.',
            f'{HERE}::test_outputs_are_checked_before_a_map_is_read',
        ),
        (
            'An input is never replaced**, even with `--overwrite`.',
            'tests/test_commands/test_outputs.py::test_an_input_is_never_replaced',
        ),
        (
            'Nothing is written into a folder of maps, masks or images that is read,',
            f'{HERE}::test_nothing_is_written_into_a_folder_that_is_read',
        ),
        (
            'except the lists train.txt, val.txt and test.txt of `prepare`, '
            '`train --data` and `doctor --data`.',
            f'{HERE}::test_only_lists_are_written_into_a_set',
        ),
        (
            'A file is written whole or not at all.** On a full disk the old file '
            'stays, and the message names it.',
            f'{HERE}::test_a_full_disk_leaves_a_file_whole',
        ),
        (
            'One training per folder.** `train` stops if another training runs in the '
            'work directory.',
            f'{MMSEG}test_training.py::test_two_trainings_at_once_are_refused',
        ),
        (
            'To replace or continue a finished one, add `--overwrite` or `--resume`.',
            f'{MMSEG}test_outputs.py::test_a_used_work_directory_stops',
        ),
        (
            "`train`, `test` and `fit` read checkpoints only with torch's safe "
            'loader, and refuse all others.',
            f'{MMSEG}test_checkpoint.py::test_no_way_in',
        ),
        (
            '`--trust-checkpoint` reads your own old files.',
            f'{MMSEG}test_checkpoint.py::test_an_old_file_of_ones_own_is_tested',
        ),
        (
            'Without random augmentation, the result is bit-equal to an '
            'uninterrupted training.',
            f'{MMSEG}test_engine/test_aslp_hook.py::'
            'test_killed_and_resumed_equals_uninterrupted',
        ),
        (
            'Several processes give the same metrics as one process, bit for bit,',
            f'{MMSEG}test_evaluation/test_streaming_metric.py::'
            'test_any_number_of_processes_gives_the_same_bits',
        ),
        (
            'and have the same levels.',
            'tests/test_common/test_processes.py::test_two_processes_have_the_levels_of_one',
        ),
    ),
    *promises(
        SECURITY,
        (
            'run code from a checkpoint. `--trust-checkpoint`',
            f'{MMSEG}test_checkpoint.py::test_the_check_refuses',
        ),
        (
            'write outside of the folder that it was told to write to,',
            f'{HERE}::test_a_name_in_a_file_leads_nowhere',
        ),
        (
            'or over one of its inputs;',
            'tests/test_common/test_outputs.py::'
            'test_a_file_is_lost_only_on_purpose_and_an_input_never',
        ),
        (
            'take memory or disk without bound for a small file;',
            'tests/test_commands/test_read_files.py::'
            'test_a_bomb_is_refused_before_it_is_unpacked',
        ),
        (
            'put a name or a value into an HTML report as markup.',
            f'{HERE}::test_a_name_is_no_markup',
        ),
        (
            'Pipes and devices are refused, and a size is looked at before a file is '
            'read.',
            'tests/test_commands/test_read_files.py::test_it_is_refused_by_name',
        ),
        (
            '`tests/test_commands/test_read_files.py` puts seven things in the place '
            'of each of these files.',
            f'{HERE}::test_seven_things_are_put_in_the_place_of_each_file',
        ),
        (
            '| checkpoint, also of a URL | torch with `weights_only`; the names that '
            'it asks for are checked first |',
            f'{MMSEG}test_checkpoint.py::test_a_checkpoint_that_is_fetched',
        ),
        (
            '| an archive unpacks to 2 GB or 200 times the file |',
            f'{MMSEG}test_checkpoint.py::test_a_bomb_costs_a_message',
        ),
        (
            '| config, and each `_base_` at any depth | MMEngine, as Python. YAML and '
            'JSON are refused, since MMEngine calls what they name | 16 MB |',
            f'{MMSEG}test_refusals.py::test_a_config_that_looks_like_data_is_refused',
        ),
        (
            '| image, map or mask as PNG, JPEG, TIFF, BMP, GIF, WebP | Pillow, in '
            'these formats whatever the name, one frame |',
            f'{HERE}::test_formats_are_those_of_the_table',
        ),
        (
            "| twice Pillow's limit of pixels |",
            'tests/test_commands/test_messages.py::'
            'test_an_image_above_the_limit_of_pillow',
        ),
        (
            '| `.npy`, `.npz` | numpy, without pickle | 2 GB or 200 times the file, as '
            'stored;',
            f'{HERE}::test_an_array_runs_nothing',
        ),
        (
            '| `.nii`, `.nii.gz` | nibabel, up to the checksum | as `.npz` |',
            'tests/test_files/test_volumes.py::test_a_corrupt_gzip_is_one_problem',
        ),
        (
            '| `dataset.json`, `plans.json`, list of names | JSON, text | 16 MB |',
            f'{HERE}::test_limits_are_those_of_the_table',
        ),
        (
            '| calibrator, result | JSON, and each number that is applied or shown is '
            'checked by itself | 1 MB, 256 MB |',
            f'{HERE}::test_limits_are_those_of_the_table',
        ),
        (
            'A pattern of `--groups` may take ten seconds.',
            'tests/test_commands/test_read_files.py::test_a_pattern_that_does_not_end',
        ),
    ),
    *promises(
        MAPS,
        (
            'The last command compares before and after, with intervals.',
            f'{HERE}::test_the_first_commands_of_the_page',
        ),
        (
            'Folds, intervals and tests then count patients instead of images.',
            'tests/test_commands/test_compare.py::test_patients_are_told_by_their_names',
        ),
        ('| 8-bit grey image | 255 |', f'{HERE}::test_the_value_of_probability_1'),
        ('| 16-bit grey image | 65535 |', f'{HERE}::test_the_value_of_probability_1'),
        (
            '| `.npy`, `.npz` of floats, `(H, W)` or `(D, H, W)` | 1 |',
            f'{HERE}::test_the_value_of_probability_1',
        ),
        (
            '| `.nii`, `.nii.gz` of floats (`pip install ".[volumes]"`) | 1 |',
            'tests/test_files/test_volumes.py::test_files_give_the_figures_of_the_arrays',
        ),
        (
            '| `.npz` of `nnUNetv2_predict --save_probabilities`, with its '
            '`dataset.json` | 1 |',
            'tests/test_files/test_nnunet_maps.py::test_foreground_of_a_softmax',
        ),
        (
            'of logits, with `--logits` (not in `eval-maps`) | |',
            f'{HERE}::test_logits_are_read_if_asked_for',
        ),
        (
            '| anything else, such as per cent | give it: `--max-value 100` |',
            'tests/test_files/test_prob_maps.py::'
            'test_a_scale_that_is_not_clear_is_asked_for',
        ),
        (
            '`--key` names the array if an `.npz` file contains several.',
            f'{HERE}::test_a_key_and_a_channel',
        ),
        (
            '`--channel` names the foreground among several channels.',
            f'{HERE}::test_a_key_and_a_channel',
        ),
        (
            'or arrays and NIfTI files of 0 and 1, or of 0 and 255.',
            f'{HERE}::test_masks_are_of_0_and_1_or_255',
        ),
        (
            'If the maps come from nnU-Net, its label files can be read too.',
            'tests/test_files/test_nnunet_maps.py::'
            'test_labels_of_each_kind_that_nnunet_writes',
        ),
        (
            'Arrays have the axes (D, H, W), as in nnU-Net. Transpose '
            "nibabel's arrays, which are (W, H, D).",
            'tests/test_files/test_volumes.py::test_a_transposed_mask_is_named',
        ),
        (
            'A NIfTI mask must have the same position and orientation as its map.',
            'tests/test_files/test_volumes.py::'
            'test_a_mask_that_lies_elsewhere_is_one_problem',
        ),
        (
            'A map must have the size of its mask. If not, resize the '
            'probabilities, not the mask.',
            f'{HERE}::test_another_size_is_refused',
        ),
        (
            'A folder contains either images or volumes.',
            'tests/test_workflows/test_count.py::test_images_and_volumes_are_not_mixed',
        ),
        (
            'Each map needs a mask of the same name.',
            f'{HERE}::test_partners_and_hidden_files',
        ),
        (
            '`apply` writes all maps or none:',
            'tests/test_commands/test_fit_and_apply.py::'
            'test_a_map_is_read_once_and_all_or_nothing_is_written',
        ),
        (
            'images as 16-bit PNG, arrays as `.npy` and `.npz`,',
            f'{HERE}::test_maps_and_masks_of_apply',
        ),
        (
            'volumes as NIfTI with header and affine.',
            'tests/test_files/test_volumes.py::test_maps_and_masks_are_written_as_they_came',
        ),
        (
            'The outputs are marked as calibrated.',
            'tests/test_commands/test_fit_and_apply.py::test_maps_are_not_calibrated_twice',
        ),
        (
            '| `keep` | the decision of the network |',
            f'{HERE}::test_maps_and_masks_of_apply',
        ),
        (
            '| `accuracy` | the more probable class of each pixel |',
            f'{HERE}::test_accuracy_is_the_more_probable_class',
        ),
        (
            '| `dice` | for each image or volume, the mask with the largest '
            'expected Dice |',
            'tests/test_calibration/test_masks.py::'
            'test_no_other_number_of_pixels_has_a_higher_expected_dice',
        ),
        (
            '`compare` says which network is better, whether the difference is '
            'beyond chance, and what to do.',
            'tests/test_commands/test_compare.py::test_comparison',
        ),
        (
            'It prints every difference with its 95 % interval.',
            f'{HERE}::test_compare_prints_every_metric',
        ),
        (
            '`compare FILE` compares each model in a file with the first one, '
            'and each calibrated model with its raw one.',
            'tests/test_commands/test_compare.py::test_both_models_of_one_file',
        ),
        (
            'A report is one HTML page, which needs no other file:',
            'tests/test_report/test_page.py::test_page_needs_nothing_else',
        ),
    ),
    *promises(
        FILES,
        (
            "Bands of distance lie in slices. nnU-Net's plan names the axis;",
            'tests/test_files/test_volumes.py::test_the_plan_of_nnunet_names_the_slices',
        ),
        (
            'without a plan it is that of the largest spacing, by the NIfTI '
            'file itself or one beside it; else the first.',
            'tests/test_files/test_volumes.py::test_slices_lie_across_the_coarsest_axis',
        ),
        (
            'of images as PNG of 0 and 255, of volumes and for nnU-Net of 0 and 1:',
            f'{HERE}::test_maps_and_masks_of_apply',
        ),
        (
            'Round to the nearest of 2**bits grey values on the same side of 1/2.',
            f'{HERE}::test_maps_and_masks_of_apply',
        ),
        (
            'On the same images both models draw the same ones (paired); on '
            'other images each draws its own.',
            f'{HERE}::test_other_images_are_unpaired',
        ),
        (
            'Comparing models like with like: raw with raw, calibrated with '
            'calibrated.',
            'tests/test_commands/test_compare.py::test_rows_are_compared_like_with_like',
        ),
    ),
    *promises(
        METRICS_OF_MMSEG,
        (
            'cuts them to the size of the dataset, so images that the sampler '
            'repeated to fill the last batch go.',
            f'{MMSEG}test_evaluation/test_streaming_metric.py::'
            'test_repeated_images_at_the_end_are_left_out',
        ),
    ),
    *promises(
        NETWORK,
        (
            '| corrects max(p, 1 - p), and keeps every mask |',
            f'{HERE}::test_maps_and_masks_of_apply',
        ),
    ),
    *promises(
        CHANGES,
        (
            'A NIfTI mask that lies half a voxel elsewhere is refused whatever float32 '
            'makes of the half.',
            'tests/test_files/test_volumes.py::'
            'test_half_a_voxel_is_elsewhere_whatever_float32_makes_of_it',
        ),
        (
            'Transposed and mirrored pairs are named.',
            'tests/test_files/test_volumes.py::'
            'test_a_mask_that_lies_elsewhere_is_one_problem',
        ),
        (
            'A calibrated NIfTI file says so in a comment of its header,',
            'tests/test_commands/test_fit_and_apply.py::'
            'test_a_calibrated_volume_says_so_wherever_it_is_copied',
        ),
        (
            '`apply` leaves a hidden file beside them.',
            'tests/test_commands/test_fit_and_apply.py::test_maps_are_not_calibrated_twice',
        ),
        (
            'are the default of `ASLPHook`, `ASLPCallback`, `SelfCalibration` and the '
            "doctor's patch.",
            f'{HERE}::test_levels_by_image_and_band_are_the_default',
        ),
        (
            '`mmaslp doctor --levels` writes other levels, or none.',
            f'{MMSEG}test_patch.py::test_what_is_written_to_a_file_gives_what_is_wanted',
        ),
        (
            'States of levels of 0.6 are refused.',
            'tests/test_levels/test_band_levels.py::test_states_that_do_not_fit_change_nothing',
        ),
        (
            '`ASLPHook(levels=None)` and `ASLPCallback(levels=None)` train binary '
            'cross entropy with the seeds of a training with levels.',
            f'{MMSEG}test_engine/test_aslp_hook.py::'
            'test_levels_of_none_and_of_0_train_as_bce_does_bit_for_bit',
        ),
        (
            '`levels.csv` and `alpha.csv` are written at each checkpoint.',
            f'{MMSEG}test_engine/test_aslp_hook.py::test_logs_pictures_and_table',
        ),
        (
            '`eval-maps` and `compare` take `--groups`.',
            'tests/test_commands/test_compare.py::test_patients_are_told_by_their_names',
        ),
        (
            'Too few images are said to be too few.',
            'tests/test_evaluation/test_alarms.py::test_few_images_take_a_larger_difference',
        ),
        (
            'A result file whose metrics do not follow from its sums is refused.',
            'tests/test_evaluation/test_result.py::'
            'test_an_edited_metric_is_refused_by_every_command',
        ),
        (
            'A fit whose objects all lie in one fold ends with a calibrator of pixels, '
            'and objects cannot be told.',
            'tests/test_calibration/test_rare.py::'
            'test_objects_of_one_fold_cannot_be_told_and_pixels_are_calibrated',
        ),
        (
            'Checkpoints are written beside, renamed, and only then replace others.',
            f'{MMSEG}test_saving.py::test_a_checkpoint_is_replaced_after_it_is_saved',
        ),
        (
            'A resume refuses files that no training wrote.',
            f'{MMSEG}test_work_dir.py::'
            'test_a_resumed_training_refuses_a_calibrator_that_a_person_made',
        ),
        (
            '`fit`, `eval-maps` and `review` warn of copies of an image under other '
            'names,',
            'tests/test_files/test_copies.py::test_a_copy_under_another_name_is_told',
        ),
        (
            '`apply` of a scale that leaves no mask.',
            'tests/test_commands/test_fit_and_apply.py::'
            'test_a_scale_that_leaves_nothing_above_half_is_told',
        ),
        (
            'Where the alarm of a set rings, no object has a probability**, in '
            'tables, pictures, COCO and NIfTI files',
            'tests/test_calibration/test_objects_elsewhere.py::'
            'test_no_object_of_another_set_is_called_sure',
        ),
        (
            '`fit` never takes an estimate of objects that orders them worse than '
            'their mean probability does.',
            'tests/test_calibration/test_order_of_objects.py::'
            'test_what_orders_worse_than_the_mean_is_not_taken',
        ),
        (
            '`test` and `review --truth` take `--groups`.',
            'tests/test_commands/test_review.py::test_groups_of_a_review',
        ),
        (
            '`eval-maps --limit` ends with 1 if a metric is beyond its limit by more '
            'than chance, or if images are too few to tell.',
            'tests/test_evaluation/test_alarms.py::test_a_limit_of_one_image_rings',
        ),
        (
            'A page of several models says first which of all is best,',
            'tests/test_commands/test_compare.py::'
            'test_of_several_models_the_best_is_said_first',
        ),
        (
            '`fit_prompts`, `PromptTable`, `PromptJudge` give an expected IoU and a '
            'lower bound.',
            'tests/test_calibration/test_prompts.py::'
            'test_expected_iou_and_its_bound_hold_for_other_images',
        ),
        (
            'A calibrator may be given as its file, or as the folder that holds '
            '`calibrator.json`, wherever one is asked for.',
            f'{HERE}::test_a_calibrator_is_given_as_its_folder',
        ),
        (
            '`fit --out x.csv` are refused.',
            'tests/test_commands/test_messages.py::test_what_had_no_effect_on_files',
        ),
        (
            '`--groups` that finds one text;',
            'tests/test_commands/test_compare.py::test_patients_are_told_by_their_names',
        ),
        (
            'A test holds the tables of README and docs against their JSON files.',
            'tests/test_docs/test_figures.py::'
            'test_every_table_with_results_has_a_source',
        ),
    ),
]


@cache
def text_of(page):
    """A page as one line."""
    return ' '.join((ROOT / page).read_text(encoding='utf-8').split())


@pytest.mark.parametrize('promise', PROMISES, ids=lambda each: each.sentence[:40])
def test_a_promise_stands_on_its_page(promise):
    assert ' '.join(promise.sentence.split()) in text_of(promise.page)


def test_every_promise_has_its_test():
    missing = set()
    for promise in PROMISES:
        file, name = promise.test.split('::')
        if f'def {name}(' not in (ROOT / file).read_text(encoding='utf-8'):
            missing.add(promise.test)
    assert not missing


def points_of(page, heading):
    """The points and the rows of the tables below a heading, without those on top."""
    content = (ROOT / page).read_text(encoding='utf-8')
    section = content.partition(f'## {heading}\n')[2].partition('\n## ')[0]
    assert section
    points = re.findall(r'^- (.+?)(?=^- |^$|\Z)', section, re.M | re.S)
    rows = re.findall(r'^\| .+ \|$', section, re.M)
    headings = re.findall(r'^(\| .+ \|)\n\|-', section, re.M)
    return [
        ' '.join(point.split()) for point in [*points, *rows] if point not in headings
    ]


@pytest.mark.parametrize(
    ('page', 'heading'),
    [
        (COMMANDS, 'Exit codes'),
        (COMMANDS, 'Your files are safe'),
        (SECURITY, 'What counts'),
        (SECURITY, 'What is read, and how'),
        (MAPS, 'Which files can be read'),
        (MAPS, 'Masks from calibrated maps'),
    ],
)
def test_every_point_has_a_promise(page, heading):
    sentences = [promise.sentence for promise in PROMISES if promise.page == page]
    points = points_of(page, heading)
    assert len(points) >= 3
    for point in points:
        assert any(sentence in point for sentence in sentences), point


# Every command that writes beside a training: its words, and an output of it.
WRITES = {
    'eval-maps': ('maps masks --json r.json', 'r.json'),
    'fit': ('maps masks --out f.json', 'f.json'),
    'apply': ('c.json maps --out out', 'out/003.png'),
    'review': ('maps --calibrator c.json --out r.csv --objects o.csv', 'o.csv'),
    'drift': ('maps --calibrator c.json --json d.json', 'd.json'),
    'compare': ('a.json b.json --json k.json', 'k.json'),
    'report': ('a.json b.json -o p.html', 'p.report.json'),
}
READ_MAPS = ('eval-maps', 'fit', 'apply', 'review', 'drift')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Maps and masks, a calibrator, two results."""
    folder = tmp_path_factory.mktemp('made')
    maps, masks = write_set(folder, 16)
    assert command('fit', maps, masks, '--out', folder / 'c.json') == 0
    assert command('apply', folder / 'c.json', maps, '--out', folder / 'soft') == 0
    for name, pred in (('a.json', maps), ('b.json', folder / 'soft')):
        words = ('--resamples', 20, '--json', folder / name)
        assert command('eval-maps', pred, masks, *words) == 0
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of them, in which a test works."""
    folder = shutil.copytree(made, tmp_path / 'here')
    monkeypatch.chdir(folder)
    return folder


def contents():
    return {path: path.read_bytes() for path in Path().rglob('*') if path.is_file()}


# --- commands.md


def test_exit_codes(here, capsys):
    assert command('compare', 'a.json', 'b.json', '--resamples', 20) == 0

    assert command('eval-maps', 'maps', 'masks', '--limit', 'dice=.99') == 1
    assert command('compare', 'b.json', 'a.json', '--fail-if-worse') == 1
    for path in Path('maps').iterdir():
        prob = np.asarray(Image.open(path)) / 65535
        save(path, np.where(prob > 0.5, 255, 40).astype(np.uint8))
    assert command('drift', 'maps', '--calibrator', 'c.json') == 1

    Path('x.json').write_text('{')
    assert command('compare', 'x.json', 'b.json') == 2
    assert command('compare', 'a.json', 'b.json', '--resamples', 'x') == 2
    assert command('compare', 'a.json', 'b.json', '--json', 'maps') == 2


def test_a_refusal_is_one_message(here, capsys, monkeypatch):
    words = ('apply', 'gone.json', 'maps', '--out', 'out')
    assert command(*words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith('error: gone.json: ')
    assert err.count('error: ') == 1
    assert 'Traceback' not in err

    monkeypatch.setenv('MMASLP_TRACEBACK', '1')
    assert command(*words) == 2
    assert 'Traceback' in capsys.readouterr().err


@pytest.mark.parametrize('name', READ_MAPS)
def test_outputs_are_checked_before_a_map_is_read(here, capsys, monkeypatch, name):
    def read(self, path):
        raise AssertionError(f'{path} was read')

    monkeypatch.setattr(MapReader, 'read', read)
    words, output = WRITES[name]
    Path(output).parent.mkdir(exist_ok=True)
    Path(output).write_text('mine')
    assert command(name, *words.split()) == 2
    assert f'{output} exists already: ' in capsys.readouterr().err


@pytest.mark.parametrize(
    'words',
    [
        'eval-maps maps masks --json maps/x.json',
        'eval-maps maps masks --report masks/x.html',
        'eval-maps maps soft masks --plot soft/x.png',
        'fit maps masks --out masks/x.json',
        'apply c.json maps --out maps/sub',
        'apply c.json masks --out sub/../masks',
        'review maps --calibrator c.json --out maps/x.csv',
        'review maps --calibrator c.json --truth masks --out masks/x.csv',
        'review maps --calibrator c.json --images soft --coco soft/x.json',
        'drift maps --calibrator c.json --json link/x.json',
    ],
)
def test_nothing_is_written_into_a_folder_that_is_read(here, capsys, words):
    Path('link').symlink_to('maps')
    before = contents()
    assert command(*words.split(), '--overwrite') == 2
    assert re.search('which is read|is an input', capsys.readouterr().err)
    assert contents() == before


def test_only_lists_are_written_into_a_set(here, capsys):
    Path('set').mkdir()
    os.rename('masks', 'set/masks')
    shutil.copytree('soft', 'set/images')
    for path in Path('set/images').iterdir():
        image = Image.open(path)
        save(path, (np.asarray(image) // 257).astype(np.uint8))
    before = contents()
    assert command('prepare', 'set') == 0
    after = contents()
    new = sorted(path.name for path in after.keys() - before.keys())
    assert new == ['test.txt', 'train.txt', 'val.txt']
    assert {path: after[path] for path in before} == before


@contextmanager
def full_disk(size):
    """Only files of so many bytes can be written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize('name', WRITES)
@pytest.mark.usefixtures('plain_charts')
def test_a_full_disk_leaves_a_file_whole(here, capsys, monkeypatch, name):
    """Each file is the old one or the new one, and the message names an output."""
    monkeypatch.setattr('sys.dont_write_bytecode', True)
    words, output = WRITES[name]
    assert command(name, *words.split()) == 0
    new = contents()
    Path(output).write_text('mine')
    for size in (0, 100):
        capsys.readouterr()
        with full_disk(size):
            assert command(name, *words.split(), '--overwrite') == 2

        after = contents()
        assert after.keys() == new.keys()
        for path, content in after.items():
            assert content in (new[path], b'mine'), path
        assert re.search(r'error: (r|f|out|o|d|k|p)\b', capsys.readouterr().err)


# --- SECURITY.md


@pytest.mark.usefixtures('plain_charts')
def test_a_name_in_a_file_leads_nowhere(here):
    """Names of models, sets and images in a result are never paths."""
    content = json.loads(Path('a.json').read_text())
    content['model'] = '../../x'
    content['dataset'] = '/x'
    content['images']['names'][:3] = ['..', '../../y', 'a\0b']
    Path('a.json').write_text(json.dumps(content))
    os.makedirs('deep/er')
    before = {*here.parent.rglob('*')}
    assert command('report', 'a.json', '-o', 'deep/er/p.html') == 0
    assert command('compare', 'a.json', 'b.json', '--json', 'deep/er/k.json') == 0
    new = {*here.parent.rglob('*')} - before
    assert {path.name for path in new} == {'p.html', 'p.report.json', 'k.json'}
    assert all(path.parent == here / 'deep/er' for path in new)


def test_a_name_is_no_markup(here):
    name = "<img src=x onerror='alert(1)'>"
    for folder in ('maps', 'masks'):
        os.rename(f'{folder}/003.png', f'{folder}/{name}.png')
    os.rename('maps', f'{name} maps')
    words = ('--json', 'n.json', '--resamples', 20)
    assert command('eval-maps', f'{name} maps', 'masks', *words) == 0
    assert command('report', 'n.json', '-o', 'a.html') == 0
    words = ('--calibrator', 'c.json', '--report', 'b.html')
    assert command('review', f'{name} maps', *words) == 0
    for page in ('a.html', 'b.html'):
        text = Path(page).read_text()
        assert '<img src=x' not in text
        assert '&lt;img src=x' in text


def test_seven_things_are_put_in_the_place_of_each_file():
    from tests.test_commands.test_read_files import ATTACKS

    assert len(ATTACKS) == 7


def test_formats_are_those_of_the_table(tmp_path):
    row = re.search(r'\| image, map or mask as ([\w, ]+) \|', text_of(SECURITY))[1]
    assert sorted(row.upper().split(', ')) == sorted(images._FORMATS)

    grey = Image.fromarray(np.zeros((4, 4), np.uint8))
    for kind in images._FORMATS:
        grey.save(tmp_path / 'x.any', kind)  # the name says nothing
        assert images.open_image(tmp_path / 'x.any', frames=1).size == (4, 4)
    for kind in ('PPM', 'ICO', 'PCX', 'EPS'):
        grey.save(tmp_path / 'x.png', kind)
        with pytest.raises(ValueError, match='cannot be read as an image'):
            images.open_image(tmp_path / 'x.png')
    grey.save(tmp_path / 'x.png', 'TIFF', save_all=True, append_images=[grey])
    with pytest.raises(ValueError, match='2 frames'):
        images.open_image(tmp_path / 'x.png', frames=1)


@pytest.mark.parametrize('ending', ['npy', 'npz'])
@pytest.mark.parametrize('folder', ['maps', 'masks'])
def test_an_array_runs_nothing(here, capsys, folder, ending):
    os.unlink(f'{folder}/003.png')
    array = np.array([[Evil(os.mkdir, 'hit')]], object)
    if ending == 'npy':
        np.save(f'{folder}/003.npy', array, allow_pickle=True)
    else:
        np.savez(f'{folder}/003.npz', array)
    assert command('eval-maps', 'maps', 'masks') == 2
    assert f'{folder}/003.{ending}: cannot be read' in capsys.readouterr().err
    assert not Path('hit').exists()


def test_limits_are_those_of_the_table(tmp_path):
    from mmaslp import Calibrator
    from mmaslp.evaluation.result import load_results

    assert (MAX_BYTES, MOST_TEXT, results.MAX_BYTES) == (2**31, 2**24, 2**28)
    for read, most in ((Calibrator.load, 2**20), (load_results, 2**28)):
        path = tmp_path / 'x.json'
        path.write_text('{}')
        with pytest.raises(ValueError, match=r'x\.json') as refusal:
            read(path)
        assert 'the most that is read' not in str(refusal.value)

        os.truncate(path, most + 1)
        with pytest.raises(ValueError, match='the most that is read'):
            read(path)


# --- maps.md


@pytest.mark.usefixtures('plain_charts')
def test_the_first_commands_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for part in ('val', 'test'):
        maps, masks = write_set(tmp_path / part, 12)
        os.rename(maps, f'{part}_maps')
        os.rename(masks, f'{part}_masks')

    lines = re.findall(r'^    mmaslp (.+)$', (ROOT / MAPS).read_text(), re.M)[:4]
    assert lines[-1].startswith('eval-maps test_maps calibrated test_masks')
    for line in lines:
        assert command(*line.split()) == 0
    page = Path('report.html').read_text()
    assert '95 %' in page
    assert 'calibrated' in page


def test_the_value_of_probability_1(tmp_path):
    save(tmp_path / 'x.png', np.array([[0, 51, 255]], np.uint8))
    assert USUAL.read(tmp_path / 'x.png').tolist() == pytest.approx(
        np.array([[0, 0.2, 1]])
    )
    save(tmp_path / 'x.png', np.array([[0, 13107, 65535]], np.uint16))
    assert USUAL.read(tmp_path / 'x.png').tolist() == pytest.approx(
        np.array([[0, 0.2, 1]])
    )
    for shape in ((1, 3), (3, 1, 3)):
        array = np.broadcast_to([0, 0.2, 1], shape)
        np.save(tmp_path / 'x.npy', array)
        np.savez(tmp_path / 'x.npz', array)
        for file in ('x.npy', 'x.npz'):
            assert (USUAL.read(tmp_path / file) == array).all()


def as_arrays(change, ending='npy', **others):
    """Write the maps as arrays, each changed."""
    for path in sorted(Path('maps').iterdir()):
        prob = np.asarray(Image.open(path)) / 65535
        file = path.with_suffix(f'.{ending}')
        if ending == 'npy':
            np.save(file, change(prob))
        else:
            np.savez(file, change(prob), **{key: f(prob) for key, f in others.items()})
        path.unlink()


def test_logits_are_read_if_asked_for(here, capsys):
    as_arrays(lambda prob: np.log(prob + 1e-6) - np.log(1 - prob + 1e-6))
    words = ('maps', 'masks', '--logits')
    assert command('eval-maps', *words) == 2
    assert 'leave --logits out' in capsys.readouterr().err
    assert command('fit', *words, '--out', 'f.json') == 0
    assert command('apply', 'f.json', 'maps', '--logits', '--out', 'out') == 0
    for name in ('review', 'drift'):
        output = ('--out', 'r.csv') if name == 'review' else ()
        words = (name, 'maps', '--calibrator', 'f.json', *output)
        assert command(*words, '--logits') == 0
        assert command(*words, '--overwrite') == 2
        assert '--logits' in capsys.readouterr().err


def test_a_key_and_a_channel(here, capsys):
    assert command('eval-maps', 'maps', 'masks', '--json', 'r.json') == 0
    measured = json.loads(Path('r.json').read_text())['brier']
    as_arrays(lambda prob: prob, 'npz', other=lambda prob: 1 - prob)
    assert command('eval-maps', 'maps', 'masks') == 2
    assert '--key' in capsys.readouterr().err
    words = ('eval-maps', 'maps', 'masks', '--key')
    for key, brier in (('arr_0', measured), ('other', None)):
        assert command(*words, key, '--json', f'{key}.json') == 0
        found = json.loads(Path(f'{key}.json').read_text())['brier']
        if brier is not None:
            assert found == pytest.approx(brier, abs=1e-9)
        else:
            assert found > 0.5

    for path in Path('maps').iterdir():
        prob = np.load(path)['arr_0'][None]
        classes = [0.7 - 0.7 * prob, 0.3 + 0 * prob, 0.7 * prob]
        np.savez(path, probabilities=np.stack(classes))
    assert command('eval-maps', 'maps', 'masks') == 2
    assert '--channel' in capsys.readouterr().err
    assert command('eval-maps', 'maps', 'masks', '--channel', 2) == 0


@pytest.mark.parametrize('ending', ['npy', 'npz'])
def test_masks_are_of_0_and_1_or_255(tmp_path, ending):
    rng = np.random.default_rng(0)
    label = rng.random((6, 8)) > 0.5
    np.save(tmp_path / 'x.npy', rng.random((6, 8)))
    write = np.save if ending == 'npy' else np.savez
    mask = tmp_path / f'mask.{ending}'
    for values in (label, label * 1, label * 255, label * np.float32(1)):
        write(mask, values)
        found = read_pair(USUAL, tmp_path / 'x.npy', mask)[1]
        assert (found == label).all()
    for values in (label * 2, label * 0.5, label * -1, label * 128, label + 254):
        write(mask, values)
        with pytest.raises(
            ValueError, match=f'mask.{ending}: contains .*: a mask is of 0 and 1'
        ):
            read_pair(USUAL, tmp_path / 'x.npy', mask)


def test_another_size_is_refused(here, capsys):
    save(Path('masks/003.png'), np.zeros((24, 25), np.uint8))
    assert command('eval-maps', 'maps', 'masks') == 2
    said = capsys.readouterr().err
    assert 'maps/003.png: 24 x 24 pixels' in said
    assert 'its mask masks/003.png has 25 x 24' in said
    assert 'resize the probabilities to the size of the mask' in said


def test_partners_and_hidden_files(here, capsys):
    for folder in ('maps', 'masks'):
        Path(folder, '.x.png').write_text('hidden')
    assert command('eval-maps', 'maps', 'masks', '--resamples', 20) == 0
    os.rename('masks/003.png', 'masks/x003.png')
    capsys.readouterr()
    assert command('eval-maps', 'maps', 'masks') == 2
    said = capsys.readouterr().err
    assert '003' in said
    assert 'x003' in said


def test_maps_and_masks_of_apply(here):
    """Of images as PNG, of volumes as arrays; the masks are the maps cut at 1/2."""
    words = ('apply', 'c.json', 'maps', '--out', 'out', '--masks', 'keep')
    assert command(*words) == 0
    for path in sorted(Path('maps').iterdir()):
        prob = Image.open(Path('out', path.name))
        assert prob.mode == 'I;16'
        mask = np.asarray(Image.open(Path('out_masks', path.name)))
        assert {*np.unique(mask)} <= {0, 255}
        for values in (prob, Image.open(path)):
            assert ((np.asarray(values) > 65535 / 2) == (mask > 0)).all()

    # A calibrator of images refuses volumes, so that they need one of their own.
    as_arrays(lambda prob: np.stack([prob] * 4))
    for path in sorted(Path('masks').iterdir()):
        np.save(path.with_suffix('.npy'), np.stack([np.asarray(Image.open(path))] * 4))
        path.unlink()
    assert command('fit', 'maps', 'masks', '--out', 'f.json') == 0
    words = ('apply', 'f.json', 'maps', '--out', 'arrays', '--masks', 'keep')
    assert command(*words) == 0
    for path in sorted(Path('maps').iterdir()):
        prob = np.load(Path('arrays', path.name))
        mask = np.load(Path('arrays_masks', path.name))
        assert prob.shape == mask.shape == (4, 24, 24)
        assert {*np.unique(mask)} <= {0, 1}
        assert ((prob > 0.5) == mask).all()
        assert ((np.load(path) > 0.5) == mask).all()


def test_accuracy_is_the_more_probable_class(here):
    """A network that sees too little foreground gets more of it."""
    for path in sorted(Path('maps').iterdir()):
        prob = np.asarray(Image.open(path)) / 65535
        save(path, (255 * prob**2).astype(np.uint8))
    assert command('fit', 'maps', 'masks', '--out', 'f.json') == 0
    right = {}
    for rule in ('keep', 'accuracy'):
        words = ('apply', 'f.json', 'maps', '--out', rule, '--masks', rule)
        assert command(*words) == 0
        shares = []
        for path in sorted(Path('masks').iterdir()):
            mask = np.asarray(Image.open(Path(f'{rule}_masks', path.name)))
            shares.append((mask == np.asarray(Image.open(path))).mean())
        right[rule] = np.mean(shares)
    assert right['accuracy'] > right['keep']


def test_compare_prints_every_metric(here, capsys):
    assert command('compare', 'a.json', 'b.json', '--json', 'k.json') == 0
    out = capsys.readouterr().out
    (comparison,) = json.loads(Path('k.json').read_text())['comparisons']
    lines = re.findall(r'[+-]\d\.\d{4} \[[+-]\d\.\d{4}, [+-]\d\.\d{4}\]', out)
    assert len(lines) == len(comparison['metrics'])


def test_other_images_are_unpaired(here, capsys):
    maps, masks = write_set(here / 'other', 12, seed=3)
    for folder in (maps, masks):
        for path in sorted(folder.iterdir()):
            path.rename(path.with_name(f'x{path.name}'))
    assert command('eval-maps', maps, masks, '--json', 'x.json') == 0
    assert command('compare', 'a.json', 'b.json') == 0
    assert 'unpaired' not in capsys.readouterr().out
    assert command('compare', 'a.json', 'x.json') == 0
    assert 'not the same: unpaired' in capsys.readouterr().out


# --- CHANGELOG.md


def default_of(function, name):
    """Default of an argument, as the code says it."""
    arguments = function.args
    given = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    defaults = [*zip(given, arguments.defaults)]
    defaults += zip(arguments.kwonlyargs, arguments.kw_defaults)
    for argument, default in defaults:
        if argument.arg == name:
            return ast.literal_eval(default)
    return None


def test_levels_by_image_and_band_are_the_default():
    """Read from the code, since the toolkits take seconds to import."""
    defaults = {}
    for path in (ROOT / 'mmaslp' / 'integrations').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Assign) and 'DEFAULT_LEVELS' in ast.dump(node):
                defaults['DEFAULT_LEVELS'] = ast.literal_eval(node.value)
            if not isinstance(node, ast.ClassDef):
                continue
            for method in node.body:
                if getattr(method, 'name', '') == '__init__':
                    defaults[node.name] = default_of(method, 'levels')
    names = ('ASLPHook', 'ASLPCallback', 'SelfCalibration', 'DEFAULT_LEVELS')
    assert {defaults[name] for name in names} == {'image_band'}


def test_a_calibrator_is_given_as_its_folder(here):
    Path('run').mkdir()
    os.rename('c.json', 'run/calibrator.json')
    assert command('apply', 'run', 'maps', '--out', 'out') == 0
    words = ('maps', '--calibrator', 'run')
    assert command('review', *words, '--out', 'r.csv') == 0
    assert command('drift', *words, '--json', 'run/d.json') == 0
    assert command('drift', *words, '--json', 'run/calibrator.json') == 2
