import pytest

from vlsm_jax.repair import RepairSession
from vlsm_jax.repair.session import RepairError

RIGHT = """Object source = Object.create("Source");
source.name = "Arrivals";
Object sink = Object.create("Sink");
sink.name = "Shipping";
contextdragconnection(source, sink, "A");
"""
WRONG = RIGHT.replace("dragconnection", "dragconection")


def test_a_proposal_changes_nothing_until_it_is_accepted():
    session = RepairSession(WRONG)
    assert [d.code for d in session.diagnostics] == ["unknown command"]
    offer = session.propose()
    assert (offer.by, offer.script, session.script) == ("rules", RIGHT, WRONG)
    assert '+contextdragconnection(source, sink, "A");' in offer.diff
    assert session.accept() == RIGHT
    assert session.diagnostics == ()
    assert session.propose() is None


def test_undo_goes_back_turn_by_turn_and_history_keeps_who_did_what():
    session = RepairSession(WRONG)
    session.propose()
    session.accept()
    session.edit(RIGHT + "// mine\n")
    assert [turn.by for turn in session.history] == ["edit", "rules", "edit"]
    assert session.undo() == RIGHT
    assert session.undo() == WRONG
    with pytest.raises(RepairError, match="nothing to undo"):
        session.undo()


def test_what_was_rejected_is_not_proposed_again():
    session = RepairSession(WRONG)
    session.propose()
    session.reject()
    assert session.propose() is None
    with pytest.raises(RepairError, match="nothing to accept"):
        session.accept()


def test_a_model_is_asked_where_the_rules_are_at_an_end_and_is_judged_like_them():
    asked = []

    def rewrite(found, prompt):
        asked.append((found.script, prompt, [d.code for d in found.diagnostics]))
        return RIGHT if len(asked) > 1 else "worse("

    session = RepairSession("what is this", "a line", rewriter=rewrite)
    assert session.propose() is None  # what the model wrote first is no better
    offer = session.propose()
    assert (offer.by, offer.script) == ("model", RIGHT)
    assert asked[0][:2] == ("what is this", "a line")
    assert asked[0][2]
