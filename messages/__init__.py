"""The message log: messages, mailboxes, cursors, read positions. Its Django label is `message_log`."""
