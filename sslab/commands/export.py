"""`sslab export`: the encoder of a run alone, in a file that other programs read, with a card that says what it takes."""

import importlib.util
import json
import os
import warnings
from pathlib import Path
from typing import Any

import click

from sslab.commands import Mistake, plainly

SUFFIXES = {"safetensors": "encoder.safetensors", "torchscript": "encoder.torchscript.pt", "onnx": "encoder.onnx"}
NEEDED = ("onnx", "onnxscript")                                      # by torch's exporter
CLOSE = 1e-4                                                         # of the features' size: what another order of sums may change


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path())
@click.option("--format", "kind", type=click.Choice(list(SUFFIXES)), default="safetensors", show_default=True,
              help="safetensors: the weights. torchscript, onnx: weights and computation.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="RUN/encoder.* if left out.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def export(run, kind, output, force) -> None:
    """Write the encoder of RUN to a file, and beside it FILE.json: what goes in, how it is scaled, what comes out."""
    from sslab import runs
    from sslab.training import distributed

    if not distributed.first():                                      # one file needs one process
        return
    output = output or Path(run) / SUFFIXES[kind]
    card_file = output.with_name(output.name + ".json")
    for file in (output, card_file):
        if os.path.lexists(file) and not force:
            raise Mistake(f"--output: {file} is there already; add --force to overwrite it, or name another file")
    if not output.parent.is_dir():
        raise Mistake(f"--output: {output.parent} is no folder; make it first, or name another file")
    if kind == "onnx" and (missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]):
        raise Mistake(f"--format: onnx needs {' and '.join(missing)}, not installed here; pip install {' '.join(missing)}, "
                      "or take torchscript")
    with plainly():
        objective, data = runs.load(run)
        card = card_of(objective, data, runs.RunFolder(run), kind)
        write(objective.encoder, data, output, kind, card)
        runs.replace(card_file, card)
    click.echo(f"{output} ({output.stat().st_size / 1e6:,.1f} MB), step {objective.steps_done:,}; {card_file.name} says what it takes.")


def card_of(objective, data, folder, kind: str) -> dict[str, Any]:
    """What a program must know that uses the file."""
    encoder, record = objective.encoder, folder.read()
    card = {"format": kind, "objective": record["asked"]["objective"], "data": record["card"], "steps": objective.steps_done,
            "made": record["made"]["versions"], "encoder": {"name": encoder.name, "options": encoder.options},
            "output": {"shape": ["batch", encoder.dim], "dtype": "float32", "what": "the representation; not normalised"}}
    if is_text(encoder):
        tokenizer = data.tokenizer
        card["encoder"] |= {"vocabulary": encoder.vocabulary, "context": encoder.context, "continuous": encoder.continuous}
        card["input"] = {"shape": ["batch", f"tokens, 1 to {encoder.context}"], "dtype": "int64", "padding": 0, "vocabulary": encoder.vocabulary,
                         "scaling": "none: numbers of tokens, padding at the end of a row",
                         "frame": None if encoder.continuous else "[CLS] pieces [SEP]"}
        card["tokenizer"] = {"kind": tokenizer.kind, "state": tokenizer.dumps()}
    else:
        channels, size = encoder.shape
        card["encoder"]["shape"] = [channels, size]
        card["input"] = {"shape": ["batch", channels, size, size], "dtype": "float32", "range": [0, 1], "order": "RGB" if channels == 3 else "grey",
                         "scaling": "bytes divided by 255; nothing else: the encoder goes from [0, 1] to [-1, 1] by itself"}
    return card


def is_text(encoder) -> bool:
    return hasattr(encoder, "vocabulary")


def write(encoder, data, output: Path, kind: str, card: dict[str, Any]) -> None:
    """Write the file beside its place, look whether it gives the encoder's features, and move it there.

    Raises:
        ValueError: it does not; nothing is written then.
    """
    import torch
    from safetensors.torch import save_file

    encoder = encoder.eval().float().requires_grad_(False)
    part = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        if kind == "safetensors":
            tensors = {name: t.contiguous().clone() for name, t in encoder.state_dict().items()}
            save_file(tensors, part, metadata={"sslab": json.dumps(card)})
        else:
            module, few, more = exported(encoder), examples(encoder, data, 2), examples(encoder, data, 5)
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")                      # of shapes that are numbers: compared below
                compute = (_torchscript if kind == "torchscript" else _onnx)(module, few, part)
            shorter = [more[:, :max(1, more.shape[1] // 2)].contiguous()] if is_text(encoder) else []
            for inputs in (few, more, *shorter) if compute else ():
                check(compute(inputs), encoder(inputs), kind)
        os.replace(part, output)
    finally:
        for file in (part, part.with_name(part.name + ".data")):
            file.unlink(missing_ok=True)


def _torchscript(module, inputs, file: Path):
    import torch

    torch.jit.save(torch.jit.trace(module, inputs, check_trace=False), str(file))
    return torch.jit.load(str(file))


def _onnx(module, inputs, file: Path):
    """Any number of rows, and of tokens. Computed with onnxruntime for the comparison, where that is installed."""
    import logging

    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)          # it speaks of packages that nobody asked for
    free = {0: torch.export.Dim.DYNAMIC} | ({1: torch.export.Dim.DYNAMIC} if not inputs.is_floating_point() else {})
    torch.onnx.export(module, (inputs,), str(file), input_names=["input"], output_names=["features"], dynamic_shapes=(free,),
                      dynamo=True, external_data=False, verbose=False)
    if importlib.util.find_spec("onnxruntime") is None:
        click.echo("onnxruntime is not installed: the file is written, but was not compared with the encoder.", err=True)
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"input": x.numpy()})[0])


def check(given, expected, kind: str) -> None:
    """Refuse a file that does not compute what the encoder does."""
    given, expected = given.detach(), expected.detach()
    error = float((given - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not error <= CLOSE:
        raise ValueError(f"{kind}: the exported encoder's features differ from the encoder's by {error:.1e} of their size, takes "
                         f"{CLOSE:g}; nothing was written. Take another --format")


def examples(encoder, data, count: int):
    """A few inputs as the card describes them; texts of different lengths."""
    import torch

    from sslab.datasets.base import as_floats, inputs_of

    inputs = inputs_of(data.train)
    if hasattr(inputs, "pictures"):
        inputs = inputs[:count].pictures
    return inputs[:count].long() if is_text(encoder) else as_floats(torch.as_tensor(inputs[:count])).contiguous()


def exported(encoder):
    """The encoder as a module of its own whose rows may be of any number."""
    import copy

    from torch import nn

    from sslab.encoders import VisionTransformer, centred

    encoder = copy.deepcopy(encoder)
    net = getattr(encoder, "net", None)
    if is_text(encoder):
        net.padded = False                                           # in eval mode: all rows at once, padding masked as before

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, x):                                        # [B, C, H, W] in [0, 1], or tokens [B, T]
            if isinstance(net, VisionTransformer):                   # the mean over its map, which has a fixed number of rows
                return net.tokens(centred(x)).mean(dim=1)            # [B, D]
            return encoder(x)

    return Module().eval()
