"""Grammar constraint: whether all that is written under it parses, and what asking the grammar takes.

Prints one JSON object per figure:

  parses  untrained models write `--samples` scripts, half of them greedily, half drawn at temperature 1: how many
          parse, how many ended by themselves (of the others what is whole is kept), how many of those that did would
          not have parsed, and how many of as many written freely parse.
  follow  for each tokenizer: microseconds per token that following real scripts takes, without any model: to take a
          token that may come, and to fill the bits of all that may, which only a token that may not come asks for.

What decoding costs with and without constraint is in `benchmarks/decoding.py`.

    python benchmarks/constrain.py [--tokenizer FOLDER ...] >> benchmarks/results/constrain.jsonl
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import jax
import llguidance
import numpy as np

from vlsm_jax.data.tokenizer import Tokenizer, load_tokenizer, train_bpe
from vlsm_jax.flexscript import parse
from vlsm_jax.generation.constrained import ConstrainedDecoder
from vlsm_jax.generation.constraint import Constraint
from vlsm_jax.generation.decode import Candidate, within_grammar
from vlsm_jax.generation.loop import Limits, write
from vlsm_jax.generation.prompts import make_prompts
from vlsm_jax.generation.sampling import GREEDY, Sampling
from vlsm_jax.models import DecoderConfig, VlsmConfig
from vlsm_jax.synth.prompts import PromptStyle, write_prompt
from vlsm_jax.synth.sampler import sample_factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.training.network import Network

NO_PICTURE = np.zeros(0, np.uint8)


def written_triplets(count: int) -> list[tuple[str, str]]:
    """Returns prompts and scripts of sampled factories, the scripts in all styles by turns."""
    styles = list(ScriptStyle)
    pairs = []
    for i in range(count):
        rng = np.random.default_rng((7, i))
        factory = sample_factory(rng)
        script = write_script(factory.twin, styles[i % len(styles)], rng)
        pairs.append((write_prompt(factory, PromptStyle.COMPLETE, rng).text, script))
    return pairs


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


def measure_parses(tokenizer: Tokenizer, samples: int, limit: int, at_once: int) -> dict:
    """Lets untrained models write, each batch another model."""
    constraint = Constraint(tokenizer)
    network = untrained(tokenizer, 32, 2, 4, 0.3)
    decoder, samplings = ConstrainedDecoder(network, constraint), (GREEDY, Sampling(temperature=1.0, min_p=0.0))
    ends = {"new_tokens": limit, "eos_id": tokenizer.eos_id, "vocabulary": tokenizer.size}
    freely = jax.jit(lambda params, batch: write(network.merge(params), batch, **ends))
    made: list[Candidate] = []
    free = 0
    for i in range(samples // at_once):
        params = network.init(i)
        prompts = [f"Factory {i * at_once + k}: {k + 2} machines in a line." for k in range(at_once)]
        batch = make_prompts(tokenizer, prompts, [NO_PICTURE] * at_once, 0)
        limits = Limits(limit, tokenizer.eos_id, tokenizer.size, sampling=samplings[i % 2])
        result = decoder.decode(params, batch, limits, seed=i)
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
    for script in scripts[:10]:  # what the grammar has not met yet takes longer
        _follow(constraint, script)
    took = [pair for script in scripts for pair in _follow(constraint, script)]
    taking, filling = (np.array(seconds) * 1e6 for seconds in zip(*took, strict=True))
    return {
        "figure": "follow",
        "tokenizer": name,
        "vocabulary": tokenizer.size,
        "scripts": len(scripts),
        "prepare_s": round(preparing, 3),
        "tokens": len(took),
        "take_us": round(float(taking.mean()), 1),
        "take_median_us": round(float(np.median(taking)), 1),
        "fill_us": round(float(filling.mean()), 1),
        "fill_median_us": round(float(np.median(filling)), 1),
    }


def _follow(constraint: Constraint, script: str) -> list[tuple[float, float]]:
    """Returns seconds to take each token, and to fill the bits before it."""
    rows, seconds = constraint.scripts(1), []
    for token in constraint.tokenizer.encode_response(script):
        started = time.perf_counter()
        rows.fill(0)
        filled = time.perf_counter()
        taken = rows.take(0, [token])
        seconds.append((time.perf_counter() - filled, filled - started))
        if not taken:
            raise SystemExit(f"the grammar does not take a script that is written:\n{script}")
    return seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=50, help="rows of a batch of samples")
    parser.add_argument("--limit", type=int, default=128, help="tokens of a sample")
    parser.add_argument(
        "--tokenizer", type=Path, action="append", default=[], help="a tokenizer's folder; may be repeated"
    )
    options = parser.parse_args()
    scripts = [script for _, script in written_triplets(60)]
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
        if options.samples:
            figures.append(lambda: measure_parses(ours, options.samples, options.limit, options.at_once))
        for figure in figures:
            print(json.dumps(figure() | facts), flush=True)


if __name__ == "__main__":
    main()
