"""The page about faults says what their tests say."""

from tests.faults.reliability import all_faults
from tests.faults.table import TABLE, table


def test_the_page_is_up_to_date():
    assert TABLE.read_text() == table(), "run `make reliability`"


def test_every_fault_says_three_things_once():
    faults = list(all_faults())
    assert len({fault.what for fault in faults}) == len(faults) > 20
    assert all(fault.what and fault.sees and fault.kept for fault in faults)
    assert not [fault for fault in faults if "|" in fault.what + fault.sees + fault.kept]
