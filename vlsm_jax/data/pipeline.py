"""From triplets to batches: read, tokenise, mask, pack (or pad), shard per host, resume.

A row of a batch holds one or more samples one after the other, each `[visual tokens][prompt][response]`. A sample's
visual tokens are the first `V` of its positions, so the row needs no further bookkeeping: sample k of a row has segment
id k + 1, image k, and its positions count from 0.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import grain
import grain.experimental
import numpy as np
from absl import flags, logging

from vlsm_jax.data.images import Fit, ImageError, load_image
from vlsm_jax.data.tokenizer import Tokenizer, load_tokenizer
from vlsm_jax.data.triplets import DataError, JsonlTriplets, Record

# Bins open at a time while packing: more waste less and hold more pictures in memory.
PACKING_BINS = 32


class Batch(NamedTuple):
    """What a training step reads. B rows, S positions, K images a row, V visual tokens an image.

    Attributes:
      tokens: int32 [B, S]; the image token at visual positions.
      targets: int32 [B, S]; the id that follows.
      weights: float32 [B, S]; 1 where the target belongs to a response (its end-of-text id included), else 0.
      segment_ids: int32 [B, S]; which sample of the row, from 1; 0 is padding.
      positions: int32 [B, S]; place within the sample, from 0; -1 is padding.
      visual_index: int32 [B, S]; which of the row's K * V visual tokens stands here; -1 where text does.
      images: uint8 [B, K, H, W, 3]; zeros where a row has fewer samples than K.
    """

    tokens: Any
    targets: Any
    weights: Any
    segment_ids: Any
    positions: Any
    visual_index: Any
    images: Any


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """How triplets become batches.

    Attributes:
      sequence_length: S, visual tokens included.
      batch_size: rows of a batch over all hosts.
      image_size: side of the square picture, in pixels.
      visual_tokens: V, positions one picture takes.
      fit: how a picture becomes a square.
      pack: several samples in a row, or one sample a row and padding behind it.
      seed: of the order of the data.
      workers: processes that read and tokenise; 0 uses threads of this one.
    """

    sequence_length: int
    batch_size: int
    image_size: int
    visual_tokens: int
    fit: Fit = Fit.PAD
    pack: bool = True
    seed: int = 0
    workers: int = 0


def encode_example(record: Record, tokenizer: Tokenizer, visual_tokens: int) -> dict[str, np.ndarray]:
    """Returns one sample as inputs and next-token targets, each [n - 1] for a sample of n ids."""
    prompt = tokenizer.encode_prompt(record.prompt)
    response = tokenizer.encode_response(record.response)
    ids = np.asarray([*[tokenizer.image_id] * visual_tokens, *prompt, *response], np.int32)
    weights = np.zeros(len(ids) - 1, np.float32)
    weights[-len(response) :] = 1
    return {"tokens": ids[:-1], "targets": ids[1:], "weights": weights}


class _Encode(grain.transforms.Map):
    """Record index to arrays. Holds paths only, so that it can be sent to a worker process."""

    def __init__(self, tokenizer_name: str, config: PipelineConfig):
        self._tokenizer_name = tokenizer_name
        self._config = config
        self._tokenizer: Tokenizer | None = None
        self._left_out: set[str] = set()

    def __getstate__(self):
        return {**self.__dict__, "_tokenizer": None}

    def map(self, record: Record) -> dict[str, np.ndarray]:
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self._tokenizer_name)
        example = encode_example(record, self._tokenizer, self._config.visual_tokens)
        if len(example["tokens"]) > self._config.sequence_length:
            if record.where not in self._left_out:  # once, not once an epoch
                self._left_out.add(record.where)
                logging.warning(
                    "%s: %d tokens, over the limit of %d: left out (raise pipeline.sequence_length to keep it)",
                    record.where,
                    len(example["tokens"]),
                    self._config.sequence_length,
                )
            return {**example, "images": None}
        try:
            image = load_image(record.image, self._config.image_size, self._config.fit)
        except ImageError as error:
            raise DataError(f"{record.where}: {error}") from error
        return {**example, "images": image[None]}


class _Fits(grain.transforms.Filter):
    def filter(self, example: dict[str, Any]) -> bool:
        return example["images"] is not None


class _ToRow(grain.transforms.Map):
    """What the packer gives to the fields of a `Batch`."""

    def __init__(self, visual_tokens: int):
        self._visual_tokens = visual_tokens

    def map(self, packed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        segments, places = packed["tokens_segment_ids"], packed["tokens_positions"]
        filled = segments > 0
        visual = filled & (places < self._visual_tokens)
        return Batch(
            tokens=packed["tokens"],
            targets=packed["targets"],
            weights=packed["weights"],
            segment_ids=segments,
            positions=np.where(filled, places, -1).astype(np.int32),
            visual_index=np.where(visual, (segments - 1) * self._visual_tokens + places, -1).astype(np.int32),
            images=packed["images"],
        )._asdict()


def images_per_row(source: Sequence[Record], tokenizer: Tokenizer, config: PipelineConfig, rows: int = 64) -> int:
    """Returns K, the samples that a row has room for: what fits at the mean length of the first `rows` triplets.

    Every place for a picture is encoded, used or not, so K is no larger than it has to be.

    Raises:
      DataError: none of these triplets fits into a row; nothing would ever be fed.
    """
    lengths = [
        len(encode_example(source[i], tokenizer, config.visual_tokens)["tokens"]) for i in range(min(rows, len(source)))
    ]
    fitting = [length for length in lengths if length <= config.sequence_length]
    if not fitting:
        raise DataError(
            f"{source!r}: of the first {len(lengths)} triplets the shortest takes {min(lengths)} positions "
            f"({config.visual_tokens} visual ones included), over pipeline.sequence_length={config.sequence_length}"
        )
    return math.ceil(config.sequence_length / np.mean(fitting)) if config.pack else 1


def make_dataset(
    source: JsonlTriplets,
    tokenizer: Tokenizer,
    config: PipelineConfig,
    *,
    shuffle: bool = True,
    shard_index: int = 0,
    shard_count: int = 1,
) -> grain.IterDataset:
    """Returns an endless data set of this host's rows of each batch, as dicts with the fields of `Batch`.

    Epochs follow one another, each in another order. Hosts take every `shard_count`-th row, so their shares may differ
    by one: count steps, not epochs. The iterator's state is its place; a checkpoint keeps it.

    Raises:
      DataError: the batch does not divide over the hosts, the data is smaller than the hosts, or no triplet fits.
    """
    if config.batch_size % shard_count:
        raise DataError(f"pipeline.batch_size={config.batch_size} does not divide over {shard_count} hosts")
    if len(source) < shard_count:
        raise DataError(f"{source!r} has fewer rows than there are hosts ({shard_count})")
    pictures = images_per_row(source, tokenizer, config)
    data = grain.MapDataset.source(source).seed(config.seed)[shard_index::shard_count]
    if shuffle:
        data = data.shuffle()
    data = data.repeat().map(_Encode(tokenizer.directory, config)).filter(_Fits())
    rows = data.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=64))
    length = config.sequence_length
    rows = grain.experimental.BestFitPackIterDataset(
        rows,
        length_struct={"tokens": length, "targets": length, "weights": length, "images": pictures},
        num_packing_bins=PACKING_BINS if config.pack else config.batch_size // shard_count,
        seed=config.seed,
        shuffle_bins=config.pack,
        max_sequences_per_bin=None if config.pack else 1,
    )
    rows = rows.map(_ToRow(config.visual_tokens)).batch(config.batch_size // shard_count, drop_remainder=True)
    if config.workers:
        if not flags.FLAGS.is_parsed():  # grain reads its own absl flags, which a notebook has never parsed
            flags.FLAGS.mark_as_parsed()
        rows = rows.mp_prefetch(grain.multiprocessing.MultiprocessingOptions(num_workers=config.workers))
    return rows
