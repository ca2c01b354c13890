#!/bin/sh
# What is neither the environment nor a mark is a miss. The environment is as if saved at once, since a composite action has
# no end of its own; a mark is saved by runner.py, if the run succeeds.
kept="$HUB_FOLDER/caches/$(printf %s "$KEY" | sed "s#$GITHUB_WORKSPACE#workspace#")"
case "$KEY" in
venv-*) # act makes a workspace for every job, where GitHub's is the same for all: its path is no part of the name here
  if [ -e "$kept" ]; then
    ln -sfn "$HUB_VENV" "$DESTINATION" && echo "hit=true" >> "$GITHUB_OUTPUT"
  else
    mkdir -p "${kept%/*}" && touch "$kept"
  fi
  ;;
remade-*)
  if [ -e "$kept" ]; then
    echo "hit=true" >> "$GITHUB_OUTPUT"
  else
    mkdir -p "$HUB_FOLDER/caches/of-$GITHUB_RUN_ID" && touch "$HUB_FOLDER/caches/of-$GITHUB_RUN_ID/$KEY"
  fi
  ;;
esac
