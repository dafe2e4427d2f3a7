"""Grammar constraint: whether all that is written under it parses, and what it costs.

Prints one JSON object per figure:

  parses  untrained models write `--samples` scripts, half of them greedily, half drawn at temperature 1: how many
          parse, how many ended by themselves (of the others what is whole is kept), how many of those that did would
          not have parsed, and how many of as many written freely parse.
  follow  for each tokenizer: milliseconds per token that following real scripts takes, without any model.
  cost    seconds of three loops that take the same number of steps of the same model, in turns: the loop compiled as
          a whole (`write`), the loop on the host that is told what to write, and that loop following the grammar too.
          `host` and `grammar` are ratios of medians: of the second to the first, and of the third to the second.

    python benchmarks/constrain.py [--tokenizer FOLDER ...] >> benchmarks/results/constrain.jsonl
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import llguidance
import numpy as np

from vlsm_jax.data.tokenizer import Tokenizer, load_tokenizer, train_bpe
from vlsm_jax.flexscript import parse
from vlsm_jax.generation.constrained import ConstrainedDecoder
from vlsm_jax.generation.constraint import Constraint, Scripts
from vlsm_jax.generation.decode import Candidate, within_grammar
from vlsm_jax.generation.loop import write
from vlsm_jax.generation.prompts import make_prompts
from vlsm_jax.generation.sampling import GREEDY, Sampling
from vlsm_jax.models import DecoderConfig, VlsmConfig
from vlsm_jax.synth.sampler import sample_factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.training.network import Network

NO_PICTURE = np.zeros(0, np.uint8)


def written(count: int) -> list[str]:
    """Returns scripts of sampled factories, in all styles by turns."""
    styles = list(ScriptStyle)
    rngs = [np.random.default_rng((7, i)) for i in range(count)]
    return [write_script(sample_factory(rng).twin, styles[i % len(styles)], rng) for i, rng in enumerate(rngs)]


def untrained(tokenizer: Tokenizer, width: int, layers: int, heads: int, std: float) -> Network:
    """Returns a decoder of text alone, its vocabulary padded."""
    decoder = DecoderConfig(
        family="llama",
        vocabulary=-(-tokenizer.size // 64) * 64,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=2,
        head_dim=width // heads,
        mlp_width=3 * width,
        init_std=std,
    )
    return Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id))


def compiled_loop(network: Network, tokenizer: Tokenizer, steps: int, eos_id: int) -> Callable:
    """Returns the loop without constraint, one compiled call of parameters and prompts."""
    size = tokenizer.size
    return jax.jit(lambda p, b: write(network.merge(p), b, new_tokens=steps, eos_id=eos_id, vocabulary=size))


def measure_parses(tokenizer: Tokenizer, samples: int, limit: int, at_once: int) -> dict:
    """Lets untrained models write, each batch another model."""
    constraint = Constraint(tokenizer)
    network = untrained(tokenizer, 32, 2, 4, 0.3)
    decoder, samplings = ConstrainedDecoder(network, constraint), (GREEDY, Sampling(temperature=1.0, min_p=0.0))
    freely = compiled_loop(network, tokenizer, limit, tokenizer.eos_id)
    made: list[Candidate] = []
    free = 0
    for i in range(samples // at_once):
        params = network.init(i)
        prompts = [f"Factory {i * at_once + k}: {k + 2} machines in a line." for k in range(at_once)]
        batch = make_prompts(tokenizer, prompts, [NO_PICTURE] * at_once, 0)
        result = decoder.decode(params, batch, limit, sampling=samplings[i % 2], seed=i)
        for row, length in zip(result.tokens, result.lengths, strict=True):
            text = tokenizer.decode(row[:length])
            made.append(within_grammar(Candidate(text, int(length), bool(row[length - 1] == tokenizer.eos_id))))
        tokens = np.asarray(freely(params, batch).tokens)
        free += sum(bool(text.strip()) and parse(text).ok for text in map(tokenizer.decode, tokens))
    return {
        "figure": "parses",
        "samples": len(made),
        "parse": sum(parse(c.text).ok for c in made),
        "ended": sum(c.ended for c in made),
        "cut": sum(c.cut for c in made),
        "wrong": sum(c.ended and c.cut for c in made),
        "empty": sum(not c.text.strip() for c in made),
        "parse_without": free,
        "tokens": limit,
        "vocabulary": tokenizer.size,
    }


def measure_following(name: str, tokenizer: Tokenizer, scripts: list[str]) -> dict:
    """Follows scripts as decoding does, one row at a time."""
    started = time.perf_counter()
    constraint = Constraint(tokenizer)
    preparing = time.perf_counter() - started
    first, again = ([_follow(constraint, script) for script in scripts] for _ in range(2))
    return {
        "figure": "follow",
        "tokenizer": name,
        "vocabulary": tokenizer.size,
        "scripts": len(scripts),
        "prepare_s": round(preparing, 3),
        "tokens": sum(map(len, first)),
        "ms_per_token": round(1e3 * statistics.mean(s for run in again for s in run), 4),
        "median_ms": round(1e3 * statistics.median(s for run in again for s in run), 4),
        "first_time_ms": round(1e3 * statistics.mean(s for run in first for s in run), 4),
    }


def _follow(constraint: Constraint, script: str) -> list[float]:
    ids = constraint.tokenizer.encode_response(script)
    rows, seconds = constraint.scripts(1), []
    for token in ids:
        started = time.perf_counter()
        rows.write(np.array([token]))
        seconds.append(time.perf_counter() - started)
    if not rows.done.all():
        raise SystemExit(f"the grammar does not take a script that is written:\n{script}")
    return seconds


class Told:
    """Scripts that are dictated: one token alone may come; with a grammar, it is followed beside."""

    def __init__(self, ids: np.ndarray, words: int, grammar: Scripts | None):
        self._ids, self._grammar, self._step = ids, grammar, 0
        self.bits = np.zeros((len(ids), words), np.int32)
        self.done = np.zeros(len(ids), bool)
        self._show()

    def write(self, tokens: np.ndarray) -> None:
        """Goes on to the next token."""
        if self._grammar is not None:
            self._grammar.write(tokens)
        self._step = min(self._step + 1, self._ids.shape[1] - 1)
        self._show()

    def _show(self) -> None:
        self.bits[:] = 0
        token = self._ids[:, self._step]
        self.bits[np.arange(len(token)), token // 32] = (np.uint32(1) << (token % 32).astype(np.uint32)).view(np.int32)


class Dictation:
    """Stands in for a constraint."""

    def __init__(self, constraint: Constraint, ids: np.ndarray, *, follow: bool):
        self.tokenizer, self._constraint, self._ids, self._follow = constraint.tokenizer, constraint, ids, follow

    def scripts(self, rows: int) -> Told:
        """Returns the scripts that are dictated."""
        return Told(self._ids, self._constraint.words, self._constraint.scripts(rows) if self._follow else None)


def measure_cost(tokenizer: Tokenizer, scripts: list[str], rows: int, steps: int, rounds: int, width: int) -> dict:
    """Decodes in three ways, by turns."""
    constraint = Constraint(tokenizer)
    network = untrained(tokenizer, width, 8, 8, 0.02)
    params = network.init(0)
    batch = make_prompts(tokenizer, ["A line of machines. " * 20] * rows, [NO_PICTURE] * rows, 0)
    long = [ids for ids in map(tokenizer.encode_response, scripts) if len(ids) > steps]
    ids = np.array([long[i % len(long)][:steps] for i in range(rows)], np.int32)
    compiled = compiled_loop(network, tokenizer, steps, -1)
    host, grammar = (ConstrainedDecoder(network, Dictation(constraint, ids, follow=f)) for f in (False, True))
    ways = {
        "compiled_s": lambda: jax.block_until_ready(compiled(params, batch)),
        "host_s": functools.partial(host.decode, params, batch, steps),
        "grammar_s": functools.partial(grammar.decode, params, batch, steps),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if round_number:  # the first one compiles
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "figure": "cost",
        "rows": rows,
        "steps": steps,
        "rounds": rounds,
        "parameters": network.parameter_count,
        "vocabulary": tokenizer.size,
        **{name: round(value, 3) for name, value in median.items()},
        "host": round(median["host_s"] / median["compiled_s"], 3),
        "grammar": round(median["grammar_s"] / median["host_s"], 3),
        "filling_s": round(grammar.timing.filling, 3),
        "waiting_s": round(grammar.timing.waiting, 3),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=50, help="rows of a batch of samples")
    parser.add_argument("--limit", type=int, default=128, help="tokens of a sample")
    parser.add_argument(
        "--tokenizer", type=Path, action="append", default=[], help="a tokenizer's folder; may be repeated"
    )
    parser.add_argument("--rows", type=int, action="append", default=[], help="rows of a batch whose cost is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=384, help="of the model whose cost is measured")
    options = parser.parse_args()
    scripts = written(60)
    facts = {
        "llguidance": llguidance.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
    with tempfile.TemporaryDirectory() as scratch:
        ours = train_bpe(scripts, 4096, Path(scratch, "bpe"))
        figures = [lambda: measure_following("ours", ours, scripts)]
        figures += [
            functools.partial(measure_following, path.name, load_tokenizer(path), scripts) for path in options.tokenizer
        ]
        figures += [
            functools.partial(measure_cost, ours, scripts, rows, 192, options.rounds, options.width)
            for rows in options.rows or (1, 8)
        ]
        if options.samples:
            figures.append(lambda: measure_parses(ours, options.samples, options.limit, options.at_once))
        for figure in figures:
            print(json.dumps(figure() | facts), flush=True)


if __name__ == "__main__":
    main()
