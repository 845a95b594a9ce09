import pytest
import torch

from mmaslp.core.levels import AlphaBank
from mmaslp.core.levels.counter_rng import image_keys

IDS = [f'train/{i:03d}.jpg' for i in range(50)]


def test_rows_find_every_image_and_no_other():
    bank = AlphaBank(IDS)
    rows = bank.rows(image_keys([*IDS, 'other.jpg', '']))
    assert sorted(rows[:50]) == list(range(50))
    assert rows[50:].tolist() == [-1, -1]
    assert [bank.ids[r] for r in rows[:50]] == IDS


def test_loading_into_another_set_keeps_what_matches():
    bank = AlphaBank(IDS[:40])
    bank.alpha.copy_(torch.linspace(0.1, 0.4, 40))
    other = AlphaBank(IDS[30:], level=0.05)
    assert other.load_state_dict(bank.state_dict()) == 10
    level = dict(zip(bank.ids, bank.alpha.tolist()))
    for name, alpha in zip(other.ids, other.alpha.tolist()):
        assert alpha == level.get(name, 0.05)


@pytest.mark.parametrize(
    'damage',
    [
        lambda s: s.pop('alpha'),
        lambda s: s.update(alpha=s['alpha'][:-1]),
        lambda s: s.update(alpha=s['alpha'] * float('nan')),
        lambda s: s.update(alpha=s['alpha'] + 1e6),
        lambda s: s.update(ids=torch.full((10,), 65, dtype=torch.uint8)),
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(damage):
    bank = AlphaBank(IDS, level=0.1)
    state = dict(bank.state_dict())
    state['alpha'] = state['alpha'].clone()
    damage(state)
    with pytest.raises(ValueError, match='damaged levels'):
        bank.load_state_dict(state)
    assert (bank.alpha == 0.1).all()
