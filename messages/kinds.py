"""What a mailbox entry is. Apart from the tables, because everybody on the path of a message names kinds."""

from django.db import models


class Kind(models.IntegerChoices):
    """What a mailbox entry is. On the wire: the lower-case name."""

    MESSAGE = 1
    REJECTION = 2
    ROOM = 3
    CONNECTION = 4
    EPOCH = 5
    KEYS = 6
