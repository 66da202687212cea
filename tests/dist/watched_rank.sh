#!/bin/bash
# watched_rank.sh MPIEXEC PROGRAM: what the watchdog finds out about the last of three ranks, long before the
# deadline of 120 s.
set -u
mpiexec=$1 program=$2
failures=0

# try FAULT CODES TEXT: the run ends with one of the codes, and some rank says TEXT
try() {
  local output code started=$SECONDS
  output=$(timeout -k 5 100 "$mpiexec" --oversubscribe --allow-run-as-root -n 3 "$program" "$1" 2>&1)
  code=$?
  if [[ " $2 " != *" $code "* ]] || ! grep -q "$3" <<<"$output"; then
    echo "FAILED: fault '$1': exit code $code (expected $2) after $((SECONDS - started)) s; expected text: $3"
    echo "$output"
    failures=$((failures + 1))
  else
    echo "ok: fault '$1': exit code $code after $((SECONDS - started)) s"
  fi
}

last='rank 2 (host [^ ]*, process [0-9]*)'
try none 0 ""
# After a kill mpirun sends the others SIGTERM, which they do not heed, and ends them so many seconds later, with
# 128 + 9; they may come first, with 76.
export OMPI_MCA_odls_base_sigkill_timeout=8
try kill "76 137" "rank [01]: .*$last has ended without a word; last seen in phase "
try deaf "76 137" "rank [12]: .*rank 0 (host [^ ]*, process [0-9]*) has ended without a word"
unset OMPI_MCA_odls_base_sigkill_timeout
try stop 76 "rank [01]: .*$last has given no sign of life for .*last seen in phase "
try throw 65 "rank 2: ratings.csv:7: bad rating"
try slow 0 "warning: all ranks wait for $last: phase train, step 12, after barrier"
try other_kind 70 "the ranks do not make the same calls: .*$last made broadcast #[0-9]* (24 bytes)"
try other_size 70 "rank [012]: .*\(do not make the same calls\|bytes where\|truncated\)"
try one_more 70 "the ranks do not make the same calls: .*$last made barrier #"
exit $failures
