"""VLSM-7B: StarCoder2-7B with a CLIP encoder and a connector; the right half of the paper's table of variants.

    python launch.py --config=configs/vlsm_7b.py --workdir=runs/vlsm_7b
    python launch.py --config=configs/vlsm_7b.py:encoder=clip,connector=qformer --workdir=runs/clip_qformer
    python launch.py --config=configs/vlsm_7b.py:stage=1 --workdir=runs/vlsm_7b_stage_1
    python launch.py --config=configs/vlsm_7b.py --workdir=runs/x --mode=plan --topology=v5e:4x4

Arguments: encoder, connector, stage, preset, split, tiny; `configs/common.py` says what they are. Stage 1 is the
decoder alone; stage 2 goes on from it with `--config.model.init.decoder=runs/vlsm_7b_stage_1/export`. The decoder's
layers are frozen in 4 bits (NF4); adapters on all of them are trained, with the connector; the encoder is frozen.

Memory and step time where they are planned: `docs/plans.md`, from compiling the step for the hardware; not measured.
"""

from ml_collections import ConfigDict

from configs.common import Choice, make, parse

ARGUMENTS = ("stage", "encoder", "connector", "preset", "split", "tiny")
DEFAULTS = Choice("starcoder2-7b", connector="mlp")


def get_config(arg: str = "") -> ConfigDict:
    """Returns the experiment; raises ValueError for an argument that it does not have."""
    return make(parse(arg, "vlsm_7b.py", DEFAULTS, ARGUMENTS))
