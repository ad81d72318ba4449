"""The model card as a newcomer and the hub read it: data, figures, duties of the licences."""
import copy

import yaml
from huggingface_hub import ModelCard

from training.conftest import chat, tool_chat
from weatherman.models.registry import model_entry
from weatherman.training.card import card_text, source_rows, supervised_sections, write_card
from weatherman.training.runs import default_name

FIGURES = {"loss_before": 2.5, "loss_after": 1.75, "records": {"train": 3, "validation": 1}, "steps": 40, "planned_steps": 40,
           "best_step": 30, "tokens_seen": 12345, "micro_batch": 4, "accumulation": 2, "processes": 1}
LLAMA, SMOLLM = "llama-3.1-8b-instruct", "smollm2-135m"


def record(number, source, license):
    row = chat(number, "?", "!")
    row["tags"]["source"] = source
    row["provenance"]["documents"] = [{"id": f"d:{number}", "sha256": "0" * 64, "start": 0, "end": 1, "license": license}]
    return row


RECORDS = {"train": [record(1, "gutenberg", "Public domain in the USA."), record(2, "gutenberg", "Public domain in the USA."),
                     record(3, "synthetic", "CC0-1.0; places from GeoNames, CC BY 4.0"), tool_chat(4)], "validation": []}


def started(name):
    entry = model_entry(name)
    file = {"path": "data/processed/train.jsonl", "sha256": "ab" * 32, "rows": 4}
    return {"script": "train.py", "data": {"train": file, "validation": {**file, "path": None, "rows": 1}},
            "base_model": {"hub_id": entry.hub_id, "revision": "abc", "parameters": entry.parameters, "package": entry.package,
                           "config_sha256": "cd" * 32},
            "chosen": {"device": "cuda", "dtype": "bfloat16", "attention": "packed-sdpa"},
            "config": {"training": {"learning_rate": 2e-4, "scheduler": "cosine", "warmup_share": 0.03, "max_tokens": 4096, "packing": True,
                                    "seed": 42},
                       "lora": {"r": 16, "alpha": 32, "dropout": 0.05, "target_modules": ["q_proj"]}, "quantization": {"mode": "nf4"}}}


def text(name, run="trial", records=RECORDS, **changes):
    entry = model_entry(name)
    return card_text(run, started(name), entry, supervised_sections(run, started(name), entry, records, {**FIGURES, **changes}), "sft")


def test_the_hub_can_read_it():
    card = ModelCard(text(LLAMA))
    data = card.data.to_dict()
    assert (data["base_model"], data["base_model_relation"]) == ("meta-llama/Llama-3.1-8B-Instruct", "adapter")
    assert (data["license"], data["library_name"], data["pipeline_tag"]) == ("llama3.1", "peft", "text-generation")
    assert yaml.safe_load(text(SMOLLM).split("---")[1])["license"] == "apache-2.0"


def test_llamas_duties(tmp_path):
    """A name that begins with Llama, "Built with Llama", the notice; and none of it for other bases."""
    card = text(LLAMA)
    assert "\n# Llama-trial\n" in card and "**Built with Llama.**" in card and "llama3_1/license" in card
    assert "\n# Llama-3.1-8b-instruct-quality\n" in text(LLAMA, default_name(LLAMA, "quality", "llama3.1"))
    other = text(SMOLLM)
    assert "Built with Llama" not in other and "\n# trial\n" in other and "Apache-2.0" in other
    assert default_name(SMOLLM, None, "Apache-2.0") == "smollm2-135m-default"
    for name, notice in ((SMOLLM, False), (LLAMA, True)):
        write_card(tmp_path, started(name), model_entry(name), {}, "sft")
        assert (tmp_path / "NOTICE").is_file() is notice
    assert "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta" in (tmp_path / "NOTICE").read_text()


def test_where_the_data_came_from_and_what_it_asks_for():
    assert source_rows(RECORDS["train"]) == [["gutenberg", 2, "Public domain in the USA."],
                                             ["synthetic", 2, "CC0-1.0; places from GeoNames, CC BY 4.0"]]
    assert source_rows([tool_chat(4)]) == [["synthetic", 1, "none stated"]]
    card = text(SMOLLM)
    assert "| train | data/processed/train.jsonl | 4 | `abababab" in card and "| validation | given in memory | 1 |" in card
    assert "Name the sources of what is under Creative Commons Attribution: CC0-1.0; places from GeoNames, CC BY 4.0." in card
    assert "under copyright" not in card
    reserved = copy.deepcopy(RECORDS)
    reserved["train"].append(record(5, "web", "no licence stated; copyright of its publisher"))
    assert "ask before you publish this adapter" in text(SMOLLM, records=reserved)


def test_figures_and_settings():
    card = text(SMOLLM)
    assert "| held-out loss a token, base | 2.5000 nats |" in card and "| held-out loss a token, this adapter | 1.7500 nats |" in card
    assert "40 of 40; best, and kept, after 30" in card and "4 row(s) x 2 accumulated" in card and "--trace ID" in card
    assert "ended early" in text(SMOLLM, planned_steps=50)
    assert "Not an improvement" not in card and "do not use this adapter" in text(SMOLLM, loss_after=2.5)
