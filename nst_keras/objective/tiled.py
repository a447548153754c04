"""An image evaluated tile by tile: the same statistics and gradient, in less memory.

A first pass adds up the statistics of all tiles. After the losses have been differentiated by these
sums, a second pass pulls the result back through each tile and adds the gradients where tiles
overlap. (The two passes are those of Galerne et al., "Scaling Painting Style Transfer", 2024;
adding up the overlaps needs a halo only half as wide as theirs.) Tiles run from Python, one after
the other on each device, so an image of any size takes the memory of itself, its gradient, the
content's features and, for each device, one tile's features.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.devices.variables import any_size
from nst_keras.devices.xla_programs import Program
from nst_keras.network.architecture import Architecture
from nst_keras.objective import evaluation
from nst_keras.objective.evaluation import Evaluation, Features, Network, Sums, vjp
from nst_keras.objective.loss_term import LossTerm, check_additive
from nst_keras.objective.targets import owned
from nst_keras.objective.term_names import LAPLACIAN
from nst_keras.objective.terms import Term, evaluate_layer, join_layers
from nst_keras.objective.tiles import LAPLACIAN_STRIDE, Tile, assign
from nst_keras.optimizers.strips import aligned_array, shared_tensor, strips
from nst_keras.runtime.errors import InputError

Report = Callable[[int, int], None]  # tiles done, tiles in total


class TiledEvaluator(evaluation.Evaluator):
    """Evaluates images of one size in tiles, outside of graphs.

    Args:
        networks: one for each device of this host.
        strides: of the network's layers.
        terms: the terms of the objective; their weights do not matter here.
        known: for each tile what is known at its positions, such as the content's features by
            layer; may hold variables.
        tiles: the tiles; the parts that they own make up the whole image.
        replicas: the devices that share the tiles.
        report: called after each tile with the number of tiles that this host has done, and the
            number that an evaluation with its gradient takes.
        xla: whether to compile the work on a tile with XLA, once for each shape and owned part.

    Raises:
        InputError: there are fewer tiles than replicas.
    """

    in_graph = False  # tiles run from Python

    def __init__(
        self,
        networks: Sequence[Network],
        strides: Mapping[str, int],
        terms: Sequence[Term],
        known: Sequence[Mapping[str, tf.Tensor | tf.Variable]],
        tiles: Sequence[Tile],
        replicas: Replicas = ALONE,
        report: Report = lambda done, in_all: None,
        xla: bool = False,
    ):
        self._terms, self._known, self._tiles = tuple(terms), known, tuple(tiles)
        self._replicas, self._report, self._xla = replicas, report, xla
        self._height, self._width = tiles[-1].rows.stop, tiles[-1].columns.stop
        if len(tiles) < replicas.count:
            raise InputError(
                f"--distribute: a picture of {self._width}x{self._height} px makes "
                f"{len(tiles)} tiles, too few for {replicas.count} devices; use fewer"
            )
        own = map(replicas.own, range(replicas.count))
        numbers_of = dict(zip(own, assign(tiles, replicas.count), strict=True))
        devices = range(len(replicas.devices))
        # In each round, each device takes the next tile of its share.
        self._rounds = list(itertools.zip_longest(*(numbers_of[device] for device in devices)))
        self._count = sum(len(numbers_of[device]) for device in devices)
        all_strides = {**strides, LAPLACIAN: LAPLACIAN_STRIDE}
        works = [
            functools.partial(_evaluate_tile, self._terms, network, all_strides)
            for network in networks
        ]
        compiled = Program if xla else _compiled_for_any_size
        self._passes = [_passes(work, compiled) for work in works]
        # Statistics of pixels need no network: they are computed in strips of rows, not in tiles.
        strip = functools.partial(evaluate_layer, self._terms, {}, "")
        self._strip_sums, self._strip_gradient = _passes(strip, _compiled_for_any_size)

    def __call__(self, image: tf.Tensor) -> Evaluation:
        return Evaluation(self._sums(image), functools.partial(self._gradient, image))

    def _sums(self, image: tf.Tensor) -> Sums:
        """Statistics over the tiles of all hosts."""
        sums: Sums = {}
        found_all = self._over_tiles([sums_of for sums_of, _ in self._passes], image)
        for done, (_, found) in enumerate(found_all, start=1):
            sums = {name: sums[name] + tile for name, tile in found.items()} if sums else found
            self._report(done, 2 * self._count)
        return {**self._pixel_sums(image), **self._replicas.total(sums)}

    def _gradient(self, image: tf.Tensor, cotangents: Sums) -> tf.Tensor:
        # Not a variable: TensorFlow copies one that was updated in part at every read.
        gradient = aligned_array(image.shape, image.dtype.as_numpy_dtype)
        self._start_with_pixels(gradient, image, cotangents)
        functions = [gradient_of for _, gradient_of in self._passes]
        pulled_back = self._over_tiles(functions, image, cotangents)
        for done, (tile, pulled) in enumerate(pulled_back, start=1):
            gradient[tile.region] += np.asarray(pulled)
            self._report(self._count + done, 2 * self._count)
        return self._replicas.total(shared_tensor(gradient))

    def _over_tiles(
        self, functions: Sequence[Callable], image: tf.Tensor, *more: Sums
    ) -> Iterator[tuple[Tile, Any]]:
        """This host's tiles with the results of the devices' functions, in a fixed order."""
        workers = list(zip(self._replicas.devices, functions, strict=True))
        with ThreadPoolExecutor(len(workers)) as threads:
            for numbers in self._rounds:
                submitted = [
                    (self._tiles[number], threads.submit(self._run, *worker, number, image, *more))
                    for worker, number in zip(workers, numbers, strict=True)
                    if number is not None
                ]
                yield from ((tile, result.result()) for tile, result in submitted)

    def _run(
        self, device: str, function: Callable, number: int, image: tf.Tensor, *more: Sums
    ) -> Any:
        tile = self._tiles[number]
        known = {name: tf.convert_to_tensor(own) for name, own in self._known[number].items()}
        # XLA needs static shapes: a window of Python integers gives them.
        window = tile.window if self._xla else tf.constant(tile.window)
        region = _part(image, tile.region)
        # Otherwise it would run on the first device, wherever its weights are.
        with tf.device(device or None):
            return function(region, known, window, *more)

    def _pixel_sums(self, image: tf.Tensor) -> Sums:
        """Statistics of the pixels: those of overlapping strips, less those of the shared rows."""
        found = []
        for start, stop in strips(self._height, self._width):
            found.append(_of_strip(self._strip_sums, image, start, stop + 1))
            if stop < self._height:
                shared_row = _of_strip(self._strip_sums, image, stop, stop + 1)
                found.append({name: -sums for name, sums in shared_row.items()})
        return {
            name: tf.reduce_sum(tf.stack([own[name] for own in found]), axis=0) for name in found[0]
        }

    def _start_with_pixels(self, gradient: np.ndarray, image: tf.Tensor, cotangents: Sums) -> None:
        """Fill in the gradient of the pixels' statistics.

        Strips are computed with one more row on each side, so the result is exact.
        """
        for start, stop in strips(self._height, self._width):
            above = min(start, 1)
            rows = start - above, stop + 1
            pulled = _of_strip(self._strip_gradient, image, *rows, cotangents)
            own = np.asarray(pulled)[:, above : above + stop - start]
            # On one host only, since the hosts' gradients are added up.
            gradient[:, start:stop] = own if self._replicas.is_chief else 0.0


def check_can_be_cut(architecture: Architecture, terms: Iterable[LossTerm]) -> None:
    """Raise InputError if a picture cannot be computed in tiles."""
    if not architecture.is_local:
        raise InputError(
            f"{architecture.name}: the picture cannot be cut into tiles, since the receptive field "
            "of its features is not known; use --tile_size=none on one device, or a smaller --size"
        )
    check_additive(terms)


def _part(image: tf.Tensor, region: tuple[slice, ...]) -> tf.Tensor:
    """A part of an image, cut out where the image is, so that no more is copied to a device."""
    with tf.device(image.device):
        return image[region]


def _of_strip(function: Callable, image: tf.Tensor, start: int, stop: int, *more: Sums) -> Any:
    """A function of some rows of an image, on the default device, wherever the image is."""
    strip = _part(image, np.s_[:, start:stop])
    with tf.device(None):
        return function(strip, *more)


def _evaluate_tile(
    terms: Sequence[Term],
    network: Network,
    strides: Mapping[str, int],
    tile: tf.Tensor,
    known: Features,
    window: Sequence[int],
) -> Evaluation:
    """The statistics of what a tile (1, h, w, 3) owns, and the way back to all of it."""

    def evaluate_owned(layer: str, features: tf.Tensor) -> Evaluation:
        own, to_all = vjp(lambda features: owned(features, strides[layer], window), features)
        sums, to_own = evaluate_layer(terms, known, layer, own)
        return Evaluation(sums, lambda cotangents: to_all(to_own(cotangents)))

    of_layers = evaluation.evaluate_features(network, tile, evaluate_owned)
    return join_layers(terms, known, of_layers)


def _passes(
    evaluated: Callable[..., Evaluation], compiled: Callable[[Callable], Callable]
) -> tuple[Callable, Callable]:
    """The statistics of an evaluation, and its gradient, which takes cotangents as well."""

    def gradient(*given: Any) -> tf.Tensor:
        *work, cotangents = given
        return evaluated(*work).pull_back(cotangents)

    return compiled(lambda *work: evaluated(*work).sums), compiled(gradient)


def _compiled_for_any_size(function: Callable) -> Callable:
    """Compile a function of tensors, once for each precision of the first one.

    Pictures and features, which have four axes, may have any height and width.
    """
    graphs: dict[tf.DType, Callable] = {}

    def call(*tensors: Any) -> Any:
        dtype = tensors[0].dtype
        if dtype not in graphs:
            signature = tf.nest.map_structure(_signature, tensors)
            compiled = tf.function(function, input_signature=signature, autograph=False)
            # Otherwise TensorFlow would warn after some scales that one function is traced often.
            graphs[dtype] = compiled.get_concrete_function()
        return graphs[dtype](*tensors)

    return call


def _signature(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(any_size(tensor), tensor.dtype)
