"""What a release uploads works in a clean environment; the linters are the same everywhere."""

import glob
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest
from places import ROOT

import freeze_hooks as fh

PARTS = ("freeze_hooks", "pyproject.toml", "README.md", "LICENSE", ".gitignore")


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def build(source, directory, *kinds):
    """Build without the network, by the backend that is installed here; returns (sdist,) wheel."""
    run(sys.executable, "-m", "hatchling", "build", "-d", str(directory), *kinds, cwd=str(source))
    endings = ("*.tar.gz", "*.whl")
    return [path for ending in endings for path in glob.glob(os.path.join(str(directory), ending))]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(sdist, wheel) of a copy of this tree."""
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        path = os.path.join(ROOT, part)
        copy = shutil.copytree if os.path.isdir(path) else shutil.copy
        copy(path, str(source / part))
    return build(source, source / "dist")


def members(wheel):
    """{path in a wheel: content}, without the list of them."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("RECORD")]
        return {name: archive.read(name) for name in names}


def test_the_version_is_the_same_wherever_it_stands():
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        assert re.search(r'^version = "(.*)"$', file.read(), re.M).group(1) == fh.__version__
    with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as file:
        assert re.search(r"^## \[(\d.*?)\]", file.read(), re.M).group(1) == fh.__version__


def test_a_wheel_holds_the_package_and_nothing_else(built):
    package = os.path.join(ROOT, "freeze_hooks")
    expected = {"freeze_hooks/py.typed", "freeze_hooks/graph/common_ops.pbtxt"}
    for directory, _, files in os.walk(package):
        inner = os.path.relpath(directory, ROOT).replace(os.sep, "/")
        expected |= {f"{inner}/{file}" for file in files if file.endswith(".py")}
    found = {name for name in members(built[1]) if ".dist-info/" not in name}
    assert found == expected


def test_an_sdist_makes_the_same_wheel(built, tmp_path):
    with tarfile.open(built[0]) as archive:
        archive.extractall(str(tmp_path))
    (source,) = tmp_path.iterdir()
    (wheel,) = build(source, tmp_path / "dist", "-t", "wheel")
    assert members(wheel) == members(built[1])


def test_a_wheel_works_in_a_clean_environment(built, tmp_path):
    """TensorFlow is that of the tests; the package and the command are those of the wheel."""
    run(sys.executable, "-m", "venv", str(tmp_path / "venv"))
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--no-index")
    run(*pip, "--no-deps", built[1])
    where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    with open(os.path.join(where, "tests.pth"), "w") as file:
        file.write(sysconfig.get_path("purelib") + "\n")
    program = "import freeze_hooks as fh; fh.FreezeHook; print(fh.__file__, fh.__version__)"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    printed = run(python, "-c", program, cwd=str(tmp_path), env=env).splitlines()[-1]
    assert printed == f"{os.path.join(where, 'freeze_hooks', '__init__.py')} {fh.__version__}"
    told = run(str(scripts / "freeze-hooks"), "inspect", "--help", cwd=str(tmp_path), env=env)
    assert "Usage: freeze-hooks inspect" in told


def test_pre_commit_runs_the_linters_of_ci():
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        (extra,) = re.findall(r"^lint = \[\n(.*?)^\]", file.read(), re.M | re.DOTALL)
    with open(os.path.join(ROOT, ".pre-commit-config.yaml"), encoding="utf-8") as file:
        hooks = re.findall(r'additional_dependencies: \["(.*?)"\]', file.read())
    assert sorted(set(hooks)) == sorted(re.findall(r'^    "([^;"]+)', extra, re.M))
