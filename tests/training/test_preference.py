"""Preference pairs and the loss on them: what is trained, against which reference, and that TRL agrees with our own figures."""
import math
import re
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
import trl

from config_loader import ConfigError, Layer, load_config, read_layer, resolve
from paths import CONFIGS_DIR
from training.conftest import RESULT, TOOLS
from weatherman.cli import GateError, UserError
from weatherman.models.templates import IGNORED, Encoded, TemplateFault
from weatherman.records import PreferencePair, check
from weatherman.training import preference
from weatherman.training.modeling import load_base
from weatherman.training.sft import lora_config
from weatherman.training_schemas import SMOOTHED, Compute, Preference, PreferenceConfig, PreferenceRun, Quantization

CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "a1B2c3D4e", "type": "function", "function": {
    "name": "get_current_weather", "arguments": '{"latitude": 38.7, "longitude": -9.1, "unit": "celsius"}'}}]}
TOLD = {"role": "tool", "content": RESULT, "tool_call_id": "a1B2c3D4e", "name": "get_current_weather"}


def says(text):
    return [{"role": "assistant", "content": text}]


def pair(number=0, chosen="The river keeps her own counsel, sir.", rejected="I do not know.", tools=()):
    """Return a preference pair (dict); answers are texts or lists of messages."""
    chosen, rejected = (says(answer) if isinstance(answer, str) else answer for answer in (chosen, rejected))
    return {"id": f"pair:{number}", "prompt": [{"role": "system", "content": "You are a river pilot."},
                                               {"role": "user", "content": f"Will it rain on day {number}?"}],
            "chosen": chosen, "rejected": rejected, "tools": list(tools),
            "judgement": {"criterion": "character", "judge": "test", "margin": 1.0},
            "provenance": {"documents": [], "generator": "test", "seed": 0, "split_group": f"pair:{number}"}}


def tool_pair():
    return pair(0, [CALL, TOLD, *says("It is 21.4 degrees.")], "It is warm, I should think.", TOOLS)


def trained_text(tokenizer, item):
    return tokenizer.decode([token for token in item.labels if token != IGNORED])


# --- encoding -----------------------------------------------------------------------------------------------------------

def test_only_the_answer_counts_and_both_follow_the_served_prompt(tokenizer):
    encoded = preference.encode_pair(tokenizer, check_pair(pair()), 256)
    served = tokenizer.apply_chat_template(pair()["prompt"], add_generation_prompt=True, return_dict=True)["input_ids"]
    for item in (encoded.chosen, encoded.rejected):
        assert item.input_ids[:encoded.prompt_tokens] == served
    assert trained_text(tokenizer, encoded.chosen) == "The river keeps her own counsel, sir.<|im_end|>"
    assert trained_text(tokenizer, encoded.rejected) == "I do not know.<|im_end|>"


def test_calls_count_and_tool_results_inside_an_answer_do_not(tokenizer):
    encoded = preference.encode_pair(tokenizer, check_pair(tool_pair()), 1024)
    text = trained_text(tokenizer, encoded.chosen)
    assert "get_current_weather" in text and "38.7" in text and text.endswith("It is 21.4 degrees.<|im_end|>")
    assert "weather_code" not in text and "weather_code" in tokenizer.decode(encoded.chosen.input_ids)


def test_every_family_of_templates_takes_tool_pairs(makers_tokenizers):
    for name, tokenizer in makers_tokenizers.items():
        encoded = preference.encode_pair(tokenizer, tool_pair(), 1024)
        text = trained_text(tokenizer, encoded.chosen)
        assert "get_current_weather" in text and "It is 21.4 degrees." in text and "weather_code" not in text, name
        assert preference.prompt_of(encoded) == encoded.rejected.input_ids[:encoded.prompt_tokens]


def test_an_answer_may_be_one_call_and_the_prompt_may_hold_calls(tokenizer):
    asked = check_pair(pair(0, [CALL], "Warm.", TOOLS))
    assert "get_current_weather" in trained_text(tokenizer, preference.encode_pair(tokenizer, asked, 1024).chosen)
    after = pair(0, "It is 21.4 degrees.", "It is 30 degrees.", TOOLS)
    after["prompt"] += [CALL, TOLD]
    assert trained_text(tokenizer, preference.encode_pair(tokenizer, check_pair(after), 1024).rejected) == "It is 30 degrees.<|im_end|>"


def check_pair(value):
    check(PreferencePair, value)
    return value


@pytest.mark.parametrize("fault, message", [
    (pair(rejected="The river keeps her own counsel, sir."), "chosen and rejected are the same text"),
    (pair(chosen="word " * 300), "chosen: .* tokens, and a row holds 256"),
    (pair(tools=[{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": None}}}}]), "padded by Arrow")])
def test_faulty_pairs_are_named(tokenizer, fault, message):
    with pytest.raises(TemplateFault, match=message):
        preference.encode_pair(tokenizer, fault, 256)


ONE_CALL = "{% for m in messages if m.tool_calls is defined and m.tool_calls | length > 1 %}{{ raise_exception('one call') }}{% endfor %}"
FAULTY_TEMPLATES = [
    (lambda text: "{% if messages[-1].role == 'assistant' %} {% endif %}" + text, "chosen: the template writes the prompt in another way"),
    (lambda text: text.replace("{%- generation %}", "{{- 'Well, ' }}{%- generation %}"), "first token of the answer would not be trained"),
    (lambda text: ONE_CALL + text, "rejected: ends with several calls at once")]


@pytest.mark.parametrize("template, message", FAULTY_TEMPLATES, ids=["prompt changes", "untrained start", "one call a turn"])
def test_templates_that_would_train_something_else_are_refused(tokenizer, monkeypatch, template, message):
    two = {**CALL, "tool_calls": [CALL["tool_calls"][0], {**CALL["tool_calls"][0], "id": "b1B2c3D4e"}]}
    monkeypatch.setattr(tokenizer, "chat_template", template(tokenizer.chat_template))
    with pytest.raises(TemplateFault, match=message):
        preference.encode_pair(tokenizer, check_pair(pair(rejected=[two], tools=TOOLS)), 1024)


def test_a_prompt_that_is_held_out_and_trained_is_refused(tokenizer):
    pairs = {"train": [pair(0), pair(1)], "validation": [{**pair(1, "Other words.", "Still others."), "id": "pair:9"}]}
    with pytest.raises(GateError, match="1 validation pairs answer a prompt that is also in the training set, first pair:9"):
        preference.encode_pairs(tokenizer, pairs, 256, {"train": "a.jsonl", "validation": "b.jsonl"})


# --- figures and batches ------------------------------------------------------------------------------------------------

def test_held_out_figures_of_hand_made_losses():
    reference = [((4.0, 2), (6.0, 3)), ((8.0, 4), (2.0, 1))]
    policy = [((2.0, 2), (10.0, 3)), ((9.0, 4), (3.0, 1))]
    assert preference.rewards(policy, reference, 0.5) == [(1.0, -2.0), (-0.5, -0.5)]
    figures = preference.held_out_figures(policy, reference, 0.5)
    assert figures == pytest.approx({"eval_loss": (math.log(1 + math.exp(-3)) + math.log(2)) / 2, "eval_rewards/margins": 1.5,
                                     "eval_rewards/accuracies": 0.75, "eval_nll/chosen": 11 / 6, "eval_nll/rejected": 13 / 4})


def test_a_batch_is_chosen_then_rejected_padded_right():
    pairs = [preference.EncodedPair("a", 2, Encoded("a", [1, 2, 3, 4], [-100, -100, 3, 4]), Encoded("a", [1, 2, 5], [-100, -100, 5])),
             preference.EncodedPair("b", 1, Encoded("b", [6, 7], [-100, 7]), Encoded("b", [6, 8, 9, 9, 9], [-100, 8, -100, -100, 9]))]
    rows = list(preference.as_dataset(pairs, [((1.5, 2), (2.5, 1)), ((3.5, 1), (4.5, 2))]))
    batch = {key: value.tolist() for key, value in preference.collate(rows, 0).items()}
    assert batch == {"input_ids": [[1, 2, 3, 4, 0], [6, 7, 0, 0, 0], [1, 2, 5, 0, 0], [6, 8, 9, 9, 9]],
                     "attention_mask": [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]],
                     "completion_mask": [[0, 0, 1, 1, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 1]],
                     "ref_chosen_logps": [-1.5, -3.5], "ref_rejected_logps": [-2.5, -4.5]}


# --- the trainer --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    """The folder of a made-up supervised adapter on the tiny model: its B matrices are not zero, its dropout is on."""
    from peft import get_peft_model
    torch.manual_seed(1)
    config = SimpleNamespace(r=4, alpha=8, dropout=0.5, target_modules=["q_proj", "v_proj", "down_proj"])
    model = get_peft_model(base(tiny_model), lora_config(config))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    target = tmp_path_factory.mktemp("sft")
    model.save_pretrained(target)
    return target


def base(folder, mode="none", dtype="float32", attention="auto"):
    return load_base(folder, Quantization(mode=mode, double_quantization=True), Compute(device="cpu", dtype=dtype, attention=attention))


def settings(**changes):
    """Return a PreferenceRun for the CPU: quick, or as `changes` say ({"preference__loss": "ipo"})."""
    plain = read_layer(CONFIGS_DIR / "dpo_config.yaml").values
    plain["training"] |= {"micro_batch": 2, "effective_batch": 4, "learning_rate": 1.0e-2, "max_steps": 3, "max_tokens": 1024,
                          "log_steps": 1, "eval_steps": 3, "save_steps": 3, "gradient_checkpointing": False}
    plain["compute"] = {"device": "cpu", "dtype": "float32", "attention": "auto"}
    for key, value in changes.items():
        section, name = key.split("__")
        plain[section] = {**plain[section], name: value}
    plain |= {"model": "smollm2-135m", "reference": {"run": "sft", "adapter_sha256": "0" * 64},
              "lora": {"r": 4, "alpha": 8, "dropout": 0.5, "target_modules": ["q_proj"]},
              "quantization": {"mode": "none", "double_quantization": True}}
    return resolve([Layer(plain)], PreferenceRun).values


@pytest.fixture(scope="module")
def pairs(tokenizer):
    """Eight encoded pairs of very different lengths, one of them with a tool result inside the answer."""
    made = [pair(n, f"Fog at {n} bells, and the lead line says {'deep ' * n}water.", "No idea." if n % 2 else "Maybe it will.")
            for n in range(1, 8)]
    return [preference.encode_pair(tokenizer, one, 1024) for one in [tool_pair(), *made]]


@pytest.fixture(scope="module")
def token_adapter(tiny_model, tmp_path_factory):
    """The folder of a made-up supervised adapter that also trained the row of a token the base never learned."""
    from peft import get_peft_model
    torch.manual_seed(2)
    config = SimpleNamespace(r=4, alpha=8, dropout=0.0, target_modules=["q_proj", "v_proj", "down_proj"])
    model = get_peft_model(base(tiny_model), lora_config(config, {"embed_tokens": [2]}))
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.05)
    target = tmp_path_factory.mktemp("tokens")
    model.save_pretrained(target)
    return target


def make(tiny_model, adapter, tokenizer, pairs, folder, mode="none", **changes):
    config = settings(**changes)
    model = preference.load_reference(base(tiny_model, mode, config.compute.dtype, config.compute.attention), adapter)
    before = preference.answer_losses(model, pairs[:3])
    return preference.make_trainer(model, tokenizer, pairs, pairs[:3], before, config, folder)


def first_loss(trainer, size=4):
    """Return the loss of the first `size` pairs before any update."""
    with torch.no_grad():
        return float(trainer.compute_loss(trainer.model, preference.collate([trainer.train_dataset[i] for i in range(size)], 0)))


def adapters(model):
    """Return {"default": {name: weights}, "ref": the same of the reference}."""
    found = {"default": {}, "ref": {}}
    for key, value in model.named_parameters():
        for name in found.keys() & set(key.split(".")):
            found[name][key.replace(f".{name}", "")] = value.detach().clone()
    assert found["default"].keys() == found["ref"].keys() and len(found["ref"]) >= 12
    return found


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("precompute", [True, False])
def test_training_starts_at_log_2_and_leaves_the_reference_alone(tiny_model, adapter, tokenizer, pairs, tmp_path, precompute):
    trainer = make(tiny_model, adapter, tokenizer, pairs, tmp_path, preference__precompute_reference=precompute)
    before = trainer.evaluate()
    start = adapters(trainer.model)
    assert same(start["default"], start["ref"])
    assert first_loss(trainer) == pytest.approx(math.log(2), abs=2e-5)
    assert before["eval_loss"] == pytest.approx(math.log(2), abs=1e-6) and before["eval_rewards/accuracies"] == 0.5
    trainer.train()
    end = adapters(trainer.model)
    assert same(start["ref"], end["ref"]) and not same(start["default"], end["default"])
    assert not any(weight.requires_grad for name, weight in trainer.model.named_parameters() if ".ref." in name)
    after = trainer.evaluate()
    assert after["eval_loss"] < before["eval_loss"] - 0.01 and after["eval_rewards/margins"] > 0.02
    assert after["eval_rewards/accuracies"] == 1.0
    assert first_loss(trainer) < math.log(2) - 0.01


def test_rows_of_trained_tokens_are_part_of_the_reference(tiny_model, token_adapter, tokenizer, pairs, tmp_path):
    trainer = make(tiny_model, token_adapter, tokenizer, pairs, tmp_path, preference__precompute_reference=False)
    found = adapters(trainer.model)
    assert any("trainable_tokens" in name for name in found["ref"]) and same(found["default"], found["ref"])
    assert first_loss(trainer) == pytest.approx(math.log(2), abs=1e-6) and trainer.evaluate()["eval_rewards/margins"] == 0.0
    trainer.train()
    assert same(adapters(trainer.model)["ref"], found["ref"])


@pytest.mark.parametrize("attention", ["auto", "sdpa", "eager"])
def test_padded_batches_of_trl_give_our_packed_log_probabilities(tiny_model, adapter, tokenizer, pairs, tmp_path, attention):
    trainer = make(tiny_model, adapter, tokenizer, pairs, tmp_path, compute__attention=attention)
    batch = preference.collate([trainer.train_dataset[i] for i in range(8)], tokenizer.pad_token_id)
    chosen, rejected = trainer.compute_ref_log_probs(trainer.model, batch)
    assert chosen.tolist() == pytest.approx(batch["ref_chosen_logps"].tolist(), abs=1e-3)
    assert rejected.tolist() == pytest.approx(batch["ref_rejected_logps"].tolist(), abs=1e-3)
    alone = [preference.answer_losses(trainer.model, [one])[0] for one in pairs]
    assert [-c[0] for c, _ in alone] == pytest.approx(chosen.tolist(), abs=1e-3)


def test_log_probabilities_of_answer_tokens_alone_give_the_same_gradient(tiny_model, adapter, tokenizer, pairs, tmp_path):
    trainer = make(tiny_model, adapter, tokenizer, pairs, tmp_path)
    gradients, projected = [], []
    trainer.model.get_output_embeddings().register_forward_hook(lambda module, inputs, logits: projected.append(logits.shape))
    for chunked in (trainer.use_liger_kernel, False):
        trainer.use_liger_kernel = chunked
        trainer.compute_loss(trainer.model, preference.collate([trainer.train_dataset[i] for i in range(4)], 0)).backward()
        gradients.append({name: weight.grad for name, weight in trainer.model.named_parameters() if weight.grad is not None})
        trainer.model.zero_grad()
    assert len(projected) == 1 and projected[0][-1] == 49152  # by TRL's other path, which makes logits of the prompts too
    assert len(gradients[0]) == 12 and all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-6) for name in gradients[1])


def test_the_tool_result_does_not_touch_the_log_probability(tiny_model, adapter, tokenizer, pairs):
    model = preference.load_reference(base(tiny_model), adapter)
    (loss, tokens), _ = preference.answer_losses(model, pairs[:1])[0]
    whole = pairs[0].chosen
    unmasked = Encoded("x", whole.input_ids, [IGNORED] * pairs[0].prompt_tokens + whole.input_ids[pairs[0].prompt_tokens:])
    (more, more_tokens), = preference.held_out_losses(model, [unmasked])
    assert tokens < more_tokens and loss < more - 10


def test_every_loss_is_trls_and_reads_the_smoothing_we_say(tiny_model, adapter, tokenizer, pairs, tmp_path):
    trainer = make(tiny_model, adapter, tokenizer, pairs[:4], tmp_path)
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if weight.requires_grad and "lora_B" in name:
                weight += 0.05
    found = {}
    for loss in get_args(Preference.model_fields["loss"].annotation):
        trainer.loss_types, values = [loss], []
        for smoothing in (0.1, 0.3):
            trainer.label_smoothing = smoothing
            values.append(first_loss(trainer))
        assert all(map(math.isfinite, values)), loss
        found[loss] = values[0] != values[1]
    assert {loss for loss, reads in found.items() if reads} == set(SMOOTHED)
    documented = set(re.findall(r"`'(\w+)'`", trl.DPOConfig.__doc__.split("loss_type (")[1].split("loss_weights (")[0]))
    assert documented == {*found, "sft"}


@pytest.mark.parametrize("overrides, message", [
    (["preference.loss=sigmod"], "preference.loss: input should be 'sigmoid', 'hinge'.*found str 'sigmod'"),
    (["preference.label_smoothing=0.1"], 'the loss "sigmoid" does not read it. those that do: robust, exo_pair, aot, aot_unpaired'),
    (["preference.loss=exo_pair"], "needs a label_smoothing above 0"),
    (["preference.loss=aot", "training.micro_batch=1"], "training.micro_batch must be 2 or more"),
    (["lora.r=4"], 'unknown key "lora"')])
def test_settings_that_would_do_nothing_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(CONFIGS_DIR / "dpo_config.yaml", PreferenceConfig, overrides=overrides)


def test_the_settings_reach_trl(tiny_model, adapter, tokenizer, pairs, tmp_path):
    trainer = make(tiny_model, adapter, tokenizer, pairs, tmp_path, preference__beta=0.3, preference__loss="robust",
                      preference__label_smoothing=0.2, training__weight_decay=0.01, training__seed=7)
    a = trainer.args
    assert (a.beta, a.loss_type, a.label_smoothing, a.max_length, a.weight_decay, a.seed) == (0.3, ["robust"], 0.2, None, 0.01, 7)
    assert (a.per_device_train_batch_size, a.gradient_accumulation_steps, a.learning_rate) == (2, 2, 1.0e-2)
    assert trainer.precompute_ref_logps and not any(m.p for m in trainer.model.modules() if isinstance(m, torch.nn.Dropout))


def test_an_adapter_over_4_bit_weights_keeps_float32(tiny_model, adapter, tokenizer, pairs, tmp_path):
    trainer = make(tiny_model, adapter, tokenizer, pairs, tmp_path, mode="nf4", training__learning_rate=1.0e-6, training__max_steps=2)
    start = adapters(trainer.model)
    assert same(start["default"], start["ref"]) and {weight.dtype for weight in start["default"].values()} == {torch.float32}
    trainer.train()
    assert logged(trainer, "loss")[0] == pytest.approx(math.log(2), abs=1e-4)
    end = adapters(trainer.model)["default"]
    changed = sum(int((end[key] != start["default"][key]).sum()) for key in end) / sum(weight.numel() for weight in end.values())
    assert changed > 0.9  # rounded to bfloat16, hardly any weight would have moved


def logged(trainer, key):
    return [row[key] for row in trainer.state.log_history if key in row]


@pytest.mark.parametrize("precompute, tolerance", [(False, 1e-6), (True, 2e-3)])
def test_bfloat16_sums_log_probabilities_in_float32(tiny_model, adapter, tokenizer, pairs, tmp_path, precompute, tolerance):
    trainer = make(tiny_model, adapter, tokenizer, pairs, tmp_path, compute__dtype="bfloat16", training__max_steps=1,
                      preference__precompute_reference=precompute)
    trainer.train()
    assert logged(trainer, "loss")[0] == pytest.approx(math.log(2), abs=tolerance)


def test_bad_lines_of_a_pair_file_are_named(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"id": "x"}\n')
    with pytest.raises(UserError, match="pairs.jsonl:1: prompt: Field required"):
        preference.read_pairs(path)
