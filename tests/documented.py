"""Read the commands that documents show, and name what in them does not exist: scripts, flags, values, settings, targets, paths, programs.

A fenced block marked bash or sh, or not marked at all, holds commands that paste as they stand; inline code may leave out arguments.
"""
import argparse
import functools
import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

from config_loader import ConfigError
from in_process import main_of
from paths import CONFIGS_DIR, REPO_DIR, SCRIPTS_DIR
from weatherman import schemas

# Other people's programs and shell words, with the flags that the documents may use; what is not here is a fault.
PROGRAMS = {line.split()[0]: line.split()[1:] for line in """
    apt-get -y
    aws --exclude --recursive
    brew
    cat
    chmod
    cp
    curl -I
    df -h
    docker --gpus
    free -g
    head -n
    hf --include --local-dir --revision
    kill -9 -TERM
    make
    nano
    nvidia-smi
    open
    rclone --dry-run -P
    reboot
    rm -rf
    rsync -a
    runpodctl
    scp -P
    service
    sha256sum -c --quiet
    sha256sum -c --quiet
    sky --secret --env
    sntp -sS
    ssh -i -p -v
    ssh-add --apple-use-keychain
    ssh-copy-id -i -p
    ssh-keygen -R -f -t
    tail -f -n
    tensorboard --logdir
    timedatectl
    tmux -L -d -s
    xcode-select --install
    [ -t
    . | cd | echo | export | return | set -a +a | source | unset""".replace(" | ", "\n").strip().split("\n")}
# What runs the command behind its own flags.
RUNNERS = {"sudo": [], "time": [], "/usr/bin/time": ["-v"], "torchrun": ["--standalone", "--nproc-per-node", "--"],
           "accelerate": ["--config_file", "--num_processes", "--"]}
SEPARATORS = re.compile(r"[;&|()]+")
PLACEHOLDER = re.compile(r"…|\.\.\.|[A-Z][A-Z0-9_/-]*|<.*>")  # RUN, HOST, NAME: what the reader puts in
TRACKED = re.compile(r"(?<![\w/.<~-])((?:scripts|configs|docs|tests|data/samples)/[\w./*{},-]*[\w*}])")
WRITTEN = re.compile(r"(?<![\w/.<~-])((?:data|models|adapters|demo-workspace)/[\w./*{},-]*[\w*}])")


class _Found(Exception):
    """Carries a script's parser out of its main()."""


class _Refused(Exception):
    """A parser said no."""


# --- what the documents hold ------------------------------------------------------------------------------------------------

def snippets(text):
    """Yield (line number, whether it must paste as it stands, code) for every command line and every piece of inline code."""
    inline, block, held = [], None, ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("```"):
            block = None if block is not None else line[3:].strip()
            inline.append("")
        elif block is None:
            inline.append(line)
        else:
            inline.append("")
            if block in ("", "bash", "sh"):
                held += line.removesuffix("\\")
                if not line.endswith("\\") and held.strip():
                    yield number, True, held
                    held = ""
    prose = "\n".join(inline)
    for found in re.finditer(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", prose, re.DOTALL):
        if "\n\n" not in found[2]:
            yield prose.count("\n", 0, found.start()) + 1, False, " ".join(found[2].split()).replace("\\|", "|")


def simple_commands(line):
    """Return the commands of a shell line as lists of words; comments, redirections and assignments before them are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    commands, words = [], iter(_without_comment(lexer))
    current = []
    for word in words:
        if SEPARATORS.fullmatch(word):
            commands.append(current)
            current = []
        elif re.fullmatch(r"[<>&]+\d?", word):
            next(words, None)
        elif current or not re.fullmatch(r"[A-Z_][A-Z0-9_]*=.*", word):
            current.append(word)
    return [command for command in [*commands, current] if command]


def _without_comment(words):
    for word in words:
        if word.startswith("#"):
            return
        yield word


# --- what exists -----------------------------------------------------------------------------------------------------------

@functools.cache
def parser_of(script):
    """Return the ArgumentParser of scripts/SCRIPT, taken as it is about to parse."""
    if "parse_args" not in (SCRIPTS_DIR / script).read_text(encoding="utf-8"):
        parser = argparse.ArgumentParser()
        parser.add_argument("words", nargs="*")
        return parser
    parse = argparse.ArgumentParser.parse_args

    def stop(parser, *arguments):
        raise _Found(parser)
    argparse.ArgumentParser.parse_args = stop
    try:
        main_of(script)([])
    except _Found as found:
        return found.args[0]
    finally:
        argparse.ArgumentParser.parse_args = parse
    raise AssertionError(f"{script} parses no arguments")


@functools.cache
def shell_flags(script):
    """Return the flags in the --help of one of our shell scripts."""
    done = subprocess.run(["bash", str(script), "--help"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout))


@functools.cache
def known_flags():
    """Return every flag of every script and of the declared programs."""
    ours = {flag for path in SCRIPTS_DIR.glob("*.py") for flag in parser_of(path.name)._option_string_actions}
    shells = set().union(*(shell_flags(path) for path in [*REPO_DIR.glob("*.sh"), *SCRIPTS_DIR.glob("sync_*.sh")]))
    return ours | shells | {flag for flags in [*PROGRAMS.values(), *RUNNERS.values()] for flag in flags}


@functools.cache
def make_words():
    """Return (targets, variables) of the Makefile."""
    text = (REPO_DIR / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+):", text, re.M)), set(re.findall(r"\$[({]+([A-Z0-9]+)", text))


@functools.cache
def code_and_settings():
    """Return the text of all scripts and configurations: what writes a file names it."""
    paths = [*SCRIPTS_DIR.rglob("*.py"), *SCRIPTS_DIR.glob("*.sh"), *REPO_DIR.glob("setup_*.sh"), *CONFIGS_DIR.rglob("*.yaml")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


# --- judging ---------------------------------------------------------------------------------------------------------------

def faults(text):
    """Return a line for everything a document shows that does not exist."""
    found = []
    for number, strict, code in snippets(text):
        try:
            found += [f"line {number}: {fault}" for fault in (command_line(code, strict) if strict else inline(code))]
        except ValueError as error:  # an open quotation
            found += [f"line {number}: {code}: {error}"] if strict else []
    missing = [path for path in dict.fromkeys(TRACKED.findall(text)) if not exists(path)]
    return found + [f"{path}: no such file" for path in missing if not any(path in fault for fault in found)] + broken_links(text)


def broken_links(text):
    """Return a fault for each link to a file beside the documents or to a heading that is not there."""
    headings = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)", text, re.M)}
    links = re.findall(r"\]\(([^)]+)\)", text)
    return [f"{link}: no such heading" for link in links if link.startswith("#") and link[1:] not in headings] + \
        [f"{link}: no such file" for link in links if not re.match(r"#|https?:|docs/", link)
         and not any((folder / link).exists() for folder in (REPO_DIR, REPO_DIR / "docs"))]


def inline(code):
    """Return the faults of one piece of inline code: a command, flags alone, a path, or words that are none of these."""
    words = code.split()
    first = next((word for word in words if not re.fullmatch(r"[A-Z_][A-Z0-9_]*=.*", word)), "")
    if first.startswith("-"):
        return flags_alone(words)
    if len(words) == 1:
        return [] if written(code) else [f"{code}: no script writes it"]
    if first in PROGRAMS or first in RUNNERS or is_ours(first) or re.match(r"[a-z][\w.+-]* (\S+ )*--?[a-zA-Z]", code):
        return command_line(code, strict=False)
    return []


def command_line(line, strict):
    """Return the faults of a line of commands."""
    found = []
    for words in simple_commands(line):
        found += command(words, strict)
        found += [f"{path}: no script writes it" for word in words for path in WRITTEN.findall(word) if not written(path)]
    return found


def command(words, strict):
    """Return the faults of one simple command."""
    program, rest = re.sub(r"^\.venv-\w+/bin/(?!python)", "", words[0]), [word for word in words[1:] if word not in ("…", "...")]
    if re.fullmatch(r"(\S*/)?python3?(\.\d+)?", program):
        if rest[:1] == ["-m"]:
            return [] if importlib.util.find_spec(rest[1].partition(".")[0]) else [f"python -m {rest[1]}: no such module"]
        return command(rest, strict) if rest and not rest[0].startswith("-") else []
    if program in RUNNERS:
        start = next((i for i, word in enumerate(rest) if word in PROGRAMS or is_ours(word) or "python" in word), len(rest))
        return undeclared(program, rest[:start], RUNNERS[program]) + (command(rest[start:], strict) if rest[start:] else [])
    if re.match(r"scripts/(…|[A-Z]+)", program):  # scripts/…, scripts/NAME.py
        return []
    if program.endswith(".py"):
        return our_script(program, rest, strict)
    if program.endswith(".sh"):
        path = next((base / program for base in (REPO_DIR, SCRIPTS_DIR) if (base / program).is_file()), None)
        if path is None:
            return [f"{program}: no such script"]
        return [f"{program} has no {word}" for word in rest if word.startswith("-") and word.partition("=")[0] not in shell_flags(path)]
    if program == "bash" and rest:
        return command(rest, strict)
    if program == "make":
        targets, variables = make_words()
        return [f"make {word}: no such target" for word in rest if word.partition("=")[0] not in targets | variables and word != "…"]
    if program not in PROGRAMS:
        return [f"{program}: an unknown program; tests/documented.py lists those that documents may use"]
    carried = [word for word in rest if " " in word and program in ("ssh", "tmux")]  # a command for the other side
    return undeclared(program, rest, PROGRAMS[program]) + [fault for word in carried for fault in command_line(word, strict)]


def undeclared(program, words, flags):
    """Return a fault for each flag that is not among the declared ones."""
    return [f"{program} {word}: this flag is not declared in tests/documented.py" for word in words
            if re.match(r"[-+][\w-]", word) and word.partition("=")[0] not in flags and not re.fullmatch(r"-\d+", word)]


def is_ours(word):
    """Return whether a word names one of our scripts, there or not."""
    return bool(re.fullmatch(r"(\./|scripts/|tests/)[\w./…]*|\w+\.(py|sh)", word))


def our_script(program, rest, strict):
    """Return the faults of a call of one of our Python scripts: its own parser reads the arguments, and --set is resolved."""
    path = next((base / program for base in (REPO_DIR, SCRIPTS_DIR, SCRIPTS_DIR / "weatherman") if (base / program).is_file()), None)
    if path is None:
        return [f"{program}: no such script"]
    if path.parent != SCRIPTS_DIR:
        return []
    parser = parser_of(path.name)
    parser.allow_abbrev, parser.error = False, _refuse
    try:
        parser.parse_args(rest)
    except _Refused as refused:
        if not excused(str(refused), rest, strict):
            return [f"{program} {' '.join(rest)}: {refused}"]
    except SystemExit:  # --help
        return []
    return settings(program, rest, parser.get_default("config"))


def _refuse(message):
    raise _Refused(message)


def excused(message, words, strict):
    """Return whether a refusal is the reader's to mend: a placeholder where a value goes, or arguments left out of inline code."""
    if "arguments are required" in message or "expected one argument" in message or "expected at least one" in message:
        return not strict
    value = re.search(r"invalid .*?(?:value|choice): '(.*?)'", message)
    return bool(value and PLACEHOLDER.fullmatch(value[1]))


def settings(program, words, default):
    """Return the faults of `--set KEY=VALUE`: resolved as the script would; without a script, in any configuration that has the key."""
    pairs = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--set" and not re.search("…|key=value|KEY=VALUE", words[i + 1])]
    if not program:
        names = [name for name in schemas.SCHEMAS if name.endswith("_config.yaml")]
        return [f"--set {pair}: no configuration has this key" for pair in pairs
                if all(unresolved(CONFIGS_DIR / name, (pair.partition("=")[0],)) for name in names)]
    trouble = pairs and unresolved(CONFIGS_DIR / Path(default or "data_config.yaml").name, tuple(pairs))
    return [f"{program} {' '.join(pairs)}: {trouble}"] if trouble else []


@functools.cache
def unresolved(file, pairs):
    """Return why these KEY=VALUE do not fit the configuration, None when they do. A key alone, or with a placeholder, must exist."""
    try:
        for pair in pairs:
            values = schemas.load_file(file).plain
            for part in pair.partition("=")[0].split("."):
                values = values[part]
        given = [pair for pair in pairs if (value := pair.partition("=")[2]) and not PLACEHOLDER.fullmatch(value)]
        schemas.load_file(file, overrides=given)
    except (KeyError, TypeError):
        return f"{file.name} has no {pair.partition('=')[0]}"
    except ConfigError as error:
        return str(error)
    return None


def flags_alone(words):
    """Return the faults of flags that stand without their command: each must be one of somebody's."""
    named = [re.match(r"--?[\w-]+", word) for word in words if word.startswith("-")]
    return [f"{flag[0]}: no script or declared program has this flag" for flag in named if flag and flag[0] not in known_flags()] + \
        settings("", words, None)


def exists(path):
    """Return whether a tracked path is there; stars, {a,b} and capitals for the reader's own names are read as such."""
    if path == "configs/hosts.yaml" or path.startswith("configs/known_hosts"):
        return True
    return all((REPO_DIR / one).exists() or any(REPO_DIR.glob(one)) or (PLACEHOLDER.search(Path(one).stem) and not one.startswith("docs/"))
               for one in alternatives(path))


def written(path):
    """Return whether a path below data, models or adapters is there, or named by what writes it; every other path is."""
    if not WRITTEN.fullmatch(path.rstrip("/")):
        return True
    for one in alternatives(path.rstrip("/")):
        name = Path(one).name
        if not (REPO_DIR / one).exists() and not PLACEHOLDER.search(Path(one).stem) and "*" not in name and name not in code_and_settings():
            return False
    return True


def alternatives(path):
    """Return the paths that a path with {a,b} stands for."""
    found = re.fullmatch(r"(.*?)\{(.*?)\}(.*)", path)
    return [path] if not found else [one for word in found[2].split(",") for one in alternatives(found[1] + word + found[3])]
