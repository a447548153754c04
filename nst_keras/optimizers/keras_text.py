"""Optimizers of Keras as texts, by which settings, run folders and checkpoints hold them.

The text is `keras:` with what `keras.optimizers.serialize` returns, as JSON. Imports no TensorFlow:
who has an optimizer has imported Keras before.
"""

import json
from typing import Any

from nst_keras.runtime.errors import InputError, first_line

PREFIX = "keras:"


def text_of(value: Any) -> Any:
    """The text of an optimizer of Keras; anything else as it is.

    Raises:
        InputError: Keras cannot make the optimizer anew from what it writes of it.
    """
    is_class = isinstance(value, type)
    if not _is_keras(value if is_class else type(value)):
        return value
    name = value.__name__ if is_class else type(value).__name__
    if is_class:
        raise InputError(f"optimizer: is the class {name}; give {name}()", "optimizer")
    import keras

    if getattr(value, "gradient_accumulation_steps", None):
        raise InputError(
            f"optimizer: {name} has gradient_accumulation_steps; leave them out, since each step "
            "has its whole gradient at once",
            "optimizer",
        )
    try:
        found = keras.optimizers.serialize(value)
        found["config"]["name"] = name.lower()  # Keras numbers the optimizers of a process
        found.pop("build_config", None)
        text = json.dumps(found, sort_keys=True)
        found["config"]["learning_rate"]  # which runs set; wrappers of others have none
        check_classes(found)
        keras.optimizers.deserialize(json.loads(text))
    except Exception as error:  # of many types, by what the class does
        raise InputError(
            f"optimizer: Keras cannot save {name} and make it anew ({first_line(error)}), which "
            "resuming needs; register the class with keras.saving.register_keras_serializable()",
            "optimizer",
        ) from error
    return PREFIX + text


def _is_keras(kind: type) -> bool:
    named = ((base.__module__, base.__name__) for base in kind.__mro__)
    return any(module.startswith("keras.") and "Optimizer" in name for module, name in named)


def is_text(optimizer: str) -> bool:
    """Whether an optimizer is one of these texts, and not a name."""
    return optimizer.startswith(PREFIX)


def brief(optimizer: str) -> str:
    """An optimizer in a message: its name, or the class in its text."""
    if not is_text(optimizer):
        return optimizer
    return f"{PREFIX}{config_of(optimizer).get('class_name')}"


def config_of(optimizer: str) -> dict[str, Any]:
    """What `keras.optimizers.deserialize` takes; InputError if the text is damaged."""
    try:
        found = json.loads(optimizer.removeprefix(PREFIX))
        config = dict(found["config"])
        config["learning_rate"]  # a KeyError without it
        return {**found, "config": config}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--optimizer={optimizer[:40]}...: is not what Keras writes of an optimizer",
            "optimizer",
        ) from error


def check_classes(found: Any) -> None:
    """Refuse classes that are neither Keras' nor registered, since Keras would import any module
    that the text of somebody else names."""
    import keras

    if isinstance(found, (list, tuple)):
        for value in found:
            check_classes(value)
    if not isinstance(found, dict):
        return
    for value in found.values():
        check_classes(value)
    module, name = found.get("module"), found.get("class_name")
    if not module or str(module).partition(".")[0] == "keras":
        return
    if keras.saving.get_registered_object(found.get("registered_name")) is None:
        raise InputError(
            f"--optimizer: the class {name} of {module} is not registered", "optimizer"
        )
