"""tf.train.Example, read and written without TensorFlow.

The message is declared here, field by field as TensorFlow does, in a pool of its own so that it never meets
TensorFlow's where both are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_FIELD = descriptor_pb2.FieldDescriptorProto
_LISTS = {"bytes_list": _FIELD.TYPE_BYTES, "float_list": _FIELD.TYPE_FLOAT, "int64_list": _FIELD.TYPE_INT64}
_NAMES = {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"}


def _example_class() -> type:
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")

    def message(name: str) -> descriptor_pb2.DescriptorProto:
        return file.message_type.add(name=name)

    for field, name in _NAMES.items():
        message(name).field.add(name="value", number=1, label=_FIELD.LABEL_REPEATED, type=_LISTS[field])
    feature = message("Feature")
    feature.oneof_decl.add(name="kind")
    for number, (field, name) in enumerate(_NAMES.items(), start=1):
        feature.field.add(
            name=field,
            number=number,
            label=_FIELD.LABEL_OPTIONAL,
            type=_FIELD.TYPE_MESSAGE,
            type_name=f".tensorflow.{name}",
            oneof_index=0,
        )
    features = message("Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
    for holder, name, number, label, of in (
        (entry, "value", 2, _FIELD.LABEL_OPTIONAL, "Feature"),
        (features, "feature", 1, _FIELD.LABEL_REPEATED, "Features.FeatureEntry"),
        (message("Example"), "features", 1, _FIELD.LABEL_OPTIONAL, "Features"),
    ):
        holder.field.add(name=name, number=number, label=label, type=_FIELD.TYPE_MESSAGE, type_name=f".tensorflow.{of}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


_Example = _example_class()


def write_example(row: Mapping[str, bytes | str | int | list[str]]) -> bytes:
    """Returns a row as a serialized Example: bytes and text as a bytes_list, whole numbers as an int64_list.

    Equal rows give equal bytes.
    """
    example = _Example()
    feature = example.features.feature
    for name, value in row.items():
        if isinstance(value, int):
            feature[name].int64_list.value.append(value)
        elif isinstance(value, list):
            feature[name].bytes_list.value.extend(item.encode() for item in value)
        else:
            feature[name].bytes_list.value.append(value.encode() if isinstance(value, str) else value)
    return example.SerializeToString(deterministic=True)


def read_example(data: bytes) -> dict[str, list[Any]]:
    """Returns feature to list of bytes, int or float.

    Raises:
      ValueError: `data` is no Example, or one without any feature.
    """
    try:
        example = _Example.FromString(data)
    except DecodeError as error:
        raise ValueError("the record is not a tf.train.Example") from error
    out = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        out[name] = list(getattr(feature, kind).value) if kind else []
    if not out:  # any message of other fields reads as an Example without features
        raise ValueError("the record is not a tf.train.Example, or has no features")
    return out
