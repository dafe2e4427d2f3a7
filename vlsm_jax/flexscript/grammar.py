"""The grammar of FlexScript in the form that llguidance reads, made from the parser's own tables.

llguidance's Lark dialect has no look-ahead, and of the terminals that may stand at a place it takes the longest. So
the rules below say in another way what the lexer and the parser do:

- a terminal ends where the next character cannot belong to it; between two terminals stands a `GAP`, which is bounded;
- a sign behind `+` or `-` is set apart by a blank, since the lexer reads `--` as one operator;
- `else` belongs to the nearest `if` (`closed` and `open` statements), as in every language with braces;
- each rule carries how deep it is nested, counted as the parser counts it, and none goes deeper than the parser reads.

What the grammar accepts, the parser reads without a diagnostic, but for two bounds that would cost half of the speed
to count: operators in one expression (`MAX_CHAIN`) and accesses in a row (`MAX_NESTING`). It leaves out what is rare
and not needed: `#define`, definitions of functions, `obj.Label?`, assignment to something in parentheses, accesses of
numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from vlsm_jax.flexscript.expressions import ASSIGNMENTS, BINARY, MAX_NESTING
from vlsm_jax.flexscript.lexer import KEYWORDS
from vlsm_jax.flexscript.parser import LATER_KEYWORDS

MAX_BLANKS = 120
"""How many blanks and ends of lines may follow each other."""

MAX_COMMENT = 240
"""How many characters a comment may have."""

MAX_COMMENTS = 8
"""How many comments may stand between two tokens."""

MAX_DIGITS = 20
"""How many digits a number may have before its point, and how many behind it."""

_RESERVE = 8
"""How many levels below the parser's limit optional nesting ends; what must follow takes fewer."""

_TERMINALS = r"""
NAME: /[A-Za-z_][A-Za-z0-9_]*/ & ~(/%(reserved)s/)
MEMBER: (GAP? "." | GAP? "?.") GAP? NAME
FORCED: GAP? ".#" NAME
SCOPED: GAP? "::" GAP? NAME
DIGITS: /[0-9]{1,%(digits)d}/
NUMBER: /0[xX][0-9a-fA-F]{1,8}/ | (DIGITS ("." DIGITS?)? | "." DIGITS) /[eE][+-]?[0-9]{1,3}/?
STRING: /"([^"\\\n]|\\(?s:.))*"/
CHARACTER: /'([^'\\\n]|\\[ntr\\"'0])'/
ESCAPED: /\\[^\n]/ | "[" /([^\]\\\n]|\\[^\n]){0,100}/ "]"
REGEX: / ?\// (/[^\/\\\n\[*]/ | ESCAPED) (/[^\/\\\n\[]/ | ESCAPED)* /\/[gi]{0,2}/
BLANKS: /[ \t\r\n]{1,%(blanks)d}/
LINE: "//" /[^\n]{0,%(comment)d}/
COMMENT: LINE "\n" | /\/\*([^*]|\*{1,3}[^*\/]){0,%(comment)d}\*{1,4}\//
GAP: BLANKS | BLANKS? (COMMENT BLANKS?){1,%(comments)d}
LAST_GAP: BLANKS? (COMMENT BLANKS?){0,%(comments)d} LINE
QUESTION: GAP? "?"
STEP: "++" | "--"
STEP_BEHIND: GAP? STEP
SPACED_SIGN: GAP /[-+]/
SPACED_STEP: GAP STEP
"""

# GAP stands where a `_` is written. `%%if` is llguidance's: the rule's number is the parser's nesting at its beginning.
_RULES = r"""
start: statements::0 (GAP | LAST_GAP)?

statements::_: statement::_ | statements::_ statement::_
cases::_: case::_ | cases::_ case::_
statement::_: closed::_ | open::_
closed::_: solid::_
  | chain::_ _ "else" solid::incr(_) %(shallow)s
solid::_: simple::_
  | block::_ %(shallow)s
  | loop::incr(_) closed::incr(_) %(shallow)s
  | _ "switch" condition::incr(_) _ "{" _ "}" %(shallow)s
  | _ "switch" condition::incr(_) _ "{" cases::incr(_) _ "}" %(shallow)s
  | _ NAME arguments::incr(_) block::incr(_) %(shallow)s
open::_: loose::_ %(shallow)s
  | branch::incr(_) statement::incr(_) %(shallow)s
  | chain::_ _ "else" branch::incr(_) statement::incr(_) %(shallow)s
  | chain::_ _ "else" loose::incr(_) %(shallow)s
loose::_: loop::incr(_) open::incr(_) %(shallow)s
chain::_: branch::incr(_) closed::incr(_) %(shallow)s
  | chain::_ _ "else" branch::incr(_) closed::incr(_) %(shallow)s
branch::_: _ "if" condition::_
loop::_: _ "while" condition::_
  | _ "for" _ "(" (declaration::_ | expression::_ (_ "," expression::_)*)? _ ";" expression::_? _ ";" items::_? _ ")"
condition::_: _ "(" expression::_ _ ")"
case::_: _ "case" GAP expression::_ _ ":" statements::_?
  | _ "default" _ ":" statements::_?
block::_: _ "{" _ "}" | _ "{" statements::incr(_) _ "}"
simple::_: _ ";"
  | (expression::_ | declaration::_) _ ";"
  | (_ "break" | _ "continue") _ ";"
  | _ "return" expression::_? _ ";"

declaration::_: type declarator::_ (_ "," declarator::_)*
type: _ NAME (MEMBER+ | SCOPED+)?
declarator::_: _ NAME (_ "[" expression::_? _ "]")? (_ "=" (expression::_ | _ "{" items::_? _ "}"))?

items::_: expression::_ (_ "," expression::_)*
arguments::_: _ "(" _ ")"
  | _ "(" argument::_ (_ "," argument::_)* _ ")" %(shallow)s
argument::_: expression::_ | REGEX

expression::_: level_0::incr(_) | choice::incr(_)
choice::_: level_0::_ QUESTION expression::_ _ ":" expression::_ %(shallow)s
  | target::_ ASSIGN expression::_ %(shallow)s
%(levels)s
unary::_: operand::_
  | _ /[!~]/ unary::incr(_) %(shallow)s
  | _ /[-+]/ spaced::incr(_) %(shallow)s
  | _ STEP target::incr(_) %(shallow)s
  | _ "await" unary::incr(_) %(shallow)s
spaced::_: operand::_
  | _ /[!~]/ unary::incr(_) %(shallow)s
  | SPACED_SIGN spaced::incr(_) %(shallow)s
  | SPACED_STEP target::incr(_) %(shallow)s
  | _ "await" unary::incr(_) %(shallow)s
operand::_: _ NUMBER | _ CHARACTER | primary::_ access::_* | target::_ STEP_BEHIND
target::_: _ NAME | primary::_ access::_* place::_
primary::_: _ NAME | _ NAME arguments::_ | _ STRING
  | _ "[" _ "]"
  | _ "[" items::_ _ "]" %(shallow)s
  | _ "(" expression::_ _ ")" %(shallow)s
access::_: MEMBER arguments::_ | place::_
place::_: MEMBER | FORCED
  | _ "[" expression::_ _ "]" %(shallow)s
"""


def _alternatives(operators: Iterable[str]) -> str:
    """Returns the operators as one terminal, the gap before them included.

    Terminals that can stand at one place and begin alike all bring their gaps along, for the lexer never goes back:
    with a blank and a `/` read, it could not tell any more a gap (with a comment) from a gap and a `/`.
    """
    return " | ".join(f'GAP? "{op}"' for op in sorted(operators))


def _levels() -> tuple[str, str]:
    """Returns a rule for each precedence of the binary operators, loosest first, and the operators' terminals."""
    by_binding: dict[int, list[str]] = {}
    for operator, binding in BINARY.items():
        by_binding.setdefault(binding, []).append(operator)
    bindings = sorted(by_binding)
    rules, terminals = [], []
    for depth, binding in enumerate(bindings):
        operators = by_binding[binding]
        terminals.append(f"BINARY_{depth}: {_alternatives(operators)}")
        inner = "unary" if depth == len(bindings) - 1 else f"level_{depth + 1}"
        # What follows a sign must not begin with one, however many levels lie between.
        right = "product_behind_sign" if "+" in operators else inner
        rules.append(f"level_{depth}::_: {inner}::_ more_{depth}::_*")
        rules.append(f"more_{depth}::_: BINARY_{depth} {right}::incr(_) %(shallow)s")
        if "+" in operators:
            if depth + 2 != len(bindings):
                raise AssertionError("the grammar expects that only products bind more tightly than sums")
            rules.append(f"product_behind_sign::_: spaced::_ | spaced::_ more_{depth + 1}::_+")
    return "\n".join(rules), "\n".join(terminals)


@functools.cache
def flexscript_grammar() -> str:
    """Returns the grammar; what it leaves out of the parser's language, and beyond it, the module says."""
    shallow = f"%if lt(_, {MAX_NESTING - _RESERVE})"
    reserved = "|".join(sorted(KEYWORDS | LATER_KEYWORDS))
    terminals = _TERMINALS % {
        "reserved": reserved,
        "digits": MAX_DIGITS,
        "blanks": MAX_BLANKS,
        "comment": MAX_COMMENT,
        "comments": MAX_COMMENTS,
    }
    levels, operators = _levels()
    rules = _RULES % {
        "shallow": shallow,
        "levels": levels % {"shallow": shallow},
    }
    rules = rules.replace(" _ ", " GAP? ").replace("(_ ", "(GAP? ").replace(": _ ", ": GAP? ")
    return f"{rules}{terminals}{operators}\nASSIGN: {_alternatives(ASSIGNMENTS)}\n"
