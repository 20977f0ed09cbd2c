"""Who may reach whom: contacts and blocks, the same on all of a user's devices (docs/connections.md).

    views | changes ── rules      what a change makes of both sides; no I/O
          |         └─ ports      entries for the mailboxes, and delivery's copy of the blocks, in the same transaction
          | book                  pages and lists, for devices that sync
    chat, accounts | policy       who may open, add, look up; every exit that asks about two people asks here

Delivery keeps its own copy of the blocks (`delivery.models.BlockCopy`) and never looks in here.
"""
