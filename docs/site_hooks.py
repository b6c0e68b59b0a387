"""For mkdocs: adds pages of the repository's root, and handles links to files outside the site.

A link on a page to a file of the repository must name an existing file. On the site it becomes
plain text.
"""

import os
import re

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FROM_ROOT = {  # file: page
    "README.md": "guide.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:]+)(#[^)]*)?\)")


def on_files(files, config):
    for name, page in FROM_ROOT.items():
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            files.append(File.generated(config, page, content=file.read()))
    return files


def on_page_markdown(markdown, page, config, files):
    source = page.file.src_uri
    is_from_root = source in FROM_ROOT.values()
    here = ROOT if is_from_root else os.path.join(ROOT, "docs", os.path.dirname(source))
    return LINK.sub(lambda found: _link(found, here, source), markdown)


def _link(found, here, page):
    picture, text, target, anchor = found.groups()
    path = os.path.relpath(os.path.join(here, target), ROOT)
    if not os.path.exists(os.path.join(ROOT, path)):
        raise PluginError(f"{page} links to {target}, which is not there")
    if path in FROM_ROOT:
        path = os.path.join("docs", FROM_ROOT[path])
    if not path.startswith("docs" + os.sep):
        return text if "`" in text or os.path.basename(path) == text else f"{text} (`{path}`)"
    there = os.path.relpath(path, os.path.dirname(os.path.join("docs", page)))
    return f"{picture}[{text}]({there}{anchor or ''})"
