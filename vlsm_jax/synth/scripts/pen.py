"""The pen: lines of FlexScript with the spacing, braces, comments and idioms of one writer."""

from __future__ import annotations

from collections.abc import Iterable

from vlsm_jax.synth.scripts.habits import Comments, Habits, Placing
from vlsm_jax.synth.scripts.literals import Literals, string_literal
from vlsm_jax.synth.scripts.variables import Variables
from vlsm_jax.twin import ParameterValue, Twin, TwinObject

_RULE = "//" + "-" * 46


class Pen:
    """Collects the lines of a script.

    Attributes:
      habits: how it writes.
      variables: hands out names of variables.
      literals: writes values.
      comma: ", " or ",".
      gap: what stands around operators, " " or "".
      lines: what is written.
    """

    def __init__(self, twin: Twin, habits: Habits):
        self.habits = habits
        self.variables = Variables(habits.naming)
        self.literals = Literals(twin, habits, self.variables)
        self.comma = "," if habits.compact else ", "
        self.gap = "" if habits.compact else " "
        self.lines: list[str] = []
        self._indent = ""
        self._space = "" if habits.compact else " "

    def text(self) -> str:
        """Returns the script."""
        return "\n".join(self.lines) + "\n"

    # --- Lines ----------------------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Writes a line at the level of nesting that is open."""
        self.lines.append(self._indent + text)

    def open(self, head: str) -> None:
        """Opens a block: `for (...) {`."""
        if self.habits.brace_below:
            self.line(head)
            self.line("{")
        else:
            self.line(f"{head}{self._space}{{")
        self._indent += self.habits.indent

    def close(self) -> None:
        """Closes the innermost block."""
        self._indent = self._indent[: -len(self.habits.indent)]
        self.line("}")

    def otherwise(self, condition: str = "") -> None:
        """Closes a block and opens the next branch; without a condition the last one."""
        head = f"else if{self._space}({condition})" if condition else "else"
        self._indent = self._indent[: -len(self.habits.indent)]
        if self.habits.brace_below:
            self.line("}")
            self.line(head)
            self.line("{")
        else:
            self.line(f"}}{self._space}{head}{self._space}{{")
        self._indent += self.habits.indent

    def open_if(self, condition: str) -> None:
        """Opens the first branch."""
        self.open(f"if{self._space}({condition})")

    def open_count(self, variable: str, last: str) -> None:
        """Opens a loop from 1 to `last`."""
        self.open(self.count(variable, last))

    def count(self, variable: str, last: str, start: str = "1", step: int = 1) -> str:
        """Returns the head of a loop that counts up to `last`."""
        g = self.gap
        next_one = f"{variable}++" if step == 1 else f"{variable}{g}+={g}{step}"
        return f"for{self._space}(int {variable}{g}={g}{start};{g}{variable}{g}<={g}{last};{g}{next_one})"

    def section(self, title: str) -> None:
        """Writes what separates parts of a script: nothing, a comment or a banner."""
        if self.habits.comments is Comments.NONE:
            return
        self.heading(title)

    def heading(self, title: str) -> None:
        """Writes a heading, whatever the habits on comments are."""
        if self.lines and self.lines[-1]:
            self.lines.append("")
        if self.habits.comments is Comments.BANNER:
            for text in (_RULE, f"// {title}", _RULE):
                self.line(text)
        else:
            self.line(f"// {title}")

    def gap_line(self) -> None:
        """Writes what separates the block of one object from the lines before it: a blank line, where that is a habit.

        None stands at the beginning, and none below a heading.
        """
        if self.habits.blank_lines and self.lines and not self.lines[-1].startswith("//"):
            self.lines.append("")

    # --- Expressions ----------------------------------------------------------------------------------------------

    def call(self, function: str, *arguments: str) -> str:
        """Returns a call."""
        return f"{function}({self.comma.join(arguments)})"

    def array(self, items: Iterable[str]) -> str:
        """Returns an array literal."""
        return f"[{self.comma.join(items)}]"

    def op(self, left: str, operator: str, right: str) -> str:
        """Returns two operands with an operator between."""
        return f"{left}{self.gap}{operator}{self.gap}{right}"

    def among(self, variable: str, values: list[int]) -> str:
        """Returns the condition under which a variable is one of some whole numbers, which are sorted."""
        if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
            return self.op(self.op(variable, ">=", str(values[0])), "&&", self.op(variable, "<=", str(values[-1])))
        return f"{self.gap}||{self.gap}".join(self.op(variable, "==", str(value)) for value in values)

    # --- Statements -----------------------------------------------------------------------------------------------

    def assign(self, target: str, value: str) -> None:
        """Writes an assignment or a declaration with its value."""
        self.line(f"{target}{self.gap}={self.gap}{value};")

    def declare_rows(self, variable: str, rows: Iterable[str]) -> None:
        """Writes an array with one item per line."""
        self.line(f"Array {variable}{self.gap}={self.gap}[")
        *most, last = rows
        self.lines += [f"{self._indent}{self.habits.indent}{row}," for row in most]
        self.line(f"{self.habits.indent}{last}")
        self.line("];")

    def declare_outside(self, variable: str) -> None:
        """Declares the object of a loop before it, where that is a habit."""
        if self.habits.declare_first:
            self.line(f"Object {variable};")

    def create_inside(self, variable: str, expression: str) -> None:
        """Creates the object of a loop inside it, and declares it there where it is not before."""
        self.assign(variable if self.habits.declare_first else f"Object {variable}", expression)

    def place(self, variable: str, *coordinates: str) -> None:
        """Puts an object in its place."""
        placing = self.habits.placing
        if placing is Placing.METHOD:
            self.line(f"{variable}.setLocation({self.comma.join(coordinates)});")
        elif placing is Placing.VECTOR:
            self.assign(f"{variable}.location", self.call("Vec3", *coordinates))
        else:
            self.line(f"setloc({self.comma.join((variable, *coordinates))});")

    def coordinates(self, obj: TwinObject) -> tuple[str, ...]:
        """Returns x, y and z of an object as literals."""
        return tuple(map(self.literals.measure, obj.location))

    def set(self, variable: str, key: str, value: str) -> None:
        """Sets a property; key and value are expressions."""
        self.line(f"{variable}.setProperty({key}{self.comma}{value});")

    def set_parameter(self, variable: str, cls: str, key: str, value: ParameterValue) -> None:
        """Sets a property to a value of the Twin."""
        self.set(variable, string_literal(key), self.literals.value(cls, key, value))

    def connect(self, source: str, target: str, port: str = '"A"') -> str:
        """Returns the statement that connects two objects; all three are expressions."""
        return f"contextdragconnection({source}{self.comma}{target}{self.comma}{port});"
