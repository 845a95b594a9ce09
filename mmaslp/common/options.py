"""What arguments of several rooms may be, and usually are.

The commands offer the same: this module imports nothing, so that their help is there at
once.
"""

# How the probabilities of a set are read: as they are, or as the released code does.
PROTOCOLS = ('raw', 'released')
# What a calibrator leaves as it is: each mask, or what a probability is of.
TARGETS = ('confidence', 'probability')
# What a curve of a calibrator is for: all pixels, or a band of distance.
CURVES_BY = ('single', 'band')
BY = ('auto', *CURVES_BY)
# The network's decision; p > 1/2; the largest expected Dice of each image.
MASKS = ('keep', 'accuracy', 'dice')
# Resamples of images that an interval is taken from.
RESAMPLES = 1000
# Images, volumes or groups that a fit needs, one for each of its five folds; and those
# below which intervals are too narrow.
LEAST_CASES = 5
FEW_CASES = 30
