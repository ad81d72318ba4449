"""packed-sdpa: attention over packed rows, one conversation at a time, with torch's own kernels.

With `sdpa`, transformers keeps packed neighbours apart by a mask of (row, row) that every layer reads: memory grows with the square
of the row, and the kernels that know causality by themselves are shut out. Here a packed row is cut where a conversation begins and
each piece is attended to alone, causally: no mask, and no neighbour to see. Everything else (padding, a cache, sliding windows) goes
the way of `sdpa`, unchanged.
"""
NAME = "packed-sdpa"


def register():
    """Make `attn_implementation="packed-sdpa"` known to transformers; a second call changes nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface
    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, packed_mask)


def packed_mask(batch_size, q_length, kv_length, **given):
    """Return the lengths of the conversations of a packed row, int64 (conversations,) on the CPU; for any other batch what sdpa takes.

    transformers sets `allow_is_causal_skip` to False when the positions of a row without padding or cache begin anew.
    """
    from transformers.masking_utils import sdpa_mask
    packed = batch_size == 1 and q_length == kv_length and given["attention_mask"] is None and not given["allow_is_causal_skip"]
    if not packed or given.get("local_size") is not None:
        return sdpa_mask(batch_size, q_length, kv_length, **given)
    return lengths_of(given["mask_function"], q_length, given["device"])


def lengths_of(mask_function, tokens, device):
    """Return the conversations' lengths: one begins where a token does not see the one before it. Reads the mask's diagonal only."""
    import torch
    places, zero = torch.arange(tokens, device=device), torch.zeros(1, dtype=torch.long, device=device)
    begins = (~mask_function(zero, zero, places[1:], places[:-1])).nonzero().flatten().cpu() + 1
    return torch.diff(begins, prepend=torch.tensor([0]), append=torch.tensor([tokens]))


def packed_attention(module, query, key, value, attention_mask, **kwargs):
    """Return (output (batch, tokens, heads, head size), None) for query (batch, heads, tokens, head size), as sdpa would.

    attention_mask: what packed_mask returned.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    if attention_mask is None or attention_mask.ndim != 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    lengths = attention_mask.tolist()
    pieces = zip(*(states.split(lengths, dim=2) for states in (query, key, value)))
    return torch.cat([sdpa_attention_forward(module, *piece, None, **kwargs)[0] for piece in pieces], dim=1), None
