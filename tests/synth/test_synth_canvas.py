"""The canvas: what is written lies on the page as it should, at its edges too."""

import numpy as np
import pytest

from vlsm_jax.synth.sketches.canvas import Canvas, ink_table


@pytest.mark.parametrize("ink", [40, (20, 60, 200)])
@pytest.mark.parametrize("place", [(3, 2), (-5, -4), (35, 24), (39, 29), (-11, 0), (-12, 0), (0, -7), (60, 60)])
def test_a_blot_rubs_out_what_lies_under_it_and_darkens_the_page(ink, place):
    rng = np.random.default_rng(3)
    grey = isinstance(ink, int)
    canvas = Canvas((40, 30), 255 if grey else (255, 255, 255))
    canvas.image[:] = before = rng.integers(0, 256, canvas.image.shape, np.uint8)
    blot = rng.integers(0, 256, (7, 12), np.uint8)
    x, y = place
    canvas._blot(blot, x, y, ink_table(ink))
    expected = before.copy()
    for row, column in np.ndindex(blot.shape):
        if 0 <= y + row < 30 and 0 <= x + column < 40:
            under = np.maximum(before[y + row, x + column], 205)
            drawn = np.rint(255 - blot[row, column] / 255 * (255 - np.array(ink)))
            expected[y + row, x + column] = np.minimum(under, drawn)
    assert (canvas.image == expected).all()


def test_a_blot_of_no_ink_changes_nothing():
    canvas = Canvas((40, 30), 200)
    canvas._blot(np.zeros((0, 0), np.uint8), 5, 5, ink_table(0))
    assert (canvas.image == 200).all()
