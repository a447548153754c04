"""What tests of runs share: run folders as they are on disk, pages taken apart, and iterates."""

import base64
import html.parser
import json
import re

import pytest
from PIL import Image

from nst_keras.runs.record import Fingerprint
from nst_keras.runs.requested import RequestedRun, read_run
from nst_keras.settings.config import parse_config
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.plan import Scale
from tests.conftest import picture

SETTINGS = {
    "content": "/home/me/harbor.jpg",
    "style": "/home/me/lily_pond.jpg",
    "workdir": "/home/me/runs/a",
    "log_every": "10",
    "style_weight": "8.0",
    "style_scale": "1.0",
    "init": "content",
    "style_layer_weights": "1.0,1.0,0.3",
}


def read_command(*arguments):
    """The run that a command line asks for."""
    config, _ = parse_config(list(arguments))
    return read_run(list(arguments), config)


def save(path, width, height, color="gray"):
    """Write a picture of one color."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(path)


def write_run(folder, settings=None, **changes):
    """Write a finished run of 40 steps, as far as pages read it."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "status": "finished",
        "step": 40,
        "total_steps": 40,
        "seconds": 12.5,
        "content": {"name": "harbor.jpg", "sha256": "aaaa1111"},
        "styles": [{"name": "lily_pond.jpg", "sha256": "bbbb2222"}],
        "settings": {**SETTINGS, "workdir": str(folder), **(settings or {})},
        "changed": ["style_weight"],
        "final_terms": {"total": 0.5, "tv": 0.1},
        **changes,
    }
    (folder / "run.json").write_text(json.dumps(record))
    save(folder / "inputs" / "content.jpg", 40, 30)
    save(folder / "inputs" / "style_1.jpg", 20, 20)
    for step in (10, 20, 30, 40):
        save(folder / "iterations" / f"iteration_{step:05d}.jpg", 40, 30)
    save(folder / "latest.jpg", 40, 30)
    save(folder / "result.png", 40, 30)
    lines = [{"step": step, "terms": {"total": 1 / step, "tv": 0.1}} for step in (10, 20)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "index.html").write_text("the run's own page")
    return folder


@pytest.fixture
def runs(tmp_path):
    return [
        write_run(tmp_path / "runs" / "a"),
        write_run(tmp_path / "runs" / "b", {"style_weight": "20.0"}, scores={"ssim": 0.7}),
    ]


class Parsed(html.parser.HTMLParser):
    """The tags of a page with their attributes, and the text inside of each."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(dict(attributes).get("id") or tag)

    def handle_data(self, data):
        name = self.open[-1] if self.open else ""
        self.text[name] = self.text.get(name, "") + data


def page_data(page):
    """The data inside a page that was written."""
    return json.loads(Parsed(page.read_text("utf-8")).text["data"])


def more_pictures(page):
    """The captions of what a page shows beside result, photo and paintings."""
    shown = page.read_text("utf-8").partition('id="more-title"')[2].partition("</section>")[0]
    return [html.unescape(text) for text in re.findall("<figcaption>(.*?)</figcaption>", shown)]


def decoded(picture):
    """The bytes of an embedded picture."""
    return base64.b64decode(picture["uri"].partition(";base64,")[2])


SCALES = (Scale(0, 10, 20, 30, 1), Scale(1, 20, 40, 50, 31))
TERMS = {"total": 6.0, "content/a": 1.0, "style/a": 2.0, "style/b": 2.5, "tv": 0.5}


def iterate(step, seconds=0.0, **changes):
    """An iterate of a run of 80 steps at two scales."""
    settings = {
        "total_steps": 80,
        "scale": SCALES[0] if step <= 30 else SCALES[1],
        "scales": SCALES,
        "terms": TERMS,
        "seconds_left": 65.0,
        "steps_per_second": 2.5,
    }
    return Iterate(step=step, seconds=seconds, **{**settings, **changes})


def run_in(folder, config, notes=None):
    """A run in a folder, as its writers get it."""
    inputs = Inputs(picture(20, 30), (), None, None, {}, {}, ())
    return RequestedRun(
        [], config, config, inputs, folder, Fingerprint(), False, [] if notes is None else notes
    )


class FakeSource:
    """A scale at work, whose picture depends on the step."""

    profile = b""

    def __init__(self, step=0):
        self.step = step

    def picture(self):
        return picture(20, 30, seed=self.step)

    def value(self):
        return {"total": 5.0}

    def references(self):
        return None
