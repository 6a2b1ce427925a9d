"""Python imports this at start-up when the folder is in PYTHONPATH: the tests' subprocesses, such as notebook kernels,
are offline like the tests."""

import no_network

no_network.block()
