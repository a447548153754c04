"""The HTML of a run's page: what is seen without JavaScript."""

from typing import Any

from nst_keras.runs import page
from nst_keras.runs.record import InputPicture, RunRecord
from nst_keras.runtime.timeline import PAUSED

_LONG = 48  # characters of a title that gets smaller letters, to stay on a line or two


def parts(
    run: RunRecord, names: list[str], pictures: dict[str, Any], beside: list[str]
) -> dict[str, str]:
    """The HTML by the placeholder of the template.

    Args:
        run: as anybody may see it, see `public_record`.
        names: the titles of content and styles.
        pictures: 'content', 'styles', 'prepared' and 'picture' as `gallery.gather` returns them.
        beside: the names of the other files in the folder.
    """
    found, title = pictures["picture"], title_of(names)
    return {
        "heading": _heading(names),
        "facts": _facts(run),
        "state": _state(run),
        "result": _result(found, run, title),
        "shape": _shape(found or pictures["content"], run),
        "sources": _sources(pictures["content"], pictures["styles"], run),
        "prepared": _prepared(pictures["prepared"]),
        "command": _command(run),
        "beside": _beside(beside),
        "version": page.escape(f"nst_keras {run.version}".strip()),
    }


def title_of(names: list[str]) -> str:
    content, *styles = names
    return f"{content} in the style of {_listed(styles)}" if styles else content


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _heading(names: list[str]) -> str:
    content, *styles = map(page.escape, names)
    text = f"{content} <i>in the style of</i> {_listed(styles)}" if styles else content
    return f'<h1 class="long">{text}</h1>' if len(title_of(names)) > _LONG else f"<h1>{text}</h1>"


def _facts(run: RunRecord) -> str:
    scales = run.scales
    if run.finished_early:
        scales = tuple(one for one in scales if (one.first_step or 0) <= run.finished_early)
    # Of processes that were killed, only the time of the steps is known.
    seconds = max(sum(run.parts.values()) - run.parts.get(PAUSED, 0.0), run.seconds or 0.0)
    found = [
        page.size_text(scales[-1].width, scales[-1].height) if scales else "",
        f"{run.step:,} {'step' if run.step == 1 else 'steps'}" if run.step else "",
        "finished early" if run.finished_early else "",
        page.duration(seconds) if seconds else "",
    ]
    return "".join(f"<span>{page.escape(fact)}</span>" for fact in found if fact)


def _state(run: RunRecord) -> str:
    step, total = run.step or 0, run.total_steps or 0
    return page.state(
        run.status,
        f"step {step:,} of {total:,}" if total > 0 else f"step {step:,}",
        min(1.0, step / total) if total > 0 else 0.0,
        run.seconds_left,
        run.reason,
        run.resume_command,
    )


def _shape(shown: dict[str, Any] | None, run: RunRecord) -> str:
    """The style attribute that gives the viewer the shape of its picture."""
    width, height = (shown["width"], shown["height"]) if shown else (4, 3)
    finest = run.scales[-1].width if run.scales else None
    return f"--ratio:{width / height:.5f};--natural:{max(width, finest or 0)}"


def _result(found: dict[str, Any] | None, run: RunRecord, title: str) -> str:
    if not found:
        return '<p class="wait">The first picture is on its way</p>'
    kind = "Result" if run.has_result else "The picture so far"
    return page.image(found, f"{kind}: {title}", id="result", draggable="false")


def _sources(
    content: dict[str, Any] | None, styles: list[dict[str, Any] | None], run: RunRecord
) -> str:
    """The photo and the paintings."""
    several = len(styles) > 1
    found = [_source(content, "Photo", run.content, "content")]
    for number, one in enumerate(styles):
        record = run.styles[number] if number < len(run.styles) else InputPicture()
        found.append(_source(one, "Painting", record, "style", several))
    figures = [one for one in found if one]
    kind = "sources many" if len(figures) > 3 else "sources"
    return f'<div class="{kind}">{"".join(figures)}</div>' if figures else ""


def _source(
    shown: dict[str, Any] | None,
    kind: str,
    record: InputPicture,
    role: str,
    weighted: bool = False,
) -> str:
    if not shown:
        return ""
    about = [page.size_text(record.width or shown["width"], record.height or shown["height"])]
    if weighted and record.weight is not None:
        about.append(f"weight {record.weight:.3g}")
    picture_text = page.image(shown, f"{kind}: {record.name}".rstrip(": "), **{"data-role": role})
    caption = f"<b>{kind}</b>{page.escape(record.name)}<br>{', '.join(filter(None, about))}"
    return f"<figure>{picture_text}<figcaption>{caption}</figcaption></figure>"


def _prepared(shown: list[dict[str, Any]]) -> str:
    figures = "".join(
        f"<figure>{page.image(one, one['label'])}<figcaption>{page.escape(one['label'])}"
        "</figcaption></figure>"
        for one in shown
    )
    title = '<h2 id="more-title">More pictures of this run</h2>'
    return (
        f'<section aria-labelledby="more-title">{title}<div class="more">{figures}</div></section>'
        if figures
        else ""
    )


def _command(run: RunRecord) -> str:
    if not run.command:
        return ""
    where = "Run it in a folder with these pictures. flags.cfg has all settings, with full paths."
    return f'<h3>Repeat this run</h3>{page.command(run.command)}<p class="hint">{where}</p>'


def _beside(names: list[str]) -> str:
    """The other files of the folder, as text: links would be dead where the page is alone."""
    if not names:
        return ""
    shown = ", ".join(f"<code>{page.escape(name)}</code>" for name in names)
    return f"<h3>Beside this page, in its folder</h3><p>{shown}</p>"
