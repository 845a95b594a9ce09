"""Files, checkpoints and segmentors: helpers of several packages."""
