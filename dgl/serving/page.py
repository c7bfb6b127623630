"""Events of the page: which handler runs for which control, and what it updates."""

import os
from typing import Any, Callable, Dict, List

import gradio as gr

from dgl.errors import UserError
from dgl.serving import panels
from dgl.serving.handlers import ALL, ONE, TWO, Controls, Handlers, Shown
from dgl.serving.layout import Layout

_TITLE = "DGL: where a classifier looks"
# Sessions kept at most; each holds an image and its maps, about 60 MB for a photograph.
_MOST_SESSIONS = 32
# Files in Gradio's cache are checked every 10 seconds and deleted after a minute.
_DELETE_CACHE = (10, 60)
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
STYLE_SHEET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.css")
# Fonts of the visitor's system; none is downloaded.
_FONTS = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
_MONOSPACE = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"


def make_theme() -> gr.Theme:
    """Colors and fonts of the page."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=_FONTS.split(", "),
        font_mono=_MONOSPACE.split(", "),
        spacing_size="sm",
        radius_size="md",
        text_size="md",
    )


def make_page(handlers: Handlers, most_waiting: int = 32) -> gr.Blocks:
    """The page; requests beyond ``most_waiting`` are refused."""
    with gr.Blocks(
        title=_TITLE, analytics_enabled=False, fill_width=True, delete_cache=_DELETE_CACHE
    ) as blocks:
        _Events(handlers, Layout(handlers)).connect(blocks)
    blocks.queue(max_size=most_waiting, api_open=False, default_concurrency_limit=4)
    blocks.state_session_capacity = _MOST_SESSIONS
    return blocks


class _Events:
    """Connects the components of a :class:`~dgl.serving.layout.Layout` with handlers."""

    def __init__(self, handlers: Handlers, layout: Layout):
        self._handlers = handlers
        self._at = layout
        self._inputs = [layout.session, *layout.controls]

    def connect(self, blocks: gr.Blocks) -> None:
        # The network runs once at a time, and for a moving slider only at its last position. The
        # threshold needs no network and does not wait.
        model = {
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "show_progress": "minimal",
            "show_progress_on": [self._at.status],
            "api_visibility": "private",
        }
        last = dict(model, trigger_mode="always_last")
        threshold = {
            "concurrency_limit": 4,
            "trigger_mode": "always_last",
            "show_progress": "hidden",
            "api_visibility": "private",
        }

        def show(session: Any, *values: Any) -> List[Any]:
            return _updates(self._handlers.show(session, Controls(*values)))

        for slider in (self._at.layer, self._at.alpha, self._at.other_layer):
            slider.input(show, self._inputs, self._at.parts, **last)
        for choice in (self._at.method, self._at.other_method):
            choice.input(show, self._inputs, self._at.parts, **model)
        self._at.threshold.input(show, self._inputs, self._at.parts, **threshold)
        self._connect_tabs(last)
        self._connect_images(blocks, model)
        self._connect_classes(model)
        self._connect_checkpoints(model)
        for kind, button in self._at.downloads:
            self._connect_download(kind, button)

    def _connect_tabs(self, events: Dict[str, Any]) -> None:
        tabs = ((self._at.tab_one, ONE), (self._at.tab_all, ALL), (self._at.tab_two, TWO))
        for tab, name in tabs:
            tab.select(
                self._select_tab(name), self._inputs, [self._at.tab, *self._at.parts], **events
            )

        def choose(event: gr.EventData, session: Any, *values: Any) -> List[Any]:
            layer = int(event.index)
            controls = Controls(*values)._replace(layer=layer, tab=ONE)
            layers = self._handlers.engine.model(controls.checkpoint).layers
            label = panels.slider_label("layer", layers[layer], layers)
            shown = self._handlers.show(session, controls)
            return [layer, label, ONE, gr.Tabs(selected=ONE), *_updates(shown)]

        outputs = [self._at.layer, self._at.layer_label, self._at.tab, self._at.tabs]
        self._at.all.click(choose, self._inputs, outputs + self._at.parts, **events)

    def _select_tab(self, name: str) -> Callable[..., List[Any]]:
        def select(session: Any, *values: Any) -> List[Any]:
            controls = Controls(*values)._replace(tab=name)
            return [name, *_updates(self._handlers.show(session, controls))]

        return select

    def _connect_images(self, blocks: gr.Blocks, events: Dict[str, Any]) -> None:
        def upload(path: Any, session: Any, *values: Any) -> List[Any]:
            session, shown = self._handlers.upload(session, path or "", Controls(*values))
            return [None, session, _after(shown, None), *_updates(shown)]

        def sample(event: gr.EventData, session: Any, *values: Any) -> List[Any]:
            session, shown = self._handlers.sample(session, int(event.index), Controls(*values))
            return [session, _after(shown, None), *_updates(shown)]

        def begin(session: Any, *values: Any) -> List[Any]:
            session, shown = self._handlers.sample(session, 0, Controls(*values))
            return [session, None, *_updates(shown)]

        outputs = [self._at.session, self._at.class_index, *self._at.parts]
        self._at.upload.upload(
            upload, [self._at.upload, *self._inputs], [self._at.upload, *outputs], **events
        )
        self._at.samples.click(sample, self._inputs, outputs, **events)
        if self._handlers.samples:
            blocks.load(begin, self._inputs, outputs, **events)

    def _connect_classes(self, events: Dict[str, Any]) -> None:
        def show(session: Any, controls: Controls, index: int) -> List[Any]:
            shown = self._handlers.show(session, controls._replace(class_index=index))
            return [_after(shown, index), *_updates(shown)]

        def click(event: gr.EventData, session: Any, *values: Any) -> List[Any]:
            return show(session, Controls(*values), int(event.index))

        def choose(text: Any, session: Any, *values: Any) -> List[Any]:
            controls = Controls(*values)
            try:
                model = self._handlers.engine.model(int(controls.checkpoint))
                index = model.class_names.find(str(text or ""))
            except UserError as error:
                return [gr.skip(), *_updates(self._handlers.failed(error))]
            return show(session, controls, index)

        outputs = [self._at.class_index, *self._at.parts]
        self._at.classes.click(click, self._inputs, outputs, **events)
        self._at.any_class.input(choose, [self._at.any_class, *self._inputs], outputs, **events)

    def _connect_checkpoints(self, events: Dict[str, Any]) -> None:
        def change(chosen: Any, session: Any, *values: Any) -> List[Any]:
            handlers, chosen = self._handlers, int(chosen or 0)
            controls = Controls(*values)._replace(checkpoint=chosen, class_index=None)
            model = handlers.engine.model(chosen)
            last = len(model.layers) - 1
            # A position that is given here would come back after `move` below.
            sliders = [
                gr.Slider(maximum=last)
                if int(position) <= last
                else gr.Slider(maximum=last, value=last)
                for position in (controls.layer, controls.other_layer)
            ]
            return [
                chosen,
                dict(handlers.backbones())[panels.backbone_title(model.mode)],
                None,
                *sliders,
                panels.about_model(model),
                gr.Dropdown(choices=panels.class_choices(model), value=None),
                *_updates(handlers.show(session, controls)),
            ]

        outputs = [
            self._at.checkpoint,
            self._at.backbone,
            self._at.class_index,
            self._at.layer,
            self._at.other_layer,
            self._at.about,
            self._at.any_class,
            *self._at.parts,
        ]

        def move(*values: Any) -> List[Any]:
            controls = self._handlers.adapted(Controls(*values))
            layers = self._handlers.engine.model(controls.checkpoint).layers
            layer, other = int(controls.layer), int(controls.other_layer)
            return [
                controls.mode,
                layer,
                panels.slider_label("layer", layers[layer], layers),
                other,
                panels.slider_label("layer of B", layers[other], layers),
                controls.threshold,
                panels.slider_label("threshold", f"{controls.threshold:.2f}"),
            ]

        moved = [
            self._at.mode,
            self._at.layer,
            self._at.layer_label,
            self._at.other_layer,
            self._at.other_label,
            self._at.threshold,
            self._at.threshold_label,
        ]

        # Gradio's slider resets to its former position when its maximum and its position change at once,
        # so it is moved afterwards; an event of the reset one may have changed its label.
        for choice in (self._at.checkpoint, self._at.backbone):
            choice.input(change, [choice, *self._inputs], outputs, **events).then(
                move,
                self._at.controls,
                moved,
                show_progress="hidden",
                api_visibility="private",
            )

    def _connect_download(self, kind: str, button: gr.Button) -> None:
        def make(session: Any, *values: Any) -> List[Any]:
            try:
                return [self._handlers.download(session, Controls(*values), kind), gr.skip()]
            except UserError as error:
                return ["", panels.status(str(error), is_error=True)]

        button.click(
            make,
            self._inputs,
            [self._at.file, self._at.status],
            concurrency_limit=2,
            show_progress="minimal",
            show_progress_on=[self._at.status],
            api_visibility="private",
        ).then(None, [self._at.file], None, js=_SAVE, queue=False, api_visibility="private")


def _updates(shown: Shown) -> List[Any]:
    return [gr.skip() if part is None else part for part in shown]


def _after(shown: Shown, value: Any) -> Any:
    """``value``, or no change if nothing could be shown."""
    return gr.skip() if shown.facts is None else value
