#!/usr/bin/env python
"""The command ``mmaslp train`` as a script."""

import sys
from functools import partial

from mmaslp.commands import run_command

main = partial(run_command, 'train', prog='python tools/train.py')

if __name__ == '__main__':
    sys.exit(main())
