"""A page for each objective, made from its code: nothing here is written down twice."""

import ast
import html
import inspect
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sslab.course.badges import repository
from sslab.course.site import explained
from sslab.course.site.markdown import code, docstring, linked, plain, table
from sslab.lab.replay import recordings, replay

ROOT = Path(__file__).resolve().parents[3]
PAPER = re.compile(r"([A-Z][\w-]*(?:(?:, | and | )[A-Z][\w-]*)*(?: et al\.)?(?: \d{4}| v\d))(?:, arXiv:(\d{4}\.\d{4,5}))?")
DATASETS = {"images": ("digits", "emoji"), "text": ("wordnet", "passages"), "pairs": ("emoji-pairs",)}


@dataclass(frozen=True, eq=False)
class Entry:
    """An objective, its class, the pure functions it uses, the lesson that shows it and the dataset of its lab there, if any."""

    name: str
    made: type
    functions: tuple
    passage: explained.Passage | None
    lab: str | None

    @property
    def title(self) -> str:
        return self.made.title

    @property
    def dataset(self) -> str:
        """What its page is measured on."""
        return self.lab or _first_that_fits(self.name, self.made)

    @property
    def family(self) -> list[type]:
        """The class and what it inherits from below `Objective`, nearest first."""
        from sslab.objectives import Objective

        return [kind for kind in self.made.__mro__ if issubclass(kind, Objective) and kind is not Objective]


@cache
def entries() -> tuple[Entry, ...]:
    """All that `sslab.objectives.create` makes, in its order."""
    from sslab import objectives

    found = []
    for name, made in objectives._MAKERS.items():
        functions = _pure(made)
        passage = _passage(made, functions)
        lab = explained.labs().get((passage.lesson.number if passage else "", name))
        found.append(Entry(name, made, functions, passage, lab))
    return tuple(found)


def index() -> str:
    """The list of all objectives."""
    rows = []
    for entry in entries():
        rows.append([f"[{entry.title}]({entry.name}.md)", entry.made.learns_from, plain(_first_sentence(entry.made)),
                     ", ".join(_papers(entry)[:1]), _lesson(entry)])
    pages = "\n".join(entry.name for entry in entries())
    return ("# Objectives\n\nWhat is learned: one page for each, made from the code when this site was built. "
            '`sslab.objectives.create("simclr", encoder)` makes one, `Lab("simclr", "digits")` trains it live. '
            "What changes the pictures before an objective sees them: [views](views.md).\n\n"
            + table(["objective", "learns from", "in a sentence", "paper", "lesson"], rows)
            + "\n\n```{toctree}\n:hidden:\n\n" + pages + "\nviews\n```\n")


def page(entry: Entry) -> str:
    """One objective: what it does, equation, source, knobs, levels, shapes, papers, who differs."""
    parts = [f"# {entry.title}", docstring(entry.made), *_facts(entry), *_equation(entry), *_watch(entry), "## Knobs", *_knobs(entry),
             *_measured(entry), *_differences(entry), *_sources(entry), *_read(entry)]
    return "\n\n".join(part for part in parts if part) + "\n"


def views() -> str:
    """The knobs of the views, and what each dataset has them at."""
    from sslab.views import Augment
    from sslab.views.augment import PRESETS

    knobs = Augment().knobs
    rows = [[f"`{name}`", *(f"{settings[name]:.3g}" if name in settings else "" for settings in PRESETS.values())]
            for name in knobs if any(name in settings for settings in PRESETS.values())]
    return "\n\n".join([
        "# Views", docstring(Augment), ("Every objective that looks at pictures has these knobs beside its own. Where they "
        "differ from other libraries: [conventions](../docs/conventions.md#views)."), "## Knobs", _knob_table(knobs),
        "## What each dataset begins with", "`Augment.named(\"digits\")`; an empty place is off.",
        table(["knob", *(f"`{name}`" for name in PRESETS)], rows), "## Source", _listing(Augment)]) + "\n"


def _facts(entry: Entry) -> list[str]:
    needs = (entry.made.architecture or {}).get("name")
    facts = {"Name": f"`{entry.name}`", "Learns from": entry.made.learns_from, "Lesson": _lesson(entry),
             "Encoder": f"`{needs}`, no other" if needs else f"any; `{entry.made.usual['name']}` unless another is named",
             "Papers": ", ".join(_papers(entry))}
    return ["\n".join(f"- **{name}:** {fact}" for name, fact in facts.items() if fact),
            code(f'from sslab.lab import Lab\n\nLab("{entry.name}", "{entry.dataset}")' if not entry.made.needs_labels
                 else f'objective = sslab.objectives.create("{entry.name}", encoder)')]


def _equation(entry: Entry) -> list[str]:
    """The docstring's own, else what the lesson says before it shows the source."""
    if own := re.search(r"^Equation:\n((?:    .*\n?)+)", inspect.getdoc(entry.made) or "", re.MULTILINE):
        return ["## Equation", f"$$\n{textwrap.dedent(own[1]).strip()}\n$$"]
    if entry.passage is None:
        return []
    family = {kind.__name__ for kind in entry.family}
    shown = family | {function.__name__ for function in entry.functions}
    others = {other.title for other in entries() if other.made.__name__ not in family}
    texts = [explained.about(each, entry.title, others) for each in explained.passages()
             if each.lesson == entry.passage.lesson and each.shows.split(".")[0] in shown]
    text = "\n\n".join(dict.fromkeys(texts))
    text = re.sub(r"\]\((\d\d_\w+\.ipynb)", r"](../lessons/\1", text)
    return ["## Equation", text, f"From the lesson {_lesson(entry)}."]


def _watch(entry: Entry) -> list[str]:
    """Recorded runs, which need no kernel; `replays` writes their pages."""
    frames = [f"```{{raw}} html\n{frame(name, dataset)}\n```" for name, dataset in dict.fromkeys(found[:2] for found in recordings(entry.name))]
    if not frames:
        return []
    return ["## Watch it train", ("Recorded runs, as it comes and broken: drag through the steps, choose what stands side by side. In a "
            f'notebook: `replay("{entry.name}")`.'), *frames]


def frame(objective: str, dataset: str) -> str:
    """HTML that shows recorded runs on a page of a folder such as objectives/."""
    title = html.escape(next(entry.title for entry in entries() if entry.name == objective))
    return (f'<iframe class="replay" loading="lazy" title="Recorded runs of {title} on {dataset}" '
            f'src="../_static/replays/{objective}_{dataset}.html"></iframe>')


def replays() -> dict[str, str]:
    """The pages of recorded runs: name of the file -> HTML."""
    return {f"{name}_{dataset}.html": replay(name, dataset).page()
            for name, dataset in dict.fromkeys(found[:2] for found in recordings())}


def _knobs(entry: Entry) -> list[str]:
    objective = _made(entry)[0]
    of_views = objective.view_knobs
    own = {name: knob for name, knob in objective.knobs.items() if name not in of_views}
    also = f"Beside these it has the {len(of_views)} knobs of its [views](views.md)." if of_views else ""
    return [_knob_table(own) if own else "None of its own.", also, ("`objective.set(name=value)`, `lab.set(name=value)` and "
            "`sslab train --set name=value` turn them, from the next step on.")]


def _knob_table(knobs) -> str:
    rows = []
    for name, knob in knobs.items():
        kind = "whole number" if knob.integer else knob.kind
        if knob.kind == "number":
            default, span = f"{knob.default:.3g}", f"{knob.low:g} to {knob.high:g}" + ", logarithmic" * knob.log
        elif knob.kind == "switch":
            default, span = "on" if knob.default else "off", "on, off"
        else:
            default, span = f"`{knob.default}`", ", ".join(f"`{option}`" for option in knob.options)
        rows.append([f"`{name}`", kind, default, span, plain(knob.help)])
    return table(["knob", "kind", "default", "takes", "what it does"], rows)


def _measured(entry: Entry) -> list[str]:
    """Levels and shapes, of one batch as the live lab would take it."""
    objective, batch, seen, loss = _made(entry)
    size = len(batch[0]) if isinstance(batch, tuple) else len(batch)
    one = f"one batch of {size} from `{entry.dataset}`, as the live lab takes it, before any training"
    levels = [[name, f"{value:.4g}"] for name, value in objective.reference_levels().items()]
    kept, weights = (sum(p.numel() for p in part.parameters()) for part in (objective.encoder, objective))
    parts = {"embedding": ("what the encoder gives and what is evaluated", loss.embedding),
             "projection": ("what the loss sees, where collapse lives", loss.projection),
             "total": ("the loss", loss.total), **{name: ("a term, for the plots", term) for name, term in loss.terms.items()}}
    shapes = [["batch", "what the dataset gives", _shape(batch)],
              *([f"view {number}", "what `make_views` gives", _shape(view)] for number, view in enumerate(seen, 1)),
              *([name, says, _shape(value)] for name, (says, value) in parts.items() if value is not None)]
    lines = ["## Reference levels", f"At the defaults, for {one}. They move with the knobs.",
             table(["line on the loss plot", "value"], levels)] if levels else []
    return [*lines, "## Shapes", f"Of {one}. The encoder, which is kept, has {kept:,} of {weights:,} parameters.",
            plain(" ".join((inspect.getdoc(entry.made.make_views) or "").split())), table(["name", "what it is", "type and shape"], shapes)]


def _shape(value) -> str:
    from torch import Tensor

    if isinstance(value, Tensor):
        return f"`{str(value.dtype).removeprefix('torch.')} {list(value.shape)}`" if value.ndim else "scalar"
    if isinstance(value, tuple):
        return ", ".join(map(_shape, value))
    return ", ".join(f"{name} {_shape(part)}" for name, part in vars(value).items())


def _differences(entry: Entry) -> list[str]:
    names = {entry.made.__name__, *(function.__name__ for function in entry.functions)}
    rows = [row for named, row in conventions() if names & named]
    if not rows:
        return []
    return ["## Who differs", ("Same name, other mathematics: what other code and the papers do. "
            "All of it: [conventions](../docs/conventions.md)."), table(["ours", "theirs", "the difference"], rows)]


def conventions() -> list[tuple[set[str], list[str]]]:
    """The table of losses in docs/conventions.md: (what of ours a row is about, its three cells)."""
    text = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8").split("## Losses")[1].split("\n## ")[0]
    rows, ours = [], ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != 3 or cells[0] == "ours" or set(cells[0]) == {"-"}:
            continue
        ours = cells[0] or ours
        subject = re.match(r"(`[^`]+`(, )?)+", ours)
        names = {name for name in re.findall(r"`(\w+)", subject[0])} if subject else set()
        rows.append((names, [ours, *cells[1:]]))
    return rows


def _sources(entry: Entry) -> list[str]:
    parts = ["## Source"]
    for part in (*entry.functions, *entry.family):
        parts += [f"### {part.__name__}", _listing(part)]
    return parts


def _listing(part) -> str:
    part = inspect.unwrap(part)
    lines, first = inspect.getsourcelines(part)
    file = Path(inspect.getfile(part)).resolve().relative_to(ROOT).as_posix()
    return f"[{file}]({repository()}/blob/main/{file}), line {first}:\n\n{code(''.join(lines))}"


def _read(entry: Entry) -> list[str]:
    lines = [f"- `{kind.__name__}`: {linked(plain(text))}" for kind, text in _citing(entry)]
    return ["## Papers", "\n".join(lines)] if lines else []


def _citing(entry: Entry) -> list[tuple]:
    """(part, where it says what it is from): the Source of functions, the first words of classes that name a paper."""
    found = []
    for part in (*entry.functions, *entry.family):
        says = inspect.cleandoc(part.__doc__ or "")
        if source := re.search(r"^Source:\n((?:    .*\n?)+)", says, re.MULTILINE):
            found.append((part, " ".join(textwrap.dedent(source[1]).split())))
        elif cited := _cited(_text(says)):
            found.append((part, "; ".join(who + f", arXiv:{number}" * bool(number) for who, number in cited) + "."))
    return found


def _text(says: str) -> str:
    """A docstring up to its first section."""
    return re.split(r"\n\w+:\n", says)[0]


def _cited(text: str) -> list[tuple[str, str]]:
    """(who and when, arXiv number or "") of each paper that a text names."""
    return PAPER.findall(" ".join(text.split()))


def _papers(entry: Entry) -> list[str]:
    """Links to the papers that the class names or, where it names none, its functions."""
    texts = [_text(inspect.getdoc(entry.made) or ""), *(text for _, text in _citing(entry))]
    found = {}
    for text in texts[:1] if _cited(texts[0]) else texts[1:]:
        for who, number in _cited(text):
            found.setdefault(who, number)
    return [f"[{who}](https://arxiv.org/abs/{number})" if number else who for who, number in found.items()]


def _lesson(entry: Entry) -> str:
    if entry.passage is None:
        return ""
    title = entry.passage.lesson.cells[0].text.splitlines()[0].lstrip("# ")
    return f"[{title}](../lessons/{entry.passage.lesson.slug}.ipynb)"


def _first_sentence(made: type) -> str:
    """What a class says first, without the paper."""
    line = " ".join(re.split(r"\n\s*\n", inspect.getdoc(made) or "")[0].split())
    line = re.sub(r" \([^()]*\d{4}[^()]*\)|^.*?arXiv:[\d.]+: ", "", line)
    return (line[:1].upper() + line[1:]).replace("?.", "?")


def _pure(made: type) -> tuple:
    """The exported functions that a class computes with, and those beside it that are made of the same parts.

    DINO calls a private function that gives the terms of `dino`: then `dino` is one of them.
    """
    from sslab import objectives

    own = [kind for kind in made.__mro__ if kind.__module__.startswith("sslab.objectives") and kind is not objectives.Objective]
    used, module = set().union(*(_names(kind) for kind in own)), inspect.getmodule(made)
    hidden = {name for name in used if name.startswith("_") and inspect.isfunction(getattr(module, name, None))}
    used |= set().union(*(_names(getattr(module, name)) for name in hidden))
    found = []
    for name in objectives.__all__:
        function = getattr(objectives, name)
        if not inspect.isfunction(function) or not function.__module__.startswith("sslab.objectives."):
            continue
        beside = inspect.unwrap(function).__module__ == made.__module__ and (_names(function) & (hidden | used & set(objectives.__all__)))
        if name in used or (beside and "Source:" in (inspect.getdoc(function) or "")):
            found.append(function)
    return tuple(sorted(found, key=lambda function: (function.__module__ != made.__module__,
                                                     inspect.getsourcelines(inspect.unwrap(function))[1])))


@cache
def _names(part) -> set[str]:
    """Every name that the source of a function or class reads."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(part))))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {getattr(part, "__name__", "")}


def _passage(made: type, functions: tuple) -> explained.Passage | None:
    """Where the course explains an objective: at its class, else at one of its methods, else at its loss."""
    family = [kind.__name__ for kind in made.__mro__]
    wanted = [lambda shows: shows == family[0], lambda shows: shows.startswith(f"{family[0]}."),
              lambda shows: "." in shows and shows.split(".")[0] in family,
              *(lambda shows, name=function.__name__: shows == name for function in functions)]
    for fits in wanted:
        if found := next((each for each in explained.passages() if fits(each.shows)), None):
            return found
    return None


def _first_that_fits(name: str, made: type) -> str:
    for dataset in DATASETS[made.learns_from]:
        try:
            _create(name, dataset)
        except ValueError:
            continue
        return dataset
    raise ValueError(f"{name}: takes none of the datasets {', '.join(DATASETS[made.learns_from])}")


@cache
def _create(name: str, dataset: str):
    """The objective as the live lab makes it."""
    import torch

    from sslab import datasets, objectives

    torch.manual_seed(0)
    data, made = datasets.load(dataset), objectives._MAKERS[name]
    extra = {"classes": data.num_classes} if made.needs_labels else {}
    if issubclass(made, objectives.TwoTowers):
        extra["text"] = objectives.text_tower_for(data)
    encoder = objectives.encoder_for(name, data)
    return objectives.create(name, encoder, views=objectives.views_for(name, dataset), **extra)


@cache
def _made(entry: Entry):
    """The objective, a batch of the recipe's size, its views, and their loss."""
    import torch

    from sslab import datasets, training
    from sslab.datasets.base import as_fed, as_floats, inputs_of

    objective, part = _create(entry.name, entry.dataset), datasets.load(entry.dataset).train
    size = training.recipe(entry.name, entry.dataset)["batch_size"]
    batch = as_fed(inputs_of(part)[torch.arange(size)])
    batch = (batch, part.labels[:size]) if entry.made.needs_labels else batch
    fed = tuple(map(as_floats, batch)) if isinstance(batch, tuple) else batch
    with torch.no_grad(), objective.step():
        seen = objective.make_views(fed, torch.Generator().manual_seed(0))
        loss = objective(seen)
    return objective, batch, seen if isinstance(seen, tuple) else (seen,), loss
