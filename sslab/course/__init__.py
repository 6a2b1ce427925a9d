"""The course: builds the notebooks' editions, keeps the ledger of results, tests the claims.

In a notebook:

    from sslab.course import claim, record
"""


def claim(name, yours=None):
    """Show what the course claims, our numbers for it and yours; see `sslab.course.claims.show`."""
    from sslab.course.claims import show

    return show(name, yours)


def record(name):
    """One measured result of notebooks/results.json: .value, .interval, .draws, .seeds, .series."""
    from sslab.course.ledger import read

    return read().record(name)
