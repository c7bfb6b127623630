"""Griffe extension for the docstrings of the API page: links, examples, and comments of fields.

Roles (``:class:`~dgl.backbones.registry.Backbone```) become links where the API page documents the name,
and code elsewhere. A paragraph that ends in ``::`` introduces an example, as in reStructuredText, and ends
in ``:`` here. A field of a class that a comment describes, on its line or right above it, has that comment
as its docstring.
"""

import os
import re

import griffe

_ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc):`(~?)([^`]+)`")
_EXAMPLE = re.compile(r"::[ \t]*(?=\n[ \t]*\n[ \t]+)")
_DIRECTIVE = re.compile(r"^::: (\S+)", re.MULTILINE)
_PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "api.md")


def documented():
    """Names of the modules that the API page shows."""
    with open(_PAGE, encoding="utf-8") as stream:
        return set(_DIRECTIVE.findall(stream.read()))


class Docstrings(griffe.Extension):
    """Rewrites the docstrings of every object that is loaded."""

    def __init__(self):
        self._modules = documented()

    def on_object(self, *, obj, **kwargs):
        """Rewrite one docstring, or make one."""
        if obj.docstring is None and obj.is_attribute and obj.parent.is_class:
            text = _comment(obj)
            obj.docstring = griffe.Docstring(text, parent=obj) if text else None
        if obj.docstring is not None:
            text = _ROLE.sub(lambda match: self._link(match, obj), obj.docstring.value)
            obj.docstring.value = _EXAMPLE.sub(":", text)

    def _link(self, match, obj):
        is_short, name = match.group(1), match.group(2)
        shown = name.rsplit(".", 1)[-1] if is_short else name
        target = self._target(name, obj)
        return f"[`{shown}`][{target}]" if target else f"`{shown}`"

    def _target(self, name, obj):
        """The full name of what is documented, a member of the same class or module too; or ``None``."""
        module = obj if obj.is_module else obj.module
        owners = [] if obj.is_module else [obj.path, obj.parent.path]
        owners.append(module.path)
        candidates = [name] if name.startswith("dgl") else []
        candidates += [owner + "." + name for owner in owners]
        for candidate in candidates:
            found = _lookup(module.package, candidate)
            if found is not None and (found.is_module or found.docstring is not None):
                home = found if found.is_module else found.module
                if home.path in self._modules and not found.name.startswith("_"):
                    return found.path
        return None


def _comment(obj):
    """The comment that describes a field of a class; ``""`` without one."""
    lines = obj.lines_collection[obj.filepath]
    text = re.sub(
        r"^type: ignore\S*( # )?", "", lines[obj.endlineno - 1].partition("  # ")[2].strip()
    )
    above = []
    for line in reversed(lines[: obj.lineno - 1]):
        if text or not line.strip().startswith("# "):
            break
        above.insert(0, line.strip()[2:])
    text = text or " ".join(above)
    return text[:1].upper() + text[1:]


def _lookup(package, path):
    """The object of a full name, behind what imports it from elsewhere; ``None`` where there is none."""
    parts = path.split(".")
    if parts[0] != package.name:
        return None
    found = package
    for part in parts[1:]:
        found = found.members.get(part)
        if found is None:
            return None
        if found.is_alias:
            try:
                found = found.final_target
            except griffe.AliasResolutionError:
                return None
    return found
