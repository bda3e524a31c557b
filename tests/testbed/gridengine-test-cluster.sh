#!/usr/bin/env bash
# A real Grid Engine cluster on one machine, for tests: a master, one execution host with eight slots, no systemd.
#
#   install   bring the packages (Debian's gridengine 8.1.9, as root); says so and does nothing where they are
#   start     start what is not running, and print the variables that its commands need; returns when jobs can run
#   stop      end all jobs and daemons that `start` started, forget all state (job numbers begin at 1 again)
#   status    hosts and jobs; exit code 1 if the cluster is not up
#
# Queues all.q (default) and gpu.q, whose host has two fake GPUs (a consumable `gpu`, as sites define one); parallel
# environment smp. Memory is a consumable of each slot (h_vmem), and a limit of what a job may allocate.
#
# Needs root. Nothing of the machine's own Grid Engine is touched: root, cell and ports are the test's, and commands find
# them by the variables that `start` prints.
#
# Environment: GRIDENGINE_TEST_DIR (state; default /tmp/gridengine-test), GRIDENGINE_TEST_PORT (26844, and the next)
set -euo pipefail

ROOT=${GRIDENGINE_TEST_DIR:-/tmp/gridengine-test}
PORT=${GRIDENGINE_TEST_PORT:-26844}
PACKAGE=/usr/share/gridengine
HOST=$(hostname)
RUN=$ROOT/run LOG=$ROOT/log
export SGE_ROOT=$ROOT/root SGE_CELL=default SGE_QMASTER_PORT=$PORT SGE_EXECD_PORT=$((PORT + 1)) LC_ALL=C

say() { printf 'gridengine-test-cluster: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

alive() { # PROGRAM: whether the process of its file lives and is still that program
    local p
    p=$(cat "$RUN/$1.pid" 2>/dev/null) && [[ -n $p && $(cat "/proc/$p/comm" 2>/dev/null) == "$1" ]]
}

end() { # PROGRAM [SECONDS]: ask it to go, and make it go when the time is over
    local left=$((${2:-10} * 10)) p
    if alive "$1"; then
        p=$(<"$RUN/$1.pid")
        kill "$p" 2>/dev/null || true
        while kill -0 "$p" 2>/dev/null && ((left-- > 0)); do sleep 0.1; done
        kill -9 "$p" 2>/dev/null || true
    fi
    rm -f "$RUN/$1.pid"
}

daemon() ( # COMMAND...: without the caller's pipes and locks, which it would keep
    for file in "/proc/$BASHPID/fd"/*; do
        if ((${file##*/} > 2)); then eval "exec ${file##*/}>&-"; fi
    done
    "$@" </dev/null >>"$LOG/start.log" 2>&1
)

wait_for() { # SECONDS COMMAND...
    local left=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        ((left-- > 0)) || return 1
        sleep 0.1
    done
}

install() {
    local programs=(sge_qmaster sge_execd qsub qstat qacct)
    if [[ $(command -v "${programs[@]}" | wc -l) == "${#programs[@]}" ]]; then
        say "already here"
        return
    fi
    [[ $(id -u) == 0 ]] || fail "needs root"
    command -v apt-get >/dev/null || fail "needs Debian's apt-get"
    # the packages' own services stay off, also where nothing else forbids it
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
    fi
    local apt=(apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends)
    "${apt[@]}" update || say "apt-get update failed; going on with the lists at hand"
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install gridengine-master gridengine-exec gridengine-client \
        </dev/null >/dev/null
    say "installed"
}

# --- configuration

make_cell() { # the master's files, before it has ever run
    local common=$SGE_ROOT/$SGE_CELL/common part
    mkdir -p "$common" "$LOG" "$RUN" "$ROOT"/spool/{qmaster/job_scripts,execd} "$ROOT/tmp"
    for part in bin lib util utilbin; do ln -sfn "/var/lib/gridengine/$part" "$SGE_ROOT/$part"; done
    echo "$HOST" >"$common/act_qmaster"
    echo "$HOST localhost" >"$common/host_aliases" # what 127.0.0.1 is called may be either
    sed -e "s|^admin_user .*|admin_user none|" -e "s|^spooling_method .*|spooling_method classic|" \
        -e "s|^spooling_lib .*|spooling_lib libspoolc|" -e "s|^spooling_params .*|spooling_params $common;$ROOT/spool/qmaster|" \
        -e "s|^qmaster_spool_dir .*|qmaster_spool_dir $ROOT/spool/qmaster|" "$PACKAGE/default-bootstrap" >"$common/bootstrap"
    sed -e "s|^execd_spool_dir .*|execd_spool_dir $ROOT/spool/execd|" -e "s|^min_[ug]id .*|min_uid 0|" \
        -e "s|^load_report_time .*|load_report_time 00:00:02|" -e "s|^max_unheard .*|max_unheard 00:00:20|" \
        -e "s|flush_time=00:00:15|flush_time=00:00:01 accounting_flush_time=00:00:00|" \
        "$PACKAGE/default-configuration" >"$ROOT/configuration"
    {
        /usr/lib/gridengine/spoolinit classic libspoolc "$common;$ROOT/spool/qmaster" init
        /usr/lib/gridengine/spooldefaults configuration "$ROOT/configuration"
        /usr/lib/gridengine/spooldefaults complexes "$PACKAGE/util/resources/centry"
        /usr/lib/gridengine/spooldefaults usersets "$PACKAGE/util/resources/usersets"
        /usr/lib/gridengine/spooldefaults managers "$(id -un)"
    } >"$LOG/init.log" 2>&1 || { tail "$LOG/init.log" >&2; fail "the cell could not be made"; }
}

configure() { # what the running master is told: host, slots, memory, GPUs, queues
    local file=$ROOT/words
    qconf -ah "$HOST" >/dev/null 2>&1 || true
    qconf -as "$HOST" >/dev/null 2>&1 || true
    qconf -sc | sed -e 's/^\(h_vmem .*MEMORY *<= *YES *\)NO /\1YES /' >"$file"
    echo "gpu gpu INT <= YES YES 0 0" >>"$file"
    qconf -Mc "$file" >/dev/null 2>&1
    qconf -se "$HOST" >/dev/null 2>&1 || { host >"$file"; qconf -Ae "$file" >/dev/null 2>&1; }
    qconf -Ap "$PACKAGE/util/resources/pe/smp" >/dev/null 2>&1 || true
    sed -e 's/^schedule_interval .*/schedule_interval 0:0:2/' -e 's/^flush_submit_sec .*/flush_submit_sec 1/' \
        -e 's/^flush_finish_sec .*/flush_finish_sec 1/' <(qconf -ssconf) >"$file"
    qconf -Msconf "$file" >/dev/null 2>&1
    local queue
    for queue in all.q gpu.q; do
        qconf -sq "$queue" >/dev/null 2>&1 && continue
        queue "$queue" >"$file"
        qconf -Aq "$file" >/dev/null 2>&1
    done
}

host() {
    printf '%s\n' "hostname $HOST" "load_scaling NONE" "complex_values h_vmem=16G,gpu=2" "user_lists NONE" \
        "xuser_lists NONE" "projects NONE" "xprojects NONE" "usage_scaling NONE" "report_variables NONE"
}

queue() { # NAME: one with eight slots, whose load keeps no job waiting, as the machine has but two cores
    cat <<END
qname $1
hostlist $HOST
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH
ckpt_list NONE
pe_list smp
rerun FALSE
slots 8
tmpdir $ROOT/tmp
shell /bin/sh
prolog NONE
epilog NONE
shell_start_mode posix_compliant
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:10
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
s_rt INFINITY
h_rt 1:0:0
s_cpu INFINITY
h_cpu INFINITY
s_fsize INFINITY
h_fsize INFINITY
s_data INFINITY
h_data INFINITY
s_stack INFINITY
h_stack INFINITY
s_core INFINITY
h_core INFINITY
s_rss INFINITY
h_rss INFINITY
s_vmem INFINITY
h_vmem INFINITY
END
}

# --- start and stop

master_answers() { qconf -sh; }
queues_are_up() { [[ $(qstat -f | awk '$1 ~ /^(all|gpu)\.q@/ && NF == 5' | wc -l) == 2 ]]; }
no_jobs() { [[ -z $(qstat -u '*') ]]; }

note_process() { # PROGRAM: keep its number; of several masters on a machine, ours has our root in its environment
    local p
    for p in $(pgrep -x "$1"); do
        if grep -qasxz "SGE_ROOT=$SGE_ROOT" "/proc/$p/environ"; then echo "$p" >"$RUN/$1.pid"; return; fi
    done
    return 1
}

start() {
    local began=$SECONDS program
    [[ $(id -u) == 0 ]] || fail "needs root"
    for program in sge_qmaster sge_execd qsub qstat; do
        command -v "$program" >/dev/null || fail "there is no $program: \`$0 install\` brings it"
    done
    [[ -e $SGE_ROOT/$SGE_CELL/common/bootstrap ]] || make_cell
    if ! alive sge_qmaster; then
        daemon sge_qmaster
        wait_for 60 master_answers || { tail "$LOG/start.log" >&2; fail "the master did not start"; }
        wait_for 5 note_process sge_qmaster
    fi
    qconf -sq gpu.q >/dev/null 2>&1 || configure
    if ! alive sge_execd; then
        daemon sge_execd
        wait_for 10 note_process sge_execd || { tail "$LOG/start.log" >&2; fail "the execution host did not start"; }
    fi
    wait_for 60 queues_are_up || { qstat -f >&2 || true; fail "the queues did not come up"; }
    say "up after $((SECONDS - began)) s"
    variables
}

variables() {
    printf '%s\n' "SGE_ROOT=$SGE_ROOT" "SGE_CELL=$SGE_CELL" "SGE_QMASTER_PORT=$SGE_QMASTER_PORT" \
        "SGE_EXECD_PORT=$SGE_EXECD_PORT"
}

stop() {
    if alive sge_qmaster; then
        timeout 10 qdel -f -u '*' >/dev/null 2>&1 || true
        wait_for 10 no_jobs || true
    fi
    end sge_execd
    end sge_qmaster 20
    rm -rf "$ROOT/root" "$ROOT/spool" "$ROOT/tmp"
    say "down"
}

status() {
    { alive sge_qmaster && alive sge_execd; } || fail "not up"
    qstat -f >&2 && variables
}

usage() { sed -n '2,/^set/ { /^#/ s/^# \{0,1\}//p }' "$0"; }

ACTION=${1:-}
# one of these at a time; the lock is not left to the daemons (-o)
if [[ $ACTION =~ ^(install|start|stop)$ && -z ${GRIDENGINE_TEST_LOCKED:-} ]]; then
    GRIDENGINE_TEST_LOCKED=1 exec flock -o "$ROOT.script.lock" "$BASH" "$0" "$ACTION"
fi
unset GRIDENGINE_TEST_LOCKED
case $ACTION in
    install | start | stop | status) "$ACTION" ;;
    *) usage; exit 2 ;;
esac
