"""A term of the loss that the user writes. Imports no TensorFlow."""

import dataclasses
import dis
import functools
import hashlib
import re
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from nst_keras.objective.term_names import RESERVED
from nst_keras.runtime.errors import InputError

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...))
_CODE = types.CodeType, types.FunctionType, types.BuiltinFunctionType, functools.partial
_CALLED = types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type
_LARGEST_WEIGHT = 1e20


@dataclasses.dataclass(frozen=True, eq=False)
class LossTerm:
    """A further term of the loss: a function of the pixels, or of features of the network.

    `LossTerm("red", 5.0, lambda pixels: tf.reduce_mean(pixels[..., 0]))`

    Attributes:
        name: of the term among the losses.
        weight: its factor in the total, of at least 0.
        function: takes the pixels (1, H, W, 3), RGB in [0, 1], or with `layers` the features
            (1, h, w, channels) of each layer, all float32 tensors, and returns a scalar. It is made
            of operations of TensorFlow or `keras.ops`, which are compiled, and its gradient is
            found by automatic differentiation. It is traced anew for each size of the picture.
        layers: names of layers, such as "block4_conv2"; none: the pixels.
        additive: whether the value is a sum over positions, so that those of the parts of a picture
            add up to that of the whole. Only such terms can be computed in tiles and on several
            devices. The loss is then the value divided by the number of pixels. A function of
            pixels may compare each row with the next one, but not reach further.
        version: tells this function from others where a run is resumed. By default that is its
            code, with the values of its own that it uses; what it calls is not compared.

    Raises:
        InputError: one of these cannot be used.
    """

    name: str
    weight: float
    function: Callable[..., Any] = dataclasses.field(repr=False)
    layers: tuple[str, ...] = ()
    additive: bool = False
    version: str = ""

    def __post_init__(self) -> None:
        layers = (self.layers,) if isinstance(self.layers, str) else tuple(self.layers)
        object.__setattr__(self, "layers", layers)  # the dataclass is frozen
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z]\w*", self.name):
            raise InputError(f"name={self.name!r}: must be of letters, digits and underscores")
        if self.name in RESERVED:
            raise InputError(f"name={self.name!r}: is the name of another term")
        if not callable(self.function):
            raise InputError(f"function: of term {self.name} cannot be called")
        if isinstance(self.weight, bool) or not isinstance(self.weight, (int, float, np.number)):
            raise InputError(f"weight={self.weight!r}: must be a number")
        if not 0 <= self.weight <= _LARGEST_WEIGHT:  # NaN is refused, too
            raise InputError(f"weight={self.weight}: must be a number of at least 0")

    def identity(self) -> str:
        """SHA-256, in hexadecimal, of all that decides the term's losses.

        Raises:
            InputError: the function uses values that cannot be compared with those of another
                process, and there is no `version`.
        """
        parts = [self.name, repr(float(self.weight)), *self.layers, str(self.additive)]
        try:
            parts += [f"version {self.version}"] if self.version else _described(self.function)
        except (TypeError, ValueError) as error:  # the latter: a variable without a value yet
            raise InputError(
                f"terms: {self.name} uses {error}, of which a later process cannot tell whether it "
                "is the same; give the term a version, such as version='1', so that runs can be "
                "resumed"
            ) from error
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def check_terms(terms: LossTerm | Iterable[LossTerm] | None) -> tuple[LossTerm, ...]:
    """None, one or several terms as a tuple; InputError for what is none, or a name twice."""
    given = [terms] if isinstance(terms, LossTerm) else list(terms or ())
    for one in given:
        if not isinstance(one, LossTerm):
            raise InputError(f"terms: {type(one).__name__} is no nst_keras.LossTerm")
    names = [one.name for one in given]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"terms: {twice[0]} is the name of two terms")
    return tuple(given)


def check_additive(terms: Iterable[LossTerm]) -> None:
    """Raise InputError for a term that cannot be computed in tiles."""
    for term in terms:
        if not term.additive:
            raise InputError(
                f"terms: {term.name} is not additive, so the picture cannot be cut into tiles; use "
                "--tile_size=none on one device, a smaller --size, or a sum over positions with "
                "additive=True"
            )


def _described(value: Any, around: tuple[int, ...] = ()) -> Iterator[str]:
    """Texts that are the same for the same value in another process; TypeError names the type of
    one of which there are none. `around` are the functions that the value is part of."""
    if isinstance(value, _PLAIN):
        yield repr(value)
    elif isinstance(value, (tuple, list)):
        yield type(value).__name__
        for item in value:
            yield from _described(item, around)
    elif isinstance(value, frozenset):
        yield from sorted(text for item in value for text in _described(item, around))
    elif isinstance(value, _CODE):
        yield from _described_code(value, around)
    elif hasattr(value, "__array__") and np.asarray(value).dtype != object:  # also a tensor
        array = np.ascontiguousarray(value)
        digest = hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
        yield f"{array.dtype} {array.shape} {digest}"
    else:
        raise TypeError(f"a {type(value).__name__}")


def _described_code(value: Any, around: tuple[int, ...]) -> Iterator[str]:
    """The same for functions and their code."""
    if isinstance(value, types.CodeType):
        yield value.co_code.hex()
        yield from _described((value.co_names, value.co_consts), around)
    elif isinstance(value, types.FunctionType):
        if id(value) not in around:  # it may call itself
            yield from _described(_parts_of(value), (*around, id(value)))
    elif isinstance(value, functools.partial):
        yield from _described((value.func, value.args, tuple(value.keywords.items())), around)
    else:
        yield f"{value.__module__}.{value.__qualname__}"


def _parts_of(function: types.FunctionType) -> tuple[Any, ...]:
    """The code of a function, and the values that it uses; not what it calls or imports."""
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    defaults = function.__defaults__, tuple((function.__kwdefaults__ or {}).items())
    names = sorted(_globals_in(function.__code__) & function.__globals__.keys())
    values = [(name, function.__globals__[name]) for name in names]
    own = tuple(it for it in values if not isinstance(it[1], _CALLED))
    return (function.__code__, *defaults, cells, own)


def _globals_in(code: types.CodeType) -> set[str]:
    """The names of globals that code and the functions defined in it look up."""
    found = {it.argval for it in dis.get_instructions(code) if it.opname == "LOAD_GLOBAL"}
    inner = (it for it in code.co_consts if isinstance(it, types.CodeType))
    return found.union(*map(_globals_in, inner))
