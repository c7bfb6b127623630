"""The page: what calls what. :mod:`dgl.serving.layout` says where it stands, ``answers`` what it says."""

import os

import gradio as gr

from dgl.errors import UserError
from dgl.serving import panels
from dgl.serving.handlers import ALL, ONE, TWO, Answers, Knobs
from dgl.serving.layout import Layout

_TITLE = "DGL: where a classifier looks"
_SAVE = """(text) => {
  if (!text) return;
  const file = JSON.parse(text);
  const bytes = Uint8Array.from(atob(file.data), (c) => c.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: file.type }));
  link.download = file.name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}"""
_FONTS = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
]
_MONOSPACE = [
    "ui-monospace",
    "SFMono-Regular",
    "Menlo",
    "Consolas",
    "DejaVu Sans Mono",
    "monospace",
]


def make_theme() -> gr.Theme:
    """Colors and fonts; every font is the visitor's own."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=_FONTS,
        font_mono=_MONOSPACE,
        spacing_size="sm",
        radius_size="md",
        text_size="md",
    )


def make_css() -> str:
    """The page's style sheet."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.css")
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def make_page(answers: Answers, most_waiting: int = 32) -> gr.Blocks:
    """The page.

    Args:
        answers: what it says.
        most_waiting: requests that wait at most; a visitor beyond is told to try again.
    """
    with gr.Blocks(title=_TITLE, analytics_enabled=False, fill_width=True) as blocks:
        _Wiring(answers, Layout(answers))
    blocks.queue(max_size=most_waiting, api_open=False, default_concurrency_limit=4)
    return blocks


class _Wiring:
    def __init__(self, answers, layout):
        self._answers = answers
        self._at = layout
        self._wire()

    def _show(self, visitor, *knobs):
        return _updates(self._answers.show(visitor.session_hash, Knobs(*knobs)))

    def _wire(self):
        answers, knobs, parts = self._answers, self._at.knobs, self._at.parts
        # One run at a time, and of a slider that moves on only its last place; the threshold alone
        # waits for nobody, for it needs no network.
        model = {
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "show_progress": "minimal",
            "show_progress_on": [self._at.status],
            "api_visibility": "private",
        }
        last = dict(model, trigger_mode="always_last")
        draw = {
            "concurrency_limit": 4,
            "trigger_mode": "always_last",
            "show_progress": "hidden",
            "api_visibility": "private",
        }

        def show(request: gr.Request, *values):
            return self._show(request, *values)

        for slider in (self._at.layer, self._at.alpha, self._at.other_layer):
            slider.input(show, knobs, parts, **last)
        for choice in (self._at.method, self._at.other_method):
            choice.input(show, knobs, parts, **model)
        self._at.threshold.input(show, knobs, parts, **draw)
        self._wire_tabs(last)
        self._wire_images(model)
        self._wire_classes(model)
        self._wire_checkpoints(model)
        for kind, button in self._at.downloads:
            self._wire_download(kind, button)
        blocks = gr.context.Context.root_block

        def leave(request: gr.Request):
            answers.visits.drop(request.session_hash)

        blocks.unload(leave)

        def begin(request: gr.Request, *values):
            if not answers.samples:
                return _updates(answers.show(request.session_hash, Knobs(*values)))
            return _updates(answers.sample(request.session_hash, 0, Knobs(*values)))

        blocks.load(begin, knobs, parts, **model)

    def _wire_tabs(self, events):
        for tab, name in (
            (self._at.tab_one, ONE),
            (self._at.tab_all, ALL),
            (self._at.tab_two, TWO),
        ):
            self._wire_tab(tab, name, events)

        def choose(request: gr.Request, event: gr.EventData, *values):
            layer = int(event._data["index"])
            chosen = Knobs(*values)._replace(layer=layer, tab=ONE)
            model = self._answers.engine.model(chosen.checkpoint)
            name = model.entry("dgl", layer)[1]
            knob = panels.knob("layer", name, model.layers)
            shown = self._answers.show(request.session_hash, chosen)
            return [layer, knob, ONE, gr.Tabs(selected=ONE)] + _updates(shown)

        outputs = [
            self._at.layer,
            self._at.layer_knob,
            self._at.tab,
            self._at.tabs,
        ] + self._at.parts
        self._at.all.click(choose, self._at.knobs, outputs, **events)

    def _wire_tab(self, tab, name, events):
        def select(request: gr.Request, *values):
            knobs = Knobs(*values)._replace(tab=name)
            return [name] + _updates(self._answers.show(request.session_hash, knobs))

        tab.select(select, self._at.knobs, [self._at.tab] + self._at.parts, **events)

    def _wire_images(self, events):
        def upload(request: gr.Request, path, *values):
            shown = self._answers.upload(request.session_hash, path or "", Knobs(*values))
            return [None, _after(shown, None)] + _updates(shown)

        def sample(request: gr.Request, event: gr.EventData, *values):
            index = int(event._data["index"])
            shown = self._answers.sample(request.session_hash, index, Knobs(*values))
            return [None] + _updates(shown)

        self._at.upload.upload(
            upload,
            [self._at.upload] + self._at.knobs,
            [self._at.upload, self._at.class_index] + self._at.parts,
            **events,
        )
        self._at.samples.click(
            sample, self._at.knobs, [self._at.class_index] + self._at.parts, **events
        )

    def _wire_classes(self, events):
        def click(request: gr.Request, event: gr.EventData, *values):
            index = int(event._data["index"])
            knobs = Knobs(*values)._replace(class_index=index)
            shown = self._answers.show(request.session_hash, knobs)
            return [_after(shown, index)] + _updates(shown)

        def choose(request: gr.Request, text, *values):
            knobs = Knobs(*values)
            try:
                index = self._answers.find_class(knobs.checkpoint, text or "")
            except UserError as error:
                return [gr.skip()] + _updates(self._answers.failed(error))
            shown = self._answers.show(request.session_hash, knobs._replace(class_index=index))
            return [_after(shown, index)] + _updates(shown)

        outputs = [self._at.class_index] + self._at.parts
        self._at.classes.click(click, self._at.knobs, outputs, **events)
        self._at.any_class.input(choose, [self._at.any_class] + self._at.knobs, outputs, **events)

    def _wire_checkpoints(self, events):
        def change(request: gr.Request, chosen, *values):
            answers, knobs = self._answers, Knobs(*values)
            chosen = int(chosen or 0)
            model = answers.engine.model(chosen)
            layer = answers.layer_of(chosen, knobs.layer)
            other = answers.layer_of(chosen, knobs.other_layer)
            knobs = knobs._replace(
                checkpoint=chosen, class_index=None, layer=layer, other_layer=other
            )
            backbone = dict(answers.backbones())[panels.backbone_title(model.mode)]
            most = len(model.layers) - 1
            return [
                chosen,
                backbone,
                None,
                gr.Slider(maximum=most, value=layer),
                gr.Slider(maximum=most, value=other),
                panels.knob("layer", model.layers[layer], model.layers),
                panels.knob("layer of B", model.layers[other], model.layers),
                panels.about_model(model),
                gr.Dropdown(choices=panels.class_choices(model), value=None),
            ] + _updates(answers.show(request.session_hash, knobs))

        outputs = [
            self._at.checkpoint,
            self._at.backbone,
            self._at.class_index,
            self._at.layer,
            self._at.other_layer,
            self._at.layer_knob,
            self._at.other_knob,
            self._at.about,
            self._at.any_class,
        ] + self._at.parts
        for choice in (self._at.checkpoint, self._at.backbone):
            choice.input(change, [choice] + self._at.knobs, outputs, **events)

    def _wire_download(self, kind, button):
        def make(request: gr.Request, *values):
            try:
                return self._answers.download(request.session_hash, Knobs(*values), kind), gr.skip()
            except UserError as error:
                return "", panels.status(str(error), is_error=True)

        button.click(
            make,
            self._at.knobs,
            [self._at.file, self._at.status],
            concurrency_limit=2,
            show_progress="minimal",
            show_progress_on=[self._at.status],
            api_visibility="private",
        ).then(None, [self._at.file], None, js=_SAVE, queue=False, api_visibility="private")


def _updates(shown):
    return [gr.skip() if part is None else part for part in shown]


def _after(shown, value):
    """``value``, or nothing new where nothing could be shown."""
    return gr.skip() if shown.facts is None else value
