#!/bin/bash
# lost_peer.sh MPIEXEC PROGRAM DEVICE: a run that loses a rank ends soon, with the right code and text.
set -u
mpiexec=$1 program=$2 device=$3
failures=0
export GRADMILL_START_TIMEOUT_S=60  # a busy machine starts MPI later than a deadline of 2 s

# try FAULT EXIT_CODE TEXT [COMMAND...]: three ranks, of which the last has this fault; or started by COMMAND
try() {
  local started=$SECONDS output code start=("${@:4}")
  [ $# -gt 3 ] || start=("$mpiexec" --oversubscribe --allow-run-as-root -n 3)
  output=$(timeout -k 5 50 "${start[@]}" "$program" "$device" "$1" 2>&1)
  code=$?
  if [ $code -eq 77 ]; then
    echo "skipped: fewer CUDA devices than ranks"
    exit 77
  fi
  if [ $code -ne "$2" ] || ! grep -q "$3" <<<"$output" || [ $((SECONDS - started)) -gt 30 ]; then
    echo "FAILED: $device, fault '$1': exit code $code (expected $2) after $((SECONDS - started)) s; expected text: $3"
    echo "$output"
    failures=$((failures + 1))
  else
    echo "ok: $device, fault '$1': exit code $code after $((SECONDS - started)) s"
  fi
}

try none 0 ""
if [ "$device" = cuda ]; then
  try sleep 76 "all_reduce_sum #2 (4000 bytes) on rank [01] of 3 (cuda:[01]): "
  try stop 76 "all_reduce_sum #2 (4000 bytes) on rank [01] of 3 (cuda:[01]): "
else
  try sleep 76 "all_reduce_sum #[0-9]* (4000 bytes) on rank [01] of 3: no answer from .*rank 2 (.*) within 2 s"
  try stop 76 "all_reduce_sum #[0-9]* (4000 bytes) on rank [01] of 3: no answer from .*rank 2 (.*) within 2 s"
fi
try throw 65 "rank 2: ratings.csv:7: bad rating"
try throw_late 65 "rank 2: ratings.csv:7: bad rating"
if [ "$device" = cpu ]; then
  # The last rank never starts MPI: the others must not wait in MPI_Init without end.
  absent='[ "$OMPI_COMM_WORLD_RANK" = 2 ] && exec sleep 60; exec "$0" "$@"'
  try none 76 "rank [01] of 3 (Open MPI's mpirun) on $(hostname), process [0-9]*: MPI has not started after 2 s" \
    env -u GRADMILL_START_TIMEOUT_S "$mpiexec" --oversubscribe --allow-run-as-root -n 3 bash -c "$absent"
  try none 76 "MPI has not started after 1.5 s" \
    env GRADMILL_START_TIMEOUT_S=1.5 "$mpiexec" --oversubscribe --allow-run-as-root -n 3 bash -c "$absent"
  try none 64 'GRADMILL_START_TIMEOUT_S is "soon"; expected seconds' \
    env GRADMILL_START_TIMEOUT_S=soon PMI_SIZE=3 PMI_RANK=0
fi
# Another MPI's launcher: its ranks must not train alone, each over the other's files.
try none 64 "started 3 ranks, but MPI (.*) finds 1" env PMI_SIZE=3 PMI_RANK=0
exit $failures
