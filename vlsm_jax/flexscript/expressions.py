"""Expressions: a Pratt parser over the token lists, with a cursor that the statement parser shares."""

from __future__ import annotations

from vlsm_jax.flexscript import syntax
from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.flexscript.lexer import CHARACTER, END, NAME, NUMBER, REGEX, STRING, Tokens, string_value, tokenize

MAX_NESTING = 64
"""How deep parentheses, brackets, blocks and right-associative operators may nest."""

MAX_CHAIN = 256
"""How many operators of one precedence may follow each other in one expression."""

MAX_EXPANSIONS = 1000
"""How many times the names of `#define` lines may be expanded in one script."""

INT_MAX = 2147483647

BINARY = {
    "||": 4, "&&": 5, "|": 6, "^": 7, "&": 8, "==": 9, "!=": 9, "<": 10, ">": 10, "<=": 10, ">=": 10,
    "<<": 11, ">>": 11, "+": 12, "-": 12, "*": 13, "/": 13, "%": 13,
}  # fmt: skip
ASSIGNMENTS = frozenset(("=", "+=", "-=", "*=", "/=", "%="))
_TARGETS = (syntax.Name, syntax.Member, syntax.Index, syntax.Label)
_LOOK_AHEAD = 200
_AFTER_LABEL = frozenset((
    ";", ",", ")", "]", "}", "?", ".", "?.", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "*", "/", "%", "=", "+=",
    "-=", "*=", "/=", END,
))  # fmt: skip
"""What can stand behind `obj.Label?` but not behind the `?` of a conditional."""
_LEAVES = frozenset((NAME, NUMBER, STRING))
_ENDS = frozenset((",", ")", ";", "]"))
_POSTFIX = frozenset(("(", ".", "[", "++", "--", "?.", ".#"))
_PREFIX = frozenset(("-", "+", "!", "~"))
_new = tuple.__new__
"""Makes the nodes that are most frequent, in half of the time that their own constructors take."""

_ASSIGNMENT_POWER = 1
_CONDITIONAL_POWER = 2


class SyntaxFailure(Exception):
    """A place at which no statement can continue; the statement parser turns it into a diagnostic and recovers."""

    def __init__(self, message: str, at: int, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint


class TooDeep(SyntaxFailure):
    """The text is nested so deeply that reading on makes no sense."""


class ExpressionParser:
    """A cursor over tokens and the expression grammar.

    Attributes:
      index: the current token.
      nesting: how deep the cursor stands in nested constructs.
    """

    def __init__(self, source: SourceText, tokens: Tokens):
        self.source = source
        self.kinds = tokens.kinds
        self.texts = tokens.texts
        self.offsets = tokens.offsets
        self.defines = tokens.defines
        self.index = 0
        self.nesting = 0
        self.expansions = [0]

    # --- Cursor -------------------------------------------------------------------------------------------------------

    def expect(self, kind: str, where: str) -> int:
        """Consumes a token of this kind and returns its offset; raises `SyntaxFailure` naming `where` otherwise."""
        index = self.index
        if self.kinds[index] != kind:
            raise self.failure(f"expected {kind!r} {where}")
        self.index = index + 1
        return self.offsets[index]

    def failure(self, expected: str, hint: str = "") -> SyntaxFailure:
        """Returns a failure that says what was expected and what stands there instead."""
        index = self.index
        if self.kinds[index] == END:
            return SyntaxFailure(f"{expected}, but the script ends here", self.offsets[index], hint)
        return SyntaxFailure(f"{expected}, found {self.texts[index]!r}", self.offsets[index], hint)

    def deeper(self) -> None:
        """Enters one nested construct; raises `TooDeep` when there are too many."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            message = f"nested more than {MAX_NESTING} levels deep; the rest is not read"
            raise TooDeep(message, self.offsets[self.index], "split the expression or block")

    # --- Grammar ------------------------------------------------------------------------------------------------------

    def expression(self, power: int = 0) -> syntax.Expression:
        """Parses an expression whose operators bind at least as tightly as `power`."""
        kinds = self.kinds
        index = self.index
        if kinds[index] in _LEAVES and kinds[index + 1] in _ENDS and self.nesting < MAX_NESTING and not self.defines:
            return self._operand()  # most expressions are one token: an argument, an element, a value
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            self.nesting -= 1
            self.deeper()
        left = self._operand()
        chain = 0
        while True:
            index = self.index
            operator = kinds[index]
            binding = BINARY.get(operator)
            if binding is not None:
                if binding <= power:
                    break
                chain += 1
                if chain > MAX_CHAIN:
                    raise self.failure(f"more than {MAX_CHAIN} operators in a row", "split the expression")
                self.index = index + 1
                left = syntax.Binary(operator, left, self.expression(binding), self.offsets[index])
            elif operator in ASSIGNMENTS:
                if power >= _ASSIGNMENT_POWER + 1:
                    break
                if type(left) not in _TARGETS:
                    hint = "write == to compare" if operator == "=" else ""
                    raise SyntaxFailure("the left side cannot be assigned to", self.offsets[index], hint)
                self.index = index + 1
                left = syntax.Assign(operator, left, self.expression(0), self.offsets[index])
            elif operator == "?":
                if power >= _CONDITIONAL_POWER:
                    break
                self.index = index + 1
                yes = self.expression()
                self.expect(":", "in the conditional")
                left = syntax.Conditional(left, yes, self.expression(_CONDITIONAL_POWER - 1), self.offsets[index])
            else:
                break
        self.nesting -= 1
        return left

    def _operand(self) -> syntax.Expression:
        index = self.index
        kind = self.kinds[index]
        at = self.offsets[index]
        self.index = index + 1
        if kind == NAME:
            name = self.texts[index]
            node = self._expand(name, at) if name in self.defines else _new(syntax.Name, (name, at))
        elif kind == NUMBER:
            node = _new(syntax.Number, (number_value(self.texts[index]), at))
        elif kind == STRING:
            node = _new(syntax.String, (string_value(self.texts[index]), at))
            if self.kinds[self.index] == STRING:
                raise self.failure("two strings in a row", "join them with +")
        elif kind == "(":
            node = self.expression()
            self.expect(")", "to close the parenthesis")
        elif kind == "[":
            node = syntax.ArrayLiteral(self.items("]"), at)
        elif kind in _PREFIX:
            self.deeper()
            operand = self._operand()
            self.nesting -= 1
            return _unary(kind, operand, at)
        elif kind in ("++", "--"):
            self.deeper()
            target = self._operand()
            self.nesting -= 1
            return self._increment(target, kind, True, at)
        elif kind == CHARACTER:
            value = string_value(self.texts[index])
            if len(value) != 1:
                hint = "single quotes hold one character; write double quotes for a string"
                raise SyntaxFailure("a character literal holds exactly one character", at, hint)
            node = syntax.Number(ord(value), at)
        elif kind == REGEX:
            pattern, _, flags = self.texts[index][1:].rpartition("/")
            node = syntax.Pattern(pattern, flags, at)
        elif kind == "await":
            self.deeper()
            operand = self._operand()
            self.nesting -= 1
            return syntax.Await(operand, at)
        else:
            self.index = index
            raise self.failure("expected an expression")
        return self._postfix(node) if self.kinds[self.index] in _POSTFIX else node

    def _postfix(self, node: syntax.Expression) -> syntax.Expression:
        kinds = self.kinds
        length = 0
        while True:
            index = self.index
            kind = kinds[index]
            if kind == "." or kind == "?.":
                name_index = index + 1
                if kinds[name_index] == NAME:
                    pass
                elif self.texts[name_index][:1].isalpha():
                    pass  # a keyword is a fine label name behind a dot
                else:
                    self.index = name_index
                    raise self.failure("expected a name after the dot")
                node = _new(syntax.Member, (node, self.texts[name_index], kind == "?.", self.offsets[name_index]))
                self.index = name_index + 1
                if kinds[self.index] == "?" and self._ends_label(name_index):
                    self.index += 1
                    node = syntax.Label(node.base, node.name, True, False, node.at)
            elif kind == ".#":
                name_index = index + 1
                self.index = name_index + 1
                quiet = kinds[self.index] == "?" and self._ends_label(name_index)
                self.index += quiet
                node = syntax.Label(node, self.texts[name_index], quiet, True, self.offsets[name_index])
            elif kind == "(":
                if type(node) not in (syntax.Name, syntax.Member):
                    raise self.failure("only a command or a method can be called")
                self.index = index + 1
                node = _new(syntax.Call, (node, self.items(")"), node.at))
            elif kind == "[":
                self.index = index + 1
                if kinds[self.index] == "]":
                    raise self.failure("expected an index", "an array is declared as int a[] or Array a")
                inner = self.expression()
                self.expect("]", "to close the index")
                node = syntax.Index(node, inner, self.offsets[index])
            elif kind == "++" or kind == "--":
                self.index = index + 1
                return self._increment(node, kind, False, self.offsets[index])
            else:
                return node
            length += 1
            if length > MAX_NESTING:
                raise self.failure(f"more than {MAX_NESTING} accesses in a row", "split the expression")

    def _ends_label(self, name_index: int) -> bool:
        """Whether the `?` behind a name belongs to the name, as in `obj.Label?`, and is no conditional.

        It touches the name, and there is no `:` behind it that would make it a conditional.
        """
        question = name_index + 1
        if self.offsets[question] != self.offsets[name_index] + len(self.texts[name_index]):
            return False
        if self.kinds[question + 1] in _AFTER_LABEL:
            return True
        depth = questions = 0
        for at in range(question + 1, min(len(self.kinds), question + _LOOK_AHEAD)):
            kind = self.kinds[at]
            if kind in ("(", "[", "{"):
                depth += 1
            elif kind in (")", "]", "}"):
                depth -= 1
                if depth < 0:
                    return True
            elif depth == 0:
                if kind == ":" and questions == 0:
                    return False
                questions += (kind == "?") - (kind == ":")
                if kind in (";", ",", END):
                    return True
        return False

    def items(self, closing: str) -> tuple[syntax.Expression, ...]:
        """Parses expressions between commas up to the closing bracket, which it consumes."""
        if self.kinds[self.index] == closing:
            self.index += 1
            return ()
        items = [self.expression()]
        while self.kinds[self.index] == ",":
            self.index += 1
            items.append(self.expression())
        if self.kinds[self.index] != closing:
            raise self.failure(f"expected ',' or {closing!r}")
        self.index += 1
        return tuple(items)

    def _increment(self, target: syntax.Expression, operator: str, prefix: bool, at: int) -> syntax.Expression:
        if type(target) not in _TARGETS:
            raise SyntaxFailure(f"{operator} needs a variable", at)
        return syntax.Increment(target, 1 if operator == "++" else -1, prefix, at)

    def _expand(self, name: str, at: int) -> syntax.Expression:
        """Parses the text behind a `#define` in place of its name."""
        self.expansions[0] += 1
        if self.expansions[0] > MAX_EXPANSIONS:
            raise SyntaxFailure(f"more than {MAX_EXPANSIONS} expansions of #define", at)
        text = self.defines[name]
        inner = SourceText(text)
        tokens = tokenize(inner)
        # A name is not expanded within its own text, so that no definition can run in circles.
        others = {key: value for key, value in self.defines.items() if key != name}
        parser = ExpressionParser(inner, tokens._replace(defines=others))
        parser.nesting = self.nesting + 1
        parser.expansions = self.expansions
        try:
            node = parser.expression()
            if parser.kinds[parser.index] != END or tokens.diagnostics:
                raise parser.failure("expected one expression")
        except SyntaxFailure as failure:
            raise SyntaxFailure(f"#define {name} is not an expression: {failure.message}", at) from None
        return relocate(node, at)


def number_value(text: str) -> int | float:
    """Returns the value of a number token: an int that fits into 32 bits, else a float."""
    if len(text) < 10 and text.isdigit():
        return int(text)
    if text[:2] in ("0x", "0X"):
        value: int | float = int(text, 16) if len(text) <= 18 else float("inf")
    elif text.isdigit() and len(text) <= 10:
        value = int(text)
    else:
        value = float(text)
    return float(value) if isinstance(value, int) and value > INT_MAX else value


def relocate(node: syntax.Expression, at: int) -> syntax.Expression:
    """Returns the tree with every place replaced, for text that was expanded from a `#define`."""

    def moved(value):
        if hasattr(value, "_replace"):
            return relocate(value, at)
        return tuple(map(moved, value)) if isinstance(value, tuple) else value

    fields = {field: moved(getattr(node, field)) for field in node._fields if field != "at"}
    return node._replace(**fields, at=at)


def _unary(operator: str, operand: syntax.Expression, at: int) -> syntax.Expression:
    if type(operand) is syntax.Number and operator in "+-":
        return syntax.Number(-operand.value if operator == "-" else operand.value, at)
    return operand if operator == "+" else syntax.Unary(operator, operand, at)
