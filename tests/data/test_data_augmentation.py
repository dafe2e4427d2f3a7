import numpy as np
import pytest
from PIL import Image

from vlsm_jax.data import augmentation
from vlsm_jax.data.augmentation import augment


def sketch():
    """White paper, 300 x 100, a red mark at the left end and a blue one at the right end, not alike in shape."""
    pixels = np.full((100, 300, 3), 255, np.uint8)
    pixels[40:60, 0:10] = (255, 0, 0)
    pixels[30:70, 290:300] = (0, 0, 255)
    return Image.fromarray(pixels)


def marks(image):
    pixels = np.asarray(image).astype(int)
    red = np.argwhere((pixels[..., 0] - pixels[..., 2]) > 100)
    blue = np.argwhere((pixels[..., 2] - pixels[..., 0]) > 100)
    return red, blue


def test_the_same_generator_gives_the_same_picture():
    one, two = (augment(sketch(), np.random.default_rng((0, 7))) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    other = augment(sketch(), np.random.default_rng((0, 8)))
    assert (np.asarray(one) != np.asarray(other)).any()


def test_nothing_leaves_the_picture_and_nothing_is_mirrored():
    for seed in range(60):
        image = augment(sketch(), np.random.default_rng(seed))
        assert image.size == (300, 100)
        assert image.mode == "RGB"
        red, blue = marks(image)
        # Both ends are there, about whole, where they belong.
        assert len(red) > 100
        assert len(blue) > 200
        assert red[:, 1].max() < 40
        assert blue[:, 1].min() > 260
        assert abs(red[:, 0].mean() - 49.5) < 15


def test_paper_stays_paper():
    for seed in range(30):
        image = np.asarray(augment(sketch(), np.random.default_rng(seed))).astype(float)
        middle = image[:, 60:240]
        assert middle.mean() > 255 * (1 - augmentation.LIGHT) ** 2 - 5
        assert middle.std() < 2 * augmentation.NOISE


def test_strength_scales_what_is_changed():
    def change(strength):
        plain = np.asarray(sketch()).astype(int)
        return np.mean(
            [
                np.abs(np.asarray(augment(sketch(), np.random.default_rng(s), strength)) - plain).mean()
                for s in range(20)
            ]
        )

    assert change(0.0) == 0
    assert 0 < change(0.3) < change(1.0) < change(2.0)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 5)])
def test_any_picture_can_be_changed(mode, size):
    assert augment(Image.new(mode, size), np.random.default_rng(0)).size == size
