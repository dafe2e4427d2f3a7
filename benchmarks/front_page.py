"""Makes the front page's example: sketch and prompt, the script that the shipped model writes, what running it says.

    python -m benchmarks.front_page                                        # docs/front/: the sketch, and example.md
    python -m benchmarks.front_page --sketch S.png --prompt-file P.txt --out docs/paper_prompt.md --title "..."

The example is a triplet of the test split `--split`: the first of `--seed` whose factory has `--objects` objects, so
that it is nobody's choice. With `--sketch` and `--prompt-file` it is the user's; then there is no reference to compare
with, and the prompt's text is left out of the page with `--no-prompt`.

Both run the command that the page shows, twice: the first run compiles, and the second is the one whose time is told.
Run it again when the weights change; nothing of a page is written by hand.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import machine_name
from vlsm_jax.metrics import score_pair
from vlsm_jax.shipped import NANO
from vlsm_jax.simulator.listing import visible
from vlsm_jax.synth import PromptStyle, ScriptStyle, Split, TripletOptions, encode_image
from vlsm_jax.synth.triplets import Triplet, make_triplet

ROOT = Path(__file__).parents[1]
TRIES = 2000


class Run(NamedTuple):
    """What the command gave.

    Attributes:
      script: on standard output.
      said: on standard error: how it was written, and its Report.
      status: 0 where the script runs and meets its goals.
      seconds: from start to end.
      cpu_seconds: of all cores, which hardly depend on what else the machine does.
    """

    script: str
    said: str
    status: int
    seconds: float
    cpu_seconds: float


def main() -> None:
    """Makes a page."""
    options = _arguments()
    if options.sketch is None:
        triplet = find_triplet(options.seed, Split(options.split), options.objects, options.prompt_style)
        options.out.mkdir(parents=True, exist_ok=True)
        picture, suffix = encode_image(triplet.sketch)
        sketch, prompt = options.out / f"sketch.{suffix}", options.out / "prompt.txt"
        sketch.write_bytes(picture)
        prompt.write_text(triplet.prompt.text + "\n", encoding="utf-8")
        page = options.out / "example.md"
    else:
        triplet, sketch, prompt, page = None, options.sketch, options.prompt_file, options.out
    more = [*([] if options.model == NANO else ["--model", options.model]), *options.more]
    given = [str(path.resolve()) for path in (sketch, prompt)]
    made = [run(command(*given, more)) for _ in range(2)][-1]
    told = command(_shown(sketch), _shown(prompt), more)
    page.write_text(write_page(triplet, sketch, prompt, told, made, options), encoding="utf-8")
    print(f"{page}: status {made.status}, {made.seconds:.1f} s")


def find_triplet(seed: int, split: Split, objects: int, style: str) -> Triplet:
    """Returns the first triplet of a seed and split with so many objects; raises SystemExit where there is none."""
    options = TripletOptions(
        prompt_styles=(PromptStyle(style),), script_styles=(ScriptStyle.DICTATED,), plain_scripts=True
    )
    for index in range(TRIES):
        triplet = make_triplet(seed, index, options, split)
        if len(triplet.factory.twin.objects) == objects:
            return triplet
    raise SystemExit(f"none of {TRIES} triplets of seed {seed} has {objects} objects")


def command(sketch: str, prompt: str, more: list[str]) -> list[str]:
    """Returns the command that the page shows."""
    return ["vlsm", "generate", "--sketch", sketch, "--prompt-file", prompt, *more]


def run(command: list[str]) -> Run:
    """Runs the command in this environment; raises SystemExit where it fails for another reason than its script."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    program = "import sys; from vlsm_jax.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, *command[1:]], capture_output=True, text=True, cwd=ROOT)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise SystemExit(done.stderr)
    seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Run(done.stdout.strip(), done.stderr.strip(), done.returncode, seconds, cpu_seconds)


def write_page(
    triplet: Triplet | None, sketch: Path, prompt: Path, told: list[str], made: Run, options: argparse.Namespace
) -> str:
    """Returns a page: the command, what it was given, what it wrote, and what came of running that."""
    text = prompt.read_text(encoding="utf-8").strip()
    parts = [f"# {options.title}\n"] if options.title else []
    if options.about:
        parts += [f"{options.about}\n"]
    if triplet is not None:
        parts += [f'<img src="{sketch.name}" alt="the sketch" width="640">\n']
    if options.prompt:
        # Two blanks at the end are a line break.
        parts += ["  \n".join(f"> {visible(line)}" for line in text.splitlines()) + "\n"]
    parts += [_fenced("bash", shlex.join(told)), _fenced("c", made.script)]
    parts += [f"```\n{made.said}\n```\n", _verdict(triplet, made)]  # the command writes control characters out itself
    return "\n".join(parts)


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n" + "\n".join(map(visible, text.splitlines())) + "\n```\n"


def _verdict(triplet: Triplet | None, made: Run) -> str:
    where = f"{machine_name()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"
    told = (
        f"{made.seconds:.1f} s from command to verdict, {made.cpu_seconds:.1f} s of CPU time, "
        f"compiled before ({where})."
    )
    if triplet is None:
        return f"{told} There is no reference to compare with.\n"
    score = score_pair(triplet.response, made.script)
    known = f"{triplet.factory.industry}, {triplet.factory.layout}, {len(triplet.factory.twin.objects)} objects"
    return (
        f"Triplet {triplet.id} ({known}), which the model has never seen: SVR {score.svr:.3f}, PMR {score.pmr:.3f}, "
        f"{'runs' if score.runs else 'does not run'}. {told}\n"
    )


def _shown(path: Path) -> str:
    """Returns a path as the page shows it: from here, or, of a file that lies elsewhere, its name."""
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=NANO)
    parser.add_argument("--split", default="iid", choices=[split.value for split in Split if split.is_test])
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--prompt-style", default="complete", choices=[style.value for style in PromptStyle])
    parser.add_argument("--sketch", type=Path)
    parser.add_argument("--prompt-file", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "front")
    parser.add_argument("--title", default="")
    parser.add_argument("--about", default="", help="A paragraph below the title.")
    parser.add_argument("--prompt", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("more", nargs="*", help="More options of vlsm generate, behind --.")
    options = parser.parse_args()
    if (options.sketch is None) != (options.prompt_file is None):
        parser.error("--sketch and --prompt-file go together")
    return options


if __name__ == "__main__":
    main()
