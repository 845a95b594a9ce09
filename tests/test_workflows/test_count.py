import time
import tracemalloc

import joblib
import numpy as np
import pytest
import torch

from mmaslp.calibration import fit_tables
from mmaslp.evaluation.result import strict_json
from mmaslp.files.map_pairs import MapFiles
from mmaslp.files.prob_maps import MapReader
from mmaslp.workflows.count import count_files
from mmaslp.workflows.fit import count_tables
from mmaslp.workflows.measure import evaluate_maps
from tests.map_folders import write_set


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp('set'), 40)


class Names:
    """Remembers what it was given."""

    def __init__(self):
        self.seen = []

    def add(self, name, stored, prob, label):
        self.seen.append((name, stored.path.stem, prob.shape))

    def merge(self, other):
        self.seen += other.seen


def test_names_and_numbers_come_in_order(folders):
    files = MapFiles.of(*folders)
    seen = count_files(files, Names, Names.add).seen
    assert [name for name, _, _ in seen] == [f'{k:03d}' for k in range(40)]
    assert all(name == stem for name, stem, _ in seen)
    assert [image.group for image in count_tables(files).contents] == [*range(40)]
    halves = count_tables(files, keys=lambda names: [0] * len(names))
    assert halves.keys == {0}


@pytest.mark.parametrize('workers', [2, None])
def test_processes_change_nothing(folders, workers):
    one = evaluate_maps(*folders, resamples=50)
    with joblib.parallel_config('threading', n_jobs=2):
        several = evaluate_maps(*folders, resamples=50, workers=workers)
    assert strict_json(one.to_json()) == strict_json(several.to_json())


def test_threads_of_torch_come_back_after_jobs_in_threads(folders):
    """Before, the last of two jobs restored what the first one had set."""
    pairs = list(MapFiles.of(*folders).pairs.items())[:2]
    files = MapFiles(dict(pairs), 'maps', [])
    seconds = dict(zip(files.pairs, (0.1, 0.2)))

    def add(counter, name, *_):
        time.sleep(seconds[name])
        assert torch.get_num_threads() == 1

    torch.set_num_threads(2)
    try:
        with joblib.parallel_config('threading', n_jobs=2):
            count_files(files, Names, add, workers=None, chunk=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_all_problems_come_in_one_message(folders, tmp_path):
    maps, masks = write_set(tmp_path, 12)
    np.save(maps / '003.npy', np.full((24, 24), np.nan))
    (maps / '003.png').unlink()
    (maps / '004.png').write_bytes(b'')
    (masks / '007.png').unlink()
    np.save(maps / '008.npy', np.zeros((5, 6)))
    (maps / '008.png').unlink()
    with pytest.raises(ValueError, match=r'4 problem\(s\)') as error:
        count_files(MapFiles.of(maps, masks), Names, Names.add)
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
    counted = count_tables(MapFiles.of(maps, masks), MapReader(logits=True))
    again = write_set(tmp_path / 'again', 12)
    plain = count_tables(MapFiles.of(*again))
    found, wanted = (each.counts.sum(2) for each in (counted, plain))
    assert torch.equal(found, wanted)  # by band and label


@pytest.mark.release
def test_a_cluster_gives_the_same_table(folders):
    distributed = pytest.importorskip('distributed')
    options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None)
    one = count_tables(MapFiles.of(*folders))
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config('dask'),
    ):
        many = count_tables(MapFiles.of(*folders), workers=None)
    assert torch.equal(one.counts, many.counts)
    assert fit_tables(one).summary() == fit_tables(many).summary()


def test_one_volume_is_in_memory_at_a_time(tmp_path):
    prob = np.zeros((16, 256, 256), np.float32)
    prob[4:9, 50:90, 60:99] = 0.9
    for folder, values in (('maps', prob), ('masks', (prob > 0).astype(np.uint8))):
        (tmp_path / folder).mkdir()
        for number in range(2):
            np.save(tmp_path / folder / f'{number}.npy', values)

    files = MapFiles.of(tmp_path / 'maps', tmp_path / 'masks')
    count_tables(files)  # what is imported is no part of it
    tracemalloc.start()
    count_tables(files)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.3 * prob.nbytes  # it takes 2.1; two at a time would take 3.3


def test_images_and_volumes_are_not_mixed(tmp_path):
    maps, masks = write_set(tmp_path, 12)
    np.save(maps / 'volume.npy', np.full((3, 4, 4), 0.5))
    np.save(masks / 'volume.npy', np.ones((3, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=r'000\.png is an image and .*volume\.npy'):
        count_files(MapFiles.of(maps, masks), Names, Names.add)


@pytest.mark.parametrize('logits', [False, True])
def test_masks_cut_from_the_maps_are_called_so(tmp_path, recwarn, logits):
    maps, masks = (tmp_path / kind for kind in ('maps', 'masks'))
    for folder in (maps, masks):
        folder.mkdir()
    z = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    z[0, 0] = 1e-5  # half precision may round it away
    np.save(maps / 'a.npy', z if logits else 1 / (1 + np.exp(-z)))
    np.save(masks / 'a.npy', z > 1e-4)

    def warned():
        recwarn.clear()
        count_files(
            MapFiles.of(maps, masks), Names, Names.add, MapReader(logits=logits)
        )
        return len(recwarn)

    assert warned() == 1
    np.save(masks / 'a.npy', (z > 0).T)
    assert warned() == 0
