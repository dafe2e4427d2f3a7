"""Products that XLA does not fuse, as Pallas kernels."""
