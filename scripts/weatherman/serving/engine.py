"""Answers from a model in memory."""


def answer(model, tokenizer, conversations, max_new_tokens):
    """Return one answer (str) for each (messages, tools) pair, greedily decoded, without the end-of-turn token.

    messages: chat messages that end with the user's turn; tools: a list of schemas, may be empty.
    """
    import torch

    from weatherman.cli import progress
    answers = []
    for messages, tools in progress(conversations, "answers", len(conversations), "prompts"):
        prompt = tokenizer.apply_chat_template(messages, tools=tools or None, add_generation_prompt=True, return_dict=True,
                                               return_tensors="pt").to(model.device)
        with torch.no_grad():
            ids = model.generate(**prompt, max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=tokenizer.eos_token_id,
                                 pad_token_id=tokenizer.pad_token_id)
        new = ids[0, prompt["input_ids"].shape[1]:]
        answers.append(tokenizer.decode(new[new != tokenizer.eos_token_id]).strip())
    return answers
