from mmaslp.common.draws import image_keys
from mmaslp.levels import AlphaBank

IDS = [f'train/{i:03d}.jpg' for i in range(50)]


def test_rows_find_every_image_and_no_other():
    bank = AlphaBank(IDS)
    rows = bank.rows(image_keys([*IDS, 'other.jpg', '']))
    assert sorted(rows[:50]) == list(range(50))
    assert rows[50:].tolist() == [-1, -1]
    assert [bank.ids[r] for r in rows[:50]] == IDS
