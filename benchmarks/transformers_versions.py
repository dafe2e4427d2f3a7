"""Whether exports load in several releases of transformers, each in a fresh environment that has nothing of ours.

Launch: `python benchmarks/transformers_versions.py [--versions 4.57.6 5.23.0] [--folder /tmp]`. Exports of every family
of decoders, of encoders, of LLaVA models, of a decoder in bitsandbytes' 4 bits and of a PEFT adapter are made here,
tiny ones of random weights; each environment loads them and compares scores with those computed here. Needs a package
index and about 2 GB a version; status 1 where anything differs.

Figures, one JSON line for each version and export
  missing: tensors that transformers did not find, did not know, or found in another shape.
  difference, scale: the largest difference of the scores, and the largest score; 1e-4 of it is allowed.
  processor: for LLaVA models, whether picture and text become the token ids that they are here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# The lowest release of each line that exports are meant for, or the one that they were last tried with.
VERSIONS = ("4.57.6", "5.23.0")
PACKAGES = ("torch==2.13.0", "accelerate", "peft", "bitsandbytes", "pillow", "jinja2", "safetensors", "numpy")
TOLERANCE = 1e-4
PROMPT = "Three machines, one sink."


# --- Here -------------------------------------------------------------------------------------------------------------


def make_exports(root: Path) -> None:
    """Writes the exports, each with what is expected of it in `<name>.npz` and `<name>.json`."""
    import dataclasses

    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from convert.exporting import choose_export, export_checkpoint
    from convert.llava import write_llava
    from convert.native import Checkpoint, write_native
    from convert.plain_kernels import make_model
    from convert.verify import our_scores
    from vlsm_jax.data.tokenizer import train_bpe
    from vlsm_jax.models.adaptation import Adaptation, adapt
    from vlsm_jax.models.connector import ConnectorConfig
    from vlsm_jax.models.lora import LoraConfig
    from vlsm_jax.models.presets import DECODER_PRESETS, VISION_PRESETS, decoder_preset, vision_preset
    from vlsm_jax.models.vlsm import VlsmConfig
    from vlsm_jax.training.network import flatten, unflatten

    def tiny_decoder(name: str):
        config = decoder_preset(name)
        changes = {
            "vocabulary": 320,
            "width": 64,
            "layers": 3,
            "heads": 4,
            "kv_heads": 4 if config.kv_heads == config.heads else 2,
            "head_dim": 16,
            "mlp_width": 128,
            "eos_token_ids": (1,),
            "bos_token_id": 0,
        }
        if config.sliding_window is not None:
            changes["sliding_window"] = 9
        if config.global_layers is not None:
            changes["global_layers"] = (1,)
        return dataclasses.replace(config, **changes)

    def tiny_vision(name: str):
        return dataclasses.replace(
            vision_preset(name), width=24, layers=2, heads=4, mlp_width=40, patch_size=4, image_size=16
        )

    rng = np.random.default_rng(0)

    def random_checkpoint(config, adaptation=Adaptation()) -> Checkpoint:
        shapes = flatten(nnx.eval_shape(lambda: nnx.state(make_model(config))))
        plain = {path: jnp.asarray(rng.normal(size=x.shape, scale=0.25), jnp.float32) for path, x in shapes.items()}
        if not adaptation:
            return Checkpoint(config, adaptation, plain)
        model = nnx.merge(nnx.split(nnx.eval_shape(lambda: make_model(config)))[0], unflatten(plain))
        made = flatten(nnx.state(adapt(model, adaptation, nnx.Rngs(0))))
        adapters = {path: array for path, array in made.items() if "/lora/" in path}
        made |= {p: jnp.asarray(rng.normal(size=a.shape, scale=0.25), a.dtype) for p, a in adapters.items()}
        return Checkpoint(config, adaptation, made)

    def export(name: str, checkpoint: Checkpoint, layout: str, base: str = "", **written: str) -> None:
        chosen, config = choose_export(checkpoint, layout), checkpoint.config
        tokens = image = None
        if checkpoint.kind != "vision":
            tokens = rng.integers(3, 300, (1, 16))
        if checkpoint.kind != "decoder":
            size = getattr(config, "vision", config).image_size
            image = rng.integers(0, 256, (1, size, size, 3)).astype(np.uint8)
        if checkpoint.kind == "vlsm":
            tokens = np.concatenate([np.full((1, config.visual_tokens), config.image_token_id), tokens], axis=1)
        facts = {"layout": layout, "kind": checkpoint.kind, "base": base}
        if "tokenizer" in written:
            tokenizer = train_bpe([PROMPT, 'Object s = Model.create("Source");'], 300, written["tokenizer"])
            write_llava(root / name, config, checkpoint.params, written["tokenizer"])
            facts["ids"] = [tokenizer.image_id] * config.visual_tokens + tokenizer.encode_prompt(PROMPT)
        else:
            write_native(root / f"{name}.native", checkpoint)
            export_checkpoint(root / f"{name}.native", root / name, layout=layout, base=base or None)
        arrays = {"scores": our_scores(chosen, tokens, image)}
        if tokens is not None:
            arrays["tokens"] = tokens
        if image is not None:
            vision = getattr(config, "vision", config)
            pixels = (image / 255 - np.array(vision.image_mean)) / np.array(vision.image_std)
            arrays["pixels"] = pixels.astype(np.float32).transpose(0, 3, 1, 2)
        np.savez(root / f"{name}.npz", **arrays)
        (root / f"{name}.json").write_text(json.dumps(facts))

    for preset in DECODER_PRESETS:
        export(preset, random_checkpoint(tiny_decoder(preset)), "decoder")
    for preset in VISION_PRESETS:
        export(preset, random_checkpoint(tiny_vision(preset)), "vision")
    tokenizer = train_bpe([PROMPT], 300, root / "tokenizer")
    for decoder, vision, kind in (
        ("tinyllama-1.1b", "openclip-vit-h-14", "linear"),
        ("starcoder2-7b", "openclip-vit-h-14", "mlp"),
        ("gemma3-270m", "clip-vit-l-14", "mlp"),
    ):
        config = VlsmConfig(tiny_vision(vision), ConnectorConfig(kind), tiny_decoder(decoder), tokenizer.image_id)
        name = f"llava of {decoder} and {vision}, {kind}"
        export(name, random_checkpoint(config), "llava", tokenizer=str(root / f"{decoder}.tokenizer"))
    small = tiny_decoder("starcoder2-7b")
    export("bitsandbytes", random_checkpoint(small, Adaptation("nf4-double")), "bitsandbytes")
    lora = Adaptation(lora=LoraConfig(4, 8.0, targets=(r"layers/attention/(q|v)", "layers/mlp/down")))
    adapted = random_checkpoint(small, lora)
    plain = Checkpoint(small, Adaptation(), {p: a for p, a in adapted.params.items() if "/lora/" not in p})
    export("base of the adapter", plain, "decoder")
    export("peft", adapted, "peft", base=str(root / "base of the adapter"))


def environment(folder: Path, version: str) -> Path:
    """Returns the Python of a fresh environment with that transformers."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", f"transformers=={version}", *PACKAGES]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return python


# --- In each environment ----------------------------------------------------------------------------------------------


def load_exports(root: Path) -> bool:
    """Loads all exports and prints a line for each; returns whether all are as they should be."""
    import numpy as np
    import transformers

    good = True
    for path in sorted(root.glob("*.json")):
        facts, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
        row = {"figure": "transformers.load", "transformers": transformers.__version__, "export": path.stem}
        try:
            scores, missing = their_scores(root / path.stem, facts, arrays)
            scores = scores[..., : arrays["scores"].shape[-1]]
            difference, scale = float(np.abs(scores - arrays["scores"]).max()), float(np.abs(arrays["scores"]).max())
            passed = not missing and difference <= TOLERANCE * max(1.0, scale)
            row |= {"passed": passed, "missing": missing, "difference": float(f"{difference:.2g}"), "scale": scale}
            if "ids" in facts:
                row["processor"] = token_ids(root / path.stem) == facts["ids"]
                row["passed"] &= row["processor"]
        except Exception as error:  # of any class: what matters is that this one does not load
            row |= {"passed": False, "error": f"{type(error).__name__}: {str(error)[:300]}"}
        good &= row["passed"]
        print(json.dumps(row | {"date": time.strftime("%Y-%m-%d")}), flush=True)
    return good


def their_scores(folder: Path, facts: dict, arrays) -> tuple:
    """Returns scores, and what transformers missed, did not know, or found in another shape."""
    import torch
    import transformers

    kinds = {"vision": transformers.CLIPVisionModel, "vlsm": transformers.LlavaForConditionalGeneration}
    kind = kinds.get(facts["kind"], transformers.AutoModelForCausalLM)
    options = {"output_loading_info": True, "local_files_only": True, "device_map": {"": "cpu"}}
    model, found = kind.from_pretrained(facts["base"] or folder, torch_dtype=torch.float32, **options)
    missing = [str(n) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") for n in found.get(key, ())]
    if facts["layout"] == "peft":
        import peft

        model = peft.PeftModel.from_pretrained(model, folder)
    if facts["layout"] == "bitsandbytes":
        for module in model.modules():
            state = getattr(getattr(module, "weight", None), "quant_state", None)
            if state is not None:
                state.dtype = module.compute_dtype = torch.float32
    model = model.eval()
    tensors = {name: torch.tensor(arrays[name]) for name in arrays.files}
    # With gradients bitsandbytes multiplies by a float32 kernel; without, it rounds on the way.
    with torch.set_grad_enabled(facts["layout"] == "bitsandbytes"):
        if facts["kind"] == "vision":
            scores = model(tensors["pixels"], output_hidden_states=True).hidden_states[-1]
        elif facts["kind"] == "vlsm":
            scores = model(input_ids=tensors["tokens"], pixel_values=tensors["pixels"]).logits
        else:
            scores = model(input_ids=tensors["tokens"]).logits
    return scores.detach().numpy(), missing


def token_ids(folder: Path) -> list[int]:
    """Returns what the export's processor makes of a picture and the prompt."""
    import transformers
    from PIL import Image

    processor = transformers.AutoProcessor.from_pretrained(folder)
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PROMPT}]}
    text = processor.apply_chat_template([message], add_generation_prompt=True)
    return processor(images=[Image.new("RGB", (40, 20))], text=[text], return_tensors="np")["input_ids"][0].tolist()


def main() -> None:
    """Makes the exports and the environments, and prints what each of them says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", nargs="+", default=VERSIONS)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--here", action="store_true", help="load in this environment instead of fresh ones")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        sys.exit(not load_exports(options.load))
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="versions-") as scratch:
        root = Path(scratch) / "exports"
        root.mkdir()
        make_exports(root)
        if options.here:
            sys.exit(not load_exports(root))
        # Nothing of this project, nor of the environment it runs in, is to be found from there.
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        clean["HF_HUB_OFFLINE"] = "1"
        failed = 0
        for version in options.versions:
            python = environment(Path(scratch) / version, version)
            command = [python, Path(__file__).resolve(), "--load", root]
            failed |= subprocess.run(command, env=clean, cwd=scratch).returncode
        sys.exit(failed)


if __name__ == "__main__":
    main()
