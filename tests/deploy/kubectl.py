"""A cluster as kubectl shows it, in a file: what was applied, how its Deployments stand, and every call that was made.

It knows the calls that the target makes and refuses any other. CLUSTER is its folder; `kustomize` is the real one's. A file
`fail` there holds the beginning of the call that fails, and its reason. Pods ask a service of the test for their metrics.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HOME = Path(os.environ["CLUSTER"])
STATE = HOME / "state.json"


def main(words: list[str]) -> str:
    said = " ".join(words)
    with (HOME / "calls").open("a") as calls:
        calls.write(said + "\n")
    if (HOME / "fail").exists():
        start, _, why = (HOME / "fail").read_text().partition(": ")
        if said.startswith(start):
            (HOME / "fail").unlink()
            sys.exit(f"error: {why}")
    if words[0] == "kustomize":
        return subprocess.run([os.environ["KUBECTL"], *words], check=True, capture_output=True, text=True).stdout
    state = json.loads(STATE.read_text()) if STATE.exists() else {}
    answer = act(words, state)
    STATE.write_text(json.dumps(state))
    return answer


def act(words: list[str], state: dict) -> str:  # noqa: PLR0912  one case for each call
    match words:
        case ["apply", "--filename", "-"]:
            import yaml

            for one in yaml.safe_load_all(sys.stdin.read()):
                if one["kind"] == "ConfigMap":
                    state[f"configmap {one['metadata']['name']}"] = one
                if one["kind"] == "Deployment":
                    history = state.get(one["metadata"]["name"], {}).get("history", [])
                    state[one["metadata"]["name"]] = {"history": [*history, one]}
        case ["get", "deployment", name, "--ignore-not-found", "--output", "json"]:
            if name not in state:
                return ""
            one = state[name]["history"][-1]
            pods = one["spec"].get("replicas", 2)
            status = {"updatedReplicas": pods, "availableReplicas": pods, "observedGeneration": 1}
            return json.dumps(one | {"spec": one["spec"] | {"replicas": pods}, "status": status})
        case ["get", "configmap", name, "--ignore-not-found", "--output", "json"]:
            return json.dumps(state[f"configmap {name}"]) if f"configmap {name}" in state else ""
        case ["delete", "configmap", name, "--ignore-not-found"]:
            state.pop(f"configmap {name}", None)
        case ["rollout", "status", name, _]:
            if name.partition("/")[2] not in state:
                sys.exit(f"error: {name} not found")
        case ["rollout", "undo", name]:
            state[name.partition("/")[2]]["history"].pop()
        case ["scale", name, replicas]:
            state[name.partition("/")[2]]["history"][-1]["spec"]["replicas"] = int(replicas.partition("=")[2])
        case ["label", "pods", "--selector", "app=delivery,track=canary", "--overwrite", "traffic=on"]:
            pass
        case ["get", "pods", "--selector", selector, "--output", "json"]:
            track = selector.partition("track=")[2].partition(",")[0]
            one = state["delivery" if track == "stable" else "delivery-canary"]["history"][-1]
            items = [{"metadata": {"name": f"{track}-{n}"}} for n in range(one["spec"].get("replicas", 2))]
            return json.dumps({"items": items})
        case ["get", "--raw", path]:
            import urllib.request

            track = path.partition("/pods/")[2].partition("-")[0]
            port = (HOME / f"{track}.port").read_text()
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        case ["delete", "deployment", name, "--ignore-not-found"]:
            state.pop(name, None)
        case ["port-forward", name, ":8000"]:
            version = state[name.partition("/")[2]]["history"][-1]["metadata"]["annotations"]["delivery/version"]
            print(f"Forwarding from 127.0.0.1:{(HOME / version).read_text()} -> 8000", flush=True)
        case _:
            sys.exit(f"error: this stand-in does not know: {words}")
    return ""


if __name__ == "__main__":
    arguments = sys.argv[1:]
    assert arguments[0] == "--namespace"
    print(main(arguments[2:]), end="")
