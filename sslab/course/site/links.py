"""Reads a built site and says which of its links lead nowhere, and what it would load from a network."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {"script": "src", "img": "src", "source": "src", "iframe": "src", "embed": "src", "audio": "src", "video": "src",
         "track": "src", "input": "src", "object": "data", "image": "href", "use": "href"}
LOADED = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}   # <link rel>


@dataclass
class Page(HTMLParser):
    """What one HTML file points to."""

    path: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._in_style = False
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes) -> None:
        given = {name: value or "" for name, value in attributes}
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        self._in_style = tag == "style"
        self.loads += _in_css(given.get("style", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and LOADED & set(given.get("rel", "").lower().split()):
            self.loads.append(given.get("href", ""))
        elif given.get(LOADS.get(tag, "")):
            self.loads.append(given[LOADS[tag]])
        self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.loads += _in_css(data)


def problems(folder: Path) -> list[str]:
    """What is wrong with the links of a site.

    Args:
        folder: of HTML files.
    Returns:
        one sentence for each link to a file or anchor that is not there, and for each script, style, picture or font
        that would come from a network. Links that a reader may follow to other sites are not tried.
    Raises:
        ValueError: there is no HTML in the folder.
    """
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts}  # there: templates
    if not pages:
        raise ValueError(f"folder: got {folder}, takes one with HTML files")
    found = []
    for page in pages.values():
        where = page.path.relative_to(folder)
        for link in dict.fromkeys(page.links):
            found += [f"{where}: {link}: {wrong}" for wrong in _leads_nowhere(page, link, pages)]
        for load in dict.fromkeys(page.loads):
            found += [f"{where}: {load}: {wrong}" for wrong in _not_here(page, load)]
    for style in sorted(folder.rglob("*.css")):
        text = style.read_text(encoding="utf-8", errors="replace")
        found += [f"{style.relative_to(folder)}: {load}: is loaded from a network" for load in _in_css(text) if _remote(load)]
    return found


def _leads_nowhere(page: Page, link: str, pages: dict[Path, Page]) -> list[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return []
    target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
    target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        return ["no such file"]
    anchor = unquote(parts.fragment)
    return ["no such place on that page"] if anchor and target in pages and anchor not in pages[target].ids else []


def _not_here(page: Page, load: str) -> list[str]:
    parts = urlsplit(load)
    if _remote(load):
        return ["is loaded from a network"]
    if parts.scheme or not parts.path or (page.path.parent / unquote(parts.path)).exists():
        return []
    return ["no such file"]


def _remote(load: str) -> bool:
    parts = urlsplit(load)
    return parts.scheme in ("http", "https", "ws", "wss") or bool(parts.netloc)


def _in_css(text: str) -> list[str]:
    """What a style sheet loads: url(...) and @import "..."."""
    return re.findall(r"url\(\s*['\"]?([^'\")]+)", text) + re.findall(r"@import\s+['\"]([^'\"]+)", text)
