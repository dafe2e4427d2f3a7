"""How a prompt tells connections, in an order that gives every object its ports in order.

"Feeds A, B and C" are the output ports 1, 2 and 3, and what is said first to feed an object takes its first input
port. Center ports are told apart from the flow, in their own order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from vlsm_jax.synth.layouts import OUTSIDE
from vlsm_jax.synth.prompts.grammar import Field, Grammar, Rules, join_words
from vlsm_jax.synth.prompts.voice import Voice
from vlsm_jax.twin import Connection, Twin

RULES: Rules = {
    "chain": (
        "Items flow from {first} to {then}.",
        "The flow goes from {first} to {then}.",
        "Connect {first} to {then} in this order.",
        "{first} feeds {which_feeds}.",
        "From {first}, items go to {then}.",
        "Items pass from {first} to {and_on}.",
        "The order is {arrows}.",
        "Link {arrows}.",
        "Flow: {arrows}.",
        "{first} passes items to {then}.",
        "{all} form a line in this order.",
        "Route items along {arrows}.",
    ),
    "pair": (
        "{first} feeds {last}.",
        "Connect {first} to {last}.",
        "{first} is connected to {last}.",
        "Items go from {first} to {last}.",
        "{first} passes items to {last}.",
        "{last} is fed by {first}.",
        "{last} receives items from {first}.",
        "{first} → {last}.",
        "Link {first} to {last}.",
        "The output of {first} goes to {last}.",
        "{first} sends its items to {last}.",
    ),
    "out": (
        "{first} feeds {others}, in this port order.",
        "{first} is connected to each of {others}.",
        "From {first}, items can go to {others}.",
        "{first} feeds {others}.",
        "Connect {first} to {others}, in this order.",
        "The outputs of {first} are {others}, in port order.",
        "{first} supplies {others}.",
        "{first} splits the flow to {others}.",
        "{others} are fed by {first}.",
        "{first} → {others}.",
    ),
    "in": (
        "{others} feed {last}.",
        "{last} receives items from {others}.",
        "The outputs of {others} are connected to {last}.",
        "{last} is fed by {others}, in this order.",
        "{others} {all} lead to {last}.",
        "Connect {others} to {last}.",
        "{others} merge into {last}.",
        "Items from {others} go to {last}.",
        "{others} → {last}.",
    ),
    "zip": (
        "{firsts} feed {lasts}, respectively.",
        "Connect {firsts} to {lasts}, respectively.",
        "{firsts} pass items to {lasts}, respectively.",
        "{lasts} are fed by {firsts}, respectively.",
        "Likewise, {pairs}.",
        "One to one, {pairs}.",
    ),
    # What works for others. The stations come first in port order.
    "center": (
        "Join the center ports of {first} and {last}.",
        "{first} and {last} are joined by a center port connection.",
        "Make a center port connection between {first} and {last}.",
    ),
    "serve": (
        "{last} serves {others}.",
        "{others} [is|are] served by {last}.",
        "{last} works for {others}.",
        "Connect {others} to {last} by center ports.",
        "{last} is called by {others} (center ports).",
    ),
    "operate": (
        "{last} operates {others}.",
        "{last} works at {others}.",
        "{others} [is|are] staffed by {last}.",
        "{others} [calls|call] {last} as operator.",
        "{serve}",
    ),
    "carry": (
        "{last} carries the items that leave {others}.",
        "{others} [uses|use] {last} for transport.",
        "{last} moves items away from {others}.",
        "Transport from {others} is done by {last}.",
        "{serve}",
    ),
    "served": (
        "{first} is served by {others}.",
        "{first} calls on {others}, in this order.",
        "Connect {first} to {others} by center ports.",
    ),
    "dispatch": (
        "{first} dispatches {others}.",
        "{first} sends tasks to {others}.",
        "{first} gives its tasks to {others}.",
        "{others} [takes|take] tasks from {first}.",
        "{others} [belongs|belong] to the team of {first}.",
        "{first} feeds {others}.",
    ),
}
_GRAMMAR = Grammar(RULES)

Run = tuple[str, list[str]]
"""A rule of the grammar and the names in it: "chain" a b c, "out" a to b c, "in" a b to c, "zip" a b to c d."""


def flow_runs(twin: Twin, flow: Sequence[Connection]) -> list[Run]:
    """Returns the flow wires, in their order, gathered into as long runs as it allows; chains do not branch."""
    outputs = Counter(wire.source for wire in flow)
    out: list[Run] = []
    i = 0
    while i < len(flow):
        wire = flow[i]
        if twin.by_name[wire.source].cls == "Dispatcher":
            length = _run_length(flow, i, lambda a, b: a.source == b.source)
            out.append(("dispatch", [wire.source, *(w.target for w in flow[i : i + length])]))
            i += length
            continue
        lengths = {
            "chain": _run_length(flow, i, lambda a, b: a.target == b.source and outputs[b.source] == 1),
            "out": _run_length(flow, i, lambda a, b: a.source == b.source),
            "in": _run_length(flow, i, lambda a, b: a.target == b.target),
            "zip": _zip_length(twin, flow, i, outputs),
        }
        rule, length = max(lengths.items(), key=lambda entry: entry[1])
        run = flow[i : i + length]
        if length == 1:
            out.append(("pair", [wire.source, wire.target]))
        elif rule in ("chain", "out"):
            out.append((rule, [wire.source, *(w.target for w in run)]))
        elif rule == "in":
            out.append((rule, [*(w.source for w in run), wire.target]))
        else:
            out.append((rule, [*(w.source for w in run), *(w.target for w in run)]))
        i += length
    return out


def _run_length(wires: Sequence[Connection], start: int, joins: Callable[[Connection, Connection], bool]) -> int:
    end = start + 1
    while end < len(wires) and joins(wires[end - 1], wires[end]):
        end += 1
    return end - start


def _zip_length(twin: Twin, wires: Sequence[Connection], start: int, outputs: Counter) -> int:
    """Returns how many wires lead one to one from objects of one class to other objects of one class."""
    first = wires[start]
    source_cls, target_cls = twin.by_name[first.source].cls, twin.by_name[first.target].cls
    sources, targets = {first.source}, {first.target}
    if first.source == first.target or outputs[first.source] > 1:
        return 1
    end = start + 1
    while end < len(wires):
        wire = wires[end]
        if twin.by_name[wire.source].cls != source_cls or twin.by_name[wire.target].cls != target_cls:
            break
        ends = {wire.source, wire.target}
        if ends & (sources | targets) or len(ends) < 2 or outputs[wire.source] > 1:
            break
        sources.add(wire.source)
        targets.add(wire.target)
        end += 1
    return end - start


def by_lane(twin: Twin, flow: Sequence[Connection]) -> Sequence[Connection]:
    """Returns the flow wires lane by lane where that leaves all ports as they are, else in their own order.

    Lanes start at the outputs of objects with several; what has several inputs ends them.
    """
    left: dict[str, list[Connection]] = {}
    for wire in flow:
        left.setdefault(wire.source, []).append(wire)
    out: list[Connection] = []
    done: set[int] = set()
    for wire in flow:
        if id(wire) in done:
            continue
        while True:
            done.add(id(wire))
            out.append(wire)
            ports = twin.ports[wire.target]
            if len(ports.inputs) != 1 or len(ports.outputs) != 1:
                break
            following = left[wire.target][0]
            if id(following) in done or len(twin.ports[following.target].inputs) > 1:
                break
            wire = following
    out = _fan_first(out)
    return out if _same_ports(out, flow) else flow


def _same_ports(mine: Sequence[Connection], theirs: Sequence[Connection]) -> bool:
    def ports(wires: Sequence[Connection]) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for wire in wires:
            found.setdefault(("out", wire.source), []).append(wire.target)
            found.setdefault(("in", wire.target), []).append(wire.source)
        return found

    return ports(mine) == ports(theirs)


def _fan_first(wires: list[Connection]) -> list[Connection]:
    """Returns the wires with those of a fan-out moved to its first and those of a fan-in to its last."""
    sources: dict[str, list[Connection]] = {}
    for wire in wires:
        sources.setdefault(wire.source, []).append(wire)
    out: list[Connection] = []
    told: set[str] = set()
    for wire in wires:
        if wire.source not in told:
            told.add(wire.source)
            out.extend(sources[wire.source]) if len(sources[wire.source]) > 1 else out.append(wire)
    targets: dict[str, list[Connection]] = {}
    for wire in out:
        targets.setdefault(wire.target, []).append(wire)
    final: list[Connection] = []
    for wire in out:
        if wire is targets[wire.target][-1]:
            final.extend(targets[wire.target])
    return final


def _run_sentence(rule: str, members: Sequence[str], voice: Voice) -> str:
    names = [voice.name(name) for name in members]
    plural = len(names) > 2
    fields: dict[str, Field] = {"first": names[0], "last": names[-1]}
    if rule == "chain":
        fields["then"] = lambda: ", then to ".join(names[1:])
        fields["and_on"] = lambda: ", from there to ".join(names[1:])
        fields["which_feeds"] = lambda: ", which feeds ".join(names[1:])
        fields["arrows"] = lambda: voice.dice.pick((" → ", " -> ", " > ")).join(names)
        fields["all"] = lambda: join_words(names)
    elif rule in ("out", "served", "dispatch"):
        fields["others"] = join_words(names[1:])
    elif rule == "zip":
        half = len(names) // 2
        fields["firsts"], fields["lasts"] = join_words(names[:half]), join_words(names[half:])
        fields["pairs"] = lambda: join_words(
            [f"{a} feeds {b}" for a, b in zip(names[:half], names[half:], strict=True)]
        )
    else:
        fields["others"] = join_words(names[:-1])
        fields["all"] = "both" if len(names) == 3 else "all"
    return _GRAMMAR.expand(rule, voice.dice, fields, plural)


def flow_of(twin: Twin) -> list[Connection]:
    """Returns the wires that carry flow, and tasks of Dispatchers, in their order."""
    return [wire for wire in twin.connections if wire.port == "A"]


def center_runs(twin: Twin) -> list[Run]:
    """Returns the center wires, in their order, gathered into runs of one executer or one station."""
    wires = []
    for wire in twin.connections:
        if wire.port == "S":
            works, uses = wire.source, wire.target
            if twin.by_name[works].cls in OUTSIDE and twin.by_name[uses].cls not in OUTSIDE:
                works, uses = uses, works
            wires.append(Connection(works, uses, "S"))
    out: list[Run] = []
    i = 0
    while i < len(wires):
        wire = wires[i]
        if wire.source == wire.target or twin.by_name[wire.target].cls not in OUTSIDE:
            out.append(("center", [wire.source, wire.target]))
            i += 1
            continue
        rule = _service(twin, wire)
        shared = _run_length(wires, i, lambda a, b, rule=rule: a.target == b.target and _service(twin, b) == rule)
        several = _run_length(wires, i, lambda a, b: a.source == b.source and twin.by_name[b.target].cls in OUTSIDE)
        if several > shared:
            out.append(("served", [wire.source, *(w.target for w in wires[i : i + several])]))
        else:
            out.append((rule, [*(w.source for w in wires[i : i + shared]), wire.target]))
        i += max(shared, several)
    return out


def _service(twin: Twin, wire: Connection) -> str:
    """Returns the rule for what an executer does for a station, as far as the station's parameters say it."""
    parameters = twin.by_name[wire.source].parameters
    carried = parameters.get("UseTransport") == 1
    staffed = parameters.get("UseProcessOperators") == 1 or parameters.get("UseSetupOperators") == 1
    if carried == staffed or twin.by_name[wire.target].cls == "Dispatcher":
        return "serve"
    return "carry" if carried else "operate"


def told_flow(twin: Twin, voice: Voice) -> Sequence[Connection]:
    """Returns the flow wires in an order in which sentences may tell them."""
    flow = flow_of(twin)
    return by_lane(twin, flow) if voice.dice.whole(0, 9) < 6 else flow


def connection_sentences(twin: Twin, flow: Sequence[Connection], voice: Voice) -> list[str]:
    """Returns sentences that tell all connections, those of the flow in the order of `flow`."""
    runs = [*flow_runs(twin, flow), *center_runs(twin)]
    return [_run_sentence(rule, members, voice) for rule, members in runs]


def connection_lines(twin: Twin, flow: Sequence[Connection], voice: Voice, arrow: str) -> list[str]:
    """Returns one line of names and arrows for each run, those of the flow in the order of `flow`.

    Center connections are "station: executer".
    """
    out = []
    for rule, members in [*flow_runs(twin, flow), *center_runs(twin)]:
        names = [voice.name(name) for name in members]
        if rule in ("chain", "pair"):
            out.append(arrow.join(names))
        elif rule in ("out", "dispatch"):
            out.append(f"{names[0]}{arrow}{', '.join(names[1:])}")
        elif rule == "in":
            out.append(f"{', '.join(names[:-1])}{arrow}{names[-1]}")
        elif rule == "zip":
            half = len(names) // 2
            out += [f"{a}{arrow}{b}" for a, b in zip(names[:half], names[half:], strict=True)]
        elif rule == "served":
            out.append(f"{names[0]} <-> {', '.join(names[1:])}")
        else:
            out.append(f"{', '.join(names[:-1])} <-> {names[-1]}")
    return out


def count_connections(twin: Twin) -> int:
    """Returns how many ways the runs of the flow, lane by lane, can be told in one voice, at least."""
    total = 1
    for rule, _ in [*flow_runs(twin, by_lane(twin, flow_of(twin))), *center_runs(twin)]:
        total *= len(RULES[rule])
    return total
