"""Sphinx's settings for the site. `sslab course site` copies this folder beside the pages that it makes."""

import re
from pathlib import Path

from sslab import __version__
from sslab.course.badges import repository

project, author, language, release = "sslab", "The sslab contributors", "en", __version__
copyright = author
extensions = ["myst_nb"]
exclude_patterns = ["_static"]

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"                                            # the outputs are in the notebooks already
nb_ipywidgets_js = {}                                                # widgets are shown as pictures: nothing to load
nb_merge_streams = True

mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"options": {"enableMenu": False}}                 # the menu could load more from a network

html_theme = "sphinx_book_theme"
html_title = "sslab"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sphinx = False
html_use_index = False
html_context = {"default_mode": "auto"}                             # light or dark as the reader's system
html_theme_options = {
    "repository_url": repository(),
    "navbar_persistent": [],                                         # the search is in the side bar
    "use_repository_button": True,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def name_toggles(app, error) -> None:
    """The theme's toggles in the side bar say nothing to a screen reader: name each after the page that it stands beside."""
    if error is not None or app.builder.format != "html":
        return
    toggle = re.compile(r'(<a class="(?:current )?reference internal"[^>]*>)([^<]*)(</a><details[^>]*><summary)>')
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        named = toggle.sub(lambda found: f'{found[1]}{found[2]}{found[3]} aria-label="Pages under: {found[2]}">', text)
        if named != text:
            path.write_text(named, encoding="utf-8")


def setup(app) -> None:
    app.connect("build-finished", name_toggles)
