"""The page of a run, from run folders as they stand."""

import json
import re

import pytest
from PIL import Image

from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from tests.runs.conftest import Parsed, decoded, save


def write_run(folder, **changes):
    run = {
        "version": "0.1.0",
        "status": "finished",
        "command": "python -m nst_keras.run --content=harbor.jpg",
        "step": 40,
        "total_steps": 40,
        "content": {"name": "harbor.jpg", "width": 40, "height": 30},
        "styles": [{"name": "lily_pond.jpg", "width": 20, "height": 20, "weight": 1.0}],
        "scales": [{"width": 40, "height": 30, "steps": 40, "first_step": 1}],
        "settings": {"content_weight": "1.0"},
        **changes,
    }
    (folder / "run.json").write_text(json.dumps(run))


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path)
    save(tmp_path / "inputs" / "content.jpg", 40, 30)
    save(tmp_path / "inputs" / "style_1.jpg", 20, 20)
    for step in (10, 20, 30, 40):
        save(tmp_path / "iterations" / f"iteration_{step:05d}.jpg", 40, 30)
    save(tmp_path / "latest.jpg", 40, 30)
    save(tmp_path / "result.png", 40, 30)
    lines = [{"step": step, "scale": 0, "terms": {"total": 1 / step}} for step in (10, 20)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def read_page(folder):
    return Parsed(gallery.write_page(RunFolder(folder)).read_text("utf-8"))


def read_data(folder):
    return json.loads(read_page(folder).text["data"])


def test_page_of_a_finished_run(folder):
    data = read_data(folder)

    assert data["names"] == ["harbor", "lily pond"]
    assert data["finished"] is True
    assert (data["picture"]["width"], data["picture"]["height"]) == (40, 30)
    assert [frame["step"] for frame in data["frames"]] == [10, 20, 30, 40]
    assert data["curves"] == {"steps": [10, 20], "terms": {"total": [0.1, 0.05]}}
    assert data["files"] == ["result.png", "metrics.jsonl"]
    assert len(data["styles"]) == 1
    assert data["run"]["settings"] == {"content_weight": "1.0"}


def test_page_asks_for_nothing_outside_itself(folder):
    text = gallery.write_page(RunFolder(folder)).read_text("utf-8")

    assert set(re.findall(r"https?://[^\"'\s]*", text)) <= {"http://www.w3.org/2000/svg"}
    for tag, attributes in Parsed(text).tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert attributes.get("src", "data:").startswith("data:")
        assert tag != "link" or attributes["href"].startswith("data:")
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", text)


def test_same_folder_same_page(folder):
    first = gallery.write_page(RunFolder(folder)).read_bytes()

    assert gallery.write_page(RunFolder(folder)).read_bytes() == first


def test_page_is_replaced_whole(folder, monkeypatch):
    before = gallery.write_page(RunFolder(folder)).read_bytes()
    names = sorted(path.name for path in folder.iterdir())
    write_run(folder, notes=["new"])
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))

    with pytest.raises(OSError, match="disk full"):
        gallery.write_page(RunFolder(folder))

    assert (folder / "index.html").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == names


def test_hostile_names_are_text(folder):
    name = "<script>alert(1)<script>.jpg"
    write_run(
        folder,
        content={"name": name},
        styles=[{"name": '"><img src=x onerror=alert(1)>.png'}],
        notes=["</script><script>alert(2)</script>", "$title ${data} <!--"],
    )

    page = read_page(folder)

    assert sum(tag == "script" for tag, _ in page.tags) == 2  # the data and the page's own
    assert page.text["title"].startswith("<script>alert(1)<script> in the style of ")
    data = json.loads(page.text["data"])
    assert data["run"]["content"]["name"] == name
    assert data["run"]["notes"][1] == "$title ${data} <!--"


def test_sixty_frames_with_the_first_and_the_last(tmp_path):
    for step in range(1, 148):
        save(tmp_path / "iterations" / f"iteration_{step * 10:05d}.jpg", 8, 6)

    steps = [frame["step"] for frame in gallery.gather(RunFolder(tmp_path))["frames"]]

    gaps = {after - before for before, after in zip(steps[:-1], steps[1:], strict=True)}
    assert len(steps) == 60
    assert (steps[0], steps[-1]) == (10, 1470)
    assert gaps == {20, 30}


def test_small_jpeg_is_embedded_as_it_is_and_a_large_one_reduced(tmp_path):
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    save(small, 60, 40)
    save(large, 2048, 100)

    assert decoded(gallery.picture(small)) == small.read_bytes()
    picture = gallery.picture(large)
    assert (picture["width"], picture["height"]) == (2048, 100)
    (tmp_path / "embedded.jpg").write_bytes(decoded(picture))
    with Image.open(tmp_path / "embedded.jpg") as image:
        assert image.size == (1024, 50)


def test_a_changed_picture_is_read_again(folder):
    before = gallery.gather(RunFolder(folder))["picture"]["uri"]
    save(folder / "result.png", 44, 30, "red")

    assert gallery.gather(RunFolder(folder))["picture"]["uri"] != before


def test_empty_folder(tmp_path):
    data = read_data(tmp_path)

    assert data["run"] == {}
    assert data["names"] == ["Untitled"]
    assert data["picture"] is data["content"] is None
    assert data["frames"] == data["styles"] == data["files"] == []


def test_the_latest_picture_is_shown_while_there_is_no_result(folder):
    (folder / "result.png").unlink()
    save(folder / "latest.jpg", 24, 18)

    data = gallery.gather(RunFolder(folder))

    assert data["finished"] is False
    assert data["picture"]["width"] == 24


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_the_result_before_a_prolongation_is_not_shown_as_its_own(folder, status):
    write_run(folder, status=status, step=35, total_steps=60)
    save(folder / "latest.jpg", 24, 18)

    data = gallery.gather(RunFolder(folder))

    assert data["finished"] is False
    assert data["picture"]["width"] == 24


def test_torn_and_foreign_files_are_left_out(folder):
    (folder / "run.json").write_text('{"status": "runn')
    (folder / "latest.jpg").write_bytes(b"not a picture")
    (folder / "result.png").write_bytes(b"")
    (folder / "iterations" / "iteration_00020.jpg").write_bytes(b"\xff\xd8")
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(b'[1]\n\xff\n{"step": 30, "terms": {"total": NaN}}\n{"step": 35, "ter')

    data = read_data(folder)

    assert data["run"] == {}
    assert data["picture"] is None
    assert [frame["step"] for frame in data["frames"]] == [10, 30, 40]
    assert data["curves"] == {"steps": [10, 20, 30], "terms": {"total": [0.1, 0.05, None]}}


def test_a_step_logged_again_after_a_resume_counts_once(folder):
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 20, "terms": {"total": 2.0, "tv": 1}}\n')

    curves = gallery.gather(RunFolder(folder))["curves"]

    assert curves == {"steps": [10, 20], "terms": {"total": [0.1, 2.0], "tv": [None, 1.0]}}


def test_long_curves_are_thinned(tmp_path):
    lines = [json.dumps({"step": step, "terms": {"total": 1.0}}) for step in range(10, 30001, 10)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))

    steps = gallery.gather(RunFolder(tmp_path))["curves"]["steps"]

    assert (len(steps), steps[0], steps[-1]) == (600, 10, 30000)


def test_only_a_running_page_reloads(folder):
    text = gallery.write_page(RunFolder(folder)).read_text("utf-8")

    assert 'http-equiv="refresh"' not in text
    assert text.count("location.reload()") == 1
    assert re.search(r"if \(running\) setInterval\(reload, RELOAD_SECONDS \* 1000\)", text)
    assert 'const running = run.status === "running";' in text


def test_a_page_of_a_failed_run_says_why(folder):
    write_run(folder, status="failed", reason="out of memory", resume_command="python -m x")

    data = read_data(folder)

    assert (data["run"]["status"], data["run"]["reason"]) == ("failed", "out of memory")
    assert data["finished"] is False  # whatever result an earlier run has left
    text = gallery.write_page(RunFolder(folder)).read_text("utf-8")
    assert 'run.reason ? make("p", {}, run.reason) : null' in text
