"""The chat of the Channels tutorial, with its messages saved: what one gets without a design. Measured beside Letterlock.

Save the message (database_sync_to_async), then group_send; the stock Redis channel layer, Daphne, PostgreSQL. Nobody signs
in, nothing is acknowledged, there is one table: all in the baseline's favour.
"""
