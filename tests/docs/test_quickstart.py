"""The notebook docs/notebooks/quickstart.ipynb: its cells run, and it holds no outputs."""

import json

import pytest

import nst_keras
from tests.conftest import ROOT

PATH = ROOT / "docs/notebooks/quickstart.ipynb"
NOTEBOOK = json.loads(PATH.read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def is_parameters(cell):
    return "parameters" in cell["metadata"].get("tags", ())


def parameters(folder, settings):
    """The cell of parameters, with small pictures and settings of quick runs."""
    lines = [
        f"{name} = Path({str(folder / name)!r} + '.jpg')"
        for name in ("photo", "painting", "woodcut")
    ]
    more = {**settings, "size": 48}
    return "\n".join([*lines, f"runs = Path({str(folder / 'runs')!r})", f"more = {more!r}"])


def check(folder):
    """Check what the notebook leaves in its folder."""
    assert (folder / "runs/first.png").is_file()
    assert (folder / "runs/folder/index.html").is_file()


def test_it_is_committed_without_outputs_and_paths():
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CODE)
    assert "/home" not in PATH.read_text() and "/root" not in PATH.read_text()
    assert sum(map(is_parameters, CODE)) == 1


def test_its_pictures_are_there(monkeypatch):
    monkeypatch.chdir(PATH.parent)
    (cell,) = filter(is_parameters, CODE)
    namespace = {}
    exec("from pathlib import Path\n" + "".join(cell["source"]), namespace)
    for name in ("photo", "painting", "woodcut"):
        assert namespace[name].is_file()
    nst_keras.Config(**namespace["more"])


def test_its_cells_run_in_order(pictures, quick, capsys):
    namespace = {}
    for cell in CODE:
        source = parameters(pictures, quick) if is_parameters(cell) else "".join(cell["source"])
        exec(compile(source, PATH.name, "exec"), namespace)
    check(pictures)
    first, whole = namespace["first"], namespace["whole"]
    assert not first.finished and whole.finished and whole.losses["step"][-1] == 6
    assert "Result(48x32, step 4 of 6" in capsys.readouterr().out


@pytest.mark.slow
def test_a_kernel_runs_it_and_shows_its_pictures(pictures, quick):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if is_parameters(cell):
            cell.source = parameters(pictures, quick)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    check(pictures)
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    pictures_shown = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures_shown) == 5  # the results that stand alone at the end of a cell
    assert all(
        "text/html" in one["data"] or one in pictures_shown
        for one in outputs
        if one.output_type != "stream"
    )
    assert any(
        "step 6 of 6" in one["data"]["text/html"]
        for one in outputs
        if "text/html" in one.get("data", {})
    )
