"""Which operations of a graph from a file are run: those that compute, and nothing else.

A graph is a program, and TensorFlow has operations that read and write files, start threads and servers,
call Python or end the process. So there is a list of what is let in, not of what is kept out: an operation
that TensorFlow gains tomorrow is refused until someone has looked at it. All on the list work on their
inputs alone and keep nothing between runs.
"""

from typing import Any, Iterable

from dgl.errors import UserError
from dgl.tf_compat import tf
from dgl.weights.formats.registry import quoted

_ARITHMETIC = """
    Abs Acos Acosh Add AddN AddV2 AccumulateNV2 All Any ApproximateEqual ArgMax ArgMin Asin Asinh
    Atan Atan2 Atanh BatchMatMul BatchMatMulV2 BatchMatMulV3 Ceil ClipByValue Cos Cosh Cross Cumprod
    Cumsum Div DivNoNan Einsum Equal Erf Erfc Erfinv EuclideanNorm Exp Expm1 Floor FloorDiv FloorMod
    Greater GreaterEqual Inv IsFinite IsInf IsNan L2Loss Less LessEqual Lgamma Log Log1p LogicalAnd
    LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg NotEqual Pow
    Prod RealDiv Reciprocal Rint Round Rsqrt Sigmoid Sign Sin Sinh Sqrt Square SquaredDifference Sub
    Sum Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy
"""
_ARRAYS = """
    BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastTo Bucketize Cast CheckNumerics
    Concat ConcatOffset ConcatV2 Const DataFormatDimMap DataFormatVecPermute DepthToSpace Diag
    DiagPart DynamicPartition DynamicStitch EnsureShape ExpandDims Fill Gather GatherNd GatherV2
    Identity IdentityN InvertPermutation LinSpace MatrixBandPart MatrixDiag MatrixDiagV3 MirrorPad
    OneHot OnesLike Pack Pad PadV2 ParallelConcat Placeholder PlaceholderV2 PlaceholderWithDefault
    PreventGradient Range Rank Reshape Reverse ReverseV2 Roll ScatterNd SegmentMax SegmentMean
    SegmentSum Select SelectV2 Shape ShapeN Size Slice Snapshot SpaceToBatch SpaceToBatchND
    SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice Tile TensorScatterAdd
    TensorScatterUpdate Transpose Unique Unpack UnsortedSegmentMax UnsortedSegmentSum Where
    ZerosLike
"""
_LAYERS = """
    AvgPool AvgPool3D BatchNormWithGlobalNormalization BiasAdd BiasAddV1 Conv2D Conv3D
    DepthwiseConv2dNative Conv2DBackpropInput Dequantize Dilation2D Elu FakeQuantWithMinMaxArgs
    FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 InTopK InTopKV2 LRN LeakyRelu LogSoftmax MaxPool MaxPoolV2 MaxPoolWithArgmax
    QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2 Relu Relu6
    Selu Softmax Softplus Softsign TopK TopKV2
"""
_IMAGES = """
    AdjustContrastv2 AdjustHue AdjustSaturation CropAndResize DecodeBmp DecodeImage DecodeJpeg
    DecodePng DecodeRaw ExtractImagePatches HSVToRGB RGBToHSV ResizeArea ResizeBicubic
    ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate
"""
# Assert ends a run with a message, and Merge goes by which of two ways of a Switch was taken.
_CONTROL = "Assert ControlTrigger Merge NoOp Switch"

COMPUTES = frozenset(" ".join((_ARITHMETIC, _ARRAYS, _LAYERS, _IMAGES, _CONTROL)).split())

_LOOPS_AND_BRANCHES = frozenset(
    [
        "Case",
        "Enter",
        "Exit",
        "For",
        "If",
        "LoopCond",
        "NextIteration",
        "StatelessCase",
        "StatelessIf",
        "StatelessWhile",
        "While",
    ]
)
_VARIABLES = frozenset(["AutoReloadVariable", "VarHandleOp", "Variable", "VariableV2"])
_TEXT_BYTES = 24  # what TensorFlow takes for an empty one
MOST_CONSTANT_BYTES = 2**31  # what a graph, one message, may hold


def check_operations(graph_def: Any, path: str, allow: Iterable[str] = ()) -> None:
    """Refuse a graph with an operation that is not known to compute only.

    Args:
        graph_def: ``tf.GraphDef`` without functions.
        path: what an error calls the graph.
        allow: types of operations to let in besides, by whoever trusts the file.

    Raises:
        UserError: such an operation, a variable, control flow, a setting that is no word, or constants
            that claim more than 2 GiB.
    """
    allowed = COMPUTES.union(allow)
    refused = [node for node in graph_def.node if node.op not in allowed]
    if refused:
        # With a variable comes what would fill it, which is not what is the matter.
        first = next((node for node in refused if node.op in _VARIABLES), refused[0])
        raise UserError(f"{path}: {_refusal(first)}")
    claimed = 0
    for node in graph_def.node:
        _check_words(node, path)
        if node.op == "Const":
            claimed += _claimed_bytes(node, path)
            if claimed > MOST_CONSTANT_BYTES:
                raise UserError(
                    f"{path}: its constants claim more than 2 GiB, up to {quoted(node.name)}"
                )


def _check_words(node, path):
    """Old TensorFlows die of a message about a setting that is no text."""
    for setting in node.attr.values():
        for word in [setting.s] + list(setting.list.s):
            if any(byte < 32 or byte > 126 for byte in word):
                raise UserError(f"{path}: {quoted(node.name)} has a setting that is no word")


def _refusal(node):
    if node.op in _VARIABLES:
        return f"{quoted(node.name)} is a variable without a value; expected a frozen graph or a SavedModel"
    if node.op in _LOOPS_AND_BRANCHES:
        return (
            f"{quoted(node.name)} is a loop or a branch ({node.op}) that is not known beforehand, which gradients are not taken "
            "through; expected a graph for inference"
        )
    return (
        f"operation {quoted(node.name)} of type {quoted(node.op)} is refused: it is not on the list of those that only compute "
        "(allow= lets it in)"
    )


def _claimed_bytes(node, path):
    """Bytes of a constant's array by its shape, which a short message may overstate."""
    tensor = node.attr["value"].tensor
    count = 1
    for dimension in tensor.tensor_shape.dim:
        if dimension.size < 0:
            raise UserError(f"{path}: {quoted(node.name)} has a negative size")
        count *= dimension.size
    try:
        size = tf.as_dtype(node.attr["dtype"].type).size or _TEXT_BYTES
    except TypeError:
        raise UserError(f"{path}: {quoted(node.name)} is of no known type") from None
    return count * size
