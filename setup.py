"""Puts ``configs``, ``tools`` and ``model-index.yml`` into ``mmaslp/.mim``.

All else about the package stands in ``pyproject.toml``. Every OpenMMLab package has the
folder ``.mim``: ``mim``, MMEngine's ``_base_ = ['mmaslp::...']`` and the command
``mmaslp`` read it. A wheel gets copies, an editable installation links to the checkout.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM = ('configs', 'tools', 'model-index.yml')
SUFFIXES = ('.py', '.yml')


class BuildWithMim(build_py):
    """``build_py`` that also fills ``mmaslp/.mim``."""

    def run(self):
        """Copy the modules and the files of ``.mim``; link to them if editable."""
        super().run()
        if self.editable_mode:
            link_mim(ROOT / 'mmaslp' / '.mim', ROOT)
            return
        for target, source in self.mim_files().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def mim_files(self):
        """From the path in the build folder to the path in the checkout."""
        files = [f for name in MIM for f in (ROOT / name, *(ROOT / name).rglob('*'))]
        files = [f for f in files if f.suffix in SUFFIXES]
        built = Path(self.build_lib, 'mmaslp', '.mim')
        return {str(built / f.relative_to(ROOT)): str(f) for f in files}

    def get_outputs(self, include_bytecode=True):
        """Name the files of ``.mim`` too."""
        return [*super().get_outputs(include_bytecode), *self.mim_files()]

    def get_output_mapping(self):
        """Name the files of ``.mim`` too, for strict editable installations."""
        return {**super().get_output_mapping(), **self.mim_files()}


def link_mim(folder, root):
    """Fill ``folder`` with links to ``root``; copies where links are not allowed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in MIM:
        source = root / name
        try:
            link = os.path.relpath(source, folder)
            (folder / name).symlink_to(link, source.is_dir())
        except OSError:  # Windows without the privilege
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / name)


setup(cmdclass={'build_py': BuildWithMim})
