"""Replicas: parts of the CPU against one device, and two processes against one."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import Config, stylize
from nst_keras.devices import replicas as replicas_lib
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import problem as problem_lib
from nst_keras.transfer.inputs import read_inputs
from nst_keras.transfer.planning import make_plan
from tests.conftest import picture
from tests.devices.conftest import pretend
from tests.network.conftest import distance_error, switching

CONTENT, STYLE = picture(90, 120, seed=1), picture(50, 50, seed=2)
CONFIG = Config(
    objective="relative",
    size=120,
    scales=1,
    iterations=6,
    style_layers=("block1_conv1", "block2_conv1"),
    content_layers=("block2_conv2",),
    precision="float32",
    learning_rate=0.02,
    log_every=1,
)


def replicas(count):
    return replicas_lib.make_replicas("mirrored", count)


def paint(weights, config=CONFIG, **options):
    *_, last = stylize(CONTENT, STYLE, config, weights=weights, **options)
    return last.image, last.evaluate()


def assert_alike(image, other):
    """Pictures differ by a small share of their way from the content."""
    share = switching(distance_error("float32", convolutions=4, positions=90 * 120), convolutions=4)
    assert np.linalg.norm(image - other) < share * np.linalg.norm(other - CONTENT)


def test_without_distribution_there_is_one_replica():
    one = replicas_lib.make_replicas("none")
    assert (one.count, one.hosts, one.is_chief, one.devices) == (1, 1, True, ("",))
    assert one.own(0) == 0 and one.own(1) is None
    assert one.total({"a": 3}) == one.from_chief({"a": 3}) == {"a": 3}


@pytest.fixture(scope="module")
def by_one(tiny_weights):
    """The picture of one device, and its losses."""
    return paint(tiny_weights)


@pytest.fixture(scope="module")
def by_two(tiny_weights):
    """The picture of two replicas, and its losses."""
    return paint(tiny_weights, replicas=replicas(2))


def test_parts_of_the_processor_make_the_picture_that_one_device_makes(
    tiny_weights, by_one, monkeypatch
):
    image, losses = by_one
    made = []

    class Watched(problem_lib.TiledEvaluator):
        def __init__(self, networks, *others, tiles, replicas, **options):
            super().__init__(networks, *others, tiles=tiles, replicas=replicas, **options)
            made.append((len(networks), len(tiles), replicas.count))

    monkeypatch.setattr(problem_lib, "TiledEvaluator", Watched)
    shared, shared_losses = paint(tiny_weights, replicas=replicas(3))
    ((networks, tiles, parts),) = made
    assert networks == parts == 3 <= tiles
    assert shared_losses == pytest.approx(losses, rel=0.01)
    assert_alike(shared, image)


def problem_of(weights, shared=replicas_lib.ALONE, **settings):
    """The problem that `CONFIG` describes."""
    resolved = resolve(dataclasses.replace(CONFIG, **settings))
    inputs = read_inputs(resolved, CONTENT, STYLE, weights)
    plan = make_plan(resolved, inputs, shared)
    return problem_lib.StyleTransferProblem(resolved, inputs, plan, shared)


def test_value_and_gradient_over_replicas_are_those_of_one_device(tiny_weights):
    found = []
    for shared in (replicas_lib.ALONE, replicas(3)):
        problem = problem_of(tiny_weights, shared)
        objective = problem.objective(problem.plan.scales[-1], problem.plan.tile_size)
        assert objective.evaluator.in_graph == (shared.count == 1)
        evaluate = objective.compiled(objective.value_and_grad)
        found.append(evaluate(tf.constant(picture(90, 120, seed=7)[None])))
    (losses, gradient), (others, summed) = found
    for name, value in losses.items():
        np.testing.assert_allclose(others[name], value, rtol=1e-4, err_msg=name)
    assert np.linalg.norm(summed - gradient) < 1e-4 * np.linalg.norm(gradient)


def test_a_picture_with_too_few_tiles_for_all_replicas_is_computed_by_one(tiny_weights):
    # The smallest tiles of this layer have a side of 28 px: there are two of them.
    small = {"size": 32, "style_layers": ("block3_conv1",), "tile_size": 28}
    found = []
    for shared in (replicas_lib.ALONE, replicas(3)):
        problem = problem_of(tiny_weights, shared, **small)
        objective = problem.objective(problem.plan.scales[-1], problem.plan.tile_size)
        assert not objective.evaluator.in_graph
        losses, gradient = objective.value_and_grad(tf.constant(picture(24, 32, seed=7)[None]))
        found.append((float(losses["total"]), gradient.numpy()))
    (total, gradient), (same, others) = found
    assert total == same
    np.testing.assert_array_equal(gradient, others)


def test_the_same_replicas_give_the_same_bytes(tiny_weights, by_one, by_two):
    again, _ = paint(tiny_weights, replicas=replicas(2))
    np.testing.assert_array_equal(again, by_two[0])
    assert_alike(again, by_one[0])


def test_a_run_resumes_with_another_number_of_replicas(tiny_weights, by_two, tmp_path):
    folder = {"folder": tmp_path, "run": "a", "every": 0, "minutes": 0, "keep": 1}
    options = {"config": CONFIG, "weights": tiny_weights}
    iterates = stylize(
        CONTENT, STYLE, checkpointer=Checkpointer(**folder), replicas=replicas(2), **options
    )
    while next(iterates).step < 4:
        pass
    iterates.close()  # saves
    rest = stylize(
        CONTENT, STYLE, checkpointer=Checkpointer(**folder), replicas=replicas(3), **options
    )
    seen = [(iterate.step, iterate.image) for iterate in rest]
    assert [step for step, _ in seen] == [5, 6]
    assert_alike(seen[-1][1], by_two[0])


@pytest.mark.parametrize("xla", [False, True])
def test_each_device_computes_its_tiles_with_its_own_network(tiny_weights, xla):
    problem = problem_of(tiny_weights, replicas(3), xla=xla)
    evaluator = problem.objective(problem.plan.scales[-1]).evaluator
    image, used = tf.constant(CONTENT[None]), []
    for worker, name in enumerate(evaluator._replicas.devices):
        number = evaluator._rounds[0][worker]
        sums = evaluator._run(name, evaluator._passes[worker][0], number, image)
        device = sums["style/block1_conv1"].device
        network = problem.extractors.networks[worker].sections[0]
        assert {weight.value.device for weight in network.weights} == {device}
        used.append(device)
    assert [name[-5:] for name in used] == ["CPU:0", "CPU:1", "CPU:2"]


def test_a_picture_too_small_to_be_shared_is_computed_in_one_piece(tiny_weights):
    config = Config(
        objective="relative", size=32, scales=1, iterations=2, precision="float32"
    )  # to layers whose halos are larger than the picture
    image, _ = paint(tiny_weights, config)
    shared, _ = paint(tiny_weights, config, replicas=replicas(3))
    np.testing.assert_array_equal(image, shared)


# Hosts


def host(number, hosts=3, parts=1):
    return replicas_lib.Replicas(tuple(f"/cpu:{n}" for n in range(parts)), hosts, number)


def test_each_host_owns_its_devices_among_all():
    second = host(1, hosts=3, parts=2)
    assert second.count == 6 and not second.is_chief
    assert [second.own(index) for index in range(6)] == [None, None, 0, 1, None, None]


def test_what_comes_from_the_chief_is_what_the_chief_has():
    added = []

    def total(nest):
        added.append(nest)
        return nest

    for number, expected in ((0, 5.0), (1, 0.0)):
        one = replicas_lib.Replicas(("/cpu:0",), 2, number, total)
        one.from_chief((tf.constant(5.0), 7))
        assert float(added[-1][0]) == expected and int(added[-1][1]) == (0 if number else 7)


def test_more_gpus_than_there_are_are_refused(monkeypatch):
    pretend(monkeypatch, gpus=2)
    with pytest.raises(
        InputError, match="^--replicas=3: must be at most 2, the number of GPUs of this host$"
    ):
        replicas_lib.make_replicas("mirrored", 3)
    assert replicas_lib._local_devices(0) == ["/gpu:0", "/gpu:1"]
    assert replicas_lib._local_devices(1) == ["/gpu:0"]


def test_the_processor_cannot_be_split_once_tensorflow_computes():
    tf.constant(0)
    with pytest.raises(InputError, match="^--replicas=9: "):
        replicas_lib._split_processor(9)


def test_gpus_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="--distribute=mirrored: this host has no GPU"):
        replicas_lib.make_replicas("mirrored")


def test_a_tpu_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="--distribute=tpu: "):
        replicas_lib.make_replicas("tpu")


FLAGS = (
    *("--size=160", "--scales=1", "--iterations=150", "--precision=float32", "--log_every=1"),
    *("--style_layers=relu1_1,relu2_1", "--content_layers=relu2_1", "--checkpoint_every=2"),
    *("--nogif", "--noscores", "--image_every=0"),
)


def start_hosts(command, port, folder):
    """Two processes on this machine that are two hosts of one job."""
    cluster = {"worker": [f"localhost:{port}", f"localhost:{port + 1}"]}
    hosts = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        log = open(folder.parent / f"{folder.name}_{index}.log", "a")  # noqa: SIM115
        hosts.append(
            subprocess.Popen(
                [*command, "--distribute=multiworker", f"--workdir={folder}"],
                env={**os.environ, "TF_CONFIG": config},
                stdout=log,
                stderr=log,
            )
        )
        log.close()
    return hosts


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


@pytest.mark.slow
def test_two_hosts_make_one_picture_and_survive_the_loss_of_one(
    tmp_path, picture_paths, tiny_weights_path
):
    content, style = picture_paths
    command = [sys.executable, "-m", "nst_keras.run", f"--content={content}", f"--style={style}"]
    command += [*FLAGS, f"--weights={tiny_weights_path}"]
    for host in start_hosts(command, free_port(), tmp_path / "whole"):
        assert host.wait(300) == 0
    subprocess.run([*command, f"--workdir={tmp_path / 'one'}"], check=True)
    hosts = start_hosts(command, free_port(), tmp_path / "killed")
    wait_for(tmp_path / "killed" / "checkpoints", hosts)
    hosts[1].send_signal(signal.SIGKILL)
    assert hosts[1].wait(30) == -signal.SIGKILL
    assert hosts[0].wait(300) == 75
    assert not (tmp_path / "killed" / "result.png").exists()
    for host in start_hosts(command, free_port(), tmp_path / "killed"):
        assert host.wait(300) == 0
    killed, whole = (tmp_path / name / "result.png" for name in ("killed", "whole"))
    assert killed.read_bytes() == whole.read_bytes()
    # Later steps multiply the roundings of earlier ones, about tenfold in ten steps.
    one, two = (first_losses(tmp_path / name) for name in ("one", "whole"))
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)


def first_losses(folder: Path) -> list[list[float]]:
    """All losses of the first three steps of a run."""
    rows = (folder / "metrics.jsonl").read_text().splitlines()[:3]
    return [list(json.loads(row)["terms"].values()) for row in rows]


def wait_for(checkpoints: Path, hosts) -> None:
    """Until the first checkpoint is there."""
    for _ in range(3000):
        if any(checkpoints.glob("step_*.npz")):
            return
        assert all(host.poll() is None for host in hosts)
        time.sleep(0.02)
    raise AssertionError("no checkpoint came")
