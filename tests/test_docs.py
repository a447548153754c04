"""Links of the README and the documentation, and what its site is built from; no network."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import nst_keras
from nst_keras.settings.config import OPTIONS
from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def links(text):
    """Targets of links and pictures, without those in code."""
    found = _LINK.findall(_CODE.sub("", _FENCE.sub("", text)))
    return [one or other for one, other in found]


def anchors(text):
    """The anchors of headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,6} (.+)$", _FENCE.sub("", text), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.replace("`", "")) for heading in headings]
    return {heading.strip().lower().replace(" ", "-") for heading in plain}


def broken(page, text):
    """The links of a page that lead to no file, or to no heading of it."""
    for target in links(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        is_ours = file.exists() and ROOT in (file, *file.parents)
        if not is_ours or (anchor and anchor not in anchors(_text_of(file, page, text))):
            yield target


def _text_of(file, page, text):
    return text if file == page else file.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_a_file_and_a_heading(page):
    assert not list(broken(page, page.read_text("utf-8")))


def test_the_check_sees_what_is_broken():
    page = ROOT / "README.md"
    text = (
        '# One heading: `--x`\n[a](#one-heading---x) [b](#two) [c](docs/none.md) <img src="no.jpg">'
        " [d](docs/design.md#folders) [e](docs/design.md#none) [f](https://none.example) `[g](h)`"
        "\n```\n[i](j)\n```\n[k](../outside.md)"
    )
    assert list(broken(page, text)) == [
        *("#two", "docs/none.md", "no.jpg", "docs/design.md#none", "../outside.md"),
    ]


@pytest.fixture(scope="module")
def site():
    """The modules beside the configuration of the site."""
    found = {}
    for name in ("root_pages", "settings_page"):
        spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
        found[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[name])
    yield found
    for name in found:
        del sys.modules[name]


def test_every_page_is_in_the_contents_of_the_site(site):
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    named = set(re.findall(r"^(?:.* <)?([\w/]+)>?$", index, re.MULTILINE))
    pages = {page.stem for page in ROOT.glob("docs/*.md")} - {"index"}
    folder = site["root_pages"].FOLDER
    root = {f"{folder}/{Path(name).stem}" for name in site["root_pages"].NAMES}
    assert named == pages | root | {f"{folder}/settings"}


def test_the_reference_has_all_names_of_the_package():
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: nst_keras\.(\w+)(?:\(.*\))?$", text, re.MULTILINE))
    assert named == set(nst_keras.__all__)


def test_every_setting_is_on_its_page(site):
    text = site["settings_page"].text()
    assert re.findall(r"^### `(\w+)`$", text, re.MULTILINE) == sorted(
        OPTIONS, key=lambda name: text.index(f"\n### `{name}`\n")
    )
    assert "Takes one of adam, lbfgs" in text
    entries = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert "In Python, it needs `workdir`." in entries["mp4"]
    assert all("In Python" not in entries[name] for name in ("workdir", "style_mask", "size"))


def test_links_of_root_pages_are_moved_with_them(site):
    moved = site["root_pages"].moved
    text = (
        "[a](docs/design.md#folders) [b](SECURITY.md) [c](LICENSE) [d](configs) [e](#here) "
        '[f](https://none.example) <img src="configs/images/harbor.jpg">'
    )
    assert moved(text, ROOT) == (
        "[a](../design.md#folders) [b](SECURITY.md) [c](../../LICENSE) d [e](#here) "
        '[f](https://none.example) <img src="../_static/harbor.jpg">'
    )
    assert site["root_pages"].with_pages("[a](../README.md#x) [b](../NOTICE)") == (
        "[a](_pages/README.md#x) [b](../NOTICE)"
    )
