"""`sslab train`: a training run in a folder, with a progress bar, measurements and a checkpoint to go on from."""

import contextlib
import math
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sslab.commands import Mistake, pairs, parse_device, parse_knobs, plainly

ROWS = 1000                                                          # lines of measurements in a run, about
READ = 1.0                                                           # seconds between two reads of a GPU's losses
SAYS = 30.0                                                          # seconds between two lines where there is no terminal
ROOM = 3                                                             # checkpoints for which a disk must have room
GAUGES = 0.01                                                        # share of the training time that the gauges may take
SAMPLES = 4                                                          # for each feature, in the gauges, as in the live lab
LATER = 5.0                                                          # seconds that another process waits before it says what is wrong


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("objective", required=False)
@click.option("--data", metavar="NAME", help="A dataset's name, folder:PATH, text:PATH or pairs:PATH.")
@click.option("--data-option", "data_options", multiple=True, metavar="NAME=VALUE", help="For the dataset: size=64, sheets=FOLDER.")
@click.option("--encoder", metavar="NAME", help="conv, resnet18, vit or transformer; the objective's own if left out.")
@click.option("--epochs", type=float, help="Passes over the training data.")
@click.option("--steps", type=int, help="How many steps, in place of --epochs; the recipe's if both are left out.")
@click.option("--batch-size", type=int, help="Of all processes together. The recipe's if left out.")
@click.option("--set", "knobs", multiple=True, metavar="KNOB=VALUE", help="A knob of the objective or its views; several times for several.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of the weights, the batches and the views.")
@click.option("--learning-rate", type=float, help="AdamW's, at its peak. The recipe's if left out.")
@click.option("--weight-decay", type=float, help="The recipe's if left out.")
@click.option("--warmup", type=float, default=0.1, show_default=True, help="Share of the steps in which the learning rate rises.")
@click.option("--precision", default="auto", show_default=True, help="auto (measures which is fastest), float32 or bf16.")
@click.option("--device", metavar="NAME", help="cuda, mps or cpu; the first there is.")
@click.option("--checkpoint", "folder", metavar="FOLDER", help="Where the run is kept; runs/OBJECTIVE-DATA if left out.")
@click.option("--checkpoint-every", type=int, metavar="STEPS", help="A fiftieth of the run, from 100 to 1,000 steps, if left out.")
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint. What else is left out is as it was.")
@click.pass_context
def train(context, **asked) -> None:
    """Train OBJECTIVE on a dataset, in a folder that `sslab evaluate` and `sslab export` read.

    Ctrl-C saves and says how to go on. A run that was killed goes on from its last checkpoint with --resume.
    """
    given = {name for name in asked if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    with said_once():
        code = Training(asked, given).run()
    sys.exit(code)


@contextlib.contextmanager
def said_once() -> Iterator[None]:
    """Under torchrun the first process says what is wrong, and torchrun ends the others. What went wrong in another one only, that one
    says a moment later."""
    from sslab.training import distributed

    try:
        yield
    except Exception as error:
        if not distributed.first():
            time.sleep(LATER)
            if isinstance(error, click.ClickException):
                error.message = f"process {os.environ['RANK']}: {error.message}"
        raise


class Training:
    """One `sslab train`: what was asked is looked through first, then it trains.

    Args:
        asked: the options by name.
        given: those of them that a person wrote.
    """

    def __init__(self, asked: dict[str, Any], given: set[str]) -> None:
        from sslab import runs
        from sslab.training import distributed
        from sslab.training import train as start

        self.first_process, self.processes = distributed.first(), distributed.processes()        # the others only compute
        self.stop = 0                                                # the signal that asked us to end
        folder = asked["folder"]
        if folder is None:
            if not asked["objective"] or not asked["data"]:
                raise Mistake("got no " + ("OBJECTIVE" if not asked["objective"] else "--data") + "; say for example: "
                              "sslab train simclr --data digits; or to go on: sslab train --checkpoint runs/x --resume")
            folder = runs.default_folder(asked["objective"], asked["data"])
        self.folder = runs.RunFolder(folder)
        self.record, self.asked = self._what_is_there(asked, given)
        if self.first_process:
            self._look_at_files()
        with plainly():
            self.data = self.asked.load_data()
            self.objective = self.asked.make(self.data)
        with plainly():                                              # of several processes each has a GPU of its own
            self.device = distributed.own_device(None if asked["device"] is None else parse_device(asked["device"]))
        if self.record is None:
            self._complete(asked)
        self.options = dict(self.asked.options)
        self.total = steps_of(self.options, self.data, self.objective)
        with plainly():                                              # names what is out of its range, and starts nothing
            self.steps = start(self.objective, self.data, seed=self.asked.seed, device=self.device, checkpoint=self.folder.checkpoint,
                               resume=asked["resume"], **self.options)
            if self.first_process:
                self._look_at_room()

    # ---- before it starts

    def _what_is_there(self, asked: dict[str, Any], given: set[str]):
        """run.json, and what is to be trained: None and as asked for a new run."""
        from sslab import objectives, runs
        from sslab._names import choose

        path = self.folder.path
        if self.folder.there() and self.first_process and not asked["resume"]:
            raise Mistake(f"--checkpoint: {path} has a run already; add --resume to go on with it, or name another folder")
        if self.folder.record.exists() and asked["resume"]:
            with plainly():
                record, old = self.folder.read(), self.folder.asked()
            self._refuse_changes(asked, given, old)
            return record, old
        if asked["resume"] and self.folder.there() and self.first_process:
            raise Mistake(f"--resume: {path} has no run.json, so that nobody knows what was trained there; name another folder")
        for name, words in (("objective", "OBJECTIVE"), ("data", "--data")):
            if not asked[name]:
                why = f"{path} has no run to go on with" if asked["resume"] else f"got no {words}"
                raise Mistake(f"{why}; say for example: sslab train simclr --data digits --checkpoint {shlex.quote(str(path))}")
        with plainly():
            choose(asked["objective"], objectives.names(), "objective")
        if asked["epochs"] is not None and asked["steps"] is not None:
            raise Mistake(f"--epochs: got {asked['epochs']:g} beside --steps {asked['steps']}; give one of them")
        return None, runs.Asked(asked["objective"], absolute(asked["data"]), asked["encoder"], seed=asked["seed"],
                                data_options=_options_of(asked["data_options"]))

    def _refuse_changes(self, asked: dict[str, Any], given: set[str], old) -> None:
        """A run that goes on is the run it was."""
        before = {"objective": old.objective, "data": old.data, "encoder": old.encoder, "seed": old.seed,
                  "data_options": old.data_options, **{name: old.options.get(name) for name in
                  ("epochs", "steps", "batch_size", "learning_rate", "weight_decay", "warmup", "precision", "checkpoint_every")}}
        for name in sorted(given & before.keys()):
            new = asked[name]
            if name == "data":
                new = absolute(new)
            elif name == "data_options":
                new = _options_of(new)
            if new != before[name]:
                words = {"objective": "OBJECTIVE", "data_options": "--data-option"}
                self._refuse(words.get(name, f"--{name.replace('_', '-')}"), new, before[name])
        with plainly():
            objective = old.make(old.load_data()) if "knobs" in given else None
        if objective is not None:
            for name, value in parse_knobs(objective.knobs, pairs(asked["knobs"], "--set")).items():
                if value != objective.values()[name]:
                    self._refuse(f"--set {name}", value, objective.values()[name])

    def _refuse(self, option: str, new: Any, old: Any) -> None:
        raise Mistake(f"{option}: got {new!r}, but {self.folder.path} was trained with {old!r}; leave it out to go on, or name another folder")

    def _look_at_files(self) -> None:
        """Can the folder be made and written to? Leaves nothing behind."""
        path = self.folder.path
        if os.path.lexists(path) and not path.is_dir():
            raise Mistake(f"--checkpoint: {path} is a file; takes a folder, which is made if it is not there")
        there = self._nearest()
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise Mistake(f"--checkpoint: {there} cannot be written to ({error.strerror or error}); name a folder that can") from None

    def _nearest(self) -> Path:
        """The folder, or the nearest one above it that is there."""
        path = self.folder.path.absolute()
        while not path.exists():
            path = path.parent
        if not path.is_dir():
            raise Mistake(f"--checkpoint: {path} is a file, so that {self.folder.path} cannot be made in it; name another folder")
        return path

    def _look_at_room(self) -> None:
        """Room for a checkpoint, the next one beside it, and as much again."""
        from sslab.runs import checkpoint_bytes

        size = checkpoint_bytes(self.objective)
        needed = ROOM * size - (self.folder.checkpoint.stat().st_size if self.folder.checkpoint.exists() else 0)
        free = shutil.disk_usage(self._nearest()).free
        if free < needed:
            raise Mistake(f"--checkpoint: the disk of {self.folder.path} has {megabytes(free)} free, a run needs {megabytes(needed)} "
                          f"({ROOM} checkpoints of {megabytes(size)}); make room, or name a folder on another disk")

    def _complete(self, asked: dict[str, Any]) -> None:
        """Knobs as values, and what was left out from the recipe."""
        from dataclasses import replace

        from sslab.datasets.base import inputs_of
        from sslab.training import recipe

        knobs = parse_knobs(self.objective.knobs, pairs(asked["knobs"], "--set"))
        self.objective.set(**knobs)
        for name, lowest in (("epochs", "above 0"), ("weight_decay", "from 0")):
            value = asked[name]
            if value is not None and not (math.isfinite(value) and (value > 0 or value == 0 and lowest == "from 0")):
                raise Mistake(f"--{name.replace('_', '-')}: got {value}, takes a number {lowest}")
        options = recipe(self.asked.objective, self.asked.data, len(inputs_of(self.data.train)))
        if asked["epochs"] is not None:
            del options["steps"]
        names = ("epochs", "steps", "batch_size", "learning_rate", "weight_decay", "warmup", "precision", "checkpoint_every")
        options |= {name: asked[name] for name in names if asked[name] is not None}
        if "checkpoint_every" not in options:
            options["checkpoint_every"] = min(max(steps_of(options, self.data, self.objective) // 50, 100), 1000)
        self.asked = replace(self.asked, knobs=knobs, options=options)

    # ---- the run

    def run(self) -> int:
        """Train; the exit code."""
        if not self.first_process:
            return 0 if self._most(0) else self._train(None)         # 1 in the first process: nothing is left to do
        from safetensors import SafetensorError

        try:
            self.folder.path.mkdir(parents=True, exist_ok=True)
            with self.folder.lock():
                return self._recorded()
        except BlockingIOError as error:
            raise Mistake(f"--checkpoint: {error}; stop that one first, or name another folder") from None
        except (OSError, SafetensorError) as error:
            raise click.ClickException(f"{self.folder.path} could not be written ({error}). {self._how_to_go_on()}") from None

    def _recorded(self) -> int:
        from sslab import runs
        from sslab.course.evidence import where
        from sslab.training.devices import describe

        saved = self._saved_and_fitting()
        if self._most(int(saved is not None and saved >= self.total)):
            click.echo(f"{self.folder.path} is finished: {saved:,} of {self.total:,} steps. Next: sslab evaluate {self._quoted()}")
            return 0
        facts = {**where(), "device": describe(self.device), "processes": self.processes, "time": runs.now(), "command": shlex.join(["sslab", *sys.argv[1:]])}
        if self.record is None:
            card = self.data.card
            self.record = {"steps": self.total, "views_per_step": self.options["batch_size"] * self.objective.views_per_image,
                           "card": {"name": self.data.name, "title": card.title, "origin": card.origin, "licence": card.licence}, "made": facts, "resumed": []}
        else:
            self.record = {**{name: value for name, value in self.record.items() if name not in ("version", "asked")},
                           "resumed": [*self.record["resumed"], {"step": saved or 0, **facts}]}
        self.folder.write(self.record, self.asked)
        runs.cut(self.folder.metrics, saved or 0)
        self.folder.tell("running", step=saved or 0, steps=self.total)
        went_on = f", from step {saved:,}" if saved else ""
        options = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in self.options.items()
                            if name in ("batch_size", "learning_rate", "weight_decay"))
        together = f", {self.processes} processes" if self.processes > 1 else ""
        click.echo(f"{self.objective.title} on {self.asked.data}: {self.total:,} steps{went_on}, {options}, {describe(self.device)}{together}. "
                   f"In {self.folder.path}.", err=True)
        with open(self.folder.metrics, "a", encoding="utf-8") as file:
            writer = Writer(file, self.objective, self.record["views_per_step"], self.total, self.options["checkpoint_every"])
            return self._train(writer)

    def _saved_and_fitting(self) -> int | None:
        """Steps in the checkpoint, None without one. What trained it must be what goes on."""
        from sslab.datasets.base import inputs_of
        from sslab.training import checkpoint as checkpoints

        if not self.folder.checkpoint.exists():
            return None
        with plainly():
            header = checkpoints.read(self.folder.checkpoint)[1]
        now, before = len(inputs_of(self.data.train)), header["run"]["images"]
        if now != before:
            raise Mistake(f"--resume: {self.asked.data} has {now:,} training samples now, it had {before:,} when {self.folder.path} was "
                          "begun; bring the old ones back, or name another folder")
        return header["step"]

    def _train(self, writer: "Writer | None") -> int:
        """Iterate the training. With `writer` measurements are written and a person is told; without only computed."""
        import torch

        told, done = Progress(self.total) if writer else None, 0
        before = {name: signal.signal(name, self._asked_to_end) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            for step in self.steps:
                done = step.index + 1
                if writer is not None:
                    if not told.started:
                        told.begin(step.index)
                    writer.see(step)
                    told.show(done, writer.last)
                if self._all_asked_to_end(done):
                    break
            self.steps.close()                                       # saves, where it did not end by itself
            if writer is not None:
                writer.flush()
        except FloatingPointError as error:
            return self._ended(told, "failed", done, f"{error}", 1)
        except BaseException as error:
            if writer is not None:
                told.close()
                with contextlib.suppress(OSError):                   # the disk may be what failed
                    self.folder.tell("failed", step=done, steps=self.total, error=f"{type(error).__name__}: {error}")
            if isinstance(error, torch.OutOfMemoryError):
                raise click.ClickException(f"the memory of {self.device} is full at step {done:,}; a smaller --batch-size in a new folder "
                                           "may fit") from None
            raise
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
        if not self.stop or done == self.total:
            return self._ended(told, "finished", done, "", 0)
        return self._ended(told, "stopped", done, "", 128 + self.stop)

    def _ended(self, told: "Progress | None", state: str, done: int, error: str, code: int) -> int:
        if told is None:
            return code
        told.close()
        self.folder.tell(state, step=done, steps=self.total, **({"error": error} if error else {}))
        if state == "finished":
            click.echo(f"Finished: {done:,} steps in {self.folder.path}. Next: sslab evaluate {self._quoted()}")
        elif state == "stopped":
            click.echo(f"Stopped and saved. {self._how_to_go_on()}", err=True)
        else:
            click.echo(f"Error: {error}. The checkpoint of before is kept: a smaller --learning-rate in a new folder may help.", err=True)
        return code

    def _asked_to_end(self, number: int, frame: Any) -> None:
        """Ctrl-C, or whoever runs us: the step ends, all is saved. Asked twice by Ctrl-C, end at once."""
        if self.stop and number == signal.SIGINT:
            if self.first_process:
                os.write(2, f"\nEnded at once. {self._how_to_go_on()}\n".encode())
            os._exit(128 + signal.SIGINT)
        self.stop = number
        if self.first_process:
            os.write(2, b"\nSaving after this step; Ctrl-C again ends at once.\n")

    def _all_asked_to_end(self, done: int) -> bool:
        """Whether to stop now. Several processes stop at the same step, or those left would wait for ever."""
        if self.processes > 1 and self.device.type == "cuda" and done % 20:          # a GPU should not wait at each step
            return False
        self.stop = self._most(self.stop)
        return bool(self.stop)

    def _most(self, number: int) -> int:
        """The largest of what the processes say."""
        import torch
        from torch import distributed

        if self.processes == 1:
            return number
        device = next(self.objective.parameters()).device            # of this process
        flag = torch.tensor([number], device=device)
        distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
        return int(flag)

    def _quoted(self) -> str:
        return shlex.quote(str(self.folder.path))

    def _how_to_go_on(self) -> str:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        command = "sslab" if processes == 1 else f"torchrun --nproc-per-node {processes} -m sslab"
        try:
            saved = self.folder.saved()
        except (ValueError, OSError):
            saved = None
        where = f"the checkpoint of step {saved:,} of {self.total:,}" if saved is not None else "the beginning, as nothing is saved yet"
        return f"Go on from {where} with:\n  {command} train --checkpoint {self._quoted()} --resume"


class Writer:
    """Writes a line of measurements every few steps. Losses stay on a GPU until they are read, a second later or so.

    `last` is the last row that was written.
    """

    def __init__(self, file, objective, views_per_step: int, total: int, checkpoint_every: int) -> None:
        self.file, self.objective, self.views, self.total = file, objective, views_per_step, total
        self.every, self.saves = math.ceil(total / ROWS), checkpoint_every
        self.last: dict[str, Any] | None = None
        self._waiting: list[tuple[dict[str, Any], Any, dict[str, Any]]] = []         # rows, losses and terms on the device
        self._read = time.monotonic()
        self._recent: deque = deque()                                # what the loss saw in the last steps
        self._before: tuple[int, float] | None = None                # step and seconds of the last row
        self._seconds, self._cost, self._earned = 0.0, 0.0, math.inf

    def see(self, step) -> None:
        """After a step."""
        self._earned += step.seconds - self._seconds if self._seconds else 0.0
        self._seconds = step.seconds
        self._keep(step)
        if step.index % self.every == 0 or step.index == self.total - 1:
            self._add(step)
        near = (step.index + 2) % self.saves == 0                    # a kill after the save must find all rows of before
        if self._waiting and (step.loss.device.type == "cpu" or near or time.monotonic() - self._read > READ):
            self.flush()

    def _add(self, step) -> None:
        rate = step.views_per_second
        if self._before is not None and step.seconds > self._before[1]:
            rate = (step.index - self._before[0]) * self.views / (step.seconds - self._before[1])
        self._before = step.index, step.seconds
        row = {"step": step.index, "loss": None, "terms": {}, "learning_rate": step.learning_rate, "views_per_second": round(rate, 1),
               "seconds": round(step.seconds, 4), "knobs": step.knobs}
        if self._earned * GAUGES >= self._cost or step.index == self.total - 1:
            row["gauges"] = self._gauges()
        self._waiting.append((row, step.loss, step.terms))

    def _keep(self, step) -> None:
        z = step.embedding if step.projection is None else step.projection           # [B, P]
        self._recent.append(z)
        self._terms = step.terms
        while sum(map(len, self._recent)) - len(self._recent[0]) >= SAMPLES * z.shape[1]:
            self._recent.popleft()

    def _gauges(self) -> dict[str, Any]:
        """Spread, rank and spectrum of what the loss saw, and the lines of the loss plot."""
        import torch

        from sslab import evaluation

        start = time.perf_counter()
        z = torch.cat(list(self._recent)).float()                    # [SAMPLES P or fewer, P]
        found = self.objective.diagnose(z, {name: float(value) for name, value in self._terms.items()})
        spectrum = evaluation.singular_values(z)
        spectrum = (spectrum / spectrum[0].clamp(min=1e-12)).tolist()
        levels = self.objective.reference_levels()
        self._cost, self._earned = time.perf_counter() - start, 0.0
        return {"std": found.numbers["std"], "effective_rank": found.numbers["effective_rank"], "dimensions": z.shape[1],
                "kind": found.kind, "text": found.text, "levels": levels, "spectrum": [float(f"{value:.3g}") for value in spectrum]}

    def flush(self) -> None:
        """Read what waits on the device, and write it."""
        from sslab.runs import as_line

        waiting, self._waiting = self._waiting, []
        for row, loss, terms in waiting:
            row["loss"], row["terms"] = float(loss), {name: float(value) for name, value in terms.items()}
            self.file.write(as_line(row))
            self.last = row
        self.file.flush()
        self._read = time.monotonic()


class Progress:
    """Where it stands: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, total: int) -> None:
        self.total, self.started, self._bar = total, False, None
        self._said, self._shown = time.monotonic(), None

    def begin(self, done: int) -> None:
        """The first step is taken: what comes before it, data and the choice of precision, would spoil the rate."""
        from tqdm import tqdm

        self.started, self._first, self._start = True, done, time.monotonic()
        if sys.stderr.isatty():
            self._bar = tqdm(total=self.total, initial=done, file=sys.stderr, dynamic_ncols=True, smoothing=0.05,
                             bar_format="{percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt} steps, {elapsed}, {remaining} left{postfix}")

    def show(self, done: int, row: dict[str, Any] | None) -> None:
        """After a step; `row` is the last one that was measured."""
        said = "" if row is None else f"loss {row['loss']:.4g}, {row['views_per_second']:,.0f} views/s"
        if self._bar is not None:
            if row is not self._shown:
                self._bar.set_postfix_str(said, refresh=False)
                self._shown = row
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._said > SAYS or done == self.total:
            self._said = time.monotonic()
            pace = (self._said - self._start) / max(1, done - self._first)
            click.echo(f"step {done:,} of {self.total:,}, {said}, {duration(pace * (self.total - done))} left", err=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def steps_of(options: dict[str, Any], data, objective) -> int:
    """How many steps `sslab.train` will take with these options."""
    from sslab.datasets.base import inputs_of

    if options.get("steps") is not None:
        return options["steps"]
    count, batch = len(inputs_of(data.train)), max(1, options["batch_size"])
    repeats = math.ceil(batch / count) if objective.needs_labels else 1
    return max(1, round(options["epochs"] * (count * repeats // batch)))


def absolute(data: str) -> str:
    """"folder:PATH" with the whole path, so that the run can be read from anywhere."""
    kind, colon, path = data.partition(":")
    return f"{kind}:{Path(path).expanduser().absolute()}" if colon and path and kind in ("folder", "text", "pairs") else data


def _options_of(texts: tuple[str, ...]) -> dict[str, Any]:
    """Options of a dataset: whole numbers as such."""
    found = pairs(texts, "--data-option")
    return {name: int(text) if text.lstrip("-").isdigit() else text for name, text in found.items()}


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


def duration(seconds: float) -> str:
    """In words: 75 -> "1 min 15 s"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min {seconds % 60} s" if seconds < 3600 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
