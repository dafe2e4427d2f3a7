#!/bin/bash
# A slice of TPU VMs, or several slices made by one queued resource: the same command on each worker.
#   TPU=my-slice ZONE=us-east5-b REPOSITORY=https://.../vlsm_jax.git docs/pods/tpu_vm.sh setup
#   TPU=my-slice ZONE=us-east5-b docs/pods/tpu_vm.sh start --config=configs/vlsm_7b.py --workdir=/shared/runs/7b
#   TPU=my-slice ZONE=us-east5-b docs/pods/tpu_vm.sh stop    # they save and end
# TPU may name several slices, with a space between them. --workdir lies on a file system that all workers mount.
set -euo pipefail

read -ra slices <<<"${TPU:?name of the TPU}"
: "${ZONE:?its zone}"

everywhere() {
  local pids=() status=0
  for slice in "${slices[@]}"; do
    gcloud compute tpus tpu-vm ssh "$slice" --zone="$ZONE" --worker=all --command="$1" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid" || status=$?
  done
  return "$status"
}

verb=${1:?setup, start or stop}
shift
case $verb in
  setup)
    everywhere "git clone ${REPOSITORY:?where the repository is} vlsm_jax && cd vlsm_jax && \
python3 -m venv .venv && .venv/bin/python -m pip install --quiet --editable '.[tpu]'"
    ;;
  start)
    everywhere "cd vlsm_jax && exec .venv/bin/python launch.py --coordinator=auto$(printf ' %q' "$@")"
    ;;
  stop)
    everywhere "pkill -TERM -f 'launch[.]py --coordinator=auto '"
    ;;
  *)
    echo "error: $verb is none of setup, start, stop" >&2
    exit 2
    ;;
esac
