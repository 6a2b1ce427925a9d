"""The `sslab` command: `sslab lab` opens the notebooks, `sslab doctor` says what this machine has, `sslab train` outgrows both."""

import importlib
import sys
from pathlib import Path

import click

# Commands of other parts: name -> (where it is, what `sslab --help` says). Loaded when used, so that --help is quick.
GROUPS = {"train": ("sslab.commands.train:train", "Train an objective on a dataset, in a folder; Ctrl-C saves."),
          "evaluate": ("sslab.commands.evaluate:evaluate", "Probes, neighbours, controls and diagnosis of a run."),
          "export": ("sslab.commands.export:export", "The encoder of a run as safetensors, TorchScript or ONNX."),
          "report": ("sslab.commands.report:report", "One page about a run: data, settings, diagnosis, controls, limits."),
          "course": ("sslab.course.cli:course", "Build and check the notebooks and their records.")}


class Commands(click.Group):
    """A group some of whose commands are imported only when they run."""

    def list_commands(self, context):
        return [*super().list_commands(context), *GROUPS]

    def get_command(self, context, name):
        if name not in GROUPS:
            return super().get_command(context, name)
        module, attribute = GROUPS[name][0].split(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, context, formatter):
        rows = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        rows += [(name, text) for name, (_, text) in GROUPS.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sslab")
def main():
    """A laboratory for self-supervised learning, in notebooks."""


@main.command()
@click.option("--port", default=8888, show_default=True, type=click.IntRange(1, 65535), help="The next free one if busy.")
@click.option("--ip", default="127.0.0.1", show_default=True, help="0.0.0.0 to reach it from outside a container.")
@click.option("--open/--no-open", "open_browser", default=True, help="Open the browser, or print the address only.")
@click.option("--notebook", default="00_start_here.ipynb", show_default=True, help="The one to open.")
def lab(port, ip, open_browser, notebook):
    """Open JupyterLab on the notebooks."""
    from sslab.serve import serve

    try:
        code = serve(port, ip, open_browser, notebook, say=click.echo)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)


@main.command()
@click.argument("folder", default="sslab-notebooks", type=click.Path(path_type=Path, file_okay=False))
@click.option("--solutions/--no-solutions", default=True, help="Also the folder of solutions.")
def notebooks(folder, solutions):
    """Copy the course's notebooks to FOLDER (./sslab-notebooks); what is there already is kept."""
    from sslab.course import ledger
    from sslab.serve import copy_missing

    try:
        copied, kept = copy_missing(ledger.folder(), folder, "**/*.ipynb" if solutions else "*.ipynb")
    except OSError as error:
        raise click.ClickException(f"FOLDER: got {folder}, takes a folder that can be written to ({error.strerror})") from error
    click.echo(f"{folder}: {len(copied)} notebooks copied, {len(kept)} kept that differ from this version's")


@main.command()
def doctor():
    """Say what was found: Python, torch, device, cores, Jupyter, data. Exit code 1 if something is broken."""
    from sslab.doctor import examine

    broken = False
    for fact in examine():
        click.echo(str(fact))
        broken = broken or fact.state == "broken"
    click.echo("Something is broken: see above." if broken else "Nothing is broken.")
    sys.exit(int(broken))


@main.command()
@click.option("--dataset", "datasets", multiple=True, help="One of digits, fashion, emoji; several times for several. All.")
@click.option("--method", "methods", multiple=True, help="An objective's name; several times for several. All.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1, 3), help="Pretraining runs of each.")
def compare(datasets, methods, seeds):
    """Train and probe all methods on one protocol; a killed comparison goes on where it was.

    The table of the course (notebooks/results.json) is made of the same runs: `sslab course evidence 13/board`.
    """
    from sslab._names import choose
    from sslab.course import compare as comparing

    try:
        datasets = [choose(name, comparing.DATASETS, "dataset") for name in datasets] or comparing.DATASETS
        methods = [choose(name, comparing.METHODS, "method") for name in methods] or comparing.METHODS
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    ledger = comparing.compare(datasets, methods, range(seeds), say=lambda line: click.echo(line, err=True))
    for dataset in datasets:
        click.echo(comparing.table(ledger, dataset))


if __name__ == "__main__":
    main()
