"""The display in notebooks, with a stand-in for IPython, which is no dependency."""

import sys
import types

import pytest

from nst_keras.runtime import notebook


class Handle:
    def __init__(self, first):
        self.shown = [first]

    def update(self, value):
        self.shown.append(value)


@pytest.fixture
def ipython(monkeypatch):
    """IPython as in a kernel; `handles` are the displays that were opened."""
    package, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    package.shell = types.SimpleNamespace(kernel=object())
    package.get_ipython = lambda: package.shell
    package.handles = []

    def show(value, display_id=False):
        package.handles.append(Handle(value))
        return package.handles[-1]

    display.display, display.HTML = show, lambda text: text
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return package


def test_only_a_kernel_is_a_notebook(ipython, monkeypatch):
    assert notebook.in_notebook()
    ipython.shell = types.SimpleNamespace()  # IPython on a terminal
    assert not notebook.in_notebook()
    ipython.shell = None
    assert not notebook.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.in_notebook()


def test_one_display_is_updated_in_its_place(ipython, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(notebook.time, "monotonic", lambda: now[0])
    progress = notebook.NotebookProgress()
    assert progress.is_due()
    progress.update("step 1 <of> 2", 0.5, b"\xff\xd8")
    assert not progress.is_due()
    now[0] = 1.5
    assert progress.is_due()
    progress.close("done & gone")
    (handle,) = ipython.handles
    assert len(handle.shown) == 3
    assert '<progress value="0.5000" max="1">' in handle.shown[1]
    assert (
        "step 1 &lt;of&gt; 2" in handle.shown[1]
        and "data:image/jpeg;base64,/9g=" in handle.shown[1]
    )
    assert handle.shown[2] == "done &amp; gone"


def test_an_object_is_shown(ipython):
    notebook.show("picture")
    assert ipython.handles[0].shown == ["picture"]
