"""From triplets to batches: read, tokenise, mask, place in rows, shard per host, resume.

A row of a batch holds one or more samples one after the other, each `[visual tokens][prompt][response]`. A sample's
visual tokens are the first `V` of its positions; picture k of a row has the visual tokens kV to (k + 1)V. A sample
without a picture has no visual tokens.

Which sample stands where is planned from lengths alone (plan.py), so that the state of an iterator is a place in the
plan, the same on all hosts: a run may go on with another number of hosts or worker processes, and reads what it would
have read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import signal
from collections.abc import Sequence
from typing import Any, NamedTuple

import grain
import numpy as np
from absl import flags, logging

from vlsm_jax.data.annotations import COLUMN, NONE, SLOTS, Lesson, Patches, kept_patches, seen_patches, visual_targets
from vlsm_jax.data.augmentation import augment
from vlsm_jax.data.features import FeatureError, FeatureStore, picture_key
from vlsm_jax.data.images import Fit, ImageError, load_image
from vlsm_jax.data.lengths import find_lengths
from vlsm_jax.data.mixture import Mixture
from vlsm_jax.data.plan import Place, Plan, Sample
from vlsm_jax.data.text_form import DEFAULT_FORM, End, TextForm
from vlsm_jax.data.tokenizer import Tokenizer, load_tokenizer
from vlsm_jax.data.triplets import DataError, Record

_AUGMENTATION = 4  # the random stream of pictures; mixture.py has 1 and 2, plan.py 3

_ENDLESS = 2**48  # batches: grain wants a length

# Rows that cannot be read are an accident up to this share of them, and of this many while fewer were read.
_MOST_BAD, _AT_FIRST = 0.01, 1000
_NONE_GOOD = 8
"""Rows after which at least one must have been readable."""

_NAMED = 20
"""Rows left out that are named one by one in the log; the rest are counted."""


class BadRows(enum.Enum):
    """What happens to a row that cannot be read or does not fit into a row of the batch."""

    SKIP = "skip"  # named in the log, counted, left out; too many that cannot be read are an error all the same
    RAISE = "raise"  # the first ends the run


class Batch(NamedTuple):
    """What a training step reads. B rows, S positions, K pictures a row, V visual tokens a picture.

    Either `images` or `features` is there.

    Attributes:
      tokens: int32 [B, S]; the image token at visual positions.
      targets: int32 [B, S]; the id that follows.
      weights: float32 [B, S]; 1 where the target belongs to a response (its end-of-text id included), else 0. What
        counts by `rows_per_mean` adds up to 1 over so many rows.
      segment_ids: int32 [B, S]; which sample of the row, from 1; 0 is padding. Padding that counts has the sample's
        number with a minus: it sees the sample and is seen by nobody. None: each row begins with its only sample, and
        padding behind it does not count.
      positions: int32 [B, S]; place within the sample, from 0; -1 is padding that does not count.
      visual_index: int32 [B, S]; which of the row's K * V visual tokens stands here; -1 where text does.
      images: uint8 [B, K, H, W, 3]; zeros where a row has fewer pictures than K.
      features: [B, K, T, D]; what a frozen encoder made of the pictures.
      visual_targets: int32 [B, K, V, S]; ids that a visual token is to say (annotations.py), -1 for none; None where
        annotations are not read.
      kept: int32 [B, K, P]; the patches of a picture that the encoder sees, and V is fewer by the others; None: all.
    """

    tokens: Any
    targets: Any
    weights: Any
    positions: Any
    visual_index: Any
    segment_ids: Any = None
    images: Any = None
    features: Any = None
    visual_targets: Any = None
    kept: Any = None


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
      buckets: without packing, how many lengths rows may have; every one is one more compilation of the step.
      joint, strip, end: how texts become ids, see `TextForm`.
      truncate: samples too long for a row are cut, see `TextForm.limit`, and not left out.
      rows_per_mean: how targets count in the loss. 0: each alike. n: every n rows count alike, and within them each
        target: the mean of the means of n rows, which is what accumulating the mean losses of microbatches comes to.
      augmentation: how much training pictures are changed; 0 not at all, 1 as a camera would (augmentation.py).
      bad_rows: what happens to rows that cannot be used.
      patch_size: of the encoder, in pixels, where visual tokens are to say what an annotation tells; 0: annotations are
        not read.
      lesson: what of annotations visual tokens are to say.
      kept_patches: how many patches of a picture are enough to train an encoder alone with, see
        `annotations.kept_patches`; a picture takes so much less of a row. 0: those that it sees.
      seen_patches: how many the encoder sees by itself, where annotations are read; 0: all.
      seed: of the order of the data.
      workers: processes that read and tokenise; 0 uses threads of this one.
    """

    sequence_length: int
    batch_size: int
    image_size: int
    visual_tokens: int
    fit: Fit = Fit.PAD
    pack: bool = True
    buckets: int = 1
    joint: bool = False
    strip: bool = False
    end: End = End.TOKEN
    truncate: bool = False
    rows_per_mean: int = 0
    augmentation: float = 0.0
    bad_rows: BadRows = BadRows.SKIP
    patch_size: int = 0
    lesson: Lesson = Lesson.LINES
    kept_patches: int = 0
    seen_patches: int = 0
    seed: int = 0
    workers: int = 0

    def __post_init__(self):
        least_of = {"sequence_length": 1, "batch_size": 1, "buckets": 1}
        least_of |= {"rows_per_mean": 0, "augmentation": 0, "patch_size": 0, "kept_patches": 0, "workers": 0}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} is below {least}")
        if self.pack and self.buckets > 1:
            raise ValueError(f"pack and buckets={self.buckets} exclude one another; set pack=False to use buckets")
        if self.pack and self.end is End.PADDING:
            raise ValueError("pack and end='padding' exclude one another; set pack=False, or end='token'")
        if self.batch_size % (self.rows_per_mean or 1):
            raise ValueError(f"rows_per_mean={self.rows_per_mean} does not divide batch_size={self.batch_size}")
        if self.patch_size and self.augmentation:
            raise ValueError("augmentation moves what annotations tell the place of; use one or the other")
        if self.lesson is not Lesson.LINES and not self.patch_size:
            raise ValueError(f"lesson={self.lesson.value!r} needs annotations; set train.visual_targets=1")
        if self.kept_patches and not self.patch_size:
            raise ValueError(f"kept_patches={self.kept_patches} needs annotations; set train.visual_targets=1")
        if self.patch_size and self.kept_patches > self.patches.across**2:
            raise ValueError(f"kept_patches={self.kept_patches} is more than the {self.patches.across**2} of a picture")

    @property
    def segmented(self) -> bool:
        """Whether rows tell samples apart; else positions say all, and attention need not look at anything else."""
        return self.pack or self.end is End.PADDING

    @property
    def patches(self) -> Patches:
        """How the encoder cuts pictures, where annotations are read."""
        return Patches(self.image_size, self.patch_size, self.visual_tokens, self.fit, self.seen_patches)

    @property
    def encoded_tokens(self) -> int:
        """Visual tokens that the encoder makes of a picture: V, or those of the patches that are kept."""
        return self.patches.before + self.kept_patches if self.kept_patches else self.visual_tokens

    @property
    def form(self) -> TextForm:
        """How texts become ids."""
        limit = max(0, self.sequence_length - self.encoded_tokens) if self.truncate else 0
        return TextForm(self.joint, self.strip, self.end, limit)


def encode_example(
    record: Record, tokenizer: Tokenizer, visual_tokens: int, form: TextForm = DEFAULT_FORM
) -> dict[str, np.ndarray]:
    """Returns one sample as inputs and next-token targets, each [n - 1] for a sample of n ids."""
    text, asked = form.encode(record.prompt, record.response, tokenizer)
    visual = visual_tokens if record.image is not None else 0
    ids = np.asarray([*[tokenizer.image_id] * visual, *text], np.int32)
    weights = np.zeros(len(ids) - 1, np.float32)
    weights[visual + asked - 1 :] = 1
    return {"tokens": ids[:-1], "targets": ids[1:], "weights": weights}


def mean_of_means(weights: np.ndarray, rows: int) -> np.ndarray:
    """Returns weights [B, S] scaled so that every `rows` rows have 1 in all, or 0 where none of theirs counts."""
    groups = weights.reshape(-1, rows * weights.shape[1])
    totals = groups.sum(axis=1, keepdims=True)
    return np.divide(groups, totals, out=np.zeros_like(groups), where=totals > 0).reshape(weights.shape)


def make_dataset(
    source: Sequence[Record] | Mixture,
    tokenizer: Tokenizer,
    config: PipelineConfig,
    *,
    shuffle: bool = True,
    shard_index: int = 0,
    shard_count: int = 1,
    features: FeatureStore | None = None,
) -> BatchDataset:
    """Returns an endless data set of this host's rows of each batch, as dicts with the fields of `Batch`.

    Epochs follow one another, each in another order. Host i of n has the i-th n-th of the rows of every batch.

    Args:
      source: rows with random access, or several such sources in shares.
      tokenizer: turns text into ids; worker processes load it anew by its name.
      config: see there.
      shuffle: for training. Without it, rows keep about the order of the file, and pictures are as they are.
      shard_index, shard_count: this host and the number of hosts.
      features: gives features in place of pictures.

    Raises:
      DataError: the batch does not divide over the hosts, no row fits, rows are bad and `config` forbids it, or kept
        features are to be augmented or cut.
    """
    if config.batch_size % (shard_count * (config.rows_per_mean or 1)):
        groups = f", in groups of rows_per_mean={config.rows_per_mean}" if config.rows_per_mean else ""
        raise DataError(f"pipeline.batch_size={config.batch_size} does not divide over {shard_count} hosts{groups}")
    if features is not None and config.augmentation and shuffle:
        raise DataError(
            f"pipeline.augmentation={config.augmentation:g} changes pictures, and features are kept of them as they "
            "are; use one or the other"
        )
    if features is not None and config.kept_patches:
        raise DataError(f"pipeline.kept_patches={config.kept_patches} are for an encoder that runs; features are kept")
    mixture = source if isinstance(source, Mixture) else Mixture((source,), (1.0,))
    if config.patch_size:
        _check_annotated(mixture.sources)
    lengths, pictures = [], False
    for part in mixture.sources:
        found = find_lengths(part, tokenizer, config.form)
        lengths.append(found.positions(config.encoded_tokens))
        pictures |= bool(found.pictures.any())
        _check_lengths(part, lengths[-1], config)
    plan = Plan(
        lengths,
        mixture.weights,
        width=config.sequence_length,
        packed=config.pack,
        buckets=config.buckets,
        batch=config.batch_size,
        seed=config.seed,
        shuffle=shuffle,
    )
    reader = _Reader(mixture.sources, tokenizer, config, plan.samples if pictures else 1, shuffle, features)
    return BatchDataset(plan, reader, config, shard_index, shard_count)


def _check_annotated(sources: Sequence[Sequence[Record]]) -> None:
    """Raises DataError when the first rows of all sources lack what visual tokens are to say."""
    for source in sources:
        for index in range(min(len(source), _AT_FIRST)):
            with contextlib.suppress(DataError):  # is named where rows are read
                if source[index].extra.get(COLUMN) is not None:
                    return
    raise DataError(
        f"no row of {', '.join(map(repr, sources))} has the column {COLUMN!r}, which train.visual_targets is about: "
        "make triplets with synth.annotated=True, or set train.visual_targets=0"
    )


def _check_lengths(source: Sequence[Record], positions: np.ndarray, config: PipelineConfig) -> None:
    """Names the rows that no batch will hold, or raises DataError."""
    limit = config.sequence_length
    unreadable, long = np.flatnonzero(positions == 0), np.flatnonzero(positions > limit)
    problems = []
    for index in [*unreadable[:_NAMED], *long[:_NAMED]]:
        try:
            problems.append(
                f"{source[index].where}: {positions[index]} tokens, over the limit of {limit}: left out "
                "(raise pipeline.sequence_length to keep it)"
            )
        except DataError as error:
            problems.append(f"{error}: left out")
    if problems and config.bad_rows is BadRows.RAISE:
        raise DataError("rows that cannot be used:\n  " + "\n  ".join(problems))
    if len(unreadable) > _MOST_BAD * max(len(positions), _AT_FIRST) or len(unreadable) == len(positions):
        raise DataError(f"{source!r}: {len(unreadable)} of {len(positions)} rows cannot be read; {problems[0]}")
    if len(unreadable) + len(long) == len(positions):
        raise DataError(
            f"{source!r}: of {len(long)} rows the shortest takes {positions[long].min()} positions "
            f"({config.encoded_tokens} visual ones included), over pipeline.sequence_length={limit}"
        )
    for problem in problems:
        logging.warning("%s", problem)
    if problems:
        logging.warning(
            "%r: of %d rows %d cannot be read and %d are too long: left out",
            *(source, len(positions), len(unreadable), len(long)),
        )


class BatchDataset(grain.IterDataset):
    """Batches of a plan; `iter` gives a grain iterator whose state is a place in the plan.

    Attributes:
      plan: which sample stands where.
    """

    def __init__(self, plan: Plan, reader: _Reader, config: PipelineConfig, shard_index: int, shard_count: int):
        super().__init__()
        self.plan = plan
        self._reader, self._config = reader, config
        self._shard = (shard_index, shard_count)

    def __iter__(self) -> _BatchIterator:
        return _BatchIterator(self)

    def __str__(self) -> str:
        return f"BatchDataset(plan={self.plan.digest})"

    def names_at(self, place: Place) -> list[str]:
        """Returns the ids of the samples of the batch at a place."""
        rows, _ = self.plan.read(place, self._config.batch_size)
        return [self._reader.name(sample) for row in rows for sample in row]

    def batches_from(self, start: Place) -> grain.DatasetIterator:
        """Returns an iterator of (batch, place behind it)."""
        batches = grain.MapDataset.source(
            _Batches(self.plan, self._reader, start, self._config.batch_size, *self._shard)
        ).to_iter_dataset(grain.ReadOptions(num_threads=1 if self._config.workers else 2, prefetch_buffer_size=4))
        if self._config.workers:
            if not flags.FLAGS.is_parsed():  # grain reads its own absl flags, which a notebook has never parsed
                flags.FLAGS.mark_as_parsed()
            batches = batches.mp_prefetch(
                grain.multiprocessing.MultiprocessingOptions(num_workers=self._config.workers), _begin_worker
            )
        return iter(batches)


def _begin_worker(index: int, count: int) -> None:
    """Leaves it to the process that trains when reading ends: a scheduler's SIGTERM may reach all of them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class _BatchIterator(grain.DatasetIterator):
    """Reads batches from a place on; started anew where a state says."""

    def __init__(self, dataset: BatchDataset):
        super().__init__()
        self._dataset = dataset
        self._place = Place(0, 0)
        self._batches: grain.DatasetIterator | None = None

    def __next__(self) -> dict[str, np.ndarray]:
        self._assert_not_closed()
        self.start_prefetch()
        batch, place = next(self._batches)
        self._place = Place(*(int(number) for number in place))
        return batch

    def get_state(self) -> dict[str, Any]:
        """Returns {"round", "row", "plan"}: the same on all hosts, whatever their number."""
        return {**self._place._asdict(), "plan": self._dataset.plan.digest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a state of an iterator over the same plan; over another, from the same row, with a warning."""
        plan = self._dataset.plan
        if state["plan"] != plan.digest:
            logging.warning(
                "the data, or how it becomes rows, is not what it was at the checkpoint: reading goes on at row %d of "
                "round %d of the new order, and some samples of this epoch may come again or not at all",
                *(state["row"], state["round"]),
            )
        self._stop()
        self._place = Place(state["round"], state["row"])

    def names_at(self, state: dict[str, Any]) -> list[str]:
        """Returns the ids of the samples of the batch behind a state, over all hosts."""
        return self._dataset.names_at(Place(state["round"], state["row"]))

    def start_prefetch(self) -> None:
        """Begins to read ahead."""
        if self._batches is None:
            self._batches = self._dataset.batches_from(self._place)
            self._batches.start_prefetch()

    def close(self) -> None:
        """Ends threads and processes."""
        self._stop()
        super().close()

    def __str__(self) -> str:
        return str(self._dataset)

    def _stop(self) -> None:
        if self._batches is not None:
            self._batches.close()
            self._batches = None


class _Batches:
    """Batch i behind a place, with random access: the work of threads and worker processes."""

    def __init__(self, plan: Plan, reader: _Reader, start: Place, batch_size: int, shard_index: int, shard_count: int):
        self._plan, self._reader, self._start = plan, reader, start
        self._batch_size = batch_size
        self._rows = batch_size // shard_count
        self._first = shard_index * self._rows

    def __len__(self) -> int:
        return _ENDLESS

    def __repr__(self) -> str:
        return f"_Batches(plan={self._plan.digest}, start={tuple(self._start)})"

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        start = self._plan.place(self._start, index * self._batch_size)
        rows, width = self._plan.read(self._plan.place(start, self._first), self._rows)
        return self._reader.read(rows, width), np.asarray(self._plan.place(start, self._batch_size), np.int64)


class _Reader:
    """Samples to arrays. Holds paths and names, so that it can be sent to a worker process."""

    def __init__(
        self,
        sources: Sequence[Sequence[Record]],
        tokenizer: Tokenizer,
        config: PipelineConfig,
        pictures: int,
        training: bool,
        features: FeatureStore | None,
    ):
        self._sources = sources
        self._tokenizer: Tokenizer | None = tokenizer
        self._tokenizer_name = tokenizer.directory
        self._habits = {name: getattr(tokenizer, name) for name in ("beginning", "placeholders", "known")}
        self._config = config
        self._pictures = pictures
        self._strength = config.augmentation if training else 0.0
        self._features = features
        self._read, self._good = 0, False
        self._bad: set[tuple[int, int]] = set()

    def __getstate__(self):
        return {**self.__dict__, "_tokenizer": None}

    def read(self, rows: Sequence[Sequence[Sample]], width: int) -> dict[str, np.ndarray]:
        """Returns the arrays of a batch whose rows hold `width` positions."""
        if self._tokenizer is None:
            self._tokenizer = dataclasses.replace(load_tokenizer(self._tokenizer_name), **self._habits)
        shape, config = (len(rows), width), self._config
        text = {
            "tokens": np.full(shape, self._tokenizer.pad_id, np.int32),
            "targets": np.full(shape, self._tokenizer.pad_id, np.int32),
            "weights": np.zeros(shape, np.float32),
        }
        segments, positions = np.zeros(shape, np.int32), np.full(shape, -1, np.int32)
        visual_index = np.full(shape, -1, np.int32)
        if self._features is None:
            name, dtype, picture_shape = "images", np.uint8, (config.image_size, config.image_size, 3)
        else:
            name, dtype = "features", self._features.dtype
            picture_shape = (self._features.tokens, self._features.width)
        pictures = np.zeros((len(rows), self._pictures, *picture_shape), dtype)
        visual = self._visual(len(rows))
        for row, samples in enumerate(rows):
            at = segment = picture = 0
            for sample in samples:
                found = self._sample(sample)
                if found is None:
                    continue
                example, image, wanted = found
                length = len(example["tokens"])
                end, segment = at + length, segment + 1
                if end > width:
                    raise DataError(
                        f"row {sample.index} of {self._sources[sample.source]!r} has {length} tokens, more than when "
                        "they were counted: the data was changed meanwhile; start again"
                    )
                for key, values in text.items():
                    values[row, at:end] = example[key]
                segments[row, at:end] = segment
                positions[row, at:end] = np.arange(length)
                if image is not None:
                    tokens = config.encoded_tokens
                    visual_index[row, at : at + tokens] = picture * tokens + np.arange(tokens)
                    pictures[row, picture] = image
                    for key, values in visual.items():
                        values[row, picture] = wanted[key]
                    picture += 1
                at = end
            if config.end is End.PADDING and segment:
                # What fills the row is read and predicted like text, but no sample sees it. The row holds as many ids
                # as it has places, so that behind the last there is nothing to predict.
                text["tokens"][row, at:] = text["targets"][row, at:] = self._tokenizer.eos_id
                text["weights"][row, at:] = 1
                text["weights"][row, -1] = 0
                segments[row, at:] = -segment
                positions[row, at:] = np.arange(at, width)
        if config.rows_per_mean:
            text["weights"] = mean_of_means(text["weights"], config.rows_per_mean)
        out = text | {"segment_ids": segments, "positions": positions, "visual_index": visual_index, name: pictures}
        if not config.segmented:
            del out["segment_ids"]
        return out | visual

    def _visual(self, rows: int) -> dict[str, np.ndarray]:
        """Returns what there is of pictures beside their pixels, for rows without any."""
        config, shape = self._config, (rows, self._pictures)
        if not config.patch_size:
            return {}
        targets = {"visual_targets": np.full((*shape, config.encoded_tokens, SLOTS), NONE, np.int32)}
        return targets | ({"kept": np.zeros((*shape, config.kept_patches), np.int32)} if config.kept_patches else {})

    def name(self, sample: Sample) -> str:
        """Returns the id of a sample, or its number where its row cannot be read."""
        source = self._sources[sample.source]
        try:
            return source[sample.index].id
        except DataError:
            return f"row {sample.index} of {source!r}"

    def _sample(self, sample: Sample) -> tuple[dict[str, np.ndarray], np.ndarray | None, dict[str, np.ndarray]] | None:
        """Returns a sample's text, picture and what that is to say; None where it cannot be read and may be skipped."""
        self._read += 1
        where = ""
        try:
            record = self._sources[sample.source][sample.index]
            where = f"{record.where}: "
            image = None if record.image is None else self._picture(record.image, sample)
            wanted = {} if image is None or not self._config.patch_size else self._wanted(record, image)
        except (DataError, FeatureError, ImageError, OSError) as error:
            self._skip(sample, f"{where}{error}", error)
            return None
        self._good = True
        return encode_example(record, self._tokenizer, self._config.encoded_tokens, self._config.form), image, wanted

    def _wanted(self, record: Record, image: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what a picture's visual tokens are to say, and which of them there are."""
        config, patches = self._config, self._config.patches
        targets = visual_targets(record.extra.get(COLUMN), self._tokenizer, patches, config.lesson)
        if config.kept_patches:
            kept = kept_patches(image, targets, patches, config.kept_patches)
            return {"visual_targets": patches.targets_of(kept, targets), "kept": kept}
        return {"visual_targets": patches.targets_of(seen_patches(image, patches), targets)}

    def _picture(self, picture: str | bytes, sample: Sample) -> np.ndarray:
        if self._features is not None:
            return self._features[picture_key(picture)]
        change = None
        if self._strength:
            # From the place in the data alone: a run that goes on sees what it would have seen, on whatever host.
            seed = (self._config.seed, _AUGMENTATION, *sample)
            change = functools.partial(augment, rng=np.random.default_rng(seed), strength=self._strength)
        return load_image(picture, self._config.image_size, self._config.fit, change)

    def _skip(self, sample: Sample, problem: str, error: Exception) -> None:
        if self._config.bad_rows is BadRows.RAISE:
            raise DataError(problem) from error
        key = (sample.source, sample.index)
        known = key in self._bad
        self._bad.add(key)
        if len(self._bad) > _MOST_BAD * max(self._read, _AT_FIRST) or (not self._good and self._read >= _NONE_GOOD):
            raise DataError(f"{len(self._bad)} rows of {self._read} cannot be read; the last: {problem}") from error
        if known:
            return
        if len(self._bad) <= _NAMED:
            logging.warning("%s: left out (%d so far in this process)", problem, len(self._bad))
        elif len(self._bad) % 100 == 0:
            logging.warning("%d rows left out so far in this process; the last: %s", len(self._bad), problem)
