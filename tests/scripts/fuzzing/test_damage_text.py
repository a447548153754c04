"""Damage to text: JSON, flagfiles and tables keep their form and get new values."""

import csv
import json
import random

from nst_keras.settings.config import OPTIONS
from scripts.fuzzing import damage_text

DOCUMENT = {"name": "a", "sizes": [1, 2, {"deep": None}]}


def damaged(way, data, count=60):
    return [way(random.Random(number), data, [data]) for number in range(count)]


def is_json(data):
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def test_most_changed_documents_are_still_json():
    whole = json.dumps(DOCUMENT).encode()
    found = damaged(damage_text.change_json, whole)
    assert sum(map(is_json, found)) > 45  # the others hold numbers or texts that JSON forbids
    assert len({*found}) > 40


def test_one_line_of_many_changes():
    lines = [json.dumps({"step": step}).encode() for step in range(5)]
    for data in damaged(damage_text.change_json, b"\n".join(lines)):
        assert sum(line in data.split(b"\n") for line in lines) >= 4


def test_a_flagfile_gets_one_more_flag():
    whole = b"--content=photo.png\n"
    found = damaged(
        damage_text.add_flags({name: OPTIONS[name] for name in ("size", "output")}), whole
    )
    assert all(data.startswith(whole + b"-") for data in found)
    assert any(data.startswith(whole + b"--size=") for data in found)


def test_a_table_gets_one_more_column():
    whole = b"name,size\none,64\ntwo,128\n"
    for data in damaged(damage_text.add_column, whole):
        text = data.decode("utf-8", "surrogateescape")
        header, *_ = csv.reader(text.splitlines()[:1])
        assert header[:2] == ["name", "size"] and header[2] in {*OPTIONS, "name", "note"}
