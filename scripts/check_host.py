"""Say whether a machine of configs/hosts.yaml can be reached and has what the scripts need, layer by layer; the first that fails is named.

Reads configs/hosts.yaml; keeps the machine's host key in configs/known_hosts/ when it is seen for the first time. Writes 4 MB to the
work folder there and removes them. Run on the machine that has configs/hosts.yaml:
    python scripts/check_host.py gpu
    python scripts/check_host.py gpu --json
"""
import json
import sys

from weatherman.cli import DONE, MENDABLE, UserError, parser, print_error, run, table


def check(far, rows):
    """Append [layer, outcome, found] to `rows`, from below, then what the box has. Raises ReachError when it cannot be reached."""
    from weatherman.machines.storage import FAILURE, FINE
    from weatherman.remote import equipment
    from weatherman.remote.layers import ReachError, reach
    from weatherman.remote.ssh import session
    try:
        for part in (reach(far.host), session(far)):
            rows.extend([layer, FINE, found] for layer, found in part)
        rows.extend(equipment.look(far))
    except ReachError as error:
        rows.append([error.layer, FAILURE, error.cause])
        raise


def main(argv=None):
    flags = parser(__doc__)
    flags.add_argument("host", help="a name in configs/hosts.yaml")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")
    args = flags.parse_args(argv)
    from weatherman.machines.storage import FAILURE
    from weatherman.remote.hosts import find_host
    from weatherman.remote.ssh import connected
    rows, error = [], None
    with connected(find_host(args.host)) as far:
        try:
            check(far, rows)
        except UserError as failure:
            error = failure
    bad = [layer for layer, outcome, _ in rows if outcome == FAILURE]
    if args.json:
        checks = [{"layer": layer, "outcome": outcome, "found": found} for layer, outcome, found in rows]
        print(json.dumps({"host": args.host, "good": not bad, "failed": bad, "try": error.hint if error else None, "checks": checks}))
    else:
        print(table(rows, [str(far.host), "outcome", "found"]))
    if error:
        print_error(str(error), error.hint)
    elif bad:
        print_error(f"{far.host}: {len(bad)} of {len(rows)} checks failed: {', '.join(bad)}.", "what the table says, then this again")
    return MENDABLE if bad else DONE


if __name__ == "__main__":
    sys.exit(run(main))
