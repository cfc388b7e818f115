-- The tier of every partition that is no longer hot, of a window of days.
select
    t.relation,
    t.partition_start,
    t.tier,
    t.row_count,
    t.size_bytes,
    t.proof_id,
    to_json(t.restored) as restored,
    t.restored_until,
    t.changed_at
from partition_tiers as t
where
    (%(since)s::timestamptz is null or t.partition_start >= (date_trunc('month', %(since)s at time zone 'UTC'))::date)
    and (%(until)s::timestamptz is null or t.partition_start < (%(until)s at time zone 'UTC'))
    and (%(instrument)s::text is null)
order by t.partition_start, t.relation;
