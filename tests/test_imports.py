"""The order of the modules, read from their source: no module is run for it."""

import ast
from pathlib import Path

import pytest

import nst_keras

ROOT = Path(nst_keras.__file__).parent
# Each module may import those before it.
ORDER = (
    *("errors", "console", "options", "command_flags", "files", "vgg", "tiles", "presets"),
    *("config", "resolution", "flags"),
    *("images", "weights", "inputs", "scales", "grouping", "inits", "background", "checkpoints"),
    *("plateau", "trouble"),
    *("progress", "planning", "workdir", "animation", "video", "gallery", "compare", "output"),
    *("devices", "run_record", "recorder"),
    *("variation", "wasserstein", "losses", "passage", "objective", "distribute"),
    *("tiling", "lbfgs", "schedules", "optimizers", "backbones", "scores"),
    *("painter", "stages", "course", "preparation", "loop", "batching", "batch_loop"),
    *("desk", "job", "run", "run_batch"),
    *("matrix", "trials", "sweep_folder", "engines", "collection", "sweep_progress"),
    *("sweep_flags", "ray_engine", "sweep"),
    *("train_config", "cifar", "labels", "datasets", "train_folder", "feeding", "classifier"),
    *("training", "train_loop", "train_backbone"),
)
NEEDS_TENSORFLOW = {
    *("variation", "wasserstein", "losses", "passage", "objective", "distribute", "tiling"),
    *("lbfgs", "schedules", "optimizers", "backbones", "scores", "painter", "stages"),
    *("course", "preparation", "loop", "batching", "batch_loop"),
    *("feeding", "classifier", "training", "train_loop"),
}


def imported(name, everywhere):
    """Names that a module imports: at once, or `everywhere`, inside its functions, too."""
    tree = ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "nst_keras":
            found |= {f"nst_keras.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def ours(names):
    return {name.removeprefix("nst_keras.") for name in names if name.startswith("nst_keras.")}


def test_every_module_has_its_place_in_the_order():
    assert sorted(ORDER) == sorted(p.stem for p in ROOT.glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("name", ORDER)
def test_imports_point_only_downwards(name):
    assert ours(imported(name, everywhere=True)) <= set(ORDER[: ORDER.index(name)])


@pytest.mark.parametrize("name", [n for n in ORDER if n not in NEEDS_TENSORFLOW])
def test_importing_a_light_module_does_not_import_tensorflow(name):
    reached, waiting = set(), {name, "__init__"}
    while waiting:
        module = waiting.pop()
        names = imported(module, everywhere=False)
        assert not {n.split(".")[0] for n in names} & {"tensorflow", "keras"}, module
        reached.add(module)
        waiting |= ours(names) - reached


def test_the_check_sees_what_it_forbids():
    assert "tensorflow" in imported("losses", everywhere=False)
    assert "tensorflow" in imported("devices", everywhere=True)
    assert ours(imported("objective", everywhere=False)) == {"losses", "passage", "tiles", "vgg"}
