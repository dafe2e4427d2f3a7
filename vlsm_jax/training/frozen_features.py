"""Features of a frozen encoder, computed once and kept: what an epoch of it would cost is paid once for all epochs."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vlsm_jax.data.features import FeatureStore, write_features
from vlsm_jax.data.images import Fit, load_image
from vlsm_jax.data.triplets import DataError, Record
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.network import Network

BATCH = 16
"""Pictures encoded together."""


def encoder_fingerprint(network: Network, params: Mapping[str, jax.Array], fit: Fit, dtype: str) -> str:
    """Returns what tells features apart: the encoder's sizes and weights, how pictures are prepared, and the dtypes."""
    vision = network.config.to_dict()["vision"]
    compute = jnp.dtype(network.merge(params).vision.dtype).name
    digest = hashlib.blake2b(json.dumps([vision, fit.value, compute, dtype], sort_keys=True).encode(), digest_size=12)
    for name in sorted(params):
        if name.startswith("vision/"):
            value = np.asarray(jax.device_get(params[name]))
            digest.update(f"{name} {value.dtype} {value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def keep_features(
    network: Network,
    params: Mapping[str, jax.Array],
    sources: Iterable[Sequence[Record]],
    *,
    fit: Fit,
    root: Path,
    trained: Iterable[str] = (),
    dtype: str = "float16",
) -> FeatureStore:
    """Returns a store that has the features of all pictures of `sources`; those that it lacks are computed.

    `make_dataset(..., features=store)` then feeds them, and `batch_loss` starts at the connector.

    Args:
      network, params: the model; its encoder is what counts.
      sources: all data that the store is for; a row that cannot be read is passed over.
      fit: how a picture becomes a square.
      root: stores of all encoders lie here.
      trained: names of the parameters that are trained.
      dtype: what features are kept in; float16 rounds them to 11 bits.

    Raises:
      ConfigError: the encoder is trained, so that what it makes of a picture does not stay; or there are more processes
        than one.
      FeatureError: a feature is not finite in `dtype`.
    """
    moving = sorted(name for name in trained if name.startswith("vision/"))
    if moving:
        raise ConfigError(
            f"features can be kept of a frozen encoder only, and train.trainable trains {moving[0]} and "
            f"{len(moving) - 1} more of its arrays; begin it with ((r'^vision/', False), ...)"
        )
    if jax.process_count() > 1:
        raise ConfigError(f"train.features is for one process, and this job has {jax.process_count()}; leave it empty")
    encoder = encoder_fingerprint(network, params, fit, dtype)
    encode = jax.jit(lambda params, images: network.merge(params).vision(images).astype(dtype))

    def encode_all(images: np.ndarray) -> np.ndarray:
        count = len(images)
        images = np.resize(images, (BATCH, *images.shape[1:]))  # one shape, one compilation
        return np.asarray(encode(dict(params), images))[:count]

    load = functools.partial(load_image, size=network.config.vision.image_size, fit=fit)
    write_features(root, encoder, _pictures(sources), load, encode_all, batch=BATCH)
    return FeatureStore(root, encoder)


def _pictures(sources: Iterable[Sequence[Record]]) -> Iterator[str | bytes]:
    for source in sources:
        for index in range(len(source)):
            try:
                record = source[index]
            except DataError:
                continue
            if record.image is not None:
                yield record.image
