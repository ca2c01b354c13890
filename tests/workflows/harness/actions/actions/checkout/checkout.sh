# shellcheck shell=bash
set -euo pipefail
if [ "$REPOSITORY" = iterative/cml ]; then # what is at HUB_CML: the real program's source, or the stand-in
  [ -d "$HUB_CML" ] || { echo "::error::cannot reach $REPOSITORY"; exit 1; }
  cp -a "$HUB_CML" "$DESTINATION" && exit 0
fi
: "${TOKEN:=$(cat "$HUB_TOKENS/$GITHUB_JOB")}"
header="AUTHORIZATION: basic $(printf 'x-access-token:%s' "$TOKEN" | base64 -w0)"
mkdir -p "$DESTINATION" && cd "$DESTINATION"
git init --quiet --initial-branch=main
git remote add origin "$GITHUB_SERVER_URL/$REPOSITORY"
how=(--no-tags --depth "$DEPTH") all=()
if [ "$DEPTH" = 0 ]; then how=(--tags) all=('+refs/heads/*:refs/remotes/origin/*'); fi
if [[ -z "$REF" && "$GITHUB_REF" = refs/heads/* ]]; then # a run's own commit, wherever its branch is by now
  [ "${#all[@]}" -gt 0 ] || all=("+$GITHUB_SHA:refs/remotes/origin/${GITHUB_REF#refs/heads/}")
  git -c "http.extraheader=$header" fetch --quiet "${how[@]}" origin "${all[@]}"
  git checkout --quiet -B "${GITHUB_REF#refs/heads/}" "$GITHUB_SHA"
  [ "$PERSIST" != true ] || git config --local "http.$GITHUB_SERVER_URL/.extraheader" "$header"
  exit 0
fi
: "${REF:=$GITHUB_REF}"
case "$REF" in
  refs/heads/*) REF="${REF#refs/heads/}" ;;
esac
if [[ "$REF" =~ ^([0-9a-f]{40}|refs/.*)$ ]]; then
  git -c "http.extraheader=$header" fetch --quiet "${how[@]}" origin "${all[@]}" "+$REF:refs/remotes/pull/asked"
  git checkout --quiet --detach refs/remotes/pull/asked
else
  git -c "http.extraheader=$header" fetch --quiet "${how[@]}" origin "${all[@]}" "+refs/heads/$REF:refs/remotes/origin/$REF"
  git checkout --quiet -B "$REF" "refs/remotes/origin/$REF"
fi
if [ "$PERSIST" = true ]; then git config --local "http.$GITHUB_SERVER_URL/.extraheader" "$header"; fi
