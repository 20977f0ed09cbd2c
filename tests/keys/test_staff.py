"""Staff see neither keys nor vaults, and no log has them."""

import pytest
from django.apps import apps
from django.contrib import admin

from accounts.models import Device, DeviceBox, User, UserKeys, UserKeysHistory, Vault, VaultArchive

SECRET = {"password", "recovery", "kdf", "key"}


@pytest.mark.parametrize("model", [UserKeys, UserKeysHistory, Vault, VaultArchive, DeviceBox])
def test_there_is_no_page_for_them(model):
    assert model in apps.get_models()
    assert not admin.site.is_registered(model)


@pytest.mark.parametrize("model", [User, Device])
def test_no_page_shows_them(model):
    page = admin.site.get_model_admin(model)
    shown = {*page.fields, *page.list_display, *page.search_fields}
    assert not shown & SECRET


def test_they_print_nothing():
    keys = UserKeys(user_id=User().pk, seq=3, payload=b"payload")
    assert "payload" not in repr(keys)
    assert "sealed" not in repr(Vault(user_id=User().pk, sealed=b"sealed"))
