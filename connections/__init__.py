"""Who may reach whom: contacts and blocks. Delivery keeps its own copy of the blocks (`delivery.models.BlockCopy`)."""
