"""Where every experiment's metrics go; no experiment."""

from typing import Any

from ml_collections import ConfigDict


def log(**settings: Any) -> ConfigDict:
    """Returns `config.log`; `settings` are those in which experiments differ."""
    return ConfigDict(
        {
            # Besides metrics.jsonl: any of "tensorboard" (<workdir>/tensorboard) and "wandb" (Weights & Biases).
            "writers": ("tensorboard",),
            **settings,
        }
    )
