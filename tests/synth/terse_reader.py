"""A reader of terse prompts, for tests: abbreviations and lists, one object or several in a line."""

from __future__ import annotations

import re

from prompt_reader import CLASSES, COMMANDS, LIST, MARK, NUM, ORDER, SPEEDS, Read, Reading, Unit, compiled, number

from vlsm_jax.twin import Twin

SHORT_CLASSES = {
    "src": "Source",
    "Q": "Queue",
    "proc": "Processor",
    "sink": "Sink",
    "comb": "Combiner",
    "sep": "Separator",
    "multiproc": "MultiProcessor",
    "straight conv": "StraightConveyor",
    "op": "Operator",
    "TE": "TaskExecuter",
}
CLS = "|".join([*SHORT_CLASSES, *sorted(CLASSES, key=len, reverse=True), *(c.lower() for c in CLASSES)])
CLS += "|straight conveyor|task executer"
NOUNS = {
    "InterArrivalTime": r"\b(?:IAT|interarrival|arr\.)",
    "MaxBatchTime": r"\b(?:max batch wait|batch timeout)",
    "ProcessTime": r"\b(?:PT|process|proc\. time)",
    "SetupTime": r"\b(?:setup|ST|set-up)",
    "UnloadTime": r"\bunload(?: t)?",
    "LoadTime": r"\bload(?: t)?",
    "MoveTime": r"\bmove(?: t)?",
}
FAMILIES = {
    "exponential": rf"exp(?:\(| |\. mean ){NUM}\)?",
    "lognormal": rf"logn(?:ormal)? (?:mean )?{NUM} sd {NUM}",
    "normal": rf"(?:N|normal)(?:\(| ){NUM}(?:, | sd ){NUM}\)?",
    "triangular": rf"tri(?:ang\.)?(?: |\(){NUM}[/-]{NUM}[/-]{NUM}\)?",
    "uniform": rf"(?:U|unif|uniform)(?: |\(){NUM}(?:, |-){NUM}\)?",
    "Weibull": rf"(?:Weibull|weib)(?: |\()scale {NUM},? shape {NUM}\)?",
    "gamma": rf"gamma(?: |\()scale {NUM},? shape {NUM}\)?",
    "Poisson": rf"(?:Poisson|poisson|poi)(?: |\(){NUM}\)?",
}


class TerseReading(Reading):
    """A terse prompt, read; see `Reading`."""

    @staticmethod
    def pieces(text: str) -> list[str]:
        return text.split("\n")

    def _description(self, piece: str, out: list[tuple[list[str], Unit]]) -> None:
        text = self._expand(piece)
        for pattern in (rf"(?P<names>{LIST})(?:: | \(| = )(?P<cls>{CLS})\b", rf"(?P<cls>{CLS}) (?P<names>{LIST})"):
            match = compiled(pattern).match(text)
            if match:
                word = match["cls"]
                cls = SHORT_CLASSES.get(word) or next(c for c in CLASSES if c.lower() == word.replace(" ", "").lower())
                names = [self.names[int(i)] for i in re.findall(r"\d+", match["names"])]
                for name in names:
                    assert name not in self.objects, (name, piece)
                    self.objects[name] = Read(cls)
                out.append((names, Unit(f"¤{text[match.end() :]}")))
                return

    def _duration(self, key: str, noun: str, unit: Unit, out: dict) -> None:
        noun = NOUNS[key]
        for family, pattern in FAMILIES.items():
            match = unit.take(rf"{noun} {pattern}")
            if match:
                told = [number(group) for group in match.groups()]
                if family == "triangular":
                    told = [told[0], told[2], told[1]]
                if "location" in ORDER[family]:
                    told.insert(0, number("0"))
                out[key] = (COMMANDS.get(family, family), tuple(told))
                return
        match = unit.take(rf"{noun} (?:= )?{NUM}(?!\w| ops?\b| setup)")
        if match:
            out[key] = number(match[1])

    def _parameters(self, cls: str, name: str, unit: Unit, twin: Twin) -> dict:
        out: dict = {}
        speeds = "|".join(sorted(SPEEDS, key=len, reverse=True))
        match = unit.take(rf"(?:v=|speed |vmax |max )?{NUM} ({speeds})")
        if match:
            out["Speed" if "onveyor" in cls else "MaxSpeed"] = number(match[1]) * SPEEDS[match[2]]
        match = unit.take(rf"len {NUM} m\w*|L={NUM} m\w*|{NUM} m\w* long")
        if match:
            out["HorizontalLength"] = number(next(filter(None, match.groups())))
        match = unit.take(rf"setup ops: {NUM}|{NUM} setup op\b")
        if match:
            out |= {"UseSetupOperators": number("1"), "NumSetupOperators": number(match[1] or match[2])}
        match = unit.take(rf"\bops: {NUM}|{NUM} op\b|{NUM} operator\(s\)")
        if match:
            out |= {
                "UseProcessOperators": number("1"),
                "NumProcessOperators": number(next(filter(None, match.groups()))),
            }
        for key in NOUNS:
            self._duration(key, "", unit, out)
        match = unit.take(rf"\bbatch(?: |es of |=){NUM}")
        if match:
            out |= {"DoBatching": number("1"), "BatchSize": number(match[1])}
        match = unit.take(rf"(?:cap\.?|capacity|max)(?: |=){NUM}")
        if match:
            executer = cls in ("Operator", "TaskExecuter", "Transporter", "AGV", "Robot", "Crane")
            out["Capacity" if executer else "MaxContent"] = number(match[1])
        if unit.take(r"vertical stack|stack vertical|stacked vert\."):
            out["ItemPlacement"] = "Stack Vertically"
        elif unit.take(r"horizontal line|in line \(horiz\.\)"):
            out["ItemPlacement"] = "Horizontal Line"
        elif unit.take(r"stack(?:ed)? inside"):
            out["ItemPlacement"] = "Stack Inside Queue"
        match = unit.take(rf"base(?: z)?[ =]{NUM}")
        if match:
            out["StackBaseZ"] = number(match[1])
        if unit.take("LIFO"):
            out["LIFO"] = number("1")
        if unit.take("transport"):
            out["UseTransport"] = number("1")
        match = unit.take(r"(?:random port|rnd out) (\d+)(?:-|\.\.)(\d+)")
        if match:
            out["SendToPort"] = ("duniform", (number(match[1]), number(match[2])))
        match = unit.take(rf"(?:even random split: |random to )({MARK}(?:, {MARK})* (?:and|or) {MARK})")
        if match:
            told = tuple(self.names[int(i)] for i in re.findall(r"\d+", match[1]))
            assert told == twin.ports[name].outputs
            out["SendToPort"] = ("duniform", (number("1"), number(str(len(told)))))
        match = unit.take(r"([\d.]+)(?: ?%| percent) port (\d+), rest port (\d+)")
        if match:
            out["SendToPort"] = ("bernoulli", tuple(number(match[i]) for i in (1, 2, 3)))
        percent = r"([\d.]+)(?: ?%| percent)"
        match = unit.take(rf"{percent} (?:ok )?to ⟦(\d+)⟧, {percent} (?:rework to|back to|to) ⟦(\d+)⟧")
        if match:
            assert number(match[1]) + number(match[3]) == 100
            ports = [twin.ports[name].outputs.index(self.names[int(match[i])]) + 1 for i in (2, 4)]
            out["SendToPort"] = ("bernoulli", (number(match[1]), *(number(str(port)) for port in ports)))
        row = rf"([A-Z][\w -]*?) \({NUM} s\w*\)"
        if cls == "MultiProcessor":
            out["ProcessTable"] = [(r[0], number(r[1]), number("0")) for r in re.findall(row, unit.text)]
            unit.text = re.sub(row, "¤", unit.text)
        self._joining(cls, name, unit, out, twin)
        match = unit.take(rf"Split(?: x|, qty ){NUM}|Unpack, qty {NUM}")
        if match:
            out["SeparateQty"] = number(next(filter(None, match.groups())))
        return out
