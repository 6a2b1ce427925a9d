"""The live lab: all that runs in a notebook's front end. `Lab` trains and shows, `predict` asks, `check` corrects."""

from sslab.lab import check
from sslab.lab.predict import predict
from sslab.lab.session import Lab
from sslab.lab.source import show_source

__all__ = ["Lab", "check", "predict", "show_source"]
