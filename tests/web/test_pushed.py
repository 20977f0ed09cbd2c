"""A browser that was closed is told by push, and the service worker says so.

Chromium's own push service is on the internet. So the subscription is put under it: the browser's is one of the tests' push
service, and what arrives there is handed to the service worker through DevTools.
"""

import asyncio
import json

from playwright.async_api import expect

from tests.push_service import PushService

SUBSCRIBED = """
(() => {
  const given = %s;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0)).buffer;
  const key = "letterlock-test-subscribed";
  const subscription = {
    endpoint: given.endpoint,
    getKey: (name) => bytes(given[name]),
    unsubscribe: async () => { localStorage.removeItem(key); return true; },
  };
  PushManager.prototype.subscribe = async (options) => {
    const asked = new Uint8Array(options.applicationServerKey);
    if (!options.userVisibleOnly || asked.length !== 65 || asked[0] !== 4) throw new TypeError("not as it must be");
    localStorage.setItem(key, "1");
    return subscription;
  };
  PushManager.prototype.getSubscription = async () => (localStorage.getItem(key) ? subscription : null);
})()
"""


async def test_from_the_switch_to_the_notification(people, system):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "before")
    with PushService() as service:
        pushes = service.browser()
        await bob.context.grant_permissions(["notifications"], origin=system.url)
        await bob.context.add_init_script(SUBSCRIBED % json.dumps(pushes.subscription))
        await bob.page.reload()
        await bob.is_kept()
        devtools = await bob.devtools()
        registered = asyncio.get_running_loop().create_future()
        devtools.on("ServiceWorker.workerRegistrationUpdated", lambda event: note(registered, event))
        await devtools.send("ServiceWorker.enable")
        registration = await asyncio.wait_for(registered, 30)

        await bob.goes_to("#/settings/notifications")
        switch = bob.page.get_by_role("switch", name="Notifications on this device")
        await switch.click()
        await expect(switch).to_be_checked()

        # The page goes away, Alice writes, and the push service gets something for Bob.
        await bob.page.goto("about:blank")
        await alice.types("come back")
        push = await pushes.push()
        message = {"origin": system.url, "registrationId": registration, "data": json.dumps(push.payload)}
        await devtools.send("ServiceWorker.deliverPushMessage", message)

        await bob.page.goto("/")
        await bob.is_in()
        shown = await bob.page.evaluate(SHOWN)
        while not shown:
            shown = await bob.page.evaluate(SHOWN)
        assert shown == [{"title": "Letterlock", "body": "There is something new.", "tag": "letterlock"}]
        await bob.opens(alice)
        await bob.sees("come back")

        # Switched off, nothing more is sent.
        await bob.goes_to("#/settings/notifications")
        await switch.click()
        await expect(switch).not_to_be_checked()


async def test_who_clicks_on_the_notification_gets_the_page_that_is_open_or_a_new_one(people, system):
    """Headless Chromium shows no notification to click on, and gives its worker no leave to focus without a click. So the worker
    is told of one, and what it asks of the browser is looked at."""
    (bob,) = await people("bob")
    await bob.context.grant_permissions(["notifications"], origin=system.url)
    await bob.page.reload()
    await bob.is_kept()
    (worker,) = bob.context.service_workers
    assert await worker.evaluate(CLICKED) == {"opened": [], "focused": [f"{system.url}/"], "left": 0}

    # Where there is no page, or only another one of this server, a new one is opened.
    await bob.page.goto("/api/v1/docs")
    assert await worker.evaluate(CLICKED) == {"opened": ["/"], "focused": [], "left": 0}


CLICKED = """
async () => {
  await self.registration.showNotification("Letterlock", { tag: "letterlock" });
  const [notification] = await self.registration.getNotifications();
  const opened = [];
  const focused = [];
  Object.defineProperty(self.clients, "openWindow", { configurable: true, value: async (url) => void opened.push(url) });
  WindowClient.prototype.focus = async function () { focused.push(this.url.split("#")[0]); };
  const event = new NotificationEvent("notificationclick", { notification });
  const done = new Promise((resolve) => { event.waitUntil = resolve; });
  self.dispatchEvent(event);
  await done;
  return { opened, focused, left: (await self.registration.getNotifications()).length };
}
"""
SHOWN = """
navigator.serviceWorker.ready
  .then((worker) => worker.getNotifications())
  .then((all) => all.map(({ title, body, tag }) => ({ title, body, tag })))
"""


def note(registered, event):
    for registration in event["registrations"]:
        if not registration["isDeleted"] and not registered.done():
            registered.set_result(registration["registrationId"])
