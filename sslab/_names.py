"""One way to say that a name is not known."""

import difflib
from collections.abc import Iterable

MOST = 60                                                            # names in a message


def choose(name: str, options: Iterable[str], argument: str) -> str:
    """Return `name` if it is one of `options`.

    Raises:
        ValueError: it is not; the message names the argument, what it got, what it takes and the nearest match.
    """
    options = list(options)
    if isinstance(name, str) and name in options:
        return name
    near = difflib.get_close_matches(str(name).lower(), options, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    rest = f", ... ({len(options):,} in all)" if len(options) > MOST else ""
    raise ValueError(f"{argument}: got {name!r}, takes one of {', '.join(options[:MOST])}{rest}{hint}")
