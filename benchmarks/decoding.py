"""Decoding on a CPU beside transformers' `generate`: the same weights, prompts and number of tokens, in turns.

    python benchmarks/decoding.py                  all comparisons
    python benchmarks/decoding.py batch1 --rounds 9
    python benchmarks/decoding.py scripts1 scripts8 --tokenizer FOLDER
    python benchmarks/decoding.py --tiny           a look at the machinery: figures mean nothing

Every side is a process of its own, which waits for its turn: round after round each side generates once while the
others sleep. A figure is the median of the rounds, a ratio the median of the rounds' ratios. Greedy, float32 and two
threads on both sides; peaks are those of the whole process, weights and compilers included. Compiling is in the first
turn alone, which counts for nothing but the peak.

Comparisons
  batch1, batch8: a Llama of about 30 M parameters at random, prompts of 256 tokens, 128 new ones in each of 1 or 8
    rows. `alike` is the share of new tokens that both sides wrote alike; at random weights two scores may be as good as
    equal.
  scripts1, scripts8: what drafts by lookup and the grammar constraint change, on scripts. The same model at random is
    dictated real scripts of sampled factories for real prompts, so that it does all of its work, and drafts prove right
    as often as they would with a model that writes these scripts; as in a model folder, scripts of other factories are
    there to draft from. A model that errs needs the bits of the grammar filled for each token that it may not write
    (`fillings`); here it needs none.
  nano1, nano4: what drafts change for vlsm-nano, which comes with examples: the scripts of four sketches and prompts of
    industries that it knows, one after another, one greedy or four candidates of each.

Each figure is one JSON line in benchmarks/results/decoding.jsonl. Ours runs with the settings of
`vlsm_jax/cpu_settings.py`; `--plain` leaves the C library's out, and `--peers-too` gives them to PyTorch as well.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results" / "decoding.jsonl"

from benchmarks.machine import machine_name, record  # noqa: E402
from benchmarks.training_sides import llama_config  # noqa: E402
from benchmarks.turns import THREADS, serve, started, take_turns  # noqa: E402


class Size(NamedTuple):
    """Of the decoder, of prompts and of what is written."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    prompt: int
    new: int


FULL = Size(512, 7, 8, 4, 1408, 8192, 256, 128)
TINY = Size(64, 2, 4, 2, 128, 1024, 32, 16)

COMPARISONS = {
    **{f"batch{rows}": (f"ours.{rows}", f"transformers.{rows}") for rows in (1, 8)},
    **{
        f"scripts{rows}": tuple(f"{way}.{rows}" for way in ("plain", "drafts", "grammar", "grammar_drafts"))
        for rows in (1, 8)
    },
    **{f"nano{rows}": (f"nano_plain.{rows}", f"nano_drafts.{rows}") for rows in (1, 4)},
}
# (one, other): what is divided by what.
RATIOS = {
    **{f"batch{rows}": ((f"ours.{rows}", f"transformers.{rows}"),) for rows in (1, 8)},
    **{
        f"scripts{rows}": tuple(
            (f"{one}.{rows}", f"{other}.{rows}")
            for one, other in (("drafts", "plain"), ("grammar", "plain"), ("grammar_drafts", "grammar"))
        )
        for rows in (1, 8)
    },
    **{f"nano{rows}": ((f"nano_drafts.{rows}", f"nano_plain.{rows}"),) for rows in (1, 4)},
}
Step = Callable[[], dict[str, Any]]


# --- What the sides read ----------------------------------------------------------------------------------------------


def prepare(folder: Path, size: Size, tokenizer_folder: Path | None) -> None:
    """Writes weights, prompts, and the prompts and scripts of sampled factories with a tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from benchmarks.constrain import written_triplets
    from vlsm_jax.data.tokenizer import load_tokenizer, train_bpe
    from vlsm_jax.generation.draft_examples import MOST
    from vlsm_jax.synth import Split, TripletOptions, write_dataset

    torch.manual_seed(0)
    config = llama_config(size, max_position_embeddings=8192, initializer_range=0.05)
    LlamaForCausalLM(LlamaConfig(**config)).save_pretrained(folder / "model")
    rng = np.random.default_rng(0)
    np.save(folder / "prompts.npy", rng.integers(3, size.vocabulary, (8, size.prompt)))
    triplets = written_triplets(60)
    if tokenizer_folder is None:
        tokenizer = train_bpe([text for pair in triplets for text in pair], min(size.vocabulary, 4096), folder / "bpe")
    else:
        tokenizer = load_tokenizer(tokenizer_folder)
    rows = [{"prompt": prompt, "script": script} for prompt, script in triplets]
    given = {
        "tokenizer": str(tokenizer.directory),
        "rows": rows[-8:],
        "examples": [row["script"] for row in rows[:MOST]],
    }
    (folder / "triplets.json").write_text(json.dumps(given))
    options = TripletOptions.from_json({"script_styles": ("dictated",), "plain_scripts": True})
    write_dataset(folder / "nano", {Split.IID: 4}, seed=77, options=options)


# --- Sides ------------------------------------------------------------------------------------------------------------


def ours(folder: Path, rows: int, size: Size) -> Step:
    """Returns a generation by the loop of the product, from a Hugging Face folder."""
    from convert.checkpoint_reader import read_json
    from convert.huggingface import read_hf_decoder
    from vlsm_jax.cpu_settings import compute_in_calling_thread
    from vlsm_jax.generation.loop import Limits
    from vlsm_jax.generation.prompts import Prompts
    from vlsm_jax.models import DecoderConfig, VlsmConfig
    from vlsm_jax.models.layerwise import take_apart
    from vlsm_jax.training.network import Network, flatten

    compute_in_calling_thread()
    config = DecoderConfig.from_hf_config(read_json(folder / "model" / "config.json"))
    network = Network.create(VlsmConfig(None, None, config, image_token_id=config.vocabulary))
    params = {f"decoder/{k}": v for k, v in flatten(read_hf_decoder(folder / "model")[1]).items()}
    params = take_apart(params)
    tokens = np.load(folder / "prompts.npy")[:rows].astype(np.int32)
    place = np.broadcast_to(np.arange(size.prompt, dtype=np.int32), tokens.shape)
    batch = Prompts(
        tokens, place, np.full_like(tokens, -1), np.zeros((rows, 0), np.uint8), np.arange(rows, dtype="uint32")
    )
    limits = Limits(size.new, -1, size.vocabulary)
    return compiled(network, params, batch, limits)


def compiled(network: Any, params: dict[str, Any], batch: Any, limits: Any) -> Step:
    """Returns a generation in two compiled calls, as `Generator` has them."""
    import jax

    from vlsm_jax.generation.loop import begin, finish, go_on
    from vlsm_jax.generation.programs import Programs

    programs = Programs()

    def start(params, batch):
        return begin(network.merge(params), batch, 0, limits)

    def proceed(params, state):
        state = go_on(network.merge(params), state, limits.new_tokens, limits)
        return state, finish(state, limits)

    def step() -> dict[str, Any]:
        began = time.perf_counter()
        state = jax.block_until_ready(programs("start", start, params, batch))
        first = time.perf_counter() - began
        _, made = programs("proceed", proceed, params, state, donate=(1,))
        return line_of(jax.device_get(made), first)

    return step


def line_of(made: Any, first: float) -> dict[str, Any]:
    """Returns what a side reports of a generation."""
    tokens = [row[:length].tolist() for row, length in zip(made.tokens, made.lengths, strict=True)]
    counts = {"drafted": int(made.drafted.sum()), "taken": int(made.taken.sum())}
    return {"first": first, "tokens": tokens, **counts}


def theirs(folder: Path, rows: int, size: Size) -> Step:
    """Returns a generation by transformers."""
    import torch
    from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList

    torch.set_num_threads(THREADS)
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32, attn_implementation="sdpa")
    prompts = torch.from_numpy(np.load(folder / "prompts.npy")[:rows])

    class Clock(StoppingCriteria):
        """Notes when the first token is there; stops nothing."""

        first: float | None = None

        def __call__(self, input_ids, scores, **kwargs):
            self.first = time.perf_counter() if self.first is None else self.first
            return torch.zeros(len(input_ids), dtype=torch.bool)

    def step() -> dict[str, Any]:
        clock, began = Clock(), time.perf_counter()
        with torch.inference_mode():
            made = model.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                max_new_tokens=size.new,
                min_new_tokens=size.new,
                do_sample=False,
                pad_token_id=0,
                stopping_criteria=StoppingCriteriaList([clock]),
            )
        new = made[:, prompts.shape[1] :].tolist()
        return {"first": clock.first - began, "tokens": new, "drafted": 0, "taken": 0}

    return step


def scripts(folder: Path, way: str, rows: int, size: Size) -> Step:
    """Returns a generation of dictated scripts."""
    import jax

    from benchmarks.dictation import Dictated
    from vlsm_jax.cpu_settings import compute_in_calling_thread
    from vlsm_jax.data.tokenizer import load_tokenizer
    from vlsm_jax.generation.constrained import ConstrainedDecoder
    from vlsm_jax.generation.constraint import Constraint
    from vlsm_jax.generation.loop import Limits
    from vlsm_jax.generation.prompts import make_prompts
    from vlsm_jax.generation.speculation import Lookup
    from vlsm_jax.models import DecoderConfig, VlsmConfig
    from vlsm_jax.models.layerwise import take_apart
    from vlsm_jax.training.network import Network

    compute_in_calling_thread()
    given = json.loads((folder / "triplets.json").read_text())
    tokenizer, triplets = load_tokenizer(given["tokenizer"]), given["rows"][:rows]
    decoder = DecoderConfig(
        family="llama",
        vocabulary=-(-tokenizer.size // 64) * 64,
        width=size.width,
        layers=size.layers,
        heads=size.heads,
        kv_heads=size.kv_heads,
        head_dim=size.width // size.heads,
        mlp_width=size.mlp,
    )
    network = Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id))
    params = take_apart(jax.jit(network.init, static_argnums=0)(0))
    batch = make_prompts(tokenizer, [row["prompt"] for row in triplets], [np.zeros(0, np.uint8)] * rows, 0)
    texts = [tokenizer.encode_response(row["script"]) for row in triplets]
    dictated = Dictated(network, batch.positions.max(axis=1) + 1, texts)
    longest = max(map(len, texts)) if size is not TINY else 48
    examples = tuple(tuple(tokenizer.encode_response(script)) for script in given["examples"])
    lookup = Lookup(examples=examples) if "drafts" in way else None
    limits = Limits(longest, tokenizer.eos_id, tokenizer.size, lookup=lookup)
    if "grammar" not in way:
        return compiled(dictated, params, batch, limits)
    constrained = ConstrainedDecoder(dictated, Constraint(tokenizer))

    def step() -> dict[str, Any]:
        made = constrained.decode(params, batch, limits)
        first = constrained.speed.first_token_seconds
        return line_of(made, first) | {"timing": constrained.timing._asdict()}

    return step


def nano(folder: Path, way: str, rows: int) -> Step:
    """Returns a generation by the shipped model, as `vlsm generate` has it but for the grammar."""
    from vlsm_jax.cpu_settings import compute_in_calling_thread
    from vlsm_jax.data.tokenizer import load_tokenizer
    from vlsm_jax.generation.load import load_generator
    from vlsm_jax.generation.sampling import GREEDY, Sampling
    from vlsm_jax.generation.speed import Speed
    from vlsm_jax.shipped import model_folder

    compute_in_calling_thread()
    generator = load_generator("nano", drafts=way == "nano_drafts")
    tokenizer = load_tokenizer(model_folder("nano"))
    triplets = [json.loads(line) for line in (folder / "nano" / "iid.jsonl").read_text().splitlines()]
    sampling = Sampling() if rows > 1 else GREEDY

    def step() -> dict[str, Any]:
        tokens, speed = [], Speed()
        for row in triplets:
            made = generator.generate(
                [folder / "nano" / row["image"]], [row["prompt"]], max_tokens=1024, candidates=rows, sampling=sampling
            )
            tokens += [tokenizer.encode_response(candidate.text) for candidate in made[0]]
            speed = speed.plus(generator.speed)
        return {"first": speed.first_token_seconds, "tokens": tokens, "drafted": speed.drafted, "taken": speed.taken}

    return step


def side_of(name: str, folder: Path, size: Size) -> Callable[[], Step]:
    """Returns what makes the step of a side."""
    way, rows = name.rsplit(".", 1)
    if way == "ours":
        return lambda: ours(folder, int(rows), size)
    if way == "transformers":
        return lambda: theirs(folder, int(rows), size)
    if way.startswith("nano"):
        return lambda: nano(folder, way, int(rows))
    return lambda: scripts(folder, way, int(rows), size)


# --- Comparisons ------------------------------------------------------------------------------------------------------


def compare(name: str, folder: Path, size: Size, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns the figures of one comparison."""

    def settled(side: str) -> bool:
        return not options.plain and ("transformers" not in side or options.peers_too)

    with started(__file__, COMPARISONS[name], folder, settled, ["--tiny"] if options.tiny else []) as sides:
        first, _, turns = take_turns(sides, options.rounds)
    figures = []
    for side, done in turns.items():
        seconds = statistics.median(turn["seconds"] for turn in done)
        count = sum(map(len, done[0]["tokens"]))
        drafted = done[0]["drafted"]
        figure = {
            "figure": side,
            "value": round(count / seconds, 1),
            "unit": "tokens/s",
            "tokens": count,
            "seconds": [round(turn["seconds"], 3) for turn in done],
            "processor_seconds": round(statistics.median(turn["processor"] for turn in done), 3),
            "first_token_seconds": round(statistics.median(turn["first"] for turn in done), 4),
            "peak_mib": round(max(turn["peak"] for turn in done)),
            "first_turn_seconds": round(first[side]["seconds"], 1),
        }
        if drafted:
            figure |= {"drafted": drafted, "acceptance": round(done[0]["taken"] / drafted, 3)}
        if "timing" in done[-1]:
            timing = done[-1]["timing"]
            figure |= {k: round(timing[k], 4) for k in ("looks", "following", "filling", "fillings")}
        figures.append(figure)
    for one, other in RATIOS[name]:
        pairs = list(zip(turns[other], turns[one], strict=True))
        peak = {side: max(turn["peak"] for turn in turns[side]) for side in (one, other)}

        def ratio(key: str, pairs: list = pairs) -> float:
            return round(statistics.median(a[key] / b[key] for a, b in pairs), 3)

        figures.append(
            {
                "figure": f"{one} / {other}",
                "value": ratio("seconds"),
                "unit": "x speed",
                "by_processor_seconds": ratio("processor"),
                "first_token": ratio("first"),
                "peak_memory": round(peak[one] / peak[other], 3),
                "alike": alike(turns[one][0]["tokens"], turns[other][0]["tokens"]),
            }
        )
    return figures


def alike(ones: list[list[int]], others: list[list[int]]) -> float:
    """Returns the share of tokens that are the same, up to each row's first that is not."""
    same = total = 0
    for one, other in zip(ones, others, strict=True):
        differ = [i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
        same += differ[0] if differ else min(len(one), len(other))
        total += max(len(one), len(other))
    return round(same / total, 4)


def main() -> None:
    """Compares, prints, and appends to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparisons", nargs="*", metavar="COMPARISON", help=", ".join(COMPARISONS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokenizer", type=Path, help="of the scripts; else one is trained on them")
    parser.add_argument("--tiny", action="store_true", help="a small model, and nothing is written to the results")
    parser.add_argument("--plain", action="store_true", help="without the settings of the allocator")
    parser.add_argument("--peers-too", action="store_true", help="PyTorch gets the settings of the allocator as well")
    parser.add_argument("--note", default="", help="stands in every line, such as 'loaded machine'")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = TINY if options.tiny else FULL
    if options.side == "prepare":
        prepare(options.folder, size, options.tokenizer)
        return
    if options.side:
        serve(side_of(options.side, options.folder, size))
        return
    unknown = set(options.comparisons) - set(COMPARISONS)
    if unknown:
        parser.error(f"no comparison {min(unknown)!r}; there are {', '.join(COMPARISONS)}")
    facts = {"machine": machine_name(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    facts |= {name: value for name in ("plain", "peers_too", "note") if (value := getattr(options, name))}
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--side", "prepare", "--folder", scratch]
        command += ["--tokenizer", str(options.tokenizer)] if options.tokenizer else []
        subprocess.run([*command, *(["--tiny"] if options.tiny else [])], check=True)
        for name in options.comparisons or COMPARISONS:
            named = {"tokenizer": options.tokenizer.name} if options.tokenizer and name.startswith("scripts") else {}
            for figure in compare(name, Path(scratch), size, options):
                record({**figure, **named, **facts}, None if options.tiny else RESULTS)


if __name__ == "__main__":
    main()
