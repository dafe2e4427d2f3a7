"""Syntax tree to Python closures: expressions that write, to a variable, a member or an element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript import host, operators, syntax, values
from vlsm_jax.flexscript.calls import CallCompiler
from vlsm_jax.flexscript.compiler import no_property, read_property
from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.operators import VARIES, Operand, Run
from vlsm_jax.flexscript.vocabulary import (
    ARRAY,
    COLOR,
    INT,
    NODES,
    NUMERIC,
    STRING,
    TABLE,
    VARIANT,
    VEC2,
    VEC3,
    VEC4,
    Members,
    TypeSpec,
)

_NO_MEMBERS = Members()
_COERCED = frozenset((INT, ARRAY, VEC2, VEC3, VEC4, COLOR))
"""Kinds whose values are converted although they are of the kind already: to copy a vector, to fill an intarray."""


class AssignmentCompiler(CallCompiler):
    """Compiles assignments, increments, and the conversions that declared types ask for."""

    def coercion(self, spec: TypeSpec | None, operand: Operand) -> Callable[[Any], Any] | None:
        """Returns the function that turns the operand's values into those of a declared type, None if it needs none."""
        if spec is None or spec.kind == VARIANT:
            return None if operand.kind in NUMERIC or operand.kind in NODES or operand.kind == STRING else values.copied
        if spec.kind == TABLE:
            return None if operand.kind == TABLE else self.type_coercion(spec)
        if spec.kind == operand.kind and spec.kind not in _COERCED:
            # A declared class such as Dispatcher shares the kind of Object, and its coercion does nothing more.
            return None
        known = operand.exact or operand.slot >= 0 or operand.constant is not VARIES
        if spec.kind == INT and operand.kind == INT and known:
            return None
        return spec.coerce

    def type_coercion(self, spec: TypeSpec) -> Callable[[Any], Any] | None:
        """Returns the function that turns any value into one of a type, None where any value will do."""
        if spec.kind == TABLE:
            world, to_table = self.machine.world, host.to_table
            return lambda value: to_table(world, value)
        return spec.coerce

    def converted(self, spec: TypeSpec | None, operand: Operand, at: int) -> Run:
        """Returns the operand's closure with the conversion to a declared type applied."""
        coerce = self.coercion(spec, operand)
        run = operand.run
        if coerce is None:
            return run
        if operand.constant is not VARIES and isinstance(operand.constant, (int, float)):
            try:
                value = coerce(operand.constant)
            except Fault as fault:
                self.error(fault.code, fault.message, at, fault.hint)
                return run
            return lambda frame: value
        return lambda frame: coerce(run(frame))

    def _assign(self, node: syntax.Assign) -> Operand:
        target = node.target
        if type(target) is syntax.Name:
            return self._assign_local(node, target)
        value = self.expression(node.value)
        combine = _COMBINATIONS.get(node.operator)
        store = self._store(target)
        run, copied = value.run, values.copied
        at = node.at
        if combine is None:

            def assign(frame: list) -> Any:
                try:
                    return store(frame, None, copied(run(frame)))
                except Fault as fault:
                    fault.place(at)
                    raise

            return Operand(assign, value.kind)
        return Operand(lambda frame: store(frame, combine, run(frame)), VARIANT)

    def _assign_local(self, node: syntax.Assign, target: syntax.Name) -> Operand:
        local = self.scopes.find(target.name)
        value = self.expression(node.value)
        if local is None:
            return self._unassignable(target)
        slot = local.slot
        operand = value
        if node.operator != "=":
            here = operators.local(slot, local.kind)
            operator = node.operator[0]
            if operator == "+" and not (local.kind in NUMERIC and value.kind in NUMERIC):
                if local.kind == STRING:
                    operand = operators.binary("+", here, value, self.machine.text)
                else:
                    right, add = value.run, values.add_in_place
                    operand = Operand(lambda frame: add(frame[slot], right(frame)), VARIANT)
            elif (local.kind in NUMERIC and value.kind in NUMERIC) or operator == "%":
                operand = operators.binary(operator, here, value, self.machine.text, self.dialect.wrap_ints)
            else:
                right, combine = value.run, _COMBINATIONS[node.operator]
                operand = Operand(lambda frame: combine(frame[slot], right(frame)), VARIANT)
        run = self.converted(self.vocabulary.types.get(local.type), operand, node.at)

        def assign(frame: list) -> Any:
            frame[slot] = value = run(frame)
            return value

        return Operand(assign, local.kind)

    def _unassignable(self, target: syntax.Name) -> Operand:
        if target.name in self.vocabulary.constants:
            return self.error("unknown name", f"{target.name} cannot be assigned to", target.at)
        hint = self.suggest(target.name, self.scopes.names()) or f"declare it first, as in: var {target.name} = ...;"
        return self.error("unknown name", f"{target.name} is not declared", target.at, hint)

    def _increment(self, node: syntax.Increment) -> Operand:
        amount, prefix = node.step, node.prefix
        target = node.target
        if type(target) is syntax.Name:
            local = self.scopes.find(target.name)
            if local is None:
                return self._unassignable(target)
            slot = local.slot
            is_int = local.kind == INT
            least, most = (-values.INT_MAX, values.INT_MAX) if is_int else (-math.inf, math.inf)
            wrapped = values.to_int if is_int else float
            if local.kind in NUMERIC and prefix:

                def step_before(frame: list) -> Any:
                    value = frame[slot] + amount
                    if not least <= value <= most:
                        value = wrapped(value)
                    frame[slot] = value
                    return value

                return Operand(step_before, local.kind)
            if local.kind in NUMERIC:

                def step_after(frame: list) -> Any:
                    value = frame[slot]
                    after = value + amount
                    frame[slot] = after if least <= after <= most else wrapped(after)
                    return value

                return Operand(step_after, local.kind)
            step = values.step

            def step_variant(frame: list) -> Any:
                old = frame[slot]
                frame[slot] = new = step(old, amount)
                return new if prefix else old

            return Operand(step_variant, VARIANT)
        store = self._store(target)
        step = values.step

        def step_element(frame: list) -> Any:
            before: list[Any] = []

            def combine(old: Any, by: int) -> Any:
                before.append(old)
                return step(old, by)

            new = store(frame, combine, amount)
            return new if prefix else before[0]

        return Operand(step_element, VARIANT)

    def _store(self, target: syntax.Expression) -> Callable[[list, Callable | None, Any], Any]:
        """Compiles a member or an element as a target: `store(frame, combine, value)` returns what it stored.

        With `combine`, the stored value is `combine(old, value)`; the base is evaluated once.
        """
        if type(target) is syntax.Member or type(target) is syntax.Label:
            return self._store_member(target)
        base, index = self.expression(target.base).run, self.expression(target.index).run
        members, at = self.vocabulary.members, target.at

        def store(frame: list, combine: Callable | None, value: Any) -> Any:
            holder, key = base(frame), index(frame)
            try:
                special = members.get(type(holder), _NO_MEMBERS)
                if combine is not None:
                    old = values.element(holder, key) if special.index is None else special.index(holder, key)
                    value = combine(old, value)
                if special.set_index is None:
                    values.set_element(holder, key, value)
                else:
                    special.set_index(holder, key, value)
            except Fault as fault:
                fault.place(at)
                raise
            return value

        return store

    def _store_member(self, target: syntax.Member | syntax.Label) -> Callable[[list, Callable | None, Any], Any]:
        forced = type(target) is syntax.Label and target.forced
        if type(target) is syntax.Member:
            self._static_member(target)
        base, name, at = self.expression(target.base).run, target.name, target.at
        members = self.vocabulary.members

        def store(frame: list, combine: Callable | None, value: Any) -> Any:
            holder = base(frame)
            try:
                table = members.get(type(holder))
                if table is None:
                    raise no_property(holder, name)
                if combine is not None:
                    read = table.missing if forced and table.missing is not None else None
                    old = read(holder, name) if read else read_property(table, holder, name)
                    value = combine(old, value)
                setter = None if forced else table.setters.get(name)
                if setter is not None:
                    setter(holder, value)
                elif table.assign_missing is not None and (forced or name not in table.getters):
                    table.assign_missing(holder, name, value)
                else:
                    raise no_property(holder, name)
            except Fault as fault:
                fault.place(at)
                raise
            return value

        return store


_COMBINATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+=": values.add_in_place, "-=": values.subtract_in_place, "*=": values.multiply_in_place,
    "/=": values.divide_in_place, "%=": values.remainder,
}  # fmt: skip


AssignmentCompiler.handlers = {
    **CallCompiler.handlers,
    syntax.Assign: AssignmentCompiler._assign,
    syntax.Increment: AssignmentCompiler._increment,
}
