#!/bin/bash
# Plain hosts that ssh reaches; the first is process 0, and the others reach it at PORT. The repository with its .venv, and
# --workdir, lie at the same path on all of them, on a file system that they share:
#   HOSTS="node1 node2" docs/pods/hosts.sh --config=configs/vlsm_1b.py --workdir=/shared/runs/1b
# Ctrl-C, or SIGTERM to this script, tells all of them to save and end.
# shellcheck disable=SC2029,SC2329  # what is sent is put together here; tell is called by a trap
set -uo pipefail

read -ra hosts <<<"${HOSTS:?names of the hosts, with a space between them}"
port=${PORT:-8476}
here=$(pwd)
arguments=$(printf ' %q' "$@")
pids=()

tell() {
  for host in "${hosts[@]}"; do
    ssh "$host" "pkill -TERM -f 'launch[.]py --coordinator=${hosts[0]}:$port '"
  done
}
trap tell INT TERM

for index in "${!hosts[@]}"; do
  job="--coordinator=${hosts[0]}:$port --process_id=$index --process_count=${#hosts[@]}"
  ssh "${hosts[$index]}" "cd $(printf %q "$here") && exec ${PYTHON:-.venv/bin/python} launch.py $job$arguments" \
    > >(sed "s/^/$index: /") 2>&1 &
  pids+=($!)
done

status=0
for pid in "${pids[@]}"; do
  while :; do # a wait that a signal breaks off is begun again
    wait "$pid"
    ended=$?
    kill -0 "$pid" 2>/dev/null || break
  done
  ((ended > status)) && status=$ended
done
exit "$status"
