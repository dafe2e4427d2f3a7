"""Mutated scripts: whatever the text, there is a verdict and never an exception, and no budget is overrun."""

import pathlib
import random
import re
import time

from vlsm_jax.simulator import Budget, Verdict, build, run

SCRIPTS = pathlib.Path(__file__).parent / "scripts"
LINE = """
Object source = Object.create("Source"); source.name = "In"; source.location = Vec3(0, 0, 0);
source.setProperty("InterArrivalTime", "return exponential(0, 10, getstream(current));");
Array processors = [];
for (int i = 1; i <= 3; i++) {
    Object p = Object.create("Processor");
    p.name = "P" + i;
    p.setProperty("ProcessTime", [i * 2, "s"]);
    processors.push(p);
    processors[i].location.x += 5 * i;
    contextdragconnection(i == 1 ? source : processors[i - 1], p, "A");
}
Object sink = createinstance(library().find("?Sink"), model()); setname(sink, "Out");
contextdragconnection(processors[3], sink, "A");
sink.setProperty("Triggers.OnEntry", "Object item = param(1); item.Seen = time(); print(item.Seen);");
int k = 0; while (k < 5) { k++; if (k % 2 == 0) continue; switch (k) { case 1: k += 1; break; default: k = k; } }
string text = "abc".replace("b", "x").slice(1, 3) + string.fromNum(Math.floor(2.5), 1);
"""
TOKENS = re.compile(r'\w+|"[^"]*"|\s+|[^\w\s]')
_OPERATORS = "{ } ( ) [ ] ; , . = == + ++ -= ? : & && ! ~ /* //"
_WORDS = (
    "0 1 -1 1e308 NULL nullvar i item current c this for while if return break continue Object int string Array Map"
)
_CALLS = 'Vec3 param(1) destroyobject(model()) "" "x" executestring("x"); \\ \0 é'
SPICE = [text for line in (_OPERATORS, _WORDS, _CALLS) for text in line.split(" ")]


def mutated(text: str, rng: random.Random) -> str:
    """Returns the text with a few changes; half of the texts change so gently that most of them still parse."""
    gentle = rng.random() < 0.5
    tokens = TOKENS.findall(text)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        tokens = _gently_mutated(tokens, rng) if gentle else _roughly_mutated(tokens, rng)
        if not tokens:
            return ""
    return "".join(tokens)


def _gently_mutated(tokens: list[str], rng: random.Random) -> list[str]:
    """Takes away, repeats or moves whole lines; puts one word, number or string in the place of another."""
    if rng.random() < 0.4:
        lines = "".join(tokens).split("\n")
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(3):
            case 0:
                del lines[at]
            case 1:
                lines.insert(other, lines[at])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
        return TOKENS.findall("\n".join(lines))
    kinds = [token[0].isdigit() * 2 + token[0].isalpha() + (token[0] == '"') * 3 for token in tokens]
    at = rng.choice([n for n, kind in enumerate(kinds) if kind] or [0])
    alike = [token for token, kind in zip(tokens, kinds, strict=True) if kind == kinds[at]]
    replacement = rng.choice([*alike, "0", "1000000", "-1", "0.5"] if kinds[at] == 2 else alike)
    return [*tokens[:at], replacement, *tokens[at + 1 :]]


def _roughly_mutated(tokens: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(tokens))
    match rng.randrange(6):
        case 0:
            del tokens[at]
        case 1:
            tokens.insert(at, rng.choice(SPICE))
        case 2:
            tokens[at] = rng.choice(SPICE)
        case 3:
            other = rng.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        case 4:
            end = min(len(tokens), at + rng.randrange(1, 30))
            tokens[at:at] = tokens[at:end]
        case 5:
            tokens[at] = tokens[at][: rng.randrange(len(tokens[at]) + 1)]
    return TOKENS.findall("".join(tokens))


def test_mutated_scripts_never_raise_and_stay_within_their_budget():
    seeds = [LINE, (SCRIPTS / "photomask.fsx").read_text(encoding="utf-8")]
    rng = random.Random(20)
    budget = Budget(steps=20_000, nodes=500, events=20_000, wall_seconds=2.0)
    verdicts = set()
    for number in range(400):
        text = mutated(seeds[number % 2], rng)
        began = time.perf_counter()
        report = run(text, until=300.0, budget=budget)
        assert time.perf_counter() - began < 4.0, text
        verdicts.add(report.verdict)
        errors = [d for d in report.diagnostics if d.severity.value == "error"]
        assert bool(errors) == (not report.ok), (report.verdict, text)
        for diagnostic in report.diagnostics:
            assert diagnostic.code != "internal error", text
            assert diagnostic.line <= text.count("\n") + 1 or diagnostic.message.startswith("in ")
    assert {Verdict.OK, Verdict.PARSE_ERROR, Verdict.BUILD_ERROR} <= verdicts


def test_random_bytes_never_raise():
    rng = random.Random(3)
    for _ in range(200):
        text = bytes(rng.randrange(256) for _ in range(rng.randrange(200))).decode("latin-1")
        assert "internal error" not in [d.code for d in build(text).diagnostics]


def test_a_script_of_spice_never_raises():
    rng = random.Random(4)
    for _ in range(300):
        text = " ".join(rng.choice(SPICE) for _ in range(rng.randrange(40)))
        report = run(text, until=10.0, budget=Budget(steps=5000, nodes=100, wall_seconds=1.0))
        assert "internal error" not in [d.code for d in report.diagnostics]
