"""How sure a before-and-after figure is."""
import math
import random

RESAMPLES = 2000  # bootstrap resamples: the interval's ends are stable to about 1 % of its width


def compare(before, after, seed):
    """Return the comparison of two lists [(summed loss in nats, loss tokens)] over the same conversations.

    {loss_before, loss_after, perplexity_before, perplexity_after, conversations, tokens, improved, change, change_low, change_high};
    `change` is per token, its 95 % interval a paired bootstrap over conversations (Efron 1979). Raises ValueError when the
    lists do not fit each other.
    """
    if not before or [tokens for _, tokens in before] != [tokens for _, tokens in after]:
        raise ValueError("before and after must hold the same conversations")
    tokens = [count for _, count in before]
    loss_before, loss_after = (sum(loss for loss, _ in losses) / sum(tokens) for losses in (before, after))
    differences = [b - a for (a, _), (b, _) in zip(before, after)]
    low, high = bootstrap_interval(differences, tokens, seed)
    return {"loss_before": loss_before, "loss_after": loss_after, "perplexity_before": math.exp(loss_before),
            "perplexity_after": math.exp(loss_after), "conversations": len(before), "tokens": sum(tokens),
            "improved": sum(d < 0 for d in differences), "change": loss_after - loss_before, "change_low": low, "change_high": high}


def bootstrap_interval(differences, tokens, seed):
    """Return the 2.5th and 97.5th percentile of sum(differences)/sum(tokens) over resampled conversations."""
    rng, indices, means = random.Random(seed), range(len(tokens)), []
    for _ in range(RESAMPLES):
        chosen = rng.choices(indices, k=len(tokens))
        means.append(sum(differences[i] for i in chosen) / sum(tokens[i] for i in chosen))
    means.sort()
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def by_tag(records, before, after, tag):
    """Return [(tag value, conversations, loss before, loss after)] for one tag of the records, largest group first."""
    groups = {}
    for record, (loss_before, tokens), (loss_after, _) in zip(records, before, after):
        row = groups.setdefault(record["tags"][tag], [0, 0.0, 0.0, 0])
        row[0], row[1], row[2], row[3] = row[0] + 1, row[1] + loss_before, row[2] + loss_after, row[3] + tokens
    return sorted(((name, n, b / tokens, a / tokens) for name, (n, b, a, tokens) in groups.items()), key=lambda row: (-row[1], row[0]))
