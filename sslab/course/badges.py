"""The links that open a notebook elsewhere, and the cell that installs sslab there.

Both are made from the repository's address in pyproject.toml, when the notebooks are built in a checkout.
The links are text, not badge pictures: those would be fetched whenever a notebook is opened.
"""

import tomllib
from pathlib import Path

_PYPROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"


def repository() -> str:
    """The address of the repository, https://github.com/OWNER/NAME."""
    project = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].rstrip("/")


def badge_markdown(slug: str) -> str:
    """One line of Markdown with links that open notebooks/`slug`.ipynb on Colab, Kaggle and Binder.

    Args:
        slug: the notebook's name without its ending, such as "00_start_here".
    """
    url = repository()
    where = url.removeprefix("https://github.com/")
    links = {
        "Colab": f"https://colab.research.google.com/github/{where}/blob/main/notebooks/{slug}.ipynb",
        "Kaggle": f"https://www.kaggle.com/kernels/welcome?src={url}/blob/main/notebooks/{slug}.ipynb",
        "Binder": f"https://mybinder.org/v2/gh/{where}/main?urlpath=lab/tree/notebooks/{slug}.ipynb",
    }
    text = " · ".join(f"[Open in {name}]({link})" for name, link in links.items())
    return f"{text} (none of them tested yet)"


def install_cell() -> str:
    """The code of a notebook's first cell: nothing where sslab is installed, else an install from the repository.

    It leaves the host's torch and kernel as they are, which a plain install would replace under the running
    notebook, and adds only what Colab and Kaggle lack.
    """
    return f"""\
# On Colab or Kaggle this downloads and installs sslab (untested there). Elsewhere it does nothing.
import importlib.util
if importlib.util.find_spec("sslab") is None:
    %pip install --quiet --no-deps git+{repository()}
    %pip install --quiet anywidget umap-learn pooch safetensors
"""
