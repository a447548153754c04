"""The examples of docs/python.md, run in order with small pictures and a tiny network."""

import functools
import re

import pytest

import nst_keras
from tests.conftest import ROOT

TEXT = (ROOT / "docs/python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def namespace(pictures, quick, monkeypatch):
    """Where examples run: sizes and networks are small, and what is not given is as usual."""
    (pictures / "monet.cfg").write_text("--content=photo.jpg\n--style=painting.jpg\n")
    for name in ("run", "stylize"):
        small = functools.partial(getattr(nst_keras, name), **quick)
        monkeypatch.setattr(nst_keras, name, small)
    return {}


def test_the_examples_work(namespace, pictures, capsys):
    reported = set()
    for example in EXAMPLES:
        small = example.replace("size=384", "size=48").replace('{"block5_conv1": 0.1}', "(1,)")
        small = small.replace('weights="imagenet"', "weights=None")  # tests download nothing
        exec(compile(small, "docs/python.md", "exec"), namespace)
        reported |= {*namespace["result"].losses}
    assert (pictures / "result.png").is_file()
    assert (pictures / "runs/first/index.html").is_file()
    shown = capsys.readouterr().out
    assert "step 1 at 48x32: " in shown and "index.html" in shown
    assert reported >= {"total", "warm", "quiet", "style/block_3_expand_relu"}


def test_there_are_examples_and_their_names_are_public():
    assert len(EXAMPLES) > 8
    names = {
        name for example in EXAMPLES for name in re.findall(r"from nst_keras import (\w+)", example)
    }
    assert names <= {*nst_keras.__all__} and len(names) >= 4
