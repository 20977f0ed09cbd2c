"""How the page of one message writes times."""

from datetime import UTC, datetime

from django import template

register = template.Library()


@register.filter
def ms(value: int) -> str:
    """A time in ms since 1970, in UTC, to the millisecond."""
    return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
