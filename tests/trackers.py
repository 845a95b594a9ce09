"""Reads what the trackers wrote, with their own libraries."""

import json
import struct
from collections import defaultdict

KINDS = ('scalars', 'images', 'histograms')


def tensorboard_steps(folder):
    """Steps by kind and tag: ``{'scalars': {'calib/ece': [1, 2]}, ...}``."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance=dict.fromkeys(KINDS, 0))
    events.Reload()
    tags = events.Tags()
    return {
        kind: {
            tag: [event.step for event in getattr(events, kind.title())(tag)]
            for tag in tags[kind]
        }
        for kind in KINDS
    }


def mlflow_run(folder):
    """The only run of a file store: steps of its metrics and of its pictures."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f'file://{folder.resolve()}')
    experiments = [
        experiment.experiment_id for experiment in client.search_experiments()
    ]
    (run,) = client.search_runs(experiments)
    metrics = {
        name: [point.step for point in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    pictures = defaultdict(list)
    for file in client.list_artifacts(run.info.run_id, 'images'):
        if file.path.endswith('.png'):
            key, _, step, *_ = file.path.removeprefix('images/').split('+')
            pictures[key].append(int(step))
    return metrics, {name: sorted(steps) for name, steps in pictures.items()}


def wandb_rows(folder):
    """Rows of the history of the only offline run: ``[{key: value}]``.

    The file is a log of records in blocks of 32 KiB, as LevelDB writes it.
    """
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # its service may still be writing

    (path,) = folder.rglob('offline-run-*/*.wandb')
    data = path.read_bytes()
    place, payload, rows = 7, b'', []
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:  # the rest of the block is padding
            place += left
            continue
        _, size, kind = struct.unpack_from('<IHB', data, place)
        place += 7
        payload += data[place : place + size]
        place += size
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record.FromString(payload)
            payload = b''
            if record.HasField('history'):
                items = record.history.item
                rows.append(
                    {
                        item.key or '.'.join(item.nested_key): json.loads(
                            item.value_json
                        )
                        for item in items
                    }
                )
    return rows
