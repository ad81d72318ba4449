"""Keeps the libraries' bars and known false alarms off the screen; everything else they say stays."""
import logging

# TRL warns that packing may mix neighbours unless attention is a FlashAttention variant. packed-sdpa cuts the row instead, and
# transformers builds a block-diagonal mask from the restarting positions for sdpa: tests/training/test_packing.py compares packed
# with separate logits.
KNOWN_FALSE_ALARMS = ("Padding-free training is enabled, but", "You are using packing, but", "Failed to load CPU gemm_4bit_forward",
                      "The modules are dequantized in")


class _Filter(logging.Filter):
    def filter(self, record):
        return not any(text in record.getMessage() for text in KNOWN_FALSE_ALARMS)


def quiet_libraries():
    """Turn off the progress bars of transformers and datasets and filter the alarms above. Call it before loading a model."""
    import datasets
    import transformers
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    for name in ("trl.trainer.sft_trainer", "bitsandbytes.backends.cpu.ops", "bitsandbytes", "transformers.integrations.bitsandbytes"):
        logging.getLogger(name).addFilter(_Filter())
