"""The grammar's language is the parser's, but for what it says it leaves out."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.flexscript import parse
from vlsm_jax.flexscript.expressions import MAX_NESTING
from vlsm_jax.flexscript.grammar import MAX_BLANKS, MAX_COMMENT, MAX_COMMENTS, MAX_DIGITS, flexscript_grammar
from vlsm_jax.generation.constraint import Constraint

pytest.importorskip("llguidance")

TESTS = Path(__file__).parents[1]
LEFT_OUT = re.compile(
    r"^\s*#\s*define"  # directives
    r"|\w+\s+\w+\s*\([^()]*\)\s*\{"  # definitions of functions
    r"|\w\?\s*(?:[;,)\]=.*/<>&|]|!=|\?|[-+][^:]*;)"  # quiet labels
    r"|\]\s*\(|\)\s*\(\w+\)\s*="  # calls and assignments of what stands in brackets
    r"|^\s*$",  # a script without a statement
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def constraint(tmp_path_factory):
    # Nearly every token is one byte, so that texts are drawn sign by sign.
    return Constraint(train_bpe(["for (int i = 1; i <= 9; i++) { }"], 290, tmp_path_factory.mktemp("bpe") / "bpe"))


def test_scripts_of_the_tests(constraint):
    """Every script in the tests of language and simulator: accepted where it parses, refused where it does not."""
    accepted = refused = 0
    for file in sorted([*TESTS.glob("flexscript/*.py"), *TESTS.glob("simulator/*.py")]):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and ";" in node.value):
                continue
            text = node.value
            if not text.isprintable() and re.search("[\ud800-\udfff]", text):
                continue  # half a pair of UTF-16, which no token spells
            if not parse(text).ok:
                assert not constraint.accepts_text(text), text
                refused += 1
            elif not LEFT_OUT.search(text):
                assert constraint.accepts_text(text), text
                accepted += 1
    assert accepted > 900
    assert refused > 40


@pytest.mark.parametrize(
    "text",
    [
        "a - -b; a + ++b; a+++b; a - - -b; -a--; !-a; - !a; ~ ~a;",
        "a = b = c ? d : e = f; x += y -= 2;",
        "a<b; a <= b == c != d; a & b | c ^ d; a << 2 >> 1; a && b || c;",
        'f(/[0-9]+\\/[^"]/g, 1); f( /a/, "b".length);',
        "a/b; a / b /c; a /* c *// b; a // b\n/ c;",
        'x.y[1].z(2)[3].w = 4; library().find("?Q").x++; o.#next = 1; o?.p;',
        "Conveyor.Item x; Storage::Slot s = 1, t[3], u[] = {1, 2}, v[];",
        "if (a) if (b) c; else d; else if (e) f; else { }",
        "for (;;) ; for (i = 1, j = 2; i < j; i++, j--) a; for (Object o = x; o; o = o.next) { }",
        "while (1) { break; continue; } switch (x) { } switch (x) { case 1: case -2: { a; } break; default: b; }",
        "return; return -1; return(5); iterate(1, 2, 1) { print(count); }",
        "'a' + '\\n' + 0x1F + 5. + .5 + 1.5e-3; \"\\\"\\\\ \\\n ü\";",
        "\n\t// first\n/* second **/ a; /**/ /***popup:X*//**/ b; // last",
        "await Delay(5); x = await e; elsewhere; iffy; returned = 1; int default1;",
        "(a).b = 1; (a + b)[2]; [1, [2, 3]][1].x;",
    ],
)
def test_constructs(constraint, text):
    assert parse(text).ok
    assert constraint.accepts_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a", "a b c;", "a--b;", "5--3;", "5++;", "5+++3;", "a + = b;", "1 = 2;", "a + b = c;", "f() = 1;",
        "if a;", "if (a) else b;", "else a;", "for (a) b;", "for (x : y) a;", "do a; while (b);", "case 1: a;",
        "switch (x) { a; }", "switch (x) { case1: a; }", "{ a;", "a; }", "f(a,);", "[1,];", "{1, 2};", "a.;", "a.5;",
        "\"a\" \"b\";", "'ab';", "'';", "\"a\nb\";", "5x;", "0x;", "1..2;", "a[];", "f(x)(y);", "new Object();",
        "goto x;", "static int a;", "int if;", "int 5;", "a /* b;", "a = “b”;", "# x\na;", "/a/;", "a ? b;",
        "a ? b : ;",        "c ? a.b? - 1 : 2;", "f(int x);",
    ],
)  # fmt: skip
def test_what_does_not_parse(constraint, text):
    assert not parse(text).ok or not text.strip()
    assert not constraint.accepts_text(text)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("a;" + " " * MAX_BLANKS + "b;", "a;" + " " * (MAX_BLANKS + 1) + "b;"),
        (f"//{'c' * MAX_COMMENT}\na;", f"//{'c' * (MAX_COMMENT + 1)}\na;"),
        (f"/*{'c' * MAX_COMMENT}*/a;", f"/*{'c' * (MAX_COMMENT + 1)}*/a;"),
        ("// c\n" * MAX_COMMENTS + "a;", "// c\n" * (MAX_COMMENTS + 1) + "a;"),
        ("1" * MAX_DIGITS + ";", "1" * (MAX_DIGITS + 1) + ";"),
    ],
)
def test_bounds(constraint, inside, outside):
    """Neither blanks nor comments nor digits go on for ever."""
    assert parse(outside).ok
    assert constraint.accepts_text(inside)
    assert not constraint.accepts_text(outside)


@pytest.mark.parametrize(
    ("opening", "core", "closing"),
    [
        ("(", "a", ")"), ("f(", "a", ")"), ("[", "a", "]"), ("a[", "b", "]"), ("!", "a", ""), ("- ", "a", ""),
        ("a = ", "b", ""),
        ("a ? b : ", "c", ""), ("a ? ", "b", " : c"), ("a + (", "b", ")"),
        ("a || b && c | d ^ e & f == g < h << i + j * (", "k", ")"),
        ("await ", "a", ""),
    ],
)  # fmt: skip
def test_expressions_nest_about_as_deeply_as_the_parser_reads(constraint, opening, core, closing):
    depths = [n for n in range(1, MAX_NESTING + 4) if constraint.accepts_text(opening * n + core + closing * n + ";")]
    parsed = [n for n in range(1, MAX_NESTING + 4) if parse(opening * n + core + closing * n + ";").ok]
    assert depths == list(range(1, depths[-1] + 1))
    assert parsed[-1] * 0.75 <= depths[-1] <= parsed[-1]


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("{", "}"), ("if (a) {", "}"), ("if (a) ", ""), ("while (a) ", ""), ("if (a) b; else { ", "}"),
        ("f(a) { ", "}"),
        ("for (;;) { ", "}"), ("switch (a) { case 1: ", "}"),
    ],
)  # fmt: skip
def test_statements_nest_about_as_deeply_as_the_parser_reads(constraint, opening, closing):
    depths = [n for n in range(1, MAX_NESTING + 4) if constraint.accepts_text(opening * n + "a;" + closing * n)]
    parsed = [n for n in range(1, MAX_NESTING + 4) if parse(opening * n + "a;" + closing * n).ok]
    assert depths == list(range(1, depths[-1] + 1))
    assert parsed[-1] * 0.75 <= depths[-1] <= parsed[-1]


def test_else_if_chains_may_be_long(constraint):
    assert constraint.accepts_text("if (a) x; " + "else if (b) x; " * 400 + "else y;")
    assert constraint.accepts_text("while (c) { if (a) { x; } " + "else if (b) { x; } " * 400 + "}")
    assert not constraint.accepts_text("if (a) x; else y; else if (b) z;")


def test_lists_may_be_long(constraint):
    assert constraint.accepts_text("Array a = [" + '[1, -2.5, "x"],\n' * 800 + "[]];" + " a.b = 1;" * 800)


@given(seed=st.integers(0, 2**32), length=st.integers(5, 250), eager=st.floats(0, 1))
@settings(max_examples=120, deadline=None)
def test_what_the_grammar_lets_through_parses(constraint, seed, length, eager):
    """Texts drawn sign by sign from what may come, the more apt to close something the longer they are."""
    tokenizer = constraint.tokenizer
    rng = np.random.default_rng(seed)
    signs = {tokenizer.backend.token_to_id(s) for s in ")]}\";'/:0a"}
    openings = {tokenizer.backend.token_to_id(s) for s in "([{!-+=?.,if"}
    scripts, ids = constraint.scripts(1), []
    while len(ids) < 4 * length:
        scripts.fill(0)
        may = np.flatnonzero(np.unpackbits(scripts.bits[0].view(np.uint8), bitorder="little"))
        assert len(may), tokenizer.decode(ids)
        if tokenizer.eos_id in may and len(ids) > length:
            text = tokenizer.decode(ids)
            assert parse(text).ok, (text, [str(d) for d in parse(text).diagnostics])
            break
        liked = [t for t in may if t in (signs if len(ids) > length else openings)]
        ids.append(int(rng.choice(liked if liked and rng.random() < eager else may)))
        if ids[-1] == tokenizer.eos_id:
            ids.pop()
            assert parse(tokenizer.decode(ids)).ok
            break
        assert scripts.take(0, ids[-1:]) == 1


def test_the_grammar_is_made_of_the_parsers_tables():
    text = flexscript_grammar()
    for word in ("if", "await", "default", "goto", "new"):
        assert re.search(rf"NAME: .*[|(/]{word}[|)/]", text)
    assert 'BINARY_0: GAP? "||"' in text
    assert re.search(r'^BINARY_9: GAP\? "%" \| GAP\? "\*" \| GAP\? "/"$', text, re.MULTILINE)
