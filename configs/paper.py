"""The `paper` preset: the recipe of the paper's released code as it is, mistakes included; no experiment.

What its scripts, and the states of its own runs that were released with them, do otherwise than our default:

  stage 1, a decoder on texts. Prompt and script are encoded jointly. Rows are padded to 4,096 ids with end-of-text ids,
  which all count in the loss. AdamW without weight decay, gradients clipped at 1, cosine to 0 from a first step of rate
  0. TinyLLaMA whole from random values: 1e-4, warm-up 100, 8 GPUs x 2 rows x 8, planned for 20 epochs (so its run; its
  script says 10). StarCoder2-7B by adapters of rank 32: 1e-5, warm-up 10, 8 GPUs x 2 rows x 2, 6 epochs (so its run;
  its script says 1e-4, constant, 10 epochs). The adapter names gate, up and down projections, which StarCoder2 does not
  have: only its attention is adapted.

  stage 2, sketches. Encoder and connector are trained under a decoder that is frozen in 4 bits. The sketch's short side
  is resized to 224 and the middle cut out. Prompt and script are stripped, encoded apart, without a beginning-of-text
  id, cut at 2,048 ids each, and have no end. AdamW at 1e-5 with a weight decay of 0.01 on all arrays, cosine to 0,
  warm-up 50, clipped at 1, 10 epochs; 2 rows x 4 for TinyLLaMA, 1 x 4 for StarCoder2, on one GPU.

  both. The loss is the mean of the means of the rows that a GPU takes at a time. The checkpoint with the least
  validation loss is the one that counts; scores were then the best epoch's on the test set, which is not done here.

Every one of these is a key of the config, and can be set or unset by itself. What cannot be reproduced stands in
`config.departures` and is said when a run starts. Other decoders, the encoder of the paper's text, CLIP, Perceiver and
Q-Former were not released: they follow the script that is nearest.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

IDS = 4096
"""Ids of a text, padding included."""

ALWAYS = (
    "initial values, the order of triplets and what dropout drops are drawn by other generators; upstream's split and "
    "order had no seed",
    "triplets left over at the end of an epoch go into a batch with those of the next; upstream left out or split them",
)
FLOAT16 = "computed in bfloat16; upstream in float16, with a loss scale that skips steps whose gradients overflow"
DROPOUT = (
    "of dropout only that of the adapters is applied; where a decoder's own config asks for more, upstream did too"
)
MERGED = (
    "adapters of stage 1 are merged into the decoder before it is quantised; upstream left them beside its 4-bit layers"
)
KEPT_IN = "what is frozen and not quantised is kept in bfloat16; upstream in float16"
UNRELEASED = "upstream released no script for {}; its nearest is followed"


def stage_1(config: ConfigDict, whole: bool) -> None:
    """Changes a config of stage 1; `whole` says whether the decoder is trained whole."""
    config.evaluate.checkpoint = "best"
    config.pipeline.update(_both(rows_per_mean=2), sequence_length=IDS, joint=True, end="padding")
    config.optimizer.update(_adamw(), weight_decay=0.0)
    if whole:
        config.pipeline.batch_size, config.train.accumulation, epochs = 128, 8, 20
        config.optimizer.update(learning_rate=1e-4, warmup_steps=100)
    else:
        config.pipeline.batch_size, config.train.accumulation, epochs = 32, 2, 6
        config.optimizer.update(learning_rate=1e-5, warmup_steps=10)
        if config.model.decoder.model_type == "starcoder2":
            config.model.lora.targets = (r"decoder/layers/attention/\w+",)
    config.train.steps = epochs * config.synth.train // config.pipeline.batch_size
    config.departures = (*ALWAYS, FLOAT16) if whole else (*ALWAYS, FLOAT16, DROPOUT)


def stage_2(config: ConfigDict, whole: bool, visual_tokens: int) -> None:
    """Changes a config of stage 2.

    Args:
      config: changed in place.
      whole: whether stage 1 trained the decoder whole.
      visual_tokens: of a sketch, in front of the text.
    """
    rows = 2 if whole else 1
    config.evaluate.checkpoint = "best"
    config.data.beginning = False
    config.pipeline.update(_both(rows_per_mean=rows), sequence_length=visual_tokens + IDS, strip=True, end="nothing")
    config.optimizer.update(_adamw(), weight_decay=0.01, decay_vectors=True)
    config.optimizer.update(learning_rate=1e-5, warmup_steps=50)
    config.pipeline.batch_size = 4 * rows
    # A batch of so few rows can be spread over as many devices; those that are left share tensors.
    config.mesh = ConfigDict({"data": 1, "fsdp": 4 * rows, "tensor": -1})
    config.train.accumulation = 1
    config.train.steps = 10 * config.synth.train // config.pipeline.batch_size
    # The encoder's last norm is behind what the connector reads: PyTorch leaves alone, and does not decay, what has no
    # gradient.
    config.train.trainable = ((r"^vision/post_norm/", False), (r"^(vision|connector)/", True), (r"^decoder/", False))
    config.model.quantise, config.model.lora.rank = "nf4-double", 0
    config.departures = (*ALWAYS, KEPT_IN) if whole else (*ALWAYS, KEPT_IN, MERGED)


def _both(**settings: Any) -> dict[str, Any]:
    return {"pack": False, "fit": "crop", "truncate": True, **settings}


def _adamw() -> dict[str, Any]:
    """PyTorch's AdamW and transformers' cosine."""
    return {
        "schedule": "cosine",
        "warmup_from_zero": True,
        "final_fraction": 0.0,
        "beta1": 0.9,
        "beta2": 0.999,
        "clip_norm": 1.0,
    }
