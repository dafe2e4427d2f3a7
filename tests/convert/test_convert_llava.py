"""A VLSM as a LLaVA model: loaded by transformers with nothing missing, same scores, same text, and back bit by bit."""

import dataclasses
import json
import re
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
import torch
from flax import nnx
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from convert import CheckpointError, from_hf, read_llava, to_hf, write_llava
from convert.llava import from_llava_config, padded_vocabulary, to_llava_config
from convert.processor_files import chat_template
from vlsm_jax.data.images import Fit, fit_image
from vlsm_jax.data.tokenizer import load_tokenizer, train_bpe
from vlsm_jax.models import (
    ConnectorConfig,
    DecoderConfig,
    KVCache,
    UnsupportedConfigError,
    VisionConfig,
    VlsmConfig,
    abstract_model,
)

LLAMA = DecoderConfig(
    family="llama",
    vocabulary=300,
    width=32,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=8,
    mlp_width=48,
    max_positions=128,
)
STARCODER2 = dataclasses.replace(
    LLAMA,
    family="starcoder2",
    norm="layer",
    mlp="plain",
    activation="gelu_tanh",
    attention_bias=True,
    mlp_bias=True,
    sliding_window=9,
    tied=True,
    rope_theta=5e4,
)
MISTRAL = dataclasses.replace(LLAMA, family="mistral", head_dim=16, sliding_window=9)
GEMMA3 = dataclasses.replace(
    LLAMA,
    family="gemma3_text",
    norm="rms_offset",
    activation="gelu_tanh",
    sliding_window=9,
    global_layers=(1,),
    rope_theta=5e4,
    rope_local_theta=50.0,
    tied=True,
    post_norms=True,
    query_key_norm=True,
    query_scale=12**-0.5,
    scaled_embedding=True,
)
VISION = VisionConfig(width=24, layers=2, heads=4, mlp_width=40, patch_size=4, image_size=16)
CONFIGS = {
    "linear connector, image token past the vocabulary": VlsmConfig(VISION, ConnectorConfig("linear"), LLAMA, 300),
    "mlp connector, tied starcoder2": VlsmConfig(
        dataclasses.replace(VISION, activation="gelu"), ConnectorConfig("mlp"), STARCODER2, 300
    ),
    "mistral": VlsmConfig(VISION, ConnectorConfig("mlp"), MISTRAL, 300),
    "gemma3": VlsmConfig(VISION, ConnectorConfig("mlp"), GEMMA3, 300),
    "second last layer without cls, image token within": VlsmConfig(
        dataclasses.replace(VISION, feature_layer=-2, drop_cls=True), ConnectorConfig("mlp"), LLAMA, 2
    ),
}


def random_params(config: VlsmConfig) -> nnx.State:
    """Parameters of which no two are alike, biases and norms included."""
    rng = np.random.default_rng(0)
    _, abstract = abstract_model(config)
    return jax.tree.map(lambda x: jnp.array(rng.normal(size=x.shape, scale=0.25), x.dtype), abstract)


@pytest.fixture(scope="module", params=CONFIGS)
def export(request, tmp_path_factory):
    config = CONFIGS[request.param]
    params = random_params(config)
    directory = tmp_path_factory.mktemp("llava")
    write_llava(directory, config, params)
    return config, params, directory


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokenizer")
    train_bpe(['Object s = Model.create("Source");', "Three machines, one sink. Give me a Flexscript."], 300, directory)
    return directory


def equal(a: nnx.State, b: nnx.State) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and jax.tree.all(
        jax.tree.map(lambda x, y: x.dtype == y.dtype and np.array_equal(x, y), a, b)
    )


@pytest.mark.parametrize("own", [{"stem_channels": (5, 7)}, {"rope_theta": 50.0}, {"seen_patches": 5}])
def test_an_encoder_that_clip_is_not_comes_back_and_transformers_does_not_take_it(tmp_path, own):
    """A model that loaded with CLIP's encoder in its place would write nonsense, and nobody would know why."""
    vision = dataclasses.replace(VISION, heads=2, **own)
    config = VlsmConfig(vision, ConnectorConfig("mlp"), LLAMA, 300)
    params = random_params(config)
    write_llava(tmp_path / "export", config, params)
    read, back = read_llava(tmp_path / "export")
    assert read == config
    assert equal(back, params)
    with pytest.raises((KeyError, ValueError), match="vlsm_vision_model"):
        LlavaForConditionalGeneration.from_pretrained(tmp_path / "export")


def load(directory):
    model, info = LlavaForConditionalGeneration.from_pretrained(directory, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not info[kind], (kind, info[kind])
    return model.eval()


def pixels(config: VlsmConfig, image: np.ndarray) -> torch.Tensor:
    normal = (image / 255 - np.array(config.vision.image_mean)) / np.array(config.vision.image_std)
    return torch.tensor(normal.astype(np.float32)).permute(2, 0, 1)[None]


WIDTH = 32  # of every row here: shorter ones are padded, so that each model is compiled once


@partial(jax.jit, static_argnums=0)
def compiled(graphdef, params, image, tokens, visual_index, positions, cache):
    model = nnx.merge(graphdef, params)
    visual = None if image is None else model.encode_images(image)
    hidden, cache = model(tokens, visual=visual, visual_index=visual_index, positions=positions, cache=cache)
    return model.logits(hidden), cache


def forward(config, params, image, text, cache=None):
    """Returns tokens [1, S], logits [1, S, C] and the cache for [visual tokens][text]."""
    count = config.vision.tokens
    tokens = np.concatenate([np.full(count, config.image_token_id), text])[None]
    size, pad = tokens.shape[1], ((0, 0), (0, WIDTH - tokens.shape[1]))
    index = np.concatenate([np.arange(count), np.full(len(text), -1)])[None]
    logits, cache = compiled(
        abstract_model(config)[0],
        params,
        image[None],
        np.pad(tokens, pad),
        np.pad(index, pad, constant_values=-1),
        np.pad(np.arange(size)[None], pad, constant_values=-1),
        cache,
    )
    return tokens, logits[:, :size], cache


def greedy(config, params, image, text, steps):
    """Greedy continuation with a cache, one token at a time."""
    cache = KVCache.init(config.decoder, 1, WIDTH + steps)
    tokens, logits, cache = forward(config, params, image, text, cache)
    out = [int(logits[0, -1].argmax())]
    graphdef = abstract_model(config)[0]
    for place in range(tokens.shape[1], tokens.shape[1] + steps - 1):
        at = np.array([[place]])
        logits, cache = compiled(graphdef, params, None, np.array([out[-1:]]), np.array([[-1]]), at, cache)
        out.append(int(logits[0, -1].argmax()))
    return out


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_same_scores_and_same_text_in_transformers(export):
    """Three prompts and one image: logits within 1e-4, 32 greedy tokens equal."""
    config, params, directory = export
    theirs = load(directory)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for length in (3, 8, 15):
        text = rng.integers(3, 300, length)
        tokens, logits, _ = forward(config, params, image, text)
        inputs = {"input_ids": torch.tensor(tokens), "pixel_values": pixels(config, image)}
        with torch.no_grad():
            expected = theirs(**inputs).logits.numpy()
            generated = theirs.generate(**inputs, max_new_tokens=32, min_new_tokens=32, do_sample=False)
        np.testing.assert_allclose(logits, expected[..., : config.decoder.vocabulary], atol=1e-4)
        assert np.abs(expected).max() > 1
        assert greedy(config, params, image, text, 32) == generated[0, tokens.shape[1] :].tolist()


def test_round_trip_is_bit_equal(export):
    config, params, directory = export
    config_again, params_again = read_llava(directory)
    assert config_again == config
    assert equal(params_again, params)
    assert equal(from_hf(directory)[1], params)


def test_positions_of_smaller_images_are_written_interpolated(tmp_path):
    """transformers' LLaVA does not interpolate; the export does the same as the model it came from."""
    config = VlsmConfig(dataclasses.replace(VISION, position_size=12), ConnectorConfig("mlp"), LLAMA, 300)
    params = random_params(config)
    write_llava(tmp_path, config, params)
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    tokens, logits, _ = forward(config, params, image, np.arange(5))
    with torch.no_grad():
        expected = load(tmp_path)(input_ids=torch.tensor(tokens), pixel_values=pixels(config, image)).logits.numpy()
    np.testing.assert_allclose(logits, expected[..., :300], atol=1e-4)
    assert read_llava(tmp_path)[0] == dataclasses.replace(config, vision=VISION)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_newer_key_layouts_are_read(export, tmp_path, prefix):
    """transformers 4.52 moved everything under `model.`, version 5 dropped `vision_model.`."""
    config, params, directory = export
    copy = shutil.copytree(directory, tmp_path / "copy")
    tensors = {}
    for name, tensor in load_file(copy / "model.safetensors").items():
        new = name
        if prefix:
            new = re.sub(r"^language_model\.model\.", "model.language_model.", new)
            new = re.sub(r"^language_model\.lm_head", "lm_head", new)
            new = re.sub(r"^(vision_tower|multi_modal_projector)\.", r"model.\1.", new)
        tensors[new.replace("vision_tower.vision_model.", "vision_tower.")] = tensor
    assert tensors.keys() != load_file(copy / "model.safetensors").keys()
    save_file(tensors, copy / "model.safetensors")
    assert equal(read_llava(copy)[1], params)
    assert read_llava(copy)[0] == config


def test_a_model_that_transformers_saved(tmp_path):
    """Not only our own exports: what version 5 writes is read, tied heads of nested configs included."""
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, patch_size=4, image_size=16
    )
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = LlamaConfig(**sizes, num_key_value_heads=2, vocab_size=320, bos_token_id=None, eos_token_id=None)
    for tied in (False, True):
        text.tie_word_embeddings = tied
        model = LlavaForConditionalGeneration(
            LlavaConfig(vision_config=vision, text_config=text, image_token_index=310)
        ).eval()
        directory = tmp_path / f"tied {tied}"
        model.save_pretrained(directory)
        config, params = read_llava(directory)
        assert config.decoder.tied == tied
        assert (config.vision.feature_layer, config.vision.drop_cls, config.image_token_id) == (-2, True, 310)
        image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        tokens, logits, _ = forward(config, params, image, np.arange(5))
        with torch.no_grad():
            expected = model(input_ids=torch.tensor(tokens), pixel_values=pixels(config, image)).logits.numpy()
        np.testing.assert_allclose(logits, expected, atol=1e-4)


# --- the files --------------------------------------------------------------------------------------------------------


def test_keys_are_the_classic_ones(export):
    """transformers 4.57 loads the newer ones with a random vision tower and no more than a warning."""
    config, _, directory = export
    tensors = load_file(directory / "model.safetensors")
    prefixes = {
        re.match(r"(language_model\.(model|lm_head)|multi_modal_projector|vision_tower\.vision_model)\.", n)[0]
        for n in tensors
    }
    rows = padded_vocabulary(config)
    assert len(prefixes) == (3 if config.decoder.tied else 4)
    if not config.decoder.tied:  # else it would be there twice
        assert tensors["language_model.lm_head.weight"].shape == (rows, 32)
    assert tensors["language_model.model.embed_tokens.weight"].shape == (rows, 32)
    assert rows == (320 if config.image_token_id == 300 else 300)
    if config.connector.kind == "linear":
        np.testing.assert_array_equal(tensors["multi_modal_projector.linear_2.weight"], np.eye(32))


def test_config_speaks_both_dialects(export):
    config, _, directory = export
    hf = json.loads((directory / "config.json").read_text())
    text = hf["text_config"]
    rope = text["rope_parameters"]
    assert text["rope_theta"] == rope.get("full_attention", rope)["rope_theta"] == config.decoder.rope_theta
    assert hf["torch_dtype"] == hf["dtype"] == text["torch_dtype"] == text["dtype"] == "float32"
    assert hf["tie_word_embeddings"] is text["tie_word_embeddings"] is config.decoder.tied
    assert text["architectures"]
    assert text["vocab_size"] > hf["image_token_index"]
    assert hf["image_seq_length"] == config.vision.tokens
    assert from_llava_config(to_llava_config(config), has_head=not config.decoder.tied) == config


def test_padding_tokens_are_never_generated(export):
    config, _, directory = export
    settings = json.loads((directory / "generation_config.json").read_text())
    if config.image_token_id == 300:
        assert settings["suppress_tokens"] == list(range(300, 320))
    else:
        assert "suppress_tokens" not in settings


@pytest.mark.parametrize("fit", list(Fit))
def test_processor_does_what_training_did(tmp_path, bpe, fit):
    """Template, tokens and pixels of transformers' processor equal ours, for a wide sketch."""
    tokenizer = load_tokenizer(bpe)
    config = VlsmConfig(
        dataclasses.replace(VISION, image_size=32), ConnectorConfig("linear"), LLAMA, tokenizer.image_id
    )
    write_llava(tmp_path, config, random_params(config), bpe, fit=fit)
    processor = AutoProcessor.from_pretrained(tmp_path)
    sketch = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Three machines, one sink."}]}
    text = processor.apply_chat_template([message], add_generation_prompt=True)
    inputs = processor(images=[sketch], text=[text], return_tensors="np")
    visual = [tokenizer.image_id] * config.vision.tokens
    assert inputs["input_ids"][0].tolist() == visual + tokenizer.encode_prompt("Three machines, one sink.")
    square = fit_image(sketch, 32, fit)
    expected = (square / 255 - np.array(config.vision.image_mean)) / np.array(config.vision.image_std)
    np.testing.assert_allclose(inputs["pixel_values"][0].transpose(1, 2, 0), expected, atol=0.03)
    assert processor.tokenizer.eos_token_id == tokenizer.eos_id
    assert processor.tokenizer.pad_token_id == tokenizer.pad_id


@pytest.mark.parametrize(
    "letters",
    [
        "".join(map(chr, range(32, 127))),
        # As Llama's: a space before the text, but not after another token.
        "▁" + "".join(map(chr, range(33, 127))),
    ],
    ids=["plain", "metaspace"],
)
def test_beginning_token_comes_after_the_image(tmp_path, letters):
    """As in training, where the visual tokens precede the tokenised prompt."""
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE({letter: i for i, letter in enumerate(letters)} | {"<s>": 95, "</s>": 96}, [])
    )
    if "▁" in letters:
        backend.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.add_special_tokens(["<s>", "</s>"])
    backend.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $0", special_tokens=[("<s>", 95)])
    source = tmp_path / "tokenizer"
    source.mkdir()
    backend.save(str(source / "tokenizer.json"))
    (source / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "bos_token": "<s>"}))
    tokenizer = load_tokenizer(source)
    assert tokenizer.image_id == 97
    config = VlsmConfig(VISION, ConnectorConfig("mlp"), dataclasses.replace(LLAMA, vocabulary=97), 97)
    to_hf(tmp_path / "out", config, random_params(config), tokenizer=source)
    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    text = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "hi"}]}]
    )
    inputs = processor(images=[Image.new("RGB", (20, 10))], text=[text], return_tensors="np")
    assert inputs["input_ids"][0].tolist() == [97] * 17 + tokenizer.encode_prompt("hi")
    assert tokenizer.encode_prompt("hi")[0] == 95
    assert load_tokenizer(tmp_path / "out").encode_prompt("hi") == tokenizer.encode_prompt("hi")
    plain = processor.apply_chat_template([{"role": "user", "content": "hi"}])
    assert processor.tokenizer(plain)["input_ids"] == tokenizer.encode_prompt("hi")
    with pytest.raises(Exception, match="one user message is expected"):
        processor.apply_chat_template([{"role": "system", "content": "hi"}])


def test_tokenizer_that_no_template_can_follow(bpe):
    tokenizer = load_tokenizer(bpe)
    other = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    other.normalizer = tokenizers.normalizers.Lowercase()
    with pytest.raises(ValueError, match=r"splits a prompt differently after nothing.*Export without the tokenizer"):
        chat_template(tokenizer, other)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_tokenizer_with_another_image_token(tmp_path, bpe):
    config = next(iter(CONFIGS.values()))
    with pytest.raises(ValueError, match=r"image token has the id 2, the model's is 300"):
        write_llava(tmp_path / "out", config, random_params(config), bpe)
    assert not (tmp_path / "out").exists()


def test_linear_connector_must_be_linear(tmp_path):
    config = next(iter(CONFIGS.values()))
    write_llava(tmp_path, config, random_params(config))
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["multi_modal_projector.linear_2.weight"][0, 1] = 0.5
    save_file(tensors, path)
    with pytest.raises(
        CheckpointError, match=r"model.safetensors: multi_modal_projector.linear_2.weight must be fixed"
    ):
        read_llava(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llava_next"}, "model_type 'llava_next' is not 'llava'"),
        ({"projector_hidden_act": "relu"}, "projector_hidden_act 'relu'"),
        ({"multimodal_projector_bias": False}, "projector without bias"),
        ({"vision_feature_layer": [-2, -5]}, r"vision_feature_layer \[-2, -5\]"),
        ({"vision_feature_select_strategy": "patch"}, "vision_feature_select_strategy 'patch'"),
    ],
)
def test_other_llava_models_are_refused_by_name(changes, message):
    hf = to_llava_config(next(iter(CONFIGS.values()))) | changes
    with pytest.raises(UnsupportedConfigError, match=message):
        from_llava_config(hf, has_head=True)


def test_connector_that_has_no_place(tmp_path):
    config = dataclasses.replace(next(iter(CONFIGS.values())), connector=ConnectorConfig("mlp", hidden=7))
    with pytest.raises(ValueError, match="cannot hold a connector of kind 'mlp' with hidden=7"):
        write_llava(tmp_path / "out", config, random_params(config))
