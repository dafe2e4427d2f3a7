import json

import numpy as np
import pytest
from PIL import Image

from vlsm_jax.data.tokenizer import batch_texts, train_bpe
from vlsm_jax.data.triplets import JsonlTriplets


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Forty triplets of many lengths; picture i is uniformly grey level i."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    with (folder / "train.jsonl").open("w") as file:
        for i in range(40):
            Image.new("RGB", (60, 60), (i, i, i)).save(folder / "images" / f"{i}.png")
            prompt = f"Sketch {i} " + "word " * int(rng.integers(3, 30))
            response = f"Object obj{i};" * int(rng.integers(1, 12))
            file.write(json.dumps({"image": f"images/{i}.png", "prompt": prompt, "response": response}) + "\n")
    triplets = JsonlTriplets(folder / "train.jsonl")
    return triplets, train_bpe(batch_texts(list(triplets)), 320, folder / "tokenizer")
