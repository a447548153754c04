"""Presets filled in, names made canonical, contradictions refused."""

import functools

import pytest

from nst_keras.objective.term_names import matches
from nst_keras.optimizers.facts import FACTS
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import Settings, resolve


def refusal(settings):
    with pytest.raises(InputError) as caught:
        resolve(Config(**settings))
    return str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fills_in_all_that_is_left_open(name):
    open_after = {"content", "regions", "workdir", "output", "time_limit", "memory_limit"}
    open_after |= {"image_every", "log_every", "proof"}
    resolved = resolve(Config(objective=name))
    left = {option for option in OPTIONS if getattr(resolved, option) is None}
    assert left == open_after
    assert (
        set(PRESETS[name].defaults)
        == {option for option, default in vars(Config()).items() if default is None} - open_after
    )


def test_resolving_makes_settings_that_are_still_a_config():
    settings = resolve(Config(style=("a", "b"), max_megapixels=3))
    assert isinstance(settings, Settings) and isinstance(settings, Config)
    assert settings.layers == (
        *(*settings.content_layers, *settings.style_layers, *settings.neighbor_layers),
    )
    assert settings.max_pixels == 3_000_000


@pytest.mark.parametrize(("given", "blend"), [((), (1.0, 1.0)), ((3.0, 7.0), (3.0, 7.0))])
def test_styles_are_blended_equally_unless_weights_are_given(given, blend):
    assert resolve(Config(style=("a", "b"), style_blend=given)).blend(2) == blend


@pytest.mark.parametrize("name", PRESETS)
def test_resolving_twice_changes_nothing(name):
    once = resolve(Config(objective=name, quality="best", style_layers=("relu1_1", "relu2_1")))
    assert resolve(once) == once


def test_the_default_preset_holds_its_tuned_values():
    config = resolve(Config())
    assert config.content_layers == ("block4_conv2", "block5_conv2")
    assert config.style_layers == tuple(f"block{b}_conv1" for b in range(1, 6))
    assert (config.content_weight, config.style_weight, config.tv_weight) == (1.2, 16.0, 2.0)
    assert (config.neighbors_weight, config.match_content) == (1.0, 0.65)
    assert (config.content_focus, config.content_detail, config.style_colors) == (0.75, 1.0, 0.6)
    assert (config.iterations, config.coarse_iterations) == (60, (100, 60))


def test_neighbors_compare_all_layers_of_four_blocks_unless_layers_are_given():
    assert resolve(Config()).neighbor_layers == tuple(
        f"block{block}_conv{index}"
        for block, count in enumerate((2, 2, 4, 4), start=1)
        for index in range(1, count + 1)
    )
    vgg16 = resolve(Config(backbone="vgg16", weights="imagenet"))
    assert len(vgg16.neighbor_layers) == 10
    assert resolve(Config(neighbor_layers=("relu3_1",))).neighbor_layers == ("block3_conv1",)
    without = resolve(Config(neighbors_weight=0.0))
    assert without.neighbor_layers == () and "neighbors" not in without.terms
    assert resolve(Config(objective="gatys", neighbors_weight=1.0)).terms[-2:] == (
        "neighbors",
        "tv",
    )


def test_borders_of_tiles_suit_neighbors_and_the_laplacian_where_these_are_terms():
    assert resolve(Config()).terms[-3:] == ("neighbors", "laplacian", "tv")
    assert resolve(Config()).least_stride == 8
    laplacian = resolve(Config(neighbors_weight=0.0))
    assert "laplacian" in laplacian.terms and laplacian.least_stride == 4
    neither = resolve(Config(neighbors_weight=0.0, laplacian_weight=0.0))
    assert "laplacian" not in neither.terms and neither.least_stride == 1


def test_strength_moves_content_and_style_together():
    faithful, usual, free = (resolve(Config(strength=value)) for value in (0.0, 0.5, 1.0))
    assert usual == resolve(Config())
    for name, rises in (
        ("content_weight", False),
        ("laplacian_weight", False),
        ("style_weight", True),
        ("match_content", False),
    ):
        values = [getattr(one, name) for one in (faithful, usual, free)]
        assert values == sorted(values, reverse=not rises) and len({*values}) == 3
    assert resolve(Config(objective="gatys", strength=1.0)).style_weight > 1000
    assert resolve(Config(strength=1.0, style_weight=3.0)).style_weight == 3.0


@pytest.mark.parametrize(
    ("quality", "iterations", "coarse"),
    [("draft", 200, (400, 200, 200, 200)), ("best", 1250, (2500, 1250, 1250, 1250))],
)
def test_quality_is_a_factor_on_the_presets_steps(quality, iterations, coarse):
    config = resolve(Config(objective="crowsonkb", quality=quality))
    assert config.iterations == iterations
    assert config.coarse_iterations == coarse
    assert resolve(Config(quality="draft")).iterations == 24


@pytest.mark.parametrize("objective", ["neighbors", "relative"])
def test_a_preview_has_one_size_and_a_pyramid(objective):
    config = resolve(Config(objective=objective, quality="preview"))
    assert (config.scales, config.iterations, config.variables) == (1, 20, "pyramid")
    assert config.learning_rate == 0.015
    assert resolve(Config(objective=objective, quality="preview", iterations=9)).iterations == 9
    assert resolve(Config(objective="gatys", quality="preview")).iterations == 200


def best_of(objective, **settings):
    return resolve(Config(objective=objective, quality="best", **settings))


def test_the_best_of_an_objective_may_have_settings_of_its_own():
    config = resolve(Config(objective="relative", quality="best"))
    assert (config.iterations, config.coarse_iterations) == (290, (100, 60))
    assert (config.beta_1, config.learning_rate, config.schedule_end) == (0.95, 0.05, 0.1)
    # They are Adam's, and for its own schedule.
    best = functools.partial(best_of, "relative")
    assert best(optimizer="lbfgs").iterations == 200
    assert best(schedule="cosine").schedule_end == 0.2
    assert best(beta_1=0.5).beta_1 == 0.5


def test_quality_leaves_steps_of_the_users_own_alone():
    config = resolve(Config(quality="best", iterations=7, coarse_iterations=(5,)))
    assert (config.iterations, config.coarse_iterations) == (7, (5,))


@pytest.mark.parametrize(
    ("name", "value"),
    [("style_weight", 3.0), ("tv_weight", 0.0), ("init", "noise"), ("coarse_iterations", ())],
)
def test_a_value_of_the_users_own_wins_over_the_preset(name, value):
    assert getattr(resolve(Config(**{name: value})), name) == value


def test_style_layers_of_the_users_own_share_equally():
    layers = ("block1_conv1", "block2_conv1")
    assert resolve(Config()).style_layer_weights == (1.0, 1.0, 1.0, 1.0, 0.3)
    assert resolve(Config(style_layers=layers)).style_layer_weights == ()
    both = resolve(Config(style_layers=layers, style_layer_weights=(1.0, 3.0)))
    assert both.style_layer_weights == (1.0, 3.0)


def test_layers_get_their_keras_names():
    config = resolve(Config(content_layers=("relu4_2",), style_layers=("conv1_1", "block5_conv4")))
    assert config.content_layers == ("block4_conv2",)
    assert config.style_layers == ("block1_conv1", "block5_conv4")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"style_layers": ("block6_conv1",)}, "--style_layers=block6_conv1: vgg19 has no such"),
        ({"content_layers": ("relu3_9",)}, "--content_layers=relu3_9: vgg19 has no such layer"),
        (
            {"content_layers": ("relu3_4",), "backbone": "vgg16", "weights": "imagenet"},
            "--content_layers=relu3_4: vgg16 has no such layer",
        ),
        (
            {"style_layers": ("relu4_2", "block4_conv2")},
            "--style_layers=relu4_2,block4_conv2: names a layer twice",
        ),
        (
            {"style": ("a", "b"), "style_blend": (1.0,)},
            "--style_blend=1.0: has 1 values, but --style has 2",
        ),
        (
            {"style_layer_weights": (1.0, 2.0)},
            "--style_layer_weights=1.0,2.0: has 2 values, but --style_layers has 5",
        ),
        (
            {"content_layer_weights": (1.0,)},
            "--content_layer_weights=1.0: has 1 values, but --content_layers has 2",
        ),
        (
            {"style": ("a", "b"), "style_blend": (0.0, 0.0)},
            "--style_blend=0.0,0.0: at least one value must be above 0",
        ),
        ({"style_layer_weights": (0.0,) * 5}, "--style_layer_weights=0.0,0.0,0.0,0.0,0.0: at l"),
        (
            {"content_layers": (), "style_layers": (), "neighbors_weight": 0.0},
            "--content_weight=1.2 --style_weight=16.0 --neighbors_weight=0.0: nothing to optimize",
        ),
        (
            {"content_weight": 0.0, "style_weight": 0.0, "neighbors_weight": 0.0},
            "--content_weight=0.0 --style_weight=0.0 --neighbors_weight=0.0: n",
        ),
        (
            {"neighbor_layers": ("relu2_1", "relu5_1")},
            "--neighbor_layers=block2_conv1,block5_conv1: block5_conv1 has one position for 16",
        ),
        ({"backbone": "vgg16"}, "--backbone=vgg16: --weights=embedded holds vgg19 only; give"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, said):
    assert refusal(settings).startswith(said)


@pytest.mark.parametrize("settings", [{"style_layers": ()}, {"content_layers": ()}])
def test_one_side_alone_may_be_optimized(settings):
    resolved = resolve(Config(**settings))
    assert [getattr(resolved, name) for name in settings] == [()]


NEED_A_RATE = ("sgd", "adadelta")


@pytest.mark.parametrize("optimizer", sorted({*FACTS} - {*NEED_A_RATE}))
@pytest.mark.parametrize("objective", PRESETS)
def test_every_optimizer_with_a_known_step_size_goes_with_every_objective(objective, optimizer):
    config = resolve(Config(objective=objective, optimizer=optimizer))
    assert config.optimizer == optimizer
    assert config.learning_rate > 0


@pytest.mark.parametrize("optimizer", NEED_A_RATE)
def test_optimizers_whose_step_depends_on_the_objective_need_a_learning_rate(optimizer):
    said = refusal({"optimizer": optimizer})
    assert said.startswith(f"--optimizer={optimizer}: needs --learning_rate; a good value for")
    assert resolve(Config(optimizer=optimizer, learning_rate=0.5)).learning_rate == 0.5


def test_the_optimizer_an_objective_was_published_with_brings_its_learning_rate():
    assert resolve(Config(objective="keras_example", optimizer="sgd")).learning_rate == 100
    assert resolve(Config(objective="jcjohnson")).optimizer == "lbfgs"
    assert resolve(Config(objective="jcjohnson", optimizer="adam")).learning_rate == 10


def test_lbfgs_takes_whole_steps_without_a_schedule():
    config = resolve(Config(optimizer="lbfgs"))
    assert (config.learning_rate, config.schedule) == (1.0, "constant")
    assert resolve(Config(optimizer="lbfgs", learning_rate=0.5)).learning_rate == 0.5


def test_layer_weights_by_name_change_the_presets_and_leave_the_others():
    config = resolve(Config(style_layer_weights=(("relu5_1", 0.7), ("block1_conv1", 2.0))))
    assert config.style_layer_weights == (2.0, 1.0, 1.0, 1.0, 0.7)
    layers = ("block1_conv2", "block3_conv1")
    config = resolve(Config(style_layers=layers, style_layer_weights=(("relu3_1", 0.5),)))
    assert config.style_layer_weights == (1.0, 0.5)
    config = resolve(Config(content_layers=layers, content_layer_weights=(("relu3_1", 3.0),)))
    assert config.content_layer_weights == (1.0, 3.0)


PIECES = {"schedule": "piecewise"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"style_layer_weights": (("block1_conv1", 1.0), 2.0)},
            "--style_layer_weights=block1_conv1:1.0,2.0: give either plain numbers or",
        ),
        (
            {"style_layer_weights": (("block1_conv2", 1.0),)},
            "--style_layer_weights=block1_conv2:1.0: block1_conv2 is not among --style",
        ),
        ({"style_layer_weights": (("relu9_9", 1.0),)}, "--style_layer_weights=relu9_9: vgg19 has"),
        (PIECES, "--schedule=piecewise --schedule_at=: piecewise needs --schedule_at=STEP:FACTOR"),
        ({"schedule_at": (("5", 0.5),)}, "--schedule=linear --schedule_at=5:0.5: piecewise needs"),
        ({**PIECES, "schedule_at": (("x", 0.5),)}, "--schedule_at=x:0.5: steps must be whole"),
        ({**PIECES, "schedule_at": (("0", 0.5),)}, "--schedule_at=0:0.5: steps must be whole"),
        (
            {**PIECES, "schedule_at": (("9" * 23, 0.5),)},
            f"--schedule_at={'9' * 23}:0.5: steps",
        ),
        (
            {"style_layer_weights": (("relu1_1", 1.0), ("block1_conv1", 2.0))},
            "--style_layer_weights=relu1_1:1.0,block1_conv1:2.0: names a layer twice",
        ),
        (
            {**PIECES, "schedule_at": (("9", 0.5), ("5", 0.1))},
            "--schedule_at=9:0.5,5:0.1: steps must increase",
        ),
        ({"balance": (("sky", 1.0),)}, "--balance=sky:1.0: there is no term sky; choose from"),
        (
            {"balance": (("style", 1.0), ("style/block1_conv1", 2.0))},
            "--balance=style:1.0,style/block1_conv1:2.0: names style/block1_conv1 twice",
        ),
        ({"balance": (("style", 0.0),)}, "--balance=style:0.0: at least one value must be above 0"),
    ],
)
def test_incomplete_or_contradictory_lists_are_refused(settings, said):
    assert refusal(settings).startswith(said)


def test_another_schedule_than_the_presets_has_the_usual_end():
    config = resolve(Config(objective="keras_example", schedule="cosine"))
    assert (config.schedule_end, config.schedule_steps) == (0.2, 0)
    config = resolve(Config(objective="keras_example", schedule="exponential"))
    assert (config.schedule_end, config.schedule_steps) == (0.96, 100)


def test_terms_are_named_by_kind_or_one_by_one():
    config = resolve(Config(objective="relative", style_layers=("relu1_1", "relu2_1")))
    terms = config.terms
    assert terms == ("content/block5_conv2", "style/block1_conv1", "style/block2_conv1", "tv")
    assert [matches(term, "style") for term in terms] == [False, True, True, False]
    assert [matches(term, "style/block2_conv1") for term in terms] == [False, False, True, False]
    assert [matches(term, "tv") for term in terms] == [False, False, False, True]
