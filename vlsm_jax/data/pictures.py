"""A folder of pictures, written beside a file that names them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from vlsm_jax.data.images import check_picture
from vlsm_jax.data.records import Record, safe_name


class PictureFolder:
    """Writes pictures, bit for bit, under the names that the data gives them; without a name, under `images/`.

    A picture that is there already is left; another of the same name is left too, and the new one takes a name with
    its digest.

    Args:
      folder: of the file that names the pictures.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._made: set[str] = set()
        self.bytes = 0

    def save(self, data: bytes, name: str, suffix: str) -> str:
        """Writes one picture and returns its name, relative to the folder."""
        name = safe_name(name) or f"images/{_digest(data)}{suffix}"
        if "/" not in name:
            name = f"images/{name}"
        if not self._write(data, name):
            stem, end = os.path.splitext(name)  # noqa: PTH122  (keeps the folders)
            name = f"{stem}-{_digest(data)}{end}"
            self._write(data, name)
        return name

    def keep(self, record: Record) -> Record:
        """Returns the record with its picture in a file, where it is held as bytes: as it is wanted to be shown."""
        if not isinstance(record.image, bytes):
            return record
        name = self.save(record.image, record.image_name, check_picture(record.image))
        return record._replace(image=str(self._folder / name))

    def _write(self, data: bytes, name: str) -> bool:
        """Returns whether a file of this name holds `data` now."""
        path = self._folder / name
        if str(path.parent) not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(str(path.parent))
        if path.exists():
            return path.stat().st_size == len(data) and path.read_bytes() == data
        draft = f"{path}.partial"
        with open(draft, "wb") as file:
            file.write(data)
        os.replace(draft, path)  # noqa: PTH105
        self.bytes += len(data)
        return True


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
