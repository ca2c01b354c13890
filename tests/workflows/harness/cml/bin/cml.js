#!/usr/bin/env python3
"""CML 0.20.6 as far as the workflows use it: the same options, no others, and the same calls of GitHub's API.

`comment create` and `pr create`. Scenarios run the real program instead where DELIVERY_CML names its checkout.
"""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

GLOBAL = {"log", "driver", "repo", "driver-token", "token"}
OPTIONS = {
    "comment": {"target", "pr", "commit-sha", "head-sha", "watch", "trigger-file", "publish", "publish-url",
                "publish-native", "native", "update", "rm-watermark", "watermark-title"},
    "pr": {"md", "skip-ci", "merge", "auto-merge", "rebase", "squash", "branch", "target-branch", "title", "body",
           "message", "remote", "user-email", "user-name"},
}  # fmt: skip
FLAGS = {"update", "rm-watermark", "md", "skip-ci", "pr", "watch", "merge", "rebase", "squash"}


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        return print("0.20.6")
    command, action, *rest = sys.argv[1:]
    if action != "create" or command not in OPTIONS:
        sys.exit(f"Unknown command: {command} {action}")
    options, paths = parse(command, rest)
    api("GET", f"/users/{os.environ.get('GITHUB_ACTOR', 'nobody')}")
    comment(options, paths) if command == "comment" else pull_request(options, paths)


def parse(command: str, words: list[str]) -> tuple[dict[str, str], list[str]]:
    options, paths = {"publish": "true"}, []
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            paths.append(word)
        elif name not in OPTIONS[command] | GLOBAL or (not equals and name not in FLAGS):
            sys.exit(f"Unknown argument: {name}")
        else:
            options[name] = value if equals else "true"
    return options, paths


def comment(options: dict[str, str], paths: list[str]) -> None:
    if options["publish"] != "false":
        sys.exit("the report's files would be published to a third party")
    kind, _, number = options["target"].partition("/")
    assert kind == "pr", options["target"]
    title = f"CML watermark {options.get('watermark-title', '')}".strip()
    body = f'{Path(paths[0]).read_text()}\n\n![](https://cml.dev/watermark.png#{os.environ["GITHUB_SHA"]} "{title}")'
    mark = re.compile(rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "{re.escape(title)}"\)')
    if options.get("update") == "true":
        # Only the first page, as CML does it.
        known = [entry for entry in api("GET", f"{REPO}/issues/{number}/comments") if mark.search(entry["body"])]
        if known:
            return print(api("PATCH", f"{REPO}/issues/comments/{known[-1]['id']}", {"body": body})["html_url"])
    print(api("POST", f"{REPO}/issues/{number}/comments", {"body": body})["html_url"])


def pull_request(options: dict[str, str], paths: list[str]) -> None:
    token, server = os.environ["GITHUB_TOKEN"], os.environ["GITHUB_SERVER_URL"]
    scheme, _, host = server.partition("://")
    git("remote", "set-url", "origin", f"{scheme}://token:{token}@{host}/{os.environ['GITHUB_REPOSITORY']}.git")
    git("config", "user.name", options.get("user-name", "Olivaw[bot]"))
    git("config", "user.email", options.get("user-email", "olivaw@iterative.ai"))
    target = re.sub(r"refs/(head|tag)s/", "", os.environ.get("GITHUB_HEAD_REF") or os.environ["GITHUB_REF"])
    branch = options["branch"]
    if branch not in git("ls-remote", "origin", branch):
        git("checkout", "-q", "-b", branch)
        git("add", *paths)
        message = options.get("message")
        git("commit", "-q", "-m", message or f"CML PR for {os.environ['GITHUB_SHA'][:8]} [skip ci]")
        git("push", "-q", "--set-upstream", "origin", branch)
    request = {"head": branch, "base": target, "title": options["title"], "body": options["body"]}
    print(api("POST", f"{REPO}/pulls", request)["html_url"])


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def api(method: str, path: str, body: dict | None = None):
    headers = {"Authorization": f"token {os.environ['GITHUB_TOKEN']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["GITHUB_API_URL"] + path, data, headers, method=method)
    try:
        return json.loads(urllib.request.urlopen(request).read())
    except urllib.error.HTTPError as error:
        sys.exit(f"HttpError: {json.loads(error.read())['message']}")


REPO = f"/repos/{os.environ.get('GITHUB_REPOSITORY', '')}"
main()
