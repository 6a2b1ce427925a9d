"""04_masked_language_models: hidden words against counting, BERT's recipe step by step, and few labelled definitions."""

from functools import cache, lru_cache

from sslab.course.claims import beats, define_claim, every
from sslab.course.evidence import evidence

BUDGETS, DRAWS = (10, 50, 200), 10                                   # labelled definitions a class
CLASS = {"mask_share": 0.3}, {"learning_rate": 3e-3}                 # knobs and options of the run that a class repeats
SHARE = 0.4                                                          # of the recipe's steps, for the broken runs
# From BERT to RoBERTa on passages, one change after the other; each keeps those before it.
WALK = {"bert": {}, "dynamic-masks": {"dynamic": True}, "no-pairs": {"dynamic": True, "sentence_pair": False},
        "larger-batches": {"dynamic": True, "sentence_pair": False}}
WALK_ROWS, WALK_STEPS, WALK_BATCH = 750, 400, 16                    # few rows, so that each is seen often: 8.5 times at this batch
BROKEN = {"bert": {}, "all-tokens": {"loss_on": "all"}}
# What is tried on validation for the same transformer from scratch.
SEARCH = tuple({"learning_rate": rate, "steps": steps, "weight_decay": 0.05} for rate in (5e-4, 2e-3) for steps in (60, 150))


def found(made, data, part: str = "test") -> dict[str, float]:
    """Hidden words of new texts that a masked model finds: at once, and among its first five."""
    from sslab import evaluation

    share = evaluation.masked_accuracy(made, data, part, top=(1, 5))
    return {"top-1": share[1], "top-5": share[5]}


def pretrain_text(seed: int, objective: str, data, knobs=None, options=None, watch=None):
    """Train by the recipe on a text dataset -> (objective, last step). `watch(step, objective)` is called after each step.

    Args:
        knobs: of the objective. options: for `train`, in place of the recipe's.
    """
    import torch

    import sslab

    options = {**sslab.recipe(objective, data.name), **(options or {})}
    torch.manual_seed(seed)
    made = sslab.objectives.create(objective, sslab.objectives.encoder_for(objective, data), **(knobs or {}))
    for step in sslab.train(made, data, seed=seed, precision="float32", **options):
        if watch is not None:
            watch(step, made)
    return made, step


def fewer_rows(data, rows: int):
    """The same dataset with its first `rows` training rows only, drawn evenly."""
    import copy

    import torch

    part = copy.copy(data)
    chosen = torch.randperm(len(data.splits["train"]), generator=torch.Generator().manual_seed(0))[:rows]
    part.splits = {**data.splits, "train": data.splits["train"][chosen]}
    part._parts = {}
    return part


@evidence("04/class", seeds=range(3), version=1, unit="share of words")
def class_run(seed):
    """BERT on definitions: what a class can repeat."""
    import sslab

    data = sslab.load("wordnet")
    steps = sslab.recipe("bert", "wordnet")["steps"]
    curve = {"step": [], "top-5": []}

    def watch(step, made):
        if (step.index + 1) % max(1, steps // 10) == 0:
            curve["step"].append(step.index + 1)
            curve["top-5"].append(sslab.evaluation.masked_accuracy(made, data, "validation", top=(5,), words=2000)[5])

    made, step = pretrain_text(seed, "bert", data, *CLASS, watch=watch)
    return {**found(made, data), "loss": (float(step.loss), "nats"), "curve": curve}


@evidence("04/counts", version=1, unit="share of words")
def counts(seed):
    """Models that count words beside each other, on the same hidden words."""
    import sslab
    from sslab import evaluation

    data = sslab.load("wordnet")
    model = evaluation.count_words(data).fit(evaluation.hidden_words(data, "validation", 1000))
    table = model.accuracy(evaluation.hidden_words(data, "test"), top=(1, 5))
    return {f"{name.replace(' ', '-')}/top-{k}": share for name, row in table.items() for k, share in row.items()}


@evidence("04/pretrained", version=1, unit="share of words")
def pretrained(seed):
    """The checkpoint."""
    import sslab

    data = sslab.load("wordnet")
    made = sslab.pretrained("bert", data)
    return {**found(made, data), "train-seconds": (float(made.origin["seconds"]), "s")}


@evidence("04/broken", seeds=range(3), version=1, unit="share of words", how=tuple(BROKEN))
def broken(seed, how):
    """A short run with something changed."""
    import sslab

    data = sslab.load("wordnet")
    made, step = pretrain_text(seed, "bert", data, BROKEN[how], {"steps": sslab.recipe("bert", "wordnet", share=SHARE)["steps"]})
    return {**found(made, data), "loss": (float(step.loss), "nats")}


@evidence("04/walk", seeds=range(3), version=1, unit="share of tokens", how=tuple(WALK))
def walk(seed, how):
    """From BERT to RoBERTa at equal steps, on few passages that are seen often."""
    import sslab

    data = fewer_rows(sslab.load("passages"), WALK_ROWS)
    batch = WALK_BATCH * (2 if how == "larger-batches" else 1)
    made, _ = pretrain_text(seed, "bert", data, WALK[how], {"steps": WALK_STEPS, "batch_size": batch})
    return held_out(made, data)


@evidence("04/walk-counts", version=1, unit="share of tokens")
def walk_counts(seed):
    """The control of that walk: always say the five most frequent tokens."""
    import torch

    import sslab
    from sslab.datasets.tokenizer import SPECIALS

    data = sslab.load("passages")
    counts = data.train.tokens.flatten().long().bincount()
    counts[:len(SPECIALS)] = 0                                       # they are never hidden
    asked = data.test.tokens[::6]
    asked = asked[asked >= len(SPECIALS)]
    return {"most-frequent/top-5": float(torch.isin(asked.long(), counts.topk(5).indices).float().mean())}


def held_out(made, data) -> dict:
    """What a masked model makes of test rows in the shape it was trained on, new masks, all pairs real ones."""
    import torch

    from sslab.evaluation import evaluating

    made.set(dynamic=True)
    views = made.make_views(data.test.tokens[::6].long(), torch.Generator().manual_seed(0))
    if made.sentence_pair:
        views = tuple(view[views[-1] == 1] for view in views)
    with torch.no_grad(), evaluating(made):
        loss = made(views)
    words = loss.terms.get("masked tokens", loss.total)
    return {"top-5": float(loss.terms["top 5"]), "loss": (float(words), "nats")}


@lru_cache(maxsize=1)
def _checkpoint():
    import sslab

    data = sslab.load("wordnet")
    return data, sslab.pretrained("bert", data).encoder


def _trained(how: str, data, encoder):
    """fit(rows, seed, **options): the whole network on labelled definitions, from the checkpoint or from scratch."""
    from functools import partial

    from sslab import evaluation

    if how == "fine-tuned":
        return partial(evaluation.fine_tune, encoder, data)
    return partial(evaluation.train_supervised, data, encoder=encoder)


@cache
def _settings(how: str, budget: int) -> dict:
    from sslab.evaluation import fine_tuning
    from sslab.evaluation.from_scratch import best_settings
    from sslab.modes import by_mode

    search = by_mode(({"learning_rate": 1e-3, "steps": 4},), fine_tuning.SEARCH if how == "fine-tuned" else SEARCH)
    return best_settings(_trained(how, *_checkpoint()), _checkpoint()[0], budget, search, draws=1)


@evidence("04/classify", seeds=range(DRAWS), version=1, unit="accuracy", how=("fine-tuned", "from-scratch"), budget=BUDGETS)
def classify(seed, how, budget):
    """Test accuracy on 12 kinds of definitions; the seed is the draw of labels, the checkpoint is one."""
    from sslab import evaluation

    data, encoder = _checkpoint()
    rows = evaluation.draw_labels(data.train.labels, budget, seed)
    made = _trained(how, data, encoder)(rows, seed=seed, **_settings(how, budget))
    return {"": evaluation.accuracy(made, data.test)}


@evidence("04/frozen", seeds=range(DRAWS), version=1, unit="accuracy", encoder=("bert", "random-encoder"))
def frozen(seed, encoder):
    """Linear probes on the same draws: the seed is the draw. The untrained transformer's weights are from seed 0."""

    table = _probes(encoder)
    return {str(budget): table.fixed[budget][seed] for budget in BUDGETS}


@cache
def _probes(name: str):
    from sslab import evaluation

    data, encoder = _checkpoint()
    encoder = encoder if name == "bert" else evaluation.random_encoder(encoder, data.train.tokens)
    return evaluation.label_efficiency(encoder, data, BUDGETS, DRAWS, penalties=(0.1,))


@lru_cache(maxsize=1)
def _words():
    import sslab
    from sslab import evaluation

    tables = evaluation.word_controls(sslab.load("wordnet"), BUDGETS, DRAWS, penalties=(0.1,), parts=True)
    names = {"TF-IDF": "tf-idf", "TF-IDF + LSA": "lsa", "TF-IDF of parts of words": "parts"}
    return {names[name]: table for name, table in tables.items()}


@evidence("04/words", seeds=range(DRAWS), version=1, unit="accuracy")
def words(seed):
    """Classifiers that count words, on the same draws."""
    return {f"{name}/{budget}": table.fixed[budget][seed] for name, table in _words().items() for budget in BUDGETS}


ALL_STEPS = {"fine-tuned": {"learning_rate": 1e-3, "steps": 800}, "from-scratch": {"learning_rate": 2e-3, "steps": 800}}


def all_rows(data):
    """All labelled training definitions; kinds with fewer are gone through more than once, since test has as many of each."""
    import torch

    members = [(data.train.labels == label).nonzero().flatten() for label in range(data.num_classes)]
    most = max(map(len, members))
    return torch.cat([rows.repeat(most // len(rows) + 1)[:most] for rows in members])


@evidence("04/all-labels", seeds=range(3), version=1, unit="accuracy", how=("fine-tuned", "from-scratch"))
def all_labels(seed, how):
    """With all labelled training definitions."""
    from sslab import evaluation

    data, encoder = _checkpoint()
    made = _trained(how, data, encoder)(all_rows(data), seed=seed, weight_decay=0.05, **ALL_STEPS[how])
    return {"": evaluation.accuracy(made, data.test)}


@evidence("04/all-words", version=2, unit="accuracy")
def all_words(seed):
    """TF-IDF with all labels, every kind weighing as much; the penalty chosen on validation."""
    from sklearn.linear_model import LogisticRegression

    import sslab
    from sslab import evaluation

    data = sslab.load("wordnet")
    features, y = evaluation.tf_idf(data), data.train.labels
    rows, fits = (y >= 0).nonzero().flatten().numpy(), {}
    for strength in (1.0, 3.0, 10.0):
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=300)
        model.fit(features["train"][rows], y[rows].numpy())
        fits[strength] = (model.score(features["validation"], data.validation.labels.numpy()), model)
    best = max(fits.values(), key=lambda fit: fit[0])[1]
    return {"": best.score(features["test"], data.test.labels.numpy())}


def nearest(encoder, data, texts, top: int = 4, among: int = 20_000) -> dict[str, list[str]]:
    """Of some training definitions, an even choice, those that an encoder puts nearest to each text, by cosine."""
    import torch.nn.functional as F

    from sslab import evaluation

    step = max(1, len(data.train) // among)
    bank, queries = (F.normalize(evaluation.features(encoder, tokens), dim=1)
                     for tokens in (data.train.tokens[::step], data.encode(texts)))                  # [N, D], [n, D]
    index = (queries @ bank.T).topk(top, dim=1).indices
    train = data.splits["train"][::step]
    return {text: [data.texts[train[i]] for i in row] for text, row in zip(texts, index.tolist(), strict=True)}


@evidence("04/neighbours", version=1, unit="share of texts")
def neighbours(seed):
    """How often the nearest labelled training definition of a test definition is of the same kind."""
    import torch
    import torch.nn.functional as F

    from sslab import evaluation

    data, encoder = _checkpoint()
    rows = (data.train.labels >= 0).nonzero().flatten()
    bank, truth = data.train.labels[rows], data.test.labels
    found = {}
    for name, network in {"bert": encoder, "random-encoder": evaluation.random_encoder(encoder, data.train.tokens)}.items():
        x = F.normalize(evaluation.features(network, data.train.tokens[rows]), dim=1)
        near = [(part @ x.T).argmax(dim=1) for part in F.normalize(evaluation.features(network, data.test.tokens), dim=1).split(500)]
        found[name] = float((bank[torch.cat(near)] == truth).float().mean())
    features = evaluation.tf_idf(data)
    near = (features["test"] @ features["train"][rows.numpy()].T).argmax(axis=1)
    return {**found, "tf-idf": float((bank[near.A1 if hasattr(near, "A1") else near.flatten()] == truth).float().mean())}


@define_claim("04/above-the-left-neighbour", "After a run that a class can repeat, BERT finds more hidden words among its first five than "
              "a model that counts what follows the left neighbour, on every seed.",
              evidence=["04/class/top-5", "04/counts/left-neighbour/top-5"],
              without={"04/class/top-5": "04/counts/left-neighbour/top-5"})
def _(r):
    return every(r["04/class/top-5"], lambda share: share > r["04/counts/left-neighbour/top-5"].value)


@define_claim("04/checkpoint-above-both", "The checkpoint finds more hidden words among its first five than a model that counts both "
              "neighbours.",
              evidence=["04/pretrained/top-5", "04/counts/both-neighbours/top-5"],
              without={"04/pretrained/top-5": "04/counts/both-neighbours/top-5"})
def _(r):
    return r["04/pretrained/top-5"].value > r["04/counts/both-neighbours/top-5"].value


@define_claim("04/copying", "Where all tokens count, the loss is less than half of BERT's after as many steps, and fewer hidden words are found, "
              "on every seed.",
              evidence=["04/broken/all-tokens/loss", "04/broken/all-tokens/top-5", "04/broken/bert/loss", "04/broken/bert/top-5"],
              without={"04/broken/all-tokens/loss": "04/broken/bert/loss", "04/broken/all-tokens/top-5": "04/broken/bert/top-5"})
def _(r):
    easy, hard = r["04/broken/all-tokens/loss"], r["04/broken/bert/loss"]
    ratios = [easy.value / hard.value, *(a / b for a, b in zip(easy.draws, hard.draws, strict=False))]
    return (max(ratios) < 0.5
            and beats(r["04/broken/bert/top-5"], r["04/broken/all-tokens/top-5"]))


@define_claim("04/fine-tuning-wins", "With 10 and with 50 labels a class the fine-tuned checkpoint is above TF-IDF, above TF-IDF with LSA, "
              "and above the same network from scratch.",
              evidence=[f"{path}/{b}" for b in (10, 50) for path in
                        ("04/classify/fine-tuned", "04/classify/from-scratch", "04/words/tf-idf", "04/words/lsa")],
              without={f"04/classify/fine-tuned/{b}": f"04/words/tf-idf/{b}" for b in (10, 50)})
def _(r):
    return all(beats(r[f"04/classify/fine-tuned/{b}"], r[f"{path}/{b}"]) for b in (10, 50)
               for path in ("04/classify/from-scratch", "04/words/tf-idf", "04/words/lsa"))
