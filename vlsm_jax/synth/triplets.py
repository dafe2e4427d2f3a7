"""Triplets: a sketch, a prompt and a script of one factory, checked by running the script."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from vlsm_jax.synth.sampler import FEWEST, check_choices, sample_unless
from vlsm_jax.synth.scripts import PLAIN, ScriptStyle, write_script
from vlsm_jax.synth.sketches import Sketch, SketchError, SketchStyle, annotate, paint_sketch
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
      annotated: rows tell what is where in the sketch; see `vlsm_jax.synth.sketches.annotations`.
      plain_scripts: scripts alone in one way of writing, for models that are to read all prompts and need one answer.
      self_contained: no prompt leaves the connections to the sketch, for models of text alone.
      unordered: prompts that do introduce the objects in no order, so that the sketch alone tells what follows what.
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
    annotated: bool = False
    self_contained: bool = False
    unordered: bool = False

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
        if self.self_contained and PromptStyle.SKETCH in self.prompt_styles:
            raise ValueError(
                "prompt style 'sketch' leaves all connections to the sketch, and self_contained prompts tell them: "
                "leave one of the two out"
            )

    def industries_of(self, split: Split) -> tuple[str, ...]:
        """Returns the industries to draw from for a split; raises `ValueError` when there is none."""
        there = tuple(key for key in industries_of(split) if not self.industries or key in self.industries)
        if not there:
            raise ValueError(
                f"split {split.value!r} takes none of the industries {', '.join(self.industries)}; "
                f"it takes {', '.join(industries_of(split))}"
            )
        return there

    def sampling(self, split: Split) -> dict[str, Any]:
        """Returns what `sample_factory` must be given for a split: its rules, and no more objects than wanted here."""
        limits = sampling(split)
        return limits | {"most": min(limits["most"], self.most_objects)}

    def check(self, split: Split) -> None:
        """Raises `ValueError` when no triplet for a split can be like this, before any is made."""
        self.industries_of(split)
        limits = self.sampling(split)
        fewest, most = limits.get("fewest", FEWEST), limits["most"]
        if most < fewest:
            raise ValueError(
                f"split {split.value!r} takes factories of {fewest} objects or more, and most_objects is "
                f"{self.most_objects}; allow more objects, or ask for 0 triplets of that split"
            )
        for layout in self.layouts or (None,):
            for automation in self.automation or (None,):
                check_choices(layout, automation, self.features, fewest, most)

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
            # Left out where not asked for, so that a set made before there were such things is still the same.
            **({"annotated": True} if self.annotated else {}),
            **({"self_contained": True} if self.self_contained else {}),
            **({"unordered": True} if self.unordered else {}),
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
      annotated: whether its row tells what is where in the sketch.
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
    annotated: bool = False
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
            **({"annotation": annotate(self.factory.twin, self.sketch.drawn)} if self.annotated else {}),
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
    trial.close()
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
    limits = options.sampling(split)
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


class _Draft:
    """One triplet on its way: what is made of the factory that it has at present.

    Attributes:
      reasons: why earlier factories were dropped, with how often.
    """

    def __init__(self, seed: int, split: Split, index: int, options: TripletOptions):
        self.reasons: Counter[str] = Counter()
        self._number = seed, list(Split).index(split), index
        self._split, self._options = split, options

    def draw(self) -> None:
        """Draws a factory; raises `TripletError` after `TRIES` of them."""
        seed, _, index = self._number
        attempt, options = self.reasons.total(), self._options
        if attempt == TRIES:
            counted = ", ".join(f"{reason} ({count})" for reason, count in self.reasons.most_common())
            raise TripletError(
                f"triplet {index} of seed {seed}, split {self._split.value}, failed {TRIES} times: {counted}"
            )
        # Each part has its own random stream: a new painter changes no prompt.
        choice, styles, rng, *self._streams, names = streams((*self._number, attempt), 7)
        self.prompt_style = _pick(options.prompt_styles, styles)
        self.script_style = _pick(options.script_styles, styles)
        self.sketch_style = _pick(options.sketch_styles, styles)
        factory, self.keys = sample_for(self._split, options, choice, rng)
        if options.open_names and names.random() < options.open_names:
            factory = dataclasses.replace(factory, twin=with_open_names(factory.twin, names))
        self.factory = factory

    def write_prompt(self) -> None:
        """Writes the prompt."""
        options, rng = self._options, self._streams[0]
        asked = self.script_style if len(options.script_styles) > 1 else None
        how = {"script_style": asked, "plain": options.plain}
        how |= {"self_contained": options.self_contained, "unordered": options.unordered}
        self.prompt = write_prompt(self.factory, self.prompt_style, rng, **how)

    def write_script(self) -> None:
        """Writes the script."""
        twin = self.prompt.told if self.script_style is ScriptStyle.DICTATED else self.factory.twin
        habits = PLAIN if self._options.plain or self._options.plain_scripts else None
        self.script = write_script(twin, self.script_style, self._streams[1], habits)

    def passes(self) -> bool:
        """Runs the script; returns whether it is a good example."""
        reason = check_script(self.script, self.factory)
        if reason:
            self.reasons[reason] += 1
        return not reason

    def finished(self) -> Triplet | None:
        """Draws the sketch; returns the triplet, None where there is no room in the sketch."""
        try:
            sketch = paint_sketch(self.factory.twin, self._streams[2], self._options.image_size, self.sketch_style)
        except SketchError:
            self.reasons["no room in the sketch"] += 1
            return None
        seed, _, index = self._number
        return Triplet(
            f"{seed}-{self._split.value}-{index:06d}",
            self._split,
            sketch,
            self.prompt,
            self.script,
            self.factory,
            self.keys,
            self.prompt_style,
            self.script_style,
            self.sketch_style,
            annotated=self._options.annotated,
            rejected=tuple(sorted(self.reasons.items())),
        )


def _prepare(drafts: Sequence[_Draft]) -> None:
    """Draws factories and writes prompts and scripts, until all scripts pass their checks."""
    while drafts:
        for part in (_Draft.draw, _Draft.write_prompt, _Draft.write_script):
            for draft in drafts:
                part(draft)
        drafts = [draft for draft in drafts if not draft.passes()]


def make_triplets(
    seed: int, indices: Sequence[int], options: TripletOptions = TripletOptions(), split: Split = Split.TRAIN
) -> Iterator[Triplet]:
    """Yields the triplets that `make_triplet` gives for several indices, in their order.

    All factories are drawn first, then all prompts are written, and so on: what a part works with stays at hand while
    it is made many times, which is quicker by a twentieth than one triplet after the other.

    Raises:
      TripletError, ValueError: see `make_triplet`.
    """
    if seed < 0 or min(indices, default=0) < 0:
        raise ValueError(f"seed {seed} and index {min(indices, default=0)} must not be negative")
    drafts = [_Draft(seed, split, index, options) for index in indices]
    _prepare(drafts)
    for draft in drafts:
        while (triplet := draft.finished()) is None:
            _prepare([draft])
        yield triplet


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
    (triplet,) = make_triplets(seed, (index,), options, split)
    return triplet
