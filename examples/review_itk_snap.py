"""Read the numbered objects of a volume with nibabel and ITK-SNAP's table.

    mmaslp review MAPS --calibrator FILE --objects-out objects
    python examples/review_itk_snap.py objects/case.nii.gz

ITK-SNAP opens the volume as a segmentation (``-s``) and the table as labels (``-l``);
3D Slicer takes ``case.ctbl`` as colours. Prints number, name and ml of each object.
Needs ``pip install nibabel``.
"""

import argparse
import shlex
from pathlib import Path

import nibabel
import numpy as np


def main() -> None:
    """Print the objects of a volume."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('volume', type=Path)
    args = parser.parse_args()
    image = nibabel.load(args.volume)
    voxels = np.bincount(np.asarray(image.dataobj).ravel())
    ml = float(np.prod(image.header.get_zooms())) / 1000

    table = args.volume.with_name(args.volume.name.replace('.nii.gz', '.label.txt'))
    for line in table.read_text().splitlines()[1:]:
        number, *_, name = shlex.split(line)
        print(f'{number}\t{name}\t{voxels[int(number)] * ml:.4f} ml')


if __name__ == '__main__':
    main()
