import pytest
import torch

pytest.importorskip('lightning', reason='needs the extra [integrations]')

from mmaslp.hosts.lightning.batches import ids_of_batch


@pytest.mark.parametrize(
    ('batch', 'place'),
    [
        (dict(name=['3', '5']), 'name'),
        ((torch.zeros(2), ('3', '5')), 1),
        (dict(index=torch.tensor([3, 5])), 'index'),
        (dict(meta=dict(path=['3', '5'])), lambda batch: batch['meta']['path']),
    ],
)
def test_ids(batch, place):
    assert ids_of_batch(batch, place) == ['3', '5']


@pytest.mark.parametrize(
    ('batch', 'message'),
    [
        (dict(image=0, mask=1), r"batch\['name'\], which a batch with the keys image"),
        ([0, 1], "batch.'name'., which a batch of 2 parts does not have"),
        (object(), 'a batch of type object'),
        (dict(name='a.png'), "one id per image of the batch, .* got 'a.png'"),
        (dict(name=torch.tensor(3)), 'got 3'),
    ],
)
def test_batches_without_ids(batch, message):
    with pytest.raises(ValueError, match=message):
        ids_of_batch(batch, 'name')
