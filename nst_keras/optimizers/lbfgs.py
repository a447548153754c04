"""L-BFGS on the device: its history in ring buffers, its recursion inside the graph.

Nocedal and Wright, "Numerical Optimization" (2006), algorithms 7.4 and 7.5. Two forms: the one that
style transfer was published with, of full steps without a line search, and a safe one that halves a
step which raises the objective. Both take one evaluation a step, which may be of low precision:
nothing ever ends early because a line search fails.
"""

from collections.abc import Callable

import tensorflow as tf

from nst_keras.optimizers.optimizer import ValueAndGrad

# A pair is remembered if the curvature along it is clearly positive: cos(s, y) above this. Pairs of
# style transfer have 0.07 and more; what is far below comes from rounding and would send the next
# step anywhere.
_LEAST_CURVATURE = 1e-2
_FIRST_STEP = 0.01  # mean change of a pixel, in [0, 1], by the first step of a history
_MOST_HALVINGS = 6  # then the history is forgotten; a first step is halved until it serves


class Lbfgs:
    """L-BFGS on one image variable.

    The image always is a point that was evaluated: a step tries the next one and moves there, or
    stays. So the first step only evaluates, and a step's terms are those of the image after it.

    Args:
        rate: length of a step as a function of the 0-based step, 1 being Newton's.
        history: how many pairs of steps and gradient changes are remembered.
        backtrack: whether a step that raises the total is halved until it does not.
        bounded: whether pixels stay in [0, 1]. Those that rest at a bound and are pushed outwards
            are left out of the direction (Bertsekas 1982, equation 32).
        loss_names: of the objective.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        rate: Callable[[tf.Tensor], tf.Tensor],
        history: int,
        backtrack: bool,
        bounded: bool,
        loss_names: tuple[str, ...] = ("total",),
    ):
        self.rate, self.history = rate, history
        self.backtrack, self.bounded = backtrack, bounded
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
        """One evaluation, and a move if it is accepted; returns the terms at the image then."""
        here = tf.reshape(image.read_value(), [-1])
        rate = self.rate(self.steps.read_value()) * 0.5 ** tf.cast(self.halvings, tf.float32)
        tried = self._within(here + rate * self.direction.read_value())
        losses, gradient = value_and_grad(tf.reshape(tried, image.shape))
        if self.steps == 0 or self._accepts(losses["total"]):
            self._move(image, here, tried, tf.reshape(gradient, [-1]))
            for name, kept in self.losses.items():
                kept.assign(losses[name])
        elif self.halvings < _MOST_HALVINGS or self.pairs == 0:
            self.halvings.assign_add(1)
        else:
            self._forget()
        self.steps.assign_add(1)
        return {name: kept.read_value() for name, kept in self.losses.items()}

    def warning(self) -> str:
        """Whether it has been looking for a lower loss in vain."""
        stalled = int(self.halvings) > 2 * _MOST_HALVINGS
        return "lbfgs: no step lowers the loss; still halving" if stalled else ""

    def variables(self) -> dict[str, tf.Variable]:
        """Everything that the next step depends on, by a name for checkpoints."""
        arrays = ("gradient", "direction", "moves", "changes", "products")
        names = (*arrays, "pairs", "halvings", "steps")
        losses = {f"loss {name}": kept for name, kept in self.losses.items()}
        return {**{name: getattr(self, name) for name in names}, **losses}

    def _accepts(self, total: tf.Tensor) -> tf.Tensor:
        # A total that is not a number compares as false, and is refused.
        return total <= self.losses["total"] if self.backtrack else tf.constant(True)

    def _move(
        self,
        image: tf.Variable,
        here: tf.Tensor,
        there: tf.Tensor,
        gradient: tf.Tensor,
    ) -> None:
        self._remember(there - here, gradient - self.gradient)
        image.assign(tf.reshape(there, image.shape))
        self.gradient.assign(gradient)
        self.halvings.assign(0)
        self._aim(there)

    def _remember(self, move: tf.Tensor, change: tf.Tensor) -> None:
        if self.bounded:  # a pixel that rests at its bound tells nothing of those that are free
            change = tf.where(move == 0.0, 0.0, change)
        product = _dot(move, change)
        if product > _LEAST_CURVATURE * tf.norm(move) * tf.norm(change):
            place = tf.cast(self.pairs % self.history, tf.int32)
            self.moves.scatter_update(tf.IndexedSlices(move[None], place[None]))
            self.changes.scatter_update(tf.IndexedSlices(change[None], place[None]))
            self.products.scatter_update(tf.IndexedSlices(product[None], place[None]))
            self.pairs.assign_add(1)

    def _forget(self) -> None:
        """Start anew from the image, along its gradient."""
        self.pairs.assign(0)
        self.halvings.assign(0)
        self.direction.assign(-_first_length(self.gradient) * self.gradient)

    def _aim(self, image: tf.Tensor) -> None:
        """Set the direction of the next step."""
        gradient = self.gradient.read_value()
        free = tf.ones_like(gradient, tf.bool)
        if self.bounded:
            free = ~((image <= 0.0) & (gradient > 0.0) | (image >= 1.0) & (gradient < 0.0))
        gradient = tf.where(free, gradient, 0.0)
        direction = -self.inverse_hessian_product(gradient)
        self.direction.assign(tf.where(free, direction, 0.0))

    def inverse_hessian_product(self, vector: tf.Tensor) -> tf.Tensor:
        """H v by the two-loop recursion, for v (n,); without pairs, v at a first step's length."""
        kept = tf.cast(tf.minimum(self.pairs, self.history), tf.int32)
        newest = tf.cast(self.pairs, tf.int32) - 1
        weights = tf.zeros([self.history])
        back = tf.constant(0)
        while back < kept:  # not over a range of this length, which XLA would have to know
            place = (newest - back) % self.history
            weight = _dot(self._row(self.moves, place), vector) / self._row(self.products, place)
            vector -= weight * self._row(self.changes, place)
            weights = tf.tensor_scatter_nd_update(weights, [[place]], [weight])
            back += 1
        vector *= self._scale(vector, newest % self.history)
        while back > 0:
            back -= 1
            place = (newest - back) % self.history
            slope = _dot(self._row(self.changes, place), vector) / self._row(self.products, place)
            vector += (tf.gather(weights, place) - slope) * self._row(self.moves, place)
        return vector

    def _scale(self, vector: tf.Tensor, newest: tf.Tensor) -> tf.Tensor:
        """s.y / y.y of the newest pair (equation 7.20), or a first step's length."""
        if self.pairs == 0:
            scale = _first_length(vector)
        else:
            change = self._row(self.changes, newest)
            scale = self._row(self.products, newest) / _dot(change, change)
        return scale

    @staticmethod
    def _row(ring: tf.Variable, place: tf.Tensor) -> tf.Tensor:
        # One row, not a copy of the whole ring; XLA would compile a slice anew for each place.
        return ring.sparse_read(place)

    def _within(self, image: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(image, 0.0, 1.0) if self.bounded else image


def _first_length(gradient: tf.Tensor) -> tf.Tensor:
    return _FIRST_STEP / tf.maximum(tf.reduce_mean(tf.abs(gradient)), 1e-30)


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b)


def _variable(value: tf.Tensor) -> tf.Variable:
    return tf.Variable(value, trainable=False)
