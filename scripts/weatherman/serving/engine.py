"""Answers from a model in memory."""


def answer(model, tokenizer, conversations, max_new_tokens):
    """Return one answer (str) for each (messages, tools) pair, greedily decoded, without the end-of-turn token.

    messages: chat messages that end with the user's turn; tools: a list of schemas, may be empty. All are decoded at once,
    padded on the left and masked.
    """
    import torch
    prompts = [tokenizer.apply_chat_template(messages, tools=tools or None, add_generation_prompt=True, return_dict=True)["input_ids"]
               for messages, tools in conversations]
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)  # (batch, longest prompt)
    with torch.no_grad():
        ids = model.generate(**batch, max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=tokenizer.eos_token_id,
                             pad_token_id=tokenizer.pad_token_id)
    return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids[:, batch["input_ids"].shape[1]:]]
