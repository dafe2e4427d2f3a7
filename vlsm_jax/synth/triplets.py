"""Triplets: a sketch, a prompt and a script of one factory, checked by running the script."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter

import numpy as np

from vlsm_jax import simulator
from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.industries import industry as industry_named
from vlsm_jax.synth.layouts import layout as layout_named
from vlsm_jax.synth.pages import SketchError
from vlsm_jax.synth.prompts import PromptStyle, write_prompt
from vlsm_jax.synth.sampler import horizon, sample_factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.synth.sketches import Sketch, SketchStyle, paint_sketch
from vlsm_jax.twin import Twin, diff

TRIES = 25
REACHED = ("Queue", "Processor", "Sink")
"""Classes of which every object has to take items in."""


class TripletError(RuntimeError):
    """No factory passed its checks; the message counts the reasons."""


@dataclasses.dataclass(frozen=True)
class TripletOptions:
    """What triplets may be made of; every tuple lists what is drawn from, evenly.

    Attributes:
      industries: keys of industries, empty for all.
      layouts: keys of layouts, empty for all.
      prompt_styles: what prompts say.
      script_styles: how scripts are written. Where `LOOP` is among several, prompts ask for the others in words.
      sketch_styles: how sketches are drawn.
      image_size: width and height of a sketch in pixels.
      most_objects: of one factory.
    """

    industries: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    prompt_styles: tuple[PromptStyle, ...] = tuple(PromptStyle)
    script_styles: tuple[ScriptStyle, ...] = tuple(ScriptStyle)
    sketch_styles: tuple[SketchStyle, ...] = tuple(SketchStyle)
    image_size: tuple[int, int] = (512, 341)
    most_objects: int = 12

    def __post_init__(self):
        for key in self.industries:
            industry_named(key)
        for key in self.layouts:
            layout_named(key)
        for field in ("prompt_styles", "script_styles", "sketch_styles"):
            if not getattr(self, field):
                raise ValueError(f"{field} is empty; list at least one style")


@dataclasses.dataclass(frozen=True, eq=False)
class Triplet:
    """One checked example.

    Attributes:
      id: "<seed>-<index>".
      sketch: the picture and what is written on it.
      prompt: what is asked for.
      response: the script (FlexScript).
      factory: the Twin that the script builds, with its industry and layout.
      prompt_style, script_style, sketch_style: how each part was made.
      rejected: why earlier factories of this index were dropped, with how often.
    """

    id: str
    sketch: Sketch
    prompt: str
    response: str
    factory: Factory
    prompt_style: PromptStyle
    script_style: ScriptStyle
    sketch_style: SketchStyle
    rejected: tuple[tuple[str, int], ...] = ()


def twin_digest(twin: Twin) -> bytes:
    """Returns 16 bytes that are the same for equal Twins, in every process (SHA-256 of a canonical form)."""
    data = Twin(tuple(sorted(twin.objects, key=lambda obj: obj.name))).to_dict()
    data["ports"] = [[name, *map(list, dataclasses.astuple(ports))] for name, ports in sorted(twin.ports.items())]
    text = json.dumps(data, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()[:16]


def check_script(script: str, twin: Twin, *, until: float, seed: int = 0) -> str:
    """Returns why a script is not a good example for a Twin, "" when it is one.

    It has to build exactly this Twin, run to `until` seconds without a fault, and bring items to every object: every
    Processor and Queue takes some in and every Sink is reached.
    """
    report = simulator.run(script, until=until, seed=seed)
    if report.twin is None or not report.ok:
        return report.verdict.value
    if report.twin != twin:
        return f"another Twin: {diff(twin, report.twin)[0].kind}"
    for obj in twin.objects:
        statistics = report.kpis.objects.get(obj.name)
        if obj.cls in REACHED and (statistics is None or statistics.input.mean == 0):
            return "an object that no item reaches"
    return ""


def _make(seed: int, index: int, attempt: int, options: TripletOptions) -> Triplet | str:
    """Returns one try, or why it failed. Each part has its own random stream: a new painter changes no prompt."""
    streams = np.random.SeedSequence((seed, index, attempt)).spawn(5)
    choice, factory_rng, prompt_rng, script_rng, sketch_rng = (np.random.default_rng(stream) for stream in streams)

    def pick(values):
        return values[int(choice.integers(len(values)))] if values else None

    industry, layout = pick(options.industries), pick(options.layouts)
    prompt_style, script_style = pick(options.prompt_styles), pick(options.script_styles)
    sketch_style = pick(options.sketch_styles)

    factory = sample_factory(factory_rng, industry=industry, layout=layout, most=options.most_objects)
    script = write_script(factory.twin, script_style, script_rng)
    reason = check_script(script, factory.twin, until=horizon(factory.twin))
    if reason:
        return reason
    asked = script_style if len(options.script_styles) > 1 else None
    prompt = write_prompt(factory, prompt_style, prompt_rng, script_style=asked).text
    try:
        sketch = paint_sketch(factory.twin, sketch_rng, options.image_size, sketch_style)
    except SketchError:
        return "no room in the sketch"
    return Triplet(f"{seed}-{index:06d}", sketch, prompt, script, factory, prompt_style, script_style, sketch_style)


def make_triplet(seed: int, index: int, options: TripletOptions = TripletOptions()) -> Triplet:
    """Returns triplet number `index` of a seed: the same on every call, whatever was made before.

    Its script was run: it builds exactly the Twin of the factory and items reach every object. Factories that fail are
    replaced, and the reasons are counted in `rejected`.

    Raises:
      TripletError: no factory passed in `TRIES` tries.
      ValueError: a negative seed or index.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed {seed} and index {index} must not be negative")
    reasons: Counter[str] = Counter()
    for attempt in range(TRIES):
        made = _make(seed, index, attempt, options)
        if isinstance(made, Triplet):
            return dataclasses.replace(made, rejected=tuple(sorted(reasons.items())))
        reasons[made] += 1
    counted = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
    raise TripletError(f"triplet {index} of seed {seed} failed {TRIES} times: {counted}")
