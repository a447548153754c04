"""L-BFGS: against dense BFGS in float64, against SciPy, and where it could go wrong."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.optimizers.lbfgs import Lbfgs

FORMS = pytest.mark.parametrize("backtrack", [False, True])
BOUNDS = pytest.mark.parametrize("bounded", [False, True])
CROSSED = pytest.mark.parametrize(("backtrack", "bounded"), [(False, True), (True, False)])


def full_steps(step):
    return tf.ones_like(step, tf.float32)


def lbfgs(count, backtrack=False, **options):
    settings = {"rate": full_steps, "history": 10, "bounded": False, **options}
    return Lbfgs((1, 1, count, 1), line_search="backtrack" if backtrack else "none", **settings)


def variable(pixels):
    return tf.Variable(np.asarray(pixels, np.float32).reshape(1, 1, -1, 1), trainable=False)


def flat(image):
    return image.numpy().ravel()


def quadratic(count, condition, seed=0, low=0.2, high=0.8):
    """Curvature with eigenvalues from 1 / condition to 1, and a center: (n, n) and (n,)."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(count, count)))
    curvature = (basis * np.geomspace(1.0 / condition, 1.0, count)) @ basis.T
    return curvature, rng.uniform(low, high, count)


def total_of(curvature, center):
    """The quadratic in float64, with its gradient."""
    return lambda x: (0.5 * (x - center) @ curvature @ (x - center), curvature @ (x - center))


def objective_of(curvature, center, factor=1.0):
    """The same as a value_and_grad."""
    curvature, center = (tf.cast(a, tf.float32) for a in (curvature, center))

    def value_and_grad(image):
        gap = tf.reshape(image, [-1]) - center
        gradient = factor * tf.linalg.matvec(curvature, gap)
        return {"total": 0.5 * tf.reduce_sum(gap * gradient)}, tf.reshape(gradient, image.shape)

    return value_and_grad


def differentiated(function):
    """A value_and_grad of a function of n pixels."""

    def value_and_grad(image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            total = function(tf.reshape(image, [-1]))
        return {"total": total}, tape.gradient(total, image)

    return value_and_grad


@differentiated
def rosenbrock(x):
    return tf.reduce_sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@differentiated
def egg_box(x):
    """Rough, of many minima: the gradient's change often has the wrong sign."""
    return tf.reduce_sum(0.5 * (x - 0.3) ** 2 + 0.05 * tf.cos(20.0 * x)) + 3.0


def compiled(one, image, value_and_grad):
    """A graph that takes some steps; returns the total tried and the total kept, of each."""
    newest = tf.Variable(0.0)

    def noting(tried):
        terms, gradient = value_and_grad(tried)
        newest.assign(terms["total"])
        return terms, gradient

    @tf.function
    def run(count):
        tried, kept = tf.TensorArray(tf.float32, count), tf.TensorArray(tf.float32, count)
        for index in tf.range(count):
            one.step(image, noting)
            tried = tried.write(index, newest.read_value())
            kept = kept.write(index, value_and_grad(image.read_value())[0]["total"])
        return tried.stack(), kept.stack()

    return run


def follow(one, image, value_and_grad, steps):
    """Take some steps in one graph; the totals tried, and those of the image after each step."""
    tried, kept = compiled(one, image, value_and_grad)(tf.constant(steps))
    return tried.numpy(), kept.numpy()


def numbers(one):
    return {name: variable.numpy() for name, variable in one.variables().items()}


def restore(one, state):
    for name, variable in one.variables().items():
        variable.assign(state[name])


@functools.cache
class Bench:
    """A graph of steps on quadratics of 100 pixels, used again: to trace one takes longest."""

    def __init__(self, backtrack, bounded):
        self.rate, self.noise = tf.Variable(1.0), tf.Variable(0.0)
        self.curvature = tf.Variable(tf.zeros([100, 100]))
        self.center = tf.Variable(tf.zeros([100]))
        options = {"backtrack": backtrack, "bounded": bounded}
        self.one = lbfgs(100, rate=lambda _: self.rate.read_value(), **options)
        self.image = variable(np.zeros(100))
        self._new = numbers(self.one)
        self._run = compiled(self.one, self.image, self._value_and_grad)

    def start(self, curvature, center, noise=0.0):
        """Begin at 0.5; gradients are rounded to bfloat16 after `noise`, if any, is added."""
        restore(self.one, self._new)
        self.rate.assign(1.0)
        self.noise.assign(noise)
        self.curvature.assign(curvature)
        self.center.assign(center)
        self.image.assign(tf.fill(self.image.shape, 0.5))

    def run(self, steps):
        """The totals tried, and those of the image after each step."""
        return [totals.numpy() for totals in self._run(tf.constant(steps))]

    def _value_and_grad(self, image):
        terms, gradient = objective_of(self.curvature, self.center)(image)
        coarse = tf.cast(tf.cast(gradient + self.noise, tf.bfloat16), tf.float32) - self.noise
        return terms, tf.where(self.noise > 0.0, coarse, gradient)


def take(one, image, value_and_grad, steps):
    """Take a few steps eagerly: quicker than to trace a graph."""
    for _ in range(steps):
        one.step(image, value_and_grad)


def watched(value_and_grad, spoil=lambda number, terms: terms):
    """For eager steps: also lists the points tried. `spoil` may falsify the terms of one."""
    seen = []

    def watch(image):
        terms, gradient = value_and_grad(image)
        seen.append(image.numpy().ravel())
        return spoil(len(seen) - 1, terms), gradient

    return watch, seen


# The inverse Hessian


def dense_inverse_hessian(moves, changes):
    """BFGS (Nocedal and Wright 2006, equations 6.17 and 7.20), in float64."""
    scale = moves[-1] @ changes[-1] / (changes[-1] @ changes[-1])
    inverse = scale * np.eye(len(moves[-1]))
    for move, change in zip(moves, changes, strict=True):
        share = 1.0 / (move @ change)
        keep = np.eye(len(move)) - share * np.outer(change, move)
        inverse = keep.T @ inverse @ keep + share * np.outer(move, move)
    return inverse


@pytest.mark.parametrize(("history", "pairs"), [(6, 4), (6, 6), (5, 17), (1, 3)])
def test_the_recursion_is_a_dense_bfgs_product(history, pairs):
    curvature, center = quadratic(60, 100)
    value_and_grad = objective_of(curvature, center)
    one, image = lbfgs(60, history=history), variable(np.full(60, 0.5))
    points, gradients = [], []
    for _ in range(pairs + 1):
        one.step(image, value_and_grad)
        points.append(flat(image))
        gradients.append(value_and_grad(image.read_value())[1].numpy().ravel())
    moves, changes = (
        np.diff(np.array(rows), axis=0).astype(np.float64)[-history:]
        for rows in (points, gradients)
    )
    vectors = np.random.default_rng(1).normal(size=(3, 60)).astype(np.float32)
    inverse = dense_inverse_hessian(moves, changes)
    compiled_product = tf.function(one.inverse_hessian_product)
    for vector in vectors:
        expected = inverse @ vector
        atol = 1e-3 * np.abs(expected).max()
        eager = one.inverse_hessian_product(tf.constant(vector))
        np.testing.assert_allclose(eager, expected, atol=atol)
        np.testing.assert_allclose(compiled_product(tf.constant(vector)), eager, atol=atol / 100)


def test_the_next_step_follows_the_product():
    value_and_grad = objective_of(*quadratic(60, 100))
    one, image = lbfgs(60, history=4), variable(np.full(60, 0.5))
    take(one, image, value_and_grad, 7)
    before = flat(image)
    gradient = value_and_grad(image.read_value())[1]
    expected = before - one.inverse_hessian_product(tf.reshape(gradient, [-1])).numpy()
    one.step(image, value_and_grad)
    np.testing.assert_allclose(flat(image), expected, atol=1e-6)


def test_without_pairs_a_vector_only_gets_the_length_of_a_first_step():
    vector = np.random.default_rng(0).normal(size=30).astype(np.float32)
    product = lbfgs(30).inverse_hessian_product(tf.constant(vector)).numpy()
    np.testing.assert_allclose(product / vector, product[0] / vector[0], rtol=1e-5)
    np.testing.assert_allclose(np.abs(product).mean(), 0.01, rtol=1e-5)


@CROSSED
def test_steps_compiled_by_xla_are_those_without_it(backtrack, bounded):
    value_and_grad = objective_of(*quadratic(30, 100))
    images, totals = [], []
    for jit in (None, True):
        one = lbfgs(30, history=3, backtrack=backtrack, bounded=bounded)
        image = variable(np.full(30, 0.5))
        step = tf.function(one.step, jit_compile=jit)
        totals.append([float(step(image, value_and_grad)["total"]) for _ in range(9)])
        images.append(flat(image))
        assert int(one.pairs) > 4  # around the ring
    np.testing.assert_allclose(totals[1], totals[0], rtol=1e-3)
    np.testing.assert_allclose(images[1], images[0], atol=1e-4)
    assert np.abs(images[0] - 0.5).max() > 0.05


def test_nothing_in_its_graph_is_sliced_at_a_place_that_changes():
    """XLA compiles such a graph anew for each place, that is at every step."""
    one, image = lbfgs(30, history=3), variable(np.full(30, 0.5))
    graph = (
        tf.function(one.step).get_concrete_function(image, objective_of(*quadratic(30, 10))).graph
    )
    parts = [
        graph.as_graph_def().node,
        *(f.node_def for f in graph.as_graph_def().library.function),
    ]
    ops = {node.op for part in parts for node in part}
    assert "ResourceGather" in ops and "While" in {op.removeprefix("Stateless") for op in ops}
    assert "Range" not in ops
    for part in parts:
        constants = {node.name for node in part if node.op == "Const"}
        for node in part:
            if node.op == "StridedSlice":
                assert {name.split(":")[0] for name in node.input[1:]} <= constants, node.name


# Convergence, beside SciPy's


def scipy_lbfgs(function, start, **options):
    """SciPy's result, and its best total after each evaluation."""
    optimize = pytest.importorskip("scipy.optimize")
    totals = []

    def counted(x):
        total, gradient = function(x)
        totals.append(total)
        return total, gradient

    tight = {"maxcor": 10, "maxiter": 3000, "ftol": 0, "gtol": 1e-12}
    result = optimize.minimize(
        counted, start, jac=True, method="L-BFGS-B", options=tight, **options
    )
    return result, np.minimum.accumulate(totals)


@FORMS
@pytest.mark.parametrize(("condition", "steps"), [(1e3, 120), (1e4, 240)])
def test_a_quadratic_falls_as_fast_as_scipys(condition, steps, backtrack):
    curvature, center = quadratic(100, condition)
    bench = Bench(backtrack, bounded=False)
    bench.start(curvature, center)
    totals, _ = bench.run(steps)
    start = np.full(100, 0.5)
    _, scipys = scipy_lbfgs(total_of(curvature, center), start)
    goal = 1e-5 * totals[0]
    assert np.argmax(totals < goal) < 1.5 * np.argmax(scipys < goal) + 10
    assert totals[-1] < 1e-6 * totals[0]
    assert np.abs(flat(bench.image) - center).max() < 0.1 * np.abs(start - center).max()


@FORMS
@pytest.mark.parametrize(("condition", "seed"), [(1e2, 0), (1e3, 1), (1e3, 2)])
def test_a_bounded_quadratic_comes_to_scipys_minimum(condition, seed, backtrack):
    curvature, center = quadratic(100, condition, seed, low=-0.5, high=1.5)
    bench = Bench(backtrack, bounded=True)
    bench.start(curvature, center)
    totals, _ = bench.run(250)
    bounds = [(0, 1)] * 100
    theirs, _ = scipy_lbfgs(total_of(curvature, center), np.full(100, 0.5), bounds=bounds)
    at_bounds = (theirs.x <= 0) | (theirs.x >= 1)
    assert 10 < at_bounds.sum() < 90
    ours = flat(bench.image)
    np.testing.assert_allclose(totals.min(), theirs.fun, rtol=1e-5)
    np.testing.assert_allclose(ours, theirs.x, atol=3e-3 if backtrack else 1e-4)
    assert (ours[at_bounds] == theirs.x[at_bounds]).mean() > 0.9  # exactly


@pytest.mark.parametrize(("count", "history", "steps"), [(2, 5, 100), (50, 20, 500)])
def test_rosenbrocks_valley_is_followed_to_its_end(count, history, steps):
    start = np.where(np.arange(count) % 2 == 0, -1.2, 1.0)
    one, image = lbfgs(count, history=history, backtrack=True), variable(start)
    tried, kept = follow(one, image, rosenbrock, steps)
    assert (np.diff(tried) > 0).any() and (np.diff(kept) <= 1e-6 * kept[:-1]).all()
    assert kept[-1] < 1e-8
    np.testing.assert_allclose(flat(image), 1.0, atol=1e-4)


def test_a_bounded_valley_ends_where_scipys_does():
    optimize = pytest.importorskip("scipy.optimize")

    def shifted(x):  # its own minimum, at 1.25, is out of bounds
        return optimize.rosen(0.8 * x), 0.8 * optimize.rosen_der(0.8 * x)

    start = np.linspace(0.2, 0.7, 10)
    theirs, _ = scipy_lbfgs(shifted, start, bounds=[(0, 1)] * 10)
    one, image = lbfgs(10, backtrack=True, bounded=True), variable(start)
    _, kept = follow(one, image, lambda x: _scaled(rosenbrock, x, 0.8), 200)
    np.testing.assert_allclose(kept[-1], theirs.fun, rtol=1e-4)
    np.testing.assert_allclose(flat(image), theirs.x, atol=5e-3)


def _scaled(value_and_grad, image, factor):
    terms, gradient = value_and_grad(factor * image)
    return terms, factor * gradient


def test_a_history_of_one_works():
    one, image = lbfgs(60, history=1), variable(np.full(60, 0.5))
    _, center = quadratic(60, 10)
    take(one, image, objective_of(*quadratic(60, 10)), 25)
    np.testing.assert_allclose(flat(image), center, atol=1e-2)


# Curvature, descent and scale


@pytest.mark.parametrize("cosine", [-1.0, -1e-3, 0.0, 1e-6])
def test_pairs_without_curvature_are_not_remembered(cosine):
    # The gradient turns by an angle from the move: s.y / |s| |y| is the cosine.
    sine = np.sqrt(1.0 - cosine**2)
    turn = np.kron(np.eye(5), [[cosine, -sine], [sine, cosine]])
    one, image = lbfgs(10), variable(np.linspace(0.1, 0.9, 10))
    take(one, image, _field(turn), 4)
    assert int(one.pairs) == 0
    assert np.isfinite(flat(image)).all()
    np.testing.assert_allclose(np.abs(one.direction.numpy()).mean(), 0.01, rtol=1e-4)


def test_pairs_of_some_curvature_are_remembered():
    cosine = 0.1
    sine = np.sqrt(1.0 - cosine**2)
    one, image = lbfgs(10), variable(np.linspace(0.1, 0.9, 10))
    take(one, image, _field(np.kron(np.eye(5), [[cosine, -sine], [sine, cosine]])), 4)
    assert int(one.pairs) == 3


def _field(matrix):
    """A made-up gradient, linear in the image; no function need have it."""
    matrix = tf.constant(matrix, tf.float32)

    def value_and_grad(image):
        gradient = tf.linalg.matvec(matrix, tf.reshape(image, [-1]))
        return {"total": tf.reduce_sum(gradient**2)}, tf.reshape(gradient, image.shape)

    return value_and_grad


def test_a_pair_without_curvature_leaves_the_others_as_they_are():
    value_and_grad = objective_of(*quadratic(30, 10))
    one, image = lbfgs(30, history=4), variable(np.full(30, 0.5))
    take(one, image, value_and_grad, 4)
    vector = tf.constant(np.linspace(-1, 1, 30), tf.float32)
    before = one.inverse_hessian_product(vector).numpy()
    pairs = int(one.pairs)
    gradient = tf.reshape(one.gradient.read_value(), image.shape)
    one.step(image, lambda _: ({"total": tf.constant(0.0)}, gradient))  # y = 0
    assert int(one.pairs) == pairs
    np.testing.assert_array_equal(one.inverse_hessian_product(vector), before)


@pytest.mark.parametrize(
    ("value_and_grad", "backtrack", "bounded"),
    [(egg_box, False, True), (rosenbrock, True, False)],
)
def test_every_direction_descends(value_and_grad, backtrack, bounded):
    one = lbfgs(30, backtrack=backtrack, bounded=bounded, history=5)
    image = variable(np.random.default_rng(0).uniform(0, 1, 30))
    step = tf.function(one.step)
    for _ in range(60):
        step(image, value_and_grad)
        gradient, direction = one.gradient.numpy(), one.direction.numpy()
        assert np.isfinite(flat(image)).all() and np.isfinite(direction).all()
        slope = gradient.astype(np.float64) @ direction
        assert slope < 0 or not direction.any()


def test_a_function_of_many_minima_falls_to_one():
    one = lbfgs(30, backtrack=True, bounded=True)
    image = variable(np.random.default_rng(0).uniform(0, 1, 30))
    _, kept = follow(one, image, egg_box, 120)
    left = np.clip(flat(image) - egg_box(image.read_value())[1].numpy().ravel(), 0, 1)
    assert kept[-1] < kept[0] - 1.0
    np.testing.assert_allclose(left, flat(image), atol=1e-2)


@CROSSED
def test_the_objectives_scale_does_not_matter(backtrack, bounded):
    curvature, center = quadratic(60, 100, low=-0.2, high=1.2)
    paths = []
    for factor in (1e-6, 1.0, 1e6):
        value_and_grad, seen = watched(objective_of(curvature, center, factor))
        one, image = lbfgs(60, backtrack=backtrack, bounded=bounded), variable(np.full(60, 0.5))
        take(one, image, value_and_grad, 9)
        paths.append(np.array(seen))
    np.testing.assert_allclose(paths[0], paths[1], atol=1e-4)
    np.testing.assert_allclose(paths[2], paths[1], atol=1e-4)
    assert np.ptp(paths[1], axis=0).max() > 0.1


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_the_first_move_is_small_and_against_the_gradient(factor):
    curvature, center = quadratic(60, 100)
    one, image = lbfgs(60), variable(np.full(60, 0.5))
    value_and_grad = objective_of(curvature, center, factor)
    gradient = value_and_grad(image.read_value())[1].numpy().ravel()
    one.step(image, value_and_grad)
    np.testing.assert_array_equal(flat(image), np.float32(0.5))  # the first step only looks
    one.step(image, value_and_grad)
    move = flat(image) - 0.5
    np.testing.assert_allclose(np.abs(move).mean(), 0.01, rtol=1e-3)
    np.testing.assert_allclose(move, -0.01 * gradient / np.abs(gradient).mean(), atol=1e-6)


@CROSSED
def test_a_gradient_of_zero_leaves_the_image_where_it_is(backtrack, bounded):
    one, image = lbfgs(12, backtrack=backtrack, bounded=bounded), variable(np.linspace(0, 1, 12))
    value_and_grad = objective_of(np.eye(12), np.linspace(0, 1, 12).astype(np.float32))
    take(one, image, value_and_grad, 5)
    np.testing.assert_array_equal(flat(image), np.linspace(0, 1, 12).astype(np.float32))
    assert int(one.pairs) == 0


def test_a_gradient_that_becomes_zero_does_not_spoil_what_follows():
    curvature, center = quadratic(30, 20)
    value_and_grad = objective_of(curvature, center)
    one, image = lbfgs(30), variable(np.full(30, 0.5))
    take(one, image, value_and_grad, 6)
    zero = tf.zeros(image.shape)
    take(one, image, lambda x: (value_and_grad(x)[0], zero), 2)
    take(one, image, value_and_grad, 15)
    np.testing.assert_allclose(flat(image), center, atol=1e-2)


# Rates


def test_the_rate_is_the_length_of_a_step():
    value_and_grad = objective_of(*quadratic(30, 20))
    rates = tf.constant([9.0, 1.0, 0.25, 0.0, 2.0])
    one, image = lbfgs(30, rate=lambda step: tf.gather(rates, step)), variable(np.full(30, 0.5))
    for step in range(5):
        before, direction = flat(image), one.direction.numpy()
        one.step(image, value_and_grad)
        np.testing.assert_allclose(flat(image), before + rates[step] * direction, atol=1e-6)
    assert int(one.steps) == 5


@CROSSED
def test_shorter_steps_get_there_too(backtrack, bounded):
    bench = Bench(backtrack, bounded)
    bench.start(*quadratic(100, 30))
    bench.rate.assign(0.3)
    totals, _ = bench.run(120)
    assert totals[-1] < 1e-6 * totals[0]


@CROSSED
def test_a_rate_of_zero_waits_and_keeps_the_history(backtrack, bounded):
    bench = Bench(backtrack, bounded)
    bench.start(*quadratic(100, 30))
    bench.run(8)
    before, pairs = flat(bench.image), int(bench.one.pairs)
    bench.rate.assign(0.0)
    bench.run(20)
    np.testing.assert_array_equal(flat(bench.image), before)
    assert int(bench.one.pairs) == pairs > 0


# Backtracking


def overshooting(count=6):
    """So steep that the first move already passes the minimum and rises on the other side."""
    return objective_of(np.eye(count), np.full(count, 0.503))


def test_a_step_that_raises_the_total_is_refused_and_halved():
    value_and_grad, seen = watched(overshooting())
    one, image = lbfgs(6, backtrack=True), variable(np.full(6, 0.5))
    take(one, image, value_and_grad, 2)
    np.testing.assert_allclose(seen[1], 0.51, rtol=1e-5)
    np.testing.assert_array_equal(flat(image), seen[0])
    one.step(image, value_and_grad)
    np.testing.assert_allclose(seen[2], 0.505, rtol=1e-5)
    np.testing.assert_array_equal(flat(image), seen[2])


def test_the_step_after_a_halved_one_is_whole_again():
    value_and_grad, seen = watched(overshooting())
    one, image = lbfgs(6, backtrack=True), variable(np.full(6, 0.5))
    take(one, image, value_and_grad, 4)
    np.testing.assert_allclose(seen[3], 0.503, atol=1e-5)  # one pair tells this curvature


def test_the_published_form_takes_every_step():
    value_and_grad, seen = watched(overshooting())
    one, image = lbfgs(6), variable(np.full(6, 0.5))
    for step in range(3):
        one.step(image, value_and_grad)
        np.testing.assert_array_equal(flat(image), seen[step])
    np.testing.assert_allclose(seen[1], 0.51, rtol=1e-5)
    assert len({point.tobytes() for point in seen}) == 3


def test_a_total_that_is_no_number_is_refused():
    def walled(image):  # nothing beyond 0.505
        terms, gradient = objective_of(np.eye(6), np.full(6, 0.9))(image)
        inside = tf.reduce_max(image) < 0.505
        bad = tf.where(tf.reduce_max(image) < 0.508, np.nan, np.inf)
        spoilt = tf.where(inside, gradient, np.nan)
        return {"total": tf.where(inside, terms["total"], bad)}, spoilt

    one, image = lbfgs(6, backtrack=True), variable(np.full(6, 0.5))
    tried, kept = follow(one, image, walled, 60)
    assert np.isnan(tried).any() and np.isinf(tried).any() and np.isfinite(kept).all()
    assert (np.diff(kept) <= 0).all()
    assert 0.5035 < flat(image).max() < 0.505
    assert all(np.isfinite(state.numpy()).all() for state in one.variables().values())


def spoilt(first, count):
    """Falsifies the totals of `count` evaluations."""

    def spoil(number, terms):
        rise = tf.constant(1e3 if first <= number < first + count else 0.0)
        return {"total": terms["total"] + rise}

    return spoil


def test_after_many_refusals_the_history_is_dropped_and_steps_continue():
    quiet = objective_of(*quadratic(30, 20))
    value_and_grad, seen = watched(quiet, spoilt(6, 7))
    one, image = lbfgs(30, backtrack=True), variable(np.full(30, 0.5))
    take(one, image, value_and_grad, 6)
    here, direction = flat(image), one.direction.numpy()
    assert int(one.pairs) == 5
    for _ in range(7):
        assert int(one.pairs) == 5
        one.step(image, value_and_grad)
        np.testing.assert_array_equal(flat(image), here)
    halves = 0.5 ** np.arange(7)[:, None]
    np.testing.assert_allclose(seen[6:13], here + halves * direction, atol=1e-6)
    assert int(one.pairs) == 0
    one.step(image, value_and_grad)
    gradient = quiet(tf.reshape(tf.constant(here), image.shape))[1].numpy().ravel()
    expected = here - 0.01 * gradient / np.abs(gradient).mean()
    np.testing.assert_allclose(seen[13], expected, atol=1e-6)
    take(one, image, value_and_grad, 20)
    assert int(one.pairs) > 5
    assert float(quiet(image.read_value())[0]["total"]) < 1e-6


def test_one_refusal_less_keeps_the_history():
    value_and_grad, _ = watched(objective_of(*quadratic(30, 20)), spoilt(6, 6))
    one, image = lbfgs(30, backtrack=True), variable(np.full(30, 0.5))
    take(one, image, value_and_grad, 13)
    assert int(one.pairs) == 6


@BOUNDS
def test_the_image_is_always_a_point_that_was_evaluated_and_accepted(bounded):
    rough = objective_of(*quadratic(30, 1e3, low=-0.5, high=1.5))

    totals = []

    def spoil(number, terms):  # now and then
        totals.append(float(terms["total"]) * (1.5 if number % 7 == 3 else 1.0))
        return {"total": tf.constant(totals[-1])}

    value_and_grad, seen = watched(rough, spoil)
    one, image = lbfgs(30, backtrack=True, bounded=bounded), variable(np.full(30, 0.5))
    last, tried = np.inf, set()
    for number in range(25):
        said = float(one.step(image, value_and_grad)["total"])
        tried.add(seen[-1].tobytes())
        accepted = np.float32(totals[-1]) <= np.float32(last)
        assert flat(image).tobytes() in tried
        if accepted:
            np.testing.assert_array_equal(flat(image), seen[-1])
            last = totals[-1]
        else:
            assert number > 0 and flat(image).tobytes() != seen[-1].tobytes()
        assert said == pytest.approx(last)  # never the total of a point that was refused
    assert len(seen) == 25  # one evaluation a step


@BOUNDS
def test_the_images_total_never_rises(bounded):
    bench = Bench(backtrack=True, bounded=bounded)
    for seed in range(3):
        bench.start(*quadratic(100, 1e4, seed, low=-0.5, high=1.5))
        _, kept = bench.run(100)
        assert (np.diff(kept) <= 1e-6 * kept[:-1]).all()  # a graph may round two evaluations apart
        assert kept[-1] < 0.1 * kept[0]


def test_it_leaves_a_narrow_valley():
    # With one pair only, it is refused so often that first steps are tried, and fail as well.
    start = np.random.default_rng(1).uniform(-2, 2, 2)
    one, image = lbfgs(2, history=1, backtrack=True), variable(start)
    _, kept = follow(one, image, rosenbrock, 300)
    assert kept[-1] < 1e-7


def test_where_only_tiny_steps_go_down_it_takes_them():
    # A first step, and its halves down to 1/64, rise on the other side of this narrow valley.
    value_and_grad = objective_of(np.diag([1e4, 1.0]), [0.5, 0.6])
    one, image = lbfgs(2, backtrack=True), variable([0.5001, 0.5])
    _, kept = follow(one, image, value_and_grad, 60)
    assert kept[-1] < 1e-2 * kept[0]


def test_a_search_in_vain_is_warned_of_until_a_step_serves():
    value_and_grad, _ = watched(objective_of(*quadratic(30, 20)), spoilt(1, 13))
    one, image = lbfgs(30, backtrack=True), variable(np.full(30, 0.5))
    warnings = []
    for _ in range(16):
        one.step(image, value_and_grad)
        warnings.append(one.warning())
    said = "lbfgs: no step lowers the loss; still halving"
    assert warnings == [""] * 13 + [said] + [""] * 2


def test_the_losses_returned_are_those_of_the_image_by_the_names_given():
    def value_and_grad(image):
        losses, gradient = overshooting()(image)
        return {**losses, "first pixel": image[0, 0, 0, 0]}, gradient

    one = lbfgs(6, backtrack=True, loss_names=("total", "first pixel"))
    image = variable(np.full(6, 0.5))
    for _ in range(3):  # the second one is refused
        losses = one.step(image, value_and_grad)
        assert set(losses) == {"total", "first pixel"}
        np.testing.assert_allclose(losses["first pixel"], flat(image)[0], rtol=1e-6)


# Noise


@FORMS
def test_coarse_gradients_still_lead_down(backtrack):
    bench = Bench(backtrack, bounded=False)
    bench.start(*quadratic(100, 1e3), noise=1e-30)  # relative to the gradient
    _, kept = bench.run(150)
    assert (kept[[20, 40, 60, 80, 100, 120]] < 0.5 * kept[[0, 20, 40, 60, 80, 100]]).all()
    assert kept[-1] < 1e-7 * kept[0]


@FORMS
def test_noise_in_gradients_sets_a_floor_and_does_not_drive_it_off(backtrack):
    bench = Bench(backtrack, bounded=False)
    for seed in range(4):
        bench.start(*quadratic(100, 1e4, seed), noise=0.01)
        _, kept = bench.run(400)
        assert kept[200:].max() < 10 * kept[0]  # a pair of noise may throw it, but not far
        assert np.median(kept[200:]) < 2e-4 * kept[0]


# Graphs and states


def test_steps_run_in_one_graph_without_calls_back_to_python():
    value_and_grad = objective_of(*quadratic(30, 20, low=-0.2, high=1.2))
    one, other = (lbfgs(30, history=3, backtrack=True, bounded=True) for _ in range(2))
    image, same = variable(np.full(30, 0.5)), variable(np.full(30, 0.5))
    run = compiled(one, image, value_and_grad)
    for count in (1, 2, 6):
        run(tf.constant(count))
    assert run.experimental_get_tracing_count() == 1
    assert int(one.steps) == 9
    take(other, same, value_and_grad, 9)
    np.testing.assert_allclose(image, same, atol=1e-4)
    graph = run.get_concrete_function(tf.constant(1)).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    kinds = {node.op for node in nodes}
    assert {"While", "StatelessWhile"} & kinds
    assert not [kind for kind in kinds if "Py" in kind or "Host" in kind or "Callback" in kind]


@CROSSED
def test_a_restored_state_continues_bit_for_bit(backtrack, bounded):
    start = np.tile([0.1, 0.9], 3) if bounded else np.tile([-1.2, 1.0], 3)

    def fresh():
        return lbfgs(6, history=4, backtrack=backtrack, bounded=bounded), variable(start)

    whole, image = fresh()
    run, states = compiled(whole, image, rosenbrock), []
    for _ in range(17):
        states.append((flat(image), numbers(whole)))
        run(tf.constant(1))
    totals = run(tf.constant(13))
    pairs = [int(state["pairs"]) for _, state in states]
    assert {0, 2, 4, 5} <= set(pairs)  # before, at and after the ring of 4 is full
    resumed, other = fresh()
    continue_run = compiled(resumed, other, rosenbrock)
    for step, (pixels, state) in enumerate(states):
        restore(resumed, state)
        other.assign(pixels.reshape(other.shape))
        continue_run(tf.constant(17 - step))
        np.testing.assert_array_equal(continue_run(tf.constant(13)), totals)
        np.testing.assert_array_equal(other, image, err_msg=f"from step {step}")
        for name, number in numbers(whole).items():
            np.testing.assert_array_equal(numbers(resumed)[name], number, err_msg=name)


def test_a_state_between_refusals_or_after_a_reset_continues_bit_for_bit():
    def advance(one, image, first, count):
        for number in range(first, first + count):
            rise = 1e3 if 6 <= number < 13 else 0.0
            one.step(image, lambda x, rise=rise: _raised(rosenbrock, x, rise))

    for stop in (8, 13):
        whole, image = lbfgs(6, history=3, backtrack=True), variable(np.tile([-1.2, 1.0], 3))
        advance(whole, image, 0, stop)
        resumed, other = lbfgs(6, history=3, backtrack=True), variable(image.numpy())
        restore(resumed, numbers(whole))
        advance(whole, image, stop, 6)
        advance(resumed, other, stop, 6)
        np.testing.assert_array_equal(image, other)


def _raised(value_and_grad, image, rise):
    terms, gradient = value_and_grad(image)
    return {"total": terms["total"] + rise}, gradient


def test_the_state_has_a_loss_by_each_name_and_counts_steps():
    one, image = lbfgs(6, history=3), variable(np.full(6, 0.2))
    take(one, image, overshooting(), 5)
    state = numbers(one)
    arrays = {"gradient", "direction", "moves", "changes", "products"}
    assert set(state) == {*arrays, "pairs", "halvings", "steps", "loss total"}
    assert state["moves"].shape == state["changes"].shape == (3, 6)
    assert int(one.steps) == state["steps"] == 5


# Bounds


@FORMS
def test_bounded_iterates_stay_in_range(backtrack):
    value_and_grad, seen = watched(objective_of(*quadratic(60, 1e3, low=-1.0, high=2.0)))
    one, image = lbfgs(60, backtrack=backtrack, bounded=True), variable(np.full(60, 0.5))
    take(one, image, value_and_grad, 15)
    seen = np.array(seen)
    assert seen.min() == 0.0 and seen.max() == 1.0


def test_an_unbounded_image_may_leave_the_range():
    curvature, _ = quadratic(30, 20)
    center = np.linspace(-0.5, 1.5, 30)
    one, image = lbfgs(30), variable(np.full(30, 0.5))
    take(one, image, objective_of(curvature, center), 20)
    np.testing.assert_allclose(flat(image), center, atol=2e-2)


@FORMS
def test_pixels_pushed_out_of_range_rest_and_those_pushed_in_move(backtrack):
    start = np.float32([0, 0, 1, 1, 0.5, 0.5])
    center = [-0.5, 0.3, 1.5, 0.7, 0.2, 0.8]
    value_and_grad, seen = watched(objective_of(np.eye(6), center))
    one, image = lbfgs(6, backtrack=backtrack, bounded=True), variable(start)
    one.step(image, value_and_grad)
    np.testing.assert_array_equal(one.direction.numpy()[[0, 2]], 0.0)
    for _ in range(10):
        one.step(image, value_and_grad)
        np.testing.assert_array_equal(flat(image)[[0, 2]], [0, 1])
    assert 0 < seen[1][1] < 0.3 and 0.7 < seen[1][3] < 1
    np.testing.assert_allclose(flat(image), [0, 0.3, 1, 0.7, 0.2, 0.8], atol=1e-4)


def test_the_first_step_is_as_long_as_ever_with_most_pixels_at_bounds():
    start, center = np.zeros(40), np.full(40, -1.0)
    center[:4] = 0.5
    one, image = lbfgs(40, bounded=True), variable(start)
    take(one, image, objective_of(np.eye(40), center), 2)
    np.testing.assert_array_equal(flat(image)[4:], 0.0)
    np.testing.assert_allclose(flat(image).mean(), 0.01, rtol=1e-4)


@FORMS
def test_pixels_at_a_bound_come_back_when_the_objective_wants_them(backtrack):
    one, image = lbfgs(6, backtrack=backtrack, bounded=True), variable(np.full(6, 0.5))
    coupled = np.eye(6) + 0.4 * np.eye(6, k=1) + 0.4 * np.eye(6, k=-1)
    take(one, image, objective_of(coupled, np.full(6, -2.0)), 6)
    np.testing.assert_array_equal(flat(image), 0.0)
    fresh = lbfgs(6, backtrack=backtrack, bounded=True)  # for another objective
    take(fresh, image, objective_of(coupled, np.full(6, 0.6)), 15)
    np.testing.assert_allclose(flat(image), 0.6, atol=2e-3)


def test_all_pixels_at_bounds_and_pushed_outwards_rest():
    start = np.tile([0.0, 1.0], 6)
    one, image = lbfgs(12, bounded=True, backtrack=True), variable(start)
    take(one, image, objective_of(np.eye(12), 3 * start - 1), 4)
    np.testing.assert_array_equal(flat(image), start)
    assert all(np.isfinite(state.numpy()).all() for state in one.variables().values())


def test_a_start_out_of_range_is_brought_into_it_and_evaluated_there():
    value_and_grad, seen = watched(objective_of(np.eye(3), np.full(3, 0.5)))
    one, image = lbfgs(3, bounded=True), variable([-0.5, 0.4, 1.5])
    terms = one.step(image, value_and_grad)
    np.testing.assert_array_equal(flat(image), np.float32([0, 0.4, 1]))
    np.testing.assert_array_equal(seen[0], flat(image))
    np.testing.assert_allclose(terms["total"], 0.255, rtol=1e-5)


@FORMS
def test_after_a_restart_it_does_as_if_it_had_begun_at_the_image(backtrack):
    """Its objective has changed: the losses, gradients and pairs of the old one say nothing."""
    old, new = (objective_of(*quadratic(6, 20, seed)) for seed in (1, 2))
    used, image = lbfgs(6, backtrack), variable(np.full(6, 0.5))
    for _ in range(5):
        used.step(image, old)
    used.restart()
    fresh, same = lbfgs(6, backtrack), variable(flat(image))
    for _ in range(6):
        found, expected = used.step(image, new), fresh.step(same, new)
        np.testing.assert_array_equal(flat(image), flat(same))
        assert float(found["total"]) == float(expected["total"])
