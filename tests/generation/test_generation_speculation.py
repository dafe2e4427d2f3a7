"""Drafts by lookup, against their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.generation.speculation import Drafts, Lookup, accepted, look_up

WIDTH = 12


def matches(text, last, most):
    """Of each place in a text, how many of the last tokens end there; what follows it must exist."""
    out = []
    for end in range(1, len(text)):
        alike = 0
        while alike < min(most, end, len(last)) and text[end - 1 - alike] == last[len(last) - 1 - alike]:
            alike += 1
        out.append((alike, end))
    return out


def defined(text, lookup):
    """What follows the place where the most of the last tokens stood before: in the row itself rather than in an
    example, and there the last."""
    best, draft = lookup.least - 1, []
    for example in lookup.examples:
        for alike, end in matches(example, text, lookup.most):
            if alike >= max(best, lookup.least):
                best, draft = alike, list(example[end : end + lookup.size])
    for alike, end in matches(text, text, lookup.most):
        if alike >= max(best, lookup.least):
            best, draft = alike, text[end : end + lookup.size]
    return draft


EXAMPLES = ((0, 1, 2, 2, 1), (2,), (1, 0, 0, 2, 1, 1, 0))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=WIDTH), min_size=3, max_size=3),
    st.sampled_from(
        [Lookup(3, 1, 2), Lookup(5, 2, 3), Lookup(2, 2, 2), Lookup(3, 1, 4, EXAMPLES), Lookup(4, 2, 3, EXAMPLES[:1])]
    ),
)
def test_a_draft_is_what_followed_the_longest_match(rows, lookup):
    text = np.full((3, WIDTH), -1, np.int32)
    for i, row in enumerate(rows):
        text[i, : len(row)] = row
    lengths = np.array([len(row) for row in rows], np.int32)
    wanted = [defined(row, lookup) for row in rows]
    found = jax.jit(look_up, static_argnums=2)(text, lengths, lookup)
    drafts = [tokens[:count].tolist() for tokens, count in zip(np.asarray(found.tokens), found.count, strict=True)]
    assert drafts == wanted


def test_a_draft_is_taken_as_far_as_it_is_right():
    drafts = Drafts(jnp.array([[4, 5, 6], [4, 5, 6], [4, 5, 6], [7, 5, 6]]), jnp.array([3, 3, 1, 3]))
    chosen = jnp.array([[4, 5, 6, 9], [4, 0, 6, 9], [4, 5, 6, 9], [4, 5, 6, 9]])
    assert accepted(drafts, chosen).tolist() == [3, 1, 1, 0]


@pytest.mark.parametrize("wrong", [(0, 1, 1), (3, 0, 2), (3, 3, 2)])
def test_sizes_that_make_no_draft_are_refused(wrong):
    with pytest.raises(ValueError, match="least from 1 to most"):
        Lookup(*wrong)
