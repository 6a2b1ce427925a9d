"""The course: builds the notebooks' editions, keeps the ledger of results, tests the claims.

In a notebook:

    from sslab.course import claim, record, verdict
"""


def claim(name, yours=None):
    """Show what the course claims, our numbers for it and yours; see `sslab.course.claims.show`."""
    from sslab.course.claims import show

    return show(name, yours)


def record(name):
    """One measured result of notebooks/results.json: .value, .interval, .draws, .seeds, .series."""
    from sslab.course.ledger import read

    return read().record(name)


def verdict(a, b, above, same, below):
    """One of three answers to "is record a above record b?", by the interval of their differences: `same` where it holds 0."""
    gap = record(a).minus(record(b))
    low, high = gap.interval or (gap.value, gap.value)
    return above if low > 0 else below if high < 0 else same
