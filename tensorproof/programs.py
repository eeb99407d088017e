"""Programs as pages: what mkdocs-jupyter makes of `snippets/`, without what it repeats on every page."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import version
from pathlib import Path

STYLESHEET = "stylesheets/programs.css"
"""Where the site keeps the styles of notebooks, half a megabyte, once for all programs."""

_RUN_WITH = ("torch", "torchvision", "numpy", "matplotlib", "scikit-learn", "scikit-image", "mkdocs-jupyter")
_NOTEBOOK = '<div class="jupyter-wrapper">'


def cache_folder(root: Path) -> Path:
    """The folder that keeps what programs printed with the versions installed here.

    mkdocs-jupyter looks at their text alone, and would show what they printed with others.
    """
    versions = " ".join(f"{name} {version(name)}" for name in _RUN_WITH)
    return root / ".cache" / "programs" / hashlib.sha256(versions.encode()).hexdigest()[:16]


def is_program(html: str) -> bool:
    """Whether the content of a page comes from mkdocs-jupyter."""
    return _NOTEBOOK in html


def without_styles(html: str) -> tuple[str, str]:
    """Take the styles out of the content of a page, and the scripts for formulae and diagrams, which it has none of.

    Returns:
        The content, and the styles.
    """
    head, notebook, body = html.partition(_NOTEBOOK)
    styles = re.findall(r"<style[^>]*>(.*?)</style>", head, re.DOTALL)
    scripts = re.findall(r"<script\b.*?</script>", head, re.DOTALL)
    copying = "".join(script for script in scripts if "clipboard" in script)
    return copying + notebook + body, "\n".join(styles)
