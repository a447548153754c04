"""Packages by their metadata: missing ones, old ones, and extras."""

import configparser
import re
from importlib import metadata

import pytest

from nst_keras.diagnosis import packages
from nst_keras.diagnosis.finding import OK, PROBLEM, WARNING
from tests.conftest import ROOT

DECLARED = [f"{name}>=2.18" for name in packages.REQUIRED]


@pytest.fixture
def installed(monkeypatch):
    """Versions by package, in place of those of this environment; what is declared, too."""
    versions = dict.fromkeys(packages.REQUIRED, "2.18.0")

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda _: [*DECLARED, 'pytest>=8; extra == "test"'])
    return versions


@pytest.fixture(scope="module")
def declared():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_what_is_required_is_what_setup_cfg_declares(declared):
    lines = declared["options"]["install_requires"].split("\n")
    names = [re.match(r"[\w-]+", line)[0] for line in lines if line]
    assert sorted(names) == sorted(packages.REQUIRED)
    low, high = re.findall(r"\d+\.\d+", declared["options"]["python_requires"])
    assert (packages._dotted(packages._OLDEST), packages._dotted(packages._NEXT)) == (low, high)


def test_extras_are_those_that_setup_cfg_has_for_users(declared):
    extras = declared["options.extras_require"]
    assert set(packages.EXTRAS) == set(extras) - {"test", "dev", "package", "docs"}
    for name, extra in packages.EXTRAS.items():
        if name != "cuda":  # TensorFlow's own extra installs it
            assert extra.package in extras[name]


def test_versions_that_suffice_are_listed(installed):
    (found,) = packages.check_required()
    assert found.level == OK and "tensorflow 2.18.0, keras 2.18.0" in found.text


@pytest.mark.parametrize("version", ["2.17.1", "2.9", "1.15.0rc1"])
def test_an_old_version_is_a_problem(version, installed):
    installed["tensorflow"] = version
    old, rest = packages.check_required()
    assert (old.level, old.topic) == (PROBLEM, "tensorflow")
    assert old.text == f"{version} is too old; 2.18 is the oldest that works"
    assert old.remedy == "pip install 'tensorflow>=2.18'"
    assert "tensorflow" not in rest.text and "numpy" in rest.text


def test_a_missing_package_is_a_problem_unless_another_provides_it(installed):
    del installed["tensorflow"], installed["rich"]
    levels = {found.topic: found.level for found in packages.check_required()}
    assert levels == {"tensorflow": PROBLEM, "rich": PROBLEM, "packages": OK}
    installed["tensorflow-cpu"] = "2.19.0"
    assert "tensorflow" not in {found.topic for found in packages.check_required()}


def test_without_metadata_versions_are_not_checked(installed, monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    installed["keras"] = "0.1"
    warning, found = packages.check_required()
    assert warning.level == WARNING and "is not installed" in warning.text
    assert found.level == OK and "keras 0.1" in found.text


def test_extras_say_what_they_are_for(installed):
    installed["pillow-heif"] = "0.18.0"
    there, missing = packages.check_extras()
    assert there.text == "heif (pillow-heif 0.18.0)"
    assert "video writes MP4" in missing.text and "heif" not in missing.text
    assert "pip install '.[NAME]'" in missing.remedy


@pytest.mark.parametrize(
    ("version", "level"), [((3, 9), PROBLEM), ((3, 10), OK), ((3, 14), PROBLEM)]
)
def test_the_version_of_python_is_judged(version, level, monkeypatch):
    monkeypatch.setattr(packages.sys, "version_info", (*version, 1))
    (found,) = packages.check_python()
    assert found.level == level and bool(found.remedy) == (level == PROBLEM)
