"""Figures about XLA are kept for later runs, and damaged ones do no harm."""

import pytest

from nst_keras.devices import xla as xla_lib
from nst_keras.devices.xla import XlaFigures, recall, remember, settle_xla


@pytest.mark.parametrize(
    ("on_gpu", "deterministic", "settled"),
    [(True, False, "auto"), (True, True, False), (False, False, False)],
)
def test_auto_measures_on_gpus_only_and_not_where_results_must_repeat(
    monkeypatch, on_gpu, deterministic, settled
):
    monkeypatch.setattr(xla_lib, "on_gpu", lambda: on_gpu)
    assert settle_xla("auto", deterministic) == settled
    assert settle_xla(True, deterministic) is True
    assert settle_xla(False, deterministic) is False


def test_compiling_pays_if_it_saves_a_quarter_more_than_it_takes():
    figures = XlaFigures(gain=4.0, compile_seconds=30.0)  # each step saves three quarters
    assert figures.pays(0.5, 101) and not figures.pays(0.5, 100)
    assert not XlaFigures(gain=1.0, compile_seconds=0.0).pays(1.0, 10**9)


def test_figures_are_kept_by_program(tmp_path):
    one, other = XlaFigures(1.5, 3.0), XlaFigures(3.0, 12.5)
    remember(tmp_path, "a", one)
    remember(tmp_path, "b", other)
    assert (recall(tmp_path, "a"), recall(tmp_path, "b")) == (one, other)
    assert recall(tmp_path, "c") is recall(None, "a") is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"a": 3}', '{"a": {"gain": 2}}', '{"a": {"gain": "x", "compile_seconds": 1}}']
    + ['{"a": {"gain": NaN, "compile_seconds": 1}}', '{"a": {"gain": 2, "compile_seconds": -1}}'],
)
def test_a_damaged_file_counts_as_none_and_is_replaced(tmp_path, text):
    (tmp_path / "xla.json").write_text(text)
    assert recall(tmp_path, "a") is None
    remember(tmp_path, "a", XlaFigures(1.5, 3.0))
    assert recall(tmp_path, "a") == XlaFigures(1.5, 3.0)


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    remember(tmp_path / "file", "a", XlaFigures())
    remember(None, "a", XlaFigures())
    assert recall(tmp_path / "file", "a") is None
