"""The names in Redis that the contract promises."""

from service.keys import Keys


def test_names_share_one_hash_tag() -> None:
    keys = Keys("production")
    assert keys.table == "{lm:production}:table"
    assert keys.table_version == "{lm:production}:table:version"
    assert keys.tables == "{lm:production}:tables"
    assert keys.fleet == "{lm:production}:fleet"
