"""What each kind of levels does at the stages of a training."""

import pytest

from mmaslp.integrations.mmseg.engine.trainings import (
    BandTraining,
    ImageBandTraining,
    ImageTraining,
    PlainTraining,
    Training,
    make_training,
)


@pytest.mark.parametrize(
    ('kind', 'training_class'),
    [
        ('image_band', ImageBandTraining),
        ('band', BandTraining),
        ('image', ImageTraining),
        (None, PlainTraining),
    ],
)
def test_a_kind_of_levels_has_its_training(kind, training_class):
    training = make_training(kind)
    assert type(training) is training_class
    assert isinstance(training, Training)
    assert training.learns == (kind is not None)
    # The paper waits five epochs, other levels a third of the training.
    assert training.default_warmup_epochs == (5.0 if kind == 'image' else None)


def test_a_training_without_levels_does_nothing():
    training = make_training(None)
    training.before_iter({}, 0)
    training.after_iter()
    training.show()
    training.write_table()
    training.end_training()
    assert training.levels is None
    assert not [*training.findings(None, None)]
    assert training.scalars() == training.state() == {}
    assert training.summary() == 'binary cross entropy without levels'
