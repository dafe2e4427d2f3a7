"""Words for ways of writing, and what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.ways import Way, words


@pytest.mark.parametrize(
    ("word", "way", "said"),
    [
        ("greedy", Way(), "greedy, without grammar constraint"),
        ("constrained", Way(constrain=True), "greedy, with grammar constraint"),
        ("named", Way(True, names=True), "greedy, with grammar constraint and only names of the prompt"),
        ("best-of-4", Way(candidates=4), "best of 4, without grammar constraint"),
        ("mended", Way(mend=True), "greedy, without grammar constraint, mended by rules"),
        ("constrained-best-of-16-mended", Way(True, 16, True), "best of 16, with grammar constraint, mended by rules"),
        (
            "named-best-of-8-mended",
            Way(True, 8, True, True),
            "best of 8, with grammar constraint and only names of the prompt, mended by rules",
        ),
    ],
)
def test_words_of_ways(word, way, said):
    assert Way.parse(word) == way
    assert (way.name, str(way)) == (word, said)


@given(st.builds(Way, st.booleans(), st.integers(1, 9999), st.booleans()))
def test_a_way_is_read_back_from_its_name(way):
    assert Way.parse(way.name) == way


def test_names_are_looked_at_under_the_constraint_alone():
    assert Way.parse("named").constrain
    with pytest.raises(ValueError, match="names=True needs constrain=True"):
        Way(names=True)


@pytest.mark.parametrize(
    "word",
    [
        *("", "-", "beam", "best-of-1", "best-of-0", "best-of-08", "best of 8", "greedy-mended", "mended-constrained"),
        *("constrainedmended", "best-of-8mended", "-mended", "constrained-", "constrained-greedy", "best-of-12345"),
        *("constrained-named", "namedmended"),
    ],
)
def test_a_word_that_names_no_way_is_refused_with_what_there_is(word):
    with pytest.raises(ValueError, match=rf"no way '{word}'; there are greedy, constrained, named, best-of-N"):
        Way.parse(word)


def test_words_of_a_command_line():
    assert words("iid, layout-blank,,iid") == ("iid", "layout-blank")
    assert words(("greedy,best-of-8", "mended")) == ("greedy", "best-of-8", "mended")
