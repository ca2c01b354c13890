"""What a repository has by its visibility and its owner's plan. Each field names its page of docs.github.com."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """A repository's visibility and plan, and what follows."""

    private: bool
    owner: str = field(default="Organization", kw_only=True)
    attestations: bool  # en/actions/concepts/security/artifact-attestations
    environments: bool  # en/actions/reference/workflows-and-actions/deployments-and-environments
    reviewers: bool  # the same page: required reviewers of an environment
    # en/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets/about-rulesets
    rulesets: bool
    # `uses: $/...`: en/actions/reference/workflows-and-actions/workflow-syntax; not on GitHub Enterprise Server.
    own_paths: bool = field(default=True, kw_only=True)


PLANS = {
    "public": Plan(private=False, attestations=True, environments=True, reviewers=True, rulesets=True),
    "free": Plan(private=True, attestations=False, environments=False, reviewers=False, rulesets=False),
    "pro": Plan(private=True, owner="User", attestations=False, environments=True, reviewers=False, rulesets=True),
    "team": Plan(private=True, attestations=False, environments=True, reviewers=False, rulesets=True),
    "enterprise": Plan(private=True, attestations=True, environments=True, reviewers=True, rulesets=True),
    "ghes": Plan(private=True, attestations=False, environments=True, reviewers=True, rulesets=True, own_paths=False),
}
NO_OWN_PATHS = "Invalid workflow file: `uses: $/` is not known to GitHub Enterprise Server"
# What GitHub answers where the plan has no attestations: the message of actions/attest-build-provenance.
NO_ATTESTATIONS = (
    "Failed to persist attestation: Feature not available for the {owner} organization. "
    "To enable this feature, please upgrade the billing plan, or make this repository public."
)
NO_RULESETS = "Upgrade to GitHub Pro or make this repository public to enable this feature."
