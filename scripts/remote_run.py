"""Train on a rented machine and walk away: check here, send, set up, download, train, fetch every checkpoint verified, evaluate, stop it.

Reads configs/hosts.yaml and what train.py reads; writes adapters/RUN/ and adapters/jobs/RUN/ here, equal to those there. Run on the Mac.
    python scripts/remote_run.py gpu --model llama-3.1-8b-instruct --hardware h100_80gb --budget 5.00 --then-stop
    python scripts/remote_run.py gpu --model llama-3.1-8b-instruct --status    # where it is, once
    python scripts/remote_run.py gpu --model llama-3.1-8b-instruct --cancel    # end it with a saved checkpoint
The job runs in tmux there. Close the laptop: the same command, at any moment, finds it again and goes on from where it is.
"""
import argparse
import json
import subprocess
import sys

from paths import show
from weatherman.cli import DONE, GATE, INTERRUPTED, MENDABLE, UserError, add_training_flags, log, parser, print_error, run, table

EXITS = {"finished": DONE, "cancelled": DONE, "failed": MENDABLE, "spent": GATE}


def flags():
    p = parser(__doc__)
    p.add_argument("host", help="a name in configs/hosts.yaml")
    add_training_flags(p)
    p.add_argument("--run", metavar="NAME", help="name of the run folder (default: MODEL-PRESET)")
    p.add_argument("--budget", metavar="USD", type=positive, help="end the job with a saved checkpoint when it has cost so much")
    p.add_argument("--hours", metavar="H", type=positive, help="the same after so many hours")
    p.add_argument("--then-stop", action="store_true", help="stop the machine when everything is here, by its provider's command")
    p.add_argument("--status", action="store_true", help="print where the job is, once")
    p.add_argument("--cancel", action="store_true", help="end the job with a saved checkpoint, and fetch what there is")
    return p


def positive(text):
    """argparse type: a number above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def work(args):
    """Return the exit status of what the command line asks for, wherever the job is by now."""
    from weatherman.preflight import rented
    from weatherman.remote import follow, job, providers
    from weatherman.remote.fetch import Results
    from weatherman.remote.hosts import find_host
    from weatherman.remote.ssh import connected
    host = find_host(args.host)
    wanted = rented.order(args, host)
    stop = providers.stop_command(host) if args.then_stop else None  # what would fail at the end is said before anything costs
    with connected(host) as far:
        look, results = job.look_at_job(far, wanted.name), Results(far, wanted.name)
        if args.status:
            return tell_status(args, look, results)
        boots = None
        if args.cancel:
            if not look.running:
                raise UserError(f"{host}: no job {wanted.name} runs there.", "the same command with --status")
            job.ask_to_end(far, look)
        elif must_begin(args, wanted, look, results):
            begin(args, far, wanted, look, results)
            boots = follow.boots_of(look)
        elif look.running:
            log(f"{wanted.name} runs on {host.alias}, {job.limits_in_words(look.job)}: following it")
        return attend(args, far, results, boots, stop)


def must_begin(args, wanted, look, results):
    """Return whether the job must be started, or started again after it ended; else it is looked after as it is.

    Raises UserError when the job of this name does other work, or the run is finished and has no job.
    """
    from weatherman.preflight.rented import limits
    from weatherman.remote.job import differences, limit_s
    if look.job is None:
        if look.run == "finished" or (results.folder / "run.json").is_file():
            where = wanted.host.alias if look.run == "finished" else show(results.folder)
            raise UserError(f"{wanted.name}: this run is finished (in {where}), and has no job that could go on.", "--run NAME for another")
        return True
    changed = differences(look.job, {"stages": wanted.stages})
    if changed and (not look.ended or look.run == "finished"):
        raise UserError(f"{wanted.host.alias}: the job {wanted.name} was begun with other settings:\n" + "\n".join(changed),
                        "the flags that it had, or --run NAME for a new run")
    if not look.ended or look.status["state"] == "finished":
        return False
    if look.status["state"] == "spent":
        return (limit_s({**look.job, **limits(args)}) or 0) > look.status["spent_s"]
    return look.fetched  # how it ended is told first; the command after that tries again


def begin(args, far, wanted, look, results):
    """Check everything, send what is needed, and start the job there, or start it again."""
    from weatherman.checkpoints import latest_whole
    from weatherman.preflight import rented
    from weatherman.remote import job, sync
    rented.check_begun(wanted, results.folder)
    card = rented.check_machine(far, wanted, look)
    price = rented.check_budget(args, wanted, card, rented.preflight(args, card))
    if not (args.budget or args.hours):
        log("neither --budget nor --hours: nothing but its own end will end this job")
    newest = latest_whole(results.folder / "checkpoints") if look.run is None and (results.folder / "started.json").is_file() else None
    if newest:
        log(f"{show(results.folder)}: goes on there from {newest.name}")
    moved = sync.push(far, extra=[f"adapters/{wanted.name}"] if newest else [])
    log(f"sent {len(moved.names):,} files, {moved.bytes / 1e6:,.1f} MB; the rest was there")
    job.write_job(far, rented.job(args, wanted, price))
    job.start(far, wanted.name)


def attend(args, far, results, boots, stop):
    """Follow the job to its end, bring everything home, and stop the machine if that was asked for. Returns the exit status."""
    from weatherman.remote import follow, job
    screen = follow.Screen()
    try:
        follow.follow(far, results, screen, boots)
        look, files, size_bytes = follow.bring_home(far, results, screen)
        follow.until_answered(lambda: job.mark_fetched(far, results.run), screen)
    except KeyboardInterrupt:
        screen.close()
        print_error("not waiting any longer; what runs there goes on.", "the same command finds it again")
        return INTERRUPTED
    except UserError:
        if stop:
            log(f"{far.host.alias} is not stopped: not everything is here")
        raise
    tell_end(args, look, results, files, size_bytes)
    if stop:
        log(f"stopping {far.host.alias}: {' '.join(stop)}")
        if subprocess.run(stop, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno()).returncode:
            raise UserError(f"{far.host}: everything is here, but it was not stopped and is still paid for.", " ".join(stop))
    return EXITS[look.status["state"]]


def tell_status(args, look, results):
    """Print where the job is. Returns the exit status."""
    from weatherman.remote import outcome
    if look.job is None:
        raise UserError(f"{results.far.host}: there is no job {results.run}.", "the same command without --status starts it")
    figures = outcome.where_it_is(look, results)
    print(json.dumps(figures) if args.json else table(outcome.where_rows(figures, look.status), [results.run, str(results.far.host)]))
    return DONE


def tell_end(args, look, results, files, size_bytes):
    """Print how the job ended, what it took, and what to do next."""
    from weatherman.remote import outcome
    figures = outcome.how_it_ended(look, results, files, size_bytes)
    print(json.dumps(figures) if args.json else table(outcome.end_rows(figures, show(results.folder)), [results.run, figures["state"]]))
    if figures["state"] == "finished":
        log(f"  Next: {outcome.next_step(figures)}")
    else:
        print_error(f"{results.run}: {figures['state']}: {figures['message']}", outcome.next_step(figures))


def main(argv=None):
    return work(flags().parse_args(argv))


if __name__ == "__main__":
    sys.exit(run(main))
