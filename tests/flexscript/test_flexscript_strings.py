"""Strings: positions by bytes from 1, and every method."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.flexscript import texts

TEXTS = st.text(alphabet="ab=Σσ€😀 ", max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Σ=σ".length', 5),
        ('string("Σ=σ").charAt(3)', "="),
        ('"Σ=σ".charAt(1)', "Σ"),
        ('"Σ=σ".charAt(2)', "Σ"),
        ('"abc".charAt(4)', ""),
        ('"Σ=σ".charCodeAt(1)', 931),
        ('"Σ=σ".indexOf("σ")', 4),
        ('"Σ=σ=".indexOf("=", 4)', 6),
        ('"Σ=σ=".lastIndexOf("=")', 6),
        ('"Σ=σ".search(/[=]/)', 3),
        ('"Σ=σ".substr(3, 1)', "="),
        ('"Σ=σ".substr(3)', "=σ"),
        ('"Σ=σ".slice(3, 4)', "="),
        ('"Σ=σ".slice(-2)', "σ"),
        ('"Σ=σ".split()', ["Σ", "=", "σ"]),
        ('"Σ=σ".split().join()', "Σ=σ"),
        ('"abc".substr(2, 5)', "bc"),
        ('"abcd".slice(2)', "bcd"),
        ('"a,b,,c".split(",")', ["a", "b", "", "c"]),
        ('"aXbX".replace("X", "--")', "a--b--"),
        ('"abc".includes("bc")', 1),
        ('"abc".startsWith("ab") + "abc".endsWith("ab")', 1),
        ('"  a b ".trim() + "|"', "a b|"),
        ('" a ".trimStart() + "|" + " a ".trimEnd()', "a | a"),
        ('"aB".toUpperCase() + "aB".toLowerCase()', "ABab"),
        ('"7".padStart(3, "0") + "7".padEnd(3, "ab")', "0077ab"),
        ('"ab".repeat(3)', "ababab"),
        ('"12.5 kg".toNum()', 12.5),
        ('"x".toNum()', 0),
        ('"a".concat("b", 3)', "ab3"),
        ("string.fromNum(1/3.0, 3)", "0.333"),
        ("string.fromNum(5)", "5"),
        ("string.fromCharCode(72, 105)", "Hi"),
        ('concat("a", "b", "c")', "abc"),
        ('stringlen("Σ")', 2),
        ('stringtonum("4.5")', 4.5),
        ("numtostring(3.14159, 8, 2)", "    3.14"),
        ('stringcopy("abcdef", 2, 3)', "bcd"),
        ('stringreplace("a-b", "-", "+")', "a+b"),
        ('stringsearch("hello", "l", 1)', 3),
        ('comparetext("a", "A") * 10 + comparetext("a", "A", 1)', 1),
        ('stringcompare("a", "b")', -1),
        ('strascii(65) + asciistr("A")', "A65"),
        ('strquote("a")', '"a"'),
        ('tonum("2.5") + tonum(1)', 3.5),
        ('tostring(2.5) + "!"', "2.5!"),
    ],
)
def test_string_methods(returned, text, expected):
    assert returned(f"return {text};") == expected


def test_string_index_gives_a_character_of_a_string_variable_and_the_whole_of_a_variant(returned, failed):
    assert returned('string s = "Σ=σ"; return s[3] + s[1];') == "=Σ"
    assert returned('Variant v = "abc"; return v[1];') == "abc"
    assert failed('string s = "ab"; s[3];').message == "Array index out of bounds"


def test_string_escapes_and_continued_lines(returned):
    assert returned(r'return "a\tb\n\\\"\r";') == 'a\tb\n\\"\r'
    assert returned('return "con\\\ntinued";') == "continued"


def test_stringtoken_goes_on_where_it_stopped(returned):
    text = 'Array a; string s = stringtoken("a,b;c", ",;"); while (s != "") { a.push(s); s = stringtoken(NULL, ",;"); }'
    assert returned(text + " return a;") == ["a", "b", "c"]


@given(TEXTS, st.integers(-2, 20), st.integers(0, 20))
def test_substr_takes_the_characters_whose_bytes_are_asked_for(text, start, length):
    data, first = text.encode(), max(1, start) - 1
    wanted, at = "", 0
    for char in text:
        end = at + len(char.encode())
        if length and end > first and at < first + length:
            wanted += char
        at = end
    assert texts.text_substr(text, start, length) == wanted
    assert texts.text_length(text) == len(data)


@given(TEXTS, TEXTS)
def test_index_of_counts_the_bytes_before(text, part):
    at = texts.text_find(text, part)
    assert at == (text.encode().find(part.encode()) + 1 or -1)


@given(TEXTS, st.integers(1, 20))
def test_char_at_is_the_same_for_every_byte_of_a_character(text, position):
    starts = [n for n, byte in enumerate(text.encode(), 1) if byte & 0xC0 != 0x80 and n <= position]
    inside = position <= texts.text_length(text)
    assert texts.text_char(text, position) == (texts.text_char(text, starts[-1]) if inside and starts else "")
