"""Steps of several pictures at once: what fills a GPU that one small picture leaves idle.

Each keeps its own objective, optimizer and state; only the way through the network is taken
together, and one graph is compiled for all.
"""

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from nst_keras.objective.backprop import ForwardPass, Sums
from nst_keras.objective.objective import Objective, Terms, tainted, total
from nst_keras.runtime.errors import InputError
from nst_keras.transfer.scale_run import ScaleRun, compiled_step, repeated


class BatchMember(ScaleRun):
    """The scale of one picture of a batch: its steps are taken by the batch."""

    batch: "Batch"

    def value(self) -> dict[str, float]:
        """The terms of the picture; those of all pictures are computed at once."""
        return self.batch.values()[self.batch.members.index(self)]

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, beside the settings."""
        return {**super().state(), "batch": np.array(self.batch.name)}


class Batch:
    """Steps of several pictures, in one graph.

    Args:
        members: at the same scale, whole and not in tiles, with objectives of the same terms and
            optimizers that evaluate the image which they hold.
        name: of the batch, kept in states.
        xla: see `--xla`.
    """

    def __init__(self, members: Sequence[BatchMember], name: str = "", *, xla: bool = False):
        self.members, self.name = tuple(members), name
        for member in self.members:
            member.batch = self
        self._objectives = [_whole(member) for member in self.members]
        self._names = self._objectives[0].term_names
        self._step = compiled_step(self._one_step, xla=xla)
        self._run = tf.function(self._steps, autograph=False)
        self._look = tf.function(self._values, autograph=False)
        self._valued: list[dict[str, float]] | None = None

    def run(self, steps: int) -> list[dict[str, float]]:
        """Take some steps; returns for each picture what `Stage.run` does."""
        self._valued = None
        return self._named(self._run(tf.constant(steps)))

    def values(self) -> list[dict[str, float]]:
        """The terms of each picture."""
        if self._valued is None:
            pictures = np.stack([member.picture() for member in self.members])
            self._valued = self._named(self._look(tf.constant(pictures)))
        return self._valued

    def _named(self, rows: tf.Tensor) -> list[dict[str, float]]:
        return [dict(zip(self._names, map(float, row), strict=True)) for row in rows.numpy()]

    def _steps(self, count: tf.Tensor) -> tf.Tensor:
        return repeated(self._step, count, (len(self.members), len(self._names)))

    def _one_step(self) -> tf.Tensor:
        iterates = tf.concat([member.variable.read_value() for member in self.members], axis=0)
        found = values_and_grads(self._objectives, iterates)
        return self._rows(
            member.advance(functools.partial(_known, one))
            for member, one in zip(self.members, found, strict=True)
        )

    def _values(self, pictures: tf.Tensor) -> tf.Tensor:
        return self._rows(values(self._objectives, pictures))

    def _rows(self, terms_of_all: Iterable[Terms]) -> tf.Tensor:
        return tf.stack([tf.stack([terms[n] for n in self._names]) for terms in terms_of_all])


def _known(found: tuple[Terms, tf.Tensor], image: tf.Tensor) -> tuple[Terms, tf.Tensor]:
    """What an optimizer asks for, when it is there already: it asks for the image that it holds."""
    return found


def _whole(member: BatchMember) -> Objective:
    if not isinstance(member.objective, Objective):
        raise InputError("--batch: is for pictures that fit the memory whole, without tiles")
    return member.objective


def values(objectives: Sequence[Objective], pictures: tf.Tensor) -> list[Terms]:
    """`Objective.value` of each of (N, H, W, 3), through the network of the first one."""
    variation = _variation_sums(objectives, pictures)
    sums = {"tv": variation, **_passage(objectives, pictures).sums}
    height, width = pictures.shape[1:3]
    return [one.terms(own, height, width) for one, own in _each(objectives, sums)]


def values_and_grads(
    objectives: Sequence[Objective], pictures: tf.Tensor
) -> list[tuple[Terms, tf.Tensor]]:
    """`Objective.value_and_grad` of each of (N, H, W, 3), through the network of the first one."""
    passage = _passage(objectives, pictures)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(pictures)
        variation = _variation_sums(objectives, pictures)
    height, width = pictures.shape[1:3]
    sums = {"tv": variation, **passage.sums}
    found = [one.cotangents(own, height, width, total) for one, own in _each(objectives, sums)]
    cotangents = _stacked([cotangents for _, cotangents in found])
    gradient = tape.gradient(variation, pictures, output_gradients=cotangents["tv"])
    pulled = passage.pull_back(cotangents, objectives[0].largest_cotangent)
    if pulled is not None:
        gradient += pulled
    gradients = tf.split(gradient, len(objectives))
    return [(tainted(terms, own), own) for (terms, _), own in zip(found, gradients, strict=True)]


def _passage(objectives: Sequence[Objective], pictures: tf.Tensor) -> ForwardPass:
    """Of all pictures; statistics have a first axis for these."""

    def sums_of(layer: str, features: tf.Tensor) -> Sums:
        parts = tf.split(features, len(objectives))
        return _stacked(
            [one.sums_of_layer(layer, part) for one, part in zip(objectives, parts, strict=True)]
        )

    return ForwardPass(objectives[0].sections, pictures, sums_of)


def _variation_sums(objectives: Sequence[Objective], pictures: tf.Tensor) -> tf.Tensor:
    parts = tf.split(pictures, len(objectives))
    pairs = zip(objectives, parts, strict=True)
    return tf.stack([one.formulas.variation.sums(part) for one, part in pairs])


def _stacked(sums_of_all: Sequence[Sums]) -> Sums:
    return {name: tf.stack([sums[name] for sums in sums_of_all]) for name in sums_of_all[0]}


def _each(objectives: Sequence[Objective], sums: Sums) -> list[tuple[Objective, Sums]]:
    """Each objective with the sums of its own picture."""
    return [
        (one, {name: stacked[index] for name, stacked in sums.items()})
        for index, one in enumerate(objectives)
    ]
