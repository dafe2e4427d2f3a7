"""VLSM-7B: StarCoder2-7B with a CLIP encoder and a connector; the right half of the paper's table of variants.

    python launch.py --config=configs/vlsm_7b.py --workdir=runs/vlsm_7b
    python launch.py --config=configs/vlsm_7b.py:encoder=clip,connector=qformer --workdir=runs/clip_qformer
    python launch.py --config=configs/vlsm_7b.py:stage=1 --workdir=runs/vlsm_7b_stage_1
    python launch.py --config=configs/vlsm_7b.py:preset=paper --workdir=runs/paper --config.mesh.fsdp=1  # upstream's
    python launch.py --config=configs/vlsm_7b.py --workdir=runs/x --mode=plan --topology=h200:8

Arguments: encoder, connector, stage, preset, split, tiny; `configs/common.py` says what they are. Stage 1 is the
decoder alone; stage 2 goes on from it with `--config.model.init.decoder=runs/vlsm_7b_stage_1/export`. The decoder's
layers are frozen in 4 bits (NF4); adapters on all of them are trained, with the connector; the encoder is frozen.

On a node of eight H200 (h200:8), 8 packed rows of 4,608 positions: 4.53 GiB a GPU, no less than 0.206 s a step.
Planned by compiling the step for it (2026-11-26), not measured; other hardware, and what was assumed, in
`docs/plans.md`. The `paper` preset has not been planned; upstream ran its stage 2 on one GPU (mesh.fsdp=1).
"""

from ml_collections import ConfigDict

from configs.common import Choice, make, parse

ARGUMENTS = ("stage", "encoder", "connector", "preset", "split", "tiny")
DEFAULTS = Choice("starcoder2-7b", connector="mlp")


def get_config(arg: str = "") -> ConfigDict:
    """Returns the experiment; raises ValueError for an argument that it does not have."""
    return make(parse(arg, "vlsm_7b.py", DEFAULTS, ARGUMENTS))
