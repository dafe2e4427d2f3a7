"""Annotations become targets of patches: where they lie, what they say, and how they travel in batches."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from vlsm_jax.data.annotations import NONE, Lesson, Patches, kept_patches, seen_patches, visual_targets
from vlsm_jax.data.images import Fit, fit_image, fitted
from vlsm_jax.data.pipeline import PipelineConfig, make_dataset
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.data.triplets import DataError, Record

PATCHES = Patches(image_size=160, patch_size=16, tokens=101, fit=Fit.PAD)
# The patches, by column and row, that the line of `annotation` goes through.
WAY = [*((column, 2) for column in range(2, 9)), (8, 3), (8, 4), (8, 5)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = ["Oven Lane 1 feeds Oven Lane 2, a Processor, and a Queue: Oven Lane 7"] * 50
    return train_bpe(texts, 320, tmp_path_factory.mktemp("bpe") / "tokenizer")


def annotation(**changes):
    """Two objects of a picture of 160 x 96, one above the other's right, and a line between them."""
    return {
        "size": [160, 96],
        "objects": [
            {
                "name": "Oven 1",
                "class": "Queue",
                "icon": [24, 8],
                "words": [["Oven", 8, 24, 40, 24], ["1", 44, 24, 52, 24]],
            },
            {"name": "Lane", "class": "Processor", "icon": [136, 72], "words": [["Lane", 120, 90, 152, 90]]},
        ],
        "connections": [{"source": "Oven 1", "target": "Lane", "port": "A", "path": [[40, 8], [136, 8], [136, 60]]}],
    } | changes


def said(targets, tokenizer, slot=0):
    """What each patch says, by (column, row) of the square: of what stands in it, or in a third its letter."""
    places = np.flatnonzero(targets[:, slot] != NONE)
    return {divmod(int(p) - 1, 10)[::-1]: tokenizer.backend.decode([int(targets[p, slot])]).strip() for p in places}


def test_patches_say_what_stands_in_them(tokenizer):
    oven, one, lane = (tokenizer.backend.encode(text, add_special_tokens=False).ids for text in ("Oven", "1", "Lane"))
    assert len(oven) == len(one) == len(lane) == 1
    targets = visual_targets(annotation(), tokenizer, PATCHES)
    assert targets.shape == (101, 4)
    # The picture stands 32 pixels below the square's upper edge.
    assert said(targets, tokenizer) == {
        **dict.fromkeys([(0, 3), (1, 3), (2, 3)], "Oven"),  # its letters stand in three patches
        (3, 3): "1",
        (1, 2): "Queue",
        **dict.fromkeys([(7, 7), (8, 7), (9, 7)], "Lane"),
        (8, 6): "Processor",
        **dict.fromkeys(WAY, "Lane"),  # where the line leads
    }
    # The other slots of a line: the last token of that name, and the first and the last of the one it comes from.
    for slot, name in enumerate(("Lane", "Oven", "1"), start=1):
        found = said(targets, tokenizer, slot)
        assert {place: found.get(place) for place in WAY} == dict.fromkeys(WAY, name)
    # And of an icon: the first and the last token of the name written at it.
    for slot, names in ((1, (None, None)), (2, ("Oven", "Lane")), (3, ("1", "Lane"))):
        found = said(targets, tokenizer, slot)
        assert (found.get((1, 2)), found.get((8, 6))) == names


def test_names_go_before_icons_and_these_before_lines(tokenizer):
    first = annotation()["objects"][0] | {"icon": [24, 24]}
    wire = {"source": "Oven 1", "target": "Lane", "port": "A", "path": [[16, 24], [72, 24]]}
    targets = visual_targets(annotation(objects=[first], connections=[wire]), tokenizer, PATCHES)
    assert said(targets, tokenizer) == {**dict.fromkeys([(0, 3), (1, 3), (2, 3)], "Oven"), (3, 3): "1", (4, 3): "Lane"}
    # A patch that spells no letter in a third leaves that slot open: it does not say there where a line comes from.
    assert said(targets, tokenizer, 2) == {(4, 3): "Oven"}
    apart = visual_targets(annotation(objects=[first | {"words": []}], connections=[wire]), tokenizer, PATCHES)
    assert said(apart, tokenizer) == {(1, 3): "Queue", **dict.fromkeys([(2, 3), (3, 3), (4, 3)], "Lane")}
    assert said(apart, tokenizer, 1) == dict.fromkeys([(2, 3), (3, 3), (4, 3)], "Lane")
    assert said(apart, tokenizer, 3) == dict.fromkeys([(1, 3), (2, 3), (3, 3), (4, 3)], "1")


def test_of_two_lines_a_patch_says_all_of_the_one_nearer_to_its_middle(tokenizer):
    across = {"source": "Oven 1", "target": "Lane", "port": "A", "path": [[4, 26], [156, 26]]}
    down = {"source": "Lane", "target": "Oven 1", "port": "A", "path": [[72, 4], [72, 92]]}
    for wires in ([across, down], [down, across]):
        targets = visual_targets(annotation(objects=[], connections=wires), tokenizer, PATCHES)
        # They meet in patch (4, 3), whose middle is at (72, 24) of the picture, where the one down has points.
        spoken = [said(targets, tokenizer, slot) for slot in range(4)]
        assert [found[4, 3] for found in spoken] == ["Oven", "1", "Lane", "Lane"]
        assert [found[3, 3] for found in spoken] == ["Lane", "Lane", "Oven", "1"]
        assert all(len(found) == 10 + 6 - 1 for found in spoken)


def test_a_name_of_many_tokens_is_spread_over_its_word(tokenizer):
    item = {"name": "zqxzqx", "class": "Queue", "icon": [8, 60], "words": [["zqxzqx", 0, 24, 96, 24]]}
    targets = visual_targets(annotation(objects=[item], connections=[]), tokenizer, PATCHES)
    row = [said(targets, tokenizer).get((column, 3)) for column in range(6)]
    assert "".join(row) == "zqxzqx"


def test_of_two_pieces_a_patch_says_the_one_nearer_to_its_middle(tokenizer):
    words = [["Oven", 0, 24, 26, 24], ["1", 27, 24, 31, 24]]
    item = {"name": "Oven 1", "class": "Queue", "icon": [8, 60], "words": words}
    row = said(visual_targets(annotation(objects=[item], connections=[]), tokenizer, PATCHES), tokenizer)
    assert (row[0, 3], row[1, 3]) == ("Oven", "Oven")  # whose letters have middles at 16, 23 and 29
    item = item | {"words": [["Oven", 0, 24, 20, 24], ["1", 21, 24, 31, 24]]}
    row = said(visual_targets(annotation(objects=[item], connections=[]), tokenizer, PATCHES), tokenizer)
    assert (row[0, 3], row[1, 3]) == ("Oven", "1")


def test_lessons_leave_out_what_comes_later(tokenizer):
    letters = visual_targets(annotation(), tokenizer, PATCHES, Lesson.LETTERS)
    assert (letters[:, 0] == NONE).all()
    # Letters of 8 pixels each, middles at O 12, v 20, e 28, n 36, and at L 124, a 132, n 140, e 148; the 1 at 48.
    assert said(letters, tokenizer, 1) == {(1, 3): "v", (2, 3): "n", (3, 3): "1", (8, 7): "a", (9, 7): "e"}
    assert said(letters, tokenizer, 2) == {}
    assert said(letters, tokenizer, 3) == {(0, 3): "O", (1, 3): "e", (7, 7): "L", (8, 7): "n"}
    names = visual_targets(annotation(), tokenizer, PATCHES, Lesson.NAMES)
    spelt = (letters != NONE).any(1)
    np.testing.assert_array_equal(names[spelt, 1:], letters[spelt, 1:])
    assert sorted(said(names, tokenizer, 3)) == sorted([*said(letters, tokenizer, 3), (1, 2), (8, 6)])
    lines = visual_targets(annotation(), tokenizer, PATCHES, Lesson.LINES)
    added = {place for place in range(len(names)) if (names[place] != lines[place]).any()}
    assert added == {1 + column + 10 * row for column, row in WAY}
    assert (names[sorted(added)] == NONE).all()
    np.testing.assert_array_equal(names, visual_targets(annotation(connections=[]), tokenizer, PATCHES))


def test_patches_are_kept_that_say_something_and_of_the_others_some_from_lines_to_paper(tokenizer):
    targets = visual_targets(annotation(), tokenizer, PATCHES)
    asked = np.flatnonzero((targets != NONE).any(1)) - 1
    picture = np.full((160, 160, 3), 200, np.uint8)
    picture[0:2, 40:44] = 0  # in patch 2
    picture[150:, 100:] = 90  # in 96 to 99
    picture[16:32, 16:32] = 10  # all of patch 11: nothing to be told from paper but its light
    for count in (3, len(asked), len(asked) + 1, len(asked) + 9, 98, 99, 100):
        kept = kept_patches(picture, targets, PATCHES, count)
        assert kept.dtype == np.int32
        assert (np.diff(kept) > 0).all()
        assert len(kept) == count
        assert set(kept) <= set(asked) if count <= len(asked) else set(asked) < set(kept)
    assert set(kept_patches(picture, targets, PATCHES, len(asked) + 1)) - set(asked) == {2}
    rest = set(kept_patches(picture, targets, PATCHES, len(asked) + 9)) - set(asked)
    assert 2 in rest
    assert len(rest - {2, 96, 97, 98, 99}) == 8, "nine in ten of the others are paper"


def test_without_an_annotation_nothing_is_said_and_a_broken_one_is_named(tokenizer):
    assert (visual_targets(None, tokenizer, PATCHES) == NONE).all()
    broken = annotation(objects=[{"name": "Oven", "class": "Queue", "icon": [1, 1]}])
    with pytest.raises(DataError, match="annotation: KeyError: 'words'"):
        visual_targets(broken, tokenizer, PATCHES)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("size", [(120, 80), (60, 90), (300, 100)])
def test_points_follow_the_picture_into_the_square(fit, size):
    width, height = size
    point = (width * 0.55, height * 0.45)  # inside of what a crop leaves
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[round(point[1]) - 2 : round(point[1]) + 3, round(point[0]) - 2 : round(point[0]) + 3] = (0, 255, 0)
    square = fit_image(Image.fromarray(pixels), 64, fit).astype(float)
    light = np.clip(square[..., 1] - square[..., 0], 0, None)
    rows, columns = np.mgrid[0:64, 0:64] + 0.5
    found = np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()
    np.testing.assert_allclose(fitted(np.array([point]), size, 64, fit)[0], found, atol=0.9)


def rows_of(count, annotated=True):
    for index in range(count):
        picture = np.full((96, 160, 3), index, np.uint8)
        extra = {"annotation": annotation(size=[160, 96])} if annotated and index % 2 else {}
        yield Record(str(index), encode(picture), "Make it.", "Oven", f"row {index}", extra)


def encode(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def test_targets_travel_with_their_pictures_through_packed_rows(tokenizer):
    config = PipelineConfig(600, 2, image_size=160, visual_tokens=101, patch_size=16)
    rows = list(rows_of(12))
    batch = next(iter(make_dataset(rows, tokenizer, config)))
    assert batch["visual_targets"].shape == (2, batch["images"].shape[1], 101, 4)
    wanted = visual_targets(annotation(), tokenizer, config.patches)
    pictures = 0
    for image, targets in zip(
        batch["images"].reshape(-1, 160, 160, 3), batch["visual_targets"].reshape(-1, 101, 4), strict=True
    ):
        if not image.any():
            assert (targets == NONE).all()
            continue
        pictures += 1
        number = int(image[80, 80, 0])  # a picture's grey is the number of its row
        np.testing.assert_array_equal(targets, wanted if number % 2 else NONE)
    assert pictures > 2
    without = next(iter(make_dataset(rows, tokenizer, PipelineConfig(600, 2, image_size=160, visual_tokens=101))))
    assert "visual_targets" not in without


def test_kept_patches_travel_with_their_targets(tokenizer):
    form = {"image_size": 160, "visual_tokens": 101, "patch_size": 16, "lesson": Lesson.NAMES, "pack": False}
    whole = PipelineConfig(600, 2, **form)
    cut = dataclasses.replace(whole, kept_patches=20)
    rows = list(rows_of(12))
    one, other = (next(iter(make_dataset(rows, tokenizer, config, shuffle=False))) for config in (whole, cut))
    np.testing.assert_array_equal(one["images"], other["images"])
    assert other["kept"].shape == (*one["images"].shape[:2], 20)
    for row in range(len(other["kept"])):
        one_text, text = ((batch["visual_index"][row] < 0) & (batch["positions"][row] >= 0) for batch in (one, other))
        for name in ("tokens", "targets", "weights"):
            np.testing.assert_array_equal(one[name][row][one_text], other[name][row][text])
        np.testing.assert_array_equal(other["visual_index"][row, :22], [*range(21), -1])
        np.testing.assert_array_equal(other["positions"][row, :30], range(30))
    assert (
        other["visual_targets"].shape
        == (*one["images"].shape[:2], 21, 4)
        == (*other["kept"].shape[:2], cut.encoded_tokens, 4)
    )
    assert whole.encoded_tokens == 101
    assert (other["visual_targets"][..., 0, :] == NONE).all()  # the class token says nothing
    found = np.take_along_axis(one["visual_targets"][..., 1:, :], other["kept"][..., None], axis=-2)
    np.testing.assert_array_equal(other["visual_targets"][..., 1:, :], found)
    assert (found != NONE).sum() == (one["visual_targets"] != NONE).sum() > 0


def test_targets_are_those_of_the_patches_that_the_encoder_sees_by_itself(tokenizer):
    form = {"image_size": 160, "patch_size": 16, "pack": False}
    whole = PipelineConfig(600, 2, visual_tokens=101, **form)
    few = PipelineConfig(600, 2, visual_tokens=31, seen_patches=30, **form)
    drawn = np.random.default_rng(0).integers(0, 256, (96, 160, 3)).astype(np.uint8)
    drawn[:, 40:] = 0
    rows = [row._replace(image=encode(drawn)) for row in rows_of(4)]
    one, other = (next(iter(make_dataset(rows, tokenizer, config, shuffle=False))) for config in (whole, few))
    np.testing.assert_array_equal(one["images"], other["images"])
    assert "kept" not in other
    # Of the picture, 32 pixels down in its square, patches 0 to 2 of rows 2 to 7 have pixels that differ: 18 of 30.
    seen = seen_patches(one["images"][0, 0], few.patches)
    assert {row * 10 + column for row in range(2, 8) for column in range(3)} < set(seen)
    np.testing.assert_array_equal(other["visual_targets"][:, :, 1:], one["visual_targets"][:, :, 1 + seen])
    assert (other["visual_targets"] != NONE).any()
    np.testing.assert_array_equal(other["visual_index"][0, :32], [*range(31), -1])


def test_all_patches_kept_are_all_patches(tokenizer):
    whole = PipelineConfig(600, 2, image_size=160, visual_tokens=101, patch_size=16)
    rows = list(rows_of(12))
    one, other = (
        next(iter(make_dataset(rows, tokenizer, dataclasses.replace(whole, kept_patches=kept)))) for kept in (0, 100)
    )
    seen = (one["visual_index"] >= 0).any(1).sum()
    assert seen
    assert set(other) - set(one) == {"kept"}
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kept_patches": -1}, "kept_patches=-1 is below 0"),
        ({"kept_patches": 101}, "kept_patches=101 is more than the 100 of a picture"),
        ({"kept_patches": 5, "patch_size": 0}, "kept_patches=5 needs annotations; set train.visual_targets=1"),
        ({"lesson": Lesson.NAMES, "patch_size": 0}, "lesson='names' needs annotations; set train.visual_targets=1"),
    ],
)
def test_lessons_and_patches_that_cannot_be_had_are_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        PipelineConfig(600, 2, **{"image_size": 160, "visual_tokens": 101, "patch_size": 16} | changes)


def test_data_without_annotations_is_an_error_that_says_how_to_get_them(tokenizer):
    config = PipelineConfig(600, 2, image_size=160, visual_tokens=101, patch_size=16)
    with pytest.raises(DataError, match=r"synth\.annotated=True"):
        make_dataset(list(rows_of(4, annotated=False)), tokenizer, config)
    with pytest.raises(ValueError, match="augmentation moves"):
        PipelineConfig(600, 2, image_size=160, visual_tokens=101, patch_size=16, augmentation=1.0)
