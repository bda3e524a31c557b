#!/usr/bin/env bash
# What this machine's SLURM prints to the commands that MIRA parses, as VERSION.txt beside this file.
#
#   PATH="$(tests/testbed/slurm-version.sh trixie):$PATH" tests/unit/slurm/recorded/record.sh
#
# Starts the test cluster, with accounting, and brings jobs and nodes into as many states as it can: four minutes. Names of
# machine and folders are replaced. Each answer: the command after `$ `, what it printed, `! ` before lines of stderr, and
# `exit N` where that is not 0.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
CLUSTER=$HERE/../../../testbed/slurm-test-cluster.sh
export LC_ALL=C SLURM_TIME_FORMAT=standard
cd /tmp

answer() { # COMMAND...
    local rc=0
    printf '\n$ %s\n' "$(tr -s ' ' <<<"$*")"
    "$@" 2>/tmp/record.err || rc=$?
    sed 's/^/! /' /tmp/record.err
    ((rc == 0)) || echo "exit $rc"
}

job() { # NAME OPTIONS... -- COMMAND: its number
    local name=$1 options=()
    shift
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    sbatch --parsable --job-name "mira-$name" --comment "rule_evaluate_emt_wildcards_$name" --output /dev/null --mem 100 \
        "${options[@]}" --wrap "$2"
}

wait_for() { # STATE JOB
    local until=$((SECONDS + 130))
    until [[ $(squeue -h --states=all -j "$2" -o %T) == "$1" ]]; do
        if ((SECONDS > until)); then
            echo "job $2 is not $1 but $(squeue -h --states=all -j "$2" -o '%T, %j, %r')" >&2
            return
        fi
        sleep 0.1
    done
}

stage() {
    local crash timeout hangs victim held bad
    # what SLURM ends, or starts and loses
    timeout=$(job timeout -t 1 -- 'sleep 300')
    crash=$(job crash --no-requeue -w cpu2 -- 'sleep 300')
    wait_for RUNNING "$crash"
    "$CLUSTER" node-crash cpu2
    wait_for COMPLETED "$(job completed -- true)"
    bad=$(job failed -- 'exit 3')
    wait_for FAILED "$bad"
    held=$(job cancelled -- 'sleep 300')
    wait_for RUNNING "$held"
    scancel "$held"
    victim=$(job preempted -p scavengec -w gpu1 -c 8 -- 'sleep 300')
    wait_for RUNNING "$victim"
    job preemptor -p gpu -c 8 -t 1 -- 'sleep 2' >/dev/null
    wait_for PREEMPTED "$victim"
    held=$(job deadline --hold "--deadline=now+1minutes" -t 1 -- true)
    wait_for TIMEOUT "$timeout"
    wait_for NODE_FAIL "$crash"
    wait_for DEADLINE "$held"
    "$CLUSTER" node-up cpu2
    # what waits
    job held --hold -- true >/dev/null
    held=$(job held-by-admin -- 'sleep 300')
    scontrol hold "$held" || true
    held=$(job requeue-hold -- 'sleep 300')
    wait_for RUNNING "$held"
    scontrol requeuehold "$held"
    held=$(job special-exit -- 'sleep 300')
    wait_for RUNNING "$held"
    scontrol requeuehold State=SpecialExit "$held"
    wait_for SPECIAL_EXIT "$held"
    held=$(job suspended -- 'sleep 300')
    wait_for RUNNING "$held"
    scontrol suspend "$held"
    job begin --begin=now+1hour -- true >/dev/null
    job too-long -t 120 -- true >/dev/null
    job too-large --mem 90000 -- true >/dev/null || true
    job never "--dependency=afterok:$bad" -- true >/dev/null
    job dependent "--dependency=afterany:$held" -- true >/dev/null
    scontrol update PartitionName=scavenge State=DOWN
    job partition-down -p scavenge -- true >/dev/null
    scontrol update NodeName=cpu2 State=DRAIN Reason=test
    job drained -w cpu2 -- true >/dev/null
    job runs -w cpu1 -- 'sleep 300' >/dev/null
    job waits -w gpu1 -p gpu -c 8 --gpus=1 -- 'sleep 300' >/dev/null
    job waits-too -w gpu1 -p gpu -c 8 --gpus=1 -- 'sleep 300' >/dev/null
    hangs=$(job completing -w cpu1 -- 'sleep 1')
    "$CLUSTER" epilogs-hang
    wait_for COMPLETING "$hangs"
    scontrol update NodeName=cpu1 State=DRAIN Reason=test
    job no-node -- true >/dev/null
    sleep 25
}

ask() {
    answer squeue --noheader "--user=$(id -u)" '--format=%i|%T|%r|%N|%M|%j|%k'
    answer squeue "--user=$(id -u)" --noheader --states=all '--format=%i|%T' --name mira-timeout
    answer squeue --noheader --states=all '--format=%T|%j'
    answer squeue --noheader --states=all "--jobs=$(squeue -h --states=all --name=mira-timeout -o %i)" '--format=%T|%N'
    answer squeue --noheader --jobs=4000 '--format=%T|%N'
    answer squeue --noheader "--jobs=$(squeue -h --name=mira-runs -o %i)" '--format=%e'
    answer sinfo --noheader '--format=%P|%a|%l|%c|%m|%G|%D'
    answer sinfo --noheader --Node '--format=%n|%o'
    answer sinfo --noheader --Node --partition=cpu '--format=%T'
    scontrol update NodeName=cpu1 State=RESUME
    answer scontrol --oneliner show partition
    answer sacctmgr -nP show assoc "user=$(id -un)" format=account,qos
    answer scontrol show config | grep -E '^$|^[$!] |^exit|^(ClusterName|SLURM_VERSION|SLURM_CONF|MinJobAge|AccountingStorageType) '
    answer sbatch --parsable --hold --output /dev/null --wrap true
    answer scancel --quiet 4000
    local asked job="--ntasks=1 --cpus-per-task=1"
    for asked in "--mem=500 $job" "--partition=nope $job" "--constraint=nope $job" "--time=90 $job" "--mem=900000 $job" \
        "--account=nope $job" "--qos=nope $job" "--ntasks=1 --cpus-per-task=500" "--gres=gpu:nope:1 --cpus-per-task=1" \
        "$job --reservation=nope" "$job --wibble" "$job --nodelist=cpu2"; do
        # shellcheck disable=SC2086 # words, on purpose
        answer sbatch --test-only $asked --wrap true
    done
    "$CLUSTER" controller-down 2>/dev/null
    answer squeue --noheader --jobs=1 '--format=%T|%N'
    answer sbatch --test-only --ntasks=1 --cpus-per-task=1 --wrap true
    "$CLUSTER" controller-up
}

# numbers, times, folders and names that another day or machine would have
plain() {
    sed -E -e "s/\b$(hostname -s)\b/login1/g" -e "s#${SLURM_TEST_DIR:-/tmp/slurm-test}#/srv/slurm#g" \
        -e "s/user=$(id -un)\b/user=USER/; s/--user=$(id -u)\b/--user=UID/" -e "s/miratest[0-9]*/miratest/" \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}/2026-01-02T03:04:05/' -e 's/\|[0-9]+:[0-9]{2}\|/|0:30|/'
}

"$CLUSTER" start --dbd
version=$(squeue -V | grep -oE '[0-9.]+$')
stage
{ echo "# slurm $version, by record.sh"; ask; } | plain >"$HERE/$version.txt"
"$CLUSTER" epilogs-end
"$CLUSTER" stop
