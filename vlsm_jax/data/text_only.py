"""Triplets without their sketches: what a decoder alone is trained on."""

from __future__ import annotations

from vlsm_jax.data.records import Record
from vlsm_jax.data.source import TripletSource


class WithoutPictures(TripletSource):
    """The rows of a source, none of which has a picture; no picture is looked for or read."""

    def __init__(self, source: TripletSource):
        self.path, self.columns = source.path, source.columns
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __repr__(self) -> str:
        return f"WithoutPictures({self._source!r})"

    def _read(self, index: int) -> Record:
        return self._source[index]._replace(image=None)
