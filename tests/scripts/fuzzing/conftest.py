"""Kinds of input with a reader of the test's own."""

import gc
import warnings

import pytest

from scripts.fuzzing.damage_bytes import BYTES
from scripts.fuzzing.readers import Kind


@pytest.fixture(autouse=True)
def files_left_open():
    """Readers leave damaged files to the garbage collector, where Python ignores them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def kind_of(read, **rules):
    """A kind with one short seed, whose reader is given the folder."""
    return Kind("file", lambda: [b"whole"], BYTES, read, **rules)
