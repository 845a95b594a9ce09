"""Transforms that make one image of several, in a config and built."""

import pytest
from mmengine.dataset import Compose

from mmaslp.hosts.mmseg.checks.mixing import mixing, mixing_steps


@pytest.mark.parametrize(
    'name', ['RandomMosaic', 'MixUp', 'BatchCutMix', 'CopyPaste', 'Mix_Up', 'ClassMix']
)
def test_by_name(name):
    finding = mixing(name, False, 'train_dataloader.dataset.pipeline')
    assert f'holds {name}, which makes one image of several' in finding.message
    first = finding.remedy.splitlines()[0]
    assert first == f'train_dataloader.dataset.pipeline: remove {name}'


def test_by_what_it_asks_for():
    assert mixing('Collage', True, 'pipeline') is not None
    assert mixing('RandomFlip', False, 'pipeline') is None


class Collage:
    def get_indexes(self, dataset):
        return [0]

    def __call__(self, results):
        return results


class Dataset:
    def __init__(self, pipeline=None, **others):
        self.pipeline = pipeline
        vars(self).update(others)


def test_places_of_built_objects_are_those_of_the_config():
    inner = Dataset(Compose([Collage()]))
    outer = Dataset([lambda results: results], datasets=[Dataset(), inner])
    (built,) = mixing_steps(Dataset(dataset=outer), None)
    inner = dict(pipeline=[dict(type='RandomApply', transforms=[dict(type=Collage)])])
    outer = dict(pipeline=[dict(type='Unknown')], datasets=[dict(), inner])
    (planned,) = mixing_steps(dict(dataset=outer), dict())
    assert built == planned
    assert 'train_dataloader.dataset.dataset.datasets[1].pipeline' in built.remedy
