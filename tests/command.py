"""The command ``mmaslp`` as a script, for tests that run scripts."""

import sys

from mmaslp.commands import main

if __name__ == '__main__':
    sys.exit(main())
