"""The documentation as a site: Sphinx with MyST, an API reference from the docstrings.

TensorFlow and Keras are replaced by stand-ins, so that the site builds in seconds.
"""

import re
import sys
import typing
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import root_pages  # noqa: E402  after its folder is on the path
import settings_page  # noqa: E402
from sphinx.ext.autodoc.mock import _MockObject  # noqa: E402
from sphinx.util.typing import stringify_annotation  # noqa: E402

import nst_keras  # noqa: E402
from nst_keras.imaging.in_memory import PictureLike  # noqa: E402

# Sphinx's stand-ins lack what annotations such as `np.ndarray | tf.Tensor` need.
_MockObject.__or__ = _MockObject.__ror__ = lambda self, other: typing.Union[  # noqa: UP007
    other, typing.ForwardRef(repr(self))
]

project = "nst_keras"
author = "the nst_keras authors"
copyright = "2026, the nst_keras authors"
version = release = nst_keras.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
nitpicky = False  # types of other packages have no pages here

myst_heading_anchors = 4  # those that links with a # lead to
myst_enable_extensions = ["colon_fence"]

default_role = "code"  # docstrings are plain text, with code in single backticks
autodoc_mock_imports = ["tensorflow", "keras"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_use_ivar = True

html_theme = "furo"
html_static_path = ["../configs/images"]  # for pictures in HTML
html_title = f"nst_keras {release}"
html_show_sphinx = False
html_copy_source = False


def setup(app) -> None:
    """Have pages written before Sphinx looks for them, and links to these put right."""
    app.connect("config-inited", _write_pages)
    app.connect("source-read", _correct_links)
    app.connect("autodoc-process-signature", _shorten_signature)
    app.connect("autodoc-process-docstring", _prepare_docstring, priority=400)  # before Napoleon


def _write_pages(app, config) -> None:
    root_pages.write(HERE.parent, HERE)
    root_pages.write_if_new(HERE / root_pages.FOLDER / "settings.md", settings_page.text())


def _correct_links(app, docname: str, source: list[str]) -> None:
    if "/" not in docname:
        source[0] = root_pages.with_pages(source[0])


def _shorten_signature(app, what, name, obj, options, signature, returns):
    """Have the name of a long type in place of all that it may be."""
    if not signature:  # of a module
        return None
    long = stringify_annotation(PictureLike, "smart")
    return signature.replace(long, "PictureLike"), returns


_SHARED = re.compile(r"^\s+\w+(?:, \w+)+: ")  # names that have one description


def _prepare_docstring(app, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Bring docstrings into a form in which Napoleon takes no name and no phrase for a type."""
    lines[:] = [
        _SHARED.sub(lambda found: found[0].replace(", ", ",\N{ZERO WIDTH SPACE}"), line)
        for line in lines
    ]
    if what == "property" and lines:
        lines[0] = lines[0].replace(": ", "\N{RATIO} ")
