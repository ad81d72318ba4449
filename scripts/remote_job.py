"""Run the stages of a job one after the other, and end them with a saved checkpoint when the time or the money is spent.

Reads adapters/jobs/RUN/job.json, which remote_run.py writes from the Mac, and .env; writes status.json and job.log beside job.json.
On the GPU box (Linux), inside tmux, before any environment is made: Python 3.8 is all it needs.
    python scripts/remote_job.py trial --status     # where it is, what it has cost, how to look (python3 where there is no python)
    python scripts/remote_job.py trial --cancel     # save a checkpoint and end; the next command goes on from there
    tmux -L weatherman new-session -d -s trial python3 scripts/remote_job.py trial
Between this supervisor and each stage stands a keeper (--stage). It takes the stage's output into job.log, and when the supervisor is
killed it has the stage save and end: nothing that costs money goes on unwatched.
"""
import argparse
import os
import signal
import sys
import time

from weatherman.box.job_files import Refused, held, job_folder, read_object
from weatherman.box.keeper import keep
from weatherman.box.supervisor import supervise


def show(folder):
    """Print status.json in words; return the exit status."""
    path = folder / "status.json"
    if not path.exists():
        raise Refused(f"{folder.name}: was not started yet.", f"python scripts/remote_job.py {folder.name}   # inside tmux")
    s = read_object(path)
    money = f", ${s['spent_usd']:.2f}" if s["spent_usd"] is not None else ""
    print(f"{s['run']}: {s['state']}{', in stage ' + s['stage'] if s['stage'] else ''}; done: {', '.join(s['done']) or 'nothing yet'}\n"
          f"  {s['spent_s'] / 3600:.2f} h{money} since the first of {s['boot']} starts")
    if s["state"] == "running":
        print(f"  pid {s['pid']}, last heartbeat {time.time() - s['updated_at']:.0f} s ago (a minute or more: killed, or the disk is full)")
    if s["message"]:
        print(f"  {s['message']}")
    print(f"  To look: tail -F '{folder / 'job.log'}'")
    return 0


def cancel(folder):
    """Ask the supervisor to save and end; return the exit status."""
    path = folder / "job.lock"
    if held(path):
        raise Refused(f"{folder.name}: no supervisor runs this job.", f"python scripts/remote_job.py {folder.name} --status")
    pid = path.read_text()
    if not pid:
        raise Refused(f"{path}: the disk was full when the supervisor started, so its pid is not known.", f"fuser -k -TERM '{path}'")
    os.kill(int(pid), signal.SIGTERM)
    print(f"{folder.name}: asked to save and end. To look: tail -F '{folder / 'job.log'}'")
    return 0


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", metavar="RUN", help="name of the job")
    action = p.add_mutually_exclusive_group()
    action.add_argument("--status", action="store_true", help="print where the job is")
    action.add_argument("--cancel", action="store_true", help="have it save and end")
    action.add_argument("--stage", metavar="NAME", help="run one stage; the supervisor calls this")
    args = p.parse_args(argv)
    try:
        folder = job_folder(args.run)
        if args.stage:
            return keep(folder, args.stage)
        return (show if args.status else cancel if args.cancel else supervise)(folder)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
