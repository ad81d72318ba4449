"""What a LoRA run asks of a card before the card is paid for: memory by part, arithmetic, time and money. No torch.

The formulas count what a Llama-shaped model (Llama, Mistral, Qwen2.5, SmolLM2) keeps under transformers 5.20, PEFT 0.21 and TRL 1.14;
tests/training/test_estimate_bytes.py counts the real tensors and compares. H is the hidden size, I that of the MLP, T the tokens on
the device at once: packed rows are laid end to end, so T = micro_batch x max_tokens.
"""
import functools
from dataclasses import astuple, dataclass

from config_loader import ConfigError, load_config
from paths import CONFIGS_DIR
from weatherman.training_schemas import Gpus

MIB = 2**20
FP32 = 4                        # bytes of a trained weight, its gradient and moments: modeling.in_float32
NF4_BLOCK, ABSMAX_BLOCK = 64, 256  # weights that share a constant; constants that share one in turn: bitsandbytes, quantize_4bit
NORM = 4                        # bytes an element of what a norm saves: it computes in fp32 (LlamaRMSNorm.forward)
DROPOUT_MASK = 1                # bytes an element on CUDA: a bool (aten native_dropout); a CPU keeps the mask in the dtype of its input
LSE = 4                         # bytes a head and token: attention keeps the logarithm of its softmax's sum in fp32
SDPA_MASK = 2                   # bytes a pair of tokens: sdpa turns the mask of packed rows into bf16 in every layer
LOSS_CHUNK, LOSS_COPIES = 256, 4  # trl chunked_nll: loss tokens a chunk; fp32 copies of its logits that backward holds, as measured
WORKING_H, WORKING_I = 16, 2.4  # bytes a token and unit of H and I that backward holds for a moment: profiled peaks, no test
CONTEXT_BYTES = 800 * MIB       # assumed: CUDA context, cuBLAS work space, loaded kernels; 500-900 MiB are usual
SLACK = 0.05                    # assumed: share of all else that the allocator's rounding and gaps take
NO_ROW_SQUARED = ("auto", "packed-sdpa", "flash_attention_2")  # attention that builds no mask of row by row; hub kernels too


@dataclass(frozen=True)
class Memory:
    """Bytes on the device at the worst moment of an update, by part."""

    weights: int
    adapters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int

    @property
    def total(self):
        return sum(astuple(self))


@functools.cache
def gpus():
    """Return configs/gpus.yaml (training_schemas.Gpus)."""
    return load_config(CONFIGS_DIR / "gpus.yaml", Gpus).values


def find_gpu(name):
    """Return (key, Gpu) of a card by its key in gpus.yaml or by what nvidia-smi or torch call it, None for one that is not listed.

    The name must end as the entry says: "RTX 3090 Ti" is not "RTX 3090", and "A100-SXM4-80GB MIG 3g.40gb" is no whole A100.
    """
    known = gpus().gpus
    if name in known:
        return name, known[name]
    words = f" {name.strip().lower()}"
    ends = [(len(end), key) for key, gpu in known.items() for end in gpu.names if words.endswith(f" {end.lower()}")]
    return (max(ends)[1], known[max(ends)[1]]) if ends else None


def linear_shapes(shape):
    """Return {module: (inputs, outputs)} of the seven projections of one layer. shape: training_schemas.Shape."""
    q, kv = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    return {"q_proj": (shape.hidden, q), "k_proj": (shape.hidden, kv), "v_proj": (shape.hidden, kv), "o_proj": (q, shape.hidden),
            "gate_proj": (shape.hidden, shape.intermediate), "up_proj": (shape.hidden, shape.intermediate),
            "down_proj": (shape.intermediate, shape.hidden)}


def linear_parameters(shape):
    """Return the weights of all projections of all layers: what is quantised, and what a token is multiplied with."""
    return shape.layers * sum(inputs * outputs for inputs, outputs in linear_shapes(shape).values())


def adapter_parameters(shape, lora):
    """Return the number of trained weights: r x (inputs + outputs) for each adapted projection. Raises ConfigError for an unknown one."""
    known = linear_shapes(shape)
    if unknown := [name for name in lora.target_modules if name not in known]:
        raise ConfigError(f"lora.target_modules: {unknown[0]} is no projection of this model. There are: {', '.join(known)}.")
    return shape.layers * sum(lora.r * sum(known[name]) for name in lora.target_modules)


def weight_width(compute):
    """Return the bytes of a number in compute.dtype; auto is bfloat16, as on a GPU."""
    return 4 if compute.dtype == "float32" else 2


def weight_bytes(entry, quantization, width):
    """Return the bytes of the frozen base. NF4 leaves embeddings, lm_head and norms as they are (transformers, get_keys_to_not_convert)."""
    linear = linear_parameters(entry.shape)
    if quantization.mode != "nf4":
        return entry.parameters * width
    constants = (1 + 4 / ABSMAX_BLOCK if quantization.double_quantization else 4) / NF4_BLOCK
    return int(linear * (0.5 + constants)) + (entry.parameters - linear) * width


def layer_bytes(shape, lora, width=2, mask=DROPOUT_MASK):
    """Return the bytes that one layer saves for backward, for each token. width: of the activations.

    A frozen projection saves nothing of its input. An adapter saves its own copy of it where dropout made one, else the one it shares
    with its neighbours; and its r intermediate values.
    """
    q, kv = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    known, groups = linear_shapes(shape), (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))
    inputs = 0
    for names in groups:
        used = [known[name][0] for name in names if name in lora.target_modules]
        if lora.dropout:
            inputs += sum(used) * (width + mask)
        elif used and names != ("o_proj",):  # o_proj's input is kept by attention already
            inputs += used[0] * width
    norms = 2 * (NORM * shape.hidden + 4)
    attention = width * (2 * q + 2 * kv) + LSE * shape.heads  # queries, keys, values and the result
    return norms + attention + 3 * shape.intermediate * width + inputs + len(lora.target_modules) * lora.r * width


def activation_bytes(entry, config, tokens, checkpointing):
    """Return the bytes of activations for `tokens` on the device at once, with what backward holds for a moment.

    Checkpointing keeps the input of every layer, and recomputes one layer at a time.
    """
    shape, width = entry.shape, weight_width(config.compute)
    layer = layer_bytes(shape, config.lora, width) * tokens
    layer += row_squared_bytes(shape, config.compute, tokens, width)
    kept = shape.layers * shape.hidden * width * tokens + layer if checkpointing else shape.layers * layer
    unpacked = width * shape.hidden * shape.intermediate if config.quantization.mode == "nf4" else 0  # the largest projection, in bf16
    return int(kept + (WORKING_H * shape.hidden + WORKING_I * shape.intermediate) * width / 2 * tokens + unpacked)


def row_squared_bytes(shape, compute, tokens, width):
    """Return the bytes of a layer that grow with the square of the tokens at once: sdpa's mask, eager attention's weights."""
    if compute.attention in NO_ROW_SQUARED or "/" in compute.attention:
        return 0
    heads_bytes = shape.heads * (4 + width) if compute.attention == "eager" else SDPA_MASK  # softmax in fp32, and cast
    return heads_bytes * tokens**2


def logit_bytes(entry):
    """Return the bytes of logits, however many tokens have a loss: TRL takes them a chunk at a time, and computes each anew in backward."""
    return LOSS_COPIES * LOSS_CHUNK * FP32 * entry.shape.vocabulary


def memory(entry, config, micro_batch, checkpointing):
    """Return the Memory of training a models.yaml entry under a TrainingConfig."""
    tokens, width = micro_batch * config.training.max_tokens, weight_width(config.compute)
    trained = adapter_parameters(entry.shape, config.lora)
    cast = width if width < FP32 else 0  # autocast keeps a copy of each adapter in the dtype of the activations
    parts = [weight_bytes(entry, config.quantization, width), trained * (FP32 + cast), trained * FP32,
             2 * trained * FP32,  # AdamW: two moments in the dtype of the weights
             activation_bytes(entry, config, tokens, checkpointing), logit_bytes(entry)]
    return Memory(*parts, overhead=CONTEXT_BYTES + int(SLACK * sum(parts)))


def fits_without_checkpointing(entry, config, gpu_bytes):
    """Return whether the configured micro-batch fits without recomputing activations."""
    return memory(entry, config, config.training.micro_batch, checkpointing=False).total <= gpu_bytes


def largest_micro_batch(entry, config, gpu_bytes, checkpointing):
    """Return the largest micro-batch (a power of two) that fits; 0 where not even one row does."""
    fits = 0
    while memory(entry, config, max(1, 2 * fits), checkpointing).total <= gpu_bytes:
        fits = max(1, 2 * fits)
    return fits


def forward_flops_per_token(entry, lora, *, loss_share=1.0, context=0.0):
    """Return the floating-point operations of one token's forward pass, a multiplication and an addition counted as two.

    2 for each weight of the layers and adapters; 4 for each value of a query and token it attends to, `context` on average; lm_head
    works on loss tokens alone.
    """
    shape = entry.shape
    attention = 4 * shape.layers * shape.heads * shape.head_size * context
    return 2 * (linear_parameters(shape) + adapter_parameters(shape, lora)) + attention + 2 * shape.hidden * shape.vocabulary * loss_share


def flops_per_token(entry, lora, *, checkpointing=False, loss_share=1.0, context=0.0):
    """Return the floating-point operations of training on one token.

    Forward, and backward: 2 for each frozen weight (its input's gradient, not its own), 4 for each of an adapter, attention 2.5 times
    its forward (Dao et al. 2022, FlashAttention), lm_head twice, as TRL's chunks are recomputed. Checkpointing recomputes the layers.
    """
    linear, adapters = linear_parameters(entry.shape), adapter_parameters(entry.shape, lora)
    layers = forward_flops_per_token(entry, lora, loss_share=0, context=context)
    attention = layers - 2 * (linear + adapters)
    head = 2 * entry.shape.hidden * entry.shape.vocabulary * loss_share
    return layers * (2 if checkpointing else 1) + head + 2 * linear + 4 * adapters + 2.5 * attention + 2 * head


def hours(flops, gpu, utilization):
    """Return the hours that so many operations take on a Gpu of which the share `utilization` is reached."""
    return flops / (gpu.bf16_tflops * 1e12 * utilization) / 3600
