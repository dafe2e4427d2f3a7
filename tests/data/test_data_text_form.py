"""How texts become ids and targets: the seam of prompt and script, the end, padding that counts, what is too long."""

import dataclasses

import numpy as np
import pytest

from vlsm_jax.data.lengths import count_lengths
from vlsm_jax.data.pipeline import PipelineConfig, encode_example, make_dataset, mean_of_means
from vlsm_jax.data.text_form import End, TextForm
from vlsm_jax.data.tokenizer import PROMPT_PREFIX, train_bpe
from vlsm_jax.data.triplets import DataError

V = 5
CONFIG = PipelineConfig(sequence_length=96, batch_size=4, image_size=20, visual_tokens=V, pack=False)
FORMS = [
    TextForm(joint=joint, strip=strip, end=end, limit=limit)
    for joint in (False, True)
    for strip in (False, True)
    for end in End
    for limit in (0, 40)
]


@pytest.fixture(scope="module")
def seamed(tmp_path_factory):
    """A tokenizer with a token over the seam of this prompt and script, both with white space around."""
    texts = ["make a queue: queue(1)\n"] * 20
    return train_bpe(texts, 300, tmp_path_factory.mktemp("seam") / "tokenizer"), " make a queue:", " queue(1)\n"


def test_apart_and_joint_differ_at_the_seam(seamed):
    tokenizer, prompt, response = seamed
    apart, asked = TextForm().encode(prompt, response, tokenizer)
    assert apart[:asked] == tokenizer.encode_prompt(prompt)
    assert apart[asked:] == tokenizer.encode_response(response)
    joint, asked_joint = TextForm(joint=True).encode(prompt, response, tokenizer)
    assert asked_joint == asked
    whole = tokenizer.backend.encode(PROMPT_PREFIX + prompt + response).ids
    assert joint == [*whole, tokenizer.eos_id]
    assert len(joint) < len(apart)  # the token over the seam


def test_white_space_is_stripped(seamed):
    tokenizer, prompt, response = seamed
    for joint in (False, True):
        plain = TextForm(joint).encode(prompt.strip(), response.strip(), tokenizer)
        assert TextForm(joint, strip=True).encode(prompt, response, tokenizer) == plain
        assert TextForm(joint).encode(prompt, response, tokenizer) != plain


def test_nothing_ends_a_script(seamed):
    tokenizer, prompt, response = seamed
    with_end, asked = TextForm().encode(prompt, response, tokenizer)
    assert TextForm(end=End.NOTHING).encode(prompt, response, tokenizer) == (with_end[:-1], asked)


def test_cut_texts_have_no_end(seamed):
    tokenizer, prompt, response = seamed
    prompt, response = prompt * 10, response * 10
    whole, asked = TextForm().encode(prompt, response, tokenizer)
    script = whole[asked:-1]
    assert min(asked, len(script)) > 10
    assert TextForm(limit=20).encode(prompt, response, tokenizer) == (whole[:10] + script[:10], 10)
    joint, _ = TextForm(joint=True).encode(prompt, response, tokenizer)
    assert TextForm(joint=True, limit=asked + 3).encode(prompt, response, tokenizer) == (joint[: asked + 3], asked)
    # Of just the limit: nothing was cut.
    exact = len(joint) - 1
    assert TextForm(joint=True, limit=exact).encode(prompt, response, tokenizer) == (joint, asked)


def test_lengths_are_those_of_the_encoded_samples_in_every_form(corpus):
    triplets, tokenizer = corpus
    begins = dataclasses.replace(tokenizer, beginning=(tokenizer.pad_id, tokenizer.pad_id))
    for form in FORMS:
        positions = count_lengths(triplets, begins, form).positions(V)
        for i in range(0, 40, 3):
            example = encode_example(triplets[i], begins, V, form)
            assert positions[i] == len(example["tokens"]), form
            if not form.limit:
                assert example["weights"].sum() > 0


def test_padding_that_counts(corpus):
    """A row has as many ids as places: the sample, then end-of-text ids, all targets but the last place's."""
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, end=End.PADDING, joint=True)
    batch = next(iter(make_dataset(triplets, tokenizer, config, shuffle=False)))
    for row in range(4):
        text = tokenizer.encode_prompt(triplets[row].prompt + triplets[row].response)
        ids = [*[tokenizer.image_id] * V, *text]
        padded = np.array([*ids, *[tokenizer.eos_id] * (96 - len(ids))])
        np.testing.assert_array_equal(batch["tokens"][row], padded)
        np.testing.assert_array_equal(batch["targets"][row][:-1], padded[1:])
        asked = V + len(tokenizer.encode_prompt(triplets[row].prompt))
        place = np.arange(96)
        np.testing.assert_array_equal(batch["weights"][row], (place >= asked - 1) & (place < 95))
        np.testing.assert_array_equal(batch["segment_ids"][row], np.where(place < len(ids), 1, -1))
        np.testing.assert_array_equal(batch["positions"][row], place)


def test_long_rows_are_cut_or_left_out(corpus):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, sequence_length=45, batch_size=40)
    assert make_dataset(triplets, tokenizer, config).plan.statistics()["samples"] < 40
    batch = next(iter(make_dataset(triplets, tokenizer, dataclasses.replace(config, truncate=True), shuffle=False)))
    ends = ((batch["targets"] == tokenizer.eos_id) & (batch["weights"] > 0)).sum(axis=1)
    lengths = [
        max(len(tokenizer.encode_prompt(r.prompt)), len(tokenizer.encode_response(r.response)) - 1) for r in triplets
    ]
    np.testing.assert_array_equal(ends, np.asarray(lengths) <= 20)
    assert 0 < ends.sum() < 40


def test_means_of_rows_count_alike(corpus):
    triplets, tokenizer = corpus
    plain = next(iter(make_dataset(triplets, tokenizer, CONFIG)))["weights"]
    for rows in (1, 2, 4):
        config = dataclasses.replace(CONFIG, rows_per_mean=rows)
        weights = next(iter(make_dataset(triplets, tokenizer, config)))["weights"]
        np.testing.assert_array_equal(weights > 0, plain > 0)
        np.testing.assert_allclose(weights.reshape(4 // rows, -1).sum(axis=1), 1, rtol=1e-5)
        losses = np.random.default_rng(0).normal(size=plain.shape)
        groups = [slice(i, i + rows) for i in range(0, 4, rows)]
        mean_of_each = [(losses[g] * plain[g]).sum() / plain[g].sum() for g in groups]
        np.testing.assert_allclose((losses * weights).sum() / weights.sum(), np.mean(mean_of_each), rtol=1e-5)


def test_rows_without_targets_are_in_no_mean():
    weights = np.array([[0, 0], [0, 0], [1, 1], [1, 1]], np.float32)
    np.testing.assert_array_equal(mean_of_means(weights, 2), [[0, 0], [0, 0], [0.25, 0.25], [0.25, 0.25]])


def test_reading_in_other_processes_keeps_the_beginning(corpus):
    """Workers load the tokenizer by its name: what was taken from it, or given to it, stays so."""
    triplets, tokenizer = corpus
    begins = dataclasses.replace(tokenizer, beginning=(7, 8))
    one, many = (
        next(iter(make_dataset(triplets, begins, dataclasses.replace(CONFIG, workers=workers)))) for workers in (0, 1)
    )
    np.testing.assert_array_equal(one["tokens"], many["tokens"])
    np.testing.assert_array_equal(one["tokens"][:, V : V + 2], [[7, 8]] * 4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pack": True, "end": End.PADDING}, "pack and end='padding' exclude one another"),
        ({"rows_per_mean": 3}, "rows_per_mean=3 does not divide batch_size=4"),
        ({"rows_per_mean": -1}, "rows_per_mean=-1 is below 0"),
    ],
)
def test_forms_that_cannot_be(changes, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(CONFIG, **changes)


def test_hosts_share_groups_of_rows(corpus):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, rows_per_mean=4)
    with pytest.raises(DataError, match="does not divide over 2 hosts, in groups of rows_per_mean=4"):
        make_dataset(triplets, tokenizer, config, shard_count=2)
