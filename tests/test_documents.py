"""Every command, flag, value, setting, path and program that a document shows exists, and so does every message it quotes as ours."""
import ast
import itertools
import re

import pytest

import quoted
from documented import faults, inline, snippets
from paths import CONFIGS_DIR, REPO_DIR, SCRIPTS_DIR

DOCUMENTS = [REPO_DIR / "README.md", *sorted((REPO_DIR / "docs").glob("*.md"))]
TROUBLES = REPO_DIR / "docs" / "TROUBLESHOOTING.md"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_shows_exists(document):
    assert faults(document.read_text(encoding="utf-8")) == []


def test_what_the_help_of_a_script_shows_exists():
    found, count = [], 0
    for script in sorted(SCRIPTS_DIR.glob("*.py")):
        lines = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).split("\n")
        shown = [line for before, line in zip(["", *lines], lines, strict=False)
                 if re.match(r" {4}\S*(python|\.sh)", line) or before.endswith("\\")]
        count += len(shown)
        found += [f"{script.name}: {fault}" for fault in faults("\n".join(["```", *shown, "```"]))]
    assert count > 50 and found == []


def test_what_the_head_of_a_configuration_launches_exists():
    heads = [path.read_text(encoding="utf-8").split("\n\n")[0] for path in sorted(CONFIGS_DIR.rglob("*.yaml"))]
    said = [line for head in heads for line in re.findall(r"Launch[^:\n]*:\s*(.*)", head)]
    launched = [call.strip(" #.") for line in said for call in re.split(r", then|;|  ", line)]
    assert len(launched) > 8
    assert [fault for call in launched for fault in inline(call)] == []


def commands_told(text):
    """Return the calls of our scripts that a message of our source tells to type, up to the first word that is no argument."""
    ours = re.compile(r"(?:python3? scripts/\w+\.py|scripts/\w+\.sh|\./setup_\w+\.sh)(?: [^,;:()`#]*)?")
    argument = re.compile(r"--?[\w-]+(=\S+)?|\S*/\S*|\d+|…")
    for call in ours.findall(text.replace(quoted.GAP, "…")):
        words = [word.strip("'").rstrip(".") for word in call.removeprefix("python3 ").removeprefix("python ").split()]
        yield " ".join(itertools.takewhile(argument.fullmatch, words))


def test_what_an_error_tells_to_type_exists():
    told = {command for text in quoted.all_templates() if len(text) < 250 for command in commands_told(text)}  # docstrings are longer
    assert len(told) > 30
    assert [fault for command in told for fault in inline(command)] == []
    assert list(commands_told("Try: python3 scripts/trian.py --run \0 again, or ./setup_remote.sh --cpu")) \
        == ["scripts/trian.py --run …", "./setup_remote.sh --cpu"]


def test_documents_and_commands_are_found():
    found = [snippet for document in DOCUMENTS for snippet in snippets(document.read_text(encoding="utf-8"))]
    assert len(DOCUMENTS) >= 8 and sum(strict for _, strict, _ in found) > 50 and len(found) > 400


@pytest.mark.parametrize("text,fault", [
    ("```\npython scripts/train_all.py\n```", "line 2: scripts/train_all.py: no such script"),
    ("`python scripts/09_preflight.py --shw-mask 8`", "unrecognized arguments: --shw-mask 8"),
    ("```bash\npython scripts/train.py --hardwar cpu\n```", "unrecognized arguments: --hardwar cpu"),  # argparse would complete it
    ("```bash\npython scripts/check_gpu.py --hardware rtx3080\n```", "invalid choice: 'rtx3080'"),
    ("```bash\npython scripts/eval_model.py\n```", "arguments are required: run"),
    ("```bash\npython scripts/train.py \\\n  --model\n```", "expected one argument"),
    ("`python scripts/train.py --set training.learnin_rate=1.0e-4`", "training_config.yaml has no training.learnin_rate"),
    ("`python scripts/train.py --set training.epochs=many`", "training.epochs"),
    ("`--set lora.rank=16`", "no configuration has this key"), ("`--preflght`", "--preflght: no script"),
    ("`./setup_remote.sh --conda`", "./setup_remote.sh has no --conda"),
    ("`scripts/sync_remote.sh gpu`", "scripts/sync_remote.sh: no such script"),
    ("`make tets`", "make tets: no such target"), ("`make lock UPGRAD=1`", "make UPGRAD=1: no such target"),
    ("see configs/hardware/rtx3080.yaml", "configs/hardware/rtx3080.yaml: no such file"),
    ("[this](docs/SETUP.md)", "docs/SETUP.md: no such file"),
    ("[this](SETUP.md)", "SETUP.md: no such file"), ("# The box\n[this](#the-bx)", "#the-bx: no such heading"),
    ("`data/processed/trian.jsonl`", "no script writes it"),
    ("`data/processed/{train,validate}.jsonl`", "no script writes it"), ("```\ncp adapters/RUN/run.jsn x\n```", "no script writes it"),
    ("```\nrclon copy a b\n```", "rclon: an unknown program"), ("`rclon copy -P a b`", "rclon: an unknown program"),
    ("`rsync -a --append-verify a b`", "rsync --append-verify: this flag is not declared"),
    ("```\nssh gpu 'cd x && ./setup_remote.sh --vnv'\n```", "./setup_remote.sh has no --vnv"),
    ("```\nsudo apt-get instal | tee x\n```", "tee: an unknown program"), ("```\npython -m pytests\n```", "no such module"),
    ("```\necho 'open\n```", "No closing quotation")])
def test_a_fault_in_a_document_is_found(text, fault):
    found = faults(text)
    assert len(found) == 1 and fault in found[0]


@pytest.mark.parametrize("text", [
    "```\nPYTHON=python3.12 ./setup_local.sh --dev   # --nonsense\n```", "`python scripts/train.py … --run NAME`", "`--workers N`",
    "`python scripts/eval_model.py --json`", "```json\n{\"a\": \"rclon -x\"}\n```", "`set -a; . ./.env; set +a`",
    "`adapters/RUN/metrics.jsonl`", "# The box, set up\n[x](#the-box-set-up) [y](CORPUS.md)",
    "`data/processed/{train,test}.jsonl`", "`rsync: command not found`",
    "```\npython scripts/train.py --set lora.r=8 --set lora.alpha=16 > log\n```",
    "```\ntorchrun --standalone --nproc-per-node 2 -- scripts/train.py --hardware h100_80gb\n```"])
def test_what_is_right_is_let_pass(text):
    assert faults(text) == []


def test_messages_quoted_as_ours_are_in_our_source():
    found = list(quoted.quoted_as_ours(TROUBLES.read_text(encoding="utf-8")))
    assert len(found) > 40
    assert [(number, message) for number, message in found if not quoted.is_ours(message)] == []


def test_a_message_that_nobody_prints_is_found():
    row = "| `… the disk is ful; the …` `…: the disk is full; …` | `train.py` | why | do |"
    assert [message for _, message in quoted.quoted_as_ours(row) if not quoted.is_ours(message)] == ["… the disk is ful; the …"]
    assert list(quoted.quoted_as_ours(row.replace("`train.py`", "pip"))) == []


def test_templates_have_gaps_where_values_go():
    source = 'a = f"{x}: no {y:,} such " "file" + more()\nb = "one" + f" {z}"'
    assert quoted.python_templates(source)[:2] == ["\0: no \0 such file\0", "one \0"]
    assert quoted.shell_templates('fail "$VENV: making $(f "$x") of ${Y:-1}" "x"') == ['fail "\0: making \0 of \0" "x"']
