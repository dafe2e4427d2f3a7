"""What one look at a row tells: is it sound, and what makes it the same as another."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from vlsm_jax import simulator
from vlsm_jax.data.images import ImageError, check_picture, read_picture
from vlsm_jax.data.records import DataError
from vlsm_jax.data.source import TripletSource
from vlsm_jax.data.text_form import DEFAULT_FORM
from vlsm_jax.data.tokenizer import load_tokenizer
from vlsm_jax.processes import in_order
from vlsm_jax.synth.isomorphism import factory_key, topology_key
from vlsm_jax.synth.sampler import timing_pairs
from vlsm_jax.twin import Twin

UNTIL: Final[float] = 3600.0
"""Simulated seconds that a script has to survive; `vlsm score` runs what matters for longer."""

_AT_ONCE = 32  # rows per task
_LONGER = 8  # times `until`, for scripts out of which nothing has come by then

Progress = Callable[[int, int], None]
"""Called with rows seen and rows in all."""


class Finding(NamedTuple):
    """Something worth saying about a row.

    Attributes:
      code: "row", "picture", "script", "warning", "length", "field", "duplicate" or "leak".
      message: what, where ("<file>:<line>" first), and what to do.
    """

    code: str
    message: str

    @property
    def is_error(self) -> bool:
        """Whether the data should not be used as it is."""
        return self.code != "warning"


@dataclasses.dataclass(frozen=True)
class RowFacts:
    """One row.

    Attributes:
      where: "<file>:<line>".
      findings: what is wrong with it alone.
      fields: prompt, response and the row's other fields; None where it cannot be read.
      twin: what its script builds; None where it builds nothing.
      picture: size of the picture's file in bytes; 0 without one.
      text: digest of prompt and script.
      topology, factory: keys of the Twin up to isomorphism; "" without one.
      pairs: distributions that follow each other along the flow.
      tokens: of prompt and script together; None without a tokenizer.
    """

    where: str
    findings: tuple[Finding, ...]
    fields: dict[str, Any] | None = None
    twin: Twin | None = None
    picture: int = 0
    text: bytes = b""
    topology: str = ""
    factory: str = ""
    pairs: frozenset[tuple[str, str]] = frozenset()
    tokens: int | None = None


@dataclasses.dataclass(frozen=True)
class Look:
    """How closely to look.

    Attributes:
      until: simulated seconds that a script is run for, eight times as long where nothing has come out by then; None
        builds it only.
      tokenizer: folder or hub name of a tokenizer that counts; "" does not count.
      most_tokens: of prompt and script together, visual tokens aside.
      keep_fields: whether texts and fields travel back from other processes.
    """

    until: float | None = UNTIL
    tokenizer: str = ""
    most_tokens: int | None = None
    keep_fields: bool = False


@functools.cache
def _tokenizer(name: str):
    return load_tokenizer(name)


def _script_findings(report: simulator.Report | simulator.BuildResult, where: str) -> Iterator[Finding]:
    for diagnostic in report.diagnostics:
        place = f"line {diagnostic.line}, column {diagnostic.column}: " if diagnostic.line else ""
        code = "script" if diagnostic.severity.value == "error" else "warning"
        yield Finding(code, f"{where}: response: {place}{diagnostic.message} ({diagnostic.code})")
        if code == "script":
            return


def look_at(source: TripletSource, index: int, look: Look) -> RowFacts:
    """Returns the facts of one row; whatever is wrong with it is a finding, never an exception."""
    try:
        record = source[index]
    except DataError as error:
        return RowFacts(f"{source.path}:{index}", (Finding("row", str(error)),))
    findings: list[Finding] = []
    picture = 0
    if record.image is not None:
        try:
            data = read_picture(record.image)
            check_picture(record.image, data)
            picture = len(data)
        except ImageError as error:
            findings.append(Finding("picture", f"{record.where}: {error}"))
    if look.until is None:
        report: simulator.Report | simulator.BuildResult = simulator.build(record.response)
    else:
        report = simulator.run(record.response, until=look.until)
        if report.verdict is simulator.Verdict.NO_FLOW:  # a slow line: give it time before it is blamed
            report = simulator.run(record.response, until=_LONGER * look.until)
    script = list(_script_findings(report, record.where))
    if not report.ok and not any(finding.code == "script" for finding in script):
        verdict = getattr(report, "verdict", None)
        script.append(Finding("script", f"{record.where}: response: {verdict.value if verdict else 'builds nothing'}"))
    findings += script

    tokens = None
    if look.tokenizer:
        tokenizer = _tokenizer(look.tokenizer)
        tokens = len(DEFAULT_FORM.encode(record.prompt, record.response, tokenizer)[0])
        if look.most_tokens is not None and tokens > look.most_tokens:
            message = f"{record.where}: {tokens} tokens, over the limit of {look.most_tokens}; training leaves it out"
            findings.append(Finding("length", message))

    twin = report.twin
    keys = (topology_key(twin), factory_key(twin)) if twin is not None else ("", "")
    for field, key in zip(("topology", "factory"), keys, strict=True):
        if twin is not None and record.extra.get(field) not in (None, "", key):
            said = f"{record.where}: field {field!r} is {record.extra[field]!r}, but the script builds {key!r}"
            findings.append(Finding("field", said))
    fields = {**record.extra, "id": record.id, "prompt": record.prompt, "response": record.response}
    if not look.keep_fields:
        fields = {key: record.extra[key] for key in ("industry",) if key in record.extra}
    return RowFacts(
        where=record.where,
        findings=tuple(findings),
        fields=fields,
        twin=twin,
        picture=picture,
        text=hashlib.sha256(f"{record.prompt}\0{record.response}".encode()).digest()[:16],
        topology=keys[0],
        factory=keys[1],
        pairs=timing_pairs(twin) if twin is not None else frozenset(),
        tokens=tokens,
    )


def _look_at_some(task: tuple[TripletSource, range], look: Look) -> list[RowFacts]:
    source, indices = task
    return [look_at(source, index, look) for index in indices]


def look_at_all(source: TripletSource, look: Look = Look(), *, workers: int = 1) -> Iterator[RowFacts]:
    """Yields the facts of every row of a source, in order, found out by `workers` processes."""
    rows = range(len(source))
    tasks = [(source, rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE)]
    for facts in in_order(functools.partial(_look_at_some, look=look), tasks, min(workers, len(tasks))):
        yield from facts
