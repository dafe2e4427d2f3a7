"""Painting sketches: what an engineer would draw to show a Twin.

`paint_sketch` lays a page out (`pages`: names and icons; `spacing`: the room they need; `routes`: lines), draws it in a
style (`pencil`, `whiteboard`, `drafting`) and takes it as a scan or a photograph (`cameras`). `encode_image` makes a
file of it, `annotate` tells what is where in it.
"""

from vlsm_jax.synth.sketches.annotations import annotate
from vlsm_jax.synth.sketches.files import encode_image
from vlsm_jax.synth.sketches.geometry import SketchError
from vlsm_jax.synth.sketches.isometric import CLASSES
from vlsm_jax.synth.sketches.painting import Sketch
from vlsm_jax.synth.sketches.styles import SketchStyle, blank_sketch, paint_sketch

__all__ = [
    "CLASSES",
    "Sketch",
    "SketchError",
    "SketchStyle",
    "annotate",
    "blank_sketch",
    "encode_image",
    "paint_sketch",
]
