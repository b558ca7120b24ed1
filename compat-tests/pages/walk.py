"""Takes a page apart into what a reader would do, does it in a shell, and compares what it says is printed.

Every ```sh block runs in one shell, in an empty folder, where `coffer` is the binary beside the server's. A line
`# → text` is what the command above it must print, where `…` stands for anything; a command without one must print no
errors. A block of another kind below a line that names a file is that file. Lines that install something, start the
server that the suite has, or say where it is are left out.
"""
import os
import pathlib
import re
import signal
import subprocess
import tempfile

END_OF_COMMAND = "\x1e"
LEFT_OUT = ("#", "export ", "cargo ", "pip ", "coffer server -dev -dev-root-token-id=root\n")


def steps(text):
    """The commands of a page, each with what it must print or None."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.S | re.M):
        for line in block.replace("\\\n", "").splitlines(keepends=True):
            if line.startswith("# → ") and found:
                found[-1] = (found[-1][0], line.removeprefix("# → ").strip())
            elif line.strip() and not line.startswith(LEFT_OUT):
                found.append((line.strip(), None))
    return found


def files(text):
    """The files of a page: their names and what is in them."""
    return re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", text, re.S | re.M)


def problem(status, printed, wanted):
    if status != "0":
        return f"exit code {status}"
    if wanted is None:
        return "it is refused" if '"errors"' in printed else None
    pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
    return None if re.fullmatch(pattern, printed.strip(), re.S) else f"want {wanted}"


def follow(text, environment):
    """Does what the page says. Yields each command, and what is wrong with it or None."""
    walk = steps(text)
    script = "".join(f"{command}\nprintf '{END_OF_COMMAND}%s{END_OF_COMMAND}' $?\n" for command, _ in walk)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files(text):
            (pathlib.Path(folder) / name).write_text(content)
        shell = subprocess.Popen(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                 cwd=folder, env=environment, start_new_session=True)
        output = shell.communicate()[0]
        try:
            os.killpg(shell.pid, signal.SIGKILL)  # what the page started and did not stop
        except ProcessLookupError:
            pass
    parts = output.split(END_OF_COMMAND)
    for (command, wanted), printed, status in zip(walk, parts[0::2], [*parts[1::2], *["none"] * len(walk)]):
        why = problem(status, printed, wanted)
        yield command, why and f"{why}; it printed {printed.strip()!r}"
