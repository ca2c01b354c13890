"""A repository over simulated months: a seed decides what happens and what fails, and invariants hold after each event.

Where the simulation is cut. Real are:
- the workflow files of .github: triggers, filters, conditions, `needs`, concurrency, permissions, inputs and steps are read
  from the YAML and evaluated by the harness of tests/workflows (rules, expressions, queues, router, plans);
- the verbs, called by the command line of `delivery.__main__` with the words and variables of the step;
- git: a bare repository, a new clone for every job, the branch `store`, tags, pushes that lose a race;
  What is asked and done most often libgit2 answers and does (`answers`); tests compare each answer and effect with git's;
- MLflow's registry in the store, the API's routes with the rights of the job's token, the state of an environment on a
  host with its two slots, its debts and what a killed command left.

Stand-ins, each with the interface of what it replaces:
- training and evaluation (`pipeline`): a number in params.yaml decides the quality of a model; `dvc` is content-addressed
  like DVC, but knows three stages;
- what a check of drift and a batch compute of rows (`periods`); the log, the limits and the proposal are real;
- the registry's database (`registry`);
- the comparison and the page of the report; of the gate the absolute minimums are judged;
- the processes of a service, its proxy, its requests and their counts (`hosts`): objects that answer, fail or stay behind;
- the sockets of the API and of git, the runner's shell and third-party actions (`runner`), the code in a bundle;
- the clock, which moves with every step, and every sleep.

A fault falls on a step of a job: a step is a git command, a request, or something done to a service. `killed` ends the job
there, and nothing that the verb does afterwards has an effect; `cancelled` is the interrupt that GitHub sends first;
`overtaken` lets another run end in between, or a person cancel this one; from `ahead` and `behind` on the clock of the job's
machine is hours or minutes wrong; `api` has GitHub refuse the next requests to write, `api down` and `api limit`
the next requests of any kind, the latter for their rate, `limited` only two; `full` fills the disk of the job's machine. So
each history is a list of actions without hidden state: a part of it can be run again, which is how a failing one is shrunk
(shrink.py).

At the end each open pull request of the people is merged, or its required check is red (`endings`).

What has to come to its end is in `liveness`: periods are decided in their order, a check that nothing hinders looks at the
oldest open one, and no record is owed after two deliveries.

Known, and not a rule yet:
- A batch scores the period after `fetch.until` again until that moves. So nothing asks yet that each period is scored.

People propose changes, push more, start again from main, bring branches up to date and merge them three ways (`people`); they
give a pull request another base, revert a merged one, reopen a closed one, set labels and write `/results`, as do some who
may not (`contributions`). A stranger proposes from a fork, whose runs wait for an approval, takes results and deletes the fork;
Dependabot raises an action (`outsiders`). The repository is of one of GitHub's plans, and production has reviewers
(`owners`); where the plan has rulesets, those of one person or of a team may be in force, so that main changes by pull
requests only (`rulesets`).
ci, comment, command and refresh run for them. The suites of tests and `make check` do nothing there.

Somebody deletes the branch `store`, and it is restored as the documentation says; artifacts expire (`losses`). An operator
deploys with a canary, steers and cancels it, cancels other runs, and repairs and retires production on its host (`operations`);
clients ask, much or little, and some models fail what they ask (`hosts`). What becomes of canaries and drills is in `deliveries`.

Not simulated: GitHub Enterprise Server, on which no workflow starts, caches, clients of older contracts, the limit of the
store's size.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path += [str(path) for path in (ROOT / "tests", ROOT / "tests" / "workflows") if str(path) not in sys.path]
