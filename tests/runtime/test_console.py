"""What a command says where something goes wrong, and where nobody can be told."""

import errno
import io

import pytest
import tensorflow as tf

from nst_keras.runtime import cli, console
from nst_keras.runtime.errors import DeviceError, InputError, LostHostError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("--size=0: too small"), 2, "--size=0: too small"),
        (OSError(errno.ENOSPC, "No space left", "a.png"), 74, "a.png: No space left"),
        (OSError("odd"), 74, "the disk: odd"),
        (LostHostError("another host is gone"), 75, "another host is gone; run it again on all"),
        (KeyboardInterrupt(), 75, "interrupted; the same command goes on"),
        (DeviceError("the device failed"), 1, "the device failed; run again, it goes on"),
        (FloatingPointError("not finite"), 1, "not finite"),
        (MemoryError(), 1, "out of memory"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_wrong_is_a_line_and_a_status(capsys, error, status, said):
    def work():
        raise error

    assert cli.exit_status(work) == status
    message = capsys.readouterr().err
    assert message.startswith(f"nst_keras: {said}") and message.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "told"), [("out of it\nand more", "out of it"), ("", "UnknownError")]
)
def test_what_tensorflow_cannot_do_is_told_in_a_line(capsys, said, told):
    def work():
        raise tf.errors.UnknownError(None, None, said)

    assert cli.exit_status(work) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"nst_keras: the device failed: {told}; run again, ")
    assert message.count("\n") == 1


def test_what_is_a_fault_of_ours_keeps_its_traceback():
    def mismatch():
        raise tf.errors.InvalidArgumentError(None, None, "shapes")

    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes"):
        cli.exit_status(mismatch)
    with pytest.raises(ZeroDivisionError):
        cli.exit_status(lambda: 1 // 0)


class Deaf(io.StringIO):
    """Standard error whose reader is gone, or whose disk is full."""

    def __init__(self, number):
        super().__init__()
        self.number, self.tried = number, 0

    def write(self, text):
        self.tried += 1
        raise OSError(self.number, "nobody hears it")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_work_does_not_end_where_nobody_hears_of_it(monkeypatch, number):
    deaf = Deaf(number)
    monkeypatch.setattr("sys.stderr", deaf)
    with console.messages(quiet=False) as notes:
        console._log.warning("so it is")
    assert notes == ["so it is"] and deaf.tried
    deaf.close()
    console.tell("a line to a closed file")


def test_a_line_goes_to_its_stream(capsys):
    stream = io.StringIO()
    console.tell("there", stream)
    console.tell("here")
    assert stream.getvalue() == "there\n" and capsys.readouterr().err == "here\n"
