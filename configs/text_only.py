"""The text-only baselines: a decoder that writes scripts from prompts and sees no sketch; the paper's first table.

    python launch.py --config=configs/text_only.py:decoder=starcoder2-7b --workdir=runs/starcoder2
    python launch.py --config=configs/text_only.py:decoder=gemma3-270m,preset=paper --workdir=runs/gemma
    python launch.py --config=configs/text_only.py:decoder=llama3-8b --workdir=runs/x --mode=plan --topology=h200:8

Decoders: gemma3-270m, tinyllama-1.1b, mistral-7b, llama2-7b, codellama-7b, starcoder2-7b, llama3-8b. The first two are
trained whole from random values, the others by adapters on layers that are frozen in 4 bits. Other arguments: preset,
split, tiny; `configs/common.py` says what they are.

None of them has been planned or measured; `--mode=plan` says memory and least step time on given hardware.
"""

from ml_collections import ConfigDict

from configs.common import Choice, make, parse

ARGUMENTS = ("decoder", "preset", "split", "tiny")
DEFAULTS = Choice("tinyllama-1.1b", stage=1)


def get_config(arg: str = "") -> ConfigDict:
    """Returns the experiment; raises ValueError for an argument that it does not have."""
    return make(parse(arg, "text_only.py", DEFAULTS, ARGUMENTS))
