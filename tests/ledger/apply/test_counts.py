"""Who has how much of what is bounded: counted in the rows themselves, or kept for a batch and written once."""

from pathlib import Path

from kitestring.base.store import Store
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.counts import _OPEN_OF_GRANT, _OPEN_OF_NODE
from tests.kit.ledger.steps import batch
from tests.kit.ledger.values import NODE, claim


async def test_open_payments_are_counted_once_a_batch_and_then_carried_on(store: Store, ledger: Path) -> None:
    for name in ("a", "b"):
        await store.apply(claim(name))
    with batch(ledger) as one:
        statements: list[str] = []
        one.counts.count_payment(NODE, 1)  # nobody has asked yet: the rows will tell
        one.connection.set_trace_callback(statements.append)
        assert one.counts.open_payments(NODE) == 2
        one.counts.count_payment(NODE, -1)
        assert (one.counts.open_payments(NODE), one.counts.open_payments("another node")) == (1, 0)
        assert len(statements) == 2
        assert (one.counts.open_payments_of(NODE, "app"), one.counts.open_payments_of(NODE, "bobs")) == (2, 0)


async def test_the_count_of_open_payments_reads_their_index_alone(store: Store, ledger: Path) -> None:
    with batch(ledger) as one:
        for statement, values in ((_OPEN_OF_NODE, (1, NODE)), (_OPEN_OF_GRANT, (1, NODE, "app"))):
            plan = one.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            assert ["COVERING INDEX payments_open" in step[3] for step in plan] == [True]


async def test_open_invoices_are_counted_per_holder_within_a_batch_and_over_it(store: Store, ledger: Path) -> None:
    def counted(one: Batch) -> list[int]:
        return [one.counts.open_invoices(NODE, name) for name in ("app", "offer:tea", "@all")]

    with batch(ledger) as one:
        assert counted(one) == [0, 0, 0]
        for names in (("app", "@all"), ("app", "@all"), ("offer:tea", "@all")):
            one.counts.count_invoice(NODE, names, 1)
        assert counted(one) == [2, 1, 3]
        assert one.counts.open_invoices("another node", "app") == 0
    with batch(ledger) as one:
        assert counted(one) == [2, 1, 3]
        for names in (("app", "@all"), ("app", "@all"), ("offer:tea", "@all")):
            one.counts.count_invoice(NODE, names, -1)
    with batch(ledger) as one:
        assert one.execute("SELECT count(*) FROM open_invoices").fetchone() == (0,)  # payers come and go


async def test_what_is_kept_of_refusals_is_read_until_it_changes_and_its_horizon_moves_forward_only(
    store: Store, ledger: Path
) -> None:
    with batch(ledger) as one:
        assert one.counts.refusals("app") == (0, 0, 0, 0)
        one.counts.count_refused("app", 2, 100, 9)
        one.counts.refuse_before("app", 50)
        one.counts.count_refused("app", -1, -30, -4)
        one.counts.refuse_before("app", 40)
        assert one.counts.refusals("app") == (1, 70, 5, 50)
    with batch(ledger) as one:
        assert one.counts.refusals("app") == (1, 70, 5, 50)
        assert one.counts.refusals("bobs") == (0, 0, 0, 0)
        one.counts.count_refused("app", -1, -70, -5)  # or the audit would miss its row
