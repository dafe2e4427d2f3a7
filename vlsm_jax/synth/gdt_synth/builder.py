"""The builder that TFDS knows as `gdt_synth`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vlsm_jax.synth.dataset import BLANK
from vlsm_jax.synth.gdt_synth.config import GdtSynthConfig, named_configs
from vlsm_jax.synth.gdt_synth.examples import LISTS, NUMBERS, TEXTS, Example, Recipe, first_distinct
from vlsm_jax.synth.gdt_synth.tensorflow_reader import require_tensorflow, to_tf_dataset
from vlsm_jax.version import __version__

FILE_FORMAT = "array_record"


class GdtSynth(tfds.core.GeneratorBasedBuilder):
    """Triplets of layout sketch, prompt and FlexScript, made while the data set is built.

    Files are ArrayRecord unless `file_format` says otherwise: they have random access, and neither writing nor reading
    them needs TensorFlow. Examples lie in the order of their indices, as the rows of a JSONL data set do.

    Raises:
      ValueError: the folder holds triplets made from other parameters under the same name.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}  # noqa: RUF012  (TFDS's own name and form)
    BUILDER_CONFIGS = named_configs()

    builder_config: GdtSynthConfig

    def __init__(self, *, file_format: str | tfds.core.FileFormat | None = None, **kwargs: Any):
        # A folder that is there keeps its format, so the default is only given where there is none.
        super().__init__(file_format=file_format, **kwargs)
        if self.is_prepared():
            self._check_same()
        elif file_format is None:
            self.info.set_file_format(FILE_FORMAT, override=True)
        self._by_runner = False

    def _check_same(self) -> None:
        there, wanted = dict(self.info.metadata or {}), _metadata(self.builder_config)
        other = [key for key in wanted if key != "vlsm_jax" and there.get(key) != wanted[key]]
        if other:
            found = "; ".join(f"{key} is {there.get(key)!r}, not {wanted[key]!r}" for key in other)
            raise ValueError(f"{self.data_dir} holds other triplets ({found}); give the config another name, or none")

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text()
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Sketch of a factory's layout, a prompt and the FlexScript that builds it. Every script was run: it "
                "builds the factory of the sketch, and items flow everywhere. No two splits share a factory."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "id": text,
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "prompt": text,
                    "response": text,
                    "metadata": tfds.features.Text(doc="All other fields of the row: a JSON object."),
                    **dict.fromkeys(TEXTS, text),
                    **dict.fromkeys(LISTS, tfds.features.Sequence(text)),
                    **dict.fromkeys(NUMBERS, tfds.features.Scalar(np.int32)),
                }
            ),
            # Triplets are drawn independently: their own order is as good as a shuffled one, and the same everywhere.
            disable_shuffling=True,
            license="Apache-2.0",
            metadata=tfds.core.MetadataDict(_metadata(self.builder_config)),
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: tfds.download.DownloadConfig) -> None:
        if self.info.file_format is tfds.core.FileFormat.ARRAY_RECORD and "://" in os.fspath(self.data_dir):
            raise ValueError(
                f"TFDS writes ArrayRecord files into file systems only, not to {self.data_dir}; give "
                "file_format='tfrecord', and convert a copy with: tfds convert_format --out_file_format=array_record"
            )
        if self.info.file_format not in tfds.core.FileFormat.with_random_access():
            require_tensorflow(f"writing {self.info.file_format.value} files")
        # `_split_generators` is not told, and asking for its pipeline would start one.
        self._by_runner = bool(download_config.beam_runner or download_config.beam_options)
        super()._download_and_prepare(dl_manager, download_config)

    def as_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """Returns a `tf.data.Dataset`; raises `ModuleNotFoundError` without TensorFlow."""
        require_tensorflow("a tf.data.Dataset")
        return super().as_dataset(*args, **kwargs)

    def _as_dataset(
        self, split: Any, decoders: Any = None, read_config: Any = None, shuffle_files: bool = False
    ) -> Any:
        if self.info.file_format is not tfds.core.FileFormat.ARRAY_RECORD:
            return super()._as_dataset(split, decoders, read_config, shuffle_files)
        records = self.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        return to_tf_dataset(
            records, self.info.features, decoders=decoders, read_config=read_config, shuffle=shuffle_files
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        config, out = self.builder_config, {}
        for split, count in config.counts.items():
            recipe = Recipe(config.seed, split, config.options)
            out[split.value] = self._generate_examples(recipe, count)
        for split, count in config.counts.items():
            if split.is_test:
                recipe = Recipe(config.seed, split, config.options, blank=True)
                out[split.value + BLANK] = self._generate_examples(recipe, count)
        return out

    def _generate_examples(self, recipe: Recipe, count: int) -> Any:
        """Returns a transform of Beam where a runner was asked for, and a generator of (index, example) otherwise."""
        return _by_runner(recipe, count) if self._by_runner else _one_by_one(recipe, count)


def _metadata(config: GdtSynthConfig) -> dict[str, Any]:
    return json.loads(json.dumps({**config.parameters(), "vlsm_jax": __version__}))


def _one_by_one(recipe: Recipe, count: int) -> Iterator[tuple[int, Example]]:
    for made in first_distinct(recipe, count):
        yield made.index, made.example


def _by_runner(recipe: Recipe, count: int) -> Any:
    try:
        from vlsm_jax.synth.gdt_synth.distributed import MakeExamples
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a Beam runner was asked for; pip install apache-beam", name=error.name) from error
    return MakeExamples(recipe, count)
