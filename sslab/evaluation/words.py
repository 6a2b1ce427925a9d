"""Classifying texts by the words in them: the controls of a language model's representation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sslab._names import choose
from sslab.datasets.base import PARTS
from sslab.evaluation.labels import FIXED_PENALTY, Efficiency, as_dataset, draw_labels, label_efficiency
from sslab.evaluation.language import _part
from sslab.evaluation.probe import PENALTIES
from sslab.modes import by_mode

BUDGETS = (10, 50, 200)
LENGTHS = (3.0, 10.0, 30.0)                                          # of a text's vector, for the fixed penalty
COMPONENTS = (256, 512)
UNITS = {"words": {"token_pattern": r"\w+"}, "parts of words": {"analyzer": "char_wb", "ngram_range": (3, 5)}}


def tf_idf(dataset, unit: str = "words") -> dict:
    """Texts as weighted counts of their words, the weights from all training texts, labelled or not.

    Words of letters and digits, lower-cased, those in at least two texts; 1 + log of a count, times
    log((1 + n) / (1 + texts with the word)) + 1, each row of length 1.

    Args:
        dataset: a TextDataset.
        unit: "words"; or "parts of words", runs of 3 to 5 letters inside them, which sees what words of one stem share
            and takes about ten times as long.
    Returns:
        part -> scipy.sparse matrix [n, words], float32.
    Raises:
        ValueError: no such unit, or an empty part.
    Source:
        Spärck Jones 1972, Journal of Documentation 28(1); the weights are scikit-learn's.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    options = UNITS[choose(unit, UNITS, "unit")]
    counts = TfidfVectorizer(**options, sublinear_tf=True, min_df=2, dtype=np.float32)
    texts = {part: [dataset.texts[i] for i in _part(dataset, part).indices.tolist()] for part in PARTS}
    counts.fit(texts["train"])
    return {part: counts.transform(texts[part]) for part in PARTS}


def tf_idf_efficiency(dataset, labels_per_class: tuple[int, ...] = BUDGETS, seeds: int = 10,
                      penalties: tuple[float, ...] = PENALTIES, on: str = "test", features: dict | None = None) -> Efficiency:
    """Logistic regression on TF-IDF, on the draws and with the two protocols of `label_efficiency`.

    Vectors of length 1 have no unit variance that a fixed penalty could be measured against. So their length is
    chosen among 3, 10 and 30 for each budget, on the validation split over all draws together, as the scaling of a
    representation is there. Column `generous`: the penalty chosen on validation for each draw, at length 10.

    Args:
        dataset: a TextDataset with labels.
        labels_per_class: the budgets.
        seeds: draws of labels.
        penalties: tried for the column `generous`.
        on: "validation" gives the accuracy there.
        features: from `tf_idf`; made here if None.
    Raises:
        ValueError: a budget is larger than a class, or no labels.
    """
    choose(on, ("test", "validation"), "on")
    features = tf_idf(dataset) if features is None else features
    y = dataset.train.labels
    limit = by_mode(300, None)
    held = {part: (features[part][:limit], getattr(dataset, part).labels[:limit].numpy()) for part in ("validation", on)}
    fixed = [FIXED_PENALTY / length**2 for length in LENGTHS]
    strengths = sorted({*fixed, *(penalty / LENGTHS[1] ** 2 for penalty in penalties)}, reverse=True)
    result = Efficiency("TF-IDF")
    for budget in labels_per_class:
        shares = torch.empty(seeds, 2, len(strengths))               # accuracy on validation and on `on`
        for draw in range(seeds):
            rows = draw_labels(y, budget, draw)
            words, weights, biases = _fits(features["train"][rows.numpy()], y[rows].numpy(), strengths)
            for column, part in enumerate(("validation", on)):
                x, truth = held[part]
                scores = (x[:, words] @ weights.reshape(len(words), -1)).reshape(-1, *biases.shape) + biases       # [N, J, C]
                shares[draw, column] = torch.from_numpy((scores.argmax(axis=2) == truth[:, None]).mean(axis=0))
        chosen = max(map(strengths.index, fixed), key=lambda j: float(shares[:, 0, j].mean()))
        result.fixed[budget] = shares[:, 1, chosen].tolist()
        best = shares[:, 0].argmax(dim=1, keepdim=True)              # the strongest of equals
        result.generous[budget] = shares[:, 1].gather(1, best)[:, 0].tolist()
    return result


def _fits(x, y: np.ndarray, penalties: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean cross-entropy + penalty / 2 * squared weights, for each penalty from the strongest on; biases free.

    Returns:
        the words that labelled texts have [w], the others' weights being 0; weights [w, J, C]; biases [J, C].
    """
    from sklearn.linear_model import LogisticRegression

    words = np.flatnonzero(np.bincount(x.indices, minlength=x.shape[1]))
    x = x[:, words]
    two = y.max() == 1                                               # then there it has one score, the difference of ours
    model, weights, biases = LogisticRegression(warm_start=True, max_iter=1000), [], []
    for penalty in penalties:
        model.set_params(C=1 / (len(y) * penalty * (0.5 if two else 1))).fit(x, y)
        w, b = model.coef_.T, model.intercept_                       # [w, C], [C]
        weights.append(np.concatenate([-w / 2, w / 2], axis=1) if two else w.copy())
        biases.append(np.concatenate([-b / 2, b / 2]) if two else b.copy())
    return words, np.stack(weights, axis=1), np.stack(biases)


def lsa(features: dict, components: int = max(COMPONENTS), seed: int = 0) -> dict[str, Tensor]:
    """TF-IDF in the directions that all training texts, labelled or not, spread in most: latent semantic analysis.

    Args:
        features: from `tf_idf`.
        components: how many directions, the widest first.
        seed: of the randomised decomposition.
    Returns:
        part -> float32 [n, components].
    Source:
        Deerwester et al. 1990, Journal of the American Society for Information Science 41(6).
        Halko et al. 2009, arXiv:0909.4061, for the decomposition.
    """
    from sklearn.decomposition import TruncatedSVD

    limit = min(features["train"].shape) - 1
    if not 1 <= components <= limit:
        raise ValueError(f"components: got {components}, takes 1 to {limit}")
    svd = TruncatedSVD(components, random_state=seed).fit(features["train"])
    return {part: torch.from_numpy(svd.transform(x)).float() for part, x in features.items()}


def lsa_efficiency(dataset, labels_per_class: tuple[int, ...] = BUDGETS, seeds: int = 10,
                   penalties: tuple[float, ...] = PENALTIES, on: str = "test", features: dict | None = None,
                   components: tuple[int, ...] = COMPONENTS) -> Efficiency:
    """`label_efficiency` of TF-IDF with latent semantic analysis: a peer that has read the unlabelled texts too.

    The number of components is chosen for each budget on the validation split, over all draws together.

    Args:
        dataset, labels_per_class, seeds, penalties, on, features: as in `tf_idf_efficiency`.
        components: the numbers tried.
    """
    features = tf_idf(dataset) if features is None else features
    limit = min(features["train"].shape) - 1
    tried = sorted({min(k, limit) for k in components})
    z = lsa(features, tried[-1])
    result = Efficiency("TF-IDF + LSA")
    for budget in labels_per_class:
        data = {k: as_dataset(dataset, {part: x[:, :k].contiguous() for part, x in z.items()}) for k in tried}
        trial = {k: label_efficiency(_same, data[k], (budget,), seeds, "", (FIXED_PENALTY,), "validation").mean(budget)
                 for k in tried}
        best = label_efficiency(_same, data[max(tried, key=trial.get)], (budget,), seeds, "", penalties, on)
        result.fixed[budget], result.generous[budget] = best.fixed[budget], best.generous[budget]
    return result


def _same(x: Tensor) -> Tensor:
    return x


def word_controls(dataset, labels_per_class: tuple[int, ...] = BUDGETS, seeds: int = 10,
                  penalties: tuple[float, ...] = PENALTIES, on: str = "test", parts: bool = False) -> dict[str, Efficiency]:
    """What a language model must beat, on the same draws of labels: "TF-IDF", and "TF-IDF + LSA".

    Args:
        dataset: a TextDataset with labels.
        labels_per_class: the budgets.
        seeds: draws of labels.
        penalties: tried for the column `generous`; fewer are quicker.
        on: "validation" gives the accuracy there, for whoever is still choosing.
        parts: "TF-IDF of parts of words" too, the strongest with 50 labels a class or so, and the slowest.
    Raises:
        ValueError: a budget is larger than a class.
    """
    features = tf_idf(dataset)
    found = {"TF-IDF": tf_idf_efficiency(dataset, labels_per_class, seeds, penalties, on, features),
             "TF-IDF + LSA": lsa_efficiency(dataset, labels_per_class, seeds, penalties, on, features)}
    if parts:
        name, features = "TF-IDF of parts of words", tf_idf(dataset, "parts of words")
        found[name] = replace(tf_idf_efficiency(dataset, labels_per_class, seeds, penalties, on, features), name=name)
    return found
