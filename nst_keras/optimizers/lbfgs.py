"""L-BFGS on the device: its history in ring buffers, its recursion inside the graph.

Nocedal and Wright, "Numerical Optimization" (2006), algorithms 7.4 and 7.5. It has two forms: the
one with which style transfer was published, of full steps without a line search, and a safe one
that halves a step if it raises the loss. Both take one evaluation per step, which may be of low
precision: nothing ends early because a line search fails.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from nst_keras.optimizers.optimizer import Optimizer, ValueAndGrad, after

# A pair (s, y) is remembered if the curvature along it is clearly positive: cos(s, y) above this.
# Pairs of style transfer have 0.07 and more; those far below come from rounding and would make the
# next step point anywhere.
_LEAST_CURVATURE = 1e-2
_FIRST_STEP = 0.01  # mean change of pixels in [0, 1] by the first step of a history
_MOST_HALVINGS = 6  # then the history is dropped; a first step is halved until it is accepted


class Lbfgs(Optimizer):
    """L-BFGS on one image variable.

    The image is always a point that was evaluated: a step evaluates the next point, and moves there
    or stays. So the first step only evaluates, and a step returns the losses after it.

    Args:
        rate: the length of a step as a function of the 0-based step, 1 being Newton's.
        history: how many pairs of steps and gradient changes are remembered.
        line_search: 'backtrack' if a step that raises the total is halved until it does not, or
            'none'.
        bounded: whether pixels stay in [0, 1]. Pixels at a bound that are pushed outward are left
            out of the direction (Bertsekas 1982, equation 32).
        loss_names: the keys of the objective's losses.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        rate: Callable[[tf.Tensor], tf.Tensor],
        history: int,
        line_search: str,
        bounded: bool,
        loss_names: tuple[str, ...] = ("total",),
    ):
        self.rate, self.history = rate, history
        self.backtrack, self.bounded = line_search == "backtrack", bounded
        count = tf.TensorShape(shape).num_elements()
        self.gradient = _variable(tf.zeros([count]))
        self.direction = _variable(tf.zeros([count]))
        self.moves = _variable(tf.zeros([history, count]))  # s, a ring
        self.changes = _variable(tf.zeros([history, count]))  # y, of the gradient
        self.products = _variable(tf.zeros([history]))  # s . y
        self.pairs = _variable(tf.constant(0, tf.int64))  # remembered since the last reset
        self.losses = {name: _variable(tf.constant(0.0)) for name in loss_names}  # at the image
        self.halvings = _variable(tf.constant(0, tf.int64))
        self.steps = _variable(tf.constant(0, tf.int64))

    def step(self, image: tf.Variable, value_and_grad: ValueAndGrad) -> dict[str, tf.Tensor]:
        here = tf.reshape(image.read_value(), [-1])
        rate = self.rate(self.steps.read_value()) * 0.5 ** tf.cast(self.halvings, tf.float32)
        tried = here + rate * self.direction.read_value()
        if self.bounded:
            tried = tf.clip_by_value(tried, 0.0, 1.0)
        losses, gradient = value_and_grad(tf.reshape(tried, image.shape))
        with after(gradient):
            self._take(image, tried - here, tried, losses, tf.reshape(gradient, [-1]))
        return {name: kept.read_value() for name, kept in self.losses.items()}

    def _take(
        self,
        image: tf.Variable,
        move: tf.Tensor,
        tried: tf.Tensor,
        losses: dict[str, tf.Tensor],
        gradient: tf.Tensor,
    ) -> None:
        """Move to a point (n,) that was tried, or stay, and aim at the next one."""
        # NaN compares as false, and is refused.
        lowers = losses["total"] <= self.losses["total"] if self.backtrack else True
        if (self.steps == 0) | lowers:  # `or` would be a condition of its own in the graph
            self._remember(move, gradient - self.gradient)
            image.assign(tf.reshape(tried, image.shape))
            self.gradient.assign(gradient)
            self.halvings.assign(0)
            self._aim(tried)
            for name, kept in self.losses.items():
                kept.assign(losses[name])
        elif (self.halvings < _MOST_HALVINGS) | (self.pairs == 0):
            self.halvings.assign_add(1)
        else:  # drop the history: the next step starts from the image along its gradient
            self.pairs.assign(0)
            self.halvings.assign(0)
            self.direction.assign(-_first_length(self.gradient) * self.gradient)
        self.steps.assign_add(1)

    def restart(self) -> None:
        # The next step evaluates the image itself, and goes on from there without pairs.
        self.pairs.assign(0)
        self.halvings.assign(0)
        self.direction.assign(tf.zeros_like(self.direction))
        self.losses["total"].assign(math.inf)

    def warning(self) -> str:
        stalled = int(self.halvings) > 2 * _MOST_HALVINGS
        return "lbfgs: no step lowers the loss; still halving" if stalled else ""

    def variables(self) -> dict[str, tf.Variable]:
        numbers = ("pairs", "halvings", "steps")
        names = ("gradient", "direction", "moves", "changes", "products", *numbers)
        losses = {f"loss {name}": kept for name, kept in self.losses.items()}
        return {name: getattr(self, name) for name in names} | losses

    def _remember(self, move: tf.Tensor, change: tf.Tensor) -> None:
        """Keep a step and the change of the gradient along it, if its curvature is positive."""
        if self.bounded:  # pixels that stayed at their bound say nothing about the free ones
            change = tf.where(move == 0.0, 0.0, change)
        product = _dot(move, change)
        if product > _LEAST_CURVATURE * tf.norm(move) * tf.norm(change):
            places = tf.reshape(tf.cast(self.pairs % self.history, tf.int32), [1])
            rows = (self.moves, move), (self.changes, change), (self.products, product)
            for ring, row in rows:
                ring.scatter_update(tf.IndexedSlices(tf.expand_dims(row, 0), places))
            self.pairs.assign_add(1)

    def _aim(self, image: tf.Tensor) -> None:
        """Set the direction of the next step from `image`, of shape (n,)."""
        gradient = self.gradient.read_value()
        free = tf.ones_like(gradient, tf.bool)
        if self.bounded:
            free = ~((image <= 0.0) & (gradient > 0.0) | (image >= 1.0) & (gradient < 0.0))
        gradient = tf.where(free, gradient, 0.0)
        direction = -self.inverse_hessian_product(gradient)
        self.direction.assign(tf.where(free, direction, 0.0))

    def inverse_hessian_product(self, vector: tf.Tensor) -> tf.Tensor:
        """The inverse Hessian times a vector (n,), by the two-loop recursion.

        Without pairs, it is the vector at the length of a first step. Rows of the rings are read by
        `sparse_read`, without a copy of the ring; XLA would compile a slice for each place.
        """
        kept = tf.cast(tf.minimum(self.pairs, self.history), tf.int32)
        newest = tf.cast(self.pairs, tf.int32) - 1
        weights = tf.zeros([self.history])
        back = tf.constant(0)
        while back < kept:  # not a range of this length, which XLA would have to know
            place = (newest - back) % self.history
            weight = _dot(self.moves.sparse_read(place), vector) / self.products.sparse_read(place)
            vector -= weight * self.changes.sparse_read(place)
            weights = tf.tensor_scatter_nd_update(weights, [[place]], [weight])
            back += 1
        if self.pairs == 0:
            vector *= _first_length(vector)
        else:  # the factor s.y / y.y of the newest pair, equation 7.20
            change = self.changes.sparse_read(newest % self.history)
            vector *= self.products.sparse_read(newest % self.history) / _dot(change, change)
        while back > 0:
            back -= 1
            place = (newest - back) % self.history
            slope = _dot(self.changes.sparse_read(place), vector) / self.products.sparse_read(place)
            vector += (tf.gather(weights, place) - slope) * self.moves.sparse_read(place)
        return vector


def _first_length(gradient: tf.Tensor) -> tf.Tensor:
    """The factor on a gradient (n,) that makes the first step of a history."""
    return _FIRST_STEP / tf.maximum(tf.reduce_mean(tf.abs(gradient)), 1e-30)


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b)


def _variable(value: tf.Tensor) -> tf.Variable:
    return tf.Variable(value, trainable=False)
