"""The joint step on a tiny network: what it computes of each picture is its objective's own."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.settings.resolve import resolve
from nst_keras.transfer import batch, scales
from nst_keras.transfer.problem import FeatureExtractors, StyleTransferProblem
from tests.conftest import picture
from tests.transfer.test_loop import SINGLE

CONTENTS = [picture(40, 60, seed=1), picture(40, 60, seed=2)]
STYLES = [picture(50, 50, seed=4), picture(45, 70, seed=5)]


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_terms_and_gradients_are_those_of_each_objective(tiny_weights, precision):
    config = resolve(dataclasses.replace(SINGLE, precision=precision))
    plan = scales.plan_job(config, (40, 60))
    networks = FeatureExtractors(config, tiny_weights)
    objectives = []
    for content, style, factor in zip(CONTENTS, STYLES, (1.0, 1e5), strict=True):
        weights = {"content_weight": factor, "style_weight": 20 * factor}
        own = dataclasses.replace(config, **weights)
        painter = StyleTransferProblem(own, content, [style], networks, plan)
        objectives.append(painter.objective(plan[-1]))
    pictures = np.stack([picture(32, 48, seed=seed) for seed in (7, 8)])
    found = batch.values_and_grads(objectives, tf.constant(pictures))
    values = batch.values(objectives, tf.constant(pictures))
    tolerance = 1e-4 if precision == "float32" else 0.02
    for one, (terms, gradient), value, image in zip(
        objectives, found, values, pictures, strict=True
    ):
        expected, expected_gradient = one.value_and_grad(tf.constant(image[None]))
        for name, term in expected.items():
            assert float(terms[name]) == pytest.approx(float(term), rel=tolerance, abs=1e-8)
            assert float(value[name]) == pytest.approx(float(term), rel=tolerance, abs=1e-8)
        scale = np.abs(expected_gradient).max()
        np.testing.assert_allclose(gradient, expected_gradient, atol=tolerance * scale)
