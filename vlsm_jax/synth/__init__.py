"""Synthesis: sampled Twins become triplets of sketch, prompt and script."""

from vlsm_jax.synth.dataset import Dataset, DatasetError, write_dataset
from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.industries import INDUSTRIES, Industry, Station
from vlsm_jax.synth.layouts import LAYOUTS, Layout, grid_locations
from vlsm_jax.synth.prompts import Goal, Prompt, PromptStyle, write_prompt
from vlsm_jax.synth.sampler import sample_factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.synth.sketches import Sketch, SketchError, SketchStyle, blank_sketch, encode_image, paint_sketch
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import Triplet, TripletError, TripletOptions, make_triplet

__all__ = [
    "INDUSTRIES",
    "LAYOUTS",
    "Dataset",
    "DatasetError",
    "Factory",
    "Goal",
    "Industry",
    "Layout",
    "Prompt",
    "PromptStyle",
    "ScriptStyle",
    "Sketch",
    "SketchError",
    "SketchStyle",
    "Split",
    "Station",
    "Triplet",
    "TripletError",
    "TripletOptions",
    "blank_sketch",
    "encode_image",
    "grid_locations",
    "make_triplet",
    "paint_sketch",
    "sample_factory",
    "write_dataset",
    "write_prompt",
    "write_script",
]
