"""Compiled programs are kept for later processes, damaged ones are not used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nst_keras.devices import compile_cache

OTHERS = "algorithms", "kernels"


@pytest.fixture
def variables(monkeypatch):
    """The environment without flags of XLA, and put back after the test."""
    for name in ("TF_XLA_FLAGS", "XLA_FLAGS", "TF_JIT_CACHE_DIR", "CUDA_CACHE_PATH"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    yield os.environ
    compile_cache.keep_compiled("none")


def begin(place):
    """What a process does at its start; returns its folder."""
    compile_cache.keep_compiled(str(place))
    return compile_cache.folder()


def test_tensorflow_is_told_where_programs_are(tmp_path, variables):
    folder = begin(tmp_path)
    assert folder.parent == tmp_path / "nst_keras" / "compiled"
    name = "--tf_xla_persistent_cache_directory"
    assert variables["TF_XLA_FLAGS"] == f"{name}={folder / 'programs'}"
    assert variables["XLA_FLAGS"].endswith(f"_cache_dir={folder / 'algorithms'}")
    assert variables["TF_JIT_CACHE_DIR"] == str(folder / "kernels")
    assert variables["CUDA_CACHE_PATH"] == str(folder / "driver")
    assert all((folder / kept).is_dir() for kept in ("programs", "algorithms", "kernels"))


def test_the_users_cache_is_the_usual_place(tmp_path, variables, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert begin("auto").parent == tmp_path / "nst_keras" / "compiled"
    assert "CUDA_CACHE_PATH" not in variables  # other programs of the user share the driver's


def test_what_the_environment_says_wins(tmp_path, variables, monkeypatch):
    given = "--tf_xla_persistent_cache_directory=/own --tf_xla_clustering_debug"
    monkeypatch.setenv("TF_XLA_FLAGS", given)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setenv("TF_JIT_CACHE_DIR", "/own")
    monkeypatch.setenv("CUDA_CACHE_PATH", "/own")
    begin(tmp_path)
    assert variables["TF_XLA_FLAGS"] == given and variables["TF_JIT_CACHE_DIR"] == "/own"
    assert variables["CUDA_CACHE_PATH"] == "/own"
    assert variables["XLA_FLAGS"].startswith("--xla_cpu_enable_fast_math=false --xla_gpu_per_")


@pytest.mark.parametrize("place", ["none", "{folder}/with space", "{folder}/file/below"])
def test_without_a_usable_folder_nothing_is_kept(tmp_path, variables, place):
    (tmp_path / "file").touch()
    assert begin(place.format(folder=tmp_path)) is None
    assert "TF_XLA_FLAGS" not in variables and "XLA_FLAGS" not in variables
    assert compile_cache.seal() == 0


def test_only_files_that_were_sealed_and_have_not_changed_are_kept(tmp_path, variables):
    folder = begin(tmp_path)
    names = ("whole", "cut", "changed")
    programs = {name: folder / "programs" / name for name in names}
    for path in (*programs.values(), *(folder / kept / "whole" for kept in OTHERS)):
        path.write_bytes(b"program")
    assert compile_cache.seal() == 3 and compile_cache.seal() == 0  # that are programs
    programs["cut"].write_bytes(b"prog")
    programs["changed"].write_bytes(b"mistake")
    (folder / "programs" / "torn").write_bytes(b"pro")  # of a process that was killed
    (folder / "xla.json").write_text("{}")  # has no hash, and needs none
    begin(tmp_path)
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    kinds = ("programs", *OTHERS)
    whole = {f"{kind}/whole{end}" for kind in kinds for end in ("", ".sha256")}
    assert left == {*whole, "xla.json"}


def test_the_oldest_files_are_removed_above_a_limit(tmp_path, variables, monkeypatch):
    folder = begin(tmp_path)
    other = tmp_path / "letter.txt"  # of the user, who may give any folder
    other.write_bytes(bytes(1000))
    of_driver = folder / "driver" / "a" / "kernel"  # which bounds its cache by itself
    of_driver.parent.mkdir(parents=True)
    of_driver.write_bytes(bytes(1000))
    os.utime(other, (1, 1))
    os.utime(of_driver, (1, 1))
    for age, name in enumerate(("new", "middle", "old")):
        path = folder / "programs" / name
        path.write_bytes(bytes(100))
        os.utime(path, (10**9 - age, 10**9 - age))
    compile_cache.seal()
    monkeypatch.setattr(compile_cache, "_MOST_BYTES", 250)
    begin(tmp_path)
    left = {path.name for path in (folder / "programs").iterdir()}
    assert left == {"new", "new.sha256", "middle", "middle.sha256"}
    assert other.exists() and of_driver.exists()


def test_each_kind_of_machine_has_its_own_folder(tmp_path, variables, monkeypatch):
    folders = [begin(tmp_path)]
    monkeypatch.setattr(compile_cache, "_processor", lambda: iter(["flags: other"]))
    folders.append(begin(tmp_path))
    monkeypatch.setattr(compile_cache, "_version", lambda package: "99")
    folders.append(begin(tmp_path))
    assert len({*folders}) == 3


PROGRAM = """
from nst_keras.devices import compile_cache, startup
startup.start_tensorflow({place!r})
import tensorflow as tf
@tf.function(jit_compile=True, autograph=False)
def program(x):
    return tf.nn.softmax(x @ x)
print(float(tf.reduce_sum(program(tf.eye(64)))))
compile_cache.seal()
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing_and_a_damaged_program_is_compiled_anew(
    tmp_path, variables
):
    def run():
        environment = {**variables, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
        code = PROGRAM.format(place=str(tmp_path))
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        (program,) = tmp_path.glob("nst_keras/compiled/*/programs/*.pb")
        return done.stdout, program

    first, program = run()
    written = program.stat().st_mtime_ns
    assert run() == (first, program) and program.stat().st_mtime_ns == written
    whole = program.read_bytes()
    for damaged in (b"", whole[:1000], bytes(len(whole))):
        program.write_bytes(damaged)
        assert run() == (first, program) and program.stat().st_size > 1000
