"""Features of pictures under a frozen encoder, on disk: encoded once, read in every epoch.

A store is a folder for one encoder, `<root>/<encoder>/`, where <encoder> is a fingerprint of all that decides what
comes out: the encoder's sizes and weights, and how a picture becomes its input. In it

    store.json                {"format": "vlsm_jax.features/1", "encoder": ..., "tokens": T, "width": D, "dtype": ...}
    <part>.features.npy       [n, T, D], read through a memory map
    <part>.keys.npy           uint8 [n, 16], BLAKE2b of each picture's file, in the same order

A part is written under a temporary name, then renamed, its keys last: a part with keys is whole. Its name comes from
its keys, so any number of processes may write into one store; a picture that two of them wrote is there twice, to no
harm. The files are plain NumPy, and need nothing of this package to be read.

Size: T x D x 2 bytes a picture in float16, which is 0.3 MB for CLIP ViT-B/16 and 0.66 MB for ViT-H/14 at 224 px; 36
and 79 GB for 120,000 pictures.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from absl import logging

from vlsm_jax.data.images import ImageError

FORMAT = "vlsm_jax.features/1"
KEY_BYTES = 16


class FeatureError(ValueError):
    """A store of features that is not there, is of another encoder, or lacks a picture; the message says which."""


def picture_key(picture: str | os.PathLike | bytes) -> bytes:
    """Returns the key of a picture, given by its path or the bytes of its file.

    Raises:
      OSError: the file cannot be read.
    """
    content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    return hashlib.blake2b(content, digest_size=KEY_BYTES).digest()


class FeatureStore:
    """Reads a store. It may be sent to a worker process, which maps the files anew.

    Args:
      root: where stores of all encoders lie.
      encoder: the fingerprint.

    Attributes:
      tokens, width: T and D of every picture's features.
      dtype: of the features.

    Raises:
      FeatureError: there is no store of this encoder, or it is of a format that is not known.
    """

    def __init__(self, root: str | os.PathLike, encoder: str):
        self.directory = Path(root) / encoder
        facts = _read_facts(self.directory)
        self.tokens, self.width, self.dtype = facts["tokens"], facts["width"], np.dtype(facts["dtype"])
        parts = sorted(self.directory.glob("*.keys.npy"))
        self._parts = [path.name.removesuffix(".keys.npy") for path in parts]
        keys = [np.load(path) for path in parts]
        counts = np.asarray([len(k) for k in keys], np.int64)
        joined = np.concatenate(keys) if keys else np.empty((0, KEY_BYTES), np.uint8)
        # Sorted as byte strings: searched in a moment, and far smaller than a dictionary.
        joined = np.ascontiguousarray(joined).view(f"V{KEY_BYTES}").ravel()
        order = np.argsort(joined, kind="stable")
        self._keys = joined[order]
        self._part = np.repeat(np.arange(len(counts)), counts)[order]
        self._row = (np.arange(len(joined)) - np.repeat(np.cumsum(counts) - counts, counts))[order]
        self._maps: dict[int, np.ndarray] = {}

    def __getstate__(self):
        return {**self.__dict__, "_maps": {}}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: bytes) -> bool:
        return self._find(key) is not None

    def __getitem__(self, key: bytes) -> np.ndarray:
        """Returns the features [T, D] of a picture.

        Raises:
          FeatureError: the store has none with this key, or they are not finite.
        """
        at = self._find(key)
        if at is None:
            raise FeatureError(f"{self.directory} has no features of the picture {key.hex()}; write them first")
        part = int(self._part[at])
        if part not in self._maps:
            self._maps[part] = np.load(self.directory / f"{self._parts[part]}.features.npy", mmap_mode="r")
        features = np.asarray(self._maps[part][self._row[at]])
        if _not_finite(features):
            raise FeatureError(
                f"{self.directory / self._parts[part]}.features.npy: features of the picture {key.hex()} are not "
                "finite; the file was damaged: delete it, and they are computed again"
            )
        return features

    def _find(self, key: bytes) -> int | None:
        wanted = np.frombuffer(key, f"V{KEY_BYTES}")
        at = int(np.searchsorted(self._keys, wanted)[0])
        return at if at < len(self._keys) and self._keys[at] == wanted[0] else None


def _not_finite(features: np.ndarray) -> bool:
    """Whether any is infinite or no number: all bits of its exponent are set. np.isfinite takes 40 times as long."""
    bits = features.view(f"u{features.dtype.itemsize}")
    exponent = np.asarray(np.inf, features.dtype).view(bits.dtype)
    return bool(((bits & exponent) == exponent).any())


def write_features(
    root: str | os.PathLike,
    encoder: str,
    pictures: Iterable[str | os.PathLike | bytes],
    load: Callable[[str | os.PathLike | bytes], np.ndarray],
    encode: Callable[[np.ndarray], np.ndarray],
    *,
    batch: int = 32,
    part_bytes: int = 256 * 2**20,
) -> int:
    """Adds the features of pictures that the store does not have, and returns how many it added.

    Interrupted and started again, it goes on with the first part that was not whole. A picture that cannot be read is
    named in the log and left out: the pipeline does with its row as its config says.

    Args:
      root, encoder: see `FeatureStore`; made if missing.
      pictures: paths or file contents; one that is there twice is encoded once.
      load: a picture to the encoder's input.
      encode: [n, ...], up to `batch` inputs, to their features [n, T, D] in the dtype to be kept.
      batch: pictures encoded together.
      part_bytes: about the size of a file.

    Raises:
      FeatureError: the store has features of another size, or `encode` gives one that is not finite.
    """
    directory = Path(root) / encoder
    known: set[bytes] = set()
    if (directory / "store.json").exists():
        known = {bytes(key) for key in FeatureStore(root, encoder)._keys}
    waiting: list[tuple[bytes, np.ndarray]] = []
    keys: list[bytes] = []
    features: list[np.ndarray] = []
    added = 0
    for picture in pictures:
        try:
            key = picture_key(picture)
            if key in known:
                continue
            waiting.append((key, load(picture)))
        except (ImageError, OSError) as error:
            logging.warning("%s: no features are kept of it", error)
            continue
        known.add(key)
        if len(waiting) == batch:
            keys += [key for key, _ in waiting]
            features.append(_encoded(encode, [image for _, image in waiting]))
            waiting = []
            if sum(part.nbytes for part in features) >= part_bytes:
                added += _write_part(directory, encoder, keys, features)
                keys, features = [], []
    if waiting:
        keys += [key for key, _ in waiting]
        features.append(_encoded(encode, [image for _, image in waiting]))
    return added + (_write_part(directory, encoder, keys, features) if keys else 0)


def _encoded(encode: Callable[[np.ndarray], np.ndarray], images: list[np.ndarray]) -> np.ndarray:
    features = np.asarray(encode(np.stack(images)))
    if features.ndim != 3 or len(features) != len(images):
        raise FeatureError(f"features of {len(images)} pictures have the shape {features.shape}, not [n, T, D]")
    if not np.isfinite(features).all():
        raise FeatureError(f"features are not finite in {features.dtype}; keep them in float32")
    return features


def _write_part(directory: Path, encoder: str, keys: list[bytes], features: list[np.ndarray]) -> int:
    _write_facts(directory, encoder, features[0])
    packed = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
    name = hashlib.blake2b(packed.tobytes(), digest_size=8).hexdigest()
    _save(directory / f"{name}.features.npy", np.concatenate(features))
    _save(directory / f"{name}.keys.npy", packed)
    return len(keys)


def _save(path: Path, array: np.ndarray) -> None:
    with _renamed(path) as file:
        np.save(file, array)


@contextlib.contextmanager
def _renamed(path: Path):
    """A file under a temporary name that gets its own when it is whole and on disk."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)
            yield file
            file.flush()
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _write_facts(directory: Path, encoder: str, features: np.ndarray) -> None:
    facts = {
        "format": FORMAT,
        "encoder": encoder,
        "tokens": features.shape[1],
        "width": features.shape[2],
        "dtype": features.dtype.name,
    }
    path = directory / "store.json"
    if path.exists():
        found = _read_facts(directory)
        if found != facts:
            raise FeatureError(f"{path} says {found}, and these features are {facts}; delete the folder or use another")
        return
    directory.mkdir(parents=True, exist_ok=True)
    with _renamed(path) as file:
        file.write(json.dumps(facts, indent=2).encode())


def _read_facts(directory: Path) -> dict:
    path = directory / "store.json"
    try:
        facts = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FeatureError(f"no features at {directory}; write them first") from error
    except (OSError, ValueError) as error:
        raise FeatureError(f"{path} cannot be read: {error}") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise FeatureError(f"{path} is not of the format {FORMAT}")
    return facts
