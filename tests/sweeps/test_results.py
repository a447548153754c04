"""The table, the page and the progress of a sweep, from run folders as they stand."""

import csv
import dataclasses
import json
import subprocess
import sys

import pytest

from nst_keras.runs import comparison
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.record import RunRecord
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.sweeps.folder import SweepFolder
from nst_keras.sweeps.results import Results, SweepProgress, check_metric, incomparable
from nst_keras.sweeps.trials import TrialRow, make_trials, read_vary
from tests.runs.conftest import page_data, write_run

BASE = Config(content="photo.jpg", style=("painting.jpg",))


def as_json(config, hashes):
    return dataclasses.asdict(folder_lib.fingerprint(config, hashes))


@pytest.fixture
def sweep(tmp_path):
    """A sweep of four trials: two finished, one begun, one not."""
    folder = SweepFolder(tmp_path / "weights")
    folder.prepare()
    variations = [read_vary("style_weight=4,8e0"), read_vary("style_scale=1,2")]
    trials = make_trials(BASE, [TrialRow("t.csv, row 2", "a", "look here")], variations)
    for trial, ssim in zip(trials[:3], (0.5, 0.9, None), strict=True):
        settings = {
            "style_weight": repr(trial.config.style_weight),
            "style_scale": repr(trial.config.style_scale),
        }
        changes = {"status": "running", "final_terms": None}
        if ssim:
            scores = {"ssim": ssim, "gram_error/block3_conv3": 1 - ssim}
            changes = {"scores": {**scores, "high_frequency": ssim + 0.4}}
        requested = as_json(trial.config, {"content": "aaaa1111"})
        write_run(folder.run(trial.name).path, settings, requested=requested, **changes)
    return folder, trials


def read_table(folder):
    with open(folder.results, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_settings_figures_and_failures(sweep):
    folder, trials = sweep
    names = [trial.name for trial in trials]
    for name in (names[0], names[3]):  # the first was finished later
        folder.failure(name).write_text("out of paint, twice\n")

    assert Results(folder, trials).conclude()

    rows = read_table(folder)
    assert [row["name"] for row in rows] == names
    assert [row["status"] for row in rows] == ["finished", "finished", "running", "failed"]
    assert [row["style_weight"] for row in rows] == ["4", "4", "8e0", "8e0"]  # as written
    assert [row["total"] for row in rows] == ["0.5", "0.5", "", ""]
    assert [row["ssim"] for row in rows] == ["0.5", "0.9", "", ""]
    assert [row["seconds"] for row in rows] == ["12.5", "12.5", "12.5", ""]
    assert [row["steps"] for row in rows] == ["40", "40", "40", ""]
    assert {row["note"] for row in rows} == {"look here"}
    assert [row["error"] for row in rows] == ["", "", "", "out of paint, twice"]
    assert "rank" not in rows[0]


@pytest.mark.parametrize(
    ("metric", "first"),
    [
        ("ssim", 1),  # more is better
        ("gram_error", 1),  # less is better
        ("gram_error/block3_conv3", 1),
        ("high_frequency", 0),  # 0.9 is nearer to 1 than 1.3
        ("total", 0),  # a tie keeps the order
        ("seconds", 0),
    ],
)
def test_a_metric_ranks(sweep, metric, first):
    folder, trials = sweep

    Results(folder, trials, metric).refresh()

    rows = read_table(folder)
    assert [row["rank"] for row in rows] == ["1", "2", "", ""]
    assert rows[0]["name"] == trials[first].name
    assert page_data(folder.page)["runs"][0]["name"] == trials[first].name


def test_the_page_is_laid_out_by_two_varied_settings(sweep):
    folder, trials = sweep

    Results(folder, trials).refresh()

    page = page_data(folder.page)
    assert page["title"] == "harbor in the style of lily pond: 3 of 4 trials"
    assert page["layout"] == ["style_weight", "style_scale"]
    assert [run["link"] for run in page["runs"]] == [
        f"trials/{trial.name.replace('=', '%3D')}/index.html" for trial in trials[:3]
    ]
    assert {run["note"] for run in page["runs"]} == {"look here"}
    assert [run["finished"] for run in page["runs"]] == [True, True, False]


def test_a_layout_of_ones_own_and_one_that_no_run_has(sweep):
    folder, trials = sweep
    for layout, shown in [
        (("style_scale", "content"), ["style_scale", "content"]),
        (("style_scale", "time_limit"), []),
    ]:
        Results(folder, trials, "", layout).refresh()
        assert page_data(folder.page)["layout"] == shown


def test_settings_that_change_no_picture_lay_out_no_page(sweep):
    folder, _ = sweep
    for vary, layout in [
        (["gif=true,false", "seed=1,2"], []),
        (["gif=true,false", "seed=1,2", "init=noise,gray"], ["seed", "init"]),
    ]:
        trials = make_trials(BASE, [], [read_vary(text) for text in vary])
        for trial in trials:
            texts = {name: trial.text(name) for name in ("gif", "seed", "init")}
            requested = as_json(trial.config, {})
            write_run(folder.run(trial.name).path, texts, requested=requested)

        assert Results(folder, trials).conclude()

        assert page_data(folder.page)["layout"] == layout


def test_a_page_that_cannot_be_written_leaves_the_table(sweep, caplog):
    folder, trials = sweep
    folder.page.write_text("years of work")

    assert not Results(folder, trials).conclude()

    assert folder.page.read_text() == "years of work"
    assert len(read_table(folder)) == 4
    (said,) = caplog.messages
    assert said.startswith(f"{folder.page} cannot be written: ") and "not a comparison" in said


def test_a_run_of_other_settings_or_inputs_is_not_the_trials(sweep):
    folder, trials = sweep
    name = trials[1].name
    config = dataclasses.replace(trials[1].config, content_weight=9.0)
    changed = [trials[0], dataclasses.replace(trials[1], config=config), *trials[2:]]
    ours, another = (
        folder_lib.fingerprint(trials[1].config, {"content": n}) for n in ("aaaa1111", "b")
    )

    for theirs, asked, status in [
        (trials, None, "finished"),
        (changed, None, "waiting"),
        (trials, ours, "finished"),
        (trials, another, "waiting"),
    ]:
        results = Results(folder, theirs, "ssim", fingerprints={name: asked} if asked else {})
        results.conclude()
        (row,) = (row for row in read_table(folder) if row["name"] == name)
        shown = {run["name"] for run in page_data(folder.page)["runs"]}
        assert row["status"] == status
        assert bool(row["ssim"]) == bool(row["rank"]) == (name in shown) == (status == "finished")
        assert bool(results.read(name)) == (status == "finished")


def test_without_runs_there_is_a_table_and_no_page(tmp_path):
    folder = SweepFolder(tmp_path / "new")
    folder.prepare()
    trials = make_trials(BASE, [], [read_vary("init=noise,gray")])

    assert not Results(folder, trials).conclude()

    assert [row["status"] for row in read_table(folder)] == ["waiting", "waiting"]
    assert not folder.page.exists()


def test_the_reason_of_a_failed_run_is_in_the_table(sweep):
    folder, trials = sweep
    folder.run(trials[2].name).update_record(status="failed", reason="out of memory")

    Results(folder, trials).conclude()

    row = read_table(folder)[2]
    assert (row["status"], row["error"]) == ("failed", "out of memory")


def test_damaged_records_harm_no_table(sweep):
    folder, trials = sweep
    run = folder.run(trials[0].name)
    ours = {"requested": run.read_record().as_json()["requested"]}
    for damage in (
        {"settings": [1], "final_terms": 3, "scores": "x"},
        {"scores": {"ssim": "x"}},
        {"requested": 3},
        None,
    ):
        run.record.write_text(json.dumps({**ours, **damage} if damage else damage))
        Results(folder, trials, "ssim").conclude()
        assert [row["rank"] for row in read_table(folder)] == ["1", "", "", ""]


def test_a_page_that_takes_long_is_not_renewed_each_time(sweep, monkeypatch):
    folder, trials = sweep
    written = []
    monkeypatch.setattr(comparison, "write_page", lambda *_: written.append(now[0]))
    now = [100.0]

    def clock():
        now[0] += 1.0  # so a page takes a second
        return now[0]

    monkeypatch.setattr("time.monotonic", clock)
    found = Results(folder, trials)
    for _ in range(12):
        found.refresh()
    assert 1 <= len(written) <= 3
    before = len(written)
    found.conclude()
    assert len(written) == before + 1


def test_a_metric_must_be_had():
    trials = make_trials(BASE, [], [read_vary("style_weight=4,8")])
    for metric in ("ssim", "gram_error", "total", "style", "style/block1_conv1", "tv", "seconds"):
        check_metric(metric, trials)
    check_metric("gram_error/block3_conv3", trials)
    for metric in ("beauty", "style/block9_conv1", "-ssim", "ssim/foo", "gram_error/block1_conv1"):
        with pytest.raises(InputError, match=f"--objective_metric={metric}: must be one of"):
            check_metric(metric, trials)
    without = make_trials(Config(**{**vars(BASE), "scores": False}), [], [read_vary("init=noise")])
    with pytest.raises(InputError, match="init=noise has --noscores"):
        check_metric("ssim", without)


def test_a_metric_is_checked_without_tensorflow():
    program = (
        "import sys\n"
        "from nst_keras.settings.config import Config\n"
        "from nst_keras.sweeps import results, trials\n"
        "base = Config(content='photo.jpg', style=('painting.jpg',))\n"
        "found = trials.make_trials(base, [], [trials.read_vary('init=noise,gray')])\n"
        "results.check_metric('gram_error/block3_conv3', found)\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_losses_under_other_weights_are_other_quantities():
    weights = make_trials(BASE, [], [read_vary("style_weight=4,8"), read_vary("init=noise,gray")])
    starts = make_trials(BASE, [], [read_vary("init=noise,gray")])
    assert incomparable("total", weights) == ["style_weight"]
    assert incomparable("ssim", weights) == incomparable("seconds", weights) == []
    assert incomparable("total", starts) == []


@pytest.mark.parametrize(
    ("metric", "decisive"),
    [
        ("gram_error", ["style_layers", "size"]),
        ("gram_error/block3_conv3", ["style_layers", "size"]),
        ("content_cosine", ["size"]),
        ("ssim", ["size"]),
        ("seconds", []),
    ],
)
def test_scores_by_other_yardsticks_are_other_quantities(metric, decisive):
    layers = read_vary("style_layers=block1_conv1|block1_conv1,block2_conv2")
    others = [read_vary("size=128,256"), read_vary("init=noise,gray")]
    trials = make_trials(BASE, [], [layers, *others])
    assert incomparable(metric, trials) == decisive


def test_gram_errors_of_more_layers_are_no_worse_for_that(sweep):
    folder, trials = sweep
    for trial, errors in zip(trials[:2], ((0.2, 0.2, 0.2), (0.3, 0.25)), strict=True):
        run = folder.run(trial.name)
        scores = {f"gram_error/block{n}_conv3": error for n, error in enumerate(errors, start=2)}
        run.update_record(scores=scores)
    Results(folder, trials, "gram_error").conclude()
    assert [row["name"] for row in read_table(folder)][:2] == [trial.name for trial in trials[:2]]


def test_a_page_is_renewed_aside_and_by_one_at_a_time(sweep):
    folder, trials = sweep
    waiting = []
    found = Results(folder, trials, submit=waiting.append)
    found.refresh()
    assert folder.results.exists() and not folder.page.exists()
    found.refresh()
    assert len(waiting) == 1
    waiting.pop()()
    assert folder.page.exists()


# Progress.


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_progress_says_what_is_left(clock):
    records = {name: RunRecord() for name in "abcd"}
    records["a"] = RunRecord(step=50, total_steps=100)
    progress = SweepProgress(records.__getitem__, list("abcd"))
    assert progress.describe(80) == "0 of 4 trials done"

    clock[0] = 20.0
    progress.done.add("a")  # its second half took 20 s
    assert progress.describe(80) == "1 of 4 trials done  2:00 left"

    clock[0] = 55.0
    progress.failed["d"] = "the reason"
    records["b"] = RunRecord(step=60, total_steps=100)
    assert progress.describe(80) == "1 of 4 trials done  1 failed  1:10 left"
    assert progress.share() == pytest.approx((1 + 0.6 + 0) / 3)

    progress.done.add("b")
    progress.done.add("c")
    assert progress.describe(80) == "3 of 4 trials done  1 failed"
    assert progress.share() == 1.0


@pytest.mark.parametrize(
    ("record", "share"),
    [
        (RunRecord(), 0.0),
        (RunRecord(step=3), 0.0),
        (RunRecord(step=-3, total_steps=10), 0.0),
        (RunRecord(step=3, total_steps=0), 0.0),
        (RunRecord(step=3, total_steps=-10), 0.0),
        (RunRecord(step=5, total_steps=10), 0.5),
        (RunRecord(step=10, total_steps=10), 0.99),  # the result is still to be written
        (RunRecord(step=99, total_steps=10), 0.99),
    ],
)
def test_an_unfinished_trial_counts_by_its_steps(clock, record, share):
    assert SweepProgress(lambda _: record, ["a"]).share() == pytest.approx(share)
