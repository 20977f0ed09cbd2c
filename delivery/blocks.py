"""Delivery's copy of the blocks: written in the transaction of a block, read by the drain and by whatever shows messages."""
