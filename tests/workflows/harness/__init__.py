"""GitHub on one machine: a stand-in of its API and git server, its event rules, and `act` as the runner."""
