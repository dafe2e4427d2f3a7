"""The `paper` preset against the same recipe in PyTorch: equal losses for ten steps, in both stages and both models.

The reference is written from what upstream's scripts do, with transformers' models, PEFT and bitsandbytes; it shares
with the preset only the starting weights and the order of the triplets.
"""

import functools
import json
import types

import bitsandbytes
import jax
import numpy as np
import peft
import pytest
import tokenizers
import torch
import transformers
from PIL import Image
from tokenizers.processors import TemplateProcessing

from configs import vlsm_1b, vlsm_7b
from vlsm_jax.data.pipeline import Batch, PipelineConfig, make_dataset
from vlsm_jax.data.plan import Place
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.data.triplets import JsonlTriplets
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.config import build
from vlsm_jax.training.experiment import build_network, find_tokenizer, vlsm_config
from vlsm_jax.training.loop import StatePlan, TrainConfig
from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer
from vlsm_jax.training.start import initial_params
from vlsm_jax.training.step import make_train_step

STEPS, WARMUP, RATE = 10, 3, 3e-3
IDS = 72  # of a row's text; upstream's 4,096
SIDE = 32
SIZES = {
    "vocab_size": 384,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.08,
    "bos_token_id": None,
    "eos_token_id": None,
}
NO_DROPOUT = {"residual_dropout": 0.0, "embedding_dropout": 0.0, "attention_dropout": 0.0}
NO_PICTURES = {"image_size": 1, "visual_tokens": 0, "seed": 0}
ADAPTED = ["k_proj", "up_proj", "o_proj", "v_proj", "q_proj", "down_proj", "gate_proj"]
# Run a few times each: what counts is the time to compile.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Of PyTorch: more of them wait for one another in models of this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Triplets with white space at their ends and pictures of all shapes, and a tokenizer with and one without BOS."""
    folder = tmp_path_factory.mktemp("paper")
    rng = np.random.default_rng(0)
    texts = []
    with (folder / "train.jsonl").open("w") as file:
        for i in range(32):
            shape = (int(rng.integers(20, 70)), int(rng.integers(20, 90)), 3)
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{i}.png")
            prompt = f" Factory {i} has " + "one queue, " * int(rng.integers(1, 5)) + "a sink:"
            response = f" queue q{i};" * int(rng.integers(3, 40 if i % 5 == 0 else 8)) + "\n"
            texts.append(prompt + response)
            file.write(json.dumps({"image": f"{i}.png", "prompt": prompt, "response": response}) + "\n")
    plain = train_bpe(texts, 300, folder / "plain")
    begun = tokenizers.Tokenizer.from_str(plain.backend.to_str())
    begun.add_special_tokens(["<s>"])
    begun.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begun.token_to_id("<s>"))])
    (folder / "begun").mkdir()
    begun.save(str(folder / "begun" / "tokenizer.json"))
    (folder / "begun" / "tokenizer_config.json").write_text((folder / "plain" / "tokenizer_config.json").read_text())
    torch.manual_seed(0)
    llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))
    starcoder = transformers.Starcoder2ForCausalLM(
        transformers.Starcoder2Config(**SIZES, **NO_DROPOUT, sliding_window=4096, hidden_act="gelu_pytorch_tanh")
    )
    vision = transformers.CLIPVisionModel(
        transformers.CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=8,
            hidden_act="gelu",
        )
    )
    for name, model in (("llama", llama), ("starcoder2", starcoder), ("vision", vision)):
        # Norms and biases start at 1 and 0; nothing shows there.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.03)
        model.save_pretrained(folder / name)
    return folder


# --- Ours -------------------------------------------------------------------------------------------------------------


def experiment(folder, module, stage, **changes):
    """The preset in the size of the test, and whatever a run makes of it up to the first step."""
    config = module.get_config(f"stage={stage},preset=paper")
    name, words = {vlsm_1b: ("llama", "begun"), vlsm_7b: ("starcoder2", "plain")}[module]
    config.data.tokenizer = str(folder / words)
    config.model.init.decoder = str(folder / name)
    if stage == 2:
        config.model.init.vision = str(folder / "vision")
    config.model.update(compute_dtype="float32", remat="none", attention="xla")
    config.model.lora.dropout = 0.0
    config.train.frozen_dtype = "float32"
    config.train.steps = STEPS
    config.optimizer.update(learning_rate=RATE, warmup_steps=WARMUP)
    config.pipeline.sequence_length = IDS if stage == 1 else IDS + (SIDE // 8) ** 2 + 1
    config.pipeline.batch_size = 8 if module is vlsm_1b else 4
    config.train.accumulation = 1 if stage == 2 else 2
    config.update_from_flattened_dict(changes)

    rows = JsonlTriplets(folder / "train.jsonl")
    tokenizer = find_tokenizer(config, folder, rows)
    network, pipeline = build_network(config, vlsm_config(config, tokenizer), "cpu")
    train = build(TrainConfig, config.train, "train", seed=0)
    optimizer = make_optimizer(build(OptimizerConfig, config.optimizer, "optimizer"), STEPS)
    mesh = make_mesh(devices=jax.devices()[:1])
    params = initial_params(network, 0, mesh, **config.model.init)
    plan = StatePlan.create(network, optimizer, train.trainable, mesh, train.frozen_dtype)
    step = make_train_step(network.merge, optimizer, train.accumulation)
    return types.SimpleNamespace(
        config=config,
        rows=rows,
        params=params,
        state=jit(plan.start, out_shardings=plan.shardings)(params),
        data=make_dataset(rows, tokenizer, pipeline),
        tokenizer=tokenizer,
        pipeline=pipeline,
        step=jit(step, in_shardings=(plan.shardings, None), out_shardings=(plan.shardings, None)),
    )


def our_losses(made, data=None):
    state, losses = made.state, []
    for _, batch in zip(range(STEPS), made.data if data is None else data, strict=False):
        state, metrics = made.step(state, Batch(**batch))
        losses.append(float(metrics.loss))
    return losses


def order(made):
    """Records of every batch, in the order in which ours read them."""
    plan, size = made.data.plan, made.config.pipeline.batch_size
    places = [plan.read(plan.place(Place(0, 0), step * size), size)[0] for step in range(STEPS)]
    return [[made.rows[sample.index] for (sample,) in rows] for rows in places]


# --- Upstream's -------------------------------------------------------------------------------------------------------


def their_tokenizer(directory):
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(directory / "tokenizer.json"), eos_token="</s>", pad_token="</s>"
    )
    tokenizer.padding_side = "right"
    return tokenizer


def joint_texts(tokenizer, records):
    """Stage 1: one text, padded; all that is behind the prompt is a label, padding included."""
    prompts = ["Give me a Flexscript. " + record.prompt for record in records]
    texts = [prompt + record.response for prompt, record in zip(prompts, records, strict=True)]
    found = tokenizer(texts, padding="max_length", truncation=True, max_length=IDS, return_tensors="pt")
    labels = found["input_ids"].clone()
    for row, prompt in enumerate(prompts):
        labels[row, : len(tokenizer(prompt)["input_ids"])] = -100
    return found["input_ids"], found["attention_mask"], labels


def separate_texts(tokenizer, records):
    """Stage 2: two texts, half of the ids each, no end, padding left out of the loss."""
    rows = []
    for record in records:
        options = {"add_special_tokens": False, "truncation": True, "max_length": IDS // 2}
        prompt = tokenizer("Give me a Flexscript. " + record.prompt.strip(), **options)["input_ids"]
        response = tokenizer(record.response.strip(), **options)["input_ids"]
        missing = IDS - len(prompt) - len(response)
        rows.append(
            (
                prompt + response + [tokenizer.pad_token_id] * missing,
                [1] * (IDS - missing) + [0] * missing,
                [-100] * len(prompt) + response + [-100] * missing,
            )
        )
    return tuple(torch.tensor(column) for column in zip(*rows, strict=True))


def quantise(model):
    """Makes of the decoder's layers what bitsandbytes' NF4 with double quantisation makes of them."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear) and layer is not model.lm_head:
            codes, state = bitsandbytes.functional.quantize_4bit(
                layer.weight.data, quant_type="nf4", compress_statistics=True
            )
            layer.weight.data = bitsandbytes.functional.dequantize_4bit(codes, state)
    return model


def mean_loss(logits, labels):
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100
    )


def their_losses(batches, rows, parameters, loss_of, weight_decay):
    """`rows` of a batch at a time, their mean losses accumulated; the mean of these is what is logged."""
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=weight_decay)
    schedule = transformers.get_scheduler("cosine", optimizer, num_warmup_steps=WARMUP, num_training_steps=STEPS)
    losses = []
    for batch in batches:
        total = 0.0
        for start in range(0, len(batch), rows):
            loss = loss_of(batch[start : start + rows]) / (len(batch) // rows)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def text_loss(model, tokenizer):
    def loss(records):
        ids, mask, labels = joint_texts(tokenizer, records)
        return mean_loss(model(input_ids=ids, attention_mask=mask).logits, labels)

    return loss


def sketch_loss(decoder, vision, connector, tokenizer):
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})

    def loss(records):
        pictures = [Image.open(record.image).convert("RGB") for record in records]
        pixels = processor(pictures, return_tensors="pt")["pixel_values"]
        visual = connector(vision(pixel_values=pixels).last_hidden_state)
        ids, mask, labels = separate_texts(tokenizer, records)
        embedded = torch.cat([visual, decoder.get_input_embeddings()(ids)], dim=1)
        seen = torch.cat([torch.ones(visual.shape[:2], dtype=torch.long), mask], dim=1)
        labels = torch.cat([torch.full(visual.shape[:2], -100), labels], dim=1)
        return mean_loss(decoder(inputs_embeds=embedded, attention_mask=seen).logits, labels)

    return loss


def frozen_decoder(folder, name):
    kind = {"llama": transformers.LlamaForCausalLM, "starcoder2": transformers.Starcoder2ForCausalLM}[name]
    decoder = quantise(kind.from_pretrained(folder / name)).eval()
    return decoder.requires_grad_(False)


def linear(params, name):
    kernel, bias = (np.array(params[f"connector/{name}/{part}"]) for part in ("kernel", "bias"))
    layer = torch.nn.Linear(*kernel.shape)
    layer.weight.data, layer.bias.data = torch.from_numpy(kernel.T.copy()), torch.from_numpy(bias)
    return layer


# --- Side by side -----------------------------------------------------------------------------------------------------


def compare(ours, theirs):
    assert len(ours) == len(theirs) == STEPS
    assert ours[-1] < 0.97 * ours[1]  # it learns: equality is of more than the start
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


def test_stage_1_of_tinyllama(folder):
    made = experiment(folder, vlsm_1b, 1)
    model = transformers.LlamaForCausalLM.from_pretrained(folder / "llama").train()
    theirs = their_losses(
        order(made), 2, model.parameters(), text_loss(model, their_tokenizer(folder / "begun")), weight_decay=0.0
    )
    compare(our_losses(made), theirs)
    # Each switch bites.
    for change in ({"joint": False}, {"end": "token"}, {"rows_per_mean": 0}, {"truncate": False}):
        pipeline = build(PipelineConfig, {**made.config.pipeline, **change}, "pipeline", **NO_PICTURES)
        other = our_losses(made, make_dataset(made.rows, made.tokenizer, pipeline))
        assert np.abs(np.subtract(other, theirs)).max() > 1e-3, change


def test_stage_1_of_starcoder2(folder):
    made = experiment(folder, vlsm_7b, 1)
    model = peft.get_peft_model(
        frozen_decoder(folder, "starcoder2"),
        peft.LoraConfig(r=32, lora_alpha=64, lora_dropout=0.0, target_modules=ADAPTED, task_type="CAUSAL_LM"),
    ).train()
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            layer, projection = int(name.split(".layers.")[1].split(".")[0]), name.split("_proj")[0][-1]
            a = np.array(made.params[f"decoder/layers/attention/{projection}/lora/a"][layer])
            parameter.data = torch.from_numpy(a.reshape(-1, 32).T.copy())
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in trained) == sum(x.size for x in made.state.trained.values())
    theirs = their_losses(
        order(made), 2, trained, text_loss(model, their_tokenizer(folder / "plain")), weight_decay=0.0
    )
    compare(our_losses(made), theirs)


def test_stage_2_of_tinyllama(folder):
    made = experiment(folder, vlsm_1b, 2)
    vision = transformers.CLIPVisionModel.from_pretrained(folder / "vision").train()
    # All of the encoder but the norm that nobody reads.
    read = [parameter for name, parameter in vision.named_parameters() if "post_layernorm" not in name]
    ours = [value for name, value in made.state.trained.items() if name.startswith("vision/")]
    assert sum(parameter.numel() for parameter in read) == sum(value.size for value in ours)
    connector = linear(made.params, "linear")
    theirs = their_losses(
        order(made),
        2,
        [*vision.parameters(), *connector.parameters()],
        sketch_loss(frozen_decoder(folder, "llama"), vision, connector, their_tokenizer(folder / "begun")),
        weight_decay=0.01,
    )
    compare(our_losses(made), theirs)


def test_stage_2_of_starcoder2(folder):
    made = experiment(folder, vlsm_7b, 2)
    vision = transformers.CLIPVisionModel.from_pretrained(folder / "vision").train()
    connector = torch.nn.Sequential(linear(made.params, "linear_1"), torch.nn.GELU(), linear(made.params, "linear_2"))
    theirs = their_losses(
        order(made),
        1,
        [*vision.parameters(), *connector.parameters()],
        sketch_loss(frozen_decoder(folder, "starcoder2"), vision, connector, their_tokenizer(folder / "plain")),
        weight_decay=0.01,
    )
    compare(our_losses(made), theirs)
