#!/bin/sh
# What is not the environment is a miss; a miss is as if saved at once, since a composite action has no end of its own.
case "$KEY" in venv-*) ;; *) exit 0 ;; esac
# act makes a workspace for every job, where GitHub's is the same for all: its path is no part of the name here.
kept="$HUB_FOLDER/caches/$(printf %s "$KEY" | sed "s#$GITHUB_WORKSPACE#workspace#")"
if [ -e "$kept" ]; then
  ln -sfn "$HUB_VENV" "$DESTINATION" && echo "hit=true" >> "$GITHUB_OUTPUT"
else
  mkdir -p "${kept%/*}" && touch "$kept"
fi
