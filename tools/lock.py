"""Write requirements.lock: the version of everything that sslab[dev,onnx,teach,docs,slides] needs, as installed here.

    make lock            upgrades first, then runs this

One `name==version` a line, for `pip install -c requirements.lock -e ".[dev]"`. Constraints name no index and
install nothing by themselves, so one file serves every platform: what only another platform needs (torch's
CUDA libraries, Windows' terminal) is left to the exact pins of the packages that need it.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = ("dev", "onnx", "teach", "docs", "slides")
HEADER = "# Made by `make lock`. Use: pip install -c requirements.lock -e \".[dev]\"\n"


def pins(root: str = "sslab", extras: tuple[str, ...] = EXTRAS) -> dict[str, str]:
    """Name -> version of all that `root[extras]` needs directly or not and that is installed.

    Markers about Python's version or the platform are not judged: a package that another Python needs is
    pinned too when it happens to be here.
    """
    versions, seen, todo = {}, set(), [(root, frozenset(extras))]
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        versions[canonicalize_name(name)] = package.version.split("+")[0]  # torch 2.13.0+cpu -> 2.13.0
        for line in package.requires or ():
            requirement = Requirement(line)
            marker = str(requirement.marker or "")
            if "extra ==" in marker and not any(f'extra == "{extra}"' in marker for extra in wanted):
                continue
            todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    versions.pop(root)
    return versions


def main() -> None:
    lines = [f"{name}=={version}\n" for name, version in sorted(pins().items())]
    path = Path(__file__).resolve().parent.parent / "requirements.lock"
    path.write_text(HEADER + "".join(lines), encoding="utf-8", newline="\n")
    print(f"{path.name}: {len(lines)} pins")


if __name__ == "__main__":
    main()
