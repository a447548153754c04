"""What a page says of the files of its maker."""

import pytest

from nst_keras.runs.public import base_names, public_command, public_record, without_folders
from nst_keras.runs.record import RunRecord


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/a.jpg: cannot be read", "a.jpg: cannot be read"),
        ("see '/home/me/a.jpg', and /tmp/b.png.", "see 'a.jpg', and b.png."),
        (r"C:\Users\me\a.jpg has no profile", "a.jpg has no profile"),
        ("~me/x/a.jpg and ../b/c.jpg", "a.jpg and c.jpg"),
        ("at 12/24 steps, 3.5 s/step, photos/a.jpg", "at 12/24 steps, 3.5 s/step, photos/a.jpg"),
        ("style/block1_conv1 fell", "style/block1_conv1 fell"),
    ],
)
def test_sentences(text, shown):
    assert without_folders(text) == shown


def test_folders_that_are_known_are_left_out_of_absolute_paths_only():
    known = {"/data/my pictures", "content", "in", "runs/x", ""}
    text = (
        "--content_weight: in runs/x, /data/my pictures/a.jpg lacks content; see /data/my pictures"
    )
    shown = "--content_weight: in runs/x, a.jpg lacks content; see ..."
    assert without_folders(text, known) == shown


def test_a_call_in_python_is_no_command():
    call = "nst_keras.run(...)  # with the same terms"
    assert public_command(call) == call


def test_values_of_settings():
    assert base_names("/a/b.jpg,keep,../c/d.jpg") == "b.jpg,keep,d.jpg"
    assert base_names("block1_conv1:1.0,block2_conv1:2") == "block1_conv1:1.0,block2_conv1:2"
    assert base_names("photos/a.jpg") == "photos/a.jpg"  # says nothing of who made it
    assert base_names("/home/me/") == "me"
    assert base_names("/") == "..."


def test_commands():
    command = "/opt/v/bin/python3 -m nst_keras.run '--content=/home/me/a b.jpg' /x/c.jpg --quiet"
    assert public_command(command) == "nst '--content=a b.jpg' c.jpg --quiet"
    assert public_command("nst a.jpg b.jpg") == "nst a.jpg b.jpg"
    assert public_command("") == ""
    assert public_command("python '/home/me/a") == "python 'a"  # damaged


def test_values_that_follow_their_flags_belong_to_them():
    command = (
        "python -m nst_keras.run --content /home/me/a.jpg --style '/x/b.jpg,/y/c d.jpg' --serve "
        "--serve_hosts box.corp:9000 --size 64 -gif --workdir ../w"
    )
    shown = "nst --content=a.jpg '--style=b.jpg,c d.jpg' --size=64 -gif --workdir=w"
    assert public_command(command) == shown
    assert public_command("nst --unknown /x/a.jpg --size") == "nst --unknown a.jpg --size"


def test_folders_with_spaces_are_left_out_where_they_are_known():
    record = RunRecord(
        reason="/home/ann/My Clients/x.jpg: no space left",
        settings={"content": "/home/ann/My Clients/x.jpg", "serve_hosts": "box.corp:9000"},
        command="python -m nst_keras.run '--content=/home/ann/My Clients/x.jpg' --serve",
        copies={"/home/ann/copy.png": ""},
    )
    shown = public_record(record)
    assert shown.reason == "x.jpg: no space left"
    assert shown.settings == {"content": "x.jpg"}
    assert shown.command == "nst --content=x.jpg" and not shown.copies


def test_commas_in_names_are_no_separators():
    assert base_names(r"/home/a/My\, Clients/x\, y.jpg,/z/b.jpg") == r"x\, y.jpg,b.jpg"


def test_commas_and_spaces_in_one_path_stay():
    command = "python -m nst_keras.run '../my coffee, 2024.jpg' /x/c.jpg '--content=/y/a, b.jpg'"
    assert public_command(command) == "nst 'my coffee, 2024.jpg' c.jpg '--content=a, b.jpg'"
    assert public_command("'/opt/my env/bin/nst' /x/c.jpg") == "nst c.jpg"
    settings = {"content": "/y/a, b.jpg", "style": "/y/c\\, d.jpg,/y/e.jpg"}
    shown = public_record(RunRecord(settings=settings)).settings
    assert shown == {"content": "a, b.jpg", "style": "c\\, d.jpg,e.jpg"}
