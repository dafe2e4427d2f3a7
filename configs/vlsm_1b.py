"""VLSM-1.1B: TinyLLaMA-1.1B with a CLIP encoder and a connector; the left half of the paper's table of variants.

    python launch.py --config=configs/vlsm_1b.py --workdir=runs/vlsm_1b
    python launch.py --config=configs/vlsm_1b.py:encoder=clip,connector=qformer --workdir=runs/clip_qformer
    python launch.py --config=configs/vlsm_1b.py:stage=1 --workdir=runs/vlsm_1b_stage_1
    python launch.py --config=configs/vlsm_1b.py --workdir=runs/x --mode=plan --topology=v5e:4x4

Arguments: encoder, connector, stage, preset, split, tiny; `configs/common.py` says what they are. Stage 1 is the
decoder alone; stage 2 goes on from it with `--config.model.init.decoder=runs/vlsm_1b_stage_1/export`. The whole decoder
is trained, with the connector; the encoder is frozen.

On 16 chips of TPU v5e (v5e:4x4): 4.70 GiB of 15.75 a chip, a step of 16 packed rows in no less than 0.24 s.
Planned by compiling the step for it, not measured (2026-11-25); other slices in `docs/plans.md`.
"""

from ml_collections import ConfigDict

from configs.common import Choice, make, parse

ARGUMENTS = ("stage", "encoder", "connector", "preset", "split", "tiny")
DEFAULTS = Choice("tinyllama-1.1b", connector="linear")


def get_config(arg: str = "") -> ConfigDict:
    """Returns the experiment; raises ValueError for an argument that it does not have."""
    return make(parse(arg, "vlsm_1b.py", DEFAULTS, ARGUMENTS))
