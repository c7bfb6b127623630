"""ONNX Runtime's forward pass of EfficientNet-Lite, from the uint8 batch on; it has no gradients."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.speed import lite
from benchmarks.speed.workers import Outcome


def model(path, mode):
    """The network as an ONNX file's bytes; input (N, S, S, 3) uint8 BGR, output the logits."""
    stages, weights, bias = lite.read(path, mode)
    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    x = node("Cast", ["image"], "float", to=TensorProto.FLOAT)
    x = node("Sub", [x, constant("mean", lite.MEAN)], "difference")
    x = node("Transpose", [x], "first", perm=[0, 3, 1, 2])
    low, high = constant("low", 0), constant("high", 6)
    for stage in stages:
        entered = x
        for one in stage.convolutions:
            kernel, shift = one.folded()
            kernel = one.torch_kernel(kernel)
            if one.name == "stem":
                kernel = kernel[:, ::-1] / lite.STD  # the image's channels are BGR
            before, after = one.padding
            x = node(
                "Conv",
                [x, constant(one.name + "/W", kernel), constant(one.name + "/b", shift)],
                one.name,
                strides=[one.stride] * 2,
                pads=[before, before, after, after],
                kernel_shape=list(kernel.shape[2:]),
                group=len(kernel) if one.depthwise else 1,
            )
            if one.relu6:
                x = node("Clip", [x, low, high], one.name + "/relu6")
        if stage.adds:
            x = node("Add", [x, entered], stage.name + "/sum")
    x = node("Flatten", [node("GlobalAveragePool", [x], "pooled")], "flat")
    node("Gemm", [x, constant("linear/W", weights), constant("linear/b", bias)], "logits")
    size = lite.get_backbone(mode).image_size
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", size, size, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(bias)])
    graph = helper.make_graph(nodes, mode, [image], [logits], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    return made.SerializeToString()


class Library:
    """One session."""

    def __init__(self, setup):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setup.threads
        self._session = onnxruntime.InferenceSession(
            model(setup.weights, setup.mode), options, providers=["CPUExecutionProvider"]
        )

    def configuration(self):
        return "CPUExecutionProvider, its own optimizations"

    def prepare(self, case, images, classes):
        def call():
            (logits,) = self._session.run(None, {"image": images})
            return Outcome(logits=logits)

        return call
