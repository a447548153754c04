"""Neural style transfer on TensorFlow and Keras.

`run(photo, painting, size=384)` paints a picture and returns it; `stylize` yields it step by step;
`Config` holds all settings. See `docs/python.md`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nst_keras.objective.loss_term import LossTerm
    from nst_keras.runs.in_python import run
    from nst_keras.runs.result import Result
    from nst_keras.runtime.errors import InputError
    from nst_keras.settings.config import Config
    from nst_keras.transfer.callbacks import Callback
    from nst_keras.transfer.iterate import Iterate
    from nst_keras.transfer.stylize import stylize

__version__ = "0.1.0"
__all__ = ["Callback", "Config", "InputError", "Iterate", "LossTerm", "Result", "run", "stylize"]

_MODULES = {
    "Callback": "transfer.callbacks",
    "Config": "settings.config",
    "InputError": "runtime.errors",
    "Iterate": "transfer.iterate",
    "LossTerm": "objective.loss_term",
    "Result": "runs.result",
    "run": "runs.in_python",
    "stylize": "transfer.stylize",
}


def __getattr__(name: str) -> Any:
    # Imported when they are used, so that commands start at once.
    if name not in _MODULES:
        raise AttributeError(f"module 'nst_keras' has no attribute {name!r}")
    if name == "stylize":  # its module imports TensorFlow
        from nst_keras.devices import startup

        startup.import_tensorflow()
    found = getattr(importlib.import_module(f"nst_keras.{_MODULES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
