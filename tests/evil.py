"""Checkpoints that would make a file while they are read, and how to watch a call."""

import multiprocessing
import os
import pickle
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch

from mmaslp.commands import main


class Evil:
    """Unpickled, it is a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class EvilState:
    """Unpickled, its state is set by a call."""

    def __init__(self, path):
        self.path = path

    def __setstate__(self, state):
        os.mkdir(state['path'])


def payloads(path):
    """Ways to make ``path`` from within a pickle."""
    path = str(path)
    return {
        'os.mkdir': Evil(os.mkdir, path),
        'os.system': Evil(os.system, f'mkdir {path}'),
        'eval': Evil(eval, f'__import__("os").mkdir({path!r})'),
        'exec': Evil(exec, f'import os; os.mkdir({path!r})'),
        'subprocess': Evil(subprocess.check_call, ['mkdir', path]),
        'partial': Evil(partial, os.mkdir, path),
        'getattr': Evil(getattr, print, '__self__'),
        'setstate': EvilState(path),
    }


def _zip(content, path, **options):
    torch.save(content, path, **options)


def _raw(content, path, protocol):
    path.write_bytes(pickle.dumps(content, protocol=protocol))


LEGACY = dict(_use_new_zipfile_serialization=False)
CONTAINERS = {
    'zip': _zip,
    'zip, protocol 4': partial(_zip, pickle_protocol=4),
    'legacy': partial(_zip, **LEGACY),
    'legacy, protocol 4': partial(_zip, pickle_protocol=4, **LEGACY),
    **{f'raw, protocol {n}': partial(_raw, protocol=n) for n in range(6)},
}


def write_evil(path, hit, container='zip', payload='os.mkdir', place='other'):
    """Write a checkpoint that makes ``hit``; all else in it is as it should be."""
    content = {'state_dict': {}, 'meta': {'epoch': 1, 'iter': 5}}
    evil = payloads(hit)[payload]
    if place == 'other':
        content['other'] = evil
    else:
        content.setdefault(place, {})['x'] = evil
    CONTAINERS[container](content, Path(path))
    return str(path)


def command(*args):
    """Run a command line in this process: its exit code."""
    try:
        return main([*map(str, args)])
    except SystemExit as error:
        return error.code or 0


def in_child(function, *args):
    """What ``function(*args)`` returned in a process of its own."""
    context = multiprocessing.get_context('fork')
    here, there = context.Pipe()
    child = context.Process(target=lambda: there.send(function(*args)))
    child.start()
    there.close()
    try:
        return here.recv()
    finally:
        child.join()


def growth(function, *args):
    """Message of the error that a call must raise, and its peak memory in bytes."""

    def run():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            function(*args)
            message = None
        except ValueError as error:
            message = str(error)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return message, (after - before) * 1024

    return in_child(run)


def fill_the_disk(size=100):
    """From now on this process can write only ``size`` bytes a file."""
    sys.dont_write_bytecode = True  # Python would keep what it compiles, cut
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def on_a_full_disk(function, *args, size=100, here=False):
    """The OSError of a call in a process that can write only ``size`` bytes a file.

    With ``here`` that is this process, from now on.
    """

    def run():
        fill_the_disk(size)
        try:
            function(*args)
        except OSError as error:
            return str(error)
        return None

    return run() if here else in_child(run)
