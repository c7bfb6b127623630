"""Web page of ``dgl serve``: attention maps and boxes of an image in a browser.

Only :mod:`~dgl.serving.layout`, :mod:`~dgl.serving.page` and :mod:`~dgl.serving.server` need Gradio.
"""
