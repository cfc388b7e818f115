-- Writes down the tier of a partition.
insert into partition_tiers (relation, partition_start, tier, row_count, size_bytes, proof_id, restored, restored_until, changed_at)
values (
    %(relation)s, %(partition_start)s, %(tier)s, %(row_count)s, %(size_bytes)s, %(proof_id)s, %(restored)s, %(restored_until)s,
    clock_timestamp()
)
on conflict (relation, partition_start) do update set
    tier = excluded.tier,
    row_count = excluded.row_count,
    size_bytes = excluded.size_bytes,
    proof_id = excluded.proof_id,
    restored = excluded.restored,
    restored_until = excluded.restored_until,
    changed_at = excluded.changed_at;
