"""What was published with each objective, literally, and what another optimizer makes of it."""

import pytest

from nst_keras.network import vgg
from nst_keras.optimizers.facts import FACTS
from nst_keras.settings import config, presets
from nst_keras.settings.resolve import preset_values

FIRST_OF_EACH_BLOCK = (
    "block1_conv1",
    "block2_conv1",
    "block3_conv1",
    "block4_conv1",
    "block5_conv1",
)
EQUAL = (1.0, 1.0, 1.0, 1.0, 1.0)

# Of 0..1, of 0..255 and of the deviation of ImageNet's pixels, 0.226.
UNITS = {
    "neighbors": 1.0,
    "relative": 1.0,
    "gatys": 255.0,
    "jcjohnson": 255.0,
    "tf_tutorial": 1.0,
    "keras_example": 255.0,
    "anishathalye": 255.0,
    "pytorch_tutorial": 1 / 0.226,
    "crowsonkb": 1.0,
}
# The others bring the weights of layers to a sum of 1.
LAYERS_SUMMED_AS_THEY_ARE = {"jcjohnson", "pytorch_tutorial"}

ADAM = {
    "optimizer": "adam",
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "adam_colors": "rgb",
}
LBFGS = {"optimizer": "lbfgs", "learning_rate": 1.0}
# What all have that do not say otherwise.
PLAIN = {
    "style_layers": FIRST_OF_EACH_BLOCK,
    "style_layer_weights": EQUAL,
    "schedule": "constant",
    "clamp": False,
    "average": 0.0,
    "init_noise": 0.0,
    "pooling": "max",
    "padding": "zero",
    "scales": 1,
    "coarse_iterations": (),
    "detail_iterations": 0,
    "neighbors_weight": 0.0,
    "laplacian_weight": 0.0,
    "style_colors": 0.0,
    "variables": "pixels",
}
PUBLISHED = {
    "neighbors": {  # our own
        **PLAIN,
        **ADAM,
        "content_layers": ("block4_conv2", "block5_conv2"),
        "style_layer_weights": (1.0, 1.0, 1.0, 1.0, 0.3),
        "content_weight": 1.2,
        "content_focus": 0.75,
        "content_detail": 1.0,
        "style_colors": 0.6,
        "style_weight": 16.0,
        "neighbors_weight": 1.0,
        "laplacian_weight": 6.0,
        "match_content": 0.65,
        "tv_weight": 2.0,
        "beta_2": 0.9,
        "learning_rate": 0.03,
        "schedule": "linear",
        "clamp": True,
        "scales": "auto",
        "iterations": 60,
        "coarse_iterations": (100, 60),
    },
    "relative": {  # our own
        **PLAIN,
        **ADAM,
        "content_layers": ("block5_conv2",),
        "style_layer_weights": (1.0, 1.0, 1.0, 1.0, 0.3),
        "content_weight": 1.0,
        "style_weight": 8.0,
        "tv_weight": 2.0,
        "learning_rate": 0.03,
        "beta_2": 0.9,
        "schedule": "linear",
        "schedule_end": 0.2,
        "schedule_steps": 0,
        "clamp": True,
        "init": "content",
        "scales": "auto",
        "scale_ratio": 2.0,
        "iterations": 80,
        "coarse_iterations": (100, 60),
    },
    "gatys": {  # content to style 1:1000, from noise, average pooling, no total variation
        **PLAIN,
        **LBFGS,
        "content_layers": ("block4_conv2",),
        "content_weight": 1.0,
        "style_weight": 1000.0,
        "tv_weight": 0.0,
        "init": "noise",
        "pooling": "avg",
        "iterations": 1000,
    },
    "jcjohnson": {  # noise of 0.001 on 0..255 around the mean color
        **PLAIN,
        **LBFGS,
        "content_layers": ("block4_conv2",),
        "content_weight": 5.0,
        "style_weight": 100.0,
        "tv_weight": 0.001,
        "init": "mean",
        "init_noise": 0.001 / 255,
        "iterations": 1000,
    },
    "tf_tutorial": {  # 10 epochs of 100 steps
        **PLAIN,
        **ADAM,
        "content_layers": ("block5_conv2",),
        "content_weight": 10000.0,
        "style_weight": 0.01,
        "tv_weight": 30.0,
        "learning_rate": 0.02,
        "beta_1": 0.99,
        "epsilon": 0.1,
        "clamp": True,
        "init": "content",
        "iterations": 1000,
    },
    "keras_example": {  # 100 * 0.96^(step / 100)
        **PLAIN,
        "content_layers": ("block5_conv2",),
        "content_weight": 2.5e-8,
        "style_weight": 1e-6,
        "tv_weight": 1e-6,
        "optimizer": "sgd",
        "learning_rate": 100.0,
        "schedule": "exponential",
        "schedule_end": 0.96,
        "schedule_steps": 100,
        "init": "content",
        "iterations": 4000,
    },
    "anishathalye": {  # noise of 0.256 on 0..255 around the mean color
        **PLAIN,
        **ADAM,
        "content_layers": ("block4_conv2",),
        "content_weight": 5.0,
        "style_weight": 500.0,
        "tv_weight": 100.0,
        "learning_rate": 10.0,
        "init": "mean",
        "init_noise": 0.256 / 255,
        "iterations": 1000,
    },
    "pytorch_tutorial": {
        **PLAIN,
        **ADAM,
        "content_layers": ("block4_conv2",),
        "style_layer_weights": (1.0, 0.8, 0.5, 0.3, 0.1),
        "content_weight": 1.0,
        "style_weight": 1000000.0,
        "tv_weight": 0.0,
        "learning_rate": 0.003,
        "init": "content",
        "iterations": 2000,
    },
    "crowsonkb": {  # 128 to 512 px in steps of the root of 2: 1000 steps, then 500 each
        **PLAIN,
        **ADAM,
        "content_layers": ("block4_conv2",),
        "style_layer_weights": (256.0, 64.0, 16.0, 4.0, 1.0),
        "content_weight": 0.015,
        "style_weight": 1.0,
        "tv_weight": 2.0,
        "learning_rate": 0.02,
        "beta_2": 0.99,
        "clamp": True,
        "average": 0.99,
        "init": "content",
        "padding": "replicate",
        "scales": "auto",
        "scale_ratio": 2**0.5,
        "iterations": 500,
        "coarse_iterations": (1000, 500, 500, 500),
    },
}
# Step sizes for pixels in 0..1.
STEP_SIZES = {
    "adam": 0.02,
    "adamw": 0.02,
    "adamax": 0.02,
    "nadam": 0.02,
    "lion": 0.01,
    "rmsprop": 0.01,
    "adagrad": 0.1,
    "lamb": 0.02,
    "adafactor": 0.02,
}
# Adam beside L-BFGS: jcjohnson's own -learning_rate; ours for the paper, which has none.
OWN_ADAM = {"gatys": 2.0, "jcjohnson": 10.0}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_preset_is_what_was_published(name):
    found = presets.PRESETS[name].defaults
    assert {key: found[key] for key in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_unit_of_pixels_and_the_sum_of_layers_are_those_published(name):
    preset = presets.PRESETS[name]
    assert preset.pixel_range == pytest.approx(UNITS[name], rel=1e-12)
    assert preset.shares == (name not in LAYERS_SUMMED_AS_THEY_ARE)


def test_there_is_a_table_for_every_preset():
    assert list(presets.PRESETS) == list(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_decides_the_same_options_as_all_others_and_names_layers_of_the_network(name):
    found = presets.PRESETS[name].defaults
    assert found.keys() == presets.PRESETS["relative"].defaults.keys()
    assert found.keys() <= config.OPTIONS.keys()
    assert {*found["content_layers"], *found["style_layers"]} <= {*vgg.layer_names("vgg19")}
    assert len(found["style_layers"]) == len(found["style_layer_weights"])
    for key, value in found.items():
        config.OPTIONS[key].check(value)


def with_optimizer(name, optimizer):
    return preset_values(config.Config(objective=name, optimizer=optimizer))


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_own_optimizer_leaves_a_preset_as_it_is(name):
    preset = presets.PRESETS[name]
    for own in (None, preset.defaults["optimizer"]):
        assert with_optimizer(name, own) == preset.defaults


@pytest.mark.parametrize("name", PUBLISHED)
def test_lbfgs_takes_full_steps_without_schedule_or_average(name):
    preset = presets.PRESETS[name]
    usual = {"schedule": "constant", "schedule_end": 0.2, "schedule_steps": 0, "average": 0.0}
    changed = {**LBFGS, **usual}
    assert with_optimizer(name, "lbfgs") == {**preset.defaults, **changed}


def others(optimizers):
    """(preset, optimizer) where that is not the preset's own."""
    return [
        (name, other)
        for name, published in PUBLISHED.items()
        for other in optimizers
        if other != published["optimizer"]
    ]


@pytest.mark.parametrize(("name", "optimizer"), others(STEP_SIZES))
def test_another_optimizer_takes_its_usual_step_in_the_preset_s_unit(name, optimizer):
    preset = presets.PRESETS[name]
    of_the_norm = optimizer in ("lamb", "adafactor")  # no matter in which unit
    rate = STEP_SIZES[optimizer] * (1.0 if of_the_norm else UNITS[name])
    if optimizer == "adam":
        rate = OWN_ADAM.get(name, rate)
    changed = {**ADAM, "optimizer": optimizer, "learning_rate": pytest.approx(rate)}
    assert with_optimizer(name, optimizer) == {**preset.defaults, **changed}


@pytest.mark.parametrize(("name", "optimizer"), others(["sgd", "adadelta"]))
def test_an_optimizer_that_follows_the_gradient_s_size_leaves_its_rate_open(name, optimizer):
    preset = presets.PRESETS[name]
    found = with_optimizer(name, optimizer)
    changed = {**ADAM, "optimizer": optimizer, "learning_rate": None}
    assert found == {**preset.defaults, **changed}


def test_optimizers_are_those_with_a_step_size_and_those_without():
    assert tuple(FACTS)[:2] == ("adam", "lbfgs")
    assert sorted(FACTS) == sorted([*STEP_SIZES, "lbfgs", "sgd", "adadelta"])


def test_presets_do_not_change_when_one_is_asked_with_another_optimizer():
    before = {name: dict(preset.defaults) for name, preset in presets.PRESETS.items()}
    for name in presets.PRESETS:
        for optimizer in FACTS:
            with_optimizer(name, optimizer)
    assert before == {name: preset.defaults for name, preset in presets.PRESETS.items()}
