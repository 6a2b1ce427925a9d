"""11_decorrelation: what each term of VICReg, Barlow Twins and LeJEPA is for, measured on validation images."""

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence

SHARE = 0.3                                                          # of the recipe's steps, so that a class can repeat it
REMOVED = {"vicreg": ("vicreg", {}), "vicreg-no-variance": ("vicreg", {"variance": 0.0}),
           "vicreg-no-covariance": ("vicreg", {"covariance": 0.0}),
           "vicreg-invariance-only": ("vicreg", {"variance": 0.0, "covariance": 0.0}),
           "barlow": ("barlow_twins", {}), "barlow-no-decorrelation": ("barlow_twins", {"decorrelate": False}),
           "lejepa": ("lejepa", {}), "lejepa-no-gaussian": ("lejepa", {"gaussian_weight": 0.0})}


def _measure(seed, objective, **options):
    from sslab.course.lessons.common import measure

    return measure(seed, objective, share=SHARE, **options)


@evidence("11/removed", seeds=range(3), version=1, how=tuple(REMOVED))
def removed(seed, how):
    """A short run of each method, whole and with one of its terms removed."""
    objective, knobs = REMOVED[how]
    return _measure(seed, objective, **knobs)


@evidence("11/covariance", seeds=range(3), version=1, weight=(0.0, 1.0, 4.0, 10.0))
def covariance(seed, weight):
    """VICReg at some weights of the covariance term."""
    return _measure(seed, "vicreg", covariance=weight)


@evidence("11/gaussian", seeds=range(3), version=1, weight=(0.01, 0.05, 0.3))
def gaussian(seed, weight):
    """LeJEPA at some weights of its Gaussian term."""
    return _measure(seed, "lejepa", gaussian_weight=weight)


@define_claim("11/no-variance-collapses", "Without the variance term VICReg's projections shrink to nearly one point: std "
              "below 0.2 on every seed, and above 0.7 with it.",
              evidence=["11/removed/vicreg-no-variance/std", "11/removed/vicreg/std"],
              without={"11/removed/vicreg-no-variance/std": "11/removed/vicreg/std"})
def _(r):
    off, on = r["11/removed/vicreg-no-variance/std"], r["11/removed/vicreg/std"]
    return every(off, lambda value: value < 0.2) and every(on, lambda value: value > 0.7)


@define_claim("11/rank-misses-collapse", "The effective rank does not notice: it is higher in the collapsed cloud than in the "
              "healthy one.",
              evidence=["11/removed/vicreg-no-variance/effective-rank", "11/removed/vicreg/effective-rank"],
              without={"11/removed/vicreg-no-variance/effective-rank": 1.0})
def _(r):
    return beats(r["11/removed/vicreg-no-variance/effective-rank"], r["11/removed/vicreg/effective-rank"])


@define_claim("11/no-covariance-loses-rank", "Without the covariance term the projections fill fewer than 6 of 128 directions, "
              "and at least three times as many with it.",
              evidence=["11/removed/vicreg-no-covariance/effective-rank", "11/removed/vicreg/effective-rank"],
              without={"11/removed/vicreg-no-covariance/effective-rank": "11/removed/vicreg/effective-rank"})
def _(r):
    off, on = r["11/removed/vicreg-no-covariance/effective-rank"], r["11/removed/vicreg/effective-rank"]
    return every(off, lambda value: value < 6) and on.value > 3 * off.value


@define_claim("11/no-covariance-costs", "Without the covariance term VICReg's probe is more than 10 points lower.",
              evidence=["11/removed/vicreg-no-covariance/probe", "11/removed/vicreg/probe"],
              without={"11/removed/vicreg-no-covariance/probe": "11/removed/vicreg/probe"})
def _(r):
    return beats(r["11/removed/vicreg/probe"], r["11/removed/vicreg-no-covariance/probe"], margin=0.10)


@define_claim("11/barlow-loses-rank", "With the off-diagonal weight at 0, Barlow Twins' projections fill less than half as many "
              "directions, and the probe is lower.",
              evidence=["11/removed/barlow-no-decorrelation/effective-rank", "11/removed/barlow/effective-rank",
                        "11/removed/barlow-no-decorrelation/probe", "11/removed/barlow/probe"],
              without={"11/removed/barlow-no-decorrelation/effective-rank": "11/removed/barlow/effective-rank"})
def _(r):
    off, on = r["11/removed/barlow-no-decorrelation/effective-rank"], r["11/removed/barlow/effective-rank"]
    return (2 * max((off.value, *off.draws)) < on.value
            and beats(r["11/removed/barlow/probe"], r["11/removed/barlow-no-decorrelation/probe"]))


@define_claim("11/encoder-keeps-more", "Without the covariance term the encoder's output still fills at least five times as "
              "many directions as the projections.",
              evidence=["11/removed/vicreg-no-covariance/effective-rank-h", "11/removed/vicreg-no-covariance/effective-rank"],
              without={"11/removed/vicreg-no-covariance/effective-rank-h": "11/removed/vicreg-no-covariance/effective-rank"})
def _(r):
    h, z = r["11/removed/vicreg-no-covariance/effective-rank-h"], r["11/removed/vicreg-no-covariance/effective-rank"]
    return h.value > 5 * z.value


@define_claim("11/point-is-worse-than-nothing", "Without the variance term the probe falls on every seed below that of the encoder "
              "before training; without the covariance term it stays above.",
              evidence=["11/removed/vicreg-no-variance/probe", "11/removed/vicreg-no-covariance/probe",
                        "07/untrained/random-encoder"],
              without={"11/removed/vicreg-no-variance/probe": "11/removed/vicreg-no-covariance/probe"})
def _(r):
    untrained = r["07/untrained/random-encoder"]
    point = r["11/removed/vicreg-no-variance/probe"]
    return (max((point.value, *point.draws)) < min((untrained.value, *untrained.draws))
            and beats(r["11/removed/vicreg-no-covariance/probe"], untrained))


@define_claim("11/rank-is-not-a-score", "From weight 1 to weight 10 the rank grows by more than a half, and the probe does "
              "not grow with it.",
              evidence=["11/covariance/1.0/effective-rank", "11/covariance/10.0/effective-rank", "11/covariance/1.0/probe",
                        "11/covariance/10.0/probe"],
              without={"11/covariance/10.0/effective-rank": "11/covariance/1.0/effective-rank"})
def _(r):
    return (r["11/covariance/10.0/effective-rank"].value > 1.5 * r["11/covariance/1.0/effective-rank"].value
            and not beats(r["11/covariance/10.0/probe"], r["11/covariance/1.0/probe"]))


@define_claim("11/gaussian-has-a-price", "At weight 0 the projections collapse (std below 0.2); at weight 0.3 they do not, and "
              "the probe is lower than at 0.01.",
              evidence=["11/removed/lejepa-no-gaussian/std", "11/gaussian/0.3/std", "11/gaussian/0.01/probe",
                        "11/gaussian/0.3/probe"],
              without={"11/gaussian/0.3/probe": "11/gaussian/0.01/probe"})
def _(r):
    collapsed = r["11/removed/lejepa-no-gaussian/std"].value < 0.2 < r["11/gaussian/0.3/std"].value
    return collapsed and beats(r["11/gaussian/0.01/probe"], r["11/gaussian/0.3/probe"])
