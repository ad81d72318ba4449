"""Say whether a model in models/ is what was downloaded and fit to be trained; name the file that is not.

Reads models/NAME, its download.manifest.json and configs/models.yaml, and asks no hub; writes which files are broken into that manifest.
Either machine; --forward needs torch.
    python scripts/verify_model.py mistral-7b-instruct-v0.3
    .venv-remote/bin/python scripts/verify_model.py llama-3.1-8b-instruct --forward
    python scripts/verify_model.py Qwen/Qwen2.5-0.5B-Instruct --json
"""
import json
import sys

from paths import folder, show
from weatherman.cli import DONE, MENDABLE, UserError, parser, print_error, run, table
from weatherman.machines.storage import FAILURE


def main(argv=None):
    flags = parser(__doc__)
    flags.add_argument("model", metavar="NAME", help="a name of configs/models.yaml, a hub id ORG/NAME, or a folder below models/")
    flags.add_argument("--forward", action="store_true", help="load the weights and read one sentence with them")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")
    args = flags.parse_args(argv)
    from weatherman.models import download
    from weatherman.training import verify
    from weatherman.training_schemas import Model
    name, entry = download.find(args.model)
    place = folder("models") / name
    if not place.is_dir():
        raise UserError(f"{show(place)}: the model is not there.", f"python scripts/download_model.py {args.model}")
    rows = verify.verify(place, entry if isinstance(entry, Model) else None, args.forward)
    bad = sum(outcome == FAILURE for _, outcome, _ in rows)
    if args.json:
        print(json.dumps({"model": name, "good": not bad, "checks": [{"check": c, "outcome": o, "found": f} for c, o, f in rows]}))
    else:
        print(table(rows, [name, "outcome", "found"]))
    if bad:
        print_error(f"{bad} of {len(rows)} checks failed.",
                    f"python scripts/download_model.py {args.model}   # fetches only the files that are broken or missing")
    return MENDABLE if bad else DONE


if __name__ == "__main__":
    sys.exit(run(main))
