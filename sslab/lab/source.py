"""The code that runs, shown where it is talked about."""

import inspect


def show_source(thing):
    """The source of a function or class of the package, highlighted: not a copy that may have gone stale."""
    from IPython.display import Code

    return Code(inspect.getsource(inspect.unwrap(thing)), language="python")
