"""Triplets on disk."""

from vlsm_jax.data.jsonl import JsonlTriplets
from vlsm_jax.data.records import DataError, Record

__all__ = ["DataError", "JsonlTriplets", "Record"]
