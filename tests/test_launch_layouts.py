"""Training from what users have, unconverted: the two layouts of the paper's released code, and other formats."""

import itertools
import json

import numpy as np
import openpyxl
import pytest
from PIL import Image

import launch
from configs import quickstart
from vlsm_jax.data.conversion import convert_dataset
from vlsm_jax.data.pipeline import PipelineConfig, make_dataset
from vlsm_jax.data.tokenizer import batch_texts, train_bpe
from vlsm_jax.data.triplets import DataError
from vlsm_jax.training import experiment
from vlsm_jax.training.config import ConfigError

PROMPTS = [f"A queue and {i} sinks" for i in range(24)]
RESPONSES = [f'Object q = Object.create("Queue"); // {i}' for i in range(24)]


def first_stage(folder):
    """`train.xlsx` and `val.xlsx` of `Prompt` and `Response`."""
    folder.mkdir()
    for name in ("train", "val"):
        book = openpyxl.Workbook()
        for row in [("Prompt", "Response"), *zip(PROMPTS, RESPONSES, strict=True)]:
            book.active.append(row)
        book.save(folder / f"{name}.xlsx")
    return folder


def second_stage(folder):
    """`train.jsonl` of `image`, `prompt`, `response`, and `images/`; the validation rows are drawn from it."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    with (folder / "train.jsonl").open("w") as file:
        for i, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
            Image.fromarray(rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)).save(folder / f"images/{i}.png")
            file.write(json.dumps({"image": f"images/{i}.png", "prompt": prompt, "response": response}) + "\n")
    return folder


def config_for(folder, **changes):
    config = quickstart.get_config("smoke")
    config.data.directory = str(folder)
    small = {"train.steps": 2, "pipeline.sequence_length": 128, "model.vision.image_size": 64, "data.vocab_size": 300}
    small |= {"evaluate.splits": ("iid",), "train.checkpoint_every": 9, "train.validate_every": 9}
    config.update_from_flattened_dict(small | changes)
    return config


def losses(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [(row["kind"], row["loss"]) for row in rows if "loss" in row]


@pytest.mark.parametrize("make", [first_stage, second_stage])
def test_upstreams_layouts_train_as_they_are(tmp_path, capsys, make):
    folder = make(tmp_path / "data")
    launch.run(config_for(folder, export=False), tmp_path / "run", "all")
    found = losses(tmp_path / "run")
    assert [kind for kind, _ in found].count("train") == 2
    assert "validation" in dict(found)
    assert np.isfinite([loss for _, loss in found]).all()
    assert f"{folder} has no split 'iid': it will not be evaluated" in capsys.readouterr().out


def test_another_format_gives_the_same_batches(tmp_path):
    folder = second_stage(tmp_path / "data")
    convert_dataset(folder, tmp_path / "parquet", "parquet", target_columns={"prompt": "instruction"})
    one = experiment.open_data(config_for(folder), folder)
    config = config_for(tmp_path / "parquet", **{"data.columns.prompt": "instruction"})
    two = experiment.open_data(config, tmp_path / "parquet")
    tokenizer = train_bpe(batch_texts(list(one["train"])), 300, tmp_path / "tokenizer")
    pipeline = PipelineConfig(sequence_length=128, batch_size=4, image_size=64, visual_tokens=5)
    for split in ("train", "validation"):
        pairs = zip(*(make_dataset(data[split], tokenizer, pipeline) for data in (one, two)), strict=True)
        for left, right in itertools.islice(pairs, 3):
            assert left.keys() == right.keys()
            for name in left:
                np.testing.assert_array_equal(left[name], right[name])


def test_upstreams_whole_folder_validates_on_what_it_trains_on(tmp_path):
    folder = second_stage(tmp_path / "data")
    for path in first_stage(tmp_path / "first").iterdir():
        path.rename(folder / path.name)
    data = experiment.open_data(config_for(folder), folder)
    assert (len(data["train"]), len(data["validation"])) == (23, 1)
    assert all(record.image is not None for rows in data.values() for record in rows)
    data = experiment.open_data(config_for(folder, **{"data.format": "xlsx"}), folder)
    assert (len(data["train"]), len(data["validation"])) == (24, 24)
    assert all(record.image is None for rows in data.values() for record in rows)


def test_bad_rows_are_left_out_when_the_config_allows_it(tmp_path):
    folder = second_stage(tmp_path / "data")
    (folder / "images" / "3.png").write_bytes(b"torn")
    (folder / "images" / "5.png").unlink()
    with pytest.raises(DataError, match=r"train\.jsonl:6: no image at"):
        launch.run(config_for(folder), tmp_path / "run", "data")
    with pytest.raises(DataError, match=r"2 of 24 rows are bad .* over the 5 % that may be left out"):
        launch.run(config_for(folder, **{"data.most_bad": 0.05}), tmp_path / "run", "data")
    launch.run(config_for(folder, **{"data.most_bad": 0.1}), tmp_path / "run", "data")


def test_a_split_that_is_not_there_cannot_be_evaluated(tmp_path):
    with pytest.raises(ConfigError, match=r"evaluate\.splits: .* has no split 'iid'; there are train, val"):
        launch.run(config_for(first_stage(tmp_path / "data")), tmp_path / "run", "evaluate")
