"""05_autoregressive_models: the next token against counting, what is generated, and a model that sees the future."""

from functools import lru_cache

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence

SHORT = {"batch_size": 8, "steps": 500}                              # of the broken runs: to copy is learned in many small steps
BROKEN = {"gpt": {}, "no-mask": {"causal": False}, "no-shift": {"shift": False}}
TEMPERATURES = (0, 0.4, 0.8, 1.0, 1.5)
PROMPT, LENGTH, PROMPTS = 32, 96, 50                                 # tokens given, tokens generated, prompts an author


def honest_bits(gpt, data, part: str = "test", windows: int | None = 400) -> float:
    """Bits per character when the model is asked as it will be used: the next token, and no look at it."""
    from sslab import evaluation

    values = {name: getattr(gpt, name) for name in ("causal", "shift")}
    gpt.set(causal=True, shift=True)
    try:
        return evaluation.bits_per_character(gpt, data, part, windows=windows)
    finally:
        gpt.set(**values)


def short_run() -> dict:
    """Options of the broken runs."""
    import sslab
    from sslab.modes import by_mode

    return {**sslab.recipe("gpt", "passages"), **by_mode({"batch_size": 8, "steps": 3}, SHORT)}


def repeated(tokens, n: int = 4) -> float:
    """Share of the runs of n tokens in a text [T] that stood in it before."""
    runs = [tuple(tokens[i:i + n].tolist()) for i in range(len(tokens) - n + 1)]
    return 1 - len(set(runs)) / len(runs)


@lru_cache(maxsize=1)
def _checkpoint():
    import sslab

    data = sslab.load("passages")
    return data, sslab.pretrained("gpt", data)


@lru_cache(maxsize=1)
def tokens_ngram():
    """Counts of tokens, up to five before each, interpolated (six is a little better on validation)."""
    from sslab import evaluation

    return evaluation.TextNGram(_passages(), order=5, unit="tokens")


@lru_cache(maxsize=1)
def _passages():
    import sslab

    return sslab.load("passages")


@evidence("05/class", seeds=range(3), version=1, unit="bits per character")
def class_run(seed):
    """GPT by its recipe: what a class can repeat."""
    import sslab
    from sslab import evaluation
    from sslab.course.lessons.nb04 import pretrain_text

    data = _passages()
    steps, curve = sslab.recipe("gpt", "passages")["steps"], {"step": [], "bits": []}

    def watch(step, made):
        if (step.index + 1) % max(1, steps // 10) == 0:
            curve["step"].append(step.index + 1)
            curve["bits"].append(evaluation.bits_per_character(made, data, "validation", windows=150))

    made, step = pretrain_text(seed, "gpt", data, watch=watch)
    score = evaluation.score_text(made, data, "test")
    return {"": score.bits_per_character, "perplexity": (score.perplexity, "tokens"), "loss": (float(step.loss), "nats"),
            "curve": curve}


@evidence("05/ngram", version=1, unit="bits per character")
def ngram(seed):
    """Interpolated Kneser-Ney models of tokens and of characters, the order chosen on validation."""
    from sslab import evaluation

    data, found = _passages(), {}
    for unit, orders in (("tokens", (3, 4, 5, 6)), ("characters", (6, 7, 8))):
        models = {order: evaluation.TextNGram(data, order, unit) for order in orders}
        best = min(orders, key=lambda order: models[order].score("validation").bits_per_character)
        found[unit] = models[best].score("test").bits_per_character
        found[f"{unit}-validation"] = models[best].score("validation").bits_per_character
        found[f"{unit}-order"] = (float(best), f"{unit} before")
    return found


@evidence("05/pretrained", version=1, unit="bits per character")
def pretrained(seed):
    """The checkpoint, on all test texts."""
    from sslab import evaluation

    data, gpt = _checkpoint()
    score = evaluation.score_text(gpt, data, "test")
    return {"": score.bits_per_character, "perplexity": (score.perplexity, "tokens"),
            "train-seconds": (float(gpt.origin["seconds"]), "s")}


@evidence("05/broken", seeds=range(3), version=1, unit="bits per character", how=tuple(BROKEN))
def broken(seed, how):
    """A short run that sees the future, or is asked for what it has just read."""
    from sslab.course.lessons.nb04 import pretrain_text

    data = _passages()
    made, step = pretrain_text(seed, "gpt", data, BROKEN[how], short_run())
    return {"loss": (float(step.loss), "nats"), "": honest_bits(made, data)}


def prompts(data, each: int = PROMPTS, length: int = PROMPT):
    """Beginnings of test windows: tokens [4 * each, length], and whose they are."""
    import torch

    chosen = []
    for author in range(data.num_classes):
        members = (data.test.labels == author).nonzero().flatten()
        chosen.append(members[torch.linspace(0, len(members) - 1, each).long()])
    rows = torch.cat(chosen)
    return data.test.tokens[rows].long(), data.test.labels[rows]


@lru_cache(maxsize=1)
def author_of():
    """A classifier of texts by their words: f(texts) -> author's numbers. Trained on windows of the training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    data = _passages()
    texts = [data.decode(row[PROMPT:]) for row in data.train.tokens.long()]
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), LogisticRegression(C=10, class_weight="balanced", max_iter=300))
    return model.fit(texts, data.train.labels.numpy()).predict


@evidence("05/style", seeds=range(3), version=1, unit="share of texts", who=("real", "gpt", "ngram"))
def style(seed, who):
    """How often what follows a held-out beginning is taken for its author's, by a classifier that counts words."""
    import torch

    from sslab import evaluation

    data, gpt = _checkpoint()
    rows, authors = prompts(data)
    if who == "real":
        follows = [data.decode(row) for row in rows[:, PROMPT:]]
    elif who == "gpt":
        drawn = evaluation.generate(gpt, rows[:, :PROMPT], LENGTH, temperature=0.8, generator=torch.Generator().manual_seed(seed))
        follows = [data.decode(row) for row in drawn[:, PROMPT:]]
    else:
        model = tokens_ngram().model
        follows = [data.decode(torch.tensor(model.sample(row[:PROMPT].tolist(), LENGTH, seed=1000 * seed + i)))
                   for i, row in enumerate(rows)]
    right = torch.as_tensor(author_of()(follows)) == authors
    return {"": float(right.float().mean()), **{f"author-{a}": float(right[authors == a].float().mean()) for a in range(4)}}


def _read_by_the_ngram(rows) -> dict:
    """What follows the prompts in rows [n, T]: how much of it is repeated, and what it costs a model that counts."""
    import math

    data, model = _passages(), tokens_ngram().model
    nats = [-float(model.log_probabilities(row.numpy())[PROMPT:].sum()) for row in rows]
    letters = [len(data.decode(row[PROMPT:])) for row in rows]
    return {"repeated": sum(repeated(row[PROMPT:]) for row in rows) / len(rows),
            "bits": (sum(nats) / math.log(2) / sum(letters), "bits per character")}


@evidence("05/sampling", seeds=range(3), version=1, unit="share of runs", temperature=TEMPERATURES)
def sampling(seed, temperature):
    """What the checkpoint writes at some temperatures: how much it repeats itself, and what it costs a model that counts."""
    import torch

    from sslab import evaluation

    data, gpt = _checkpoint()
    rows, _ = prompts(data, each=10)
    drawn = evaluation.generate(gpt, rows[:, :PROMPT], LENGTH, temperature=temperature, generator=torch.Generator().manual_seed(seed))
    return _read_by_the_ngram(drawn)


@evidence("05/real", version=1, unit="share of runs")
def real(seed):
    """The same two measures of what really follows."""
    rows, _ = prompts(_passages(), each=10)
    return _read_by_the_ngram(rows)


@define_claim("05/ngram-first", "After a run of class length the n-gram model of tokens still foretells new texts better, on every seed.",
              evidence=["05/class", "05/ngram/tokens"], without={"05/class": 1.5})
def _(r):
    return every(r["05/class"], lambda bits: bits > r["05/ngram/tokens"].value)


@define_claim("05/checkpoint-passes", "The checkpoint is below both models that count.",
              evidence=["05/pretrained", "05/ngram/tokens", "05/ngram/characters"], without={"05/pretrained": "05/ngram/tokens"})
def _(r):
    return r["05/pretrained"].value < min(r["05/ngram/tokens"].value, r["05/ngram/characters"].value)


@define_claim("05/seer", "Without the causal mask the loss is below a tenth of GPT's after as many steps; asked honestly, the model needs more than "
              "twice as many bits per character, on every seed.",
              evidence=["05/broken/no-mask", "05/broken/no-mask/loss", "05/broken/gpt", "05/broken/gpt/loss"],
              without={"05/broken/no-mask": "05/broken/gpt", "05/broken/no-mask/loss": "05/broken/gpt/loss"})
def _(r):
    def ratios(key):
        seer, gpt = r[f"05/broken/no-mask{key}"], r[f"05/broken/gpt{key}"]
        return [seer.value / gpt.value, *(a / b for a, b in zip(seer.draws, gpt.draws, strict=False))]

    return max(ratios("/loss")) < 0.1 and min(ratios("")) > 2


@define_claim("05/cold-repeats", "At temperature 0 more than three times as many runs of four tokens are repetitions as at temperature 1.",
              evidence=["05/sampling/0/repeated", "05/sampling/1.0/repeated"],
              without={"05/sampling/0/repeated": "05/sampling/1.0/repeated"})
def _(r):
    return r["05/sampling/0/repeated"].value > 3 * r["05/sampling/1.0/repeated"].value


@define_claim("05/style", "The checkpoint's continuations are taken for the right author's more often than the n-gram's.",
              evidence=["05/style/gpt", "05/style/ngram"], without={"05/style/gpt": "05/style/ngram"})
def _(r):
    return beats(r["05/style/gpt"], r["05/style/ngram"])
