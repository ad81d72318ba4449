"""Say whether the disk that data, models and adapters go to is writable and large enough: 30 GB is fine, below 20 fails.

Reads the volume of WEATHERMAN_BASE_DIR (default: this repository); writes 4 MB there and removes them. Either machine.
    python scripts/check_storage.py
    python scripts/check_storage.py --path /workspace --quota-gb 50   # a network volume that reports its whole cluster
"""
import json
import sys
from dataclasses import asdict

from paths import base_dir
from weatherman.cli import DONE, MENDABLE, parser, run
from weatherman.machines.storage import FAILURE, check_storage, positive_gb, quota_from_environment


def main(argv=None):
    flags = parser(__doc__)
    flags.add_argument("--path", metavar="DIR", default=base_dir(), help="check the volume of this folder; it need not exist yet")
    flags.add_argument("--quota-gb", metavar="N", type=positive_gb, help="size of the volume, where it reports more (or VOLUME_QUOTA_GB)")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")
    args = flags.parse_args(argv)
    result = check_storage(args.path, args.quota_gb or quota_from_environment())
    print(json.dumps(asdict(result)) if args.json else f"{result.outcome}: {result.path}: {result.message}")
    return MENDABLE if result.outcome == FAILURE else DONE


if __name__ == "__main__":
    sys.exit(run(main))
