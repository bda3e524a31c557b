"""Stands for the commands of PBS, LSF, HTCondor and Flux in tests: notes its words and runs the job on this machine.

It is linked under the names of the commands. What it prints is worded as the schedulers' manuals and published outputs
are; no scheduler is behind it. State and notes are in the folder `$MIRA_TEST_SHIM`.
"""

import json
import os
import pwd
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ.get("MIRA_TEST_SHIM", ""))
NAME, WORDS = Path(sys.argv[0]).name, sys.argv[1:]


def jobs() -> dict[int, dict]:
    """Jobs by number; `exit` is None while one runs."""
    found = {}
    for file in sorted(FOLDER.glob("job-*.json")):
        job = json.loads(file.read_text())
        ended = FOLDER / f"exit-{job['number']}"
        job["exit"] = int(ended.read_text() or 0) if ended.is_file() else None
        found[job["number"]] = job
    return found


def start(name: str, script: str) -> int:
    """Run a script in the background; one that is killed has an exit status too."""
    number = len(list(FOLDER.glob("job-*.json"))) + 101
    log, ended = FOLDER / f"out-{number}", FOLDER / f"exit-{number}"
    waits = (FOLDER / "hold").exists()
    code = f"/bin/sh -c {shlex.quote(script)}; echo $? > {ended}.part; mv {ended}.part {ended}"
    pid = 0
    if not waits:
        with log.open("w") as stream:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": stream, "stderr": stream, "start_new_session": True}
            pid = subprocess.Popen(["/bin/sh", "-c", code], **quiet).pid
    about = {"number": number, "name": name, "pid": pid, "began": time.time()}
    (FOLDER / f"job-{number}.json").write_text(json.dumps(about))
    return number


def kill(number: int, status: int) -> None:
    """End a job as a scheduler does."""
    job = jobs()[number]
    (FOLDER / f"exit-{number}").write_text(str(status))
    if job["pid"]:
        os.killpg(job["pid"], signal.SIGKILL)


def is_hidden() -> bool:
    """Whether listings leave everything out."""
    return (FOLDER / "hidden").exists()


def after(option: str) -> str:
    return WORDS[WORDS.index(option) + 1]


def number_in(word: str) -> int:
    return int(re.search(r"\d+", word)[0])


# --- PBS


def qsub() -> None:
    if "-q" in WORDS and after("-q") == "nowhere":
        sys.exit("qsub: Unknown queue")
    number = start(after("-N"), sys.stdin.read())
    if (FOLDER / "banner").exists():
        print("Core hours that are left:\n123456")
    print(f"Your job {number}.server has been submitted" if (FOLDER / "odd").exists() else f"{number}.server")
    if (FOLDER / "fails").exists():
        sys.exit("qsub: cannot connect to the accounting server")


def qselect() -> None:
    if is_hidden() or after("-u") != pwd.getpwuid(os.getuid()).pw_name:
        return
    moved = (FOLDER / "moved").exists()
    if "-x" in WORDS and (FOLDER / "old").exists():
        sys.exit("qselect: invalid option -- 'x'\nusage: qselect [-a [op]date_time] [-A account_string]")
    known = {number: job for number, job in jobs().items() if moved == ("-x" in WORDS)}
    print("".join(f"{number}.server\n" for number, job in known.items() if moved or job["exit"] is None), end="")


def qstat() -> None:
    history, moved = "-x" in WORDS, (FOLDER / "moved").exists()
    for word in (word for word in WORDS if word[0].isdigit()):
        job = jobs().get(number_in(word))
        if moved:
            at = 'Job finished at "flash"' if job["exit"] is not None else 'Job has been moved to "Short@flash"'
            print(f"Job Id: {word}\n    Job_Name = {job['name']}\n    job_state = M\n    queue = Short@flash")
            print(f"    substate = {94 if job['exit'] is None else 92}\n    comment = {at}\n")
            continue
        if job is None or (job["exit"] is not None and not history):
            print(f"qstat: {word} Job has finished, use -x or -H to obtain historical job information", file=sys.stderr)
            continue
        state = "F" if job["exit"] is not None else "R" if job["pid"] else "Q"
        print(f"Job Id: {word}\n    Job_Name = {job['name']}\n    Job_Owner = me@login\n    job_state = {state}")
        if state == "Q":
            print("    comment = Not Running: Insufficient amount of resource: ncpus (R: 4 A: \n\t0 T: 8)")
        if state == "R":
            print("    resources_used.walltime = 00:00:07\n    exec_host = node7/0*4")
        print("    Variable_List = PBS_O_HOME=/home/me,PBS_O_LANG=en_US.UTF-8,\n\tPBS_O_PATH=/usr/bin,PBS_O_HOST=login")
        print(f"    Exit_status = {job['exit']}\n" if state == "F" else "")


def qdel() -> None:
    if (FOLDER / "stands").exists():
        sys.exit("qdel: cannot connect to server")
    for word in WORDS:
        kill(number_in(word), 271)


# --- LSF


def bsub() -> None:
    print(f"Job <{start(after('-J'), sys.stdin.read())}> is submitted to default queue <normal>.")


def bjobs() -> None:
    stat = "UNKWN" if (FOLDER / "lost").exists() else "RUN"
    if WORDS[-1].isdigit():
        job = jobs()[int(WORDS[-1])]
        if job["exit"] is None:
            print(f"{stat}|-|-")
            return
        killed = "TERM_OWNER: job killed by owner"
        print("DONE|-|-" if job["exit"] == 0 else f"EXIT|{job['exit']}|{killed if job['exit'] == 130 else '-'}")
        return
    live = {} if is_hidden() else {number: job for number, job in jobs().items() if job["exit"] is None}
    for number, job in live.items():
        print(f"{number}|{stat}|4*host1|12 second(s)|{job['name']}|-")
    if not live:
        print("No unfinished job found", file=sys.stderr)
        sys.exit(255)


def bkill() -> None:
    for word in WORDS:
        kill(number_in(word), 130)
        print(f"Job <{word}> is being terminated")


# --- HTCondor


def condor_submit() -> None:
    text = sys.stdin.read()
    quoted = re.search(r'^arguments = "-c \'(.*)\'"$', text, re.MULTILINE)[1]
    script = quoted.replace('""', '"').replace("''", "'")
    (FOLDER / "description").write_text(text)
    number = start(after("-batch-name"), script)
    print(f"{number}.0 - {number}.0")


def condor_q() -> None:
    known = {number: job for number, job in jobs().items() if job["exit"] is None}
    if WORDS[0][0].isdigit():
        live = [(number, job) for number, job in known.items() if number == number_in(WORDS[0])]
    else:
        live = [] if is_hidden() else list(known.items())
    ads = [
        {"ClusterId": number, "ProcId": 0, "JobBatchName": job["name"], "JobStatus": 2,
         "JobCurrentStartDate": int(job["began"]), "RemoteHost": "slot1_1@node7.example"}
        for number, job in live
    ]  # fmt: skip
    print(json.dumps(ads, indent=1) if ads else "", end="")  # nothing at all where there is no job


def condor_history() -> None:
    job = jobs()[number_in(WORDS[0])]
    print(json.dumps([{"JobStatus": 4, "ExitBySignal": False, "ExitCode": job["exit"]}]))


def condor_rm() -> None:
    for word in WORDS:
        kill(number_in(word), 9)


# --- Flux


def flux() -> None:
    if WORDS[0] == "submit":
        name = next(word for word in WORDS if word.startswith("--job-name=")).partition("=")[2]
        print(f"\N{LATIN SMALL LETTER F WITH HOOK}{start(name, WORDS[-1])}")
    elif WORDS[0] == "cancel":
        for word in WORDS[1:]:
            kill(number_in(word), 143)
    elif WORDS[-1].startswith("f"):
        status = jobs()[number_in(WORDS[-1])]["exit"]
        print("RUN|" if status is None else f"{'COMPLETED' if status == 0 else 'FAILED'}|{status}")
    elif not is_hidden():
        for number, job in jobs().items():
            if job["exit"] is None:
                print(f"\N{LATIN SMALL LETTER F WITH HOOK}{number}|RUN|node7|7.1s|{job['name']}")


if __name__ == "__main__":
    with (FOLDER / "calls.jsonl").open("a") as stream:
        stream.write(json.dumps([NAME, *WORDS]) + "\n")
    sys.stdout.reconfigure(encoding="utf-8")
    globals()[NAME]()
