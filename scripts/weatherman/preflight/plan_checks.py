"""The preflight's checks of the plan: tokens against the template, rows and updates, memory, the disk, the licence."""
import shutil

from paths import base_dir, folder
from weatherman.machines.storage import FAILURE, GB, check_storage, quota_from_environment
from weatherman.models.tokens import PROMPTS
from weatherman.preflight.data_checks import GOOD, MEND, NOTE, SKIPPED, Check, listed
from weatherman.training import estimate

LEAST_FILL = 0.99    # of the rows' room; asked from FEW_ROWS on, as the last row of each lot stays emptier
FEW_ROWS = 100
LEAST_UPDATES = 20   # fewer teach little, and a warm-up of 3 % is then a single update
BATCH_TOLERANCE = 0.5  # the mean update may differ from effective_batch by so much of it
TOKENIZER_BYTES = 20 * 10**6  # of the largest tokenizer we know, kept in every checkpoint
TEMPLATE_CHECKS = "loss on every assistant turn with its end of turn and on nothing else, one BOS, no nulls, no call or result dropped"


def check_tokens(found):
    """Return the Checks of [Counted] of all splits: every conversation passes whole, and as serving will show it."""
    faults = [f"{one.id}: {one.fault}" for one in found if one.fault]
    prompts = [f"{one.id}: {one.prompt_fault}" for one in found if one.prompt_fault]
    tokens, losses = sum(one.tokens for one in found), sum(one.loss_tokens for one in found)
    clean = f"{len(found):,}, {tokens:,} tokens, {losses:,} of them trained; {TEMPLATE_CHECKS}"
    return [listed("conversations", faults, clean, "mend these records, or choose another model, template or training.max_tokens"),
            listed("prompts", prompts, f"what serving sends before an answer is what stands there in training, token by token "
                   f"({min(PROMPTS, len(found)):,} conversations drawn)", "mend the template in configs/templates/")]


def without_tokenizer(how, why="it is not here (a few megabytes, no weights)"):
    """Return the Checks of a preflight that cannot count tokens. how: what mends it, such as the command that fetches the tokenizer."""
    return [Check("tokenizer", MEND, why, how),
            *(Check(what, SKIPPED, "needs the tokenizer") for what in ("conversations", "prompts", "packing", "plan", "memory and cost"))]


def check_packing(packing, trained):
    """Return the Check that rows are full and whole. trained: loss tokens; conversations longer than a row are `check_tokens`'s."""
    if not packing.packed:
        return Check("packing", NOTE, f"off: each of {packing.conversations:,} has a row of its own, padded to the longest of its pass; "
                                      f"none of {trained:,} loss tokens is cut")
    said = (f"{packing.conversations:,} in {packing.rows:,} rows of {packing.row_tokens:,}, {packing.per_row:.1f} a row, "
            f"{packing.fill:.1%} full; none of {trained:,} loss tokens is cut")
    if packing.rows >= FEW_ROWS and packing.fill < LEAST_FILL:
        return Check("packing", MEND, f"{said}; expected {LEAST_FILL:.0%}: what is empty is paid for", "a larger training.max_tokens")
    return Check("packing", GOOD, said)


def check_plan(config, entry, schedule):
    """Return the Check of the optimiser's run."""
    training, bad = config.training, []
    if training.max_tokens > entry.shape.context:
        bad.append(f"max_tokens {training.max_tokens:,} is more than the {entry.shape.context:,} the model was made for")
    if schedule.updates < LEAST_UPDATES:
        bad.append(f"only {schedule.updates} updates, {schedule.warmup} of them warm-up: at least {LEAST_UPDATES} are expected (more "
                   "conversations or epochs, or a smaller effective_batch)")
    if abs(schedule.per_update / training.effective_batch - 1) > BATCH_TOLERANCE:
        bad.append(f"an update takes {schedule.per_update:,.1f} conversations, and effective_batch is {training.effective_batch}: "
                   f"{'one pass holds more' if schedule.accumulation == 1 else 'there are too few for it'} (micro_batch, max_tokens)")
    clean = (f"{schedule.updates:,} updates of {training.micro_batch} rows x {schedule.accumulation}, about {schedule.per_update:.0f} "
             f"conversations each; {schedule.updates_per_epoch:,} an epoch, {schedule.epochs:.2g} epochs; {schedule.warmup} of warm-up")
    return listed("plan", bad, clean, "--set training.…=… or another --preset")


def check_memory(offers, chosen, micro_batch):
    """Return the Checks of memory. chosen: the card that --gpu or cost.gpu names, None where none is named; micro_batch: as configured."""
    if chosen is not None:
        offer = next(offer for offer in offers if offer.card == chosen)
        need, has = offer.memory.total / estimate.MIB, offer.gpu.memory_mib
        if not offer.fits:
            return Check("memory", MEND, f"one row needs {need:,.0f} MiB on {chosen}, which has {has:,}",
                         "--set training.max_tokens=2048, or another --gpu")
        return Check("memory", GOOD, f"{need:,.0f} of the {has:,} MiB of {chosen}, micro-batch {offer.micro_batch}, checkpointing "
                                     f"{'on' if offer.checkpointing else 'off'}")
    fits = [offer for offer in offers if offer.fits]
    if not fits:
        return Check("memory", MEND, "one row fits on no card of configs/gpus.yaml", "--set training.max_tokens=2048, or a smaller model")
    smaller = sum(offer.micro_batch < micro_batch for offer in fits)
    return Check("memory", GOOD, f"fits on {len(fits)} of {len(offers)} cards, on {smaller} of them with a smaller micro-batch than "
                                 f"{micro_batch}")


def check_licence(model, entry):
    """Return the Checks of the licence, and of the way to the weights."""
    import huggingface_hub
    here = any((folder("models") / model).glob("*.safetensors"))
    checks = [Check("licence", NOTE if "llama" in entry.license else GOOD, entry.license + (
        ": say \"Built with Llama\", begin the adapter's name with Llama, pass the licence on (train.py's model card does all three)"
        if "llama" in entry.license else ""))]
    if here:
        checks.append(Check("weights", GOOD, f"in models/{model}"))
    elif entry.package:
        checks.append(Check("weights", GOOD, f"unpacked from the package {entry.package} on first use"))
    elif entry.gated and huggingface_hub.get_token() is None:
        checks.append(Check("weights", NOTE, f"{entry.hub_id} is gated, and no HF_TOKEN is set here: the machine that trains needs one",
                            f"accept the licence on the page of {entry.hub_id}, then put HF_TOKEN into the .env of that machine"))
    else:
        checks.append(Check("weights", GOOD, f"{entry.parameters * 2 / GB:.1f} GB to fetch on the machine that trains"))
    return checks


def check_disk(config, entry):
    """Return the Check that weights and checkpoints have room; where nothing is trained here, what the other machine needs."""
    saved = 3 * 4 * estimate.adapter_parameters(entry.shape, config.lora)  # the adapter and AdamW's two moments, fp32 at most
    needs = 2 * entry.parameters + (config.training.keep_checkpoints + 1) * (saved + TOKENIZER_BYTES)  # and the best checkpoint
    said = f"{needs / GB:.1f} GB for the base model and {config.training.keep_checkpoints + 1} checkpoints"
    if config.compute.device not in ("cpu", "mps") and shutil.which("nvidia-smi") is None:
        return Check("disk", NOTE, f"the machine that trains needs {said}; check_storage.py looks there")
    storage = check_storage(base_dir(), quota_from_environment())
    if storage.outcome == FAILURE and storage.free_bytes < needs:
        return Check("disk", MEND, f"{said}; {storage.message}", "python scripts/check_storage.py")
    return Check("disk", GOOD, f"{said}; {storage.message}")
