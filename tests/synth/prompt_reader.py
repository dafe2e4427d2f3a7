"""A reader of prompts, for tests: it knows English and the names of the objects, and nothing of the grammar.

It reads classes, parameters, connections and locations back with patterns of its own, in exact arithmetic. What it has
understood is struck out; digits that are left over were not understood, and `Reading.unexplained` lists them.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from fractions import Fraction

from prompt_frames import FRAMES, LIST, MARK

from vlsm_jax.twin import Connection, Twin, TwinObject

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
NUM = rf"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|{'|'.join(WORDS[1:])})\b"
TIME_UNIT = r"(seconds?|sec|s|minutes?|min|hours?|h)\b"
TIME = rf"{NUM} {TIME_UNIT}(?: {NUM} {TIME_UNIT})?"
SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
LENGTHS = {"m": 1, "metre": 1, "meter": 1, "cm": Fraction(1, 100), "mm": Fraction(1, 1000)}
SPEEDS = {
    "m/s": Fraction(1),
    "meter per second": Fraction(1),
    "meters per second": Fraction(1),
    "m/min": Fraction(1, 60),
    "km/h": Fraction(1000, 3600),
    "cm/s": Fraction(1, 100),
}
LABELS = {
    "min": "min|minimum|lowest value",
    "max": "max|maximum|highest value",
    "mode": "mode|most likely value|peak",
    "mean": "mean value|mean|average",
    "deviation": "standard deviation|std dev|sd|sigma",
    "scale": "scale parameter|scale",
    "shape": "shape parameter|shape",
    "location": "location|offset",
}
ORDER = {
    "exponential": ("location", "scale"),
    "normal": ("mean", "deviation"),
    "triangular": ("min", "max", "mode"),
    "uniform": ("min", "max"),
    "lognormal": ("mean", "deviation"),
    "Weibull": ("location", "scale", "shape"),
    "gamma": ("location", "scale", "shape"),
    "Poisson": ("mean",),
}
COMMANDS = {"lognormal": "lognormalmeanstdev", "Weibull": "weibull", "Poisson": "poisson"}
FAMILY = rf"({'|'.join(ORDER)})(?:ly)?"
LABEL = "|".join(LABELS.values())
ANY_NUMBER = NUM.replace("(", "(?:", 1)
ANY_UNIT = TIME_UNIT.replace("(", "(?:", 1)
ARGUMENT = rf"(?:{LABEL}) {ANY_NUMBER}(?: {ANY_UNIT})?"
ARGUMENTS = rf"({ARGUMENT}(?:(?:, | and ){ARGUMENT})*)"
BOUNDS = rf"((?:between|from) {ANY_NUMBER} {ANY_UNIT} (?:and|to) {ANY_NUMBER} {ANY_UNIT})"
GIVEN = rf"(?:\({ARGUMENTS}\)|with {ARGUMENTS}|{BOUNDS})"

NOUNS = {
    "InterArrivalTime": "interarrival time|inter-arrival time|time between arrivals|arrival interval",
    "ProcessTime": "process time|processing time|service time",
    "SetupTime": "setup time|set-up time",
    "MaxBatchTime": "maximum batch wait|batch time limit",
    "LoadTime": r"\bload time|\bloading time",
    "UnloadTime": "unload time|unloading time",
    "MoveTime": "move time|moving time",
}
VERBS_CONSTANT = {
    "InterArrivalTime": [
        rf"(?:releases?|creates?|sends?|lets?) (?:in )?(?:an?|one)(?: new)? item (?:in )?every {TIME}",
    ],
    "ProcessTime": [
        rf"takes? {TIME} per item",
        rf"works? {TIME} on each item",
        rf"needs? {TIME} to process an item",
        rf"process(?:es)? each item for {TIME}",
        rf"process(?:es)? an item in {TIME}",
        rf"spends? {TIME} on each item",
    ],
    "SetupTime": [
        rf"needs? {TIME} of setup per item",
        rf"(?:is|are) set up for {TIME} before each item",
        rf"takes? {TIME} to set up for each item",
    ],
}
VERBS_RANDOM = {
    "ProcessTime": [
        rf"works? on each item for an? {FAMILY} time {GIVEN}",
        rf"process(?:es)? each item for an? {FAMILY} distributed time {GIVEN}",
    ],
}
ITEMS = r"(?:item\b|(?!and\b|or\b)(?:\w+ )?\w+s\b)"
EXECUTERS = ("Operator", "TaskExecuter", "Transporter", "AGV", "Robot", "Crane", "Elevator", "ASRSvehicle")
CAPACITY = [
    rf"(?:capacity|maximum content|max content)(?: of|:| =|) {NUM}(?: {ITEMS})?",
    rf"load capacity of {NUM} {ITEMS}",
    rf"(?:room|storage) for (?:up to )?{NUM} {ITEMS}(?: at a time| at once)?",
    rf"(?:holds?|hold) (?:up to|at most) {NUM} {ITEMS}(?: together)?",
    rf"can (?:hold|carry) {NUM} {ITEMS}(?: at a time| at once)?",
    rf"(?:is|are) limited to {NUM} {ITEMS}",
    rf"(?:works? on|process(?:es)?|carr(?:y|ies)|stores?) up to {NUM} {ITEMS}(?: at a time| at once)?",
]
CLASSES = (
    *("Source", "Queue", "Processor", "Sink", "Combiner", "Separator", "MultiProcessor", "StraightConveyor"),
    *("CurvedConveyor", "Rack", "Operator", "TaskExecuter", "Transporter", "AGV", "Robot", "Crane", "Dispatcher"),
    *("Elevator", "ASRSvehicle", "BasicFR"),
)
SPOKEN = {"straight conveyor": "StraightConveyor", "curved conveyor": "CurvedConveyor", "task executer": "TaskExecuter"}


def number(text: str) -> Fraction:
    """Returns a number in digits or words, exactly."""
    return Fraction(WORDS.index(text)) if text in WORDS else Fraction(text)


def to_seconds(text: str, unit: str) -> Fraction:
    return number(text) * SECONDS[unit if unit == "s" else unit.rstrip("s")]


def read_time(groups: tuple[str | None, ...]) -> Fraction:
    """Returns seconds from the groups of `TIME`."""
    first, unit, second, small = groups
    return to_seconds(first, unit) + (to_seconds(second, small) if second else 0)


def read_distribution(family: str, text: str) -> tuple[str, tuple[Fraction, ...]]:
    """Returns the FlexScript command and its arguments from words such as "min 5, mode 6, max 8 s"."""
    bounds = re.fullmatch(rf"(?:between|from) {NUM} {TIME_UNIT} (?:and|to) {NUM} {TIME_UNIT}", text)
    found: dict[str, Fraction] = {}
    if bounds:
        found = {"min": to_seconds(bounds[1], bounds[2]), "max": to_seconds(bounds[3], bounds[4])}
    else:
        parts = re.findall(rf"({LABEL}) {NUM}(?: {TIME_UNIT})?", text)
        shared = parts[-1][2]
        for label, value, unit in parts:
            key = next(key for key, words in LABELS.items() if label in words.split("|"))
            found[key] = number(value) if key == "shape" else to_seconds(value, unit or shared)
    if family == "exponential" and "mean" in found:
        found["scale"] = found.pop("mean")
    if "location" in ORDER[family]:
        found.setdefault("location", Fraction(0))
    assert sorted(found) == sorted(ORDER[family]), (family, text, found)
    return COMMANDS.get(family, family), tuple(found[key] for key in ORDER[family])


@dataclasses.dataclass
class Read:
    """What was read of one object; `parameters` are plain values, numbers as fractions."""

    cls: str
    parameters: dict = dataclasses.field(default_factory=dict)


compiled = functools.lru_cache(maxsize=None)(re.compile)  # there are more patterns than `re` keeps


class Unit:
    """A piece of text about some objects; what is understood is struck out."""

    def __init__(self, text: str):
        self.text = text

    def take(self, pattern: str) -> re.Match | None:
        match = compiled(pattern).search(self.text)
        if match:
            self.text = f"{self.text[: match.start()]}¤{self.text[match.end() :]}"
        return match

    def first(self, patterns: list[str]) -> re.Match | None:
        return next(filter(None, map(self.take, patterns)), None)


class Reading:
    """A prompt, read.

    Attributes:
      objects: by name.
      wires: in the order in which they are told.
      locations: by name, where they are told.
      unexplained: pieces with digits that were not understood.
    """

    @staticmethod
    def pieces(text: str) -> list[str]:
        return pieces(text)

    def __init__(self, text: str, names: list[str], drawn: tuple[Connection, ...] = ()):
        """Reads `text`; `drawn` are the wires of the sketch, by which shares are read where no connection is told."""
        self.names = names
        self.objects: dict[str, Read] = {}
        self.wires: list[Connection] = []
        self.locations: dict[str, tuple[Fraction, ...]] = {}
        self.unexplained: list[str] = []
        for index in sorted(range(len(names)), key=lambda i: -len(names[i])):
            quoted = re.escape(names[index])
            bare = "" if names[index].replace(" ", "") in CLASSES else rf"|{quoted}(?!\w)"  # else it is the class
            text = re.sub(rf"(?<![\w⟦])(?:[\"“'«`]{quoted}[\"”'»`]{bare})", f"⟦{index}⟧", text)
        descriptions: list[tuple[list[str], Unit]] = []
        for piece in self.pieces(text):
            if self._connection(piece) or self._location(piece):
                continue
            self._description(piece, descriptions)
        twin = Twin(tuple(TwinObject("x", name) for name in names), tuple(self.wires) or drawn)
        for subjects, unit in descriptions:
            for name in subjects:
                self.objects[name].parameters |= self._parameters(self.objects[name].cls, name, Unit(unit.text), twin)
            self._parameters(self.objects[subjects[0]].cls, subjects[0], unit, twin)
            if re.search(r"\d", re.sub(MARK, "", unit.text)):
                self.unexplained.append(unit.text)

    # --- Objects ------------------------------------------------------------------------------------------------------

    def _expand(self, text: str) -> str:
        """Writes out "A 1 to 4"."""

        def replace(match: re.Match) -> str:
            first, last = self.names[int(match[1])], match[2] or self.names[int(match[3])]
            base, start = re.fullmatch(r"(.*?)(\d+)", first).groups()
            end = re.fullmatch(r"(.*?)(\d+)", last)
            if end[1] not in ("", base):
                return match[0]
            wanted = [f"{base}{k}" for k in range(int(start), int(end[2]) + 1)]
            return ", ".join(f"⟦{self.names.index(name)}⟧" for name in wanted)

        return re.sub(r"⟦(\d+)⟧ (?:to|through) (?:(\d+)|⟦(\d+)⟧)", replace, text)

    def _description(self, piece: str, out: list[tuple[list[str], Unit]]) -> None:
        if out and re.match(r"(It|They|Both|All \w+|Each of them|Give it)\b", piece):
            out[-1][1].text += f" ¤ {piece}"
            return
        unit = Unit(self._expand(piece))
        subject = re.search(LIST, unit.text)
        if subject is None:
            return
        subjects = [self.names[int(i)] for i in re.findall(r"\d+", subject[0])]
        unit.text = f"{unit.text[: subject.start()]}¤{unit.text[subject.end() :]}"
        cls = unit.take(rf"\b({'|'.join([*CLASSES, *(c.lower() for c in CLASSES), *SPOKEN])})s?\b")
        if cls is None:
            return
        word = SPOKEN.get(cls[1]) or next(c for c in CLASSES if c.lower() == cls[1].lower())
        same = re.search(r"with the same settings|in the same way|identical (?:\w+|¤)\.$", unit.text)
        if out and same and len(re.findall(r"\d", unit.text)) == 0 and ":" not in unit.text:
            before = out[-1][0]
            assert self.objects[before[0]].cls == word
            before += subjects
        else:
            out.append((subjects, unit))
        for name in subjects:
            assert name not in self.objects, (name, piece)
            self.objects[name] = Read(word)

    def _parameters(self, cls: str, name: str, unit: Unit, twin: Twin) -> dict:
        out: dict = {}
        self._arrival_rate(unit, out)
        self._processes(unit, out)
        for key, noun in NOUNS.items():
            self._duration(key, noun, unit, out)
        self._sending(name, unit, out, twin)
        self._joining(cls, name, unit, out, twin)
        for role, use, count in (
            ("setup", "UseSetupOperators", "NumSetupOperators"),
            ("process", "UseProcessOperators", "NumProcessOperators"),
        ):
            match = unit.first(
                [
                    rf"{role} operators(?::| =) {NUM}",
                    rf"(?:needs?|uses?|calls?) {NUM} operators? (?:for|to) {role}(?:ing| each item| up|)",
                    rf"(?:needs?|uses?) {NUM} operators? to set up" if role == "setup" else "(?!)",
                    rf"{NUM} operators? (?:for|during) {role}(?:ing)?",
                    rf"{NUM} operators? (?:at work on each item|per item during processing)"
                    if role == "process"
                    else "(?!)",
                ]
            )
            if match:
                out[use], out[count] = Fraction(1), number(match[1])
        self._batches(unit, out)
        match = unit.first(CAPACITY)
        if match:
            out["Capacity" if cls in EXECUTERS else "MaxContent"] = number(match[1])
        match = unit.first([rf"(?:base height|base at z)(?: of|:| =|) {NUM}(?: (cm|mm|metres?|meters?|m)\b)?"])
        if match:
            out["StackBaseZ"] = number(match[1]) * LENGTHS[(match[2] or "m").rstrip("s")]
        if unit.take(
            r"vertical stack|stack(?:s|ed|ing)? (?:items )?vertically|piles? items up vertically|vertically stacked"
        ):
            out["ItemPlacement"] = "Stack Vertically"
        elif unit.take(r"horizontal line|up horizontally"):
            out["ItemPlacement"] = "Horizontal Line"
        elif unit.take(r"inside the queue"):
            out["ItemPlacement"] = "Stack Inside Queue"
        if unit.take(r"LIFO|last in, first out"):
            out["LIFO"] = Fraction(1)
        elif unit.take(r"FIFO|first in, first out"):
            out["LIFO"] = Fraction(0)
        if unit.take(r"[Tt]ransport (?:for items that leave|to the next object|switched on)|transport: (?:on|yes)"):
            out["UseTransport"] = Fraction(1)
        speed = "|".join(sorted(SPEEDS, key=len, reverse=True))
        match = unit.take(
            r"(?:(?:maximum|max|top|belt|conveyor) )?"
            rf"(?:speed(?: of|:| =|)|(?:runs?|moves?(?: items)?|travels?) at(?: up to)?) {NUM} ({speed})"
        )
        if match:
            out["MaxSpeed" if cls in EXECUTERS else "Speed"] = number(match[1]) * SPEEDS[match[2]]
        match = unit.first(
            [rf"length(?: of|:| =|) {NUM} (cm|mm|metres?|meters?|m)\b", rf"{NUM} (cm|mm|metres?|meters?|m) long"]
        )
        if match:
            out["HorizontalLength"] = number(match[1]) * LENGTHS[match[2].rstrip("s")]
        for match in iter(lambda: unit.take(r"(\w+) set to (duniform|bernoulli)\(([^)]*)\)"), None):
            out[match[1]] = (match[2], tuple(Fraction(part.strip()) for part in match[3].split(",")))
        for match in iter(lambda: unit.take(r"\b([A-Z]\w+) set to (-?[\d.]+)\b"), None):
            out[match[1]] = Fraction(match[2])
        return out

    def _arrival_rate(self, unit: Unit, out: dict) -> None:
        rate = rf"{NUM}(?: {ITEMS})? (?:per|an?) (hour|minute)"
        match = unit.take(
            r"exponential(?:ly distributed)? interarrival times?"
            rf"(?: at(?: an arrival rate of| a mean rate of)?|,) {rate}"
        )
        kind = "exponential"
        if match is None:
            match = unit.take(
                rf"(?:(?:fixed|constant) arrival rate(?: of)?|arrival rate:|evenly spaced arrivals at|exactly) {rate}"
            )
            kind = "constant"
        if match:
            gap = Fraction(SECONDS[match[2]]) / number(match[1])
            out["InterArrivalTime"] = gap if kind == "constant" else ("exponential", (Fraction(0), gap))

    def _processes(self, unit: Unit, out: dict) -> None:
        seconds = rf"{ANY_NUMBER} {ANY_UNIT}(?: {ANY_NUMBER} {ANY_UNIT})?"
        row = rf"[A-Z][\w -]*? \({seconds}(?:, {ANY_NUMBER} operators?)?\)"
        match = unit.take(
            rf"(?:{NUM} )?process(?:es| steps| table:|es:) (?:one after the other: )?({row}(?:(?:, | and ){row})*)"
        )
        if match:
            rows = re.findall(rf"([A-Z][\w -]*?) \({TIME}(?:, {NUM} operators?)?\)", match[2])
            out["ProcessTable"] = [(r[0], read_time((r[1], r[2], r[3], r[4])), number(r[5] or "0")) for r in rows]

    def _duration(self, key: str, noun: str, unit: Unit, out: dict) -> None:
        noun = f"(?:{noun})"
        constant = [
            rf"{noun}(?: of|:| =| fixed at| set to|) {TIME}(?: \(fixed\))?",
            *VERBS_CONSTANT.get(key, ()),
        ]
        random = [
            rf"{FAMILY} distribution {GIVEN} for the {noun}",
            rf"{FAMILY} distributed {noun}s {GIVEN}",
            rf"{FAMILY}(?: distributed)? {noun} {GIVEN}",
            rf"{noun} (?:that follows|drawn from|with|from) an? {FAMILY} distribution {GIVEN}",
            rf"{noun}(?: that is|:| =|) {FAMILY}(?: distributed)? {GIVEN}",
            *VERBS_RANDOM.get(key, ()),
        ]
        match = unit.first(random)
        if match:
            family, *given = match.groups()
            out[key] = read_distribution(family, next(filter(None, given)))
            return
        match = unit.first(constant)
        if match:
            out[key] = read_time(match.groups())

    def _batches(self, unit: Unit, out: dict) -> None:
        match = unit.first(
            [rf"batches of {NUM}", rf"batching(?::| in) groups of {NUM}", rf"batch size(?: of|:|) {NUM}"]
        )
        if match:
            out["DoBatching"], out["BatchSize"] = Fraction(1), number(match[1])

    def _joining(self, cls: str, name: str, unit: Unit, out: dict, twin: Twin) -> None:
        if cls == "Combiner":
            mode = re.search(r"\b(Pack|Join|Batch)\b", unit.text)
            if mode:
                out["CombineMode"] = mode[1]
            found = re.findall(rf"{NUM} {ITEMS} from (?:input port (\d+)|⟦(\d+)⟧)", unit.text)
            if found:
                inputs = twin.ports[name].inputs
                quantities = {}
                for count, port, index in found:
                    at = int(port) if port else inputs.index(self.names[int(index)]) + 1
                    quantities[at] = number(count)
                assert list(quantities) == list(range(2, len(found) + 2)), (quantities, unit.text)
                out["ComponentsList"] = list(quantities.values())
                base = re.search(r"(?:each|per|for each) item from (?:input port 1|port 1|⟦(\d+)⟧)", unit.text)
                assert base, unit.text
                assert base[1] is None or self.names[int(base[1])] == inputs[0], unit.text
                unit.text = re.sub(rf"{NUM} {ITEMS} from (?:input port \d+|{MARK})|(?:input )?port 1", "¤", unit.text)
        if cls == "Separator":
            mode = re.search(r"\b(Split|Unpack)\b", unit.text)
            if mode:
                out["SeparateMode"] = mode[1]
            spread = unit.take(rf"(?:random quantity from|each item into) {NUM} to {NUM}")
            if spread:
                out["SeparateQty"] = ("duniform", (number(spread[1]), number(spread[2])))
                return
            match = unit.first(
                [
                    rf"quantity (?:of )?{NUM}",
                    rf"(?:making|makes?) {NUM} out of each item",
                    rf"(?:each item|Split) into {NUM}",
                    rf"unpacks? {NUM} {ITEMS} from each container",
                ]
            )
            if match:
                out["SeparateQty"] = number(match[1])

    def _sending(self, name: str, unit: Unit, out: dict, twin: Twin) -> None:
        outputs = twin.ports[name].outputs
        percent = r"(\d+(?:\.\d+)?)(?: ?%| percent)"
        match = unit.first(
            [
                r"random output port \((\d+) to (\d+), equally likely\)",
                r"uniformly at random from (\d+) to (\d+)",
                r"random choice of output port \((\d+) to (\d+)\)",
                r"output port from (\d+) to (\d+) at random",
                r"one of output ports (\d+) to (\d+) at random",
            ]
        )
        if match:
            out["SendToPort"] = ("duniform", (Fraction(match[1]), Fraction(match[2])))
            return
        match = unit.first(
            [
                rf"split(?:s)? items evenly at random over ({LIST})|items split evenly at random over ({LIST})",
                rf"even random choice of ({LIST})",
                rf"sends? each item to ({LIST.replace(' and ', ' or ')}) at random, all equally likely",
                rf"distributes? items evenly at random to ({LIST})",
            ]
        )
        if match:
            told = [self.names[int(i)] for i in re.findall(r"\d+", next(filter(None, match.groups())))]
            assert tuple(told) == outputs, (told, outputs)
            out["SendToPort"] = ("duniform", (Fraction(1), Fraction(len(told))))
            return
        match = unit.take(
            rf"{percent} of the items (?:sent to|leaving by|to) output port (\d+) and "
            r"(?:the rest|the others) (?:to|by) port (\d+)"
        )
        match = match or unit.take(rf"{percent} of the items leaving by output port (\d+), the others by port (\d+)")
        if match:
            out["SendToPort"] = ("bernoulli", tuple(Fraction(match[i]) for i in (1, 2, 3)))
            return
        match = unit.take(rf"{percent}[^%¤⟦]*?⟦(\d+)⟧(?: and|,|;)[^%¤⟦]*?{percent}[^%¤⟦]*?⟦(\d+)⟧")
        if match:
            assert Fraction(match[1]) + Fraction(match[3]) == 100
            ports = [outputs.index(self.names[int(match[i])]) + 1 for i in (2, 4)]
            out["SendToPort"] = ("bernoulli", (Fraction(match[1]), *map(Fraction, ports)))

    # --- Connections and locations ------------------------------------------------------------------------------------

    def _connection(self, piece: str) -> bool:
        for pattern, kind in FRAMES:
            match = compiled(pattern).fullmatch(piece)
            if match is None:
                continue
            groups = [[self.names[int(i)] for i in re.findall(r"\d+", part)] for part in match.groups()]
            if kind == "chain":
                path = [name for part in groups for name in part]
                wires = [Connection(a, b) for a, b in itertools.pairwise(path)]
            elif kind == "pairs":
                wires = [Connection(a, b) for a, b in zip(groups[0][::2], groups[0][1::2], strict=True)]
            elif kind == "zip":
                wires = [Connection(a, b) for a, b in zip(*groups, strict=True)]
            elif kind == "gnirts":
                wires = [Connection(a, b) for a, b in zip(groups[1], groups[0], strict=True)]
            elif kind in ("to", "from"):
                first, second = groups if kind == "to" else groups[::-1]
                wires = [Connection(a, b) for a in first for b in second]
            else:
                first, second = groups if kind == "center" else groups[::-1]
                wires = [Connection(a, b, "S") for a in first for b in second]
            self.wires += wires
            return True
        return False

    def _location(self, piece: str) -> bool:
        match = re.search(rf"({MARK}).*? (?:stands )?(?:at|is) \((.*?), (.*?), (.*?)\)\.?$", piece)
        if match is None:
            return False
        name = self.names[int(match[1][1:-1])]
        self.locations[name] = tuple(Fraction(match[i]) for i in (2, 3, 4))
        return True


def pieces(text: str) -> list[str]:
    """Returns the sentences, bullets and table rows of a text."""
    out = []
    for line in text.split("\n"):
        if line.startswith("| "):
            name, cls, *told = line.strip("| ").split(" | ")
            if cls not in ("Class", "Type"):
                out.append(f"{name} ({cls}): {'; '.join(told)}")
            continue
        line = re.sub(r"^(?:[-*•]|\d+[.)]) ", "", line.strip())
        out += re.split(r"(?<=[.!?]) (?=[A-Z⟦])", line)
    return [piece for piece in out if piece]
