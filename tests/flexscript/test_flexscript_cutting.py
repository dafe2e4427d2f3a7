"""What is whole of a script that was cut off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.flexscript import parse
from vlsm_jax.flexscript.cutting import whole_statements

SCRIPT = """Object q = Object.create("Queue"); // the only one
string names[] = {"a;}", "b"};
for (int i = 1; i <= names.length; i++) {
  if (i == 1) { q.f([1, 2]); }
  else q.g('c');
  switch (i) { case 1: q.h(); break; default: { ; } }
}
return q;
"""


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a; b", "a;\n"),
        ("a; b;", "a; b;"),
        ("for (int i = 1; i <", ""),
        ("for (int i = 1; i < 2; i++) { a; b(", "for (int i = 1; i < 2; i++) { a;\n}\n"),
        ("if (a) { b; } el", "if (a) { b; }\n"),
        ('string n[] = {"a"', ""),
        ('a; print("b; c;', "a;\n"),
        ("while (a) { while (b) {", "while (a) { while (b) {\n}}\n"),
        ("a; } b; c", "a;\n"),
        ("", ""),
    ],
)
def test_unfinished_ends_are_left_out_and_blocks_closed(text, whole):
    assert whole_statements(text) == whole


@given(st.integers(0, len(SCRIPT)))
def test_every_beginning_gives_a_script_that_parses(length):
    whole = whole_statements(SCRIPT[:length])
    assert parse(whole).ok
    assert SCRIPT.startswith(whole.rstrip("}\n"))


@given(st.text(alphabet='ab1(){}[];,="/* \n', max_size=60))
def test_any_text_gives_a_script_that_parses(text):
    assert parse(whole_statements(text)).ok
