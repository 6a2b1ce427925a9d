"""`python -m sslab` is the `sslab` command."""

from sslab.cli import main

main(prog_name="sslab")
