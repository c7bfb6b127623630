"""Links, images, navigation and generated parts of README and docs, and the site that is built of them."""

import importlib.util
import os
import pathlib
import re

import pytest
from doc_commands import ROOT, pages, read

DOCS = "docs"
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.*?) *$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^::: (\S+)$", re.MULTILINE)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def load_hook(name):
    path = os.path.join(ROOT, DOCS, "hooks", name + ".py")
    spec = importlib.util.spec_from_file_location("doc_hook_" + name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(text):
    """The anchors of a page's headings, as both MkDocs and code hosts make them of plain words."""
    found = set()
    for heading in _HEADING.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).lower()
        found.add(re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", plain)).strip("-"))
    return found


def links(path):
    return _LINK.findall(_CODE.sub("", read(path)))


@pytest.mark.parametrize("path", pages())
def test_links_and_images_lead_somewhere(path):
    folder = os.path.dirname(path)
    for link in links(path):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, anchor = link.partition("#")
        found = os.path.normpath(os.path.join(folder, target)) if target else path
        assert os.path.exists(os.path.join(ROOT, found)), (path, link)
        assert not os.path.isabs(target), (path, link)
        if anchor and found.endswith(".md"):
            assert anchor in anchors(read(found)), (path, link)


def navigation():
    """Paths below docs/ that the navigation names."""
    text = read("mkdocs.yml")
    return re.findall(r"[\w./-]+\.md\b", text[text.index("\nnav:") :])


def test_every_page_is_in_the_navigation_once():
    listed = navigation()
    assert len(listed) == len(set(listed))
    there = [os.path.relpath(path, DOCS) for path in pages() if path.startswith(DOCS)]
    assert sorted(listed) == sorted(there)


def test_every_room_is_on_the_api_page():
    rooms = {path.parent.name for path in pathlib.Path(ROOT, "dgl").glob("*/__init__.py")}
    shown = {name.split(".")[1] for name in _DIRECTIVE.findall(read("docs/api.md"))}
    assert rooms - {"cli", "serving"} <= shown


@pytest.mark.parametrize("path", [p for p in pages() if "<!-- generated: " in read(p)])
def test_generated_parts_are_up_to_date(path):
    """``python docs/hooks/generated.py`` writes them anew."""
    assert load_hook("generated").fill(read(path)) == read(path)


@pytest.mark.docs
def test_the_site_loads_nothing_from_elsewhere():
    """`make test-docs` builds it first, with MkDocs's own environment; a warning ends that."""
    built = list(pathlib.Path(ROOT, "site").glob("**/*.html"))
    assert len(built) > len(navigation())
    kind = 'rel="(?:stylesheet|icon|preload)"'
    for path in built:
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]* src="([^"]+)"', text)
        loaded += re.findall(rf'<link[^>]* {kind}[^>]* href="([^"]+)"', text)
        loaded += re.findall(rf'<link[^>]* href="([^"]+)"[^>]* {kind}', text)
        assert not [link for link in loaded if re.match(r"(https?:)?//", link)], path
        assert not re.search(r":(class|func|meth|data|mod):", text), path
