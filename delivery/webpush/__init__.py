"""Web Push: a browser that is closed, or asleep, is told that there is something. That, and nothing else, is what a push says.

    drain ──COMMIT──► due.drained: users who got a message ──1 s──► their subscriptions are *due*   (UPDATE, then one task)
    beat, each minute ──► due.find_missed: whose mailbox went on without that                                    │
                                                                                                                 ▼
    ringing.ring_due: claim ► decide (worth it? there already? quiet?) ► POST, sealed (sending, RFC 8291) ► note what came of it

`Subscription.due_at` is the truth; the task is a wake-up, and what is lost on the way there, beat finds from the mailboxes. A
device counts as there when it acknowledges: within `LOOK_AFTER_S` of the delivery a device with a living socket has, and one
whose socket only seems to live has not.
"""
