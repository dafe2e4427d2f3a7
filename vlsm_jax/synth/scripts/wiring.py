"""What a loop over objects does to connect them, where the wires follow from the order of the objects (`patterns`)."""

from __future__ import annotations

from collections.abc import Sequence

from vlsm_jax.synth.scripts.patterns import Lanes, Stages
from vlsm_jax.synth.scripts.pen import Pen

Branch = tuple[str, list[str]]
"""A condition and the statements under it; the condition is "" where it holds for all other objects."""


class Wiring:
    """Writes the statements inside a loop that connect the object at hand to those before it.

    Attributes:
      pen: writes.
      obj: the variable of the object at hand; its number is in `i`.
      connected: how many objects the pattern connects.
      more: whether others come behind these.
    """

    def __init__(self, pen: Pen, obj: str, connected: int, objects: int):
        self.pen = pen
        self.obj = obj
        self.connected = connected
        self.more = objects > connected

    def _connect(self, source: str) -> str:
        return self.pen.connect(source, self.obj)

    def _equals(self, index: int) -> str:
        return self.pen.op("i", "==", str(index))

    # --- Lanes ----------------------------------------------------------------------------------------------------

    def _branches(self, branches: list[Branch], *, is_open: bool = False) -> None:
        """Writes branches and leaves the last one open; `is_open` where one is open already."""
        for condition, lines in branches:
            (self.pen.otherwise if is_open else self.pen.open_if)(condition)
            is_open = True
            for line in lines:
                self.pen.line(line)

    def declare_previous(self, pattern: Lanes) -> str:
        """Declares what remembers the objects before, and returns how its variables begin."""
        pen = self.pen
        word = pen.variables.word("previous")
        if pattern.lanes == 0:
            pen.line(f"Object {word};")
        elif pattern.lanes == 2:
            if pen.habits.grouped:
                pen.line(f"Object {word}1{pen.comma}{word}2;")
            else:
                pen.line(f"Object {word}1;")
                pen.line(f"Object {word}2;")
        else:
            word += "s"
            pen.assign(f"Array {word}", f"Array({pattern.lanes})")
        return word

    def connect_lanes(self, pattern: Lanes, previous: str) -> None:
        """Writes what connects an object of a chain or of lanes; `previous` as `declare_previous` gave it."""
        if pattern.lanes == 0:
            self._connect_chain(pattern, previous)
        elif pattern.lanes == 2:
            self._connect_two(pattern, previous)
        else:
            self._connect_many(pattern, previous)

    def _if_line(self, condition: str, statement: str) -> str:
        gap = "" if self.pen.habits.compact else " "
        return f"if{gap}({condition}) {statement}"

    def _move(self, *variables: str) -> str:
        """Returns the statement that makes the object the previous one."""
        return f"{self.pen.gap}={self.pen.gap}".join((*variables, self.obj)) + ";"

    def _connect_chain(self, pattern: Lanes, previous: str) -> None:
        conditions = [self.pen.op("i", ">", "1"), *self._inside("i", pattern.breaks, self.connected)]
        self.pen.line(self._if_line(self._all_of(conditions), self._connect(previous)))
        self.pen.line(self._move(previous))

    def _inside(self, index: str, breaks: Sequence[int], last: int) -> list[str]:
        """Returns the conditions for what is connected to the one before: up to `last`, without the breaks."""
        conditions = [self.pen.op(index, "!=", str(at)) for at in breaks]
        return [*conditions, *([self.pen.op(index, "<=", str(last))] if self.more else [])]

    def _all_of(self, conditions: Sequence[str]) -> str:
        return f"{self.pen.gap}&&{self.pen.gap}".join(conditions)

    def _after_lanes(self, pattern: Lanes, join: list[str], first: str) -> list[Branch]:
        """Returns the branches of what all lanes flow into, and of the chain behind it."""
        if pattern.after == 0:
            return []
        if pattern.after == 1:
            return [(self._equals(pattern.merge) if self.more else "", join)]
        last = self.pen.op("i", "<=", str(self.connected)) if self.more else ""
        move = self._move(first)
        return [(self._equals(pattern.merge), [*join, move]), (last, [self._connect(first), move])]

    def _connect_two(self, pattern: Lanes, previous: str) -> None:
        """Writes what connects two lanes, with one variable for each, as engineers write it."""
        pen, p = self.pen, pattern.before
        one, two = f"{previous}1", f"{previous}2"
        start = self._move(one, two)
        branches: list[Branch] = []
        if p == 0:
            branches += [(self._equals(1), [self._move(one)]), (self._equals(2), [self._move(two)])]
        elif p == 1:
            branches.append((self._equals(1), [start]))
        else:
            chain = [self._if_line(pen.op("i", ">", "1"), self._connect(one)), start]
            branches.append((pen.op("i", "<=", str(p)), chain))
        self._branches(branches)
        if p or pattern.depth > 1:
            in_lanes = pattern.after or self.more
            pen.otherwise(pen.op("i", "<", str(pattern.merge)) if in_lanes else "")
            pen.open_if(pen.op(pen.op("i", "%", "2"), "==", str((p + 1) % 2)))
            for variable in (one, two):
                pen.line(self._connect(variable))
                pen.line(self._move(variable))
                if variable == one:
                    pen.otherwise()
            pen.close()
        self._branches(self._after_lanes(pattern, [self._connect(one), self._connect(two)], one), is_open=True)
        pen.close()

    def _connect_many(self, pattern: Lanes, previous: str) -> None:
        """Writes what connects three and more lanes, with an array of the last object of each."""
        pen, p, lanes = self.pen, pattern.before, pattern.lanes
        each = pen.count("k", str(lanes)) + " "
        first, here = f"{previous}[1]", f"{previous}[k]"
        branches: list[Branch] = []
        if p == 0:
            branches.append((pen.op("i", "<=", str(lanes)), [self._move(f"{previous}[i]")]))
        else:
            chain = [self._if_line(pen.op("i", ">", "1"), self._connect(first))] if p > 1 else []
            condition = pen.op("i", "<=", str(p)) if p > 1 else self._equals(1)
            branches.append((condition, [*chain, each + self._move(here)]))
        if p or pattern.depth > 1:
            lane = pen.op(pen.op(f"({pen.op('i', '-', str(p + 1))})", "%", str(lanes)), "+", "1")
            body = [f"int k{pen.gap}={pen.gap}{lane};", self._connect(here), self._move(here)]
            in_lanes = pattern.after or self.more
            branches.append((pen.op("i", "<", str(pattern.merge)) if in_lanes else "", body))
        branches += self._after_lanes(pattern, [each + self._connect(here)], first)
        self._branches(branches)
        pen.close()

    # --- Stages ---------------------------------------------------------------------------------------------------

    def connect_stage(self, pattern: Stages, widths: str, before: str) -> None:
        """Writes what connects an object to the stage before: to its own neighbour, or to all of them.

        Args:
          pattern: what is drawn.
          widths: the variable that holds the widths of the stages; the number of the stage is in `s`, the place in `k`.
          before: the variable that holds the stage before.
        """
        pen = self.pen
        conditions = self._inside("s", pattern.breaks, len(pattern.widths))
        if conditions:
            pen.open_if(self._all_of(conditions))
        here = f"{before}.length"
        pen.open_if(pen.op(f"{widths}[s]", "==", here))
        pen.line(self._connect(f"{before}[k]"))
        pen.otherwise()
        pen.line(f"{pen.count('n', here)} {self._connect(f'{before}[n]')}")
        pen.close()
        if conditions:
            pen.close()
