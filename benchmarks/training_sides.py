"""The two sides of a comparison of training: the product's own step, and that of transformers.

Whatever they run on, both read the same folder (`write_model`, `write_batch`), take a step of forward, backward and
AdamW's update with the same settings, and give its loss.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import jax

    from vlsm_jax.training.network import Network

LEARNING_RATE, BETAS = 1e-4, (0.9, 0.95)
RANK, ALPHA = 32, 64.0
# Hugging Face's name of a layer of Llama, and ours.
LAYERS = {
    **{f"self_attn.{name}_proj": f"attention/{name}" for name in "qkvo"},
    **{f"mlp.{name}_proj": f"mlp/{name}" for name in ("gate", "up", "down")},
}

Step = Callable[[], float]


class Machine(NamedTuple):
    """What a comparison runs on.

    Attributes:
      device: as torch names it.
      dtype: what both sides compute in; what is trained is kept in float32 whatever it is.
      threads: of a side, for torch; None is what it takes.
    """

    device: str = "cpu"
    dtype: str = "float32"
    threads: int | None = None

    @property
    def mixed(self) -> bool:
        """Whether they compute in another dtype than what is trained is kept in."""
        return self.dtype != "float32"


# --- What both sides read ---------------------------------------------------------------------------------------------


def llama_config(size: Any, **more: Any) -> dict[str, Any]:
    """Returns a Llama as Hugging Face describes it.

    Args:
      size: with `width`, `layers`, `heads`, `kv_heads`, `mlp` and `vocabulary`.
      more: other fields.
    """
    return {
        "hidden_size": size.width,
        "intermediate_size": size.mlp,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "vocab_size": size.vocabulary,
        **more,
    }


def write_model(folder: Path, config: Mapping[str, Any], *, layers: int, adapters: bool, machine: Machine) -> None:
    """Writes a Llama with random weights, which are bfloat16 numbers for a machine that computes in these."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    with torch.device(machine.device):
        model = LlamaForCausalLM(LlamaConfig(**config))
    model.to(getattr(torch, machine.dtype)).save_pretrained(folder / "model")
    if not adapters:
        return
    rng = np.random.default_rng(0)
    values = {}
    for theirs in LAYERS:
        inputs = model.get_submodule(f"model.layers.0.{theirs}").in_features
        bound = inputs**-0.5
        values[theirs] = rng.uniform(-bound, bound, (layers, inputs, RANK)).astype(np.float32)
    np.savez(folder / "adapters.npz", **values)


def random_batch(rows: int, length: int, vocabulary: int) -> dict[str, np.ndarray]:
    """Returns rows of one text each, by the names of `Batch`'s fields, pictures apart."""
    ids = np.random.default_rng(0).integers(0, vocabulary, (rows, length + 1)).astype(np.int32)
    place = np.broadcast_to(np.arange(length, dtype=np.int32), (rows, length))
    ones = np.ones(place.shape, np.int32)
    return {
        "tokens": ids[:, :-1],
        "targets": ids[:, 1:],
        "weights": ones.astype(np.float32),
        "positions": place,
        "visual_index": -ones,
    }


# --- Ours -------------------------------------------------------------------------------------------------------------


class OurTraining:
    """The product's own training of a decoder, step by step.

    Args:
      config: of the decoder, as in Hugging Face's `config.json`.
      params: from network and mesh to the parameters of step 0.
      arrays: a batch, by the names of `Batch`'s fields, pictures apart.
      nf4: whether the layers are frozen in NF4, with adapters on all of them; else all is trained.
      remat: see `vlsm_jax.models.stack`.
      machine: see `Machine`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        params: Callable[[Network, jax.sharding.Mesh], dict[str, jax.Array]],
        arrays: Mapping[str, np.ndarray],
        *,
        nf4: bool,
        remat: str,
        machine: Machine,
    ):
        import jax
        import jax.numpy as jnp

        from vlsm_jax.cpu_settings import compute_in_calling_thread
        from vlsm_jax.models import DecoderConfig, VlsmConfig
        from vlsm_jax.models.adaptation import Adaptation
        from vlsm_jax.models.lora import LoraConfig
        from vlsm_jax.sharding import batch_sharding, make_mesh
        from vlsm_jax.training.loop import StatePlan, TrainConfig, jit_train_step, to_device
        from vlsm_jax.training.network import Network, attention_for
        from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer

        compute_in_calling_thread()
        decoder = DecoderConfig.from_hf_config(config)
        self.network = Network.create(
            VlsmConfig(None, None, decoder, image_token_id=decoder.vocabulary),
            dtype=jnp.dtype(machine.dtype),
            remat=remat,
            attention=attention_for("auto", jax.default_backend()),
            adaptation=Adaptation("nf4-double", LoraConfig(RANK, ALPHA)) if nf4 else Adaptation(),
        )
        optimizer = make_optimizer(
            OptimizerConfig(
                learning_rate=LEARNING_RATE,
                schedule="constant",
                warmup_steps=0,
                weight_decay=0.0,
                beta1=BETAS[0],
                beta2=BETAS[1],
                clip_norm=0.0,
            ),
            1000,
        )
        self._mesh = make_mesh(devices=jax.devices()[:1])
        trainable = (("/lora/", True), (".*", False)) if nf4 else ((".*", True),)
        self.plan = StatePlan.create(
            self.network, optimizer, trainable, self._mesh, machine.dtype if machine.mixed else ""
        )
        start = jax.jit(self.plan.start, out_shardings=self.plan.shardings, donate_argnums=0)
        self._state = start(params(self.network, self._mesh))
        arrays = {**arrays, "images": np.zeros((len(arrays["tokens"]), 0, 1, 1, 3), np.uint8)}
        rows = batch_sharding(self._mesh)
        self._batch = lambda: to_device(arrays, rows)
        self._train_step = jit_train_step(self.network, optimizer, self.plan, TrainConfig(steps=1), self._mesh)
        self.compiled: jax.stages.Compiled | None = None
        """The step, from the first one on."""

    def step(self) -> float:
        """Trains one step, and returns its loss."""
        import jax

        with jax.set_mesh(self._mesh):
            batch = self._batch()
            if self.compiled is None:
                self.compiled = self._train_step.lower(self._state, batch).compile()
            self._state, metrics = self.compiled(self._state, batch)
        return float(jax.block_until_ready(metrics).loss)

    def flops(self, rows: int, length: int) -> float:
        """Returns what a step of full rows takes, nothing of it made again: what MFU counts."""
        from vlsm_jax.training.flops import BatchCounts, StepFlops

        counted = StepFlops.create(self.network, self.plan.abstract.trained)
        return counted.useful(BatchCounts.full(rows, length, counted.window, 0))


def params_of(folder: Path, *, nf4: bool) -> Callable[[Network, jax.sharding.Mesh], dict[str, jax.Array]]:
    """Returns what reads the weights, and adapters, in `folder`."""

    def read(network: Network, mesh: jax.sharding.Mesh) -> dict[str, jax.Array]:
        import jax.numpy as jnp

        from vlsm_jax.training.start import initial_params

        params = initial_params(network, 0, mesh, decoder=str(folder / "model"))
        if nf4:
            adapters = np.load(folder / "adapters.npz")
            for theirs, name in LAYERS.items():
                path = f"decoder/layers/{name}/lora/a"
                params[path] = jnp.asarray(adapters[theirs]).reshape(params[path].shape)
        return params

    return read


# --- Theirs -----------------------------------------------------------------------------------------------------------


def their_model(folder: Path, *, nf4: bool, checkpointed: bool, machine: Machine) -> Any:
    """Returns transformers' model of the weights in `folder`, with PEFT and bitsandbytes where in NF4."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    dtype = getattr(torch, machine.dtype)
    quantised = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder / "model",
        dtype=dtype if nf4 else torch.float32,
        attn_implementation="sdpa",
        device_map={"": machine.device},
        **({"quantization_config": quantised} if nf4 else {}),
    )
    if nf4:
        # PEFT's own preparation turns what is not quantised into float32: in bfloat16 that takes more memory and time.
        if not machine.mixed:
            import peft

            model = peft.prepare_model_for_kbit_training(
                model, use_gradient_checkpointing=checkpointed, gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        model = with_adapters(model, [name.rsplit(".", 1)[1] for name in LAYERS])
        adapters = np.load(folder / "adapters.npz")
        for name, parameter in model.named_parameters():
            if "lora_A" in name:
                layer, place = name.split(".layers.")[1].split(".lora_A")[0].split(".", 1)
                parameter.data.copy_(torch.from_numpy(adapters[place][int(layer)].T.copy()))
    return prepared(model, checkpointed=checkpointed)


def with_adapters(model: Any, layers: Iterable[str]) -> Any:
    """Returns the model with PEFT's adapters, in float32, on the layers of these names."""
    import peft

    settings = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=list(layers))
    return peft.get_peft_model(model, settings)


def prepared(model: Any, *, checkpointed: bool) -> Any:
    """Returns the model, ready to be trained."""
    model.config.use_cache = False
    if checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    return model


def their_step(model: Any, parts: list[dict[str, Any]], *, compiled: bool, machine: Machine) -> Step:
    """Returns a step of `model` over a batch in parts, each the arguments of its forward pass."""
    import torch

    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=LEARNING_RATE,
        betas=BETAS,
        eps=1e-8,
        weight_decay=0.0,
        fused=True,
    )
    forward = torch.compile(model) if compiled else model
    parts = [{name: value.to(machine.device) for name, value in part.items()} for part in parts]
    count = sum(int((part["labels"] != -100).sum()) for part in parts)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        losses = []
        for part in parts:
            with torch.autocast(machine.device, torch.bfloat16, enabled=machine.mixed):
                loss = forward(**part, num_items_in_batch=count).loss
            loss.backward()
            losses.append(loss.detach())
        optimizer.step()
        if machine.device != "cpu":
            torch.cuda.synchronize()
        return sum(map(float, losses))

    return step


def whole_batch(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns a batch of full rows as transformers takes it."""
    import torch

    labels = torch.from_numpy(arrays["targets"].astype(np.int64))
    ids = torch.from_numpy(arrays["tokens"].astype(np.int64))
    # transformers would shift labels itself, and lose the last target of a row.
    return {"input_ids": ids, "labels": labels, "shift_labels": labels}


def accelerator_settings() -> dict[str, str]:
    """Returns the environment in which a side may take all of a card's memory, and no more than it needs."""
    return {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        **({"JAX_PLATFORMS": os.environ["JAX_PLATFORMS"]} if "JAX_PLATFORMS" in os.environ else {}),
    }
