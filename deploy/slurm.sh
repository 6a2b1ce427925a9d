#!/bin/bash
# Data-parallel training on SLURM: one torchrun a machine, one process a GPU.
#
#   sbatch deploy/slurm.sh --data cifar10 --encoder resnet18 --steps 20000 --batch-size 1024 --checkpoint runs/x.safetensors
#
# Submit it from the repository's folder, in the environment that has sslab; both must be there on every machine. A job
# that was cut off goes on from its checkpoint when it is submitted again, with as many machines as there are then.
# Not tried on a cluster of ours: have a look at the first run.
#SBATCH --job-name=sslab
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=08:00:00
#SBATCH --output=sslab-%j.log
set -euo pipefail

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export OMP_NUM_THREADS=$((SLURM_CPUS_PER_TASK / ${SLURM_GPUS_ON_NODE:-1}))

srun torchrun \
    --nnodes="$SLURM_JOB_NUM_NODES" \
    --nproc-per-node="${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-backend=c10d \
    --rdzv-id="$SLURM_JOB_ID" \
    --rdzv-endpoint="$head:29500" \
    deploy/train.py "$@"
