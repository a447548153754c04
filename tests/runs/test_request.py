"""A run as asked for: what is read, and what its folder adds."""

import pytest

from nst_keras.runs.record import RunRecord
from nst_keras.runs.request import read_run
from nst_keras.runtime.errors import InputError
from nst_keras.settings import flags
from tests.conftest import flags_of


@pytest.fixture
def small(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """The flags of a run in the folder `job`."""
    monkeypatch.chdir(tmp_path)
    return flags_of(picture_paths, tiny_weights_path)


def requested(*arguments):
    config, _ = flags.parse_config(list(arguments))
    return read_run(list(arguments), config)


def begin(run, **settings):
    """Leave a folder as a run leaves it once it has made its decisions."""
    run.folder.prepare(run.fingerprint)
    RunRecord(status="running", fingerprint=run.fingerprint, requested=run.fingerprint).write(
        run.folder.record
    )
    lines = [f"--content={run.settings.content}", f"--style={run.settings.style[0]}"]
    lines += [f"--{name}={value}" for name, value in settings.items()]
    run.folder.flags.write_text("\n".join(lines))


def test_a_run_has_its_settings_pictures_and_folder(small, tmp_path):
    run = requested(*small)
    assert run.settings.size == 48 and run.settings.optimizer  # which the preset decides
    assert run.inputs.content.shape == (40, 60, 3) and run.inputs.styles[0].shape == (50, 50, 3)
    assert run.folder.path.resolve() == tmp_path / "job" and not run.prolongs
    assert run.begun() == run.settings  # nothing is decided yet


def test_without_a_folder_the_name_follows_from_the_pictures(small):
    run = requested(*(flag for flag in small if not flag.startswith("--workdir")))
    assert run.folder.path.parent.name == "runs" and "photo" in run.folder.path.name


def test_a_folder_alone_stands_for_its_flags_and_given_ones_come_first(small):
    begin(requested(*small), size=40, seed=7)
    run = requested("--workdir=job", "--seed=8")
    assert (run.settings.size, run.settings.seed) == (40, 8)


def test_a_folder_alone_must_hold_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="^--workdir=job: holds no run to resume; give --content"):
        requested("--workdir=job")


def test_a_begun_run_keeps_its_decisions(small):
    run = requested(*small)
    begin(run, precision="float16", iterations=6, coarse_iterations=4, tile_size=256)
    begun = run.begun()
    assert (begun.precision, begun.iterations) == ("float16", 6)
    assert (begun.coarse_iterations, begun.tile_size) == ((4,), 256)
    limited = requested(*small, "--time_limit=1h", "--tile_size=512")
    assert limited.begun().tile_size == 512  # a new one counts
    assert limited.begun().time_limit is None  # and nothing is measured again


def test_more_steps_prolong_a_run_and_are_not_those_of_the_folder(small):
    constant = [*small, "--schedule=constant"]
    begin(requested(*constant), precision="float32", iterations=6, coarse_iterations=4)
    assert not requested(*constant).prolongs
    assert not requested(*constant, "--iterations=9", "--overwrite").prolongs
    longer = requested(*constant, "--iterations=9")
    assert longer.prolongs
    assert longer.begun().iterations == 9 and longer.begun().coarse_iterations == (4,)
