"""Global lists: values that are pushed, and pulled in the order in which they came.

A pull that asks for more than there is leaves a back order, which later pushes fulfil. Queries are SQL and refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript import host
from vlsm_jax.flexscript.conversions import MAX_ITEMS, ValueType, copied, describe, to_array, to_float, to_int
from vlsm_jax.flexscript.coroutines import Awaitable, no_model
from vlsm_jax.flexscript.faults import Fault, OutOfBudget, Unsupported
from vlsm_jax.flexscript.values import equal
from vlsm_jax.flexscript.vocabulary import ARRAY, DOUBLE, LIST, PULL_RESULT, VARIANT, Command, Members, TypeSpec

MAX_LISTS = 1000


class BackOrder(Awaitable):
    """A pull that waits for values.

    Attributes:
      owner: the list.
      key: the partition.
      value: pulls this value only; None for any.
      requested, required: how many values it asks for, and how many it needs at least.
      found: the values so far.
      resume: called when it is fulfilled, None while nobody waits for it.
      done: whether it is fulfilled or removed.
    """

    __slots__ = ("done", "found", "key", "owner", "puller", "requested", "required", "resume", "value")
    type_name = "List.BackOrder"

    def __init__(self, owner: List, key: Any, value: Any, requested: float, required: float, puller: Any, found: list):
        self.owner = owner
        self.key = key
        self.value = value
        self.requested = requested
        self.required = required
        self.puller = puller
        self.found = found
        self.resume: Callable[[Any], None] | None = None
        self.done = False

    def result(self) -> Any:
        """What the pull gives: one value when one was asked for, else an array."""
        return _single(self.found, self.requested)

    def begin(self, world: Any, resume: Callable[[Any], None]) -> None:
        """Resumes the code when the pull is fulfilled, as an event of its own at that time."""
        suspend = host.offered(world, "suspend")
        if suspend is None:
            raise no_model()
        self.resume = lambda value: suspend(0.0, lambda _: resume(value))

    def offer(self, value: Any) -> bool:
        """Takes a pushed value where it fits; returns whether it did."""
        if self.done or (self.value is not None and not equal(self.value, value)):
            return False
        self.found.append(value)
        if len(self.found) >= self.required:
            self.remove()
            if self.resume is not None:
                self.resume(self.result())
        return True

    def remove(self) -> int:
        """Takes the back order off its list."""
        self.done = True
        orders = self.owner.orders.get(self.key, [])
        if self in orders:
            orders.remove(self)
        return 1


class PullResult(Awaitable):
    """What `pull` gives: the value or the array of values, and the back order where it is not fulfilled."""

    __slots__ = ("back_order", "value")
    type_name = "List.PullResult"

    def __init__(self, value: Any, back_order: BackOrder | None = None):
        self.value = value
        self.back_order = back_order

    def truth(self) -> bool:
        """Whether something was pulled."""
        return self.value is not None and self.value != 0

    def begin(self, world: Any, resume: Callable[[Any], None]) -> None:
        """Waits for the back order."""
        self.back_order.begin(world, resume)

    def waits(self) -> bool:
        """Whether the pull is not fulfilled yet."""
        return self.back_order is not None and not self.back_order.done

    def gained(self) -> Any:
        """What was pulled."""
        return self.back_order.result() if self.back_order is not None else self.value


class List(ValueType):
    """One list.

    Attributes:
      name: for messages.
      entries: the values by partition.
      orders: the back orders by partition.
      pushed, pulled: how many values came and went.
    """

    __slots__ = ("entries", "name", "orders", "pulled", "pushed")
    type_name = "List"

    def __init__(self, name: str):
        self.name = name
        self.entries: dict[Any, list] = {}
        self.orders: dict[Any, list[BackOrder]] = {}
        self.pushed = self.pulled = 0

    def __str__(self) -> str:
        return f"List({self.name!r})"

    def weight(self) -> int:
        """The number of values and of back orders."""
        return sum(map(len, self.entries.values())) + sum(map(len, self.orders.values()))

    def push(self, value: Any, partition: Any = 0) -> Any:
        """Puts a value, or every value of an array, onto the list, unless a back order takes it; returns the value."""
        key = _partition(partition)
        for item in to_array(value):
            self.pushed += 1
            orders = self.orders.get(key, [])
            if any(order.offer(item) for order in list(orders)):
                self.pulled += 1
                continue
            if self.weight() >= MAX_ITEMS:
                raise OutOfBudget(f"the list {self.name!r} grew beyond {MAX_ITEMS} values")
            self.entries.setdefault(key, []).append(copied(item))
        return value

    def pull(self, query: Any = "", requested: Any = 1, required: Any = None, puller: Any = None, partition: Any = 0,
             flags: Any = 0) -> PullResult:  # fmt: skip
        """Takes values off the list, the oldest first; raises `Unsupported` for a query. Flags have no effect."""
        if isinstance(query, str) and query.strip():
            raise Unsupported("a query on a list is not supported: this emulator has no SQL",
                              code="unsupported command", hint='pull("") takes the oldest value')  # fmt: skip
        wanted = None if isinstance(query, str) or query == 0 else query
        asked = max(0.0, to_float(requested))
        needed = asked if required is None else max(0.0, to_float(required))
        key = _partition(partition)
        held = self.entries.get(key, [])
        fitting = [n for n, value in enumerate(held) if wanted is None or equal(value, wanted)]
        taken = fitting[: min(len(fitting), to_int(min(asked, MAX_ITEMS)))]
        if len(taken) < needed:  # what is there already is kept for the back order
            return PullResult(None, self._order(key, wanted, asked, needed, puller, taken))
        values = self._take(key, taken)
        return PullResult(_single(values, asked))

    def _order(self, key: Any, wanted: Any, asked: float, needed: float, puller: Any, taken: list[int]) -> BackOrder:
        if self.weight() >= MAX_ITEMS:
            raise OutOfBudget(f"the list {self.name!r} grew beyond {MAX_ITEMS} back orders")
        order = BackOrder(self, key, wanted, asked, needed, puller, self._take(key, taken))
        self.orders.setdefault(key, []).append(order)
        return order

    def _take(self, key: Any, places: list[int]) -> list:
        if not places:
            return []
        held, chosen = self.entries[key], set(places)
        values = [held[n] for n in places]
        self.entries[key] = [value for n, value in enumerate(held) if n not in chosen]
        self.pulled += len(values)
        return values

    def entries_of(self, partition: Any = 0) -> list:
        """The values on a partition."""
        return list(self.entries.get(_partition(partition), []))

    def orders_of(self, partition: Any = 0) -> list:
        """The back orders on a partition."""
        return list(self.orders.get(_partition(partition), []))

    def remove(self, value: Any, partition: Any = 0) -> int:
        """Takes a value off the list; returns whether it was there."""
        held = self.entries.get(_partition(partition), [])
        for n, entry in enumerate(held):
            if equal(entry, value):
                del held[n]
                return 1
        return 0


def _partition(partition: Any) -> Any:
    if isinstance(partition, (list, dict, ValueType)):
        raise Fault(f"a partition is a number, a string or a node, not {describe(partition)}", code="argument")
    return 0 if partition is None else partition


def _single(values: list, asked: float) -> Any:
    if asked <= 1:
        return values[0] if values else None
    return values


# --- What scripts may name --------------------------------------------------------------------------------------------


def find_list(world: Any, name: Any) -> List:
    """`List("Name")`: the world's, or one that is made when it is first used; raises `Fault`."""
    if isinstance(name, List):
        return name
    if not isinstance(name, str) or not name:
        raise Fault(f"List() takes the name of a global list, not {describe(name)}", code="argument")
    find = host.offered(world, "find_list")
    if find is not None:
        found = find(name)
        if found is None:
            raise Fault(f"there is no global list {name[:60]!r}", code="list")
        return found
    machine = host.offered(world, "machine")
    lists = machine.lists if machine is not None else {}
    if name not in lists and len(lists) >= MAX_LISTS:
        raise OutOfBudget(f"more than {MAX_LISTS} global lists")
    return lists.setdefault(name, List(name))


def _unsupported(name: str) -> Callable[..., Any]:
    def refuse(*arguments: Any) -> Any:
        raise Unsupported(f"List.{name} is not supported", code="unsupported command")

    return refuse


def _old_push(world: Any, reference: Any, value: Any = None, partition: Any = 0) -> Any:
    return find_list(world, reference).push(value, partition)


def _old_pull(world: Any, reference: Any, *arguments: Any) -> Any:
    return find_list(world, reference).pull(*arguments).value


def _to_result(value: Any) -> PullResult:
    return value if isinstance(value, PullResult) else PullResult(value)


def _to_list(value: Any) -> List | None:
    if value is None or isinstance(value, List):
        return value
    raise Fault(f"expected a List, got {describe(value)}", code="type", hint='for example List("ItemList")')


def members() -> Mapping[type, Members]:
    """Returns what stands behind the dot of lists and of what they give."""
    return {
        List: Members(
            {"name": lambda held: held.name},
            {},
            {
                "push": Command(List.push, VARIANT, 1, 2),
                "pull": Command(List.pull, PULL_RESULT, 0, 6),
                "entries": Command(List.entries_of, ARRAY, 0, 1),
                "backOrders": Command(List.orders_of, ARRAY, 0, 1),
                "remove": Command(List.remove, VARIANT, 1, 2),
                "getEntryFromValue": Command(_unsupported("getEntryFromValue"), VARIANT, 1, 2),
                "reevaluateBackOrders": Command(_unsupported("reevaluateBackOrders"), VARIANT, 0, 2),
            },
        ),
        PullResult: Members({"backOrder": lambda result: result.back_order, "value": lambda result: result.value}),
        BackOrder: Members(
            {
                "numRequested": lambda order: order.requested,
                "numRequired": lambda order: order.required,
                "puller": lambda order: order.puller,
            },
            {},
            {"remove": Command(BackOrder.remove, DOUBLE, 0, 0)},
        ),
    }


def types() -> Mapping[str, TypeSpec]:
    """Returns the types of lists."""
    return {
        "List": TypeSpec(LIST, lambda: None, _to_list),
        "List.PullResult": TypeSpec(PULL_RESULT, lambda: PullResult(None), _to_result),
        "List.BackOrder": TypeSpec(VARIANT, lambda: None),
    }


def commands() -> Mapping[str, Command]:
    """Returns the constructor and the old commands."""
    return {
        "List": Command(find_list, LIST, 1, 1, True),
        "globallist": Command(find_list, LIST, 1, 1, True),
        "listpush": Command(_old_push, VARIANT, 1, 3, True),
        "listpull": Command(_old_pull, VARIANT, 3, 7, True),
        "listentries": Command(lambda w, name, p=0: find_list(w, name).entries_of(p), ARRAY, 1, 2, True),
        "listbackorders": Command(lambda w, name, p=0: find_list(w, name).orders_of(p), ARRAY, 1, 2, True),
    }
