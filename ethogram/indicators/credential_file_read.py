"""A file with somebody's credentials that was read by something new."""

from __future__ import annotations

import pyarrow as pa

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import SECRETS
from ethogram.indicators.predicates import Mask, also, by_tool, matching, opened
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_CREDENTIALS = (
    r"/\.aws/(?:credentials|sso/cache/[^/]+)$|/\.azure/(?:accessTokens|msal_token_cache)[^/]*$"
    r"|/\.config/gcloud/(?:credentials\.db|application_default_credentials\.json|legacy_credentials/)"
    r"|/\.docker/config\.json$|/\.kube/config$|/\.netrc$|/\.git-credentials$|/\.pgpass$|/\.my\.cnf$"
    r"|/\.vault-token$|/\.terraform\.d/credentials\.tfrc\.json$|/\.config/gh/hosts\.yml$"
    r"|/etc/kubernetes/[a-z-]+\.conf$|/etc/rancher/k3s/k3s\.yaml$|/var/lib/kubelet/kubeconfig$"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge resolved paths of successful opens for reading."""
    read = opened(rows, Access.READ)
    return also(read, lambda: matching(rows.column("path"), _CREDENTIALS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="credential-file-read",
        title="File with credentials read",
        reason="who has them acts elsewhere in somebody's name",
        table="files",
        severity="high",
        attack=(Technique("T1552.001"),),
        confidence="medium",
        compliance=SECRETS,
        gate="baseline",
    ),
    bad=_bad,
    suspect=by_tool,
)
