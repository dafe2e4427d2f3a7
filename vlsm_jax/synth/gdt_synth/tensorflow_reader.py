"""ArrayRecord files as a `tf.data.Dataset`, which TFDS gives of TFRecord files only.

With it one folder serves `tfds.load` and `tfds.data_source` alike, and the first one shuffles all of a split at once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

BATCH = 64
"""Records that are read in one go: a call from TensorFlow into Python costs more than reading a record."""


def require_tensorflow(purpose: str) -> None:
    """Raises `ModuleNotFoundError` saying what needs TensorFlow and what does not, where it is not installed."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ModuleNotFoundError(
            f"{purpose} needs TensorFlow: pip install tensorflow; without it, prepare ArrayRecord files (the default "
            "file_format) and read them with tfds.data_source",
            name="tensorflow",
        )


def to_tf_dataset(
    records: Sequence[bytes],
    features: tfds.features.FeaturesDict,
    *,
    decoders: Any = None,
    read_config: tfds.ReadConfig | None = None,
    shuffle: bool = False,
) -> Any:
    """Returns records as a dataset of decoded examples.

    Args:
      records: serialized examples, with random access.
      features: what they hold.
      decoders: as in `tfds.load`.
      read_config: its seed, options, shard and number of parallel calls are used.
      shuffle: whether the order is a new one on every pass.

    Raises:
      NotImplementedError: `read_config` asks for ids of TFDS, which ArrayRecord files do not have.
    """
    import tensorflow as tf

    config = read_config or tfds.ReadConfig()
    if config.add_tfds_id:
        raise NotImplementedError("add_tfds_id is for TFRecord files; every example has an id of its own")
    indices = tf.data.Dataset.range(len(records))
    if config.input_context is not None:
        indices = indices.shard(config.input_context.num_input_pipelines, config.input_context.input_pipeline_id)
    if shuffle:
        again = config.shuffle_reshuffle_each_iteration
        indices = indices.shuffle(len(records), seed=config.shuffle_seed, reshuffle_each_iteration=again)

    def read(batch: np.ndarray) -> np.ndarray:
        return np.array(records.__getitems__(batch.tolist()), dtype=object)

    def decode(record: Any) -> Any:
        return features.deserialize_example(tf.ensure_shape(record, ()), decoders=decoders)

    calls = config.num_parallel_calls_for_decode or tf.data.AUTOTUNE
    batches = indices.batch(BATCH).map(lambda batch: tf.numpy_function(read, [batch], tf.string, stateful=False))
    examples = batches.unbatch().map(decode, num_parallel_calls=calls)
    return examples.apply(tf.data.experimental.assert_cardinality(indices.cardinality())).with_options(config.options)
