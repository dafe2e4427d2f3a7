"""Who works and carries on a floor: operators, carriers and their dispatchers, and which objects they serve.

Levels of automation are as frequent as in the paper: nobody is modelled in 27.3 %, operators, robots, AGVs and task
executers in 18.2 % each. The paper's text also has forklifts, and cranes are as usual: the Transporter takes 5.0 % from
the AGVs and 3.0 % from the task executers, which both stand for what drives; the Crane takes 4.0 % from the robots,
which like it stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.floor import Floor
from vlsm_jax.synth.industries import Industry
from vlsm_jax.synth.spots import WORKERS, Spot, places_of

SHARES: Mapping[str, float] = MappingProxyType(
    {
        "manual": 0.273,
        "operator": 0.182,
        "robot": 0.142,
        "agv": 0.132,
        "task_executer": 0.152,
        "transporter": 0.080,
        "crane": 0.040,
    }
)
"""How often each level of automation is sampled."""

CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "operator": "Operator",
        "robot": "Robot",
        "agv": "AGV",
        "task_executer": "TaskExecuter",
        "transporter": "Transporter",
        "crane": "Crane",
    }
)
"""The class that a level of automation brings to the floor."""

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "Operator": "operators",
        "Robot": "robots",
        "AGV": "agvs",
        "TaskExecuter": "executers",
        "Transporter": "transporters",
        "Crane": "cranes",
    }
)


_PLACES_TRIED = 4


class Crew(NamedTuple):
    """Executers of one class that serve the same objects.

    Attributes:
      cls: FlexSim class.
      members: how many they are; two and more have a Dispatcher.
    """

    cls: str
    members: int

    @property
    def objects(self) -> int:
        """Objects of it, the Dispatcher included."""
        return self.members + (self.members > 1)


def draw_crews(dice: Dice, automation: str, count: int, allowed: frozenset[str]) -> list[Crew]:
    """Returns the crews of a floor of `count` objects in all; they take a third of them at most, but one at least."""
    if automation == "manual":
        return []
    cls = CLASSES[automation]
    room = max(1, count // 3)
    crews = []
    teams = "dispatcher_team" in allowed and (cls != "Operator" or "shared_operator" in allowed)
    if room >= 3 and teams and dice.chance(0.35):
        crews.append(Crew(cls, min(room - 1, dice.weighted((2, 3, 4), (0.7, 0.24, 0.06)))))
    else:
        crews.append(Crew(cls, 1))
    for _ in range(dice.whole(0, min(3, count // 8))):
        other = cls
        if cls != "Operator" and "shared_operator" in allowed and dice.chance(0.3):
            other = "Operator"
        crew = Crew(other, 1)
        if sum(c.objects for c in crews) + crew.objects <= room:
            crews.append(crew)
    return crews


def _may_be_carried(spot: Spot) -> bool:
    """Whether a carrier may fetch what leaves an object: one by one, and not to a belt or as a part among many."""
    if spot.cls not in ("Queue", "Processor", "Rack", "Combiner", "MultiProcessor") or spot.role == "supply":
        return False
    if spot.centers or "DoBatching" in spot.parameters:
        return False
    return all(out.cls != "StraightConveyor" and (out.cls != "Combiner" or out.ins[0] is spot) for out in spot.outs)


def _may_be_attended(spot: Spot) -> bool:
    return (
        spot.cls in ("Processor", "Combiner", "Separator")
        and not spot.centers
        and (places_of(spot.cls, spot.parameters) == 1 or (spot.station is not None and 1 in spot.station.places))
    )


def staff(floor: Floor, order: Sequence[Spot], crews: Sequence[Crew]) -> list[Spot] | None:
    """Returns the executers and dispatchers, connected to the objects that they serve, which have got their settings.

    None where there are not enough objects to serve. Every object has one of them at its center ports at most: that one
    is called for its operators and for its transport.

    Args:
      floor: its features are completed.
      order: the objects of the flow, each behind what feeds it.
      crews: who is to work there.
    """
    dice, out = floor.dice, []
    for crew in crews:
        works = crew.cls == "Operator"
        free = [spot for spot in order if (_may_be_attended(spot) if works else _may_be_carried(spot))]
        if works:
            attended = [spot for spot in free if spot.station is not None and spot.station.attended]
            if len(attended) >= max(1, crew.members):
                free = attended
        users = _choose_users(dice, free, crew, alone=works and "shared_operator" not in floor.allowed)
        if users is None:
            return None
        head, members = _hire(floor, crew)
        out.extend([head, *members] if crew.members > 1 else members)
        for spot in users:
            spot.centers.append(head)
            head.centers.append(spot)
            if works:
                _attend(spot, crew, dice)
            else:
                spot.parameters["UseTransport"] = 1
        if crew.members > 1:
            floor.features.add("dispatcher_team")
        if not works:
            floor.features.add("transport")
        elif len(users) > 1:
            floor.features.add("shared_operator")
    return out


def _choose_users(dice: Dice, free: Sequence[Spot], crew: Crew, *, alone: bool) -> list[Spot] | None:
    """Returns neighbours along the flow for a crew to serve; stations alike in several lanes are served together."""
    groups: dict[tuple, list[Spot]] = {}
    for spot in free:
        groups.setdefault((spot.cls, id(spot.station or spot)), []).append(spot)
    steps = list(groups.values())
    # Who is one of several has something to do only where several things go on at the same time.
    few = crew.members + 1 if crew.members > 1 else 1
    if alone and crew.members == 1:
        return [dice.pick(free)] if free else None
    wanted = few + dice.weighted((0, 1, 2), (0.5, 0.35, 0.15))
    for _ in range(_PLACES_TRIED if steps else 0):
        start = dice.whole(0, len(steps) - 1)
        users: list[Spot] = []
        for members in (*steps[start:], *reversed(steps[:start])):
            if len(users) >= wanted:
                break
            users.extend(members)
        if len(users) >= few and _at_one_time(users, crew) >= crew.members:
            return users
    return None


def _at_one_time(users: Sequence[Spot], crew: Crew) -> int:
    """Returns how many jobs of a crew there can be at one time: what is carried to one place comes one by one."""
    if crew.cls == "Operator":
        return len(users)
    targets = dict.fromkeys(target for spot in users for target in spot.outs)
    return sum(places_of(target.cls, target.parameters) if target.cls in WORKERS else 2 for target in targets)


def _hire(floor: Floor, crew: Crew) -> tuple[Spot, list[Spot]]:
    """Returns whom to call, and those who work; for one without a Dispatcher they are the same."""
    industry: Industry = floor.industry
    name = floor.name(getattr(industry, _NAMES[crew.cls]))
    settings = _executer_settings(crew, floor.dice)
    members = [Spot(crew.cls, name, dict(settings)) for _ in range(crew.members)]
    if crew.members == 1:
        return members[0], members
    head = Spot("Dispatcher", floor.name(industry.dispatchers))
    head.team = members
    return head, members


def _attend(spot: Spot, crew: Crew, dice: Dice) -> None:
    parameters = spot.parameters
    parameters.pop("MaxContent", None)  # who holds a station holds all of its places
    phases = ("Process",)
    if "SetupTime" in parameters:
        phases = dice.weighted((("Process",), ("Setup",), ("Setup", "Process")), (0.4, 0.35, 0.25))
    for phase in phases:
        parameters[f"Use{phase}Operators"] = 1
        parameters[f"Num{phase}Operators"] = (
            2 if crew.members > 2 and phases == ("Process",) and dice.chance(0.2) else 1
        )


def _executer_settings(crew: Crew, dice: Dice) -> dict:
    """Returns the settings of each member of a crew; teams are slower, or one of them would do."""
    cls, team = crew.cls, crew.members > 1
    out: dict = {}
    if cls == "Robot":
        out["MoveTime"] = dice.pick((6, 8, 10, 12) if team else (2, 3, 4, 5, 6))
    elif cls == "Operator":
        if dice.chance(0.5):
            out["MaxSpeed"] = dice.pick((1, 1.2, 1.4, 1.5))
    elif cls == "AGV":
        out["MaxSpeed"] = dice.pick((0.6, 0.8, 1) if team else (1, 1.2, 1.5, 1.8, 2))
    elif team or dice.chance(0.7):
        out["MaxSpeed"] = dice.pick((0.75, 1, 1.2) if team else (1.5, 2, 2.5, 3))
    if cls != "Operator" and (team or dice.chance(0.5)):
        seconds = dice.pick((4, 5, 6, 8, 10) if team else (1, 2, 3, 4))
        out |= {"LoadTime": seconds, "UnloadTime": seconds if dice.chance(0.6) else dice.pick((2, 3, 4, 5))}
    if cls in ("Transporter", "AGV", "TaskExecuter") and not team and dice.chance(0.25):
        out["Capacity"] = 2
    return out
