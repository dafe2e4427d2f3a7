"""Scripts that are almost right: mutations of real ones, splices of two, and random ones made from the vocabulary.

Everything follows from the `random.Random` that is passed, so that a script is found again by its seed.
"""

from __future__ import annotations

import functools
import itertools
import pathlib
import random
import re

import numpy as np

from vlsm_jax.simulator.library import classes, find_class
from vlsm_jax.simulator.names import vocabulary
from vlsm_jax.synth.sampler import sample_factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script

SCRIPTS = pathlib.Path(__file__).parent.parent / "tests" / "simulator" / "scripts"
TOKENS = re.compile(r'\w+|"(?:[^"\\]|\\.)*"|\s+|[^\w\s]', re.DOTALL)
_DECLARED = re.compile(r"\b(?:Object|Array|string|int|double|Map|Table|treenode)\s+(\w+)")
_OPERATORS = "{ } ( ) [ ] ; , . = == + ++ -= ? : & && ! ~ /* //"
_WORDS = (
    "0 1 -1 1e308 NULL nullvar i item current c this for while if return break continue Object int string Array Map"
)
_CALLS = 'Vec3 param(1) destroyobject(model()) "" "x" executestring("x"); \\ \0 é'
NUMBERS = ["0", "1", "0.5", "100", "1000000", "1000000000", "1e308", "2147483647"]
SPICE = [text for line in (_OPERATORS, _WORDS, _CALLS) for text in line.split(" ")]


@functools.cache
def seed_scripts(sampled: int = 12) -> tuple[str, ...]:
    """Returns the scripts to mutate: those of the tests, and sampled factories in every style of writing."""
    scripts = [path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("*.fsx"))]
    for number in range(sampled):
        twin = sample_factory(np.random.default_rng((7, number))).twin
        scripts += [write_script(twin, style, np.random.default_rng(number)) for style in ScriptStyle]
    return tuple(scripts)


def any_script(rng: random.Random) -> str:
    """Returns a script of any of the kinds below."""
    scripts = seed_scripts()
    kind = rng.random()
    if kind < 0.7:
        return mutated(rng.choice(scripts), rng)
    if kind < 0.85:
        return spliced(rng.choice(scripts), rng.choice(scripts), rng)
    return generated(rng)


# --- Mutation ---------------------------------------------------------------------------------------------------------


def mutated(text: str, rng: random.Random) -> str:
    """Returns the text with a few changes; most texts change so gently that they still parse."""
    gentle = rng.random() < 0.7
    tokens = TOKENS.findall(text)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        tokens = _gently_mutated(tokens, rng) if gentle else _roughly_mutated(tokens, rng)
        if not tokens:
            return ""
    return "".join(tokens)


def _gently_mutated(tokens: list[str], rng: random.Random) -> list[str]:
    """Repeats, moves or takes away whole lines; puts one number, string or word in the place of another."""
    if rng.random() < 0.3:
        lines = "".join(tokens).split("\n")
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                del lines[at]
            case 1 | 2:
                lines.insert(other, lines[at])
            case 3:
                lines[at], lines[other] = lines[other], lines[at]
        return TOKENS.findall("\n".join(lines))
    kind = rng.choice((_is_number, _is_number, _is_string, _is_string, _is_word))
    places = [n for n, token in enumerate(tokens) if kind(token)]
    if not places:
        return tokens
    at = rng.choice(places)
    alike = [tokens[n] for n in places]
    if kind is _is_number:
        alike += NUMBERS
    elif kind is _is_string and len(tokens[at]) > 20 and rng.random() < 0.5:
        # Code bodies are strings.
        inside = TOKENS.findall(tokens[at][1:-1].replace('\\"', '"'))
        escaped = "".join(_gently_mutated(inside, rng)).replace('"', '\\"')
        alike = [f'"{escaped}"']
    return [*tokens[:at], rng.choice(alike), *tokens[at + 1 :]]


def _is_number(token: str) -> bool:
    return token[0].isdigit()


def _is_string(token: str) -> bool:
    return token[0] == '"'


def _is_word(token: str) -> bool:
    return token[0].isalpha()


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


def spliced(one: str, other: str, rng: random.Random) -> str:
    """Returns a script with statements of another one between its own, whose variables become those of the first.

    A few are cut anywhere, in the middle of a token even.
    """
    if rng.random() < 0.1:
        return one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other) + 1) :]
    own, foreign = statements(one), statements(other)
    at, start = rng.randrange(len(own) + 1), rng.randrange(len(foreign))
    taken = "".join(foreign[start : start + rng.randrange(1, 8)])
    names = sorted(set(_DECLARED.findall(one))) or ["source"]
    renamed = {
        name: rng.choice(names) for name in sorted(set(_DECLARED.findall(other)) - set(_DECLARED.findall(taken)))
    }
    taken = re.sub(r"\w+", lambda match: renamed.get(match[0], match[0]), taken)
    text = "".join([*own[:at], "{ ", taken, " }\n", *own[at:]])
    return mutated(text, rng) if rng.random() < 0.3 else text


def statements(text: str) -> list[str]:
    """Splits a script behind every semicolon and every block outside of brackets."""
    found, depth, current = [], 0, []
    for token in TOKENS.findall(text):
        current.append(token)
        depth += (token in "([{") - (token in ")]}") if len(token) == 1 else 0
        if depth == 0 and token in (";", "}"):
            found.append("".join(current))
            current = []
    return [*found, "".join(current)]


# --- Generation -------------------------------------------------------------------------------------------------------

_TYPES = ("int", "double", "string", "Object", "treenode", "Variant", "var", "Array", "Map", "Vec3", "Color", "Table")
_LITERALS = (
    "0", "1", "2", "-1", "3.5", "1e308", "100000", "NULL", "nullvar", '""', '"Queue"', '"A"', '"source>variables"',
    "[1, 2, 3]", '["a", [1]]', "current", "any", "model()", "library()", "Vec3(1, 2, 3)", "Color.red",
)  # fmt: skip
_BINARY = ("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "&", "|")


class _Writer:
    """Writes one random script whose grammar is right; whether it makes sense is another matter."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.names = ["source", "queue", "current", "any"]
        self.depth = 0
        self.numbers = itertools.count()

    def program(self) -> str:
        rng = self.rng
        lines = ['Object source = Object.create("Source");', f'Object queue = Object.create("{self.class_name()}");']
        # `any` may hold anything, so that what its members are is known only when the script runs.
        lines += ["Object current = source;", "Variant any = [1, [source]];"]
        # Most statements end with an exception; without any, the code bodies get their turn.
        lines += [self.statement() for _ in range(rng.choice((0, 0, 1, 3, 12)))]
        lines += ['Object sink = Object.create("Sink");', f'Object work = Object.create("{self.class_name()}");']
        lines.append(f'work.setProperty("Triggers.OnEntry", {self.code()});')
        lines.append(f'source.setProperty("SendToPort", {self.code()});' if rng.random() < 0.3 else "")
        wires = [("source", "queue"), ("queue", "work"), ("work", "sink"), ("queue", "sink")]
        lines += [f'contextdragconnection({a}, {b}, "A");' for a, b in wires if rng.random() < 0.85]
        return "\n".join(lines)

    def class_name(self) -> str:
        ordinary = ("Queue", "Processor", "Combiner", "Separator")
        return self.rng.choice(ordinary if self.rng.random() < 0.6 else sorted(classes()))

    def code(self) -> str:
        """A code body that runs during the run, as a string literal."""
        kept, self.names = self.names, ["current", "item", "any"]
        body = "Object current = ownerobject(c); Object item = param(1); Variant any; " + self.statement()
        body += f" return {self.expression()};"
        self.names = kept
        escaped = body.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    def name(self) -> str:
        return self.rng.choice(self.names)

    def statement(self) -> str:
        rng = self.rng
        self.depth += 1
        try:
            kind = rng.randrange(10) if self.depth < 4 else rng.randrange(6)
            match kind:
                case 0 | 1:
                    return self.declaration()
                case 2:
                    return f"{self.place()} {rng.choice(('=', '+=', '-=', '*='))} {self.expression()};"
                case 3:
                    return f"{self.expression()};"
                case 4:
                    return self.property_setting()
                case 5:
                    a, b = self.name(), self.name()
                    return f'contextdragconnection({a}, {b}, "{rng.choice("ASQWDEa")}");'
                case 6:
                    return f"if ({self.expression()}) {self.block()} else {self.block()}"
                case 7:
                    variable = f"i{self.depth}"
                    head = f"for (int {variable} = 0; {variable} < {rng.randrange(6)}; {variable}++)"
                    return f"{head} {self.block(variable)}"
                case 8:
                    return f"while ({self.expression()}) {self.block(end=' break;')}"
                case _:
                    return f"forobjecttreeunder({self.name()}) {self.block('a')}"
        finally:
            self.depth -= 1

    def block(self, *variables: str, end: str = "") -> str:
        """What is declared in a block is known in it alone."""
        kept = [*self.names]
        self.names += variables
        text = f"{{ {self.statement()}{end} }}"
        self.names = kept
        return text

    def declaration(self) -> str:
        kind, name = self.rng.choice(_TYPES), f"v{next(self.numbers)}"
        text = f"{kind} {name}" + (f" = {self.expression()};" if self.rng.random() < 0.8 else ";")
        self.names.append(name)
        return text

    def property_setting(self) -> str:
        info = find_class(self.rng.choice(sorted(classes())))
        properties = sorted(info.properties) if info is not None else []
        key = self.rng.choice([*properties, "Nothing", "Triggers.OnEntry"])
        value = self.rng.choice((self.expression, self.literal, self.code))()
        return f'{self.name()}.setProperty("{key}", {value});'

    def place(self) -> str:
        name = self.name()
        return self.rng.choice((name, f"{name}.Label", f"{name}.location.x", f"{name}[{self.rng.randrange(4)}]"))

    def expression(self) -> str:
        rng = self.rng
        self.depth += 1
        try:
            kind = rng.randrange(9) if self.depth < 6 else 0
            match kind:
                case 0 | 1:
                    return self.literal()
                case 2:
                    return self.place()
                case 3:
                    return f"({self.expression()} {rng.choice(_BINARY)} {self.expression()})"
                case 4:
                    return f"{rng.choice(('-', '!', '~'))}({self.expression()})"
                case 5:
                    return f"({self.expression()} ? {self.expression()} : {self.expression()})"
                case 6:
                    return self.call()
                case 7:
                    target = self.expression() if rng.random() < 0.1 else rng.choice(("any", "any", "any", self.name()))
                    return f"({target}).{self.member()}"
                case _:
                    return "[" + ", ".join(self.expression() for _ in range(rng.randrange(4))) + "]"
        finally:
            self.depth -= 1

    def call(self) -> str:
        rng, words = self.rng, vocabulary()
        if rng.random() < 0.7:
            name = rng.choice(sorted(words.commands))
            command = words.commands[name]
        else:
            space = rng.choice(sorted(words.namespaces))
            methods = words.namespaces[space].methods
            if not methods:
                return self.literal()
            method = rng.choice(sorted(methods))
            name, command = f"{space}.{method}", methods[method]
        count = rng.randint(command.minimum, min(command.maximum, command.minimum + 3))
        return f"{name}({', '.join(self.expression() for _ in range(count))})"

    def member(self) -> str:
        members = self.rng.choice(list(vocabulary().members.values()))
        if members.methods and self.rng.random() < 0.6:
            name = self.rng.choice(sorted(members.methods))
            command = members.methods[name]
            count = self.rng.randint(command.minimum, min(command.maximum, command.minimum + 2))
            return f"{name}({', '.join(self.expression() for _ in range(count))})"
        return self.rng.choice(sorted(members.getters) or ["name"])

    def literal(self) -> str:
        return self.rng.choice(_LITERALS)


def generated(rng: random.Random) -> str:
    """Returns a random script made from every command, member and property that there is."""
    return _Writer(rng).program()
