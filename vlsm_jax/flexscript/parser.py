"""Statements: recursive descent that recovers at statement boundaries and so reports several errors in one pass."""

from __future__ import annotations

from vlsm_jax.flexscript import syntax
from vlsm_jax.flexscript.diagnostics import Diagnostic, SourceText, did_you_mean
from vlsm_jax.flexscript.expressions import ExpressionParser, SyntaxFailure, TooDeep
from vlsm_jax.flexscript.lexer import END, KEYWORDS, NAME, Tokens, tokenize
from vlsm_jax.flexscript.misnomers import KEYWORDS as KEYWORDS_ELSEWHERE

MAX_DIAGNOSTICS = 50
"""After this many syntax errors the rest of the text is not read."""

_STATEMENT_STARTS = frozenset(("if", "for", "while", "do", "switch", "break", "continue", "return", "case", "default"))
_new = tuple.__new__
LATER_KEYWORDS = frozenset(("goto", "static", "const", "class", "struct", "try", "catch", "new", "function"))


class Parser(ExpressionParser):
    """The statement grammar over an `ExpressionParser`."""

    def __init__(self, source: SourceText, tokens: Tokens):
        super().__init__(source, tokens)
        self.diagnostics: list[Diagnostic] = list(tokens.diagnostics)

    def program(self) -> syntax.Program:
        """Parses the whole text; never raises."""
        statements: list[syntax.Statement] = []
        kinds = self.kinds
        try:
            while kinds[self.index] != END and len(self.diagnostics) < MAX_DIAGNOSTICS:
                if kinds[self.index] == "}":
                    self.report(SyntaxFailure("'}' without a matching '{'", self.offsets[self.index], "remove it"))
                    self.index += 1
                else:
                    self.statement_into(statements)
        except TooDeep as failure:
            self.report(failure)
        diagnostics = tuple(sorted(self.diagnostics, key=lambda d: (d.line, d.column)))
        return syntax.Program(tuple(statements), diagnostics, self.source)

    def report(self, failure: SyntaxFailure) -> None:
        """Notes a failure as a diagnostic."""
        self.diagnostics.append(self.source.diagnostic("syntax", failure.message, failure.at, hint=failure.hint))

    def statement_into(self, statements: list[syntax.Statement]) -> None:
        """Parses one statement onto the list; on a failure, reports it and moves on to the next boundary."""
        start = self.index
        nesting = self.nesting
        try:
            statement = self.statement()
            if statement is not None:
                statements.append(statement)
        except TooDeep:
            raise
        except SyntaxFailure as failure:
            self.nesting = nesting
            self.report(failure)
            self._recover(start)

    def _recover(self, start: int) -> None:
        """Skips to behind the next `;`, or to a brace or a keyword that begins a statement."""
        kinds = self.kinds
        if self.index == start:
            if kinds[start] == "{":
                return
            self.index += 1
        depth = 0
        while True:
            kind = kinds[self.index]
            if kind == END:
                return
            if depth == 0:
                if kind == ";":
                    self.index += 1
                    return
                if kind == "{" or kind == "}" or kind in _STATEMENT_STARTS:
                    return
            if kind == "(":
                # Skip a parenthesis as a whole only when it is closed before the line's statement ends.
                depth += 1
            elif kind == ")" and depth:
                depth -= 1
            elif kind in (";", "{", "}"):
                depth = 0
                continue
            self.index += 1

    # --- Statements ---------------------------------------------------------------------------------------------------

    def statement(self) -> syntax.Statement | None:
        """Parses one statement; None for an empty one."""
        index = self.index
        kind = self.kinds[index]
        if kind == NAME:
            if self.kinds[index + 1] == NAME or self.kinds[index + 1] in ("::", "."):
                declaration = self._declaration_type()
                if declaration:
                    if self.kinds[self.index + 1] == "(":
                        self.index += 1
                        return self._function(declaration, self.texts[self.index - 1], self.offsets[index])
                    return self._declare(declaration, self.offsets[index], ends=True)
            return self._evaluate()
        if kind == "{":
            return self._block()
        if kind == ";":
            self.index = index + 1
            return None
        handler = _HANDLERS.get(kind)
        if handler is not None:
            self.deeper()
            self.index = index + 1
            statement = handler(self, self.offsets[index])
            self.nesting -= 1
            return statement
        if kind in KEYWORDS and kind != "await":
            raise SyntaxFailure(f"{kind!r} does not belong here", self.offsets[index])
        return self._evaluate()

    def end_of_statement(self) -> None:
        """Consumes `;`. When only the `;` is missing at the end of a line, reports that and goes on."""
        index = self.index
        if self.kinds[index] == ";":
            self.index = index + 1
            return
        previous_end = self.offsets[index - 1] + len(self.texts[index - 1])
        if self.texts[index - 1] == "new" and self.kinds[index] == NAME:
            hint = f'write {self.texts[index]}.create("Processor"), or {self.texts[index]}(...) for a value'
            raise SyntaxFailure("'new' is not part of FlexScript", self.offsets[index - 1], hint)
        found = "the end of the script" if self.kinds[index] == END else repr(self.texts[index])
        failure = SyntaxFailure(f"expected ';' before {found}", previous_end, "add ';'")
        between = self.source.text[previous_end : self.offsets[index]]
        if self.kinds[index] in (END, "}") or "\n" in between:
            self.report(failure)
            return
        raise failure

    def _evaluate(self) -> syntax.Statement:
        index = self.index
        at = self.offsets[index]
        if self.texts[index] in LATER_KEYWORDS and self.kinds[index + 1] != "(":
            word = self.texts[index]
            raise SyntaxFailure(f"{word!r} is not part of FlexScript", at, KEYWORDS_ELSEWHERE.get(word, ""))
        expression = self.expression()
        if self.kinds[self.index] == "{" and type(expression) is syntax.Call:
            if type(expression.function) is not syntax.Name:
                raise self.failure("expected ';'")
            self.deeper()
            body = self._block()
            self.nesting -= 1
            return syntax.LoopMacro(expression.function.name, expression.arguments, body, at)
        self.end_of_statement()
        return _new(syntax.Evaluate, (expression, at))

    def _block(self) -> syntax.Block:
        index = self.index
        at = self.offsets[index]
        self.deeper()
        self.index = index + 1
        statements: list[syntax.Statement] = []
        kinds = self.kinds
        while kinds[self.index] != "}":
            if kinds[self.index] == END or len(self.diagnostics) >= MAX_DIAGNOSTICS:
                line = self.source.place(at)[0]
                self.report(SyntaxFailure(f"'{{' of line {line} is never closed", self.offsets[self.index], "add '}'"))
                self.nesting -= 1
                return syntax.Block(tuple(statements), at)
            self.statement_into(statements)
        self.index += 1
        self.nesting -= 1
        return syntax.Block(tuple(statements), at)

    def _body(self) -> syntax.Statement:
        at = self.offsets[self.index]
        if self.kinds[self.index] == END:
            raise self.failure("expected a statement")
        return self.statement() or syntax.Block((), at)

    # --- Declarations -------------------------------------------------------------------------------------------------

    def _declaration_type(self) -> str | None:
        """Consumes a type name when a declaration begins here, such as `int` or `Conveyor.Item`; else returns None."""
        kinds, texts, index = self.kinds, self.texts, self.index
        name = texts[index]
        end = index + 1
        while kinds[end] in (".", "::") and kinds[end + 1] == NAME:
            name = f"{name}.{texts[end + 1]}"
            end += 2
        if kinds[end] != NAME or name in LATER_KEYWORDS:
            return None
        self.index = end
        return name

    def _declare(self, type_name: str, at: int, *, ends: bool) -> syntax.Declare:
        declarators = [self._declarator(type_name)]
        while self.kinds[self.index] == ",":
            self.index += 1
            if self.kinds[self.index] != NAME:
                raise self.failure("expected a variable name")
            declarators.append(self._declarator(type_name))
        if ends:
            self.end_of_statement()
        return _new(syntax.Declare, (type_name, tuple(declarators), at))

    def _declarator(self, type_name: str) -> syntax.Declarator:
        kinds = self.kinds
        index = self.index
        name, at = self.texts[index], self.offsets[index]
        self.index = index + 1
        kind = kinds[self.index]
        if kind == ";" or kind == ",":
            return syntax.Declarator(name, False, None, at)
        is_array = False
        length: syntax.Expression | None = None
        if kind == "[":
            self.index += 1
            if kinds[self.index] != "]":
                length = self.expression()
            self.expect("]", "in the declaration of an array")
            is_array = True
            kind = kinds[self.index]
        value: syntax.Expression | None = None
        if kind == "=":
            self.index += 1
            brace = self.offsets[self.index]
            if kinds[self.index] == "{":
                self.index += 1
                value = syntax.ArrayLiteral(self.items("}"), brace)
            else:
                value = self.expression()
        return _new(syntax.Declarator, (name, is_array, value, at, length))

    def _function(self, type_name: str, name: str, at: int) -> syntax.Function:
        """Parses the parameters and the body of a function; raises where neither follows the `(`."""
        kinds = self.kinds
        opening = self.index
        end = opening
        while kinds[end] not in (")", ";", "{", "}", END):
            end += 1
        if kinds[end] != ")" or kinds[end + 1] != "{":
            hint = KEYWORDS_ELSEWHERE.get(type_name) or did_you_mean(type_name, _STATEMENT_STARTS)
            hint = hint or f"remove {type_name}, or write {type_name} {name} = ...;"
            raise SyntaxFailure(f"unexpected '(' behind the declared name {name}", self.offsets[opening], hint)
        self.index = opening + 1
        parameters: list[syntax.Parameter] = []
        while kinds[self.index] != ")":
            if parameters:
                self.expect(",", "between parameters")
            place = self.offsets[self.index]
            parameter = self._declaration_type() if kinds[self.index] == NAME else None
            if parameter is None:
                raise self.failure("expected a parameter such as int n")
            parameters.append(syntax.Parameter(parameter, self.texts[self.index], place))
            self.index += 1
        self.index += 1
        return syntax.Function(type_name, name, tuple(parameters), self._block(), at)

    # --- Control flow -------------------------------------------------------------------------------------------------

    def _condition(self, keyword: str) -> syntax.Expression:
        self.expect("(", f"behind {keyword}")
        test = self.expression()
        self.expect(")", f"to close the condition of {keyword}")
        return test

    def _if(self, at: int) -> syntax.If:
        branches = [(self._condition("if"), self._body())]
        otherwise = None
        while self.kinds[self.index] == "else":
            self.index += 1
            if self.kinds[self.index] == "if":
                self.index += 1
                branches.append((self._condition("if"), self._body()))
            else:
                otherwise = self._body()
                break
        return syntax.If(tuple(branches), otherwise, at)

    def _while(self, at: int) -> syntax.While:
        return syntax.While(self._condition("while"), self._body(), at)

    def _do(self, at: int) -> syntax.Statement:
        self.report(SyntaxFailure("do ... while is not part of FlexScript", at, "use while (condition) { ... }"))
        body = self._body()
        if self.kinds[self.index] == "while":
            self.index += 1
            test = self._condition("while")
            self.end_of_statement()
            return syntax.While(test, body, at)
        return body

    def _for(self, at: int) -> syntax.For:
        self.expect("(", "behind for")
        start: syntax.Statement | None = None
        index = self.index
        if self.kinds[index] != ";":
            type_name = self._declaration_type() if self.kinds[index] == NAME else None
            if type_name:
                start = self._declare(type_name, self.offsets[index], ends=False)
                if self.kinds[self.index] == ":":
                    hint = "count with an index: for (int i = 1; i <= x.length; i++)"
                    raise SyntaxFailure("for over the elements is not part of FlexScript", self.offsets[index], hint)
            else:
                parts = [syntax.Evaluate(self.expression(), self.offsets[index])]
                while self.kinds[self.index] == ",":
                    self.index += 1
                    parts.append(syntax.Evaluate(self.expression(), self.offsets[index]))
                start = parts[0] if len(parts) == 1 else syntax.Block(tuple(parts), at)
        self.expect(";", "in the for loop")
        test = None if self.kinds[self.index] == ";" else self.expression()
        self.expect(";", "in the for loop")
        step = self.items(")")
        return syntax.For(start, test, step, self._body(), at)

    def _switch(self, at: int) -> syntax.Switch:
        subject = self._condition("switch")
        self.expect("{", "behind switch")
        cases: list[syntax.Case] = []
        while self.kinds[self.index] != "}":
            case_at = self.offsets[self.index]
            value: syntax.Expression | None = None
            if self.kinds[self.index] == "case":
                self.index += 1
                value = self.expression()
            elif self.kinds[self.index] == "default":
                self.index += 1
            else:
                raise self.failure("expected 'case' or 'default'")
            self.expect(":", "behind the case")
            statements: list[syntax.Statement] = []
            while self.kinds[self.index] not in ("case", "default", "}", END):
                self.statement_into(statements)
                if len(self.diagnostics) >= MAX_DIAGNOSTICS:
                    raise self.failure("expected 'case', 'default' or '}'")
            cases.append(syntax.Case(value, tuple(statements), case_at))
        self.index += 1
        return syntax.Switch(subject, tuple(cases), at)

    def _break(self, at: int) -> syntax.Break:
        self.end_of_statement()
        return syntax.Break(at)

    def _continue(self, at: int) -> syntax.Continue:
        self.end_of_statement()
        return syntax.Continue(at)

    def _return(self, at: int) -> syntax.Return:
        value = None if self.kinds[self.index] in (";", "}", END) else self.expression()
        self.end_of_statement()
        return syntax.Return(value, at)


_HANDLERS = {
    "if": Parser._if,
    "while": Parser._while,
    "do": Parser._do,
    "for": Parser._for,
    "switch": Parser._switch,
    "break": Parser._break,
    "continue": Parser._continue,
    "return": Parser._return,
}


def parse(text: str, label: str = "") -> syntax.Program:
    """Parses a script into a `Program`; never raises, findings are in its `diagnostics`.

    Args:
      text: FlexScript.
      label: names the origin in messages when the text is not a script of its own.
    """
    source = SourceText(text, label)
    return Parser(source, tokenize(source)).program()


def parse_expression(text: str, label: str = "") -> syntax.Expression | None:
    """Parses a text that is exactly one expression, without `;`; returns None when it is anything else."""
    source = SourceText(text, label)
    tokens = tokenize(source)
    parser = ExpressionParser(source, tokens)
    try:
        expression = parser.expression()
    except SyntaxFailure:
        return None
    return expression if parser.kinds[parser.index] == END and not tokens.diagnostics else None
