"""Hugging Face checkpoints to and from this package's parameters."""

from convert.checkpoint_reader import CheckpointError
from convert.from_hf import assemble_vlsm, from_hf
from convert.huggingface import read_hf_decoder, read_vision, write_hf_decoder, write_hf_vision
from convert.llava import read_llava, write_llava
from convert.parts import read_parts, write_parts
from convert.to_hf import to_hf
from convert.torch_reader import read_stage_two

__all__ = [
    "CheckpointError",
    "assemble_vlsm",
    "from_hf",
    "read_hf_decoder",
    "read_llava",
    "read_parts",
    "read_stage_two",
    "read_vision",
    "to_hf",
    "write_hf_decoder",
    "write_hf_vision",
    "write_llava",
    "write_parts",
]
