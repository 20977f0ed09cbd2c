"""Keys and vaults over REST (docs/protocol.md §6.1-6.3). Each view turns HTTP into words, makes one call, and turns the answer back."""

import re
from typing import Any, Final
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import credentials, directory, documents, kdf, key_shapes, userkeys, users, vaults
from accounts.addresses import address_of
from accounts.credentials import Kind, Secret
from accounts.serializers import USERNAME_SCHEMA
from accounts.views import PROBLEM_JSON, Private, Public, answers, principal
from kernel import clock, limits
from kernel.errors import InvalidInput
from kernel.forms import check_query, members_of, number_of, uuid_of
from kernel.sealed import WRAP, unb64

SECRET: Final = 256  # characters of a derived string
_NUMBER: Final = re.compile(r'(?P<quote>"?)(?P<number>[0-9]{1,9})(?P=quote)', re.ASCII)


def changes(status: int, shape: Any, *problems: int) -> dict[Any, Any]:
    """The `responses` of a change that may come too late: 409 says what there is now."""
    late = OpenApiResponse(key_shapes.OtherSeqShape, "There are other keys, or none.")
    return answers(status, shape, 400, 401, 403, 413, 415, 429, 503, *problems) | {(409, PROBLEM_JSON): late}


class Kdf(Public):
    """`/accounts/kdf`"""

    @extend_schema(
        operation_id="get_kdf",
        parameters=[OpenApiParameter("username", USERNAME_SCHEMA, required=True)],
        responses=answers(200, key_shapes.KdfShape, 400, 429, 503),
    )
    def get(self, request: Request) -> Response:
        """How to split this user's password. A name that nobody has is answered alike."""
        check_query(request.query_params, ("username",))
        if "username" not in request.query_params:
            raise InvalidInput("name the user", field="username")
        return Response(users.kdf_of(request.query_params["username"], address=address_of(request)))


class Password(Private):
    """`/account/password`"""

    @extend_schema(
        operation_id="change_password",
        request=key_shapes.ANY_PASSWORD,
        responses=changes(200, key_shapes.VaultVersionShape, 404),
    )
    def post(self, request: Request) -> Response:
        """Another password, and in the same moment the vault that it opens."""
        form = members_of(request.data, needs=("new_auth", "kdf"), may=("old_auth", "recovery_auth", "vault"))
        proof = credentials.one_of(password=_secret(form, "old_auth"), recovery=_secret(form, "recovery_auth"))
        caller = principal(request)
        version = credentials.change_password(
            caller.user_id,
            caller.device_id,
            proof=proof,
            new=_needed(form, "new_auth"),
            kdf=kdf.read(form["kdf"], "kdf"),
            vault=vaults.read(form["vault"]) if "vault" in form else None,
            address=address_of(request),
            now=clock.utc(),
        )
        return Response({"version": version})


class Setup(Private):
    """`/e2ee/setup`"""

    @extend_schema(
        operation_id="set_up_keys", request=key_shapes.SetupShape, responses=changes(201, key_shapes.BegunShape)
    )
    def put(self, request: Request) -> Response:
        """Your first keys. Once; the same again is answered alike."""
        form = members_of(request.data, needs=("userkeys", "vault"), may=("recovery_auth",))
        caller = principal(request)
        userkeys.set_up(
            caller.user_id,
            caller.device_id,
            document=documents.read(form["userkeys"], user=caller.user_id),
            vault=vaults.read(form["vault"]),
            recovery=_secret(form, "recovery_auth"),
        )
        return Response({"seq": 1, "version": 1}, status=201)


class Reset(Private):
    """`/e2ee/reset`"""

    @extend_schema(
        operation_id="reset_keys",
        request=key_shapes.ResetShape,
        responses=changes(200, key_shapes.BegunShape, 404),
    )
    def post(self, request: Request) -> Response:
        """Begin again with a new identity. What only the old keys open is lost, and your other devices are signed out."""
        form = members_of(request.data, needs=("userkeys", "vault", "auth"), may=("recovery_auth",))
        caller = principal(request)
        userkeys.reset(
            caller.user_id,
            caller.device_id,
            document=documents.read(form["userkeys"], user=caller.user_id),
            vault=vaults.read(form["vault"]),
            recovery=_secret(form, "recovery_auth"),
            proof=Secret(Kind.PASSWORD, _needed(form, "auth")),
            address=address_of(request),
            now=clock.utc(),
        )
        return Response({"seq": 1, "version": 1})


class Vault(Private):
    """`/e2ee/vault`"""

    @extend_schema(operation_id="get_vault", responses=changes(200, key_shapes.VaultShape))
    def get(self, request: Request) -> Response:
        """Your vault. All your devices are told that this one has read it."""
        caller = principal(request)
        return Response(vaults.get(caller.user_id, caller.device_id))

    @extend_schema(
        operation_id="change_vault",
        parameters=[key_shapes.if_match("the version")],
        request=key_shapes.ChangedVaultShape,
        responses=changes(200, key_shapes.VaultVersionShape, 404),
    )
    def put(self, request: Request) -> Response:
        """The next vault, perhaps with another recovery key."""
        form = members_of(request.data, needs=("vault", "auth"), may=("archive", "recovery_auth"))
        caller = principal(request)
        version = credentials.change_vault(
            caller.user_id,
            caller.device_id,
            version=_if_match(request),
            vault=vaults.read(form["vault"]),
            page=vaults.read_page(form["archive"]) if "archive" in form else None,
            password=_needed(form, "auth"),
            recovery=_secret(form, "recovery_auth"),
            address=address_of(request),
            now=clock.utc(),
        )
        return Response({"version": version})


class Archive(Private):
    """`/e2ee/vault/archive/{page}`"""

    @extend_schema(
        operation_id="get_vault_archive", responses=answers(200, key_shapes.ArchiveShape, 401, 403, 404, 429, 503)
    )
    def get(self, request: Request, page: int) -> Response:
        """A page of your old encryption keys."""
        caller = principal(request)
        return Response(vaults.get_page(caller.user_id, caller.device_id, page))


class Box(Private):
    """`/e2ee/box`"""

    @extend_schema(operation_id="get_box", responses=answers(200, key_shapes.BoxShape, 401, 403, 404, 429, 503))
    def get(self, request: Request) -> Response:
        """The newest encryption key that another device of yours sealed to this one."""
        caller = principal(request)
        return Response(vaults.get_box(caller.user_id, caller.device_id))


class UserKeys(Private):
    """`/e2ee/userkeys`"""

    @extend_schema(
        operation_id="change_keys",
        parameters=[key_shapes.if_match("the number of the document")],
        request=key_shapes.StepShape,
        responses=changes(200, key_shapes.DocumentNumberShape),
    )
    def put(self, request: Request) -> Response:
        """The next key document. Devices that it revokes are signed out."""
        seq = _if_match(request)
        form = members_of(request.data, needs=("userkeys",), may=("vault", "archive", "boxes"))
        caller = principal(request)
        step = userkeys.Step(
            documents.read(form["userkeys"], user=caller.user_id),
            vaults.read(form["vault"]) if "vault" in form else None,
            vaults.read_page(form["archive"]) if "archive" in form else None,
            _boxes(form.get("boxes", {})),
        )
        userkeys.put(caller.user_id, caller.device_id, seq=seq, step=step)
        return Response({"seq": step.document.seq})


class Query(Private):
    """`/e2ee/users/query`"""

    @extend_schema(
        operation_id="query_keys",
        request=key_shapes.QueryShape,
        responses=answers(200, key_shapes.FOUND, 400, 401, 403, 413, 415, 429, 503),
    )
    def post(self, request: Request) -> Response:
        """The newest key documents of up to 200 users. Whom you may not see, and who has none, is left out."""
        known = _known(members_of(request.data, needs=("known",))["known"])
        caller = principal(request)
        return Response(directory.query(caller.user_id, caller.device_id, known))


class OneUserKeys(Private):
    """`/e2ee/users/{user}/userkeys/{seq}`"""

    @extend_schema(operation_id="get_keys", responses=answers(200, key_shapes.UserKeysShape, 401, 403, 404, 429, 503))
    def get(self, request: Request, user_id: UUID, seq: int) -> Response:
        """The key document that had this number, as far as it is kept."""
        caller = principal(request)
        return Response(directory.get(caller.user_id, caller.device_id, user_id, seq))


# --- from HTTP to words ------------------------------------------------------------------------------------------------


def _if_match(request: Request) -> int:
    """The number in `If-Match`, as it is or quoted as RFC 9110 §8.8.3 has it."""
    found = _NUMBER.fullmatch(request.headers.get("If-Match", ""))
    if found is None:
        raise InvalidInput("If-Match must be the number that this follows", field="If-Match")
    return int(found["number"])


def _secret(form: dict[str, Any], name: str) -> str | None:
    return _needed(form, name) if name in form else None


def _needed(form: dict[str, Any], name: str) -> str:
    value = form[name]
    if not isinstance(value, str) or not 1 <= len(value) <= SECRET:
        raise InvalidInput(f"{name} must be 1 to {SECRET} characters", field=name)
    return value


def _boxes(value: Any) -> dict[UUID, bytes]:
    if not isinstance(value, dict) or len(value) > limits.DEVICES:
        raise InvalidInput(f"boxes are for at most {limits.DEVICES} devices", field="boxes")
    return {uuid_of(device, "boxes"): unb64(sealed, "boxes", length=WRAP) for device, sealed in value.items()}


def _known(value: Any) -> dict[UUID, int]:
    if not isinstance(value, dict) or len(value) > limits.KEY_QUERY:
        raise InvalidInput(f"ask for at most {limits.KEY_QUERY} users", field="known")
    return {uuid_of(user, "known"): number_of(seq, "known", most=documents.MOST) for user, seq in value.items()}
