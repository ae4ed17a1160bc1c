"""The names in Redis that the contract promises."""

from service.keys import EVENT_SHARDS, Keys


def test_names_share_one_hash_tag() -> None:
    keys = Keys("production")
    assert keys.table == "{lm:production}:table"
    assert keys.table_version == "{lm:production}:table:version"
    assert keys.tables == "{lm:production}:tables"
    assert keys.fleet == "{lm:production}:fleet"


def test_events_have_a_stream_for_each_shard_and_a_worker_its_own() -> None:
    keys = Keys("production")
    assert keys.events[0] == "{lm:production}:events:0"
    assert len(set(keys.events)) == EVENT_SHARDS
    used = {keys.events_of(f"host/127.0.0.1:8080/{number}") for number in range(50)}
    assert used == set(keys.events)
    assert keys.events_of("host/127.0.0.1:8080/1") == keys.events_of("host/127.0.0.1:8080/1")
