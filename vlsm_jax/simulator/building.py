"""A script to a factory: parse, compile, run the script, read the Twin out of the tree."""

from __future__ import annotations

from collections.abc import Iterable

from vlsm_jax.flexscript import Diagnostic, Dialect, Fault, OutOfBudget, Severity, compile_program, parse
from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.flexscript.values import to_number
from vlsm_jax.simulator.cautions import finding
from vlsm_jax.simulator.draws import Draws
from vlsm_jax.simulator.names import vocabulary
from vlsm_jax.simulator.properties import close_tables
from vlsm_jax.simulator.report import BuildResult, Verdict
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import Budget, World
from vlsm_jax.twin import Connection, Twin, TwinError, TwinObject


def build(script: str, *, budget: Budget = Budget(), dialect: Dialect = Dialect()) -> BuildResult:
    """Builds the factory that a script describes; never raises on any text.

    Commands such as `resetmodel()`, `go()` and `runspeed()` are accepted and do nothing: a run begins behind the
    script, whatever the script says.

    Args:
      script: FlexScript.
      budget: limits on steps, nodes and time.
      dialect: choices where the public sources on FlexScript are silent or disagree.
    """
    built, world = build_world(script, budget, dialect)
    world.dismantle()
    return built


def build_world(script: str, budget: Budget, dialect: Dialect) -> tuple[BuildResult, World]:
    """Builds as `build` does, and also returns the world, for a run in it."""
    world = World(budget, dialect, vocabulary())
    world.draws = Draws(0, 0)
    try:
        return _build(script, world), world
    except RecursionError:
        diagnostic = Diagnostic("budget", Severity.ERROR, "the script is nested too deeply to be run")
        return BuildResult(Verdict.BUDGET, None, (diagnostic,)), world
    except Exception as error:  # a fault of this program, not of the script; tests look for its code
        return BuildResult(Verdict.BUILD_ERROR, None, (internal_error(error),)), world


def internal_error(error: Exception) -> Diagnostic:
    """Returns the diagnostic of an exception that no script should be able to cause."""
    message = f"the emulator failed: {type(error).__name__}: {error}"
    return Diagnostic("internal error", Severity.ERROR, message[:500], hint="report it together with the script")


def _build(script: str, world: World) -> BuildResult:
    if len(script) > world.budget.text:
        message = f"the script has more than {world.budget.text} characters"
        return BuildResult(
            Verdict.BUDGET, None, (Diagnostic("budget", Severity.ERROR, message, hint="raise Budget.text"),)
        )
    code = compile_program(parse(script), world.vocabulary, world.machine, world.dialect)
    if not code.ok:
        return BuildResult(Verdict.PARSE_ERROR, None, code.diagnostics)
    findings = list(code.diagnostics)
    verdict = Verdict.OK
    try:
        code.run()
    except Fault as fault:
        findings.append(fault_diagnostic(fault))
        verdict = Verdict.BUDGET if isinstance(fault, OutOfBudget) else Verdict.BUILD_ERROR
    try:
        close_tables(world)
    except Fault as fault:
        findings.append(fault_diagnostic(fault))
        verdict = Verdict.BUILD_ERROR if verdict is Verdict.OK else verdict
    findings.extend(world.warnings)
    twin, problems = twin_of(world)
    findings.extend(problems)
    if verdict is Verdict.OK and any(d.severity is Severity.ERROR for d in problems):
        verdict = Verdict.BUILD_ERROR
    return BuildResult(verdict, twin, tuple(findings), tuple(world.machine.lines))


def fault_diagnostic(fault: Fault) -> Diagnostic:
    """Returns the diagnostic of an exception, placed where it was raised."""
    source = fault.source or SourceText("")
    return source.diagnostic(fault.code, fault.message, fault.at if fault.source else None, hint=fault.hint)


def unique_names(objects: Iterable[Node]) -> dict[Node, str]:
    """Returns a name for every object under which `Model.find` reaches it: `Name`, `Name~2`, ..."""
    counts: dict[str, int] = {}
    names: dict[Node, str] = {}
    taken: set[str] = set()
    for node in objects:
        number = counts.get(node.name, 0) + 1
        name = node.name if number == 1 else f"{node.name}~{number}"
        while name in taken:
            number += 1
            name = f"{node.name}~{number}"
        counts[node.name] = number
        taken.add(name)
        names[node] = name
    return names


def twin_of(world: World) -> tuple[Twin | None, list[Diagnostic]]:
    """Reads the Twin out of the tree, with findings about what it cannot hold."""
    findings: list[Diagnostic] = []
    names = unique_names(world.tree.objects())
    objects = []
    for node, name in names.items():
        if name != node.name:
            message = f"another object is named {node.name!r} as well; this one is {name!r}"
            hint = "name every object: x.name = ..." if node.default_name else "choose another name"
            findings.append(finding(node, "duplicate name", message, hint))
        try:
            objects.append(_twin_object(node, name))
        except (TwinError, OverflowError) as error:
            findings.append(Diagnostic("value", Severity.ERROR, str(error)))
    kept = {obj.name for obj in objects}
    connections = [
        Connection(names[wire.source], names[wire.target], wire.port)
        for wire in world.tree.wires()
        if names.get(wire.source) in kept and names.get(wire.target) in kept
    ]
    return Twin(tuple(objects), tuple(connections)), findings


def _twin_object(node: Node, name: str) -> TwinObject:
    parameters = dict(node.settings)
    for part in ("size", "rotation", "color"):
        changed = node.changed_part(part)
        if changed is not None:
            parameters[part.capitalize()] = tuple(float(to_number(v)) for v in changed)
    # Whole numbers are what a Twin keeps; only those that a float holds exactly stay as they are.
    location = tuple([v if type(v) is int and -_EXACT < v < _EXACT else float(v) for v in node.location])
    return TwinObject(node.cls.name, name, location, parameters)


_EXACT = 1 << 53
