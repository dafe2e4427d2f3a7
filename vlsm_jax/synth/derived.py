"""Data sets made of the triplets of another: for each row one of its own, with the same sketch.

Each is a folder beside the splits it was made of, and is read like any other data set.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vlsm_jax.processes import in_order
from vlsm_jax.synth.splits import Split

_CHUNK = 50
_KEPT = (
    *("split", "industry", "layout", "prompt_style", "script_style", "sketch_style"),
    *("objects", "connections", "annotation"),
)

Row = Mapping[str, Any]
Progress = Callable[[int, int], None]


def derived_row(triplet: Row, kind: str, prompt: str, response: str, facts: Row | None = None) -> dict[str, Any]:
    """Returns a row made of a triplet's, with what else is known of it in `facts`; its picture is the triplet's."""
    return {
        "image": triplet.get("image"),
        "prompt": prompt,
        "response": response,
        "id": f"{triplet['id']}-{kind}",
        "kind": kind,
        "of": triplet["id"],
        **(facts or {}),
        **{key: triplet[key] for key in _KEPT if key in triplet},
    }


def write_derived(
    directory: str | Path,
    folder: str,
    make_row: Callable[[Row], dict[str, Any] | None],
    share: float,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Writes rows made of the triplets of a data set as a data set of its own in `<directory>/<folder>`.

    Every split but those without sketches gets a file of the same name; a file that is there stays. Pictures are the
    triplets' own files under a second name.

    Args:
      directory: of a data set that `write_dataset` wrote.
      folder: name of the new one.
      make_row: gives the row made of a triplet's, or None where there is none; called in processes.
      share: of the triplets that get one, above 0 and at most 1.
      workers: processes.
      progress: called with (made, all) after every few rows.

    Returns:
      How many rows each split has.

    Raises:
      ValueError: a share out of range.
      concurrent.futures.BrokenExecutor: a process was ended.
      OSError: a file cannot be read or written.
    """
    if not 0 < share <= 1:
        raise ValueError(f"{folder}: {share:g} rows for each triplet; choose a share above 0 and at most 1")
    source, target = Path(directory), Path(directory) / folder
    target.mkdir(exist_ok=True)
    paths = [path for split in Split if (path := source / f"{split.value}.jsonl").is_file()]
    wanted = {path: _rows(path, share) for path in paths}
    total, done, counts = sum(map(len, wanted.values())), 0, {}
    for path, rows in wanted.items():
        out = target / path.name
        if not out.exists():
            draft = out.with_name(f".{out.name}.new")
            chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
            with draft.open("w", encoding="utf-8", newline="\n") as file:
                for lines in in_order(functools.partial(_made, make_row=make_row), chunks, min(workers, len(chunks))):
                    for line, picture in lines:
                        file.write(line)
                        if picture:
                            _link(source / picture, target / picture)
                    done += len(lines)
                    if progress is not None:
                        progress(done, total)
            draft.replace(out)
        with out.open(encoding="utf-8") as file:
            counts[path.stem] = sum(1 for _ in file)
    return counts


def _rows(path: Path, share: float) -> list[str]:
    """Returns a share of the lines of a file, evenly spread."""
    lines = path.read_text(encoding="utf-8").split("\n")
    lines = [line for line in lines if line]
    count = max(1, round(share * len(lines))) if lines else 0
    return [lines[n * len(lines) // count] for n in range(count)]


def _made(lines: list[str], make_row: Callable[[Row], dict[str, Any] | None]) -> list[tuple[str, str]]:
    """Returns (line, picture) of each row; two empty texts where none came out."""
    made = [make_row(json.loads(line)) for line in lines]
    return [(json.dumps(row, ensure_ascii=False) + "\n", row["image"] or "") if row else ("", "") for row in made]


def _link(picture: Path, there: Path) -> None:
    """Makes a picture appear in another folder as well: the same file, or a copy where that cannot be."""
    there.parent.mkdir(parents=True, exist_ok=True)
    if not there.exists():
        try:
            os.link(picture, there)
        except OSError:
            shutil.copyfile(picture, there)
