"""What a JupyterHub that serves sslab sets beside its limits. One file for all of them:

The Littlest JupyterHub    a copy in jupyterhub_config.d (deploy/hub/tljh.sh puts it there)
Zero to JupyterHub         --set-file hub.extraConfig.sslab=deploy/hub/sslab_hub.py
any other                  load_subconfig("deploy/hub/sslab_hub.py") in jupyterhub_config.py

tests/test_hub.py runs it in a real hub.
"""

import math
import os


def threads(spawner):
    """Threads for numpy and torch: the server's limit; without one each of sixty servers starts one for every core there is."""
    return str(max(1, math.ceil(spawner.cpu_limit or os.cpu_count())))


# The chart for Kubernetes and The Littlest JupyterHub set their own spawner's options, which would hide Spawner's.
c = get_config()  # noqa: F821  JupyterHub defines it
for name in ("Spawner", "SystemdSpawner", "KubeSpawner"):
    spawner = c[name]
    # Every student gets a copy of the notebooks; what is there stays. A server starts also where that fails (a full disk).
    spawner.cmd = ["sh", "-c", 'python -m sslab notebooks --no-solutions; exec jupyterhub-singleuser "$@"', "jupyterhub-singleuser"]
    # On one server accounts share its ports: without encryption any of them can listen to what another's kernel prints.
    spawner.args = ["--KernelManager.transport_encryption=auto"]
    spawner.default_url = "/lab/tree/sslab-notebooks/00_start_here.ipynb"
    spawner.environment.update({
        "OMP_NUM_THREADS": threads,
        "JUPYTER_PREFER_ENV_PATH": "1",                               # the kernel is the one that sslab is in
    })
