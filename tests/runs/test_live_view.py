"""Runs with a live page: what it shows of them, and what they do as it asks."""

import io
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from nst_keras.live import picture as picture_lib
from nst_keras.live import server as server_lib
from nst_keras.live.server import LiveServer, open_server
from nst_keras.runs import command as run
from nst_keras.runs import live_view
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.writers import RunWriter
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.sweeps import session as sweep_session
from tests.conftest import files_of, flags_of, logged_steps
from tests.live.conftest import get, post
from tests.runs.test_session import at_step, run_batch


@pytest.fixture
def two_scales(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """The flags of a run of 10 steps at two scales, with a live page."""
    monkeypatch.chdir(tmp_path)
    return [*flags_of(picture_paths, tiny_weights_path), "--serve"]


@pytest.fixture
def job(two_scales):
    """The flags of a run of 6 steps, with a live page."""
    return [*two_scales, "--scales=1"]


@pytest.fixture(scope="module")
def whole(picture_paths, tiny_weights_path, tmp_path_factory):
    """The files of `job` without a live page."""
    folder = tmp_path_factory.mktemp("without_page") / "job"
    flags = [*flags_of(picture_paths, tiny_weights_path), "--scales=1", f"--workdir={folder}"]
    assert run.main(flags) == 0
    return files_of(folder)


@pytest.fixture
def servers(monkeypatch):
    """The servers that were opened; none waits for its browser, which is a test that looks once."""
    opened = []
    monkeypatch.setattr(server_lib, "_FAREWELL_SECONDS", 0.0)

    def open_server(*arguments):
        opened.append(LiveServer(*arguments))
        return opened[-1]

    monkeypatch.setattr(live_view, "open_server", open_server)
    return opened


def state_of(server):
    return json.loads(get(server, "/state.json").body)


def results(files):
    names = ("result.png", "metrics.jsonl")
    return {name: files[name] for name in names} | {
        name: data for name, data in files.items() if name.startswith("iterations/")
    }


def test_the_page_shows_the_run_and_changes_nothing(job, whole, servers, monkeypatch, capsys):
    states, sizes = {}, {}

    def look(step):
        states[step] = state_of(servers[0])
        sizes[step] = Image.open(io.BytesIO(get(servers[0], "/picture.jpg").body)).size

    monkeypatch.setattr(picture_lib, "_LEAST_PAUSE", 0.0)
    at_step(monkeypatch, 3, "job", lambda: look(3))
    at_step(monkeypatch, 4, "job", lambda: look(4))
    monkeypatch.setattr(
        live_view.LiveView, "write", lambda self: states.update(last=state_of(servers[0]))
    )
    assert run.main([*job, "--quiet"]) == 0
    assert results(files_of(Path("job"))) == results(whole)
    url = servers[0].url
    assert f"nst_keras: live page: {url}\n" in capsys.readouterr().err
    assert sizes == {3: (60, 40), 4: (48, 32)}  # nobody had looked before: the photo
    assert states[4]["headline"] == "Painting, scale 1 of 1"
    assert states[4]["title"].count(" in the style of ") == 1
    assert {"total", "content", "style", "tv"} == {*states[4]["curves"]}
    assert states["last"]["share"] == 1.0 and states["last"]["actions"] == []
    assert "step 6 of 6" in states["last"]["facts"]
    with pytest.raises(OSError):  # it has ended with the run
        get(servers[0])


def test_a_paused_run_ends_with_the_same_bytes(job, whole, servers, monkeypatch):
    threads, pages = [], []

    def resume():
        while state_of(servers[0])["phase"] != "paused":
            time.sleep(0.05)
        time.sleep(0.5)  # paused
        pages.append((RunFolder("job").read_record().status, Path("job/index.html").read_text()))
        assert post(servers[0], "resume").status == 200

    def pause():
        assert post(servers[0], "pause").status == 200
        threads.append(threading.Thread(target=resume))
        threads[-1].start()

    at_step(monkeypatch, 3, "job", pause)
    assert run.main(job) == 0
    threads[0].join()
    ((status, page),) = pages
    assert status == "paused" and "<strong>Paused</strong>, step " in page
    assert "when Resume is pressed" in page
    assert results(files_of(Path("job"))) == results(whole)
    record = RunFolder("job").read_record()
    assert record.parts["paused"] >= 0.3
    assert record.seconds <= sum(record.parts.values()) - record.parts["paused"] + 0.5


def test_a_stopped_run_resumes_to_the_same_bytes(job, whole, servers, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        at_step(patch, 3, "job", lambda: post(servers[0], "stop"))
        assert run.main(job) == 75
    assert "stopped after step 3; resume with: " in capsys.readouterr().err
    record = RunFolder("job").read_record()
    assert record.status == "interrupted" and record.finished_early is None
    assert "--serve=true" not in Path("job/flags.cfg").read_text()
    assert run.main(["--workdir=job"]) == 0
    assert len(servers) == 1  # nobody asked for a page this time
    assert results(files_of(Path("job"))) == results(whole)


def test_a_paused_run_is_finished_with_the_picture_as_it_is(two_scales, servers, monkeypatch):
    threads = []

    def finish():
        while state_of(servers[0])["phase"] != "paused":
            time.sleep(0.05)
        post(servers[0], "finish")

    def pause():
        if threads:  # the step is written again, as the last one
            return
        post(servers[0], "pause")
        threads.append(threading.Thread(target=finish))
        threads[-1].start()

    at_step(monkeypatch, 4, "job", pause)  # the last of the first scale
    assert run.main([*two_scales, "--log_every=3", "--image_every=3"]) == 0
    threads[0].join()
    record = RunFolder("job").read_record()
    assert (record.status, record.finished_early) == ("finished", 4)
    assert logged_steps(Path("job")) == [1, 3, 4]
    assert Path("job/iterations/iteration_00004.jpg").exists()
    with Image.open("job/result.png") as image:
        assert image.size == (36, 24)


@pytest.mark.parametrize(("step", "size"), [(8, (48, 32)), (3, (36, 24))])
def test_a_run_is_finished_early(two_scales, servers, monkeypatch, capsys, step, size):
    headlines = []

    def finish():
        headlines.append(state_of(servers[0])["headline"])
        post(servers[0], "finish")

    with monkeypatch.context() as patch:
        at_step(patch, step, "job", finish)
        assert run.main([*two_scales, "--scores"]) == 0
    scales = "Painting, scale 1 of 2", "Painting, scale 2 of 2"
    assert headlines[0] in (scales if step > 4 else scales[:1])  # the page may be a step behind
    last = step + 1  # the one at which it was asked is over
    steps = logged_steps(Path("job"))
    assert steps[-1] in (step, last)
    record = RunFolder("job").read_record()
    assert record.status == "finished" and record.finished_early == steps[-1]
    assert record.total_steps == 10 and record.final_terms and record.scores
    (note,) = [note for note in record.notes if note.startswith("finished early")]
    assert f"after step {steps[-1]} of 10, at {size[0]}x" in note
    image = Image.open("job/result.png")
    assert image.width == size[0]
    assert image.text["nst_keras finished early"] == f"step {steps[-1]} of 10"
    assert Path(f"job/iterations/iteration_{steps[-1] // 2 * 2:05d}.jpg").exists()
    assert Path("job/index.html").exists()
    capsys.readouterr()
    assert run.main(two_scales) == 0
    printed = capsys.readouterr().err
    assert f"is already finished, early, after step {steps[-1]} of 10 (result: " in printed
    assert len(servers) == 1


def test_a_run_that_was_finished_early_can_be_run_again(job, whole, servers, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 3, "job", lambda: post(servers[0], "finish"))
        assert run.main(job) == 0
    assert run.main([*job, "--overwrite"]) == 0
    assert RunFolder("job").read_record().finished_early is None
    assert results(files_of(Path("job"))) == results(whole)


def test_a_run_finished_early_can_get_more_steps(job, servers, monkeypatch):
    constant = [*job, "--schedule=constant"]
    assert run.main([*constant, "--iterations=8", "--workdir=straight"]) == 0
    with monkeypatch.context() as patch:
        at_step(patch, 4, "job", lambda: post(servers[1], "finish"))
        assert run.main(constant) == 0
    assert run.main([*constant, "--iterations=8"]) == 0
    straight, extended = files_of(Path("straight")), files_of(Path("job"))
    assert straight["metrics.jsonl"] == extended["metrics.jsonl"]
    pixels = [Image.open(f"{name}/result.png").tobytes() for name in ("straight", "job")]
    assert pixels[0] == pixels[1]
    assert RunFolder("job").read_record().finished_early is None


def test_a_paused_run_can_be_stopped(job, servers, monkeypatch):
    timers = [threading.Timer(0.3, lambda: post(servers[0], "stop"))]

    def pause():
        post(servers[0], "pause")
        timers[0].start()

    at_step(monkeypatch, 3, "job", pause)
    assert run.main(job) == 75
    timers[0].join()


def test_a_browser_is_opened_by_a_file_that_is_gone_at_the_end(job, servers, monkeypatch):
    opened = []

    def open_browser(address):
        opened.append((address, Path("job/live.html").read_text()))
        return True

    monkeypatch.setattr("webbrowser.open", open_browser)
    monkeypatch.setattr("nst_keras.runtime.browser._has_screen", lambda: True)
    assert run.main([*job, "--open"]) == 0
    ((address, text),) = opened
    assert address == Path("job/live.html").absolute().as_uri()
    assert servers[0].url in text
    assert not Path("job/live.html").exists()


def test_a_failing_run_says_so(job, servers, monkeypatch):
    states = []

    def fail(self, iterate):
        server = servers[0]
        get(server)
        normal = server.close

        def close():
            states.append(state_of(server))
            normal()

        monkeypatch.setattr(server, "close", close)
        raise OSError(28, "No space left on device", "job/result.png")

    monkeypatch.setattr(RunWriter, "finish", fail)
    assert run.main(job) == 74
    assert states[0]["phase"] == "failed"
    assert states[0]["note"] == "job/result.png: No space left on device"


def test_a_failing_server_does_not_hurt_the_run(job, whole, servers, monkeypatch):
    def break_it():
        servers[0].board.picture.look()
        monkeypatch.setattr(servers[0].board.picture, "take", lambda read: 1 / 0)
        servers[0].socket.close()

    at_step(monkeypatch, 3, "job", break_it)
    assert run.main(job) == 0
    assert results(files_of(Path("job"))) == results(whole)


def test_a_batch_has_one_page(job, servers, monkeypatch):
    states = []
    pair = [[*job, f"--style_weight={w}", f"--workdir=job_{w}"] for w in (2, 20)]
    at_step(monkeypatch, 3, "job_20", lambda: states.append(state_of(servers[0])))
    assert run_batch(pair) == 0
    assert len(servers) == 1
    assert states[0]["title"].endswith("(the first of 2 in a batch)")


def test_a_port_in_use_is_refused_before_the_work(job, servers, monkeypatch, capsys):
    monkeypatch.setattr(live_view, "open_server", open_server)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run.main([*job, f"--serve_port={port}"]) == 2
    assert f"--serve_port={port}: is in use; give another port" in capsys.readouterr().err
    assert not Path("job/run.json").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"serve": True, "distribute": "multiworker"}, "--serve=true.* --distribute=multiworker"),
        ({"serve_port": 70000}, "serve_port=70000: must be a whole number from 0 to 65535"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(InputError, match=message):
        resolve(Config(**settings))


def test_sweeps_have_no_live_page():
    with pytest.raises(InputError, match="--serve: must be left out"):
        sweep_session.plan({"vary": ("style_weight=1,2",), "serve": True})
