"""MkDocs hook: what pages show or name from outside ``docs/``, by links that also work beside the code.

A page says ``![](../fig/method.png)`` or ``[the record](../benchmarks/results.json)``, relative to itself.
In the site the figures are taken from ``fig/`` when it is built, so that there is one copy of each; a link
to any other file of the project keeps its text and loses its target, which the site does not have.
"""

import os
import posixpath
import re

from mkdocs.structure.files import File

FIGURES = "fig"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def on_files(files, config):
    """Add the figures to the site's files."""
    folder = os.path.join(_root(config), FIGURES)
    for name in sorted(os.listdir(folder)):
        source = os.path.join(folder, name)
        files.append(File.generated(config, posixpath.join(FIGURES, name), abs_src_path=source))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links that leave ``docs/`` to where the site has the file, or to nothing."""
    here = posixpath.dirname(page.file.src_uri)
    docs = os.path.basename(config["docs_dir"])

    def replace(match):
        mark, text, target = match.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match.group(0)
        inside = posixpath.normpath(posixpath.join(here, path))
        if not inside.startswith("../"):
            return match.group(0)
        outside = posixpath.normpath(posixpath.join(docs, inside))
        if not os.path.exists(os.path.join(_root(config), outside)):
            return match.group(0)  # for --strict to complain about
        if files.get_file_from_path(outside) is None:
            return text
        found = posixpath.relpath(outside, here or ".")
        return "{}[{}]({}{})".format(mark, text, found, "#" + anchor if anchor else "")

    return _LINK.sub(replace, markdown)


def _root(config):
    return os.path.dirname(os.path.abspath(config["config_file_path"]))
