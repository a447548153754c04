"""The order of the folders, read from their source: no module is run for it."""

import ast
from pathlib import Path

import pytest

import nst_keras

ROOT = Path(nst_keras.__file__).parent
# Each folder may import from itself and from those after it; the commands, from all.
ORDER = (
    *("sweeps", "diagnosis", "training", "runs", "live", "transfer", "settings", "objective"),
    "imaging",
    *("network", "devices", "optimizers", "runtime"),
)
# Modules by which bad input is refused; TensorFlow takes seconds to import.
WITHOUT_TENSORFLOW = ("run", "sweep", "compare", "recolor", "train_backbone", "doctor")


def path_of(module):
    """The file of a module by its name below nst_keras; None for a name that is no module."""
    place = ROOT / module.replace(".", "/")
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.exists()), None)


def imported(module, everywhere):
    """Modules that one imports: at once, or `everywhere`, inside its functions, too."""
    tree = ast.parse(path_of(module).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def ours(names):
    found = {name.removeprefix("nst_keras.") for name in names if name.startswith("nst_keras.")}
    return {name for name in found if path_of(name)}


def modules(folder):
    return [f"{folder}.{path.stem}" for path in sorted((ROOT / folder).glob("*.py"))]


def test_every_folder_has_its_place_in_the_order():
    assert sorted(ORDER) == sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


@pytest.mark.parametrize("folder", ORDER)
def test_folders_import_one_way(folder):
    allowed = ORDER[ORDER.index(folder) :]
    for module in modules(folder):
        for name in ours(imported(module, everywhere=True)):
            assert name.split(".")[0] in allowed, f"{module} imports {name}"


def test_modules_import_without_a_circle():
    done = set()

    def visit(module, above):
        assert module not in above, (*above, module)
        if module not in done:
            for name in ours(imported(module, everywhere=False)) - {module, module.split(".")[0]}:
                visit(name, (*above, module))
            done.add(module)

    for folder in ORDER:
        for module in modules(folder):
            visit(module, ())


@pytest.mark.parametrize("module", WITHOUT_TENSORFLOW)
def test_bad_input_is_refused_before_tensorflow_is_imported(module):
    reached, waiting = set(), {module, "__init__"}
    while waiting:
        name = waiting.pop()
        names = imported(name, everywhere=False)
        assert not {one.split(".")[0] for one in names} & {"tensorflow", "keras"}, name
        reached.add(name)
        waiting |= ours(names) - reached


def test_the_checks_see_what_they_forbid():
    assert "tensorflow" in imported("objective.formulas", everywhere=False)
    assert "tensorflow" in imported("devices.startup", everywhere=True)
    assert "objective.formulas" in ours(imported("objective.terms", everywhere=False))
