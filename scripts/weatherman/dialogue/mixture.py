"""Quotas and splits: which records are taken, and which group of them goes where."""
from collections import Counter, defaultdict
from hashlib import sha256

from weatherman.cli import GateError

KINDS = ("literary", "satire", "tool_use", "hybrid")
SPLITS = ("train", "validation", "test")
# Plain and persona tool dialogues draw on the same phrase groups, so they are split as one.
STRATUM = {"literary": "literary", "satire": "satire", "tool_use": "tool dialogues", "hybrid": "tool dialogues"}
SOURCE_STEP = {"literary": "06_format_chat.py", "satire": "06_format_chat.py", "tool_use": "07_generate_tool_use.py",
               "hybrid": "07_generate_tool_use.py"}


def kind_of(tags):
    """Return the kind of a record by its tags: tool dialogues are hybrid when they also carry a persona."""
    if tags["source"] == "synthetic":
        return "tool_use" if tags["persona"] == "neutral" else "hybrid"
    return "satire" if tags["source"].startswith("reddit") else "literary"


def largest_remainder(total, shares):
    """Return {name: whole number} that adds up to `total` and differs from share * total by less than one (Hare quota)."""
    exact = {name: total * share for name, share in shares.items()}
    rows = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(shares, key=lambda name: (rows[name] - exact[name], name))
    for name in by_remainder[:total - sum(rows.values())]:
        rows[name] += 1
    return rows


def stable_order(seed, name):
    """Return a sort key for `name` that depends on nothing but the seed and the name."""
    return sha256(f"{seed}:{name}".encode()).digest()


def quotas(available, shares):
    """Return {kind: rows} for the largest total that every kind can fill. available: {kind: rows there are}.

    Raises GateError when a kind with a share has no row at all.
    """
    wanted = {kind: share for kind, share in shares.items() if share > 0}
    for kind in wanted:
        if not available.get(kind):
            raise GateError(f'the mixture asks for {wanted[kind]:.0%} "{kind}" and there is not one such record: a whole source is lost.',
                            f"python scripts/{SOURCE_STEP[kind]}, and look at its rejects")
    return largest_remainder(min(int(available[kind] / share) for kind, share in wanted.items()), wanted)


def choose(ids_by_kind, shares, seed):
    """Return the set of record ids that fill the quotas, taken in a stable seeded order."""
    rows = quotas({kind: len(ids) for kind, ids in ids_by_kind.items()}, shares)
    return {name for kind, count in rows.items() for name in sorted(ids_by_kind[kind], key=lambda i: stable_order(seed, i))[:count]}


def assign_splits(rows, shares, seed):
    """Return {split_group: split}. rows: (kind, persona, split_group) of every chosen record; shares: {"validation", "test"}.

    Whole groups are moved, so shares are met as nearly as their sizes allow. In each stratum validation and test get at
    least one group, and the largest group of every persona trains. Raises GateError when the groups are too few.
    """
    sizes, personas = defaultdict(Counter), defaultdict(lambda: defaultdict(Counter))
    for kind, persona, group in rows:
        sizes[STRATUM[kind]][group] += 1
        personas[STRATUM[kind]][persona][group] += 1
    splits = {}
    for stratum, groups in sizes.items():
        pinned = {max(counts, key=lambda group: (counts[group], group)) for counts in personas[stratum].values()}
        free = sorted(set(groups) - pinned, key=lambda group: stable_order(seed, group))
        splits.update(dict.fromkeys(groups, "train"))
        total = sum(groups.values())
        for split in sorted(shares, key=lambda name: (shares[name], name)):  # the smallest share first: small groups suit it
            taken = fill_share(free, groups, shares[split] * total)
            if not taken:
                raise GateError(f"{stratum}: {len(groups)} groups of records that share a document or a template are too few to train, "
                                "validate and test apart.", "collect more documents (at least three works, two of one persona)")
            splits.update(dict.fromkeys(taken, split))
            free = [group for group in free if group not in taken]
    return splits


def fill_share(free, sizes, target):
    """Return groups from `free`, in its order, that come nearest to `target` rows: at least one, [] when none is free."""
    taken, rows = [], 0
    while True:
        left = [group for group in free if group not in taken]
        fitting = [group for group in left if rows + sizes[group] <= target]
        best = fitting[0] if fitting else min(left, key=lambda group: sizes[group], default=None)
        if best is None or taken and abs(target - rows - sizes[best]) >= abs(target - rows):
            return taken
        taken.append(best)
        rows += sizes[best]
