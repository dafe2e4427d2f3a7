"""Triplets as a data set of TensorFlow Datasets: importing this package makes TFDS know `gdt_synth`.

    import tensorflow_datasets as tfds
    import vlsm_jax.synth.gdt_synth

    train = tfds.data_source("gdt_synth", split="train")  # random access, for grain and PyTorch
    train = tfds.load("gdt_synth", split="train", shuffle_files=True)  # a tf.data.Dataset

The first call builds the data set; later ones find it in `data_dir`. Both read the same ArrayRecord files. Building and
`tfds.data_source` need no TensorFlow (`pip install 'vlsm_jax[tfds]'` is all); `tfds.load`, other file formats and the
command `tfds` do.

Splits are `train`, `validation`, `iid`, `industry`, `layout`, `size`, `timing`, and the twins of the five tests whose
sketches are empty pages, `iid-blank` and so on. `gdt_synth/default` has 10,000 triplets to train on and 500 of every
other split, `gdt_synth/paper_size` the 120,285 of the paper, 90 to 5 to 5, and 2,000 of each test that it lacks. Others
are asked for in Python:

    from vlsm_jax.synth.gdt_synth import GdtSynthConfig

    config = GdtSynthConfig(train=50_000, layout=1_000, seed=7)
    builder = tfds.builder("gdt_synth", config=config)
    builder.download_and_prepare()

An example has `id`, `image`, `prompt`, `response`; `industry`, `layout`, `objects` and the like, to choose by; and
`metadata`, all fields of its row as JSON. Text comes as bytes, as everywhere in TFDS. Examples are those that
`write_dataset` writes for the same seed, numbers and options, in the same order: text, metadata and the bytes of the
pictures are equal. (Files are not equal byte by byte, since TFDS orders the fields inside an example as it likes.)
`tfds.decode.SkipDecoding()` as the decoder of `image` gives those bytes. TFDS decodes them with TensorFlow or OpenCV;
without either it takes the indices of a PNG with a palette for pixels. TensorFlow's JPEG is up to 7 levels off that of
others. `vlsm_jax.data.triplets.open_triplets(builder.data_dir, split="train")` reads the folder without TFDS.

## On several cores, or several machines

With a runner of Apache Beam the same examples are made in parallel. On the cores of one machine:

    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(runner="DirectRunner", direct_num_workers=8, direct_running_mode="multi_processing")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_options=options))

On Dataflow, Flink or Spark give that runner's options, there or to TFDS's own command, which needs `tensorflow` and
`mlcroissant` on the machine where it is typed. For Dataflow:

    printf 'tensorflow\\ntensorflow-datasets\\nimportlib_resources\\ngcsfs\\n' > /tmp/beam_requirements.txt
    python -m build --sdist
    tfds build gdt_synth/paper_size --imports=vlsm_jax.synth.gdt_synth \\
      --data_dir=gs://BUCKET/tensorflow_datasets --file_format=tfrecord \\
      --beam_pipeline_options="runner=DataflowRunner,project=PROJECT,region=REGION,job_name=gdt-synth,\\
    staging_location=gs://BUCKET/binaries,temp_location=gs://BUCKET/temp,\\
    requirements_file=/tmp/beam_requirements.txt,extra_package=dist/vlsm_jax-VERSION.tar.gz"

TFDS writes ArrayRecord files into file systems only (a mounted disk that all workers share will do), hence TFRecord.
`tfds convert_format --root_data_dir=COPY --out_file_format=array_record`, on a copy of the bucket's folder on a disk,
adds ArrayRecord files to it (given an `--out_dir`, TFDS 4.9.10 leaves the metadata out). They are read with
`tfds.builder_from_directory("FOLDER").as_data_source("train")` or
`open_triplets("FOLDER/gdt_synth-train.array_record*")`. The pipeline and both commands were run with Beam's
DirectRunner, the pipeline also in two processes; nothing was run on a cluster.
"""

try:
    import tensorflow_datasets  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("gdt_synth needs TFDS: pip install 'vlsm_jax[tfds]'", name=error.name) from error

from vlsm_jax.synth.gdt_synth.builder import GdtSynth
from vlsm_jax.synth.gdt_synth.config import GdtSynthConfig

__all__ = ["GdtSynth", "GdtSynthConfig"]
