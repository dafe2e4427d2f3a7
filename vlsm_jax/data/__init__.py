"""Triplets on disk to tokens, rows and batches. Imports no jax: worker processes read this package alone."""
