"""Git over HTTP: `git http-backend` behind the tokens of the hub, so that a push without the right is refused."""

import base64
import os
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path

# Nobody may push a file of more than 100 MiB; `git config hub.limit BYTES` makes that less in tests.
# docs.github.com/en/repositories/working-with-files/managing-large-files/about-large-files-on-github
# A token of a job may not change workflow files, whatever `contents` says.
PRE_RECEIVE = """#!/bin/sh
limit=$(git config hub.limit || echo 104857600)
while read -r old new ref; do
  [ "$new" = 0000000000000000000000000000000000000000 ] && continue
  large=$(git rev-list --objects "$new" --not --all |
    git cat-file --batch-check='%(objecttype) %(objectsize) %(rest)' |
    awk -v limit="$limit" '$1 == "blob" && $2 > limit {
      printf "File %s is %.2f MB; this exceeds GitHub'"'"'s file size limit of %.2f MB\\n", $3, $2 / 1048576, limit / 1048576 }')
  if [ -n "$large" ]; then
    echo "error: See https://gh.io/lfs for more information." >&2
    echo "$large" | sed 's/^/error: /' >&2
    echo "error: GH001: Large files detected. You may want to try Git Large File Storage - https://git-lfs.github.com." >&2
    exit 1
  fi
  [ "$HUB_TOKEN_KIND" = job ] || continue
  for base in "$old" $(git rev-parse --verify -q HEAD); do git cat-file -e "$base" 2>/dev/null && break; done
  if git diff-tree -r --name-only "$base" "$new" -- .github/workflows 2>/dev/null | grep -q .; then
    case "$ref" in refs/heads/store*|refs/delivery/*) continue ;; esac
    echo "refusing to allow a GitHub App to create or update workflow without workflows permission"; exit 1
  fi
done
"""
READ, WRITE = "git-upload-pack", "git-receive-pack"


def git(folder: Path | str, *words: str | Path, env: dict[str, str] | None = None, check: bool = True) -> str:
    """Runs git with nobody's configuration but the tests' own; returns its output without the last newline."""
    done = process(folder, list(map(str, words)), environment() | (env or {}))
    if check and done.returncode:
        raise RuntimeError(f"git {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def process(folder: Path | str, words: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run git in a folder to its end. The simulation replaces this for questions that are asked thousands of times."""
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def environment() -> dict[str, str]:
    """An environment that carries nothing of the person or machine that runs the tests but PATH."""
    return {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_PAGER": "cat", "LC_ALL": "C.UTF-8",
    }  # fmt: skip


def bare(path: Path, copy_of: Path | None = None) -> Path:
    """A bare repository with the hub's rules, empty or a copy of another with all its branches."""
    if copy_of:
        shutil.copytree(copy_of, path)
    else:
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", "--initial-branch=main")
    git(path, "config", "http.receivepack", "true")
    git(path, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(path, "config", "uploadpack.allowFilter", "true")
    git(path, "config", "receive.denyCurrentBranch", "ignore")
    hook = path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(PRE_RECEIVE)
    hook.chmod(0o755)
    return path


def refs(path: Path) -> dict[str, str]:
    """Every branch and its commit."""
    lines = git(path, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads").splitlines()
    return dict(line.split(" ") for line in lines)


def secret_of(header: str | None) -> str | None:
    """The token in an Authorization header, as git (basic), curl, octokit and gh send it."""
    kind, _, value = (header or "").partition(" ")
    if kind.lower() == "basic":
        return base64.b64decode(value).decode().partition(":")[2]
    return value or None


Reply = tuple[int, dict[str, str], bytes]


def serve(handler: BaseHTTPRequestHandler, path: Path, rest: str, query: str, body: bytes, kind: str) -> Reply:
    """One request of the git protocol, answered by git's own CGI program."""
    variables = {
        "GIT_PROJECT_ROOT": str(path), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": rest, "QUERY_STRING": query,
        "REQUEST_METHOD": handler.command, "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)), "REMOTE_USER": "hub", "REMOTE_ADDR": "127.0.0.1", "HUB_TOKEN_KIND": kind,
        "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
    }  # fmt: skip
    command = ["git", "http-backend"]
    done = subprocess.run(command, input=body, capture_output=True, env=environment() | variables, check=False)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    return int(headers.pop("Status", "200").split(" ")[0]), headers, content


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    """The request's body; git sends large pushes in chunks."""
    if handler.headers.get("Transfer-Encoding") == "chunked":
        parts = []
        while size := int(handler.rfile.readline().strip(), 16):
            parts.append(handler.rfile.read(size))
            handler.rfile.readline()
        handler.rfile.readline()
        return b"".join(parts)
    return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
