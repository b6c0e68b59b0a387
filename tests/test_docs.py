"""The documentation's programs run, and print what it says that they print."""

import glob
import json
import os
import re

import pytest
import started
from places import PROGRAMS, ROOT

import freeze_hooks as fh
from freeze_hooks.freeze_graph import parser

RUNNER = os.path.join(PROGRAMS, "page.py")


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


PAGES = [
    os.path.basename(path)
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md")))
    if re.search(r"```python\n(?!# a part of)", text(path))
]


@pytest.mark.parametrize("page", PAGES)
def test_blocks_print_what_the_page_says(page, tmp_path):
    env = dict(os.environ, PYTHONPATH=ROOT)
    done = started.run([RUNNER, os.path.join(ROOT, "docs", page)], tmp_path, env)
    for block in json.loads(done.stdout.splitlines()[-1]):
        if block["shown"] is not None:
            assert block["printed"] == block["shown"], f"{page}:{block['line']}"


def test_the_readme_s_freeze_graph(tmp_path):
    """After the first block, as the README says."""
    readme = text(os.path.join(ROOT, "README.md"))
    (tmp_path / "block.py").write_text(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0])
    (command,) = re.findall(r"```bash\npython (.*?)```", readme, re.DOTALL)
    for arguments in (["block.py"], command.replace("\\\n", "").split()):
        env = dict(os.environ, PYTHONPATH=ROOT)
        started.run(arguments, tmp_path, env)
    assert [info.name for info in fh.inspect(str(tmp_path / "frozen.pb")).signature.outputs] == [
        "probs"
    ]


def test_each_flag_of_freeze_graph_is_in_the_table():
    flags = {flag for action in parser()._actions for flag in action.option_strings}
    told = set(re.findall(r"`(--\w+)`", text(os.path.join(ROOT, "docs", "migration.md"))))
    assert flags - {"-h", "--help"} <= told


def test_each_public_name_is_in_the_api():
    pages = glob.glob(os.path.join(ROOT, "docs", "api", "*.md"))
    shown = re.findall(r"^::: freeze_hooks\.([\w.]+)", "\n".join(map(text, pages)), re.MULTILINE)
    named = sorted(name for name in shown if "." not in name)
    assert named == sorted(set(fh.__all__) - {"__version__"})


GUIDES = [
    os.path.join(ROOT, *name.split("/"))
    for name in ("CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/file-format.md")
]


@pytest.mark.parametrize("page", GUIDES, ids=os.path.basename)
def test_code_that_a_guide_quotes_is_there(page):
    quoted = re.findall(r"```python\n# a part of (\S+)\n(.*?)```", text(page), re.DOTALL)
    for path, code in quoted:
        assert code in text(os.path.join(ROOT, path)), path
    assert quoted or not page.endswith("CONTRIBUTING.md")


@pytest.mark.parametrize("page", GUIDES, ids=os.path.basename)
def test_files_that_a_guide_names_are_there(page):
    top = r"(?:freeze_hooks|tests|docs|benchmarks|examples)/"
    named = set(re.findall(rf"`({top}[\w./-]*)`", text(page)))
    missing = {path for path in named if not os.path.exists(os.path.join(ROOT, path))}
    assert not {path for path in missing if not re.search("NAME|FOLDER", path)}


def test_the_architecture_lists_the_folders():
    page = text(os.path.join(ROOT, "docs", "architecture.md"))
    listed = re.findall(r"^\| `([\w/.]+)` \|", page, re.MULTILINE)
    package = os.path.join(ROOT, "freeze_hooks")
    there = {file for file in os.listdir(package) if file.endswith(".py")}
    for directory, _, files in os.walk(package):
        if "__init__.py" in files and directory != package:
            there.add(os.path.relpath(directory, package).replace(os.sep, "/") + "/")
    assert sorted(listed) == sorted(there)


def test_files_that_the_architecture_names_are_there():
    page = text(os.path.join(ROOT, "docs", "architecture.md"))
    named = set(re.findall(r"`([a-z_]+/[\w/]+\.py)`", page))
    inside = {path for path in named if not path.startswith(("tests/", "freeze_hooks/"))}
    assert len(inside) > 15
    assert all(os.path.exists(os.path.join(ROOT, "freeze_hooks", path)) for path in inside), inside
