"""Reading a part of a run: a dictionary of a config, or the object built from it.

The doctor sees dictionaries and the hook sees objects. Both use these functions to walk
through datasets, pipelines and metrics, so they find the same things.
"""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = [
    'builds',
    'class_of',
    'is_type',
    'known_names',
    'metrics_of',
    'read',
    'type_name',
    'walk_datasets',
    'walk_steps',
]


def read(part: Any, name: str, default: Any = None) -> Any:
    """Read a key of a dictionary or an attribute of an object.

    Args:
        part (Any): A part of a config or of a runner.
        name (str): Name of the key or attribute.
        default (Any): Returned if the key or attribute is missing. Defaults to None.
    """
    if isinstance(part, Mapping):
        return part.get(name, default)
    return getattr(part, name, default)


def type_name(part: Any) -> str:
    """Name of the class that a dictionary builds or an object has, without modules.

    Args:
        part (Any): A part of a config or of a runner. The ``type`` of a dictionary is
            a class, or its name with or without a scope or modules before it.

    Returns:
        str: The name; '' for a dictionary without ``type``.
    """
    kind = part.get('type') if isinstance(part, Mapping) else type(part)
    kind = getattr(kind, '__name__', kind)
    return kind.rsplit('.', 1)[-1] if isinstance(kind, str) else ''


def class_of(part: Any, registry: str) -> Any:
    """Class that a dictionary builds or an object has.

    Args:
        part (Any): A part of a config or of a runner.
        registry (str): Name of the host's registry that builds it (``'MODELS'``).

    Returns:
        Any: The class; None for a name that the host does not know.
    """
    kind = part.get('type') if isinstance(part, Mapping) else type(part)
    if not isinstance(kind, str):
        return kind
    try:
        import mmseg.registry  # imported here: a config can be checked without a host

        return getattr(mmseg.registry, registry).get(kind)
    except (ImportError, RuntimeError):  # the host raises the latter for unknown names
        return None


def known_names(registry: str) -> list[str]:
    """Names of one of the host's registries; empty without a host.

    Args:
        registry (str): Its name (``'MODELS'``).
    """
    try:
        import mmseg.registry  # see class_of
    except ImportError:
        return []
    found, names = getattr(mmseg.registry, registry), []
    while found is not None:
        names += found.module_dict
        found = found.parent
    return names


def builds(part: Any, name: str, registry: str) -> bool:
    """Whether a part is, or builds, an object of a class or of one derived from it.

    Args:
        part (Any): A part of a config or of a runner.
        name (str): Name of the class.
        registry (str): Name of the host's registry that builds it.
    """
    if type_name(part) == name:
        return True
    bases = getattr(class_of(part, registry), '__mro__', ())
    return name in [base.__name__ for base in bases]


def is_type(part: Any, name: str) -> bool:
    """Whether a part of a config builds a class.

    Args:
        part (Any): A part; anything but a dictionary builds nothing.
        name (str): Name of the class, without a scope.
    """
    return isinstance(part, Mapping) and type_name(part) == name


def metrics_of(cfg: Mapping, evaluator: str) -> list:
    """List the metrics of an evaluator, in any of the three forms of a config.

    The forms are a list, one metric, or the host's ``Evaluator`` that holds them.

    Args:
        cfg (Mapping): A config.
        evaluator (str): 'val_evaluator' or 'test_evaluator'; empty if it has none.
    """
    metrics = cfg.get(evaluator) or []
    if isinstance(metrics, Mapping):
        plain = 'metrics' in metrics and type_name(metrics) in ('', 'Evaluator')
        metrics = metrics['metrics'] if plain else [metrics]
    return [metrics] if isinstance(metrics, Mapping) else list(metrics)


def walk_datasets(dataset: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Go through a dataset and the ones that it wraps (Concat-, RepeatDataset, ...).

    Args:
        dataset (Any): A dataset or its dictionary; None has no dataset.
        path (str): Its place in the config.

    Yields:
        tuple[str, Any]: Place and dataset, the outermost first.
    """
    if dataset is None:
        return
    yield path, dataset
    for i, child in enumerate(read(dataset, 'datasets') or []):
        yield from walk_datasets(child, f'{path}.datasets[{i}]')
    yield from walk_datasets(read(dataset, 'dataset'), f'{path}.dataset')


def walk_steps(step: Any) -> Iterator[Any]:
    """Go through the transforms of a pipeline and the ones that they hold.

    Args:
        step (Any): A transform, its dictionary, or a list of them; None has none.

    Yields:
        Any: Transform or dictionary, the outer one first.
    """
    if step is None:
        return
    if isinstance(step, (list, tuple)):
        for each in step:
            yield from walk_steps(each)
        return
    yield step
    yield from walk_steps(read(step, 'transforms'))
