import numpy as np
import pytest
from PIL import Image

from vlsm_jax.data.images import PAD_COLOUR, Fit, ImageError, fit_image, load_image


def wide_sketch():
    """White, 900 x 300, a red mark at the far left (the Source) and a blue one at the far right (the Sink)."""
    pixels = np.full((300, 900, 3), 255, np.uint8)
    pixels[130:170, :40] = (255, 0, 0)
    pixels[130:170, -40:] = (0, 0, 255)
    return Image.fromarray(pixels)


def has_colour(pixels, colour):
    return (np.abs(pixels.astype(int) - colour).max(axis=-1) < 60).any()


@pytest.mark.parametrize("fit", [Fit.PAD, Fit.SQUASH])
def test_both_ends_of_a_wide_sketch_survive(fit):
    square = fit_image(wide_sketch(), 96, fit)
    assert square.shape == (96, 96, 3)
    assert square.dtype == np.uint8
    assert has_colour(square, (255, 0, 0))
    assert has_colour(square, (0, 0, 255))


def test_the_papers_crop_loses_both_ends():
    square = fit_image(wide_sketch(), 96, Fit.CROP)
    assert square.shape == (96, 96, 3)
    assert not has_colour(square, (255, 0, 0))
    assert not has_colour(square, (0, 0, 255))


def test_padding_keeps_the_aspect_ratio_and_centres():
    square = fit_image(wide_sketch(), 90, Fit.PAD)
    assert (square[:28] == PAD_COLOUR).all()
    assert (square[-28:] == PAD_COLOUR).all()
    assert (square[33:57, 40:50] == 255).all()


@pytest.mark.parametrize("size", [(50, 50), (1, 40), (40, 1), (7, 3)])
@pytest.mark.parametrize("fit", list(Fit))
def test_any_shape_becomes_a_square(fit, size):
    assert fit_image(Image.new("L", size), 32, fit).shape == (32, 32, 3)


def test_bad_pictures_are_named(tmp_path):
    missing = tmp_path / "none.png"
    with pytest.raises(ImageError, match=r"no image at .*none\.png"):
        load_image(missing, 32)
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    with pytest.raises(ImageError, match=r"text\.png is not a picture"):
        load_image(text, 32)
    whole = tmp_path / "whole.png"
    wide_sketch().save(whole)
    torn = tmp_path / "torn.png"
    torn.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"torn\.png cannot be read"):
        load_image(torn, 32)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    wide_sketch().save(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match=r"bomb\.png is refused"):
        load_image(tmp_path / "bomb.png", 32)
