"""The page (``dgl serve``): a picture in a browser, its maps and boxes at once.

What needs Gradio is in :mod:`dgl.serving.page` and :mod:`dgl.serving.server` alone.
"""
