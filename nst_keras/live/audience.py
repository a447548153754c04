"""Who looks at the live page, and whether all of them know how the run ended."""

import dataclasses
import threading
import time

_ATTENTION = 5.0  # seconds for which a look counts; a page in a hidden tab asks every four
_MOST = 64  # pages that are told apart


@dataclasses.dataclass
class _Page:
    """A page in a browser: when it last asked for anything, and what it has got."""

    asked: float  # by the monotonic clock
    knows_end: bool = False
    picture: int = 0  # the number of the newest one


class Audience:
    """The pages that ask for states and pictures, by names of their own; '' for those without."""

    def __init__(self) -> None:
        self._pages: dict[str, _Page] = {}
        self._changed = threading.Condition()

    def note(self, name: str, *, knows_end: bool = False, picture: int = 0) -> None:
        """Note that a page asked for something now, and perhaps got a state of the run after its
        end, or the picture of a number."""
        with self._changed:
            page = self._pages.pop(name, None) or _Page(0.0)
            self._pages[name] = page  # the newest one last
            while len(self._pages) > _MOST:
                del self._pages[next(iter(self._pages))]
            page.asked = time.monotonic()
            page.knows_end |= knows_end
            page.picture = max(page.picture, picture)
            self._changed.notify_all()

    def wait_until_informed(self, picture: int, seconds: float) -> None:
        """Wait until all pages that were looked at lately know of the end and have the last
        picture, whose number is `picture`, but not longer than some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._are_informed(picture), seconds)

    def _are_informed(self, picture: int) -> bool:
        named = {name: page for name, page in self._pages.items() if name}
        # A page asks without a name once, as it is loaded, and then with its own.
        pages = named or self._pages
        now = time.monotonic()
        return all(
            page.knows_end and page.picture >= picture
            for page in pages.values()
            if now - page.asked < _ATTENTION
        )
