"""Staff see the open alerts, find one, write down what they think, and act; all that they do stands in the log."""

import asyncio
import secrets

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Device, Staff, User
from delivery.alerts.notices import notify_due
from delivery.models import AbuseAlert
from tests.alerts.conftest import goes_on, open_alert
from tests.staff.conftest import Clerk

LIST = "delivery/abusealert/"


@pytest.fixture
def clerk():
    """May do everything."""
    it = Clerk(is_superuser=True)
    it._sign_in()
    return it


def clerk_who_may(*codenames):
    """May do these things and no others."""
    it = Clerk()
    member = Staff.objects.create(username=f"clerk.{secrets.token_hex(5)}", is_staff=True)
    member.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    it.client.force_login(member)
    return it


class Pair:
    """Mallory, a device of Mallory's, and Alice, who blocks Mallory."""

    def __init__(self):
        self.mallory = User.objects.create(username=f"mallory.{secrets.token_hex(5)}", password="!")
        self.alice = User.objects.create(username=f"alice.{secrets.token_hex(5)}", password="!")
        self.device = Device.objects.create(user=self.mallory, name=f"burner {secrets.token_hex(3)}")

    def alert(self, **fields):
        about = {"device_id": self.device.pk, "sender_id": self.mallory.pk, "recipient_id": self.alice.pk}
        return open_alert(**about | fields)


@pytest.fixture
def pair():
    return Pair()


def acts(clerk, alert, action, **fields) -> str:
    """Choose the action and confirm it; the text of the page that follows."""
    form = {"action": action, "_selected_action": alert.pk, "index": 0, "confirmed": "yes", **fields}
    return clerk._post(f"{LIST}?state=all", form)


def log_of(thing) -> list[str]:
    return list(
        LogEntry.objects.filter(object_id=str(thing.pk)).order_by("pk").values_list("change_message", flat=True)
    )


class TestTheQueue:
    def test_it_says_who_by_what_to_whom_how_often_and_when(self, clerk, pair):
        alert = pair.alert(count=4711)

        page = clerk._get(LIST, 200)

        for shown in (
            f"#{alert.pk}<",
            pair.mallory.username,
            pair.device.name,
            "wild-client 6.6.6",
            pair.alice.username,
            "4,711",
            f"{alert.first_at:%Y-%m-%d %H:%M:%S}",
            f"{alert.last_at:%Y-%m-%d %H:%M:%S}",
            "12 / 14",
        ):
            assert shown in page, shown

    def test_it_shows_what_is_open_unless_asked_otherwise(self, clerk, pair):
        waiting, done = pair.alert(), open_alert(state="acknowledged")

        shown = {
            state: {row.pk for row in (waiting, done) if f"{LIST}{row.pk}/" in clerk._get(f"{LIST}{state}", 200)}
            for state in ("", "?state=acknowledged", "?state=all")
        }

        assert shown == {"": {waiting.pk}, "?state=acknowledged": {done.pk}, "?state=all": {waiting.pk, done.pk}}

    def test_the_newest_message_comes_first(self, clerk):
        first, second = open_alert(), open_alert()
        goes_on(first)

        page = clerk._get(LIST, 200)

        assert page.index(f"#{first.pk}<") < page.index(f"#{second.pk}<")

    def test_it_is_filtered_by_client_and_time(self, clerk):
        one = open_alert(client_name="a/b", client_version="1")
        other = open_alert(client_name="a", client_version="b/1")
        old = open_alert(client_name="a/b", client_version="1")
        AbuseAlert.objects.filter(pk=old.pk).update(last_at="2026-01-01T00:00Z")

        def shown(query):
            page = clerk._get(f"{LIST}?{query}", 200)
            return {row.pk for row in (one, other, old) if f"#{row.pk}<" in page}

        assert shown("client=a/b%091") == {one.pk, old.pk}
        assert shown("client=a/b%091&last=day") == {one.pk}
        assert shown("last=hour") == {one.pk, other.pk}

    @pytest.mark.parametrize("by", ["pk", "device_id", "sender_id", "recipient_id", "last_message_id", "name"])
    def test_it_is_searched_by_ids_and_names(self, clerk, pair, by):
        alert, other = pair.alert(), open_alert()
        term = pair.mallory.username if by == "name" else getattr(alert, by)

        page = clerk._get(f"{LIST}?q={term}", 200)

        assert f"#{alert.pk}<" in page
        assert f"#{other.pk}<" not in page

    @pytest.mark.parametrize("term", ["nobody.at.all", "99999999999999999999999", "%00"])
    def test_what_is_not_there_is_not_found(self, clerk, term):
        assert "0 abuse alerts" in clerk._get(f"{LIST}?q={term}", 200)

    def test_a_page_of_fifty_costs_a_handful_of_queries(self, clerk):
        for _ in range(60):
            open_alert()
        clerk._get(LIST, 200)

        with CaptureQueriesContext(connection) as queries:
            clerk._get(LIST, 200)

        assert len(queries) <= 8

    def test_other_columns_cannot_be_searched(self, clerk):
        clerk._get(f"{LIST}?notes__startswith=a", 400)


class TestOneAlert:
    def test_its_page_says_what_was_known_and_what_was_told(self, clerk, pair, hook, clock):
        alert = pair.alert(count=9)
        notify_due(clock)

        page = clerk._get(f"{LIST}{alert.pk}/change/", 200)

        assert f"/admin/trace/{alert.last_message_id}/" in page
        assert "Webhook: told of 9 messages at 2026-11-23 12:00:00 UTC" in page

    def test_its_page_says_what_could_not_be_told(self, clerk, pair, hook, clock):
        alert = pair.alert()
        hook.answers.append(500)
        notify_due(clock)

        assert "failed 1 times (answered 500), tried again at 12:01:00 UTC" in clerk._get(
            f"{LIST}{alert.pk}/change/", 200
        )

    def test_notes_are_kept_and_logged_and_nothing_else_can_be_changed(self, clerk, pair):
        alert = pair.alert(count=3)
        page = f"{LIST}{alert.pk}/change/"

        clerk._post(page, {"notes": "Called them.", "count": 1, "state": "acknowledged", "client_name": "x"})

        alert.refresh_from_db()
        assert (alert.notes, alert.count, alert.state, alert.client_name) == ("Called them.", 3, "open", "wild-client")
        assert log_of(alert) == ['[{"changed": {"fields": ["Notes"]}}]']

    def test_writing_notes_does_not_undo_what_the_drain_counts(self, clerk, pair, monkeypatch):
        """The row is read, the drain counts on, and then the notes are saved."""
        from delivery.alerts.admin import AbuseAlerts

        alert = pair.alert(count=3)
        save = AbuseAlerts.save_model

        def save_late(self, *args, **kwargs):
            goes_on(alert, by=5)
            save(self, *args, **kwargs)

        monkeypatch.setattr(AbuseAlerts, "save_model", save_late)
        clerk._post(f"{LIST}{alert.pk}/change/", {"notes": "n"})

        alert.refresh_from_db()
        assert (alert.notes, alert.count) == ("n", 8)

    def test_none_is_made_or_deleted_by_hand(self, clerk, pair):
        alert = pair.alert()

        clerk._get(f"{LIST}add/", 403)
        clerk._get(f"{LIST}{alert.pk}/delete/", 403)


class TestActions:
    @pytest.mark.parametrize("action", ["acknowledge", "suspend", "revoke"])
    def test_each_asks_first(self, clerk, pair, action):
        alert = pair.alert()

        page = clerk._post(LIST, {"action": action, "_selected_action": alert.pk, "index": 0})

        assert "Are you sure?" in page
        assert pair.mallory.username in page
        self.nothing_happened(alert, pair)

    def nothing_happened(self, alert, pair):
        for row in (alert, pair.mallory, pair.device):
            row.refresh_from_db()
            assert log_of(row) == []
        assert (alert.state, pair.mallory.suspended_at, pair.device.revoked_at) == ("open", None, None)

    def test_acknowledging_takes_it_from_the_queue_and_a_further_message_opens_another(self, clerk, pair):
        alert = pair.alert(count=6)

        page = acts(clerk, alert, "acknowledge")

        assert "Acknowledged 1 alert." in page
        alert.refresh_from_db()
        assert alert.state == "acknowledged"
        assert alert.handled_by is not None
        assert alert.handled_at is not None
        assert log_of(alert) == ["Acknowledged at 6 messages."]
        another = pair.alert()  # the constraint allows it
        assert f"#{another.pk}<" in clerk._get(LIST, 200)

    def test_suspending_suspends_the_user_and_says_so_in_both_logs(self, clerk, pair):
        alert = pair.alert()

        page = acts(clerk, alert, "suspend", acknowledge="yes")

        assert "Suspended 1 user." in page
        assert "Acknowledged 1 alert." in page
        pair.mallory.refresh_from_db()
        alert.refresh_from_db()
        assert pair.mallory.suspended_at is not None
        assert alert.state == "acknowledged"
        assert log_of(alert) == [
            f"Suspended the user {pair.mallory.username} ({pair.mallory.pk}).",
            "Acknowledged at 1 messages.",
        ]
        assert log_of(pair.mallory) == [f"Suspended, because of alert {alert.pk}."]

    def test_revoking_revokes_the_device_alone_and_says_so_in_both_logs(self, clerk, pair):
        laptop = Device.objects.create(user=pair.mallory, name="laptop")
        alert = pair.alert()

        page = acts(clerk, alert, "revoke")

        assert "Revoked 1 device." in page
        for row in (pair.device, laptop, pair.mallory, alert):
            row.refresh_from_db()
        assert pair.device.revoked_at is not None
        assert (laptop.revoked_at, pair.mallory.suspended_at, alert.state) == (None, None, "open")
        assert log_of(alert) == [f"Revoked the device {pair.device.name} ({pair.device.pk})."]
        assert log_of(pair.device) == [f"Revoked, because of alert {alert.pk}."]

    @pytest.mark.parametrize(
        ("action", "done"), [("acknowledge", "Acknowledged"), ("suspend", "Suspended"), ("revoke", "Revoked")]
    )
    def test_what_is_done_already_is_not_logged_again(self, clerk, pair, action, done):
        alert = pair.alert()

        assert f"{done} 1 " in acts(clerk, alert, action)
        assert f"{done} 0 " in acts(clerk, alert, action)

        assert len(log_of(alert)) == 1

    def test_several_alerts_of_one_user_are_dealt_with_at_once(self, clerk, pair):
        bob = User.objects.create(username=f"bob.{secrets.token_hex(5)}", password="!")
        alerts = [pair.alert(), pair.alert(recipient_id=bob.pk)]
        form = {"action": "suspend", "_selected_action": [alert.pk for alert in alerts], "confirmed": "yes"}

        page = clerk._post(LIST, {**form, "acknowledge": "yes"})

        assert "Suspended 1 user." in page
        assert {AbuseAlert.objects.get(pk=alert.pk).state for alert in alerts} == {"acknowledged"}

    def test_who_is_gone_breaks_nothing(self, clerk):
        alert = open_alert()

        assert "gone: " in clerk._get(LIST, 200)
        assert "gone: " in clerk._get(f"{LIST}{alert.pk}/change/", 200)
        assert "Suspended 0 users." in acts(clerk, alert, "suspend")
        assert "Revoked 0 devices." in acts(clerk, alert, "revoke")

    def test_from_its_page_one_comes_back_to_it(self, clerk, pair):
        alert = pair.alert()
        page = clerk._get(f"{LIST}{alert.pk}/change/", 200)
        assert all(f'name="action" value="{name}"' in page for name in ("acknowledge", "suspend", "revoke"))

        back = acts(clerk, alert, "acknowledge", from_page="1")

        assert "Acknowledged 1 alert." in back
        assert "Looked after" in back


class TestPermissions:
    def test_who_has_none_sees_nothing(self, pair):
        pair.alert()

        clerk_who_may()._get(LIST, 403)

    def test_who_may_look_may_do_nothing(self, pair):
        alert, clerk = pair.alert(), clerk_who_may("view_abusealert")

        page = clerk._get(f"{LIST}{alert.pk}/change/", 200)
        for action in ("acknowledge", "suspend", "revoke"):
            assert f'value="{action}"' not in page
            acts(clerk, alert, action, acknowledge="yes")

        TestActions().nothing_happened(alert, pair)

    def test_who_may_change_alerts_may_not_therefore_suspend_or_revoke(self, pair):
        alert, clerk = pair.alert(), clerk_who_may("view_abusealert", "change_abusealert")

        for action in ("suspend", "revoke"):
            acts(clerk, alert, action, acknowledge="yes")
        TestActions().nothing_happened(alert, pair)

        assert "Acknowledged 1 alert." in acts(clerk, alert, "acknowledge")

    @pytest.mark.parametrize(
        ("right", "action", "done"),
        [("change_user", "suspend", "Suspended 1 user."), ("change_device", "revoke", "Revoked 1 device.")],
    )
    def test_with_the_right_for_users_or_devices_too_they_may(self, pair, right, action, done):
        clerk = clerk_who_may("view_abusealert", "change_abusealert", right)

        assert done in acts(clerk, pair.alert(), action)


@pytest.mark.parametrize(("action", "code"), [("suspend", 4403), ("revoke", 4401)])
async def test_on_the_running_system_the_hostile_device_is_hung_up_on(cast, action, code):
    alice, mallory = await cast.people("alice", "mallory")
    clerk = await Clerk(is_superuser=True).signs_in()
    about = {"device_id": mallory.phone.id, "sender_id": mallory.id, "recipient_id": alice.id}
    alert = await asyncio.to_thread(lambda: open_alert(**about))

    async with mallory.phone.socket() as socket:
        await asyncio.to_thread(acts, clerk, alert, action)

        assert await socket.closed(patience_s=2) == code
