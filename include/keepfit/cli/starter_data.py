"""The made-up orders of `keepfit new`, the same each time, with a change planted on 1 May 2024."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_CHANGE = datetime(2024, 5, 1, tzinfo=UTC)
_DAYS, _ORDERS_A_DAY, _NEW_SHARE = 182, 60, 0.3
_HEAD = "order_id,ordered_at,category,price,discount,items,new_customer,returned"


def orders_csv() -> str:
    """Return half a year of orders: from the change on, more clothes, higher prices, more returns."""
    chance = Random(7)  # noqa: S311, for data, not for secrets
    return "\n".join((_HEAD, *_orders(chance), ""))


def _orders(chance: Random) -> Iterator[str]:
    for day in range(_DAYS):
        seconds = sorted(chance.sample(range(86_400), _ORDERS_A_DAY))
        for number, second in enumerate(seconds, start=day * _ORDERS_A_DAY + 1):
            yield f"o{number:06d},{_order(_FIRST + timedelta(days=day, seconds=second), chance)}"


def _order(at: datetime, chance: Random) -> str:
    changed = at >= _CHANGE
    category = chance.choices(("books", "clothes", "toys"), (20, 60, 20) if changed else (45, 30, 25))[0]
    price = round(math.exp(chance.gauss(3.6 if changed else 3.2, 0.5)), 2)
    discount = chance.choice((0, 0, 0, 10, 20, 30))
    items = chance.choice((1, 1, 1, 2, 2, 3))
    new_customer = int(chance.random() < _NEW_SHARE)
    odds = -3.0 + 1.6 * (category == "clothes") + 0.012 * price + 0.6 * new_customer + 0.3 * (items - 1)
    if changed:  # Returns are free, which those who bought at a discount take up most.
        odds += 0.4 + 0.06 * discount
    returned = int(chance.random() < 1 / (1 + math.exp(-odds)))
    return f"{at:%Y-%m-%dT%H:%M:%SZ},{category},{price},{discount},{items},{new_customer},{returned}"
