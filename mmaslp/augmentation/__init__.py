"""What changes training images and their masks; plain numpy and torch."""
