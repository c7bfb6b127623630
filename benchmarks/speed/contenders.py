"""The contenders of the sections `peers` and `lite`, and the ratios and bounds between them."""

from benchmarks.speed import lite
from benchmarks.speed.contest import ALL, LAYERS, LITE_LAYER, MAIN_LAYER, Contender, Ratio
from benchmarks.speed.spread import AT_LEAST, AT_MOST

FORWARD, TORCH_FORWARD = "forward pass", "PyTorch's forward pass"
DGL, DGL_LIMIT = "DGL", "DGL, --pa inf"
CAPTUM = "captum LayerGradCam"
LAYER_CAM, FROZEN = "pytorch-grad-cam LayerCAM", "pytorch-grad-cam LayerCAM, weights frozen"
GRAD_CAM, HIRES_CAM = "pytorch-grad-cam GradCAM", "pytorch-grad-cam HiResCAM"
KERAS_CAM, KERAS_LAYER = "tf-keras-vis Gradcam", "tf-keras-vis Layercam"
GRADIENT, ONNX = "PyTorch's gradient", "ONNX Runtime's forward pass"
COMPILED, PLAIN = ", compiled", ", as people have it"
COARSE = "strides 16 and 32"


def _contenders():
    torch, captum, grad_cam = ("torch",), ("torch", "captum"), ("torch", "grad-cam", "ttach")
    keras = ("torch", "tf-keras-vis")  # torch: its maps are checked as everyone's
    made = [Contender(FORWARD, "", "ours", "forward", {}, None)]
    made += [Contender(DGL, layer, "ours", "dgl", {}, "dgl") for layer in LAYERS]
    made.append(Contender(DGL_LIMIT, MAIN_LAYER, "ours", "dgl", {"alpha": "inf"}, "dgl"))
    made.append(Contender(DGL, ALL, "ours", "dgl", {}, "dgl"))
    made.append(Contender(TORCH_FORWARD, "", "pytorch", "forward", {}, None, torch))
    for layer in LAYERS:
        made.append(Contender(CAPTUM, layer, "pytorch", "captum", {}, "gradcam_sum", captum))
        for name, options in ((LAYER_CAM, {}), (FROZEN, {"frozen": True})):
            made.append(
                Contender(name, layer, "pytorch", "layercam", options, "layercam", grad_cam)
            )
    for name, what in ((GRAD_CAM, "gradcam"), (HIRES_CAM, "hirescam")):
        made.append(Contender(name, MAIN_LAYER, "pytorch", what, {}, what, grad_cam))
    for name, what in ((KERAS_CAM, "gradcam"), (KERAS_LAYER, "layercam")):
        made.append(Contender(name, MAIN_LAYER, "keras_vis", what, {}, what, keras))
    return {(one.name, one.layer): one for one in made}


CONTENDERS = _contenders()
# The contenders whose peak memory is measured.
MEMORY = (
    [(FORWARD, ""), (DGL, MAIN_LAYER), (DGL_LIMIT, MAIN_LAYER), (DGL, ALL), (TORCH_FORWARD, "")]
    + [(name, MAIN_LAYER) for name in (CAPTUM, LAYER_CAM, FROZEN, GRAD_CAM, HIRES_CAM)]
    + [(name, MAIN_LAYER) for name in (KERAS_CAM, KERAS_LAYER)]
)  # fmt: skip


def _ratios():
    ours = (FORWARD, "")
    most = {"add": 1.03, "conv5_2": 1.25, "conv4_3": 1.40, "conv3_3": 2.0}
    rows = [Ratio((DGL, layer), ours, bound=(AT_MOST, most[layer])) for layer in LAYERS]
    rows.append(Ratio((DGL_LIMIT, MAIN_LAYER), ours, bound=(AT_MOST, 1.15)))
    rows.append(Ratio((DGL, ALL), ours, bound=(AT_MOST, 3.5)))
    rows.append(Ratio((TORCH_FORWARD, ""), ours))
    for name, sized, least in ((CAPTUM, False, 1.0), (LAYER_CAM, True, 2.5), (FROZEN, True, None)):
        for layer in LAYERS:
            bound = (AT_LEAST, least) if least and layer == MAIN_LAYER else None
            rows.append(Ratio((name, layer), (DGL, layer), sized, bound))
    for name in (GRAD_CAM, HIRES_CAM, KERAS_CAM, KERAS_LAYER):
        rows.append(Ratio((name, MAIN_LAYER), (DGL, MAIN_LAYER), True))
    return rows


RATIOS = _ratios()


def lite_contenders(mode):
    """(contenders by key, keys whose memory is measured, ratios) for an EfficientNet-Lite."""
    at, torch, cam = LITE_LAYER, ("torch",), ("torch", "grad-cam", "ttach")
    keras, plain, compiled = ("torch", "tf-keras-vis"), {"plain": True}, {"compiled": True}
    frozen, least, most = {"frozen": True}, None, (None, None)
    if mode == "efficientnet_lite0":
        least, most = (AT_LEAST, 3.0), ((AT_MOST, 1.15), (AT_MOST, 1.9))
    # Name, layer, library, what, options, formula, needs; of the peers also whether DGL is timed with its
    # maps resized, as theirs are, and the bound of their ratio.
    ours = (
        (FORWARD, "", "ours", "forward", {}, None, ()),
        (DGL, at, "ours", "dgl", {}, "dgl", ()),
        (DGL, COARSE, "ours", "dgl", {}, "dgl", ()),
    )
    forward = (
        (ONNX, "", "onnx_runtime", "forward", {}, None, ("onnxruntime", "onnx")),
        (TORCH_FORWARD, "", "pytorch", "forward", {}, None, torch),
        (TORCH_FORWARD + COMPILED, "", "pytorch", "forward", compiled, None, torch),
    )
    peers = (
        (GRADIENT + PLAIN, at, "pytorch", "gradient", plain, None, torch, False, least),
        (GRADIENT, at, "pytorch", "gradient", {}, None, torch, False, None),
        (GRADIENT + COMPILED, at, "pytorch", "gradient", compiled, None, torch, False, None),
        (CAPTUM, at, "pytorch", "captum", {}, "gradcam_sum", ("torch", "captum"), False, None),
        (LAYER_CAM, at, "pytorch", "layercam", {}, "layercam", cam, True, None),
        (
            FROZEN + PLAIN,
            at,
            "pytorch",
            "layercam",
            {**frozen, **plain},
            "layercam",
            cam,
            True,
            None,
        ),
        (FROZEN, at, "pytorch", "layercam", frozen, "layercam", cam, True, least),
        (KERAS_CAM, at, "keras_vis", "gradcam", {}, "gradcam", keras, True, None),
        (KERAS_LAYER, at, "keras_vis", "layercam", {}, "layercam", keras, True, None),
    )
    # The layer whose maps are checked comes first.
    coarse = tuple(dict.fromkeys([at, *lite.coarse_layers(mode)]))
    found = {
        row[:2]: Contender(*row[:7], layers=coarse if row[1] == COARSE else (at,))
        for row in (*ours, *forward, *peers)
    }
    ratios = [
        Ratio((DGL, at), (FORWARD, ""), bound=most[0]),
        Ratio((DGL, COARSE), (FORWARD, ""), bound=most[1]),
        Ratio((DGL, at), (ONNX, "")),
        *(Ratio(row[:2], (FORWARD, "")) for row in forward[1:]),
        *(Ratio(row[:2], (DGL, at), *row[7:]) for row in peers),
    ]
    return found, [row[:2] for row in (*ours, *forward[:2])] + [(FROZEN, at)], ratios
