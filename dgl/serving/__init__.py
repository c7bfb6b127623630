"""What listens: the page of ``dgl serve``, its ``--api``, and the page of ``dgl review``.

Only :mod:`~dgl.serving.layout`, :mod:`~dgl.serving.page` and :mod:`~dgl.serving.server` need Gradio.
"""
