"""`sslab evaluate`: what the encoder of a run is worth, beside the controls it must beat."""

import json
import math
import shlex
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click

from sslab.commands import Mistake, parse_device, plainly, whole_numbers

LABELS = "1,5,20,100"
ENCODER = "encoder"
SAMPLES = 4                                                          # for each feature of the projection, in the diagnosis
TOKENS = 1_000_000                                                   # of training texts that kNN looks among
FEWEST = 1000                                                        # inputs, for the rank of the features
BATCH = 256                                                          # inputs that the objective sees at a time, in the diagnosis


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path())
@click.option("--labels", help=f"Labels a class, with commas between: {LABELS}, as far as the classes reach, if left out.")
@click.option("--draws", type=click.IntRange(1, 1000), default=10, show_default=True, help="Random subsets of labels.")
@click.option("--neighbours", type=click.IntRange(min=1), default=20, show_default=True, help="Of kNN.")
@click.option("--on", type=click.Choice(["validation", "test"]), default="validation", show_default=True,
              help="Test only when everything is chosen; it is written down that it was read.")
@click.option("--device", metavar="NAME", help="cuda, mps or cpu; the first there is.")
def evaluate(run, labels, draws, neighbours, on, device) -> None:
    """Measure the encoder of RUN: kNN, linear probes on few labels, raw inputs and a random encoder beside it, diagnosis.

    A table here, and one more entry in RUN/evaluation.json. Of several processes the first one does it.
    """
    from sslab import runs
    from sslab.training import distributed

    if not distributed.first():
        return
    folder = runs.RunFolder(run)
    device = parse_device(device)
    budgets = None if labels is None else whole_numbers(labels, "--labels")
    with plainly(), distributed.alone():
        earlier = read_earlier(folder)
        objective, data = runs.load(run, device)
        found = measure(objective, data, budgets, draws, neighbours, on, say=lambda line: click.echo(line, err=True))
    entry = {"time": runs.now(), "step": objective.steps_done, "data": folder.asked().data, **found}
    before = [one for one in earlier if one["on"] == "test"]
    click.echo(table(entry, f"{objective.title} on {data.name}, step {objective.steps_done:,}"))
    if on == "test" and before:
        click.echo(f"Test was read before for this run ({len(before)} times, first {before[0]['time']}): what was changed since was "
                   "chosen with a look at it.")
    elif on == "test":
        click.echo("Test is read now. Change nothing because of it; what is still to be chosen is chosen on validation.")
    else:
        click.echo(f"On validation, for choosing. Test has not been asked for: sslab evaluate {shlex.quote(str(run))} --on test")
    with plainly():
        runs.replace(folder.evaluation, {"evaluations": [*earlier, entry]})


def read_earlier(folder) -> list[dict[str, Any]]:
    """The entries of evaluation.json, which stay."""
    if not folder.evaluation.exists():
        return []
    try:
        return list(json.loads(folder.evaluation.read_text("utf-8"))["evaluations"])
    except (ValueError, KeyError, TypeError) as error:
        raise Mistake(f"{folder.evaluation} is damaged ({type(error).__name__}); move it away, it is not overwritten") from None


def measure(objective, data, budgets: tuple[int, ...] | None, draws: int, neighbours: int, on: str,
            say: Callable[[str], None]) -> dict[str, Any]:
    """Everything that is measured, as JSON takes it.

    Args:
        objective: trained.
        budgets: labels a class; None: those of LABELS that the classes have.
        draws: of labelled subsets.
        neighbours: of kNN.
        on: "validation" or "test".
        say: gets a line before each part that takes long.
    Raises:
        ValueError: a budget is larger than a class, or more neighbours than samples.
    """
    from sslab import evaluation, runs

    kind = runs.kind_of(data)
    seen = drawings_of(data) if kind == "pairs" else data
    found: dict[str, Any] = {"on": on, "draws": draws, "neighbours": neighbours, "rows": {}, "chance": None}
    if data.num_classes:
        budgets = budgets_for(seen.train.labels, budgets, data.num_classes)
        found |= {"labels": list(budgets), "chance": 1 / data.num_classes, "largest_class": largest_share(getattr(seen, on).labels)}
        rows = represent(objective.encoder, seen, kind)
        for name, what in rows.items():
            start = time.perf_counter()
            say(f"Measuring {name} ...")
            if what is None:
                efficiency = evaluation.tf_idf_efficiency(data, budgets, draws, on=on)
                row = {"knn": None, "knn_among": None}
            else:
                row = dict(zip(("knn", "knn_among"), nearest(what, seen, on, neighbours), strict=True))
                efficiency = evaluation.label_efficiency(what, seen, budgets, draws, name, on=on)
            row |= {"fixed": {str(k): v for k, v in efficiency.fixed.items()},
                    "generous": {str(k): v for k, v in efficiency.generous.items()}, "seconds": round(time.perf_counter() - start, 2)}
            found["rows"][name] = row
    elif budgets is not None:
        raise ValueError(f"labels: got {', '.join(map(str, budgets))}, but {data.name!r} has no labels; leave it out")
    some = evenly(getattr(seen, on).inputs, max(FEWEST, SAMPLES * objective.encoder.dim))
    found["features"] = of_features(evaluation.features(objective.encoder, some))
    z, terms = projections(objective, getattr(data, on))
    found["projection"] = in_words(z, objective.diagnose(z, terms))
    return found


def drawings_of(data):
    """Pairs as a dataset of their drawings, each by itself, in an order that does not go by class."""
    import torch

    parts = {}
    for name in ("train", "validation", "test"):
        part = getattr(data, name)
        row, place = part.pairs.drawn.nonzero(as_tuple=True)         # [m]
        order = torch.randperm(len(row), generator=torch.Generator().manual_seed(0))
        row, place = row[order], place[order]
        parts[name] = SimpleNamespace(inputs=part.pairs.images[row, place], labels=part.labels[row])
    return SimpleNamespace(**parts, num_classes=data.num_classes)


def represent(encoder, data, kind: str) -> dict[str, Any]:
    """What is measured: the encoder, then the controls. None stands for counts of words, which are no tensor."""
    from sslab import evaluation
    from sslab.evaluation.labels import some_inputs

    rows = {ENCODER: encoder}
    rows |= {"TF-IDF": None} if kind == "text" else {"raw pixels": evaluation.raw_pixels}
    return rows | {"random encoder": evaluation.random_encoder(encoder, some_inputs(data.train))}


def budgets_for(labels, budgets: tuple[int, ...] | None, classes: int) -> tuple[int, ...]:
    """Labels a class that all classes have.

    Raises:
        ValueError: a person asked for more.
    """
    counts = labels[labels >= 0].bincount(minlength=classes)
    smallest = int(counts.min()) if len(counts) else 0
    if budgets is None:
        fitting = tuple(k for k in whole_numbers(LABELS, "--labels") if k <= smallest)
        if not fitting:
            raise ValueError("labels: a class has no training sample, so that nothing can be probed")
        return fitting
    if budgets[-1] > smallest:
        raise ValueError(f"labels: got {budgets[-1]} a class, takes at most {smallest}, as class {int(counts.argmin())} has no more")
    return budgets


def largest_share(labels) -> float:
    """How often whoever always says the most frequent class is right."""
    known = labels[labels >= 0]
    return float(known.bincount().max()) / len(known) if len(known) else 0.0


def nearest(represent, data, on: str, neighbours: int) -> tuple[float, int]:
    """Accuracy of kNN, and the number of labelled training samples that it looked among: all, of long texts an even choice."""
    from torch import nn

    from sslab import evaluation
    from sslab.modes import by_mode

    def read(part, most):
        known = (part.labels >= 0).nonzero()[:, 0]
        known = evenly(known, most)
        inputs = part.inputs[known]
        return evaluation.features(represent, inputs) if isinstance(represent, nn.Module) else represent(inputs), part.labels[known]

    inputs = data.train.inputs
    most = TOKENS // inputs.shape[1] if inputs.ndim == 2 else len(inputs)
    bank, labels = read(data.train, by_mode(min(most, 500), most))
    queries, truth = read(getattr(data, on), by_mode(300, len(getattr(data, on).labels)))
    if neighbours > len(bank):
        raise ValueError(f"neighbours: got {neighbours}, takes at most the number of labelled training samples ({len(bank)})")
    return float((evaluation.knn(bank, labels, queries, neighbours) == truth).float().mean()), len(bank)


def evenly(inputs, most: int):
    """At most so many, an even choice: texts lie kind by kind."""
    return inputs[:: max(1, math.ceil(len(inputs) / most))]


def projections(objective, part):
    """What the loss sees, in eval mode, of views of a part, and the mean of the loss's terms over it.

    Returns:
        [N, P], N enough to fill P directions where there are so many, and name -> number.
    """
    import torch

    from sslab import evaluation
    from sslab.datasets.base import as_fed, inputs_of

    inputs, device = inputs_of(part), next(objective.parameters()).device
    generator, rows, terms = torch.Generator().manual_seed(0), [], Counter()
    order = torch.randperm(len(inputs), generator=generator)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluation.evaluating(objective):
        torch.manual_seed(0)
        seen = 0
        for some in order.split(BATCH):
            if rows and (len(some) < 2 or sum(map(len, rows)) >= SAMPLES * rows[0].shape[1]):
                break
            batch = as_fed(inputs[some].to(device))
            views = objective.make_views((batch, part.labels[some].to(device)) if objective.needs_labels else batch, generator)
            loss = objective(views)
            rows.append((loss.embedding if loss.projection is None else loss.projection).float().cpu())
            terms.update({name: len(some) * float(value) for name, value in loss.terms.items()})
            seen += len(some)
    return torch.cat(rows), {name: total / seen for name, total in terms.items()}


def of_features(z) -> dict[str, Any]:
    """Effective rank, and what is wrong if anything."""
    from sslab import evaluation

    return in_words(z, evaluation.diagnose(z))


def in_words(z, found) -> dict[str, Any]:
    """A diagnosis of z [N, D] as the files and reports keep it."""
    return {"effective_rank": found.numbers["effective_rank"], "dimensions": z.shape[1], "samples": len(z), "std": found.numbers["std"],
            "kind": found.kind, "text": found.text}


def table(entry: dict[str, Any], title: str) -> str:
    """An evaluation as text: means over the draws of labels, and half of the 95 % t-interval of that mean."""
    from sslab.course.ledger import mean_interval

    lines = [title]
    if entry["rows"]:
        titles = [f"kNN ({entry['neighbours']})", *(f"{k} label{'s' * (k > 1)}" for k in entry["labels"])]
        lines += ["", f"{'':16}" + "".join(f"{text:>16}" for text in titles)]
        for name, row in entry["rows"].items():
            cells = ["-" if row["knn"] is None else f"{row['knn']:.3f}"]
            for k in entry["labels"]:
                mean, interval = mean_interval(row["fixed"][str(k)])
                cells.append(f"{mean:.3f}" + (f" ± {(interval[1] - interval[0]) / 2:.3f}" if interval else ""))
            lines.append(f"{name:16}" + "".join(f"{cell:>16}" for cell in cells))
        lines += [f"{'chance':16}" + f"{entry['chance']:>16.3f}" * len(titles), "",
                  (f"Accuracy on {entry['on']}. kNN among {entry['rows'][ENCODER]['knn_among']:,} labelled training samples; linear probes by "
                   f"labels a class, mean of {entry['draws']} draws, penalty fixed."),
                  (f"The most frequent class alone: {entry['largest_class']:.3f}. One run: another seed may differ by more than "
                   "± says.")]
    else:
        lines += ["", "The data has no labels: no probes, no neighbours."]
    for name in ("features", "projection"):
        found = entry[name]
        lines.append(f"{name.capitalize()}: effective rank {found['effective_rank']:.1f} of {found['dimensions']}. {found['text']}")
    return "\n".join(lines)
