"""How every experiment reads its triplets: what a folder of them is like, and how rows are filled; no experiment."""

from typing import Any

from ml_collections import ConfigDict


def data(**settings: Any) -> ConfigDict:
    """Returns `config.data`; `settings` are those in which experiments differ, such as `tokenizer`.

    An empty directory: the triplets are made in <workdir>/data.
    """
    return ConfigDict(
        {
            "directory": "",
            # Which, where a folder has several; "" takes the one with pictures.
            "format": "",
            # Where they are not found by themselves.
            "columns": {"image": "", "prompt": "", "response": "", "id": ""},
            # The share of bad rows that may be left out.
            "most_bad": 0.0,
            # Training triplets of other folders among ours: "folder=share, folder=share", samples for one of our own.
            "mixture": "",
            # False: the sketches are left out.
            "pictures": True,
            # Whether prompts begin with the tokenizer's beginning-of-text id, where it has one.
            "beginning": True,
            # Whether prompts have placeholders for names, which scripts then have in their place; as the tokenizer says
            # that goes with a model.
            "placeholders": False,
            **settings,
        }
    )


def pipeline(**settings: Any) -> ConfigDict:
    """Returns `config.pipeline`; `settings` are those in which experiments differ, such as `batch_size`."""
    return ConfigDict(
        {
            "fit": "pad",
            "pack": True,
            # Lengths of rows, without packing.
            "buckets": 1,
            # Prompt and script are encoded apart, or jointly; with white space at their ends, or stripped of it.
            "joint": False,
            "strip": False,
            # What a script ends with: token, nothing or padding, which then counts in the loss.
            "end": "token",
            # What is too long for a row is cut, and not left out.
            "truncate": False,
            # n: the loss is the mean of the means of n rows each, and not the mean over all of a batch's targets.
            "rows_per_mean": 0,
            # 1: as a camera would.
            "augmentation": 0.0,
            "bad_rows": "skip",
            # What `train.visual_targets` is about: letters, names (and icons), or lines, too, by classes or by names.
            "lesson": "lines",
            # How many patches of a picture, and which, are enough for an encoder that is trained alone; 0: all.
            "kept_patches": 0,
            # Processes that read; 0 uses threads.
            "workers": 0,
            **settings,
        }
    )
