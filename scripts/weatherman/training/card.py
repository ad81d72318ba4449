"""The model card: README.md of a run folder, as the Hugging Face hub reads it, and the NOTICE that Llama's licence asks for."""
from collections import Counter

from weatherman.dialogue.card import table
from weatherman.files import write_bytes
from weatherman.training.runs import is_llama

LLAMA_LICENSE = "https://www.llama.com/llama3_1/license/"
LLAMA_NOTICE = """Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved.

Built with Llama.
"""
LLAMA_DUTIES = f"""**Built with Llama.** Whoever passes this adapter on, or a product built on it:

- shows “Built with Llama” prominently;
- keeps a name that begins with “Llama”;
- passes on the file `NOTICE` and a copy of the [Llama 3.1 Community License]({LLAMA_LICENSE});
- keeps to the [Acceptable Use Policy](https://www.llama.com/llama3_1/use-policy/)."""
OTHER_DUTIES = "The base model's licence is {license}: keep its notice and say that the weights were changed when you pass the adapter on."
HOW_TO_LOAD = """In the repository's folder, with the training environment:

```python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("{folder}", dtype="auto", device_map="auto")   # fetches the base from the hub
tokenizer = AutoTokenizer.from_pretrained("{folder}")                      # with the template the adapter was trained with
messages = [{{"role": "user", "content": "Will it rain tomorrow?"}}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt").to(model.device)
answer = model.generate(**prompt, max_new_tokens=200, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
print(tokenizer.decode(answer[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True))
```"""
HOW_TO_SERVE = """Served by vLLM, with the same template (a call is written as {tool_format}, which the parser reads):

```bash
vllm serve {hub_id} --revision {revision} \\
    --enable-lora --max-lora-rank {rank} --lora-modules {name}={folder} \\
    --chat-template {folder}/chat_template.jinja --enable-auto-tool-choice --tool-call-parser {parser}
```"""


def write_card(folder, started, entry, sections, method):
    """Write README.md, and NOTICE where the base's licence asks for one. started: started.json; sections: {heading: Markdown}."""
    write_bytes(folder / "README.md", card_text(folder.name, started, entry, sections, method).encode())
    if is_llama(entry.license):
        write_bytes(folder / "NOTICE", LLAMA_NOTICE.encode())


def card_text(name, started, entry, sections, method):
    """Return the card (str): YAML metadata and Markdown. method: sft or dpo."""
    import yaml
    title = name if not is_llama(entry.license) or name.startswith("Llama") else f"Llama-{name}"
    front = yaml.safe_dump(metadata(title, entry, method), sort_keys=False)
    introduction = (f"A LoRA adapter for [{entry.hub_id}](https://huggingface.co/{entry.hub_id}), "
                    f"trained by Weatherman-LoRA's `{started['script']}`.")
    parts = [f"---\n{front}---\n# {title}", introduction, *(f"## {head}\n\n{text}" for head, text in sections.items())]
    return "\n\n".join(parts) + "\n"


def supervised_sections(name, started, entry, records, figures):
    """Return {heading: Markdown} of a run of train.py."""
    return {"Results": results_text(figures), "How to use it": use_text(name, started, entry),
            "Base model": base_text(started["base_model"]), "Data": data_text(started["data"], records),
            "Settings": settings_text(started, figures), "Licences": licences_text(entry, records),
            "Where a sentence comes from": trace_text(started["data"])}


def metadata(title, entry, method):
    """Return the card's metadata, the keys of the hub's specification (modelcard.md in huggingface/hub-docs)."""
    return {"base_model": entry.hub_id, "base_model_relation": "adapter", "library_name": "peft", "pipeline_tag": "text-generation",
            "language": ["en"], "license": entry.license.lower(), "model_name": title, "tags": ["lora", method, "trl", "weatherman-lora"]}


def use_text(name, started, entry):
    folder, parts = f"adapters/{name}", []
    if entry.vllm_parser:
        parts.append(HOW_TO_SERVE.format(name=name, folder=folder, rank=max(8, started["config"]["lora"]["r"]), hub_id=entry.hub_id,
                                         revision=entry.revision, parser=entry.vllm_parser, tool_format=entry.tool_format))
    return "\n\n".join([HOW_TO_LOAD.format(folder=folder), *parts])


def results_text(figures):
    before, after = figures["loss_before"], figures["loss_after"]
    worse = [] if after < before else ["> **Not an improvement.** No checkpoint of this run beats the base on the held-out conversations: "
                                       "do not use this adapter."]
    early = " (ended early: the held-out loss no longer fell)" if figures["steps"] < figures["planned_steps"] else ""
    rows = [["held-out loss a token, base", f"{before:.4f} nats"], ["held-out loss a token, this adapter", f"{after:.4f} nats"],
            ["conversations trained on, held out", f"{figures['records']['train']:,}, {figures['records']['validation']:,}"],
            ["updates", f"{figures['steps']:,} of {figures['planned_steps']:,}{early}; best, and kept, after {figures['best_step']:,}"],
            ["tokens seen", f"{figures['tokens_seen']:,}"]]
    note = ("The loss is that of the assistant's tokens in the validation conversations, which also chose the checkpoint; "
            "`python scripts/eval_model.py RUN` measures conversations that chose nothing.")
    return "\n\n".join([*worse, table(rows, ["figure", "value"]), note])


def base_text(base):
    unpacked = f" It was trained on the weights that the package `{base['package']}` carries in 4 bits." if base["package"] else ""
    return (f"{base['hub_id']}, revision {base['revision'] or 'not pinned'}, {base['parameters'] / 1e6:,.0f} M parameters, "
            f"`config.json` sha256 `{base['config_sha256']}`.{unpacked}")


def data_text(data, records):
    files = [[name, file["path"] or "given in memory", file["rows"], f"`{file['sha256']}`"] for name, file in data.items()]
    return (f"{table(files, ['split', 'file', 'conversations', 'sha256'])}\n\n"
            "Only the assistant's words were trained. What the training conversations are made of:\n\n"
            f"{table(source_rows(records['train']), ['source', 'conversations', 'licences of its documents'])}")


def source_rows(rows):
    """Return [[source, conversations, licences]] of chat records, the most frequent source first."""
    counts = Counter(row["tags"]["source"] for row in rows)
    licences = {source: {d["license"] for row in rows if row["tags"]["source"] == source for d in row["provenance"]["documents"]}
                for source in counts}
    return [[source, count, "; ".join(sorted(licences[source])) or "none stated"] for source, count in counts.most_common()]


def settings_text(started, figures):
    config, chosen = started["config"], started["chosen"]
    training, lora, quantization = config["training"], config["lora"], config["quantization"]
    rows = [["LoRA rank, alpha, dropout", f"{lora['r']}, {lora['alpha']}, {lora['dropout']}"],
            ["LoRA modules", ", ".join(lora["target_modules"])],
            ["learning rate, scheduler, warm-up",
             f"{training['learning_rate']:g}, {training['scheduler']}, {training['warmup_share']:.0%}"],
            ["update", f"{figures['micro_batch']} row(s) x {figures['accumulation']} accumulated x {figures['processes']} process(es); "
                       f"up to {training['max_tokens']:,} tokens a row, {'packed' if training['packing'] else 'one conversation each'}"],
            ["base weights", "unquantised" if quantization["mode"] == "none" else quantization["mode"]],
            ["computed on", f"{chosen['device']} in {chosen['dtype']}, attention {chosen['attention']}"], ["seed", str(training["seed"])]]
    files = ("`config.resolved.yaml` holds every setting, `run.json` the versions of the software and the hashes of everything, "
             "`metrics.jsonl` the loss curve, `chat_template.jinja` the template.")
    return f"{table(rows, ['setting', 'value'])}\n\n{files}"


def licences_text(entry, records):
    """Return the duties of the base's licence and of the data's, as far as the records state them."""
    base = LLAMA_DUTIES if is_llama(entry.license) else OTHER_DUTIES.format(license=entry.license)
    stated = {d["license"] for row in records["train"] for d in row["provenance"]["documents"]}
    duties = [base]
    if named := sorted(text for text in stated if "CC BY" in text or "CC-BY" in text):
        duties.append(f"Name the sources of what is under Creative Commons Attribution: {'; '.join(named)}.")
    if reserved := sorted(text for text in stated if "copyright" in text.lower()):
        duties.append(f"Some training texts are under copyright ({'; '.join(reserved)}): ask before you publish this adapter.")
    return "\n\n".join(duties)


def trace_text(data):
    path = data["train"]["path"] or "data/processed/train.jsonl"
    return ("Every training record names its source: document, licence, and the bytes in the file it was cut from.\n\n"
            f"```bash\npython scripts/08_build_dataset.py --trace ID      # ID: the \"id\" of a line of {path}\n```")


# --- preference runs ----------------------------------------------------------------------------------------------------

def preference_sections(name, started, entry, pairs, figures):
    """Return {heading: Markdown} of a run of train_dpo.py. pairs: {"train": [dict], "validation": [dict]}."""
    reference = started["config"]["reference"]
    begins = (f"The adapter of the run `{reference['run']}` (`adapter_model.safetensors` sha256 `{reference['adapter_sha256']}`), trained "
              "further. It is also the reference from which the loss keeps this one from straying.")
    return {"Results": preference_results(figures), "How to use it": use_text(name, started, entry), "Starts from": begins,
            "Base model": base_text(started["base_model"]), "Data": preference_data(started["data"], pairs["train"]),
            "Settings": preference_settings(started, figures), "Licences": licences_text(entry, pairs)}


def preference_results(figures):
    from weatherman.training.preference import held_out_rows
    worse = [] if figures["loss_after"] < figures["loss_before"] else ["> **Not an improvement.** No checkpoint of this run tells the "
                                                                       "held-out pairs better than the adapter it starts from."]
    counts = (f"{figures['records']['train']:,} pairs trained on, {figures['records']['validation']:,} held out; {figures['steps']:,} of "
              f"{figures['planned_steps']:,} updates; the best, and kept, after {figures['best_step']:,}.")
    note = ("The reward of an answer is beta times the logarithm of how much more likely it has become. Preference loss and margin are of "
            "the validation pairs, which also chose the checkpoint. Where the chosen answers' nats a token climb, fluency was lost.")
    return "\n\n".join([*worse, table(held_out_rows(figures["held_out"]), ["held out", "reference", "this adapter"]), counts, note])


def preference_data(data, pairs):
    files = [[name, file["path"], file["rows"], f"`{file['sha256']}`"] for name, file in data.items()]
    judged = Counter((pair["judgement"]["criterion"], pair["judgement"]["judge"]) for pair in pairs)
    return (f"{table(files, ['split', 'file', 'pairs', 'sha256'])}\n\nOnly the assistant's tokens of the two answers count.\n\n"
            f"{table([[*key, count] for key, count in judged.most_common()], ['preferred for', 'judge', 'training pairs'])}")


def preference_settings(started, figures):
    training, chosen, loss = started["config"]["training"], started["chosen"], started["config"]["preference"]
    rows = [["loss, beta, label smoothing", f"{loss['loss']}, {loss['beta']:g}, {loss['label_smoothing']:g}"],
            ["learning rate, schedule, warm-up", f"{training['learning_rate']:g}, {training['scheduler']}, {training['warmup_share']:.0%}"],
            ["update", f"{figures['micro_batch']} pair(s) x {figures['accumulation']} accumulated"],
            ["computed on", f"{chosen['device']} in {chosen['dtype']}, attention {chosen['attention']}"], ["seed", str(training["seed"])]]
    return f"{table(rows, ['setting', 'value'])}\n\nThe rest is as in the run it starts from; `config.resolved.yaml` holds every setting."
