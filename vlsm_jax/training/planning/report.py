"""A plan as text for a person."""

from __future__ import annotations

from vlsm_jax.training.parameters import format_bytes
from vlsm_jax.training.planning.compiling import Plan
from vlsm_jax.training.planning.roofline import ASSUMPTIONS, traffic_of

_SHOWN = 16


def format_plan(plan: Plan) -> str:
    """Returns the plan as lines: devices, memory, arithmetic, network, the bound of a step, and what it assumes."""
    mesh = ", ".join(f"{axis} {size}" for axis, size in plan.mesh.items())
    share = f"{plan.trained_parameters:,} of {plan.parameters:,} parameters are trained"
    lines = [
        f"devices  {plan.topology}: {plan.devices} ({mesh})",
        f"batch    {plan.rows} rows of {plan.length} positions, {plan.pictures} pictures each; {share}",
        f"compiled in {plan.compile_seconds:.0f} s",
        "",
        *_memory(plan),
        "",
        *_arithmetic(plan),
    ]
    if plan.collectives:
        lines += ["", *_network(plan)]
    if plan.temporaries:
        lines += ["", "largest arrays that the step makes, per device (not all at one time)"]
        lines += [
            f"  {format_bytes(t.bytes):>10}  {t.dtype}{list(t.shape)}  {t.opcode}  {_short(t.source)}"
            for t in plan.temporaries[:6]
        ]
    if plan.bound is not None:
        tokens = plan.rows * plan.length / plan.devices
        lines += ["", "least time of a step"]
        for name, seconds in (
            ("arithmetic", plan.bound.arithmetic),
            ("memory", plan.bound.memory),
            ("network", plan.bound.network),
        ):
            lines.append(f"  {name:12}{seconds:9.3f} s")
        for name, seconds in (("overlapped", plan.bound.overlapped), ("serial", plan.bound.serial)):
            lines.append(f"  {name:12}{seconds:9.3f} s   {tokens / seconds:,.0f} positions/s per device")
        lines += ["assumed", *(f"  - {line}" for line in ASSUMPTIONS)]
    if plan.notes:
        lines += ["", "not known", *(f"  - {note}" for note in plan.notes)]
    return "\n".join(lines)


def _memory(plan: Plan) -> list[str]:
    memory = plan.memory
    lines = ["memory of a device"]
    for name in ("trained", "frozen", "optimizer", "batch", "temporary", "peak"):
        lines.append(f"  {name:12}{format_bytes(getattr(memory, name)):>10}")
    if memory.limit is None:
        return [*lines, "  how much there is, is not known for this topology"]
    verdict = "fits" if plan.fits else "DOES NOT FIT"
    lines.append(f"  {'available':12}{format_bytes(memory.limit):>10}   {verdict}")
    if plan.out_of_memory:
        lines.append(f"  the compiler says: {plan.out_of_memory}")
    if not plan.fits:
        lines.append(
            "  more devices on mesh.fsdp spread parameters and optimizer; a smaller pipeline.batch_size or a larger "
            "train.accumulation, activations"
        )
    return lines


def _arithmetic(plan: Plan) -> list[str]:
    positions = plan.rows * plan.length
    return [
        f"arithmetic of a step, all devices: {plan.work.flops:.3e} FLOPs, of them attention kernels "
        f"{plan.work.kernels:.2e}; {plan.work.flops / positions:.3e} per position",
        f"needed without making anything again: {plan.model_flops:.3e}, {plan.model_flops / plan.work.flops:.0%}",
    ]


def _network(plan: Plan) -> list[str]:
    lines = ["collectives of a step, per device (bytes of the whole array; x runs)"]
    for c in plan.collectives[:_SHOWN]:
        axes = "+".join(c.axes)
        lines.append(
            f"  {c.kind:20}{axes:14}{format_bytes(c.bytes):>10} x {c.count:<6} {c.dtype:5} sends "
            f"{format_bytes(traffic_of(c) * c.count):>10}  {_short(c.source)}"
        )
    rest = plan.collectives[_SHOWN:]
    if rest:
        sent = sum(traffic_of(c) * c.count for c in rest)
        lines.append(f"  {len(rest)} more kinds, which send {format_bytes(sent)}")
    return lines


def _short(source: str) -> str:
    """Returns the last parts of where an instruction comes from."""
    return "/".join(source.split("/")[-3:])[-60:]
