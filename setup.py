"""What setup.cfg cannot say: links of the README for the package index, and a reproducible sdist.

The address of the repository has one place, `Source` in the `project_urls` of setup.cfg. While it
is not set, links stay as they are, and a package index shows no pictures.
"""

import configparser
import gzip
import io
import os
import re
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent
# Places of a link or a picture in Markdown and HTML; not of addresses, or of places on the page.
_RELATIVE = re.compile(r"""(\]\(|(?:src|href)=")(?![a-z]+:|[#/])([^)"\s]+)""")
_PICTURES = (".jpg", ".png", ".gif", ".svg", ".webp")


def source_address(config: str) -> str:
    """The address of the repository, without a slash at its end; empty if setup.cfg has none."""
    parser = configparser.ConfigParser()
    parser.read_string(config)
    urls = parser.get("metadata", "project_urls", fallback="")
    found = dict(re.findall(r"^\s*(\w+)\s*=\s*(\S+)\s*$", urls, re.MULTILINE))
    return found.get("Source", "").rstrip("/")


def with_absolute_links(text: str, address: str, version: str) -> str:
    """The README with links to the files of a version in the repository at a GitHub address."""
    if not address:
        return text

    def absolute(match: re.Match) -> str:
        before, path = match.groups()
        kind = "raw" if path.lower().endswith(_PICTURES) else "blob"
        return f"{before}{address}/{kind}/v{version}/{path}"

    return _RELATIVE.sub(absolute, text).replace("<this repository>", address)


def repack(path: Path, seconds: int) -> None:
    """Write a .tar.gz anew so that its bytes depend on names and contents only: in order, with one
    time, no owner, and modes that do not come from the umask."""
    with tarfile.open(path) as archive:
        entries = sorted(archive.getmembers(), key=lambda entry: entry.name)
        read = {entry.name: archive.extractfile(entry) for entry in entries if entry.isfile()}
        contents = {name: file.read() for name, file in read.items() if file}
    with (
        open(path, "wb") as file,
        gzip.GzipFile("", "wb", mtime=seconds, fileobj=file) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for entry in entries:
            archive.addfile(_plain(entry, seconds), io.BytesIO(contents.get(entry.name, b"")))


def _plain(entry: tarfile.TarInfo, seconds: int) -> tarfile.TarInfo:
    entry.mtime, entry.pax_headers = seconds, {}
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


class ReproducibleSdist(sdist):
    """Builds equal archives of equal files where SOURCE_DATE_EPOCH is set, as for wheels."""

    def make_archive(self, *arguments, **options) -> str:
        """Write the archive; returns its path."""
        path = super().make_archive(*arguments, **options)
        if (seconds := os.environ.get("SOURCE_DATE_EPOCH")) and path.endswith(".tar.gz"):
            repack(Path(path), int(seconds))
        return path


def _version() -> str:
    text = (HERE / "nst_keras/__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0]


if __name__ == "__main__":
    setup(
        long_description=with_absolute_links(
            (HERE / "README.md").read_text(encoding="utf-8"),
            source_address((HERE / "setup.cfg").read_text(encoding="utf-8")),
            _version(),
        ),
        cmdclass={"sdist": ReproducibleSdist},
    )
