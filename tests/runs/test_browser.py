"""The pages in a real browser: widths, themes, keys, without JavaScript, sent elsewhere alone."""

import base64
import contextlib
import json
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from nst_keras.runs import comparison, gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.training.config import TrainConfig
from nst_keras.training.datasets import Pictures
from nst_keras.training.folder import TrainFolder, TrainingWriter
from nst_keras.training.page import Predictions, TrainingPage
from tests.runs.conftest import write_run

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install '.[test]'"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs a Chromium on the path")

WIDTHS = {390: 844, 768: 1024, 1280: 720, 1600: 900}
RUN = {
    "version": "0.1.0",
    "command": "/home/me/bin/python3 -m nst_keras.run --content=/home/me/harbor.jpg "
    "--style=/home/me/a_style_with_a_long_name_that_fills_more_than_a_line_of_a_phone.jpg",
    "resume_command": "python -m nst_keras.run --workdir=/home/me/runs/a",
    "device": "CPU: Intel(R) Xeon(R) Processor @ 2.50GHz, 2 cores, and a much longer name of it",
    "content": {"name": "harbor.jpg", "width": 1024, "height": 768},
    "styles": [{"name": "lily_pond.jpg", "width": 640, "height": 480, "weight": 1.0}],
    "scales": [
        {"width": 160, "height": 120, "steps": 20, "first_step": 1},
        {"width": 320, "height": 240, "steps": 20, "first_step": 21},
    ],
    "scores": {"ssim": 0.5, "gram_error/block2_conv2": 0.01},
    "notes": ["style: /home/me/a.jpg has no profile"],
}


def paint(path, width, height, seed):
    """Write a smooth picture of its own, so that pictures can be told apart."""
    colors = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors).resize((width, height), Image.Resampling.BICUBIC).save(path)


def make_run(path, **changes):
    folder = RunFolder(write_run(path, **{**RUN, **changes}))
    paint(folder.content, 400, 300, 1)
    paint(folder.style(1), 320, 240, 2)
    for number, step in enumerate((10, 20, 30, 40)):
        side = 160 if step <= 20 else 320
        paint(folder.iteration(step), side, side * 3 // 4, 3 + number)
    paint(folder.result, 320, 240, 6)
    paint(folder.latest, 320, 240, 6)
    paint(folder.gif, 32, 24, 7)
    lines = [
        {"step": step, "scale": step > 20, "terms": {"total": 2 / step, "style/a": 1 / step}}
        for step in (1, 5, 10, 15, 20, 21, 25, 30, 35, 40)
    ]
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def make_training(path):
    folder = TrainFolder(path)
    path.mkdir()
    writer = TrainingWriter(folder, 0, 0, tensorboard=False)
    figures = {"loss": 2.0, "accuracy": 0.5, "learning_rate": 0.1}
    for step in (1, 2, 3, 4):
        writer.write(step, ends_epoch=False, epoch=1, batch=step, **figures)
    writer.write(4, ends_epoch=True, epoch=1, val_loss=2.5, val_accuracy=0.4, **figures)
    writer.close()
    names = ("apple", "a rather long name of a class", "clock")
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 20, 3), np.uint8)
    pictures = Pictures(pixels, np.arange(30, dtype=np.int32) % 3)
    page = TrainingPage(folder, TrainConfig(csv="labels.csv"), names)
    page.finish(Predictions(pictures, np.arange(30) // 2 % 3, "validation"))
    return folder.page


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The paths of one page of each kind, by name."""
    top = tmp_path_factory.mktemp("pages")
    run, live = make_run(top / "run"), make_run(top / "live", status="running", step=20)
    found = {"run": gallery.write_page(run), "live": gallery.write_page(live, 30.0)}
    runs = []
    for weight in ("4.0", "16.0"):
        for scale in ("0.5", "1.0"):
            own = {"style_weight": weight, "style_scale": scale}
            path = top / f"style_weight={weight}_style_scale={scale}"
            runs.append(make_run(path, settings=own | {"content": "/home/me/harbor.jpg"}).path)
    layout = ("style_weight", "style_scale")
    found["sweep"] = comparison.write_page(top / "sweep.html", runs, layout=layout)
    other = make_run(top / "other", content={"name": "hill.jpg"})
    found["comparison"] = comparison.write_page(top / "two.html", [run.path, other.path])
    found["training"] = make_training(top / "training")
    return found


class Window:
    """A window that shows one page after the other, each as if it were the first; a window for each
    would take six times as long.

    Attributes:
        troubles: errors, and what was requested from elsewhere.
    """

    def __init__(self, browser, **options):
        self.troubles = []
        self._page = browser.new_context(**options).new_page()
        # A page keeps some of its state in the window, for its renewals only.
        self._page.add_init_script(
            """if (location.href === "about:blank") {
                 window.name = "";
               } else if (!window.name) {
                 sessionStorage.clear();
                 window.name = "visited";
               }"""
        )
        self._page.on("console", lambda said: self.troubles.append(f"console: {said.text}"))
        self._page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self._page.on("request", self._request)

    def _request(self, asked):
        if not asked.url.startswith(("data:", "file:")):
            self.troubles.append(asked.url)

    def visit(self, path, width=1280, color_scheme="light"):
        self._page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        self._page.emulate_media(color_scheme=color_scheme)
        self._page.goto(path.as_uri())
        return self._page

    def leave(self):
        self._page.goto("about:blank")


@pytest.fixture(scope="module")
def windows():
    """A window, and one without JavaScript."""
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield Window(browser), Window(browser, java_script_enabled=False)
        browser.close()


@pytest.fixture
def visit(windows):
    """Opens a page; in the end, nothing may have been requested and no error logged."""
    yield from visits(windows[0])


@pytest.fixture
def visit_without_javascript(windows):
    yield from visits(windows[1])


def visits(window):
    yield window.visit
    window.leave()
    troubles, window.troubles = window.troubles, []
    assert not troubles


# The contrast of texts with the wall, after WCAG 2.
CONTRAST = """() => {
  const light = color => { const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(value => {
    value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const wall = light(getComputedStyle(document.body).backgroundColor);
  const texts = ".facts, .hint, figcaption, small, .news, .readout, .kicker, footer, a, dd, th, td";
  return [...document.querySelectorAll(texts)]
    .filter(node => node.offsetParent && !node.closest(".save, .badge, .confusion"))
    .map(node => [node.className + node.tagName, ratio(light(getComputedStyle(node).color), wall)])
    .filter(([, found]) => found < 4.5);
}"""


KINDS = ("run", "live", "sweep", "comparison", "training")


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_is_wider_than_its_screen_nothing_is_cut_and_texts_have_contrast(
    visit, pages, kind
):
    page = visit(pages[kind])
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true; }")
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Except in boxes that scroll.
        cut = page.evaluate(
            """() => [...document.querySelectorAll("header *, main *")].filter(node => {
                 const box = node.getBoundingClientRect();
                 return box.width && (box.left < -1 || box.right > innerWidth + 1)
                   && !node.closest(".scroll, .film, .stage");
               }).map(node => node.outerHTML.slice(0, 80))"""
        )
        assert cut == [], width
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert page.evaluate(f"matchMedia('(prefers-color-scheme: {theme})').matches")
        assert page.evaluate(CONTRAST) == [], theme


@pytest.mark.parametrize(
    ("kind", "pictures"),
    [
        ("run", ["Result: ", "Photo: ", "Painting: "]),
        ("sweep", ["style_weight=4.0"]),
        ("comparison", ["run"]),
    ],
)
def test_the_pictures_are_seen_without_javascript(visit_without_javascript, pages, kind, pictures):
    page = visit_without_javascript(pages[kind])

    assert page.locator("h1").inner_text()
    for start in pictures:
        image = page.locator(f'img[alt^="{start}"]').first
        assert image.is_visible()
        assert image.bounding_box()["width"] > 80


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_that_is_sent_elsewhere_has_no_dead_link_and_no_path(visit, pages, tmp_path, kind):
    alone = tmp_path / "alone.html"
    shutil.copy(pages[kind], alone)

    page = visit(alone)

    links = page.evaluate("[...document.querySelectorAll('a[href]')].map(link => link.href)")
    assert [link for link in links if not link.startswith("data:")] == []
    text = alone.read_text("utf-8")
    assert "/home/me" not in text
    assert str(pages["run"].parent.parent) not in text


def test_who_has_the_folders_gets_links(visit, pages):
    page = visit(pages["comparison"])

    link = page.locator("figcaption a", has_text="other").first
    assert link.get_attribute("href") == "other/index.html"


def test_the_buttons_are_above_the_fold(visit, pages):
    page = visit(pages["run"])

    for width in (1280, 1600):
        page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        for tab in ("result", "compare", "making"):
            page.click(f"[data-tab={tab}]")
            box = page.locator(".save").bounding_box()
            assert box["y"] + box["height"] <= WIDTHS[width]


def until(page, expression):
    """Wait until an expression is true; the page itself may not evaluate texts, by its policy."""
    for _ in range(150):
        with contextlib.suppress(sync_api.Error):  # while the page is loaded again
            if page.evaluate(expression):
                return
        page.wait_for_timeout(100)
    raise AssertionError(expression)


def zoom_of(page):
    return float(page.locator(".viewer").evaluate("node => node.style.getPropertyValue('--zoom')"))


def test_zoom_by_keys_wheel_and_double_click(visit, pages):
    page = visit(pages["run"])
    stage = page.locator(".stage")
    box = stage.bounding_box()

    page.keyboard.press("+")
    assert zoom_of(page) == pytest.approx(1.5)
    page.keyboard.press("0")
    assert zoom_of(page) == 1
    page.keyboard.press("1")
    assert zoom_of(page) == pytest.approx(320 / stage.evaluate("node => node.clientWidth"))
    page.keyboard.press("0")
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.wheel(0, -300)
    until(page, "document.querySelector('.viewer').classList.contains('zoomed')")
    stage.dblclick()
    assert zoom_of(page) == 1


def test_f_fills_the_screen(visit, pages):
    page = visit(pages["run"])
    page.keyboard.press("f")
    until(page, "document.fullscreenElement === document.querySelector('.viewer')")
    page.keyboard.press("f")
    until(page, "!document.fullscreenElement")


def test_tabs_and_film_are_one_stop_each_and_moved_by_arrows(visit, pages):
    page = visit(pages["run"])
    page.focus("[data-tab=result]")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.tab") == "compare"
    assert page.locator(".chip").all_inner_texts() == ["Photo", "Result"]
    page.keyboard.press("End")
    assert page.locator("[aria-selected=true]").inner_text() == "How it was made"

    assert page.locator(".film button").count() == 4
    assert page.locator(".film button[tabindex='0']").count() == 1
    page.focus(".film button[tabindex='0']")
    page.keyboard.press("Home")
    assert page.locator(".player output b").inner_text() == "Step 10"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Step 10"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    assert page.locator(".player output b").inner_text() == "Step 40"


def test_the_tab_key_goes_from_tabs_to_picture_to_tools_to_details(visit, pages):
    page = visit(pages["run"])
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => { const it = document.activeElement;
                     return it.dataset.tab || it.title || it.id || it.textContent.trim(); }"""
            )
        )
    assert seen[:10] == [
        *("result", "stage", "Zoom out", "Zoom in", "Real pixels (1)"),
        *("The whole picture (0)", "Full screen (f)", "result.png", "Save animation", "Details"),
    ]


def test_the_wipe_is_moved_by_pointer_and_keys(visit, pages):
    page = visit(pages["run"])
    page.click("[data-tab=compare]")
    box = page.locator(".stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 60)
    cut = page.locator(".wipe")
    assert float(cut.input_value()) == pytest.approx(25, abs=1)
    cut.focus()
    page.keyboard.press("ArrowRight")
    assert float(cut.input_value()) == pytest.approx(26, abs=1)


def test_the_player_plays_to_the_end_and_loops(visit, pages):
    page = visit(pages["run"])
    page.click("[data-tab=making]")
    page.select_option(".player select", "4")
    page.evaluate(  # what is shown for a moment only is kept
        """() => {
            const shown = document.querySelector(".player output");
            window.seen = [];
            const keep = () => seen.push(shown.querySelector("b").textContent);
            const changes = {childList: true, subtree: true, characterData: true};
            new MutationObserver(keep).observe(shown, changes);
        }"""
    )
    page.click(".player [aria-label=Play]")
    until(page, "seen.includes('Step 20')")
    page.wait_for_selector(".player [aria-label=Play]")  # it has ended by itself
    assert page.locator(".player output b").inner_text() == "Step 40"
    page.click("text=Loop")
    page.evaluate("seen.length = 0")
    page.click(".player [aria-label=Play]")
    until(page, "seen.includes('Step 40') && seen.lastIndexOf('Step 10') > seen.indexOf('Step 40')")
    page.click(".player [aria-label=Pause]")


def test_what_is_saved_is_the_result_itself(visit, pages):
    page = visit(pages["run"])
    with page.expect_download() as saved:
        page.click("text=Save picture")
    assert saved.value.suggested_filename == "harbor in the style of lily pond.png"
    result = pages["run"].parent / "result.png"
    assert saved.value.path().read_bytes() == result.read_bytes()
    gif = page.locator("text=Save animation").get_attribute("href")
    assert base64.b64decode(gif.partition(",")[2]) == result.with_name("progress.gif").read_bytes()


def test_curves_break_between_scales_and_are_told_apart_by_dashes(visit, pages):
    page = visit(pages["run"])
    page.click("details.all > summary")
    path = page.locator(".curve.total").get_attribute("d")
    assert path.count("M") == 2  # one line for each scale
    assert page.locator(".chart .name").all_text_contents() == ["total", "style/a"]


def test_a_command_breaks_only_at_spaces(visit, pages):
    page = visit(pages["run"], 390)
    page.click("details.all > summary")
    starts = page.evaluate(
        """() => [...document.querySelectorAll(".command span")].map(word => {
             const range = document.createRange();
             range.setStart(word.firstChild, 0);
             range.setEnd(word.firstChild, Math.min(4, word.textContent.length));
             return range.getClientRects().length; })"""
    )
    assert set(starts) == {1}  # no line ends behind the two hyphens of a flag


def test_a_silent_job_says_how_to_go_on(visit, pages, tmp_path):
    gallery.write_page(RunFolder(pages["live"].parent), 30.0)  # just now
    page = visit(pages["live"])
    assert "renews itself" in page.locator(".state .news").first.inner_text()
    assert not page.locator(".resume").is_visible()

    data = pages["live"].read_text("utf-8")
    before = json.loads(data.partition('id="data">')[2].partition("</script>")[0])["live"][
        "written"
    ]
    old = tmp_path / "index.html"
    old.write_text(data.replace(f'"written": {before}', f'"written": {time.time() - 120}'))
    page = visit(old)
    assert page.locator(".state .news").first.inner_text().startswith("No news for 2 min")
    assert "--workdir=a" in page.locator(".resume code").inner_text()


def test_a_page_at_work_renews_itself_soon(visit, pages):
    page = visit(pages["live"])
    page.evaluate("window.same = true")
    until(page, "window.same === undefined")


def test_a_cell_is_used_by_its_command(visit, pages):
    page = visit(pages["sweep"])
    button = page.locator(".use").first
    assert "--content=harbor.jpg" in button.get_attribute("title")
    button.click()
    until(page, "document.querySelector('.use').textContent === 'Copied'")  # for a moment
    assert not page.locator(".card .name", has_text="style_weight").count()  # the axes say it
    assert page.locator(".explained dt").all_inner_texts()[:2] == ["ssim", "gram_error"]


def test_the_first_column_stays_while_the_table_scrolls(visit, pages):
    page = visit(pages["sweep"], 390)
    assert page.locator("#numbers .more").is_visible()
    page.locator("#numbers .scroll").evaluate("node => { node.scrollLeft = 200; }")
    assert page.locator(".runs tbody th").first.bounding_box()["x"] >= 0


def test_a_training_shows_what_it_takes_for_what(visit, pages):
    page = visit(pages["training"])
    assert page.locator(".confusion tbody tr").count() == 3
    assert page.locator(".samples figure").count() == 22
    assert page.locator(".charts svg").count() > 2
    assert "10 of 30 pictures right" in page.locator("#confusion .readout").inner_text()
