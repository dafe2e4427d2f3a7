"""The TFDS builder: the triplets of a JSONL data set, bit for bit, whoever builds and reads them."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from vlsm_jax.data.triplets import open_triplets
from vlsm_jax.synth import gdt_synth
from vlsm_jax.synth.dataset import BLANK, DatasetError, write_dataset
from vlsm_jax.synth.gdt_synth import GdtSynthConfig, tensorflow_reader
from vlsm_jax.synth.gdt_synth.examples import Made, Recipe, first_distinct
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions

OPTIONS = TripletOptions(most_objects=10, image_size=(420, 280))
NUMBERS = {"train": 6, "validation": 2, "iid": 3, "layout": 2}
NAMES = [*NUMBERS, "iid-blank", "layout-blank"]
SKIP = {"image": tfds.decode.SkipDecoding()}


def small(**changes) -> GdtSynthConfig:
    return GdtSynthConfig(**{"seed": 5, "options": OPTIONS, **NUMBERS, **changes})


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tfds.core.DatasetBuilder:
    builder = tfds.builder("gdt_synth", config=small(), data_dir=tmp_path_factory.mktemp("tfds"))
    builder.download_and_prepare()
    return builder


@pytest.fixture(scope="module")
def jsonl(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("jsonl") / "set"
    write_dataset(directory, small().counts, seed=5, options=OPTIONS)
    return directory


def rows(directory: Path, split: str) -> list[dict]:
    return [json.loads(line) for line in (directory / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


# --- What is built ----------------------------------------------------------------------------------------------------


def test_splits_and_their_blank_twins(built):
    assert {name: split.num_examples for name, split in built.info.splits.items()} == {
        **NUMBERS,
        "iid-blank": 3,
        "layout-blank": 2,
    }


@pytest.mark.parametrize("split", NAMES)
def test_examples_are_the_rows_of_the_jsonl_data_set(built, jsonl, split):
    source, wanted = built.as_data_source(split, decoders=SKIP), rows(jsonl, split)
    assert len(source) == len(wanted) > 0
    for example, row in zip(source, wanted, strict=True):
        texts = {key: example[key].decode() for key in ("id", "prompt", "response")}
        assert {"image": row["image"], **texts, **json.loads(example["metadata"])} == row
        assert example["image"] == (jsonl / row["image"]).read_bytes()


def test_fields_to_choose_by_are_those_of_the_row(built, jsonl):
    for example, row in zip(built.as_data_source("iid"), rows(jsonl, "iid"), strict=True):
        for key in ("split", "industry", "layout", "automation", "prompt_style", "script_style", "sketch_style"):
            assert example[key].decode() == row[key]
        for key in ("features", "omitted"):
            assert [text.decode() for text in example[key]] == row[key]
        for key in ("objects", "connections", "legible_at"):
            assert example[key] == row[key]


@pytest.mark.parametrize("split", ["train", "layout", "iid-blank"])
def test_image_is_decoded_to_pixels(built, jsonl, split):
    for example, row in zip(built.as_data_source(split), rows(jsonl, split), strict=True):
        with Image.open(jsonl / row["image"]) as image:
            assert_same_pixels(example["image"], np.asarray(image.convert("RGB")), lossless=image.format == "PNG")


def assert_same_pixels(found: np.ndarray, wanted: np.ndarray, *, lossless: bool) -> None:
    """TensorFlow decodes JPEG by a quick transform, up to 7 levels of 255 off."""
    assert found.shape == wanted.shape
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - wanted).max() <= (0 if lossless else 12)


def test_blank_twin_has_the_same_texts_and_an_empty_page(built):
    for drawn, blank in zip(
        built.as_data_source("layout", decoders=SKIP), built.as_data_source("layout-blank", decoders=SKIP), strict=True
    ):
        assert (drawn["prompt"], drawn["response"]) == (blank["prompt"], blank["response"])
        assert blank["id"] == drawn["id"] + BLANK.encode()
        with Image.open(io.BytesIO(drawn["image"])) as page, Image.open(io.BytesIO(blank["image"])) as empty:
            assert np.asarray(page.convert("L"), float).std() > np.asarray(empty.convert("L"), float).std()


def test_open_triplets_reads_the_folder(built, jsonl):
    for split in NAMES:
        source, wanted = open_triplets(built.data_dir, split=split), rows(jsonl, split)
        assert len(source) == len(wanted)
        for record, row in zip(source, wanted, strict=True):
            image = (jsonl / row.pop("image")).read_bytes()
            assert (record.id, record.prompt, record.response) == (
                row.pop("id"),
                row.pop("prompt"),
                row.pop("response"),
            )
            assert record.image == image
            assert record.extra == row


def test_builder_from_directory_reads_without_the_config(built):
    again = tfds.builder_from_directory(built.data_dir)
    assert [e["id"] for e in again.as_data_source("iid")] == [e["id"] for e in built.as_data_source("iid")]
    assert again.info.metadata["seed"] == 5


def test_max_examples_per_split(tmp_path):
    builder = tfds.builder("gdt_synth", config=small(iid=0, layout=0), data_dir=tmp_path)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(max_examples_per_split=2))
    assert [e["id"] for e in builder.as_data_source("train")] == [b"5-train-000000", b"5-train-000001"]


# --- Configs ----------------------------------------------------------------------------------------------------------


def test_named_configs():
    configs = gdt_synth.GdtSynth.builder_configs
    assert list(configs) == ["default", "paper_size", "tiny"]
    assert all(set(config.counts) == set(Split) for config in configs.values())
    paper = configs["paper_size"]
    assert paper.train + paper.validation + paper.iid == 120_285
    assert paper.validation == paper.iid == 120_285 // 20
    assert tfds.builder("gdt_synth").builder_config is configs["default"]


def test_name_of_a_config_tells_all_that_matters():
    base = small()
    assert base.name == small().name
    others = [small(seed=6), small(train=7), small(options=TripletOptions(most_objects=11))]
    assert len({config.name for config in [base, *others]}) == 4


def test_same_name_for_other_triplets_is_refused(built):
    other = small(name=built.builder_config.name, seed=6)
    with pytest.raises(ValueError, match=r"holds other triplets.*seed is 5, not 6"):
        tfds.builder("gdt_synth", config=other, data_dir=built.data_dir_root)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "every split has 0 triplets"),
        ({"train": -1}, "train is -1"),
        ({"train": 1, "seed": -2}, "seed is -2"),
        ({"train": 2.5}, "train is 2.5"),
        ({"industry": 1, "options": TripletOptions(industries=("pcb",))}, "split 'industry' takes none"),
    ],
)
def test_config_that_cannot_be(given, said):
    with pytest.raises(ValueError, match=said):
        GdtSynthConfig(**given)


# --- Factories that come again ----------------------------------------------------------------------------------------


class Repeating(Recipe):
    """A recipe whose factories are those of a text, one letter each."""

    letters = "abacadbbefgh"

    def made(self, index: int) -> Made:
        return Made(index, self.letters[index % len(self.letters)], {"id": f"{index}"})


REPEATING = Repeating(0, Split.TRAIN, OPTIONS)


def indices(made: Iterator[Made]) -> list[int]:
    return [one.index for one in made]


def test_factories_that_came_earlier_are_passed_over():
    assert indices(first_distinct(REPEATING, 6)) == [0, 1, 3, 5, 8, 9]
    assert indices(first_distinct(REPEATING, 2, start=6, seen="abcd")) == [8, 9]


def test_too_few_different_factories():
    with pytest.raises(DatasetError, match=r"split train: only 8 of 9 factories differ"):
        indices(first_distinct(REPEATING, 9))


# --- Runners of Apache Beam -------------------------------------------------------------------------------------------


def test_beam_makes_the_same_examples(built, tmp_path):
    pytest.importorskip("apache_beam")
    from apache_beam.options.pipeline_options import PipelineOptions

    builder = tfds.builder("gdt_synth", config=small(), data_dir=tmp_path)
    options = PipelineOptions([], runner="DirectRunner")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_options=options))
    for split in NAMES:
        assert list(builder.as_data_source(split, decoders=SKIP)) == list(built.as_data_source(split, decoders=SKIP))


def test_beam_makes_up_for_factories_that_came_earlier():
    beam = pytest.importorskip("apache_beam")
    from apache_beam.testing.util import assert_that, equal_to

    from vlsm_jax.synth.gdt_synth.distributed import MakeExamples

    wanted = [(made.index, made.example) for made in first_distinct(REPEATING, 8)]
    with beam.Pipeline("DirectRunner") as pipeline:
        assert_that(pipeline | MakeExamples(REPEATING, 8), equal_to(wanted))


def test_beam_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "vlsm_jax.synth.gdt_synth.distributed", raising=False)
    builder = tfds.builder("gdt_synth", config=small(), data_dir=tmp_path)
    with pytest.raises(ModuleNotFoundError, match="pip install apache-beam"):
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_runner="DirectRunner"))


# --- TensorFlow -------------------------------------------------------------------------------------------------------


def test_load_gives_what_data_source_gives(built):
    pytest.importorskip("tensorflow")
    kept = {"data_dir": built.data_dir_root, "builder_kwargs": {"config": built.builder_config}}
    for split, dataset in tfds.load("gdt_synth", **kept).items():
        source, files = built.as_data_source(split), built.as_data_source(split, decoders=SKIP)
        assert len(dataset) == len(source)
        for example, wanted, file in zip(tfds.as_numpy(dataset), source, files, strict=True):
            lossless = file["image"].startswith(b"\x89PNG")
            assert_same_pixels(example.pop("image"), wanted.pop("image"), lossless=lossless)
            for key, value in wanted.items():
                np.testing.assert_array_equal(example[key], value)


def test_load_shuffles_and_shards_a_whole_split(built):
    tf = pytest.importorskip("tensorflow")
    config = tfds.ReadConfig(shuffle_seed=1, input_context=tf.distribute.InputContext(2, 1))
    parts = built.as_dataset(split="train", shuffle_files=True, read_config=config, decoders=SKIP)
    ids = [example["id"] for example in tfds.as_numpy(parts)]
    assert sorted(ids) == [b"5-train-000001", b"5-train-000003", b"5-train-000005"]
    with pytest.raises(NotImplementedError, match="add_tfds_id"):
        built.as_dataset(split="train", read_config=tfds.ReadConfig(add_tfds_id=True))


def test_what_needs_tensorflow_says_so(built, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorflow_reader.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"a tf\.data\.Dataset needs TensorFlow"):
        built.as_dataset(split="train")
    builder = tfds.builder("gdt_synth", config=small(), data_dir=tmp_path, file_format="tfrecord")
    with pytest.raises(ModuleNotFoundError, match="writing tfrecord files needs TensorFlow"):
        builder.download_and_prepare()


def test_array_record_files_do_not_go_into_a_bucket(tmp_path, monkeypatch):
    builder = tfds.builder("gdt_synth", config=small(), data_dir=tmp_path)
    monkeypatch.setattr(builder, "_data_dir", "gs://bucket/gdt_synth")
    with pytest.raises(ValueError, match="file_format='tfrecord'"):
        builder._download_and_prepare(None, tfds.download.DownloadConfig())
