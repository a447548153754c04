"""What setup.py adds to setup.cfg, and what belongs to a release."""

import importlib.util
import io
import re
import tarfile

import pytest

import nst_keras
from tests.conftest import ROOT

ADDRESS = "https://github.com/owner/name"


@pytest.fixture(scope="module")
def setup():
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location("nst_keras_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_address_has_one_place(setup):
    config = (
        f"[metadata]\nname = x\nproject_urls =\n    Issues = {ADDRESS}/i\n    Source = {ADDRESS}/\n"
    )
    assert setup.source_address(config) == ADDRESS
    assert setup.source_address("[metadata]\nname = x\n") == ""


def test_links_become_absolute(setup):
    text = (
        '![a](configs/a.jpg) [b](docs/b.md#c) <img src="configs/d.png" width="9"> [e](#f) '
        "[g](https://none.example/h) git clone <this repository>"
    )
    assert setup.with_absolute_links(text, ADDRESS, "1.2") == (
        f"![a]({ADDRESS}/raw/v1.2/configs/a.jpg) [b]({ADDRESS}/blob/v1.2/docs/b.md#c) "
        f'<img src="{ADDRESS}/raw/v1.2/configs/d.png" width="9"> [e](#f) '
        f"[g](https://none.example/h) git clone {ADDRESS}"
    )
    assert setup.with_absolute_links(text, "", "1.2") == text


def test_no_relative_link_of_the_readme_is_left(setup):
    text = setup.with_absolute_links((ROOT / "README.md").read_text("utf-8"), ADDRESS, "1.2")
    targets = re.findall(r"\]\(([^)]+)\)|(?:src|href)=\"([^\"]+)\"", text)
    assert len(targets) > 20
    assert all((one or other).startswith(("https://", "#")) for one, other in targets)


def archive(path, names, mtime, mode, owner):
    with tarfile.open(path, "w:gz") as packed:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.mode, entry.uname = mtime, mode, owner
            entry.size = len(name)
            packed.addfile(entry, io.BytesIO(name.encode()))


def test_archives_of_equal_files_become_equal(setup, tmp_path):
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"
    archive(one, ["x/b", "x/a"], 1, 0o664, "maria")
    archive(two, ["x/a", "x/b"], 2, 0o600, "peter")
    assert one.read_bytes() != two.read_bytes()
    for path in (one, two):
        setup.repack(path, 1_000_000_000)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as packed:
        found = packed.getmembers()
        assert [entry.name for entry in found] == ["x/a", "x/b"]
        assert {(entry.mtime, entry.mode, entry.uname) for entry in found} == {(10**9, 0o644, "")}
        assert packed.extractfile("x/b").read() == b"x/b"
    assert int.from_bytes(one.read_bytes()[4:8], "little") == 10**9  # the time in gzip's header


def test_scripts_stay_executable(setup, tmp_path):
    path = tmp_path / "one.tar.gz"
    archive(path, ["x/run"], 1, 0o700, "maria")
    setup.repack(path, 1)
    with tarfile.open(path) as packed:
        assert packed.getmember("x/run").mode == 0o755


def test_versions_are_the_same_everywhere(setup):
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {nst_keras.__version__}\n" in citation
    assert setup._version() == nst_keras.__version__
