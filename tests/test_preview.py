"""`nst try`: what it asks of a sweep."""

import re

import pytest

from nst_keras import preview
from nst_keras.settings.resolve import resolve
from nst_keras.sweeps.session import plan
from nst_keras.transfer import grouping


@pytest.fixture
def asked(monkeypatch):
    """The values of the sweeps that were asked for."""
    values = []

    def sweep(call):
        values.append(call.groups[0].values)
        return 7

    monkeypatch.setattr(preview, "run_sweep", sweep)
    return values


@pytest.fixture
def pictures(picture_paths):
    return [str(path) for path in picture_paths]


def test_six_small_pictures_are_trials_of_strength_and_stroke_size(asked, pictures):
    assert preview.main(pictures) == 7
    (values,) = asked
    sweep, base, trials = plan(values)
    assert len(trials) == 6 and sweep.layout == ("style_scale", "strength")
    assert sweep.batch == 6  # one process for all
    wanted = {trial.name: (resolve(trial.config), (300, 400)) for trial in trials}
    assert len(grouping.group(wanted, sweep.batch)) == 1
    found = {(trial.config.strength, trial.config.style_scale) for trial in trials}
    assert found == {(strength, scale) for strength in (0.2, 0.5, 0.8) for scale in (0.6, 1.2)}
    assert (base.size, base.quality, base.scores, base.gif) == (144, "preview", False, False)
    assert (base.content, *base.style) == tuple(pictures)


def test_flags_of_a_run_win_and_other_values_can_be_tried(asked, pictures):
    flags = ["--size=64", "--strengths=0.4", "--style_scales=1,2", "--workdir=here", "--seed=3"]
    assert preview.main([*pictures, *flags]) == 7
    sweep, base, trials = plan(asked[0])
    assert (base.size, base.seed, base.workdir) == (64, 3, "here")
    assert [trial.config.style_scale for trial in trials] == [1.0, 2.0] and sweep.layout == ()


def test_the_folder_is_named_after_the_pictures_and_the_same_for_the_same_command(asked, pictures):
    for flags in ([], [], ["--seed=1"], ["--strengths=0.4,0.5"]):
        preview.main([*pictures, *flags])
    first, again, *others = [values["workdir"] for values in asked]
    assert first == again and len({first, *others}) == 3
    assert re.fullmatch(r"runs.try_photo_painting-[0-9a-f]{4}", first)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photo.jpg"], "a picture is missing; give both: nst try photo.jpg painting.jpg"),
        (["a", "b", "--strength=0.3"], "--strength=0.3: is what varies; give --strengths=0.3,..."),
        (["a", "b", "--strengths="], "--strengths: give at least one number"),
        (["a", "b", "--strengths=2"], "--strengths=2: must be a number from 0 to 1"),
        (["a", "b", "--strengths=0.5,.5"], "--strengths=0.5,0.5: has a value twice"),
    ],
)
def test_what_it_cannot_do_is_refused(arguments, said, asked, capsys):
    assert preview.main(arguments) == 2
    assert capsys.readouterr().err == f"nst_keras: {said}\n" and not asked
