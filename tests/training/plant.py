"""Faults planted in a real run: something happens in the n-th pass of the model, or while a file of a checkpoint is written."""
import contextlib
import os

import torch


def end_with(number):
    """Return an action that sends this process a signal."""
    return lambda *_: os.kill(os.getpid(), number)


@contextlib.contextmanager
def in_pass(when, action):
    """Inside, `action(ids, module, hidden)` happens in each pass for which `when(count, ids, training)` holds; what it returns replaces
    the embedded tokens.

    count: passes so far of that kind, from 1, training and evaluation apart; ids: int64 (rows, tokens).
    """
    counts = {True: 0, False: 0}

    def hook(module, inputs, hidden):
        if isinstance(module, torch.nn.Embedding):
            counts[module.training] += 1
            if when(counts[module.training], inputs[0], module.training):
                return action(inputs[0], module, hidden)
        return None

    handle = torch.nn.modules.module.register_module_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def in_backward(when, action):
    """Inside, `action(gradient)` happens in a backward pass between the tiny model's two layers; what it returns replaces the gradient.

    when: holds for the number of backward passes so far, from 1.
    """
    count = 0

    def on_gradient(gradient):
        nonlocal count
        count += 1
        return action(gradient) if when(count) else None

    def hook(module, inputs, hidden):
        if type(module).__name__ == "LlamaDecoderLayer" and module.self_attn.layer_idx == 0 and hidden.requires_grad:
            hidden.register_hook(on_gradient)

    handle = torch.nn.modules.module.register_module_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def in_save(monkeypatch, name, action):
    """Inside, `action()` happens just before torch writes a file whose path ends in `name`."""
    save = torch.save

    def planted(value, path, *args, **kwargs):
        if str(path).endswith(name):
            action()
        return save(value, path, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", planted)
        yield


def in_a_fork(work):
    """Return how a copy of this process ended that does `work()`: its status, or minus the signal. Importing TRL anew would take 10 s."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
