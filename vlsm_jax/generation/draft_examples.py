"""Scripts that come with a model, in which drafts are looked up: what is common to all scripts stands there.

A file of a model folder beside its weights. What a model writes does not depend on it, only how soon.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.generation.speculation import Lookup

FILE = "draft_examples.json"

MOST = 32
"""Scripts that an export gets; sixteen times as many would hardly draft more."""


class ExamplesError(ValueError):
    """A file of examples that is none; the message says which, and what to do."""


def write_examples(folder: Path, scripts: Sequence[str]) -> None:
    """Writes scripts, such as training's first ones, into the folder of a model or of the run that trains it."""
    from convert.checkpoint_writer import write_text

    text = json.dumps({"scripts": list(scripts)}, ensure_ascii=False, indent=1)
    write_text(folder / FILE, text + "\n")


def find_lookup(folder: Path, tokenizer: Tokenizer) -> Lookup | None:
    """Returns how drafts are found with the examples of a model folder; None where it has none.

    Raises:
      ExamplesError: the file is not as `write_examples` writes it.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        scripts = json.loads(path.read_text(encoding="utf-8"))["scripts"]
        examples = tuple(tuple(tokenizer.encode_response(script)) for script in scripts)
    except (ValueError, TypeError, KeyError) as error:
        raise ExamplesError(
            f'{path}: not an object with "scripts", a list of texts ({error}); without it the same is written, slower'
        ) from error
    return Lookup(examples=examples)
