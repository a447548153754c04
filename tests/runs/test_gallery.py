"""The page of a run, from run folders as they stand."""

import json
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from tests.runs.conftest import Parsed, decoded, page_data, save


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
    data = gallery.gather(RunFolder(folder))

    assert data["names"] == ["harbor", "lily pond"]
    assert data["finished"] is data["exact"] is True
    assert decoded(data["picture"]) == (folder / "result.png").read_bytes()
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
        assert "srcset" not in attributes
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


def test_forty_frames_with_the_first_and_the_last(tmp_path):
    for step in range(1, 148):
        save(tmp_path / "iterations" / f"iteration_{step * 10:05d}.jpg", 8, 6)

    steps = [frame["step"] for frame in gallery.gather(RunFolder(tmp_path))["frames"]]

    gaps = {after - before for before, after in zip(steps[:-1], steps[1:], strict=True)}
    assert len(steps) == 40
    assert (steps[0], steps[-1]) == (10, 1470)
    assert gaps == {30, 40}


def test_a_changed_picture_is_read_again(folder):
    before = gallery.gather(RunFolder(folder))["picture"]["uri"]
    save(folder / "result.png", 44, 30, "red")

    assert gallery.gather(RunFolder(folder))["picture"]["uri"] != before


def test_empty_folder(tmp_path):
    data = gallery.gather(RunFolder(tmp_path))

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


def test_a_run_that_was_finished_early_is_shown_at_its_size(folder):
    scales = [
        {"width": 48, "height": 32, "steps": 30, "first_step": 1},
        {"width": 96, "height": 64, "steps": 30, "first_step": 31},
    ]
    changes = {"scales": scales, "step": 12, "total_steps": 60, "finished_early": 12}
    write_run(folder, parts={"steps": 61.0, "scores": 4.0, "paused": 500.0}, **changes)
    facts = gallery.write_page(RunFolder(folder)).read_text("utf-8")
    assert "<span>48\u00a0\u00d7\u00a032\u00a0px</span><span>12 steps</span>" in facts
    assert "<span>finished early</span><span>1 min 5 s</span>" in facts


def test_torn_and_foreign_files_are_left_out(folder):
    (folder / "run.json").write_text('{"status": "runn')
    (folder / "latest.jpg").write_bytes(b"not a picture")
    (folder / "result.png").write_bytes(b"")
    (folder / "iterations" / "iteration_00020.jpg").write_bytes(b"\xff\xd8")
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(b'[1]\n\xff\n{"step": 30, "terms": {"total": NaN}}\n{"step": 35, "ter')

    data = gallery.gather(RunFolder(folder))

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


def test_only_the_page_of_a_running_job_renews_itself(folder):
    finished = gallery.write_page(RunFolder(folder), 20.0).read_text("utf-8")
    assert page_data(folder / "index.html")["live"] is None
    assert 'http-equiv="refresh"' not in finished

    write_run(folder, status="running", step=10, seconds_left=95.0, resume_command="python -m x")
    page = gallery.write_page(RunFolder(folder), 20.0).read_text("utf-8")
    assert 'http-equiv="refresh"' in page  # without JavaScript, too
    assert "about 1:35 left" in page
    live = page_data(folder / "index.html")["live"]
    assert live["within"] == 20.0
    assert abs(live["written"] - time.time()) < 60


def test_a_page_of_a_failed_run_says_why(folder):
    write_run(folder, status="failed", reason="out of memory", resume_command="python -m x")

    data = read_data(folder)

    assert data["finished"] is False  # whatever result an earlier run has left
    page = read_page(folder)
    assert "out of memory" in page.text["p"]
    assert "Failed" in page.text["strong"]


def test_what_matters_is_in_the_html(folder):
    page = read_page(folder)

    assert (page.text["h1"], page.text["i"].rstrip()) == ("harbor ", "in the style of lily pond")
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [one["alt"] for one in images] == [
        "Result: harbor in the style of lily pond",
        "Photo: harbor.jpg",
        "Painting: lily_pond.jpg",
    ]
    assert all(one["src"].startswith("data:image/") for one in images)
    named = {attributes.get("property") or attributes.get("name") for _, attributes in page.tags}
    assert {"og:title", "og:description", "description"} <= named


def test_the_page_says_nothing_of_where_its_files_were(folder):
    home = "/home/alice/my pictures"
    write_run(
        folder,
        status="failed",
        command=f"'{home}/venv/bin/python3.11' -m nst_keras.run '--content={home}/harbor.jpg' "
        "--style=/data/alice/a.jpg,~/b.jpg --workdir=/home/alice/runs/x",
        resume_command="/home/alice/bin/python -m nst_keras.run --workdir=/home/alice/runs/x",
        settings={"content": f"{home}/harbor.jpg", "weights": r"C:\Users\alice\vgg.npz"},
        reason="/home/alice/harbor.jpg: cannot be read",
        notes=["style: /data/alice/a.jpg has no profile"],
        fingerprint={"settings": {"proof": "/home/alice/p.icc"}},
    )

    text = gallery.write_page(RunFolder(folder)).read_text("utf-8")

    assert "alice" not in text
    data = page_data(folder / "index.html")
    assert data["run"]["settings"] == {"content": "harbor.jpg", "weights": "vgg.npz"}
    assert data["run"]["command"] == ("nst --content=harbor.jpg --style=a.jpg,b.jpg --workdir=x")


def test_a_page_has_no_links_to_other_files(folder):
    page = read_page(folder)

    links = [attributes.get("href", "") for _, attributes in page.tags if "href" in attributes]
    assert all(link.startswith("data:") for link in links)
    assert "result.png" in " ".join(page.text.values())


def noise(path, width, height, **options):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def test_a_page_of_large_pictures_stays_within_its_bytes(folder):
    """Noise is what compresses worst."""
    noise(folder / "result.png", 1800, 1200)
    noise(folder / "progress.gif", 300, 200)
    noise(folder / "inputs" / "content.jpg", 1024, 700, quality=95)
    noise(folder / "one.jpg", 640, 480, quality=95)
    for step in range(1, 101):
        shutil.copy(folder / "one.jpg", folder / "iterations" / f"iteration_{step:05d}.jpg")
    for number in range(1, 9):
        shutil.copy(folder / "inputs" / "content.jpg", folder / "inputs" / f"style_{number}.jpg")

    page = gallery.write_page(RunFolder(folder))

    data = page_data(page)
    assert 2_000_000 < page.stat().st_size < gallery.PAGE_BYTES
    assert len(data["frames"]) == gallery.MAX_FRAMES
    assert data["exact"] is False  # a PNG of 6 MB
    assert data["gif"]
