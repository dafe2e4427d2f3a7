"""A small VLSM from nothing: triplets are made, it is trained from scratch, it writes scripts, they are run and scored.

    make quickstart
    python launch.py --config=configs/quickstart.py --workdir=runs/quickstart

What to expect on two CPU cores without a GPU (AMD EPYC with AVX2, shared server, 2026-11-27): 504 s in all, of which
some 420 for 1,600 steps. Of the tokens of validation .81 are right after 200 steps and .94 after 600. On 200 test
triplets SVR 0.980, PMR 0.900, ESR 0.935, BLEU-4 0.983. The same seed gives the same losses on the same kind of
processor.

`configs/quickstart.py:smoke` is the same chain in a minute or two, for a look at the machinery: its model has learnt
nothing worth scoring.
"""

from ml_collections import ConfigDict

from configs import optimizing, reading, recording


def get_config(arg: str = "full") -> ConfigDict:
    """Returns the experiment; `arg` is "full" or "smoke"."""
    if arg not in ("full", "smoke"):
        raise ValueError(f"configs/quickstart.py:{arg}: choose full or smoke")
    smoke = arg == "smoke"
    config = ConfigDict()
    config.name = "quickstart"
    config.seed = 0

    # No tokenizer: a BPE is trained on the triplets.
    config.data = reading.data(tokenizer="", vocab_size=512 if smoke else 1536)

    # What is made: small factories, and scripts in the paper's style.
    config.synth = ConfigDict()
    config.synth.train = 64 if smoke else 5000
    config.synth.validation = 16 if smoke else 200
    config.synth.iid = 8 if smoke else 200
    config.synth.industries = ("photomask", "pcb", "ev_battery")
    config.synth.layouts = ("linear", "parallel")
    config.synth.automation = ("manual",)
    config.synth.features = ()
    config.synth.most_objects = 6
    config.synth.prompt_styles = ("complete", "sketch")
    config.synth.self_contained = False  # whether no prompt leaves connections to the sketch, for a model of text alone
    config.synth.script_styles = ("loop",)
    config.synth.sketch_styles = ("pencil",)
    config.synth.plain = True
    config.synth.unordered = False  # whether prompts that do introduce the objects in no order of the flow
    config.synth.open_names = 0.0  # of the factories, with objects called anything
    config.synth.annotated = False  # whether rows tell what is where in the sketch

    config.pipeline = reading.pipeline(sequence_length=512, batch_size=4)

    # The decoder and the encoder are described as Hugging Face describes them.
    config.model = ConfigDict()
    config.model.decoder = ConfigDict(
        {
            "model_type": "llama",
            "hidden_size": 64 if smoke else 128,
            "intermediate_size": 128 if smoke else 352,
            "num_hidden_layers": 2 if smoke else 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": True,
        }
    )
    config.model.vision = ConfigDict(
        {
            "model_type": "clip_vision_model",
            "hidden_size": 64,
            "intermediate_size": 192,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 192,
            "patch_size": 32,
            "hidden_act": "gelu",
        }
    )
    config.model.feature_layer = 0  # the last, or that of model.init.model; LLaVA takes the one before, -2
    config.model.seen_patches = 0  # all, or as many as that of model.init.model; else those whose pixels differ most
    config.model.connector = "mlp"
    config.model.remat = "dots"  # none, dots, full: see vlsm_jax/models/stack.py
    config.model.compute_dtype = "float32"
    # Of the decoder's layers: none, nf4, nf4-double, int8, int4. What is quantised is frozen: see train.trainable.
    config.model.quantise = "none"
    # Adapters; a rank of 0 is none. Targets are regular expressions for whole paths of layers.
    config.model.lora = ConfigDict({"rank": 0, "alpha": 16.0, "dropout": 0.0, "rslora": False})
    config.model.lora.targets = (r"decoder/layers/(attention|mlp)/\w+",)

    config.train = ConfigDict()
    config.train.steps = 4 if smoke else 1600
    config.train.accumulation = 1
    config.train.trainable = ((r".*", True),)
    config.train.log_every = 1 if smoke else 20
    config.train.validate_every = 2 if smoke else 200
    config.train.validation_batches = 1 if smoke else 4
    config.train.checkpoint_every = 2 if smoke else 200
    config.train.keep_checkpoints = 2
    config.train.most_skipped = 5  # updates in a row that are not finite: then the run ends
    config.train.features = ""  # folder for the features of a frozen encoder, computed once
    config.train.visual_targets = 0.0  # weight of what patches are to say, of annotated sketches (synth.annotated)
    config.train.responses = True  # False: the encoder alone, on what patches are to say

    config.optimizer = optimizing.optimizer(name="muon", learning_rate=5e-3, warmup_steps=2 if smoke else 100)

    config.log = recording.log()

    # Devices along each axis; -1 takes what is left.
    config.mesh = ConfigDict({"data": -1, "fsdp": 1, "tensor": 1})

    config.evaluate = ConfigDict()
    # Each split in each way: greedy, constrained, named, best-of-8, mended, or joined: constrained-best-of-8-mended.
    config.evaluate.splits = ("iid",)
    config.evaluate.ways = ("greedy",)
    config.evaluate.model = ""  # or a folder in Hugging Face layout, in place of the run's own checkpoint
    config.evaluate.samples = 4 if smoke else 200
    config.evaluate.batch_size = 4 if smoke else 25
    config.evaluate.max_tokens = 64 if smoke else 320
    config.evaluate.checkpoint = "last"  # or "best", by validation loss; also exported
    config.evaluate.quantised_product = "auto"  # of layers in NF4 in decoding; or "xla", "pallas"
    config.evaluate.until = 28800.0  # simulated seconds: one shift

    config.export = True
    return config
