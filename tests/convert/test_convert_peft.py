"""Adapters from and to PEFT, and the same logits and gradients as there."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from convert import CheckpointError, read_hf_decoder
from convert.mapping import flatten_params
from convert.peft import adapter_layers, adapter_layout, read_peft, write_peft
from vlsm_jax.models import Decoder, DecoderConfig
from vlsm_jax.models.adaptation import Adaptation, adapt
from vlsm_jax.models.lora import LoraConfig, LoraParam

TARGETS = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "starcoder2": ["q_proj", "o_proj", "c_fc", "c_proj"],
}
TOKENS = np.array([[5, 17, 3, 42, 8, 9, 11], [1, 2, 3, 4, 60, 61, 62]])


@pytest.fixture(scope="module", params=sorted(TARGETS))
def pair(request, tmp_path_factory):
    """A tiny model with a random adapter, in PEFT and as files."""
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    import transformers

    family = request.param
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    if family == "llama":
        base = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
    else:
        base = transformers.Starcoder2ForCausalLM(transformers.Starcoder2Config(**sizes, sliding_window=4))
    folder = tmp_path_factory.mktemp(family)
    base.save_pretrained(folder / "base")
    settings = peft.LoraConfig(
        r=4, lora_alpha=16, use_rslora=family == "llama", target_modules=TARGETS[family], task_type="CAUSAL_LM"
    )
    model = peft.get_peft_model(base, settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    model.save_pretrained(folder / "adapter")
    return folder, model


def load(folder):
    """The decoder here with base and adapter: (config, adapter config, graph, adapters, the rest)."""
    config, base = read_hf_decoder(folder / "base")
    lora, adapters = read_peft(folder / "adapter", config)
    adapted = nnx.eval_shape(lambda: adapt(Decoder(config, rngs=nnx.Rngs(0)), Adaptation(lora=lora), nnx.Rngs(0)))
    graphdef, _, _ = nnx.split(adapted, LoraParam, ...)
    return config, lora, graphdef, adapters, base


def test_logits_and_gradients_are_those_of_peft(pair):
    torch = pytest.importorskip("torch")
    folder, model = pair
    _, _, graphdef, adapters, base = load(folder)

    def scores(adapters):
        model = nnx.merge(graphdef, adapters, base)
        positions = jnp.broadcast_to(jnp.arange(TOKENS.shape[1]), TOKENS.shape)
        return model.logits(model(model.embed(jnp.asarray(TOKENS)), positions=positions)[0])

    def loss(adapters):
        logits = scores(adapters)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits[:, :-1]), TOKENS[:, 1:, None], axis=-1).mean(), logits

    (value, logits), gradients = jax.jit(
        jax.value_and_grad(loss, has_aux=True), compiler_options={"xla_backend_optimization_level": 0}
    )(adapters)
    tokens = torch.from_numpy(TOKENS)
    model.eval()
    theirs = model(input_ids=tokens, labels=tokens)
    theirs.loss.backward()
    np.testing.assert_allclose(logits, theirs.logits.detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(value, theirs.loss.item(), atol=1e-5)
    with torch.no_grad():
        bare = model.base_model
        bare.disable_adapter_layers()
        without = model(input_ids=tokens).logits.numpy()
        bare.enable_adapter_layers()
    assert np.abs(without - np.asarray(logits)).max() > 0.05  # the adapter does something
    by_name = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
    config = load(folder)[0]
    flat = flatten_params(gradients)
    layers = {path.rsplit("/lora/", 1)[0] for path in flat}
    compared = 0
    for entry in adapter_layout(config, {k: v for k, v in adapter_layers(config).items() if k in layers}).entries:
        for layer in range(2):
            name = entry.hf.format(layer=layer).replace(".weight", ".default.weight")
            found = entry.operation.to_hf(np.asarray(flat[entry.ours][layer]))
            np.testing.assert_allclose(found, by_name.pop(name), atol=1e-4, rtol=1e-4, err_msg=name)
            compared += 1
    assert not by_name
    assert compared == 2 * 2 * len(TARGETS[config.family])


def test_round_trip_keeps_every_bit(pair, tmp_path):
    folder, _ = pair
    config, lora, _, adapters, _ = load(folder)
    write_peft(tmp_path / "out", config, lora, adapters, base=str(folder / "base"))
    before, after = (
        load_file(folder / "adapter/adapter_model.safetensors"),
        load_file(tmp_path / "out/adapter_model.safetensors"),
    )
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.tobytes() == after[name].tobytes(), name
    theirs = json.loads((folder / "adapter/adapter_config.json").read_text())
    ours = json.loads((tmp_path / "out/adapter_config.json").read_text())
    same = ("peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "bias")
    assert {k: ours[k] for k in same} == {k: theirs[k] for k in same}
    assert sorted(ours["target_modules"]) == sorted(theirs["target_modules"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    with pytest.raises(FileExistsError, match="already holds an adapter"):
        write_peft(tmp_path / "out", config, lora, adapters)


def test_peft_loads_what_is_written(pair, tmp_path):
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    import transformers

    folder, model = pair
    config, lora, _, adapters, _ = load(folder)
    write_peft(tmp_path / "out", config, lora, adapters, base=str(folder / "base"))
    base = transformers.AutoModelForCausalLM.from_pretrained(folder / "base")
    again = peft.PeftModel.from_pretrained(base, tmp_path / "out")
    model.eval()
    with torch.no_grad():
        tokens = torch.from_numpy(TOKENS)
        assert torch.equal(again(input_ids=tokens).logits, model(input_ids=tokens).logits)


# --- Without PEFT -----------------------------------------------------------------------------------------------------

CONFIG = DecoderConfig("starcoder2", 64, 32, 2, 4, 2, 8, 48, mlp="plain", norm="layer", tied=True)


def write_adapter(folder, names=("self_attn.q_proj",), **settings):
    folder.mkdir()
    widths = {"self_attn.q_proj": (32, 32), "mlp.c_fc": (32, 48)}
    tensors = {}
    for layer in range(2):
        for name in names:
            stem = f"base_model.model.model.layers.{layer}.{name}.lora_"
            tensors[f"{stem}A.weight"] = np.ones((4, widths[name][0]), np.float32)
            tensors[f"{stem}B.weight"] = np.ones((widths[name][1], 4), np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    base = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": [n.split(".")[1] for n in names]}
    (folder / "adapter_config.json").write_text(json.dumps(base | settings))
    return folder


def test_targets_without_an_adapter_are_named(tmp_path, caplog):
    """As in the paper's adapter, whose targets are those of another family."""
    targets = ["q_proj", "up_proj", "gate_proj"]
    lora, adapters = read_peft(write_adapter(tmp_path / "a", target_modules=targets), CONFIG)
    assert "the targets gate_proj, up_proj, for which there is no adapter" in caplog.text
    assert lora == LoraConfig(4, 8.0, targets=("layers/attention/q",))
    assert adapters["layers"]["attention"]["q"]["lora"]["a"].get_value().shape == (2, 32, 4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use_dora": True}, "not supported: use_dora=True"),
        ({"bias": "all", "rank_pattern": {"q_proj": 2}}, r"bias='all', rank_pattern=\{'q_proj': 2\}"),
        ({"peft_type": "IA3"}, "peft_type 'IA3'; only LORA is read"),
        ({"r": 0}, r"adapter_config.json: lora\.rank=0"),
        ({"r": 8}, r"q_proj\.lora_A\.weight is \[4, 32\], the config says \[8, 32\]"),
    ],
)
def test_adapters_that_there_are_not_here(tmp_path, settings, said):
    with pytest.raises(CheckpointError, match=said):
        read_peft(write_adapter(tmp_path / "a", **settings), CONFIG)


def test_adapter_of_another_model(tmp_path):
    folder = write_adapter(tmp_path / "a", names=("mlp.c_fc",))
    llama = DecoderConfig("llama", 64, 32, 2, 4, 2, 8, 48)
    with pytest.raises(CheckpointError, match=r"adapts no layer of a 'llama' decoder; its first tensor is base_model"):
        read_peft(folder, llama)
    longer = DecoderConfig("starcoder2", 64, 32, 3, 4, 2, 8, 48, mlp="plain", norm="layer", tied=True)
    with pytest.raises(CheckpointError, match=r"missing: base_model\.model\.model\.layers\.2\.mlp\.c_fc\.lora_A"):
        read_peft(folder, longer)
    with pytest.raises(CheckpointError, match="the parameters hold no adapter"):
        write_peft(tmp_path / "b", CONFIG, LoraConfig(4, 8.0), {"embedding/table": np.zeros((2, 2))})
