#!/usr/bin/env bash
# launcher=slurm on a real Slurm, which this script sets up on this machine, and takes down again.
#
#     apt-get install --no-install-recommends slurm-wlm munge       (Debian; written for 12, with Slurm 22.05)
#     scripts/slurm_here.sh                          or some of: plain killed interrupted driver_killed refused
#
# One node of four processors, in a temporary folder, no accounting and no cgroups; nothing in /etc is read or
# written. Workers are killed (kill -9, scancel, a requeue), the driver is interrupted, and killed and resumed:
# trials.csv is to be that of launcher=local, byte for byte, each time. docs/launchers.md has what came out.
# KEEP=1 leaves the folder.
set -euo pipefail

for command in munged slurmctld slurmd sbatch; do
    PATH="$PATH:/usr/sbin" command -v $command > /dev/null || { echo "$command is missing: apt-get install slurm-wlm munge"; exit 2; }
done
export PATH="$PATH:/usr/sbin"
home=$(mktemp -d /tmp/slurm_here.XXXXXX)
node=$(hostname -s)
failures=0 driver=

# ---- a Slurm

free_port() { python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

set_up() {
    mkdir "$home"/{state,spool,log}
    head -c 1024 /dev/urandom > "$home/munge.key" && chmod 400 "$home/munge.key"
    munged --force --key-file="$home/munge.key" --socket="$home/munge.socket" --pid-file="$home/munged.pid" \
        --log-file="$home/log/munged" --seed-file="$home/munged.seed"
    cat > "$home/slurm.conf" <<END
ClusterName=here
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$home/munge.socket
CredType=cred/munge
StateSaveLocation=$home/state
SlurmdSpoolDir=$home/spool
SlurmctldPidFile=$home/slurmctld.pid
SlurmdPidFile=$home/slurmd.pid
SlurmctldLogFile=$home/log/slurmctld
SlurmdLogFile=$home/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
EnforcePartLimits=ALL
KillWait=10
NodeName=$node NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=small Nodes=$node Default=YES MaxTime=60 State=UP
END
    export SLURM_CONF="$home/slurm.conf"
    slurmctld
    slurmd
    for _ in $(seq 50); do sinfo --noheader --states=idle | grep -q small && return; sleep 0.2; done
    echo "Slurm does not start:"; tail -n 5 "$home"/log/*; exit 1
}

take_down() {
    [ -z "$driver" ] || kill "$driver" 2> /dev/null || true
    scancel --user="$(id -un)" 2> /dev/null || true
    for _ in $(seq 50); do [ -z "$(workers)" ] && break; sleep 0.2; done
    for daemon in slurmd slurmctld munged; do
        [ -f "$home/$daemon.pid" ] && kill "$(cat "$home/$daemon.pid")" 2> /dev/null || true
    done
    sleep 1
    if [ -z "${KEEP:-}" ]; then rm -rf "$home"; else echo "kept: $home"; fi
}
trap take_down EXIT

# ---- what is looked at

workers() { squeue --noheader --array --format=%i --user="$(id -un)" 2> /dev/null || true; }
running() { squeue --noheader --array --format=%i --states=RUNNING --user="$(id -un)"; }
finished() { ls "$1"/jobs/done 2> /dev/null | wc -l; }

# until 60 "at least one worker" 'test -n "$(running)"'
until_true() {
    local seconds=$1 what=$2 condition=$3
    for _ in $(seq $((seconds * 10))); do eval "$condition" && return; sleep 0.1; done
    echo "  after $seconds s, still not: $what"
    return 1
}

say() { printf '%s\n' "$*"; }

# same NAME: whether the trials of that sweep are those of launcher=local
same() {
    if cmp --silent "$home/local/trials.csv" "$home/$1/trials.csv"; then
        say "  trials.csv: the same bytes as with launcher=local"
    else
        say "  trials.csv: DIFFERS from that with launcher=local"; failures=$((failures + 1))
    fi
}

expect() {  # expect WHAT FOUND EXPECTED
    if [ "$2" = "$3" ]; then say "  $1: $2"; else say "  $1: $2, and not $3"; failures=$((failures + 1)); fi
}

search="data=digits epochs=100 trials=36 batch=12 sampler=tpe pruner=median report=false"
on_slurm="launcher=slurm launcher.jobs=3 launcher.local=false"
sweep() { local name=$1; shift; nnlab sweep $search "$@" hydra.run.dir="$home/$name" > "$home/$name.out" 2>&1; }

# ---- what happens

begin() {  # begin NAME: a sweep on Slurm, in the background, until jobs are trained
    # Not by `sweep`, whose process would be a shell; and a script's background has SIGINT ignored.
    env --default-signal=INT nnlab sweep $search $on_slurm hydra.run.dir="$home/$1" > "$home/$1.out" 2>&1 &
    driver=$!
    until_true 90 "two workers that train" "[ \$(ls $home/$1/jobs/claimed 2> /dev/null | wc -l) -ge 2 ]"
}

end() {  # end CODE: of the driver
    local code=0
    wait "$driver" || code=$?
    driver=
    expect "exit code" "$code" "$1"
}

reference() {
    local began=$SECONDS
    sweep local
    say "launcher=local: $((SECONDS - began)) s"
}

plain() {
    local began=$SECONDS
    sweep plain $on_slurm || { cat "$home/plain.out"; failures=$((failures + 1)); }
    say "launcher=slurm, three workers: $((SECONDS - began)) s, with their start"
    grep -h '^time:' "$home/plain.out" | sed 's/^/  /' || true
    same plain
    sleep 1; expect "workers left" "$(workers | wc -l)" 0
}

killed() {
    say "a worker killed with kill -9, one with scancel, one requeued by Slurm:"
    begin killed
    kill -9 "$(pgrep -o -f "nnlab work $home/killed")"
    scancel "$(running | tail -n 1)"
    scontrol requeue "$(running | head -n 1)"
    end 0
    say "  workers that Slurm started: $(ls "$home"/killed/jobs/slurm/*/*_log.out | wc -l), of which one twice"
    same killed
}

interrupted() {
    say "Ctrl-C, then resume=:"
    begin interrupted
    local began=$(date +%s%N)
    kill -INT "$driver"
    end 130
    until_true 60 "no worker" '[ -z "$(workers)" ]'
    say "  no worker is left after $((($(date +%s%N) - began) / 1000000)) ms"
    nnlab sweep resume="$home/interrupted" $on_slurm > "$home/interrupted.out" 2>&1 || cat "$home/interrupted.out"
    same interrupted
}

driver_killed() {
    say "the driver killed with kill -9, then resume=:"
    begin driver
    local before="$(workers)"
    kill -9 "$driver"; wait "$driver" 2> /dev/null || true
    nnlab sweep resume="$home/driver" $on_slurm > "$home/driver.out" 2>&1 & driver=$!
    sleep 20
    expect "workers, which are those of before" "$(workers | tr '\n' ' ')" "$(echo "$before" | tr '\n' ' ')"
    end 0
    same driver
}

refused() {
    say "what Slurm refuses:"
    local code=0
    for wrong in partition=nowhere minutes=600 cpus=64 constraint=a100; do
        code=0; sweep refused-$wrong $on_slurm launcher.$wrong || code=$?
        say "  launcher.$wrong, exit code $code: $(tail -n 1 "$home/refused-$wrong.out")"
        [ "$code" = 2 ] || failures=$((failures + 1))
    done
}

set_up
say "Slurm: $(slurmctld -V), $(sinfo --noheader --format='%D node, %C processors (allocated/idle/other/total)')"
reference
for step in ${*:-plain killed interrupted driver_killed refused}; do $step; done
say "$failures failures"
[ "$failures" = 0 ]
