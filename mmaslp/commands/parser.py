"""A parser of arguments that names the nearest known one."""

import argparse
import re
from typing import Any, NoReturn

from ..files.names import nearest

CONFIG_HELP = 'config file, or a config of the package such as mmaslp::demo/bce.py'

# The two shapes of argparse's messages, before and since Python 3.12.
_CHOICE = re.compile(r"invalid choice: '?(.*?)'? \(choose from (.*)\)")
_UNKNOWN = 'unrecognized arguments: '


class CommandParser(argparse.ArgumentParser):
    """Ends with one line: what is wrong, the nearest known word, where the help is.

    Descriptions keep their line breaks. The arguments are those of the base class.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault('formatter_class', argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f'error: {message}{self._hint(message)} ({self.prog} --help)\n')

    def _hint(self, message: str) -> str:
        if choice := _CHOICE.search(message):
            known = [word.strip(" '") for word in choice[2].split(',')]
            return nearest(choice[1], known)
        if message.startswith(_UNKNOWN):
            words = message.removeprefix(_UNKNOWN).split()
            wrong = next((word for word in words if word.startswith('-')), None)
            if wrong:
                known = re.findall(r'(?<![\w-])--[\w-]+', self.format_help())
                return nearest(wrong.split('=')[0], known)
        return ''


def add_map_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that read maps from disk."""
    group = parser.add_argument_group('maps on disk')
    group.add_argument(
        '--max-value',
        type=float,
        metavar='V',
        help='the stored value that stands for probability 1 (100 for per cent), if it '
        'is not 255, 65535 or, for floats, 1',
    )
    group.add_argument('--logits', action='store_true', help='.npy and .npz of logits')
    group.add_argument('--key', help='name of the array in .npz files')
    group.add_argument(
        '--channel', help='name or number of the foreground in nnU-Net maps of several'
    )
    group.add_argument(
        '--workers', type=int, default=1, metavar='N', help='processes, defaults to 1'
    )


def map_reader(args: argparse.Namespace) -> Any:
    """Return the reader that :func:`add_map_options` asks for."""
    from ..files.prob_maps import MapReader

    if args.workers < 1:
        raise ValueError(f'--workers {args.workers}: name at least one process')
    if args.logits and args.max_value is not None:
        raise ValueError('--logits takes no --max-value: logits have no largest value')
    channel = args.channel
    number = int(channel) if channel and channel.isdigit() else channel
    return MapReader(args.max_value, args.logits, args.key, number)
