"""`vlsm convert`: checkpoints of Hugging Face into this package's, and back."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlsm_jax.cli.terminal import (
    Json,
    fail,
    say,
    say_json,
)

if TYPE_CHECKING:
    pass

convert_app = typer.Typer(help="Checkpoints of Hugging Face to and from this package's.", no_args_is_help=True)

Dtype = Annotated[
    Literal["float32", "bfloat16", "float16"] | None,
    typer.Option(help="Of what is not quantised; by default what it is in already."),
]


@convert_app.command("from-hf")
def convert_from_hf(
    source: Annotated[str, typer.Argument(help="A checkpoint's folder, or its name on the Hugging Face hub.")],
    out: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    quantise: Annotated[
        Literal["nf4", "nf4-double", "int8", "int4"] | None, typer.Option(help="Keep a decoder's kernels so.")
    ] = None,
    dtype: Dtype = None,
    adapter: Annotated[Path | None, typer.Option(help="Folder of a PEFT adapter that goes with the decoder.")] = None,
    upstream: Annotated[
        Path | None, typer.Option(help="The paper's best_model.pt: encoder and connector that go with the decoder.")
    ] = None,
    vision: Annotated[
        str | None, typer.Option(help="The CLIP checkpoint that upstream's encoder was, for its sizes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert a decoder (plain or in bitsandbytes' 4 bits), a CLIP encoder or a LLaVA model, tensor by tensor."""
    from convert.importing import import_checkpoint

    with _conversion_errors(out):
        report = import_checkpoint(
            source, out, quantise=quantise, dtype=dtype, adapter=adapter, upstream=upstream, vision=vision
        )
    say_json(report.to_dict()) if as_json else say("\n".join(report.lines()))


@convert_app.command("to-hf")
def convert_to_hf(
    source: Annotated[Path, typer.Argument(help="A folder that from-hf made, or the workdir of a training run.")],
    out: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    layout: Annotated[
        Literal["decoder", "llava", "parts", "vision", "peft", "merged", "bitsandbytes", "upstream"] | None,
        typer.Option("--as", help="By default the one that keeps everything as it is."),
    ] = None,
    dtype: Dtype = None,
    base: Annotated[str | None, typer.Option(help="The decoder that an adapter goes with, as PEFT finds it.")] = None,
    which: Annotated[
        Literal["last", "best"], typer.Option("--checkpoint", help="Of a training run, as validated.")
    ] = "last",
    verify: Annotated[bool, typer.Option(help="Load the export in transformers and compare its scores.")] = False,
    as_json: Json = False,
) -> None:
    """Convert a checkpoint back. Status 1, and nothing is written, where --verify finds other scores."""
    from convert.exporting import export_checkpoint
    from convert.verify import VerificationError, compare_scores

    with _conversion_errors(out):
        try:
            report = export_checkpoint(
                source,
                out,
                layout=layout,
                dtype=dtype,
                base=base,
                which=which,
                verify=compare_scores if verify else None,
            )
        except VerificationError as error:
            print(f"error: {source}: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
    say_json(report.to_dict()) if as_json else say("\n".join(report.lines()))


@contextlib.contextmanager
def _conversion_errors(out: Path) -> Iterator[None]:
    from convert import CheckpointError
    from vlsm_jax.models import UnsupportedConfigError

    try:
        yield
    except (CheckpointError, UnsupportedConfigError, ValueError) as error:
        fail(str(error))
    except FileExistsError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror or error}")
