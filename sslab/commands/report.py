"""`sslab report`: one page of HTML about a run of `sslab train`."""

from pathlib import Path

import click

from sslab.commands import Mistake, parse_device, plainly, whole_numbers
from sslab.commands.evaluate import read_earlier


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path())
@click.option("--output", type=click.Path(path_type=Path), help="A new file; RUN/report.html if left out.")
@click.option("--on", type=click.Choice(["validation", "test"]), default="test", show_default=True,
              help="Validation while something is still to be chosen; it is written down that test was read.")
@click.option("--labels", help="Labels a class, with commas between: 1,5,20,100, as far as the classes reach, if left out.")
@click.option("--draws", type=click.IntRange(2, 1000), default=10, show_default=True, help="Random subsets of labels.")
@click.option("--supervised/--no-supervised", default=True, help="Also train from scratch with the same labels: the slowest part.")
@click.option("--device", metavar="NAME", help="cuda, mps or cpu; the first there is.")
def report(run, output, on, labels, draws, supervised, device) -> None:
    """Write a page about RUN: data card, skipped files, settings, curves, diagnosis, controls with intervals, limits.

    One HTML file with everything in it. To get a PDF, print it from a browser: one or two pages of A4.
    """
    from sslab import report as reports
    from sslab import runs

    folder = runs.RunFolder(run)
    device = parse_device(device)
    budgets = None if labels is None else whole_numbers(labels, "--labels")
    with plainly():
        record = folder.read()
    output = folder.path / "report.html" if output is None else output
    try:
        reports.page.check_path(output)
    except (ValueError, OSError) as error:
        raise Mistake(f"--output: {str(error).removeprefix('path: ')}") from None
    with plainly():
        earlier = read_earlier(folder)
        objective, data = runs.load(run, device)
        found = reports.examine(objective, data, on=on, labels=budgets, draws=draws, supervised=supervised,
                                say=lambda line: click.echo(line, err=True))
        history = runs.Metrics(folder.metrics).new()
        levels = next((row["gauges"]["levels"] for row in reversed(history) if row.get("gauges")), {})
        reports.write(found, output, history, {**reports.settings(record), "steps taken": objective.steps_done}, levels)
        entry = {"time": runs.now(), "step": objective.steps_done, "data": folder.asked().data, "report": str(output), **found.numbers}
        runs.replace(folder.evaluation, {"evaluations": [*earlier, entry]})
    for line in found.findings:
        click.echo(line)
    before = [one for one in earlier if one["on"] == "test"]
    if on == "test" and before:
        click.echo(f"Test was read before for this run ({len(before)} times, first {before[0]['time']}): what was changed since was "
                   "chosen with a look at it.")
    click.echo(f"Written to {output}. For a PDF, open it in a browser and print it.")
