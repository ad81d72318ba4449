"""Two processes train like one, agree when to stop, and are not silently one."""
import os
import signal
import socket

import pytest

import train
from paths import CONFIGS_DIR
from training import plant
from training.conftest import QUICK, fill_workspace, metrics
from weatherman import cli
from weatherman.training import distributed

FSDP2 = CONFIGS_DIR / "accelerate" / "fsdp2.yaml"
# Two rows an update, whoever computes them; no dropout, whose masks depend on the process.
PAIR = [*QUICK, "--set", "lora.dropout=0.0", "--set", "training.effective_batch=4", "--set", "training.max_steps=4"]


def test_a_launcher_that_started_one_process_of_several_is_found_out():
    """The environment is accelerate's own, for `accelerate launch --cpu --num_processes N`."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_simple_launcher_cmd_env

    def environment(processes):
        args = launch_command_parser().parse_args(["--cpu", "--num_processes", str(processes), "scripts/train.py"])
        return prepare_simple_launcher_cmd_env(_validate_launch_command(args)[0])[1]

    distributed.check_launch(environment(1))
    with pytest.raises(cli.UserError, match="asked for several processes and started only this one") as caught:
        distributed.check_launch(environment(2))
    assert "torchrun" in caught.value.hint


def test_processes_that_do_not_know_each_other_are_refused(monkeypatch):
    distributed.check_world()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(cli.UserError, match="2 processes were started, but 1 train together"):
        distributed.check_world()


def test_alone_a_process_sees_one_gpu(monkeypatch):
    for before, after in ((None, "0"), ("2,3", "2"), ("", "")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before or "")
        if before is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        distributed.choose_gpu()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == after


def launched():
    """Return the environment that `accelerate launch` gives each of 4 processes by our FSDP2 configuration."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env
    args = launch_command_parser().parse_args(["--config_file", str(FSDP2), "--num_processes", "4", "scripts/train.py"])
    args = _validate_launch_command(args)[0]
    assert args.use_fsdp and args.num_processes == 4
    return prepare_multi_gpu_env(args)


def test_accelerate_reads_the_fsdp_configuration():
    """accelerate ignores most keys that it does not know; what counts is what reaches the processes."""
    environment = launched()
    expected = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
                "FSDP_RESHARD_AFTER_FORWARD": "true", "FSDP_ACTIVATION_CHECKPOINTING": "false",
                "FSDP_CPU_RAM_EFFICIENT_LOADING": "false", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT", "ACCELERATE_MIXED_PRECISION": "bf16"}
    assert {name: environment[name] for name in expected} == expected


# --- two real processes (gloo, on the CPU) ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def workplace(tiny_model, tmp_path_factory):
    base = tmp_path_factory.mktemp("distributed")
    fill_workspace(base, tiny_model)
    return base


@pytest.fixture
def base(workplace, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(workplace))
    return workplace


def two_processes(arguments, planted=None, started_by=dict):
    """Return how the two processes ended that torchrun would start; they are forks, so nothing is imported anew.

    planted: a context manager for the second one. started_by: returns what its launcher adds to the environment of each.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def process(rank):
        from accelerate.state import AcceleratorState
        AcceleratorState._reset_state(reset_partial_state=True)  # what this process was before the fork
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                          MASTER_PORT=str(port), **started_by())
        with planted if planted and rank else open(os.devnull):
            return cli.run(train.main, arguments)

    first = os.fork()
    if first == 0:
        status = 70
        try:
            status = process(0)
        finally:
            os._exit(status)
    second = plant.in_a_fork(lambda: process(1))
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]), second


@pytest.fixture
def one(base, here):
    """The run folder of one process that did the work alone."""
    folder = base / "adapters" / "one"
    if not folder.exists():
        status, _, err = here(train.main, *PAIR, "--run", "one")
        assert status == 0, err
    return folder


def assert_same(folder, one):
    for key, error in (("loss", 1e-5), ("eval_loss", 1e-5), ("grad_norm", 1e-3), ("num_input_tokens_seen", 0)):
        assert metrics(folder, key) == pytest.approx(metrics(one, key), abs=error), key


def test_two_processes_give_the_losses_of_one(one, base):
    """Stopped in between: one of the two is asked to stop, both do after the same update, and the same command goes on."""
    stop = plant.in_pass(lambda count, ids, training: training and count == 1, plant.end_with(signal.SIGTERM))
    assert two_processes([*PAIR, "--run", "two"], stop) == (75, 75)
    assert two_processes([*PAIR, "--run", "two"]) == (0, 0)
    assert_same(base / "adapters" / "two", one)
    log = (base / "adapters" / "two" / "train.log").read_text()
    assert "stopped at step 1 of 4" in log and log.count("step 2/4  loss") == 1  # one of the two writes


def as_if_on_gpus():
    """Return the environment of `accelerate launch` with our FSDP2 configuration, and have accelerate take this CPU for a GPU.

    It shares weights out on GPUs only, though torch can do it on CPUs too; so all but the device is as there.
    """
    from accelerate.state import AcceleratorState, DistributedType, PartialState
    set_up = AcceleratorState.__init__

    def on_gpus(state, *, cpu=False, **kwargs):
        PartialState(cpu)
        if not AcceleratorState._shared_state:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        set_up(state, cpu=cpu, **kwargs)
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = on_gpus
    return {name: value for name, value in launched().items() if "FSDP" in name}


def test_sharded_weights_give_the_losses_of_one(one, base):
    """FSDP2 with configs/accelerate/fsdp2.yaml: every process holds half of each layer."""
    assert two_processes([*PAIR, "--run", "halves"], started_by=as_if_on_gpus) == (0, 0)
    folder = base / "adapters" / "halves"
    assert (folder / "checkpoints" / "checkpoint-4" / "pytorch_model_fsdp.bin").is_file()
    assert_same(folder, one)


def test_sharding_that_does_not_happen_is_refused(base, here, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    status, _, err = here(train.main, *PAIR, "--run", "whole-copies")
    assert status == 1 and "FSDP was asked for, but accelerate trains with whole copies" in err, err
