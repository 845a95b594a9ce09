from functools import partial

import joblib
import numpy as np
import pytest
import torch

from mmaslp.calibration import fit_tables
from mmaslp.evaluation.map_folders import evaluate_maps
from mmaslp.evaluation.result_files import strict_json
from mmaslp.files import map_pairs
from mmaslp.files.map_pairs import _TablesOfMaps, count_pairs
from mmaslp.files.prob_maps import MapReader
from tests.map_folders import write_set


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp('set'), 40)


class Names:
    """Remembers what it was given."""

    def __init__(self):
        self.seen = []

    def add(self, name, key, prob, label):
        self.seen.append((name, key, prob.shape))

    def merge(self, other):
        self.seen += other.seen


def test_names_and_numbers_come_in_order(folders):
    seen = count_pairs(*folders, Names).seen
    assert [name for name, _, _ in seen] == [f'{k:03d}' for k in range(40)]
    assert [key for _, key, _ in seen] == [*range(40)]
    halves = count_pairs(*folders, Names, keys=lambda names: [0] * len(names)).seen
    assert {key for _, key, _ in halves} == {0}


@pytest.mark.parametrize('workers', [2, None])
def test_processes_change_nothing(folders, monkeypatch, workers):
    monkeypatch.setattr(map_pairs, 'CHUNK', 7)
    one = evaluate_maps(*folders, resamples=50)
    with joblib.parallel_config('threading', n_jobs=2):
        several = evaluate_maps(*folders, resamples=50, workers=workers)
    assert strict_json(one.to_json()) == strict_json(several.to_json())


def test_all_problems_come_in_one_message(folders, tmp_path):
    maps, masks = write_set(tmp_path, 12)
    np.save(maps / '003.npy', np.full((24, 24), np.nan))
    (maps / '003.png').unlink()
    (maps / '004.png').write_bytes(b'')
    (masks / '007.png').unlink()
    np.save(maps / '008.npy', np.zeros((5, 6)))
    (maps / '008.png').unlink()
    with pytest.raises(ValueError, match=r'4 problem\(s\)') as error:
        count_pairs(maps, masks, Names)
    for part in ('003.npy: has 576 NaN', '004.png: cannot be read', '007', '6 x 5'):
        assert part in str(error.value)


def test_logits_of_npz_and_npy(tmp_path):
    maps, masks = write_set(tmp_path, 12)
    for k, path in enumerate(sorted(maps.iterdir())):
        prob = np.asarray(MapReader().read(path), np.float64).clip(1e-6, 1 - 1e-6)
        logit = np.log(prob) - np.log1p(-prob)
        if k % 2:
            np.save(path.with_suffix('.npy'), logit)
        else:
            np.savez(path.with_suffix('.npz'), logits=logit)
        path.unlink()
    counted = count_pairs(
        maps, masks, partial(_TablesOfMaps, True), MapReader(logits=True)
    )
    again = write_set(tmp_path / 'again', 12)
    plain = count_pairs(*again, partial(_TablesOfMaps, False))
    assert fit_tables(counted.tables).method == fit_tables(plain.tables).method
    found, wanted = (each.tables.counts.sum(2) for each in (counted, plain))
    assert torch.equal(found, wanted)  # by band and label


@pytest.mark.release
def test_a_cluster_gives_the_same_table(folders):
    distributed = pytest.importorskip('distributed')
    options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None)
    new = partial(_TablesOfMaps, False)
    one = count_pairs(*folders, new).tables
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config('dask'),
    ):
        many = count_pairs(*folders, new, workers=None).tables
    assert torch.equal(one.counts, many.counts)
    assert fit_tables(one).summary() == fit_tables(many).summary()
