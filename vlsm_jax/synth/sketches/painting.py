"""Painting a page: what the three styles share, from the Twin to the picture."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import cv2
import numpy as np

from vlsm_jax.synth.sketches.annotations import Drawn
from vlsm_jax.synth.sketches.cameras import Camera, expose, letter_scales
from vlsm_jax.synth.sketches.lettering import Lettering, x_height
from vlsm_jax.synth.sketches.pages import Page

LEGIBLE = 5.0
"""Pixels that a lower-case x needs to be read."""

LEVELS = 16
"""Greys of a scan: few, so that files are small."""


_SHADES = np.linspace(0, 1, 256)[:, None]


@dataclasses.dataclass(frozen=True, eq=False)
class Sketch:
    """A painted page.

    Attributes:
      pixels: uint8 [H, W, 3] in the order blue, green, red, as files are written; or, of a picture of few colours,
        positions in `palette` [H, W].
      palette: uint8 RGB [C, 3], None where pixels are colours.
      labels: what was written, by the name of the object, where it is misspelt.
      letter_height: height in pixels of a lower-case x in the smallest letters of the picture; 0 where there are none.
      legible_at: the smallest side in pixels of a square, into which the picture is fitted, at which those letters are
        at least 5 pixels high; 0 where there are none.
      photograph: whether it was taken by a camera, else it is a scan.
      drawn: what it was made from, for `annotations.annotate`.
    """

    pixels: np.ndarray = dataclasses.field(repr=False)
    palette: np.ndarray | None = dataclasses.field(repr=False)
    labels: Mapping[str, str]
    letter_height: float
    legible_at: int
    photograph: bool
    drawn: Drawn = dataclasses.field(repr=False)

    @functools.cached_property
    def image(self) -> np.ndarray:
        """The picture, uint8 RGB [H, W, 3]."""
        if self.palette is None:
            return cv2.cvtColor(self.pixels, cv2.COLOR_BGR2RGB)
        return self.palette[self.pixels]


def letters_of(page: Page, lettering: Lettering, camera: Camera | None) -> tuple[float, int]:
    """Returns `letter_height` and `legible_at` of a page.

    A letter is x_height(font) * font size high on the page, and as much higher in the picture as the view makes it
    where it stands; the smallest counts. Fitted into a square of side s, a picture of W x H is scaled by s / max(W, H).
    """
    if not page.labels:
        return 0.0, 0
    view = camera.view if camera else None
    labels = page.labels.values()
    scales = letter_scales(view, [label.box for label in labels])
    height = x_height(lettering) * float((scales * [label.font_size for label in labels]).min())
    return height, math.ceil(LEGIBLE * max(page.size) / height)


def sketch_of(
    pixels: np.ndarray,
    colours: np.ndarray | None,
    written: Mapping[str, str],
    page: Page,
    lettering: Lettering,
    camera: Camera | None,
) -> Sketch:
    """Returns the sketch of a page that was painted in `pixels`."""
    drawn = Drawn(page, lettering, camera.view if camera else None)
    return Sketch(pixels, colours, written, *letters_of(page, lettering, camera), camera is not None, drawn)


def palette(ink: tuple[float, float, float], paper: tuple[float, float, float], levels: int = LEVELS) -> np.ndarray:
    """Returns colours [levels, 3] from that of ink to that of paper."""
    t = np.arange(levels)[:, None] / (levels - 1)
    # Half a step is added, and what is behind the point dropped.
    return (np.array(ink) * (1 - t) + np.array(paper) * t + 0.5).astype(np.uint8)


def develop(grey: np.ndarray, colours: np.ndarray, camera: Camera | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns `pixels` and `palette` of a grey page.

    Args:
      grey: uint8 [H, W], 0 for ink and 255 for paper.
      colours: uint8 RGB [LEVELS, 3], from ink to paper.
      camera: None for a scan.
    """
    if camera is None:
        return grey >> 4, colours
    ink, paper = colours[0].astype(float), colours[-1].astype(float)
    table = (ink + (paper - ink) * _SHADES) * camera.cast + 0.5
    return cv2.applyColorMap(expose(camera, grey), table.astype(np.uint8)[:, None, ::-1].copy()), None
