"""Neural style transfer on TensorFlow and Keras: `stylize(content, styles, Config(size=512))`."""

from typing import TYPE_CHECKING

from nst_keras.settings.config import Config

if TYPE_CHECKING:
    from nst_keras.transfer.stylize import stylize

__version__ = "0.1.0"
__all__ = ["Config", "stylize"]


def __getattr__(name: str):
    # TensorFlow takes seconds to import, and refusing bad input does not need it.
    if name == "stylize":
        from nst_keras.devices import startup

        startup.import_tensorflow()
        from nst_keras.transfer.stylize import stylize

        return stylize
    raise AttributeError(f"module 'nst_keras' has no attribute {name!r}")
