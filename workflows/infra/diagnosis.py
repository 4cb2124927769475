"""What an operator should do about an error of Terraform or of a provider."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.common.errors import Conflict, InvalidInput, NotFound, RookeryError, Unavailable
from workflows.infra.sites import Site
from workflows.infra.terraform import TerraformFailed

_EXISTS = re.compile(r"exists already|already exists|already in use by", re.IGNORECASE)
_LOCKED = re.compile(r"Error acquiring the state lock")
_RANGE_IN_USE = re.compile(r"Network is already in use by interface", re.IGNORECASE)
_NO_LIBVIRT = re.compile(r"failed to (connect|dial libvirt)|libvirt-sock|dialing libvirt", re.IGNORECASE)
_VARIABLE = re.compile(
    r"Invalid value for variable: (.*?) This was checked by the validation rule", re.DOTALL
)
_UNSET = re.compile(r"No value for required variable: The root module input variable \"(\w+)\" is not set")
_TYPE = re.compile(
    r"The given value is not suitable for var\.(\w+) declared at [^:]+:[\d,-]+: ([^|]*?)\.(?: \||$)"
)
_LOGIN = re.compile(r"Authentication failed|The request you have made requires authentication")
_AMBIGUOUS = re.compile(r"more than one (volume|result)", re.IGNORECASE)
NO_SUCH_VOLUME = re.compile(r"returned no results")


def explain(site: Site, layer: str, errors: Sequence[str], doing: str) -> RookeryError:
    """The error to raise for what Terraform reported."""
    text = _joined(errors) or "it gave no reason"
    wrong = wrong_values(site, errors)
    if wrong is not None:
        return wrong
    if _LOCKED.search(text):
        return Conflict(
            f"Terraform still holds the lock of {site.name}: another command is at work, or one was killed elsewhere"
        )
    if _RANGE_IN_USE.search(text):
        return Conflict(
            f"another network of this host has the addresses of `cidr`: {text[:800]}",
            allowed=f"-v cidr=192.168.101.0/24, or any other; see docs/how-to/{_page(site)}",
        )
    if _EXISTS.search(text):
        return _existing(site, layer, text)
    if _AMBIGUOUS.search(text):
        return Conflict(
            f"there are several volumes of one name, so which has the data is unclear: {text}",
            allowed="rename or delete the one that is not meant",
        )
    if _NO_LIBVIRT.search(text):
        return Unavailable(
            f"libvirt does not answer: {text}", allowed="a libvirtd that runs; see docs/how-to/libvirt.md"
        )
    if _LOGIN.search(text):
        return InvalidInput("OpenStack refuses the credentials of clouds.yaml; they may have expired")
    return TerraformFailed(f"terraform {doing} failed: {text[:1500]}")


def wrong_values(site: Site, errors: Sequence[str]) -> InvalidInput | None:
    """An error when variables are missing or break a rule; none for any other reason."""
    text = _joined(errors)
    unset = sorted(set(_UNSET.findall(text)))
    if unset:
        given = " ".join(f"-v {name}=…" for name in unset)
        return InvalidInput(
            f"{', '.join(unset)} must be given", allowed=f"{given}; see docs/how-to/{_page(site)}"
        )
    wrong = [f"{name}: {wanted}." for name, wanted in _TYPE.findall(text)]
    wrong += dict.fromkeys(match.strip() for match in _VARIABLE.findall(text))
    return InvalidInput(" ".join(wrong)) if wrong else None


def lost(site: Site, layer: str) -> RookeryError | None:
    """An error when the state file is gone but its backup is not."""
    state = site.state(layer)
    backup = state.with_name(f"{state.name}.backup")
    if state.exists() or not backup.exists():
        return None
    return Conflict(
        f"the state {state} is missing, but the one before it is still there",
        allowed=f"cp {backup} {state}, then the same command; or remove it if nothing of the site exists any more",
    )


def nothing_known(site: Site) -> NotFound:
    """There is no state to work from."""
    return NotFound(
        f"nothing is known of machines of the site {site.name}: there is no state in {site.folder}",
        allowed=f"`rookery infra up {site.name}`; if machines exist, see {_advice(site)}",
    )


def _joined(errors: Sequence[str]) -> str:
    return " | ".join(dict.fromkeys(errors))


def _existing(site: Site, layer: str, text: str) -> Conflict:
    # libvirt adds the whole definition of what it refused.
    text = re.sub(r" - <[^|]*", "", text)
    what = "the volume" if layer == "volume" else "machines or networks of this name"
    return Conflict(
        f"{what} exist already, and the state of the site {site.name} does not know them, so none is made twice: "
        f"{text[:800]}",
        allowed=f"if another site has them, give this one a `{_own_name(site)}` of its own; if a state was lost, "
        f"{_advice(site)} tells what to do",
    )


def _own_name(site: Site) -> str:
    return "name" if site.environment == "libvirt" else "suffix"


def _page(site: Site) -> str:
    return "libvirt.md" if site.environment == "libvirt" else "openstack.md"


def _advice(site: Site) -> str:
    return f'"When the state is lost" in docs/how-to/{_page(site)}'
