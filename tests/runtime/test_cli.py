"""Errors become exit statuses and lines on standard error."""

import errno
import subprocess
import sys

import pytest
import tensorflow as tf

from nst_keras.runtime import cli
from nst_keras.runtime.errors import DeviceError, InputError, LostHostError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("--size=0: too small"), 2, "--size=0: too small"),
        (OSError(errno.ENOSPC, "No space left", "a.png"), 74, "a.png: No space left"),
        (OSError("odd"), 74, "the disk: odd"),
        (
            LostHostError("another host is gone"),
            75,
            "another host is gone; run the same",
        ),
        (KeyboardInterrupt(), 75, "interrupted; run the same command again to resume"),
        (DeviceError("the device failed"), 1, "the device failed; run the same command again"),
        (FloatingPointError("not finite"), 1, "not finite"),
        (MemoryError(), 1, "out of memory"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_becomes_a_line_and_a_status(capsys, error, status, said):
    def work():
        raise error

    assert cli.exit_status(work) == status
    message = capsys.readouterr().err
    assert message.startswith(f"nst_keras: {said}") and message.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "told"), [("out of memory\nand more", "out of memory"), ("", "UnknownError")]
)
def test_an_error_in_tensorflow_becomes_one_line(capsys, said, told):
    def work():
        raise tf.errors.UnknownError(None, None, said)

    assert cli.exit_status(work) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"nst_keras: the device failed: {told}; run the same command again ")
    assert message.count("\n") == 1


def test_errors_in_the_program_keep_their_traceback():
    def mismatch():
        raise tf.errors.InvalidArgumentError(None, None, "shapes")

    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes"):
        cli.exit_status(mismatch)
    with pytest.raises(ZeroDivisionError):
        cli.exit_status(lambda: 1 // 0)


def test_output_that_nobody_reads_is_no_error():
    program = (
        "from nst_keras.runtime import cli\n"
        "def work():\n"
        "    for _ in range(100_000):\n"
        "        print('a line of text')\n"
        "    return 1\n"
        "raise SystemExit(cli.exit_status(work))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()  # as `head -n 1` does
    assert process.wait() == 0 and process.stderr.read() == b""
    process.stderr.close()
