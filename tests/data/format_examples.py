"""A small data set with what formats find hard: text of many kinds, metadata of every type, pictures of two formats."""

import json

import numpy as np
from PIL import Image

TEXTS = (
    'Object q = Object.create("Queue");',
    "=SUM(A1:A9)",
    "line\r\nline\n\ttab",
    "_x000D_ stays as it is, and so does _x005F_",
    "bell \x07 and “quotes”, 🏭, \u2028, \x85",
    "http://example.com/not/a/link",
    "'leading quote",
    "  spaces around  ",
    "5",
    "TRUE",
)
ROWS = len(TEXTS)


def rows():
    """One JSON object for each text."""
    return [
        {
            "image": f"images/{'deep/' if i % 3 else ''}{i}.{'jpg' if i % 4 == 3 else 'png'}",
            "prompt": f"Sketch {i}. {text}",
            "response": text,
            "id": f"row-{i}",
            "industry": ("pcb", "", "=led", "food")[i % 4],
            "features": ["loop", "merge, split"][: i % 3],
            "objects": i - 2,
            "letter_height": 0.1 + i / 3,
            "checked": i % 2 == 0,
            "big": 2**60 + i,
            "goal": None if i % 2 else {"measure": "throughput", "at_least": 40.0, "per": "hour"},
            "mixed": (1, "one", None, [1, [2]])[i % 4],
            **({"rare": i} if i == 5 else {}),
        }
        for i, text in enumerate(TEXTS)
    ]


def write_dataset(folder, split="train", made=None):
    """Writes `<split>.jsonl` and its pictures; returns the file's path."""
    made = rows() if made is None else made
    rng = np.random.default_rng(0)
    for row in made:
        path = folder / row["image"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 14, 3)).astype(np.uint8)).save(path)
    path = folder / f"{split}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path


def contents(record):
    """What has to be equal wherever a record lies: all but its place, and a picture as its bytes."""
    image = record.image
    if isinstance(image, str):
        with open(image, "rb") as file:
            image = file.read()
    return record._replace(image=image, where="")
