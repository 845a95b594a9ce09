from tests.dataset_fixtures import *  # noqa: F403
