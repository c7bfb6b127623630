"""The page's layout in Gradio: what stands where. What calls what is in :mod:`dgl.serving.page`."""

import os

import gradio as gr

from dgl.attribution import METHODS
from dgl.data.image_io import read_image
from dgl.predict.postprocess import DEFAULT_THRESHOLD
from dgl.serving import panels
from dgl.serving.handlers import (
    ALL,
    DEFAULT_ALPHA,
    DEFAULT_LAYER,
    DEFAULT_METHOD,
    LAST_ALPHA,
    ONE,
    OTHER_METHOD,
    TWO,
    Answers,
    alpha_at,
)
from dgl.serving.limits import extensions
from dgl.serving.sessions import at_most

_HEADER = (
    '<header class="dgl-header"><h1 class="dgl-name">Where does the classifier look?</h1>'
    "<p>Attention maps and boxes of a classifier that was trained from image labels alone.</p></header>"
)
# While a hand is on a slider, its value follows without the server.
_NAMES = """(position) => {{
  const knob = document.querySelector("#{0} .dgl-knob").cloneNode(true);
  knob.querySelector("output").textContent = knob.dataset.names.split("|")[position];
  return knob.outerHTML;
}}"""
_SHARE = """(share) => {
  const knob = document.querySelector("#dgl-threshold .dgl-knob").cloneNode(true);
  knob.querySelector("output").textContent = Number(share).toFixed(2);
  return knob.outerHTML;
}"""
# Buttons inside of images and lists tell which one it was.
_CLICKED = """element.addEventListener("click", (event) => {{
  const button = event.target.closest("button[data-{0}]");
  if (button && element.contains(button)) trigger("click", {{ index: Number(button.dataset.{0}) }});
}});"""
_ALPHAS = [f"{alpha_at(place):g}" for place in range(LAST_ALPHA)] + ["\u221e"]


class Layout:
    """The page's components, made in the present ``gr.Blocks``.

    Attributes:
        knobs: the components of :class:`~dgl.serving.handlers.Knobs`, in its order.
        parts: the components of :class:`~dgl.serving.handlers.Shown`, in its order.
    """

    def __init__(self, answers: Answers):
        """Make them all; what they begin with is of ``answers``."""
        self._models = answers.engine.models
        gr.HTML(_HEADER, elem_id="dgl-head")
        self.class_index = gr.State(None)
        self.tab = gr.State(ONE)
        with gr.Row(elem_id="dgl-page"):
            with gr.Column(elem_id="dgl-left"):
                with gr.Column(elem_id="dgl-input"):
                    self._build_input(answers.samples)
                with gr.Column(elem_id="dgl-controls"):
                    self._build_controls(answers.backbones())
            with gr.Column(elem_id="dgl-right"):
                with gr.Column(elem_id="dgl-results"):
                    self._build_results()
                with gr.Row(elem_id="dgl-below"):
                    self._build_below()
        self.file = gr.Textbox(visible="hidden", elem_id="dgl-file", label="download")
        self.knobs = [
            self.checkpoint,
            self.class_index,
            self.layer,
            self.method,
            self.alpha,
            self.threshold,
            self.tab,
            self.other_method,
            self.other_layer,
        ]
        self.parts = [
            self.one,
            self.all,
            self.two,
            self.facts,
            self.classes,
            self.status,
        ]

    def _build_input(self, samples):
        self.upload = gr.File(
            label="picture",
            show_label=False,
            file_types=extensions(),
            type="filepath",
            height=88,
            elem_id="dgl-upload",
        )
        pictures = {
            os.path.basename(path): at_most(read_image(path), panels.SAMPLE_SIDE)
            for path in samples
        }
        self.samples = gr.HTML(
            panels.samples(pictures), js_on_load=_CLICKED.format("sample"), elem_id="dgl-samples"
        )

    def _build_controls(self, backbones):
        labels = [
            (f"{m.label} · {panels.backbone_title(m.mode)}", i) for i, m in enumerate(self._models)
        ]
        self.checkpoint = gr.Dropdown(
            labels,
            value=0,
            label="checkpoint",
            visible=len(self._models) > 1,
            elem_id="dgl-checkpoint",
        )
        self.backbone = gr.Dropdown(
            backbones, value=0, label="backbone", visible=len(backbones) > 1, elem_id="dgl-backbone"
        )
        self.about = gr.HTML(panels.about_model(self._models[0]))
        self.method = _methods("method", DEFAULT_METHOD, "dgl-method")
        self.layer_knob, self.layer = self._layer_slider("layer", "dgl-layer")
        gr.HTML('<div class="dgl-ends"><span>last</span><span>first</span></div>')
        self.alpha_knob = gr.HTML(
            panels.knob("alpha, of the loss gradient", _ALPHAS[DEFAULT_ALPHA], _ALPHAS),
            elem_id="dgl-alpha",
        )
        self.alpha = _slider("alpha", LAST_ALPHA, DEFAULT_ALPHA)
        _follow(self.alpha, self.alpha_knob, _NAMES.format("dgl-alpha"))
        self.threshold_knob = gr.HTML(
            panels.knob("threshold", f"{DEFAULT_THRESHOLD:.2f}"), elem_id="dgl-threshold"
        )
        self.threshold = _slider("threshold", 1, DEFAULT_THRESHOLD, 0.01)
        _follow(self.threshold, self.threshold_knob, _SHARE)

    def _layer_slider(self, title, elem_id):
        layers = self._models[0].layers
        knob = gr.HTML(panels.knob(title, layers[DEFAULT_LAYER], layers), elem_id=elem_id)
        slider = _slider(title, len(layers) - 1, DEFAULT_LAYER)
        _follow(slider, knob, _NAMES.format(elem_id))
        return knob, slider

    def _build_results(self):
        with gr.Tabs(selected=ONE, elem_id="dgl-tabs") as self.tabs:
            with gr.Tab("One map", id=ONE) as self.tab_one:
                self.one = gr.HTML(elem_id="dgl-one")
            with gr.Tab("All layers", id=ALL) as self.tab_all:
                self.all = gr.HTML(js_on_load=_CLICKED.format("layer"), elem_id="dgl-all")
            with gr.Tab("Two methods", id=TWO) as self.tab_two:
                self.two = gr.HTML(elem_id="dgl-two")
                with gr.Row(elem_id="dgl-other"):
                    gr.HTML(
                        '<p class="dgl-note"><span class="dgl-a">A</span> is set among the controls, '
                        '<span class="dgl-b">B</span> here.</p>'
                    )
                    self.other_method = _methods("method of B", OTHER_METHOD, "dgl-other-method")
                    with gr.Column(min_width=160):
                        self.other_knob, self.other_layer = self._layer_slider(
                            "layer of B", "dgl-other-layer"
                        )
        self.status = gr.HTML(panels.status(), elem_id="dgl-status")

    def _build_below(self):
        with gr.Column(elem_id="dgl-seen"):
            gr.HTML('<h2 class="dgl-title">What the classifier sees</h2>')
            self.classes = gr.HTML(js_on_load=_CLICKED.format("class"), elem_id="dgl-classes")
            self.any_class = gr.Dropdown(
                panels.class_choices(self._models[0]),
                value=None,
                label="another class, by number or name",
                allow_custom_value=True,
                elem_id="dgl-any-class",
            )
        with gr.Column(elem_id="dgl-found"):
            gr.HTML('<h2 class="dgl-title">What was found</h2>')
            self.facts = gr.HTML(elem_id="dgl-facts")
            with gr.Row(elem_id="dgl-downloads"):
                self.downloads = [
                    (kind, gr.Button(text, size="sm", elem_id="dgl-" + kind))
                    for kind, text in (
                        ("png", "PNG, overlay and box"),
                        ("json", "JSON, the record"),
                        ("npy", "NPY, the raw map"),
                    )
                ]


def _methods(label, value, elem_id):
    choices = [(method.title, name) for name, method in METHODS.items()]
    return gr.Dropdown(choices, value=value, label=label, filterable=False, elem_id=elem_id)


def _slider(label, most, value, step=1):
    return gr.Slider(
        0, most, value=value, step=step, label=label, show_label=False, container=False,
        elem_classes=["dgl-slider"],
    )  # fmt: skip


def _follow(slider, knob, script):
    """Have the browser show a slider's value while it moves."""
    slider.input(None, [slider], [knob], js=script, queue=False, api_visibility="private")
