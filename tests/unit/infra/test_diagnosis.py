"""What Terraform and its providers say becomes what an operator should do."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import Conflict, InvalidInput, NotFound, RookeryError, Unavailable
from workflows.infra.diagnosis import explain, nothing_known
from workflows.infra.sites import Site
from workflows.infra.terraform import TerraformFailed

LIBVIRT = Site("lab", Path("/state/lab"), Path("/tf"), "libvirt")
CHAMELEON = Site("tacc", Path("/state/tacc"), Path("/tf"), "chameleon")


@pytest.mark.parametrize(
    ("site", "errors", "kind", "said"),
    [
        (
            LIBVIRT,
            ['No value for required variable: The root module input variable "base_image" is not set, and'],
            InvalidInput,
            "base_image must be given; allowed: -v base_image=….*libvirt.md",
        ),
        (
            CHAMELEON,
            [
                "Invalid value for variable: node_count must be whole. This was checked by the validation rule at x.tf"
            ],
            InvalidInput,
            "^node_count must be whole.$",
        ),
        (
            LIBVIRT,
            [
                "Invalid value for input variable: The given value is not suitable for var.ssh_public_keys declared at "
                "variables.tf:33,1-27: list of string required.",
                "Invalid value for input variable: The given value is not suitable for var.node_count declared at "
                "variables.tf:62,1-22: a number is required.",
            ],
            InvalidInput,
            r"^ssh_public_keys: list of string required\. node_count: a number is required\.$",
        ),
        (
            LIBVIRT,
            ["storage pool 'lab' already exists"],
            Conflict,
            "none is made twice.*When the state is lost.*libvirt.md",
        ),
        (
            LIBVIRT,
            ["internal error: Network is already in use by interface virbr1"],
            Conflict,
            "has the addresses of `cidr`.*-v cidr=",
        ),
        (
            LIBVIRT,
            ["operation failed: domain 'rookery-node1' already exists with uuid"],
            Conflict,
            "if another site has them, give this one a `name` of its own",
        ),
        (
            CHAMELEON,
            ["Resource precondition failed: node1-ada exists already, and"],
            Conflict,
            "openstack.md",
        ),
        (CHAMELEON, ["Your query returned more than one result."], Conflict, "several volumes of one name"),
        (LIBVIRT, ["Error acquiring the state lock: x"], Conflict, "lock of lab"),
        (
            LIBVIRT,
            ["failed to connect: dial unix /var/run/libvirt/libvirt-sock: no such file"],
            Unavailable,
            "libvirtd",
        ),
        (CHAMELEON, ["Authentication failed"], InvalidInput, "clouds.yaml; they may have expired"),
        (
            CHAMELEON,
            ["Quota exceeded for instances"],
            TerraformFailed,
            "terraform apply failed: Quota exceeded",
        ),
        (CHAMELEON, [], TerraformFailed, "it gave no reason"),
    ],
)
def test_the_reason_is_one_that_can_be_acted_on(
    site: Site, errors: list[str], kind: type[RookeryError], said: str
) -> None:
    found = explain(site, "machines", errors, "apply")
    assert type(found) is kind
    with pytest.raises(kind, match=said):
        raise found


def test_one_reason_from_several_resources_is_said_once() -> None:
    text = str(explain(CHAMELEON, "machines", ["Quota", "Quota", "Image"], "apply"))
    assert text.endswith("Quota | Image")


def test_the_definition_that_libvirt_adds_is_left_out() -> None:
    errors = [
        "network 'lab' already exists with uuid 8d - <network> <name>lab</name>",
        "pool 'lab' already exists",
    ]
    text = str(explain(LIBVIRT, "machines", errors, "apply"))
    assert "<" not in text and "network 'lab' already exists with uuid 8d" in text and "pool 'lab'" in text


def test_no_state_is_said_with_where_to_read_on() -> None:
    found = nothing_known(CHAMELEON)
    assert isinstance(found, NotFound)
    assert (
        "/state/tacc" in str(found)
        and "When the state is lost" in str(found)
        and "openstack.md" in str(found)
    )
