"""Triplets: a sketch, a prompt and a script of one factory, checked by running the script."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from vlsm_jax import simulator
from vlsm_jax.synth.dice import streams
from vlsm_jax.synth.factory import AUTOMATION, FEATURES, Factory
from vlsm_jax.synth.industries import industry as industry_named
from vlsm_jax.synth.isomorphism import factory_key
from vlsm_jax.synth.layouts import layout as layout_named
from vlsm_jax.synth.names import with_open_names
from vlsm_jax.synth.prompts import Prompt, PromptStyle, write_prompt
from vlsm_jax.synth.sampler import sample_unless
from vlsm_jax.synth.scripts import PLAIN, ScriptStyle, write_script
from vlsm_jax.synth.sketches import Sketch, SketchError, SketchStyle, paint_sketch
from vlsm_jax.synth.splits import MOST_OBJECTS, Keys, Split, industries_of, refused_shapes, sampling, takes
from vlsm_jax.synth.trials import Trial
from vlsm_jax.twin import Twin, diff

TRIES = 40
"""Of factories that fit their split, until one passes all checks."""

SAMPLES = 4000
"""Of factories, until one fits the split."""

T = TypeVar("T")


class TripletError(RuntimeError):
    """No factory passed its checks; the message counts the reasons."""


@dataclasses.dataclass(frozen=True)
class TripletOptions:
    """What triplets may be made of; every tuple lists what is drawn from, evenly.

    Attributes:
      industries: keys of industries, empty for all. Those that a split holds out stay out.
      layouts: keys of layouts; empty for all, as often as real factories have them.
      automation: levels of automation; empty for all, as often as the paper has them.
      features: what factories may have beyond a row of stations, None for everything.
      prompt_styles: what prompts say.
      script_styles: how scripts are written. Where `LOOP` is among several, prompts ask for the others in words.
      sketch_styles: how sketches are drawn.
      image_size: width and height of the largest sketch in pixels; flat factories get flatter ones.
      most_objects: of one factory, in splits other than `size` never more than those allow.
      plain: prompts and scripts in one way of writing each, for models too small to learn many.
      open_names: the share of factories whose objects have names of no industry; see `vlsm_jax.synth.names`.
      plain_scripts: scripts alone in one way of writing, for models that are to read all prompts and need one answer.
    """

    industries: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    automation: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    prompt_styles: tuple[PromptStyle, ...] = tuple(PromptStyle)
    script_styles: tuple[ScriptStyle, ...] = tuple(ScriptStyle)
    sketch_styles: tuple[SketchStyle, ...] = tuple(SketchStyle)
    image_size: tuple[int, int] = (512, 341)
    most_objects: int = MOST_OBJECTS
    plain: bool = False
    plain_scripts: bool = False
    open_names: float = 0.0

    def __post_init__(self):
        if not 0 <= self.open_names <= 1:
            raise ValueError(f"open_names={self.open_names:g} is no share of the factories, from 0 to 1")
        for key in self.industries:
            industry_named(key)
        for key in self.layouts:
            layout_named(key)
        for field, known in (("automation", AUTOMATION), ("features", FEATURES)):
            unknown = sorted(set(getattr(self, field) or ()) - set(known))
            if unknown:
                raise ValueError(f"{field} has no {', '.join(map(repr, unknown))}; choose among {', '.join(known)}")
        for field in ("prompt_styles", "script_styles", "sketch_styles"):
            if not getattr(self, field):
                raise ValueError(f"{field} is empty; list at least one style")

    def industries_of(self, split: Split) -> tuple[str, ...]:
        """Returns the industries to draw from for a split; raises `ValueError` when there is none."""
        there = tuple(key for key in industries_of(split) if not self.industries or key in self.industries)
        if not there:
            raise ValueError(
                f"split {split.value!r} takes none of the industries {', '.join(self.industries)}; "
                f"it takes {', '.join(industries_of(split))}"
            )
        return there

    def to_json(self) -> dict[str, Any]:
        """Returns the options as JSON."""
        return {
            "industries": list(self.industries),
            "layouts": list(self.layouts),
            "automation": list(self.automation),
            "features": None if self.features is None else list(self.features),
            "prompt_styles": [style.value for style in self.prompt_styles],
            "script_styles": [style.value for style in self.script_styles],
            "sketch_styles": [style.value for style in self.sketch_styles],
            "image_size": list(self.image_size),
            "most_objects": self.most_objects,
            "plain": self.plain,
            "plain_scripts": self.plain_scripts,
            "open_names": self.open_names,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TripletOptions:
        """Reads what `to_json` returned; what is left out is as by default.

        Raises:
          ValueError: a key or a value that does not exist.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(
                f"triplets have no option {', '.join(unknown)}; those there are: {', '.join(sorted(known))}"
            )
        styles = {"prompt_styles": PromptStyle, "script_styles": ScriptStyle, "sketch_styles": SketchStyle}
        values: dict[str, Any] = {}
        for key, value in data.items():
            if key in styles:
                value = tuple(map(styles[key], value))
            values[key] = tuple(value) if isinstance(value, (list, tuple)) else value
        return cls(**values)


@dataclasses.dataclass(frozen=True, eq=False)
class Triplet:
    """One checked example.

    Attributes:
      id: "<seed>-<split>-<index>".
      split: where it belongs.
      sketch: the picture, and what is known of it.
      prompt: what is asked for, and what is left open.
      response: the script (FlexScript).
      factory: the Twin that the script builds, with its industry and layout.
      keys: what tells it apart from other factories.
      prompt_style, script_style, sketch_style: how each part was made.
      rejected: why earlier factories of this index were dropped, with how often.
    """

    id: str
    split: Split
    sketch: Sketch
    prompt: Prompt
    response: str
    factory: Factory
    keys: Keys
    prompt_style: PromptStyle
    script_style: ScriptStyle
    sketch_style: SketchStyle
    rejected: tuple[tuple[str, int], ...] = ()

    def row(self) -> dict[str, Any]:
        """Returns the row of a data set, without the path of its picture: text, and what the triplet was made of."""
        goal = self.prompt.goal
        return {
            "prompt": self.prompt.text,
            "response": self.response,
            "id": self.id,
            "split": self.split.value,
            "industry": self.factory.industry,
            "layout": self.factory.layout,
            "automation": self.factory.automation,
            "features": list(self.factory.features),
            "prompt_style": self.prompt_style.value,
            "script_style": self.script_style.value,
            "sketch_style": self.sketch_style.value,
            "objects": len(self.factory.twin.objects),
            "connections": len(self.factory.twin.connections),
            "omitted": list(self.prompt.omitted),
            "goal": None if goal is None else dataclasses.asdict(goal),
            "misspelt": dict(self.sketch.labels),
            "letter_height": round(self.sketch.letter_height, 1),
            "legible_at": self.sketch.legible_at,
            "topology": self.keys.topology,
            "factory": self.keys.factory,
        }


def check_script(script: str, factory: Factory, *, seed: int = 0) -> str:
    """Returns why a script is not a good example for a factory, "" when it is one.

    It has to build exactly this Twin without a warning, run without a fault, and bring items everywhere at a sane pace
    (`Trial`): its run ends as soon as that is beyond doubt.
    """
    trial, reason = Trial(factory), ""
    with contextlib.closing(simulator.watch(script, trial.looks, seed=seed)) as reports:
        for report in reports:
            reason = trial.judge(report)
            if not reason:
                break
    if report.ok and report.twin != factory.twin:
        return f"another Twin: {diff(factory.twin, report.twin)[0].kind}"
    return reason


def _pick(values: Sequence[T], rng: np.random.Generator) -> T | None:
    return values[int(rng.integers(len(values)))] if values else None


def sample_for(
    split: Split, options: TripletOptions, choice: np.random.Generator, rng: np.random.Generator
) -> tuple[Factory, Keys]:
    """Returns a factory that may go to a split, with its keys.

    Args:
      split: where it is to go.
      options: what it may be.
      choice: chooses industry, layout and automation, as far as `options` does not.
      rng: decides on everything else.

    Raises:
      TripletError: none of `SAMPLES` factories may go there.
    """
    limits = sampling(split)
    limits["most"] = min(limits["most"], options.most_objects)
    industries, refuses = options.industries_of(split), refused_shapes(split)
    key = ""

    def wants(twin: Twin) -> bool:
        nonlocal key
        key = factory_key(twin)
        return takes(split, twin, key)

    for _ in range(SAMPLES):
        sampled = sample_unless(
            refuses,
            wants,
            rng,
            industry=_pick(industries, choice),
            layout=_pick(options.layouts, choice),
            automation=_pick(options.automation, choice),
            features=options.features,
            **limits,
        )
        if sampled is not None:
            return sampled.factory, Keys(sampled.topology, key)
    raise TripletError(
        f"none of {SAMPLES} factories may go to split {split.value!r}; allow more layouts, features or objects"
    )


def _make(seed: int, index: int, attempt: int, split: Split, options: TripletOptions) -> Triplet | str:
    """Returns one try, or why it failed. Each part has its own random stream: a new painter changes no prompt."""
    place = list(Split).index(split)
    number = (seed, place, index, attempt)
    choice, style_rng, factory_rng, prompt_rng, script_rng, sketch_rng, name_rng = streams(number, 7)

    prompt_style = _pick(options.prompt_styles, style_rng)
    script_style = _pick(options.script_styles, style_rng)
    sketch_style = _pick(options.sketch_styles, style_rng)
    factory, keys = sample_for(split, options, choice, factory_rng)
    if options.open_names and name_rng.random() < options.open_names:
        factory = dataclasses.replace(factory, twin=with_open_names(factory.twin, name_rng))
    asked = script_style if len(options.script_styles) > 1 else None
    prompt = write_prompt(factory, prompt_style, prompt_rng, script_style=asked, plain=options.plain)
    twin = prompt.told if script_style is ScriptStyle.DICTATED else factory.twin
    script = write_script(twin, script_style, script_rng, PLAIN if options.plain or options.plain_scripts else None)
    reason = check_script(script, factory)
    if reason:
        return reason
    try:
        sketch = paint_sketch(factory.twin, sketch_rng, options.image_size, sketch_style)
    except SketchError:
        return "no room in the sketch"
    name = f"{seed}-{split.value}-{index:06d}"
    return Triplet(name, split, sketch, prompt, script, factory, keys, prompt_style, script_style, sketch_style)


def make_triplet(
    seed: int, index: int, options: TripletOptions = TripletOptions(), split: Split = Split.TRAIN
) -> Triplet:
    """Returns triplet number `index` of a split: the same for a seed on every call, whatever was made before.

    Its script was run: it builds exactly the Twin of the factory and items flow everywhere. Factories that fail are
    replaced, and the reasons are counted in `rejected`.

    Raises:
      TripletError: no factory passed in `TRIES` tries.
      ValueError: a negative seed or index, or options that leave the split nothing.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed {seed} and index {index} must not be negative")
    reasons: Counter[str] = Counter()
    for attempt in range(TRIES):
        made = _make(seed, index, attempt, split, options)
        if isinstance(made, Triplet):
            return dataclasses.replace(made, rejected=tuple(sorted(reasons.items())))
        reasons[made] += 1
    counted = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
    raise TripletError(f"triplet {index} of seed {seed}, split {split.value}, failed {TRIES} times: {counted}")
