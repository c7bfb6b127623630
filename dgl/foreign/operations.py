"""Check the operations of a graph from a file: only those that do nothing but compute are allowed.

A graph is a program, and TensorFlow has operations that read and write files, start threads and
servers, call Python or end the process. The allowed ones are listed, so that operations of future
versions are refused until they are reviewed: they depend on their inputs alone and keep no state
between runs. Those that draw random numbers pass where an input of the graph may turn them off.
"""

import re
from typing import FrozenSet, Iterable

from dgl.errors import UserError, quote
from dgl.foreign.nodes import VARIABLES, NodeDef
from dgl.tf_compat import tf
from dgl.utils.graph_walk import reachable
from dgl.utils.types import GraphDef

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
# Arrays of tensors, which loops collect their results in.
_LISTS = """
    EmptyTensorList TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
    TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
    TensorListResize TensorListSetItem TensorListStack
"""
_IMAGES = """
    AdjustContrastv2 AdjustHue AdjustSaturation CropAndResize DecodeBmp DecodeImage DecodeJpeg
    DecodePng DecodeRaw ExtractImagePatches HSVToRGB RGBToHSV ResizeArea ResizeBicubic
    ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate
"""
# Assert may end a run with an error; Merge passes on whichever branch of a Switch was taken.
_CONTROL = "Assert ControlTrigger Merge NoOp Switch"

COMPUTES = frozenset(" ".join((_ARITHMETIC, _ARRAYS, _LAYERS, _LISTS, _IMAGES, _CONTROL)).split())

# TensorFlow 1's loops, and the arrays that they read and fill.
_LOOPS = frozenset("Enter Exit LoopCond NextIteration".split())
_LOOP_ARRAY = "TensorArray"
_LOOPS_AND_BRANCHES = _LOOPS.union(
    "Case For If StatelessCase StatelessIf StatelessWhile While".split()
)
_WEIGHTED = frozenset(
    "BatchMatMul BatchMatMulV2 BatchMatMulV3 Conv2D Conv2DBackpropInput Conv3D DepthwiseConv2dNative "
    "Einsum MatMul".split()
)
_FED = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_RANDOM = re.compile(
    "Random|Multinomial|^Stateful(Uniform|Standard|Truncated)|Bernoulli|Shuffle|^Rng"
)
_CONTROL_SCOPE = re.compile(r"(cond|while|map|case)(_\d+)?$")
_OF_FUNCTIONS = re.compile(
    r"(stateless|stateful)_|(random_uniform|random_normal|truncated_normal|dropout|cond|while|map|case|"
    r"Partitioned\w*|Stateful\w*)(_\d+)?$"
)
_STRING_BYTES = 24  # memory of an empty string
_MOST_CONSTANT_BYTES = 2**31  # the limit of a graph message


def check_operations(graph_def: GraphDef, path: str, allow: Iterable[str] = ()) -> None:
    """Refuse a graph with an operation that is not in :data:`COMPUTES`.

    ``allow`` has types of operations allowed in addition, for files that are trusted.

    Raises:
        UserError: such an operation (variables and control flow among them), a damaged attribute, or
            constants whose shapes amount to more than 2 GiB.
    """
    allowed = COMPUTES.union(allow)
    decided = _is_chance_decided(graph_def)
    loops = _loops_before_weights(graph_def)
    refused = [
        node
        for node in graph_def.node
        if node.op not in allowed and not (decided and is_random(node)) and node.name not in loops
    ]
    if refused:
        # A random layer brings a variable of its state along, which is not what is wrong with it; but the
        # initial value of a variable may be random too.
        drawn = [n for n in refused if is_random(n) and "/Initializer/" not in n.name]
        # The operations that would initialize a variable may come before it in the graph.
        variables = [node for node in refused if node.op in VARIABLES]
        raise UserError(f"{path}: {_refusal((drawn + variables + refused)[0])}")
    claimed = 0
    for node in graph_def.node:
        _check_attributes(node, path)
        if node.op == "Const":
            claimed += _claimed_bytes(node, path)
            if claimed > _MOST_CONSTANT_BYTES:
                raise UserError(
                    f"{path}: its constants up to {quote(node.name)} amount to more than 2 GiB"
                )


def check_no_chance(graph_def: GraphDef, path: str) -> None:
    """Refuse a graph whose results are random, or that has a loop of an unknown number of rounds.

    Raises:
        UserError: such an operation of the file or model ``path``, with the layer that it belongs to.
    """
    decided = _is_chance_decided(graph_def)
    loops = _loops_before_weights(graph_def)
    for node in graph_def.node:
        is_loop = node.op in _LOOPS_AND_BRANCHES and node.name not in loops
        if is_loop or (is_random(node) and not decided and not _is_in_branch(graph_def, node)):
            raise UserError(f"{path}: {_refusal(node)}")


def _loops_before_weights(graph_def: GraphDef) -> FrozenSet[str]:
    """Nodes of TensorFlow 1's loops if all weights come after, so that no gradient passes through them."""
    own = [n.name for n in graph_def.node if n.op in _LOOPS or n.op.startswith(_LOOP_ARRAY)]
    before = reachable(graph_def, own) if own else set()
    weighted = {node.name for node in graph_def.node if node.op in _WEIGHTED}
    return frozenset(own if weighted and not weighted & before else ())


def refuse_chance(node: NodeDef, path: str) -> None:
    """Raise :class:`UserError` for a random operation, a node, that changed the results of a run."""
    raise UserError(f"{path}: {_refusal(node)}, or feed what turns it off, such as keep_prob=1")


def _is_chance_decided(graph_def: GraphDef) -> bool:
    """Whether a number or a truth value that is fed may turn random operations off, as ``keep_prob`` does.

    Whether it does, only a run tells: see :class:`~dgl.predict.graph_predictor.GraphPredictor`.
    """
    for node in graph_def.node:
        if node.op in _FED:
            shape, kind = node.attr["shape"].shape, tf.as_dtype(node.attr["dtype"].type)
            if (shape.unknown_rank or not shape.dim) and (kind.is_floating or kind.is_bool):
                return True
    return False


def _is_in_branch(graph_def: GraphDef, node: NodeDef) -> bool:
    """Whether a node runs only in one branch of TensorFlow 1's conditions, such as that of training."""
    before = reachable(graph_def, [node.name])
    return any(other.op == "Switch" and other.name in before for other in graph_def.node)


def is_random(node: NodeDef) -> bool:
    """Whether a node draws random numbers."""
    return bool(_RANDOM.search(node.op))


def layer_name(node: str) -> str:
    """The layer that a node belongs to, as far as the scopes of its name tell.

    The innermost scopes are those of TensorFlow's functions, such as ``dropout/random_uniform``, and the
    outermost one is the model's.
    """
    scopes = node.split("/")[:-1]
    own = [place for place, scope in enumerate(scopes) if not _OF_FUNCTIONS.match(scope)]
    place = own[-1] if own else 0
    if place == 0 and len(scopes) > 1 and not _CONTROL_SCOPE.match(scopes[1]):
        place = 1 if own else 0  # a layer that is named as a function is: model/dropout/dropout/...
    return scopes[place] if scopes else node


def _check_attributes(node: NodeDef, path: str) -> None:
    """Refuse attributes that are not printable ASCII, which crash old versions of TensorFlow."""
    for attribute in node.attr.values():
        if not all(32 <= byte <= 126 for text in (attribute.s, *attribute.list.s) for byte in text):
            raise UserError(
                f"{path}: {quote(node.name)} has an attribute that is not printable ASCII"
            )


def _refusal(node: NodeDef) -> str:
    if node.op in VARIABLES:
        return f"{quote(node.name)} is a variable without a value; expected a frozen graph or a SavedModel"
    if node.op in _LOOPS_AND_BRANCHES or node.op.startswith(_LOOP_ARRAY):
        return (
            f"{quote(node.name)} of layer {quote(layer_name(node.name))} is a loop whose number of rounds "
            f"only a run tells ({node.op}), through which no gradients are computed; expected a graph for "
            "inference with loops of a fixed length"
        )
    if is_random(node):
        return (
            f"layer {quote(layer_name(node.name))} is random at inference (operation {quote(node.name)} of "
            f"type {node.op}): maps would differ from run to run; export the model without it: build it "
            "anew without that layer, or call it with training=False, and save that"
        )
    return (
        f"operation {quote(node.name)} of type {quote(node.op)} is refused: it may do more than compute "
        "(allow= permits it)"
    )


def _claimed_bytes(node: NodeDef, path: str) -> int:
    """Size of a constant's array by its shape, which may be far larger than the file."""
    try:
        size = int(tf.as_dtype(node.attr["dtype"].type).size or _STRING_BYTES)
    except TypeError:
        raise UserError(f"{path}: {quote(node.name)} has an unknown type") from None
    for dimension in node.attr["value"].tensor.tensor_shape.dim:
        if dimension.size < 0:
            raise UserError(f"{path}: {quote(node.name)} has a negative size")
        size *= dimension.size
    return size
