"""What a compiled step says of itself: how often each instruction runs, its collectives, its largest arrays.

A compiler's own cost analysis counts the body of a loop once. Here an instruction in a loop counts as often as the loop
runs: what XLA writes down beside a loop, or else what the loop's condition compares its counter with.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vlsm_jax.training.planning.groups import across_slices, exchange

_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<rest>.*)$")
_ARRAY = re.compile(r"(?P<dtype>pred|[a-z]+\d+\w*)\[(?P<shape>[\d,]*)\]")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|branch_computations|called_computations|true_computation|false_computation)="
    r"(\{[^}]*\}|%?[\w.\-]+)"
)
_TRIPS = re.compile(r'known_trip_count"?:\s*\{"?n"?:\s*"?(\d+)')
_CHANNEL = re.compile(r"channel_id=(\d+)")
_LIMIT = re.compile(r"compare\(.*direction=L[TE]")
_OPERANDS = re.compile(r"%[\w.\-]+")
_CONSTANT = re.compile(r"constant\((-?\d+)\)")
_OP_NAME = re.compile(r'op_name="([^"]*)"')

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")

# Opcodes whose result is no new array: names for what is there, or the whole state of a loop.
_NO_ARRAY = {"parameter", "get-tuple-element", "tuple", "bitcast", "while", "conditional", "call", "constant"}


class Array(NamedTuple):
    """One array of an instruction's result."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes, without the padding of tiles."""
        return -(-self.size * _bits(self.dtype) // 8)


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    text: str

    @property
    def source(self) -> str:
        """Where in the program it comes from, as jax names it."""
        found = _OP_NAME.search(self.text)
        return found[1] if found else ""


@dataclasses.dataclass(frozen=True)
class Module:
    """An optimised HLO module.

    Attributes:
      computations: name to instructions.
      runs: name to how often one step runs the computation; 0 for those that are part of a fusion or a reduction.
    """

    computations: dict[str, tuple[Instruction, ...]]
    runs: dict[str, int]

    @classmethod
    def parse(cls, text: str) -> Module:
        """Reads what `compiled.as_text()` gives."""
        computations: dict[str, list[Instruction]] = {}
        entry, current = "", []
        for line in text.splitlines():
            header = _COMPUTATION.match(line)
            if header is not None:
                current = computations.setdefault(header["name"], [])
                entry = header["name"] if header["entry"] else entry
                continue
            match = _INSTRUCTION.match(line)
            if match is not None:
                current.append(_instruction(match["name"], match["rest"]))
        return cls({name: tuple(found) for name, found in computations.items()}, _runs(computations, entry))

    def running(self) -> Iterator[tuple[Instruction, int]]:
        """Yields every instruction that a step runs by itself, and how often."""
        for name, instructions in self.computations.items():
            if self.runs.get(name):
                yield from ((instruction, self.runs[name]) for instruction in instructions)

    def collectives(self) -> Iterator[tuple[Instruction, int]]:
        """Yields every collective and how often it runs.

        One that is fused with the arithmetic that hides it is in pieces, each named like the whole and some of them in
        loops within: it comes once, and as often as the piece that runs least.
        """
        pieces: dict[str, tuple[Instruction, int]] = {}
        for instruction, runs in self.running():
            if _collective_kind(instruction) is not None:
                yield instruction, runs
            for piece in self._fused(instruction):
                channel = _CHANNEL.search(piece.text)
                key = channel[1] if channel else piece.name
                if key not in pieces or runs < pieces[key][1]:
                    pieces[key] = (piece, runs)
        yield from pieces.values()

    def _fused(self, instruction: Instruction) -> Iterator[Instruction]:
        if instruction.opcode not in ("fusion", "async-start"):
            return
        for called in _CALLED.findall(instruction.text):
            # As XLA writes a reduce-scatter for TPU: an all-reduce, of which each device cuts out its part.
            scatters = called.lstrip("%").startswith("all-reduce-scatter")
            for inner in self.computations.get(called.lstrip("%"), ()):
                if scatters and inner.opcode == "all-reduce":
                    yield inner._replace(opcode="reduce-scatter", arrays=instruction.arrays)
                elif _collective_kind(inner) is not None:
                    yield inner
                yield from self._fused(inner)


class Collective(NamedTuple):
    """Collectives of one kind, over the same mesh axes, of arrays of the same size.

    Attributes:
      kind: a name in `KINDS`.
      axes: mesh axes over which data goes, such as ("fsdp",); ("?",) where groups follow none.
      group: devices that take part in one of them.
      bytes: of the whole array on one device: gathered, reduced, or before it is scattered.
      count: per step.
      dtype: of the array.
      source: where the first of them comes from.
      slices: in how many slices or nodes the devices of a group are.
    """

    kind: str
    axes: tuple[str, ...]
    group: int
    bytes: int
    count: int
    dtype: str
    source: str
    slices: int = 1


def collectives(module: Module, mesh_shape: dict[str, int], slices: int = 1) -> list[Collective]:
    """Returns what goes between devices in one step, the most bytes first.

    Args:
      module: the step.
      mesh_shape: axes of the mesh, in order, and devices along each.
      slices: slices or nodes that the devices are in, one after another.
    """
    found: dict[tuple, Collective] = {}
    for instruction, runs in module.collectives():
        kind = _collective_kind(instruction)
        group, axes, crossed = exchange(instruction.text, mesh_shape, slices)
        if group <= 1:
            continue
        arrays = _payload(instruction, kind, group)
        size, dtype = sum(a.bytes for a in arrays), arrays[0].dtype
        if kind == "reduce-scatter" or (kind == "all-gather" and instruction.opcode == "send"):
            size *= group
        key = (kind, axes, size, dtype)
        before = found.get(key)
        count = runs + (before.count if before else 0)
        source = before.source if before else instruction.source
        found[key] = Collective(kind, axes, group, size, count, dtype, source, crossed)
    return sorted(found.values(), key=lambda c: -c.bytes * c.count)


def _collective_kind(instruction: Instruction) -> str | None:
    if instruction.opcode == "send":
        return across_slices(instruction.text)
    return next((kind for kind in KINDS if instruction.opcode in (kind, f"{kind}-start")), None)


class Temporary(NamedTuple):
    """A large array that a step makes."""

    bytes: int
    dtype: str
    shape: tuple[int, ...]
    opcode: str
    source: str


def temporaries(module: Module, least: int) -> list[Temporary]:
    """Returns every array of at least `least` bytes that a step makes, largest first, equal ones once.

    An array in this list is not in memory for the whole of the step: which are at the same time, the peak says.
    """
    found = {
        Temporary(array.bytes, array.dtype, array.shape, instruction.opcode, instruction.source)
        for instruction, _ in module.running()
        if instruction.opcode not in _NO_ARRAY
        for array in instruction.arrays
        if array.bytes >= least
    }
    return sorted(found, reverse=True)


# --- Reading ----------------------------------------------------------------------------------------------------------


def _instruction(name: str, rest: str) -> Instruction:
    """Splits `type opcode(operands), attributes`; a type is an array or a tuple of types in brackets."""
    if rest.startswith("("):
        end = _closing(rest)
        types, after = rest[:end], rest[end:].lstrip()
    else:
        types, _, after = rest.partition(" ")
    arrays = tuple(
        Array(found["dtype"], tuple(int(n) for n in found["shape"].split(",") if n)) for found in _ARRAY.finditer(types)
    )
    return Instruction(name, after.partition("(")[0], arrays, after)


def _closing(text: str) -> int:
    """Returns the place behind the bracket that closes the one at the beginning."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place + 1
    return len(text)


def _runs(computations: dict[str, list[Instruction]], entry: str) -> dict[str, int]:
    """Returns how often each computation runs by itself."""
    runs = dict.fromkeys(computations, 0)
    waiting = [(entry, 1)]
    while waiting:
        name, times = waiting.pop()
        if name not in runs:
            continue
        runs[name] += times
        for instruction in computations[name]:
            # What is fused, or applied element by element, makes no array of its own.
            if instruction.opcode not in ("while", "conditional", "call"):
                continue
            trips = _trips(computations, computations[name], instruction) if instruction.opcode == "while" else 1
            for called in _CALLED.findall(instruction.text):
                waiting += [(part.strip().lstrip("%"), times * trips) for part in called.strip("{}").split(",")]
    return runs


def _trips(computations: dict[str, list[Instruction]], around: Sequence[Instruction], loop: Instruction) -> int:
    """Returns how often a loop runs, at most: 1 where neither XLA nor the loop's condition says."""
    known = _TRIPS.search(loop.text)
    if known:
        return int(known[1])
    inside = _condition(computations, loop)
    for compared in [i for i in inside.values() if _LIMIT.search(i.text)]:
        operands = [inside.get(name) for name in _operands(compared)]
        if len(operands) != 2 or None in operands:
            continue
        counter, limit = operands
        end, place = _CONSTANT.search(limit.text), re.search(r"index=(\d+)", counter.text)
        if end is not None and place is not None:
            break
    else:
        return 1
    start = _first_value({i.name: i for i in around}, loop, int(place[1]))
    stride = _stride(_called(computations, loop, "body"), int(place[1]))
    return max(1, -(-(int(end[1]) - start + ("direction=LE" in compared.text)) // stride))


def _condition(computations: dict[str, list[Instruction]], loop: Instruction) -> dict[str, Instruction]:
    """Returns the instructions of a loop's condition by name, those that are fused there in its terms."""
    inside = {i.name: i for i in _called(computations, loop, "condition")}
    for fusion in [i for i in inside.values() if i.opcode == "fusion"]:
        given = _operands(fusion)
        for i in _called(computations, fusion, "calls"):
            number = re.search(r"parameter\((\d+)\)", i.text)
            inside[i.name] = i if number is None else inside[given[int(number[1])]]
    return inside


def _called(computations: dict[str, list[Instruction]], loop: Instruction, role: str) -> Sequence[Instruction]:
    """Returns the instructions of what a loop calls its "condition" or its "body", or of what a fusion "calls"."""
    name = re.search(rf"{role}=%?([\w.\-]+)", loop.text)
    return computations.get(name[1], ()) if name else ()


def _stride(body: Sequence[Instruction], place: int) -> int:
    """Returns what a loop adds to its counter in one turn; 1 where that is no sum of plain constants."""
    inside = {i.name: i for i in body}
    parts = _operands(body[-1]) if body and body[-1].opcode == "tuple" else []
    value, stride = inside.get(parts[place]) if place < len(parts) else None, 0
    while value is not None and value.opcode in ("copy", "bitcast", "add"):
        operands = [inside[name] for name in _operands(value) if name in inside]
        added = [int(found[1]) for i in operands if i.opcode == "constant" and (found := _CONSTANT.search(i.text))]
        stride += sum(added)
        value = next((i for i in operands if i.opcode != "constant"), None)
    return stride if stride > 0 and value is not None and value.opcode == "get-tuple-element" else 1


def _operands(instruction: Instruction) -> list[str]:
    """Returns the names of what an instruction reads."""
    return [name.lstrip("%") for name in _OPERANDS.findall(instruction.text.partition(")")[0])]


def _first_value(around: dict[str, Instruction], loop: Instruction, place: int) -> int:
    """Returns what a loop's counter starts with; 0 where it is no plain constant."""
    names = _operands(loop)
    state = around.get(names[0]) if names else None
    if state is None or state.opcode != "tuple":
        return 0
    parts = _operands(state)
    value = around.get(parts[place]) if place < len(parts) else None
    while value is not None and value.opcode in ("copy", "bitcast", "copy-done"):
        inner = _operands(value)
        value = around.get(inner[0]) if inner else None
    found = _CONSTANT.search(value.text) if value is not None else None
    return int(found[1]) if found else 0


def _payload(instruction: Instruction, kind: str, group: int) -> Sequence[Array]:
    """Returns the arrays of a collective's result; one that is started gives operands and results in a tuple."""
    if instruction.opcode == "send":
        return instruction.arrays[:1]
    arrays = [a for a in instruction.arrays if a.size > 1 or not instruction.opcode.endswith("-start")]
    if not arrays:
        return instruction.arrays
    if not instruction.opcode.endswith("-start") or kind == "all-reduce" or len(arrays) < 2:
        return arrays
    return [a for a in arrays if a.dtype not in ("u32", "s32")][len(arrays) // 2 :] or arrays[1:2]


def _bits(dtype: str) -> int:
    if dtype == "pred":
        return 8
    found = re.match(r"[a-z]+?(\d+)", dtype)
    return int(found[1]) if found else 8
