"""A run as asked for by flags: its settings, what it reads, and its folder.

Imports no TensorFlow, so that bad input is refused at once.
"""

import dataclasses

from nst_keras.imaging import animation
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.errors import InputError
from nst_keras.settings import flags
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import Settings, resolve
from nst_keras.transfer.inputs import Inputs, read_inputs
from nst_keras.transfer.plan import Begun


@dataclasses.dataclass(frozen=True)
class RequestedRun:
    """A run as asked for: its settings, what it reads, and where it goes.

    Attributes:
        arguments: of its command line.
        given: the config before it was resolved.
        fingerprint: what decides the result, by name.
        prolongs: it is the folder's run with more steps.
    """

    arguments: list[str]
    given: Config
    settings: Settings
    inputs: Inputs
    folder: RunFolder
    fingerprint: Fingerprint
    prolongs: bool

    def begun(self) -> Begun | None:
        """The decisions of the folder's run; None if it was stopped before it made them."""
        if not self.folder.flags.exists():
            return None
        saved, _ = flags.parse_config([f"--flagfile={self.folder.flags}"])
        iterations = None if self.prolongs else saved.iterations
        return Begun(saved.precision, iterations, saved.coarse_iterations, saved.tile_size)


def read_run(arguments: list[str], given: Config) -> RequestedRun:
    """Resolve the settings of a run and read all that it reads.

    Args:
        given: from the arguments.

    Raises:
        InputError: a setting or a file is missing or cannot be used.
    """
    given = _with_flags_of_folder(arguments, given)
    settings = resolve(given)
    if settings.mp4:
        animation.find_ffmpeg()
    inputs = read_inputs(settings)
    fingerprint = folder_lib.fingerprint(settings, inputs.hashes)
    folder = RunFolder(settings.workdir or folder_lib.default_path(settings, fingerprint))
    prolongs = folder.prolongs(fingerprint) and not settings.overwrite
    return RequestedRun(arguments, given, settings, inputs, folder, fingerprint, prolongs)


def _with_flags_of_folder(arguments: list[str], config: Config) -> Config:
    """For `--workdir=runs/x` alone: the settings of the run there, overridden by those given."""
    if config.content or config.style or not config.workdir:
        return config
    saved = RunFolder(config.workdir).flags
    if not saved.exists():
        raise InputError(
            f"--workdir={config.workdir}: holds no run to resume; give --content and --style"
        )
    config, _ = flags.parse_config([f"--flagfile={saved}", *arguments])
    return config
