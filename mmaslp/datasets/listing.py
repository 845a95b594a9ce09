"""What the hook must know of a training set: its image ids, and that none are mixed."""

from collections.abc import Iterator
from typing import Any

from ..checks.config import MIXING

__all__ = ['check_no_mixing', 'image_ids', 'iters_per_visit']


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """Walk through Concat-, Repeat-, ClassBalanced- and similar wrappers."""
    children = getattr(dataset, 'datasets', None)
    if children is None:
        child = getattr(dataset, 'dataset', None)
        children = [] if child is None else [child]
    if not children:
        yield dataset
    for child in children:
        yield from leaf_datasets(child)


def image_ids(dataset: Any) -> Iterator[str]:
    """Go through the ``img_path`` of every image of a training set.

    Args:
        dataset (Any): A dataset of MMEngine or MMSegmentation, wrapped or not.

    Yields:
        str: Ids, repeated where datasets share an image.

    Raises:
        ValueError: If a dataset cannot be listed or does not name its images.
    """
    for leaf in leaf_datasets(dataset):
        name = type(leaf).__name__
        if not hasattr(leaf, 'get_data_info'):
            raise ValueError(
                f'ASLPHook needs the image paths of the training set, but {name} has '
                'no get_data_info(): derive it from mmengine.dataset.BaseDataset'
            )
        try:
            for i in range(len(leaf)):
                yield leaf.get_data_info(i)['img_path']
        except KeyError as error:
            raise ValueError(
                f"ASLPHook tells images apart by 'img_path', which {name} does not "
                'give in get_data_info()'
            ) from error


def check_no_mixing(dataset: Any, preprocessor: Any) -> None:
    """Refuse pipelines that make one training image of several.

    Args:
        dataset (Any): Training set.
        preprocessor (Any): Data preprocessor of the model, or None.

    Raises:
        ValueError: If a transform or a batch augmentation mixes images.
    """
    steps = [*_dataset_steps(dataset)]
    steps += [*_flatten(getattr(preprocessor, 'batch_augments', None))]
    for step in steps:
        name = type(step).__name__
        asks_for_more = hasattr(step, 'get_indices') or hasattr(step, 'get_indexes')
        if asks_for_more or MIXING.search(name):
            raise ValueError(
                f'the training pipeline holds {name}, which makes one image of '
                'several: the perturbation level belongs to one image and would be '
                'that of a mixture; remove it, or train without ASLPHook (SCBCELoss '
                'with a fixed alpha draws by itself)'
            )


def iters_per_visit(dataloader: Any, num_images: int, world_size: int) -> int:
    """Iterations in which a run visits every image about once.

    Neither the length of the dataset (``RepeatDataset`` multiplies it) nor that of the
    dataloader (an infinite sampler gives the whole set to every process) says so.

    Args:
        dataloader (Any): Training dataloader.
        num_images (int): Number of different images.
        world_size (int): Number of processes.
    """
    batch_size = dataloader.batch_size
    if batch_size is None:
        batch_size = getattr(dataloader.batch_sampler, 'batch_size', 1)
    return -(-num_images // (batch_size * world_size))


def _dataset_steps(dataset: Any) -> Iterator[Any]:
    yield from _flatten(getattr(dataset, 'pipeline', None))
    children = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for child in children:
        if child is not None:
            yield from _dataset_steps(child)


def _flatten(step: Any) -> Iterator[Any]:
    if step is None:
        return
    if isinstance(step, (list, tuple)):
        inner = step
    else:
        yield step
        inner = getattr(step, 'transforms', None) or []
    if not isinstance(inner, (list, tuple)):
        inner = [inner]
    for item in inner:
        yield from _flatten(item)
