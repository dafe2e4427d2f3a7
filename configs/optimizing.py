"""How every experiment's optimizer is set; no experiment."""

from typing import Any

from ml_collections import ConfigDict


def optimizer(**settings: Any) -> ConfigDict:
    """Returns `config.optimizer`; `settings` are those in which experiments differ, such as `learning_rate`."""
    return ConfigDict(
        {
            # adamw, or muon for the kernels of layers: see vlsm_jax/training/optimizer.py
            "name": "adamw",
            "learning_rate": 1e-3,
            # cosine, constant, or stable: constant, then down over the last decay_share of the steps.
            "schedule": "cosine",
            "warmup_steps": 100,
            # True: the first step's rate is 0, and not that of one step of the warm-up.
            "warmup_from_zero": False,
            # Of the peak, at the last step.
            "final_fraction": 0.1,
            "decay_share": 0.2,
            "weight_decay": 0.1,
            # True: biases and norms decay, too.
            "decay_vectors": False,
            "beta1": 0.9,
            "beta2": 0.95,
            # 0: gradients are not clipped.
            "clip_norm": 1.0,
            # (regular expression over parameter paths, factor): what learns at another rate than learning_rate.
            "rate_factors": (),
            **settings,
        }
    )
