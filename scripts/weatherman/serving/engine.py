"""Answers from a model in memory."""
from weatherman.cli import UserError


def answer(model, tokenizer, conversations, max_new_tokens):
    """Return one answer (str) for each (messages, tools) pair, greedily decoded, without the end-of-turn token."""
    return [text for text, *_ in generate(model, tokenizer, conversations, max_new_tokens)]


def generate(model, tokenizer, conversations, max_new_tokens):
    """Return (answer, prompt tokens, new tokens, whether it ended of itself) for each (messages, tools) pair, greedily decoded.

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
    rows = []
    for prompt, row in zip(prompts, ids[:, batch["input_ids"].shape[1]:].tolist()):
        ended = tokenizer.eos_token_id in row
        size = row.index(tokenizer.eos_token_id) + 1 if ended else len(row)
        rows.append((tokenizer.decode(row, skip_special_tokens=True).strip(), len(prompt), size, ended))
    return rows


def load_chat_model(folder):
    """Return (model, tokenizer) of any chat model in a folder, with its own template, on the GPU where there is one.

    Raises UserError for a base model, which has no template.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template is None:
        raise UserError(f"{folder}: the tokenizer has no chat template, so this is no chat model.", "an instruct version of the model")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto", device_map={"": device}, use_safetensors=True).eval(), tokenizer
