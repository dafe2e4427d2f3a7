"""Goals: what a factory is asked to achieve, near what its arrivals allow, and the sentences that say so."""

from __future__ import annotations

import math

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.distributions import mean_of
from vlsm_jax.synth.loads import rates, utilisations
from vlsm_jax.synth.prompts.grammar import Field, Grammar, Rules
from vlsm_jax.synth.prompts.prompt import Goal
from vlsm_jax.synth.prompts.voice import Voice
from vlsm_jax.twin import Twin, format_number

RULES: Rules = {
    "throughput": (
        "The target is a throughput of at least {bound} {item} per hour.",
        "The line has to deliver at least {bound} {item} per hour.",
        "The factory should finish {bound} {item} per hour or more.",
        "We need at least {bound} {item} per hour at the end of the line.",
        "Goal: at least {bound} {item} per hour.",
        "Throughput must not fall below {bound} {item} per hour.",
        "Output should be no less than {bound} {item} per hour.",
    ),
    "lead time": (
        "The target is a lead time of at most {bound} {unit}.",
        "From Source to Sink an item should take no more than {bound} {unit} on average.",
        "Lead time must stay at or below {bound} {unit} on average.",
        "Goal: an average lead time of at most {bound} {unit}.",
        "We want items through in {bound} {unit} or less on average.",
    ),
    "work in process": (
        "The target is a work in process of at most {bound} {item} on average.",
        "On average, no more than {bound} {item} should be in the system.",
        "WIP should stay at or below {bound} {item} on average.",
        "Goal: at most {bound} {item} in process on average.",
    ),
    "utilisation": (
        "The target is a utilisation of {name} of at least {bound} %.",
        "{name} should be busy at least {bound} % of the time.",
        "We want {name} to reach a utilisation of {bound} % or more.",
        "Goal: {name} at a utilisation of at least {bound} %.",
    ),
}
_GRAMMAR = Grammar(RULES)

_MEASURES = (*["throughput"] * 5, *["lead time"] * 2, *["utilisation"] * 2, "work in process")


def _rounded(value: float) -> int | float:
    """Returns two significant digits of a number, whole from 10 on."""
    if value <= 0:
        return 0
    digits = 1 - math.floor(math.log10(value))
    out = round(value, digits)
    return int(out) if out == int(out) else out


def _seconds_through(twin: Twin) -> float:
    """Returns the seconds an item would need for every station in turn, with nothing to wait for."""
    total = 0.0
    for obj in twin.objects:
        parameters = obj.parameters
        total += sum(mean_of(parameters[name]) for name in ("ProcessTime", "SetupTime") if name in parameters)
        if "HorizontalLength" in parameters:
            total += parameters["HorizontalLength"] / (parameters.get("Speed") or 1)
    lanes = max((len(twin.ports[obj.name].outputs) for obj in twin.objects if obj.cls != "Dispatcher"), default=1)
    return total / max(lanes, 1)


def draw_goal(twin: Twin, dice: Dice) -> Goal | None:
    """Returns a goal that makes sense for a factory; None where its traffic cannot be told in figures.

    Throughput is asked for at 70 to 105 % of what the arrivals let through, lead time at 1.5 to 5 times the bare work,
    work in process at what Little's law makes of these, utilisation near that of the busiest station. So some goals
    are out of reach: what is asked for is what an engineer would ask for, not what the factory is known to do.
    """
    measure = dice.pick(_MEASURES)
    try:
        flow, through = rates(twin), _seconds_through(twin)
        loads = utilisations(twin) if measure == "utilisation" else {}
    except (ValueError, TypeError, ArithmeticError, LookupError):  # code for a time, a port that is not there
        return None
    per_second = sum(flow.get(obj.name, 0.0) for obj in twin.objects if obj.cls == "Sink")
    if not 0 < per_second < 1e6 or not through < 1e7:
        return None
    if measure == "utilisation":
        # A station that holds several items is busy while it has one, however many places are free.
        worked = {
            name: load
            for name, load in loads.items()
            if "ProcessTime" in twin.by_name[name].parameters
            and twin.by_name[name].parameters.get("MaxContent", 1) == 1
        }
        busiest = max(worked, key=worked.__getitem__, default="")
        if 0.05 < worked.get(busiest, 0) < 10:
            percent = min(max(5 * round(worked[busiest] * dice.between(0.8, 1.1) * 20), 5), 95)
            return Goal(measure, at_least=percent, unit="percent", object=busiest)
    if measure in ("throughput", "utilisation") or through == 0:
        bound = _rounded(per_second * 3600 * dice.between(0.7, 1.05))
        return Goal("throughput", at_least=bound, per="hour", unit="items")
    wanted = through * dice.between(1.5, 5)
    if measure == "lead time":
        if wanted >= 120:
            return Goal(measure, at_most=_rounded(wanted / 60), unit="minutes")
        return Goal(measure, at_most=math.ceil(wanted / 5) * 5, unit="seconds")
    return Goal(measure, at_most=max(math.ceil(per_second * wanted), 1), unit="items")


def goal_sentence(goal: Goal, voice: Voice) -> str:
    """Returns a sentence that states a goal."""
    bound = goal.at_least if goal.at_least is not None else goal.at_most
    fields: dict[str, Field] = {"bound": format_number(bound), "item": "items", "unit": goal.unit}
    if goal.object:
        fields["name"] = voice.name(goal.object)
    return _GRAMMAR.expand(goal.measure, voice.dice, fields)
