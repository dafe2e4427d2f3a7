"""Does a model look at its sketches? The loss of right scripts behind the right sketch, another's, an empty page, none.

    python -m benchmarks.sight DATA                       the shipped model, on split iid of a folder of triplets
    python -m benchmarks.sight DATA --model FOLDER --split industry --samples 50

Only prompts that leave the connections to the sketch are asked, and, where there are any, samples of reading (`vlsm
data make --readings`), in which every word stands in the sketch. One JSON line each, appended to results/sight.jsonl:

  loss.<kind>.<sketch>: nats a token of the response, teacher-forced, and the share of tokens that were the likeliest.
  said.<kind>.<what>: of the letters, pieces of names, icons, and names at icons and the ends of lines that patches of
    annotated sketches (`vlsm data make --annotate`) are to say (vlsm_jax/data/annotations.py), the share that visual
    tokens are most like, of how many, and how large a share of them is the commonest; none where sketches have no
    annotation. The encoder sees what it sees by itself.
  seen.<kind>: of the patches that are to say something, the share that is among so many whose pixels differ most (what
    `model.seen_patches` keeps), on average and in the worst sketch.
  spread: standard deviations of the encoder's features and of what the connector makes of them; of a text token's
    embedding; and the mean distance between two pictures' at the same place, in such deviations.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.machine import machine_name, record
from convert.llava import read_fit, read_llava
from vlsm_jax.data.annotations import COLUMN, NONE, SLOTS, Lesson, Patches, seen_patches, visual_targets
from vlsm_jax.data.images import load_image
from vlsm_jax.data.pipeline import Batch, encode_example
from vlsm_jax.data.tokenizer import load_tokenizer
from vlsm_jax.data.triplets import open_triplets
from vlsm_jax.models import Vlsm
from vlsm_jax.models.vlsm import turned
from vlsm_jax.sharding import make_mesh
from vlsm_jax.shipped import NANO, model_folder
from vlsm_jax.synth.dataset import blank_picture
from vlsm_jax.synth.readings import FOLDER
from vlsm_jax.synth.triplets import TripletOptions
from vlsm_jax.training.loss import LossSum
from vlsm_jax.training.network import Network, flatten
from vlsm_jax.training.step import batch_loss

RESULTS = Path(__file__).parent / "results" / "sight.jsonl"
COUNTS = (128, 192, 256, 384, 512)
GRAIN = 512  # lengths of rows are multiples of this, so that few are compiled


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=NANO)
    parser.add_argument("--split", default="iid")
    parser.add_argument("--samples", type=int, default=20, help="of each kind")
    parser.add_argument("--encoder", action="store_true", help="no loss: no decoder has seen this encoder yet")
    options = parser.parse_args()
    folder = model_folder(options.model)
    config, params = read_llava(folder, mesh=make_mesh(devices=jax.devices()[:1]))
    network, params, tokenizer = Network.create(config), flatten(params), load_tokenizer(folder)
    size, fit, visual = config.vision.image_size, read_fit(folder), config.visual_tokens
    facts = {"machine": machine_name(), "date": time.strftime("%Y-%m-%d"), "samples": options.samples}
    facts |= {"model": options.model, "split": options.split}

    def report(figure: str, **values: Any) -> None:
        record({"figure": figure, **values, **facts}, RESULTS)

    loss = jax.jit(lambda params, batch: batch_loss(network.merge(params), batch))
    said = jax.jit(lambda params, picture: read_patches(network.merge(params), picture))
    blank = load_image(blank_picture(TripletOptions())[0], size, fit)
    kinds = {"script": options.data, "reading": options.data / FOLDER}
    for kind, place in kinds.items():
        if not place.is_dir():
            continue
        rows = [row for row in open_triplets(place, split=options.split) if row.extra["prompt_style"] == "sketch"]
        rows = rows[: options.samples]
        pictures = [load_image(row.image, size, fit) for row in rows]
        patches = Patches(size, config.vision.patch_size, visual, fit, config.vision.seen_patches)
        whole = {
            lesson: [visual_targets(row.extra.get(COLUMN), tokenizer, patches, lesson) for row in rows]
            for lesson in Lesson
        }
        for figure in coverage(whole[Lesson.LINES], pictures, patches):
            report(f"seen.{kind}", **figure)
        shown = [seen_patches(picture, patches) for picture in pictures]
        wanted = {
            lesson: np.array([patches.targets_of(*pair) for pair in zip(shown, targets, strict=True)])
            for lesson, targets in whole.items()
        }
        if visual == config.vision.tokens and (wanted[Lesson.LINES] != NONE).any():
            read = np.array([said(params, picture) for picture in pictures])
            for what, targets in told_apart(wanted).items():
                asked = targets != NONE
                if not asked.any():
                    continue
                share = round(float((read == targets)[asked].mean()), 4)
                commonest = round(float(np.bincount(targets[asked]).max() / asked.sum()), 4)
                report(f"said.{kind}.{what}", value=share, commonest=commonest, targets=int(asked.sum()))
        shown_for = {
            "own": pictures,
            "other": pictures[1:] + pictures[:1],
            "blank": [blank] * len(rows),
            "none": [blank] * len(rows),
        }
        for name, shown in () if options.encoder else shown_for.items():
            total = LossSum.zero()
            for row, picture in zip(rows, shown, strict=True):
                total = total + loss(params, one_row(row, picture, tokenizer, visual, placed=name != "none"))
            values = {"nats": round(float(total.loss / total.weight), 4)}
            report(f"loss.{kind}.{name}", **values, accuracy=round(float(total.correct / total.weight), 4))
    model = network.merge(params)
    features, tokens = jax.jit(lambda x: (model.vision(x), model.encode_images(x)))(np.stack(pictures[:2]))
    report(
        "spread",
        features=round(float(features.std()), 3),
        visual_tokens=round(float(tokens.std()), 3),
        text_tokens=round(float(np.std(np.asarray(params["decoder/embedding/table"]))), 3),
        two_pictures=round(float(abs(tokens[0] - tokens[1]).mean() / tokens.std()), 4),
    )


def coverage(
    targets: Sequence[np.ndarray], pictures: Sequence[np.ndarray], patches: Patches
) -> Iterator[dict[str, float]]:
    """Yields how much of what all patches of sketches are to say stands in so many of them."""
    asked = [(each[patches.before :] != NONE).any(-1) for each in targets]
    for count in COUNTS:
        fewer = dataclasses.replace(patches, seen=count)
        shares = [
            said[seen_patches(picture, fewer)].sum() / said.sum()
            for said, picture in zip(asked, pictures, strict=True)
            if said.any()
        ]
        if shares:
            yield {"patches": count, "value": round(float(np.mean(shares)), 4), "worst": round(float(min(shares)), 4)}


def told_apart(wanted: dict[Lesson, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns what patches are to say by kind, from what they are to say in each lesson, int [N, V, SLOTS]."""
    names, letters = wanted[Lesson.NAMES], wanted[Lesson.LETTERS]
    first = np.arange(names.shape[-1]) == 0
    with_letters = (letters != NONE).any(-1, keepdims=True)

    def of_lines(slots: slice) -> np.ndarray:
        out = np.full_like(names, NONE)
        out[..., slots] = wanted[Lesson.LINES][..., slots]
        out[(names != NONE).any(-1)] = NONE
        return out

    return {
        "letters": letters,
        "pieces": np.where(first & with_letters, names, NONE),
        "icons": np.where(first & ~with_letters, names, NONE),
        "icon_names": np.where(~first & ~with_letters, names, NONE),
        "to_name": of_lines(slice(0, 2)),
        "from_name": of_lines(slice(2, 4)),
    }


def read_patches(model: Vlsm, picture: jax.Array) -> jax.Array:
    """Returns the ids [V, SLOTS] whose embeddings each visual token of a picture [H, W, 3] is most like."""
    return model.said(turned(model.encode_images(picture[None]), SLOTS)).argmax(-1).reshape(-1, SLOTS)


def one_row(row: Any, picture: np.ndarray, tokenizer: Any, visual: int, *, placed: bool) -> Batch:
    """Returns a batch of one sample; without `placed`, its picture takes no place in the row."""
    example = encode_example(row, tokenizer, visual)
    if not placed:
        example = {key: values[visual:] for key, values in example.items()}
    length = len(example["tokens"])
    missing = -length % GRAIN

    def padded(values: np.ndarray, filler: int) -> np.ndarray:
        return np.pad(values, (0, missing), constant_values=filler)[None]

    seen = np.full(length, -1, np.int32)
    if placed:
        seen[:visual] = np.arange(visual)
    return Batch(
        tokens=padded(example["tokens"], 0),
        targets=padded(example["targets"], 0),
        weights=padded(example["weights"], 0),
        positions=padded(np.arange(length, dtype=np.int32), -1),
        visual_index=padded(seen, -1),
        images=picture[None, None],
    )


if __name__ == "__main__":
    main()
