"""The site: lessons with the outputs of a run, a page for each objective made from its code, the guides of docs/.

    sslab course site [--executed DIR] [--output DIR] [--no-run]

`build.py` puts the pages together and calls Sphinx (MyST-NB, sphinx-book-theme); `lessons.py` makes the lessons' pages,
`catalogue.py` those of the objectives, `guides.py` the table of times and the guides; `links.py` reads the built HTML and
refuses a link that leads nowhere and anything that would be loaded from a network.
"""
