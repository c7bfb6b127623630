"""Layout of the page: its Gradio components. Their events are in :mod:`dgl.serving.page`."""

import os
from typing import Sequence, Tuple

import gradio as gr

from dgl.attribution import METHODS
from dgl.data.image_io import read_image
from dgl.datasets import photograph_credit
from dgl.serving import panels
from dgl.serving.handlers import (
    ALL,
    DEFAULT_ALPHA,
    DEFAULT_METHOD,
    LAST_ALPHA,
    ONE,
    OTHER_METHOD,
    TWO,
    Controls,
    Handlers,
    Shown,
    alpha_at,
)
from dgl.serving.sessions import FORMATS, at_most

_HEADER = (
    '<header class="dgl-header"><h1 class="dgl-name">Where does the classifier look?</h1>'
    "<p>Attention maps and boxes of a classifier that was trained with image labels only.</p></header>"
)
# The browser updates a slider's label while it moves: with the name of a position, or with a fraction.
_RELABEL = """(value) => {{
  const label = document.querySelector("#{0} .dgl-knob").cloneNode(true);
  label.querySelector("output").textContent = {1};
  return label.outerHTML;
}}"""
_NAME, _FRACTION = 'label.dataset.names.split("|")[value]', "Number(value).toFixed(2)"
# A click on a button inside HTML triggers an event with the button's index.
_CLICKED = """element.addEventListener("click", (event) => {{
  const button = event.target.closest("button[data-{0}]");
  if (button && element.contains(button)) trigger("click", {{ index: Number(button.dataset.{0}) }});
}});"""
_ALPHAS = [f"{alpha_at(place):g}" for place in range(LAST_ALPHA)] + ["\u221e"]


class Layout:
    """The page's components, created in the current ``gr.Blocks``.

    Attributes:
        session: state with the visitor's :class:`~dgl.serving.sessions.Session` or ``None``.
        controls: the components named as :class:`~dgl.serving.handlers.Controls`, in its order.
        parts: the components named as :class:`~dgl.serving.handlers.Shown`, in its order.
    """

    def __init__(self, handlers: Handlers):
        """Create all components with the models and samples of ``handlers``."""
        self._models = handlers.engine.models
        gr.HTML(_HEADER, elem_id="dgl-head")
        self.session = gr.State(None)
        self.class_index = gr.State(None)
        self.tab = gr.State(ONE)
        # Not a state, which an event has as it is when the event's turn comes: the positions of the sliders
        # come from the browser, and with them the backbone that they are of.
        self.mode = gr.Textbox(
            self._models[0].mode,
            visible="hidden",
            elem_id="dgl-mode",
            label="backbone of the sliders",
        )
        with gr.Row(elem_id="dgl-page"):
            with gr.Column(elem_id="dgl-left"):
                with gr.Column(elem_id="dgl-input"):
                    self._build_input(handlers.samples)
                with gr.Column(elem_id="dgl-controls"):
                    self._build_controls(handlers.backbones())
            with gr.Column(elem_id="dgl-right"):
                with gr.Column(elem_id="dgl-results"):
                    self._build_results()
                with gr.Row(elem_id="dgl-below"):
                    self._build_below()
        self.file = gr.Textbox(visible="hidden", elem_id="dgl-file", label="download")
        self.controls = [getattr(self, name) for name in Controls._fields]
        self.parts = [getattr(self, name) for name in Shown._fields]

    def _build_input(self, samples: Sequence[str]) -> None:
        self.upload = gr.File(
            label="image file",
            show_label=False,
            file_types=[extension for group in FORMATS.values() for extension in group],
            type="filepath",
            height=88,
            elem_id="dgl-upload",
        )
        images = {
            os.path.basename(path): at_most(read_image(path), panels.SAMPLE_SIDE)
            for path in samples
        }
        self.samples = gr.HTML(
            panels.samples(images, photograph_credit(samples)),
            js_on_load=_CLICKED.format("sample"),
            elem_id="dgl-samples",
        )

    def _build_controls(self, backbones: Sequence[Tuple[str, int]]) -> None:
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
        self.layer_label, self.layer = self._layer_slider("layer", "dgl-layer")
        gr.HTML('<div class="dgl-ends"><span>last</span><span>first</span></div>')
        alpha_label = gr.HTML(
            panels.slider_label("alpha of the loss gradient", _ALPHAS[DEFAULT_ALPHA], _ALPHAS),
            elem_id="dgl-alpha",
        )
        self.alpha = _slider("alpha", alpha_label, LAST_ALPHA, DEFAULT_ALPHA)
        self.threshold_label = gr.HTML(
            panels.slider_label("threshold", f"{self._models[0].threshold:.2f}"),
            elem_id="dgl-threshold",
        )
        self.threshold = _slider(
            "threshold", self.threshold_label, 1, self._models[0].threshold, 0.01, _FRACTION
        )

    def _layer_slider(self, title: str, elem_id: str) -> Tuple[gr.HTML, gr.Slider]:
        layers, layer = self._models[0].layers, self._models[0].default_layer
        label = gr.HTML(panels.slider_label(title, layers[layer], layers), elem_id=elem_id)
        return label, _slider(title, label, len(layers) - 1, layer)

    def _build_results(self) -> None:
        with gr.Tabs(selected=ONE, elem_id="dgl-tabs") as self.tabs:
            with gr.Tab("One map", id=ONE) as self.tab_one:
                self.one = gr.HTML(elem_id="dgl-one")
            with gr.Tab("All layers", id=ALL) as self.tab_all:
                self.all = gr.HTML(js_on_load=_CLICKED.format("layer"), elem_id="dgl-all")
            with gr.Tab("Two methods", id=TWO) as self.tab_two:
                self.two = gr.HTML(elem_id="dgl-two")
                with gr.Row(elem_id="dgl-other"):
                    gr.HTML(
                        '<p class="dgl-note"><span class="dgl-a">A</span> is set by the controls, '
                        '<span class="dgl-b">B</span> here.</p>'
                    )
                    self.other_method = _methods("method of B", OTHER_METHOD, "dgl-other-method")
                    with gr.Column(min_width=160):
                        self.other_label, self.other_layer = self._layer_slider(
                            "layer of B", "dgl-other-layer"
                        )
        self.status = gr.HTML(panels.status(), elem_id="dgl-status")

    def _build_below(self) -> None:
        with gr.Column(elem_id="dgl-seen"):
            gr.HTML('<h2 class="dgl-title">What the classifier sees</h2>')
            self.classes = gr.HTML(js_on_load=_CLICKED.format("class"), elem_id="dgl-classes")
            self.any_class = gr.Dropdown(
                panels.class_choices(self._models[0]),
                value=None,
                label="another class, by index, name or WordNet id",
                allow_custom_value=True,
                elem_id="dgl-any-class",
            )
        with gr.Column(elem_id="dgl-found"):
            gr.HTML('<h2 class="dgl-title">Result</h2>')
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


def _methods(label: str, value: str, elem_id: str) -> gr.Dropdown:
    choices = [(method.title, name) for name, method in METHODS.items()]
    return gr.Dropdown(choices, value=value, label=label, filterable=False, elem_id=elem_id)


def _slider(
    name: str, label: gr.HTML, most: float, value: float, step: float = 1, text: str = _NAME
) -> gr.Slider:
    """A slider from 0, whose label shows what the script ``text`` gives for its value."""
    slider = gr.Slider(
        0, most, value=value, step=step, label=name, show_label=False, container=False,
        elem_classes=["dgl-slider"],
    )  # fmt: skip
    script = _RELABEL.format(label.elem_id, text)
    slider.input(None, [slider], [label], js=script, queue=False, api_visibility="private")
    return slider
