"""What a training with levels or a calibrator decides, once for all toolkits."""
