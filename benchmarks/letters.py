"""Can the letters of a sketch be read at the size that an encoder gets it, and what learns to read them soonest?

    python launch.py --config=configs/nano.py --workdir=runs/sketches --mode=data --config.seed=91 \\
        --config.synth.train=30000 --config.synth.most_objects=16 --config.synth.readings=0
    python -m benchmarks.letters runs/sketches/data

Small readers are trained on the train split of annotated triplets, in PyTorch, and asked about the validation split,
whose sketches they have not seen. A letter is asked where it stands, by the annotation. One JSON line each, appended to
results/letters.jsonl:

  letters: how many there are, and how wide one is, in pixels of the picture.
  crop: a convolutional net that gets the 24 x 24 pixels around one letter: whether it can be read at all.
  patches.<reader>: the letters in the left, the middle and the right third of a patch of 16 x 16 pixels, as an encoder
    meets them, wherever in the patch the text stands.
      linear16: the patch's pixels, embedded by one matrix, and two layers of 512: a vision transformer's beginning.
      linear39: the same with the pixels around it, 39 x 39.
      convolutions: four convolutions of stride 2 with batch norm, over 39 x 39 pixels, and one matrix.
      products, directions: a vision transformer's patches without attention, 320 wide with two layers, that are to be
        like embeddings which do not learn, 384 wide, as visual tokens are (`Vlsm.said`): scored by their products with
        them, or brought to one length first.

Each reports the share of letters that were right after so many examples (patches or crops), and the seconds they took.
"""

from __future__ import annotations

import argparse
import functools
import math
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.machine import machine_name, record
from vlsm_jax.data.annotations import COLUMN
from vlsm_jax.data.images import Fit, fitted, load_image
from vlsm_jax.data.triplets import Record, open_triplets

RESULTS = Path(__file__).parent / "results" / "letters.jsonl"
LETTERS = {letter: i for i, letter in enumerate(string.ascii_letters + string.digits + "_-./&")}
SIZE, PATCH, THIRDS = 512, 16, 3
CROP, WINDOW = 24, 39
WIDTH, EMBEDDING = 320, 384
BATCH, RATE, ASKED = 192, 2e-3, 3000


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=int, default=3000, help="to learn from, at most")
    parser.add_argument("--steps", type=int, default=800, help=f"of {BATCH} examples")
    parser.add_argument("--readers", nargs="*", help="crop, or a reader of patches; all of them")
    options = parser.parse_args()
    facts = {"machine": machine_name(), "date": time.strftime("%Y-%m-%d")}

    def report(figure: str, **values: Any) -> None:
        record({"figure": figure, **values, **facts}, RESULTS)

    split = {}
    for name, most in (("train", options.pictures), ("validation", None)):
        rows = open_triplets(options.data, split=name)
        split[name] = [seen(rows[i]) for i in range(min(len(rows), most or len(rows)))]
    widths = np.concatenate([picture.widths for picture in split["train"]])
    narrow, median, wide = np.percentile(widths, (5, 50, 95)).round(1).tolist()
    report("letters", letters=len(widths), pictures=len(split["train"]), narrow=narrow, median=median, wide=wide)

    readers: dict[str, Callable[[], nn.Module]] = {
        "crop": crop_reader,
        "linear16": lambda: layers_reader(PATCH),
        "linear39": lambda: layers_reader(WINDOW),
        "convolutions": convolutions_reader,
        "products": lambda: embeddings_reader(nn.Identity()),
        "directions": lambda: embeddings_reader(nn.RMSNorm(EMBEDDING, elementwise_affine=False)),
    }
    if unknown := {*(options.readers or ())} - readers.keys():
        parser.error(f"no reader {min(unknown)!r}; there are {', '.join(readers)}")

    @functools.cache
    def examples(cut: Callable[[Seen], tuple[np.ndarray, np.ndarray]]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        return {part: joined(cut(picture) for picture in pictures) for part, pictures in split.items()}

    for name in options.readers or readers:
        figure, cut = ("crop", Seen.crops) if name == "crop" else (f"patches.{name}", Seen.patches)
        learn(readers[name](), examples(cut), options.steps, lambda figure=figure, **values: report(figure, **values))


class Seen(NamedTuple):
    """A picture [SIZE, SIZE] in grey, and its letters: `places` [L, 2], column and row, `ids` [L], `widths` [L]."""

    grey: np.ndarray
    places: np.ndarray
    ids: np.ndarray
    widths: np.ndarray

    def crops(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the pixels around each letter, [L, CROP, CROP], and its id, [L, 1]."""
        around = windows(self.grey, CROP, self.places.round().astype(int) - CROP // 2)
        return around, self.ids[:, None]

    def patches(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the pixels around each patch with text, [P, WINDOW, WINDOW], and its letters, [P, THIRDS] or -1."""
        across = SIZE // PATCH
        found = np.full((across, across, THIRDS), -1)
        for (x, y), letter in zip(self.places / PATCH, self.ids, strict=True):
            found[int(y), int(x), int(x % 1 * THIRDS)] = letter
        row, column = np.nonzero((found >= 0).any(-1))
        corners = np.stack([column, row], 1) * PATCH - (WINDOW - PATCH) // 2
        return windows(self.grey, WINDOW, corners), found[row, column]


def seen(row: Record) -> Seen:
    """Returns a row's picture as an encoder gets it, with the letters that its annotation tells."""
    annotation = row.extra[COLUMN]
    points, ids, ends = [], [], []
    for item in annotation["objects"]:
        for word, x0, y0, x1, y1 in item["words"]:
            for number, letter in enumerate(word):
                if letter in LETTERS:
                    part = (number + 0.5) / len(word)
                    points.append((x0 + (x1 - x0) * part, y0 + (y1 - y0) * part))
                    ids.append(LETTERS[letter])
                    ends.append(math.hypot(x1 - x0, y1 - y0) / len(word))
    grey = load_image(row.image, SIZE, Fit.PAD).mean(-1).astype(np.uint8)
    places = fitted(np.array(points, float), annotation["size"], SIZE, Fit.PAD)
    inside = ((places >= 0) & (places < SIZE)).all(1)
    return Seen(grey, places[inside], np.array(ids)[inside], np.array(ends)[inside])


def windows(grey: np.ndarray, width: int, corners: np.ndarray) -> np.ndarray:
    """Returns squares of a picture, uint8 [N, width, width], by their corners [N, 2]; its edges go on outwards."""
    views = np.lib.stride_tricks.sliding_window_view(np.pad(grey, width, mode="edge"), (width, width))
    return views[corners[:, 1] + width, corners[:, 0] + width]


def joined(parts: Iterator[tuple[np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns pixels [N, W, W] and ids [N, K] of all pictures."""
    pixels, ids = zip(*parts, strict=True)
    return torch.tensor(np.concatenate(pixels)), torch.tensor(np.concatenate(ids)).long()


def learn(
    reader: nn.Module,
    data: dict[str, tuple[torch.Tensor, torch.Tensor]],
    steps: int,
    report: Callable[..., None],
) -> None:
    """Trains a reader of [N, 1, W, W] and reports, four times, how many letters it reads."""
    pixels, ids = data["train"]
    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(len(data["validation"][0]), generator=generator)[:ASKED]
    asked, right = (part[some] for part in data["validation"])
    optimizer = torch.optim.AdamW(reader.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    spent = 0.0
    for step in range(1, steps + 1):
        began = time.monotonic()
        chosen = torch.randint(len(pixels), (BATCH,), generator=generator)
        scores = reader(even(pixels[chosen])).view(BATCH, -1, len(LETTERS))
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), ids[chosen].flatten(), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        spent += time.monotonic() - began
        if step % (steps // 4) == 0:
            reader.eval()
            with torch.no_grad():
                said = reader(even(asked)).view(len(asked), -1, len(LETTERS)).argmax(-1)
            reader.train()
            share = (said == right)[right >= 0].float().mean().item()
            report(examples=step * BATCH, value=round(share, 4), seconds=round(spent, 1), asked=int((right >= 0).sum()))


def even(pixels: torch.Tensor) -> torch.Tensor:
    """Returns [N, 1, W, W] without the light and the contrast of [N, W, W]."""
    pixels = pixels.float()
    deviation, mean = torch.std_mean(pixels, (1, 2), keepdim=True)
    return ((pixels - mean) / (deviation + 8))[:, None]


def convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """Returns the layers of one convolution."""
    return [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]


def crop_reader() -> nn.Module:
    """A net for single letters."""
    torch.manual_seed(0)
    return nn.Sequential(
        *convolution(1, 32),
        *convolution(32, 32),
        nn.MaxPool2d(2),
        *convolution(32, 64),
        nn.MaxPool2d(2),
        *convolution(64, 128),
        nn.Flatten(),
        nn.Linear(128 * (CROP // 4) ** 2, 256),
        nn.ReLU(),
        nn.Linear(256, len(LETTERS)),
    )


def middle(width: int) -> nn.Module:
    """The middle `width` x `width` pixels."""
    before = (WINDOW - width) // 2
    after = WINDOW - width - before
    return nn.ZeroPad2d((-before, -after, -before, -after))  # cuts


def layers_reader(width: int) -> nn.Module:
    """One matrix for the middle `width` x `width` pixels, and layers."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [middle(width), nn.Flatten(), nn.Linear(width**2, 512)]
    for _ in range(2):
        layers += [nn.LayerNorm(512), nn.GELU(), nn.Linear(512, 512)]
    return nn.Sequential(*layers, nn.LayerNorm(512), nn.GELU(), nn.Linear(512, THIRDS * len(LETTERS)))


def convolutions_reader() -> nn.Module:
    """Convolutions that come down from pixels to patches."""
    torch.manual_seed(0)
    down = [layer for pair in ((1, 32), (32, 64), (64, 128), (128, 256)) for layer in convolution(*pair, stride=2)]
    return nn.Sequential(*down, nn.Flatten(), nn.Linear(256 * 9, THIRDS * len(LETTERS)))


class Layer(nn.Module):
    """x + mlp(norm x)."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [N, WIDTH] to [N, WIDTH]."""
        return x + self.mlp(x)


def embeddings_reader(length: nn.Module) -> nn.Module:
    """Patches that are to be like embeddings, brought to their length by `length`."""
    torch.manual_seed(0)
    embeddings = nn.Linear(EMBEDDING, THIRDS * len(LETTERS), bias=False).requires_grad_(False)
    nn.init.normal_(embeddings.weight, std=EMBEDDING**-0.5)
    patch = [middle(PATCH), nn.Flatten(), nn.Linear(PATCH**2, WIDTH, bias=False), nn.LayerNorm(WIDTH)]
    return nn.Sequential(*patch, Layer(), Layer(), nn.Linear(WIDTH, EMBEDDING), length, embeddings)


if __name__ == "__main__":
    main()
