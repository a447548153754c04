"""The device that a command computes on, chosen before TensorFlow looks for devices."""

import contextlib
import os
import re
from collections.abc import Iterator

from nst_keras.devices import memory
from nst_keras.runtime.errors import InputError

AUTO, CPU, GPU = "auto", "cpu", "gpu"
# Which GPUs a process sees, and how they are numbered: as nvidia-smi numbers them.
_VISIBLE, _ORDER = "CUDA_VISIBLE_DEVICES", ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
_NUMBERED = re.compile(rf"{GPU}:(\d+)")


def is_numbered(device: str) -> bool:
    """Whether the text of a device names one GPU by its number."""
    return bool(_NUMBERED.fullmatch(device))


@contextlib.contextmanager
def chosen(device: str) -> Iterator[None]:
    """Have TensorFlow, if it is imported in the block, see the chosen device only.

    Args:
        device: 'auto', 'cpu', 'gpu', or 'gpu:N' by the number that nvidia-smi gives it.

    Raises:
        InputError: as `variables`.
    """
    values = variables(device)
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def variables(device: str) -> dict[str, str]:
    """The environment variables with which TensorFlow sees the device only.

    Raises:
        InputError: this machine has no such GPU.
    """
    found = dict([_ORDER]) if _ORDER[0] not in os.environ else {}
    if device == CPU:
        found[_VISIBLE] = "-1"
    elif device != AUTO:
        gpus = memory.visible_gpus()
        if not gpus:
            raise InputError(f"--device={device}: nvidia-smi shows no GPU here", "device")
        if numbered := _NUMBERED.fullmatch(device):
            number = int(numbered[1])
            if number >= len(gpus):
                most = f"{GPU}:0 to {GPU}:{len(gpus) - 1}" if len(gpus) > 1 else f"only {GPU}:0"
                raise InputError(f"--device={device}: must be one of those here, {most}", "device")
            found[_VISIBLE] = gpus[number]
    return found


def confirm(device: str) -> None:
    """Raise InputError if TensorFlow, which is imported by now, computes on another device."""
    if device == CPU and memory.on_gpu():
        raise InputError(
            "--device=cpu: TensorFlow has a GPU in this process already; choose the device before "
            "anything is computed",
            "device",
        )
    if device.startswith(GPU) and not memory.on_gpu():
        reason = memory.unused_gpu() or "TensorFlow sees no GPU"
        raise InputError(f"--device={device}: {reason}", "device")
