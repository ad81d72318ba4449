"""The checks that stop a run before the GPU is rented (DESIGN §6): each says what it looked at, what it found, and what to type next."""
from collections import Counter
from dataclasses import dataclass

from paths import base_dir, show
from weatherman.cli import GateError, UserError
from weatherman.dialogue import leakage
from weatherman.dialogue.dataset import LOST_FROM, works
from weatherman.dialogue.diversity import answers_of, prompt_skeleton, too_frequent
from weatherman.dialogue.figures import composition
from weatherman.dialogue.mixture import SPLITS, STEP_OF, check_strands, kind_of, strand_of
from weatherman.files import read_jsonl, sha256_file
from weatherman.manifest import check_input, read_manifest
from weatherman.models.templates import read_chat

GOOD, NOTE, MEND, SKIPPED = "good", "note", "mend", "skipped"
SHOWN = 3


@dataclass(frozen=True)
class Check:
    """One line of the verdict. state: GOOD, NOTE (nothing to mend, but know it), MEND, SKIPPED (could not be looked at)."""

    what: str
    state: str
    found: str
    hint: str | None = None


def listed(what, findings, clean, hint):
    """Return a Check that is GOOD and says `clean` when there are no findings, else MEND with the first of them."""
    if not findings:
        return Check(what, GOOD, clean)
    more = f" … and {len(findings) - SHOWN:,} more" if len(findings) > SHOWN else ""
    return Check(what, MEND, f"{len(findings):,}: " + "; ".join(findings[:SHOWN]) + more, hint)


# --- the files ------------------------------------------------------------------------------------------------------------

def split_paths(config):
    """Return {split: path} of the configured training and validation data, and of the test set that lies beside them, if it does."""
    paths = {"train": base_dir() / config.data.train, "validation": base_dir() / config.data.validation}
    test = paths["train"].with_name("test.jsonl")
    return {**paths, **({"test": test} if test.is_file() else {})}


def read_splits(paths):
    """Return ({split: records}, [Check]); a split that cannot be read whole is [] and has a Check to mend."""
    splits, checks = {split: [] for split in SPLITS}, []
    for split, path in paths.items():
        try:
            splits[split] = read_chat(path)
        except UserError as error:
            checks.append(Check("records", MEND, str(error), error.hint))
    sizes = ", ".join(f"{len(rows):,} {split}" for split, rows in splits.items() if rows)
    return splits, checks or [Check("records", GOOD, f"{sizes}; all of the known form, no id twice")]


def check_lineage(paths):
    """Return the Checks of the manifests: each file is what its step wrote, from what lies here now."""
    unknown, changed, upstream, absent = [], [], 0, []
    queue, seen = [path for path in paths.values() if path.is_file()], set()
    while queue:
        path = queue.pop()
        manifest = read_manifest(path)
        if manifest is None:
            unknown.append(f"{show(path)} has no manifest")
            continue
        try:
            check_input(path)
        except UserError as error:
            changed.append(str(error))
        for entry in manifest["inputs"]:
            source = base_dir() / entry["path"]
            if source in seen or source.suffix != ".jsonl":
                continue
            seen.add(source)
            upstream += 1
            if not source.is_file():
                absent.append(entry["path"])
            elif sha256_file(source) != entry["sha256"]:
                changed.append(f"{entry['path']} has changed since {manifest['script']} made {show(path)} of it")
            else:
                queue.append(source)
    checks = [listed("lineage", unknown + changed, f"{len(paths)} datasets and {upstream - len(absent)} files before them are what their "
                     "manifests say", "run the steps from the first that changed: 04, 05, 06, 07, 08")]
    if absent:
        checks.append(Check("lineage", NOTE, f"not here, so not compared: {', '.join(absent)}"))
    return checks


def made_with(path):
    """Return the part of the data configuration that made a dataset, from its manifest; that of today where it has none."""
    manifest = read_manifest(path)
    if manifest is None or "mixture" not in manifest["config"]:
        from paths import CONFIGS_DIR
        from weatherman.schemas import load_file
        return load_file(CONFIGS_DIR / "data_config.yaml").plain
    books = [dict(zip(("id", "author", "title"), book)) for book in manifest["config"]["books"]]
    return {**manifest["config"], "gutenberg": {"books": books}}


# --- what the conversations are -------------------------------------------------------------------------------------------

def check_sources(splits, train, mixture):
    """Return the Check that no source was lost on the way: kinds and strands of the mixture, the manifest's counts, the files before.

    train: the path of the training set.
    """
    records = [record for rows in splits.values() for record in rows]
    kinds, there = Counter(kind_of(record["tags"]) for record in records), Counter(map(strand_of, records))
    lost = [f"not one {kind} conversation, and the mixture wants {share:.0%} ({STEP_OF[kind]})"
            for kind, share in mixture["shares"].items() if share and not kinds[kind]]
    try:
        check_strands(records, mixture)
    except GateError as error:
        lost.append(str(error))
    noted = (read_manifest(train) or {"notes": {}})["notes"].get("composition", {})
    lost += [f"08 wrote {was:,} of {name!r} to {split}, and {now.get(name, 0):,} are there"
             for split, now in composition(splits).items() if splits[split]
             for name, was in noted.get(split, {}).items() if was != now.get(name, 0)]
    lost += [f"{show(path)} holds {count:,} of {strand}, and the dataset not one" for path in upstream_files(train)
             for strand, count in sorted(Counter(strands_in(path)).items()) if count >= LOST_FROM and not there[strand]]
    said = ", ".join(f"{count:,} {strand}" for strand, count in there.most_common())
    return listed("sources", lost, said, "look at the rejects of the step that lost it, then 08_build_dataset.py --force")


def upstream_files(path):
    """Return the chat records that a dataset was mixed from, as far as they lie here."""
    inputs = [base_dir() / entry["path"] for entry in (read_manifest(path) or {"inputs": []})["inputs"]]
    return [source for source in inputs if source.suffix == ".jsonl" and source.is_file()]


def strands_in(path):
    return (strand_of(row) for _, row in read_jsonl(path, on_bad=lambda *bad: None) if "tags" in row)


def check_leaks(splits, config):
    """Return the Check that no two splits share a conversation, document, work, template or near-duplicate."""
    if not splits["validation"]:
        return Check("leakage", SKIPPED, "there is no validation set to compare with")
    found = leakage.find_leaks(splits, works(config))
    leaks = [f"{what}: {finding}" for what, findings in found.items() for finding in findings]
    return listed("leakage", leaks, "between the splits: none of " + ", ".join(found), "python scripts/08_build_dataset.py --force")


def check_variety(train, limits):
    """Return the Check that no one template is most of the training set. limits: `diversity` of the data configuration."""
    prompts = Counter(map(prompt_skeleton, train))
    gates = [too_frequent("most frequent prompt skeleton", prompts, len(train), limits["max_prompt_skeleton"])]
    tools = [record for record in train if record["tags"]["source"] == "synthetic"]
    answers = Counter(leakage.skeleton(answer) for record in tools for answer in answers_of(record))
    if answers:
        limit = limits["max_answer_skeleton"]
        gates.append(too_frequent("most frequent answer skeleton of tool dialogues", answers, answers.total(), limit))
    bad = [f"{what}: {share} ({limit}): {text!r}" for failed, what, share, limit, text in gates if failed]
    clean = ", ".join(f"{what} {share} ({limit})" for _, what, share, limit, _ in gates)
    return listed("variety", bad, clean, "more phrases or voices for what repeats, then the step that uses them again (06 or 07)")
