"""The live lab: all that runs in a notebook's front end.

`Lab` trains and shows, `record` and `replay` keep a run and show it again, `fill` and `latents` try a trained model by hand,
`predict` asks, `check` corrects, `quiz` asks at the end. `share` hands answers to a class, `unshare` ends that.
"""

from sslab.lab import check
from sslab.lab.fill import fill
from sslab.lab.latents import latents
from sslab.lab.predict import predict
from sslab.lab.quiz import quiz
from sslab.lab.replay import record, replay
from sslab.lab.session import Lab
from sslab.lab.sharing import share, unshare
from sslab.lab.source import show_source

__all__ = ["Lab", "check", "fill", "latents", "predict", "quiz", "record", "replay", "share", "show_source", "unshare"]
