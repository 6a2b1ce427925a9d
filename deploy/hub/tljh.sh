#!/bin/sh
# sslab on The Littlest JupyterHub: one server, one class. Run it as root on the server, from the repository's folder,
# after TLJH was installed; run it again after an update of sslab. It changes no student's file.
#
#   sudo sh deploy/hub/tljh.sh                                   two cores and 3 GB a student
#   sudo CORES=1 MEMORY=2G TORCH_INDEX=URL sh deploy/hub/tljh.sh
#
# EXTRAS=teach brings nbgrader. TORCH_INDEX: the address of torch's small CPU build (pytorch.org, "Get Started", CPU);
# without it several gigabytes for a GPU come too. Not tried on a server of ours: have a look at `sudo tljh-config show`
# and at a first student's server.
set -eu

TLJH=${TLJH:-/opt/tljh}
CORES=${CORES:-2}
MEMORY=${MEMORY:-3G}
EXCHANGE=${EXCHANGE:-/usr/local/share/nbgrader/exchange}
repository=$(cd "$(dirname "$0")/../.." && pwd)
pip="$TLJH/user/bin/python -m pip install --constraint $repository/requirements.lock"

if [ ! -x "$TLJH/user/bin/python" ]; then
    echo "sslab: no Littlest JupyterHub in $TLJH; install it first, or say where it is: TLJH=/path sh $0" >&2
    exit 1
fi
"$TLJH/user/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "sslab: needs Python 3.11 or newer, $TLJH/user has $("$TLJH/user/bin/python" --version)" >&2
    exit 1
}

if [ -n "${TORCH_INDEX:-}" ]; then
    # shellcheck disable=SC2086  # $pip is a command with its words
    $pip --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' "$repository/requirements.lock")"
fi
# shellcheck disable=SC2086
$pip --upgrade "$repository${EXTRAS:+[$EXTRAS]}"       # a wheel: with data and notebooks, for accounts that see no checkout

install -D -m 644 "$repository/deploy/hub/sslab_hub.py" "$TLJH/config/jupyterhub_config.d/sslab.py"
install -d -m 1777 "$EXCHANGE"                       # nbgrader's: everyone puts in, nobody takes out what is another's

config="$TLJH/hub/bin/tljh-config"
[ -x "$config" ] || config=tljh-config
"$config" set limits.cpu "$CORES"
"$config" set limits.memory "$MEMORY"
"$config" set services.cull.enabled true
"$config" set services.cull.timeout 3600             # seconds without use
"$config" set services.cull.every 300
"$config" reload
echo "sslab: done. A student's server has $CORES cores and $MEMORY; sslab-notebooks is in the home of each."
