"""``python -m mmaslp``: the same as the command ``mmaslp``."""

from .commands import main

if __name__ == '__main__':
    raise SystemExit(main())
