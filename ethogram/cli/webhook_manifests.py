"""`ethogram webhook manifests`: what a cluster needs to ask the webhook."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram import __version__
from ethogram.cli.options import COMMAND_SETTINGS, examples
from ethogram.cli.screen import say
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.webhook.config import Config

__all__ = ["manifests"]

_BEGIN = """\
schema: ethogram.webhook/1
tls: {{certificate: {tls}/tls.crt, key: {tls}/tls.key}}
listen: "0.0.0.0:8443"
metrics: "0.0.0.0:9464"
mode: audit
pod_security: {{level: baseline, version: latest}}
excluded: {excluded}
"""


@click.command(
    "manifests",
    short_help="Print the objects that a cluster needs to ask the webhook.",
    context_settings=COMMAND_SETTINGS,
    epilog=examples(
        "ethogram webhook manifests --namespace ethogram",
        "ethogram webhook manifests --config webhook.yaml --certificates self",
        "ethogram webhook manifests --form policy",
    ),
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration that the webhook gets; one that only audits without it.",
)
@click.option("--namespace", default="ethogram", show_default=True, help="Where it runs.")
@click.option(
    "--image", help="The image of the webhook, best by digest; `ethogram:VERSION` without it."
)
@click.option(
    "--certificates",
    type=click.Choice(["cert-manager", "self"]),
    default="cert-manager",
    show_default=True,
    help="Who issues the certificate: cert-manager, or this command, for `--days`.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 825),
    default=365,
    show_default=True,
    help="How long a certificate of `--certificates self` is valid.",
)
@click.option(
    "--also-trust",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PEM with authorities to trust besides the new one, while a certificate is exchanged.",
)
@click.option(
    "--failure-policy",
    type=click.Choice(["Ignore", "Fail"]),
    default="Ignore",
    show_default=True,
    help="While nobody answers, namespaces that enforce let pods in (`Ignore`), or none (`Fail`).",
)
@click.option(
    "--form",
    type=click.Choice(["webhook", "asking", "policy"]),
    default="webhook",
    show_default=True,
    help="`asking` prints the certificates and the two configurations alone, for the server of"
    " `deploy/`; `policy` ValidatingAdmissionPolicies for the same level, which need no webhook.",
)
def manifests(**values: Any) -> None:
    """Print the objects that a cluster needs to ask the webhook, as YAML for `kubectl apply -f -`.

    Namespaces choose by the label `ethogram.dev/admission`: `audit` (as without it), `warn`,
    `enforce` or `off`. The namespace itself is not among the objects.
    """
    from ethogram.webhook.manifests import (
        TLS_PLACE,
        Choices,
        asking_objects,
        policies,
        webhook_objects,
    )
    from exporters.kubernetes import dump_documents, is_dns_label

    namespace = values["namespace"]
    if not is_dns_label(namespace):
        raise UsageError(f"`{namespace}` is no name of a namespace")
    config, text = _config(values["config"], namespace, TLS_PLACE)
    is_webhook = values["form"] != "policy"
    secret = None
    if is_webhook and values["certificates"] == "self":
        secret = _secret(namespace, values["days"], values["also_trust"])
    elif values["also_trust"] is not None:
        raise UsageError("`--also-trust` is for `--certificates self`", hint="leave it out")
    choices = Choices(
        namespace=namespace,
        image=values["image"] or f"ethogram:{__version__}",
        config=config,
        config_text=text,
        failure_policy=values["failure_policy"],
        secret=secret,
    )
    forms = {"webhook": webhook_objects, "asking": asking_objects, "policy": policies}
    click.echo(dump_documents(forms[values["form"]](choices)).decode(), nl=False)
    if secret is not None:
        say(f"the key of the certificate is in what was printed; both end in {values['days']} days")
    if not is_webhook and (config.exemptions or config.namespaces):
        say("warning: exemptions and levels of single namespaces have no place in a policy")


def _config(path: Path | None, namespace: str, place: str) -> tuple[Config, str]:
    from ethogram.webhook.config import load_config, parse_config

    if path is None:
        excluded = f"[kube-system, kube-node-lease, {namespace}]"
        text = _BEGIN.format(tls=place, excluded=excluded)
        return parse_config(text, source="the configuration to begin with"), text
    config = load_config(path)
    wanted = {f"{place}/tls.crt", f"{place}/tls.key"}
    if {config.tls.certificate, config.tls.key} != wanted or not config.listen.endswith(":8443"):
        raise UsageError(
            f"`{path}` does not fit: the objects have the certificate in {place}, and port 8443",
            hint=f"write `tls: {{certificate: {place}/tls.crt, key: {place}/tls.key}}` and "
            '`listen: "0.0.0.0:8443"`',
        )
    return config, path.read_text(encoding="utf-8")


def _secret(namespace: str, days: int, also: Path | None) -> dict[str, bytes]:
    from ethogram.webhook.authority import issued
    from ethogram.webhook.manifests import names_of

    made = issued(names_of(namespace), now=datetime.now(UTC), lasts=timedelta(days=days))
    if also is not None:
        try:
            content = also.read_bytes()
        except OSError as error:
            raise UsageError(
                f"`{also}` cannot be read: {(error.strerror or '').lower()}"
            ) from error
        if b"-----BEGIN CERTIFICATE-----" not in content:
            raise UsageError(f"`{also}` holds no certificate as PEM")
        made["ca.crt"] += content
    return made
