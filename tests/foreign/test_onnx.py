"""ONNX files: every operation against ONNX's own reference in NumPy, and what is refused."""

import re

import numpy as np
import pytest
from graph_defs import refused, value_of

from dgl.foreign import layers_of, logits_of
from dgl.foreign.tensors import layout_of

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from dgl.foreign.onnx_graph import load_onnx

RNG = np.random.RandomState(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def whole(*numbers):
    return np.array(numbers, "int64")


def model_of(nodes, arrays, shape=("n", 3, 8, 8), opset=18):
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", [image], [result], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def load(folder, model):
    onnx.save(model, str(folder / "a.onnx"))
    return load_onnx(str(folder / "a.onnx"))


def node(kind, *inputs, **attributes):
    return helper.make_node(kind, list(inputs), ["y"], name="a/" + kind, **attributes)


def case(kind, *inputs, **attributes):
    """An operation, its inputs behind the image and its attributes."""
    return kind, inputs, attributes


POOL = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
KINDS = (
    "Abs Ceil Elu Erf Exp Flatten Floor GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity "
    "LeakyRelu Mish Neg Reciprocal Relu Selu Sigmoid Sign Softplus Softsign Tanh"
).split()
TWICE = dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
HALF_PIXEL = dict(mode="linear", coordinate_transformation_mode="half_pixel")
TURNED = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
CASES = {
    **{kind: case(kind) for kind in KINDS},
    "elu of another slope": case("Elu", alpha=0.3),
    "hard sigmoid of PyTorch": case("HardSigmoid", alpha=1 / 6),
    "convolution": case("Conv", normal(5, 3, 3, 3), normal(5), pads=[1, 1, 1, 1]),
    "strided": case("Conv", normal(5, 3, 3, 2), pads=[1, 0, 2, 1], strides=[2, 3]),
    "groups": case("Conv", normal(6, 1, 3, 3), group=3),
    "dilation": case("Conv", normal(4, 3, 3, 3), dilations=[2, 2], pads=[2, 2, 2, 2]),
    "same": case("Conv", normal(4, 3, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    "turned convolution": case("ConvTranspose", normal(3, 4, 3, 3), normal(4), **TURNED),
    "batch norm": case("BatchNormalization", *normal(3, 3), np.abs(normal(3)), epsilon=0.01),
    "layer norm": case("LayerNormalization", normal(8), normal(8), axis=-1),
    "instance norm": case("InstanceNormalization", normal(3), normal(3)),
    "max pool": case("MaxPool", strides=[2, 2], **POOL),
    "ceiling": case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "average pool": case("AveragePool", **POOL),
    "padding counts": case("AveragePool", count_include_pad=1, **POOL),
    "parametric": case("PRelu", np.abs(normal(3, 1, 1))),
    "clip": case("Clip", np.float32(-0.5), np.float32(0.7)),
    "relu6": case("Clip", np.float32(0), np.float32(6)),
    "mean": case("ReduceMean", whole(2, 3), keepdims=0),
    "sum": case("ReduceSum", whole(1)),
    "norm": case("ReduceL2", whole(1)),
    "softmax": case("Softmax", axis=1),
    "logarithm": case("LogSoftmax", axis=1),
    "turn": case("Transpose", perm=[0, 2, 3, 1]),
    "shape": case("Reshape", whole(0, 3, 64)),
    "rest": case("Reshape", whole(2, -1)),
    "slice": case("Slice", whole(1), whole(2**63 - 1), whole(3), whole(2)),
    "backwards": case("Slice", whole(-1), whole(-(2**63)), whole(2), whole(-1)),
    "gather": case("Gather", whole(2, 0, -1), axis=1),
    "one": case("Gather", np.array(-1, "int64"), axis=3),
    "pad": case("Pad", whole(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)),
    "mirror": case("Pad", whole(0, 0, 1, 2, 0, 0, 2, 1), mode="reflect"),
    "unsqueeze": case("Unsqueeze", whole(1, -1)),
    "expand": case("Expand", whole(2, 2, 3, 8, 8)),
    "nearest": case("Resize", None, np.array([1, 1, 2, 2], "float32"), **TWICE),
    "bilinear": case("Resize", None, None, whole(2, 3, 13, 11), **HALF_PIXEL),
    "power": case("Pow", np.float32(2)),
    "division": case("Div", np.abs(normal(1, 3, 1, 1)) + 1),
    "matrix": case("MatMul", normal(8, 4)),
    "einsum": case("Einsum", normal(3, 5), equation="nchw,cd->ndhw"),
    "maximum": case("Max", normal(3, 8, 8), np.float32(0)),
    "half": case("Cast", to=TensorProto.FLOAT16),
}


@pytest.mark.parametrize("name", list(CASES))
def test_operations_are_those_of_the_reference(name, tmp_path):
    kind, given, attributes = CASES[name]
    arrays = {f"i{place}": np.asarray(a) for place, a in enumerate(given) if a is not None}
    read = ["x"] + [f"i{p}" if a is not None else "" for p, a in enumerate(given)]
    model = model_of([node(kind, *read, **attributes)], arrays)
    images = RNG.standard_normal((2, 3, 8, 8)).astype("float32")
    (expected,) = ReferenceEvaluator(model).run(None, {"x": images})
    loaded = load(tmp_path, model)
    found = value_of(loaded.output(), {loaded.inputs["x"]: images})
    assert found.shape == expected.shape
    tolerance = 5e-3 if name == "half" else 1e-5
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_a_classifier_s_layers_and_layout(tmp_path):
    """Convolution, GELU, global mean, linear."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Gelu", ["c"], ["g"], name="/act/Gelu"),
        helper.make_node("ReduceMean", ["g", "sides"], ["m"], keepdims=0),
        helper.make_node("Gemm", ["m", "w", "b"], ["z"], transB=1),
        helper.make_node("Softmax", ["z"], ["y"], axis=-1),
    ]
    arrays = {"kernel": normal(4, 3, 3, 3), "sides": whole(2, 3), "w": normal(5, 4), "b": normal(5)}
    loaded = load(tmp_path, model_of(nodes, arrays, opset=20))
    logits = logits_of(loaded.output())
    assert logits.shape.as_list() == [None, 5]
    name, layer = next(iter(layers_of(logits).items()))
    assert name.startswith("act/Gelu") and layer.shape.as_list() == [None, 4, 8, 8]
    assert layout_of(layer, logits) == "channels_first"


@pytest.mark.parametrize(
    "made, words",
    [
        (node("Det", "x"), "operations that are not translated: Det"),
        (node("Pad", "x", "i0", mode="edge"), "'a/Pad' is not translated .*repeats the edge"),
        (node("MatMul", "x", "i0"), "MatMul 'a/MatMul' is not translated"),
        (b"", "damaged or no ONNX model"),
        (b"\x00" * 50, "damaged or no ONNX model"),
        (b"not a model" * 20, "damaged or no ONNX model"),
        (None, "no such file"),
    ],
)
def test_what_is_not_translated_and_something_else(made, words, tmp_path):
    if isinstance(made, bytes):
        (tmp_path / "a.onnx").write_bytes(made)
    elif made is not None:
        onnx.save(model_of([made], {"i0": whole(0, 0, 1, 1, 0, 0, 1, 1)}), str(tmp_path / "a.onnx"))
    assert re.search(words, refused(load_onnx, tmp_path / "a.onnx"))
