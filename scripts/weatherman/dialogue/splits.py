"""Train, validation and test: whole groups of records are moved, so that nothing two of them share is in two splits."""
from collections import Counter, defaultdict

from weatherman.cli import GateError
from weatherman.dialogue.leakage import near_headlines
from weatherman.dialogue.mixture import SPLITS, kind_of, scenario_of, stable_order

# Plain and persona tool dialogues are written by the same voices, so they are split as one.
STRATUM = {"literary": "literary", "satire": "satire", "tool_use": "tool dialogues", "hybrid": "tool dialogues", "imported": "imported"}
MOST = 3       # a persona is held out with a group of at most so many times the share
PIN_FROM = 20  # records of a persona and sort of prompt
BEGINNINGS = 50  # groups from which filling a share is tried to begin


def group_of(record):
    return record["provenance"]["split_group"]


def assign_splits(records, shares, seed):
    """Return {split_group: split}. shares: {"validation", "test"}, of the records.

    Groups are filled in cell by cell (stratum, source, persona, domain), so the tags are spread as evenly as whole groups allow:
    exactly for headlines, each a group of its own, nearly for books and voices. What one group alone teaches trains. Raises
    GateError when a stratum cannot be split.
    """
    groups = defaultdict(list)
    for record in records:
        groups[group_of(record)].append(record)
    sizes, pinned = {name: len(rows) for name, rows in groups.items()}, pinned_groups(records)
    splits, served = dict.fromkeys(groups, "train"), set()
    for (stratum, _, persona, _), names in cells_of(groups, seed):
        free = to_spare(names, sizes, pinned)
        for split in serving_order(shares, len(free)):
            target = shares[split] * sum(sizes[name] for name in names)
            taken = fill_share(free, sizes, target)
            if not taken and (stratum, persona, split) not in served:
                taken = smallest(free, sizes, MOST * target)
            splits.update(dict.fromkeys(taken, split))
            served |= {(stratum, persona, split)} if taken else set()
            free = [name for name in free if splits[name] == "train"]
    fill_strata(groups, sizes, pinned, shares, splits)
    return splits


def to_spare(names, sizes, pinned):
    """Return the groups that may be held out: those that are not pinned, or, where none is, all but the largest."""
    free = [name for name in names if name not in pinned]
    if len(free) == len(names):
        free.remove(max(free, key=lambda name: (sizes[name], name)))
    return free


def cells_of(groups, seed):
    """Return [(cell, [group])], the cell with most records first, its groups in a seeded order."""
    cells = defaultdict(list)
    for name in sorted(groups, key=lambda name: stable_order(seed, name)):
        cells[cell_of(groups[name])].append(name)
    return sorted(cells.items(), key=lambda item: (-sum(len(groups[name]) for name in item[1]), item[0]))


def cell_of(records):
    """Return (stratum, source, persona, domain) of one group; "mixed" where its records differ."""
    values = zip(*((STRATUM[kind_of(r["tags"])], r["tags"]["source"], r["tags"]["persona"], r["tags"]["domain"]) for r in records))
    return tuple(found[0] if len(set(found)) == 1 else "mixed" for found in values)


def pinned_groups(records):
    """Return the groups that hold half or more of what there is of a persona and sort of prompt: held out, it would not be learned.

    Fewer than PIN_FROM records are no lesson that could be lost. Voices are left out: each is complete, so each teaches what the
    others do.
    """
    counts = defaultdict(Counter)
    for record in records:
        if record["tags"]["source"] != "synthetic":
            counts[record["tags"]["persona"], scenario_of(record)][group_of(record)] += 1
    largest = [(max(found, key=lambda name: (found[name], name)), found) for found in counts.values() if found.total() >= PIN_FROM]
    return {name for name, found in largest if 2 * found[name] >= found.total()}


def serving_order(shares, free):
    """Return the splits, smallest share first, since small groups suit it; with fewer groups than splits, the larger share goes first."""
    order = sorted(shares, key=lambda split: (shares[split], split))
    return order if free >= len(order) else order[::-1]


def fill_share(free, sizes, target):
    """Return the groups of `free` that come nearest to `target` records: taken in its order, from whichever group it is best to begin."""
    best, missed = [], target
    for start in range(min(len(free), BEGINNINGS)):
        if missed <= 0.5:  # no whole number is nearer
            break
        taken, rows = [], 0
        for name in free[start:] + free[:start]:
            if abs(target - rows - sizes[name]) < abs(target - rows):
                taken.append(name)
                rows += sizes[name]
        if abs(target - rows) < missed:
            best, missed = taken, abs(target - rows)
    return best


def smallest(free, sizes, limit):
    """Return the smallest group as a list; [] when it has more than `limit` records, or there is none."""
    return sorted((name for name in free if sizes[name] <= limit), key=lambda name: (sizes[name], name))[:1]


def fill_strata(groups, sizes, pinned, shares, splits):
    """Hold out the smallest group of a stratum that is not in a split yet, whatever its size. Raises GateError when it has too few."""
    strata = defaultdict(list)
    for name, records in groups.items():
        strata[STRATUM[kind_of(records[0]["tags"])]].append(name)
    for stratum, names in sorted(strata.items()):
        for split in sorted(shares, key=lambda split: -shares[split]):
            if not any(splits[name] == split for name in names):
                free = to_spare([name for name in names if splits[name] == "train"], sizes, pinned)
                splits.update(dict.fromkeys(smallest(free, sizes, float("inf")), split))
        if {splits[name] for name in names} != set(SPLITS):
            raise GateError(f"{stratum}: {len(names)} groups of records that share a document or a voice are too few to train, "
                            "validate and test apart.", "collect more documents (at least three works), or write more voices")


def split_records(records, shares, seed):
    """Return {split: records}. A headline that is nearly one of an earlier split follows it there. Raises GateError as assign_splits."""
    groups = assign_splits(records, shares, seed)
    while True:
        splits = {name: [record for record in records if groups[group_of(record)] == name] for name in SPLITS}
        alike = near_headlines(splits)
        if not alike:
            return splits
        for _, split, other, _, _ in sorted(alike, key=lambda found: -SPLITS.index(found[1])):
            groups[group_of(other)] = split


def lacks(splits):
    """Return {split: ["literary franklin", "literary aphorism"]}: kinds with a persona or a sort of prompt that only other splits have."""
    def parts(record):
        kind = kind_of(record["tags"])
        return {f"{kind} {record['tags']['persona']}", f"{kind} {scenario_of(record)}"}

    found = {split: set().union(*map(parts, records)) for split, records in splits.items()}
    everything = set().union(*found.values())
    return {split: sorted(everything - there) for split, there in found.items()}
