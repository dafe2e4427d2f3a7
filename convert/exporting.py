"""A checkpoint of this package as one of Hugging Face, PEFT, bitsandbytes, or as the paper's code keeps its own."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from convert.bitsandbytes import write_quantised_decoder
from convert.checkpoint_reader import CheckpointError, CheckpointReader
from convert.conversion_report import ConversionReport, Meter, size_of
from convert.drafts import whole_folder
from convert.huggingface import write_hf_decoder, write_hf_vision
from convert.importing import KEPT_FILES
from convert.llava import write_llava
from convert.native import FILES_FOLDER, PARAMS_FOLDER, Checkpoint, read_native
from convert.parts import write_parts
from convert.peft import write_peft
from convert.plain_kernels import plain_params
from convert.processor_files import write_tokenizer
from convert.tables import fits_llava
from convert.torch_writer import STAGE_TWO_FILE, write_stage_two
from vlsm_jax.data.images import Fit
from vlsm_jax.data.tokenizer import Tokenizer

LAYOUTS = ("decoder", "llava", "parts", "vision", "peft", "merged", "bitsandbytes", "upstream")
# Files about pictures, which a decoder alone has no use for.
_OF_PICTURES = ("preprocessor_config.json", "processor_config.json")


class Export(NamedTuple):
    """What is written, and what it is made of.

    Attributes:
      layout: a name in `LAYOUTS`.
      part: the part of the checkpoint that goes out, and may be compared with what is read back.
      left_aside: parameters of the checkpoint that are no part of it.
      dtype: of plain tensors in the file; None keeps each parameter's own.
    """

    layout: str
    part: Checkpoint
    left_aside: tuple[str, ...] = ()
    dtype: str | None = None


def export_checkpoint(
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    layout: str | None = None,
    dtype: str | None = None,
    base: str | os.PathLike | None = None,
    which: str = "last",
    verify: Callable[[Path, Export, str | os.PathLike | None], tuple[float, float]] | None = None,
) -> ConversionReport:
    """Converts a checkpoint of this package, or of a training run.

    Args:
      source: its folder, or that of the run.
      out: a folder that does not exist, or is empty; it is there when the whole export is, verified where asked for.
      layout: a name in `LAYOUTS`; None is the one that keeps everything as it is.
      dtype: of plain tensors in the file; None keeps each parameter's own.
      base: the decoder that an adapter goes with, a folder or a name on the hub.
      which: of a run, the "last" checkpoint or the "best".
      verify: compares the draft with the checkpoint and returns the largest difference and the largest score; see
        `convert.verify.compare_scores`.

    Raises:
      CheckpointError: a checkpoint that is damaged, or that cannot be written in this layout; the message says why.
      UnsupportedConfigError: there is no such model in transformers.
      FileExistsError: `out` holds something.
    """
    meter = Meter()
    source = Path(source)
    with whole_folder(out) as draft, jax.default_device(jax.devices("cpu")[0]):
        tokenizer, read_from, files = None, source / PARAMS_FOLDER, source / FILES_FOLDER
        # Orbax: it takes half a second to import.
        from convert.training_source import CHECKPOINTS_FOLDER, is_training, read_training

        if is_training(source):
            checkpoint, step, tokenizer = read_training(source, which)
            files = source  # has examples for drafts
            read_from = source / CHECKPOINTS_FOLDER / str(step)
            if checkpoint.config.vision is None:
                checkpoint = part_of(checkpoint, "decoder")
        else:
            checkpoint = read_native(source)
        export = choose_export(checkpoint, layout)._replace(dtype=dtype)
        base = base or checkpoint.facts.get("source", "")
        beside = _write(draft, export, base, tokenizer)
        for name in KEPT_FILES:
            kept = files / name
            alone = export.part.kind == "decoder" and name in _OF_PICTURES
            if kept.is_file() and export.layout not in ("peft", "upstream") and not alone:
                shutil.copyfile(kept, draft / name)
        if (
            tokenizer is not None
            and export.layout not in ("peft", "vision")
            and not (draft / "tokenizer.json").exists()
        ):
            write_tokenizer(draft, tokenizer)
        difference, scale = (None, None) if verify is None else verify(draft, export, base)
        weights = [*draft.rglob("*.safetensors"), *draft.rglob("*.pt")]
        shards = [path for path in weights if path.suffix == ".safetensors"]
        tensors_out = beside + sum(len(CheckpointReader(path.parent, path.name).names) for path in shards)
        bytes_out = sum(path.stat().st_size for path in weights)
    kept_format = export.layout == "bitsandbytes"
    return meter.report(
        verb="to-hf",
        source=os.fspath(source),
        out=os.fspath(out),
        layout=export.layout,
        quantise=checkpoint.adaptation.quantise if kept_format else "none",
        dtype=dtype or str(checkpoint.facts.get("dtype", "")),
        tensors_in=len(checkpoint.params),
        tensors_out=tensors_out,
        left_aside=export.left_aside,
        bytes_in=size_of(read_from),
        bytes_out=bytes_out,
        bytes_of_params=sum(array.nbytes for array in checkpoint.params.values()),
        difference=difference,
        scale=scale,
    )


def choose_export(checkpoint: Checkpoint, layout: str | None) -> Export:
    """Returns what a checkpoint gives in a layout.

    Raises:
      CheckpointError: it cannot be written so; the message says why, and what can.
    """
    kind, quantise, lora = checkpoint.kind, checkpoint.adaptation.quantise, checkpoint.adaptation.lora
    if layout is None:
        if lora is not None:
            raise CheckpointError("the checkpoint has adapters; choose peft for them alone, or merged for one model")
        if quantise in ("nf4", "nf4-double") and kind == "decoder":
            layout = "bitsandbytes"
        elif quantise != "none":
            raise CheckpointError(
                f"no layout there keeps kernels in {quantise!r}{' of a whole VLSM' if kind == 'vlsm' else ''}; choose "
                f"{'decoder' if kind == 'decoder' else 'llava'} to have them written dequantised"
            )
        else:
            layout = {"decoder": "decoder", "vision": "vision"}.get(kind) or (
                "llava" if fits_llava(checkpoint.config) else "parts"
            )
    if layout not in LAYOUTS:
        raise CheckpointError(f"layout {layout!r} is not one of {', '.join(LAYOUTS)}")
    wanted = {"llava": "vlsm", "parts": "vlsm", "upstream": "vlsm"}.get(layout)
    if wanted and kind != wanted:
        raise CheckpointError(f"{layout}: the checkpoint is of a {kind} alone, not of a whole VLSM")
    if kind == "vision" and layout != "vision":
        raise CheckpointError(f"{layout}: the checkpoint is of a vision tower alone, and there is no decoder in it")
    if layout in ("peft", "merged") and lora is None:
        raise CheckpointError(f"{layout}: the checkpoint has no adapters")
    if layout in ("decoder", "llava", "parts", "bitsandbytes", "upstream", "vision") and lora is not None:
        raise CheckpointError(
            f"{layout}: the checkpoint has adapters; choose merged for one model, or peft for the adapters alone"
        )
    if layout == "bitsandbytes" and quantise not in ("nf4", "nf4-double"):
        raise CheckpointError(
            f"bitsandbytes: kernels in {quantise!r}; only nf4 and nf4-double are bitsandbytes' own. Choose decoder"
        )
    if layout == "llava" and not fits_llava(checkpoint.config):
        raise CheckpointError(
            f"llava: LLaVA cannot hold a {checkpoint.config.connector.kind!r} connector, or a soft cap on the scores; "
            "choose parts"
        )
    if kind == "vlsm" and layout in ("decoder", "peft", "bitsandbytes", "vision"):
        return _part_of(checkpoint, layout)
    return Export(layout, checkpoint)


def part_of(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """Returns the "decoder" or the "vision" tower of a VLSM as a checkpoint of its own."""
    params = {p.removeprefix(name + "/"): a for p, a in checkpoint.params.items() if p.startswith(name + "/")}
    adaptation = checkpoint.adaptation
    if adaptation.lora is not None:  # whose targets are paths in the whole VLSM
        targets = tuple(sorted({path.rsplit("/lora/", 1)[0] for path in params if "/lora/" in path}))
        lora = dataclasses.replace(adaptation.lora, targets=targets) if targets else None
        adaptation = dataclasses.replace(adaptation, lora=lora)
    return Checkpoint(getattr(checkpoint.config, name), adaptation, params, checkpoint.facts)


def _part_of(checkpoint: Checkpoint, layout: str) -> Export:
    """Returns the part of a VLSM that a layout holds."""
    name = "vision" if layout == "vision" else "decoder"
    part = part_of(checkpoint, name)
    rest = tuple(path for path in checkpoint.params if not path.startswith(name + "/"))
    within = any("/lora/" in path for path in part.params)
    if layout == "peft" and not within:
        raise CheckpointError("peft: no adapter is on the decoder; choose merged")
    if layout == "peft" and (elsewhere := [path for path in rest if "/lora/" in path]):
        raise CheckpointError(f"peft: there are adapters outside of the decoder, such as {elsewhere[0]}; choose merged")
    return Export(layout, part, rest)


def _write(draft: Path, export: Export, base: str | os.PathLike, tokenizer: Tokenizer | None = None) -> int:
    """Writes an export; returns how many of its tensors are in other files than safetensors."""
    checkpoint = export.part
    config, options = checkpoint.config, {"dtype": None if export.dtype is None else jnp.dtype(export.dtype)}
    if export.layout == "peft":
        write_peft(draft, config, checkpoint.adaptation.lora, checkpoint.params, base=os.fspath(base), **options)
        return 0
    if export.layout == "bitsandbytes":
        write_quantised_decoder(draft, config, checkpoint.adaptation, checkpoint.params, **options)
        return 0
    params: Mapping[str, Any] = plain_params(checkpoint)
    fit = {"fit": Fit(checkpoint.facts.get("fit", Fit.PAD.value))}
    if export.layout == "upstream":
        decoder = {p.removeprefix("decoder/"): a for p, a in params.items() if p.startswith("decoder/")}
        write_hf_decoder(draft / "language_model", config.decoder, decoder, **options)
        return write_stage_two(draft / STAGE_TWO_FILE, config.connector, params, **options)
    if checkpoint.kind == "decoder":
        write_hf_decoder(draft, config, params, tokenizer, **options)
    elif checkpoint.kind == "vision":
        write_hf_vision(draft, config, params, **options)
    elif export.layout == "parts" or not fits_llava(config):
        write_parts(draft, config, params, tokenizer, **fit, **options)
    else:
        write_llava(draft, config, params, tokenizer, **fit, **options)
    return 0
