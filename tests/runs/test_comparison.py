"""The page that compares runs, from run folders as they stand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_keras.runs import comparison
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.errors import InputError
from tests.runs.conftest import Parsed, decoded, page_data, save, write_run


def gather(tmp_path, *runs, **options):
    """The data of a page that is written into the folder."""
    return page_data(comparison.write_page(tmp_path / "page.html", runs, **options))


def test_only_the_settings_that_differ(tmp_path, runs):
    data = gather(tmp_path, *runs)

    assert data["varied"] == ["style_weight"]
    assert [run["settings"] for run in data["runs"]] == [
        {"style_weight": "8"},
        {"style_weight": "20"},
    ]
    assert data["shared"]["style_layer_weights"] == "1,1,0.3"
    assert data["shared"]["content"] == "harbor.jpg"
    assert not {"workdir", "log_every"} & set(data["shared"])


def test_numbers_of_a_run(tmp_path, runs):
    first, second = gather(tmp_path, *runs)["runs"]

    assert first["final_terms"] == {"total": 0.5, "tv": 0.1}
    assert (first["seconds"], first["step"], first["finished"]) == (12.5, 40, True)
    assert (first["scores"], second["scores"]) == ({}, {"ssim": 0.7})
    assert first["curves"] == {"steps": [10, 20], "terms": {"total": [0.1, 0.05], "tv": [0.1, 0.1]}}
    assert [one["step"] for one in first["iterations"]] == [10, 20, 30, 40]


def test_the_result_is_the_last_iteration(tmp_path, runs):
    save(runs[0] / "result.png", 44, 30, "red")

    iterations = gather(tmp_path, *runs)["runs"][0]["iterations"]

    assert [one["width"] for one in iterations] == [40, 40, 40, 44]


def test_an_unfinished_run_ends_with_its_newest_picture(tmp_path, runs):
    write_run(runs[1], status="interrupted", step=25, final_terms=None)
    (runs[1] / "result.png").unlink()
    (runs[1] / "iterations" / "iteration_00030.jpg").unlink()
    (runs[1] / "iterations" / "iteration_00040.jpg").unlink()
    save(runs[1] / "latest.jpg", 24, 18)

    run = gather(tmp_path, *runs)["runs"][1]

    assert (run["status"], run["finished"], run["final_terms"]) == ("interrupted", False, {})
    assert [one["step"] for one in run["iterations"]] == [10, 20, 25]
    assert run["iterations"][-1]["width"] == 24


def test_the_result_before_a_prolongation_is_not_its_newest_picture(tmp_path, runs):
    write_run(runs[1], status="interrupted", step=35, total_steps=60, final_terms=None)
    (runs[1] / "iterations" / "iteration_00040.jpg").unlink()
    save(runs[1] / "latest.jpg", 24, 18)

    run = gather(tmp_path, *runs)["runs"][1]

    assert (run["status"], run["finished"]) == ("interrupted", False)
    assert [one["step"] for one in run["iterations"]] == [10, 20, 30, 35]
    assert run["iterations"][-1]["width"] == 24


def test_inputs_are_named_when_they_differ(tmp_path, runs):
    write_run(runs[1], styles=[{"name": "wave.jpg"}, {"name": "<b>.jpg"}])

    data = gather(tmp_path, *runs)

    assert data["varied"] == ["style"]
    assert data["runs"][1]["settings"]["style"] == "wave.jpg, <b>.jpg"
    page = Parsed((tmp_path / "page.html").read_text("utf-8"))
    alts = [own["alt"] for tag, own in page.tags if tag == "img" and ": " in own["alt"]]
    assert alts == ["Photo: harbor.jpg", "Painting: lily_pond.jpg", "Painting: wave.jpg"]


def test_different_pictures_of_one_name_are_told_apart(tmp_path, runs):
    write_run(runs[1], content={"name": "harbor.jpg", "sha256": "cccc3333"})

    data = gather(tmp_path, *runs)

    named = [run["settings"]["content"] for run in data["runs"]]
    assert named == ["harbor.jpg (aaaa)", "harbor.jpg (cccc)"]


def test_a_picture_of_two_names_is_one(tmp_path, runs):
    write_run(runs[0], content={"name": "harbor.jpg", "sha256": "aaaa1111"})
    write_run(runs[1], content={"name": "copy.jpg", "sha256": "aaaa1111"})
    data = gather(tmp_path, *runs)
    assert "content" not in data["varied"] and data["shared"]["content"] == "harbor.jpg"


def test_settings_that_somebody_chose_come_first(tmp_path, runs):
    changed = {"init": "noise", "style_scale": "2.0", "style_weight": "3.0"}
    write_run(runs[1], changed, content={"name": "hill.jpg"}, changed=["init"])

    varied = gather(tmp_path, *runs)["varied"]

    assert varied == ["content", "style_weight", "init", "style_scale"]


def test_totals_of_different_objectives_are_marked(tmp_path, runs):
    assert gather(tmp_path, *runs)["incomparable"] == ["style_weight"]

    write_run(runs[1], {"init": "noise"})
    assert gather(tmp_path, *runs)["incomparable"] == []


def test_names_are_as_long_as_it_takes(tmp_path, runs):
    other = write_run(tmp_path / "more" / "a")

    assert [run["name"] for run in gather(tmp_path, *runs)["runs"]] == ["a", "b"]
    assert [run["name"] for run in gather(tmp_path, *runs, other, other)["runs"]] == [
        "runs/a",
        "runs/b",
        "more/a",
    ]


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("a b#c?d", "a%20b%23c%3Fd/index.html"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29/index.html"),
    ],
)
def test_links_are_relative_to_the_page(tmp_path, name, link):
    run = write_run(tmp_path / "runs" / name)
    (tmp_path / "pages").mkdir()

    assert gather(tmp_path / "runs", run)["runs"][0]["link"] == link
    assert gather(tmp_path / "pages", run)["runs"][0]["link"] == f"../runs/{link}"
    (tmp_path / "far" / "away").mkdir(parents=True)  # an address from there tells of other folders
    assert gather(tmp_path / "far" / "away", run)["runs"][0]["link"] is None
    (run / "index.html").unlink()
    assert gather(tmp_path, run)["runs"][0]["link"] is None


def test_a_layout_names_two_settings(tmp_path, runs):
    data = gather(tmp_path, *runs, layout=("style_weight", "init"))

    assert data["layout"] == ["style_weight", "init"]
    assert [run["settings"]["init"] for run in data["runs"]] == ["content", "content"]
    for layout in (("style_weight", "no_setting"), ("style_weight",)):
        with pytest.raises(InputError, match="--layout=style_weight"):
            gather(tmp_path, *runs, layout=layout)


def test_page_asks_for_nothing_outside_itself(tmp_path, runs):
    page = comparison.write_page(tmp_path / "page.html", runs)

    text = page.read_text("utf-8")
    assert set(re.findall(r"https?://[^\"'\s]*", text)) <= {"http://www.w3.org/2000/svg"}
    for tag, attributes in Parsed(text).tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert attributes.get("src", "data:").startswith("data:")
        assert tag != "link" or attributes["href"].startswith("data:")
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML", text)


def test_same_runs_same_page(tmp_path, runs):
    first = comparison.write_page(tmp_path / "page.html", runs).read_bytes()

    assert comparison.write_page(tmp_path / "page.html", runs).read_bytes() == first


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>$data"


def test_hostile_text_stays_text(tmp_path):
    run = write_run(
        tmp_path / "<script>alert(1)<",
        {EVIL: EVIL, "style_weight": EVIL * 50},
        status=EVIL,
        content={"name": "\ud800" + EVIL},
        scores={EVIL: 1.0},
        final_terms={EVIL: 1.0},
    )
    other = write_run(tmp_path / "b")

    page = Parsed(
        comparison.write_page(tmp_path / "page.html", [run, other], EVIL + "\ud800").read_text(
            "utf-8"
        )
    )

    assert sum(tag == "script" for tag, _ in page.tags) == 2  # the data and the page's own
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.text["title"].strip() == EVIL + "?"
    data = json.loads(page.text["data"])
    assert data["runs"][0]["name"] == "<script>alert(1)<"
    assert data["runs"][0]["scores"] == {EVIL: 1.0}
    assert len(data["runs"][0]["settings"]["style_weight"]) == comparison.MAX_TEXT


@pytest.mark.parametrize(
    "record",
    [
        '{"status": "runn',
        "[" * 100_000,
        "[]",
        json.dumps({"content": "x", "styles": 3, "settings": [1], "changed": 5, "scores": "x"}),
        json.dumps({"styles": [1, {"name": 2}], "final_terms": [1], "step": "9", "seconds": [1]}),
        '{"step": NaN, "total_steps": 1e999, "seconds": true, "final_terms": {"total": NaN}}',
        '{"step": 1%s, "scores": {"a": {"b": 1}, "c": null}}' % ("0" * 400),
    ],
)
def test_a_damaged_record_harms_no_page(tmp_path, runs, record):
    (runs[0] / "run.json").write_text(record)

    data = page_data(comparison.write_page(tmp_path / "page.html", runs))

    first, second = data["runs"]
    assert second["final_terms"] == {"total": 0.5, "tv": 0.1}
    assert len(first["iterations"]) in (4, 5)  # the pictures are there all the same
    assert first["step"] is first["seconds"] is None


def test_damaged_and_missing_files_are_left_out(tmp_path, runs):
    (runs[0] / "result.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (runs[0] / "latest.jpg").write_bytes(b"not a picture")
    (runs[0] / "iterations" / "iteration_00020.jpg").write_bytes(b"\xff\xd8")
    (runs[0] / "metrics.jsonl").write_text('{"step": Infinity, "terms": {}}\n')
    (runs[1] / "metrics.jsonl").unlink()
    (runs[1] / "metrics.jsonl").mkdir()
    (runs[1] / "inputs" / "content.jpg").unlink()

    first, second = gather(tmp_path, *runs)["runs"]

    assert [one["step"] for one in first["iterations"]] == [10, 30, 40]
    assert first["finished"] is False
    assert first["curves"] == second["curves"] == {"steps": [], "terms": {}}


def test_an_empty_folder_is_shown_as_unreadable(tmp_path, runs):
    (tmp_path / "empty").mkdir()

    data = gather(tmp_path, *runs, tmp_path / "empty", tmp_path / "not there")

    assert data["varied"] == ["style_weight"]
    for run in data["runs"][2:]:
        assert (run["status"], run["iterations"], run["settings"]) == ("unreadable", [], {})


@pytest.mark.parametrize(("runs", "pictures", "points"), [(2, 33, 400), (30, 9, 400), (999, 3, 12)])
def test_many_runs_share_the_room(tmp_path, runs, pictures, points):
    folder = write_run(tmp_path / "a")
    noise = np.random.default_rng(0).integers(0, 256, (200, 260, 3), np.uint8)
    Image.fromarray(noise).save(folder / "result.png")
    for step in range(1, 41):
        path = folder / "iterations" / f"iteration_{step:05d}.jpg"
        Image.fromarray(noise).save(path, quality=95)
    lines = [json.dumps({"step": step, "terms": {"total": 1.0}}) for step in range(900)]
    (folder / "metrics.jsonl").write_text("\n".join(lines))

    run = RunFolder(folder)
    shown = comparison._pictures(run, run.read_record(), runs)["iterations"]

    assert (len(shown), len(comparison._curves(run, runs)["steps"])) == (pictures, points)
    assert sum(len(decoded(one)) for one in shown) * runs < comparison.PICTURE_BYTES
    assert (shown[-1]["width"], shown[-1]["height"]) == (260, 200)  # the file's own size


def test_the_newest_pictures_are_in_the_html_and_only_there(tmp_path, runs):
    page = comparison.write_page(tmp_path / "page.html", runs)

    shown = {own["alt"]: own["src"] for tag, own in Parsed(page.read_text()).tags if tag == "img"}
    assert {"a", "b"} <= set(shown)
    assert all(address.startswith("data:image/") for address in shown.values())
    for run in page_data(page)["runs"]:
        assert run["iterations"][-1]["uri"] == ""
        assert all(one["uri"] for one in run["iterations"][:-1])


def test_settings_are_shared_only_if_all_runs_have_them(tmp_path):
    # What `strength` has decided differs, too, but nobody chose it.
    pairs = [("0.2", "2.7"), ("0.8", "0.5")]
    runs = [
        write_run(
            tmp_path / strength,
            {"strength": strength, "content_weight": weight, "objective": "neighbors"},
            changed=["strength"],
        )
        for strength, weight in pairs
    ]
    data = gather(tmp_path, *runs)
    assert "strength" in data["varied"] and "content_weight" not in data["shared"]
    assert data["shared"]["objective"] == "neighbors"


def test_there_is_no_command_with_terms_of_the_users_own(tmp_path):
    call = "nst_keras.run(...)  # with the same terms"
    (run,) = gather(tmp_path, write_run(tmp_path / "a", command=call))["runs"]
    assert run["command"] == ""


def test_the_command_makes_a_cell_at_full_size_from_base_names(tmp_path):
    settings = {"style_weight": "20.0", "size": "96", "quality": "preview", "gif": "false"}
    small = write_run(tmp_path / "a", settings, changed=["size", "style_weight", "quality", "gif"])
    large = write_run(tmp_path / "b", {"size": "900"}, changed=["size"])

    first, second = gather(tmp_path, small, large)["runs"]

    assert first["command"] == (
        "nst --content=harbor.jpg --style=lily_pond.jpg --style_weight=20.0"
    )
    assert second["command"].endswith("--style=lily_pond.jpg --size=900")


def test_the_page_says_nothing_of_where_its_files_were(tmp_path, runs):
    write_run(runs[1], {"weights": "/home/me/vgg.npz"})

    text = comparison.write_page(tmp_path / "page.html", runs).read_text("utf-8")

    assert "/home/me" not in text
    assert str(tmp_path) not in text


def test_a_place_is_known_again_but_cannot_be_read(tmp_path, runs):
    here = gather(tmp_path, *runs)["place"]

    assert here == gather(tmp_path, *runs)["place"]
    (tmp_path / "other").mkdir()
    assert gather(tmp_path / "other", *runs)["place"] != here
    assert comparison._place(Path("/a")) == 0x70D2182D  # FNV-1a of "/a"


def test_scores_are_explained(tmp_path, runs):
    assert "faithful" in gather(tmp_path, *runs)["score_notes"]["ssim"]
