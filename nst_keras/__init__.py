"""Neural style transfer on TensorFlow and Keras.

`run(photo, painting, size=384)` paints a picture and returns it; `stylize` yields it step by step;
`Config` holds all settings. See `docs/python.md`.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

from nst_keras.objective.loss_term import LossTerm
from nst_keras.runs.in_python import run
from nst_keras.runs.result import Result
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.transfer.callbacks import Callback
from nst_keras.transfer.iterate import Iterate

if TYPE_CHECKING:
    from nst_keras.transfer.stylize import stylize

__all__ = ["Callback", "Config", "InputError", "Iterate", "LossTerm", "Result", "run", "stylize"]


def __getattr__(name: str):
    # TensorFlow takes seconds to import, and refusing bad input does not need it.
    if name == "stylize":
        from nst_keras.devices import startup

        startup.import_tensorflow()
        from nst_keras.transfer.stylize import stylize

        return stylize
    raise AttributeError(f"module 'nst_keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
