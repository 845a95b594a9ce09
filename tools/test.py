#!/usr/bin/env python
"""The command ``mmaslp test`` as a script."""

import sys
from functools import partial

from mmaslp.commands import run_command

main = partial(run_command, 'test', prog='python tools/test.py')

if __name__ == '__main__':
    sys.exit(main())
